/* The exponentials of a softmax row in one pass, without its maximum: for moderate logits, which
 * most rows have.
 *
 * With x = n ln 2 / 8 + r all terms exp(x) = 2^(n / 8) exp(r) of a row with -512 <= n < 512 are normal floats,
 * and so are their sums; the row arithmetic needs no more than the ratio of label to others. Whether n
 * stays within the range, NaN and infinities included, shows in the bits that hold it, which are
 * gathered on the way. Traffic: the row once, 4 bytes written per gradient. */

/* Elements between two widenings of the sum. Each step of a quad, each of the two f32 vectors and of
 * the quads is a pair, so equal terms add without error: 1000 equal others, as of a new network,
 * were off by 4.2 ULP of 1 - p_t with chains of 16. */
enum { MODERATE_RUN = 256, MODERATE_QUAD = 4 * FOCAL_STEP };

/* All bits set but for those of element MODERATE_RUN: a sliding window over it leaves out the label. */
#define ONES_16  ~0U, ~0U, ~0U, ~0U, ~0U, ~0U, ~0U, ~0U, ~0U, ~0U, ~0U, ~0U, ~0U, ~0U, ~0U, ~0U
#define ONES_64  ONES_16, ONES_16, ONES_16, ONES_16
#define ONES_256 ONES_64, ONES_64, ONES_64, ONES_64
static const union {
    uint32_t bits[2 * MODERATE_RUN + 1];
    float values[2 * MODERATE_RUN + 1];
} moderate_window = {{ONES_256, 0U, ONES_256}};
#undef ONES_16
#undef ONES_64
#undef ONES_256

/* 1.5 * 2^23 + 512 + n for n = -512 ... 511 differs from 1.5 * 2^23 in the last ten bits alone. As an
 * exponent it is too great by 64, which the roots make up for. */
#define MODERATE_LEAST 0x1.8p23F
#define MODERATE_SHIFT (MODERATE_LEAST + 512.0F)

typedef struct {
    const float *row;
    float *gradient;   /* or NULL */
    const float *keep; /* all bits set, none for the label; NULL without a label */
} moderate_place;

/* The bits in which a sum of shift and n differs from the least one. */
FOCAL_BODY vf moderate_n(vf magic) {
    return vf_xor(magic, vf_set(MODERATE_LEAST));
}

/* The terms of `steps` whole steps, which take turns. */
FOCAL_BODY void moderate_steps(const moderate_place *at, size_t i, size_t steps, vf *e,
                               vf *seen) {
    exp_argument reduced[4];
    for (size_t k = 0; k < steps; k++)
        e[k] = vf_load(at->row + i + k * FOCAL_STEP);
    exp_reduce_each(steps, e, vf_set(MODERATE_SHIFT), reduced);
    for (size_t k = 0; k < steps; k++)
        *seen = vf_or(*seen, moderate_n(reduced[k].magic));
    exp_reduced_each(steps, reduced, exp_roots_small, e);
    for (size_t k = 0; k < steps; k++) {
        if (at->gradient)
            vf_store(at->gradient + i + k * FOCAL_STEP, e[k]);
        if (at->keep)
            e[k] = vf_and(e[k], vf_load(at->keep + i + k * FOCAL_STEP));
    }
}

/* The terms of the last `count` elements of a row, fewer than a step. */
FOCAL_BODY vf moderate_end(const moderate_place *at, size_t i, size_t count, vf *seen) {
    exp_argument reduced = exp_reduce(vf_load_n(at->row + i, count), vf_set(MODERATE_SHIFT));
    *seen = vf_or(*seen, moderate_n(reduced.magic));
    vf e = exp_reduced(reduced, exp_roots_small);
    if (at->gradient)
        vf_store_n(at->gradient + i, e, count);
    e = vf_select(vm_first(count), e, vf_set(0.0F));
    return at->keep ? vf_and(e, vf_load(at->keep + i)) : e;
}

/* Whether none but the last ten bits is set. Two numbers whose other bits are apart, since
 * comparing subnormal numbers could depend on the floating-point environment. */
