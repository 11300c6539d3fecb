/* What an execution computes, through the public interface: against an oracle written down from
 * the formulas in long double, and bit for bit between all the ways to ask for the same thing. */
#include <math.h>

#include "fixture.h"

#define FEW 120, 80, 2.0 /* 9600 elements: several blocks, the last one short */

/* ---- Oracle ---- */

typedef struct {
    long double loss, gradient;
} oracle_value;

static long double log_sigmoid(long double x) {
    return (x < 0 ? x : 0) - log1pl(expl(-fabsl(x)));
}

/* FL = alpha_t (1 - p_t)^gamma BCE with p_t and alpha_t linear in t (paper eq. 5 for t of 0, 1). */
static oracle_value oracle_sigmoid(const focal_problem *problem, long double x, long double t) {
    const long double p = 1 / (1 + expl(-x)), not_p = 1 / (1 + expl(x));
    const long double g = (long double)problem->gamma, a = (long double)problem->alpha;
    const long double q = p * (1 - t) + not_p * t;
    const long double bce = -t * log_sigmoid(x) - (1 - t) * log_sigmoid(-x);
    const long double weight =
        problem->alpha_mode == FOCAL_ALPHA_OFF ? 1 : a * t + (1 - a) * (1 - t);
    const long double residual = (1 - t) * p - t * not_p; /* p - t */
    const long double inner = g == 0 ? 0 : g * powl(q, g - 1) * p * not_p * (1 - 2 * t) * bce;
    return (oracle_value){weight * powl(q, g) * bce, weight * (powl(q, g) * residual + inner)};
}

/* The loss of a row; its gradient, unless that is NULL. */
static long double oracle_softmax(const focal_problem *problem, const float *row, int64_t label,
                                  long double *gradient) {
    long double others = 0, most = row[0];
    for (int64_t c = 1; c < problem->classes; c++)
        most = (long double)row[c] > most ? (long double)row[c] : most;
    for (int64_t c = 0; c < problem->classes; c++)
        others += c == label ? 0 : expl((long double)row[c] - most);
    const long double own = expl((long double)row[label] - most), all = own + others;
    const long double q = others / all, p = own / all, g = (long double)problem->gamma;
    const long double ce =
        own > others ? log1pl(others / own) : logl(all) - ((long double)row[label] - most);
    const long double weight =
        problem->alpha_mode == FOCAL_ALPHA_OFF ? 1 : (long double)problem->alpha;
    const long double slope = /* -dL/dx_label / q */
        weight * (powl(q, g) + (ce == 0 || g == 0 ? 0 : g * powl(q, g - 1) * p * ce));
    for (int64_t c = 0; gradient && c < problem->classes; c++)
        gradient[c] =
            c == label ? -slope * q : slope * (expl((long double)row[c] - most) / all);
    return weight * powl(q, g) * ce;
}

/* Distance in units of the last place of the exact value as a float. */
static long double ulps(long double got, long double exact) {
    int exponent;
    frexpl(exact, &exponent);
    return fabsl(got - exact) / ldexpl(1, (exponent < -125 ? -125 : exponent) - 24);
}

/* ---- Against the oracle ---- */

typedef struct {
    long double loss_ulps, gradient_ulps, row_ulps;
} deviation;

static void keep_largest(long double *largest, long double value) {
    if (!(value <= *largest)) /* a NaN is kept, too */
        *largest = value;
}

/* What a problem's results should be: the same in every tier. */
static struct {
    oracle_value elements[30 * 80]; /* a softmax problem's have a gradient alone */
    long double rows[200], sum;
} exact;

