/* Every two levels of any two fields of focal_problem, and every three of the fields with few
 * levels: a plan is made and then executes with finite results for finite inputs, or it is refused
 * with a field and a message. Nothing else, and no field's good level is refused everywhere.
 * Usage: test_form_sweep [--quick]. */
#include <stddef.h>

#include "check.h"
#include "evaluate.h"
#include "form_case.h"
#include "storage.h"

typedef enum { LEVEL_ENUM, LEVEL_INTEGER, LEVEL_REAL, LEVEL_ARRAY } level_kind;
enum { LEVELS_MAX = 10 };

/* A field with the levels that are tried; of those from `good` on, none may be accepted always. */
typedef struct field {
    const char *name;
    size_t offset;
    level_kind kind;
    int levels, good; /* the first `good` ones are meant to be usable */
    double values[LEVELS_MAX];
} field;

#define ENUM_FIELD(name, ...)    FIELD(name, LEVEL_ENUM, __VA_ARGS__)
#define INTEGER_FIELD(name, ...) FIELD(name, LEVEL_INTEGER, __VA_ARGS__)
#define REAL_FIELD(name, ...)    FIELD(name, LEVEL_REAL, __VA_ARGS__)
#define FIELD(name, kind, levels, good, ...)                                                   \
    {                                                                                          \
#name, offsetof(focal_problem, name), kind, levels, good, {                            \
            __VA_ARGS__                                                                        \
        }                                                                                      \
    }

#define BAD HUGE_VAL
#define FAR 9.2e18

static const field fields[] = {
    ENUM_FIELD(op, 3, 2, 0, 1, 2),
    ENUM_FIELD(form, 9, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8),
    ENUM_FIELD(dtype, 6, 5, 0, 1, 2, 3, 4, 5),
    ENUM_FIELD(targets_dtype, 6, 5, 0, 1, 2, 3, 4, -1),
    ENUM_FIELD(loss_dtype, 6, 5, 0, 1, 2, 3, 4, 5),
    ENUM_FIELD(gradient_dtype, 6, 5, 0, 1, 2, 3, 4, 5),
    ENUM_FIELD(target_kind, 6, 5, 0, 1, 2, 3, 4, 5),
    ENUM_FIELD(tier, 5, 4, 0, 1, 2, 3, 4),
    ENUM_FIELD(outputs, 10, 8, 1, 2, 4, 8, 16, 32, 31, 29, 0, 64),
    ENUM_FIELD(gamma_mode, 4, 3, 0, 1, 2, 3),
    ENUM_FIELD(alpha_mode, 5, 4, 0, 1, 2, 3, 4),
    ENUM_FIELD(smoothing_mode, 3, 2, 0, 1, 2),
    ENUM_FIELD(normalizer, 7, 6, 0, 1, 2, 3, 4, 5, 6),
    ENUM_FIELD(hessian_mode, 4, 3, 0, 1, 2, 3),
    ENUM_FIELD(label_flags, 5, 4, 0, 1, 2, 3, 4),
    REAL_FIELD(gamma, 10, 8, 2, 0, 0.25, 0.5, 1, 1.5, 3.7, 1000, -1, NAN),
    REAL_FIELD(gamma_negative, 5, 3, 0, 0.5, 4, -1, BAD),
    REAL_FIELD(alpha, 5, 3, 0.25, 0, 1, 1.5, NAN),
    REAL_FIELD(margin, 5, 3, 0, 0.05, 0.999, 1, NAN),
    REAL_FIELD(star_beta, 5, 3, 0, 1, -100, 101, NAN),
    REAL_FIELD(poly_epsilon, 5, 3, 0, 1, -100, 101, NAN),
    REAL_FIELD(smoothing, 5, 3, 0, 0.1, 0.999, 1, NAN),
    REAL_FIELD(normalizer_floor, 4, 2, 0, 1, -1, NAN),
    REAL_FIELD(normalizer_add, 4, 2, 0, 1, -1, BAD),
    REAL_FIELD(hessian_floor, 4, 2, 0, 1e-16, -1, NAN),
    INTEGER_FIELD(outer, 5, 3, 3, 0, 1, -1, FAR),
    INTEGER_FIELD(classes, 5, 2, 5, 1, -1, 0, FAR),
    INTEGER_FIELD(inner, 5, 3, 0, 1, 3, -1, FAR),
    INTEGER_FIELD(selected, 4, 2, 0, 3, -1, FAR),
    INTEGER_FIELD(background, 3, 3, 0, -1, 5),
    INTEGER_FIELD(ignore, 3, 3, 255, -100, 2),
    INTEGER_FIELD(logits_stride, 4, 2, 0, 40, 2, FAR),
    INTEGER_FIELD(targets_stride, 4, 2, 0, 41, 2, -1),
    INTEGER_FIELD(loss_stride, 4, 2, 0, 42, 2, FAR),
    INTEGER_FIELD(gradient_stride, 4, 2, 0, 43, 2, -5),
    INTEGER_FIELD(logits_class_stride, 4, 2, 0, 4, -1, FAR),
    INTEGER_FIELD(targets_class_stride, 4, 2, 0, 5, -1, FAR),
    INTEGER_FIELD(loss_class_stride, 4, 2, 0, 6, -1, FAR),
    INTEGER_FIELD(gradient_class_stride, 4, 2, 0, 7, -1, FAR),
    FIELD(class_alpha, LEVEL_ARRAY, 4, 2, 1, 0, 2, 3),
    FIELD(class_gamma, LEVEL_ARRAY, 4, 2, 1, 0, 2, 3),
    FIELD(class_weight, LEVEL_ARRAY, 4, 2, 1, 0, 2, 3),
};
enum { FIELDS = sizeof fields / sizeof *fields };

