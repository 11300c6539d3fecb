/* No tuning file can change a bit: problems of every kind are computed without one, with what this
 * host measures, with the worst candidate everywhere, and with candidates drawn by lot, so that each
 * one meets the plan interface. Every digest is that of the plan without tuning. */
#include "fixture.h"
#include "tune_text.h"

enum { KINDS = FOCAL_TARGET_LABEL_I64 + 1 };

typedef struct shape {
    int64_t outer, classes, padding;
} shape;

/* Tails, several blocks, a row longer than a block, padded rows. */
static const shape shapes[] = {{1, 1, 0},   {3, 5, 0},    {1, 33, 0},  {60, 80, 0},
                               {13, 91, 7}, {2, 5000, 0}, {300, 31, 1}};
enum { SHAPES = sizeof shapes / sizeof *shapes };
static const double gammas[] = {0.0, 0.5, 1.0, 1.5, 2.0, 2.7};
enum { GAMMAS = sizeof gammas / sizeof *gammas, DIRECTIONS = 3 };
enum { PROBLEMS = 2 * KINDS * TIERS * GAMMAS * DIRECTIONS * SHAPES };

static uint64_t expected[PROBLEMS];
static unsigned tuned_plans, other_kernels;

/* Problem number i; 0 if there is no such. */
static int problem_at(size_t i, focal_problem *problem) {
    const shape *s = &shapes[i % SHAPES];
    size_t direction = i / SHAPES % DIRECTIONS, rest = i / SHAPES / DIRECTIONS;
    double gamma = gammas[rest % GAMMAS];
    rest /= GAMMAS;
    focal_tier tier = tier_at(rest % TIERS);
    rest /= TIERS;
    *problem = problem_of((focal_op)(rest / KINDS), (focal_target_kind)(rest % KINDS), s->outer,
                          s->classes, gamma);
    int label = is_label_kind(problem->target_kind);
    if ((problem->op == FOCAL_SOFTMAX && !label) ||
        (problem->target_kind == FOCAL_TARGET_LABEL_U8 && s->classes > 255))
        return 0;
    problem->tier = tier;
    problem->logits_stride = problem->gradient_stride = s->classes + s->padding;
    if (!label)
        problem->targets_stride = s->classes + s->padding;
    problem->alpha_mode = FOCAL_ALPHA_SCALAR;
    problem->alpha = 0.3;
    if (direction == 0)
        problem->outputs &= ~(uint32_t)FOCAL_OUTPUT_GRADIENT;
    else if (direction == 1)
        problem->outputs = FOCAL_OUTPUT_GRADIENT;
    return 1;
}

static uint64_t digest_of(const focal_problem *problem, size_t i, uint32_t flags) {
    fixture f;
    focal_options options;
    focal_plan *plan = NULL;
    focal_sums sums = FOCAL_SUMS_INIT;
    char text[512];
    focal_options_init(&options);
    options.tune_flags = flags;
    fixture_make_styled(&f, problem, (fixture_style){i, i % 3, i % 2 == 0});
    f.sums = sums;
    CHECK_STATUS(focal_plan_create(&plan, problem, &options, NULL), FOCAL_OK);
    CHECK_STATUS(focal_plan_execute(plan, &f.buffers, NULL, &f.sums, NULL), FOCAL_OK);
    CHECK(fixture_bounded(&f, 0));
    focal_plan_describe(plan, text, sizeof text);
    focal_plan_destroy(plan);
    int tuned = strstr(text, "(tuned ") != NULL;
    CHECK_CASE(!tuned || !(flags & FOCAL_TUNE_OFF), "%s", text);
    tuned_plans += (unsigned)tuned;
    /* The first word is the kernel; the standard one ends in the row that info chooses. */
    other_kernels += tuned && !strstr(text, focal_isa_choose(NULL)->name);
    uint64_t digest = fixture_digest(&f, problem->outputs);
    fixture_free(&f);
    return digest;
}

static void compute_expected(void) {
    focal_problem problem;
    for (size_t i = 0; i < PROBLEMS; i++)
        if (problem_at(i, &problem))
            expected[i] = digest_of(&problem, i, FOCAL_TUNE_OFF);
}

/* Every `step`-th problem, with what the process holds now. */
static void compare_all(const char *name, size_t step, int all_tuned) {
    focal_problem problem;
    unsigned compared = 0, equal = 0;
    tuned_plans = other_kernels = 0;
    for (size_t i = 0; i < PROBLEMS; i += step)
        if (problem_at(i, &problem)) {
            int same = digest_of(&problem, i, 0) == expected[i];
            CHECK_CASE(same, "%s, problem %zu", name, i);
            equal += (unsigned)same;
            compared++;
        }
    printf("%s: %u of %u equal to the bit, %u plans tuned, %u of them on another row\n", name,
           equal, compared, tuned_plans, other_kernels);
    CHECK(compared > 100);
    CHECK_CASE(!all_tuned || tuned_plans == compared, "%u of %u", tuned_plans, compared);
}

static void hold(size_t (*choose)(const focal_candidate *, size_t, size_t)) {
    focal_sections sections = {NULL, 0};
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    size_t size, made = tune_fill(&sections, choose);
    char *text = tune_text(&sections, &size);
    CHECK_STATUS(focal_tune_forget(NULL, FOCAL_TUNE_OWN, NULL, NULL), FOCAL_OK);
    CHECK_STATUS(focal_tune_import(text, size, &report, NULL), FOCAL_OK);
    CHECK_CASE(report.accepted == made && report.rejected == 0, "%u of %zu: %s",
               (unsigned)report.accepted, made, report.reason);
    free(text);
    focal_sections_free(&sections);
}

/* What this host measures in a short time. */
static void tune_some(void) {
    focal_problem problem;
    focal_tune_settings settings;
    focal_tune_settings_init(&settings);
    settings.budget_ms = 10.0;
    CHECK_STATUS(focal_tune_forget(NULL, FOCAL_TUNE_OWN, NULL, NULL), FOCAL_OK);
    for (size_t i = 0; i < PROBLEMS; i += SHAPES)
        if (problem_at(i + 4, &problem))
            CHECK_STATUS(focal_tune_run(&problem, NULL, &settings, NULL, NULL), FOCAL_OK);
}

int main(void) {
    setenv("FOCAL_TUNE_FILE", "", 1);
    compute_expected();
    compare_all("no file", 1, 0);
    CHECK(tuned_plans == 0);
    hold(tune_choose_any);
    compare_all("drawn by lot", 1, 1);
    hold(tune_choose_worst);
    compare_all("the worst", 1, 1);
    CHECK(other_kernels == tuned_plans || focal_isa_choose(NULL)->needs == 0 ||
          strcmp(focal_isa_choose(NULL)->name, "scalarfma") == 0);
    tune_some();
    compare_all("measured", 1, 0);
    CHECK(tuned_plans > 100);
    return check_report();
}
