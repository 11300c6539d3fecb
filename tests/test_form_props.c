/* What must hold for every form because it holds for the mathematics, on every usable ISA row in
 * every tier. Usage: test_form_props [--quick] [--seed N]. */
#include "form_props.h"

#include "check.h"

variant on;
random_source source;
static int quick;

const double form_gammas[FORM_GAMMAS] = {0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.7, 5.0};
const focal_form element_forms[ELEMENT_FORMS] = {
    FOCAL_FORM_FOCAL,   FOCAL_FORM_SPLIT,     FOCAL_FORM_SCALED, FOCAL_FORM_CONFIDENCE,
    FOCAL_FORM_QUALITY, FOCAL_FORM_VARIFOCAL, FOCAL_FORM_STAR,
};

int expect_that(const char *file, int line, int holds, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return check_that(file, line, holds, "property", ": tier %s: %s", focal_tier_name(on.tier),
                      text);
}

double uniform(double low, double high) {
    return low + (high - low) * ((double)(random_next(&source) >> 11) * 0x1p-53);
}

double draw_logit(void) {
    const double x = uniform(-6.0, 6.0);
    return random_below(&source, 8) == 0 ? 10.0 * x : x;
}

form_case make_case(focal_op op, focal_form form, double gamma, int soft) {
    form_case c = {.row_weights = 0};
    focal_problem *const p = &c.problem;
    focal_problem_init(p);
    p->op = op;
    p->form = form;
    p->dtype = FOCAL_F64;
    p->outer = ROWS;
    p->classes = CLASSES;
    p->gamma = gamma;
    p->alpha_mode = FOCAL_ALPHA_SCALAR;
    p->alpha = 0.25;
    p->outputs =
        FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_ROW_LOSS | FOCAL_OUTPUT_GRADIENT | FOCAL_OUTPUT_HESSIAN;
    if (op == FOCAL_SIGMOID)
        p->outputs |= FOCAL_OUTPUT_LOSS;
    for (int i = 0; i < COUNT; i++) {
        c.logits[i] = draw_logit();
        c.targets[i] = soft ? uniform(0.02, 0.98) : (double)(i % CLASSES == i / CLASSES % 3);
    }
    for (int row = 0; row < ROWS; row++)
        c.labels[row] = row % 3;
    return c;
}

const form_results *run(const form_case *c, const char *property) {
    static form_results kept[4];
    static unsigned turn;
    form_results *const r = &kept[turn++ % 4];
    focal_error error = FOCAL_ERROR_INIT;
    const focal_status status = form_case_run(c, on.isa, on.tier, r, &error);
    if (!CHECK_CASE(status == FOCAL_OK, "%s: %s, tier %s: %s", property, on.isa,
                    focal_tier_name(on.tier), error.message))
        exit(check_report());
    return r;
}

int wants(const focal_problem *p, int which) {
    return (p->outputs & out_flags[which]) != 0;
}

size_t output_count(const form_case *c, int which) {
    const focal_problem *const p = &c->problem;
    const int64_t inner = p->inner ? p->inner : 1;
    return (size_t)(p->outer * inner * (which == OUT_ROW_LOSS ? 1 : p->classes));
}

void same_bits(const char *property, const form_case *c, const form_results *a,
               const form_results *b, double factor) {
    for (int which = 0; which < OUTS; which++)
        for (size_t i = 0; wants(&c->problem, which) && i < output_count(c, which); i++)
            CHECK_CASE(a->out[which][i] * factor == b->out[which][i],
                       "%s: %s, tier %s, form %s, gamma %g: %s[%zu] %a, expected %a", property,
                       on.isa, focal_tier_name(on.tier), focal_form_name(c->problem.form),
                       c->problem.gamma, out_names[which] + 5, i, b->out[which][i],
                       a->out[which][i] * factor);
    CHECK_CASE(a->sums.loss * factor == b->sums.loss, "%s: sum %a, expected %a (%s)", property,
               b->sums.loss, a->sums.loss * factor, on.isa);
}

