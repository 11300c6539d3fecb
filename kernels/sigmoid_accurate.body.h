/* Sigmoid focal loss and its gradient in double precision, rounded once to float at the end.
 *
 * Contract: the formulas of sigmoid.body.h, within 0.51 ULP for targets 0 and 1 up to gamma 5. As
 * there, targets 0 and 1 need one number, z, a run goes through phases, and one with other targets,
 * or an alpha_t of 0, through sigmoid_accurate_soft.body.h, where elements with hard targets get the
 * same bits. q^gamma of any gamma is exp(-gamma S), S = -log q = log1p(e) + max(z, 0): in double
 * neither needs the low parts that float does. Traffic as there; bound by arithmetic, about twice the
 * fast tier's. */

typedef struct {
    _Alignas(
        64) double e[SUM_RUN]; /* exp(-|x|), in short phases first its r; then log1p of it */
    double smaller[SUM_RUN];   /* in short phases first magic; then e / (1 + e) */
    float z[SUM_RUN];
    float side[SUM_RUN]; /* 1 for target 1, -1 for target 0 */
} accurate_scratch;

/* A block's constants. The factors contain alpha_t, for the gradient also upstream and its sign. */
typedef struct {
    vd alpha_positive, alpha_negative, factor_positive, factor_negative, gamma, upstream;
    uint32_t half_steps;
    bool has_alpha, has_zero_alpha;
} accurate_constants;

FOCAL_BODY void accurate_store_exp(const exp_argument_vd reduced[2], size_t slot,
                                   accurate_scratch *scratch) {
    vd e[2];
    accurate_exp_reduced(2, reduced, e);
    vd_store(scratch->e + slot, e[0]);
    vd_store(scratch->e + slot + 8, e[1]);
}

/* Phase 1: e. */
FOCAL_BODY void accurate_step_exp(const float *logits, sigmoid_place at,
                                  accurate_scratch *scratch) {
    vf a = vf_or(sigmoid_load(logits, at), vf_set(-0.0F));
    a = vf_max(vf_set(ACCURATE_EXP_CUT), a);
    exp_argument_vd reduced[2] = {accurate_exp_reduce(vd_widen_low(a)),
                                  accurate_exp_reduce(vd_widen_high(a))};
    if (!SIGMOID_SHORT_PHASES) {
        accurate_store_exp(reduced, at.slot, scratch);
        return;
    }
    for (size_t k = 0; k < 2; k++) {
        vd_store(scratch->e + at.slot + 8 * k, reduced[k].r);
        vd_store(scratch->smaller + at.slot + 8 * k, reduced[k].magic);
    }
}

FOCAL_BODY exp_argument_vd accurate_load_argument(const accurate_scratch *scratch,
                                                  size_t slot) {
    return (exp_argument_vd){vd_load(scratch->e + slot), vd_load(scratch->smaller + slot)};
}

FOCAL_BODY void accurate_loop_polynomial(size_t run, accurate_scratch *scratch) {
    for (size_t i = 0; i < run; i += FOCAL_STEP) {
        exp_argument_vd reduced[2] = {accurate_load_argument(scratch, i),
                                      accurate_load_argument(scratch, i + 8)};
        accurate_store_exp(reduced, i, scratch);
    }
}

FOCAL_SHARED void accurate_run_exp(const float *logits, size_t first, size_t run,
                                   accurate_scratch *scratch) {
    size_t i = 0;
    for (; i + FOCAL_STEP <= run; i += FOCAL_STEP)
        accurate_step_exp(logits, (sigmoid_place){first + i, i, FOCAL_STEP}, scratch);
    if (i < run)
        accurate_step_exp(logits, (sigmoid_place){first + i, i, run - i}, scratch);
    if (SIGMOID_SHORT_PHASES)
        accurate_loop_polynomial(run, scratch);
}

FOCAL_BODY void accurate_log(accurate_scratch *scratch, size_t slot) {
    vd e = vd_load(scratch->e + slot);
    vd smaller = vd_div(e, vd_add(vd_set(1.0), e));
    vd_store(scratch->smaller + slot, smaller);
    vd_store(scratch->e + slot, accurate_log1p(e, smaller));
}

