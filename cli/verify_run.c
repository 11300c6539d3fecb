/* The enumeration of `focal verify`: chunks of bit patterns through the public interface,
 * judged and hashed by as many threads as wanted. A chunk is the unit of work and of hashing,
 * and its hash lands in a place of its own, so that neither threads nor their order can be seen
 * in the result. */
#include "command.h"
#include "library.h"
#include "oracle.h"
#include "progress.h"
#include "verify.h"

#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#ifdef FOCAL_CLI_OPENMP
#include <omp.h>
#endif

enum { CHUNK = 16384, STREAMS = 4 };

static volatile sig_atomic_t stop_wanted;

static void stop(int signal_number) {
    (void)signal_number;
    stop_wanted = 1;
}

/* What the threads share. */
typedef struct sweep {
    const verify_request *request;
    const focal_plan *plan;
    uint64_t patterns, chunks;
    uint64_t *chunk_hashes;
    atomic_uint_fast64_t next, done;
    atomic_int code; /* the first failure */
    progress bar;
    double alpha[2]; /* alpha_t of target 0 and of target 1 */
} sweep;

/* One thread's buffers for one chunk. */
typedef struct chunk_results {
    float logits[2 * CHUNK];
    uint8_t targets[2][CHUNK];
    float loss[2][CHUNK];
    float gradient[2][2 * CHUNK];
    verify_tally loss_tally, gradient_tally;
    void *workspace;
} chunk_results;

static uint64_t pattern_count(const verify_request *request) {
    return (VERIFY_PATTERNS - request->offset + request->stride - 1) / request->stride;
}

static size_t row_width(const verify_request *request) {
    return request->op == FOCAL_SOFTMAX ? 2 : 1;
}

int verify_plan(const verify_request *request, focal_plan **plan) {
    focal_problem problem;
    focal_options options;
    focal_error error = FOCAL_ERROR_INIT;
    focal_problem_init(&problem);
    int softmax = request->op == FOCAL_SOFTMAX;
    uint64_t patterns = pattern_count(request);
    int64_t chunk = patterns < CHUNK ? (int64_t)patterns : CHUNK;
    problem.op = request->op;
    problem.target_kind = softmax ? FOCAL_TARGET_LABEL_U8 : FOCAL_TARGET_BINARY_U8;
    problem.tier = request->tier;
    problem.outer = softmax ? chunk : 1;
    problem.classes = softmax ? 2 : chunk;
    problem.gamma = request->gamma;
    problem.alpha_mode = request->alpha_mode;
    problem.alpha = request->alpha;
    problem.outputs =
        FOCAL_OUTPUT_GRADIENT | (softmax ? FOCAL_OUTPUT_ROW_LOSS : FOCAL_OUTPUT_LOSS);
    focal_options_init(&options);
    options.isa = request->isa;
    if (focal_plan_create(plan, &problem, &options, &error) != FOCAL_OK) {
        char text[LIBRARY_TEXT];
        const char *option = library_option(error.field);
        return fail(USAGE, "%s: %s", option ? option : error.field,
                    library_message(&error, text));
    }
    return DONE;
}

static int is_before(const verify_case *a, const verify_case *b) {
    if (a->index != b->index)
        return a->index < b->index;
    if (a->target != b->target)
        return a->target < b->target;
    return a->component < b->component;
}

/* Of equal errors the first counts, whichever thread saw it. */
static void keep_worst(verify_case *worst, const verify_case *other) {
    if (other->error > worst->error ||
        (other->error == worst->error && is_before(other, worst)))
        *worst = *other;
}

static void judge(verify_tally *tally, verify_case result) {
    double exact = result.exact, value = (double)result.result;
    double magnitude = fabs(exact);
    /* Beyond this every value rounds to infinity. */
    int overflows = magnitude >= 0x1.ffffffp127;
    int keeps = isnan(exact) ? isnan(value)
                : overflows  ? isinf(value) && (value > 0.0) == (exact > 0.0)
                             : isfinite(value);
    if (!keeps) {
        if (tally->violations++ == 0 || is_before(&result, &tally->first_violation))
            tally->first_violation = result;
        return;
    }
    if (isnan(exact) || overflows)
        return;
    if (magnitude < 0x1p-126) {
        result.error = fabs(value - exact) * 0x1p149;
        if (tally->subnormal++ == 0 || result.error > tally->worst_subnormal.error)
            tally->worst_subnormal = result;
        return;
    }
    /* 1 / (spacing of f32 at exact) is 2^(23 - exponent), made from the exponent's bits. */
    uint64_t bits;
    memcpy(&bits, &exact, sizeof bits);
    uint64_t exponent = bits >> 52 & 0x7ff;
    bits = (2 * 1023 + 23 - exponent) << 52;
    double per_ulp;
    memcpy(&per_ulp, &bits, sizeof per_ulp);
    result.error = fabs(value - exact) * per_ulp;
    if (result.error <= 0.5 + 0x1p24 * ORACLE_ERROR)
        tally->correct++;
    if (tally->normal++ == 0 || result.error > tally->worst.error)
        tally->worst = result;
}

