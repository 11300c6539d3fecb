/* Layouts: padding, alignment, in-place gradients, and groupings of tasks leave every bit as it
 * is, and padding untouched. */
#include "fixture.h"

typedef struct shape {
    int64_t outer, classes;
    int64_t logits, targets, loss, gradient; /* strides */
} shape;

static const shape padded_shapes[] = {
    {120, 80, 96, 96, 96, 96},
    {120, 80, 81, 0, 0, 0},
    {120, 80, 0, 83, 0, 0},
    {120, 80, 0, 0, 95, 0},
    {120, 80, 0, 0, 0, 177},
    {1000, 13, 16, 15, 14, 17},
    {9000, 1, 2, 3, 4, 5},
    {5, 5000, 5001, 5016, 5200, 5000},
    {4, 4096, 4097, 4098, 4099, 4100},
    {3, 8192, 8200, 0, 8201, 8192},
};
enum { PADDED_SHAPES = sizeof padded_shapes / sizeof *padded_shapes };

typedef struct mode {
    focal_op op;
    focal_target_kind kind;
    double gamma;
    int soft;
    focal_tier tier;
} mode;

static const mode modes[] = {
    {FOCAL_SIGMOID, FOCAL_TARGET_DENSE, 2.0, 1, FOCAL_TIER_FAST},
    {FOCAL_SIGMOID, FOCAL_TARGET_DENSE, 2.7, 1, FOCAL_TIER_SLEEF},
    {FOCAL_SIGMOID, FOCAL_TARGET_DENSE, 1.5, 1, FOCAL_TIER_ACCURATE},
    {FOCAL_SIGMOID, FOCAL_TARGET_BINARY_U8, 1.5, 0, FOCAL_TIER_FAST},
    {FOCAL_SIGMOID, FOCAL_TARGET_BINARY_U8, 2.7, 0, FOCAL_TIER_FAST},
    {FOCAL_SIGMOID, FOCAL_TARGET_LABEL_I64, 2.0, 0, FOCAL_TIER_SLEEF},
    {FOCAL_SOFTMAX, FOCAL_TARGET_LABEL_I32, 2.0, 0, FOCAL_TIER_FAST},
    {FOCAL_SOFTMAX, FOCAL_TARGET_LABEL_I32, 0.5, 0, FOCAL_TIER_SLEEF},
    {FOCAL_SOFTMAX, FOCAL_TARGET_LABEL_I32, 2.0, 0, FOCAL_TIER_ACCURATE},
};
enum { MODES = sizeof modes / sizeof *modes };

static focal_problem contiguous(const mode *m, const shape *s) {
    focal_problem problem = problem_of(m->op, m->kind, s->outer, s->classes, m->gamma);
    problem.tier = m->tier;
    return problem;
}

static void test_padding(void) {
    for (size_t m = 0; m < MODES; m++)
        for (size_t s = 0; s < PADDED_SHAPES; s++) {
            const shape *const at = &padded_shapes[s];
            const focal_problem plain = contiguous(&modes[m], at);
            focal_problem padded = plain;
            padded.logits_stride = at->logits;
            padded.targets_stride = at->targets;
            padded.loss_stride = at->loss;
            padded.gradient_stride = at->gradient;
            const fixture_style style = {.seed = 21, .soft = modes[m].soft};
            fixture a, b;
            fixture_make_styled(&a, &plain, style);
            fixture_make_styled(&b, &padded, style);
            CHECK_STATUS(fixture_run(&a, NULL, NULL, NULL), FOCAL_OK);
            CHECK_STATUS(fixture_run(&b, NULL, NULL, NULL), FOCAL_OK);
            CHECK_CASE(fixture_digest(&a, plain.outputs) == fixture_digest(&b, plain.outputs),
                       "mode %zu, shape %zu", m, s);
            CHECK(a.sums.positives == b.sums.positives);
            CHECK_CASE(fixture_bounded(&b, 0), "mode %zu, shape %zu", m, s);
            fixture_free(&a);
            fixture_free(&b);
        }
}

/* Only the padding between rows need exist: nothing behind the last row. The fixture ends its
 * buffers there; its canaries tell of writes, a sanitizer of reads. */

static void test_alignment(void) {
    for (size_t m = 0; m < MODES; m++)
        for (size_t s = 0; s < PADDED_SHAPES; s++) {
            const focal_problem problem = contiguous(&modes[m], &padded_shapes[s]);
            uint64_t first = 0;
            for (size_t offset = 0; offset < 16; offset++) {
                fixture f;
                fixture_make_styled(&f, &problem, (fixture_style){22, offset, modes[m].soft});
                CHECK_STATUS(fixture_run(&f, NULL, NULL, NULL), FOCAL_OK);
                const uint64_t digest = fixture_digest(&f, problem.outputs);
                first = offset == 0 ? digest : first;
                CHECK_CASE(digest == first, "mode %zu, shape %zu, offset %zu", m, s, offset);
                CHECK(fixture_bounded(&f, 0));
                fixture_free(&f);
            }
        }
}

static void test_in_place(void) {
    for (size_t m = 0; m < MODES; m++)
        for (size_t s = 0; s < PADDED_SHAPES; s++)
            for (int gradient_alone = 0; gradient_alone < 2; gradient_alone++) {
                focal_problem problem = contiguous(&modes[m], &padded_shapes[s]);
                problem.logits_stride = problem.gradient_stride = padded_shapes[s].logits;
                if (gradient_alone)
                    problem.outputs = FOCAL_OUTPUT_GRADIENT;
                const fixture_style style = {.seed = 23, .soft = modes[m].soft};
                fixture apart, in_place;
                fixture_make_styled(&apart, &problem, style);
                fixture_make_styled(&in_place, &problem, style);
                in_place.buffers.gradient = (void *)(uintptr_t)in_place.buffers.logits;
                CHECK_STATUS(fixture_run(&apart, NULL, NULL, NULL), FOCAL_OK);
                CHECK_STATUS(fixture_run(&in_place, NULL, NULL, NULL), FOCAL_OK);
                CHECK_CASE(fixture_digest(&apart, problem.outputs) ==
                               fixture_digest(&in_place, problem.outputs),
                           "mode %zu, shape %zu", m, s);
                CHECK_CASE(fixture_bounded(&in_place, 1), "mode %zu, shape %zu", m, s);
                fixture_free(&apart);
                fixture_free(&in_place);
            }
}

