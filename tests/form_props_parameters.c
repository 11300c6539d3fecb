/* Weights, per-class parameters, kinds of targets, ignored rows. */
#include "form_props.h"

/* ---- Weights and parameters ---- */

/* A power of two as a weight, however it is given, scales every bit. */
void test_weights_scale(focal_op op, focal_form form, double gamma) {
    form_case c = make_case(op, form, gamma, 1);
    const form_results plain = *run(&c, "weights");
    form_case by_row = c, by_class = c, by_element = c;
    by_row.row_weights = ROWS;
    by_element.element_weights = COUNT;
    for (int i = 0; i < COUNT; i++)
        by_row.row_weight[i % ROWS] = by_element.element_weight[i] = 4.0;
    for (int k = 0; k < CLASSES; k++)
        by_class.class_weight[k] = 4.0;
    by_class.problem.class_weight = by_class.class_weight;
    same_bits("row weight", &c, &plain, run(&by_row, "weights"), 4.0);
    same_bits("class weight", &c, &plain, run(&by_class, "weights"), 4.0);
    if (op == FOCAL_SIGMOID)
        same_bits("element weight", &c, &plain, run(&by_element, "weights"), 4.0);
    form_case upstream = c;
    upstream.upstream = 0.5;
    const form_results *const half = run(&upstream, "upstream");
    for (int i = 0; i < COUNT; i++)
        EXPECT(half->out[OUT_GRADIENT][i] == 0.5 * plain.out[OUT_GRADIENT][i] &&
                   half->out[OUT_HESSIAN][i] == 0.5 * plain.out[OUT_HESSIAN][i],
               "upstream: gradient %a of %a", half->out[OUT_GRADIENT][i],
               plain.out[OUT_GRADIENT][i]);
}

/* A weight of 0 gives zeros, even where the loss is infinite. */
void test_zero_weights(focal_op op) {
    form_case c = make_case(op, FOCAL_FORM_FOCAL, 2.0, 0);
    c.row_weights = ROWS;
    for (int row = 0; row < ROWS; row++)
        c.row_weight[row] = row == 1 ? 0.0 : 1.0;
    const form_results before = *run(&c, "zero weights");
    for (int k = 0; k < CLASSES; k++)
        c.logits[CLASSES + k] = k % 2 ? HUGE_VAL : -HUGE_VAL;
    const form_results *const r = run(&c, "zero weights");
    same_bits("a row of weight 0", &c, &before, r, 1.0);
    for (int k = 0; k < CLASSES; k++)
        EXPECT(r->out[OUT_GRADIENT][CLASSES + k] == 0.0 &&
                   r->out[OUT_HESSIAN][CLASSES + k] == 0.0,
               "zero weights on %s", on.isa);
    EXPECT(r->out[OUT_ROW_LOSS][1] == 0.0, "zero weights on %s", on.isa);
    EXPECT(r->sums.weight == (double)(ROWS - 1), "zero weights on %s", on.isa);
}

/* Arrays of one and the same value are the scalar. */
void test_per_class_is_scalar(focal_op op, focal_form form, double gamma) {
    form_case c = make_case(op, form, gamma, 1);
    const form_results plain = *run(&c, "per class");
    c.problem.alpha_mode = FOCAL_ALPHA_PER_CLASS;
    c.problem.gamma_mode = FOCAL_GAMMA_PER_CLASS;
    for (int k = 0; k < CLASSES; k++) {
        c.class_alpha[k] = c.problem.alpha;
        c.class_gamma[k] = gamma;
    }
    c.problem.class_alpha = c.class_alpha;
    c.problem.class_gamma = c.class_gamma;
    c.problem.alpha = c.problem.gamma = 0.0;
    const form_results *const r = run(&c, "per class");
    c.problem.gamma = gamma;
    same_bits("per class", &c, &plain, r, 1.0);
}

