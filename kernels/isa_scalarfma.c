/* The scalar row with fused multiply-add: the reference that every other row must equal bit for
 * bit, and the row for processors with FMA but without AVX2. */
#define FOCAL_SCALAR_FMA 1
#include "vec/vec_scalar.h"
#define FOCAL_ISA scalarfma
#include "isa.body.h"
