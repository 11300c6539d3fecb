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
#endif
};

const char *const bench_baseline_isas[] = {
#if FOCAL_BENCH_X86
    "avx512", "avx2",
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
    return shape->inner == 1 && !shape->features && direction <= BENCH_BOTH;
}

double bench_baseline_run(bench_baseline baseline, const char *isa, const bench_data *data,
                          double gamma, bench_direction direction) {
    const bench_opponent *opponent = opponent_of(baseline, isa, data->shape->dtype);
    const size_t classes = (size_t)data->shape->classes;
    const size_t bytes = bench_dtype_bytes(data->shape->dtype);
    const int softmax = data->shape->op == FOCAL_SOFTMAX;
    double scratch[PIECE], sum = 0.0;
    bench_piece piece = {.gamma = gamma,
                         .want_loss = direction != BENCH_GRADIENT,
                         .alpha_positive = data->alpha_positive,
                         .alpha_negative = data->alpha_negative};
    for (size_t first = 0; first < data->elements; first += piece.count) {
        size_t left = data->elements - first;
        piece.logits = (const char *)data->logits + first * bytes;
        piece.gradient =
            direction == BENCH_LOSS ? NULL : (char *)data->gradient + first * bytes;
        if (softmax) {
            piece.count = classes;
            piece.label = bench_label(data, first / classes);
            sum += opponent->softmax(&piece);
        } else {
            piece.count = left < PIECE ? left : PIECE;
            piece.targets = bench_real_targets(data, first, piece.count, scratch);
            sum += opponent->sigmoid(&piece);
        }
    }
    return sum;
}
