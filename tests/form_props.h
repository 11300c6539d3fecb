/* Property tests of the forms: what must hold for any input because it holds for the mathematics.
 * form_props_<subject>.c checks one ISA row in one tier; test_form_props.c runs them on all. */
#ifndef FOCAL_TESTS_FORM_PROPS_H
#define FOCAL_TESTS_FORM_PROPS_H

#include <string.h>

#include "evaluate.h"
#include "form_case.h"
#include "random.h"
#include "storage.h"

enum { ROWS = 4, CLASSES = 5, COUNT = ROWS * CLASSES };

/* What is tested now, and where its random numbers come from. */
extern variant on;
extern random_source source;

extern const double form_gammas[];
enum { FORM_GAMMAS = 9 };

/* Forms that are one function of logit and target; the first AGREEING_FORMS are the same for
 * targets 0 and 1. */
extern const focal_form element_forms[];
enum { ELEMENT_FORMS = 7, AGREEING_FORMS = 5 };

/* Counts a check, says where and what if it failed, and gives whether it held. */
int expect_that(const char *file, int line, int holds, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
#define EXPECT(holds, ...) expect_that(__FILE__, __LINE__, (holds) != 0, __VA_ARGS__)

double uniform(double low, double high);
/* Mostly of order one, some far out. */
double draw_logit(void);

/* A problem of doubles, so that everything goes through the form kernels, with gradient, Hessian
 * and all losses; alpha is 0.25. */
form_case make_case(focal_op op, focal_form form, double gamma, int soft);

/* Its results, valid until the fourth run from now; a refusal ends the program. */
const form_results *run(const form_case *c, const char *property);

int wants(const focal_problem *problem, int which);
size_t output_count(const form_case *c, int which);

/* All outputs and the sum of b are those of a times `factor`, bit for bit. */
void same_bits(const char *property, const form_case *c, const form_results *a,
               const form_results *b, double factor);

void test_forms_agree(double gamma);
void test_softmax_gradient_sums_to_zero(double gamma);
void test_sigmoid_differences(focal_form form, double gamma);
void test_softmax_differences(double gamma, int labels);
void test_hessian_modes(focal_op op, focal_form form, double gamma);
void test_weights_scale(focal_op op, focal_form form, double gamma);
void test_zero_weights(focal_op op);
void test_per_class_is_scalar(focal_op op, focal_form form, double gamma);
void test_per_class_differs(focal_form form);
void test_kinds_agree(focal_form form, double gamma);
void test_ignored_rows(focal_op op, double gamma);
void test_rounded_once(focal_op op, focal_form form, focal_dtype dtype, double gamma);
void test_layout_keeps_bits(focal_op op, focal_form form, double gamma);
void test_pyramid(focal_op op, focal_normalizer normalizer);
/* At most 5000 classes. */
void test_wide_rows(focal_op op, int64_t classes, double gamma);

#endif
