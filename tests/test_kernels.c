/* Tries every kernel of every ISA row that this machine can run.
 *
 * usage: test_kernels [--isa NAME] [--require-isa NAME,...] [--filter SUBSTRING] [--seed N]
 *                     [--quick] [--time-limit SECONDS] [--hash FILE] [--list]
 *
 * All rows must equal scalarfma's 16-element kernel bit for bit; the portable row `scalar` has no
 * fused multiply-add and with it other bits, and must be close. --hash writes a line for each
 * contract and row, "hash CONTRACT ROW MODE SEED VALUE" (FILE - for standard output), which
 * depends on the result bits alone: runs on different machines can be compared. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cases.h"
#include "cpu.h"
#include "harness.h"
#include "isa.h"
#include "machine_state.h"

static const char reference_isa[] = "scalarfma", portable_isa[] = "scalar";

/* Over four seeds at most 8 ULP were seen for gamma 2 and below, 166 for gamma 100: the power of a
 * soft target multiplies the distance of its base by gamma. */
static const harness_tolerance portable_tolerance = {
    .ulp = 16, .ulp_per_gamma = 4, .cancelled = 0x1p-22};

enum { ROWS_MAX = 16 };

static struct {
    const char *isa, *require, *filter, *hash;
    bool list;
    unsigned time_limit;
    harness_settings settings;
} options = {.time_limit = 60, .settings = {.seed = 1}};

static struct {
    unsigned run, failed;
    uint64_t executions, checks;
    uint32_t distance;
    double cancelled;
    uint64_t hash; /* of the present contract */
    bool hashed;
} totals[ROWS_MAX];

static unsigned passed, failed;
static FILE *hash_file;

__attribute__((format(printf, 1, 2), noreturn)) static void usage(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("test_kernels: ", stderr);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs("\nusage: test_kernels [--isa NAME] [--require-isa NAME,...] [--filter SUBSTRING]\n"
          "                    [--seed N] [--quick] [--time-limit SECONDS] [--hash FILE] "
          "[--list]\n",
          stderr);
    exit(2);
}

static unsigned long long number(const char *option, const char *text) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 0);
    if (errno || end == text || *end || text[0] == '-')
        usage("%s: \"%s\" is not a number", option, text);
    return value;
}

static void parse(int count, char **words) {
    for (int i = 1; i < count; i++) {
        const char *word = words[i];
        if (strcmp(word, "--quick") == 0) {
            options.settings.quick = true;
            continue;
        }
        if (strcmp(word, "--list") == 0) {
            options.list = true;
            continue;
        }
        static const char *const with_value[] = {"--isa",  "--require-isa", "--filter",
                                                 "--seed", "--time-limit",  "--hash"};
        size_t which = 0, known = sizeof with_value / sizeof with_value[0];
        while (which < known && strcmp(word, with_value[which]) != 0)
            which++;
        if (which == known)
            usage("unknown option \"%s\"", word);
        if (++i == count)
            usage("%s needs a value", word);
        const char *value = words[i];
        switch (which) {
        case 0:
            options.isa = value;
            break;
        case 1:
            options.require = value;
            break;
        case 2:
            options.filter = value;
            break;
        case 3:
            options.settings.seed = number(word, value);
            break;
        case 4:
            options.time_limit = (unsigned)number(word, value);
            break;
        default:
            options.hash = value;
        }
    }
    if (options.isa && !focal_isa_find(options.isa))
        usage("--isa: there is no row \"%s\"", options.isa);
}

static bool usable(const focal_isa_row *row) {
    return focal_isa_usable(row, focal_cpu_host()->features);
}

static bool chosen(const focal_isa_row *row) {
    return !options.isa || strcmp(options.isa, row->name) == 0;
}

static const focal_kernel *find(const focal_kernel_table *table, const char *contract,
                                size_t length, uint32_t unroll) {
    for (size_t i = 0; i < table->count; i++) {
        const focal_kernel *kernel = &table->kernels[i];
        if (kernel->unroll == unroll && strncmp(kernel->name, contract, length) == 0 &&
            cases_contract_length(kernel->name) == length)
            return kernel;
    }
    return NULL;
}

