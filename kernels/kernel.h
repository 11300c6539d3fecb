/* What a kernel is: the coordinates that name it, the span of memory it works on, its table
 * row. Kernels compute one block (at most FOCAL_BLOCK elements, or one softmax row) and never
 * fail. */
#ifndef FOCAL_KERNEL_H
#define FOCAL_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Elements that share one partial sum. Part of the numerics contract: never tuned. */
#define FOCAL_BLOCK 4096

/* Classes that a softmax kernel takes as columns: one run of partial sums. */
#define FOCAL_COLUMN_CLASSES 256

/* Coordinates: together they are a kernel's contract and spell its name in kernels.def. */
typedef enum { KERNEL_SIGMOID, KERNEL_SOFTMAX } focal_kernel_op;
typedef enum { KERNEL_DENSE, KERNEL_BINARY, KERNEL_LABEL } focal_kernel_target;
typedef enum { KERNEL_LOSS, KERNEL_GRADIENT, KERNEL_BOTH } focal_kernel_direction;
typedef enum { KERNEL_SLEEF, KERNEL_FAST, KERNEL_ACCURATE } focal_kernel_tier;

/* How (1 - p_t)^gamma is formed; fixed when the plan is made, so that no loop asks. */
typedef enum {
    KERNEL_G0, /* gamma = 0: the factor is 1, cross-entropy */
    KERNEL_G1, /* gamma = 1 */
    KERNEL_G2, /* gamma = 2 */
    KERNEL_GH, /* other half-integers up to FOCAL_HALF_STEPS_MAX: products and one square root
                */
    KERNEL_GX, /* any gamma: exponential of gamma times log(1 - p_t) */
} focal_gamma_class;

/* 2 gamma up to which KERNEL_GH is used: 0.5 and 1.5. Products multiply the error of 1 - p_t:
 * the gradient at 2.5 is off by up to 10.2 ULP that way and by 4.6 through KERNEL_GX. */
#define FOCAL_HALF_STEPS_MAX 3

/* `count` elements; the arrays may not overlap. */
typedef void focal_half_load(const uint16_t *restrict from, float *restrict to, size_t count);
typedef void focal_half_store(const float *restrict from, uint16_t *restrict to, size_t count);

/* 16-bit elements behind float arrays of a sigmoid span: logits and targets, loss and gradient. The kernel
 * converts them run by run, so that memory delivers one run while another is computed. */
typedef struct focal_halves {
    size_t loads, stores;
    struct focal_half_input {
        const uint16_t *from;
        float *to;
        focal_half_load *load;
    } in[2];
    struct focal_half_output {
        const float *from;
        uint16_t *to;
        focal_half_store *store;
    } out[2];
} focal_halves;

typedef struct focal_span {
    const float *logits;
    const void *targets; /* dense: float, binary: uint8_t 0/1, one per element */
    /* Label: one per row, each in [0, classes). Binary without `targets`: the class of each row whose
     * target is 1, or a negative number for none. */
    const int32_t *labels;
    float *loss;          /* sigmoid: one per element, or NULL */
    float *row_loss;      /* one per row, or NULL; sigmoid needs `loss` then */
    float *gradient;      /* one per element; may be the logits themselves */
    size_t rows, classes; /* sigmoid: the elements are rows * classes contiguous ones */
    size_t logits_stride; /* softmax: elements between rows */
    size_t gradient_stride;
    /* Softmax, tier fast: the rows are adjacent and the strides between classes, of which there are at
     * most FOCAL_COLUMN_CLASSES; a negative label skips its row. */
    bool columns;
    uint32_t half_steps; /* 2 gamma, for KERNEL_GH */
    double gamma;
    double alpha_positive; /* alpha_t of target 1 (of every row for softmax); 1 without alpha */
    double alpha_negative; /* alpha_t of target 0 */
    /* Softmax, tier fast: what row r has instead of alpha_positive, up to a multiple of 8 rows; or
     * NULL. */
    const double *row_factors;
    /* Softmax, tier fast: of the cross-entropy, in [0, 1), for two classes and more. */
    double smoothing;
    const focal_halves *halves; /* sigmoid: or NULL */
    float upstream;             /* multiplies the gradient */
    double sum;                 /* out: sum of the span's losses */
} focal_span;

typedef void focal_kernel_function(focal_span *span);

/* Multiplies a sigmoid span's loss and gradient, as far as they are not NULL, by a weight for each
 * element, and makes its sum and row losses anew. */
typedef void focal_weigh_function(focal_span *span, const float *weights);

typedef struct focal_kernel {
    const char *name;
    focal_kernel_op op;
    focal_kernel_target target;
    focal_kernel_direction direction;
    focal_gamma_class gamma_class;
    focal_kernel_tier tier;
    uint32_t unroll; /* elements per iteration */
    focal_kernel_function *function;
} focal_kernel;

struct focal_form_kernel; /* form.h */

/* All kernels of one ISA row: the one symbol that its object exports. */
typedef struct focal_kernel_table {
    const char *isa;
    size_t count;
    const focal_kernel *kernels;
    size_t form_count;
    const struct focal_form_kernel *forms;
    focal_weigh_function *weigh;
    focal_half_load *load_f16, *load_bf16;
    focal_half_store *store_f16, *store_bf16;
} focal_kernel_table;

#define FOCAL_ISA_ROW(isa, needs) extern const focal_kernel_table focal_kernels_##isa;
#include "isas.def"
#undef FOCAL_ISA_ROW

#endif
