/* Records of `focal bench`: made from results, printed as tables, written as JSON. */
#include "bench.h"
#include "command.h"
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *heading;
} references[REFERENCE_COUNT] = {
#define REFERENCE_ENTRY(id, name, heading, what) {name, heading},
    BENCH_REFERENCE_LIST(REFERENCE_ENTRY)
#undef REFERENCE_ENTRY
};

bench_record *bench_report_add(bench_report *report) {
    if (report->count == report->capacity) {
        size_t capacity = report->capacity ? 2 * report->capacity : 64;
        bench_record *grown = realloc(report->records, capacity * sizeof *grown);
        if (!grown)
            return NULL;
        report->records = grown;
        report->capacity = capacity;
    }
    bench_record *record = &report->records[report->count++];
    memset(record, 0, sizeof *record);
    for (int i = 0; i < REFERENCE_COUNT; i++)
        record->against[i] = (bench_speedup){(double)NAN, (double)NAN, (double)NAN};
    return record;
}

void bench_report_release(bench_report *report) {
    free(report->records);
    report->records = NULL;
    report->count = report->capacity = 0;
}

void bench_print_card(const bench_card *card) {
    for (int line = 0; line < BENCH_CARD_COUNT; line++)
        printf("%-15s %s\n", bench_card_keys[line], card->text[line]);
}

/* Whether `other` is what `one` is compared with under this reference. */
static int is_reference(int reference, const bench_variant *one, const bench_variant *other) {
    int focal = one->kind == BENCH_KIND_FOCAL && other->kind == BENCH_KIND_FOCAL;
    switch (reference) {
    case REFERENCE_SCALAR:
        return focal && strcmp(other->isa, "scalar") == 0 && other->tier == one->tier &&
               other->threads == 1;
    case REFERENCE_ONE_THREAD:
        return focal && strcmp(other->isa, one->isa) == 0 && other->tier == one->tier &&
               other->threads == 1;
    case REFERENCE_ROOFLINE:
        return other->kind == BENCH_KIND_ROOFLINE && other->threads == one->threads;
    case REFERENCE_SLEEF:
        /* Of the same width; rows that have none, and opponents, beside any. */
        return other->kind == BENCH_KIND_BASELINE && other->baseline == BENCH_BASELINE_SLEEF &&
               (!one->isa || strcmp(one->isa, other->isa) == 0 ||
                !bench_baseline_usable(BENCH_BASELINE_SLEEF, one->isa));
    case REFERENCE_PLAIN:
        return other->kind == BENCH_KIND_BASELINE && other->baseline == BENCH_BASELINE_PLAIN;
    default:
        return other->kind == BENCH_KIND_BASELINE &&
               other->baseline == BENCH_BASELINE_VECTORISED;
    }
}

static void compare_all(bench_record *record, const bench_result *results, size_t count,
                        size_t index) {
    for (int reference = 0; reference < REFERENCE_COUNT; reference++)
        for (size_t i = 0; i < count; i++) {
            if (i == index ||
                !is_reference(reference, &results[index].variant, &results[i].variant))
                continue;
            focal_summary ratio = focal_paired_ratio(results[i].samples, results[index].samples,
                                                     results[index].rounds);
            record->against[reference] = (bench_speedup){ratio.median, ratio.low, ratio.high};
        }
}

static void fill(bench_record *record, const bench_data *data, double gamma,
                 bench_direction direction, const bench_result *result, double peak) {
    const double elements = (double)data->elements;
    const double bytes = bench_traffic(data, direction);
    char name[BENCH_NAME_MAX];
    bench_variant_name(&result->variant, name);
    snprintf(record->variant, RECORD_TEXT, "%s", name);
    snprintf(record->name, RECORD_TEXT, "%s", data->shape->name);
    snprintf(record->op, RECORD_TEXT, "%s",
             data->shape->op == FOCAL_SOFTMAX ? "softmax" : "sigmoid");
    snprintf(record->targets, RECORD_TEXT, "%s", bench_target_name(data->shape));
    snprintf(record->direction, RECORD_TEXT, "%s", bench_direction_names[direction]);
    snprintf(record->dtype, RECORD_TEXT, "%s", bench_dtype_name(data->shape->dtype));
    record->rows = (double)data->outer;
    record->classes = (double)data->shape->classes;
    record->inner = (double)data->inner;
    record->gamma = gamma;
    record->rounds = (double)result->rounds;
    record->iterations = (double)result->iterations;
    record->preempted = (double)result->preempted;
    record->median = result->time.median / elements;
    record->mad = result->time.mad / elements;
    record->least = result->time.least / elements;
    record->low = result->time.low / elements;
    record->high = result->time.high / elements;
    record->cycles = result->cycles > 0.0 ? result->cycles / elements : (double)NAN;
    record->bytes = bytes / elements;
    record->bandwidth = bytes / result->time.median;
    record->call = result->time.median;
    record->peak = peak > 0.0 ? peak : (double)NAN;
}

