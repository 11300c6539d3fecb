/* The form kernels alone, of every row that this CPU can run, on the cases of golden_forms.txt: no
 * dispatch, no storage types, so that nothing hides the errors of their double arithmetic.
 * Usage: test_form_kernels FOLDER. The bound is that of docs/numerics.md. */
#include <float.h>
#include <math.h>
#include <stdbool.h>

#include "check.h"
#include "cpu.h"
#include "form.h"
#include "form_case.h"
#include "form_numerics.h"
#include "isa.h"
#include "storage.h"

enum { WIDTH = CASE_VALUES };

/* A row's inputs, one value per class. */
typedef struct row_inputs {
    double logits[WIDTH], targets[WIDTH], alpha_positive[WIDTH], alpha_negative[WIDTH];
    double gamma[WIDTH], gamma_negative[WIDTH], weight[WIDTH];
} row_inputs;

typedef struct row_outputs {
    double values[OUTS][WIDTH];
} row_outputs;

static unsigned plain_runs; /* of the fast kernel's own arithmetic */

/* The largest errors by tier, forms with an exponent or not; those of tier fast where its bound is that
 * of floats. */
static double worst[3][2][OUTS];

static int is_label(const focal_problem *p) {
    return p->target_kind >= FOCAL_TARGET_LABEL_U8;
}

static int64_t inner_of(const focal_problem *p) {
    return p->inner ? p->inner : 1;
}

static double alpha_of(const form_case *c, int64_t k) {
    const focal_problem *const p = &c->problem;
    if (p->alpha_mode == FOCAL_ALPHA_PER_CLASS)
        return c->class_alpha[k];
    if (p->alpha_mode == FOCAL_ALPHA_BACKGROUND && k == p->background)
        return 1.0 - p->alpha;
    return p->alpha;
}

/* What the caller of the kernels has to do: expand everything to one value per element. */
static void gather_row(const form_case *c, int64_t row, row_inputs *in) {
    const focal_problem *const p = &c->problem;
    const int64_t inner = inner_of(p), first = row / inner * p->classes * inner + row % inner;
    const int64_t label = is_label(p) ? c->labels[row] : -1;
    const int positive = !(p->op == FOCAL_SIGMOID && p->label_flags & FOCAL_LABEL_BACKGROUND &&
                           label == p->background);
    for (int64_t k = 0; k < p->classes; k++) {
        const int64_t at = first + k * inner;
        const int64_t owner = p->op == FOCAL_SOFTMAX && label >= 0 ? label : k;
        const double alpha = alpha_of(c, owner);
        const int off = p->alpha_mode == FOCAL_ALPHA_OFF;
        in->logits[k] = c->logits[at];
        in->targets[k] = is_label(p) ? (double)(positive && k == label) : c->targets[at];
        in->alpha_positive[k] = off ? 1.0 : alpha;
        in->alpha_negative[k] = off ? 1.0 : 1.0 - alpha;
        if (p->form == FOCAL_FORM_VARIFOCAL && !off)
            in->alpha_negative[k] = alpha;
        in->gamma[k] = p->gamma_mode == FOCAL_GAMMA_PER_CLASS ? c->class_gamma[k] : p->gamma;
        in->gamma_negative[k] =
            p->gamma_mode == FOCAL_GAMMA_SPLIT ? p->gamma_negative : in->gamma[k];
        in->weight[k] = (p->class_weight ? c->class_weight[owner] : 1.0) *
                        (c->row_weights ? c->row_weight[row] : 1.0) *
                        (c->element_weights ? c->element_weight[at] : 1.0);
    }
}

