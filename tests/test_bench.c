/* The measuring core of bench/: statistics with known answers, opponents that compute what the
 * library computes, a runner that counts right. */
#include "baselines.h"
#include "check.h"
#include "roofline.h"
#include "runner.h"

#include <math.h>
#include <stdlib.h>

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
        CHECK_CASE(time > 0.1 * FOCAL_CHAIN_ADDS, "%g ns", time);
#else
        CHECK(!counted && time >= 0.0);
#endif
    }
}

enum { SMALL = 4096 };

static int64_t small_rows(const bench_case *shape) {
    int64_t rows = SMALL / shape->classes + 1;
    return rows < shape->rows ? rows : shape->rows;
}

/* Targets made for opponents hold the positives that the library counts. */
static void check_targets(const bench_data *data, const focal_sums *sums) {
    float scratch[100];
    double ones = 0.0;
    for (size_t first = 0; first < data->elements; first += 100) {
        size_t left = data->elements - first, count = left < 100 ? left : 100;
        const float *targets = bench_float_targets(data, first, count, scratch);
        for (size_t i = 0; i < count; i++)
            ones += (double)targets[i];
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
static void check_opponent(const bench_data *data, bench_baseline baseline, double gamma,
                           bench_direction direction) {
    focal_sums sums = FOCAL_SUMS_INIT;
    float *expected = malloc(data->elements * sizeof *expected);
    double exact = execute_library(data, gamma, direction, &sums), worst = 0.0, largest = 0.0;
    if (!CHECK(expected != NULL))
        return;
    memcpy(expected, data->gradient, data->elements * sizeof *expected);
    memset(data->gradient, 0xff, data->elements * sizeof *expected);
    double sum = bench_baseline_run(baseline, data, gamma, direction);
    for (size_t i = 0; i < data->elements && direction != BENCH_LOSS; i++) {
        double error = fabs((double)data->gradient[i] - (double)expected[i]);
        largest = fmax(largest, fabs((double)expected[i]));
        worst = error <= worst ? worst : error; /* NaN becomes the worst */
    }
    CHECK_CASE(fabs(sum - exact) <= 1e-4 * fabs(exact), "%s %s gamma %g: %g, expected %g",
               data->shape->name, bench_baseline_name(baseline), gamma, sum, exact);
    CHECK_CASE(worst <= 1e-5 * largest, "%s %s gamma %g: gradient off by %g of %g",
               data->shape->name, bench_baseline_name(baseline), gamma, worst, largest);
    free(expected);
}

static void check_case(const bench_case *shape) {
    bench_data data;
    if (!CHECK(bench_data_create(&data, shape, small_rows(shape))))
        return;
    for (int baseline = 0; baseline < BENCH_BASELINE_COUNT; baseline++)
        for (int direction = BENCH_LOSS; direction <= BENCH_BOTH; direction++)
            for (double gamma = 2.0;
                 gamma < 3.0 && bench_baseline_usable((bench_baseline)baseline); gamma += 0.5)
                check_opponent(&data, (bench_baseline)baseline, gamma,
                               (bench_direction)direction);
    if (shape->op == FOCAL_SIGMOID && shape->target_kind != FOCAL_TARGET_DENSE) {
        focal_sums sums = FOCAL_SUMS_INIT;
        execute_library(&data, 2.0, BENCH_LOSS, &sums);
        check_targets(&data, &sums);
    }
    bench_data_release(&data);
}

static void check_roofline(void) {
    bench_data data;
    const bench_case *shape = &bench_cases[0];
    if (!CHECK(bench_data_create(&data, shape, 1000)))
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

static void check_runner(void) {
    const bench_variant variants[] = {
        {.kind = BENCH_KIND_FOCAL, .isa = "scalar", .threads = 1},
        {.kind = BENCH_KIND_BASELINE, .baseline = BENCH_BASELINE_PLAIN, .threads = 1},
        {.kind = BENCH_KIND_ROOFLINE, .threads = 1}};
    bench_settings settings = {.budget = 30.0, .progress = remember_share};
    bench_result results[3];
    bench_data data;
    char error[256], name[BENCH_NAME_MAX];
    if (!CHECK(bench_data_create(&data, &bench_cases[0], 10)))
        return;
    CHECK_CASE(bench_run(&data, 2.0, BENCH_LOSS, variants, 3, &settings, results, error), "%s",
               error);
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
    CHECK(bench_run(&data, 2.0, BENCH_BOTH, variants, 3, &settings, results, error));
    CHECK(results[0].rounds == 1 && results[0].iterations == 1);
    bench_results_release(results, 3);
    const bench_variant unknown = {.kind = BENCH_KIND_FOCAL, .isa = "abacus", .threads = 1};
    CHECK(!bench_run(&data, 2.0, BENCH_LOSS, &unknown, 1, &settings, results, error));
    CHECK_CASE(strstr(error, "isa") != NULL, "%s", error);
    bench_data_release(&data);
    bench_variant_name(&(bench_variant){.isa = "avx2", .threads = 2}, name);
    CHECK_TEXT(name, "avx2 fast x2");
}

int main(void) {
    check_summary();
    check_interval();
    check_pairs();
    check_verdicts();
    check_timer();
    for (size_t i = 0; i < bench_case_count; i++)
        check_case(&bench_cases[i]);
    check_roofline();
    check_runner();
    return check_report();
}
