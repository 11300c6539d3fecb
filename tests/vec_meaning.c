/* The meaning of every operation of vocabulary.def, one lane after the other. Only SLEEF's
 * functions are not independent: their bits can have no other source than its scalar ones. */
#include <math.h>
#include <stdint.h>
#include <string.h>

/* sleef.h declares the scalar functions with FMA under this macro alone. */
#ifndef FP_FAST_FMA
#define FP_FAST_FMA 1
#endif
#include "sleef_names.h"
#include "vec_table.h"

#define MEANING(name)                                                                          \
    static void mean_##name(void *out, const void *a, const void *b, const void *c, size_t n,  \
                            bool fused)
#define UNUSED (void)a, (void)b, (void)c, (void)n, (void)fused

/* x, y, z: the operands' lanes at i. */
#define LANES_OF(name, lanes, result_type, x_type, y_type, z_type, expression)                 \
    MEANING(name) {                                                                            \
        UNUSED;                                                                                \
        for (size_t i = 0; i < (lanes); i++) {                                                 \
            x_type x = {0};                                                                    \
            y_type y = {0};                                                                    \
            z_type z = {0};                                                                    \
            if (a)                                                                             \
                x = ((const x_type *)a)[i];                                                    \
            if (b)                                                                             \
                y = ((const y_type *)b)[i];                                                    \
            if (c)                                                                             \
                z = ((const z_type *)c)[i];                                                    \
            (void)x, (void)y, (void)z;                                                         \
            ((result_type *)out)[i] = (expression);                                            \
        }                                                                                      \
    }
#define FLOATS(name, expression)  LANES_OF(name, 16, float, float, float, float, expression)
#define DOUBLES(name, expression) LANES_OF(name, 8, double, double, double, double, expression)
#define BYTES(name, expression)                                                                \
    LANES_OF(name, 16, float, uint8_t, uint8_t, uint8_t, (expression) ? 1.0F : 0.0F)
#define FIRST(name, lanes, type)                                                               \
    MEANING(name) {                                                                            \
        UNUSED;                                                                                \
        for (size_t i = 0; i < (lanes); i++)                                                   \
            ((type *)out)[i] = i < n ? ((const type *)a)[i] : (type)0;                         \
    }
#define STORED(name, type)                                                                     \
    MEANING(name) {                                                                            \
        UNUSED;                                                                                \
        memcpy(out, a, n * sizeof(type));                                                      \
    }

MEANING(vf_set) {
    UNUSED;
    for (size_t i = 0; i < 16; i++)
        ((float *)out)[i] = *(const float *)a;
}
MEANING(vd_set) {
    UNUSED;
    for (size_t i = 0; i < 8; i++)
        ((double *)out)[i] = *(const double *)a;
}
FLOATS(vf_load, x)
FIRST(vf_load_n, 16, float)
STORED(vf_store, float)
STORED(vf_store_n, float)
BYTES(vm_load_u8, x != 0)
MEANING(vm_load_u8_n) {
    UNUSED;
    for (size_t i = 0; i < 16; i++)
        ((float *)out)[i] = i < n && ((const uint8_t *)a)[i] ? 1.0F : 0.0F;
}
BYTES(vm_first, i < n)
BYTES(vm_lane, i == n)
DOUBLES(vd_load, x)
FIRST(vd_load_n, 8, double)
STORED(vd_store, double)
STORED(vd_store_n, double)

static float with_bits(uint32_t bits) {
    float a;
    memcpy(&a, &bits, sizeof a);
    return a;
}
static uint32_t bits_of(float a) {
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}

static double with_bits64(uint64_t bits) {
    double a;
    memcpy(&a, &bits, sizeof a);
    return a;
}
static uint64_t bits_of64(double a) {
    uint64_t bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}

/* A 16-bit type: bits of the fraction and the exponent of the least normal number. */
typedef struct {
    int fraction, least;
} half_type;
static const half_type f16 = {10, -14}, bf16 = {7, -126};

