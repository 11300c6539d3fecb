#include "vec/vec_avx2.h"
#define FOCAL_ISA avx2
#include "vec_isa.body.h"
