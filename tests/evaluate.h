/* What the property, golden and paper tests share: one call through the public interface, the
 * ISA rows and tiers to run it on, and the bounds that are promised. */
#ifndef FOCAL_TESTS_EVALUATE_H
#define FOCAL_TESTS_EVALUATE_H

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <focal.h>

/* What decides the bits of a problem's results: the ISA row and the tier. */
typedef struct variant {
    const char *isa;
    focal_tier tier;
} variant;

/* The lines of the table in docs/numerics.md, "Error bounds", the only place for them here:
 *   accurate, t in {0, 1} and softmax, gamma <= 5           0.51 ULP
 *   fast and sleef: sigmoid, t in {0, 1}, gamma <= 5        10 ULP
 *   the same, gamma > 5                                     2 + 2 gamma ULP
 *   softmax, fast                                           10 ULP, 2 + 2 gamma beyond gamma 5
 *   softmax, sleef    4 + 2 gamma ULP, plus (C - 1) 2^-149 of 1 - p_t where the others are
 *                     subnormal
 *   soft targets      8 + 4 gamma ULP of the sum of the terms' magnitudes; the loss also
 *                     4 * 2^-149 (1 + |x|)
 *   accurate, gamma > 5, and soft targets                   1 ULP, or of the magnitudes' sum
 *   below 2^-126      as many spacings of 2^-149; 4 where the line says 10 */
typedef enum { HARD_TARGETS, SOFT_TARGETS, SOFTMAX_LABELS, BOUND_KINDS } bound_kind;

/* In ULP of `scale`: of the exact value, or for soft targets of the magnitudes' sum. */
static inline double bound_ulp(bound_kind kind, focal_tier tier, double gamma,
                               long double scale) {
    if (tier == FOCAL_TIER_ACCURATE)
        return kind == SOFT_TARGETS || gamma > 5.0 ? 1.0 : 0.51;
    if (kind == SOFT_TARGETS)
        return 8.0 + 4.0 * gamma;
    if (kind == SOFTMAX_LABELS && tier == FOCAL_TIER_SLEEF)
        return 4.0 + 2.0 * gamma;
    if (gamma > 5.0)
        return 2.0 + 2.0 * gamma;
    return fabsl(scale) < (long double)FLT_MIN ? 4.0 : 10.0;
}

/* The table's additions to that, absolute. */
static inline double soft_loss_extra(focal_tier tier, double logit) {
    return tier == FOCAL_TIER_ACCURATE ? 0.0 : 0x1p-147 * (1.0 + fabs(logit));
}

/* The relative change of 1 - p_t, of which the loss and the label's gradient have the power
 * gamma + 1 and the other gradients the power gamma. Only the subnormal ones of the C - 1 others
 * count; where even their sum is far below all floats, every result is 0. */
static inline double softmax_extra(focal_tier tier, size_t subnormal_others,
                                   long double not_p) {
    if (tier != FOCAL_TIER_SLEEF || not_p < 0x1p-200L)
        return 0.0;
    return (double)(0x1p-149L * (long double)subnormal_others / not_p);
}

/* Sums: relative to the sum of the losses, if none reaches the size of which a few overflow. */
#define SUM_BOUND           1e-6
#define SUM_OVERFLOW_STARTS 1e37F

/* A problem over contiguous buffers. NULL outputs are not asked for. */
typedef struct evaluation {
    variant on;
    focal_op op;
    focal_target_kind kind;
    size_t outer, classes;
    double gamma, alpha; /* alpha NaN: off */
    const float *logits;
    const void *targets;
    const float *upstream; /* NULL: 1 */
    float *loss, *row_loss, *gradient;
    int sum_unwanted;
} evaluation;

/* Runs it and returns the sum; a refusal ends the program, as nothing here asks for one. */
static inline double evaluate(evaluation e) {
    focal_problem problem;
    focal_problem_init(&problem);
    problem.op = e.op;
    problem.target_kind = e.kind;
    problem.tier = e.on.tier;
    problem.outer = (int64_t)e.outer;
    problem.classes = (int64_t)e.classes;
    problem.gamma = e.gamma;
    if (!isnan(e.alpha)) {
        problem.alpha_mode = FOCAL_ALPHA_SCALAR;
        problem.alpha = e.alpha;
    }
    problem.outputs = (e.sum_unwanted ? 0U : (unsigned)FOCAL_OUTPUT_SUM) |
                      (e.loss ? (unsigned)FOCAL_OUTPUT_LOSS : 0U) |
                      (e.row_loss ? (unsigned)FOCAL_OUTPUT_ROW_LOSS : 0U) |
                      (e.gradient ? (unsigned)FOCAL_OUTPUT_GRADIENT : 0U);
    focal_options options;
    focal_options_init(&options);
    options.isa = e.on.isa;
    focal_buffers buffers;
    focal_buffers_init(&buffers);
    buffers.logits = e.logits;
    buffers.targets = e.targets;
    buffers.upstream = e.upstream;
    buffers.loss = e.loss;
    buffers.row_loss = e.row_loss;
    buffers.gradient = e.gradient;
    focal_sums sums = FOCAL_SUMS_INIT;
    focal_error error = FOCAL_ERROR_INIT;
    focal_plan *plan = NULL;
    if (focal_plan_create(&plan, &problem, &options, &error) != FOCAL_OK ||
        focal_plan_execute(plan, &buffers, NULL, &sums, &error) != FOCAL_OK) {
        printf("FAILED: isa %s, tier %s, gamma %a, alpha %a, %zu x %zu: %s\n", e.on.isa,
               focal_tier_name(e.on.tier), e.gamma, e.alpha, e.outer, e.classes, error.message);
        exit(1);
    }
    focal_plan_destroy(plan);
    return sums.loss;
}

/* The name of the next usable ISA row at or after *index, which moves past it; NULL at the end.
 */
static inline const char *next_isa(size_t *index) {
    while (*index < focal_isa_count()) {
        focal_isa_info info = {.struct_size = sizeof info};
        if (focal_isa_get((*index)++, &info) == FOCAL_OK && info.usable)
            return info.name;
    }
    return NULL;
}

#define TIER_VALUE(value, number, name, description) value,
static const focal_tier all_tiers[] = {FOCAL_TIER_LIST(TIER_VALUE)};
#undef TIER_VALUE
enum { TIERS = sizeof all_tiers / sizeof *all_tiers };

#endif
