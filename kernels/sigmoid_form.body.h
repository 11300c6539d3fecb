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

/* A logit. */
typedef struct {
    vd magnitude; /* |x|, cut to 2^1000 where a product with it may be infinity minus infinity */
    vd infinite;  /* |x| */
    vdm positive; /* x > 0 */
    vd2 e;        /* exp(-|x|) */
    vd2 larger;   /* p = sigmoid(|x|) */
    vd2 smaller;  /* 1 - p */
    vd2 log1p_e;  /* -log p */
    vd variance;  /* p (1-p), the derivative of p */
    vd turn;      /* 1 - 2p without cancellation, for target gradients */

} form_logit;

/* A target for |x|, right = t or 1 - t, wrong = 1 - right, of which a rounding error would be
 * multiplied by gamma, or by the logit. */
typedef struct {
    vd2 right, wrong;
} form_target;

/* The base of a modulating factor. */
typedef struct {
    vd value;
    vd2 log;
    vd slope;         /* h = b' / b */
    vd curvature;     /* b'' / b */
    vd by_target;     /* d b / d right, or 0 for a base that has instead */
    vd log_by_target; /* d log b / d right */
} form_base;

/* What a step computes, for |x| and without weights. */
typedef struct {
    vd loss, gradient, hessian, target_gradient;
} form_result;

/* What all forms read of a step. */
typedef struct {
    form_logit x;
    form_target hard, cross; /* that modulating factors see, and that the cross-entropy sees */
    vd alpha_positive, alpha_negative, gamma, gamma_negative;
    vd target; /* as given */
    vd keep;   /* 1 - smoothing, d cross / d target */
    vd hard_keep;
} form_step;

/* ---- Logits and targets ---- */

FOCAL_BODY form_logit form_logit_of(focal_kernel_tier tier, vd x, vd low) {
    form_logit l;
    l.positive = vdm_lt(vd_set(0.0), x);
    l.infinite = vd_abs(x);
    l.magnitude = vd_min(vd_set(0x1p1000), l.infinite);
    vd2 exponent = {vd_neg(l.magnitude), vd_select(l.positive, vd_neg(low), low)};
    l.e = exp_pair_f64(tier, exponent);
    vd2 sum = exact_sum_ordered(vd_set(1.0), l.e.high);
    sum.low = vd_add(sum.low, l.e.low);
    l.larger = pair_reciprocal(sum);
    l.smaller = pair_product(l.e, l.larger);
    l.log1p_e = log1p_pair_f64(tier, l.e, l.smaller);
    l.variance = vd_mul(l.larger.high, l.smaller.high);
    l.turn = vd_set(0.0);

    return l;
}

/* t (1-s) + s/2 and its complement; products with 1 are exact, so the short way has the same bits. */
FOCAL_BODY form_target form_target_of(vdm positive, vd t, double smoothing) {
    vd one = vd_set(1.0), zero = vd_set(0.0);
    vd2 of_one = {t, zero}, of_zero = exact_sum(one, vd_neg(t));
    if (smoothing != 0.0) {
        vd2 keep = exact_sum_ordered(one, vd_set(-smoothing));
        vd2 half = {vd_set(0.5 * smoothing), zero};
        of_one = pair_sum(pair_product(of_one, keep), half);
        of_zero = pair_sum(pair_product(of_zero, keep), half);
    }
    return (form_target){pair_select(positive, of_one, of_zero),
                         pair_select(positive, of_zero, of_one)};
}

/* -log(1 - p) as a pair; that of p is log1p_e. */
FOCAL_BODY vd2 form_softplus(const form_logit *l) {
    return pair_sum((vd2){l->magnitude, vd_set(0.0)}, l->log1p_e);
}

/* A factor 0 takes an infinity along. */
FOCAL_BODY vd form_times(vd factor, vd other) {
    return vd_select(is_zero(factor), vd_set(0.0), vd_mul(factor, other));
}

/* softplus(|x|) - right |x| */
FOCAL_BODY vd form_cross_entropy(const form_logit *l, form_target t) {
    return vd_add(form_times(t.wrong.high, l->infinite), l->log1p_e.high);
}

FOCAL_BODY vd form_finite(vd a) {
    return vd_min(vd_set(0x1p1000), a);
}

/* `soft` for targets between 0 and 1, else what holds at wrong = 0 or at right = 0. */
FOCAL_BODY vd form_by_hardness(form_target t, vd soft, vd right, vd wrong) {
    vd result = vd_select(is_zero(t.right.high), wrong, soft);
    return vd_select(is_zero(t.wrong.high), right, result);
}

