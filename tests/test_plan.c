/* focal_plan_create: every rule of focal.h about problems and options is broken once, everything
 * it allows is accepted, and a refusal leaves nothing behind. */
#include <math.h>
#include <stddef.h>

#include "fixture.h"

static focal_problem sigmoid_problem(void) {
    return problem_of(FOCAL_SIGMOID, FOCAL_TARGET_DENSE, 100, 80, 2.0);
}

static focal_problem softmax_problem(void) {
    return problem_of(FOCAL_SOFTMAX, FOCAL_TARGET_LABEL_I64, 100, 80, 2.0);
}

static focal_problem label_problem(void) {
    return problem_of(FOCAL_SIGMOID, FOCAL_TARGET_LABEL_I32, 100, 80, 2.0);
}

static void refuses(int line, const char *change, const focal_problem *problem,
                    const focal_options *options, focal_status expected, const char *field) {
    focal_plan *plan = (focal_plan *)(uintptr_t)8;
    focal_error error = FOCAL_ERROR_INIT;
    const focal_status status = focal_plan_create(&plan, problem, options, &error);
    const unsigned before = check_failed;
    CHECK_ERROR(status, error, expected, field, -1);
    if (!CHECK(plan == NULL))
        focal_plan_destroy(plan);
    plan = (focal_plan *)(uintptr_t)8;
    CHECK_STATUS(focal_plan_create(&plan, problem, options, NULL), expected);
    CHECK(plan == NULL);
    if (check_failed != before)
        printf("    ... with `%s` (line %d)\n", change, line);
}

static void accepts(int line, const char *change, const focal_problem *problem,
                    const focal_options *options) {
    focal_plan *plan = NULL;
    focal_error error = FOCAL_ERROR_INIT, untouched;
    memset(&error.message, 0x5a, sizeof error.message);
    error.field = "before";
    error.index = 77;
    memcpy(&untouched, &error, sizeof error);
    const focal_status status = focal_plan_create(&plan, problem, options, &error);
    CHECK_CASE(status == FOCAL_OK, "`%s` (line %d): %s", change, line, error.message);
    CHECK_CASE(plan != NULL, "`%s` (line %d)", change, line);
    CHECK_CASE(status != FOCAL_OK || memcmp(&error, &untouched, sizeof error) == 0,
               "`%s` (line %d): a success wrote the error", change, line);
    focal_plan_destroy(plan);
}

#define WITH(base, change, call)                                                               \
    do {                                                                                       \
        focal_problem problem = base();                                                        \
        focal_options options;                                                                 \
        focal_options_init(&options);                                                          \
        change;                                                                                \
        call;                                                                                  \
    } while (0)
