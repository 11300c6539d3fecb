/* Plans: made, described, destroyed. */
#include "plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "choice.h"
#include "cpu.h"
#include "status.h"

/* A task of 32768 elements is some 30 microseconds of work, against a few of scheduling. */
enum { TASK_ELEMENTS = 32768, DEFAULT_UNROLL = 16 };

static void *default_allocate(void *context, size_t size) {
    (void)context;
    return malloc(size);
}

static void default_release(void *context, void *memory) {
    (void)context;
    free(memory);
}

static focal_gamma_class gamma_class(double gamma) {
    if (gamma == 0.0)
        return KERNEL_G0;
    if (gamma == 1.0)
        return KERNEL_G1;
    if (gamma == 2.0)
        return KERNEL_G2;
    double steps = 2.0 * gamma;
    if (steps <= FOCAL_HALF_STEPS_MAX && steps == (double)(int)steps)
        return KERNEL_GH;
    return KERNEL_GX;
}

static focal_kernel_tier kernel_tier(focal_tier tier) {
    switch (tier) {
    case FOCAL_TIER_SLEEF:
        return KERNEL_SLEEF;
    case FOCAL_TIER_ACCURATE:
        return KERNEL_ACCURATE;
    case FOCAL_TIER_FAST:
    case FOCAL_TIER_DEFAULT:
        break;
    }
    return KERNEL_FAST;
}

static const focal_kernel *find_kernel(const focal_kernel_table *table,
                                       const focal_problem *problem, uint32_t unroll) {
    bool loss = problem->outputs & ~(uint32_t)FOCAL_OUTPUT_GRADIENT;
    bool gradient = problem->outputs & FOCAL_OUTPUT_GRADIENT;
    focal_kernel_op op = problem->op == FOCAL_SOFTMAX ? KERNEL_SOFTMAX : KERNEL_SIGMOID;
    /* Sigmoid labels become a block of 0/1 targets in the first-level cache. */
    focal_kernel_target target = KERNEL_BINARY;
    if (op == KERNEL_SOFTMAX)
        target = KERNEL_LABEL;
    else if (problem->target_kind == FOCAL_TARGET_DENSE)
        target = KERNEL_DENSE;
    focal_kernel_direction direction = KERNEL_LOSS;
    if (gradient)
        direction = loss ? KERNEL_BOTH : KERNEL_GRADIENT;
    focal_gamma_class class = gamma_class(problem->gamma);
    focal_kernel_tier tier = kernel_tier(problem->tier);
    for (size_t i = 0; i < table->count; i++) {
        const focal_kernel *kernel = &table->kernels[i];
        if (kernel->op == op && kernel->target == target && kernel->direction == direction &&
            kernel->gamma_class == class && kernel->tier == tier && kernel->unroll == unroll)
            return kernel;
    }
    return NULL;
}

static void cut_into_blocks(focal_plan *plan) {
    const focal_problem *problem = &plan->problem;
    size_t outer = (size_t)problem->outer, classes = (size_t)problem->classes;
    plan->rows_per_block = 1;
    plan->blocks_per_row = 1;
    if (outer == 0)
        return;
    if (classes <= FOCAL_BLOCK)
        plan->rows_per_block = FOCAL_BLOCK / classes;
    else if (problem->op == FOCAL_SIGMOID)
        plan->blocks_per_row = (classes + FOCAL_BLOCK - 1) / FOCAL_BLOCK;
    plan->blocks =
        (outer + plan->rows_per_block - 1) / plan->rows_per_block * plan->blocks_per_row;
    size_t elements = plan->blocks_per_row > 1 ? FOCAL_BLOCK : plan->rows_per_block * classes;
    size_t task = plan->tuning.task_elements ? plan->tuning.task_elements : TASK_ELEMENTS;
    if (plan->grain == 0)
        plan->grain = elements < task ? task / elements : 1;
    if (plan->grain > plan->blocks)
        plan->grain = plan->blocks;
    plan->tasks = (plan->blocks + plan->grain - 1) / plan->grain;
}

void focal_plan_set_task(focal_plan *plan, uint64_t elements) {
    plan->tuning.task_elements = elements;
    plan->grain = 0;
    cut_into_blocks(plan);
}

static focal_status check_options(const focal_options *options, focal_error *error) {
    if (options->struct_size != sizeof *options)
        return focal_fail(error, FOCAL_E_STRUCT, "options.struct_size", -1,
                          "%zu is not a known size; use focal_options_init",
                          options->struct_size);
    if (!options->allocate != !options->release)
        return focal_fail(error, FOCAL_E_NULL, options->allocate ? "release" : "allocate", -1,
                          "an allocator is two functions");
    if (options->tune_flags & ~(uint32_t)FOCAL_TUNE_OFF)
        return focal_fail(error, FOCAL_E_VALUE, "tune_flags", -1, "unknown bits 0x%x",
                          (unsigned)(options->tune_flags & ~(uint32_t)FOCAL_TUNE_OFF));
    return FOCAL_OK;
}

