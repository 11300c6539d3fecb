#define _POSIX_C_SOURCE 200809L /* strsignal */
#include "form_rows.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "child.h"
#include "guard.h"
#include "machine_state.h"
#include "random.h"
#include "ulp.h"

enum { INPUTS = 7, OUTPUTS = 4, LONGEST = 3 * FORM_RUN };

static const char *const input_names[INPUTS] = {
    "logits",         "targets",        "alpha_positive", "alpha_negative",
    "gamma_positive", "gamma_negative", "weight"};
static const char *const output_names[OUTPUTS] = {"loss", "gradient", "hessian",
                                                  "target_gradient"};
enum { LOSS, GRADIENT };

/* A run of a sigmoid form, or a whole softmax row. */
typedef struct {
    focal_form_span span; /* the parameters; no memory */
    focal_kernel_op op;
    size_t count;
    double inputs[INPUTS][LONGEST];
    focal_form_row row;
} row_case;

typedef struct {
    double values[OUTPUTS][LONGEST];
    double sum;
    focal_form_row row;
} row_results;

/* The reference's results of a case, which the state of `random` before it identifies; 0 if nobody
 * has asked for them yet. */
typedef struct {
    uint64_t state;
    row_results results;
} expectation;

typedef struct {
    const focal_form_kernel *kernel, *reference;
    form_rows_settings settings;
    form_rows_report *report;
    random_source random;
    guard_buffer inputs[INPUTS], outputs[OUTPUTS];
    row_case one;
    expectation *expectations; /* of each case; shared */
    const row_results *expected;
    row_results got;
    guard_place place;
    int alias;       /* the input that the gradient overwrites, or -1 */
    unsigned wanted; /* outputs, a bit for each */
    bool observable;
} runner;

const char *form_check_text(form_check check) {
    static const char *const texts[] = {
#define FORM_CHECK_TEXT(name, text) text,
        FORM_CHECKS(FORM_CHECK_TEXT)
#undef FORM_CHECK_TEXT
    };
    return texts[check];
}

__attribute__((format(printf, 3, 4))) static void note(runner *r, form_check check,
                                                       const char *format, ...) {
    char *const text = r->report->first[check];
    if (r->report->failed[check])
        return;
    r->report->failed[check] = true;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof r->report->first[check], format, arguments);
    va_end(arguments);
    if (length > 0 && (size_t)length < sizeof r->report->first[check])
        snprintf(text + length, sizeof r->report->first[check] - (size_t)length,
                 " (form %d, count %zu, %s, gradient over %s, outputs %#x)",
                 (int)r->one.span.form, r->one.count, guard_place_text(r->place),
                 r->alias < 0 ? "none" : input_names[r->alias], r->wanted);
}

/* ---- Cases ------------------------------------------------------------------------------- */

static double unit(random_source *random) {
    return (double)(random_next(random) >> 11) * 0x1p-53;
}

static double random_logit(random_source *random) {
    static const double specials[] = {0.0,     HUGE_VAL, (double)NAN, DBL_MAX, 0x1p-1074,
                                      1e-300,  709.0,    740.0,       746.0,   1000.0,
                                      0x1p-53, 36.7,     18.4,        1.0,     1e200};
    double sign = random_next(random) >> 63 ? -1.0 : 1.0;
    switch (random_below(random, 8)) {
    case 0:
        return sign * specials[random_below(random, sizeof specials / sizeof specials[0])];
    case 1:
        return sign * ldexp(unit(random), -(int)random_below(random, 60));
    case 2:
        return sign * unit(random) * 800.0;
    default:
        return sign * unit(random) * 12.0;
    }
}

static double random_target(random_source *random) {
    static const double specials[] = {0.0, 1.0, 0.5, 0x1p-60, 1.0 - 0x1p-53, (double)NAN};
    switch (random_below(random, 4)) {
    case 0:
        return unit(random);
    case 1:
        return specials[random_below(random, sizeof specials / sizeof specials[0])];
    default:
        return (double)random_below(random, 2);
    }
}