/* A stride of 0 is one of `classes`. */
static void test_zero_stride(void) {
    focal_problem problem = problem_of(FOCAL_SIGMOID, FOCAL_TARGET_DENSE, 120, 80, 2.0);
    fixture zero, spelled;
    fixture_make(&zero, &problem, 24);
    problem.logits_stride = problem.targets_stride = problem.loss_stride =
        problem.gradient_stride = 80;
    fixture_make(&spelled, &problem, 24);
    CHECK_STATUS(fixture_run(&zero, NULL, NULL, NULL), FOCAL_OK);
    CHECK_STATUS(fixture_run(&spelled, NULL, NULL, NULL), FOCAL_OK);
    CHECK(fixture_digest(&zero, ALL_OUTPUTS) == fixture_digest(&spelled, ALL_OUTPUTS));
    fixture_free(&zero);
    fixture_free(&spelled);
}

/* Runs the tasks in random ranges and random order, then finishes. */
static void run_in_pieces(fixture *f, const focal_options *options, uint64_t seed) {
    focal_plan *plan = NULL;
    CHECK_STATUS(focal_plan_create(&plan, &f->problem, options, NULL), FOCAL_OK);
    const size_t tasks = focal_plan_tasks(plan);
    const size_t size = focal_plan_workspace_size(plan);
    f->buffers.workspace = malloc(size);
    f->buffers.workspace_size = size;
    memset(f->buffers.workspace, 0xff, size); /* NaN, were it read before written */
    size_t *const starts = malloc((tasks + 1) * sizeof *starts);
    size_t pieces = 0;
    for (size_t first = 0; first < tasks; pieces++) {
        starts[pieces] = first;
        first += 1 + mix(seed, pieces, 1) % 4;
    }
    for (size_t i = pieces; i > 1; i--) {
        const size_t j = mix(seed, i, 2) % i, kept = starts[j];
        starts[j] = starts[i - 1];
        starts[i - 1] = kept;
    }
    for (size_t i = 0; i < pieces; i++) {
        size_t end = tasks;
        for (size_t j = 0; j < pieces; j++)
            end = starts[j] > starts[i] && starts[j] < end ? starts[j] : end;
        CHECK_STATUS(
            focal_plan_execute_range(plan, &f->buffers, starts[i], end - starts[i], NULL),
            FOCAL_OK);
        CHECK_STATUS(focal_plan_execute_range(plan, &f->buffers, end, 0, NULL), FOCAL_OK);
    }
    CHECK_STATUS(focal_plan_finish(plan, &f->buffers, &f->sums, NULL), FOCAL_OK);
    free(starts);
    free(f->buffers.workspace);
    focal_plan_destroy(plan);
}

static void test_pieces(void) {
    for (size_t m = 0; m < MODES; m++)
        for (size_t s = 0; s < PADDED_SHAPES; s++) {
            const focal_problem problem = contiguous(&modes[m], &padded_shapes[s]);
            fixture f;
            fixture_make(&f, &problem, 25);
            CHECK_STATUS(fixture_run(&f, NULL, NULL, NULL), FOCAL_OK);
            const uint64_t whole = fixture_digest(&f, problem.outputs);
            const int64_t positives = f.sums.positives;
            fixture_free(&f);
            for (uint32_t round = 0; round < 8; round++) {
                focal_options options;
                focal_options_init(&options);
                options.grain = round % 4;
                fixture_make(&f, &problem, 25);
                run_in_pieces(&f, &options, round);
                CHECK_CASE(fixture_digest(&f, problem.outputs) == whole,
                           "mode %zu, shape %zu, round %u", m, s, round);
                CHECK(f.sums.positives == positives && f.sums.rows == problem.outer);
                CHECK(fixture_bounded(&f, 0));
                fixture_free(&f);
            }
        }
}

/* A plan keeps nothing of an execution: again, with other data between, gives the same bits. */
static void test_repetition(void) {
    for (size_t m = 0; m < MODES; m++) {
        const focal_problem problem = contiguous(&modes[m], &padded_shapes[0]);
        focal_plan *plan = NULL;
        fixture f, other;
        uint64_t first = 0;
        CHECK_STATUS(focal_plan_create(&plan, &problem, NULL, NULL), FOCAL_OK);
        fixture_make(&f, &problem, 26);
        fixture_make(&other, &problem, 27);
        for (int round = 0; round < 3; round++) {
            CHECK_STATUS(focal_plan_execute(plan, &f.buffers, NULL, &f.sums, NULL), FOCAL_OK);
            const uint64_t digest = fixture_digest(&f, problem.outputs);
            first = round == 0 ? digest : first;
            CHECK(digest == first);
            CHECK_STATUS(focal_plan_execute(plan, &other.buffers, NULL, &other.sums, NULL),
                         FOCAL_OK);
            CHECK(fixture_digest(&other, problem.outputs) != first);
        }
        focal_plan_destroy(plan);
        fixture_free(&f);
        fixture_free(&other);
    }
}

int main(void) {
    test_padding();
    test_alignment();
    test_in_place();
    test_zero_stride();
    test_pieces();
    test_repetition();
    return check_report();
}
