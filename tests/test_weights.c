/* Weights of tier fast: every result is that of the problem without weights, times the product of its
 * weights and alpha, rounded as docs/numerics.md says; what is counted of them; and no byte read or
 * written beside the arrays. On every ISA row. */
#include <math.h>

#include "check.h"
#include "evaluate.h"
#include "guard.h"
#include "random.h"
#include "storage.h"
#include "ulp.h"

enum { ELEMENTS_MOST = 9200, ROWS_MOST = 4100, CLASSES_MOST = 5000, IGNORED = -7 };

/* What weighs. */
enum { BY_ROW = 1, BY_ELEMENT = 2, BY_CLASS = 4, BY_ALPHA = 8, WAYS = 16 };

/* One row beyond a block; rows whose blocks end with a part of a step; rows of several blocks; one row
 * of planes or less, and pixels of which some share a block. */
static const struct {
    int64_t outer, inner, classes;
} shapes[] = {{4100, 1, 1}, {33, 1, 2},  {1, 1, 80},  {60, 1, 80}, {3, 1, 511}, {9, 1, 1000},
              {2, 1, 4500}, {3, 19, 21}, {1, 300, 3}, {5, 7, 33},  {40, 1, 17}, {1, 2, 4097}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef struct {
    const char *isa;
    focal_problem problem;
    unsigned ways;
    bool in_place, zeros;
} test_case;

/* Rows one after the other, whatever the tested layout. */
static float logits[ELEMENTS_MOST], targets[ELEMENTS_MOST], element_weight[ELEMENTS_MOST];
static int32_t labels[ROWS_MOST];
static float row_weight[ROWS_MOST];
static double class_weight[CLASSES_MOST], class_alpha[CLASSES_MOST];
static float plain_loss[ELEMENTS_MOST], plain_gradient[ELEMENTS_MOST], plain_rows[ROWS_MOST];

/* The tested problem's arrays. */
static guard_buffer logits_at, targets_at, labels_at, rows_at, elements_at, loss_at,
    row_loss_at, gradient_at;
static guard_buffer *const guards[] = {&logits_at,   &targets_at, &labels_at,   &rows_at,
                                       &elements_at, &loss_at,    &row_loss_at, &gradient_at};

static int64_t rows_of(const focal_problem *p) {
    return p->outer * p->inner;
}

static size_t place(const focal_problem *p, int64_t row, int64_t class) {
    return (size_t)((row / p->inner * p->classes + class) * p->inner + row % p->inner);
}

static double unit(random_source *source) {
    return (double)(random_next(source) >> 11) * 0x1p-53;
}

/* Exact in every storage type. */
static float draw_logit(random_source *source, int64_t row) {
    uint32_t rare = row % 9 == 4 ? random_below(source, 60) : 3;
    if (rare < 3)
        return rare == 0 ? NAN : rare == 1 ? HUGE_VALF : -HUGE_VALF;
    return (float)((int)random_below(source, 193) - 96) * 0.125F;
}

static void make_inputs(random_source *source, const test_case *t) {
    const focal_problem *p = &t->problem;
    for (int64_t row = 0; row < rows_of(p); row++) {
        labels[row] = (int32_t)random_below(source, (uint32_t)p->classes);
        if (p->label_flags & FOCAL_LABEL_IGNORE && random_below(source, 5) == 0)
            labels[row] = IGNORED;
        row_weight[row] = (float)(0.25 + 4.0 * unit(source));
        if (t->zeros && random_below(source, 4) == 0)
            row_weight[row] = 0.0F;
        for (int64_t c = 0; c < p->classes; c++) {
            const size_t at = (size_t)(row * p->classes + c);
            logits[at] = draw_logit(source, row);
            targets[at] = random_below(source, 6) == 0;
            element_weight[at] = (float)(0.25 + 4.0 * unit(source));
            if (t->zeros && random_below(source, 7) == 0)
                element_weight[at] = 0.0F;
        }
    }
    for (int64_t c = 0; c < p->classes; c++) {
        class_weight[c] = t->zeros && random_below(source, 8) == 0 ? 0.0 : 0.1 + unit(source);
        class_alpha[c] = 0.01 + 0.98 * unit(source);
    }
}

/* ---- What is expected ---- */

static bool is_ignored(const focal_problem *p, int64_t row) {
    return p->label_flags & FOCAL_LABEL_IGNORE && labels[row] == IGNORED;
}

static double target_of(const focal_problem *p, int64_t row, int64_t c) {
    return p->target_kind == FOCAL_TARGET_DENSE ? (double)targets[row * p->classes + c]
                                                : labels[row] == c;
}

/* Weights without alpha; for softmax of the row's label. */
static double weight_of(const test_case *t, int64_t row, int64_t c) {
    double product = t->ways & BY_ROW ? (double)row_weight[row] : 1.0;
    if (t->ways & BY_CLASS)
        product *= class_weight[c];
    if (t->ways & BY_ELEMENT)
        product *= (double)element_weight[row * t->problem.classes + c];
    return product;
}

/* What the result without weights and alpha per class is multiplied by. */
static double factor_of(const test_case *t, int64_t row, int64_t c) {
    const double target = target_of(&t->problem, row, c), weight = weight_of(t, row, c);
    if (!(t->ways & BY_ALPHA))
        return weight;
    return weight * (class_alpha[c] * target + (1.0 - class_alpha[c]) * (1.0 - target));
}

/* Runs rows [row, row + rows), one after the other, without weights; returns the sum. */
static double run_plain(const test_case *t, int64_t row, int64_t rows, double alpha) {
    const int64_t classes = t->problem.classes;
    const size_t at = (size_t)(row * classes);
    const bool softmax = t->problem.op == FOCAL_SOFTMAX;
    const void *given = t->problem.target_kind == FOCAL_TARGET_DENSE
                            ? (const void *)(targets + at)
                            : (const void *)(labels + row);
    if (!softmax && t->problem.target_kind != FOCAL_TARGET_DENSE) {
        static float marks[ELEMENTS_MOST];
        for (int64_t i = 0; i < rows * classes; i++)
            marks[i] = (float)target_of(&t->problem, row + i / classes, i % classes);
        given = marks;
    }
    return evaluate((evaluation){
        .on = {t->isa, FOCAL_TIER_FAST},
        .op = t->problem.op,
        .kind = softmax ? FOCAL_TARGET_LABEL_I32 : FOCAL_TARGET_DENSE,
        .outer = (size_t)rows,
        .classes = (size_t)classes,
        .gamma = t->problem.gamma,
        .alpha = alpha,
        .logits = logits + at,
        .targets = given,
        .loss = softmax ? NULL : plain_loss + at,
        .row_loss = softmax ? plain_rows + row : NULL,
        .gradient = plain_gradient + at,
    });
}

static float times(float value, double factor) {
    return factor == 0.0 ? 0.0F : value * (float)factor;
}

/* Makes the expected results of the plain ones. Softmax has factors inside its arithmetic in double: of
 * their power of two a row is multiplied, the rest is its alpha. */
static void expect(const test_case *t) {
    const focal_problem *p = &t->problem;
    const double own_alpha = p->alpha_mode == FOCAL_ALPHA_SCALAR ? p->alpha : NAN;
    if (p->op == FOCAL_SIGMOID)
        run_plain(t, 0, rows_of(p), own_alpha);
    for (int64_t row = 0; row < rows_of(p); row++) {
        const bool ignored = is_ignored(p, row);
        int exponent = 0;
        if (p->op == FOCAL_SOFTMAX && !ignored) {
            double factor = weight_of(t, row, labels[row]);
            if (t->ways & BY_ALPHA)
                factor *= class_alpha[labels[row]];
            else if (!isnan(own_alpha))
                factor *= own_alpha;
            run_plain(t, row, 1, frexp(factor, &exponent));
            if (weight_of(t, row, labels[row]) == 0.0)
                plain_rows[row] = 0.0F;
            plain_rows[row] = ldexpf(plain_rows[row], exponent);
        } else if (ignored) {
            plain_rows[row] = 0.0F;
        }
        for (int64_t c = 0; c < p->classes; c++) {
            const size_t at = (size_t)(row * p->classes + c);
            double factor = ignored ? 0.0 : ldexp(1.0, exponent);
            if (!ignored && p->op == FOCAL_SIGMOID)
                factor = factor_of(t, row, c);
            else if (!ignored && weight_of(t, row, labels[row]) == 0.0)
                factor = 0.0;
            plain_loss[at] = times(plain_loss[at], factor);
            plain_gradient[at] = times(plain_gradient[at], factor);
        }
    }
}

/* ---- The tested problem ---- */

static void *put(guard_buffer *buffer, size_t size) {
    return guard_put(buffer, GUARD_END, size, 0);
}

static focal_buffers put_inputs(const test_case *t) {
    const focal_problem *p = &t->problem;
    const size_t rows = (size_t)rows_of(p), count = rows * (size_t)p->classes;
    const size_t size = storage_of(p->dtype).bytes;
    focal_buffers b;
    focal_buffers_init(&b);
    void *const own_logits = put(&logits_at, count * size);
    float *const own_elements = put(&elements_at, count * sizeof(float));
    void *const dense = put(&targets_at, count * size);
    for (int64_t row = 0; row < (int64_t)rows; row++)
        for (int64_t c = 0; c < p->classes; c++) {
            const size_t from = (size_t)(row * p->classes + c), to = place(p, row, c);
            storage_store(p->dtype, own_logits, (int64_t)to, (double)logits[from]);
            storage_store(p->dtype, dense, (int64_t)to, (double)targets[from]);
            own_elements[to] = element_weight[from];
        }
    b.logits = own_logits;
    b.targets =
        p->target_kind == FOCAL_TARGET_DENSE
            ? dense
            : memcpy(put(&labels_at, rows * sizeof *labels), labels, rows * sizeof *labels);
    if (t->ways & BY_ELEMENT)
        b.element_weight = own_elements;
    if (t->ways & BY_ROW)
        b.row_weight =
            memcpy(put(&rows_at, rows * sizeof(float)), row_weight, rows * sizeof(float));
    b.loss = put(&loss_at, count * size);
    b.row_loss = put(&row_loss_at, rows * size);
    b.gradient = t->in_place ? own_logits : put(&gradient_at, count * size);
    return b;
}

static bool run_weighted(const test_case *t, const focal_buffers *buffers, focal_sums *sums) {
    focal_plan *plan = NULL;
    focal_error error = FOCAL_ERROR_INIT;
    focal_options options;
    focal_options_init(&options);
    options.isa = t->isa;
    const bool good =
        CHECK_STATUS(focal_plan_create(&plan, &t->problem, &options, &error), FOCAL_OK) &&
        CHECK_STATUS(focal_plan_execute(plan, buffers, NULL, sums, &error), FOCAL_OK);
    if (!good)
        puts(error.message);
    char text[512] = "";
    focal_plan_describe(plan, text, sizeof text);
    CHECK_CASE(strstr(text, "focal_f32_") == text, "%s", text);
    focal_plan_destroy(plan);
    return good;
}

/* The bits of a float, or the nearest of 16 bits. */
static bool is_right(focal_dtype dtype, double got, float expected) {
    if (dtype == FOCAL_DTYPE_DEFAULT || dtype == FOCAL_F32 || isnan(expected) ||
        isinf(expected))
        return ulp_bits_f32((float)got) == ulp_bits_f32(expected);
    if (isinf(got))
        return (long double)fabsf(expected) >= storage_overflow(dtype);
    return fabsl((long double)got - (long double)expected) <=
           0.5L * storage_ulp(dtype, (long double)expected);
}

static long double sum_of(const float *values, size_t count) {
    long double sum = 0.0L;
    for (size_t i = 0; i < count; i++)
        sum += (long double)values[i];
    return sum;
}

static bool is_near(double got, long double exact, long double relative, long double extra) {
    if (isnan(exact) || isinf(exact))
        return isnan(exact) ? isnan(got) : (long double)got == exact;
    return fabsl((long double)got - exact) <= relative * fabsl(exact) + extra;
}

/* How many results are wrong. */
static unsigned count_wrong(const test_case *t, const focal_buffers *b) {
    const focal_problem *p = &t->problem;
    unsigned wrong = 0;
    for (int64_t row = 0; row < rows_of(p); row++) {
        const float *own = plain_loss + row * p->classes;
        for (int64_t c = 0; c < p->classes; c++) {
            const size_t from = (size_t)(row * p->classes + c);
            const int64_t at = (int64_t)place(p, row, c);
            if (p->outputs & FOCAL_OUTPUT_LOSS)
                wrong += !is_right(p->dtype, storage_load(p->dtype, b->loss, at), own[c]);
            if (p->outputs & FOCAL_OUTPUT_GRADIENT)
                wrong += !is_right(p->dtype, storage_load(p->dtype, b->gradient, at),
                                   plain_gradient[from]);
        }
        if (!(p->outputs & FOCAL_OUTPUT_ROW_LOSS))
            continue;
        const double got = storage_load(p->dtype, b->row_loss, row);
        const long double sum = sum_of(own, (size_t)p->classes);
        if (p->op == FOCAL_SOFTMAX)
            wrong += !is_right(p->dtype, got, plain_rows[row]);
        else
            wrong += !is_near(got, sum, 1e-6L, 0.5L * storage_ulp(p->dtype, fabsl(sum)));
    }
    return wrong;
}

static void check_sums(const test_case *t, const focal_sums *sums, const char *what) {
    const focal_problem *p = &t->problem;
    long double weight = 0.0L, loss = 0.0L;
    int64_t positives = 0, ignored = 0;
    const bool weights = t->ways & (BY_ROW | BY_ELEMENT | BY_CLASS);
    for (int64_t row = 0; row < rows_of(p); row++) {
        loss += p->op == FOCAL_SOFTMAX
                    ? (long double)plain_rows[row]
                    : sum_of(plain_loss + row * p->classes, (size_t)p->classes);
        if (is_ignored(p, row)) {
            ignored++;
            continue;
        }
        positives += p->target_kind != FOCAL_TARGET_DENSE;
        if (p->op == FOCAL_SOFTMAX)
            weight += (long double)weight_of(t, row, labels[row]);
        else if (t->ways & (BY_ELEMENT | BY_CLASS))
            for (int64_t c = 0; c < p->classes; c++)
                weight += (long double)weight_of(t, row, c);
        else
            weight += (long double)weight_of(t, row, 0);
    }
    if (!weights)
        weight = (long double)(rows_of(p) - ignored);
    CHECK_CASE(sums->ignored == ignored && sums->positives == positives &&
                   sums->rows == rows_of(p) - ignored,
               "%s: %lld ignored, %lld positives", what, (long long)sums->ignored,
               (long long)sums->positives);
    CHECK_CASE(is_near(sums->weight, weight, 1e-13L, 0.0L), "%s: weight %a for %La", what,
               sums->weight, weight);
    if (p->outputs & FOCAL_OUTPUT_SUM)
        CHECK_CASE(is_near(sums->loss, loss, 1e-6L, 0.0L), "%s: sum %a for %La", what,
                   sums->loss, loss);
}

/* Weights of 1 change no bit of a sum, and no row but the one without fused operations has other bits
 * than the first. */
static void check_sum_bits(const test_case *t, const focal_sums *sums, size_t number,
                           const char *what) {
    static double first[SHAPES * 2 * WAYS];
    static bool seen[SHAPES * 2 * WAYS];
    if (strcmp(t->isa, "scalar") != 0) {
        if (!seen[number])
            first[number] = sums->loss;
        seen[number] = true;
        CHECK_CASE(ulp_bits_f64(first[number]) == ulp_bits_f64(sums->loss),
                   "%s: sum %a, first row %a", what, sums->loss, first[number]);
    }
    if (t->problem.op != FOCAL_SIGMOID || t->problem.label_flags || t->ways & BY_ALPHA ||
        t->problem.inner > 1 || !(t->problem.outputs & FOCAL_OUTPUT_SUM) || t->in_place)
        return;
    for (int64_t i = 0; i < rows_of(&t->problem) * t->problem.classes; i++)
        element_weight[i] = row_weight[i / t->problem.classes] = 1.0F;
    for (int64_t c = 0; c < t->problem.classes; c++)
        class_weight[c] = 1.0;
    const focal_buffers buffers = put_inputs(t);
    focal_sums ones = FOCAL_SUMS_INIT;
    if (!run_weighted(t, &buffers, &ones))
        return;
    const double alpha = t->problem.alpha_mode == FOCAL_ALPHA_SCALAR ? t->problem.alpha : NAN;
    const double plain = run_plain(t, 0, rows_of(&t->problem), alpha);
    CHECK_CASE(ulp_bits_f64(ones.loss) == ulp_bits_f64(plain),
               "%s: sum %a with weights of 1, %a without", what, ones.loss, plain);
}

static void check(random_source *source, const test_case *t, size_t number) {
    const focal_problem *p = &t->problem;
    char what[256];
    snprintf(what, sizeof what,
             "row %s, %s, %lld x %lld x %lld, targets %d, dtype %d, gamma %g, ways %u, outputs "
             "%u%s%s%s",
             t->isa, p->op == FOCAL_SOFTMAX ? "softmax" : "sigmoid", (long long)p->outer,
             (long long)p->classes, (long long)p->inner, (int)p->target_kind, (int)p->dtype,
             p->gamma, t->ways, (unsigned)p->outputs, t->in_place ? ", in place" : "",
             t->zeros ? ", zeros" : "", p->label_flags ? ", ignored rows" : "");
    make_inputs(source, t);
    const focal_buffers buffers = put_inputs(t);
    focal_sums sums = FOCAL_SUMS_INIT;
    if (!run_weighted(t, &buffers, &sums))
        return;
    expect(t);
    const unsigned wrong = count_wrong(t, &buffers);
    CHECK_CASE(wrong == 0, "%s: %u results", what, wrong);
    check_sums(t, &sums, what);
    for (size_t i = 0; i < sizeof guards / sizeof *guards; i++)
        CHECK_CASE(!guards[i]->data || guard_disturbance(guards[i]) == 0, "%s: beside %s", what,
                   guards[i]->name);
    check_sum_bits(t, &sums, number, what);
}

static void check_row(const char *isa) {
    static const double gammas[] = {0.0, 0.5, 1.0, 2.0, 2.7};
    static const focal_dtype dtypes[] = {FOCAL_F32, FOCAL_F32, FOCAL_F16, FOCAL_BF16};
    const uint32_t outputs[] = {FOCAL_OUTPUT_SUM, FOCAL_OUTPUT_GRADIENT,
                                FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_ROW_LOSS |
                                    FOCAL_OUTPUT_GRADIENT,
                                FOCAL_OUTPUT_LOSS | FOCAL_OUTPUT_GRADIENT};
    random_source source = random_named(23, "weights", 7);
    for (size_t s = 0; s < SHAPES; s++)
        for (unsigned way = 1; way < 2 * WAYS; way++) {
            const bool softmax = way >= WAYS;
            test_case t = {.isa = isa, .ways = way % WAYS, .zeros = way % 3 == 0};
            focal_problem *p = &t.problem;
            focal_problem_init(p);
            p->op = softmax ? FOCAL_SOFTMAX : FOCAL_SIGMOID;
            p->outer = shapes[s].outer;
            p->inner = shapes[s].inner;
            p->classes = shapes[s].classes;
            p->gamma = gammas[random_below(&source, 5)];
            p->dtype = dtypes[random_below(&source, 4)];
            p->outputs = outputs[random_below(&source, 4)];
            if (softmax || random_below(&source, 2))
                p->target_kind = FOCAL_TARGET_LABEL_I32;
            if (softmax) {
                p->outputs =
                    p->outputs & FOCAL_OUTPUT_LOSS ? FOCAL_OUTPUT_ROW_LOSS : p->outputs;
                t.ways &= ~(unsigned)BY_ELEMENT;
            }
            if (p->target_kind != FOCAL_TARGET_DENSE && random_below(&source, 2)) {
                p->label_flags = FOCAL_LABEL_IGNORE;
                p->ignore = IGNORED;
            }
            if (t.ways & BY_ALPHA) {
                p->alpha_mode = FOCAL_ALPHA_PER_CLASS;
                p->class_alpha = class_alpha;
            } else if (random_below(&source, 2)) {
                p->alpha_mode = FOCAL_ALPHA_SCALAR;
                p->alpha = 0.3;
            }
            p->class_weight = t.ways & BY_CLASS ? class_weight : NULL;
            t.in_place = p->outputs & FOCAL_OUTPUT_GRADIENT && random_below(&source, 3) == 0;
            check(&source, &t, s * 2 * WAYS + way);
        }
}

int main(void) {
    static const char *const names[] = {"logits",          "targets", "labels",   "row weights",
                                        "element weights", "loss",    "row loss", "gradient"};
    for (size_t i = 0; i < sizeof guards / sizeof *guards; i++)
        if (!guard_create(guards[i], names[i], 0xa5, ELEMENTS_MOST * sizeof(float))) {
            puts("no memory");
            return 1;
        }
    size_t index = 0;
    for (const char *isa; (isa = next_isa(&index)) != NULL;) {
        const unsigned passed = check_passed, failed = check_failed;
        check_row(isa);
        printf("row %s: %u passed, %u failed\n", isa, check_passed - passed,
               check_failed - failed);
    }
    for (size_t i = 0; i < sizeof guards / sizeof *guards; i++)
        guard_destroy(guards[i]);
    return check_report();
}
