/* libfocal: focal loss and its gradient on CPUs, with SIMD kernels.
 *
 * The focal loss of Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017
 * (https://arxiv.org/abs/1708.02002), eq. 5:  FL(p_t) = -alpha_t (1 - p_t)^gamma log(p_t).
 * gamma = 0 without alpha is cross-entropy; gamma = 2 with alpha = 0.25 is RetinaNet's choice.
 *
 *     focal_problem problem;
 *     focal_problem_init(&problem);              // sigmoid, f32, dense targets, cross-entropy
 *     problem.outer = 100;                       // 100 rows ...
 *     problem.classes = 80;                      // ... of 80 logits each
 *     problem.gamma = 2.0;
 *     problem.alpha_mode = FOCAL_ALPHA_SCALAR;
 *     problem.alpha = 0.25;
 *     problem.outputs = FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_GRADIENT;
 *
 *     focal_plan *plan = NULL;
 *     focal_error error = FOCAL_ERROR_INIT;
 *     if (focal_plan_create(&plan, &problem, NULL, &error) != FOCAL_OK)
 *         return fprintf(stderr, "%s\n", error.message), 1;
 *
 *     focal_buffers buffers;
 *     focal_buffers_init(&buffers);
 *     buffers.logits = logits;                   // const float[100 * 80]
 *     buffers.targets = targets;                 // const float[100 * 80], 0 ... 1
 *     buffers.gradient = gradient;               // float[100 * 80], may be the logits
 *     focal_sums sums = FOCAL_SUMS_INIT;
 *     focal_plan_execute(plan, &buffers, NULL, &sums, &error);
 *     printf("%g\n", sums.loss);
 *     focal_plan_destroy(plan);
 *
 * The same problem gives the same bits on every machine that has fused multiply-add, for every
 * thread count, split and alignment; docs/numerics.md states this contract and the error
 * bounds. The library creates no threads, sets no global floating-point state, measures and
 * writes files only in the functions that say so, and prints nothing unless FOCAL_VERBOSE asks
 * for it. */
#ifndef FOCAL_H
#define FOCAL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FOCAL_VERSION_MAJOR 0
#define FOCAL_VERSION_MINOR 1
#define FOCAL_VERSION_PATCH 0

/* Default visibility for what this header declares; everything else in the library is hidden.
 */
#if defined(__GNUC__)
#define FOCAL_API __attribute__((visibility("default")))
#else
#define FOCAL_API
#endif

/* "0.1.0": of the library that runs, which may be newer than this header. Static storage. */
FOCAL_API const char *focal_version(void);

/* ---- Status ------------------------------------------------------------------------------ */

/* Every outcome: name, value, text. Values never change meaning. Zero is success. */
#define FOCAL_STATUS_LIST(X)                                                                   \
    X(FOCAL_OK, 0, "success")                                                                  \
    X(FOCAL_E_NULL, -1, "a required pointer is NULL")                                          \
    X(FOCAL_E_STRUCT, -2, "a struct_size is not that of a known version")                      \
    X(FOCAL_E_VALUE, -3, "a field has a value outside its range")                              \
    X(FOCAL_E_OVERFLOW, -4, "the sizes multiply to more than memory can hold")                 \
    X(FOCAL_E_UNSUPPORTED, -5, "a combination of fields that does not exist")                  \
    X(FOCAL_E_STRIDE, -6, "a stride is smaller than its row")                                  \
    X(FOCAL_E_ALIGNMENT, -7, "a pointer is not aligned to its element type")                   \
    X(FOCAL_E_OVERLAP, -8, "an output overlaps another buffer")                                \
    X(FOCAL_E_LABEL, -9, "a label is out of range")                                            \
    X(FOCAL_E_TARGET, -10, "a 0/1 target has another value")                                   \
    X(FOCAL_E_MEMORY, -11, "memory could not be allocated")                                    \
    X(FOCAL_E_ISA, -12, "the instruction set is unknown, not built, or not usable here")       \
    X(FOCAL_E_LATE, -13, "the cap must be set before the first plan is created")               \
    X(FOCAL_E_RANGE, -14, "a task range reaches outside the plan")                             \
    X(FOCAL_E_FILE, -15, "a file could not be read or written")                                \
    X(FOCAL_E_FORMAT, -16, "a file is no tuning file that this version can read")              \
    X(FOCAL_E_STOPPED, -17, "the caller stopped the measurement")

typedef enum focal_status {
#define FOCAL_STATUS_ENUM(name, value, text) name = value,
    FOCAL_STATUS_LIST(FOCAL_STATUS_ENUM)
#undef FOCAL_STATUS_ENUM
} focal_status;