static void print_time(double ns) {
    if (ns < 1e4)
        printf(" %7.0f ns", ns);
    else if (ns < 1e7)
        printf(" %7.1f us", 1e-3 * ns);
    else
        printf(" %7.1f ms", 1e-6 * ns);
}

static void print_record(const bench_record *record, const int *columns) {
    printf("  %-18s %8.4f %7.4f %8.4f", record->variant, record->median, record->mad,
           record->least);
    if (isnan(record->cycles))
        printf(" %8s", "-");
    else
        printf(" %8.3f", record->cycles);
    printf(" %7.2f", record->bandwidth);
    print_time(record->call);
    for (int i = 0; i < REFERENCE_COUNT; i++) {
        if (!columns[i])
            continue;
        if (isnan(record->against[i].ratio))
            printf(" %8s", "-");
        else
            printf(" %8.2f", record->against[i].ratio);
    }
    printf(" %7.0f %9.0f\n", record->rounds, record->preempted);
}

static void print_table(const bench_record *records, size_t count) {
    int columns[REFERENCE_COUNT] = {0};
    for (size_t i = 0; i < count; i++)
        for (int j = 0; j < REFERENCE_COUNT; j++)
            columns[j] |= !isnan(records[i].against[j].ratio);
    printf("\n%s: %s %s %.0f x %.0f", records->name, records->dtype, records->op, records->rows,
           records->classes);
    if (records->inner > 1.0)
        printf(" x %.0f", records->inner);
    printf(", %s, gamma %g, %s, %.4g bytes per element", records->targets, records->gamma,
           records->direction, records->bytes);
    if (!isnan(records->peak))
        printf(", peak memory %.0f MB", 1e-6 * records->peak);
    printf("\n");
    printf("  %-18s %8s %7s %8s %8s %7s %10s", "variant", "ns/el", "MAD", "min", "cyc/el",
           "GB/s", "call");
    for (int i = 0; i < REFERENCE_COUNT; i++)
        if (columns[i])
            printf(" %8s", references[i].heading);
    printf(" %7s %9s\n", "rounds", "preempted");
    for (size_t i = 0; i < count; i++)
        print_record(&records[i], columns);
}

int bench_report_workload(bench_report *report, const bench_data *data, double gamma,
                          bench_direction direction, const bench_result *results,
                          size_t count) {
    size_t first = report->count;
    const double peak = (double)bench_memory_peak();
    for (size_t i = 0; i < count; i++) {
        bench_record *record = bench_report_add(report);
        if (!record)
            return fail(FAILED, "not enough memory");
        fill(record, data, gamma, direction, &results[i], peak);
        compare_all(record, results, count, i);
    }
    print_table(report->records + first, count);
    fflush(stdout);
    return DONE;
}

static void write_record(const bench_record *record) {
    json_open(NULL, '{');
#define WRITE_TEXT(field, key)   json_string(key, record->field);
#define WRITE_NUMBER(field, key) json_number(key, record->field);
    BENCH_RECORD_TEXTS(WRITE_TEXT)
    BENCH_RECORD_NUMBERS(WRITE_NUMBER)
#undef WRITE_TEXT
#undef WRITE_NUMBER
    json_open("speedup_over", '{');
    for (int i = 0; i < REFERENCE_COUNT; i++) {
        const bench_speedup *speedup = &record->against[i];
        if (isnan(speedup->ratio))
            continue;
        json_open(references[i].name, '[');
        json_number(NULL, speedup->ratio);
        json_number(NULL, speedup->low);
        json_number(NULL, speedup->high);
        json_close(']');
    }
    json_close('}');
    json_close('}');
}

void bench_write_card(const bench_card *card) {
    json_open("host", '{');
    for (int line = 0; line < BENCH_CARD_COUNT; line++)
        json_string(bench_card_keys[line], card->text[line]);
    json_close('}');
}

int bench_write(output_file *output, const bench_report *report) {
    int code = output_begin(output);
    if (code != DONE)
        return code;
    json_to(output->stream);
    json_open(NULL, '{');
    json_integer("focal_bench", 1);
    bench_write_card(&report->card);
    json_open("results", '[');
    for (size_t i = 0; i < report->count; i++)
        write_record(&report->records[i]);
    json_close(']');
    json_close('}');
    json_to(NULL);
    code = output_end(output);
    return code == DONE ? output_commit(output) : code;
}
