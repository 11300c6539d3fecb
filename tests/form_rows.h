/* Tries a form kernel (kernels/form.h) of one ISA row against another's results: the same bits for
 * every count, place in memory, choice of outputs and aliasing, and nothing else touched. */
#ifndef FOCAL_TESTS_FORM_ROWS_H
#define FOCAL_TESTS_FORM_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "form.h"

/* X(NAME, text): what can be wrong with a kernel. */
#define FORM_CHECKS(X)                                                                         \
    X(VALUE, "wrong value")                                                                    \
    X(NAN, "NaN lost or made")                                                                 \
    X(SUM, "wrong sum")                                                                        \
    X(ROW, "wrong numbers carried along the row")                                              \
    X(WRITE, "write outside an output")                                                        \
    X(INPUT, "an input was written")                                                           \
    X(FAULT, "access outside the buffers")                                                     \
    X(STATE, "the processor's state was not restored")                                         \
    X(CRASH, "crash")                                                                          \
    X(TIME, "time limit")

typedef enum {
#define FORM_CHECK_ENUM(name, text) FORM_CHECK_##name,
    FORM_CHECKS(FORM_CHECK_ENUM)
#undef FORM_CHECK_ENUM
        FORM_CHECK_COUNT
} form_check;

typedef struct {
    uint64_t seed;
    unsigned rounds; /* cases of each form */
    bool bits;       /* equal bits; else only NaNs at the same places */
    unsigned time_limit;
} form_rows_settings;

typedef struct {
    bool failed[FORM_CHECK_COUNT];
    char first[FORM_CHECK_COUNT][256];
    uint64_t calls, values;
    bool complete;
} form_rows_report;

const char *form_check_text(form_check check);

/* True if nothing was wrong. Runs in a child process. Kernels of one reference are best tried one
 * after the other: its results are then computed once. */
bool form_rows_try(const focal_form_kernel *kernel, const focal_form_kernel *reference,
                   form_rows_settings settings, form_rows_report *report);

#endif
