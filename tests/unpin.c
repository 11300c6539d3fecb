/* Preloaded into a test program by run_tuned: most of the suites pin each row in turn, and whoever pins
 * does not ask the tuner. Here plans lose such pins, so that the tuning file decides about them.
 * The bits of every execution go into one sum, which may not depend on the file. */
#define _GNU_SOURCE /* RTLD_NEXT */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"

static atomic_uint plans, tuned;
static atomic_ullong bits; /* a sum, as threads come in any order */

static void *real(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (!function)
        abort();
    return function;
}

/* ISO C has no cast from an object's pointer to a function's. */
#define REAL(name)                                                                             \
    __typeof__(&name) next;                                                                    \
    void *found = real(#name);                                                                 \
    memcpy(&next, &found, sizeof next)

/* Rows without fused multiply-add have other bits: they stay pinned, as do plans whose allocator
 * counts. */
static int may_unpin(const focal_options *options) {
    return options && options->struct_size == sizeof *options && !options->allocate &&
           !options->kernel && !(options->isa && strcmp(options->isa, "scalar") == 0);
}

static void count(const focal_plan *plan) {
    REAL(focal_plan_describe);
    char text[512];
    next(plan, text, sizeof text);
    atomic_fetch_add(&plans, 1);
    atomic_fetch_add(&tuned, strstr(text, "(tuned ") != NULL);
}

static void destroy_plan(focal_plan *plan) {
    REAL(focal_plan_destroy);
    next(plan);
}

/* First with the pins, as a test may want them refused. */
focal_status focal_plan_create(focal_plan **plan, const focal_problem *problem,
                               const focal_options *options, focal_error *error) {
    REAL(focal_plan_create);
    focal_status status = next(plan, problem, options, error);
    if (status == FOCAL_OK && may_unpin(options)) {
        focal_options unpinned = *options;
        unpinned.isa = NULL;
        unpinned.unroll = 0;
        destroy_plan(*plan);
        status = next(plan, problem, &unpinned, error);
    }
    if (status == FOCAL_OK)
        count(*plan);
    return status;
}

/* ---- The bits of what is executed ------------------------------------------------------------- */

static uint64_t hash(uint64_t sum, const void *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3); /* FNV-1a */
    return sum;
}

/* All NaN are one: which of two operands' NaN comes out is not promised. */
static uint64_t hash_number(uint64_t sum, const void *number, focal_dtype dtype) {
    static const struct {
        size_t size;
        uint64_t infinity; /* the bits of */
    } types[] = {[FOCAL_F32] = {4, UINT64_C(0x7f800000)},
                 [FOCAL_F64] = {8, UINT64_C(0x7ff0000000000000)},
                 [FOCAL_F16] = {2, UINT64_C(0x7c00)},
                 [FOCAL_BF16] = {2, UINT64_C(0x7f80)}};
    uint64_t whole = 0, sign = UINT64_C(1) << (8 * types[dtype].size - 1);
    memcpy(&whole, number, types[dtype].size); /* little-endian */
    if ((whole & (sign - 1)) > types[dtype].infinity)
        whole = UINT64_MAX;
    return hash(sum, &whole, sizeof whole);
}

static uint64_t hash_matrix(uint64_t sum, const focal_plan *plan, const void *array,
                            const focal_layout *layout, size_t columns, focal_dtype dtype) {
    size_t inner = layout->inner, size = dtype == FOCAL_F64 ? 8 : dtype == FOCAL_F32 ? 4 : 2;
    for (size_t row = 0; array && row < plan->rows; row++)
        for (size_t column = 0; column < columns; column++) {
            size_t place =
                row / inner * layout->stride + column * layout->class_stride + row % inner;
            sum = hash_number(sum, (const char *)array + place * size, dtype);
        }
    return sum;
}

static uint64_t hash_sums(uint64_t sum, const focal_sums *sums) {
    const int64_t counts[] = {sums->rows, sums->positives, sums->ignored};
    sum = hash_number(sum, &sums->loss, FOCAL_F64);
    sum = hash_number(sum, &sums->weight, FOCAL_F64);
    sum = hash_number(sum, &sums->normalizer, FOCAL_F64);
    return hash(sum, counts, sizeof counts);
}

static uint64_t hash_outputs(const focal_plan *plan, const focal_buffers *buffers,
                             const focal_sums *sums) {
    const uint32_t outputs = plan->problem.outputs;
    const size_t classes = (size_t)plan->problem.classes;
    const focal_dtype losses = plan->problem.loss_dtype,
                      gradients = plan->problem.gradient_dtype;
    const focal_layout rows = {1, 1, 1};
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    if (sums)
        sum = hash_sums(sum, sums);
    if (outputs & FOCAL_OUTPUT_LOSS)
        sum = hash_matrix(sum, plan, buffers->loss, &plan->loss, plan->columns, losses);
    if (outputs & FOCAL_OUTPUT_ROW_LOSS)
        sum = hash_matrix(sum, plan, buffers->row_loss, &rows, 1, losses);
    if (outputs & FOCAL_OUTPUT_GRADIENT)
        sum = hash_matrix(sum, plan, buffers->gradient, &plan->gradient, classes, gradients);
    if (outputs & FOCAL_OUTPUT_HESSIAN)
        sum = hash_matrix(sum, plan, buffers->hessian, &plan->gradient, classes, gradients);
    if (outputs & FOCAL_OUTPUT_TARGET_GRADIENT)
        sum = hash_matrix(sum, plan, buffers->target_gradient, &plan->targets, classes,
                          gradients);
    return sum;
}

focal_status focal_plan_execute(const focal_plan *plan, const focal_buffers *buffers,
                                const focal_parallel *parallel, focal_sums *sums,
                                focal_error *error) {
    REAL(focal_plan_execute);
    focal_status status = next(plan, buffers, parallel, sums, error);
    if (status == FOCAL_OK && buffers->struct_size == sizeof *buffers &&
        (!sums || sums->struct_size == sizeof *sums))
        atomic_fetch_add(&bits, hash_outputs(plan, buffers, sums));
    return status;
}

__attribute__((destructor)) static void tell(void) {
    printf("unpinned: %u of %u plans tuned, bits %016llx\n", atomic_load(&tuned),
           atomic_load(&plans), atomic_load(&bits));
}
