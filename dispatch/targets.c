#include "targets.h"

#include <float.h>
#include <string.h>

#include "convert.h"
#include "status.h"

focal_tile focal_block_tile(const focal_plan *plan, size_t block) {
    if (plan->blocks_per_row > 1) {
        size_t column = block % plan->blocks_per_row * FOCAL_BLOCK;
        size_t left = plan->columns - column;
        return (focal_tile){block / plan->blocks_per_row,
                            1,
                            column,
                            left < FOCAL_BLOCK ? left : FOCAL_BLOCK,
                            NULL,
                            1};
    }
    size_t row = block * plan->rows_per_block;
    size_t left = plan->rows - row;
    size_t rows = left < plan->rows_per_block ? left : plan->rows_per_block;
    return (focal_tile){row, rows, 0, plan->columns, NULL, rows};
}

/* Weights are doubles or floats; a constant for `wide` makes loops of vectors. */
static inline double weight_of(bool wide, const void *weights, size_t index) {
    return wide ? ((const double *)weights)[index] : (double)((const float *)weights)[index];
}

static bool has_wide_weights(const focal_call *call) {
    return call->plan->weight_size == sizeof(double);
}

static const void *row_weights(const focal_call *call, const focal_tile *tile) {
    return (const char *)call->buffers.row_weight + tile->row * call->plan->weight_size;
}

double focal_row_weight(const focal_call *call, size_t row) {
    const focal_problem *problem = &call->plan->problem;
    double weight = 1.0;
    if (problem->op == FOCAL_SOFTMAX && problem->class_weight &&
        focal_target_is_label(problem->target_kind))
        weight = problem->class_weight[focal_label_at(problem->target_kind,
                                                      call->buffers.targets, row)];
    if (call->buffers.row_weight)
        weight *= weight_of(has_wide_weights(call), call->buffers.row_weight, row);
    return weight;
}

static bool is_ignored(const focal_call *call, size_t row) {
    const focal_problem *problem = &call->plan->problem;
    return problem->label_flags & FOCAL_LABEL_IGNORE &&
           focal_label_is_ignored(
               problem, focal_label_at(problem->target_kind, call->buffers.targets, row));
}

/* Whether nothing but its own weight decides about a row. */
static bool only_rows_weigh(const focal_call *call) {
    const focal_problem *problem = &call->plan->problem;
    return call->buffers.row_weight && !(problem->label_flags & FOCAL_LABEL_IGNORE) &&
           !(problem->op == FOCAL_SOFTMAX && problem->class_weight);
}

/* Marks the weights that are 0, and returns how many are not. */
static inline size_t mark_zeros(bool wide, const void *weights, size_t count, uint8_t *marks) {
    uint32_t zeros = 0;
    for (size_t i = 0; i < count; i++) {
        marks[i] = weight_of(wide, weights, i) == 0.0;
        zeros += marks[i];
    }
    return count - zeros;
}

void focal_tile_skip(const focal_call *call, focal_tile *tile, uint8_t *skip) {
    const focal_problem *problem = &call->plan->problem;
    bool weights =
        call->buffers.row_weight || (problem->op == FOCAL_SOFTMAX && problem->class_weight);
    if (!weights && !(problem->label_flags & FOCAL_LABEL_IGNORE))
        return;
    size_t kept = 0;
    if (only_rows_weigh(call)) {
        const void *own = row_weights(call, tile);
        kept = has_wide_weights(call) ? mark_zeros(true, own, tile->rows, skip)
                                      : mark_zeros(false, own, tile->rows, skip);
    } else {
        for (size_t r = 0; r < tile->rows; r++) {
            size_t row = tile->row + r;
            skip[r] = is_ignored(call, row) || (weights && focal_row_weight(call, row) == 0.0);
            kept += !skip[r];
        }
    }
    tile->kept = kept;
    tile->skip = skip;
}

/* The sum of a line of weights, `step` apart, each times its class's; either may be NULL. It has four
 * lanes, so that an addition need not wait for the one before. */
