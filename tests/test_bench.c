/* The measuring core of bench/: statistics with known answers, a runner that counts right, goals
 * that judge right. test_bench_opponents.c has the rest. */
#include "check.h"
#include "goals.h"
#include "roofline.h"
#include "runner.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

static void check_summary(void) {
    const double odd[] = {7.0, 1.0, 3.0, 100.0, 4.0};
    focal_summary summary = focal_summarize(odd, 5);
    CHECK(summary.count == 5 && summary.median == 4.0 && summary.least == 1.0);
    CHECK(summary.mad == 3.0);                          /* of 3 3 1 96 0 */
    CHECK(summary.low == 1.0 && summary.high == 100.0); /* no interval: the extremes */
    CHECK(isinf(focal_uncertainty(&summary)));
    const double even[] = {4.0, 1.0, 2.0, 8.0};
    summary = focal_summarize(even, 4);
    CHECK(summary.median == 3.0 && summary.mad == 1.5);
    CHECK(even[0] == 4.0);
    CHECK(focal_summarize(odd, 0).count == 0 && focal_summarize(odd, 0).median == 0.0);
}

/* Ranks of the sign test's 95 % interval from published tables (e.g. Conover, Practical
 * Nonparametric Statistics). */
static void check_interval(void) {
    static const struct {
        size_t count;
        double low, high;
    } table[] = {{6, 1, 6},   {8, 1, 8},    {9, 2, 8},    {10, 2, 9},
                 {20, 6, 15}, {30, 10, 21}, {50, 18, 33}, {100, 40, 61}};
    double values[FOCAL_SAMPLES_MAX];
    for (size_t i = 0; i < FOCAL_SAMPLES_MAX; i++)
        values[i] = (double)(i + 1);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        focal_summary summary = focal_summarize(values, table[i].count);
        CHECK_CASE(summary.low == table[i].low && summary.high == table[i].high,
                   "%zu samples: ranks %g and %g", table[i].count, summary.low, summary.high);
    }
    focal_summary all = focal_summarize(values, FOCAL_SAMPLES_MAX);
    CHECK(all.low == 469.0 && all.high == 532.0); /* 500.5 -+ 1.96 sqrt(1000) / 2 */
    CHECK(fabs(focal_uncertainty(&all) - 31.5 / 500.5) < 1e-12);
}

/* A machine that slows down by half within the run changes times, not ratios. */
static void check_pairs(void) {
    double a[40], b[40];
    for (size_t i = 0; i < 40; i++) {
        double drift = i < 20 ? 1.0 : 1.5;
        a[i] = 2.0 * drift * (1.0 + 0.001 * (double)(i % 5));
        b[i] = drift;
    }
    focal_summary ratio = focal_paired_ratio(a, b, 40);
    CHECK(fabs(ratio.median - 2.004) < 1e-9);
    CHECK(ratio.low >= 2.0 && ratio.high <= 2.008 && ratio.low < ratio.high);
}

static void check_verdicts(void) {
    CHECK(focal_judge(0.96, 0.95, 0.97, FOCAL_FLOOR_PAIRED) == FOCAL_FASTER);
    CHECK(focal_judge(1.04, 1.03, 1.05, FOCAL_FLOOR_PAIRED) == FOCAL_SLOWER);
    CHECK(focal_judge(0.98, 0.975, 0.985, FOCAL_FLOOR_PAIRED) == FOCAL_NOISE);
    CHECK(focal_judge(1.02, 1.015, 1.025, FOCAL_FLOOR_PAIRED) == FOCAL_NOISE);
    CHECK(focal_judge(0.5, 0.3, 1.01, FOCAL_FLOOR_PAIRED) == FOCAL_NOISE);
    CHECK(focal_judge(2.0, 0.99, 3.0, FOCAL_FLOOR_PAIRED) == FOCAL_NOISE);
    CHECK(focal_judge(0.92, 0.91, 0.93, FOCAL_FLOOR_VIRTUAL) == FOCAL_NOISE);
    CHECK(focal_judge(0.89, 0.88, 0.90, FOCAL_FLOOR_VIRTUAL) == FOCAL_FASTER);
    CHECK_TEXT(focal_verdict_name(FOCAL_SLOWER), "slower");
}

static void check_timer(void) {
    for (int i = 0; i < 2; i++) {
        focal_timer timer;
        focal_timer_init(&timer, i ? FOCAL_CLOCK_CPU : FOCAL_CLOCK_WALL);
        CHECK(timer.resolution_ns > 0.0 && timer.overhead_ns >= 0.0);
        double start = focal_timer_now(&timer);
        int counted = focal_chain();
        double time = focal_timer_now(&timer) - start;
#if defined(__x86_64__) || defined(__aarch64__)
        CHECK(counted);
        /* No core of today has cycles shorter than a tenth of a nanosecond. */
        CHECK_CASE(time > 0.1 * (double)FOCAL_CHAIN_ADDS, "%g ns", time);
#else
        CHECK(!counted && time >= 0.0);
#endif
    }
}

