/* Property tests: what must hold for any input because it holds for the mathematics. Each file
 * props_<subject>.c checks one ISA row; test_props.c runs them on every usable row. */
#ifndef FOCAL_TESTS_PROPS_H
#define FOCAL_TESTS_PROPS_H

#include "evaluate.h"
#include "oracle_ld.h"
#include "random.h"

/* What a check is about, for the message of its failure: a row of logits (one for sigmoid) with
 * its target or label. */
typedef struct subject {
    const char *property, *isa;
    double gamma, alpha;
    const float *logits;
    size_t classes;
    double target;
} subject;

/* Each counts as one check, prints inputs and outputs in %a if it fails, and says if it held.
 */
int expect(const subject *about, int holds, const char *quantity, double got, double expected);
/* The same bits; all NaNs are one. */
int expect_same(const subject *about, const char *quantity, float got, float expected);
/* At most `bound` units in the last place of `scale` from the exact value. */
int expect_within(const subject *about, const char *quantity, float got, long double exact,
                  long double scale, double bound);
/* The same for 0/1 targets and labels, with the contract's bound. */
int expect_near(const subject *about, const char *quantity, float got, long double exact);

/* The factor (1 - p_t)^gamma of a soft target underflows gradually as well; what it loses then,
 * a few 2^-149, is multiplied by a cross-entropy of up to |logit|. */
static inline double soft_loss_bound(double gamma, double logit, long double exact) {
    return soft_bound(gamma) + 0x1p-147 * (1.0 + fabs(logit)) / oracle_ulp(exact);
}

/* Ascending. The first ACCURATE_GAMMAS have the full contract. */
enum { GAMMAS = 16, ACCURATE_GAMMAS = 13 };
extern const double all_gammas[GAMMAS];

enum { DISTRIBUTIONS = 5 };
/* Logits: normal with deviation 4; uniform in +-120; of all magnitudes and both signs; as a
 * detector has them at the start of its training; the worst ones found by sweeps. */
void draw_logits(random_source *source, int distribution, float *logits, size_t count);

/* Soft targets, some at the very ends of (0, 1). */
float draw_soft_target(random_source *source);

double draw_uniform(random_source *source, double low, double high);
double draw_normal(random_source *source);

void test_sigmoid_accuracy(const char *isa, random_source *source);
void test_sigmoid_properties(const char *isa, random_source *source);
void test_softmax_accuracy(const char *isa, random_source *source);
void test_softmax_properties(const char *isa, random_source *source);
void test_limits(const char *isa, random_source *source);
void test_plans(const char *isa, random_source *source);

#endif