static double pick(random_source *random, const double *from, uint32_t count) {
    return from[random_below(random, count)];
}

static void random_inputs(row_case *one, random_source *random) {
    static const double gammas[] = {0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 0.3, 5.0, 20.0, 1000.0};
    static const double alphas[] = {1.0, 0.25, 0.75, 0.0};
    static const double weights[] = {1.0, 1.0, 0.0, 0.3, 17.0};
    bool uniform = random_below(random, 2);
    double gamma = pick(random, gammas, 10);
    double gamma_negative = random_below(random, 2) ? gamma : pick(random, gammas, 10);
    bool softmax = one->op == KERNEL_SOFTMAX, tame = softmax && random_below(random, 4) != 0;
    bool labelled = softmax && random_below(random, 2);
    for (size_t i = 0; i < one->count; i++) {
        double x = random_logit(random);
        /* A NaN makes a whole softmax row NaN, so most rows have none. */
        one->inputs[0][i] = tame && !(fabs(x) < 1e3) ? -1.0 : x;
        one->inputs[1][i] = labelled ? 0.0 : random_target(random);
        if (tame && isnan(one->inputs[1][i]))
            one->inputs[1][i] = 0.25;
        one->inputs[2][i] = pick(random, alphas, 4);
        one->inputs[3][i] = pick(random, alphas, 4);
        one->inputs[4][i] = uniform ? gamma : pick(random, gammas, 10);
        one->inputs[5][i] = uniform ? gamma_negative : pick(random, gammas, 10);
        one->inputs[6][i] = pick(random, weights, 5);
    }
    one->span.gamma_uniform = uniform && gamma == gamma_negative ? gamma : (double)NAN;
    size_t label = random_below(random, (uint32_t)one->count);
    if (labelled)
        one->inputs[1][label] = 1.0;
    one->row = (focal_form_row){.most = -HUGE_VAL,
                                .label = label,
                                .label_logit = one->inputs[0][label],
                                .gamma = one->inputs[4][label],
                                .weight = one->inputs[2][label] * one->inputs[6][label]};
}

/* What the fast kernel computes otherwise than the accurate one; half of these runs have hard
 * targets alone. */
static void make_plain(row_case *one, random_source *random) {
    double gamma = 0.5 * random_below(random, 5);
    double alpha = random_below(random, 2) ? 0.25 : 1.0;
    bool hard = random_below(random, 2);
    for (size_t i = 0; i < one->count; i++) {
        one->inputs[2][i] = alpha;
        one->inputs[3][i] = alpha == 1.0 ? 1.0 : 1.0 - alpha;
        one->inputs[4][i] = one->inputs[5][i] = gamma;
        one->inputs[6][i] = 1.0;
        if (hard)
            one->inputs[1][i] = (double)random_below(random, 2);
    }
    one->span.gamma_uniform = gamma;
    one->span.smoothing = one->span.poly_epsilon = 0.0;
    one->span.plain = true;
}

/* Every count up to five steps, and those around the ends of runs. */
static size_t count_of(random_source *random, unsigned round, bool softmax) {
    if (round < 40)
        return round + 1;
    if (round < 56)
        return FORM_RUN - (55 - round);
    return 1 + random_below(random, softmax ? LONGEST : FORM_RUN);
}

static void random_case(row_case *one, const focal_form_kernel *kernel, focal_kernel_form form,
                        random_source *random, unsigned round) {
    one->op = kernel->op;
    one->count = count_of(random, round, kernel->op == KERNEL_SOFTMAX);
    bool poly = form == KERNEL_FORM_FOCAL && random_below(random, 3) == 0;
    one->span = (focal_form_span){
        .form = form,
        .margin = form == KERNEL_FORM_SPLIT && random_below(random, 2) ? 0.05 : 0.0,
        .star_beta = random_below(random, 2) ? 1.0 : 0.0,
        .poly_epsilon = poly ? -0.5 : 0.0,
        .smoothing = random_below(random, 3) == 0 ? 0.1 : 0.0,
        .smooth_cross_entropy = random_below(random, 2),
        .classes = one->count,
        .hessian_mode = (focal_kernel_hessian)random_below(random, 3),
        .hessian_floor = random_below(random, 3) == 0 ? 0x1p-10 : 0.0,
        .scale = random_below(random, 2) ? 1.0 : -3.5,
        .narrow = kernel->tier == KERNEL_FAST && random_below(random, 4),
    };
    random_inputs(one, random);
    if (kernel->tier == KERNEL_FAST && form == KERNEL_FORM_FOCAL && random_below(random, 4))
        make_plain(one, random);
}

