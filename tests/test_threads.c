/* Threads: the bits of an execution do not depend on who runs its tasks, in which order, on how
 * many threads; plans are made, shared and executed by many threads at once. To be run under
 * -fsanitize=thread, too. */
#include <pthread.h>
#include <stdatomic.h>

#include "fixture.h"

#ifdef _OPENMP
#include <focal_openmp.h>
#endif

typedef void task_function(void *argument, size_t index);

/* ---- Parallel-fors as hostile as the header allows ---- */

static void reversed(void *context, size_t tasks, task_function *task, void *argument) {
    (void)context;
    for (size_t i = tasks; i > 0; i--)
        task(argument, i - 1);
}

static void shuffled(void *context, size_t tasks, task_function *task, void *argument) {
    size_t *const order = malloc((tasks + 1) * sizeof *order);
    for (size_t i = 0; i < tasks; i++)
        order[i] = i;
    for (size_t i = tasks; i > 1; i--) {
        const size_t j = mix(*(uint64_t *)context, i, 3) % i, kept = order[j];
        order[j] = order[i - 1];
        order[i - 1] = kept;
    }
    for (size_t i = 0; i < tasks; i++)
        task(argument, order[i]);
    free(order);
}

/* One run as its threads see it: each takes the next `batch` tasks until none is left. */
typedef struct team {
    task_function *task;
    void *argument;
    size_t tasks, batch;
    atomic_size_t next;
} team;

static void *work(void *argument) {
    team *const t = argument;
    for (;;) {
        const size_t first = atomic_fetch_add(&t->next, t->batch);
        if (first >= t->tasks)
            return NULL;
        for (size_t i = first; i < t->tasks && i < first + t->batch; i++)
            t->task(t->argument, i);
    }
}

static void run_team(size_t threads, size_t batch, size_t tasks, task_function *task,
                     void *argument) {
    pthread_t *const ids = malloc((threads + 1) * sizeof *ids);
    team t = {.task = task, .argument = argument, .tasks = tasks, .batch = batch};
    size_t started = 0;
    while (started < threads && pthread_create(&ids[started], NULL, work, &t) == 0)
        started++;
    work(&t);
    for (size_t i = 0; i < started; i++)
        pthread_join(ids[i], NULL);
    free(ids);
}

static void thread_per_task(void *context, size_t tasks, task_function *task, void *argument) {
    (void)context;
    run_team(tasks, 1, tasks, task, argument);
}

static void idle_threads(void *context, size_t tasks, task_function *task, void *argument) {
    (void)context;
    run_team(tasks + 9, 1, tasks, task, argument);
}

static void batches(void *context, size_t tasks, task_function *task, void *argument) {
    (void)context;
    run_team(3, 5, tasks, task, argument);
}

/* Every task on a thread of its own, one after the other: nothing may hang on thread identity. */
static void fresh_threads(void *context, size_t tasks, task_function *task, void *argument) {
    (void)context;
    for (size_t i = 0; i < tasks; i++) {
        team t = {.task = task, .argument = argument, .tasks = i + 1, .batch = 1};
        pthread_t id;
        atomic_init(&t.next, i);
        if (pthread_create(&id, NULL, work, &t) == 0)
            pthread_join(id, NULL);
        else
            work(&t);
    }
}

/* A scheduler may run other work in the middle, such as another execution of the same plan. */
typedef struct nested {
    const focal_plan *plan;
    fixture *inner;
    focal_status status;
} nested;

static void nesting(void *context, size_t tasks, task_function *task, void *argument) {
    nested *const n = context;
    for (size_t i = 0; i < tasks; i++) {
        task(argument, i);
        if (i == tasks / 2)
            n->status =
                focal_plan_execute(n->plan, &n->inner->buffers, NULL, &n->inner->sums, NULL);
    }
}

/* ---- Same bits ---- */

static const struct {
    focal_op op;
    focal_target_kind kind;
    int64_t outer, classes, stride;
    double gamma;
} cases[] = {
    {FOCAL_SIGMOID, FOCAL_TARGET_DENSE, 1000, 80, 0, 2.0},
    {FOCAL_SIGMOID, FOCAL_TARGET_BINARY_U8, 777, 91, 96, 1.5},
    {FOCAL_SIGMOID, FOCAL_TARGET_LABEL_I64, 50000, 1, 0, 2.7},
    {FOCAL_SIGMOID, FOCAL_TARGET_LABEL_I32, 7, 10000, 0, 2.0},
    {FOCAL_SOFTMAX, FOCAL_TARGET_LABEL_I64, 900, 80, 81, 2.0},
    {FOCAL_SOFTMAX, FOCAL_TARGET_LABEL_I32, 9, 10000, 0, 0.5},
};
enum { CASES = sizeof cases / sizeof *cases };

static focal_problem problem_at(size_t i) {
    focal_problem problem = problem_of(cases[i].op, cases[i].kind, cases[i].outer,
                                       cases[i].classes, cases[i].gamma);
    problem.logits_stride = problem.gradient_stride = cases[i].stride;
    problem.tier = tier_at(i);
    return problem;
}

