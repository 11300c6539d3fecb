/* Contenders for one problem, measured on one set of buffers in rounds: every round runs each of
 * them once, in random order, so that their ratios within a round are free of what slows the whole
 * round down. */
#ifndef FOCAL_TUNE_MEASURE_H
#define FOCAL_TUNE_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "choice.h"
#include "stats.h"
#include "timer.h"

/* Synthetic inputs and the outputs of one problem. */
typedef struct focal_trial_data {
    focal_buffers buffers;
    void *memory[8];
} focal_trial_data;

/* Bytes of all buffers; SIZE_MAX if they cannot be counted. */
size_t focal_trial_bytes(const focal_plan *plan);

bool focal_trial_data_make(focal_trial_data *data, const focal_plan *plan);
bool focal_trial_workspace_make(focal_trial_data *data, size_t bytes);
void focal_trial_data_free(focal_trial_data *data);

enum { FOCAL_TRIAL_ROUNDS = 64, FOCAL_TRIAL_CONTENDERS = 64 };

typedef struct focal_contender {
    focal_candidate candidate;
    uint64_t task_elements; /* 0: the default */
    focal_plan *plan;
    bool dropped;
    double samples[FOCAL_TRIAL_ROUNDS]; /* ns per execution, of the phase's rounds */
    focal_summary ratio;                /* to the reference, of the phase's rounds */
} focal_contender;

typedef struct focal_trial {
    focal_contender *contenders; /* FOCAL_TRIAL_CONTENDERS; number 0 is the default */
    size_t count, reference;     /* what ratios refer to */
    focal_trial_data data;
    const focal_tune_settings *settings;
    focal_timer timer;
    double deadline; /* of focal_seconds() */
    uint64_t iterations, random;
    bool stopped; /* by settings->stop, or by an execution that failed */
} focal_trial;

/* Time of one execution of a contender in ns, the least of some; sets the iterations that make a
 * sample long enough. */
double focal_trial_calibrate(focal_trial *trial, size_t index);

/* Runs rounds of all contenders that are not dropped, until `enough` says so, but at least `least`
 * rounds; more than that only before the deadline, and FOCAL_TRIAL_ROUNDS at most. Fills in
 * the ratios. Returns the number of rounds. */
size_t focal_trial_rounds(focal_trial *trial, size_t least,
                          bool (*enough)(focal_trial *trial, size_t rounds));

#endif
