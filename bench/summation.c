#include "summation.h"

#include <math.h>
#include <string.h>

/* FOCAL_BLOCK of kernels/kernel.h: what one partial sum of the contract covers. */
enum { BLOCK = 4096 };

static const struct {
    const char *isa;
    const bench_summation *sums[2];
} table[] = {
#if FOCAL_BENCH_X86
    {"avx512", {&bench_fixed_avx512, &bench_free_avx512}},
    {"avx2", {&bench_fixed_avx2, &bench_free_avx2}},
#elif FOCAL_BENCH_AARCH64
    {"neon", {&bench_fixed_neon, &bench_free_neon}},
#endif
    {NULL, {NULL, NULL}},
};

static const bench_summation *summation_of(const char *isa, bench_sum sum) {
    for (size_t i = 0; table[i].isa; i++)
        if (strcmp(isa, table[i].isa) == 0)
            return table[i].sums[sum];
    return NULL;
}

int bench_summation_usable(const char *isa) {
    focal_isa_info info = {.struct_size = sizeof info};
    for (size_t i = 0; i < focal_isa_count(); i++)
        if (focal_isa_get(i, &info) == FOCAL_OK && strcmp(info.name, isa) == 0)
            return info.usable && summation_of(isa, BENCH_SUM_FIXED);
    return 0;
}

double bench_summation_run(const char *isa, bench_sum sum, const bench_data *data) {
    const bench_summation *kernels = summation_of(isa, sum);
    const bench_case *shape = data->shape;
    if (!kernels || shape->dtype != BENCH_F32 || shape->inner != 1)
        return (double)NAN;
    if (shape->op == FOCAL_SOFTMAX)
        return shape->target_kind == FOCAL_TARGET_LABEL_I32 ? kernels->softmax(data)
                                                            : (double)NAN;
    if (shape->target_kind != FOCAL_TARGET_DENSE)
        return (double)NAN;
    if (sum == BENCH_SUM_FREE)
        return kernels->sigmoid(data, 0, data->elements);
    double total = 0.0;
    for (size_t first = 0; first < data->elements; first += BLOCK) {
        size_t left = data->elements - first;
        total += kernels->sigmoid(data, first, left < BLOCK ? left : BLOCK);
    }
    return total;
}
