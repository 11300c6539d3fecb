/* `focal info`: what the library sees of this machine, and what it chooses. */
#include "command.h"
#include "json.h"

#include <focal.h>

#include <stdio.h>
#include <string.h>

#ifdef FOCAL_CLI_OPENMP
#define OPENMP_BUILT 1
#else
#define OPENMP_BUILT 0
#endif

#define INFO_OPTIONS(X) X(JSON, "json", NULL, "one JSON object instead of text")

enum { INFO_OPTIONS(OPTION_INDEX) OPTION_COUNT };

/* ISA rows are few; the library numbers them from the best to the most portable. */
enum { ROWS_MAX = 32 };

typedef struct isa_list {
    focal_isa_info rows[ROWS_MAX];
    size_t count, chosen; /* chosen == count if none */
} isa_list;

static void read_rows(isa_list *list) {
    list->count = focal_isa_count() < ROWS_MAX ? focal_isa_count() : ROWS_MAX;
    list->chosen = list->count;
    for (size_t i = 0; i < list->count; i++) {
        list->rows[i].struct_size = sizeof list->rows[i];
        focal_isa_get(i, &list->rows[i]);
        if (list->rows[i].chosen)
            list->chosen = i;
    }
}

/* Why a row is chosen or not, in one sentence part. */
static const char *reason(const isa_list *list, size_t index, const char *cap, char text[320]) {
    const focal_isa_info *row = &list->rows[index];
    if (!row->built)
        return "not built into this library";
    if (!row->usable)
        snprintf(text, 320, "this machine lacks %s", row->missing);
    else if (row->chosen && *cap)
        snprintf(text, 320, "the best usable row up to the cap %s", cap);
    else if (row->chosen)
        return "the best usable row";
    else if (index < list->chosen)
        snprintf(text, 320, "better than the cap %s allows", cap);
    else
        snprintf(text, 320, "usable, but %s is better", list->rows[list->chosen].name);
    return text;
}

static void print_cache(const char *name, uint32_t bytes) {
    if (bytes == 0)
        printf("%s unknown", name);
    else if (bytes % (1024 * 1024) == 0)
        printf("%s %u MiB", name, (unsigned)(bytes / (1024 * 1024)));
    else
        printf("%s %u KiB", name, (unsigned)(bytes / 1024));
}

static void print_tuning(void) {
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    if (focal_tune_state(&report) != FOCAL_OK)
        printf("tuning file  none (this library is built without the tuner)\n");
    else if (!*report.path)
        printf("tuning file  none (%s)\n", report.reason);
    else
        printf("tuning file  %s (%u entries used)%s%s\n", report.path,
               (unsigned)report.accepted, *report.reason ? ": " : "", report.reason);
}

static void print_text(const focal_host_info *host, const isa_list *list) {
    char text[320];
    printf("library      libfocal %s\n", focal_version());
    printf("compiler     %s\n", host->compiler);
    printf("SLEEF        %s\n", host->sleef);
    printf("OpenMP       %s\n", OPENMP_BUILT ? "yes" : "no: built without, --threads 1 only");
    printf("CPU          %s\n", host->cpu);
    printf("features     %s\n", *host->features ? host->features : "none");
    printf("masked       %s\n", *host->masked ? host->masked : "none");
    printf("caches       ");
    print_cache("L1d", host->l1d_bytes);
    print_cache(", L2", host->l2_bytes);
    print_cache(", L3", host->l3_bytes);
    printf("\nISA cap      %s\n", *host->isa_cap ? host->isa_cap : "none");
    if (*host->cap_note)
        printf("             %s\n", host->cap_note);
    print_tuning();

    printf("\n%-11s  %-5s  %-6s  %-6s  %s\n", "ISA row", "built", "usable", "chosen", "why");
    for (size_t i = 0; i < list->count; i++) {
        const focal_isa_info *row = &list->rows[i];
        printf("%-11s  %-5s  %-6s  %-6s  %s\n", row->name, row->built ? "yes" : "no",
               row->usable ? "yes" : "no", row->chosen ? "yes" : "no",
               reason(list, i, host->isa_cap, text));
    }
}

static void json_words(const char *key, const char *words) {
    json_open(key, '[');
    while (*words) {
        char word[64];
        size_t length = strcspn(words, " ");
        snprintf(word, sizeof word, "%.*s", (int)length, words);
        if (length > 0)
            json_string(NULL, word);
        words += length + (words[length] == ' ');
    }
    json_close(']');
}

static void json_cache(const char *key, uint32_t bytes) {
    if (bytes)
        json_integer(key, bytes);
    else
        json_string(key, NULL);
}

static void json_tuning(void) {
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    focal_tune_state(&report);
    json_string("tuning_file", *report.path ? report.path : NULL);
    json_integer("tuning_entries", report.accepted);
}

static void print_json(const focal_host_info *host, const isa_list *list) {
    char text[320];
    json_open(NULL, '{');
    json_string("library_version", focal_version());
    json_string("compiler", host->compiler);
    json_string("sleef", host->sleef);
    json_boolean("openmp", OPENMP_BUILT);
    json_string("cpu", host->cpu);
    json_words("features", host->features);
    json_words("masked_features", host->masked);
    json_cache("l1d_bytes", host->l1d_bytes);
    json_cache("l2_bytes", host->l2_bytes);
    json_cache("l3_bytes", host->l3_bytes);
    json_string("isa_cap", *host->isa_cap ? host->isa_cap : NULL);
    json_string("isa_cap_note", *host->cap_note ? host->cap_note : NULL);
    json_tuning();
    json_string("isa", list->chosen < list->count ? list->rows[list->chosen].name : NULL);
    json_open("isa_rows", '[');
    for (size_t i = 0; i < list->count; i++) {
        const focal_isa_info *row = &list->rows[i];
        json_open(NULL, '{');
        json_string("name", row->name);
        json_boolean("built", row->built);
        json_boolean("usable", row->usable);
        json_boolean("chosen", row->chosen);
        json_string("missing", *row->missing ? row->missing : NULL);
        json_string("why", reason(list, i, host->isa_cap, text));
        json_close('}');
    }
    json_close(']');
    json_close('}');
}

static int run(const char *const *values) {
    isa_list list;
    focal_host_info host = {.struct_size = sizeof host};
    focal_status status = focal_host_get(&host);
    if (status != FOCAL_OK)
        return fail(FAILED, "libfocal %s does not fit this command: %s", focal_version(),
                    focal_status_text(status));
    read_rows(&list);
    if (values[OPTION_JSON])
        print_json(&host, &list);
    else
        print_text(&host, &list);
    return DONE;
}

static const option_spec options[] = {INFO_OPTIONS(OPTION_ENTRY)};

const command command_info = {
    .name = "info",
    .summary = "Show the CPU, the instruction sets, and which of them is used",
    .synopsis = " [--json]",
    .details =
        "The environment variable FOCAL_ISA caps the choice: FOCAL_ISA=avx2 focal info\n",
    .options = options,
    .option_count = OPTION_COUNT,
    .run = run,
};
