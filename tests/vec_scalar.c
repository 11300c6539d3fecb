#define FOCAL_SCALAR_FMA 0
#include "vec/vec_scalar.h"
#define FOCAL_ISA scalar
#include "vec_isa.body.h"
