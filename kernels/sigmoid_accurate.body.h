/* Sigmoid focal loss and its gradient in double precision, rounded once to float at the end.
 *
 * Contract: the formulas of sigmoid.body.h, within 0.51 ULP for targets 0 and 1 up to gamma 5. As
 * there, targets 0 and 1 need one number, z, a run goes through phases, and one with other targets,
 * or an alpha_t of 0, through sigmoid_accurate_soft.body.h, where elements with hard targets get the
 * same bits. q^gamma of any gamma is exp(-gamma S), S = -log q = log1p(e) + max(z, 0): in double
 * neither needs the low parts that float does. Traffic as there; bound by arithmetic, about twice the
 * fast tier's. */

typedef struct {
    _Alignas(64) double e[SUM_RUN]; /* exp(-|x|), then log1p of it */
    double smaller[SUM_RUN];
    float z[SUM_RUN];
    float side[SUM_RUN]; /* 1 for target 1, -1 for target 0 */
} accurate_scratch;

/* A block's constants. The factors contain alpha_t, for the gradient also upstream and its sign. */
typedef struct {
    vd alpha_positive, alpha_negative, factor_positive, factor_negative, gamma, upstream;
    uint32_t half_steps;
    bool has_alpha, has_zero_alpha;
} accurate_constants;

/* Phase 1: e, z and the target's side. Collects in *soft the bits of targets neither 0 nor 1. */
FOCAL_BODY void accurate_step_exp(focal_kernel_target kind, const focal_span *span,
                                  sigmoid_place at, accurate_scratch *scratch, vf *soft) {
    vf x = sigmoid_load(span->logits, at);
    vf flip = sigmoid_flip(kind, span->targets, at, soft);
    vf_store(scratch->z + at.slot, vf_xor(x, flip));
    vf_store(scratch->side + at.slot, vf_or(vf_set(1.0F), flip));
    vf a = vf_or(x, vf_set(-0.0F));
    vd_store(scratch->e + at.slot, accurate_exp(vd_widen_low(a)));
    vd_store(scratch->e + at.slot + 8, accurate_exp(vd_widen_high(a)));
}

FOCAL_BODY vf accurate_loop_exp(focal_kernel_target kind, const focal_span *span, size_t first,
                                size_t run, accurate_scratch *scratch) {
    vf soft = vf_set(0.0F);
    size_t i = 0;
    for (; i + FOCAL_STEP <= run; i += FOCAL_STEP)
        accurate_step_exp(kind, span, (sigmoid_place){first + i, i, FOCAL_STEP}, scratch,
                          &soft);
    if (i < run)
        accurate_step_exp(kind, span, (sigmoid_place){first + i, i, run - i}, scratch, &soft);
    return soft;
}

/* Returns whether all targets are 0 or 1. */
FOCAL_SHARED bool accurate_run_exp(focal_kernel_target kind, const focal_span *span,
                                   size_t first, size_t run, accurate_scratch *scratch) {
    vf soft = kind == KERNEL_LABEL ? accurate_loop_exp(KERNEL_LABEL, span, first, run, scratch)
              : kind == KERNEL_BINARY
                  ? accurate_loop_exp(KERNEL_BINARY, span, first, run, scratch)
                  : accurate_loop_exp(KERNEL_DENSE, span, first, run, scratch);
    if (kind == KERNEL_LABEL)
        sigmoid_mark_labels(span, first, run, scratch->z, scratch->side);
    return vm_all(vm_eq(soft, vf_set(0.0F)));
}

/* Phase 2: the quotient and log1p. */
FOCAL_SHARED void accurate_run_log(size_t run, accurate_scratch *scratch) {
    for (size_t i = 0; i < run; i += FOCAL_STEP)
        for (size_t k = i; k < i + FOCAL_STEP; k += 8) {
            vd e = vd_load(scratch->e + k);
            vd smaller = vd_div(e, vd_add(vd_set(1.0), e));
            vd_store(scratch->smaller + k, smaller);
            vd_store(scratch->e + k, accurate_log1p(e, smaller));
        }
}

typedef struct {
    vd loss, gradient;
} accurate_result;

/* q^gamma, for KERNEL_GX by its logarithm, -log q = log1p(e) + max(z, 0). */
FOCAL_BODY vd accurate_power(focal_gamma_class gamma_class, const accurate_constants *constants,
                             vd q, vd log1p_e, vd z) {
    if (gamma_class == KERNEL_G1)
        return q;
    if (gamma_class == KERNEL_G2)
        return vd_mul(q, q);
    if (gamma_class == KERNEL_GH)
        return power_half_steps_f64(q, constants->half_steps);
    if (gamma_class == KERNEL_GX) {
        vd s = vd_add(log1p_e, vd_max(z, vd_set(0.0)));
        return accurate_exp(vd_mul(vd_neg(constants->gamma), s));
    }
    return vd_set(1.0);
}

