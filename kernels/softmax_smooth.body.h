/* Softmax focal loss with a smoothed cross-entropy, and its gradient, for a group of rows; tier fast.
 *
 * Contract, with p, q = 1 - p_t and w = alpha_t of softmax.body.h, C classes, smoothing s, and
 * y_c = s / C, for the label 1 - s + s / C:
 *     R = (1 - s) (-log p_t) + s (log S - the mean of x),  loss = w q^gamma R
 *     gradient_c = w q^gamma [p_c (1 + gamma p_t R / q) - s / C]
 *     gradient_t = w q^gamma [p_t s (C - 1) / C - q y_t - gamma p_t R]
 * so a row takes one number more than without smoothing, the sum of its logits, which is made in
 * double. There are at least two classes, so that q is a normal number in moderate rows
 * (softmax_moderate.body.h). Others go through the arithmetic of forms, and with them what is
 * infinite or NaN. Error: 10 ULP of the sum of the terms' magnitudes (docs/numerics.md). Traffic:
 * the row twice, from cache. */

typedef struct {
    softmax_rows of;
    double mean[SOFTMAX_GROUP];     /* of the logits */
    double constant[SOFTMAX_GROUP]; /* gradient_c = scale exp(x_c) - constant */
    bool moderate[SOFTMAX_GROUP];
} smooth_rows;

FOCAL_BODY vf smooth_load(const float *row, size_t i, size_t classes) {
    return classes - i < FOCAL_STEP ? vf_load_n(row + i, classes - i) : vf_load(row + i);
}

/* In the lanes and the tree of vsum_total(), which do not depend on the ISA. */
FOCAL_SHARED double smooth_row_sum(const float *row, size_t classes) {
    vd low = vd_set(0.0), high = low;
    for (size_t i = 0; i < classes; i += FOCAL_STEP) {
        vf x = smooth_load(row, i, classes); /* 0 beyond the row */
        low = vd_add(low, vd_widen_low(x));
        high = vd_add(high, vd_widen_high(x));
    }
    return vd_sum_lanes(vd_add(low, high));
}

/* ---- Rows that are not moderate ---- */

/* By softmax_form.body.h: in runs of doubles, through all its steps. */

typedef struct {
    double logits[FORM_RUN], targets[FORM_RUN], weights[FORM_RUN], gradient[FORM_RUN];
} smooth_far_run;

/* Elements first ... first + count - 1 of a row, which have no weights of their own. */
FOCAL_BODY void smooth_far_take(const float *row, size_t label, size_t first, size_t count,
                                smooth_far_run *run) {
    for (size_t i = 0; i < count; i++) {
        run->logits[i] = (double)row[first + i];
        run->targets[i] = first + i == label ? 1.0 : 0.0;
        run->weights[i] = 1.0;
    }
}

/* The loss of row r, whose gradient is written if it is wanted. */
FOCAL_SHARED double smooth_far_row(const focal_span *span, bool gradient, size_t r) {
    const float *row = span->logits + r * span->logits_stride;
    size_t label = (size_t)span->labels[r];
    focal_form_row state = {.most = -HUGE_VAL,
                            .label = label,
                            .label_logit = (double)row[label],
                            .gamma = span->gamma,
                            .weight = span->row_factors ? span->row_factors[r]
                                                        : span->alpha_positive};
    smooth_far_run run;
    focal_form_span form = {.logits = run.logits,
                            .targets = run.targets,
                            .weight = run.weights,
                            .smoothing = span->smoothing,
                            .smooth_cross_entropy = true,
                            .classes = span->classes,
                            .gamma_uniform = span->gamma,
                            .narrow = true,
                            .scale = (double)span->upstream,
                            .gradient = gradient ? run.gradient : NULL,
                            .row = &state};
    int last = gradient ? FORM_ROW_RESULTS : FORM_ROW_TERMS;
    for (int step = FORM_ROW_MAX; step <= last; step++)
        for (size_t first = 0; first < span->classes; first += FORM_RUN) {
            size_t left = span->classes - first;
            form.step = (focal_form_step)step;
            form.first = first;
            form.count = left < FORM_RUN ? left : FORM_RUN;
            smooth_far_take(row, label, first, form.count, &run);
            softmax_form(&form, KERNEL_FAST);
            for (size_t i = 0; step == FORM_ROW_RESULTS && i < form.count; i++)
                span->gradient[r * span->gradient_stride + first + i] = (float)run.gradient[i];
        }
    return state.loss;
}

/* ---- Once per row ---- */

