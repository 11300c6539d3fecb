/* Storage types as the standards define them, for tests: exact values in and out, and how far
 * apart neighbours are. Shares nothing with the library's own conversions. */
#ifndef FOCAL_TESTS_STORAGE_H
#define FOCAL_TESTS_STORAGE_H

#include <focal.h>

/* Precision in bits, exponent of the smallest normal number, exponent of the largest one. */
typedef struct storage_type {
    size_t bytes;
    int precision, least_exponent, most_exponent;
} storage_type;

/* 0 is f32, as in focal_problem.dtype. */
storage_type storage_of(focal_dtype dtype);

double storage_load(focal_dtype dtype, const void *data, int64_t index);
/* The value must be one that the type holds, or the program ends: inputs of tests are exact. */
void storage_store(focal_dtype dtype, void *data, int64_t index, double value);

/* The distance of neighbours around `exact`, of the subnormal ones below the normal range. */
long double storage_ulp(focal_dtype dtype, long double exact);
/* From here on numbers round to infinity. */
long double storage_overflow(focal_dtype dtype);

#endif
