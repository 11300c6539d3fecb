/* Rows longer than a kernel's run and than a block, through the form kernels, against the long
 * double oracle. */
#include "form_props.h"
#include "oracle_ld.h"

enum { WIDE_ROWS = 2, WIDEST = 5000, LABELS = 3 };

/* Of results that are sums of many terms in double, and of the oracle itself where long double is
 * not longer. */
#define WIDE_BOUND (LDBL_MANT_DIG >= 64 ? 0x1p-44L : 0x1p-38L)

static double logits[WIDE_ROWS * WIDEST], targets[WIDE_ROWS * WIDEST];
static double gradient[WIDE_ROWS * WIDEST], row_loss[WIDE_ROWS];
static float single[WIDEST];
static long double exact[WIDEST], size[WIDEST], of_label[WIDEST];

static const int64_t *labels_of(int64_t classes) {
    static int64_t labels[LABELS];
    labels[0] = 0;
    labels[1] = classes / 2;
    labels[2] = classes - 1;
    return labels;
}

static void draw_rows(focal_op op, int64_t classes) {
    for (int64_t i = 0; i < WIDE_ROWS * classes; i++) {
        logits[i] = (double)(float)draw_logit();
        targets[i] = op == FOCAL_SIGMOID ? (double)(i % 3) / 2.0 : 0.0;
    }
    for (int row = 0; op == FOCAL_SOFTMAX && row < WIDE_ROWS; row++)
        for (int label = 0; label < LABELS; label++)
            targets[row * classes + labels_of(classes)[label]] = 0.25 * (label + 1);
}

static double execute_rows(focal_op op, int64_t classes, double gamma) {
    focal_problem problem;
    focal_problem_init(&problem);
    problem.op = op;
    problem.dtype = FOCAL_F64;
    problem.tier = on.tier;
    problem.outer = WIDE_ROWS;
    problem.classes = classes;
    problem.gamma = gamma;
    problem.outputs = FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_ROW_LOSS | FOCAL_OUTPUT_GRADIENT;
    focal_options options;
    focal_options_init(&options);
    options.isa = on.isa;
    focal_buffers buffers;
    focal_buffers_init(&buffers);
    buffers.logits = logits;
    buffers.targets = targets;
    buffers.row_loss = row_loss;
    buffers.gradient = gradient;
    focal_plan *plan = NULL;
    focal_sums sums = FOCAL_SUMS_INIT;
    focal_error error = FOCAL_ERROR_INIT;
    const int good = focal_plan_create(&plan, &problem, &options, &error) == FOCAL_OK &&
                     focal_plan_execute(plan, &buffers, NULL, &sums, &error) == FOCAL_OK;
    focal_plan_destroy(plan);
    EXPECT(good, "wide rows on %s: %s", on.isa, error.message);
    return sums.loss;
}

/* The exact loss of a row; its gradient into `exact`, the magnitudes of its terms into `size`. */
static long double exact_row(focal_op op, int64_t row, int64_t classes, double gamma) {
    long double loss = 0.0L;
    if (op == FOCAL_SIGMOID) {
        for (int64_t c = 0; c < classes; c++) {
            const int64_t i = row * classes + c;
            const oracle_point p = oracle_sigmoid(logits[i], targets[i], gamma, NAN);
            loss += p.loss;
            exact[c] = p.gradient;
            size[c] = p.gradient_scale;
        }
        return loss;
    }
    for (int64_t c = 0; c < classes; c++) {
        single[c] = (float)logits[row * classes + c];
        exact[c] = size[c] = 0.0L;
    }
    /* Linear in the targets. */
    for (int label = 0; label < LABELS; label++) {
        const int64_t c = labels_of(classes)[label];
        const long double t = (long double)targets[row * classes + c];
        loss +=
            t * oracle_softmax(single, (size_t)classes, (size_t)c, gamma, NAN, of_label).loss;
        for (int64_t k = 0; k < classes; k++) {
            exact[k] += t * of_label[k];
            size[k] += t * fabsl(of_label[k]);
        }
    }
    return loss;
}

void test_wide_rows(focal_op op, int64_t classes, double gamma) {
    draw_rows(op, classes);
    const double sum = execute_rows(op, classes, gamma);
    long double total = 0.0L;
    for (int64_t row = 0; row < WIDE_ROWS; row++) {
        const long double loss = exact_row(op, row, classes, gamma);
        total += loss;
        EXPECT(fabsl((long double)row_loss[row] - loss) <= WIDE_BOUND * loss,
               "%lld classes, gamma %g on %s: row loss %.17g, exact %.20Lg", (long long)classes,
               gamma, on.isa, row_loss[row], loss);
        for (int64_t c = 0; c < classes; c++)
            EXPECT(fabsl((long double)gradient[row * classes + c] - exact[c]) <=
                       WIDE_BOUND * size[c] + 0x1p-1060L,
                   "%lld classes, gamma %g on %s: gradient[%lld] %.17g, exact %.20Lg",
                   (long long)classes, gamma, on.isa, (long long)c, gradient[row * classes + c],
                   exact[c]);
    }
    EXPECT(fabsl((long double)sum - total) <= WIDE_BOUND * total,
           "%lld classes, gamma %g on %s: sum %.17g, exact %.20Lg", (long long)classes, gamma,
           on.isa, sum, total);
}
