/* Softmax focal loss with a smoothed cross-entropy, and its gradient, for a group of rows; tier fast.
 *
 * Contract, with p, q = 1 - p_t and w = alpha_t of softmax.body.h, C classes, smoothing s, and
 * y_c = s / C, for the label 1 - s + s / C:
 *     R = (1 - s) (-log p_t) + s (log S - the mean of x),  loss = w q^gamma R
 *     gradient_c = w q^gamma [p_c (1 + gamma p_t R / q) - s / C]
 *     gradient_t = w q^gamma [p_t s (C - 1) / C - q y_t - gamma p_t R]
 * so a row takes one number more than without smoothing, the sum of its logits, which is made in
 * double. Rows that are not moderate (softmax_moderate.body.h) are computed in double. There are at least
 * two classes. -infinity masks a class, whose share in R is infinite; NaN as in softmax.body.h. Error: 10
 * ULP of the sum of the terms' magnitudes (docs/numerics.md). Traffic: the row twice, from cache. */

typedef struct {
    softmax_rows of;
    double mean[SOFTMAX_GROUP];     /* of x - reference */
    double constant[SOFTMAX_GROUP]; /* gradient_c = scale exp(x_c - reference) - constant */
    bool moderate[SOFTMAX_GROUP];
} smooth_rows;

/* Terms of the two halves of a step, in lanes that do not depend on the ISA. */
typedef struct {
    vd low, high;
} smooth_sum;

FOCAL_BODY smooth_sum smooth_none(void) {
    return (smooth_sum){vd_set(0.0), vd_set(0.0)};
}

FOCAL_BODY double smooth_total(const smooth_sum *sum) {
    return vd_sum_lanes(vd_add(sum->low, sum->high));
}

FOCAL_BODY vf smooth_load(const float *row, size_t i, size_t classes) {
    return classes - i < FOCAL_STEP ? vf_load_n(row + i, classes - i) : vf_load(row + i);
}

FOCAL_SHARED double smooth_row_sum(const float *row, size_t classes) {
    smooth_sum sum = smooth_none();
    for (size_t i = 0; i < classes; i += FOCAL_STEP) {
        vf x = smooth_load(row, i, classes); /* 0 beyond the row */
        sum.low = vd_add(sum.low, vd_widen_low(x));
        sum.high = vd_add(sum.high, vd_widen_high(x));
    }
    return smooth_total(&sum);
}

/* ---- Rows that are not moderate ---- */

/* Where an exponential is cut it is 2^-1009 of the sum. */
FOCAL_BODY vd smooth_far_exp(vd x, vd most) {
    return exp_negative_f64(KERNEL_FAST, vd_sub(x, most));
}

FOCAL_SHARED double smooth_far_others(const float *row, float row_max, size_t label,
                                      size_t classes) {
    vd most = vd_set((double)row_max), zero = vd_set(0.0);
    smooth_sum sum = smooth_none();
    for (size_t i = 0; i < classes; i += FOCAL_STEP) {
        vf x = smooth_load(row, i, classes);
        /* Left out: the label, what is beyond the row, and masked classes. */
        size_t count = classes - i < FOCAL_STEP ? classes - i : FOCAL_STEP;
        vf one = vf_set(1.0F), none = vf_set(0.0F);
        vf kept = vf_select(vm_lane(label - i), none, vf_select(vm_first(count), one, none));
        kept = vf_select(vm_lt(x, vf_set(-FLT_MAX)), none, kept);
        vd low = smooth_far_exp(vd_widen_low(x), most), high;
        high = smooth_far_exp(vd_widen_high(x), most);
        sum.low = vd_add(sum.low, vd_select(vdm_lt(zero, vd_widen_low(kept)), low, zero));
        sum.high = vd_add(sum.high, vd_select(vdm_lt(zero, vd_widen_high(kept)), high, zero));
    }
    return smooth_total(&sum);
}

FOCAL_SHARED void smooth_far_gradient(const float *row, float *gradient, float row_max,
                                      double scale, double constant, size_t classes) {
    vd most = vd_set((double)row_max), factor = vd_set(scale), minus = vd_set(-constant);
    for (size_t i = 0; i < classes; i += FOCAL_STEP) {
        vf x = smooth_load(row, i, classes);
        vd low = vd_fma(smooth_far_exp(vd_widen_low(x), most), factor, minus);
        vd high = vd_fma(smooth_far_exp(vd_widen_high(x), most), factor, minus);
        if (classes - i < FOCAL_STEP)
            vf_store_n(gradient + i, vf_narrow(low, high), classes - i);
        else
            vf_store(gradient + i, vf_narrow(low, high));
    }
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
    /* Cut, an infinite one leaves 0 of an alpha of 0, and of a p_t that is 0 but for exp(-700). */
    vd finite = vd_min(vd_set(0x1p900), cross_entropy);
    vd cost = vd_select(vdm_lt(vd_set(0.0), alpha), cross_entropy, finite);
    vd weighted = vd_mul(alpha, power);
    vd_store(rows->of.loss + r, vd_mul(weighted, cost));
    if (direction == KERNEL_LOSS)
        return;
    vd p_cost = vd_mul(vd_mul(gamma, label.p), finite);
    vd steep = gamma_class == KERNEL_G0 ? vd_set(0.0) : vd_mul(p_cost, vd_div(power, label.q));
    vd slope = vd_mul(vd_mul(alpha, vd_add(power, steep)), upstream);
    vd factor = vd_mul(weighted, upstream);
    vd own = vd_mul(label.p, vd_set(smoothing * (classes - 1.0) / classes));
    own = vd_sub(own, vd_mul(label.q, vd_set(1.0 - smoothing + smoothing / classes)));
    if (gamma_class != KERNEL_G0)
        own = vd_sub(own, p_cost);
    vd_store(rows->of.scale + r, vd_div(slope, label.total));
    vd_store(rows->constant + r, vd_mul(factor, vd_set(smoothing / classes)));
    vd_store(rows->of.label_gradient + r, vd_mul(factor, own));
}

/* Row r of a group: before anything is written, as the gradient may be the logits. A moderate row leaves
 * its exponentials in the gradient. */
FOCAL_BODY void smooth_row_start(const float *row, float *gradient, size_t label,
                                 size_t classes, smooth_rows *rows, size_t r) {
    double mean = smooth_row_sum(row, classes) / (double)classes, reference = 0.0;
    rows->of.label_distance[r] = (double)row[label];
    rows->of.others[r] = softmax_moderate_others(row, gradient, label, classes);
    rows->moderate[r] = rows->of.others[r] >= 0.0;
    if (!rows->moderate[r]) {
        rows->of.max[r] = softmax_max(row, classes);
        reference = (double)rows->of.max[r];
        rows->of.label_distance[r] -= reference;
        rows->of.others[r] = smooth_far_others(row, rows->of.max[r], label, classes);
    }
    rows->mean[r] = mean - reference;
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
            total += rows.of.loss[r];
            if (direction != KERNEL_GRADIENT && span->row_loss)
                span->row_loss[first + r] = (float)rows.of.loss[r];
        }
        for (size_t r = 0; r < group && direction != KERNEL_LOSS; r++) {
            float *to = gradient + r * span->gradient_stride;
            double scale = rows.of.scale[r], constant = rows.constant[r];
            if (rows.moderate[r])
                smooth_gradient(to, scale, constant, classes);
            else
                smooth_far_gradient(logits + r * span->logits_stride, to, rows.of.max[r], scale,
                                    constant, classes);
            to[labels[r]] = (float)rows.of.label_gradient[r];
        }
    }
    span->sum = total;
}
