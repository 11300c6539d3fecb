/* Softmax focal loss with labels, and its gradient, for a group of rows.
 *
 * Contract, per row of logits x with label t and S = sum over j of exp(x_j - max):
 *     p_t = exp(x_t - max) / S,  loss = alpha (1 - p_t)^gamma (-log p_t)
 *     gradient_c = b (delta_ct - p_c),
 *     b = alpha [-(1 - p_t)^gamma + gamma (1 - p_t)^(gamma-1) p_t log p_t]
 * The label's own lane is left out of the sum, so that 1 - p_t = others / S does not cancel,
 * and the label's gradient is written from it. Once per row the arithmetic is f64, vectorised
 * over rows. The rounding of x_j - max, which would cost up to 2^-25 |x_j - max|, is carried
 * along. Tier fast comes here with the rows that softmax_moderate.body.h cannot take.
 * Bound: docs/numerics.md. A NaN or +infinity anywhere in a row, or a row of -infinity
 * alone, gives NaN for the row; -infinity masks a class (p = 0), and as the label's logit costs
 * infinity. Traffic: the row twice (from cache), 4 bytes written per gradient; bound by exp. */

enum { SOFTMAX_GROUP = 64 };

/* Elements between two widenings of the sum of exponentials. Each of the two f32 vectors meets two
 * steps, so equal terms add without error; 1000 equal others, as of a new network, were off by
 * 4.2 ULP of 1 - p_t with runs of 512, times 1 + gamma in the loss. */
enum { SOFTMAX_RUN = 64 };

/* What the first pass leaves of each row, and what the row arithmetic makes of it. The reference is
 * the row's maximum, or 0 if the row is moderate. */
typedef struct {
    double label_distance[SOFTMAX_GROUP]; /* x_t - reference */
    double others[SOFTMAX_GROUP];         /* sum of exp(x_j - reference) over j != t */
    double loss[SOFTMAX_GROUP];
    double scale[SOFTMAX_GROUP]; /* gradient_c = scale exp(x_c - reference) */
    double label_gradient[SOFTMAX_GROUP];
    float max[SOFTMAX_GROUP];
} softmax_rows;

FOCAL_SHARED float softmax_max(const float *row, size_t classes) {
    vf most = vf_set(-HUGE_VALF);
    size_t i = 0;
    for (; i + FOCAL_STEP <= classes; i += FOCAL_STEP)
        most = vf_max(vf_load(row + i), most);
    if (i < classes)
        most = vf_max(vf_select(vm_first(classes - i), vf_load_n(row + i, classes - i), most),
                      most);
    return vf_max_lanes(most);
}

/* The bounds of a row's exponents: logits below `least` have exp(x - max) = 0 and are raised to
 * it, so that the distance and its low part stay finite. The second term keeps `least` apart
 * from a `most` whose spacing exceeds 200. */
typedef struct {
    vf most, least;
} softmax_range;

FOCAL_BODY softmax_range softmax_row_range(float row_max) {
    float scaled = fabsf(row_max) * 0x1p-20F;
    return (softmax_range){vf_set(row_max),
                           vf_set(row_max - (scaled > 200.0F ? scaled : 200.0F))};
}

FOCAL_BODY void softmax_step(focal_kernel_tier tier, focal_kernel_direction direction,
                             const float *row, float *gradient, const softmax_range *range,
                             size_t label, size_t i, size_t count, vsum *sum) {
    bool whole = count == FOCAL_STEP;
    vf x = whole ? vf_load(row + i) : vf_load_n(row + i, count);
    vf2 distance = difference(vf_max(range->least, x), range->most);
    /* Beside a maximum near -FLT_MAX even `least` is -infinity and the low part NaN, which would
     * outlive an exponential of 0. */
    distance.low = vf_min(distance.low, vf_set(1.0F));
    /* The fast tier sums exp * 2^64: where the label outweighs all others by e^87 and more, each of
     * them is a subnormal that has lost its precision, and with it 1 - p_t would. */
    vf e, term;
    if (tier == KERNEL_FAST) {
        term = exp_scaled(distance.high, &distance.low);
        e = vf_mul(term, vf_set(0x1p-64F));
    } else {
        term = e = exp_pair(tier, distance);
    }
    if (direction != KERNEL_LOSS && whole)
        vf_store(gradient + i, e);
    else if (direction != KERNEL_LOSS)
        vf_store_n(gradient + i, e, count);
    if (!whole)
        term = vf_select(vm_first(count), term, vf_set(0.0F));
    /* label - i wraps to a huge number when the label lies before this step: then no lane. */
    vsum_step(sum, vf_select(vm_lane(label - i), vf_set(0.0F), term));
}

