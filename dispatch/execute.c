/* Execution: checks, then tasks, of one plan or of several levels. */
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "plan.h"
#include "status.h"
#include "totals.h"

/* The blocks of a range of tasks. */
typedef struct {
    size_t first, count;
} block_range;

static block_range blocks_of(const focal_plan *plan, size_t task, size_t tasks) {
    size_t first = task * plan->grain;
    size_t count = tasks * plan->grain;
    return (block_range){first, count < plan->blocks - first ? count : plan->blocks - first};
}

/* One of the executions that are run together. `bad` is the least of what was found that is not
 * allowed, kind before index, or UINT64_MAX. */
typedef struct {
    focal_call call;
    size_t first_task;
    _Atomic uint64_t bad;
} level;

/* SMALL_WORKSPACE: block results for which no memory is allocated. */
enum { LEVELS_ON_STACK = 8, SMALL_WORKSPACE = 16, BAD_INDEX_BITS = 61 };

typedef struct {
    level *levels;
    size_t count, tasks;
} execution;

static level *level_of(execution *run, size_t task) {
    size_t l = run->count - 1;
    while (task < run->levels[l].first_task)
        l--;
    return &run->levels[l];
}

static uint64_t find_bad(const focal_call *call, block_range range) {
    uint64_t least = UINT64_MAX;
    for (size_t block = range.first; block < range.first + range.count; block++) {
        focal_bad bad = focal_block_find_bad(call, block);
        uint64_t key = (uint64_t)bad.kind << BAD_INDEX_BITS | (uint64_t)bad.index;
        if (bad.kind != BAD_NONE && key < least)
            least = key;
        if (bad.kind == BAD_TARGET)
            break;
    }
    return least;
}

static focal_bad bad_of(uint64_t key) {
    focal_bad bad = {.index = (int64_t)(key & ((UINT64_C(1) << BAD_INDEX_BITS) - 1))};
    int kind = (int)(key >> BAD_INDEX_BITS);
    bad.kind = kind == BAD_TARGET       ? BAD_TARGET
               : kind == BAD_ROW_WEIGHT ? BAD_ROW_WEIGHT
                                        : BAD_ELEMENT_WEIGHT;
    return bad;
}

static void check_task(void *argument, size_t task) {
    level *at = level_of(argument, task);
    if (!focal_targets_need_check(&at->call))
        return;
    uint64_t bad = find_bad(&at->call, blocks_of(at->call.plan, task - at->first_task, 1));
    uint64_t least = atomic_load(&at->bad);
    while (bad < least && !atomic_compare_exchange_weak(&at->bad, &least, bad))
        ;
}

static void count_task(void *argument, size_t task) {
    const level *at = level_of(argument, task);
    block_range range = blocks_of(at->call.plan, task - at->first_task, 1);
    for (size_t block = range.first; block < range.first + range.count; block++)
        focal_block_count(&at->call, block);
}

static void compute_task(void *argument, size_t task) {
    const level *at = level_of(argument, task);
    size_t own = task - at->first_task;
    block_range range = blocks_of(at->call.plan, own, 1);
    focal_blocks_run(&at->call, own, range.first, range.count);
}

static void serial_run(void *context, size_t tasks, void (*task)(void *, size_t),
                       void *argument) {
    (void)context;
    for (size_t i = 0; i < tasks; i++)
        task(argument, i);
}

/* ---- Checks of a call ---- */

static focal_status check_sums(const focal_plan *plan, const focal_sums *sums,
                               focal_error *error) {
    if (!sums && plan->problem.outputs & FOCAL_OUTPUT_SUM)
        return focal_fail(error, FOCAL_E_NULL, "sums", -1, "the problem wants the sum");
    focal_sums read;
    if (sums && sums->struct_size != sizeof *sums &&
        !focal_struct_read(&read, sizeof read, offsetof(focal_sums, ignored), sums))
        return focal_fail(error, FOCAL_E_STRUCT, "sums.struct_size", -1,
                          "%zu is not a known size; use FOCAL_SUMS_INIT", sums->struct_size);
    return FOCAL_OK;
}

static focal_status start_call(focal_call *call, const focal_plan *plan,
                               const focal_buffers *buffers, focal_error *error) {
    if (!plan)
        return focal_fail(error, FOCAL_E_NULL, "plan", -1, "there is no plan");
    if (!buffers)
        return focal_fail(error, FOCAL_E_NULL, "buffers", -1, "there are no buffers");
    call->plan = plan;
    if (buffers->struct_size == sizeof *buffers)
        call->buffers = *buffers;
    else if (!focal_struct_read(&call->buffers, sizeof call->buffers,
                                offsetof(focal_buffers, hessian), buffers))
        return focal_fail(error, FOCAL_E_STRUCT, "buffers.struct_size", -1,
                          "%zu is not a known size; use focal_buffers_init",
                          buffers->struct_size);
    call->weighted = call->buffers.row_weight || call->buffers.element_weight;
    call->factor = 1.0;
    return focal_buffers_check(plan, &call->buffers, error);
}

