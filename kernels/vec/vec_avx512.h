/* The vocabulary on AVX-512 (F, BW, DQ, VL): vf is one register of 16 floats, vd one of 8
 * doubles, masks are mask registers. The list of operations with their meaning stands in
 * vocabulary.def. */
#ifndef FOCAL_VEC_AVX512_H
#define FOCAL_VEC_AVX512_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sleef_names.h"
#include "vec_common.h"

/* Values of type vf that fit into the registers. */
enum { VEC_STEPS = 32 };

typedef struct {
    __m512 all;
} vf;
typedef struct {
    __mmask16 all;
} vm;
typedef struct {
    __m512d all;
} vd;
typedef struct {
    __mmask8 all;
} vdm;

FOCAL_INLINE __mmask16 avx512_mask16(size_t lanes) {
    return (__mmask16)((1U << lanes) - 1);
}
FOCAL_INLINE __mmask8 avx512_mask8(size_t lanes) {
    return (__mmask8)((1U << lanes) - 1);
}

FOCAL_INLINE vf vf_set(float a) {
    return (vf){_mm512_set1_ps(a)};
}
FOCAL_INLINE vf vf_load(const float *p) {
    return (vf){_mm512_loadu_ps(p)};
}
FOCAL_INLINE vf vf_load_n(const float *p, size_t n) {
    return (vf){_mm512_maskz_loadu_ps(avx512_mask16(n), p)};
}
FOCAL_INLINE void vf_store(float *p, vf a) {
    _mm512_storeu_ps(p, a.all);
}
FOCAL_INLINE void vf_store_n(float *p, vf a, size_t n) {
    _mm512_mask_storeu_ps(p, avx512_mask16(n), a.all);
}
FOCAL_INLINE vf vf_load_f16(const uint16_t *p) {
    return (vf){_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p))};
}
FOCAL_INLINE void vf_store_f16(uint16_t *p, vf a) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(a.all, _MM_FROUND_TO_NEAREST_INT));
}
FOCAL_INLINE vf vf_load_bf16(const uint16_t *p) {
    __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return (vf){_mm512_castsi512_ps(_mm512_slli_epi32(words, 16))};
}
FOCAL_INLINE void vf_store_bf16(uint16_t *p, vf a) {
    __m512i bits = _mm512_castps_si512(a.all);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    __mmask16 nan = _mm512_cmp_ps_mask(a.all, a.all, _CMP_UNORD_Q);
    __m512i chosen = _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(chosen, 16)));
}

FOCAL_INLINE vf vf_add(vf a, vf b) {
    return (vf){_mm512_add_ps(a.all, b.all)};
}
FOCAL_INLINE vf vf_sub(vf a, vf b) {
    return (vf){_mm512_sub_ps(a.all, b.all)};
}
FOCAL_INLINE vf vf_mul(vf a, vf b) {
    return (vf){_mm512_mul_ps(a.all, b.all)};
}
FOCAL_INLINE vf vf_div(vf a, vf b) {
    return (vf){_mm512_div_ps(a.all, b.all)};
}
FOCAL_INLINE vf vf_fma(vf a, vf b, vf c) {
    return (vf){_mm512_fmadd_ps(a.all, b.all, c.all)};
}
FOCAL_INLINE vf vf_sqrt(vf a) {
    return (vf){_mm512_sqrt_ps(a.all)};
}
FOCAL_INLINE vf vf_max(vf a, vf b) {
    return (vf){_mm512_max_ps(a.all, b.all)};
}
FOCAL_INLINE vf vf_min(vf a, vf b) {
    return (vf){_mm512_min_ps(a.all, b.all)};
}
FOCAL_INLINE vf vf_abs(vf a) {
    return (vf){_mm512_andnot_ps(_mm512_set1_ps(-0.0F), a.all)};
}
FOCAL_INLINE vf vf_neg(vf a) {
    return (vf){_mm512_xor_ps(_mm512_set1_ps(-0.0F), a.all)};
}
FOCAL_INLINE vf vf_and(vf a, vf b) {
    return (vf){_mm512_and_ps(a.all, b.all)};
}
FOCAL_INLINE vf vf_or(vf a, vf b) {
    return (vf){_mm512_or_ps(a.all, b.all)};
}
FOCAL_INLINE vf vf_xor(vf a, vf b) {
    return (vf){_mm512_xor_ps(a.all, b.all)};
}

