/* The AVX2 row. */
#if !defined(__AVX2__) || !defined(__FMA__) || !defined(__F16C__)
#error "isa_avx2.c needs -mavx2 -mfma -mf16c: see kernels/meson.build"
#endif
#include "vec/vec_avx2.h"
#define FOCAL_ISA avx2
#include "isa.body.h"
