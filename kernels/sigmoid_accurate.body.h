/* Sigmoid focal loss and its gradient in double precision, rounded once to float at the end.
 *
 * Contract: the formulas of sigmoid.body.h, within 0.51 ULP for targets 0 and 1. 0/1 targets become
 * the numbers 0 and 1, so both kinds share every operation. q^gamma of any gamma is
 * exp(gamma log q): in double neither needs the low parts that float does. An infinite |x| is cut to
 * 2^1000, whose multiple overflows to infinity in the final rounding, while alpha_t = 0 makes it 0.
 * Traffic as there; bound by arithmetic, about twice the fast tier's. */

typedef struct {
    double e[SUM_RUN]; /* exp(-|x|) */
    double smaller[SUM_RUN];
} accurate_scratch;

typedef struct {
    vd alpha_positive, alpha_negative, gamma, upstream;
    uint32_t half_steps;
} accurate_constants;

FOCAL_BODY vd accurate_magnitude(vd x) {
    return vd_max(x, vd_sub(vd_set(0.0), x));
}

FOCAL_BODY void accurate_exp(vd x, double *e_out, double *smaller_out) {
    vd e = exp_negative_f64(KERNEL_ACCURATE, vd_sub(vd_set(0.0), accurate_magnitude(x)));
    vd_store(e_out, e);
    vd_store(smaller_out, vd_div(e, vd_add(vd_set(1.0), e)));
}

/* Loss and gradient of eight elements. */
FOCAL_BODY void accurate_lanes(focal_kernel_direction direction, focal_gamma_class gamma_class,
                               const accurate_constants *constants, vd x, vd t, vd e,
                               vd smaller, vd *loss, vd *gradient) {
    vd one = vd_set(1.0), zero = vd_set(0.0);
    vd magnitude = accurate_magnitude(x);
    vdm positive = vdm_lt(zero, x);
    vd larger = vd_sub(one, smaller);
    vd log1p_e = log1p_unit_f64(KERNEL_ACCURATE, e, smaller);
    vd other = vd_sub(one, t);
    vd wrong = vd_select(positive, other, t);
    vd right = vd_select(positive, t, other);
    vd alpha = vd_fma(t, constants->alpha_positive, vd_mul(other, constants->alpha_negative));
    vd q = vd_fma(wrong, larger, vd_mul(right, smaller));
    vd power = one;
    if (gamma_class == KERNEL_G1)
        power = q;
    else if (gamma_class == KERNEL_G2)
        power = vd_mul(q, q);
    else if (gamma_class == KERNEL_GH)
        power = power_half_steps_f64(q, constants->half_steps);
    else if (gamma_class == KERNEL_GX)
        power = power_f64(KERNEL_ACCURATE, q, constants->gamma);

    if (direction != KERNEL_GRADIENT) {
        vd bce = vd_fma(wrong, vd_min(vd_set(0x1p1000), magnitude), log1p_e);
        *loss = vd_mul(alpha, vd_mul(power, bce));
    }
    if (direction == KERNEL_LOSS)
        return;
    vd slope = vd_sub(wrong, smaller);
    if (gamma_class != KERNEL_G0) {
        /* exp is cut at -700: beyond, `smaller` stays at 2^-1010 and must meet nothing large. */
        vd bce = vd_fma(wrong, vd_min(vd_set(1000.0), magnitude), log1p_e);
        vd gamma = vd_mul(constants->gamma, vd_sub(wrong, right));
        vd ratio = vd_div(vd_mul(smaller, larger), q);
        slope = vd_mul(power, vd_fma(gamma, vd_mul(ratio, bce), slope));
    }
    slope = vd_mul(alpha, vd_mul(slope, constants->upstream));
    *gradient = vd_select(positive, slope, vd_sub(zero, slope));
}

