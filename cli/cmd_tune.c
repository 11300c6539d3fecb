/* `focal tune`: measures which kernels are best on this host, and looks after the file that says
 * so. */
#include "library.h"
#include "options.h"
#include "output.h"
#include "tune.h"

#include <host.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TUNE_OPTIONS(X)                                                                        \
    X(BUDGET, "budget", "TIME", "run, check: 30s, 500ms, 2m (default 30s)")                    \
    X(ONLY, "only", "NAME,...", "run: sigmoid, softmax (default both)")                        \
    X(TIER, "tier", "NAME,...", "arithmetic: fast (default), accurate, sleef")                 \
    X(GAMMA, "gamma", "G,...",                                                                 \
      "focusing parameters, one per class of kernels\n(default 2,0,1,1.5,2.5)")                \
    X(THREADS, "threads", "N,...", "OpenMP threads; 0 for one per CPU (default 1)")            \
    X(CASE, "case", "NAME,...", "run, check: workloads of 'focal bench --list', or all")       \
    X(PROBLEM, "problem", "PART,...",                                                          \
      "run: exactly this one; parts op=, targets=,\ndirection=, gamma=, tier=, rows=, "        \
      "classes=")                                                                              \
    X(FILE, "file", "FILE", "the tuning file (default: see below)")                            \
    X(OUT, "out", "FILE", "run: the same as --file; export: where to (default stdout)")        \
    X(STALE, "stale", NULL, "forget: entries of this host for other builds")                   \
    X(FOREIGN, "foreign", NULL, "forget: entries of other hosts")                              \
    X(ALL, "all", NULL, "forget: everything; run, check: print every case")                    \
    X(QUIET, "quiet", NULL, "no progress line")

enum { TUNE_OPTIONS(OPTION_INDEX) OPTION_COUNT };
enum { OPERAND_ACTION = OPTION_COUNT, OPERAND_FILE, OPERAND_COUNT = 2 };
enum { THREADS_MAX = 1024, CHECKED_ENTRIES = 12, WORD_MAX = 32 };

typedef enum { RUN, SHOW, CHECK, EXPORT, IMPORT, FORGET } action;
static const char *const action_names[] = {"run",    "show",   "check", "export",
                                           "import", "forget", NULL};

/* Which actions take an option, as bits. */
static const unsigned takers[OPTION_COUNT] = {
    [OPTION_BUDGET] = 1u << RUN | 1u << CHECK,
    [OPTION_ONLY] = 1u << RUN,
    [OPTION_TIER] = 1u << RUN | 1u << CHECK,
    [OPTION_GAMMA] = 1u << RUN | 1u << CHECK,
    [OPTION_THREADS] = 1u << RUN | 1u << CHECK,
    [OPTION_CASE] = 1u << RUN | 1u << CHECK,
    [OPTION_PROBLEM] = 1u << RUN,
    [OPTION_FILE] = ~0u,
    [OPTION_OUT] = 1u << RUN | 1u << EXPORT,
    [OPTION_STALE] = 1u << FORGET,
    [OPTION_FOREIGN] = 1u << FORGET,
    [OPTION_ALL] = 1u << FORGET | 1u << RUN | 1u << CHECK,
    [OPTION_QUIET] = 1u << RUN | 1u << CHECK,
};

static const char *const op_names[] = {"sigmoid", "softmax", NULL};
#define TIER_NAME(value, number, name, description)  name,
#define TIER_VALUE(value, number, name, description) value,
static const char *const tier_names[] = {FOCAL_TIER_LIST(TIER_NAME) NULL};
static const focal_tier tiers[] = {FOCAL_TIER_LIST(TIER_VALUE)};

/* ---- The command line ----------------------------------------------------------------------- */

static int parse_seconds(const char *text, double *seconds) {
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"ms", 1e-3}, {"s", 1.0}, {"m", 60.0}, {"", 1.0}};
    char number[WORD_MAX];
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        size_t length = strlen(text), unit = strlen(units[i].unit);
        if (length <= unit || length - unit >= sizeof number ||
            strcmp(text + length - unit, units[i].unit) != 0)
            continue;
        snprintf(number, sizeof number, "%.*s", (int)(length - unit), text);
        if (!is_decimal(number))
            break;
        *seconds = strtod(number, NULL) * units[i].seconds;
        if (!(*seconds > 0.0 && *seconds < 1e6))
            return fail(USAGE, "--budget %s is no time above 0 and below 1e6 seconds", text);
        return DONE;
    }
    return fail(USAGE, "--budget '%s' is not a number with ms, s or m behind it, such as 30s",
                text);
}

