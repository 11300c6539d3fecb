/* Elementary functions by tier, and the compensated arithmetic that the bodies share.
 *
 * Tier sleef calls SLEEF. Tier fast has its own: no branches, no tables, no estimates, only
 * operations that every ISA rounds alike. Its coefficients are minimax (Sollya's fpminimax,
 * relative error, coefficients in the working format); the errors given are of approximation
 * and rounding together where enumerated, else of approximation. */
#ifndef FOCAL_ELEMENTARY_H
#define FOCAL_ELEMENTARY_H

/* A number as the unevaluated sum of two floats. */
typedef struct {
    vf high, low;
} vf2;

/* a + b without error, |a| >= |b| (Dekker's Fast2Sum). */
FOCAL_BODY vf2 sum_ordered(vf a, vf b) {
    vf high = vf_add(a, b);
    return (vf2){high, vf_sub(b, vf_sub(high, a))};
}

/* a - b without error, any magnitudes (Knuth's TwoSum). */
FOCAL_BODY vf2 difference(vf a, vf b) {
    vf high = vf_sub(a, b);
    vf minus_b = vf_sub(high, a);
    vf low = vf_sub(vf_sub(a, vf_sub(high, minus_b)), vf_add(b, minus_b));
    return (vf2){high, low};
}

/* The reduced argument of an exponential: exp(a) = 2^n exp(r); the last bits of `magic` hold n. */
typedef struct {
    vf r, magic;
} exp_argument;

/* The same in double. */
typedef struct {
    vd r, magic;
} exp_argument_vd;

/* n = round(a / ln 2) by adding shift = 1.5 * 2^23 + k, whose last bits then hold n + k;
 * r = a - n ln 2 with ln 2 in two floats. */
FOCAL_BODY exp_argument exp_reduce(vf a, vf shift) {
    vf magic = vf_fma(a, vf_set(0x1.715476p+0F), shift);
    vf n = vf_sub(magic, shift);
    vf r = vf_fma(n, vf_set(-0x1.62e430p-1F), a);
    return (exp_argument){vf_fma(n, vf_set(0x1.05c61p-29F), r), magic};
}

/* exp(r) for |r| <= ln 2 / 2, highest power first; <= 0.9 ULP. */
enum { EXP_COEFFICIENTS = 7 };
static const float exp_coefficients[EXP_COEFFICIENTS] = {
    0x1.6874b6p-10F, 0x1.123e84p-7F, 0x1.555b7cp-5F, 0x1.55548ap-3F, 0x1.fffff8p-2F, 1.0F, 1.0F,
};

/* The exponential of a reduced argument times `factor`, a power of two. It must be normal; NaN may
 * become anything. */
FOCAL_BODY vf exp_reduced_times(exp_argument a, float factor) {
    vf p = vf_set(exp_coefficients[0] * factor);
    p = vf_fma(p, a.r, vf_set(exp_coefficients[1] * factor));
    p = vf_fma(p, a.r, vf_set(exp_coefficients[2] * factor));
    p = vf_fma(p, a.r, vf_set(exp_coefficients[3] * factor));
    p = vf_fma(p, a.r, vf_set(exp_coefficients[4] * factor));
    p = vf_fma(p, a.r, vf_set(exp_coefficients[5] * factor));
    p = vf_fma(p, a.r, vf_set(exp_coefficients[6] * factor));
    return vf_pow2_scale(p, a.magic);
}

FOCAL_BODY vf exp_reduced(exp_argument a) {
    return exp_reduced_times(a, 1.0F);
}

/* What is left of an exponential: exp(a) = value * 2^-64, plus NaN if a is NaN. */
typedef struct {
    vf value;
    vf nan; /* NaN or 0. The integer addition that makes `value` could turn NaN finite. */
} scaled_exp;

/* The argument of exp(a) 2^64 for a <= 0. The factor keeps full precision down to exp(-131), where a
 * is cut: the value there is far below half the least subnormal. NaN passes the cut, being the second
 * operand. */
FOCAL_BODY exp_argument exp_reduce_scaled(vf a) {
    return exp_reduce(vf_max(vf_set(-131.0F), a), vf_set(0x1.8p23F + 64.0F));
}

