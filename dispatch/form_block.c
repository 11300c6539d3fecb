/* Blocks of every other form: gathered in runs of doubles for the form kernels, and rounded to
 * their storage once. A run is whole rows while they fit, or a piece of a row. */
#include <math.h>

#include "block.h"
#include "form_run.h"
#include "targets.h"

static void sum_rows(focal_form_scratch *scratch, const focal_tile *run) {
    for (size_t r = 0; r < run->kept; r++) {
        double sum = 0.0;
        for (size_t c = 0; c < run->width; c++)
            sum += scratch->loss[r * run->width + c];
        scratch->row_loss[r] = sum;
    }
}

static double run_sigmoid(const focal_call *call, const focal_tile *run,
                          focal_form_scratch *scratch) {
    focal_form_place(call, run, scratch);
    focal_form_take_logits(call, run, scratch);
    focal_form_take_targets(call, run, scratch);
    focal_form_take_parameters(call, run, scratch);
    scratch->span.count = run->kept * run->width;
    call->plan->form->function(&scratch->span);
    focal_form_give(call, run, scratch);
    return scratch->span.sum;
}

/* Runs of at most FORM_RUN elements that cover whole rows. */
static double run_sigmoid_rows(const focal_call *call, const focal_tile *tile,
                               focal_form_scratch *scratch) {
    size_t rows = FORM_RUN / tile->width;
    double sum = 0.0;
    for (size_t first = 0; first < tile->rows; first += rows) {
        focal_tile run = focal_form_part(tile, first, rows, 0, tile->width);
        if (run.kept == 0) {
            focal_form_zero(call, &run);
            continue;
        }
        sum += run_sigmoid(call, &run, scratch);
        if (scratch->row_loss_wanted)
            sum_rows(scratch, &run);
        focal_form_give_row_losses(call, &run, scratch);
    }
    return sum;
}

static double run_sigmoid_pieces(const focal_call *call, const focal_tile *tile,
                                 focal_form_scratch *scratch) {
    double sum = 0.0;
    for (size_t row = 0; row < tile->rows; row++) {
        focal_tile whole = focal_form_part(tile, row, 1, 0, tile->width);
        if (whole.kept == 0) {
            focal_form_zero(call, &whole);
            continue;
        }
        double row_loss = 0.0;
        for (size_t column = 0; column < tile->width; column += FORM_RUN) {
            focal_tile run = focal_form_part(tile, row, 1, column, FORM_RUN);
            row_loss += run_sigmoid(call, &run, scratch);
        }
        sum += row_loss;
        scratch->row_loss[0] = row_loss;
        focal_form_give_row_losses(call, &whole, scratch);
    }
    return sum;
}

static void step_row(const focal_call *call, focal_form_scratch *scratch, focal_form_step step,
                     size_t at, size_t first, size_t count) {
    focal_form_span span = scratch->span;
    span.step = step;
    span.first = first;
    span.count = count;
    span.logits += at;
    span.targets += at;
    span.alpha_positive += at;
    span.alpha_negative += at;
    span.gamma_positive += at;
    span.gamma_negative += at;
    span.weight += at;
    span.gradient = span.gradient ? span.gradient + at : NULL;
    span.hessian = span.hessian ? span.hessian + at : NULL;
    span.target_gradient = span.target_gradient ? span.target_gradient + at : NULL;
    call->plan->form->function(&span);
}

/* `row` is one of the array that is not skipped. */
static focal_form_row start_row(const focal_call *call, size_t row,
                                focal_form_scratch *scratch) {
    const focal_problem *problem = &call->plan->problem;
    focal_form_row state = {.most = -HUGE_VAL};
    if (!focal_target_is_label(problem->target_kind))
        return state;
    state.label = (size_t)focal_label_at(problem->target_kind, call->buffers.targets, row);
    state.gamma = focal_form_gamma(problem, state.label);
    state.weight = focal_form_alpha(problem, state.label) * focal_row_weight(call, row);
    const focal_tile label = {row, 1, state.label, 1, NULL, 1};
    focal_form_take(&label, &call->plan->logits, call->buffers.logits, problem->dtype,
                    scratch->raw, &state.label_logit);
    return state;
}

