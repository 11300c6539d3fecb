/* Elementary functions in double precision for the form kernels, most of them on pairs of doubles:
 * a power of gamma up to 1000 multiplies the relative error of its base by gamma.
 *
 * Tier sleef calls SLEEF, whose results are pairs without a low part. The others have functions of
 * their own: no branches, no tables, no estimates. The coefficients come from
 * tools/coefficients_f64.sollya; the first terms of each series are exact and are added in pairs. */
#ifndef FOCAL_ELEMENTARY_F64_H
#define FOCAL_ELEMENTARY_F64_H

/* ---- Pairs ---- */

/* A number as the unevaluated sum of two doubles, the low one below an ULP of the high one. */
typedef struct {
    vd high, low;
} vd2;

/* a + b without error, |a| >= |b|, a = 0, or a a multiple of b's last place (Dekker's Fast2Sum;
 * of the last: if |a| < |b|, high - a has that last place, too, and at most its bits). */
FOCAL_BODY vd2 exact_sum_ordered(vd a, vd b) {
    vd high = vd_add(a, b);
    return (vd2){high, vd_sub(b, vd_sub(high, a))};
}

/* a + b without error, any magnitudes (Knuth's TwoSum). */
FOCAL_BODY vd2 exact_sum(vd a, vd b) {
    vd high = vd_add(a, b);
    vd of_b = vd_sub(high, a);
    vd low = vd_add(vd_sub(a, vd_sub(high, of_b)), vd_sub(b, of_b));
    return (vd2){high, low};
}

FOCAL_BODY vd2 exact_product(vd a, vd b) {
    vd high = vd_mul(a, b);
    return (vd2){high, vd_residual(a, b, high)};
}

/* Relative errors of the pair operations: some 2^-104, of a sum relative to its terms. */
FOCAL_BODY vd2 pair_sum(vd2 a, vd2 b) {
    vd2 sum = exact_sum(a.high, b.high);
    return exact_sum_ordered(sum.high, vd_add(sum.low, vd_add(a.low, b.low)));
}

/* The same for |a| >= |b|, or a = 0. */
FOCAL_BODY vd2 pair_sum_ordered(vd2 a, vd2 b) {
    vd2 sum = exact_sum_ordered(a.high, b.high);
    return exact_sum_ordered(sum.high, vd_add(sum.low, vd_add(a.low, b.low)));
}

FOCAL_BODY vd2 pair_product(vd2 a, vd2 b) {
    vd2 product = exact_product(a.high, b.high);
    vd low = vd_fma(a.high, b.low, vd_fma(a.low, b.high, product.low));
    return exact_sum_ordered(product.high, low);
}

FOCAL_BODY vd2 pair_scale(vd2 a, vd b) {
    vd2 product = exact_product(a.high, b);
    return exact_sum_ordered(product.high, vd_fma(a.low, b, product.low));
}

/* 1 / a: the quotient, and what it leaves of 1 once more divided by a. */
FOCAL_BODY vd2 pair_reciprocal(vd2 a) {
    vd quotient = vd_div(vd_set(1.0), a.high);
    vd excess = vd_fma(quotient, a.low, vd_residual(quotient, a.high, vd_set(1.0)));
    return exact_sum_ordered(quotient, vd_neg(vd_mul(excess, quotient)));
}

FOCAL_BODY vd2 pair_negative(vd2 a) {
    return (vd2){vd_neg(a.high), vd_neg(a.low)};
}

FOCAL_BODY vd2 pair_select(vdm m, vd2 a, vd2 b) {
    return (vd2){vd_select(m, a.high, b.high), vd_select(m, a.low, b.low)};
}

FOCAL_BODY vdm is_zero(vd a) {
    return vdm_eq(a, vd_set(0.0));
}

/* ---- Exponentials ---- */

/* exp(a) = 2^n exp(r), a = n ln 2 + r. Arguments below EXP_CUT, where exp(a) rounds to 0, and above
 * EXP_TOP are cut, so that 2^(n + 64) is a normal number. NaN passes. */
#define EXP_CUT -750.0
#define EXP_TOP 660.0

typedef struct {
    vd2 r;
    vd scale; /* 2^(n + 64) */
} exp_argument_f64;

