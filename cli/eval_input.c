/* From two .npy files to logits and targets as the library takes them. */
#include "eval.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int is_float(const npy_header *header) {
    return header->kind == 'f';
}

static int is_label(focal_target_kind kind) {
    return kind == FOCAL_TARGET_LABEL_U8 || kind == FOCAL_TARGET_LABEL_I32 ||
           kind == FOCAL_TARGET_LABEL_I64;
}

static int check_logits(eval_input *input, focal_op op) {
    const npy_header *header = &input->logits.header;
    const char *path = input->logits.path;
    char type[16];
    if (!is_float(header) || header->item_size != 4)
        return fail(FAILED,
                    "--logits %s: holds %s, the kernels take f32; save it again with "
                    "numpy.save(path, logits.astype(numpy.float32))",
                    path, npy_type_name(header, type));
    if (header->dimensions == 0)
        return fail(FAILED, "--logits %s: is a scalar; logits have at least one dimension",
                    path);
    if (header->dimensions == 1 && op == FOCAL_SOFTMAX)
        return fail(
            FAILED,
            "--logits %s: has one dimension; softmax needs the classes as the last of at "
            "least two (for one row: shape (1, %" PRId64 "))",
            path, header->shape[0]);
    /* One dimension is that many separate decisions; else the last one holds the classes. */
    int leading = header->dimensions == 1 ? 1 : header->dimensions - 1;
    input->classes = header->dimensions == 1 ? 1 : header->shape[header->dimensions - 1];
    input->elements = header->count;
    input->rows = 1;
    for (int i = 0; i < leading; i++)
        input->rows *= header->shape[i];
    if (input->rows > 0 && input->classes == 0)
        return fail(FAILED,
                    "--logits %s: its last dimension is 0: rows need at least one class", path);
    return DONE;
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
    npy_shape_text(logits->shape, logits->dimensions - 1, rows);
    npy_type_name(targets, type);
    const char *path = input->targets.path;
    if (op == FOCAL_SOFTMAX)
        return fail(
            FAILED,
            "--targets %s: is %s, %s; softmax takes integer labels, one per row: shape %s",
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

static int check_targets(eval_input *input, const eval_request *request) {
    const npy_header *logits = &input->logits.header, *targets = &input->targets.header;
    const char *path = input->targets.path;
    int full = targets->dimensions == logits->dimensions &&
               same_shape(targets, logits, logits->dimensions);
    int per_row = logits->dimensions > 1 && targets->dimensions == logits->dimensions - 1 &&
                  same_shape(targets, logits, targets->dimensions) && !is_float(targets) &&
                  targets->kind != 'b';
    if (request->op == FOCAL_SOFTMAX ? !per_row : !full && !per_row)
        return shapes_differ(input, request->op);
    if (is_float(targets) && targets->item_size == 2)
        return fail(FAILED,
                    "--targets %s: holds f16; save it again with "
                    "numpy.save(path, targets.astype(numpy.float32))",
                    path);
    if (per_row)
        input->target_kind = label_kind(targets);
    else
        input->target_kind = is_float(targets) ? FOCAL_TARGET_DENSE : FOCAL_TARGET_BINARY_U8;

    /* Of one class, label 0 would say "positive": the opposite of what 0/1 targets mean. */
    if (per_row && request->op == FOCAL_SIGMOID && input->classes == 1 &&
        !request->has_background)
        return fail(FAILED,
                    "--targets %s: with one class these are ambiguous; give 0/1 targets the "
                    "logits' shape, or say with --background which label means no class",
                    path);
    if (request->has_background && !is_label(input->target_kind))
        return fail(USAGE,
                    "--background is for integer labels, one per row; --targets %s has one "
                    "value per logit",
                    path);
    return DONE;
}

int eval_open(eval_input *input, const eval_request *request) {
    memset(input, 0, sizeof *input);
    input->logits.descriptor = input->targets.descriptor = -1;
    int code = npy_open(&input->logits, "--logits", request->logits_path);
    if (code == DONE)
        code = check_logits(input, request->op);
    if (code == DONE)
        code = npy_open(&input->targets, "--targets", request->targets_path);
    if (code == DONE)
        code = check_targets(input, request);
    return code;
}

/* Element `i` of integers other than u8, which needs no conversion; u64 beyond int64 comes out
 * as INT64_MAX. */
static int64_t integer_at(const npy_file *file, int64_t i) {
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

static int convert_dense(npy_file *file) {
    int64_t count = file->header.count, rounded = 0;
    if (file->header.item_size == 8) {
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
    const float *targets = file->data;
    for (int64_t i = 0; i < count; i++)
        if (!(targets[i] >= 0.0F && targets[i] <= 1.0F))
            return fail(FAILED,
                        "--targets %s: element %" PRId64 " is %g; targets lie in [0, 1]",
                        file->path, i, (double)targets[i]);
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
        int64_t value = integer_at(file, i);
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
        int64_t value = integer_at(file, i);
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
    if (code != DONE)
        return code;
    if (input->target_kind == FOCAL_TARGET_DENSE)
        return convert_dense(&input->targets);
    if (input->target_kind == FOCAL_TARGET_BINARY_U8)
        return convert_binary(&input->targets);
    return convert_labels(&input->targets, input->target_kind);
}

void eval_close(eval_input *input) {
    npy_close(&input->logits);
    npy_close(&input->targets);
}
