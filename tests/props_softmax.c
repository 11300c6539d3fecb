/* Softmax: losses and gradients against the oracle, and the relations between rows. */
#include "props.h"

#include <string.h>

enum { CLASSES_MAX = 1000, ROWS = 27, KINDS = 9 };

static const size_t class_counts[] = {1, 2, 3, 10, 16, 17, 33, 100, 1000};
enum { CLASS_COUNTS = sizeof class_counts / sizeof *class_counts };

/* Rows of two classes, the first true, with the largest errors among 2.4 million random ones at
 * each gamma: 1 - p_t is a single exponential here, and nothing averages its error. */
static const float worst_pairs[][2] = {
    {0x1.80a7dep-1F, -0x1.32a2f2p+2F}, {-0x1.4e9882p-1F, -0x1.76b8e6p+3F},
    {0x1.34ade6p+4F, 0x1.29a438p+1F},  {-0x1.aeb876p+0F, -0x1.b7d9cap+2F},
    {0x1.248084p+3F, -0x1.6f7b9ap+3F}, {-0x1.8bcaaap+3F, -0x1.07ed6cp+5F},
    {0x1.b84fd2p+2F, -0x1.ff06b2p+0F}, {0x1.00cdf4p-5F, -0x1.824cap+4F},
};

/* ROWS rows of `classes` logits. */
static size_t classes;
static float logits[ROWS * CLASSES_MAX], gradient[ROWS * CLASSES_MAX];
static float other_gradient[ROWS * CLASSES_MAX];
static float loss[ROWS], other_loss[ROWS];
static int32_t labels[ROWS];

/* A row of one of KINDS sorts. */
static void draw_row(random_source *source, size_t kind, float *row, size_t label) {
    draw_logits(source, kind == 7 ? 1 : 0, row, classes);
    const size_t other = random_below(source, (uint32_t)classes);
    for (size_t c = 0; c < classes; c++)
        switch (kind) {
        case 1: /* wide */
            row[c] *= 5.0F;
            break;
        case 2: /* all equal */
        case 8: /* all others equal, and so far down that each alone is subnormal */
            row[c] = row[0];
            break;
        case 3: /* a common offset, as unnormalised scores have */
            row[c] += 1e4F;
            break;
        default:
            break;
        }
    if (kind == 8)
        row[label] += 94.0F;
    if (kind == 4) /* right and sure */
        row[label] += (float)draw_uniform(source, 10.0, 100.0);
    if (kind == 5) /* wrong and sure */
        row[other] += (float)draw_uniform(source, 10.0, 100.0);
    if (kind == 6) /* one class of any magnitude */
        draw_logits(source, 2, &row[other], 1);
}

static void draw_rows(random_source *source) {
    for (size_t r = 0; r < ROWS; r++) {
        labels[r] = (int32_t)random_below(source, (uint32_t)classes);
        draw_row(source, r % KINDS, logits + r * classes, (size_t)labels[r]);
    }
}

static subject about(const char *property, const char *isa, double gamma, double alpha,
                     size_t r) {
    return (subject){property,         isa, gamma, alpha, logits + r * classes, classes,
                     (double)labels[r]};
}

static evaluation rows_run(const char *isa, double gamma, double alpha) {
    return (evaluation){.isa = isa,
                        .op = FOCAL_SOFTMAX,
                        .kind = FOCAL_TARGET_LABEL_I32,
                        .outer = ROWS,
                        .classes = classes,
                        .gamma = gamma,
                        .alpha = alpha,
                        .logits = logits,
                        .targets = labels,
                        .row_loss = loss,
                        .gradient = gradient};
}

static void run_other(evaluation run) {
    run.row_loss = other_loss;
    run.gradient = other_gradient;
    evaluate(run);
}

/* Two results of one exact value, each within its bound. */
static void expect_both_near(const subject *s, const char *quantity, float got, float other) {
    const long double expected = (long double)other;
    expect_within(s, quantity, got, expected, expected, 2.0 * hard_bound(s->gamma, expected));
}