/* "FOCAL_E_NULL" and its text; "unknown status" for a number that is none. Static storage. */
FOCAL_API const char *focal_status_name(focal_status status);
FOCAL_API const char *focal_status_text(focal_status status);

/* What went wrong, for people. Caller-owned, optional everywhere (NULL), written only on
 * failure. `field` names the offending field ("logits_stride") and is static; `index` is the
 * position of an offending element (a label's row), else -1. `message` is one line. */
typedef struct focal_error {
    size_t struct_size;
    focal_status status;
    const char *field;
    int64_t index;
    char message[232];
} focal_error;
#define FOCAL_ERROR_INIT                                                                       \
    { sizeof(focal_error), FOCAL_OK, "", -1, "" }

/* ---- The problem ------------------------------------------------------------------------- */

/* Structs begin with struct_size, set by their init function, so that later versions can append
 * fields whose zero means "as before". Zero is always the default. */

typedef enum focal_op {
    FOCAL_SIGMOID = 0, /* every logit is its own binary decision (paper eq. 5) */
    FOCAL_SOFTMAX = 1, /* each row is one decision among its classes */
} focal_op;

/* How numbers are stored. Arithmetic is float or double inside, whatever the storage; 16-bit
 * results are rounded once. Zero: float for logits, the logits' type for everything else. Types
 * may be mixed freely; if one of them is f64, everything is computed in double. Name, value,
 * text, bytes. */
#define FOCAL_DTYPE_LIST(X)                                                                    \
    X(FOCAL_F32, 1, "f32", 4)   /* float */                                                    \
    X(FOCAL_F64, 2, "f64", 8)   /* double */                                                   \
    X(FOCAL_F16, 3, "f16", 2)   /* IEEE binary16, in uint16_t */                               \
    X(FOCAL_BF16, 4, "bf16", 2) /* upper half of a float, in uint16_t */

typedef enum focal_dtype {
    FOCAL_DTYPE_DEFAULT = 0,
#define FOCAL_DTYPE_ENUM(name, value, text, bytes) name = value,
    FOCAL_DTYPE_LIST(FOCAL_DTYPE_ENUM)
#undef FOCAL_DTYPE_ENUM
} focal_dtype;

/* "f32", also for FOCAL_DTYPE_DEFAULT; "unknown dtype" for a number that is none. Static. */
FOCAL_API const char *focal_dtype_name(focal_dtype dtype);

/* The formula of a sigmoid element: x logit, p = sigmoid(x), t target, g gamma,
 * a_t = a t + (1-a)(1-t), BCE = softplus(x) - x t. All but VARIFOCAL, STAR and MATCH agree for
 * t = 0 and t = 1 and differ for soft targets; docs/forms.md has each with its sources and
 * derivatives. Softmax takes FOCAL alone. Name, value, text, formula. */
#define FOCAL_FORM_LIST(X)                                                                     \
    X(FOCAL_FORM_FOCAL, 0, "focal", "a_t (p(1-t) + (1-p)t)^g BCE: torchvision, fvcore, optax") \
    X(FOCAL_FORM_SPLIT, 1, "split",                                                            \
      "a t (1-p)^g -log p + (1-a)(1-t) p_m^g' -log(1-p_m), "                                   \
      "p_m = max(p - margin, 0): kornia, asymmetric loss")                                     \
    X(FOCAL_FORM_SCALED, 2, "scaled", "a_t sigmoid(-x(2t-1))^g BCE: MONAI")                    \
    X(FOCAL_FORM_CONFIDENCE, 3, "confidence",                                                  \
      "a_t (1 - exp(-BCE))^g BCE: segmentation-models")                                        \
    X(FOCAL_FORM_QUALITY, 4, "quality", "a_t |t - p|^g BCE: quality focal loss")               \
    X(FOCAL_FORM_VARIFOCAL, 5, "varifocal", "t BCE for t > 0, a p^g BCE for t = 0")            \
    X(FOCAL_FORM_STAR, 6, "star", "a_t-weighted -log sigmoid(g y x + beta) / g: appendix A")   \
    X(FOCAL_FORM_MATCH, 7, "match",                                                            \
      "a (1-p)^g -log p - (1-a) p^g -log(1-p): matching cost of DETR")

typedef enum focal_form {
#define FOCAL_FORM_ENUM(name, value, text, formula) name = value,
    FOCAL_FORM_LIST(FOCAL_FORM_ENUM)
#undef FOCAL_FORM_ENUM
} focal_form;

/* "focal"; "unknown form" for a number that is none. Static. */
FOCAL_API const char *focal_form_name(focal_form form);

