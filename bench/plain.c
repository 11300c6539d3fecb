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

/* q^gamma, and q^(gamma - 1) for the gradient. */
INLINE float power(float q, float gamma, int square) {
    return square ? q * q : powf(q, gamma);
}
INLINE float power_below(float q, float gamma, int square) {
    return square ? q : powf(q, gamma - 1.0F);
}

/* torchvision's formula for targets in [0, 1], with log(1 + exp(-|x|)) for stability. */
INLINE double sigmoid_loop(const bench_piece *piece, int square, int loss, int gradient) {
    const float *restrict logits = piece->logits, *restrict targets = piece->targets;
    float *restrict gradients = piece->gradient;
    const float gamma = piece->gamma, slope = piece->alpha_positive - piece->alpha_negative;
    const float offset = piece->alpha_negative;
    float sum = 0.0F;
    for (size_t i = 0; i < piece->count; i++) {
        float x = logits[i], t = targets[i];
        float e = expf(-fabsf(x)), quotient = 1.0F / (1.0F + e);
        float p = x >= 0.0F ? quotient : e * quotient;
        float not_p = x >= 0.0F ? e * quotient : quotient;
        float entropy = log1pf(e) + fmaxf(x, 0.0F) - x * t;
        float q = p * (1.0F - t) + not_p * t;
        float alpha = offset + slope * t;
        if (gradient) {
            float below = power_below(q, gamma, square);
            float inner = gamma * (1.0F - 2.0F * t) * p * not_p * entropy + q * (p - t);
            gradients[i] = alpha * below * inner;
            if (loss)
                sum += alpha * below * q * entropy;
        } else {
            sum += alpha * power(q, gamma, square) * entropy;
        }
    }
    return (double)sum;
}

static double sigmoid(const bench_piece *piece) {
    const int square = piece->gamma == 2.0F;
    if (!piece->gradient)
        return square ? sigmoid_loop(piece, 1, 1, 0) : sigmoid_loop(piece, 0, 1, 0);
    if (!piece->want_loss)
        return square ? sigmoid_loop(piece, 1, 0, 1) : sigmoid_loop(piece, 0, 0, 1);
    return square ? sigmoid_loop(piece, 1, 1, 1) : sigmoid_loop(piece, 0, 1, 1);
}

/* Of one row, once the sum of exponentials is known. */
INLINE float row_factor(float p, float gamma) {
    float q = 1.0F - p;
    return gamma * powf(q, gamma - 1.0F) * p * logf(p) - powf(q, gamma);
}

static double softmax(const bench_piece *piece) {
    const float *restrict logits = piece->logits;
    float *restrict gradients = piece->gradient;
    const size_t count = piece->count;
    float largest = logits[0], sum = 0.0F;
    for (size_t i = 1; i < count; i++)
        largest = logits[i] > largest ? logits[i] : largest;
    if (!gradients) {
        for (size_t i = 0; i < count; i++)
            sum += expf(logits[i] - largest);
    } else {
        for (size_t i = 0; i < count; i++) {
            gradients[i] = expf(logits[i] - largest);
            sum += gradients[i];
        }
    }
    float log_p = logits[piece->label] - largest - logf(sum), p = expf(log_p);
    if (gradients) {
        float factor = piece->alpha_positive * row_factor(p, piece->gamma);
        float scale = -factor / sum;
        for (size_t i = 0; i < count; i++)
            gradients[i] *= scale;
        gradients[piece->label] += factor;
    }
    if (!piece->want_loss)
        return 0.0;
    return -(double)(piece->alpha_positive * powf(1.0F - p, piece->gamma) * log_p);
}

const bench_opponent PASTE(bench_plain_, BENCH_SET) = {sigmoid, softmax};
