#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_WORD = 32 };

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Levenshtein distance: insertions, deletions and substitutions from one word to the other. */
static size_t edit_distance(const char *a, const char *b) {
    size_t length = strlen(b), row[LONGEST_WORD + 1];
    if (length > LONGEST_WORD || strlen(a) > LONGEST_WORD)
        return LONGEST_WORD;
    for (size_t j = 0; j <= length; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= length; j++) {
            size_t substituted = diagonal + (a[i] != b[j - 1]);
            diagonal = row[j];
            row[j] = smaller(substituted, smaller(row[j], row[j - 1]) + 1);
        }
    }
    return row[length];
}

const char *nearest_word(const char *text, const void *words, size_t count, size_t stride) {
    const char *nearest = NULL;
    size_t length = strlen(text), best = length < 4 ? 2 : 3; /* one to two typing errors */
    for (size_t i = 0; i < count; i++) {
        const char *word = *(const char *const *)((const char *)words + i * stride);
        /* An abbreviation is near however much is missing. */
        int is_start = length >= 2 && strncmp(text, word, length) == 0;
        size_t distance = is_start ? 0 : edit_distance(text, word);
        if (distance < best) {
            best = distance;
            nearest = word;
        }
    }
    return nearest;
}

static int unknown_option(const command *spec, const char *argument, const char *name) {
    const char *nearest =
        nearest_word(name, &spec->options[0].name, spec->option_count, sizeof(option_spec));
    if (nearest)
        return fail(USAGE, "unknown option %s; did you mean --%s?", argument, nearest);
    return fail(USAGE, "unknown option %s; 'focal %s --help' lists the options", argument,
                spec->name);
}

/* The option that `argument` ("--name" or "--name=value") names, or option_count. */
static size_t find_option(const command *spec, const char *argument, size_t name_length) {
    size_t i = 0;
    for (; i < spec->option_count; i++)
        if (strlen(spec->options[i].name) == name_length &&
            memcmp(spec->options[i].name, argument + 2, name_length) == 0)
            break;
    return i;
}

int parse_options(const command *spec, int argc, char **argv, const char **values, int *help) {
    size_t operands = 0;
    *help = 0;
    for (int i = 0; i < argc; i++) {
        const char *argument = argv[i];
        if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) {
            *help = 1;
            return DONE;
        }
        if (argument[0] != '-' && operands < spec->operand_count) {
            values[spec->option_count + operands++] = argument;
            continue;
        }
        if (argument[0] != '-')
            return fail(USAGE,
                        "unexpected argument '%s': every input is an option, see "
                        "'focal %s --help'",
                        argument, spec->name);
        if (argument[1] != '-')
            return unknown_option(spec, argument, argument + 1);

        const char *equals = strchr(argument, '=');
        size_t name_length = equals ? (size_t)(equals - argument) - 2 : strlen(argument + 2);
        size_t index = find_option(spec, argument, name_length);
        if (index == spec->option_count) {
            char name[LONGEST_WORD + 1] = "";
            memcpy(name, argument + 2, smaller(name_length, LONGEST_WORD));
            return unknown_option(spec, argument, name);
        }
        const option_spec *option = &spec->options[index];
        if (values[index])
            return fail(USAGE, "--%s is given twice", option->name);
        if (!option->argument) {
            if (equals)
                return fail(USAGE, "--%s takes no value", option->name);
            values[index] = "";
            continue;
        }
        const char *value = equals ? equals + 1 : i + 1 < argc ? argv[++i] : "";
        if (!*value || (!equals && strncmp(value, "--", 2) == 0))
            return fail(USAGE, "--%s needs a value: --%s %s", option->name, option->name,
                        option->argument);
        values[index] = value;
    }
    return DONE;
}

static const char *skip_digits(const char *text) {
    return text + strspn(text, "0123456789");
}

/* strtod alone would also take blanks, hexadecimals, "nan" and a rest behind the number. The
 * decimal point is '.' because the command never leaves the C locale. */
int is_decimal(const char *text) {
    const char *start = text + (*text == '-' || *text == '+');
    const char *end = skip_digits(start);
    size_t digits = (size_t)(end - start);
    if (*end == '.') {
        const char *fraction = end + 1;
        end = skip_digits(fraction);
        digits += (size_t)(end - fraction);
    }
    if (digits == 0)
        return 0;
    if (*end == 'e' || *end == 'E') {
        const char *exponent = end + 1;
        exponent += *exponent == '-' || *exponent == '+';
        end = skip_digits(exponent);
        if (end == exponent)
            return 0;
    }
    return *end == '\0';
}

int parse_number(const char *option, const char *text, double *value) {
    if (!is_decimal(text))
        return fail(USAGE, "--%s '%s' is not a decimal number such as 2 or 0.25", option, text);
    *value = strtod(text, NULL);
    return DONE;
}

int parse_integer(const char *option, const char *text, int64_t least, int64_t most,
                  int64_t *value) {
    const char *start = text + (*text == '-' || *text == '+');
    const char *end = skip_digits(start);
    if (end == start || *end)
        return fail(USAGE, "--%s '%s' is not an integer", option, text);
    errno = 0;
    intmax_t number = strtoimax(text, NULL, 10);
    if (errno || number < least || number > most)
        return fail(USAGE, "--%s %s is outside %" PRId64 " to %" PRId64, option, text, least,
                    most);
    *value = (int64_t)number;
    return DONE;
}

int parse_word(const char *what, const char *text, const char *const *words, int *index) {
    char list[128] = "";
    for (int i = 0; words[i]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *index = i;
            return DONE;
        }
        if (strlen(list) + strlen(words[i]) + 3 < sizeof list) {
            if (i)
                strcat(list, ", ");
            strcat(list, words[i]);
        }
    }
    return fail(USAGE, "%s '%s' is none of: %s", what, text, list);
}

int parse_choice(const char *option, const char *text, const char *const *words, int *index) {
    char what[LONGEST_WORD + 3];
    snprintf(what, sizeof what, "--%.*s", LONGEST_WORD, option);
    return parse_word(what, text, words, index);
}

int parse_alpha(const char *text, focal_alpha_mode *mode, double *alpha) {
    *mode = FOCAL_ALPHA_OFF;
    if (strcmp(text, "off") == 0)
        return DONE;
    if (!is_decimal(text))
        return fail(USAGE, "--alpha '%s' is not a decimal number such as 0.25, nor off", text);
    *mode = FOCAL_ALPHA_SCALAR;
    *alpha = strtod(text, NULL);
    if (!(*alpha >= 0.0 && *alpha <= 1.0))
        return fail(USAGE, "--alpha %s is outside [0, 1]; --alpha off turns it off", text);
    return DONE;
}
