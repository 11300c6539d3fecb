/* One answer: every problem gives the same bits on every ISA row with fused multiply-add, at
 * every unroll, grain, number of threads, alignment of the buffers, and however it is cut into
 * ranges. The expected bits are those of the row scalarfma, run plainly. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "check.h"
#include "random.h"

enum { MISALIGNMENT = 17 }; /* floats */

typedef struct problem_case {
    const char *name;
    focal_op op;
    focal_target_kind kind;
    int64_t outer, classes;
    double gamma, alpha;
    focal_tier tier;
    int special; /* NaN, infinities, subnormals and zeros among the logits */
} problem_case;

/* Several blocks of 4096 elements each, no size a multiple of a step. The last two have rows
 * longer than a block. */
static const problem_case cases[] = {
    {"sigmoid dense", FOCAL_SIGMOID, FOCAL_TARGET_DENSE, 23, 811, 2.0, 0.25, FOCAL_TIER_FAST,
     0},
    {"sigmoid binary", FOCAL_SIGMOID, FOCAL_TARGET_BINARY_U8, 61, 307, 3.7, 0.25,
     FOCAL_TIER_FAST, 1},
    {"sigmoid label", FOCAL_SIGMOID, FOCAL_TARGET_LABEL_I32, 233, 81, 0.5, 0.25,
     FOCAL_TIER_SLEEF, 0},
    {"softmax label", FOCAL_SOFTMAX, FOCAL_TARGET_LABEL_U8, 1999, 11, 2.0, 1.0,
     FOCAL_TIER_SLEEF, 0},
    {"softmax special", FOCAL_SOFTMAX, FOCAL_TARGET_LABEL_I64, 257, 67, 1.5, 0.75,
     FOCAL_TIER_FAST, 1},
    {"sigmoid long row", FOCAL_SIGMOID, FOCAL_TARGET_DENSE, 2, 9001, 1.0, 0.5, FOCAL_TIER_SLEEF,
     0},
    {"softmax long row", FOCAL_SOFTMAX, FOCAL_TARGET_LABEL_I32, 3, 5003, 2.5, 0.25,
     FOCAL_TIER_FAST, 0},
};
enum { CASES = sizeof cases / sizeof cases[0] };

/* How to compute, which no bit may depend on. `range` is the number of tasks per call of
 * focal_plan_execute_range, from the last to the first; 0 for one focal_plan_execute. */
typedef struct manner {
    const char *isa;
    uint32_t unroll, grain;
    int threads;
    size_t misalignment; /* floats */
    size_t range;
} manner;

/* The memory of one problem: inputs, and as many floats for each output. */
typedef struct memory {
    float *logits, *loss, *row_loss, *gradient;
    void *targets;
    size_t elements, rows;
} memory;

static void *allocate(size_t size) {
    void *block = malloc(size);
    if (!block) {
        puts("out of memory");
        exit(1);
    }
    return block;
}

static float special_logit(uint32_t kind) {
    static const uint32_t bits[] = {0x7fc00000, 0xffc01234, 0x7f800000, 0xff800000, 0x00000001,
                                    0x80000003, 0x00000000, 0x80000000, 0x7f7fffff, 0x42b17217};
    float logit;
    memcpy(&logit, &bits[kind % (sizeof bits / sizeof bits[0])], sizeof logit);
    return logit;
}

static void fill_targets(const problem_case *problem, memory *m, random_source *source) {
    uint32_t classes = (uint32_t)problem->classes;
    m->targets = allocate(8 * (m->elements + MISALIGNMENT));
    for (size_t i = 0; i < m->elements; i++) {
        uint32_t random = random_below(source, 1U << 24);
        if (problem->kind == FOCAL_TARGET_DENSE) /* a quarter of them hard */
            ((float *)m->targets)[i] =
                random % 4 ? (float)random * 0x1p-24F : (float)(random / 4 % 2);
        else if (problem->kind == FOCAL_TARGET_BINARY_U8)
            ((uint8_t *)m->targets)[i] = random % 5 == 0;
        else if (i >= m->rows)
            break;
        else if (problem->kind == FOCAL_TARGET_LABEL_U8)
            ((uint8_t *)m->targets)[i] = (uint8_t)random_below(source, classes);
        else if (problem->kind == FOCAL_TARGET_LABEL_I32)
            ((int32_t *)m->targets)[i] = (int32_t)random_below(source, classes);
        else
            ((int64_t *)m->targets)[i] = (int64_t)random_below(source, classes);
    }
}

