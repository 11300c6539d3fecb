/* The named workloads of cases.def, and their data. */
#ifndef FOCAL_BENCH_CASES_H
#define FOCAL_BENCH_CASES_H

#include <focal.h>

typedef enum { BENCH_F32, BENCH_F64 } bench_dtype;

enum { BENCH_IGNORE = 1, BENCH_IGNORED_LABEL = 255 };

typedef struct bench_case {
    const char *name, *description;
    focal_op op;
    bench_dtype dtype;
    int64_t outer, classes, inner;
    focal_target_kind target_kind;
    int features;
    double mean, deviation; /* of the normal logits */
    double positive_share;
} bench_case;

extern const bench_case bench_cases[];
extern const size_t bench_case_count;

/* NULL if there is no such case. */
const bench_case *bench_case_find(const char *name);

/* BENCH_CURVATURE: gradient and Hessian in one pass. */
typedef enum {
    BENCH_LOSS,
    BENCH_GRADIENT,
    BENCH_BOTH,
    BENCH_CURVATURE,
} bench_direction;

/* "loss", "gradient", "both", "hessian"; NULL ends the list. */
extern const char *const bench_direction_names[];

/* "f32", "f64" */
const char *bench_dtype_name(bench_dtype dtype);
size_t bench_dtype_bytes(bench_dtype dtype);

/* "f32 targets", "u8 labels", ... */
const char *bench_target_name(const bench_case *shape);

/* Everything one execution reads and writes. */
typedef struct bench_data {
    const bench_case *shape;
    int64_t outer, inner; /* the case's, or fewer */
    size_t elements;
    void *logits, *gradient; /* float or double */
    void *hessian;           /* NULL unless wanted when made */
    void *targets;
    size_t target_bytes;
    double alpha_positive, alpha_negative; /* RetinaNet's 0.25 and 0.75; 1 for softmax */
} bench_data;

/* What bench_data_create() makes: the case, or one of about `elements` logits (0: the case's own). */
typedef struct bench_size {
    int64_t outer, inner;
} bench_size;
bench_size bench_size_of(const bench_case *shape, int64_t elements);

/* Bytes that bench_data_create() allocates. */
size_t bench_data_size(const bench_case *shape, bench_size size, int with_hessian);

/* The same numbers on every machine, up to the roundings of its libm. Returns 0 if memory is
 * short. */
int bench_data_create(bench_data *data, const bench_case *shape, bench_size size,
                      int with_hessian);
void bench_data_release(bench_data *data);

/* Bytes that must move between memory and core per execution: each input read once, each output
 * written once. No allocation traffic of the written lines is counted. */
double bench_traffic(const bench_data *data, bench_direction direction);

/* The library's problem for it, of the given gamma; tier and outputs set. */
void bench_problem(focal_problem *problem, const bench_data *data, double gamma,
                   bench_direction direction, focal_tier tier);

/* Targets [first, first + count) of sigmoid in the logits' type: the data's own, or written to
 * `scratch`. What a caller without labels would have in memory, made in cache. */
const void *bench_real_targets(const bench_data *data, size_t first, size_t count,
                               void *scratch);

/* The label of a row. */
size_t bench_label(const bench_data *data, size_t row);

/* 64-byte aligned and zeroed; from 2 MiB on aligned to huge pages, which are asked for. */
void *bench_allocate(size_t bytes);

#endif
