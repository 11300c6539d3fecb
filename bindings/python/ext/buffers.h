/* From Python's arrays to focal_buffers: by the buffer protocol, checked, without a copy. */
#ifndef FOCAL_PYTHON_BUFFERS_H
#define FOCAL_PYTHON_BUFFERS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "focal.h"

/* What the elements of a buffer are. */
typedef enum buffer_element {
    OF_LOGITS,   /* the problem's dtype */
    OF_TARGETS,  /* what target_kind says */
    OF_LOSS,     /* loss_dtype */
    OF_GRADIENT, /* gradient_dtype */
    OF_WEIGHT,   /* double if the logits are, else float */
    OF_FLOAT,    /* one float, given as a Python number */
    OF_DOUBLE,   /* one double, likewise */
} buffer_element;

/* Which matrix of the problem it holds, and with which strides. */
typedef enum buffer_shape {
    AS_LOGITS,
    AS_TARGETS, /* labels: one per row */
    AS_LOSS,
    AS_GRADIENT,
    AS_ROWS,
    AS_ELEMENTS, /* one per logit, without gaps */
    AS_NUMBER,
} buffer_shape;

typedef enum buffer_access { IS_READ, IS_WRITTEN } buffer_access;

/* Keywords of Plan.execute(): X(field of focal_buffers, elements, shape, access). A new buffer
 * is one line here. */
#define BUFFER_FIELDS(X)                                                                       \
    X(logits, OF_LOGITS, AS_LOGITS, IS_READ)                                                   \
    X(targets, OF_TARGETS, AS_TARGETS, IS_READ)                                                \
    X(loss, OF_LOSS, AS_LOSS, IS_WRITTEN)                                                      \
    X(row_loss, OF_LOSS, AS_ROWS, IS_WRITTEN)                                                  \
    X(gradient, OF_GRADIENT, AS_GRADIENT, IS_WRITTEN)                                          \
    X(upstream, OF_FLOAT, AS_NUMBER, IS_READ)                                                  \
    X(hessian, OF_GRADIENT, AS_GRADIENT, IS_WRITTEN)                                           \
    X(target_gradient, OF_GRADIENT, AS_TARGETS, IS_WRITTEN)                                    \
    X(row_weight, OF_WEIGHT, AS_ROWS, IS_READ)                                                 \
    X(element_weight, OF_WEIGHT, AS_ELEMENTS, IS_READ)                                         \
    X(normalizer, OF_DOUBLE, AS_NUMBER, IS_READ)

enum {
#define BUFFER_ONE(name, element, shape, access) +1
    BUFFER_COUNT = BUFFER_FIELDS(BUFFER_ONE)
#undef BUFFER_ONE
};

/* The buffers of one execution, and what has to be given back after it. */
typedef struct held_buffers {
    focal_buffers buffers;
    Py_buffer views[BUFFER_COUNT];
    int held;
    union {
        float as_float;
        double as_double;
    } numbers[BUFFER_COUNT];
} held_buffers;

/* Interned keywords; call once. -1 with an exception on failure. */
int buffers_prepare(void);

/* Takes an array (or a number) for the buffer that `keyword` names, after checking its elements
 * and layout against the problem. -1 with a Python exception that names it. */
int buffers_take(held_buffers *held, const focal_problem *problem, PyObject *keyword,
                 PyObject *value);

/* The same with the address of the first element, as an int, without any check. */
int buffers_take_address(held_buffers *held, PyObject *keyword, PyObject *value);

void buffers_release(held_buffers *held);

#endif
