/* Threads for focal_plan_execute: a pool of the process, asleep between executions. */
#ifndef FOCAL_PYTHON_POOL_H
#define FOCAL_PYTHON_POOL_H

#include "focal.h"

enum { POOL_MOST_THREADS = 256 };

/* A parallel loop on at most `threads` threads, the caller's among them. Threads are started when
 * first needed. While one execution uses the pool, others run on their own threads alone; a
 * forked child starts with an empty pool. */
focal_parallel pool_parallel(int threads);

#endif
