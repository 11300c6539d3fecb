/* Which problems `focal tune` measures. */
#include "tune.h"

#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 64 };

static const focal_target_kind sigmoid_targets[] = {FOCAL_TARGET_DENSE, FOCAL_TARGET_LABEL_I32,
                                                    FOCAL_TARGET_BINARY_U8};
static const uint32_t directions[] = {FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_GRADIENT,
                                      FOCAL_OUTPUT_SUM, FOCAL_OUTPUT_GRADIENT};
static const char *const direction_names[] = {"both", "loss", "gradient", NULL};
static const char *const op_names[] = {"sigmoid", "softmax", NULL};
static const char *const target_names[] = {"dense",     "binary_u8", "label_u8",
                                           "label_i32", "label_i64", NULL};
#define TIER_NAME(value, number, name, description)  name,
#define TIER_VALUE(value, number, name, description) value,
static const char *const tier_names[] = {FOCAL_TIER_LIST(TIER_NAME) NULL};
static const focal_tier tiers[] = {FOCAL_TIER_LIST(TIER_VALUE)};

/* Shapes, one per regime: half a block, a block, the second-level cache, the third, memory. A
 * measurement speaks for shapes up to 16 times as large or small. `parallel`: large enough to be
 * worth several threads. */
static const struct {
    focal_op op;
    int64_t rows, classes;
    int parallel;
} shapes[] = {
    {FOCAL_SIGMOID, 51, 80, 0},     {FOCAL_SIGMOID, 8000, 80, 1},  {FOCAL_SIGMOID, 820, 80, 1},
    {FOCAL_SIGMOID, 52000, 80, 1},  {FOCAL_SIGMOID, 13, 80, 0},    {FOCAL_SOFTMAX, 51, 80, 0},
    {FOCAL_SOFTMAX, 4, 1000, 0},    {FOCAL_SOFTMAX, 512, 1000, 1}, {FOCAL_SOFTMAX, 1, 32000, 0},
    {FOCAL_SOFTMAX, 32, 128256, 1},
};

static tune_case *add(tune_list *list) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        tune_case *cases = realloc(list->cases, capacity * sizeof *cases);
        if (!cases)
            return NULL;
        list->cases = cases;
        list->capacity = capacity;
    }
    tune_case *one = &list->cases[list->count++];
    *one = (tune_case){.threads = 1, .result = FOCAL_TUNE_RESULT_INIT};
    focal_problem_init(&one->problem);
    return one;
}

void tune_list_free(tune_list *list) {
    free(list->cases);
    *list = (tune_list){.cases = NULL};
}

/* Some 60 executions of a nanosecond per logit, beside what every measurement costs. */
static void expect(tune_case *one) {
    double logits = (double)one->problem.outer * (double)one->problem.classes;
    one->expected_ms = 25.0 + 60e-6 * logits;
}

static void set_alpha(focal_problem *problem) {
    if (problem->op == FOCAL_SOFTMAX)
        return;
    problem->alpha_mode = FOCAL_ALPHA_SCALAR;
    problem->alpha = 0.25;
}

static int add_shape(tune_list *list, size_t shape, focal_target_kind target, uint32_t outputs,
                     double gamma, focal_tier tier, int threads) {
    tune_case *one = add(list);
    if (!one)
        return fail(FAILED, "out of memory");
    one->problem.op = shapes[shape].op;
    one->problem.target_kind = target;
    one->problem.outputs = outputs;
    one->problem.tier = tier;
    one->problem.gamma = gamma;
    one->problem.outer = shapes[shape].rows;
    one->problem.classes = shapes[shape].classes;
    one->threads = threads;
    set_alpha(&one->problem);
    expect(one);
    return DONE;
}

