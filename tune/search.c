/* The search for one problem. All candidates are timed once on a small part of it, which drops what
 * is far off; the rest race in rounds; the best of them then meets the default, or the entry that
 * exists, in fresh rounds, which alone decide. So the decision has no part in the luck that made
 * the best one the best. */
#define _POSIX_C_SOURCE 200809L /* gmtime_r */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "measure.h"
#include "problem.h"
#include "status.h"
#include "store.h"

#define DROP_RATIO   1.25 /* early, in the race */
#define SCREEN_RATIO 2.0  /* on the small part, where memory does not hide the arithmetic */
#define WIN_RATIO    0.97 /* nobody replaces the reference above it */
#define KEEP_RATIO   0.99 /* an entry yields to a default of so much of its time */
enum { SCREEN_ELEMENTS = 16384, RACE_LEAST = 3, RACE_ENOUGH = 15, DUEL_LEAST = 6 };
/* Several threads wait for each other and for the system: their times scatter more. */
enum { DUEL_DECISIVE = 15, DUEL_DECISIVE_THREADED = 41 };
static const double default_budget_ms = 100.0;
static const size_t default_max_bytes = (size_t)1 << 30;
/* Of contenders so near to the best one, the first of the list goes on: the default before others, a
 * small change before a large one. So two runs find the same. */
#define TIE_RATIO 1.02
/* Where no candidate is better by as much, nothing is on several threads. */
#define TIE_RATIO_THREADED 1.03
/* Tried for more than one thread, beside the default. Sizes between these differ from them by less
 * than two runs do. */
enum { TASKS_PER_THREAD = 4 };
static const uint64_t task_sizes[] = {131072, 524288, 32768, 16384};

typedef struct search {
    focal_trial trial;
    focal_problem problem; /* as measured: strides filled in, rows that fit the memory */
    focal_options options;
    focal_tuning_key key;
    focal_error *error;
} search;

static double elements(const focal_problem *problem) {
    return (double)problem->outer * (double)problem->classes * (double)problem->inner;
}

/* ---- Plans of the contenders ---------------------------------------------------------------- */

static focal_status make_plan(search *s, const focal_problem *problem, focal_contender *one) {
    focal_options options = s->options;
    options.kernel = one->candidate.name;
    options.grain = 0;
    focal_status status = focal_plan_create(&one->plan, problem, &options, s->error);
    if (status == FOCAL_OK)
        focal_plan_set_task(one->plan, one->task_elements);
    return status;
}

static focal_contender *add_contender(search *s, focal_candidate candidate, uint64_t task) {
    focal_trial *trial = &s->trial;
    for (size_t i = 0; i < trial->count; i++)
        if (trial->contenders[i].candidate.name == candidate.name &&
            trial->contenders[i].task_elements == task)
            return &trial->contenders[i];
    if (trial->count == FOCAL_TRIAL_CONTENDERS)
        return NULL;
    focal_contender *one = &trial->contenders[trial->count++];
    *one = (focal_contender){.candidate = candidate, .task_elements = task};
    return one;
}

static focal_status make_plans(search *s, const focal_problem *problem) {
    focal_status status = FOCAL_OK;
    for (size_t i = 0; i < s->trial.count && status == FOCAL_OK; i++) {
        focal_contender *one = &s->trial.contenders[i];
        if (!one->dropped && !one->plan)
            status = make_plan(s, problem, one);
    }
    return status;
}

static void destroy_plans(search *s) {
    for (size_t i = 0; i < s->trial.count; i++) {
        focal_plan_destroy(s->trial.contenders[i].plan);
        s->trial.contenders[i].plan = NULL;
    }
}

/* A plan for each contender that is left, and data for them. */
static focal_status set_up(search *s, const focal_problem *problem) {
    focal_status status = make_plans(s, problem);
    if (status != FOCAL_OK)
        return status;
    const focal_plan *standard = s->trial.contenders[0].plan;
    if (!focal_trial_data_make(&s->trial.data, standard) ||
        !focal_trial_workspace_make(&s->trial.data, focal_plan_workspace_size(standard)))
        status = focal_fail(s->error, FOCAL_E_MEMORY, "max_bytes", -1,
                            "%zu bytes not available", focal_trial_bytes(standard));
    return status;
}

