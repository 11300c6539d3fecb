/* The scalar row with fused multiply-add: the reference that every other row must equal bit for
 * bit. On x86 it needs AVX2 as well, for SLEEF's functions of this kind do. */
#define FOCAL_SCALAR_FMA 1
#include "vec/vec_scalar.h"
#define FOCAL_ISA scalarfma
#include "isa.body.h"
