#include "sections.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint32_t focal_crc32(uint32_t crc, const void *bytes, size_t size) {
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= ((const unsigned char *)bytes)[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (UINT32_C(0xedb88320) & -(crc & 1));
    }
    return ~crc;
}

void focal_report_reject(focal_tune_report *report, uint32_t line, const char *format, ...) {
    va_list arguments;
    if (report->rejected++ > 0 && *report->reason)
        return;
    report->line = line;
    va_start(arguments, format);
    vsnprintf(report->reason, sizeof report->reason, format, arguments);
    va_end(arguments);
}

/* ---- Lists -------------------------------------------------------------------------------- */

static void free_section(focal_section *section) {
    for (size_t i = 0; i < section->count; i++)
        free(section->lines[i].text);
    free(section->lines);
    free(section->host);
    free(section->build);
}

void focal_sections_free(focal_sections *sections) {
    for (size_t i = 0; i < sections->count; i++)
        free_section(&sections->list[i]);
    free(sections->list);
    *sections = (focal_sections){NULL, 0};
}

void focal_section_drop(focal_sections *sections, size_t index) {
    free_section(&sections->list[index]);
    sections->count--;
    memmove(&sections->list[index], &sections->list[index + 1],
            (sections->count - index) * sizeof sections->list[0]);
}

