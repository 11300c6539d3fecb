#define _POSIX_C_SOURCE 200809L /* _exit */
#include "plants.h"

#include <math.h>
#include <stdint.h>
#include <unistd.h>

enum { LANES = 16 };

const focal_kernel *plant_sigmoid, *plant_softmax;
float_control plant_usual_control;

static size_t length_of(const focal_span *span) {
    return span->rows * span->classes;
}

static size_t whole_steps(const focal_span *span) {
    return length_of(span) / LANES * LANES;
}

void plant_clean(focal_span *span) {
    plant_sigmoid->function(span);
}

void plant_clean_softmax(focal_span *span) {
    plant_softmax->function(span);
}

static void plant_write_past_gradient(focal_span *span) {
    plant_sigmoid->function(span);
    span->gradient[length_of(span)] = 1.0F;
}

static void plant_write_past_row_loss(focal_span *span) {
    plant_sigmoid->function(span);
    if (span->row_loss)
        span->row_loss[span->rows] = 1.0F;
}

static void plant_write_before_loss(focal_span *span) {
    plant_sigmoid->function(span);
    if (span->loss)
        span->loss[-1] = 1.0F;
}

static void plant_read_past_logits(focal_span *span) {
    float beyond = ((const volatile float *)span->logits)[length_of(span)];
    (void)beyond;
    plant_sigmoid->function(span);
}

static void plant_read_before_targets(focal_span *span) {
    float before = ((const volatile float *)span->targets)[-1];
    (void)before;
    plant_sigmoid->function(span);
}

static void plant_read_past_labels(focal_span *span) {
    int32_t beyond = ((const volatile int32_t *)span->labels)[span->rows];
    (void)beyond;
    plant_softmax->function(span);
}

/* A vector load that reaches past the last row, though the rows before have padding. */
static void plant_read_past_last_row(focal_span *span) {
    plant_softmax->function(span);
    if (span->rows && span->gradient != span->logits) {
        size_t last =
            (span->rows - 1) * span->logits_stride + (span->classes / LANES + 1) * LANES;
        float beyond = ((const volatile float *)span->logits)[last - 1];
        (void)beyond;
    }
}

static void plant_wrong_at_one_length(focal_span *span) {
    plant_sigmoid->function(span);
    if (length_of(span) == 37)
        span->gradient[20] += 1.0F;
}

void plant_wrong_in_one_lane(focal_span *span) {
    plant_sigmoid->function(span);
    for (size_t i = 5; i < length_of(span); i += LANES)
        span->gradient[i] = nextafterf(span->gradient[i], 10.0F);
}

static void swap_lanes(float *a, size_t i, size_t j) {
    float kept = a[i];
    a[i] = a[j];
    a[j] = kept;
}

/* The second and third of the four registers of a step exchanged. */
static void plant_neon_lane_order(focal_span *span) {
    plant_sigmoid->function(span);
    for (size_t i = 0; i < whole_steps(span); i += LANES)
        for (size_t lane = 4; lane < 8; lane++)
            swap_lanes(span->gradient, i + lane, i + lane + 4);
}

static void plant_softmax_lane_order(focal_span *span) {
    plant_softmax->function(span);
    for (size_t row = 0; row < span->rows; row++)
        for (size_t i = 0; i + LANES <= span->classes; i += LANES)
            swap_lanes(span->gradient + row * span->gradient_stride, i, i + 1);
}

/* The store's mask has a bit too few ... */
static void plant_avx512_tail_mask_short(focal_span *span) {
    size_t n = length_of(span);
    float kept = n ? span->gradient[n - 1] : 0.0F;
    plant_sigmoid->function(span);
    if (n % LANES)
        span->gradient[n - 1] = kept;
}

/* ... or a bit too many ... */
static void plant_avx512_tail_mask_long(focal_span *span) {
    plant_sigmoid->function(span);
    if (length_of(span) % LANES)
        span->gradient[length_of(span)] = 0.0F;
}

/* ... or the load's mask a bit too few ... */
static void plant_avx512_load_mask_short(focal_span *span) {
    size_t n = length_of(span);
    if (n % LANES == 0) {
        plant_sigmoid->function(span);
        return;
    }
    float *last = (float *)span->logits + n - 1, kept = *last;
    *last = 0.0F;
    plant_sigmoid->function(span);
    if (span->logits != span->gradient)
        *last = kept;
}

