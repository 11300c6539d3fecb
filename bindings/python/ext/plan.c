/* Plan: a focal_plan with the checks and the calling conventions of Python. */
#include "plan.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "buffers.h"
#include "pool.h"

typedef struct plan_object {
    PyObject ob_base;
    focal_plan *plan;
    focal_problem problem;
} plan_object;

static PyObject *error_type;
static PyTypeObject *sums_type;
static atomic_int threads_by_default = 1;

int default_threads(void) {
    return atomic_load(&threads_by_default);
}

/* ---- Errors --------------------------------------------------------------------------------- */

static int set_attribute(PyObject *object, const char *name, PyObject *value) {
    if (!value)
        return -1;
    int status = PyObject_SetAttrString(object, name, value);
    Py_DECREF(value);
    return status;
}

PyObject *raise_error(const focal_error *error) {
    if (error->status == FOCAL_E_MEMORY)
        return PyErr_NoMemory();
    PyObject *exception = PyObject_CallFunction(error_type, "s", error->message);
    if (!exception)
        return NULL;
    if (set_attribute(exception, "status",
                      PyUnicode_FromString(focal_status_name(error->status))) == 0 &&
        set_attribute(exception, "field", PyUnicode_FromString(error->field)) == 0 &&
        set_attribute(exception, "index", PyLong_FromLongLong(error->index)) == 0)
        PyErr_SetObject(error_type, exception);
    Py_DECREF(exception);
    return NULL;
}

/* ---- Threads -------------------------------------------------------------------------------- */

int threads_of(PyObject *value) {
    long threads = PyLong_AsLong(value);
    if (threads == -1 && PyErr_Occurred())
        return -1;
    if (threads < 1 || threads > POOL_MOST_THREADS) {
        PyErr_Format(PyExc_ValueError, "threads: %ld is outside 1 ... %d", threads,
                     (int)POOL_MOST_THREADS);
        return -1;
    }
    return (int)threads;
}

int set_default_threads(PyObject *value) {
    int threads = threads_of(value);
    if (threads < 0)
        return -1;
    atomic_store(&threads_by_default, threads);
    return 0;
}

/* ---- Sums ----------------------------------------------------------------------------------- */

static PyStructSequence_Field sums_fields[] = {
    {"loss", "sum of all losses over the normalizer; 0 unless the output 'sum' was asked for"},
    {"rows", "rows that are not ignored"},
    {"positives", "labels: rows with a positive class; 0/1 targets: their ones"},
    {"ignored", "rows labelled `ignore`"},
    {"weight", "sum of the weights; without weights, rows"},
    {"normalizer", "what loss and gradient were divided by"},
    {NULL, NULL}};

enum { SUMS_COUNT = sizeof sums_fields / sizeof *sums_fields - 1 };

static PyStructSequence_Desc sums_description = {
    "focal.Sums", "What an execution adds up (focal_sums).", sums_fields, SUMS_COUNT};

static PyObject *sums_object(const focal_sums *sums) {
    PyObject *object = PyStructSequence_New(sums_type);
    if (!object)
        return NULL;
    PyObject *values[SUMS_COUNT] = {
        PyFloat_FromDouble(sums->loss),       PyLong_FromLongLong(sums->rows),
        PyLong_FromLongLong(sums->positives), PyLong_FromLongLong(sums->ignored),
        PyFloat_FromDouble(sums->weight),     PyFloat_FromDouble(sums->normalizer)};
    for (Py_ssize_t i = 0; i < SUMS_COUNT; i++)
        PyStructSequence_SET_ITEM(object, i, values[i]);
    if (PyErr_Occurred())
        Py_CLEAR(object);
    return object;
}

/* ---- Plan ----------------------------------------------------------------------------------- */

int read_problem(const char *caller, PyObject *keywords, focal_problem *problem,
                 focal_options *options, field_vectors *vectors) {
    PyObject *keyword, *value;
    for (Py_ssize_t position = 0;
         keywords && PyDict_Next(keywords, &position, &keyword, &value);) {
        int done = field_set(problem_fields, problem, vectors, keyword, value);
        if (done == 0)
            done = field_set(option_fields, options, vectors, keyword, value);
        if (done == 0)
            PyErr_Format(PyExc_TypeError, "%s() has no field '%U'", caller, keyword);
        if (done != 1)
            return -1;
    }
    return field_vectors_check(vectors, problem->classes);
}