static focal_status check_parallel(const focal_parallel *parallel, focal_parallel *loop,
                                   focal_error *error) {
    *loop = (focal_parallel){sizeof *loop, NULL, serial_run};
    if (!parallel)
        return FOCAL_OK;
    if (parallel->struct_size != sizeof *parallel)
        return focal_fail(error, FOCAL_E_STRUCT, "parallel.struct_size", -1,
                          "%zu is not a known size", parallel->struct_size);
    if (!parallel->run)
        return focal_fail(error, FOCAL_E_NULL, "parallel.run", -1, "there is no function");
    *loop = *parallel;
    return FOCAL_OK;
}

/* Says in a failure's message which level it is of, if there are several. */
static void name_level(focal_error *error, size_t number, size_t levels) {
    if (!error || error->struct_size != sizeof *error || levels < 2)
        return;
    char message[sizeof error->message];
    memcpy(message, error->message, sizeof message);
    const char *text = message + strlen(error->field);
    text += strncmp(text, ": ", 2) == 0 ? 2 : 0;
    focal_fail(error, error->status, error->field, error->index, "level %zu: %s", number, text);
}

/* Levels share the normalizer, and no output of one touches a buffer of another. */
static focal_status check_levels(const execution *run, focal_error *error) {
    for (size_t i = 1; i < run->count; i++) {
        const focal_call *first = &run->levels[0].call, *call = &run->levels[i].call;
        const focal_problem *a = &first->plan->problem, *b = &call->plan->problem;
        bool value = a->normalizer == FOCAL_NORMALIZER_VALUE;
        if (a->normalizer != b->normalizer || a->normalizer_floor != b->normalizer_floor ||
            a->normalizer_add != b->normalizer_add ||
            (value && b->normalizer == a->normalizer &&
             *first->buffers.normalizer != *call->buffers.normalizer))
            return focal_fail(error, FOCAL_E_UNSUPPORTED, "normalizer", -1,
                              "level %zu has another than level 0", i);
        for (size_t j = 0; j < i; j++) {
            const focal_call *other = &run->levels[j].call;
            focal_status status = focal_buffers_check_apart(
                call->plan, &call->buffers, other->plan, &other->buffers, error);
            if (status != FOCAL_OK) {
                name_level(error, i, run->count);
                return status;
            }
        }
    }
    return FOCAL_OK;
}

static focal_status start_levels(execution *run, const focal_plan *const *plans,
                                 const focal_buffers *buffers, focal_sums *sums,
                                 focal_error *error) {
    const char *at = (const char *)buffers;
    run->tasks = 0;
    for (size_t i = 0; i < run->count; i++) {
        level *own = &run->levels[i];
        focal_status status =
            start_call(&own->call, plans[i], (const focal_buffers *)(const void *)at, error);
        if (status == FOCAL_OK)
            status = check_sums(plans[i], sums, error);
        if (status != FOCAL_OK) {
            name_level(error, i, run->count);
            return status;
        }
        at += buffers->struct_size;
        own->first_task = run->tasks;
        atomic_init(&own->bad, UINT64_MAX);
        run->tasks += plans[i]->tasks;
    }
    return run->count > 1 ? check_levels(run, error) : FOCAL_OK;
}

/* ---- The phases ---- */

static focal_status check_targets(execution *run, const focal_parallel *loop,
                                  focal_error *error) {
    bool needed = false;
    for (size_t i = 0; i < run->count; i++)
        needed = needed || focal_targets_need_check(&run->levels[i].call);
    if (!needed || run->tasks == 0)
        return FOCAL_OK;
    loop->run(loop->context, run->tasks, check_task, run);
    for (size_t i = 0; i < run->count; i++) {
        uint64_t bad = atomic_load(&run->levels[i].bad);
        if (bad == UINT64_MAX)
            continue;
        focal_status status = focal_bad_fail(&run->levels[i].call, bad_of(bad), error);
        name_level(error, i, run->count);
        return status;
    }
    return FOCAL_OK;
}

/* A level's part of a common workspace, so that the next one is aligned. */
static size_t workspace_part(const focal_plan *plan) {
    size_t size = focal_plan_workspace_size(plan);
    return (size + sizeof(double) - 1) / sizeof(double) * sizeof(double);
}

