/* The ends of the range: the table "Special values" of docs/numerics.md, and its neighbours. */
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
enum { ALPHAS = sizeof limit_alphas / sizeof *limit_alphas };

/* What is left at an infinite logit. */
static void infinite_logit(const subject *s, float loss, float gradient) {
    const double t = s->target;
    const double weight = isnan(s->alpha) ? 1.0 : s->alpha * t + (1.0 - s->alpha) * (1.0 - t);
    const int positive = s->logits[0] > 0.0F;
    const double wrong = positive ? 1.0 - t : t;
    const double slope = weight * pow(wrong, s->gamma + 1.0);
    const double cost = wrong > 0.0 && weight > 0.0 ? HUGE_VAL : 0.0;
    const bound_kind kind = kind_of_target((float)t);
    /* A soft target's factor that underflows to 0 meets the infinity. */
    const int may_be_nan = kind == SOFT_TARGETS && s->on.tier != FOCAL_TIER_ACCURATE &&
                           pow(wrong, s->gamma) < 0x1p-149;
    /* The accurate tier cuts |x| at 2^1000. */
    const int may_be_finite =
        kind == SOFT_TARGETS && s->on.tier == FOCAL_TIER_ACCURATE && slope < 0x1p-870;
    expect(s,
           (double)loss == cost || (may_be_nan && isnan(loss)) ||
               (may_be_finite && loss >= 0.0F),
           "loss at infinity", (double)loss, cost);
    expect_contract(
        s, GRADIENT, gradient,
        (expectation){kind, (long double)(positive ? slope : -slope), (long double)slope, 0.0});
    if (kind == HARD_TARGETS)
        expect(s, fabsf(gradient) == (float)slope, "gradient at infinity", (double)gradient,
               slope);
}

static void sigmoid_element(const subject *s, float loss, float gradient) {
    const float logit = s->logits[0], target = (float)s->target;
    if (isinf(logit)) {
        infinite_logit(s, loss, gradient);
        return;
    }
    const oracle_point exact = oracle_sigmoid((double)logit, s->target, s->gamma, s->alpha);
    expect(s, isfinite(loss) && isfinite(gradient), "finite loss", (double)loss,
           (double)exact.loss);
    expect_contract(s, LOSS, loss, expected_loss(s->on.tier, logit, target, &exact));
    expect_contract(s, GRADIENT, gradient, expected_gradient(target, &exact));
}

/* Targets 0 and 1 come first, so that a prefix is a problem of binary targets. */
static void sigmoid_limits(variant on, double gamma, double alpha) {
    static float logits[COUNT], dense[COUNT], loss[COUNT], gradient[COUNT];
    static float binary_loss[COUNT], binary_gradient[COUNT];
    static uint8_t binary[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        const float magnitude = magnitudes[i % LOGITS / 2];
        logits[i] = i % 2 ? -magnitude : magnitude;
        dense[i] = targets[i / LOGITS];
        binary[i] = dense[i] == 1.0F;
    }
    evaluation run = {.on = on,
                      .outer = COUNT,
                      .classes = 1,
                      .gamma = gamma,
                      .alpha = alpha,
                      .logits = logits,
                      .targets = dense,
                      .loss = loss,
                      .gradient = gradient};
    evaluate(run);
    for (size_t i = 0; i < COUNT; i++) {
        const subject s = {"limits", on, gamma, alpha, &logits[i], 1, (double)dense[i]};
        sigmoid_element(&s, loss[i], gradient[i]);
    }
    run.kind = FOCAL_TARGET_BINARY_U8;
    run.targets = binary;
    run.outer = 2 * LOGITS;
    run.loss = binary_loss;
    run.gradient = binary_gradient;
    evaluate(run);
    for (size_t i = 0; i < 2 * LOGITS; i++) {
        const subject s = {"dense 0/1 is binary at the limits",
                           on,
                           gamma,
                           alpha,
                           &logits[i],
                           1,
                           (double)dense[i]};
        expect_same(&s, "loss", binary_loss[i], loss[i]);
        expect_same(&s, "gradient", binary_gradient[i], gradient[i]);
    }
}

