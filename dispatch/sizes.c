/* The rules of sizes and strides, which are completed on the way. */
#include <stdint.h>

#include "convert.h"
#include "plan.h"
#include "status.h"

/* Fills in strides of 0 and checks that rows do not overlap and the whole array has a size. */
static focal_status check_strides(const focal_problem *problem, int64_t columns, size_t size,
                                  const char *field, int64_t *stride, const char *class_field,
                                  int64_t *class_stride, focal_error *error) {
    int64_t needed, bytes;
    if (*class_stride == 0)
        *class_stride = problem->inner;
    if (*class_stride < problem->inner)
        return focal_fail(error, FOCAL_E_STRIDE, class_field, -1,
                          "%lld is less than the %lld elements of `inner`",
                          (long long)*class_stride, (long long)problem->inner);
    if (__builtin_mul_overflow(columns, *class_stride, &needed) ||
        needed > PTRDIFF_MAX / (int64_t)sizeof(double))
        return focal_fail(error, FOCAL_E_OVERFLOW, field, -1,
                          "%lld classes %lld elements apart exceed the address space",
                          (long long)columns, (long long)*class_stride);
    if (*stride == 0)
        *stride = needed;
    needed -= columns > 0 ? *class_stride - problem->inner : 0;
    if (*stride < needed)
        return focal_fail(error, FOCAL_E_STRIDE, field, -1,
                          "%lld is less than the %lld elements of a row's classes",
                          (long long)*stride, (long long)needed);
    if (__builtin_mul_overflow(problem->outer, *stride, &bytes) ||
        __builtin_mul_overflow(bytes, (int64_t)size, &bytes) || bytes > PTRDIFF_MAX)
        return focal_fail(error, FOCAL_E_OVERFLOW, field, -1,
                          "%lld rows of %lld elements exceed the address space",
                          (long long)problem->outer, (long long)*stride);
    return FOCAL_OK;
}

static focal_status check_counts(const focal_problem *problem, focal_error *error) {
    bool labels = focal_target_is_label(problem->target_kind);
    if (problem->outer < 0)
        return focal_fail(error, FOCAL_E_VALUE, "outer", -1, "%lld rows",
                          (long long)problem->outer);
    if (problem->classes < 0 || (problem->classes == 0 && problem->outer > 0))
        return focal_fail(error, FOCAL_E_VALUE, "classes", -1, "%lld logits per row",
                          (long long)problem->classes);
    if (problem->inner < 0)
        return focal_fail(error, FOCAL_E_VALUE, "inner", -1, "%lld", (long long)problem->inner);
    if (labels && problem->classes > INT32_MAX)
        return focal_fail(error, FOCAL_E_VALUE, "classes", -1,
                          "%lld; integer labels allow %ld at most", (long long)problem->classes,
                          (long)INT32_MAX);
    int64_t rows;
    if (__builtin_mul_overflow(problem->outer, problem->inner, &rows) ||
        (labels && rows > PTRDIFF_MAX / (int64_t)sizeof(int64_t)))
        return focal_fail(error, FOCAL_E_OVERFLOW, "outer", -1,
                          "labels of %lld x %lld rows exceed the address space",
                          (long long)problem->outer, (long long)problem->inner);
    return FOCAL_OK;
}

focal_status focal_sizes_check(focal_problem *problem, focal_error *error) {
    focal_status status = check_counts(problem, error);
    if (status != FOCAL_OK)
        return status;
    bool labels = focal_target_is_label(problem->target_kind);
    if (labels)
        problem->targets_stride = problem->targets_class_stride = 0; /* labels have none */
    int64_t losses = problem->form == FOCAL_FORM_MATCH ? problem->selected : problem->classes;
    struct {
        int64_t *stride, *class_stride, columns;
        size_t size;
        const char *field, *class_field;
    } arrays[] = {
        {&problem->logits_stride, &problem->logits_class_stride, problem->classes,
         focal_dtype_size(problem->dtype), "logits_stride", "logits_class_stride"},
        {&problem->targets_stride, &problem->targets_class_stride, problem->classes,
         labels ? 1 : focal_target_size(problem), "targets_stride", "targets_class_stride"},
        {&problem->loss_stride, &problem->loss_class_stride, losses,
         focal_dtype_size(problem->loss_dtype), "loss_stride", "loss_class_stride"},
        {&problem->gradient_stride, &problem->gradient_class_stride, problem->classes,
         focal_dtype_size(problem->gradient_dtype), "gradient_stride", "gradient_class_stride"},
    };
    for (size_t i = 0; i < sizeof arrays / sizeof arrays[0] && status == FOCAL_OK; i++)
        status = check_strides(problem, arrays[i].columns, arrays[i].size, arrays[i].field,
                               arrays[i].stride, arrays[i].class_field, arrays[i].class_stride,
                               error);
    /* Weights of 8 bytes are as many as the logits, which may be of 2. */
    int64_t elements;
    if (status == FOCAL_OK &&
        (__builtin_mul_overflow(problem->outer * problem->inner, problem->classes, &elements) ||
         elements > PTRDIFF_MAX / (int64_t)sizeof(double)))
        status = focal_fail(error, FOCAL_E_OVERFLOW, "logits_stride", -1,
                            "weights of as many elements exceed the address space");
    return status;
}