/* One piece of memory for all levels that bring no workspace: `few` bytes at `small` if that is
 * enough, else allocated and returned in *memory. */
static focal_status give_workspaces(execution *run, void *small, size_t few, void **memory,
                                    focal_error *error) {
    size_t size = 0;
    *memory = NULL;
    for (size_t i = 0; i < run->count; i++)
        if (!run->levels[i].call.buffers.workspace)
            size += workspace_part(run->levels[i].call.plan);
    if (size == 0)
        return FOCAL_OK;
    const focal_allocator *allocator = &run->levels[0].call.plan->allocator;
    if (size > few) {
        *memory = allocator->allocate(allocator->context, size);
        if (!*memory)
            return focal_fail(error, FOCAL_E_MEMORY, "workspace", -1, "%zu bytes not available",
                              size);
    }
    char *at = *memory ? *memory : small;
    for (size_t i = 0; i < run->count; i++) {
        focal_call *call = &run->levels[i].call;
        if (call->buffers.workspace)
            continue;
        call->buffers.workspace = at;
        at += workspace_part(call->plan);
    }
    return FOCAL_OK;
}

static void set_factor(focal_call *call, double normalizer) {
    double upstream = call->buffers.upstream ? (double)*call->buffers.upstream : 1.0;
    call->factor = upstream / normalizer;
}

static void add_levels(const execution *run, focal_totals *sum) {
    for (size_t i = 0; i < run->count; i++)
        focal_totals_add(sum, &run->levels[i].call);
}

static void compute(execution *run, const focal_parallel *loop, focal_sums *sums) {
    const focal_call *first = &run->levels[0].call;
    focal_totals counted = {0.0, 0.0, 0, 0, 0, 0};
    bool counting = focal_counts_first(&first->plan->problem);
    if (counting && run->tasks > 0) {
        loop->run(loop->context, run->tasks, count_task, run);
        add_levels(run, &counted);
    } else {
        for (size_t i = 0; i < run->count; i++) {
            const focal_plan *plan = run->levels[i].call.plan;
            counted.rows += (int64_t)plan->rows;
            counted.elements += (int64_t)(plan->rows * (size_t)plan->problem.classes);
        }
    }
    double normalizer = focal_divisor(first, &counted);
    bool loss = false;
    for (size_t i = 0; i < run->count; i++) {
        set_factor(&run->levels[i].call, normalizer);
        loss = loss || run->levels[i].call.plan->problem.outputs & FOCAL_OUTPUT_SUM;
    }
    if (run->tasks > 0)
        loop->run(loop->context, run->tasks, compute_task, run);
    for (size_t i = 0; i < run->count; i++)
        focal_row_losses_add(&run->levels[i].call);
    focal_totals sum = {0.0, 0.0, 0, 0, 0, 0};
    add_levels(run, &sum);
    if (counting)
        sum.positives = counted.positives;
    focal_sums_give(sums, &sum, normalizer, loss);
}

static focal_status run_levels(execution *run, const focal_plan *const *plans,
                               const focal_buffers *buffers, const focal_parallel *parallel,
                               focal_sums *sums, focal_error *error) {
    focal_parallel loop;
    focal_block_result small[SMALL_WORKSPACE];
    void *memory;
    focal_status status = start_levels(run, plans, buffers, sums, error);
    if (status == FOCAL_OK)
        status = check_parallel(parallel, &loop, error);
    if (status == FOCAL_OK)
        status = check_targets(run, &loop, error);
    if (status == FOCAL_OK)
        status = give_workspaces(run, small, sizeof small, &memory, error);
    if (status != FOCAL_OK)
        return status;
    compute(run, &loop, sums);
    if (memory)
        plans[0]->allocator.release(plans[0]->allocator.context, memory);
    return FOCAL_OK;
}

focal_status focal_plan_execute(const focal_plan *plan, const focal_buffers *buffers,
                                const focal_parallel *parallel, focal_sums *sums,
                                focal_error *error) {
    level one;
    execution run = {&one, 1, 0};
    if (!buffers && plan)
        return focal_fail(error, FOCAL_E_NULL, "buffers", -1, "there are no buffers");
    return run_levels(&run, &plan, buffers, parallel, sums, error);
}

