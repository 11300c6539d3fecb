#include "command.h"

#include <stdarg.h>
#include <stdio.h>

static const char *prefix_blank = "";
static const char *prefix_name = "";

void message_prefix(const char *command_name) {
    prefix_blank = " ";
    prefix_name = command_name;
}

static void print(const char *kind, const char *format, va_list arguments) {
    /* What a command has printed so far comes first even where both go to one file. */
    fflush(stdout);
    fprintf(stderr, "focal%s%s: %s", prefix_blank, prefix_name, kind);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

int fail(enum exit_code code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print("", format, arguments);
    va_end(arguments);
    return (int)code;
}

void note(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print("note: ", format, arguments);
    va_end(arguments);
}