/* What dispatch gives to the fast kernel, which takes all else for what the accurate one does. */
static bool is_plain(const focal_problem *p, const row_inputs *in) {
    bool plain = p->op == FOCAL_SIGMOID && p->form == FOCAL_FORM_FOCAL && p->smoothing == 0.0 &&
                 p->poly_epsilon == 0.0 && p->gamma_mode == FOCAL_GAMMA_SCALAR &&
                 p->gamma <= 2.0 && 2.0 * p->gamma == floor(2.0 * p->gamma);
    for (int64_t k = 0; k < p->classes; k++)
        plain = plain && in->weight[k] == 1.0 &&
                in->alpha_positive[k] == in->alpha_positive[0] &&
                in->alpha_positive[k] != 0.0 && in->alpha_negative[k] != 0.0;
    return plain;
}

static focal_form_span make_span(const form_case *c, const row_inputs *in,
                                 row_outputs *results) {
    const focal_problem *const p = &c->problem;
    focal_form_span span = {
        .count = (size_t)p->classes,
        .logits = in->logits,
        .targets = in->targets,
        .alpha_positive = in->alpha_positive,
        .alpha_negative = in->alpha_negative,
        .gamma_positive = in->gamma,
        .gamma_negative = in->gamma_negative,
        .weight = in->weight,
        .margin = p->margin,
        .star_beta = p->star_beta,
        .poly_epsilon = p->poly_epsilon,
        .smoothing = p->smoothing,
        .smooth_cross_entropy = p->smoothing > 0.0 && p->smoothing_mode != FOCAL_SMOOTH_TARGET,
        .classes = (size_t)p->classes,
        .gamma_uniform = p->gamma_mode == FOCAL_GAMMA_SCALAR ? p->gamma : NAN,
        .form = (focal_kernel_form)p->form,
        .hessian_mode = (focal_kernel_hessian)p->hessian_mode,
        .hessian_floor = p->hessian_floor,
        .scale = (c->upstream != 0.0 ? c->upstream : 1.0) / (double)c->divisor,
        .loss = results->values[OUT_LOSS],
        .gradient = results->values[OUT_GRADIENT],
        .hessian = results->values[OUT_HESSIAN],
        .target_gradient = results->values[OUT_TARGET_GRADIENT],
    };
    return span;
}

static void run_row(const form_case *c, int64_t row, const focal_form_kernel *kernel,
                    row_outputs *results) {
    row_inputs in;
    gather_row(c, row, &in);
    focal_form_span span = make_span(c, &in, results);
    span.narrow = kernel->tier == KERNEL_FAST;
    if (kernel->tier == KERNEL_FAST && c->out_count[OUT_TARGET_GRADIENT] == 0 &&
        is_plain(&c->problem, &in)) {
        span.plain = true;
        span.target_gradient = NULL;
        plain_runs++;
    }
    if (kernel->op == KERNEL_SIGMOID) {
        kernel->function(&span);
        results->values[OUT_ROW_LOSS][0] = span.sum;
        return;
    }
    focal_form_row carried = {.most = -HUGE_VAL};
    const int64_t label = is_label(&c->problem) ? c->labels[row] : 0;
    carried.label = (size_t)label;
    carried.label_logit = in.logits[label];
    carried.gamma = in.gamma[label];
    carried.weight = in.weight[label] * in.alpha_positive[label];
    span.row = &carried;
    span.loss = NULL;
    for (focal_form_step step = FORM_ROW_MAX; step <= FORM_ROW_RESULTS; step++) {
        span.step = step;
        kernel->function(&span);
    }
    results->values[OUT_ROW_LOSS][0] = carried.loss;
}