/* ... or a bit too many ... */
static void plant_avx512_load_mask_long(focal_span *span) {
    if (length_of(span) % LANES)
        plant_read_past_logits(span);
    else
        plant_sigmoid->function(span);
}

/* ... or the sum counts a lane too many: the loss of a zero logit. */
static void plant_avx512_sum_mask_long(focal_span *span) {
    plant_sigmoid->function(span);
    if (length_of(span) % LANES)
        span->sum += 0.17;
}

static void plant_nan_leaks(focal_span *span) {
    plant_sigmoid->function(span);
    for (size_t i = length_of(span); i-- > 1;)
        if (isnan(span->gradient[i - 1]))
            span->gradient[i] = span->gradient[i - 1];
}

static void plant_nan_swallowed(focal_span *span) {
    plant_sigmoid->function(span);
    for (size_t i = 0; i < length_of(span); i++)
        if (isnan(span->gradient[i]))
            span->gradient[i] = 0.0F;
}

/* One maximum instruction with its operands exchanged loses a row's NaN. */
static void plant_nan_swallowed_softmax(focal_span *span) {
    plant_softmax->function(span);
    for (size_t row = 0; span->row_loss && row < span->rows; row++)
        if (isnan(span->row_loss[row]))
            span->row_loss[row] = 1.0F;
}

void plant_sum_in_order(focal_span *span) {
    plant_sigmoid->function(span);
    if (!span->loss)
        return;
    float sum = 0.0F;
    for (size_t i = 0; i < length_of(span); i++)
        sum += span->loss[i];
    span->sum = (double)sum;
}

static void plant_row_sum_in_order(focal_span *span) {
    plant_sigmoid->function(span);
    for (size_t row = 0; span->row_loss && row < span->rows; row++) {
        float sum = 0.0F;
        for (size_t i = 0; i < span->classes; i++)
            sum += span->loss[row * span->classes + i];
        span->row_loss[row] = sum;
    }
}

void plant_rounding_mode_left(focal_span *span) {
    plant_sigmoid->function(span);
    float_control_write(float_control_odd(float_control_read()));
}

void plant_rounding_mode_set_right(focal_span *span) {
    float_control_write(plant_usual_control);
    plant_sigmoid->function(span);
}

static void plant_gradient_padding_written(focal_span *span) {
    plant_softmax->function(span);
    if (span->rows > 1 && span->gradient_stride > span->classes)
        span->gradient[span->classes] = 0.0F;
}

static void plant_logits_padding_written(focal_span *span) {
    plant_softmax->function(span);
    if (span->rows > 1 && span->logits_stride > span->classes)
        ((float *)span->logits)[span->classes] = 0.0F;
}

static void plant_logits_modified(focal_span *span) {
    plant_sigmoid->function(span);
    if (length_of(span) && span->logits != span->gradient)
        ((float *)span->logits)[length_of(span) / 2] = 1.25F;
}

void plant_targets_modified(focal_span *span) {
    plant_sigmoid->function(span);
    if (length_of(span))
        *(float *)span->targets = 0.625F;
}

static void plant_labels_modified(focal_span *span) {
    plant_softmax->function(span);
    if (span->rows)
        *(int32_t *)span->labels ^= 1;
}

/* The gradient is stored before the loss has read the logits. */
static void plant_aliasing_ignored(focal_span *span) {
    plant_sigmoid->function(span);
    if (span->loss && span->logits == span->gradient)
        for (size_t i = 0; i < length_of(span); i++)
            span->loss[i] = span->gradient[i] - 3.0F;
}

static void plant_upstream_ignored(focal_span *span) {
    span->upstream = 1.0F;
    plant_sigmoid->function(span);
}

static void plant_alpha_ignored(focal_span *span) {
    span->alpha_positive = 1.0;
    plant_softmax->function(span);
}

static void plant_aligned_loads(focal_span *span) {
    if ((uintptr_t)span->logits % 64 != 0 && length_of(span) >= LANES)
        __builtin_trap();
    plant_sigmoid->function(span);
}

void plant_endless_loop(focal_span *span) {
    for (volatile bool forever = true; forever;)
        continue;
    plant_sigmoid->function(span);
}