/* Calls `take` for each word of a list. */
static int for_each_word(const char *option, const char *text,
                         int (*take)(tune_request *, const char *), tune_request *request) {
    const char *const whole = text;
    for (size_t count = 0; text; count++) {
        char word[WORD_MAX];
        size_t length = strcspn(text, ",");
        if (length == 0 || length >= sizeof word || count == TUNE_LIST_MAX)
            return fail(USAGE, "--%s '%s' is not a list such as A,B of at most %d", option,
                        whole, TUNE_LIST_MAX);
        snprintf(word, sizeof word, "%.*s", (int)length, text);
        int code = take(request, word);
        if (code != DONE)
            return code;
        text = text[length] ? text + length + 1 : NULL;
    }
    return DONE;
}

static int take_op(tune_request *request, const char *word) {
    int index = 0, code = parse_choice("only", word, op_names, &index);
    request->ops[index] = 1;
    return code;
}

static int take_tier(tune_request *request, const char *word) {
    int index = 0, code = parse_choice("tier", word, tier_names, &index);
    request->tiers[request->tier_count++] = tiers[index];
    return code;
}

static int take_gamma(tune_request *request, const char *word) {
    double *gamma = &request->gammas[request->gamma_count++];
    int code = parse_number("gamma", word, gamma);
    if (code == DONE && !(*gamma >= 0.0 && *gamma <= 1000.0))
        return fail(USAGE, "--gamma %s is outside [0, 1000]", word);
    return code;
}

static int take_threads(tune_request *request, const char *word) {
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

static int parse_request(const char *const *values, action what, tune_request *request) {
    const struct {
        int option;
        const char *name, *standard;
        int (*take)(tune_request *, const char *);
    } lists[] = {
        {OPTION_ONLY, "only", "sigmoid,softmax", take_op},
        {OPTION_TIER, "tier", focal_tier_name(FOCAL_TIER_DEFAULT), take_tier},
        {OPTION_GAMMA, "gamma", values[OPTION_CASE] ? "2" : "2,0,1,1.5,2.5", take_gamma},
        {OPTION_THREADS, "threads", "1", take_threads},
    };
    *request = (tune_request){.path = values[OPTION_FILE],
                              .path_option = "--file",
                              .budget = 30.0,
                              .cases = values[OPTION_CASE],
                              .problem = values[OPTION_PROBLEM],
                              .quiet = values[OPTION_QUIET] != NULL};
    for (int i = 0; i < OPTION_COUNT; i++)
        if (values[i] && !(takers[i] >> what & 1))
            return fail(USAGE, "'focal tune %s' takes no such option; see 'focal tune --help'",
                        action_names[what]);
    if (what == RUN && values[OPTION_OUT]) {
        if (values[OPTION_FILE])
            return fail(USAGE, "--out and --file name the same thing here; give one of them");
        request->path = values[OPTION_OUT];
        request->path_option = "--out";
    }
    if (values[OPTION_CASE] && values[OPTION_PROBLEM])
        return fail(USAGE, "give --case or --problem, not both");
    int code =
        values[OPTION_BUDGET] ? parse_seconds(values[OPTION_BUDGET], &request->budget) : DONE;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0] && code == DONE; i++) {
        const char *text = values[lists[i].option];
        code = for_each_word(lists[i].name, text ? text : lists[i].standard, lists[i].take,
                             request);
    }
    return code;
}

/* ---- Actions -------------------------------------------------------------------------------- */

/* Holds the file's content, or nothing if it is not there yet. */
static int load(const tune_request *request, int may_be_missing, focal_tune_report *report) {
    const char *const path = request->path;
    static const char nothing[] = "focal-tune 1\n";
    focal_error error = FOCAL_ERROR_INIT;
    FILE *file = path && may_be_missing ? fopen(path, "rb") : NULL;
    if (path && may_be_missing && !file && errno == ENOENT)
        return focal_tune_import(nothing, sizeof nothing - 1, NULL, &error) == FOCAL_OK
                   ? DONE
                   : tune_fail(request, &error);
    if (file)
        fclose(file);
    if (focal_tune_load(path, report, &error) != FOCAL_OK)
        return tune_fail(request, &error);
    return DONE;
}

