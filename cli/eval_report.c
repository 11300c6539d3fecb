/* What `focal eval` prints: an aligned block, or one JSON object. */
#include "eval.h"
#include "json.h"

#include <inttypes.h>
#include <stdio.h>

static const char *target_text(const eval_input *input) {
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

static void print_text(const eval_request *request, const eval_input *input,
                       const eval_result *result) {
    print_file("logits", &input->logits, "");
    print_file("targets", &input->targets, target_text(input));
    printf("rows       %" PRId64 "\n", input->rows);
    printf("classes    %" PRId64 "\n", input->classes);
    printf("activation %s\n", eval_activation_names[request->op]);
    printf("gamma      %.9g\n", request->gamma);
    if (request->alpha_mode == FOCAL_ALPHA_OFF)
        printf("alpha      off\n");
    else
        printf("alpha      %.9g\n", request->alpha);
    printf("tier       %s\n", request->tier_name);
    printf("isa        %s\n", result->isa);
    printf("plan       %s\n", result->plan);
    printf("sum        %.17g\n", result->sum);
    printf("mean       %.17g (over %" PRId64 " %s)\n", result->mean, result->losses,
           request->op == FOCAL_SOFTMAX ? "rows" : "elements");
    if (result->positives >= 0)
        printf("positives  %" PRId64 "\n", result->positives);
    else
        printf("positives  not counted for dense targets\n");
    if (request->loss_path)
        printf("loss       written to %s\n", request->loss_path);
    if (request->gradient_path)
        printf("gradient   written to %s, of the %s\n", request->gradient_path,
               request->reduction == REDUCE_MEAN ? "mean" : "sum");
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

static void print_json(const eval_request *request, const eval_input *input,
                       const eval_result *result) {
    json_open(NULL, '{');
    json_string("library_version", focal_version());
    json_file("logits", &input->logits);
    json_file("targets", &input->targets);
    json_string("target_kind", target_word(input));
    json_integer("rows", input->rows);
    json_integer("classes", input->classes);
    json_string("activation", eval_activation_names[request->op]);
    json_number("gamma", request->gamma);
    if (request->alpha_mode == FOCAL_ALPHA_OFF)
        json_string("alpha", NULL);
    else
        json_number("alpha", request->alpha);
    if (request->has_background)
        json_integer("background", request->background);
    else
        json_string("background", NULL);
    json_string("reduction", eval_reduction_names[request->reduction]);
    json_string("tier", request->tier_name);
    json_string("isa", result->isa);
    json_string("plan", result->plan);
    json_integer("threads", request->threads);
    if (request->reduction == REDUCE_NONE)
        json_string("result", NULL);
    else
        json_number("result", request->reduction == REDUCE_SUM ? result->sum : result->mean);
    json_number("sum", result->sum);
    json_number("mean", result->mean);
    json_integer("losses", result->losses);
    if (result->positives >= 0)
        json_integer("positives", result->positives);
    else
        json_string("positives", NULL);
    json_string("loss_path", request->loss_path);
    json_string("gradient_path", request->gradient_path);
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
