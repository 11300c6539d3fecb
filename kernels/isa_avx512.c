/* The AVX-512 row. */
#if !defined(__AVX512F__) || !defined(__AVX512BW__) || !defined(__AVX512DQ__) ||               \
    !defined(__AVX512VL__)
#error "isa_avx512.c needs -mavx512f -mavx512bw -mavx512dq -mavx512vl: see kernels/meson.build"
#endif
#include "vec/vec_avx512.h"
#define FOCAL_ISA avx512
#include "isa.body.h"