static void warn(const focal_tune_report *report) {
    if (report->rejected > 0)
        note("%s: %u rejected; the first, line %u: %s", report->path,
             (unsigned)report->rejected, (unsigned)report->line, report->reason);
}

static int save(const tune_request *request, focal_tune_report *report) {
    focal_error error = FOCAL_ERROR_INIT;
    if (focal_tune_save(request->path, report, &error) != FOCAL_OK)
        return tune_fail(request, &error);
    return DONE;
}

/* The caller's shell shall see the interrupt too. */
static int end_interrupted(const char *consequence) {
    note("interrupted; %s", consequence);
    raise(SIGINT);
    return FAILED;
}

static int tune_run(const tune_request *request, int all) {
    tune_list list;
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    int interrupted = 0, code = tune_list_make(&list, request);
    if (code == DONE)
        code = load(request, 1, &report);
    if (code == DONE)
        warn(&report);
    /* What cannot be written shall fail before the measurements, not after. */
    if (code == DONE)
        code = save(request, &report);
    if (code == DONE)
        code = tune_measure(&list, request, 0, &interrupted);
    if (code == DONE)
        code = save(request, &report);
    if (code == DONE) {
        tune_print(&list, all);
        printf("%s: %u entries for this host\n", report.path, (unsigned)report.accepted);
    }
    tune_list_free(&list);
    return code == DONE && interrupted ? end_interrupted("what was measured is saved") : code;
}

static const char not_all[] = "what is above is not all";

/* Workloads: the plans they get now against the defaults. */
static int check_workloads(const tune_request *request) {
    tune_list list;
    int interrupted = 0, code = tune_list_make(&list, request);
    if (code == DONE)
        code = tune_measure(&list, request, FOCAL_TUNE_COMPARE, &interrupted);
    if (code == DONE)
        tune_print(&list, 1);
    tune_list_free(&list);
    return code == DONE && interrupted ? end_interrupted(not_all) : code;
}

/* Entries: the search again, to see whether it would still find the same. */
static int check_entries(const tune_request *request, int all) {
    tune_list list;
    size_t measured = 0, drifted = 0;
    int interrupted = 0, code = tune_list_entries(&list, all ? SIZE_MAX : CHECKED_ENTRIES);
    if (code == DONE && list.count == 0)
        return fail(FAILED, "there is nothing to check: no entries for this host and build");
    if (code == DONE)
        code = tune_measure(&list, request, FOCAL_TUNE_DRY, &interrupted);
    for (size_t i = 0; i < list.count && code == DONE; i++) {
        const tune_case *one = &list.cases[i];
        char label[TUNE_LABEL_MAX];
        if (!one->measured)
            continue;
        double loss = 100.0 * (1.0 / one->result.entry_ratio - 1.0);
        measured++;
        tune_label(one, label);
        if (loss >= 10.0)
            drifted++;
        printf("%-58s %-16s loses %5.1f %% to the best%s\n", label,
               tune_variant(one->result.kernel), loss > 0.0 ? loss : 0.0,
               loss >= 10.0 ? "  DRIFTED" : "");
    }
    if (code == DONE)
        printf("%zu of %zu entries measured, %zu drifted by 10 %% or more\n", measured,
               list.count, drifted);
    tune_list_free(&list);
    if (code == DONE && interrupted)
        return end_interrupted(not_all);
    if (code == DONE && drifted > 0)
        code =
            fail(FAILED, "this host is not as it was when it was tuned; run 'focal tune run'");
    return code;
}

static int tune_check(const tune_request *request, int all) {
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    int code = load(request, 0, &report);
    if (code != DONE)
        return code;
    warn(&report);
    return request->cases ? check_workloads(request) : check_entries(request, all);
}

static int tune_export(const tune_request *request, const char *out) {
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    output_file output;
    int code = output_check(&output, "--out", out);
    if (code == DONE)
        code = load(request, 0, &report);
    if (code != DONE) {
        output_release(&output);
        return code;
    }
    warn(&report);
    size_t size = focal_tune_export(NULL, 0);
    char *text = malloc(size + 1);
    if (text) {
        focal_tune_export(text, size + 1);
        code = output_begin(&output);
    } else
        code = fail(FAILED, "out of memory");
    if (code == DONE)
        fwrite(text, 1, size, out ? output.stream : stdout); /* main looks at stdout */
    if (code == DONE)
        code = output_end(&output);
    if (code == DONE)
        code = output_commit(&output);
    output_release(&output);
    free(text);
    return code;
}