/* By level: none, good ones, a negative one, a NaN. */
static const double class_values[4][8] = {{0},
                                          {0.25, 0.5, 1, 0, 0.75, 1, 1, 1},
                                          {0.5, -0.5, 1, 1, 1, 1, 1, 1},
                                          {0.5, 1, NAN, 1, 1, 1, 1, 1}};

static void set_level(focal_problem *problem, const field *f, int level) {
    unsigned char *const at = (unsigned char *)problem + f->offset;
    const double value = f->values[level];
    if (f->kind == LEVEL_ENUM) {
        const int number = (int)value;
        memcpy(at, &number, sizeof number);
    } else if (f->kind == LEVEL_INTEGER) {
        const int64_t number = value == FAR ? INT64_MAX : (int64_t)value;
        memcpy(at, &number, sizeof number);
    } else if (f->kind == LEVEL_REAL) {
        memcpy(at, &value, sizeof value);
    } else {
        const double *const array = value == 0.0 ? NULL : class_values[(int)value];
        memcpy(at, &array, sizeof array);
    }
}

/* ---- Buffers: every element is a good one, so that any layout finds good values ---- */

enum { ELEMENTS = 512, LABELS = 64 };

static uint64_t logits[FOCAL_BF16 + 1][ELEMENTS], targets[FOCAL_BF16 + 1][ELEMENTS];
static uint8_t bytes[ELEMENTS];
static int64_t labels[5][LABELS];
static float float_weights[ELEMENTS];
static double double_weights[ELEMENTS], divisor = 3.0;
static uint64_t outputs[OUTS][ELEMENTS];

static void fill_inputs(void) {
    static const double extreme[] = {0.5,  -2.0, 0.0,  -0.0,  17.5,   -17.5,  100.0,   -100.0,
                                     1e-3, 3.0,  -1.0, 700.0, -700.0, 1000.0, -1000.0, -0.5};
    static const double soft[] = {0.0, 1.0, 0.5, 0.25, 0.75, 0.0, 1.0};
    for (int i = 0; i < ELEMENTS; i++) {
        for (int dtype = FOCAL_F32; dtype <= FOCAL_BF16; dtype++) {
            double x = extreme[i * 7 % 16];
            if (dtype == FOCAL_F64 || dtype == FOCAL_F32)
                x = i % 31 == 5 ? (x < 0 ? -1e18 : 1e18) : x; /* squares are floats */
            float single = (float)x;
            if (dtype >= FOCAL_F16) { /* what both hold: few bits */
                single = ldexpf(rintf(ldexpf(single, 6)), -6);
                single = fabsf(single) > 100.0F ? copysignf(1024.0F, single) : single;
            }
            storage_store((focal_dtype)dtype, logits[dtype], i, (double)single);
            storage_store((focal_dtype)dtype, targets[dtype], i, soft[i % 7]);
        }
        bytes[i] = i % 3 == 0;
        float_weights[i] = i % 11 == 7 ? 0.0F : 1.0F + (float)(i % 4);
        double_weights[i] = (double)float_weights[i];
    }
}

