/* Loops that only move bytes, for the compiler to vectorise; compiled as plain.c is. */
#include "roofline.h"

#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)

/* Exclusive or may be reordered, so this becomes independent vectors. */
static uint64_t read_words(const uint64_t *words, size_t count) {
    enum { STREAMS = 32 };
    uint64_t streams[STREAMS] = {0}, result = 0;
    size_t i = 0;
    for (; i + STREAMS <= count; i += STREAMS)
        for (size_t s = 0; s < STREAMS; s++)
            streams[s] ^= words[i + s];
    for (; i < count; i++)
        result ^= words[i];
    for (size_t s = 0; s < STREAMS; s++)
        result ^= streams[s];
    return result;
}

/* Sixteen words per step: vector loads and stores of any width. meson.build keeps compilers from
 * calling memcpy here, which would write around the caches where the library does not. */
static void copy_words(uint64_t *restrict to, const uint64_t *restrict from, size_t count) {
    enum { STEP = 16 };
    size_t i = 0;
    for (; i + STEP <= count; i += STEP)
        for (size_t s = 0; s < STEP; s++)
            to[i + s] = from[i + s];
    for (; i < count; i++)
        to[i] = from[i];
}

const bench_memory_loops PASTE(bench_memory_, BENCH_SET) = {read_words, copy_words};
