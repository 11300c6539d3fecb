#include "form_plants.h"

#include <math.h>
#include <stdlib.h>

#include "machine_state.h"

focal_form_function *form_plant_sigmoid, *form_plant_softmax;

static double nudge(double a) {
    return nextafter(a, HUGE_VAL);
}

static void write_past(focal_form_span *span) {
    form_plant_sigmoid(span);
    if (span->loss)
        span->loss[span->count] = 0.0;
}

static void write_before(focal_form_span *span) {
    form_plant_sigmoid(span);
    if (span->gradient)
        span->gradient[-1] = 0.0;
}

static void read_past(focal_form_span *span) {
    volatile double read = span->weight[span->count];
    (void)read;
    form_plant_sigmoid(span);
}

static void read_before(focal_form_span *span) {
    volatile double read = span->gamma_negative[-1];
    (void)read;
    form_plant_sigmoid(span);
}

static void wrong_lane(focal_form_span *span) {
    form_plant_sigmoid(span);
    for (size_t i = 3; span->hessian && i < span->count; i += 8)
        span->hessian[i] = nudge(span->hessian[i]);
}

/* An error that only one count has. */
static void wrong_tail(focal_form_span *span) {
    form_plant_sigmoid(span);
    if (span->count == 13 && span->target_gradient)
        span->target_gradient[12] = nudge(span->target_gradient[12]);
}

static void wrong_sum(focal_form_span *span) {
    form_plant_sigmoid(span);
    double sum = 0.0;
    for (size_t i = 0; span->loss && i < span->count; i++)
        sum += span->loss[i];
    span->sum = span->loss ? sum : span->sum;
}

static void input_written(focal_form_span *span) {
    form_plant_sigmoid(span);
    if (span->gradient != span->targets)
        *(double *)(uintptr_t)span->targets = 0.5;
}

/* The gradient is stored before the weight is read again for the loss. */
static void alias_unsafe(focal_form_span *span) {
    form_plant_sigmoid(span);
    if (span->loss && span->gradient == span->weight)
        span->loss[0] = 2.0 * span->loss[0] + span->gradient[0];
}

static void output_dependent(focal_form_span *span) {
    form_plant_sigmoid(span);
    if (!span->loss && span->gradient)
        span->gradient[0] = nudge(span->gradient[0]);
}

static void weight_ignored(focal_form_span *span) {
    double weights[FORM_RUN];
    for (size_t i = 0; i < span->count; i++)
        weights[i] = span->weight[i] == 0.0 ? 0x1p-1000 : span->weight[i];
    const double *kept = span->weight;
    span->weight = weights;
    form_plant_sigmoid(span);
    span->weight = kept;
}

static void nan_lost(focal_form_span *span) {
    form_plant_sigmoid(span);
    for (size_t i = 0; span->gradient && i < span->count; i++)
        if (isnan(span->gradient[i]))
            span->gradient[i] = 0.0;
}

static void control_changed(focal_form_span *span) {
    form_plant_sigmoid(span);
    float_control_write(float_control_odd(float_control_read()));
}

static void crash(focal_form_span *span) {
    (void)span;
    abort();
}

static void endless(focal_form_span *span) {
    for (volatile int i = 0; span->count; i = i ? 0 : 1)
        ;
}

static void last_of_equals(focal_form_span *span) {
    form_plant_softmax(span);
    for (size_t i = 0; span->step == FORM_ROW_MAX && i < span->count; i++)
        if (span->logits[i] == span->row->most)
            span->row->most_at = span->first + i;
}

static void second_run_wrong(focal_form_span *span) {
    form_plant_softmax(span);
    if (span->step == FORM_ROW_TERMS && span->first > 0)
        span->row->curvature = nudge(span->row->curvature);
}

static void class_wrong(focal_form_span *span) {
    form_plant_softmax(span);
    if (span->step == FORM_ROW_RESULTS && span->gradient)
        span->gradient[span->count - 1] = nudge(span->gradient[span->count - 1]);
}

const form_plant form_plants[] = {
    {"write past the end", KERNEL_SIGMOID, write_past, FORM_CHECK_WRITE},
    {"write before the start", KERNEL_SIGMOID, write_before, FORM_CHECK_WRITE},
    {"read past the end", KERNEL_SIGMOID, read_past, FORM_CHECK_FAULT},
    {"read before the start", KERNEL_SIGMOID, read_before, FORM_CHECK_FAULT},
    {"wrong in one lane", KERNEL_SIGMOID, wrong_lane, FORM_CHECK_VALUE},
    {"wrong in one count's tail", KERNEL_SIGMOID, wrong_tail, FORM_CHECK_VALUE},
    {"another order of summation", KERNEL_SIGMOID, wrong_sum, FORM_CHECK_SUM},
    {"an input written", KERNEL_SIGMOID, input_written, FORM_CHECK_INPUT},
    {"not safe in place", KERNEL_SIGMOID, alias_unsafe, FORM_CHECK_VALUE},
    {"bits depend on the outputs", KERNEL_SIGMOID, output_dependent, FORM_CHECK_VALUE},
    {"weight 0 taken as small", KERNEL_SIGMOID, weight_ignored, FORM_CHECK_NAN},
    {"a NaN swallowed", KERNEL_SIGMOID, nan_lost, FORM_CHECK_NAN},
    {"control bits changed", KERNEL_SIGMOID, control_changed, FORM_CHECK_STATE},
    {"a crash", KERNEL_SIGMOID, crash, FORM_CHECK_CRASH},
    {"an endless loop", KERNEL_SIGMOID, endless, FORM_CHECK_TIME},
    {"last of equal greatest", KERNEL_SOFTMAX, last_of_equals, FORM_CHECK_ROW},
    {"second run wrong", KERNEL_SOFTMAX, second_run_wrong, FORM_CHECK_ROW},
    {"last class wrong", KERNEL_SOFTMAX, class_wrong, FORM_CHECK_VALUE},
};
const size_t form_plant_count = sizeof form_plants / sizeof form_plants[0];