static void test_parallel_fors(void) {
    uint64_t seeds[] = {1, 2, 3};
    focal_parallel loops[] = {
        {sizeof(focal_parallel), NULL, reversed},
        {sizeof(focal_parallel), &seeds[0], shuffled},
        {sizeof(focal_parallel), &seeds[1], shuffled},
        {sizeof(focal_parallel), &seeds[2], shuffled},
        {sizeof(focal_parallel), NULL, thread_per_task},
        {sizeof(focal_parallel), NULL, idle_threads},
        {sizeof(focal_parallel), NULL, batches},
        {sizeof(focal_parallel), NULL, fresh_threads},
#ifdef _OPENMP
        focal_openmp_parallel(0),
        focal_openmp_parallel(1),
        focal_openmp_parallel(7),
#endif
    };
    for (size_t i = 0; i < CASES; i++) {
        const focal_problem problem = problem_at(i);
        fixture serial;
        fixture_make(&serial, &problem, 31);
        CHECK_STATUS(fixture_run(&serial, NULL, NULL, NULL), FOCAL_OK);
        for (size_t k = 0; k < sizeof loops / sizeof *loops; k++)
            for (uint32_t grain = 0; grain < 3; grain++) {
                focal_options options;
                focal_options_init(&options);
                options.grain = grain;
                fixture f;
                fixture_make(&f, &problem, 31);
                CHECK_STATUS(fixture_run(&f, &options, &loops[k], NULL), FOCAL_OK);
                CHECK_CASE(fixture_digest(&f, problem.outputs) ==
                               fixture_digest(&serial, problem.outputs),
                           "case %zu, loop %zu, grain %u", i, k, grain);
                CHECK(f.sums.positives == serial.sums.positives && fixture_bounded(&f, 0));
                fixture_free(&f);
            }
        fixture_free(&serial);
    }
}

/* A bad label is found by any loop, the first one is named, and nothing is written. */
static void test_bad_label(void) {
    uint64_t seed = 4;
    const focal_parallel loops[] = {
        {sizeof(focal_parallel), NULL, reversed},
        {sizeof(focal_parallel), &seed, shuffled},
        {sizeof(focal_parallel), NULL, thread_per_task},
    };
    const focal_problem problem = problem_at(2);
    for (size_t k = 0; k < sizeof loops / sizeof *loops; k++) {
        focal_options options;
        focal_options_init(&options);
        options.grain = 1;
        fixture f;
        focal_error error = FOCAL_ERROR_INIT;
        fixture_make(&f, &problem, 32);
        int64_t *const labels = (int64_t *)(uintptr_t)f.buffers.targets;
        labels[12345] = labels[12346] = labels[40000] = 1;
        fixture_remember(&f);
        const focal_status status = fixture_run(&f, &options, &loops[k], &error);
        CHECK_ERROR(status, error, FOCAL_E_LABEL, "targets", 12345);
        CHECK(fixture_untouched(&f));
        fixture_free(&f);
    }
}

static void test_nesting(void) {
    const focal_problem problem = problem_at(0);
    fixture outer, inner;
    nested n = {.inner = &inner, .status = FOCAL_E_NULL};
    focal_plan *plan = NULL;
    CHECK_STATUS(focal_plan_create(&plan, &problem, NULL, NULL), FOCAL_OK);
    n.plan = plan;
    fixture_make(&outer, &problem, 33);
    fixture_make(&inner, &problem, 33);
    const focal_parallel loop = {sizeof loop, &n, nesting};
    CHECK_STATUS(focal_plan_execute(plan, &outer.buffers, &loop, &outer.sums, NULL), FOCAL_OK);
    CHECK_STATUS(n.status, FOCAL_OK);
    CHECK(fixture_digest(&outer, ALL_OUTPUTS) == fixture_digest(&inner, ALL_OUTPUTS));
    focal_plan_destroy(plan);
    fixture_free(&outer);
    fixture_free(&inner);
}

/* ---- Many threads at once ---- */

enum { THREADS = 8, ROUNDS = 5 };

static focal_plan *shared[CASES];
static uint64_t expected[CASES];
static atomic_uint ready, mismatches, failures;

static void *create_and_execute(void *argument) {
    const size_t self = (size_t)(uintptr_t)argument;
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < THREADS)
        ;
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t k = 0; k < CASES; k++) {
            const size_t i = (k + self) % CASES;
            const focal_problem problem = problem_at(i);
            char text[256];
            fixture f;
            fixture_make(&f, &problem, 34);
            const focal_status status =
                round % 2 ? fixture_run(&f, NULL, NULL, NULL)
                          : focal_plan_execute(shared[i], &f.buffers, NULL, &f.sums, NULL);
            focal_host_info host = {.struct_size = sizeof host};
            focal_isa_info isa = {.struct_size = sizeof isa};
            atomic_fetch_add(&failures, status != FOCAL_OK ||
                                            focal_host_get(&host) != FOCAL_OK ||
                                            focal_isa_get(0, &isa) != FOCAL_OK ||
                                            focal_plan_describe(shared[i], text, 256) == 0 ||
                                            focal_set_isa_cap("scalar", NULL) != FOCAL_E_LATE);
            atomic_fetch_add(&mismatches, fixture_digest(&f, problem.outputs) != expected[i]);
            fixture_free(&f);
        }
    return NULL;
}

