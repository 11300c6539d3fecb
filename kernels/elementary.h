/* Elementary functions by tier, and the compensated arithmetic that the bodies share.
 *
 * Tier sleef calls SLEEF. Tier fast has its own: no branches, no estimates, no table but eight
 * numbers that fit into a register, only operations that every ISA rounds alike. Its coefficients are
 * minimax (Sollya's fpminimax, relative error, coefficients in the working format; those of exp were then
 * moved by last bits to lessen its largest error, tools/coefficients_exp.py); the errors given are of approximation and rounding
 * together where enumerated, else of approximation. */
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

/* The reduced argument of an exponential: exp(a) = 2^(n / 8) exp(r); the last bits of `magic` hold n
 * and what the shift adds. */
typedef struct {
    vf r, magic;
} exp_argument;

/* The same in double, with 2^n. */
typedef struct {
    vd r, magic;
} exp_argument_vd;

/* Arguments that take turns, at most: the chain of one is several times as long as its share of the
 * execution units. */
enum { EXP_TURNS = 4 };

/* Shifts for exp(a) and for exp(a) 2^64. */
#define EXP_SHIFT    0x1.8p23F
#define EXP_SHIFT_64 (EXP_SHIFT + 512.0F)

/* n = round(8 a / ln 2) by adding shift = 1.5 * 2^23 + 8 k, whose last bits then hold n + 8 k;
 * r = a - n ln 2 / 8 with ln 2 in two floats. */
FOCAL_BODY void exp_reduce_each(size_t count, const vf *a, vf shift, exp_argument *reduced) {
    vf n[EXP_TURNS];
    for (size_t k = 0; k < count; k++)
        reduced[k].magic = vf_fma(a[k], vf_set(0x1.715476p+3F), shift);
    for (size_t k = 0; k < count; k++)
        n[k] = vf_sub(reduced[k].magic, shift);
    for (size_t k = 0; k < count; k++)
        reduced[k].r = vf_fma(n[k], vf_set(-0x1.62e430p-4F), a[k]);
    for (size_t k = 0; k < count; k++)
        reduced[k].r = vf_fma(n[k], vf_set(0x1.05c61p-32F), reduced[k].r);
}

FOCAL_BODY exp_argument exp_reduce(vf a, vf shift) {
    exp_argument reduced;
    exp_reduce_each(1, &a, shift, &reduced);
    return reduced;
}

/* C 2^(j / 8) for j = 0 ... 7 times `factor`, the bits less j << 20, so that adding n << 20 makes
 * C 2^(n / 8). C = 0.99744 is the number near 1 for which all eight come closest to floats: they are
 * off by 2^-28.4 at most, where those of C = 1 would be by 2^-24.9. */
#define EXP_ROOTS(factor)                                                                      \
    {                                                                                          \
        0x1.feb052p-1F * (factor), 0x1.f6747cp-1F * (factor), 0x1.efa848p-1F * (factor),       \
            0x1.eb2404p-1F * (factor), 0x1.e91c8ap-1F * (factor), 0x1.e9cb7cp-1F * (factor),   \
            0x1.ed6fb4p-1F * (factor), 0x1.f44dbcp-1F * (factor)                               \
    }
static const float exp_roots[8] = EXP_ROOTS(1.0F);
static const float exp_roots_small[8] = EXP_ROOTS(0x1p-64F);

/* exp(r) / C - 1 for |r| <= ln 2 / 16, highest power first; exp <= 0.9 ULP. */
enum { EXP_COEFFICIENTS = 4 };
static const float exp_coefficients[EXP_COEFFICIENTS] = {
    0x1.562bbap-3F,
    0x1.00b28p-1F,
    0x1.00a846p0F,
    0x1.508a04p-9F,
};

/* The exponentials of reduced arguments times 2^k of the shift and the factor of `roots`. They must be
 * normal. NaN stays: the integers may make anything of it, but r does not. In use are
 *     EXP_SHIFT,    exp_roots:       exp(a), a >= -87
 *     EXP_SHIFT_64, exp_roots:       exp(a) 2^64, a >= -131
 *     EXP_SHIFT_64, exp_roots_small: exp(a) of moderate logits (softmax_moderate.body.h) */
FOCAL_BODY void exp_reduced_each(size_t count, const exp_argument *reduced, const float *roots,
                                 vf *e) {
    vf root[EXP_TURNS];
    for (size_t k = 0; k < count; k++)
        e[k] = vf_set(exp_coefficients[0]);
    for (size_t j = 1; j < EXP_COEFFICIENTS; j++)
        for (size_t k = 0; k < count; k++)
            e[k] = vf_fma(e[k], reduced[k].r, vf_set(exp_coefficients[j]));
    for (size_t k = 0; k < count; k++)
        root[k] = vf_pow2_eighths(roots, reduced[k].magic);
    for (size_t k = 0; k < count; k++)
        e[k] = vf_fma(root[k], e[k], root[k]);
}

FOCAL_BODY vf exp_reduced(exp_argument reduced, const float *roots) {
    vf e;
    exp_reduced_each(1, &reduced, roots, &e);
    return e;
}

/* exp(high + low) 2^64 for high <= 0, |low| <= 2^-20 |high|, `low` finite or NULL. The factor keeps full
 * precision down to exp(-131), where `high` is cut: the value there is far below half the least
 * subnormal. NaN passes the cut, being the second operand. */
FOCAL_BODY vf exp_scaled(vf high, const vf *low) {
    exp_argument reduced = exp_reduce(vf_max(vf_set(-131.0F), high), vf_set(EXP_SHIFT_64));
    if (low)
        reduced.r = vf_add(reduced.r, *low);
    return exp_reduced(reduced, exp_roots);
}

/* Without the factor: results below 2^-126 are rounded once, gradually, down to 0. */
FOCAL_BODY vf exp_fast(vf high, const vf *low) {
    return vf_mul(exp_scaled(high, low), vf_set(0x1p-64F));
}

/* exp(high + low) for high <= 0 and |low| <= 2^-20 |high|: the rounding error of an argument of
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
