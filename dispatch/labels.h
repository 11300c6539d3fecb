/* Labels as the f32 kernels take them. */
#ifndef FOCAL_DISPATCH_LABELS_H
#define FOCAL_DISPATCH_LABELS_H

#include "plan.h"

/* The kept rows' labels as columns of the tile; -1 if it has none of that class. Returns how many it
 * has. `columns` has room for all rows. Labels have been checked. */
int64_t focal_labels_take(const focal_call *call, const focal_tile *tile, int32_t *columns);

/* All rows' labels; -1 for those that are skipped. */
void focal_labels_take_all(const focal_call *call, const focal_tile *tile, int32_t *columns);

/* One byte for each class of each row: 1 in its column, else 0. For tiles of 1, 2 or 4 classes, where that
 * costs less than what kernels do per label; false for others. */
bool focal_labels_mark(const int32_t *columns, size_t rows, size_t width, uint8_t *marks);

#endif
