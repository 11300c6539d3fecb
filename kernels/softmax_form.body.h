/* Every softmax form: loss, gradient, diagonal of the Hessian and target derivative of a row, in
 * double, a run of at most FORM_RUN elements at a time.
 *
 * Contract, per row with p = softmax(x), q_c = 1 - p_c, l_c = -log p_c, and y_c the target after
 * smoothing, w_c the weights, a_c alpha:
 *     loss = sum of w_c y_c f_c(p_c), f(p) = a q^gamma l + epsilon q^(gamma + 1)
 *     gradient_k = B_k q_k - p_k (B - B_k), B_c = w_c y_c p_c f'(p_c), B their sum
 *     Hessian_kk = E_k q_k^2 + p_k^2 (E - E_k) - p_k q_k B, E_c = w_c y_c p_c d(p f')/dp
 * and its upper form 2 p_k q_k (-B). With smooth_cross_entropy, for the label's p and w (alpha is
 * in it):
 *     loss = w q^gamma R, R = sum of y_c l_c
 * q_c comes from the sum without c, l_c of the greatest logit from log1p of that sum: nothing
 * cancels for one label. A NaN or +infinity anywhere in a row, or a row of -infinity alone, gives
 * NaN for the row, unless all its weights or targets are 0, which gives zeros. -infinity masks a
 * class: p = 0. As the class of a positive target it costs infinity. */

static const double form_lanes[8] = {0, 1, 2, 3, 4, 5, 6, 7};

/* Of the row, in all lanes. */
typedef struct {
    vd most, most_at;
    vd2 others;  /* sum of exp(x - most) without the greatest */
    vd2 total;   /* with it */
    vd2 inverse; /* 1 / total */
    vd log_total;
} form_row;

/* Of a class. */
typedef struct {
    vd p;
    vd2 q;
    vd minus_log;
} form_class;

/* Of a class's term w y f(p): amount is w y. */
typedef struct {
    vd amount, loss, slope, curvature;
} form_class_term;

FOCAL_BODY form_row form_row_of(focal_kernel_tier tier, const focal_form_row *row) {
    form_row r;
    r.most = vd_set(row->most);
    r.most_at = vd_set((double)row->most_at);
    r.others = (vd2){vd_set(row->others), vd_set(row->others_low)};
    /* A greatest logit that is infinite makes NaN of the row. */
    vd first = vd_add(vd_set(1.0), vd_sub(r.most, r.most));
    r.total = pair_sum((vd2){first, vd_set(0.0)}, r.others);
    r.inverse = pair_reciprocal(r.total);
    r.log_total = tier == KERNEL_SLEEF
                      ? vd_add(vd_sleef_log1p(r.others.high), vd_sub(r.most, r.most))
                      : log_pair_f64(tier, r.total).high;
    return r;
}

/* x - most, of which the low part is lost where x is infinite. */
FOCAL_BODY vd2 form_distance(vd x, vd most) {
    return exact_sum(x, vd_neg(most));
}

FOCAL_BODY vd form_minus_log(const form_row *r, vd x) {
    return vd_sub(r->log_total, form_distance(x, r->most).high);
}

/* e = exp(x - most); p, of which one rounding is all that its low part could mend */
FOCAL_BODY vd form_share(focal_kernel_tier tier, const form_row *r, vd2 e) {
    return tier == KERNEL_FAST ? vd_mul(e.high, r->inverse.high)
                               : pair_product(e, r->inverse).high;
}

FOCAL_BODY form_class form_class_of(focal_kernel_tier tier, const form_row *r, vd x, vd2 e,
                                    vdm greatest) {
    if (tier == KERNEL_FAST) {
        /* An e beside the greatest class is at most half of the total. */
        vd rest = vd_select(greatest, r->others.high, vd_sub(r->total.high, e.high));
        return (form_class){form_share(tier, r, e), form_high(vd_mul(rest, r->inverse.high)),
                            form_minus_log(r, x)};
    }
    vd2 rest = pair_select(greatest, r->others, pair_sum_ordered(r->total, pair_negative(e)));
    return (form_class){form_share(tier, r, e), pair_product(rest, r->inverse),
                        form_minus_log(r, x)};
}