static void tear_down(search *s) {
    destroy_plans(s);
    focal_trial_data_free(&s->trial.data);
}

/* ---- The phases ----------------------------------------------------------------------------- */

/* Drops what takes twice as long as the fastest on a part that fits the caches. */
static focal_status screen(search *s) {
    focal_trial *trial = &s->trial;
    focal_problem part = s->problem;
    double times[FOCAL_TRIAL_CONTENDERS], fastest = HUGE_VAL;
    int64_t rows = SCREEN_ELEMENTS / part.classes / part.inner;
    if (part.outer > rows)
        part.outer = rows > 0 ? rows : 1;
    focal_status status = set_up(s, &part);
    for (size_t i = 0; i < trial->count && status == FOCAL_OK; i++) {
        times[i] = focal_trial_calibrate(trial, i);
        fastest = times[i] < fastest ? times[i] : fastest;
    }
    for (size_t i = 1; i < trial->count && status == FOCAL_OK; i++)
        trial->contenders[i].dropped =
            i != trial->reference && times[i] > SCREEN_RATIO * fastest;
    tear_down(s);
    return status;
}

static bool race_is_over(focal_trial *trial, size_t rounds) {
    size_t left = 0;
    /* What six rounds in a row say of several threads is what else ran in these milliseconds. */
    size_t trusted = trial->settings->threads > 1 ? RACE_ENOUGH : DUEL_LEAST;
    for (size_t i = 0; i < trial->count; i++) {
        focal_contender *one = &trial->contenders[i];
        if (i != trial->reference && i != 0 && !one->dropped)
            one->dropped = one->ratio.median > DROP_RATIO ||
                           (rounds >= trusted && one->ratio.low > WIN_RATIO);
        left += !one->dropped && i != trial->reference && i != 0;
    }
    return left == 0 || rounds >= RACE_ENOUGH;
}

/* The first contender whose median ratio is next to the least one. */
static size_t leader(const focal_trial *trial) {
    double tie = trial->settings->threads > 1 ? TIE_RATIO_THREADED : TIE_RATIO;
    double least = HUGE_VAL;
    size_t first = 0;
    for (size_t i = 0; i < trial->count; i++)
        if (!trial->contenders[i].dropped && trial->contenders[i].ratio.median < least)
            least = trial->contenders[i].ratio.median;
    while (trial->contenders[first].dropped ||
           trial->contenders[first].ratio.median > tie * least)
        first++;
    return first;
}

/* Leaves the default, the reference and one more. */
static void keep_only(focal_trial *trial, size_t index) {
    for (size_t i = 0; i < trial->count; i++)
        trial->contenders[i].dropped = i != 0 && i != trial->reference && i != index;
}

/* Several threads: the best kernel again with tasks of other sizes. */
static focal_status race_tasks(search *s, size_t best) {
    focal_trial *trial = &s->trial;
    const focal_plan *plan = trial->contenders[best].plan;
    uint64_t logits = (uint64_t)plan->rows * plan->columns;
    keep_only(trial, best);
    /* Every thread shall have some: what is best when one has all would be best on a busy host, and
     * where each has one or two, a thread that is held up holds up all. */
    for (size_t i = 0; i < sizeof task_sizes / sizeof task_sizes[0]; i++)
        if (task_sizes[i] * trial->settings->threads * TASKS_PER_THREAD <= logits &&
            task_sizes[i] != focal_task_elements(logits, trial->settings->threads))
            add_contender(s, trial->contenders[best].candidate, task_sizes[i]);
    focal_status status = make_plans(s, &s->problem);
    if (status == FOCAL_OK)
        focal_trial_rounds(trial, RACE_LEAST, race_is_over);
    return status;
}

static bool duel_is_over(focal_trial *trial, size_t rounds) {
    size_t decisive = trial->settings->threads > 1 ? DUEL_DECISIVE_THREADED : DUEL_DECISIVE;
    /* Three at most: whoever is neither the default nor the reference must be settled. */
    for (size_t i = 0; i < trial->count; i++) {
        const focal_contender *one = &trial->contenders[i];
        if (one->dropped || i == trial->reference)
            continue;
        if (rounds < decisive || (one->ratio.low < WIN_RATIO && one->ratio.high > WIN_RATIO))
            return false;
    }
    return true;
}

