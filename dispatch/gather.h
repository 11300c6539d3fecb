/* Layouts: a part of an array that lies scattered is brought together, and results are put back.
 * Only the layout matters here; elements are moved as bytes of a size. */
#ifndef FOCAL_DISPATCH_GATHER_H
#define FOCAL_DISPATCH_GATHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Row r = o inner + i has its element of class c at o stride + c class_stride + i. */
typedef struct focal_layout {
    size_t stride, class_stride, inner;
} focal_layout;

/* Classes [column, column + width) of rows [row, row + rows), less the rows that `skip` marks by
 * 1; `kept` are left. NULL skips none. */
typedef struct focal_tile {
    size_t row, rows, column, width;
    const uint8_t *skip;
    size_t kept;
} focal_tile;

/* Of arrays with one value per row, and what a tile has there. */
extern const focal_layout focal_row_layout;
static inline focal_tile focal_tile_of_rows(const focal_tile *tile) {
    return (focal_tile){tile->row, tile->rows, 0, 1, tile->skip, tile->kept};
}

static inline focal_tile focal_tile_without_skip(const focal_tile *tile) {
    return (focal_tile){tile->row, tile->rows, tile->column, tile->width, NULL, tile->rows};
}

/* Rows that stay together: kept ones of one outer index; any, if inner is 1. */
typedef struct focal_row_run {
    size_t first, count; /* rows of the array */
    size_t at;           /* their place among the kept rows */
} focal_row_run;

/* The run after *run, which is all zeros before the first; false at the end. */
bool focal_tile_next(const focal_tile *tile, size_t inner, focal_row_run *run);

/* Whether the kept elements lie in one piece, row by row. */
bool focal_tile_is_whole(const focal_tile *tile, const focal_layout *layout);

/* Elements before that of row and class. */
size_t focal_layout_place(const focal_layout *layout, size_t row, size_t column);

/* The address of the tile's first element. */
char *focal_tile_start(const focal_tile *tile, const focal_layout *layout, const void *array,
                       size_t size);

/* The kept elements row by row: in the array itself if they lie so, else copied to `scratch`. */
const void *focal_gather(const focal_tile *tile, const focal_layout *layout, const void *array,
                         size_t size, void *scratch);

/* Puts the kept elements back, and zeros into the skipped rows. */
void focal_scatter(const focal_tile *tile, const focal_layout *layout, const void *kept,
                   void *array, size_t size);

/* Zeros into the skipped rows alone. */
void focal_zero_skipped(const focal_tile *tile, const focal_layout *layout, void *array,
                        size_t size);

#endif
