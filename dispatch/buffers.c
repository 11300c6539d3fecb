/* The rules of an execution's buffers, each with its message. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "plan.h"
#include "status.h"

/* One buffer of an execution, as the rules see it. */
typedef struct {
    const char *field;
    const void *start;
    size_t bytes, alignment;
    bool output;
} buffer_view;

enum { VIEWS_MAX = 13 };

static size_t matrix_bytes(const focal_plan *plan, const focal_layout *layout, size_t columns,
                           size_t size) {
    if (plan->rows == 0 || columns == 0)
        return 0;
    return (focal_layout_place(layout, plan->rows - 1, columns - 1) + 1) * size;
}

static size_t target_bytes(const focal_plan *plan) {
    if (plan->problem.form == FOCAL_FORM_MATCH)
        return plan->columns * plan->targets_size;
    if (focal_target_is_label(plan->problem.target_kind))
        return plan->rows * plan->targets_size;
    return matrix_bytes(plan, &plan->targets, plan->columns, plan->targets_size);
}

void focal_buffers_measure(focal_plan *plan) {
    size_t classes = (size_t)plan->problem.classes;
    plan->bytes = (focal_extents){
        .logits = matrix_bytes(plan, &plan->logits, classes, plan->logits_size),
        .targets = target_bytes(plan),
        .loss = matrix_bytes(plan, &plan->loss, plan->columns, plan->loss_size),
        .gradient = matrix_bytes(plan, &plan->gradient, classes, plan->gradient_size),
        .target_gradient = matrix_bytes(plan, &plan->targets, classes, plan->gradient_size),
    };
}

/* The buffers that the execution uses: inputs, then outputs, each of which is compared with
 * everything before it. */
