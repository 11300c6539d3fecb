/* The extension module focal._focal: Plan and facts about the machine. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "plan.h"
#include "tune.h"

static PyObject *isa_object(size_t index) {
    focal_isa_info isa = {.struct_size = sizeof isa};
    focal_isa_get(index, &isa);
    return Py_BuildValue("{s:s,s:O,s:O,s:O,s:s}", "name", isa.name, "built",
                         isa.built ? Py_True : Py_False, "usable",
                         isa.usable ? Py_True : Py_False, "chosen",
                         isa.chosen ? Py_True : Py_False, "missing", isa.missing);
}

static PyObject *isa_list(void) {
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list && i < focal_isa_count(); i++) {
        PyObject *isa = isa_object(i);
        if (!isa || PyList_Append(list, isa) < 0)
            Py_CLEAR(list);
        Py_XDECREF(isa);
    }
    return list;
}

static PyObject *info(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    focal_host_info host = {.struct_size = sizeof host};
    focal_host_get(&host);
    PyObject *isas = isa_list();
    if (!isas)
        return NULL;
    return Py_BuildValue("{s:s,s:i,s:N,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:I}", "version",
                         focal_version(), "threads", default_threads(), "isa", isas, "cpu",
                         host.cpu, "features", host.features, "masked", host.masked, "isa_cap",
                         host.isa_cap, "cap_note", host.cap_note, "compiler", host.compiler,
                         "sleef", host.sleef, "l1d_bytes", (unsigned)host.l1d_bytes, "l2_bytes",
                         (unsigned)host.l2_bytes, "l3_bytes", (unsigned)host.l3_bytes);
}

static PyObject *set_isa_cap(PyObject *module, PyObject *isa) {
    (void)module;
    const char *name = PyUnicode_AsUTF8(isa);
    if (!name)
        return NULL;
    focal_error error = FOCAL_ERROR_INIT;
    if (focal_set_isa_cap(name, &error) != FOCAL_OK)
        return raise_error(&error);
    Py_RETURN_NONE;
}

static PyObject *set_num_threads(PyObject *module, PyObject *threads) {
    (void)module;
    if (set_default_threads(threads) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *get_num_threads(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromLong(default_threads());
}

static PyObject *prior_bias(PyObject *module, PyObject *prior) {
    (void)module;
    double number = PyFloat_AsDouble(prior);
    if (number == -1.0 && PyErr_Occurred())
        return NULL;
    if (!(number > 0.0 && number < 1.0))
        return PyErr_Format(PyExc_ValueError, "prior: %R is not between 0 and 1", prior);
    return PyFloat_FromDouble(focal_prior_bias(number));
}

static PyMethodDef methods[] = {
    {"prior_bias", prior_bias, METH_O,
     "prior_bias(prior, /)\n--\n\n-log((1 - prior) / prior): the bias with which a last layer\n"
     "begins at p = prior (Lin et al. 2017, section 4.1: 0.01)."},
    {"info", info, METH_NOARGS,
     "info()\n--\n\nFacts about this machine and the library: version, the ISA rows with the\n"
     "one in use, CPU, caches, compiler, SLEEF, threads."},
    {"set_isa_cap", set_isa_cap, METH_O,
     "set_isa_cap(isa, /)\n--\n\nLowers the choice of ISA rows, as FOCAL_ISA does. Only "
     "before\n"
     "the first plan of the process; raises FocalError after it."},
    {"set_num_threads", set_num_threads, METH_O,
     "set_num_threads(threads, /)\n--\n\nThreads of calls that name none. No result depends "
     "on\n"
     "it."},
    {"get_num_threads", get_num_threads, METH_NOARGS,
     "get_num_threads()\n--\n\nSee "
     "set_num_threads."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "focal._focal",
    .m_doc = "The C library libfocal, as the package focal uses it.",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__focal(void);

PyMODINIT_FUNC PyInit__focal(void) {
    PyObject *module = PyModule_Create(&definition);
    if (module && (plan_add_types(module) < 0 || tune_add_functions(module) < 0))
        Py_CLEAR(module);
    return module;
}
