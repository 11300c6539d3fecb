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

/* An infinity would make NaN of a loss of 0, and 0 makes 0 of an infinite one. */
static float round_product(double product) {
    if (product > 0.0 && product < (double)FLT_TRUE_MIN)
        return FLT_TRUE_MIN;
    return product > (double)FLT_MAX ? FLT_MAX : (float)product;
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

/* alpha_t of a class, exact for targets 0 and 1. */
static double class_alpha(const focal_problem *problem, size_t class, double target) {
    double alpha = problem->class_alpha[class];
    return alpha * target + (1.0 - alpha) * (1.0 - target);
}

/* Target of the tile's column `c` in its kept row `row`. */
static double target_at(const focal_problem *problem, const focal_span *span, size_t row,
                        size_t c) {
    size_t at = row * span->classes + c;
    if (!span->targets)
        return (int64_t)c == span->labels[row];
    return problem->target_kind == FOCAL_TARGET_DENSE
               ? (double)((const float *)span->targets)[at]
               : (double)((const uint8_t *)span->targets)[at];
}

/* Products of several, or of alphas alone. The elements' weights may lie in `weights` already. */
static const float *multiply(const focal_call *call, const focal_tile *tile,
                             const focal_span *span, const float *elements, float *weights) {
    const focal_problem *problem = &call->plan->problem;
    const float *row_weight = call->buffers.row_weight;
    size_t at = 0, kept = 0;
    for (size_t r = 0; r < tile->rows; r++) {
        if (tile->skip && tile->skip[r])
            continue;
        for (size_t c = 0; c < tile->width; c++, at++) {
            size_t class = tile->column + c;
            double product = row_weight ? (double)row_weight[tile->row + r] : 1.0;
            if (elements)
                product *= (double)elements[at];
            if (problem->class_weight)
                product *= problem->class_weight[class];
            if (problem->class_alpha)
                product *= class_alpha(problem, class, target_at(problem, span, kept, c));
            weights[at] = round_product(product);
        }
        kept++;
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
