/* `focal eval`: loss and gradient of logits and targets in .npy files. */
#include "eval.h"
#include "options.h"

#include <host.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef FOCAL_CLI_OPENMP
#include <focal_openmp.h>
#endif

#define EVAL_OPTIONS(X)                                                                        \
    X(LOGITS, "logits", "FILE", "f32 logits, .npy (required)")                                 \
    X(TARGETS, "targets", "FILE", "targets or labels, .npy (required)")                        \
    X(ACTIVATION, "activation", "NAME",                                                        \
      "sigmoid: every logit is a decision of its own (default)\n"                              \
      "softmax: each row is one decision among its classes")                                   \
    X(GAMMA, "gamma", "G", "focusing parameter, at least 0 (default 2; 0 is cross-entropy)")   \
    X(ALPHA, "alpha", "A|off",                                                                 \
      "class balance in [0, 1] (default 0.25 with sigmoid, off\nwith softmax)")                \
    X(REDUCTION, "reduction", "NAME",                                                          \
      "sum (default); mean, over elements with sigmoid and over\n"                             \
      "rows with softmax; none, which needs --loss. --grad is the\n"                           \
      "gradient of the mean with mean, else of the sum")                                       \
    X(LOSS, "loss", "FILE",                                                                    \
      "write the unreduced losses, .npy: f32, one per element\n"                               \
      "with sigmoid, one per row with softmax")                                                \
    X(GRAD, "grad", "FILE", "write the gradient by the logits, .npy: f32, their shape")        \
    X(BACKGROUND, "background", "B", "sigmoid with labels: label B means no class")            \
    X(TIER, "tier", "NAME", "arithmetic: fast (default) or sleef, by SLEEF's functions")       \
    X(ISA, "isa", "NAME", "use this row of 'focal info' instead of the best usable one")       \
    X(THREADS, "threads", "N", "OpenMP threads; 0 for all (default 1)")                        \
    X(REPEAT, "repeat", "N", "compute N times and print the fastest time per element")         \
    X(JSON, "json", NULL, "one JSON object instead of text")

enum { EVAL_OPTIONS(OPTION_INDEX) OPTION_COUNT };
enum { THREADS_MAX = 1024 };

const char *const eval_activation_names[] = {"sigmoid", "softmax", NULL};
const char *const eval_reduction_names[] = {"sum", "mean", "none", NULL};

/* Names of the tiers and their values, in one order. */
#define TIER_NAME(value, number, name, description)  name,
#define TIER_VALUE(value, number, name, description) value,
static const char *const tier_names[] = {FOCAL_TIER_LIST(TIER_NAME) NULL};
static const focal_tier tiers[] = {FOCAL_TIER_LIST(TIER_VALUE)};

static int parse_alpha(const char *text, eval_request *request) {
    if (!text) {
        request->alpha_mode =
            request->op == FOCAL_SIGMOID ? FOCAL_ALPHA_SCALAR : FOCAL_ALPHA_OFF;
        request->alpha = 0.25;
        return DONE;
    }
    if (strcmp(text, "off") == 0) {
        request->alpha_mode = FOCAL_ALPHA_OFF;
        return DONE;
    }
    request->alpha_mode = FOCAL_ALPHA_SCALAR;
    int code = parse_number("alpha", text, &request->alpha);
    if (code == DONE && !(request->alpha >= 0.0 && request->alpha <= 1.0))
        return fail(USAGE, "--alpha %s is outside [0, 1]; --alpha off turns it off", text);
    return code;
}

static int parse_names(const char *const *values, eval_request *request) {
    int op = FOCAL_SIGMOID, reduction = REDUCE_SUM, tier = 0, code = DONE;
    if (values[OPTION_ACTIVATION])
        code =
            parse_choice("activation", values[OPTION_ACTIVATION], eval_activation_names, &op);
    if (code == DONE && values[OPTION_REDUCTION])
        code = parse_choice("reduction", values[OPTION_REDUCTION], eval_reduction_names,
                            &reduction);
    if (code == DONE && values[OPTION_TIER])
        code = parse_choice("tier", values[OPTION_TIER], tier_names, &tier);
    request->op = (focal_op)op;
    request->reduction = (eval_reduction)reduction;
    request->tier = values[OPTION_TIER] ? tiers[tier] : FOCAL_TIER_DEFAULT;
    request->tier_name = focal_tier_name(request->tier);
    return code;
}

static int parse_integers(const char *const *values, eval_request *request) {
    int64_t threads = 1;
    int code = DONE;
    if (values[OPTION_THREADS])
        code = parse_integer("threads", values[OPTION_THREADS], 0, THREADS_MAX, &threads);
    if (code == DONE && values[OPTION_REPEAT])
        code = parse_integer("repeat", values[OPTION_REPEAT], 1, 1000000000, &request->repeat);
    request->has_background = values[OPTION_BACKGROUND] != NULL;
    if (code == DONE && request->has_background)
        code = parse_integer("background", values[OPTION_BACKGROUND], INT64_MIN, INT64_MAX,
                             &request->background);
    request->threads = (int)threads;
    return code;
}

