/* The chains of elementary_f64.h in phases, over a piece of a run that stays in the first-level
 * cache: docs/decisions/0002-sigmoid-in-phases.md says why. An element goes through the same
 * operations as in the function that a phase is a part of, so the bits are the same. Tier sleef calls
 * its functions; tier fast, of spans whose results are rounded to floats or less, goes through plain
 * doubles where the pairs' digits would be lost in that rounding. */

FOCAL_BODY void form_store(double *to, size_t at, vd values, size_t count) {
    if (count == 8)
        vd_store(to + at, values);
    else
        vd_store_n(to + at, values, count);
}

FOCAL_BODY vd form_load(const double *from, size_t at, size_t count) {
    return count == 8 ? vd_load(from + at) : vd_load_n(from + at, count);
}

/* Lanes of a step with so many elements left. */
FOCAL_BODY size_t form_lanes_of(size_t left) {
    return left < 8 ? left : 8;
}

/* Elements of a piece. */
enum { FORM_PIECE = 64 };

typedef struct {
    _Alignas(64) double high[FORM_PIECE];
    double low[FORM_PIECE];
} form_pairs;

/* What phases of one chain hand on; each chain has its own use of the names. */
typedef struct {
    form_pairs r, square, ratio;
    double scale[FORM_PIECE], rest[FORM_PIECE];
} form_way;

/* Of logits: exp(-|x|) and what follows of it. */
typedef struct {
    form_pairs e, larger, smaller, log1p_e;
} form_logits;

FOCAL_BODY vd2 form_pair(const form_pairs *from, size_t i) {
    return (vd2){vd_load(from->high + i), vd_load(from->low + i)};
}

FOCAL_BODY void form_put_pair(form_pairs *to, size_t i, vd2 pair) {
    vd_store(to->high + i, pair.high);
    vd_store(to->low + i, pair.low);
}

/* The same by tier: fast has no low parts. */

FOCAL_BODY vd2 form_high(vd high) {
    return (vd2){high, vd_set(0.0)};
}

FOCAL_BODY vd2 form_take(focal_kernel_tier tier, const form_pairs *from, size_t i) {
    return tier == KERNEL_FAST ? form_high(vd_load(from->high + i)) : form_pair(from, i);
}

FOCAL_BODY void form_put(focal_kernel_tier tier, form_pairs *to, size_t i, vd2 pair) {
    if (tier == KERNEL_FAST)
        vd_store(to->high + i, pair.high);
    else
        form_put_pair(to, i, pair);
}

FOCAL_BODY vd2 form_sum_of(focal_kernel_tier tier, vd2 a, vd2 b) {
    return tier == KERNEL_FAST ? form_high(vd_add(a.high, b.high)) : pair_sum(a, b);
}

FOCAL_BODY vd2 form_product(focal_kernel_tier tier, vd2 a, vd2 b) {
    return tier == KERNEL_FAST ? form_high(vd_mul(a.high, b.high)) : pair_product(a, b);
}

FOCAL_BODY vd2 form_multiple(focal_kernel_tier tier, vd2 a, vd b) {
    return tier == KERNEL_FAST ? form_high(vd_mul(a.high, b)) : pair_scale(a, b);
}

FOCAL_BODY void form_put_argument(form_way *way, size_t i, exp_argument_f64 argument) {
    form_put_pair(&way->r, i, argument.r);
    vd_store(way->scale + i, argument.scale);
}

/* exp(a) for a <= 0 in plain doubles: 1 ULP, and that of a, which is |a| in units of the result's. */
FOCAL_BODY vd form_exp(vd a) {
    return plain_exp_reduced(false, plain_exp_reduce(false, a));
}

/* ---- exp_pair_f64, after form_put_argument() ---- */

FOCAL_SHARED void form_exp_rests(form_way *way, size_t count) {
    for (size_t i = 0; i < count; i += 8) {
        vd2 r = form_pair(&way->r, i);
        form_put_pair(&way->square, i, pair_product(r, r));
        vd_store(way->rest + i, exp_rest(r.high));
    }
}

FOCAL_SHARED void form_exp_halves(form_way *way, size_t count) {
    for (size_t i = 0; i < count; i += 8)
        form_put_pair(&way->ratio, i, exp_half(form_pair(&way->r, i), vd_load(way->rest + i)));
}

