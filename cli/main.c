/* The `focal` command: finds the command in the table, parses its options, runs it. */
#include "options.h"

#include <focal.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const command *const commands[] = {
#define COMMAND_POINTER(name) &command_##name,
    COMMAND_LIST(COMMAND_POINTER)
#undef COMMAND_POINTER
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static const char exit_codes[] =
    "Exit codes:\n"
    "  0  done\n"
    "  1  a file could not be read or written, its content does not fit, "
    "or the\n     computation failed\n"
    "  2  the command line is wrong, or asks for what this build or "
    "machine lacks\n"
    "  130  ended by Ctrl-C\n";

static void print_version(void) {
    char built[32];
    snprintf(built, sizeof built, "%d.%d.%d", FOCAL_VERSION_MAJOR, FOCAL_VERSION_MINOR,
             FOCAL_VERSION_PATCH);
    printf("focal %s", built);
    if (strcmp(built, focal_version()) != 0)
        printf(" (running with libfocal %s)", focal_version());
    putchar('\n');
}

static void print_usage(FILE *stream) {
    fputs("usage: focal COMMAND [OPTIONS]\n"
          "       focal help COMMAND\n"
          "       focal --version\n"
          "\n"
          "Focal loss and its gradient on this machine's CPU.\n"
          "\n"
          "Commands:\n",
          stream);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(stream, "  %-8s  %s\n", commands[i]->name, commands[i]->summary);
    fprintf(stream, "  %-8s  %s\n\n", "help", "explain a command and its options");
    fputs(exit_codes, stream);
}

static void print_command_help(const command *spec) {
    printf("usage: focal %s%s\n\n%s.\n\nOptions:\n", spec->name, spec->synopsis, spec->summary);
    for (size_t i = 0; i <= spec->option_count; i++) {
        static const option_spec help = {"help", NULL, "print this and exit"};
        const option_spec *option = i < spec->option_count ? &spec->options[i] : &help;
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", option->name, option->argument ? " " : "",
                 option->argument ? option->argument : "");
        printf("  %-24s", left);
        for (const char *text = option->help; *text; text++) {
            putchar(*text);
            if (*text == '\n')
                printf("  %-24s", "");
        }
        putchar('\n');
    }
    printf("\n%s%s%s", spec->details, *spec->details ? "\n" : "", exit_codes);
}

static const command *find_command(const char *name) {
    const char *names[COMMAND_COUNT + 1];
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        names[i] = commands[i]->name;
        if (strcmp(name, names[i]) == 0)
            return commands[i];
    }
    names[COMMAND_COUNT] = "help";
    const char *nearest = nearest_word(name, names, COMMAND_COUNT + 1, sizeof names[0]);
    if (nearest)
        fail(USAGE, "unknown command '%s'; did you mean 'focal %s'?", name, nearest);
    else
        fail(USAGE, "unknown command '%s'; 'focal --help' lists the commands", name);
    return NULL;
}

static int run_help(int argc, char **argv) {
    if (argc > 1)
        return fail(USAGE, "help takes one command, not %d arguments", argc);
    if (argc == 0 || argv[0][0] == '-') {
        print_usage(stdout);
        return DONE;
    }
    const command *spec = find_command(argv[0]);
    if (!spec)
        return USAGE;
    print_command_help(spec);
    return DONE;
}

static int run_command(const command *spec, int argc, char **argv) {
    message_prefix(spec->name);
    const char **values = calloc(spec->option_count + spec->operand_count + 1, sizeof *values);
    if (!values)
        return fail(FAILED, "out of memory");
    int help = 0, code = parse_options(spec, argc, argv, values, &help);
    if (code == DONE && help)
        print_command_help(spec);
    else if (code == DONE)
        code = spec->run(values);
    free(values);
    return code;
}

static int run(int argc, char **argv) {
    if (argc < 2) {
        print_usage(stderr);
        return USAGE;
    }
    const char *first = argv[1];
    if (strcmp(first, "--version") == 0 || strcmp(first, "--help") == 0 ||
        strcmp(first, "-h") == 0) {
        if (argc > 2)
            return fail(USAGE, "unexpected argument '%s' after %s", argv[2], first);
        if (strcmp(first, "--version") == 0)
            print_version();
        else
            print_usage(stdout);
        return DONE;
    }
    if (first[0] == '-')
        return fail(USAGE,
                    "unknown option %s; the command comes first: focal COMMAND [OPTIONS]",
                    first);
    if (strcmp(first, "help") == 0)
        return run_help(argc - 2, argv + 2);
    const command *spec = find_command(first);
    return spec ? run_command(spec, argc - 2, argv + 2) : USAGE;
}

int main(int argc, char **argv) {
#ifdef SIGXFSZ
    /* A file-size limit shall be a failed write with a message, not a death amid a file. */
    signal(SIGXFSZ, SIG_IGN);
#endif
    int code = run(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout))
        code = fail(FAILED, "the result could not be written to the standard output");
    return code;
}
