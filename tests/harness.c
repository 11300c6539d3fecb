#define _POSIX_C_SOURCE 200809L /* strsignal */
#include "harness_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "machine_state.h"

struct harness_reference {
    harness_settings settings;
    uint32_t *arena;
};

const char *harness_check_text(harness_check check) {
    static const char *const texts[] = {
#define X(name, text) text,
        HARNESS_CHECKS(X)
#undef X
    };
    return texts[check];
}

/* ---- Reporting --------------------------------------------------------------------------- */

/* The message and the case in which it arose. */
__attribute__((format(printf, 4, 0))) static void describe(const harness_runner *r, char *text,
                                                           size_t capacity, const char *format,
                                                           va_list arguments) {
    const kernel_case *one = r->one;
    vsnprintf(text, capacity, format, arguments);
    size_t used = strlen(text);
    if (one)
        snprintf(text + used, capacity - used,
                 " (%s: %zu x %zu, gamma %g, alpha %g/%g, upstream %g%s%s%s, padding %zu/%zu,"
                 " buffers %s)",
                 one->part, one->rows, one->classes, one->gamma, one->alpha_positive,
                 one->alpha_negative, (double)one->upstream, one->loss ? ", losses" : "",
                 one->row_loss ? ", row losses" : "", one->in_place ? ", in place" : "",
                 one->logits_padding, one->gradient_padding, guard_place_text(r->place));
}

void harness_note(harness_runner *r, harness_check check, const char *format, ...) {
    harness_report *report = &r->out->report;
    if (report->failed[check])
        return;
    report->failed[check] = true;
    va_list arguments;
    va_start(arguments, format);
    describe(r, report->messages[check], sizeof report->messages[check], format, arguments);
    va_end(arguments);
}

void harness_note_first(harness_runner *r, char first[640], const char *format, ...) {
    if (first[0])
        return;
    va_list arguments;
    va_start(arguments, format);
    describe(r, first, 640, format, arguments);
    va_end(arguments);
}

/* ---- Layout ------------------------------------------------------------------------------ */

static size_t extent(const kernel_case *one, size_t padding) {
    return one->rows ? (one->rows - 1) * (one->classes + padding) + one->classes : 0;
}

static size_t place_offset(harness_runner *r, size_t element) {
    return element * random_below(&r->places, element == 1 ? 64 : HARNESS_LANES);
}

static void *put(harness_runner *r, int buffer, size_t count, size_t element) {
    return guard_put(&r->buffers[buffer], r->place, count * element, place_offset(r, element));
}

/* Fills the buffers of a case; those that it does not use keep no data. */
static void lay_out(harness_runner *r) {
    const kernel_case *one = r->one;
    const focal_kernel *kernel = r->kernel;
    size_t elements = one->rows * one->classes;
    size_t stride = one->classes + one->logits_padding;
    float *logits = put(r, LOGITS, extent(one, one->logits_padding), sizeof(float));
    for (size_t row = 0; row < one->rows; row++)
        memcpy(logits + row * stride, one->logits + row * one->classes,
               one->classes * sizeof(float));
    /* Labels in the place of 0/1 targets: the same bits, but in the middle, where results are taken. */
    bool by_label = kernel->target == KERNEL_BINARY && one->labels && r->place != GUARD_MIDDLE;
    bool dense = kernel->target == KERNEL_DENSE;
    bool label = kernel->target == KERNEL_LABEL || by_label;
    size_t width = dense ? sizeof(float) : 1;
    void *targets = put(r, TARGETS, label ? 0 : elements, width);
    int32_t *labels = put(r, LABELS, label ? one->rows : 0, sizeof(int32_t));
    if (label)
        memcpy(labels, one->labels, one->rows * sizeof(int32_t));
    else
        memcpy(targets, dense ? (const void *)one->dense : one->binary, elements * width);
    float *loss = put(r, LOSS, one->loss ? elements : 0, sizeof(float));
    float *row_loss = put(r, ROW_LOSS, one->row_loss ? one->rows : 0, sizeof(float));
    bool separate = kernel->direction != KERNEL_LOSS && !one->in_place;
    float *gradient =
        put(r, GRADIENT, separate ? extent(one, one->gradient_padding) : 0, sizeof(float));
    r->span = (focal_span){
        .logits = logits,
        .targets = label ? NULL : targets,
        .labels = label ? labels : NULL,
        .loss = one->loss ? loss : NULL,
        .row_loss = one->row_loss ? row_loss : NULL,
        .gradient = kernel->direction == KERNEL_LOSS ? NULL
                    : separate                       ? gradient
                                                     : logits,
        .rows = one->rows,
        .classes = one->classes,
        .logits_stride = stride,
        .gradient_stride = one->classes + one->gradient_padding,
        .half_steps = one->half_steps,
        .gamma = one->gamma,
        .alpha_positive = one->alpha_positive,
        .alpha_negative = one->alpha_negative,
        .upstream = one->upstream,
        .sum = -1.0,
    };
}