static bool beats(const focal_contender *one) {
    return focal_judge(one->ratio.median, one->ratio.low, one->ratio.high,
                       FOCAL_FLOOR_PAIRED) == FOCAL_FASTER;
}

/* ---- The result ----------------------------------------------------------------------------- */

static void fill_result(const search *s, size_t winner, size_t rounds,
                        focal_tune_result *result) {
    const focal_contender *standard = &s->trial.contenders[0];
    const focal_contender *one = &s->trial.contenders[winner];
    focal_summary ratio = focal_paired_ratio(one->samples, standard->samples, rounds);
    double logits = elements(&s->problem);
    strcpy(result->kernel, one->candidate.name);
    result->task_elements = one->task_elements;
    result->rounds = (uint32_t)rounds;
    result->decided = 1;
    result->default_ns = focal_summarize(standard->samples, rounds).median / logits;
    result->ns = focal_summarize(one->samples, rounds).median / logits;
    result->ratio = ratio.median;
    result->low = ratio.low;
    result->high = ratio.high;
    result->entry_ratio = one->ratio.median;
}

static uint32_t today(void) {
    time_t now = time(NULL);
    struct tm date;
    if (!gmtime_r(&now, &date))
        return 20200101;
    return (uint32_t)((date.tm_year + 1900) * 10000 + (date.tm_mon + 1) * 100 + date.tm_mday);
}

static int64_t clamp(double value, int64_t least, int64_t most) {
    return value >= (double)most ? most : value <= (double)least ? least : llround(value);
}

static focal_status record_result(const search *s, size_t winner,
                                  const focal_tune_result *result) {
    const focal_contender *one = &s->trial.contenders[winner];
    focal_summary time = focal_summarize(one->samples, result->rounds);
    double logits = elements(&s->problem);
    focal_record record = {.key = s->key};
    strcpy(record.kernel, result->kernel);
    record.task = (int64_t)one->task_elements;
    record.ps = clamp(1e3 * result->ns, 1, 1000000000);
    record.base = clamp(1e3 * result->default_ns, 1, 1000000000);
    record.mad = clamp(1e3 * time.mad / logits, 0, 1000000000);
    record.ratio = clamp(1e4 * result->ratio, 1, 1000000);
    record.low = clamp(1e4 * result->low, 1, 1000000);
    record.high = clamp(1e4 * result->high, 1, 1000000);
    record.rounds = result->rounds;
    record.date = today();
    focal_record_describe(&record, &s->problem);
    if (!focal_store_put(&record))
        return focal_fail(s->error, FOCAL_E_MEMORY, "result", -1, "not enough memory");
    return FOCAL_OK;
}

/* ---- From the problem to the result --------------------------------------------------------- */

/* All candidates, and what the entry that exists says, which becomes the reference. */
static focal_status list_contenders(search *s, focal_candidate standard) {
    focal_candidate list[FOCAL_TRIAL_CONTENDERS - 8]; /* some room for task sizes */
    size_t most = sizeof list / sizeof list[0], count = 0;
    focal_record existing;
    count = focal_candidates_list(standard, list, most);
    for (size_t i = 0; i < count && i < most; i++)
        add_contender(s, list[i], 0);
    if (!focal_store_get(&s->key, &existing))
        return FOCAL_OK;
    focal_candidate found = focal_candidate_find(existing.kernel);
    if (focal_candidate_flaw(found, standard))
        return FOCAL_OK;
    const focal_contender *one = add_contender(s, found, (uint64_t)existing.task);
    s->trial.reference = one ? (size_t)(one - s->trial.contenders) : 0;
    return FOCAL_OK;
}

/* What the minimal rounds of everybody left will take is more than the budget. */
static bool too_long(const focal_trial *trial, double execution_ns, double budget_ms) {
    size_t left = 0;
    for (size_t i = 0; i < trial->count; i++)
        left += !trial->contenders[i].dropped;
    double executions = (double)(RACE_LEAST * left + (size_t)2 * DUEL_LEAST);
    double each = execution_ns * (double)trial->iterations;
    return executions * each > 1e6 * budget_ms;
}

