/* The content of a tuning file in memory: sections, one per host and build, each a list of lines.
 * No file and no host is touched here. docs/tuning.md has the grammar. */
#ifndef FOCAL_TUNE_SECTIONS_H
#define FOCAL_TUNE_SECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "record.h"

enum {
    FOCAL_TUNE_VERSION = 1,
    FOCAL_TUNE_BYTES_MAX = 1 << 20, /* of a file */
    FOCAL_TUNE_LINE_MAX = 512,      /* bytes of a line without its newline */
};

typedef struct focal_line {
    char *text; /* a line this version does not know, kept as it is; NULL: an entry */
    focal_record record;
    bool fresh;      /* measured or imported, and not saved yet */
    uint32_t number; /* in the file, for messages; 0 if made here */
} focal_line;

typedef struct focal_section {
    char *host, *build; /* whole lines: the fingerprints */
    focal_line *lines;
    size_t count, capacity;
} focal_section;

typedef struct focal_sections {
    focal_section *list;
    size_t count;
} focal_sections;

/* Adds a file's text to *sections, which the caller frees whatever the status. Damaged sections are
 * left out, counted in report->rejected and, the first one, described. FOCAL_E_FORMAT: no tuning
 * file, or one of another version; nothing was read. */
focal_status focal_sections_parse(focal_sections *sections, const char *text, size_t size,
                                  focal_tune_report *report);

void focal_sections_free(focal_sections *sections);

/* The whole file's text: returns its length, writes at most `capacity` bytes with the NUL. */
size_t focal_sections_print(const focal_sections *sections, char *text, size_t capacity);

/* The section of these fingerprints; made if there is none. NULL: no memory. */
focal_section *focal_section_get(focal_sections *sections, const char *host, const char *build);

/* Removes section number `index`. */
void focal_section_drop(focal_sections *sections, size_t index);

/* Adds the record, or replaces the one of the same key; false: no memory. */
bool focal_section_put(focal_section *section, const focal_record *record, bool fresh);

/* Puts all lines of `from` into `into`, or the fresh ones only. New lines are fresh if `fresh`. */
bool focal_sections_merge(focal_sections *into, const focal_sections *from, bool only_fresh,
                          bool fresh);

/* Sets line and reason of a report that has none yet, and counts the rejection. */
void focal_report_reject(focal_tune_report *report, uint32_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* CRC-32 of IEEE 802.3, continued from `crc`, which begins as 0. */
uint32_t focal_crc32(uint32_t crc, const void *bytes, size_t size);

#endif