FOCAL_BODY scaled_exp exp_scaled_reduced(exp_argument reduced) {
    return (scaled_exp){exp_reduced(reduced), vf_sub(reduced.r, reduced.r)};
}

/* exp(high + low) * 2^64 for high <= 0, |low| <= 2^-16 |high|, `low` finite or NULL. */
FOCAL_BODY scaled_exp exp_scaled(vf high, const vf *low) {
    exp_argument reduced = exp_reduce_scaled(high);
    if (low)
        reduced.r = vf_add(reduced.r, *low);
    return exp_scaled_reduced(reduced);
}

/* Without the factor: results below 2^-126 are rounded once, gradually, down to 0. */
FOCAL_BODY vf exp_unscaled(scaled_exp e) {
    return vf_fma(e.value, vf_set(0x1p-64F), e.nan);
}

FOCAL_BODY vf exp_fast(vf high, const vf *low) {
    return exp_unscaled(exp_scaled(high, low));
}

/* exp(high + low) for high <= 0 and |low| <= 2^-16 |high|: the rounding error of an argument of
 * size 80 alone would cost 40 ULP. */
FOCAL_BODY vf exp_pair(focal_kernel_tier tier, vf2 a) {
    if (tier == KERNEL_FAST)
        return exp_fast(a.high, &a.low);
    vf e = vf_sleef_exp(a.high);
    return vf_fma(e, a.low, e);
}

/* Of 0 <= e <= 1, e = exp(-|x|): the lesser of p and 1 - p, which is e / (1 + e), and log1p(e). */
typedef struct {
    vf smaller, log1p_e;
} sigmoid_logistic;

/* Smaller <= 0.9 ULP where e <= 1/4 and <= 1.5, log1p(e) <= 2.1, of e as given; sleef <= 1.5 and 1. The fast
 * form has one division for both, v = e^2 / (1 + e): smaller is e - v, where the rounding of 1 + e
 * weighs but e, and as v = 4 sinh^2(L/2) with L = log1p(e), e - v/2 = sinh L, the ratio of L to it is
 * a function of v alone, and smooth enough for degree 4. */
FOCAL_BODY sigmoid_logistic logistic_of_exp(focal_kernel_tier tier, vf e) {
    vf one = vf_set(1.0F);
    if (tier == KERNEL_SLEEF)
        return (sigmoid_logistic){vf_div(e, vf_add(one, e)), vf_sleef_log1p(e)};
    vf v = vf_div(vf_mul(e, e), vf_add(one, e));
    vf sinh_l = vf_fma(v, vf_set(-0.5F), e);
    vf p = vf_set(0x1.3f5bc8p-10F);
    p = vf_fma(p, v, vf_set(-0x1.ca8c1ep-8F));
    p = vf_fma(p, v, vf_set(0x1.10dfdap-5F));
    p = vf_fma(p, v, vf_set(-0x1.5554b6p-3F));
    return (sigmoid_logistic){vf_sub(e, v), vf_fma(vf_mul(p, v), sinh_l, sinh_l)};
}

/* The f64 functions serve once per row, where the result is rounded to f32: 2^-34 is enough for
 * the fast tier. */

/* exp(a) for a <= 0, cut at -700; relative error 2^-39. */
FOCAL_BODY vd exp_negative_f64(focal_kernel_tier tier, vd a) {
    if (tier == KERNEL_SLEEF)
        return vd_sleef_exp(a);
    vd shift = vd_set(0x1.8p52);
    a = vd_max(vd_set(-700.0), a);
    vd magic = vd_fma(a, vd_set(0x1.71547652b82fep+0), shift);
    vd n = vd_sub(magic, shift);
    vd r = vd_fma(n, vd_set(-0x1.62e42fefa39efp-1), a);
    r = vd_fma(n, vd_set(-0x1.abc9e3b39803fp-56), r);
    vd p = vd_set(0x1.9f5eea93e9c16p-16);
    p = vd_fma(p, r, vd_set(0x1.a1a80f7c565fcp-13));
    p = vd_fma(p, r, vd_set(0x1.6c182308dcbbdp-10));
    p = vd_fma(p, r, vd_set(0x1.111082b9a8d1bp-7));
    p = vd_fma(p, r, vd_set(0x1.5555546e0fb7dp-5));
    p = vd_fma(p, r, vd_set(0x1.555555a077bcfp-3));
    p = vd_fma(p, r, vd_set(0x1.000000004f1b6p-1));
    p = vd_fma(p, r, vd_set(0x1.ffffffffd56d1p-1));
    p = vd_fma(p, r, vd_set(1.0));
    return vd_add(vd_pow2_scale(p, magic), vd_sub(a, a));
}

