/* Softmax focal loss of rows that are adjacent in memory, classes being far apart: the pixels of
 * N x C x H x W, and short rows that were turned over. A lane is a row here.
 *
 * Contract: the bits of softmax.body.h, tier fast. The sum of a row's exponentials has the tree that
 * moderate_run() and vsum_total() give it, formed of values of one lane each instead of lanes of
 * one value. A negative label skips its row, whose results are 0. Rows that are not moderate are
 * brought together one by one and go the way of others. A strip of rows goes through a scratch
 * block, since classes at a distance of a power of two evict each other from every cache. Traffic: 4
 * bytes read and 4 written per element. */

/* Rows that are worked on together: 1 KiB of every class at most. */
enum { COLUMNS_STRIP = 256 };

typedef struct {
    /* exp(x_c - reference) of class c and row r: at c stride + r, where stride is the number of
     * rows, rounded up to whole steps, which adds less than 16 to each class. */
    _Alignas(64) float e[FOCAL_BLOCK + FOCAL_STEP * FOCAL_COLUMN_CLASSES];
    float factor[COLUMNS_STRIP]; /* gradient_c = factor e_c */
    float label_gradient[COLUMNS_STRIP];
    float row[FOCAL_COLUMN_CLASSES]; /* one that is not moderate */
    float far[COLUMNS_STRIP];        /* 1 for such rows, else 0; only read if there is one */
} columns_scratch;

/* A strip: its first elements, and elements between classes there and in the scratch block. */
typedef struct {
    const float *logits;
    const int32_t *labels;
    size_t rows, classes, logits_stride, stride;
} columns_strip;

/* Fewer than a step of rows; what lies beyond them in the scratch block becomes exp(0). */
FOCAL_BODY void columns_end(const float *logits, size_t count, float *e, vf *seen) {
    exp_argument reduced = exp_reduce(vf_load_n(logits, count), vf_set(EXP_SHIFT_64));
    *seen = vf_or(*seen, moderate_n(reduced.magic));
    vf_store(e, exp_reduced(reduced, exp_roots_small));
}

/* Fills the scratch block as if all rows were moderate; returns whether they are. */
FOCAL_SHARED bool columns_exponentials(const columns_strip *strip, float *e) {
    vf seen = vf_set(0.0F), terms[4];
    for (size_t c = 0; c < strip->classes; c++) {
        moderate_place at = {strip->logits + c * strip->logits_stride, e + c * strip->stride,
                             NULL};
        size_t i = 0;
        if (VEC_STEPS >= 16)
            for (; i + (size_t)4 * FOCAL_STEP <= strip->rows; i += (size_t)4 * FOCAL_STEP)
                moderate_steps(&at, i, 4, terms, &seen);
        for (; i + (size_t)2 * FOCAL_STEP <= strip->rows; i += (size_t)2 * FOCAL_STEP)
            moderate_steps(&at, i, 2, terms, &seen);
        for (; i + FOCAL_STEP <= strip->rows; i += FOCAL_STEP)
            moderate_steps(&at, i, 1, terms, &seen);
        if (i < strip->rows)
            columns_end(at.row + i, strip->rows - i, at.gradient + i, &seen);
    }
    return moderate_all(seen);
}

/* Which rows are not moderate, by moderate_all()'s two comparisons. */
FOCAL_SHARED void columns_find_far(const columns_strip *strip, float *far) {
    vf one = vf_set(MODERATE_ONE), two = vf_set(MODERATE_TWO);
    vf yes = vf_set(1.0F), no = vf_set(0.0F);
    for (size_t i = 0; i < strip->rows; i += FOCAL_STEP) {
        size_t left = strip->rows - i;
        vf seen = vf_set(0.0F);
        for (size_t c = 0; c < strip->classes; c++) {
            const float *at = strip->logits + c * strip->logits_stride + i;
            vf x = left < FOCAL_STEP ? vf_load_n(at, left) : vf_load(at);
            seen = vf_or(seen, moderate_n(exp_reduce(x, vf_set(EXP_SHIFT_64)).magic));
        }
        vf by_two = vf_select(vm_eq(vf_or(seen, two), two), no, yes);
        vf_store(far + i, vf_select(vm_eq(vf_or(seen, one), one), by_two, yes));
    }
}

/* Lanes first ... end - 1 of a quad of moderate_run() that have so many terms, each for 16 rows. */
FOCAL_BODY void columns_terms(size_t terms, const float *e, size_t stride, size_t first,
                              size_t end, float *lanes) {
    size_t step = FOCAL_STEP * stride;
    for (size_t j = first; j < end; j++) {
        const float *at = e + j * stride;
        vf left = vf_set(0.0F), right = left;
        if (terms >= 1)
            left = vf_load(at);
        if (terms >= 2)
            left = vf_add(left, vf_load(at + step));
        if (terms >= 3)
            right = vf_load(at + 2 * step);
        if (terms >= 4)
            right = vf_add(right, vf_load(at + 3 * step));
        vf_store(lanes + j * FOCAL_STEP, terms >= 3 ? vf_add(left, right) : left);
    }
}