/* Against the oracle, and the gradient of each row sums to 0. */
static void accuracy(const char *isa, double gamma, double alpha) {
    evaluate(rows_run(isa, gamma, alpha));
    for (size_t r = 0; r < ROWS; r++) {
        static long double exact[CLASSES_MAX];
        const subject s = about("softmax", isa, gamma, alpha, r);
        const long double exact_loss = oracle_softmax(logits + r * classes, classes,
                                                      (size_t)labels[r], gamma, alpha, exact);
        expect_near(&s, "loss", loss[r], exact_loss);
        double sum = 0.0, units = 0.0;
        for (size_t c = 0; c < classes; c++) {
            const float got = gradient[r * classes + c];
            expect_near(&s, "gradient", got, exact[c]);
            sum += (double)got;
            units += hard_bound(gamma, exact[c]) * oracle_ulp(exact[c]);
        }
        expect(&s, fabs(sum) <= units, "sum of the gradients", sum, 0.0);
    }
}

void test_softmax_accuracy(const char *isa, random_source *source) {
    for (size_t n = 0; n < CLASS_COUNTS; n++) {
        classes = class_counts[n];
        draw_rows(source);
        for (int g = 0; g < GAMMAS; g++)
            accuracy(isa, all_gammas[g], g % 3 ? NAN : 0.25);
    }
    classes = 2;
    draw_rows(source);
    memcpy(logits, worst_pairs, sizeof worst_pairs);
    memset(labels, 0, sizeof worst_pairs / sizeof *worst_pairs * sizeof *labels);
    for (int g = 0; g < GAMMAS; g++)
        accuracy(isa, all_gammas[g], NAN);
}

/* Cross-entropy in double, by the textbook. */
static void gamma_zero(const char *isa) {
    evaluate(rows_run(isa, 0.0, NAN));
    for (size_t r = 0; r < ROWS; r++) {
        const subject s = about("gamma 0 is cross-entropy", isa, 0.0, NAN, r);
        const float *const row = logits + r * classes;
        double most = (double)row[0], total = 0.0;
        for (size_t c = 1; c < classes; c++)
            most = fmax(most, (double)row[c]);
        for (size_t c = 0; c < classes; c++)
            total += exp((double)row[c] - most);
        const double cost = log(total) - ((double)row[labels[r]] - most);
        /* The subtraction costs the oracle 2^-52 of what it subtracts. */
        const double slack = 0x1p-48 * fmax(1.0, cost) / oracle_ulp((long double)cost);
        expect(&s, oracle_error(loss[r], (long double)cost, (long double)cost) <= 10.0 + slack,
               "loss", (double)loss[r], cost);
        for (size_t c = 0; c < classes; c++) {
            const double p = exp((double)row[c] - most) / total;
            const double slope = (int32_t)c == labels[r] ? p - 1.0 : p;
            const double bound =
                hard_bound(0.0, (long double)slope) * oracle_ulp((long double)slope) + 0x1p-48;
            const float got = gradient[r * classes + c];
            expect(&s, fabs((double)got - slope) <= bound, "gradient", (double)got, slope);
        }
    }
    run_other(rows_run(isa, 0x1p-200, NAN));
    for (size_t i = 0; i < ROWS * classes; i++) {
        const subject s = about("gamma as good as 0", isa, 0x1p-200, NAN, i / classes);
        expect_same(&s, "loss", other_loss[i / classes], loss[i / classes]);
        expect_same(&s, "gradient", other_gradient[i], gradient[i]);
    }
}

static void alpha_weighs(const char *isa, double gamma) {
    const double values[] = {0.25, 0.1, 0.0, 1.0};
    evaluate(rows_run(isa, gamma, NAN));
    for (int a = 0; a < 4; a++) {
        run_other(rows_run(isa, gamma, values[a]));
        for (size_t i = 0; i < ROWS * classes; i++) {
            const size_t r = i / classes;
            const subject s = about("alpha weighs", isa, gamma, values[a], r);
            const long double l = (long double)values[a] * (long double)loss[r];
            const long double d = (long double)values[a] * (long double)gradient[i];
            expect(&s, oracle_error(other_loss[r], l, l) <= 1.5, "loss", (double)other_loss[r],
                   (double)l);
            /* The row's factor and its product with exp are rounded in both. */
            expect(&s, oracle_error(other_gradient[i], d, d) <= 3.0, "gradient",
                   (double)other_gradient[i], (double)d);
        }
    }
}

