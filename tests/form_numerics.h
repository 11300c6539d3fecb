/* The bounds of the form kernels' double arithmetic, as docs/numerics.md states them; the only
 * place for them here. */
#ifndef FOCAL_TESTS_FORM_NUMERICS_H
#define FOCAL_TESTS_FORM_NUMERICS_H

#include <math.h>

#include "form_case.h"

static inline double form_largest_gamma(const form_case *c) {
    const focal_problem *const p = &c->problem;
    double gamma = p->gamma > p->gamma_negative ? p->gamma : p->gamma_negative;
    for (int64_t i = 0; p->class_gamma && i < p->classes; i++)
        gamma = p->class_gamma[i] > gamma ? p->class_gamma[i] : gamma;
    return gamma;
}

/* The largest finite |logit|. */
static inline double form_largest_logit(const form_case *c) {
    double most = 0.0;
    for (int i = 0; i < CASE_VALUES; i++)
        if (isfinite(c->logits[i]))
            most = fmax(most, fabs(c->logits[i]));
    return most;
}

/* The smallest power but 0 that a result may have of a base: gamma, or in target derivatives
 * gamma - 1. */
static inline double form_least_power(const form_case *c) {
    const focal_problem *const p = &c->problem;
    double least = 1.0;
    for (int64_t i = 0; i < (p->class_gamma ? p->classes : 1); i++) {
        const double gamma = p->class_gamma ? c->class_gamma[i] : p->gamma;
        least = gamma > 0.0 ? fmin(least, gamma) : least;
        least = gamma > 1.0 ? fmin(least, gamma - 1.0) : least;
    }
    return least;
}

/* Absolute: products of small numbers may underflow on their way, and beyond |x| = 708 so does
 * 1 - p_t, of which a small power would leave more. */
static inline long double form_underflow(const form_case *c) {
    const double most = form_largest_logit(c);
    if (most <= 708.0)
        return 0x1p-1060L;
    return powl(0x1p-1022L, form_least_power(c)) * 64.0L * most;
}

/* How many times larger than |a - b| are the terms of p - t (quality) or p - margin (split),
 * which tier sleef has without their low parts. */
static inline double form_cancelled(const form_case *c) {
    const focal_problem *const p = &c->problem;
    const int quality = p->form == FOCAL_FORM_QUALITY;
    double most = 1.0;
    for (int i = 0; i < CASE_VALUES && (quality || p->margin > 0.0); i++) {
        const double probability = 1.0 / (1.0 + exp(-c->logits[i]));
        double t = c->targets[i];
        if (p->smoothing_mode == FOCAL_SMOOTH_TARGET)
            t = t * (1.0 - p->smoothing) + 0.5 * p->smoothing;
        t = quality ? t : p->margin;
        if (probability != t)
            most = fmax(most, fmax(probability, t) / fabs(probability - t));
    }
    return most;
}

/* Forms with the logit, times the target's rounded complement, in an exponent. */
static inline int form_has_exponent(const focal_problem *p) {
    return p->op == FOCAL_SIGMOID &&
           (p->form == FOCAL_FORM_SCALED || p->form == FOCAL_FORM_CONFIDENCE ||
            p->form == FOCAL_FORM_STAR);
}

/* Whether the case's results are rounded to floats or less, which tier fast computes in plain doubles. */
static inline int form_is_narrow(const form_case *c) {
    const focal_problem *const p = &c->problem;
    const focal_dtype loss = p->loss_dtype ? p->loss_dtype : p->dtype;
    const focal_dtype gradient = p->gradient_dtype ? p->gradient_dtype : p->dtype;
    return loss != FOCAL_F64 && gradient != FOCAL_F64;
}

/* In ULP of double of the sum of the terms' magnitudes, before the one rounding to storage. `narrow`
 * results of tier fast: the rounding error of an exponent of size 100 is 100 ULP of its power, that of a
 * base gamma ULP. Those below the range of float, which have larger exponents, are rounded to 0. */
static inline double form_bound_ulp(const form_case *c, focal_tier tier, int narrow,
                                    long double size) {
    if (tier == FOCAL_TIER_FAST && narrow)
        return (size >= 0x1p-150L ? 512.0 : 4096.0) + 3.0 * form_largest_gamma(c);
    if (tier != FOCAL_TIER_SLEEF)
        return 12.0;
    const double gamma = form_largest_gamma(c), most = form_largest_logit(c);
    const double bound = 8.0 + 2.0 * gamma;

    /* 1 - p_t is a subnormal number, with a subnormal number's digits. */
    if (most > 708.0)
        return 0x1p53;
    return bound + (2.0 + gamma) * (form_cancelled(c) - 1.0);
}

/* What stands in the file for a Hessian of mode upper is what it must not be below. */
static inline int form_is_bound(const focal_problem *p, int which) {
    return which == OUT_HESSIAN && p->hessian_mode == FOCAL_HESSIAN_UPPER &&
           (p->op == FOCAL_SIGMOID ||
            (p->smoothing > 0.0 && p->smoothing_mode == FOCAL_SMOOTH_CROSS_ENTROPY));
}

#endif
