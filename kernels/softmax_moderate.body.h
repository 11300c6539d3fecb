/* The exponentials of a softmax row in one pass, without its maximum: for moderate logits, which
 * most rows have.
 *
 * With x = n ln 2 / 8 + r all terms exp(x) = 2^(n / 8) exp(r) of a row with -512 <= n < 512 are normal
 * floats, and so are their sums; the row arithmetic needs no more than the ratio of label to others.
 * Whether n stays within the range, NaN and infinities included, shows in the bits that hold it, which
 * are gathered on the way. Traffic: the row once, 4 bytes written per gradient. */

/* Elements of a run, of the quads it consists of, and between two widenings of the sum. Steps of a quad,
 * quads of a run and runs are added in pairs, and so are the two f32 vectors of each, so that of equal
 * terms few sums round: 1000 equal others, as of a new network, are off by 0.2 units of 2^-24; with
 * chains of 16 they were by 4.2 ULP of 1 - p_t. */
enum { MODERATE_RUN = 256, MODERATE_QUAD = 4 * FOCAL_STEP, MODERATE_FOLD = 4 * MODERATE_RUN };

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

/* EXP_SHIFT_64 + n for n = -512 ... 511 differs from EXP_SHIFT in the last ten bits alone. As an exponent it
 * is too great by 64, which the roots make up for. Two numbers have all ten set, and other bits apart. */
#define MODERATE_ONE 0x1.0007fep0F
#define MODERATE_TWO 0x1.0007fep1F

typedef struct {
    const float *row;
    float *gradient;   /* or NULL */
    const float *keep; /* all bits set, none for the label; NULL without a label */
} moderate_place;

/* The bits in which a sum of shift and n differs from the least moderate one. */
FOCAL_BODY vf moderate_n(vf magic) {
    return vf_xor(magic, vf_set(EXP_SHIFT));
}

/* The terms of `steps` whole steps, which take turns. */
FOCAL_BODY void moderate_steps(const moderate_place *at, size_t i, size_t steps, vf *e,
                               vf *seen) {
    exp_argument reduced[EXP_TURNS];
    vf logits[EXP_TURNS];
    for (size_t k = 0; k < steps; k++)
        logits[k] = vf_load(at->row + i + k * FOCAL_STEP);
    exp_reduce_each(steps, logits, vf_set(EXP_SHIFT_64), reduced);
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
    exp_argument reduced = exp_reduce(vf_load_n(at->row + i, count), vf_set(EXP_SHIFT_64));
    *seen = vf_or(*seen, moderate_n(reduced.magic));
    vf e = exp_reduced(reduced, exp_roots_small);
    if (at->gradient)
        vf_store_n(at->gradient + i, e, count);
    e = vf_select(vm_first(count), e, vf_set(0.0F));
    return at->keep ? vf_and(e, vf_load(at->keep + i)) : e;
}

/* Whether none but the last ten bits is set. By two normal numbers, since comparing subnormal ones could
 * depend on the floating-point environment. */