static float half_value(half_type type, uint16_t bits) {
    const int special = (1 << (15 - type.fraction)) - 1;
    const int exponent = (bits & 0x7fff) >> type.fraction;
    const int fraction = bits & ((1 << type.fraction) - 1), one = 1 << type.fraction;
    double size = ldexp(one + fraction, type.least + exponent - 1 - type.fraction);
    if (exponent == special)
        size = fraction ? (double)NAN : HUGE_VAL;
    else if (exponent == 0)
        size = ldexp(fraction, type.least - type.fraction);
    return (float)copysign(size, bits & 0x8000 ? -1.0 : 1.0);
}

/* Spacings of the type, counted from the exponent's first number. */
static uint16_t half_nearest(half_type type, float a) {
    const double size = fabs((double)a);
    const int infinity = ((1 << (15 - type.fraction)) - 1) << type.fraction;
    const int sign = signbit(a) ? 0x8000 : 0;
    const int exponent =
        size > ldexp(1.0, type.least) && size < HUGE_VAL ? ilogb(size) : type.least;
    if (isnan(a))
        return (uint16_t)(sign | infinity | 1 << (type.fraction - 1) |
                          (int)(bits_of(a) & 0x7fffff) >> (23 - type.fraction));
    const double spacings =
        size < HUGE_VAL ? rint(ldexp(size, type.fraction - exponent)) : 0x1p20;
    const double number = ((exponent - type.least) << type.fraction) + spacings;
    return (uint16_t)(sign | (number < infinity ? (int)number : infinity));
}

LANES_OF(vf_load_f16, 16, float, uint16_t, float, float, half_value(f16, x))
LANES_OF(vf_load_bf16, 16, float, uint16_t, float, float, half_value(bf16, x))
LANES_OF(vf_store_f16, 16, uint16_t, float, float, float, half_nearest(f16, x))
LANES_OF(vf_store_bf16, 16, uint16_t, float, float, float, half_nearest(bf16, x))

FLOATS(vf_add, x + y)
FLOATS(vf_sub, x - y)
FLOATS(vf_mul, x *y)
FLOATS(vf_div, x / y)
FLOATS(vf_fma, fused ? fmaf(x, y, z) : (float)((double)x *(double)y + (double)z))
FLOATS(vf_sqrt, sqrtf(x))
FLOATS(vf_max, x > y ? x : y)
FLOATS(vf_min, x < y ? x : y)
FLOATS(vf_abs, with_bits(bits_of(x) & 0x7fffffffU))
FLOATS(vf_neg, with_bits(bits_of(x) ^ 0x80000000U))
FLOATS(vf_and, with_bits(bits_of(x) & bits_of(y)))
FLOATS(vf_or, with_bits(bits_of(x) | bits_of(y)))
FLOATS(vf_xor, with_bits(bits_of(x) ^ bits_of(y)))
MEANING(vf_pow2_eighths) {
    UNUSED;
    for (size_t i = 0; i < 16; i++) {
        const uint32_t eighths = bits_of(((const float *)b)[i]);
        const uint32_t root = bits_of(((const float *)a)[eighths % 8]);
        ((float *)out)[i] = with_bits(root + (eighths << 20));
    }
}
FLOATS(vm_lt, x < y ? 1.0F : 0.0F)
FLOATS(vm_eq, x == y ? 1.0F : 0.0F)
BYTES(vm_xor, (x != 0) != (y != 0))
MEANING(vm_all) {
    UNUSED;
    *(float *)out = memchr(a, 0, 16) ? 0.0F : 1.0F;
}
LANES_OF(vf_select, 16, float, uint8_t, float, float, x ? y : z)
LANES_OF(vf_drop, 16, float, uint8_t, float, float, x ? 0.0F : y)
FLOATS(vf_select_sign, signbit(x) ? y : z)

