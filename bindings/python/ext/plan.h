/* The Python type Plan, the type Sums, the exception FocalError. */
#ifndef FOCAL_PYTHON_PLAN_H
#define FOCAL_PYTHON_PLAN_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "fields.h"
#include "focal.h"

/* Adds the types to the module; -1 with an exception on failure. */
int plan_add_types(PyObject *module);

/* Sets the fields that a dictionary of keywords names; -1 with an exception on failure, which says
 * "tune() has no field ..." for the caller "tune". The vectors have to be released in either case. */
int read_problem(const char *caller, PyObject *keywords, focal_problem *problem,
                 focal_options *options, field_vectors *vectors);

/* Raises what a status means: MemoryError, or FocalError with `status`, `field` and `index`. */
PyObject *raise_error(const focal_error *error);

/* Threads of executions that name none. */
int default_threads(void);
/* -1 with an exception unless it is an int from 1 to POOL_MOST_THREADS. */
int threads_of(PyObject *threads);
int set_default_threads(PyObject *threads);

#endif
