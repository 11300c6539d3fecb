/* Every sigmoid form: loss, gradient, second derivative and target derivative of a run, in double.
 *
 * Contract: the formulas of docs/forms.md, whose letters are used here. Bounds in docs/numerics.md:
 * for hard targets (0 and 1) nothing cancels but in the second derivative, and loss and gradient are
 * within a few ULP; other results are as exact relative to the magnitudes of their terms. A
 * NaN makes its own element NaN, a weight of 0 makes it 0 whatever the logit. Infinite logits give
 * the limits for hard targets. Gradients are finite for finite logits and every gamma >= 0, but for
 * QUALITY with gamma < 1, infinitely steep at p = t. Bound by arithmetic.
 *
 * Everything is computed for |x|, with the target exchanged for its complement where x is
 * negative: then p = sigmoid(|x|) is at least 1/2, and the signs of gradients are restored last.
 *
 * FOCAL, SCALED, CONFIDENCE, QUALITY and VARIFOCAL are a constant times b^gamma C, C the binary
 * cross-entropy and b a base of theirs. With h = b' / b and c = b'' / b - h^2
 *     gradient = b^gamma [C' + gamma h C]
 *     Hessian = b^gamma [C'' + 2 gamma h C' + gamma (c + gamma h^2) C]
 * whose upper form leaves out what is negative: 2 gamma h C' and c, each where below 0. For hard
 * targets of FOCAL these are p_t q^gamma [(1 + 2 gamma) q + gamma (gamma p_t - q) C] and the same
 * without -q; h and c are finite though b' / b is 0 / 0 where b underflows. */

#include "sigmoid_form_base.body.h"

/* What a step computes, for |x| and without weights. */
typedef struct {
    vd loss, gradient, hessian, target_gradient;
} form_result;

/* ---- A modulating factor times the cross-entropy ---- */

/* Poly-1: adds epsilon q^(gamma + 1), without alpha. `power` is q^gamma. */
FOCAL_BODY void form_add_poly(const focal_form_span *span, const form_step *s,
                              const form_base *q, vd power, form_result *r) {
    vd zero = vd_set(0.0), epsilon = vd_set(span->poly_epsilon);
    vd turn = vd_sub(s->x.smaller.high, s->x.larger.high);
    vd first = vd_mul(vd_sub(s->hard.wrong.high, s->hard.right.high), s->x.variance); /* q' */
    vd factor = vd_mul(epsilon, vd_mul(vd_add(s->gamma, vd_set(1.0)), power));
    vd bend = vd_mul(factor, vd_mul(first, turn));
    vd square = vd_mul(factor, vd_mul(s->gamma, vd_mul(first, q->slope)));
    if (span->hessian_mode == KERNEL_HESSIAN_UPPER) {
        bend = vd_max(bend, zero);
        square = vd_max(square, zero);
    }
    r->loss = vd_fma(epsilon, vd_mul(power, q->value.high), r->loss);
    r->gradient = vd_fma(factor, first, r->gradient);
    r->hessian = vd_add(r->hessian, vd_add(bend, square));
    r->target_gradient = vd_fma(vd_mul(factor, q->by_target), s->hard_keep, r->target_gradient);
}

/* b^(gamma - 1); the exponent's rounding error would meet log b. */
FOCAL_BODY vd form_steep(focal_kernel_tier tier, const form_base *b, vd gamma) {
    vd one = vd_set(1.0);
    vd2 exponent = exact_sum(gamma, vd_neg(one));
    if (tier == KERNEL_SLEEF)
        return vd_sleef_pow(b->value.high, exponent.high);
    vd power = exp_f64(pair_product(b->log, exponent));
    vd at_zero = vd_select(vdm_lt(exponent.high, vd_set(0.0)), vd_set(HUGE_VAL), vd_set(0.0));
    power = vd_select(is_zero(b->value.high), at_zero, power);
    return vd_select(is_zero(exponent.high), one, power);
}