static char *copy_text(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

static focal_section *find_section(const focal_sections *sections, const char *host,
                                   const char *build) {
    for (size_t i = 0; i < sections->count; i++)
        if (strcmp(sections->list[i].host, host) == 0 &&
            strcmp(sections->list[i].build, build) == 0)
            return &sections->list[i];
    return NULL;
}

/* Appends an empty section of these fingerprints. */
static focal_section *add_section(focal_sections *sections, const char *host,
                                  const char *build) {
    focal_section made = {.host = copy_text(host), .build = copy_text(build)};
    focal_section *list =
        realloc(sections->list, (sections->count + 1) * sizeof sections->list[0]);
    if (list)
        sections->list = list;
    if (!list || !made.host || !made.build) {
        free_section(&made);
        return NULL;
    }
    list[sections->count] = made;
    return &list[sections->count++];
}

focal_section *focal_section_get(focal_sections *sections, const char *host,
                                 const char *build) {
    focal_section *section = find_section(sections, host, build);
    return section ? section : add_section(sections, host, build);
}

static focal_line *add_line(focal_section *section) {
    if (section->count == section->capacity) {
        size_t capacity = section->capacity ? 2 * section->capacity : 16;
        focal_line *lines = realloc(section->lines, capacity * sizeof *lines);
        if (!lines)
            return NULL;
        memset(lines + section->count, 0, (capacity - section->count) * sizeof *lines);
        section->lines = lines;
        section->capacity = capacity;
    }
    focal_line *line = &section->lines[section->count++];
    *line = (focal_line){.text = NULL};
    return line;
}

static focal_line *find_record(const focal_section *section, const focal_tuning_key *key) {
    for (size_t i = 0; i < section->count; i++)
        if (!section->lines[i].text && focal_key_equal(&section->lines[i].record.key, key))
            return &section->lines[i];
    return NULL;
}

bool focal_section_put(focal_section *section, const focal_record *record, bool fresh) {
    focal_line *line = find_record(section, &record->key);
    if (!line)
        line = add_line(section);
    if (!line)
        return false;
    *line = (focal_line){.record = *record, .fresh = fresh};
    return true;
}

static bool put_text(focal_section *section, const char *text, bool fresh) {
    for (size_t i = 0; i < section->count; i++)
        if (section->lines[i].text && strcmp(section->lines[i].text, text) == 0)
            return true;
    char *copy = copy_text(text);
    focal_line *line = copy ? add_line(section) : NULL;
    if (!line) {
        free(copy);
        return false;
    }
    *line = (focal_line){.text = copy, .fresh = fresh};
    return true;
}

bool focal_sections_merge(focal_sections *into, const focal_sections *from, bool only_fresh,
                          bool fresh) {
    for (size_t i = 0; i < from->count; i++) {
        const focal_section *source = &from->list[i];
        focal_section *target = NULL;
        for (size_t k = 0; k < source->count; k++) {
            const focal_line *line = &source->lines[k];
            if (only_fresh && !line->fresh)
                continue;
            if (!target)
                target = focal_section_get(into, source->host, source->build);
            if (!target || !(line->text ? put_text(target, line->text, fresh)
                                        : focal_section_put(target, &line->record, fresh)))
                return false;
        }
    }
    return true;
}

/* ---- Printing ----------------------------------------------------------------------------- */

typedef struct {
    char *text;
    size_t capacity, length;
    uint32_t crc;
} printer;

static void print(printer *out, const char *text, size_t size) {
    out->crc = focal_crc32(out->crc, text, size);
    /* Room for the final NUL, too. */
    if (out->text && out->length < out->capacity) {
        size_t room = out->capacity - out->length - 1;
        memcpy(out->text + out->length, text, size < room ? size : room);
        out->text[out->length + (size < room ? size : room)] = '\0';
    }
    out->length += size;
}

static void print_line(printer *out, const char *text) {
    print(out, text, strlen(text));
    print(out, "\n", 1);
}

static void print_section(printer *out, const focal_section *section) {
    char text[FOCAL_TUNE_LINE_MAX + 1];
    out->crc = 0;
    print_line(out, section->host);
    print_line(out, section->build);
    for (size_t i = 0; i < section->count; i++) {
        const focal_line *line = &section->lines[i];
        if (!line->text)
            focal_record_print(&line->record, text, sizeof text);
        print_line(out, line->text ? line->text : text);
    }
    snprintf(text, sizeof text, "end %08x", (unsigned)out->crc);
    print_line(out, text);
}

size_t focal_sections_print(const focal_sections *sections, char *text, size_t capacity) {
    printer out = {text, capacity, 0, 0};
    char first[32];
    snprintf(first, sizeof first, "focal-tune %d", FOCAL_TUNE_VERSION);
    print_line(&out, first);
    for (size_t i = 0; i < sections->count; i++)
        print_section(&out, &sections->list[i]);
    return out.length;
}

/* ---- Parsing ------------------------------------------------------------------------------ */

typedef struct {
    const char *next, *end; /* of the text */
    char line[FOCAL_TUNE_LINE_MAX + 1];
    const char *raw; /* the line in the text, with its newline */
    size_t raw_size;
    uint32_t number;
    const char *flaw; /* of the line as such, else NULL */
} reader;

/* The next line; false at the end of the text. */
static bool read_line(reader *in) {
    if (in->next == in->end)
        return false;
    const char *newline = memchr(in->next, '\n', (size_t)(in->end - in->next));
    in->raw = in->next;
    in->next = newline ? newline + 1 : in->end;
    in->raw_size = (size_t)(in->next - in->raw);
    in->number++;
    in->line[0] = '\0';
    size_t length = in->raw_size - (newline != NULL);
    in->flaw = !newline                       ? "the last line has no end: truncated"
               : length > FOCAL_TUNE_LINE_MAX ? "the line is longer than 512 bytes"
                                              : NULL;
    size_t kept = length < FOCAL_TUNE_LINE_MAX ? length : FOCAL_TUNE_LINE_MAX;
    for (size_t i = 0; i < kept; i++) {
        char byte = in->raw[i];
        if (byte < ' ' || byte > '~') {
            in->flaw = in->flaw ? in->flaw : "a byte that is no printable ASCII";
            byte = '?';
        }
        in->line[i] = byte;
    }
    in->line[kept] = '\0';
    return true;
}

static bool starts(const char *line, const char *word) {
    return strncmp(line, word, strlen(word)) == 0;
}

/* "<word> <CRC-32 of the rest> <rest>": a fingerprint that agrees with itself. */
static const char *check_fingerprint(const char *line, const char *word) {
    char expected[16];
    size_t length = strlen(word);
    if (!starts(line, word) || strlen(line) < length + 10)
        return "a fingerprint is missing";
    const char *rest = line + length + 9;
    snprintf(expected, sizeof expected, "%08x ", (unsigned)focal_crc32(0, rest, strlen(rest)));
    return starts(line + length, expected) ? NULL : "a fingerprint does not fit its number";
}

/* The only flaw that is not the file's. */
static const char no_memory[] = "not enough memory";

/* One line between the fingerprints and "end". */
static const char *parse_body_line(focal_section *section, const reader *in) {
    focal_record record = {.kernel = ""};
    bool is_entry = starts(in->line, "entry ");
    if (is_entry) {
        const char *flaw = focal_record_parse(&record, in->line);
        is_entry = flaw != focal_record_unknown;
        if (flaw && is_entry)
            return flaw;
        if (is_entry && find_record(section, &record.key))
            return "the same key stands twice";
    } else if (!*in->line || !strchr("#abcdefghijklmnopqrstuvwxyz", *in->line) ||
               starts(in->line, "build ")) {
        return "not a line that a section may have";
    }
    char *text = is_entry ? NULL : copy_text(in->line);
    focal_line *line = is_entry || text ? add_line(section) : NULL;
    if (!line) {
        free(text);
        return no_memory;
    }
    *line = (focal_line){.text = text, .record = record, .number = in->number};
    return NULL;
}

/* From the line "host ..." in `in` to "end ...". NULL, or the flaw at the line in `in`. */
static const char *parse_section(focal_sections *sections, reader *in) {
    char host[FOCAL_TUNE_LINE_MAX + 1];
    const char *flaw = in->flaw ? in->flaw : check_fingerprint(in->line, "host ");
    uint32_t crc = focal_crc32(0, in->raw, in->raw_size);
    memcpy(host, in->line, sizeof host);
    if (flaw)
        return flaw;
    if (!read_line(in))
        return "the section has no end: truncated";
    crc = focal_crc32(crc, in->raw, in->raw_size);
    flaw = in->flaw ? in->flaw : check_fingerprint(in->line, "build ");
    if (flaw)
        return flaw;
    if (find_section(sections, host, in->line))
        return "a section of the same host and build stands above";
    focal_section *section = add_section(sections, host, in->line);
    if (!section)
        return no_memory;
    while (!flaw) {
        if (!read_line(in))
            flaw = "the section has no end: truncated";
        else if (in->flaw)
            flaw = in->flaw;
        else if (starts(in->line, "host "))
            flaw = "the section before has no end";
        else if (starts(in->line, "end "))
            break;
        else
            flaw = parse_body_line(section, in);
        crc = focal_crc32(crc, in->raw, in->raw_size);
    }
    char expected[16];
    snprintf(expected, sizeof expected, "end %08x", (unsigned)crc);
    if (!flaw && strcmp(in->line, expected) != 0)
        flaw = "the checksum of the section does not fit";
    if (flaw)
        focal_section_drop(sections, (size_t)(section - sections->list));
    return flaw;
}

static focal_status check_first_line(reader *in, focal_tune_report *report) {
    char expected[32];
    snprintf(expected, sizeof expected, "focal-tune %d", FOCAL_TUNE_VERSION);
    if (!read_line(in) || !starts(in->line, "focal-tune "))
        focal_report_reject(report, 1, "no tuning file: it does not begin with \"focal-tune\"");
    else if (in->flaw)
        focal_report_reject(report, 1, "%s", in->flaw);
    else if (strcmp(in->line, expected) != 0)
        focal_report_reject(report, 1, "version %.20s of the format, this library reads %d",
                            in->line + strlen("focal-tune "), FOCAL_TUNE_VERSION);
    else
        return FOCAL_OK;
    return FOCAL_E_FORMAT;
}

focal_status focal_sections_parse(focal_sections *sections, const char *text, size_t size,
                                  focal_tune_report *report) {
    reader in = {.next = text, .end = text + size};
    if (size > FOCAL_TUNE_BYTES_MAX) {
        focal_report_reject(report, 0, "%zu bytes; a tuning file has %d at most", size,
                            FOCAL_TUNE_BYTES_MAX);
        return FOCAL_E_FORMAT;
    }
    focal_status status = check_first_line(&in, report);
    if (status != FOCAL_OK)
        return status;
    bool skipping = false, more = read_line(&in);
    while (more) {
        const char *flaw = NULL;
        uint32_t first = in.number;
        if (starts(in.line, "host ")) {
            skipping = false;
            flaw = parse_section(sections, &in);
        } else if (!skipping && (in.flaw || in.line[0] != '#')) {
            flaw = in.flaw ? in.flaw : "a line outside of a section";
        }
        if (flaw == no_memory)
            return FOCAL_E_MEMORY;
        if (flaw) {
            focal_report_reject(report, in.number, "%s", flaw);
            skipping = true;
        }
        /* What a section without an end ran into may be the next one's beginning. */
        bool began = flaw && in.number > first && starts(in.line, "host ");
        more = began || read_line(&in);
    }
    return FOCAL_OK;
}
