#define _GNU_SOURCE /* sched_setaffinity, RUSAGE_THREAD */
#include "runner.h"

#include "roofline.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* Executions shorter than this are run once untimed before a sample, which refills the caches
 * from the previous variant. */
static const double rewarm_ns = 1e6;
/* Wide vector units and clocks need about this long to wake. */
static const double warm_up_ns = 1e6;

typedef struct contender {
    const bench_entry *entry;
    focal_plan *plan;
    focal_buffers buffers;
    void *workspace;
    focal_parallel parallel;
    double sum;
} contender;

typedef struct contest {
    contender *contenders;
    size_t count;
    focal_timer timer;
    const bench_settings *settings;
    bench_result *results;
    double *chain; /* ns per cycle of each round */
    uint64_t random;
} contest;

/* Whatever is stored here was computed. */
static volatile uint64_t sink;

void bench_variant_name(const bench_variant *variant, char name[BENCH_NAME_MAX]) {
    char threads[16] = "";
    if (variant->threads > 1)
        snprintf(threads, sizeof threads, " x%d", variant->threads);
    if (variant->kind == BENCH_KIND_FOCAL)
        snprintf(name, BENCH_NAME_MAX, "%s %s%s", variant->isa, focal_tier_name(variant->tier),
                 threads);
    else if (variant->kind == BENCH_KIND_ROOFLINE)
        snprintf(name, BENCH_NAME_MAX, "roofline%s", threads);
    else if (variant->kind == BENCH_KIND_KERNEL)
        snprintf(name, BENCH_NAME_MAX, "%s %s sum", variant->isa,
                 variant->sum == BENCH_SUM_FREE ? "free" : "fixed");
    else if (variant->isa)
        snprintf(name, BENCH_NAME_MAX, "%s on %s", bench_baseline_name(variant->baseline),
                 variant->isa);
    else
        snprintf(name, BENCH_NAME_MAX, "%s", bench_baseline_name(variant->baseline));
}

int bench_pin(void) {
#ifdef __linux__
    int cpu = sched_getcpu();
    cpu_set_t set;
    if (cpu < 0 || cpu >= CPU_SETSIZE)
        return -1;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0 ? cpu : -1;
#else
    return -1;
#endif
}

static long preemptions(void) {
#ifdef RUSAGE_THREAD
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
#else
    return 0;
#endif
}

static int create(contender *one, const bench_settings *settings, char error[256]) {
    const bench_entry *entry = one->entry;
    if (entry->variant.threads > 1)
        one->parallel = settings->parallel(entry->variant.threads);
    if (entry->variant.kind != BENCH_KIND_FOCAL)
        return 1;
    focal_problem problem;
    focal_options options;
    focal_error failure = FOCAL_ERROR_INIT;
    bench_problem(&problem, entry->data, entry->gamma, entry->direction, entry->variant.tier);
    focal_options_init(&options);
    options.isa = entry->variant.isa;
    options.threads = (uint32_t)entry->variant.threads;
    if (focal_plan_create(&one->plan, &problem, &options, &failure) != FOCAL_OK) {
        snprintf(error, 256, "%s", failure.message);
        return 0;
    }
    focal_buffers_init(&one->buffers);
    one->buffers.logits = entry->data->logits;
    one->buffers.targets = entry->data->targets;
    one->buffers.gradient = entry->data->gradient;
    one->buffers.hessian = entry->data->hessian;
    one->buffers.workspace_size = focal_plan_workspace_size(one->plan);
    one->buffers.workspace = one->workspace = bench_allocate(one->buffers.workspace_size);
    if (!one->workspace)
        snprintf(error, 256, "not enough memory");
    return one->workspace != NULL;
}

static void destroy(contender *one) {
    focal_plan_destroy(one->plan);
    free(one->workspace);
}

static int execute_library(contender *one) {
    const focal_parallel *parallel = one->entry->variant.threads > 1 ? &one->parallel : NULL;
    focal_sums sums = FOCAL_SUMS_INIT;
    focal_status status = focal_plan_execute(one->plan, &one->buffers, parallel, &sums, NULL);
    one->sum = sums.loss;
    return status == FOCAL_OK;
}

static int execute(contender *one, uint64_t iterations) {
    const bench_entry *entry = one->entry;
    const bench_variant *variant = &entry->variant;
    for (uint64_t i = 0; i < iterations; i++) {
        switch (variant->kind) {
        case BENCH_KIND_FOCAL:
            if (!execute_library(one))
                return 0;
            continue;
        case BENCH_KIND_ROOFLINE:
            sink = bench_roofline_run(entry->data, entry->direction,
                                      variant->threads > 1 ? &one->parallel : NULL);
            continue;
        case BENCH_KIND_KERNEL:
            one->sum = bench_summation_run(variant->isa, variant->sum, entry->data);
            break;
        case BENCH_KIND_BASELINE:
            one->sum = bench_baseline_run(variant->baseline, variant->isa, entry->data,
                                          entry->gamma, entry->direction);
            break;
        }
        sink = one->sum > 0.0;
    }
    return 1;
}

/* ns of so many executions; negative if one failed. */
static double sample(contest *all, size_t index, uint64_t iterations) {
    double start = focal_timer_now(&all->timer);
    int done = execute(&all->contenders[index], iterations);
    double time = focal_timer_now(&all->timer) - start - all->timer.overhead_ns;
    if (!done)
        return -1.0;
    return time > all->timer.resolution_ns ? time : all->timer.resolution_ns;
}

/* The least of three samples, as one that is interrupted looks long enough; of one if that takes
 * longer than any interruption would matter. Adds all time to *total. */
