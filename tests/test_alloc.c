/* Memory: a caller's allocator serves everything, is given back everything, and may fail at any
 * of its calls; the caller's workspace makes an execution free of allocations. */
#include "fixture.h"

/* Fails from call `limit` on (0-based); counts what is out. */
typedef struct account {
    size_t calls, limit, refused, live;
} account;

enum { HEADER = 64 };

static void *account_allocate(void *context, size_t size) {
    account *const a = context;
    if (a->calls++ >= a->limit) {
        a->refused++;
        return NULL;
    }
    unsigned char *const memory = malloc(size + HEADER);
    if (memory == NULL)
        return NULL;
    /* Not zeroed memory, as an arena would hand out. */
    memset(memory, 0xcd, size + HEADER);
    memcpy(memory, &size, sizeof size);
    a->live++;
    return memory + HEADER;
}

static void account_release(void *context, void *memory) {
    account *const a = context;
    if (!CHECK(memory != NULL))
        return;
    unsigned char *const start = (unsigned char *)memory - HEADER;
    size_t size;
    memcpy(&size, start, sizeof size);
    memset(start, 0xdd, size + HEADER); /* a use after release shows */
    free(start);
    a->live--;
}

static focal_options options_of(account *a) {
    focal_options options;
    focal_options_init(&options);
    options.allocator_context = a;
    options.allocate = account_allocate;
    options.release = account_release;
    return options;
}

static const struct {
    focal_op op;
    focal_target_kind kind;
    int64_t outer, classes, stride;
    size_t allocations; /* of a plan and its execution */
} cases[] = {
    {FOCAL_SIGMOID, FOCAL_TARGET_DENSE, 1000, 80, 0, 2},
    {FOCAL_SIGMOID, FOCAL_TARGET_DENSE, 1000, 80, 96, 2},
    {FOCAL_SIGMOID, FOCAL_TARGET_BINARY_U8, 7, 9000, 9001, 2},
    {FOCAL_SIGMOID, FOCAL_TARGET_LABEL_I64, 1000, 80, 0, 2},
    {FOCAL_SOFTMAX, FOCAL_TARGET_LABEL_I32, 1000, 80, 96, 2},
    /* A small workspace lies on the stack. */
    {FOCAL_SIGMOID, FOCAL_TARGET_DENSE, 300, 80, 0, 1},
    {FOCAL_SOFTMAX, FOCAL_TARGET_LABEL_I32, 300, 80, 96, 1},
    {FOCAL_SIGMOID, FOCAL_TARGET_DENSE, 0, 80, 0, 1},
};
enum { CASES = sizeof cases / sizeof *cases };

static focal_problem problem_at(size_t i) {
    focal_problem problem =
        problem_of(cases[i].op, cases[i].kind, cases[i].outer, cases[i].classes, 1.5);
    problem.logits_stride = problem.targets_stride = problem.loss_stride =
        problem.gradient_stride = cases[i].stride;
    return problem;
}

static void backwards(void *context, size_t tasks, void (*task)(void *, size_t),
                      void *argument) {
    (void)context;
    while (tasks > 0)
        task(argument, --tasks);
}

