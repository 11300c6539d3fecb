#include "cases.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "ulp.h"

enum { SPECIALS_MAX = 160, GAMMAS_MAX = 8 };

typedef struct maker {
    const focal_kernel *kernel;
    random_source random;
    bool quick;
    case_visitor *visit;
    void *context;
    kernel_case one;
    size_t gamma_count, special_count, made;
    double gammas[GAMMAS_MAX];
    float specials[SPECIALS_MAX];
    float logits[CASE_ELEMENTS_MAX], dense[CASE_ELEMENTS_MAX];
    uint8_t binary[CASE_ELEMENTS_MAX];
    int32_t labels[CASE_ROWS_MAX];
} maker;

static const double alphas[] = {-1.0, 0.25, 1.0, 0.0}; /* -1: off */
static const float upstreams[] = {1.0F, 0.5F, 3.0F};
enum { ALPHAS = 4, UPSTREAMS = 3 };

/* Hard ones, soft ones, and the smallest steps away from 0 and 1. */
static const float targets[] = {0.0F,     1.0F,           0.5F,      0.25F,
                                0x1p-24F, 0x1.fffffep-1F, 0x1p-149F, 0x1.8p-1F};
enum { TARGETS = 8 };

size_t cases_contract_length(const char *name) {
    const char *end = strstr(name, "__");
    return end ? (size_t)(end - name) : strlen(name);
}

static void set_gammas(maker *m) {
    static const double any[] = {0.1, 0.3, 2.5, 3.0, 3.7, 5.0, 7.5, 100.0};
    switch (m->kernel->gamma_class) {
    case KERNEL_G0:
    case KERNEL_G1:
    case KERNEL_G2:
        m->gammas[0] = (double)(m->kernel->gamma_class - KERNEL_G0);
        m->gamma_count = 1;
        break;
    case KERNEL_GH:
        for (uint32_t steps = 1; steps <= FOCAL_HALF_STEPS_MAX; steps++)
            if (steps != 2 && steps != 4)
                m->gammas[m->gamma_count++] = steps / 2.0;
        break;
    case KERNEL_GX:
        m->gamma_count = sizeof any / sizeof any[0];
        memcpy(m->gammas, any, sizeof any);
        break;
    }
}

/* Where functions and selects change over: log(2^24), log(2^25), logs of the smallest normal, the
 * largest, half the smallest and the smallest number, and the constants of the bodies. */
static void set_specials(maker *m) {
    static const float thresholds[] = {
        16.6F,      17.3F,     87.3F,     88.7F,      103.9F,     104.0F,     128.0F,
        16.635532F, 17.32868F, 87.33654F, 88.722839F, 103.97208F, 103.27893F, 0x1.62e43p-1F};
    static const float plain[] = {0.0F,     0x1p-149F, 0x1.fffffcp-127F,
                                  FLT_MIN,  0x1p-64F,  0x1p-25F,
                                  0x1p-24F, 0x1p-12F,  0.5F,
                                  1.0F,     2.0F,      10.0F,
                                  50.0F,    1e6F,      FLT_MAX,
                                  HUGE_VALF};
    float *to = m->specials;
    for (size_t i = 0; i < sizeof thresholds / sizeof thresholds[0]; i++)
        for (uint32_t step = 0; step < 3; step++)
            *to++ = ulp_from_bits_f32(ulp_bits_f32(thresholds[i]) - 1 + step);
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        *to++ = plain[i];
    size_t positive = (size_t)(to - m->specials);
    for (size_t i = 0; i < positive; i++)
        *to++ = -m->specials[i];
    *to++ = ulp_from_bits_f32(0x7fc00000U);
    *to++ = ulp_from_bits_f32(0xffc00001U);
    *to++ = ulp_from_bits_f32(0x7f800001U); /* signalling */
    /* Whole steps, so that 16 shifts bring each of them into each lane. */
    while ((to - m->specials) % 16 != 0)
        *to++ = 0.25F;
    m->special_count = (size_t)(to - m->specials);
}

/* Mostly of the size of real logits; all below 128, so that sums stay comparable. */
static float random_logit(maker *m) {
    uint64_t bits = random_next(&m->random);
    float whole = (float)((int32_t)(bits >> 40) - (1 << 23));
    switch (bits & 15) {
    case 0:
    case 1:
    case 2:
        return whole * 0x1p-16F;
    case 3:
        return whole * 0x1p-40F;
    case 4:
        return whole * 0x1p-24F;
    default:
        return whole * 0x1p-19F;
    }
}

