/* Blocks of the plain forms, by the f32 kernels: each block is brought into the contiguous floats
 * that kernels take, computed, and put back. What does not lie so is staged in a scratch block
 * that stays in the first-level cache, so no layout needs a kernel, or a copy of the whole matrix,
 * of its own. */
#include "block.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "convert.h"
#include "labels.h"
#include "planes.h"
#include "targets.h"
#include "weights.h"

/* About 112 KiB on the stack of the thread that runs a task. */
typedef struct {
    float logits[FOCAL_BLOCK]; /* and the gradient, when it is staged */
    union {
        struct { /* of sigmoid's elements */
            float targets[FOCAL_BLOCK];
            float loss[FOCAL_BLOCK];
            float weights[FOCAL_BLOCK];
        };
        struct { /* of softmax */
            double row_factors[FOCAL_BLOCK];
            float rows[FOCAL_BLOCK]; /* on their way to planes and back */
        };
    };
    float row_loss[FOCAL_BLOCK];
    int32_t labels[FOCAL_BLOCK];
    uint16_t raw[FOCAL_BLOCK];   /* 16-bit elements on their way */
    uint8_t binary[FOCAL_BLOCK]; /* 0/1 targets, or marked labels */
    uint8_t skip[FOCAL_BLOCK];
    bool weighed;                    /* elements have weights */
    focal_halves halves;             /* what the kernel converts by itself */
    bool by_runs;                    /* more than one block: likely more than a cache holds */
    const focal_kernel_table *table; /* has the conversions */
    float *row; /* the task's part of the workspace, for softmax rows longer than a block */
} block_scratch;

static focal_tile piece_of_row(const focal_tile *tile, size_t column) {
    size_t left = tile->width - column;
    return (focal_tile){
        tile->row,  tile->rows, tile->column + column, left < FOCAL_BLOCK ? left : FOCAL_BLOCK,
        tile->skip, tile->kept};
}

/* The tile's elements as contiguous floats, in `staged` unless they are that already. */
static const float *take(block_scratch *scratch, const focal_tile *tile,
                         const focal_layout *layout, const void *array, focal_dtype dtype,
                         float *staged) {
    if (dtype == FOCAL_F32)
        return focal_gather(tile, layout, array, sizeof(float), staged);
    const void *elements =
        focal_gather(tile, layout, array, sizeof *scratch->raw, scratch->raw);
    focal_load_f32(scratch->table, dtype, elements, staged, tile->kept * tile->width);
    return staged;
}

/* Puts staged results where they belong, rounded to their type. */
static void give(block_scratch *scratch, const focal_tile *tile, const focal_layout *layout,
                 const float *staged, void *array, focal_dtype dtype) {
    if (dtype == FOCAL_F32) {
        focal_scatter(tile, layout, staged, array, sizeof(float));
    } else if (focal_tile_is_whole(tile, layout)) {
        focal_store_f32(scratch->table, dtype, staged,
                        focal_tile_start(tile, layout, array, sizeof *scratch->raw),
                        tile->kept * tile->width);
    } else {
        focal_store_f32(scratch->table, dtype, staged, scratch->raw, tile->kept * tile->width);
        focal_scatter(tile, layout, scratch->raw, array, sizeof *scratch->raw);
    }
}

/* Where a kernel may write the tile's results: in the array itself, else NULL. */
static float *in_array(const focal_tile *tile, const focal_layout *layout, void *array,
                       focal_dtype dtype) {
    bool direct = dtype == FOCAL_F32 && focal_tile_is_whole(tile, layout);
    return direct ? (float *)focal_tile_start(tile, layout, array, sizeof(float)) : NULL;
}

/* Like take, but 16-bit elements that lie in one piece are left to the kernel, which meets memory run by
 * run. From the caches a whole block is faster. */
static const float *take_by_runs(block_scratch *scratch, const focal_tile *tile,
                                 const focal_layout *layout, const void *array,
                                 focal_dtype dtype, float *staged) {
    if (dtype == FOCAL_F32 || !scratch->by_runs || !focal_tile_is_whole(tile, layout))
        return take(scratch, tile, layout, array, dtype, staged);
    const void *from = focal_tile_start(tile, layout, array, sizeof(uint16_t));
    scratch->halves.in[scratch->halves.loads++] =
        (struct focal_half_input){from, staged, focal_half_loader(scratch->table, dtype)};
    return staged;
}

