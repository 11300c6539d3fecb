/* Labels as the f32 kernels take them. */
#ifndef FOCAL_DISPATCH_LABELS_H
#define FOCAL_DISPATCH_LABELS_H

#include "plan.h"

/* The kept rows' labels as columns of the tile, negative if it has none of that class: the caller's array,
 * if it holds just that, else `scratch`. */
const int32_t *focal_labels_take(const focal_call *call, const focal_tile *tile,
                                 int32_t *scratch);

/* How many rows have a column. */
int64_t focal_labels_count(const int32_t *columns, size_t rows);

/* All rows' labels; -1 for those that are skipped. */
void focal_labels_take_all(const focal_call *call, const focal_tile *tile, int32_t *columns);

/* One byte for each class of each row: 1 in its column, else 0. For tiles of 1, 2 or 4 classes, where that
 * costs less than what kernels do per label; false for others. */
bool focal_labels_mark(const int32_t *columns, size_t rows, size_t width, uint8_t *marks);

#endif
