/* Conversions of arrays. Doubles are rounded to 16 bits directly, since rounding to float on the way
 * would round twice. */
#include "convert.h"

#include <string.h>

#include "half.h"

static uint64_t bits_of_double(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double double_of(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#define DOUBLE_INFINITY UINT64_C(0x7ff0000000000000)

static uint16_t f16_of_double(double value) {
    uint64_t bits = bits_of_double(value), size = bits & ~(UINT64_C(1) << 63);
    uint64_t rounded = size + (UINT64_C(1) << 41) - 1 + (size >> 42 & 1);
    uint64_t normal = (rounded >> 42) - ((UINT64_C(1023) - 15) << 10);
    uint64_t subnormal = bits_of_double(double_of(size) + 0x1p28) - bits_of_double(0x1p28);
    uint64_t finite = size < bits_of_double(0x1p-14) ? subnormal : normal;
    uint64_t nan = 0x7e00 | (size >> 42 & 0x1ff);
    uint64_t number = size < bits_of_double(65520.0) ? finite : 0x7c00;
    return (uint16_t)(bits >> 48 & 0x8000) | (uint16_t)(size > DOUBLE_INFINITY ? nan : number);
}

static uint16_t bf16_of_double(double value) {
    uint64_t bits = bits_of_double(value), size = bits & ~(UINT64_C(1) << 63);
    uint64_t rounded = size + (UINT64_C(1) << 44) - 1 + (size >> 45 & 1);
    uint64_t normal = (rounded >> 45) - ((UINT64_C(1023) - 127) << 7);
    uint64_t subnormal = bits_of_double(double_of(size) + 0x1p-81) - bits_of_double(0x1p-81);
    uint64_t finite = size < bits_of_double(0x1p-126) ? subnormal : normal;
    uint64_t nan = 0x7fc0 | (size >> 45 & 0x3f);
    uint64_t number = size < bits_of_double(0x1.ffp127) ? finite : 0x7f80;
    return (uint16_t)(bits >> 48 & 0x8000) | (uint16_t)(size > DOUBLE_INFINITY ? nan : number);
}

static float float_of_double(double value) {
    return (float)value;
}

static double double_of_f16(uint16_t half) {
    return (double)focal_float_of_f16(half);
}

static double double_of_bf16(uint16_t upper) {
    return (double)focal_float_of_bf16(upper);
}

static double double_of_float(float value) {
    return (double)value;
}

size_t focal_dtype_size(focal_dtype dtype) {
    switch (dtype) {
#define DTYPE_SIZE(name, value, text, bytes)                                                   \
    case name:                                                                                 \
        return bytes;
        FOCAL_DTYPE_LIST(DTYPE_SIZE)
#undef DTYPE_SIZE
    case FOCAL_DTYPE_DEFAULT:
        break;
    }
    return 0;
}

#define CONVERT_ALL(source, target, convert)                                                   \
    do {                                                                                       \
        const source *restrict in = from;                                                      \
        target *restrict out = to;                                                             \
        for (size_t i = 0; i < count; i++)                                                     \
            out[i] = convert(in[i]);                                                           \
    } while (0)

focal_half_load *focal_half_loader(const focal_kernel_table *table, focal_dtype dtype) {
    return dtype == FOCAL_F16 ? table->load_f16 : dtype == FOCAL_BF16 ? table->load_bf16 : NULL;
}

focal_half_store *focal_half_storer(const focal_kernel_table *table, focal_dtype dtype) {
    return dtype == FOCAL_F16    ? table->store_f16
           : dtype == FOCAL_BF16 ? table->store_bf16
                                 : NULL;
}

void focal_load_f32(const focal_kernel_table *table, focal_dtype dtype, const void *from,
                    float *to, size_t count) {
    if (dtype == FOCAL_F16)
        table->load_f16(from, to, count);
    else if (dtype == FOCAL_BF16)
        table->load_bf16(from, to, count);
    else if (dtype == FOCAL_F64)
        CONVERT_ALL(double, float, float_of_double);
    else
        memcpy(to, from, count * sizeof *to);
}

void focal_load_f64(focal_dtype dtype, const void *from, double *to, size_t count) {
    if (dtype == FOCAL_F16)
        CONVERT_ALL(uint16_t, double, double_of_f16);
    else if (dtype == FOCAL_BF16)
        CONVERT_ALL(uint16_t, double, double_of_bf16);
    else if (dtype == FOCAL_F64)
        memcpy(to, from, count * sizeof *to);
    else
        CONVERT_ALL(float, double, double_of_float);
}

void focal_store_f32(const focal_kernel_table *table, focal_dtype dtype, const float *from,
                     void *to, size_t count) {
    if (dtype == FOCAL_F16)
        table->store_f16(from, to, count);
    else if (dtype == FOCAL_BF16)
        table->store_bf16(from, to, count);
    else if (dtype == FOCAL_F64)
        CONVERT_ALL(float, double, double_of_float);
    else
        memcpy(to, from, count * sizeof *from);
}

void focal_store_f64(focal_dtype dtype, const double *from, void *to, size_t count) {
    if (dtype == FOCAL_F16)
        CONVERT_ALL(double, uint16_t, f16_of_double);
    else if (dtype == FOCAL_BF16)
        CONVERT_ALL(double, uint16_t, bf16_of_double);
    else if (dtype == FOCAL_F64)
        memcpy(to, from, count * sizeof *from);
    else
        CONVERT_ALL(double, float, float_of_double);
}