/* Adding a constant to a row changes nothing; not a bit if no addition rounds. */
static void shift_invariance(const char *isa, random_source *source, double gamma) {
    static float kept[ROWS * CLASSES_MAX];
    for (size_t i = 0; i < ROWS * classes; i++)
        logits[i] = (float)((double)random_below(source, 8192) / 128.0 - 32.0);
    evaluate(rows_run(isa, gamma, NAN));
    memcpy(kept, logits, sizeof kept);
    const float exact_shifts[] = {64.0F, -128.0F, 1024.0F, 0.5F};
    for (int k = 0; k < 4; k++) {
        for (size_t i = 0; i < ROWS * classes; i++)
            logits[i] = kept[i] + exact_shifts[k];
        run_other(rows_run(isa, gamma, NAN));
        for (size_t i = 0; i < ROWS * classes; i++) {
            const subject s = about("exact shift", isa, gamma, NAN, i / classes);
            expect_same(&s, "loss", other_loss[i / classes], loss[i / classes]);
            expect_same(&s, "gradient", other_gradient[i], gradient[i]);
        }
    }
    /* A shift that rounds moves each logit by up to 2^-24 of its new size: the loss moves by
     * that times the sum of the gradient's magnitudes, here with a margin for its change. */
    const float shift = (float)draw_uniform(source, 100.0, 1000.0);
    for (size_t i = 0; i < ROWS * classes; i++)
        logits[i] = kept[i] + shift;
    run_other(rows_run(isa, gamma, NAN));
    for (size_t r = 0; r < ROWS; r++) {
        const subject s = about("rounded shift", isa, gamma, NAN, r);
        const double slope = 2.0 * fabs((double)gradient[r * classes + (size_t)labels[r]]);
        const double bound =
            0x1p-24 * 1100.0 * 1.01 * slope + 2.0 * 10.0 * oracle_ulp((long double)loss[r]);
        expect(&s, fabs((double)other_loss[r] - (double)loss[r]) <= bound, "loss",
               (double)other_loss[r], (double)loss[r]);
    }
}

/* The order of the classes does not matter beyond the rounding of the sum. */
static void permutation(const char *isa, random_source *source, double gamma) {
    static float permuted[ROWS * CLASSES_MAX];
    static size_t order[CLASSES_MAX];
    int32_t permuted_labels[ROWS];
    for (size_t c = 0; c < classes; c++)
        order[c] = c;
    for (size_t c = classes; c > 1; c--) {
        const size_t other = random_below(source, (uint32_t)c), kept = order[c - 1];
        order[c - 1] = order[other];
        order[other] = kept;
    }
    for (size_t i = 0; i < ROWS * classes; i++) {
        const size_t r = i / classes, from = order[i % classes];
        permuted[i] = logits[r * classes + from];
        if ((size_t)labels[r] == from)
            permuted_labels[r] = (int32_t)(i % classes);
    }
    evaluate(rows_run(isa, gamma, NAN));
    evaluation run = rows_run(isa, gamma, NAN);
    run.logits = permuted;
    run.targets = permuted_labels;
    run_other(run);
    for (size_t i = 0; i < ROWS * classes; i++) {
        const size_t r = i / classes, from = r * classes + order[i % classes];
        const subject s = about("permutation", isa, gamma, NAN, r);
        expect_both_near(&s, "loss", other_loss[r], loss[r]);
        expect_both_near(&s, "gradient", other_gradient[i], gradient[from]);
    }
}

/* No increase beyond the bounds of the two losses, the first of them at `from_gamma`. */
static void expect_decrease(const subject *s, double from_gamma, float from, float to) {
    const long double a = (long double)from, b = (long double)to;
    const double slack =
        hard_bound(from_gamma, a) * oracle_ulp(a) + hard_bound(s->gamma, b) * oracle_ulp(b);
    expect(s, (double)to <= (double)from + slack, "loss", (double)to, (double)from);
}

