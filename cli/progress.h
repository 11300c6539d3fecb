/* A progress line on stderr, if that is a terminal: share done and time left. Any thread may
 * update it; it costs next to nothing between two drawings. */
#ifndef FOCAL_CLI_PROGRESS_H
#define FOCAL_CLI_PROGRESS_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct progress {
    const char *label;
    uint64_t total;
    double started, next; /* seconds of the monotonic clock */
    int enabled;
    atomic_flag drawing;
} progress;

/* Shows nothing if `quiet`, or if stderr is no terminal. */
void progress_start(progress *bar, const char *label, uint64_t total, int quiet);
void progress_update(progress *bar, uint64_t done);

/* Removes the line, so that whatever is printed next stands alone. */
void progress_clear(progress *bar);

/* Of the monotonic clock. */
double progress_seconds(void);

#endif