static bool wants_elements(const focal_problem *problem) {
    return problem->outputs &
           (FOCAL_OUTPUT_GRADIENT | FOCAL_OUTPUT_HESSIAN | FOCAL_OUTPUT_TARGET_GRADIENT);
}

static double run_softmax_rows(const focal_call *call, const focal_tile *tile,
                               focal_form_scratch *scratch) {
    const focal_problem *problem = &call->plan->problem;
    size_t rows = FORM_RUN / tile->width, width = tile->width;
    double sum = 0.0;
    for (size_t first = 0; first < tile->rows; first += rows) {
        focal_tile run = focal_form_part(tile, first, rows, 0, width);
        if (run.kept == 0) {
            focal_form_zero(call, &run);
            continue;
        }
        focal_form_take_logits(call, &run, scratch);
        focal_form_take_targets(call, &run, scratch);
        focal_form_take_parameters(call, &run, scratch);
        for (size_t r = 0, at = 0; r < run.rows; r++) {
            if (run.skip && run.skip[r])
                continue;
            focal_form_row state = start_row(call, run.row + r, scratch);
            scratch->span.row = &state;
            for (int step = FORM_ROW_MAX; step <= FORM_ROW_TERMS; step++)
                step_row(call, scratch, (focal_form_step)step, at * width, 0, width);
            if (wants_elements(problem))
                step_row(call, scratch, FORM_ROW_RESULTS, at * width, 0, width);
            scratch->row_loss[at++] = state.loss;
            sum += state.loss;
        }
        focal_form_give(call, &run, scratch);
        focal_form_give_row_losses(call, &run, scratch);
    }
    return sum;
}

static double run_softmax_pieces(const focal_call *call, const focal_tile *tile,
                                 focal_form_scratch *scratch) {
    int last = wants_elements(&call->plan->problem) ? FORM_ROW_RESULTS : FORM_ROW_TERMS;
    double sum = 0.0;
    for (size_t row = 0; row < tile->rows; row++) {
        focal_tile whole = focal_form_part(tile, row, 1, 0, tile->width);
        if (whole.kept == 0) {
            focal_form_zero(call, &whole);
            continue;
        }
        focal_form_row state = start_row(call, whole.row, scratch);
        scratch->span.row = &state;
        for (int step = FORM_ROW_MAX; step <= last; step++)
            for (size_t column = 0; column < tile->width; column += FORM_RUN) {
                focal_tile run = focal_form_part(tile, row, 1, column, FORM_RUN);
                focal_form_take_logits(call, &run, scratch);
                if (step >= FORM_ROW_TERMS) {
                    focal_form_take_targets(call, &run, scratch);
                    focal_form_take_parameters(call, &run, scratch);
                }
                step_row(call, scratch, (focal_form_step)step, 0, column, run.width);
                if (step == FORM_ROW_RESULTS)
                    focal_form_give(call, &run, scratch);
            }
        scratch->row_loss[0] = state.loss;
        sum += state.loss;
        focal_form_give_row_losses(call, &whole, scratch);
    }
    return sum;
}

void focal_form_blocks_run(const focal_call *call, size_t first, size_t count) {
    const focal_plan *plan = call->plan;
    bool softmax = plan->problem.op == FOCAL_SOFTMAX;
    focal_form_scratch scratch;
    focal_form_start(call, &scratch);
    for (size_t block = first; block < first + count; block++) {
        focal_tile tile = focal_block_tile(plan, block);
        focal_block_result result = focal_count(call, &tile);
        focal_tile_skip(call, &tile, scratch.skip);
        if (softmax)
            result.loss = tile.width <= FORM_RUN ? run_softmax_rows(call, &tile, &scratch)
                                                 : run_softmax_pieces(call, &tile, &scratch);
        else
            result.loss = tile.width <= FORM_RUN ? run_sigmoid_rows(call, &tile, &scratch)
                                                 : run_sigmoid_pieces(call, &tile, &scratch);
        focal_call_results(call)[block] = result;
    }
}
