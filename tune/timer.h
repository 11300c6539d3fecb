/* Clocks: monotonic or CPU time in nanoseconds, their own cost, and the length of a core cycle.
 */
#ifndef FOCAL_TUNE_TIMER_H
#define FOCAL_TUNE_TIMER_H

#include <stdint.h>

typedef enum {
    FOCAL_CLOCK_WALL, /* monotonic */
    FOCAL_CLOCK_CPU,  /* CPU time of the calling thread: leaves out what others took away */
} focal_clock;

typedef struct focal_timer {
    focal_clock clock;
    double resolution_ns; /* smallest step seen */
    double overhead_ns;   /* of two readings in a row: part of every sample */
} focal_timer;

/* Estimates resolution and overhead now, in this process. */
void focal_timer_init(focal_timer *timer, focal_clock clock);

double focal_timer_now(const focal_timer *timer);

/* Seconds of the monotonic clock, for budgets. */
double focal_seconds(void);

/* Additions of focal_chain(), each of which waits for the one before: one cycle apiece on every
 * core this library knows. Timing it gives the cycle where no cycle counter may be read. */
enum { FOCAL_CHAIN_ADDS = 100000 };

/* Returns 0 where the compiler cannot be kept from shortening the chain. */
int focal_chain(void);

#endif
