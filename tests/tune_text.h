/* Tuning files for tests, made by the library's own printer: of this host and build, or of others;
 * with records for everything the kernel tables hold. */
#ifndef FOCAL_TESTS_TUNE_TEXT_H
#define FOCAL_TESTS_TUNE_TEXT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fingerprint.h"
#include "sections.h"
#include "store.h"

enum { FOREIGN_SECTIONS = 2 };

static inline focal_record tune_record(const char *contract, focal_target_kind target,
                                       const char *kernel, uint32_t n, uint32_t c,
                                       uint32_t threads) {
    focal_record record = {.key = {.target_kind = target,
                                   .dtype = FOCAL_F32,
                                   .elements_log2 = n,
                                   .classes_log2 = c,
                                   .threads = threads},
                           .ps = 900,
                           .base = 1000,
                           .mad = 3,
                           .ratio = 9000,
                           .low = 8900,
                           .high = 9100,
                           .rounds = 15,
                           .date = 20261125,
                           .rows = 1,
                           .classes = 1,
                           .inner = 1,
                           .gamma = 2000};
    snprintf(record.key.contract, sizeof record.key.contract, "%s", contract);
    snprintf(record.kernel, sizeof record.kernel, "%s", kernel);
    return record;
}

/* A fingerprint line of another machine or build. */
static inline void tune_other_line(const char *word, const char *rest, char line[256]) {
    snprintf(line, 256, "%s %08x %s", word, (unsigned)focal_crc32(0, rest, strlen(rest)), rest);
}

static inline focal_section *tune_own_section(focal_sections *sections) {
    return focal_section_get(sections, focal_host_line(), focal_build_line());
}

/* Allocated. */
static inline char *tune_text(const focal_sections *sections, size_t *size) {
    *size = focal_sections_print(sections, NULL, 0);
    char *text = malloc(*size + 1);
    if (!text)
        abort();
    focal_sections_print(sections, text, *size + 1);
    return text;
}

/* Sizes (log2 of logits, classes, inner size) that reach nearly all that tests compute. */
static const struct {
    uint32_t n, c, i;
} tune_sizes[] = {{4, 4, 0}, {13, 4, 0}, {13, 13, 0}, {13, 4, 8}};
enum { TUNE_SIZES = sizeof tune_sizes / sizeof tune_sizes[0] };

static inline int tune_fits(const focal_kernel *kernel, focal_target_kind target,
                            focal_dtype dtype) {
    int per_logit = target == FOCAL_TARGET_DENSE || target == FOCAL_TARGET_BINARY_U8;
    if (!kernel)
        return 1;
    /* All would be more than a file may have. */
    if (dtype == FOCAL_F64 || (dtype != FOCAL_F32 && (target == FOCAL_TARGET_LABEL_U8 ||
                                                      target == FOCAL_TARGET_LABEL_I64)))
        return 0;
    return kernel->target == KERNEL_DENSE    ? target == FOCAL_TARGET_DENSE
           : kernel->target == KERNEL_BINARY ? target != FOCAL_TARGET_DENSE
                                             : !per_logit;
}

/* Puts the candidate that `choose` picks for every contract, target, type, and size. */
static inline size_t tune_fill(focal_sections *sections,
                               size_t (*choose)(const focal_candidate *list, size_t count,
                                                size_t number)) {
    const focal_isa_row *row = focal_isa_choose(NULL);
    focal_section *section = tune_own_section(sections);
    size_t made = 0;
    focal_candidate standard;
    for (size_t i = 0; (standard = focal_candidate_at(row, i)).name; i++) {
        const focal_kernel *kernel = standard.kernel;
        focal_candidate list[64];
        char contract[64] = "";
        memcpy(contract, standard.name, focal_contract_length(standard.name));
        if (focal_contract_standard(contract).name != standard.name)
            continue;
        size_t count = focal_candidates_list(standard, list, 64);
        for (int k = 0; k < (FOCAL_TARGET_LABEL_I64 + 1) * FOCAL_BF16 * TUNE_SIZES; k++) {
            focal_target_kind target = (focal_target_kind)(k / TUNE_SIZES / FOCAL_BF16);
            focal_dtype dtype = (focal_dtype)(k / TUNE_SIZES % FOCAL_BF16 + 1);
            uint32_t n = tune_sizes[k % TUNE_SIZES].n, inner = tune_sizes[k % TUNE_SIZES].i;
            /* Sigmoid with one target per logit does not see where a row ends. */
            int flat = target <= FOCAL_TARGET_BINARY_U8 && inner == 0 &&
                       strstr(contract, "sigmoid") != NULL;
            uint32_t c = flat ? 0 : tune_sizes[k % TUNE_SIZES].c;
            if (!tune_fits(kernel, target, dtype) || (flat && tune_sizes[k % TUNE_SIZES].c > 4))
                continue;
            focal_record record =
                tune_record(contract, target, list[choose(list, count, made)].name, n, c, 1);
            record.key.dtype = dtype;
            record.key.inner_log2 = inner;
            record.task = made % 3 == 0 ? 0 : made % 3 == 1 ? 1 : INT64_C(1) << 40;
            if (!focal_section_put(section, &record, false))
                abort();
            made++;
        }
    }
    return made;
}

/* The lowest row, which is the slowest by far. */
static inline size_t tune_choose_worst(const focal_candidate *list, size_t count,
                                       size_t number) {
    (void)list, (void)number;
    return count - 1;
}

static inline size_t tune_choose_any(const focal_candidate *list, size_t count, size_t number) {
    (void)list;
    return (size_t)((uint32_t)number * UINT32_C(2654435761) >> 8) % count;
}

#endif