static double least_sample(contest *all, size_t index, uint64_t iterations, double *total) {
    double least = sample(all, index, iterations);
    *total += least;
    for (int i = 0; i < 2 && least >= 0.0 && least < 100.0 * BENCH_SAMPLE_NS; i++) {
        double time = sample(all, index, iterations);
        *total += time;
        least = time < least ? time : least;
    }
    return least;
}

/* Warms up, and finds how many executions a sample needs. */
static int calibrate(contest *all, size_t index) {
    uint64_t iterations = 1;
    double time = sample(all, index, 1), total = time;
    if (!all->settings->smoke && time >= 0.0)
        time = 0.0; /* perhaps interrupted: the loop measures once more, at least */
    while (time >= 0.0 && !all->settings->smoke &&
           (time < BENCH_SAMPLE_NS || total < warm_up_ns)) {
        time = least_sample(all, index, iterations, &total);
        if (time >= BENCH_SAMPLE_NS || time < 0.0)
            continue;
        double wanted = 1.1 * BENCH_SAMPLE_NS / time;
        iterations = (uint64_t)((double)iterations * (wanted < 8.0 ? wanted : 8.0)) + 1;
        time = 0.0;
    }
    all->results[index].iterations = iterations;
    return time >= 0.0;
}

static size_t random_below(uint64_t *state, size_t limit) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)((*state >> 33) % limit);
}

/* The cycle in ns. */
static double time_chain(const focal_timer *timer) {
    double start = focal_timer_now(timer);
    int counted = focal_chain();
    double time = focal_timer_now(timer) - start - timer->overhead_ns;
    return counted ? time / (double)FOCAL_CHAIN_ADDS : 0.0;
}

/* One sample of everyone in random order; number `count` is the chain. */
static int run_round(contest *all, size_t round, size_t *order) {
    for (size_t i = 0; i <= all->count; i++) {
        size_t j = random_below(&all->random, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
    for (size_t i = 0; i <= all->count; i++) {
        size_t index = order[i];
        if (index == all->count) {
            all->chain[round] = time_chain(&all->timer);
            continue;
        }
        bench_result *result = &all->results[index];
        if (round > 0 && result->samples[round - 1] < rewarm_ns)
            execute(&all->contenders[index], 1);
        long before = preemptions();
        double time = sample(all, index, result->iterations);
        if (time < 0.0)
            return 0;
        result->preempted += preemptions() != before;
        result->samples[round] = time / (double)result->iterations;
        result->rounds = round + 1;
    }
    return 1;
}

/* Summaries of what there is; returns the worst uncertainty. */
static double summarize(contest *all, size_t rounds) {
    double worst = 0.0;
    for (size_t i = 0; i < all->count; i++) {
        bench_result *result = &all->results[i];
        result->time = focal_summarize(result->samples, rounds);
        result->sum = all->contenders[i].sum;
        if (all->chain[0] > 0.0)
            result->cycles = focal_paired_ratio(result->samples, all->chain, rounds).median;
        double uncertainty = focal_uncertainty(&result->time);
        worst = uncertainty > worst ? uncertainty : worst;
    }
    return worst;
}

static void report_progress(const bench_settings *settings, size_t round, double spent) {
    if (!settings->progress)
        return;
    double by_rounds = (double)round / (double)BENCH_ROUNDS, by_time = spent / settings->budget;
    double share = by_time > by_rounds ? by_time : by_rounds;
    settings->progress(settings->progress_context, share < 1.0 ? share : 1.0);
}

static int run_contest(contest *all, size_t *order) {
    const bench_settings *settings = all->settings;
    double started = focal_seconds();
    for (size_t i = 0; i < all->count; i++)
        if (!calibrate(all, i))
            return 0;
    size_t rounds = 0;
    for (; rounds < FOCAL_SAMPLES_MAX; rounds++) {
        double spent = focal_seconds() - started;
        int least = settings->smoke ? 1 : BENCH_ROUNDS_LEAST;
        if (rounds >= (size_t)least && (settings->smoke || spent > settings->budget))
            break;
        /* Sorting all samples is not free: look now and then. */
        if (rounds >= BENCH_ROUNDS && rounds % 10 == 0 &&
            summarize(all, rounds) < BENCH_UNCERTAINTY)
            break;
        report_progress(settings, rounds, spent);
        if (!run_round(all, rounds, order))
            return 0;
    }
    summarize(all, rounds);
    return 1;
}

int bench_run(const bench_entry *entries, size_t count, const bench_settings *settings,
              bench_result *results, char error[256]) {
    contest all = {.count = count, .settings = settings, .results = results, .random = 1};
    size_t *order = calloc(count + 1, sizeof *order);
    all.contenders = calloc(count, sizeof *all.contenders);
    all.chain = calloc(FOCAL_SAMPLES_MAX, sizeof *all.chain);
    int good = order && all.contenders && all.chain;
    snprintf(error, 256, good ? "an execution failed" : "not enough memory");
    focal_timer_init(&all.timer, settings->clock);
    memset(results, 0, count * sizeof *results);
    for (size_t i = 0; i < count && good; i++) {
        results[i].variant = entries[i].variant;
        results[i].samples = calloc(FOCAL_SAMPLES_MAX, sizeof *results[i].samples);
        all.contenders[i].entry = &entries[i];
        good = results[i].samples && create(&all.contenders[i], settings, error);
    }
    good = good && run_contest(&all, order);
    for (size_t i = 0; i < count && all.contenders; i++)
        destroy(&all.contenders[i]);
    free(all.contenders);
    free(all.chain);
    free(order);
    if (!good)
        bench_results_release(results, count);
    return good;
}

void bench_results_release(bench_result *results, size_t count) {
    for (size_t i = 0; i < count; i++) {
        free(results[i].samples);
        results[i].samples = NULL;
    }
}
