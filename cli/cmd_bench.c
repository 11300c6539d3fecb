/* `focal bench`: how fast, beside what else could be done on this machine in the same minute. */
#include "bench.h"
#include "command.h"
#include "options.h"
#include "progress.h"

#include <roofline.h>

#include <stdio.h>
#include <string.h>

#ifdef FOCAL_CLI_OPENMP
#include <focal_openmp.h>
#endif

#define BENCH_OPTIONS(X)                                                                       \
    X(CASE, "case", "NAME,...", "workloads of --list (default all)")                           \
    X(OP, "op", "NAME", "only cases of sigmoid, or of softmax")                                \
    X(DIRECTION, "direction", "NAME,...",                                                      \
      "loss: the sum; gradient; both, in one pass\n(default loss,both)")                       \
    X(GAMMA, "gamma", "G,...", "focusing parameters (default 2)")                              \
    X(TIER, "tier", "NAME,...", "arithmetic: fast (default), sleef")                           \
    X(ISA, "isa", "NAME,...",                                                                  \
      "rows of 'focal info' (default the best usable one\nand scalar)")                        \
    X(THREADS, "threads", "N,...", "OpenMP threads; 0 for one per CPU (default 1)")            \
    X(AGAINST, "against", "NAME,...",                                                          \
      "opponents: sleef, plain, vectorised; roofline; none\n(default all)")                    \
    X(BUDGET, "budget", "SECONDS", "for each table (default 5)")                               \
    X(CLOCK, "clock", "NAME", "wall (default), or cpu: one thread's CPU time")                 \
    X(MAX_BYTES, "max-bytes", "N", "skip cases that need more (default what is free)")         \
    X(JSON, "json", "FILE", "also write a report for 'focal bench compare'")                   \
    X(SMOKE, "smoke", NULL, "one execution of everything, made small: is it whole?")           \
    X(LIST, "list", NULL, "list the cases and the opponents")                                  \
    X(QUIET, "quiet", NULL, "no progress line")

enum { BENCH_OPTIONS(OPTION_INDEX) OPTION_COUNT };
enum { OPERAND_ACTION = OPTION_COUNT, OPERAND_OLD, OPERAND_NEW, OPERAND_COUNT = 3 };
enum { LIST_MAX = 8, CASES_MAX = 64, VARIANTS_MAX = LIST_MAX * LIST_MAX * LIST_MAX + LIST_MAX };
enum { THREADS_MAX = 1024, SMOKE_ELEMENTS = 4096, WORD_MAX = 32 };

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
enum { AGAINST_ROOFLINE = BENCH_BASELINE_COUNT, AGAINST_NONE };

typedef struct bench_request {
    int is_chosen[CASES_MAX];
    bench_direction directions[LIST_MAX];
    double gammas[LIST_MAX];
    focal_tier tiers[LIST_MAX];
    const char *isas[LIST_MAX];
    int threads[LIST_MAX], most_threads;
    int against[LIST_MAX];
    size_t direction_count, gamma_count, tier_count, isa_count, thread_count, against_count;
    size_t max_bytes;
    bench_settings settings;
    const char *json_path;
    int quiet;
} bench_request;

/* ---- The command line ---------------------------------------------------------------------- */

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
        if (count == LIST_MAX && strcmp(option, "case") != 0)
            return fail(USAGE, "--%s lists more than %d", option, LIST_MAX);
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
        {OPTION_AGAINST, "against", "sleef,plain,vectorised,roofline", take_against},
    };
    int code =
        cases ? for_each_word("case", cases, take_case, request) : take_default_cases(request);
    if (code == DONE && values[OPTION_OP])
        code = keep_op(request, values[OPTION_OP]);
    if (code == DONE)
        code =
            isas ? for_each_word("isa", isas, take_isa, request) : take_default_rows(request);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0] && code == DONE; i++) {
        const char *text = values[lists[i].option];
        code = for_each_word(lists[i].name, text ? text : lists[i].standard, lists[i].take,
                             request);
    }
    return code;
}

