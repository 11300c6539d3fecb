// The same in C++: softmax with labels.
#include <focal.h>

#include <cstdio>
#include <vector>

int main() {
    const std::vector<float> logits = {1.0F, 2.0F, -0.5F, 0.25F, -1.0F, 3.0F};
    const std::vector<int64_t> labels = {1, 0};
    focal_problem problem;
    focal_problem_init(&problem);
    problem.op = FOCAL_SOFTMAX;
    problem.target_kind = FOCAL_TARGET_LABEL_I64;
    problem.outer = 2;
    problem.classes = 3;
    problem.gamma = 2.0;
    problem.outputs = FOCAL_OUTPUT_SUM;

    focal_plan *plan = nullptr;
    focal_error error = FOCAL_ERROR_INIT;
    if (focal_plan_create(&plan, &problem, nullptr, &error) != FOCAL_OK)
        return std::fprintf(stderr, "%s\n", error.message), 1;
    focal_buffers buffers;
    focal_buffers_init(&buffers);
    buffers.logits = logits.data();
    buffers.targets = labels.data();
    focal_sums sums = FOCAL_SUMS_INIT;
    if (focal_plan_execute(plan, &buffers, nullptr, &sums, &error) != FOCAL_OK)
        return std::fprintf(stderr, "%s\n", error.message), 1;
    std::printf("%.6f\n", sums.loss);
    focal_plan_destroy(plan);
}
