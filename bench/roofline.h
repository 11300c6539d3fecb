/* Memory bandwidth: the time no kernel can beat that moves the same bytes by ordinary loads and
 * stores. */
#ifndef FOCAL_BENCH_ROOFLINE_H
#define FOCAL_BENCH_ROOFLINE_H

#include "cases.h"
#include "timer.h"

/* Moves what one execution must move: reads logits and targets, copies the logits to the
 * gradient unless the direction is the loss. `parallel` NULL: one thread. The result depends on
 * every byte read. */
uint64_t bench_roofline_run(const bench_data *data, bench_direction direction,
                            const focal_parallel *parallel);

/* GB/s (10^9), best of several sweeps; a copy counts its bytes twice. */
typedef struct bench_bandwidth {
    double read, copy;
    size_t bytes; /* of each array */
} bench_bandwidth;

/* On arrays of `bytes` each; returns 0 if memory is short. The clock of one thread measures
 * nothing of several: pass the wall's then. */
int bench_bandwidth_measure(bench_bandwidth *bandwidth, size_t bytes, focal_clock clock,
                            const focal_parallel *parallel);

/* ---- The loops, compiled as plain.c is ----------------------------------------------------- */

typedef struct bench_memory_loops {
    uint64_t (*read)(const uint64_t *words, size_t count);
    void (*copy)(uint64_t *restrict to, const uint64_t *restrict from, size_t count);
} bench_memory_loops;

extern const bench_memory_loops bench_memory_base, bench_memory_vectorised;

#endif
