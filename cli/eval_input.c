/* From two .npy files to logits and targets as the library takes them. */
#include "eval.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_float(const npy_header *header) {
    return header->kind == 'f';
}

static int check_dtype(eval_input *input, const eval_request *request) {
    const npy_header *header = &input->logits.header;
    const char *path = input->logits.path;
    char type[16];
    if (request->bf16 && !(header->kind == 'u' && header->item_size == 2))
        return fail(USAGE, "--bf16: --logits %s holds %s; bf16 is stored as u16", path,
                    npy_type_name(header, type));
    if (!request->bf16 && !is_float(header))
        return fail(FAILED,
                    "--logits %s: holds %s, the kernels take f32, f64 or f16; save it again "
                    "with numpy.save(path, logits.astype(numpy.float32))",
                    path, npy_type_name(header, type));
    input->dtype = header->item_size == 8   ? FOCAL_F64
                   : header->item_size == 4 ? FOCAL_F32
                   : request->bf16          ? FOCAL_BF16
                                            : FOCAL_F16;
    return DONE;
}

static int check_axis(eval_input *input, const eval_request *request) {
    const npy_header *header = &input->logits.header;
    const char *path = input->logits.path;
    int dimensions = header->dimensions;
    int64_t axis = request->class_axis + (request->class_axis < 0 ? dimensions : 0);
    if (dimensions == 0)
        return fail(FAILED, "--logits %s: is a scalar; logits have at least one dimension",
                    path);
    if (dimensions == 1 && request->problem.op == FOCAL_SOFTMAX && !request->has_class_axis)
        return fail(
            FAILED,
            "--logits %s: has one dimension; softmax needs the classes as the last of at "
            "least two (for one row: shape (1, %" PRId64 "))",
            path, header->shape[0]);
    if (axis < 0 || axis >= dimensions)
        return fail(USAGE, "--class-axis %" PRId64 ": --logits %s has %d dimensions",
                    request->class_axis, path, dimensions);
    /* One dimension is that many separate decisions; else one of them holds the classes. */
    input->axis = dimensions == 1 && !request->has_class_axis ? 1 : (int)axis;
    return DONE;
}

static int check_logits(eval_input *input, const eval_request *request) {
    const npy_header *header = &input->logits.header;
    int code = check_dtype(input, request);
    if (code == DONE)
        code = check_axis(input, request);
    if (code != DONE)
        return code;
    int axis = input->axis, dimensions = header->dimensions;
    input->classes = axis < dimensions ? header->shape[axis] : 1;
    input->elements = header->count;
    input->outer = input->inner = 1;
    for (int i = 0; i < axis; i++)
        input->outer *= header->shape[i];
    for (int i = axis + 1; i < dimensions; i++)
        input->inner *= header->shape[i];
    input->rows = input->outer * input->inner;
    if (input->rows > 0 && input->classes == 0)
        return fail(FAILED, "--logits %s: its %s dimension is 0: rows need at least one class",
                    input->logits.path, axis == dimensions - 1 ? "last" : "class");
    /* The library takes an inner size of 0 for 1. */
    if (input->inner == 0)
        input->outer = 0, input->inner = 1;
    return DONE;
}

/* The logits' shape without the classes. */
static int rows_shape(const eval_input *input, int64_t *shape) {
    const npy_header *logits = &input->logits.header;
    int dimensions = 0;
    for (int i = 0; i < logits->dimensions; i++)
        if (i != input->axis)
            shape[dimensions++] = logits->shape[i];
    return dimensions;
}

static int has_rows_shape(const eval_input *input, const npy_header *header) {
    int64_t shape[NPY_DIMENSIONS_MAX];
    int dimensions = rows_shape(input, shape);
    return header->dimensions == dimensions &&
           memcmp(header->shape, shape, (size_t)dimensions * sizeof *shape) == 0;
}

