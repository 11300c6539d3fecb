/* An OpenMP parallel loop for focal_plan_execute; header-only, so that the library itself needs
 * no OpenMP. Compile with your compiler's OpenMP flag (-fopenmp).
 *
 *     focal_parallel parallel = focal_openmp_parallel(0);   // 0: as many as OpenMP would use
 *     focal_plan_execute(plan, &buffers, &parallel, &sums, &error);
 *
 * Any schedule gives the same bits; dynamic evens out cores of different speed. */
#ifndef FOCAL_OPENMP_H
#define FOCAL_OPENMP_H

#include "focal.h"

#ifndef _OPENMP
#error "focal_openmp.h needs OpenMP: compile with -fopenmp"
#endif
#include <omp.h>

static inline int focal_openmp_threads(void *context, size_t tasks) {
    int threads = (int)(intptr_t)context;
    if (threads <= 0)
        threads = omp_get_max_threads();
    return (size_t)threads > tasks ? (int)tasks : threads;
}

static inline void focal_openmp_run(void *context, size_t tasks,
                                    void (*task)(void *argument, size_t index),
                                    void *argument) {
#pragma omp parallel for schedule(dynamic)                                                     \
    num_threads(focal_openmp_threads(context, tasks)) if (tasks > 1)
    for (int64_t index = 0; index < (int64_t)tasks; index++)
        task(argument, (size_t)index);
}

/* `threads` <= 0 follows OMP_NUM_THREADS and omp_set_num_threads at the time of the call. */
static inline focal_parallel focal_openmp_parallel(int threads) {
    focal_parallel parallel = {sizeof(focal_parallel), (void *)(intptr_t)threads,
                               focal_openmp_run};
    return parallel;
}

#endif