/* ---- Calls ------------------------------------------------------------------------------- */

static void point(focal_form_span *span, double *const inputs[INPUTS],
                  double *const outputs[OUTPUTS]) {
    span->logits = inputs[0];
    span->targets = inputs[1];
    span->alpha_positive = inputs[2];
    span->alpha_negative = inputs[3];
    span->gamma_positive = inputs[4];
    span->gamma_negative = inputs[5];
    span->weight = inputs[6];
    span->loss = outputs[0];
    span->gradient = outputs[1];
    span->hessian = outputs[2];
    span->target_gradient = span->plain ? NULL : outputs[3];
}

typedef void call_run(runner *r, const focal_form_kernel *kernel, focal_form_span *span,
                      size_t first, size_t count, row_results *results);

/* All runs of all steps. */
static void each_run(runner *r, const focal_form_kernel *kernel, call_run *call,
                     row_results *results) {
    const row_case *one = &r->one;
    bool softmax = one->op == KERNEL_SOFTMAX;
    results->row = one->row;
    for (int step = 0; step <= (softmax ? (int)FORM_ROW_RESULTS : 0); step++)
        for (size_t first = 0; first < one->count; first += FORM_RUN) {
            focal_form_span span = one->span;
            span.step = (focal_form_step)step;
            span.first = first;
            span.row = softmax ? &results->row : NULL;
            size_t left = one->count - first;
            span.count = left < FORM_RUN ? left : FORM_RUN;
            call(r, kernel, &span, first, span.count, results);
        }
}

/* The reference: no alias, every output. */
static void call_plain(runner *r, const focal_form_kernel *kernel, focal_form_span *span,
                       size_t first, size_t count, row_results *results) {
    double *inputs[INPUTS], *outputs[OUTPUTS];
    (void)count;
    for (int i = 0; i < INPUTS; i++)
        inputs[i] = r->one.inputs[i] + first;
    for (int i = 0; i < OUTPUTS; i++)
        outputs[i] = results->values[i] + first;
    if (r->one.op == KERNEL_SOFTMAX)
        outputs[LOSS] = NULL;
    point(span, inputs, outputs);
    kernel->function(span);
    results->sum = span->sum;
}

static void check_memory(runner *r, size_t first, size_t count) {
    for (int i = 0; i < INPUTS; i++) {
        if (i != r->alias &&
            memcmp(r->inputs[i].data, r->one.inputs[i] + first, count * sizeof(double)) != 0)
            note(r, FORM_CHECK_INPUT, "%s", input_names[i]);
        if (guard_disturbance(&r->inputs[i]) != 0)
            note(r, FORM_CHECK_WRITE, "beside %s", input_names[i]);
    }
    for (int i = 0; i < OUTPUTS; i++)
        if (guard_disturbance(&r->outputs[i]) != 0)
            note(r, FORM_CHECK_WRITE, "byte %td of %s", guard_disturbance(&r->outputs[i]),
                 output_names[i]);
}