static void check_value(const form_case *c, const focal_form_kernel *kernel, int which,
                        size_t index, double got) {
    const wanted *const w = &c->out[which][index];
    const int upper = form_is_bound(&c->problem, which);
    const long double unit = storage_ulp(FOCAL_F64, w->size);
    const long double error = fabsl((long double)got - w->value) / unit;
    const bool narrow = kernel->tier == KERNEL_FAST;
    const focal_tier tier = kernel->tier == KERNEL_SLEEF ? FOCAL_TIER_SLEEF
                            : narrow                     ? FOCAL_TIER_FAST
                                                         : FOCAL_TIER_ACCURATE;
    const long double bound =
        form_bound_ulp(c, tier, narrow, w->size) + form_underflow(c) / unit;
    int right = isinf(w->value) ? (long double)got == w->value : error <= bound;
    if (fabsl(w->value) > (long double)DBL_MAX && !isinf(w->value))
        right = !isnan(got);
    if (upper)
        right = got >= 0.0 && isfinite(got) && (long double)got >= w->value - bound * unit;
    CHECK_CASE(right, "case %s, %s: %s[%zu] %.17g, exact %.20Lg of terms %.3Lg: %.3Lg ULP",
               c->name, kernel->name, out_names[which] + 5, index, got, w->value, w->size,
               error);
    double *const most = &worst[kernel->tier][form_has_exponent(&c->problem)][which];
    if (!upper && form_largest_logit(c) <= 708.0 && form_cancelled(c) < 4.0 &&
        w->size > (narrow ? 0x1p-150L : (long double)DBL_MIN) && error > *most)
        *most = (double)error;
}

static void check_row(const form_case *c, int64_t row, const focal_form_kernel *kernel) {
    const focal_problem *const p = &c->problem;
    const int64_t inner = inner_of(p), first = row / inner * p->classes * inner + row % inner;
    if (p->label_flags & FOCAL_LABEL_IGNORE && c->labels[row] == p->ignore)
        return; /* the caller's affair */
    static row_outputs results;
    run_row(c, row, kernel, &results);
    for (int which = 0; which < OUTS; which++)
        for (int64_t k = 0; k < (which == OUT_ROW_LOSS ? 1 : p->classes); k++) {
            const int64_t at = which == OUT_ROW_LOSS ? row : first + k * inner;
            if (c->out_count[which] > 0)
                check_value(c, kernel, which, (size_t)at, results.values[which][k]);
        }
}

static void check_table(const focal_kernel_table *table, const char *folder) {
    char path[4096];
    snprintf(path, sizeof path, "%s/golden_forms.txt", folder);
    FILE *const file = fopen(path, "r");
    if (!CHECK_CASE(file != NULL, "cannot open %s", path))
        return;
    static form_case c;
    while (form_case_read(file, &c)) {
        if (c.problem.form == FOCAL_FORM_MATCH)
            continue; /* test_forms has it: rows are not matched here */
        for (size_t k = 0; k < table->form_count; k++)
            if ((int)table->forms[k].op == (int)c.problem.op)
                for (int64_t row = 0; row < c.problem.outer * inner_of(&c.problem); row++)
                    check_row(&c, row, &table->forms[k]);
    }
    fclose(file);
}

int main(int argc, char **argv) {
    if (argc != 2)
        return puts("usage: test_form_kernels FOLDER (tests/data)"), 2;
    for (size_t i = 0; i < focal_isa_row_count; i++) {
        const focal_isa_row *const row = &focal_isa_rows[i];
        focal_isa_info info = {.struct_size = sizeof info};
        focal_isa_get(i, &info);
        if (!info.usable)
            continue;
        const unsigned passed = check_passed, failed = check_failed;
        check_table(row->table, argv[1]);
        printf("row %s: %u passed, %u failed\n", row->name, check_passed - passed,
               check_failed - failed);
    }
    printf("%u runs of plain losses\n", plain_runs);
    CHECK_CASE(plain_runs > 0, "no case has a plain loss");
    puts("largest errors for |x| <= 708, in ULP of double of the terms' magnitudes");
    static const char *const tiers[] = {"sleef", "fast", "accurate"};
    for (int i = 0; i < 6; i++) {
        printf("tier %-8s %-28s", tiers[i / 2],
               i % 2 ? "scaled, confidence, star:" : "other forms:");
        for (int which = 0; which < OUTS; which++)
            printf(" %s %.3g", out_names[which] + 5, worst[i / 2][i % 2][which]);
        putchar('\n');
    }
    return check_report();
}