/* Phase 2: the quotient and log1p, and while the divider works, z and the target's side. Collects in
 * *soft the bits of targets neither 0 nor 1. */
FOCAL_BODY void accurate_step_log(focal_kernel_target kind, const float *logits,
                                  const void *targets, sigmoid_place at,
                                  accurate_scratch *scratch, vf *soft) {
    vf flip = sigmoid_flip(kind, targets, at, soft);
    vf_store(scratch->z + at.slot, vf_xor(sigmoid_load(logits, at), flip));
    vf_store(scratch->side + at.slot, vf_or(vf_set(1.0F), flip));
    accurate_log(scratch, at.slot);
    accurate_log(scratch, at.slot + 8);
}

FOCAL_BODY bool accurate_loop_log(focal_kernel_target kind, const float *logits,
                                  const void *targets, size_t first, size_t run,
                                  accurate_scratch *scratch) {
    vf soft = vf_set(0.0F);
    size_t i = 0;
#pragma GCC unroll 2
    for (; i + FOCAL_STEP <= run; i += FOCAL_STEP)
        accurate_step_log(kind, logits, targets, (sigmoid_place){first + i, i, FOCAL_STEP},
                          scratch, &soft);
    if (i < run)
        accurate_step_log(kind, logits, targets, (sigmoid_place){first + i, i, run - i},
                          scratch, &soft);
    return vm_all(vm_eq(soft, vf_set(0.0F)));
}

/* Returns whether all targets are 0 or 1. */
FOCAL_SHARED bool accurate_run_log(focal_kernel_target kind, const focal_span *span,
                                   size_t first, size_t run, accurate_scratch *scratch) {
    const float *logits = span->logits;
    const void *targets = span->targets;
    if (kind == KERNEL_DENSE)
        return accurate_loop_log(KERNEL_DENSE, logits, targets, first, run, scratch);
    if (kind == KERNEL_BINARY)
        return accurate_loop_log(KERNEL_BINARY, logits, targets, first, run, scratch);
    accurate_loop_log(KERNEL_LABEL, logits, targets, first, run, scratch);
    sigmoid_mark_labels(span, first, run, scratch->z, scratch->side);
    return true;
}

typedef struct {
    vd loss, gradient;
} accurate_result;

/* q^gamma, for KERNEL_GX by its logarithm, -log q = log1p(e) + max(z, 0). */
FOCAL_BODY vd accurate_power(focal_gamma_class gamma_class, const accurate_constants *constants,
                             vd q, vd log1p_e, vd far) {
    if (gamma_class == KERNEL_G1)
        return q;
    if (gamma_class == KERNEL_G2)
        return vd_mul(q, q);
    if (gamma_class == KERNEL_GH)
        return power_half_steps_f64(q, constants->half_steps);
    if (gamma_class == KERNEL_GX)
        return accurate_exp(vd_mul(vd_neg(constants->gamma), vd_add(log1p_e, far)));
    return vd_set(1.0);
}

/* What a step knows of eight elements with targets 0 and 1. */
typedef struct {
    vd far, minus_far; /* max(z, 0), whatever for NaN, and min(z, 0), which lets it pass */
    vd side, smaller, log1p_e;
} accurate_input;

FOCAL_BODY accurate_result accurate_hard(bool has_alpha, focal_kernel_direction direction,
                                         focal_gamma_class gamma_class,
                                         const accurate_constants *constants,
                                         const accurate_input *in) {
    vd larger = vd_sub(vd_set(1.0), in->smaller);
    /* The sign of min(z, 0) is that of z < 0, or z is 0 and the two are equal. */
    vd q = vd_select_sign(in->minus_far, larger, in->smaller);
    vd power = accurate_power(gamma_class, constants, q, in->log1p_e, in->far);
    accurate_result result = {vd_set(0.0), vd_set(0.0)};
    if (direction != KERNEL_GRADIENT) {
        result.loss = vd_mul(power, vd_sub(in->log1p_e, in->minus_far));
        if (has_alpha)
            result.loss =
                vd_mul(result.loss, vd_select_sign(in->side, constants->alpha_negative,
                                                   constants->alpha_positive));
    }
    if (direction == KERNEL_LOSS)
        return result;
    vd bracket = q;
    if (gamma_class != KERNEL_G0) {
        /* The cut keeps p_t BCE at its limit 0 for an infinite z: p_t is exp(-240) there. */
        vd bce = vd_sub(in->log1p_e, vd_max(vd_set(-1000.0), in->minus_far));
        vd p_t = vd_select_sign(in->minus_far, in->smaller, larger);
        bracket = vd_fma(vd_mul(constants->gamma, p_t), bce, q);
    }
    vd factor =
        vd_select_sign(in->side, constants->factor_negative, constants->factor_positive);
    result.gradient = vd_mul(vd_mul(power, bracket), factor);
    return result;
}

