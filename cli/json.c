#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>

static FILE *chosen; /* NULL: stdout, which is no constant to begin with */
static int first_in_bracket = 1;
static int depth;

void json_to(FILE *stream) {
    chosen = stream;
}

static FILE *output(void) {
    return chosen ? chosen : stdout;
}

/* The length of the UTF-8 sequence at `text`, 0 if it is none (RFC 3629: shortest form, no
 * surrogates, at most U+10FFFF). A NUL ends every sequence, so this never reads past the text.
 */
static size_t utf8_length(const unsigned char *text) {
    if (text[0] < 0x80)
        return 1;
    size_t length = text[0] >= 0xc2 && text[0] <= 0xdf   ? 2
                    : text[0] >= 0xe0 && text[0] <= 0xef ? 3
                    : text[0] >= 0xf0 && text[0] <= 0xf4 ? 4
                                                         : 0;
    unsigned low = text[0] == 0xe0 ? 0xa0 : text[0] == 0xf0 ? 0x90 : 0x80;
    unsigned high = text[0] == 0xed ? 0x9f : text[0] == 0xf4 ? 0x8f : 0xbf;
    for (size_t i = 1; i < length; i++, low = 0x80, high = 0xbf)
        if (text[i] < low || text[i] > high)
            return 0;
    return length;
}

static void print_string(const char *value) {
    const unsigned char *text = (const unsigned char *)value;
    putc('"', output());
    while (*text) {
        size_t length = utf8_length(text);
        if (length == 0)
            fprintf(output(), "\\udc%02x", *text++);
        else if (*text == '"' || *text == '\\')
            fprintf(output(), "\\%c", *text++);
        else if (*text < 0x20 || *text == 0x7f)
            fprintf(output(), "\\u%04x", *text++);
        else
            for (; length > 0; length--)
                putc(*text++, output());
    }
    putc('"', output());
}

static void begin(const char *key) {
    if (!first_in_bracket)
        putc(',', output());
    if (depth > 0)
        fprintf(output(), "\n%*s", 2 * depth, "");
    first_in_bracket = 0;
    if (key) {
        print_string(key);
        fputs(": ", output());
    }
}

void json_open(const char *key, char bracket) {
    begin(key);
    putc(bracket, output());
    depth++;
    first_in_bracket = 1;
}

void json_close(char bracket) {
    depth--;
    if (!first_in_bracket)
        fprintf(output(), "\n%*s", 2 * depth, "");
    putc(bracket, output());
    first_in_bracket = 0;
    if (depth == 0) {
        putc('\n', output());
        first_in_bracket = 1;
    }
}

void json_string(const char *key, const char *value) {
    begin(key);
    if (value)
        print_string(value);
    else
        fputs("null", output());
}

void json_integer(const char *key, int64_t value) {
    begin(key);
    fprintf(output(), "%" PRId64, value);
}

void json_boolean(const char *key, int value) {
    begin(key);
    fputs(value ? "true" : "false", output());
}

void json_number(const char *key, double value) {
    begin(key);
    if (isfinite(value))
        fprintf(output(), "%.17g", value);
    else
        fputs("null", output());
}