/* log(a) for normal a > 0 (0 gives about -709); relative error 2^-42, absolute 2^-50 near 1.
 * a = 2^k m with m in [1/sqrt 2, sqrt 2), log m = 2 atanh((m - 1) / (m + 1)). */
FOCAL_BODY vd log_f64(focal_kernel_tier tier, vd a) {
    if (tier == KERNEL_SLEEF)
        return vd_sleef_log(a);
    vd m = vd_mantissa(a), k = vd_exponent(a), one = vd_set(1.0);
    vdm upper = vdm_lt(vd_set(0x1.6a09e667f3bcdp+0), m);
    m = vd_select(upper, vd_mul(m, vd_set(0.5)), m);
    k = vd_select(upper, vd_add(k, one), k);
    vd s = vd_div(vd_sub(m, one), vd_add(m, one));
    vd z = vd_mul(s, s);
    vd p = vd_set(0x1.8c8ea304ec016p-3);
    p = vd_fma(p, z, vd_set(0x1.c67ab35bcc01cp-3));
    p = vd_fma(p, z, vd_set(0x1.2493243fb942bp-2));
    p = vd_fma(p, z, vd_set(0x1.999998ca73466p-2));
    p = vd_fma(p, z, vd_set(0x1.5555555564f97p-1));
    vd log_m = vd_fma(vd_mul(s, z), p, vd_add(s, s));
    vd result = vd_fma(k, vd_set(0x1.62e42fefa39efp-1), log_m);
    return vd_add(result, vd_sub(a, a));
}

/* log1p(w) for 0 <= w <= 1 given quotient = w / (1 + w); relative error 2^-34. */
FOCAL_BODY vd log1p_unit_f64(focal_kernel_tier tier, vd w, vd quotient) {
    if (tier == KERNEL_SLEEF)
        return vd_sleef_log1p(w);
    vd v = vd_mul(w, quotient);
    vd s = vd_fma(v, vd_set(-0.5), w);
    vd p = vd_set(0x1.f44bbb324d233p-15);
    p = vd_fma(p, v, vd_set(-0x1.6d5e2c10965aap-12));
    p = vd_fma(p, v, vd_set(0x1.9f4c4c4c227e2p-10));
    p = vd_fma(p, v, vd_set(-0x1.d4176346b6af2p-8));
    p = vd_fma(p, v, vd_set(0x1.1111092e74d39p-5));
    p = vd_fma(p, v, vd_set(-0x1.55555551e4fe1p-3));
    return vd_fma(vd_mul(s, v), p, s);
}

/* base^exponent for 0 <= base <= 1 and exponent > 0. */
FOCAL_BODY vd power_f64(focal_kernel_tier tier, vd base, vd exponent) {
    if (tier == KERNEL_SLEEF)
        return vd_sleef_pow(base, exponent);
    return exp_negative_f64(tier, vd_mul(exponent, log_f64(tier, base)));
}

/* base^(half_steps / 2), by products and one square root; half_steps is uniform. */
FOCAL_BODY vf power_half_steps(vf base, uint32_t half_steps) {
    vf power = half_steps & 1 ? vf_sqrt(base) : vf_set(1.0F);
    for (uint32_t i = 0; i < half_steps / 2; i++)
        power = vf_mul(power, base);
    return power;
}

FOCAL_BODY vd power_half_steps_f64(vd base, uint32_t half_steps) {
    vd power = half_steps & 1 ? vd_sqrt(base) : vd_set(1.0);
    for (uint32_t i = 0; i < half_steps / 2; i++)
        power = vd_mul(power, base);
    return power;
}

#endif
