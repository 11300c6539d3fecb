/* Reads what bench_write() wrote, and refuses anything else: every key it knows, no escapes
 * beyond those that it writes. */
#include "bench.h"
#include "command.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_FILE = 16 << 20, LONGEST_KEY = 64 };

typedef struct reader {
    const char *path, *start, *at;
    const char *trouble; /* the first, NULL if none */
} reader;

static int trouble(reader *file, const char *what) {
    if (!file->trouble)
        file->trouble = what;
    return 0;
}

static void skip_blanks(reader *file) {
    file->at += strspn(file->at, " \t\r\n");
}

static int take(reader *file, char letter) {
    skip_blanks(file);
    if (*file->at != letter)
        return 0;
    file->at++;
    return 1;
}

/* Text longer than the capacity is an error: nothing we wrote is. */
static int read_text(reader *file, char *text, size_t capacity) {
    size_t length = 0;
    if (!take(file, '"'))
        return trouble(file, "a string is missing");
    while (*file->at && *file->at != '"') {
        char letter = *file->at++;
        if (letter == '\\') {
            letter = *file->at++;
            if (letter != '"' && letter != '\\')
                return trouble(file, "an escape that focal bench does not write");
        }
        if (length + 1 >= capacity)
            return trouble(file, "a string is too long");
        text[length++] = letter;
    }
    text[length] = '\0';
    return take(file, '"') ? 1 : trouble(file, "a string does not end");
}

static int read_number(reader *file, double *number) {
    skip_blanks(file);
    if (strncmp(file->at, "null", 4) == 0) {
        file->at += 4;
        *number = (double)NAN;
        return 1;
    }
    char *end;
    if (!strchr("-0123456789", *file->at) || !*file->at)
        return trouble(file, "a number is missing");
    *number = strtod(file->at, &end);
    file->at = end;
    return isfinite(*number) ? 1 : trouble(file, "a number is too large");
}

/* Calls `member` for each key of an object, behind its colon. */
static int read_object(reader *file, int (*member)(reader *, const char *, void *),
                       void *context) {
    char key[LONGEST_KEY];
    if (!take(file, '{'))
        return trouble(file, "an object is missing");
    if (take(file, '}'))
        return 1;
    do {
        if (!read_text(file, key, sizeof key))
            return 0;
        if (!take(file, ':'))
            return trouble(file, "a colon is missing");
        if (!member(file, key, context))
            return 0;
    } while (take(file, ','));
    return take(file, '}') ? 1 : trouble(file, "an object does not end");
}

static int read_card_line(reader *file, const char *key, void *context) {
    bench_card *card = context;
    for (int line = 0; line < BENCH_CARD_COUNT; line++)
        if (strcmp(key, bench_card_keys[line]) == 0)
            return read_text(file, card->text[line], sizeof card->text[line]);
    return trouble(file, "an unknown line in the host card");
}

/* The comparison of files does not use them. */
static int skip_speedup(reader *file, const char *key, void *context) {
    double number;
    (void)key;
    (void)context;
    if (!take(file, '['))
        return trouble(file, "an array is missing");
    do {
        if (!read_number(file, &number))
            return 0;
    } while (take(file, ','));
    return take(file, ']') ? 1 : trouble(file, "an array does not end");
}

static int read_record_member(reader *file, const char *key, void *context) {
    bench_record *record = context;
#define READ_TEXT(field, name)                                                                 \
    if (strcmp(key, name) == 0)                                                                \
        return read_text(file, record->field, sizeof record->field);
#define READ_NUMBER(field, name)                                                               \
    if (strcmp(key, name) == 0)                                                                \
        return read_number(file, &record->field);
    BENCH_RECORD_TEXTS(READ_TEXT)
    BENCH_RECORD_NUMBERS(READ_NUMBER)
#undef READ_TEXT
#undef READ_NUMBER
    if (strcmp(key, "speedup_over") == 0)
        return read_object(file, skip_speedup, NULL);
    return trouble(file, "an unknown field in a result");
}

static int read_records(reader *file, bench_report *report) {
    if (!take(file, '['))
        return trouble(file, "an array is missing");
    if (take(file, ']'))
        return 1;
    do {
        bench_record *record = bench_report_add(report);
        if (!record)
            return trouble(file, "not enough memory");
        if (!read_object(file, read_record_member, record))
            return 0;
        if (!*record->name || !*record->variant || !(record->median > 0.0) ||
            !(record->low > 0.0) || !(record->high > 0.0))
            return trouble(file, "a result without case, variant or positive times");
    } while (take(file, ','));
    return take(file, ']') ? 1 : trouble(file, "an array does not end");
}

static int read_top(reader *file, const char *key, void *context) {
    bench_report *report = context;
    double version;
    if (strcmp(key, "focal_bench") == 0) {
        if (!read_number(file, &version))
            return 0;
        return version == 1.0 ? 1 : trouble(file, "another version of the format");
    }
    if (strcmp(key, "host") == 0)
        return read_object(file, read_card_line, &report->card);
    if (strcmp(key, "results") == 0)
        return read_records(file, report);
    return trouble(file, "not a report of focal bench");
}

static char *load(const char *path) {
    FILE *file = fopen(path, "rb");
    char *text = file ? malloc(LARGEST_FILE + 1) : NULL;
    size_t length = 0;
    if (!file)
        fail(FAILED, "%s: %s", path, strerror(errno));
    else if (!text)
        fail(FAILED, "not enough memory");
    if (text) {
        length = fread(text, 1, LARGEST_FILE, file);
        text[length] = '\0';
        const char *wrong = ferror(file)             ? "could not be read"
                            : length == LARGEST_FILE ? "is too large for a report"
                            : strlen(text) != length ? "is no text"
                                                     : NULL;
        if (wrong) {
            fail(FAILED, "%s: %s", path, wrong);
            free(text);
            text = NULL;
        }
    }
    if (file)
        fclose(file);
    return text;
}

static size_t line_number(const reader *file) {
    size_t line = 1;
    for (const char *at = file->start; at < file->at; at++)
        line += *at == '\n';
    return line;
}

int bench_read(const char *path, bench_report *report) {
    char *text = load(path);
    reader file = {.path = path, .start = text, .at = text};
    memset(report, 0, sizeof *report);
    if (!text)
        return FAILED;
    int code = DONE, good = read_object(&file, read_top, report);
    skip_blanks(&file);
    if (good && *file.at)
        good = trouble(&file, "text behind the report");
    if (!good)
        code = fail(FAILED, "%s: line %zu: %s", path, line_number(&file), file.trouble);
    for (int line = 0; line < BENCH_CARD_COUNT && code == DONE; line++)
        if (!*report->card.text[line])
            code = fail(FAILED,
                        "%s: the host card has no '%s': figures without their host are not "
                        "compared",
                        path, bench_card_keys[line]);
    free(text);
    if (code != DONE)
        bench_report_release(report);
    return code;
}
