#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double middle(const double *sorted, size_t count) {
    return 0.5 * (sorted[(count - 1) / 2] + sorted[count / 2]);
}

/* The largest k such that a binomial(count, 1/2) is below k with at most 2.5 %: the median lies
 * between the k-th smallest and the k-th largest sample with at least 95 %. 0 if there is none.
 */
static size_t interval_rank(size_t count) {
    double term = exp2(-(double)count), below = 0.0;
    /* FOCAL_SAMPLES_MAX keeps 2^-count a normal number. */
    for (size_t k = 0; k < count; k++) {
        below += term;
        if (below > 0.025)
            return k;
        term *= (double)(count - k) / (double)(k + 1);
    }
    return 0;
}

focal_summary focal_summarize(const double *samples, size_t count) {
    double sorted[FOCAL_SAMPLES_MAX];
    focal_summary summary = {.count = 0};
    if (count > FOCAL_SAMPLES_MAX)
        count = FOCAL_SAMPLES_MAX;
    if (count == 0)
        return summary;
    memcpy(sorted, samples, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_doubles);
    summary.count = count;
    summary.least = sorted[0];
    summary.median = middle(sorted, count);
    size_t rank = interval_rank(count);
    summary.low = sorted[rank > 0 ? rank - 1 : 0];
    summary.high = sorted[rank > 0 ? count - rank : count - 1];
    for (size_t i = 0; i < count; i++)
        sorted[i] = fabs(sorted[i] - summary.median);
    qsort(sorted, count, sizeof *sorted, compare_doubles);
    summary.mad = middle(sorted, count);
    return summary;
}

focal_summary focal_paired_ratio(const double *numerator, const double *denominator,
                                 size_t count) {
    double ratios[FOCAL_SAMPLES_MAX];
    if (count > FOCAL_SAMPLES_MAX)
        count = FOCAL_SAMPLES_MAX;
    for (size_t i = 0; i < count; i++)
        ratios[i] = numerator[i] / denominator[i];
    return focal_summarize(ratios, count);
}

double focal_uncertainty(const focal_summary *summary) {
    if (interval_rank(summary->count) == 0)
        return (double)INFINITY;
    return 0.5 * (summary->high - summary->low) / summary->median;
}

focal_verdict focal_judge(double ratio, double low, double high, double floor) {
    if (ratio <= 1.0 - floor && high < 1.0)
        return FOCAL_FASTER;
    if (ratio >= 1.0 + floor && low > 1.0)
        return FOCAL_SLOWER;
    return FOCAL_NOISE;
}

const char *focal_verdict_name(focal_verdict verdict) {
    static const char *const names[] = {"noise", "faster", "slower"};
    return names[verdict];
}