static int same_shape(const npy_header *a, const npy_header *b, int dimensions) {
    return memcmp(a->shape, b->shape, (size_t)dimensions * sizeof a->shape[0]) == 0;
}

/* The label type of the library that takes every value of the file's type, where there is one.
 */
static focal_target_kind label_kind(const npy_header *header) {
    if (header->kind == 'u' && header->item_size == 1)
        return FOCAL_TARGET_LABEL_U8;
    int bits = header->item_size * 8 + (header->kind == 'u');
    return bits <= 32 ? FOCAL_TARGET_LABEL_I32 : FOCAL_TARGET_LABEL_I64;
}

static int shapes_differ(const eval_input *input, focal_op op) {
    const npy_header *logits = &input->logits.header, *targets = &input->targets.header;
    char have[160], full[160], rows[160], type[16];
    npy_shape_text(targets->shape, targets->dimensions, have);
    npy_shape_text(logits->shape, logits->dimensions, full);
    int64_t shape[NPY_DIMENSIONS_MAX];
    npy_shape_text(shape, rows_shape(input, shape), rows);
    npy_type_name(targets, type);
    const char *path = input->targets.path;
    if (op == FOCAL_SOFTMAX)
        return fail(
            FAILED,
            "--targets %s: is %s, %s; softmax takes integer labels, one per row: shape %s, "
            "or float targets of the logits' shape",
            path, type, have, rows);
    if (is_float(targets) || targets->kind == 'b' || logits->dimensions == 1)
        return fail(FAILED, "--targets %s: is %s, %s; such targets need the logits' shape %s",
                    path, type, have, full);
    return fail(
        FAILED,
        "--targets %s: is %s, %s; integer targets need the logits' shape %s (0 or 1 each) "
        "or one label per row: shape %s",
        path, type, have, full, rows);
}

/* The type of dense targets for the library: f64 stays only beside f64 logits. */
static focal_dtype dense_dtype(const eval_input *input) {
    const npy_header *targets = &input->targets.header;
    if (targets->kind == 'u')
        return FOCAL_BF16;
    if (targets->item_size == 2)
        return FOCAL_F16;
    return targets->item_size == 8 && input->dtype == FOCAL_F64 ? FOCAL_F64 : FOCAL_F32;
}

static int check_match(eval_input *input) {
    const npy_header *targets = &input->targets.header;
    char type[16], shape[160];
    if (targets->dimensions != 1 || is_float(targets) || targets->kind == 'b')
        return fail(FAILED,
                    "--targets %s: is %s, %s; --form match takes a list of integer labels, one "
                    "dimension",
                    input->targets.path, npy_type_name(targets, type),
                    npy_shape_text(targets->shape, targets->dimensions, shape));
    input->target_kind = label_kind(targets);
    input->selected = targets->count;
    return DONE;
}

static int check_targets(eval_input *input, const eval_request *request) {
    const npy_header *logits = &input->logits.header, *targets = &input->targets.header;
    const char *path = input->targets.path;
    int background = request->problem.label_flags & FOCAL_LABEL_BACKGROUND;
    int ignore = request->problem.label_flags & FOCAL_LABEL_IGNORE;
    int dense =
        is_float(targets) || (request->bf16 && targets->kind == 'u' && targets->item_size == 2);
    int full = targets->dimensions == logits->dimensions &&
               same_shape(targets, logits, logits->dimensions);
    int per_row = input->axis < logits->dimensions && has_rows_shape(input, targets) &&
                  !is_float(targets) && targets->kind != 'b';
    int softmax = request->problem.op == FOCAL_SOFTMAX;
    if (request->problem.form == FOCAL_FORM_MATCH)
        return check_match(input);
    if (softmax ? !per_row && !(full && dense) : !full && !per_row)
        return shapes_differ(input, request->problem.op);
    if (per_row)
        input->target_kind = label_kind(targets);
    else
        input->target_kind = dense ? FOCAL_TARGET_DENSE : FOCAL_TARGET_BINARY_U8;
    if (input->target_kind == FOCAL_TARGET_DENSE)
        input->targets_dtype = dense_dtype(input);

    /* Of one class, label 0 would say "positive": the opposite of what 0/1 targets mean. */
    if (per_row && !softmax && input->classes == 1 && !background)
        return fail(FAILED,
                    "--targets %s: with one class these are ambiguous; give 0/1 targets the "
                    "logits' shape, or say with --background which label means no class",
                    path);
    if ((background || ignore) && !softmax && !per_row)
        return fail(USAGE,
                    "--%s is for integer labels, one per row; --targets %s has one value per "
                    "logit",
                    background ? "background" : "ignore", path);
    if (request->output_paths[OUT_TARGET_GRADIENT] && input->target_kind != FOCAL_TARGET_DENSE)
        return fail(USAGE, "--target-grad is for targets that are floats; --targets %s has %s",
                    path, per_row ? "labels" : "0 or 1 per logit");
    return DONE;
}

