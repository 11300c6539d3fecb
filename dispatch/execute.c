/* Execution: checks, tasks, and the sum in block order. */
#include <stdatomic.h>
#include <string.h>

#include "plan.h"
#include "status.h"

focal_status focal_target_fail(const focal_plan *plan, const focal_buffers *buffers,
                               int64_t index, focal_error *error) {
    const focal_problem *problem = &plan->problem;
    long long value = 0;
    switch (problem->target_kind) {
    case FOCAL_TARGET_BINARY_U8:
        return focal_fail(error, FOCAL_E_TARGET, "targets", index,
                          "element %lld is %u, neither 0 nor 1", (long long)index,
                          ((const uint8_t *)buffers->targets)[index]);
    case FOCAL_TARGET_LABEL_U8:
        value = ((const uint8_t *)buffers->targets)[index];
        break;
    case FOCAL_TARGET_LABEL_I32:
        value = ((const int32_t *)buffers->targets)[index];
        break;
    case FOCAL_TARGET_LABEL_I64:
        value = ((const int64_t *)buffers->targets)[index];
        break;
    case FOCAL_TARGET_DENSE:
        break;
    }
    return focal_fail(
        error, FOCAL_E_LABEL, "targets", index, "label %lld of row %lld is outside [0, %lld)%s",
        value, (long long)index, (long long)problem->classes,
        problem->label_flags & FOCAL_LABEL_BACKGROUND ? " and not the background" : "");
}

/* The blocks of a range of tasks. */
typedef struct {
    size_t first, count;
} block_range;

static block_range blocks_of(const focal_plan *plan, size_t task, size_t tasks) {
    size_t first = task * plan->grain;
    size_t count = tasks * plan->grain;
    return (block_range){first, count < plan->blocks - first ? count : plan->blocks - first};
}

/* One execution as its tasks see it. `bad` is the least offending index found, or INT64_MAX. */
typedef struct {
    const focal_plan *plan;
    const focal_buffers *buffers;
    _Atomic int64_t bad;
} execution;

static void check_task(void *argument, size_t task) {
    execution *run = argument;
    block_range range = blocks_of(run->plan, task, 1);
    int64_t bad = focal_blocks_find_bad(run->plan, run->buffers, range.first, range.count);
    int64_t least = atomic_load(&run->bad);
    while (bad >= 0 && bad < least && !atomic_compare_exchange_weak(&run->bad, &least, bad))
        ;
}

static void compute_task(void *argument, size_t task) {
    execution *run = argument;
    block_range range = blocks_of(run->plan, task, 1);
    focal_blocks_run(run->plan, run->buffers, range.first, range.count);
}

static void serial_run(void *context, size_t tasks, void (*task)(void *, size_t),
                       void *argument) {
    (void)context;
    for (size_t i = 0; i < tasks; i++)
        task(argument, i);
}

static focal_status check_sums(const focal_plan *plan, const focal_sums *sums,
                               focal_error *error) {
    if (!sums && plan->problem.outputs & FOCAL_OUTPUT_SUM)
        return focal_fail(error, FOCAL_E_NULL, "sums", -1, "the problem wants the sum");
    if (sums && sums->struct_size != sizeof *sums)
        return focal_fail(error, FOCAL_E_STRUCT, "sums.struct_size", -1,
                          "%zu is not a known size; use FOCAL_SUMS_INIT", sums->struct_size);
    return FOCAL_OK;
}

static focal_status check_call(const focal_plan *plan, const focal_buffers *buffers,
                               focal_error *error) {
    if (!plan)
        return focal_fail(error, FOCAL_E_NULL, "plan", -1, "there is no plan");
    if (!buffers)
        return focal_fail(error, FOCAL_E_NULL, "buffers", -1, "there are no buffers");
    return focal_buffers_check(plan, buffers, error);
}

