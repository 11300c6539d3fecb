/* The rules of a problem and of its buffers, each with its message. */
#include <math.h>
#include <stdint.h>

#include "plan.h"
#include "status.h"

/* Above this the factor of any wrong enough logit is 0 or 1 in double precision; the kernels'
 * two-float products stay finite below it. */
#define GAMMA_MAX 1000.0

size_t focal_target_size(focal_target_kind kind) {
    switch (kind) {
    case FOCAL_TARGET_DENSE:
    case FOCAL_TARGET_LABEL_I32:
        return 4;
    case FOCAL_TARGET_BINARY_U8:
    case FOCAL_TARGET_LABEL_U8:
        return 1;
    case FOCAL_TARGET_LABEL_I64:
        return 8;
    }
    return 0;
}

bool focal_target_is_label(focal_target_kind kind) {
    return kind == FOCAL_TARGET_LABEL_U8 || kind == FOCAL_TARGET_LABEL_I32 ||
           kind == FOCAL_TARGET_LABEL_I64;
}

/* Enumerations and flags: every value must be one that this version knows. */
static focal_status check_choices(const focal_problem *problem, focal_error *error) {
    const uint32_t outputs =
        FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_LOSS | FOCAL_OUTPUT_ROW_LOSS | FOCAL_OUTPUT_GRADIENT;
    struct {
        const char *field;
        long long value, most;
    } enums[] = {
        {"op", problem->op, FOCAL_SOFTMAX},
        {"dtype", problem->dtype, FOCAL_F32},
        {"target_kind", problem->target_kind, FOCAL_TARGET_LABEL_I64},
        {"alpha_mode", problem->alpha_mode, FOCAL_ALPHA_SCALAR},
        {"tier", problem->tier, FOCAL_TIER_ACCURATE},
    };
    for (size_t i = 0; i < sizeof enums / sizeof enums[0]; i++)
        if (enums[i].value < 0 || enums[i].value > enums[i].most)
            return focal_fail(error, FOCAL_E_VALUE, enums[i].field, -1,
                              "%lld is not one of its values (0 ... %lld)", enums[i].value,
                              enums[i].most);
    if (problem->outputs == 0)
        return focal_fail(error, FOCAL_E_VALUE, "outputs", -1,
                          "nothing to compute: OR together what is wanted");
    if (problem->outputs & ~outputs)
        return focal_fail(error, FOCAL_E_VALUE, "outputs", -1, "unknown bits 0x%x",
                          (unsigned)(problem->outputs & ~outputs));
    if (problem->label_flags & ~(uint32_t)FOCAL_LABEL_BACKGROUND)
        return focal_fail(error, FOCAL_E_VALUE, "label_flags", -1, "unknown bits 0x%x",
                          (unsigned)(problem->label_flags & ~(uint32_t)FOCAL_LABEL_BACKGROUND));
    return FOCAL_OK;
}

static focal_status check_combinations(const focal_problem *problem, focal_error *error) {
    bool labels = focal_target_is_label(problem->target_kind);
    if (problem->op == FOCAL_SOFTMAX && !labels)
        return focal_fail(error, FOCAL_E_UNSUPPORTED, "target_kind", -1,
                          "softmax takes one integer label per row (FOCAL_TARGET_LABEL_*)");
    if (problem->op == FOCAL_SOFTMAX && problem->outputs & FOCAL_OUTPUT_LOSS)
        return focal_fail(error, FOCAL_E_UNSUPPORTED, "outputs", -1,
                          "softmax has one loss per row: ask for FOCAL_OUTPUT_ROW_LOSS");
    if (problem->label_flags & FOCAL_LABEL_BACKGROUND && !labels)
        return focal_fail(error, FOCAL_E_UNSUPPORTED, "label_flags", -1,
                          "a background value needs integer labels");
    if (problem->label_flags & FOCAL_LABEL_BACKGROUND && problem->op == FOCAL_SOFTMAX)
        return focal_fail(error, FOCAL_E_UNSUPPORTED, "label_flags", -1,
                          "in softmax the background is a class of its own");
    return FOCAL_OK;
}

