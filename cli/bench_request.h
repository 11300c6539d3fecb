/* What a command line of `focal bench` asks for. */
#ifndef FOCAL_CLI_BENCH_REQUEST_H
#define FOCAL_CLI_BENCH_REQUEST_H

#include "command.h"

#include <host.h>
#include <runner.h>

#define BENCH_OPTIONS(X)                                                                       \
    X(CASE, "case", "NAME,...", "workloads of --list (default all)")                           \
    X(OP, "op", "NAME", "only cases of sigmoid, or of softmax")                                \
    X(DIRECTION, "direction", "NAME,...",                                                      \
      "loss: the sum; gradient; both, in one pass; hessian:\ngradient and Hessian "            \
      "(default loss,both)")                                                                   \
    X(GAMMA, "gamma", "G,...", "focusing parameters (default 2)")                              \
    X(TIER, "tier", "NAME,...", "arithmetic: fast (default), accurate, sleef")                 \
    X(ISA, "isa", "NAME,...",                                                                  \
      "rows of 'focal info' (default the best usable one\nand scalar)")                        \
    X(SIZE, "size", "N,...",                                                                   \
      "logits per case, in the place of its own: from L1 to\nDRAM for a sweep")                \
    X(THREADS, "threads", "N,...", "OpenMP threads; 0 for one per CPU (default 1)")            \
    X(AGAINST, "against", "NAME,...",                                                          \
      "opponents: sleef, plain, vectorised; roofline; none\n(default all)")                    \
    X(BUDGET, "budget", "SECONDS", "for each table (default 5), for each goal (default 2)")    \
    X(CLOCK, "clock", "NAME", "wall (default), or cpu: one thread's CPU time")                 \
    X(MAX_BYTES, "max-bytes", "N", "skip cases that need more (default what is free)")         \
    X(JSON, "json", "FILE", "also write a report for 'focal bench compare'")                   \
    X(SMOKE, "smoke", NULL, "one execution of everything, made small: is it whole?")           \
    X(GOALS, "goals", NULL, "measure the goals of bench/goals.def instead of cases")           \
    X(BOUND, "bound", "ISA=N,...", "with --goals: cycles per logit that a model allows")       \
    X(LIST, "list", NULL, "list the cases and the opponents")                                  \
    X(QUIET, "quiet", NULL, "no progress line")

enum { BENCH_OPTIONS(OPTION_INDEX) OPTION_COUNT };
enum { LIST_MAX = 8, SIZES_MAX = 32, CASES_MAX = 64 };
enum { SMOKE_ELEMENTS = 4096 };

/* In the list `against` of a request: opponents by their number, then this. */
enum { AGAINST_ROOFLINE = BENCH_BASELINE_COUNT };

typedef struct bench_request {
    int is_chosen[CASES_MAX];
    bench_direction directions[LIST_MAX];
    double gammas[LIST_MAX];
    int64_t sizes[SIZES_MAX]; /* 0: the case's own */
    focal_tier tiers[LIST_MAX];
    const char *isas[LIST_MAX];
    int threads[LIST_MAX], most_threads;
    int against[LIST_MAX];
    size_t direction_count, gamma_count, tier_count, isa_count, thread_count, against_count;
    size_t size_count;
    double bounds[LIST_MAX]; /* by ISA; 0 unknown */
    size_t max_bytes;
    bench_settings settings;
    const char *json_path;
    int quiet, with_goals;
} bench_request;

/* The loops of OpenMP, or NULL if this build has none. */
#ifdef FOCAL_CLI_OPENMP
focal_parallel bench_parallel_of(int threads);
#else
#define bench_parallel_of NULL
#endif

int bench_parse_request(const char *const *values, bench_request *request);

/* ---- bench_goals.c ---- */

int bench_measure_goals(bench_request *request);

/* ---- cmd_bench.c ---- */

/* The host card but for the load afterwards; pins unless there are several threads. */
void bench_prepare_host(const bench_request *request, bench_card *card);
void bench_finish_card(bench_card *card);

#endif
