/* Calls of the forms: levels run as one, divisors, weights, pieces, memory, and helpers; each rule
 * of focal.h about them is broken once. Values are those of tests/test_forms.c's business. */
#include <math.h>
#include <stdlib.h>

#include "fixture.h"

enum { LEVELS = 3, MANY = 20 };

static focal_problem level_problem(int64_t outer, focal_normalizer normalizer) {
    focal_problem problem = problem_of(FOCAL_SIGMOID, FOCAL_TARGET_LABEL_I32, outer, 20, 2.0);
    problem.label_flags = FOCAL_LABEL_BACKGROUND;
    problem.background = -1;
    problem.normalizer = normalizer;
    problem.normalizer_floor = normalizer == FOCAL_NORMALIZER_POSITIVES ? 1.0 : 0.0;
    return problem;
}

typedef struct levels {
    fixture fixtures[MANY];
    focal_plan *plans[MANY];
    const focal_plan *constant[MANY];
    focal_buffers buffers[MANY];
    focal_sums sums;
} levels;

static void levels_make(levels *l, size_t count, focal_normalizer normalizer) {
    l->sums = (focal_sums)FOCAL_SUMS_INIT;
    for (size_t i = 0; i < count; i++) {
        const focal_problem problem = level_problem(i == 1 ? 1000 : 7 + (int64_t)i, normalizer);
        fixture_make(&l->fixtures[i], &problem, 40 + i);
        CHECK_STATUS(focal_plan_create(&l->plans[i], &problem, NULL, NULL), FOCAL_OK);
        l->constant[i] = l->plans[i];
        l->buffers[i] = l->fixtures[i].buffers;
    }
}

static void levels_free(levels *l, size_t count) {
    for (size_t i = 0; i < count; i++) {
        fixture_free(&l->fixtures[i]);
        focal_plan_destroy(l->plans[i]);
    }
}

static int levels_untouched(const levels *l, size_t count) {
    int untouched = 1;
    for (size_t i = 0; i < count; i++)
        untouched = untouched && fixture_untouched(&l->fixtures[i]);
    return untouched;
}

/* Against each level alone with the divisor of all as a value. */
static void test_levels_are_one(focal_normalizer normalizer, size_t count) {
    levels l;
    levels_make(&l, count, normalizer);
    focal_error error = FOCAL_ERROR_INIT;
    const focal_status status =
        focal_plans_execute(l.constant, l.buffers, count, NULL, &l.sums, &error);
    CHECK_CASE(status == FOCAL_OK, "%s", error.message);
    focal_sums alone = FOCAL_SUMS_INIT;
    double loss = 0.0;
    int64_t rows = 0, positives = 0;
    for (size_t i = 0; i < count; i++) {
        fixture f;
        focal_problem problem = l.fixtures[i].problem;
        problem.normalizer = FOCAL_NORMALIZER_VALUE;
        problem.normalizer_floor = 0.0;
        fixture_make(&f, &problem, 40 + i);
        f.buffers.normalizer = &l.sums.normalizer;
        CHECK_STATUS(fixture_run(&f, NULL, NULL, NULL), FOCAL_OK);
        alone = f.sums;
        loss += alone.loss;
        rows += alone.rows;
        positives += alone.positives;
        CHECK_CASE(
            fixture_digest(&f, FOCAL_OUTPUT_GRADIENT | FOCAL_OUTPUT_LOSS) ==
                fixture_digest(&l.fixtures[i], FOCAL_OUTPUT_GRADIENT | FOCAL_OUTPUT_LOSS),
            "normalizer %d, level %zu", (int)normalizer, i);
        CHECK(fixture_bounded(&l.fixtures[i], 0));
        fixture_free(&f);
    }
    CHECK_CASE(fabs(l.sums.loss - loss) <= 1e-13 * loss, "%.17g and %.17g", l.sums.loss, loss);
    CHECK(l.sums.rows == rows && l.sums.positives == positives && l.sums.ignored == 0);
    const double divisor = normalizer == FOCAL_NORMALIZER_POSITIVES  ? (double)positives
                           : normalizer == FOCAL_NORMALIZER_ELEMENTS ? (double)rows * 20.0
                           : normalizer == FOCAL_NORMALIZER_NONE     ? 1.0
                                                                     : (double)rows;
    CHECK(l.sums.normalizer == divisor);
    levels_free(&l, count);
}

