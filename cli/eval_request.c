/* The options of `focal eval`. */
#include "eval.h"
#include "options.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define EVAL_OPTIONS(X)                                                                        \
    X(LOGITS, "logits", "FILE", "logits, .npy: f32, f64, f16, or u16 with --bf16 (required)")  \
    X(TARGETS, "targets", "FILE", "targets or labels, .npy (required)")                        \
    X(BF16, "bf16", NULL, "u16 logits and dense targets hold bf16, the upper half of a float") \
    X(CLASS_AXIS, "class-axis", "K",                                                           \
      "the dimension of the logits that holds the classes, from 0,\n"                          \
      "or from the end if negative (default -1, the last)")                                    \
    X(ACTIVATION, "activation", "NAME",                                                        \
      "sigmoid: every logit is a decision of its own (default)\n"                              \
      "softmax: each row is one decision among its classes")                                   \
    X(FORM, "form", "NAME",                                                                    \
      "formula of sigmoid: focal (default), split, scaled,\n"                                  \
      "confidence, quality, varifocal, star, match (see docs/forms.md)")                       \
    X(GAMMA, "gamma", "G", "focusing parameter, at least 0 (default 2; 0 is cross-entropy)")   \
    X(GAMMA_NEGATIVE, "gamma-negative", "G", "form split: gamma of the negative part")         \
    X(CLASS_GAMMA, "class-gamma", "FILE",                                                      \
      "one gamma per class, .npy, in the place of --gamma")                                    \
    X(ALPHA, "alpha", "A|off",                                                                 \
      "class balance in [0, 1] (default 0.25 with sigmoid, off\nwith softmax)")                \
    X(CLASS_ALPHA, "class-alpha", "FILE",                                                      \
      "one alpha per class, .npy, in the place of --alpha")                                    \
    X(MARGIN, "margin", "M", "form split: shift of p in the negative part, in [0, 1)")         \
    X(BETA, "beta", "B", "form star: beta of the paper's appendix A")                          \
    X(POLY, "poly", "E", "form focal: Poly-1, adds E (1 - p_t)^(gamma + 1)")                   \
    X(SMOOTHING, "smoothing", "S", "label smoothing, in [0, 1)")                               \
    X(SMOOTHING_MODE, "smoothing-mode", "NAME",                                                \
      "target (default): the smoothed target stands everywhere;\n"                             \
      "cross-entropy: modulating factor and alpha see the hard one")                           \
    X(BACKGROUND, "background", "B",                                                           \
      "labels: with sigmoid, label B means no class; with softmax,\n"                          \
      "class B has 1 - alpha and the others alpha")                                            \
    X(IGNORE, "ignore", "I", "labels: a row labelled I counts for nothing")                    \
    X(CLASS_WEIGHT, "class-weight", "FILE", "one weight per class, .npy")                      \
    X(ROW_WEIGHT, "row-weight", "FILE", "one weight per row, .npy")                            \
    X(ELEMENT_WEIGHT, "element-weight", "FILE", "one weight per logit, .npy (sigmoid)")        \
    X(TIER, "tier", "NAME",                                                                    \
      "arithmetic: fast (default), sleef, by SLEEF's functions, or accurate")                  \
    X(REDUCTION, "reduction", "NAME",                                                          \
      "sum (default); mean, over elements with sigmoid and over\n"                             \
      "rows with softmax; none, which needs --loss. --grad is the\n"                           \
      "gradient of the mean with mean, else of the sum")                                       \
    X(NORMALIZER, "normalizer", "NAME",                                                        \
      "what sum and derivatives are divided by: none (default),\n"                             \
      "elements, rows, weight, positives, value")                                              \
    X(NORMALIZER_VALUE, "normalizer-value", "V", "the divisor of --normalizer value")          \
    X(NORMALIZER_FLOOR, "normalizer-floor", "F", "positives: the least divisor, such as 1")    \
    X(NORMALIZER_ADD, "normalizer-add", "A", "positives: added to their number, such as 1")    \
    X(LOSS, "loss", "FILE",                                                                    \
      "write the unreduced losses, .npy: one per element with\n"                               \
      "sigmoid, one per row with softmax")                                                     \
    X(ROW_LOSS, "row-loss", "FILE", "write each row's sum of losses, .npy (sigmoid)")          \
    X(GRAD, "grad", "FILE", "write the gradient by the logits, .npy, in their shape")          \
    X(HESSIAN, "hessian", "FILE", "write the second derivative in each logit, .npy")           \
    X(HESSIAN_MODE, "hessian-mode", "NAME", "exact (default), absolute, upper")                \
    X(HESSIAN_FLOOR, "hessian-floor", "H", "second derivatives are at least this")             \
    X(TARGET_GRAD, "target-grad", "FILE", "write the gradient by dense targets, .npy")         \
    X(OUTPUT_DTYPE, "output-dtype", "NAME",                                                    \
      "f32, f64, f16, bf16 (as u16) of what is written (default:\nthat of the logits)")        \
    X(ISA, "isa", "NAME", "use this row of 'focal info' instead of the best usable one")       \
    X(THREADS, "threads", "N", "OpenMP threads; 0 for all (default 1)")                        \
    X(REPEAT, "repeat", "N", "compute N times and print the fastest time per element")         \
    X(JSON, "json", NULL, "one JSON object instead of text")

