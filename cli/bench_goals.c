/* `focal bench --goals`: what the library must show, measured. */
#include "bench.h"
#include "bench_request.h"
#include "json.h"
#include "progress.h"

#include <goals.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { STEPS_PER_GOAL = 1000, GOALS_MAX = 64 };

static const struct {
    const char *name, *sign, *unit;
    int decimals;
} kinds[] = {
    [BENCH_SPEEDUP] = {"speedup", ">=", "x", 2},
    [BENCH_COST] = {"cost", "<=", "x", 3},
    [BENCH_OVERHEAD] = {"overhead", "<=", "ns", 0},
    [BENCH_BOUND] = {"bound", ">=", "", 2},
};

typedef struct outcome {
    const char *obstacle; /* NULL: measured */
    bench_goal_result result;
} outcome;

typedef struct goal_run {
    const bench_request *request;
    bench_settings settings;
    bench_goal_store store;
    outcome outcomes[LIST_MAX][GOALS_MAX]; /* by row and goal */
    progress bar;
    uint64_t done;
} goal_run;

static void show_progress(void *context, double share) {
    goal_run *run = context;
    progress_update(&run->bar,
                    run->done * STEPS_PER_GOAL + (uint64_t)(share * (double)STEPS_PER_GOAL));
}

static int has_threads(void) {
#ifdef FOCAL_CLI_OPENMP
    return bench_cpu_count() > 1;
#else
    return 0;
#endif
}

/* The goals of several threads, or the others. */
static int measure_some(goal_run *run, int several) {
    const bench_request *request = run->request;
    for (size_t row = 0; row < request->isa_count; row++)
        for (size_t g = 0; g < bench_goal_count; g++) {
            const bench_goal *goal = &bench_goals[g];
            outcome *one = &run->outcomes[row][g];
            char error[256];
            if ((goal->ours.variant.threads > 1) != several)
                continue;
            one->obstacle = bench_goal_obstacle(goal, request->isas[row], request->bounds[row],
                                                has_threads());
            if (!one->obstacle &&
                !bench_goal_run(goal, request->isas[row], request->bounds[row], &run->settings,
                                &run->store, &one->result, error)) {
                progress_clear(&run->bar);
                return fail(FAILED, "%s on %s: %s", goal->name, request->isas[row], error);
            }
            run->done++;
        }
    return DONE;
}

static void print_goal(const bench_goal *goal, const outcome *one) {
    const focal_summary *value = &one->result.value;
    const int decimals = kinds[goal->kind].decimals;
    printf("  %-55s %s %6g %6g", goal->what, kinds[goal->kind].sign, goal->must, goal->aim);
    if (one->obstacle) {
        printf(" %8s  not measured: %s\n", "-", one->obstacle);
        return;
    }
    printf(" %8.*f  [%.*f, %.*f] %-7s %8.4f %9.4f %6zu\n", decimals, value->median, decimals,
           value->low, decimals, value->high,
           bench_goal_verdict_name(bench_goal_judge(goal, value->median)), one->result.ns[0],
           one->result.ns[1], one->result.rounds);
}

static void print_row(const goal_run *run, size_t row) {
    size_t counts[3] = {0}, open = 0;
    printf("\n%s\n  %-55s %9s %6s %8s  %s\n", run->request->isas[row], "goal", "must", "aim",
           "median", "[95 % interval] verdict, ns/el of both, rounds");
    for (size_t g = 0; g < bench_goal_count; g++) {
        const outcome *one = &run->outcomes[row][g];
        print_goal(&bench_goals[g], one);
        if (one->obstacle)
            open++;
        else
            counts[bench_goal_judge(&bench_goals[g], one->result.value.median)]++;
    }
    printf("  %zu missed, %zu met (%zu of them with their aim), %zu not measured\n",
           counts[BENCH_MISSED], counts[BENCH_MUST] + counts[BENCH_AIM], counts[BENCH_AIM],
           open);
}

static void write_goal(const bench_goal *goal, const char *isa, const outcome *one) {
    const bench_goal_result *result = &one->result;
    json_open(NULL, '{');
    json_string("goal", goal->name);
    json_string("what", goal->what);
    json_string("kind", kinds[goal->kind].name);
    json_string("isa", isa);
    json_number("must", goal->must);
    json_number("aim", goal->aim);
    json_string("obstacle", one->obstacle);
    if (!one->obstacle) {
        json_number("value", result->value.median);
        json_number("low", result->value.low);
        json_number("high", result->value.high);
        json_string("verdict",
                    bench_goal_verdict_name(bench_goal_judge(goal, result->value.median)));
        json_integer("rounds", (int64_t)result->rounds);
        for (int side = 0; side < 2; side++) {
            json_open(side == 0 ? "ours" : "theirs", '{');
            json_string("case", side == 0 ? goal->ours.name : goal->theirs.name);
            json_string("variant", result->names[side]);
            json_number("ns_per_element", result->ns[side]);
            json_number("cycles_per_element",
                        result->cycles[side] > 0.0 ? result->cycles[side] : (double)NAN);
            json_close('}');
        }
    }
    json_close('}');
}

static int write_json(const goal_run *run, const bench_card *card, output_file *output) {
    int code = output_begin(output);
    if (code != DONE)
        return code;
    json_to(output->stream);
    json_open(NULL, '{');
    json_integer("focal_goals", 1);
    bench_write_card(card);
    json_open("goals", '[');
    for (size_t row = 0; row < run->request->isa_count; row++)
        for (size_t g = 0; g < bench_goal_count; g++)
            write_goal(&bench_goals[g], run->request->isas[row], &run->outcomes[row][g]);
    json_close(']');
    json_close('}');
    json_to(NULL);
    code = output_end(output);
    return code == DONE ? output_commit(output) : code;
}

int bench_measure_goals(bench_request *request) {
    static goal_run run;
    bench_card card;
    output_file json;
    /* A path that cannot be written shall fail before the minutes, not after. */
    int code = output_check(&json, "--json", request->json_path);
    if (code != DONE)
        return code;
    run.request = request;
    run.settings = request->settings;
    run.settings.parallel = bench_parallel_of;
    run.settings.progress = show_progress;
    run.settings.progress_context = &run;
    progress_start(&run.bar, "bench", request->isa_count * bench_goal_count * STEPS_PER_GOAL,
                   request->quiet);
    /* Threads first: those of OpenMP inherit where they may run. */
    if (request->settings.clock == FOCAL_CLOCK_WALL)
        code = measure_some(&run, 1);
    else
        for (size_t row = 0; row < request->isa_count; row++)
            for (size_t g = 0; g < bench_goal_count; g++)
                run.outcomes[row][g].obstacle = "--clock cpu is the time of one thread";
    if (code == DONE) {
        bench_prepare_host(request, &card);
        code = measure_some(&run, 0);
    }
    progress_clear(&run.bar);
    bench_goal_store_release(&run.store);
    if (code == DONE) {
        bench_finish_card(&card);
        bench_print_card(&card);
        for (size_t row = 0; row < request->isa_count; row++)
            print_row(&run, row);
    }
    if (code == DONE && request->json_path)
        code = write_json(&run, &card, &json);
    output_release(&json);
    return code;
}
