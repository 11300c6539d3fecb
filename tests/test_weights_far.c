/* Weights far out, in tier fast: results that floats hold are right, whatever stood between; and a weight
 * of 0 gives 0. On every ISA row. */
#include <math.h>
#include <stdbool.h>

#include "check.h"
#include "evaluate.h"

static bool is_near(double got, long double exact, long double relative) {
    return fabsl((long double)got - exact) <= relative * fabsl(exact);
}

enum { FEW = 80 };

static focal_sums run_buffers(const char *isa, const focal_problem *p, const focal_buffers *b) {
    focal_plan *plan = NULL;
    focal_error error = FOCAL_ERROR_INIT;
    focal_options options;
    focal_options_init(&options);
    options.isa = isa;
    focal_sums sums = FOCAL_SUMS_INIT;
    if (focal_plan_create(&plan, p, &options, &error) != FOCAL_OK ||
        focal_plan_execute(plan, b, NULL, &sums, &error) != FOCAL_OK)
        CHECK_CASE(0, "%s", error.message);
    focal_plan_destroy(plan);
    return sums;
}

/* Softmax of logits `x`, but for a masked class 1, with labels 0; or sigmoid with targets 0. */
static focal_sums run_extreme(const char *isa, focal_problem p, float x, bool masked,
                              const float *row, const float *element, float *gradient) {
    static float few_logits[FEW], no_targets[FEW];
    static int32_t few_labels[FEW];
    for (int64_t i = 0; i < p.outer * p.classes; i++)
        few_logits[i] = masked && i % p.classes == 1 ? -HUGE_VALF : x;
    focal_buffers b;
    focal_buffers_init(&b);
    b.logits = few_logits;
    b.targets = p.op == FOCAL_SOFTMAX ? (const void *)few_labels : (const void *)no_targets;
    b.row_weight = row;
    b.element_weight = element;
    b.gradient = gradient;
    return run_buffers(isa, &p, &b);
}

static focal_problem extreme_problem(focal_op op, int64_t outer, int64_t classes) {
    focal_problem p;
    focal_problem_init(&p);
    p.op = op;
    p.outer = outer;
    p.classes = classes;
    p.gamma = 2.0;
    p.outputs = FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_GRADIENT;
    if (op == FOCAL_SOFTMAX)
        p.target_kind = FOCAL_TARGET_LABEL_I32;
    return p;
}

/* Gradients are those without weights, times the weight, as long as that is a float; with the weights as
 * the divisor they are those of the mean over rows. */
static void check_large_rows(const char *isa, int64_t outer, int64_t classes, float x,
                             bool masked, float weight) {
    float weights[FEW], plain[FEW], gradient[FEW], mean[FEW], normal[FEW];
    for (int i = 0; i < FEW; i++)
        weights[i] = weight;
    focal_problem p = extreme_problem(FOCAL_SOFTMAX, outer, classes);
    run_extreme(isa, p, x, masked, NULL, NULL, plain);
    run_extreme(isa, p, x, masked, weights, NULL, gradient);
    p.normalizer = FOCAL_NORMALIZER_ROWS;
    run_extreme(isa, p, x, masked, NULL, NULL, mean);
    p.normalizer = FOCAL_NORMALIZER_WEIGHT;
    run_extreme(isa, p, x, masked, weights, NULL, normal);
    for (int64_t i = 0; i < outer * classes; i++) {
        CHECK_CASE(
            is_near((double)gradient[i], (long double)plain[i] * (long double)weight, 1e-6L),
            "row %s, %lld x %lld, weight %g: gradient[%lld] %g, without %g", isa,
            (long long)outer, (long long)classes, (double)weight, (long long)i,
            (double)gradient[i], (double)plain[i]);
        CHECK_CASE(is_near((double)normal[i], (long double)mean[i], 1e-6L),
                   "row %s, %lld x %lld, weight %g: gradient[%lld] of the mean %g, without %g",
                   isa, (long long)outer, (long long)classes, (double)weight, (long long)i,
                   (double)normal[i], (double)mean[i]);
    }
}

static void check_extremes(const char *isa) {
    check_large_rows(isa, 1, 20, -40.0F, false, 1e30F);
    check_large_rows(isa, 16, 4, -40.0F, false, 1e30F);
    check_large_rows(isa, 1, 20, 0.0F, true, 3e38F);
    check_large_rows(isa, 16, 4, 0.0F, true, 3e38F);
    check_large_rows(isa, 16, 4, 0.0F, false, 1e-30F);
    /* A class's weight that no float holds; and a weight of 0 beside it. */
    const double far_out[] = {1e300};
    const double beyond[] = {1e40};
    const float large = 1e10F, none = 0.0F;
    float gradient[FEW];
    focal_problem p = extreme_problem(FOCAL_SIGMOID, 1, 1);
    const double plain = run_extreme(isa, p, -5.0F, false, NULL, NULL, gradient).loss;
    p.class_weight = beyond;
    const double weighted = run_extreme(isa, p, -5.0F, false, NULL, NULL, gradient).loss;
    CHECK_CASE(is_near(weighted, 1e40L * (long double)plain, 1e-5L),
               "row %s: %g for 1e40 times %g", isa, weighted, plain);
    p.class_weight = far_out;
    const double zero = run_extreme(isa, p, -5.0F, false, &large, &none, gradient).loss;
    CHECK_CASE(zero == 0.0 && gradient[0] == 0.0F, "row %s: %g and %g for a weight of 0", isa,
               zero, (double)gradient[0]);
}

/* A target of NaN under a weight of 0, beside one of 1, with alphas per class and with all weights at once. */
static void check_zero_beside_alpha(const char *isa, bool with_rows) {
    const double alphas[] = {0.25, 0.25};
    const float logits[] = {1.0F, 1.0F}, targets[] = {NAN, 1.0F}, weights[] = {0.0F, 1.0F};
    const float row = 1.0F;
    float gradient[2];
    focal_problem p = extreme_problem(FOCAL_SIGMOID, 1, 2);
    p.alpha_mode = FOCAL_ALPHA_PER_CLASS;
    p.class_alpha = alphas;
    focal_buffers b;
    focal_buffers_init(&b);
    b.logits = logits;
    b.targets = targets;
    b.element_weight = weights;
    b.row_weight = with_rows ? &row : NULL;
    b.gradient = gradient;
    const focal_sums sums = run_buffers(isa, &p, &b);
    const long double q = 1.0L / (1.0L + expl(1.0L)),
                      loss = 0.25L * q * q * log1pl(expl(-1.0L));
    CHECK_CASE(is_near(sums.loss, loss, 1e-6L) && gradient[0] == 0.0F && gradient[1] < 0.0F,
               "row %s: loss %g, gradients %g and %g beside a weight of 0", isa, sums.loss,
               (double)gradient[0], (double)gradient[1]);
}

int main(void) {
    size_t index = 0;
    for (const char *isa; (isa = next_isa(&index)) != NULL;) {
        check_extremes(isa);
        check_zero_beside_alpha(isa, false);
        check_zero_beside_alpha(isa, true);
    }
    return check_report();
}