static void fill_labels(const focal_problem *p) {
    const int64_t classes = p->classes > 0 && p->classes < 6 ? p->classes : 1;
    for (int i = 0; i < LABELS; i++) {
        int64_t label = i % classes;
        if (p->label_flags & FOCAL_LABEL_BACKGROUND && i % 4 == 1)
            label = p->background;
        if (p->label_flags & FOCAL_LABEL_IGNORE && i % 4 == 3)
            label = p->ignore;
        if (p->selected || (p->target_kind == FOCAL_TARGET_LABEL_U8 && label < 0))
            label = i % classes;
        ((uint8_t *)labels[FOCAL_TARGET_LABEL_U8])[i] = (uint8_t)label;
        ((int32_t *)labels[FOCAL_TARGET_LABEL_I32])[i] = (int32_t)label;
        labels[FOCAL_TARGET_LABEL_I64][i] = label;
    }
}

static focal_dtype or_f32(focal_dtype dtype, focal_dtype otherwise) {
    return dtype ? dtype : otherwise ? otherwise : FOCAL_F32;
}

static focal_buffers make_buffers(const focal_problem *p, int weights) {
    focal_buffers b;
    focal_buffers_init(&b);
    const focal_dtype dtype = or_f32(p->dtype, FOCAL_F32);
    b.logits = logits[dtype];
    if (p->target_kind == FOCAL_TARGET_DENSE)
        b.targets = targets[or_f32(p->targets_dtype, dtype)];
    else if (p->target_kind == FOCAL_TARGET_BINARY_U8)
        b.targets = bytes;
    else
        b.targets = labels[p->target_kind];
    b.loss = outputs[OUT_LOSS];
    b.row_loss = outputs[OUT_ROW_LOSS];
    b.gradient = outputs[OUT_GRADIENT];
    b.hessian = outputs[OUT_HESSIAN];
    b.target_gradient = outputs[OUT_TARGET_GRADIENT];
    b.normalizer = p->normalizer == FOCAL_NORMALIZER_VALUE ? &divisor : NULL;
    const void *const values =
        dtype == FOCAL_F64 ? (void *)double_weights : (void *)float_weights;
    if (weights && p->form != FOCAL_FORM_MATCH) {
        b.row_weight = values;
        b.element_weight = p->op == FOCAL_SIGMOID ? values : NULL;
    }
    return b;
}

/* ---- One problem ---- */

static unsigned long accepted, refused;
static unsigned accepted_level[FIELDS][LEVELS_MAX], refused_level[FIELDS][LEVELS_MAX];

static void describe(const focal_problem *p, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    focal_problem none;
    focal_problem_init(&none);
    for (int f = 0; f < FIELDS && used < size; f++) {
        const unsigned char *const at = (const unsigned char *)p + fields[f].offset;
        double real;
        int64_t integer;
        int number;
        memcpy(&number, at, sizeof number);
        if (memcmp(at, (const unsigned char *)&none + fields[f].offset,
                   fields[f].kind == LEVEL_ENUM ? 4 : 8) == 0)
            continue;
        memcpy(&real, at, sizeof real);
        memcpy(&integer, at, sizeof integer);
        if (fields[f].kind == LEVEL_REAL)
            used += (size_t)snprintf(text + used, size - used, " %s %g", fields[f].name, real);
        else
            used += (size_t)snprintf(text + used, size - used, " %s %lld", fields[f].name,
                                     fields[f].kind == LEVEL_ENUM ? (long long)number
                                                                  : (long long)integer);
    }
}

