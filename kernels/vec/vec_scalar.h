/* The vocabulary in plain C: vf is an array of 16 floats, vd of 8 doubles. It serves two rows:
 * `scalarfma` (FOCAL_SCALAR_FMA 1), the reference that defines the library's bits, and the
 * portable `scalar` for processors without fused multiply-add, whose bits differ.
 * The list of operations with their meaning stands in vocabulary.def. */
#ifndef FOCAL_VEC_SCALAR_H
#define FOCAL_VEC_SCALAR_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifndef FOCAL_SCALAR_FMA
#error "define FOCAL_SCALAR_FMA as 0 or 1 before including vec_scalar.h"
#endif

/* sleef.h declares its scalar functions with FMA only under this macro of <math.h>, which gcc's
 * flags define and clang's do not. */
#if FOCAL_SCALAR_FMA && !defined(FP_FAST_FMA)
#define FP_FAST_FMA 1
#endif

/* One copy of each body, its constant arguments passed at run time: fully specialised, these rows
 * took gcc minutes to compile. */
#define FOCAL_BODY FOCAL_SHARED

#include "half.h"
#include "sleef_names.h"
#include "vec_common.h"

#if FOCAL_SCALAR_FMA
#define SCALAR_SLEEF(function) FOCAL_SLEEF(function##purecfma)
#else
#define SCALAR_SLEEF(function) FOCAL_SLEEF_PORTABLE(function##purec)
#endif

/* Values of type vf that fit into the registers. */
enum { VEC_STEPS = 0 };

typedef struct {
    float lane[16];
} vf;
typedef struct {
    uint8_t lane[16]; /* 0 or 1 */
} vm;
typedef struct {
    double lane[8];
} vd;
typedef struct {
    uint8_t lane[8];
} vdm;

#define EACH(result, type, lanes, expression)                                                  \
    type result;                                                                               \
    for (size_t i = 0; i < (lanes); i++)                                                       \
        (result).lane[i] = (expression);                                                       \
    return result

/* Without FMA: the product of two floats is exact in double, so the compensated sums of the
 * bodies still see its low part; only the rounding of the sum differs from a fused operation.
 */
FOCAL_INLINE float scalar_fma32(float a, float b, float c) {
    return FOCAL_SCALAR_FMA ? fmaf(a, b, c) : (float)((double)a * (double)b + (double)c);
}
FOCAL_INLINE double scalar_fma64(double a, double b, double c) {
    return FOCAL_SCALAR_FMA ? fma(a, b, c) : a * b + c;
}

FOCAL_INLINE vf vf_set(float a) {
    EACH(r, vf, 16, a);
}
FOCAL_INLINE vf vf_load(const float *p) {
    EACH(r, vf, 16, p[i]);
}
FOCAL_INLINE vf vf_load_n(const float *p, size_t n) {
    EACH(r, vf, 16, i < n ? p[i] : 0.0F);
}
FOCAL_INLINE void vf_store(float *p, vf a) {
    memcpy(p, a.lane, sizeof a.lane);
}
FOCAL_INLINE void vf_store_n(float *p, vf a, size_t n) {
    memcpy(p, a.lane, n * sizeof *p);
}
FOCAL_INLINE vf vf_load_f16(const uint16_t *p) {
    EACH(r, vf, 16, focal_float_of_f16(p[i]));
}
FOCAL_INLINE vf vf_load_bf16(const uint16_t *p) {
    EACH(r, vf, 16, focal_float_of_bf16(p[i]));
}
FOCAL_INLINE void vf_store_f16(uint16_t *p, vf a) {
    for (size_t i = 0; i < 16; i++)
        p[i] = focal_f16_of_float(a.lane[i]);
}
FOCAL_INLINE void vf_store_bf16(uint16_t *p, vf a) {
    for (size_t i = 0; i < 16; i++)
        p[i] = focal_bf16_of_float(a.lane[i]);
}

FOCAL_INLINE vf vf_add(vf a, vf b) {
    EACH(r, vf, 16, a.lane[i] + b.lane[i]);
}
FOCAL_INLINE vf vf_sub(vf a, vf b) {
    EACH(r, vf, 16, a.lane[i] - b.lane[i]);
}
FOCAL_INLINE vf vf_mul(vf a, vf b) {
    EACH(r, vf, 16, a.lane[i] * b.lane[i]);
}
FOCAL_INLINE vf vf_div(vf a, vf b) {
    EACH(r, vf, 16, a.lane[i] / b.lane[i]);
}
FOCAL_INLINE vf vf_fma(vf a, vf b, vf c) {
    EACH(r, vf, 16, scalar_fma32(a.lane[i], b.lane[i], c.lane[i]));
}
FOCAL_INLINE vf vf_sqrt(vf a) {
    EACH(r, vf, 16, sqrtf(a.lane[i]));
}
FOCAL_INLINE vf vf_max(vf a, vf b) {
    EACH(r, vf, 16, a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]);
}
FOCAL_INLINE vf vf_min(vf a, vf b) {
    EACH(r, vf, 16, a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]);
}
FOCAL_INLINE vf vf_abs(vf a) {
    EACH(r, vf, 16, fabsf(a.lane[i]));
}
FOCAL_INLINE vf vf_neg(vf a) {
    EACH(r, vf, 16, -a.lane[i]);
}
FOCAL_INLINE uint32_t scalar_bits32(float a) {
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}
FOCAL_INLINE float scalar_from_bits32(uint32_t bits) {
    float a;
    memcpy(&a, &bits, sizeof a);
    return a;
}
FOCAL_INLINE vf vf_and(vf a, vf b) {
    EACH(r, vf, 16, scalar_from_bits32(scalar_bits32(a.lane[i]) & scalar_bits32(b.lane[i])));
}
FOCAL_INLINE vf vf_or(vf a, vf b) {
    EACH(r, vf, 16, scalar_from_bits32(scalar_bits32(a.lane[i]) | scalar_bits32(b.lane[i])));
}
FOCAL_INLINE vf vf_xor(vf a, vf b) {
    EACH(r, vf, 16, scalar_from_bits32(scalar_bits32(a.lane[i]) ^ scalar_bits32(b.lane[i])));
}

