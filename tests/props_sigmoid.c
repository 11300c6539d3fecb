/* Sigmoid: losses and gradients against the oracle, and the relations between them. */
#include "props.h"

#include <string.h>

enum { COUNT = 1003, ALPHAS = 4 };

static const double alphas[ALPHAS] = {NAN, 0.25, 0.1, 0.9999};

static float logits[COUNT], hard[COUNT], soft[COUNT];
static uint8_t binary[COUNT];
static float loss[COUNT], gradient[COUNT], other_loss[COUNT], other_gradient[COUNT];

static void draw_batch(random_source *source, int distribution) {
    draw_logits(source, distribution, logits, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        binary[i] = (uint8_t)random_below(source, 2);
        hard[i] = (float)binary[i];
        soft[i] = draw_soft_target(source);
    }
}

static subject about(const char *property, const char *isa, double gamma, double alpha,
                     size_t i, float target) {
    return (subject){property, isa, gamma, alpha, &logits[i], 1, (double)target};
}

/* The batch with dense targets, or with the binary ones for `targets` NULL. */
static evaluation batch_run(const char *isa, double gamma, double alpha, const float *targets) {
    return (evaluation){.isa = isa,
                        .kind = targets ? FOCAL_TARGET_DENSE : FOCAL_TARGET_BINARY_U8,
                        .outer = COUNT,
                        .classes = 1,
                        .gamma = gamma,
                        .alpha = alpha,
                        .logits = logits,
                        .targets = targets ? (const void *)targets : binary,
                        .loss = loss,
                        .gradient = gradient};
}

static void run_other(evaluation run) {
    run.loss = other_loss;
    run.gradient = other_gradient;
    evaluate(run);
}

static void near_oracle(const char *isa, double gamma, double alpha) {
    for (size_t i = 0; i < COUNT; i++) {
        const subject s = about("0/1 targets", isa, gamma, alpha, i, hard[i]);
        const oracle_point exact =
            oracle_sigmoid((double)logits[i], (double)hard[i], gamma, alpha);
        expect_near(&s, "loss", loss[i], exact.loss);
        expect_near(&s, "gradient", gradient[i], exact.gradient);
    }
}

static void soft_near_oracle(const char *isa, double gamma, double alpha) {
    for (size_t i = 0; i < COUNT; i++) {
        const subject s = about("soft targets", isa, gamma, alpha, i, soft[i]);
        const oracle_point exact =
            oracle_sigmoid((double)logits[i], (double)soft[i], gamma, alpha);
        expect_within(&s, "loss", loss[i], exact.loss, exact.loss,
                      soft_loss_bound(gamma, (double)logits[i], exact.loss));
        expect_within(&s, "gradient", gradient[i], exact.gradient, exact.gradient_scale,
                      soft_bound(gamma));
    }
}

void test_sigmoid_accuracy(const char *isa, random_source *source) {
    for (int distribution = 0; distribution < DISTRIBUTIONS; distribution++)
        for (int a = 0; a < ALPHAS; a++) {
            draw_batch(source, distribution);
            for (int g = 0; g < GAMMAS; g++) {
                const double gamma = all_gammas[g], alpha = alphas[a];
                evaluate(batch_run(isa, gamma, alpha, NULL));
                near_oracle(isa, gamma, alpha);
                run_other(batch_run(isa, gamma, alpha, hard));
                for (size_t i = 0; i < COUNT; i++) {
                    const subject s =
                        about("dense 0/1 is binary", isa, gamma, alpha, i, hard[i]);
                    expect_same(&s, "loss", other_loss[i], loss[i]);
                    expect_same(&s, "gradient", other_gradient[i], gradient[i]);
                }
                evaluate(batch_run(isa, gamma, alpha, soft));
                soft_near_oracle(isa, gamma, alpha);
            }
        }
}

/* The oracle's gradient is the derivative of its loss. */
static void oracle_derivative(const char *isa, random_source *source) {
    const long double h = cbrtl(LDBL_EPSILON);
    for (int i = 0; i < 200; i++) {
        const float margin = (float)draw_uniform(source, -40.0, 40.0);
        const double gamma = all_gammas[random_below(source, ACCURATE_GAMMAS)];
        const subject s = {"oracle's derivative", isa, gamma, NAN, &margin, 1, 1.0};
        const long double slope = (oracle_margin_loss((long double)margin + h, gamma) -
                                   oracle_margin_loss((long double)margin - h, gamma)) /
                                  (2.0L * h);
        const oracle_point exact = oracle_sigmoid((double)margin, 1.0, gamma, NAN);
        /* h^2 / 6 times the third derivative, which is at most (1 + gamma)^3 times the loss;
         * and as much from rounding. */
        const long double error = h * h * powl(2.0L + gamma, 3.0L) * (exact.loss + 1e-30L);
        expect(&s, fabsl(slope - exact.gradient) <= error, "central difference", (double)slope,
               (double)exact.gradient);
    }
}

