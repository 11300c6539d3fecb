/* Command-line parsing: long options with values, strict numbers, suggestions. */
#ifndef FOCAL_CLI_OPTIONS_H
#define FOCAL_CLI_OPTIONS_H

#include "command.h"

#include <focal.h>

/* Fills values[] from the arguments after the command's name: --name VALUE, --name=VALUE, --flag,
 * and --help or -h, which sets *help. No abbreviations, nothing twice, no other arguments than
 * spec->operand_count operands behind the options' values. Returns an exit code. */
int parse_options(const command *spec, int argc, char **argv, const char **values, int *help);

int is_decimal(const char *text);

/* A decimal number without anything around it; range is left to the library (1e999 is
 * infinite). These return an exit code and name the option in their message. */
int parse_number(const char *option, const char *text, double *value);
int parse_integer(const char *option, const char *text, int64_t least, int64_t most,
                  int64_t *value);

/* A number in [0, 1], or "off". */
int parse_alpha(const char *text, focal_alpha_mode *mode, double *alpha);

/* The index of `text` in a NULL-terminated list of words; `what` names what they are. */
int parse_word(const char *what, const char *text, const char *const *words, int *index);
int parse_choice(const char *option, const char *text, const char *const *words, int *index);

/* The word of the list (`count` pointers to strings, `stride` bytes apart) that `text` most
 * likely meant, or NULL if none is near. */
const char *nearest_word(const char *text, const void *words, size_t count, size_t stride);

#endif
