/* Softmax rows at the border of what tier fast sums without a maximum (n = round(8 x / ln 2) within
 * -512 ... 511): logits on either side of it, one that leaves it late in a long row, masked classes, and
 * gradients in place of the logits. Results within the bound of long double, the same bits on
 * every ISA row. */
#include "check.h"
#include "evaluate.h"
#include "oracle_ld.h"
#include "random.h"
#include "ulp.h"

enum { CLASSES_MOST = 2200 };
static float logits[CLASSES_MOST], gradient[CLASSES_MOST], in_place[CLASSES_MOST];
static float reference[CLASSES_MOST];
static long double exact[CLASSES_MOST];

typedef struct {
    const char *isa;
    size_t classes;
    uint32_t label;
    double gamma;
    const char *what;
} row_case;

static double run(row_case row, const char *isa, const float *from, float *to, float *loss) {
    return evaluate((evaluation){.on = {isa, FOCAL_TIER_FAST},
                                 .op = FOCAL_SOFTMAX,
                                 .kind = FOCAL_TARGET_LABEL_I32,
                                 .outer = 1,
                                 .classes = row.classes,
                                 .gamma = row.gamma,
                                 .alpha = NAN,
                                 .logits = from,
                                 .targets = &row.label,
                                 .row_loss = loss,
                                 .gradient = to});
}

static void check(row_case row) {
    float loss, other_loss;
    const oracle_row expected =
        oracle_softmax(logits, row.classes, row.label, row.gamma, NAN, exact);
    run(row, row.isa, logits, gradient, &loss);
    double most = oracle_error(loss, expected.loss, expected.loss);
    CHECK_CASE(most <= bound_ulp(SOFTMAX_LABELS, FOCAL_TIER_FAST, row.gamma, expected.loss),
               "row %s, %s, %zu classes, label %u, gamma %g: loss off by %g ULP", row.isa,
               row.what, row.classes, (unsigned)row.label, row.gamma, most);
    for (size_t c = 0; c < row.classes; c++) {
        const double error = oracle_error(gradient[c], exact[c], exact[c]);
        CHECK_CASE(error <= bound_ulp(SOFTMAX_LABELS, FOCAL_TIER_FAST, row.gamma, exact[c]),
                   "row %s, %s, %zu classes, label %u, gamma %g: gradient %zu off by %g ULP",
                   row.isa, row.what, row.classes, (unsigned)row.label, row.gamma, c, error);
    }
    memcpy(in_place, logits, sizeof in_place);
    run(row, row.isa, in_place, in_place, &other_loss);
    int same = ulp_bits_f32(loss) == ulp_bits_f32(other_loss) &&
               memcmp(in_place, gradient, row.classes * sizeof *gradient) == 0;
    CHECK_CASE(same, "row %s, %s: other bits in place", row.isa, row.what);
    if (strcmp(row.isa, "scalar") != 0) {
        run(row, "scalarfma", logits, reference, &other_loss);
        same = ulp_bits_f32(loss) == ulp_bits_f32(other_loss) &&
               memcmp(reference, gradient, row.classes * sizeof *gradient) == 0;
        CHECK_CASE(same, "row %s, %s: other bits than scalarfma's", row.isa, row.what);
    }
}

static void fill(random_source *source, size_t classes, float width) {
    for (size_t c = 0; c < classes; c++)
        logits[c] = width * ((float)random_below(source, 1U << 24) * 0x1p-23F - 1.0F);
}

static void check_label(row_case row, size_t label) {
    row.label = (uint32_t)label;
    if (logits[label] > -HUGE_VALF) /* a masked label costs infinity */
        check(row);
}

/* Labels in the first, a middle and the last run of 256. */
static void check_labels(row_case row, double gamma) {
    row.gamma = gamma;
    check_label(row, 0);
    check_label(row, row.classes / 2);
    check_label(row, row.classes - 1);
}

/* And at the ends of runs; sums are widened every 1024. */
static void check_more_labels(row_case row, double gamma) {
    const size_t labels[] = {255, 256, 1023, 1024};
    check_labels(row, gamma);
    row.gamma = gamma;
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        if (labels[i] < row.classes)
            check_label(row, labels[i]);
}

static void check_row(const char *isa) {
    /* n is 511 and 512, -512 and -513 on the two sides: (n + 1/2) ln 2 / 8. */
    static const float borders[] = {44.31F,  44.32F,     -44.40F, -44.41F,
                                    -100.0F, -HUGE_VALF, 90.0F};
    static const size_t sizes[] = {2,   17,   80,   255,  256,  257,  300,
                                   512, 1000, 1023, 1024, 1025, 2049, 2200};
    random_source source = random_named(11, "moderate", 8);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const size_t classes = sizes[s];
        row_case row = {.isa = isa, .classes = classes, .what = "wide"};
        fill(&source, classes, 44.3F);
        check_more_labels(row, 2.0);
        for (size_t b = 0; b < sizeof borders / sizeof *borders; b++) {
            const size_t places[] = {0, classes / 2, classes - 1};
            row.what = "one at the border";
            for (int i = 0; i < 3; i++) {
                fill(&source, classes, 4.0F);
                logits[places[i]] = borders[b];
                check_labels(row, 0.5 * random_below(&source, 11));
            }
        }
        row.what = "all at the border";
        for (size_t c = 0; c < classes; c++)
            logits[c] = c & 1 ? 44.31F : -44.40F;
        check_labels(row, 2.0);
        row.what = "all equal";
        for (size_t c = 0; c < classes; c++)
            logits[c] = 1.25F;
        check_labels(row, 5.0);
        row.what = "a label that outweighs all";
        for (size_t c = 0; c < classes; c++)
            logits[c] = -44.0F;
        logits[classes - 1] = 44.0F;
        check_labels(row, 1.0);
    }
}

int main(void) {
    size_t index = 0;
    for (const char *isa; (isa = next_isa(&index)) != NULL;) {
        const unsigned passed = check_passed, failed = check_failed;
        check_row(isa);
        printf("row %s: %u passed, %u failed\n", isa, check_passed - passed,
               check_failed - failed);
    }
    return check_report();
}