enum { EVAL_OPTIONS(OPTION_INDEX) OPTION_COUNT };
enum { THREADS_MAX = 1024 };

static const option_spec options[] = {EVAL_OPTIONS(OPTION_ENTRY)};

const char *const eval_activation_names[] = {"sigmoid", "softmax", NULL};
const char *const eval_reduction_names[] = {"sum", "mean", "none", NULL};
const char *const eval_parameter_options[PARAMETERS] = {
    "--class-alpha", "--class-gamma", "--class-weight", "--row-weight", "--element-weight"};
const char *const eval_output_options[OUTPUTS] = {"--loss", "--row-loss", "--grad", "--hessian",
                                                  "--target-grad"};

/* Names of the library's choices and their values, in one order. */
#define NAME(value, number, name, description)  name,
#define VALUE(value, number, name, description) value,
static const char *const tier_names[] = {FOCAL_TIER_LIST(NAME) NULL};
static const focal_tier tiers[] = {FOCAL_TIER_LIST(VALUE)};
static const char *const form_names[] = {FOCAL_FORM_LIST(NAME) NULL};
static const char *const normalizer_names[] = {FOCAL_NORMALIZER_LIST(NAME) NULL};
static const char *const dtype_names[] = {FOCAL_DTYPE_LIST(NAME) NULL};
static const focal_dtype dtypes[] = {FOCAL_DTYPE_LIST(VALUE)};
static const char *const smoothing_names[] = {"target", "cross-entropy", NULL};
static const char *const hessian_names[] = {"exact", "absolute", "upper", NULL};

static int choose_alpha(const char *text, eval_request *request) {
    focal_problem *problem = &request->problem;
    problem->alpha = 0.25;
    if (request->parameter_paths[CLASS_ALPHA]) {
        problem->alpha_mode = FOCAL_ALPHA_PER_CLASS;
        return text ? fail(USAGE, "--alpha and --class-alpha: give one of the two") : DONE;
    }
    if (text)
        return parse_alpha(text, &problem->alpha_mode, &problem->alpha);
    problem->alpha_mode = problem->op == FOCAL_SIGMOID ? FOCAL_ALPHA_SCALAR : FOCAL_ALPHA_OFF;
    return DONE;
}

static int parse_names(const char *const *values, eval_request *request) {
    focal_problem *problem = &request->problem;
    int op = 0, form = 0, reduction = 0, tier = 0, smoothing = 0, normalizer = 0, hessian = 0,
        dtype = -1;
    const struct {
        int option;
        const char *const *names;
        int *index;
    } choices[] = {
        {OPTION_ACTIVATION, eval_activation_names, &op},
        {OPTION_FORM, form_names, &form},
        {OPTION_REDUCTION, eval_reduction_names, &reduction},
        {OPTION_TIER, tier_names, &tier},
        {OPTION_SMOOTHING_MODE, smoothing_names, &smoothing},
        {OPTION_NORMALIZER, normalizer_names, &normalizer},
        {OPTION_HESSIAN_MODE, hessian_names, &hessian},
        {OPTION_OUTPUT_DTYPE, dtype_names, &dtype},
    };
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        const char *text = values[choices[i].option];
        int code = text ? parse_choice(options[choices[i].option].name, text, choices[i].names,
                                       choices[i].index)
                        : DONE;
        if (code != DONE)
            return code;
    }
    problem->op = (focal_op)op;
    problem->form = (focal_form)form;
    problem->smoothing_mode = (focal_smoothing_mode)smoothing;
    problem->normalizer = (focal_normalizer)normalizer;
    problem->hessian_mode = (focal_hessian_mode)hessian;
    problem->tier = values[OPTION_TIER] ? tiers[tier] : FOCAL_TIER_DEFAULT;
    request->output_dtype = dtype < 0 ? FOCAL_DTYPE_DEFAULT : dtypes[dtype];
    request->reduction = (eval_reduction)reduction;
    request->tier_name = focal_tier_name(problem->tier);
    return DONE;
}

