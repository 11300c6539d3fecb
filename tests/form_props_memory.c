/* Storage types, layouts and pyramids. */
#include "form_props.h"

/* ---- Storage and layout ---- */

/* 16-bit results are those of the same arithmetic stored as double, rounded once. */
void test_rounded_once(focal_op op, focal_form form, focal_dtype dtype, double gamma) {
    form_case c = make_case(op, form, gamma, 1);
    c.problem.dtype = FOCAL_F32;
    c.problem.loss_dtype = c.problem.gradient_dtype = FOCAL_F64;
    for (int i = 0; i < COUNT; i++) {
        c.logits[i] = (double)(float)c.logits[i];
        c.targets[i] = (double)(float)c.targets[i];
    }
    const form_results wide = *run(&c, "one rounding");
    c.problem.loss_dtype = c.problem.gradient_dtype = dtype;
    c.row_weights = ROWS; /* which makes it compute in double */
    for (int row = 0; row < ROWS; row++)
        c.row_weight[row] = 1.0;
    const form_results *const r = run(&c, "one rounding");
    for (int which = 0; which < OUTS; which++)
        for (size_t i = 0; wants(&c.problem, which) && i < output_count(&c, which); i++) {
            const long double exact = (long double)wide.out[which][i];
            const long double got = (long double)r->out[which][i];
            EXPECT(fabsl(got - exact) <= 0.5L * storage_ulp(dtype, exact),
                   "one rounding to %s: %s gamma %g: %La of %La", focal_dtype_name(dtype),
                   focal_form_name(form), gamma, got, exact);
        }
}

/* The same numbers as N x C and as one image with the classes in its middle axis. */
void test_layout_keeps_bits(focal_op op, focal_form form, double gamma) {
    form_case c = make_case(op, form, gamma, 1);
    if (random_below(&source, 2))
        c.problem.dtype = FOCAL_F32;
    for (int i = 0; i < COUNT; i++) {
        c.logits[i] = (double)(float)c.logits[i];
        c.targets[i] = (double)(float)c.targets[i];
    }
    const form_results flat = *run(&c, "layout");
    form_case image = c;
    image.problem.outer = 1;
    image.problem.inner = ROWS;
    image.problem.logits_class_stride = ROWS + 3;
    image.problem.gradient_class_stride = ROWS + 1;
    for (int row = 0; row < ROWS; row++)
        for (int k = 0; k < CLASSES; k++) {
            image.logits[k * ROWS + row] = c.logits[row * CLASSES + k];
            image.targets[k * ROWS + row] = c.targets[row * CLASSES + k];
        }
    const form_results *const r = run(&image, "layout");
    EXPECT(r->sums.loss == flat.sums.loss, "layout: sum %a, expected %a", r->sums.loss,
           flat.sums.loss);
    for (int which = 0; which < OUTS; which++)
        for (int i = 0; wants(&c.problem, which) && i < COUNT; i++) {
            const int row = i / CLASSES, k = i % CLASSES;
            const int there = which == OUT_ROW_LOSS ? row : k * ROWS + row;
            const int here = which == OUT_ROW_LOSS ? row : i;
            EXPECT(flat.out[which][here] == r->out[which][there],
                   "layout: %s gamma %g: %s[%d] %a, expected %a", focal_form_name(form), gamma,
                   out_names[which] + 5, i, r->out[which][there], flat.out[which][here]);
        }
}

/* ---- Pyramids ---- */

/* Three levels of a head against one tensor of all their rows. */
void test_pyramid(focal_op op, focal_normalizer normalizer) {
    enum { LEVELS = 3 };
    static const int64_t rows[LEVELS] = {2, 1, 3};
    float logits[6 * CLASSES], whole[6 * CLASSES], parts[6 * CLASSES];
    int32_t labels[6];
    for (int i = 0; i < 6 * CLASSES; i++)
        logits[i] = (float)draw_logit();
    for (int row = 0; row < 6; row++)
        labels[row] = row == 4 ? -1 : row % CLASSES;
    const double value = 3.0;
    focal_problem problem;
    focal_problem_init(&problem);
    problem.op = op;
    problem.tier = on.tier;
    problem.target_kind = FOCAL_TARGET_LABEL_I32;
    problem.label_flags = FOCAL_LABEL_IGNORE;
    problem.ignore = -1;
    problem.outer = 6;
    problem.classes = CLASSES;
    problem.gamma = 2.0;
    problem.normalizer = normalizer;
    problem.outputs = FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_GRADIENT;
    focal_options options;
    focal_options_init(&options);
    options.isa = on.isa;
    focal_buffers buffers[LEVELS], all;
    focal_buffers_init(&all);
    all.logits = logits;
    all.targets = labels;
    all.gradient = whole;
    all.normalizer = &value;
    focal_plan *plan = NULL, *plans[LEVELS] = {NULL};
    focal_error error = FOCAL_ERROR_INIT;
    focal_sums sums = FOCAL_SUMS_INIT, total = FOCAL_SUMS_INIT;
    int good = focal_plan_create(&plan, &problem, &options, &error) == FOCAL_OK &&
               focal_plan_execute(plan, &all, NULL, &sums, &error) == FOCAL_OK;
    for (int64_t level = 0, row = 0; level < LEVELS; row += rows[level++]) {
        problem.outer = rows[level];
        good = good && focal_plan_create(&plans[level], &problem, &options, &error) == FOCAL_OK;
        buffers[level] = all;
        buffers[level].logits = logits + row * CLASSES;
        buffers[level].targets = labels + row;
        buffers[level].gradient = parts + row * CLASSES;
    }
    good = good && focal_plans_execute((const focal_plan *const *)plans, buffers, LEVELS, NULL,
                                       &total, &error) == FOCAL_OK;
    if (EXPECT(good, "pyramid: %s: %s", on.isa, error.message)) {
        for (int i = 0; i < 6 * CLASSES; i++)
            EXPECT(whole[i] == parts[i], "pyramid: normalizer %s: gradient[%d] %a, whole %a",
                   focal_normalizer_name(normalizer), i, (double)parts[i], (double)whole[i]);
        EXPECT(fabs(total.loss - sums.loss) <= 1e-6 * sums.loss, "pyramid: sum %.17g, %.17g",
               total.loss, sums.loss);
        EXPECT(total.rows == sums.rows && total.positives == sums.positives &&
                   total.ignored == 1 && sums.ignored == 1 && total.weight == sums.weight &&
                   total.normalizer == sums.normalizer,
               "pyramid on %s", on.isa);
    }
    focal_plan_destroy(plan);
    for (int level = 0; level < LEVELS; level++)
        focal_plan_destroy(plans[level]);
}
