/* Distances between floating-point numbers, and bits in which all NaNs are one. */
#ifndef FOCAL_TESTS_ULP_H
#define FOCAL_TESTS_ULP_H

#include <stdint.h>
#include <string.h>

/* The number's bits; every NaN gives the same ones, since which NaN comes out is not specified. */
static inline uint32_t ulp_bits_f32(float a) {
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    return (bits & 0x7fffffffU) > 0x7f800000U ? 0x7fc00000U : bits;
}

static inline uint64_t ulp_bits_f64(double a) {
    uint64_t bits;
    memcpy(&bits, &a, sizeof bits);
    return (bits & INT64_MAX) > UINT64_C(0x7ff0000000000000) ? UINT64_C(0x7ff8000000000000)
                                                             : bits;
}

static inline float ulp_from_bits_f32(uint32_t bits) {
    float a;
    memcpy(&a, &bits, sizeof a);
    return a;
}

static inline double ulp_from_bits_f64(uint64_t bits) {
    double a;
    memcpy(&a, &bits, sizeof a);
    return a;
}

/* Steps from a to b on the line of all floats, on which -0 and +0 are one point and infinity
 * follows the largest number. Two NaNs have distance 0, a NaN and a number the largest one. */
uint32_t ulp_distance_f32(float a, float b);
uint64_t ulp_distance_f64(double a, double b);

/* |result - exact| in units of the last place that a result of that size has. Infinite when only
 * one of the two is a NaN or (after rounding) an infinity, or when the infinities differ. */
double ulp_error_f32(float result, double exact);
double ulp_error_f64(double result, long double exact);

#endif
