/* Numbers between their storage and the float or double that kernels take. */
#ifndef FOCAL_DISPATCH_CONVERT_H
#define FOCAL_DISPATCH_CONVERT_H

#include <stddef.h>

#include "focal.h"
#include "kernel.h"

/* Bytes of one element; 0 for a number that is no dtype. */
size_t focal_dtype_size(focal_dtype dtype);

/* Exact, but for f64 to float, which is rounded. NaN stays NaN. The arrays may not overlap. Between float
 * and 16 bits the table's functions are used. */
void focal_load_f32(const focal_kernel_table *table, focal_dtype dtype, const void *from,
                    float *to, size_t count);
void focal_load_f64(focal_dtype dtype, const void *from, double *to, size_t count);

/* Rounded once, to nearest with ties to even: overflow gives infinity, small results are
 * subnormal. NaN stays NaN and quiet. */
void focal_store_f32(const focal_kernel_table *table, focal_dtype dtype, const float *from,
                     void *to, size_t count);
void focal_store_f64(focal_dtype dtype, const double *from, void *to, size_t count);

/* The table's function for a type of 16 bits, else NULL. */
focal_half_load *focal_half_loader(const focal_kernel_table *table, focal_dtype dtype);
focal_half_store *focal_half_storer(const focal_kernel_table *table, focal_dtype dtype);

#endif