#define REFUSES(base, change, status, field)                                                   \
    WITH(base, change, refuses(__LINE__, #change, &problem, &options, status, field))
#define ACCEPTS(base, change) WITH(base, change, accepts(__LINE__, #change, &problem, &options))

/* What the first version's problem had. */
enum { FIRST_PROBLEM = offsetof(focal_problem, ignore) };

/* A newer problem is understood if what it has more is zero; an older one has zeros for the rest,
 * whatever lies behind it. */
static void test_versions(void) {
    struct {
        focal_problem problem;
        unsigned char more[64];
    } newer;
    memset(&newer, 0, sizeof newer);
    newer.problem = sigmoid_problem();
    newer.problem.struct_size = sizeof newer;
    accepts(__LINE__, "a newer problem", &newer.problem, NULL);
    for (size_t i = 0; i < sizeof newer.more; i += 21) {
        newer.more[i] = 1;
        refuses(__LINE__, "a newer problem's field", &newer.problem, NULL, FOCAL_E_STRUCT,
                "problem.struct_size");
        newer.more[i] = 0;
    }
    focal_problem older = sigmoid_problem();
    older.struct_size = FIRST_PROBLEM;
    memset((unsigned char *)&older + FIRST_PROBLEM, 0xa5, sizeof older - FIRST_PROBLEM);
    accepts(__LINE__, "an older problem", &older, NULL);
}

static void test_null_and_struct_size(void) {
    const focal_problem valid = sigmoid_problem();
    focal_error error = FOCAL_ERROR_INIT;
    CHECK_ERROR(focal_plan_create(NULL, &valid, NULL, &error), error, FOCAL_E_NULL, "plan", -1);
    CHECK_STATUS(focal_plan_create(NULL, &valid, NULL, NULL), FOCAL_E_NULL);
    refuses(__LINE__, "no problem", NULL, NULL, FOCAL_E_NULL, "problem");
    accepts(__LINE__, "no options", &valid, NULL);
    focal_plan_destroy(NULL);

    REFUSES(sigmoid_problem, problem.struct_size = 0, FOCAL_E_STRUCT, "problem.struct_size");
    REFUSES(sigmoid_problem, problem.struct_size = FIRST_PROBLEM - 8, FOCAL_E_STRUCT,
            "problem.struct_size");
    REFUSES(sigmoid_problem, problem.struct_size -= 4, FOCAL_E_STRUCT, "problem.struct_size");
    ACCEPTS(sigmoid_problem, problem.struct_size = FIRST_PROBLEM);
    ACCEPTS(sigmoid_problem, problem.struct_size -= 8);
    REFUSES(sigmoid_problem, problem.struct_size = SIZE_MAX, FOCAL_E_STRUCT,
            "problem.struct_size");
    REFUSES(sigmoid_problem, options.struct_size = 0, FOCAL_E_STRUCT, "options.struct_size");
    REFUSES(sigmoid_problem, options.struct_size -= 8, FOCAL_E_STRUCT, "options.struct_size");
    REFUSES(sigmoid_problem, options.struct_size += 8, FOCAL_E_STRUCT, "options.struct_size");
}

static void test_enums(void) {
    REFUSES(sigmoid_problem, problem.op = (focal_op)2, FOCAL_E_VALUE, "op");
    REFUSES(sigmoid_problem, problem.op = (focal_op)-1, FOCAL_E_VALUE, "op");
    REFUSES(sigmoid_problem, problem.dtype = (focal_dtype)5, FOCAL_E_VALUE, "dtype");
    REFUSES(sigmoid_problem, problem.dtype = (focal_dtype)-1, FOCAL_E_VALUE, "dtype");
    REFUSES(sigmoid_problem, problem.target_kind = (focal_target_kind)5, FOCAL_E_VALUE,
            "target_kind");
    REFUSES(sigmoid_problem, problem.target_kind = (focal_target_kind)-1, FOCAL_E_VALUE,
            "target_kind");
    REFUSES(sigmoid_problem, problem.tier = (focal_tier)(TIERS + 1), FOCAL_E_VALUE, "tier");
    REFUSES(sigmoid_problem, problem.tier = (focal_tier)-1, FOCAL_E_VALUE, "tier");
    REFUSES(sigmoid_problem, problem.alpha_mode = (focal_alpha_mode)4, FOCAL_E_VALUE,
            "alpha_mode");
    REFUSES(sigmoid_problem, problem.alpha_mode = (focal_alpha_mode)-1, FOCAL_E_VALUE,
            "alpha_mode");
    REFUSES(sigmoid_problem, problem.form = (focal_form)8, FOCAL_E_VALUE, "form");
    REFUSES(sigmoid_problem, problem.form = (focal_form)-1, FOCAL_E_VALUE, "form");
    REFUSES(sigmoid_problem, problem.targets_dtype = (focal_dtype)5, FOCAL_E_VALUE,
            "targets_dtype");
    REFUSES(sigmoid_problem, problem.loss_dtype = (focal_dtype)5, FOCAL_E_VALUE, "loss_dtype");
    REFUSES(sigmoid_problem, problem.gradient_dtype = (focal_dtype)-1, FOCAL_E_VALUE,
            "gradient_dtype");
    REFUSES(sigmoid_problem, problem.gamma_mode = (focal_gamma_mode)3, FOCAL_E_VALUE,
            "gamma_mode");
    REFUSES(sigmoid_problem, problem.smoothing_mode = (focal_smoothing_mode)2, FOCAL_E_VALUE,
            "smoothing_mode");
    REFUSES(sigmoid_problem, problem.normalizer = (focal_normalizer)6, FOCAL_E_VALUE,
            "normalizer");
    REFUSES(sigmoid_problem, problem.hessian_mode = (focal_hessian_mode)3, FOCAL_E_VALUE,
            "hessian_mode");
    REFUSES(sigmoid_problem, problem.outputs = 0, FOCAL_E_VALUE, "outputs");
    REFUSES(sigmoid_problem, problem.outputs = 64, FOCAL_E_VALUE, "outputs");
    REFUSES(sigmoid_problem, problem.outputs |= UINT32_C(1) << 31, FOCAL_E_VALUE, "outputs");
    REFUSES(label_problem, problem.label_flags = 4, FOCAL_E_VALUE, "label_flags");
    REFUSES(label_problem, problem.label_flags = UINT32_C(1) << 31, FOCAL_E_VALUE,
            "label_flags");
    for (size_t i = 0; i < TIERS; i++)
        ACCEPTS(sigmoid_problem, problem.tier = tier_at(i));
    for (uint32_t outputs = 1; outputs < 64; outputs++)
        ACCEPTS(sigmoid_problem, problem.outputs = outputs);
}

static void test_sizes(void) {
    REFUSES(sigmoid_problem, problem.outer = -1, FOCAL_E_VALUE, "outer");
    REFUSES(sigmoid_problem, problem.outer = INT64_MIN, FOCAL_E_VALUE, "outer");
    REFUSES(sigmoid_problem, problem.classes = 0, FOCAL_E_VALUE, "classes");
    REFUSES(softmax_problem, problem.classes = 0, FOCAL_E_VALUE, "classes");
    REFUSES(sigmoid_problem, problem.classes = -1, FOCAL_E_VALUE, "classes");
    REFUSES(sigmoid_problem, problem.classes = INT64_MIN, FOCAL_E_VALUE, "classes");
    REFUSES(sigmoid_problem, (problem.outer = 0, problem.classes = -1), FOCAL_E_VALUE,
            "classes");
    ACCEPTS(sigmoid_problem, problem.outer = 0);
    ACCEPTS(sigmoid_problem, (problem.outer = 0, problem.classes = 0));
    ACCEPTS(sigmoid_problem, problem.classes = 1);
    ACCEPTS(softmax_problem, problem.classes = 1);

    /* outer * classes, the same in bytes, and a stride instead of the classes. */
    REFUSES(sigmoid_problem, problem.outer = INT64_MAX, FOCAL_E_OVERFLOW, "logits_stride");
    REFUSES(sigmoid_problem, problem.classes = INT64_MAX, FOCAL_E_OVERFLOW, "logits_stride");
    REFUSES(sigmoid_problem, problem.outer = problem.classes = INT64_C(1) << 32,
            FOCAL_E_OVERFLOW, "logits_stride");
    REFUSES(sigmoid_problem, problem.outer = problem.classes = INT64_C(1) << 31,
            FOCAL_E_OVERFLOW, "logits_stride");
    REFUSES(label_problem, problem.outer = INT64_MAX, FOCAL_E_OVERFLOW, "outer");
    REFUSES(softmax_problem, (problem.outer = INT64_C(1) << 61, problem.classes = 1),
            FOCAL_E_OVERFLOW, "outer");
    REFUSES(softmax_problem, (problem.outer = INT64_C(1) << 60, problem.classes = 1),
            FOCAL_E_OVERFLOW, "outer"); /* the labels alone */
    REFUSES(sigmoid_problem, problem.logits_stride = INT64_MAX, FOCAL_E_OVERFLOW,
            "logits_stride");
    REFUSES(sigmoid_problem, problem.logits_stride = INT64_C(1) << 57, FOCAL_E_OVERFLOW,
            "logits_stride");
    REFUSES(sigmoid_problem, problem.targets_stride = INT64_C(1) << 57, FOCAL_E_OVERFLOW,
            "targets_stride");
    REFUSES(sigmoid_problem, problem.loss_stride = INT64_C(1) << 57, FOCAL_E_OVERFLOW,
            "loss_stride");
    REFUSES(sigmoid_problem, problem.gradient_stride = INT64_C(1) << 57, FOCAL_E_OVERFLOW,
            "gradient_stride");
}

static void test_strides(void) {
    REFUSES(sigmoid_problem, problem.logits_stride = 79, FOCAL_E_STRIDE, "logits_stride");
    REFUSES(sigmoid_problem, problem.targets_stride = 79, FOCAL_E_STRIDE, "targets_stride");
    REFUSES(sigmoid_problem, problem.loss_stride = 79, FOCAL_E_STRIDE, "loss_stride");
    REFUSES(sigmoid_problem, problem.gradient_stride = 79, FOCAL_E_STRIDE, "gradient_stride");
    REFUSES(softmax_problem, problem.logits_stride = 1, FOCAL_E_STRIDE, "logits_stride");
    REFUSES(softmax_problem, problem.gradient_stride = 1, FOCAL_E_STRIDE, "gradient_stride");
    REFUSES(sigmoid_problem, problem.logits_stride = -80, FOCAL_E_STRIDE, "logits_stride");
    REFUSES(sigmoid_problem, problem.targets_stride = -80, FOCAL_E_STRIDE, "targets_stride");
    REFUSES(sigmoid_problem, problem.loss_stride = -1, FOCAL_E_STRIDE, "loss_stride");
    REFUSES(sigmoid_problem, problem.gradient_stride = INT64_MIN, FOCAL_E_STRIDE,
            "gradient_stride");
    ACCEPTS(label_problem, problem.targets_stride = 1); /* labels have no stride */
    ACCEPTS(softmax_problem, problem.targets_stride = -1);
    ACCEPTS(sigmoid_problem, problem.logits_stride = 80);
    ACCEPTS(sigmoid_problem, problem.logits_stride = 81);
    ACCEPTS(sigmoid_problem, (problem.targets_stride = 96, problem.loss_stride = 1000,
                              problem.gradient_stride = 80));
}

static void test_gamma_and_alpha(void) {
    static const double bad_gammas[] = {NAN, INFINITY, -INFINITY, -1.0, -0x1p-1074, -1e300};
    static const double gammas[] = {0.0, -0.0, 0x1p-1074, 0.25, 0.5, 1.0,
                                    1.5, 2.0,  2.5,       3.0,  5.0};
    static const double bad_alphas[] = {NAN, INFINITY, -INFINITY, -0x1p-1074,
                                        0x1.0000000000001p0};
    static const double alphas[] = {0.0, -0.0, 0x1p-1074, 0.25, 1.0};
    for (size_t i = 0; i < sizeof bad_gammas / sizeof *bad_gammas; i++) {
        REFUSES(sigmoid_problem, problem.gamma = bad_gammas[i], FOCAL_E_VALUE, "gamma");
        REFUSES(softmax_problem, problem.gamma = bad_gammas[i], FOCAL_E_VALUE, "gamma");
    }
    for (size_t i = 0; i < sizeof gammas / sizeof *gammas; i++) {
        ACCEPTS(sigmoid_problem, problem.gamma = gammas[i]);
        ACCEPTS(softmax_problem, problem.gamma = gammas[i]);
    }
    ACCEPTS(sigmoid_problem, problem.gamma = 1000.0);
    REFUSES(sigmoid_problem, problem.gamma = 1000.5, FOCAL_E_VALUE, "gamma");
    REFUSES(softmax_problem, problem.gamma = 1e39, FOCAL_E_VALUE, "gamma");
    for (size_t i = 0; i < sizeof bad_alphas / sizeof *bad_alphas; i++) {
        REFUSES(sigmoid_problem,
                (problem.alpha_mode = FOCAL_ALPHA_SCALAR, problem.alpha = bad_alphas[i]),
                FOCAL_E_VALUE, "alpha");
        REFUSES(softmax_problem,
                (problem.alpha_mode = FOCAL_ALPHA_SCALAR, problem.alpha = bad_alphas[i]),
                FOCAL_E_VALUE, "alpha");
        ACCEPTS(sigmoid_problem, problem.alpha = bad_alphas[i]);
    }
    for (size_t i = 0; i < sizeof alphas / sizeof *alphas; i++)
        ACCEPTS(sigmoid_problem,
                (problem.alpha_mode = FOCAL_ALPHA_SCALAR, problem.alpha = alphas[i]));
}

static void test_combinations(void) {
    REFUSES(softmax_problem, problem.target_kind = FOCAL_TARGET_BINARY_U8, FOCAL_E_UNSUPPORTED,
            "target_kind");
    REFUSES(softmax_problem, problem.outputs = FOCAL_OUTPUT_LOSS, FOCAL_E_UNSUPPORTED,
            "outputs");
    REFUSES(softmax_problem, problem.outputs |= FOCAL_OUTPUT_LOSS, FOCAL_E_UNSUPPORTED,
            "outputs");
    REFUSES(softmax_problem, problem.label_flags = FOCAL_LABEL_BACKGROUND, FOCAL_E_UNSUPPORTED,
            "label_flags");
    REFUSES(sigmoid_problem, problem.label_flags = FOCAL_LABEL_BACKGROUND, FOCAL_E_UNSUPPORTED,
            "label_flags");
    REFUSES(sigmoid_problem,
            (problem.target_kind = FOCAL_TARGET_BINARY_U8,
             problem.label_flags = FOCAL_LABEL_BACKGROUND),
            FOCAL_E_UNSUPPORTED, "label_flags");
    static const int64_t backgrounds[] = {INT64_MIN, -1, 0, 79, 80, 255, 256, INT64_MAX};
    for (focal_target_kind kind = FOCAL_TARGET_LABEL_U8; kind <= FOCAL_TARGET_LABEL_I64;
         kind++) {
        ACCEPTS(softmax_problem, problem.target_kind = kind);
        ACCEPTS(label_problem, problem.target_kind = kind);
        for (size_t i = 0; i < sizeof backgrounds / sizeof *backgrounds; i++)
            ACCEPTS(label_problem,
                    (problem.target_kind = kind, problem.label_flags = FOCAL_LABEL_BACKGROUND,
                     problem.background = backgrounds[i]));
    }
    ACCEPTS(sigmoid_problem, problem.target_kind = FOCAL_TARGET_BINARY_U8);
}

static void *allocate(void *context, size_t size) {
    (void)context;
    return malloc(size);
}

static void release(void *context, void *memory) {
    (void)context;
    free(memory);
}

static void test_options(void) {
    REFUSES(sigmoid_problem, options.isa = "nonsense", FOCAL_E_ISA, "isa");
    REFUSES(sigmoid_problem, options.isa = "", FOCAL_E_ISA, "isa");
    REFUSES(sigmoid_problem, options.isa = "AVX2", FOCAL_E_ISA, "isa");
    REFUSES(sigmoid_problem, options.isa = "avx", FOCAL_E_ISA, "isa");
    size_t usable = 0, absent = 0;
    for (size_t i = 0; i < focal_isa_count(); i++) {
        focal_isa_info info = {.struct_size = sizeof info};
        CHECK_STATUS(focal_isa_get(i, &info), FOCAL_OK);
        if (info.usable)
            ACCEPTS(sigmoid_problem, options.isa = info.name);
        else
            REFUSES(sigmoid_problem, options.isa = info.name, FOCAL_E_ISA, "isa");
        usable += info.usable != 0;
        absent += info.usable == 0;
    }
    CHECK(usable >= 1 && absent >= 1); /* no CPU has both NEON and AVX2 */
    ACCEPTS(sigmoid_problem, options.unroll = 0);
    ACCEPTS(sigmoid_problem, options.unroll = 16);
    ACCEPTS(sigmoid_problem, options.unroll = 32);
    REFUSES(sigmoid_problem, options.unroll = 1, FOCAL_E_UNSUPPORTED, "unroll");
    REFUSES(sigmoid_problem, options.unroll = 48, FOCAL_E_UNSUPPORTED, "unroll");
    REFUSES(sigmoid_problem, options.unroll = UINT32_MAX, FOCAL_E_UNSUPPORTED, "unroll");
    ACCEPTS(sigmoid_problem, options.grain = 1);
    ACCEPTS(sigmoid_problem, options.grain = UINT32_MAX);
    REFUSES(sigmoid_problem, options.allocate = allocate, FOCAL_E_NULL, "release");
    REFUSES(sigmoid_problem, options.release = release, FOCAL_E_NULL, "allocate");
    ACCEPTS(sigmoid_problem, (options.allocate = allocate, options.release = release));
}

/* Tasks of 32768 to 524288 elements in whole blocks, sixteen for each thread where that leaves so many;
 * 256 in all for threads that nobody named. */
static void test_tasks(void) {
    static const struct {
        focal_op op;
        int64_t outer, classes;
        uint32_t threads, grain;
        size_t tasks;
    } cases[] = {
        {FOCAL_SIGMOID, 209716, 80, 2, 0, 33}, /* 4113 blocks of 51 rows, 128 to a task */
        {FOCAL_SIGMOID, 209716, 80, 4, 0, 65},
        {FOCAL_SIGMOID, 209716, 80, 64, 0, 515}, /* 8 to a task: not less than 32768 elements */
        {FOCAL_SIGMOID, 209716, 80, UINT32_MAX, 0, 515},
        {FOCAL_SIGMOID, 209716, 80, 0, 0, 258}, /* 16 to a task */
        {FOCAL_SIGMOID, 209716, 80, 1, 0, 258},
        {FOCAL_SIGMOID, 209716, 80, 2, 5, 823},
        {FOCAL_SIGMOID, 1 << 30, 80, 2, 0, 164483}, /* 128 to a task, not more */
        {FOCAL_SIGMOID, 1000, 80, 2, 0, 3},
        {FOCAL_SIGMOID, 1, 80, 2, 0, 1},
        {FOCAL_SIGMOID, 100, 200000, 2, 0, 39},  /* 49 blocks a row, 128 to a task */
        {FOCAL_SOFTMAX, 512, 128256, 2, 0, 128}, /* a block a row, 4 to a task */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        focal_problem problem = problem_of(cases[i].op, FOCAL_TARGET_LABEL_I32, cases[i].outer,
                                           cases[i].classes, 2.0);
        focal_options options;
        focal_options_init(&options);
        options.threads = cases[i].threads;
        options.grain = cases[i].grain;
        options.tune_flags = FOCAL_TUNE_OFF;
        focal_plan *plan = NULL;
        CHECK_STATUS(focal_plan_create(&plan, &problem, &options, NULL), FOCAL_OK);
        CHECK_CASE(focal_plan_tasks(plan) == cases[i].tasks, "case %zu: %zu tasks", i,
                   focal_plan_tasks(plan));
        focal_plan_destroy(plan);
    }
}

static void test_describe(void) {
    const focal_problem problem = sigmoid_problem();
    focal_plan *plan = NULL;
    CHECK_STATUS(focal_plan_create(&plan, &problem, NULL, NULL), FOCAL_OK);
    char whole[1024], part[1024];
    const size_t length = focal_plan_describe(plan, whole, sizeof whole);
    CHECK(length > 0 && length < sizeof whole && strlen(whole) == length);
    CHECK(strchr(whole, '\n') == NULL);
    CHECK_CASE(strstr(whole, "focal_f32_sigmoid_dense_both_g2_fast__") != NULL, "%s", whole);
    CHECK(focal_plan_describe(plan, NULL, 0) == length);
    for (size_t capacity = 0; capacity <= length + 2; capacity++) {
        memset(part, '#', sizeof part);
        const size_t written = capacity < length + 1 ? capacity : length + 1;
        const int whole_length = focal_plan_describe(plan, part, capacity) == length;
        const int cut = written == 0 ||
                        (memcmp(part, whole, written - 1) == 0 && part[written - 1] == '\0');
        CHECK_CASE(whole_length && cut && part[written] == '#', "capacity %zu", capacity);
    }
    focal_plan_destroy(plan);
}

static void test_texts(void) {
#define STATUS_TEXTS(name, value, text)                                                        \
    CHECK((value) == (int)(name));                                                             \
    CHECK_TEXT(focal_status_name(name), #name);                                                \
    CHECK_TEXT(focal_status_text(name), text);
    FOCAL_STATUS_LIST(STATUS_TEXTS)
#undef STATUS_TEXTS
#define TIER_TEXTS(name, value, text, description) CHECK_TEXT(focal_tier_name(name), text);
    FOCAL_TIER_LIST(TIER_TEXTS)
#undef TIER_TEXTS
    CHECK_TEXT(focal_tier_name(FOCAL_TIER_DEFAULT), "fast");
    CHECK_TEXT(focal_tier_name((focal_tier)-1), "unknown tier");
    CHECK_TEXT(focal_status_name((focal_status)1), "unknown status");
    CHECK_TEXT(focal_status_text((focal_status)-1000), "unknown status");
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", FOCAL_VERSION_MAJOR, FOCAL_VERSION_MINOR,
             FOCAL_VERSION_PATCH);
    CHECK_TEXT(focal_version(), version);
}

int main(void) {
    test_null_and_struct_size();
    test_versions();
    test_enums();
    test_sizes();
    test_strides();
    test_gamma_and_alpha();
    test_combinations();
    test_options();
    test_tasks();
    test_describe();
    test_texts();
    return check_report();
}