#define LEVELS_REFUSED(change, expected, field, index)                                         \
    do {                                                                                       \
        levels l;                                                                              \
        focal_error error = FOCAL_ERROR_INIT;                                                  \
        levels_make(&l, LEVELS, FOCAL_NORMALIZER_POSITIVES);                                   \
        change;                                                                                \
        const focal_status status =                                                            \
            focal_plans_execute(l.constant, l.buffers, LEVELS, NULL, &l.sums, &error);         \
        CHECK_ERROR(status, error, expected, field, index);                                    \
        CHECK_CASE(levels_untouched(&l, LEVELS) && l.sums.rows == 0, "after %s", #change);     \
        levels_free(&l, LEVELS);                                                               \
    } while (0)

static void spoil_label(fixture *f, int64_t row) {
    ((int32_t *)(uintptr_t)f->buffers.targets)[row] = 20;
    fixture_remember(f);
}

static void test_levels_refused(void) {
    LEVELS_REFUSED(l.constant[1] = NULL, FOCAL_E_NULL, "plans", 1);
    LEVELS_REFUSED(l.buffers[2].gradient = NULL, FOCAL_E_NULL, "gradient", -1);
    LEVELS_REFUSED(l.buffers[2].gradient = l.buffers[0].gradient, FOCAL_E_OVERLAP, "gradient",
                   -1);
    LEVELS_REFUSED(l.buffers[1].loss = (void *)(uintptr_t)l.buffers[2].targets, FOCAL_E_OVERLAP,
                   "loss", -1);
    LEVELS_REFUSED(l.buffers[2].row_loss = (void *)(uintptr_t)l.buffers[0].logits,
                   FOCAL_E_OVERLAP, "row_loss", -1);
    LEVELS_REFUSED(spoil_label(&l.fixtures[2], 4), FOCAL_E_LABEL, "targets", 4);
    LEVELS_REFUSED((spoil_label(&l.fixtures[1], 999), spoil_label(&l.fixtures[1], 500)),
                   FOCAL_E_LABEL, "targets", 500);

    focal_problem other = level_problem(8, FOCAL_NORMALIZER_ROWS);
    focal_plan *plan = NULL;
    CHECK_STATUS(focal_plan_create(&plan, &other, NULL, NULL), FOCAL_OK);
    LEVELS_REFUSED(l.constant[2] = plan, FOCAL_E_UNSUPPORTED, "normalizer", -1);
    focal_plan_destroy(plan);
    other.normalizer = FOCAL_NORMALIZER_POSITIVES;
    other.normalizer_add = 1.0;
    CHECK_STATUS(focal_plan_create(&plan, &other, NULL, NULL), FOCAL_OK);
    LEVELS_REFUSED(l.constant[1] = plan, FOCAL_E_UNSUPPORTED, "normalizer", -1);
    focal_plan_destroy(plan);

    /* The message says which level. */
    levels l;
    focal_error error = FOCAL_ERROR_INIT;
    levels_make(&l, LEVELS, FOCAL_NORMALIZER_NONE);
    spoil_label(&l.fixtures[2], 0);
    focal_plans_execute(l.constant, l.buffers, LEVELS, NULL, &l.sums, &error);
    CHECK_CASE(strstr(error.message, "level 2: label 20") != NULL, "%s", error.message);
    CHECK_STATUS(focal_plans_execute(NULL, l.buffers, 1, NULL, &l.sums, NULL), FOCAL_E_NULL);
    CHECK_STATUS(focal_plans_execute(l.constant, NULL, 1, NULL, &l.sums, NULL), FOCAL_E_NULL);
    focal_sums none = {.struct_size = sizeof none, .loss = 5.0, .rows = 6, .ignored = 7};
    CHECK_STATUS(focal_plans_execute(NULL, NULL, 0, NULL, &none, NULL), FOCAL_OK);
    CHECK(none.loss == 0.0 && none.rows == 0 && none.ignored == 0 && none.normalizer == 1.0);
    levels_free(&l, LEVELS);
}

/* ---- Memory ---- */

typedef struct meter {
    size_t left, held;
} meter;

static void *meter_allocate(void *context, size_t size) {
    meter *const m = context;
    if (m->left == 0)
        return NULL;
    m->left--;
    m->held++;
    return malloc(size);
}

static void meter_release(void *context, void *memory) {
    ((meter *)context)->held -= memory != NULL;
    free(memory);
}

/* More levels, and more blocks, than fit the stack, with an allocator that gives up at any point. */
static void test_many_levels_without_memory(void) {
    for (size_t room = 0; room <= 3; room++) {
        levels l;
        meter m = {MANY, 0};
        focal_options options;
        focal_options_init(&options);
        options.allocator_context = &m;
        options.allocate = meter_allocate;
        options.release = meter_release;
        levels_make(&l, MANY, FOCAL_NORMALIZER_POSITIVES);
        for (size_t i = 0; i < MANY; i++) {
            focal_plan_destroy(l.plans[i]);
            CHECK_STATUS(focal_plan_create(&l.plans[i], &l.fixtures[i].problem, &options, NULL),
                         FOCAL_OK);
            l.constant[i] = l.plans[i];
        }
        m.left = room;
        focal_error error = FOCAL_ERROR_INIT;
        const focal_status status =
            focal_plans_execute(l.constant, l.buffers, MANY, NULL, &l.sums, &error);
        if (room < 2) {
            CHECK_ERROR(status, error, FOCAL_E_MEMORY, room == 0 ? "plans" : "workspace", -1);
            CHECK(levels_untouched(&l, MANY));
        } else {
            CHECK_STATUS(status, FOCAL_OK);
        }
        CHECK(m.held == MANY);
        levels_free(&l, MANY);
        CHECK(m.held == 0);
    }
}

/* The plan owns copies of its class arrays, in one piece of memory. */
enum { GUARD = 64 };

static void *guarded_allocate(void *context, size_t size) {
    unsigned char **const end = context;
    unsigned char *const memory = malloc(size + GUARD);
    if (memory) {
        *end = memory + size;
        memset(*end, 0xa5, GUARD);
    }
    return memory;
}

static void guarded_release(void *context, void *memory) {
    const unsigned char *const end = *(unsigned char **)context;
    for (size_t i = 0; i < GUARD; i++)
        CHECK_CASE(end[i] == 0xa5, "byte %zu past the workspace was written", i);
    free(memory);
}

/* Rows of f16 longer than a block are staged in the workspace; with an odd number of floats the next
 * level's part begins behind a gap, which the whole has to have room for. */
static void test_odd_workspaces_of_levels(void) {
    enum { CLASSES = 4097 };
    static uint16_t logits[LEVELS][CLASSES], gradient[LEVELS][CLASSES];
    const int32_t label = CLASSES - 1;
    focal_problem problem = problem_of(FOCAL_SOFTMAX, FOCAL_TARGET_LABEL_I32, 1, CLASSES, 2.0);
    problem.dtype = FOCAL_F16;
    problem.outputs = FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_GRADIENT;
    unsigned char *end = NULL;
    focal_options options;
    focal_options_init(&options);
    options.allocator_context = &end;
    options.allocate = guarded_allocate;
    options.release = guarded_release;
    focal_plan *plan = NULL, *first = NULL;
    CHECK_STATUS(focal_plan_create(&plan, &problem, NULL, NULL), FOCAL_OK);
    CHECK_STATUS(focal_plan_create(&first, &problem, &options, NULL), FOCAL_OK);
    CHECK(focal_plan_workspace_size(plan) % sizeof(double) != 0);
    const focal_plan *const plans[LEVELS] = {first, plan, plan};
    focal_buffers buffers[LEVELS];
    for (size_t i = 0; i < LEVELS; i++) {
        focal_buffers_init(&buffers[i]);
        buffers[i].logits = logits[i];
        buffers[i].targets = &label;
        buffers[i].gradient = gradient[i];
    }
    unsigned char *const of_plan = end;
    focal_sums sums = FOCAL_SUMS_INIT;
    CHECK_STATUS(focal_plans_execute(plans, buffers, LEVELS, NULL, &sums, NULL), FOCAL_OK);
    CHECK(sums.rows == LEVELS && end != of_plan);
    end = of_plan;
    focal_plan_destroy(first);
    focal_plan_destroy(plan);
}

static void test_class_arrays_are_copied(void) {
    double alpha[20], gamma[20], weight[20];
    focal_problem problem = level_problem(50, FOCAL_NORMALIZER_NONE);
    problem.alpha_mode = FOCAL_ALPHA_PER_CLASS;
    problem.gamma_mode = FOCAL_GAMMA_PER_CLASS;
    problem.class_alpha = alpha;
    problem.class_gamma = gamma;
    problem.class_weight = weight;
    meter m = {1, 0};
    focal_options options;
    focal_options_init(&options);
    options.allocator_context = &m;
    options.allocate = meter_allocate;
    options.release = meter_release;
    uint64_t digests[2];
    for (int spoil = 0; spoil < 2; spoil++) {
        for (int c = 0; c < 20; c++) {
            alpha[c] = 0.04 * c;
            gamma[c] = 0.25 * c;
            weight[c] = c;
        }
        fixture f;
        focal_plan *plan = NULL;
        m.left = 1;
        fixture_make(&f, &problem, 60);
        CHECK_STATUS(focal_plan_create(&plan, &problem, &options, NULL), FOCAL_OK);
        for (int c = 0; spoil && c < 20; c++)
            alpha[c] = gamma[c] = weight[c] = NAN;
        m.left = 1;
        CHECK_STATUS(focal_plan_execute(plan, &f.buffers, NULL, &f.sums, NULL), FOCAL_OK);
        digests[spoil] = fixture_digest(&f, problem.outputs);
        CHECK(isfinite(f.sums.loss) && f.sums.loss > 0.0);
        focal_plan_destroy(plan);
        fixture_free(&f);
    }
    CHECK(digests[0] == digests[1] && m.held == 0);
    for (int c = 0; c < 20; c++)
        alpha[c] = gamma[c] = weight[c] = 0.5;
    m.left = 0;
    focal_plan *plan = (focal_plan *)(uintptr_t)8;
    focal_error error = FOCAL_ERROR_INIT;
    CHECK_ERROR(focal_plan_create(&plan, &problem, &options, &error), error, FOCAL_E_MEMORY,
                "plan", -1);
    CHECK(plan == NULL);
}

/* ---- Divisors and weights of a call ---- */

#define CALL_REFUSED(change, expected, field, index)                                           \
    do {                                                                                       \
        fixture f;                                                                             \
        focal_error error = FOCAL_ERROR_INIT;                                                  \
        fixture_make(&f, &problem, 70);                                                        \
        change;                                                                                \
        const focal_status status = fixture_run(&f, NULL, NULL, &error);                       \
        CHECK_ERROR(status, error, expected, field, index);                                    \
        CHECK_CASE(fixture_untouched(&f), "after %s", #change);                                \
        fixture_free(&f);                                                                      \
    } while (0)

static void test_divisor_by_value(void) {
    static const double bad[] = {0.0, -1.0, NAN, INFINITY};
    focal_problem problem = problem_of(FOCAL_SIGMOID, FOCAL_TARGET_DENSE, 10, 4, 2.0);
    problem.normalizer = FOCAL_NORMALIZER_VALUE;
    CALL_REFUSED(f.buffers.normalizer = NULL, FOCAL_E_NULL, "normalizer", -1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CALL_REFUSED(f.buffers.normalizer = &bad[i], FOCAL_E_VALUE, "normalizer", -1);
}

static void test_weights_refused(void) {
    float weights[40];
    focal_problem problem = problem_of(FOCAL_SIGMOID, FOCAL_TARGET_DENSE, 10, 4, 2.0);
    static const float bad[] = {-1.0F, NAN, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (int k = 0; k < 40; k++)
            weights[k] = 1.0F;
        weights[7] = weights[9] = bad[i];
        CALL_REFUSED(f.buffers.row_weight = weights, FOCAL_E_VALUE, "row_weight", 7);
        CALL_REFUSED(f.buffers.element_weight = weights, FOCAL_E_VALUE, "element_weight", 7);
        weights[7] = weights[9] = 1.0F;
        weights[33] = bad[i];
        problem.outer = 2;
        problem.inner = 5; /* element 33 is class 2 of row 8, so not the last of anything */
        CALL_REFUSED(f.buffers.element_weight = weights, FOCAL_E_VALUE, "element_weight", 33);
        problem.outer = 10;
        problem.inner = 1;
    }
    CALL_REFUSED(f.buffers.row_weight = (char *)weights + 2, FOCAL_E_ALIGNMENT, "row_weight",
                 -1);
    CALL_REFUSED(f.buffers.row_weight = f.buffers.row_loss, FOCAL_E_OVERLAP, "row_loss", -1);
    CALL_REFUSED(f.buffers.element_weight = f.buffers.gradient, FOCAL_E_OVERLAP, "gradient",
                 -1);
    problem = problem_of(FOCAL_SOFTMAX, FOCAL_TARGET_LABEL_I32, 10, 4, 2.0);
    CALL_REFUSED(f.buffers.element_weight = weights, FOCAL_E_UNSUPPORTED, "element_weight", -1);
}

/* Hessian and target gradient are outputs like the others. */
static void test_new_outputs_refused(void) {
    focal_problem problem = problem_of(FOCAL_SIGMOID, FOCAL_TARGET_DENSE, 10, 4, 2.0);
    problem.outputs = FOCAL_OUTPUT_HESSIAN | FOCAL_OUTPUT_TARGET_GRADIENT;
    float hessian[40], slope[40];
    const float twos[40] = {0};
#define BOTH f.buffers.hessian = hessian, f.buffers.target_gradient = slope
    CALL_REFUSED((BOTH, f.buffers.hessian = NULL), FOCAL_E_NULL, "hessian", -1);
    CALL_REFUSED((BOTH, f.buffers.target_gradient = NULL), FOCAL_E_NULL, "target_gradient", -1);
    CALL_REFUSED((BOTH, f.buffers.hessian = slope), FOCAL_E_OVERLAP, "target_gradient", -1);
    CALL_REFUSED((BOTH, f.buffers.hessian = (void *)(uintptr_t)f.buffers.logits),
                 FOCAL_E_OVERLAP, "hessian", -1);
    CALL_REFUSED((BOTH, f.buffers.target_gradient = (void *)(uintptr_t)f.buffers.targets),
                 FOCAL_E_OVERLAP, "target_gradient", -1);
    CALL_REFUSED((BOTH, f.buffers.hessian = (char *)hessian + 1), FOCAL_E_ALIGNMENT, "hessian",
                 -1);
    CALL_REFUSED((BOTH, f.buffers.row_weight = slope, f.buffers.upstream = twos),
                 FOCAL_E_OVERLAP, "target_gradient", -1);
#undef BOTH
}

/* What no piece can know is refused there, and named. */
static void test_pieces_refused(void) {
    static const struct {
        focal_normalizer normalizer;
        uint32_t flags;
        focal_status expected;
    } cases[] = {
        {FOCAL_NORMALIZER_NONE, 0, FOCAL_OK},
        {FOCAL_NORMALIZER_ELEMENTS, FOCAL_LABEL_IGNORE, FOCAL_OK},
        {FOCAL_NORMALIZER_ROWS, 0, FOCAL_OK},
        {FOCAL_NORMALIZER_ROWS, FOCAL_LABEL_IGNORE, FOCAL_E_UNSUPPORTED},
        {FOCAL_NORMALIZER_WEIGHT, 0, FOCAL_E_UNSUPPORTED},
        {FOCAL_NORMALIZER_POSITIVES, 0, FOCAL_E_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        focal_problem problem = problem_of(FOCAL_SOFTMAX, FOCAL_TARGET_LABEL_I32, 100, 4, 2.0);
        problem.normalizer = cases[i].normalizer;
        problem.label_flags = cases[i].flags;
        problem.ignore = 4;
        fixture f, whole;
        focal_plan *plan = NULL;
        focal_error error = FOCAL_ERROR_INIT;
        double workspace[512];
        fixture_make(&f, &problem, 80);
        fixture_make(&whole, &problem, 80);
        CHECK_STATUS(focal_plan_create(&plan, &problem, NULL, NULL), FOCAL_OK);
        CHECK(focal_plan_workspace_size(plan) <= sizeof workspace);
        f.buffers.workspace = workspace;
        f.buffers.workspace_size = sizeof workspace;
        focal_status status =
            focal_plan_execute_range(plan, &f.buffers, 0, focal_plan_tasks(plan), &error);
        if (cases[i].expected == FOCAL_OK) {
            CHECK_STATUS(status, FOCAL_OK);
            CHECK_STATUS(focal_plan_finish(plan, &f.buffers, &f.sums, NULL), FOCAL_OK);
            CHECK_STATUS(fixture_run(&whole, NULL, NULL, NULL), FOCAL_OK);
            CHECK(fixture_digest(&f, problem.outputs) ==
                  fixture_digest(&whole, problem.outputs));
            CHECK(f.sums.normalizer == whole.sums.normalizer);
        } else {
            CHECK_ERROR(status, error, FOCAL_E_UNSUPPORTED, "normalizer", -1);
            CHECK(strstr(error.message, "FOCAL_NORMALIZER_VALUE") != NULL);
            status = focal_plan_finish(plan, &f.buffers, &f.sums, &error);
            CHECK_ERROR(status, error, FOCAL_E_UNSUPPORTED, "normalizer", -1);
            CHECK(fixture_untouched(&f));
        }
        focal_plan_destroy(plan);
        fixture_free(&f);
        fixture_free(&whole);
    }
}

/* A divisor of 0 counts as 1: all rows ignored. */
static void test_nothing_counts(void) {
    focal_problem problem = problem_of(FOCAL_SIGMOID, FOCAL_TARGET_LABEL_U8, 300, 30, 1.5);
    problem.label_flags = FOCAL_LABEL_IGNORE;
    problem.ignore = 255;
    static const focal_normalizer normalizers[] = {
        FOCAL_NORMALIZER_ROWS, FOCAL_NORMALIZER_WEIGHT, FOCAL_NORMALIZER_POSITIVES};
    for (size_t i = 0; i < 3; i++) {
        fixture f;
        problem.normalizer = normalizers[i];
        fixture_make(&f, &problem, 90);
        memset((void *)(uintptr_t)f.buffers.targets, 255, 300);
        CHECK_STATUS(fixture_run(&f, NULL, NULL, NULL), FOCAL_OK);
        CHECK(f.sums.loss == 0.0 && f.sums.rows == 0 && f.sums.ignored == 300);
        CHECK(f.sums.normalizer == 1.0 && f.sums.positives == 0 && f.sums.weight == 0.0);
        unsigned wrong = 0;
        for (int k = 0; k < 300 * 30; k++)
            wrong += ((float *)f.buffers.gradient)[k] != 0.0F ||
                     ((float *)f.buffers.loss)[k] != 0.0F;
        CHECK_CASE(wrong == 0, "%u elements", wrong);
        fixture_free(&f);
    }
}

/* ---- Helpers and names ---- */

static void test_alpha_helpers(void) {
    const double counts[4] = {1000.0, 100.0, 50.0, 1.0};
    double alpha[4], effective[4];
    focal_error error = FOCAL_ERROR_INIT;
    CHECK_STATUS(focal_alpha_inverse_frequency(counts, 2, alpha, NULL), FOCAL_OK);
    CHECK(fabs(alpha[0] - 1.0 / 11.0) < 1e-15 && fabs(alpha[1] - 10.0 / 11.0) < 1e-15);
    CHECK_STATUS(focal_alpha_inverse_frequency(counts, 4, alpha, NULL), FOCAL_OK);
    CHECK(alpha[3] == 1.0 && fabs(alpha[1] / alpha[0] - 10.0) < 1e-12);
    for (int c = 0; c < 4; c++) {
        long double terms = 0.0L;
        for (int n = 0; n < (int)counts[c]; n++)
            terms += powl(0.99L, n);
        effective[c] = (double)(1.0L / terms);
    }
    CHECK_STATUS(focal_alpha_effective_number(counts, 4, 0.99, alpha, NULL), FOCAL_OK);
    const double scale = 2.0 / (effective[0] + effective[1] + effective[2] + effective[3]);
    for (int c = 0; c < 4; c++)
        CHECK(fabs(alpha[c] - fmin(1.0, scale * effective[c])) < 1e-13);
    CHECK_STATUS(focal_alpha_effective_number(counts, 4, 0.0, alpha, NULL), FOCAL_OK);
    CHECK(alpha[0] == 0.5 && alpha[3] == 0.5);
    CHECK_STATUS(focal_alpha_effective_number(counts, 0, 0.9, NULL, NULL), FOCAL_OK);

    const double bad[2] = {5.0, 0.5};
    CHECK_ERROR(focal_alpha_inverse_frequency(bad, 2, alpha, &error), error, FOCAL_E_VALUE,
                "counts", 1);
    CHECK_ERROR(focal_alpha_inverse_frequency(NULL, 2, alpha, &error), error, FOCAL_E_NULL,
                "counts", -1);
    CHECK_ERROR(focal_alpha_inverse_frequency(counts, 2, NULL, &error), error, FOCAL_E_NULL,
                "alpha", -1);
    CHECK_ERROR(focal_alpha_inverse_frequency(counts, -1, alpha, &error), error, FOCAL_E_VALUE,
                "classes", -1);
    CHECK_ERROR(focal_alpha_effective_number(counts, 2, 1.0, alpha, &error), error,
                FOCAL_E_VALUE, "beta", -1);
    CHECK_ERROR(focal_alpha_effective_number(counts, 2, NAN, alpha, &error), error,
                FOCAL_E_VALUE, "beta", -1);

    CHECK(fabs(focal_prior_bias(0.01) + log(99.0)) < 1e-15 * 10.0);
    CHECK(focal_prior_bias(0.5) == 0.0 && isnan(focal_prior_bias(0.0)));
    CHECK(isnan(focal_prior_bias(1.0)) && isnan(focal_prior_bias(NAN)));
}

static void test_names(void) {
    CHECK_TEXT(focal_dtype_name(FOCAL_DTYPE_DEFAULT), "f32");
    CHECK_TEXT(focal_dtype_name(FOCAL_BF16), "bf16");
    CHECK_TEXT(focal_dtype_name((focal_dtype)9), "unknown dtype");
    CHECK_TEXT(focal_form_name(FOCAL_FORM_FOCAL), "focal");
    CHECK_TEXT(focal_form_name(FOCAL_FORM_MATCH), "match");
    CHECK_TEXT(focal_form_name((focal_form)-1), "unknown form");
    CHECK_TEXT(focal_normalizer_name(FOCAL_NORMALIZER_VALUE), "value");
    CHECK_TEXT(focal_normalizer_name((focal_normalizer)6), "unknown normalizer");
}

static void test_describe(void) {
    focal_problem problem = level_problem(4, FOCAL_NORMALIZER_POSITIVES);
    problem.dtype = FOCAL_F64;
    problem.gradient_dtype = FOCAL_F32;
    problem.form = FOCAL_FORM_SPLIT;
    problem.inner = 9;
    problem.smoothing = 0.125;
    focal_plan *plan = NULL;
    char text[512], cut[8];
    CHECK_STATUS(focal_plan_create(&plan, &problem, NULL, NULL), FOCAL_OK);
    const size_t length = focal_plan_describe(plan, text, sizeof text);
    CHECK(length == strlen(text));
    static const char *const parts[] = {"focal_f64_sigmoid_form_accurate__",
                                        "4 x 20 x 9, f64",
                                        "gradient f32",
                                        "form split",
                                        "smoothing 0.125",
                                        "over positives"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        CHECK_CASE(strstr(text, parts[i]) != NULL, "\"%s\" in \"%s\"", parts[i], text);
    CHECK(focal_plan_describe(plan, NULL, 0) == length);
    CHECK(focal_plan_describe(plan, cut, sizeof cut) == length && strlen(cut) == 7);
    focal_plan_destroy(plan);
}

int main(void) {
    for (int n = FOCAL_NORMALIZER_NONE; n <= FOCAL_NORMALIZER_POSITIVES; n++) {
        test_levels_are_one((focal_normalizer)n, LEVELS);
        test_levels_are_one((focal_normalizer)n, MANY);
        test_levels_are_one((focal_normalizer)n, 1);
    }
    test_levels_refused();
    test_many_levels_without_memory();
    test_odd_workspaces_of_levels();
    test_class_arrays_are_copied();
    test_divisor_by_value();
    test_weights_refused();
    test_new_outputs_refused();
    test_pieces_refused();
    test_nothing_counts();
    test_alpha_helpers();
    test_names();
    test_describe();
    return check_report();
}
