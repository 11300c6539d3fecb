/* Softmax with the class axis outside of the rows, as the pixels of N x C x H x W, and rows of few
 * classes, which the library turns over: the bits of the same rows one after the other or, of few classes,
 * one by one; on every ISA row, and no byte written beside the gradient. */
#include <math.h>

#include "check.h"
#include "evaluate.h"
#include "random.h"
#include "ulp.h"

enum { ELEMENTS_MOST = 30000, ROWS_MOST = 4400, PAD = 5, IGNORED = 999 };
/* Rows of less classes are turned over if there are 16 of them. */
enum { STEP = 16, BLOCK = 4096 };

typedef struct {
    int64_t outer, inner, classes;
} shape;

/* Blocks of 4096 elements that end within an image and on its border, strips of 256 rows, steps of
 * 16; classes on either side of a step, a quad of 64, and of what is taken by planes (256). */
static const shape shapes[] = {
    {1, 4400, 1}, {3, 700, 2},  {1, 500, 7},  {4, 31, 10},  {1, 1000, 15}, {2, 511, 16},
    {5, 100, 17}, {2, 195, 21}, {3, 200, 21}, {1, 1, 21},   {40, 7, 33},   {1, 170, 48},
    {2, 130, 63}, {2, 64, 64},  {2, 63, 65},  {1, 102, 80}, {2, 33, 128},  {1, 51, 129},
    {1, 40, 200}, {4, 17, 241}, {1, 33, 255}, {2, 17, 256}, {2, 17, 257},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

#define LOGIT_KINDS(X)                                                                         \
    X(MODERATE, "moderate")                                                                    \
    X(SOME_FAR, "some rows far out")                                                           \
    X(MASKED, "masked classes")                                                                \
    X(SPECIAL, "NaN and infinities")                                                           \
    X(OUTWEIGHED, "labels that outweigh all")                                                  \
    X(HUGE_ONES, "up to the largest float")
typedef enum {
#define KIND(name, text) name,
    LOGIT_KINDS(KIND)
#undef KIND
        KINDS
} logit_kind;
static const char *const kind_names[] = {
#define KIND(name, text) text,
    LOGIT_KINDS(KIND)
#undef KIND
};

typedef struct {
    const char *isa;
    const shape *shape;
    logit_kind kind;
    double gamma;
    uint32_t outputs;
    float upstream;
    int ignore, in_place;
    int flat; /* the tested rows lie one after the other, too */
} test_case;

static int32_t labels[ROWS_MOST];
static float rows_logits[ELEMENTS_MOST], rows_gradient[ELEMENTS_MOST], rows_loss[ROWS_MOST];
static float planes_logits[ELEMENTS_MOST], planes_gradient[ELEMENTS_MOST];
static float planes_loss[ROWS_MOST];

static float logit_of(random_source *source, logit_kind kind, int is_label) {
    const float unit = (float)random_below(source, 1U << 24) * 0x1p-23F - 1.0F;
    const uint32_t rare = random_below(source, 200);
    switch (kind) {
    case SOME_FAR:
        return rare == 0 ? 300.0F * unit : 40.0F * unit;
    case MASKED:
        return rare < 20 && !is_label ? -HUGE_VALF : 8.0F * unit;
    case SPECIAL:
        return rare == 0 ? NAN : rare == 1 ? HUGE_VALF : rare == 2 ? -HUGE_VALF : 8.0F * unit;
    case OUTWEIGHED:
        return is_label ? 43.0F + unit : -43.0F + unit * (rare < 40 ? 100.0F : 1.0F);
    case HUGE_ONES:
        return rare < 20 ? 3.4e38F * unit : 40.0F * unit;
    case MODERATE:
    case KINDS:
        break;
    }
    return 8.0F * unit;
}

static int64_t place(const focal_problem *p, int64_t row, int64_t class) {
    return row / p->inner * p->logits_stride + row % p->inner + class * p->logits_class_stride;
}

static focal_problem rows_problem(const test_case *v) {
    focal_problem p;
    focal_problem_init(&p);
    p.op = FOCAL_SOFTMAX;
    p.target_kind = FOCAL_TARGET_LABEL_I32;
    p.outer = v->shape->outer * v->shape->inner;
    p.inner = 1;
    p.classes = v->shape->classes;
    p.gamma = v->gamma;
    p.outputs = v->outputs;
    if (v->ignore) {
        p.label_flags = FOCAL_LABEL_IGNORE;
        p.ignore = IGNORED;
    }
    return p;
}

/* The same rows as pixels of images. */
static focal_problem planes_problem(const test_case *v) {
    focal_problem p = rows_problem(v);
    if (!v->flat) {
        p.outer = v->shape->outer;
        p.inner = v->shape->inner;
    }
    p.logits_class_stride = p.gradient_class_stride = v->flat ? 1 : p.inner + PAD;
    p.logits_stride = p.gradient_stride = p.classes * p.logits_class_stride + PAD;
    return p;
}

static void make_inputs(random_source *source, const test_case *v,
                        const focal_problem *planes) {
    const int64_t rows = v->shape->outer * v->shape->inner, classes = v->shape->classes;
    memset(planes_logits, 0xa5, sizeof planes_logits);
    memset(planes_gradient, 0xa5, sizeof planes_gradient);
    for (int64_t row = 0; row < rows; row++) {
        const int64_t label = random_below(source, (uint32_t)classes);
        labels[row] = (int32_t)label;
        for (int64_t class = 0; class < classes; class ++) {
            const float logit = logit_of(source, v->kind, class == label);
            rows_logits[row * classes + class] = logit;
            planes_logits[place(planes, row, class)] = logit;
        }
        if (v->ignore && random_below(source, 4) == 0)
            labels[row] = IGNORED;
    }
    if (v->in_place)
        memcpy(planes_gradient, planes_logits, sizeof planes_logits);
}

static double run(const test_case *v, const focal_problem *problem, const float *logits,
                  const int32_t *own_labels, float *gradient, float *row_loss) {
    focal_plan *plan = NULL;
    focal_error error = FOCAL_ERROR_INIT;
    focal_options options;
    focal_options_init(&options);
    options.isa = v->isa;
    focal_buffers buffers;
    focal_buffers_init(&buffers);
    buffers.logits = logits;
    buffers.targets = own_labels;
    buffers.upstream = &v->upstream;
    buffers.gradient = gradient;
    buffers.row_loss = row_loss;
    focal_sums sums = FOCAL_SUMS_INIT;
    if (focal_plan_create(&plan, problem, &options, &error) != FOCAL_OK ||
        focal_plan_execute(plan, &buffers, NULL, &sums, &error) != FOCAL_OK)
        CHECK_CASE(0, "%s", error.message);
    focal_plan_destroy(plan);
    return sums.loss;
}

static int is_same(float a, float b) {
    return ulp_bits_f32(a) == ulp_bits_f32(b);
}

/* One by one; the sum as docs/numerics.md has it. */
static double run_alone(const test_case *v, const focal_problem *rows) {
    focal_problem one = *rows;
    one.outer = 1;
    const int64_t block = BLOCK / rows->classes;
    double sum = 0.0, part = 0.0;
    for (int64_t row = 0; row < rows->outer; row++) {
        const int64_t at = row * rows->classes;
        part +=
            run(v, &one, rows_logits + at, labels + row, rows_gradient + at, rows_loss + row);
        if ((row + 1) % block == 0 || row + 1 == rows->outer) {
            sum += part;
            part = 0.0;
        }
    }
    return sum;
}

/* How many elements differ; what may be written in the gradient's array is marked as unwritten. */
static unsigned count_other(const test_case *v, const focal_problem *planes) {
    const int64_t rows = v->shape->outer * v->shape->inner, classes = v->shape->classes;
    unsigned other = 0;
    for (int64_t row = 0; row < rows; row++) {
        other +=
            v->outputs & FOCAL_OUTPUT_ROW_LOSS && !is_same(rows_loss[row], planes_loss[row]);
        for (int64_t class = 0; v->outputs & FOCAL_OUTPUT_GRADIENT && class < classes;
             class ++) {
            float *const at = &planes_gradient[place(planes, row, class)];
            other += !is_same(*at, rows_gradient[row * classes + class]);
            memset(at, 0xa5, sizeof *at);
        }
    }
    return other;
}

static void check(random_source *source, const test_case *v) {
    const focal_problem rows = rows_problem(v), planes = planes_problem(v);
    make_inputs(source, v, &planes);
    const double expected = rows.classes < STEP
                                ? run_alone(v, &rows)
                                : run(v, &rows, rows_logits, labels, rows_gradient, rows_loss);
    const double loss = run(v, &planes, v->in_place ? planes_gradient : planes_logits, labels,
                            planes_gradient, planes_loss);
    const unsigned other = count_other(v, &planes);
    unsigned written = 0;
    for (size_t i = 0; i < sizeof planes_gradient; i++)
        written += ((const unsigned char *)planes_gradient)[i] != 0xa5;
    CHECK_CASE(
        other == 0 && written == 0 && ulp_bits_f64(loss) == ulp_bits_f64(expected),
        "row %s, %lld x %lld x %lld%s, %s, gamma %g, outputs %u%s%s: %u elements differ, "
        "%u bytes beside them, sum %a for %a",
        v->isa, (long long)v->shape->outer, (long long)v->shape->classes,
        (long long)v->shape->inner, v->flat ? ", flat" : "", kind_names[v->kind], v->gamma,
        (unsigned)v->outputs, v->ignore ? ", ignored rows" : "",
        v->in_place ? ", in place" : "", other, written, loss, expected);
}

static void check_row(const char *isa) {
    static const double gammas[] = {0.0, 0.5, 1.0, 2.0, 2.7};
    const uint32_t outputs[] = {FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_ROW_LOSS, FOCAL_OUTPUT_GRADIENT,
                                FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_ROW_LOSS |
                                    FOCAL_OUTPUT_GRADIENT};
    random_source source = random_named(17, "planes", 6);
    for (size_t s = 0; s < SHAPES; s++) {
        const int alone = shapes[s].classes < STEP;
        for (int kind = 0; kind < KINDS; kind++)
            for (int way = 0; way < (alone ? 12 : 6); way++) {
                const test_case v = {.isa = isa,
                                     .shape = &shapes[s],
                                     .kind = (logit_kind)kind,
                                     .gamma = gammas[random_below(&source, 5)],
                                     .outputs = outputs[way % 3],
                                     .upstream = way & 1 ? -0x1p-60F : 3.0F,
                                     .ignore = way % 6 >= 2,
                                     .in_place = way % 6 >= 4,
                                     .flat = way >= 6};
                /* Thousands of rows one by one take their time. */
                if (!alone || shapes[s].inner < 1000 || (way + kind) % 4 == 0)
                    check(&source, &v);
            }
    }
}

int main(void) {
    size_t index = 0;
    for (const char *isa; (isa = next_isa(&index)) != NULL;) {
        const unsigned passed = check_passed, failed = check_failed;
        check_row(isa);
        printf("row %s: %u passed, %u failed\n", isa, check_passed - passed,
               check_failed - failed);
    }
    return check_report();
}
