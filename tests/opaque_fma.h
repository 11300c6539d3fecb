/* Included before everything else (-include) by check_isa_leak.py: turns each fused operation
 * that the kernels write into a call. Any FMA instruction that is left was made by contraction.
 */
#ifndef FOCAL_TESTS_OPAQUE_FMA_H
#define FOCAL_TESTS_OPAQUE_FMA_H

#include <math.h>

float focal_opaque_fmaf(float a, float b, float c);
double focal_opaque_fma(double a, double b, double c);
#define fmaf(a, b, c)           focal_opaque_fmaf(a, b, c)
#define fma(a, b, c)            focal_opaque_fma(a, b, c)
#define __builtin_fmaf(a, b, c) focal_opaque_fmaf(a, b, c)
#define __builtin_fma(a, b, c)  focal_opaque_fma(a, b, c)

#ifdef __AVX2__
#include <immintrin.h>
__m256 focal_opaque_ps256(__m256 a, __m256 b, __m256 c);
__m256d focal_opaque_pd256(__m256d a, __m256d b, __m256d c);
#define _mm256_fmadd_ps(a, b, c) focal_opaque_ps256(a, b, c)
#define _mm256_fmadd_pd(a, b, c) focal_opaque_pd256(a, b, c)
#define _mm256_fmsub_pd(a, b, c) focal_opaque_pd256(a, b, c)
#endif

#ifdef __AVX512F__
__m512 focal_opaque_ps512(__m512 a, __m512 b, __m512 c);
__m512d focal_opaque_pd512(__m512d a, __m512d b, __m512d c);
#define _mm512_fmadd_ps(a, b, c) focal_opaque_ps512(a, b, c)
#define _mm512_fmadd_pd(a, b, c) focal_opaque_pd512(a, b, c)
#define _mm512_fmsub_pd(a, b, c) focal_opaque_pd512(a, b, c)
#endif

#ifdef __ARM_NEON
#include <arm_neon.h>
float32x4_t focal_opaque_f32(float32x4_t a, float32x4_t b, float32x4_t c);
float64x2_t focal_opaque_f64(float64x2_t a, float64x2_t b, float64x2_t c);
#define vfmaq_f32(a, b, c) focal_opaque_f32(a, b, c)
#define vfmaq_f64(a, b, c) focal_opaque_f64(a, b, c)

#endif

#endif