static void create_memory(const problem_case *problem, memory *m) {
    random_source source = random_named(7, problem->name, strlen(problem->name));
    m->rows = (size_t)problem->outer;
    m->elements = m->rows * (size_t)problem->classes;
    size_t size = (m->elements + MISALIGNMENT) * sizeof(float);
    m->logits = allocate(size);
    m->loss = allocate(size);
    m->row_loss = allocate(size);
    m->gradient = allocate(size);
    for (size_t i = 0; i < m->elements; i++) {
        float x = (float)((double)random_below(&source, 1U << 31) * 0x1p-31 - 0.5);
        uint32_t kind = random_below(&source, 400);
        m->logits[i] = problem->special && kind < 10 ? special_logit(kind)
                       : kind < 40                   ? 250.0F * x
                                                     : 16.0F * x;
    }
    fill_targets(problem, m, &source);
}

static void destroy_memory(memory *m) {
    free(m->logits);
    free(m->loss);
    free(m->row_loss);
    free(m->gradient);
    free(m->targets);
}

/* ---- A parallel-for on plain threads, every second one of them counting backwards ---- */

typedef struct team {
    void (*task)(void *argument, size_t index);
    void *argument;
    size_t tasks;
    int backwards;
    atomic_size_t next;
} team;

static void *work(void *argument) {
    team *t = argument;
    size_t number;
    while ((number = atomic_fetch_add(&t->next, 1)) < t->tasks)
        t->task(t->argument, t->backwards ? t->tasks - 1 - number : number);
    return NULL;
}

static void run_team(void *context, size_t tasks, void (*task)(void *argument, size_t index),
                     void *argument) {
    int threads = *(const int *)context;
    pthread_t ids[8];
    team t = {.task = task, .argument = argument, .tasks = tasks, .backwards = threads % 2};
    int started = 0;
    while (started < threads - 1 && pthread_create(&ids[started], NULL, work, &t) == 0)
        started++;
    work(&t);
    for (int i = 0; i < started; i++)
        pthread_join(ids[i], NULL);
    if (started < threads - 1) {
        puts("a thread could not be created");
        exit(1);
    }
}

/* ---- One execution, and its bits ---- */

static uint64_t hash_floats(uint64_t hash, const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        if (values[i] != values[i])
            bits = UINT32_C(0x7fc00000);
        hash = random_mix(hash ^ bits) + i;
    }
    return hash;
}

static uint64_t hash_double(uint64_t hash, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return random_mix(hash ^ (value != value ? UINT64_C(0x7ff8000000000000) : bits));
}

static void fill_problem(const problem_case *from, focal_problem *problem) {
    focal_problem_init(problem);
    problem->op = from->op;
    problem->target_kind = from->kind;
    problem->outer = from->outer;
    problem->classes = from->classes;
    problem->gamma = from->gamma;
    problem->tier = from->tier;
    problem->alpha_mode = FOCAL_ALPHA_SCALAR;
    problem->alpha = from->alpha;
    problem->outputs = FOCAL_OUTPUT_SUM | FOCAL_OUTPUT_ROW_LOSS | FOCAL_OUTPUT_GRADIENT;
    if (from->op == FOCAL_SIGMOID)
        problem->outputs |= FOCAL_OUTPUT_LOSS;
}

static focal_status execute(const focal_plan *plan, focal_buffers *buffers, const manner *how,
                            focal_sums *sums, focal_error *error) {
    int threads = how->threads;
    focal_parallel parallel = {sizeof parallel, &threads, run_team};
    if (how->range == 0)
        return focal_plan_execute(plan, buffers, threads > 0 ? &parallel : NULL, sums, error);
    focal_status status = FOCAL_OK;
    buffers->workspace_size = focal_plan_workspace_size(plan);
    buffers->workspace = allocate(buffers->workspace_size);
    size_t end = focal_plan_tasks(plan);
    while (status == FOCAL_OK && end > 0) {
        size_t count = end < how->range ? end : how->range;
        status = focal_plan_execute_range(plan, buffers, end - count, count, error);
        end -= count;
    }
    if (status == FOCAL_OK)
        status = focal_plan_finish(plan, buffers, sums, error);
    free(buffers->workspace);
    return status;
}

