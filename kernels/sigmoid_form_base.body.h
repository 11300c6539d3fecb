/* What sigmoid_form.body.h makes its results of, in its notation and for |x| as there: logits,
 * targets, and the bases of modulating factors. */

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
    vd2 value, log;
    vd slope;         /* h = b' / b */
    vd curvature;     /* b'' / b */
    vd by_target;     /* d b / d right, or 0 for a base that has instead */
    vd log_by_target; /* d log b / d right */
} form_base;

/* What all forms read of a step. */
typedef struct {
    form_logit x;
    form_target hard, cross; /* that modulating factors see, and that the cross-entropy sees */
    vd alpha_positive, alpha_negative, gamma, gamma_negative;
    vd target; /* as given */
    vd keep;   /* 1 - smoothing, d cross / d target */
    vd hard_keep;
} form_step;

/* A piece between its phases. */
typedef struct {
    form_way way;
    form_logits x;
    /* Of SCALED and FL*: the logit that their factor has, and its shares. */
    form_pairs z;
    form_logits scaled;
    form_pairs base, log;
    double slope[FORM_PIECE], curvature[FORM_PIECE], by_target[FORM_PIECE],
        log_by_target[FORM_PIECE];
    double gamma[FORM_PIECE], power[FORM_PIECE];
    /* Of SPLIT and MATCH: the term of the wrong side. */
    form_pairs wrong_log;
    double wrong_gamma[FORM_PIECE], wrong_power[FORM_PIECE];
    double right[FORM_PIECE], wrong[FORM_PIECE]; /* smoothed targets of the cross-entropy */
    double softness[FORM_PIECE];                 /* right wrong, of the steps in `soft` */
    form_steps soft;                             /* that have targets other than 0 and 1 */
} form_piece;

/* ---- Logits and targets ---- */

FOCAL_BODY form_logit form_logit_sides(vd x) {
    form_logit l;
    l.positive = vdm_lt(vd_set(0.0), x);
    l.infinite = vd_abs(x);
    l.magnitude = vd_min(vd_set(0x1p1000), l.infinite);
    return l;
}

FOCAL_BODY vd2 form_logit_exponent(const form_logit *l, vd low) {
    return (vd2){vd_neg(l->magnitude), vd_select(l->positive, vd_neg(low), low)};
}

FOCAL_BODY form_logit form_logit_of(focal_kernel_tier tier, const form_logits *from, size_t i,
                                    vd x) {
    form_logit l = form_logit_sides(x);
    l.e = form_take(tier, &from->e, i);
    l.larger = form_take(tier, &from->larger, i);
    l.smaller = form_take(tier, &from->smaller, i);
    l.log1p_e = form_take(tier, &from->log1p_e, i);
    l.variance = vd_mul(l.larger.high, l.smaller.high);
    l.turn = vd_set(0.0);
    return l;
}

/* Of x and a low part. */
FOCAL_BODY void form_logit_begin(focal_kernel_tier tier, form_way *way, form_logits *logits,
                                 size_t i, vd x, vd low) {
    form_logit l = form_logit_sides(x);
    vd2 exponent = form_logit_exponent(&l, low);
    if (tier == KERNEL_SLEEF) {
        vd2 e = exp_sleef(exponent);
        form_put_pair(&logits->e, i, e);
        form_put_shares(logits, i, e);
        form_put_pair(&logits->log1p_e, i, log1p_pair_f64(tier, e, e));
        return;
    }
    if (tier == KERNEL_FAST) {
        vd_store(logits->e.high + i, form_exp(exponent.high));
        return;
    }
    form_put_argument(way, i, exp_reduce_f64(exponent));
}

FOCAL_BODY void form_logit_end(focal_kernel_tier tier, form_way *way, form_logits *logits,
                               size_t count) {
    if (tier == KERNEL_FAST)
        form_plain_shares(logits, count);
    else if (tier != KERNEL_SLEEF)
        form_logit_phases(way, logits, count);
}

