/* One problem in many layouts, types, splits: the same numbers give the same bits, nothing is
 * written beside them, and ignored rows get zeros. Logits, targets and labels depend on row and
 * class alone. */
#include <math.h>
#include <pthread.h>

#include "fixture.h"

/* How the arrays of a problem lie; the rows are outer x inner of the arrangement. */
typedef struct arrangement {
    const char *name;
    int64_t inner, pad_class, pad_outer;
} arrangement;

static const arrangement arrangements[] = {
    {"rows", 1, 0, 0},
    {"padded rows", 1, 0, 3},
    {"strided classes", 1, 2, 1},
    {"one image", 0, 0, 0},
    {"images", 6, 0, 0},
    {"padded images", 6, 5, 7},
    {"pairs of pixels", 2, 0, 0},
    {"padded pairs of pixels", 2, 1, 4},
};
enum { ARRANGEMENTS = sizeof arrangements / sizeof *arrangements };

typedef struct shape {
    int64_t rows, classes;
} shape;

/* Of one block, of several, of rows beyond a run and beyond a block; rows are multiples of 6. */
static const shape shapes[] = {{6, 1}, {600, 80}, {9000, 1}, {12, 700}, {6, 4096}, {6, 5000}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef struct variant {
    focal_op op;
    focal_target_kind kind;
    focal_form form;
    focal_dtype dtype, results;
    int weights, ignore;
    double smoothing;
} variant;

static const variant variants[] = {
    {FOCAL_SIGMOID, FOCAL_TARGET_DENSE, FOCAL_FORM_FOCAL, FOCAL_F32, FOCAL_F32, 0, 0, 0},
    {FOCAL_SIGMOID, FOCAL_TARGET_BINARY_U8, FOCAL_FORM_FOCAL, FOCAL_F32, FOCAL_F16, 0, 0, 0},
    {FOCAL_SIGMOID, FOCAL_TARGET_LABEL_I32, FOCAL_FORM_FOCAL, FOCAL_F32, FOCAL_F32, 0, 1, 0},
    {FOCAL_SIGMOID, FOCAL_TARGET_DENSE, FOCAL_FORM_FOCAL, FOCAL_BF16, FOCAL_BF16, 0, 0, 0},
    {FOCAL_SOFTMAX, FOCAL_TARGET_LABEL_I64, FOCAL_FORM_FOCAL, FOCAL_F32, FOCAL_F32, 0, 1, 0},
    {FOCAL_SOFTMAX, FOCAL_TARGET_LABEL_U8, FOCAL_FORM_FOCAL, FOCAL_F16, FOCAL_F32, 0, 0, 0},
    {FOCAL_SOFTMAX, FOCAL_TARGET_LABEL_I32, FOCAL_FORM_FOCAL, FOCAL_BF16, FOCAL_BF16, 0, 1, 0},
    {FOCAL_SIGMOID, FOCAL_TARGET_DENSE, FOCAL_FORM_QUALITY, FOCAL_F32, FOCAL_F64, 0, 0, 0},
    {FOCAL_SIGMOID, FOCAL_TARGET_LABEL_I32, FOCAL_FORM_SPLIT, FOCAL_F64, FOCAL_F64, 1, 1, 0.1},
    {FOCAL_SOFTMAX, FOCAL_TARGET_DENSE, FOCAL_FORM_FOCAL, FOCAL_F32, FOCAL_F32, 1, 0, 0.1},
    {FOCAL_SOFTMAX, FOCAL_TARGET_LABEL_I32, FOCAL_FORM_FOCAL, FOCAL_F64, FOCAL_F16, 1, 1, 0},
};
enum { VARIANTS = sizeof variants / sizeof *variants };

enum { CASE_OUTPUTS = 5, CASE_BUFFERS = CASE_OUTPUTS + 4 };
typedef struct laid_out {
    focal_problem problem;
    focal_buffers buffers;
    focal_sums sums;
    void *memory[CASE_BUFFERS];
    size_t bytes[CASE_BUFFERS];
    int used;
} laid_out;

static size_t size_of(focal_dtype dtype) {
    return dtype == FOCAL_F64 ? 8 : dtype == FOCAL_F32 ? 4 : 2;
}

/* Logits of few bits, so that every type holds the same. */
static double logit_at(int64_t row, int64_t class) {
    return rint((unit(mix(3, (uint64_t)row, (uint64_t) class)) - 0.5) * 64.0) * 0.25;
}

static double target_at(int64_t row, int64_t class) {
    return (double)(mix(4, (uint64_t)row, (uint64_t) class) % 5) * 0.25;
}

enum { IGNORED = 200 };
static int64_t label_of(const variant *v, const shape *s, int64_t row) {
    const uint64_t bits = mix(5, (uint64_t)row, 1);
    if (v->ignore && bits % 3 == 0)
        return IGNORED;
    const int64_t classes = s->classes < IGNORED ? s->classes : IGNORED;
    return (int64_t)(bits / 8 % (uint64_t)classes);
}

static void put(void *array, focal_dtype dtype, int64_t index, double value) {
    const float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    if (dtype == FOCAL_F64) {
        ((double *)array)[index] = value;
    } else if (dtype == FOCAL_F32) {
        ((float *)array)[index] = narrow;
    } else if (dtype == FOCAL_BF16) {
        ((uint16_t *)array)[index] = (uint16_t)(bits >> 16);
    } else if (value == 0.0) {
        ((uint16_t *)array)[index] = 0;
    } else {
        const uint32_t exponent = (bits >> 23 & 255) - 112;
        ((uint16_t *)array)[index] =
            (uint16_t)((bits >> 16 & 0x8000) | exponent << 10 | (bits >> 13 & 1023));
    }
}

/* A variant's logits and targets in the types of its arrays, rows one after the other. */
enum { MOST_ELEMENTS = 600 * 80 };
static struct { double logits[MOST_ELEMENTS], targets[MOST_ELEMENTS]; } contents;

static void set_contents(const variant *v, const shape *s) {
    for (int64_t i = 0; i < s->rows * s->classes; i++) {
        const double target = target_at(i / s->classes, i % s->classes);
        put(contents.logits, v->dtype, i, logit_at(i / s->classes, i % s->classes));
        if (v->kind == FOCAL_TARGET_DENSE)
            put(contents.targets, v->dtype, i, target);
        else
            ((uint8_t *)contents.targets)[i] = target > 0.5;
    }
}

/* Steps are in elements; a step of 0 repeats one. */
static void copy_elements(void *to, int64_t to_step, const void *from, int64_t from_step,
                          int64_t count, size_t size) {
    char *out = to;
    const char *in = from;
    const ptrdiff_t out_bytes = (ptrdiff_t)size * to_step,
                    in_bytes = (ptrdiff_t)size * from_step;
    for (int64_t i = 0; i < count; i++, out += out_bytes, in += in_bytes) {
        if (size == 1)
            *out = *in;
        else if (size == 2)
            memcpy(out, in, 2);
        else if (size == 4)
            memcpy(out, in, 4);
        else
            memcpy(out, in, 8);
    }
}

/* All elements from a row's first one on lie class_stride apart. */
static int64_t place_of_row(const focal_problem *p, int64_t stride, int64_t row) {
    return row / p->inner * stride + row % p->inner;
}

static void *add_memory(laid_out *c, size_t bytes) {
    void *const memory = malloc(bytes + 64);
    if (memory == NULL) {
        puts("out of memory");
        exit(1);
    }
    memset(memory, 0xa5, bytes + 64);
    c->bytes[c->used] = bytes;
    return c->memory[c->used++] = memory;
}

static void fill_inputs(laid_out *c, const variant *v, const shape *s, size_t elements) {
    const focal_problem *const p = &c->problem;
    void *const logits = add_memory(c, elements * size_of(v->dtype));
    const int labels = is_label_kind(v->kind);
    const size_t size = size_of(v->dtype);
    const size_t target_bytes = v->kind == FOCAL_TARGET_DENSE ? size : 1;
    void *const targets = add_memory(c, labels ? (size_t)s->rows * 8 : elements * size);
    for (int64_t row = 0; row < s->rows; row++) {
        const int64_t to = place_of_row(p, p->logits_stride, row), from = row * s->classes;
        copy_elements((char *)logits + to * (int64_t)size, p->logits_class_stride,
                      (char *)contents.logits + from * (int64_t)size, 1, s->classes, size);
        if (labels)
            store_target(targets, v->kind, row, label_of(v, s, row));
        else
            copy_elements((char *)targets + to * (int64_t)target_bytes, p->targets_class_stride,
                          (char *)contents.targets + from * (int64_t)target_bytes, 1,
                          s->classes, target_bytes);
    }
    c->buffers.logits = logits;
    c->buffers.targets = targets;
    if (!v->weights)
        return;
    void *const weights = add_memory(c, (size_t)s->rows * 8);
    for (int64_t row = 0; row < s->rows; row++)
        put(weights, v->dtype == FOCAL_F64 ? FOCAL_F64 : FOCAL_F32, row,
            (double)(row % 4) * 0.5);
    c->buffers.row_weight = weights;
}

static void make(laid_out *c, const variant *v, const shape *s, const arrangement *a) {
    memset(c, 0, sizeof *c);
    focal_problem *const p = &c->problem;
    *p = problem_of(v->op, v->kind, s->rows, s->classes, 2.0);
    p->form = v->form;
    p->dtype = v->dtype;
    p->loss_dtype = p->gradient_dtype = v->results;
    p->inner = a->inner ? a->inner : s->rows;
    p->outer = s->rows / p->inner;
    p->smoothing = v->smoothing;
    const int64_t class_stride = p->inner + a->pad_class;
    const int64_t stride = s->classes * class_stride + a->pad_outer;
    p->logits_class_stride = p->loss_class_stride = p->gradient_class_stride = class_stride;
    p->logits_stride = p->loss_stride = p->gradient_stride = stride;
    p->targets_class_stride = class_stride;
    p->targets_stride = stride;
    if (v->ignore) {
        p->label_flags = FOCAL_LABEL_IGNORE;
        p->ignore = IGNORED;
    }
    if (v->dtype == FOCAL_F64 || v->results == FOCAL_F64)
        p->outputs |= FOCAL_OUTPUT_HESSIAN;
    focal_buffers_init(&c->buffers);
    c->sums = (focal_sums)FOCAL_SUMS_INIT;
    const size_t elements = (size_t)(p->outer * stride);
    fill_inputs(c, v, s, elements);
    const size_t size = size_of(v->results);
    c->buffers.loss = add_memory(c, elements * size);
    c->buffers.row_loss = add_memory(c, (size_t)s->rows * size);
    c->buffers.gradient = add_memory(c, elements * size);
    c->buffers.hessian = add_memory(c, elements * size);
}

static void drop(laid_out *c) {
    for (int i = 0; i < c->used; i++)
        free(c->memory[i]);
}

static void digest_output(const laid_out *c, uint64_t *digest, const void *array, size_t size) {
    static double row_elements[MOST_ELEMENTS];
    const focal_problem *const p = &c->problem;
    for (int64_t row = 0; row < p->outer * p->inner; row++) {
        const int64_t at = place_of_row(p, p->loss_stride, row) * (int64_t)size;
        copy_elements(row_elements, 1, (const char *)array + at, p->loss_class_stride,
                      p->classes, size);
        digest_bytes(digest, row_elements, (size_t)p->classes * size);
    }
}

static uint64_t digest_of(const laid_out *c) {
    const focal_problem *const p = &c->problem;
    const size_t size = size_of(p->loss_dtype);
    uint64_t digest = UINT64_C(0xcbf29ce484222325);
    digest_bytes(&digest, &c->sums.loss, sizeof c->sums.loss);
    digest_bytes(&digest, &c->sums.weight, sizeof c->sums.weight);
    digest_bytes(&digest, &c->sums.rows, 3 * sizeof c->sums.rows);
    digest_bytes(&digest, c->buffers.row_loss, (size_t)(p->outer * p->inner) * size);
    if (p->outputs & FOCAL_OUTPUT_LOSS)
        digest_output(c, &digest, c->buffers.loss, size);
    digest_output(c, &digest, c->buffers.gradient, size);
    if (p->outputs & FOCAL_OUTPUT_HESSIAN)
        digest_output(c, &digest, c->buffers.hessian, size);
    return digest;
}

/* Whether all bytes of an output between its elements, and all that the problem does not ask for,
 * are as they were. */
static int is_bounded(const laid_out *c, const void *array, int wanted) {
    const focal_problem *const p = &c->problem;
    const size_t size = size_of(p->loss_dtype);
    const size_t bytes = (size_t)(p->outer * p->loss_stride) * size;
    static const unsigned char untouched[8] = {0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5, 0xa5};
    unsigned char *const own = malloc(bytes + 64);
    if (own == NULL) {
        puts("out of memory");
        exit(1);
    }
    memcpy(own, array, bytes + 64);
    for (int64_t row = 0; wanted && row < p->outer * p->inner; row++)
        copy_elements(own + place_of_row(p, p->loss_stride, row) * (int64_t)size,
                      p->loss_class_stride, untouched, 0, p->classes, size);
    /* Equal to its neighbour, each byte, and so all to the first. */
    const int bounded = own[0] == untouched[0] && memcmp(own, own + 1, bytes + 63) == 0;
    free(own);
    return bounded;
}

static void check_written(const laid_out *c, const variant *v, const shape *s) {
    const focal_problem *const p = &c->problem;
    const char zeros[8] = {0};
    const size_t size = size_of(p->loss_dtype);
    CHECK(is_bounded(c, c->buffers.loss, p->outputs & FOCAL_OUTPUT_LOSS));
    CHECK(is_bounded(c, c->buffers.gradient, 1));
    CHECK(is_bounded(c, c->buffers.hessian, p->outputs & FOCAL_OUTPUT_HESSIAN));
    unsigned wrong = 0;
    for (int64_t row = 0; v->ignore && row < s->rows; row++) {
        if (label_of(v, s, row) != IGNORED)
            continue;
        wrong += memcmp((char *)c->buffers.row_loss + row * (int64_t)size, zeros, size) != 0;
        for (int64_t class = 0; class < s->classes; class ++) {
            const int64_t at =
                (place_of_row(p, p->loss_stride, row) + class * p->loss_class_stride) *
                (int64_t)size;
            wrong += memcmp((char *)c->buffers.gradient + at, zeros, size) != 0;
        }
    }
    CHECK_CASE(wrong == 0, "%u elements of ignored rows are not 0", wrong);
}

static focal_status run(laid_out *c, const focal_options *options,
                        const focal_parallel *parallel) {
    focal_plan *plan = NULL;
    focal_error error = FOCAL_ERROR_INIT;
    focal_status status = focal_plan_create(&plan, &c->problem, options, &error);
    if (status == FOCAL_OK)
        status = focal_plan_execute(plan, &c->buffers, parallel, &c->sums, &error);
    focal_plan_destroy(plan);
    if (status != FOCAL_OK)
        puts(error.message);
    return status;
}

static void run_backwards(void *context, size_t tasks, void (*task)(void *, size_t),
                          void *argument) {
    (void)context;
    while (tasks-- > 0)
        task(argument, tasks);
}

typedef struct worker {
    void (*task)(void *, size_t);
    void *argument;
    size_t first, tasks;
} worker;

enum { WORKERS = 3 };

static void *work(void *context) {
    const worker *const w = context;
    for (size_t i = w->first; i < w->tasks; i += WORKERS)
        w->task(w->argument, i);
    return NULL;
}

static void run_on_threads(void *context, size_t tasks, void (*task)(void *, size_t),
                           void *argument) {
    (void)context;
    pthread_t threads[WORKERS];
    worker workers[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i] = (worker){task, argument, i, tasks};
        if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0)
            exit(1);
    }
    for (size_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
}

