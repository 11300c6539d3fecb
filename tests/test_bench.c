/* The measuring core of bench/: statistics with known answers, opponents that compute what the
 * library computes, a runner that counts right. */
#include "baselines.h"
#include "check.h"
#include "goals.h"
#include "roofline.h"
#include "runner.h"

#include <math.h>
#include <stdlib.h>

static void check_summary(void) {
    const double odd[] = {7.0, 1.0, 3.0, 100.0, 4.0};
    bench_summary summary = bench_summarize(odd, 5);
    CHECK(summary.count == 5 && summary.median == 4.0 && summary.least == 1.0);
    CHECK(summary.mad == 3.0);                          /* of 3 3 1 96 0 */
    CHECK(summary.low == 1.0 && summary.high == 100.0); /* no interval: the extremes */
    CHECK(isinf(bench_uncertainty(&summary)));
    const double even[] = {4.0, 1.0, 2.0, 8.0};
    summary = bench_summarize(even, 4);
    CHECK(summary.median == 3.0 && summary.mad == 1.5);
    CHECK(even[0] == 4.0);
    CHECK(bench_summarize(odd, 0).count == 0 && bench_summarize(odd, 0).median == 0.0);
}

/* Ranks of the sign test's 95 % interval from published tables (e.g. Conover, Practical
 * Nonparametric Statistics). */
static void check_interval(void) {
    static const struct {
        size_t count;
        double low, high;
    } table[] = {{6, 1, 6},   {8, 1, 8},    {9, 2, 8},    {10, 2, 9},
                 {20, 6, 15}, {30, 10, 21}, {50, 18, 33}, {100, 40, 61}};
    double values[BENCH_SAMPLES_MAX];
    for (size_t i = 0; i < BENCH_SAMPLES_MAX; i++)
        values[i] = (double)(i + 1);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        bench_summary summary = bench_summarize(values, table[i].count);
        CHECK_CASE(summary.low == table[i].low && summary.high == table[i].high,
                   "%zu samples: ranks %g and %g", table[i].count, summary.low, summary.high);
    }
    bench_summary all = bench_summarize(values, BENCH_SAMPLES_MAX);
    CHECK(all.low == 469.0 && all.high == 532.0); /* 500.5 -+ 1.96 sqrt(1000) / 2 */
    CHECK(fabs(bench_uncertainty(&all) - 31.5 / 500.5) < 1e-12);
}

/* A machine that slows down by half within the run changes times, not ratios. */
static void check_pairs(void) {
    double a[40], b[40];
    for (size_t i = 0; i < 40; i++) {
        double drift = i < 20 ? 1.0 : 1.5;
        a[i] = 2.0 * drift * (1.0 + 0.001 * (double)(i % 5));
        b[i] = drift;
    }
    bench_summary ratio = bench_paired_ratio(a, b, 40);
    CHECK(fabs(ratio.median - 2.004) < 1e-9);
    CHECK(ratio.low >= 2.0 && ratio.high <= 2.008 && ratio.low < ratio.high);
}

static void check_verdicts(void) {
    CHECK(bench_judge(0.96, 0.95, 0.97, BENCH_FLOOR_PAIRED) == BENCH_FASTER);
    CHECK(bench_judge(1.04, 1.03, 1.05, BENCH_FLOOR_PAIRED) == BENCH_SLOWER);
    CHECK(bench_judge(0.98, 0.975, 0.985, BENCH_FLOOR_PAIRED) == BENCH_NOISE);
    CHECK(bench_judge(1.02, 1.015, 1.025, BENCH_FLOOR_PAIRED) == BENCH_NOISE);
    CHECK(bench_judge(0.5, 0.3, 1.01, BENCH_FLOOR_PAIRED) == BENCH_NOISE);
    CHECK(bench_judge(2.0, 0.99, 3.0, BENCH_FLOOR_PAIRED) == BENCH_NOISE);
    CHECK(bench_judge(0.92, 0.91, 0.93, BENCH_FLOOR_VIRTUAL) == BENCH_NOISE);
    CHECK(bench_judge(0.89, 0.88, 0.90, BENCH_FLOOR_VIRTUAL) == BENCH_FASTER);
    CHECK_TEXT(bench_verdict_name(BENCH_SLOWER), "slower");
}

