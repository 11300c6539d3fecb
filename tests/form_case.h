/* A case of golden_forms.txt or golden_peers.txt: a problem with its exact inputs and what is
 * wanted of it; and its execution in strided memory of the problem's types. */
#ifndef FOCAL_TESTS_FORM_CASE_H
#define FOCAL_TESTS_FORM_CASE_H

#include <stdio.h>

#include <focal.h>

enum { CASE_VALUES = 64, CASE_NAME = 80 };

/* An exact value, and the sum of the magnitudes of its terms: the unit of its error. */
typedef struct wanted {
    long double value, size;
} wanted;

/* The output arrays of an execution. */
typedef enum {
    OUT_LOSS,
    OUT_ROW_LOSS,
    OUT_GRADIENT,
    OUT_HESSIAN,
    OUT_TARGET_GRADIENT,
    OUTS
} out;
extern const char *const out_names[OUTS];
extern const uint32_t out_flags[OUTS];

typedef struct form_case {
    char name[CASE_NAME];
    focal_problem problem; /* its arrays are those below */
    double logits[CASE_VALUES], targets[CASE_VALUES];
    int64_t labels[CASE_VALUES];
    double class_alpha[CASE_VALUES], class_gamma[CASE_VALUES], class_weight[CASE_VALUES];
    double row_weight[CASE_VALUES], element_weight[CASE_VALUES];
    size_t row_weights, element_weights;
    double upstream, normalizer; /* 0: none */
    wanted out[OUTS][CASE_VALUES];
    size_t out_count[OUTS];
    wanted sum;
    long long rows, positives, ignored;
    long double weight, divisor;
} form_case;

/* The next case; 0 at the end of the file. A line that it does not understand ends the program. */
int form_case_read(FILE *file, form_case *c);

/* What an execution gave, gathered in the order outer, class, inner; and its raw memory. */
typedef struct form_results {
    double out[OUTS][CASE_VALUES];
    focal_sums sums;
    uint64_t digest; /* of every output byte, and of the sums */
    int form_kernel; /* the plan says that it computes in double */
    int untouched;   /* padding and inputs are as they were */
    char description[512];
} form_results;

/* The type in which an output is stored, and its place in memory. */
focal_dtype form_case_dtype(const focal_problem *problem, out which);

/* Runs the case on an ISA row in a tier. A refusal is reported in `error`. */
focal_status form_case_run(const form_case *c, const char *isa, focal_tier tier,
                           form_results *results, focal_error *error);

#endif