static void expect(const fixture *f, uint64_t seed) {
    const focal_problem *const p = &f->problem;
    const float *const logits = f->buffers.logits;
    long double gradient[300];
    exact.sum = 0;
    for (int64_t row = 0; row < p->outer; row++) {
        const int64_t label = fixture_class(p, seed, row), first = row * p->classes;
        long double sum = 0;
        if (p->op == FOCAL_SOFTMAX)
            sum = oracle_softmax(p, logits + first, label, gradient);
        for (int64_t c = 0; c < p->classes; c++) {
            oracle_value *const element = &exact.elements[first + c];
            const long double t =
                p->target_kind == FOCAL_TARGET_DENSE
                    ? (long double)((const float *)f->buffers.targets)[first + c]
                    : c == label;
            *element = p->op == FOCAL_SOFTMAX
                           ? (oracle_value){0, gradient[c]}
                           : oracle_sigmoid(p, (long double)logits[first + c], t);
            sum += element->loss;
        }
        exact.rows[row] = sum;
        exact.sum += sum;
    }
}

static deviation compare(const fixture *f) {
    const focal_problem *const p = &f->problem;
    const float *const loss = f->buffers.loss, *const gradient = f->buffers.gradient;
    const float *const row_loss = f->buffers.row_loss;
    deviation worst = {0, 0, 0};
    for (int64_t i = 0; i < p->outer * p->classes; i++) {
        const oracle_value *const element = &exact.elements[i];
        if (p->op == FOCAL_SIGMOID)
            keep_largest(&worst.loss_ulps, ulps((long double)loss[i], element->loss));
        keep_largest(&worst.gradient_ulps, ulps((long double)gradient[i], element->gradient));
    }
    for (int64_t row = 0; row < p->outer; row++)
        keep_largest(&worst.row_ulps, ulps((long double)row_loss[row], exact.rows[row]));
    return worst;
}

/* Every gamma, or with --quick, for emulated processors, every second one. */
static size_t gamma_step = 1;

/* Two softmax problems, four with labels or hard targets, two with soft ones; each second has
 * alpha. */
enum { MODES = 8 };
static focal_problem problem_at(int mode, const int64_t shape[2], double gamma) {
    const focal_op op = mode < 2 ? FOCAL_SOFTMAX : FOCAL_SIGMOID;
    focal_problem problem = problem_of(op,
                                       op == FOCAL_SOFTMAX ? FOCAL_TARGET_LABEL_I32
                                       : mode < 4          ? FOCAL_TARGET_LABEL_I64
                                                           : FOCAL_TARGET_DENSE,
                                       shape[0], shape[1], gamma);
    problem.alpha_mode = mode % 2 ? FOCAL_ALPHA_SCALAR : FOCAL_ALPHA_OFF;
    problem.alpha = 0.25;
    if (mode == 3) {
        problem.label_flags = FOCAL_LABEL_BACKGROUND;
        problem.background = -1;
    }
    return problem;
}

static void check_mode(int mode, const int64_t shape[2], double gamma) {
    const int soft = mode >= 6;
    focal_problem problem = problem_at(mode, shape, gamma);
    for (size_t tier = 0; tier < TIERS; tier++) {
        problem.tier = tier_at(tier);
        fixture f;
        fixture_make_styled(&f, &problem, (fixture_style){.seed = 9, .soft = soft});
        CHECK_STATUS(fixture_run(&f, NULL, NULL, NULL), FOCAL_OK);
        CHECK(fixture_bounded(&f, 0));
        if (tier == 0)
            expect(&f, 9);
        const deviation worst = compare(&f);
        /* Soft targets cancel in p - t: no bound in ULP holds where the gradient is 0.
         * A sigmoid row's loss is a sum, whose bound is another. */
        const long double bound = problem.tier == FOCAL_TIER_ACCURATE ? 0.51L : 10;
        CHECK_CASE(worst.loss_ulps <= (soft ? 2 * bound : bound), "mode %d gamma %g: %.2Lf ULP",
                   mode, gamma, worst.loss_ulps);
        CHECK_CASE(soft || worst.gradient_ulps <= bound, "mode %d gamma %g: %.2Lf ULP", mode,
                   gamma, worst.gradient_ulps);
        CHECK_CASE(worst.row_ulps <= (problem.op == FOCAL_SOFTMAX ? bound : 20),
                   "mode %d gamma %g: %.2Lf ULP", mode, gamma, worst.row_ulps);
        CHECK_CASE(exact.sum == 0 ? f.sums.loss == 0
                                  : fabsl((long double)f.sums.loss / exact.sum - 1) <= 1e-6L,
                   "mode %d gamma %g: %.9g instead of %.9Lg", mode, gamma, f.sums.loss,
                   exact.sum);
        CHECK(f.sums.rows == problem.outer);
        fixture_free(&f);
    }
}

