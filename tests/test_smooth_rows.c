/* Softmax rows with a smoothed cross-entropy in tier fast, whose f32 kernels know it: losses and
 * gradients within their bound of the formula in long double, relative to the magnitudes of its terms; the
 * same bits on every ISA row, unroll and layout, in place of the logits and, at gamma 0, in both modes of
 * smoothing; ignored rows, masked classes, NaN, and alphas of 0. Usage: test_smooth_rows [--seed N]. */
#include <stdbool.h>

#include "check.h"
#include "evaluate.h"
#include "oracle_ld.h"
#include "random.h"
#include "ulp.h"

/* More rows than a group of 64, and enough short ones for planes (dispatch/planes.c). */
enum { ROWS_MOST = 70, FEW_CLASSES = 40, CLASSES_MOST = 1300, PAD = 5, PROBLEMS = 120 };
/* At most 3 rows of CLASSES_MOST, 3 + PAD of them in the middle. */
enum { COUNT = CLASSES_MOST * (3 + PAD), IGNORED = 255 };
static const double gammas[] = {0.0, 0.05, 0.5, 1.0, 1.5, 2.0, 2.7, 5.0};
/* Up to the moderate rows of softmax_moderate.body.h, and beyond, as far as long double has e^(-2 width). */
static const double widths[] = {1e-3, 1.0, 8.0, 44.0, 46.0, 300.0, 5e3};

static float logits[COUNT], laid_out[COUNT], row_weights[ROWS_MOST];
static int32_t labels[ROWS_MOST];
static double class_alpha[CLASSES_MOST], class_weights[CLASSES_MOST];

typedef struct {
    float loss[ROWS_MOST], gradient[COUNT];
} results;

typedef struct {
    size_t rows, classes;
    double gamma, smoothing, alpha; /* alpha NaN: off */
    bool class_alphas, class_weighted, row_weighted;
} test_case;

/* How it is computed, on which no bit may depend. */
typedef struct {
    const char *isa;
    uint32_t unroll;
    size_t pad;             /* between rows, or between classes in the middle */
    bool by_columns;        /* classes in the middle: one outer index, the rows along inner */
    bool in_place, ignores; /* every third row's label is one to ignore */
    focal_target_kind kind;
    focal_smoothing_mode mode;
} variation;

static bool is_ignored(variation how, size_t row) {
    return how.ignores && row % 3 == 1;
}

static double unit(random_source *random) {
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

static size_t place_of(const test_case *test, variation how, size_t row, size_t class) {
    return how.by_columns ? class * (test->rows + how.pad) + row
                          : row * (test->classes + how.pad) + class;
}

/* The labels in the type that is wanted. */
static const void *labels_as(const test_case *test, variation how) {
    static uint8_t as_u8[ROWS_MOST];
    static int32_t as_i32[ROWS_MOST];
    static int64_t as_i64[ROWS_MOST];
    for (size_t r = 0; r < test->rows; r++) {
        as_i32[r] = is_ignored(how, r) ? IGNORED : labels[r];
        as_u8[r] = (uint8_t)as_i32[r];
        as_i64[r] = as_i32[r];
    }
    return how.kind == FOCAL_TARGET_LABEL_U8    ? (const void *)as_u8
           : how.kind == FOCAL_TARGET_LABEL_I64 ? (const void *)as_i64
                                                : as_i32;
}

static focal_problem problem_of(const test_case *test, variation how) {
    focal_problem problem;
    focal_problem_init(&problem);
    problem.op = FOCAL_SOFTMAX;
    problem.target_kind = how.kind;
    problem.outer = how.by_columns ? 1 : (int64_t)test->rows;
    problem.inner = how.by_columns ? (int64_t)test->rows : 1;
    problem.classes = (int64_t)test->classes;
    const int64_t columns = (int64_t)(test->rows + how.pad);
    const int64_t rows = (int64_t)(test->classes + how.pad);
    problem.logits_class_stride = problem.gradient_class_stride = how.by_columns ? columns : 1;
    problem.logits_stride = problem.gradient_stride = how.by_columns ? 0 : rows;
    problem.gamma = test->gamma;
    problem.smoothing = test->smoothing;
    problem.smoothing_mode = how.mode;
    if (test->class_alphas) {
        problem.alpha_mode = FOCAL_ALPHA_PER_CLASS;
        problem.class_alpha = class_alpha;
    } else if (!isnan(test->alpha)) {
        problem.alpha_mode = FOCAL_ALPHA_SCALAR;
        problem.alpha = test->alpha;
    }
    if (how.ignores) {
        problem.label_flags = FOCAL_LABEL_IGNORE;
        problem.ignore = IGNORED;
    }
    problem.class_weight = test->class_weighted ? class_weights : NULL;
    problem.outputs = FOCAL_OUTPUT_ROW_LOSS | FOCAL_OUTPUT_GRADIENT;
    return problem;
}

static void execute(const test_case *test, variation how, results *to) {
    static float gradient[COUNT];
    const focal_problem problem = problem_of(test, how);
    focal_options options;
    focal_options_init(&options);
    options.isa = how.isa;
    options.unroll = how.unroll;
    for (size_t r = 0; r < test->rows; r++)
        for (size_t c = 0; c < test->classes; c++)
            laid_out[place_of(test, how, r, c)] = logits[r * test->classes + c];
    focal_buffers buffers;
    focal_buffers_init(&buffers);
    buffers.logits = laid_out;
    buffers.targets = labels_as(test, how);
    buffers.row_loss = to->loss;
    buffers.gradient = how.in_place ? laid_out : gradient;
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
    const float *from = how.in_place ? laid_out : gradient;
    for (size_t r = 0; r < test->rows; r++)
        for (size_t c = 0; c < test->classes; c++)
            to->gradient[r * test->classes + c] = from[place_of(test, how, r, c)];
}

/* ---- Against long double ---- */

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
    const long double alpha = isnan(test->alpha) ? 1.0L : test->alpha;
    t.weighted = powl(t.q, test->gamma) * (test->class_alphas ? class_alpha[label] : alpha);
    t.weighted *= test->class_weighted ? class_weights[label] : 1.0;
    t.weighted *= test->row_weighted ? row_weights[r] : 1.0F;
    return t;
}

