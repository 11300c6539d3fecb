#include "weights.h"

#include <float.h>
#include <string.h>

#include "form_run.h"
#include "targets.h"

bool focal_has_element_weights(const focal_call *call) {
    const focal_problem *problem = &call->plan->problem;
    return problem->op == FOCAL_SIGMOID &&
           (focal_call_has_weights(call) || problem->class_alpha);
}

bool focal_has_row_factors(const focal_call *call) {
    const focal_problem *problem = &call->plan->problem;
    return problem->op == FOCAL_SOFTMAX &&
           (focal_call_has_weights(call) || problem->alpha_mode > FOCAL_ALPHA_SCALAR);
}

/* An infinity would make NaN of a loss of 0, and 0 makes 0 of an infinite one. One selection after the
 * other, of which compilers make vectors. */
static inline float round_product(double product) {
    double high = product < (double)FLT_MAX ? product : (double)FLT_MAX;
    double least = high > (double)FLT_TRUE_MIN ? high : (double)FLT_TRUE_MIN;
    return (float)(product > 0.0 ? least : product);
}

static void fill(float *weights, float weight, size_t count) {
    for (size_t i = 0; i < count; i++)
        weights[i] = weight;
}

/* Weights of rows alone. */
static const float *spread_rows(const focal_call *call, const focal_tile *tile,
                                float *weights) {
    const float *row_weight = call->buffers.row_weight;
    if (tile->width == 1) {
        const focal_tile rows = focal_tile_of_rows(tile);
        return focal_gather(&rows, &focal_row_layout, row_weight, sizeof *weights, weights);
    }
    float *at = weights;
    for (size_t r = 0; r < tile->rows; r++) {
        if (tile->skip && tile->skip[r])
            continue;
        fill(at, row_weight[tile->row + r], tile->width);
        at += tile->width;
    }
    return weights;
}

/* Weights of classes alone: a row of them, and copies that grow. */
static const float *spread_classes(const focal_call *call, const focal_tile *tile,
                                   float *weights) {
    const double *class_weight = call->plan->problem.class_weight + tile->column;
    size_t count = tile->kept * tile->width, done = tile->width;
    for (size_t c = 0; c < tile->width; c++)
        weights[c] = round_product(class_weight[c]);
    for (size_t more; done < count; done += more) {
        more = done < count - done ? done : count - done;
        memcpy(weights + done, weights, more * sizeof *weights);
    }
    return weights;
}

/* Elements whose products are made at once: several rows, or a part of one. */
enum { PIECE = 256 };

/* The first is element `first` of kept row `row`; several rows are whole. */
typedef struct {
    size_t row, first, rows, columns;
} product_piece;

/* Weights and alphas of the tile's classes, once for every row of a piece; NULL if there are none. */
typedef struct {
    const double *weight, *alpha;
} class_factors;

/* A tile's part of a class array, `rows` times; in its place if once is enough. */
static const double *repeat(const double *of_classes, size_t column, size_t width, size_t rows,
                            double *copies) {
    if (!of_classes || rows == 1)
        return of_classes ? of_classes + column : NULL;
    for (size_t r = 0; r < rows; r++)
        memcpy(copies + r * width, of_classes + column, width * sizeof *copies);
    return copies;
}

/* Multiplies by alpha_t in rows whose targets are all 0 but for the label's, exactly as of other targets. In
 * place, since an array of alpha_t in between takes 1.14 times as long. */
static void multiply_label_alphas(const double *alpha, const int32_t *labels,
                                  const product_piece *piece, double *products) {
    double positive[PIECE];
    /* Labels before the piece, or of no class, wrap to huge columns. */
    for (size_t r = 0; r < piece->rows; r++) {
        size_t column = (size_t)labels[r] - piece->first;
        if (column < piece->columns)
            positive[r] = products[r * piece->columns + column] * alpha[column];
    }
    for (size_t i = 0; i < piece->rows * piece->columns; i++)
        products[i] *= 1.0 - alpha[i];
    for (size_t r = 0; r < piece->rows; r++) {
        size_t column = (size_t)labels[r] - piece->first;
        if (column < piece->columns)
            products[r * piece->columns + column] = positive[r];
    }
}

#define DEFINE_ALPHAS(name, type)                                                              \
    static void take_alphas_##name(const double *alpha, const type *targets, double *alpha_t,  \
                                   size_t count) {                                             \
        for (size_t i = 0; i < count; i++) {                                                   \
            double target = (double)targets[i];                                                \
            alpha_t[i] = alpha[i] * target + (1.0 - alpha[i]) * (1.0 - target);                \
        }                                                                                      \
    }
DEFINE_ALPHAS(f32, float)
DEFINE_ALPHAS(u8, uint8_t)
#undef DEFINE_ALPHAS