static void run_in_pieces(laid_out *c, const focal_options *options) {
    focal_plan *plan = NULL;
    CHECK_STATUS(focal_plan_create(&plan, &c->problem, options, NULL), FOCAL_OK);
    c->buffers.workspace_size = focal_plan_workspace_size(plan);
    c->buffers.workspace = malloc(c->buffers.workspace_size);
    for (size_t task = focal_plan_tasks(plan); task > 0; task--)
        CHECK_STATUS(focal_plan_execute_range(plan, &c->buffers, task - 1, 1, NULL), FOCAL_OK);
    CHECK_STATUS(focal_plan_finish(plan, &c->buffers, &c->sums, NULL), FOCAL_OK);
    free(c->buffers.workspace);
    c->buffers.workspace = NULL;
    focal_plan_destroy(plan);
}

static uint64_t plain_digest(const variant *v, const shape *s) {
    laid_out c;
    make(&c, v, s, &arrangements[0]);
    CHECK_STATUS(run(&c, NULL, NULL), FOCAL_OK);
    const uint64_t digest = digest_of(&c);
    drop(&c);
    return digest;
}

static void test_arrangements(const variant *v, const shape *s, uint64_t digest) {
    for (size_t a = 0; a < ARRANGEMENTS; a++) {
        laid_out c;
        make(&c, v, s, &arrangements[a]);
        CHECK_STATUS(run(&c, NULL, NULL), FOCAL_OK);
        CHECK_CASE(digest_of(&c) == digest, "%s: variant %zu, %lld x %lld",
                   arrangements[a].name, (size_t)(v - variants), (long long)s->rows,
                   (long long)s->classes);
        check_written(&c, v, s);
        drop(&c);
    }
}

