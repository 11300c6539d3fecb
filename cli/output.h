/* Files that a command writes so that at any time the name leads to the old file or to all of the
 * new one: a temporary beside it becomes it by one rename. SIGINT, SIGTERM and SIGHUP remove the
 * temporaries before they end the process. */
#ifndef FOCAL_CLI_OUTPUT_H
#define FOCAL_CLI_OUTPUT_H

#include "command.h"

#include <stdio.h>
#include <sys/types.h>

typedef struct output_file {
    const char *option; /* "--grad": for messages */
    const char *path;
    char *resolved;  /* absolute, without symbolic links; NULL if not asked for */
    char *temporary; /* NULL when there is none on disk */
    FILE *stream;    /* of the temporary, from output_begin to output_end */
    int exists;
    mode_t mode; /* of the existing file, which its successor inherits */
    dev_t device;
    ino_t inode;
} output_file;

/* Checks before any work that an output can be meant: its folder exists, and it is no folder and
 * no device. A NULL path is no output, and nothing is done for it below. Returns an exit code, as
 * all of these do. */
int output_check(output_file *output, const char *option, const char *path);

/* Makes the temporary, empty, with a stream to write its content to. This and what follows is for
 * one thread of the process. */
int output_begin(output_file *output);

/* Closes the stream, with everything all the way to the disk; fails if any write to it has. */
int output_end(output_file *output);

/* Gives the temporary its name, replacing what was there. */
int output_commit(output_file *output);

/* Removes the temporary if it is still one, and releases memory. */
void output_release(output_file *output);

#endif
