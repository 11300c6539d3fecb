/* The rules of a problem, each with its message. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "convert.h"
#include "plan.h"
#include "status.h"

/* Above this the factor of any wrong enough logit is 0 or 1 in double precision; the kernels'
 * two-float products stay finite below it. */
#define GAMMA_MAX 1000.0
#define BETA_MAX  100.0
#define BELOW_ONE (1.0 - 0x1p-53)

/* A tail that a newer version of a struct may have; more is no struct_size at all. */
enum { TAIL_MAX = 4096 };

bool focal_struct_read(void *to, size_t size, size_t first, const void *from) {
    size_t given;
    memcpy(&given, from, sizeof given);
    if (given < first || given > size + TAIL_MAX || given % _Alignof(int64_t))
        return false;
    for (size_t i = size; i < given; i++)
        if (((const char *)from)[i])
            return false;
    memset(to, 0, size);
    memcpy(to, from, given < size ? given : size);
    memcpy(to, &size, sizeof size);
    return true;
}

size_t focal_target_size(const focal_problem *problem) {
    switch (problem->target_kind) {
    case FOCAL_TARGET_DENSE:
        return focal_dtype_size(problem->targets_dtype);
    case FOCAL_TARGET_LABEL_I32:
        return 4;
    case FOCAL_TARGET_BINARY_U8:
    case FOCAL_TARGET_LABEL_U8:
        return 1;
    case FOCAL_TARGET_LABEL_I64:
        return 8;
    }
    return 0;
}

bool focal_target_is_label(focal_target_kind kind) {
    return kind == FOCAL_TARGET_LABEL_U8 || kind == FOCAL_TARGET_LABEL_I32 ||
           kind == FOCAL_TARGET_LABEL_I64;
}

focal_dtype focal_weight_dtype(const focal_problem *problem) {
    return problem->dtype == FOCAL_F64 ? FOCAL_F64 : FOCAL_F32;
}

static focal_status check_flags(uint32_t flags, uint32_t known, const char *field,
                                focal_error *error) {
    if (flags & ~known)
        return focal_fail(error, FOCAL_E_VALUE, field, -1, "unknown bits 0x%x",
                          (unsigned)(flags & ~known));
    return FOCAL_OK;
}

/* Enumerations and flags: every value must be one that this version knows. */
static focal_status check_choices(const focal_problem *problem, focal_error *error) {
    const struct {
        const char *field;
        long long value, most;
    } enums[] = {
        {"op", problem->op, FOCAL_SOFTMAX},
        {"dtype", problem->dtype, FOCAL_BF16},
        {"target_kind", problem->target_kind, FOCAL_TARGET_LABEL_I64},
        {"alpha_mode", problem->alpha_mode, FOCAL_ALPHA_BACKGROUND},
        {"tier", problem->tier, FOCAL_TIER_ACCURATE},
        {"form", problem->form, FOCAL_FORM_MATCH},
        {"targets_dtype", problem->targets_dtype, FOCAL_BF16},
        {"loss_dtype", problem->loss_dtype, FOCAL_BF16},
        {"gradient_dtype", problem->gradient_dtype, FOCAL_BF16},
        {"gamma_mode", problem->gamma_mode, FOCAL_GAMMA_PER_CLASS},
        {"smoothing_mode", problem->smoothing_mode, FOCAL_SMOOTH_CROSS_ENTROPY},
        {"normalizer", problem->normalizer, FOCAL_NORMALIZER_VALUE},
        {"hessian_mode", problem->hessian_mode, FOCAL_HESSIAN_UPPER},
    };
    for (size_t i = 0; i < sizeof enums / sizeof enums[0]; i++)
        if (enums[i].value < 0 || enums[i].value > enums[i].most)
            return focal_fail(error, FOCAL_E_VALUE, enums[i].field, -1,
                              "%lld is not one of its values (0 ... %lld)", enums[i].value,
                              enums[i].most);
    if (problem->outputs == 0)
        return focal_fail(error, FOCAL_E_VALUE, "outputs", -1,
                          "nothing to compute: OR together what is wanted");
    focal_status status = check_flags(problem->outputs,
                                      FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_LOSS |
                                          FOCAL_OUTPUT_ROW_LOSS | FOCAL_OUTPUT_GRADIENT |
                                          FOCAL_OUTPUT_HESSIAN | FOCAL_OUTPUT_TARGET_GRADIENT,
                                      "outputs", error);
    if (status == FOCAL_OK)
        status = check_flags(problem->label_flags, FOCAL_LABEL_BACKGROUND | FOCAL_LABEL_IGNORE,
                             "label_flags", error);
    return status;
}

