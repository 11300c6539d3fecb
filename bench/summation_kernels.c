/* Two kernels of the library, compiled from its sources with its flags: see summation.h.
 * BENCH_FREE_SUM says which sum. */
#if defined(__aarch64__)
#include "vec/vec_neon.h"
#elif defined(__AVX512F__)
#include "vec/vec_avx512.h"
#else
#include "vec/vec_avx2.h"
#endif

#include <float.h>
#include <math.h>

#include "kernel.h"

#if BENCH_FREE_SUM
#include "free_sum.h"
#else
#include "sum.h"
#endif

#include "elementary.h"

#include "sigmoid.body.h"

#include "softmax_moderate.body.h"

#include "softmax.body.h"

#include "summation.h"

static double sigmoid(const bench_data *data, size_t first, size_t count) {
    focal_span span = {
        .logits = (const float *)data->logits + first,
        .targets = (const float *)data->targets + first,
        .rows = 1,
        .classes = count,
        .gamma = 2.0,
        .alpha_positive = data->alpha_positive,
        .alpha_negative = data->alpha_negative,
        .upstream = 1.0F,
    };
    sigmoid_block(&span, KERNEL_FAST, KERNEL_DENSE, KERNEL_LOSS, KERNEL_G2, 16);
    return span.sum;
}

static double softmax(const bench_data *data) {
    const size_t classes = (size_t)data->shape->classes;
    focal_span span = {
        .logits = data->logits,
        .labels = data->targets,
        .rows = (size_t)data->outer,
        .classes = classes,
        .logits_stride = classes,
        .gamma = 2.0,
        .alpha_positive = data->alpha_positive,
        .alpha_negative = data->alpha_negative,
        .upstream = 1.0F,
    };
    softmax_plain_block(&span, KERNEL_FAST, KERNEL_LOSS, KERNEL_G2, 16);
    return span.sum;
}

#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)
const bench_summation PASTE(bench_, BENCH_SET) = {sigmoid, softmax};
