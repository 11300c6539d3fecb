/* What the parts of the harness share. */
#ifndef FOCAL_TESTS_HARNESS_INTERNAL_H
#define FOCAL_TESTS_HARNESS_INTERNAL_H

#include "cases.h"
#include "guard.h"
#include "harness.h"
#include "random.h"

enum { HARNESS_LANES = 16, HARNESS_LENGTHS = 4200, HARNESS_ARENA_WORDS = 1 << 24 };
enum { LOGITS, TARGETS, LABELS, LOSS, ROW_LOSS, GRADIENT, BUFFERS };

/* Which elements were wrong, for telling what kind of mistake it is. */
typedef struct {
    uint64_t elements, in_tail, steps, permuted_steps;
    uint32_t lanes; /* a bit for each */
    uint64_t sums;
    char first[640], first_sum[640];
    /* By length of the row or block. */
    uint16_t cases[HARNESS_LENGTHS], wrong_cases[HARNESS_LENGTHS];
} harness_mistakes;

/* What the child leaves to its parent. */
typedef struct {
    harness_report report;
    harness_mistakes mistakes;
    size_t words; /* of the arena, used */
} harness_outcome;

typedef struct {
    const focal_kernel *kernel;
    harness_settings settings;
    harness_tolerance tolerance;
    unsigned time_limit;
    harness_outcome *out;
    uint32_t *arena; /* results of all cases, one after the other */
    size_t position; /* of the present case */
    bool recording;  /* the reference writes what the others read */
    bool observable;
    random_source places;
    guard_buffer buffers[BUFFERS];
    focal_span span;
    const kernel_case *one;
    guard_place place;
    bool wrong; /* the present case has a wrong element */
    bool odd_tried;
    uint64_t tried; /* cases */
} harness_runner;

/* Records a failure and the case in which it arose; the first of each check counts. */
__attribute__((format(printf, 3, 4))) void harness_note(harness_runner *r, harness_check check,
                                                        const char *format, ...);

/* The same for what harness_diagnose will name, into a text of the mistakes. */
__attribute__((format(printf, 3, 4))) void
harness_note_first(harness_runner *r, char first[640], const char *format, ...);

/* Adds the present case's results to the hash and, for the reference, to the arena. */
void harness_take_results(harness_runner *r);

/* Compares them with the arena and returns how many words they take there. */
size_t harness_check_results(harness_runner *r);

/* What the wrong elements have in common names the mistake. */
void harness_diagnose(harness_outcome *out);

#endif
