/* Sigmoid focal loss and its gradient, one block of contiguous elements.
 *
 * Contract, per logit x with target t (S1, the soft-target reading of torchvision):
 *     p = sigmoid(x), q = 1 - p_t = p (1 - t) + (1 - p) t, BCE = softplus(x) - x t
 *     loss     = alpha_t q^gamma BCE                                             (paper eq. 5)
 *     gradient = alpha_t [q^gamma (p - t) + gamma q^(gamma-1) p (1-p) (1-2t) BCE]
 * Bound: 10 ULP for t in {0, 1} wherever the exact result is normal; docs/numerics.md has the
 * measured figures and what holds for soft targets. NaN in x or t gives NaN in that element alone;
 * infinite x with t in {0, 1} gives the limit. Traffic: 4 bytes of logit, 4 (dense), 1 (binary) or
 * none (labels) of target, 4 per output, 2 for each of 16 bits; bound by arithmetic. A run of 512
 * elements goes through a scratch block in phases (sigmoid_phases.body.h).
 *
 * Targets 0 and 1 need one number, z = x for t = 1 and -x for t = 0, the logit of the target's
 * side. With e = exp(-|x|), smaller = e / (1 + e) and larger = 1 - smaller, nothing cancels:
 *     q, p_t = larger, smaller for z < 0, else smaller, larger
 *     BCE = log1p(e) - min(z, 0),  gradient = (1 - 2t) alpha_t q^gamma (gamma p_t BCE + q)
 * A run that has other targets, and blocks with alpha_t = 0, go through sigmoid_soft.body.h, where
 * elements with hard targets get the same bits. */

/* The constants of a block. */
typedef struct {
    vf alpha_positive, alpha_negative, gamma_high, gamma_low, upstream;
    uint32_t half_steps;
    bool has_zero_alpha; /* alpha_t = 0 makes every loss 0, an infinite one too; NaN stays */
} sigmoid_constants;

#include "sigmoid_phases.body.h"

/* q^gamma as exp(-gamma S), S = -log q = log1p(e) + max(z, 0). S and the product are carried in
 * two floats, and so is gamma. z is cut at 128, where log1p(e) and with it the loss are 0 already:
 * infinity would make NaN of the low parts. */
FOCAL_BODY vf2 sigmoid_exponent(const sigmoid_constants *constants, vf z, vf log1p_e) {
    vf far = vf_max(vf_min(z, vf_set(128.0F)), vf_set(0.0F));
    vf2 s = sum_ordered(vf_max(far, log1p_e), vf_min(far, log1p_e));
    vf product = vf_mul(constants->gamma_high, s.high);
    vf low = vf_fma(constants->gamma_high, s.high, vf_neg(product));
    low = vf_fma(constants->gamma_high, s.low, low);
    low = vf_fma(constants->gamma_low, s.high, low);
    return (vf2){vf_neg(product), vf_neg(low)};
}

/* The two phases that KERNEL_GX has between log1p and the last: q^gamma. */
FOCAL_SHARED void sigmoid_run_power(focal_kernel_tier tier, const sigmoid_constants *constants,
                                    size_t run, sigmoid_scratch *scratch) {
    for (size_t i = 0; i < run; i += FOCAL_STEP) {
        vf2 exponent =
            sigmoid_exponent(constants, vf_load(scratch->z + i), vf_load(scratch->e + i));
        vf_store(scratch->power + i, exponent.high);
        vf_store(scratch->power_low + i, exponent.low);
    }
    for (size_t i = 0; i < run; i += FOCAL_STEP) {
        vf2 exponent = {vf_load(scratch->power + i), vf_load(scratch->power_low + i)};
        vf_store(scratch->power + i, tier == KERNEL_SLEEF ? exp_pair(KERNEL_SLEEF, exponent)
                                                          : exp_pair(KERNEL_FAST, exponent));
    }
}

/* Loss and gradient of a step. */
typedef struct {
    vf loss, gradient;
} sigmoid_result;

/* q^gamma without KERNEL_GX. */
FOCAL_BODY vf sigmoid_power(focal_gamma_class gamma_class, const sigmoid_constants *constants,
                            vf q) {
    if (gamma_class == KERNEL_G1)
        return q;
    if (gamma_class == KERNEL_G2)
        return vf_mul(q, q);
    if (gamma_class == KERNEL_GH)
        return power_half_steps(q, constants->half_steps);
    return vf_set(1.0F);
}

