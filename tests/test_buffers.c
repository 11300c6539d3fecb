/* The buffers, sums and ranges of an execution: every rule of focal.h about them is broken once;
 * a refusal names the field and writes nothing, and what is not asked for is not looked at. */
#include <stddef.h>

#include "fixture.h"

/* Executes `call` on a fresh plan and fixture after `change`; both see plan, f, error. */
#define REFUSES(problem, change, call, status, field, index)                                   \
    do {                                                                                       \
        const focal_problem given = problem;                                                   \
        focal_plan *plan = NULL;                                                               \
        focal_error error = FOCAL_ERROR_INIT;                                                  \
        fixture f;                                                                             \
        fixture_make(&f, &given, 1);                                                           \
        CHECK_STATUS(focal_plan_create(&plan, &given, NULL, NULL), FOCAL_OK);                  \
        change;                                                                                \
        CHECK_ERROR(call, error, status, field, index);                                        \
        CHECK_CASE(fixture_untouched(&f), "after %s", #change);                                \
        focal_plan_destroy(plan);                                                              \
        fixture_free(&f);                                                                      \
    } while (0)
#define EXECUTE focal_plan_execute(plan, &f.buffers, NULL, &f.sums, &error)

static focal_problem dense(void) {
    return problem_of(FOCAL_SIGMOID, FOCAL_TARGET_DENSE, 120, 80, 2.0);
}

static focal_problem labels(focal_target_kind kind) {
    return problem_of(FOCAL_SIGMOID, kind, 120, 80, 2.0);
}

static focal_problem softmax(void) {
    return problem_of(FOCAL_SOFTMAX, FOCAL_TARGET_LABEL_I64, 120, 80, 2.0);
}

static focal_problem wanting(uint32_t outputs) {
    focal_problem problem = dense();
    problem.outputs = outputs;
    return problem;
}

static void *shifted(const void *pointer, ptrdiff_t bytes) {
    return (void *)((uintptr_t)pointer + (uintptr_t)bytes);
}

static void test_null(void) {
    REFUSES(dense(), , focal_plan_execute(NULL, &f.buffers, NULL, &f.sums, &error),
            FOCAL_E_NULL, "plan", -1);
    REFUSES(dense(), , focal_plan_execute(plan, NULL, NULL, &f.sums, &error), FOCAL_E_NULL,
            "buffers", -1);
    REFUSES(dense(), , focal_plan_execute(plan, &f.buffers, NULL, NULL, &error), FOCAL_E_NULL,
            "sums", -1);
    REFUSES(dense(), f.buffers.logits = NULL, EXECUTE, FOCAL_E_NULL, "logits", -1);
    REFUSES(dense(), f.buffers.targets = NULL, EXECUTE, FOCAL_E_NULL, "targets", -1);
    REFUSES(softmax(), f.buffers.targets = NULL, EXECUTE, FOCAL_E_NULL, "targets", -1);
    REFUSES(dense(), f.buffers.loss = NULL, EXECUTE, FOCAL_E_NULL, "loss", -1);
    REFUSES(dense(), f.buffers.row_loss = NULL, EXECUTE, FOCAL_E_NULL, "row_loss", -1);
    REFUSES(dense(), f.buffers.gradient = NULL, EXECUTE, FOCAL_E_NULL, "gradient", -1);
    focal_parallel parallel = {sizeof parallel, NULL, NULL};
    REFUSES(dense(), , focal_plan_execute(plan, &f.buffers, &parallel, &f.sums, &error),
            FOCAL_E_NULL, "parallel.run", -1);
    /* Nothing crashes without an error struct. */
    CHECK_STATUS(focal_plan_execute(NULL, NULL, NULL, NULL, NULL), FOCAL_E_NULL);
    CHECK_STATUS(focal_plan_execute_range(NULL, NULL, 0, 0, NULL), FOCAL_E_NULL);
    CHECK_STATUS(focal_plan_finish(NULL, NULL, NULL, NULL), FOCAL_E_NULL);
    CHECK(focal_plan_tasks(NULL) == 0 && focal_plan_workspace_size(NULL) == 0);
    CHECK(focal_plan_describe(NULL, NULL, 0) == 0);
}

static void test_struct_size(void) {
    REFUSES(dense(), f.buffers.struct_size = 0, EXECUTE, FOCAL_E_STRUCT, "buffers.struct_size",
            -1);
    REFUSES(dense(), f.buffers.struct_size = offsetof(focal_buffers, hessian) - 8, EXECUTE,
            FOCAL_E_STRUCT, "buffers.struct_size", -1);
    REFUSES(dense(), f.buffers.struct_size -= 4, EXECUTE, FOCAL_E_STRUCT, "buffers.struct_size",
            -1);
    REFUSES(dense(), f.buffers.struct_size = SIZE_MAX, EXECUTE, FOCAL_E_STRUCT,
            "buffers.struct_size", -1);
    focal_sums sums = FOCAL_SUMS_INIT;
    sums.struct_size = offsetof(focal_sums, ignored) - 8;
    REFUSES(dense(), , focal_plan_execute(plan, &f.buffers, NULL, &sums, &error),
            FOCAL_E_STRUCT, "sums.struct_size", -1);
    sums.struct_size = 0;
    REFUSES(dense(), , focal_plan_execute(plan, &f.buffers, NULL, &sums, &error),
            FOCAL_E_STRUCT, "sums.struct_size", -1);
    focal_parallel parallel = {0, NULL, NULL};
    REFUSES(dense(), , focal_plan_execute(plan, &f.buffers, &parallel, &f.sums, &error),
            FOCAL_E_STRUCT, "parallel.struct_size", -1);
    /* An error of another size is not written: nobody knows what its bytes mean. */
    focal_error error, before;
    memset(&error, 0x5a, sizeof error);
    error.struct_size = sizeof error - 8;
    memcpy(&before, &error, sizeof error);
    CHECK_STATUS(focal_plan_execute(NULL, NULL, NULL, NULL, &error), FOCAL_E_NULL);
    CHECK(memcmp(&error, &before, sizeof error) == 0);
}

static void test_alignment(void) {
    for (ptrdiff_t shift = 1; shift < 4; shift++) {
        REFUSES(dense(), f.buffers.logits = shifted(f.buffers.logits, shift), EXECUTE,
                FOCAL_E_ALIGNMENT, "logits", -1);
        REFUSES(dense(), f.buffers.targets = shifted(f.buffers.targets, shift), EXECUTE,
                FOCAL_E_ALIGNMENT, "targets", -1);
        REFUSES(dense(), f.buffers.loss = shifted(f.buffers.loss, shift), EXECUTE,
                FOCAL_E_ALIGNMENT, "loss", -1);
        REFUSES(dense(), f.buffers.row_loss = shifted(f.buffers.row_loss, shift), EXECUTE,
                FOCAL_E_ALIGNMENT, "row_loss", -1);
        REFUSES(dense(), f.buffers.gradient = shifted(f.buffers.gradient, shift), EXECUTE,
                FOCAL_E_ALIGNMENT, "gradient", -1);
    }
    const float upstream[2] = {1.0F, 1.0F};
    REFUSES(dense(), f.buffers.upstream = shifted(upstream, 2), EXECUTE, FOCAL_E_ALIGNMENT,
            "upstream", -1);
    REFUSES(labels(FOCAL_TARGET_LABEL_I32), f.buffers.targets = shifted(f.buffers.targets, 2),
            EXECUTE, FOCAL_E_ALIGNMENT, "targets", -1);
    REFUSES(labels(FOCAL_TARGET_LABEL_I64), f.buffers.targets = shifted(f.buffers.targets, 4),
            EXECUTE, FOCAL_E_ALIGNMENT, "targets", -1);
}

/* Every output on, one element into, and one element short of every other buffer. Each buffer has
 * the middle of a slot of its own, so that a moved one meets no third. */
static void test_overlap(void) {
    enum { LENGTH = 120 * 80 };
    static const char *const names[] = {"logits", "targets", "loss", "row_loss", "gradient"};
    static float arena[REGIONS][3 * LENGTH], before[REGIONS][3 * LENGTH];
    static const int lengths[] = {LENGTH, LENGTH, LENGTH, 120, LENGTH};
    const focal_problem problem = dense();
    for (size_t i = 0; i < sizeof arena / sizeof(float); i++)
        (&arena[0][0])[i] = 0.25F;
    memcpy(before, arena, sizeof arena);
    focal_plan *plan = NULL;
    CHECK_STATUS(focal_plan_create(&plan, &problem, NULL, NULL), FOCAL_OK);
    for (int output = LOSS; output < REGIONS; output++)
        for (int other = 0; other < REGIONS; other++)
            for (int place = 0; place < 4; place++) {
                const int shifts[] = {0, 1, lengths[other] - 1, 1 - lengths[output]};
                float *at[REGIONS];
                for (int i = 0; i < REGIONS; i++)
                    at[i] = arena[i] + LENGTH;
                at[output] = at[other] + shifts[place];
                if (output == other || (output == GRADIENT && other == LOGITS && place == 0))
                    continue;
                focal_buffers buffers;
                focal_buffers_init(&buffers);
                buffers.logits = at[LOGITS];
                buffers.targets = at[TARGETS];
                buffers.loss = at[LOSS];
                buffers.row_loss = at[ROW_LOSS];
                buffers.gradient = at[GRADIENT];
                focal_sums sums = FOCAL_SUMS_INIT;
                focal_error error = FOCAL_ERROR_INIT;
                CHECK_CASE(
                    focal_plan_execute(plan, &buffers, NULL, &sums, &error) == FOCAL_E_OVERLAP,
                    "%s in %s, shifted by %d", names[output], names[other], shifts[place]);
                const int named = strcmp(error.field, names[output]) == 0 ||
                                  (other >= LOSS && strcmp(error.field, names[other]) == 0);
                CHECK_CASE(named, "%s in %s: %s", names[output], names[other], error.message);
                CHECK_CASE(strstr(error.message, names[output]) &&
                               strstr(error.message, names[other]),
                           "%s in %s: %s", names[output], names[other], error.message);
                CHECK_CASE(memcmp(arena, before, sizeof arena) == 0 && sums.rows == 0,
                           "%s in %s, shifted by %d", names[output], names[other],
                           shifts[place]);
                memcpy(arena, before, sizeof arena);
            }
    focal_plan_destroy(plan);
}

static void test_overlap_details(void) {
    const float *upstream = NULL;
    REFUSES(dense(), (upstream = f.buffers.gradient, f.buffers.upstream = upstream + 7),
            EXECUTE, FOCAL_E_OVERLAP, "gradient", -1);
    /* In place needs the same stride. */
    focal_problem problem = dense();
    problem.logits_stride = 96;
    problem.gradient_stride = 80;
    REFUSES(problem, f.buffers.gradient = (void *)(uintptr_t)f.buffers.logits, EXECUTE,
            FOCAL_E_OVERLAP, "gradient", -1);
    /* What allows the gradient to be the logits allows it to nobody else. */
    REFUSES(wanting(FOCAL_OUTPUT_LOSS),
            f.buffers.loss = f.buffers.gradient = (void *)(uintptr_t)f.buffers.logits, EXECUTE,
            FOCAL_E_OVERLAP, "loss", -1);
    REFUSES(wanting(FOCAL_OUTPUT_ROW_LOSS),
            f.buffers.row_loss = f.buffers.gradient = (void *)(uintptr_t)f.buffers.logits,
            EXECUTE, FOCAL_E_OVERLAP, "row_loss", -1);
    /* Inputs may share memory: the logits as their own soft targets. */
    problem = wanting(FOCAL_OUTPUT_SUM);
    fixture f;
    fixture_make(&f, &problem, 3);
    f.buffers.logits = f.buffers.targets;
    CHECK_STATUS(fixture_run(&f, NULL, NULL, NULL), FOCAL_OK);
    /* Neighbours do not overlap. */
    problem = wanting(FOCAL_OUTPUT_LOSS | FOCAL_OUTPUT_GRADIENT);
    problem.outer = 60;
    f.problem = problem;
    f.buffers.logits = f.regions[LOGITS].memory + CANARY;
    f.buffers.gradient = f.regions[LOSS].memory + CANARY;
    f.buffers.loss = (float *)f.buffers.gradient + 60 * 80;
    CHECK_STATUS(fixture_run(&f, NULL, NULL, NULL), FOCAL_OK);
    fixture_free(&f);
}

static void test_workspace(void) {
    static double memory[4096];
    const focal_problem problem = dense();
    focal_plan *measured = NULL;
    CHECK_STATUS(focal_plan_create(&measured, &problem, NULL, NULL), FOCAL_OK);
    const size_t size = focal_plan_workspace_size(measured);
    focal_plan_destroy(measured);
    if (!CHECK(size > 0 && size + sizeof(double) <= sizeof memory))
        return;
    REFUSES(dense(), (f.buffers.workspace = memory, f.buffers.workspace_size = size - 1),
            EXECUTE, FOCAL_E_VALUE, "workspace_size", -1);
    REFUSES(dense(), f.buffers.workspace = memory, EXECUTE, FOCAL_E_VALUE, "workspace_size",
            -1);
    for (ptrdiff_t shift = 1; shift < 8; shift++)
        REFUSES(dense(),
                (f.buffers.workspace = shifted(memory, shift), f.buffers.workspace_size = size),
                EXECUTE, FOCAL_E_ALIGNMENT, "workspace", -1);
    /* Over an input and over an output; which of the two is named is the library's choice. */
    for (int other = 0; other < REGIONS; other++) {
        fixture f;
        focal_error error = FOCAL_ERROR_INIT;
        fixture_make(&f, &problem, 4);
        f.buffers.workspace = f.regions[other].memory + CANARY;
        f.buffers.workspace_size = size;
        CHECK_STATUS(fixture_run(&f, NULL, NULL, &error), FOCAL_E_OVERLAP);
        CHECK_CASE(strstr(error.message, "workspace") != NULL, "%s", error.message);
        CHECK(fixture_untouched(&f));
        fixture_free(&f);
    }
    /* Pieces need it: an allocation could not survive from one call to the next. */
    REFUSES(dense(), , focal_plan_execute_range(plan, &f.buffers, 0, 1, &error), FOCAL_E_NULL,
            "workspace", -1);
    REFUSES(dense(), , focal_plan_finish(plan, &f.buffers, &f.sums, &error), FOCAL_E_NULL,
            "workspace", -1);
    /* A larger one is used up to its needed size. */
    fixture f;
    fixture_make(&f, &problem, 4);
    memset(memory, 0xa5, sizeof memory);
    f.buffers.workspace = memory;
    f.buffers.workspace_size = sizeof memory;
    CHECK_STATUS(fixture_run(&f, NULL, NULL, NULL), FOCAL_OK);
    size_t last = sizeof memory;
    while (last > 0 && ((unsigned char *)memory)[last - 1] == 0xa5)
        last--;
    CHECK_CASE(last <= size, "byte %zu of %zu written", last, size);
    fixture_free(&f);
}

static void test_range(void) {
    static double memory[4096];
#define RANGE(first, count)                                                                    \
    (f.buffers.workspace = memory, f.buffers.workspace_size = sizeof memory,                   \
     focal_plan_execute_range(plan, &f.buffers, first, count, &error))
#define TASKS focal_plan_tasks(plan)
    REFUSES(dense(), , RANGE(0, TASKS + 1), FOCAL_E_RANGE, "count", -1);
    REFUSES(dense(), , RANGE(1, TASKS), FOCAL_E_RANGE, "count", -1);
    REFUSES(dense(), , RANGE(TASKS, 1), FOCAL_E_RANGE, "count", -1);
    REFUSES(dense(), , RANGE(1, SIZE_MAX), FOCAL_E_RANGE, "count", -1);
    REFUSES(dense(), , RANGE(SIZE_MAX, 1), FOCAL_E_RANGE, "count", -1);
    REFUSES(dense(), , RANGE(SIZE_MAX, SIZE_MAX), FOCAL_E_RANGE, "count", -1);
    REFUSES(dense(), f.buffers.logits = NULL, RANGE(0, 1), FOCAL_E_NULL, "logits", -1);
    REFUSES(labels(FOCAL_TARGET_LABEL_I32), ((int32_t *)f.regions[TARGETS].memory)[16 + 3] = 80;
            fixture_remember(&f), RANGE(0, 1), FOCAL_E_LABEL, "targets", 3);
#undef RANGE
#undef TASKS
}

/* A bad target at `position` of otherwise good ones, by every way of executing. */
static void refuse_target(const focal_problem *problem, int64_t position, int64_t value,
                          focal_status expected) {
    fixture f;
    focal_plan *plan = NULL;
    fixture_make(&f, problem, 6);
    store_target((void *)(uintptr_t)f.buffers.targets, problem->target_kind, position, value);
    fixture_remember(&f);
    CHECK_STATUS(focal_plan_create(&plan, problem, NULL, NULL), FOCAL_OK);
    focal_error error = FOCAL_ERROR_INIT;
    const focal_status status = focal_plan_execute(plan, &f.buffers, NULL, &f.sums, &error);
    CHECK_ERROR(status, error, expected, "targets", position);
    char number[32];
    snprintf(number, sizeof number, "%lld", (long long)position);
    CHECK_CASE(strstr(error.message, number) != NULL, "no %s in %s", number, error.message);
    snprintf(number, sizeof number, "%lld", (long long)value);
    CHECK_CASE(strstr(error.message, number) != NULL, "no %s in %s", number, error.message);
    CHECK(fixture_untouched(&f));
    focal_plan_destroy(plan);
    fixture_free(&f);
}

static void test_bad_labels(void) {
    static const int64_t positions[] = {0, 1, 500, 998, 999};
    static const struct {
        focal_target_kind kind;
        int64_t value;
    } bad[] = {
        {FOCAL_TARGET_LABEL_U8, 80},         {FOCAL_TARGET_LABEL_U8, 255},
        {FOCAL_TARGET_LABEL_I32, -1},        {FOCAL_TARGET_LABEL_I32, 80},
        {FOCAL_TARGET_LABEL_I32, INT32_MAX}, {FOCAL_TARGET_LABEL_I32, INT32_MIN},
        {FOCAL_TARGET_LABEL_I64, -1},        {FOCAL_TARGET_LABEL_I64, INT64_C(1) << 32},
        {FOCAL_TARGET_LABEL_I64, INT64_MAX}, {FOCAL_TARGET_LABEL_I64, INT64_MIN},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (size_t j = 0; j < sizeof positions / sizeof *positions; j++) {
            focal_problem problem = problem_of(FOCAL_SIGMOID, bad[i].kind, 1000, 80, 2.0);
            refuse_target(&problem, positions[j], bad[i].value, FOCAL_E_LABEL);
            problem.label_flags = FOCAL_LABEL_BACKGROUND;
            problem.background = 81; /* another value than any of the bad ones */
            refuse_target(&problem, positions[j], bad[i].value, FOCAL_E_LABEL);
            problem = problem_of(FOCAL_SOFTMAX, bad[i].kind, 1000, 80, 2.0);
            refuse_target(&problem, positions[j], bad[i].value, FOCAL_E_LABEL);
        }
    /* The first bad one is named, also when rows are longer than a block. */
    focal_problem problem = problem_of(FOCAL_SIGMOID, FOCAL_TARGET_LABEL_I64, 7, 5000, 0.0);
    refuse_target(&problem, 6, 5000, FOCAL_E_LABEL);
    fixture f;
    focal_error error = FOCAL_ERROR_INIT;
    fixture_make(&f, &problem, 6);
    store_target((void *)(uintptr_t)f.buffers.targets, problem.target_kind, 5, -7);
    store_target((void *)(uintptr_t)f.buffers.targets, problem.target_kind, 2, -7);
    fixture_remember(&f);
    CHECK_ERROR(fixture_run(&f, NULL, NULL, &error), error, FOCAL_E_LABEL, "targets", 2);
    CHECK(fixture_untouched(&f));
    fixture_free(&f);
}

static void test_bad_binary(void) {
    static const int64_t shapes[][3] = {{1000, 80, 0}, {1000, 80, 96}, {3, 5000, 0}, {1, 1, 0}};
    static const int64_t values[] = {2, 3, 128, 254, 255};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
            focal_problem problem = problem_of(FOCAL_SIGMOID, FOCAL_TARGET_BINARY_U8,
                                               shapes[i][0], shapes[i][1], 2.0);
            problem.targets_stride = shapes[i][2];
            const int64_t stride = stride_or(shapes[i][2], shapes[i][1]);
            refuse_target(&problem, 0, values[j], FOCAL_E_TARGET);
            refuse_target(&problem, (shapes[i][0] - 1) * stride + shapes[i][1] - 1, values[j],
                          FOCAL_E_TARGET);
        }
    /* Padding may hold anything: fixtures fill it with 0xa5. */
    focal_problem problem = problem_of(FOCAL_SIGMOID, FOCAL_TARGET_BINARY_U8, 100, 80, 2.0);
    problem.targets_stride = 96;
    fixture f;
    fixture_make(&f, &problem, 6);
    CHECK_STATUS(fixture_run(&f, NULL, NULL, NULL), FOCAL_OK);
    fixture_free(&f);
}

/* Structs of other versions: what an older one lacks is zero and not written, what a newer one has
 * more must be zero. */
static void test_versions(void) {
    const focal_problem problem = dense();
    struct {
        focal_buffers buffers;
        uint64_t more[4];
    } newer;
    struct {
        focal_sums sums;
        uint64_t more[4];
    } results;
    fixture f;
    focal_plan *plan = NULL;
    focal_error error = FOCAL_ERROR_INIT;
    fixture_make(&f, &problem, 9);
    CHECK_STATUS(focal_plan_create(&plan, &problem, NULL, NULL), FOCAL_OK);
    CHECK_STATUS(focal_plan_execute(plan, &f.buffers, NULL, &f.sums, NULL), FOCAL_OK);

    memset(&newer, 0, sizeof newer);
    memset(&results, 0, sizeof results);
    newer.buffers = f.buffers;
    newer.buffers.struct_size = sizeof newer;
    results.sums = (focal_sums)FOCAL_SUMS_INIT;
    results.sums.struct_size = sizeof results;
    CHECK_STATUS(focal_plan_execute(plan, &newer.buffers, NULL, &results.sums, NULL), FOCAL_OK);
    CHECK(results.sums.loss == f.sums.loss && results.sums.struct_size == sizeof results);
    newer.more[3] = 1;
    CHECK_ERROR(focal_plan_execute(plan, &newer.buffers, NULL, &results.sums, &error), error,
                FOCAL_E_STRUCT, "buffers.struct_size", -1);

    memset(&results, 0x5a, sizeof results);
    focal_buffers older = f.buffers;
    older.struct_size = offsetof(focal_buffers, hessian);
    memset((char *)&older + older.struct_size, 0xa5, sizeof older - older.struct_size);
    results.sums.struct_size = offsetof(focal_sums, ignored);
    CHECK_STATUS(focal_plan_execute(plan, &older, NULL, &results.sums, NULL), FOCAL_OK);
    CHECK(results.sums.loss == f.sums.loss && results.sums.rows == problem.outer);
    for (size_t i = offsetof(focal_sums, ignored); i < sizeof results; i++)
        CHECK(((const unsigned char *)&results)[i] == 0x5a);
    focal_plan_destroy(plan);
    fixture_free(&f);
}

/* What an output mask does not ask for may be NULL, misaligned, or overlap anything. */
static void test_unwanted(void) {
    for (uint32_t outputs = 1; outputs <= ALL_OUTPUTS; outputs++) {
        const focal_problem problem = wanting(outputs);
        void *const wild[] = {NULL, (void *)(uintptr_t)3, NULL};
        for (size_t i = 0; i < 3; i++) {
            fixture f;
            focal_error error = FOCAL_ERROR_INIT;
            fixture_make(&f, &problem, 7);
            void *const value = i == 2 ? (void *)(uintptr_t)f.buffers.logits : wild[i];
            if (!(outputs & FOCAL_OUTPUT_LOSS))
                f.buffers.loss = value;
            if (!(outputs & FOCAL_OUTPUT_ROW_LOSS))
                f.buffers.row_loss = value;
            if (!(outputs & FOCAL_OUTPUT_GRADIENT))
                f.buffers.gradient = value;
            CHECK_CASE(fixture_run(&f, NULL, NULL, &error) == FOCAL_OK, "%s", error.message);
            CHECK_CASE(fixture_bounded(&f, 0), "outputs %u", outputs);
            if (outputs & FOCAL_OUTPUT_SUM) {
                fixture_free(&f);
                continue;
            }
            CHECK(f.sums.loss == 0.0 && f.sums.rows == problem.outer);
            focal_plan *plan = NULL;
            CHECK_STATUS(focal_plan_create(&plan, &problem, NULL, NULL), FOCAL_OK);
            CHECK_STATUS(focal_plan_execute(plan, &f.buffers, NULL, NULL, NULL), FOCAL_OK);
            focal_plan_destroy(plan);
            fixture_free(&f);
        }
    }
}

static void must_not_run(void *context, size_t tasks, void (*task)(void *, size_t),
                         void *argument) {
    (void)context;
    for (size_t i = 0; i < tasks; i++)
        task(argument, i);
    CHECK(tasks == 0);
}

static void test_empty(void) {
    static const int64_t classes[] = {0, 1, 80, 10000};
    for (focal_target_kind kind = FOCAL_TARGET_DENSE; kind <= FOCAL_TARGET_LABEL_I64; kind++)
        for (int op = FOCAL_SIGMOID; op <= FOCAL_SOFTMAX; op++)
            for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
                if (op == FOCAL_SOFTMAX && !is_label_kind(kind))
                    continue;
                const focal_problem problem =
                    problem_of((focal_op)op, kind, 0, classes[i], 2.0);
                const focal_parallel parallel = {sizeof parallel, NULL, must_not_run};
                focal_plan *plan = NULL;
                focal_buffers nothing;
                focal_buffers_init(&nothing);
                focal_sums sums = {
                    .struct_size = sizeof sums, .loss = 5.0, .rows = 6, .positives = 7};
                CHECK_STATUS(focal_plan_create(&plan, &problem, NULL, NULL), FOCAL_OK);
                CHECK_STATUS(focal_plan_execute(plan, &nothing, &parallel, &sums, NULL),
                             FOCAL_OK);
                CHECK(sums.loss == 0.0 && sums.rows == 0 && sums.positives == 0);
                sums = (focal_sums){
                    .struct_size = sizeof sums, .loss = 5.0, .rows = 6, .positives = 7};
                CHECK(focal_plan_tasks(plan) == 0);
                CHECK_STATUS(focal_plan_execute_range(plan, &nothing, 0, 0, NULL), FOCAL_OK);
                CHECK_STATUS(focal_plan_execute_range(plan, &nothing, 0, 1, NULL),
                             FOCAL_E_RANGE);
                CHECK_STATUS(focal_plan_finish(plan, &nothing, &sums, NULL), FOCAL_OK);
                CHECK(sums.loss == 0.0 && sums.rows == 0 && sums.positives == 0);
                focal_plan_destroy(plan);
                fixture f;
                fixture_make(&f, &problem, 8);
                CHECK_STATUS(fixture_run(&f, NULL, NULL, NULL), FOCAL_OK);
                CHECK(fixture_untouched(&f));
                fixture_free(&f);
            }
}

int main(void) {
    test_null();
    test_struct_size();
    test_versions();
    test_alignment();
    test_overlap();
    test_overlap_details();
    test_workspace();
    test_range();
    test_bad_labels();
    test_bad_binary();
    test_unwanted();
    test_empty();
    return check_report();
}