static focal_status check_parameters(const focal_problem *problem, focal_error *error) {
    if (!(problem->gamma >= 0.0 && problem->gamma <= GAMMA_MAX))
        return focal_fail(error, FOCAL_E_VALUE, "gamma", -1, "%g is outside [0, %g]",
                          problem->gamma, GAMMA_MAX);
    if (problem->alpha_mode != FOCAL_ALPHA_OFF &&
        !(problem->alpha >= 0.0 && problem->alpha <= 1.0))
        return focal_fail(error, FOCAL_E_VALUE, "alpha", -1,
                          "%g is outside [0, 1]; FOCAL_ALPHA_OFF turns it off", problem->alpha);
    return FOCAL_OK;
}

/* Fills in a stride of 0 and checks that the whole array has a size. */
static focal_status check_stride(int64_t *stride, const focal_problem *problem, size_t size,
                                 const char *field, focal_error *error) {
    int64_t bytes;
    if (*stride == 0)
        *stride = problem->classes;
    if (*stride < problem->classes)
        return focal_fail(error, FOCAL_E_STRIDE, field, -1,
                          "%lld is less than the %lld classes of a row", (long long)*stride,
                          (long long)problem->classes);
    if (__builtin_mul_overflow(problem->outer, *stride, &bytes) ||
        __builtin_mul_overflow(bytes, (int64_t)size, &bytes) || bytes > PTRDIFF_MAX)
        return focal_fail(error, FOCAL_E_OVERFLOW, field, -1,
                          "%lld rows of %lld elements exceed the address space",
                          (long long)problem->outer, (long long)*stride);
    return FOCAL_OK;
}

static focal_status check_sizes(focal_problem *problem, focal_error *error) {
    if (problem->outer < 0)
        return focal_fail(error, FOCAL_E_VALUE, "outer", -1, "%lld rows",
                          (long long)problem->outer);
    if (problem->classes < 0 || (problem->classes == 0 && problem->outer > 0))
        return focal_fail(error, FOCAL_E_VALUE, "classes", -1, "%lld logits per row",
                          (long long)problem->classes);
    if (focal_target_is_label(problem->target_kind) && problem->classes > INT32_MAX)
        return focal_fail(error, FOCAL_E_VALUE, "classes", -1,
                          "%lld; integer labels allow %ld at most", (long long)problem->classes,
                          (long)INT32_MAX);
    bool labels = focal_target_is_label(problem->target_kind);
    size_t target_size = focal_target_size(problem->target_kind);
    if (labels && problem->outer > PTRDIFF_MAX / (int64_t)target_size)
        return focal_fail(error, FOCAL_E_OVERFLOW, "outer", -1,
                          "%lld labels exceed the address space", (long long)problem->outer);
    if (labels)
        problem->targets_stride = 0; /* labels have none */
    struct {
        int64_t *stride;
        size_t size;
        const char *field;
    } strides[] = {
        {&problem->logits_stride, sizeof(float), "logits_stride"},
        {&problem->targets_stride, labels ? 1 : target_size, "targets_stride"},
        {&problem->loss_stride, sizeof(float), "loss_stride"},
        {&problem->gradient_stride, sizeof(float), "gradient_stride"},
    };
    for (size_t i = 0; i < sizeof strides / sizeof strides[0]; i++) {
        focal_status status =
            check_stride(strides[i].stride, problem, strides[i].size, strides[i].field, error);
        if (status != FOCAL_OK)
            return status;
    }
    return FOCAL_OK;
}

focal_status focal_problem_check(focal_problem *problem, focal_error *error) {
    focal_status status = check_choices(problem, error);
    if (status == FOCAL_OK)
        status = check_combinations(problem, error);
    if (status == FOCAL_OK)
        status = check_parameters(problem, error);
    if (status == FOCAL_OK)
        status = check_sizes(problem, error);
    if (problem->tier == FOCAL_TIER_DEFAULT)
        problem->tier = FOCAL_TIER_FAST;
    return status;
}

