/* A plan from the inside: the checked problem, the kernel, and the cutting into blocks and
 * tasks. */
#ifndef FOCAL_DISPATCH_PLAN_H
#define FOCAL_DISPATCH_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "focal.h"
#include "isa.h"
#include "kernel.h"

typedef struct focal_allocator {
    void *context;
    void *(*allocate)(void *context, size_t size);
    void (*release)(void *context, void *memory);
} focal_allocator;

/* What the tuner measured for a plan; date 0 if it was not asked or knows nothing. */
typedef struct focal_tuning {
    uint64_t task_elements; /* 0: the default */
    uint32_t date;          /* 20261125 */
    uint32_t ratio;         /* time by that of the default kernel, in 1/10000 */
} focal_tuning;

struct focal_plan {
    focal_problem problem; /* strides filled in, tier resolved */
    focal_allocator allocator;
    const focal_kernel *kernel;
    const focal_isa_row *isa;
    const char *isa_reason;
    focal_tuning tuning;
    uint32_t half_steps; /* 2 gamma */
    /* A block is rows_per_block whole rows, at most FOCAL_BLOCK elements unless it is one
     * softmax row; a longer sigmoid row is cut into blocks_per_row pieces. Blocks are the unit
     * of summation, and so do not depend on grain, threads or outputs. */
    size_t rows_per_block, blocks_per_row, blocks;
    size_t grain, tasks; /* blocks per task */
};

/* What a block leaves in the workspace. */
typedef struct focal_block_result {
    double loss;
    int64_t positives;
} focal_block_result;

/* Cuts a plan that nobody executes yet into tasks of about so many elements; 0: the default. */
void focal_plan_set_task(focal_plan *plan, uint64_t elements);

/* Bytes of one label or element of the targets. */
size_t focal_target_size(focal_target_kind kind);
bool focal_target_is_label(focal_target_kind kind);

/* Checks and completes a problem; on failure *problem is not to be used. */
focal_status focal_problem_check(focal_problem *problem, focal_error *error);

/* Checks the buffers of one execution against the plan. */
focal_status focal_buffers_check(const focal_plan *plan, const focal_buffers *buffers,
                                 focal_error *error);

/* The first row of the blocks' labels, or element of their 0/1 targets, that is out of range;
 * -1 if all are good. */
int64_t focal_blocks_find_bad(const focal_plan *plan, const focal_buffers *buffers,
                              size_t first, size_t count);

/* The failure for what focal_blocks_find_bad found. */
focal_status focal_target_fail(const focal_plan *plan, const focal_buffers *buffers,
                               int64_t index, focal_error *error);

/* Computes blocks [first, first + count). */
void focal_blocks_run(const focal_plan *plan, const focal_buffers *buffers, size_t first,
                      size_t count);

#endif