/* `weighted` is alpha b^gamma, `cross` C', `entropy` C. */
FOCAL_BODY vd form_modulated_hessian(const focal_form_span *span, const form_logit *x,
                                     const form_base *b, vd weighted, vd gamma, vd cross,
                                     vd entropy) {
    vd zero = vd_set(0.0), slope = vd_mul(gamma, b->slope);
    vd mixed = vd_mul(vd_add(slope, slope), cross);
    /* gamma (b'' / b + (gamma - 1) h^2) */
    vd square = vd_mul(b->slope, b->slope), gamma_less = vd_sub(gamma, vd_set(1.0));
    vd curvature = vd_mul(gamma, vd_fma(gamma_less, square, b->curvature));
    if (span->hessian_mode == KERNEL_HESSIAN_UPPER) {
        mixed = vd_max(mixed, zero);
        curvature = vd_max(vd_sub(b->curvature, square), zero);
        curvature = vd_mul(gamma, vd_fma(slope, b->slope, curvature));
    }
    return vd_mul(weighted, vd_fma(curvature, entropy, vd_add(x->variance, mixed)));
}

/* alpha b^gamma C; alpha may depend on the target, by `alpha_slope`. */
FOCAL_BODY form_result form_modulated(focal_kernel_tier tier, const focal_form_span *span,
                                      const form_step *s, const form_base *b, vd power,
                                      vd gamma, vd alpha, vd alpha_slope) {
    const form_logit *x = &s->x;
    vd zero = vd_set(0.0);
    vd entropy = form_cross_entropy(x, s->cross), finite = form_finite(entropy);
    vd weighted = vd_mul(alpha, power);
    form_result r;
    r.loss = vd_mul(weighted, vd_select(is_zero(alpha), finite, entropy));
    vd cross = form_cross_slope(x, s->cross);
    vd slope = vd_mul(gamma, b->slope);
    r.gradient = vd_mul(weighted, vd_fma(slope, finite, cross));
    r.hessian = zero;
    if (span->hessian)
        r.hessian = form_modulated_hessian(span, x, b, weighted, gamma, cross, finite);
    if (!span->target_gradient) {
        r.target_gradient = zero;
        return r;
    }
    /* By the base: b^(gamma - 1), which b itself is too small to be divided for. Cut, so that a
     * factor of 0 takes it along. */
    vd steep = form_finite(form_steep(tier, b, gamma));
    vd by_base = vd_mul(vd_mul(alpha, vd_mul(gamma, b->by_target)), steep);
    vd by_factor = vd_fma(vd_mul(weighted, gamma), b->log_by_target, by_base);
    by_factor = vd_mul(by_factor, finite);
    vd by_alpha = vd_mul(alpha_slope, vd_mul(power, finite));
    vd by_entropy = form_times(weighted, vd_neg(x->infinite));
    r.target_gradient =
        vd_fma(vd_add(by_factor, by_alpha), s->hard_keep, vd_mul(by_entropy, s->keep));
    return r;
}

/* d alpha_t / d right */
FOCAL_BODY vd form_alpha_slope(const form_step *s) {
    vd slope = vd_sub(s->alpha_positive, s->alpha_negative);
    return vd_select(s->x.positive, slope, vd_neg(slope));
}

FOCAL_BODY vd form_alpha(const form_step *s, form_target t) {
    vdm positive = s->x.positive;
    return vd_fma(
        t.right.high, vd_select(positive, s->alpha_positive, s->alpha_negative),
        vd_mul(t.wrong.high, vd_select(positive, s->alpha_negative, s->alpha_positive)));
}

#include "sigmoid_form_terms.body.h"

/* ---- FL* ---- */

/* alpha_t softplus(-w) / gamma, w = gamma y |x| + beta for the y = 2 right - 1 of |x|. */
FOCAL_BODY form_result form_star(focal_kernel_tier tier, const form_step *s,
                                 const form_piece *piece, size_t i) {
    vd zero = vd_set(0.0), y = vd_load(piece->slope + i);
    form_logit star = form_logit_of(tier, &piece->scaled, i, vd_load(piece->z.high + i));
    vd not_p = vd_select(star.positive, star.smaller.high, star.larger.high);
    vd alpha = form_alpha(s, s->hard);
    vd softplus = vd_add(star.log1p_e.high, vd_select(star.positive, zero, star.infinite));
    vd loss = vd_div(softplus, s->gamma);
    /* The logit may have been cut to 2^1000. */
    vdm endless = vdm_lt(vd_set(0x1p1000), s->x.infinite);
    loss = vd_select(endless, vd_mul(loss, vd_set(0x1p1000)), loss);
    form_result r;
    r.loss = vd_mul(alpha, vd_select(is_zero(alpha), form_finite(loss), loss));
    r.gradient = vd_mul(alpha, vd_neg(vd_mul(y, not_p)));
    vd curvature = vd_mul(s->gamma, vd_mul(vd_mul(y, y), star.variance));
    r.hessian = vd_mul(alpha, curvature);
    vd by_alpha = vd_mul(form_alpha_slope(s), form_finite(loss));
    vd by_target = vd_mul(vd_mul(vd_set(-2.0), alpha), vd_mul(s->x.magnitude, not_p));
    r.target_gradient = vd_fma(by_alpha, s->hard_keep, vd_mul(by_target, s->keep));
    return r;
}

