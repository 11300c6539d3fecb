/* Softmax: losses and gradients against the oracle, and the relations between rows. */
#include "props.h"

#include <string.h>

enum { CLASSES_MAX = 1000, ROWS = 30, KINDS = 10 };

static const size_t class_counts[] = {1, 2, 3, 10, 17, 16, 100, 33, 1000};
enum { CLASS_COUNTS = sizeof class_counts / sizeof *class_counts };
/* Quickly: one row of each kind, of 1, 3, 17 and 100 classes. */
enum { ROWS_QUICK = KINDS, CLASS_COUNTS_QUICK = CLASS_COUNTS - 1 };

/* Rows of two classes, the first true, with the largest errors among 2.4 million random ones at
 * each gamma: 1 - p_t is a single exponential here, and nothing averages its error. */
static const float worst_pairs[][2] = {
    {0x1.80a7dep-1F, -0x1.32a2f2p+2F}, {-0x1.4e9882p-1F, -0x1.76b8e6p+3F},
    {0x1.34ade6p+4F, 0x1.29a438p+1F},  {-0x1.aeb876p+0F, -0x1.b7d9cap+2F},
    {0x1.248084p+3F, -0x1.6f7b9ap+3F}, {-0x1.8bcaaap+3F, -0x1.07ed6cp+5F},
    {0x1.b84fd2p+2F, -0x1.ff06b2p+0F}, {0x1.00cdf4p-5F, -0x1.824cap+4F},
};

/* How far the label is ahead of 999 equal others: their exponentials have the bits that a sum in
 * float rounds worst, all in one direction. */
static const float worst_leads[] = {18.0F, 17.3125F, 15.921875F, 16.84375F, 10.359375F};
enum { WORST_LEADS = sizeof worst_leads / sizeof *worst_leads };

/* The batch: so many rows, at most ROWS, of `classes` logits. */
static size_t classes, rows;
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
        case 9: /* all others equal: their roundings in the sum are alike and do not average */
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
    if (kind == 9)
        row[label] += (float)draw_uniform(source, 0.0, 80.0);
    if (kind == 4) /* right and sure */
        row[label] += (float)draw_uniform(source, 10.0, 100.0);
    if (kind == 5) /* wrong and sure */
        row[other] += (float)draw_uniform(source, 10.0, 100.0);
    if (kind == 6) /* one class of any magnitude */
        draw_logits(source, 2, &row[other], 1);
}

static void draw_rows(random_source *source) {
    rows = quick ? ROWS_QUICK : ROWS;
    for (size_t r = 0; r < rows; r++) {
        labels[r] = (int32_t)random_below(source, (uint32_t)classes);
        draw_row(source, r % KINDS, logits + r * classes, (size_t)labels[r]);
    }
}

static subject about(const char *property, variant on, double gamma, double alpha, size_t r) {
    return (subject){property,         on, gamma, alpha, logits + r * classes, classes,
                     (double)labels[r]};
}