static float random_target(maker *m) {
    uint64_t bits = random_next(&m->random);
    if (bits & 1)
        return (float)(bits >> 1 & 1);
    if (bits & 6)
        return (float)(bits >> 40) * 0x1p-24F;
    return targets[bits >> 3 & 7];
}

static float random_bits(maker *m) {
    return ulp_from_bits_f32((uint32_t)(random_next(&m->random) >> 32));
}

static void fill(maker *m, size_t rows, size_t classes) {
    m->one.rows = rows;
    m->one.classes = classes;
    for (size_t i = 0; i < rows * classes; i++)
        m->logits[i] = random_logit(m);
    for (size_t i = 0; m->one.dense && i < rows * classes; i++)
        m->dense[i] = random_target(m);
    for (size_t i = 0; m->one.binary && i < rows * classes; i++)
        m->binary[i] = (uint8_t)(random_next(&m->random) >> 63);
    for (size_t r = 0; m->one.labels && r < rows; r++)
        m->labels[r] = (int32_t)random_below(&m->random, (uint32_t)classes);
}

static void set_gamma(maker *m, size_t which) {
    m->one.gamma = m->gammas[which % m->gamma_count];
    m->one.half_steps =
        m->kernel->gamma_class == KERNEL_GH ? (uint32_t)(2.0 * m->one.gamma) : 0;
}

static void set_alpha(maker *m, size_t which) {
    double alpha = alphas[which % ALPHAS];
    m->one.alpha_positive = alpha < 0.0 ? 1.0 : alpha;
    m->one.alpha_negative = alpha < 0.0 ? 1.0 : 1.0 - alpha;
}

/* Outputs go round: 0 all, 1 without row losses, 2 the sum alone. */
static void set_outputs(maker *m, size_t which) {
    bool losses = m->kernel->direction != KERNEL_GRADIENT;
    m->one.loss = losses && m->kernel->op == KERNEL_SIGMOID && which % 3 != 2;
    m->one.row_loss = losses && which % 3 == 0;
}

static void set_layout(maker *m, bool in_place, bool padded) {
    m->one.in_place = in_place && m->kernel->direction != KERNEL_LOSS;
    padded = padded && m->kernel->op == KERNEL_SOFTMAX;
    m->one.logits_padding = padded ? 1 + random_below(&m->random, CASE_PADDING_MAX) : 0;
    m->one.gradient_padding = padded ? 1 + random_below(&m->random, CASE_PADDING_MAX) : 0;
    if (m->one.in_place)
        m->one.gradient_padding = m->one.logits_padding;
}

/* Everything but the inputs, a different mix for each `which`. */
static void set_all(maker *m, size_t which) {
    set_gamma(m, which);
    set_alpha(m, which / 3);
    m->one.upstream = upstreams[which / 2 % UPSTREAMS];
    set_outputs(m, which / 5);
    set_layout(m, which / 7 % 4 == 1, which % 2 == 1);
}

static void emit(maker *m, const char *part) {
    m->one.part = part;
    m->made++;
    m->visit(&m->one, m->context);
}

/* Every combination of gamma, alpha, upstream factor and outputs; quick halves the outputs. */
static void make_parameters(maker *m) {
    bool losses = m->kernel->direction != KERNEL_GRADIENT;
    bool gradient = m->kernel->direction != KERNEL_LOSS;
    size_t outputs = losses ? 3 : 1, layouts = gradient ? 2 : 1;
    for (size_t g = 0; g < m->gamma_count; g++)
        for (size_t a = 0; a < ALPHAS; a++)
            for (size_t u = 0; u < (gradient ? UPSTREAMS : 1); u++)
                for (size_t o = 0; o < outputs; o++)
                    for (size_t l = 0; l < layouts; l++) {
                        if (m->quick && (g + a + u + o + l) % 2 != 0)
                            continue;
                        fill(m, 3, 13);
                        set_gamma(m, g);
                        set_alpha(m, a);
                        m->one.upstream = upstreams[u];
                        set_outputs(m, o);
                        set_layout(m, l == 1, (a + o) % 2 == 1);
                        emit(m, "parameters");
                    }
}

/* Around runs of 512 and blocks of 4096: their neighbours and the nearest primes. */
static const size_t long_lengths[] = {513, 1021, 4095, 4096, 509,  511,  512,
                                      521, 1023, 1024, 1025, 1031, 4079, 4093};
enum { LONG_LENGTHS = 14, LONG_LENGTHS_QUICK = 3 };

