#include "gather.h"

#include <string.h>

const focal_layout focal_row_layout = {1, 1, 1};

/* Consecutive rows from `row` on whose mark is `mark`, up to the end of the tile and of the outer
 * index. */
static size_t count_rows(const focal_tile *tile, size_t inner, size_t row, uint8_t mark) {
    size_t end = tile->row + tile->rows;
    if (inner > 1 && (row / inner + 1) * inner < end)
        end = (row / inner + 1) * inner;
    if (!tile->skip)
        return mark ? 0 : end - row;
    size_t at = row;
    while (at < end && tile->skip[at - tile->row] == mark)
        at++;
    return at - row;
}

static bool next_marked(const focal_tile *tile, size_t inner, uint8_t mark,
                        focal_row_run *run) {
    size_t row = run->count ? run->first + run->count : tile->row;
    while (row < tile->row + tile->rows) {
        size_t count = count_rows(tile, inner, row, mark);
        if (count) {
            *run = (focal_row_run){row, count, run->at + run->count};
            return true;
        }
        row += count_rows(tile, inner, row, !mark);
    }
    return false;
}

bool focal_tile_next(const focal_tile *tile, size_t inner, focal_row_run *run) {
    return next_marked(tile, inner, 0, run);
}

bool focal_tile_is_whole(const focal_tile *tile, const focal_layout *layout) {
    if (tile->kept != tile->rows)
        return false;
    if (layout->inner == 1)
        return (tile->width == 1 || layout->class_stride == 1) &&
               (tile->rows == 1 || layout->stride == tile->width);
    size_t last = tile->row + tile->rows - 1;
    return tile->width == 1 && (layout->stride == layout->inner ||
                                tile->row / layout->inner == last / layout->inner);
}

size_t focal_layout_place(const focal_layout *layout, size_t row, size_t column) {
    if (layout->inner == 1)
        return row * layout->stride + column * layout->class_stride;
    return row / layout->inner * layout->stride + column * layout->class_stride +
           row % layout->inner;
}

char *focal_tile_start(const focal_tile *tile, const focal_layout *layout, const void *array,
                       size_t size) {
    return (char *)(uintptr_t)array +
           focal_layout_place(layout, tile->row, tile->column) * size;
}

/* `count` elements from one distance to another; a constant `size` makes plain moves of it. */
static inline void move_each(char *to, size_t to_step, const char *from, size_t from_step,
                             size_t count, size_t size) {
    for (size_t i = 0; i < count; i++)
        memcpy(to + i * to_step * size, from + i * from_step * size, size);
}

static void move(char *to, size_t to_step, const char *from, size_t from_step, size_t count,
                 size_t size) {
    if (to_step == 1 && from_step == 1)
        memcpy(to, from, count * size);
    else if (size == 4)
        move_each(to, to_step, from, from_step, count, 4);
    else if (size == 2)
        move_each(to, to_step, from, from_step, count, 2);
    else if (size == 1)
        move_each(to, to_step, from, from_step, count, 1);
    else
        move_each(to, to_step, from, from_step, count, 8);
}

/* One run of rows between the array and the kept elements, along whichever of rows and classes
 * is dense in the array. */
static void move_run(const focal_tile *tile, const focal_layout *layout,
                     const focal_row_run *run, char *array, char *kept, size_t size,
                     bool gather) {
    char *at = array + focal_layout_place(layout, run->first, tile->column) * size;
    char *packed = kept + run->at * tile->width * size;
    size_t row_step = layout->inner == 1 ? layout->stride : 1;
    bool by_rows = layout->class_stride == 1 || run->count == 1;
    size_t lines = by_rows ? run->count : tile->width;
    size_t count = by_rows ? tile->width : run->count;
    size_t step = by_rows ? layout->class_stride : row_step;
    size_t packed_step = by_rows ? 1 : tile->width;
    for (size_t line = 0; line < lines; line++) {
        char *here = at + line * (by_rows ? row_step : layout->class_stride) * size;
        char *there = packed + line * (by_rows ? tile->width : 1) * size;
        if (gather)
            move(there, packed_step, here, step, count, size);
        else
            move(here, step, there, packed_step, count, size);
    }
}

const void *focal_gather(const focal_tile *tile, const focal_layout *layout, const void *array,
                         size_t size, void *scratch) {
    if (focal_tile_is_whole(tile, layout))
        return focal_tile_start(tile, layout, array, size);
    focal_row_run run = {0, 0, 0};
    while (focal_tile_next(tile, layout->inner, &run))
        move_run(tile, layout, &run, (char *)(uintptr_t)array, scratch, size, true);
    return scratch;
}

void focal_scatter(const focal_tile *tile, const focal_layout *layout, const void *kept,
                   void *array, size_t size) {
    focal_row_run run = {0, 0, 0};
    while (focal_tile_next(tile, layout->inner, &run))
        move_run(tile, layout, &run, array, (char *)(uintptr_t)kept, size, false);
    focal_zero_skipped(tile, layout, array, size);
}

void focal_zero_skipped(const focal_tile *tile, const focal_layout *layout, void *array,
                        size_t size) {
    if (tile->kept == tile->rows)
        return;
    focal_row_run run = {0, 0, 0};
    while (next_marked(tile, layout->inner, 1, &run))
        for (size_t r = 0; r < run.count; r++)
            for (size_t c = 0; c < tile->width; c++)
                memset((char *)array +
                           focal_layout_place(layout, run.first + r, tile->column + c) * size,
                       0, size);
}
