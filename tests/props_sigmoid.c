/* Sigmoid: losses and gradients against the oracle, and the relations between them. */
#include "props.h"

#include <string.h>

/* Odd, so that the last step is a part of one. */
enum { COUNT_MAX = 1003, COUNT_QUICK = 131, ALPHAS = 4 };

static const double alphas[ALPHAS] = {NAN, 0.25, 0.1, 0.9999};

static size_t count;
static float logits[COUNT_MAX], hard[COUNT_MAX], soft[COUNT_MAX];
static uint8_t binary[COUNT_MAX];
static float loss[COUNT_MAX], gradient[COUNT_MAX];
static float other_loss[COUNT_MAX], other_gradient[COUNT_MAX];

static void draw_batch(random_source *source, int distribution) {
    count = quick ? COUNT_QUICK : COUNT_MAX;
    draw_logits(source, distribution, logits, count);
    for (size_t i = 0; i < count; i++) {
        binary[i] = (uint8_t)random_below(source, 2);
        hard[i] = (float)binary[i];
        soft[i] = draw_soft_target(source);
    }
}

static subject about(const char *property, variant on, double gamma, double alpha, size_t i,
                     float target) {
    return (subject){property, on, gamma, alpha, &logits[i], 1, (double)target};
}

/* The batch with dense targets, or with the binary ones for `targets` NULL. */
static evaluation batch_run(variant on, double gamma, double alpha, const float *targets) {
    return (evaluation){.on = on,
                        .kind = targets ? FOCAL_TARGET_DENSE : FOCAL_TARGET_BINARY_U8,
                        .outer = count,
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

/* The batch's results for `targets` against the oracle. */
static void near_oracle(variant on, double gamma, double alpha, const float *targets) {
    for (size_t i = 0; i < count; i++) {
        const subject s = about("accuracy", on, gamma, alpha, i, targets[i]);
        const oracle_point exact =
            oracle_sigmoid((double)logits[i], (double)targets[i], gamma, alpha);
        expect_contract(&s, LOSS, loss[i],
                        expected_loss(on.tier, logits[i], targets[i], &exact));
        expect_contract(&s, GRADIENT, gradient[i], expected_gradient(targets[i], &exact));
    }
}

void test_sigmoid_accuracy(variant on, random_source *source) {
    for (int distribution = 0; distribution < DISTRIBUTIONS; distribution++)
        for (int a = 0; a < ALPHAS; a += quick ? 2 : 1) {
            draw_batch(source, distribution);
            for (int g = 0; g < gamma_count; g++) {
                const double gamma = gammas[g], alpha = alphas[a];
                evaluate(batch_run(on, gamma, alpha, NULL));
                near_oracle(on, gamma, alpha, hard);
                run_other(batch_run(on, gamma, alpha, hard));
                for (size_t i = 0; i < count; i++) {
                    const subject s =
                        about("dense 0/1 is binary", on, gamma, alpha, i, hard[i]);
                    expect_same(&s, "loss", other_loss[i], loss[i]);
                    expect_same(&s, "gradient", other_gradient[i], gradient[i]);
                }
                evaluate(batch_run(on, gamma, alpha, soft));
                near_oracle(on, gamma, alpha, soft);
            }
        }
}

/* The oracle's gradient is the derivative of its loss. */
static void oracle_derivative(variant on, random_source *source) {
    const long double h = cbrtl(LDBL_EPSILON);
    for (int i = 0; i < (quick ? 20 : 200); i++) {
        const float margin = (float)draw_uniform(source, -40.0, 40.0);
        const double gamma = gammas[random_below(source, (uint32_t)accurate_gammas)];
        const subject s = {"oracle's derivative", on, gamma, NAN, &margin, 1, 1.0};
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

static void gamma_zero(variant on) {
    for (int kind = 0; kind < 2; kind++) {
        const float *const targets = kind ? soft : hard;
        evaluate(batch_run(on, 0.0, NAN, targets));
        for (size_t i = 0; i < count; i++) {
            const subject s = about("gamma 0 is cross-entropy", on, 0.0, NAN, i, targets[i]);
            const double x = (double)logits[i], t = (double)targets[i];
            const double bce = cross_entropy(x, t), slope = cross_entropy_gradient(x, t);
            const oracle_point exact = {(long double)bce, (long double)slope,
                                        kind ? 1.0L : (long double)slope};
            expect_contract(&s, LOSS, loss[i],
                            expected_loss(on.tier, logits[i], targets[i], &exact));
            expect_contract(&s, GRADIENT, gradient[i], expected_gradient(targets[i], &exact));
        }
        /* A gamma too small to change anything takes the general path to the same bits. */
        const double small[2] = {-0.0, 0x1p-200};
        for (int g = 0; g < 2; g++) {
            run_other(batch_run(on, small[g], NAN, targets));
            for (size_t i = 0; i < count; i++) {
                const subject s = about("gamma as good as 0", on, small[g], NAN, i, targets[i]);
                expect_same(&s, "loss", other_loss[i], loss[i]);
                expect_same(&s, "gradient", other_gradient[i], gradient[i]);
            }
        }
    }
}

/* alpha_t weighs the loss of a 0/1 target by one factor: at gamma 0, balanced cross-entropy. */
static void alpha_weighs(variant on) {
    const double values[] = {0.25, 0.75, 0.1, 0.0, 1.0};
    const double some_gammas[] = {0.0, 2.0, 3.7};
    for (int g = 0; g < 3; g++) {
        evaluate(batch_run(on, some_gammas[g], NAN, NULL));
        for (int a = 0; a < 5; a++) {
            run_other(batch_run(on, some_gammas[g], values[a], NULL));
            for (size_t i = 0; i < count; i++) {
                const double weight = binary[i] ? values[a] : 1.0 - values[a];
                const long double l = (long double)weight * (long double)loss[i];
                const long double d = (long double)weight * (long double)gradient[i];
                const subject s =
                    about("alpha_t weighs", on, some_gammas[g], values[a], i, hard[i]);
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
 * flip is exact, but for the sign of a gradient 0: 0/1 targets, and soft ones in 1024ths without
 * alpha. */
static void flip_symmetry(variant on, random_source *source) {
    static float flipped_logits[COUNT_MAX], flipped_targets[COUNT_MAX];
    for (int kind = 0; kind < 2; kind++)
        for (int g = 0; g < gamma_count; g++) {
            const double gamma = gammas[g], alpha = kind ? NAN : g % 2 ? 0.25 : NAN;
            float *const targets = kind ? soft : hard;
            for (size_t i = 0; i < count; i++) {
                if (kind)
                    soft[i] = (float)random_below(source, 1025) / 1024.0F;
                flipped_logits[i] = -logits[i];
                flipped_targets[i] = 1.0F - targets[i];
            }
            evaluate(batch_run(on, gamma, alpha, targets));
            evaluation flipped = batch_run(on, gamma, 1.0 - alpha, flipped_targets);
            flipped.logits = flipped_logits;
            run_other(flipped);
            for (size_t i = 0; i < count; i++) {
                const subject s = about("flip", on, gamma, alpha, i, targets[i]);
                expect_same(&s, "loss", other_loss[i], loss[i]);
                expect_same(&s, "gradient", other_gradient[i] + 0.0F, 0.0F - gradient[i]);
            }
        }
}

/* No increase beyond the bounds of the two losses, the first of them at `from_gamma`. */
static void expect_decrease(const subject *s, double from_gamma, float from, float to) {
    const oracle_point before = {.loss = (long double)from}, after = {.loss = (long double)to};
    const float logit = s->logits[0], target = (float)s->target;
    const double slack =
        allowed(s->on.tier, from_gamma, expected_loss(s->on.tier, logit, target, &before)) +
        allowed(s->on.tier, s->gamma, expected_loss(s->on.tier, logit, target, &after));
    expect(s, (double)to <= (double)from + slack, "loss", (double)to, (double)from);
}

static int ascending(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* For 0/1 targets the loss falls with gamma, and with the margin. Soft targets: with gamma
 * only, since the least loss lies at p = t. */
static void monotone(variant on) {
    for (int kind = 0; kind < 2; kind++) {
        const float *const targets = kind ? soft : hard;
        evaluate(batch_run(on, gammas[0], NAN, targets));
        for (int g = 1; g < gamma_count; g++) {
            memcpy(other_loss, loss, sizeof loss);
            evaluate(batch_run(on, gammas[g], NAN, targets));
            for (size_t i = 0; i < count; i++) {
                const subject s =
                    about("loss falls with gamma", on, gammas[g], NAN, i, targets[i]);
                expect_decrease(&s, gammas[g - 1], other_loss[i], loss[i]);
            }
        }
    }
    qsort(logits, count, sizeof *logits, ascending);
    for (size_t i = 0; i < count; i++)
        hard[i] = 1.0F;
    for (int g = 0; g < gamma_count; g++) {
        evaluate(batch_run(on, gammas[g], NAN, hard));
        for (size_t i = 1; i < count; i++) {
            const subject s = about("loss falls with the margin", on, gammas[g], NAN, i, 1.0F);
            expect_decrease(&s, gammas[g], loss[i - 1], loss[i]);
        }
    }
}

/* Two computations of the same exact values: each within its bound, hence apart by no more than
 * both bounds. The other one's results are in other_loss and other_gradient. */
static void expect_agreement(const char *property, variant on, focal_tier other_tier,
                             double gamma, double alpha, const float *targets) {
    for (size_t i = 0; i < count; i++) {
        const subject s = about(property, on, gamma, alpha, i, targets[i]);
        const oracle_point exact =
            oracle_sigmoid((double)logits[i], (double)targets[i], gamma, alpha);
        const expectation cost = expected_loss(on.tier, logits[i], targets[i], &exact);
        const expectation other_cost = expected_loss(other_tier, logits[i], targets[i], &exact);
        const expectation slope = expected_gradient(targets[i], &exact);
        const double apart[RESULTS] = {
            (double)fabsl((long double)loss[i] - (long double)other_loss[i]),
            (double)fabsl((long double)gradient[i] - (long double)other_gradient[i])};
        expect(&s,
               apart[LOSS] <=
                   allowed(on.tier, gamma, cost) + allowed(other_tier, gamma, other_cost),
               "loss", (double)loss[i], (double)other_loss[i]);
        expect(&s,
               apart[GRADIENT] <=
                   allowed(on.tier, gamma, slope) + allowed(other_tier, gamma, slope),
               "gradient", (double)gradient[i], (double)other_gradient[i]);
    }
}

/* Gammas with a path of their own against neighbours on the general path. */
static void special_gammas(variant on) {
    const double special[] = {0.5, 1.0, 1.5, 2.0, 2.5, 3.0};
    for (int kind = 0; kind < 2; kind++)
        for (size_t g = 0; g < sizeof special / sizeof *special; g++) {
            const float *const targets = kind ? soft : hard;
            evaluate(batch_run(on, special[g], NAN, targets));
            run_other(batch_run(on, special[g] * (1.0 + 1e-12), NAN, targets));
            expect_agreement("special gamma is general", on, on.tier, special[g], NAN, targets);
        }
}

/* The tiers with each other, and rows that fuse with the one that does not. */
static void other_variants(variant on) {
    const variant others[] = {{on.isa, FOCAL_TIER_FAST}, {"scalar", on.tier}};
    for (int o = 0; o < 2; o++) {
        if (others[o].tier == on.tier && strcmp(others[o].isa, on.isa) == 0)
            continue;
        for (int g = 0; g < gamma_count; g++)
            for (int kind = 0; kind < 2; kind++) {
                const float *const targets = kind ? soft : hard;
                const double alpha = g % 2 ? 0.25 : NAN;
                evaluate(batch_run(on, gammas[g], alpha, targets));
                run_other(batch_run(others[o], gammas[g], alpha, targets));
                expect_agreement(o ? "row scalar agrees" : "tier fast agrees", on,
                                 others[o].tier, gammas[g], alpha, targets);
            }
    }
}

void test_sigmoid_properties(variant on, random_source *source) {
    oracle_derivative(on, source);
    for (int distribution = 0; distribution < DISTRIBUTIONS; distribution++) {
        draw_batch(source, distribution);
        gamma_zero(on);
        alpha_weighs(on);
        special_gammas(on);
        other_variants(on);
        flip_symmetry(on, source);
        monotone(on);
    }
}
