/* The summation contract, shared by every kernel: the same tree on every ISA, at every unroll.
 *
 * Step s of a run (16 elements) is added to one of two f32 vectors, even or odd. Every 32 steps
 * the two are added, widened and added to 16 f64 lanes, which bounds a lane's f32 chain to 16
 * additions: relative error <= 16 * 2^-24 = 9.6e-7 for terms of one sign, about 1e-7 in
 * practice. At the end lanes j and j + 8 are added, then halves, as vd_sum_lanes does. Which of
 * the two vectors a step meets does not matter for their sum, so one step per iteration may
 * swap them instead. */
#ifndef FOCAL_SUM_H
#define FOCAL_SUM_H

enum { SUM_RUN = 512 };

typedef struct {
    vf even, odd;
    vd low, high;
} vsum;

FOCAL_BODY vsum vsum_zero(void) {
    return (vsum){vf_set(0.0F), vf_set(0.0F), vd_set(0.0), vd_set(0.0)};
}

FOCAL_BODY void vsum_step(vsum *sum, vf terms) {
    vf updated = vf_add(sum->even, terms);
    sum->even = sum->odd;
    sum->odd = updated;
}

/* To be called after every SUM_RUN elements and at the end. */
FOCAL_BODY void vsum_fold(vsum *sum) {
    vf lanes = vf_add(sum->even, sum->odd);
    sum->low = vd_add(sum->low, vd_widen_low(lanes));
    sum->high = vd_add(sum->high, vd_widen_high(lanes));
    sum->even = sum->odd = vf_set(0.0F);
}

FOCAL_BODY double vsum_total(const vsum *sum) {
    return vd_sum_lanes(vd_add(sum->low, sum->high));
}

/* The sum of an array, for row losses. */
FOCAL_SHARED double vsum_array(const float *terms, size_t count) {
    vsum sum = vsum_zero();
    for (size_t i = 0; i < count; i += SUM_RUN) {
        size_t end = i + SUM_RUN < count ? i + SUM_RUN : count;
        size_t j = i;
        for (; j + FOCAL_STEP <= end; j += FOCAL_STEP)
            vsum_step(&sum, vf_load(terms + j));
        if (j < end)
            vsum_step(&sum, vf_load_n(terms + j, end - j));
        vsum_fold(&sum);
    }
    return vsum_total(&sum);
}

#endif