/* A combination that does not exist: the first rule that is broken refuses. */
typedef struct {
    bool broken;
    const char *field, *reason;
} combination_rule;

static focal_status apply_rules(const combination_rule *rules, size_t count,
                                focal_error *error) {
    for (size_t i = 0; i < count; i++)
        if (rules[i].broken)
            return focal_fail(error, FOCAL_E_UNSUPPORTED, rules[i].field, -1, "%s",
                              rules[i].reason);
    return FOCAL_OK;
}

static focal_status check_op(const focal_problem *problem, focal_error *error) {
    bool softmax = problem->op == FOCAL_SOFTMAX;
    bool labels = focal_target_is_label(problem->target_kind);
    bool background = problem->label_flags & FOCAL_LABEL_BACKGROUND;
    bool by_background = problem->alpha_mode == FOCAL_ALPHA_BACKGROUND;
    const combination_rule rules[] = {
        {softmax && problem->target_kind == FOCAL_TARGET_BINARY_U8, "target_kind",
         "softmax takes one integer label per row (FOCAL_TARGET_LABEL_*) or dense targets"},
        {softmax && problem->outputs & FOCAL_OUTPUT_LOSS, "outputs",
         "softmax has one loss per row: ask for FOCAL_OUTPUT_ROW_LOSS"},
        {softmax && problem->form != FOCAL_FORM_FOCAL, "form",
         "softmax has FOCAL_FORM_FOCAL alone"},
        {softmax && problem->gamma_mode == FOCAL_GAMMA_SPLIT, "gamma_mode",
         "softmax has no negative part for a gamma of its own"},
        {softmax && problem->poly_epsilon != 0.0, "poly_epsilon", "Poly-1 is for sigmoid"},
        {softmax && !labels && problem->smoothing != 0.0 &&
             problem->smoothing_mode == FOCAL_SMOOTH_CROSS_ENTROPY,
         "smoothing_mode", "softmax with dense targets has no hard label to modulate by"},
        {by_background && !softmax, "alpha_mode",
         "FOCAL_ALPHA_BACKGROUND is for softmax; sigmoid has 1 - alpha for target 0"},
        {by_background && !background, "label_flags",
         "FOCAL_ALPHA_BACKGROUND needs FOCAL_LABEL_BACKGROUND and the class `background`"},
        {background && softmax && !by_background, "label_flags",
         "in softmax the background is a class of its own, named for FOCAL_ALPHA_BACKGROUND "
         "alone"},
        {background && !softmax && !labels, "label_flags",
         "a background value needs integer labels"},
        {problem->label_flags & FOCAL_LABEL_IGNORE && !labels, "label_flags",
         "an ignored value needs integer labels"},
        {problem->outputs & FOCAL_OUTPUT_TARGET_GRADIENT &&
             problem->target_kind != FOCAL_TARGET_DENSE,
         "outputs", "only dense targets have a gradient"},
        {problem->targets_dtype != FOCAL_DTYPE_DEFAULT &&
             problem->target_kind != FOCAL_TARGET_DENSE,
         "targets_dtype", "only dense targets have a dtype; others are what target_kind says"},
    };
    return apply_rules(rules, sizeof rules / sizeof rules[0], error);
}