static uint64_t bits_of(const problem_case *from, const memory *m, manner how) {
    focal_problem problem;
    focal_options options;
    focal_error error = FOCAL_ERROR_INIT;
    focal_plan *plan = NULL;
    fill_problem(from, &problem);
    focal_options_init(&options);
    options.isa = how.isa;
    options.unroll = how.unroll;
    options.grain = how.grain;

    /* The inputs are moved, too: the same numbers at another alignment. */
    size_t shift = how.misalignment;
    size_t size = (m->elements + MISALIGNMENT) * sizeof(float);
    size_t unit = from->kind == FOCAL_TARGET_LABEL_I64 ? 8
                  : from->kind == FOCAL_TARGET_DENSE || from->kind == FOCAL_TARGET_LABEL_I32
                      ? 4
                      : 1;
    float *logits = allocate(size);
    char *targets = allocate(8 * (m->elements + MISALIGNMENT));
    memcpy(logits + shift, m->logits, m->elements * sizeof(float));
    memcpy(targets + shift * unit, m->targets, m->elements * unit);
    memset(m->loss, 0xa5, size);
    memset(m->row_loss, 0xa5, size);
    memset(m->gradient, 0xa5, size);
    focal_buffers buffers;
    focal_buffers_init(&buffers);
    buffers.logits = logits + shift;
    buffers.targets = targets + shift * unit;
    buffers.loss = m->loss + shift;
    buffers.row_loss = m->row_loss + shift;
    buffers.gradient = m->gradient + shift;
    focal_sums sums = FOCAL_SUMS_INIT;
    focal_status status = focal_plan_create(&plan, &problem, &options, &error);
    if (status == FOCAL_OK)
        status = execute(plan, &buffers, &how, &sums, &error);
    focal_plan_destroy(plan);
    free(logits);
    free(targets);
    if (status != FOCAL_OK) {
        printf("%s on %s: %s\n", from->name, how.isa, error.message);
        exit(1);
    }
    uint64_t hash = hash_double((uint64_t)sums.positives, sums.loss);
    if (from->op == FOCAL_SIGMOID)
        hash = hash_floats(hash, m->loss + shift, m->elements);
    hash = hash_floats(hash, m->row_loss + shift, m->rows);
    return hash_floats(hash, m->gradient + shift, m->elements);
}

static void check_manner(const problem_case *from, const memory *m, manner how,
                         uint64_t expected) {
    uint64_t bits = bits_of(from, m, how);
    CHECK_CASE(bits == expected,
               "%s on %s, unroll %u, grain %u, %d threads, misaligned by %zu floats, ranges of "
               "%zu: hash %016llx, expected %016llx",
               from->name, how.isa, how.unroll, how.grain, how.threads, how.misalignment,
               how.range, (unsigned long long)bits, (unsigned long long)expected);
}

static void check_case(const problem_case *from, const memory *m, const char *isa,
                       uint64_t expected) {
    static const uint32_t unrolls[] = {16, 32}, grains[] = {1, 2, 5, 8};
    static const int threads[] = {1, 2, 3, 7};
    static const size_t shifts[] = {0, 1, 3, 8, 16}, ranges[] = {1, 2, 3, 100};
    for (size_t u = 0; u < 2; u++) {
        manner how = {.isa = isa, .unroll = unrolls[u]};
        for (size_t g = 0; g < 4; g++) {
            how.grain = grains[g];
            for (size_t t = 0; t < 4; t++) {
                how.threads = threads[t];
                check_manner(from, m, how, expected);
            }
            how.threads = 0;
            for (size_t r = 0; r < 4; r++) {
                how.range = ranges[r];
                check_manner(from, m, how, expected);
            }
            how.range = 0;
        }
        how.grain = 0;
        for (size_t s = 0; s < 5; s++) {
            how.misalignment = shifts[s];
            check_manner(from, m, how, expected);
        }
    }
}

/* The hash must see what it is to compare: another last bit, and two results exchanged. */
static void check_hash(void) {
    float values[] = {1.0F, 2.0F, 3.0F}, other[] = {1.0F, 0x1.000002p+1F, 3.0F};
    float exchanged[] = {2.0F, 1.0F, 3.0F}, negative[] = {0.0F}, zero[] = {-0.0F};
    CHECK(hash_floats(0, values, 3) == hash_floats(0, values, 3));
    CHECK(hash_floats(0, values, 3) != hash_floats(0, other, 3));
    CHECK(hash_floats(0, values, 3) != hash_floats(0, exchanged, 3));
    CHECK(hash_floats(0, negative, 1) != hash_floats(0, zero, 1));
    CHECK(hash_double(0, 1.0) != hash_double(0, 0x1.0000000000001p+0));
}

int main(void) {
    check_hash();
    memory memories[CASES];
    uint64_t expected[CASES];
    for (size_t c = 0; c < CASES; c++) {
        create_memory(&cases[c], &memories[c]);
        expected[c] = bits_of(&cases[c], &memories[c], (manner){.isa = "scalarfma"});
        printf("%s: %016llx\n", cases[c].name, (unsigned long long)expected[c]);
    }
    for (size_t i = 0; i < focal_isa_count(); i++) {
        focal_isa_info info = {.struct_size = sizeof info};
        CHECK(focal_isa_get(i, &info) == FOCAL_OK);
        unsigned passed = check_passed, failed = check_failed;
        if (!info.usable)
            continue;
        for (size_t c = 0; c < CASES; c++) {
            /* The row without fused operations has bits of its own, but one answer, too. */
            uint64_t own = expected[c];
            if (strcmp(info.name, "scalar") == 0)
                own = bits_of(&cases[c], &memories[c], (manner){.isa = "scalar"});
            check_case(&cases[c], &memories[c], info.name, own);
        }
        printf("row %s: %u passed, %u failed\n", info.name, check_passed - passed,
               check_failed - failed);
    }
    for (size_t c = 0; c < CASES; c++)
        destroy_memory(&memories[c]);
    return check_report();
}
