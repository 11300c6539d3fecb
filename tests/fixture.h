/* A problem with all its memory, for tests of the public interface. Every buffer lies between
 * canaries and is remembered, so that a test can say that nothing was written where nothing may
 * be. Logits and labels depend on seed, row and class alone: problems that differ in target kind
 * or layout hold the same numbers. */
#ifndef FOCAL_TESTS_FIXTURE_H
#define FOCAL_TESTS_FIXTURE_H

#include <stdlib.h>

#include "check.h"

enum { CANARY = 64, ALL_OUTPUTS = 15, ALL_OUTPUTS_SOFTMAX = ALL_OUTPUTS & ~FOCAL_OUTPUT_LOSS };
enum { LOGITS, TARGETS, LOSS, ROW_LOSS, GRADIENT, REGIONS };

typedef struct region {
    unsigned char *memory, *remembered; /* canary, data, canary; and a copy of all three */
    size_t size;                        /* of the data */
} region;

typedef struct fixture {
    focal_problem problem;
    focal_buffers buffers;
    focal_sums sums;
    region regions[REGIONS];
} fixture;

/* Where the data of all buffers begins after a multiple of 64 bytes, in elements; and whether
 * dense targets are soft. */
typedef struct fixture_style {
    uint64_t seed;
    size_t offset;
    int soft;
} fixture_style;

/* The tiers there are, by number 0 ... TIERS - 1. */
#define TIER_COUNT(name, value, text, description) +1
enum { TIERS = 0 FOCAL_TIER_LIST(TIER_COUNT) };
#undef TIER_COUNT

static inline focal_tier tier_at(size_t number) {
#define TIER_ENTRY(name, value, text, description) name,
    static const focal_tier tiers[] = {FOCAL_TIER_LIST(TIER_ENTRY)};
#undef TIER_ENTRY
    return tiers[number % TIERS];
}

static inline uint64_t mix(uint64_t seed, uint64_t a, uint64_t b) {
    uint64_t x = seed + a * UINT64_C(0x9e3779b97f4a7c15) + b * UINT64_C(0xc2b2ae3d27d4eb4f);
    x = (x ^ x >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 30) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 32;
}

static inline double unit(uint64_t bits) {
    return (double)(bits >> 11) * 0x1p-53;
}

/* Mostly -8 ... 8, now and then far out. */
static inline float fixture_logit(uint64_t seed, int64_t row, int64_t column) {
    const uint64_t bits = mix(seed, (uint64_t)row, (uint64_t)column);
    const double x = (unit(bits) - 0.5) * 16.0;
    return (float)(bits % 16 == 0 ? 8.0 * x : x);
}

/* A class, or -1 for a row of background. */
static inline int64_t fixture_class(const focal_problem *problem, uint64_t seed, int64_t row) {
    const uint64_t bits = mix(~seed, (uint64_t)row, 1);
    if ((problem->label_flags & FOCAL_LABEL_BACKGROUND) && bits % 4 == 0)
        return -1;
    return (int64_t)(bits / 4 % (uint64_t)problem->classes);
}

static inline int is_label_kind(focal_target_kind kind) {
    return kind == FOCAL_TARGET_LABEL_U8 || kind == FOCAL_TARGET_LABEL_I32 ||
           kind == FOCAL_TARGET_LABEL_I64;
}

static inline size_t target_size(focal_target_kind kind) {
    switch (kind) {
    case FOCAL_TARGET_DENSE:
    case FOCAL_TARGET_LABEL_I32:
        return 4;
    case FOCAL_TARGET_LABEL_I64:
        return 8;
    case FOCAL_TARGET_BINARY_U8:
    case FOCAL_TARGET_LABEL_U8:
        break;
    }
    return 1;
}

static inline int64_t stride_or(int64_t stride, int64_t classes) {
    return stride != 0 ? stride : classes;
}

static inline void *region_make(region *r, int64_t rows, int64_t stride, int64_t width,
                                size_t element, size_t offset) {
    const int64_t count = rows == 0 ? 0 : (rows - 1) * stride + width;
    r->size = (size_t)count * element + offset * element;
    const size_t whole = (r->size + 2 * CANARY + 63) / 64 * 64;
    r->memory = aligned_alloc(64, whole);
    r->remembered = malloc(r->size + 2 * CANARY);
    if (r->memory == NULL || r->remembered == NULL) {
        puts("out of memory");
        exit(1);
    }
    memset(r->memory, 0xa5, whole);
    return r->memory + CANARY + offset * element;
}

