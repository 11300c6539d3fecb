/* libFuzzer on the parser of tuning files. Beside not crashing: what is accepted prints to a text
 * that parses again without a complaint and prints the same; a record is within its limits. Inputs
 * come as they are and, for the fuzzer cannot guess a CRC, once more with sums that fit. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sections.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *print(const focal_sections *sections, size_t *size) {
    *size = focal_sections_print(sections, NULL, 0);
    char *text = malloc(*size + 1);
    if (!text)
        abort();
    if (focal_sections_print(sections, text, *size + 1) != *size || strlen(text) != *size)
        abort();
    return text;
}

static void check(const char *text, size_t size) {
    focal_sections sections = {NULL, 0}, again = {NULL, 0}, merged = {NULL, 0};
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT, second = FOCAL_TUNE_REPORT_INIT;
    focal_status status = focal_sections_parse(&sections, text, size, &report);
    if ((status == FOCAL_E_FORMAT) != (status != FOCAL_OK) ||
        (status == FOCAL_E_FORMAT && (sections.count > 0 || report.rejected == 0)) ||
        (report.rejected > 0) != (*report.reason != '\0'))
        abort();
    size_t printed_size, again_size;
    char *printed = print(&sections, &printed_size);
    if (printed_size > size && status == FOCAL_OK)
        abort(); /* nothing is invented */
    if (focal_sections_parse(&again, printed, printed_size, &second) != FOCAL_OK ||
        second.rejected > 0 || again.count != sections.count)
        abort();
    char *reprinted = print(&again, &again_size);
    if (again_size != printed_size || memcmp(printed, reprinted, printed_size) != 0)
        abort();
    if (!focal_sections_merge(&merged, &sections, false, true) ||
        !focal_sections_merge(&merged, &again, false, false))
        abort();
    focal_sections_free(&sections);
    focal_sections_free(&again);
    focal_sections_free(&merged);
    free(printed);
    free(reprinted);
}

/* The input with every "host ", "build " and "end " line given the sum that fits. */
static void check_repaired(const uint8_t *data, size_t size) {
    char *text = malloc(2 * size + 64);
    size_t length = 0, section = 0;
    if (!text)
        return;
    for (size_t at = 0; at < size;) {
        const uint8_t *newline = memchr(data + at, '\n', size - at);
        size_t line = newline ? (size_t)(newline - data) - at : size - at;
        const char *from = (const char *)data + at;
        size_t word = line > 5 && memcmp(from, "host ", 5) == 0    ? 5
                      : line > 6 && memcmp(from, "build ", 6) == 0 ? 6
                                                                   : 0;
        if (word == 5)
            section = length;
        if (word && line > word + 9) {
            const char *rest = from + word + 9;
            size_t count = line - word - 9;
            memcpy(text + length, from, word);
            snprintf(text + length + word, 10, "%08x ", (unsigned)focal_crc32(0, rest, count));
            memcpy(text + length + word + 9, rest, count);
            length += line;
        } else if (line >= 4 && memcmp(from, "end ", 4) == 0) {
            uint32_t crc = focal_crc32(0, text + section, length - section);
            length += (size_t)snprintf(text + length, 16, "end %08x", (unsigned)crc);
        } else {
            memcpy(text + length, from, line);
            length += line;
        }
        if (newline)
            text[length++] = '\n';
        at += line + 1;
    }
    check(text, length);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    check((const char *)data, size);
    check_repaired(data, size);
    return 0;
}
