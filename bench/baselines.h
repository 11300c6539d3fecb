/* Opponents: the same losses and gradients by other means, on one thread. */
#ifndef FOCAL_BENCH_BASELINES_H
#define FOCAL_BENCH_BASELINES_H

#include "cases.h"

/* X(id, text, what it is) */
#define BENCH_BASELINE_LIST(X)                                                                 \
    X(SLEEF, "sleef", "SLEEF's exp, log1p and pow, called per vector in one loop")             \
    X(PLAIN, "plain", "the formula in C, at -O3")                                              \
    X(VECTORISED, "vectorised",                                                                \
      "the same C, vectorised by the compiler: -O3 -ffast-math, AVX2, vector libm")

typedef enum {
#define BENCH_BASELINE_ENUM(id, text, description) BENCH_BASELINE_##id,
    BENCH_BASELINE_LIST(BENCH_BASELINE_ENUM)
#undef BENCH_BASELINE_ENUM
        BENCH_BASELINE_COUNT
} bench_baseline;

const char *bench_baseline_name(bench_baseline baseline);

/* ISAs for which SLEEF is called, best first; NULL ends the list. The others have none. */
extern const char *const bench_baseline_isas[];

/* Whether this build and this CPU have it. `isa` is NULL but for SLEEF. */
int bench_baseline_usable(bench_baseline baseline, const char *isa);

/* Whether they compute that at all: Hessians of sigmoid and hard targets alone. */
int bench_baseline_computes(const bench_case *shape, bench_direction direction);

/* One execution. The gradient is written unless the direction is the loss, the Hessian if the data
 * have one; the returned sum of losses is 0 if the direction is another than loss and both. */
double bench_baseline_run(bench_baseline baseline, const char *isa, const bench_data *data,
                          double gamma, bench_direction direction);

/* ---- What an opponent implements ----------------------------------------------------------- */

/* A piece of the work: sigmoid elements with targets of the logits' type; one softmax row with its
 * label; or `count` softmax rows side by side, whose classes are `stride` elements apart, with
 * labels of which those below 0 count for nothing. */
typedef struct bench_piece {
    const void *logits, *targets;
    void *gradient, *hessian; /* NULL: not wanted */
    size_t count, label;
    const int32_t *labels;
    size_t classes, stride;
    int want_loss;
    double gamma, alpha_positive, alpha_negative;
} bench_piece;

/* Rows side by side are at most so many, of so many classes. */
enum { BENCH_ROWS_MOST = 256, BENCH_SIDE_CLASSES_MOST = 1024 };

typedef struct bench_opponent {
    double (*sigmoid)(const bench_piece *piece);
    double (*softmax)(const bench_piece *piece);
    double (*softmax_side_by_side)(const bench_piece *piece);
} bench_opponent;

/* By dtype. */
extern const bench_opponent bench_plain_base_f32, bench_plain_base_f64;
extern const bench_opponent bench_plain_vectorised_f32, bench_plain_vectorised_f64;
extern const bench_opponent bench_sleef_avx2_f32, bench_sleef_avx2_f64;
extern const bench_opponent bench_sleef_avx512_f32, bench_sleef_avx512_f64;
extern const bench_opponent bench_sleef_neon_f32, bench_sleef_neon_f64;

#endif
