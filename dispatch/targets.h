/* Targets: labels and what they mean, and what is counted of them. */
#ifndef FOCAL_DISPATCH_TARGETS_H
#define FOCAL_DISPATCH_TARGETS_H

#include "plan.h"

/* Where a block lies: whole rows, or a piece of one. Nothing is skipped yet. */
focal_tile focal_block_tile(const focal_plan *plan, size_t block);

/* Label number `index`. */
static inline int64_t focal_label_at(focal_target_kind kind, const void *labels, size_t index) {
    if (kind == FOCAL_TARGET_LABEL_U8)
        return ((const uint8_t *)labels)[index];
    if (kind == FOCAL_TARGET_LABEL_I32)
        return ((const int32_t *)labels)[index];
    return ((const int64_t *)labels)[index];
}

static inline bool focal_label_is_background(const focal_problem *problem, int64_t label) {
    return problem->label_flags & FOCAL_LABEL_BACKGROUND && label == problem->background;
}

static inline bool focal_label_is_ignored(const focal_problem *problem, int64_t label) {
    return problem->label_flags & FOCAL_LABEL_IGNORE && label == problem->ignore;
}

/* Whether anything but 1 weighs a row or a logit. */
static inline bool focal_call_has_weights(const focal_call *call) {
    return call->weighted || call->plan->problem.class_weight;
}

/* A row's weight: its own, and the label's class weight in softmax. */
double focal_row_weight(const focal_call *call, size_t row);

/* Leaves ignored rows and rows of weight 0 out of the tile; `skip` has FOCAL_BLOCK marks. */
void focal_tile_skip(const focal_call *call, focal_tile *tile, uint8_t *skip);

/* How many of a block's 0/1 bytes are 1. */
int64_t focal_count_ones(const uint8_t *bytes, size_t count);

/* Counts of a block: all but the loss. */
focal_block_result focal_count(const focal_call *call, const focal_tile *tile);

#endif
