/* Values per class and weights of `focal eval`, of any dtype of .npy. */
#include "eval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double half_value(uint16_t half) {
    int exponent = half >> 10 & 31, fraction = half & 1023;
    double size = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31)
        size = fraction ? NAN : HUGE_VAL;
    return half & 0x8000 ? -size : size;
}

static double upper_value(uint16_t upper) {
    uint32_t bits = (uint32_t)upper << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

double eval_number_at(const void *data, focal_dtype dtype, int64_t i) {
    switch (dtype) {
    case FOCAL_F64:
        return ((const double *)data)[i];
    case FOCAL_F16:
        return half_value(((const uint16_t *)data)[i]);
    case FOCAL_BF16:
        return upper_value(((const uint16_t *)data)[i]);
    default:
        return (double)((const float *)data)[i];
    }
}

static double value_at(const npy_file *file, int64_t i) {
    const npy_header *header = &file->header;
    if (header->kind == 'f')
        return eval_number_at(file->data,
                              header->item_size == 8   ? FOCAL_F64
                              : header->item_size == 4 ? FOCAL_F32
                                                       : FOCAL_F16,
                              i);
    if (header->item_size == 1 && header->kind != 'i')
        return ((const uint8_t *)file->data)[i];
    return (double)eval_integer_at(file, i);
}

int eval_load_classes(eval_input *input) {
    for (int i = CLASS_ALPHA; i <= CLASS_WEIGHT; i++) {
        npy_file *file = &input->parameters[i];
        if (!file->path)
            continue;
        int code = npy_load(file);
        if (code != DONE)
            return code;
        double *values = allocate_array(file->option, file->header.count, sizeof *values);
        if (!values)
            return FAILED;
        for (int64_t c = 0; c < file->header.count; c++)
            values[c] = value_at(file, c);
        input->class_values[i] = values;
    }
    return DONE;
}

int eval_load_weights(npy_file *file, int as_double) {
    int code = npy_load(file);
    if (code != DONE)
        return code;
    int64_t count = file->header.count;
    void *weights =
        allocate_array(file->option, count, as_double ? sizeof(double) : sizeof(float));
    if (!weights)
        return FAILED;
    for (int64_t i = 0; i < count; i++) {
        double value = value_at(file, i);
        if (as_double)
            ((double *)weights)[i] = value;
        else
            ((float *)weights)[i] = (float)value;
    }
    free(file->data);
    file->data = weights;
    return DONE;
}
