/* The results of a case: comparison, the rules on NaN, the hash, and the diagnosis. */
#include "harness_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ulp.h"

typedef enum { NAN_FORBIDDEN, NAN_REQUIRED, NAN_UNSPECIFIED } nan_rule;

/* What the contracts say of NaNs, apart from any reference. Unspecified: zero alpha and infinite
 * loss; soft targets at infinity, where the factor may have underflowed. */
static nan_rule sigmoid_nan_rule(const kernel_case *one, size_t i) {
    float x = one->logits[i];
    float t = one->dense ? one->dense[i] : (float)one->binary[i];
    if (isnan(x) || isnan(t))
        return NAN_REQUIRED;
    bool soft = t > 0.0F && t < 1.0F;
    double alpha = t > 0.5F ? one->alpha_positive : one->alpha_negative;
    return isinf(x) && (soft || alpha <= 0.0) ? NAN_UNSPECIFIED : NAN_FORBIDDEN;
}

static nan_rule softmax_nan_rule(const kernel_case *one, size_t row) {
    const float *logits = one->logits + row * one->classes;
    bool all_masked = true;
    for (size_t i = 0; i < one->classes; i++) {
        if (isnan(logits[i]) || (isinf(logits[i]) && logits[i] > 0.0F))
            return NAN_REQUIRED;
        if (!isinf(logits[i]))
            all_masked = false;
    }
    if (all_masked)
        return NAN_REQUIRED;
    return isinf(logits[one->labels[row]]) && one->alpha_positive <= 0.0 ? NAN_UNSPECIFIED
                                                                         : NAN_FORBIDDEN;
}

/* One array of results: `rows` rows of `width` elements. */
typedef struct {
    const char *name;
    const float *got;
    const uint32_t *expected;
    size_t rows, width, stride;
    bool elementwise; /* lanes and the rules on NaN mean something */
} result;

static nan_rule rule_of(const harness_runner *r, const result *a, size_t row, size_t i) {
    if (r->kernel->op == KERNEL_SOFTMAX)
        return softmax_nan_rule(r->one, row);
    return a->elementwise ? sigmoid_nan_rule(r->one, i) : NAN_UNSPECIFIED;
}

/* The inputs of an element, for the message. */
static void describe_inputs(const harness_runner *r, const result *a, size_t row, size_t i,
                            char text[96]) {
    const kernel_case *one = r->one;
    if (r->kernel->target == KERNEL_LABEL)
        snprintf(text, 96, " for label %d, x = %a", (int)one->labels[row],
                 (double)one->logits[row * one->classes + i]);
    else if (a->elementwise)
        snprintf(text, 96, " for x = %a, t = %a", (double)one->logits[i],
                 one->dense ? (double)one->dense[i] : (double)one->binary[i]);
    else
        text[0] = '\0';
}

static bool accepted(harness_runner *r, float got, float expected, bool may_cancel) {
    const harness_tolerance *tolerance = &r->tolerance;
    const kernel_case *one = r->one;
    harness_report *report = &r->out->report;
    if (tolerance->ulp <= 0.0)
        return ulp_bits_f32(got) == ulp_bits_f32(expected);
    uint32_t distance = ulp_distance_f32(got, expected);
    if (distance <= tolerance->ulp + tolerance->ulp_per_gamma * one->gamma) {
        if (distance > report->distance)
            report->distance = distance;
        return true;
    }
    double terms = fmax(one->alpha_positive, one->alpha_negative) *
                   fabs((double)one->upstream) * (1.0 + one->gamma);
    double difference = fabs((double)got - (double)expected) / terms;
    if (!may_cancel || !(difference <= tolerance->cancelled))
        return false;
    report->cancelled = fmax(report->cancelled, difference);
    return true;
}