static void test_oracle(void) {
    static const double gammas[] = {0.0, 0.5, 1.5, 1.0, 2.0, 2.5, 2.7, 3.0, 5.0, 0.3};
    static const int64_t shapes[][2] = {{200, 7}, {30, 80}, {3, 1}, {1, 300}};
    for (size_t g = 0; g < sizeof gammas / sizeof *gammas; g += gamma_step)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (int mode = 0; mode < MODES; mode++)
                check_mode(mode, shapes[s], gammas[g]);
}

/* The gradient of soft targets, where it does not cancel: absolute, as differences matter. */
static void test_soft_gradient(void) {
    focal_problem problem = problem_of(FOCAL_SIGMOID, FOCAL_TARGET_DENSE, 50, 40, 1.5);
    fixture f;
    long double worst = 0;
    fixture_make_styled(&f, &problem, (fixture_style){.seed = 10, .soft = 1});
    CHECK_STATUS(fixture_run(&f, NULL, NULL, NULL), FOCAL_OK);
    for (int64_t i = 0; i < 50 * 40; i++) {
        const float x = ((const float *)f.buffers.logits)[i];
        const float t = ((const float *)f.buffers.targets)[i];
        const oracle_value value = oracle_sigmoid(&problem, (long double)x, (long double)t);
        const long double got = (long double)((const float *)f.buffers.gradient)[i];
        keep_largest(&worst, fabsl(got - value.gradient) / (1 + fabsl(value.loss)));
    }
    CHECK_CASE(worst <= 1e-6L, "%Lg", worst);
    fixture_free(&f);
}

/* Row losses of every length around the block size, and rows of many blocks. */
static void test_row_losses(void) {
    static const int64_t classes[] = {1, 3, 80, 4095, 4096, 4097, 5000, 10000};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        for (int op = FOCAL_SIGMOID; op <= FOCAL_SOFTMAX; op++) {
            const focal_problem problem =
                problem_of((focal_op)op, FOCAL_TARGET_LABEL_I32, 5, classes[i], 2.0);
            fixture f;
            fixture_make(&f, &problem, 11);
            CHECK_STATUS(fixture_run(&f, NULL, NULL, NULL), FOCAL_OK);
            CHECK(fixture_bounded(&f, 0));
            long double all = 0;
            for (int64_t row = 0; row < 5; row++) {
                const int64_t label = fixture_class(&problem, 11, row);
                const float *const logits = (const float *)f.buffers.logits + row * classes[i];
                long double loss = 0;
                for (int64_t c = 0; op == FOCAL_SIGMOID && c < classes[i]; c++)
                    loss += oracle_sigmoid(&problem, (long double)logits[c], c == label).loss;
                if (op == FOCAL_SOFTMAX)
                    loss = oracle_softmax(&problem, logits, label, NULL);
                const long double got = (long double)((float *)f.buffers.row_loss)[row];
                CHECK_CASE(fabsl(got - loss) <= 2e-6L * loss, "%lld classes: %Lg, not %Lg",
                           (long long)classes[i], got, loss);
                all += loss;
            }
            CHECK_CASE(fabsl((long double)f.sums.loss - all) <= 1e-6L * all, "%lld classes",
                       (long long)classes[i]);
            fixture_free(&f);
        }
}

/* ---- Bit for bit ---- */