static void test_splits(const variant *v, const shape *s, uint64_t digest) {
    const focal_parallel loops[] = {{sizeof(focal_parallel), NULL, run_backwards},
                                    {sizeof(focal_parallel), NULL, run_on_threads}};
    for (uint32_t grain = 0; grain < 4; grain++)
        for (int way = 0; way < 3; way++) {
            laid_out c;
            focal_options options;
            focal_options_init(&options);
            options.grain = grain;
            make(&c, v, s, &arrangements[grain == 3 ? 5 : 0]);
            if (way == 2)
                run_in_pieces(&c, &options);
            else
                CHECK_STATUS(run(&c, &options, &loops[way]), FOCAL_OK);
            CHECK_CASE(digest_of(&c) == digest, "variant %zu, grain %u, way %d, %lld x %lld",
                       (size_t)(v - variants), grain, way, (long long)s->rows,
                       (long long)s->classes);
            drop(&c);
        }
}

/* Every row with fused multiply-add; the portable one may differ. */
static void test_rows(const variant *v, const shape *s, uint64_t digest) {
    for (size_t i = 0; i < focal_isa_count(); i++) {
        focal_isa_info info = {.struct_size = sizeof info};
        focal_isa_get(i, &info);
        if (!info.usable || strcmp(info.name, "scalar") == 0)
            continue;
        laid_out c;
        focal_options options;
        focal_options_init(&options);
        options.isa = info.name;
        make(&c, v, s, &arrangements[4]);
        CHECK_STATUS(run(&c, &options, NULL), FOCAL_OK);
        CHECK_CASE(digest_of(&c) == digest, "%s: variant %zu", info.name,
                   (size_t)(v - variants));
        drop(&c);
    }
}