static focal_status race(search *s, focal_tune_result *result, double budget_ms) {
    focal_trial *trial = &s->trial;
    double end = trial->deadline, start = focal_seconds();
    focal_status status = screen(s);
    if (status == FOCAL_OK)
        status = set_up(s, &s->problem);
    if (status != FOCAL_OK)
        return status;
    double execution = focal_trial_calibrate(trial, trial->reference);
    if (trial->stopped || too_long(trial, execution, budget_ms))
        return FOCAL_OK;
    bool threaded = trial->settings->threads > 1;
    trial->deadline = start + (end - start) * (threaded ? 0.3 : 0.5);
    focal_trial_rounds(trial, RACE_LEAST, race_is_over);
    size_t best = leader(trial);
    if (threaded && !trial->stopped) {
        trial->deadline = start + (end - start) * 0.6;
        status = race_tasks(s, best);
        best = leader(trial);
    }
    trial->deadline = end;
    keep_only(trial, best);
    size_t rounds =
        status == FOCAL_OK ? focal_trial_rounds(trial, DUEL_LEAST, duel_is_over) : 0;
    if (status != FOCAL_OK || trial->stopped)
        return status;
    size_t winner = beats(&trial->contenders[best]) ? best : trial->reference;
    /* An entry that has become worse than the default goes, and nobody beats it who does not beat the
     * default. */
    if (winner != 0 && trial->contenders[0].ratio.median <= KEEP_RATIO &&
        trial->contenders[0].ratio.median <= trial->contenders[winner].ratio.median)
        winner = 0;
    fill_result(s, winner, rounds, result);
    if (trial->settings->flags & FOCAL_TUNE_DRY)
        return FOCAL_OK;
    return record_result(s, winner, result);
}

/* The plan as it is made now against the default. */
static focal_status compare(search *s, const focal_plan *now, focal_tune_result *result) {
    focal_trial *trial = &s->trial;
    focal_candidate chosen = focal_candidate_of(now);
    focal_contender *one = add_contender(s, chosen, now->tuning.task_elements);
    size_t index = (size_t)(one - trial->contenders);
    focal_status status = set_up(s, &s->problem);
    if (status != FOCAL_OK)
        return status;
    focal_trial_calibrate(trial, 0);
    size_t rounds = trial->stopped ? 0 : focal_trial_rounds(trial, DUEL_LEAST, duel_is_over);
    if (!trial->stopped)
        fill_result(s, index, rounds, result);
    return FOCAL_OK;
}

static focal_status check_settings(const focal_tune_settings *settings, focal_error *error) {
    if (settings->struct_size != sizeof *settings)
        return focal_fail(error, FOCAL_E_STRUCT, "settings.struct_size", -1,
                          "%zu is not a known size; use focal_tune_settings_init",
                          settings->struct_size);
    if (!(settings->budget_ms >= 0.0 && settings->budget_ms < 1e9))
        return focal_fail(error, FOCAL_E_VALUE, "budget_ms", -1, "%g is outside [0, 1e9)",
                          settings->budget_ms);
    const uint32_t flags = FOCAL_TUNE_COMPARE | FOCAL_TUNE_DRY;
    if (settings->flags & ~flags)
        return focal_fail(error, FOCAL_E_VALUE, "flags", -1, "unknown bits 0x%x",
                          (unsigned)(settings->flags & ~flags));
    if (settings->threads > 65535)
        return focal_fail(error, FOCAL_E_VALUE, "threads", -1, "%u is more than 65535",
                          (unsigned)settings->threads);
    if (settings->threads > 1 && !settings->parallel)
        return focal_fail(error, FOCAL_E_NULL, "parallel", -1,
                          "%u threads need a parallel loop", (unsigned)settings->threads);
    return FOCAL_OK;
}

