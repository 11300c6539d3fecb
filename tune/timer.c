#define _POSIX_C_SOURCE 200809L
#include "timer.h"

#include "stats.h"

#include <stddef.h>
#include <time.h>

static double read_clock(clockid_t id) {
    struct timespec time;
    clock_gettime(id, &time);
    return 1e9 * (double)time.tv_sec + (double)time.tv_nsec;
}

double focal_timer_now(const focal_timer *timer) {
    return read_clock(timer->clock == FOCAL_CLOCK_CPU ? CLOCK_THREAD_CPUTIME_ID
                                                      : CLOCK_MONOTONIC);
}

double focal_seconds(void) {
    return 1e-9 * read_clock(CLOCK_MONOTONIC);
}

void focal_timer_init(focal_timer *timer, focal_clock clock) {
    enum { READINGS = 1001 };
    double steps[READINGS];
    *timer = (focal_timer){.clock = clock};
    for (size_t i = 0; i < READINGS; i++) {
        double start = focal_timer_now(timer);
        double step = focal_timer_now(timer) - start;
        steps[i] = step;
        if (step > 0.0 && (timer->resolution_ns == 0.0 || step < timer->resolution_ns))
            timer->resolution_ns = step;
    }
    timer->overhead_ns = focal_summarize(steps, READINGS).median;
}

/* The second operand is a register: some cores finish additions of constants at renaming, in no
 * time at all. */
#if defined(__x86_64__) || defined(__i386__)
#define CHAIN_ADD(sum, one) __asm__ volatile("add %1, %0" : "+r"(sum) : "r"(one))
#elif defined(__aarch64__)
#define CHAIN_ADD(sum, one) __asm__ volatile("add %0, %0, %1" : "+r"(sum) : "r"(one))
#endif

int focal_chain(void) {
#ifdef CHAIN_ADD
    uintptr_t sum = 0, one = 1;
    for (int i = 0; i < FOCAL_CHAIN_ADDS / 10; i++) {
        CHAIN_ADD(sum, one);
        CHAIN_ADD(sum, one);
        CHAIN_ADD(sum, one);
        CHAIN_ADD(sum, one);
        CHAIN_ADD(sum, one);
        CHAIN_ADD(sum, one);
        CHAIN_ADD(sum, one);
        CHAIN_ADD(sum, one);
        CHAIN_ADD(sum, one);
        CHAIN_ADD(sum, one);
    }
    return sum == FOCAL_CHAIN_ADDS;
#else
    return 0;
#endif
}