typedef enum focal_target_kind {
    FOCAL_TARGET_DENSE = 0,     /* a number in [0, 1] per logit, of targets_dtype */
    FOCAL_TARGET_BINARY_U8 = 1, /* uint8_t per logit, 0 or 1 (sigmoid only) */
    FOCAL_TARGET_LABEL_U8 = 2,  /* one class index per row; the one-hot matrix never exists */
    FOCAL_TARGET_LABEL_I32 = 3,
    FOCAL_TARGET_LABEL_I64 = 4,
} focal_target_kind;

typedef enum focal_alpha_mode {
    FOCAL_ALPHA_OFF = 0,       /* alpha_t = 1 */
    FOCAL_ALPHA_SCALAR = 1,    /* sigmoid: alpha for target 1, 1 - alpha for target 0, linear
                                   between; softmax: alpha for every row and class alike */
    FOCAL_ALPHA_PER_CLASS = 2, /* class_alpha[c] in the place of alpha; softmax: of the label,
                                  with dense targets of each term's class */
    /* Softmax: 1 - alpha for class `background`, alpha for the others. */
    FOCAL_ALPHA_BACKGROUND = 3,
} focal_alpha_mode;

typedef enum focal_gamma_mode {
    FOCAL_GAMMA_SCALAR = 0, /* gamma everywhere */
    /* Sigmoid: gamma for the positive, gamma_negative for the negative part. Needs
     * FOCAL_FORM_SPLIT, which is the focal loss for hard targets. */
    FOCAL_GAMMA_SPLIT = 1,
    /* class_gamma[c] in the place of gamma; softmax: of each term's class, which without
     * smoothing is the label, and of the label with FOCAL_SMOOTH_CROSS_ENTROPY. */
    FOCAL_GAMMA_PER_CLASS = 2,
} focal_gamma_mode;

/* What label smoothing s touches. Sigmoid: t (1-s) + s/2; softmax: t (1-s) + s/classes. */
typedef enum focal_smoothing_mode {
    FOCAL_SMOOTH_TARGET = 0, /* the smoothed target stands everywhere (Keras) */
    /* Modulating factor and alpha see the hard one (apex, EfficientDet). Not for softmax with
     * dense targets, whose modulating factors see no target. */
    FOCAL_SMOOTH_CROSS_ENTROPY = 1,
} focal_smoothing_mode;

/* What focal_sums.loss, the gradient and the Hessian are divided by; element and row losses never
 * are. Name, value, text, what it counts. A divisor of 0 counts as 1. */
#define FOCAL_NORMALIZER_LIST(X)                                                               \
    X(FOCAL_NORMALIZER_NONE, 0, "none", "1")                                                   \
    X(FOCAL_NORMALIZER_ELEMENTS, 1, "elements", "logits, ignored rows included")               \
    X(FOCAL_NORMALIZER_ROWS, 2, "rows", "rows that are not ignored")                           \
    X(FOCAL_NORMALIZER_WEIGHT, 3, "weight", "focal_sums.weight")                               \
    X(FOCAL_NORMALIZER_POSITIVES, 4, "positives",                                              \
      "max(focal_sums.positives + normalizer_add, normalizer_floor)")                          \
    X(FOCAL_NORMALIZER_VALUE, 5, "value", "*buffers.normalizer")

typedef enum focal_normalizer {
#define FOCAL_NORMALIZER_ENUM(name, value, text, counts) name = value,
    FOCAL_NORMALIZER_LIST(FOCAL_NORMALIZER_ENUM)
#undef FOCAL_NORMALIZER_ENUM
} focal_normalizer;

/* "none"; "unknown normalizer" for a number that is none. Static. */
FOCAL_API const char *focal_normalizer_name(focal_normalizer normalizer);

/* The second derivative in each logit, d2(sum of losses)/dx2, is negative for badly wrong logits
 * (gamma 2: p_t < 0.058); boosting needs it positive. After the mode comes hessian_floor, then
 * upstream and normalizer. */
typedef enum focal_hessian_mode {
    FOCAL_HESSIAN_EXACT = 0,
    FOCAL_HESSIAN_ABSOLUTE = 1, /* its magnitude */
    FOCAL_HESSIAN_UPPER = 2,    /* a bound above it that is never negative; softmax: XGBoost's,
                                   2 p (1-p) times the row's weight in the gradient */
} focal_hessian_mode;

/* A tier fixes the arithmetic and with it the bits; nothing else does. Name, value, text, what
 * it is. Zero stands for FOCAL_TIER_FAST. */
