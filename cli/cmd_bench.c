/* `focal bench`: how fast, beside what else could be done on this machine in the same minute. */
#include "bench.h"
#include "bench_request.h"
#include "progress.h"

#include <roofline.h>

#include <stdio.h>
#include <string.h>

#ifdef FOCAL_CLI_OPENMP
#include <focal_openmp.h>
#endif

enum { OPERAND_ACTION = OPTION_COUNT, OPERAND_OLD, OPERAND_NEW, OPERAND_COUNT = 3 };
/* Rows, tiers and threads; opponents by rows or threads. */
enum { VARIANTS_MAX = LIST_MAX * LIST_MAX * LIST_MAX + LIST_MAX * LIST_MAX };

#ifdef FOCAL_CLI_OPENMP
focal_parallel bench_parallel_of(int threads) {
    return focal_openmp_parallel(threads);
}
#endif

static void set_bandwidth(bench_card *card, size_t bytes, focal_clock clock) {
    bench_bandwidth one, all = {.read = 0.0};
    const int cpus = bench_cpu_count();
    if (!bench_bandwidth_measure(&one, bytes, clock, NULL))
        return;
#ifdef FOCAL_CLI_OPENMP
    focal_parallel parallel = bench_parallel_of(cpus);
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
void bench_prepare_host(const bench_request *request, bench_card *card) {
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

/* SLEEF once per row that has it; where no row has, the best that the CPU can run. */
static size_t list_sleef(const bench_request *request, bench_variant *variants) {
    size_t count = 0;
    bench_variant sleef = {
        .kind = BENCH_KIND_BASELINE, .baseline = BENCH_BASELINE_SLEEF, .threads = 1};
    for (size_t i = 0; i < request->isa_count; i++)
        if (bench_baseline_usable(BENCH_BASELINE_SLEEF, request->isas[i])) {
            sleef.isa = request->isas[i];
            variants[count++] = sleef;
        }
    for (size_t i = 0; bench_baseline_isas[i] && count == 0; i++)
        if (bench_baseline_usable(BENCH_BASELINE_SLEEF, bench_baseline_isas[i])) {
            sleef.isa = bench_baseline_isas[i];
            variants[count++] = sleef;
        }
    return count;
}

static size_t list_opponents(const bench_request *request, int has_baselines,
                             bench_variant *variants) {
    size_t count = 0;
    for (size_t i = 0; i < request->against_count; i++) {
        bench_baseline baseline = (bench_baseline)request->against[i];
        if (request->against[i] == AGAINST_ROOFLINE)
            for (size_t n = 0; n < request->thread_count; n++)
                variants[count++] = (bench_variant){.kind = BENCH_KIND_ROOFLINE,
                                                    .threads = request->threads[n]};
        else if (has_baselines && baseline == BENCH_BASELINE_SLEEF)
            count += list_sleef(request, variants + count);
        else if (has_baselines && bench_baseline_usable(baseline, NULL))
            variants[count++] = (bench_variant){
                .kind = BENCH_KIND_BASELINE, .baseline = baseline, .threads = 1};
    }
    return count;
}

static size_t list_entries(const bench_request *request, const bench_data *data, double gamma,
                           bench_direction direction, bench_entry *entries) {
    bench_variant variants[VARIANTS_MAX];
    size_t count = 0;
    for (size_t t = 0; t < request->tier_count; t++)
        for (size_t i = 0; i < request->isa_count; i++)
            for (size_t n = 0; n < request->thread_count; n++)
                variants[count++] = (bench_variant){.kind = BENCH_KIND_FOCAL,
                                                    .isa = request->isas[i],
                                                    .tier = request->tiers[t],
                                                    .threads = request->threads[n]};
    count += list_opponents(request, bench_baseline_computes(data->shape, direction),
                            variants + count);
    for (size_t i = 0; i < count; i++)
        entries[i] = (bench_entry){data, gamma, direction, variants[i]};
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
    progress_update(&shown->bar, shown->tables_done * STEPS_PER_TABLE +
                                     (uint64_t)(share * (double)STEPS_PER_TABLE));
}

static int wants_hessian(const bench_request *request) {
    for (size_t d = 0; d < request->direction_count; d++)
        if (request->directions[d] == BENCH_CURVATURE)
            return 1;
    return 0;
}

static int run_table(const bench_request *request, const bench_data *data, double gamma,
                     bench_direction direction, bench_report *report, table_progress *shown) {
    static bench_entry entries[VARIANTS_MAX];
    static bench_result results[VARIANTS_MAX];
    const size_t count = list_entries(request, data, gamma, direction, entries);
    char error[256];
    bench_memory_peak_reset();
    int done = bench_run(entries, count, &request->settings, results, error);
    progress_clear(&shown->bar);
    shown->tables_done++;
    if (!done)
        return fail(FAILED, "%s: %s", data->shape->name, error);
    int code = bench_report_workload(report, data, gamma, direction, results, count);
    bench_results_release(results, count);
    return code;
}

static int run_case(const bench_request *request, const bench_case *shape, int64_t elements,
                    bench_report *report, table_progress *shown) {
    const int with_hessian = wants_hessian(request);
    bench_size size = bench_size_of(shape, elements);
    if (request->settings.smoke && size.outer * size.inner * shape->classes > SMOKE_ELEMENTS)
        size = bench_size_of(shape, SMOKE_ELEMENTS);
    size_t bytes = bench_data_size(shape, size, with_hessian);
    bench_data data = {.shape = shape};
    if (bytes > request->max_bytes || !bench_data_create(&data, shape, size, with_hessian)) {
        progress_clear(&shown->bar);
        printf("\n%s: skipped: needs %zu MB of memory, there are %zu\n", shape->name,
               bytes / 1000000, request->max_bytes / 1000000);
        shown->tables_done += request->gamma_count * request->direction_count;
        return DONE;
    }
    int code = DONE;
    for (size_t g = 0; g < request->gamma_count && code == DONE; g++)
        for (size_t d = 0; d < request->direction_count && code == DONE; d++)
            code = run_table(request, &data, request->gammas[g], request->directions[d], report,
                             shown);
    bench_data_release(&data);
    return code;
}

void bench_finish_card(bench_card *card) {
    char before[sizeof card->text[0]];
    snprintf(before, sizeof before, "%.30s", card->text[BENCH_CARD_LOAD]);
    bench_card_set(card, BENCH_CARD_LOAD, "%s before, %.2f after", before, bench_load());
}

static int measure(bench_request *request) {
    bench_report report = {.records = NULL};
    table_progress shown = {.tables_done = 0};
    uint64_t tables = 0;
    output_file json;
    /* A path that cannot be written shall fail before the minutes, not after. */
    int code = output_check(&json, "--json", request->json_path);
    if (code != DONE)
        return code;
    bench_prepare_host(request, &report.card);
    bench_print_card(&report.card);
    fflush(stdout);
    for (size_t i = 0; i < bench_case_count; i++)
        tables += (uint64_t)request->is_chosen[i] * request->size_count * request->gamma_count *
                  request->direction_count;
    request->settings.parallel = bench_parallel_of;
    request->settings.progress = show_progress;
    request->settings.progress_context = &shown;
    progress_start(&shown.bar, "bench", tables * STEPS_PER_TABLE, request->quiet);
    for (size_t i = 0; i < bench_case_count && code == DONE; i++)
        for (size_t s = 0; s < request->size_count && code == DONE && request->is_chosen[i];
             s++)
            code = run_case(request, &bench_cases[i], request->sizes[s], &report, &shown);
    progress_clear(&shown.bar);
    bench_finish_card(&report.card);
    if (code == DONE && report.count == 0)
        code = fail(USAGE, "nothing was measured: every case needs more memory than there is");
    if (code == DONE && request->json_path)
        code = bench_write(&json, &report);
    output_release(&json);
    bench_report_release(&report);
    return code;
}

/* On any ISA. */
static int is_usable(bench_baseline baseline) {
    int usable = bench_baseline_usable(baseline, NULL);
    for (size_t i = 0; bench_baseline_isas[i]; i++)
        usable |= bench_baseline_usable(baseline, bench_baseline_isas[i]);
    return usable;
}

static void list(void) {
    puts("Cases:");
    for (size_t i = 0; i < bench_case_count; i++) {
        const bench_case *shape = &bench_cases[i];
        char size[48];
        snprintf(size, sizeof size, shape->inner > 1 ? "%lld x %lld x %lld" : "%lld x %lld",
                 (long long)shape->outer, (long long)shape->classes, (long long)shape->inner);
        printf("  %-13s %-8s %-3s %-18s %-12s %s\n", shape->name,
               shape->op == FOCAL_SOFTMAX ? "softmax" : "sigmoid",
               bench_dtype_name(shape->dtype), size, bench_target_name(shape),
               shape->description);
    }
    puts("\nOpponents:");
#define PRINT_BASELINE(id, text, description)                                                  \
    printf("  %-13s %s%s\n", text, description,                                                \
           is_usable(BENCH_BASELINE_##id) ? "" : " (not here)");
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
    int code = bench_parse_request(values, &request);
    if (code != DONE)
        return code;
    return request.with_goals ? bench_measure_goals(&request) : measure(&request);
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
        "--goals measures bench/goals.def: ratios that the library must reach, each in rounds "
        "of\n"
        "two variants, and says of each whether it was missed, reached, or the aim beyond it.\n"
        "\n"
        "compare judges each variant of two reports: differences below 3 %, or 10 % on\n"
        "virtual machines, are noise. docs/benchmarking.md says how to prepare a machine.\n",
    .options = options,
    .option_count = OPTION_COUNT,
    .operand_count = OPERAND_COUNT,
    .run = run,
};
