/* Property tests: what must hold for any input because it holds for the mathematics. Each file
 * props_<subject>.c checks one ISA row in one tier; test_props.c runs them on all of them. */
#ifndef FOCAL_TESTS_PROPS_H
#define FOCAL_TESTS_PROPS_H

#include "evaluate.h"
#include "oracle_ld.h"
#include "random.h"

/* What a check is about, for the message of its failure: a row of logits (one for sigmoid) with
 * its target or label. */
typedef struct subject {
    const char *property;
    variant on;
    double gamma, alpha;
    const float *logits;
    size_t classes;
    double target;
} subject;

/* An exact value with what decides its bound: the unit is an ULP of `scale`, to the ULP that the
 * kind of targets allows comes `extra`, absolute. */
typedef struct expectation {
    bound_kind kind;
    long double exact, scale;
    double extra;
} expectation;

/* Each counts as one check, prints inputs and outputs in %a if it fails, and says if it held.
 */
int expect(const subject *about, int holds, const char *quantity, double got, double expected);
/* The same bits; all NaNs are one. */
int expect_same(const subject *about, const char *quantity, float got, float expected);
/* At most `bound` units in the last place of `scale` from the exact value. */
int expect_within(const subject *about, const char *quantity, float got, long double exact,
                  long double scale, double bound);

/* The contract. The largest errors are remembered, for the table at the end. */
typedef enum { LOSS, GRADIENT, RESULTS } result_kind;
int expect_contract(const subject *about, result_kind result, float got,
                    expectation expectation);

/* In absolute terms, what expect_contract allows in a tier. */
double allowed(focal_tier tier, double gamma, expectation expectation);

/* The expectations of a sigmoid's element: of its loss and gradient. */
static inline bound_kind kind_of_target(float target) {
    return target == 0.0F || target == 1.0F ? HARD_TARGETS : SOFT_TARGETS;
}

static inline expectation expected_loss(focal_tier tier, float logit, float target,
                                        const oracle_point *exact) {
    const bound_kind kind = kind_of_target(target);
    return (expectation){kind, exact->loss, exact->loss,
                         kind == SOFT_TARGETS ? soft_loss_extra(tier, (double)logit) : 0.0};
}

static inline expectation expected_gradient(float target, const oracle_point *exact) {
    return (expectation){kind_of_target(target), exact->gradient, exact->gradient_scale, 0.0};
}

/* For emulators: less of everything, but of each property something. */
extern int quick;

/* Ascending. accurate_gammas of them are at most 5. */
extern const double *gammas;
extern int gamma_count, accurate_gammas;

enum { DISTRIBUTIONS = 5 };
/* Logits: normal with deviation 4; uniform in +-120; of all magnitudes and both signs; as a
 * detector has them at the start of its training; the worst ones found by sweeps. */
void draw_logits(random_source *source, int distribution, float *logits, size_t count);

/* Soft targets, some at the very ends of (0, 1). */
float draw_soft_target(random_source *source);

double draw_uniform(random_source *source, double low, double high);
double draw_normal(random_source *source);

void test_sigmoid_accuracy(variant on, random_source *source);
void test_sigmoid_properties(variant on, random_source *source);
void test_softmax_accuracy(variant on, random_source *source);
void test_softmax_properties(variant on, random_source *source);
void test_limits(variant on, random_source *source);
void test_plans(variant on, random_source *source);

#endif