static void multiply_alphas(const focal_problem *problem, const focal_span *span,
                            const product_piece *piece, const double *alpha, double *products) {
    size_t at = piece->row * span->classes + piece->first;
    size_t count = piece->rows * piece->columns;
    double alpha_t[PIECE];
    if (!span->targets) {
        multiply_label_alphas(alpha, span->labels + piece->row, piece, products);
        return;
    }
    if (problem->target_kind == FOCAL_TARGET_DENSE)
        take_alphas_f32(alpha, (const float *)span->targets + at, alpha_t, count);
    else
        take_alphas_u8(alpha, (const uint8_t *)span->targets + at, alpha_t, count);
    /* A product of 0 stays, whatever the target. */
    for (size_t i = 0; i < count; i++)
        products[i] *= products[i] == 0.0 ? 1.0 : alpha_t[i];
}

/* Begins the products with the weights of kept rows, of which *row is the tile's next. */
static void start_products(const focal_call *call, const focal_tile *tile,
                           const product_piece *piece, size_t *row, double *products) {
    const float *row_weight = call->buffers.row_weight;
    for (size_t r = 0; r < piece->rows; r++) {
        while (tile->skip && tile->skip[*row])
            ++*row;
        double weight = row_weight ? (double)row_weight[tile->row + *row] : 1.0;
        for (size_t c = 0; c < piece->columns; c++)
            *products++ = weight;
        *row += piece->first + piece->columns == tile->width;
    }
}

/* Multiplies products that hold rows' weights by the others, in this order. `elements` may be `weights`. */
static void multiply_piece(const focal_problem *problem, const focal_span *span,
                           const class_factors *factors, const product_piece *piece,
                           const float *elements, double *products, float *weights) {
    const size_t count = piece->rows * piece->columns;
    for (size_t i = 0; elements && i < count; i++)
        products[i] *= (double)elements[i];
    for (size_t i = 0; factors->weight && i < count; i++)
        products[i] *= factors->weight[piece->first + i];
    if (factors->alpha)
        multiply_alphas(problem, span, piece, factors->alpha + piece->first, products);
    for (size_t i = 0; i < count; i++)
        weights[i] = round_product(products[i]);
}

/* Products of several weights, or of alphas alone, by loops that compilers make vectors of. The elements'
 * weights may lie in `weights` already. */
static const float *multiply(const focal_call *call, const focal_tile *tile,
                             const focal_span *span, const float *elements, float *weights) {
    const focal_problem *problem = &call->plan->problem;
    const size_t width = tile->width, most = width < PIECE ? PIECE / width : 1;
    double products[PIECE], copies[2][PIECE];
    const class_factors factors = {
        repeat(problem->class_weight, tile->column, width, most, copies[0]),
        repeat(problem->class_alpha, tile->column, width, most, copies[1])};
    product_piece piece = {0, 0, 0, 0};
    for (size_t at = 0, row = 0; at < tile->kept * width; at += piece.rows * piece.columns) {
        piece.row = at / width;
        piece.first = at % width;
        size_t rows_left = tile->kept - piece.row, columns_left = width - piece.first;
        piece.rows = most < rows_left ? most : rows_left;
        piece.columns = columns_left < PIECE ? columns_left : PIECE;
        start_products(call, tile, &piece, &row, products);
        multiply_piece(problem, span, &factors, &piece, elements ? elements + at : NULL,
                       products, weights + at);
    }
    return weights;
}

const float *focal_take_element_weights(const focal_call *call, const focal_tile *tile,
                                        const focal_span *span, float *scratch) {
    const focal_plan *plan = call->plan;
    bool by_class = plan->problem.class_weight, by_row = call->buffers.row_weight;
    const float *elements = NULL;
    if (call->buffers.element_weight)
        elements = focal_gather(tile, &plan->element_weight, call->buffers.element_weight,
                                sizeof *elements, scratch);
    if (plan->problem.class_alpha || by_class + by_row + (elements != NULL) > 1)
        return multiply(call, tile, span, elements, scratch);
    if (by_class)
        return spread_classes(call, tile, scratch);
    return by_row ? spread_rows(call, tile, scratch) : elements;
}

void focal_take_row_factors(const focal_call *call, const focal_tile *tile, bool all,
                            double *factors) {
    const focal_problem *problem = &call->plan->problem;
    size_t count = 0;
    for (size_t r = 0; r < tile->rows; r++) {
        size_t row = tile->row + r;
        if (tile->skip && tile->skip[r]) {
            if (all)
                factors[count++] = 0.0;
            continue;
        }
        size_t label = (size_t)focal_label_at(problem->target_kind, call->buffers.targets, row);
        factors[count++] = focal_form_alpha(problem, label) * focal_row_weight(call, row);
    }
    while (count % FOCAL_FACTORS_STEP != 0)
        factors[count++] = 0.0;
}