/* A row of finite or masked logits with a finite label. */
static void softmax_row(const subject *s, size_t label, float loss, const float *gradient) {
    enum { CLASSES_MAX = 64 };
    long double exact[CLASSES_MAX];
    const oracle_row row =
        oracle_softmax(s->logits, s->classes, label, s->gamma, s->alpha, exact);
    const double off = softmax_extra(s->on.tier, row.subnormal_others, row.not_p);
    expect(s, isfinite(loss), "finite loss", (double)loss, (double)row.loss);
    expect_contract(s, LOSS, loss,
                    (expectation){SOFTMAX_LABELS, row.loss, row.loss,
                                  off * (s->gamma + 1.0) * (double)row.loss});
    for (size_t c = 0; c < s->classes; c++)
        expect_contract(s, GRADIENT, gradient[c],
                        (expectation){SOFTMAX_LABELS, exact[c], exact[c],
                                      off * (c == label ? s->gamma + 1.0 : s->gamma) *
                                          (double)fabsl(exact[c])});
}

/* What is left of two classes if one is masked, the label or the other. */
static void masked_pair(const subject *s, int label_is_masked, size_t label, float loss,
                        const float gradient[2]) {
    const float weight = isnan(s->alpha) ? 1.0F : (float)s->alpha;
    const double cost = label_is_masked && weight > 0.0F ? HUGE_VAL : 0.0;
    const float slope = label_is_masked ? weight : 0.0F;
    expect(s, (double)loss == cost, "loss", (double)loss, cost);
    expect(s, gradient[label] == -slope, "gradient", (double)gradient[label], -(double)slope);
    expect(s, gradient[1 - label] == slope, "gradient", (double)gradient[1 - label],
           (double)slope);
}

/* Two classes, the second at 0 or masked. +infinity has no softmax; -infinity masks its class;
 * both masked leave nothing. */
