#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>

static int first_in_bracket = 1;
static int depth;

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
    putchar('"');
    while (*text) {
        size_t length = utf8_length(text);
        if (length == 0)
            printf("\\udc%02x", *text++);
        else if (*text == '"' || *text == '\\')
            printf("\\%c", *text++);
        else if (*text < 0x20 || *text == 0x7f)
            printf("\\u%04x", *text++);
        else
            for (; length > 0; length--)
                putchar(*text++);
    }
    putchar('"');
}

static void begin(const char *key) {
    if (!first_in_bracket)
        putchar(',');
    if (depth > 0)
        printf("\n%*s", 2 * depth, "");
    first_in_bracket = 0;
    if (key) {
        print_string(key);
        fputs(": ", stdout);
    }
}

void json_open(const char *key, char bracket) {
    begin(key);
    putchar(bracket);
    depth++;
    first_in_bracket = 1;
}

void json_close(char bracket) {
    depth--;
    if (!first_in_bracket)
        printf("\n%*s", 2 * depth, "");
    putchar(bracket);
    first_in_bracket = 0;
    if (depth == 0) {
        putchar('\n');
        first_in_bracket = 1;
    }
}

void json_string(const char *key, const char *value) {
    begin(key);
    if (value)
        print_string(value);
    else
        fputs("null", stdout);
}

void json_integer(const char *key, int64_t value) {
    begin(key);
    printf("%" PRId64, value);
}

void json_boolean(const char *key, int value) {
    begin(key);
    fputs(value ? "true" : "false", stdout);
}

void json_number(const char *key, double value) {
    begin(key);
    if (isfinite(value))
        printf("%.17g", value);
    else
        fputs("null", stdout);
}
