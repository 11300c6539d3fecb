/* Labels of every kind are what their definition says: the bits of the same problem with a 0/1 float per
 * logit (sigmoid), or with the ignored rows left out (softmax), whatever the background's and the ignored
 * value are, in rows of one class and in rows that are longer than a block. What is no label is refused,
 * wherever it stands, and nothing is written. */
#include "check.h"
#include "evaluate.h"
#include "random.h"

enum { ROWS_MOST = 4200, ELEMENTS_MOST = 33000, LOGITS_SPREAD = 8 };

typedef struct {
    int64_t outer, classes, inner;
} shape;

/* One class, 2 and 4, which are marked, and others; more rows than a vector and than a block of 4096
 * elements; pieces of long rows of 1, 2 and 4 classes and more. */
static const shape shapes[] = {
    {4200, 1, 1}, {2100, 2, 1}, {700, 3, 1},  {1030, 4, 1}, {37, 5, 1},
    {33, 16, 1},  {29, 17, 1},  {70, 80, 1},  {24, 80, 1},  {5, 255, 1},
    {3, 300, 1},  {3, 4096, 1}, {4, 4097, 1}, {2, 4098, 1}, {2, 8196, 1},
    {3, 5000, 1}, {2, 5, 75},   {3, 21, 70},  {300, 4, 7},  {2, 1, 513},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* What background and ignored value may be. Aliases differ from a class, or WRAPPED from -1, in bits that
 * narrow labels do not have. */
#define SPECIALS(X)                                                                            \
    X(NONE, 0)                                                                                 \
    X(CLASS, classes > 1)                                                                      \
    X(ABOVE, classes)                                                                          \
    X(BELOW, -1)                                                                               \
    X(BYTE, UINT8_MAX)                                                                         \
    X(FAR_BELOW, INT32_MIN)                                                                    \
    X(ALIAS_OF_BYTE, UINT8_MAX + 2)                                                            \
    X(ALIAS, (INT64_C(1) << 32) + 1)                                                           \
    X(ALIAS_BELOW, 1 - (INT64_C(1) << 32))                                                     \
    X(WRAPPED, UINT32_MAX)
typedef enum {
#define SPECIAL(name, value) name,
    SPECIALS(SPECIAL)
#undef SPECIAL
        SPECIAL_COUNT
} special;

static int64_t special_value(special which, int64_t classes) {
    const int64_t values[] = {
#define SPECIAL(name, value) value,
        SPECIALS(SPECIAL)
#undef SPECIAL
    };
    return values[which];
}

typedef struct {
    const char *isa;
    const shape *shape;
    focal_op op;
    focal_target_kind kind;
    focal_tier tier;
    special background, ignore;
} test_case;

static const struct {
    focal_target_kind kind;
    int64_t least, most;
    size_t size;
} kinds[] = {
    {FOCAL_TARGET_LABEL_U8, 0, UINT8_MAX, 1},
    {FOCAL_TARGET_LABEL_I32, INT32_MIN, INT32_MAX, 4},
    {FOCAL_TARGET_LABEL_I64, INT64_MIN, INT64_MAX, 8},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static int fits(focal_target_kind kind, int64_t value) {
    return value >= kinds[kind - kinds[0].kind].least &&
           value <= kinds[kind - kinds[0].kind].most;
}

typedef struct {
    float loss[ELEMENTS_MOST], gradient[ELEMENTS_MOST], row_loss[ROWS_MOST];
    focal_sums sums;
} results;

static float logits[ELEMENTS_MOST], dense[ELEMENTS_MOST];
static int64_t labels[ROWS_MOST], raw[ROWS_MOST]; /* as given; raw in the kind's size */
static results got, expected;

static void store(focal_target_kind kind, size_t index, int64_t label) {
    if (kind == FOCAL_TARGET_LABEL_U8)
        ((uint8_t *)raw)[index] = (uint8_t)label;
    else if (kind == FOCAL_TARGET_LABEL_I32)
        ((int32_t *)raw)[index] = (int32_t)label;
    else
        raw[index] = label;
}

static size_t row_count(const test_case *v) {
    return (size_t)(v->shape->outer * v->shape->inner);
}

/* Where row and class lie: outer x classes x inner. */
static size_t place(const shape *s, size_t row, size_t class) {
    size_t inner = (size_t)s->inner;
    return (row / inner * (size_t)s->classes + class) * inner + row % inner;
}

static int is_special(special which, const test_case *v, size_t row) {
    return which != NONE && labels[row] == special_value(which, v->shape->classes);
}

static int is_ignored(const test_case *v, size_t row) {
    return is_special(v->ignore, v, row);
}

/* Whether the row's target of the class is 1. */
static int is_positive(const test_case *v, size_t row, int64_t class) {
    return labels[row] == class && !is_special(v->background, v, row) && !is_ignored(v, row);
}

static int has_positive(const test_case *v, size_t row) {
    return is_positive(v, row, labels[row]) && labels[row] >= 0 &&
           labels[row] < v->shape->classes;
}

/* Classes as far as the kind goes, on the borders of blocks in the first rows; specials among them. */
static void make_inputs(random_source *source, const test_case *v) {
    const int64_t classes = v->shape->classes;
    const int64_t borders[] = {classes - 1, classes > 4096 ? 4096 : 0,
                               classes > 4095 ? 4095 : 0};
    const special specials[] = {v->background, v->ignore};
    for (size_t row = 0; row < row_count(v); row++) {
        int64_t label =
            row < 3 ? borders[row] : (int64_t)random_below(source, (uint32_t)classes);
        special which = specials[random_below(source, 2)];
        if (which != NONE && row >= 2 && random_below(source, 3) == 0)
            label = special_value(which, classes);
        if (!fits(v->kind, label))
            label = (int64_t)random_below(source, (uint32_t)(classes < 256 ? classes : 256));
        labels[row] = label;
        store(v->kind, row, label);
    }
    for (size_t row = 0; row < row_count(v); row++)
        for (int64_t class = 0; class < classes; class ++) {
            const float unit = (float)random_below(source, 1U << 24) * 0x1p-23F - 1.0F;
            const size_t at = place(v->shape, row, (size_t) class);
            logits[at] = LOGITS_SPREAD * unit;
            dense[at] = is_positive(v, row, class) ? 1.0F : 0.0F;
        }
}

static focal_problem problem_of_case(const test_case *v) {
    focal_problem p;
    focal_problem_init(&p);
    p.op = v->op;
    p.target_kind = v->kind;
    p.tier = v->tier;
    p.outer = v->shape->outer;
    p.classes = v->shape->classes;
    p.inner = v->shape->inner;
    p.gamma = 2.0;
    p.alpha_mode = FOCAL_ALPHA_SCALAR;
    p.alpha = 0.25;
    p.outputs = FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_ROW_LOSS | FOCAL_OUTPUT_GRADIENT;
    if (v->op == FOCAL_SIGMOID)
        p.outputs |= FOCAL_OUTPUT_LOSS;
    p.label_flags = (v->background != NONE ? FOCAL_LABEL_BACKGROUND : 0U) |
                    (v->ignore != NONE ? FOCAL_LABEL_IGNORE : 0U);
    p.background = special_value(v->background, p.classes);
    p.ignore = special_value(v->ignore, p.classes);
    return p;
}

static focal_plan *make_plan(const char *isa, const focal_problem *problem) {
    focal_plan *plan = NULL;
    focal_error error = FOCAL_ERROR_INIT;
    focal_options options;
    focal_options_init(&options);
    options.isa = isa;
    if (!CHECK_STATUS(focal_plan_create(&plan, problem, &options, &error), FOCAL_OK))
        puts(error.message);
    return plan;
}

static void forget(results *r) {
    memset(r, 0xa5, sizeof *r);
    r->sums = (focal_sums)FOCAL_SUMS_INIT;
}

static focal_status execute(const focal_plan *plan, const float *from, const void *targets,
                            results *to, focal_error *error) {
    focal_buffers buffers;
    focal_buffers_init(&buffers);
    buffers.logits = from;
    buffers.targets = targets;
    buffers.loss = to->loss;
    buffers.gradient = to->gradient;
    buffers.row_loss = to->row_loss;
    return focal_plan_execute(plan, &buffers, NULL, &to->sums, error);
}

static void run(const test_case *v, const focal_problem *problem, const float *from,
                const void *targets, results *to) {
    focal_plan *plan = make_plan(v->isa, problem);
    focal_error error = FOCAL_ERROR_INIT;
    forget(to);
    if (!CHECK_STATUS(execute(plan, from, targets, to, &error), FOCAL_OK))
        puts(error.message);
    focal_plan_destroy(plan);
}

#define CHECK_V(holds)                                                                         \
    CHECK_CASE(holds, "%s op %d kind %d tier %d, %lld x %lld x %lld, background %d ignore %d", \
               v->isa, (int)v->op, (int)v->kind, (int)v->tier, (long long)v->shape->outer,     \
               (long long)v->shape->classes, (long long)v->shape->inner, (int)v->background,   \
               (int)v->ignore)

/* Element by element: kept rows as expected at the row that `row_of` names, zeros for ignored ones. */
static void compare(const test_case *v, const shape *other, int has_loss) {
    size_t kept = 0, wrong = 0;
    for (size_t row = 0; row < row_count(v); row++) {
        int ignored = is_ignored(v, row);
        size_t from = v->op == FOCAL_SIGMOID ? row : kept;
        const float zero = 0.0F, *row_loss = ignored ? &zero : &expected.row_loss[from];
        wrong += memcmp(&got.row_loss[row], row_loss, sizeof zero) != 0;
        for (size_t c = 0; c < (size_t)v->shape->classes; c++) {
            size_t at = place(v->shape, row, c), there = ignored ? 0 : place(other, from, c);
            const float *loss = ignored ? &zero : &expected.loss[there];
            const float *gradient = ignored ? &zero : &expected.gradient[there];
            wrong += memcmp(&got.gradient[at], gradient, sizeof zero) != 0;
            wrong += has_loss && memcmp(&got.loss[at], loss, sizeof zero) != 0;
        }
        kept += !ignored;
    }
    CHECK_V(wrong == 0);
    CHECK_V(got.sums.rows == (int64_t)kept);
    CHECK_V(got.sums.ignored == (int64_t)(row_count(v) - kept));
}

static void test_sigmoid(const test_case *v) {
    int64_t positives = 0, ignored = 0;
    for (size_t row = 0; row < row_count(v); row++) {
        positives += has_positive(v, row);
        ignored += is_ignored(v, row);
    }
    focal_problem p = problem_of_case(v), by_element = p;
    by_element.target_kind = FOCAL_TARGET_DENSE;
    by_element.label_flags = 0;
    run(v, &by_element, logits, dense, &expected);
    run(v, &p, logits, raw, &got);
    compare(v, v->shape, 1);
    CHECK_V(got.sums.positives == positives);
    if (ignored == 0)
        CHECK_V(got.sums.loss == expected.sums.loss);
}

/* All kept rows' classes one after the other, labels in 64 bits: no skip, no planes, no flags. At gamma
 * 0 the gradient says which class the label is: it alone is below 0. */
static void test_softmax(const test_case *v) {
    static float kept_logits[ELEMENTS_MOST];
    static int64_t kept_labels[ROWS_MOST];
    const shape *s = v->shape;
    focal_problem p = problem_of_case(v), by_row = p;
    size_t kept = 0, wrong = 0;
    for (size_t row = 0; row < row_count(v); row++) {
        if (is_ignored(v, row))
            continue;
        kept_labels[kept] = labels[row];
        for (size_t c = 0; c < (size_t)s->classes; c++)
            kept_logits[kept * (size_t)s->classes + c] = logits[place(s, row, c)];
        kept++;
    }
    const shape rows = {(int64_t)kept, s->classes, 1};
    by_row.target_kind = FOCAL_TARGET_LABEL_I64;
    by_row.label_flags = 0;
    by_row.outer = rows.outer;
    by_row.inner = 1;
    run(v, &by_row, kept_logits, kept_labels, &expected);
    run(v, &p, logits, raw, &got);
    compare(v, &rows, 0);
    CHECK_V(got.sums.positives == (int64_t)kept);
    p.gamma = 0.0;
    run(v, &p, logits, raw, &got);
    for (size_t row = 0; s->classes > 1 && row < row_count(v); row++)
        for (size_t c = 0; !is_ignored(v, row) && c < (size_t)s->classes; c++)
            wrong += (got.gradient[place(s, row, c)] < 0.0F) != (labels[row] == (int64_t)c);
    CHECK_V(wrong == 0);
}

/* A label that means nothing, in each row and once more in the last: the first one is named. */
static void refuse(const test_case *v, int64_t bad) {
    static results untouched;
    const focal_problem p = problem_of_case(v);
    focal_plan *plan = make_plan(v->isa, &p);
    const size_t rows = row_count(v);
    int hints = 0;
    forget(&untouched);
    forget(&got);
    for (size_t row = 0; row < rows; row++) {
        focal_error error = FOCAL_ERROR_INIT;
        store(v->kind, row, bad);
        store(v->kind, rows - 1, bad);
        const focal_status status = execute(plan, logits, raw, &got, &error);
        if (!CHECK_ERROR(status, error, FOCAL_E_LABEL, "targets", (int64_t)row))
            CHECK_CASE(
                0, "label %lld in row %zu of %lld classes, kind %d, background %d, ignore %d",
                (long long)bad, row, (long long)p.classes, (int)v->kind, (int)v->background,
                (int)v->ignore);
        /* Where no label has a special meaning yet, the message says how one gets it. */
        hints += (strstr(error.message, "FOCAL_LABEL_IGNORE gives it a meaning") != NULL) !=
                 (p.label_flags == 0);
        hints += (strstr(error.message, "FOCAL_LABEL_BACKGROUND") != NULL) !=
                 (p.label_flags == 0 && p.op == FOCAL_SIGMOID);
        store(v->kind, row, labels[row]);
        store(v->kind, rows - 1, labels[rows - 1]);
    }
    CHECK_V(hints == 0);
    CHECK_V(memcmp(&got, &untouched, sizeof got) == 0);
    focal_plan_destroy(plan);
}

static void test_bad(const test_case *v) {
    const int64_t classes = v->shape->classes;
    const int64_t values[] = {
        -1,
        -2,
        classes,
        classes + 1,
        UINT8_MAX,
        INT32_MIN,
        INT32_MAX,
        INT64_MIN,
        INT64_MAX,
        -classes,
        257,
        INT64_C(1) << 31,
        -(INT64_C(1) << 32),
        (INT64_C(1) << 32),
        (INT64_C(1) << 32) + 1,
        UINT32_MAX,
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        const int64_t bad = values[i];
        const int meant =
            (v->background != NONE && bad == special_value(v->background, classes)) ||
            (v->ignore != NONE && bad == special_value(v->ignore, classes));
        if (fits(v->kind, bad) && !meant && (bad < 0 || bad >= classes))
            refuse(v, bad);
    }
}

/* The longer ones take turns with the pairs of specials. */
static int has_turn(const test_case *v, size_t turn) {
    return row_count(v) * (size_t)v->shape->classes < 3000 || turn % 7 == 0;
}

static int are_apart(const test_case *v) {
    const int64_t classes = v->shape->classes;
    return v->background == NONE || v->ignore == NONE ||
           special_value(v->background, classes) != special_value(v->ignore, classes);
}

/* Checks do not depend on the row: `bad` asks for them. */
static void test_row(const char *isa, int bad) {
    random_source source = random_named(20170807, "labels", 6);
    size_t turn = 0;
    for (size_t c = 0; c < (size_t)SHAPES * KINDS * SPECIAL_COUNT * SPECIAL_COUNT; c++) {
        test_case v = {.isa = isa,
                       .shape = &shapes[c / SPECIAL_COUNT / SPECIAL_COUNT / KINDS],
                       .kind = kinds[c / SPECIAL_COUNT / SPECIAL_COUNT % KINDS].kind,
                       .op = FOCAL_SIGMOID,
                       .background = (special)(c / SPECIAL_COUNT % SPECIAL_COUNT),
                       .ignore = (special)(c % SPECIAL_COUNT)};
        if (!are_apart(&v) || !has_turn(&v, turn++))
            continue;
        v.tier = all_tiers[turn % TIERS];
        make_inputs(&source, &v);
        test_sigmoid(&v);
        if (bad && v.shape->classes < 300 && row_count(&v) <= 70)
            test_bad(&v);
        v.op = FOCAL_SOFTMAX;
        if (v.background == NONE)
            test_softmax(&v);
    }
}

int main(void) {
    size_t index = 0;
    for (const char *isa; (isa = next_isa(&index)) != NULL;) {
        const unsigned passed = check_passed, failed = check_failed;
        test_row(isa, index == 1);
        printf("row %s: %u passed, %u failed\n", isa, check_passed - passed,
               check_failed - failed);
    }
    return check_report();
}