/* What is left for targets 0 and 1; log1p too, if it has no phase of its own. The sign bits of x
 * and z differ where t = 0. */
FOCAL_BODY sigmoid_result sigmoid_hard(bool has_log, focal_kernel_direction direction,
                                       focal_gamma_class gamma_class,
                                       const sigmoid_constants *constants,
                                       const sigmoid_scratch *scratch, size_t slot, vf x) {
    vf z = vf_load(scratch->z + slot), e = vf_load(scratch->e + slot);
    sigmoid_logistic logistic = has_log
                                    ? (sigmoid_logistic){vf_load(scratch->smaller + slot), e}
                                    : logistic_of_exp(KERNEL_FAST, e);
    vf smaller = logistic.smaller, log1p_e = logistic.log1p_e;
    vf larger = vf_sub(vf_set(1.0F), smaller);
    vf q = vf_select_sign(z, larger, smaller);
    vf power = gamma_class == KERNEL_GX ? vf_load(scratch->power + slot)
                                        : sigmoid_power(gamma_class, constants, q);
    vf minus_far = vf_min(vf_set(0.0F), z); /* NaN passes */
    vf target = vf_xor(x, z);
    sigmoid_result result = {0};
    if (direction == KERNEL_LOSS) {
        vf alpha = vf_select_sign(target, constants->alpha_negative, constants->alpha_positive);
        result.loss = vf_mul(alpha, vf_mul(power, vf_sub(log1p_e, minus_far)));
        return result;
    }
    vf cross_entropy = vf_sub(log1p_e, minus_far);
    /* With the gradient's sign, which the loss drops. */
    vf alpha =
        vf_select_sign(target, constants->alpha_negative, vf_neg(constants->alpha_positive));
    if (direction == KERNEL_BOTH)
        result.loss = vf_mul(vf_abs(alpha), vf_mul(power, cross_entropy));
    vf bracket = q;
    if (gamma_class != KERNEL_G0) {
        /* The cut keeps p_t BCE at its limit 0 for an infinite z: p_t may be exp(-87). Without a
         * loss z is cut, which is there earlier. */
        vf finite = direction == KERNEL_BOTH
                        ? vf_min(vf_set(0x1p64F), cross_entropy)
                        : vf_sub(log1p_e, vf_max(vf_set(-0x1p64F), minus_far));
        vf p_t = vf_select_sign(z, smaller, larger);
        bracket = vf_fma(constants->gamma_high, vf_mul(p_t, finite), q);
    }
    result.gradient = vf_mul(vf_mul(alpha, vf_mul(power, bracket)), constants->upstream);
    return result;
}

/* A block's arrays, apart from the span: a store through them might change that one, for all the
 * compiler knows. */
typedef struct {
    const float *logits;
    float *loss, *gradient;
} sigmoid_arrays;

FOCAL_BODY void sigmoid_store(focal_kernel_direction direction, sigmoid_arrays arrays,
                              sigmoid_place at, sigmoid_result result, vsum *sum) {
    bool whole = at.count == FOCAL_STEP;
    if (direction != KERNEL_GRADIENT) {
        if (!whole)
            result.loss = vf_select(vm_first(at.count), result.loss, vf_set(0.0F));
        vsum_step(sum, result.loss);
        if (arrays.loss && whole)
            vf_store(arrays.loss + at.element, result.loss);
        else if (arrays.loss)
            vf_store_n(arrays.loss + at.element, result.loss, at.count);
    }
    if (direction != KERNEL_LOSS && whole)
        vf_store(arrays.gradient + at.element, result.gradient);
    else if (direction != KERNEL_LOSS)
        vf_store_n(arrays.gradient + at.element, result.gradient, at.count);
}

FOCAL_BODY void sigmoid_step_end(bool has_log, focal_kernel_direction direction,
                                 focal_gamma_class gamma_class,
                                 const sigmoid_constants *constants, sigmoid_arrays arrays,
                                 sigmoid_place at, const sigmoid_scratch *scratch, vsum *sum) {
    vf x = sigmoid_load(arrays.logits, at);
    sigmoid_result result =
        sigmoid_hard(has_log, direction, gamma_class, constants, scratch, at.slot, x);
    sigmoid_store(direction, arrays, at, result, sum);
}

