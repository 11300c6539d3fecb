#include "ulp.h"

#include <float.h>
#include <math.h>

/* Positions on the line: the magnitude's bits count the steps from zero. */
static int64_t position_f32(float a) {
    uint32_t bits = ulp_bits_f32(a);
    int64_t steps = (int64_t)(bits & 0x7fffffffU);
    return bits >> 31 ? -steps : steps;
}

static int64_t position_f64(double a) {
    uint64_t bits = ulp_bits_f64(a);
    int64_t steps = (int64_t)(bits & INT64_MAX);
    return bits >> 63 ? -steps : steps;
}

uint32_t ulp_distance_f32(float a, float b) {
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b) ? 0 : UINT32_MAX;
    int64_t steps = position_f32(a) - position_f32(b);
    return (uint32_t)(steps < 0 ? -steps : steps);
}

uint64_t ulp_distance_f64(double a, double b) {
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b) ? 0 : UINT64_MAX;
    uint64_t x = (uint64_t)position_f64(a), y = (uint64_t)position_f64(b);
    return position_f64(a) < position_f64(b) ? y - x : x - y;
}

double ulp_error_f32(float result, double exact) {
    float rounded = (float)exact;
    if (isnan(result) || isnan(exact))
        return isnan(result) && isnan(exact) ? 0.0 : HUGE_VAL;
    if (isinf(result) || isinf(rounded))
        return result < rounded || result > rounded ? HUGE_VAL : 0.0;
    int exponent;
    frexp((double)rounded, &exponent);
    if (exponent < FLT_MIN_EXP)
        exponent = FLT_MIN_EXP;
    return fabs((double)result - exact) * ldexp(1.0, FLT_MANT_DIG - exponent);
}

double ulp_error_f64(double result, long double exact) {
    double rounded = (double)exact;
    if (isnan(result) || isnan(exact))
        return isnan(result) && isnan(exact) ? 0.0 : HUGE_VAL;
    if (isinf(result) || isinf(rounded))
        return result < rounded || result > rounded ? HUGE_VAL : 0.0;
    int exponent;
    frexp(rounded, &exponent);
    if (exponent < DBL_MIN_EXP)
        exponent = DBL_MIN_EXP;
    return (double)ldexpl(fabsl((long double)result - exact), DBL_MANT_DIG - exponent);
}
