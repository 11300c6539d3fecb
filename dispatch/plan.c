/* Plans: made, described, destroyed. */
#include "plan.h"

#include <float.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "choice.h"
#include "convert.h"
#include "cpu.h"
#include "status.h"

/* A thread that begins a task waits for memory that nothing has asked for yet: on two threads, tasks
 * of 524288 elements took 0.86 to 0.93 of the time of 32768 (docs/decisions/0003). One that is held up
 * holds up all, so every thread shall have sixteen; of unknown threads, sixteen are expected. */
enum { TASK_LEAST = 32768, TASK_MOST = 524288, TASKS_PER_THREAD = 16, THREADS_EXPECTED = 16 };

/* The first version's problem ended before `ignore`. */
enum { PROBLEM_FIRST = offsetof(focal_problem, ignore) };

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

/* An alpha_t of 0, that of target 1 or of target 0, leaves a NaN where a weight of 0 makes it 0. */
static bool has_zero_alpha(const focal_problem *problem) {
    for (int64_t c = 0; problem->class_alpha && c < problem->classes; c++)
        if (problem->class_alpha[c] == 0.0 || problem->class_alpha[c] == 1.0)
            return true;
    return false;
}

/* Whether every class weight is 0 or a normal float. */
static bool has_float_weights(const focal_problem *problem) {
    for (int64_t c = 0; problem->class_weight && c < problem->classes; c++)
        if (problem->class_weight[c] != 0.0 && (problem->class_weight[c] < (double)FLT_MIN ||
                                                problem->class_weight[c] > (double)FLT_MAX))
            return false;
    return true;
}

/* Whether the f32 kernels smooth the targets: of softmax with labels, and of the cross-entropy alone, which
 * is all that gamma 0 has. */
static bool is_smoothed_by_kernel(const focal_problem *problem) {
    bool cross_entropy =
        problem->smoothing_mode == FOCAL_SMOOTH_CROSS_ENTROPY || problem->gamma == 0.0;
    return problem->op == FOCAL_SOFTMAX && focal_target_is_label(problem->target_kind) &&
           kernel_tier(problem->tier) == KERNEL_FAST && cross_entropy && problem->classes > 1;
}

/* What the f32 kernels do not compute. Results of tier fast are multiplied by weights, and by an alpha
 * of the class. */
static bool needs_form_kernel(const focal_problem *problem) {
    const uint32_t plain =
        FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_LOSS | FOCAL_OUTPUT_ROW_LOSS | FOCAL_OUTPUT_GRADIENT;
    bool dense = problem->target_kind == FOCAL_TARGET_DENSE;
    bool fast = kernel_tier(problem->tier) == KERNEL_FAST;
    bool by_kernel = fast && (problem->op == FOCAL_SOFTMAX || !has_zero_alpha(problem));
    bool alphas = problem->alpha_mode > FOCAL_ALPHA_SCALAR && !by_kernel;
    bool weights = problem->class_weight && !(fast && has_float_weights(problem));
    bool wide = problem->dtype == FOCAL_F64 || (dense && problem->targets_dtype == FOCAL_F64) ||
                problem->loss_dtype == FOCAL_F64 || problem->gradient_dtype == FOCAL_F64;
    bool smoothed = problem->smoothing != 0.0 && !is_smoothed_by_kernel(problem);
    return wide || problem->form != FOCAL_FORM_FOCAL || alphas ||
           problem->gamma_mode != FOCAL_GAMMA_SCALAR || weights || smoothed ||
           problem->poly_epsilon != 0.0 || problem->outputs & ~plain ||
           (problem->op == FOCAL_SOFTMAX && dense);
}