static evaluation rows_run(variant on, double gamma, double alpha) {
    return (evaluation){.on = on,
                        .op = FOCAL_SOFTMAX,
                        .kind = FOCAL_TARGET_LABEL_I32,
                        .outer = rows,
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

static oracle_row row_oracle(size_t r, double gamma, double alpha, long double *exact) {
    return oracle_softmax(logits + r * classes, classes, (size_t)labels[r], gamma, alpha,
                          exact);
}

static expectation expected_result(focal_tier tier, const oracle_row *row, long double exact,
                                   double power) {
    return (expectation){SOFTMAX_LABELS, exact, exact,
                         power * (double)fabsl(exact) *
                             softmax_extra(tier, row->subnormal_others, row->not_p)};
}

static expectation expected_row_loss(focal_tier tier, double gamma, const oracle_row *row) {
    return expected_result(tier, row, row->loss, gamma + 1.0);
}

static expectation expected_slope(focal_tier tier, double gamma, const oracle_row *row,
                                  long double exact, int is_label) {
    return expected_result(tier, row, exact, is_label ? gamma + 1.0 : gamma);
}

/* Against the oracle, and the gradient of each row sums to 0. */
static void accuracy(variant on, double gamma, double alpha) {
    evaluate(rows_run(on, gamma, alpha));
    for (size_t r = 0; r < rows; r++) {
        static long double exact[CLASSES_MAX];
        const subject s = about("softmax", on, gamma, alpha, r);
        const oracle_row row = row_oracle(r, gamma, alpha, exact);
        expect_contract(&s, LOSS, loss[r], expected_row_loss(on.tier, gamma, &row));
        double sum = 0.0, slack = 0.0;
        for (size_t c = 0; c < classes; c++) {
            const float got = gradient[r * classes + c];
            const expectation slope =
                expected_slope(on.tier, gamma, &row, exact[c], (int32_t)c == labels[r]);
            expect_contract(&s, GRADIENT, got, slope);
            sum += (double)got;
            slack += allowed(on.tier, gamma, slope);
        }
        expect(&s, fabs(sum) <= slack, "sum of the gradients", sum, 0.0);
    }
}

void test_softmax_accuracy(variant on, random_source *source) {
    for (size_t n = 0; n < (quick ? CLASS_COUNTS_QUICK : CLASS_COUNTS); n += quick ? 2 : 1) {
        classes = class_counts[n];
        draw_rows(source);
        for (int g = 0; g < gamma_count; g++)
            accuracy(on, gammas[g], g % 3 ? NAN : 0.25);
    }
    classes = 2;
    draw_rows(source);
    _Static_assert(sizeof worst_pairs / sizeof *worst_pairs <= ROWS_QUICK, "they fit");
    memcpy(logits, worst_pairs, sizeof worst_pairs);
    memset(labels, 0, sizeof worst_pairs / sizeof *worst_pairs * sizeof *labels);
    for (int g = 0; g < gamma_count; g++)
        accuracy(on, gammas[g], NAN);
    classes = CLASSES_MAX;
    rows = WORST_LEADS;
    memset(logits, 0, sizeof logits);
    for (size_t r = 0; r < rows; r++) {
        labels[r] = (int32_t)random_below(source, CLASSES_MAX);
        logits[r * classes + (size_t)labels[r]] = worst_leads[r];
    }
    for (int g = 0; g < gamma_count; g++)
        accuracy(on, gammas[g], NAN);
}

/* Cross-entropy in double, by the textbook. */
static void gamma_zero(variant on) {
    evaluate(rows_run(on, 0.0, NAN));
    for (size_t r = 0; r < rows; r++) {
        const subject s = about("gamma 0 is cross-entropy", on, 0.0, NAN, r);
        const float *const row = logits + r * classes;
        double most = (double)row[0], total = 0.0;
        /* Not by fmax: a fault of GCC 12 for AArch64 at -O3. */
        for (size_t c = 1; c < classes; c++)
            if ((double)row[c] > most)
                most = (double)row[c];
        for (size_t c = 0; c < classes; c++)
            total += exp((double)row[c] - most);
        const double cost = log(total) - ((double)row[labels[r]] - most);
        const oracle_row exact = row_oracle(r, 0.0, NAN, NULL);
        /* Each addition and the subtraction cost the textbook 2^-53 of what they handle. */
        const double textbook = 0x1p-53 * (double)(classes + 32);
        const double bound = allowed(on.tier, 0.0, expected_row_loss(on.tier, 0.0, &exact)) +
                             textbook * fmax(1.0, cost);
        expect(&s, fabs((double)loss[r] - cost) <= bound, "loss", (double)loss[r], cost);
        for (size_t c = 0; c < classes; c++) {
            const double p = exp((double)row[c] - most) / total;
            const int is_label = (int32_t)c == labels[r];
            const double slope = is_label ? p - 1.0 : p;
            const expectation expected =
                expected_slope(on.tier, 0.0, &exact, (long double)slope, is_label);
            const float got = gradient[r * classes + c];
            expect(&s, fabs((double)got - slope) <= allowed(on.tier, 0.0, expected) + textbook,
                   "gradient", (double)got, slope);
        }
    }
    run_other(rows_run(on, 0x1p-200, NAN));
    for (size_t i = 0; i < rows * classes; i++) {
        const subject s = about("gamma as good as 0", on, 0x1p-200, NAN, i / classes);
        expect_same(&s, "loss", other_loss[i / classes], loss[i / classes]);
        expect_same(&s, "gradient", other_gradient[i], gradient[i]);
    }
}

static void alpha_weighs(variant on, double gamma) {
    const double values[] = {0.25, 0.1, 0.0, 1.0};
    evaluate(rows_run(on, gamma, NAN));
    for (int a = 0; a < 4; a++) {
        run_other(rows_run(on, gamma, values[a]));
        for (size_t i = 0; i < rows * classes; i++) {
            const size_t r = i / classes;
            const subject s = about("alpha weighs", on, gamma, values[a], r);
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

/* Two computations of the same exact values, each within its bound. The other one's results are
 * in other_loss and other_gradient, its class c being the batch's class order[c]. */
static void expect_agreement(const char *property, variant on, focal_tier other_tier,
                             double gamma, const size_t *order) {
    static long double exact[CLASSES_MAX];
    for (size_t r = 0; r < rows; r++) {
        const subject s = about(property, on, gamma, NAN, r);
        const oracle_row row = row_oracle(r, gamma, NAN, exact);
        expect(&s,
               fabs((double)loss[r] - (double)other_loss[r]) <=
                   allowed(on.tier, gamma, expected_row_loss(on.tier, gamma, &row)) +
                       allowed(other_tier, gamma, expected_row_loss(other_tier, gamma, &row)),
               "loss", (double)other_loss[r], (double)loss[r]);
        for (size_t c = 0; c < classes; c++) {
            const size_t from = order ? order[c] : c;
            const int is_label = (size_t)labels[r] == from;
            const float got = gradient[r * classes + from];
            const float other = other_gradient[r * classes + c];
            const double bound =
                allowed(on.tier, gamma,
                        expected_slope(on.tier, gamma, &row, exact[from], is_label)) +
                allowed(other_tier, gamma,
                        expected_slope(other_tier, gamma, &row, exact[from], is_label));
            expect(&s, fabs((double)got - (double)other) <= bound, "gradient", (double)other,
                   (double)got);
        }
    }
}

/* Adding a constant to a row changes nothing; not a bit if no addition rounds, but in tier fast,
 * which does not subtract the maximum from moderate logits. */
static void shift_invariance(variant on, random_source *source, double gamma) {
    static float kept[ROWS * CLASSES_MAX];
    for (size_t i = 0; i < rows * classes; i++)
        logits[i] = (float)((double)random_below(source, 8192) / 128.0 - 32.0);
    evaluate(rows_run(on, gamma, NAN));
    memcpy(kept, logits, sizeof kept);
    const float exact_shifts[] = {64.0F, -128.0F, 1024.0F, 0.5F};
    for (int k = 0; k < 4; k++) {
        for (size_t i = 0; i < rows * classes; i++)
            logits[i] = kept[i] + exact_shifts[k];
        run_other(rows_run(on, gamma, NAN));
        if (on.tier == FOCAL_TIER_FAST)
            expect_agreement("exact shift", on, on.tier, gamma, NULL);
        for (size_t i = 0; i < rows * classes && on.tier != FOCAL_TIER_FAST; i++) {
            const subject s = about("exact shift", on, gamma, NAN, i / classes);
            expect_same(&s, "loss", other_loss[i / classes], loss[i / classes]);
            expect_same(&s, "gradient", other_gradient[i], gradient[i]);
        }
    }
    /* A shift that rounds moves each logit by up to 2^-24 of its new size: the loss moves by
     * that times the sum of the gradient's magnitudes, here with a margin for its change. */
    const float shift = (float)draw_uniform(source, 100.0, 1000.0);
    for (size_t i = 0; i < rows * classes; i++)
        logits[i] = kept[i] + shift;
    run_other(rows_run(on, gamma, NAN));
    for (size_t r = 0; r < rows; r++) {
        const subject s = about("rounded shift", on, gamma, NAN, r);
        const double slope = 2.0 * fabs((double)gradient[r * classes + (size_t)labels[r]]);
        const oracle_row exact = row_oracle(r, gamma, NAN, NULL);
        const double bound =
            0x1p-24 * 1100.0 * 1.01 * slope +
            2.0 * allowed(on.tier, gamma, expected_row_loss(on.tier, gamma, &exact));
        expect(&s, fabs((double)other_loss[r] - (double)loss[r]) <= bound, "loss",
               (double)other_loss[r], (double)loss[r]);
    }
}

/* The tiers with each other, and rows that fuse with the one that does not. */
static void other_variants(variant on) {
    const variant others[] = {{on.isa, FOCAL_TIER_FAST}, {"scalar", on.tier}};
    for (int o = 0; o < 2; o++) {
        if (others[o].tier == on.tier && strcmp(others[o].isa, on.isa) == 0)
            continue;
        for (int g = 0; g < gamma_count; g++) {
            evaluate(rows_run(on, gammas[g], NAN));
            run_other(rows_run(others[o], gammas[g], NAN));
            expect_agreement(o ? "row scalar agrees" : "tier fast agrees", on, others[o].tier,
                             gammas[g], NULL);
        }
    }
}

/* The order of the classes does not matter beyond the rounding of the sum. */
static void permutation(variant on, random_source *source, double gamma) {
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
    for (size_t i = 0; i < rows * classes; i++) {
        const size_t r = i / classes, from = order[i % classes];
        permuted[i] = logits[r * classes + from];
        if ((size_t)labels[r] == from)
            permuted_labels[r] = (int32_t)(i % classes);
    }
    evaluate(rows_run(on, gamma, NAN));
    evaluation run = rows_run(on, gamma, NAN);
    run.logits = permuted;
    run.targets = permuted_labels;
    run_other(run);
    expect_agreement("permutation", on, on.tier, gamma, order);
}

/* What each row's loss may be off by. */
static void loss_slack(variant on, double gamma, double slack[ROWS]) {
    for (size_t r = 0; r < rows; r++) {
        const oracle_row row = row_oracle(r, gamma, NAN, NULL);
        slack[r] = allowed(on.tier, gamma, expected_row_loss(on.tier, gamma, &row));
    }
}

/* Runs the batch and expects no loss to have grown beyond the bounds of both. */
static void expect_decrease(const char *property, variant on, double gamma,
                            double slack[ROWS]) {
    double new_slack[ROWS];
    memcpy(other_loss, loss, sizeof loss);
    evaluate(rows_run(on, gamma, NAN));
    loss_slack(on, gamma, new_slack);
    for (size_t r = 0; r < rows; r++) {
        const subject s = about(property, on, gamma, NAN, r);
        expect(&s, (double)loss[r] <= (double)other_loss[r] + slack[r] + new_slack[r], "loss",
               (double)loss[r], (double)other_loss[r]);
        slack[r] = new_slack[r];
    }
}

/* The loss falls with gamma, and as the label's logit grows. */
static void monotone(variant on) {
    double slack[ROWS];
    evaluate(rows_run(on, gammas[0], NAN));
    loss_slack(on, gammas[0], slack);
    for (int g = 1; g < gamma_count; g++)
        expect_decrease("loss falls with gamma", on, gammas[g], slack);
    for (int g = 0; g < accurate_gammas; g++) {
        evaluate(rows_run(on, gammas[g], NAN));
        loss_slack(on, gammas[g], slack);
        for (int step = 0; step < 8; step++) {
            for (size_t r = 0; r < rows; r++)
                logits[r * classes + (size_t)labels[r]] += step % 2 ? 1.0F : 0x1p-6F;
            expect_decrease("loss falls with the margin", on, gammas[g], slack);
        }
    }
}

static void special_gammas(variant on) {
    const double special[] = {0.5, 1.0, 1.5, 2.0, 2.5, 3.0};
    for (size_t g = 0; g < sizeof special / sizeof *special; g++) {
        evaluate(rows_run(on, special[g], NAN));
        run_other(rows_run(on, special[g] * (1.0 + 1e-12), NAN));
        expect_agreement("special gamma is general", on, on.tier, special[g], NULL);
    }
}

/* Softmax of (0, x) is the sigmoid of x, loss and gradient; second class true is target 1. */
static void two_classes(variant on, random_source *source, double gamma) {
    float x[ROWS], element_loss[ROWS], element_gradient[ROWS];
    uint8_t targets[ROWS];
    classes = 2;
    draw_logits(source, (int)random_below(source, DISTRIBUTIONS), x, ROWS);
    for (size_t r = 0; r < rows; r++) {
        targets[r] = (uint8_t)random_below(source, 2);
        labels[r] = targets[r];
        logits[2 * r] = 0.0F;
        logits[2 * r + 1] = x[r];
    }
    evaluate(rows_run(on, gamma, NAN));
    evaluate((evaluation){.on = on,
                          .kind = FOCAL_TARGET_BINARY_U8,
                          .outer = rows,
                          .classes = 1,
                          .gamma = gamma,
                          .alpha = NAN,
                          .logits = x,
                          .targets = targets,
                          .loss = element_loss,
                          .gradient = element_gradient});
    for (size_t r = 0; r < rows; r++) {
        const subject s = about("two classes are a sigmoid", on, gamma, NAN, r);
        const float target = (float)targets[r];
        const oracle_point exact = oracle_sigmoid((double)x[r], (double)target, gamma, NAN);
        const oracle_row row = row_oracle(r, gamma, NAN, NULL);
        expect(&s,
               fabs((double)loss[r] - (double)element_loss[r]) <=
                   allowed(on.tier, gamma, expected_row_loss(on.tier, gamma, &row)) +
                       allowed(on.tier, gamma, expected_loss(on.tier, x[r], target, &exact)),
               "loss", (double)loss[r], (double)element_loss[r]);
        for (int c = 0; c < 2; c++) {
            const double slope = (double)element_gradient[r] * (c ? 1.0 : -1.0);
            const expectation expected =
                expected_slope(on.tier, gamma, &row, exact.gradient, c == targets[r]);
            expect(&s,
                   fabs((double)gradient[2 * r + (size_t)c] - slope) <=
                       allowed(on.tier, gamma, expected) +
                           allowed(on.tier, gamma, expected_gradient(target, &exact)),
                   c ? "gradient" : "gradient of the first",
                   (double)gradient[2 * r + (size_t)c], slope);
        }
    }
}

void test_softmax_properties(variant on, random_source *source) {
    for (size_t n = 0; n < (quick ? CLASS_COUNTS_QUICK : CLASS_COUNTS); n += quick ? 2 : 1) {
        classes = class_counts[n];
        draw_rows(source);
        gamma_zero(on);
        alpha_weighs(on, 0.0);
        alpha_weighs(on, 2.0);
        special_gammas(on);
        other_variants(on);
        for (int g = 0; g < accurate_gammas; g++)
            permutation(on, source, gammas[g]);
        monotone(on);
        for (int g = 0; g < accurate_gammas; g++)
            shift_invariance(on, source, gammas[g]);
    }
    for (int repeat = 0; repeat < (quick ? 2 : 20); repeat++)
        for (int g = 0; g < accurate_gammas; g++)
            two_classes(on, source, gammas[g]);
}
