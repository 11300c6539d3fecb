// The program that selfcheck.sh runs in the guest; see there for what is
// expected of each of its modes. Built without AVX-512, so that it can say what
// the CPU lacks instead of dying of it.
#define _GNU_SOURCE
#include "selfcheck_zmm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAMS_STATUS 7
#define THREADS        3

#define AVX512_FEATURES(X) X("avx512f") X("avx512bw") X("avx512dq") X("avx512vl")

static int check_features(void) {
    int missing = 0;
    __builtin_cpu_init();
#define REPORT_MISSING(name)                                                                   \
    if (!__builtin_cpu_supports(name)) {                                                       \
        fprintf(stderr, "the CPU lacks %s\n", name);                                           \
        missing++;                                                                             \
    }
    AVX512_FEATURES(REPORT_MISSING)
#undef REPORT_MISSING
    return missing > 0;
}

// Registers of several threads survive each other, and libgomp works
static int check_threads(int planted) {
    int wrong = 0, threads = 0;
#pragma omp parallel num_threads(THREADS) reduction(+ : wrong, threads)
    {
        threads++;
        for (int i = 0; i < 2000; i++)
            wrong += selfcheck_wrong_results(planted);
    }
    if (threads != THREADS)
        fprintf(stderr, "%d threads instead of %d\n", threads, THREADS);
    return wrong > 0 || threads != THREADS;
}

static int write_streams(void) {
    for (int byte = 0; byte < 256; byte++)
        putchar(byte);
    fputs("to standard error", stderr);
    return STREAMS_STATUS;
}

static int read_unmapped(void) {
    const volatile char *volatile nowhere = NULL;
    return *nowhere;
}

int main(int argc, char **argv) {
    const char *mode = argc == 2 ? argv[1] : "";
    if (strcmp(mode, "features") == 0)
        return check_features();
    if (strcmp(mode, "arithmetic") == 0)
        return check_threads(0);
    if (strcmp(mode, "planted") == 0)
        return check_threads(1);
    if (strcmp(mode, "streams") == 0)
        return write_streams();
    if (strcmp(mode, "sigsegv") == 0)
        return read_unmapped();
    if (strcmp(mode, "sigill") == 0)
        __builtin_trap();
    if (strcmp(mode, "hang") == 0)
        for (volatile int forever = 1; forever;)
            ;
    fprintf(stderr, "usage: %s MODE\n", argv[0]);
    return 2;
}
