/* Sigmoid runs of tier accurate with soft targets, or with an alpha_t of 0: the formulas of
 * sigmoid_soft.body.h in double. Elements with target 0 or 1 get what accurate_hard gives them,
 * whatever stands beside them. */

FOCAL_BODY vd accurate_soft_power(focal_gamma_class gamma_class,
                                  const accurate_constants *constants, vd q) {
    if (gamma_class == KERNEL_G1)
        return q;
    if (gamma_class == KERNEL_G2)
        return vd_mul(q, q);
    if (gamma_class == KERNEL_GH)
        return power_half_steps_f64(q, constants->half_steps);
    if (gamma_class == KERNEL_GX)
        return power_f64(KERNEL_ACCURATE, q, constants->gamma);
    return vd_set(1.0);
}

/* Loss and gradient of eight elements. An infinite |x| is cut to 2^1000, whose multiple overflows to
 * infinity in the final rounding, while alpha_t = 0 makes it 0. */
FOCAL_BODY accurate_result accurate_soft(focal_kernel_direction direction,
                                         focal_gamma_class gamma_class,
                                         const accurate_constants *constants, vd x, vd t) {
    vd one = vd_set(1.0), zero = vd_set(0.0);
    vd magnitude = vd_abs(x);
    vd e = exp_negative_f64(KERNEL_ACCURATE, vd_neg(magnitude));
    vd smaller = vd_div(e, vd_add(one, e));
    vd larger = vd_sub(one, smaller);
    vd log1p_e = log1p_unit_f64(KERNEL_ACCURATE, e, smaller);
    vdm positive = vdm_lt(zero, x);
    vd other = vd_sub(one, t);
    vd wrong = vd_select(positive, other, t);
    vd right = vd_select(positive, t, other);
    vd alpha = vd_fma(t, constants->alpha_positive, vd_mul(other, constants->alpha_negative));
    vd q = vd_fma(wrong, larger, vd_mul(right, smaller));
    vd power = accurate_soft_power(gamma_class, constants, q);
    accurate_result result = {zero, zero};
    if (direction != KERNEL_GRADIENT) {
        vd bce = vd_fma(wrong, vd_min(vd_set(0x1p1000), magnitude), log1p_e);
        result.loss = vd_mul(alpha, vd_mul(power, bce));
    }
    if (direction == KERNEL_LOSS)
        return result;
    vd slope = vd_sub(wrong, smaller);
    if (gamma_class != KERNEL_G0) {
        /* exp is cut at -700: beyond, `smaller` stays at 2^-1010 and must meet nothing large. */
        vd bce = vd_fma(wrong, vd_min(vd_set(1000.0), magnitude), log1p_e);
        vd gamma = vd_mul(constants->gamma, vd_sub(wrong, right));
        vd ratio = vd_div(vd_mul(smaller, larger), q);
        slope = vd_mul(power, vd_fma(gamma, vd_mul(ratio, bce), slope));
    }
    slope = vd_mul(alpha, vd_mul(slope, constants->upstream));
    result.gradient = vd_select(positive, slope, vd_neg(slope));
    return result;
}

FOCAL_BODY void accurate_step_soft(focal_kernel_target kind, focal_kernel_direction direction,
                                   focal_gamma_class gamma_class,
                                   const accurate_constants *constants, const focal_span *span,
                                   sigmoid_place at, const accurate_scratch *scratch,
                                   vsum *sum) {
    vf x = sigmoid_load(span->logits, at);
    vf one = vf_set(1.0F), zero = vf_set(0.0F);
    vf t = sigmoid_load_target(kind, span, at, vf_load(scratch->side + at.slot));
    sigmoid_result hard =
        accurate_step_hard(true, direction, gamma_class, constants, scratch, at.slot);
    accurate_result low =
        accurate_soft(direction, gamma_class, constants, vd_widen_low(x), vd_widen_low(t));
    accurate_result high =
        accurate_soft(direction, gamma_class, constants, vd_widen_high(x), vd_widen_high(t));
    sigmoid_result result = {vf_narrow(low.loss, high.loss),
                             vf_narrow(low.gradient, high.gradient)};
    vm is_one = vm_eq(t, one), is_zero = vm_eq(t, zero);
    result.gradient =
        vf_select(is_one, hard.gradient, vf_select(is_zero, hard.gradient, result.gradient));
    /* Where alpha_t is 0 and x infinite, only the soft form knows that the loss is 0. */
    if (vd_max_lanes(constants->alpha_positive) != 0.0)
        result.loss = vf_select(is_one, hard.loss, result.loss);
    if (vd_max_lanes(constants->alpha_negative) != 0.0)
        result.loss = vf_select(is_zero, hard.loss, result.loss);
    sigmoid_arrays arrays = {span->logits, span->loss, span->gradient};
    sigmoid_store(direction, arrays, at, result, sum);
}

/* The branches on what is wanted cost little beside a step's 200 instructions, so one copy serves
 * all kernels. */
FOCAL_SHARED void accurate_run_soft(focal_kernel_target kind, focal_kernel_direction direction,
                                    focal_gamma_class gamma_class,
                                    const accurate_constants *constants, const focal_span *span,
                                    size_t first, size_t run, const accurate_scratch *scratch,
                                    vsum *sum) {
    for (size_t i = 0; i < run; i += FOCAL_STEP)
        accurate_step_soft(kind, direction, gamma_class, constants, span,
                           sigmoid_place_at(first, i, run), scratch, sum);
}