/* Quick tries all lengths of up to four iterations of 32, and every third beyond. */
static void make_lengths(maker *m) {
    for (size_t n = 0; n <= 200; n += m->quick && n > 136 ? 3 : 1)
        for (size_t twice = 0; twice < (m->quick && n > 64 ? 1 : 2); twice++) {
            fill(m, 1, n);
            set_all(m, m->made);
            emit(m, "lengths");
        }
    for (size_t i = 0; i < (m->quick ? LONG_LENGTHS_QUICK : LONG_LENGTHS); i++)
        for (size_t twice = 0; twice < (m->quick ? 1 : 2); twice++) {
            fill(m, 1, long_lengths[i]);
            set_all(m, m->made);
            emit(m, "lengths");
        }
}

/* Row losses of sigmoid elements. */
static void make_sigmoid_rows(maker *m) {
    static const size_t shapes[][2] = {{1, 1},  {5, 1},   {3, 17},   {7, 33},   {2, 600},
                                       {0, 40}, {16, 64}, {40, 100}, {4096, 1}, {3, 1365}};
    if (m->kernel->direction == KERNEL_GRADIENT)
        return;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        if (m->quick && shapes[i][0] * shapes[i][1] > 1500)
            continue;
        fill(m, shapes[i][0], shapes[i][1]);
        set_all(m, i);
        set_outputs(m, 0);
        emit(m, "rows");
    }
}

static void make_sigmoid_specials(maker *m) {
    bool dense = m->kernel->target == KERNEL_DENSE;
    size_t kinds = dense ? TARGETS : 2, wanted = kinds * m->gamma_count;
    for (size_t k = 0; k < (wanted > 16 ? wanted : 16); k++) {
        if (m->quick && k >= 16 && k % 4 != 0)
            continue;
        fill(m, 1, m->special_count);
        for (size_t i = 0; i < m->special_count; i++) {
            m->logits[i] = m->specials[(i + k) % m->special_count];
            size_t kind = k / m->gamma_count % kinds;
            m->dense[i] = targets[kind];
            m->binary[i] = (uint8_t)(kind % 2);
        }
        set_all(m, k);
        set_alpha(m, k % 2);
        emit(m, "special values");
    }
}

/* A NaN in one element, in each lane of a whole step and of a tail. */
static void make_sigmoid_nans(maker *m) {
    bool dense = m->kernel->target == KERNEL_DENSE;
    for (size_t at = 16; at < 45; at++)
        for (size_t in_target = 0; in_target < (dense ? 2 : 1); in_target++) {
            fill(m, 1, 45);
            *(in_target ? &m->dense[at] : &m->logits[at]) = ulp_from_bits_f32(0x7fc00000U);
            set_all(m, m->made);
            set_outputs(m, 1);
            emit(m, "one NaN");
        }
}

/* 0/1 targets that are also given as labels, or -1 for a row without a positive class. */
static void make_sigmoid_labels(maker *m) {
    static const size_t shapes[][2] = {{1, 1},   {40, 1}, {5, 3},    {24, 80}, {3, 511},
                                       {2, 513}, {0, 7},  {33, 100}, {1, 4096}};
    if (m->kernel->target != KERNEL_BINARY)
        return;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (size_t a = 0; a < ALPHAS; a++) {
            size_t rows = shapes[i][0], classes = shapes[i][1];
            if (m->quick && (rows * classes > 2000 || (i + a) % 2 != 0))
                continue;
            fill(m, rows, classes);
            memset(m->binary, 0, rows * classes);
            for (size_t r = 0; r < rows; r++) {
                m->labels[r] = (int32_t)random_below(&m->random, (uint32_t)classes + 1) - 1;
                if (m->labels[r] >= 0)
                    m->binary[r * classes + (size_t)m->labels[r]] = 1;
            }
            set_all(m, m->made);
            set_alpha(m, a);
            m->one.labels = m->labels;
            emit(m, "labels");
            m->one.labels = NULL;
        }
}

static void make_bits(maker *m) {
    for (size_t k = 0; k < (m->quick ? 2 : 8); k++) {
        if (m->kernel->op == KERNEL_SIGMOID)
            fill(m, 1, 1000);
        else
            fill(m, 125, 8);
        for (size_t i = 0; i < 1000; i++)
            m->logits[i] = random_bits(m);
        set_all(m, m->made);
        emit(m, "random bits");
    }
}

static void make_shape(maker *m, size_t rows, size_t classes) {
    fill(m, rows, classes);
    /* All labels in turn, the first row's the last class, the last row's the first. */
    for (size_t r = 0; r < rows; r++)
        m->labels[r] = (int32_t)((r + classes - 1) % classes);
    if (rows > 1)
        m->labels[rows - 1] = 0;
    set_all(m, m->made);
    emit(m, "shapes");
}

