/* What is counted over all blocks, and the divisor made of it. */
#ifndef FOCAL_DISPATCH_TOTALS_H
#define FOCAL_DISPATCH_TOTALS_H

#include "plan.h"

typedef struct focal_totals {
    double loss, weight;
    int64_t rows, positives, ignored, elements;
} focal_totals;

/* Adds the block results in index order: the one place where blocks meet. */
void focal_totals_add(focal_totals *sum, const focal_call *call);

/* The losses of rows that are several blocks. */
void focal_row_losses_add(const focal_call *call);

/* Whether the divisor depends on the targets or weights of all rows. */
bool focal_counts_first(const focal_problem *problem);

double focal_divisor(const focal_call *call, const focal_totals *sum);

/* Fills a caller's struct of any version, which may be NULL. */
void focal_sums_give(focal_sums *sums, const focal_totals *sum, double normalizer, bool loss);

#endif
