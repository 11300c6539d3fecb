/* focal.tune: measuring kernels for a problem, and the tuning file. */
#ifndef FOCAL_PYTHON_TUNE_H
#define FOCAL_PYTHON_TUNE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Adds the functions tune, tune_save, tune_load and tune_state; -1 with an exception. */
int tune_add_functions(PyObject *module);

#endif