/* Fails at call 0, 1, 2 ... until a whole life of a plan passes. */
static void test_failing(size_t index, const focal_parallel *parallel) {
    const focal_problem problem = problem_at(index);
    fixture plain;
    fixture_make(&plain, &problem, 51);
    CHECK_STATUS(fixture_run(&plain, NULL, NULL, NULL), FOCAL_OK);
    size_t limit = 0;
    for (int done = 0; !done && limit < 100; limit++) {
        account a = {.limit = limit};
        const focal_options options = options_of(&a);
        focal_plan *plan = (focal_plan *)(uintptr_t)8;
        focal_error error = FOCAL_ERROR_INIT;
        fixture f;
        fixture_make(&f, &problem, 51);
        focal_status status = focal_plan_create(&plan, &problem, &options, &error);
        if (status != FOCAL_OK) {
            CHECK_ERROR(status, error, FOCAL_E_MEMORY, "plan", -1);
            CHECK(plan == NULL && a.refused == 1);
        } else {
            const size_t live = a.live;
            CHECK(live >= 1);
            status = focal_plan_execute(plan, &f.buffers, parallel, &f.sums, &error);
            CHECK(a.live == live);
            if (status != FOCAL_OK) {
                CHECK_ERROR(status, error, FOCAL_E_MEMORY, "workspace", -1);
                CHECK(a.refused == 1);
                /* The plan is as good as before, once there is memory. */
                CHECK(fixture_untouched(&f));
                a.limit = SIZE_MAX;
                CHECK_STATUS(focal_plan_execute(plan, &f.buffers, parallel, &f.sums, NULL),
                             FOCAL_OK);
            } else {
                CHECK(a.refused == 0);
                done = 1;
            }
            CHECK(fixture_digest(&f, problem.outputs) ==
                  fixture_digest(&plain, problem.outputs));
            focal_plan_destroy(plan);
        }
        CHECK_CASE(a.live == 0, "case %zu, call %zu: %zu blocks left", index, limit, a.live);
        if (status == FOCAL_E_MEMORY && plan == NULL)
            CHECK(fixture_untouched(&f));
        fixture_free(&f);
    }
    printf("case %zu: served by %zu allocations\n", index, limit - 1);
    CHECK(limit == cases[index].allocations + 1);
    fixture_free(&plain);
}

/* With the caller's workspace nothing is allocated after the plan, not even for failures. */
static void test_own_workspace(size_t index) {
    const focal_problem problem = problem_at(index);
    account a = {.limit = SIZE_MAX};
    const focal_options options = options_of(&a);
    focal_plan *plan = NULL;
    CHECK_STATUS(focal_plan_create(&plan, &problem, &options, NULL), FOCAL_OK);
    const size_t calls = a.calls, size = focal_plan_workspace_size(plan);
    a.limit = 0;
    fixture f;
    fixture_make(&f, &problem, 52);
    void *const workspace = malloc(size + 1);
    f.buffers.workspace = workspace;
    f.buffers.workspace_size = size;
    char text[512];
    CHECK_STATUS(focal_plan_execute(plan, &f.buffers, NULL, &f.sums, NULL), FOCAL_OK);
    CHECK_STATUS(focal_plan_execute_range(plan, &f.buffers, 0, focal_plan_tasks(plan), NULL),
                 FOCAL_OK);
    CHECK_STATUS(focal_plan_finish(plan, &f.buffers, &f.sums, NULL), FOCAL_OK);
    CHECK(focal_plan_describe(plan, text, sizeof text) > 0);
    f.buffers.struct_size = 0;
    CHECK_STATUS(focal_plan_execute(plan, &f.buffers, NULL, &f.sums, NULL), FOCAL_E_STRUCT);
    CHECK(a.calls == calls && a.refused == 0);
    focal_plan_destroy(plan);
    CHECK(a.live == 0);
    free(workspace);
    fixture_free(&f);
}

/* A refusal does not allocate, or gives back what it did. */
static void test_refusals(void) {
    account a = {.limit = SIZE_MAX};
    const focal_options options = options_of(&a);
    focal_problem problem = problem_at(0);
    focal_plan *plan = NULL;
    problem.gamma = -1.0;
    CHECK_STATUS(focal_plan_create(&plan, &problem, &options, NULL), FOCAL_E_VALUE);
    CHECK(a.live == 0 && plan == NULL);
    problem = problem_at(3);
    fixture f;
    fixture_make(&f, &problem, 53);
    *(int64_t *)(uintptr_t)f.buffers.targets = -5;
    CHECK_STATUS(focal_plan_create(&plan, &problem, &options, NULL), FOCAL_OK);
    const size_t live = a.live;
    CHECK_STATUS(focal_plan_execute(plan, &f.buffers, NULL, &f.sums, NULL), FOCAL_E_LABEL);
    f.buffers.logits = NULL;
    CHECK_STATUS(focal_plan_execute(plan, &f.buffers, NULL, &f.sums, NULL), FOCAL_E_NULL);
    CHECK(a.live == live);
    focal_plan_destroy(plan);
    CHECK(a.live == 0);
    fixture_free(&f);
}

int main(void) {
    const focal_parallel parallel = {sizeof parallel, NULL, backwards};
    for (size_t i = 0; i < CASES; i++) {
        test_failing(i, NULL);
        test_failing(i, &parallel);
        test_own_workspace(i);
    }
    test_refusals();
    return check_report();
}
