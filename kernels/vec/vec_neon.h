/* The vocabulary on AArch64's Advanced SIMD: vf is 16 floats in four registers, vd is 8 doubles
 * in four. The list of operations with their meaning stands in vocabulary.def. */
#ifndef FOCAL_VEC_NEON_H
#define FOCAL_VEC_NEON_H

#include <arm_neon.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sleef_names.h"
#include "vec_common.h"

/* Values of type vf that fit into the registers. */
enum { VEC_STEPS = 8 };

typedef struct {
    float32x4_t part[4];
} vf;
typedef struct {
    uint32x4_t part[4];
} vm;
typedef struct {
    float64x2_t part[4];
} vd;
typedef struct {
    uint64x2_t part[4];
} vdm;

/* The same expression for each of the four registers; constant indices, so no loop remains. */
#define EACH(type, f) ((type){{f(0), f(1), f(2), f(3)}})

FOCAL_INLINE vf vf_set(float a) {
    float32x4_t v = vdupq_n_f32(a);
    return (vf){{v, v, v, v}};
}
FOCAL_INLINE vf vf_load(const float *p) {
#define F(i) vld1q_f32(p + 4 * (i))
    return EACH(vf, F);
#undef F
}
/* Advanced SIMD has no masked memory access: partial steps go through the stack. */
FOCAL_INLINE vf vf_load_n(const float *p, size_t n) {
    float padded[16] = {0};
    memcpy(padded, p, n * sizeof *p);
    return vf_load(padded);
}
FOCAL_INLINE void vf_store(float *p, vf a) {
    for (size_t i = 0; i < 4; i++)
        vst1q_f32(p + 4 * i, a.part[i]);
}
FOCAL_INLINE void vf_store_n(float *p, vf a, size_t n) {
    float padded[16];
    vf_store(padded, a);
    memcpy(p, padded, n * sizeof *p);
}
/* Rounded as FPCR says, which is to nearest by default; it flushes no 16-bit number. */
FOCAL_INLINE vf vf_load_f16(const uint16_t *p) {
    float16x8_t low = vreinterpretq_f16_u16(vld1q_u16(p));
    float16x8_t high = vreinterpretq_f16_u16(vld1q_u16(p + 8));
    return (vf){{vcvt_f32_f16(vget_low_f16(low)), vcvt_high_f32_f16(low),
                 vcvt_f32_f16(vget_low_f16(high)), vcvt_high_f32_f16(high)}};
}
FOCAL_INLINE void vf_store_f16(uint16_t *p, vf a) {
    float16x8_t low = vcvt_high_f16_f32(vcvt_f16_f32(a.part[0]), a.part[1]);
    float16x8_t high = vcvt_high_f16_f32(vcvt_f16_f32(a.part[2]), a.part[3]);
    vst1q_u16(p, vreinterpretq_u16_f16(low));
    vst1q_u16(p + 8, vreinterpretq_u16_f16(high));
}
FOCAL_INLINE vf vf_load_bf16(const uint16_t *p) {
#define F(i) vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p + 4 * (i)), 16))
    return EACH(vf, F);
#undef F
}
FOCAL_INLINE uint16x4_t neon_bf16(float32x4_t a) {
    uint32x4_t bits = vreinterpretq_u32_f32(a);
    uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
    uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    return vshrn_n_u32(vbslq_u32(vceqq_f32(a, a), rounded, quiet), 16);
}
FOCAL_INLINE void vf_store_bf16(uint16_t *p, vf a) {
    for (size_t i = 0; i < 4; i++)
        vst1_u16(p + 4 * i, neon_bf16(a.part[i]));
}

