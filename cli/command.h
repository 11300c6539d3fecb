/* What the commands of `focal` share: the table entry, exit codes, options, messages.
 *
 * To add a command: write cmd_NAME.c with a `const command command_NAME`, add NAME to
 * COMMAND_LIST and the file to meson.build. --help, suggestions and docs follow from the entry.
 */
#ifndef FOCAL_CLI_COMMAND_H
#define FOCAL_CLI_COMMAND_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#else
#define PRINTF_LIKE(text, first)
#endif

/* Documented in --help and docs/cli.md. */
enum exit_code {
    DONE = 0,
    FAILED = 1, /* files, memory, or the computation */
    USAGE = 2,  /* the command line, or what it asks for does not exist here */
};

typedef struct option_spec {
    const char *name;     /* without the dashes */
    const char *argument; /* placeholder of its value in --help; NULL for a flag */
    const char *help;     /* lines separated by '\n' */
} option_spec;

typedef struct command {
    const char *name;
    const char *summary;  /* its line in `focal --help` */
    const char *synopsis; /* what follows "usage: focal NAME" */
    const char *details;  /* what follows the options in its --help */
    const option_spec *options;
    size_t option_count;
    size_t operand_count; /* how many words without dashes it takes at most */
    /* values[i] belongs to options[i]: NULL if not given, "" for a flag that was given. Operands
     * follow in their order, NULL if not given. */
    int (*run)(const char *const *values);
} command;

/* The commands in the order of `focal --help`. */
#define COMMAND_LIST(X)                                                                        \
    X(info)                                                                                    \
    X(eval)                                                                                    \
    X(verify)                                                                                  \
    X(bench)                                                                                   \
    X(tune)

#define DECLARE_COMMAND(name) extern const command command_##name;
COMMAND_LIST(DECLARE_COMMAND)
#undef DECLARE_COMMAND

/* For option lists written as X(INDEX, name, argument, help): an enum of the indices, and the
 * table they point into. */
#define OPTION_INDEX(index, name, argument, help) OPTION_##index,
#define OPTION_ENTRY(index, name, argument, help) {name, argument, help},

/* For printf, which shows the sign of a NaN; where it comes from says nothing. */
static inline double plain_nan(double value) {
    return isnan(value) ? fabs(value) : value;
}

/* "focal" until a command is known, then "focal NAME"; stands before every message. */
void message_prefix(const char *command_name);

/* Prints "PREFIX: MESSAGE" on stderr and returns `code`. */
int fail(enum exit_code code, const char *format, ...) PRINTF_LIKE(2, 3);

/* Prints "PREFIX: note: MESSAGE" on stderr: nothing failed, but the user should know. */
void note(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