static inline void fixture_remember(fixture *f) {
    for (int i = 0; i < REGIONS; i++)
        memcpy(f->regions[i].remembered, f->regions[i].memory, f->regions[i].size + 2 * CANARY);
}

static inline void store_target(void *targets, focal_target_kind kind, int64_t index,
                                int64_t value) {
    switch (kind) {
    case FOCAL_TARGET_DENSE:
        ((float *)targets)[index] = (float)value;
        break;
    case FOCAL_TARGET_BINARY_U8:
    case FOCAL_TARGET_LABEL_U8:
        ((uint8_t *)targets)[index] = (uint8_t)value;
        break;
    case FOCAL_TARGET_LABEL_I32:
        ((int32_t *)targets)[index] = (int32_t)value;
        break;
    case FOCAL_TARGET_LABEL_I64:
        ((int64_t *)targets)[index] = value;
        break;
    }
}

/* Memory for every buffer, whether the problem's outputs ask for it or not. */
static inline void fixture_make_styled(fixture *f, const focal_problem *problem,
                                       fixture_style style) {
    const int64_t rows = problem->outer, classes = problem->classes;
    const int64_t logits_stride = stride_or(problem->logits_stride, classes);
    const int64_t targets_stride = stride_or(problem->targets_stride, classes);
    const focal_target_kind kind = problem->target_kind;
    const int labels = is_label_kind(kind);
    memset(f, 0, sizeof *f);
    f->problem = *problem;
    f->sums = (focal_sums)FOCAL_SUMS_INIT;
    focal_buffers_init(&f->buffers);
    float *const logits =
        region_make(&f->regions[LOGITS], rows, logits_stride, classes, 4, style.offset);
    void *const targets = region_make(&f->regions[TARGETS], rows, labels ? 1 : targets_stride,
                                      labels ? 1 : classes, target_size(kind), style.offset);
    f->buffers.logits = logits;
    f->buffers.targets = targets;
    f->buffers.loss =
        region_make(&f->regions[LOSS], rows, stride_or(problem->loss_stride, classes), classes,
                    4, style.offset);
    f->buffers.row_loss = region_make(&f->regions[ROW_LOSS], rows, 1, 1, 4, style.offset);
    f->buffers.gradient =
        region_make(&f->regions[GRADIENT], rows, stride_or(problem->gradient_stride, classes),
                    classes, 4, style.offset);
    for (int64_t row = 0; row < rows; row++) {
        const int64_t class = fixture_class(problem, style.seed, row);
        if (labels)
            store_target(targets, kind, row, class < 0 ? problem->background : class);
        for (int64_t column = 0; column < classes; column++) {
            logits[row * logits_stride + column] = fixture_logit(style.seed, row, column);
            if (labels)
                continue;
            store_target(targets, kind, row * targets_stride + column, column == class);
            if (style.soft && kind == FOCAL_TARGET_DENSE)
                ((float *)targets)[row * targets_stride + column] =
                    (float)unit(mix(style.seed ^ 5, (uint64_t)row, (uint64_t)column));
        }
    }
    fixture_remember(f);
}

static inline void fixture_make(fixture *f, const focal_problem *problem, uint64_t seed) {
    fixture_make_styled(f, problem, (fixture_style){.seed = seed});
}

static inline void fixture_free(fixture *f) {
    for (int i = 0; i < REGIONS; i++) {
        free(f->regions[i].memory);
        free(f->regions[i].remembered);
    }
}

/* Nothing at all has been written since fixture_remember. */
static inline int fixture_untouched(const fixture *f) {
    for (int i = 0; i < REGIONS; i++) {
        const region *const r = &f->regions[i];
        if (memcmp(r->memory, r->remembered, r->size + 2 * CANARY) != 0)
            return 0;
    }
    const focal_sums none = FOCAL_SUMS_INIT;
    return f->sums.loss == none.loss && f->sums.rows == none.rows &&
           f->sums.positives == none.positives && f->sums.struct_size == none.struct_size;
}

static inline int region_kept(const region *r, size_t from, size_t to) {
    return memcmp(r->memory + from, r->remembered + from, to - from) == 0;
}

/* Nothing has been written but the elements of the outputs that the problem asks for. An
 * in-place gradient is the caller's exception: `in_place` lets the logits be one. */
