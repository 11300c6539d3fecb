/* The portable row, for processors without fused multiply-add. Its bits are its own. */
#define FOCAL_SCALAR_FMA 0
#include "vec/vec_scalar.h"
#define FOCAL_ISA scalar
#include "isa.body.h"
