/* The plain focal loss in double in tier fast, which has a kernel of its own: loss, gradient and Hessian
 * within their bound of the formulas in long double, the same bits on every ISA row, the limits at
 * infinite logits, and no say of a soft target over its neighbours. It serves f64 logits, and f32 ones
 * where a Hessian or doubles are wanted. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "check.h"
#include "evaluate.h"
#include "oracle_ld.h"
#include "random.h"
#include "ulp.h"

enum { COUNT = 6000, OUTPUTS = 3 };
static const char *const output_names[OUTPUTS] = {"loss", "gradient", "hessian"};
static const double gammas[] = {0.0, 0.5, 1.0, 1.5, 2.0};
static const focal_hessian_mode modes[] = {FOCAL_HESSIAN_EXACT, FOCAL_HESSIAN_UPPER};

typedef struct {
    double gamma, alpha; /* alpha NaN: off */
    focal_hessian_mode mode;
    focal_target_kind kind;
    focal_dtype dtype, result_dtype; /* of logits and dense targets; of the results */
} problem;

typedef struct {
    double out[OUTPUTS][COUNT];
} results;

static double logits[COUNT], targets[COUNT];
static float narrow_logits[COUNT], narrow_targets[COUNT], narrow_results[OUTPUTS][COUNT];
static uint8_t bytes[COUNT];

static void execute(const char *isa, const problem *p, results *to) {
    focal_problem asked;
    focal_problem_init(&asked);
    asked.outer = COUNT, asked.classes = 1;
    asked.dtype = p->dtype;
    asked.loss_dtype = asked.gradient_dtype = p->result_dtype;
    if (p->kind == FOCAL_TARGET_DENSE)
        asked.targets_dtype = p->dtype;
    const int narrow = p->dtype == FOCAL_F32, rounded = p->result_dtype == FOCAL_F32;
    for (size_t i = 0; i < COUNT; i++) {
        narrow_logits[i] = (float)logits[i];
        narrow_targets[i] = (float)targets[i];
    }
    asked.target_kind = p->kind;
    asked.gamma = p->gamma;
    asked.alpha_mode = isnan(p->alpha) ? FOCAL_ALPHA_OFF : FOCAL_ALPHA_SCALAR;
    asked.alpha = isnan(p->alpha) ? 0.0 : p->alpha;
    asked.hessian_mode = p->mode;
    asked.outputs = FOCAL_OUTPUT_LOSS | FOCAL_OUTPUT_GRADIENT | FOCAL_OUTPUT_HESSIAN;
    focal_options options;
    focal_options_init(&options);
    options.isa = isa;
    focal_buffers buffers;
    focal_buffers_init(&buffers);
    buffers.logits = narrow ? (const void *)narrow_logits : logits;
    const void *dense = narrow ? (const void *)narrow_targets : targets;
    buffers.targets = p->kind == FOCAL_TARGET_DENSE ? dense : bytes;
    void *places[OUTPUTS];
    for (int o = 0; o < OUTPUTS; o++)
        places[o] = rounded ? (void *)narrow_results[o] : to->out[o];
    buffers.loss = places[0], buffers.gradient = places[1], buffers.hessian = places[2];
    focal_plan *plan;
    focal_error error = FOCAL_ERROR_INIT;
    if (focal_plan_create(&plan, &asked, &options, &error) != FOCAL_OK ||
        focal_plan_execute(plan, &buffers, NULL, NULL, &error) != FOCAL_OK) {
        printf("row %s: %s\n", isa, error.message);
        exit(1);
    }
    for (size_t i = 0; rounded && i < OUTPUTS * COUNT; i++)
        to->out[i / COUNT][i % COUNT] = (double)narrow_results[i / COUNT][i % COUNT];
    char description[512];
    focal_plan_describe(plan, description, sizeof description);
    CHECK_CASE(strstr(description, "focal_f64_sigmoid_form_fast__"), "%s", description);
    focal_plan_destroy(plan);
}