/* ---- Results of a step ---- */

FOCAL_BODY form_result form_focal(focal_kernel_tier tier, focal_kernel_form form,
                                  const focal_form_span *span, const form_step *s,
                                  const form_base *base, vd power) {
    form_result r = form_modulated(tier, span, s, base, power, s->gamma, form_alpha(s, s->hard),
                                   form_alpha_slope(s));
    if (form == KERNEL_FORM_FOCAL && span->poly_epsilon != 0.0)
        form_add_poly(span, s, base, power, &r);
    return r;
}

/* t C for t > 0, alpha p^gamma C for t = 0: FOCAL's base at the target 0, or none. */
FOCAL_BODY form_result form_varifocal(focal_kernel_tier tier, const focal_form_span *span,
                                      const form_step *s, const form_base *base, vd power) {
    vd zero = vd_set(0.0), one = vd_set(1.0);
    vd hard = vd_select(s->x.positive, s->hard.right.high, s->hard.wrong.high);
    vdm negative = is_zero(hard);
    vd gamma = vd_select(negative, s->gamma, zero);
    vd weight_slope = vd_select(s->x.positive, one, vd_neg(one));
    return form_modulated(tier, span, s, base, vd_select(negative, power, one), gamma,
                          vd_select(negative, s->alpha_negative, hard),
                          vd_select(negative, zero, weight_slope));
}

/* ---- The run ---- */

/* 8 lanes x 2 steps: even and odd steps have sums of their own. */
typedef struct {
    vd even, odd;
} form_sum;

/* After weighting: the chosen form of the Hessian, its floor, the scale. */
FOCAL_BODY vd form_guard_hessian(const focal_form_span *span, vd hessian) {
    if (span->hessian_mode == KERNEL_HESSIAN_ABSOLUTE)
        hessian = vd_abs(hessian);
    if (span->hessian_floor > 0.0)
        hessian = vd_max(vd_set(span->hessian_floor), hessian);
    return vd_mul(hessian, vd_set(span->scale));
}

FOCAL_BODY form_result form_of(focal_kernel_tier tier, focal_kernel_form form,
                               const focal_form_span *span, const form_step *s,
                               const form_piece *piece, size_t i) {
    if (form == KERNEL_FORM_SPLIT)
        return form_split(tier, span, s, piece, i);
    if (form == KERNEL_FORM_MATCH)
        return form_match(tier, span, s, piece, i);
    if (form == KERNEL_FORM_STAR)
        return form_star(tier, s, piece, i);
    form_base base = form_base_put(tier, span, piece, i);
    vd power = vd_load(piece->power + i);
    if (form == KERNEL_FORM_VARIFOCAL)
        return form_varifocal(tier, span, s, &base, power);
    return form_focal(tier, form, span, s, &base, power);
}

FOCAL_BODY void form_result_step(focal_kernel_tier tier, focal_kernel_form form,
                                 const focal_form_span *span, const form_piece *piece,
                                 size_t at, size_t i, size_t count, form_sum *sum) {
    vd zero = vd_set(0.0), weight = form_load(span->weight, at, count);
    form_step s = form_step_last(tier, span, piece, at, i, count);
    if (form != KERNEL_FORM_STAR)
        form_step_take_logit(tier, &s, piece, i, form_load(span->logits, at, count));
    form_result r = form_of(tier, form, span, &s, piece, i);
    vdm weightless = is_zero(weight);
    vd loss = vd_select(weightless, zero, vd_mul(weight, r.loss));
    vd updated = vd_add(sum->even, loss);
    sum->even = sum->odd;
    sum->odd = updated;
    if (span->loss)
        form_store(span->loss, at, loss, count);
    vd factor = vd_mul(weight, vd_set(span->scale));
    if (span->target_gradient) {
        vd slope = vd_mul(factor, r.target_gradient);
        slope = vd_select(s.x.positive, slope, vd_neg(slope));
        form_store(span->target_gradient, at, vd_select(weightless, zero, slope), count);
    }
    if (span->hessian) {
        vd hessian = form_guard_hessian(span, vd_mul(weight, r.hessian));
        form_store(span->hessian, at, vd_select(weightless, zero, hessian), count);
    }
    if (span->gradient) {
        vd gradient = vd_mul(factor, r.gradient);
        gradient = vd_select(s.x.positive, gradient, vd_neg(gradient));
        form_store(span->gradient, at, vd_select(weightless, zero, gradient), count);
    }
}

