/* The parts of `focal eval`: what was asked, what the files hold, what came out. */
#ifndef FOCAL_CLI_EVAL_H
#define FOCAL_CLI_EVAL_H

#include "npy.h"

#include <focal.h>

typedef enum eval_reduction { REDUCE_SUM, REDUCE_MEAN, REDUCE_NONE } eval_reduction;

/* In the order of the enumerations, NULL at the end. */
extern const char *const eval_activation_names[]; /* focal_op */
extern const char *const eval_reduction_names[];  /* eval_reduction */

typedef struct eval_request {
    const char *logits_path, *targets_path, *loss_path,
        *gradient_path; /* the last two or NULL */
    focal_op op;
    double gamma, alpha;
    focal_alpha_mode alpha_mode;
    eval_reduction reduction;
    focal_tier tier;
    const char *tier_name;
    const char *isa; /* NULL: the library chooses */
    int threads;     /* 0: as many as OpenMP would use */
    int has_background;
    int64_t background;
    int64_t repeat; /* 0: once, without timing */
    int json;
} eval_request;

typedef struct eval_input {
    npy_file logits, targets;
    int64_t rows, classes, elements;
    focal_target_kind target_kind;
} eval_input;

/* Opens both files and decides from their headers what they mean; reads no data. */
int eval_open(eval_input *input, const eval_request *request);

/* Reads the data and converts the targets to what target_kind says. */
int eval_load(eval_input *input);

void eval_close(eval_input *input);

typedef struct eval_result {
    double sum, mean, fastest_seconds;
    int64_t losses;    /* what the mean is over */
    int64_t positives; /* -1: not counted (dense targets) */
    char isa[16];
    char *plan; /* focal_plan_describe; allocated */
} eval_result;

void eval_report(const eval_request *request, const eval_input *input,
                 const eval_result *result);

#endif