FOCAL_BODY vd2 form_exp_of(focal_kernel_tier tier, const form_row *r, vd x) {
    if (tier == KERNEL_FAST)
        return form_high(form_exp(vd_sub(x, r->most)));
    return exp_pair_f64(tier, form_distance(x, r->most));
}

/* ---- exp(x - most) of a piece of the run ---- */

typedef struct {
    form_way way;
    form_pairs e;
} form_row_piece;

FOCAL_SHARED void form_row_arguments(const double *logits, double most, form_way *way,
                                     size_t count) {
    for (size_t i = 0; i < count; i += 8) {
        vd x = form_load(logits, i, form_lanes_of(count - i));
        form_put_argument(way, i, exp_reduce_f64(form_distance(x, vd_set(most))));
    }
}

FOCAL_SHARED void form_row_plain(const double *logits, double most, form_pairs *e,
                                 size_t count) {
    for (size_t i = 0; i < count; i += 8) {
        vd x = form_load(logits, i, form_lanes_of(count - i));
        vd_store(e->high + i, form_exp(vd_sub(x, vd_set(most))));
    }
}

FOCAL_SHARED void form_row_sleef(const double *logits, double most, form_pairs *e,
                                 size_t count) {
    for (size_t i = 0; i < count; i += 8) {
        vd x = form_load(logits, i, form_lanes_of(count - i));
        form_put_pair(e, i, exp_sleef(form_distance(x, vd_set(most))));
    }
}

/* Of the run's elements from `first` on; returns how many. */
FOCAL_BODY size_t form_row_exponentials(focal_kernel_tier tier, const focal_form_span *span,
                                        size_t first, form_row_piece *piece) {
    size_t left = span->count - first, count = left < FORM_PIECE ? left : FORM_PIECE;
    const double *logits = span->logits + first;
    if (tier == KERNEL_SLEEF) {
        form_row_sleef(logits, span->row->most, &piece->e, count);
    } else if (tier == KERNEL_FAST) {
        form_row_plain(logits, span->row->most, &piece->e, count);
    } else {
        form_row_arguments(logits, span->row->most, &piece->way, count);
        form_exp_phases(&piece->way, &piece->e, count);
    }
    return count;
}

/* b / a, or what it tends to. */
FOCAL_BODY vd form_ratio(vd b, vd a, vd limit) {
    return vd_select(is_zero(a), limit, vd_div(b, a));
}

/* q^gamma; `uniform` is the gamma of all classes, or NaN. */
FOCAL_BODY vd form_power(focal_kernel_tier tier, double uniform, vd2 q, vd gamma) {
    if (form_has_products(tier, uniform))
        return power_half_steps_f64(q.high, (uint32_t)(2.0 * uniform));
    vd2 log = log_pair_f64(tier, q);
    if (tier == KERNEL_FAST)
        return power_limits(form_exp(vd_mul(gamma, log.high)), q.high, gamma);
    return power_pair_f64(tier, q.high, log, gamma);
}

/* Lanes of the row's element `first + i`. */
FOCAL_BODY vd form_index(const focal_form_span *span, size_t i) {
    return vd_add(vd_load(form_lanes), vd_set((double)(span->first + i)));
}

FOCAL_BODY vd form_smoothed(const focal_form_span *span, vd t) {
    double s = span->smoothing;
    return vd_fma(t, vd_set(1.0 - s), vd_set(s / (double)span->classes));
}

/* 1 - the smoothed target */
FOCAL_BODY vd form_unsmoothed(const focal_form_span *span, vd t) {
    double s = span->smoothing, classes = (double)span->classes;
    return vd_fma(vd_sub(vd_set(1.0), t), vd_set(1.0 - s),
                  vd_set(s * (classes - 1.0) / classes));
}