static void call_guarded(runner *r, const focal_form_kernel *kernel, focal_form_span *span,
                         size_t first, size_t count, row_results *results) {
    double *inputs[INPUTS], *outputs[OUTPUTS];
    size_t bytes = count * sizeof(double);
    for (int i = 0; i < INPUTS; i++) {
        size_t offset = 8 * random_below(&r->random, 16);
        inputs[i] = guard_put(&r->inputs[i], r->place, bytes, offset);
        memcpy(inputs[i], r->one.inputs[i] + first, bytes);
    }
    for (int i = 0; i < OUTPUTS; i++) {
        size_t offset = 8 * random_below(&r->random, 16);
        bool wanted = (r->wanted >> i & 1) && !(i == GRADIENT && r->alias >= 0) &&
                      !(i == LOSS && r->one.op == KERNEL_SOFTMAX);
        double *data = guard_put(&r->outputs[i], r->place, wanted ? bytes : 0, offset);
        outputs[i] = wanted ? data : NULL;
    }
    /* Only the last step of a softmax row may overwrite an input. */
    bool last = r->one.op == KERNEL_SIGMOID || span->step == FORM_ROW_RESULTS;
    if (r->alias >= 0)
        outputs[GRADIENT] = last ? inputs[r->alias] : NULL;
    point(span, inputs, outputs);
    float_control before = float_control_read();
    upper_halves_clean(r->observable);
    kernel->function(span);
    if (upper_halves_in_use(r->observable))
        note(r, FORM_CHECK_STATE, "no vzeroupper before the return, step %d", (int)span->step);
    if (float_control_read() != before)
        note(r, FORM_CHECK_STATE, "control bits");
    float_control_write(before);
    upper_halves_clean(r->observable);
    r->report->calls++;
    results->sum = span->sum;
    for (int i = 0; i < OUTPUTS; i++)
        if (outputs[i] && last)
            memcpy(results->values[i] + first, outputs[i], bytes);
    check_memory(r, first, count);
}

/* ---- Comparison -------------------------------------------------------------------------- */

static void compare(runner *r, form_check check, const char *name, size_t index, double got,
                    double expected) {
    r->report->values++;
    /* Rows with bits of their own may make NaN of an overflow, as of a Hessian beside a kink. */
    bool excused = !r->settings.bits && !isfinite(got) && !isfinite(expected);
    if (isnan(got) != isnan(expected) && !excused)
        note(r, FORM_CHECK_NAN, "%s[%zu] is %a, expected %a", name, index, got, expected);
    else if (r->settings.bits && ulp_bits_f64(got) != ulp_bits_f64(expected))
        note(r, check, "%s[%zu] is %a, expected %a", name, index, got, expected);
}