FOCAL_BODY void columns_lanes_of(size_t terms, const float *e, size_t stride, size_t first,
                                 size_t end, float *lanes) {
    if (terms == 0)
        columns_terms(0, e, stride, first, end, lanes);
    else if (terms == 1)
        columns_terms(1, e, stride, first, end, lanes);
    else if (terms == 2)
        columns_terms(2, e, stride, first, end, lanes);
    else if (terms == 3)
        columns_terms(3, e, stride, first, end, lanes);
    else
        columns_terms(4, e, stride, first, end, lanes);
}

enum { COLUMNS_LANES = FOCAL_STEP * FOCAL_STEP };

/* A quad: at most 64 classes. */
FOCAL_SHARED void columns_quad(const float *e, size_t stride, size_t classes, float *lanes) {
    size_t whole = classes / FOCAL_STEP, rest = classes % FOCAL_STEP;
    if (rest)
        columns_lanes_of(whole + 1, e, stride, 0, rest, lanes);
    columns_lanes_of(whole, e, stride, rest, FOCAL_STEP, lanes);
}

/* The lanes of a run, as moderate_run() adds its quads. */
FOCAL_SHARED void columns_run(const float *e, size_t stride, size_t classes, float *lanes) {
    float quads[4][COLUMNS_LANES];
    for (size_t q = 0; q < 4; q++) {
        size_t first = q * MODERATE_QUAD, left = classes > first ? classes - first : 0;
        columns_quad(e + first * stride, stride, left < MODERATE_QUAD ? left : MODERATE_QUAD,
                     quads[q]);
    }
    for (size_t j = 0; j < COLUMNS_LANES; j += FOCAL_STEP)
        vf_store(lanes + j, vf_add(vf_add(vf_load(quads[0] + j), vf_load(quads[2] + j)),
                                   vf_add(vf_load(quads[1] + j), vf_load(quads[3] + j))));
}

/* Lanes j and j + 8 as doubles, added, of the lower or upper 8 of 16 rows. */
FOCAL_BODY vd columns_pair(bool upper, const float *lanes, size_t j) {
    vf a = vf_load(lanes + j * FOCAL_STEP), b = vf_load(lanes + (j + 8) * FOCAL_STEP);
    return upper ? vd_add(vd_widen_high(a), vd_widen_high(b))
                 : vd_add(vd_widen_low(a), vd_widen_low(b));
}

/* The tree of vsum_total(). */
FOCAL_BODY vd columns_total(bool upper, const float *lanes) {
    vd sums[2];
    for (size_t j = 0; j < 2; j++) {
        vd even = vd_add(columns_pair(upper, lanes, j), columns_pair(upper, lanes, j + 4));
        vd odd = vd_add(columns_pair(upper, lanes, j + 2), columns_pair(upper, lanes, j + 6));
        sums[j] = vd_add(even, odd);
    }
    return vd_add(sums[0], sums[1]);
}

/* The sums of all classes for 16 rows; labels' terms are 0. */
FOCAL_SHARED void columns_others(const float *e, size_t stride, size_t classes,
                                 double *others) {
    _Alignas(64) float lanes[COLUMNS_LANES];
    if (classes <= MODERATE_QUAD)
        columns_quad(e, stride, classes, lanes);
    else
        columns_run(e, stride, classes, lanes);
    vd_store(others, columns_total(false, lanes));
    vd_store(others + 8, columns_total(true, lanes));
}

/* Labels' terms become 0, and all of a skipped row. */
static void columns_drop(const columns_strip *strip, float *e) {
    for (size_t r = 0; r < strip->rows; r++)
        if (strip->labels[r] >= 0)
            e[(size_t)strip->labels[r] * strip->stride + r] = 0.0F;
        else
            for (size_t c = 0; c < strip->classes; c++)
                e[c * strip->stride + r] = 0.0F;
}

/* What the row arithmetic needs of row r, which is not moderate; for gradients its terms take their
 * place in e. */