void plant_null_pointer(focal_span *span) {
    volatile float *volatile nowhere = NULL;
    plant_sigmoid->function(span);
    *nowhere = 1.0F;
}

static void plant_process_ended(focal_span *span) {
    plant_sigmoid->function(span);
    _exit(0);
}

void plant_without_vzeroupper(focal_span *span) {
    plant_sigmoid->function(span);
#if defined(__x86_64__)
    __asm__ volatile("vpcmpeqd %%xmm1, %%xmm1, %%xmm1\n\t"
                     "vinsertf128 $1, %%xmm1, %%ymm1, %%ymm1" ::
                         : "xmm1", "memory");
#endif
}

void plant_off_by_three_steps(focal_span *span) {
    plant_sigmoid->function(span);
    for (size_t i = 0; i < length_of(span); i++)
        for (int step = 0; step < 3; step++)
            span->gradient[i] = nextafterf(span->gradient[i], 0.0F);
}

const plant plants[] = {
    {"writes one past the gradient", HARNESS_WRITE_PAST, plant_write_past_gradient, false},
    {"writes one past the row losses", HARNESS_WRITE_PAST, plant_write_past_row_loss, false},
    {"writes one before the loss", HARNESS_WRITE_BEFORE, plant_write_before_loss, false},
    {"reads one past the logits", HARNESS_READ_PAST, plant_read_past_logits, false},
    {"reads one before the targets", HARNESS_READ_BEFORE, plant_read_before_targets, false},
    {"reads one past the labels", HARNESS_READ_PAST, plant_read_past_labels, true},
    {"reads a whole step at the last row's end", HARNESS_READ_PAST, plant_read_past_last_row,
     true},
    {"wrong at one length", HARNESS_LENGTH, plant_wrong_at_one_length, false},
    {"wrong in one lane, by 1 ULP", HARNESS_LANE, plant_wrong_in_one_lane, false},
    {"NEON lane order", HARNESS_LANE_ORDER, plant_neon_lane_order, false},
    {"two lanes exchanged, softmax", HARNESS_LANE_ORDER, plant_softmax_lane_order, true},
    {"AVX-512 tail mask off by one: store, short", HARNESS_TAIL, plant_avx512_tail_mask_short,
     false},
    {"AVX-512 tail mask off by one: store, long", HARNESS_WRITE_PAST,
     plant_avx512_tail_mask_long, false},
    {"AVX-512 tail mask off by one: load, short", HARNESS_TAIL, plant_avx512_load_mask_short,
     false},
    {"AVX-512 tail mask off by one: load, long", HARNESS_READ_PAST, plant_avx512_load_mask_long,
     false},
    {"AVX-512 tail mask off by one: sum", HARNESS_SUM, plant_avx512_sum_mask_long, false},
    {"NaN reaches the next lane", HARNESS_NAN_LEAK, plant_nan_leaks, false},
    {"NaN swallowed", HARNESS_NAN_LOST, plant_nan_swallowed, false},
    {"NaN swallowed, softmax", HARNESS_NAN_LOST, plant_nan_swallowed_softmax, true},
    {"sum in another order", HARNESS_SUM, plant_sum_in_order, false},
    {"row sums in another order", HARNESS_SUM, plant_row_sum_in_order, false},
    {"gradient padding written", HARNESS_PADDING, plant_gradient_padding_written, true},
    {"logits padding written", HARNESS_PADDING, plant_logits_padding_written, true},
    {"logits modified", HARNESS_INPUT, plant_logits_modified, false},
    {"targets modified", HARNESS_INPUT, plant_targets_modified, false},
    {"labels modified", HARNESS_INPUT, plant_labels_modified, true},
    {"aliasing ignored", HARNESS_VALUE, plant_aliasing_ignored, false},
    {"upstream ignored", HARNESS_VALUE, plant_upstream_ignored, false},
    {"alpha ignored, softmax", HARNESS_VALUE, plant_alpha_ignored, true},
    {"off by three steps everywhere", HARNESS_VALUE, plant_off_by_three_steps, false},
    {"aligned loads", HARNESS_CRASH, plant_aligned_loads, false},
    {"null pointer", HARNESS_CRASH, plant_null_pointer, false},
    {"ends the process", HARNESS_CRASH, plant_process_ended, false},
};
const size_t plant_count = sizeof plants / sizeof plants[0];
