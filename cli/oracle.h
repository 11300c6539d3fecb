/* The exact focal loss of a hard target, in f64, for judging f32 results.
 *
 * Written from the formula as sums and products of terms of one sign, on the C library's exp
 * and log1p, each good to 1 ULP of f64: nothing is shared with the kernels or with SLEEF. The
 * relative error is below 2^-44 wherever the value is normal in f32: of the exponent gamma S,
 * which stays below 104 there, 2 roundings reach the power. tests/test_verify_oracle.c holds
 * that against long double and against the golden values of mpmath. */
#ifndef FOCAL_CLI_ORACLE_H
#define FOCAL_CLI_ORACLE_H

/* Relative error bound, and with it how near a result may come to a rounding boundary before
 * its side cannot be told. */
#define ORACLE_ERROR 0x1p-44

/* Without alpha. The gradient is by the margin's magnitude: for the right side (the logit
 * speaks for the target) and the wrong side alike, the true one is -y times it, y = 1 for
 * target 1 and -1 for target 0. */
typedef struct oracle_value {
    double loss, gradient;
} oracle_value;

typedef struct oracle_sides {
    oracle_value right, wrong;
} oracle_sides;

/* magnitude = |logit|, not NaN, infinity gives the limits; gamma finite and >= 0. */
oracle_sides oracle_focal(double magnitude, double gamma);

#endif