/* Cross-entropy as everybody writes it, in double, independent of the oracle. */
static double cross_entropy(double x, double t) {
    return fmax(x, 0.0) - x * t + log1p(exp(-fabs(x)));
}

static double cross_entropy_gradient(double x, double t) {
    if (t == 1.0)
        return -1.0 / (1.0 + exp(x));
    return 1.0 / (1.0 + exp(-x)) - t;
}

static void gamma_zero(const char *isa) {
    for (int kind = 0; kind < 2; kind++) {
        const float *const targets = kind ? soft : hard;
        evaluate(batch_run(isa, 0.0, NAN, targets));
        for (size_t i = 0; i < COUNT; i++) {
            const subject s = about("gamma 0 is cross-entropy", isa, 0.0, NAN, i, targets[i]);
            const double x = (double)logits[i], t = (double)targets[i];
            const double bce = cross_entropy(x, t), slope = cross_entropy_gradient(x, t);
            expect_near(&s, "loss", loss[i], (long double)bce);
            expect_within(&s, "gradient", gradient[i], (long double)slope,
                          kind ? 1.0L : (long double)slope,
                          hard_bound(0.0, (long double)slope));
        }
        /* A gamma too small to change anything takes the general path to the same bits. */
        const double small[2] = {-0.0, 0x1p-200};
        for (int g = 0; g < 2; g++) {
            run_other(batch_run(isa, small[g], NAN, targets));
            for (size_t i = 0; i < COUNT; i++) {
                const subject s =
                    about("gamma as good as 0", isa, small[g], NAN, i, targets[i]);
                expect_same(&s, "loss", other_loss[i], loss[i]);
                expect_same(&s, "gradient", other_gradient[i], gradient[i]);
            }
        }
    }
}

/* alpha_t weighs the loss of a 0/1 target by one factor: at gamma 0, balanced cross-entropy. */
static void alpha_weighs(const char *isa) {
    const double values[] = {0.25, 0.75, 0.1, 0.0, 1.0};
    const double gammas[] = {0.0, 2.0, 3.7};
    for (int g = 0; g < 3; g++) {
        evaluate(batch_run(isa, gammas[g], NAN, NULL));
        for (int a = 0; a < 5; a++) {
            run_other(batch_run(isa, gammas[g], values[a], NULL));
            for (size_t i = 0; i < COUNT; i++) {
                const double weight = binary[i] ? values[a] : 1.0 - values[a];
                const long double l = (long double)weight * (long double)loss[i];
                const long double d = (long double)weight * (long double)gradient[i];
                const subject s =
                    about("alpha_t weighs", isa, gammas[g], values[a], i, hard[i]);
                /* Two roundings: of alpha_t and of the product. */
                expect(&s, oracle_error(other_loss[i], l, l) <= 1.5, "loss",
                       (double)other_loss[i], (double)l);
                expect(&s, oracle_error(other_gradient[i], d, d) <= 1.5, "gradient",
                       (double)other_gradient[i], (double)d);
            }
        }
    }
}

/* Flipping the signs of logits and the targets, and alpha with 1 - alpha. Bit for bit where the
 * flip is exact: 0/1 targets, and soft ones in 1024ths without alpha. */
static void flip_symmetry(const char *isa, random_source *source) {
    static float flipped_logits[COUNT], flipped_targets[COUNT];
    for (int kind = 0; kind < 2; kind++)
        for (int g = 0; g < GAMMAS; g++) {
            const double gamma = all_gammas[g], alpha = kind ? NAN : g % 2 ? 0.25 : NAN;
            float *const targets = kind ? soft : hard;
            for (size_t i = 0; i < COUNT; i++) {
                if (kind)
                    soft[i] = (float)random_below(source, 1025) / 1024.0F;
                flipped_logits[i] = -logits[i];
                flipped_targets[i] = 1.0F - targets[i];
            }
            evaluate(batch_run(isa, gamma, alpha, targets));
            evaluation flipped = batch_run(isa, gamma, 1.0 - alpha, flipped_targets);
            flipped.logits = flipped_logits;
            run_other(flipped);
            for (size_t i = 0; i < COUNT; i++) {
                const subject s = about("flip", isa, gamma, alpha, i, targets[i]);
                expect_same(&s, "loss", other_loss[i], loss[i]);
                expect_same(&s, "gradient", other_gradient[i], -gradient[i]);
            }
        }
}

