/* The command line of `focal bench`. */
#include "bench_request.h"

#include "options.h"

#include <stdio.h>
#include <string.h>

enum { THREADS_MAX = 1024, WORD_MAX = 32 };
#define SIZE_LARGEST (INT64_C(1) << 40)

static const char *const op_names[] = {"sigmoid", "softmax", NULL};
static const focal_op ops[] = {FOCAL_SIGMOID, FOCAL_SOFTMAX};
static const char *const clock_names[] = {"wall", "cpu", NULL};
static const focal_clock clocks[] = {FOCAL_CLOCK_WALL, FOCAL_CLOCK_CPU};
#define TIER_NAME(value, number, name, description)  name,
#define TIER_VALUE(value, number, name, description) value,
static const char *const tier_names[] = {FOCAL_TIER_LIST(TIER_NAME) NULL};
static const focal_tier tiers[] = {FOCAL_TIER_LIST(TIER_VALUE)};
/* Opponents by their number, then the others. */
#define BASELINE_NAME(id, text, description) text,
static const char *const against_names[] = {BENCH_BASELINE_LIST(BASELINE_NAME) "roofline",
                                            "none", NULL};
enum { AGAINST_NONE = AGAINST_ROOFLINE + 1 };

static const char *bench_option_name(int option) {
#define OPTION_NAME(index, name, argument, help) name,
    static const char *const option_names[] = {BENCH_OPTIONS(OPTION_NAME)};
#undef OPTION_NAME
    return option_names[option];
}

/* Calls `take` for each word of a list separated by commas. */
static int for_each_word(const char *option, const char *text,
                         int (*take)(bench_request *, const char *word),
                         bench_request *request) {
    const char *const whole = text;
    for (size_t count = 0; text; count++) {
        char word[WORD_MAX];
        size_t length = strcspn(text, ",");
        if (length == 0 || length >= sizeof word)
            return fail(USAGE, "--%s '%s' is not a list such as A,B", option, whole);
        size_t most = strcmp(option, "case") == 0   ? SIZE_MAX
                      : strcmp(option, "size") == 0 ? SIZES_MAX
                                                    : LIST_MAX;
        if (count == most)
            return fail(USAGE, "--%s lists more than %zu", option, most);
        memcpy(word, text, length);
        word[length] = '\0';
        int code = take(request, word);
        if (code != DONE)
            return code;
        text = text[length] ? text + length + 1 : NULL;
    }
    return DONE;
}

static int take_case(bench_request *request, const char *word) {
    for (size_t i = 0; i < bench_case_count; i++)
        if (strcmp(word, bench_cases[i].name) == 0) {
            request->is_chosen[i] = 1;
            return DONE;
        }
    const char *nearest =
        nearest_word(word, &bench_cases[0].name, bench_case_count, sizeof bench_cases[0]);
    if (nearest)
        return fail(USAGE, "--case: there is no '%s'; did you mean %s?", word, nearest);
    return fail(USAGE, "--case: there is no '%s'; 'focal bench --list' lists them", word);
}

static int take_direction(bench_request *request, const char *word) {
    int index = 0, code = parse_choice("direction", word, bench_direction_names, &index);
    request->directions[request->direction_count++] = (bench_direction)index;
    return code;
}

static int take_gamma(bench_request *request, const char *word) {
    double *gamma = &request->gammas[request->gamma_count++];
    int code = parse_number("gamma", word, gamma);
    if (code == DONE && !(*gamma >= 0.0 && *gamma <= 1000.0))
        return fail(USAGE, "--gamma %s is outside [0, 1000]", word);
    return code;
}

static int take_tier(bench_request *request, const char *word) {
    int index = 0, code = parse_choice("tier", word, tier_names, &index);
    request->tiers[request->tier_count++] = tiers[index];
    return code;
}

