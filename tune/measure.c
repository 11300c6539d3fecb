#define _POSIX_C_SOURCE 200809L /* getrusage */
#include "measure.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* A sample lasts at least this long: a hundred times what reading the clock costs. */
static const double sample_ns = 150e3;
/* Shorter executions are repeated once untimed, which brings code and data back into the caches. */
static const double rewarm_ns = 1e6;

/* Where buffers lie within a page decides which of their accesses collide, by some percent. Every
 * round shifts them anew, by lines, so that no choice rests on one placement. */
enum { LINE = 64, PAGE = 4096 };

enum { LOGITS, TARGETS, GRADIENT, HESSIAN, TARGET_GRADIENT, LOSS, ROW_LOSS, MATRICES };
enum { WORKSPACE = MATRICES };

static size_t matrix(const focal_plan *plan, const focal_layout *layout, size_t columns) {
    return focal_layout_place(layout, plan->rows - 1, columns - 1) + 1;
}

static size_t target_count(const focal_plan *plan) {
    if (plan->problem.form == FOCAL_FORM_MATCH)
        return plan->columns;
    if (focal_target_is_label(plan->problem.target_kind))
        return plan->rows;
    return matrix(plan, &plan->targets, plan->columns);
}

static void buffer_sizes(const focal_plan *plan, size_t bytes[MATRICES]) {
    const uint32_t outputs = plan->problem.outputs;
    size_t classes = (size_t)plan->problem.classes;
    size_t gradient = plan->gradient_size * matrix(plan, &plan->gradient, classes);
    bytes[LOGITS] = plan->logits_size * matrix(plan, &plan->logits, classes);
    bytes[TARGETS] = plan->targets_size * target_count(plan);
    bytes[GRADIENT] = outputs & FOCAL_OUTPUT_GRADIENT ? gradient : 0;
    bytes[HESSIAN] = outputs & FOCAL_OUTPUT_HESSIAN ? gradient : 0;
    bytes[TARGET_GRADIENT] = outputs & FOCAL_OUTPUT_TARGET_GRADIENT
                                 ? plan->gradient_size * matrix(plan, &plan->targets, classes)
                                 : 0;
    bytes[LOSS] = outputs & FOCAL_OUTPUT_LOSS
                      ? plan->loss_size * matrix(plan, &plan->loss, plan->columns)
                      : 0;
    bytes[ROW_LOSS] = outputs & FOCAL_OUTPUT_ROW_LOSS ? plan->loss_size * plan->rows : 0;
}

size_t focal_trial_bytes(const focal_plan *plan) {
    size_t bytes[MATRICES], sum = 0;
    buffer_sizes(plan, bytes);
    for (int i = 0; i < MATRICES; i++)
        if (__builtin_add_overflow(sum, bytes[i], &sum))
            return SIZE_MAX;
    return sum;
}

/* Knuth's multiplicative hash: scattered, cheap, the same everywhere. */
static uint32_t scatter(size_t i) {
    return (uint32_t)i * UINT32_C(2654435761);
}

/* A number of that type at element i; binary16 and bfloat16 by their bits: 1, -1, 0 and some others,
 * all of them normal. */
static void put_number(void *array, size_t i, focal_dtype dtype, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    switch (dtype) {
    case FOCAL_F64:
        ((double *)array)[i] = (double)value;
        break;
    case FOCAL_BF16:
        ((uint16_t *)array)[i] = (uint16_t)(bits >> 16);
        break;
    case FOCAL_F16: /* the exponent's bias is 15 instead of 127; |value| is 2^-12 to 8, or 0 */
        ((uint16_t *)array)[i] =
            value == 0.0F ? 0
                          : (uint16_t)((bits >> 16 & 0x8000) |
                                       (((bits & 0x7fffffff) >> 13) - ((127 - 15) << 10)));
        break;
    default:
        ((float *)array)[i] = value;
        break;
    }
}

/* Logits between -8 and 8. Kernels have no branch on data: what the values are is all one, if no
 * result is subnormal. */
static void fill_logits(void *logits, focal_dtype dtype, size_t count) {
    for (size_t i = 0; i < count; i++)
        put_number(logits, i, dtype, (float)(scatter(i) >> 16) * 0x1p-12F - 8.0F);
}

static void fill_targets(void *targets, const focal_problem *problem, size_t count) {
    uint32_t classes = (uint32_t)problem->classes;
    for (size_t i = 0; i < count; i++) {
        uint32_t label = (scatter(i) >> 8) % classes, one = scatter(i) >> 25 == 0;
        switch (problem->target_kind) {
        case FOCAL_TARGET_DENSE:
            put_number(targets, i, problem->targets_dtype, (float)one);
            break;
        case FOCAL_TARGET_BINARY_U8:
            ((uint8_t *)targets)[i] = (uint8_t)one;
            break;
        case FOCAL_TARGET_LABEL_U8:
            ((uint8_t *)targets)[i] = (uint8_t)(label & 0xff);
            break;
        case FOCAL_TARGET_LABEL_I32:
            ((int32_t *)targets)[i] = (int32_t)label;
            break;
        case FOCAL_TARGET_LABEL_I64:
            ((int64_t *)targets)[i] = (int64_t)label;
            break;
        }
    }
}

