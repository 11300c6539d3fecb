/* The parts of `focal eval`: what was asked, what the files hold, what came out. */
#ifndef FOCAL_CLI_EVAL_H
#define FOCAL_CLI_EVAL_H

#include "npy.h"

#include <focal.h>

typedef enum eval_reduction { REDUCE_SUM, REDUCE_MEAN, REDUCE_NONE } eval_reduction;

/* In the order of the enumerations, NULL at the end. */
extern const char *const eval_activation_names[]; /* focal_op */
extern const char *const eval_reduction_names[];  /* eval_reduction */

/* Files of parameters: one value per class, then weights of rows and of elements. */
typedef enum eval_parameter {
    CLASS_ALPHA,
    CLASS_GAMMA,
    CLASS_WEIGHT,
    ROW_WEIGHT,
    ELEMENT_WEIGHT,
    PARAMETERS
} eval_parameter;

typedef enum eval_output_kind {
    OUT_LOSS,
    OUT_ROW_LOSS,
    OUT_GRADIENT,
    OUT_HESSIAN,
    OUT_TARGET_GRADIENT,
    OUTPUTS
} eval_output_kind;

/* "--class-alpha", "--grad" and the like, in the order of the enumerations. */
extern const char *const eval_parameter_options[PARAMETERS];
extern const char *const eval_output_options[OUTPUTS];

typedef struct eval_request {
    const char *logits_path, *targets_path;
    const char *parameter_paths[PARAMETERS]; /* NULL: not given */
    const char *output_paths[OUTPUTS];
    focal_problem problem; /* all but sizes, storage types, target kind and arrays */
    eval_reduction reduction;
    int has_class_axis, bf16;
    int64_t class_axis;
    focal_dtype output_dtype; /* 0: the logits' */
    double normalizer_value;
    const char *tier_name;
    const char *isa; /* NULL: the library chooses */
    int threads;     /* 0: as many as OpenMP would use */
    int64_t repeat;  /* 0: once, without timing */
    int json;
} eval_request;

/* Everything about the command line that can be judged without the files. */
int eval_parse(const char *const *values, eval_request *request);

/* The command, from the values of its options. */
int eval_run(const char *const *values);

typedef struct eval_input {
    npy_file logits, targets, parameters[PARAMETERS];
    int64_t outer, classes, inner, rows, elements;
    int axis; /* dimension of the classes; the number of dimensions for logits of one */
    int64_t selected;
    focal_target_kind target_kind;
    focal_dtype dtype, targets_dtype; /* the second 0 unless targets are dense */
    double *class_values[3];          /* the first three parameters as the library takes them */
} eval_input;

/* Opens all files and decides from their headers what they mean; reads no data. */
int eval_open(eval_input *input, const eval_request *request);

/* Reads the values per class, which the plan needs. */
int eval_load_classes(eval_input *input);

/* Reads the data and converts the targets to what target_kind says. */
int eval_load(eval_input *input);

void eval_close(eval_input *input);

/* Element `i` as a number: of floats as stored, and of integers other than u8; u64 beyond int64
 * comes out as INT64_MAX. */
double eval_number_at(const void *data, focal_dtype dtype, int64_t i);
int64_t eval_integer_at(const npy_file *file, int64_t i);

/* Reads weights of any type and makes them double or float. */
int eval_load_weights(npy_file *file, int as_double);

static inline int eval_is_label(focal_target_kind kind) {
    return kind == FOCAL_TARGET_LABEL_U8 || kind == FOCAL_TARGET_LABEL_I32 ||
           kind == FOCAL_TARGET_LABEL_I64;
}

/* The outputs: checked before the work, all written before any gets its name. */
typedef struct eval_outputs {
    output_file files[OUTPUTS];
    void *data[OUTPUTS];
    void *workspace;
} eval_outputs;

int eval_outputs_check(eval_outputs *outputs, const eval_request *request,
                       const eval_input *input);
int eval_outputs_allocate(eval_outputs *outputs, const eval_request *request,
                          const eval_input *input);
int eval_outputs_write(eval_outputs *outputs, const eval_request *request,
                       const eval_input *input);
void eval_outputs_release(eval_outputs *outputs);

typedef struct eval_result {
    focal_sums sums;
    double mean, fastest_seconds;
    int64_t losses;    /* what the mean is over */
    int64_t positives; /* -1: not counted (dense targets) */
    char isa[16];
    char *plan; /* focal_plan_describe; allocated */
} eval_result;

void eval_report(const eval_request *request, const eval_input *input,
                 const eval_result *result);

#endif
