/* The named workloads of cases.def, and their data. */
#ifndef FOCAL_BENCH_CASES_H
#define FOCAL_BENCH_CASES_H

#include <focal.h>

typedef struct bench_case {
    const char *name, *description;
    focal_op op;
    int64_t rows, classes;
    focal_target_kind target_kind;
    double mean, deviation; /* of the normal logits */
    double positive_share;
} bench_case;

extern const bench_case bench_cases[];
extern const size_t bench_case_count;

typedef enum { BENCH_LOSS, BENCH_GRADIENT, BENCH_BOTH } bench_direction;

/* "loss", "gradient", "both"; NULL ends the list. */
extern const char *const bench_direction_names[];

/* "f32", "u8 labels", ... */
const char *bench_target_name(focal_target_kind kind);
size_t bench_target_bytes(focal_target_kind kind);

/* Everything one execution reads and writes. */
typedef struct bench_data {
    const bench_case *shape;
    int64_t rows; /* the case's, or fewer */
    size_t elements;
    float *logits, *gradient;
    void *targets;
    size_t target_bytes;
    double alpha_positive, alpha_negative; /* RetinaNet's 0.25 and 0.75; 1 for softmax */
} bench_data;

/* Bytes that bench_data_create() allocates. */
size_t bench_data_size(const bench_case *shape, int64_t rows);

/* The same numbers on every machine, up to the roundings of its libm. Returns 0 if memory is
 * short. */
int bench_data_create(bench_data *data, const bench_case *shape, int64_t rows);
void bench_data_release(bench_data *data);

/* Bytes that must move between memory and core per execution: each input read once, the
 * gradient written once. No allocation traffic of the written lines is counted. */
double bench_traffic(const bench_data *data, bench_direction direction);

/* The library's problem for it, of the given gamma; tier and outputs set. */
void bench_problem(focal_problem *problem, const bench_data *data, double gamma,
                   bench_direction direction, focal_tier tier);

/* Targets [first, first + count) of sigmoid as floats: the data's own, or written to
 * `scratch`. What a caller without labels would have in memory, made in cache. */
const float *bench_float_targets(const bench_data *data, size_t first, size_t count,
                                 float *scratch);

/* The label of a softmax row. */
size_t bench_label(const bench_data *data, size_t row);

/* 64-byte aligned and zeroed; from 2 MiB on aligned to huge pages, which are asked for. */
void *bench_allocate(size_t bytes);

#endif
