/* Results that different plans must agree on: passes, sums, concatenation, the upstream factor.
 */
#include "props.h"

#include <string.h>

/* Three blocks of the summation contract and a part of one. */
enum { BLOCK = 4096, COUNT = 3 * BLOCK + 123, CLASSES = 32, ROWS = COUNT / CLASSES };

static float logits[COUNT], dense[COUNT], loss[COUNT], gradient[COUNT];
static float other_loss[COUNT], other_gradient[COUNT];
static uint8_t binary[COUNT];
static int32_t labels[ROWS];

static void draw_batch(random_source *source, int distribution) {
    draw_logits(source, distribution, logits, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        binary[i] = (uint8_t)random_below(source, 2);
        dense[i] = i % 5 ? (float)binary[i] : draw_soft_target(source);
    }
    for (size_t r = 0; r < ROWS; r++)
        labels[r] = (int32_t)random_below(source, CLASSES);
}

/* Mode 0: dense, 1: binary, 2: softmax. */
enum { MODES = 3, SOFTMAX = 2 };

static evaluation mode_run(variant on, int mode, double gamma, double alpha) {
    evaluation run = {.on = on,
                      .kind = FOCAL_TARGET_DENSE,
                      .outer = COUNT,
                      .classes = 1,
                      .gamma = gamma,
                      .alpha = alpha,
                      .logits = logits,
                      .targets = dense};
    if (mode == 1) {
        run.kind = FOCAL_TARGET_BINARY_U8;
        run.targets = binary;
    } else if (mode == SOFTMAX) {
        run.op = FOCAL_SOFTMAX;
        run.kind = FOCAL_TARGET_LABEL_I32;
        run.outer = ROWS;
        run.classes = CLASSES;
        run.targets = labels;
    }
    return run;
}

static void want_loss(evaluation *run, float *into) {
    if (run->op == FOCAL_SOFTMAX)
        run->row_loss = into;
    else
        run->loss = into;
}

static size_t losses(const evaluation *run) {
    return run->op == FOCAL_SOFTMAX ? run->outer : run->outer * run->classes;
}

static subject about(const char *property, const evaluation *run, size_t i) {
    const size_t row = run->op == FOCAL_SOFTMAX ? i / run->classes : i;
    const double target = run->kind == FOCAL_TARGET_DENSE       ? (double)dense[i]
                          : run->kind == FOCAL_TARGET_BINARY_U8 ? (double)binary[i]
                                                                : (double)labels[row];
    return (subject){property,     run->on, run->gamma, run->alpha, logits + row * run->classes,
                     run->classes, target};
}

/* Loss and gradient in one pass, the loss alone, the gradient alone: the same bits. The sum is
 * that of the losses. */
static void passes_and_sum(evaluation run) {
    evaluation both = run, alone = run, slope = run;
    want_loss(&both, loss);
    both.gradient = gradient;
    want_loss(&alone, other_loss);
    slope.gradient = other_gradient;
    slope.sum_unwanted = 1;
    const double sum = evaluate(both), sum_alone = evaluate(alone);
    evaluate(slope);
    double total = 0.0;
    float most = 0.0F;
    for (size_t i = 0; i < losses(&run); i++) {
        const subject s =
            about("one pass", &run, run.op == FOCAL_SOFTMAX ? i * run.classes : i);
        expect_same(&s, "loss", loss[i], other_loss[i]);
        total += (double)loss[i];
        most = fmaxf(most, loss[i]);
    }
    for (size_t i = 0; i < run.outer * run.classes; i++) {
        const subject s = about("one pass", &run, i);
        expect_same(&s, "gradient", gradient[i], other_gradient[i]);
    }
    const subject s = about("sum", &run, 0);
    expect(&s, sum == sum_alone, "sum of one pass", sum, sum_alone);
    expect(&s, sum == evaluate(run), "sum without elements", sum, sum_alone);
    /* Softmax adds the losses before their last rounding, so that here the total is off. */
    const double underflow = run.op == FOCAL_SOFTMAX ? 0x1p-150 * (double)run.outer : 0.0;
    if (most < SUM_OVERFLOW_STARTS)
        expect(&s, fabs(sum - total) <= SUM_BOUND * total + underflow, "sum", sum, total);
}