/* log b for a base that is 1 - p or p where the target is hard. Steps without a soft target, the common
 * ones, are spared the logarithm; the bits are the same. */
FOCAL_BODY vd2 form_log(focal_kernel_tier tier, const form_step *s, vd2 base) {
    vd2 log = pair_negative(s->x.log1p_e);
    vd soft = vd_abs(vd_mul(s->hard.right.high, s->hard.wrong.high));
    if (vdm_any(vdm_lt(vd_set(0.0), soft)))
        log = log_pair_f64(tier, base);
    log = pair_select(is_zero(s->hard.right.high), pair_negative(s->x.log1p_e), log);
    return pair_select(is_zero(s->hard.wrong.high), pair_negative(form_softplus(&s->x)), log);
}

/* ---- Bases ---- */

/* q = 1 - p_t, linear in p: q' = (wrong - right) p (1-p). */
FOCAL_BODY form_base form_base_focal(focal_kernel_tier tier, const form_step *s) {
    const form_logit *x = &s->x;
    form_target t = s->hard;
    vd2 q = pair_sum(pair_product(x->larger, t.wrong), pair_product(x->smaller, t.right));
    vd turn = vd_sub(x->smaller.high, x->larger.high); /* 1 - 2p */
    vd slope = vd_mul(vd_sub(t.wrong.high, t.right.high), vd_div(x->variance, q.high));
    slope = form_by_hardness(t, slope, vd_neg(x->larger.high), x->smaller.high);
    return (form_base){q.high,    form_log(tier, s, q), slope, vd_mul(slope, turn),
                       s->x.turn, vd_set(0.0)};
}

/* 2 right - 1 */
FOCAL_BODY vd2 form_sign(form_target t) {
    return pair_sum(t.right, pair_negative(t.wrong));
}

/* sigmoid(-(2 right - 1)|x|): b' = -(2 right - 1) b (1 - b). */
FOCAL_BODY form_base form_base_scaled(focal_kernel_tier tier, const form_step *s) {
    vd2 exact_y = form_sign(s->hard), z = pair_scale(exact_y, s->x.magnitude);
    vd y = exact_y.high;
    form_logit scaled = form_logit_of(tier, z.high, z.low);
    vd2 base = pair_select(scaled.positive, scaled.smaller, scaled.larger);
    vd p = vd_select(scaled.positive, scaled.larger.high, scaled.smaller.high);
    vd2 zero = {vd_set(0.0), vd_set(0.0)};
    vd2 log = pair_negative(pair_sum(pair_select(scaled.positive, z, zero), scaled.log1p_e));
    return (form_base){base.high,
                       log,
                       vd_neg(vd_mul(y, p)),
                       vd_mul(vd_mul(y, y), vd_mul(p, vd_sub(p, base.high))),
                       vd_set(0.0),
                       vd_mul(vd_set(-2.0), vd_mul(s->x.magnitude, p))};
}

/* C' = p - right. */
FOCAL_BODY vd form_cross_slope(const form_logit *x, form_target t) {
    return vd_sub(vd_mul(t.wrong.high, x->larger.high), vd_mul(t.right.high, x->smaller.high));
}

/* 1 - exp(-C) = (e - expm1(-wrong |x|)) p, b' = exp(-C) C', b'' = exp(-C) (C'' - C'^2). */
FOCAL_BODY form_base form_base_confidence(focal_kernel_tier tier, const form_step *s) {
    const form_logit *x = &s->x;
    vd2 exponent = pair_negative(pair_scale(s->hard.wrong, x->magnitude));
    vd2 away = expm1_pair_f64(tier, exponent);
    vd2 base = pair_product(pair_sum(x->e, pair_negative(away)), x->larger);
    vd rest = vd_mul(exp_pair_f64(tier, exponent).high, x->larger.high);
    vd cross = form_cross_slope(x, s->hard), one = vd_set(1.0);
    vd ratio = form_by_hardness(s->hard, vd_div(cross, base.high), vd_neg(one), one);
    vd bend = form_by_hardness(s->hard, vd_div(x->variance, base.high), x->larger.high,
                               x->smaller.high);
    vd slope = vd_mul(rest, ratio);
    vd curvature = vd_mul(rest, vd_sub(bend, vd_mul(ratio, cross)));
    return (form_base){base.high,
                       form_log(tier, s, base),
                       slope,
                       curvature,
                       vd_neg(vd_mul(rest, x->magnitude)),
                       vd_set(0.0)};
}