FOCAL_SHARED void form_logits_accurate(const focal_form_span *span, form_piece *piece,
                                       size_t first, size_t count) {
    for (size_t i = 0; i < count; i += 8)
        form_logit_begin(KERNEL_ACCURATE, &piece->way, &piece->x, i,
                         form_load(span->logits, first + i, form_lanes_of(count - i)),
                         vd_set(0.0));
}

FOCAL_SHARED void form_logits_fast(const focal_form_span *span, form_piece *piece, size_t first,
                                   size_t count) {
    for (size_t i = 0; i < count; i += 8)
        form_logit_begin(KERNEL_FAST, &piece->way, &piece->x, i,
                         form_load(span->logits, first + i, form_lanes_of(count - i)),
                         vd_set(0.0));
}

FOCAL_SHARED void form_logits_sleef(const focal_form_span *span, form_piece *piece,
                                    size_t first, size_t count) {
    for (size_t i = 0; i < count; i += 8)
        form_logit_begin(KERNEL_SLEEF, &piece->way, &piece->x, i,
                         form_load(span->logits, first + i, form_lanes_of(count - i)),
                         vd_set(0.0));
}

/* What SCALED and FL* have instead, or beside. */
FOCAL_BODY void form_scaled_logits(focal_kernel_tier tier, focal_kernel_form form,
                                   const focal_form_span *span, form_piece *piece, size_t first,
                                   size_t count) {
    for (size_t i = 0; i < count; i += 8) {
        size_t lanes = form_lanes_of(count - i);
        /* In pairs: 2t - 1 cancels, and |x| multiplies it. */
        form_step s = form_step_first(KERNEL_ACCURATE, span, first + i, lanes);
        form_put_smoothed(span, piece, i, &s);
        vd2 z = form_scaled_logit(form, span, &s, piece, i);
        form_put(tier, &piece->z, i, z);
        form_logit_begin(tier, &piece->way, &piece->scaled, i, z.high, z.low);
    }
    form_logit_end(tier, &piece->way, &piece->scaled, count);
}

FOCAL_BODY void form_bases(focal_kernel_tier tier, focal_kernel_form form,
                           const focal_form_span *given, form_piece *piece, size_t first,
                           size_t count) {
    /* A copy: a store might change the span, for all the compiler knows. */
    const focal_form_span span = *given;
    piece->soft.count = 0;
    for (size_t i = 0; i < count; i += 8)
        form_base_step(tier, form, &span, piece, first + i, i, form_lanes_of(count - i));
}

FOCAL_BODY void form_results(focal_kernel_tier tier, focal_kernel_form form,
                             const focal_form_span *given, const form_piece *piece,
                             size_t first, size_t count, form_sum *total) {
    const focal_form_span span = *given;
    form_sum sum = *total;
    for (size_t i = 0; i < count; i += 8)
        form_result_step(tier, form, &span, piece, first + i, i, form_lanes_of(count - i),
                         &sum);
    *total = sum;
}

typedef void form_base_loop(const focal_form_span *span, form_piece *piece, size_t first,
                            size_t count);
typedef void form_result_loop(const focal_form_span *span, const form_piece *piece,
                              size_t first, size_t count, form_sum *sum);