static inline double sum_line(bool wide, const void *weights, size_t step,
                              const double *class_weight, size_t count) {
    enum { LANES = 4 };
    double lanes[LANES] = {0.0};
    size_t whole = count / LANES * LANES;
    for (size_t i = 0; i < whole; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            lanes[lane] += (weights ? weight_of(wide, weights, (i + lane) * step) : 1.0) *
                           (class_weight ? class_weight[i + lane] : 1.0);
    for (size_t i = whole; i < count; i++)
        lanes[i - whole] += (weights ? weight_of(wide, weights, i * step) : 1.0) *
                            (class_weight ? class_weight[i] : 1.0);
    return lanes[0] + lanes[2] + (lanes[1] + lanes[3]);
}

static double sum_weights(const focal_call *call, const void *weights, size_t step,
                          const double *class_weight, size_t count) {
    bool wide = has_wide_weights(call);
    if (!wide && step == 1 && !class_weight)
        return sum_line(false, weights, 1, NULL, count);
    return sum_line(wide, weights, step, class_weight, count);
}

/* The weights of the tile's logits, that of their row left out. */
static double sum_elements(const focal_call *call, const focal_tile *tile) {
    const focal_plan *plan = call->plan;
    const focal_layout *layout = &plan->element_weight;
    const double *class_weight = plan->problem.class_weight;
    const void *weights = call->buffers.element_weight;
    if (weights)
        weights = focal_tile_start(tile, layout, weights, plan->weight_size);
    if (weights && !class_weight && focal_tile_is_whole(tile, layout))
        return sum_weights(call, weights, 1, NULL, tile->rows * tile->width);
    return sum_weights(call, weights, layout->inner == 1 ? 1 : layout->class_stride,
                       class_weight ? class_weight + tile->column : NULL, tile->width);
}

static double count_weight(const focal_call *call, const focal_tile *tile) {
    const focal_problem *problem = &call->plan->problem;
    bool by_element = problem->op == FOCAL_SIGMOID && call->buffers.element_weight;
    bool by_class = problem->op == FOCAL_SIGMOID && problem->class_weight;
    bool ignores = problem->label_flags & FOCAL_LABEL_IGNORE;
    if (!by_element && !by_class && tile->column > 0)
        return 0.0; /* the first piece of a row counts it */
    if (!by_element && !by_class && only_rows_weigh(call))
        return sum_weights(call, row_weights(call, tile), 1, NULL, tile->rows);
    if (by_element && !by_class && !call->buffers.row_weight && !ignores &&
        focal_tile_is_whole(tile, &call->plan->element_weight))
        return sum_elements(call, tile);
    double classes = by_class && !by_element ? sum_elements(call, tile) : 1.0, sum = 0.0;
    for (size_t row = tile->row; row < tile->row + tile->rows; row++) {
        if (is_ignored(call, row))
            continue;
        const focal_tile one = {row, 1, tile->column, tile->width, NULL, 1};
        sum += (by_element ? sum_elements(call, &one) : classes) * focal_row_weight(call, row);
    }
    return sum;
}

static int64_t count_labels(const focal_call *call, const focal_tile *tile) {
    const focal_problem *problem = &call->plan->problem;
    int64_t positives = 0;
    for (size_t row = tile->row; row < tile->row + tile->rows; row++) {
        int64_t label = focal_label_at(problem->target_kind, call->buffers.targets, row);
        if (!focal_label_is_background(problem, label) &&
            !focal_label_is_ignored(problem, label))
            positives += (size_t)label - tile->column < tile->width;
    }
    return positives;
}

int64_t focal_count_ones(const uint8_t *bytes, size_t count) {
    uint32_t ones = 0; /* a block's worth at most; narrow, so that compilers vectorise it */
    for (size_t i = 0; i < count; i++)
        ones += bytes[i];
    return ones;
}

/* Dense targets above 0, a piece at a time, or bytes that are 1. */
static int64_t count_elements(const focal_call *call, const focal_tile *tile) {
    const focal_plan *plan = call->plan;
    enum { PIECE = 512 };
    uint64_t raw[PIECE];
    double values[PIECE];
    int64_t positives = 0;
    bool bytes = plan->problem.target_kind == FOCAL_TARGET_BINARY_U8;
    if (bytes && focal_tile_is_whole(tile, &plan->targets))
        return focal_count_ones(
            (const uint8_t *)focal_tile_start(tile, &plan->targets, call->buffers.targets, 1),
            tile->rows * tile->width);
    for (size_t row = 0; row < tile->rows; row++)
        for (size_t column = 0; column < tile->width; column += PIECE) {
            size_t left = tile->width - column, count = left < PIECE ? left : PIECE;
            const focal_tile piece = {tile->row + row, 1,    tile->column + column,
                                      count,           NULL, 1};
            const void *targets = focal_gather(&piece, &plan->targets, call->buffers.targets,
                                               plan->targets_size, raw);
            if (bytes) {
                positives += focal_count_ones(targets, count);
                continue;
            }
            focal_load_f64(plan->problem.targets_dtype, targets, values, count);
            for (size_t i = 0; i < count; i++)
                positives += values[i] > 0.0;
        }
    return positives;
}

focal_block_result focal_count(const focal_call *call, const focal_tile *tile) {
    const focal_problem *problem = &call->plan->problem;
    focal_block_result result = {0.0, 0.0, 0, 0};
    if (problem->form == FOCAL_FORM_MATCH)
        return result;
    if (focal_target_is_label(problem->target_kind))
        result.positives = count_labels(call, tile);
    else if (problem->target_kind == FOCAL_TARGET_BINARY_U8 ||
             problem->normalizer == FOCAL_NORMALIZER_POSITIVES)
        result.positives = count_elements(call, tile);
    if (tile->column == 0 && problem->label_flags & FOCAL_LABEL_IGNORE)
        for (size_t row = tile->row; row < tile->row + tile->rows; row++)
            result.ignored += is_ignored(call, row);
    if (focal_call_has_weights(call))
        result.weight = count_weight(call, tile);
    return result;
}

void focal_block_count(const focal_call *call, size_t block) {
    focal_tile tile = focal_block_tile(call->plan, block);
    focal_call_results(call)[block] = focal_count(call, &tile);
}