/* f(p), p f' and p d(p f')/dp, without weight and target. */
FOCAL_BODY form_class_term form_class_terms(focal_kernel_tier tier, const focal_form_span *span,
                                            const form_class *c, vd alpha, vd gamma) {
    vd one = vd_set(1.0), zero = vd_set(0.0), q = c->q.high, p = c->p;
    vd power = form_power(tier, span->gamma_uniform, c->q, gamma),
       weighted = vd_mul(alpha, power);
    vd finite = form_finite(c->minus_log), ratio = form_ratio(finite, q, one);
    vd gamma_p = vd_mul(gamma, p);
    form_class_term t;
    t.amount = one;
    t.loss = vd_mul(weighted, vd_select(is_zero(alpha), finite, c->minus_log));
    t.slope = vd_neg(vd_mul(weighted, vd_fma(gamma_p, ratio, one)));
    /* gamma p [2 - l + (gamma - 1) p l / q] / q */
    vd bend = vd_fma(vd_mul(vd_sub(gamma, one), p), ratio, vd_sub(vd_set(2.0), finite));
    t.curvature = form_ratio(vd_mul(weighted, vd_mul(gamma_p, bend)), q, zero);
    if (span->poly_epsilon != 0.0) {
        vd factor = vd_mul(vd_set(span->poly_epsilon), power);
        t.loss = vd_fma(factor, q, t.loss);
        factor = vd_mul(vd_mul(factor, p), vd_add(gamma, one));
        t.slope = vd_sub(t.slope, factor);
        vd second = vd_mul(factor, vd_sub(form_ratio(gamma_p, q, zero), one));
        t.curvature = vd_add(t.curvature, vd_select(is_zero(q), zero, second));
    }
    return t;
}

FOCAL_BODY vd form_amounts(const focal_form_span *span, size_t i, size_t count) {
    return vd_mul(form_load(span->weight, i, count),
                  form_smoothed(span, form_load(span->targets, i, count)));
}

FOCAL_BODY bool form_some_count(vd amount) {
    vd counted = vd_select(is_zero(amount), vd_set(0.0), vd_set(1.0));
    return vdm_any(vdm_eq(counted, vd_set(1.0)));
}

/* The terms of eight classes; 0 where weight or target is, whatever the logit. */
FOCAL_BODY form_class_term form_weighted_terms(focal_kernel_tier tier,
                                               const focal_form_span *span, const form_class *c,
                                               vd amount, size_t i, size_t count) {
    vd zero = vd_set(0.0);
    form_class_term t = {amount, zero, zero, zero};
    vdm none = is_zero(amount);
    form_class_term f =
        form_class_terms(tier, span, c, form_load(span->alpha_positive, i, count),
                         form_load(span->gamma_positive, i, count));
    t.loss = vd_select(none, zero, vd_mul(amount, f.loss));
    t.slope = vd_select(none, zero, vd_mul(amount, f.slope));
    t.curvature = vd_select(none, zero, vd_mul(amount, f.curvature));
    return t;
}

/* ---- The label's modulating factor times the smoothed cross-entropy ---- */

/* Of the label. */
typedef struct {
    vd p, q, factor; /* w q^gamma */
    vd gamma;
} form_label;

FOCAL_BODY form_label form_label_of(focal_kernel_tier tier, const form_row *r,
                                    const focal_form_row *row) {
    vd label = vd_set((double)row->label), gamma = vd_set(row->gamma);
    vd x = vd_set(row->label_logit);
    form_class c =
        form_class_of(tier, r, x, form_exp_of(tier, r, x), vdm_eq(label, r->most_at));
    vd power = form_power(tier, row->gamma, c.q, gamma);
    return (form_label){c.p, c.q.high, vd_mul(vd_set(row->weight), power), gamma};
}

