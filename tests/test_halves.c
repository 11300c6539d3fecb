/* 16-bit storage: the bits of the same problem in f32, rounded once, whatever mixture of types logits,
 * targets, losses and gradients have, in rows that lie close together or apart, in place or not. */
#include <math.h>
#include <stdlib.h>

#include "check.h"
#include "evaluate.h"
#include "half.h"
#include "random.h"

enum { ELEMENTS_MOST = 12400, PAD = 5, CASES = 60 };

typedef struct {
    int64_t outer, classes;
} shape;

/* Runs of 512 elements and blocks of 4096 that end on, before and behind the end of a row. */
static const shape shapes[] = {{1, 1},    {3, 5},     {1, 511},  {1, 512}, {2, 513},  {7, 73},
                               {24, 80},  {103, 80},  {2, 2048}, {9, 456}, {1, 4097}, {2, 6000},
                               {300, 14}, {12288, 1}, {64, 16},  {5, 819}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static const focal_dtype dtypes[] = {FOCAL_F32, FOCAL_F16, FOCAL_BF16};
static const double gammas[] = {0.0, 0.5, 1.0, 2.0, 2.7};

/* An array in two storages: as it is given to the library, and in float. */
typedef struct {
    focal_dtype dtype;
    union {
        uint16_t halves[ELEMENTS_MOST + PAD];
        float floats[ELEMENTS_MOST + PAD];
    } stored;
    float plain[ELEMENTS_MOST + PAD];
} array;

static array logits, targets, loss, row_loss, gradient;
static int32_t labels[ELEMENTS_MOST];
static uint8_t binary[ELEMENTS_MOST];
static float weights[ELEMENTS_MOST];

static float stored_value(const array *from, size_t i) {
    if (from->dtype == FOCAL_F32)
        return from->stored.floats[i];
    return from->dtype == FOCAL_F16 ? focal_float_of_f16(from->stored.halves[i])
                                    : focal_float_of_bf16(from->stored.halves[i]);
}

static void store_value(array *to, size_t i, float value) {
    if (to->dtype == FOCAL_F32)
        to->stored.floats[i] = value;
    else
        to->stored.halves[i] =
            to->dtype == FOCAL_F16 ? focal_f16_of_float(value) : focal_bf16_of_float(value);
}

/* Both storages hold the number that the type has. */
static void set_input(array *to, size_t i, float value) {
    store_value(to, i, value);
    to->plain[i] = stored_value(to, i);
}

static float random_logit(random_source *random) {
    const float unit = (float)(random_next(random) >> 40) * 0x1p-24F;
    switch (random_below(random, 2000)) {
    case 0:
        return NAN;
    case 1:
        return random_below(random, 2) ? HUGE_VALF : -HUGE_VALF;
    case 2:
        return (unit - 0.5F) * 400.0F;
    default:
        return (unit - 0.5F) * 16.0F;
    }
}

static float random_target(random_source *random) {
    const uint32_t kind = random_below(random, 600);
    return kind == 0 ? (float)random_below(random, 257) / 256.0F : (float)(kind & 1);
}

typedef struct {
    focal_problem problem;
    focal_options options;
    bool in_place, weighted;
    size_t elements; /* of the array with its strides */
} test_case;

static void set_inputs(const test_case *test, random_source *random) {
    for (size_t i = 0; i < test->elements; i++) {
        set_input(&logits, i, random_logit(random));
        set_input(&targets, i, random_target(random));
        binary[i] = (uint8_t)random_below(random, 2);
        labels[i] = (int32_t)random_below(random, (uint32_t)test->problem.classes);
        weights[i] = (float)random_below(random, 9) * 0.25F;
    }
    array *const all[] = {&loss, &row_loss, &gradient, &logits};
    for (size_t k = 0; k < 4; k++)
        for (size_t i = k == 3 ? test->elements : 0; i < ELEMENTS_MOST + PAD; i++)
            set_input(all[k], i, 7.0F);
}

static double execute(const test_case *test, bool plain) {
    focal_problem problem = test->problem;
    if (plain)
        problem.dtype = problem.loss_dtype = problem.gradient_dtype = FOCAL_F32;
    if (problem.target_kind == FOCAL_TARGET_DENSE)
        problem.targets_dtype = plain ? FOCAL_F32 : targets.dtype;
    focal_buffers buffers;
    focal_buffers_init(&buffers);
#define BUFFER_OF(array) (plain ? (void *)(array).plain : (void *)&(array).stored)
    buffers.logits = BUFFER_OF(logits);
    buffers.targets = problem.target_kind == FOCAL_TARGET_DENSE       ? BUFFER_OF(targets)
                      : problem.target_kind == FOCAL_TARGET_BINARY_U8 ? (void *)binary
                                                                      : (void *)labels;
    buffers.loss = BUFFER_OF(loss);
    buffers.row_loss = BUFFER_OF(row_loss);
    buffers.row_weight = test->weighted ? weights : NULL;
    buffers.gradient = test->in_place ? BUFFER_OF(logits) : BUFFER_OF(gradient);
#undef BUFFER_OF
    focal_sums sums = FOCAL_SUMS_INIT;
    focal_error error = FOCAL_ERROR_INIT;
    focal_plan *plan = NULL;
    if (focal_plan_create(&plan, &problem, &test->options, &error) != FOCAL_OK ||
        focal_plan_execute(plan, &buffers, NULL, &sums, &error) != FOCAL_OK) {
        printf("FAILED: %s\n", error.message);
        exit(1);
    }
    focal_plan_destroy(plan);
    return sums.loss;
}

static bool same(float a, float b) {
    return (isnan(a) && isnan(b)) || focal_bits_of(a) == focal_bits_of(b);
}

/* Elements that differ, whether they belong to the result or lie behind it. */
static unsigned differences(array *result) {
    unsigned wrong = 0;
    for (size_t i = 0; i < ELEMENTS_MOST + PAD; i++) {
        const float got = stored_value(result, i);
        store_value(result, i, result->plain[i]);
        wrong += !same(got, stored_value(result, i));
    }
    return wrong;
}

static test_case random_case(random_source *random, const char *isa, const shape *at) {
    test_case test;
    focal_problem_init(&test.problem);
    focal_options_init(&test.options);
    test.options.isa = isa;
    focal_problem *p = &test.problem;
    p->op = random_below(random, 3) ? FOCAL_SIGMOID : FOCAL_SOFTMAX;
    const focal_target_kind kinds[] = {FOCAL_TARGET_DENSE, FOCAL_TARGET_BINARY_U8,
                                       FOCAL_TARGET_LABEL_I32};
    p->target_kind =
        p->op == FOCAL_SOFTMAX ? FOCAL_TARGET_LABEL_I32 : kinds[random_below(random, 3)];
    p->outer = at->outer, p->classes = at->classes;
    p->gamma = gammas[random_below(random, sizeof gammas / sizeof *gammas)];
    p->tier = all_tiers[random_below(random, TIERS)];
    p->alpha_mode = FOCAL_ALPHA_SCALAR, p->alpha = random_below(random, 8) ? 0.25 : 0.0;
    p->dtype = logits.dtype = dtypes[random_below(random, 3)];
    targets.dtype = dtypes[random_below(random, 3)];
    p->loss_dtype = loss.dtype = row_loss.dtype = dtypes[random_below(random, 3)];
    p->gradient_dtype = gradient.dtype = dtypes[random_below(random, 3)];
    p->outputs = FOCAL_OUTPUT_SUM;
    if (random_below(random, 3))
        p->outputs |= FOCAL_OUTPUT_GRADIENT;
    if (random_below(random, 3) == 0)
        p->outputs |= FOCAL_OUTPUT_ROW_LOSS;
    if (p->op == FOCAL_SIGMOID && random_below(random, 3) == 0)
        p->outputs |= FOCAL_OUTPUT_LOSS;
    /* Other tiers compute in double with weights, and round to 16 bits without a float between. */
    test.weighted = p->tier == FOCAL_TIER_FAST && random_below(random, 2);
    test.in_place = logits.dtype == gradient.dtype && random_below(random, 2);
    size_t stride = (size_t)at->classes;
    if (random_below(random, 3) == 0 && (stride + PAD) * (size_t)at->outer < ELEMENTS_MOST) {
        stride += PAD;
        p->logits_stride = p->gradient_stride = (int64_t)stride;
    }
    test.elements = stride * (size_t)at->outer;
    return test;
}

static void try_case(const test_case *test, random_source *random) {
    set_inputs(test, random);
    const double wanted = execute(test, true), sum = execute(test, false);
    const bool same_sum = (isnan(sum) && isnan(wanted)) || sum == wanted;
    array *const written = test->in_place ? &logits : &gradient;
    const unsigned wrong[] = {differences(&loss), differences(&row_loss), differences(written)};
    CHECK_CASE(
        same_sum && wrong[0] + wrong[1] + wrong[2] == 0,
        "%s, op %d, targets %d, %lld x %lld, stride %lld, gamma %g, tier %s, types %s %s %s "
        "%s, outputs %u%s: sum %a, expected %a; %u losses, %u row losses, %u gradients",
        test->options.isa, (int)test->problem.op, (int)test->problem.target_kind,
        (long long)test->problem.outer, (long long)test->problem.classes,
        (long long)test->problem.logits_stride, test->problem.gamma,
        focal_tier_name(test->problem.tier), focal_dtype_name(logits.dtype),
        focal_dtype_name(targets.dtype), focal_dtype_name(loss.dtype),
        focal_dtype_name(gradient.dtype), (unsigned)test->problem.outputs,
        test->in_place ? ", in place" : "", sum, wanted, wrong[0], wrong[1], wrong[2]);
}

int main(void) {
    size_t next = 0;
    for (const char *isa = next_isa(&next); isa; isa = next_isa(&next)) {
        const unsigned passed = check_passed, failed = check_failed;
        const bool is_slow = strncmp(isa, "scalar", 6) == 0;
        random_source random = random_named(16, isa, strlen(isa));
        for (size_t i = 0; i < SHAPES; i++)
            for (int k = 0; k < (is_slow ? CASES / 6 : CASES); k++) {
                const test_case test = random_case(&random, isa, &shapes[i]);
                try_case(&test, &random);
            }
        printf("row %s: %u passed, %u failed\n", isa, check_passed - passed,
               check_failed - failed);
    }
    return check_report();
}
