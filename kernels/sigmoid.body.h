/* Sigmoid focal loss and its gradient, one block of contiguous elements.
 *
 * Contract, per logit x with target t (S1, the soft-target reading of torchvision):
 *     p = sigmoid(x), q = 1 - p_t = p (1 - t) + (1 - p) t, BCE = softplus(x) - x t
 *     loss     = alpha_t q^gamma BCE                                            (paper eq. 5)
 *     gradient = alpha_t [q^gamma (p - t) + gamma q^(gamma-1) p (1-p) (1-2t) BCE]
 * Bound: 10 ULP for t in {0, 1} wherever the exact result is normal; docs/numerics.md has the
 * measured figures and what holds for soft targets. NaN in x or t gives NaN in that element
 * alone; infinite x gives the limit. Traffic: 4 bytes of logit, 4 (dense) or 1 (binary) of
 * target, 4 per output; bound by arithmetic, mostly log1p.
 *
 * With e = exp(-|x|) everything is a sum of terms of one sign, so nothing cancels for hard
 * targets: smaller = e / (1 + e) and larger = 1 - smaller are p and 1 - p in some order, wrong
 * = the weight of the side that x speaks against (1 - t for x > 0, else t), q = wrong larger +
 * (1 - wrong) smaller,  BCE = log1p(e) + wrong |x|, and, with sign = the sign of x and slope =
 * 2 wrong - 1, gradient = sign alpha_t [q^gamma (wrong - smaller) + gamma q^(gamma-1) larger
 * smaller slope BCE]. Every expression has the same value in the dense and the binary form when
 * t is 0 or 1. */

/* The constants of a span, once per block. */
typedef struct {
    vf alpha_positive, alpha_negative, gamma_high, gamma_low, upstream;
    uint32_t half_steps;
} sigmoid_constants;

/* One step's targets in the form both kinds share. */
typedef struct {
    vm is_wrong;     /* x speaks against the whole of the target: wrong = 1 */
    vm is_right;     /* dense only: wrong = 0; binary: the complement of is_wrong */
    vf wrong, right; /* dense only */
    vf alpha;
} sigmoid_target;

FOCAL_BODY sigmoid_target sigmoid_dense_target(const sigmoid_constants *constants, vm positive,
                                               vf t) {
    vf other = vf_sub(vf_set(1.0F), t);
    vf wrong = vf_select(positive, other, t);
    return (sigmoid_target){
        .is_wrong = vm_eq(wrong, vf_set(1.0F)),
        .is_right = vm_eq(wrong, vf_set(0.0F)),
        .wrong = wrong,
        .right = vf_select(positive, t, other),
        .alpha = vf_fma(t, constants->alpha_positive, vf_mul(other, constants->alpha_negative)),
    };
}

FOCAL_BODY sigmoid_target sigmoid_binary_target(const sigmoid_constants *constants, vm positive,
                                                vm t) {
    vm is_wrong = vm_xor(positive, t);
    return (sigmoid_target){
        .is_wrong = is_wrong,
        .is_right = is_wrong,
        .wrong = vf_set(0.0F),
        .right = vf_set(0.0F),
        .alpha = vf_select(t, constants->alpha_positive, constants->alpha_negative),
    };
}

/* q^gamma of hard targets as exp(-gamma S), S = -log q = log1p(e) + (right side) |x|. S and the
 * product are carried in two floats, and so is gamma. |x| is cut at 128, where log1p(e) and
 * with it the loss are 0 already: infinity would make NaN of the low parts. */
FOCAL_BODY vf sigmoid_hard_power(focal_kernel_tier tier, const sigmoid_constants *constants,
                                 vm is_wrong, vf magnitude, vf log1p_e) {
    vf far = vf_select(is_wrong, vf_set(0.0F), vf_min(magnitude, vf_set(128.0F)));
    vf2 s = sum_ordered(vf_max(far, log1p_e), vf_min(far, log1p_e));
    vf product = vf_mul(constants->gamma_high, s.high);
    vf low = vf_fma(constants->gamma_high, s.high, vf_neg(product));
    low = vf_fma(constants->gamma_high, s.low, low);
    low = vf_fma(constants->gamma_low, s.high, low);
    return exp_pair(tier, (vf2){vf_neg(product), vf_neg(low)});
}