static void *create_first(void *argument) {
    const focal_problem problem = problem_at(0);
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < THREADS)
        ;
    atomic_fetch_add(&failures, focal_plan_create((focal_plan **)argument, &problem, NULL,
                                                  NULL) != FOCAL_OK);
    return NULL;
}

static void start_all(void *(*function)(void *), void *arguments[THREADS]) {
    pthread_t ids[THREADS];
    atomic_store(&ready, 0);
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&ids[i], NULL, function, arguments[i]) != 0) {
            puts("cannot create a thread");
            exit(1);
        }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(ids[i], NULL);
}

/* The first plans of the process, by all threads at the same moment: they agree. */
static void test_first_plans(void) {
    focal_plan *plans[THREADS] = {NULL};
    void *arguments[THREADS];
    char texts[THREADS][512] = {""};
    for (size_t i = 0; i < THREADS; i++)
        arguments[i] = &plans[i];
    start_all(create_first, arguments);
    CHECK(atomic_load(&failures) == 0);
    for (size_t i = 0; i < THREADS; i++) {
        focal_plan_describe(plans[i], texts[i], sizeof texts[i]);
        CHECK_TEXT(texts[i], texts[0]);
        focal_plan_destroy(plans[i]);
    }
}

static void test_shared_plans(void) {
    void *arguments[THREADS];
    for (size_t i = 0; i < CASES; i++) {
        const focal_problem problem = problem_at(i);
        fixture f;
        fixture_make(&f, &problem, 34);
        CHECK_STATUS(focal_plan_create(&shared[i], &problem, NULL, NULL), FOCAL_OK);
        CHECK_STATUS(focal_plan_execute(shared[i], &f.buffers, NULL, &f.sums, NULL), FOCAL_OK);
        expected[i] = fixture_digest(&f, problem.outputs);
        fixture_free(&f);
    }
    for (size_t i = 0; i < THREADS; i++)
        arguments[i] = (void *)(uintptr_t)i;
    start_all(create_and_execute, arguments);
    CHECK_CASE(atomic_load(&failures) == 0, "%u calls", atomic_load(&failures));
    CHECK_CASE(atomic_load(&mismatches) == 0, "%u executions", atomic_load(&mismatches));
    for (size_t i = 0; i < CASES; i++)
        focal_plan_destroy(shared[i]);
}

/* Threads that share the outputs' matrices, each with ranges of the same execution. */
typedef struct ranges {
    const focal_plan *plan;
    fixture *f;
    atomic_size_t next;
} ranges;

static void *take_ranges(void *argument) {
    ranges *const r = argument;
    const size_t tasks = focal_plan_tasks(r->plan);
    for (;;) {
        const size_t first = atomic_fetch_add(&r->next, 2);
        if (first >= tasks)
            return NULL;
        atomic_fetch_add(&failures,
                         focal_plan_execute_range(r->plan, &r->f->buffers, first,
                                                  tasks - first < 2 ? 1 : 2, NULL) != FOCAL_OK);
    }
}

static void test_ranges(void) {
    for (size_t i = 0; i < CASES; i++) {
        const focal_problem problem = problem_at(i);
        focal_options options;
        focal_options_init(&options);
        options.grain = 1;
        fixture serial, f;
        focal_plan *plan = NULL;
        fixture_make(&serial, &problem, 35);
        CHECK_STATUS(fixture_run(&serial, NULL, NULL, NULL), FOCAL_OK);
        fixture_make(&f, &problem, 35);
        CHECK_STATUS(focal_plan_create(&plan, &problem, &options, NULL), FOCAL_OK);
        f.buffers.workspace_size = focal_plan_workspace_size(plan);
        f.buffers.workspace = malloc(f.buffers.workspace_size);
        ranges r = {.plan = plan, .f = &f};
        void *arguments[THREADS];
        for (size_t k = 0; k < THREADS; k++)
            arguments[k] = &r;
        start_all(take_ranges, arguments);
        CHECK(atomic_load(&failures) == 0);
        CHECK_STATUS(focal_plan_finish(plan, &f.buffers, &f.sums, NULL), FOCAL_OK);
        CHECK_CASE(fixture_digest(&f, problem.outputs) ==
                       fixture_digest(&serial, problem.outputs),
                   "case %zu", i);
        free(f.buffers.workspace);
        focal_plan_destroy(plan);
        fixture_free(&serial);
        fixture_free(&f);
    }
}

int main(void) {
    test_first_plans();
    test_parallel_fors();
    test_bad_label();
    test_nesting();
    test_shared_plans();
    test_ranges();
    return check_report();
}