/* As a recursion over intervals with a stride, unlike the headers' halving. */
static float max_strided(const float *lane, size_t stride) {
    if (stride == 16)
        return lane[0];
    float left = max_strided(lane, 2 * stride), right = max_strided(lane + stride, 2 * stride);
    return left > right ? left : right;
}
MEANING(vf_max_lanes) {
    UNUSED;
    *(float *)out = max_strided(a, 1);
}
static double sum_strided(const double *lane, size_t stride) {
    if (stride == 8)
        return lane[0];
    return sum_strided(lane, 2 * stride) + sum_strided(lane + stride, 2 * stride);
}
MEANING(vd_sum_lanes) {
    UNUSED;
    *(double *)out = sum_strided(a, 1);
}

LANES_OF(vd_widen_low, 8, double, float, float, float, (double)x)
MEANING(vd_widen_high) {
    mean_vd_widen_low(out, (const float *)a + 8, b, c, n, fused);
}
MEANING(vf_narrow) {
    UNUSED;
    for (size_t i = 0; i < 8; i++) {
        ((float *)out)[i] = (float)((const double *)a)[i];
        ((float *)out)[i + 8] = (float)((const double *)b)[i];
    }
}
DOUBLES(vd_add, x + y)
DOUBLES(vd_sub, x - y)
DOUBLES(vd_mul, x *y)
DOUBLES(vd_div, x / y)
DOUBLES(vd_fma, fused ? fma(x, y, z) : x *y + z)
DOUBLES(vd_residual, fma(x, y, -z))
DOUBLES(vd_sqrt, sqrt(x))
DOUBLES(vd_max, x > y ? x : y)
DOUBLES(vd_min, x < y ? x : y)
DOUBLES(vd_abs, with_bits64(bits_of64(x) << 1 >> 1))
DOUBLES(vd_neg, with_bits64(bits_of64(x) ^ UINT64_C(1) << 63))
DOUBLES(vd_pow2_scale, with_bits64(bits_of64(x) + (bits_of64(y) << 52)))
DOUBLES(vd_exponent, (double)((int)(bits_of64(x) >> 52) - 1023))
DOUBLES(vd_mantissa, with_bits64(UINT64_C(1023) << 52 | bits_of64(x) << 12 >> 12))
DOUBLES(vdm_lt, x < y ? 1.0 : 0.0)
DOUBLES(vdm_eq, x == y ? 1.0 : 0.0)
MEANING(vdm_any) {
    UNUSED;
    *(double *)out = 0.0;
    for (size_t i = 0; i < 8; i++)
        if (((const double *)a)[i] < 0.0)
            *(double *)out = 1.0;
}
static double max_strided_f64(const double *lane, size_t stride) {
    if (stride == 8)
        return lane[0];
    double left = max_strided_f64(lane, 2 * stride);
    double right = max_strided_f64(lane + stride, 2 * stride);
    return left > right ? left : right;
}
MEANING(vd_max_lanes) {
    UNUSED;
    *(double *)out = max_strided_f64(a, 1);
}
DOUBLES(vd_select, x < 0.0 ? y : z)
DOUBLES(vd_select_sign, signbit(x) ? y : z)

#define SLEEF_OF(function)                                                                     \
    (fused ? FOCAL_SLEEF(function##purecfma) : FOCAL_SLEEF_PORTABLE(function##purec))
FLOATS(vf_sleef_exp, SLEEF_OF(expf1_u10)(x))
FLOATS(vf_sleef_log1p, SLEEF_OF(log1pf1_u10)(x))
FLOATS(vf_sleef_pow, SLEEF_OF(powf1_u10)(x, y))
DOUBLES(vd_sleef_exp, SLEEF_OF(expd1_u10)(x))
DOUBLES(vd_sleef_expm1, SLEEF_OF(expm1d1_u10)(x))
DOUBLES(vd_sleef_log, SLEEF_OF(logd1_u10)(x))
DOUBLES(vd_sleef_log1p, SLEEF_OF(log1pd1_u10)(x))
DOUBLES(vd_sleef_pow, SLEEF_OF(powd1_u10)(x, y))

vec_meaning *const vec_meanings[VEC_COUNT] = {
#define FOCAL_VOCABULARY(name, signature, meaning) [VEC_##name] = mean_##name,
#include "vocabulary.def"
#undef FOCAL_VOCABULARY
};