/* Whether the kernel puts staged results where they belong, as it then does. */
static bool give_by_runs(block_scratch *scratch, const focal_tile *tile,
                         const focal_layout *layout, const float *staged, void *array,
                         focal_dtype dtype) {
    if (dtype == FOCAL_F32 || !scratch->by_runs || !focal_tile_is_whole(tile, layout))
        return false;
    void *to = focal_tile_start(tile, layout, array, sizeof(uint16_t));
    scratch->halves.out[scratch->halves.stores++] =
        (struct focal_half_output){staged, to, focal_half_storer(scratch->table, dtype)};
    return true;
}

static void zero_results(const focal_call *call, const focal_tile *tile) {
    const focal_plan *plan = call->plan;
    const focal_problem *problem = &plan->problem;
    const focal_buffers *buffers = &call->buffers;
    if (problem->outputs & FOCAL_OUTPUT_LOSS)
        focal_zero_skipped(tile, &plan->loss, buffers->loss, plan->loss_size);
    if (problem->outputs & FOCAL_OUTPUT_GRADIENT)
        focal_zero_skipped(tile, &plan->gradient, buffers->gradient, plan->gradient_size);
    if (problem->outputs & FOCAL_OUTPUT_ROW_LOSS && plan->blocks_per_row == 1) {
        focal_tile rows = focal_tile_of_rows(tile);
        focal_zero_skipped(&rows, &focal_row_layout, buffers->row_loss, plan->loss_size);
    }
}

static const double *take_row_factors(const focal_call *call, const focal_tile *tile, bool all,
                                      block_scratch *scratch) {
    if (!focal_has_row_factors(call))
        return NULL;
    focal_take_row_factors(call, tile, all, scratch->row_factors);
    return scratch->row_factors;
}

/* A copy, since compilers clear a large struct by a loop that takes as long as a small block. */
static focal_span start_span(const focal_call *call, const focal_tile *tile) {
    focal_span span = call->plan->span;
    span.rows = tile->kept;
    span.classes = tile->width;
    span.upstream = (float)call->factor;
    return span;
}

/* Returns how many rows of the tile have a positive class in it. */
static int64_t take_labels(const focal_call *call, const focal_tile *tile,
                           block_scratch *scratch, focal_span *span) {
    const int32_t *labels = focal_labels_take(call, tile, scratch->labels);
    if (focal_labels_mark(labels, tile->kept, tile->width, scratch->binary))
        span->targets = scratch->binary;
    else
        span->labels = labels;
    return focal_labels_count(labels, tile->kept);
}

/* The kernel makes no row losses then: those of weighted losses follow. */
static void run_weighed(const focal_call *call, const focal_tile *tile, block_scratch *scratch,
                        focal_span *span) {
    float *row_loss = span->row_loss;
    span->row_loss = NULL;
    call->plan->kernel->function(span);
    span->row_loss = row_loss;
    scratch->table->weigh(span, focal_take_element_weights(call, tile, span, scratch->weights));
}