/* Infinity only where the type is too small for what is finite in double. */
static int finite_output(focal_dtype dtype, const void *data, char *where) {
    for (int i = 0; i < ELEMENTS; i++) {
        const double value = storage_load(dtype, data, i);
        if (isnan(value) || (isinf(value) && dtype != FOCAL_F16)) {
            sprintf(where, "element %d is %g", i, value);
            return 0;
        }
    }
    return 1;
}

static int executes(const focal_problem *p, const char *isa, focal_plan *plan, int weights) {
    char where[64], text[512];
    focal_error error = FOCAL_ERROR_INIT;
    focal_sums sums = FOCAL_SUMS_INIT;
    const focal_buffers buffers = make_buffers(p, weights);
    memset(outputs, 0, sizeof outputs);
    fill_labels(p);
    describe(p, text, sizeof text);
    const focal_status status = focal_plan_execute(plan, &buffers, NULL, &sums, &error);
    if (!CHECK_CASE(status == FOCAL_OK, "%s,%s%s: %s", isa, text, weights ? " weights" : "",
                    error.message))
        return 0;
    int good = CHECK_CASE(isfinite(sums.loss), "%s,%s: sum %g", isa, text, sums.loss);
    for (int which = 0; which < OUTS; which++) {
        if (!(p->outputs & out_flags[which]))
            continue;
        const focal_dtype dtype = or_f32(form_case_dtype(p, (out)which), FOCAL_F32);
        good = CHECK_CASE(finite_output(dtype, outputs[which], where), "%s,%s%s: %s %s", isa,
                          text, weights ? " weights" : "", out_names[which] + 5, where) &&
               good;
    }
    return good;
}

/* Names of fields are those of focal_problem, with or without what struct they are in. */
static int is_field(const char *name) {
    for (int f = 0; f < FIELDS; f++)
        if (strcmp(fields[f].name, name) == 0)
            return 1;
    return 0;
}

/* 1: accepted, 0: refused, -1: neither as it should be. */
static int try_problem(const focal_problem *p, const char *isa, int weights) {
    char text[512];
    focal_options options;
    focal_options_init(&options);
    options.isa = isa;
    focal_error error = FOCAL_ERROR_INIT;
    focal_plan *plan = NULL;
    const focal_status status = focal_plan_create(&plan, p, &options, &error);
    if (status != FOCAL_OK) {
        refused++;
        describe(p, text, sizeof text);
        return CHECK_CASE(plan == NULL && error.status == status && is_field(error.field) &&
                              strstr(error.message, error.field) && error.message[0] &&
                              strchr(error.message, '\n') == NULL,
                          "%s,%s: %s, field \"%s\", message \"%s\"", isa, text,
                          focal_status_name(status), error.field, error.message)
                   ? 0
                   : -1;
    }
    accepted++;
    const int small = p->outer <= 3 && p->classes <= 5 && p->inner <= 3;
    describe(p, text, sizeof text);
    int good = CHECK_CASE(plan != NULL && small, "%s,%s: accepted", isa, text);
    if (good && p->outer * p->classes > 0)
        good = executes(p, isa, plan, weights);
    focal_plan_destroy(plan);
    return good ? 1 : -1;
}

/* ---- Combinations ---- */

static void note(const int *which, const int *level, int count, int outcome) {
    for (int i = 0; i < count; i++)
        if (outcome > 0)
            accepted_level[which[i]][level[i]]++;
        else
            refused_level[which[i]][level[i]]++;
}

static void try_levels(const focal_problem *base, const int *which, const int *level, int count,
                       const char *isa) {
    static unsigned turn;
    focal_problem problem = *base;
    for (int i = 0; i < count; i++)
        set_level(&problem, &fields[which[i]], level[i]);
    note(which, level, count, try_problem(&problem, isa, turn++ % 3 == 0));
}

/* Every `step`-th combination. */
static void all_pairs(const focal_problem *base, const char *isa, unsigned step) {
    unsigned number = 0;
    for (int a = 0; a < FIELDS; a++)
        for (int b = a + 1; b < FIELDS; b++)
            for (int i = 0; i < fields[a].levels; i++)
                for (int j = 0; j < fields[b].levels; j++)
                    if (number++ % step == 0)
                        try_levels(base, (int[]){a, b}, (int[]){i, j}, 2, isa);
}