static void check_sizes(void) {
    const bench_case *l1 = bench_case_find("l1"), *wide = bench_case_find("wide");
    const bench_case image = {.outer = 8, .classes = 21, .inner = 262144};
    CHECK(bench_case_find("l2") == NULL);
    for (size_t i = 0; i < bench_case_count; i++) {
        bench_size own = bench_size_of(&bench_cases[i], 0);
        CHECK(own.outer == bench_cases[i].outer && own.inner == bench_cases[i].inner);
    }
    if (!CHECK(l1 != NULL && wide != NULL))
        return;
    CHECK(bench_size_of(l1, 1 << 20).outer == 1 << 20);
    CHECK(bench_size_of(wide, 1000).outer == 1); /* a row at least */
    CHECK(bench_size_of(wide, 400000).outer == 2);
    bench_size part = bench_size_of(&image, 2100);
    CHECK(part.outer == 1 && part.inner == 100);
    part = bench_size_of(&image, 21);
    CHECK(part.outer == 1 && part.inner == 1);
    part = bench_size_of(&image, 2 * 21 * 262144);
    CHECK(part.outer == 2 && part.inner == 262144);
}

static void check_roofline(void) {
    bench_data data;
    const bench_case *shape = &bench_cases[0];
    if (!CHECK(bench_data_create(&data, shape, (bench_size){1000, 1}, 0)))
        return;
    uint64_t before = bench_roofline_run(&data, BENCH_LOSS, NULL);
    CHECK(before == bench_roofline_run(&data, BENCH_LOSS, NULL));
    ((unsigned char *)data.logits)[data.elements * 2 + 1] ^= 1;
    CHECK(before != bench_roofline_run(&data, BENCH_LOSS, NULL));
    CHECK(memcmp(data.logits, data.gradient, data.elements * sizeof(float)) != 0);
    bench_roofline_run(&data, BENCH_BOTH, NULL);
    CHECK(memcmp(data.logits, data.gradient, data.elements * sizeof(float)) == 0);
    CHECK(bench_traffic(&data, BENCH_LOSS) == 4.0 * 80000 + 4.0 * 1000);
    CHECK(bench_traffic(&data, BENCH_BOTH) == 8.0 * 80000 + 4.0 * 1000);
    bench_data_release(&data);
}

static double last_share;
static void remember_share(void *context, double share) {
    (void)context;
    CHECK(share >= last_share && share <= 1.0);
    last_share = share;
}

/* A loop of which the first run is interrupted for long. */
static void interrupted_run(void *context, size_t tasks, void (*task)(void *, size_t),
                            void *argument) {
    int *runs = context;
    if ((*runs)++ == 0)
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    for (size_t i = 0; i < tasks; i++)
        task(argument, i);
}

static focal_parallel interrupted_loop(int threads) {
    static int runs;
    (void)threads;
    return (focal_parallel){sizeof(focal_parallel), &runs, interrupted_run};
}

/* 800 logits take some microseconds: a sample has to have many executions of them, even if the first was
 * interrupted for longer than a sample and the warm-up. */
static void check_interrupted_start(const bench_data *data) {
    bench_entry entry = {
        data, 2.0, BENCH_LOSS, {.kind = BENCH_KIND_FOCAL, .isa = "scalar", .threads = 2}};
    bench_settings settings = {.budget = 1.0, .parallel = interrupted_loop};
    bench_result result;
    char error[256];
    CHECK_CASE(bench_run(&entry, 1, &settings, &result, error), "%s", error);
    double sample = result.time.median * (double)result.iterations;
    CHECK_CASE(sample > 0.5 * BENCH_SAMPLE_NS, "%g ns", sample);
    bench_results_release(&result, 1);
}

static void check_contest(const bench_data *data) {
    bench_entry entries[] = {
        {data, 2.0, BENCH_LOSS, {.kind = BENCH_KIND_FOCAL, .isa = "scalar", .threads = 1}},
        {data,
         2.0,
         BENCH_LOSS,
         {.kind = BENCH_KIND_BASELINE, .baseline = BENCH_BASELINE_PLAIN, .threads = 1}},
        {data, 2.0, BENCH_LOSS, {.kind = BENCH_KIND_ROOFLINE, .threads = 1}}};
    bench_settings settings = {.budget = 30.0, .progress = remember_share};
    bench_result results[3];
    char error[256];
    CHECK_CASE(bench_run(entries, 3, &settings, results, error), "%s", error);
    for (int i = 0; i < 3; i++) {
        CHECK(results[i].rounds >= BENCH_ROUNDS && results[i].time.count == results[i].rounds);
        CHECK(results[i].time.least > 0.0 && results[i].time.least <= results[i].time.median);
        /* Calibrated: some samples may be shorter than wanted, not all. */
        double sample = results[i].time.median * (double)results[i].iterations;
        CHECK_CASE(sample > 0.5 * BENCH_SAMPLE_NS, "%g ns", sample);
    }
    CHECK(fabs(results[0].sum - results[1].sum) < 1e-4 * results[0].sum);
    /* 800 logits through libm cost more than reading 3 KiB. */
    CHECK(focal_paired_ratio(results[1].samples, results[2].samples, results[1].rounds).low >
          2.0);
    bench_results_release(results, 3);
    settings.smoke = 1;
    last_share = 0.0;
    for (int i = 0; i < 3; i++)
        entries[i].direction = BENCH_BOTH;
    CHECK(bench_run(entries, 3, &settings, results, error));
    CHECK(results[0].rounds == 1 && results[0].iterations == 1);
    bench_results_release(results, 3);
    entries[0].variant.isa = "abacus";
    CHECK(!bench_run(entries, 1, &settings, results, error));
    CHECK_CASE(strstr(error, "isa") != NULL, "%s", error);
}

