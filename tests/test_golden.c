/* The golden values of tests/data on every usable ISA row in every tier: losses and gradients
 * against exact ones, made with mpmath, and the largest errors by tier, gamma and kind of target.
 * Usage: test_golden FOLDER. The bounds stand in evaluate.h; gradients of soft targets are
 * measured at the oracle's scale, the sum of the magnitudes of their terms. */
#include "check.h"
#include "evaluate.h"
#include "oracle_ld.h"

enum { POINTS_MAX = 4096, CLASSES_MAX = 128, LINE_MAX_BYTES = 16384, GAMMAS_MAX = 16 };

/* How far the long double oracle may be from the golden double: its own error (larger where
 * long double is double), and the rounding of the golden value. */
#define ORACLE_TOLERANCE (LDBL_MANT_DIG >= 64 ? 0x1p-50L : 0x1p-40L)

typedef struct {
    double gamma, alpha, loss, gradient;
    float logit, target;
} sigmoid_point;

typedef struct {
    double gamma, alpha, loss;
    size_t classes, label;
    float logits[CLASSES_MAX];
    double gradients[CLASSES_MAX];
} softmax_point;

enum { HARD_DENSE, HARD_BINARY, SOFT_DENSE, SOFTMAX_LABEL, KINDS };
static const char *const kind_names[KINDS] = {"0/1 dense", "0/1 binary", "soft dense",
                                              "softmax"};
static const bound_kind kind_bounds[KINDS] = {HARD_TARGETS, HARD_TARGETS, SOFT_TARGETS,
                                              SOFTMAX_LABELS};

/* The largest errors: ULP where the scale is normal, 2^-149 where it is not. */
typedef struct {
    double loss, gradient, subnormal;
} worst_errors;

static sigmoid_point sigmoid_points[POINTS_MAX];
static size_t sigmoid_count;
static double gammas[GAMMAS_MAX];
static size_t gamma_count;

static size_t gamma_index(double gamma) {
    size_t i = 0;
    while (i < gamma_count && gammas[i] != gamma)
        i++;
    if (i == GAMMAS_MAX) {
        puts("FAILED: more gammas than GAMMAS_MAX");
        exit(1);
    }
    if (i == gamma_count)
        gammas[gamma_count++] = gamma;
    return i;
}

static void note_error(double *worst, double *subnormal, double error, long double scale) {
    double *const most = fabsl(scale) < (long double)FLT_MIN ? subnormal : worst;
    if (!(error <= *most))
        *most = error;
}

/* ---- Reading ---- */

static FILE *open_data(const char *folder, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *const file = fopen(path, "r");
    if (file == NULL) {
        printf("FAILED: cannot open %s\n", path);
        exit(1);
    }
    return file;
}

/* The next number of a line; a missing one fails the program, as a cut file must not pass. */
static double number(char **cursor) {
    char *end;
    const double value = strtod(*cursor, &end);
    if (end == *cursor) {
        printf("FAILED: a number is missing before \"%.40s\"\n", *cursor);
        exit(1);
    }
    *cursor = end;
    return value;
}

/* The next line's fields after `word`, or NULL at the end of the file. */
static char *next_line(FILE *file, const char *word, char *line) {
    while (fgets(line, LINE_MAX_BYTES, file)) {
        if (line[0] == '#')
            continue;
        if (strncmp(line, word, strlen(word)) != 0 || strchr(line, '\n') == NULL) {
            printf("FAILED: unexpected line \"%.40s\"\n", line);
            exit(1);
        }
        return line + strlen(word);
    }
    return NULL;
}

static void read_sigmoid(const char *folder) {
    static char line[LINE_MAX_BYTES];
    FILE *const file = open_data(folder, "golden_sigmoid.txt");
    for (char *cursor; (cursor = next_line(file, "sigmoid ", line)) != NULL;) {
        if (sigmoid_count == POINTS_MAX) {
            puts("FAILED: more points than POINTS_MAX");
            exit(1);
        }
        sigmoid_point *const point = &sigmoid_points[sigmoid_count++];
        point->gamma = number(&cursor);
        point->alpha = number(&cursor);
        point->logit = (float)number(&cursor);
        point->target = (float)number(&cursor);
        point->loss = number(&cursor);
        point->gradient = number(&cursor);
    }
    fclose(file);
}

static int read_softmax(FILE *file, softmax_point *point) {
    static char line[LINE_MAX_BYTES];
    char *cursor = next_line(file, "softmax ", line);
    if (cursor == NULL)
        return 0;
    point->gamma = number(&cursor);
    point->alpha = number(&cursor);
    point->classes = (size_t)number(&cursor);
    point->label = (size_t)number(&cursor);
    if (point->classes > CLASSES_MAX) {
        puts("FAILED: more classes than CLASSES_MAX");
        exit(1);
    }
    for (size_t c = 0; c < point->classes; c++)
        point->logits[c] = (float)number(&cursor);
    point->loss = number(&cursor);
    for (size_t c = 0; c < point->classes; c++)
        point->gradients[c] = number(&cursor);
    return 1;
}

