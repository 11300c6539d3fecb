/* The inputs that every kernel of a contract is tried with. They depend on the contract, the seed
 * and `quick` alone, and need no functions of libm, so that every machine tries the same ones. */
#ifndef FOCAL_TESTS_CASES_H
#define FOCAL_TESTS_CASES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel.h"

enum { CASE_ELEMENTS_MAX = 3 * 4097, CASE_ROWS_MAX = FOCAL_BLOCK, CASE_PADDING_MAX = 19 };

typedef struct kernel_case {
    const char *part;
    size_t rows, classes;
    size_t logits_padding, gradient_padding; /* elements between rows */
    bool loss, row_loss;                     /* which outputs are asked for */
    bool in_place;                           /* the gradient replaces the logits */
    uint32_t half_steps;
    double gamma, alpha_positive, alpha_negative;
    float upstream;
    /* Without padding. */
    const float *logits;
    const float *dense;
    const uint8_t *binary;
    const int32_t *labels; /* beside `binary`: what it says as labels, or NULL */
} kernel_case;

typedef void case_visitor(const kernel_case *one, void *context);

void cases_each(const focal_kernel *kernel, uint64_t seed, bool quick, case_visitor *visit,
                void *context);

/* Length of the contract's part of a kernel's name, left of "__". */
size_t cases_contract_length(const char *name);

#endif
