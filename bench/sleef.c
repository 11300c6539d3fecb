/* SLEEF as one uses it first: every vector through exp, log1p and, unless gamma is 2, pow, in
 * one loop. The deterministic names are the library's own tier's. Compiled for AVX2, AVX-512 (by its
 * flags) and NEON, each in f32 and f64 (BENCH_DOUBLE); baselines.c asks the CPU before it calls.
 */
#include "baselines.h"
#include "sleef_names.h"

#include <math.h>
#include <string.h>

#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)

/* V(add_) is _mm512_add_ps and the like, S(exp) is SLEEF's function. */
#if defined(__aarch64__)
#include "sleef_neon.h"
#else
#include <immintrin.h>
#endif

#if defined(__aarch64__)
#elif defined(__AVX512F__) && BENCH_DOUBLE
typedef double real;
typedef __m512d vector;
#define V(operation) _mm512_##operation##pd
#define S(function)  FOCAL_SLEEF(function##d8_u10avx512f)
#elif defined(__AVX512F__)
typedef float real;
typedef __m512 vector;
#define V(operation) _mm512_##operation##ps
#define S(function)  FOCAL_SLEEF(function##f16_u10avx512f)
#elif BENCH_DOUBLE
typedef double real;
typedef __m256d vector;
#define V(operation) _mm256_##operation##pd
#define S(function)  FOCAL_SLEEF(function##d4_u10avx2)
#else
typedef float real;
typedef __m256 vector;
#define V(operation) _mm256_##operation##ps
#define S(function)  FOCAL_SLEEF(function##f8_u10avx2)
#endif

enum { LANES = sizeof(vector) / sizeof(real), ROW_MOST = BENCH_SIDE_CLASSES_MOST };

/* Of each lane, a where x is negative, else b. */
static inline vector where_negative(vector x, vector a, vector b) {
#if defined(__aarch64__)
    return V(select_)(V(sign_)(x), a, b);
#elif defined(__AVX512F__) && BENCH_DOUBLE
    return _mm512_mask_blend_pd(_mm512_movepi64_mask(_mm512_castpd_si512(x)), b, a);
#elif defined(__AVX512F__)
    return _mm512_mask_blend_ps(_mm512_movepi32_mask(_mm512_castps_si512(x)), b, a);
#else
    return V(blendv_)(b, a, x);
#endif
}

static double lane_sum(vector values) {
    real lanes[LANES];
    double sum = 0.0;
    V(storeu_)(lanes, values);
    for (int i = 0; i < LANES; i++)
        sum += (double)lanes[i];
    return sum;
}

typedef struct constants {
    vector gamma, gamma_below, slope, offset;
    vector twice; /* 1 + 2 gamma */
} constants;

/* What a vector of logits gives: alpha q^gamma times the cross-entropy, and what is wanted. */
typedef struct results {
    vector loss, gradient, hessian;
} results;

static inline __attribute__((always_inline)) results
sigmoid_vector(const constants *k, vector x, vector t, int square, int gradient, int hessian) {
    results out = {V(set1_)(0), V(set1_)(0), V(set1_)(0)};
    const vector one = V(set1_)(1), zero = V(set1_)(0), sign = V(set1_)((real)-0.0);
    vector e = S(exp)(V(or_)(x, sign));
    vector quotient = V(div_)(one, V(add_)(one, e));
    vector small = V(mul_)(e, quotient);
    vector p = where_negative(x, small, quotient);
    vector not_p = where_negative(x, quotient, small);
    vector entropy = V(add_)(S(log1p)(e), V(max_)(x, zero));
    entropy = V(fnmadd_)(x, t, entropy);
    vector q = V(fmadd_)(t, V(sub_)(not_p, p), p);
    vector alpha = V(fmadd_)(k->slope, t, k->offset);
    if (!gradient) {
        vector factor = square ? V(mul_)(q, q) : S(pow)(q, k->gamma);
        out.loss = V(mul_)(V(mul_)(alpha, factor), entropy);
        return out;
    }
    vector below = V(mul_)(alpha, square ? q : S(pow)(q, k->gamma_below));
    vector side = V(fnmadd_)(V(set1_)(2), t, one);
    vector inner = V(mul_)(V(mul_)(k->gamma, side), V(mul_)(p, not_p));
    vector rest = V(mul_)(q, V(sub_)(p, t));
    out.gradient = V(mul_)(below, V(fmadd_)(inner, entropy, rest));
    out.loss = V(mul_)(V(mul_)(below, q), entropy);
    if (hessian) { /* the formula stands in plain.c */
        vector p_t = V(sub_)(one, q);
        vector slope = V(mul_)(V(mul_)(k->gamma, entropy), V(fnmadd_)(k->gamma, p_t, q));
        vector bracket = V(sub_)(V(mul_)(k->twice, q), slope);
        out.hessian = V(mul_)(V(mul_)(V(mul_)(below, q), p_t), bracket);
    }
    return out;
}

