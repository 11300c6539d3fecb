#define _DEFAULT_SOURCE /* madvise */
#include "cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

const bench_case bench_cases[] = {
#define BENCH_CASE(id, kernel, type, n, c, positions, targets, flags, location, scale, share,  \
                   text)                                                                       \
    {.name = #id,                                                                              \
     .description = text,                                                                      \
     .op = FOCAL_##kernel,                                                                     \
     .dtype = BENCH_##type,                                                                    \
     .outer = n,                                                                               \
     .classes = c,                                                                             \
     .inner = positions,                                                                       \
     .target_kind = FOCAL_TARGET_##targets,                                                    \
     .features = flags,                                                                        \
     .mean = location,                                                                         \
     .deviation = scale,                                                                       \
     .positive_share = share},
#include "cases.def"
#undef BENCH_CASE
};
const size_t bench_case_count = sizeof bench_cases / sizeof bench_cases[0];

const char *const bench_direction_names[] = {"loss", "gradient", "both", "hessian", NULL};

static const struct {
    const char *dense, *name;
    size_t bytes;
} dtypes[] = {[BENCH_F32] = {"f32 targets", "f32", sizeof(float)},
              [BENCH_F64] = {"f64 targets", "f64", sizeof(double)}};

static const struct {
    const char *name;
    size_t bytes;
} target_kinds[] = {
    [FOCAL_TARGET_DENSE] = {NULL, 0}, /* the logits' dtype */
    [FOCAL_TARGET_BINARY_U8] = {"u8 targets", sizeof(uint8_t)},
    [FOCAL_TARGET_LABEL_U8] = {"u8 labels", sizeof(uint8_t)},
    [FOCAL_TARGET_LABEL_I32] = {"i32 labels", sizeof(int32_t)},
    [FOCAL_TARGET_LABEL_I64] = {"i64 labels", sizeof(int64_t)},
};

const bench_case *bench_case_find(const char *name) {
    for (size_t i = 0; i < bench_case_count; i++)
        if (strcmp(name, bench_cases[i].name) == 0)
            return &bench_cases[i];
    return NULL;
}

const char *bench_dtype_name(bench_dtype dtype) {
    return dtypes[dtype].name;
}

size_t bench_dtype_bytes(bench_dtype dtype) {
    return dtypes[dtype].bytes;
}

const char *bench_target_name(const bench_case *shape) {
    return shape->target_kind == FOCAL_TARGET_DENSE ? dtypes[shape->dtype].dense
                                                    : target_kinds[shape->target_kind].name;
}

