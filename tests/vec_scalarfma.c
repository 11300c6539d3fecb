#define FOCAL_SCALAR_FMA 1
#include "vec/vec_scalar.h"
#define FOCAL_ISA scalarfma
#include "vec_isa.body.h"