/* Adds the block results in index order: the one place where blocks meet. */
static void add_blocks(const focal_plan *plan, const focal_buffers *buffers, focal_sums *sums) {
    const focal_block_result *results = buffers->workspace;
    bool long_rows = plan->blocks_per_row > 1 && plan->problem.outputs & FOCAL_OUTPUT_ROW_LOSS;
    double loss = 0.0, row_loss = 0.0;
    int64_t positives = 0;
    for (size_t block = 0; block < plan->blocks; block++) {
        loss += results[block].loss;
        positives += results[block].positives;
        if (!long_rows)
            continue;
        row_loss += results[block].loss;
        if ((block + 1) % plan->blocks_per_row == 0) {
            ((float *)buffers->row_loss)[block / plan->blocks_per_row] = (float)row_loss;
            row_loss = 0.0;
        }
    }
    if (!sums)
        return;
    sums->loss = plan->problem.outputs & FOCAL_OUTPUT_SUM ? loss : 0.0;
    sums->rows = plan->problem.outer;
    sums->positives = positives;
}

focal_status focal_plan_execute(const focal_plan *plan, const focal_buffers *buffers,
                                const focal_parallel *parallel, focal_sums *sums,
                                focal_error *error) {
    focal_status status = check_call(plan, buffers, error);
    if (status == FOCAL_OK)
        status = check_sums(plan, sums, error);
    if (status != FOCAL_OK)
        return status;
    focal_parallel loop = {sizeof loop, NULL, serial_run};
    if (parallel) {
        if (parallel->struct_size != sizeof *parallel)
            return focal_fail(error, FOCAL_E_STRUCT, "parallel.struct_size", -1,
                              "%zu is not a known size", parallel->struct_size);
        if (!parallel->run)
            return focal_fail(error, FOCAL_E_NULL, "parallel.run", -1, "there is no function");
        loop = *parallel;
    }
    focal_buffers used = *buffers;
    execution run = {plan, &used, INT64_MAX};
    if (plan->problem.target_kind != FOCAL_TARGET_DENSE && plan->tasks > 0)
        loop.run(loop.context, plan->tasks, check_task, &run);
    if (atomic_load(&run.bad) != INT64_MAX)
        return focal_target_fail(plan, buffers, atomic_load(&run.bad), error);

    size_t size = focal_plan_workspace_size(plan);
    const focal_allocator *allocator = &plan->allocator;
    if (!used.workspace && size > 0) {
        used.workspace = allocator->allocate(allocator->context, size);
        if (!used.workspace)
            return focal_fail(error, FOCAL_E_MEMORY, "workspace", -1, "%zu bytes not available",
                              size);
    }
    if (plan->tasks > 0)
        loop.run(loop.context, plan->tasks, compute_task, &run);
    add_blocks(plan, &used, sums);
    if (used.workspace != buffers->workspace)
        allocator->release(allocator->context, used.workspace);
    return FOCAL_OK;
}

/* What range execution adds to check_call: the workspace cannot be allocated for the caller. */
static focal_status check_piece(const focal_plan *plan, const focal_buffers *buffers,
                                focal_error *error) {
    focal_status status = check_call(plan, buffers, error);
    if (status == FOCAL_OK && !buffers->workspace && focal_plan_workspace_size(plan) > 0)
        return focal_fail(error, FOCAL_E_NULL, "workspace", -1,
                          "execution in ranges needs one of %zu bytes",
                          focal_plan_workspace_size(plan));
    return status;
}

focal_status focal_plan_execute_range(const focal_plan *plan, const focal_buffers *buffers,
                                      size_t first, size_t count, focal_error *error) {
    focal_status status = check_piece(plan, buffers, error);
    if (status != FOCAL_OK)
        return status;
    if (first > plan->tasks || count > plan->tasks - first)
        return focal_fail(error, FOCAL_E_RANGE, "count", -1, "tasks %zu ... %zu + %zu of %zu",
                          first, first, count, plan->tasks);
    if (count == 0)
        return FOCAL_OK;
    block_range range = blocks_of(plan, first, count);
    int64_t bad = focal_blocks_find_bad(plan, buffers, range.first, range.count);
    if (bad >= 0)
        return focal_target_fail(plan, buffers, bad, error);
    focal_blocks_run(plan, buffers, range.first, range.count);
    return FOCAL_OK;
}

focal_status focal_plan_finish(const focal_plan *plan, const focal_buffers *buffers,
                               focal_sums *sums, focal_error *error) {
    focal_status status = check_piece(plan, buffers, error);
    if (status == FOCAL_OK)
        status = check_sums(plan, sums, error);
    if (status == FOCAL_OK)
        add_blocks(plan, buffers, sums);
    return status;
}
