#include "vec/vec_avx512.h"
#define FOCAL_ISA avx512
#include "vec_isa.body.h"