static void check_names(void) {
    char name[BENCH_NAME_MAX];
    bench_variant_name(&(bench_variant){.isa = "avx2", .threads = 2}, name);
    CHECK_TEXT(name, "avx2 fast x2");
    bench_variant_name(&(bench_variant){.kind = BENCH_KIND_BASELINE, .isa = "avx2"}, name);
    CHECK_TEXT(name, "sleef on avx2");
    bench_variant_name(
        &(bench_variant){.kind = BENCH_KIND_KERNEL, .isa = "avx2", .sum = BENCH_SUM_FREE},
        name);
    CHECK_TEXT(name, "avx2 free sum");
}

static void check_runner(void) {
    bench_data data;
    if (!CHECK(bench_data_create(&data, &bench_cases[0], (bench_size){10, 1}, 0)))
        return;
    check_contest(&data);
    check_interrupted_start(&data);
    check_names();
    bench_data_release(&data);
}

static void check_goal_verdicts(void) {
    const bench_goal more = {.kind = BENCH_SPEEDUP, .must = 2.0, .aim = 3.0};
    const bench_goal less = {.kind = BENCH_COST, .must = 1.2, .aim = 1.1};
    CHECK(bench_goal_judge(&more, 1.99) == BENCH_MISSED);
    CHECK(bench_goal_judge(&more, 2.0) == BENCH_MUST &&
          bench_goal_judge(&more, 3.0) == BENCH_AIM);
    CHECK(bench_goal_judge(&less, 1.21) == BENCH_MISSED);
    CHECK(bench_goal_judge(&less, 1.2) == BENCH_MUST &&
          bench_goal_judge(&less, 1.0) == BENCH_AIM);
    CHECK(bench_goal_judge(&more, (double)NAN) == BENCH_MISSED);
    CHECK(bench_goal_judge(&less, (double)NAN) == BENCH_MISSED);
    CHECK_TEXT(bench_goal_verdict_name(BENCH_AIM), "aim");
}

/* The arithmetic of each kind, on a goal whose sides are the same: the values are known. */
static void check_goals(void) {
    static bench_goal_store store;
    const bench_side side = {.name = "tiny", .gamma = 2.0, .variant = {.threads = 1}};
    const struct {
        bench_goal_kind kind;
        double low, high;
    } expected[] = {
        {BENCH_SPEEDUP, 0.5, 2.0}, {BENCH_COST, 0.5, 2.0}, {BENCH_OVERHEAD, -1e5, 1e5}};
    bench_settings settings = {.budget = 5.0};
    bench_goal_result result;
    char error[256];
    for (size_t i = 0; i < 3; i++) {
        const bench_goal goal = {.kind = expected[i].kind, .ours = side, .theirs = side};
        CHECK_CASE(bench_goal_run(&goal, "scalar", 0.0, &settings, &store, &result, error),
                   "%s", error);
        CHECK_CASE(result.value.median > expected[i].low &&
                       result.value.median < expected[i].high,
                   "%zu: %g", i, result.value.median);
        CHECK(result.value.low <= result.value.median && result.rounds >= 6);
    }
    const bench_goal bound = {.kind = BENCH_BOUND, .ours = side, .theirs = side};
    CHECK(bench_goal_obstacle(&bound, "scalar", 0.0, 1) != NULL);
    CHECK(bench_goal_obstacle(&bound, "scalar", 1.0, 1) == NULL);
#if defined(__x86_64__) || defined(__aarch64__)
    CHECK(bench_goal_run(&bound, "scalar", 1.0, &settings, &store, &result, error));
    CHECK_CASE(fabs(result.value.median * result.cycles[0] - 1.0) < 1e-3, "%g of %g",
               result.value.median, result.cycles[0]);
#endif
    bench_goal_store_release(&store);
    for (size_t i = 0; i < bench_goal_count; i++) {
        CHECK_CASE(bench_case_find(bench_goals[i].ours.name) &&
                       bench_case_find(bench_goals[i].theirs.name),
                   "%s", bench_goals[i].name);
        /* An aim is beyond the must: what reaches it is no mere must. */
        CHECK(bench_goal_judge(&bench_goals[i], bench_goals[i].must) == BENCH_MUST);
        CHECK(bench_goal_judge(&bench_goals[i], bench_goals[i].aim) == BENCH_AIM);
    }
}

int main(void) {
    check_summary();
    check_interval();
    check_pairs();
    check_verdicts();
    check_timer();
    check_sizes();
    check_roofline();
    check_runner();
    check_goal_verdicts();
    check_goals();
    return check_report();
}
