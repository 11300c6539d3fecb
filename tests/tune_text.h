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

/* Puts the candidate that `choose` picks for every contract, target, and size. */
static inline size_t tune_fill(focal_sections *sections,
                               size_t (*choose)(const focal_candidate *list, size_t count,
                                                size_t number)) {
    static const uint32_t sizes[] = {4, 12, 20}, classes[] = {0, 8, 16};
    const focal_isa_row *row = focal_isa_choose(NULL);
    focal_section *section = tune_own_section(sections);
    size_t made = 0;
    focal_candidate standard;
    for (size_t i = 0; (standard = focal_candidate_at(row, i)).name; i++) {
        const focal_kernel *kernel = standard.kernel;
        focal_candidate list[64];
        focal_tuning_key key = {.threads = 1};
        memcpy(key.contract, standard.name, focal_contract_length(standard.name));
        if (focal_contract_standard(key.contract).name != standard.name)
            continue;
        size_t count = focal_candidates_list(standard, list, 64);
        for (int target = 0; target <= FOCAL_TARGET_LABEL_I64; target++)
            for (size_t n = 0; n < 9; n++) {
                focal_candidate one = list[choose(list, count, made)];
                focal_record record = tune_record(key.contract, (focal_target_kind)target,
                                                  one.name, sizes[n / 3], classes[n % 3], 1);
                int per_logit =
                    target == FOCAL_TARGET_DENSE || target == FOCAL_TARGET_BINARY_U8;
                int fits = !kernel                           ? 1
                           : kernel->target == KERNEL_DENSE  ? target == FOCAL_TARGET_DENSE
                           : kernel->target == KERNEL_BINARY ? target != FOCAL_TARGET_DENSE
                                                             : !per_logit;
                if (!fits || (per_logit && n % 3 != 0))
                    continue;
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