FOCAL_BODY exp_argument_f64 exp_reduce_cut_f64(vd high, vd low) {
    vd magic = vd_fma(high, vd_set(0x1.71547652b82fep0), vd_set(0x1.8p52 + 64.0));
    vd n = vd_sub(magic, vd_set(0x1.8p52 + 64.0));
    /* The products are exact: n has 11 bits, the parts of ln 2 have 42. The first difference is a
     * multiple of 2^-54 unless n = 0, and of the second's last place. */
    vd first = vd_fma(n, vd_set(-0x1.62e42fefa38p-1), high);
    vd2 r = exact_sum_ordered(first, vd_mul(n, vd_set(-0x1.ef35793c768p-45)));
    r.low = vd_add(r.low, vd_fma(n, vd_set(0x1.9ff0342542fc3p-90), low));
    r = exact_sum_ordered(r.high, r.low); /* the argument's low part may be an ULP of 700 */
    return (exp_argument_f64){r, vd_pow2_scale(vd_set(1.0), magic)};
}

/* Of a <= EXP_TOP. */
FOCAL_BODY exp_argument_f64 exp_reduce_f64(vd2 a) {
    vd cut = vd_set(EXP_CUT);
    vd low = vd_select(vdm_lt(cut, a.high), a.low, vd_set(0.0));
    return exp_reduce_cut_f64(vd_max(cut, a.high), low);
}

/* (exp(r) - 1 - r - r^2 / 2 - r^3 / 6) / r^3 */
FOCAL_BODY vd exp_rest(vd r) {
    vd p = vd_set(0x1.61ade70fadf7dp-33);
    p = vd_fma(p, r, vd_set(0x1.1f59096ce7c18p-29));
    p = vd_fma(p, r, vd_set(0x1.ae6437c9686eap-26));
    p = vd_fma(p, r, vd_set(0x1.27e4e96e60386p-22));
    p = vd_fma(p, r, vd_set(0x1.71de3a5822d26p-19));
    p = vd_fma(p, r, vd_set(0x1.a01a01a1c99c2p-16));
    p = vd_fma(p, r, vd_set(0x1.a01a01a019e07p-13));
    p = vd_fma(p, r, vd_set(0x1.6c16c16c16da1p-10));
    p = vd_fma(p, r, vd_set(0x1.1111111111111p-7));
    p = vd_fma(p, r, vd_set(0x1.5555555555555p-5));
    return vd_mul(p, r);
}

/* 1 / 2 + r / 6 + ..., relative error 2^-63: what is rounded to one double, `rest`, is below 2^-6. */
FOCAL_BODY vd2 exp_half(vd2 r, vd rest) {
    vd2 sixth = exact_sum_ordered(vd_set(0x1.5555555555555p-3), rest);
    sixth.low = vd_add(sixth.low, vd_set(0x1.5555555555555p-57));
    vd2 cubic = pair_product(r, sixth);
    vd2 half = exact_sum_ordered(vd_set(0.5), cubic.high);
    half.low = vd_add(half.low, cubic.low);
    return half;
}

/* exp(r) - 1 */
FOCAL_BODY vd2 exp_tail(vd2 r, vd2 square, vd2 half) {
    return pair_sum_ordered(r, pair_product(square, half));
}

/* Gradual underflow: results below 2^-1022 are rounded once more, down to 0. */
FOCAL_BODY vd exp_scaled_f64(vd value, vd scale) {
    return vd_mul(vd_mul(value, scale), vd_set(0x1p-64));
}

FOCAL_BODY vd2 exp_scaled_pair(vd2 tail, vd scale) {
    vd2 sum = exact_sum_ordered(vd_set(1.0), tail.high);
    return (vd2){exp_scaled_f64(sum.high, scale),
                 exp_scaled_f64(vd_add(sum.low, tail.low), scale)};
}

FOCAL_BODY vd2 exp_sleef(vd2 a) {
    vd e = vd_sleef_exp(a.high);
    vd low = vd_select(vdm_lt(vd_set(EXP_CUT), a.high), a.low, vd_set(0.0));
    return (vd2){vd_fma(e, low, e), vd_set(0.0)};
}

FOCAL_BODY vd2 exp_tail_of(vd2 r) {
    return exp_tail(r, pair_product(r, r), exp_half(r, exp_rest(r.high)));
}

/* exp(a) for a <= 0; relative error 2^-63, tier sleef 1 ULP. */
FOCAL_BODY vd2 exp_pair_f64(focal_kernel_tier tier, vd2 a) {
    if (tier == KERNEL_SLEEF)
        return exp_sleef(a);
    exp_argument_f64 argument = exp_reduce_f64(a);
    return exp_scaled_pair(exp_tail_of(argument.r), argument.scale);
}