static const int64_t bit_shapes[][2] = {{120, 80}, {1000, 13}, {9000, 1}, {5, 5000}, {4, 8192}};
enum { BIT_SHAPES = sizeof bit_shapes / sizeof *bit_shapes };
static const double bit_gammas[] = {2.0, 1.0, 1.5, 0.0, 2.7};
enum { BIT_GAMMAS = sizeof bit_gammas / sizeof *bit_gammas };

/* One-hot dense, 0/1 bytes and labels of all widths are the same problem. */
static void test_target_kinds(void) {
    for (size_t s = 0; s < BIT_SHAPES; s++)
        for (size_t g = 0; g < BIT_GAMMAS; g += gamma_step)
            for (int background = 0; background < 2; background++) {
                uint64_t dense = 0;
                int64_t positives = 0;
                for (focal_target_kind kind = FOCAL_TARGET_DENSE;
                     kind <= FOCAL_TARGET_LABEL_I64; kind++) {
                    focal_problem problem = problem_of(FOCAL_SIGMOID, kind, bit_shapes[s][0],
                                                       bit_shapes[s][1], bit_gammas[g]);
                    problem.alpha_mode = FOCAL_ALPHA_SCALAR;
                    problem.alpha = 0.3;
                    problem.tier = tier_at(s + g);
                    problem.label_flags = background ? FOCAL_LABEL_BACKGROUND : 0;
                    problem.background = 211;
                    if (kind == FOCAL_TARGET_LABEL_U8 && problem.classes > 200)
                        continue;
                    fixture f;
                    fixture_make(&f, &problem, 12);
                    if (!is_label_kind(kind))
                        f.problem.label_flags = 0;
                    CHECK_STATUS(fixture_run(&f, NULL, NULL, NULL), FOCAL_OK);
                    const uint64_t digest = fixture_digest(&f, ALL_OUTPUTS);
                    if (kind == FOCAL_TARGET_DENSE) {
                        dense = digest;
                        for (int64_t row = 0; row < problem.outer; row++)
                            positives += fixture_class(&problem, 12, row) >= 0;
                    }
                    CHECK_CASE(digest == dense, "kind %d, %lld classes, gamma %g", (int)kind,
                               (long long)problem.classes, problem.gamma);
                    CHECK(f.sums.positives == (kind == FOCAL_TARGET_DENSE ? 0 : positives));
                    CHECK(f.sums.rows == problem.outer);
                    fixture_free(&f);
                }
            }
}

/* A background that is a valid class takes that class's rows out of the positives. */
static void test_background_within_classes(void) {
    focal_problem problem = problem_of(FOCAL_SIGMOID, FOCAL_TARGET_LABEL_I64, 50, 4, 2.0);
    fixture by_value, by_class;
    fixture_make(&by_value, &problem, 13);
    by_value.problem.label_flags = FOCAL_LABEL_BACKGROUND;
    by_value.problem.background = 2;
    fixture_make(&by_class, &problem, 13);
    by_class.problem.label_flags = FOCAL_LABEL_BACKGROUND;
    by_class.problem.background = INT64_MIN;
    int64_t *const labels = (int64_t *)(uintptr_t)by_class.buffers.targets;
    int64_t positives = 0;
    for (int64_t row = 0; row < 50; row++) {
        positives += labels[row] != 2;
        labels[row] = labels[row] == 2 ? INT64_MIN : labels[row];
    }
    CHECK_STATUS(fixture_run(&by_value, NULL, NULL, NULL), FOCAL_OK);
    CHECK_STATUS(fixture_run(&by_class, NULL, NULL, NULL), FOCAL_OK);
    CHECK(positives < 50 && by_value.sums.positives == positives &&
          by_class.sums.positives == positives);
    CHECK(fixture_digest(&by_value, ALL_OUTPUTS) == fixture_digest(&by_class, ALL_OUTPUTS));
    fixture_free(&by_value);
    fixture_free(&by_class);
}