/* t (1-s) + s/2 and its complement; products with 1 are exact, so the short way has the same bits. */
FOCAL_BODY form_target form_target_of(focal_kernel_tier tier, vdm positive, vd t,
                                      double smoothing) {
    vd one = vd_set(1.0), zero = vd_set(0.0);
    vd2 of_one = {t, zero}, of_zero;
    of_zero = tier == KERNEL_FAST ? form_high(vd_sub(one, t)) : exact_sum(one, vd_neg(t));
    if (smoothing != 0.0) {
        vd2 keep = exact_sum_ordered(one, vd_set(-smoothing));
        vd2 half = {vd_set(0.5 * smoothing), zero};
        of_one = form_sum_of(tier, form_product(tier, of_one, keep), half);
        of_zero = form_sum_of(tier, form_product(tier, of_zero, keep), half);
    }
    return (form_target){pair_select(positive, of_one, of_zero),
                         pair_select(positive, of_zero, of_one)};
}

/* -log(1 - p) as a pair; that of p is log1p_e. */
FOCAL_BODY vd2 form_softplus(focal_kernel_tier tier, const form_logit *l) {
    return form_sum_of(tier, (vd2){l->magnitude, vd_set(0.0)}, l->log1p_e);
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

/* log(1 - p) where the target is on the right side, and log p elsewhere: that of a base which is
 * 1 - p or p where the target is hard. What it is for others is a phase of its own. */
FOCAL_BODY vd2 form_hard_log(focal_kernel_tier tier, const form_step *s) {
    vd zero = vd_set(0.0);
    vd2 far = {vd_select(is_zero(s->hard.wrong.high), s->x.magnitude, zero), zero};
    return pair_negative(form_sum_of(tier, far, s->x.log1p_e));
}

/* ---- Bases ---- */

/* q = 1 - p_t, linear in p: q' = (wrong - right) p (1-p). */
FOCAL_BODY form_base form_base_focal(focal_kernel_tier tier, const form_step *s) {
    const form_logit *x = &s->x;
    form_target t = s->hard;
    vd2 q = form_sum_of(tier, form_product(tier, x->larger, t.wrong),
                        form_product(tier, x->smaller, t.right));
    vd turn = vd_sub(x->smaller.high, x->larger.high); /* 1 - 2p */
    vd slope = vd_mul(vd_sub(t.wrong.high, t.right.high), vd_div(x->variance, q.high));
    slope = form_by_hardness(t, slope, vd_neg(x->larger.high), x->smaller.high);
    return (form_base){q,          form_hard_log(tier, s), slope, vd_mul(slope, turn), x->turn,
                       vd_set(0.0)};
}

/* The same where all targets are 0 or 1. */
FOCAL_BODY form_base form_base_hard(focal_kernel_tier tier, const form_step *s) {
    const form_logit *x = &s->x;
    vdm right = is_zero(s->hard.wrong.high);
    vd turn = vd_sub(x->smaller.high, x->larger.high);
    vd slope = vd_select(right, vd_neg(x->larger.high), x->smaller.high);
    return (form_base){pair_select(right, x->smaller, x->larger),
                       form_hard_log(tier, s),
                       slope,
                       vd_mul(slope, turn),
                       x->turn,
                       vd_set(0.0)};
}

/* 2 right - 1 */
FOCAL_BODY vd2 form_sign(form_target t) {
    return pair_sum(t.right, pair_negative(t.wrong));
}

/* sigmoid(-(2 right - 1)|x|): b' = -(2 right - 1) b (1 - b). */
FOCAL_BODY form_base form_base_scaled(focal_kernel_tier tier, const form_step *s,
                                      const form_piece *piece, size_t i) {
    vd y = form_sign(s->hard).high;
    vd2 z = form_take(tier, &piece->z, i);
    form_logit scaled = form_logit_of(tier, &piece->scaled, i, z.high);
    vd2 base = pair_select(scaled.positive, scaled.smaller, scaled.larger);
    vd p = vd_select(scaled.positive, scaled.larger.high, scaled.smaller.high);
    vd2 zero = {vd_set(0.0), vd_set(0.0)};
    vd2 far = pair_select(scaled.positive, z, zero);
    vd2 log = pair_negative(form_sum_of(tier, far, scaled.log1p_e));
    return (form_base){base,
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
    vd2 exponent = pair_negative(form_multiple(tier, s->hard.wrong, x->magnitude));
    vd2 away = expm1_pair_f64(tier, exponent);
    vd2 base = form_product(tier, form_sum_of(tier, x->e, pair_negative(away)), x->larger);
    vd rest = tier == KERNEL_FAST ? form_exp(exponent.high) : exp_pair_f64(tier, exponent).high;
    rest = vd_mul(rest, x->larger.high);
    vd cross = form_cross_slope(x, s->hard), one = vd_set(1.0);
    vd ratio = form_by_hardness(s->hard, vd_div(cross, base.high), vd_neg(one), one);
    vd bend = form_by_hardness(s->hard, vd_div(x->variance, base.high), x->larger.high,
                               x->smaller.high);
    vd slope = vd_mul(rest, ratio);
    vd curvature = vd_mul(rest, vd_sub(bend, vd_mul(ratio, cross)));
    return (form_base){base,
                       form_hard_log(tier, s),
                       slope,
                       curvature,
                       vd_neg(vd_mul(rest, x->magnitude)),
                       vd_set(0.0)};
}

/* wrong - (1 - p), the distance of target and p. */
FOCAL_BODY vd2 form_distance_of(focal_kernel_tier tier, vd2 wrong, vd2 smaller) {
    return form_sum_of(tier, wrong, pair_negative(smaller));
}

/* In tier fast. Where the two are near each other they cancel, and are made again as pairs. */
FOCAL_BODY vd2 form_plain_distance(const focal_form_span *span, const form_step *s) {
    const form_logit *x = &s->x;
    vd2 plain = form_distance_of(KERNEL_FAST, s->hard.wrong, x->smaller);
    vdm near = vdm_lt(vd_abs(plain.high), vd_mul(vd_set(0.25), x->smaller.high));
    if (!vdm_any(near))
        return plain;
    double smoothing = span->smooth_cross_entropy ? 0.0 : span->smoothing;
    form_target t = form_target_of(KERNEL_ACCURATE, x->positive, s->target, smoothing);
    vd2 e = exp_pair_f64(KERNEL_ACCURATE, (vd2){vd_neg(x->magnitude), vd_set(0.0)});
    vd2 smaller = pair_product(e, form_larger(e));
    return pair_select(near, form_distance_of(KERNEL_ACCURATE, t.wrong, smaller), plain);
}

/* |p - t|; where it is 0 its derivatives are taken as 0. */
FOCAL_BODY form_base form_base_quality(focal_kernel_tier tier, const focal_form_span *span,
                                       bool soft, const form_step *s) {
    const form_logit *x = &s->x;
    vd zero = vd_set(0.0), one = vd_set(1.0);
    vd2 distance = tier == KERNEL_FAST ? form_plain_distance(span, s)
                                       : form_distance_of(tier, s->hard.wrong, x->smaller);
    vdm negative = vdm_lt(distance.high, zero);
    vd2 base = pair_select(negative, pair_negative(distance), distance);
    vd sign = vd_select(negative, vd_neg(one), vd_select(is_zero(base.high), zero, one));
    vd slope = zero;
    if (soft) {
        slope = vd_div(vd_mul(sign, x->variance), base.high);
        slope = vd_select(is_zero(base.high), zero, slope);
    }
    slope = form_by_hardness(s->hard, slope, vd_neg(x->larger.high), x->smaller.high);
    vd turn = vd_sub(x->smaller.high, x->larger.high);
    return (form_base){base, form_hard_log(tier, s), slope, vd_mul(slope, turn), vd_neg(sign),
                       zero};
}

/* ---- A piece: logits and targets, bases, powers ---- */

/* Targets that a phase has put down: their low parts went into the base. */
FOCAL_BODY form_target form_smoothed_targets(const form_piece *piece, size_t i) {
    vd zero = vd_set(0.0);
    return (form_target){{vd_load(piece->right + i), zero}, {vd_load(piece->wrong + i), zero}};
}

/* What does not need the logit's exponential. `at` is the step's place in the run, i in the piece. */
FOCAL_BODY form_step form_step_of(const focal_form_span *span, size_t at, size_t count) {
    form_step s;
    double hard_smoothing = span->smooth_cross_entropy ? 0.0 : span->smoothing;
    s.x = form_logit_sides(form_load(span->logits, at, count));
    s.target = form_load(span->targets, at, count);
    s.hard_keep = vd_set(1.0 - hard_smoothing);
    s.keep = vd_set(1.0 - span->smoothing);
    s.alpha_positive = form_load(span->alpha_positive, at, count);
    s.alpha_negative = form_load(span->alpha_negative, at, count);
    s.gamma = form_load(span->gamma_positive, at, count);
    s.gamma_negative = form_load(span->gamma_negative, at, count);
    return s;
}

/* The same with targets, as pairs. */
FOCAL_BODY form_step form_step_first(focal_kernel_tier tier, const focal_form_span *span,
                                     size_t at, size_t count) {
    form_step s = form_step_of(span, at, count);
    double hard_smoothing = span->smooth_cross_entropy ? 0.0 : span->smoothing;
    s.hard = form_target_of(tier, s.x.positive, s.target, hard_smoothing);
    s.cross = span->smooth_cross_entropy
                  ? form_target_of(tier, s.x.positive, s.target, span->smoothing)
                  : s.hard;
    return s;
}

FOCAL_BODY void form_put_smoothed(const focal_form_span *span, form_piece *piece, size_t i,
                                  const form_step *s) {
    if (span->smoothing == 0.0)
        return;
    vd_store(piece->right + i, s->cross.right.high);
    vd_store(piece->wrong + i, s->cross.wrong.high);
}

/* The same once more, for the results. */
FOCAL_BODY form_step form_step_last(focal_kernel_tier tier, const focal_form_span *span,
                                    const form_piece *piece, size_t at, size_t i,
                                    size_t count) {
    form_step s = form_step_of(span, at, count);
    s.hard = form_target_of(tier, s.x.positive, s.target, 0.0);
    s.cross = s.hard;
    if (span->smoothing != 0.0) {
        s.cross = form_smoothed_targets(piece, i);
        s.hard = span->smooth_cross_entropy ? s.hard : s.cross;
    }
    return s;
}

FOCAL_BODY void form_step_take_logit(focal_kernel_tier tier, form_step *s,
                                     const form_piece *piece, size_t i, vd x) {
    s->x = form_logit_of(tier, &piece->x, i, x);
}

/* The logit that SCALED's factor has, and FL*'s softplus, with y = 2 right - 1. */
FOCAL_BODY vd2 form_scaled_logit(focal_kernel_form form, const focal_form_span *span,
                                 const form_step *s, form_piece *piece, size_t i) {
    if (form == KERNEL_FORM_SCALED)
        return pair_scale(form_sign(s->hard), s->x.magnitude);
    vd2 sign = form_sign(s->cross);
    vd_store(piece->slope + i, sign.high);
    vd2 scaled = pair_scale(pair_scale(sign, s->gamma), s->x.magnitude);
    return pair_sum(scaled, (vd2){vd_set(span->star_beta), vd_set(0.0)});
}

/* Whether a form's base depends on a target between 0 and 1, so that its logarithm is wanted. */
FOCAL_BODY bool form_has_soft_log(focal_kernel_form form) {
    return form == KERNEL_FORM_FOCAL || form == KERNEL_FORM_CONFIDENCE ||
           form == KERNEL_FORM_QUALITY;
}

FOCAL_BODY bool form_has_base(focal_kernel_form form) {
    return form_has_soft_log(form) || form == KERNEL_FORM_SCALED ||
           form == KERNEL_FORM_VARIFOCAL;
}

FOCAL_BODY vd form_softness(form_target t) {
    return vd_abs(vd_mul(t.right.high, t.wrong.high));
}

FOCAL_BODY form_base form_base_of(focal_kernel_tier tier, focal_kernel_form form,
                                  const focal_form_span *span, const form_step *s,
                                  const form_piece *piece, size_t i, bool soft) {
    if (form == KERNEL_FORM_SCALED)
        return form_base_scaled(tier, s, piece, i);
    if (form == KERNEL_FORM_CONFIDENCE)
        return form_base_confidence(tier, s);
    if (form == KERNEL_FORM_QUALITY)
        return form_base_quality(tier, span, soft, s);
    return soft ? form_base_focal(tier, s) : form_base_hard(tier, s);
}

FOCAL_BODY void form_put_base(focal_kernel_tier tier, const focal_form_span *span,
                              form_piece *piece, size_t i, const form_base *base) {
    form_put(tier, &piece->base, i, base->value);
    form_put(tier, &piece->log, i, base->log);
    vd_store(piece->slope + i, base->slope);
    if (span->hessian)
        vd_store(piece->curvature + i, base->curvature);
    if (span->target_gradient) {
        vd_store(piece->by_target + i, base->by_target);
        vd_store(piece->log_by_target + i, base->log_by_target);
    }
}

FOCAL_BODY form_base form_base_put(focal_kernel_tier tier, const focal_form_span *span,
                                   const form_piece *piece, size_t i) {
    form_base base = {form_take(tier, &piece->base, i),
                      form_take(tier, &piece->log, i),
                      vd_load(piece->slope + i),
                      vd_set(0.0),
                      vd_set(0.0),
                      vd_set(0.0)};
    if (span->hessian)
        base.curvature = vd_load(piece->curvature + i);
    if (span->target_gradient) {
        base.by_target = vd_load(piece->by_target + i);
        base.log_by_target = vd_load(piece->log_by_target + i);
    }
    return base;
}

FOCAL_BODY void form_base_step(focal_kernel_tier tier, focal_kernel_form form,
                               const focal_form_span *span, form_piece *piece, size_t at,
                               size_t i, size_t count) {
    /* SCALED's 2t - 1 cancels. */
    bool pairs = form == KERNEL_FORM_SCALED;
    form_step s = form_step_first(pairs ? KERNEL_ACCURATE : tier, span, at, count);
    form_step_take_logit(tier, &s, piece, i, form_load(span->logits, at, count));
    if (span->target_gradient) {
        vd2 exponent = {vd_neg(s.x.magnitude), vd_set(0.0)};
        s.x.turn = vd_mul(expm1_pair_f64(tier, exponent).high, s.x.larger.high);
    }
    form_put_smoothed(span, piece, i, &s);
    vd_store(piece->gamma + i, s.gamma);
    if (form == KERNEL_FORM_VARIFOCAL)
        s.hard = form_target_of(tier, s.x.positive, vd_set(0.0), 0.0);
    vd softness = form_softness(s.hard);
    form_base base;
    if (form_has_soft_log(form) && vdm_any(vdm_lt(vd_set(0.0), softness))) {
        vd_store(piece->softness + i, softness);
        /* Tier fast puts none. */
        vd_store(piece->base.low + i, vd_set(0.0));
        vd_store(piece->log.low + i, vd_set(0.0));
        piece->soft.at[piece->soft.count++] = (uint8_t)i;
        base = form_base_of(tier, form, span, &s, piece, i, true);
    } else {
        base = form_base_of(tier, form, span, &s, piece, i, false);
    }
    if (form == KERNEL_FORM_VARIFOCAL)
        base.by_target = vd_set(0.0); /* p^gamma, whatever the target */
    form_put_base(tier, span, piece, i, &base);
}

/* The soft targets' logarithms. */
FOCAL_SHARED void form_soft_logs(form_piece *piece) {
    form_log_arguments(&piece->way, &piece->base, &piece->soft);
    form_log_rests(&piece->way, &piece->soft);
    for (size_t k = 0; k < piece->soft.count; k++) {
        size_t i = piece->soft.at[k];
        vd2 log = form_log_end(&piece->way, i, vd_load(piece->base.high + i));
        vdm hard = is_zero(vd_load(piece->softness + i));
        form_put_pair(&piece->log, i, pair_select(hard, form_pair(&piece->log, i), log));
    }
}
