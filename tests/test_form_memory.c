/* No temporary of the size of the logits, in any form: the peak of the process's memory over the
 * loss of 600,000 x 80 logits is these logits and less than 2 MiB. */
#include <stdlib.h>
#include <sys/resource.h>

#include "check.h"

enum { ROWS = 600000, CLASSES = 80 };
static const long limit_kib = 2048;

/* What the library asks for, and the most of it at a time. */
typedef struct ledger {
    size_t now, most;
} ledger;

static void *ledger_allocate(void *context, size_t size) {
    ledger *const l = context;
    size_t *const memory = malloc(size + 16);
    if (memory == NULL)
        return NULL;
    *memory = size;
    l->now += size;
    l->most = l->now > l->most ? l->now : l->most;
    return memory + 16 / sizeof *memory;
}

static void ledger_release(void *context, void *memory) {
    if (memory == NULL)
        return;
    size_t *const start = (size_t *)memory - 16 / sizeof(size_t);
    ((ledger *)context)->now -= *start;
    free(start);
}

static long peak_kib(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static void check_problem(const char *what, const focal_problem *problem,
                          const focal_buffers *buffers) {
    ledger book = {0, 0};
    focal_options options;
    focal_options_init(&options);
    options.allocator_context = &book;
    options.allocate = ledger_allocate;
    options.release = ledger_release;
    focal_plan *plan = NULL;
    focal_error error = FOCAL_ERROR_INIT;
    focal_sums sums = FOCAL_SUMS_INIT;
    const long before = peak_kib();
    int good = focal_plan_create(&plan, problem, &options, &error) == FOCAL_OK &&
               focal_plan_execute(plan, buffers, NULL, &sums, &error) == FOCAL_OK;
    focal_plan_destroy(plan);
    CHECK_CASE(good && sums.rows == ROWS && sums.loss > 0.0, "%s: %s, loss %g", what,
               error.message, sums.loss);
    const long grown = peak_kib() - before;
    printf("%-40s peak grows by %ld KiB, the library asks for %zu bytes\n", what, grown,
           book.most);
    CHECK_CASE(grown < limit_kib && book.most < (size_t)limit_kib * 1024,
               "%s: peak grows by %ld KiB, of that %zu bytes the library's", what, grown,
               book.most);
    CHECK_CASE(book.now == 0, "%s: %zu bytes are not released", what, book.now);
}

int main(void) {
    float *const logits = malloc(sizeof(float) * ROWS * CLASSES);
    int32_t *const labels = malloc(sizeof(int32_t) * ROWS);
    float *const weights = malloc(sizeof(float) * ROWS);
    if (logits == NULL || labels == NULL || weights == NULL)
        return puts("out of memory"), 1;
    for (size_t i = 0; i < (size_t)ROWS * CLASSES; i++)
        logits[i] = (float)((i * 2654435761U >> 7) % 1024) / 64.0F - 12.0F;
    for (int row = 0; row < ROWS; row++) {
        labels[row] = row % 16 == 0 ? row % CLASSES : CLASSES;
        weights[row] = 1.0F;
    }
    focal_problem problem;
    focal_problem_init(&problem);
    problem.outer = ROWS;
    problem.classes = CLASSES;
    problem.target_kind = FOCAL_TARGET_LABEL_I32;
    problem.label_flags = FOCAL_LABEL_BACKGROUND;
    problem.background = CLASSES;
    problem.gamma = 2.0;
    problem.alpha_mode = FOCAL_ALPHA_SCALAR;
    problem.alpha = 0.25;
    problem.outputs = FOCAL_OUTPUT_SUM;
    focal_buffers buffers;
    focal_buffers_init(&buffers);
    buffers.logits = logits;
    buffers.targets = labels;
    check_problem("sigmoid", &problem, &buffers);
    focal_buffers weighted = buffers;
    weighted.row_weight = weights;
    check_problem("sigmoid, weighted", &problem, &weighted);
    focal_problem form = problem;
    form.form = FOCAL_FORM_CONFIDENCE;
    form.smoothing = 0.1;
    form.normalizer = FOCAL_NORMALIZER_POSITIVES;
    check_problem("confidence, smoothed, over positives", &form, &buffers);
    /* 300 images of 2000 places with the classes in the middle. */
    focal_problem image = problem;
    image.outer = 300;
    image.inner = ROWS / 300;
    check_problem("sigmoid, classes in the middle", &image, &buffers);
    focal_problem softmax = problem;
    softmax.op = FOCAL_SOFTMAX;
    softmax.label_flags = FOCAL_LABEL_IGNORE;
    softmax.ignore = -1;
    for (int row = 0; row < ROWS; row++)
        labels[row] = row % CLASSES;
    check_problem("softmax", &softmax, &buffers);
    check_problem("softmax, weighted", &softmax, &weighted);
    focal_problem other = softmax;
    other.outer = 300;
    other.inner = ROWS / 300;
    other.smoothing = 0.1;
    check_problem("softmax, smoothed, classes in the middle", &other, &buffers);
    free(logits);
    free(labels);
    free(weights);
    return check_report();
}
