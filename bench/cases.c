#define _DEFAULT_SOURCE /* madvise */
#include "cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

const bench_case bench_cases[] = {
#define BENCH_CASE(id, kernel, n, c, targets, location, scale, share, text)                    \
    {.name = #id,                                                                              \
     .description = text,                                                                      \
     .op = FOCAL_##kernel,                                                                     \
     .rows = n,                                                                                \
     .classes = c,                                                                             \
     .target_kind = FOCAL_TARGET_##targets,                                                    \
     .mean = location,                                                                         \
     .deviation = scale,                                                                       \
     .positive_share = share},
#include "cases.def"
#undef BENCH_CASE
};
const size_t bench_case_count = sizeof bench_cases / sizeof bench_cases[0];

const char *const bench_direction_names[] = {"loss", "gradient", "both", NULL};

static const struct {
    const char *name;
    size_t bytes;
} target_kinds[] = {
    [FOCAL_TARGET_DENSE] = {"f32 targets", sizeof(float)},
    [FOCAL_TARGET_BINARY_U8] = {"u8 targets", sizeof(uint8_t)},
    [FOCAL_TARGET_LABEL_U8] = {"u8 labels", sizeof(uint8_t)},
    [FOCAL_TARGET_LABEL_I32] = {"i32 labels", sizeof(int32_t)},
    [FOCAL_TARGET_LABEL_I64] = {"i64 labels", sizeof(int64_t)},
};

const char *bench_target_name(focal_target_kind kind) {
    return target_kinds[kind].name;
}

size_t bench_target_bytes(focal_target_kind kind) {
    return target_kinds[kind].bytes;
}

static int per_logit(focal_target_kind kind) {
    return kind == FOCAL_TARGET_DENSE || kind == FOCAL_TARGET_BINARY_U8;
}