static void check_timer(void) {
    for (int i = 0; i < 2; i++) {
        bench_timer timer;
        bench_timer_init(&timer, i ? BENCH_CLOCK_CPU : BENCH_CLOCK_WALL);
        CHECK(timer.resolution_ns > 0.0 && timer.overhead_ns >= 0.0);
        double start = bench_timer_now(&timer);
        int counted = bench_chain();
        double time = bench_timer_now(&timer) - start;
#if defined(__x86_64__) || defined(__aarch64__)
        CHECK(counted);
        /* No core of today has cycles shorter than a tenth of a nanosecond. */
        CHECK_CASE(time > 0.1 * BENCH_CHAIN_ADDS, "%g ns", time);
#else
        CHECK(!counted && time >= 0.0);
#endif
    }
}

enum { SMALL = 4096 };

/* The case, or as many whole rows of it as are quick. */
static bench_size small_size(const bench_case *shape) {
    bench_size own = bench_size_of(shape, 0);
    CHECK(own.outer == shape->outer && own.inner == shape->inner);
    return own.outer * own.inner * shape->classes > SMALL ? bench_size_of(shape, SMALL) : own;
}

static void check_sizes(void) {
    const bench_case *l1 = bench_case_find("l1"), *wide = bench_case_find("wide");
    const bench_case image = {.outer = 8, .classes = 21, .inner = 262144};
    CHECK(bench_case_find("l2") == NULL);
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

/* Element `i` of an array of the case's dtype. */
static double element(const bench_data *data, const void *array, size_t i) {
    return data->shape->dtype == BENCH_F32 ? (double)((const float *)array)[i]
                                           : ((const double *)array)[i];
}

/* Targets made for opponents hold the positives that the library counts. */
static void check_targets(const bench_data *data, const focal_sums *sums) {
    double scratch[100];
    double ones = 0.0;
    for (size_t first = 0; first < data->elements; first += 100) {
        size_t left = data->elements - first, count = left < 100 ? left : 100;
        const void *targets = bench_real_targets(data, first, count, scratch);
        for (size_t i = 0; i < count; i++)
            ones += element(data, targets, i);
    }
    CHECK_CASE(ones == (double)sums->positives, "%s: %g ones, %lld positives",
               data->shape->name, ones, (long long)sums->positives);
}

static double execute_library(const bench_data *data, double gamma, bench_direction direction,
                              focal_sums *sums) {
    focal_problem problem;
    focal_buffers buffers;
    focal_plan *plan = NULL;
    bench_problem(&problem, data, gamma, direction, FOCAL_TIER_DEFAULT);
    focal_buffers_init(&buffers);
    buffers.logits = data->logits;
    buffers.targets = data->targets;
    buffers.gradient = data->gradient;
    CHECK_STATUS(focal_plan_create(&plan, &problem, NULL, NULL), FOCAL_OK);
    CHECK_STATUS(focal_plan_execute(plan, &buffers, NULL, sums, NULL), FOCAL_OK);
    focal_plan_destroy(plan);
    return sums->loss;
}

/* Opponents sum in float, which costs them some 1e-6. */
static void check_opponent(const bench_data *data, bench_baseline baseline, const char *isa,
                           double gamma, bench_direction direction) {
    focal_sums sums = FOCAL_SUMS_INIT;
    const size_t bytes = data->elements * bench_dtype_bytes(data->shape->dtype);
    void *expected = malloc(bytes);
    double exact = execute_library(data, gamma, direction, &sums), worst = 0.0, largest = 0.0;
    if (!CHECK(expected != NULL))
        return;
    memcpy(expected, data->gradient, bytes);
    memset(data->gradient, 0xff, bytes);
    double sum = bench_baseline_run(baseline, isa, data, gamma, direction);
    for (size_t i = 0; i < data->elements && direction != BENCH_LOSS; i++) {
        double error = fabs(element(data, data->gradient, i) - element(data, expected, i));
        largest = fmax(largest, fabs(element(data, expected, i)));
        worst = error <= worst ? worst : error; /* NaN becomes the worst */
    }
    CHECK_CASE(fabs(sum - exact) <= 1e-4 * fabs(exact), "%s %s %s gamma %g: %g, expected %g",
               data->shape->name, bench_baseline_name(baseline), isa ? isa : "", gamma, sum,
               exact);
    CHECK_CASE(worst <= 1e-5 * largest, "%s %s %s gamma %g: gradient off by %g of %g",
               data->shape->name, bench_baseline_name(baseline), isa ? isa : "", gamma, worst,
               largest);
    free(expected);
}

/* Every direction, with and without a power. */
static void check_opponents(const bench_data *data, bench_baseline baseline, const char *isa) {
    for (int direction = BENCH_LOSS; direction <= BENCH_BOTH; direction++)
        for (double gamma = 2.0; gamma < 3.0; gamma += 0.5)
            check_opponent(data, baseline, isa, gamma, (bench_direction)direction);
}

static void check_case(const bench_case *shape) {
    bench_data data;
    if (!CHECK(bench_data_create(&data, shape, small_size(shape), 0)))
        return;
    for (int i = 0; i < BENCH_BASELINE_COUNT && bench_baseline_computes(shape, BENCH_LOSS);
         i++) {
        bench_baseline baseline = (bench_baseline)i;
        for (size_t isa = 0; bench_baseline_isas[isa]; isa++)
            if (baseline == BENCH_BASELINE_SLEEF &&
                bench_baseline_usable(baseline, bench_baseline_isas[isa]))
                check_opponents(&data, baseline, bench_baseline_isas[isa]);
        if (bench_baseline_usable(baseline, NULL))
            check_opponents(&data, baseline, NULL);
    }
    if (shape->op == FOCAL_SIGMOID && shape->target_kind != FOCAL_TARGET_DENSE) {
        focal_sums sums = FOCAL_SUMS_INIT;
        execute_library(&data, 2.0, BENCH_LOSS, &sums);
        check_targets(&data, &sums);
    }
    bench_data_release(&data);
}

/* Kernels outside of the library: with the contract's sum the very bits, with a free one nearly. */
static void check_summation(const char *isa, const char *name) {
    bench_data data;
    focal_sums sums = FOCAL_SUMS_INIT;
    const bench_case *shape = bench_case_find(name);
    if (!CHECK(bench_data_create(&data, shape, small_size(shape), 0)))
        return;
    double exact = execute_library(&data, 2.0, BENCH_LOSS, &sums);
    double fixed = bench_summation_run(isa, BENCH_SUM_FIXED, &data);
    double loose = bench_summation_run(isa, BENCH_SUM_FREE, &data);
    CHECK_CASE(fixed == exact, "%s %s: %.17g, expected %.17g", isa, name, fixed, exact);
    CHECK_CASE(fabs(loose - exact) <= 1e-4 * exact, "%s %s: %.17g", isa, name, loose);
    bench_data_release(&data);
}

static void check_summations(void) {
    bench_data data;
    for (size_t i = 0; bench_baseline_isas[i]; i++)
        if (bench_summation_usable(bench_baseline_isas[i])) {
            check_summation(bench_baseline_isas[i], "block");
            check_summation(bench_baseline_isas[i], "n80");
            check_summation(bench_baseline_isas[i], "softmax1000");
        }
    CHECK(!bench_summation_usable("abacus"));
    if (CHECK(bench_data_create(&data, bench_case_find("rows_label"), (bench_size){1, 1}, 0)))
        CHECK(isnan(bench_summation_run("avx2", BENCH_SUM_FREE, &data)));
    bench_data_release(&data);
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
    CHECK(bench_paired_ratio(results[1].samples, results[2].samples, results[1].rounds).low >
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
    for (size_t i = 0; i < bench_case_count; i++)
        check_case(&bench_cases[i]);
    check_roofline();
    check_summations();
    check_runner();
    check_goal_verdicts();
    check_goals();
    return check_report();
}
