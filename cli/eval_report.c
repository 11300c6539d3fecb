/* What `focal eval` prints: an aligned block, or one JSON object. */
#include "eval.h"
#include "json.h"

#include <inttypes.h>
#include <stdio.h>

static const char *target_text(const eval_request *request, const eval_input *input) {
    if (request->problem.form == FOCAL_FORM_MATCH)
        return "labels to match";
    switch (input->target_kind) {
    case FOCAL_TARGET_DENSE:
        return "a value in [0, 1] per logit";
    case FOCAL_TARGET_BINARY_U8:
        return "0 or 1 per logit";
    default:
        return "one label per row";
    }
}

static const char *target_word(const eval_input *input) {
    switch (input->target_kind) {
    case FOCAL_TARGET_DENSE:
        return "dense";
    case FOCAL_TARGET_BINARY_U8:
        return "binary";
    default:
        return "labels";
    }
}

static double nanoseconds_per_element(const eval_input *input, const eval_result *result) {
    return result->fastest_seconds * 1e9 / (double)input->elements;
}

static void print_file(const char *name, const npy_file *file, const char *meaning) {
    char type[16], shape[160];
    printf("%-10s %s (%s, %s%s%s)\n", name, file->path, npy_type_name(&file->header, type),
           npy_shape_text(file->header.shape, file->header.dimensions, shape),
           *meaning ? ": " : "", meaning);
}

/* The choices; those that most losses do not make are shown if they are made. */
static void print_problem(const focal_problem *problem, const eval_input *input) {
    if (input->inner > 1)
        printf("layout     %" PRId64 " x %" PRId64 " classes x %" PRId64 "\n", input->outer,
               input->classes, input->inner);
    printf("activation %s\n", eval_activation_names[problem->op]);
    if (problem->form != FOCAL_FORM_FOCAL)
        printf("form       %s\n", focal_form_name(problem->form));
    if (problem->gamma_mode == FOCAL_GAMMA_PER_CLASS)
        printf("gamma      per class\n");
    else
        printf("gamma      %.9g\n", problem->gamma);
    if (problem->alpha_mode == FOCAL_ALPHA_OFF)
        printf("alpha      off\n");
    else if (problem->alpha_mode == FOCAL_ALPHA_PER_CLASS)
        printf("alpha      per class\n");
    else
        printf("alpha      %.9g\n", problem->alpha);
    if (problem->smoothing > 0.0)
        printf("smoothing  %.9g\n", problem->smoothing);
}

static void print_sums(const eval_request *request, const eval_result *result) {
    const focal_sums *sums = &result->sums;
    printf("sum        %.17g\n", plain_nan(sums->loss));
    if (request->problem.normalizer != FOCAL_NORMALIZER_NONE)
        printf("normalizer %s, %.17g: the sum is divided by it\n",
               focal_normalizer_name(request->problem.normalizer), sums->normalizer);
    else
        printf("mean       %.17g (over %" PRId64 " %s)\n", plain_nan(result->mean),
               result->losses, request->problem.op == FOCAL_SOFTMAX ? "rows" : "elements");
    if (result->positives >= 0)
        printf("positives  %" PRId64 "\n", result->positives);
    else
        printf("positives  not counted for dense targets\n");
    if (request->problem.label_flags & FOCAL_LABEL_IGNORE)
        printf("ignored    %" PRId64 "\n", sums->ignored);
    if (request->parameter_paths[CLASS_WEIGHT] || request->parameter_paths[ROW_WEIGHT] ||
        request->parameter_paths[ELEMENT_WEIGHT])
        printf("weight     %.17g\n", sums->weight);
}

static const char *gradient_of(const eval_request *request) {
    if (request->problem.normalizer != FOCAL_NORMALIZER_NONE)
        return "sum over the normalizer";
    return request->reduction == REDUCE_MEAN ? "mean" : "sum";
}

static void print_text(const eval_request *request, const eval_input *input,
                       const eval_result *result) {
    print_file("logits", &input->logits, "");
    print_file("targets", &input->targets, target_text(request, input));
    printf("rows       %" PRId64 "\n", input->rows);
    printf("classes    %" PRId64 "\n", input->classes);
    print_problem(&request->problem, input);
    printf("tier       %s\n", request->tier_name);
    printf("isa        %s\n", result->isa);
    printf("plan       %s\n", result->plan);
    if (request->problem.form != FOCAL_FORM_MATCH)
        print_sums(request, result);
    if (request->output_paths[OUT_LOSS])
        printf("loss       written to %s\n", request->output_paths[OUT_LOSS]);
    if (request->output_paths[OUT_ROW_LOSS])
        printf("row losses written to %s\n", request->output_paths[OUT_ROW_LOSS]);
    if (request->output_paths[OUT_GRADIENT])
        printf("gradient   written to %s, of the %s\n", request->output_paths[OUT_GRADIENT],
               gradient_of(request));
    if (request->output_paths[OUT_HESSIAN])
        printf("hessian    written to %s, of the %s\n", request->output_paths[OUT_HESSIAN],
               gradient_of(request));
    if (request->output_paths[OUT_TARGET_GRADIENT])
        printf("by targets written to %s, of the %s\n",
               request->output_paths[OUT_TARGET_GRADIENT], gradient_of(request));
    if (request->repeat && input->elements)
        printf("time       %.4g ns per element (fastest of %" PRId64
               " executions, without the files)\n",
               nanoseconds_per_element(input, result), request->repeat);
    else if (request->repeat)
        printf("time       none: there are no elements\n");
}