FOCAL_BODY vf accurate_load_target(focal_kernel_target kind, const focal_span *span,
                                   sigmoid_place at) {
    bool whole = at.count == FOCAL_STEP;
    if (kind == KERNEL_BINARY) {
        const uint8_t *from = (const uint8_t *)span->targets + at.element;
        vm ones = whole ? vm_load_u8(from) : vm_load_u8_n(from, at.count);
        return vf_select(ones, vf_set(1.0F), vf_set(0.0F));
    }
    const float *from = (const float *)span->targets + at.element;
    return whole ? vf_load(from) : vf_load_n(from, at.count);
}

FOCAL_SHARED void accurate_run_exp(const focal_span *span, size_t first, size_t run,
                                   accurate_scratch *scratch) {
    for (size_t i = 0; i < run; i += FOCAL_STEP) {
        vf x = sigmoid_load(span->logits, sigmoid_place_at(first, i, run));
        accurate_exp(vd_widen_low(x), scratch->e + i, scratch->smaller + i);
        accurate_exp(vd_widen_high(x), scratch->e + i + 8, scratch->smaller + i + 8);
    }
}

FOCAL_BODY void accurate_step(focal_kernel_target kind, focal_kernel_direction direction,
                              focal_gamma_class gamma_class,
                              const accurate_constants *constants, const focal_span *span,
                              sigmoid_place at, const accurate_scratch *scratch, vsum *sum) {
    vf x = sigmoid_load(span->logits, at);
    vf t = accurate_load_target(kind, span, at);
    const double *e = scratch->e + at.slot, *smaller = scratch->smaller + at.slot;
    vd loss_low = vd_set(0.0), loss_high = vd_set(0.0);
    vd gradient_low = vd_set(0.0), gradient_high = vd_set(0.0);
    accurate_lanes(direction, gamma_class, constants, vd_widen_low(x), vd_widen_low(t),
                   vd_load(e), vd_load(smaller), &loss_low, &gradient_low);
    accurate_lanes(direction, gamma_class, constants, vd_widen_high(x), vd_widen_high(t),
                   vd_load(e + 8), vd_load(smaller + 8), &loss_high, &gradient_high);
    sigmoid_result result = {vf_narrow(loss_low, loss_high),
                             vf_narrow(gradient_low, gradient_high)};
    sigmoid_arrays arrays = {span->logits, span->loss, span->gradient};
    sigmoid_store(direction, arrays, at, result, sum);
}

/* The branches on what is wanted cost little beside a step's 200 instructions, so one copy serves
 * all kernels. */
FOCAL_SHARED void accurate_run(focal_kernel_target kind, focal_kernel_direction direction,
                               focal_gamma_class gamma_class,
                               const accurate_constants *constants, const focal_span *span,
                               size_t first, size_t run, const accurate_scratch *scratch,
                               vsum *sum) {
    for (size_t i = 0; i < run; i += FOCAL_STEP)
        accurate_step(kind, direction, gamma_class, constants, span,
                      sigmoid_place_at(first, i, run), scratch, sum);
}

FOCAL_BODY void sigmoid_accurate_block(focal_span *span, focal_kernel_tier tier,
                                       focal_kernel_target kind,
                                       focal_kernel_direction direction,
                                       focal_gamma_class gamma_class, size_t unroll) {
    (void)tier;
    (void)unroll;
    accurate_constants constants = {
        .alpha_positive = vd_set(span->alpha_positive),
        .alpha_negative = vd_set(span->alpha_negative),
        .gamma = vd_set(span->gamma),
        .upstream = vd_set((double)span->upstream),
        .half_steps = span->half_steps,
    };
    size_t count = span->rows * span->classes;
    accurate_scratch scratch;
    vsum sum = vsum_zero();
    for (size_t first = 0; first < count; first += SUM_RUN) {
        size_t run = count - first < SUM_RUN ? count - first : SUM_RUN;
        accurate_run_exp(span, first, run, &scratch);
        accurate_run(kind, direction, gamma_class, &constants, span, first, run, &scratch,
                     &sum);
        vsum_fold(&sum);
    }
    span->sum = vsum_total(&sum);
    sigmoid_add_rows(span, direction);
}
