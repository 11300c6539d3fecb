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

static double weight_at(const focal_call *call, const void *weights, size_t index) {
    return call->plan->weight_size == sizeof(double) ? ((const double *)weights)[index]
                                                     : (double)((const float *)weights)[index];
}

double focal_row_weight(const focal_call *call, size_t row) {
    const focal_problem *problem = &call->plan->problem;
    double weight = 1.0;
    if (problem->op == FOCAL_SOFTMAX && problem->class_weight &&
        focal_target_is_label(problem->target_kind))
        weight = problem->class_weight[focal_label_at(problem->target_kind,
                                                      call->buffers.targets, row)];
    if (call->buffers.row_weight)
        weight *= weight_at(call, call->buffers.row_weight, row);
    return weight;
}

static bool is_ignored(const focal_call *call, size_t row) {
    const focal_problem *problem = &call->plan->problem;
    return problem->label_flags & FOCAL_LABEL_IGNORE &&
           focal_label_is_ignored(
               problem, focal_label_at(problem->target_kind, call->buffers.targets, row));
}

void focal_tile_skip(const focal_call *call, focal_tile *tile, uint8_t *skip) {
    const focal_problem *problem = &call->plan->problem;
    bool weights =
        call->buffers.row_weight || (problem->op == FOCAL_SOFTMAX && problem->class_weight);
    if (!weights && !(problem->label_flags & FOCAL_LABEL_IGNORE))
        return;
    size_t kept = 0;
    for (size_t r = 0; r < tile->rows; r++) {
        size_t row = tile->row + r;
        skip[r] = is_ignored(call, row) || (weights && focal_row_weight(call, row) == 0.0);
        kept += !skip[r];
    }
    tile->kept = kept;
    tile->skip = skip;
}

/* The sum of all weights of a row's logits of sigmoid. */
static double row_element_weights(const focal_call *call, const focal_tile *tile, size_t row) {
    const focal_plan *plan = call->plan;
    const double *class_weight = plan->problem.class_weight;
    const void *weights = call->buffers.element_weight;
    double sum = 0.0;
    for (size_t column = tile->column; column < tile->column + tile->width; column++) {
        double weight = class_weight ? class_weight[column] : 1.0;
        if (weights)
            weight *= weight_at(call, weights,
                                focal_layout_place(&plan->element_weight, row, column));
        sum += weight;
    }
    return sum * focal_row_weight(call, row);
}

static double count_weight(const focal_call *call, const focal_tile *tile) {
    const focal_problem *problem = &call->plan->problem;
    bool by_element =
        problem->op == FOCAL_SIGMOID && (call->buffers.element_weight || problem->class_weight);
    double sum = 0.0;
    for (size_t row = tile->row; row < tile->row + tile->rows; row++) {
        if (is_ignored(call, row))
            continue;
        if (by_element)
            sum += row_element_weights(call, tile, row);
        else if (tile->column == 0)
            sum += focal_row_weight(call, row);
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

static int64_t count_ones(const uint8_t *bytes, size_t count) {
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
        return count_ones(
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
                positives += count_ones(targets, count);
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
