/* Arrays of Python as buffers of the library: element types, layouts, addresses. */
#include "buffers.h"

#include <stdbool.h>
#include <string.h>

typedef struct buffer_field {
    const char *keyword;
    size_t offset;
    buffer_element element;
    buffer_shape shape;
    buffer_access access;
} buffer_field;

static const buffer_field fields[BUFFER_COUNT] = {
#define BUFFER_FIELD(name, element, shape, access)                                             \
    {#name, offsetof(focal_buffers, name), element, shape, access},
    BUFFER_FIELDS(BUFFER_FIELD)
#undef BUFFER_FIELD
};

static PyObject *keywords[BUFFER_COUNT];

int buffers_prepare(void) {
    for (int i = 0; i < BUFFER_COUNT; i++)
        if (!keywords[i] && !(keywords[i] = PyUnicode_InternFromString(fields[i].keyword)))
            return -1;
    return 0;
}

/* Keywords in a call are interned, so that the pointers nearly always decide. */
static int find(PyObject *keyword) {
    for (int i = 0; i < BUFFER_COUNT; i++)
        if (keyword == keywords[i])
            return i;
    for (int i = 0; i < BUFFER_COUNT; i++)
        if (PyUnicode_CompareWithASCIIString(keyword, fields[i].keyword) == 0)
            return i;
    PyErr_Format(PyExc_TypeError, "execute() has no buffer '%U'", keyword);
    return -1;
}

static void set_pointer(focal_buffers *buffers, const buffer_field *field, void *pointer) {
    memcpy((char *)buffers + field->offset, &pointer, sizeof pointer);
}

/* ---- Element types -------------------------------------------------------------------------- */

/* The type characters of Python's struct module that stand for an element, and its bytes. */
typedef struct element_type {
    const char *name, *characters;
    Py_ssize_t size;
} element_type;

static element_type type_of_dtype(focal_dtype dtype) {
    switch (dtype) {
    case FOCAL_F64:
        return (element_type){"float64", "d", 8};
    case FOCAL_F16:
        return (element_type){"float16 (or its bits as uint16)", "eH", 2};
    case FOCAL_BF16:
        return (element_type){"bfloat16 (its bits as uint16)", "H", 2};
    case FOCAL_F32:
    case FOCAL_DTYPE_DEFAULT:
        break;
    }
    return (element_type){"float32", "f", 4};
}

static element_type type_of_targets(const focal_problem *problem) {
    switch (problem->target_kind) {
    case FOCAL_TARGET_DENSE:
        break;
    case FOCAL_TARGET_BINARY_U8:
        return (element_type){"uint8 or bool", "B?", 1};
    case FOCAL_TARGET_LABEL_U8:
        return (element_type){"uint8", "B", 1};
    case FOCAL_TARGET_LABEL_I32:
        return (element_type){"int32", "il", 4};
    case FOCAL_TARGET_LABEL_I64:
        return (element_type){"int64", "lq", 8};
    }
    return type_of_dtype(problem->targets_dtype ? problem->targets_dtype : problem->dtype);
}

static element_type type_of(const buffer_field *field, const focal_problem *problem) {
    focal_dtype dtype = problem->dtype;
    switch (field->element) {
    case OF_TARGETS:
        return type_of_targets(problem);
    case OF_LOSS:
        return type_of_dtype(problem->loss_dtype ? problem->loss_dtype : dtype);
    case OF_GRADIENT:
        return type_of_dtype(problem->gradient_dtype ? problem->gradient_dtype : dtype);
    case OF_WEIGHT:
        return type_of_dtype(dtype == FOCAL_F64 ? FOCAL_F64 : FOCAL_F32);
    case OF_LOGITS:
    case OF_FLOAT:
    case OF_DOUBLE:
        break;
    }
    return type_of_dtype(dtype);
}

static int check_type(const buffer_field *field, const element_type *type,
                      const Py_buffer *view) {
    const char *format = view->format ? view->format : "B";
    bool native = *format != '>' && *format != '!';
    const char *character = strchr("@=<>!", *format) ? format + 1 : format;
    if (native && *character && !character[1] && strchr(type->characters, *character) &&
        view->itemsize == type->size)
        return 0;
    PyErr_Format(PyExc_TypeError, "%s: elements have the type '%s', but the plan needs %s",
                 field->keyword, format, type->name);
    return -1;
}

/* ---- Layouts -------------------------------------------------------------------------------- */

enum { MOST_DIMENSIONS = 64 };

/* Dimensions from the innermost out, those merged that lie in memory as one; distances in
 * elements. Two arrays with equal lists have equal elements at equal places. */
typedef struct memory_layout {
    int count;
    int64_t size[MOST_DIMENSIONS], stride[MOST_DIMENSIONS];
} memory_layout;

static void add_dimension(memory_layout *layout, int64_t size, int64_t stride) {
    if (size == 1)
        return;
    int last = layout->count - 1;
    if (last >= 0 && stride == layout->stride[last] * layout->size[last]) {
        layout->size[last] *= size;
        return;
    }
    layout->size[layout->count] = size;
    layout->stride[layout->count] = stride;
    layout->count++;
}

static bool layouts_equal(const memory_layout *a, const memory_layout *b) {
    for (int i = 0; i < a->count && a->count == b->count; i++)
        if (a->size[i] != b->size[i] || a->stride[i] != b->stride[i])
            return false;
    return a->count == b->count;
}

/* The numbers of the problem that a buffer holds: outer x classes x inner. */
typedef struct row_matrix {
    int64_t outer, classes, inner, stride, class_stride;
} row_matrix;

static void without_classes(row_matrix *matrix) {
    matrix->classes = 1;
}

static row_matrix matrix_of(const buffer_field *field, const focal_problem *problem) {
    row_matrix matrix = {problem->outer, problem->classes, problem->inner ? problem->inner : 1,
                         0, 0};
    bool match = problem->form == FOCAL_FORM_MATCH;
    switch (field->shape) {
    case AS_LOGITS:
        matrix.stride = problem->logits_stride;
        matrix.class_stride = problem->logits_class_stride;
        break;
    case AS_TARGETS:
        if (match) {
            matrix = (row_matrix){1, problem->selected, 1, 0, 0};
        } else if (problem->target_kind >= FOCAL_TARGET_LABEL_U8) {
            without_classes(&matrix);
        } else {
            matrix.stride = problem->targets_stride;
            matrix.class_stride = problem->targets_class_stride;
        }
        break;
    case AS_LOSS:
        if (match)
            matrix.classes = problem->selected;
        matrix.stride = problem->loss_stride;
        matrix.class_stride = problem->loss_class_stride;
        break;
    case AS_GRADIENT:
        matrix.stride = problem->gradient_stride;
        matrix.class_stride = problem->gradient_class_stride;
        break;
    case AS_ROWS:
        without_classes(&matrix);
        break;
    case AS_ELEMENTS:
    case AS_NUMBER:
        break;
    }
    if (matrix.class_stride == 0)
        matrix.class_stride = matrix.inner;
    if (matrix.stride == 0)
        matrix.stride = matrix.classes * matrix.class_stride;
    return matrix;
}

static int fail_layout(const buffer_field *field, const row_matrix *matrix) {
    PyErr_Format(PyExc_ValueError,
                 "%s: shape and strides do not fit the plan's %lld x %lld x %lld elements, "
                 "rows %lld and classes %lld apart",
                 field->keyword, (long long)matrix->outer, (long long)matrix->classes,
                 (long long)matrix->inner, (long long)matrix->stride,
                 (long long)matrix->class_stride);
    return -1;
}

static int check_layout(const buffer_field *field, const focal_problem *problem,
                        const Py_buffer *view) {
    row_matrix matrix = matrix_of(field, problem);
    Py_ssize_t elements = view->len / view->itemsize;
    bool none = matrix.outer == 0 || matrix.classes == 0;
    if (elements == 0 || none)
        return elements == 0 && none ? 0 : fail_layout(field, &matrix);
    memory_layout wanted = {0}, given = {0};
    add_dimension(&wanted, matrix.inner, 1);
    add_dimension(&wanted, matrix.classes, matrix.class_stride);
    add_dimension(&wanted, matrix.outer, matrix.stride);
    for (int d = view->ndim - 1; d >= 0; d--) {
        if (view->shape[d] > 1 && view->strides[d] % view->itemsize != 0)
            return fail_layout(field, &matrix);
        add_dimension(&given, view->shape[d], view->strides[d] / view->itemsize);
    }
    return layouts_equal(&wanted, &given) ? 0 : fail_layout(field, &matrix);
}

/* ---- Taking and giving back ----------------------------------------------------------------- */

static int take_number(held_buffers *held, int index, PyObject *value) {
    double number = PyFloat_AsDouble(value);
    if (number == -1.0 && PyErr_Occurred())
        return -1;
    if (fields[index].element == OF_FLOAT)
        held->numbers[index].as_float = (float)number;
    else
        held->numbers[index].as_double = number;
    set_pointer(&held->buffers, &fields[index], &held->numbers[index]);
    return 0;
}

/* What has no buffer protocol may have DLPack, for which NumPy has a reader. */
static PyObject *with_buffer_protocol(const buffer_field *field, PyObject *value) {
    if (PyObject_CheckBuffer(value))
        return Py_NewRef(value);
    if (!PyObject_HasAttrString(value, "__dlpack__")) {
        PyErr_Format(PyExc_TypeError, "%s: %.100s has neither the buffer protocol nor DLPack",
                     field->keyword, Py_TYPE(value)->tp_name);
        return NULL;
    }
    PyObject *numpy = PyImport_ImportModule("numpy");
    PyObject *array = numpy ? PyObject_CallMethod(numpy, "from_dlpack", "O", value) : NULL;
    Py_XDECREF(numpy);
    return array;
}

static int take_view(Py_buffer *view, const buffer_field *field, PyObject *value) {
    PyObject *exporter = with_buffer_protocol(field, value);
    if (!exporter)
        return -1;
    int status = PyObject_GetBuffer(exporter, view, PyBUF_STRIDES | PyBUF_FORMAT);
    Py_DECREF(exporter); /* the view keeps it */
    if (status < 0)
        return -1;
    if (field->access == IS_WRITTEN && view->readonly) {
        PyErr_Format(PyExc_ValueError, "%s: the array is read-only", field->keyword);
        PyBuffer_Release(view);
        return -1;
    }
    return 0;
}

int buffers_take(held_buffers *held, const focal_problem *problem, PyObject *keyword,
                 PyObject *value) {
    int index = find(keyword);
    if (index < 0)
        return -1;
    if (value == Py_None)
        return 0;
    const buffer_field *field = &fields[index];
    if (field->shape == AS_NUMBER)
        return take_number(held, index, value);
    Py_buffer *view = &held->views[held->held];
    if (take_view(view, field, value) < 0)
        return -1;
    held->held++;
    element_type type = type_of(field, problem);
    if (check_type(field, &type, view) < 0 || check_layout(field, problem, view) < 0)
        return -1;
    set_pointer(&held->buffers, field, view->buf);
    return 0;
}

int buffers_take_address(held_buffers *held, PyObject *keyword, PyObject *value) {
    int index = find(keyword);
    if (index < 0)
        return -1;
    if (fields[index].shape == AS_NUMBER)
        return value == Py_None ? 0 : take_number(held, index, value);
    void *address = PyLong_AsVoidPtr(value);
    if (!address && PyErr_Occurred())
        return -1;
    set_pointer(&held->buffers, &fields[index], address);
    return 0;
}

void buffers_release(held_buffers *held) {
    while (held->held > 0)
        PyBuffer_Release(&held->views[--held->held]);
}