#define FOCAL_TIER_LIST(X)                                                                     \
    X(FOCAL_TIER_SLEEF, 1, "sleef", "exp, log1p and pow by SLEEF's deterministic functions")   \
    X(FOCAL_TIER_FAST, 2, "fast", "the library's own functions, fused with each other")        \
    X(FOCAL_TIER_ACCURATE, 3, "accurate", "double inside, rounded once: within 0.51 ULP")

typedef enum focal_tier {
    FOCAL_TIER_DEFAULT = 0,
#define FOCAL_TIER_ENUM(name, value, text, description) name = value,
    FOCAL_TIER_LIST(FOCAL_TIER_ENUM)
#undef FOCAL_TIER_ENUM
} focal_tier;

/* "fast", also for FOCAL_TIER_DEFAULT; "unknown tier" for a number that is none. Static. */
FOCAL_API const char *focal_tier_name(focal_tier tier);

/* Wanted results, OR-ed. */
enum {
    FOCAL_OUTPUT_SUM = 1,      /* focal_sums.loss */
    FOCAL_OUTPUT_LOSS = 2,     /* buffers.loss: per logit (sigmoid only) */
    FOCAL_OUTPUT_ROW_LOSS = 4, /* buffers.row_loss: per row */
    /* buffers.gradient: d(focal_sums.loss)/d(logit) times upstream */
    FOCAL_OUTPUT_GRADIENT = 8,
    FOCAL_OUTPUT_HESSIAN = 16, /* buffers.hessian: its diagonal, guarded by hessian_mode */
    /* buffers.target_gradient: d(focal_sums.loss)/d(dense target) times upstream */
    FOCAL_OUTPUT_TARGET_GRADIENT = 32,
};

/* Flags of label targets. */
enum {
    /* Sigmoid: a row labelled `background` has no positive class. Softmax: names the class for
     * FOCAL_ALPHA_BACKGROUND, and needs it. */
    FOCAL_LABEL_BACKGROUND = 1,
    /* A row labelled `ignore` counts for nothing and gets exact zeros, whatever its logits. */
    FOCAL_LABEL_IGNORE = 2,
};

/* One focal-loss problem: outer x classes x inner logits, the decision of a row along `classes`.
 * Row r = o inner + i has the logits at o stride + c class_stride + i. So inner = 1 is N x C;
 * N x C x H x W has inner = H W; heads of N x (A K) x H x W have outer = N A, classes = K,
 * inner = H W. The layout never changes a bit of a result. */
typedef struct focal_problem {
    size_t struct_size;
    focal_op op;
    focal_dtype dtype; /* of the logits */
    focal_target_kind target_kind;
    focal_tier tier;
    uint32_t outputs; /* at least one FOCAL_OUTPUT_ */
    int64_t outer;    /* rows (over inner): anchors, samples; 0 is a valid empty input */
    int64_t classes;  /* logits per row, >= 1 (0 only when outer is 0) */
    /* Distance between outer indices in elements; 0 means classes times the class stride (no
     * padding). Padding is neither read nor written. targets_stride applies to targets that have
     * one value per logit; labels lie row by row without gaps. */
    int64_t logits_stride;
    int64_t targets_stride;
    int64_t loss_stride;
    int64_t gradient_stride; /* of gradient and Hessian */
    double gamma;            /* focusing parameter, in [0, 1000] */
    focal_alpha_mode alpha_mode;
    double alpha;         /* in [0, 1], used when alpha_mode says so */
    uint32_t label_flags; /* FOCAL_LABEL_ */
    int64_t background;   /* with FOCAL_LABEL_BACKGROUND: any integer, such as -1 or classes */
    int64_t ignore;       /* with FOCAL_LABEL_IGNORE: any integer, such as 255 or -100 */

    focal_form form;
    focal_dtype targets_dtype;  /* of dense targets; 0 = dtype */
    focal_dtype loss_dtype;     /* of element and row losses; 0 = dtype */
    focal_dtype gradient_dtype; /* of gradient, Hessian and target gradient; 0 = dtype */
    int64_t inner;              /* 0 means 1 */
    /* Distance between classes in elements; 0 means inner. */
    int64_t logits_class_stride;
    int64_t targets_class_stride; /* target_gradient has the targets' two strides */
    int64_t loss_class_stride;
    int64_t gradient_class_stride;

    focal_gamma_mode gamma_mode;
    double gamma_negative; /* FOCAL_GAMMA_SPLIT */
    double margin;         /* FOCAL_FORM_SPLIT: shift m of p in the negative part, in [0, 1) */
    double star_beta;      /* FOCAL_FORM_STAR: beta of appendix A, |beta| <= 100 */
    /* FOCAL_FORM_FOCAL of sigmoid: Poly-1, adds epsilon (1 - p_t)^(gamma + 1), |epsilon| <= 100. */
    double poly_epsilon;
    double smoothing; /* label smoothing, in [0, 1) */
    focal_smoothing_mode smoothing_mode;
    /* `classes` values each, copied while the plan is made. The first two are needed by their
     * modes and have the bounds of alpha and gamma; class_weight is optional, finite, >= 0:
     * sigmoid multiplies element c by class_weight[c], softmax with labels the row by that of its
     * label, softmax with dense targets term c. */
    const double *class_alpha;
    const double *class_gamma;
    const double *class_weight;

    focal_normalizer normalizer;
    double normalizer_floor; /* FOCAL_NORMALIZER_POSITIVES: at least this, such as 1; >= 0 */
    double normalizer_add;   /* ... and this is added first, such as 1; >= 0 */
    focal_hessian_mode hessian_mode;
    double hessian_floor; /* Hessians before upstream and normalizer are at least this; >= 0 */

    /* FOCAL_FORM_MATCH: the number of labels. Every row is matched against all of them: losses
     * are outer x selected x inner, and the only output. */
    int64_t selected;
} focal_problem;