static int compare_words(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Whether the step holds the right numbers in the wrong order. */
static bool permuted(const float *got, const uint32_t *expected, size_t count) {
    uint32_t x[HARNESS_LANES], y[HARNESS_LANES];
    for (size_t i = 0; i < count; i++) {
        x[i] = ulp_bits_f32(got[i]);
        y[i] = expected[i];
    }
    qsort(x, count, sizeof x[0], compare_words);
    qsort(y, count, sizeof y[0], compare_words);
    return memcmp(x, y, count * sizeof x[0]) == 0;
}

static void wrong_element(harness_runner *r, const result *a, size_t row, size_t i,
                          float expected) {
    harness_mistakes *m = &r->out->mistakes;
    float got = a->got[row * a->stride + i];
    char inputs[96];
    describe_inputs(r, a, row, i, inputs);
    if (isnan(got) || isnan(expected)) {
        harness_note(r, isnan(got) ? HARNESS_NAN_LEAK : HARNESS_NAN_LOST,
                     "%s[%zu][%zu] is %a, expected %a%s", a->name, row, i, (double)got,
                     (double)expected, inputs);
        return;
    }
    bool is_sum = !a->elementwise && r->kernel->op == KERNEL_SIGMOID;
    if (is_sum) {
        m->sums++;
    } else {
        r->wrong = true;
        m->elements++;
        m->lanes |= a->elementwise ? UINT32_C(1) << i % HARNESS_LANES : 0xffffU;
        if (a->elementwise && i >= a->width / HARNESS_LANES * HARNESS_LANES)
            m->in_tail++;
    }
    harness_note_first(r, is_sum ? m->first_sum : m->first, "%s[%zu][%zu] is %a, expected %a%s",
                       a->name, row, i, (double)got, (double)expected, inputs);
}

static void check_nan_rule(harness_runner *r, const result *a, size_t row, size_t i) {
    float got = a->got[row * a->stride + i];
    nan_rule rule = rule_of(r, a, row, i);
    char inputs[96];
    if (rule == NAN_UNSPECIFIED || isnan(got) == (rule == NAN_REQUIRED))
        return;
    describe_inputs(r, a, row, i, inputs);
    harness_note(r, rule == NAN_REQUIRED ? HARNESS_NAN_LOST : HARNESS_NAN_LEAK,
                 "%s[%zu][%zu] is %a, against the contract%s", a->name, row, i, (double)got,
                 inputs);
}

static void check_result(harness_runner *r, const result *a) {
    r->out->report.checks += a->rows * a->width;
    bool may_cancel = r->kernel->target == KERNEL_DENSE && a->got == r->span.gradient;
    for (size_t row = 0; row < a->rows; row++)
        for (size_t step = 0; step < a->width; step += HARNESS_LANES) {
            size_t end = step + HARNESS_LANES < a->width ? step + HARNESS_LANES : a->width;
            const float *got = a->got + row * a->stride;
            const uint32_t *expected = a->expected + row * a->width;
            /* NaNs have many bits: they and mistakes are left for the loop. */
            if (memcmp(got + step, expected + step, (end - step) * sizeof *got) == 0)
                continue;
            uint64_t before = r->out->mistakes.elements;
            for (size_t i = step; i < end; i++) {
                float wanted = ulp_from_bits_f32(expected[i]);
                if (!accepted(r, got[i], wanted, may_cancel))
                    wrong_element(r, a, row, i, wanted);
            }
            if (r->out->mistakes.elements == before)
                continue;
            r->out->mistakes.steps++;
            if (a->elementwise && permuted(got + step, expected + step, end - step))
                r->out->mistakes.permuted_steps++;
        }
    /* Once for each case; and once per row for softmax, whose rule reads all of it. */
    if (r->place != GUARD_MIDDLE)
        return;
    for (size_t row = 0; row < a->rows; row++)
        for (size_t i = 0; i < a->width; i++)
            if (r->kernel->op == KERNEL_SIGMOID || i == row % a->width)
                check_nan_rule(r, a, row, i);
}

static void check_sum(harness_runner *r, double expected) {
    double got = r->span.sum;
    r->out->report.checks++;
    if (ulp_bits_f64(got) == ulp_bits_f64(expected))
        return;
    /* A row with its own bits: the bound of the summation, 1e-6, and of its terms, of which
     * none is negative. */
    double ulp = r->tolerance.ulp + r->tolerance.ulp_per_gamma * r->one->gamma;
    if (ulp > 0.0 && fabs(got - expected) <= (1e-6 + ulp * 0x1p-23) * fabs(expected) + 1e-37)
        return;
    r->out->mistakes.sums++;
    harness_note_first(r, r->out->mistakes.first_sum, "sum is %a, expected %a", got, expected);
}

static size_t results_of(const harness_runner *r, result list[3]) {
    const kernel_case *one = r->one;
    const focal_span *span = &r->span;
    size_t count = 0, elements = one->rows * one->classes;
    if (span->loss)
        list[count++] = (result){"loss", span->loss, NULL, 1, elements, elements, true};
    if (span->gradient && r->kernel->op == KERNEL_SIGMOID)
        list[count++] = (result){"gradient", span->gradient, NULL, 1, elements, elements, true};
    else if (span->gradient)
        list[count++] = (result){"gradient",   span->gradient,        NULL, one->rows,
                                 one->classes, span->gradient_stride, true};
    if (span->row_loss)
        list[count++] = (result){"row_loss", span->row_loss, NULL, one->rows, 1, 1, false};
    return count;
}

static uint64_t hash_word(uint64_t hash, uint32_t word) {
    hash = (hash ^ word) * UINT64_C(0x9fb21c651e98df25);
    return hash ^ hash >> 32;
}

/* Appends the results to the hash and, for the reference, to the arena. */
void harness_take_results(harness_runner *r) {
    result list[3];
    size_t count = results_of(r, list);
    uint64_t hash = r->out->report.hash;
    size_t used = r->position;
    for (size_t k = 0; k < count; k++)
        for (size_t row = 0; row < list[k].rows; row++)
            for (size_t i = 0; i < list[k].width; i++) {
                uint32_t bits = ulp_bits_f32(list[k].got[row * list[k].stride + i]);
                hash = hash_word(hash, bits);
                if (r->recording && used < HARNESS_ARENA_WORDS)
                    r->arena[used++] = bits;
            }
    uint64_t sum = ulp_bits_f64(r->span.sum);
    uint32_t halves[2] = {(uint32_t)sum, (uint32_t)(sum >> 32)};
    for (size_t i = 0; i < 2; i++) {
        hash = hash_word(hash, halves[i]);
        if (r->recording && used < HARNESS_ARENA_WORDS)
            r->arena[used++] = halves[i];
    }
    r->out->report.hash = hash;
    r->out->words = used;
}

/* Compares with the arena; returns the case's words there. */
size_t harness_check_results(harness_runner *r) {
    result list[3];
    size_t count = results_of(r, list);
    size_t used = r->position;
    for (size_t k = 0; k < count; k++) {
        list[k].expected = r->arena + used;
        used += list[k].rows * list[k].width;
        check_result(r, &list[k]);
    }
    uint64_t sum = r->arena[used] | (uint64_t)r->arena[used + 1] << 32;
    check_sum(r, ulp_from_bits_f64(sum));
    return used + 2 - r->position;
}

static bool only_length(const harness_mistakes *m, size_t *length) {
    size_t count = 0;
    for (size_t i = 0; i < HARNESS_LENGTHS; i++)
        if (m->wrong_cases[i]) {
            count++;
            *length = i;
        }
    return count == 1;
}

/* What the wrong elements have in common names the mistake. */
void harness_diagnose(harness_outcome *out) {
    harness_mistakes *m = &out->mistakes;
    harness_report *report = &out->report;
    harness_check check = HARNESS_VALUE;
    size_t length = 0;
    char common[96] = "";
    bool one_length = only_length(m, &length);
    if (m->elements == 0 && m->sums == 0)
        return;
    if (m->elements == 0) {
        bool nans = report->failed[HARNESS_NAN_LEAK] || report->failed[HARNESS_NAN_LOST];
        if (!nans) {
            report->failed[HARNESS_SUM] = true;
            snprintf(report->messages[HARNESS_SUM], sizeof report->messages[HARNESS_SUM], "%s",
                     m->first_sum);
        }
        return;
    }
    if (m->permuted_steps == m->steps) {
        check = HARNESS_LANE_ORDER;
        snprintf(common, sizeof common, ", every step a permutation of the right one");
    } else if (one_length && m->cases[length] > 1 &&
               m->wrong_cases[length] == m->cases[length]) {
        check = HARNESS_LENGTH;
        snprintf(common, sizeof common, ", all at length %zu", length);
    } else if (m->in_tail == m->elements && !one_length) {
        check = HARNESS_TAIL;
        snprintf(common, sizeof common, ", all in the partial step at the end");
    } else if ((m->lanes & (m->lanes - 1)) == 0 && m->steps > 1) {
        check = HARNESS_LANE;
        unsigned lane = 0;
        while (m->lanes >> lane != 1)
            lane++;
        snprintf(common, sizeof common, ", all in lane %u", lane);
    }
    /* NaNs at wrong places follow from it. */
    report->failed[HARNESS_NAN_LEAK] = report->failed[HARNESS_NAN_LOST] = false;
    report->failed[check] = true;
    snprintf(report->messages[check], sizeof report->messages[check],
             "%llu elements%s; the first: %.500s", (unsigned long long)m->elements, common,
             m->first);
}