/* The phases before the results. */
FOCAL_BODY void form_piece_phases(focal_kernel_tier tier, focal_kernel_form form,
                                  const focal_form_span *span, form_piece *piece, size_t first,
                                  size_t count, form_base_loop *bases) {
    if (form != KERNEL_FORM_STAR) {
        if (tier == KERNEL_SLEEF)
            form_logits_sleef(span, piece, first, count);
        else if (tier == KERNEL_FAST)
            form_logits_fast(span, piece, first, count);
        else
            form_logits_accurate(span, piece, first, count);
        form_logit_end(tier, &piece->way, &piece->x, count);
    }
    if (form == KERNEL_FORM_SCALED || form == KERNEL_FORM_STAR)
        form_scaled_logits(tier, form, span, piece, first, count);
    if (form == KERNEL_FORM_SPLIT || form == KERNEL_FORM_MATCH) {
        form_term_powers(tier, form, span, piece, first, count);
    } else if (form_has_base(form)) {
        bases(span, piece, first, count);
        bool no_log = tier == KERNEL_SLEEF ||
                      (form_has_products(tier, span->gamma_uniform) && !span->target_gradient);
        if (form_has_soft_log(form) && !no_log && piece->soft.count)
            form_soft_logs(piece);
        form_powers(tier, span->gamma_uniform, &piece->way, &piece->log, piece->base.high,
                    piece->gamma, piece->power, count);
    }
}

FOCAL_BODY void form_sigmoid_run(focal_kernel_tier tier, focal_kernel_form form,
                                 focal_form_span *span, form_base_loop *bases,
                                 form_result_loop *results) {
    form_piece piece;
    form_sum sum = {vd_set(0.0), vd_set(0.0)};
    for (size_t first = 0; first < span->count; first += FORM_PIECE) {
        size_t left = span->count - first, count = left < FORM_PIECE ? left : FORM_PIECE;
        form_piece_phases(tier, form, span, &piece, first, count, bases);
        results(span, &piece, first, count, &sum);
    }
    span->sum = vd_sum_lanes(vd_add(sum.even, sum.odd));
}

#define FORM_RUN_IN(name, form, tier, constant)                                                \
    FOCAL_SHARED void form_bases_##name##_##tier(                                              \
        const focal_form_span *span, form_piece *piece, size_t first, size_t count) {          \
        if (form_has_base(form))                                                               \
            form_bases(constant, form, span, piece, first, count);                             \
    }                                                                                          \
    FOCAL_SHARED void form_results_##name##_##tier(const focal_form_span *span,                \
                                                   const form_piece *piece, size_t first,      \
                                                   size_t count, form_sum *sum) {              \
        form_results(constant, form, span, piece, first, count, sum);                          \
    }                                                                                          \
    FOCAL_SHARED void form_sigmoid_##name##_##tier(focal_form_span *span) {                    \
        form_sigmoid_run(constant, form, span, form_bases_##name##_##tier,                     \
                         form_results_##name##_##tier);                                        \
    }
#define FORM_RUN_OF(name, form)                                                                \
    FORM_RUN_IN(name, form, accurate, KERNEL_ACCURATE)                                         \
    FORM_RUN_IN(name, form, fast, KERNEL_FAST)                                                 \
    FORM_RUN_IN(name, form, sleef, KERNEL_SLEEF)
#define FORM_SIGMOID_LIST(X)                                                                   \
    X(focal, KERNEL_FORM_FOCAL)                                                                \
    X(split, KERNEL_FORM_SPLIT)                                                                \
    X(scaled, KERNEL_FORM_SCALED)                                                              \
    X(confidence, KERNEL_FORM_CONFIDENCE)                                                      \
    X(quality, KERNEL_FORM_QUALITY)                                                            \
    X(varifocal, KERNEL_FORM_VARIFOCAL)                                                        \
    X(star, KERNEL_FORM_STAR)                                                                  \
    X(match, KERNEL_FORM_MATCH)
FORM_SIGMOID_LIST(FORM_RUN_OF)
#undef FORM_RUN_OF
#undef FORM_RUN_IN

FOCAL_BODY void sigmoid_form(focal_form_span *span, focal_kernel_tier tier) {
    /* p - margin cancels: it wants p in more digits than a double has. */
    bool fast = tier == KERNEL_FAST && span->narrow && !(span->margin > 0.0);
    switch (span->form) {
#define FORM_CASE(name, form)                                                                  \
    case form:                                                                                 \
        if (tier == KERNEL_SLEEF)                                                              \
            form_sigmoid_##name##_sleef(span);                                                 \
        else if (fast)                                                                         \
            form_sigmoid_##name##_fast(span);                                                  \
        else                                                                                   \
            form_sigmoid_##name##_accurate(span);                                              \
        break;
        FORM_SIGMOID_LIST(FORM_CASE)
#undef FORM_CASE
    }
}
#undef FORM_SIGMOID_LIST
