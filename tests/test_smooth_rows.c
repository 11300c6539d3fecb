/* Softmax rows with a smoothed cross-entropy in tier fast, whose f32 kernels know it: losses and
 * gradients within their bound of the formula in long double, relative to the magnitudes of its terms; the
 * same bits on every ISA row, unroll and layout, in place of the logits and, at gamma 0, in both modes of
 * smoothing; masked classes, NaN, and alphas of 0. Usage: test_smooth_rows [--seed N]. */
#include <stdbool.h>

#include "check.h"
#include "evaluate.h"
#include "oracle_ld.h"
#include "random.h"
#include "ulp.h"

enum {
    ROWS = 3,
    CLASSES_MOST = 1300,
    PAD = 5,
    COUNT = ROWS * (CLASSES_MOST + PAD),
    PROBLEMS = 250
};
static const double gammas[] = {0.0, 0.5, 1.0, 1.5, 2.0, 2.7, 5.0};
/* Up to the moderate rows of softmax_moderate.body.h, and beyond as far as long double has e^(-2 width). */
static const double widths[] = {1e-3, 1.0, 8.0, 44.0, 46.0, 300.0, 5e3};

static float logits[COUNT], wide[COUNT];
static int32_t labels[ROWS];
static float row_weights[ROWS];
static double class_weights[CLASSES_MOST];

typedef struct {
    float loss[ROWS], gradient[COUNT];
} results;

typedef struct {
    size_t classes;
    double gamma, smoothing, alpha; /* alpha NaN: off */
    bool class_weighted, row_weighted;
} test_case;

/* How it is computed, on which no bit may depend. */
typedef struct {
    const char *isa;
    uint32_t unroll;
    size_t pad; /* between rows */
    bool in_place;
    focal_smoothing_mode mode;
} variation;