/* Each logit's own gamma and alpha are those of a problem that has them for all. */
void test_per_class_differs(focal_form form) {
    form_case c = make_case(FOCAL_SIGMOID, form, 0.0, 1);
    c.problem.alpha_mode = FOCAL_ALPHA_PER_CLASS;
    c.problem.gamma_mode = FOCAL_GAMMA_PER_CLASS;
    for (int k = 0; k < CLASSES; k++) {
        c.class_alpha[k] = 0.125 * k;
        c.class_gamma[k] = form_gammas[1 + k];
    }
    c.problem.class_alpha = c.class_alpha;
    c.problem.class_gamma = c.class_gamma;
    const form_results all = *run(&c, "class by class");
    for (int k = 0; k < CLASSES; k++) {
        form_case one = c;
        one.problem.alpha_mode = FOCAL_ALPHA_SCALAR;
        one.problem.gamma_mode = FOCAL_GAMMA_SCALAR;
        one.problem.alpha = c.class_alpha[k];
        one.problem.gamma = c.class_gamma[k];
        const form_results *const r = run(&one, "class by class");
        for (int row = 0; row < ROWS; row++) {
            const int i = row * CLASSES + k;
            const double a = all.out[OUT_LOSS][i], b = r->out[OUT_LOSS][i];
            /* One gamma for all may take a shorter way to the power. */
            EXPECT(fabs(a - b) <= 64.0 * 0x1p-53 * fabs(b),
                   "class by class: %s: class %d %a, alone %a", focal_form_name(form), k, a, b);
        }
    }
}

/* ---- Targets ---- */

/* A label, its bytes and its dense row are one target. */
void test_kinds_agree(focal_form form, double gamma) {
    form_case c = make_case(FOCAL_SIGMOID, form, gamma, 0);
    c.problem.smoothing = random_below(&source, 2) ? 0.125 : 0.0;
    for (int i = 0; i < COUNT; i++)
        c.targets[i] = c.labels[i / CLASSES] == i % CLASSES;
    const form_results dense = *run(&c, "target kinds");
    static const focal_target_kind kinds[] = {FOCAL_TARGET_BINARY_U8, FOCAL_TARGET_LABEL_U8,
                                              FOCAL_TARGET_LABEL_I32, FOCAL_TARGET_LABEL_I64};
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        c.problem.target_kind = kinds[kind];
        same_bits("target kinds", &c, &dense, run(&c, "target kinds"), 1.0);
    }
}

/* Ignored rows are as if they were not there. */
void test_ignored_rows(focal_op op, double gamma) {
    form_case c = make_case(op, FOCAL_FORM_FOCAL, gamma, 0);
    c.problem.target_kind = FOCAL_TARGET_LABEL_I32;
    c.problem.label_flags = FOCAL_LABEL_IGNORE;
    c.problem.ignore = -100;
    c.problem.normalizer = FOCAL_NORMALIZER_ROWS;
    form_case without = c;
    c.labels[2] = -100;
    c.logits[2 * CLASSES] = NAN;
    without.problem.outer = ROWS - 1;
    for (int k = 0; k < CLASSES; k++)
        without.logits[2 * CLASSES + k] = c.logits[3 * CLASSES + k];
    without.labels[2] = c.labels[3];
    const form_results with = *run(&c, "ignored"), *const r = run(&without, "ignored");
    EXPECT(with.sums.loss == r->sums.loss && with.sums.rows == ROWS - 1 &&
               with.sums.ignored == 1 && with.sums.normalizer == (double)(ROWS - 1),
           "ignored rows on %s", on.isa);
    for (int i = 0; i < COUNT - CLASSES; i++) {
        const int j = i < 2 * CLASSES ? i : i + CLASSES;
        EXPECT(with.out[OUT_GRADIENT][j] == r->out[OUT_GRADIENT][i] &&
                   with.out[OUT_HESSIAN][j] == r->out[OUT_HESSIAN][i],
               "ignored rows on %s", on.isa);
    }
    for (int k = 0; k < CLASSES; k++)
        EXPECT(with.out[OUT_GRADIENT][2 * CLASSES + k] == 0.0 &&
                   with.out[OUT_HESSIAN][2 * CLASSES + k] == 0.0,
               "ignored rows on %s", on.isa);
}
