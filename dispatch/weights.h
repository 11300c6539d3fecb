/* Weights of the f32 kernels' results: what a block's elements (sigmoid) or rows (softmax) are
 * multiplied by. Products of elements' weights are made in double, of factors that are 0 or normal floats,
 * and rounded once; one that is not 0 stays so and finite. */
#ifndef FOCAL_DISPATCH_WEIGHTS_H
#define FOCAL_DISPATCH_WEIGHTS_H

#include "plan.h"

/* The kernel's row step loads so many factors at once. */
enum { FOCAL_FACTORS_STEP = 8 };

/* Whether sigmoid's results are multiplied by weights of elements, rows or classes, or by an alpha_t
 * that differs from class to class. */
bool focal_has_element_weights(const focal_call *call);

/* Whether softmax's rows have factors: weights, or an alpha that differs from row to row. */
bool focal_has_row_factors(const focal_call *call);

/* The weights of the tile's kept elements, in `scratch` or, if they are those of the caller, where they
 * lie. `span` has their targets. */
const float *focal_take_element_weights(const focal_call *call, const focal_tile *tile,
                                        const focal_span *span, float *scratch);

/* alpha times the weights of each kept row, or with `all` of every row, where skipped ones have 0;
 * followed by zeros up to a multiple of FOCAL_FACTORS_STEP. */
void focal_take_row_factors(const focal_call *call, const focal_tile *tile, bool all,
                            double *factors);

#endif