/* The row losses of sigmoid are sums of their own, rounded to float. */
static void row_sums(evaluation run) {
    run.classes = CLASSES;
    run.outer = ROWS;
    run.loss = loss;
    run.row_loss = other_loss;
    evaluate(run);
    for (size_t r = 0; r < ROWS; r++) {
        double total = 0.0;
        float most = 0.0F;
        for (size_t c = 0; c < CLASSES; c++) {
            total += (double)loss[r * CLASSES + c];
            most = fmaxf(most, loss[r * CLASSES + c]);
        }
        const subject s = about("row loss", &run, r * CLASSES);
        if (most < SUM_OVERFLOW_STARTS)
            expect(&s, fabs((double)other_loss[r] - total) <= SUM_BOUND * total + 0x1p-150,
                   "row loss", (double)other_loss[r], total);
    }
}

/* Blocks are added in order, so any whole blocks and one more add up to the sum of all. */
static void concatenation(evaluation run) {
    const size_t rows = BLOCK / run.classes;
    for (size_t blocks = 1; blocks <= 2; blocks++) {
        evaluation first = run, second = run, whole = run;
        const size_t start = blocks * rows;
        first.outer = start;
        second.outer = rows;
        whole.outer = start + rows;
        second.logits = run.logits + start * run.classes;
        second.targets = run.kind == FOCAL_TARGET_DENSE       ? (const void *)(dense + start)
                         : run.kind == FOCAL_TARGET_BINARY_U8 ? (const void *)(binary + start)
                                                              : (const void *)(labels + start);
        const double sum = evaluate(first) + evaluate(second), expected = evaluate(whole);
        const subject s = about("concatenation", &run, start * run.classes);
        expect(&s, sum == expected, "sum of sums", sum, expected);
    }
}

/* A power of two scales the gradient exactly, up to where it leaves the normal range. */
static void upstream(evaluation run) {
    const float factors[] = {0.5F, 0x1p-10F, 4.0F, -1.0F, 0x1p30F, -0x1p-40F};
    run.gradient = gradient;
    evaluate(run);
    run.gradient = other_gradient;
    for (size_t k = 0; k < sizeof factors / sizeof *factors; k++) {
        run.upstream = &factors[k];
        evaluate(run);
        for (size_t i = 0; i < run.outer * run.classes; i++) {
            const float scaled = gradient[i] * factors[k];
            if (fabsf(gradient[i]) < FLT_MIN || fabsf(scaled) < FLT_MIN || isinf(scaled))
                continue;
            const subject s = about("upstream", &run, i);
            expect_same(&s, "gradient", other_gradient[i], scaled);
        }
    }
    /* One rounding more than without: that of the product in sigmoid, but of the row's factor in
     * softmax; the accurate tier rounds only once. */
    const int is_product = run.op != FOCAL_SOFTMAX && run.on.tier != FOCAL_TIER_ACCURATE;
    const float zero = 0.0F, third = 1.0F / 3.0F;
    run.upstream = &zero;
    evaluate(run);
    for (size_t i = 0; i < run.outer * run.classes; i++) {
        const subject s = about("upstream 0", &run, i);
        expect(&s, other_gradient[i] == 0.0F, "gradient", (double)other_gradient[i], 0.0);
    }
    run.upstream = &third;
    evaluate(run);
    for (size_t i = 0; i < run.outer * run.classes; i++) {
        const subject s = about("upstream 1/3", &run, i);
        const long double product = (long double)gradient[i] * (long double)third;
        expect_within(&s, "gradient", other_gradient[i], product, product,
                      is_product ? 0.5 : 3.0);
    }
}

void test_plans(variant on, random_source *source) {
    for (int distribution = 0; distribution < (quick ? 1 : DISTRIBUTIONS); distribution++) {
        draw_batch(source, distribution);
        for (int mode = 0; mode < MODES; mode++)
            for (int g = 0; g < gamma_count; g += quick ? 3 : 1) {
                const evaluation run = mode_run(on, mode, gammas[g], g % 2 ? 0.25 : NAN);
                passes_and_sum(run);
                concatenation(run);
                if (mode != SOFTMAX)
                    row_sums(run);
                if (g % 4 == mode)
                    upstream(run);
            }
    }
}
