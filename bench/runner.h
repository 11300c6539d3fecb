/* Measures variants of one workload against each other: warmed up, calibrated, interleaved in
 * random order round by round, so that whatever slows the machine for a while slows all of them.
 */
#ifndef FOCAL_BENCH_RUNNER_H
#define FOCAL_BENCH_RUNNER_H

#include "baselines.h"
#include "cases.h"
#include "stats.h"
#include "summation.h"
#include "timer.h"

typedef enum {
    BENCH_KIND_FOCAL,    /* the library, pinned to an ISA row */
    BENCH_KIND_BASELINE, /* an opponent */
    BENCH_KIND_ROOFLINE, /* moving the bytes alone */
    BENCH_KIND_KERNEL,   /* a kernel of summation.h */
} bench_kind;

typedef struct bench_variant {
    bench_kind kind;
    const char *isa; /* of the library, of SLEEF, of kernels */
    focal_tier tier;
    bench_baseline baseline;
    bench_sum sum;
    int threads; /* of the library and of the roofline; opponents have one */
} bench_variant;

/* "avx2 fast", "avx2 fast x2", "sleef on avx2", "plain", "roofline"; the name by which reports
 * are compared. */
enum { BENCH_NAME_MAX = 48 };
void bench_variant_name(const bench_variant *variant, char name[BENCH_NAME_MAX]);

typedef struct bench_settings {
    focal_clock clock;
    double budget; /* seconds per workload; a variant that is running is never cut */
    int smoke;     /* one execution of everything, no statistics */
    /* The loop for so many threads, > 1. */
    focal_parallel (*parallel)(int threads);
    /* Called now and then with the share done, if not NULL. */
    void (*progress)(void *context, double share);
    void *progress_context;
} bench_settings;

enum { BENCH_ROUNDS = 30, BENCH_ROUNDS_LEAST = 3 };
#define BENCH_SAMPLE_NS   100e3 /* a sample lasts at least this long */
#define BENCH_UNCERTAINTY 0.01  /* enough rounds when every median is known this well */

typedef struct bench_result {
    bench_variant variant;
    size_t rounds;
    uint64_t iterations; /* executions per sample */
    double *samples;     /* ns per execution, one per round; freed by bench_results_release() */
    focal_summary time;  /* of them */
    double cycles; /* core cycles per execution, by the chain of the same round; 0 unknown */
    uint64_t preempted; /* samples that another process interrupted */
    double sum;         /* of the losses, as the variant computes it; 0 if not wanted */
} bench_result;

/* What is measured in one line of a contest. */
typedef struct bench_entry {
    const bench_data *data;
    double gamma;
    bench_direction direction;
    bench_variant variant;
} bench_entry;

/* Measures all entries against each other; fills results[0 .. count). On failure returns 0 with
 * one line in `error`. */
int bench_run(const bench_entry *entries, size_t count, const bench_settings *settings,
              bench_result *results, char error[256]);
void bench_results_release(bench_result *results, size_t count);

/* Keeps this thread on the CPU it runs on; threads made later inherit that. Returns the CPU, or
 * -1 if the system does not allow it. */
int bench_pin(void);

#endif
