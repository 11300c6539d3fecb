/* What a form kernel is: it computes every form of the op (docs/forms.md) on one run of elements
 * in double precision, whatever the storage type. The plain forms of f32 have kernels of their own
 * (kernel.h); these serve the rest, and f64. The caller gathers runs into contiguous doubles,
 * expands parameters to one value per element, and rounds the results to their storage type once.
 * Kernels never fail. */
#ifndef FOCAL_KERNEL_FORM_H
#define FOCAL_KERNEL_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "kernel.h"

/* Elements of a run. A row of more classes is several runs. */
enum { FORM_RUN = 512 };

/* The sigmoid formulas, as focal_form of focal.h. */
typedef enum {
    KERNEL_FORM_FOCAL,
    KERNEL_FORM_SPLIT,
    KERNEL_FORM_SCALED,
    KERNEL_FORM_CONFIDENCE,
    KERNEL_FORM_QUALITY,
    KERNEL_FORM_VARIFOCAL,
    KERNEL_FORM_STAR,
    KERNEL_FORM_MATCH,
} focal_kernel_form;

typedef enum {
    KERNEL_HESSIAN_EXACT,
    KERNEL_HESSIAN_ABSOLUTE,
    KERNEL_HESSIAN_UPPER
} focal_kernel_hessian;

/* The steps of a softmax row, in this order; each runs over all runs of the row before the next. */
typedef enum {
    FORM_ROW_MAX,    /* row->most and row->most_at */
    FORM_ROW_OTHERS, /* row->others */
    FORM_ROW_TERMS,  /* adds the run's terms to row->loss, ->slope, ->curvature */
    FORM_ROW_RESULTS /* gradient, Hessian and target gradient of the run's elements */
} focal_form_step;

/* What a softmax row carries from run to run. The caller sets it to zeros with most = -infinity. */
typedef struct {
    double most;               /* greatest logit that is not NaN */
    size_t most_at;            /* index in the row of its first occurrence */
    double others, others_low; /* sum of exp(x_c - most) over c != most_at, in two doubles */
    double amount;             /* sum of w_c t_c: where it is 0 so is everything */
    /* Sum of w_c t_c (1 - p_c)^gamma_c (-log p_c), or as smooth_cross_entropy says. */
    double loss;
    /* Sums of w_c t_c b_c, b_c = p_c f'(p_c), for the gradient, and of w_c t_c p_c b_c', for the
     * Hessian, over c != most_at, and their terms of most_at. With smooth_cross_entropy slope is
     * the cross-entropy. */
    double slope, slope_most;
    double curvature, curvature_most;
    /* With smooth_cross_entropy: the label, whose p_t makes the modulating factor. */
    size_t label;
    double label_logit;
    double gamma, weight; /* of the label: gamma_c, and alpha times weights */
} focal_form_row;

/* One run. Arrays have `count` elements and do not overlap, but `gradient` may be any of the input
 * arrays. Arrays marked (may be NULL) are then not wanted. */
typedef struct focal_form_span {
    size_t count; /* 1 ... FORM_RUN */
    const double *logits;
    /* In [0, 1], not smoothed; softmax with a label: 1 there, 0 elsewhere. */
    const double *targets;
    /* alpha of target 1 and of target 0 (1 and 1 without alpha; alpha itself of VARIFOCAL's
     * negatives; softmax uses the first), gamma of the positive and the negative part (softmax and
     * all forms but SPLIT and MATCH use the first), all weights multiplied. */
    const double *alpha_positive, *alpha_negative, *gamma_positive, *gamma_negative, *weight;
    double margin, star_beta, poly_epsilon;
    double smoothing; /* in [0, 1) */
    /* Modulating factor and alpha from `targets`, cross-entropy from the smoothed ones. */
    bool smooth_cross_entropy;
    size_t classes; /* of the row, for softmax's smoothing */
    /* Gammas of the run: all equal to this, or NaN if they differ. Lets 0, 1, 2 and half-integers
     * go by products. */
    double gamma_uniform;
    /* Results are rounded to floats or less: sigmoid's kernel of tier fast then goes through plain
     * doubles. That of softmax always does, and is for such spans alone. */
    bool narrow;
    /* The focal form with one alpha, not 0, for each target, 2 gamma_uniform in {0, 1, 2, 3, 4}, and
     * neither weights, smoothing, poly_epsilon nor target gradient: kernels of tier fast then read
     * the first element of alpha_positive and alpha_negative, and of gammas and weights nothing. */
    bool plain;
    const uint8_t *binary; /* plain: 0/1 targets instead of `targets`, or NULL */
    focal_kernel_form form;
    focal_kernel_hessian hessian_mode;
    double hessian_floor; /* 0: none. Applied before `scale` */
    double scale; /* multiplies gradient, Hessian, target gradient: upstream over normalizer */
    double *loss; /* (may be NULL); not scaled */
    double *gradient;        /* (may be NULL) */
    double *hessian;         /* (may be NULL) */
    double *target_gradient; /* (may be NULL) d loss / d targets[i] */
    double sum; /* out, sigmoid: sum of the run's losses, 8 lanes x 2 steps in a fixed tree */
    /* Softmax */
    focal_form_step step;
    size_t first; /* index in the row of the run's first element */
    focal_form_row *row;
} focal_form_span;

typedef void focal_form_function(focal_form_span *span);

/* One form kernel of an ISA row: op and tier (KERNEL_SLEEF calls SLEEF; KERNEL_ACCURATE is the
 * library's own; KERNEL_FAST computes plain and narrow spans otherwise, and all else as that). */
typedef struct focal_form_kernel {
    const char *name; /* focal_f64_<op>_form_<tier>__<isa>_u16 */
    focal_kernel_op op;
    focal_kernel_tier tier;
    focal_form_function *function;
} focal_form_kernel;

#endif