static void softmax_limits(variant on, double gamma, double alpha) {
    for (size_t i = 0; i < 2 * LOGITS; i++)
        for (uint8_t label = 0; label < 2; label++) {
            const float magnitude = magnitudes[i % LOGITS / 2];
            const float x = i % 2 ? -magnitude : magnitude;
            const float row[2] = {x, i < LOGITS ? 0.0F : -HUGE_VALF};
            const subject s = {"softmax limits", on, gamma, alpha, row, 2, label};
            float loss, gradient[2];
            evaluate((evaluation){.on = on,
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
            if (isinf(x) && (x > 0.0F || isinf(row[1])))
                expect(&s, isnan(loss) && isnan(gradient[0]) && isnan(gradient[1]), "loss",
                       (double)loss, (double)NAN);
            else if (isinf(x) || isinf(row[1]))
                masked_pair(&s, isinf(row[label]), label, loss, gradient);
            else
                softmax_row(&s, label, loss, gradient);
        }
}

/* Classes at -infinity weigh nothing: the row without them has the same exact values. A row of
 * nothing else has no softmax. */
static void softmax_masks(variant on, double gamma, random_source *source) {
    enum { CLASSES = 37 };
    float row[CLASSES], loss, gradient[CLASSES];
    draw_logits(source, 0, row, CLASSES);
    uint8_t label = (uint8_t)random_below(source, CLASSES);
    for (size_t c = 0; c < CLASSES; c++)
        if (c != label && random_below(source, 2))
            row[c] = -HUGE_VALF;
    const subject s = {"masked classes", on, gamma, NAN, row, CLASSES, label};
    const evaluation run = {.on = on,
                            .op = FOCAL_SOFTMAX,
                            .kind = FOCAL_TARGET_LABEL_U8,
                            .outer = 1,
                            .classes = CLASSES,
                            .gamma = gamma,
                            .alpha = NAN,
                            .logits = row,
                            .targets = &label,
                            .row_loss = &loss,
                            .gradient = gradient};
    evaluate(run);
    softmax_row(&s, label, loss, gradient);
    for (size_t c = 0; c < CLASSES; c++)
        if (isinf(row[c]))
            expect(&s, gradient[c] == 0.0F, "gradient of a masked class", (double)gradient[c],
                   0.0);
    for (size_t c = 0; c < CLASSES; c++)
        row[c] = -HUGE_VALF;
    const double sum = evaluate(run);
    expect(&s, isnan(loss) && isnan(sum), "loss of a masked row", (double)loss, (double)NAN);
    for (size_t c = 0; c < CLASSES; c++)
        expect(&s, isnan(gradient[c]), "gradient of a masked row", (double)gradient[c],
               (double)NAN);
}

/* An alpha that float rounds to 0: no NaN at an infinite logit. */
static void tiny_alpha(variant on, double gamma) {
    const float logits[4] = {-HUGE_VALF, HUGE_VALF, -100.0F, 3.0F};
    const uint8_t ones[4] = {1, 1, 1, 1};
    if (on.tier == FOCAL_TIER_ACCURATE)
        return; /* which keeps alpha in double */
    float loss[4], gradient[4];
    evaluate((evaluation){.on = on,
                          .kind = FOCAL_TARGET_BINARY_U8,
                          .outer = 4,
                          .classes = 1,
                          .gamma = gamma,
                          .alpha = 1e-50,
                          .logits = logits,
                          .targets = ones,
                          .loss = loss,
                          .gradient = gradient});
    for (size_t i = 0; i < 4; i++) {
        const subject s = {"alpha below all floats", on, gamma, 1e-50, &logits[i], 1, 1.0};
        /* Which stays a double in the accurate tier. */
        const int is_limit = on.tier == FOCAL_TIER_ACCURATE && i == 0 && loss[i] == HUGE_VALF;
        expect(&s, loss[i] == 0.0F || is_limit, "loss", (double)loss[i], 0.0);
        expect(&s, gradient[i] == 0.0F, "gradient", (double)gradient[i], 0.0);
    }
}

/* A NaN logit or target spoils its own element and the sum, and nothing else. */
static void sigmoid_nan(variant on, double gamma, random_source *source) {
    enum { ELEMENTS = 75 };
    float x[ELEMENTS], t[ELEMENTS], loss[2][ELEMENTS], gradient[2][ELEMENTS];
    draw_logits(source, 0, x, ELEMENTS);
    for (size_t i = 0; i < ELEMENTS; i++)
        t[i] = i % 3 ? (float)(i % 2) : draw_soft_target(source);
    evaluation run = {.on = on,
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
        const subject s = {"NaN", on, gamma, 0.25, &x[i], 1, (double)t[i]};
        expect_same(&s, "loss", loss[1][i], i == place ? NAN : loss[0][i]);
        expect_same(&s, "gradient", gradient[1][i], i == place ? NAN : gradient[0][i]);
        if (i == place)
            expect(&s, isnan(sum), "sum", sum, (double)NAN);
    }
}

static void softmax_nan(variant on, double gamma, random_source *source) {
    enum { ROWS = 5, CLASSES = 19 };
    float x[ROWS * CLASSES], loss[2][ROWS], gradient[2][ROWS * CLASSES];
    int64_t labels[ROWS];
    draw_logits(source, 0, x, ROWS * CLASSES);
    for (size_t r = 0; r < ROWS; r++)
        labels[r] = random_below(source, CLASSES);
    evaluation run = {.on = on,
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
    const double sum = evaluate(run);
    for (size_t i = 0; i < ROWS * CLASSES; i++) {
        const size_t r = i / CLASSES;
        const int spoilt = r == place / CLASSES;
        const subject s = {"NaN in a row",   on, gamma, NAN, &x[r * CLASSES], CLASSES,
                           (double)labels[r]};
        expect_same(&s, "gradient", gradient[1][i], spoilt ? NAN : gradient[0][i]);
        expect_same(&s, "loss", loss[1][r], spoilt ? NAN : loss[0][r]);
        if (spoilt)
            expect(&s, isnan(sum), "sum", sum, (double)NAN);
    }
}

void test_limits(variant on, random_source *source) {
    for (int g = 0; g < gamma_count; g++) {
        for (size_t a = 0; a < ALPHAS; a++) {
            sigmoid_limits(on, gammas[g], limit_alphas[a]);
            softmax_limits(on, gammas[g], limit_alphas[a]);
        }
        tiny_alpha(on, gammas[g]);
        for (int repeat = 0; repeat < (quick ? 2 : 10); repeat++) {
            softmax_masks(on, gammas[g], source);
            sigmoid_nan(on, gammas[g], source);
            softmax_nan(on, gammas[g], source);
        }
    }
}