static void run_sigmoid(const focal_call *call, const focal_tile *tile, block_scratch *scratch,
                        focal_block_result *result) {
    const focal_plan *plan = call->plan;
    const focal_problem *problem = &plan->problem;
    const focal_buffers *buffers = &call->buffers;
    *result = (focal_block_result){0.0, 0.0, 0, (int64_t)(tile->rows - tile->kept)};
    if (tile->kept == 0) {
        zero_results(call, tile);
        return;
    }
    focal_span span = start_span(call, tile);
    scratch->halves.loads = scratch->halves.stores = 0;
    span.logits = take_by_runs(scratch, tile, &plan->logits, buffers->logits, problem->dtype,
                               scratch->logits);
    if (focal_target_is_label(problem->target_kind)) {
        result->positives = take_labels(call, tile, scratch, &span);
    } else if (problem->target_kind == FOCAL_TARGET_BINARY_U8) {
        span.targets = focal_gather(tile, &plan->targets, buffers->targets, sizeof(uint8_t),
                                    scratch->binary);
        result->positives = focal_count_ones(span.targets, tile->kept * tile->width);
    } else {
        span.targets = take_by_runs(scratch, tile, &plan->targets, buffers->targets,
                                    problem->targets_dtype, scratch->targets);
    }
    bool loss_wanted = problem->outputs & FOCAL_OUTPUT_LOSS;
    bool rows_wanted = problem->outputs & FOCAL_OUTPUT_ROW_LOSS && plan->blocks_per_row == 1;
    bool gradient_wanted = problem->outputs & FOCAL_OUTPUT_GRADIENT;
    float *loss = NULL, *row_loss = NULL, *gradient = NULL;
    focal_tile rows = focal_tile_of_rows(tile);
    if (loss_wanted)
        loss = in_array(tile, &plan->loss, buffers->loss, problem->loss_dtype);
    if (loss_wanted || rows_wanted ||
        (scratch->weighed && plan->kernel->direction != KERNEL_GRADIENT))
        span.loss = loss ? loss : scratch->loss;
    if (rows_wanted) {
        row_loss = in_array(&rows, &focal_row_layout, buffers->row_loss, problem->loss_dtype);
        span.row_loss = row_loss ? row_loss : scratch->row_loss;
    }
    if (gradient_wanted) {
        gradient = in_array(tile, &plan->gradient, buffers->gradient, problem->gradient_dtype);
        span.gradient = gradient ? gradient : scratch->logits;
    }
    bool loss_left = loss_wanted && !loss &&
                     !give_by_runs(scratch, tile, &plan->loss, scratch->loss, buffers->loss,
                                   problem->loss_dtype);
    bool gradient_left = gradient_wanted && !gradient &&
                         !give_by_runs(scratch, tile, &plan->gradient, scratch->logits,
                                       buffers->gradient, problem->gradient_dtype);
    if (scratch->by_runs && scratch->halves.loads + scratch->halves.stores > 0)
        span.halves = &scratch->halves;
    if (scratch->weighed)
        run_weighed(call, tile, scratch, &span);
    else
        plan->kernel->function(&span);
    if (loss_left)
        give(scratch, tile, &plan->loss, scratch->loss, buffers->loss, problem->loss_dtype);
    if (rows_wanted && !row_loss)
        give(scratch, &rows, &focal_row_layout, scratch->row_loss, buffers->row_loss,
             problem->loss_dtype);
    if (gradient_left)
        give(scratch, tile, &plan->gradient, scratch->logits, buffers->gradient,
             problem->gradient_dtype);
    result->loss = span.sum;
}

/* Whether softmax rows lie as the kernel takes them, at any distance from each other. */
static bool has_plain_rows(const focal_tile *tile, const focal_layout *layout,
                           focal_dtype dtype) {
    return dtype == FOCAL_F32 && layout->inner == 1 && layout->class_stride == 1 &&
           tile->kept == tile->rows;
}

static void stage_rows(const focal_call *call, const focal_tile *tile, block_scratch *scratch,
                       float *staged) {
    const focal_plan *plan = call->plan;
    for (size_t column = 0; column < tile->width; column += FOCAL_BLOCK) {
        focal_tile piece = piece_of_row(tile, column);
        float *to = staged + column;
        const float *from =
            take(scratch, &piece, &plan->logits, call->buffers.logits, plan->problem.dtype, to);
        if (from != to)
            memcpy(to, from, piece.kept * piece.width * sizeof *to);
    }
}

static void unstage_gradient(const focal_call *call, const focal_tile *tile,
                             block_scratch *scratch, const float *staged) {
    const focal_plan *plan = call->plan;
    for (size_t column = 0; column < tile->width; column += FOCAL_BLOCK) {
        focal_tile piece = piece_of_row(tile, column);
        give(scratch, &piece, &plan->gradient, staged + column, call->buffers.gradient,
             plan->problem.gradient_dtype);
    }
}