focal_status focal_plans_execute(const focal_plan *const *plans, const focal_buffers *buffers,
                                 size_t levels, const focal_parallel *parallel,
                                 focal_sums *sums, focal_error *error) {
    if (levels == 0) {
        const focal_totals none = {0.0, 0.0, 0, 0, 0, 0};
        focal_sums read;
        if (sums && !focal_struct_read(&read, sizeof read, offsetof(focal_sums, ignored), sums))
            return focal_fail(error, FOCAL_E_STRUCT, "sums.struct_size", -1,
                              "%zu is not a known size; use FOCAL_SUMS_INIT",
                              sums->struct_size);
        focal_sums_give(sums, &none, 1.0, false);
        return FOCAL_OK;
    }
    if (!plans || !buffers)
        return focal_fail(error, FOCAL_E_NULL, plans ? "buffers" : "plans", -1,
                          "there are %zu levels", levels);
    for (size_t i = 0; i < levels; i++)
        if (!plans[i])
            return focal_fail(error, FOCAL_E_NULL, "plans", (int64_t)i, "level %zu has none",
                              i);
    level few[LEVELS_ON_STACK];
    execution run = {few, levels, 0};
    const focal_allocator *allocator = &plans[0]->allocator;
    if (levels > LEVELS_ON_STACK) {
        if (levels <= PTRDIFF_MAX / sizeof(level))
            run.levels = allocator->allocate(allocator->context, levels * sizeof(level));
        else
            run.levels = NULL;
        if (!run.levels)
            return focal_fail(error, FOCAL_E_MEMORY, "plans", -1,
                              "%zu levels exceed the memory", levels);
    }
    focal_status status = run_levels(&run, plans, buffers, parallel, sums, error);
    if (run.levels != few)
        allocator->release(allocator->context, run.levels);
    return status;
}

/* ---- In pieces ---- */

/* What range execution adds to a call's checks: the workspace cannot be allocated for the caller,
 * and no piece sees what the others count. */
static focal_status start_piece(focal_call *call, const focal_plan *plan,
                                const focal_buffers *buffers, focal_error *error) {
    focal_status status = start_call(call, plan, buffers, error);
    if (status != FOCAL_OK)
        return status;
    if (!call->buffers.workspace && focal_plan_workspace_size(plan) > 0)
        return focal_fail(error, FOCAL_E_NULL, "workspace", -1,
                          "execution in ranges needs one of %zu bytes",
                          focal_plan_workspace_size(plan));
    if (focal_counts_first(&plan->problem))
        return focal_fail(error, FOCAL_E_UNSUPPORTED, "normalizer", -1,
                          "\"%s\" is known after all ranges only: count yourself and use "
                          "FOCAL_NORMALIZER_VALUE, or focal_plan_execute",
                          focal_normalizer_name(plan->problem.normalizer));
    return FOCAL_OK;
}

static double constant_divisor(const focal_call *call) {
    const focal_plan *plan = call->plan;
    const focal_totals sum = {.rows = (int64_t)plan->rows,
                              .elements =
                                  (int64_t)(plan->rows * (size_t)plan->problem.classes)};
    return focal_divisor(call, &sum);
}

focal_status focal_plan_execute_range(const focal_plan *plan, const focal_buffers *buffers,
                                      size_t first, size_t count, focal_error *error) {
    focal_call call;
    focal_status status = start_piece(&call, plan, buffers, error);
    if (status != FOCAL_OK)
        return status;
    if (first > plan->tasks || count > plan->tasks - first)
        return focal_fail(error, FOCAL_E_RANGE, "count", -1, "tasks %zu ... %zu + %zu of %zu",
                          first, first, count, plan->tasks);
    if (count == 0)
        return FOCAL_OK;
    block_range range = blocks_of(plan, first, count);
    uint64_t bad = focal_targets_need_check(&call) ? find_bad(&call, range) : UINT64_MAX;
    if (bad != UINT64_MAX)
        return focal_bad_fail(&call, bad_of(bad), error);
    set_factor(&call, constant_divisor(&call));
    focal_blocks_run(&call, first, range.first, range.count);
    return FOCAL_OK;
}

focal_status focal_plan_finish(const focal_plan *plan, const focal_buffers *buffers,
                               focal_sums *sums, focal_error *error) {
    focal_call call;
    focal_status status = start_piece(&call, plan, buffers, error);
    if (status == FOCAL_OK)
        status = check_sums(plan, sums, error);
    if (status != FOCAL_OK)
        return status;
    focal_totals sum = {0.0, 0.0, 0, 0, 0, 0};
    focal_row_losses_add(&call);
    focal_totals_add(&sum, &call);
    focal_sums_give(sums, &sum, constant_divisor(&call),
                    plan->problem.outputs & FOCAL_OUTPUT_SUM);
    return FOCAL_OK;
}