static size_t target_bytes_each(const bench_case *shape) {
    return shape->target_kind == FOCAL_TARGET_DENSE ? dtypes[shape->dtype].bytes
                                                    : target_kinds[shape->target_kind].bytes;
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

static void store(void *values, bench_dtype dtype, size_t i, double value) {
    if (dtype == BENCH_F32)
        ((float *)values)[i] = (float)value;
    else
        ((double *)values)[i] = value;
}

/* Box and Muller, two at a time. */
static void fill_normal(bench_data *data, uint64_t *state) {
    const double circle = 6.283185307179586;
    const double mean = data->shape->mean, deviation = data->shape->deviation;
    const bench_dtype dtype = data->shape->dtype;
    for (size_t i = 0; i < data->elements; i += 2) {
        double radius = deviation * sqrt(-2.0 * log(next_uniform(state)));
        double angle = circle * next_uniform(state);
        store(data->logits, dtype, i, mean + radius * cos(angle));
        if (i + 1 < data->elements)
            store(data->logits, dtype, i + 1, mean + radius * sin(angle));
    }
}

/* Sigmoid labels of no class are `classes`, the problem's background. */
static int64_t draw_label(const bench_case *shape, uint64_t *state) {
    int64_t label = (int64_t)(next_uniform(state) * (double)shape->classes);
    double lot = next_uniform(state);
    if (shape->features & BENCH_IGNORE && lot < 0.05)
        return BENCH_IGNORED_LABEL;
    return lot < shape->positive_share || shape->op == FOCAL_SOFTMAX ? label : shape->classes;
}

static void fill_targets(bench_data *data, uint64_t *state) {
    const bench_case *shape = data->shape;
    const double share = shape->positive_share;
    const size_t rows = (size_t)(data->outer * data->inner);
    for (size_t i = 0; i < data->elements && per_logit(shape->target_kind); i++) {
        int one = next_uniform(state) < share;
        if (shape->target_kind == FOCAL_TARGET_DENSE)
            store(data->targets, shape->dtype, i, one);
        else
            ((uint8_t *)data->targets)[i] = (uint8_t)one;
    }
    for (size_t i = 0; i < rows && !per_logit(shape->target_kind); i++) {
        int64_t label = draw_label(shape, state);
        if (shape->target_kind == FOCAL_TARGET_LABEL_U8)
            ((uint8_t *)data->targets)[i] = (uint8_t)label;
        else if (shape->target_kind == FOCAL_TARGET_LABEL_I32)
            ((int32_t *)data->targets)[i] = (int32_t)label;
        else
            ((int64_t *)data->targets)[i] = label;
    }
}

bench_size bench_size_of(const bench_case *shape, int64_t elements) {
    bench_size size = {shape->outer, shape->inner};
    if (elements <= 0)
        return size;
    size.inner = shape->inner < elements ? shape->inner : elements;
    size.outer = elements / (shape->classes * size.inner);
    if (size.outer == 0) {
        size.inner = elements / shape->classes > 0 ? elements / shape->classes : 1;
        size.inner = size.inner < shape->inner ? size.inner : shape->inner;
        size.outer = 1;
    }
    return size;
}

static size_t element_count(const bench_case *shape, bench_size size) {
    return (size_t)(size.outer * shape->classes * size.inner);
}

static size_t target_size(const bench_case *shape, bench_size size) {
    size_t count = per_logit(shape->target_kind) ? element_count(shape, size)
                                                 : (size_t)(size.outer * size.inner);
    return count * target_bytes_each(shape);
}

size_t bench_data_size(const bench_case *shape, bench_size size, int with_hessian) {
    size_t arrays = with_hessian ? 3 : 2;
    return arrays * dtypes[shape->dtype].bytes * element_count(shape, size) +
           target_size(shape, size);
}

int bench_data_create(bench_data *data, const bench_case *shape, bench_size size,
                      int with_hessian) {
    int sigmoid = shape->op == FOCAL_SIGMOID;
    *data = (bench_data){.shape = shape, .outer = size.outer, .inner = size.inner};
    data->elements = element_count(shape, size);
    data->target_bytes = target_size(shape, size);
    data->alpha_positive = sigmoid ? 0.25 : 1.0;
    data->alpha_negative = sigmoid ? 0.75 : 1.0;
    const size_t bytes = data->elements * dtypes[shape->dtype].bytes;
    data->logits = bench_allocate(bytes);
    data->gradient = bench_allocate(bytes);
    data->targets = bench_allocate(data->target_bytes);
    data->hessian = with_hessian ? bench_allocate(bytes) : NULL;
    if (!data->logits || !data->gradient || !data->targets ||
        (with_hessian && !data->hessian)) {
        bench_data_release(data);
        return 0;
    }
    uint64_t state = 1;
    fill_normal(data, &state);
    fill_targets(data, &state);
    return 1;
}

void bench_data_release(bench_data *data) {
    free(data->logits);
    free(data->gradient);
    free(data->hessian);
    free(data->targets);
    *data = (bench_data){.shape = data->shape};
}

/* Arrays of the logits' type that an execution touches. */
static double array_count(bench_direction direction) {
    if (direction == BENCH_CURVATURE)
        return 3.0;
    return direction == BENCH_LOSS ? 1.0 : 2.0;
}

double bench_traffic(const bench_data *data, bench_direction direction) {
    return array_count(direction) * (double)dtypes[data->shape->dtype].bytes *
               (double)data->elements +
           (double)data->target_bytes;
}

static void set_dtype_fields(focal_problem *problem, const bench_data *data,
                             bench_direction direction) {
    const bench_case *shape = data->shape;
    problem->dtype = shape->dtype == BENCH_F64 ? FOCAL_F64 : FOCAL_F32;
    problem->inner = data->inner;
    if (shape->features & BENCH_IGNORE) {
        problem->label_flags |= FOCAL_LABEL_IGNORE;
        problem->ignore = BENCH_IGNORED_LABEL;
    }
    if (direction == BENCH_CURVATURE)
        problem->outputs = FOCAL_OUTPUT_GRADIENT | FOCAL_OUTPUT_HESSIAN;
}

void bench_problem(focal_problem *problem, const bench_data *data, double gamma,
                   bench_direction direction, focal_tier tier) {
    const bench_case *shape = data->shape;
    focal_problem_init(problem);
    problem->op = shape->op;
    problem->target_kind = shape->target_kind;
    problem->tier = tier;
    problem->outer = data->outer;
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
    set_dtype_fields(problem, data, direction);
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

const void *bench_real_targets(const bench_data *data, size_t first, size_t count,
                               void *scratch) {
    const bench_dtype dtype = data->shape->dtype;
    if (data->shape->target_kind == FOCAL_TARGET_DENSE)
        return (const char *)data->targets + first * dtypes[dtype].bytes;
    if (data->shape->target_kind == FOCAL_TARGET_BINARY_U8) {
        const uint8_t *ones = (const uint8_t *)data->targets + first;
        for (size_t i = 0; i < count && dtype == BENCH_F32; i++)
            ((float *)scratch)[i] = (float)ones[i];
        for (size_t i = 0; i < count && dtype == BENCH_F64; i++)
            ((double *)scratch)[i] = (double)ones[i];
        return scratch;
    }
    size_t classes = (size_t)data->shape->classes;
    memset(scratch, 0, count * dtypes[dtype].bytes);
    for (size_t row = first / classes; row * classes < first + count; row++) {
        size_t label = bench_label(data, row), place = row * classes + label;
        if (label < classes && place >= first && place < first + count)
            store(scratch, dtype, place - first, 1.0);
    }
    return scratch;
}
