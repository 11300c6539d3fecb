/* One run of a form kernel: what it takes and gives, between the arrays and doubles. */
#ifndef FOCAL_DISPATCH_FORM_RUN_H
#define FOCAL_DISPATCH_FORM_RUN_H

#include "plan.h"

/* About 70 KiB on the stack of the thread that runs a task. */
typedef struct focal_form_scratch {
    double logits[FORM_RUN], targets[FORM_RUN];
    double alpha_positive[FORM_RUN], alpha_negative[FORM_RUN];
    double gamma_positive[FORM_RUN], gamma_negative[FORM_RUN];
    double weight[FORM_RUN];
    double loss[FORM_RUN], row_loss[FORM_RUN];
    double gradient[FORM_RUN], hessian[FORM_RUN], target_gradient[FORM_RUN];
    double column[FORM_RUN]; /* of one label, for matches */
    uint64_t raw[FORM_RUN];  /* elements of any type on their way */
    uint8_t skip[FOCAL_BLOCK];
    bool row_loss_wanted;
    focal_form_span span;
} focal_form_scratch;

/* The span's constant fields, and parameters that are the same for every element. */
void focal_form_start(const focal_call *call, focal_form_scratch *scratch);

/* Rows [first, first + rows) of the tile and classes [column, column + width), as far as there
 * are such. */
focal_tile focal_form_part(const focal_tile *tile, size_t first, size_t rows, size_t column,
                           size_t width);

/* The run's elements as doubles. */
void focal_form_take(const focal_tile *run, const focal_layout *layout, const void *array,
                     focal_dtype dtype, void *raw, double *values);
void focal_form_take_logits(const focal_call *call, const focal_tile *run,
                            focal_form_scratch *scratch);
void focal_form_take_targets(const focal_call *call, const focal_tile *run,
                             focal_form_scratch *scratch);

/* What is not the same for every element: alpha, gamma, weights. */
void focal_form_take_parameters(const focal_call *call, const focal_tile *run,
                                focal_form_scratch *scratch);

/* Points a plain span at the run's results, in the arrays where they can be. Comes before the takes. */
void focal_form_place(const focal_call *call, const focal_tile *run,
                      focal_form_scratch *scratch);

/* The results of the run, zeros for its skipped rows; row losses if they are whole. */
void focal_form_give(const focal_call *call, const focal_tile *run,
                     focal_form_scratch *scratch);
void focal_form_give_row_losses(const focal_call *call, const focal_tile *run,
                                focal_form_scratch *scratch);

/* Zeros for a run of skipped rows. */
void focal_form_zero(const focal_call *call, const focal_tile *run);

double focal_form_alpha(const focal_problem *problem, size_t class);
double focal_form_gamma(const focal_problem *problem, size_t class);

#endif