FOCAL_INLINE vf vf_add(vf a, vf b) {
#define F(i) vaddq_f32(a.part[i], b.part[i])
    return EACH(vf, F);
#undef F
}
FOCAL_INLINE vf vf_sub(vf a, vf b) {
#define F(i) vsubq_f32(a.part[i], b.part[i])
    return EACH(vf, F);
#undef F
}
FOCAL_INLINE vf vf_mul(vf a, vf b) {
#define F(i) vmulq_f32(a.part[i], b.part[i])
    return EACH(vf, F);
#undef F
}
FOCAL_INLINE vf vf_div(vf a, vf b) {
#define F(i) vdivq_f32(a.part[i], b.part[i])
    return EACH(vf, F);
#undef F
}
FOCAL_INLINE vf vf_fma(vf a, vf b, vf c) {
#define F(i) vfmaq_f32(c.part[i], a.part[i], b.part[i])
    return EACH(vf, F);
#undef F
}
FOCAL_INLINE vf vf_sqrt(vf a) {
#define F(i) vsqrtq_f32(a.part[i])
    return EACH(vf, F);
#undef F
}
/* Compare and select, not vmaxq: that one returns NaN where the vocabulary wants b. */
FOCAL_INLINE vf vf_max(vf a, vf b) {
#define F(i) vbslq_f32(vcgtq_f32(a.part[i], b.part[i]), a.part[i], b.part[i])
    return EACH(vf, F);
#undef F
}
FOCAL_INLINE vf vf_min(vf a, vf b) {
#define F(i) vbslq_f32(vcltq_f32(a.part[i], b.part[i]), a.part[i], b.part[i])
    return EACH(vf, F);
#undef F
}
FOCAL_INLINE vf vf_abs(vf a) {
#define F(i) vabsq_f32(a.part[i])
    return EACH(vf, F);
#undef F
}
FOCAL_INLINE vf vf_neg(vf a) {
#define F(i) vnegq_f32(a.part[i])
    return EACH(vf, F);
#undef F
}
FOCAL_INLINE vf vf_and(vf a, vf b) {
#define F(i)                                                                                   \
    vreinterpretq_f32_u32(                                                                     \
        vandq_u32(vreinterpretq_u32_f32(a.part[i]), vreinterpretq_u32_f32(b.part[i])))
    return EACH(vf, F);
#undef F
}
FOCAL_INLINE vf vf_or(vf a, vf b) {
#define F(i)                                                                                   \
    vreinterpretq_f32_u32(                                                                     \
        vorrq_u32(vreinterpretq_u32_f32(a.part[i]), vreinterpretq_u32_f32(b.part[i])))
    return EACH(vf, F);
#undef F
}
FOCAL_INLINE vf vf_xor(vf a, vf b) {
#define F(i)                                                                                   \
    vreinterpretq_f32_u32(                                                                     \
        veorq_u32(vreinterpretq_u32_f32(a.part[i]), vreinterpretq_u32_f32(b.part[i])))
    return EACH(vf, F);
#undef F
}

/* The bytes of entry j are 4 j to 4 j + 3 of the table. It is loaded as a pair, since gcc 12 builds pairs
 * of registers in memory, for every look-up anew. */
FOCAL_INLINE float32x4_t neon_pow2_eighths(const float *eight, uint32x4_t magic) {
    uint8x16x2_t table = vld1q_u8_x2((const uint8_t *)(const void *)eight);
    uint32x4_t index = vandq_u32(magic, vdupq_n_u32(7));
    uint32x4_t bytes = vmlaq_u32(vdupq_n_u32(0x03020100U), index, vdupq_n_u32(0x04040404U));
    uint32x4_t root = vreinterpretq_u32_u8(vqtbl2q_u8(table, vreinterpretq_u8_u32(bytes)));
    return vreinterpretq_f32_u32(vaddq_u32(root, vshlq_n_u32(magic, 20)));
}
FOCAL_INLINE vf vf_pow2_eighths(const float *eight, vf magic) {
#define F(i) neon_pow2_eighths(eight, vreinterpretq_u32_f32(magic.part[i]))
    return EACH(vf, F);
#undef F
}

