/* The formula as one writes it in C: what a compiler makes of it alone. Compiled twice, for
 * BENCH_SET base (-O3) and vectorised (all that a compiler can be told). Branches that the loop
 * cannot change are arguments known at compile time, as they would be in code written for one
 * problem. */
#include "baselines.h"

#include <math.h>

#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)

#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

#if BENCH_DOUBLE
typedef double real;
#define MATH(function) function
#define DTYPE          _f64
#else
typedef float real;
#define MATH(function) function##f
#define DTYPE          _f32
#endif
static const real zero = 0, one = 1, two = 2;

/* q^gamma, and q^(gamma - 1) for the gradient. */
INLINE real power(real q, real gamma, int square) {
    return square ? q * q : MATH(pow)(q, gamma);
}
INLINE real power_below(real q, real gamma, int square) {
    return square ? q : MATH(pow)(q, gamma - one);
}

/* torchvision's formula for targets in [0, 1], with log(1 + exp(-|x|)) for stability. */
INLINE double sigmoid_loop(const bench_piece *piece, int square, int loss, int gradient,
                           int hessian) {
    const real *restrict logits = piece->logits, *restrict targets = piece->targets;
    real *restrict gradients = piece->gradient, *restrict hessians = piece->hessian;
    const real gamma = (real)piece->gamma, offset = (real)piece->alpha_negative;
    const real slope = (real)(piece->alpha_positive - piece->alpha_negative);
    real sum = zero;
    for (size_t i = 0; i < piece->count; i++) {
        real x = logits[i], t = targets[i];
        real e = MATH(exp)(-MATH(fabs)(x)), quotient = one / (one + e);
        real p = x >= zero ? quotient : e * quotient;
        real not_p = x >= zero ? e * quotient : quotient;
        real entropy = MATH(log1p)(e) + MATH(fmax)(x, zero) - x * t;
        real q = p * (one - t) + not_p * t;
        real alpha = offset + slope * t;
        if (gradient) {
            real below = power_below(q, gamma, square);
            real inner = gamma * (one - two * t) * p * not_p * entropy + q * (p - t);
            gradients[i] = alpha * below * inner;
            if (loss)
                sum += alpha * below * q * entropy;
            /* Of hard targets: alpha q^gamma p_t [(1 + 2 gamma) q + gamma log p_t (q - gamma p_t)]
             */
            if (hessian) {
                real p_t = one - q, slope_t = gamma * entropy * (q - gamma * p_t);
                hessians[i] = alpha * below * q * p_t * ((one + two * gamma) * q - slope_t);
            }
        } else {
            sum += alpha * power(q, gamma, square) * entropy;
        }
    }
    return (double)sum;
}

static double sigmoid(const bench_piece *piece) {
    const int square = piece->gamma == 2.0;
    if (!piece->gradient)
        return square ? sigmoid_loop(piece, 1, 1, 0, 0) : sigmoid_loop(piece, 0, 1, 0, 0);
    if (piece->hessian)
        return square ? sigmoid_loop(piece, 1, 0, 1, 1) : sigmoid_loop(piece, 0, 0, 1, 1);
    if (!piece->want_loss)
        return square ? sigmoid_loop(piece, 1, 0, 1, 0) : sigmoid_loop(piece, 0, 0, 1, 0);
    return square ? sigmoid_loop(piece, 1, 1, 1, 0) : sigmoid_loop(piece, 0, 1, 1, 0);
}

/* Of one row, once the sum of exponentials is known. */
INLINE real row_factor(real p, real gamma) {
    real q = one - p;
    return gamma * MATH(pow)(q, gamma - one) * p * MATH(log)(p) - MATH(pow)(q, gamma);
}

static double softmax(const bench_piece *piece) {
    const real *restrict logits = piece->logits;
    real *restrict gradients = piece->gradient;
    const real gamma = (real)piece->gamma, alpha = (real)piece->alpha_positive;
    const size_t count = piece->count;
    real largest = logits[0], sum = zero;
    for (size_t i = 1; i < count; i++)
        largest = logits[i] > largest ? logits[i] : largest;
    if (!gradients) {
        for (size_t i = 0; i < count; i++)
            sum += MATH(exp)(logits[i] - largest);
    } else {
        for (size_t i = 0; i < count; i++) {
            gradients[i] = MATH(exp)(logits[i] - largest);
            sum += gradients[i];
        }
    }
    real log_p = logits[piece->label] - largest - MATH(log)(sum), p = MATH(exp)(log_p);
    if (gradients) {
        real factor = alpha * row_factor(p, gamma);
        real scale = -factor / sum;
        for (size_t i = 0; i < count; i++)
            gradients[i] *= scale;
        gradients[piece->label] += factor;
    }
    if (!piece->want_loss)
        return 0.0;
    return -(double)(alpha * MATH(pow)(one - p, gamma) * log_p);
}

/* Class by class, so that the loops run along memory. */
static double softmax_side_by_side(const bench_piece *piece) {
    const real *restrict logits = piece->logits;
    real *restrict gradients = piece->gradient;
    const real gamma = (real)piece->gamma, alpha = (real)piece->alpha_positive;
    const size_t count = piece->count, stride = piece->stride;
    real largest[BENCH_ROWS_MOST], sums[BENCH_ROWS_MOST], scale[BENCH_ROWS_MOST];
    double loss = 0.0;
    for (size_t i = 0; i < count; i++)
        largest[i] = logits[i], sums[i] = zero;
    for (size_t c = 1; c < piece->classes; c++)
        for (size_t i = 0; i < count; i++)
            largest[i] =
                logits[c * stride + i] > largest[i] ? logits[c * stride + i] : largest[i];
    for (size_t c = 0; c < piece->classes; c++)
        for (size_t i = 0; i < count; i++) {
            real e = MATH(exp)(logits[c * stride + i] - largest[i]);
            sums[i] += e;
            if (gradients)
                gradients[c * stride + i] = e;
        }
    for (size_t i = 0; i < count; i++) {
        int32_t label = piece->labels[i];
        scale[i] = zero;
        if (label < 0)
            continue;
        real log_p = logits[(size_t)label * stride + i] - largest[i] - MATH(log)(sums[i]);
        real p = MATH(exp)(log_p);
        loss -= (double)(alpha * MATH(pow)(one - p, gamma) * log_p);
        if (gradients)
            scale[i] = alpha * row_factor(p, gamma);
    }
    for (size_t c = 0; c < piece->classes && gradients; c++)
        for (size_t i = 0; i < count; i++)
            gradients[c * stride + i] *= -scale[i] / sums[i];
    for (size_t i = 0; i < count && gradients; i++)
        if (piece->labels[i] >= 0)
            gradients[(size_t)piece->labels[i] * stride + i] += scale[i];
    return piece->want_loss ? loss : 0.0;
}

const bench_opponent PASTE(PASTE(bench_plain_, BENCH_SET), DTYPE) = {sigmoid, softmax,
                                                                     softmax_side_by_side};
