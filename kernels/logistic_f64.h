/* The exponential and the logistic pair in plain doubles, for the kernel of the plain focal loss in
 * double: elementary.h's fused formulation with more terms. tools/coefficients_f64.sollya makes the
 * coefficients. Polynomials are cut into even and odd halves, whose chains overlap. */
#ifndef FOCAL_LOGISTIC_F64_H
#define FOCAL_LOGISTIC_F64_H

/* Of exp(a) for a <= 0; 1 ULP where the result is normal. With `normal` arguments below -708 are cut
 * there and a NaN may become anything; else results underflow gradually and NaN passes. */
FOCAL_BODY exp_argument_vd plain_exp_reduce(bool normal, vd a) {
    vd shift = vd_set(normal ? 0x1.8p52 : 0x1.8p52 + 64.0);
    a = vd_max(vd_set(normal ? -708.0 : EXP_CUT), a);
    vd magic = vd_fma(a, vd_set(0x1.71547652b82fep0), shift);
    vd n = vd_sub(magic, shift);
    /* The first product is exact: n has 11 bits, this part of ln 2 has 42. */
    vd r = vd_fma(n, vd_set(-0x1.62e42fefa38p-1), a);
    return (exp_argument_vd){vd_fma(n, vd_set(-0x1.ef35793c7673p-45), r), magic};
}

FOCAL_BODY vd plain_exp_reduced(bool normal, exp_argument_vd argument) {
    vd r = argument.r, square = vd_mul(r, r);
    vd even = vd_fma(vd_set(0x1.2891d2916032bp-22), square, vd_set(0x1.a019b8b7aa0f6p-16));
    vd odd = vd_fma(vd_set(0x1.af61c08e9711ep-26), square, vd_set(0x1.71ddf787588eap-19));
    even = vd_fma(even, square, vd_set(0x1.6c16c178ab652p-10));
    odd = vd_fma(odd, square, vd_set(0x1.a01a01afb724fp-13));
    even = vd_fma(even, square, vd_set(0x1.5555555553cd9p-5));
    odd = vd_fma(odd, square, vd_set(0x1.111111110f8dbp-7));
    even = vd_fma(even, square, vd_set(0x1.0000000000001p-1));
    odd = vd_fma(odd, square, vd_set(0x1.5555555555558p-3));
    vd tail = vd_fma(vd_fma(odd, r, even), square, r);
    vd value = vd_pow2_scale(vd_add(vd_set(1.0), tail), argument.magic);
    return normal ? value : vd_fma(value, vd_set(0x1p-64), vd_sub(r, r));
}

/* Of 0 <= e <= 1, e = exp(-|x|): e / (1 + e), the lesser of p and 1 - p, and log1p(e), both by one
 * division; elementary.h says how. */
typedef struct {
    vd smaller, log1p_e;
} logistic_f64;

FOCAL_BODY logistic_f64 logistic_of_exp_f64(vd e) {
    vd v = vd_div(vd_mul(e, e), vd_add(vd_set(1.0), e));
    vd sinh_l = vd_fma(v, vd_set(-0.5), e), square = vd_mul(v, v);
    vd even = vd_fma(vd_set(-0x1.0607a6bc2dbcbp-20), square, vd_set(-0x1.458e5852678b6p-16));
    vd odd = vd_fma(vd_set(0x1.3867d245e279cp-23), square, vd_set(0x1.2ec21e89bd73fp-18));
    even = vd_fma(even, square, vd_set(-0x1.7a4607e09b0b8p-12));
    odd = vd_fma(odd, square, vd_set(0x1.5d285f2d19a53p-14));
    even = vd_fma(even, square, vd_set(-0x1.d41d41d227041p-8));
    odd = vd_fma(odd, square, vd_set(0x1.a01a00da4ae55p-10));
    even = vd_fma(even, square, vd_set(-0x1.5555555555552p-3));
    odd = vd_fma(odd, square, vd_set(0x1.1111111110108p-5));
    vd p = vd_fma(odd, v, even);
    return (logistic_f64){vd_sub(e, v), vd_fma(vd_mul(p, v), sinh_l, sinh_l)};
}

#endif