/* Everything about the command line that can be judged without the files. */
static int parse_request(const char *const *values, eval_request *request) {
    *request = (eval_request){
        .logits_path = values[OPTION_LOGITS],
        .targets_path = values[OPTION_TARGETS],
        .loss_path = values[OPTION_LOSS],
        .gradient_path = values[OPTION_GRAD],
        .isa = values[OPTION_ISA],
        .json = values[OPTION_JSON] != NULL,
        .gamma = 2.0,
    };
    if (!request->logits_path)
        return fail(USAGE, "--logits is missing: --logits FILE.npy");
    if (!request->targets_path)
        return fail(USAGE, "--targets is missing: --targets FILE.npy");
    int code = parse_names(values, request);
    if (code == DONE && values[OPTION_GAMMA])
        code = parse_number("gamma", values[OPTION_GAMMA], &request->gamma);
    if (code == DONE)
        code = parse_alpha(values[OPTION_ALPHA], request);
    if (code == DONE)
        code = parse_integers(values, request);
    if (code != DONE)
        return code;
    if (request->reduction == REDUCE_NONE && !request->loss_path)
        return fail(USAGE, "--reduction none needs --loss FILE.npy to put the losses in");
    if (request->has_background && request->op == FOCAL_SOFTMAX)
        return fail(USAGE,
                    "--background is for sigmoid: in softmax the background is a class of "
                    "its own");
#ifndef FOCAL_CLI_OPENMP
    if (request->threads != 1)
        return fail(USAGE,
                    "--threads %d: this build has no OpenMP; use --threads 1, or build "
                    "with a compiler that has it",
                    request->threads);
#endif
    return DONE;
}

/* A library message under the option that its field came from. The message repeats the field's
 * name in front, which says nothing to users of the command. */
static int fail_library(const focal_error *error, const eval_input *input) {
    static const struct {
        const char *field, *option;
    } options[] = {{"gamma", "--gamma"}, {"alpha", "--alpha"}, {"isa", "--isa"}};
    const char *field = error->field ? error->field : "", *message = error->message;
    size_t length = strlen(field);
    if (length && strncmp(message, field, length) == 0 &&
        strncmp(message + length, ": ", 2) == 0)
        message += length + 2;
    if (!*message)
        message = focal_status_text(error->status);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        if (strcmp(field, options[i].field) == 0)
            return fail(USAGE, "%s: %s", options[i].option, message);
    if (strcmp(field, "targets") == 0)
        return fail(FAILED, "--targets %s: %s", input->targets.path, message);
    return fail(FAILED, "--logits %s: %s%s%s", input->logits.path, field, *field ? ": " : "",
                message);
}

static int create_plan(focal_plan **plan, const eval_request *request,
                       const eval_input *input) {
    focal_problem problem;
    focal_options options;
    focal_error error = FOCAL_ERROR_INIT;
    focal_problem_init(&problem);
    problem.op = request->op;
    problem.target_kind = input->target_kind;
    problem.tier = request->tier;
    problem.outer = input->rows;
    problem.classes = input->classes;
    problem.gamma = request->gamma;
    problem.alpha_mode = request->alpha_mode;
    problem.alpha = request->alpha;
    problem.outputs = FOCAL_OUTPUT_SUM;
    if (request->loss_path)
        problem.outputs |=
            request->op == FOCAL_SOFTMAX ? FOCAL_OUTPUT_ROW_LOSS : FOCAL_OUTPUT_LOSS;
    if (request->gradient_path)
        problem.outputs |= FOCAL_OUTPUT_GRADIENT;
    if (request->has_background) {
        problem.label_flags = FOCAL_LABEL_BACKGROUND;
        problem.background = request->background;
    }
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
    focal_sums sums = FOCAL_SUMS_INIT;
    for (int64_t i = 0; i == 0 || i < request->repeat; i++) {
        focal_error error = FOCAL_ERROR_INIT;
        double start = seconds_now();
        focal_status status = focal_plan_execute(plan, buffers, parallel, &sums, &error);
        double seconds = seconds_now() - start;
        if (status != FOCAL_OK)
            return fail_library(&error, input);
        if (i == 0 || seconds < result->fastest_seconds)
            result->fastest_seconds = seconds;
    }
    result->sum = sums.loss;
    result->mean = result->losses ? sums.loss / (double)result->losses : 0.0;
    result->positives = input->target_kind == FOCAL_TARGET_DENSE ? -1 : sums.positives;
    return DONE;
}