static focal_status check_form(const focal_problem *problem, focal_error *error) {
    bool match = problem->form == FOCAL_FORM_MATCH;
    const combination_rule rules[] = {
        {problem->gamma_mode == FOCAL_GAMMA_SPLIT && problem->form != FOCAL_FORM_SPLIT,
         "gamma_mode", "FOCAL_GAMMA_SPLIT needs FOCAL_FORM_SPLIT"},
        {problem->margin != 0.0 && problem->form != FOCAL_FORM_SPLIT, "margin",
         "needs FOCAL_FORM_SPLIT"},
        {problem->star_beta != 0.0 && problem->form != FOCAL_FORM_STAR, "star_beta",
         "needs FOCAL_FORM_STAR"},
        {problem->poly_epsilon != 0.0 && problem->form != FOCAL_FORM_FOCAL, "poly_epsilon",
         "needs FOCAL_FORM_FOCAL"},
        {match && problem->outputs != FOCAL_OUTPUT_LOSS, "outputs",
         "FOCAL_FORM_MATCH gives FOCAL_OUTPUT_LOSS alone"},
        {match && !focal_target_is_label(problem->target_kind), "target_kind",
         "FOCAL_FORM_MATCH takes `selected` integer labels"},
        {match && problem->label_flags, "label_flags",
         "FOCAL_FORM_MATCH has no background or ignored labels"},
        {match && problem->smoothing != 0.0, "smoothing",
         "FOCAL_FORM_MATCH has no targets to smooth"},
        {match && problem->normalizer != FOCAL_NORMALIZER_NONE, "normalizer",
         "FOCAL_FORM_MATCH gives element losses, which are not divided"},
        {!match && problem->selected != 0, "selected", "needs FOCAL_FORM_MATCH"},
        {problem->normalizer != FOCAL_NORMALIZER_POSITIVES && problem->normalizer_floor != 0.0,
         "normalizer_floor", "needs FOCAL_NORMALIZER_POSITIVES"},
        {problem->normalizer != FOCAL_NORMALIZER_POSITIVES && problem->normalizer_add != 0.0,
         "normalizer_add", "needs FOCAL_NORMALIZER_POSITIVES"},
    };
    return apply_rules(rules, sizeof rules / sizeof rules[0], error);
}

/* A bound of infinity is not reached, nor is one just below 1. */
static focal_status check_range(const char *field, double value, double least, double most,
                                focal_error *error) {
    bool open = isinf(most) || most == BELOW_ONE;
    if (value >= least && value <= most && !isinf(value))
        return FOCAL_OK;
    return focal_fail(error, FOCAL_E_VALUE, field, -1, "%g is outside [%g, %g%c", value, least,
                      most, open ? ')' : ']');
}

/* The numbers in the order of the struct; those that a mode does not use may be anything. */
static focal_status check_parameters(const focal_problem *problem, focal_error *error) {
    bool scalar = problem->alpha_mode == FOCAL_ALPHA_SCALAR ||
                  problem->alpha_mode == FOCAL_ALPHA_BACKGROUND;
    bool star = problem->form == FOCAL_FORM_STAR;
    bool by_class = problem->gamma_mode == FOCAL_GAMMA_PER_CLASS;
    const struct {
        const char *field;
        double value, least, most;
        bool used;
    } ranges[] = {
        {"gamma", problem->gamma, 0.0, GAMMA_MAX, !by_class},
        {"gamma_negative", problem->gamma_negative, 0.0, GAMMA_MAX,
         problem->gamma_mode == FOCAL_GAMMA_SPLIT},
        {"margin", problem->margin, 0.0, BELOW_ONE, true},
        {"star_beta", problem->star_beta, -BETA_MAX, BETA_MAX, true},
        {"poly_epsilon", problem->poly_epsilon, -BETA_MAX, BETA_MAX, true},
        {"smoothing", problem->smoothing, 0.0, BELOW_ONE, true},
        {"normalizer_floor", problem->normalizer_floor, 0.0, HUGE_VAL, true},
        {"normalizer_add", problem->normalizer_add, 0.0, HUGE_VAL, true},
        {"hessian_floor", problem->hessian_floor, 0.0, HUGE_VAL, true},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        focal_status status = FOCAL_OK;
        if (ranges[i].used)
            status = check_range(ranges[i].field, ranges[i].value, ranges[i].least,
                                 ranges[i].most, error);
        if (status != FOCAL_OK)
            return status;
    }
    if (scalar && !(problem->alpha >= 0.0 && problem->alpha <= 1.0))
        return focal_fail(error, FOCAL_E_VALUE, "alpha", -1,
                          "%g is outside [0, 1]; FOCAL_ALPHA_OFF turns it off", problem->alpha);
    if (star && !by_class && problem->gamma == 0.0)
        return focal_fail(error, FOCAL_E_VALUE, "gamma", -1,
                          "FOCAL_FORM_STAR divides by it, so it cannot be 0");
    if (problem->label_flags & FOCAL_LABEL_BACKGROUND && problem->op == FOCAL_SOFTMAX &&
        (problem->background < 0 || problem->background >= problem->classes) &&
        problem->classes > 0)
        return focal_fail(error, FOCAL_E_VALUE, "background", -1,
                          "%lld is not one of softmax's %lld classes",
                          (long long)problem->background, (long long)problem->classes);
    if (problem->label_flags == (FOCAL_LABEL_BACKGROUND | FOCAL_LABEL_IGNORE) &&
        problem->background == problem->ignore)
        return focal_fail(error, FOCAL_E_VALUE, "ignore", -1, "%lld is the background too",
                          (long long)problem->ignore);
    if (problem->selected < 0)
        return focal_fail(error, FOCAL_E_VALUE, "selected", -1, "%lld labels",
                          (long long)problem->selected);
    return FOCAL_OK;
}