static int add_shapes(tune_list *list, const tune_request *request, double gamma,
                      focal_tier tier, int threads) {
    int code = DONE;
    for (size_t d = 0; d < 3; d++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0] && code == DONE; i++) {
            size_t kinds = shapes[i].op == FOCAL_SOFTMAX ? 1 : 3;
            if (!request->ops[shapes[i].op] || (threads > 1 && !shapes[i].parallel))
                continue;
            for (size_t k = 0; k < kinds && code == DONE; k++)
                code =
                    add_shape(list, i, kinds == 1 ? FOCAL_TARGET_LABEL_I32 : sigmoid_targets[k],
                              directions[d], gamma, tier, threads);
        }
    return code;
}

static int add_all_shapes(tune_list *list, const tune_request *request) {
    int code = DONE;
    for (size_t t = 0; t < request->tier_count; t++)
        for (size_t g = 0; g < request->gamma_count; g++)
            for (size_t n = 0; n < request->thread_count && code == DONE; n++)
                code = add_shapes(list, request, request->gammas[g], request->tiers[t],
                                  request->threads[n]);
    return code;
}

/* ---- Named workloads ------------------------------------------------------------------------ */

static int add_workload(tune_list *list, const tune_request *request, const bench_case *shape) {
    static const bench_direction bench_directions[] = {BENCH_BOTH, BENCH_LOSS};
    bench_size size = bench_size_of(shape, 0);
    bench_data data = {
        .shape = shape, .outer = size.outer, .inner = size.inner, .alpha_positive = 0.25};
    for (size_t t = 0; t < request->tier_count; t++)
        for (size_t g = 0; g < request->gamma_count; g++)
            for (size_t d = 0; d < 2; d++)
                for (size_t n = 0; n < request->thread_count; n++) {
                    tune_case *one = add(list);
                    if (!one)
                        return fail(FAILED, "out of memory");
                    bench_problem(&one->problem, &data, request->gammas[g], bench_directions[d],
                                  request->tiers[t]);
                    one->name = shape->name;
                    one->threads = request->threads[n];
                    expect(one);
                }
    return DONE;
}

static int add_workloads(tune_list *list, const tune_request *request) {
    const char *text = request->cases;
    int all = strcmp(text, "all") == 0, code = DONE;
    for (size_t i = 0; i < bench_case_count && all && code == DONE; i++)
        if (request->ops[bench_cases[i].op])
            code = add_workload(list, request, &bench_cases[i]);
    while (!all && text && code == DONE) {
        char word[WORD_MAX];
        size_t length = strcspn(text, ","), found = 0;
        snprintf(word, sizeof word, "%.*s", (int)length, text);
        while (found < bench_case_count && strcmp(bench_cases[found].name, word) != 0)
            found++;
        if (found == bench_case_count)
            return fail(USAGE, "--case: there is no '%s'; 'focal bench --list' lists them",
                        word);
        code = add_workload(list, request, &bench_cases[found]);
        text = text[length] ? text + length + 1 : NULL;
    }
    return code;
}

/* ---- A described problem -------------------------------------------------------------------- */

/* One part "name=value" of a description. */
static int take_part(tune_case *one, const char *name, const char *value) {
    focal_problem *problem = &one->problem;
    int index = 0, code = DONE;
    if (strcmp(name, "op") == 0) {
        code = parse_choice("problem op", value, op_names, &index);
        problem->op = (focal_op)index;
    } else if (strcmp(name, "targets") == 0) {
        code = parse_choice("problem targets", value, target_names, &index);
        problem->target_kind = (focal_target_kind)index;
    } else if (strcmp(name, "direction") == 0) {
        code = parse_choice("problem direction", value, direction_names, &index);
        problem->outputs = directions[index];
    } else if (strcmp(name, "tier") == 0) {
        code = parse_choice("problem tier", value, tier_names, &index);
        problem->tier = tiers[index];
    } else if (strcmp(name, "gamma") == 0) {
        code = parse_number("problem gamma", value, &problem->gamma);
    } else if (strcmp(name, "rows") == 0) {
        code = parse_integer("problem rows", value, 1, INT64_C(1) << 40, &problem->outer);
    } else if (strcmp(name, "classes") == 0) {
        code = parse_integer("problem classes", value, 1, INT64_C(1) << 40, &problem->classes);
    } else {
        return fail(USAGE,
                    "--problem: there is no part '%s'; the parts are op, targets, direction, "
                    "gamma, tier, rows and classes",
                    name);
    }
    return code;
}

