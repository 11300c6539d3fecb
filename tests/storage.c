#include "storage.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

storage_type storage_of(focal_dtype dtype) {
    switch (dtype) {
    case FOCAL_F64:
        return (storage_type){8, 53, -1022, 1023};
    case FOCAL_F16:
        return (storage_type){2, 11, -14, 15};
    case FOCAL_BF16:
        return (storage_type){2, 8, -126, 127};
    case FOCAL_DTYPE_DEFAULT:
    case FOCAL_F32:
        break;
    }
    return (storage_type){4, 24, -126, 127};
}

/* Sign, exponent and fraction of a 16-bit number. */
static double from_16_bits(storage_type type, uint16_t bits) {
    const int fraction_bits = type.precision - 1;
    const int exponent = bits >> fraction_bits & (2 * type.most_exponent + 1);
    const int fraction = bits & ((1 << fraction_bits) - 1);
    double value;
    if (exponent == 2 * type.most_exponent + 1)
        value = fraction ? NAN : HUGE_VAL;
    else if (exponent == 0)
        value = ldexp(fraction, type.least_exponent - fraction_bits);
    else
        value = ldexp(fraction + (1 << fraction_bits),
                      exponent - type.most_exponent - fraction_bits);
    return bits >> 15 ? -value : value;
}

static uint16_t to_16_bits(storage_type type, double value) {
    const int fraction_bits = type.precision - 1;
    const uint16_t sign = signbit(value) ? 0x8000 : 0;
    const int special = (2 * type.most_exponent + 1) << fraction_bits;
    value = fabs(value);
    if (isnan(value))
        return (uint16_t)(special | 1);
    if (isinf(value))
        return (uint16_t)(sign | special);
    if (value == 0.0)
        return sign;
    int exponent = ilogb(value);
    if (exponent < type.least_exponent)
        return (uint16_t)(sign | (int)ldexp(value, fraction_bits - type.least_exponent));
    const int fraction = (int)ldexp(value, fraction_bits - exponent) - (1 << fraction_bits);
    return (uint16_t)(sign | (exponent + type.most_exponent) << fraction_bits | fraction);
}

double storage_load(focal_dtype dtype, const void *data, int64_t index) {
    switch (dtype) {
    case FOCAL_F64:
        return ((const double *)data)[index];
    case FOCAL_F16:
    case FOCAL_BF16:
        return from_16_bits(storage_of(dtype), ((const uint16_t *)data)[index]);
    case FOCAL_DTYPE_DEFAULT:
    case FOCAL_F32:
        break;
    }
    return (double)((const float *)data)[index];
}

void storage_store(focal_dtype dtype, void *data, int64_t index, double value) {
    const storage_type type = storage_of(dtype);
    if (type.bytes == 8)
        ((double *)data)[index] = value;
    else if (type.bytes == 4)
        ((float *)data)[index] = (float)value;
    else
        ((uint16_t *)data)[index] = to_16_bits(type, value);
    const double stored = storage_load(dtype, data, index);
    if (stored != value && !isnan(value)) {
        printf("FAILED: %a is not a number of %s\n", value, focal_dtype_name(dtype));
        exit(1);
    }
}

long double storage_ulp(focal_dtype dtype, long double exact) {
    const storage_type type = storage_of(dtype);
    const long double magnitude = fabsl(exact);
    int exponent = type.least_exponent;
    if (magnitude >= ldexpl(1.0L, type.least_exponent))
        exponent = ilogbl(magnitude);
    if (exponent > type.most_exponent)
        exponent = type.most_exponent;
    return ldexpl(1.0L, exponent - (type.precision - 1));
}

long double storage_overflow(focal_dtype dtype) {
    const storage_type type = storage_of(dtype);
    return ldexpl(1.0L, type.most_exponent + 1) -
           ldexpl(1.0L, type.most_exponent - type.precision);
}