/* The exponential of a reduced argument, rounded to one double: 0.8 ULP. */
FOCAL_BODY vd exp_reduced_f64(exp_argument_f64 argument, vd rest) {
    vd r = argument.r.high;
    vd p = vd_fma(vd_add(rest, vd_set(0x1.5555555555555p-3)), r, vd_set(0.5));
    vd tail = vd_add(r, vd_fma(vd_mul(r, r), p, argument.r.low));
    return exp_scaled_f64(vd_add(vd_set(1.0), tail), argument.scale);
}

/* exp(a) for a <= 660, rounded to one double. */
FOCAL_BODY vd exp_f64(vd2 a) {
    exp_argument_f64 argument = exp_reduce_f64((vd2){vd_min(vd_set(EXP_TOP), a.high), a.low});
    return exp_reduced_f64(argument, exp_rest(argument.r.high));
}

/* exp(a) - 1 for a <= 0, in [-1, 0]. */
FOCAL_BODY vd2 expm1_pair_f64(focal_kernel_tier tier, vd2 a) {
    vd zero = vd_set(0.0);
    if (tier == KERNEL_SLEEF) {
        vd e = vd_sleef_expm1(a.high);
        vd low = vd_select(vdm_lt(vd_set(EXP_CUT), a.high), a.low, zero);
        return (vd2){vd_fma(vd_add(e, vd_set(1.0)), low, e), zero};
    }
    exp_argument_f64 argument = exp_reduce_f64(a);
    vd2 tail = exp_tail_of(argument.r);
    vd scale = vd_mul(argument.scale, vd_set(0x1p-64));
    vd2 power = exact_sum_ordered(vd_set(-1.0), scale);
    return pair_sum_ordered(power, (vd2){vd_mul(tail.high, scale), vd_mul(tail.low, scale)});
}

/* ---- Logarithms ---- */

/* log1p(e) for 0 <= e <= 1, given quotient = e / (1 + e); relative error 2^-63.
 * As in elementary.h: with L = log1p(e), v = e quotient = 4 sinh^2(L / 2), s = e - v / 2 = sinh L,
 * the ratio L / s is 1 - v/6 + v^2/30 - ... */
typedef struct {
    vd2 v, s;
} log1p_argument_f64;

FOCAL_BODY log1p_argument_f64 log1p_argument(vd2 e, vd2 quotient) {
    vd2 v = pair_product(e, quotient);
    vd half = vd_set(-0.5);
    return (log1p_argument_f64){
        v, pair_sum_ordered(e, (vd2){vd_mul(half, v.high), vd_mul(half, v.low)})};
}

/* (L / s - 1 + v / 6 - v^2 / 30) / v^2 */
FOCAL_BODY vd log1p_rest(vd v) {
    vd p = vd_set(0x1.76c204b8231b9p-32);
    p = vd_fma(p, v, vd_set(-0x1.82df49500d4dcp-29));
    p = vd_fma(p, v, vd_set(0x1.e5734eccc55f7p-27));
    p = vd_fma(p, v, vd_set(-0x1.070fa9d402002p-24));
    p = vd_fma(p, v, vd_set(0x1.1495e81a8f5aap-22));
    p = vd_fma(p, v, vd_set(-0x1.2292b9ba53493p-20));
    p = vd_fma(p, v, vd_set(0x1.32ba11011a521p-18));
    p = vd_fma(p, v, vd_set(-0x1.45e5d1d744d17p-16));
    p = vd_fma(p, v, vd_set(0x1.5d2d189ef4705p-14));
    p = vd_fma(p, v, vd_set(-0x1.7a463005ded19p-12));
    p = vd_fma(p, v, vd_set(0x1.a01a01a019f59p-10));
    p = vd_fma(p, v, vd_set(-0x1.d41d41d41d41dp-8));
    return vd_mul(p, v);
}

/* (L / s - 1) / v */
FOCAL_BODY vd2 log1p_ratio(vd2 v, vd rest) {
    vd2 quadratic = exact_sum_ordered(vd_set(0x1.1111111111111p-5), rest);
    quadratic.low = vd_add(quadratic.low, vd_set(0x1.1111111111111p-61));
    vd2 linear = pair_product(v, quadratic);
    return pair_sum_ordered(
        (vd2){vd_set(-0x1.5555555555555p-3), vd_set(-0x1.5555555555555p-57)}, linear);
}

FOCAL_BODY vd2 log1p_of(log1p_argument_f64 a, vd2 ratio) {
    return pair_sum_ordered(a.s, pair_product(pair_product(a.s, a.v), ratio));
}

/* Tier sleef: 1 ULP. */
FOCAL_BODY vd2 log1p_pair_f64(focal_kernel_tier tier, vd2 e, vd2 quotient) {
    if (tier == KERNEL_SLEEF)
        return (vd2){vd_sleef_log1p(e.high), vd_set(0.0)};
    log1p_argument_f64 argument = log1p_argument(e, quotient);
    return log1p_of(argument, log1p_ratio(argument.v, log1p_rest(argument.v.high)));
}

