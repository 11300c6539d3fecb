/* Sigmoid focal loss and its gradient, one block of contiguous elements.
 *
 * Contract, per logit x with target t (S1, the soft-target reading of torchvision):
 *     p = sigmoid(x), q = 1 - p_t = p (1 - t) + (1 - p) t, BCE = softplus(x) - x t
 *     loss     = alpha_t q^gamma BCE                                             (paper eq. 5)
 *     gradient = alpha_t [q^gamma (p - t) + gamma q^(gamma-1) p (1-p) (1-2t) BCE]
 * Bound: 10 ULP for t in {0, 1} wherever the exact result is normal; docs/numerics.md has the
 * measured figures and what holds for soft targets. NaN in x or t gives NaN in that element alone;
 * infinite x with t in {0, 1} gives the limit. Traffic: 4 bytes of logit, 4 (dense) or 1 (binary)
 * of target, 4 per output; bound by arithmetic. A run of 512 elements goes through a scratch block
 * in phases: the whole chain (exp, division, log1p, products) is longer than out-of-order hardware
 * can overlap.
 *
 * With e = exp(-|x|) everything is a sum of terms of one sign, so nothing cancels for hard targets:
 *     smaller = e / (1 + e) and larger = 1 - smaller are p and 1 - p in some order,
 *     wrong   = the weight of the side that x speaks against (1 - t for x > 0, else t),
 *     q       = wrong larger + (1 - wrong) smaller,
 *     BCE     = log1p(e) + wrong |x|,
 * and, with sign = the sign of x and slope = 2 wrong - 1,
 *     gradient = sign alpha_t [q^gamma (wrong - smaller)
 *                              + gamma q^(gamma-1) larger smaller slope BCE].
 * Every expression has the same value in the dense and the binary form when t is 0 or 1. */

