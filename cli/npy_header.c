/* The header of a .npy file: a Python dict literal with the keys descr, fortran_order and
 * shape. Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
#include "npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct scanner {
    const char *at, *end;
} scanner;

static void skip_blanks(scanner *scan) {
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\n' || *scan->at == '\t'))
        scan->at++;
}

static int take(scanner *scan, const char *word) {
    skip_blanks(scan);
    size_t length = strlen(word);
    if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, word, length) != 0)
        return 0;
    scan->at += length;
    return 1;
}

/* A Python string literal of either quote; escapes do not occur in what is looked for. */
static int take_string(scanner *scan, char *text, size_t capacity) {
    skip_blanks(scan);
    if (scan->at == scan->end || (*scan->at != '\'' && *scan->at != '"'))
        return 0;
    char quote = *scan->at++;
    size_t length = 0;
    for (; scan->at < scan->end && *scan->at != quote; scan->at++) {
        if (*scan->at == '\\' || length + 1 >= capacity || *scan->at < ' ' || *scan->at > '~')
            return 0;
        text[length++] = *scan->at;
    }
    text[length] = '\0';
    return take(scan, quote == '\'' ? "'" : "\"");
}

static int is_digit(char character) {
    return character >= '0' && character <= '9';
}

/* A dimension; Python 2 wrote "3L". Returns 0 if it is none, -1 if it exceeds int64. */
static int take_dimension(scanner *scan, int64_t *value) {
    skip_blanks(scan);
    if (scan->at == scan->end || !is_digit(*scan->at))
        return 0;
    for (*value = 0; scan->at < scan->end && is_digit(*scan->at); scan->at++) {
        int digit = *scan->at - '0';
        if (*value > (INT64_MAX - digit) / 10)
            return -1;
        *value = *value * 10 + digit;
    }
    take(scan, "L");
    return 1;
}

static const char *parse_shape(npy_header *header, scanner *scan) {
    header->dimensions = 0;
    int comma = 1;
    if (!take(scan, "("))
        return "its shape is not a tuple";
    while (!take(scan, ")")) {
        int64_t value;
        if (!comma)
            return "its shape is not a tuple of integers";
        if (header->dimensions == NPY_DIMENSIONS_MAX)
            return "it has more than 32 dimensions";
        switch (take_dimension(scan, &value)) {
        case 0:
            return "its shape is not a tuple of integers";
        case -1:
            return "a dimension of its shape exceeds 63 bits";
        default:
            header->shape[header->dimensions++] = value;
        }
        comma = take(scan, ",");
    }
    if (header->dimensions == 1 && !comma)
        return "its shape is not a tuple"; /* "(3)" is an integer */
    return NULL;
}

static int big_endian(void) {
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 0;
}

/* Kinds and sizes of NumPy that have a C type here; longdouble, complex, strings, dates,
 * objects and records have not. */
static int parse_type(npy_header *header, const char *type) {
    static const char known[][3] = {"f2", "f4", "f8", "i1", "i2", "i4",
                                    "i8", "u1", "u2", "u4", "u8", "b1"};
    if (!*type || !strchr("<>|=", type[0]))
        return 0;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(type + 1, known[i]) == 0) {
            header->kind = known[i][0];
            header->item_size = known[i][1] - '0';
            header->swapped = header->item_size > 1 && type[0] == (big_endian() ? '<' : '>');
            return type[0] != '|' || header->item_size == 1;
        }
    return 0;
}

/* The product of the dimensions other than zero must fit as well, as in NumPy. */
static const char *multiply_shape(npy_header *header) {
    int64_t bytes = header->item_size;
    int empty = 0;
    for (int i = 0; i < header->dimensions; i++) {
        if (header->shape[i] == 0)
            empty = 1;
        else if (header->shape[i] > INT64_MAX / bytes)
            return "its shape multiplies to more bytes than 63 bits can count";
        else
            bytes *= header->shape[i];
    }
    header->count = empty ? 0 : bytes / header->item_size;
    return NULL;
}

const char *npy_parse_header(npy_header *header, const char *text, size_t length,
                             char reason[160]) {
    static const char malformed[] =
        "its header is not a dict of descr, fortran_order and shape";
    scanner scan = {text, text + length};
    char type[64] = "", key[16];
    int seen_type = 0, seen_order = 0, seen_shape = 0;
    if (!take(&scan, "{"))
        return malformed;
    while (!take(&scan, "}")) {
        if (!take_string(&scan, key, sizeof key) || !take(&scan, ":"))
            return malformed;
        if (strcmp(key, "descr") == 0 && !seen_type++) {
            if (take(&scan, "["))
                return "it is a structured array (records); save one field as a plain array";
            if (!take_string(&scan, type, sizeof type))
                return malformed;
        } else if (strcmp(key, "fortran_order") == 0 && !seen_order++) {
            header->fortran = take(&scan, "True");
            if (!header->fortran && !take(&scan, "False"))
                return malformed;
        } else if (strcmp(key, "shape") == 0 && !seen_shape++) {
            const char *wrong = parse_shape(header, &scan);
            if (wrong)
                return wrong;
        } else
            return malformed;
        if (!take(&scan, ",")) {
            if (!take(&scan, "}"))
                return malformed;
            break;
        }
    }
    skip_blanks(&scan);
    if (scan.at != scan.end || !seen_type || !seen_order || !seen_shape)
        return malformed;
    if (!parse_type(header, type)) {
        snprintf(reason, 160,
                 "its dtype '%s' is not a real number of 8 to 64 bits; convert it with astype",
                 type);
        return reason;
    }
    return multiply_shape(header);
}

const char *npy_type_name(const npy_header *header, char text[16]) {
    if (header->kind == 'b')
        snprintf(text, 16, "bool");
    else
        snprintf(text, 16, "%c%d", header->kind, header->item_size * 8);
    return text;
}

const char *npy_shape_text(const int64_t *shape, int dimensions, char text[160]) {
    size_t length = 0;
    text[0] = '\0';
    if (dimensions == 0)
        snprintf(text, 160, "scalar");
    for (int i = 0; i < dimensions; i++) {
        /* Room for one more dimension of 19 digits, or else for the dots. */
        if (length > 160 - 32) {
            snprintf(text + length, 160 - length, " x ...");
            break;
        }
        length += (size_t)snprintf(text + length, 160 - length, "%s%" PRId64, i ? " x " : "",
                                   shape[i]);
    }
    return text;
}