FOCAL_SHARED void form_exp_ends(const form_way *way, form_pairs *e, size_t count) {
    for (size_t i = 0; i < count; i += 8) {
        vd2 tail = exp_tail(form_pair(&way->r, i), form_pair(&way->square, i),
                            form_pair(&way->ratio, i));
        form_put_pair(e, i, exp_scaled_pair(tail, vd_load(way->scale + i)));
    }
}

FOCAL_BODY void form_exp_phases(form_way *way, form_pairs *e, size_t count) {
    form_exp_rests(way, count);
    form_exp_halves(way, count);
    form_exp_ends(way, e, count);
}

/* ---- log1p_pair_f64 ---- */

FOCAL_SHARED void form_log1p_arguments(form_way *way, const form_logits *logits, size_t count) {
    for (size_t i = 0; i < count; i += 8) {
        log1p_argument_f64 argument =
            log1p_argument(form_pair(&logits->e, i), form_pair(&logits->smaller, i));
        form_put_pair(&way->r, i, argument.s);
        form_put_pair(&way->square, i, argument.v);
    }
}

FOCAL_SHARED void form_log1p_rests(form_way *way, size_t count) {
    for (size_t i = 0; i < count; i += 8)
        vd_store(way->rest + i, log1p_rest(vd_load(way->square.high + i)));
}

FOCAL_SHARED void form_log1p_ratios(form_way *way, size_t count) {
    for (size_t i = 0; i < count; i += 8)
        form_put_pair(&way->ratio, i,
                      log1p_ratio(form_pair(&way->square, i), vd_load(way->rest + i)));
}

FOCAL_SHARED void form_log1p_ends(const form_way *way, form_pairs *log1p_e, size_t count) {
    for (size_t i = 0; i < count; i += 8) {
        log1p_argument_f64 argument = {form_pair(&way->square, i), form_pair(&way->r, i)};
        form_put_pair(log1p_e, i, log1p_of(argument, form_pair(&way->ratio, i)));
    }
}

/* ---- Logits ---- */

/* 1 / (1 + e) */
FOCAL_BODY vd2 form_larger(vd2 e) {
    vd2 sum = exact_sum_ordered(vd_set(1.0), e.high);
    sum.low = vd_add(sum.low, e.low);
    return pair_reciprocal(sum);
}

FOCAL_BODY void form_put_shares(form_logits *logits, size_t i, vd2 e) {
    vd2 larger = form_larger(e);
    form_put_pair(&logits->larger, i, larger);
    form_put_pair(&logits->smaller, i, pair_product(e, larger));
}

FOCAL_SHARED void form_shares(form_logits *logits, size_t count) {
    for (size_t i = 0; i < count; i += 8)
        form_put_shares(logits, i, form_pair(&logits->e, i));
}

/* The same in plain doubles, with log1p. */
FOCAL_SHARED void form_plain_shares(form_logits *logits, size_t count) {
    for (size_t i = 0; i < count; i += 8) {
        logistic_f64 logistic = logistic_of_exp_f64(vd_load(logits->e.high + i));
        vd_store(logits->smaller.high + i, logistic.smaller);
        vd_store(logits->larger.high + i, vd_sub(vd_set(1.0), logistic.smaller));
        vd_store(logits->log1p_e.high + i, logistic.log1p_e);
    }
}

/* All of `logits`, from the exponentials' arguments. */
FOCAL_BODY void form_logit_phases(form_way *way, form_logits *logits, size_t count) {
    form_exp_phases(way, &logits->e, count);
    form_shares(logits, count);
    form_log1p_arguments(way, logits, count);
    form_log1p_rests(way, count);
    form_log1p_ratios(way, count);
    form_log1p_ends(way, &logits->log1p_e, count);
}

/* ---- log_pair_f64 of some steps, whose first elements are `at` ---- */

typedef struct {
    size_t count;
    uint8_t at[FORM_PIECE / 8];
} form_steps;

FOCAL_SHARED void form_log_arguments(form_way *way, const form_pairs *of,
                                     const form_steps *steps) {
    for (size_t k = 0; k < steps->count; k++) {
        size_t i = steps->at[k];
        log_argument_f64 argument = log_argument(form_pair(of, i));
        form_put_pair(&way->r, i, argument.s);
        vd_store(way->scale + i, argument.k);
    }
}