static int take_isa(bench_request *request, const char *word) {
    for (size_t i = 0; i < focal_isa_count(); i++) {
        focal_isa_info info = {.struct_size = sizeof info};
        focal_isa_get(i, &info);
        if (strcmp(word, info.name) != 0)
            continue;
        if (!info.usable)
            return fail(USAGE, "--isa %s is not usable here: %s", word,
                        info.built ? info.missing : "not built into this library");
        request->isas[request->isa_count++] = info.name;
        return DONE;
    }
    return fail(USAGE, "--isa '%s': there is no such row; 'focal info' lists them", word);
}

static int take_threads(bench_request *request, const char *word) {
    int64_t threads = 1;
    int code = parse_integer("threads", word, 0, THREADS_MAX, &threads);
    if (threads == 0)
        threads = bench_cpu_count();
#ifndef FOCAL_CLI_OPENMP
    if (code == DONE && threads > 1)
        return fail(USAGE,
                    "--threads %s: this build has no OpenMP; use --threads 1, or build with a "
                    "compiler that has it",
                    word);
#endif
    request->threads[request->thread_count++] = (int)threads;
    if (threads > request->most_threads)
        request->most_threads = (int)threads;
    return code;
}

static int take_size(bench_request *request, const char *word) {
    return parse_integer("size", word, 1, SIZE_LARGEST, &request->sizes[request->size_count++]);
}

static int take_against(bench_request *request, const char *word) {
    int index = 0, code = parse_choice("against", word, against_names, &index);
    if (code == DONE && index != AGAINST_NONE)
        request->against[request->against_count++] = index;
    return code;
}

/* The best usable row within the cap, and scalar. */
static int take_default_rows(bench_request *request) {
    int code = DONE, has_scalar = 0;
    for (size_t i = 0; i < focal_isa_count(); i++) {
        focal_isa_info info = {.struct_size = sizeof info};
        focal_isa_get(i, &info);
        if (code == DONE && info.chosen) {
            code = take_isa(request, info.name);
            has_scalar = strcmp(info.name, "scalar") == 0;
        }
    }
    return code == DONE && !has_scalar ? take_isa(request, "scalar") : code;
}

/* Of the goals: those within the cap for which SLEEF is called per vector, else the best one. */
static int take_goal_rows(bench_request *request) {
    int code = DONE, is_allowed = 0;
    for (size_t i = 0; i < focal_isa_count() && code == DONE; i++) {
        focal_isa_info info = {.struct_size = sizeof info};
        focal_isa_get(i, &info);
        is_allowed |= info.chosen;
        if (info.chosen || (is_allowed && info.usable &&
                            bench_baseline_usable(BENCH_BASELINE_SLEEF, info.name)))
            code = take_isa(request, info.name);
    }
    return code;
}

static int take_default_cases(bench_request *request) {
    for (size_t i = 0; i < bench_case_count; i++)
        request->is_chosen[i] = 1;
    return DONE;
}

static int keep_op(bench_request *request, const char *name) {
    int index = 0, code = parse_choice("op", name, op_names, &index), left = 0;
    for (size_t i = 0; i < bench_case_count && code == DONE; i++) {
        request->is_chosen[i] &= bench_cases[i].op == ops[index];
        left |= request->is_chosen[i];
    }
    if (code == DONE && !left)
        return fail(USAGE, "--op %s: none of the chosen cases is one", name);
    return code;
}

static int parse_lists(const char *const *values, bench_request *request) {
    const char *const isas = values[OPTION_ISA], *const cases = values[OPTION_CASE];
    const struct {
        int option;
        const char *name, *standard;
        int (*take)(bench_request *, const char *word);
    } lists[] = {
        {OPTION_DIRECTION, "direction", "loss,both", take_direction},
        {OPTION_GAMMA, "gamma", "2", take_gamma},
        {OPTION_TIER, "tier", focal_tier_name(FOCAL_TIER_DEFAULT), take_tier},
        {OPTION_THREADS, "threads", "1", take_threads},
        {OPTION_SIZE, "size", NULL, take_size},
        {OPTION_AGAINST, "against", "sleef,plain,vectorised,roofline", take_against},
    };
    int code =
        cases ? for_each_word("case", cases, take_case, request) : take_default_cases(request);
    if (code == DONE && values[OPTION_OP])
        code = keep_op(request, values[OPTION_OP]);
    if (code == DONE)
        code = isas                   ? for_each_word("isa", isas, take_isa, request)
               : values[OPTION_GOALS] ? take_goal_rows(request)
                                      : take_default_rows(request);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0] && code == DONE; i++) {
        const char *text = values[lists[i].option];
        text = text ? text : lists[i].standard;
        if (text)
            code = for_each_word(lists[i].name, text, lists[i].take, request);
    }
    if (request->size_count == 0)
        request->sizes[request->size_count++] = 0;
    return code;
}

