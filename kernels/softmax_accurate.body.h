/* Softmax focal loss with labels in double precision, rounded once to float at the end.
 *
 * Contract: the formulas of softmax.body.h, whose row arithmetic it shares, within 0.51 ULP for row
 * losses and gradients. The sum of the others is kept in 16 double lanes (element j in lane
 * j mod 16). The gradient pass forms the exponentials again, for a float would not hold them.
 * Traffic: the row three times for a gradient; bound by exp. */

/* exp(x - max) of eight lanes. NaN and infinities as in softmax.body.h: -infinity is cut to
 * exp(-700), which is no more than 2^-1009 of the sum. */
FOCAL_BODY vd accurate_softmax_exp(vd x, vd most) {
    return exp_negative_f64(KERNEL_ACCURATE, vd_sub(x, most));
}

FOCAL_SHARED double accurate_others(const float *row, float row_max, size_t label,
                                    size_t classes) {
    vd most = vd_set((double)row_max), zero = vd_set(0.0);
    vd low = zero, high = zero;
    for (size_t i = 0; i < classes; i += FOCAL_STEP) {
        size_t left = classes - i;
        vm counted = vm_first(left < FOCAL_STEP ? left : FOCAL_STEP);
        vf x = left < FOCAL_STEP ? vf_load_n(row + i, left) : vf_load(row + i);
        /* The label's lane and those beyond the row become -infinity, and are then left out. */
        vf none = vf_set(-HUGE_VALF);
        vf kept = vf_select(vm_lane(label - i), none, vf_select(counted, x, none));
        vd low_x = vd_widen_low(kept), high_x = vd_widen_high(kept);
        vd bottom = vd_set(-0x1p1000);
        low = vd_add(low,
                     vd_select(vdm_lt(low_x, bottom), zero, accurate_softmax_exp(low_x, most)));
        high = vd_add(
            high, vd_select(vdm_lt(high_x, bottom), zero, accurate_softmax_exp(high_x, most)));
    }
    return vd_sum_lanes(vd_add(low, high));
}

FOCAL_SHARED void accurate_softmax_gradient(const float *row, float *gradient, float row_max,
                                            double scale, size_t classes) {
    vd most = vd_set((double)row_max), factor = vd_set(scale);
    for (size_t i = 0; i < classes; i += FOCAL_STEP) {
        size_t left = classes - i;
        vf x = left < FOCAL_STEP ? vf_load_n(row + i, left) : vf_load(row + i);
        vd low = vd_mul(accurate_softmax_exp(vd_widen_low(x), most), factor);
        vd high = vd_mul(accurate_softmax_exp(vd_widen_high(x), most), factor);
        if (left < FOCAL_STEP)
            vf_store_n(gradient + i, vf_narrow(low, high), left);
        else
            vf_store(gradient + i, vf_narrow(low, high));
    }
}

FOCAL_BODY void softmax_accurate_block(focal_span *span, focal_kernel_tier tier,
                                       focal_kernel_target kind,
                                       focal_kernel_direction direction,
                                       focal_gamma_class gamma_class, size_t unroll) {
    (void)kind;
    (void)unroll;
    double total = 0.0;
    softmax_rows rows;
    for (size_t first = 0; first < span->rows; first += SOFTMAX_GROUP) {
        size_t group = span->rows - first < SOFTMAX_GROUP ? span->rows - first : SOFTMAX_GROUP;
        for (size_t r = 0; r < group; r++) {
            const float *row = span->logits + (first + r) * span->logits_stride;
            size_t label = (size_t)span->labels[first + r];
            rows.max[r] = softmax_max(row, span->classes);
            rows.label_distance[r] = (double)row[label] - (double)rows.max[r];
            rows.others[r] = accurate_others(row, rows.max[r], label, span->classes);
        }
        total = softmax_group(tier, direction, gamma_class, span, &rows, first, group, total);
        for (size_t r = 0; r < group && direction != KERNEL_LOSS; r++) {
            float *gradient = span->gradient + (first + r) * span->gradient_stride;
            accurate_softmax_gradient(span->logits + (first + r) * span->logits_stride,
                                      gradient, rows.max[r], rows.scale[r], span->classes);
            gradient[span->labels[first + r]] = (float)rows.label_gradient[r];
        }
    }
    span->sum = total;
}