FOCAL_INLINE vf vf_pow2_eighths(const float *eight, vf magic) {
    EACH(r, vf, 16,
         scalar_from_bits32(scalar_bits32(eight[scalar_bits32(magic.lane[i]) & 7]) +
                            (scalar_bits32(magic.lane[i]) << 20)));
}

FOCAL_INLINE vm vm_lt(vf a, vf b) {
    EACH(r, vm, 16, a.lane[i] < b.lane[i]);
}
FOCAL_INLINE vm vm_eq(vf a, vf b) {
    EACH(r, vm, 16, a.lane[i] == b.lane[i]);
}
FOCAL_INLINE vm vm_xor(vm a, vm b) {
    EACH(r, vm, 16, a.lane[i] != b.lane[i]);
}
FOCAL_INLINE vm vm_first(size_t n) {
    EACH(r, vm, 16, i < n);
}
FOCAL_INLINE vm vm_lane(size_t k) {
    EACH(r, vm, 16, i == k);
}
FOCAL_INLINE vm vm_load_u8(const uint8_t *p) {
    EACH(r, vm, 16, p[i] != 0);
}
FOCAL_INLINE vm vm_load_u8_n(const uint8_t *p, size_t n) {
    EACH(r, vm, 16, i < n && p[i] != 0);
}
FOCAL_INLINE bool vm_all(vm m) {
    uint8_t all = 1;
    for (size_t i = 0; i < 16; i++)
        all &= m.lane[i];
    return all;
}
FOCAL_INLINE vf vf_select(vm m, vf a, vf b) {
    EACH(r, vf, 16, m.lane[i] ? a.lane[i] : b.lane[i]);
}
FOCAL_INLINE vf vf_drop(vm m, vf a) {
    EACH(r, vf, 16, m.lane[i] ? 0.0F : a.lane[i]);
}
FOCAL_INLINE vf vf_select_sign(vf a, vf b, vf c) {
    EACH(r, vf, 16, scalar_bits32(a.lane[i]) >> 31 ? b.lane[i] : c.lane[i]);
}
/* The same pairs as the wide rows, though only the sign of a zero could tell. */
FOCAL_INLINE float vf_max_lanes(vf a) {
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            a.lane[i] = a.lane[i] > a.lane[i + half] ? a.lane[i] : a.lane[i + half];
    return a.lane[0];
}

FOCAL_INLINE vd vd_set(double a) {
    EACH(r, vd, 8, a);
}
FOCAL_INLINE vd vd_load(const double *p) {
    EACH(r, vd, 8, p[i]);
}
FOCAL_INLINE vd vd_load_n(const double *p, size_t n) {
    EACH(r, vd, 8, i < n ? p[i] : 0.0);
}
FOCAL_INLINE void vd_store(double *p, vd a) {
    memcpy(p, a.lane, sizeof a.lane);
}
FOCAL_INLINE void vd_store_n(double *p, vd a, size_t n) {
    memcpy(p, a.lane, n * sizeof *p);
}
FOCAL_INLINE vd vd_widen_low(vf a) {
    EACH(r, vd, 8, (double)a.lane[i]);
}
FOCAL_INLINE vd vd_widen_high(vf a) {
    EACH(r, vd, 8, (double)a.lane[i + 8]);
}
FOCAL_INLINE vf vf_narrow(vd low, vd high) {
    EACH(r, vf, 16, (float)(i < 8 ? low.lane[i % 8] : high.lane[i % 8]));
}
FOCAL_INLINE vd vd_add(vd a, vd b) {
    EACH(r, vd, 8, a.lane[i] + b.lane[i]);
}
FOCAL_INLINE vd vd_sub(vd a, vd b) {
    EACH(r, vd, 8, a.lane[i] - b.lane[i]);
}
FOCAL_INLINE vd vd_mul(vd a, vd b) {
    EACH(r, vd, 8, a.lane[i] * b.lane[i]);
}
FOCAL_INLINE vd vd_div(vd a, vd b) {
    EACH(r, vd, 8, a.lane[i] / b.lane[i]);
}
FOCAL_INLINE vd vd_fma(vd a, vd b, vd c) {
    EACH(r, vd, 8, scalar_fma64(a.lane[i], b.lane[i], c.lane[i]));
}
/* The function of the C library fuses without the instruction, too, slowly. */
FOCAL_INLINE vd vd_residual(vd a, vd b, vd c) {
    EACH(r, vd, 8, fma(a.lane[i], b.lane[i], -c.lane[i]));
}
FOCAL_INLINE vd vd_sqrt(vd a) {
    EACH(r, vd, 8, sqrt(a.lane[i]));
}
FOCAL_INLINE vd vd_min(vd a, vd b) {
    EACH(r, vd, 8, a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]);
}
FOCAL_INLINE vd vd_max(vd a, vd b) {
    EACH(r, vd, 8, a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]);
}
FOCAL_INLINE vd vd_abs(vd a) {
    EACH(r, vd, 8, fabs(a.lane[i]));
}
FOCAL_INLINE vd vd_neg(vd a) {
    EACH(r, vd, 8, -a.lane[i]);
}
FOCAL_INLINE uint64_t scalar_bits64(double a) {
    uint64_t bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}