/* Each output has the same bits whatever else is asked for, and whatever unroll and grain. */
static void test_output_combinations(void) {
    for (size_t s = 0; s < BIT_SHAPES; s++)
        for (size_t g = 0; g < BIT_GAMMAS; g += gamma_step)
            for (int mode = 0; mode < 3 * TIERS; mode++) {
                focal_problem whole =
                    problem_of(mode % 3 == 2 ? FOCAL_SOFTMAX : FOCAL_SIGMOID,
                               mode % 3 == 0 ? FOCAL_TARGET_DENSE : FOCAL_TARGET_LABEL_I32,
                               bit_shapes[s][0], bit_shapes[s][1], bit_gammas[g]);
                whole.tier = tier_at((size_t)mode / 3);
                fixture f;
                fixture_make(&f, &whole, 14);
                CHECK_STATUS(fixture_run(&f, NULL, NULL, NULL), FOCAL_OK);
                uint64_t digests[ALL_OUTPUTS + 1];
                for (uint32_t outputs = 1; outputs <= whole.outputs; outputs++)
                    digests[outputs] = fixture_digest(&f, outputs);
                fixture_free(&f);
                for (uint32_t outputs = 1; outputs <= whole.outputs; outputs++) {
                    if (outputs & ~whole.outputs)
                        continue;
                    focal_problem part = whole;
                    part.outputs = outputs;
                    focal_options options;
                    focal_options_init(&options);
                    options.unroll = outputs % 2 ? 16 : 32;
                    options.grain = outputs;
                    fixture_make(&f, &part, 14);
                    CHECK_STATUS(fixture_run(&f, &options, NULL, NULL), FOCAL_OK);
                    CHECK_CASE(fixture_digest(&f, outputs) == digests[outputs],
                               "outputs %u, mode %d, %lld classes, gamma %g", outputs, mode,
                               (long long)whole.classes, whole.gamma);
                    CHECK(fixture_bounded(&f, 0));
                    fixture_free(&f);
                }
            }
}

static float *upstreamed(const focal_problem *problem, const float *upstream, fixture *f) {
    fixture_make(f, problem, 15);
    f->buffers.upstream = upstream;
    CHECK_STATUS(fixture_run(f, NULL, NULL, NULL), FOCAL_OK);
    return f->buffers.gradient;
}

/* A power of two scales the gradient exactly and nothing else. */
static void test_upstream(void) {
    static const float powers[] = {1.0F, 0.5F, 2.0F, 0x1p-20F, 0x1p20F, -1.0F, 0.0F};
    for (int op = FOCAL_SIGMOID; op <= FOCAL_SOFTMAX; op++)
        for (size_t i = 0; i < sizeof powers / sizeof *powers; i++) {
            const focal_problem problem = problem_of((focal_op)op, FOCAL_TARGET_LABEL_I32, FEW);
            const uint32_t others = problem.outputs & ~(uint32_t)FOCAL_OUTPUT_GRADIENT;
            fixture plain, scaled;
            const float *const one = upstreamed(&problem, NULL, &plain);
            const float *const two = upstreamed(&problem, &powers[i], &scaled);
            int64_t inexact = 0;
            for (int64_t k = 0; k < problem.outer * problem.classes; k++) {
                /* Below the normal numbers the two roundings differ. */
                const int normal = fabsf(one[k]) >= 0x1p-100F;
                inexact += normal && two[k] != one[k] * powers[i];
            }
            CHECK_CASE(inexact == 0, "%lld gradients times %a", (long long)inexact,
                       (double)powers[i]);
            CHECK(fixture_digest(&plain, others) == fixture_digest(&scaled, others));
            fixture_free(&plain);
            fixture_free(&scaled);
        }
}

int main(int argc, char **argv) {
    gamma_step = argc > 1 && strcmp(argv[1], "--quick") == 0 ? 2 : 1;
    test_oracle();
    test_soft_gradient();
    test_row_losses();
    test_target_kinds();
    test_background_within_classes();
    test_output_combinations();
    test_upstream();
    return check_report();
}
