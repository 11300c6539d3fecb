/* Sigmoid runs with soft targets, or with an alpha_t of 0: slower, and one copy for all kernels.
 *
 * With e = exp(-|x|) everything is a sum of terms of one sign:
 *     smaller = e / (1 + e) and larger = 1 - smaller are p and 1 - p in some order,
 *     wrong   = the weight of the side that x speaks against (1 - t for x > 0, else t),
 *     right   = 1 - wrong,  q = wrong larger + right smaller,  BCE = log1p(e) + wrong |x|,
 *     gradient = sign(x) alpha_t [q^gamma (wrong - smaller)
 *                                 + gamma q^(gamma-1) larger smaller (wrong - right) BCE].
 * Elements with target 0 or 1 get what sigmoid_hard gives them, whatever stands beside them. */

/* One step of targets in (0, 1), and what belongs to it. */
typedef struct {
    vm positive;
    vf magnitude, wrong, right, alpha, smaller, larger, log1p_e, q, power;
} sigmoid_soft_step;

/* The bracket of the gradient formula times q^gamma. */
FOCAL_BODY vf sigmoid_soft_slope(focal_gamma_class gamma_class,
                                 const sigmoid_constants *constants,
                                 const sigmoid_soft_step *step) {
    vf residual = vf_sub(step->wrong, step->smaller);
    if (gamma_class == KERNEL_G0)
        return residual;
    /* FLT_MAX for an infinite |x| keeps smaller * BCE at its limit 0. */
    vf bce = vf_fma(step->wrong, vf_min(vf_set(FLT_MAX), step->magnitude), step->log1p_e);
    vf gamma = vf_mul(constants->gamma_high, vf_sub(step->wrong, step->right));
    vf product = vf_mul(step->smaller, step->larger);
    if (gamma_class == KERNEL_G1 || gamma_class == KERNEL_G2) {
        vf inner = vf_fma(gamma, vf_mul(product, bce), vf_mul(step->q, residual));
        return gamma_class == KERNEL_G2 ? vf_mul(step->q, inner) : inner;
    }
    /* gamma may be below 1, and q^(gamma-1) infinite. */
    vf ratio = vf_div(product, step->q);
    return vf_mul(step->power, vf_fma(gamma, vf_mul(ratio, bce), residual));
}

FOCAL_BODY sigmoid_result sigmoid_soft(focal_kernel_direction direction,
                                       focal_gamma_class gamma_class,
                                       const sigmoid_constants *constants,
                                       const sigmoid_scratch *scratch, size_t slot, vf x,
                                       vf t) {
    vf other = vf_sub(vf_set(1.0F), t);
    sigmoid_soft_step step = {
        .positive = vm_lt(vf_set(0.0F), x),
        .magnitude = vf_abs(x),
        .alpha = vf_fma(t, constants->alpha_positive, vf_mul(other, constants->alpha_negative)),
        .smaller = vf_load(scratch->smaller + slot),
        .log1p_e = vf_load(scratch->e + slot),
    };
    step.wrong = vf_select(step.positive, other, t);
    step.right = vf_select(step.positive, t, other);
    step.larger = vf_sub(vf_set(1.0F), step.smaller);
    step.q = vf_fma(step.wrong, step.larger, vf_mul(step.right, step.smaller));
    /* Soft targets have no exponent as sigmoid_exponent's, and take SLEEF's pow in every tier. */
    step.power = gamma_class == KERNEL_GX ? vf_mul(vf_sleef_pow(step.q, constants->gamma_high),
                                                   vf_sleef_pow(step.q, constants->gamma_low))
                                          : sigmoid_power(gamma_class, constants, step.q);
    sigmoid_result result = {0};
    if (direction != KERNEL_GRADIENT) {
        vf bce = vf_fma(step.wrong, step.magnitude, step.log1p_e);
        result.loss = vf_mul(step.alpha, vf_mul(step.power, bce));
    }
    if (direction != KERNEL_LOSS) {
        vf slope = vf_mul(step.alpha, sigmoid_soft_slope(gamma_class, constants, &step));
        slope = vf_select(step.positive, slope, vf_neg(slope));
        result.gradient = vf_mul(slope, constants->upstream);
    }
    return result;
}

/* The targets as numbers. `side` has its sign bit set where t = 0. */
FOCAL_BODY vf sigmoid_load_target(focal_kernel_target kind, const focal_span *span,
                                  sigmoid_place at, vf side) {
    vf one = vf_set(1.0F), zero = vf_set(0.0F);
    if (kind == KERNEL_LABEL)
        return vf_select_sign(side, zero, one);
    if (kind == KERNEL_BINARY)
        return vf_select(sigmoid_load_binary(span->targets, at), one, zero);
    return sigmoid_load(span->targets, at);
}

FOCAL_BODY void sigmoid_soft_end(focal_kernel_target kind, focal_kernel_direction direction,
                                 focal_gamma_class gamma_class,
                                 const sigmoid_constants *constants, const focal_span *span,
                                 sigmoid_place at, const sigmoid_scratch *scratch, vsum *sum) {
    vf x = sigmoid_load(span->logits, at);
    vf one = vf_set(1.0F), zero = vf_set(0.0F);
    vf t = sigmoid_load_target(kind, span, at, vf_xor(x, vf_load(scratch->z + at.slot)));
    vm is_one = vm_eq(t, one), is_zero = vm_eq(t, zero);
    sigmoid_result result =
        sigmoid_hard(true, direction, gamma_class, constants, scratch, at.slot, x);
    /* A target is not both: all lanes are one or the other if they differ everywhere. */
    if (!vm_all(vm_xor(is_one, is_zero))) {
        sigmoid_result soft =
            sigmoid_soft(direction, gamma_class, constants, scratch, at.slot, x, t);
        result.loss =
            vf_select(is_one, result.loss, vf_select(is_zero, result.loss, soft.loss));
        result.gradient = vf_select(is_one, result.gradient,
                                    vf_select(is_zero, result.gradient, soft.gradient));
    }
    if (direction != KERNEL_GRADIENT && constants->has_zero_alpha) {
        vf alpha = vf_fma(t, constants->alpha_positive,
                          vf_mul(vf_sub(one, t), constants->alpha_negative));
        vf nothing = vf_mul(alpha, vf_min(vf_set(FLT_MAX), vf_abs(x)));
        result.loss = vf_select(vm_eq(alpha, zero), nothing, result.loss);
    }
    sigmoid_arrays arrays = {span->logits, span->loss, span->gradient};
    sigmoid_store(direction, arrays, at, result, sum);
}

/* The first phases are done, but perhaps for hard targets alone, which may do without what is below
 * exp(-87) and find log1p later. */
FOCAL_SHARED void sigmoid_run_soft(focal_kernel_tier tier, focal_kernel_target kind,
                                   focal_kernel_direction direction,
                                   focal_gamma_class gamma_class,
                                   const sigmoid_constants *constants, const focal_span *span,
                                   size_t first, size_t run, sigmoid_scratch *scratch,
                                   vsum *sum) {
    if (sigmoid_is_normal(gamma_class) || !sigmoid_has_log(tier, direction, gamma_class))
        sigmoid_run_start(tier, kind, false, true, span, first, run, scratch);
    if (gamma_class == KERNEL_GX)
        sigmoid_run_power(tier, constants, run, scratch);
    for (size_t i = 0; i < run; i += FOCAL_STEP)
        sigmoid_soft_end(kind, direction, gamma_class, constants, span,
                         sigmoid_place_at(first, i, run), scratch, sum);
}
