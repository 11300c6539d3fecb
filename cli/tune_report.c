/* What `focal tune` prints. */
#include "tune.h"

#include "library.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *tune_variant(const char *kernel) {
    const char *end = strstr(kernel, "__");
    return end ? end + 2 : kernel;
}

int tune_is_default(const focal_tune_result *result) {
    return strcmp(result->kernel, result->default_kernel) == 0 && result->task_elements == 0;
}

int tune_fail(const tune_request *request, const focal_error *error) {
    char text[LIBRARY_TEXT];
    return fail(FAILED, "%s%s%s", request->path ? request->path_option : "",
                request->path ? " " : "", library_message(error, text));
}

static void print_row(const tune_case *one) {
    const focal_tune_result *result = &one->result;
    char label[TUNE_LABEL_MAX], winner[80];
    int same = tune_is_default(result);
    tune_label(one, label);
    if (result->task_elements)
        snprintf(winner, sizeof winner, "%.40s task %llu", tune_variant(result->kernel),
                 (unsigned long long)result->task_elements);
    else
        snprintf(winner, sizeof winner, "%.60s",
                 same ? "the same" : tune_variant(result->kernel));
    printf("%-58s %8.3f ns  %-14s %-24s", label, result->default_ns,
           tune_variant(result->default_kernel), winner);
    if (same)
        putchar('\n');
    else
        printf(" %5.1f %%  (%.1f to %.1f)\n", 100.0 * (1.0 - result->ratio),
               100.0 * (1.0 - result->high), 100.0 * (1.0 - result->low));
}

void tune_print(const tune_list *list, int all) {
    size_t measured = 0, same = 0;
    for (size_t i = 0; i < list->count; i++) {
        const tune_case *one = &list->cases[i];
        if (!one->measured)
            continue;
        if (measured++ == 0)
            printf("%-58s %11s  %-14s %-24s %7s  %s\n", "case", "per logit", "default",
                   "winner", "gain", "interval");
        same += tune_is_default(&one->result) != 0;
        if (all || !tune_is_default(&one->result))
            print_row(one);
    }
    printf("%zu of %zu cases measured: the default is best in %zu, another choice in %zu\n",
           measured, list->count, same, measured - same);
}

void tune_print_report(const focal_tune_report *report) {
    printf("tuning file  %s\n", *report->path ? report->path : "none");
    printf("entries      %u used, %u stale (other builds), %u of other hosts, %u rejected\n",
           (unsigned)report->accepted, (unsigned)report->stale, (unsigned)report->foreign,
           (unsigned)report->rejected);
    if (*report->reason && report->line)
        printf("             line %u: %s\n", (unsigned)report->line, report->reason);
    else if (*report->reason)
        printf("             %s\n", report->reason);
}

static const char *section_text(uint32_t section) {
    return section == FOCAL_TUNE_OWN     ? "used"
           : section == FOCAL_TUNE_STALE ? "stale: another build of the library"
                                         : "of another host";
}

static void print_entry(const focal_tune_entry *entry) {
    char task[32] = "";
    if (entry->task_elements)
        snprintf(task, sizeof task, " task %llu", (unsigned long long)entry->task_elements);
    printf("  %-44s %-10s %3u %3u %3u  %-16s %8.3f ns %6.1f %%  %04u-%02u-%02u%s%s\n",
           entry->contract, entry->target, (unsigned)entry->elements_log2,
           (unsigned)entry->classes_log2, (unsigned)entry->threads, tune_variant(entry->kernel),
           entry->ns, 100.0 * (1.0 - entry->ratio), (unsigned)(entry->date / 10000),
           (unsigned)(entry->date / 100 % 100), (unsigned)(entry->date % 100), task,
           entry->refused ? "  REFUSED" : "");
}

int tune_show(const tune_request *request) {
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    focal_error error = FOCAL_ERROR_INIT;
    if (focal_tune_load(request->path, &report, &error) != FOCAL_OK)
        return tune_fail(request, &error);
    tune_print_report(&report);
    focal_tune_entry entry = {.struct_size = sizeof entry};
    char host[sizeof entry.host] = "", build[sizeof entry.build] = "";
    for (size_t i = 0; focal_tune_get(i, &entry) == FOCAL_OK; i++) {
        if (strcmp(host, entry.host) != 0 || strcmp(build, entry.build) != 0) {
            printf("\n%s\n%s\n(%s)\n", entry.host, entry.build, section_text(entry.section));
            printf("  %-44s %-10s %3s %3s %3s  %-16s %11s %8s  %s\n", "contract", "targets",
                   "n", "c", "t", "kernel", "per logit", "gain", "date");
            strcpy(host, entry.host);
            strcpy(build, entry.build);
        }
        print_entry(&entry);
    }
    return DONE;
}