/* The constants of a span, once per block. */
typedef struct {
    vf alpha_positive, alpha_negative, gamma_high, gamma_low, upstream;
    uint32_t half_steps;
    bool has_zero_alpha; /* alpha_t = 0 makes every loss 0, an infinite one too; NaN stays */
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

/* q^gamma for any gamma. Soft targets have no such S and take SLEEF's pow in every tier; a step
 * without any, which is most of them, skips it: each lane's value is the same either way. */
FOCAL_BODY vf sigmoid_any_power(focal_kernel_tier tier, focal_kernel_target kind,
                                const sigmoid_constants *constants,
                                const sigmoid_target *target, vf q, vf magnitude, vf log1p_e) {
    vf hard = sigmoid_hard_power(tier, constants, target->is_wrong, magnitude, log1p_e);
    if (kind == KERNEL_BINARY || vm_all(vm_xor(target->is_wrong, target->is_right)))
        return hard;
    vf soft =
        vf_mul(vf_sleef_pow(q, constants->gamma_high), vf_sleef_pow(q, constants->gamma_low));
    return vf_select(target->is_wrong, hard, vf_select(target->is_right, hard, soft));
}

/* Where a step is, and how many of its elements exist. */
typedef struct {
    size_t element; /* in the span */
    size_t slot;    /* in the run's scratch */
    size_t count;   /* FOCAL_STEP, or fewer at the end */
} sigmoid_place;

/* The step at `slot` of a run of `run` elements that begins at element `first`. */
FOCAL_BODY sigmoid_place sigmoid_place_at(size_t first, size_t slot, size_t run) {
    size_t left = run - slot;
    return (sigmoid_place){first + slot, slot, left < FOCAL_STEP ? left : FOCAL_STEP};
}

/* What the phases hand on, per element of a run. */
typedef struct {
    float e[SUM_RUN]; /* exp(-|x|), then log1p of it */
    float smaller[SUM_RUN];
    float power[SUM_RUN]; /* q^gamma, KERNEL_GX */
} sigmoid_scratch;

FOCAL_BODY vf sigmoid_load_logits(const focal_span *span, sigmoid_place at) {
    const float *from = span->logits + at.element;
    return at.count == FOCAL_STEP ? vf_load(from) : vf_load_n(from, at.count);
}

FOCAL_BODY sigmoid_target sigmoid_load_target(focal_kernel_target kind,
                                              const sigmoid_constants *constants,
                                              const focal_span *span, sigmoid_place at,
                                              vm positive) {
    bool whole = at.count == FOCAL_STEP;
    if (kind == KERNEL_BINARY) {
        const uint8_t *from = (const uint8_t *)span->targets + at.element;
        return sigmoid_binary_target(constants, positive,
                                     whole ? vm_load_u8(from) : vm_load_u8_n(from, at.count));
    }
    const float *from = (const float *)span->targets + at.element;
    return sigmoid_dense_target(constants, positive,
                                whole ? vf_load(from) : vf_load_n(from, at.count));
}

FOCAL_BODY vf sigmoid_q(focal_kernel_target kind, const sigmoid_target *target, vf smaller,
                        vf larger) {
    if (kind == KERNEL_BINARY)
        return vf_select(target->is_wrong, larger, smaller);
    return vf_fma(target->wrong, larger, vf_mul(target->right, smaller));
}

FOCAL_BODY void sigmoid_store_loss(const focal_span *span, sigmoid_place at, vf loss,
                                   vsum *sum) {
    bool whole = at.count == FOCAL_STEP;
    if (!whole)
        loss = vf_select(vm_first(at.count), loss, vf_set(0.0F));
    vsum_step(sum, loss);
    if (span->loss && whole)
        vf_store(span->loss + at.element, loss);
    else if (span->loss)
        vf_store_n(span->loss + at.element, loss, at.count);
}

FOCAL_BODY void sigmoid_store_gradient(const focal_span *span, sigmoid_place at, vf gradient) {
    if (at.count == FOCAL_STEP)
        vf_store(span->gradient + at.element, gradient);
    else
        vf_store_n(span->gradient + at.element, gradient, at.count);
}

/* The row losses of a block whose element losses are stored. */
FOCAL_BODY void sigmoid_add_rows(const focal_span *span, focal_kernel_direction direction) {
    if (!span->row_loss || direction == KERNEL_GRADIENT)
        return;
    for (size_t row = 0; row < span->rows; row++)
        span->row_loss[row] =
            (float)vsum_array(span->loss + row * span->classes, span->classes);
}

/* Phase 1: exp(-|x|) and the sigmoid quotient. */
FOCAL_BODY void sigmoid_phase_exp(focal_kernel_tier tier, const focal_span *span,
                                  sigmoid_place at, sigmoid_scratch *scratch) {
    vf x = sigmoid_load_logits(span, at);
    vf e = exp_negative(tier, vf_neg(vf_abs(x)));
    vf_store(scratch->e + at.slot, e);
    vf_store(scratch->smaller + at.slot, vf_div(e, vf_add(vf_set(1.0F), e)));
}

/* Phase 2, where log1p is long (sleef) or its result is needed twice (KERNEL_GX). */
FOCAL_BODY void sigmoid_phase_log(focal_kernel_tier tier, size_t slot,
                                  sigmoid_scratch *scratch) {
    vf e = vf_load(scratch->e + slot), smaller = vf_load(scratch->smaller + slot);
    vf_store(scratch->e + slot, log1p_unit(tier, e, smaller));
}

/* Phase 2 of KERNEL_GX, after log1p: q^gamma. */
FOCAL_BODY void sigmoid_phase_power(focal_kernel_tier tier, focal_kernel_target kind,
                                    const sigmoid_constants *constants, const focal_span *span,
                                    sigmoid_place at, sigmoid_scratch *scratch) {
    vf x = sigmoid_load_logits(span, at);
    vm positive = vm_lt(vf_set(0.0F), x);
    sigmoid_target target = sigmoid_load_target(kind, constants, span, at, positive);
    vf smaller = vf_load(scratch->smaller + at.slot);
    vf q = sigmoid_q(kind, &target, smaller, vf_sub(vf_set(1.0F), smaller));
    vf log1p_e = vf_load(scratch->e + at.slot);
    vf_store(scratch->power + at.slot,
             sigmoid_any_power(tier, kind, constants, &target, q, vf_abs(x), log1p_e));
}

/* The bracket of the gradient formula times what is left of q^gamma. */
FOCAL_BODY vf sigmoid_slope(focal_kernel_target kind, focal_gamma_class gamma_class,
                            const sigmoid_constants *constants, const sigmoid_target *target,
                            vf magnitude, vf log1p_e, vf smaller, vf q, vf power) {
    vf larger = vf_sub(vf_set(1.0F), smaller);
    /* Subtracted in both forms, so that where nothing is left both give +0. */
    vf wrong = kind == KERNEL_BINARY ? vf_select(target->is_wrong, vf_set(1.0F), vf_set(0.0F))
                                     : target->wrong;
    vf residual = vf_sub(wrong, smaller);
    if (gamma_class == KERNEL_G0)
        return residual;
    /* FLT_MAX for an infinite |x| keeps smaller * BCE at its limit 0. */
    vf finite = vf_min(magnitude, vf_set(FLT_MAX));
    vf bce = kind == KERNEL_BINARY
                 ? vf_select(target->is_wrong, vf_add(finite, log1p_e), log1p_e)
                 : vf_fma(target->wrong, finite, log1p_e);
    vf gamma =
        kind == KERNEL_BINARY
            ? vf_select(target->is_wrong, constants->gamma_high, vf_neg(constants->gamma_high))
            : vf_mul(constants->gamma_high, vf_sub(target->wrong, target->right));
    if (gamma_class == KERNEL_G1 || gamma_class == KERNEL_G2) {
        /* q^(gamma-1) [q (wrong - smaller) + gamma larger smaller slope BCE] */
        vf term = vf_mul(vf_mul(smaller, larger), bce);
        vf inner = vf_fma(gamma, term, vf_mul(q, residual));
        return gamma_class == KERNEL_G2 ? vf_mul(q, inner) : inner;
    }
    /* q^gamma [wrong - smaller + gamma (larger smaller / q) slope BCE]: gamma may be below 1,
     * and q^(gamma-1) infinite. */
    vf ratio;
    if (kind == KERNEL_BINARY) {
        ratio = vf_select(target->is_wrong, smaller, larger);
    } else {
        ratio = vf_div(vf_mul(smaller, larger), q);
        ratio = vf_select(target->is_wrong, smaller, ratio);
        ratio = vf_select(target->is_right, larger, ratio);
    }
    return vf_mul(power, vf_fma(gamma, vf_mul(ratio, bce), residual));
}

/* Phase 3: everything else; loads, stores, and adds to the sum. */
FOCAL_BODY void sigmoid_phase_end(focal_kernel_tier tier, focal_kernel_target kind,
                                  focal_kernel_direction direction,
                                  focal_gamma_class gamma_class,
                                  const sigmoid_constants *constants, const focal_span *span,
                                  sigmoid_place at, const sigmoid_scratch *scratch, vsum *sum) {
    vf x = sigmoid_load_logits(span, at);
    vf magnitude = vf_abs(x);
    vm positive = vm_lt(vf_set(0.0F), x);
    sigmoid_target target = sigmoid_load_target(kind, constants, span, at, positive);
    vf smaller = vf_load(scratch->smaller + at.slot);
    vf log1p_e = vf_load(scratch->e + at.slot);
    if (tier == KERNEL_FAST && gamma_class != KERNEL_GX)
        log1p_e = log1p_unit(tier, log1p_e, smaller);
    vf q = sigmoid_q(kind, &target, smaller, vf_sub(vf_set(1.0F), smaller));
    vf power = vf_set(1.0F);
    if (gamma_class == KERNEL_G1)
        power = q;
    else if (gamma_class == KERNEL_G2)
        power = vf_mul(q, q);
    else if (gamma_class == KERNEL_GH)
        power = power_half_steps(q, constants->half_steps);
    else if (gamma_class == KERNEL_GX)
        power = vf_load(scratch->power + at.slot);

    if (direction != KERNEL_GRADIENT) {
        /* Selected, not multiplied by 0: 0 * infinity would be NaN at an infinite right logit.
         */
        vf bce =
            kind == KERNEL_BINARY
                ? vf_select(target.is_wrong, vf_add(magnitude, log1p_e), log1p_e)
                : vf_select(target.is_right, log1p_e, vf_fma(target.wrong, magnitude, log1p_e));
        vf loss = vf_mul(target.alpha, vf_mul(power, bce));
        if (constants->has_zero_alpha)
            loss = vf_select(vm_eq(target.alpha, vf_set(0.0F)),
                             vf_mul(target.alpha, vf_min(vf_set(FLT_MAX), magnitude)), loss);
        sigmoid_store_loss(span, at, loss, sum);
    }
    if (direction != KERNEL_LOSS) {
        vf slope = sigmoid_slope(kind, gamma_class, constants, &target, magnitude, log1p_e,
                                 smaller, q, power);
        slope = vf_mul(target.alpha, slope);
        slope = vf_mul(vf_select(positive, slope, vf_neg(slope)), constants->upstream);
        sigmoid_store_gradient(span, at, slope);
    }
}

/* Phases 1 and 2 over a run depend on the tier alone (and do not gain from unrolling). */
FOCAL_SHARED void sigmoid_run_exp(focal_kernel_tier tier, const focal_span *span, size_t first,
                                  size_t run, sigmoid_scratch *scratch) {
    if (tier == KERNEL_FAST)
        for (size_t i = 0; i < run; i += FOCAL_STEP)
            sigmoid_phase_exp(KERNEL_FAST, span, sigmoid_place_at(first, i, run), scratch);
    else
        for (size_t i = 0; i < run; i += FOCAL_STEP)
            sigmoid_phase_exp(KERNEL_SLEEF, span, sigmoid_place_at(first, i, run), scratch);
}

FOCAL_SHARED void sigmoid_run_log(focal_kernel_tier tier, size_t run,
                                  sigmoid_scratch *scratch) {
    if (tier == KERNEL_FAST)
        for (size_t i = 0; i < run; i += FOCAL_STEP)
            sigmoid_phase_log(KERNEL_FAST, i, scratch);
    else
        for (size_t i = 0; i < run; i += FOCAL_STEP)
            sigmoid_phase_log(KERNEL_SLEEF, i, scratch);
}

FOCAL_SHARED void sigmoid_run_power(focal_kernel_tier tier, focal_kernel_target kind,
                                    const sigmoid_constants *constants, const focal_span *span,
                                    size_t first, size_t run, sigmoid_scratch *scratch) {
    for (size_t i = 0; i < run; i += FOCAL_STEP) {
        sigmoid_place at = sigmoid_place_at(first, i, run);
        if (tier == KERNEL_FAST && kind == KERNEL_DENSE)
            sigmoid_phase_power(KERNEL_FAST, KERNEL_DENSE, constants, span, at, scratch);
        else if (tier == KERNEL_FAST)
            sigmoid_phase_power(KERNEL_FAST, KERNEL_BINARY, constants, span, at, scratch);
        else if (kind == KERNEL_DENSE)
            sigmoid_phase_power(KERNEL_SLEEF, KERNEL_DENSE, constants, span, at, scratch);
        else
            sigmoid_phase_power(KERNEL_SLEEF, KERNEL_BINARY, constants, span, at, scratch);
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
        .has_zero_alpha =
            (float)span->alpha_positive == 0.0F || (float)span->alpha_negative == 0.0F,
    };
    size_t count = span->rows * span->classes;
    sigmoid_scratch scratch;
    vsum sum = vsum_zero();
    for (size_t first = 0; first < count; first += SUM_RUN) {
        size_t run = count - first < SUM_RUN ? count - first : SUM_RUN;
        sigmoid_run_exp(tier, span, first, run, &scratch);
        if (tier == KERNEL_SLEEF || gamma_class == KERNEL_GX)
            sigmoid_run_log(tier, run, &scratch);
        if (gamma_class == KERNEL_GX)
            sigmoid_run_power(tier, kind, &constants, span, first, run, &scratch);
        size_t i = 0;
        for (; i + unroll <= run; i += unroll)
            for (size_t k = i; k < i + unroll; k += FOCAL_STEP)
                sigmoid_phase_end(tier, kind, direction, gamma_class, &constants, span,
                                  (sigmoid_place){first + k, k, FOCAL_STEP}, &scratch, &sum);
        for (; i < run; i += FOCAL_STEP)
            sigmoid_phase_end(tier, kind, direction, gamma_class, &constants, span,
                              sigmoid_place_at(first, i, run), &scratch, &sum);
        vsum_fold(&sum);
    }
    span->sum = vsum_total(&sum);
    sigmoid_add_rows(span, direction);
}
