/* The vocabulary on AVX2 with FMA and F16C: vf is 16 floats in two registers, vd is 8 doubles in two.
 * The list of operations with their meaning stands in vocabulary.def. */
#ifndef FOCAL_VEC_AVX2_H
#define FOCAL_VEC_AVX2_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "sleef_names.h"
#include "vec_common.h"

/* Values of type vf that fit into the registers. */
enum { VEC_STEPS = 8 };

typedef struct {
    __m256 low, high;
} vf;
typedef struct {
    __m256 low, high;
} vm;
typedef struct {
    __m256d low, high;
} vd;
typedef struct {
    __m256d low, high;
} vdm;

/* Eight set words, then eight clear ones: a load from (8 - n) gives the mask of the first n. */
static const int32_t avx2_mask_words[16] = {-1, -1, -1, -1, -1, -1, -1, -1};

FOCAL_INLINE __m256i avx2_mask32(size_t lanes) {
    return _mm256_loadu_si256((const __m256i *)(avx2_mask_words + 8 - lanes));
}

FOCAL_INLINE __m256i avx2_mask64(size_t lanes) {
    return _mm256_cvtepi32_epi64(
        _mm_loadu_si128((const __m128i *)(avx2_mask_words + 8 - lanes)));
}

FOCAL_INLINE size_t avx2_low_part(size_t count, size_t half) {
    return count < half ? count : half;
}

