#include "oracle_ld.h"

#include <float.h>
#include <math.h>

/* The two halves of a decision: p = sigmoid(x), not_p = 1 - p, both with full relative
 * accuracy, and their negated logarithms. */
typedef struct {
    long double p, not_p, minus_log_p, minus_log_not_p;
} decision;

static decision decide(long double x) {
    const long double e = expl(-fabsl(x)), log1p_e = log1pl(e);
    const decision positive = {
        .p = 1.0L / (1.0L + e),
        .not_p = e / (1.0L + e),
        .minus_log_p = log1p_e,
        .minus_log_not_p = fabsl(x) + log1p_e,
    };
    if (x >= 0.0L)
        return positive;
    return (decision){positive.not_p, positive.p, positive.minus_log_not_p,
                      positive.minus_log_p};
}

/* Paper eqs. 5 and 10 for target 1; target 0 is target 1 at -x. */
static oracle_point hard_point(long double margin, long double gamma) {
    const decision d = decide(margin);
    /* Not by powl(not_p): not_p underflows where its logarithm is still fine. */
    const long double power = expl(-gamma * d.minus_log_not_p);
    const long double slope = power * (gamma * d.p * d.minus_log_p + d.not_p);
    return (oracle_point){power * d.minus_log_p, -slope, slope};
}

static oracle_point soft_point(long double x, long double t, long double gamma) {
    const decision d = decide(x);
    const long double q = d.p * (1.0L - t) + d.not_p * t;
    const long double bce = t * d.minus_log_p + (1.0L - t) * d.minus_log_not_p;
    const long double power = powl(q, gamma);
    const long double spread = gamma * (power / q) * d.p * d.not_p * bce;
    const long double residual = d.p * (1.0L - t) - d.not_p * t;
    return (oracle_point){
        .loss = power * bce,
        .gradient = power * residual + spread * (1.0L - 2.0L * t),
        .gradient_scale = power * q + spread,
    };
}

oracle_point oracle_sigmoid(double logit, double target, double gamma, double alpha) {
    const long double x = logit, t = target;
    oracle_point point;
    if (target == 1.0) {
        point = hard_point(x, gamma);
    } else if (target == 0.0) {
        point = hard_point(-x, gamma);
        point.gradient = -point.gradient;
    } else {
        point = soft_point(x, t, gamma);
    }
    const long double a = alpha;
    const long double weight = isnan(alpha) ? 1.0L : a * t + (1.0L - a) * (1.0L - t);
    return (oracle_point){weight * point.loss, weight * point.gradient,
                          weight * point.gradient_scale};
}

long double oracle_margin_loss(long double margin, double gamma) {
    return hard_point(margin, gamma).loss;
}

oracle_row oracle_softmax(const float *logits, size_t classes, size_t label, double gamma,
                          double alpha, long double *gradients) {
    long double most = logits[0], others = 0.0L;
    for (size_t c = 1; c < classes; c++)
        most = fmaxl(most, logits[c]);
    size_t subnormal_others = 0;
    for (size_t c = 0; c < classes; c++) {
        if (c == label)
            continue;
        const long double weight = logits[c] == -HUGE_VALF ? 0.0L : expl(logits[c] - most);
        if (gradients)
            gradients[c] = weight;
        if (logits[c] == -HUGE_VALF)
            continue;
        subnormal_others += weight < (long double)FLT_MIN;
        others += weight;
    }
    const long double distance = logits[label] - most, own = expl(distance);
    const long double total = own + others;
    const long double p = own / total, q = others / total;
    const long double cross_entropy =
        own > others ? log1pl(others / own) : logl(total) - distance;
    const long double weight = isnan(alpha) ? 1.0L : (long double)alpha;
    const long double power = weight * powl(q, gamma);
    /* -log p_t / (1 - p_t) tends to 1 as the others vanish. */
    const long double ratio = q > 0.0L ? cross_entropy / q : 1.0L;
    const long double slope = power * (1.0L + gamma * p * ratio);
    for (size_t c = 0; gradients && c < classes; c++)
        gradients[c] = c == label ? -slope * q : slope * gradients[c] / total;
    return (oracle_row){power * cross_entropy, q, subnormal_others};
}

double oracle_ulp(long double exact) {
    const long double magnitude = fabsl(exact);
    if (magnitude < (long double)FLT_MIN)
        return 0x1p-149;
    int exponent;
    frexpl(magnitude, &exponent);
    return ldexp(1.0, exponent - 24);
}

double oracle_error(float got, long double exact, long double scale) {
    const long double overflow = (long double)FLT_MAX + 0x1p103L;
    if (isnan(got) || isnan(exact))
        return HUGE_VAL;
    if (isinf(got))
        return (fabsl(exact) >= overflow && (got > 0) == (exact > 0)) ? 0.0 : HUGE_VAL;
    return (double)(fabsl((long double)got - exact) / (long double)oracle_ulp(scale));
}
