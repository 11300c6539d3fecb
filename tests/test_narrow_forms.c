/* Forms whose results are stored as f32: tier fast computes them in plain doubles, tier accurate in
 * pairs of doubles, and one rounding hides the difference. On random problems with hard targets,
 * whose terms do not cancel, every result is the same or a neighbour, and nearly all are the same. So are
 * the losses of quality for targets next to p, and of split for p next to its margin, where p - t and
 * p - margin cancel.
 * Usage: test_narrow_forms [--seed N]. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "check.h"
#include "evaluate.h"
#include "random.h"
#include "ulp.h"

enum { CLASSES_MOST = 600, ROWS_MOST = 6, COUNT = CLASSES_MOST * ROWS_MOST, OUTPUTS = 3 };
enum { PROBLEMS = 500, CLASS_VALUES = 24 };
static const double gammas[] = {0.0, 0.5, 1.0, 1.5, 2.0, 2.7, 5.0, 0.3, 20.0};
static const double widths[] = {2.0, 8.0, 8.0, 100.0};

static float logits[COUNT], targets[COUNT], row_weights[ROWS_MOST], element_weights[COUNT];
static int32_t labels[ROWS_MOST];
static double class_alpha[CLASS_VALUES], class_gamma[CLASS_VALUES], class_weight[CLASS_VALUES];

/* Losses, gradients and Hessians; row losses in place of losses for softmax. */
typedef struct {
    float out[OUTPUTS][COUNT];
    focal_sums sums;
    char description[512];
} results;

typedef struct {
    focal_problem problem;
    bool row_weighted, element_weighted;
    bool near_targets; /* soft ones, close to p; of quality */
} test_case;

