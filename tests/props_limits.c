/* The ends of the range: saturated and infinite logits, NaN. */
#include "props.h"

/* Where 1 - p, p, exp(-x) and x itself leave what f32 can hold, each with both signs. */
static const float magnitudes[] = {
    0.0F,    0x1p-149F, 0x1p-126F, 0x1p-25F, 16.63F, 16.64F, 17.32F,  17.33F,    87.0F,
    87.33F,  87.34F,    88.0F,     88.72F,   88.73F, 100.0F, 103.0F,  103.97F,   104.0F,
    127.99F, 128.0F,    128.01F,   200.0F,   1e3F,   1e30F,  FLT_MAX, HUGE_VALF,
};
enum { MAGNITUDES = sizeof magnitudes / sizeof *magnitudes, LOGITS = 2 * MAGNITUDES };
static const float targets[] = {0.0F, 1.0F, 0.5F, 0.3F, 0x1p-149F, 0x1p-24F, 1.0F - 0x1p-24F};
enum { TARGETS = sizeof targets / sizeof *targets, COUNT = LOGITS * TARGETS };
static const double limit_alphas[] = {NAN, 0.25, 0.0, 1.0};

/* What is left at an infinite logit of the given sign. */
static void infinite_logit(const subject *s, float loss, float gradient) {
    const double t = s->target;
    const double weight = isnan(s->alpha) ? 1.0 : s->alpha * t + (1.0 - s->alpha) * (1.0 - t);
    const int positive = s->logits[0] > 0.0F;
    const double wrong = positive ? 1.0 - t : t;
    const double slope = weight * pow(wrong, s->gamma + 1.0);
    const double cost = wrong > 0.0 && weight > 0.0 ? HUGE_VAL : 0.0;
    expect(s, (double)loss == cost, "loss at infinity", (double)loss, cost);
    expect_within(s, "gradient at infinity", gradient, (long double)(positive ? slope : -slope),
                  (long double)slope, soft_bound(s->gamma));
}

static void sigmoid_limits(const char *isa, double gamma, double alpha) {
    static float logits[COUNT], dense[COUNT], loss[COUNT], gradient[COUNT];
    static uint8_t binary[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        const float magnitude = magnitudes[i % LOGITS / 2];
        logits[i] = i % 2 ? -magnitude : magnitude;
        dense[i] = targets[i / LOGITS];
        binary[i] = dense[i] == 1.0F;
    }
    for (int kind = 0; kind < 2; kind++) {
        const size_t count = kind ? 2 * LOGITS : COUNT;
        evaluate((evaluation){.isa = isa,
                              .kind = kind ? FOCAL_TARGET_BINARY_U8 : FOCAL_TARGET_DENSE,
                              .outer = count,
                              .classes = 1,
                              .gamma = gamma,
                              .alpha = alpha,
                              .logits = logits,
                              .targets = kind ? (const void *)binary : dense,
                              .loss = loss,
                              .gradient = gradient});
        for (size_t i = 0; i < count; i++) {
            const subject s = {kind ? "binary limits" : "dense limits",
                               isa,
                               gamma,
                               alpha,
                               &logits[i],
                               1,
                               (double)dense[i]};
            if (isinf(logits[i])) {
                infinite_logit(&s, loss[i], gradient[i]);
                continue;
            }
            const oracle_point exact =
                oracle_sigmoid((double)logits[i], (double)dense[i], gamma, alpha);
            expect(&s, isfinite(loss[i]) && isfinite(gradient[i]), "finite loss",
                   (double)loss[i], (double)exact.loss);
            if (dense[i] == 0.0F || dense[i] == 1.0F) {
                expect_near(&s, "loss", loss[i], exact.loss);
                expect_near(&s, "gradient", gradient[i], exact.gradient);
                continue;
            }
            expect_within(&s, "loss", loss[i], exact.loss, exact.loss,
                          soft_loss_bound(gamma, (double)logits[i], exact.loss));
            expect_within(&s, "gradient", gradient[i], exact.gradient, exact.gradient_scale,
                          soft_bound(gamma));
        }
    }
}