FOCAL_INLINE vm vm_lt(vf a, vf b) {
#define F(i) vcltq_f32(a.part[i], b.part[i])
    return EACH(vm, F);
#undef F
}
FOCAL_INLINE vm vm_eq(vf a, vf b) {
#define F(i) vceqq_f32(a.part[i], b.part[i])
    return EACH(vm, F);
#undef F
}
FOCAL_INLINE vm vm_xor(vm a, vm b) {
#define F(i) veorq_u32(a.part[i], b.part[i])
    return EACH(vm, F);
#undef F
}
FOCAL_INLINE uint32x4_t neon_lane_numbers(unsigned first) {
    static const uint32_t numbers[4] = {0, 1, 2, 3};
    return vaddq_u32(vld1q_u32(numbers), vdupq_n_u32(first));
}
FOCAL_INLINE vm vm_first(size_t n) {
    uint32x4_t limit = vdupq_n_u32((uint32_t)n);
#define F(i) vcltq_u32(neon_lane_numbers(4 * (i)), limit)
    return EACH(vm, F);
#undef F
}
FOCAL_INLINE vm vm_lane(size_t k) {
    uint32x4_t wanted = vdupq_n_u32(k < 16 ? (uint32_t)k : 16);
#define F(i) vceqq_u32(neon_lane_numbers(4 * (i)), wanted)
    return EACH(vm, F);
#undef F
}
FOCAL_INLINE vm vm_load_u8(const uint8_t *p) {
    uint8x16_t bytes = vld1q_u8(p);
    uint16x8_t low = vmovl_u8(vget_low_u8(bytes)), high = vmovl_u8(vget_high_u8(bytes));
    uint32x4_t words[4] = {vmovl_u16(vget_low_u16(low)), vmovl_u16(vget_high_u16(low)),
                           vmovl_u16(vget_low_u16(high)), vmovl_u16(vget_high_u16(high))};
#define F(i) vtstq_u32(words[i], words[i])
    return EACH(vm, F);
#undef F
}
FOCAL_INLINE vm vm_load_u8_n(const uint8_t *p, size_t n) {
    uint8_t padded[16] = {0};
    memcpy(padded, p, n);
    return vm_load_u8(padded);
}
FOCAL_INLINE bool vm_all(vm m) {
    uint32x4_t both =
        vandq_u32(vandq_u32(m.part[0], m.part[1]), vandq_u32(m.part[2], m.part[3]));
    return vminvq_u32(both) != 0;
}
FOCAL_INLINE vf vf_select(vm m, vf a, vf b) {
#define F(i) vbslq_f32(m.part[i], a.part[i], b.part[i])
    return EACH(vf, F);
#undef F
}
FOCAL_INLINE vf vf_drop(vm m, vf a) {
#define F(i) vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(a.part[i]), m.part[i]))
    return EACH(vf, F);
#undef F
}
FOCAL_INLINE vf vf_select_sign(vf a, vf b, vf c) {
#define F(i) vbslq_f32(vcltzq_s32(vreinterpretq_s32_f32(a.part[i])), b.part[i], c.part[i])
    return EACH(vf, F);
#undef F
}
FOCAL_INLINE float vf_max_lanes(vf a) {
    float lane[16];
    vf_store(lane, a);
    for (size_t half = 8; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            lane[i] = lane[i] > lane[i + half] ? lane[i] : lane[i + half];
    return lane[0];
}

FOCAL_INLINE vd vd_set(double a) {
    float64x2_t v = vdupq_n_f64(a);
    return (vd){{v, v, v, v}};
}
FOCAL_INLINE vd vd_load(const double *p) {
#define F(i) vld1q_f64(p + 2 * (i))
    return EACH(vd, F);
#undef F
}
FOCAL_INLINE vd vd_load_n(const double *p, size_t n) {
    double padded[8] = {0};
    memcpy(padded, p, n * sizeof *p);
    return vd_load(padded);
}
FOCAL_INLINE void vd_store(double *p, vd a) {
    for (size_t i = 0; i < 4; i++)
        vst1q_f64(p + 2 * i, a.part[i]);
}
FOCAL_INLINE void vd_store_n(double *p, vd a, size_t n) {
    double padded[8];
    vd_store(padded, a);
    memcpy(p, padded, n * sizeof *p);
}
FOCAL_INLINE vd vd_widen_low(vf a) {
    return (vd){{vcvt_f64_f32(vget_low_f32(a.part[0])), vcvt_high_f64_f32(a.part[0]),
                 vcvt_f64_f32(vget_low_f32(a.part[1])), vcvt_high_f64_f32(a.part[1])}};
}
FOCAL_INLINE vd vd_widen_high(vf a) {
    return (vd){{vcvt_f64_f32(vget_low_f32(a.part[2])), vcvt_high_f64_f32(a.part[2]),
                 vcvt_f64_f32(vget_low_f32(a.part[3])), vcvt_high_f64_f32(a.part[3])}};
}
FOCAL_INLINE vf vf_narrow(vd low, vd high) {
    return (vf){{vcvt_high_f32_f64(vcvt_f32_f64(low.part[0]), low.part[1]),
                 vcvt_high_f32_f64(vcvt_f32_f64(low.part[2]), low.part[3]),
                 vcvt_high_f32_f64(vcvt_f32_f64(high.part[0]), high.part[1]),
                 vcvt_high_f32_f64(vcvt_f32_f64(high.part[2]), high.part[3])}};
}
FOCAL_INLINE vd vd_add(vd a, vd b) {
#define F(i) vaddq_f64(a.part[i], b.part[i])
    return EACH(vd, F);
#undef F
}
FOCAL_INLINE vd vd_sub(vd a, vd b) {
#define F(i) vsubq_f64(a.part[i], b.part[i])
    return EACH(vd, F);
#undef F
}
FOCAL_INLINE vd vd_mul(vd a, vd b) {
#define F(i) vmulq_f64(a.part[i], b.part[i])
    return EACH(vd, F);
#undef F
}
FOCAL_INLINE vd vd_div(vd a, vd b) {
#define F(i) vdivq_f64(a.part[i], b.part[i])
    return EACH(vd, F);
#undef F
}
FOCAL_INLINE vd vd_fma(vd a, vd b, vd c) {
#define F(i) vfmaq_f64(c.part[i], a.part[i], b.part[i])
    return EACH(vd, F);
#undef F
}

FOCAL_INLINE vd vd_residual(vd a, vd b, vd c) {
#define F(i) vfmaq_f64(vnegq_f64(c.part[i]), a.part[i], b.part[i])
    return EACH(vd, F);
#undef F
}
FOCAL_INLINE vd vd_sqrt(vd a) {
#define F(i) vsqrtq_f64(a.part[i])
    return EACH(vd, F);
#undef F
}
FOCAL_INLINE vd vd_min(vd a, vd b) {
#define F(i) vbslq_f64(vcltq_f64(a.part[i], b.part[i]), a.part[i], b.part[i])
    return EACH(vd, F);
#undef F
}
FOCAL_INLINE vd vd_max(vd a, vd b) {
#define F(i) vbslq_f64(vcgtq_f64(a.part[i], b.part[i]), a.part[i], b.part[i])
    return EACH(vd, F);
#undef F
}
FOCAL_INLINE vd vd_abs(vd a) {
#define F(i) vabsq_f64(a.part[i])
    return EACH(vd, F);
#undef F
}
FOCAL_INLINE vd vd_neg(vd a) {
#define F(i) vnegq_f64(a.part[i])
    return EACH(vd, F);
#undef F
}
FOCAL_INLINE vd vd_pow2_scale(vd a, vd magic) {
#define F(i)                                                                                   \
    vreinterpretq_f64_u64(vaddq_u64(vreinterpretq_u64_f64(a.part[i]),                          \
                                    vshlq_n_u64(vreinterpretq_u64_f64(magic.part[i]), 52)))
    return EACH(vd, F);
#undef F
}
/* The biased exponent becomes the low mantissa bits of 2^52, which is subtracted again. */
FOCAL_INLINE vd vd_exponent(vd a) {
    uint64x2_t shift = vreinterpretq_u64_f64(vdupq_n_f64(0x1p52));
    float64x2_t offset = vdupq_n_f64(0x1p52 + 1023.0);
#define F(i)                                                                                   \
    vsubq_f64(vreinterpretq_f64_u64(                                                           \
                  vorrq_u64(vshrq_n_u64(vreinterpretq_u64_f64(a.part[i]), 52), shift)),        \
              offset)
    return EACH(vd, F);
#undef F
}
FOCAL_INLINE vd vd_mantissa(vd a) {
    uint64x2_t bits = vdupq_n_u64(0x000FFFFFFFFFFFFF);
    uint64x2_t one = vreinterpretq_u64_f64(vdupq_n_f64(1.0));
#define F(i)                                                                                   \
    vreinterpretq_f64_u64(vorrq_u64(vandq_u64(vreinterpretq_u64_f64(a.part[i]), bits), one))
    return EACH(vd, F);
#undef F
}
FOCAL_INLINE vdm vdm_lt(vd a, vd b) {
#define F(i) vcltq_f64(a.part[i], b.part[i])
    return EACH(vdm, F);
#undef F
}
FOCAL_INLINE vdm vdm_eq(vd a, vd b) {
#define F(i) vceqq_f64(a.part[i], b.part[i])
    return EACH(vdm, F);
#undef F
}
FOCAL_INLINE bool vdm_any(vdm m) {
    uint64x2_t two =
        vorrq_u64(vorrq_u64(m.part[0], m.part[1]), vorrq_u64(m.part[2], m.part[3]));
    return (vgetq_lane_u64(two, 0) | vgetq_lane_u64(two, 1)) != 0;
}
FOCAL_INLINE vd vd_select(vdm m, vd a, vd b) {
#define F(i) vbslq_f64(m.part[i], a.part[i], b.part[i])
    return EACH(vd, F);
#undef F
}
FOCAL_INLINE vd vd_select_sign(vd a, vd b, vd c) {
#define F(i) vbslq_f64(vcltzq_s64(vreinterpretq_s64_f64(a.part[i])), b.part[i], c.part[i])
    return EACH(vd, F);
#undef F
}
/* In the order of the other rows, though only the sign of a zero could tell. */
FOCAL_INLINE double vd_max_lanes(vd a) {
#define MAX(a, b) vbslq_f64(vcgtq_f64(a, b), a, b)
    float64x2_t low = MAX(a.part[0], a.part[2]), high = MAX(a.part[1], a.part[3]);
    float64x2_t two = MAX(low, high);
#undef MAX
    double first = vgetq_lane_f64(two, 0), second = vgetq_lane_f64(two, 1);
    return first > second ? first : second;
}
/* Lanes 0-3 and 4-7 first, as everywhere. */
FOCAL_INLINE double vd_sum_lanes(vd a) {
    float64x2_t low = vaddq_f64(a.part[0], a.part[2]);
    float64x2_t high = vaddq_f64(a.part[1], a.part[3]);
    float64x2_t two = vaddq_f64(low, high);
    return vgetq_lane_f64(two, 0) + vgetq_lane_f64(two, 1);
}

FOCAL_INLINE vf vf_sleef_exp(vf a) {
#define F(i) FOCAL_SLEEF(expf4_u10advsimd)(a.part[i])
    return EACH(vf, F);
#undef F
}
FOCAL_INLINE vf vf_sleef_log1p(vf a) {
#define F(i) FOCAL_SLEEF(log1pf4_u10advsimd)(a.part[i])
    return EACH(vf, F);
#undef F
}
FOCAL_INLINE vf vf_sleef_pow(vf a, vf b) {
#define F(i) FOCAL_SLEEF(powf4_u10advsimd)(a.part[i], b.part[i])
    return EACH(vf, F);
#undef F
}
FOCAL_INLINE vd vd_sleef_exp(vd a) {
#define F(i) FOCAL_SLEEF(expd2_u10advsimd)(a.part[i])
    return EACH(vd, F);
#undef F
}
FOCAL_INLINE vd vd_sleef_expm1(vd a) {
#define F(i) FOCAL_SLEEF(expm1d2_u10advsimd)(a.part[i])
    return EACH(vd, F);
#undef F
}
FOCAL_INLINE vd vd_sleef_log(vd a) {
#define F(i) FOCAL_SLEEF(logd2_u10advsimd)(a.part[i])
    return EACH(vd, F);
#undef F
}
FOCAL_INLINE vd vd_sleef_log1p(vd a) {
#define F(i) FOCAL_SLEEF(log1pd2_u10advsimd)(a.part[i])
    return EACH(vd, F);
#undef F
}
FOCAL_INLINE vd vd_sleef_pow(vd a, vd b) {
#define F(i) FOCAL_SLEEF(powd2_u10advsimd)(a.part[i], b.part[i])
    return EACH(vd, F);
#undef F
}

#undef EACH
#endif
