/* Robust statistics of samples: nothing here assumes a distribution, and nothing is random. */
#ifndef FOCAL_BENCH_STATS_H
#define FOCAL_BENCH_STATS_H

#include <stddef.h>

typedef struct bench_summary {
    size_t count;
    double median, mad, least; /* MAD: median distance from the median, not scaled */
    /* Order statistics that enclose the true median with at least 95 % (sign test). Fewer than 6
     * samples cannot: then these are the extremes. */
    double low, high;
} bench_summary;

/* Zeros for no samples. Leaves the samples alone; at most BENCH_SAMPLES_MAX are looked at. */
enum { BENCH_SAMPLES_MAX = 1000 };
bench_summary bench_summarize(const double *samples, size_t count);

/* Of numerator[i] / denominator[i], both measured in round i: what slows a whole round down
 * cancels. */
bench_summary bench_paired_ratio(const double *numerator, const double *denominator,
                                 size_t count);

/* Half the interval's width by the median; infinite for fewer than 6 samples. */
double bench_uncertainty(const bench_summary *summary);

typedef enum { BENCH_NOISE, BENCH_FASTER, BENCH_SLOWER } bench_verdict;

/* Differences below these are noise whatever the interval says: within one run, between runs,
 * and between runs where either was on a virtual machine, whose neighbours change. */
#define BENCH_FLOOR_PAIRED  0.03
#define BENCH_FLOOR_FILES   0.03
#define BENCH_FLOOR_VIRTUAL 0.10

/* `ratio`: time of the new by time of the old. Faster or slower only beyond the floor, and only
 * if the interval excludes 1. */
bench_verdict bench_judge(double ratio, double low, double high, double floor);
const char *bench_verdict_name(bench_verdict verdict);

#endif
