/* Which keyword sets which field of the library's structs: the one list of them. */
#ifndef FOCAL_PYTHON_FIELDS_H
#define FOCAL_PYTHON_FIELDS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

#include "focal.h"

typedef enum field_kind {
    FIELD_ENUM,   /* a name of `names` */
    FIELD_FLAGS,  /* names of `names` in a sequence, OR-ed */
    FIELD_INT64,  /* an int */
    FIELD_UINT32, /* an int that is not negative */
    FIELD_DOUBLE, /* a float */
    FIELD_STRING, /* a str, or None for NULL */
    FIELD_VECTOR, /* a sequence of `classes` floats, or None for NULL */
} field_kind;

typedef struct field_name {
    const char *text;
    int value;
} field_name;

typedef struct struct_field {
    const char *keyword;
    field_kind kind;
    size_t offset;
    const field_name *names; /* ends with text NULL */
} struct_field;

/* Keywords of Plan(): X(field of focal_problem, kind, names). A new field is one line here. */
#define PROBLEM_FIELDS(X)                                                                      \
    X(op, ENUM, op_names)                                                                      \
    X(dtype, ENUM, dtype_names)                                                                \
    X(target_kind, ENUM, target_kind_names)                                                    \
    X(tier, ENUM, tier_names)                                                                  \
    X(outputs, FLAGS, output_names)                                                            \
    X(outer, INT64, NULL)                                                                      \
    X(classes, INT64, NULL)                                                                    \
    X(logits_stride, INT64, NULL)                                                              \
    X(targets_stride, INT64, NULL)                                                             \
    X(loss_stride, INT64, NULL)                                                                \
    X(gradient_stride, INT64, NULL)                                                            \
    X(gamma, DOUBLE, NULL)                                                                     \
    X(alpha_mode, ENUM, alpha_mode_names)                                                      \
    X(alpha, DOUBLE, NULL)                                                                     \
    X(label_flags, FLAGS, label_flag_names)                                                    \
    X(background, INT64, NULL)                                                                 \
    X(ignore, INT64, NULL)                                                                     \
    X(form, ENUM, form_names)                                                                  \
    X(targets_dtype, ENUM, dtype_names)                                                        \
    X(loss_dtype, ENUM, dtype_names)                                                           \
    X(gradient_dtype, ENUM, dtype_names)                                                       \
    X(inner, INT64, NULL)                                                                      \
    X(logits_class_stride, INT64, NULL)                                                        \
    X(targets_class_stride, INT64, NULL)                                                       \
    X(loss_class_stride, INT64, NULL)                                                          \
    X(gradient_class_stride, INT64, NULL)                                                      \
    X(gamma_mode, ENUM, gamma_mode_names)                                                      \
    X(gamma_negative, DOUBLE, NULL)                                                            \
    X(margin, DOUBLE, NULL)                                                                    \
    X(star_beta, DOUBLE, NULL)                                                                 \
    X(poly_epsilon, DOUBLE, NULL)                                                              \
    X(smoothing, DOUBLE, NULL)                                                                 \
    X(smoothing_mode, ENUM, smoothing_mode_names)                                              \
    X(class_alpha, VECTOR, NULL)                                                               \
    X(class_gamma, VECTOR, NULL)                                                               \
    X(class_weight, VECTOR, NULL)                                                              \
    X(normalizer, ENUM, normalizer_names)                                                      \
    X(normalizer_floor, DOUBLE, NULL)                                                          \
    X(normalizer_add, DOUBLE, NULL)                                                            \
    X(hessian_mode, ENUM, hessian_mode_names)                                                  \
    X(hessian_floor, DOUBLE, NULL)                                                             \
    X(selected, INT64, NULL)

/* The same of focal_options. Its allocator stays the library's. */
#define OPTION_FIELDS(X)                                                                       \
    X(isa, STRING, NULL)                                                                       \
    X(unroll, UINT32, NULL)                                                                    \
    X(grain, UINT32, NULL)                                                                     \
    X(threads, UINT32, NULL)

/* End with keyword NULL. */
extern const struct_field problem_fields[];
extern const struct_field option_fields[];

/* Memory of the vectors of one struct, until the library has copied them. */
enum { MOST_VECTORS = 8 };
typedef struct field_vectors {
    int used;
    const char *keyword[MOST_VECTORS];
    double *values[MOST_VECTORS];
    Py_ssize_t count[MOST_VECTORS];
} field_vectors;

/* Sets the field of *structure that `keyword` names. 1 if done, 0 if there is no such field, -1
 * with a Python exception that names the keyword. A string is borrowed from `value`, a vector
 * kept in *vectors. */
int field_set(const struct_field *fields, void *structure, field_vectors *vectors,
              PyObject *keyword, PyObject *value);

/* A new frozenset of the keywords of both; NULL with an exception on failure. */
PyObject *field_names(void);

/* -1 with an exception if a vector does not have `classes` values. */
int field_vectors_check(const field_vectors *vectors, int64_t classes);
void field_vectors_release(field_vectors *vectors);

#endif