FOCAL_SHARED void columns_far_row(focal_kernel_direction direction, const columns_strip *strip,
                                  size_t r, columns_scratch *scratch, softmax_rows *rows,
                                  size_t slot) {
    float *row = scratch->row;
    size_t label = (size_t)strip->labels[r];
    for (size_t c = 0; c < strip->classes; c++)
        row[c] = strip->logits[c * strip->logits_stride + r];
    float most = softmax_max(row, strip->classes);
    rows->label_distance[slot] = (double)row[label] - (double)most;
    if (direction == KERNEL_LOSS) {
        rows->others[slot] = softmax_others(KERNEL_FAST, KERNEL_LOSS, row, NULL, most, label,
                                            strip->classes, FOCAL_STEP);
        return;
    }
    rows->others[slot] = softmax_others(KERNEL_FAST, KERNEL_BOTH, row, row, most, label,
                                        strip->classes, FOCAL_STEP);
    for (size_t c = 0; c < strip->classes; c++)
        scratch->e[c * strip->stride + r] = row[c];
}

/* What the row arithmetic needs of rows first ... first + group - 1 of the strip. */
FOCAL_SHARED void columns_group(focal_kernel_direction direction, const columns_strip *strip,
                                columns_scratch *scratch, bool all_moderate, size_t first,
                                size_t group, softmax_rows *rows) {
    for (size_t r = 0; r < group; r += FOCAL_STEP)
        columns_others(scratch->e + first + r, strip->stride, strip->classes, rows->others + r);
    for (size_t r = 0; r < group; r++) {
        int32_t label = strip->labels[first + r];
        rows->label_distance[r] = 0.0;
        if (label < 0)
            continue;
        if (!all_moderate && scratch->far[first + r] != 0.0F)
            columns_far_row(direction, strip, first + r, scratch, rows, r);
        else
            rows->label_distance[r] =
                (double)strip->logits[(size_t)label * strip->logits_stride + first + r];
    }
}

/* A row's scale as a float; see softmax_scale(). */
static float columns_factor(const columns_strip *strip, float *e, double scale) {
    double part = softmax_scale_part(scale);
    if (part != 1.0)
        for (size_t c = 0; c < strip->classes; c++)
            e[c * strip->stride] *= (float)part;
    return softmax_finite(scale / part);
}

static void columns_factors(const columns_strip *strip, columns_scratch *scratch, size_t first,
                            size_t group, const softmax_rows *rows) {
    for (size_t r = 0; r < group; r++) {
        bool skipped = strip->labels[first + r] < 0;
        scratch->factor[first + r] =
            skipped ? 0.0F : columns_factor(strip, scratch->e + first + r, rows->scale[r]);
        scratch->label_gradient[first + r] = (float)rows->label_gradient[r];
    }
}

FOCAL_SHARED void columns_gradient(const columns_strip *strip, const columns_scratch *scratch,
                                   float *gradient, size_t stride) {
    for (size_t c = 0; c < strip->classes; c++) {
        const float *e = scratch->e + c * strip->stride;
        float *to = gradient + c * stride;
        size_t i = 0;
        for (; i + FOCAL_STEP <= strip->rows; i += FOCAL_STEP)
            vf_store(to + i, vf_mul(vf_load(e + i), vf_load(scratch->factor + i)));
        size_t left = strip->rows - i;
        if (left)
            vf_store_n(to + i,
                       vf_mul(vf_load_n(e + i, left), vf_load_n(scratch->factor + i, left)),
                       left);
    }
    for (size_t r = 0; r < strip->rows; r++)
        if (strip->labels[r] >= 0)
            gradient[(size_t)strip->labels[r] * stride + r] = scratch->label_gradient[r];
}

FOCAL_BODY void softmax_columns_block(focal_span *span, focal_kernel_direction direction,
                                      focal_gamma_class gamma_class) {
    columns_scratch scratch;
    softmax_rows rows;
    double total = 0.0;
    for (size_t first = 0; first < span->rows; first += COLUMNS_STRIP) {
        size_t left = span->rows - first;
        size_t count = left < COLUMNS_STRIP ? left : COLUMNS_STRIP;
        const columns_strip strip = {span->logits + first,
                                     span->labels + first,
                                     count,
                                     span->classes,
                                     span->logits_stride,
                                     (count + FOCAL_STEP - 1) / FOCAL_STEP * FOCAL_STEP};
        bool all_moderate = columns_exponentials(&strip, scratch.e);
        if (!all_moderate)
            columns_find_far(&strip, scratch.far);
        columns_drop(&strip, scratch.e);
        for (size_t r = 0; r < strip.rows; r += SOFTMAX_GROUP) {
            size_t group = strip.rows - r < SOFTMAX_GROUP ? strip.rows - r : SOFTMAX_GROUP;
            columns_group(direction, &strip, &scratch, all_moderate, r, group, &rows);
            total = softmax_group(KERNEL_FAST, direction, gamma_class, span, &rows, first + r,
                                  group, total);
            if (direction != KERNEL_LOSS)
                columns_factors(&strip, &scratch, r, group, &rows);
        }
        if (direction != KERNEL_LOSS)
            columns_gradient(&strip, &scratch, span->gradient + first, span->gradient_stride);
    }
    span->sum = total;
}