FOCAL_BODY vf sigmoid_power(focal_kernel_tier tier, focal_kernel_target kind,
                            focal_gamma_class gamma_class, const sigmoid_constants *constants,
                            const sigmoid_target *target, vf q, vf magnitude, vf log1p_e) {
    switch (gamma_class) {
    case KERNEL_G0:
        return vf_set(1.0F);
    case KERNEL_G1:
        return q;
    case KERNEL_G2:
        return vf_mul(q, q);
    case KERNEL_GH:
        return power_half_steps(q, constants->half_steps);
    case KERNEL_GX:
        break;
    }
    vf hard = sigmoid_hard_power(tier, constants, target->is_wrong, magnitude, log1p_e);
    if (kind == KERNEL_BINARY)
        return hard;
    vf soft = vf_sleef_pow(q, constants->gamma_high);
    return vf_select(target->is_wrong, hard, vf_select(target->is_right, hard, soft));
}

/* The gradient without the class's leading power: see sigmoid_step. FLT_MAX for an infinite |x|
 * keeps smaller * BCE at its limit 0. */
FOCAL_BODY vf sigmoid_capped_bce(focal_kernel_target kind, const sigmoid_target *target,
                                 vf magnitude, vf log1p_e) {
    vf finite = vf_min(magnitude, vf_set(0x1.fffffep127F));
    if (kind == KERNEL_BINARY)
        return vf_select(target->is_wrong, vf_add(finite, log1p_e), log1p_e);
    return vf_fma(target->wrong, finite, log1p_e);
}

FOCAL_BODY void sigmoid_step(focal_kernel_tier tier, focal_kernel_target kind,
                             focal_kernel_direction direction, focal_gamma_class gamma_class,
                             const sigmoid_constants *constants, vf x, vf dense, vm binary,
                             vf *loss, vf *gradient) {
    vf one = vf_set(1.0F);
    vf magnitude = vf_abs(x);
    vm positive = vm_lt(vf_set(0.0F), x);
    sigmoid_target target = kind == KERNEL_BINARY
                                ? sigmoid_binary_target(constants, positive, binary)
                                : sigmoid_dense_target(constants, positive, dense);
    vf e = exp_negative(tier, vf_neg(magnitude));
    vf smaller = vf_div(e, vf_add(one, e));
    vf larger = vf_sub(one, smaller);
    vf log1p_e = log1p_unit(tier, e);
    vf q = kind == KERNEL_BINARY ? vf_select(target.is_wrong, larger, smaller)
                                 : vf_fma(target.wrong, larger, vf_mul(target.right, smaller));
    vf power =
        sigmoid_power(tier, kind, gamma_class, constants, &target, q, magnitude, log1p_e);

    if (direction != KERNEL_GRADIENT) {
        /* Selected, not multiplied by 0: 0 * infinity would be NaN at an infinite right logit.
         */
        vf bce =
            kind == KERNEL_BINARY
                ? vf_select(target.is_wrong, vf_add(magnitude, log1p_e), log1p_e)
                : vf_select(target.is_right, log1p_e, vf_fma(target.wrong, magnitude, log1p_e));
        *loss = vf_mul(target.alpha, vf_mul(power, bce));
    }
    if (direction == KERNEL_LOSS)
        return;

    vf residual = kind == KERNEL_BINARY ? vf_select(target.is_wrong, larger, vf_neg(smaller))
                                        : vf_sub(target.wrong, smaller);
    vf inner = residual;
    if (gamma_class != KERNEL_G0) {
        /* p (1-p), divided by q for the classes whose gamma may be below 1 or is not a product.
         */
        vf ratio;
        bool divided = gamma_class == KERNEL_GH || gamma_class == KERNEL_GX;
        if (!divided) {
            ratio = vf_mul(smaller, larger);
            inner = vf_mul(q, residual);
        } else if (kind == KERNEL_BINARY) {
            ratio = vf_select(target.is_wrong, smaller, larger);
        } else {
            ratio = vf_div(vf_mul(smaller, larger), q);
            ratio = vf_select(target.is_wrong, smaller, ratio);
            ratio = vf_select(target.is_right, larger, ratio);
        }
        vf term = vf_mul(ratio, sigmoid_capped_bce(kind, &target, magnitude, log1p_e));
        vf slope = kind == KERNEL_BINARY ? vf_select(target.is_wrong, one, vf_set(-1.0F))
                                         : vf_sub(target.wrong, target.right);
        inner = vf_fma(vf_mul(constants->gamma_high, slope), term, inner);
        if (gamma_class == KERNEL_G2)
            inner = vf_mul(q, inner);
        else if (divided)
            inner = vf_mul(power, inner);
    }
    vf magnitude_gradient = vf_mul(target.alpha, inner);
    vf signed_gradient = vf_select(positive, magnitude_gradient, vf_neg(magnitude_gradient));
    *gradient = vf_mul(signed_gradient, constants->upstream);
}

