/* SLEEF as one uses it first: every vector through exp, log1p and, unless gamma is 2, pow, in
 * one loop. The deterministic names are the library's own tier's. Compiled for AVX2 and FMA;
 * baselines.c asks the CPU before it calls. */
#include "baselines.h"
#include "sleef_names.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

enum { LANES = 8 };

static __m256 exponential(__m256 x) {
    return FOCAL_SLEEF(expf8_u10avx2)(x);
}

static __m256 power(__m256 q, __m256 gamma) {
    return FOCAL_SLEEF(powf8_u10avx2)(q, gamma);
}

static double lane_sum(__m256 values) {
    float lanes[LANES];
    double sum = 0.0;
    _mm256_storeu_ps(lanes, values);
    for (int i = 0; i < LANES; i++)
        sum += (double)lanes[i];
    return sum;
}

typedef struct constants {
    __m256 gamma, gamma_below, slope, offset;
} constants;

/* alpha q^gamma times the cross-entropy; the gradient to *gradient if wanted. */
static inline __attribute__((always_inline)) __m256
sigmoid_vector(const constants *k, __m256 x, __m256 t, int square, int gradient, __m256 *out) {
    const __m256 one = _mm256_set1_ps(1.0F), zero = _mm256_setzero_ps();
    const __m256 sign = _mm256_set1_ps(-0.0F);
    __m256 e = exponential(_mm256_or_ps(x, sign));
    __m256 quotient = _mm256_div_ps(one, _mm256_add_ps(one, e));
    __m256 small = _mm256_mul_ps(e, quotient);
    __m256 p = _mm256_blendv_ps(quotient, small, x);
    __m256 not_p = _mm256_blendv_ps(small, quotient, x);
    __m256 entropy = _mm256_add_ps(FOCAL_SLEEF(log1pf8_u10avx2)(e), _mm256_max_ps(x, zero));
    entropy = _mm256_fnmadd_ps(x, t, entropy);
    __m256 q = _mm256_fmadd_ps(t, _mm256_sub_ps(not_p, p), p);
    __m256 alpha = _mm256_fmadd_ps(k->slope, t, k->offset);
    if (!gradient) {
        __m256 factor = square ? _mm256_mul_ps(q, q) : power(q, k->gamma);
        return _mm256_mul_ps(_mm256_mul_ps(alpha, factor), entropy);
    }
    __m256 below = _mm256_mul_ps(alpha, square ? q : power(q, k->gamma_below));
    __m256 side = _mm256_fnmadd_ps(_mm256_set1_ps(2.0F), t, one);
    __m256 inner = _mm256_mul_ps(_mm256_mul_ps(k->gamma, side), _mm256_mul_ps(p, not_p));
    __m256 rest = _mm256_mul_ps(q, _mm256_sub_ps(p, t));
    *out = _mm256_mul_ps(below, _mm256_fmadd_ps(inner, entropy, rest));
    return _mm256_mul_ps(_mm256_mul_ps(below, q), entropy);
}

static inline __attribute__((always_inline)) double
sigmoid_loop(const bench_piece *piece, int square, int loss, int gradient) {
    const constants k = {
        .gamma = _mm256_set1_ps(piece->gamma),
        .gamma_below = _mm256_set1_ps(piece->gamma - 1.0F),
        .slope = _mm256_set1_ps(piece->alpha_positive - piece->alpha_negative),
        .offset = _mm256_set1_ps(piece->alpha_negative),
    };
    __m256 sum = _mm256_setzero_ps(), slope = sum;
    size_t i = 0;
    for (; i + LANES <= piece->count; i += LANES) {
        __m256 x = _mm256_loadu_ps(piece->logits + i);
        __m256 t = _mm256_loadu_ps(piece->targets + i);
        sum = _mm256_add_ps(sum, sigmoid_vector(&k, x, t, square, gradient, &slope));
        if (gradient)
            _mm256_storeu_ps(piece->gradient + i, slope);
    }
    size_t left = piece->count - i;
    if (left > 0) {
        /* Logits far below with target 0 add nothing. */
        float x[LANES], t[LANES] = {0.0F};
        for (int lane = 0; lane < LANES; lane++)
            x[lane] = -200.0F;
        memcpy(x, piece->logits + i, left * sizeof *x);
        memcpy(t, piece->targets + i, left * sizeof *t);
        sum = _mm256_add_ps(sum, sigmoid_vector(&k, _mm256_loadu_ps(x), _mm256_loadu_ps(t),
                                                square, gradient, &slope));
        _mm256_storeu_ps(x, slope);
        if (gradient)
            memcpy(piece->gradient + i, x, left * sizeof *x);
    }
    return loss ? lane_sum(sum) : 0.0;
}

