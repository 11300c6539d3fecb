/* The NEON row: Advanced SIMD is part of every AArch64 processor, so it needs no flags. */
#ifndef __aarch64__
#error "isa_neon.c is for AArch64"
#endif
#include "vec/vec_neon.h"
#define FOCAL_ISA neon
#include "isa.body.h"
