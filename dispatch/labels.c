#include "labels.h"

#include <string.h>

#include "targets.h"

/* Labels as columns of a tile of classes [first, first + width); -1 elsewhere and for the background.
 * Without branches, so that compilers vectorise it; `high` is what the lower 32 bits do not tell. */
#define DEFINE_COLUMNS(name, type, high_of)                                                    \
    static void columns_##name(const type *restrict labels, size_t count, uint32_t background, \
                               uint32_t first, uint32_t width, int32_t *restrict columns) {    \
        for (size_t r = 0; r < count; r++) {                                                   \
            uint32_t label = (uint32_t)labels[r], high = high_of(labels[r]);                   \
            uint32_t column = label - first;                                                   \
            bool positive = (column < width) & (label != background) & (high == 0);            \
            columns[r] = positive ? (int32_t)column : -1;                                      \
        }                                                                                      \
    }
#define NO_HIGH(label)    0
#define UPPER_HALF(label) (uint32_t)((uint64_t)(label) >> 32)
DEFINE_COLUMNS(u8, uint8_t, NO_HIGH)
DEFINE_COLUMNS(i32, int32_t, NO_HIGH)
DEFINE_COLUMNS(i64, int64_t, UPPER_HALF)
#undef UPPER_HALF
#undef NO_HIGH
#undef DEFINE_COLUMNS

static void take_rows(const focal_call *call, const focal_tile *tile, int32_t *columns) {
    const focal_problem *problem = &call->plan->problem;
    const size_t row = tile->row, rows = tile->rows;
    const uint32_t first = (uint32_t)tile->column, width = (uint32_t)tile->width;
    /* Only one that is a class matters, and in softmax it is a class like any other. */
    bool special = problem->op == FOCAL_SIGMOID &&
                   problem->label_flags & FOCAL_LABEL_BACKGROUND && problem->background >= 0 &&
                   problem->background < problem->classes;
    const uint32_t background = special ? (uint32_t)problem->background : UINT32_MAX;
    const void *labels = call->buffers.targets;
    if (problem->target_kind == FOCAL_TARGET_LABEL_I64)
        columns_i64((const int64_t *)labels + row, rows, background, first, width, columns);
    else if (problem->target_kind == FOCAL_TARGET_LABEL_I32)
        columns_i32((const int32_t *)labels + row, rows, background, first, width, columns);
    else
        columns_u8((const uint8_t *)labels + row, rows, background, first, width, columns);
}

/* Whether the tile's labels are its columns already; a negative background is none, as it should be. Those
 * of softmax are copied: there a kernel finds an element of its row by a label, which must not change
 * meanwhile, whatever the caller does. */
static bool are_columns(const focal_call *call, const focal_tile *tile) {
    const focal_problem *problem = &call->plan->problem;
    return problem->op == FOCAL_SIGMOID && problem->target_kind == FOCAL_TARGET_LABEL_I32 &&
           tile->kept == tile->rows && tile->width == call->plan->columns &&
           !(problem->label_flags & FOCAL_LABEL_BACKGROUND && problem->background >= 0);
}

const int32_t *focal_labels_take(const focal_call *call, const focal_tile *tile,
                                 int32_t *scratch) {
    if (are_columns(call, tile))
        return (const int32_t *)call->buffers.targets + tile->row;
    take_rows(call, tile, scratch);
    if (tile->kept < tile->rows) {
        size_t kept = 0;
        for (size_t r = 0; r < tile->rows; r++) {
            scratch[kept] = scratch[r];
            kept += !tile->skip[r];
        }
    }
    return scratch;
}

int64_t focal_labels_count(const int32_t *columns, size_t rows) {
    uint32_t positives = 0; /* narrow, so that compilers vectorise it */
    for (size_t r = 0; r < rows; r++)
        positives += columns[r] >= 0;
    return positives;
}

void focal_labels_take_all(const focal_call *call, const focal_tile *tile, int32_t *columns) {
    take_rows(call, tile, columns);
    for (size_t r = 0; tile->skip && r < tile->rows; r++)
        columns[r] = tile->skip[r] ? -1 : columns[r];
}

/* A constant `width` makes loops of vectors. */
static inline bool mark(const int32_t *restrict columns, size_t rows, int32_t width,
                        uint8_t *restrict marks) {
    for (size_t r = 0; r < rows; r++)
        for (int32_t c = 0; c < width; c++)
            *marks++ = columns[r] == c;
    return true;
}

bool focal_labels_mark(const int32_t *columns, size_t rows, size_t width, uint8_t *marks) {
    if (width == 1)
        return mark(columns, rows, 1, marks);
    if (width == 2)
        return mark(columns, rows, 2, marks);
    return width == 4 && mark(columns, rows, 4, marks);
}