/* ---- Checking ---- */

static int close_to_golden(long double oracle, double golden, long double scale) {
    return fabsl(oracle - (long double)golden) <= ORACLE_TOLERANCE * fabsl(scale) + 0x1p-1074L;
}

/* The oracle of the property tests is only worth something if it agrees here. */
static void check_oracle_point(const sigmoid_point *point) {
    const oracle_point exact =
        oracle_sigmoid((double)point->logit, (double)point->target, point->gamma, point->alpha);
    CHECK_CASE(
        close_to_golden(exact.loss, point->loss, exact.loss) &&
            close_to_golden(exact.gradient, point->gradient, exact.gradient_scale),
        "oracle at gamma %a alpha %a logit %a target %a: loss %La gradient %La, golden %a %a",
        point->gamma, point->alpha, (double)point->logit, (double)point->target, exact.loss,
        exact.gradient, point->loss, point->gradient);
}

static void check_oracle_row(const softmax_point *point) {
    long double gradients[CLASSES_MAX];
    const oracle_row exact = oracle_softmax(point->logits, point->classes, point->label,
                                            point->gamma, point->alpha, gradients);
    int close = close_to_golden(exact.loss, point->loss, exact.loss);
    for (size_t c = 0; c < point->classes; c++)
        close = close && close_to_golden(gradients[c], point->gradients[c], gradients[c]);
    CHECK_CASE(close, "oracle at gamma %a alpha %a, %zu classes, label %zu, first logit %a",
               point->gamma, point->alpha, point->classes, point->label,
               (double)point->logits[0]);
}

/* One result; `extra` is what the bound has besides ULP of the scale. */
static void check_result(variant on, int kind, double gamma, const char *where,
                         const char *quantity, float got, double exact, long double scale,
                         double extra, worst_errors *worst) {
    const double error = oracle_error(got, exact, scale);
    const double bound = bound_ulp(kind_bounds[kind], on.tier, gamma, scale);
    CHECK_CASE(error <= bound + extra / oracle_ulp(scale),
               "%s, tier %s, %s: gamma %a %s: %s %a, exact %a, %g ULP", on.isa,
               focal_tier_name(on.tier), kind_names[kind], gamma, where, quantity, (double)got,
               exact, error);
    if (extra <= 0.1 * oracle_ulp(scale))
        note_error(quantity[0] == 'l' ? &worst->loss : &worst->gradient, &worst->subnormal,
                   error, scale);
}

static void check_sigmoid_point(variant on, int kind, const sigmoid_point *point, float loss,
                                float gradient, worst_errors *worst) {
    char where[120];
    snprintf(where, sizeof where, "alpha %a logit %a target %a", point->alpha,
             (double)point->logit, (double)point->target);
    const long double scale =
        oracle_sigmoid((double)point->logit, (double)point->target, point->gamma, point->alpha)
            .gradient_scale;
    check_result(on, kind, point->gamma, where, "loss", loss, point->loss, point->loss,
                 kind == SOFT_DENSE ? soft_loss_extra(on.tier, (double)point->logit) : 0.0,
                 worst);
    check_result(on, kind, point->gamma, where, "gradient", gradient, point->gradient, scale,
                 0.0, worst);
}

/* Points first ... first + count - 1 share gamma and alpha: one execution per kind of target.
 */
static void check_sigmoid_run(variant on, size_t first, size_t count,
                              worst_errors worst[KINDS]) {
    static float logits[POINTS_MAX], dense[POINTS_MAX], loss[POINTS_MAX], gradient[POINTS_MAX];
    static uint8_t binary[POINTS_MAX];
    const sigmoid_point *const points = sigmoid_points + first;
    for (size_t i = 0; i < count; i++) {
        logits[i] = points[i].logit;
        dense[i] = points[i].target;
        binary[i] = points[i].target == 1.0F;
    }
    evaluation run = {.on = on,
                      .outer = count,
                      .classes = 1,
                      .gamma = points->gamma,
                      .alpha = points->alpha,
                      .logits = logits,
                      .targets = dense,
                      .loss = loss,
                      .gradient = gradient};
    evaluate(run);
    for (size_t i = 0; i < count; i++) {
        const int kind = dense[i] == 0.0F || dense[i] == 1.0F ? HARD_DENSE : SOFT_DENSE;
        check_sigmoid_point(on, kind, &points[i], loss[i], gradient[i], &worst[kind]);
    }
    run.kind = FOCAL_TARGET_BINARY_U8;
    run.targets = binary;
    evaluate(run);
    for (size_t i = 0; i < count; i++)
        if (dense[i] == 0.0F || dense[i] == 1.0F)
            check_sigmoid_point(on, HARD_BINARY, &points[i], loss[i], gradient[i],
                                &worst[HARD_BINARY]);
}

