/* The parts of `focal verify`: what was asked, what the enumeration found, its report. */
#ifndef FOCAL_CLI_VERIFY_H
#define FOCAL_CLI_VERIFY_H

#include <focal.h>

#include <stdint.h>

#define VERIFY_PATTERNS (UINT64_C(1) << 32)

typedef struct verify_request {
    focal_op op;
    double gamma, alpha;
    focal_alpha_mode alpha_mode;
    focal_tier tier;
    const char *isa; /* NULL: the library chooses */
    uint64_t stride, offset;
    int threads; /* 0: as many as OpenMP would use */
    int hash_only;
    int json, quiet;
    double bound; /* ULP */
    const char *op_name, *tier_name;
} verify_request;

/* One result and where it came from. `index` counts the enumerated patterns. */
typedef struct verify_case {
    double error;
    uint64_t index;
    uint32_t bits; /* of the logit */
    int target;    /* softmax: 1 where the label is the class of the logit, 0 where the other */
    int component; /* softmax gradient: the class */
    float result;
    double exact;
} verify_case;

/* What is known of the losses, or of the gradients. `normal` counts results whose exact value
 * is normal, at least 2^-126 in magnitude; their errors are in ULP: |result - exact| over the
 * spacing of f32 at the exact value. `subnormal` counts those with a smaller finite exact
 * value, whose errors are in units of 2^-149. A violation is a result that is finite where it
 * must not be, or not finite where it must. */
typedef struct verify_tally {
    uint64_t normal, correct, subnormal, violations;
    verify_case worst, worst_subnormal, first_violation;
} verify_tally;

typedef struct verify_result {
    uint64_t patterns, done;
    verify_tally loss, gradient;
    uint64_t hash;
    double seconds;
    int threads;
    int interrupted; /* nothing else in here holds then, but `done` */
} verify_result;

/* Enumerates, computes and judges; an exit code. The plan is one of verify_plan(). */
int verify_run(const verify_request *request, const focal_plan *plan, verify_result *result);

/* The plan of one chunk of patterns, or of all if they are fewer; an exit code. */
int verify_plan(const verify_request *request, focal_plan **plan);

/* The contract's bound in ULP for targets 0 and 1 and for labels, as docs/numerics.md states it. */
double verify_bound(focal_op op, focal_tier tier, double gamma);

/* Whether the results keep the contract: no violation, no error beyond the bound. */
int verify_holds(const verify_request *request, const verify_result *result);

void verify_report(const verify_request *request, const focal_plan *plan,
                   const verify_result *result);

#endif
