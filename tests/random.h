/* A small generator (splitmix64, Steele et al. 2014): the same numbers on every machine. */
#ifndef FOCAL_TESTS_RANDOM_H
#define FOCAL_TESTS_RANDOM_H

#include <stdint.h>

typedef struct {
    uint64_t state;
} random_source;

static inline uint64_t random_mix(uint64_t a) {
    a = (a ^ a >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    a = (a ^ a >> 27) * UINT64_C(0x94d049bb133111eb);
    return a ^ a >> 31;
}

static inline uint64_t random_next(random_source *source) {
    source->state += UINT64_C(0x9e3779b97f4a7c15);
    return random_mix(source->state);
}

/* In [0, limit), limit < 2^32. */
static inline uint32_t random_below(random_source *source, uint32_t limit) {
    return (uint32_t)((random_next(source) >> 32) * limit >> 32);
}

/* A source of its own for each name. */
static inline random_source random_named(uint64_t seed, const char *name, uint64_t length) {
    uint64_t state = random_mix(seed + 1);
    for (uint64_t i = 0; i < length; i++)
        state = random_mix(state ^ (unsigned char)name[i]);
    return (random_source){state};
}

#endif