static void check_softmax_row(variant on, const softmax_point *point, worst_errors *worst) {
    float loss, gradient[CLASSES_MAX];
    const int32_t label = (int32_t)point->label;
    evaluate((evaluation){.on = on,
                          .op = FOCAL_SOFTMAX,
                          .kind = FOCAL_TARGET_LABEL_I32,
                          .outer = 1,
                          .classes = point->classes,
                          .gamma = point->gamma,
                          .alpha = point->alpha,
                          .logits = point->logits,
                          .targets = &label,
                          .row_loss = &loss,
                          .gradient = gradient});
    char where[120];
    snprintf(where, sizeof where, "alpha %a, %zu classes, label %zu, first logit %a",
             point->alpha, point->classes, point->label, (double)point->logits[0]);
    const oracle_row exact = oracle_softmax(point->logits, point->classes, point->label,
                                            point->gamma, point->alpha, NULL);
    const double off = softmax_extra(on.tier, exact.subnormal_others, exact.not_p);
    check_result(on, SOFTMAX_LABEL, point->gamma, where, "loss", loss, point->loss, point->loss,
                 off * (point->gamma + 1.0) * point->loss, worst);
    for (size_t c = 0; c < point->classes; c++) {
        const double power = c == point->label ? point->gamma + 1.0 : point->gamma;
        const double slope = point->gradients[c];
        check_result(on, SOFTMAX_LABEL, point->gamma, where, "gradient", gradient[c], slope,
                     slope, off * power * fabs(slope), worst);
    }
}

static worst_errors worst[TIERS][GAMMAS_MAX][KINDS];

static void check_variant(variant on, const char *folder, worst_errors errors[][KINDS]) {
    for (size_t first = 0, end; first < sigmoid_count; first = end) {
        const sigmoid_point *const point = &sigmoid_points[first];
        for (end = first; end < sigmoid_count; end++)
            if (sigmoid_points[end].gamma != point->gamma ||
                memcmp(&sigmoid_points[end].alpha, &point->alpha, sizeof point->alpha) != 0)
                break;
        check_sigmoid_run(on, first, end - first, errors[gamma_index(point->gamma)]);
    }
    static softmax_point row;
    FILE *const file = open_data(folder, "golden_softmax.txt");
    while (read_softmax(file, &row))
        check_softmax_row(on, &row, &errors[gamma_index(row.gamma)][SOFTMAX_LABEL]);
    fclose(file);
}

static void print_worst(int tier) {
    for (size_t g = 0; g < gamma_count; g++)
        for (int kind = 0; kind < KINDS; kind++) {
            const worst_errors *const errors = &worst[tier][g][kind];
            printf("%-8s gamma %-4.3g %-11s largest error: loss %5.2f ULP, gradient %5.2f ULP "
                   "(bound %g), subnormal %4.2f * 2^-149\n",
                   focal_tier_name(all_tiers[tier]), gammas[g], kind_names[kind], errors->loss,
                   errors->gradient,
                   bound_ulp(kind_bounds[kind], all_tiers[tier], gammas[g], 1.0L),
                   errors->subnormal);
        }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        puts("usage: test_golden FOLDER (tests/data)");
        return 2;
    }
    read_sigmoid(argv[1]);
    CHECK_CASE(sigmoid_count > 0, "no points in golden_sigmoid.txt");
    for (size_t i = 0; i < sigmoid_count; i++)
        check_oracle_point(&sigmoid_points[i]);
    static softmax_point row;
    size_t rows = 0;
    FILE *const file = open_data(argv[1], "golden_softmax.txt");
    for (; read_softmax(file, &row); rows++)
        check_oracle_row(&row);
    fclose(file);
    CHECK_CASE(rows > 0, "no rows in golden_softmax.txt");
    size_t index = 0;
    for (const char *isa; (isa = next_isa(&index)) != NULL;) {
        const unsigned passed = check_passed, failed = check_failed;
        for (int tier = 0; tier < TIERS; tier++)
            check_variant((variant){isa, all_tiers[tier]}, argv[1], worst[tier]);
        printf("row %s: %u passed, %u failed\n", isa, check_passed - passed,
               check_failed - failed);
    }
    for (int tier = 0; tier < TIERS; tier++)
        print_worst(tier);
    return check_report();
}
