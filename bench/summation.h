/* The price of one answer: two of the library's kernels (loss, gamma 2, tier fast) with the sum of
 * the contract, and the same source with a sum of no fixed shape. Both are called without a plan.
 */
#ifndef FOCAL_BENCH_SUMMATION_H
#define FOCAL_BENCH_SUMMATION_H

#include "cases.h"

typedef enum { BENCH_SUM_FIXED, BENCH_SUM_FREE } bench_sum;

/* Whether this build and this CPU have them for the ISA row. */
int bench_summation_usable(const char *isa);

/* The sum of the losses of a case with dense f32 targets, or of softmax with i32 labels; NaN for
 * others. */
double bench_summation_run(const char *isa, bench_sum sum, const bench_data *data);

/* ---- The kernels: summation_kernels.c, compiled once per ISA and sum ------------------------ */

typedef struct bench_summation {
    double (*sigmoid)(const bench_data *data, size_t first, size_t count);
    double (*softmax)(const bench_data *data);
} bench_summation;

extern const bench_summation bench_fixed_avx2, bench_free_avx2;
extern const bench_summation bench_fixed_avx512, bench_free_avx512;
extern const bench_summation bench_fixed_neon, bench_free_neon;

#endif
