/* A plan from the inside: the checked problem, the kernels, and the cutting into blocks and
 * tasks. */
#ifndef FOCAL_DISPATCH_PLAN_H
#define FOCAL_DISPATCH_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "focal.h"
#include "form.h"
#include "gather.h"
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

/* Bytes from the first element to the last one of each array that has a layout. */
typedef struct focal_extents {
    size_t logits, targets, loss, gradient, target_gradient;
} focal_extents;

struct focal_plan {
    /* Strides, dtypes and inner filled in, tier resolved; the class arrays are the plan's own. */
    focal_problem problem;
    focal_allocator allocator;
    const focal_kernel *kernel;    /* NULL: this problem needs the form kernel */
    const focal_form_kernel *form; /* for those, and for weights that need it */
    bool plain_in_double, narrow;  /* what its spans are (form.h) */
    const focal_isa_row *isa;
    const char *isa_reason;
    focal_tuning tuning;
    size_t rows;    /* outer x inner */
    size_t columns; /* results per row: classes, or the selected labels of a match */
    focal_layout logits, targets, loss, gradient, element_weight;
    size_t logits_size, targets_size, loss_size, gradient_size, weight_size; /* of an element */
    focal_extents bytes;
    focal_span span; /* of every block: what does not depend on it or on the call */
    /* A block is rows_per_block whole rows, at most FOCAL_BLOCK elements unless it is one
     * softmax row; a longer sigmoid row is cut into blocks_per_row pieces. Blocks are the unit
     * of summation, and so do not depend on grain, threads or outputs. */
    size_t rows_per_block, blocks_per_row, blocks;
    size_t grain, tasks; /* blocks per task */
    uint32_t threads;    /* that will execute it; 0: not known */
    bool by_planes;      /* softmax rows that the kernel takes as columns (kernel.h) */
    /* Floats in the workspace per task, for softmax rows that are longer than a block and do not
     * lie as the kernel wants them. 0 for others. */
    size_t row_scratch;
};

/* What a block leaves in the workspace. */
typedef struct focal_block_result {
    double loss, weight;
    int64_t positives, ignored;
} focal_block_result;

/* The default size of a task, for so many elements on so many threads (0 and 1: not known). */
uint64_t focal_task_elements(uint64_t elements, uint32_t threads);

/* Cuts a plan that nobody executes yet into tasks of about so many elements; 0: the default. */
void focal_plan_set_task(focal_plan *plan, uint64_t elements);

/* One execution of a plan. */
typedef struct focal_call {
    const focal_plan *plan;
    focal_buffers buffers; /* of this version's size, with a workspace */
    bool weighted;         /* by rows or elements */
    double factor;         /* of gradients: upstream over the normalizer */
} focal_call;

static inline focal_block_result *focal_call_results(const focal_call *call) {
    return call->buffers.workspace;
}

/* Most tasks of a plan with row_scratch, which bounds the workspace. */
enum { FOCAL_ROW_TASKS = 64 };

/* Copies a caller's struct of an older or newer version into `to` of `size` bytes, zeros for
 * what an older one lacks; false if its struct_size is less than `first`, the size of the first
 * version, or its unknown tail is not zero. */
bool focal_struct_read(void *to, size_t size, size_t first, const void *from);

/* Checks and completes a problem; on failure *problem is not to be used. */
focal_status focal_problem_check(focal_problem *problem, focal_error *error);

focal_status focal_sizes_check(focal_problem *problem, focal_error *error); /* a part of it */

/* Bytes of one label or element of the targets. */
size_t focal_target_size(const focal_problem *problem);
bool focal_target_is_label(focal_target_kind kind);

/* Of row and element weights. */
focal_dtype focal_weight_dtype(const focal_problem *problem);

/* Fills in plan->bytes, so that no execution has to. */
void focal_buffers_measure(focal_plan *plan);

/* Checks the buffers of one execution against the plan. */
focal_status focal_buffers_check(const focal_plan *plan, const focal_buffers *buffers,
                                 focal_error *error);

/* Fails if an output of one of the two overlaps a buffer of the other. */
focal_status focal_buffers_check_apart(const focal_plan *plan, const focal_buffers *buffers,
                                       const focal_plan *other_plan,
                                       const focal_buffers *other_buffers, focal_error *error);

/* Whether executions have anything to look through before they write. */
bool focal_targets_need_check(const focal_call *call);

/* Something in a block's inputs that is not allowed. */
typedef struct focal_bad {
    enum { BAD_NONE, BAD_TARGET, BAD_ROW_WEIGHT, BAD_ELEMENT_WEIGHT } kind;
    int64_t index; /* of the label's row, or of the element in its buffer */
} focal_bad;

/* The first of the block. */
focal_bad focal_block_find_bad(const focal_call *call, size_t block);

/* The failure for what was found. */
focal_status focal_bad_fail(const focal_call *call, focal_bad bad, focal_error *error);

/* Counts what normalizers ask for, into the block's result. */
void focal_block_count(const focal_call *call, size_t block);

/* Computes blocks [first, first + count) of one task. */
void focal_blocks_run(const focal_call *call, size_t task, size_t first, size_t count);

#endif
