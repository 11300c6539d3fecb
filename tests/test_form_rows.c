/* Every form kernel of every ISA row that this machine can run against row scalarfma, bit for bit; and
 * the same check on kernels with planted mistakes, which it has to see.
 *
 * usage: test_form_rows [--quick] [--seed N] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "form_plants.h"
#include "isa.h"

static unsigned passed, failed;
static form_rows_settings settings = {
    .seed = 1, .rounds = 300, .bits = true, .time_limit = 120};

static void print_report(const char *name, const form_rows_report *report) {
    printf("FAILED %s%s\n", name, report->complete ? "" : ": did not come to its end");
    for (int check = 0; check < FORM_CHECK_COUNT; check++)
        if (report->failed[check])
            printf("    %s: %s\n", form_check_text((form_check)check), report->first[check]);
}

/* Whether the row's bits are the reference's. */
static bool is_exact(const focal_isa_row *row) {
    return strcmp(row->name, "scalar") != 0;
}

/* The kernel of the same contract: the name up to "__". */
static const focal_form_kernel *find(const focal_kernel_table *table, const char *name) {
    size_t length = (size_t)(strstr(name, "__") - name);
    for (size_t i = 0; i < table->form_count; i++)
        if (strncmp(table->forms[i].name, name, length + 2) == 0)
            return &table->forms[i];
    return NULL;
}

/* Of an ISA row. */
typedef struct {
    unsigned passed, failed;
    uint64_t calls, values;
} tally;

static void try_kernel(const focal_isa_row *row, const focal_form_kernel *reference,
                       tally *counts) {
    const focal_form_kernel *kernel = find(row->table, reference->name);
    if (!kernel) {
        printf("FAILED %s has no kernel for %s\n", row->name, reference->name);
        counts->failed++;
        return;
    }
    form_rows_report report;
    settings.bits = is_exact(row);
    bool good = form_rows_try(kernel, reference, settings, &report);
    if (!good)
        print_report(kernel->name, &report);
    *(good ? &counts->passed : &counts->failed) += 1;
    counts->calls += report.calls;
    counts->values += report.values;
}

static void finish_row(const focal_isa_row *row, size_t expected, tally *counts) {
    if (row->table->form_count != expected) {
        printf("FAILED %s: %zu form kernels, not %zu\n", row->name, row->table->form_count,
               expected);
        counts->failed++;
    }
    passed += counts->passed;
    failed += counts->failed;
    printf("row %s: %u passed, %u failed\n", row->name, counts->passed, counts->failed);
    printf("    %llu calls, %llu values %s\n", (unsigned long long)counts->calls,
           (unsigned long long)counts->values,
           is_exact(row) ? "equal bit for bit" : "NaN where scalarfma's are");
}

/* Kernel by kernel, for the sake of the reference's results. */
static void try_rows(const focal_kernel_table *reference) {
    tally *counts = calloc(focal_isa_row_count, sizeof *counts);
    if (!counts) {
        puts("FAILED: out of memory");
        failed++;
        return;
    }
    const uint64_t features = focal_cpu_host()->features;
    for (size_t i = 0; i < reference->form_count; i++)
        for (size_t k = 0; k < focal_isa_row_count; k++)
            if (focal_isa_usable(&focal_isa_rows[k], features))
                try_kernel(&focal_isa_rows[k], &reference->forms[i], &counts[k]);
    for (size_t k = 0; k < focal_isa_row_count; k++)
        if (focal_isa_usable(&focal_isa_rows[k], features))
            finish_row(&focal_isa_rows[k], reference->form_count, &counts[k]);
    free(counts);
}

static void try_plant(const form_plant *plant, const focal_kernel_table *reference) {
    const focal_form_kernel *healthy = NULL;
    for (size_t i = 0; i < reference->form_count; i++)
        if (reference->forms[i].op == plant->op && reference->forms[i].tier != KERNEL_SLEEF)
            healthy = &reference->forms[i];
    *(plant->op == KERNEL_SIGMOID ? &form_plant_sigmoid : &form_plant_softmax) =
        healthy->function;
    focal_form_kernel sick = *healthy;
    sick.function = plant->function;
    form_rows_settings brief = settings;
    brief.bits = true;
    brief.rounds = 60;
    brief.time_limit = plant->expected == FORM_CHECK_TIME ? 2 : settings.time_limit;
    form_rows_report report;
    bool good = form_rows_try(&sick, healthy, brief, &report);
    if (!good && report.failed[plant->expected]) {
        passed++;
        return;
    }
    printf("FAILED: the planted mistake \"%s\" was not seen as \"%s\"\n", plant->name,
           form_check_text(plant->expected));
    print_report(plant->name, &report);
    failed++;
}

int main(int count, char **words) {
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--quick") == 0) {
            settings.rounds = 60;
        } else if (strcmp(words[i], "--seed") == 0 && i + 1 < count) {
            settings.seed = strtoull(words[++i], NULL, 0);
        } else {
            fputs("usage: test_form_rows [--quick] [--seed N]\n", stderr);
            return 2;
        }
    }
    const focal_isa_row *reference = focal_isa_find("scalarfma");
    if (!focal_isa_usable(reference, focal_cpu_host()->features)) {
        puts("FAILED: the reference row scalarfma cannot run here\n0 passed, 1 failed");
        return 1;
    }
    for (size_t i = 0; i < form_plant_count; i++)
        try_plant(&form_plants[i], reference->table);
    printf("%u of %zu planted mistakes seen\n", passed, form_plant_count);
    try_rows(reference->table);
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
