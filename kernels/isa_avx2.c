/* The AVX2 row. */
#if !defined(__AVX2__) || !defined(__FMA__)
#error "isa_avx2.c needs -mavx2 -mfma: see kernels/meson.build"
#endif
#include "vec/vec_avx2.h"
#define FOCAL_ISA avx2
#include "isa.body.h"