FOCAL_BODY sigmoid_result accurate_step_hard(bool has_alpha, focal_kernel_direction direction,
                                             focal_gamma_class gamma_class,
                                             const accurate_constants *constants,
                                             const accurate_scratch *scratch, size_t slot) {
    vf z = vf_load(scratch->z + slot), side = vf_load(scratch->side + slot),
       zero = vf_set(0.0F);
    vf minus_far = vf_min(zero, z), far = vf_max(z, zero);
    const double *smaller = scratch->smaller + slot, *log1p_e = scratch->e + slot;
    accurate_input in = {vd_widen_low(far), vd_widen_low(minus_far), vd_widen_low(side),
                         vd_load(smaller), vd_load(log1p_e)};
    accurate_result low = accurate_hard(has_alpha, direction, gamma_class, constants, &in);
    in = (accurate_input){vd_widen_high(far), vd_widen_high(minus_far), vd_widen_high(side),
                          vd_load(smaller + 8), vd_load(log1p_e + 8)};
    accurate_result high = accurate_hard(has_alpha, direction, gamma_class, constants, &in);
    return (sigmoid_result){vf_narrow(low.loss, high.loss),
                            vf_narrow(low.gradient, high.gradient)};
}

/* Phase 3: the results of a run whose targets are 0 and 1. */
FOCAL_BODY void accurate_loop_end(bool has_alpha, focal_kernel_direction direction,
                                  focal_gamma_class gamma_class,
                                  const accurate_constants *constants, sigmoid_arrays arrays,
                                  size_t first, size_t run, const accurate_scratch *scratch,
                                  vsum *sum) {
    size_t i = 0;
    for (; i + FOCAL_STEP <= run; i += FOCAL_STEP)
        sigmoid_store(
            direction, arrays, (sigmoid_place){first + i, i, FOCAL_STEP},
            accurate_step_hard(has_alpha, direction, gamma_class, constants, scratch, i), sum);
    if (i < run)
        sigmoid_store(
            direction, arrays, (sigmoid_place){first + i, i, run - i},
            accurate_step_hard(has_alpha, direction, gamma_class, constants, scratch, i), sum);
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
    if (span->halves)
        sigmoid_load_halves(span, 0, count);
    for (size_t first = 0; first < count; first += SUM_RUN) {
        size_t run = count - first < SUM_RUN ? count - first : SUM_RUN;
        accurate_run_exp(span->logits, first, run, &scratch);
        bool hard = accurate_run_log(given, span, first, run, &scratch);
        if (span->halves)
            sigmoid_load_halves(span, first + SUM_RUN, count);
        if (!hard || constants.has_zero_alpha) {
            vsum soft_sum = sum;
            accurate_run_soft(given, direction, gamma_class, &constants, span, first, run,
                              &scratch, &soft_sum);
            sum = soft_sum;
        } else {
            if (constants.has_alpha)
                accurate_loop_end(true, direction, gamma_class, &constants, arrays, first, run,
                                  &scratch, &sum);
            else
                accurate_loop_end(false, direction, gamma_class, &constants, arrays, first, run,
                                  &scratch, &sum);
        }
        vsum_fold(&sum);
        if (span->halves)
            sigmoid_store_halves(span, first, run);
    }
    span->sum = vsum_total(&sum);
    sigmoid_add_rows(span, direction);
}