static double sigmoid(const bench_piece *piece) {
    const int square = piece->gamma == 2.0F;
    if (!piece->gradient)
        return square ? sigmoid_loop(piece, 1, 1, 0) : sigmoid_loop(piece, 0, 1, 0);
    if (!piece->want_loss)
        return square ? sigmoid_loop(piece, 1, 0, 1) : sigmoid_loop(piece, 0, 0, 1);
    return square ? sigmoid_loop(piece, 1, 1, 1) : sigmoid_loop(piece, 0, 1, 1);
}

static float row_largest(const float *logits, size_t count) {
    __m256 largest = _mm256_set1_ps(-INFINITY);
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        largest = _mm256_max_ps(largest, _mm256_loadu_ps(logits + i));
    float lanes[LANES], result;
    _mm256_storeu_ps(lanes, largest);
    result = lanes[0];
    for (int lane = 1; lane < LANES; lane++)
        result = lanes[lane] > result ? lanes[lane] : result;
    for (; i < count; i++)
        result = logits[i] > result ? logits[i] : result;
    return result;
}

/* The sum of exp(logit - largest); each of them to the gradient's row if there is one. */
static double row_exponentials(const bench_piece *piece, float largest) {
    const __m256 shift = _mm256_set1_ps(largest);
    __m256 sum = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + LANES <= piece->count; i += LANES) {
        __m256 e = exponential(_mm256_sub_ps(_mm256_loadu_ps(piece->logits + i), shift));
        sum = _mm256_add_ps(sum, e);
        if (piece->gradient)
            _mm256_storeu_ps(piece->gradient + i, e);
    }
    size_t left = piece->count - i;
    if (left > 0) {
        float x[LANES];
        for (int lane = 0; lane < LANES; lane++)
            x[lane] = -INFINITY;
        memcpy(x, piece->logits + i, left * sizeof *x);
        __m256 e = exponential(_mm256_sub_ps(_mm256_loadu_ps(x), shift));
        sum = _mm256_add_ps(sum, e);
        _mm256_storeu_ps(x, e);
        if (piece->gradient)
            memcpy(piece->gradient + i, x, left * sizeof *x);
    }
    return lane_sum(sum);
}

static double softmax(const bench_piece *piece) {
    const float largest = row_largest(piece->logits, piece->count);
    const double sum = row_exponentials(piece, largest);
    const double log_p = (double)piece->logits[piece->label] - (double)largest - log(sum);
    const double p = exp(log_p), q = 1.0 - p, gamma = (double)piece->gamma;
    const double alpha = (double)piece->alpha_positive;
    if (piece->gradient) {
        double factor = alpha * (gamma * pow(q, gamma - 1.0) * p * log_p - pow(q, gamma));
        const __m256 scale = _mm256_set1_ps((float)(-factor / sum));
        float *gradient = piece->gradient;
        size_t i = 0;
        for (; i + LANES <= piece->count; i += LANES)
            _mm256_storeu_ps(gradient + i, _mm256_mul_ps(_mm256_loadu_ps(gradient + i), scale));
        for (; i < piece->count; i++)
            gradient[i] *= (float)(-factor / sum);
        gradient[piece->label] += (float)factor;
    }
    return piece->want_loss ? -alpha * pow(q, gamma) * log_p : 0.0;
}

const bench_opponent bench_sleef_avx2 = {sigmoid, softmax};
