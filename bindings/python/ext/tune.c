/* focal_tune_run and the tuning file for Python. */
#include "tune.h"

#include "fields.h"
#include "plan.h"
#include "pool.h"

/* ---- Measuring ------------------------------------------------------------------------------ */

/* Asked between executions, with the interpreter's lock released: Ctrl-C ends a measurement. */
static int interrupted(void *unused) {
    (void)unused;
    PyGILState_STATE state = PyGILState_Ensure();
    int stop = PyErr_CheckSignals();
    PyGILState_Release(state);
    return stop;
}

static PyObject *result_object(const focal_tune_result *result) {
    return Py_BuildValue("{s:s,s:s,s:K,s:I,s:I,s:O,s:d,s:d,s:d,s:d,s:d,s:d}", "default_kernel",
                         result->default_kernel, "kernel", result->kernel, "task_elements",
                         (unsigned long long)result->task_elements, "candidates",
                         (unsigned)result->candidates, "rounds", (unsigned)result->rounds,
                         "decided", result->decided ? Py_True : Py_False, "default_ns",
                         result->default_ns, "ns", result->ns, "ratio", result->ratio, "low",
                         result->low, "high", result->high, "entry_ratio", result->entry_ratio);
}

static PyObject *measure(PyObject *plan_fields, double budget_ms, int threads, int dry) {
    focal_problem problem;
    focal_problem_init(&problem);
    focal_options options;
    focal_options_init(&options);
    field_vectors vectors = {0};
    focal_tune_settings settings;
    focal_tune_settings_init(&settings);
    focal_parallel parallel = pool_parallel(threads);
    settings.budget_ms = budget_ms;
    settings.parallel = threads > 1 ? &parallel : NULL;
    settings.threads = (uint32_t)threads;
    settings.flags = dry ? FOCAL_TUNE_DRY : 0;
    settings.stop = interrupted;
    focal_tune_result result = FOCAL_TUNE_RESULT_INIT;
    focal_error error = FOCAL_ERROR_INIT;
    PyObject *object = NULL;
    if (read_problem("tune", plan_fields, &problem, &options, &vectors) == 0) {
        focal_status status;
        Py_BEGIN_ALLOW_THREADS status =
            focal_tune_run(&problem, &options, &settings, &result, &error);
        Py_END_ALLOW_THREADS if (!PyErr_Occurred()) object =
            status == FOCAL_OK ? result_object(&result) : raise_error(&error);
    }
    field_vectors_release(&vectors);
    return object;
}

/* Removes a keyword from *fields; borrowed from `given`, NULL if it is not there. */
static PyObject *take_keyword(PyObject *fields, PyObject *given, const char *keyword) {
    PyObject *value = PyDict_GetItemString(given, keyword);
    if (value && PyDict_DelItemString(fields, keyword) < 0)
        return NULL;
    return value;
}

static PyObject *tune(PyObject *module, PyObject *arguments, PyObject *given) {
    (void)module;
    if (PyTuple_GET_SIZE(arguments) > 0 || !given) {
        PyErr_SetString(PyExc_TypeError, "tune() takes the fields of a Plan as keywords");
        return NULL;
    }
    PyObject *fields = PyDict_Copy(given);
    if (!fields)
        return NULL;
    PyObject *budget = take_keyword(fields, given, "budget_ms");
    PyObject *threads = take_keyword(fields, given, "threads");
    PyObject *dry = take_keyword(fields, given, "dry");
    double budget_ms = budget ? PyFloat_AsDouble(budget) : 100.0;
    int count = !threads || threads == Py_None ? default_threads() : threads_of(threads);
    int is_dry = dry ? PyObject_IsTrue(dry) : 0;
    PyObject *result = NULL;
    if (!PyErr_Occurred() && !(budget_ms > 0.0))
        PyErr_Format(PyExc_ValueError, "budget_ms: %R is not positive", budget);
    if (!PyErr_Occurred())
        result = measure(fields, budget_ms, count, is_dry);
    Py_DECREF(fields);
    return result;
}

/* ---- The file ------------------------------------------------------------------------------- */

static PyObject *report_object(const focal_tune_report *report) {
    return Py_BuildValue("{s:I,s:I,s:I,s:I,s:I,s:s,s:s}", "accepted",
                         (unsigned)report->accepted, "stale", (unsigned)report->stale,
                         "foreign", (unsigned)report->foreign, "rejected",
                         (unsigned)report->rejected, "line", (unsigned)report->line, "reason",
                         report->reason, "path", report->path);
}

typedef focal_status file_function(const char *, focal_tune_report *, focal_error *);

static PyObject *with_file(PyObject *arguments, const char *format, file_function *function) {
    PyObject *path = NULL;
    if (!PyArg_ParseTuple(arguments, format, &path))
        return NULL;
    PyObject *bytes = NULL;
    if (path && path != Py_None && !PyUnicode_FSConverter(path, &bytes))
        return NULL;
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    focal_error error = FOCAL_ERROR_INIT;
    focal_status status = function(bytes ? PyBytes_AS_STRING(bytes) : NULL, &report, &error);
    Py_XDECREF(bytes);
    return status == FOCAL_OK ? report_object(&report) : raise_error(&error);
}

static PyObject *tune_save(PyObject *module, PyObject *arguments) {
    (void)module;
    return with_file(arguments, "|O:tune_save", focal_tune_save);
}

static PyObject *tune_load(PyObject *module, PyObject *arguments) {
    (void)module;
    return with_file(arguments, "|O:tune_load", focal_tune_load);
}

static PyObject *tune_state(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    focal_status status = focal_tune_state(&report);
    focal_error error = {.struct_size = sizeof error, .status = status};
    return status == FOCAL_OK ? report_object(&report) : raise_error(&error);
}

/* focal/_tune.py documents them. */
static PyMethodDef functions[] = {
    {"tune", (PyCFunction)(void (*)(void))tune, METH_VARARGS | METH_KEYWORDS, NULL},
    {"tune_save", tune_save, METH_VARARGS, NULL},
    {"tune_load", tune_load, METH_VARARGS, NULL},
    {"tune_state", tune_state, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL}};

int tune_add_functions(PyObject *module) {
    return PyModule_AddFunctions(module, functions);
}