/* a = 2^k m with m in [1/sqrt 2, sqrt 2), log m = 2 atanh(s), s = (m - 1) / (m + 1). */
typedef struct {
    vd2 s;
    vd k;
} log_argument_f64;

FOCAL_BODY log_argument_f64 log_argument(vd2 a) {
    vd one = vd_set(1.0), half = vd_set(0.5), k = vd_exponent(a.high);
    vd unscale = vd_pow2_scale(one, vd_sub(vd_set(0x1.8p52), k));
    vd2 m = {vd_mantissa(a.high), vd_mul(a.low, unscale)};
    vdm upper = vdm_lt(vd_set(0x1.6a09e667f3bcdp+0), m.high);
    m = pair_select(upper, (vd2){vd_mul(m.high, half), vd_mul(m.low, half)}, m);
    k = vd_select(upper, vd_add(k, one), k);
    /* Multiples of the last place of m's parts. */
    vd2 above = exact_sum_ordered(vd_sub(m.high, one), m.low);
    vd2 below = exact_sum_ordered(one, m.high);
    below.low = vd_add(below.low, m.low);
    return (log_argument_f64){pair_product(above, pair_reciprocal(below)), k};
}

/* (atanh(s) / s - 1 - z / 3) / z of z = s^2 */
FOCAL_BODY vd log_rest(vd z) {
    vd p = vd_set(0x1.e5483d7435cc6p-5);
    p = vd_fma(p, z, vd_set(0x1.deeb1e79022b6p-5));
    p = vd_fma(p, z, vd_set(0x1.111c0a9e0dbd1p-4));
    p = vd_fma(p, z, vd_set(0x1.3b1382b1190a9p-4));
    p = vd_fma(p, z, vd_set(0x1.745d17b7343ap-4));
    p = vd_fma(p, z, vd_set(0x1.c71c71c686702p-4));
    p = vd_fma(p, z, vd_set(0x1.249249249277ep-3));
    p = vd_fma(p, z, vd_set(0x1.9999999999999p-3));
    return vd_mul(p, z);
}

/* log(a); `of` is a's high part, whose NaN and infinity it takes over. */
FOCAL_BODY vd2 log_of(log_argument_f64 a, vd2 z, vd rest, vd of) {
    vd2 third = exact_sum_ordered(vd_set(0x1.5555555555555p-2), rest);
    third.low = vd_add(third.low, vd_set(0x1.5555555555555p-56));
    vd2 twice = {vd_add(a.s.high, a.s.high), vd_add(a.s.low, a.s.low)};
    vd2 log_m = pair_sum_ordered(twice, pair_product(pair_product(twice, z), third));
    vd2 log_scale = exact_sum_ordered(vd_mul(a.k, vd_set(0x1.62e42fefa38p-1)),
                                      vd_mul(a.k, vd_set(0x1.ef35793c768p-45)));
    vd2 result = pair_sum_ordered(log_scale, log_m);
    return (vd2){vd_add(result.high, vd_sub(of, of)), result.low};
}

/* log(a) for normal a > 0, finite nonsense for 0; relative error 2^-63, also near 1, where a's low
 * part decides; tier sleef 1 ULP of the high part's logarithm. */
FOCAL_BODY vd2 log_pair_f64(focal_kernel_tier tier, vd2 a) {
    if (tier == KERNEL_SLEEF)
        return (vd2){vd_sleef_log(a.high), vd_set(0.0)};
    log_argument_f64 argument = log_argument(a);
    vd2 z = pair_product(argument.s, argument.s);
    return log_of(argument, z, log_rest(z.high), a.high);
}

/* ---- Powers ---- */

FOCAL_BODY vd power_limits(vd power, vd base, vd gamma) {
    power = vd_select(is_zero(base), vd_set(0.0), power);
    return vd_select(is_zero(gamma), vd_set(1.0), power);
}

/* base^gamma for 0 <= base <= 1 and gamma >= 0, given base's logarithm: 1.3 ULP for any gamma in
 * [0, 1000], tier sleef 1 ULP of the power of the double that it is given. 0^0 = 1. */
FOCAL_BODY vd power_pair_f64(focal_kernel_tier tier, vd base, vd2 log_base, vd gamma) {
    if (tier == KERNEL_SLEEF)
        return vd_sleef_pow(base, gamma);
    return power_limits(exp_f64(pair_scale(log_base, gamma)), base, gamma);
}

#endif
