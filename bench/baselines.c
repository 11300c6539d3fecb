#include "baselines.h"

/* Sigmoid is cut into pieces whose scratch of targets stays in L1. */
enum { PIECE = 2048 };

/* Linked only where the build has them. */
static const bench_opponent *opponent_of(bench_baseline baseline) {
    switch (baseline) {
    case BENCH_BASELINE_SLEEF:
#if FOCAL_BENCH_AVX2
        return &bench_sleef_avx2;
#else
        return NULL;
#endif
    case BENCH_BASELINE_VECTORISED:
        return &bench_plain_vectorised;
    default:
        return &bench_plain_base;
    }
}

const char *bench_baseline_name(bench_baseline baseline) {
    static const char *const names[] = {
#define BENCH_BASELINE_TEXT(id, text, description) text,
        BENCH_BASELINE_LIST(BENCH_BASELINE_TEXT)
#undef BENCH_BASELINE_TEXT
    };
    return names[baseline];
}

int bench_baseline_usable(bench_baseline baseline) {
    if (!opponent_of(baseline))
        return 0;
#if FOCAL_BENCH_AVX2
    if (baseline != BENCH_BASELINE_PLAIN)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return 1;
}

double bench_baseline_run(bench_baseline baseline, const bench_data *data, double gamma,
                          bench_direction direction) {
    const bench_opponent *opponent = opponent_of(baseline);
    const size_t classes = (size_t)data->shape->classes;
    const int softmax = data->shape->op == FOCAL_SOFTMAX;
    float scratch[PIECE];
    bench_piece piece = {.gamma = (float)gamma,
                         .want_loss = direction != BENCH_GRADIENT,
                         .alpha_positive = (float)data->alpha_positive,
                         .alpha_negative = (float)data->alpha_negative};
    double sum = 0.0;
    for (size_t first = 0; first < data->elements; first += piece.count) {
        size_t left = data->elements - first;
        piece.logits = data->logits + first;
        piece.gradient = direction == BENCH_LOSS ? NULL : data->gradient + first;
        if (softmax) {
            piece.count = classes;
            piece.label = bench_label(data, first / classes);
            sum += opponent->softmax(&piece);
        } else {
            piece.count = left < PIECE ? left : PIECE;
            piece.targets = bench_float_targets(data, first, piece.count, scratch);
            sum += opponent->sigmoid(&piece);
        }
    }
    return sum;
}