/* Sigmoid cross-entropy of f32 logits with dense targets, no outputs, no rows: fill in the
 * rest. */
static inline void focal_problem_init(focal_problem *problem) {
    memset(problem, 0, sizeof *problem);
    problem->struct_size = sizeof *problem;
}

/* ---- Plans ------------------------------------------------------------------------------- */

/* How to compute, never what: nothing in here can change a bit of a result. NULL = defaults. */
typedef struct focal_options {
    size_t struct_size;
    const char *isa; /* pin to one ISA row ("avx2"); NULL = the best usable one. The portable
                        row "scalar" has no fused operations and so other bits. */
    uint32_t unroll; /* elements per kernel iteration: 16, 32; 0 = default */
    uint32_t grain;  /* blocks (4096 elements, or a softmax row) per task; 0 = by threads */
    /* Memory for the plan and for workspaces that the caller does not pass. Both or neither. */
    void *allocator_context;
    void *(*allocate)(void *context, size_t size);
    void (*release)(void *context, void *memory);
    /* Tuning, see below. */
    const char *kernel;  /* pin to one kernel by its full name, of the problem's contract */
    uint32_t threads;    /* that will execute the plan, for the look-up (0 = 1) and the size of
                            tasks (0, 1 = not known) */
    uint32_t tune_flags; /* FOCAL_TUNE_OFF */
} focal_options;

static inline void focal_options_init(focal_options *options) {
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
}

/* Immutable after creation: any number of threads may execute one plan at the same time, each
 * with its own buffers. */
typedef struct focal_plan focal_plan;

/* Checks the whole problem, chooses the kernel, and stores the plan in *plan (NULL on failure).
 * Thread-safe. The caller destroys it. `options` and `error` may be NULL. */
FOCAL_API focal_status focal_plan_create(focal_plan **plan, const focal_problem *problem,
                                         const focal_options *options, focal_error *error);

/* Frees a plan that nobody executes any more; NULL is allowed. */
FOCAL_API void focal_plan_destroy(focal_plan *plan);

/* One line about the plan: kernel, ISA row, why it was chosen, blocks, tasks. Writes at most
 * `capacity` bytes including the final NUL and returns the length of the whole text. */
FOCAL_API size_t focal_plan_describe(const focal_plan *plan, char *text, size_t capacity);

/* The memory of one execution. Inputs are only read. Outputs that the problem does not ask for
 * are ignored. The gradient may be the very logits (same pointer, same stride); any other
 * overlap of an output with another buffer is refused. Pointers need the alignment of their
 * element. */
typedef struct focal_buffers {
    size_t struct_size;
    const void *logits;  /* outer x classes x inner */
    const void *targets; /* as the logits, or one label per row; MATCH: `selected` labels */
    void *loss;          /* as the logits; MATCH: outer x selected x inner */
    void *row_loss;      /* outer x inner */
    void *gradient;      /* as the logits */
    /* One float that multiplies every gradient, Hessian and target gradient (the chain rule's
     * factor); NULL = 1. The error bounds hold for the unmultiplied gradient. */
    const float *upstream;
    /* Scratch of focal_plan_workspace_size() bytes, aligned for double, not shared between
     * simultaneous executions. NULL: focal_plan_execute allocates it for the call, unless it is
     * small enough for the stack (up to 16 blocks over all levels). */
    void *workspace;
    size_t workspace_size;
    void *hessian;         /* as the gradient */
    void *target_gradient; /* as the targets */
    /* Optional weights, double if the logits are, else float; finite and >= 0. A weight of 0 gives
     * exact zeros, whatever the logit. Tier fast multiplies its float results by them (softmax: the
     * arithmetic of a row), and a weight of 1 changes no bit; where it computes in double, as the
     * other tiers do with weights, a weight of 1 may differ from none in the last bits.
     * docs/numerics.md says which is where. */
    const void *row_weight;     /* outer x inner */
    const void *element_weight; /* outer x classes x inner without gaps (sigmoid only) */
    const double *normalizer;   /* FOCAL_NORMALIZER_VALUE: the divisor, > 0 */
} focal_buffers;