/* Leaves exp(x - max) in the gradient row, if there is one, and returns the sum of the others.
 */
FOCAL_BODY double softmax_others(focal_kernel_tier tier, focal_kernel_direction direction,
                                 const float *row, float *gradient, float row_max, size_t label,
                                 size_t classes, size_t unroll) {
    softmax_range range = softmax_row_range(row_max);
    vsum sum = vsum_zero();
    for (size_t run = 0; run < classes; run += SOFTMAX_RUN) {
        size_t end = run + SOFTMAX_RUN < classes ? run + SOFTMAX_RUN : classes;
        size_t i = run;
        for (; i + unroll <= end; i += unroll)
            for (size_t k = 0; k < unroll; k += FOCAL_STEP)
                softmax_step(tier, direction, row, gradient, &range, label, i + k, FOCAL_STEP,
                             &sum);
        for (; i < end; i += FOCAL_STEP) {
            size_t left = end - i < FOCAL_STEP ? end - i : FOCAL_STEP;
            softmax_step(tier, direction, row, gradient, &range, label, i, left, &sum);
        }
        vsum_fold(&sum);
    }
    return tier == KERNEL_FAST ? vsum_total(&sum) * 0x1p-64 : vsum_total(&sum);
}

/* What eight labels have of their rows. */
typedef struct {
    vd p, q, total, cross_entropy;
} softmax_label;

FOCAL_BODY softmax_label softmax_label_of(focal_kernel_tier tier, vd distance, vd others) {
    vd label = exp_negative_f64(tier, distance);
    vd total = vd_add(label, others);
    vd q = vd_div(others, total);
    /* Two forms of -log p_t, each without cancellation on its side; near lets a NaN through. */
    vdm is_far = vdm_lt(label, others);
    vd near = log1p_unit_f64(tier, vd_div(others, label), q);
    vd far = vd_sub(log_f64(tier, total), distance);
    return (softmax_label){vd_div(label, total), q, total, vd_select(is_far, far, near)};
}

/* q^gamma */
FOCAL_BODY vd softmax_power(focal_kernel_tier tier, focal_gamma_class gamma_class,
                            const focal_span *span, vd q) {
    if (gamma_class == KERNEL_G1)
        return q;
    if (gamma_class == KERNEL_G2)
        return vd_mul(q, q);
    if (gamma_class == KERNEL_GH)
        return power_half_steps_f64(q, span->half_steps);
    if (gamma_class == KERNEL_GX)
        return power_f64(tier, q, vd_set(span->gamma));
    return vd_set(1.0);
}

/* The row arithmetic for rows r ... r + 7 of a group; the accurate tier uses that of fast. `alphas`:
 * theirs, or NULL if all have the span's. */
FOCAL_BODY void softmax_row_step(focal_kernel_tier tier, focal_kernel_direction direction,
                                 focal_gamma_class gamma_class, const focal_span *span,
                                 const double *alphas, softmax_rows *rows, size_t r) {
    vd one = vd_set(1.0), zero = vd_set(0.0);
    vd gamma = vd_set(span->gamma);
    softmax_label label =
        softmax_label_of(tier, vd_load(rows->label_distance + r), vd_load(rows->others + r));
    vd q = label.q, total = label.total, cross_entropy = label.cross_entropy;
    vd power = softmax_power(tier, gamma_class, span, q);
    vd alpha = alphas ? vd_load(alphas + r) : vd_set(span->alpha_positive);
    vd weighted = vd_mul(alpha, power);
    /* -b = power (1 + gamma p_t (-log p_t) / q). As q -> 0, -log p_t / q -> 1; an infinite loss
     * meets p_t = 0, whose product with it tends to 0. The same cut keeps alpha = 0 from NaN.
     */
    vd finite = vd_min(vd_set(0x1p200), cross_entropy);
    if (alphas)
        cross_entropy = vd_select(vdm_lt(zero, alpha), cross_entropy, finite);
    else if (span->alpha_positive == 0.0)
        cross_entropy = finite;
    vd_store(rows->loss + r, vd_mul(weighted, cross_entropy));
    if (direction == KERNEL_LOSS)
        return;
    vd ratio = vd_div(finite, q);
    ratio = vd_select(vdm_lt(zero, q), ratio, one);
    vd slope = vd_mul(weighted, vd_fma(vd_mul(gamma, label.p), ratio, one));
    slope = vd_mul(slope, vd_set((double)span->upstream));
    vd_store(rows->scale + r, vd_div(slope, total));
    vd_store(rows->label_gradient + r, vd_sub(zero, vd_mul(slope, q)));
}