/* Two classes, the second at 0. +infinity has no softmax; -infinity masks its class. */
static void softmax_limits(const char *isa, double gamma, double alpha) {
    const float weight = isnan(alpha) ? 1.0F : (float)alpha;
    for (size_t i = 0; i < LOGITS; i++)
        for (uint8_t label = 0; label < 2; label++) {
            const float x = i % 2 ? -magnitudes[i / 2] : magnitudes[i / 2];
            const float row[2] = {x, 0.0F};
            const subject s = {"softmax limits", isa, gamma, alpha, row, 2, label};
            float loss, gradient[2];
            evaluate((evaluation){.isa = isa,
                                  .op = FOCAL_SOFTMAX,
                                  .kind = FOCAL_TARGET_LABEL_U8,
                                  .outer = 1,
                                  .classes = 2,
                                  .gamma = gamma,
                                  .alpha = alpha,
                                  .logits = row,
                                  .targets = &label,
                                  .row_loss = &loss,
                                  .gradient = gradient});
            if (isinf(x) && x > 0.0F) {
                expect(&s, isnan(loss) && isnan(gradient[0]) && isnan(gradient[1]), "loss",
                       (double)loss, (double)NAN);
                continue;
            }
            if (isinf(x)) {
                const double cost = label == 0 && weight > 0.0F ? HUGE_VAL : 0.0;
                const float slope = label == 0 ? weight : 0.0F;
                expect(&s, (double)loss == cost, "loss", (double)loss, cost);
                expect(&s, gradient[0] == -slope, "gradient", (double)gradient[0],
                       -(double)slope);
                expect(&s, gradient[1] == slope, "gradient", (double)gradient[1],
                       (double)slope);
                continue;
            }
            long double exact[2];
            const long double exact_loss = oracle_softmax(row, 2, label, gamma, alpha, exact);
            expect(&s, isfinite(loss), "finite loss", (double)loss, (double)exact_loss);
            expect_near(&s, "loss", loss, exact_loss);
            for (int c = 0; c < 2; c++)
                expect_near(&s, "gradient", gradient[c], exact[c]);
        }
}

/* A NaN logit or target spoils its own element and the sum, and nothing else. */
static void sigmoid_nan(const char *isa, double gamma, random_source *source) {
    enum { ELEMENTS = 75 };
    float x[ELEMENTS], t[ELEMENTS], loss[2][ELEMENTS], gradient[2][ELEMENTS];
    draw_logits(source, 0, x, ELEMENTS);
    for (size_t i = 0; i < ELEMENTS; i++)
        t[i] = i % 3 ? (float)(i % 2) : draw_soft_target(source);
    evaluation run = {.isa = isa,
                      .outer = ELEMENTS,
                      .classes = 1,
                      .gamma = gamma,
                      .alpha = 0.25,
                      .logits = x,
                      .targets = t,
                      .loss = loss[0],
                      .gradient = gradient[0]};
    evaluate(run);
    const size_t place = random_below(source, ELEMENTS);
    float *const spoilt = random_below(source, 2) ? x : t;
    spoilt[place] = random_below(source, 2) ? NAN : -NAN;
    run.loss = loss[1];
    run.gradient = gradient[1];
    const double sum = evaluate(run);
    for (size_t i = 0; i < ELEMENTS; i++) {
        const subject s = {"NaN", isa, gamma, 0.25, &x[i], 1, (double)t[i]};
        expect_same(&s, "loss", loss[1][i], i == place ? NAN : loss[0][i]);
        expect_same(&s, "gradient", gradient[1][i], i == place ? NAN : gradient[0][i]);
        if (i == place)
            expect(&s, isnan(sum), "sum", sum, (double)NAN);
    }
}

static void softmax_nan(const char *isa, double gamma, random_source *source) {
    enum { ROWS = 5, CLASSES = 19 };
    float x[ROWS * CLASSES], loss[2][ROWS], gradient[2][ROWS * CLASSES];
    int64_t labels[ROWS];
    draw_logits(source, 0, x, ROWS * CLASSES);
    for (size_t r = 0; r < ROWS; r++)
        labels[r] = random_below(source, CLASSES);
    evaluation run = {.isa = isa,
                      .op = FOCAL_SOFTMAX,
                      .kind = FOCAL_TARGET_LABEL_I64,
                      .outer = ROWS,
                      .classes = CLASSES,
                      .gamma = gamma,
                      .alpha = NAN,
                      .logits = x,
                      .targets = labels,
                      .row_loss = loss[0],
                      .gradient = gradient[0]};
    evaluate(run);
    const size_t place = random_below(source, ROWS * CLASSES);
    x[place] = NAN;
    run.row_loss = loss[1];
    run.gradient = gradient[1];
    evaluate(run);
    for (size_t i = 0; i < ROWS * CLASSES; i++) {
        const size_t r = i / CLASSES;
        const int spoilt = r == place / CLASSES;
        const subject s = {"NaN in a row",   isa, gamma, NAN, &x[r * CLASSES], CLASSES,
                           (double)labels[r]};
        expect_same(&s, "gradient", gradient[1][i], spoilt ? NAN : gradient[0][i]);
        expect_same(&s, "loss", loss[1][r], spoilt ? NAN : loss[0][r]);
    }
}

void test_limits(const char *isa, random_source *source) {
    for (int g = 0; g < GAMMAS; g++) {
        for (size_t a = 0; a < sizeof limit_alphas / sizeof *limit_alphas; a++) {
            sigmoid_limits(isa, all_gammas[g], limit_alphas[a]);
            softmax_limits(isa, all_gammas[g], limit_alphas[a]);
        }
        for (int repeat = 0; repeat < 10; repeat++) {
            sigmoid_nan(isa, all_gammas[g], source);
            softmax_nan(isa, all_gammas[g], source);
        }
    }
}