/* With M = q^gamma: M' / M = gamma h, h = -p (delta - p_k) / q, and R' = p_k - y_k. */
FOCAL_BODY void form_smooth_results(const focal_form_span *span, const form_label *label,
                                    const form_class *c, vdm own, vd t, vd *gradient,
                                    vd *hessian) {
    vd zero = vd_set(0.0), one = vd_set(1.0), q = c->q.high;
    vd entropy = form_finite(vd_set(span->row->slope));
    vd share = form_ratio(c->p, label->q, zero); /* p_k / q */
    vd h = vd_mul(label->p, vd_select(own, vd_neg(one), share));
    vd slope =
        vd_sub(vd_mul(c->p, form_unsmoothed(span, t)), vd_mul(q, form_smoothed(span, t)));
    vd steep = vd_mul(label->gamma, h);
    *gradient = vd_mul(label->factor, vd_fma(steep, entropy, slope));
    *hessian = zero;
    if (!span->hessian)
        return;
    /* q'' / q */
    vd bend = vd_mul(vd_sub(c->p, q), vd_select(own, vd_neg(one), share));
    bend = vd_neg(vd_mul(label->p, bend));
    vd square = vd_mul(vd_sub(label->gamma, one), vd_mul(h, h));
    vd factor = vd_mul(label->gamma, vd_mul(vd_add(bend, square), entropy));
    vd mixed = vd_mul(vd_add(steep, steep), slope);
    if (span->hessian_mode == KERNEL_HESSIAN_UPPER) {
        factor = vd_max(factor, zero);
        mixed = vd_max(mixed, zero);
    }
    *hessian = vd_mul(label->factor, vd_fma(c->p, q, vd_add(factor, mixed)));
}

/* ---- Steps of the row ---- */

FOCAL_SHARED void form_row_most(focal_form_span *span) {
    focal_form_row *row = span->row;
    vd most = vd_set(-HUGE_VAL);
    size_t i = 0;
    for (; i + 8 <= span->count; i += 8)
        most = vd_max(vd_load(span->logits + i), most);
    double greatest = vd_max_lanes(most);
    for (; i < span->count; i++)
        greatest = span->logits[i] > greatest ? span->logits[i] : greatest;
    if (!(greatest > row->most))
        return;
    row->most = greatest;
    for (i = 0; span->logits[i] != greatest;)
        i++;
    row->most_at = span->first + i;
}

/* Adds the lanes one after the other to a sum in two doubles. */
FOCAL_BODY void form_fold_pairs(const double *highs, const double *lows, double *high,
                                double *low) {
    for (size_t i = 0; i < 8; i++) {
        double sum = *high + highs[i], added = sum - *high;
        *low += (*high - (sum - added)) + (highs[i] - added) + lows[i];
        *high = sum;
    }
}

/* The sum of a piece's exponentials but that of the greatest, whose place is emptied. */
FOCAL_BODY vd form_plain_others(const focal_form_span *span, form_row_piece *piece,
                                size_t first, size_t count) {
    size_t most = span->row->most_at - span->first - first;
    if (most < count)
        piece->e.high[most] = 0.0;
    for (size_t i = count; i % 8 != 0; i++)
        piece->e.high[i] = 0.0;
    vd sum = vd_set(0.0);
    for (size_t i = 0; i < count; i += 8)
        sum = vd_add(sum, vd_load(piece->e.high + i));
    return sum;
}

/* In pairs: rounded terms and sums would cost as many ULP of q as there are classes. Tier fast adds the
 * eight steps of a piece in doubles. */
FOCAL_BODY void form_row_others(focal_form_span *span, focal_kernel_tier tier) {
    focal_form_row *row = span->row;
    vd zero = vd_set(0.0), most_at = vd_set((double)row->most_at);
    vd end = vd_set((double)(span->first + span->count));
    vd2 sum = {zero, zero}, none = {zero, zero};
    form_row_piece piece;
    for (size_t first = 0; first < span->count; first += FORM_PIECE) {
        size_t count = form_row_exponentials(tier, span, first, &piece);
        if (tier == KERNEL_FAST) {
            vd2 added = exact_sum(sum.high, form_plain_others(span, &piece, first, count));
            sum = (vd2){added.high, vd_add(sum.low, added.low)};
            continue;
        }
        for (size_t i = 0; i < count; i += 8) {
            vd index = form_index(span, first + i);
            vd2 e = pair_select(vdm_eq(index, most_at), none, form_take(tier, &piece.e, i));
            e = pair_select(vdm_lt(index, end), e, none);
            vd2 added = exact_sum(sum.high, e.high);
            sum = (vd2){added.high, vd_add(sum.low, vd_add(added.low, e.low))};
        }
    }
    double highs[8], lows[8];
    vd_store(highs, sum.high);
    vd_store(lows, sum.low);
    form_fold_pairs(highs, lows, &row->others, &row->others_low);
}