/* 0 times an infinite loss is 0, the limit; NaN stays. */
static double times(double alpha, double value) {
    return alpha == 0.0 && !isnan(value) ? 0.0 : alpha * value;
}

static void judge_pattern(const sweep *work, chunk_results *chunk, size_t i, uint64_t index,
                          uint32_t bits) {
    int softmax = work->request->op == FOCAL_SOFTMAX;
    size_t width = row_width(work->request);
    double logit = (double)chunk->logits[i * width];
    /* A row of softmax with NaN or +infinity in it is NaN throughout, by contract. */
    int is_nan = isnan(logit) || (softmax && logit == (double)INFINITY);
    oracle_sides sides = {.right = {(double)NAN, (double)NAN},
                          .wrong = {(double)NAN, (double)NAN}};
    if (!is_nan)
        sides = oracle_focal(fabs(logit), work->request->gamma);
    for (int target = 0; target < 2; target++) {
        int is_right = (logit > 0.0) == (target == 1);
        oracle_value value = is_right ? sides.right : sides.wrong;
        double alpha = work->alpha[target];
        double gradient = times(alpha, value.gradient) * (target == 1 ? -1.0 : 1.0);
        verify_case result = {.index = index, .bits = bits, .target = target};
        result.exact = times(alpha, value.loss);
        result.result = chunk->loss[target][i];
        judge(&chunk->loss_tally, result);
        for (size_t c = 0; c < width; c++) {
            result.component = (int)c;
            result.exact = c == 0 ? gradient : -gradient;
            result.result = chunk->gradient[target][i * width + c];
            judge(&chunk->gradient_tally, result);
        }
    }
}

static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

/* Every step is a bijection of the state, so that one differing bit is never lost again. */
static uint64_t hash_floats(uint64_t seed, const float *values, size_t count) {
    uint64_t state = seed;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        if (isnan(values[i]))
            bits = UINT32_C(0x7fc00000); /* sign and payload of a NaN are nobody's business */
        state = (state ^ bits) * UINT64_C(0x9e3779b97f4a7c15);
        state ^= state >> 32;
    }
    return mix(state);
}

static uint64_t hash_chunk(const chunk_results *chunk, size_t count, size_t width) {
    uint64_t parts[STREAMS] = {
        hash_floats(1, chunk->loss[0], count),
        hash_floats(2, chunk->loss[1], count),
        hash_floats(3, chunk->gradient[0], count * width),
        hash_floats(4, chunk->gradient[1], count * width),
    };
    uint64_t hash = count;
    for (size_t i = 0; i < STREAMS; i++)
        hash = mix(hash ^ parts[i]) + parts[i];
    return hash;
}

static int execute(const sweep *work, chunk_results *chunk) {
    for (int target = 0; target < 2; target++) {
        focal_buffers buffers;
        focal_error error = FOCAL_ERROR_INIT;
        focal_buffers_init(&buffers);
        buffers.logits = chunk->logits;
        buffers.targets = chunk->targets[target];
        buffers.loss = buffers.row_loss = chunk->loss[target];
        buffers.gradient = chunk->gradient[target];
        buffers.workspace = chunk->workspace;
        buffers.workspace_size = focal_plan_workspace_size(work->plan);
        if (focal_plan_execute(work->plan, &buffers, NULL, NULL, &error) != FOCAL_OK)
            return fail(FAILED, "%s", error.message);
    }
    return DONE;
}