bool focal_trial_data_make(focal_trial_data *data, const focal_plan *plan) {
    static const double one = 1.0;
    size_t bytes[MATRICES];
    *data = (focal_trial_data){.memory = {NULL}};
    buffer_sizes(plan, bytes);
    for (int i = 0; i < MATRICES; i++) {
        if (bytes[i] == 0)
            continue;
        bytes[i] = (bytes[i] + (size_t)2 * PAGE - 1) / PAGE * PAGE;
        data->memory[i] = aligned_alloc(PAGE, bytes[i]);
        if (!data->memory[i]) {
            focal_trial_data_free(data);
            return false;
        }
        memset(data->memory[i], 0, bytes[i]);
    }
    fill_logits(data->memory[LOGITS], plan->problem.dtype, bytes[LOGITS] / plan->logits_size);
    fill_targets(data->memory[TARGETS], &plan->problem, bytes[TARGETS] / plan->targets_size);
    focal_buffers_init(&data->buffers);
    data->buffers.normalizer = &one;
    return true;
}

static size_t random_below(uint64_t *state, size_t limit) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (size_t)((*state >> 33) % limit);
}

/* Matrices are padded by a page, and valid wherever they begin in the first one. */
static void place(focal_trial_data *data, uint64_t *random) {
    char *at[MATRICES];
    for (int i = 0; i < MATRICES; i++) {
        size_t shift = LINE * random_below(random, PAGE / LINE);
        at[i] = data->memory[i] ? (char *)data->memory[i] + shift : NULL;
    }
    data->buffers.logits = at[LOGITS];
    data->buffers.targets = at[TARGETS];
    data->buffers.gradient = at[GRADIENT];
    data->buffers.hessian = at[HESSIAN];
    data->buffers.target_gradient = at[TARGET_GRADIENT];
    data->buffers.loss = at[LOSS];
    data->buffers.row_loss = at[ROW_LOSS];
}

bool focal_trial_workspace_make(focal_trial_data *data, size_t bytes) {
    data->memory[WORKSPACE] = malloc(bytes ? bytes : 1);
    data->buffers.workspace = data->memory[WORKSPACE];
    data->buffers.workspace_size = bytes;
    return data->memory[WORKSPACE] != NULL;
}

void focal_trial_data_free(focal_trial_data *data) {
    for (int i = 0; i <= WORKSPACE; i++)
        free(data->memory[i]);
    *data = (focal_trial_data){.memory = {NULL}};
}

/* ---- Samples and rounds ------------------------------------------------------------------- */

static void execute(focal_trial *trial, const focal_contender *one, uint64_t iterations) {
    focal_sums sums = FOCAL_SUMS_INIT;
    const focal_tune_settings *settings = trial->settings;
    if (settings->stop && settings->stop(settings->stop_context))
        trial->stopped = true;
    for (uint64_t i = 0; i < iterations && !trial->stopped; i++)
        if (focal_plan_execute(one->plan, &trial->data.buffers, settings->parallel, &sums,
                               NULL) != FOCAL_OK)
            trial->stopped = true;
}

/* ns of so many executions. */
static double sample(focal_trial *trial, const focal_contender *one, uint64_t iterations) {
    double start = focal_timer_now(&trial->timer);
    execute(trial, one, iterations);
    double time = focal_timer_now(&trial->timer) - start - trial->timer.overhead_ns;
    return time > trial->timer.resolution_ns ? time : trial->timer.resolution_ns + 1.0;
}

double focal_trial_calibrate(focal_trial *trial, size_t index) {
    const focal_contender *one = &trial->contenders[index];
    place(&trial->data, &trial->random);
    double time = sample(trial, one, 1);
    uint64_t iterations = 1;
    while (!trial->stopped && time < sample_ns) {
        double wanted = 1.1 * sample_ns / time;
        iterations = (uint64_t)((double)iterations * (wanted < 8.0 ? wanted : 8.0)) + 1;
        time = sample(trial, one, iterations);
    }
    for (int i = 0; i < 2 && time < 10.0 * sample_ns; i++) {
        double again = sample(trial, one, iterations);
        time = again < time ? again : time;
    }
    trial->iterations = iterations;
    return time / (double)iterations;
}

static void run_round(focal_trial *trial, size_t round) {
    size_t order[FOCAL_TRIAL_CONTENDERS] = {0}, count = 0;
    place(&trial->data, &trial->random);
    for (size_t i = 0; i < trial->count; i++) {
        if (trial->contenders[i].dropped)
            continue;
        size_t slot = random_below(&trial->random, ++count);
        order[count - 1] = order[slot];
        order[slot] = i;
    }
    for (size_t i = 0; i < count && !trial->stopped; i++) {
        focal_contender *one = &trial->contenders[order[i]];
        if (round == 0 || one->samples[round - 1] < rewarm_ns)
            execute(trial, one, 1);
        one->samples[round] = sample(trial, one, trial->iterations) / (double)trial->iterations;
    }
}

/* How often others took a CPU away from this process. */
static long preemptions(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_nivcsw : 0;
}

size_t focal_trial_rounds(focal_trial *trial, size_t least,
                          bool (*enough)(focal_trial *trial, size_t rounds)) {
    /* With several threads the wall clock counts, and a thread that others hold up hides what is being
     * compared: such rounds are repeated while there is time, but not for ever. */
    size_t rounds = 0, repeats = trial->settings->threads > 1 ? FOCAL_TRIAL_ROUNDS : 0;
    const focal_contender *reference = &trial->contenders[trial->reference];
    while (rounds < FOCAL_TRIAL_ROUNDS && !trial->stopped) {
        if (rounds >= least && focal_seconds() > trial->deadline)
            break;
        long before = preemptions();
        run_round(trial, rounds);
        if (repeats > 0 && preemptions() != before && focal_seconds() < trial->deadline) {
            repeats--;
            continue;
        }
        rounds++;
        for (size_t i = 0; i < trial->count; i++) {
            focal_contender *one = &trial->contenders[i];
            if (!one->dropped)
                one->ratio = focal_paired_ratio(one->samples, reference->samples, rounds);
        }
        if (rounds >= least && enough(trial, rounds))
            break;
    }
    return rounds;
}