static int parse_request(const char *const *values, bench_request *request) {
    int clock = 0;
    int64_t bytes = 0;
    *request =
        (bench_request){.json_path = values[OPTION_JSON],
                        .quiet = values[OPTION_QUIET] != NULL,
                        .settings = {.budget = 5.0, .smoke = values[OPTION_SMOKE] != NULL}};
    int code = parse_lists(values, request);
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

/* ---- The run ------------------------------------------------------------------------------- */

#ifdef FOCAL_CLI_OPENMP
static focal_parallel parallel_of(int threads) {
    return focal_openmp_parallel(threads);
}
#else
#define parallel_of NULL
#endif

static void set_bandwidth(bench_card *card, size_t bytes, focal_clock clock) {
    bench_bandwidth one, all = {.read = 0.0};
    const int cpus = bench_cpu_count();
    if (!bench_bandwidth_measure(&one, bytes, clock, NULL))
        return;
#ifdef FOCAL_CLI_OPENMP
    focal_parallel parallel = parallel_of(cpus);
    bench_bandwidth_measure(&all, bytes, FOCAL_CLOCK_WALL, &parallel);
#endif
    const struct {
        bench_card_line line;
        double one, all;
    } lines[] = {{BENCH_CARD_READ, one.read, all.read}, {BENCH_CARD_COPY, one.copy, all.copy}};
    for (size_t i = 0; i < 2; i++) {
        if (all.read > 0.0)
            bench_card_set(card, lines[i].line,
                           "%.1f GB/s on one thread, %.1f on %d (arrays of %zu MiB)",
                           lines[i].one, lines[i].all, cpus, bytes >> 20);
        else
            bench_card_set(card, lines[i].line, "%.1f GB/s on one thread (arrays of %zu MiB)",
                           lines[i].one, bytes >> 20);
    }
}

/* Far beyond the last cache, within reason. */
static size_t bandwidth_bytes(const bench_request *request) {
    const size_t least = (size_t)64 << 20, most = (size_t)256 << 20;
    focal_host_info host = {.struct_size = sizeof host};
    if (request->settings.smoke)
        return 1 << 20;
    size_t bytes = focal_host_get(&host) == FOCAL_OK ? 4 * (size_t)host.l3_bytes : least;
    return bytes < least ? least : bytes > most ? most : bytes;
}

/* Bandwidth comes before pinning: threads of OpenMP inherit where they may run. */
static void prepare_host(const bench_request *request, bench_card *card) {
    double load = bench_load();
    bench_card_fill(card, request->settings.clock);
    set_bandwidth(card, bandwidth_bytes(request), request->settings.clock);
    if (request->most_threads > 1) {
        bench_card_set(card, BENCH_CARD_PINNED, "no, several threads");
    } else {
        int cpu = bench_pin();
        if (cpu >= 0)
            bench_card_set(card, BENCH_CARD_PINNED, "to CPU %d", cpu);
        else
            bench_card_set(card, BENCH_CARD_PINNED, "no, the system does not allow it");
    }
    /* Whoever reads the figures shall know what ran beside. */
    if (load > 0.5)
        note("the load average is %.1f before this has begun: others use this machine, which "
             "every figure will show",
             load);
}

static size_t list_variants(const bench_request *request, bench_variant *variants) {
    size_t count = 0;
    for (size_t t = 0; t < request->tier_count; t++)
        for (size_t i = 0; i < request->isa_count; i++)
            for (size_t n = 0; n < request->thread_count; n++)
                variants[count++] = (bench_variant){.kind = BENCH_KIND_FOCAL,
                                                    .isa = request->isas[i],
                                                    .tier = request->tiers[t],
                                                    .threads = request->threads[n]};
    for (size_t i = 0; i < request->against_count; i++) {
        bench_baseline baseline = (bench_baseline)request->against[i];
        if (request->against[i] == AGAINST_ROOFLINE)
            for (size_t n = 0; n < request->thread_count; n++)
                variants[count++] = (bench_variant){.kind = BENCH_KIND_ROOFLINE,
                                                    .threads = request->threads[n]};
        else if (bench_baseline_usable(baseline))
            variants[count++] = (bench_variant){
                .kind = BENCH_KIND_BASELINE, .baseline = baseline, .threads = 1};
    }
    return count;
}

/* The progress line over all tables. */
enum { STEPS_PER_TABLE = 1000 };
typedef struct table_progress {
    progress bar;
    uint64_t tables_done;
} table_progress;

static void show_progress(void *context, double share) {
    table_progress *shown = context;
    progress_update(&shown->bar,
                    shown->tables_done * STEPS_PER_TABLE + (uint64_t)(share * STEPS_PER_TABLE));
}

static int run_case(const bench_request *request, const bench_case *shape, bench_report *report,
                    table_progress *shown) {
    static bench_variant variants[VARIANTS_MAX];
    static bench_result results[VARIANTS_MAX];
    const size_t count = list_variants(request, variants);
    int64_t rows = shape->rows;
    if (request->settings.smoke && rows * shape->classes > SMOKE_ELEMENTS)
        rows = shape->classes < SMOKE_ELEMENTS ? SMOKE_ELEMENTS / shape->classes : 1;
    size_t bytes = bench_data_size(shape, rows);
    bench_data data = {.shape = shape};
    if (bytes > request->max_bytes || !bench_data_create(&data, shape, rows)) {
        progress_clear(&shown->bar);
        printf("\n%s: skipped: needs %zu MB of memory, there are %zu\n", shape->name,
               bytes / 1000000, request->max_bytes / 1000000);
        shown->tables_done += request->gamma_count * request->direction_count;
        return DONE;
    }
    int code = DONE;
    for (size_t g = 0; g < request->gamma_count; g++)
        for (size_t d = 0; d < request->direction_count && code == DONE; d++) {
            char error[256];
            int done = bench_run(&data, request->gammas[g], request->directions[d], variants,
                                 count, &request->settings, results, error);
            progress_clear(&shown->bar);
            if (!done) {
                code = fail(FAILED, "%s: %s", shape->name, error);
                break;
            }
            code = bench_report_workload(report, &data, request->gammas[g],
                                         request->directions[d], results, count);
            bench_results_release(results, count);
            shown->tables_done++;
        }
    bench_data_release(&data);
    return code;
}

/* A path that cannot be written shall fail before the minutes, not after. */
static int check_json(const char *path) {
    FILE *file = path ? fopen(path, "a") : NULL;
    if (path && !file)
        return fail(FAILED, "--json %s: cannot be written", path);
    if (file)
        fclose(file);
    return DONE;
}

static int measure(bench_request *request) {
    bench_report report = {.records = NULL};
    table_progress shown = {.tables_done = 0};
    uint64_t tables = 0;
    int code = check_json(request->json_path);
    if (code != DONE)
        return code;
    prepare_host(request, &report.card);
    bench_print_card(&report.card);
    fflush(stdout);
    for (size_t i = 0; i < bench_case_count; i++)
        tables +=
            (uint64_t)request->is_chosen[i] * request->gamma_count * request->direction_count;
    request->settings.parallel = parallel_of;
    request->settings.progress = show_progress;
    request->settings.progress_context = &shown;
    progress_start(&shown.bar, "bench", tables * STEPS_PER_TABLE, request->quiet);
    for (size_t i = 0; i < bench_case_count && code == DONE; i++)
        if (request->is_chosen[i])
            code = run_case(request, &bench_cases[i], &report, &shown);
    progress_clear(&shown.bar);
    char before[sizeof report.card.text[0]];
    snprintf(before, sizeof before, "%.30s", report.card.text[BENCH_CARD_LOAD]);
    bench_card_set(&report.card, BENCH_CARD_LOAD, "%s before, %.2f after", before,
                   bench_load());
    if (code == DONE && request->json_path)
        code = bench_write(request->json_path, &report);
    bench_report_release(&report);
    return code;
}

static void list(void) {
    puts("Cases:");
    for (size_t i = 0; i < bench_case_count; i++) {
        const bench_case *shape = &bench_cases[i];
        printf("  %-13s %-8s %7lld x %-7lld %-12s %s\n", shape->name,
               shape->op == FOCAL_SOFTMAX ? "softmax" : "sigmoid", (long long)shape->rows,
               (long long)shape->classes, bench_target_name(shape->target_kind),
               shape->description);
    }
    puts("\nOpponents:");
#define PRINT_BASELINE(id, text, description)                                                  \
    printf("  %-13s %s%s\n", text, description,                                                \
           bench_baseline_usable(BENCH_BASELINE_##id) ? "" : " (not here)");
    BENCH_BASELINE_LIST(PRINT_BASELINE)
#undef PRINT_BASELINE
    printf("  %-13s %s\n", "roofline", "reading and writing the same bytes, nothing else");
}

static int run(const char *const *values) {
    static bench_request request;
    const char *action = values[OPERAND_ACTION];
    if (action) {
        if (strcmp(action, "compare") != 0)
            return fail(USAGE, "unknown argument '%s'; there is 'focal bench compare OLD NEW'",
                        action);
        for (int i = 0; i < OPTION_COUNT; i++)
            if (values[i])
                return fail(USAGE, "compare takes two files and no options");
        if (!values[OPERAND_NEW])
            return fail(USAGE, "compare takes two files: focal bench compare OLD NEW");
        return bench_compare(values[OPERAND_OLD], values[OPERAND_NEW]);
    }
    if (values[OPTION_LIST]) {
        list();
        return DONE;
    }
    int code = parse_request(values, &request);
    return code == DONE ? measure(&request) : code;
}

static const option_spec options[] = {BENCH_OPTIONS(OPTION_ENTRY)};

const command command_bench = {
    .name = "bench",
    .summary = "Measure the speed of named workloads against opponents",
    .synopsis = " [OPTIONS]\n       focal bench compare OLD.json NEW.json",
    .details =
        "One table per case, gamma and direction. All variants of a table are measured in\n"
        "turns, in random order: median, MAD and minimum per element of all rounds; cycles by\n"
        "a chain of dependent additions in the same round; GB/s by the bytes that must move;\n"
        "and how many times as fast as each opponent, the median over the rounds. At least 30\n"
        "rounds, until every median is known within 1 % or the budget ends.\n"
        "\n"
        "compare judges each variant of two reports: differences below 3 %, or 10 % on\n"
        "virtual machines, are noise. docs/benchmarking.md says how to prepare a machine.\n",
    .options = options,
    .option_count = OPTION_COUNT,
    .operand_count = OPERAND_COUNT,
    .run = run,
};