static int check_parameter(const eval_input *input, eval_parameter which) {
    const npy_file *file = &input->parameters[which];
    const npy_header *header = &file->header, *logits = &input->logits.header;
    int64_t shape[NPY_DIMENSIONS_MAX];
    int dimensions = 1, fits;
    char have[160], want[160];
    if (which == ROW_WEIGHT) {
        dimensions = rows_shape(input, shape);
        fits = has_rows_shape(input, header);
    } else if (which == ELEMENT_WEIGHT) {
        dimensions = logits->dimensions;
        memcpy(shape, logits->shape, (size_t)dimensions * sizeof *shape);
        fits = header->dimensions == dimensions && same_shape(header, logits, dimensions);
    } else {
        shape[0] = input->classes;
        fits = header->dimensions == 1 && header->shape[0] == input->classes;
    }
    if (fits)
        return DONE;
    return fail(FAILED, "%s %s: is of shape %s; %s are needed", file->option, file->path,
                npy_shape_text(header->shape, header->dimensions, have),
                npy_shape_text(shape, dimensions, want));
}

int eval_open(eval_input *input, const eval_request *request) {
    memset(input, 0, sizeof *input);
    input->logits.descriptor = input->targets.descriptor = -1;
    for (int i = 0; i < PARAMETERS; i++)
        input->parameters[i].descriptor = -1;
    int code = npy_open(&input->logits, "--logits", request->logits_path);
    if (code == DONE)
        code = check_logits(input, request);
    if (code == DONE)
        code = npy_open(&input->targets, "--targets", request->targets_path);
    if (code == DONE)
        code = check_targets(input, request);
    for (int i = 0; i < PARAMETERS && code == DONE; i++) {
        if (!request->parameter_paths[i])
            continue;
        code = npy_open(&input->parameters[i], eval_parameter_options[i],
                        request->parameter_paths[i]);
        if (code == DONE)
            code = check_parameter(input, (eval_parameter)i);
    }
    return code;
}

/* Element `i` of integers other than u8, which needs no conversion; u64 beyond int64 comes out
 * as INT64_MAX. */
int64_t eval_integer_at(const npy_file *file, int64_t i) {
    const void *data = file->data;
    uint64_t wide;
    switch (file->header.item_size * (file->header.kind == 'i' ? -1 : 1)) {
    case -1:
        return ((const int8_t *)data)[i];
    case -2:
        return ((const int16_t *)data)[i];
    case -4:
        return ((const int32_t *)data)[i];
    case -8:
        return ((const int64_t *)data)[i];
    case 2:
        return ((const uint16_t *)data)[i];
    case 4:
        return ((const uint32_t *)data)[i];
    default:
        wide = ((const uint64_t *)data)[i];
        return wide > INT64_MAX ? INT64_MAX : (int64_t)wide;
    }
}