/* ---- All of them ---- */

static void check_form(focal_form form, double gamma) {
    if (form == FOCAL_FORM_STAR && gamma == 0.0)
        return; /* divides by gamma */
    test_sigmoid_differences(form, gamma);
    test_hessian_modes(FOCAL_SIGMOID, form, gamma);
    test_weights_scale(FOCAL_SIGMOID, form, gamma);
    test_per_class_is_scalar(FOCAL_SIGMOID, form, gamma);
    test_kinds_agree(form, gamma);
    test_layout_keeps_bits(FOCAL_SIGMOID, form, gamma);
    test_rounded_once(FOCAL_SIGMOID, form, FOCAL_F16, gamma);
    test_rounded_once(FOCAL_SIGMOID, form, FOCAL_BF16, gamma);
    test_rounded_once(FOCAL_SIGMOID, form, FOCAL_F32, gamma);
}

static void check_softmax(double gamma) {
    test_softmax_gradient_sums_to_zero(gamma);
    test_softmax_differences(gamma, 0);
    test_softmax_differences(gamma, 1);
    test_hessian_modes(FOCAL_SOFTMAX, FOCAL_FORM_FOCAL, gamma);
    test_weights_scale(FOCAL_SOFTMAX, FOCAL_FORM_FOCAL, gamma);
    test_per_class_is_scalar(FOCAL_SOFTMAX, FOCAL_FORM_FOCAL, gamma);
    test_layout_keeps_bits(FOCAL_SOFTMAX, FOCAL_FORM_FOCAL, gamma);
    test_rounded_once(FOCAL_SOFTMAX, FOCAL_FORM_FOCAL, FOCAL_F16, gamma);
    test_rounded_once(FOCAL_SOFTMAX, FOCAL_FORM_FOCAL, FOCAL_BF16, gamma);
    test_ignored_rows(FOCAL_SOFTMAX, gamma);
    test_ignored_rows(FOCAL_SIGMOID, gamma);
}

static void check_variant(void) {
    for (int g = 0; g < FORM_GAMMAS; g++) {
        if (quick && g % 3 != 2)
            continue;
        test_forms_agree(form_gammas[g]);
        for (int f = 0; f < ELEMENT_FORMS; f++)
            check_form(element_forms[f], form_gammas[g]);
        check_softmax(form_gammas[g]);
    }
    for (int f = 0; f < ELEMENT_FORMS; f++)
        test_per_class_differs(element_forms[f]);
    test_zero_weights(FOCAL_SIGMOID);
    test_zero_weights(FOCAL_SOFTMAX);
    static const int64_t widths[] = {511, 513, 1300, 5000};
    for (int w = quick ? 2 : 0; w < (quick ? 3 : 4); w++) {
        test_wide_rows(FOCAL_SIGMOID, widths[w], form_gammas[w + 2]);
        test_wide_rows(FOCAL_SOFTMAX, widths[w], form_gammas[w + 2]);
    }
    for (int normalizer = 0; normalizer <= FOCAL_NORMALIZER_VALUE; normalizer++) {
        test_pyramid(FOCAL_SIGMOID, (focal_normalizer)normalizer);
        test_pyramid(FOCAL_SOFTMAX, (focal_normalizer)normalizer);
    }
}

int main(int argc, char **argv) {
    uint64_t seed = 20170807;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0)
            quick = 1;
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 0);
        else
            return puts("usage: test_form_props [--quick] [--seed N]"), 2;
    }
    size_t index = 0;
    while ((on.isa = next_isa(&index)) != NULL) {
        const unsigned passed = check_passed, failed = check_failed;
        for (int tier = 0; tier < TIERS; tier++) {
            on.tier = all_tiers[tier];
            source = (random_source){seed};
            check_variant();
        }
        printf("row %s: %u passed, %u failed\n", on.isa, check_passed - passed,
               check_failed - failed);
    }
    return check_report();
}
