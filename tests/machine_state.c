#include "machine_state.h"

#include <stddef.h>

#include "cpu.h"

/* A sanitized build is one for debugging, mostly at -O1. */
#ifndef FOCAL_TESTS_UPPER_HALVES
#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
#define FOCAL_TESTS_UPPER_HALVES 0
#else
#define FOCAL_TESTS_UPPER_HALVES 1
#endif
#endif

#if defined(__x86_64__)

#include <immintrin.h>

/* MXCSR without the six sticky exception flags. */
enum { MXCSR_CONTROL = 0xffc0, MXCSR_ROUND_UP = 0x4000, MXCSR_FLUSH = 0x8040 };

float_control float_control_read(void) {
    uint16_t x87;
    __asm__ volatile("fnstcw %0" : "=m"(x87));
    return (uint64_t)x87 << 32 | (_mm_getcsr() & MXCSR_CONTROL);
}

void float_control_write(float_control control) {
    uint16_t x87 = (uint16_t)(control >> 32);
    __asm__ volatile("fldcw %0" : : "m"(x87));
    _mm_setcsr((uint32_t)control & MXCSR_CONTROL);
}

float_control float_control_odd(float_control normal) {
    return normal | MXCSR_ROUND_UP | MXCSR_FLUSH;
}

float_control float_control_flush(float_control normal) {
    return normal | MXCSR_FLUSH;
}

bool upper_halves_observable(void) {
    const focal_cpu_reader *reader = focal_cpu_host_reader();
    uint32_t leaf[4];
    if (!FOCAL_TESTS_UPPER_HALVES || !(focal_cpu_host()->features & FOCAL_CPU_AVX))
        return false;
    reader->cpuid(reader->context, 0, 0, leaf);
    if (leaf[0] < 0xd)
        return false;
    reader->cpuid(reader->context, 0xd, 1, leaf);
    if (!(leaf[0] & 4))
        return false;
    __asm__ volatile("vpcmpeqd %%xmm1, %%xmm1, %%xmm1\n\t"
                     "vinsertf128 $1, %%xmm1, %%ymm1, %%ymm1" ::
                         : "xmm1", "memory");
    bool dirty = upper_halves_in_use(true);
    upper_halves_clean(true);
    return dirty && !upper_halves_in_use(true);
}

#elif defined(__aarch64__)

float_control float_control_read(void) {
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    return control;
}

void float_control_write(float_control control) {
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
}

/* RMode 01, FZ. */
float_control float_control_odd(float_control normal) {
    return normal | UINT64_C(1) << 22 | UINT64_C(1) << 24;
}

/* FZ16 and FZ. */
float_control float_control_flush(float_control normal) {
    return normal | UINT64_C(1) << 19 | UINT64_C(1) << 24;
}

bool upper_halves_observable(void) {
    return false;
}

#else

float_control float_control_read(void) {
    return 0;
}

void float_control_write(float_control control) {
    (void)control;
}

float_control float_control_odd(float_control normal) {
    return normal;
}

float_control float_control_flush(float_control normal) {
    return normal;
}

bool upper_halves_observable(void) {
    return false;
}

#endif