FOCAL_SHARED void form_log_rests(form_way *way, const form_steps *steps) {
    for (size_t k = 0; k < steps->count; k++) {
        size_t i = steps->at[k];
        vd2 s = form_pair(&way->r, i), z = pair_product(s, s);
        form_put_pair(&way->square, i, z);
        vd_store(way->rest + i, log_rest(z.high));
    }
}

FOCAL_BODY vd2 form_log_end(const form_way *way, size_t i, vd of) {
    log_argument_f64 argument = {form_pair(&way->r, i), vd_load(way->scale + i)};
    return log_of(argument, form_pair(&way->square, i), vd_load(way->rest + i), of);
}

/* ---- power_pair_f64 ---- */

FOCAL_SHARED void form_power_arguments(form_way *way, const form_pairs *log,
                                       const double *gamma, size_t count) {
    for (size_t i = 0; i < count; i += 8)
        form_put_argument(way, i,
                          exp_reduce_f64(pair_scale(form_pair(log, i), vd_load(gamma + i))));
}

FOCAL_SHARED void form_power_rests(form_way *way, size_t count) {
    for (size_t i = 0; i < count; i += 8)
        vd_store(way->rest + i, exp_rest(vd_load(way->r.high + i)));
}

FOCAL_SHARED void form_power_ends(const form_way *way, const double *base, const double *gamma,
                                  double *power, size_t count) {
    for (size_t i = 0; i < count; i += 8) {
        exp_argument_f64 argument = {form_pair(&way->r, i), vd_load(way->scale + i)};
        vd value = exp_reduced_f64(argument, vd_load(way->rest + i));
        vd_store(power + i, power_limits(value, vd_load(base + i), vd_load(gamma + i)));
    }
}

FOCAL_BODY bool form_all_zero(const double *values, size_t count) {
    vd sum = vd_set(0.0);
    for (size_t i = 0; i < count; i += 8)
        sum = vd_max(vd_abs(vd_load(values + i)), sum);
    return !(vd_max_lanes(sum) > 0.0);
}

/* Whether tier fast makes the power of all elements by products and one square root: it needs no
 * logarithm then. `gamma` is NaN if elements differ. */
FOCAL_BODY bool form_has_products(focal_kernel_tier tier, double gamma) {
    return tier == KERNEL_FAST && 2.0 * gamma <= 4.0 &&
           2.0 * gamma == (double)(int)(2.0 * gamma);
}

FOCAL_SHARED void form_power_products(const double *base, double gamma, double *power,
                                      size_t count) {
    uint32_t half_steps = (uint32_t)(2.0 * gamma);
    for (size_t i = 0; i < count; i += 8)
        vd_store(power + i, power_half_steps_f64(vd_load(base + i), half_steps));
}

FOCAL_SHARED void form_plain_powers(const form_pairs *log, const double *base,
                                    const double *gamma, double *power, size_t count) {
    for (size_t i = 0; i < count; i += 8) {
        vd exponent = vd_load(gamma + i);
        vd value = form_exp(vd_mul(exponent, vd_load(log->high + i)));
        vd_store(power + i, power_limits(value, vd_load(base + i), exponent));
    }
}

/* base^gamma; arrays have whole steps. `uniform` is the gamma of all elements, or NaN. */
FOCAL_BODY void form_powers(focal_kernel_tier tier, double uniform, form_way *way,
                            const form_pairs *log, const double *base, const double *gamma,
                            double *power, size_t count) {
    if (form_has_products(tier, uniform)) {
        form_power_products(base, uniform, power, count);
    } else if (form_all_zero(gamma, count)) {
        for (size_t i = 0; i < count; i += 8)
            vd_store(power + i, vd_set(1.0));
    } else if (tier == KERNEL_FAST) {
        form_plain_powers(log, base, gamma, power, count);
    } else if (tier == KERNEL_SLEEF) {
        for (size_t i = 0; i < count; i += 8)
            vd_store(power + i, vd_sleef_pow(vd_load(base + i), vd_load(gamma + i)));
    } else {
        form_power_arguments(way, log, gamma, count);
        form_power_rests(way, count);
        form_power_ends(way, base, gamma, power, count);
    }
}
