/* `focal verify`: every float as a logit, against exact values. */
#include "options.h"
#include "verify.h"

#include <signal.h>
#include <string.h>

#define VERIFY_OPTIONS(X)                                                                      \
    X(OP, "op", "NAME", "sigmoid (default), or softmax: rows of the logit and 0")              \
    X(GAMMA, "gamma", "G", "focusing parameter, at least 0 (default 2)")                       \
    X(ALPHA, "alpha", "A|off", "class balance in [0, 1] (default off)")                        \
    X(TIER, "tier", "NAME", "arithmetic: fast (default), sleef or accurate")                   \
    X(ISA, "isa", "NAME", "use this row of 'focal info' instead of the best usable one")       \
    X(STRIDE, "stride", "S", "every S-th bit pattern (default 1, all 2^32)")                   \
    X(OFFSET, "offset", "O", "begin with bit pattern O (default 0)")                           \
    X(THREADS, "threads", "N", "OpenMP threads; 0 for all (default 0)")                        \
    X(BOUND, "bound", "ULP", "fail beyond this error (default: what docs/numerics.md states)") \
    X(HASH_ONLY, "hash-only", NULL, "print the hash of the results and judge nothing")         \
    X(JSON, "json", NULL, "one JSON object instead of text")                                   \
    X(QUIET, "quiet", NULL, "no progress line")

enum { VERIFY_OPTIONS(OPTION_INDEX) OPTION_COUNT };
enum { THREADS_MAX = 1024 };

/* Names and values in one order. */
static const char *const op_names[] = {"sigmoid", "softmax", NULL};
static const focal_op ops[] = {FOCAL_SIGMOID, FOCAL_SOFTMAX};
#define TIER_NAME(value, number, name, description)  name,
#define TIER_VALUE(value, number, name, description) value,
static const char *const tier_names[] = {FOCAL_TIER_LIST(TIER_NAME) NULL};
static const focal_tier tiers[] = {FOCAL_TIER_LIST(TIER_VALUE)};

static int parse_numbers(const char *const *values, verify_request *request) {
    int64_t stride = 1, offset = 0, threads = 0;
    const int64_t patterns = (int64_t)VERIFY_PATTERNS;
    int code = DONE;
    if (values[OPTION_GAMMA])
        code = parse_number("gamma", values[OPTION_GAMMA], &request->gamma);
    request->alpha_mode = FOCAL_ALPHA_OFF;
    if (code == DONE && values[OPTION_ALPHA])
        code = parse_alpha(values[OPTION_ALPHA], &request->alpha_mode, &request->alpha);
    if (code == DONE && values[OPTION_STRIDE])
        code = parse_integer("stride", values[OPTION_STRIDE], 1, patterns, &stride);
    if (code == DONE && values[OPTION_OFFSET])
        code = parse_integer("offset", values[OPTION_OFFSET], 0, patterns - 1, &offset);
    if (code == DONE && values[OPTION_THREADS])
        code = parse_integer("threads", values[OPTION_THREADS], 0, THREADS_MAX, &threads);
    if (code == DONE && values[OPTION_BOUND])
        code = parse_number("bound", values[OPTION_BOUND], &request->bound);
    request->stride = (uint64_t)stride;
    request->offset = (uint64_t)offset;
    request->threads = (int)threads;
    return code;
}

static int parse_request(const char *const *values, verify_request *request) {
    int op = 0, tier = 0, code = DONE;
    focal_tier chosen = FOCAL_TIER_DEFAULT;
    if (values[OPTION_OP])
        code = parse_choice("op", values[OPTION_OP], op_names, &op);
    if (code == DONE && values[OPTION_TIER])
        code = parse_choice("tier", values[OPTION_TIER], tier_names, &tier);
    if (code != DONE)
        return code;
    if (values[OPTION_TIER])
        chosen = tiers[tier];
    *request = (verify_request){
        .op = ops[op],
        .op_name = op_names[op],
        .tier = chosen,
        .tier_name = focal_tier_name(chosen),
        .gamma = 2.0,
        .isa = values[OPTION_ISA],
        .hash_only = values[OPTION_HASH_ONLY] != NULL,
        .json = values[OPTION_JSON] != NULL,
        .quiet = values[OPTION_QUIET] != NULL,
    };
    code = parse_numbers(values, request);
    if (!values[OPTION_BOUND])
        request->bound = verify_bound(request->op, request->tier, request->gamma);
#ifndef FOCAL_CLI_OPENMP
    if (code == DONE && request->threads > 1)
        return fail(USAGE,
                    "--threads %d: this build has no OpenMP; use --threads 1, or build with a "
                    "compiler that has it",
                    request->threads);
#endif
    return code;
}

static int run(const char *const *values) {
    verify_request request;
    verify_result result = {.patterns = 0};
    focal_plan *plan = NULL;
    int code = parse_request(values, &request);
    if (code == DONE)
        code = verify_plan(&request, &plan);
    if (code == DONE)
        code = verify_run(&request, plan, &result);
    if (code == DONE && result.interrupted) {
        code = fail(FAILED, "interrupted after %.1f %% of the logits",
                    100.0 * (double)result.done / (double)result.patterns);
        focal_plan_destroy(plan);
        /* The caller's shell shall see the interrupt too. */
        signal(SIGINT, SIG_DFL);
        raise(SIGINT);
        return code;
    }
    if (code == DONE) {
        verify_report(&request, plan, &result);
        if (!verify_holds(&request, &result))
            code = fail(FAILED,
                        "the results break the contract: an error beyond %g ULP, or a "
                        "violation of NaN and infinity",
                        request.bound);
    }
    focal_plan_destroy(plan);
    return code;
}

static const option_spec options[] = {VERIFY_OPTIONS(OPTION_ENTRY)};

const command command_verify = {
    .name = "verify",
    .summary = "Check results for every float as a logit against exact values",
    .synopsis = " [OPTIONS]",
    .details =
        "Computes the loss and the gradient of both targets for the enumerated logits, among\n"
        "them NaN and infinities, and judges them by an f64 computation that shares nothing\n"
        "with the kernels. 1 ULP is the spacing of f32 at the exact value; results whose "
        "exact\n"
        "value is below 2^-126 are counted apart, in units of 2^-149. Exact values within\n"
        "2^-44 of the midpoint of two floats count as correctly rounded either way.\n"
        "\n"
        "The hash covers the bits of all losses and gradients, any NaN counting as one value.\n"
        "It depends on the operation, gamma, alpha, tier, stride and offset, and on no ISA\n"
        "that has fused multiply-add, no thread count, no compiler.\n",
    .options = options,
    .option_count = OPTION_COUNT,
    .run = run,
};
