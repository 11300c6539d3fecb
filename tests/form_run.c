/* Execution of a case: its values in memory of the problem's types and strides. */
#include <stdlib.h>
#include <string.h>

#include "form_case.h"
#include "storage.h"

/* An array in memory: outer x classes x inner elements with strides. */
typedef struct array {
    unsigned char *memory, *before;
    size_t bytes;
    size_t element;
    int64_t outer, classes, inner, stride, class_stride;
} array;

static int64_t inner_of(const focal_problem *problem) {
    return problem->inner ? problem->inner : 1;
}

static array array_make(const focal_problem *problem, size_t element, int64_t classes,
                        int64_t stride, int64_t class_stride) {
    array a = {.element = element,
               .outer = problem->outer,
               .classes = classes,
               .inner = inner_of(problem)};
    a.class_stride = class_stride ? class_stride : a.inner;
    a.stride = stride ? stride : classes * a.class_stride;
    a.bytes = (size_t)(a.outer * a.stride) * element;
    a.memory = malloc(a.bytes + 1);
    a.before = malloc(a.bytes + 1);
    if (a.memory == NULL || a.before == NULL)
        abort();
    memset(a.memory, 0xff, a.bytes + 1); /* NaN in every type of numbers */
    return a;
}

static void array_free(array *a) {
    free(a->memory);
    free(a->before);
}

/* Where flat element `index` lies. */
static int64_t place(const array *a, int64_t index) {
    const int64_t i = index % a->inner, c = index / a->inner % a->classes;
    return index / a->inner / a->classes * a->stride + c * a->class_stride + i;
}

static int64_t length(const array *a) {
    return a->outer * a->classes * a->inner;
}

static void remember(array *a) {
    memcpy(a->before, a->memory, a->bytes + 1);
}

/* Nothing was written but, if it is an output, its elements. */
static int unharmed(const array *a, int written) {
    unsigned char *const mask = calloc(1, a->bytes + 1);
    if (mask == NULL)
        abort();
    for (int64_t i = 0; written && i < length(a); i++)
        memset(mask + (size_t)place(a, i) * a->element, 1, a->element);
    int same = 1;
    for (size_t byte = 0; byte <= a->bytes; byte++)
        same = same && (mask[byte] || a->memory[byte] == a->before[byte]);
    free(mask);
    return same;
}

static void digest(uint64_t *sum, const void *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        *sum = (*sum ^ ((const unsigned char *)bytes)[i]) * UINT64_C(0x100000001b3);
}

focal_dtype form_case_dtype(const focal_problem *problem, out which) {
    const focal_dtype dtype =
        which <= OUT_ROW_LOSS ? problem->loss_dtype : problem->gradient_dtype;
    return dtype ? dtype : problem->dtype;
}

static focal_dtype targets_dtype(const focal_problem *problem) {
    return problem->targets_dtype ? problem->targets_dtype : problem->dtype;
}

static size_t label_size(focal_target_kind kind) {
    return kind == FOCAL_TARGET_LABEL_U8 ? 1 : kind == FOCAL_TARGET_LABEL_I32 ? 4 : 8;
}

static void store_label(focal_target_kind kind, void *labels, size_t index, int64_t label) {
    if (kind == FOCAL_TARGET_LABEL_U8)
        ((uint8_t *)labels)[index] = (uint8_t)label;
    else if (kind == FOCAL_TARGET_LABEL_I32)
        ((int32_t *)labels)[index] = (int32_t)label;
    else
        ((int64_t *)labels)[index] = label;
}

static array make_logits(const form_case *c) {
    const focal_problem *const p = &c->problem;
    array a = array_make(p, storage_of(p->dtype).bytes, p->classes, p->logits_stride,
                         p->logits_class_stride);
    for (int64_t i = 0; i < length(&a); i++)
        storage_store(p->dtype, a.memory, place(&a, i), c->logits[i]);
    remember(&a);
    return a;
}

static array make_targets(const form_case *c) {
    const focal_problem *const p = &c->problem;
    const int labels = p->target_kind >= FOCAL_TARGET_LABEL_U8;
    if (labels) {
        array a = array_make(p, label_size(p->target_kind), 1, 0, 0);
        if (p->selected) {
            array_free(&a);
            focal_problem one = {.outer = p->selected};
            a = array_make(&one, label_size(p->target_kind), 1, 0, 0);
        }
        for (int64_t i = 0; i < length(&a); i++)
            store_label(p->target_kind, a.memory, (size_t)i, c->labels[i]);
        remember(&a);
        return a;
    }
    const int bytes = p->target_kind == FOCAL_TARGET_BINARY_U8;
    array a = array_make(p, bytes ? 1 : storage_of(targets_dtype(p)).bytes, p->classes,
                         p->targets_stride, p->targets_class_stride);
    for (int64_t i = 0; i < length(&a); i++)
        if (bytes)
            a.memory[place(&a, i)] = (unsigned char)c->targets[i];
        else
            storage_store(targets_dtype(p), a.memory, place(&a, i), c->targets[i]);
    remember(&a);
    return a;
}

