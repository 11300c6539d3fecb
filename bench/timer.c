#include "timer.h"

#include "stats.h"

#include <stddef.h>
#include <time.h>

static double read_clock(clockid_t id) {
    struct timespec time;
    clock_gettime(id, &time);
    return 1e9 * (double)time.tv_sec + (double)time.tv_nsec;
}

double bench_timer_now(const bench_timer *timer) {
    return read_clock(timer->clock == BENCH_CLOCK_CPU ? CLOCK_THREAD_CPUTIME_ID
                                                      : CLOCK_MONOTONIC);
}

double bench_seconds(void) {
    return 1e-9 * read_clock(CLOCK_MONOTONIC);
}

void bench_timer_init(bench_timer *timer, bench_clock clock) {
    enum { READINGS = 1001 };
    double steps[READINGS];
    *timer = (bench_timer){.clock = clock};
    for (size_t i = 0; i < READINGS; i++) {
        double start = bench_timer_now(timer);
        double step = bench_timer_now(timer) - start;
        steps[i] = step;
        if (step > 0.0 && (timer->resolution_ns == 0.0 || step < timer->resolution_ns))
            timer->resolution_ns = step;
    }
    timer->overhead_ns = bench_summarize(steps, READINGS).median;
}

/* The second operand is a register: some cores finish additions of constants at renaming, in no
 * time at all. */
#if defined(__x86_64__) || defined(__i386__)
#define CHAIN_ADD(sum, one) __asm__ volatile("add %1, %0" : "+r"(sum) : "r"(one))
#elif defined(__aarch64__)
#define CHAIN_ADD(sum, one) __asm__ volatile("add %0, %0, %1" : "+r"(sum) : "r"(one))
#endif

int bench_chain(void) {
#ifdef CHAIN_ADD
    uintptr_t sum = 0, one = 1;
    for (int i = 0; i < BENCH_CHAIN_ADDS / 10; i++) {
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
    return sum == BENCH_CHAIN_ADDS;
#else
    return 0;
#endif
}
