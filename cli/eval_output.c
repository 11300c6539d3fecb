/* The files that `focal eval` writes. */
#include "eval.h"

#include <stdlib.h>
#include <string.h>

/* As .npy has it: bf16 is stored as u16. */
static const char *npy_descriptor(focal_dtype dtype) {
    switch (dtype) {
    case FOCAL_F64:
        return "f8";
    case FOCAL_F16:
        return "f2";
    case FOCAL_BF16:
        return "u2";
    default:
        return "f4";
    }
}

static focal_dtype output_dtype(const eval_request *request, const eval_input *input) {
    return request->output_dtype ? request->output_dtype : input->dtype;
}

static size_t element_size(focal_dtype dtype) {
    return (size_t)(npy_descriptor(dtype)[1] - '0');
}

/* An output's shape: the logits', or that without the classes, or with the selected labels in
 * their place. */
static int shape_of(eval_output_kind kind, const eval_request *request, const eval_input *input,
                    int64_t *shape) {
    const npy_header *logits = &input->logits.header;
    int rows =
        kind == OUT_ROW_LOSS || (kind == OUT_LOSS && request->problem.op == FOCAL_SOFTMAX);
    int match = kind == OUT_LOSS && request->problem.form == FOCAL_FORM_MATCH;
    int dimensions = 0;
    for (int i = 0; i < logits->dimensions; i++) {
        if (i == input->axis && rows)
            continue;
        shape[dimensions++] = i == input->axis && match ? input->selected : logits->shape[i];
    }
    return dimensions;
}

int eval_outputs_check(eval_outputs *outputs, const eval_request *request,
                       const eval_input *input) {
    const npy_file *inputs[2 + PARAMETERS] = {&input->logits, &input->targets};
    size_t count = 2;
    for (int i = 0; i < PARAMETERS; i++)
        if (request->parameter_paths[i])
            inputs[count++] = &input->parameters[i];
    for (int i = 0; i < OUTPUTS; i++) {
        output_file *output = &outputs->files[i];
        int code = output_check(output, eval_output_options[i], request->output_paths[i]);
        if (code != DONE)
            return code;
        for (size_t j = 0; j < count; j++)
            if (output->exists && output->device == inputs[j]->device &&
                output->inode == inputs[j]->inode)
                return fail(FAILED, "%s %s: is the file of %s; name another one",
                            output->option, output->path, inputs[j]->option);
        for (int j = 0; j < i; j++)
            if (output->resolved && outputs->files[j].resolved &&
                strcmp(output->resolved, outputs->files[j].resolved) == 0)
                return fail(USAGE, "%s %s: is the file of %s; name another one", output->option,
                            output->path, eval_output_options[j]);
    }
    return DONE;
}

int eval_outputs_allocate(eval_outputs *outputs, const eval_request *request,
                          const eval_input *input) {
    size_t size = element_size(output_dtype(request, input));
    for (int i = 0; i < OUTPUTS; i++) {
        int64_t shape[NPY_DIMENSIONS_MAX], count = 1;
        if (!request->output_paths[i])
            continue;
        int dimensions = shape_of((eval_output_kind)i, request, input, shape);
        for (int d = 0; d < dimensions; d++)
            if (__builtin_mul_overflow(count, shape[d], &count))
                return fail(FAILED, "%s: too many elements", eval_output_options[i]);
        outputs->data[i] = allocate_array(eval_output_options[i], count, size);
        if (!outputs->data[i])
            return FAILED;
    }
    return DONE;
}

int eval_outputs_write(eval_outputs *outputs, const eval_request *request,
                       const eval_input *input) {
    const char *type = npy_descriptor(output_dtype(request, input));
    int code = DONE;
    for (int i = 0; i < OUTPUTS && code == DONE; i++) {
        int64_t shape[NPY_DIMENSIONS_MAX];
        int dimensions = shape_of((eval_output_kind)i, request, input, shape);
        code = npy_write(&outputs->files[i], outputs->data[i], type, shape, dimensions);
    }
    for (int i = 0; i < OUTPUTS && code == DONE; i++)
        code = output_commit(&outputs->files[i]);
    return code;
}

void eval_outputs_release(eval_outputs *outputs) {
    for (int i = 0; i < OUTPUTS; i++) {
        free(outputs->data[i]);
        output_release(&outputs->files[i]);
    }
    free(outputs->workspace);
}