/* ISA=CYCLES, of a row that is measured. */
static int take_bound(bench_request *request, const char *word) {
    const char *sign = strchr(word, '=');
    double cycles = 0.0;
    if (!sign)
        return fail(USAGE, "--bound '%s' is not ISA=CYCLES", word);
    int code = parse_number("bound", sign + 1, &cycles);
    if (code == DONE && !(cycles > 0.0))
        return fail(USAGE, "--bound %s is not above 0", word);
    for (size_t i = 0; i < request->isa_count && code == DONE; i++)
        if (strlen(request->isas[i]) == (size_t)(sign - word) &&
            strncmp(request->isas[i], word, (size_t)(sign - word)) == 0) {
            request->bounds[i] = cycles;
            return DONE;
        }
    return code == DONE ? fail(USAGE, "--bound %s: that row is not measured", word) : code;
}

/* Goals are what they are: only how they are measured can be chosen. */
static int refuse_beside_goals(const char *const *values) {
    static const int others[] = {OPTION_CASE,    OPTION_OP,      OPTION_DIRECTION,
                                 OPTION_GAMMA,   OPTION_TIER,    OPTION_SIZE,
                                 OPTION_THREADS, OPTION_AGAINST, OPTION_MAX_BYTES};
    for (size_t i = 0; i < sizeof others / sizeof others[0] && values[OPTION_GOALS]; i++)
        if (values[others[i]])
            return fail(USAGE, "--goals has its own cases: leave out --%s",
                        bench_option_name(others[i]));
    if (values[OPTION_BOUND] && !values[OPTION_GOALS])
        return fail(USAGE, "--bound belongs to --goals");
    return DONE;
}

int bench_parse_request(const char *const *values, bench_request *request) {
    int clock = 0;
    int64_t bytes = 0;
    *request = (bench_request){.json_path = values[OPTION_JSON],
                               .quiet = values[OPTION_QUIET] != NULL,
                               .with_goals = values[OPTION_GOALS] != NULL,
                               .settings = {.budget = values[OPTION_GOALS] ? 2.0 : 5.0,
                                            .smoke = values[OPTION_SMOKE] != NULL}};
    int code = refuse_beside_goals(values);
    if (code == DONE)
        code = parse_lists(values, request);
    if (code == DONE && values[OPTION_BOUND])
        code = for_each_word("bound", values[OPTION_BOUND], take_bound, request);
    if (code == DONE && values[OPTION_BUDGET])
        code = parse_number("budget", values[OPTION_BUDGET], &request->settings.budget);
    if (code == DONE && !(request->settings.budget > 0.0))
        return fail(USAGE, "--budget %s is not above 0", values[OPTION_BUDGET]);
    if (code == DONE && values[OPTION_CLOCK])
        code = parse_choice("clock", values[OPTION_CLOCK], clock_names, &clock);
    request->settings.clock = clocks[clock];
    if (code == DONE && values[OPTION_MAX_BYTES])
        code = parse_integer("max-bytes", values[OPTION_MAX_BYTES], 1, INT64_MAX, &bytes);
    /* Some is left for the page cache and for others. */
    request->max_bytes = bytes > 0 ? (size_t)bytes : bench_memory_available() / 10 * 9;
    if (request->max_bytes == 0)
        request->max_bytes = SIZE_MAX;
    if (code == DONE && request->most_threads > 1 && request->settings.clock == FOCAL_CLOCK_CPU)
        return fail(USAGE, "--clock cpu is the time of one thread; use --threads 1");
    return code;
}
