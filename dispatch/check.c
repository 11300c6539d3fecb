/* What executions look through before they write: labels, 0/1 targets, weights. */
#include <float.h>

#include "status.h"
#include "targets.h"

bool focal_targets_need_check(const focal_call *call) {
    return call->plan->problem.target_kind != FOCAL_TARGET_DENSE || call->weighted;
}

/* Without branches, so that compilers vectorise it: nearly always no label is bad. As unsigned numbers
 * negative labels lie above `last`, the last class. */
#define DEFINE_ANY_BAD(name, label_type, type)                                                 \
    static bool any_bad_##name(const label_type *labels, size_t count, type last,              \
                               type background, type ignore) {                                 \
        type good = 1;                                                                         \
        for (size_t i = 0; i < count; i++) {                                                   \
            type label = (type)labels[i];                                                      \
            good &= (label <= last) | (label == background) | (label == ignore);               \
        }                                                                                      \
        return !good;                                                                          \
    }
DEFINE_ANY_BAD(u8, uint8_t, uint8_t)
DEFINE_ANY_BAD(i32, int32_t, uint32_t)
#undef DEFINE_ANY_BAD

/* The sign bit is set unless a is 0. */
static inline uint64_t sign_if_nonzero(uint64_t a) {
    return a | (0 - a);
}

/* By sign bits, as SSE2 compares no 64-bit numbers. */
static bool any_bad_i64(const int64_t *labels, size_t count, uint64_t last, uint64_t background,
                        uint64_t ignore) {
    uint64_t bad = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t label = (uint64_t)labels[i];
        bad |= (label | (last - label)) & sign_if_nonzero(label - background) &
               sign_if_nonzero(label - ignore);
    }
    return bad >> 63;
}

/* A value that narrow labels cannot have, or that means nothing here, is replaced by a valid label. */
static int64_t special_label(const focal_problem *problem, uint32_t flag, int64_t value) {
    bool fits = problem->target_kind == FOCAL_TARGET_LABEL_I64 ||
                (problem->target_kind == FOCAL_TARGET_LABEL_I32
                     ? value >= INT32_MIN && value <= INT32_MAX
                     : value >= 0 && value <= UINT8_MAX);
    return problem->label_flags & flag && fits ? value : 0;
}

static bool any_bad(const focal_call *call, size_t start, size_t count) {
    const focal_problem *problem = &call->plan->problem;
    const void *labels = call->buffers.targets;
    int64_t last = problem->classes - 1; /* of 31 bits, see sizes.c */
    int64_t background = special_label(problem, FOCAL_LABEL_BACKGROUND, problem->background);
    int64_t ignore = special_label(problem, FOCAL_LABEL_IGNORE, problem->ignore);
    if (problem->target_kind == FOCAL_TARGET_LABEL_I64)
        return any_bad_i64((const int64_t *)labels + start, count, (uint64_t)last,
                           (uint64_t)background, (uint64_t)ignore);
    if (problem->target_kind == FOCAL_TARGET_LABEL_I32)
        return any_bad_i32((const int32_t *)labels + start, count, (uint32_t)last,
                           (uint32_t)background, (uint32_t)ignore);
    return any_bad_u8((const uint8_t *)labels + start, count,
                      (uint8_t)(last < UINT8_MAX ? last : UINT8_MAX), (uint8_t)background,
                      (uint8_t)ignore);
}

/* The first of `count` labels from `start` that means nothing, else -1. */
static int64_t find_bad_label(const focal_call *call, size_t start, size_t count) {
    if (!any_bad(call, start, count))
        return -1;
    while (!any_bad(call, start, 1))
        start++;
    return (int64_t)start;
}

/* The first of `count` bytes that is neither 0 nor 1, else -1. */
static int64_t find_bad_byte(const uint8_t *targets, size_t count) {
    uint8_t all = 0;
    for (size_t i = 0; i < count; i++)
        all |= targets[i];
    for (size_t i = 0; all > 1 && i < count; i++)
        if (targets[i] > 1)
            return (int64_t)i;
    return -1;
}

/* The first that is negative, infinite or NaN: looked for if there is one, which compilers find out by
 * vectors. */
#define FIND_BAD_WEIGHT(type, most)                                                            \
    const type *values = weights;                                                              \
    uint32_t bad = 0;                                                                          \
    for (size_t i = 0; i < count; i++)                                                         \
        bad |= (uint32_t) !(values[i] >= 0) | (uint32_t) !(values[i] <= (most));               \
    for (size_t i = 0; bad && i < count; i++)                                                  \
        if (!(values[i] >= 0 && values[i] <= (most)))                                          \
            return (int64_t)i;                                                                 \
    return -1

static int64_t find_bad_float(const void *weights, size_t count) {
    FIND_BAD_WEIGHT(float, FLT_MAX);
}

static int64_t find_bad_double(const void *weights, size_t count) {
    FIND_BAD_WEIGHT(double, DBL_MAX);
}

static int64_t find_bad_weight(size_t size, const void *weights, size_t count) {
    return size == sizeof(double) ? find_bad_double(weights, count)
                                  : find_bad_float(weights, count);
}

