/* Forms that are sums of two terms, each with a modulating factor of its own: SPLIT, also with a
 * margin, and MATCH. In sigmoid_form.body.h's notation. */

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
FOCAL_BODY form_term form_right_term(const focal_form_span *span, const form_logit *x, vd power,
                                     vd gamma) {
    return form_plain_term(span, x, power, x->smaller.high, x->larger.high, x->log1p_e.high,
                           gamma, -1.0);
}

/* Of the other side: p^gamma (-log(1-p)). */
FOCAL_BODY form_term form_wrong_term(const focal_form_span *span, const form_logit *x, vd power,
                                     vd gamma) {
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
                                      const form_step *s, const form_piece *piece, size_t i) {
    vdm positive = s->x.positive;
    vd right_gamma = vd_select(positive, s->gamma, s->gamma_negative);
    vd wrong_gamma = vd_select(positive, s->gamma_negative, s->gamma);
    form_term right = form_right_term(span, &s->x, vd_load(piece->power + i), right_gamma);
    form_term wrong =
        form_wrong_term(span, &s->x, vd_load(piece->wrong_power + i), wrong_gamma);
    form_terms both = {form_term_select(positive, right, wrong),
                       form_term_select(positive, wrong, right)};
    if (span->margin > 0.0)
        both.negative = form_margin_term(tier, span, &s->x, s->gamma_negative);
    return both;
}

FOCAL_BODY form_result form_split(focal_kernel_tier tier, const focal_form_span *span,
                                  const form_step *s, const form_piece *piece, size_t i) {
    form_terms terms = form_both_terms(tier, span, s, piece, i);
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
                                  const form_step *s, const form_piece *piece, size_t i) {
    form_terms terms = form_both_terms(tier, span, s, piece, i);
    vd cost = vd_sub(form_times(s->alpha_positive, terms.positive.value),
                     form_times(s->alpha_negative, terms.negative.value));
    vd zero = vd_set(0.0);
    return (form_result){cost, zero, zero, zero};
}

/* ---- The terms' powers ---- */

/* Whether one power per element is enough: a term that is multiplied by 0 may have the other's,
 * whose sign is the same, and with a margin the negative term makes its own. */
FOCAL_BODY bool form_terms_are_single(focal_kernel_form form, const focal_form_span *span,
                                      bool hard) {
    return form == KERNEL_FORM_SPLIT &&
           (span->margin > 0.0 || (hard && !span->target_gradient));
}

FOCAL_BODY bool form_targets_are_hard(const focal_form_span *span, size_t first, size_t count) {
    vd soft = vd_set(0.0), one = vd_set(1.0);
    for (size_t i = 0; i < count; i += 8) {
        vd t = form_load(span->targets, first + i, form_lanes_of(count - i));
        soft = vd_add(soft, vd_abs(vd_mul(t, vd_sub(one, t))));
    }
    return span->smoothing == 0.0 && vd_sum_lanes(soft) == 0.0;
}

/* Logarithms, bases and gammas of the right side's term and of the wrong side's. */
FOCAL_BODY void form_term_bases(focal_kernel_tier tier, const focal_form_span *span,
                                form_piece *piece, size_t first, size_t count, bool single) {
    for (size_t i = 0; i < count; i += 8) {
        size_t at = first + i, lanes = form_lanes_of(count - i);
        form_step s = form_step_first(tier, span, at, lanes);
        form_put_smoothed(span, piece, i, &s);
        s.x = form_logit_of(tier, &piece->x, i, form_load(span->logits, at, lanes));
        vd right_gamma = vd_select(s.x.positive, s.gamma, s.gamma_negative);
        vd wrong_gamma = vd_select(s.x.positive, s.gamma_negative, s.gamma);
        vd2 right_log = pair_negative(form_softplus(tier, &s.x));
        vd2 wrong_log = pair_negative(s.x.log1p_e);
        vd2 right_base = s.x.smaller;
        if (single) {
            vd t = span->margin > 0.0 ? vd_set(1.0) : s.target;
            vdm right = is_zero(vd_select(s.x.positive, vd_sub(vd_set(1.0), t), t));
            right_log = pair_select(right, right_log, wrong_log);
            right_base = pair_select(right, right_base, s.x.larger);
            right_gamma = vd_select(right, right_gamma, wrong_gamma);
        } else {
            form_put(tier, &piece->wrong_log, i, wrong_log);
            vd_store(piece->wrong_gamma + i, wrong_gamma);
        }
        form_put(tier, &piece->log, i, right_log);
        form_put(tier, &piece->base, i, right_base);
        vd_store(piece->gamma + i, right_gamma);
    }
}

FOCAL_BODY void form_term_powers(focal_kernel_tier tier, focal_kernel_form form,
                                 const focal_form_span *span, form_piece *piece, size_t first,
                                 size_t count) {
    bool single = form_terms_are_single(form, span, form_targets_are_hard(span, first, count));
    form_term_bases(tier, span, piece, first, count, single);
    form_powers(tier, span->gamma_uniform, &piece->way, &piece->log, piece->base.high,
                piece->gamma, piece->power, count);
    if (single)
        memcpy(piece->wrong_power, piece->power, sizeof piece->power);
    else
        form_powers(tier, span->gamma_uniform, &piece->way, &piece->wrong_log,
                    piece->x.larger.high, piece->wrong_gamma, piece->wrong_power, count);
}