/* |p - t|; where it is 0 its derivatives are taken as 0. */
FOCAL_BODY form_base form_base_quality(focal_kernel_tier tier, const form_step *s) {
    const form_logit *x = &s->x;
    vd zero = vd_set(0.0), one = vd_set(1.0);
    vd2 distance = pair_sum(s->hard.wrong, pair_negative(x->smaller));
    vdm negative = vdm_lt(distance.high, zero);
    vd2 base = pair_select(negative, pair_negative(distance), distance);
    vd sign = vd_select(negative, vd_neg(one), vd_select(is_zero(base.high), zero, one));
    vd slope = vd_div(vd_mul(sign, x->variance), base.high);
    slope = vd_select(is_zero(base.high), zero, slope);
    slope = form_by_hardness(s->hard, slope, vd_neg(x->larger.high), x->smaller.high);
    vd turn = vd_sub(x->smaller.high, x->larger.high);
    return (form_base){
        base.high, form_log(tier, s, base), slope, vd_mul(slope, turn), vd_neg(sign), zero};
}

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
    r->loss = vd_fma(epsilon, vd_mul(power, q->value), r->loss);
    r->gradient = vd_fma(factor, first, r->gradient);
    r->hessian = vd_add(r->hessian, vd_add(bend, square));
    r->target_gradient = vd_fma(vd_mul(factor, s->x.turn), s->hard_keep, r->target_gradient);
}