/* Whether one of the parts of `whole` before `part` has the same name, of `length` bytes. */
static int is_repeated(const char *whole, const char *part, size_t length) {
    for (const char *text = whole; text < part; text += strcspn(text, ",") + 1)
        if (strncmp(text, part, length) == 0 && text[length] == '=')
            return 1;
    return 0;
}

static int add_problem(tune_list *list, const tune_request *request) {
    tune_case *one = add(list);
    if (!one)
        return fail(FAILED, "out of memory");
    one->problem.outputs = directions[0];
    one->problem.gamma = 2.0;
    one->threads = request->threads[0];
    for (const char *text = request->problem; text;) {
        char part[WORD_MAX];
        size_t length = strcspn(text, ",");
        snprintf(part, sizeof part, "%.*s", (int)length, text);
        char *equals = strchr(part, '=');
        if (!equals)
            return fail(USAGE, "--problem: '%s' is not NAME=VALUE", part);
        *equals = '\0';
        if (is_repeated(request->problem, text, strlen(part)))
            return fail(USAGE, "--problem: %s is given twice", part);
        int code = take_part(one, part, equals + 1);
        if (code != DONE)
            return code;
        text = text[length] ? text + length + 1 : NULL;
    }
    if (one->problem.outer == 0 || one->problem.classes == 0)
        return fail(USAGE, "--problem needs rows=N and classes=N");
    if (one->problem.op == FOCAL_SOFTMAX && one->problem.target_kind == FOCAL_TARGET_DENSE)
        one->problem.target_kind = FOCAL_TARGET_LABEL_I32;
    set_alpha(&one->problem);
    expect(one);
    return DONE;
}

int tune_list_make(tune_list *list, const tune_request *request) {
    *list = (tune_list){.cases = NULL};
    if (request->problem)
        return add_problem(list, request);
    return request->cases ? add_workloads(list, request) : add_all_shapes(list, request);
}

int tune_list_entries(tune_list *list, size_t most) {
    size_t own = 0, taken = 0;
    focal_tune_entry entry = {.struct_size = sizeof entry};
    *list = (tune_list){.cases = NULL};
    for (size_t i = 0; focal_tune_get(i, &entry) == FOCAL_OK; i++)
        own += entry.has_problem != 0;
    size_t wanted = own < most ? own : most, seen = 0;
    for (size_t i = 0; taken < wanted && focal_tune_get(i, &entry) == FOCAL_OK; i++) {
        if (!entry.has_problem || seen++ * wanted / own < taken)
            continue;
        tune_case *one = add(list);
        if (!one)
            return fail(FAILED, "out of memory");
        one->problem = entry.problem;
        one->threads = (int)entry.threads;
        expect(one);
        taken++;
    }
    return DONE;
}

/* ---- Labels --------------------------------------------------------------------------------- */

void tune_label(const tune_case *one, char label[TUNE_LABEL_MAX]) {
    const focal_problem *problem = &one->problem;
    int gradient = (problem->outputs & FOCAL_OUTPUT_GRADIENT) != 0;
    int loss = (problem->outputs & ~(uint32_t)FOCAL_OUTPUT_GRADIENT) != 0;
    char shape[48], threads[16] = "";
    if (one->name)
        snprintf(shape, sizeof shape, "%s", one->name);
    else
        snprintf(shape, sizeof shape, "%s %s %lld x %lld", op_names[problem->op],
                 target_names[problem->target_kind], (long long)problem->outer,
                 (long long)problem->classes);
    if (one->threads > 1)
        snprintf(threads, sizeof threads, " x%d", one->threads);
    snprintf(label, TUNE_LABEL_MAX, "%s, %s, gamma %g, %s%s", shape,
             direction_names[gradient && loss ? 0
                             : gradient       ? 2
                                              : 1],
             problem->gamma, focal_tier_name(problem->tier), threads);
}