static void json_file(const char *key, const npy_file *file) {
    char type[16];
    json_open(key, '{');
    json_string("path", file->path);
    json_string("dtype", npy_type_name(&file->header, type));
    json_open("shape", '[');
    for (int i = 0; i < file->header.dimensions; i++)
        json_integer(NULL, file->header.shape[i]);
    json_close(']');
    json_close('}');
}

static void json_number_if(const char *key, double value, int given) {
    if (given)
        json_number(key, value);
    else
        json_string(key, NULL);
}

static void json_integer_if(const char *key, int64_t value, int given) {
    if (given)
        json_integer(key, value);
    else
        json_string(key, NULL);
}

static void json_problem(const focal_problem *problem, const eval_input *input) {
    int scalar = problem->alpha_mode == FOCAL_ALPHA_SCALAR ||
                 problem->alpha_mode == FOCAL_ALPHA_BACKGROUND;
    json_integer("inner", input->inner);
    json_string("activation", eval_activation_names[problem->op]);
    json_string("form", focal_form_name(problem->form));
    json_number_if("gamma", problem->gamma, problem->gamma_mode != FOCAL_GAMMA_PER_CLASS);
    json_number_if("alpha", problem->alpha, scalar);
    json_integer_if("background", problem->background,
                    problem->label_flags & FOCAL_LABEL_BACKGROUND);
    json_integer_if("ignore", problem->ignore, problem->label_flags & FOCAL_LABEL_IGNORE);
    json_number("smoothing", problem->smoothing);
}

static void print_json(const eval_request *request, const eval_input *input,
                       const eval_result *result) {
    json_open(NULL, '{');
    json_string("library_version", focal_version());
    json_file("logits", &input->logits);
    json_file("targets", &input->targets);
    json_string("target_kind", target_word(input));
    json_integer("rows", input->rows);
    json_integer("classes", input->classes);
    json_problem(&request->problem, input);
    json_string("reduction", eval_reduction_names[request->reduction]);
    json_string("tier", request->tier_name);
    json_string("isa", result->isa);
    json_string("plan", result->plan);
    json_integer("threads", request->threads);
    int match = request->problem.form == FOCAL_FORM_MATCH;
    int divided = request->problem.normalizer != FOCAL_NORMALIZER_NONE;
    const focal_sums *sums = &result->sums;
    json_number_if("result", request->reduction == REDUCE_MEAN ? result->mean : sums->loss,
                   !match && request->reduction != REDUCE_NONE);
    json_number_if("sum", sums->loss, !match);
    json_number_if("mean", result->mean, !match && !divided);
    json_integer("losses", result->losses);
    json_integer_if("positives", result->positives, !match && result->positives >= 0);
    json_integer_if("ignored", sums->ignored,
                    request->problem.label_flags & FOCAL_LABEL_IGNORE);
    json_number_if("weight", sums->weight, !match);
    json_string("normalizer", focal_normalizer_name(request->problem.normalizer));
    json_number_if("divisor", sums->normalizer, divided);
    json_string("loss_path", request->output_paths[OUT_LOSS]);
    json_string("row_loss_path", request->output_paths[OUT_ROW_LOSS]);
    json_string("gradient_path", request->output_paths[OUT_GRADIENT]);
    json_string("hessian_path", request->output_paths[OUT_HESSIAN]);
    json_string("target_gradient_path", request->output_paths[OUT_TARGET_GRADIENT]);
    if (request->repeat && input->elements) {
        json_integer("repeat", request->repeat);
        json_number("fastest_ns_per_element", nanoseconds_per_element(input, result));
    } else {
        json_string("repeat", NULL);
        json_string("fastest_ns_per_element", NULL);
    }
    json_close('}');
}

void eval_report(const eval_request *request, const eval_input *input,
                 const eval_result *result) {
    if (request->json)
        print_json(request, input, result);
    else
        print_text(request, input, result);
}
