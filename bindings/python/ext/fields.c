/* Setting fields of C structs from Python's keywords, by table. */
#include "fields.h"

#include <string.h>

#define END_OF_NAMES                                                                           \
    { NULL, 0 }

static const field_name op_names[] = {
    {"sigmoid", FOCAL_SIGMOID}, {"softmax", FOCAL_SOFTMAX}, END_OF_NAMES};

/* Lists of the header: name of the constant, value, text, something else. */
#define NAME_OF_LIST(name, value, text, rest) {text, value},
static const field_name dtype_names[] = {{"default", FOCAL_DTYPE_DEFAULT},
                                         FOCAL_DTYPE_LIST(NAME_OF_LIST) END_OF_NAMES};
static const field_name tier_names[] = {{"default", FOCAL_TIER_DEFAULT},
                                        FOCAL_TIER_LIST(NAME_OF_LIST) END_OF_NAMES};
static const field_name form_names[] = {FOCAL_FORM_LIST(NAME_OF_LIST) END_OF_NAMES};
static const field_name normalizer_names[] = {FOCAL_NORMALIZER_LIST(NAME_OF_LIST) END_OF_NAMES};

static const field_name target_kind_names[] = {
    {"dense", FOCAL_TARGET_DENSE},         {"binary_u8", FOCAL_TARGET_BINARY_U8},
    {"label_u8", FOCAL_TARGET_LABEL_U8},   {"label_i32", FOCAL_TARGET_LABEL_I32},
    {"label_i64", FOCAL_TARGET_LABEL_I64}, END_OF_NAMES};
static const field_name output_names[] = {{"sum", FOCAL_OUTPUT_SUM},
                                          {"loss", FOCAL_OUTPUT_LOSS},
                                          {"row_loss", FOCAL_OUTPUT_ROW_LOSS},
                                          {"gradient", FOCAL_OUTPUT_GRADIENT},
                                          {"hessian", FOCAL_OUTPUT_HESSIAN},
                                          {"target_gradient", FOCAL_OUTPUT_TARGET_GRADIENT},
                                          END_OF_NAMES};
static const field_name alpha_mode_names[] = {{"off", FOCAL_ALPHA_OFF},
                                              {"scalar", FOCAL_ALPHA_SCALAR},
                                              {"per_class", FOCAL_ALPHA_PER_CLASS},
                                              {"background", FOCAL_ALPHA_BACKGROUND},
                                              END_OF_NAMES};
static const field_name gamma_mode_names[] = {{"scalar", FOCAL_GAMMA_SCALAR},
                                              {"split", FOCAL_GAMMA_SPLIT},
                                              {"per_class", FOCAL_GAMMA_PER_CLASS},
                                              END_OF_NAMES};
static const field_name smoothing_mode_names[] = {{"target", FOCAL_SMOOTH_TARGET},
                                                  {"cross_entropy", FOCAL_SMOOTH_CROSS_ENTROPY},
                                                  END_OF_NAMES};
static const field_name hessian_mode_names[] = {{"exact", FOCAL_HESSIAN_EXACT},
                                                {"absolute", FOCAL_HESSIAN_ABSOLUTE},
                                                {"upper", FOCAL_HESSIAN_UPPER},
                                                END_OF_NAMES};
static const field_name label_flag_names[] = {
    {"background", FOCAL_LABEL_BACKGROUND}, {"ignore", FOCAL_LABEL_IGNORE}, END_OF_NAMES};

