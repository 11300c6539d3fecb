/* `focal eval`: loss and gradient of logits and targets in .npy files. */
#include "eval.h"
#include "library.h"

#include <host.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef FOCAL_CLI_OPENMP
#include <focal_openmp.h>
#endif

/* A library message under the option that its field came from, and the file if one was given. */
static int fail_library(const focal_error *error, const eval_input *input) {
    char text[LIBRARY_TEXT];
    const char *message = library_message(error, text), *field = error->field;
    const char *option = library_option(field);
    for (int i = 0; i < PARAMETERS && option && error->status == FOCAL_E_VALUE; i++)
        if (strcmp(option, eval_parameter_options[i]) == 0)
            return fail(FAILED, "%s %s: %s", option, input->parameters[i].path, message);
    if (option)
        return fail(USAGE, "%s: %s", option, message);
    if (strcmp(field, "targets") == 0)
        return fail(FAILED, "--targets %s: %s", input->targets.path, message);
    return fail(FAILED, "--logits %s: %s%s%s", input->logits.path, field, *field ? ": " : "",
                message);
}

static int create_plan(focal_plan **plan, const eval_request *request,
                       const eval_input *input) {
    static const uint32_t output_flags[OUTPUTS] = {FOCAL_OUTPUT_LOSS, FOCAL_OUTPUT_ROW_LOSS,
                                                   FOCAL_OUTPUT_GRADIENT, FOCAL_OUTPUT_HESSIAN,
                                                   FOCAL_OUTPUT_TARGET_GRADIENT};
    focal_problem problem = request->problem;
    focal_options options;
    focal_error error = FOCAL_ERROR_INIT;
    problem.dtype = input->dtype;
    problem.target_kind = input->target_kind;
    problem.targets_dtype = input->targets_dtype;
    problem.loss_dtype = problem.gradient_dtype = request->output_dtype;
    problem.outer = input->outer;
    problem.classes = input->classes;
    problem.inner = input->inner;
    problem.selected = input->selected;
    problem.class_alpha = input->class_values[CLASS_ALPHA];
    problem.class_gamma = input->class_values[CLASS_GAMMA];
    problem.class_weight = input->class_values[CLASS_WEIGHT];
    if (problem.form != FOCAL_FORM_MATCH)
        problem.outputs = FOCAL_OUTPUT_SUM;
    for (int i = 0; i < OUTPUTS; i++)
        if (request->output_paths[i])
            problem.outputs |= i == OUT_LOSS && problem.op == FOCAL_SOFTMAX
                                   ? FOCAL_OUTPUT_ROW_LOSS
                                   : output_flags[i];
    if (problem.outputs == 0)
        return fail(USAGE, "--form match needs --loss FILE.npy to put the costs in");
    focal_options_init(&options);
    options.isa = request->isa;
    options.threads = (uint32_t)(request->threads ? request->threads : bench_cpu_count());
    if (focal_plan_create(plan, &problem, &options, &error) != FOCAL_OK)
        return fail_library(&error, input);
    return DONE;
}

/* FOCAL_ISA with a name that does not exist changes nothing; whoever set it wants to know. */
static void note_cap(void) {
    focal_host_info host = {.struct_size = sizeof host};
    if (focal_host_get(&host) == FOCAL_OK && *host.cap_note)
        note("%s", host.cap_note);
}

/* The row of the plan's kernel, whose name begins the description: "<contract>__<row>_u16: ...". */
static void name_isa(const char *plan, char isa[16]) {
    const char *row = strstr(plan, "__");
    const char *end = row ? strchr(row + 2, '_') : NULL;
    snprintf(isa, 16, "%.*s", end ? (int)(end - row - 2) : 7, end ? row + 2 : "unknown");
}

static char *describe(const focal_plan *plan) {
    size_t capacity = focal_plan_describe(plan, NULL, 0) + 1;
    char *text = malloc(capacity);
    if (text)
        focal_plan_describe(plan, text, capacity);
    return text;
}

