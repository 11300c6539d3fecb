/* Weights of sigmoid's elements: losses and gradients that a kernel left are multiplied by them.
 *
 * One rounding each; a weight of 1 changes no bit, and a weight of 0 gives exact zeros, whatever stood
 * there. The sum is that of the weighted losses, in the tree of sum.h. Traffic: 4 bytes read of
 * weights, 8 read and written of each result, all in the cache. */

FOCAL_BODY vf weigh_step(float *results, vf weight, vm none, size_t i, size_t count) {
    bool whole = count == FOCAL_STEP;
    vf result = whole ? vf_load(results + i) : vf_load_n(results + i, count);
    vf weighted = vf_drop(none, vf_mul(weight, result));
    if (whole)
        vf_store(results + i, weighted);
    else
        vf_store_n(results + i, weighted, count);
    return weighted;
}

FOCAL_BODY void weigh_elements(float *loss, float *gradient, const float *weights, size_t i,
                               size_t count, vsum *sum) {
    vf weight = count == FOCAL_STEP ? vf_load(weights + i) : vf_load_n(weights + i, count);
    vm none = vm_eq(weight, vf_set(0.0F));
    if (loss)
        vsum_step(sum, weigh_step(loss, weight, none, i, count));
    if (gradient)
        weigh_step(gradient, weight, none, i, count);
}

FOCAL_BODY double weigh_block(float *loss, float *gradient, const float *weights,
                              size_t count) {
    vsum sum = vsum_zero();
    for (size_t run = 0; run < count; run += SUM_RUN) {
        size_t end = run + SUM_RUN < count ? run + SUM_RUN : count;
        size_t i = run;
        for (; i + FOCAL_STEP <= end; i += FOCAL_STEP)
            weigh_elements(loss, gradient, weights, i, FOCAL_STEP, &sum);
        if (i < end)
            weigh_elements(loss, gradient, weights, i, end - i, &sum);
        vsum_fold(&sum);
    }
    return vsum_total(&sum);
}

static void weigh(focal_span *span, const float *weights) {
    size_t count = span->rows * span->classes;
    if (!span->loss) {
        weigh_block(NULL, span->gradient, weights, count);
        return;
    }
    if (span->gradient)
        span->sum = weigh_block(span->loss, span->gradient, weights, count);
    else
        span->sum = weigh_block(span->loss, NULL, weights, count);
    sigmoid_add_rows(span, KERNEL_LOSS);
}
