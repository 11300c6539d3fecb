/* focal_tune_run: what it records, what it refuses, that it stops, and that it finds its way back
 * from the worst entry there can be. Nothing here judges how fast anything is, but for the last. */
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fixture.h"
#include "tune_text.h"

static focal_problem dense(int64_t outer, int64_t classes, uint32_t outputs) {
    focal_problem problem = problem_of(FOCAL_SIGMOID, FOCAL_TARGET_DENSE, outer, classes, 2.0);
    problem.outputs = outputs;
    return problem;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static size_t entries(void) {
    focal_tune_entry entry = {.struct_size = sizeof entry};
    size_t count = 0;
    while (focal_tune_get(count, &entry) == FOCAL_OK)
        count++;
    return count;
}

static int is_tuned(const focal_problem *problem, const char *kernel) {
    char text[512];
    focal_plan *plan = NULL;
    CHECK_STATUS(focal_plan_create(&plan, problem, NULL, NULL), FOCAL_OK);
    focal_plan_describe(plan, text, sizeof text);
    focal_plan_destroy(plan);
    return strstr(text, "(tuned ") && strstr(text, kernel);
}

static void test_every_kind(void) {
    static const double gammas[] = {0.0, 0.5, 1.0, 2.0, 2.7};
    focal_tune_settings settings;
    focal_tune_settings_init(&settings);
    settings.budget_ms = 20.0;
    for (int target = 0; target <= FOCAL_TARGET_LABEL_I64; target++)
        for (int op = 0; op < 2; op++)
            for (int number = 0; number < 5 * TIERS; number++) {
                focal_problem problem = problem_of((focal_op)op, (focal_target_kind)target, 20,
                                                   30, gammas[number % 5]);
                focal_tune_result result = FOCAL_TUNE_RESULT_INIT;
                focal_error error = FOCAL_ERROR_INIT;
                focal_plan *plan = NULL;
                problem.tier = tier_at((size_t)number / 5);
                if (focal_plan_create(&plan, &problem, NULL, NULL) != FOCAL_OK)
                    continue; /* softmax has labels only */
                focal_plan_destroy(plan);
                CHECK_STATUS(focal_tune_run(&problem, NULL, &settings, &result, &error),
                             FOCAL_OK);
                CHECK_TEXT(error.message, "");
                CHECK(result.candidates >= 1 && strstr(result.kernel, "__"));
                if (!result.decided) /* a slow or busy host */
                    continue;
                CHECK(result.rounds >= 6 && result.ns > 0.0 && result.default_ns > 0.0);
                CHECK(result.low <= result.ratio && result.ratio <= result.high);
                CHECK(result.ratio <= 1.0);
                CHECK(is_tuned(&problem, result.kernel));
            }
    printf("%zu entries recorded\n", entries());
    CHECK(entries() > 40);
}

/* Problems of the form kernels, of other element types and layouts. */
static void test_forms(void) {
    static const focal_dtype dtypes[] = {FOCAL_F32, FOCAL_F64, FOCAL_F16, FOCAL_BF16};
    focal_tune_settings settings;
    focal_tune_settings_init(&settings);
    settings.budget_ms = 200.0;
    for (int number = 0; number < 16; number++) {
        focal_problem problem = problem_of(
            FOCAL_SIGMOID, number & 4 ? FOCAL_TARGET_LABEL_I32 : FOCAL_TARGET_DENSE, 4, 6, 2.0);
        focal_tune_result result = FOCAL_TUNE_RESULT_INIT;
        focal_error error = FOCAL_ERROR_INIT;
        problem.dtype = dtypes[number % 4];
        problem.inner = number & 8 ? 50 : 1;
        problem.smoothing = number & 8 ? 0.1 : 0.0;
        problem.outputs |= number & 4 ? (uint32_t)FOCAL_OUTPUT_HESSIAN : 0;
        CHECK_STATUS(focal_tune_run(&problem, NULL, &settings, &result, &error), FOCAL_OK);
        CHECK_TEXT(error.message, "");
        if (result.decided)
            CHECK_CASE(is_tuned(&problem, result.kernel), "%d: %s", number, result.kernel);
    }
}

static void test_record(void) {
    const focal_problem problem = dense(50, 80, FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_GRADIENT);
    focal_tune_result result = FOCAL_TUNE_RESULT_INIT;
    focal_tune_settings settings;
    focal_tune_settings_init(&settings);
    settings.budget_ms = 300.0;
    focal_tune_forget(NULL, FOCAL_TUNE_OWN, NULL, NULL);
    settings.flags = FOCAL_TUNE_DRY;
    CHECK_STATUS(focal_tune_run(&problem, NULL, &settings, &result, NULL), FOCAL_OK);
    CHECK(result.decided && entries() == 0);
    settings.flags = FOCAL_TUNE_COMPARE;
    CHECK_STATUS(focal_tune_run(&problem, NULL, &settings, &result, NULL), FOCAL_OK);
    CHECK(result.decided && entries() == 0 && result.ratio == 1.0);
    CHECK_TEXT(result.kernel, result.default_kernel);
    settings.flags = 0;
    CHECK_STATUS(focal_tune_run(&problem, NULL, &settings, &result, NULL), FOCAL_OK);
    focal_tune_entry entry = {.struct_size = sizeof entry};
    CHECK(entries() == 1);
    CHECK_STATUS(focal_tune_get(0, &entry), FOCAL_OK);
    CHECK_TEXT(entry.kernel, result.kernel);
    CHECK_TEXT(entry.contract, "focal_f32_sigmoid_dense_both_g2_fast");
    CHECK_TEXT(entry.target, "dense");
    CHECK(entry.elements_log2 == 11 && entry.classes_log2 == 0 && entry.threads == 1);
    CHECK(entry.has_problem && entry.problem.outer == 50 && entry.problem.classes == 80 &&
          entry.problem.outputs == problem.outputs && entry.problem.gamma == 2.0 &&
          entry.problem.tier == FOCAL_TIER_FAST);
    CHECK(entry.ns > 0.0 && entry.default_ns > 0.0 && entry.date > 20260000);
    /* The same key again is the same entry. */
    CHECK_STATUS(focal_tune_run(&problem, NULL, NULL, NULL, NULL), FOCAL_OK);
    CHECK(entries() == 1);
}

static int stop_at_once(void *context) {
    ++*(int *)context;
    return *(int *)context > 3;
}

static void test_stop(void) {
    const focal_problem problem = dense(500, 80, FOCAL_OUTPUT_SUM);
    focal_tune_settings settings;
    focal_error error = FOCAL_ERROR_INIT;
    focal_tune_result result = FOCAL_TUNE_RESULT_INIT;
    int asked = 0;
    size_t before = entries();
    focal_tune_settings_init(&settings);
    settings.stop = stop_at_once;
    settings.stop_context = &asked;
    CHECK_ERROR(focal_tune_run(&problem, NULL, &settings, &result, &error), error,
                FOCAL_E_STOPPED, "stop", -1);
    CHECK(asked >= 4 && entries() == before && !result.decided);
}

static void test_budget(void) {
    /* 32 MB of logits: not one round of everybody fits. */
    const focal_problem problem = dense(100000, 80, FOCAL_OUTPUT_SUM);
    focal_tune_settings settings;
    focal_tune_result result = FOCAL_TUNE_RESULT_INIT;
    size_t before = entries();
    focal_tune_settings_init(&settings);
    settings.budget_ms = 1.0;
    CHECK_STATUS(focal_tune_run(&problem, NULL, &settings, &result, NULL), FOCAL_OK);
    CHECK(!result.decided && entries() == before);
    /* A budget that is enough is not much exceeded. */
    const focal_problem small = dense(10, 80, FOCAL_OUTPUT_SUM);
    settings.budget_ms = 200.0;
    double start = seconds();
    CHECK_STATUS(focal_tune_run(&small, NULL, &settings, &result, NULL), FOCAL_OK);
    CHECK_CASE(seconds() - start < 2.0, "%g s", seconds() - start);
}

static void test_refusals(void) {
    const focal_problem good = dense(10, 80, FOCAL_OUTPUT_SUM);
    focal_problem problem = good;
    focal_tune_settings settings;
    focal_options options;
    focal_error error = FOCAL_ERROR_INIT;
    focal_tune_result result = {.struct_size = 1};
    size_t before = entries();
    CHECK_ERROR(focal_tune_run(&good, NULL, NULL, &result, &error), error, FOCAL_E_STRUCT,
                "result.struct_size", -1);
    CHECK_ERROR(focal_tune_run(NULL, NULL, NULL, NULL, &error), error, FOCAL_E_NULL, "problem",
                -1);
    problem.gamma = -1.0;
    CHECK_ERROR(focal_tune_run(&problem, NULL, NULL, NULL, &error), error, FOCAL_E_VALUE,
                "gamma", -1);
    problem = good;
    problem.outer = 0;
    CHECK_ERROR(focal_tune_run(&problem, NULL, NULL, NULL, &error), error, FOCAL_E_VALUE,
                "outer", -1);
    focal_options_init(&options);
    options.isa = "scalar";
    CHECK_ERROR(focal_tune_run(&good, &options, NULL, NULL, &error), error, FOCAL_E_UNSUPPORTED,
                "options", -1);
    const struct {
        focal_tune_settings settings;
        focal_status status;
        const char *field;
    } cases[] = {
        {{.struct_size = 1}, FOCAL_E_STRUCT, "settings.struct_size"},
        {{.struct_size = sizeof settings, .budget_ms = -1.0}, FOCAL_E_VALUE, "budget_ms"},
        {{.struct_size = sizeof settings, .budget_ms = 1e300 * 1e300},
         FOCAL_E_VALUE,
         "budget_ms"},
        {{.struct_size = sizeof settings, .flags = 4}, FOCAL_E_VALUE, "flags"},
        {{.struct_size = sizeof settings, .threads = 70000}, FOCAL_E_VALUE, "threads"},
        {{.struct_size = sizeof settings, .threads = 2}, FOCAL_E_NULL, "parallel"},
        {{.struct_size = sizeof settings, .max_bytes = 100}, FOCAL_E_MEMORY, "max_bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_ERROR(focal_tune_run(&good, NULL, &cases[i].settings, NULL, &error), error,
                    cases[i].status, cases[i].field, -1);
    /* More rows than the memory that is allowed: fewer are measured, under the key of all. */
    focal_tune_settings_init(&settings);
    settings.max_bytes = 64 << 10;
    problem = dense(1000, 80, FOCAL_OUTPUT_SUM);
    CHECK(entries() == before);
    CHECK_STATUS(focal_tune_run(&problem, NULL, &settings, NULL, NULL), FOCAL_OK);
    focal_tune_entry entry = {.struct_size = sizeof entry};
    if (entries() > before) {
        CHECK_STATUS(focal_tune_get(before, &entry), FOCAL_OK);
        CHECK(entry.elements_log2 == 16 && entry.problem.outer < 100);
    }
}

/* Backwards, in groups of two: an order that a parallel loop may have. */
static void hostile_run(void *context, size_t tasks, void (*task)(void *, size_t),
                        void *argument) {
    ++*(size_t *)context;
    for (size_t i = tasks; i-- > 0;)
        task(argument, i);
}

static void test_threads(void) {
    const focal_problem problem = dense(4000, 80, FOCAL_OUTPUT_SUM);
    size_t runs = 0;
    const focal_parallel parallel = {sizeof parallel, &runs, hostile_run};
    focal_tune_settings settings;
    focal_tune_result result = FOCAL_TUNE_RESULT_INIT;
    focal_tune_forget(NULL, FOCAL_TUNE_OWN, NULL, NULL);
    focal_tune_settings_init(&settings);
    settings.threads = 4;
    settings.parallel = &parallel;
    settings.budget_ms = 300.0;
    CHECK_STATUS(focal_tune_run(&problem, NULL, &settings, &result, NULL), FOCAL_OK);
    CHECK(runs > 0);
    focal_tune_entry entry = {.struct_size = sizeof entry};
    if (result.decided) {
        CHECK_STATUS(focal_tune_get(0, &entry), FOCAL_OK);
        CHECK(entry.threads == 4 && entry.task_elements == result.task_elements);
        CHECK(entry.task_elements * 4 <= 320000);
    }
}

/* With the slowest of all rows as the entry that exists, the search returns to a fast one. On rows
 * whose candidates are all alike there is nothing to return to. */
static void test_recovery(void) {
    const focal_problem problem = dense(50, 80, FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_GRADIENT);
    focal_sections sections = {NULL, 0};
    focal_candidate list[64];
    size_t size, count = focal_candidates_list(
                     focal_contract_standard("focal_f32_sigmoid_dense_both_g2_fast"), list, 64);
    const char *worst = list[count - 1].name;
    if (list[count - 1].isa == list[0].isa)
        return;
    focal_record record = tune_record("focal_f32_sigmoid_dense_both_g2_fast",
                                      FOCAL_TARGET_DENSE, worst, 11, 0, 1);
    focal_section_put(tune_own_section(&sections), &record, false);
    char *text = tune_text(&sections, &size);
    focal_tune_forget(NULL, FOCAL_TUNE_OWN, NULL, NULL);
    CHECK_STATUS(focal_tune_import(text, size, NULL, NULL), FOCAL_OK);
    CHECK(is_tuned(&problem, worst));
    focal_tune_settings settings;
    focal_tune_result result = FOCAL_TUNE_RESULT_INIT;
    focal_tune_settings_init(&settings);
    settings.budget_ms = 1000.0;
    settings.flags = FOCAL_TUNE_COMPARE;
    CHECK_STATUS(focal_tune_run(&problem, NULL, &settings, &result, NULL), FOCAL_OK);
    CHECK_TEXT(result.kernel, worst);
    CHECK_CASE(result.low > 3.0, "%g times the default", result.low);
    settings.flags = 0;
    CHECK_STATUS(focal_tune_run(&problem, NULL, &settings, &result, NULL), FOCAL_OK);
    printf("%s took %.1f times as long as %s\n", worst, 1.0 / result.entry_ratio,
           result.kernel);
    CHECK(result.decided && strcmp(result.kernel, worst) != 0 && result.entry_ratio < 0.5);
    CHECK(!is_tuned(&problem, worst) && is_tuned(&problem, result.kernel));
    focal_sections_free(&sections);
    free(text);
}

/* Under a cap, only what it allows is tried, and the entry is for that cap alone. */
static void test_cap(void) {
    fflush(stdout);
    pid_t id = fork();
    if (id == 0) {
        const focal_problem problem = dense(10, 80, FOCAL_OUTPUT_SUM);
        focal_tune_entry entry = {.struct_size = sizeof entry};
        check_failed = 0;
        CHECK_STATUS(focal_tune_load(NULL, NULL, NULL), FOCAL_OK);
        CHECK_STATUS(focal_set_isa_cap("scalar", NULL), FOCAL_OK);
        CHECK_STATUS(focal_tune_run(&problem, NULL, NULL, NULL, NULL), FOCAL_OK);
        for (size_t i = 0; focal_tune_get(i, &entry) == FOCAL_OK; i++) {
            CHECK(strstr(entry.kernel, "__scalar_"));
            CHECK(strstr(entry.host, " cap=scalar"));
        }
        fflush(stdout);
        _exit(check_failed > 0);
    }
    int status = -1;
    waitpid(id, &status, 0);
    CHECK_CASE(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%x", (unsigned)status);
}

int main(int argc, char **argv) {
    setenv("FOCAL_TUNE_FILE", "", 1);
    test_cap();
    test_refusals();
    test_every_kind();
    test_forms();
    test_record();
    test_stop();
    test_budget();
    test_threads();
    if (argc < 2 || strcmp(argv[1], "--no-timing") != 0)
        test_recovery();
    return check_report();
}
