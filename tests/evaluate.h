/* What the property, golden and paper tests share: one call through the public interface, the
 * ISA rows to run it on, and the bounds that are promised. */
#ifndef FOCAL_TESTS_EVALUATE_H
#define FOCAL_TESTS_EVALUATE_H

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <focal.h>

/* The contract for 0/1 targets and labels, gamma up to 5: 10 ULP for every exact value in f32's
 * normal range, and 4 units of 2^-149 below it, where underflow is gradual. Beyond gamma 5 the
 * error of 1 - p_t, or for sigmoid that of its logarithm, is multiplied by gamma. */
static inline double hard_bound(double gamma, long double scale) {
    if (gamma > 5.0)
        return 2.0 + 2.0 * gamma;
    return fabsl(scale) < (long double)FLT_MIN ? 4.0 : 10.0;
}

/* Soft targets, in ULP of the sum of the magnitudes of the terms: the 4 * 2^-24 or so by which
 * 1 - p_t may be wrong are raised to the power gamma. */
static inline double soft_bound(double gamma) {
    return 8.0 + 4.0 * gamma;
}

/* A problem over contiguous buffers. NULL outputs are not asked for. */
typedef struct evaluation {
    const char *isa;
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
    options.isa = e.isa;
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
        printf("FAILED: isa %s, gamma %a, alpha %a, %zu x %zu: %s\n", e.isa, e.gamma, e.alpha,
               e.outer, e.classes, error.message);
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

static inline void *allocate(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (memory == NULL) {
        puts("FAILED: out of memory");
        exit(1);
    }
    return memory;
}

#endif
