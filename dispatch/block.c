/* Blocks: each is brought into the contiguous form that kernels take, computed, and put back.
 * Padded rows and labels are staged in a scratch block that stays in the first-level cache, so
 * no layout needs a kernel, or a copy of the whole matrix, of its own. */
#include <string.h>

#include "plan.h"

/* About 80 KiB on the stack of the thread that runs a task. */
typedef struct {
    float logits[FOCAL_BLOCK];
    float targets[FOCAL_BLOCK];
    float loss[FOCAL_BLOCK];
    float gradient[FOCAL_BLOCK];
    int32_t labels[FOCAL_BLOCK];
    uint8_t binary[FOCAL_BLOCK]; /* all 0 between blocks */
} block_scratch;

/* Where a block lies: `rows` whole rows from `row`, or `width` elements from `column` of one
 * row. */
typedef struct {
    size_t row, rows, column, width;
} block_place;

static block_place place_block(const focal_plan *plan, size_t block) {
    size_t outer = (size_t)plan->problem.outer, classes = (size_t)plan->problem.classes;
    if (plan->blocks_per_row > 1) {
        size_t column = block % plan->blocks_per_row * FOCAL_BLOCK;
        size_t left = classes - column;
        return (block_place){block / plan->blocks_per_row, 1, column,
                             left < FOCAL_BLOCK ? left : FOCAL_BLOCK};
    }
    size_t row = block * plan->rows_per_block;
    size_t left = outer - row;
    return (block_place){row, left < plan->rows_per_block ? left : plan->rows_per_block, 0,
                         classes};
}

static int64_t label_at(const focal_plan *plan, const void *targets, size_t row) {
    switch (plan->problem.target_kind) {
    case FOCAL_TARGET_LABEL_U8:
        return ((const uint8_t *)targets)[row];
    case FOCAL_TARGET_LABEL_I32:
        return ((const int32_t *)targets)[row];
    default:
        return ((const int64_t *)targets)[row];
    }
}

static bool is_background(const focal_plan *plan, int64_t label) {
    return plan->problem.label_flags & FOCAL_LABEL_BACKGROUND &&
           label == plan->problem.background;
}

static size_t element(const block_place *place, int64_t stride) {
    return place->row * (size_t)stride + place->column;
}

static bool is_contiguous(const block_place *place, int64_t stride) {
    return place->rows == 1 || (size_t)stride == place->width;
}

/* The block's part of a matrix: in place if contiguous, else copied together. */
static const void *gather(const block_place *place, const void *matrix, int64_t stride,
                          size_t size, void *scratch) {
    const char *from = (const char *)matrix + element(place, stride) * size;
    if (is_contiguous(place, stride))
        return from;
    for (size_t r = 0; r < place->rows; r++)
        memcpy((char *)scratch + r * place->width * size, from + r * (size_t)stride * size,
               place->width * size);
    return scratch;
}

static void scatter(const block_place *place, const float *scratch, float *matrix,
                    int64_t stride) {
    float *to = matrix + element(place, stride);
    for (size_t r = 0; r < place->rows; r++)
        memcpy(to + r * (size_t)stride, scratch + r * place->width, place->width * sizeof *to);
}

/* Sets or clears the ones of the block's labels, and counts the rows that have a positive
 * class. */
static int64_t mark_labels(const focal_plan *plan, const focal_buffers *buffers,
                           const block_place *place, uint8_t *binary, uint8_t mark) {
    int64_t positives = 0;
    for (size_t r = 0; r < place->rows; r++) {
        int64_t label = label_at(plan, buffers->targets, place->row + r);
        if (is_background(plan, label))
            continue;
        size_t column = (size_t)label - place->column;
        if (column < place->width) {
            binary[r * place->width + column] = mark;
            positives++;
        }
    }
    return positives;
}

static int64_t count_ones(const uint8_t *binary, size_t count) {
    uint32_t ones = 0; /* a block's worth at most; narrow, so that compilers vectorise it */
    for (size_t i = 0; i < count; i++)
        ones += binary[i];
    return ones;
}

static focal_span start_span(const focal_plan *plan, const focal_buffers *buffers,
                             const block_place *place) {
    double alpha = plan->problem.alpha;
    bool off = plan->problem.alpha_mode == FOCAL_ALPHA_OFF;
    return (focal_span){
        .rows = place->rows,
        .classes = place->width,
        .half_steps = plan->half_steps,
        .gamma = plan->problem.gamma,
        .alpha_positive = off ? 1.0 : alpha,
        .alpha_negative = off ? 1.0 : 1.0 - alpha,
        .upstream = buffers->upstream ? *buffers->upstream : 1.0F,
    };
}

