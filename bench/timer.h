/* Clocks: monotonic or CPU time in nanoseconds, their own cost, and the length of a core cycle.
 */
#ifndef FOCAL_BENCH_TIMER_H
#define FOCAL_BENCH_TIMER_H

#include <stdint.h>

typedef enum {
    BENCH_CLOCK_WALL, /* monotonic */
    BENCH_CLOCK_CPU,  /* CPU time of the calling thread: leaves out what others took away */
} bench_clock;

typedef struct bench_timer {
    bench_clock clock;
    double resolution_ns; /* smallest step seen */
    double overhead_ns;   /* of two readings in a row: part of every sample */
} bench_timer;

/* Estimates resolution and overhead now, in this process. */
void bench_timer_init(bench_timer *timer, bench_clock clock);

double bench_timer_now(const bench_timer *timer);

/* Seconds of the monotonic clock, for budgets. */
double bench_seconds(void);

/* Additions of bench_chain(), each of which waits for the one before: one cycle apiece on every
 * core this library knows. Timing it gives the cycle where no cycle counter may be read. */
enum { BENCH_CHAIN_ADDS = 100000 };

/* Returns 0 where the compiler cannot be kept from shortening the chain. */
int bench_chain(void);

#endif