static inline void focal_buffers_init(focal_buffers *buffers) {
    memset(buffers, 0, sizeof *buffers);
    buffers->struct_size = sizeof *buffers;
}

/* What an execution adds up. Zeros for an empty input. */
typedef struct focal_sums {
    size_t struct_size;
    double loss;  /* sum of all losses over the normalizer; 0 unless FOCAL_OUTPUT_SUM */
    int64_t rows; /* rows that are not ignored */
    /* Labels: rows with a positive class (softmax: all rows, with FOCAL_ALPHA_BACKGROUND those of
     * other classes); 0/1 targets: their ones; dense targets: those above 0, counted only for
     * FOCAL_NORMALIZER_POSITIVES, else 0. */
    int64_t positives;
    int64_t ignored; /* rows labelled `ignore` */
    /* Of the rows that are not ignored, the sum of row weights (softmax with labels: times the
     * label's class weight); sigmoid with element or class weights: of every logit's whole
     * weight. Without weights, rows. */
    double weight;
    double normalizer; /* what loss and gradient were divided by */
} focal_sums;
#define FOCAL_SUMS_INIT                                                                        \
    { sizeof(focal_sums), 0.0, 0, 0, 0, 0.0, 1.0 }

/* The caller's parallel loop. `run` calls task(argument, i) exactly once for each i in
 * [0, tasks), in any order, on any threads, and returns when all are done and their writes are
 * visible. NULL instead of a focal_parallel means serial, with the same bits. focal_openmp.h
 * has one ready for OpenMP. */
typedef struct focal_parallel {
    size_t struct_size;
    void *context;
    void (*run)(void *context, size_t tasks, void (*task)(void *argument, size_t index),
                void *argument);
} focal_parallel;

/* Computes everything the plan's problem asks for. `sums` may be NULL unless the problem wants
 * the sum. Labels and 0/1 targets are checked before anything is written: on any failure no
 * buffer has changed. Thread-safe for different outputs. */
FOCAL_API focal_status focal_plan_execute(const focal_plan *plan, const focal_buffers *buffers,
                                          const focal_parallel *parallel, focal_sums *sums,
                                          focal_error *error);

/* The same in pieces, for callers with their own scheduler. Tasks are numbered from 0 and are
 * independent: run every one exactly once, in any order and grouping, then finish once, after
 * all of them. A workspace must be passed, the same to all calls. A range that fails has
 * written nothing. Normalizers that need counts of all rows (positives, weight, and rows if some
 * may be ignored) are refused: count yourself and use FOCAL_NORMALIZER_VALUE. */
FOCAL_API size_t focal_plan_tasks(const focal_plan *plan);
FOCAL_API size_t focal_plan_workspace_size(const focal_plan *plan);
FOCAL_API focal_status focal_plan_execute_range(const focal_plan *plan,
                                                const focal_buffers *buffers, size_t first,
                                                size_t count, focal_error *error);
FOCAL_API focal_status focal_plan_finish(const focal_plan *plan, const focal_buffers *buffers,
                                         focal_sums *sums, focal_error *error);

/* Several executions as one, for the levels of a feature pyramid: every check comes before the
 * first write, normalizers count over all levels (all plans must have the same one), and `sums`
 * are those of all, added in the order of the levels. `buffers` holds `levels` structs of one
 * struct_size. */
FOCAL_API focal_status focal_plans_execute(const focal_plan *const *plans,
                                           const focal_buffers *buffers, size_t levels,
                                           const focal_parallel *parallel, focal_sums *sums,
                                           focal_error *error);

/* ---- Helpers ----------------------------------------------------------------------------- */

/* alpha[c] from how often each class occurs, scaled so that the mean over classes is 1/2: in
 * proportion to 1 / counts[c], or to (1 - beta) / (1 - beta^counts[c]) (effective number of
 * samples, Cui et al. 2019; beta in [0, 1)). Counts are >= 1, finite; results are cut to 1. */
FOCAL_API focal_status focal_alpha_inverse_frequency(const double *counts, int64_t classes,
                                                     double *alpha, focal_error *error);
FOCAL_API focal_status focal_alpha_effective_number(const double *counts, int64_t classes,
                                                    double beta, double *alpha,
                                                    focal_error *error);