FOCAL_BODY void form_row_terms(focal_form_span *span, focal_kernel_tier tier) {
    focal_form_row *row = span->row;
    form_row r = form_row_of(tier, row);
    vd zero = vd_set(0.0);
    vd loss = zero, slope = zero, curvature = zero, amount = zero;
    vd slope_most = zero, curvature_most = zero;
    for (size_t i = 0; i < span->count; i += 8) {
        size_t left = span->count - i < 8 ? span->count - i : 8;
        vd index = form_index(span, i), x = form_load(span->logits, i, left);
        vdm inside = vdm_lt(index, vd_set((double)(span->first + span->count)));
        vdm greatest = vdm_eq(index, r.most_at);
        if (span->smooth_cross_entropy) {
            vd t = form_smoothed(span, form_load(span->targets, i, left));
            vd term = form_times(t, form_minus_log(&r, x));
            slope = vd_add(slope, vd_select(inside, term, zero));
            continue;
        }
        /* Elements beyond the run have weight 0. */
        vd counted = form_amounts(span, i, left);
        amount = vd_add(amount, counted);
        if (!form_some_count(counted))
            continue;
        form_class c = form_class_of(tier, &r, x, form_exp_of(tier, &r, x), greatest);
        form_class_term term = form_weighted_terms(tier, span, &c, counted, i, left);
        loss = vd_add(loss, term.loss);
        slope = vd_add(slope, vd_select(greatest, zero, term.slope));
        curvature = vd_add(curvature, vd_select(greatest, zero, term.curvature));
        slope_most = vd_add(slope_most, vd_select(greatest, term.slope, zero));
        curvature_most = vd_add(curvature_most, vd_select(greatest, term.curvature, zero));
    }
    double run_slope = vd_sum_lanes(slope);
    row->slope += run_slope;
    row->curvature += vd_sum_lanes(curvature);
    row->slope_most += vd_sum_lanes(slope_most);
    row->curvature_most += vd_sum_lanes(curvature_most);
    row->amount += vd_sum_lanes(amount);
    double run_loss = vd_sum_lanes(loss);
    if (span->smooth_cross_entropy && row->weight != 0.0) {
        double factor[8];
        vd_store(factor, form_label_of(tier, &r, row).factor);
        run_loss = factor[0] * run_slope;
        row->amount = row->weight;
    }
    row->loss += run_loss;
}

/* A sum without its term `own`. That of the greatest class, whose p may be all but 1, stands apart: what
 * is left of the sum beside it must not come from a subtraction. */
FOCAL_BODY vd form_without(double sum, double most, vd own, vdm greatest) {
    vd others = vd_add(vd_sub(vd_set(sum), own), vd_set(most));
    return vd_select(greatest, vd_set(sum), others);
}

FOCAL_BODY void form_class_results(const focal_form_span *span, const form_class *c,
                                   const form_class_term *t, vdm greatest, vd *gradient,
                                   vd *hessian) {
    const focal_form_row *row = span->row;
    vd q = c->q.high, all = vd_set(row->slope + row->slope_most);
    vd others = form_without(row->slope, row->slope_most, t->slope, greatest);
    *gradient = vd_sub(vd_mul(t->slope, q), vd_mul(c->p, others));
    *hessian = vd_set(0.0);
    if (!span->hessian)
        return;
    vd variance = vd_mul(c->p, q);
    if (span->hessian_mode == KERNEL_HESSIAN_UPPER) {
        vd upper = vd_mul(vd_mul(vd_set(-2.0), variance), all);
        *hessian = vd_max(upper, vd_set(0.0));
        return;
    }
    vd rest = form_without(row->curvature, row->curvature_most, t->curvature, greatest);
    vd own = vd_mul(t->curvature, vd_mul(q, q));
    *hessian = vd_sub(vd_fma(vd_mul(c->p, c->p), rest, own), vd_mul(variance, all));
}

