/* Elementary functions by tier, and the compensated arithmetic that the bodies share. */
#ifndef FOCAL_ELEMENTARY_H
#define FOCAL_ELEMENTARY_H

/* exp(a) for a <= 0, gradual underflow to 0; <= 1 ULP. */
FOCAL_BODY vf exp_negative(focal_kernel_tier tier, vf a) {
    (void)tier;
    return vf_sleef_exp(a);
}

/* log1p(e) for 0 <= e <= 1; <= 1 ULP. */
FOCAL_BODY vf log1p_unit(focal_kernel_tier tier, vf e) {
    (void)tier;
    return vf_sleef_log1p(e);
}

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

/* exp(high + low) for high <= 0 and |low| <= 2^-16 |high|: the rounding error of an argument of
 * size 80 alone would cost 40 ULP. Below -128 the result is 0 whatever `low` holds, and `low`
 * may be NaN there (infinity minus infinity). */
FOCAL_BODY vf exp_pair(focal_kernel_tier tier, vf2 a) {
    vf e = exp_negative(tier, a.high);
    vf low = vf_select(vm_lt(a.high, vf_set(-128.0F)), vf_set(0.0F), a.low);
    return vf_fma(e, low, e);
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
