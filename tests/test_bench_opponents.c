/* The opponents of focal bench compute what the library computes, and its kernels with other sums
 * nearly so. */
#include "baselines.h"
#include "check.h"
#include "summation.h"

#include <math.h>
#include <stdlib.h>

enum { SMALL = 4096 };

/* The case, or as many whole rows of it as are quick. */
static bench_size small_size(const bench_case *shape) {
    bench_size own = bench_size_of(shape, 0);
    return own.outer * own.inner * shape->classes > SMALL ? bench_size_of(shape, SMALL) : own;
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
    buffers.hessian = data->hessian;
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

/* Calls `check` for every opponent of this CPU. */
static void for_each_opponent(void (*check)(bench_baseline, const char *isa, void *context),
                              void *context) {
    for (int i = 0; i < BENCH_BASELINE_COUNT; i++) {
        if (bench_baseline_usable((bench_baseline)i, NULL))
            check((bench_baseline)i, NULL, context);
        for (size_t isa = 0; bench_baseline_isas[isa] && i == BENCH_BASELINE_SLEEF; isa++)
            if (bench_baseline_usable((bench_baseline)i, bench_baseline_isas[isa]))
                check((bench_baseline)i, bench_baseline_isas[isa], context);
    }
}

/* The library's Hessian and that of an opponent. */
static void check_curvature(bench_baseline baseline, const char *isa, void *context) {
    bench_data *data = context;
    focal_sums sums = FOCAL_SUMS_INIT;
    const size_t bytes = data->elements * bench_dtype_bytes(data->shape->dtype);
    void *expected = malloc(bytes);
    execute_library(data, 2.5, BENCH_CURVATURE, &sums);
    if (!CHECK(expected != NULL))
        return;
    memcpy(expected, data->hessian, bytes);
    memset(data->hessian, 0xff, bytes);
    bench_baseline_run(baseline, isa, data, 2.5, BENCH_CURVATURE);
    double worst = 0.0;
    for (size_t i = 0; i < data->elements; i++) {
        double error = fabs(element(data, data->hessian, i) - element(data, expected, i));
        worst = error <= worst ? worst : error; /* NaN becomes the worst */
    }
    /* In float as their gradients above; in double there is no such excuse. */
    const double tolerance = data->shape->dtype == BENCH_F64 ? 1e-6 : 1e-5;
    CHECK_CASE(worst <= tolerance, "%s %s %s: Hessian off by %g", data->shape->name,
               bench_baseline_name(baseline), isa ? isa : "", worst);
    free(expected);
}

static void check_curvatures(const bench_case *shape) {
    bench_data data;
    if (!bench_baseline_computes(shape, BENCH_CURVATURE))
        return;
    if (CHECK(bench_data_create(&data, shape, small_size(shape), 1)))
        for_each_opponent(check_curvature, &data);
    bench_data_release(&data);
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

/* The gradient at logit i by the plain formula, of which the Hessian is the slope. */
static double slope_of_gradient(bench_data *data, double gamma, size_t i) {
    const double step = 1e-5;
    double *logit = (double *)data->logits + i, at = *logit, ends[2];
    for (int side = 0; side < 2; side++) {
        *logit = side ? at + step : at - step;
        bench_baseline_run(BENCH_BASELINE_PLAIN, NULL, data, gamma, BENCH_GRADIENT);
        ends[side] = ((double *)data->gradient)[i];
    }
    *logit = at;
    return (ends[1] - ends[0]) / (2.0 * step);
}

/* In f64, where the library's f32 results are the yardstick, and the Hessian. */
static void check_double(bench_baseline baseline, const char *isa, void *context) {
    bench_data *data = context;
    const bench_direction curvature = (bench_direction)(BENCH_BOTH + 1);
    const char *name = bench_baseline_name(baseline);
    for (double gamma = 2.0; gamma < 3.0; gamma += 0.5) {
        double plain = bench_baseline_run(BENCH_BASELINE_PLAIN, NULL, data, gamma, BENCH_LOSS);
        double sum = bench_baseline_run(baseline, isa, data, gamma, BENCH_BOTH);
        CHECK_CASE(fabs(sum - plain) <= 1e-12 * plain, "%s %s: %.17g, expected %.17g", name,
                   isa ? isa : "", sum, plain);
        bench_baseline_run(baseline, isa, data, gamma, curvature);
        for (size_t i = 0; i < data->elements; i++) {
            double value = ((double *)data->hessian)[i];
            double expected = slope_of_gradient(data, gamma, i);
            CHECK_CASE(fabs(value - expected) <= 1e-7, "%s %s gamma %g: %g, expected %g", name,
                       isa ? isa : "", gamma, value, expected);
        }
    }
}

static void check_doubles(void) {
    bench_case shape = *bench_case_find("l1"), small = shape;
    bench_data data, single;
    focal_sums sums = FOCAL_SUMS_INIT;
    shape.dtype = BENCH_F64;
    shape.target_kind = small.target_kind = FOCAL_TARGET_BINARY_U8;
    if (CHECK(bench_data_create(&data, &shape, (bench_size){37, 1}, 1)) &&
        CHECK(bench_data_create(&single, &small, (bench_size){37, 1}, 0))) {
        double expected = execute_library(&single, 2.0, BENCH_LOSS, &sums);
        double sum = bench_baseline_run(BENCH_BASELINE_PLAIN, NULL, &data, 2.0, BENCH_LOSS);
        CHECK_CASE(fabs(sum - expected) <= 1e-5 * expected, "%g, expected %g", sum, expected);
        for_each_opponent(check_double, &data);
        bench_data_release(&single);
    }
    bench_data_release(&data);
}

/* Rows side by side, and the same rows, but the ignored, one behind the other. */
typedef struct two_layouts {
    bench_data middle, flat;
    size_t places[2 * 300]; /* of a row of `flat`: its first class in `middle` */
} two_layouts;

static int make_layouts(two_layouts *both, const bench_case *middle, const bench_case *flat) {
    if (!CHECK(bench_data_create(&both->middle, middle, (bench_size){2, 300}, 0)) ||
        !CHECK(bench_data_create(&both->flat, flat, (bench_size){2 * 300, 1}, 0)))
        return 0;
    uint8_t *labels = both->flat.targets;
    size_t rows = 0, classes = (size_t)middle->classes;
    for (size_t row = 0; row < 2 * 300; row++) {
        size_t label = bench_label(&both->middle, row);
        size_t place = row / 300 * classes * 300 + row % 300;
        if (label == BENCH_IGNORED_LABEL)
            continue;
        for (size_t c = 0; c < classes; c++)
            ((float *)both->flat.logits)[rows * classes + c] =
                ((float *)both->middle.logits)[place + c * 300];
        labels[rows] = (uint8_t)label;
        both->places[rows++] = place;
    }
    CHECK(rows > 500 && rows < 600);
    both->flat.outer = (int64_t)rows;
    both->flat.elements = rows * classes;
    return 1;
}

static void check_side_by_side(bench_baseline baseline, const char *isa, void *context) {
    two_layouts *both = context;
    const size_t classes = (size_t)both->flat.shape->classes;
    const float *expected = both->flat.gradient, *gradient = both->middle.gradient;
    focal_sums sums = FOCAL_SUMS_INIT;
    double exact = execute_library(&both->flat, 2.0, BENCH_BOTH, &sums), worst = 0.0, all = 0.0;
    memset(both->middle.gradient, 0xff, both->middle.elements * sizeof(float));
    double sum = bench_baseline_run(baseline, isa, &both->middle, 2.0, BENCH_BOTH);
    for (size_t i = 0; i < both->flat.elements; i++) {
        size_t place = both->places[i / classes] + i % classes * 300;
        double error = fabs((double)gradient[place] - (double)expected[i]);
        worst = error <= worst ? worst : error;
    }
    /* Ignored rows have zeros: all gradients of softmax add up to 0. */
    for (size_t i = 0; i < both->middle.elements; i++)
        all += (double)gradient[i];
    CHECK_CASE(fabs(sum - exact) <= 1e-5 * exact && worst <= 1e-6 && fabs(all) < 1e-4,
               "%s %s: sum %g, expected %g; gradient off by %g; together %g",
               bench_baseline_name(baseline), isa ? isa : "", sum, exact, worst, all);
}

static void check_layouts(void) {
    static two_layouts both;
    bench_case middle = {.name = "middle",
                         .op = FOCAL_SOFTMAX,
                         .classes = 5,
                         .target_kind = FOCAL_TARGET_LABEL_U8,
                         .features = BENCH_IGNORE,
                         .deviation = 2.0,
                         .outer = 2,
                         .inner = 300};
    bench_case flat = middle;
    flat.name = "flat";
    flat.features = 0;
    flat.inner = 1;
    if (make_layouts(&both, &middle, &flat))
        for_each_opponent(check_side_by_side, &both);
    both.flat.elements = 0;
    bench_data_release(&both.middle);
    bench_data_release(&both.flat);
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

int main(void) {
    for (size_t i = 0; i < bench_case_count; i++) {
        check_case(&bench_cases[i]);
        check_curvatures(&bench_cases[i]);
    }
    check_doubles();
    check_layouts();
    check_summations();
    return check_report();
}