static void print_failures(const char *isa, const char *name, const harness_report *report) {
    for (int check = 0; check < HARNESS_CHECK_COUNT; check++)
        if (report->failed[check])
            printf("FAILED %s: %s: %s\n", name, harness_check_text((harness_check)check),
                   report->messages[check]);
    printf("    repeat: test_kernels --isa %s --filter %s --seed %llu%s\n", isa, name,
           (unsigned long long)options.settings.seed, options.settings.quick ? " --quick" : "");
}

static void try_kernel(size_t index, const focal_kernel *kernel,
                       const harness_reference *reference) {
    const char *isa = focal_isa_rows[index].name;
    harness_tolerance tolerance = {.ulp = 0};
    if (strcmp(isa, portable_isa) == 0)
        tolerance = portable_tolerance;
    harness_report report;
    bool good = harness_run(kernel, reference, tolerance, options.time_limit, &report);
    if (!good)
        print_failures(isa, kernel->name, &report);
    if (report.complete && totals[index].hashed && report.hash != totals[index].hash) {
        printf("FAILED %s: its hash differs from that of the other unrolls\n", kernel->name);
        good = false;
    }
    if (report.complete) {
        totals[index].hash = report.hash;
        totals[index].hashed = true;
    }
    totals[index].run++;
    totals[index].executions += report.executions;
    totals[index].checks += report.checks;
    if (report.distance > totals[index].distance)
        totals[index].distance = report.distance;
    if (report.cancelled > totals[index].cancelled)
        totals[index].cancelled = report.cancelled;
    if (good) {
        passed++;
    } else {
        failed++;
        totals[index].failed++;
    }
}

static bool wanted(const focal_kernel *kernel) {
    return !options.filter || strstr(kernel->name, options.filter);
}

/* Whether a row's kernel at `i` is of the contract and asked for. */
static bool selected(const focal_kernel *kernel, const char *contract, size_t length) {
    return strncmp(kernel->name, contract, length) == 0 &&
           cases_contract_length(kernel->name) == length && wanted(kernel);
}

static bool anything_selected(const char *contract, size_t length) {
    for (size_t k = 0; k < focal_isa_row_count; k++) {
        const focal_isa_row *row = &focal_isa_rows[k];
        for (size_t i = 0; usable(row) && chosen(row) && i < row->table->count; i++)
            if (selected(&row->table->kernels[i], contract, length))
                return true;
    }
    return false;
}

static void write_hash(const char *contract, int length, size_t index) {
    if (hash_file && totals[index].hashed)
        fprintf(hash_file, "hash %.*s %s %s %llu %016llx\n", length, contract,
                focal_isa_rows[index].name, options.settings.quick ? "quick" : "full",
                (unsigned long long)options.settings.seed,
                (unsigned long long)totals[index].hash);
}

/* All kernels of one contract, in all rows; the reference runs once for them. */
static void try_contract(const focal_kernel *reference_kernel) {
    const char *contract = reference_kernel->name;
    size_t length = cases_contract_length(contract);
    if (!anything_selected(contract, length))
        return;
    harness_report report;
    harness_reference *reference = harness_reference_create(reference_kernel, options.settings,
                                                            options.time_limit, &report);
    if (!reference) {
        printf("the reference %s does not run:\n", contract);
        print_failures(reference_isa, contract, &report);
        failed++;
        return;
    }
    for (size_t k = 0; k < focal_isa_row_count; k++) {
        const focal_isa_row *row = &focal_isa_rows[k];
        totals[k].hashed = false;
        if (!usable(row) || !chosen(row))
            continue;
        for (size_t i = 0; i < row->table->count; i++)
            if (selected(&row->table->kernels[i], contract, length))
                try_kernel(k, &row->table->kernels[i], reference);
        write_hash(contract, (int)length, k);
    }
    harness_reference_destroy(reference);
}

/* Every row has to have every contract, and none that the reference does not know. */
static void check_tables(const focal_kernel_table *reference) {
    for (size_t k = 0; k < focal_isa_row_count; k++) {
        const focal_kernel_table *table = focal_isa_rows[k].table;
        for (size_t i = 0; table && i < reference->count; i++) {
            const char *name = reference->kernels[i].name;
            if (!find(table, name, cases_contract_length(name), 16)) {
                printf("FAILED %s: no kernel of 16 elements for %s\n", focal_isa_rows[k].name,
                       name);
                failed++;
            }
        }
        for (size_t i = 0; table && i < table->count; i++) {
            const char *name = table->kernels[i].name;
            if (!find(reference, name, cases_contract_length(name), 16)) {
                printf("FAILED %s: %s has no contract that scalarfma knows\n",
                       focal_isa_rows[k].name, name);
                failed++;
            }
        }
    }
}

