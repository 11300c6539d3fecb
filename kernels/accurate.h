/* Elementary functions of tier accurate on floats: in double, but only as exact as a result needs
 * that is rounded to float. 0.01 ULP of float is 2^-30.6; exp enters sigmoid's results with up to
 * 1 + gamma times its relative error. Coefficients are minimax (Sollya's fpminimax,
 * tools/coefficients_accurate.sollya). */
#ifndef FOCAL_ACCURATE_H
#define FOCAL_ACCURATE_H

/* Arguments are cut here: what is left, 2^-346, is 0 as a float even times the largest upstream
 * factor. */
#define ACCURATE_EXP_CUT (-240.0F)

/* Of exp(a) for ACCURATE_EXP_CUT <= a <= 0, relative error 2^-34. NaN stays NaN: its low 12 bits,
 * which the integer addition would move to the exponent, are clear in one that was a float. */
FOCAL_BODY exp_argument_vd accurate_exp_reduce(vd a) {
    vd shift = vd_set(0x1.8p52);
    vd magic = vd_fma(a, vd_set(0x1.71547652b82fep+0), shift);
    return (exp_argument_vd){vd_fma(vd_sub(magic, shift), vd_set(-0x1.62e42fefa39efp-1), a),
                             magic};
}

static const double accurate_exp_coefficients[] = {
    0x1.9dda6d38e0e37p-13, 0x1.6d96c38b47155p-10, 0x1.1113b3cada256p-7, 0x1.55547fc89982ep-5,
    0x1.55555291e3a9ap-3,  0x1.00000043850ffp-1,  0x1.00000001607a8p+0, 1.0};
enum { ACCURATE_EXP_COEFFICIENTS = sizeof accurate_exp_coefficients / sizeof(double) };

/* `count` exponentials, 1 or 2, which take turns: the chain of one is several times as long as its
 * share of the execution units. */
FOCAL_BODY void accurate_exp_reduced(size_t count, const exp_argument_vd *of, vd *e) {
    for (size_t k = 0; k < count; k++)
        e[k] = vd_set(accurate_exp_coefficients[0]);
    for (size_t j = 1; j < ACCURATE_EXP_COEFFICIENTS; j++)
        for (size_t k = 0; k < count; k++)
            e[k] = vd_fma(e[k], of[k].r, vd_set(accurate_exp_coefficients[j]));
    for (size_t k = 0; k < count; k++)
        e[k] = vd_pow2_scale(e[k], of[k].magic);
}

/* exp(a) for a <= 0, cut. */
FOCAL_BODY vd accurate_exp(vd a) {
    a = vd_max(vd_set((double)ACCURATE_EXP_CUT), a);
    exp_argument_vd reduced = accurate_exp_reduce(a);
    vd e;
    accurate_exp_reduced(1, &reduced, &e);
    return e;
}

/* log1p(e) for 0 <= e <= 1 given smaller = e / (1 + e), relative error 2^-34: with v = e * smaller,
 * e - v/2 is sinh log1p(e), and the ratio of the two a function of v (see logistic_of_exp). */
FOCAL_BODY vd accurate_log1p(vd e, vd smaller) {
    vd v = vd_mul(e, smaller);
    /* v / 2 by its exponent: exact, and spares the multipliers, which bound the speed. */
    vd sinh_l = vd_sub(e, vd_pow2_scale(v, vd_set(0x1.8p52 - 1.0)));
    vd p = vd_set(0x1.f44aea8e9df8fp-15);
    p = vd_fma(p, v, vd_set(-0x1.6d5e0ed08407cp-12));
    p = vd_fma(p, v, vd_set(0x1.9f4c4976ea41fp-10));
    p = vd_fma(p, v, vd_set(-0x1.d417632a86437p-8));
    p = vd_fma(p, v, vd_set(0x1.1111092e44d1ep-5));
    p = vd_fma(p, v, vd_set(-0x1.55555551e4e4bp-3));
    return vd_fma(vd_mul(sinh_l, v), p, sinh_l);
}

#endif