/* ---- The call ---------------------------------------------------------------------------- */

static void call(harness_runner *r, float_control wanted) {
    float_control before = float_control_read();
    float_control_write(wanted);
    upper_halves_clean(r->observable);
    r->kernel->function(&r->span);
    bool in_use = upper_halves_in_use(r->observable);
    float_control after = float_control_read();
    float_control_write(before);
    upper_halves_clean(r->observable);
    r->out->report.executions++;
    r->out->report.checks += r->observable ? 2 : 1;
    if (after != wanted)
        harness_note(r, HARNESS_ENVIRONMENT, "control bits %#llx instead of %#llx on return",
                     (unsigned long long)after, (unsigned long long)wanted);
    if (in_use)
        harness_note(r, HARNESS_UPPER_HALVES, "no vzeroupper before the return");
}

/* ---- Memory ------------------------------------------------------------------------------ */

static void check_surroundings(harness_runner *r) {
    for (int i = 0; i < BUFFERS; i++) {
        const guard_buffer *buffer = &r->buffers[i];
        ptrdiff_t distance = guard_disturbance(buffer);
        r->out->report.checks++;
        if (distance > 0)
            harness_note(r, HARNESS_WRITE_PAST, "byte %td past the end of %s was written",
                         distance, buffer->name);
        if (distance < 0)
            harness_note(r, HARNESS_WRITE_BEFORE, "byte %td before the start of %s was written",
                         -distance, buffer->name);
    }
}

static void check_padding(harness_runner *r, int buffer, size_t padding) {
    const kernel_case *one = r->one;
    const guard_buffer *b = &r->buffers[buffer];
    if (padding == 0 || one->rows == 0)
        return;
    r->out->report.checks++;
    for (size_t row = 0; row + 1 < one->rows; row++) {
        size_t start = (row * (one->classes + padding) + one->classes) * sizeof(float);
        if (!guard_intact(b, b->data + start, b->data + start + padding * sizeof(float)))
            harness_note(r, HARNESS_PADDING, "the padding after row %zu of %s was written", row,
                         b->name);
    }
}

static void check_inputs(harness_runner *r) {
    const kernel_case *one = r->one;
    const focal_span *span = &r->span;
    r->out->report.checks++;
    if (!one->in_place)
        for (size_t row = 0; row < one->rows; row++)
            if (memcmp(span->logits + row * span->logits_stride,
                       one->logits + row * one->classes, one->classes * sizeof(float)) != 0)
                harness_note(r, HARNESS_INPUT, "row %zu of the logits was written", row);
    if (span->targets &&
        memcmp(span->targets, one->dense ? (const void *)one->dense : one->binary,
               r->buffers[TARGETS].data_size) != 0)
        harness_note(r, HARNESS_INPUT, "the targets were written");
    if (span->labels && memcmp(span->labels, one->labels, one->rows * sizeof(int32_t)) != 0)
        harness_note(r, HARNESS_INPUT, "the labels were written");
}

/* Under other control bits than the usual ones, which a kernel must not set right either. */
static void try_odd_environment(harness_runner *r) {
    r->place = GUARD_MIDDLE;
    lay_out(r);
    call(r, float_control_odd(float_control_read()));
}

static void try_case(const kernel_case *one, void *context) {
    harness_runner *r = context;
    size_t words = 0;
    r->one = one;
    r->wrong = false;
    /* Reading before the start is the rarer mistake: quick looks for it in every fourth case. */
    guard_place last = r->settings.quick && r->tried++ % 4 != 0 ? GUARD_END : GUARD_START;
    for (int place = GUARD_MIDDLE; place <= (int)(r->recording ? GUARD_MIDDLE : last);
         place++) {
        r->place = (guard_place)place;
        lay_out(r);
        call(r, float_control_read());
        if (place == GUARD_MIDDLE)
            harness_take_results(r);
        if (r->recording)
            continue;
        check_surroundings(r);
        check_padding(r, LOGITS, one->logits_padding);
        if (r->span.gradient && !one->in_place)
            check_padding(r, GRADIENT, one->gradient_padding);
        check_inputs(r);
        words = harness_check_results(r);
    }
    r->position = r->recording ? r->out->words : r->position + words;
    size_t length = r->kernel->op == KERNEL_SIGMOID ? one->rows * one->classes : one->classes;
    r->out->mistakes.cases[length]++;
    if (r->wrong)
        r->out->mistakes.wrong_cases[length]++;
    if (!r->recording && !r->odd_tried && length) {
        r->odd_tried = true;
        try_odd_environment(r);
    }
}

/* ---- Runs -------------------------------------------------------------------------------- */