/* The second derivative, and the sum of the magnitudes of its terms, from the formula. */
static void hessian_oracle(const problem *p, double x, double t, long double *value,
                           long double *size) {
    const long double z = t == 1.0 ? x : -(long double)x, gamma = p->gamma;
    const long double q = 1.0L / (1.0L + expl(z)), p_t = 1.0L / (1.0L + expl(-z));
    const long double bce = z < 0.0L ? log1pl(expl(z)) - z : log1pl(expl(-z));
    const long double alpha = p->alpha;
    const long double weight = isnan(p->alpha) ? 1.0L : t == 1.0 ? alpha : 1.0L - alpha;
    const long double power = weight * powl(q, gamma);
    const long double first = power * (1.0L + 2.0L * gamma) * p_t * q;
    const long double minus = power * gamma * q * p_t * bce;
    const long double last = power * gamma * gamma * p_t * p_t * bce;
    *value = p->mode == FOCAL_HESSIAN_UPPER ? first + last : first - minus + last;
    *size = p->mode == FOCAL_HESSIAN_UPPER ? *value : first + minus + last;
}

/* Of every magnitude: near 0, ordinary, and up to where the results vanish. */
static void make_inputs(random_source *source) {
    static const double widths[] = {1e-6, 0.5, 4.0, 40.0, 700.0};
    for (size_t i = 0; i < COUNT; i++) {
        double unit = (double)random_next(source) * 0x1p-63 - 1.0;
        logits[i] = widths[random_below(source, 5)] * unit;
        bytes[i] = (uint8_t)random_below(source, 2);
        targets[i] = bytes[i];
    }
}

/* In units of the last place that `size` has in double; below 2^-1022 the error may be 2^-1060. A result
 * that was rounded to float is given the half unit that this may cost. */
static double error_of(focal_dtype dtype, double got, long double exact, long double size) {
    if (dtype == FOCAL_F32) {
        int place;
        frexpl(exact, &place);
        const long double half = ldexpl(0.5L, (place > -125 ? place : -125) - 24);
        const long double rest = fabsl((long double)got - exact) - half;
        frexpl(size, &place);
        return rest <= 0.0L ? 0.0 : (double)(rest / ldexpl(1.0L, place - 53));
    }
    if (fabsl(size) < 0x1p-1022L)
        return fabsl((long double)got - exact) <= 0x1p-1060L ? 0.0 : HUGE_VAL;
    int exponent;
    frexpl(size, &exponent);
    return (double)(fabsl((long double)got - exact) / ldexpl(1.0L, exponent - 53));
}

static void judge(const char *isa, const problem *p, const results *r, double most[OUTPUTS]) {
    for (size_t i = 0; i < COUNT; i++) {
        const oracle_point point = oracle_sigmoid(logits[i], targets[i], p->gamma, p->alpha);
        long double exact[OUTPUTS] = {point.loss, point.gradient};
        long double size[OUTPUTS] = {point.loss, point.gradient};
        hessian_oracle(p, logits[i], targets[i], &exact[2], &size[2]);
        for (int o = 0; o < OUTPUTS; o++) {
            const double error = error_of(p->result_dtype, r->out[o][i], exact[o], size[o]);
            most[o] = fmax(most[o], error);
            CHECK_CASE(
                error <= (o < 2 ? 10.0 : 12.0),
                "row %s, gamma %g, alpha %g, mode %d, kind %d: %s of %a, target %g is %a, "
                "off by %g ULP",
                isa, p->gamma, p->alpha, (int)p->mode, (int)p->kind, output_names[o], logits[i],
                targets[i], r->out[o][i], error);
        }
    }
}

static void same_bits(const char *isa, const problem *p, const results *r, const results *as) {
    for (int o = 0; o < OUTPUTS; o++)
        for (size_t i = 0; i < COUNT; i++)
            if (ulp_bits_f64(r->out[o][i]) != ulp_bits_f64(as->out[o][i])) {
                CHECK_CASE(0, "row %s, gamma %g: %s %zu is %a instead of %a", isa, p->gamma,
                           output_names[o], i, r->out[o][i], as->out[o][i]);
                return;
            }
    CHECK(1);
}

/* Every seventh target becomes 0.3; the others keep their results. */
static void soft_neighbours(const char *isa, const problem *p, const results *hard) {
    static results mixed;
    for (size_t i = 3; i < COUNT; i += 7)
        targets[i] = 0.3;
    execute(isa, p, &mixed);
    for (size_t i = 3; i < COUNT; i += 7) {
        const double soft = p->dtype == FOCAL_F32 ? (double)0.3F : 0.3;
        const oracle_point point = oracle_sigmoid(logits[i], soft, p->gamma, p->alpha);
        const double error =
            error_of(p->result_dtype, mixed.out[1][i], point.gradient, point.gradient_scale);
        CHECK_CASE(error <= 12.0, "row %s, gamma %g: gradient of %a, target 0.3, off by %g ULP",
                   isa, p->gamma, logits[i], error);
        for (int o = 0; o < OUTPUTS; o++)
            mixed.out[o][i] = hard->out[o][i];
        targets[i] = bytes[i];
    }
    same_bits(isa, p, &mixed, hard);
}