static void compare_case(runner *r) {
    const focal_form_row *got = &r->got.row, *expected = &r->expected->row;
    for (int i = 0; i < OUTPUTS; i++)
        for (size_t k = 0; (r->wanted >> i & 1) && k < r->one.count; k++)
            if (!(i == LOSS && r->one.op == KERNEL_SOFTMAX))
                compare(r, FORM_CHECK_VALUE, output_names[i], k, r->got.values[i][k],
                        r->expected->values[i][k]);
    if (r->one.op == KERNEL_SIGMOID) {
        compare(r, FORM_CHECK_SUM, "sum", 0, r->got.sum, r->expected->sum);
        return;
    }
    const double pairs[][2] = {{got->most, expected->most},
                               {(double)got->most_at, (double)expected->most_at},
                               {got->others, expected->others},
                               {got->others_low, expected->others_low},
                               {got->amount, expected->amount},
                               {got->loss, expected->loss},
                               {got->slope, expected->slope},
                               {got->slope_most, expected->slope_most},
                               {got->curvature, expected->curvature},
                               {got->curvature_most, expected->curvature_most}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        compare(r, FORM_CHECK_ROW, "row", i, pairs[i][0], pairs[i][1]);
}

/* What needs no reference: a weight of 0 gives zeros, whatever the logit. */
static void check_weightless(runner *r) {
    for (size_t k = 0; r->one.op == KERNEL_SIGMOID && k < r->one.count; k++)
        for (int i = 0; i < OUTPUTS && r->one.inputs[INPUTS - 1][k] == 0.0; i++)
            if ((r->wanted >> i & 1) && r->got.values[i][k] != 0.0)
                note(r, FORM_CHECK_VALUE, "%s[%zu] is %a at weight 0", output_names[i], k,
                     r->got.values[i][k]);
}

static void try_case(runner *r, expectation *known, uint64_t state) {
    r->place = GUARD_MIDDLE;
    r->alias = -1;
    unsigned all = r->one.span.plain ? 7 : 15; /* no target gradient */
    r->wanted = all;
    if (known->state != state)
        each_run(r, r->reference, call_plain, &known->results);
    known->state = state;
    r->expected = &known->results;
    for (int place = GUARD_MIDDLE; place <= GUARD_START; place++) {
        r->place = (guard_place)place;
        r->alias = (int)random_below(&r->random, INPUTS + 1) - 1;
        r->wanted =
            (random_below(&r->random, 16) & all) | (r->alias >= 0 ? 1U << GRADIENT : 0U);
        each_run(r, r->kernel, call_guarded, &r->got);
        compare_case(r);
        check_weightless(r);
    }
}

static int forms_of(const focal_form_kernel *kernel) {
    return kernel->op == KERNEL_SIGMOID ? KERNEL_FORM_MATCH + 1 : 1;
}

/* Those of the last reference, as all its kernels get the same cases. */
static expectation *expectations_of(const focal_form_kernel *reference, unsigned rounds) {
    static const focal_form_kernel *last;
    static expectation *kept;
    static size_t size;
    size_t wanted = (size_t)forms_of(reference) * rounds * sizeof *kept;
    if (kept && last == reference && size == wanted)
        return kept;
    if (kept)
        child_shared_free(kept, size);
    last = reference;
    size = wanted;
    return kept = child_shared(size);
}

static void run_in_child(void *context) {
    runner *r = context;
    r->observable = upper_halves_observable();
    r->random = random_named(r->settings.seed, r->reference->name, 12);
    for (int i = 0; i < INPUTS; i++)
        if (!guard_create(&r->inputs[i], input_names[i], 0xff, FORM_RUN * sizeof(double)))
            return;
    for (int i = 0; i < OUTPUTS; i++)
        if (!guard_create(&r->outputs[i], output_names[i], 0xa5, FORM_RUN * sizeof(double)))
            return;
    expectation *next = r->expectations;
    for (int form = 0; form < forms_of(r->reference); form++)
        for (unsigned round = 0; round < r->settings.rounds; round++) {
            uint64_t state = r->random.state;
            random_case(&r->one, r->kernel, (focal_kernel_form)form, &r->random, round);
            try_case(r, next++, state);
        }
    r->report->complete = true;
}

static void describe_end(void *context, child_result *end) {
    runner *r = context;
    ptrdiff_t distance = 0;
    const guard_buffer *buffer =
        end->end == CHILD_FAULT ? guard_find(end->address, &distance) : NULL;
    if (end->end == CHILD_TIME)
        note(r, FORM_CHECK_TIME, "still running after %u s", r->settings.time_limit);
    else if (buffer && distance != 0)
        note(r, FORM_CHECK_FAULT, "byte %td of %s", distance, buffer->name);
    else
        note(r, FORM_CHECK_CRASH, "signal %d (%s)", end->number, strsignal(end->number));
}

bool form_rows_try(const focal_form_kernel *kernel, const focal_form_kernel *reference,
                   form_rows_settings settings, form_rows_report *report) {
    static runner r;
    memset(report, 0, sizeof *report);
    expectation *expectations = expectations_of(reference, settings.rounds);
    form_rows_report *shared = child_shared(sizeof *shared);
    if (!shared || !expectations)
        return false;
    r = (runner){.kernel = kernel,
                 .reference = reference,
                 .settings = settings,
                 .report = shared,
                 .expectations = expectations};
    child_result end = child_run(run_in_child, describe_end, &r, settings.time_limit);
    *report = *shared;
    child_shared_free(shared, sizeof *shared);
    bool good = report->complete && end.end == CHILD_DONE;
    for (int check = 0; check < FORM_CHECK_COUNT; check++)
        good = good && !report->failed[check];
    return good;
}