static bool is_required(const char *name) {
    size_t length = strlen(name);
    for (const char *p = options.require; p && *p;) {
        size_t part = strcspn(p, ",");
        if (part == length && memcmp(p, name, length) == 0)
            return true;
        p += part + (p[part] == ',');
    }
    return false;
}

/* A misspelt requirement must not pass for a fulfilled one. */
static void check_requirements(void) {
    for (const char *p = options.require; p && *p;) {
        size_t part = strcspn(p, ",");
        bool known = false;
        for (size_t k = 0; k < focal_isa_row_count; k++)
            known = known || (strlen(focal_isa_rows[k].name) == part &&
                              memcmp(p, focal_isa_rows[k].name, part) == 0);
        if (!known)
            usage("--require-isa: there is no row \"%.*s\"", (int)part, p);
        p += part + (p[part] == ',');
    }
}

static void summarize(void) {
    for (size_t k = 0; k < focal_isa_row_count; k++) {
        const focal_isa_row *row = &focal_isa_rows[k];
        if (totals[k].run) {
            printf("%-10s %u kernels, %llu executions, %llu checks: ", row->name, totals[k].run,
                   (unsigned long long)totals[k].executions,
                   (unsigned long long)totals[k].checks);
            if (totals[k].failed)
                printf("%u FAILED\n", totals[k].failed);
            else if (strcmp(row->name, portable_isa) != 0)
                puts("equal to scalarfma bit for bit");
            else
                printf("its own bits (no FMA): at most %u ULP from scalarfma or, where soft "
                       "targets cancel, %.1g of the terms\n",
                       totals[k].distance, totals[k].cancelled);
            continue;
        }
        char missing[256] = "";
        if (row->table)
            focal_cpu_features_text(row->needs & ~focal_cpu_host()->features, missing,
                                    sizeof missing);
        printf("%-10s skipped: %s%s\n", row->name,
               !row->table    ? "not built"
               : !usable(row) ? "this machine lacks "
               : !chosen(row) ? "not asked for (--isa)"
                              : "no kernel of that name (--filter)",
               usable(row) ? "" : missing);
        if (is_required(row->name)) {
            printf("FAILED %s: required by --require-isa but not run\n", row->name);
            failed++;
        }
    }
}

static void list(void) {
    for (size_t k = 0; k < focal_isa_row_count; k++) {
        const focal_isa_row *row = &focal_isa_rows[k];
        for (size_t i = 0; row->table && chosen(row) && i < row->table->count; i++)
            if (wanted(&row->table->kernels[i]))
                printf("%s%s\n", row->table->kernels[i].name,
                       usable(row) ? "" : " (not usable)");
    }
}

int main(int count, char **words) {
    parse(count, words);
    check_requirements();
    if (options.list) {
        list();
        return 0;
    }
    const focal_isa_row *reference = focal_isa_find(reference_isa);
    printf("test_kernels: %s, seed %llu%s; upper halves %s\n", focal_cpu_host()->brand,
           (unsigned long long)options.settings.seed, options.settings.quick ? ", quick" : "",
           upper_halves_observable() ? "observed"
                                     : "not observable on this processor or in this build");
    if (!usable(reference)) {
        puts("FAILED: the reference row scalarfma is not built or needs what this machine "
             "lacks");
        puts("0 passed, 1 failed");
        return 1;
    }
    if (options.hash) {
        hash_file = strcmp(options.hash, "-") == 0 ? stdout : fopen(options.hash, "w");
        if (!hash_file)
            usage("--hash: %s: %s", options.hash, strerror(errno));
    }
    check_tables(reference->table);
    for (size_t i = 0; i < reference->table->count; i++)
        if (reference->table->kernels[i].unroll == 16)
            try_contract(&reference->table->kernels[i]);
    if (hash_file && hash_file != stdout && fclose(hash_file) != 0) {
        printf("FAILED: %s: %s\n", options.hash, strerror(errno));
        failed++;
    }
    summarize();
    if (passed + failed == 0) {
        puts("FAILED: no kernel was run");
        failed++;
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