static double worst[2];

static void check_result(const test_case *test, const char *isa, const char *what, float got,
                         long double exact, long double size) {
    const double error = oracle_error(got, exact, size);
    worst[*what == 'g'] = fmax(worst[*what == 'g'], error);
    CHECK_CASE(error <= bound_ulp(SOFTMAX_LABELS, FOCAL_TIER_FAST, test->gamma, size),
               "row %s, %zu x %zu, gamma %g, smoothing %g: %s %a, exact %.9Lg, off by %g ULP",
               isa, test->rows, test->classes, test->gamma, test->smoothing, what, (double)got,
               exact, error);
}

static void judge(const test_case *test, const char *isa, const results *got) {
    const long double share = (long double)test->smoothing / (long double)test->classes;
    const long double gamma = test->gamma;
    for (size_t r = 0; r < test->rows; r++) {
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

/* ---- Bit for bit ---- */

/* But for ignored rows, which have zeros. */
static void same(const test_case *test, const results *a, const results *b, variation how,
                 const char *what) {
    int equal = 1;
    for (size_t r = 0; r < test->rows; r++) {
        const bool ignored = is_ignored(how, r);
        const float loss = ignored ? 0.0F : a->loss[r];
        equal = equal && ulp_bits_f32(loss) == ulp_bits_f32(b->loss[r]);
        for (size_t i = r * test->classes; i < (r + 1) * test->classes; i++) {
            const float gradient = ignored ? 0.0F : a->gradient[i];
            equal = equal && ulp_bits_f32(gradient) == ulp_bits_f32(b->gradient[i]);
        }
    }
    CHECK_CASE(equal, "row %s, %zu x %zu, gamma %g, smoothing %g: other bits %s", how.isa,
               test->rows, test->classes, test->gamma, test->smoothing, what);
}

static void check_as(const test_case *test, variation how, const results *got,
                     const char *what) {
    static results other;
    execute(test, how, &other);
    same(test, got, &other, how, what);
}

static void check_variations(const test_case *test, variation how, const results *got) {
    variation v = how;
    v.unroll = 32;
    check_as(test, v, got, "with another unroll");
    for (int columns = 0; columns < 2; columns++) {
        v = how;
        v.by_columns = columns;
        check_as(test, v, got, columns ? "with classes in the middle" : "again");
        v.pad = PAD;
        check_as(test, v, got, columns ? "padded, in the middle" : "with padding");
        v.in_place = true;
        check_as(test, v, got, columns ? "in place, in the middle" : "in place");
        v.in_place = false;
        v.ignores = true;
        if (test->classes <= IGNORED)
            check_as(test, v, got, "beside ignored rows");
    }
    v = how;
    v.kind = FOCAL_TARGET_LABEL_I64;
    check_as(test, v, got, "with labels of 64 bits");
    v.kind = FOCAL_TARGET_LABEL_U8;
    if (test->classes <= 256)
        check_as(test, v, got, "with labels of 8 bits");
    v = how;
    v.mode = FOCAL_SMOOTH_TARGET;
    if (test->gamma == 0.0)
        check_as(test, v, got, "with smoothed targets");
    v = how;
    v.isa = "scalarfma";
    if (strcmp(how.isa, "scalar") != 0)
        check_as(test, v, got, "than scalarfma's");
}

/* ---- Problems ---- */

static void make_inputs(const test_case *test, random_source *random) {
    double width = widths[random_below(random, sizeof widths / sizeof *widths)];
    /* Where 1 - p_t is below all doubles, a small power would leave more of it. */
    if (test->gamma > 0.0 && test->gamma < 0.5)
        width = fmin(width, 300.0);
    for (size_t i = 0; i < test->rows * test->classes; i++)
        logits[i] = (float)((2.0 * unit(random) - 1.0) * width);
    for (size_t r = 0; r < test->rows; r++) {
        labels[r] = (int32_t)random_below(random, (uint32_t)test->classes);
        row_weights[r] = (float)unit(random);
        if (random_below(random, 2)) /* a label that outweighs the others */
            logits[r * test->classes + (size_t)labels[r]] = (float)width;
    }
    for (size_t c = 0; c < test->classes; c++) {
        class_weights[c] = unit(random);
        class_alpha[c] = unit(random);
    }
}

static variation usual(const char *isa) {
    return (variation){.isa = isa,
                       .unroll = 16,
                       .kind = FOCAL_TARGET_LABEL_I32,
                       .mode = FOCAL_SMOOTH_CROSS_ENTROPY};
}

static void check_random(const char *isa, random_source *random) {
    static const size_t rows[] = {3, 17, ROWS_MOST};
    static results got;
    const uint32_t size = random_below(random, 3);
    test_case test = {.rows = rows[size],
                      .gamma = gammas[random_below(random, sizeof gammas / sizeof *gammas)],
                      .smoothing = random_below(random, 3) ? unit(random) : 0.1,
                      .alpha = random_below(random, 2) ? 0.25 : NAN,
                      .class_alphas = random_below(random, 4) == 0,
                      .class_weighted = random_below(random, 4) == 0,
                      .row_weighted = random_below(random, 4) == 0};
    test.classes = 2 + random_below(random, size == 0 ? CLASSES_MOST - 1 : FEW_CLASSES - 1);
    make_inputs(&test, random);
    execute(&test, usual(isa), &got);
    judge(&test, isa, &got);
    check_variations(&test, usual(isa), &got);
}

/* Row 0 has a masked class, row 1 a NaN, row 2 nothing but its label, row 3 a label that outweighs all,
 * row 4 nothing special. An alpha of 0 makes everything 0. */
static void check_limits(const char *isa, double gamma, double alpha) {
    enum { ROWS = 5, CLASSES = 20, LABEL = 5, OTHER = 3 };
    static results got;
    const test_case test = {
        .rows = ROWS, .classes = CLASSES, .gamma = gamma, .smoothing = 0.1, .alpha = alpha};
    random_source random = random_named(3, "limits", 6);
    make_inputs(&test, &random);
    for (size_t c = 0; c < CLASSES; c++)
        logits[2 * CLASSES + c] = -HUGE_VALF;
    labels[0] = labels[2] = labels[3] = LABEL;
    logits[OTHER] = -HUGE_VALF;
    logits[CLASSES + OTHER] = NAN;
    logits[2 * CLASSES + LABEL] = 1.0F;
    logits[3 * CLASSES + LABEL] = 600.0F;
    execute(&test, usual(isa), &got);
    const bool none = alpha == 0.0;
    for (size_t i = 0; i < ROWS * CLASSES; i++) {
        const bool lost = i / CLASSES == 1 && !none;
        const double g = (double)got.gradient[i];
        CHECK_CASE((isnan(g) != 0) == lost && (!none || g == 0.0),
                   "row %s, gamma %g, alpha %g: gradient %zu of row %zu is %g", isa, gamma,
                   alpha, i % CLASSES, i / CLASSES, g);
    }
    CHECK_CASE((double)got.loss[0] == (none ? 0.0 : (double)HUGE_VALF),
               "row %s: a masked class costs %g", isa, (double)got.loss[0]);
    CHECK_CASE(none ? got.loss[1] == 0.0F : isnan(got.loss[1]), "row %s: a NaN is lost", isa);
    for (size_t r = 3; r < ROWS; r++) {
        const row_terms t = terms_of(&test, r);
        check_result(&test, isa, "loss", got.loss[r], t.weighted * t.cost, t.weighted * t.cost);
    }
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