static void run_softmax(const focal_call *call, const focal_tile *tile, block_scratch *scratch,
                        focal_block_result *result) {
    const focal_plan *plan = call->plan;
    const focal_problem *problem = &plan->problem;
    const focal_buffers *buffers = &call->buffers;
    *result =
        (focal_block_result){0.0, 0.0, (int64_t)tile->kept, (int64_t)(tile->rows - tile->kept)};
    if (tile->kept == 0) {
        zero_results(call, tile);
        return;
    }
    focal_span span = start_span(call, tile);
    float *staged = tile->width > FOCAL_BLOCK ? scratch->row : scratch->logits;
    span.labels = focal_labels_take(call, tile, scratch->labels);
    span.row_factors = take_row_factors(call, tile, false, scratch);
    if (has_plain_rows(tile, &plan->logits, problem->dtype)) {
        span.logits = (const float *)(const void *)focal_tile_start(
            tile, &plan->logits, buffers->logits, sizeof(float));
        span.logits_stride = plan->logits.stride;
    } else {
        stage_rows(call, tile, scratch, staged);
        span.logits = staged;
        span.logits_stride = tile->width;
    }
    bool gradient_wanted = problem->outputs & FOCAL_OUTPUT_GRADIENT;
    bool direct = has_plain_rows(tile, &plan->gradient, problem->gradient_dtype);
    if (gradient_wanted) {
        span.gradient = direct ? (float *)(void *)focal_tile_start(
                                     tile, &plan->gradient, buffers->gradient, sizeof(float))
                               : staged;
        span.gradient_stride = direct ? plan->gradient.stride : tile->width;
    }
    float *row_loss = NULL;
    focal_tile rows = focal_tile_of_rows(tile);
    bool rows_wanted = problem->outputs & FOCAL_OUTPUT_ROW_LOSS;
    if (rows_wanted) {
        row_loss = in_array(&rows, &focal_row_layout, buffers->row_loss, problem->loss_dtype);
        span.row_loss = row_loss ? row_loss : scratch->row_loss;
    }
    plan->kernel->function(&span);
    if (gradient_wanted && !direct)
        unstage_gradient(call, tile, scratch, staged);
    if (rows_wanted && !row_loss)
        give(scratch, &rows, &focal_row_layout, scratch->row_loss, buffers->row_loss,
             problem->loss_dtype);
    result->loss = span.sum;
}

/* Rows one after the other are turned over in the cache. */
static void stage_planes(const focal_call *call, const focal_tile *tile,
                         block_scratch *scratch) {
    const focal_plan *plan = call->plan;
    const void *logits = call->buffers.logits;
    const focal_tile all = focal_tile_without_skip(tile);
    if (plan->logits.inner > 1)
        focal_planes_take(scratch->table, tile, &plan->logits, logits, plan->problem.dtype,
                          scratch->logits);
    else
        focal_planes_of_rows(
            take(scratch, &all, &plan->logits, logits, plan->problem.dtype, scratch->rows),
            tile->rows, tile->width, scratch->logits);
}

static void unstage_planes(const focal_call *call, const focal_tile *tile,
                           block_scratch *scratch) {
    const focal_plan *plan = call->plan;
    void *gradient = call->buffers.gradient;
    focal_dtype dtype = plan->problem.gradient_dtype;
    const focal_tile all = focal_tile_without_skip(tile);
    if (plan->gradient.inner > 1) {
        focal_planes_give(scratch->table, tile, &plan->gradient, scratch->logits, gradient,
                          dtype);
        return;
    }
    float *direct = in_array(&all, &plan->gradient, gradient, dtype);
    float *rows = direct ? direct : scratch->rows;
    focal_rows_of_planes(scratch->logits, tile->rows, tile->width, rows);
    if (!direct)
        give(scratch, &all, &plan->gradient, rows, gradient, dtype);
}

/* The floats of a tile's planes: where they are, or NULL if they have to be staged. */
static float *planes_in_array(const focal_tile *tile, const focal_layout *layout, void *array,
                              focal_dtype dtype) {
    bool direct = dtype == FOCAL_F32 && focal_tile_has_whole_planes(tile, layout);
    return direct ? (float *)(void *)focal_tile_start(tile, layout, array, sizeof(float))
                  : NULL;
}