static void small_triples(const focal_problem *base, const char *isa, unsigned step) {
    enum { SMALL = 4 };
    unsigned number = 0;
    for (int a = 0; a < FIELDS; a++)
        for (int b = a + 1; b < FIELDS; b++)
            for (int c = b + 1; c < FIELDS; c++) {
                const int sizes[] = {fields[a].good, fields[b].good, fields[c].good};
                if (sizes[0] > SMALL || sizes[1] > SMALL || sizes[2] > SMALL)
                    continue;
                for (int n = 0; n < sizes[0] * sizes[1] * sizes[2]; n++)
                    if (number++ % step == 0)
                        try_levels(base, (int[]){a, b, c},
                                   (int[]){n % sizes[0], n / sizes[0] % sizes[1],
                                           n / sizes[0] / sizes[1]},
                                   3, isa);
            }
}

/* The kinds of problem from which one, two or three fields are changed. */
static int make_bases(focal_problem *bases) {
    int count = 0;
    for (int kind = 0; kind < 7; kind++) {
        focal_problem *const p = &bases[count++];
        focal_problem_init(p);
        p->outer = 3;
        p->classes = 5;
        p->gamma = 2.0;
        p->alpha = 0.25;
        p->outputs = FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_GRADIENT;
        p->class_alpha = p->class_gamma = class_values[1];
        if (kind == 1 || kind == 2 || kind == 4)
            p->target_kind = FOCAL_TARGET_LABEL_I64;
        if (kind == 2 || kind == 3)
            p->op = FOCAL_SOFTMAX;
        if (kind == 4) {
            p->form = FOCAL_FORM_MATCH;
            p->selected = 3;
            p->outputs = FOCAL_OUTPUT_LOSS;
        }
        if (kind == 5) {
            p->form = FOCAL_FORM_SPLIT;
            p->gamma_mode = FOCAL_GAMMA_SPLIT;
            p->margin = 0.05;
            p->alpha_mode = FOCAL_ALPHA_SCALAR;
            p->outputs |= FOCAL_OUTPUT_HESSIAN | FOCAL_OUTPUT_TARGET_GRADIENT;
        }
        if (kind == 6) {
            p->form = FOCAL_FORM_STAR;
            p->outputs |= FOCAL_OUTPUT_HESSIAN | FOCAL_OUTPUT_TARGET_GRADIENT;
        }
    }
    return count;
}

static void check_levels(void) {
    for (int f = 0; f < FIELDS; f++)
        for (int level = 0; level < fields[f].levels; level++) {
            if (level < fields[f].good)
                CHECK_CASE(accepted_level[f][level] > 0, "%s %g is never accepted",
                           fields[f].name, fields[f].values[level]);
            else
                CHECK_CASE(refused_level[f][level] > 0, "%s %g is never refused",
                           fields[f].name, fields[f].values[level]);
        }
}

int main(int argc, char **argv) {
    const int quick = argc == 2 && strcmp(argv[1], "--quick") == 0;
    if (argc > 1 + quick)
        return puts("usage: test_form_sweep [--quick]"), 2;
    static focal_problem bases[8];
    const int count = make_bases(bases);
    fill_inputs();
    size_t index = 0;
    for (const char *isa; (isa = next_isa(&index)) != NULL;) {
        const unsigned passed = check_passed, failed = check_failed;
        /* What is accepted is the same on every row: all on the first, a part on the others. */
        const unsigned step = quick ? 97 : index == 1 ? 1 : 17;
        for (int base = 0; base < count; base++) {
            all_pairs(&bases[base], isa, step);
            small_triples(&bases[base], isa, 5 * step);
        }
        printf("row %s: %u passed, %u failed\n", isa, check_passed - passed,
               check_failed - failed);
    }
    if (!quick)
        check_levels();
    printf("%lu problems accepted, %lu refused\n", accepted, refused);
    return check_report();
}
