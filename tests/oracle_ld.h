/* The focal loss and its gradient in long double, written from the formula as sums of terms of
 * one sign, so that the result is good to far beyond f32: about 2^-58 where long double has 64
 * or more significant bits, 2^-47 where it is double. Independent of the kernels: no shared
 * code. */
#ifndef FOCAL_TESTS_ORACLE_LD_H
#define FOCAL_TESTS_ORACLE_LD_H

#include <stddef.h>

/* The scale is the sum of the magnitudes of the gradient's terms, the natural unit of its
 * error: |gradient| itself for targets 0 and 1, more where the terms of a soft target cancel.
 */
typedef struct oracle_point {
    long double loss, gradient, gradient_scale;
} oracle_point;

/* Finite logit, target in [0, 1], gamma >= 0; alpha NaN means off. */
oracle_point oracle_sigmoid(double logit, double target, double gamma, double alpha);

/* 1 - p_t, and how many classes but the label have a weight exp(x - max) that f32 holds only as a
 * subnormal, if at all. */
typedef struct oracle_row {
    long double loss, not_p;
    size_t subnormal_others;
} oracle_row;

/* Logits finite or -infinity; `gradients` has one value per class, or is NULL. */
oracle_row oracle_softmax(const float *logits, size_t classes, size_t label, double gamma,
                          double alpha, long double *gradients);

/* The loss of a hard target as a function of the margin (logit, sign turned for target 0) that
 * need not be a float: for derivatives by differences. */
long double oracle_margin_loss(long double margin, double gamma);

/* One unit in the last place of f32 at `exact`: 2^-149 for everything below the normal range.
 */
double oracle_ulp(long double exact);

/* |got - exact| in units of oracle_ulp(scale); infinity if `got` is NaN, or infinite where the
 * exact value does not round to that infinity. */
double oracle_error(float got, long double exact, long double scale);

#endif
