#include "vec/vec_neon.h"
#define FOCAL_ISA neon
#include "vec_isa.body.h"
