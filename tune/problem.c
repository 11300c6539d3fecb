#include "problem.h"

#include <math.h>
#include <string.h>

#include "store.h"

static focal_tier public_tier(focal_kernel_tier tier) {
    switch (tier) {
    case KERNEL_SLEEF:
        return FOCAL_TIER_SLEEF;
    case KERNEL_ACCURATE:
        return FOCAL_TIER_ACCURATE;
    case KERNEL_FAST:
        break;
    }
    return FOCAL_TIER_FAST;
}

bool focal_record_problem(const focal_record *record, focal_problem *problem) {
    const focal_kernel *kernel = focal_contract_standard(record->key.contract).kernel;
    focal_problem_init(problem);
    if (!kernel)
        return false;
    problem->op = kernel->op == KERNEL_SOFTMAX ? FOCAL_SOFTMAX : FOCAL_SIGMOID;
    problem->target_kind = record->key.target_kind;
    problem->tier = public_tier(kernel->tier);
    problem->outer = record->rows;
    problem->classes = record->classes;
    problem->inner = record->inner;
    problem->dtype = record->key.dtype;
    problem->gamma = 1e-3 * (double)record->gamma;
    problem->alpha_mode = FOCAL_ALPHA_SCALAR;
    problem->alpha = 0.25;
    if (kernel->direction != KERNEL_GRADIENT)
        problem->outputs |= FOCAL_OUTPUT_SUM;
    if (kernel->direction != KERNEL_LOSS)
        problem->outputs |= FOCAL_OUTPUT_GRADIENT;
    return true;
}

void focal_record_describe(focal_record *record, const focal_problem *problem) {
    record->rows = problem->outer;
    record->classes = problem->classes;
    record->inner = problem->inner;
    record->gamma = (int64_t)lround(1000.0 * problem->gamma);
}