#define PROBLEM_FIELD(name, kind, names)                                                       \
    {#name, FIELD_##kind, offsetof(focal_problem, name), names},
const struct_field problem_fields[] = {
    PROBLEM_FIELDS(PROBLEM_FIELD){NULL, FIELD_ENUM, 0, NULL}};

#define OPTION_FIELD(name, kind, names)                                                        \
    {#name, FIELD_##kind, offsetof(focal_options, name), names},
const struct_field option_fields[] = {OPTION_FIELDS(OPTION_FIELD){NULL, FIELD_ENUM, 0, NULL}};

_Static_assert(sizeof(focal_op) == sizeof(int), "enumerations are stored as int");

static const struct_field *find(const struct_field *fields, PyObject *keyword) {
    for (; fields->keyword; fields++)
        if (PyUnicode_CompareWithASCIIString(keyword, fields->keyword) == 0)
            return fields;
    return NULL;
}

/* 'op: "tanh" is none of sigmoid, softmax' */
static void complain_of_name(const struct_field *field, PyObject *name) {
    PyObject *choices = PyUnicode_FromString("");
    for (const field_name *known = field->names; choices && known->text; known++)
        Py_SETREF(choices,
                  PyUnicode_FromFormat("%U%s%s", choices, known == field->names ? "" : ", ",
                                       known->text));
    if (choices)
        PyErr_Format(PyExc_ValueError, "%s: %R is none of %U", field->keyword, name, choices);
    Py_XDECREF(choices);
}

static int value_of_name(const struct_field *field, PyObject *name, int *value) {
    if (!PyUnicode_Check(name)) {
        PyErr_Format(PyExc_TypeError, "%s: expected a name, not %.100s", field->keyword,
                     Py_TYPE(name)->tp_name);
        return -1;
    }
    for (const field_name *known = field->names; known->text; known++)
        if (PyUnicode_CompareWithASCIIString(name, known->text) == 0) {
            *value = known->value;
            return 0;
        }
    complain_of_name(field, name);
    return -1;
}

static int value_of_flags(const struct_field *field, PyObject *names, int *value) {
    if (PyUnicode_Check(names))
        return value_of_name(field, names, value);
    PyObject *sequence = PySequence_Fast(names, "flags are a name or a sequence of names");
    if (!sequence)
        return -1;
    int flags = 0;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(sequence);
    for (Py_ssize_t i = 0; i < count; i++) {
        int flag;
        if (value_of_name(field, PySequence_Fast_GET_ITEM(sequence, i), &flag) < 0) {
            Py_DECREF(sequence);
            return -1;
        }
        flags |= flag;
    }
    Py_DECREF(sequence);
    *value = flags;
    return 0;
}

/* Adds the keyword to what Python says of a value ("must be real number, not str"). */
static int fail_at(const char *keyword) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_Format(type, "%s: %S", keyword, value ? value : Py_None);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return -1;
}

/* A copy of a sequence of numbers, which *vectors keeps. */
static int set_vector(const struct_field *field, char *place, field_vectors *vectors,
                      PyObject *value) {
    const double *values = NULL;
    if (value != Py_None) {
        PyObject *sequence = PySequence_Fast(value, "it takes a sequence of numbers");
        if (!sequence)
            return fail_at(field->keyword);
        Py_ssize_t count = PySequence_Fast_GET_SIZE(sequence);
        double *copy = PyMem_Calloc((size_t)count + 1, sizeof *copy);
        if (!copy) {
            Py_DECREF(sequence);
            PyErr_NoMemory();
            return -1;
        }
        int slot = vectors->used++;
        vectors->keyword[slot] = field->keyword;
        vectors->values[slot] = copy;
        vectors->count[slot] = count;
        for (Py_ssize_t i = 0; i < count; i++)
            copy[i] = PyFloat_AsDouble(PySequence_Fast_GET_ITEM(sequence, i));
        Py_DECREF(sequence);
        if (PyErr_Occurred())
            return fail_at(field->keyword);
        values = copy;
    }
    memcpy(place, &values, sizeof values);
    return 0;
}

static int set(const struct_field *field, char *place, field_vectors *vectors,
               PyObject *value) {
    switch (field->kind) {
    case FIELD_ENUM:
    case FIELD_FLAGS: {
        int number = 0;
        int status = field->kind == FIELD_ENUM ? value_of_name(field, value, &number)
                                               : value_of_flags(field, value, &number);
        memcpy(place, &number, sizeof number);
        return status;
    }
    case FIELD_INT64: {
        int64_t number = PyLong_AsLongLong(value);
        if (number == -1 && PyErr_Occurred())
            return fail_at(field->keyword);
        memcpy(place, &number, sizeof number);
        return 0;
    }
    case FIELD_UINT32: {
        unsigned long number = PyLong_AsUnsignedLong(value);
        if (number == (unsigned long)-1 && PyErr_Occurred())
            return fail_at(field->keyword);
        if (number > UINT32_MAX) {
            PyErr_Format(PyExc_OverflowError, "%s: %lu is too large", field->keyword, number);
            return -1;
        }
        uint32_t narrow = (uint32_t)number;
        memcpy(place, &narrow, sizeof narrow);
        return 0;
    }
    case FIELD_DOUBLE: {
        double number = PyFloat_AsDouble(value);
        if (number == -1.0 && PyErr_Occurred())
            return fail_at(field->keyword);
        memcpy(place, &number, sizeof number);
        return 0;
    }
    case FIELD_STRING: {
        const char *text = value == Py_None ? NULL : PyUnicode_AsUTF8(value);
        if (!text && value != Py_None)
            return fail_at(field->keyword);
        memcpy(place, &text, sizeof text);
        return 0;
    }
    case FIELD_VECTOR:
        return set_vector(field, place, vectors, value);
    }
    Py_UNREACHABLE();
}

int field_set(const struct_field *fields, void *structure, field_vectors *vectors,
              PyObject *keyword, PyObject *value) {
    const struct_field *field = find(fields, keyword);
    if (!field)
        return 0;
    return set(field, (char *)structure + field->offset, vectors, value) < 0 ? -1 : 1;
}

PyObject *field_names(void) {
    PyObject *names = PyFrozenSet_New(NULL);
    const struct_field *lists[] = {problem_fields, option_fields};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        for (const struct_field *field = lists[i]; names && field->keyword; field++) {
            PyObject *name = PyUnicode_InternFromString(field->keyword);
            if (!name || PySet_Add(names, name) < 0)
                Py_CLEAR(names);
            Py_XDECREF(name);
        }
    return names;
}

int field_vectors_check(const field_vectors *vectors, int64_t classes) {
    for (int i = 0; i < vectors->used; i++)
        if (vectors->count[i] != classes) {
            PyErr_Format(PyExc_ValueError, "%s: %zd values for %lld classes",
                         vectors->keyword[i], vectors->count[i], (long long)classes);
            return -1;
        }
    return 0;
}

void field_vectors_release(field_vectors *vectors) {
    while (vectors->used > 0)
        PyMem_Free(vectors->values[--vectors->used]);
}
