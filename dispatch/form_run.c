#include "form_run.h"

#include <math.h>
#include <string.h>

#include "convert.h"
#include "targets.h"

/* The kernels' numbers are those of the interface. */
#define SAME_NUMBER(name, value, text, formula)                                                \
    _Static_assert((int)name == (int)KERNEL_FORM_##value, "a form has two numbers");
#define KERNEL_FORM_0 KERNEL_FORM_FOCAL
#define KERNEL_FORM_1 KERNEL_FORM_SPLIT
#define KERNEL_FORM_2 KERNEL_FORM_SCALED
#define KERNEL_FORM_3 KERNEL_FORM_CONFIDENCE
#define KERNEL_FORM_4 KERNEL_FORM_QUALITY
#define KERNEL_FORM_5 KERNEL_FORM_VARIFOCAL
#define KERNEL_FORM_6 KERNEL_FORM_STAR
#define KERNEL_FORM_7 KERNEL_FORM_MATCH
FOCAL_FORM_LIST(SAME_NUMBER)

double focal_form_alpha(const focal_problem *problem, size_t class) {
    switch (problem->alpha_mode) {
    case FOCAL_ALPHA_SCALAR:
        return problem->alpha;
    case FOCAL_ALPHA_PER_CLASS:
        return problem->class_alpha[class];
    case FOCAL_ALPHA_BACKGROUND:
        return (int64_t) class == problem->background ? 1.0 - problem->alpha : problem->alpha;
    case FOCAL_ALPHA_OFF:
        break;
    }
    return 1.0;
}

double focal_form_gamma(const focal_problem *problem, size_t class) {
    return problem->gamma_mode == FOCAL_GAMMA_PER_CLASS ? problem->class_gamma[class]
                                                        : problem->gamma;
}

/* Varifocal weighs negatives alone, by alpha itself. */
static double negative_alpha(const focal_problem *problem, double alpha) {
    return problem->form == FOCAL_FORM_VARIFOCAL ? alpha : 1.0 - alpha;
}

static bool is_match(const focal_problem *problem) {
    return problem->form == FOCAL_FORM_MATCH;
}

static bool wants_row_losses(const focal_plan *plan) {
    return plan->problem.outputs & FOCAL_OUTPUT_ROW_LOSS && plan->blocks_per_row == 1;
}

static void fill(double *values, double value, size_t count) {
    for (size_t i = 0; i < count; i++)
        values[i] = value;
}

void focal_form_start(const focal_call *call, focal_form_scratch *scratch) {
    const focal_problem *problem = &call->plan->problem;
    uint32_t outputs = problem->outputs;
    bool split = problem->gamma_mode == FOCAL_GAMMA_SPLIT;
    bool no_alpha = problem->alpha_mode == FOCAL_ALPHA_OFF;
    bool loss = outputs & FOCAL_OUTPUT_LOSS || wants_row_losses(call->plan);
    bool plain = call->plan->plain_in_double && !call->weighted;
    size_t count = plain ? 1 : FORM_RUN;
    fill(scratch->alpha_positive, no_alpha ? 1.0 : problem->alpha, count);
    fill(scratch->alpha_negative, no_alpha ? 1.0 : negative_alpha(problem, problem->alpha),
         count);
    if (!plain) {
        fill(scratch->gamma_positive, problem->gamma, count);
        fill(scratch->gamma_negative, split ? problem->gamma_negative : problem->gamma, count);
        fill(scratch->weight, 1.0, count);
        fill(scratch->targets, 0.0, count);
    }
    scratch->row_loss_wanted = wants_row_losses(call->plan);
    scratch->span = (focal_form_span){
        .logits = scratch->logits,
        .targets = scratch->targets,
        .alpha_positive = scratch->alpha_positive,
        .alpha_negative = scratch->alpha_negative,
        .gamma_positive = scratch->gamma_positive,
        .gamma_negative = scratch->gamma_negative,
        .weight = scratch->weight,
        .margin = problem->margin,
        .star_beta = problem->star_beta,
        .poly_epsilon = problem->poly_epsilon,
        .smoothing = problem->smoothing,
        .smooth_cross_entropy =
            problem->smoothing > 0.0 && problem->smoothing_mode == FOCAL_SMOOTH_CROSS_ENTROPY,
        .classes = (size_t)problem->classes,
        .gamma_uniform = problem->gamma_mode == FOCAL_GAMMA_SCALAR ? problem->gamma : NAN,
        .narrow = call->plan->narrow,
        .plain = plain,
        .form = (focal_kernel_form)problem->form,
        .hessian_mode = (focal_kernel_hessian)problem->hessian_mode,
        .hessian_floor = problem->hessian_floor,
        .scale = call->factor,
        .loss = loss && problem->op == FOCAL_SIGMOID ? scratch->loss : NULL,
        .gradient = outputs & FOCAL_OUTPUT_GRADIENT ? scratch->gradient : NULL,
        .hessian = outputs & FOCAL_OUTPUT_HESSIAN ? scratch->hessian : NULL,
        .target_gradient =
            outputs & FOCAL_OUTPUT_TARGET_GRADIENT ? scratch->target_gradient : NULL,
    };
}

focal_tile focal_form_part(const focal_tile *tile, size_t first, size_t rows, size_t column,
                           size_t width) {
    focal_tile part = *tile;
    part.row += first;
    part.rows = rows < tile->rows - first ? rows : tile->rows - first;
    part.column += column;
    part.width = width < tile->width - column ? width : tile->width - column;
    part.kept = part.rows;
    if (tile->skip) {
        part.skip = tile->skip + first;
        for (size_t r = 0; r < part.rows; r++)
            part.kept -= part.skip[r];
    }
    return part;
}

void focal_form_take(const focal_tile *run, const focal_layout *layout, const void *array,
                     focal_dtype dtype, void *raw, double *values) {
    const void *elements = focal_gather(run, layout, array, focal_dtype_size(dtype), raw);
    focal_load_f64(dtype, elements, values, run->kept * run->width);
}

/* The kernel of plain losses takes what lies as it wants where it is: it is fast enough for copies
 * to cost a fifth. */
static bool lies_as_doubles(const focal_form_scratch *scratch, const focal_tile *run,
                            const focal_layout *layout, focal_dtype dtype) {
    return scratch->span.plain && dtype == FOCAL_F64 && focal_tile_is_whole(run, layout);
}

static double *doubles_of(const focal_tile *run, const focal_layout *layout,
                          const void *array) {
    return (double *)(void *)focal_tile_start(run, layout, array, sizeof(double));
}

static size_t match_label(const focal_call *call, size_t column) {
    return (size_t)focal_label_at(call->plan->problem.target_kind, call->buffers.targets,
                                  column);
}

void focal_form_take_logits(const focal_call *call, const focal_tile *run,
                            focal_form_scratch *scratch) {
    const focal_plan *plan = call->plan;
    focal_dtype dtype = plan->problem.dtype;
    if (lies_as_doubles(scratch, run, &plan->logits, dtype)) {
        scratch->span.logits = doubles_of(run, &plan->logits, call->buffers.logits);
        return;
    }
    if (!is_match(&plan->problem)) {
        focal_form_take(run, &plan->logits, call->buffers.logits, dtype, scratch->raw,
                        scratch->logits);
        return;
    }
    for (size_t c = 0; c < run->width; c++) {
        focal_tile column = *run;
        column.column = match_label(call, run->column + c);
        column.width = 1;
        focal_form_take(&column, &plan->logits, call->buffers.logits, dtype, scratch->raw,
                        scratch->column);
        for (size_t r = 0; r < run->kept; r++)
            scratch->logits[r * run->width + c] = scratch->column[r];
    }
}

/* Calls for the kept rows of a run, with their place among them. */
#define FOR_KEPT_ROWS(run, row, at)                                                            \
    for (size_t row = (run)->row, at = 0; row < (run)->row + (run)->rows; row++)               \
        if (!(run)->skip || !(run)->skip[row - (run)->row])                                    \
            for (size_t once = 1; once; once = 0, at++)

static void mark_labels(const focal_call *call, const focal_tile *run, double *targets) {
    const focal_problem *problem = &call->plan->problem;
    for (size_t i = 0; i < run->kept * run->width; i++)
        targets[i] = 0.0;
    FOR_KEPT_ROWS(run, row, at) {
        int64_t label = focal_label_at(problem->target_kind, call->buffers.targets, row);
        size_t column = (size_t)label - run->column;
        bool negative =
            problem->op == FOCAL_SIGMOID && focal_label_is_background(problem, label);
        if (column < run->width && !negative)
            targets[at * run->width + column] = 1.0;
    }
}

void focal_form_take_targets(const focal_call *call, const focal_tile *run,
                             focal_form_scratch *scratch) {
    const focal_plan *plan = call->plan;
    const void *targets = call->buffers.targets;
    if (is_match(&plan->problem))
        return; /* its formula has none */
    if (focal_target_is_label(plan->problem.target_kind)) {
        mark_labels(call, run, scratch->targets);
    } else if (plan->problem.target_kind == FOCAL_TARGET_BINARY_U8) {
        const uint8_t *bytes = focal_gather(run, &plan->targets, targets, 1, scratch->raw);
        scratch->span.binary = bytes;
        for (size_t i = 0; !scratch->span.plain && i < run->kept * run->width; i++)
            scratch->targets[i] = (double)bytes[i];
    } else if (lies_as_doubles(scratch, run, &plan->targets, plan->problem.targets_dtype)) {
        scratch->span.targets = doubles_of(run, &plan->targets, targets);
    } else {
        focal_form_take(run, &plan->targets, targets, plan->problem.targets_dtype, scratch->raw,
                        scratch->targets);
    }
}

/* For each element the value of its class, or of its row's label. */
static void take_by_class(const focal_call *call, const focal_tile *run, bool of_label,
                          double (*value)(const focal_problem *, size_t), double *values) {
    const focal_problem *problem = &call->plan->problem;
    FOR_KEPT_ROWS(run, row, at) {
        size_t label =
            of_label ? (size_t)focal_label_at(problem->target_kind, call->buffers.targets, row)
                     : 0;
        for (size_t c = 0; c < run->width; c++) {
            size_t class = of_label ? label : run->column + c;
            if (is_match(problem))
                class = match_label(call, class);
            values[at * run->width + c] = value(problem, class);
        }
    }
}

static double class_weight(const focal_problem *problem, size_t class) {
    return problem->class_weight[class];
}

static void take_weights(const focal_call *call, const focal_tile *run,
                         focal_form_scratch *scratch) {
    const focal_plan *plan = call->plan;
    const focal_problem *problem = &plan->problem;
    bool of_label = problem->op == FOCAL_SOFTMAX && focal_target_is_label(problem->target_kind);
    double *weight = scratch->weight;
    size_t count = run->kept * run->width;
    if (problem->class_weight && !of_label)
        take_by_class(call, run, false, class_weight, weight);
    else
        for (size_t i = 0; i < count; i++)
            weight[i] = 1.0;
    if (call->buffers.element_weight) {
        double *factors = scratch->gradient; /* free before the kernel runs */
        focal_form_take(run, &plan->element_weight, call->buffers.element_weight,
                        plan->weight_size == sizeof(double) ? FOCAL_F64 : FOCAL_F32,
                        scratch->raw, factors);
        for (size_t i = 0; i < count; i++)
            weight[i] *= factors[i];
    }
    if (call->buffers.row_weight || of_label)
        FOR_KEPT_ROWS(run, row, at) {
            double factor = focal_row_weight(call, row);
            for (size_t c = 0; c < run->width; c++)
                weight[at * run->width + c] *= factor;
        }
}

void focal_form_take_parameters(const focal_call *call, const focal_tile *run,
                                focal_form_scratch *scratch) {
    const focal_problem *problem = &call->plan->problem;
    size_t count = run->kept * run->width;
    if (problem->alpha_mode == FOCAL_ALPHA_PER_CLASS ||
        problem->alpha_mode == FOCAL_ALPHA_BACKGROUND) {
        bool of_label =
            problem->op == FOCAL_SOFTMAX && focal_target_is_label(problem->target_kind);
        take_by_class(call, run, of_label, focal_form_alpha, scratch->alpha_positive);
        for (size_t i = 0; i < count; i++)
            scratch->alpha_negative[i] = negative_alpha(problem, scratch->alpha_positive[i]);
    }
    if (problem->gamma_mode == FOCAL_GAMMA_PER_CLASS) {
        take_by_class(call, run, false, focal_form_gamma, scratch->gamma_positive);
        memcpy(scratch->gamma_negative, scratch->gamma_positive, count * sizeof(double));
    }
    if (focal_call_has_weights(call))
        take_weights(call, run, scratch);
}

static void give(const focal_tile *run, const focal_layout *layout, const double *values,
                 void *array, focal_dtype dtype, void *raw) {
    size_t size = focal_dtype_size(dtype), count = run->kept * run->width;
    if (focal_tile_is_whole(run, layout)) {
        focal_store_f64(dtype, values, focal_tile_start(run, layout, array, size), count);
    } else {
        focal_store_f64(dtype, values, raw, count);
        focal_scatter(run, layout, raw, array, size);
    }
}

void focal_form_give(const focal_call *call, const focal_tile *run,
                     focal_form_scratch *scratch) {
    const focal_plan *plan = call->plan;
    const focal_problem *problem = &plan->problem;
    const focal_buffers *buffers = &call->buffers;
    focal_dtype dtype = problem->gradient_dtype;
    if (problem->outputs & FOCAL_OUTPUT_LOSS && scratch->span.loss == scratch->loss)
        give(run, &plan->loss, scratch->loss, buffers->loss, problem->loss_dtype, scratch->raw);
    if (scratch->span.gradient == scratch->gradient)
        give(run, &plan->gradient, scratch->gradient, buffers->gradient, dtype, scratch->raw);
    if (scratch->span.hessian == scratch->hessian)
        give(run, &plan->gradient, scratch->hessian, buffers->hessian, dtype, scratch->raw);
    if (problem->outputs & FOCAL_OUTPUT_TARGET_GRADIENT)
        give(run, &plan->targets, scratch->target_gradient, buffers->target_gradient, dtype,
             scratch->raw);
}

void focal_form_place(const focal_call *call, const focal_tile *run,
                      focal_form_scratch *scratch) {
    const focal_plan *plan = call->plan;
    const focal_problem *problem = &plan->problem;
    focal_form_span *span = &scratch->span;
    if (!span->plain)
        return;
    bool direct = lies_as_doubles(scratch, run, &plan->gradient, problem->gradient_dtype);
    if (problem->outputs & FOCAL_OUTPUT_GRADIENT)
        span->gradient = direct ? doubles_of(run, &plan->gradient, call->buffers.gradient)
                                : scratch->gradient;
    if (problem->outputs & FOCAL_OUTPUT_HESSIAN)
        span->hessian =
            direct ? doubles_of(run, &plan->gradient, call->buffers.hessian) : scratch->hessian;
    if (problem->outputs & FOCAL_OUTPUT_LOSS && !scratch->row_loss_wanted)
        span->loss = lies_as_doubles(scratch, run, &plan->loss, problem->loss_dtype)
                         ? doubles_of(run, &plan->loss, call->buffers.loss)
                         : scratch->loss;
    span->logits = scratch->logits;
    span->targets = scratch->targets;
}

void focal_form_give_row_losses(const focal_call *call, const focal_tile *run,
                                focal_form_scratch *scratch) {
    focal_tile rows = focal_tile_of_rows(run);
    if (scratch->row_loss_wanted)
        give(&rows, &focal_row_layout, scratch->row_loss, call->buffers.row_loss,
             call->plan->problem.loss_dtype, scratch->raw);
}

void focal_form_zero(const focal_call *call, const focal_tile *run) {
    const focal_plan *plan = call->plan;
    const focal_buffers *buffers = &call->buffers;
    uint32_t outputs = plan->problem.outputs;
    if (outputs & FOCAL_OUTPUT_LOSS)
        focal_zero_skipped(run, &plan->loss, buffers->loss, plan->loss_size);
    if (outputs & FOCAL_OUTPUT_GRADIENT)
        focal_zero_skipped(run, &plan->gradient, buffers->gradient, plan->gradient_size);
    if (outputs & FOCAL_OUTPUT_HESSIAN)
        focal_zero_skipped(run, &plan->gradient, buffers->hessian, plan->gradient_size);
    if (outputs & FOCAL_OUTPUT_TARGET_GRADIENT)
        focal_zero_skipped(run, &plan->targets, buffers->target_gradient, plan->gradient_size);
    if (wants_row_losses(plan)) {
        focal_tile rows = focal_tile_of_rows(run);
        focal_zero_skipped(&rows, &focal_row_layout, buffers->row_loss, plan->loss_size);
    }
}