static size_t list_views(const focal_plan *plan, const focal_buffers *buffers,
                         buffer_view views[VIEWS_MAX]) {
    const focal_problem *problem = &plan->problem;
    uint32_t outputs = problem->outputs;
    size_t count = 0, weights = plan->weight_size, gradient = plan->gradient_size;
    const focal_extents *bytes = &plan->bytes;
#define VIEW(field, size, alignment, output)                                                   \
    views[count++] = (buffer_view){#field, buffers->field, size, alignment, output}
    VIEW(logits, bytes->logits, plan->logits_size, false);
    VIEW(targets, bytes->targets, plan->targets_size, false);
    if (buffers->upstream)
        VIEW(upstream, sizeof(float), sizeof(float), false);
    if (buffers->row_weight)
        VIEW(row_weight, plan->rows * weights, weights, false);
    if (buffers->element_weight)
        VIEW(element_weight, plan->rows * (size_t)problem->classes * weights, weights, false);
    if (problem->normalizer == FOCAL_NORMALIZER_VALUE)
        VIEW(normalizer, sizeof(double), sizeof(double), false);
    if (outputs & FOCAL_OUTPUT_GRADIENT)
        VIEW(gradient, bytes->gradient, gradient, true);
    if (outputs & FOCAL_OUTPUT_HESSIAN)
        VIEW(hessian, bytes->gradient, gradient, true);
    if (outputs & FOCAL_OUTPUT_TARGET_GRADIENT)
        VIEW(target_gradient, bytes->target_gradient, gradient, true);
    if (outputs & FOCAL_OUTPUT_LOSS)
        VIEW(loss, bytes->loss, plan->loss_size, true);
    if (outputs & FOCAL_OUTPUT_ROW_LOSS)
        VIEW(row_loss, plan->rows * plan->loss_size, plan->loss_size, true);
    if (buffers->workspace)
        VIEW(workspace, focal_plan_workspace_size(plan), sizeof(double), true);
#undef VIEW
    return count;
}

static bool overlap(const buffer_view *a, const buffer_view *b) {
    uintptr_t a_start = (uintptr_t)a->start, b_start = (uintptr_t)b->start;
    return a->bytes > 0 && b->bytes > 0 && a_start < b_start + b->bytes &&
           b_start < a_start + a->bytes;
}

/* The gradient may be the very logits. */
static bool is_in_place(const focal_plan *plan, const buffer_view *output,
                        const buffer_view *input) {
    return strcmp(output->field, "gradient") == 0 && strcmp(input->field, "logits") == 0 &&
           output->start == input->start &&
           plan->problem.gradient_dtype == plan->problem.dtype &&
           plan->gradient.stride == plan->logits.stride &&
           plan->gradient.class_stride == plan->logits.class_stride;
}

static focal_status check_weights(const focal_plan *plan, const focal_buffers *buffers,
                                  focal_error *error) {
    const focal_problem *problem = &plan->problem;
    bool match = problem->form == FOCAL_FORM_MATCH;
    if (buffers->row_weight && match)
        return focal_fail(error, FOCAL_E_UNSUPPORTED, "row_weight", -1,
                          "FOCAL_FORM_MATCH gives unweighted costs, but for class_weight");
    if (buffers->element_weight && match)
        return focal_fail(error, FOCAL_E_UNSUPPORTED, "element_weight", -1,
                          "FOCAL_FORM_MATCH gives unweighted costs, but for class_weight");
    if (buffers->element_weight && problem->op == FOCAL_SOFTMAX)
        return focal_fail(error, FOCAL_E_UNSUPPORTED, "element_weight", -1,
                          "softmax has one loss per row, weighted by row_weight");
    return FOCAL_OK;
}

static focal_status check_views(const buffer_view *views, size_t count, focal_error *error) {
    for (size_t i = 0; i < count; i++) {
        const buffer_view *view = &views[i];
        if (view->bytes == 0)
            continue;
        if (!view->start)
            return focal_fail(error, FOCAL_E_NULL, view->field, -1,
                              "the plan needs this buffer (%zu bytes)", view->bytes);
        if ((uintptr_t)view->start & (view->alignment - 1))
            return focal_fail(error, FOCAL_E_ALIGNMENT, view->field, -1,
                              "must be a multiple of %zu", view->alignment);
    }
    return FOCAL_OK;
}

focal_status focal_buffers_check(const focal_plan *plan, const focal_buffers *buffers,
                                 focal_error *error) {
    buffer_view views[VIEWS_MAX];
    focal_status status = check_weights(plan, buffers, error);
    if (status != FOCAL_OK)
        return status;
    size_t count = list_views(plan, buffers, views);
    status = check_views(views, count, error);
    if (status != FOCAL_OK)
        return status;
    if (plan->problem.normalizer == FOCAL_NORMALIZER_VALUE &&
        !(*buffers->normalizer > 0.0 && *buffers->normalizer < HUGE_VAL))
        return focal_fail(error, FOCAL_E_VALUE, "normalizer", -1,
                          "%g is not a finite number above 0", *buffers->normalizer);
    size_t workspace_bytes = focal_plan_workspace_size(plan);
    if (buffers->workspace && buffers->workspace_size < workspace_bytes)
        return focal_fail(error, FOCAL_E_VALUE, "workspace_size", -1,
                          "%zu bytes are less than the %zu needed", buffers->workspace_size,
                          workspace_bytes);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; views[i].output && j < i; j++)
            if (overlap(&views[i], &views[j]) && !is_in_place(plan, &views[i], &views[j]))
                return focal_fail(error, FOCAL_E_OVERLAP, views[i].field, -1, "overlaps %s",
                                  views[j].field);
    return FOCAL_OK;
}

focal_status focal_buffers_check_apart(const focal_plan *plan, const focal_buffers *buffers,
                                       const focal_plan *other_plan,
                                       const focal_buffers *other_buffers, focal_error *error) {
    buffer_view views[VIEWS_MAX], others[VIEWS_MAX];
    size_t count = list_views(plan, buffers, views);
    size_t other_count = list_views(other_plan, other_buffers, others);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < other_count; j++)
            if ((views[i].output || others[j].output) && overlap(&views[i], &others[j])) {
                const buffer_view *output = views[i].output ? &views[i] : &others[j];
                const buffer_view *touched = views[i].output ? &others[j] : &views[i];
                return focal_fail(error, FOCAL_E_OVERLAP, output->field, -1,
                                  "overlaps %s of another level", touched->field);
            }
    return FOCAL_OK;
}
