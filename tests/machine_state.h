/* State of the processor that a kernel must leave as it found it. */
#ifndef FOCAL_TESTS_MACHINE_STATE_H
#define FOCAL_TESTS_MACHINE_STATE_H

#include <stdbool.h>
#include <stdint.h>

/* Rounding mode, flush bits and exception masks, not the flags of exceptions that happened.
 * x86: MXCSR below, x87 control word above; Arm: FPCR; elsewhere nothing (always 0). */
typedef uint64_t float_control;

float_control float_control_read(void);
void float_control_write(float_control control);

/* Another legal state: rounding upwards, subnormals flushed. */
float_control float_control_odd(float_control normal);

/* Subnormal operands and results flushed, nothing else. */
float_control float_control_flush(float_control normal);

/* Whether the processor tells that upper halves of YMM or ZMM are in use (XGETBV 1); proved by
 * dirtying and cleaning them. Never so where there are none, nor where the build has
 * FOCAL_TESTS_UPPER_HALVES 0: below -O2 gcc writes no vzeroupper. */
bool upper_halves_observable(void);

/* Both are inlined, since they shall see nothing but what lies between them. */
static inline void upper_halves_clean(bool observable) {
#if defined(__x86_64__)
    if (observable)
        __asm__ volatile("vzeroupper" ::: "memory");
#else
    (void)observable;
#endif
}

/* Bit 2: upper halves of YMM0-15, bit 6: of ZMM0-15. The masks and ZMM16-31 slow nobody down. */
static inline bool upper_halves_in_use(bool observable) {
#if defined(__x86_64__)
    if (!observable)
        return false;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(1) : "memory");
    return (low & 0x44) != 0;
#else
    (void)observable;
    return false;
#endif
}

#endif