/* Where element number `index` of the tile, row by row, lies in its array. */
static int64_t index_in_array(const focal_tile *tile, const focal_layout *layout,
                              int64_t index) {
    return (int64_t)focal_layout_place(layout, tile->row + (size_t)index / tile->width,
                                       tile->column + (size_t)index % tile->width);
}

static int64_t find_bad_binary(const focal_call *call, const focal_tile *tile) {
    const focal_layout *layout = &call->plan->targets;
    uint8_t scratch[FOCAL_BLOCK];
    const uint8_t *targets = focal_gather(tile, layout, call->buffers.targets, 1, scratch);
    int64_t bad = find_bad_byte(targets, tile->rows * tile->width);
    return bad < 0 ? bad : index_in_array(tile, layout, bad);
}

static int64_t find_bad_element_weight(const focal_call *call, const focal_tile *tile) {
    const focal_layout *layout = &call->plan->element_weight;
    double scratch[FOCAL_BLOCK]; /* or as many floats */
    size_t size = call->plan->weight_size;
    const void *weights =
        focal_gather(tile, layout, call->buffers.element_weight, size, scratch);
    int64_t bad = find_bad_weight(size, weights, tile->rows * tile->width);
    return bad < 0 ? bad : index_in_array(tile, layout, bad);
}

focal_bad focal_block_find_bad(const focal_call *call, size_t block) {
    const focal_plan *plan = call->plan;
    const focal_problem *problem = &plan->problem;
    const focal_buffers *buffers = &call->buffers;
    focal_tile tile = focal_block_tile(plan, block);
    int64_t bad = -1;
    if (problem->form == FOCAL_FORM_MATCH)
        bad = find_bad_label(call, 0, plan->columns);
    else if (focal_target_is_label(problem->target_kind))
        bad = find_bad_label(call, tile.row, tile.rows);
    else if (problem->target_kind == FOCAL_TARGET_BINARY_U8)
        bad = find_bad_binary(call, &tile);
    if (bad >= 0)
        return (focal_bad){BAD_TARGET, bad};
    if (buffers->row_weight) {
        bad = find_bad_weight(plan->weight_size,
                              (const char *)buffers->row_weight + tile.row * plan->weight_size,
                              tile.rows);
        if (bad >= 0)
            return (focal_bad){BAD_ROW_WEIGHT, bad + (int64_t)tile.row};
    }
    if (buffers->element_weight) {
        bad = find_bad_element_weight(call, &tile);
        if (bad >= 0)
            return (focal_bad){BAD_ELEMENT_WEIGHT, bad};
    }
    return (focal_bad){BAD_NONE, -1};
}

static focal_status fail_label(const focal_call *call, int64_t index, focal_error *error) {
    const focal_problem *problem = &call->plan->problem;
    bool background = problem->label_flags & FOCAL_LABEL_BACKGROUND;
    bool ignore = problem->label_flags & FOCAL_LABEL_IGNORE;
    /* Whoever has labels such as -1 or 255 may not know what label_flags is for. */
    const char *hint = "";
    if (problem->label_flags == 0 && problem->form != FOCAL_FORM_MATCH)
        hint = problem->op == FOCAL_SOFTMAX
                   ? "; FOCAL_LABEL_IGNORE gives it a meaning"
                   : "; FOCAL_LABEL_BACKGROUND or FOCAL_LABEL_IGNORE gives it a meaning";
    return focal_fail(
        error, FOCAL_E_LABEL, "targets", index,
        "label %lld of row %lld is outside [0, %lld)%s%s%s",
        (long long)focal_label_at(problem->target_kind, call->buffers.targets, (size_t)index),
        (long long)index, (long long)problem->classes,
        background ? " and not the background" : "", ignore ? " and not the ignored value" : "",
        hint);
}

focal_status focal_bad_fail(const focal_call *call, focal_bad bad, focal_error *error) {
    long long index = bad.index;
    bool wide = call->plan->weight_size == sizeof(double);
    switch (bad.kind) {
    case BAD_TARGET:
        if (call->plan->problem.target_kind != FOCAL_TARGET_BINARY_U8)
            return fail_label(call, bad.index, error);
        return focal_fail(error, FOCAL_E_TARGET, "targets", bad.index,
                          "element %lld is %u, neither 0 nor 1", index,
                          ((const uint8_t *)call->buffers.targets)[index]);
    case BAD_ROW_WEIGHT:
    case BAD_ELEMENT_WEIGHT: {
        bool rows = bad.kind == BAD_ROW_WEIGHT;
        const void *weights = rows ? call->buffers.row_weight : call->buffers.element_weight;
        return focal_fail(error, FOCAL_E_VALUE, rows ? "row_weight" : "element_weight",
                          bad.index, "element %lld is %g, not a finite number >= 0", index,
                          wide ? ((const double *)weights)[index]
                               : (double)((const float *)weights)[index]);
    }
    case BAD_NONE:
        break;
    }
    return FOCAL_OK;
}
