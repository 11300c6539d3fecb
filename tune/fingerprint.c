#include "fingerprint.h"

#include <stdio.h>
#include <string.h>

#include "choice.h"
#include "cpu.h"
#include "isa.h"
#include "sections.h"

/* A value of the line: no blank, and nothing that the file's grammar forbids. */
static void make_value(char *text) {
    for (; *text; text++)
        if (*text <= ' ' || *text > '~' || *text == '=')
            *text = *text == ' ' ? '_' : '?';
}

static void join(char line[FOCAL_FINGERPRINT_MAX], const char *word, const char *rest) {
    snprintf(line, FOCAL_FINGERPRINT_MAX, "%s %08x %s", word,
             (unsigned)focal_crc32(0, rest, strlen(rest)), rest);
}

static void make_host_line(char line[FOCAL_FINGERPRINT_MAX], const char *cap) {
    const focal_cpu *cpu = focal_cpu_host();
    char vendor[sizeof cpu->vendor], features[160], rest[FOCAL_FINGERPRINT_MAX - 16];
    snprintf(vendor, sizeof vendor, "%s", *cpu->vendor ? cpu->vendor : "unknown");
    make_value(vendor);
    focal_cpu_features_text(cpu->features, features, sizeof features);
    for (char *blank = features; (blank = strchr(blank, ' ')) != NULL;)
        *blank = ',';
    snprintf(rest, sizeof rest,
             "vendor=%s family=%u model=%u stepping=%u features=%s l1d=%u l2=%u l3=%u cap=%s",
             vendor, cpu->family, cpu->model, cpu->stepping, *features ? features : "none",
             (unsigned)cpu->l1d_bytes, (unsigned)cpu->l2_bytes, (unsigned)cpu->l3_bytes,
             *cap ? cap : "none");
    join(line, "host", rest);
}

const char *focal_host_line(void) {
    static char line[FOCAL_FINGERPRINT_MAX];
    static const char *made_for;
    const char *cap = focal_isa_cap_name(); /* the row's own name: static */
    if (made_for != cap || !*line) {
        make_host_line(line, cap);
        made_for = cap;
    }
    return line;
}

/* Entries are worth nothing once the kernels behind their names are others; a change of the list
 * shows here, one of their code in the version. */
static uint32_t kernels_crc(void) {
    uint32_t crc = 0;
    for (size_t i = 0; i < focal_isa_row_count; i++) {
        focal_candidate one;
        for (size_t k = 0; (one = focal_candidate_at(&focal_isa_rows[i], k)).name; k++)
            crc = focal_crc32(crc, one.name, strlen(one.name) + 1);
    }
    return crc;
}

#ifdef __OPTIMIZE__
#define OPTIMIZED 1
#else
#define OPTIMIZED 0
#endif

const char *focal_build_line(void) {
    static char line[FOCAL_FINGERPRINT_MAX];
    if (*line)
        return line;
    focal_host_info host = {.struct_size = sizeof host};
    focal_host_get(&host);
    char compiler[80], sleef[64], rest[FOCAL_FINGERPRINT_MAX - 16];
    snprintf(compiler, sizeof compiler, "%s", host.compiler);
    snprintf(sleef, sizeof sleef, "%s", host.sleef);
    make_value(compiler);
    make_value(sleef);
    snprintf(rest, sizeof rest, "version=%s kernels=%08x compiler=%s sleef=%s optimized=%d",
             focal_version(), (unsigned)kernels_crc(), compiler, sleef, OPTIMIZED);
    join(line, "build", rest);
    return line;
}