/* The gradient over the logits, if their types are the same; else that is refused. */
static void test_in_place(const variant *v, const shape *s, uint64_t digest) {
    for (size_t a = 0; a < ARRANGEMENTS; a++) {
        laid_out c;
        make(&c, v, s, &arrangements[a]);
        c.buffers.gradient = (void *)(uintptr_t)c.buffers.logits;
        focal_plan *plan = NULL;
        focal_error error = FOCAL_ERROR_INIT;
        CHECK_STATUS(focal_plan_create(&plan, &c.problem, NULL, NULL), FOCAL_OK);
        const focal_status status = focal_plan_execute(plan, &c.buffers, NULL, &c.sums, &error);
        if (v->dtype != v->results) {
            CHECK_ERROR(status, error, FOCAL_E_OVERLAP, "gradient", -1);
        } else {
            CHECK_STATUS(status, FOCAL_OK);
            CHECK_CASE(digest_of(&c) == digest, "in place, %s: variant %zu",
                       arrangements[a].name, (size_t)(v - variants));
        }
        focal_plan_destroy(plan);
        drop(&c);
    }
}

int main(void) {
    for (const variant *v = variants; v < variants + VARIANTS; v++)
        for (const shape *s = shapes; s < shapes + SHAPES; s++) {
            set_contents(v, s);
            const uint64_t digest = plain_digest(v, s);
            test_arrangements(v, s, digest);
            test_splits(v, s, digest);
            test_in_place(v, s, digest);
            if (s->rows * s->classes <= 20000)
                test_rows(v, s, digest);
        }
    return check_report();
}