/* The two outputs: checked before the work, both written before either gets its name. */
typedef struct eval_outputs {
    npy_output loss, gradient;
    float *loss_data, *gradient_data;
    void *workspace;
} eval_outputs;

static int check_outputs(eval_outputs *outputs, const eval_request *request,
                         const eval_input *input) {
    const npy_file *const inputs[] = {&input->logits, &input->targets};
    int code = npy_output_check(&outputs->loss, "--loss", request->loss_path, inputs, 2);
    if (code == DONE)
        code =
            npy_output_check(&outputs->gradient, "--grad", request->gradient_path, inputs, 2);
    if (code == DONE && outputs->loss.resolved && outputs->gradient.resolved &&
        strcmp(outputs->loss.resolved, outputs->gradient.resolved) == 0)
        return fail(USAGE, "--grad %s: is the file of --loss; name another one",
                    request->gradient_path);
    return code;
}

static int write_outputs(eval_outputs *outputs, const eval_request *request,
                         const eval_input *input) {
    const npy_header *logits = &input->logits.header;
    int loss_dimensions = logits->dimensions - (request->op == FOCAL_SOFTMAX);
    int code =
        npy_output_write(&outputs->loss, outputs->loss_data, logits->shape, loss_dimensions);
    if (code == DONE)
        code = npy_output_write(&outputs->gradient, outputs->gradient_data, logits->shape,
                                logits->dimensions);
    if (code == DONE)
        code = npy_output_commit(&outputs->loss);
    if (code == DONE)
        code = npy_output_commit(&outputs->gradient);
    return code;
}

static int compute(const focal_plan *plan, const eval_request *request, const eval_input *input,
                   eval_outputs *outputs, eval_result *result) {
    focal_buffers buffers;
    focal_buffers_init(&buffers);
    buffers.logits = input->logits.data;
    buffers.targets = input->targets.data;
    result->losses = request->op == FOCAL_SOFTMAX ? input->rows : input->elements;
    float upstream = result->losses ? (float)(1.0 / (double)result->losses) : 1.0F;
    if (request->reduction == REDUCE_MEAN)
        buffers.upstream = &upstream;
    if (request->loss_path) {
        outputs->loss_data = allocate_array("--loss", result->losses, sizeof(float));
        buffers.loss = buffers.row_loss = outputs->loss_data;
        if (!outputs->loss_data)
            return FAILED;
    }
    if (request->gradient_path) {
        outputs->gradient_data = allocate_array("--grad", input->elements, sizeof(float));
        buffers.gradient = outputs->gradient_data;
        if (!outputs->gradient_data)
            return FAILED;
    }
    /* Once here instead of in every execution, so that --repeat times the computation alone. */
    buffers.workspace_size = focal_plan_workspace_size(plan);
    buffers.workspace = outputs->workspace =
        allocate_array("workspace", (int64_t)buffers.workspace_size, 1);
    result->plan = describe(plan);
    if (!outputs->workspace || !result->plan)
        return fail(FAILED, "not enough memory");
    name_isa(result->plan, result->isa);
    int code = execute(plan, request, input, &buffers, result);
    return code == DONE ? write_outputs(outputs, request, input) : code;
}

static int run(const char *const *values) {
    eval_request request;
    eval_input input;
    eval_outputs outputs = {.loss_data = NULL};
    eval_result result = {.plan = NULL};
    focal_plan *plan = NULL;
    int code = parse_request(values, &request);
    if (code != DONE)
        return code;
    code = eval_open(&input, &request);
    if (code == DONE)
        code = check_outputs(&outputs, &request, &input);
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
    free(outputs.workspace);
    free(outputs.gradient_data);
    free(outputs.loss_data);
    npy_output_release(&outputs.gradient);
    npy_output_release(&outputs.loss);
    eval_close(&input);
    return code;
}

static const option_spec options[] = {EVAL_OPTIONS(OPTION_ENTRY)};

const command command_eval = {
    .name = "eval",
    .summary = "Compute the focal loss and its gradient of .npy files",
    .synopsis = " --logits FILE --targets FILE [OPTIONS]",
    .details =
        "Logits are f32: rows of classes, the last dimension being the classes and all others\n"
        "rows; one dimension is that many rows of one class (sigmoid only).\n"
        "\n"
        "Targets are understood by their dtype and shape:\n"
        "  floats, the logits' shape          values in [0, 1] (sigmoid); f64 becomes f32\n"
        "  integers or bool, the same shape   0 or 1 (sigmoid)\n"
        "  integers, one per row              labels, from 0 to classes - 1\n"
        "\n"
        "Byte order and Fortran order are converted. Outputs replace existing files at once "
        "or\n"
        "not at all, and may not be inputs.\n",
    .options = options,
    .option_count = OPTION_COUNT,
    .run = run,
};