/* The run at `first` if there is one. Run r + 1 is loaded in the midst of run r, whose operations go on
 * meanwhile. */
FOCAL_SHARED void sigmoid_load_halves(const focal_span *span, size_t first, size_t count) {
    const focal_halves *halves = span->halves;
    for (size_t k = 0; first < count && k < halves->loads; k++) {
        const struct focal_half_input *in = &halves->in[k];
        size_t left = count - first;
        in->load(in->from + first, in->to + first, left < SUM_RUN ? left : SUM_RUN);
    }
}

FOCAL_SHARED void sigmoid_store_halves(const focal_span *span, size_t first, size_t run) {
    const focal_halves *halves = span->halves;
    for (size_t k = 0; k < halves->stores; k++) {
        const struct focal_half_output *out = &halves->out[k];
        out->store(out->from + first, out->to + first, run);
    }
}

/* The row losses of a block whose element losses are stored. */
FOCAL_BODY void sigmoid_add_rows(const focal_span *span, focal_kernel_direction direction) {
    if (!span->row_loss || direction == KERNEL_GRADIENT)
        return;
    for (size_t row = 0; row < span->rows; row++)
        span->row_loss[row] =
            (float)vsum_array(span->loss + row * span->classes, span->classes);
}

/* Whether log1p has a phase of its own before the last. Where a step is one register, a last phase with
 * little else to do takes it in. */
FOCAL_BODY bool sigmoid_has_log(focal_kernel_tier tier, focal_kernel_direction direction,
                                focal_gamma_class gamma_class) {
    bool is_long = direction == KERNEL_BOTH && gamma_class != KERNEL_G0;
    return tier == KERNEL_SLEEF || gamma_class == KERNEL_GX || SIGMOID_SHORT_PHASES || is_long;
}

/* Results of order e^(1 + gamma): below exp(-87) they vanish unless gamma is small. */
FOCAL_BODY bool sigmoid_is_normal(focal_gamma_class gamma_class) {
    return gamma_class != KERNEL_G0 && gamma_class != KERNEL_GX;
}

#include "sigmoid_soft.body.h"

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
    bool has_log = sigmoid_has_log(tier, direction, gamma_class);
    bool normal = sigmoid_is_normal(gamma_class);
    sigmoid_arrays arrays = {span->logits, span->loss, span->gradient};
    focal_kernel_target given = sigmoid_kind(kind, span);
    size_t count = span->rows * span->classes;
    sigmoid_scratch scratch;
    vsum sum = vsum_zero();
    if (span->halves)
        sigmoid_load_halves(span, 0, count);
    for (size_t first = 0; first < count; first += SUM_RUN) {
        size_t run = count - first < SUM_RUN ? count - first : SUM_RUN;
        bool hard = sigmoid_run_start(tier, given, normal, has_log, span, first, run, &scratch);
        if (span->halves)
            sigmoid_load_halves(span, first + SUM_RUN, count);
        if (!hard || constants.has_zero_alpha) {
            /* A copy: what has an address stays in memory. */
            vsum soft_sum = sum;
            sigmoid_run_soft(tier, given, direction, gamma_class, &constants, span, first, run,
                             &scratch, &soft_sum);
            sum = soft_sum;
            vsum_fold(&sum);
            if (span->halves)
                sigmoid_store_halves(span, first, run);
            continue;
        }
        if (gamma_class == KERNEL_GX)
            sigmoid_run_power(tier, &constants, run, &scratch);
        size_t i = 0;
        for (; i + unroll <= run; i += unroll)
            for (size_t k = i; k < i + unroll; k += FOCAL_STEP)
                sigmoid_step_end(has_log, direction, gamma_class, &constants, arrays,
                                 (sigmoid_place){first + k, k, FOCAL_STEP}, &scratch, &sum);
        for (; i < run; i += FOCAL_STEP)
            sigmoid_step_end(has_log, direction, gamma_class, &constants, arrays,
                             sigmoid_place_at(first, i, run), &scratch, &sum);
        vsum_fold(&sum);
        if (span->halves)
            sigmoid_store_halves(span, first, run);
    }
    span->sum = vsum_total(&sum);
    sigmoid_add_rows(span, direction);
}
