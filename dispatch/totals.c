/* What is counted over all blocks, and the divisor made of it. */
#include "totals.h"

#include <string.h>

#include "convert.h"

void focal_totals_add(focal_totals *sum, const focal_call *call) {
    const focal_plan *plan = call->plan;
    const focal_block_result *results = focal_call_results(call);
    focal_totals own = {.rows = (int64_t)plan->rows,
                        .elements = (int64_t)(plan->rows * (size_t)plan->problem.classes)};
    for (size_t block = 0; block < plan->blocks; block++) {
        own.loss += results[block].loss;
        own.weight += results[block].weight;
        own.positives += results[block].positives;
        own.ignored += results[block].ignored;
    }
    own.rows -= own.ignored;
    bool weights = call->weighted || plan->problem.class_weight;
    sum->loss += own.loss;
    sum->weight += weights ? own.weight : (double)own.rows;
    sum->rows += own.rows;
    sum->positives += own.positives;
    sum->ignored += own.ignored;
    sum->elements += own.elements;
}

void focal_row_losses_add(const focal_call *call) {
    const focal_plan *plan = call->plan;
    const focal_block_result *results = focal_call_results(call);
    if (plan->blocks_per_row == 1 || !(plan->problem.outputs & FOCAL_OUTPUT_ROW_LOSS))
        return;
    double loss = 0.0;
    for (size_t block = 0; block < plan->blocks; block++) {
        loss += results[block].loss;
        if ((block + 1) % plan->blocks_per_row != 0)
            continue;
        char *row =
            (char *)call->buffers.row_loss + block / plan->blocks_per_row * plan->loss_size;
        focal_store_f64(plan->problem.loss_dtype, &loss, row, 1);
        loss = 0.0;
    }
}

bool focal_counts_first(const focal_problem *problem) {
    return problem->normalizer == FOCAL_NORMALIZER_POSITIVES ||
           problem->normalizer == FOCAL_NORMALIZER_WEIGHT ||
           (problem->normalizer == FOCAL_NORMALIZER_ROWS &&
            problem->label_flags & FOCAL_LABEL_IGNORE);
}

double focal_divisor(const focal_call *call, const focal_totals *sum) {
    const focal_problem *problem = &call->plan->problem;
    double value = 1.0;
    switch (problem->normalizer) {
    case FOCAL_NORMALIZER_NONE:
        break;
    case FOCAL_NORMALIZER_ELEMENTS:
        value = (double)sum->elements;
        break;
    case FOCAL_NORMALIZER_ROWS:
        value = (double)sum->rows;
        break;
    case FOCAL_NORMALIZER_WEIGHT:
        value = sum->weight;
        break;
    case FOCAL_NORMALIZER_POSITIVES:
        value = (double)sum->positives + problem->normalizer_add;
        value = value > problem->normalizer_floor ? value : problem->normalizer_floor;
        break;
    case FOCAL_NORMALIZER_VALUE:
        value = *call->buffers.normalizer;
        break;
    }
    return value == 0.0 ? 1.0 : value;
}

/* The sums' first version ended before `ignored`; what a caller's struct has no room for is left
 * out. */
void focal_sums_give(focal_sums *sums, const focal_totals *sum, double normalizer, bool loss) {
    if (!sums)
        return;
    focal_sums full, *to = sums->struct_size == sizeof full ? sums : &full;
    to->struct_size = sums->struct_size;
    to->loss = loss ? sum->loss / normalizer : 0.0;
    to->rows = sum->rows;
    to->positives = sum->positives;
    to->ignored = sum->ignored;
    to->weight = sum->weight;
    to->normalizer = normalizer;
    if (to == &full)
        memcpy(sums, &full, full.struct_size < sizeof full ? full.struct_size : sizeof full);
}