static focal_block_result run_sigmoid(const focal_plan *plan, const focal_buffers *buffers,
                                      const block_place *place, block_scratch *scratch) {
    const focal_problem *problem = &plan->problem;
    focal_block_result result = {0.0, 0};
    focal_span span = start_span(plan, buffers, place);
    span.logits =
        gather(place, buffers->logits, problem->logits_stride, sizeof(float), scratch->logits);
    bool labels = focal_target_is_label(problem->target_kind);
    if (labels) {
        result.positives = mark_labels(plan, buffers, place, scratch->binary, 1);
        span.targets = scratch->binary;
    } else if (problem->target_kind == FOCAL_TARGET_BINARY_U8) {
        span.targets = gather(place, buffers->targets, problem->targets_stride, sizeof(uint8_t),
                              scratch->binary);
        result.positives = count_ones(span.targets, place->rows * place->width);
    } else {
        span.targets = gather(place, buffers->targets, problem->targets_stride, sizeof(float),
                              scratch->targets);
    }
    bool loss_wanted = problem->outputs & FOCAL_OUTPUT_LOSS;
    bool row_loss_wanted =
        problem->outputs & FOCAL_OUTPUT_ROW_LOSS && plan->blocks_per_row == 1;
    bool loss_direct = is_contiguous(place, problem->loss_stride);
    if (loss_wanted && loss_direct)
        span.loss = (float *)buffers->loss + element(place, problem->loss_stride);
    else if (loss_wanted || row_loss_wanted)
        span.loss = scratch->loss;
    if (row_loss_wanted)
        span.row_loss = (float *)buffers->row_loss + place->row;
    bool gradient_wanted = problem->outputs & FOCAL_OUTPUT_GRADIENT;
    bool gradient_direct = is_contiguous(place, problem->gradient_stride);
    if (gradient_wanted)
        span.gradient = gradient_direct ? (float *)buffers->gradient +
                                              element(place, problem->gradient_stride)
                                        : scratch->gradient;
    plan->kernel->function(&span);
    if (loss_wanted && !loss_direct)
        scatter(place, scratch->loss, buffers->loss, problem->loss_stride);
    if (gradient_wanted && !gradient_direct)
        scatter(place, scratch->gradient, buffers->gradient, problem->gradient_stride);
    if (labels)
        mark_labels(plan, buffers, place, scratch->binary, 0);
    result.loss = span.sum;
    return result;
}

static focal_block_result run_softmax(const focal_plan *plan, const focal_buffers *buffers,
                                      const block_place *place, block_scratch *scratch) {
    const focal_problem *problem = &plan->problem;
    focal_span span = start_span(plan, buffers, place);
    for (size_t r = 0; r < place->rows; r++)
        scratch->labels[r] = (int32_t)label_at(plan, buffers->targets, place->row + r);
    span.logits = (const float *)buffers->logits + element(place, problem->logits_stride);
    span.logits_stride = (size_t)problem->logits_stride;
    span.labels = scratch->labels;
    if (problem->outputs & FOCAL_OUTPUT_ROW_LOSS)
        span.row_loss = (float *)buffers->row_loss + place->row;
    if (problem->outputs & FOCAL_OUTPUT_GRADIENT) {
        span.gradient = (float *)buffers->gradient + element(place, problem->gradient_stride);
        span.gradient_stride = (size_t)problem->gradient_stride;
    }
    plan->kernel->function(&span);
    return (focal_block_result){span.sum, (int64_t)place->rows};
}

void focal_blocks_run(const focal_plan *plan, const focal_buffers *buffers, size_t first,
                      size_t count) {
    focal_block_result *results = buffers->workspace;
    block_scratch scratch;
    memset(scratch.binary, 0, sizeof scratch.binary);
    for (size_t block = first; block < first + count; block++) {
        block_place place = place_block(plan, block);
        results[block] = plan->problem.op == FOCAL_SOFTMAX
                             ? run_softmax(plan, buffers, &place, &scratch)
                             : run_sigmoid(plan, buffers, &place, &scratch);
    }
}

static int64_t find_bad_label(const focal_plan *plan, const focal_buffers *buffers,
                              const block_place *place) {
    for (size_t row = place->row; row < place->row + place->rows; row++) {
        int64_t label = label_at(plan, buffers->targets, row);
        if ((label < 0 || label >= plan->problem.classes) && !is_background(plan, label))
            return (int64_t)row;
    }
    return -1;
}

/* The first element in [start, start + count) that is neither 0 nor 1, else -1. */
static int64_t find_bad_element(const uint8_t *targets, size_t start, size_t count) {
    uint8_t all = 0;
    for (size_t i = start; i < start + count; i++)
        all |= targets[i];
    for (size_t i = start; all > 1 && i < start + count; i++)
        if (targets[i] > 1)
            return (int64_t)i;
    return -1;
}

static int64_t find_bad_binary(const focal_plan *plan, const focal_buffers *buffers,
                               const block_place *place) {
    int64_t stride = plan->problem.targets_stride;
    size_t start = element(place, stride);
    if (is_contiguous(place, stride))
        return find_bad_element(buffers->targets, start, place->rows * place->width);
    int64_t bad = -1;
    for (size_t r = 0; r < place->rows && bad < 0; r++)
        bad = find_bad_element(buffers->targets, start + r * (size_t)stride, place->width);
    return bad;
}

int64_t focal_blocks_find_bad(const focal_plan *plan, const focal_buffers *buffers,
                              size_t first, size_t count) {
    bool labels = focal_target_is_label(plan->problem.target_kind);
    if (!labels && plan->problem.target_kind != FOCAL_TARGET_BINARY_U8)
        return -1;
    for (size_t block = first; block < first + count; block++) {
        block_place place = place_block(plan, block);
        int64_t bad = labels ? find_bad_label(plan, buffers, &place)
                             : find_bad_binary(plan, buffers, &place);
        if (bad >= 0)
            return bad;
    }
    return -1;
}