static array make_output(const focal_problem *p, out which) {
    const size_t element = storage_of(form_case_dtype(p, which)).bytes;
    array a;
    if (which == OUT_ROW_LOSS)
        a = array_make(p, element, 1, 0, 0);
    else if (which == OUT_LOSS)
        a = array_make(p, element, p->selected ? p->selected : p->classes, p->loss_stride,
                       p->loss_class_stride);
    else if (which == OUT_TARGET_GRADIENT)
        a = array_make(p, element, p->classes, p->targets_stride, p->targets_class_stride);
    else
        a = array_make(p, element, p->classes, p->gradient_stride, p->gradient_class_stride);
    remember(&a);
    return a;
}

/* Weights are of double where logits are, else of float. */
static void *make_weights(const form_case *c, const double *weights, size_t count) {
    const focal_dtype dtype = c->problem.dtype == FOCAL_F64 ? FOCAL_F64 : FOCAL_F32;
    void *const memory = count ? malloc(count * storage_of(dtype).bytes) : NULL;
    for (size_t i = 0; i < count; i++)
        storage_store(dtype, memory, (int64_t)i, weights[i]);
    return memory;
}

static void collect(const form_case *c, array outputs[OUTS], form_results *results) {
    for (int which = 0; which < OUTS; which++) {
        const array *const a = &outputs[which];
        const int wanted_here = (c->problem.outputs & out_flags[which]) != 0;
        results->untouched = results->untouched && unharmed(a, wanted_here);
        for (int64_t i = 0; wanted_here && i < length(a); i++) {
            results->out[which][i] =
                storage_load(form_case_dtype(&c->problem, (out)which), a->memory, place(a, i));
            digest(&results->digest, a->memory + (size_t)place(a, i) * a->element, a->element);
        }
    }
    digest(&results->digest, &results->sums, sizeof results->sums);
}

static focal_status execute(const focal_problem *problem, const char *isa,
                            const focal_buffers *buffers, form_results *results,
                            focal_error *error) {
    focal_options options;
    focal_options_init(&options);
    options.isa = isa;
    focal_plan *plan = NULL;
    focal_status status = focal_plan_create(&plan, problem, &options, error);
    if (status == FOCAL_OK) {
        focal_plan_describe(plan, results->description, sizeof results->description);
        results->form_kernel = strstr(results->description, "_form_") != NULL;
        status = focal_plan_execute(plan, buffers, NULL, &results->sums, error);
    }
    focal_plan_destroy(plan);
    return status;
}

focal_status form_case_run(const form_case *c, const char *isa, focal_tier tier,
                           form_results *results, focal_error *error) {
    focal_problem problem = c->problem;
    problem.tier = tier;
    array logits = make_logits(c), targets = make_targets(c), outputs[OUTS];
    for (int which = 0; which < OUTS; which++)
        outputs[which] = make_output(&problem, (out)which);
    void *const row_weight = make_weights(c, c->row_weight, c->row_weights);
    void *const element_weight = make_weights(c, c->element_weight, c->element_weights);
    const float upstream = (float)c->upstream;
    focal_buffers buffers;
    focal_buffers_init(&buffers);
    buffers.logits = logits.memory;
    buffers.targets = targets.memory;
    buffers.loss = outputs[OUT_LOSS].memory;
    buffers.row_loss = outputs[OUT_ROW_LOSS].memory;
    buffers.gradient = outputs[OUT_GRADIENT].memory;
    buffers.hessian = outputs[OUT_HESSIAN].memory;
    buffers.target_gradient = outputs[OUT_TARGET_GRADIENT].memory;
    buffers.upstream = c->upstream != 0.0 ? &upstream : NULL;
    buffers.row_weight = row_weight;
    buffers.element_weight = element_weight;
    buffers.normalizer = c->normalizer != 0.0 ? &c->normalizer : NULL;
    memset(results, 0, sizeof *results);
    results->sums = (focal_sums)FOCAL_SUMS_INIT;
    const focal_status status = execute(&problem, isa, &buffers, results, error);
    results->untouched = unharmed(&logits, 0) && unharmed(&targets, 0);
    if (status == FOCAL_OK)
        collect(c, outputs, results);
    for (int which = 0; which < OUTS; which++)
        array_free(&outputs[which]);
    array_free(&logits);
    array_free(&targets);
    free(row_weight);
    free(element_weight);
    return status;
}
