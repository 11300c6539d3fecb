/* `focal bench compare`: two reports, variant by variant. */
#include "bench.h"
#include "command.h"

#include <stdio.h>
#include <string.h>

/* Fewer rounds have no interval. */
static const double rounds_least = 6.0;

static int is_same(const bench_record *a, const bench_record *b) {
    return strcmp(a->name, b->name) == 0 && strcmp(a->variant, b->variant) == 0 &&
           strcmp(a->direction, b->direction) == 0 && strcmp(a->targets, b->targets) == 0 &&
           strcmp(a->op, b->op) == 0 && a->rows == b->rows && a->classes == b->classes &&
           a->inner == b->inner && strcmp(a->dtype, b->dtype) == 0 && a->gamma == b->gamma;
}

static const bench_record *find(const bench_report *report, const bench_record *wanted) {
    for (size_t i = 0; i < report->count; i++)
        if (is_same(&report->records[i], wanted))
            return &report->records[i];
    return NULL;
}

/* The interval of a quotient from those of its parts: wider than 95 %, as the two files were
 * not measured in the same rounds. */
static focal_verdict judge(const bench_record *before, const bench_record *after,
                           double floor) {
    if (before->rounds < rounds_least || after->rounds < rounds_least)
        return FOCAL_NOISE;
    return focal_judge(after->median / before->median, after->low / before->high,
                       after->high / before->low, floor);
}

static void note_differences(const bench_report *before, const bench_report *after) {
    static const bench_card_line lines[] = {BENCH_CARD_CPU,      BENCH_CARD_CACHES,
                                            BENCH_CARD_GOVERNOR, BENCH_CARD_COMPILER,
                                            BENCH_CARD_FLAGS,    BENCH_CARD_SLEEF};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        const char *a = before->card.text[lines[i]], *b = after->card.text[lines[i]];
        if (strcmp(a, b) != 0)
            note("different %s: '%s' and '%s'", bench_card_keys[lines[i]], a, b);
    }
}

static int is_virtual(const bench_report *report) {
    return strcmp(report->card.text[BENCH_CARD_VIRTUAL], "no") != 0;
}

/* The part before the comma: the kind of time. */
static int same_clock(const bench_report *before, const bench_report *after) {
    const char *a = before->card.text[BENCH_CARD_CLOCK];
    const char *b = after->card.text[BENCH_CARD_CLOCK];
    size_t length = strcspn(a, ",");
    return length == strcspn(b, ",") && strncmp(a, b, length) == 0;
}

static void print(const bench_report *before, const bench_report *after, double floor) {
    size_t counts[3] = {0}, missing = 0;
    printf("%-14s %-9s %6s  %-18s %9s %9s %7s  %s\n", "case", "direction", "gamma", "variant",
           "old ns/el", "new ns/el", "new/old", "verdict");
    for (size_t i = 0; i < after->count; i++) {
        const bench_record *b = &after->records[i], *a = find(before, b);
        missing += a == NULL;
        if (!a)
            continue;
        focal_verdict verdict = judge(a, b, floor);
        counts[verdict]++;
        printf("%-14s %-9s %6g  %-18s %9.4f %9.4f %7.3f  %s\n", b->name, b->direction, b->gamma,
               b->variant, a->median, b->median, b->median / a->median,
               focal_verdict_name(verdict));
    }
    printf("%zu faster, %zu slower, %zu noise; below %.0f %% is noise%s\n",
           counts[FOCAL_FASTER], counts[FOCAL_SLOWER], counts[FOCAL_NOISE], 100.0 * floor,
           floor > FOCAL_FLOOR_FILES ? ": virtual machine" : "");
    size_t lost = 0;
    for (size_t i = 0; i < before->count; i++)
        lost += find(after, &before->records[i]) == NULL;
    if (missing + lost > 0)
        printf("not compared: %zu only in the old report, %zu only in the new one\n", lost,
               missing);
}

int bench_compare(const char *old_path, const char *new_path) {
    bench_report before, after;
    int code = bench_read(old_path, &before);
    if (code != DONE)
        return code;
    code = bench_read(new_path, &after);
    if (code == DONE && !same_clock(&before, &after))
        code = fail(FAILED, "the reports have different clocks: '%s' and '%s'",
                    before.card.text[BENCH_CARD_CLOCK], after.card.text[BENCH_CARD_CLOCK]);
    if (code == DONE) {
        note_differences(&before, &after);
        print(&before, &after,
              is_virtual(&before) || is_virtual(&after) ? FOCAL_FLOOR_VIRTUAL
                                                        : FOCAL_FLOOR_FILES);
    }
    bench_report_release(&before);
    bench_report_release(&after);
    return code;
}