static focal_status choose_isa(focal_plan *plan, const focal_options *options,
                               focal_error *error) {
    if (!options->isa) {
        plan->isa = focal_isa_choose(&plan->isa_reason);
        return FOCAL_OK;
    }
    plan->isa = focal_isa_find(options->isa);
    plan->isa_reason = "pinned";
    if (!plan->isa)
        return focal_fail(error, FOCAL_E_ISA, "isa", -1, "there is no ISA row \"%.40s\"",
                          options->isa);
    if (!plan->isa->table)
        return focal_fail(error, FOCAL_E_ISA, "isa", -1,
                          "the row \"%s\" is not built into this library", plan->isa->name);
    uint64_t missing = plan->isa->needs & ~focal_cpu_host()->features;
    if (missing) {
        char text[160];
        focal_cpu_features_text(missing, text, sizeof text);
        return focal_fail(error, FOCAL_E_ISA, "isa", -1, "\"%s\" needs %s, not usable here",
                          plan->isa->name, text);
    }
    return FOCAL_OK;
}

/* FOCAL_VERBOSE=1: one line at the first plan; 2: one per plan. */
static void report(const focal_plan *plan, bool first) {
    const char *verbose = getenv("FOCAL_VERBOSE");
    if (!verbose || (*verbose != '1' && *verbose != '2') || verbose[1])
        return;
    if (first) {
        focal_host_info host = {.struct_size = sizeof host};
        char reason[64], tuning[320];
        focal_host_get(&host);
        focal_plan_reason(plan, reason, sizeof reason);
        focal_tuning_note(tuning, sizeof tuning);
        fprintf(stderr, "focal: version %s, %s, features %s, isa %s (%s)%s%s%s%s\n",
                focal_version(), host.cpu, host.features, plan->isa->name, reason,
                *host.cap_note ? ", " : "", host.cap_note, *tuning ? ", " : "", tuning);
    }
    if (*verbose == '2') {
        char text[512];
        focal_plan_describe(plan, text, sizeof text);
        fprintf(stderr, "focal: plan %s\n", text);
    }
}

focal_status focal_plan_create(focal_plan **out, const focal_problem *problem,
                               const focal_options *options, focal_error *error) {
    if (!out)
        return focal_fail(error, FOCAL_E_NULL, "plan", -1, "there is no place for the plan");
    *out = NULL;
    if (!problem)
        return focal_fail(error, FOCAL_E_NULL, "problem", -1, "there is no problem");
    if (problem->struct_size != sizeof *problem)
        return focal_fail(error, FOCAL_E_STRUCT, "problem.struct_size", -1,
                          "%zu is not a known size; use focal_problem_init",
                          problem->struct_size);
    focal_options chosen;
    focal_options_init(&chosen);
    if (options) {
        focal_status status = check_options(options, error);
        if (status != FOCAL_OK)
            return status;
        chosen = *options;
    }
    focal_plan plan = {
        .problem = *problem,
        .allocator = {NULL, default_allocate, default_release},
        .half_steps =
            (uint32_t)(2.0 * (problem->gamma >= 0.0 && problem->gamma < 100.0 ? problem->gamma
                                                                              : 0.0)),
        .grain = chosen.grain,
    };
    if (chosen.allocate)
        plan.allocator =
            (focal_allocator){chosen.allocator_context, chosen.allocate, chosen.release};
    focal_status status = focal_problem_check(&plan.problem, error);
    if (status == FOCAL_OK)
        status = choose_isa(&plan, &chosen, error);
    if (status != FOCAL_OK)
        return status;
    uint32_t unroll = chosen.unroll && !chosen.kernel ? chosen.unroll : DEFAULT_UNROLL;
    plan.kernel = find_kernel(plan.isa->table, &plan.problem, unroll);
    if (!plan.kernel)
        return focal_fail(error, FOCAL_E_UNSUPPORTED, "unroll", -1,
                          "there is no kernel with %u elements per iteration",
                          (unsigned)unroll);
    status = focal_plan_choose(&plan, &chosen, error);
    if (status != FOCAL_OK)
        return status;
    cut_into_blocks(&plan);

    focal_plan *memory = plan.allocator.allocate(plan.allocator.context, sizeof plan);
    if (!memory)
        return focal_fail(error, FOCAL_E_MEMORY, "plan", -1, "%zu bytes not available",
                          sizeof plan);
    memcpy(memory, &plan, sizeof plan);
    *out = memory;
    report(memory, focal_isa_freeze());
    return FOCAL_OK;
}

void focal_plan_destroy(focal_plan *plan) {
    if (plan)
        plan->allocator.release(plan->allocator.context, plan);
}

size_t focal_plan_describe(const focal_plan *plan, char *text, size_t capacity) {
    char reason[64];
    if (!plan)
        return 0;
    focal_plan_reason(plan, reason, sizeof reason);
    int length =
        snprintf(text, text ? capacity : 0,
                 "%s: isa %s (%s), %" PRId64 " x %" PRId64 ", gamma %g, %zu blocks "
                 "(%zu rows each, %zu per row), %zu tasks, workspace %zu bytes",
                 plan->kernel->name, plan->isa->name, reason, plan->problem.outer,
                 plan->problem.classes, plan->problem.gamma, plan->blocks, plan->rows_per_block,
                 plan->blocks_per_row, plan->tasks, focal_plan_workspace_size(plan));
    return length < 0 ? 0 : (size_t)length;
}

size_t focal_plan_tasks(const focal_plan *plan) {
    return plan ? plan->tasks : 0;
}

size_t focal_plan_workspace_size(const focal_plan *plan) {
    return plan ? plan->blocks * sizeof(focal_block_result) : 0;
}