/* For rows r ... r + 7 of a group, in softmax_row_step()'s terms. */
FOCAL_BODY void smooth_row_step(focal_kernel_direction direction, focal_gamma_class gamma_class,
                                const focal_span *span, const double *alphas, smooth_rows *rows,
                                size_t r) {
    double smoothing = span->smoothing, classes = (double)span->classes;
    vd gamma = vd_set(span->gamma), upstream = vd_set((double)span->upstream);
    softmax_label label = softmax_label_of(KERNEL_FAST, vd_load(rows->of.label_distance + r),
                                           vd_load(rows->of.others + r));
    vd mean_cost = vd_sub(log_f64(KERNEL_FAST, label.total), vd_load(rows->mean + r));
    vd cross_entropy = vd_fma(vd_set(smoothing), mean_cost,
                              vd_mul(vd_set(1.0 - smoothing), label.cross_entropy));
    vd power = softmax_power(KERNEL_FAST, gamma_class, span, label.q);
    vd alpha = alphas ? vd_load(alphas + r) : vd_set(span->alpha_positive);
    vd weighted = vd_mul(alpha, power);
    vd_store(rows->of.loss + r, vd_mul(weighted, cross_entropy));
    if (direction == KERNEL_LOSS)
        return;
    /* gamma p_t R, 0 at gamma 0 */
    vd p_cost = vd_mul(vd_mul(gamma, label.p), cross_entropy);
    vd steep = vd_mul(p_cost, vd_div(power, label.q));
    vd slope = vd_mul(vd_mul(alpha, vd_add(power, steep)), upstream);
    vd factor = vd_mul(weighted, upstream);
    vd own = vd_mul(label.p, vd_set(smoothing * (classes - 1.0) / classes));
    own = vd_sub(own, vd_mul(label.q, vd_set(1.0 - smoothing + smoothing / classes)));
    own = vd_sub(own, p_cost);
    vd_store(rows->of.scale + r, vd_div(slope, label.total));
    vd_store(rows->constant + r, vd_mul(factor, vd_set(smoothing / classes)));
    vd_store(rows->of.label_gradient + r, vd_mul(factor, own));
}

/* Row r of a group: before anything is written, as the gradient may be the logits. A moderate row leaves
 * its exponentials in the gradient; another takes its place in the arithmetic as one of equal logits. */
FOCAL_BODY void smooth_row_start(const float *row, float *gradient, size_t label,
                                 size_t classes, smooth_rows *rows, size_t r) {
    double sum = smooth_row_sum(row, classes);
    double distance = (double)row[label];
    double others = softmax_moderate_others(row, gradient, label, classes);
    rows->moderate[r] = others >= 0.0;
    rows->of.label_distance[r] = rows->moderate[r] ? distance : 0.0;
    rows->of.others[r] = rows->moderate[r] ? others : 1.0;
    rows->mean[r] = rows->moderate[r] ? sum / (double)classes : 0.0;
}

/* gradient_c = scale e_c - constant, for the e_c that a moderate row has left there. */
FOCAL_SHARED void smooth_gradient(float *gradient, double scale, double constant,
                                  size_t classes) {
    double part = softmax_scale_part(scale);
    if (part != 1.0) {
        softmax_scale(gradient, part, classes);
        scale /= part;
    }
    vf factor = vf_set(softmax_finite(scale)), minus = vf_set((float)-constant);
    for (size_t i = 0; i < classes; i += FOCAL_STEP) {
        vf g = vf_fma(smooth_load(gradient, i, classes), factor, minus);
        if (classes - i < FOCAL_STEP)
            vf_store_n(gradient + i, g, classes - i);
        else
            vf_store(gradient + i, g);
    }
}

FOCAL_SHARED void softmax_smooth_block(focal_span *span, focal_kernel_direction direction,
                                       focal_gamma_class gamma_class) {
    double total = 0.0;
    smooth_rows rows;
    size_t classes = span->classes;
    for (size_t first = 0; first < span->rows; first += SOFTMAX_GROUP) {
        size_t group = span->rows - first < SOFTMAX_GROUP ? span->rows - first : SOFTMAX_GROUP;
        const double *alphas = span->row_factors ? span->row_factors + first : NULL;
        const int32_t *labels = span->labels + first;
        const float *logits = span->logits + first * span->logits_stride;
        float *gradient =
            direction == KERNEL_LOSS ? NULL : span->gradient + first * span->gradient_stride;
        for (size_t r = 0; r < group; r++)
            smooth_row_start(logits + r * span->logits_stride,
                             gradient ? gradient + r * span->gradient_stride : NULL,
                             (size_t)labels[r], classes, &rows, r);
        for (size_t r = group; r % 8 != 0; r++)
            rows.of.label_distance[r] = rows.of.others[r] = rows.mean[r] = 0.0;
        for (size_t r = 0; r < group; r += 8)
            smooth_row_step(direction, gamma_class, span, alphas, &rows, r);
        for (size_t r = 0; r < group; r++) {
            if (!rows.moderate[r])
                rows.of.loss[r] = smooth_far_row(span, gradient != NULL, first + r);
            total += rows.of.loss[r];
            if (direction != KERNEL_GRADIENT && span->row_loss)
                span->row_loss[first + r] = (float)rows.of.loss[r];
            if (!gradient || !rows.moderate[r])
                continue;
            float *to = gradient + r * span->gradient_stride;
            smooth_gradient(to, rows.of.scale[r], rows.constant[r], classes);
            to[labels[r]] = (float)rows.of.label_gradient[r];
        }
    }
    span->sum = total;
}

FOCAL_BODY void softmax_block(focal_span *span, focal_kernel_tier tier,
                              focal_kernel_target kind, focal_kernel_direction direction,
                              focal_gamma_class gamma_class, size_t unroll) {
    (void)kind;
    if (tier == KERNEL_FAST && span->smoothing > 0.0)
        softmax_smooth_block(span, direction, gamma_class);
    else
        softmax_plain_block(span, tier, direction, gamma_class, unroll);
}