/* 1 ... 70 rows and classes, beyond one group of 64 rows and one run of 512 classes. */
static void make_softmax_shapes(maker *m) {
    size_t most = m->quick ? 150 : 1500;
    for (size_t n = 1; n <= 70; n++) {
        size_t other = n * 29 % 71;
        make_shape(m, n, n * other > most ? most / n : other);
        make_shape(m, n * other > most ? most / n : other, n);
        make_shape(m, 1, n);
    }
    static const size_t shapes[][2] = {{0, 5},    {63, 3},   {64, 3},   {65, 3},   {130, 2},
                                       {40, 40},  {2, 511},  {2, 513},  {1, 1021}, {2, 4097},
                                       {3, 512},  {47, 16},  {3, 1000}, {3, 1025}, {3, 1031},
                                       {3, 4096}, {3, 4095}, {3, 2048}};
    enum { SHAPES = 18, SHAPES_QUICK = 10 };
    for (size_t i = 0; i < (m->quick ? SHAPES_QUICK : SHAPES); i++)
        for (size_t twice = 0; twice < (m->quick ? 1 : 2); twice++)
            make_shape(m, shapes[i][0], shapes[i][1]);
}

/* A large row with its label in each lane of the last whole step and of the tail. */
static void make_softmax_labels(maker *m) {
    for (size_t label = 0; label < 45; label++) {
        fill(m, 1, 45);
        m->labels[0] = (int32_t)label;
        set_all(m, m->made);
        emit(m, "labels");
    }
}

/* Each special value in each column, as the label's logit and as another's. */
static void make_softmax_specials(maker *m) {
    enum { CLASSES = 19 };
    size_t count = m->special_count;
    for (size_t k = 0; k < CLASSES; k += m->quick ? 6 : 1) {
        fill(m, count, CLASSES);
        for (size_t r = 0; r < count; r++) {
            size_t column = (r + k) % CLASSES;
            m->logits[r * CLASSES + column] = m->specials[r];
            if (r % 3 == k % 3)
                m->labels[r] = (int32_t)column;
        }
        set_all(m, k);
        emit(m, "special values");
    }
    /* All pairs, with either as the label: every difference to the maximum that the special
     * values have. */
    for (size_t k = 0; k < count; k += m->quick && k > 0 ? 18 : 1) {
        fill(m, 2 * count, 2);
        for (size_t r = 0; r < 2 * count; r++) {
            m->logits[2 * r] = m->specials[r / 2];
            m->logits[2 * r + 1] = m->specials[(r / 2 + k) % count];
            m->labels[r] = (int32_t)(r % 2);
        }
        set_all(m, k);
        emit(m, "special pairs");
    }
}

/* One bad element in one row of many; and rows masked by -infinity, in part and in whole. */
static void make_softmax_nans(maker *m) {
    enum { ROWS = 11, CLASSES = 21 };
    for (size_t at = 0; at < CLASSES; at++) {
        fill(m, ROWS, CLASSES);
        float *bad = m->logits + (at % ROWS) * CLASSES;
        bad[at] = at % 3 == 2 ? HUGE_VALF : ulp_from_bits_f32(0x7fc00000U);
        float *masked = m->logits + ((at + 3) % ROWS) * CLASSES;
        for (size_t c = 0; c <= at; c++)
            masked[c] = -HUGE_VALF;
        set_all(m, m->made);
        emit(m, "one NaN");
    }
}

void cases_each(const focal_kernel *kernel, uint64_t seed, bool quick, case_visitor *visit,
                void *context) {
    maker *m = calloc(1, sizeof *m);
    if (!m)
        abort();
    m->kernel = kernel;
    m->random = random_named(seed, kernel->name, cases_contract_length(kernel->name));
    m->quick = quick;
    m->visit = visit;
    m->context = context;
    m->one.logits = m->logits;
    m->one.dense = kernel->target == KERNEL_DENSE ? m->dense : NULL;
    m->one.binary = kernel->target == KERNEL_BINARY ? m->binary : NULL;
    m->one.labels = kernel->target == KERNEL_LABEL ? m->labels : NULL;
    set_gammas(m);
    set_specials(m);
    make_parameters(m);
    if (kernel->op == KERNEL_SIGMOID) {
        make_lengths(m);
        make_sigmoid_rows(m);
        make_sigmoid_specials(m);
        make_sigmoid_nans(m);
        make_sigmoid_labels(m);
    } else {
        make_softmax_shapes(m);
        make_softmax_labels(m);
        make_softmax_specials(m);
        make_softmax_nans(m);
    }
    make_bits(m);
    free(m);
}
