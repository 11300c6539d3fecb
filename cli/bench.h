/* What the parts of `focal bench` share: records, one per measured variant, and the files that
 * hold them. */
#ifndef FOCAL_CLI_BENCH_H
#define FOCAL_CLI_BENCH_H

#include "output.h"

#include <host.h>
#include <runner.h>

/* What a variant is compared with, in the same rounds: X(ID, name in JSON, heading, what). */
#define BENCH_REFERENCE_LIST(X)                                                                \
    X(SCALAR, "scalar", "scalar", "the row scalar of the same tier")                           \
    X(SLEEF, "sleef", "sleef", "SLEEF called per vector of the same width")                    \
    X(PLAIN, "plain", "plain", "the formula in C at -O3")                                      \
    X(VECTORISED, "vectorised", "vector.", "the same C, vectorised by the compiler")           \
    X(ROOFLINE, "roofline", "roofl.", "moving the bytes alone, by as many threads")            \
    X(ONE_THREAD, "one_thread", "1 thr.", "the same on one thread")

enum {
#define BENCH_REFERENCE_ENUM(id, name, heading, what) REFERENCE_##id,
    BENCH_REFERENCE_LIST(BENCH_REFERENCE_ENUM)
#undef BENCH_REFERENCE_ENUM
        REFERENCE_COUNT
};

/* Fields of a record in the order of the file. Times are ns per element; the peak is that of the
 * process while the table was measured. */
#define BENCH_RECORD_TEXTS(X)                                                                  \
    X(name, "case")                                                                            \
    X(op, "op")                                                                                \
    X(dtype, "dtype")                                                                          \
    X(targets, "targets")                                                                      \
    X(direction, "direction")                                                                  \
    X(variant, "variant")
#define BENCH_RECORD_NUMBERS(X)                                                                \
    X(rows, "rows")                                                                            \
    X(classes, "classes")                                                                      \
    X(inner, "inner")                                                                          \
    X(gamma, "gamma")                                                                          \
    X(rounds, "rounds")                                                                        \
    X(iterations, "iterations_per_sample")                                                     \
    X(preempted, "preempted_samples")                                                          \
    X(median, "ns_per_element")                                                                \
    X(mad, "mad_ns")                                                                           \
    X(least, "min_ns")                                                                         \
    X(low, "low_ns")                                                                           \
    X(high, "high_ns")                                                                         \
    X(cycles, "cycles_per_element")                                                            \
    X(bytes, "bytes_per_element")                                                              \
    X(bandwidth, "gb_per_second")                                                              \
    X(call, "ns_per_call")                                                                     \
    X(peak, "peak_memory_bytes")

enum { RECORD_TEXT = 48 };

/* Time of the reference by time of this: above 1 this is faster. NaN: there is no such. */
typedef struct bench_speedup {
    double ratio, low, high;
} bench_speedup;

typedef struct bench_record {
#define BENCH_RECORD_TEXT(field, key)   char field[RECORD_TEXT];
#define BENCH_RECORD_NUMBER(field, key) double field;
    BENCH_RECORD_TEXTS(BENCH_RECORD_TEXT)
    BENCH_RECORD_NUMBERS(BENCH_RECORD_NUMBER)
#undef BENCH_RECORD_TEXT
#undef BENCH_RECORD_NUMBER
    bench_speedup against[REFERENCE_COUNT];
} bench_record;

/* A report: the host card and its records, which grow by bench_report_add(). */
typedef struct bench_report {
    bench_card card;
    bench_record *records;
    size_t count, capacity;
} bench_report;

/* Grows by one record of zeros; NULL if memory is short. */
bench_record *bench_report_add(bench_report *report);
void bench_report_release(bench_report *report);

/* ---- bench_report.c ---- */

void bench_print_card(const bench_card *card);
/* As the member "host" of the open JSON object. */
void bench_write_card(const bench_card *card);

/* Appends one record per result of a workload and prints them as a table. */
int bench_report_workload(bench_report *report, const bench_data *data, double gamma,
                          bench_direction direction, const bench_result *results, size_t count);

/* To an output that has been checked. */
int bench_write(output_file *output, const bench_report *report);

/* ---- bench_read.c: only what bench_write() wrote ---- */

int bench_read(const char *path, bench_report *report);

/* ---- bench_compare.c ---- */

int bench_compare(const char *old_path, const char *new_path);

#endif
