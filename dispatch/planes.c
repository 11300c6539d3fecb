#include "planes.h"

#include "convert.h"

bool focal_tile_has_whole_planes(const focal_tile *tile, const focal_layout *layout) {
    if (layout->inner == 1 && layout->stride > 1)
        return false;
    focal_tile all = focal_tile_without_skip(tile);
    focal_row_run run = {0, 0, 0};
    return focal_tile_next(&all, layout->inner, &run) && run.count == tile->rows;
}

/* Run by run and class by class, between the array and the staged floats. */
static void move(const focal_kernel_table *table, const focal_tile *tile,
                 const focal_layout *layout, char *array, focal_dtype dtype, float *staged,
                 bool take) {
    focal_tile all = focal_tile_without_skip(tile);
    focal_row_run run = {0, 0, 0};
    size_t size = focal_dtype_size(dtype);
    while (focal_tile_next(&all, layout->inner, &run))
        for (size_t c = 0; c < tile->width; c++) {
            char *at = array + focal_layout_place(layout, run.first, tile->column + c) * size;
            float *plane = staged + c * tile->rows + run.at;
            if (take)
                focal_load_f32(table, dtype, at, plane, run.count);
            else
                focal_store_f32(table, dtype, plane, at, run.count);
        }
}

void focal_planes_take(const focal_kernel_table *table, const focal_tile *tile,
                       const focal_layout *layout, const void *array, focal_dtype dtype,
                       float *staged) {
    move(table, tile, layout, (char *)(uintptr_t)array, dtype, staged, true);
}

void focal_planes_give(const focal_kernel_table *table, const focal_tile *tile,
                       const focal_layout *layout, const float *staged, void *array,
                       focal_dtype dtype) {
    move(table, tile, layout, array, dtype, (float *)(uintptr_t)staged, false);
}

void focal_planes_of_rows(const float *rows, size_t count, size_t classes, float *planes) {
    for (size_t c = 0; c < classes; c++)
        for (size_t r = 0; r < count; r++)
            planes[c * count + r] = rows[r * classes + c];
}

void focal_rows_of_planes(const float *planes, size_t count, size_t classes, float *rows) {
    for (size_t c = 0; c < classes; c++)
        for (size_t r = 0; r < count; r++)
            rows[r * classes + c] = planes[c * count + r];
}