static double seconds_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Runs the plan once, or `repeat` times for the fastest. */
static int execute(const focal_plan *plan, const eval_request *request, const eval_input *input,
                   const focal_buffers *buffers, eval_result *result) {
    const focal_parallel *parallel = NULL;
#ifdef FOCAL_CLI_OPENMP
    const focal_parallel openmp = focal_openmp_parallel(request->threads);
    if (request->threads != 1)
        parallel = &openmp;
#endif
    result->sums = (focal_sums)FOCAL_SUMS_INIT;
    focal_sums *sums = request->problem.form == FOCAL_FORM_MATCH ? NULL : &result->sums;
    for (int64_t i = 0; i == 0 || i < request->repeat; i++) {
        focal_error error = FOCAL_ERROR_INIT;
        double start = seconds_now();
        focal_status status = focal_plan_execute(plan, buffers, parallel, sums, &error);
        double seconds = seconds_now() - start;
        if (status != FOCAL_OK)
            return fail_library(&error, input);
        if (i == 0 || seconds < result->fastest_seconds)
            result->fastest_seconds = seconds;
    }
    int counted = input->target_kind != FOCAL_TARGET_DENSE ||
                  request->problem.normalizer == FOCAL_NORMALIZER_POSITIVES;
    result->mean = result->losses ? result->sums.loss / (double)result->losses : 0.0;
    result->positives = counted ? result->sums.positives : -1;
    return DONE;
}

static int compute(const focal_plan *plan, const eval_request *request, const eval_input *input,
                   eval_outputs *outputs, eval_result *result) {
    focal_buffers buffers;
    focal_buffers_init(&buffers);
    buffers.logits = input->logits.data;
    buffers.targets = input->targets.data;
    buffers.row_weight = input->parameters[ROW_WEIGHT].data;
    buffers.element_weight = input->parameters[ELEMENT_WEIGHT].data;
    buffers.normalizer = &request->normalizer_value;
    result->losses = request->problem.op == FOCAL_SOFTMAX ? input->rows : input->elements;
    float upstream = result->losses ? (float)(1.0 / (double)result->losses) : 1.0F;
    if (request->reduction == REDUCE_MEAN)
        buffers.upstream = &upstream;
    int code = eval_outputs_allocate(outputs, request, input);
    if (code != DONE)
        return code;
    buffers.loss = outputs->data[OUT_LOSS];
    buffers.row_loss =
        outputs->data[request->problem.op == FOCAL_SOFTMAX ? OUT_LOSS : OUT_ROW_LOSS];
    buffers.gradient = outputs->data[OUT_GRADIENT];
    buffers.hessian = outputs->data[OUT_HESSIAN];
    buffers.target_gradient = outputs->data[OUT_TARGET_GRADIENT];
    /* Once here instead of in every execution, so that --repeat times the computation alone. */
    buffers.workspace_size = focal_plan_workspace_size(plan);
    buffers.workspace = outputs->workspace =
        allocate_array("workspace", (int64_t)buffers.workspace_size, 1);
    result->plan = describe(plan);
    if (!outputs->workspace || !result->plan)
        return fail(FAILED, "not enough memory");
    name_isa(result->plan, result->isa);
    code = execute(plan, request, input, &buffers, result);
    return code == DONE ? eval_outputs_write(outputs, request, input) : code;
}

int eval_run(const char *const *values) {
    eval_request request;
    eval_input input;
    eval_outputs outputs = {.workspace = NULL};
    eval_result result = {.plan = NULL};
    focal_plan *plan = NULL;
    int code = eval_parse(values, &request);
    if (code != DONE)
        return code;
    code = eval_open(&input, &request);
    if (code == DONE)
        code = eval_outputs_check(&outputs, &request, &input);
    if (code == DONE)
        code = eval_load_classes(&input);
    if (code == DONE)
        code = create_plan(&plan, &request, &input);
    if (code == DONE)
        code = eval_load(&input);
    if (code == DONE) {
        note_cap();
        code = compute(plan, &request, &input, &outputs, &result);
    }
    if (code == DONE)
        eval_report(&request, &input, &result);

    free(result.plan);
    focal_plan_destroy(plan);
    eval_outputs_release(&outputs);
    eval_close(&input);
    return code;
}