static int run_chunk(sweep *work, chunk_results *chunk, uint64_t number) {
    const verify_request *request = work->request;
    size_t width = row_width(request);
    uint64_t first = number * CHUNK, left = work->patterns - first;
    size_t count = left < CHUNK ? (size_t)left : CHUNK;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)(request->offset + (first + i) * request->stride);
        memcpy(&chunk->logits[i * width], &bits, sizeof bits);
    }
    int code = execute(work, chunk);
    if (code != DONE)
        return code;
    work->chunk_hashes[number] = hash_chunk(chunk, count, width);
    if (!request->hash_only)
        for (size_t i = 0; i < count; i++)
            judge_pattern(work, chunk, i, first + i,
                          (uint32_t)(request->offset + (first + i) * request->stride));
    progress_update(&work->bar, atomic_fetch_add(&work->done, count) + count);
    return DONE;
}

static void merge(verify_tally *into, const verify_tally *from) {
    if (from->normal > 0 && into->normal > 0)
        keep_worst(&into->worst, &from->worst);
    else if (from->normal > 0)
        into->worst = from->worst;
    if (from->subnormal > 0 && into->subnormal > 0)
        keep_worst(&into->worst_subnormal, &from->worst_subnormal);
    else if (from->subnormal > 0)
        into->worst_subnormal = from->worst_subnormal;
    if (from->violations > 0 &&
        (into->violations == 0 || is_before(&from->first_violation, &into->first_violation)))
        into->first_violation = from->first_violation;
    into->normal += from->normal;
    into->correct += from->correct;
    into->subnormal += from->subnormal;
    into->violations += from->violations;
}

/* One thread: takes chunks until there are none, then adds its tallies. */
static void run_thread(sweep *work, verify_result *result) {
    chunk_results *chunk = calloc(1, sizeof *chunk);
    void *workspace = malloc(focal_plan_workspace_size(work->plan));
    if (!chunk || !workspace) {
        atomic_store(&work->code, fail(FAILED, "not enough memory"));
        free(workspace);
        free(chunk);
        return;
    }
    chunk->workspace = workspace;
    /* Softmax's label of target 1, the class of the logit, is 0. */
    memset(chunk->targets[work->request->op == FOCAL_SOFTMAX ? 0 : 1], 1, CHUNK);
    int code = DONE;
    while (code == DONE && !stop_wanted && atomic_load(&work->code) == DONE) {
        uint64_t number = atomic_fetch_add(&work->next, 1);
        if (number >= work->chunks)
            break;
        code = run_chunk(work, chunk, number);
    }
    if (code != DONE)
        atomic_store(&work->code, code);
#ifdef FOCAL_CLI_OPENMP
#pragma omp critical
#endif
    {
        merge(&result->loss, &chunk->loss_tally);
        merge(&result->gradient, &chunk->gradient_tally);
    }
    free(workspace);
    free(chunk);
}

int verify_run(const verify_request *request, const focal_plan *plan, verify_result *result) {
    sweep work = {.request = request, .plan = plan};
    work.patterns = pattern_count(request);
    work.chunks = (work.patterns + CHUNK - 1) / CHUNK;
    work.chunk_hashes = calloc(work.chunks, sizeof *work.chunk_hashes);
    if (!work.chunk_hashes)
        return fail(FAILED, "not enough memory");
    int off = request->alpha_mode == FOCAL_ALPHA_OFF;
    work.alpha[1] = off ? 1.0 : request->alpha;
    work.alpha[0] = off || request->op == FOCAL_SOFTMAX ? work.alpha[1] : 1.0 - request->alpha;

    struct sigaction handler = {.sa_handler = stop}, previous;
    sigemptyset(&handler.sa_mask);
    sigaction(SIGINT, &handler, &previous);
    double started = progress_seconds();
    progress_start(&work.bar, "verify", work.patterns, request->quiet);
#ifdef FOCAL_CLI_OPENMP
    result->threads = request->threads > 0 ? request->threads : omp_get_max_threads();
#pragma omp parallel num_threads(result->threads)
    run_thread(&work, result);
#else
    result->threads = 1;
    run_thread(&work, result);
#endif
    progress_clear(&work.bar);
    sigaction(SIGINT, &previous, NULL);

    result->seconds = progress_seconds() - started;
    result->patterns = work.patterns;
    result->done = atomic_load(&work.done);
    result->interrupted = stop_wanted && result->done < result->patterns;
    result->hash = 0;
    for (uint64_t i = 0; i < work.chunks; i++)
        result->hash = mix(result->hash ^ work.chunk_hashes[i]) + work.chunk_hashes[i];
    free(work.chunk_hashes);
    return atomic_load(&work.code);
}