/* The instruction looks up one of sixteen: twice the eight, so that bit 3 does not matter. */
FOCAL_INLINE vf vf_pow2_eighths(const float *eight, vf magic) {
    __m512i index = _mm512_castps_si512(magic.all);
    __m512 twice = _mm512_broadcast_f32x8(_mm256_loadu_ps(eight));
    __m512i root = _mm512_castps_si512(_mm512_permutexvar_ps(index, twice));
    return (vf){_mm512_castsi512_ps(_mm512_add_epi32(root, _mm512_slli_epi32(index, 20)))};
}

FOCAL_INLINE vm vm_lt(vf a, vf b) {
    return (vm){_mm512_cmp_ps_mask(a.all, b.all, _CMP_LT_OQ)};
}
FOCAL_INLINE vm vm_eq(vf a, vf b) {
    return (vm){_mm512_cmp_ps_mask(a.all, b.all, _CMP_EQ_OQ)};
}
FOCAL_INLINE vm vm_xor(vm a, vm b) {
    return (vm){(__mmask16)(a.all ^ b.all)};
}
FOCAL_INLINE vm vm_first(size_t n) {
    return (vm){avx512_mask16(n)};
}
FOCAL_INLINE vm vm_lane(size_t k) {
    return (vm){(__mmask16)(k < 16 ? 1U << k : 0U)};
}
FOCAL_INLINE vm vm_load_u8(const uint8_t *p) {
    __m128i bytes = _mm_loadu_si128((const __m128i *)p);
    return (vm){_mm_test_epi8_mask(bytes, bytes)};
}
FOCAL_INLINE vm vm_load_u8_n(const uint8_t *p, size_t n) {
    __m128i bytes = _mm_maskz_loadu_epi8(avx512_mask16(n), p);
    return (vm){_mm_test_epi8_mask(bytes, bytes)};
}
FOCAL_INLINE bool vm_all(vm m) {
    return m.all == 0xFFFF;
}
FOCAL_INLINE vf vf_select(vm m, vf a, vf b) {
    return (vf){_mm512_mask_blend_ps(m.all, b.all, a.all)};
}
FOCAL_INLINE vf vf_drop(vm m, vf a) {
    return (vf){_mm512_maskz_mov_ps((__mmask16)~m.all, a.all)};
}
FOCAL_INLINE vf vf_select_sign(vf a, vf b, vf c) {
    return (vf){
        _mm512_mask_blend_ps(_mm512_movepi32_mask(_mm512_castps_si512(a.all)), c.all, b.all)};
}
FOCAL_INLINE float vf_max_lanes(vf a) {
    __m256 eight =
        _mm256_max_ps(_mm512_castps512_ps256(a.all), _mm512_extractf32x8_ps(a.all, 1));
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

FOCAL_INLINE vd vd_set(double a) {
    return (vd){_mm512_set1_pd(a)};
}
FOCAL_INLINE vd vd_load(const double *p) {
    return (vd){_mm512_loadu_pd(p)};
}
FOCAL_INLINE vd vd_load_n(const double *p, size_t n) {
    return (vd){_mm512_maskz_loadu_pd(avx512_mask8(n), p)};
}
FOCAL_INLINE void vd_store(double *p, vd a) {
    _mm512_storeu_pd(p, a.all);
}
FOCAL_INLINE void vd_store_n(double *p, vd a, size_t n) {
    _mm512_mask_storeu_pd(p, avx512_mask8(n), a.all);
}
FOCAL_INLINE vd vd_widen_low(vf a) {
    return (vd){_mm512_cvtps_pd(_mm512_castps512_ps256(a.all))};
}
FOCAL_INLINE vd vd_widen_high(vf a) {
    return (vd){_mm512_cvtps_pd(_mm512_extractf32x8_ps(a.all, 1))};
}
FOCAL_INLINE vf vf_narrow(vd low, vd high) {
    return (vf){_mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low.all)),
                                   _mm512_cvtpd_ps(high.all), 1)};
}
FOCAL_INLINE vd vd_add(vd a, vd b) {
    return (vd){_mm512_add_pd(a.all, b.all)};
}
FOCAL_INLINE vd vd_sub(vd a, vd b) {
    return (vd){_mm512_sub_pd(a.all, b.all)};
}
FOCAL_INLINE vd vd_mul(vd a, vd b) {
    return (vd){_mm512_mul_pd(a.all, b.all)};
}
FOCAL_INLINE vd vd_div(vd a, vd b) {
    return (vd){_mm512_div_pd(a.all, b.all)};
}
FOCAL_INLINE vd vd_fma(vd a, vd b, vd c) {
    return (vd){_mm512_fmadd_pd(a.all, b.all, c.all)};
}
FOCAL_INLINE vd vd_residual(vd a, vd b, vd c) {
    return (vd){_mm512_fmsub_pd(a.all, b.all, c.all)};
}
FOCAL_INLINE vd vd_sqrt(vd a) {
    return (vd){_mm512_sqrt_pd(a.all)};
}
FOCAL_INLINE vd vd_min(vd a, vd b) {
    return (vd){_mm512_min_pd(a.all, b.all)};
}
FOCAL_INLINE vd vd_max(vd a, vd b) {
    return (vd){_mm512_max_pd(a.all, b.all)};
}
FOCAL_INLINE vd vd_abs(vd a) {
    return (vd){_mm512_andnot_pd(_mm512_set1_pd(-0.0), a.all)};
}
FOCAL_INLINE vd vd_neg(vd a) {
    return (vd){_mm512_xor_pd(_mm512_set1_pd(-0.0), a.all)};
}
FOCAL_INLINE vd vd_pow2_scale(vd a, vd magic) {
    __m512i exponent = _mm512_slli_epi64(_mm512_castpd_si512(magic.all), 52);
    return (vd){_mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(a.all), exponent))};
}
/* Not getexp and getmant: their results for 0 and infinity differ from the other rows'. */
FOCAL_INLINE vd vd_exponent(vd a) {
    __m512i biased = _mm512_srli_epi64(_mm512_castpd_si512(a.all), 52);
    return (vd){_mm512_sub_pd(_mm512_or_pd(_mm512_castsi512_pd(biased), _mm512_set1_pd(0x1p52)),
                              _mm512_set1_pd(0x1p52 + 1023.0))};
}
FOCAL_INLINE vd vd_mantissa(vd a) {
    __m512d bits = _mm512_castsi512_pd(_mm512_set1_epi64(0x000FFFFFFFFFFFFF));
    return (vd){_mm512_or_pd(_mm512_and_pd(a.all, bits), _mm512_set1_pd(1.0))};
}
FOCAL_INLINE vdm vdm_lt(vd a, vd b) {
    return (vdm){_mm512_cmp_pd_mask(a.all, b.all, _CMP_LT_OQ)};
}
FOCAL_INLINE vdm vdm_eq(vd a, vd b) {
    return (vdm){_mm512_cmp_pd_mask(a.all, b.all, _CMP_EQ_OQ)};
}
FOCAL_INLINE bool vdm_any(vdm m) {
    return m.all != 0;
}
FOCAL_INLINE vd vd_select(vdm m, vd a, vd b) {
    return (vd){_mm512_mask_blend_pd(m.all, b.all, a.all)};
}
FOCAL_INLINE vd vd_select_sign(vd a, vd b, vd c) {
    return (vd){
        _mm512_mask_blend_pd(_mm512_movepi64_mask(_mm512_castpd_si512(a.all)), c.all, b.all)};
}
FOCAL_INLINE double vd_max_lanes(vd a) {
    __m256d four =
        _mm256_max_pd(_mm512_castpd512_pd256(a.all), _mm512_extractf64x4_pd(a.all, 1));
    __m128d two = _mm_max_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_max_sd(two, _mm_unpackhi_pd(two, two)));
}
FOCAL_INLINE double vd_sum_lanes(vd a) {
    __m256d four =
        _mm256_add_pd(_mm512_castpd512_pd256(a.all), _mm512_extractf64x4_pd(a.all, 1));
    __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

FOCAL_INLINE vf vf_sleef_exp(vf a) {
    return (vf){FOCAL_SLEEF(expf16_u10avx512f)(a.all)};
}
FOCAL_INLINE vf vf_sleef_log1p(vf a) {
    return (vf){FOCAL_SLEEF(log1pf16_u10avx512f)(a.all)};
}
FOCAL_INLINE vf vf_sleef_pow(vf a, vf b) {
    return (vf){FOCAL_SLEEF(powf16_u10avx512f)(a.all, b.all)};
}
FOCAL_INLINE vd vd_sleef_exp(vd a) {
    return (vd){FOCAL_SLEEF(expd8_u10avx512f)(a.all)};
}
FOCAL_INLINE vd vd_sleef_expm1(vd a) {
    return (vd){FOCAL_SLEEF(expm1d8_u10avx512f)(a.all)};
}
FOCAL_INLINE vd vd_sleef_log(vd a) {
    return (vd){FOCAL_SLEEF(logd8_u10avx512f)(a.all)};
}
FOCAL_INLINE vd vd_sleef_log1p(vd a) {
    return (vd){FOCAL_SLEEF(log1pd8_u10avx512f)(a.all)};
}
FOCAL_INLINE vd vd_sleef_pow(vd a, vd b) {
    return (vd){FOCAL_SLEEF(powd8_u10avx512f)(a.all, b.all)};
}

#endif
