/* Tiles whose rows are adjacent in memory, and whose classes are far apart: planes, as of the
 * pixels of N x C x H x W; and short rows that are turned over into such. */
#ifndef FOCAL_DISPATCH_PLANES_H
#define FOCAL_DISPATCH_PLANES_H

#include "focal.h"
#include "gather.h"
#include "kernel.h"

/* Whether every plane of the tile lies in one piece. */
bool focal_tile_has_whole_planes(const focal_tile *tile, const focal_layout *layout);

/* All rows of the tile, skipped or not, as floats: class after class, `tile->rows` of each. */
void focal_planes_take(const focal_kernel_table *table, const focal_tile *tile,
                       const focal_layout *layout, const void *array, focal_dtype dtype,
                       float *staged);
void focal_planes_give(const focal_kernel_table *table, const focal_tile *tile,
                       const focal_layout *layout, const float *staged, void *array,
                       focal_dtype dtype);

/* Turns floats over: `count` rows of adjacent classes, and planes of as many rows. */
void focal_planes_of_rows(const float *rows, size_t count, size_t classes, float *planes);
void focal_rows_of_planes(const float *planes, size_t count, size_t classes, float *rows);

#endif