FOCAL_BODY bool moderate_all(vf seen) {
    vf one = vf_set(0x1.0007fep0F), two = vf_set(0x1.0007fep1F);
    return vm_all(vm_eq(vf_or(seen, one), one)) && vm_all(vm_eq(vf_or(seen, two), two));
}

/* Fewer than 64 elements from i on: the same tree as of a quad, absent steps being 0. */
FOCAL_BODY vf moderate_rest(const moderate_place *at, size_t i, size_t count, vf *seen) {
    vf first = vf_set(0.0F), second = vf_set(0.0F), e[2];
    if (count - i >= (size_t)2 * FOCAL_STEP) {
        moderate_steps(at, i, 2, e, seen);
        first = vf_add(e[0], e[1]);
        i += (size_t)2 * FOCAL_STEP;
    }
    if (count - i >= FOCAL_STEP) {
        moderate_steps(at, i, 1, &second, seen);
        i += FOCAL_STEP;
    }
    if (i < count)
        second = vf_add(second, moderate_end(at, i, count - i, seen));
    return vf_add(first, second);
}

/* The terms of a run, a lane each; adds to `seen`. */
FOCAL_BODY void moderate_run(const moderate_place *at, size_t count, vsum *sum, vf *seen) {
    size_t i = 0;
    for (; i + MODERATE_QUAD <= count; i += MODERATE_QUAD) {
        vf e[4];
        if (VEC_STEPS >= 16) {
            moderate_steps(at, i, 4, e, seen);
        } else {
            moderate_steps(at, i, 2, e, seen);
            moderate_steps(at, i + (size_t)2 * FOCAL_STEP, 2, e + 2, seen);
        }
        vsum_step(sum, vf_add(vf_add(e[0], e[1]), vf_add(e[2], e[3])));
    }
    if (i < count)
        vsum_step(sum, moderate_rest(at, i, count, seen));
}

/* Leaves exp(x) in the gradient row, if there is one, and returns the sum of the others; -1 where a
 * logit is not moderate. */
FOCAL_BODY double moderate_sum(const float *row, float *gradient, size_t label,
                               size_t classes) {
    vsum sum = vsum_zero();
    for (size_t run = 0; run < classes; run += MODERATE_RUN) {
        size_t count = classes - run < MODERATE_RUN ? classes - run : MODERATE_RUN;
        float *to = gradient ? gradient + run : NULL;
        vf seen = vf_set(0.0F);
        /* label - run wraps to a huge number when the label lies before. */
        if (label - run < MODERATE_RUN) {
            const float *keep = moderate_window.values + MODERATE_RUN - (label - run);
            moderate_run(&(moderate_place){row + run, to, keep}, count, &sum, &seen);
        } else if (count == MODERATE_RUN) {
            moderate_run(&(moderate_place){row + run, to, NULL}, MODERATE_RUN, &sum, &seen);
        } else {
            moderate_run(&(moderate_place){row + run, to, NULL}, count, &sum, &seen);
        }
        if (!moderate_all(seen))
            return -1.0;
        vsum_fold(&sum);
    }
    return vsum_total(&sum);
}

/* Whether all logits are moderate, for rows whose gradient takes their place. */
FOCAL_SHARED bool moderate_row(const float *row, size_t classes) {
    vf seen = vf_set(0.0F);
    for (size_t i = 0; i < classes; i += FOCAL_STEP) {
        size_t left = classes - i;
        vf x = left < FOCAL_STEP ? vf_load_n(row + i, left) : vf_load(row + i);
        seen = vf_or(seen, moderate_n(exp_reduce(x, vf_set(MODERATE_SHIFT)).magic));
    }
    return moderate_all(seen);
}

FOCAL_SHARED double moderate_loss(const float *row, size_t label, size_t classes) {
    return moderate_sum(row, NULL, label, classes);
}

FOCAL_SHARED double moderate_gradient(const float *row, float *gradient, size_t label,
                                      size_t classes) {
    return moderate_sum(row, gradient, label, classes);
}

FOCAL_BODY double softmax_moderate_others(const float *row, float *gradient, size_t label,
                                          size_t classes) {
    if (!gradient)
        return moderate_loss(row, label, classes);
    if (gradient == row && !moderate_row(row, classes))
        return -1.0;
    return moderate_gradient(row, gradient, label, classes);
}