static inline __attribute__((always_inline)) double
sigmoid_loop(const bench_piece *piece, int square, int loss, int gradient, int hessian) {
    const constants k = {
        .gamma = V(set1_)((real)piece->gamma),
        .gamma_below = V(set1_)((real)(piece->gamma - 1.0)),
        .slope = V(set1_)((real)(piece->alpha_positive - piece->alpha_negative)),
        .offset = V(set1_)((real)piece->alpha_negative),
        .twice = V(set1_)((real)(1.0 + 2.0 * piece->gamma)),
    };
    const real *logits = piece->logits, *targets = piece->targets;
    real *gradients = piece->gradient, *hessians = piece->hessian;
    vector sum = V(set1_)(0);
    size_t i = 0;
    for (; i + LANES <= piece->count; i += LANES) {
        vector x = V(loadu_)(logits + i), t = V(loadu_)(targets + i);
        results one = sigmoid_vector(&k, x, t, square, gradient, hessian);
        sum = V(add_)(sum, one.loss);
        if (gradient)
            V(storeu_)(gradients + i, one.gradient);
        if (hessian)
            V(storeu_)(hessians + i, one.hessian);
    }
    size_t left = piece->count - i;
    if (left > 0) {
        /* Logits far below with target 0 add nothing. */
        real x[LANES], t[LANES] = {0};
        for (int lane = 0; lane < LANES; lane++)
            x[lane] = -2000;
        memcpy(x, logits + i, left * sizeof *x);
        memcpy(t, targets + i, left * sizeof *t);
        results one = sigmoid_vector(&k, V(loadu_)(x), V(loadu_)(t), square, gradient, hessian);
        sum = V(add_)(sum, one.loss);
        V(storeu_)(x, one.gradient);
        V(storeu_)(t, one.hessian);
        if (gradient)
            memcpy(gradients + i, x, left * sizeof *x);
        if (hessian)
            memcpy(hessians + i, t, left * sizeof *t);
    }
    return loss ? lane_sum(sum) : 0.0;
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

static real row_largest(const real *logits, size_t count) {
    vector largest = V(set1_)((real)-INFINITY);
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        largest = V(max_)(largest, V(loadu_)(logits + i));
    real lanes[LANES], result;
    V(storeu_)(lanes, largest);
    result = lanes[0];
    for (int lane = 1; lane < LANES; lane++)
        result = lanes[lane] > result ? lanes[lane] : result;
    for (; i < count; i++)
        result = logits[i] > result ? logits[i] : result;
    return result;
}

/* The sum of exp(logit - largest); each of them to the gradient's row if there is one. */
static double row_exponentials(const bench_piece *piece, real largest) {
    const vector shift = V(set1_)(largest);
    const real *logits = piece->logits;
    real *gradients = piece->gradient;
    vector sum = V(set1_)(0);
    size_t i = 0;
    for (; i + LANES <= piece->count; i += LANES) {
        vector e = S(exp)(V(sub_)(V(loadu_)(logits + i), shift));
        sum = V(add_)(sum, e);
        if (gradients)
            V(storeu_)(gradients + i, e);
    }
    size_t left = piece->count - i;
    if (left > 0) {
        real x[LANES];
        for (int lane = 0; lane < LANES; lane++)
            x[lane] = (real)-INFINITY;
        memcpy(x, logits + i, left * sizeof *x);
        vector e = S(exp)(V(sub_)(V(loadu_)(x), shift));
        sum = V(add_)(sum, e);
        V(storeu_)(x, e);
        if (gradients)
            memcpy(gradients + i, x, left * sizeof *x);
    }
    return lane_sum(sum);
}

static double softmax(const bench_piece *piece) {
    const real *logits = piece->logits;
    const real largest = row_largest(logits, piece->count);
    const double sum = row_exponentials(piece, largest);
    const double log_p = (double)logits[piece->label] - (double)largest - log(sum);
    const double p = exp(log_p), q = 1.0 - p, gamma = piece->gamma;
    const double alpha = piece->alpha_positive;
    if (piece->gradient) {
        double factor = alpha * (gamma * pow(q, gamma - 1.0) * p * log_p - pow(q, gamma));
        const vector scale = V(set1_)((real)(-factor / sum));
        real *gradient = piece->gradient;
        size_t i = 0;
        for (; i + LANES <= piece->count; i += LANES)
            V(storeu_)(gradient + i, V(mul_)(V(loadu_)(gradient + i), scale));
        for (; i < piece->count; i++)
            gradient[i] *= (real)(-factor / sum);
        gradient[piece->label] += (real)factor;
    }
    return piece->want_loss ? -alpha * pow(q, gamma) * log_p : 0.0;
}

/* exp(x) of row `i` and all classes, to the gradient if there is one; returns their sum. */
static vector vector_exponentials(const bench_piece *piece, size_t i, vector largest) {
    const real *logits = (const real *)piece->logits + i;
    real *gradients = piece->gradient ? (real *)piece->gradient + i : NULL;
    vector sum = V(set1_)(0);
    for (size_t c = 0; c < piece->classes; c++) {
        vector e = S(exp)(V(sub_)(V(loadu_)(logits + c * piece->stride), largest));
        sum = V(add_)(sum, e);
        if (gradients)
            V(storeu_)(gradients + c * piece->stride, e);
    }
    return sum;
}

/* A vector of rows, from row `i` on; as in softmax(), the row arithmetic is libm's. */
static double vector_of_rows(const bench_piece *piece, size_t i) {
    const real *logits = (const real *)piece->logits + i;
    real *gradients = piece->gradient ? (real *)piece->gradient + i : NULL;
    const double gamma = piece->gamma, alpha = piece->alpha_positive;
    real most[LANES], sums[LANES], factors[LANES], scales[LANES];
    double loss = 0.0;
    vector largest = V(loadu_)(logits);
    for (size_t c = 1; c < piece->classes; c++)
        largest = V(max_)(largest, V(loadu_)(logits + c * piece->stride));
    V(storeu_)(most, largest);
    V(storeu_)(sums, vector_exponentials(piece, i, largest));
    for (size_t lane = 0; lane < LANES; lane++) {
        int32_t label = piece->labels[i + lane];
        factors[lane] = scales[lane] = 0;
        if (label < 0)
            continue;
        double x = (double)logits[(size_t)label * piece->stride + lane];
        double log_p = x - (double)most[lane] - log((double)sums[lane]);
        double p = exp(log_p), q = 1.0 - p;
        double factor = alpha * (gamma * pow(q, gamma - 1.0) * p * log_p - pow(q, gamma));
        loss -= alpha * pow(q, gamma) * log_p;
        factors[lane] = (real)factor;
        scales[lane] = (real)(-factor / (double)sums[lane]);
    }
    for (size_t c = 0; c < piece->classes && gradients; c++) {
        real *at = gradients + c * piece->stride;
        V(storeu_)(at, V(mul_)(V(loadu_)(at), V(loadu_)(scales)));
    }
    for (size_t lane = 0; lane < LANES && gradients; lane++)
        if (piece->labels[i + lane] >= 0)
            gradients[(size_t)piece->labels[i + lane] * piece->stride + lane] += factors[lane];
    return loss;
}

/* Rows that fill no vector one by one; bench_baseline_computes() allows no more classes than ROW_MOST. */
static double softmax_side_by_side(const bench_piece *piece) {
    double loss = 0.0;
    size_t i = 0;
    for (; i + LANES <= piece->count; i += LANES)
        loss += vector_of_rows(piece, i);
    for (; i < piece->count; i++) {
        real row[ROW_MOST] = {0}, slope[ROW_MOST];
        bench_piece one = *piece;
        int32_t label = piece->labels[i];
        for (size_t c = 0; c < piece->classes; c++)
            row[c] = ((const real *)piece->logits)[c * piece->stride + i];
        one.logits = row;
        one.gradient = piece->gradient ? slope : NULL;
        one.count = piece->classes;
        one.label = label < 0 ? 0 : (size_t)label;
        double of_row = softmax(&one);
        loss += label < 0 ? 0.0 : of_row;
        for (size_t c = 0; c < piece->classes && piece->gradient; c++)
            ((real *)piece->gradient)[c * piece->stride + i] = label < 0 ? 0 : slope[c];
    }
    return piece->want_loss ? loss : 0.0;
}

const bench_opponent PASTE(bench_sleef_, BENCH_SET) = {sigmoid, softmax, softmax_side_by_side};