/* splitmix64 (Steele et al. 2014): the same numbers everywhere. */
static uint64_t next_random(uint64_t *state) {
    uint64_t a = *state += UINT64_C(0x9e3779b97f4a7c15);
    a = (a ^ a >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    a = (a ^ a >> 27) * UINT64_C(0x94d049bb133111eb);
    return a ^ a >> 31;
}

/* In (0, 1). */
static double next_uniform(uint64_t *state) {
    return ((double)(next_random(state) >> 12) + 0.5) * 0x1p-52;
}

enum { HUGE_PAGE = 2 << 20, LINE = 64 };

void *bench_allocate(size_t bytes) {
    size_t alignment = bytes >= HUGE_PAGE ? HUGE_PAGE : LINE;
    size_t size = (bytes + alignment - 1) / alignment * alignment;
    void *memory = aligned_alloc(alignment, size ? size : alignment);
    if (!memory)
        return NULL;
#ifdef __linux__
    if (bytes >= HUGE_PAGE)
        madvise(memory, size, MADV_HUGEPAGE); /* advice: small pages do as well, slower */
#endif
    memset(memory, 0, size);
    return memory;
}

/* Box and Muller, two at a time. */
static void fill_normal(float *values, size_t count, double mean, double deviation,
                        uint64_t *state) {
    const double circle = 6.283185307179586;
    for (size_t i = 0; i < count; i += 2) {
        double radius = deviation * sqrt(-2.0 * log(next_uniform(state)));
        double angle = circle * next_uniform(state);
        values[i] = (float)(mean + radius * cos(angle));
        if (i + 1 < count)
            values[i + 1] = (float)(mean + radius * sin(angle));
    }
}

/* Sigmoid labels of no class are `classes`, the problem's background. */
static int64_t draw_label(const bench_case *shape, uint64_t *state) {
    int64_t label = (int64_t)(next_uniform(state) * (double)shape->classes);
    int positive = next_uniform(state) < shape->positive_share;
    return positive || shape->op == FOCAL_SOFTMAX ? label : shape->classes;
}

static void fill_targets(bench_data *data, uint64_t *state) {
    const bench_case *shape = data->shape;
    const double share = shape->positive_share;
    for (size_t i = 0; i < data->elements && per_logit(shape->target_kind); i++) {
        int one = next_uniform(state) < share;
        if (shape->target_kind == FOCAL_TARGET_DENSE)
            ((float *)data->targets)[i] = one ? 1.0F : 0.0F;
        else
            ((uint8_t *)data->targets)[i] = (uint8_t)one;
    }
    for (size_t i = 0; i < (size_t)data->rows && !per_logit(shape->target_kind); i++) {
        int64_t label = draw_label(shape, state);
        if (shape->target_kind == FOCAL_TARGET_LABEL_U8)
            ((uint8_t *)data->targets)[i] = (uint8_t)label;
        else if (shape->target_kind == FOCAL_TARGET_LABEL_I32)
            ((int32_t *)data->targets)[i] = (int32_t)label;
        else
            ((int64_t *)data->targets)[i] = label;
    }
}

static size_t target_size(const bench_case *shape, int64_t rows) {
    int64_t count = per_logit(shape->target_kind) ? rows * shape->classes : rows;
    return (size_t)count * bench_target_bytes(shape->target_kind);
}

size_t bench_data_size(const bench_case *shape, int64_t rows) {
    return 2 * sizeof(float) * (size_t)(rows * shape->classes) + target_size(shape, rows);
}

int bench_data_create(bench_data *data, const bench_case *shape, int64_t rows) {
    int sigmoid = shape->op == FOCAL_SIGMOID;
    *data = (bench_data){.shape = shape, .rows = rows};
    data->elements = (size_t)(rows * shape->classes);
    data->target_bytes = target_size(shape, rows);
    data->alpha_positive = sigmoid ? 0.25 : 1.0;
    data->alpha_negative = sigmoid ? 0.75 : 1.0;
    data->logits = bench_allocate(data->elements * sizeof(float));
    data->gradient = bench_allocate(data->elements * sizeof(float));
    data->targets = bench_allocate(data->target_bytes);
    if (!data->logits || !data->gradient || !data->targets) {
        bench_data_release(data);
        return 0;
    }
    uint64_t state = 1;
    fill_normal(data->logits, data->elements, shape->mean, shape->deviation, &state);
    fill_targets(data, &state);
    return 1;
}

void bench_data_release(bench_data *data) {
    free(data->logits);
    free(data->gradient);
    free(data->targets);
    *data = (bench_data){.shape = data->shape};
}

double bench_traffic(const bench_data *data, bench_direction direction) {
    double arrays = direction == BENCH_LOSS ? 1.0 : 2.0;
    return arrays * sizeof(float) * (double)data->elements + (double)data->target_bytes;
}

void bench_problem(focal_problem *problem, const bench_data *data, double gamma,
                   bench_direction direction, focal_tier tier) {
    const bench_case *shape = data->shape;
    focal_problem_init(problem);
    problem->op = shape->op;
    problem->target_kind = shape->target_kind;
    problem->tier = tier;
    problem->outer = data->rows;
    problem->classes = shape->classes;
    problem->gamma = gamma;
    if (direction != BENCH_GRADIENT)
        problem->outputs |= FOCAL_OUTPUT_SUM;
    if (direction != BENCH_LOSS)
        problem->outputs |= FOCAL_OUTPUT_GRADIENT;
    if (shape->op == FOCAL_SIGMOID) {
        problem->alpha_mode = FOCAL_ALPHA_SCALAR;
        problem->alpha = data->alpha_positive;
        if (!per_logit(shape->target_kind)) {
            problem->label_flags = FOCAL_LABEL_BACKGROUND;
            problem->background = shape->classes;
        }
    }
}

size_t bench_label(const bench_data *data, size_t row) {
    switch (data->shape->target_kind) {
    case FOCAL_TARGET_LABEL_U8:
        return ((const uint8_t *)data->targets)[row];
    case FOCAL_TARGET_LABEL_I32:
        return (size_t)((const int32_t *)data->targets)[row];
    default:
        return (size_t)((const int64_t *)data->targets)[row];
    }
}

const float *bench_float_targets(const bench_data *data, size_t first, size_t count,
                                 float *scratch) {
    if (data->shape->target_kind == FOCAL_TARGET_DENSE)
        return (const float *)data->targets + first;
    if (data->shape->target_kind == FOCAL_TARGET_BINARY_U8) {
        const uint8_t *ones = (const uint8_t *)data->targets + first;
        for (size_t i = 0; i < count; i++)
            scratch[i] = (float)ones[i];
        return scratch;
    }
    size_t classes = (size_t)data->shape->classes;
    memset(scratch, 0, count * sizeof *scratch);
    for (size_t row = first / classes; row * classes < first + count; row++) {
        size_t label = bench_label(data, row), place = row * classes + label;
        if (label < classes && place >= first && place < first + count)
            scratch[place - first] = 1.0F;
    }
    return scratch;
}
