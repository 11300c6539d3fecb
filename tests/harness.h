/* Tries one kernel with every case of its contract, in every place in memory, against the results
 * of a reference kernel, and says what kind of mistake it makes. */
#ifndef FOCAL_TESTS_HARNESS_H
#define FOCAL_TESTS_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel.h"

/* X(NAME, text): what can be wrong with a kernel; a report calls it by this text. */
#define HARNESS_CHECKS(X)                                                                      \
    X(VALUE, "wrong value")                                                                    \
    X(LANE, "wrong in one lane")                                                               \
    X(LANE_ORDER, "lane order")                                                                \
    X(TAIL, "tail mask")                                                                       \
    X(LENGTH, "wrong at one length")                                                           \
    X(NAN_LEAK, "NaN from nothing")                                                            \
    X(NAN_LOST, "NaN swallowed")                                                               \
    X(SUM, "sum")                                                                              \
    X(READ_BEFORE, "read before the start")                                                    \
    X(READ_PAST, "read past the end")                                                          \
    X(WRITE_BEFORE, "write before the start")                                                  \
    X(WRITE_PAST, "write past the end")                                                        \
    X(PADDING, "padding written")                                                              \
    X(INPUT, "input modified")                                                                 \
    X(ENVIRONMENT, "floating-point environment changed")                                       \
    X(UPPER_HALVES, "upper halves of vector registers left in use")                            \
    X(TIME, "time limit exceeded")                                                             \
    X(CRASH, "crash")

typedef enum {
#define X(name, text) HARNESS_##name,
    HARNESS_CHECKS(X)
#undef X
        HARNESS_CHECK_COUNT
} harness_check;

const char *harness_check_text(harness_check check);

typedef struct harness_settings {
    uint64_t seed;
    bool quick;
} harness_settings;

/* How far from the reference a kernel may be: not at all (ulp 0), or, for a row whose bits are its
 * own, this many units in the last place. The gradient for soft targets is a difference, and may
 * instead be off by `cancelled` times the size of its terms. */
typedef struct harness_tolerance {
    double ulp, ulp_per_gamma, cancelled;
} harness_tolerance;

typedef struct harness_report {
    bool failed[HARNESS_CHECK_COUNT];
    char messages[HARNESS_CHECK_COUNT][640];
    uint64_t executions, checks;
    uint64_t hash;     /* of all result bits; not of the unroll, ISA and place in memory */
    bool complete;     /* no crash: `hash` is of all cases */
    uint32_t distance; /* the largest one accepted, in ULP */
    double cancelled;  /* the same where the ULP were not kept */
} harness_report;

/* The results of one contract's reference, for every case. */
typedef struct harness_reference harness_reference;

/* Runs the reference; NULL if it crashed or memory is short, and `report` says so. The limit is in
 * seconds of processor time, 0 for none. */
harness_reference *harness_reference_create(const focal_kernel *kernel,
                                            harness_settings settings, unsigned time_limit,
                                            harness_report *report);
void harness_reference_destroy(harness_reference *reference);

/* Runs a kernel of the reference's contract; true if nothing is wrong. */
bool harness_run(const focal_kernel *kernel, const harness_reference *reference,
                 harness_tolerance tolerance, unsigned time_limit, harness_report *report);

#endif
