/* What a sum costs that promises nothing: one vector of f32 lanes, never widened, no blocks. In
 * the place of kernels/sum.h, with its names, so that the kernels around it stay the same. */
#ifndef FOCAL_SUM_H
#define FOCAL_SUM_H

enum { SUM_RUN = 512 };

typedef struct {
    vf lanes;
} vsum;

FOCAL_BODY vsum vsum_zero(void) {
    return (vsum){vf_set(0.0F)};
}

FOCAL_BODY void vsum_step(vsum *sum, vf terms) {
    sum->lanes = vf_add(sum->lanes, terms);
}

FOCAL_BODY void vsum_fold(vsum *sum) {
    (void)sum;
}

FOCAL_BODY double vsum_total(const vsum *sum) {
    return vd_sum_lanes(vd_add(vd_widen_low(sum->lanes), vd_widen_high(sum->lanes)));
}

FOCAL_SHARED double vsum_array(const float *terms, size_t count) {
    vsum sum = vsum_zero();
    size_t i = 0;
    for (; i + FOCAL_STEP <= count; i += FOCAL_STEP)
        vsum_step(&sum, vf_load(terms + i));
    if (i < count)
        vsum_step(&sum, vf_load_n(terms + i, count - i));
    return vsum_total(&sum);
}

#endif