/* The row arithmetic of a whole group; returns `total` plus its losses, added in row order. */
FOCAL_SHARED double softmax_group(focal_kernel_tier tier, focal_kernel_direction direction,
                                  focal_gamma_class gamma_class, const focal_span *span,
                                  softmax_rows *rows, size_t first, size_t group,
                                  double total) {
    /* Rows that only fill up the last step of 8. */
    for (size_t r = group; r % 8 != 0; r++)
        rows->label_distance[r] = rows->others[r] = 0.0;
    for (size_t r = 0; r < group; r += 8)
        if (tier == KERNEL_SLEEF)
            softmax_row_step(KERNEL_SLEEF, direction, gamma_class, span, NULL, rows, r);
        else if (span->row_factors)
            softmax_row_step(KERNEL_FAST, direction, gamma_class, span,
                             span->row_factors + first, rows, r);
        else
            softmax_row_step(KERNEL_FAST, direction, gamma_class, span, NULL, rows, r);
    for (size_t r = 0; r < group; r++) {
        total += rows->loss[r];
        if (direction != KERNEL_GRADIENT && span->row_loss)
            span->row_loss[first + r] = (float)rows->loss[r];
    }
    return total;
}

/* Beside exponentials up to 2^64 a scale may be subnormal, and beside those down to 2^-64 (large weights)
 * infinite, where its products are not: then they are multiplied by this before. */
FOCAL_BODY double softmax_scale_part(double scale) {
    if (fabs(scale) < 0x1p-126 && scale != 0.0)
        return 0x1p-64;
    return fabs(scale) > (double)FLT_MAX ? 0x1p64 : 1.0;
}

/* Infinity would make NaN of an exponential of 0. */
FOCAL_BODY float softmax_finite(double scale) {
    if (fabs(scale) > (double)FLT_MAX)
        return scale < 0.0 ? -FLT_MAX : FLT_MAX;
    return (float)scale;
}

FOCAL_SHARED void softmax_scale(float *gradient, double scale, size_t classes) {
    double part = softmax_scale_part(scale);
    if (part != 1.0) {
        softmax_scale(gradient, part, classes);
        scale /= part;
    }
    vf factor = vf_set(softmax_finite(scale));
    size_t i = 0;
    for (; i + FOCAL_STEP <= classes; i += FOCAL_STEP)
        vf_store(gradient + i, vf_mul(vf_load(gradient + i), factor));
    if (i < classes)
        vf_store_n(gradient + i, vf_mul(vf_load_n(gradient + i, classes - i), factor),
                   classes - i);
}

#include "softmax_columns.body.h"

FOCAL_BODY void softmax_plain_block(focal_span *span, focal_kernel_tier tier,
                                    focal_kernel_direction direction,
                                    focal_gamma_class gamma_class, size_t unroll) {
    if (tier == KERNEL_FAST && span->columns) {
        softmax_columns_block(span, direction, gamma_class);
        return;
    }
    double total = 0.0;
    softmax_rows rows;
    for (size_t first = 0; first < span->rows; first += SOFTMAX_GROUP) {
        size_t group = span->rows - first < SOFTMAX_GROUP ? span->rows - first : SOFTMAX_GROUP;
        for (size_t r = 0; r < group; r++) {
            const float *row = span->logits + (first + r) * span->logits_stride;
            float *gradient = direction == KERNEL_LOSS
                                  ? NULL
                                  : span->gradient + (first + r) * span->gradient_stride;
            size_t label = (size_t)span->labels[first + r];
            if (tier == KERNEL_FAST) {
                rows.label_distance[r] = (double)row[label];
                rows.others[r] = softmax_moderate_others(row, gradient, label, span->classes);
                if (rows.others[r] >= 0.0)
                    continue;
            }
            rows.max[r] = softmax_max(row, span->classes);
            rows.label_distance[r] = (double)row[label] - (double)rows.max[r];
            rows.others[r] = softmax_others(tier, direction, row, gradient, rows.max[r], label,
                                            span->classes, unroll);
        }
        total = softmax_group(tier, direction, gamma_class, span, &rows, first, group, total);
        for (size_t r = 0; r < group && direction != KERNEL_LOSS; r++) {
            float *gradient = span->gradient + (first + r) * span->gradient_stride;
            softmax_scale(gradient, rows.scale[r], span->classes);
            gradient[span->labels[first + r]] = (float)rows.label_gradient[r];
        }
    }
    span->sum = total;
}