/* One buffer of an execution, as the rules see it. */
typedef struct {
    const char *field;
    const void *start;
    size_t bytes, alignment;
    bool wanted, output;
} buffer_view;

static size_t matrix_bytes(const focal_problem *problem, int64_t stride, size_t size) {
    if (problem->outer == 0)
        return 0;
    return (size_t)((problem->outer - 1) * stride + problem->classes) * size;
}

static bool overlap(const buffer_view *a, const buffer_view *b) {
    uintptr_t a_start = (uintptr_t)a->start, b_start = (uintptr_t)b->start;
    return a->bytes > 0 && b->bytes > 0 && a_start < b_start + b->bytes &&
           b_start < a_start + a->bytes;
}

focal_status focal_buffers_check(const focal_plan *plan, const focal_buffers *buffers,
                                 focal_error *error) {
    const focal_problem *problem = &plan->problem;
    if (buffers->struct_size != sizeof *buffers)
        return focal_fail(error, FOCAL_E_STRUCT, "buffers.struct_size", -1,
                          "%zu is not a known size; use focal_buffers_init",
                          buffers->struct_size);
    uint32_t outputs = problem->outputs;
    size_t target_size = focal_target_size(problem->target_kind);
    size_t target_bytes = focal_target_is_label(problem->target_kind)
                              ? (size_t)problem->outer * target_size
                              : matrix_bytes(problem, problem->targets_stride, target_size);
    size_t workspace_bytes = focal_plan_workspace_size(plan);
    /* Outputs last: each is compared with everything before it. */
    enum { LOGITS_VIEW = 0, GRADIENT_VIEW = 3 };
    const buffer_view views[] = {
        {"logits", buffers->logits, matrix_bytes(problem, problem->logits_stride, 4), 4, true,
         false},
        {"targets", buffers->targets, target_bytes, target_size, true, false},
        {"upstream", buffers->upstream, sizeof(float), 4, buffers->upstream != NULL, false},
        {"gradient", buffers->gradient, matrix_bytes(problem, problem->gradient_stride, 4), 4,
         outputs & FOCAL_OUTPUT_GRADIENT, true},
        {"loss", buffers->loss, matrix_bytes(problem, problem->loss_stride, 4), 4,
         outputs & FOCAL_OUTPUT_LOSS, true},
        {"row_loss", buffers->row_loss, (size_t)problem->outer * 4, 4,
         outputs & FOCAL_OUTPUT_ROW_LOSS, true},
        {"workspace", buffers->workspace, workspace_bytes, sizeof(double),
         buffers->workspace != NULL, true},
    };
    size_t count = sizeof views / sizeof views[0];
    for (size_t i = 0; i < count; i++) {
        const buffer_view *view = &views[i];
        if (!view->wanted || view->bytes == 0)
            continue;
        if (!view->start)
            return focal_fail(error, FOCAL_E_NULL, view->field, -1,
                              "the plan needs this buffer (%zu bytes)", view->bytes);
        if ((uintptr_t)view->start % view->alignment)
            return focal_fail(error, FOCAL_E_ALIGNMENT, view->field, -1,
                              "must be a multiple of %zu", view->alignment);
    }
    if (buffers->workspace && buffers->workspace_size < workspace_bytes)
        return focal_fail(error, FOCAL_E_VALUE, "workspace_size", -1,
                          "%zu bytes are less than the %zu needed", buffers->workspace_size,
                          workspace_bytes);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++) {
            if (!views[i].output || !views[i].wanted || !views[j].wanted ||
                !overlap(&views[i], &views[j]))
                continue;
            if (i == GRADIENT_VIEW && j == LOGITS_VIEW && views[i].start == views[j].start &&
                problem->gradient_stride == problem->logits_stride)
                continue;
            return focal_fail(error, FOCAL_E_OVERLAP, views[i].field, -1, "overlaps %s",
                              views[j].field);
        }
    return FOCAL_OK;
}