static PyObject *plan_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    if (PyTuple_GET_SIZE(arguments) > 0) {
        PyErr_SetString(PyExc_TypeError, "Plan() takes keyword arguments only");
        return NULL;
    }
    focal_problem problem;
    focal_problem_init(&problem);
    focal_options options;
    focal_options_init(&options);
    options.threads = (uint32_t)default_threads();
    field_vectors vectors = {0};
    focal_plan *plan = NULL;
    focal_error error = FOCAL_ERROR_INIT;
    if (read_problem("Plan", keywords, &problem, &options, &vectors) == 0 &&
        focal_plan_create(&plan, &problem, &options, &error) != FOCAL_OK)
        raise_error(&error);
    field_vectors_release(&vectors);
    if (!plan)
        return NULL;
    plan_object *self = (plan_object *)type->tp_alloc(type, 0);
    if (!self) {
        focal_plan_destroy(plan);
        return NULL;
    }
    self->plan = plan;
    self->problem = problem;
    return (PyObject *)self;
}

static void plan_dealloc(PyObject *object) {
    PyTypeObject *type = Py_TYPE(object);
    focal_plan_destroy(((plan_object *)object)->plan);
    type->tp_free(object);
    Py_DECREF(type);
}

static PyObject *describe(PyObject *object, PyObject *unused) {
    (void)unused;
    char text[1024];
    focal_plan_describe(((plan_object *)object)->plan, text, sizeof text);
    return PyUnicode_FromString(text);
}

static PyObject *plan_repr(PyObject *object) {
    PyObject *text = describe(object, NULL);
    PyObject *repr = text ? PyUnicode_FromFormat("<focal.Plan %U>", text) : NULL;
    Py_XDECREF(text);
    return repr;
}

static PyObject *tasks(PyObject *object, void *unused) {
    (void)unused;
    return PyLong_FromSize_t(focal_plan_tasks(((plan_object *)object)->plan));
}

/* Sums of half precision are left to the caller, who has a rounding for them. */
static int take_sum_address(const plan_object *self, PyObject *value, void **address) {
    *address = PyLong_AsVoidPtr(value);
    if (!*address)
        return PyErr_Occurred() ? -1 : 0;
    if (self->problem.dtype == FOCAL_F16 || self->problem.dtype == FOCAL_BF16) {
        PyErr_SetString(PyExc_ValueError, "sum: only plans of f32 and f64 store it");
        return -1;
    }
    return 0;
}

static void store_sum(focal_dtype dtype, double loss, void *address) {
    if (dtype == FOCAL_F64)
        *(double *)address = loss;
    else
        *(float *)address = (float)loss;
}

static PyObject *run_plan(const plan_object *self, const focal_buffers *buffers, int threads,
                          void *sum) {
    focal_sums sums = FOCAL_SUMS_INIT;
    focal_error error = FOCAL_ERROR_INIT;
    focal_parallel parallel = pool_parallel(threads);
    focal_status status;
    Py_BEGIN_ALLOW_THREADS status =
        focal_plan_execute(self->plan, buffers, threads > 1 ? &parallel : NULL, &sums, &error);
    Py_END_ALLOW_THREADS if (status == FOCAL_OK && sum)
        store_sum(self->problem.dtype, sums.loss, sum);
    return status == FOCAL_OK ? sums_object(&sums) : raise_error(&error);
}

static PyObject *execute_with(const plan_object *self, held_buffers *held, bool addresses,
                              PyObject *const *values, PyObject *names) {
    int threads = default_threads();
    void *sum = NULL;
    Py_ssize_t count = names ? PyTuple_GET_SIZE(names) : 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *name = PyTuple_GET_ITEM(names, i);
        if (PyUnicode_CompareWithASCIIString(name, "threads") == 0) {
            if (values[i] != Py_None && (threads = threads_of(values[i])) < 0)
                return NULL;
        } else if (addresses && PyUnicode_CompareWithASCIIString(name, "sum") == 0) {
            if (take_sum_address(self, values[i], &sum) < 0)
                return NULL;
        } else if (addresses ? buffers_take_address(held, name, values[i]) < 0
                             : buffers_take(held, &self->problem, name, values[i]) < 0) {
            return NULL;
        }
    }
    return run_plan(self, &held->buffers, threads, sum);
}

static PyObject *start(PyObject *object, bool addresses, PyObject *const *values,
                       Py_ssize_t count, PyObject *names) {
    if (count > 0) {
        PyErr_SetString(PyExc_TypeError, "execute() takes keyword arguments only");
        return NULL;
    }
    held_buffers held;
    focal_buffers_init(&held.buffers);
    held.held = 0;
    PyObject *sums = execute_with((plan_object *)object, &held, addresses, values, names);
    buffers_release(&held);
    return sums;
}