FOCAL_BODY bool moderate_all(vf seen) {
    vf one = vf_set(MODERATE_ONE), two = vf_set(MODERATE_TWO);
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
FOCAL_BODY vf moderate_run(const moderate_place *at, size_t count, vf *seen) {
    vf even = vf_set(0.0F), odd = even;
    size_t i = 0;
    for (; i + MODERATE_QUAD <= count; i += MODERATE_QUAD) {
        vf e[4];
        if (VEC_STEPS >= 16) {
            moderate_steps(at, i, 4, e, seen);
        } else {
            moderate_steps(at, i, 2, e, seen);
            moderate_steps(at, i + (size_t)2 * FOCAL_STEP, 2, e + 2, seen);
        }
        vf quad = vf_add(even, vf_add(vf_add(e[0], e[1]), vf_add(e[2], e[3])));
        even = odd;
        odd = quad;
    }
    if (i < count)
        even = vf_add(even, moderate_rest(at, i, count, seen));
    return vf_add(even, odd);
}

/* The sum of the others in a row of one run, with the bits of moderate_long(); -1 where a logit is not
 * moderate. */
FOCAL_BODY double moderate_short(const float *row, float *gradient, size_t label,
                                 size_t classes) {
    const float *keep = moderate_window.values + MODERATE_RUN - label;
    vf seen = vf_set(0.0F);
    vf terms = moderate_run(&(moderate_place){row, gradient, keep}, classes, &seen);
    if (!moderate_all(seen))
        return -1.0;
    return vd_sum_lanes(vd_add(vd_widen_low(terms), vd_widen_high(terms)));
}

/* The terms of a run of a longer row. */
FOCAL_BODY vf moderate_part(const float *row, float *gradient, size_t label, size_t first,
                            size_t count, vf *seen) {
    moderate_place at = {row + first, gradient ? gradient + first : NULL, NULL};
    /* label - first wraps to a huge number when the label lies before. */
    if (label - first < MODERATE_RUN) {
        at.keep = moderate_window.values + MODERATE_RUN - (label - first);
        return moderate_run(&at, count, seen);
    }
    /* A constant count makes a loop without ends. */
    return count == MODERATE_RUN ? moderate_run(&at, MODERATE_RUN, seen)
                                 : moderate_run(&at, count, seen);
}

/* The same of a row of several runs. A row that is not moderate mostly shows it in the first. */
FOCAL_BODY double moderate_long(const float *row, float *gradient, size_t label,
                                size_t classes) {
    vsum sum = vsum_zero();
    vf seen = vf_set(0.0F);
    for (size_t first = 0; first < classes; first += MODERATE_RUN) {
        size_t left = classes - first, count = left < MODERATE_RUN ? left : MODERATE_RUN;
        vsum_step(&sum, moderate_part(row, gradient, label, first, count, &seen));
        bool fold = count == left || (first + MODERATE_RUN) % MODERATE_FOLD == 0;
        if ((fold || first == 0) && !moderate_all(seen))
            return -1.0;
        if (fold)
            vsum_fold(&sum);
    }
    return vsum_total(&sum);
}

FOCAL_SHARED double moderate_short_loss(const float *row, size_t label, size_t classes) {
    return moderate_short(row, NULL, label, classes);
}

FOCAL_SHARED double moderate_short_gradient(const float *row, float *gradient, size_t label,
                                            size_t classes) {
    return moderate_short(row, gradient, label, classes);
}

FOCAL_SHARED double moderate_long_loss(const float *row, size_t label, size_t classes) {
    return moderate_long(row, NULL, label, classes);
}

FOCAL_SHARED double moderate_long_gradient(const float *row, float *gradient, size_t label,
                                           size_t classes) {
    return moderate_long(row, gradient, label, classes);
}

/* Whether all logits are moderate, for rows whose gradient takes their place. */
FOCAL_SHARED bool moderate_row(const float *row, size_t classes) {
    vf seen = vf_set(0.0F);
    for (size_t i = 0; i < classes; i += FOCAL_STEP) {
        size_t left = classes - i;
        vf x = left < FOCAL_STEP ? vf_load_n(row + i, left) : vf_load(row + i);
        seen = vf_or(seen, moderate_n(exp_reduce(x, vf_set(EXP_SHIFT_64)).magic));
    }
    return moderate_all(seen);
}

/* Leaves exp(x) in the gradient row, if there is one, and returns the sum of the others; -1 where a
 * logit is not moderate. */
FOCAL_BODY double softmax_moderate_others(const float *row, float *gradient, size_t label,
                                          size_t classes) {
    bool is_short = classes <= MODERATE_RUN;
    if (!gradient)
        return is_short ? moderate_short_loss(row, label, classes)
                        : moderate_long_loss(row, label, classes);
    if (gradient == row && !moderate_row(row, classes))
        return -1.0;
    return is_short ? moderate_short_gradient(row, gradient, label, classes)
                    : moderate_long_gradient(row, gradient, label, classes);
}