/* Loss and gradient of eight elements with targets 0 and 1. */
FOCAL_BODY accurate_result accurate_hard(focal_kernel_direction direction,
                                         focal_gamma_class gamma_class,
                                         const accurate_constants *constants, vd z, vd side,
                                         vd smaller, vd log1p_e) {
    vd zero = vd_set(0.0);
    vdm wrong = vdm_lt(z, zero), negative = vdm_lt(side, zero);
    vd larger = vd_sub(vd_set(1.0), smaller);
    vd q = vd_select(wrong, larger, smaller);
    vd power = accurate_power(gamma_class, constants, q, log1p_e, z);
    vd minus_far = vd_min(zero, z); /* NaN passes */
    accurate_result result = {zero, zero};
    if (direction != KERNEL_GRADIENT) {
        result.loss = vd_mul(power, vd_sub(log1p_e, minus_far));
        if (constants->has_alpha)
            result.loss = vd_mul(result.loss, vd_select(negative, constants->alpha_negative,
                                                        constants->alpha_positive));
    }
    if (direction == KERNEL_LOSS)
        return result;
    vd bracket = q;
    if (gamma_class != KERNEL_G0) {
        /* The cut keeps p_t BCE at its limit 0 for an infinite z: p_t is exp(-240) there. */
        vd bce = vd_sub(log1p_e, vd_max(vd_set(-1000.0), minus_far));
        vd p_t = vd_select(wrong, smaller, larger);
        bracket = vd_fma(vd_mul(constants->gamma, p_t), bce, q);
    }
    vd factor = vd_select(negative, constants->factor_negative, constants->factor_positive);
    result.gradient = vd_mul(vd_mul(power, bracket), factor);
    return result;
}

FOCAL_BODY sigmoid_result accurate_step_hard(focal_kernel_direction direction,
                                             focal_gamma_class gamma_class,
                                             const accurate_constants *constants,
                                             const accurate_scratch *scratch, size_t slot) {
    vf z = vf_load(scratch->z + slot), side = vf_load(scratch->side + slot);
    const double *smaller = scratch->smaller + slot, *log1p_e = scratch->e + slot;
    accurate_result low = accurate_hard(direction, gamma_class, constants, vd_widen_low(z),
                                        vd_widen_low(side), vd_load(smaller), vd_load(log1p_e));
    accurate_result high =
        accurate_hard(direction, gamma_class, constants, vd_widen_high(z), vd_widen_high(side),
                      vd_load(smaller + 8), vd_load(log1p_e + 8));
    return (sigmoid_result){vf_narrow(low.loss, high.loss),
                            vf_narrow(low.gradient, high.gradient)};
}

#include "sigmoid_accurate_soft.body.h"

FOCAL_BODY accurate_constants accurate_make_constants(const focal_span *span) {
    double upstream = (double)span->upstream;
    return (accurate_constants){
        .alpha_positive = vd_set(span->alpha_positive),
        .alpha_negative = vd_set(span->alpha_negative),
        .factor_positive = vd_set(-span->alpha_positive * upstream),
        .factor_negative = vd_set(span->alpha_negative * upstream),
        .gamma = vd_set(span->gamma),
        .upstream = vd_set(upstream),
        .half_steps = span->half_steps,
        .has_alpha = span->alpha_positive != 1.0 || span->alpha_negative != 1.0,
        .has_zero_alpha = span->alpha_positive == 0.0 || span->alpha_negative == 0.0,
    };
}

FOCAL_BODY void sigmoid_accurate_block(focal_span *span, focal_kernel_tier tier,
                                       focal_kernel_target kind,
                                       focal_kernel_direction direction,
                                       focal_gamma_class gamma_class, size_t unroll) {
    (void)tier;
    (void)unroll;
    accurate_constants constants = accurate_make_constants(span);
    sigmoid_arrays arrays = {span->logits, span->loss, span->gradient};
    focal_kernel_target given = sigmoid_kind(kind, span);
    size_t count = span->rows * span->classes;
    accurate_scratch scratch;
    vsum sum = vsum_zero();
    for (size_t first = 0; first < count; first += SUM_RUN) {
        size_t run = count - first < SUM_RUN ? count - first : SUM_RUN;
        bool hard = accurate_run_exp(given, span, first, run, &scratch);
        accurate_run_log(run, &scratch);
        if (!hard || constants.has_zero_alpha) {
            vsum soft_sum = sum;
            accurate_run_soft(given, direction, gamma_class, &constants, span, first, run,
                              &scratch, &soft_sum);
            sum = soft_sum;
        } else {
            for (size_t i = 0; i < run; i += FOCAL_STEP)
                sigmoid_store(
                    direction, arrays, sigmoid_place_at(first, i, run),
                    accurate_step_hard(direction, gamma_class, &constants, &scratch, i), &sum);
        }
        vsum_fold(&sum);
    }
    span->sum = vsum_total(&sum);
    sigmoid_add_rows(span, direction);
}