/* Takes rows away until the data fits. */
static focal_status fit_memory(search *s, const focal_plan *standard, size_t max_bytes) {
    size_t most = max_bytes ? max_bytes : default_max_bytes;
    size_t bytes = focal_trial_bytes(standard);
    for (; bytes > most && s->problem.outer > 1; bytes /= 2)
        s->problem.outer = (s->problem.outer + 1) / 2;
    if (bytes > most)
        return focal_fail(s->error, FOCAL_E_MEMORY, "max_bytes", -1,
                          "one row needs %zu bytes, %zu are allowed", bytes, most);
    return FOCAL_OK;
}

static focal_status run(search *s, const focal_problem *problem, focal_tune_result *result) {
    const focal_tune_settings *settings = s->trial.settings;
    double budget_ms = settings->budget_ms > 0.0 ? settings->budget_ms : default_budget_ms;
    focal_plan *standard = NULL, *now = NULL;
    s->trial.deadline = focal_seconds() + 1e-3 * budget_ms;
    focal_options off = s->options;
    off.tune_flags = FOCAL_TUNE_OFF;
    focal_status status = focal_plan_create(&standard, problem, &off, s->error);
    if (status == FOCAL_OK && settings->flags & FOCAL_TUNE_COMPARE)
        status = focal_plan_create(&now, problem, &s->options, s->error);
    if (status == FOCAL_OK && !focal_tuning_key_of(standard, settings->threads, &s->key))
        status =
            focal_fail(s->error, FOCAL_E_VALUE, "outer", -1, "there is nothing to measure");
    if (status == FOCAL_OK) {
        focal_candidate first = focal_candidate_of(standard);
        s->problem = standard->problem;
        /* The one field that may not be said again where the plan has filled it in. */
        if (s->problem.target_kind != FOCAL_TARGET_DENSE)
            s->problem.targets_dtype = FOCAL_DTYPE_DEFAULT;
        strcpy(result->default_kernel, first.name);
        strcpy(result->kernel, first.name);
        status = fit_memory(s, standard, settings->max_bytes);
        add_contender(s, first, 0);
        if (status == FOCAL_OK && !now)
            status = list_contenders(s, first);
        result->candidates = (uint32_t)s->trial.count;
    }
    if (status == FOCAL_OK)
        status = now ? compare(s, now, result) : race(s, result, budget_ms);
    if (status == FOCAL_OK && s->trial.stopped)
        status = focal_fail(s->error, FOCAL_E_STOPPED, "stop", -1, "nothing was recorded");
    tear_down(s);
    focal_plan_destroy(standard);
    focal_plan_destroy(now);
    return status;
}

focal_status focal_tune_run(const focal_problem *problem, const focal_options *options,
                            const focal_tune_settings *settings, focal_tune_result *result,
                            focal_error *error) {
    focal_tune_settings used;
    focal_tune_settings_init(&used);
    focal_tune_result found = FOCAL_TUNE_RESULT_INIT;
    if (result && result->struct_size != sizeof *result)
        return focal_fail(error, FOCAL_E_STRUCT, "result.struct_size", -1,
                          "%zu is not a known size; use FOCAL_TUNE_RESULT_INIT",
                          result->struct_size);
    focal_status status = settings ? check_settings(settings, error) : FOCAL_OK;
    if (status != FOCAL_OK)
        return status;
    if (settings)
        used = *settings;
    search *s = calloc(1, sizeof *s);
    focal_contender *contenders = calloc(FOCAL_TRIAL_CONTENDERS, sizeof *contenders);
    if (s && contenders) {
        s->error = error;
        s->trial = (focal_trial){.contenders = contenders, .settings = &used, .random = 1};
        /* The time of one thread says nothing of several. */
        focal_timer_init(&s->trial.timer, used.parallel ? FOCAL_CLOCK_WALL : FOCAL_CLOCK_CPU);
        focal_options_init(&s->options);
        if (options)
            s->options = *options;
        s->options.threads = used.threads;
        if (s->options.isa || s->options.unroll || s->options.grain || s->options.kernel)
            status = focal_fail(error, FOCAL_E_UNSUPPORTED, "options", -1,
                                "pins leave nothing to tune");
        else
            status = run(s, problem, &found);
    } else {
        status = focal_fail(error, FOCAL_E_MEMORY, "result", -1, "not enough memory");
    }
    free(contenders);
    free(s);
    if (status == FOCAL_OK && result)
        *result = found;
    return status;
}