static int parse_numbers(const char *const *values, eval_request *request) {
    focal_problem *problem = &request->problem;
    problem->gamma = 2.0;
    const struct {
        int option;
        double *number;
    } numbers[] = {
        {OPTION_GAMMA, &problem->gamma},
        {OPTION_GAMMA_NEGATIVE, &problem->gamma_negative},
        {OPTION_MARGIN, &problem->margin},
        {OPTION_BETA, &problem->star_beta},
        {OPTION_POLY, &problem->poly_epsilon},
        {OPTION_SMOOTHING, &problem->smoothing},
        {OPTION_NORMALIZER_VALUE, &request->normalizer_value},
        {OPTION_NORMALIZER_FLOOR, &problem->normalizer_floor},
        {OPTION_NORMALIZER_ADD, &problem->normalizer_add},
        {OPTION_HESSIAN_FLOOR, &problem->hessian_floor},
    };
    int code = DONE;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0] && code == DONE; i++)
        if (values[numbers[i].option])
            code = parse_number(options[numbers[i].option].name, values[numbers[i].option],
                                numbers[i].number);
    if (values[OPTION_GAMMA_NEGATIVE])
        problem->gamma_mode = FOCAL_GAMMA_SPLIT;
    if (request->parameter_paths[CLASS_GAMMA])
        problem->gamma_mode = FOCAL_GAMMA_PER_CLASS;
    return code;
}

static int parse_integers(const char *const *values, eval_request *request) {
    focal_problem *problem = &request->problem;
    int64_t threads = 1;
    const struct {
        int option;
        int64_t least, most, *number;
    } integers[] = {
        {OPTION_THREADS, 0, THREADS_MAX, &threads},
        {OPTION_REPEAT, 1, 1000000000, &request->repeat},
        {OPTION_BACKGROUND, INT64_MIN, INT64_MAX, &problem->background},
        {OPTION_IGNORE, INT64_MIN, INT64_MAX, &problem->ignore},
        {OPTION_CLASS_AXIS, -NPY_DIMENSIONS_MAX, NPY_DIMENSIONS_MAX - 1, &request->class_axis},
    };
    int code = DONE;
    for (size_t i = 0; i < sizeof integers / sizeof integers[0] && code == DONE; i++)
        if (values[integers[i].option])
            code = parse_integer(options[integers[i].option].name, values[integers[i].option],
                                 integers[i].least, integers[i].most, integers[i].number);
    if (values[OPTION_BACKGROUND])
        problem->label_flags |= FOCAL_LABEL_BACKGROUND;
    if (values[OPTION_IGNORE])
        problem->label_flags |= FOCAL_LABEL_IGNORE;
    request->has_class_axis = values[OPTION_CLASS_AXIS] != NULL;
    request->threads = (int)threads;
    return code;
}