static int tune_import(const tune_request *request, const char *from) {
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    focal_error error = FOCAL_ERROR_INIT;
    char message[LIBRARY_TEXT];
    enum { MOST = (1 << 20) + 1 };
    if (!from)
        return fail(USAGE, "import needs a file: focal tune import FILE");
    FILE *file = fopen(from, "rb");
    char *text = malloc(MOST);
    size_t size = file && text ? fread(text, 1, MOST, file) : 0;
    int code = !file || ferror(file) ? fail(FAILED, "%s: %s", from, strerror(errno)) : DONE;
    if (file)
        fclose(file);
    if (code == DONE && !text)
        code = fail(FAILED, "out of memory");
    if (code == DONE && focal_tune_import(text, size, &report, &error) != FOCAL_OK)
        code = fail(FAILED, "%s: %s", from, library_message(&error, message));
    free(text);
    if (code != DONE)
        return code;
    snprintf(report.path, sizeof report.path, "%.1023s", from);
    tune_print_report(&report);
    code = save(request, &report);
    if (code == DONE)
        printf("\nmerged into\n"), tune_print_report(&report);
    return code;
}

static int tune_forget(const tune_request *request, const char *const *values) {
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    focal_error error = FOCAL_ERROR_INIT;
    const uint32_t every = FOCAL_TUNE_OWN | FOCAL_TUNE_STALE | FOCAL_TUNE_FOREIGN;
    uint32_t what = 0;
    if (values[OPTION_STALE])
        what |= FOCAL_TUNE_STALE;
    if (values[OPTION_FOREIGN])
        what |= FOCAL_TUNE_FOREIGN;
    if (values[OPTION_ALL])
        what = every;
    if (what == 0)
        return fail(USAGE, "say what: --stale, --foreign or --all");
    int code = load(request, 0, &report);
    if (code != DONE)
        return code;
    if (!*report.path)
        return fail(FAILED, "%s", report.reason);
    if (focal_tune_forget(request->path ? request->path : report.path, what, &report, &error) !=
        FOCAL_OK)
        return tune_fail(request, &error);
    tune_print_report(&report);
    return DONE;
}

static int run(const char *const *values) {
    tune_request request;
    int what = 0;
    if (!values[OPERAND_ACTION])
        return fail(USAGE, "say what to do: run, show, check, export, import or forget");
    int code = parse_word("action", values[OPERAND_ACTION], action_names, &what);
    if (code == DONE)
        code = parse_request(values, (action)what, &request);
    if (code != DONE)
        return code;
    if (values[OPERAND_FILE] && what != IMPORT)
        return fail(USAGE, "unexpected argument '%s'; see 'focal tune --help'",
                    values[OPERAND_FILE]);
    switch ((action)what) {
    case RUN:
        return tune_run(&request, values[OPTION_ALL] != NULL);
    case SHOW:
        return tune_show(&request);
    case CHECK:
        return tune_check(&request, values[OPTION_ALL] != NULL);
    case EXPORT:
        return tune_export(&request, values[OPTION_OUT]);
    case IMPORT:
        return tune_import(&request, values[OPERAND_FILE]);
    case FORGET:
        break;
    }
    return tune_forget(&request, values);
}

static const option_spec options[] = {TUNE_OPTIONS(OPTION_ENTRY)};

const command command_tune = {
    .name = "tune",
    .summary = "Measure which kernels are best on this host, and keep the result",
    .synopsis = " run [OPTIONS]\n"
                "       focal tune show | check | export | forget [OPTIONS]\n"
                "       focal tune import FILE [OPTIONS]",
    .details =
        "run     measures the usual shapes, the workloads of --case, or one --problem, and "
        "merges\n"
        "        what it finds into the tuning file; Ctrl-C keeps what was measured so far\n"
        "show    what the file says, and what of it is used here\n"
        "check   measures some entries again (all with --all) and fails if one of them has\n"
        "        drifted by 10 % or more; with --case, what tuning gains on these workloads\n"
        "export  writes the whole file, import merges another one into it\n"
        "forget  removes entries: --stale, --foreign, --all\n"
        "\n"
        "The tuning file is FOCAL_TUNE_FILE, else focal/tuning.txt in $XDG_CACHE_HOME or\n"
        "~/.cache; for reading also the system's. It changes speed, never results.\n",
    .options = options,
    .option_count = OPTION_COUNT,
    .operand_count = OPERAND_COUNT,
    .run = run,
};
