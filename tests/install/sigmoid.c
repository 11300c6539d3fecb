/* As a user would write it, after the example in focal.h. */
#include <focal.h>
#include <stdio.h>

int main(void) {
    const float logits[6] = {2.0F, -1.0F, 0.5F, -3.0F, 0.0F, 1.5F};
    const float targets[6] = {1.0F, 0.0F, 0.0F, 0.0F, 1.0F, 0.25F};
    float gradient[6];
    focal_problem problem;
    focal_problem_init(&problem);
    problem.outer = 2;
    problem.classes = 3;
    problem.gamma = 2.0;
    problem.alpha_mode = FOCAL_ALPHA_SCALAR;
    problem.alpha = 0.25;
    problem.outputs = FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_GRADIENT;

    focal_plan *plan = NULL;
    focal_error error = FOCAL_ERROR_INIT;
    if (focal_plan_create(&plan, &problem, NULL, &error) != FOCAL_OK)
        return fprintf(stderr, "%s\n", error.message), 1;
    focal_buffers buffers;
    focal_buffers_init(&buffers);
    buffers.logits = logits;
    buffers.targets = targets;
    buffers.gradient = gradient;
    focal_sums sums = FOCAL_SUMS_INIT;
    if (focal_plan_execute(plan, &buffers, NULL, &sums, &error) != FOCAL_OK)
        return fprintf(stderr, "%s\n", error.message), 1;
    printf("%.6f\n", sums.loss);
    focal_plan_destroy(plan);
    return 0;
}