static PyObject *execute(PyObject *object, PyObject *const *values, Py_ssize_t count,
                         PyObject *names) {
    return start(object, false, values, count, names);
}

static PyObject *execute_addresses(PyObject *object, PyObject *const *values, Py_ssize_t count,
                                   PyObject *names) {
    return start(object, true, values, count, names);
}

PyDoc_STRVAR(plan_doc,
             "Plan(*, op='sigmoid', outer, classes, outputs, ...)\n--\n\n"
             "One focal-loss problem, checked once and executed many times.\n\n"
             "Keywords are the fields of focal_problem and focal_options by their own names;\n"
             "enumerations are given by name (op='softmax', target_kind='label_i64',\n"
             "tier='accurate'), flags by a sequence of names (outputs=('sum', 'gradient')).\n"
             "docs/api.md of the library explains each. A plan never changes: any number of\n"
             "threads may execute it at the same time.\n\n"
             "Raises FocalError, a ValueError that names the field.");

PyDoc_STRVAR(
    execute_doc,
    "execute($self, /, *, logits, targets, loss=None, row_loss=None, gradient=None,\n"
    "        hessian=None, target_gradient=None, row_weight=None, element_weight=None,\n"
    "        upstream=None, normalizer=None, threads=None)\n--\n\n"
    "Computes all outputs of the plan into the given arrays and returns Sums.\n\n"
    "Arrays have the buffer protocol or DLPack and are used in place: their elements\n"
    "have to have the plan's dtype and to lie as the plan's shape and strides say.\n"
    "The gradient may be the logits. The interpreter's lock is released meanwhile.\n"
    "Raises TypeError, ValueError or FocalError before anything is written.");

PyDoc_STRVAR(execute_addresses_doc,
             "execute_addresses($self, /, *, threads=None, sum=0, **addresses)\n--\n\n"
             "execute() with the address of each first element as an int. Nothing is checked:\n"
             "whoever calls this answers for the memory being there and being of this layout.\n"
             "`sum`, of plans of f32 and f64: where Sums.loss is stored too, in the dtype.");

static PyMethodDef plan_methods[] = {
    {"execute", (PyCFunction)(void (*)(void))execute, METH_FASTCALL | METH_KEYWORDS,
     execute_doc},
    {"execute_addresses", (PyCFunction)(void (*)(void))execute_addresses,
     METH_FASTCALL | METH_KEYWORDS, execute_addresses_doc},
    {"describe", describe, METH_NOARGS,
     "describe($self, /)\n--\n\nOne line: kernel, ISA row and why, blocks, tasks."},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef plan_properties[] = {
    {"tasks", tasks, NULL, "Independent tasks of an execution: threads beyond it are idle.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL}};

/* Slots hold functions as void *, which ISO C does not convert; CPython's platforms do. */
#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wpedantic"
#endif
static PyType_Slot plan_slots[] = {{Py_tp_new, plan_new},
                                   {Py_tp_dealloc, plan_dealloc},
                                   {Py_tp_repr, plan_repr},
                                   {Py_tp_methods, plan_methods},
                                   {Py_tp_getset, plan_properties},
                                   {Py_tp_doc, (void *)(uintptr_t)plan_doc},
                                   {0, NULL}};

static PyType_Spec plan_spec = {"focal.Plan", sizeof(plan_object), 0,
                                Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, plan_slots};

int plan_add_types(PyObject *module) {
    if (buffers_prepare() < 0)
        return -1;
    sums_type = PyStructSequence_NewType(&sums_description);
    error_type = PyErr_NewExceptionWithDoc(
        "focal.FocalError",
        "Input that the library refuses. Attributes: status ('FOCAL_E_LABEL'), field (the "
        "name\n"
        "of what is wrong) and index (of an offending element, else -1).",
        PyExc_ValueError, NULL);
    PyObject *plan_type = PyType_FromSpec(&plan_spec);
    PyObject *names = field_names();
    if (!sums_type || !error_type || !plan_type || !names)
        return -1;
    if (PyModule_AddObjectRef(module, "Sums", (PyObject *)sums_type) < 0 ||
        PyModule_AddObjectRef(module, "FocalError", error_type) < 0 ||
        PyModule_AddObject(module, "FIELDS", names) < 0)
        return -1;
    return PyModule_AddObject(module, "Plan", plan_type);
}
