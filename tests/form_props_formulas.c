/* Relations between forms, and derivatives by differences of the library's own losses. */
#include "form_props.h"

/* ---- Relations between forms ---- */

void test_forms_agree(double gamma) {
    form_case c = make_case(FOCAL_SIGMOID, FOCAL_FORM_FOCAL, gamma, 0);
    const form_results first = *run(&c, "agree");
    for (int f = 1; f < AGREEING_FORMS; f++) {
        c.problem.form = element_forms[f];
        const form_results *const r = run(&c, "agree");
        for (int which = 0; which < OUTS; which++)
            for (size_t i = 0; wants(&c.problem, which) && i < output_count(&c, which); i++) {
                const double a = first.out[which][i], b = r->out[which][i];
                /* A second derivative has a zero; its terms are not smaller than the gradient. */
                const double scale =
                    which == OUT_HESSIAN ? fabs(a) + fabs(first.out[OUT_GRADIENT][i]) : fabs(a);
                EXPECT(fabs(a - b) <= (16.0 + 8.0 * gamma) * 0x1p-53 * scale,
                       "hard targets: %s gamma %g, %s: %s[%zu] %a, focal %a",
                       focal_form_name(c.problem.form), gamma, on.isa, out_names[which] + 5, i,
                       b, a);
            }
    }
}

void test_softmax_gradient_sums_to_zero(double gamma) {
    form_case c = make_case(FOCAL_SOFTMAX, FOCAL_FORM_FOCAL, gamma, 1);
    const form_results *const r = run(&c, "zero sum");
    for (int row = 0; row < ROWS; row++) {
        long double sum = 0.0L, size = 0.0L;
        for (int k = 0; k < CLASSES; k++) {
            sum += (long double)r->out[OUT_GRADIENT][row * CLASSES + k];
            size += fabsl((long double)r->out[OUT_GRADIENT][row * CLASSES + k]);
        }
        /* The terms may be larger than what is left of them. */
        size += (long double)r->out[OUT_ROW_LOSS][row];
        EXPECT(fabsl(sum) <= 0x1p-48L * size, "zero sum: gamma %g row %d: %Lg of %Lg", gamma,
               row, sum, size);
    }
}

/* ---- Derivatives by differences of the library's own losses ---- */

static const double step = 0x1p-16;

/* The central difference is off by a relative h^2 / 6 times the square of the exponent's slope,
 * which FL* has by its target as 2 gamma x. */
static void near_difference(const char *what, const form_case *c, int index, double difference,
                            double derivative, double size) {
    const double slope = 2.0 * (1.0 + c->problem.gamma) * (1.0 + fabs(c->logits[index]));
    const double tolerance = 2e-6 + slope * slope * step * step;
    EXPECT(fabs(difference - derivative) <= tolerance * (fabs(derivative) + size),
           "%s: %s gamma %g %s: logit %a target %a: difference %.12g, derivative %.12g", what,
           focal_form_name(c->problem.form), c->problem.gamma, on.isa, c->logits[index],
           c->targets[index], difference, derivative);
}

/* Everything moves at once: the elements of sigmoid do not see each other. */
void test_sigmoid_differences(focal_form form, double gamma) {
    const double h = step;
    form_case c = make_case(FOCAL_SIGMOID, form, gamma, 1);
    c.problem.margin = form == FOCAL_FORM_SPLIT ? 0x1p-6 : 0.0;
    c.problem.star_beta = form == FOCAL_FORM_STAR ? 0.5 : 0.0;
    c.problem.poly_epsilon = form == FOCAL_FORM_FOCAL ? 0.75 : 0.0;
    c.problem.outputs |= FOCAL_OUTPUT_TARGET_GRADIENT;
    const form_results here = *run(&c, "differences");
    for (int by_target = 0; by_target < 2; by_target++) {
        double *const moved = by_target ? c.targets : c.logits;
        double kept[COUNT];
        memcpy(kept, moved, sizeof kept);
        for (int i = 0; i < COUNT; i++)
            moved[i] = kept[i] + h;
        const form_results above = *run(&c, "differences");
        for (int i = 0; i < COUNT; i++)
            moved[i] = kept[i] - h;
        const form_results below = *run(&c, "differences");
        memcpy(moved, kept, sizeof kept);
        for (int i = 0; i < COUNT; i++) {
            const double p = 1.0 / (1.0 + exp(-c.logits[i]));
            /* Kinks: the margin's, and quality's at t = p, where also the curvature is large. */
            if (fabs(p - c.problem.margin) < 0x1p-8 ||
                (form == FOCAL_FORM_QUALITY && fabs(p - c.targets[i]) < 0x1p-4))
                continue;
            const double slope = (above.out[OUT_LOSS][i] - below.out[OUT_LOSS][i]) / (2.0 * h);
            const double size = fabs(here.out[OUT_LOSS][i]);
            if (by_target) {
                near_difference("target gradient", &c, i, slope,
                                here.out[OUT_TARGET_GRADIENT][i], size);
                continue;
            }
            near_difference("gradient", &c, i, slope, here.out[OUT_GRADIENT][i], size);
            const double bend =
                (above.out[OUT_GRADIENT][i] - below.out[OUT_GRADIENT][i]) / (2.0 * h);
            near_difference("hessian", &c, i, bend, here.out[OUT_HESSIAN][i],
                            size + fabs(here.out[OUT_GRADIENT][i]));
        }
    }
}