/* b^(gamma - 1); the exponent's rounding error would meet log b. */
FOCAL_BODY vd form_steep(focal_kernel_tier tier, const form_base *b, vd gamma) {
    vd one = vd_set(1.0);
    vd2 exponent = exact_sum(gamma, vd_neg(one));
    if (tier == KERNEL_SLEEF)
        return vd_sleef_pow(b->value, exponent.high);
    vd power = exp_f64(pair_product(b->log, exponent));
    vd at_zero = vd_select(vdm_lt(exponent.high, vd_set(0.0)), vd_set(HUGE_VAL), vd_set(0.0));
    power = vd_select(is_zero(b->value), at_zero, power);
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

FOCAL_BODY form_base form_base_of(focal_kernel_tier tier, focal_kernel_form form,
                                  const form_step *s) {
    if (form == KERNEL_FORM_SCALED)
        return form_base_scaled(tier, s);
    if (form == KERNEL_FORM_CONFIDENCE)
        return form_base_confidence(tier, s);
    if (form == KERNEL_FORM_QUALITY)
        return form_base_quality(tier, s);
    return form_base_focal(tier, s);
}

FOCAL_BODY form_result form_focal(focal_kernel_tier tier, focal_kernel_form form,
                                  const focal_form_span *span, const form_step *s) {
    form_base base = form_base_of(tier, form, s);
    vd power = power_pair_f64(tier, base.value, base.log, s->gamma);
    form_result r = form_modulated(tier, span, s, &base, power, s->gamma,
                                   form_alpha(s, s->hard), form_alpha_slope(s));
    if (form == KERNEL_FORM_FOCAL && span->poly_epsilon != 0.0)
        form_add_poly(span, s, &base, power, &r);
    return r;
}

/* t C for t > 0, alpha p^gamma C for t = 0: FOCAL's base at the target 0, or none. */
FOCAL_BODY form_result form_varifocal(focal_kernel_tier tier, const focal_form_span *span,
                                      form_step *s) {
    vd zero = vd_set(0.0), one = vd_set(1.0);
    vd hard = vd_select(s->x.positive, s->hard.right.high, s->hard.wrong.high);
    vdm negative = is_zero(hard);
    s->hard = form_target_of(s->x.positive, zero, 0.0);
    form_base base = form_base_focal(tier, s);
    base.by_target = zero; /* p^gamma, whatever the target */
    vd power = power_pair_f64(tier, base.value, base.log, s->gamma);
    vd gamma = vd_select(negative, s->gamma, zero);
    vd weight_slope = vd_select(s->x.positive, one, vd_neg(one));
    return form_modulated(tier, span, s, &base, vd_select(negative, power, one), gamma,
                          vd_select(negative, s->alpha_negative, hard),
                          vd_select(negative, zero, weight_slope));
}

/* ---- Two terms, each with its own factor ---- */

/* A term base^gamma C: its value and derivatives by |x|. */
typedef struct {
    vd value, first, second;
} form_term;

/* (1-u)^gamma (-log u), where u = p falls to the wrong side (sign 1) or 1 - p to the right (-1):
 * base = 1 - u and entropy = -log u as given. */
FOCAL_BODY form_term form_plain_term(const focal_form_span *span, const form_logit *x, vd power,
                                     vd base, vd u, vd entropy, vd gamma, double sign) {
    vd finite = form_finite(entropy);
    vd turn = vd_fma(gamma, u, vd_neg(base));
    if (span->hessian_mode == KERNEL_HESSIAN_UPPER)
        turn = vd_mul(gamma, u);
    vd first = vd_fma(vd_mul(gamma, u), finite, base);
    vd second = vd_fma(vd_mul(gamma, turn), vd_mul(u, finite),
                       vd_mul(vd_fma(vd_set(2.0), gamma, vd_set(1.0)), x->variance));
    return (form_term){vd_mul(power, entropy), vd_mul(vd_set(sign), vd_mul(power, first)),
                       vd_mul(power, second)};
}

/* Of the target's side: (1-p)^gamma (-log p). */
FOCAL_BODY form_term form_right_term(focal_kernel_tier tier, const focal_form_span *span,
                                     const form_logit *x, vd gamma) {
    vd power = power_pair_f64(tier, x->smaller.high, pair_negative(form_softplus(x)), gamma);
    return form_plain_term(span, x, power, x->smaller.high, x->larger.high, x->log1p_e.high,
                           gamma, -1.0);
}

/* Of the other side: p^gamma (-log(1-p)). */
FOCAL_BODY form_term form_wrong_term(focal_kernel_tier tier, const focal_form_span *span,
                                     const form_logit *x, vd gamma) {
    vd power = power_pair_f64(tier, x->larger.high, pair_negative(x->log1p_e), gamma);
    return form_plain_term(span, x, power, x->larger.high, x->smaller.high,
                           vd_add(x->infinite, x->log1p_e.high), gamma, 1.0);
}

/* The negative term with a margin, P^gamma (-log(1-P)), P = max(sigmoid(x) - margin, 0), by |x|. */
FOCAL_BODY form_term form_margin_term(focal_kernel_tier tier, const focal_form_span *span,
                                      const form_logit *x, vd gamma) {
    vd zero = vd_set(0.0), one = vd_set(1.0), margin = vd_set(span->margin);
    vd2 p = pair_select(x->positive, x->larger, x->smaller);
    vd2 shifted = exact_sum(p.high, vd_neg(margin));
    shifted = exact_sum_ordered(shifted.high, vd_add(shifted.low, p.low));
    vdm below = vdm_lt(shifted.high, vd_set(0x1p-1022));
    vd2 rest = exact_sum_ordered(one, vd_neg(shifted.high));
    rest.low = vd_sub(rest.low, shifted.low);
    vd entropy = tier == KERNEL_SLEEF ? vd_neg(vd_sleef_log1p(vd_neg(shifted.high)))
                                      : vd_neg(log_pair_f64(tier, rest).high);
    vd power = power_pair_f64(tier, shifted.high, log_pair_f64(tier, shifted), gamma);
    /* By P: P^gamma [gamma C / P + 1 / (1-P)], and once more. */
    vd ratio = vd_div(entropy, shifted.high), steep = vd_div(one, rest.high);
    vd first = vd_fma(gamma, ratio, steep);
    vd high_order = vd_mul(gamma, vd_sub(gamma, one));
    vd bend = vd_mul(x->variance, vd_sub(x->smaller.high, x->larger.high));
    bend = vd_select(x->positive, bend, vd_neg(bend));
    if (span->hessian_mode == KERNEL_HESSIAN_UPPER) {
        high_order = vd_max(high_order, zero);
        bend = vd_max(bend, zero);
    }
    vd second =
        vd_div(vd_fma(high_order, ratio, vd_mul(vd_add(gamma, gamma), steep)), shifted.high);
    second = vd_fma(steep, steep, second);
    vd variance = x->variance;
    second = vd_fma(vd_mul(variance, variance), second, vd_mul(bend, first));
    first = vd_mul(variance, first);
    first = vd_select(x->positive, first, vd_neg(first));
    return (form_term){vd_select(below, zero, vd_mul(power, entropy)),
                       vd_select(below, zero, vd_mul(power, first)),
                       vd_select(below, zero, vd_mul(power, second))};
}

typedef struct {
    form_term positive, negative;
} form_terms;

FOCAL_BODY form_term form_term_select(vdm m, form_term a, form_term b) {
    return (form_term){vd_select(m, a.value, b.value), vd_select(m, a.first, b.first),
                       vd_select(m, a.second, b.second)};
}

FOCAL_BODY form_terms form_both_terms(focal_kernel_tier tier, const focal_form_span *span,
                                      const form_step *s) {
    vdm positive = s->x.positive;
    vd right_gamma = vd_select(positive, s->gamma, s->gamma_negative);
    vd wrong_gamma = vd_select(positive, s->gamma_negative, s->gamma);
    form_term right = form_right_term(tier, span, &s->x, right_gamma);
    form_term wrong = form_wrong_term(tier, span, &s->x, wrong_gamma);
    form_terms both = {form_term_select(positive, right, wrong),
                       form_term_select(positive, wrong, right)};
    if (span->margin > 0.0)
        both.negative = form_margin_term(tier, span, &s->x, s->gamma_negative);
    return both;
}

FOCAL_BODY form_result form_split(focal_kernel_tier tier, const focal_form_span *span,
                                  const form_step *s) {
    form_terms terms = form_both_terms(tier, span, s);
    vdm is_positive = s->x.positive;
    vd t = vd_select(is_positive, s->cross.right.high, s->cross.wrong.high);
    vd not_t = vd_select(is_positive, s->cross.wrong.high, s->cross.right.high);
    vd positive = vd_mul(s->alpha_positive, t), negative = vd_mul(s->alpha_negative, not_t);
    form_result r;
    r.loss = vd_add(form_times(positive, terms.positive.value),
                    form_times(negative, terms.negative.value));
    r.gradient = vd_fma(positive, terms.positive.first, vd_mul(negative, terms.negative.first));
    r.hessian =
        vd_fma(positive, terms.positive.second, vd_mul(negative, terms.negative.second));
    vd slope = vd_sub(form_times(s->alpha_positive, terms.positive.value),
                      form_times(s->alpha_negative, terms.negative.value));
    slope = vd_mul(s->keep, slope);
    r.target_gradient = vd_select(is_positive, slope, vd_neg(slope));
    return r;
}

/* A cost: no derivatives. */
FOCAL_BODY form_result form_match(focal_kernel_tier tier, const focal_form_span *span,
                                  const form_step *s) {
    form_terms terms = form_both_terms(tier, span, s);
    vd cost = vd_sub(form_times(s->alpha_positive, terms.positive.value),
                     form_times(s->alpha_negative, terms.negative.value));
    vd zero = vd_set(0.0);
    return (form_result){cost, zero, zero, zero};
}

/* ---- FL* ---- */

/* alpha_t softplus(-w) / gamma, w = gamma y |x| + beta for the y = 2 right - 1 of |x|. */
FOCAL_BODY form_result form_star(focal_kernel_tier tier, const focal_form_span *span,
                                 const form_step *s) {
    vd2 sign = form_sign(s->cross),
        scaled = pair_scale(pair_scale(sign, s->gamma), s->x.magnitude);
    vd zero = vd_set(0.0), y = sign.high;
    vd2 w = pair_sum(scaled, (vd2){vd_set(span->star_beta), zero});
    form_logit star = form_logit_of(tier, w.high, w.low);
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

/* ---- The run ---- */

/* 8 lanes x 2 steps: even and odd steps have sums of their own. */
typedef struct {
    vd even, odd;
} form_sum;

FOCAL_BODY void form_store(double *to, size_t at, vd values, size_t count) {
    if (count == 8)
        vd_store(to + at, values);
    else
        vd_store_n(to + at, values, count);
}

FOCAL_BODY vd form_load(const double *from, size_t at, size_t count) {
    return count == 8 ? vd_load(from + at) : vd_load_n(from + at, count);
}

/* After weighting: the chosen form of the Hessian, its floor, the scale. */
FOCAL_BODY vd form_guard_hessian(const focal_form_span *span, vd hessian) {
    if (span->hessian_mode == KERNEL_HESSIAN_ABSOLUTE)
        hessian = vd_abs(hessian);
    if (span->hessian_floor > 0.0)
        hessian = vd_max(vd_set(span->hessian_floor), hessian);
    return vd_mul(hessian, vd_set(span->scale));
}

FOCAL_BODY form_result form_of(focal_kernel_tier tier, focal_kernel_form form,
                               const focal_form_span *span, form_step *s) {
    if (form == KERNEL_FORM_SPLIT)
        return form_split(tier, span, s);
    if (form == KERNEL_FORM_MATCH)
        return form_match(tier, span, s);
    if (form == KERNEL_FORM_STAR)
        return form_star(tier, span, s);
    if (form == KERNEL_FORM_VARIFOCAL)
        return form_varifocal(tier, span, s);
    return form_focal(tier, form, span, s);
}

FOCAL_BODY form_step form_step_of(focal_kernel_tier tier, const focal_form_span *span, size_t i,
                                  size_t count) {
    form_step s;
    vd x = form_load(span->logits, i, count);
    s.x = form_logit_of(tier, x, vd_set(0.0));
    if (span->target_gradient) {
        vd2 exponent = {vd_neg(s.x.magnitude), vd_set(0.0)};
        s.x.turn = vd_mul(expm1_pair_f64(tier, exponent).high, s.x.larger.high);
    }

    s.target = form_load(span->targets, i, count);

    double hard_smoothing = span->smooth_cross_entropy ? 0.0 : span->smoothing;
    s.hard = form_target_of(s.x.positive, s.target, hard_smoothing);
    s.cross = form_target_of(s.x.positive, s.target, span->smoothing);
    s.hard_keep = vd_set(1.0 - hard_smoothing);
    s.keep = vd_set(1.0 - span->smoothing);
    s.alpha_positive = form_load(span->alpha_positive, i, count);
    s.alpha_negative = form_load(span->alpha_negative, i, count);
    s.gamma = form_load(span->gamma_positive, i, count);
    s.gamma_negative = form_load(span->gamma_negative, i, count);
    return s;
}

FOCAL_BODY void form_sigmoid_step(focal_kernel_tier tier, focal_kernel_form form,
                                  const focal_form_span *span, size_t i, size_t count,
                                  form_sum *sum) {
    vd zero = vd_set(0.0), weight = form_load(span->weight, i, count);
    form_step s = form_step_of(tier, span, i, count);
    form_result r = form_of(tier, form, span, &s);
    vdm weightless = is_zero(weight);
    vd loss = vd_select(weightless, zero, vd_mul(weight, r.loss));
    vd updated = vd_add(sum->even, loss);
    sum->even = sum->odd;
    sum->odd = updated;
    if (span->loss)
        form_store(span->loss, i, loss, count);
    vd factor = vd_mul(weight, vd_set(span->scale));
    if (span->target_gradient) {
        vd slope = vd_mul(factor, r.target_gradient);
        slope = vd_select(s.x.positive, slope, vd_neg(slope));
        form_store(span->target_gradient, i, vd_select(weightless, zero, slope), count);
    }
    if (span->hessian) {
        vd hessian = form_guard_hessian(span, vd_mul(weight, r.hessian));
        form_store(span->hessian, i, vd_select(weightless, zero, hessian), count);
    }
    if (span->gradient) {
        vd gradient = vd_mul(factor, r.gradient);
        gradient = vd_select(s.x.positive, gradient, vd_neg(gradient));
        form_store(span->gradient, i, vd_select(weightless, zero, gradient), count);
    }
}

FOCAL_BODY void form_sigmoid_run(focal_kernel_tier tier, focal_kernel_form form,
                                 focal_form_span *span) {
    form_sum sum = {vd_set(0.0), vd_set(0.0)};
    size_t i = 0;
    for (; i + 8 <= span->count; i += 8)
        form_sigmoid_step(tier, form, span, i, 8, &sum);
    /* Lanes beyond the run have weight 0. */
    if (i < span->count)
        form_sigmoid_step(tier, form, span, i, span->count - i, &sum);
    span->sum = vd_sum_lanes(vd_add(sum.even, sum.odd));
}

#define FORM_RUN_OF(name, form)                                                                \
    FOCAL_SHARED void form_sigmoid_##name##_accurate(focal_form_span *span) {                  \
        form_sigmoid_run(KERNEL_ACCURATE, form, span);                                         \
    }                                                                                          \
    FOCAL_SHARED void form_sigmoid_##name##_sleef(focal_form_span *span) {                     \
        form_sigmoid_run(KERNEL_SLEEF, form, span);                                            \
    }
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

FOCAL_BODY void sigmoid_form(focal_form_span *span, focal_kernel_tier tier) {
    switch (span->form) {
#define FORM_CASE(name, form)                                                                  \
    case form:                                                                                 \
        (tier == KERNEL_SLEEF ? form_sigmoid_##name##_sleef                                    \
                              : form_sigmoid_##name##_accurate)(span);                         \
        break;
        FORM_SIGMOID_LIST(FORM_CASE)
#undef FORM_CASE
    }
}
#undef FORM_SIGMOID_LIST
