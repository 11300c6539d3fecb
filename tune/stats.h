/* Robust statistics of samples: nothing here assumes a distribution, and nothing is random. */
#ifndef FOCAL_TUNE_STATS_H
#define FOCAL_TUNE_STATS_H

#include <stddef.h>

typedef struct focal_summary {
    size_t count;
    double median, mad, least; /* MAD: median distance from the median, not scaled */
    /* Order statistics that enclose the true median with at least 95 % (sign test). Fewer than 6
     * samples cannot: then these are the extremes. */
    double low, high;
} focal_summary;

/* Zeros for no samples. Leaves the samples alone; at most FOCAL_SAMPLES_MAX are looked at. */
enum { FOCAL_SAMPLES_MAX = 1000 };
focal_summary focal_summarize(const double *samples, size_t count);

/* Of numerator[i] / denominator[i], both measured in round i: what slows a whole round down
 * cancels. */
focal_summary focal_paired_ratio(const double *numerator, const double *denominator,
                                 size_t count);

/* Half the interval's width by the median; infinite for fewer than 6 samples. */
double focal_uncertainty(const focal_summary *summary);

typedef enum { FOCAL_NOISE, FOCAL_FASTER, FOCAL_SLOWER } focal_verdict;

/* Differences below these are noise whatever the interval says: within one run, between runs,
 * and between runs where either was on a virtual machine, whose neighbours change. */
#define FOCAL_FLOOR_PAIRED  0.03
#define FOCAL_FLOOR_FILES   0.03
#define FOCAL_FLOOR_VIRTUAL 0.10

/* `ratio`: time of the new by time of the old. Faster or slower only beyond the floor, and only
 * if the interval excludes 1. */
focal_verdict focal_judge(double ratio, double low, double high, double floor);
const char *focal_verdict_name(focal_verdict verdict);

#endif