static inline int fixture_bounded(const fixture *f, int in_place) {
    const focal_problem *const p = &f->problem;
    for (int i = 0; i < REGIONS; i++) {
        const region *const r = &f->regions[i];
        const int wanted =
            (i == LOSS && (p->outputs & FOCAL_OUTPUT_LOSS)) ||
            (i == ROW_LOSS && (p->outputs & FOCAL_OUTPUT_ROW_LOSS)) ||
            (i == GRADIENT && (p->outputs & FOCAL_OUTPUT_GRADIENT) && !in_place) ||
            (i == LOGITS && in_place);
        const int64_t stride = i == LOSS       ? stride_or(p->loss_stride, p->classes)
                               : i == GRADIENT ? stride_or(p->gradient_stride, p->classes)
                               : i == LOGITS   ? stride_or(p->logits_stride, p->classes)
                                               : 1;
        const int64_t width = i == ROW_LOSS ? 1 : p->classes;
        const void *const start = i == LOSS       ? f->buffers.loss
                                  : i == GRADIENT ? f->buffers.gradient
                                  : i == ROW_LOSS ? f->buffers.row_loss
                                                  : f->buffers.logits;
        size_t checked = 0;
        for (int64_t row = 0; wanted && row < p->outer; row++) {
            const size_t first =
                (size_t)((const unsigned char *)start - r->memory) + (size_t)(row * stride) * 4;
            if (!region_kept(r, checked, first))
                return 0;
            checked = first + (size_t)width * 4;
        }
        if (!region_kept(r, checked, r->size + 2 * CANARY))
            return 0;
    }
    return 1;
}

/* Eight bytes at a time; the multiplier is odd, so no single difference is lost. */
static inline void digest_bytes(uint64_t *digest, const void *bytes, size_t size) {
    const unsigned char *const from = bytes;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t piece = 0;
        memcpy(&piece, from + i, size - i < 8 ? size - i : 8);
        *digest = (*digest ^ piece) * UINT64_C(0x9e3779b97f4a7c15);
        *digest ^= *digest >> 32;
    }
}

static inline void digest_rows(uint64_t *digest, const void *data, int64_t rows, int64_t stride,
                               int64_t width) {
    for (int64_t row = 0; row < rows; row++)
        digest_bytes(digest, (const float *)data + row * stride, (size_t)width * 4);
}

/* The bits of the given outputs, whatever their layout. */
static inline uint64_t fixture_digest(const fixture *f, uint32_t outputs) {
    const focal_problem *const p = &f->problem;
    const int64_t n = p->classes;
    uint64_t digest = UINT64_C(0xcbf29ce484222325);
    if (outputs & FOCAL_OUTPUT_SUM)
        digest_bytes(&digest, &f->sums.loss, sizeof f->sums.loss);
    if (outputs & FOCAL_OUTPUT_LOSS)
        digest_rows(&digest, f->buffers.loss, p->outer, stride_or(p->loss_stride, n), n);
    if (outputs & FOCAL_OUTPUT_ROW_LOSS)
        digest_rows(&digest, f->buffers.row_loss, p->outer, 1, 1);
    if (outputs & FOCAL_OUTPUT_GRADIENT)
        digest_rows(&digest, f->buffers.gradient, p->outer, stride_or(p->gradient_stride, n),
                    n);
    return digest;
}

/* Creates, executes, destroys. */
static inline focal_status fixture_run(fixture *f, const focal_options *options,
                                       const focal_parallel *parallel, focal_error *error) {
    focal_plan *plan = NULL;
    focal_status status = focal_plan_create(&plan, &f->problem, options, error);
    if (status == FOCAL_OK)
        status = focal_plan_execute(plan, &f->buffers, parallel, &f->sums, error);
    focal_plan_destroy(plan);
    return status;
}

/* A problem with every output its operation has. */
static inline focal_problem problem_of(focal_op op, focal_target_kind kind, int64_t outer,
                                       int64_t classes, double gamma) {
    focal_problem problem;
    focal_problem_init(&problem);
    problem.op = op;
    problem.target_kind = kind;
    problem.outer = outer;
    problem.classes = classes;
    problem.gamma = gamma;
    problem.outputs = op == FOCAL_SOFTMAX ? ALL_OUTPUTS_SOFTMAX : ALL_OUTPUTS;
    return problem;
}

#endif