/* One array of a value per class, if it is used. */
static focal_status check_class_array(const char *field, const double *values, bool needed,
                                      int64_t classes, double least, double most,
                                      focal_error *error) {
    if (!values && needed && classes > 0)
        return focal_fail(error, FOCAL_E_NULL, field, -1, "the mode needs %lld values",
                          (long long)classes);
    for (int64_t c = 0; values && c < classes; c++)
        if (!(values[c] >= least && values[c] <= most) || isinf(values[c]))
            return focal_fail(error, FOCAL_E_VALUE, field, c,
                              "%g of class %lld is outside [%g, %g%c", values[c], (long long)c,
                              least, most, isinf(most) ? ')' : ']');
    return FOCAL_OK;
}

static focal_status check_class_arrays(focal_problem *problem, focal_error *error) {
    if (problem->alpha_mode != FOCAL_ALPHA_PER_CLASS)
        problem->class_alpha = NULL;
    if (problem->gamma_mode != FOCAL_GAMMA_PER_CLASS)
        problem->class_gamma = NULL;
    double least_gamma = problem->form == FOCAL_FORM_STAR ? 0x1p-1022 : 0.0;
    focal_status status = check_class_array("class_alpha", problem->class_alpha,
                                            problem->alpha_mode == FOCAL_ALPHA_PER_CLASS,
                                            problem->classes, 0.0, 1.0, error);
    if (status == FOCAL_OK)
        status = check_class_array("class_gamma", problem->class_gamma,
                                   problem->gamma_mode == FOCAL_GAMMA_PER_CLASS,
                                   problem->classes, least_gamma, GAMMA_MAX, error);
    if (status == FOCAL_OK)
        status = check_class_array("class_weight", problem->class_weight, false,
                                   problem->classes, 0.0, HUGE_VAL, error);
    return status;
}

static void fill_in_defaults(focal_problem *problem) {
    if (problem->dtype == FOCAL_DTYPE_DEFAULT)
        problem->dtype = FOCAL_F32;
    if (problem->targets_dtype == FOCAL_DTYPE_DEFAULT)
        problem->targets_dtype = problem->dtype;
    if (problem->loss_dtype == FOCAL_DTYPE_DEFAULT)
        problem->loss_dtype = problem->dtype;
    if (problem->gradient_dtype == FOCAL_DTYPE_DEFAULT)
        problem->gradient_dtype = problem->dtype;
    if (problem->tier == FOCAL_TIER_DEFAULT)
        problem->tier = FOCAL_TIER_FAST;
    if (problem->inner == 0)
        problem->inner = 1;
}

focal_status focal_problem_check(focal_problem *problem, focal_error *error) {
    focal_status status = check_choices(problem, error);
    if (status == FOCAL_OK)
        status = check_parameters(problem, error);
    if (status == FOCAL_OK)
        status = check_op(problem, error);
    if (status == FOCAL_OK)
        status = check_form(problem, error);
    if (status != FOCAL_OK)
        return status;
    fill_in_defaults(problem);
    status = focal_sizes_check(problem, error);
    if (status == FOCAL_OK)
        status = check_class_arrays(problem, error);
    return status;
}
