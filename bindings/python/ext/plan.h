/* The Python type Plan, the type Sums, the exception FocalError. */
#ifndef FOCAL_PYTHON_PLAN_H
#define FOCAL_PYTHON_PLAN_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "focal.h"

/* Adds the types to the module; -1 with an exception on failure. */
int plan_add_types(PyObject *module);

/* Raises what a status means: MemoryError, or FocalError with `status`, `field` and `index`. */
PyObject *raise_error(const focal_error *error);

/* Threads of executions that name none. */
int default_threads(void);
int set_default_threads(PyObject *threads);

#endif
