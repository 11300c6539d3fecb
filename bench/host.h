/* The host card: what a figure depends on besides the code. No figure goes without it. */
#ifndef FOCAL_BENCH_HOST_H
#define FOCAL_BENCH_HOST_H

#include "timer.h"

#include <focal.h>

/* Lines of the card: X(id, key in JSON and text). Values are text. */
#define BENCH_CARD_LIST(X)                                                                     \
    X(CPU, "cpu")                                                                              \
    X(ISA, "isa_usable")                                                                       \
    X(CACHES, "caches")                                                                        \
    X(CPUS, "cpus")                                                                            \
    X(VIRTUAL, "virtual")                                                                      \
    X(GOVERNOR, "governor")                                                                    \
    X(BOOST, "boost")                                                                          \
    X(SMT, "smt")                                                                              \
    X(PAGES, "huge_pages")                                                                     \
    X(KERNEL, "kernel")                                                                        \
    X(LIBRARY, "library")                                                                      \
    X(COMMIT, "commit")                                                                        \
    X(COMPILER, "compiler")                                                                    \
    X(FLAGS, "flags")                                                                          \
    X(SLEEF, "sleef")                                                                          \
    X(CLOCK, "clock")                                                                          \
    X(FREQUENCY, "frequency")                                                                  \
    X(PINNED, "pinned")                                                                        \
    X(READ, "read_bandwidth")                                                                  \
    X(COPY, "copy_bandwidth")                                                                  \
    X(LOAD, "load")

typedef enum {
#define BENCH_CARD_ENUM(id, key) BENCH_CARD_##id,
    BENCH_CARD_LIST(BENCH_CARD_ENUM)
#undef BENCH_CARD_ENUM
        BENCH_CARD_COUNT
} bench_card_line;

typedef struct bench_card {
    char text[BENCH_CARD_COUNT][128];
} bench_card;

extern const char *const bench_card_keys[BENCH_CARD_COUNT];

/* All lines but PINNED, READ and COPY, which the caller knows; those become "unknown". LOAD is
 * that of now. */
void bench_card_fill(bench_card *card, focal_clock clock);
void bench_card_set(bench_card *card, bench_card_line line, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

int bench_cpu_count(void);

/* The system's load average over a minute; negative if unknown. */
double bench_load(void);

/* Bytes that programs can still get; 0 if unknown. */
size_t bench_memory_available(void);

/* The most memory that this process held at once since the reset; 0 if the system does not say.
 * Without the reset, since its start. */
void bench_memory_peak_reset(void);
size_t bench_memory_peak(void);

#endif