/* Options that only make sense together. */
static int check_request(const char *const *values, eval_request *request) {
    focal_problem *problem = &request->problem;
    if (request->reduction == REDUCE_NONE && !request->output_paths[OUT_LOSS])
        return fail(USAGE, "--reduction none needs --loss FILE.npy to put the losses in");
    if (values[OPTION_GAMMA_NEGATIVE] && request->parameter_paths[CLASS_GAMMA])
        return fail(USAGE, "--gamma-negative and --class-gamma: give one of the two");
    if (values[OPTION_GAMMA_NEGATIVE] && problem->form != FOCAL_FORM_SPLIT)
        return fail(USAGE,
                    "--gamma-negative needs --form split, which is the focal loss for hard "
                    "targets");
    if (values[OPTION_GAMMA] && request->parameter_paths[CLASS_GAMMA])
        return fail(USAGE, "--gamma and --class-gamma: give one of the two");
    if (request->reduction == REDUCE_MEAN && problem->normalizer != FOCAL_NORMALIZER_NONE)
        return fail(USAGE, "--reduction mean and --normalizer: give one of the two");
    if ((problem->normalizer == FOCAL_NORMALIZER_VALUE) != !!values[OPTION_NORMALIZER_VALUE])
        return fail(USAGE, "--normalizer value and --normalizer-value go together");
    if (values[OPTION_HESSIAN_MODE] && !request->output_paths[OUT_HESSIAN])
        return fail(USAGE, "--hessian-mode needs --hessian FILE.npy");
    if (problem->op == FOCAL_SOFTMAX && request->output_paths[OUT_ROW_LOSS])
        return fail(USAGE, "--row-loss is for sigmoid: with softmax --loss has one per row");
    if (problem->op == FOCAL_SOFTMAX && values[OPTION_BACKGROUND]) {
        if (problem->alpha_mode != FOCAL_ALPHA_SCALAR)
            return fail(USAGE, "--background with softmax names the class that has 1 - alpha: "
                               "it needs --alpha");
        problem->alpha_mode = FOCAL_ALPHA_BACKGROUND;
    }
#ifndef FOCAL_CLI_OPENMP
    if (request->threads != 1)
        return fail(USAGE,
                    "--threads %d: this build has no OpenMP; use --threads 1, or build "
                    "with a compiler that has it",
                    request->threads);
#endif
    return DONE;
}

int eval_parse(const char *const *values, eval_request *request) {
    *request = (eval_request){
        .logits_path = values[OPTION_LOGITS],
        .targets_path = values[OPTION_TARGETS],
        .parameter_paths = {values[OPTION_CLASS_ALPHA], values[OPTION_CLASS_GAMMA],
                            values[OPTION_CLASS_WEIGHT], values[OPTION_ROW_WEIGHT],
                            values[OPTION_ELEMENT_WEIGHT]},
        .output_paths = {values[OPTION_LOSS], values[OPTION_ROW_LOSS], values[OPTION_GRAD],
                         values[OPTION_HESSIAN], values[OPTION_TARGET_GRAD]},
        .class_axis = -1,
        .bf16 = values[OPTION_BF16] != NULL,
        .isa = values[OPTION_ISA],
        .json = values[OPTION_JSON] != NULL,
    };
    focal_problem_init(&request->problem);
    if (!request->logits_path)
        return fail(USAGE, "--logits is missing: --logits FILE.npy");
    if (!request->targets_path)
        return fail(USAGE, "--targets is missing: --targets FILE.npy");
    int code = parse_names(values, request);
    if (code == DONE)
        code = parse_numbers(values, request);
    if (code == DONE)
        code = choose_alpha(values[OPTION_ALPHA], request);
    if (code == DONE)
        code = parse_integers(values, request);
    return code == DONE ? check_request(values, request) : code;
}

const command command_eval = {
    .name = "eval",
    .summary = "Compute the focal loss and its gradient of .npy files",
    .synopsis = " --logits FILE --targets FILE [OPTIONS]",
    .details =
        "Logits are rows of classes, the last dimension (or --class-axis) being the classes "
        "and\n"
        "all others rows; one dimension is that many rows of one class (sigmoid only).\n"
        "\n"
        "Targets are understood by their dtype and shape:\n"
        "  floats, the logits' shape          values in [0, 1]; f64 becomes f32 unless the "
        "logits\n"
        "                                     are f64\n"
        "  integers or bool, the same shape   0 or 1 (sigmoid)\n"
        "  integers, one per row              labels, from 0 to classes - 1\n"
        "  integers, any number               labels to match every row against (--form "
        "match)\n"
        "\n"
        "Byte order and Fortran order are converted. Outputs replace existing files at once "
        "or\n"
        "not at all, and may not be inputs.\n",
    .options = options,
    .option_count = OPTION_COUNT,
    .run = eval_run,
};