static void limits(const char *isa, const problem *p) {
    static results r;
    const double alpha = isnan(p->alpha) ? 1.0 : p->alpha;
    double kept[4];
    memcpy(kept, logits, sizeof kept);
    const double kept_targets[4] = {targets[0], targets[1], targets[2], targets[3]};
    logits[0] = INFINITY, logits[1] = -INFINITY, logits[2] = NAN, logits[3] = -0.0;
    for (int i = 0; i < 4; i++)
        targets[i] = 1.0;
    execute(isa, p, &r);
    CHECK_CASE(r.out[0][0] == 0.0 && r.out[1][0] == 0.0 && r.out[2][0] == 0.0,
               "row %s, gamma %g: %a %a %a", isa, p->gamma, r.out[0][0], r.out[1][0],
               r.out[2][0]);
    CHECK_CASE(r.out[0][1] == INFINITY && r.out[1][1] == -alpha && r.out[2][1] == 0.0,
               "row %s, gamma %g: %a %a %a", isa, p->gamma, r.out[0][1], r.out[1][1],
               r.out[2][1]);
    CHECK_CASE(isnan(r.out[0][2]) && isnan(r.out[1][2]) && isnan(r.out[2][2]),
               "row %s, gamma %g: %a %a %a", isa, p->gamma, r.out[0][2], r.out[1][2],
               r.out[2][2]);
    const double expected = alpha * pow(0.5, p->gamma) * log(2.0);
    CHECK_CASE(fabs(r.out[0][3] - expected) <= 1e-15, "row %s, gamma %g: %a", isa, p->gamma,
               r.out[0][3]);
    memcpy(logits, kept, sizeof kept);
    memcpy(targets, kept_targets, sizeof kept_targets);
}

/* Every way to ask for the loss of these logits. */
static void check_gamma(const char *isa, int fuses, double gamma, focal_dtype dtype,
                        focal_dtype result_dtype, double most[OUTPUTS]) {
    static results reference, r;
    for (int k = 0; k < 4; k++) {
        const problem p = {gamma,         k & 1 ? 0.25 : NAN,
                           modes[k >> 1], k & 1 ? FOCAL_TARGET_BINARY_U8 : FOCAL_TARGET_DENSE,
                           dtype,         result_dtype};
        execute(isa, &p, &r);
        judge(isa, &p, &r, most);
        if (fuses) {
            execute("scalarfma", &p, &reference);
            same_bits(isa, &p, &r, &reference);
        }
        if (p.kind == FOCAL_TARGET_DENSE) {
            soft_neighbours(isa, &p, &r);
            if (result_dtype == FOCAL_F64)
                limits(isa, &p);
        }
    }
}

static void check_row(const char *isa, int fuses) {
    double most[OUTPUTS] = {0.0, 0.0, 0.0};
    for (size_t g = 0; g < sizeof gammas / sizeof *gammas; g++) {
        random_source source = random_named(7 + g, "plain", 5);
        make_inputs(&source);
        check_gamma(isa, fuses, gammas[g], FOCAL_F64, FOCAL_F64, most);
        for (size_t i = 0; i < COUNT; i++)
            logits[i] = (double)(float)logits[i];
        check_gamma(isa, fuses, gammas[g], FOCAL_F32, FOCAL_F64, most);
        check_gamma(isa, fuses, gammas[g], FOCAL_F32, FOCAL_F32, most);
    }
    printf("row %s: at most %.2f ULP in losses, %.2f in gradients, %.2f in Hessians\n", isa,
           most[0], most[1], most[2]);
}

int main(void) {
    size_t index = 0;
    for (const char *isa; (isa = next_isa(&index)) != NULL;) {
        const unsigned passed = check_passed, failed = check_failed;
        check_row(isa, strcmp(isa, "scalar") != 0);
        printf("row %s: %u passed, %u failed\n", isa, check_passed - passed,
               check_failed - failed);
    }
    return check_report();
}