static bool make_buffers(harness_runner *r) {
    size_t elements = (CASE_ELEMENTS_MAX + CASE_ROWS_MAX) * sizeof(float);
    return guard_create(&r->buffers[LOGITS], "logits", 0xff, elements) &&
           guard_create(&r->buffers[TARGETS], "targets", 0xff, elements) &&
           guard_create(&r->buffers[LABELS], "labels", 0xff, elements) &&
           guard_create(&r->buffers[LOSS], "loss", 0xa5, elements) &&
           guard_create(&r->buffers[ROW_LOSS], "row_loss", 0xa5, elements) &&
           guard_create(&r->buffers[GRADIENT], "gradient", 0xa5, elements);
}

static void run_in_child(void *context) {
    harness_runner *r = context;
    const char *name = r->kernel->name;
    r->places = random_named(~r->settings.seed, name, strlen(name));
    r->observable = upper_halves_observable();
    if (!make_buffers(r)) {
        harness_note(r, HARNESS_CRASH, "out of memory");
        return;
    }
    cases_each(r->kernel, r->settings.seed, r->settings.quick, try_case, r);
    if (r->recording && r->out->words >= HARNESS_ARENA_WORDS) {
        harness_note(r, HARNESS_CRASH, "the arena for the reference's results is too small");
        return;
    }
    r->out->report.complete = true;
}

/* In the dying child: which check the fault is. */
static void describe_end(void *context, child_result *end) {
    harness_runner *r = context;
    ptrdiff_t distance = 0;
    const guard_buffer *buffer =
        end->end == CHILD_FAULT ? guard_find(end->address, &distance) : NULL;
    if (end->end == CHILD_TIME) {
        harness_note(r, HARNESS_TIME, "still running after %u s of processor time",
                     r->time_limit);
    } else if (!buffer || distance == 0) {
        harness_note(r, HARNESS_CRASH, "signal %d (%s), address %p", end->number,
                     strsignal(end->number), end->address);
    } else {
        bool output = buffer->canary == 0xa5;
        bool write = end->access == CHILD_ACCESS_UNKNOWN ? output : end->access == CHILD_WRITE;
        harness_check check = distance < 0 ? write ? HARNESS_WRITE_BEFORE : HARNESS_READ_BEFORE
                              : write      ? HARNESS_WRITE_PAST
                                           : HARNESS_READ_PAST;
        harness_note(r, check, "fault at byte %td %s %s", distance < 0 ? -distance : distance,
                     distance < 0 ? "before the start of" : "past the end of", buffer->name);
    }
}

static void out_of_memory(harness_report *report) {
    memset(report, 0, sizeof *report);
    report->failed[HARNESS_CRASH] = true;
    snprintf(report->messages[HARNESS_CRASH], sizeof report->messages[HARNESS_CRASH],
             "out of memory");
}

static bool run(harness_runner *r, harness_report *report) {
    memset(report, 0, sizeof *report);
    r->out = child_shared(sizeof *r->out);
    if (!r->out) {
        out_of_memory(report);
        return false;
    }
    child_result end = child_run(run_in_child, describe_end, r, r->time_limit);
    bool known = end.end == CHILD_DONE || end.end == CHILD_FAULT || end.end == CHILD_TIME ||
                 (end.end == CHILD_SIGNAL && r->out->report.failed[HARNESS_CRASH]);
    r->one = NULL;
    if (!known)
        harness_note(r, HARNESS_CRASH, "the process ended with %s %d",
                     end.end == CHILD_SIGNAL ? "signal" : "status", end.number);
    harness_diagnose(r->out);
    *report = r->out->report;
    child_shared_free(r->out, sizeof *r->out);
    bool good = report->complete;
    for (int check = 0; check < HARNESS_CHECK_COUNT; check++)
        good = good && !report->failed[check];
    return good;
}

harness_reference *harness_reference_create(const focal_kernel *kernel,
                                            harness_settings settings, unsigned time_limit,
                                            harness_report *report) {
    harness_reference *reference = malloc(sizeof *reference);
    uint32_t *arena = child_shared(HARNESS_ARENA_WORDS * sizeof *arena);
    if (!reference || !arena) {
        free(reference);
        child_shared_free(arena, HARNESS_ARENA_WORDS * sizeof *arena);
        out_of_memory(report);
        return NULL;
    }
    *reference = (harness_reference){settings, arena};
    harness_runner r = {.kernel = kernel,
                        .settings = settings,
                        .time_limit = time_limit,
                        .arena = arena,
                        .recording = true};
    if (run(&r, report))
        return reference;
    harness_reference_destroy(reference);
    return NULL;
}

void harness_reference_destroy(harness_reference *reference) {
    if (!reference)
        return;
    child_shared_free(reference->arena, HARNESS_ARENA_WORDS * sizeof *reference->arena);
    free(reference);
}

bool harness_run(const focal_kernel *kernel, const harness_reference *reference,
                 harness_tolerance tolerance, unsigned time_limit, harness_report *report) {
    harness_runner r = {.kernel = kernel,
                        .settings = reference->settings,
                        .tolerance = tolerance,
                        .time_limit = time_limit,
                        .arena = reference->arena};
    return run(&r, report);
}