/* One step at element `i` of `count` (16, or fewer at the end): load, compute, store, add. */
FOCAL_BODY void sigmoid_elements(focal_kernel_tier tier, focal_kernel_target kind,
                                 focal_kernel_direction direction,
                                 focal_gamma_class gamma_class,
                                 const sigmoid_constants *constants, const focal_span *span,
                                 size_t i, size_t count, vsum *sum) {
    bool whole = count == FOCAL_STEP;
    const float *dense = (const float *)span->targets + i;
    const uint8_t *binary = (const uint8_t *)span->targets + i;
    vf x = whole ? vf_load(span->logits + i) : vf_load_n(span->logits + i, count);
    vf t = vf_set(0.0F);
    vm m = vm_first(0);
    if (kind == KERNEL_BINARY)
        m = whole ? vm_load_u8(binary) : vm_load_u8_n(binary, count);
    else
        t = whole ? vf_load(dense) : vf_load_n(dense, count);

    vf loss = vf_set(0.0F), gradient = vf_set(0.0F);
    sigmoid_step(tier, kind, direction, gamma_class, constants, x, t, m, &loss, &gradient);

    if (direction != KERNEL_GRADIENT) {
        if (!whole)
            loss = vf_select(vm_first(count), loss, vf_set(0.0F));
        vsum_step(sum, loss);
        if (span->loss && whole)
            vf_store(span->loss + i, loss);
        else if (span->loss)
            vf_store_n(span->loss + i, loss, count);
    }
    if (direction != KERNEL_LOSS) {
        if (whole)
            vf_store(span->gradient + i, gradient);
        else
            vf_store_n(span->gradient + i, gradient, count);
    }
}

FOCAL_BODY void sigmoid_block(focal_span *span, focal_kernel_tier tier,
                              focal_kernel_target kind, focal_kernel_direction direction,
                              focal_gamma_class gamma_class, size_t unroll) {
    float gamma_high = (float)span->gamma;
    sigmoid_constants constants = {
        .alpha_positive = vf_set((float)span->alpha_positive),
        .alpha_negative = vf_set((float)span->alpha_negative),
        .gamma_high = vf_set(gamma_high),
        .gamma_low = vf_set((float)(span->gamma - (double)gamma_high)),
        .upstream = vf_set(span->upstream),
        .half_steps = span->half_steps,
    };
    size_t count = span->rows * span->classes;
    vsum sum = vsum_zero();
    for (size_t run = 0; run < count; run += SUM_RUN) {
        size_t end = run + SUM_RUN < count ? run + SUM_RUN : count;
        size_t i = run;
        for (; i + unroll <= end; i += unroll)
            for (size_t k = 0; k < unroll; k += FOCAL_STEP)
                sigmoid_elements(tier, kind, direction, gamma_class, &constants, span, i + k,
                                 FOCAL_STEP, &sum);
        for (; i + FOCAL_STEP <= end; i += FOCAL_STEP)
            sigmoid_elements(tier, kind, direction, gamma_class, &constants, span, i,
                             FOCAL_STEP, &sum);
        if (i < end)
            sigmoid_elements(tier, kind, direction, gamma_class, &constants, span, i, end - i,
                             &sum);
        vsum_fold(&sum);
    }
    span->sum = vsum_total(&sum);
    if (span->row_loss && direction != KERNEL_GRADIENT)
        for (size_t row = 0; row < span->rows; row++)
            span->row_loss[row] =
                (float)vsum_array(span->loss + row * span->classes, span->classes);
}
