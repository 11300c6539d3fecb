/* Runs code in a forked child, so that a crash or an endless loop becomes a result. */
#ifndef FOCAL_TESTS_CHILD_H
#define FOCAL_TESTS_CHILD_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    CHILD_DONE,   /* the function returned */
    CHILD_FAULT,  /* access to memory that may not be accessed */
    CHILD_SIGNAL, /* any other fatal signal */
    CHILD_TIME,   /* the time limit */
    CHILD_EXIT,   /* the process ended by itself */
    CHILD_NONE,   /* no child could be started */
} child_end;

typedef enum { CHILD_ACCESS_UNKNOWN, CHILD_READ, CHILD_WRITE } child_access;

typedef struct child_result {
    child_end end;
    int number;          /* of the signal, or the exit status */
    const void *address; /* CHILD_FAULT: as the child sees it */
    child_access access;
    int class; /* for the describer */
    char text[480];
} child_result;

/* Called in the dying child, to fill in `class` and `text` from what it knows. */
typedef void child_describer(void *context, child_result *result);

/* `seconds` of processor time, or ten times as long by the clock; 0 sets no limit. Memory that
 * the function shall leave to the caller must be shared. */
child_result child_run(void (*function)(void *context), child_describer *describe,
                       void *context, unsigned seconds);

/* Zeroed memory that children share; untouched pages cost nothing. NULL on failure. */
void *child_shared(size_t size);
void child_shared_free(void *memory, size_t size);

#endif