FOCAL_INLINE vf vf_set(float a) {
    return (vf){_mm256_set1_ps(a), _mm256_set1_ps(a)};
}
FOCAL_INLINE vf vf_load(const float *p) {
    return (vf){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
FOCAL_INLINE vf vf_load_n(const float *p, size_t n) {
    size_t low = avx2_low_part(n, 8);
    return (vf){_mm256_maskload_ps(p, avx2_mask32(low)),
                _mm256_maskload_ps(p + low, avx2_mask32(n - low))};
}
FOCAL_INLINE void vf_store(float *p, vf a) {
    _mm256_storeu_ps(p, a.low);
    _mm256_storeu_ps(p + 8, a.high);
}
FOCAL_INLINE void vf_store_n(float *p, vf a, size_t n) {
    size_t low = avx2_low_part(n, 8);
    _mm256_maskstore_ps(p, avx2_mask32(low), a.low);
    _mm256_maskstore_ps(p + low, avx2_mask32(n - low), a.high);
}
FOCAL_INLINE vf vf_load_f16(const uint16_t *p) {
    return (vf){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)),
                _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 8)))};
}
FOCAL_INLINE void vf_store_f16(uint16_t *p, vf a) {
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(a.low, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i *)(p + 8), _mm256_cvtps_ph(a.high, _MM_FROUND_TO_NEAREST_INT));
}
FOCAL_INLINE __m256 avx2_load_bf16(const uint16_t *p) {
    __m256i words = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(words, 16));
}
FOCAL_INLINE vf vf_load_bf16(const uint16_t *p) {
    return (vf){avx2_load_bf16(p), avx2_load_bf16(p + 8)};
}
/* In the low halves of the words. */
FOCAL_INLINE __m256i avx2_bf16(__m256 a) {
    __m256i bits = _mm256_castps_si256(a);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    __m256 chosen = _mm256_blendv_ps(_mm256_castsi256_ps(rounded), _mm256_castsi256_ps(quiet),
                                     _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
    return _mm256_srli_epi32(_mm256_castps_si256(chosen), 16);
}
FOCAL_INLINE void vf_store_bf16(uint16_t *p, vf a) {
    __m256i pairs = _mm256_packus_epi32(avx2_bf16(a.low), avx2_bf16(a.high));
    _mm256_storeu_si256((__m256i *)p, _mm256_permute4x64_epi64(pairs, _MM_SHUFFLE(3, 1, 2, 0)));
}

FOCAL_INLINE vf vf_add(vf a, vf b) {
    return (vf){_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}
FOCAL_INLINE vf vf_sub(vf a, vf b) {
    return (vf){_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}
FOCAL_INLINE vf vf_mul(vf a, vf b) {
    return (vf){_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}
FOCAL_INLINE vf vf_div(vf a, vf b) {
    return (vf){_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)};
}
FOCAL_INLINE vf vf_fma(vf a, vf b, vf c) {
    return (vf){_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
FOCAL_INLINE vf vf_sqrt(vf a) {
    return (vf){_mm256_sqrt_ps(a.low), _mm256_sqrt_ps(a.high)};
}
FOCAL_INLINE vf vf_max(vf a, vf b) {
    return (vf){_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}
FOCAL_INLINE vf vf_min(vf a, vf b) {
    return (vf){_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}
FOCAL_INLINE vf vf_abs(vf a) {
    __m256 sign = _mm256_set1_ps(-0.0F);
    return (vf){_mm256_andnot_ps(sign, a.low), _mm256_andnot_ps(sign, a.high)};
}
FOCAL_INLINE vf vf_neg(vf a) {
    __m256 sign = _mm256_set1_ps(-0.0F);
    return (vf){_mm256_xor_ps(sign, a.low), _mm256_xor_ps(sign, a.high)};
}
FOCAL_INLINE vf vf_and(vf a, vf b) {
    return (vf){_mm256_and_ps(a.low, b.low), _mm256_and_ps(a.high, b.high)};
}
FOCAL_INLINE vf vf_or(vf a, vf b) {
    return (vf){_mm256_or_ps(a.low, b.low), _mm256_or_ps(a.high, b.high)};
}
FOCAL_INLINE vf vf_xor(vf a, vf b) {
    return (vf){_mm256_xor_ps(a.low, b.low), _mm256_xor_ps(a.high, b.high)};
}

FOCAL_INLINE __m256 avx2_pow2_eighths(const float *eight, __m256 magic) {
    __m256i index = _mm256_castps_si256(magic);
    __m256 root = _mm256_permutevar8x32_ps(_mm256_loadu_ps(eight), index);
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_castps_si256(root), _mm256_slli_epi32(index, 20)));
}
FOCAL_INLINE vf vf_pow2_eighths(const float *eight, vf magic) {
    return (vf){avx2_pow2_eighths(eight, magic.low), avx2_pow2_eighths(eight, magic.high)};
}

FOCAL_INLINE vm vm_lt(vf a, vf b) {
    return (vm){_mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ),
                _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ)};
}
FOCAL_INLINE vm vm_eq(vf a, vf b) {
    return (vm){_mm256_cmp_ps(a.low, b.low, _CMP_EQ_OQ),
                _mm256_cmp_ps(a.high, b.high, _CMP_EQ_OQ)};
}
FOCAL_INLINE vm vm_xor(vm a, vm b) {
    return (vm){_mm256_xor_ps(a.low, b.low), _mm256_xor_ps(a.high, b.high)};
}
FOCAL_INLINE vm vm_first(size_t n) {
    size_t low = avx2_low_part(n, 8);
    return (vm){_mm256_castsi256_ps(avx2_mask32(low)),
                _mm256_castsi256_ps(avx2_mask32(n - low))};
}
FOCAL_INLINE vm vm_lane(size_t k) {
    __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i wanted = _mm256_set1_epi32(k < 16 ? (int)k : 16);
    return (vm){_mm256_castsi256_ps(_mm256_cmpeq_epi32(lanes, wanted)),
                _mm256_castsi256_ps(
                    _mm256_cmpeq_epi32(_mm256_add_epi32(lanes, _mm256_set1_epi32(8)), wanted))};
}
FOCAL_INLINE vm vm_load_u8(const uint8_t *p) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)p);
    __m256i zero = _mm256_setzero_si256();
    return (vm){_mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_cvtepu8_epi32(bytes), zero)),
                _mm256_castsi256_ps(_mm256_cmpgt_epi32(
                    _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(bytes, bytes)), zero))};
}
FOCAL_INLINE vm vm_load_u8_n(const uint8_t *p, size_t n) {
    uint8_t padded[16] = {0};
    memcpy(padded, p, n);
    return vm_load_u8(padded);
}
FOCAL_INLINE bool vm_all(vm m) {
    return _mm256_movemask_ps(_mm256_and_ps(m.low, m.high)) == 0xFF;
}
FOCAL_INLINE vf vf_select(vm m, vf a, vf b) {
    return (vf){_mm256_blendv_ps(b.low, a.low, m.low),
                _mm256_blendv_ps(b.high, a.high, m.high)};
}
FOCAL_INLINE vf vf_drop(vm m, vf a) {
    return (vf){_mm256_andnot_ps(m.low, a.low), _mm256_andnot_ps(m.high, a.high)};
}
FOCAL_INLINE vf vf_select_sign(vf a, vf b, vf c) {
    return (vf){_mm256_blendv_ps(c.low, b.low, a.low),
                _mm256_blendv_ps(c.high, b.high, a.high)};
}
FOCAL_INLINE float vf_max_lanes(vf a) {
    __m256 eight = _mm256_max_ps(a.low, a.high);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

FOCAL_INLINE vd vd_set(double a) {
    return (vd){_mm256_set1_pd(a), _mm256_set1_pd(a)};
}
FOCAL_INLINE vd vd_load(const double *p) {
    return (vd){_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)};
}
FOCAL_INLINE vd vd_load_n(const double *p, size_t n) {
    size_t low = avx2_low_part(n, 4);
    return (vd){_mm256_maskload_pd(p, avx2_mask64(low)),
                _mm256_maskload_pd(p + low, avx2_mask64(n - low))};
}
FOCAL_INLINE void vd_store(double *p, vd a) {
    _mm256_storeu_pd(p, a.low);
    _mm256_storeu_pd(p + 4, a.high);
}
FOCAL_INLINE void vd_store_n(double *p, vd a, size_t n) {
    size_t low = avx2_low_part(n, 4);
    _mm256_maskstore_pd(p, avx2_mask64(low), a.low);
    _mm256_maskstore_pd(p + low, avx2_mask64(n - low), a.high);
}
FOCAL_INLINE vd vd_widen_low(vf a) {
    return (vd){_mm256_cvtps_pd(_mm256_castps256_ps128(a.low)),
                _mm256_cvtps_pd(_mm256_extractf128_ps(a.low, 1))};
}
FOCAL_INLINE vd vd_widen_high(vf a) {
    return (vd){_mm256_cvtps_pd(_mm256_castps256_ps128(a.high)),
                _mm256_cvtps_pd(_mm256_extractf128_ps(a.high, 1))};
}
FOCAL_INLINE vf vf_narrow(vd low, vd high) {
    return (vf){_mm256_set_m128(_mm256_cvtpd_ps(low.high), _mm256_cvtpd_ps(low.low)),
                _mm256_set_m128(_mm256_cvtpd_ps(high.high), _mm256_cvtpd_ps(high.low))};
}
FOCAL_INLINE vd vd_add(vd a, vd b) {
    return (vd){_mm256_add_pd(a.low, b.low), _mm256_add_pd(a.high, b.high)};
}
FOCAL_INLINE vd vd_sub(vd a, vd b) {
    return (vd){_mm256_sub_pd(a.low, b.low), _mm256_sub_pd(a.high, b.high)};
}
FOCAL_INLINE vd vd_mul(vd a, vd b) {
    return (vd){_mm256_mul_pd(a.low, b.low), _mm256_mul_pd(a.high, b.high)};
}
FOCAL_INLINE vd vd_div(vd a, vd b) {
    return (vd){_mm256_div_pd(a.low, b.low), _mm256_div_pd(a.high, b.high)};
}
FOCAL_INLINE vd vd_fma(vd a, vd b, vd c) {
    return (vd){_mm256_fmadd_pd(a.low, b.low, c.low), _mm256_fmadd_pd(a.high, b.high, c.high)};
}
FOCAL_INLINE vd vd_residual(vd a, vd b, vd c) {
    return (vd){_mm256_fmsub_pd(a.low, b.low, c.low), _mm256_fmsub_pd(a.high, b.high, c.high)};
}
FOCAL_INLINE vd vd_sqrt(vd a) {
    return (vd){_mm256_sqrt_pd(a.low), _mm256_sqrt_pd(a.high)};
}
FOCAL_INLINE vd vd_min(vd a, vd b) {
    return (vd){_mm256_min_pd(a.low, b.low), _mm256_min_pd(a.high, b.high)};
}
FOCAL_INLINE vd vd_max(vd a, vd b) {
    return (vd){_mm256_max_pd(a.low, b.low), _mm256_max_pd(a.high, b.high)};
}
FOCAL_INLINE vd vd_abs(vd a) {
    __m256d sign = _mm256_set1_pd(-0.0);
    return (vd){_mm256_andnot_pd(sign, a.low), _mm256_andnot_pd(sign, a.high)};
}
FOCAL_INLINE vd vd_neg(vd a) {
    __m256d sign = _mm256_set1_pd(-0.0);
    return (vd){_mm256_xor_pd(sign, a.low), _mm256_xor_pd(sign, a.high)};
}
FOCAL_INLINE __m256d avx2_pow2_scale64(__m256d a, __m256d magic) {
    __m256i exponent = _mm256_slli_epi64(_mm256_castpd_si256(magic), 52);
    return _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(a), exponent));
}
FOCAL_INLINE vd vd_pow2_scale(vd a, vd magic) {
    return (vd){avx2_pow2_scale64(a.low, magic.low), avx2_pow2_scale64(a.high, magic.high)};
}
/* The biased exponent becomes the low mantissa bits of 2^52, which is subtracted again. */
FOCAL_INLINE __m256d avx2_exponent(__m256d a) {
    __m256i biased = _mm256_srli_epi64(_mm256_castpd_si256(a), 52);
    __m256d shift = _mm256_set1_pd(0x1p52);
    return _mm256_sub_pd(_mm256_or_pd(_mm256_castsi256_pd(biased), shift),
                         _mm256_set1_pd(0x1p52 + 1023.0));
}
FOCAL_INLINE vd vd_exponent(vd a) {
    return (vd){avx2_exponent(a.low), avx2_exponent(a.high)};
}
FOCAL_INLINE __m256d avx2_mantissa(__m256d a) {
    __m256d bits = _mm256_castsi256_pd(_mm256_set1_epi64x(0x000FFFFFFFFFFFFF));
    return _mm256_or_pd(_mm256_and_pd(a, bits), _mm256_set1_pd(1.0));
}
FOCAL_INLINE vd vd_mantissa(vd a) {
    return (vd){avx2_mantissa(a.low), avx2_mantissa(a.high)};
}
FOCAL_INLINE vdm vdm_lt(vd a, vd b) {
    return (vdm){_mm256_cmp_pd(a.low, b.low, _CMP_LT_OQ),
                 _mm256_cmp_pd(a.high, b.high, _CMP_LT_OQ)};
}
FOCAL_INLINE vdm vdm_eq(vd a, vd b) {
    return (vdm){_mm256_cmp_pd(a.low, b.low, _CMP_EQ_OQ),
                 _mm256_cmp_pd(a.high, b.high, _CMP_EQ_OQ)};
}
FOCAL_INLINE bool vdm_any(vdm m) {
    return _mm256_movemask_pd(_mm256_or_pd(m.low, m.high)) != 0;
}
FOCAL_INLINE vd vd_select(vdm m, vd a, vd b) {
    return (vd){_mm256_blendv_pd(b.low, a.low, m.low),
                _mm256_blendv_pd(b.high, a.high, m.high)};
}
FOCAL_INLINE vd vd_select_sign(vd a, vd b, vd c) {
    return (vd){_mm256_blendv_pd(c.low, b.low, a.low),
                _mm256_blendv_pd(c.high, b.high, a.high)};
}
FOCAL_INLINE double vd_max_lanes(vd a) {
    __m256d four = _mm256_max_pd(a.low, a.high);
    __m128d two = _mm_max_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_max_sd(two, _mm_unpackhi_pd(two, two)));
}
FOCAL_INLINE double vd_sum_lanes(vd a) {
    __m256d four = _mm256_add_pd(a.low, a.high);
    __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

FOCAL_INLINE vf vf_sleef_exp(vf a) {
    return (vf){FOCAL_SLEEF(expf8_u10avx2)(a.low), FOCAL_SLEEF(expf8_u10avx2)(a.high)};
}
FOCAL_INLINE vf vf_sleef_log1p(vf a) {
    return (vf){FOCAL_SLEEF(log1pf8_u10avx2)(a.low), FOCAL_SLEEF(log1pf8_u10avx2)(a.high)};
}
FOCAL_INLINE vf vf_sleef_pow(vf a, vf b) {
    return (vf){FOCAL_SLEEF(powf8_u10avx2)(a.low, b.low),
                FOCAL_SLEEF(powf8_u10avx2)(a.high, b.high)};
}
FOCAL_INLINE vd vd_sleef_exp(vd a) {
    return (vd){FOCAL_SLEEF(expd4_u10avx2)(a.low), FOCAL_SLEEF(expd4_u10avx2)(a.high)};
}
FOCAL_INLINE vd vd_sleef_expm1(vd a) {
    return (vd){FOCAL_SLEEF(expm1d4_u10avx2)(a.low), FOCAL_SLEEF(expm1d4_u10avx2)(a.high)};
}
FOCAL_INLINE vd vd_sleef_log(vd a) {
    return (vd){FOCAL_SLEEF(logd4_u10avx2)(a.low), FOCAL_SLEEF(logd4_u10avx2)(a.high)};
}
FOCAL_INLINE vd vd_sleef_log1p(vd a) {
    return (vd){FOCAL_SLEEF(log1pd4_u10avx2)(a.low), FOCAL_SLEEF(log1pd4_u10avx2)(a.high)};
}
FOCAL_INLINE vd vd_sleef_pow(vd a, vd b) {
    return (vd){FOCAL_SLEEF(powd4_u10avx2)(a.low, b.low),
                FOCAL_SLEEF(powd4_u10avx2)(a.high, b.high)};
}

#endif