/* The bound of element i's loss in absolute terms. */
static double loss_bound(const subject *s, float value) {
    const long double exact = (long double)value;
    const int is_hard = s->target == 0.0 || s->target == 1.0;
    return oracle_ulp(exact) * (is_hard
                                    ? hard_bound(s->gamma, exact)
                                    : soft_loss_bound(s->gamma, (double)s->logits[0], exact));
}

/* No increase beyond the bounds of the two losses, the first of them at `from_gamma`. */
static void expect_decrease(const subject *s, double from_gamma, float from, float to) {
    subject before = *s;
    before.gamma = from_gamma;
    expect(s, (double)to <= (double)from + loss_bound(&before, from) + loss_bound(s, to),
           "loss", (double)to, (double)from);
}

static int ascending(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* For 0/1 targets the loss falls with gamma, and with the margin. Soft targets: with gamma
 * only, since the least loss lies at p = t. */
static void monotone(const char *isa) {
    for (int kind = 0; kind < 2; kind++) {
        const float *const targets = kind ? soft : hard;
        evaluate(batch_run(isa, all_gammas[0], NAN, targets));
        for (int g = 1; g < GAMMAS; g++) {
            memcpy(other_loss, loss, sizeof loss);
            evaluate(batch_run(isa, all_gammas[g], NAN, targets));
            for (size_t i = 0; i < COUNT; i++) {
                const subject s =
                    about("loss falls with gamma", isa, all_gammas[g], NAN, i, targets[i]);
                expect_decrease(&s, all_gammas[g - 1], other_loss[i], loss[i]);
            }
        }
    }
    qsort(logits, COUNT, sizeof *logits, ascending);
    for (size_t i = 0; i < COUNT; i++)
        hard[i] = 1.0F;
    for (int g = 0; g < GAMMAS; g++) {
        evaluate(batch_run(isa, all_gammas[g], NAN, hard));
        for (size_t i = 1; i < COUNT; i++) {
            const subject s =
                about("loss falls with the margin", isa, all_gammas[g], NAN, i, 1.0F);
            expect_decrease(&s, all_gammas[g], loss[i - 1], loss[i]);
        }
    }
}

/* Gammas with a path of their own against neighbours on the general path. */
static void special_gammas(const char *isa) {
    const double special[] = {0.5, 1.0, 1.5, 2.0, 2.5, 3.0};
    for (int kind = 0; kind < 2; kind++)
        for (size_t g = 0; g < sizeof special / sizeof *special; g++) {
            const double gamma = special[g];
            const float *const targets = kind ? soft : hard;
            evaluate(batch_run(isa, gamma, NAN, targets));
            run_other(batch_run(isa, gamma * (1.0 + 1e-12), NAN, targets));
            for (size_t i = 0; i < COUNT; i++) {
                const subject s =
                    about("special gamma is general", isa, gamma, NAN, i, targets[i]);
                const oracle_point exact =
                    oracle_sigmoid((double)logits[i], (double)targets[i], gamma, NAN);
                const double bound = kind
                                         ? soft_loss_bound(gamma, (double)logits[i], exact.loss)
                                         : hard_bound(gamma, exact.loss);
                expect_within(&s, "loss", other_loss[i], (long double)loss[i], exact.loss,
                              2.0 * bound);
                expect_within(
                    &s, "gradient", other_gradient[i], (long double)gradient[i],
                    exact.gradient_scale,
                    2.0 * (kind ? soft_bound(gamma) : hard_bound(gamma, exact.gradient_scale)));
            }
        }
}

void test_sigmoid_properties(const char *isa, random_source *source) {
    oracle_derivative(isa, source);
    for (int distribution = 0; distribution < DISTRIBUTIONS; distribution++) {
        draw_batch(source, distribution);
        gamma_zero(isa);
        alpha_weighs(isa);
        special_gammas(isa);
        flip_symmetry(isa, source);
        monotone(isa);
    }
}