/* -log((1 - prior) / prior), the bias with which a last layer begins at p = prior (paper,
 * section 4.1: 0.01). NaN unless 0 < prior < 1. */
FOCAL_API double focal_prior_bias(double prior);

/* ---- Machine ----------------------------------------------------------------------------- */

/* Lowers the choice of ISA rows for plans created later that pin none, as the environment
 * variable FOCAL_ISA does: rows better than `isa` are not chosen. Only before the first plan of
 * the process (FOCAL_E_LATE). It can never enable what the CPU lacks. Thread-safe. */
FOCAL_API focal_status focal_set_isa_cap(const char *isa, focal_error *error);

/* The ISA rows known to this version, best first: index 0 ... focal_isa_count() - 1. */
typedef struct focal_isa_info {
    size_t struct_size;
    const char *name;    /* "avx512", "avx2", "neon", "scalarfma", "scalar"; static */
    int built;           /* the library contains it */
    int usable;          /* built, and CPU and operating system support it */
    int chosen;          /* plans without a pinned ISA use it */
    const char *missing; /* what keeps it from being usable ("" if nothing); static */
} focal_isa_info;
FOCAL_API size_t focal_isa_count(void);
FOCAL_API focal_status focal_isa_get(size_t index, focal_isa_info *info);

/* Facts about the machine and the build as the library sees them. All strings are static. */
typedef struct focal_host_info {
    size_t struct_size;
    const char *cpu;      /* brand string, or vendor/family/model */
    const char *features; /* usable features that matter here, blank-separated */
    const char *masked;   /* features the CPU has but the operating system does not save */
    const char *isa_cap;  /* the cap in force, "" if none */
    const char *cap_note; /* why FOCAL_ISA was not honoured, "" if it was or is unset */
    const char *compiler; /* that built the library */
    const char *sleef;    /* SLEEF version at build time, and which names are used */
    uint32_t l1d_bytes, l2_bytes, l3_bytes; /* caches, 0 = unknown */
} focal_host_info;
FOCAL_API focal_status focal_host_get(focal_host_info *info);

/* ---- Tuning ------------------------------------------------------------------------------ */

/* Which kernel and which task size are best depends on the host. A tuning file holds what was
 * measured; docs/tuning.md specifies it. A plan that pins neither ISA row, unroll nor kernel
 * looks its problem up. What it finds can change its speed and nothing else: an entry that
 * names a kernel of other bits, or one that this host cannot run, is refused.
 *
 * At the first look-up the library reads one file, unless focal_tune_load or focal_tune_import
 * was called before: the one that the environment variable FOCAL_TUNE_FILE names (empty: none),
 * else the user's, focal/tuning.txt in $XDG_CACHE_HOME or ~/.cache, else the system's,
 * focal/tuning.txt in the build's sysconfdir. Processes that run set-user-id ignore the
 * environment. The library measures and writes only when the functions below are called; all of
 * them are thread-safe. Built without the tuner, they give FOCAL_E_UNSUPPORTED. */

/* focal_options.tune_flags: the default kernel, whatever was measured. */
enum { FOCAL_TUNE_OFF = 1 };

/* What became of the entries of a file. */
typedef struct focal_tune_report {
    size_t struct_size;
    uint32_t accepted; /* entries for this host and this build of the library: used */
    uint32_t stale;    /* entries for this host and other builds: kept, not used */
    uint32_t foreign;  /* entries for other hosts: kept, not used */
    uint32_t rejected; /* damaged sections, and entries that name what there is not */
    uint32_t line;     /* of the first rejection, 0 = unknown or none */
    char reason[160];  /* the first rejection, or why there is no file; "" = nothing to say */
    char path[1024];   /* the file, shortened if need be; "" = none */
} focal_tune_report;
#define FOCAL_TUNE_REPORT_INIT                                                                 \
    { sizeof(focal_tune_report), 0, 0, 0, 0, 0, "", "" }

/* Replaces what the process holds by a file; NULL: by the file of the first look-up, and by
 * nothing if there is none. Plans that exist keep their choice. On failure nothing changes. */
FOCAL_API focal_status focal_tune_load(const char *path, focal_tune_report *report,
                                       focal_error *error);

/* Merges what was measured or imported, and not yet saved, into a file: under a lock, into a
 * temporary file that is flushed and renamed. Other entries and other hosts' sections stay; a
 * damaged section is dropped and counted. A file that is no tuning file, or one of a later
 * version, is refused and left alone. NULL: FOCAL_TUNE_FILE or the user's file. */
FOCAL_API focal_status focal_tune_save(const char *path, focal_tune_report *report,
                                       focal_error *error);