FOCAL_BODY void form_store_results(const focal_form_span *span, size_t i, size_t count,
                                   vd gradient, vd hessian, vd target_gradient) {
    vd scale = vd_set(span->scale);
    if (span->target_gradient)
        form_store(span->target_gradient, i, vd_mul(scale, target_gradient), count);
    bool counted = span->row->amount != 0.0;
    if (span->hessian) {
        vd guarded = counted ? form_guard_hessian(span, hessian) : vd_set(0.0);
        form_store(span->hessian, i, guarded, count);
    }
    if (span->gradient)
        form_store(span->gradient, i, counted ? vd_mul(scale, gradient) : vd_set(0.0), count);
}

FOCAL_BODY vd form_class_target_gradient(focal_kernel_tier tier, const focal_form_span *span,
                                         const form_class *c, size_t i, size_t count) {
    vd weight = form_load(span->weight, i, count);
    form_class_term f =
        form_class_terms(tier, span, c, form_load(span->alpha_positive, i, count),
                         form_load(span->gamma_positive, i, count));
    return form_times(vd_mul(weight, vd_set(1.0 - span->smoothing)), f.loss);
}

/* The gradient of eight classes without target or weight, if nothing else is wanted. */
FOCAL_BODY vd form_uncounted_gradient(focal_kernel_tier tier, const focal_form_row *row,
                                      const form_row *r, vd2 e, vdm greatest) {
    vd zero = vd_set(0.0);
    vd others = form_without(row->slope, row->slope_most, zero, greatest);
    return vd_sub(zero, vd_mul(form_share(tier, r, e), others));
}

/* The results of a step, `i` from the run's first element on. */
FOCAL_BODY void form_result_of_classes(focal_kernel_tier tier, const focal_form_span *span,
                                       const form_row *r, const form_label *label, size_t i,
                                       size_t count, vd2 e) {
    vd index = form_index(span, i), x = form_load(span->logits, i, count);
    vdm greatest = vdm_eq(index, r->most_at);
    vd gradient, hessian, target_gradient = vd_set(0.0);
    vd amount = form_amounts(span, i, count);
    bool some = span->smooth_cross_entropy || form_some_count(amount);
    if (!some && !span->hessian && !span->target_gradient) {
        gradient = form_uncounted_gradient(tier, span->row, r, e, greatest);
        form_store_results(span, i, count, gradient, gradient, gradient);
        return;
    }
    form_class c = form_class_of(tier, r, x, e, greatest);
    if (span->smooth_cross_entropy) {
        vdm own = vdm_eq(index, vd_set((double)span->row->label));
        form_smooth_results(span, label, &c, own, form_load(span->targets, i, count), &gradient,
                            &hessian);
    } else {
        vd zero = vd_set(0.0);
        form_class_term t = {amount, zero, zero, zero};
        if (some)
            t = form_weighted_terms(tier, span, &c, amount, i, count);
        form_class_results(span, &c, &t, greatest, &gradient, &hessian);
    }
    if (span->target_gradient)
        target_gradient = form_class_target_gradient(tier, span, &c, i, count);
    form_store_results(span, i, count, gradient, hessian, target_gradient);
}

FOCAL_BODY void form_row_results(focal_form_span *span, focal_kernel_tier tier) {
    form_row r = form_row_of(tier, span->row);
    form_label label = {vd_set(0.0), vd_set(0.0), vd_set(0.0), vd_set(0.0)};
    if (span->smooth_cross_entropy)
        label = form_label_of(tier, &r, span->row);
    form_row_piece piece;
    for (size_t first = 0; first < span->count; first += FORM_PIECE) {
        size_t count = form_row_exponentials(tier, span, first, &piece);
        for (size_t i = 0; i < count; i += 8)
            form_result_of_classes(tier, span, &r, &label, first + i, form_lanes_of(count - i),
                                   form_take(tier, &piece.e, i));
    }
}

FOCAL_BODY void softmax_form(focal_form_span *span, focal_kernel_tier tier) {
    switch (span->step) {
    case FORM_ROW_MAX:
        form_row_most(span);
        break;
    case FORM_ROW_OTHERS:
        form_row_others(span, tier);
        break;
    case FORM_ROW_TERMS:
        form_row_terms(span, tier);
        break;
    case FORM_ROW_RESULTS:
        form_row_results(span, tier);
        break;
    }
}