static const focal_kernel *find_kernel(const focal_kernel_table *table,
                                       const focal_problem *problem, uint32_t unroll) {
    bool loss = problem->outputs & ~(uint32_t)FOCAL_OUTPUT_GRADIENT;
    bool gradient = problem->outputs & FOCAL_OUTPUT_GRADIENT;
    focal_kernel_op op = problem->op == FOCAL_SOFTMAX ? KERNEL_SOFTMAX : KERNEL_SIGMOID;
    /* Kernels of 0/1 targets serve labels, too. */
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

static bool has_unroll(const focal_kernel_table *table, uint32_t unroll) {
    for (size_t i = 0; i < table->count; i++)
        if (table->kernels[i].unroll == unroll)
            return true;
    return false;
}

/* As measured: sigmoid gradients, with or without their losses, take 0.94 to 1.00 of the time by 32 on
 * AVX2 and AVX-512; others gain nowhere. */
static uint32_t default_unroll(const focal_problem *problem) {
    return problem->op == FOCAL_SIGMOID && problem->outputs & FOCAL_OUTPUT_GRADIENT ? 32 : 16;
}

/* What the fast kernel of plain losses in double computes (form.h), where those of f32 do not: f64, and
 * Hessians. Its exponents are products and one square root; and alpha_t = 0 makes an infinite loss 0,
 * which it does not ask for. */
static bool is_plain_in_double(const focal_problem *problem) {
    const uint32_t plain = FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_LOSS | FOCAL_OUTPUT_ROW_LOSS |
                           FOCAL_OUTPUT_GRADIENT | FOCAL_OUTPUT_HESSIAN;
    bool zero_alpha = problem->alpha_mode == FOCAL_ALPHA_SCALAR &&
                      (problem->alpha == 0.0 || problem->alpha == 1.0);
    return problem->op == FOCAL_SIGMOID && problem->form == FOCAL_FORM_FOCAL &&
           needs_form_kernel(problem) && kernel_tier(problem->tier) == KERNEL_FAST &&
           problem->alpha_mode <= FOCAL_ALPHA_SCALAR && !zero_alpha &&
           problem->gamma_mode == FOCAL_GAMMA_SCALAR &&
           gamma_class(problem->gamma) != KERNEL_GX && !problem->class_weight &&
           problem->smoothing == 0.0 && problem->poly_epsilon == 0.0 &&
           !(problem->outputs & ~plain);
}

/* Whether results of every element are rounded to floats or less: plain doubles are enough then. */
static bool has_narrow_results(const focal_problem *problem) {
    return problem->loss_dtype != FOCAL_F64 && problem->gradient_dtype != FOCAL_F64;
}

static const focal_form_kernel *find_form(const focal_kernel_table *table,
                                          const focal_problem *problem) {
    focal_kernel_op op = problem->op == FOCAL_SOFTMAX ? KERNEL_SOFTMAX : KERNEL_SIGMOID;
    focal_kernel_tier tier = kernel_tier(problem->tier);
    if (tier == KERNEL_FAST && !is_plain_in_double(problem) && !has_narrow_results(problem))
        tier = KERNEL_ACCURATE;
    for (size_t i = 0; i < table->form_count; i++)
        if (table->forms[i].op == op && table->forms[i].tier == tier)
            return &table->forms[i];
    return NULL;
}

static focal_status choose_kernels(focal_plan *plan, uint32_t unroll, focal_error *error) {
    plan->form = find_form(plan->isa->table, &plan->problem);
    plan->plain_in_double = is_plain_in_double(&plan->problem);
    plan->narrow = has_narrow_results(&plan->problem);
    if (!needs_form_kernel(&plan->problem))
        plan->kernel = find_kernel(plan->isa->table, &plan->problem, unroll);
    else if (has_unroll(plan->isa->table, unroll))
        return FOCAL_OK;
    if (!plan->kernel)
        return focal_fail(error, FOCAL_E_UNSUPPORTED, "unroll", -1,
                          "there is no kernel with %u elements per iteration",
                          (unsigned)unroll);
    return FOCAL_OK;
}

static void lay_out(focal_plan *plan) {
    const focal_problem *problem = &plan->problem;
    size_t inner = (size_t)problem->inner, classes = (size_t)problem->classes;
#define LAYOUT(array)                                                                          \
    ((focal_layout){(size_t)problem->array##_stride, (size_t)problem->array##_class_stride,    \
                    inner})
    plan->logits = LAYOUT(logits);
    plan->targets = LAYOUT(targets);
    plan->loss = LAYOUT(loss);
    plan->gradient = LAYOUT(gradient);
#undef LAYOUT
    plan->element_weight = (focal_layout){classes * inner, inner, inner};
    plan->logits_size = focal_dtype_size(problem->dtype);
    plan->targets_size = focal_target_size(problem);
    plan->loss_size = focal_dtype_size(problem->loss_dtype);
    plan->gradient_size = focal_dtype_size(problem->gradient_dtype);
    plan->weight_size = focal_dtype_size(focal_weight_dtype(problem));
    plan->rows = (size_t)problem->outer * inner;
    plan->columns = problem->form == FOCAL_FORM_MATCH ? (size_t)problem->selected : classes;
}

/* Whether the f32 kernel needs rows longer than a block copied together or converted. */
static bool stages_long_rows(const focal_plan *plan) {
    const focal_problem *problem = &plan->problem;
    bool gradient = problem->outputs & FOCAL_OUTPUT_GRADIENT;
    bool plain_logits =
        problem->dtype == FOCAL_F32 && problem->inner == 1 && problem->logits_class_stride == 1;
    bool plain_gradient = problem->gradient_dtype == FOCAL_F32 && problem->inner == 1 &&
                          problem->gradient_class_stride == 1;
    return plan->kernel && problem->op == FOCAL_SOFTMAX && plan->columns > FOCAL_BLOCK &&
           !(plain_logits && (!gradient || plain_gradient));
}

/* Rows of less than a step of 16 are turned over in the cache: 0.34 to 0.84 of the time; of a whole step
 * and more it does not pay. */
enum { SHORT_ROW = 15 };

/* Whether the kernel takes blocks class by class, so that no row is brought together; those of smoothed
 * rows do not. Of less than 16 rows, a step, lanes would be idle. */
static bool goes_by_planes(const focal_plan *plan) {
    size_t rows = plan->rows < plan->rows_per_block ? plan->rows : plan->rows_per_block;
    size_t most = plan->problem.inner > 1 ? FOCAL_COLUMN_CLASSES : SHORT_ROW;
    return plan->kernel && plan->kernel->op == KERNEL_SOFTMAX &&
           plan->kernel->tier == KERNEL_FAST && plan->problem.smoothing == 0.0 && rows >= 16 &&
           plan->columns <= most;
}

uint64_t focal_task_elements(uint64_t elements, uint32_t threads) {
    uint64_t share = elements / TASKS_PER_THREAD / (threads > 1 ? threads : THREADS_EXPECTED);
    return share < TASK_LEAST ? TASK_LEAST : share > TASK_MOST ? TASK_MOST : share;
}

static void cut_into_blocks(focal_plan *plan) {
    size_t rows = plan->rows, columns = plan->columns;
    plan->rows_per_block = 1;
    plan->blocks_per_row = 1;
    if (rows == 0 || columns == 0)
        return;
    if (columns <= FOCAL_BLOCK)
        plan->rows_per_block = FOCAL_BLOCK / columns;
    else if (plan->problem.op == FOCAL_SIGMOID)
        plan->blocks_per_row = (columns + FOCAL_BLOCK - 1) / FOCAL_BLOCK;
    plan->by_planes = goes_by_planes(plan);
    plan->blocks =
        (rows + plan->rows_per_block - 1) / plan->rows_per_block * plan->blocks_per_row;
    size_t elements = plan->blocks_per_row > 1 ? FOCAL_BLOCK : plan->rows_per_block * columns;
    size_t task = plan->tuning.task_elements
                      ? plan->tuning.task_elements
                      : focal_task_elements(rows * columns, plan->threads);
    if (plan->grain == 0)
        plan->grain = elements < task ? task / elements : 1;
    if (stages_long_rows(plan)) {
        plan->row_scratch = columns;
        if (plan->blocks / plan->grain >= FOCAL_ROW_TASKS)
            plan->grain = (plan->blocks + FOCAL_ROW_TASKS - 1) / FOCAL_ROW_TASKS;
    }
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

enum { CLASS_ARRAYS = 3 };

static size_t kept_size(const focal_problem *problem) {
    bool arrays = problem->class_alpha || problem->class_gamma || problem->class_weight;
    return sizeof(focal_plan) +
           (arrays ? CLASS_ARRAYS * (size_t)problem->classes * sizeof(double) : 0);
}

static const double *keep_array(const double *values, double *place, size_t classes) {
    if (values)
        memcpy(place, values, classes * sizeof *values);
    return values ? place : NULL;
}

/* The plan in memory of its own, with copies of its class arrays behind it; NULL if there is
 * none. */
static focal_plan *keep(const focal_plan *plan) {
    size_t classes = (size_t)plan->problem.classes;
    focal_plan *memory =
        plan->allocator.allocate(plan->allocator.context, kept_size(&plan->problem));
    if (!memory)
        return NULL;
    memcpy(memory, plan, sizeof *plan);
    focal_problem *problem = &memory->problem;
    double *arrays = (double *)(void *)(memory + 1);
    problem->class_alpha = keep_array(problem->class_alpha, arrays, classes);
    problem->class_gamma = keep_array(problem->class_gamma, arrays + classes, classes);
    problem->class_weight = keep_array(problem->class_weight, arrays + 2 * classes, classes);
    return memory;
}

static focal_span constant_span(const focal_problem *problem) {
    bool off = problem->alpha_mode != FOCAL_ALPHA_SCALAR;
    return (focal_span){
        .half_steps = problem->gamma >= 0.0 && problem->gamma < 100.0
                          ? (uint32_t)(2.0 * problem->gamma)
                          : 0,
        .gamma = problem->gamma,
        .alpha_positive = off ? 1.0 : problem->alpha,
        .alpha_negative = off ? 1.0 : 1.0 - problem->alpha,
        .smoothing = problem->smoothing,
    };
}

focal_status focal_plan_create(focal_plan **out, const focal_problem *problem,
                               const focal_options *options, focal_error *error) {
    if (!out)
        return focal_fail(error, FOCAL_E_NULL, "plan", -1, "there is no place for the plan");
    *out = NULL;
    if (!problem)
        return focal_fail(error, FOCAL_E_NULL, "problem", -1, "there is no problem");
    focal_options chosen;
    focal_options_init(&chosen);
    if (options) {
        focal_status status = check_options(options, error);
        if (status != FOCAL_OK)
            return status;
        chosen = *options;
    }
    focal_plan plan = {
        .allocator = {NULL, default_allocate, default_release},
        .grain = chosen.grain,
        .threads = chosen.threads,
    };
    if (!focal_struct_read(&plan.problem, sizeof plan.problem, PROBLEM_FIRST, problem))
        return focal_fail(error, FOCAL_E_STRUCT, "problem.struct_size", -1,
                          "%zu is not a known size; use focal_problem_init",
                          problem->struct_size);
    if (chosen.allocate)
        plan.allocator =
            (focal_allocator){chosen.allocator_context, chosen.allocate, chosen.release};
    focal_status status = focal_problem_check(&plan.problem, error);
    if (status == FOCAL_OK)
        status = choose_isa(&plan, &chosen, error);
    if (status != FOCAL_OK)
        return status;
    plan.span = constant_span(&plan.problem);
    uint32_t unroll = default_unroll(&plan.problem);
    if (chosen.unroll && !chosen.kernel)
        unroll = chosen.unroll;
    status = choose_kernels(&plan, unroll, error);
    if (status != FOCAL_OK)
        return status;
    lay_out(&plan);
    status = focal_plan_choose(&plan, &chosen, error);
    if (status != FOCAL_OK)
        return status;
    cut_into_blocks(&plan);
    focal_buffers_measure(&plan);
    focal_plan *memory = keep(&plan);
    if (!memory)
        return focal_fail(error, FOCAL_E_MEMORY, "plan", -1, "%zu bytes not available",
                          kept_size(&plan.problem));
    *out = memory;
    report(memory, focal_isa_freeze());
    return FOCAL_OK;
}

void focal_plan_destroy(focal_plan *plan) {
    if (plan)
        plan->allocator.release(plan->allocator.context, plan);
}

/* Appends to the text, of which only `capacity` bytes exist, and returns its whole length. */
__attribute__((format(printf, 4, 5))) static size_t
append(char *text, size_t capacity, size_t length, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    bool room = text && length < capacity;
    int added =
        vsnprintf(room ? text + length : NULL, room ? capacity - length : 0, format, arguments);
    va_end(arguments);
    return length + (added < 0 ? 0 : (size_t)added);
}

/* What is not the first version's default. */
static size_t describe_choices(const focal_problem *problem, char *text, size_t capacity,
                               size_t length) {
    if (problem->inner > 1)
        length = append(text, capacity, length, " x %" PRId64, problem->inner);
    if (problem->form == FOCAL_FORM_MATCH)
        length =
            append(text, capacity, length, " against %" PRId64 " labels", problem->selected);
    if (problem->dtype != FOCAL_F32)
        length = append(text, capacity, length, ", %s", focal_dtype_name(problem->dtype));
    if (problem->loss_dtype != problem->dtype)
        length = append(text, capacity, length, ", losses %s",
                        focal_dtype_name(problem->loss_dtype));
    if (problem->gradient_dtype != problem->dtype)
        length = append(text, capacity, length, ", gradient %s",
                        focal_dtype_name(problem->gradient_dtype));
    if (problem->form != FOCAL_FORM_FOCAL)
        length = append(text, capacity, length, ", form %s", focal_form_name(problem->form));
    if (problem->gamma_mode == FOCAL_GAMMA_PER_CLASS)
        length = append(text, capacity, length, ", gamma per class");
    else
        length = append(text, capacity, length, ", gamma %g", problem->gamma);
    if (problem->smoothing != 0.0)
        length = append(text, capacity, length, ", smoothing %g", problem->smoothing);
    if (problem->normalizer != FOCAL_NORMALIZER_NONE)
        length = append(text, capacity, length, ", over %s",
                        focal_normalizer_name(problem->normalizer));
    return length;
}

size_t focal_plan_describe(const focal_plan *plan, char *text, size_t capacity) {
    char reason[64];
    if (!plan)
        return 0;
    focal_plan_reason(plan, reason, sizeof reason);
    if (text && capacity > 0)
        *text = '\0';
    const char *kernel = plan->kernel ? plan->kernel->name : plan->form->name;
    size_t length = append(text, capacity, 0, "%s: isa %s (%s), %" PRId64 " x %" PRId64, kernel,
                           plan->isa->name, reason, plan->problem.outer, plan->problem.classes);
    length = describe_choices(&plan->problem, text, capacity, length);
    return append(text, capacity, length,
                  ", %zu blocks (%zu rows each, %zu per row), %zu tasks, workspace %zu bytes",
                  plan->blocks, plan->rows_per_block, plan->blocks_per_row, plan->tasks,
                  focal_plan_workspace_size(plan));
}

size_t focal_plan_tasks(const focal_plan *plan) {
    return plan ? plan->tasks : 0;
}

size_t focal_plan_workspace_size(const focal_plan *plan) {
    return plan ? plan->blocks * sizeof(focal_block_result) +
                      plan->tasks * plan->row_scratch * sizeof(float)
                : 0;
}
