/* Tuning files on disk: where they are, reading one, replacing one without ever leaving a torn
 * one. */
#ifndef FOCAL_TUNE_FILE_H
#define FOCAL_TUNE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "sections.h"

enum { FOCAL_TUNE_PATH_MAX = 4096 };

/* The files of the first look-up, in their order: how many there are, at most 2. 0 with a reason:
 * FOCAL_TUNE_FILE is empty. */
typedef struct focal_tune_places {
    char path[2][FOCAL_TUNE_PATH_MAX];
    int count;
    bool writable; /* the first one is the environment's or the user's */
    bool in_cache; /* the first one is in the user's cache folder, which may have to be made */
    const char *reason; /* why there is none, or none to write */
} focal_tune_places;

void focal_tune_places_get(focal_tune_places *places);

/* True where the environment is somebody else's: set-user-id, set-group-id, capabilities. */
bool focal_tune_privileged(void);

/* Reads and parses a file. FOCAL_E_FILE: it cannot be read, and *missing says whether that is
 * because it is not there. */
focal_status focal_tune_read(const char *path, focal_sections *sections,
                             focal_tune_report *report, bool *missing, focal_error *error);

/* Reads the file under its lock, lets `change` edit the content, and replaces the file. One that is
 * not there or empty counts as one without sections. */
focal_status focal_tune_rewrite(const char *path, bool make_folder,
                                bool (*change)(void *context, focal_sections *sections),
                                void *context, focal_tune_report *report, focal_error *error);

#endif
