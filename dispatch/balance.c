/* Helpers that make class balances from counts. */
#include <math.h>

#include "focal.h"
#include "status.h"

static focal_status check(const double *counts, int64_t classes, const double *alpha,
                          focal_error *error) {
    if (classes < 0)
        return focal_fail(error, FOCAL_E_VALUE, "classes", -1, "%lld", (long long)classes);
    if (classes > 0 && (!counts || !alpha))
        return focal_fail(error, FOCAL_E_NULL, counts ? "alpha" : "counts", -1,
                          "%lld values are needed", (long long)classes);
    for (int64_t c = 0; c < classes; c++)
        if (!(counts[c] >= 1.0 && counts[c] < HUGE_VAL))
            return focal_fail(error, FOCAL_E_VALUE, "counts", c,
                              "%g of class %lld is not a finite number >= 1", counts[c],
                              (long long)c);
    return FOCAL_OK;
}

/* Scales to a mean of 1/2 and cuts to 1. */
static void scale(double *alpha, int64_t classes) {
    double sum = 0.0;
    for (int64_t c = 0; c < classes; c++)
        sum += alpha[c];
    for (int64_t c = 0; c < classes; c++)
        alpha[c] = fmin(alpha[c] * (double)classes / (2.0 * sum), 1.0);
}

focal_status focal_alpha_inverse_frequency(const double *counts, int64_t classes, double *alpha,
                                           focal_error *error) {
    focal_status status = check(counts, classes, alpha, error);
    if (status != FOCAL_OK)
        return status;
    double least = HUGE_VAL;
    for (int64_t c = 0; c < classes; c++)
        least = fmin(least, counts[c]);
    for (int64_t c = 0; c < classes; c++)
        alpha[c] = least / counts[c];
    scale(alpha, classes);
    return FOCAL_OK;
}

focal_status focal_alpha_effective_number(const double *counts, int64_t classes, double beta,
                                          double *alpha, focal_error *error) {
    focal_status status = check(counts, classes, alpha, error);
    if (status == FOCAL_OK && !(beta >= 0.0 && beta < 1.0))
        status = focal_fail(error, FOCAL_E_VALUE, "beta", -1, "%g is outside [0, 1)", beta);
    if (status != FOCAL_OK)
        return status;
    /* 1 - beta^n without the cancellation of beta near 1. */
    for (int64_t c = 0; c < classes; c++)
        alpha[c] = beta == 0.0 ? 1.0 : (1.0 - beta) / -expm1(counts[c] * log(beta));
    scale(alpha, classes);
    return FOCAL_OK;
}

double focal_prior_bias(double prior) {
    return prior > 0.0 && prior < 1.0 ? log(prior) - log1p(-prior) : NAN;
}
