#include "roofline.h"

#include "baselines.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Work of one task: long beside the cost of handing it out, short beside a thread's share. */
enum { TASK_BYTES = 256 << 10 };

typedef struct sweep {
    const bench_memory_loops *loops;
    const char *from;
    char *to; /* NULL: read only */
    size_t bytes;
    atomic_uint_fast64_t result;
} sweep;

static void run_task(void *argument, size_t index) {
    sweep *work = argument;
    size_t first = index * TASK_BYTES, left = work->bytes - first;
    size_t words = (left < TASK_BYTES ? left : TASK_BYTES) / sizeof(uint64_t);
    const uint64_t *from = (const uint64_t *)(const void *)(work->from + first);
    if (work->to)
        work->loops->copy((uint64_t *)(void *)(work->to + first), from, words);
    else
        atomic_fetch_xor(&work->result, work->loops->read(from, words));
}

/* Bytes beyond the last whole word are left out: at most 7. */
static uint64_t move(const void *from, void *to, size_t bytes, const focal_parallel *parallel) {
    sweep work = {.from = from, .to = to, .bytes = bytes};
    work.loops = bench_baseline_usable(BENCH_BASELINE_VECTORISED, NULL)
                     ? &bench_memory_vectorised
                     : &bench_memory_base;
    size_t tasks = (bytes + TASK_BYTES - 1) / TASK_BYTES;
    if (parallel && tasks > 1)
        parallel->run(parallel->context, tasks, run_task, &work);
    else
        for (size_t i = 0; i < tasks; i++)
            run_task(&work, i);
    return atomic_load(&work.result);
}

uint64_t bench_roofline_run(const bench_data *data, bench_direction direction,
                            const focal_parallel *parallel) {
    size_t bytes = data->elements * bench_dtype_bytes(data->shape->dtype);
    void *to = direction == BENCH_LOSS ? NULL : data->gradient;
    uint64_t result = move(data->logits, to, bytes, parallel) ^
                      move(data->targets, NULL, data->target_bytes, parallel);
    /* The second output is a copy of the first, which has to be read for it: from a cache if it
     * fits one, else this is slower than a loop of two stores would be. */
    if (direction == BENCH_CURVATURE)
        move(data->gradient, data->hessian, bytes, parallel);
    return result;
}

int bench_bandwidth_measure(bench_bandwidth *bandwidth, size_t bytes, focal_clock clock,
                            const focal_parallel *parallel) {
    enum { SWEEPS = 8 };
    void *from = bench_allocate(bytes), *to = bench_allocate(bytes);
    focal_timer timer;
    focal_timer_init(&timer, clock);
    *bandwidth = (bench_bandwidth){.bytes = bytes};
    for (int i = 0; i < SWEEPS && from && to; i++) {
        double start = focal_timer_now(&timer);
        uint64_t result = move(from, NULL, bytes, parallel);
        double middle = focal_timer_now(&timer);
        move(from, to, bytes, parallel);
        double end = focal_timer_now(&timer);
        /* Zeros give 0: using it keeps the reading alive. */
        double read = (double)bytes / (middle - start) + (double)result;
        double copy = 2.0 * (double)bytes / (end - middle);
        bandwidth->read = read > bandwidth->read ? read : bandwidth->read;
        bandwidth->copy = copy > bandwidth->copy ? copy : bandwidth->copy;
    }
    free(from);
    free(to);
    return bandwidth->read > 0.0;
}