static double unit(random_source *random) {
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

static void execute(const test_case *test, variation how, results *to) {
    const size_t stride = test->classes + how.pad;
    focal_problem problem;
    focal_problem_init(&problem);
    problem.op = FOCAL_SOFTMAX;
    problem.target_kind = FOCAL_TARGET_LABEL_I32;
    problem.outer = ROWS;
    problem.classes = (int64_t)test->classes;
    problem.logits_stride = problem.gradient_stride = (int64_t)stride;
    problem.gamma = test->gamma;
    problem.smoothing = test->smoothing;
    problem.smoothing_mode = how.mode;
    if (!isnan(test->alpha)) {
        problem.alpha_mode = FOCAL_ALPHA_SCALAR;
        problem.alpha = test->alpha;
    }
    problem.class_weight = test->class_weighted ? class_weights : NULL;
    problem.outputs = FOCAL_OUTPUT_ROW_LOSS | FOCAL_OUTPUT_GRADIENT;
    focal_options options;
    focal_options_init(&options);
    options.isa = how.isa;
    options.unroll = how.unroll;
    for (size_t r = 0; r < ROWS; r++)
        memcpy(wide + r * stride, logits + r * test->classes, test->classes * sizeof *wide);
    static float gradient[COUNT];
    focal_buffers buffers;
    focal_buffers_init(&buffers);
    buffers.logits = wide;
    buffers.targets = labels;
    buffers.row_loss = to->loss;
    buffers.gradient = how.in_place ? wide : gradient;
    buffers.row_weight = test->row_weighted ? row_weights : NULL;
    focal_plan *plan;
    focal_error error = FOCAL_ERROR_INIT;
    if (focal_plan_create(&plan, &problem, &options, &error) != FOCAL_OK ||
        focal_plan_execute(plan, &buffers, NULL, NULL, &error) != FOCAL_OK) {
        printf("row %s: %s\n", how.isa, error.message);
        exit(1);
    }
    char description[512];
    focal_plan_describe(plan, description, sizeof description);
    CHECK_CASE(strstr(description, "focal_f32_softmax_label_both_") == description, "%s",
               description);
    focal_plan_destroy(plan);
    for (size_t r = 0; r < ROWS; r++)
        memcpy(to->gradient + r * test->classes, (float *)buffers.gradient + r * stride,
               test->classes * sizeof *wide);
}

/* What all classes of a row need. */
typedef struct {
    long double most, total, q, p, cost, weighted; /* cost: the smoothed cross-entropy */
} row_terms;

static row_terms terms_of(const test_case *test, size_t r) {
    const float *row = logits + r * test->classes;
    const size_t label = (size_t)labels[r];
    const long double smoothing = test->smoothing, classes = (long double)test->classes;
    row_terms t = {.most = row[0]};
    for (size_t c = 1; c < test->classes; c++)
        t.most = fmaxl(t.most, row[c]);
    long double others = 0.0L, sum = 0.0L;
    for (size_t c = 0; c < test->classes; c++) {
        others += c == label ? 0.0L : expl(row[c] - t.most);
        sum += row[c] - t.most;
    }
    const long double own = expl(row[label] - t.most);
    t.total = own + others;
    t.q = others / t.total;
    t.p = own / t.total;
    const long double cost = own > others ? log1pl(others / own)
                                          : logl(t.total) - ((long double)row[label] - t.most);
    t.cost = (1.0L - smoothing) * cost + smoothing * (logl(t.total) - sum / classes);
    t.weighted = powl(t.q, test->gamma) * (isnan(test->alpha) ? 1.0L : test->alpha);
    t.weighted *= test->class_weighted ? class_weights[label] : 1.0;
    t.weighted *= test->row_weighted ? row_weights[r] : 1.0F;
    return t;
}

static double worst[2];

static void check_result(const test_case *test, const char *isa, const char *what, float got,
                         long double exact, long double size) {
    const double error = oracle_error(got, exact, size);
    const double weights = test->class_weighted || test->row_weighted ? 1.0 : 0.0;
    worst[*what == 'g'] = fmax(worst[*what == 'g'], error);
    CHECK_CASE(error <= bound_ulp(SOFTMAX_LABELS, FOCAL_TIER_FAST, test->gamma, size) + weights,
               "row %s, %zu classes, gamma %g, smoothing %g: %s %a, exact %.9Lg, off by %g ULP",
               isa, test->classes, test->gamma, test->smoothing, what, (double)got, exact,
               error);
}

static void judge(const test_case *test, const char *isa, const results *got) {
    const long double share = (long double)test->smoothing / (long double)test->classes;
    const long double gamma = test->gamma;
    for (size_t r = 0; r < ROWS; r++) {
        const row_terms t = terms_of(test, r);
        const float *row = logits + r * test->classes;
        const long double steep = gamma == 0.0L ? 0.0L : gamma * t.p * t.cost;
        check_result(test, isa, "loss", got->loss[r], t.weighted * t.cost, t.weighted * t.cost);
        for (size_t c = 0; c < test->classes; c++) {
            long double plus = expl(row[c] - t.most) / t.total, minus = share;
            plus *= gamma == 0.0L ? 1.0L : 1.0L + steep / t.q;
            if (c == (size_t)labels[r]) {
                plus = t.p * ((long double)test->smoothing - share);
                minus = t.q * (1.0L - (long double)test->smoothing + share) + steep;
            }
            check_result(test, isa, "gradient", got->gradient[r * test->classes + c],
                         t.weighted * (plus - minus), t.weighted * (plus + minus));
        }
    }
}

static void same(const test_case *test, const results *a, const results *b, const char *what) {
    int equal = 1;
    for (size_t r = 0; r < ROWS; r++)
        equal = equal && ulp_bits_f32(a->loss[r]) == ulp_bits_f32(b->loss[r]);
    for (size_t i = 0; i < ROWS * test->classes; i++)
        equal = equal && ulp_bits_f32(a->gradient[i]) == ulp_bits_f32(b->gradient[i]);
    CHECK_CASE(equal, "%zu classes, gamma %g, smoothing %g: other bits %s", test->classes,
               test->gamma, test->smoothing, what);
}

static void check_variations(const test_case *test, variation how, const results *got) {
    static results other;
    variation v = how;
    v.unroll = 32;
    execute(test, v, &other);
    same(test, got, &other, "with another unroll");
    v = how;
    v.pad = PAD;
    execute(test, v, &other);
    same(test, got, &other, "with padding");
    v.in_place = true;
    execute(test, v, &other);
    same(test, got, &other, "in place");
    if (strcmp(how.isa, "scalar") != 0) {
        v = how;
        v.isa = "scalarfma";
        execute(test, v, &other);
        same(test, got, &other, "than scalarfma's");
    }
    if (test->gamma == 0.0) {
        v = how;
        v.mode = FOCAL_SMOOTH_TARGET;
        execute(test, v, &other);
        same(test, got, &other, "with smoothed targets");
    }
}

static void make_inputs(const test_case *test, random_source *random) {
    const double width = widths[random_below(random, sizeof widths / sizeof *widths)];
    for (size_t i = 0; i < ROWS * test->classes; i++)
        logits[i] = (float)((2.0 * unit(random) - 1.0) * width);
    for (size_t r = 0; r < ROWS; r++) {
        labels[r] = (int32_t)random_below(random, (uint32_t)test->classes);
        row_weights[r] = (float)unit(random);
        if (random_below(random, 2)) /* a label that outweighs the others */
            logits[r * test->classes + (size_t)labels[r]] = (float)width;
    }
    for (size_t c = 0; c < test->classes; c++)
        class_weights[c] = unit(random);
}

static void check_random(const char *isa, random_source *random) {
    static results got;
    test_case test = {.gamma = gammas[random_below(random, sizeof gammas / sizeof *gammas)],
                      .smoothing = random_below(random, 3) ? unit(random) : 0.1,
                      .alpha = random_below(random, 2) ? 0.25 : NAN,
                      .class_weighted = random_below(random, 4) == 0,
                      .row_weighted = random_below(random, 4) == 0};
    test.classes = 2 + random_below(random, random_below(random, 3) ? 100 : CLASSES_MOST - 1);
    make_inputs(&test, random);
    const variation how = {.isa = isa, .unroll = 16, .mode = FOCAL_SMOOTH_CROSS_ENTROPY};
    execute(&test, how, &got);
    judge(&test, isa, &got);
    check_variations(&test, how, &got);
}

/* Row 0 has a masked class, row 1 a NaN, row 2 neither. */
static void check_limits(const char *isa, double gamma, double alpha) {
    static results got;
    const test_case test = {.classes = 20, .gamma = gamma, .smoothing = 0.1, .alpha = alpha};
    random_source random = random_named(3, "limits", 6);
    make_inputs(&test, &random);
    logits[3] = -HUGE_VALF;
    logits[20 + 3] = NAN;
    labels[0] = 5;
    execute(&test, (variation){.isa = isa, .unroll = 16, .mode = FOCAL_SMOOTH_CROSS_ENTROPY},
            &got);
    const double infinite = alpha == 0.0 ? 0.0 : (double)HUGE_VALF;
    CHECK_CASE((double)got.loss[0] == infinite, "row %s: a masked class costs %g", isa,
               (double)got.loss[0]);
    CHECK_CASE(!isnan(got.gradient[0]) && !isnan(got.gradient[3]) && !isnan(got.gradient[5]),
               "row %s, gamma %g: NaN beside a masked class", isa, gamma);
    CHECK_CASE(isnan(got.loss[1]) && isnan(got.gradient[20]) && isnan(got.gradient[23]),
               "row %s, gamma %g: a NaN is lost", isa, gamma);
    const row_terms t = terms_of(&test, 2);
    check_result(&test, isa, "loss", got.loss[2], t.weighted * t.cost, t.weighted * t.cost);
}

int main(int count, char **words) {
    uint64_t seed = 1;
    if (count == 3 && strcmp(words[1], "--seed") == 0)
        seed = strtoull(words[2], NULL, 0);
    else if (count != 1)
        return puts("usage: test_smooth_rows [--seed N]"), 2;
    size_t index = 0;
    for (const char *isa; (isa = next_isa(&index)) != NULL;) {
        const unsigned passed = check_passed, failed = check_failed;
        random_source random = random_named(seed, "smooth", 6);
        for (int k = 0; k < PROBLEMS; k++)
            check_random(isa, &random);
        for (size_t g = 0; g < sizeof gammas / sizeof *gammas; g++) {
            check_limits(isa, gammas[g], NAN);
            check_limits(isa, gammas[g], 0.0);
        }
        printf("row %s: %u passed, %u failed\n", isa, check_passed - passed,
               check_failed - failed);
    }
    printf("largest error: losses %.2f ULP, gradients %.2f ULP of the terms' magnitudes\n",
           worst[0], worst[1]);
    return check_report();
}