/* Rows that are adjacent go to the kernel as columns, skipped ones with them. */
static void run_planes(const focal_call *call, const focal_tile *tile, block_scratch *scratch,
                       focal_block_result *result) {
    const focal_plan *plan = call->plan;
    const focal_problem *problem = &plan->problem;
    const focal_buffers *buffers = &call->buffers;
    focal_span span = start_span(call, tile);
    span.columns = true;
    span.rows = tile->rows;
    focal_labels_take_all(call, tile, scratch->labels);
    span.labels = scratch->labels;
    span.row_factors = take_row_factors(call, tile, true, scratch);
    span.logits = planes_in_array(tile, &plan->logits, (void *)(uintptr_t)buffers->logits,
                                  problem->dtype);
    span.logits_stride = plan->logits.class_stride;
    if (!span.logits) {
        stage_planes(call, tile, scratch);
        span.logits = scratch->logits;
        span.logits_stride = tile->rows;
    }
    bool gradient_wanted = problem->outputs & FOCAL_OUTPUT_GRADIENT;
    float *gradient = NULL;
    if (gradient_wanted) {
        gradient =
            planes_in_array(tile, &plan->gradient, buffers->gradient, problem->gradient_dtype);
        span.gradient = gradient ? gradient : scratch->logits;
        span.gradient_stride = gradient ? plan->gradient.class_stride : tile->rows;
    }
    bool rows_wanted = problem->outputs & FOCAL_OUTPUT_ROW_LOSS;
    if (rows_wanted)
        span.row_loss = problem->loss_dtype == FOCAL_F32
                            ? (float *)buffers->row_loss + tile->row
                            : scratch->row_loss;
    plan->kernel->function(&span);
    if (gradient_wanted && !gradient)
        unstage_planes(call, tile, scratch);
    if (rows_wanted && problem->loss_dtype != FOCAL_F32)
        focal_store_f32(scratch->table, problem->loss_dtype, scratch->row_loss,
                        (char *)buffers->row_loss + tile->row * plan->loss_size, tile->rows);
    *result = (focal_block_result){span.sum, 0.0, (int64_t)tile->kept,
                                   (int64_t)(tile->rows - tile->kept)};
}

static void run_tile(const focal_call *call, const focal_tile *tile, block_scratch *scratch,
                     focal_block_result *result) {
    if (call->plan->by_planes)
        run_planes(call, tile, scratch, result);
    else if (call->plan->problem.op == FOCAL_SOFTMAX)
        run_softmax(call, tile, scratch, result);
    else
        run_sigmoid(call, tile, scratch, result);
}

/* Rows of weight 0 are skipped, but count. */
static void run_weighted(const focal_call *call, focal_tile *tile, block_scratch *scratch,
                         focal_block_result *result) {
    focal_block_result counted = focal_count(call, tile);
    focal_tile_skip(call, tile, scratch->skip);
    run_tile(call, tile, scratch, result);
    counted.loss = result->loss;
    *result = counted;
}

void focal_plain_blocks_run(const focal_call *call, size_t task, size_t first, size_t count) {
    const focal_plan *plan = call->plan;
    focal_block_result *results = focal_call_results(call);
    block_scratch scratch;
    scratch.weighed = focal_has_element_weights(call);
    scratch.by_runs = plan->blocks > 1 && !scratch.weighed; /* weights come after the kernel */
    scratch.table = plan->isa->table;
    scratch.row = (float *)(void *)(results + plan->blocks) + task * plan->row_scratch;
    bool weighted = scratch.weighed || focal_has_row_factors(call);
    bool ignores = plan->problem.label_flags & FOCAL_LABEL_IGNORE;
    for (size_t block = first; block < first + count; block++) {
        focal_tile tile = focal_block_tile(plan, block);
        if (weighted) {
            run_weighted(call, &tile, &scratch, &results[block]);
        } else {
            if (ignores)
                focal_tile_skip(call, &tile, scratch.skip);
            run_tile(call, &tile, &scratch, &results[block]);
        }
        if (tile.column > 0)
            results[block].ignored = 0;
    }
}

/* Weights are tier fast's; beside huge or tiny ones the normalizer may leave no normal factor. */
static bool needs_doubles(const focal_call *call) {
    const focal_kernel *kernel = call->plan->kernel;
    if (!kernel || !focal_call_has_weights(call))
        return !kernel;
    double size = fabs(call->factor);
    bool normal = size == 0.0 || (size >= (double)FLT_MIN && size <= (double)FLT_MAX);
    return kernel->tier != KERNEL_FAST || !normal;
}

void focal_blocks_run(const focal_call *call, size_t task, size_t first, size_t count) {
    if (needs_doubles(call))
        focal_form_blocks_run(call, first, count);
    else
        focal_plain_blocks_run(call, task, first, count);
}