/* The loss falls with gamma, and as the label's logit grows. */
static void monotone(const char *isa) {
    evaluate(rows_run(isa, all_gammas[0], NAN));
    for (int g = 1; g < GAMMAS; g++) {
        memcpy(other_loss, loss, sizeof loss);
        evaluate(rows_run(isa, all_gammas[g], NAN));
        for (size_t r = 0; r < ROWS; r++) {
            const subject s = about("loss falls with gamma", isa, all_gammas[g], NAN, r);
            expect_decrease(&s, all_gammas[g - 1], other_loss[r], loss[r]);
        }
    }
    for (int g = 0; g < ACCURATE_GAMMAS; g++) {
        evaluate(rows_run(isa, all_gammas[g], NAN));
        for (int step = 0; step < 8; step++) {
            memcpy(other_loss, loss, sizeof loss);
            for (size_t r = 0; r < ROWS; r++)
                logits[r * classes + (size_t)labels[r]] += step % 2 ? 1.0F : 0x1p-6F;
            evaluate(rows_run(isa, all_gammas[g], NAN));
            for (size_t r = 0; r < ROWS; r++) {
                const subject s =
                    about("loss falls with the margin", isa, all_gammas[g], NAN, r);
                expect_decrease(&s, all_gammas[g], other_loss[r], loss[r]);
            }
        }
    }
}

static void special_gammas(const char *isa) {
    const double special[] = {0.5, 1.0, 1.5, 2.0, 2.5, 3.0};
    for (size_t g = 0; g < sizeof special / sizeof *special; g++) {
        evaluate(rows_run(isa, special[g], NAN));
        run_other(rows_run(isa, special[g] * (1.0 + 1e-12), NAN));
        for (size_t i = 0; i < ROWS * classes; i++) {
            const size_t r = i / classes;
            const subject s = about("special gamma is general", isa, special[g], NAN, r);
            expect_both_near(&s, "loss", other_loss[r], loss[r]);
            expect_both_near(&s, "gradient", other_gradient[i], gradient[i]);
        }
    }
}

/* Softmax of (0, x) is the sigmoid of x, loss and gradient; second class true is target 1. */
static void two_classes(const char *isa, random_source *source, double gamma) {
    float x[ROWS], element_loss[ROWS], element_gradient[ROWS];
    uint8_t targets[ROWS];
    classes = 2;
    draw_logits(source, (int)random_below(source, DISTRIBUTIONS), x, ROWS);
    for (size_t r = 0; r < ROWS; r++) {
        targets[r] = (uint8_t)random_below(source, 2);
        labels[r] = targets[r];
        logits[2 * r] = 0.0F;
        logits[2 * r + 1] = x[r];
    }
    evaluate(rows_run(isa, gamma, NAN));
    evaluate((evaluation){.isa = isa,
                          .kind = FOCAL_TARGET_BINARY_U8,
                          .outer = ROWS,
                          .classes = 1,
                          .gamma = gamma,
                          .alpha = NAN,
                          .logits = x,
                          .targets = targets,
                          .loss = element_loss,
                          .gradient = element_gradient});
    for (size_t r = 0; r < ROWS; r++) {
        const subject s = about("two classes are a sigmoid", isa, gamma, NAN, r);
        expect_both_near(&s, "loss", loss[r], element_loss[r]);
        expect_both_near(&s, "gradient", gradient[2 * r + 1], element_gradient[r]);
        expect_both_near(&s, "gradient of the first", gradient[2 * r], -element_gradient[r]);
    }
}

void test_softmax_properties(const char *isa, random_source *source) {
    for (size_t n = 0; n < CLASS_COUNTS; n++) {
        classes = class_counts[n];
        draw_rows(source);
        gamma_zero(isa);
        alpha_weighs(isa, 0.0);
        alpha_weighs(isa, 2.0);
        special_gammas(isa);
        for (int g = 0; g < ACCURATE_GAMMAS; g++)
            permutation(isa, source, all_gammas[g]);
        monotone(isa);
        for (int g = 0; g < ACCURATE_GAMMAS; g++)
            shift_invariance(isa, source, all_gammas[g]);
    }
    for (int repeat = 0; repeat < 20; repeat++)
        for (int g = 0; g < ACCURATE_GAMMAS; g++)
            two_classes(isa, source, all_gammas[g]);
}