/* Merges the text of a tuning file into what the process holds. */
FOCAL_API focal_status focal_tune_import(const void *text, size_t size,
                                         focal_tune_report *report, focal_error *error);

/* Writes all that the process holds as the text of a tuning file: at most `capacity` bytes with
 * the final NUL. Returns the length of the whole text. */
FOCAL_API size_t focal_tune_export(char *text, size_t capacity);

/* What focal_tune_forget forgets, OR-ed. */
enum {
    FOCAL_TUNE_OWN = 1,     /* this host, this build */
    FOCAL_TUNE_STALE = 2,   /* this host, other builds */
    FOCAL_TUNE_FOREIGN = 4, /* other hosts */
};

/* Drops sections from what the process holds and, unless `path` is NULL, from that file. The
 * report counts what is left, of the file if there is one. */
FOCAL_API focal_status focal_tune_forget(const char *path, uint32_t what,
                                         focal_tune_report *report, focal_error *error);

/* What the process holds now, after reading the file of the first look-up if that is due. */
FOCAL_API focal_status focal_tune_state(focal_tune_report *report);

/* How to measure. */
typedef struct focal_tune_settings {
    size_t struct_size;
    double budget_ms;               /* wall time, not much exceeded; 0 = 100 */
    const focal_parallel *parallel; /* executes with this loop; NULL = serial */
    uint32_t threads;               /* of the loop, part of the key; 0 = 1 */
    uint32_t flags;                 /* FOCAL_TUNE_COMPARE, _DRY */
    size_t max_bytes;               /* for the data; 0 = 1 GiB */
    /* Asked between executions if not NULL; stops the measurement by returning nonzero. */
    int (*stop)(void *context);
    void *stop_context;
} focal_tune_settings;

enum {
    FOCAL_TUNE_COMPARE =
        1,              /* only the plan that the problem gets now against the default one */
    FOCAL_TUNE_DRY = 2, /* searches, records nothing; COMPARE never records */
};

static inline void focal_tune_settings_init(focal_tune_settings *settings) {
    memset(settings, 0, sizeof *settings);
    settings->struct_size = sizeof *settings;
}

/* What was found. Ratios are time by that of the default kernel in the same round: below 1 is
 * faster. */
typedef struct focal_tune_result {
    size_t struct_size;
    char default_kernel[96], kernel[96]; /* the same if nothing was better */
    uint64_t task_elements;              /* per task; 0 = default */
    uint32_t candidates;                 /* that were tried, with the default */
    uint32_t rounds;                     /* of the decision */
    int decided;                         /* 0: the budget was too short to decide anything */
    double default_ns, ns;               /* per logit */
    double ratio, low, high;             /* median, and a 95 % interval of it */
    double
        entry_ratio; /* time by that of the entry that existed; without one, of the default */
} focal_tune_result;
#define FOCAL_TUNE_RESULT_INIT                                                                 \
    { sizeof(focal_tune_result), "", "", 0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0 }

/* Measures the candidates for a problem on synthetic data, and holds the winner from now on
 * until focal_tune_save. The default is replaced only by what is 3 % faster or more, with an
 * interval that excludes 1; an entry that exists is replaced by the same rule. `options` gives
 * allocator and pins, `settings` may be NULL. */
FOCAL_API focal_status focal_tune_run(const focal_problem *problem,
                                      const focal_options *options,
                                      const focal_tune_settings *settings,
                                      focal_tune_result *result, focal_error *error);

/* One entry of what the process holds: index 0 ... until FOCAL_E_RANGE. */
typedef struct focal_tune_entry {
    size_t struct_size;
    uint32_t section; /* FOCAL_TUNE_OWN, _STALE or _FOREIGN */
    int refused;      /* an own entry that names what there is not */
    char host[320];   /* the section's fingerprints, as in the file */
    char build[320];
    char contract[64];      /* what is computed: the kernel's name left of "__" */
    char target[16];        /* "dense", "binary_u8", "label_u8", "label_i32", "label_i64" */
    char dtype[8];          /* "f32" */
    uint32_t elements_log2; /* size buckets, rounded down */
    uint32_t classes_log2, inner_log2;
    uint32_t threads;
    char kernel[96];
    uint64_t task_elements;
    double ns, default_ns, ratio, low, high; /* as in focal_tune_result */
    uint32_t rounds, date;                   /* date: 20261125 */
    int has_problem;                         /* own entries: */
    focal_problem problem;                   /* the one that was measured */
} focal_tune_entry;
FOCAL_API focal_status focal_tune_get(size_t index, focal_tune_entry *entry);

#ifdef __cplusplus
}
#endif
#endif
