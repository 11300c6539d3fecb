#include "baselines.h"

#include <string.h>

/* Sigmoid is cut into pieces whose scratch of targets stays in L1. */
enum { PIECE = 2048 };

/* SLEEF's are linked only where the build has them. */
static const struct {
    bench_baseline baseline;
    const char *isa;
    const bench_opponent *opponents[2]; /* by dtype */
} table[] = {
    {BENCH_BASELINE_PLAIN, NULL, {&bench_plain_base_f32, &bench_plain_base_f64}},
    {BENCH_BASELINE_VECTORISED,
     NULL,
     {&bench_plain_vectorised_f32, &bench_plain_vectorised_f64}},
#if FOCAL_BENCH_X86
    {BENCH_BASELINE_SLEEF, "avx512", {&bench_sleef_avx512_f32, &bench_sleef_avx512_f64}},
    {BENCH_BASELINE_SLEEF, "avx2", {&bench_sleef_avx2_f32, &bench_sleef_avx2_f64}},
#elif FOCAL_BENCH_AARCH64
    {BENCH_BASELINE_SLEEF, "neon", {&bench_sleef_neon_f32, &bench_sleef_neon_f64}},
#endif
};

const char *const bench_baseline_isas[] = {
#if FOCAL_BENCH_X86
    "avx512", "avx2",
#elif FOCAL_BENCH_AARCH64
    "neon",
#endif
    NULL};

static const bench_opponent *opponent_of(bench_baseline baseline, const char *isa,
                                         bench_dtype dtype) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].baseline == baseline &&
            (!table[i].isa || (isa && strcmp(isa, table[i].isa) == 0)))
            return table[i].opponents[dtype];
    return NULL;
}

const char *bench_baseline_name(bench_baseline baseline) {
    static const char *const names[] = {
#define BENCH_BASELINE_TEXT(id, text, description) text,
        BENCH_BASELINE_LIST(BENCH_BASELINE_TEXT)
#undef BENCH_BASELINE_TEXT
    };
    return names[baseline];
}

int bench_baseline_usable(bench_baseline baseline, const char *isa) {
    if (!opponent_of(baseline, isa, BENCH_F32))
        return 0;
#if FOCAL_BENCH_X86
    if (isa && strcmp(isa, "avx512") == 0)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
    if (baseline != BENCH_BASELINE_PLAIN)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return 1;
}

int bench_baseline_computes(const bench_case *shape, bench_direction direction) {
    if (shape->inner > 1 && shape->classes > BENCH_SIDE_CLASSES_MOST)
        return 0;
    return direction <= BENCH_BOTH ||
           (shape->op == FOCAL_SIGMOID && shape->target_kind == FOCAL_TARGET_BINARY_U8);
}

static char *move(void *base, size_t first, size_t bytes) {
    return base ? (char *)base + first * bytes : NULL;
}

static double run_sigmoid(const bench_opponent *opponent, const bench_data *data,
                          bench_piece piece) {
    const size_t bytes = bench_dtype_bytes(data->shape->dtype);
    double scratch[PIECE], sum = 0.0;
    void *gradient = piece.gradient, *hessian = piece.hessian;
    for (size_t first = 0; first < data->elements; first += piece.count) {
        size_t left = data->elements - first;
        piece.count = left < PIECE ? left : PIECE;
        piece.logits = move(data->logits, first, bytes);
        piece.gradient = move(gradient, first, bytes);
        piece.hessian = move(hessian, first, bytes);
        piece.targets = bench_real_targets(data, first, piece.count, scratch);
        sum += opponent->sigmoid(&piece);
    }
    return sum;
}

static double run_softmax(const bench_opponent *opponent, const bench_data *data,
                          bench_piece piece) {
    const size_t bytes = bench_dtype_bytes(data->shape->dtype);
    double sum = 0.0;
    void *gradient = piece.gradient;
    piece.count = (size_t)data->shape->classes;
    for (size_t row = 0; row < (size_t)data->outer; row++) {
        piece.logits = move(data->logits, row * piece.count, bytes);
        piece.gradient = move(gradient, row * piece.count, bytes);
        piece.label = bench_label(data, row);
        sum += opponent->softmax(&piece);
    }
    return sum;
}

/* Labels as the library sees them, but -1 where they are ignored. */
static void take_labels(const bench_data *data, size_t first, size_t count, int32_t *labels) {
    for (size_t i = 0; i < count; i++) {
        size_t label = bench_label(data, first + i);
        labels[i] = data->shape->features & BENCH_IGNORE && label == BENCH_IGNORED_LABEL
                        ? -1
                        : (int32_t)label;
    }
}

static double run_side_by_side(const bench_opponent *opponent, const bench_data *data,
                               bench_piece piece) {
    const size_t bytes = bench_dtype_bytes(data->shape->dtype), inner = (size_t)data->inner;
    int32_t labels[BENCH_ROWS_MOST];
    double sum = 0.0;
    void *gradient = piece.gradient;
    piece.classes = (size_t)data->shape->classes;
    piece.stride = inner;
    piece.labels = labels;
    for (size_t outer = 0; outer < (size_t)data->outer; outer++)
        for (size_t i = 0; i < inner; i += piece.count) {
            piece.count = inner - i < BENCH_ROWS_MOST ? inner - i : BENCH_ROWS_MOST;
            take_labels(data, outer * inner + i, piece.count, labels);
            piece.logits = move(data->logits, outer * piece.classes * inner + i, bytes);
            piece.gradient = move(gradient, outer * piece.classes * inner + i, bytes);
            sum += opponent->softmax_side_by_side(&piece);
        }
    return sum;
}

double bench_baseline_run(bench_baseline baseline, const char *isa, const bench_data *data,
                          double gamma, bench_direction direction) {
    const bench_opponent *opponent = opponent_of(baseline, isa, data->shape->dtype);
    const bench_piece piece = {.gamma = gamma,
                               .want_loss = direction == BENCH_LOSS || direction == BENCH_BOTH,
                               .gradient = direction == BENCH_LOSS ? NULL : data->gradient,
                               .hessian = direction > BENCH_BOTH ? data->hessian : NULL,
                               .alpha_positive = data->alpha_positive,
                               .alpha_negative = data->alpha_negative};
    if (data->shape->op == FOCAL_SIGMOID)
        return run_sigmoid(opponent, data, piece);
    return data->shape->inner > 1 ? run_side_by_side(opponent, data, piece)
                                  : run_softmax(opponent, data, piece);
}