static double unit(random_source *random) {
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

static double gamma_of(random_source *random) {
    return gammas[random_below(random, sizeof gammas / sizeof *gammas)];
}

/* What a class or the problem may have; FL* has one gamma, and divides by it. */
static void choose_parameters(focal_problem *problem, random_source *random) {
    bool few = problem->classes <= CLASS_VALUES, star = problem->form == FOCAL_FORM_STAR;
    problem->gamma = gamma_of(random);
    if (star && problem->gamma == 0.0)
        problem->gamma = 2.0;
    problem->alpha_mode = random_below(random, 2) ? FOCAL_ALPHA_SCALAR : FOCAL_ALPHA_OFF;
    problem->alpha = 0.25;
    if (few && random_below(random, 4) == 0) {
        problem->alpha_mode = FOCAL_ALPHA_PER_CLASS;
        problem->class_alpha = class_alpha;
    }
    if (few && !star && random_below(random, 4) == 0) {
        problem->gamma_mode = FOCAL_GAMMA_PER_CLASS;
        problem->class_gamma = class_gamma;
    } else if (problem->form == FOCAL_FORM_SPLIT && random_below(random, 2)) {
        problem->gamma_mode = FOCAL_GAMMA_SPLIT;
        problem->gamma_negative = gamma_of(random);
    }
    if (few && random_below(random, 4) == 0)
        problem->class_weight = class_weight;
    if (problem->form == FOCAL_FORM_SPLIT && random_below(random, 3) == 0)
        problem->margin = 0.05;
    if (problem->op == FOCAL_SIGMOID && problem->form == FOCAL_FORM_FOCAL &&
        random_below(random, 3) == 0)
        problem->poly_epsilon = unit(random);
}

static test_case random_case(random_source *random) {
    test_case test;
    focal_problem *problem = &test.problem;
    focal_problem_init(problem);
    problem->op = random_below(random, 3) ? FOCAL_SIGMOID : FOCAL_SOFTMAX;
    problem->form = (focal_form)random_below(random, FOCAL_FORM_STAR + 1);
    if (problem->op == FOCAL_SOFTMAX)
        problem->form = FOCAL_FORM_FOCAL;
    problem->classes = 1 + random_below(random, random_below(random, 4) ? 24 : CLASSES_MOST);
    problem->outer = 1 + random_below(random, ROWS_MOST);
    bool dense = problem->op == FOCAL_SIGMOID && random_below(random, 2);
    problem->target_kind = dense ? FOCAL_TARGET_DENSE : FOCAL_TARGET_LABEL_I32;
    /* The upper Hessian is a sum of terms of one sign. */
    problem->hessian_mode = FOCAL_HESSIAN_UPPER;
    problem->outputs = FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_GRADIENT | FOCAL_OUTPUT_HESSIAN;
    problem->outputs |=
        problem->op == FOCAL_SOFTMAX ? FOCAL_OUTPUT_ROW_LOSS : FOCAL_OUTPUT_LOSS;
    choose_parameters(problem, random);
    test.row_weighted = random_below(random, 4) == 0;
    test.element_weighted = problem->op == FOCAL_SIGMOID && random_below(random, 4) == 0;
    test.near_targets = dense && problem->form == FOCAL_FORM_QUALITY && random_below(random, 2);
    return test;
}

/* Next to each other, up to the rounding of float. */
static void bring_together(const test_case *test, random_source *random) {
    const focal_problem *problem = &test->problem;
    for (int64_t i = 0; i < problem->outer * problem->classes; i++) {
        double away = ldexp(unit(random) - 0.5, -(int)random_below(random, 30));
        if (test->near_targets)
            targets[i] = (float)fmin(1.0, (1.0 + away) / (1.0 + exp(-(double)logits[i])));
        else if (random_below(random, 4) == 0)
            logits[i] = (float)(log(problem->margin / (1.0 - problem->margin)) + away);
    }
}

static void make_inputs(const focal_problem *problem, random_source *random) {
    double width = widths[random_below(random, sizeof widths / sizeof *widths)];
    for (int64_t i = 0; i < problem->outer * problem->classes; i++) {
        logits[i] = (float)((2.0 * unit(random) - 1.0) * width);
        targets[i] = (float)random_below(random, 2);
        element_weights[i] = random_below(random, 6) ? (float)unit(random) : 0.0F;
    }
    for (int64_t row = 0; row < problem->outer; row++) {
        labels[row] = (int32_t)random_below(random, (uint32_t)problem->classes);
        row_weights[row] = random_below(random, 6) ? (float)unit(random) : 0.0F;
    }
    for (int c = 0; c < CLASS_VALUES; c++) {
        class_alpha[c] = random_below(random, 8) ? unit(random) : 1.0;
        class_gamma[c] = gamma_of(random);
        class_weight[c] = random_below(random, 8) ? unit(random) : 0.0;
    }
}

static void execute(const test_case *test, focal_tier tier, const char *isa, results *to) {
    focal_problem problem = test->problem;
    problem.tier = tier;
    focal_options options;
    focal_options_init(&options);
    options.isa = isa;
    focal_buffers buffers;
    focal_buffers_init(&buffers);
    buffers.logits = logits;
    buffers.targets =
        problem.target_kind == FOCAL_TARGET_DENSE ? (const void *)targets : labels;
    buffers.loss = buffers.row_loss = to->out[0];
    buffers.gradient = to->out[1], buffers.hessian = to->out[2];
    buffers.row_weight = test->row_weighted ? row_weights : NULL;
    buffers.element_weight = test->element_weighted ? element_weights : NULL;
    to->sums = (focal_sums)FOCAL_SUMS_INIT;
    focal_plan *plan;
    focal_error error = FOCAL_ERROR_INIT;
    if (focal_plan_create(&plan, &problem, &options, &error) != FOCAL_OK ||
        focal_plan_execute(plan, &buffers, NULL, &to->sums, &error) != FOCAL_OK) {
        printf("tier %s: %s\n", focal_tier_name(tier), error.message);
        exit(1);
    }
    focal_plan_describe(plan, to->description, sizeof to->description);
    focal_plan_destroy(plan);
}

static size_t compared, apart;

static void compare(const test_case *test, const results *fast, const results *accurate) {
    const focal_problem *problem = &test->problem;
    size_t rows = (size_t)problem->outer, count = rows * (size_t)problem->classes;
    /* Derivatives by soft targets cancel. */
    for (int o = 0; o < (test->near_targets ? 1 : OUTPUTS); o++)
        for (size_t i = 0; i < (o == 0 && problem->op == FOCAL_SOFTMAX ? rows : count); i++) {
            uint32_t distance = ulp_distance_f32(fast->out[o][i], accurate->out[o][i]);
            compared++;
            apart += distance != 0;
            CHECK_CASE(distance <= 1,
                       "output %d[%zu] is %a, of pairs %a: gamma %g, form %d, logit %a (%s)", o,
                       i, (double)fast->out[o][i], (double)accurate->out[o][i], problem->gamma,
                       (int)problem->form, (double)logits[i], fast->description);
        }
    double difference = fabs(fast->sums.loss - accurate->sums.loss);
    CHECK_CASE(difference <= 1e-13 * fabs(accurate->sums.loss),
               "sum %.17g, of pairs %.17g (%s)", fast->sums.loss, accurate->sums.loss,
               fast->description);
}

static void check_row(const char *isa, uint64_t seed) {
    static results fast, accurate;
    random_source random = random_named(seed, isa, strlen(isa));
    for (int k = 0; k < PROBLEMS; k++) {
        test_case test = random_case(&random);
        make_inputs(&test.problem, &random);
        if (test.near_targets || test.problem.margin > 0.0)
            bring_together(&test, &random);
        execute(&test, FOCAL_TIER_FAST, isa, &fast);
        execute(&test, FOCAL_TIER_ACCURATE, isa, &accurate);
        CHECK_CASE(strstr(fast.description, "_form_fast__") != NULL, "%s", fast.description);
        CHECK_CASE(strstr(accurate.description, "_form_accurate__") != NULL, "%s",
                   accurate.description);
        compare(&test, &fast, &accurate);
    }
}

int main(int count, char **words) {
    uint64_t seed = 1;
    if (count == 3 && strcmp(words[1], "--seed") == 0)
        seed = strtoull(words[2], NULL, 0);
    else if (count != 1)
        return puts("usage: test_narrow_forms [--seed N]"), 2;
    size_t index = 0;
    for (const char *isa; (isa = next_isa(&index)) != NULL;) {
        const unsigned passed = check_passed, failed = check_failed;
        check_row(isa, seed);
        printf("row %s: %u passed, %u failed\n", isa, check_passed - passed,
               check_failed - failed);
    }
    printf("%zu of %zu results are not the same\n", apart, compared);
    CHECK(apart * 100000 <= compared);
    return check_report();
}