FOCAL_INLINE double scalar_from_bits64(uint64_t bits) {
    double a;
    memcpy(&a, &bits, sizeof a);
    return a;
}
FOCAL_INLINE vd vd_pow2_scale(vd a, vd magic) {
    EACH(r, vd, 8,
         scalar_from_bits64(scalar_bits64(a.lane[i]) + (scalar_bits64(magic.lane[i]) << 52)));
}
FOCAL_INLINE vd vd_exponent(vd a) {
    EACH(r, vd, 8, (double)(scalar_bits64(a.lane[i]) >> 52) - 1023.0);
}
FOCAL_INLINE vd vd_mantissa(vd a) {
    EACH(r, vd, 8,
         scalar_from_bits64((scalar_bits64(a.lane[i]) & 0x000FFFFFFFFFFFFF) |
                            scalar_bits64(1.0)));
}
FOCAL_INLINE vdm vdm_lt(vd a, vd b) {
    EACH(r, vdm, 8, a.lane[i] < b.lane[i]);
}
FOCAL_INLINE vdm vdm_eq(vd a, vd b) {
    EACH(r, vdm, 8, a.lane[i] == b.lane[i]);
}
FOCAL_INLINE bool vdm_any(vdm m) {
    uint8_t any = 0;
    for (size_t i = 0; i < 8; i++)
        any |= m.lane[i];
    return any;
}
FOCAL_INLINE vd vd_select(vdm m, vd a, vd b) {
    EACH(r, vd, 8, m.lane[i] ? a.lane[i] : b.lane[i]);
}
FOCAL_INLINE vd vd_select_sign(vd a, vd b, vd c) {
    EACH(r, vd, 8, scalar_bits64(a.lane[i]) >> 63 ? b.lane[i] : c.lane[i]);
}
FOCAL_INLINE double vd_max_lanes(vd a) {
    for (size_t half = 4; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            a.lane[i] = a.lane[i] > a.lane[i + half] ? a.lane[i] : a.lane[i + half];
    return a.lane[0];
}
FOCAL_INLINE double vd_sum_lanes(vd a) {
    for (size_t half = 4; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            a.lane[i] += a.lane[i + half];
    return a.lane[0];
}

FOCAL_INLINE vf vf_sleef_exp(vf a) {
    EACH(r, vf, 16, SCALAR_SLEEF(expf1_u10)(a.lane[i]));
}
FOCAL_INLINE vf vf_sleef_log1p(vf a) {
    EACH(r, vf, 16, SCALAR_SLEEF(log1pf1_u10)(a.lane[i]));
}
FOCAL_INLINE vf vf_sleef_pow(vf a, vf b) {
    EACH(r, vf, 16, SCALAR_SLEEF(powf1_u10)(a.lane[i], b.lane[i]));
}
FOCAL_INLINE vd vd_sleef_exp(vd a) {
    EACH(r, vd, 8, SCALAR_SLEEF(expd1_u10)(a.lane[i]));
}
FOCAL_INLINE vd vd_sleef_expm1(vd a) {
    EACH(r, vd, 8, SCALAR_SLEEF(expm1d1_u10)(a.lane[i]));
}
FOCAL_INLINE vd vd_sleef_log(vd a) {
    EACH(r, vd, 8, SCALAR_SLEEF(logd1_u10)(a.lane[i]));
}
FOCAL_INLINE vd vd_sleef_log1p(vd a) {
    EACH(r, vd, 8, SCALAR_SLEEF(log1pd1_u10)(a.lane[i]));
}
FOCAL_INLINE vd vd_sleef_pow(vd a, vd b) {
    EACH(r, vd, 8, SCALAR_SLEEF(powd1_u10)(a.lane[i], b.lane[i]));
}

#undef EACH
#endif