void test_softmax_differences(double gamma, int labels) {
    const double h = step;
    form_case c = make_case(FOCAL_SOFTMAX, FOCAL_FORM_FOCAL, gamma, 1);
    if (labels)
        c.problem.target_kind = FOCAL_TARGET_LABEL_I64;
    else
        c.problem.outputs |= FOCAL_OUTPUT_TARGET_GRADIENT;
    c.problem.smoothing = labels ? 0.125 : 0.0;
    c.problem.smoothing_mode =
        random_below(&source, 2) ? FOCAL_SMOOTH_CROSS_ENTROPY : FOCAL_SMOOTH_TARGET;
    if (!labels)
        c.problem.smoothing_mode = FOCAL_SMOOTH_TARGET;
    const form_results here = *run(&c, "differences");
    for (int k = 0; k < CLASSES; k++) {
        form_results moved[2][2];
        for (int sign = 0; sign < 2; sign++)
            for (int by_target = 0; by_target < 2 - labels; by_target++) {
                form_case there = c;
                double *const values = by_target ? there.targets : there.logits;
                for (int row = 0; row < ROWS; row++)
                    values[row * CLASSES + k] += sign ? h : -h;
                moved[by_target][sign] = *run(&there, "differences");
            }
        for (int row = 0; row < ROWS; row++) {
            const int i = row * CLASSES + k;
            const double size = here.out[OUT_ROW_LOSS][row];
            for (int by_target = 0; by_target < 2 - labels; by_target++)
                near_difference("softmax gradient", &c, i,
                                (moved[by_target][1].out[OUT_ROW_LOSS][row] -
                                 moved[by_target][0].out[OUT_ROW_LOSS][row]) /
                                    (2.0 * h),
                                here.out[by_target ? OUT_TARGET_GRADIENT : OUT_GRADIENT][i],
                                size);
            near_difference(
                "softmax hessian", &c, i,
                (moved[0][1].out[OUT_GRADIENT][i] - moved[0][0].out[OUT_GRADIENT][i]) /
                    (2.0 * h),
                here.out[OUT_HESSIAN][i], size);
        }
    }
}

/* The bound of the Hessian is above it and not negative; the magnitude is its magnitude. */
void test_hessian_modes(focal_op op, focal_form form, double gamma) {
    form_case c = make_case(op, form, gamma, (int)random_below(&source, 2));
    const form_results exact = *run(&c, "hessian");
    c.problem.hessian_mode = FOCAL_HESSIAN_ABSOLUTE;
    const form_results magnitude = *run(&c, "hessian");
    c.problem.hessian_mode = FOCAL_HESSIAN_UPPER;
    const form_results upper = *run(&c, "hessian");
    c.problem.hessian_floor = 0.125;
    const form_results floored = *run(&c, "hessian");
    for (int i = 0; i < COUNT; i++) {
        const double h = exact.out[OUT_HESSIAN][i], u = upper.out[OUT_HESSIAN][i];
        EXPECT(magnitude.out[OUT_HESSIAN][i] == fabs(h), "magnitude %a of %a",
               magnitude.out[OUT_HESSIAN][i], h);
        /* XGBoost's bound is one for cross-entropy. */
        const int bounds = op == FOCAL_SIGMOID || gamma == 0.0;
        EXPECT(u >= 0.0 && (!bounds || u >= h - 0x1p-49 * fabs(h)),
               "upper: %s %s gamma %g logit %a target %a: %a, exact %a", on.isa,
               focal_form_name(form), gamma, c.logits[i], c.targets[i], u, h);
        EXPECT(floored.out[OUT_HESSIAN][i] == fmax(u, 0.125), "floor: %a of %a",
               floored.out[OUT_HESSIAN][i], u);
    }
}