/* Gives targets->data new elements in its place. */
static void replace_data(npy_file *file, void *data) {
    free(file->data);
    file->data = data;
}

static int convert_dense(npy_file *file, focal_dtype dtype) {
    int64_t count = file->header.count, rounded = 0;
    if (file->header.item_size == 8 && dtype == FOCAL_F32) {
        const double *from = file->data;
        float *to = allocate_array(file->option, count, sizeof *to);
        if (!to)
            return FAILED;
        for (int64_t i = 0; i < count; i++) {
            to[i] = (float)from[i];
            rounded += (double)to[i] < from[i] || (double)to[i] > from[i];
        }
        replace_data(file, to);
        note("--targets %s: f64 converted to f32, %" PRId64 " of %" PRId64 " values rounded",
             file->path, rounded, count);
    }
    for (int64_t i = 0; i < count; i++) {
        double target = eval_number_at(file->data, dtype, i);
        if (!(target >= 0.0 && target <= 1.0))
            return fail(FAILED,
                        "--targets %s: element %" PRId64 " is %g; targets lie in [0, 1]",
                        file->path, i, plain_nan(target));
    }
    return DONE;
}

static int convert_binary(npy_file *file) {
    if (file->header.item_size == 1 && file->header.kind != 'i')
        return DONE;
    int64_t count = file->header.count;
    uint8_t *to = allocate_array(file->option, count, sizeof *to);
    if (!to)
        return FAILED;
    for (int64_t i = 0; i < count; i++) {
        int64_t value = eval_integer_at(file, i);
        if (value != 0 && value != 1) {
            free(to);
            return fail(FAILED,
                        "--targets %s: element %" PRId64 " is %" PRId64 ", neither 0 nor 1",
                        file->path, i, value);
        }
        to[i] = (uint8_t)value;
    }
    replace_data(file, to);
    return DONE;
}

static int convert_labels(npy_file *file, focal_target_kind kind) {
    int64_t count = file->header.count;
    int size = kind == FOCAL_TARGET_LABEL_U8 ? 1 : kind == FOCAL_TARGET_LABEL_I32 ? 4 : 8;
    /* u64 of any value has the size of i64, and so would pass for it below. */
    int native = file->header.item_size == size && (size == 1 || file->header.kind == 'i');
    if (native)
        return DONE;
    void *to = allocate_array(file->option, count, (size_t)size);
    if (!to)
        return FAILED;
    for (int64_t i = 0; i < count; i++) {
        int64_t value = eval_integer_at(file, i);
        if (value == INT64_MAX) {
            free(to);
            return fail(FAILED, "--targets %s: label of row %" PRId64 " is beyond 63 bits",
                        file->path, i);
        }
        if (size == 4)
            ((int32_t *)to)[i] = (int32_t)value;
        else
            ((int64_t *)to)[i] = value;
    }
    replace_data(file, to);
    return DONE;
}

int eval_load(eval_input *input) {
    int code = npy_load(&input->logits);
    if (code == DONE)
        code = npy_load(&input->targets);
    for (int i = ROW_WEIGHT; i < PARAMETERS && code == DONE; i++)
        if (input->parameters[i].path)
            code = eval_load_weights(&input->parameters[i], input->dtype == FOCAL_F64);
    if (code != DONE)
        return code;
    if (input->target_kind == FOCAL_TARGET_DENSE)
        return convert_dense(&input->targets, input->targets_dtype);
    if (input->target_kind == FOCAL_TARGET_BINARY_U8)
        return convert_binary(&input->targets);
    return convert_labels(&input->targets, input->target_kind);
}

void eval_close(eval_input *input) {
    npy_close(&input->logits);
    npy_close(&input->targets);
    for (int i = 0; i < PARAMETERS; i++)
        npy_close(&input->parameters[i]);
    for (size_t i = 0; i < sizeof input->class_values / sizeof input->class_values[0]; i++)
        free(input->class_values[i]);
}
