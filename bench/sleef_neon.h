/* NEON under the names that sleef.c uses: those of x86's operations. */
#ifndef FOCAL_BENCH_SLEEF_NEON_H
#define FOCAL_BENCH_SLEEF_NEON_H

#include <arm_neon.h>

#if BENCH_DOUBLE
typedef double real;
typedef float64x2_t vector;
typedef uint64x2_t bits;
#define S(function)     FOCAL_SLEEF(function##d2_u10advsimd)
#define NEON(operation) operation##_f64
#define AS_BITS(a)      vreinterpretq_u64_f64(a)
#define AS_VECTOR(a)    vreinterpretq_f64_u64(a)
#define OR_BITS(a, b)   vorrq_u64(a, b)
#define SIGN_OF(a)      vcltzq_s64(vreinterpretq_s64_f64(a))
#define NEON_SET(a)     vdupq_n_f64(a)
#else
typedef float real;
typedef float32x4_t vector;
typedef uint32x4_t bits;
#define S(function)     FOCAL_SLEEF(function##f4_u10advsimd)
#define NEON(operation) operation##_f32
#define AS_BITS(a)      vreinterpretq_u32_f32(a)
#define AS_VECTOR(a)    vreinterpretq_f32_u32(a)
#define OR_BITS(a, b)   vorrq_u32(a, b)
#define SIGN_OF(a)      vcltzq_s32(vreinterpretq_s32_f32(a))
#define NEON_SET(a)     vdupq_n_f32(a)
#endif
#define V(operation) neon_##operation

static inline vector neon_set1_(real a) {
    return NEON_SET(a);
}
static inline vector neon_loadu_(const real *from) {
    return NEON(vld1q)(from);
}
static inline void neon_storeu_(real *to, vector a) {
    NEON(vst1q)(to, a);
}
static inline vector neon_add_(vector a, vector b) {
    return NEON(vaddq)(a, b);
}
static inline vector neon_sub_(vector a, vector b) {
    return NEON(vsubq)(a, b);
}
static inline vector neon_mul_(vector a, vector b) {
    return NEON(vmulq)(a, b);
}
static inline vector neon_div_(vector a, vector b) {
    return NEON(vdivq)(a, b);
}
static inline vector neon_max_(vector a, vector b) {
    return NEON(vmaxq)(a, b);
}
static inline vector neon_fmadd_(vector a, vector b, vector c) {
    return NEON(vfmaq)(c, a, b);
}
static inline vector neon_fnmadd_(vector a, vector b, vector c) {
    return NEON(vfmsq)(c, a, b);
}
static inline vector neon_or_(vector a, vector b) {
    return AS_VECTOR(OR_BITS(AS_BITS(a), AS_BITS(b)));
}
static inline bits neon_sign_(vector a) {
    return SIGN_OF(a);
}
static inline vector neon_select_(bits which, vector a, vector b) {
    return NEON(vbslq)(which, a, b);
}

#endif
