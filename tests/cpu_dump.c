/* Reading and replaying the dumps of tests/data/cpu. */
#include "cpu_dump.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEEN_ARCH = 1 << 0,
    SEEN_FEATURES = 1 << 1,
    SEEN_MASKED = 1 << 2,
    SEEN_VENDOR = 1 << 3,
    SEEN_SIGNATURE = 1 << 4,
    SEEN_BRAND = 1 << 5,
    SEEN_CACHES = 1 << 6,
    SEEN_ROW = 1 << 7,
    SEEN_REQUIRED = (1 << 8) - 1,
    SEEN_XCR0 = 1 << 8,
    SEEN_HWCAP = 1 << 9,
    SEEN_HWCAP2 = 1 << 10,
    SEEN_MIDR = 1 << 11,
    SEEN_SYSTEM_BRAND = 1 << 12,
    SEEN_SYSTEM_CACHES = 1 << 13,
};

static void misuse(cpu_dump *dump, const char *text) {
    if (dump->misuse == NULL) {
        dump->misuse = text;
    }
}

const uint32_t *cpu_dump_leaf(const cpu_dump *dump, uint32_t leaf, uint32_t subleaf) {
    for (size_t i = 0; i < dump->leaf_count; i++) {
        if (dump->leaves[i].leaf == leaf && dump->leaves[i].subleaf == subleaf) {
            return dump->leaves[i].answer;
        }
    }
    return NULL;
}

/* Beyond the highest leaf everything is set, so that a reading without a limit cannot pass. */
static void replay_cpuid(void *context, uint32_t leaf, uint32_t subleaf, uint32_t out[4]) {
    cpu_dump *const dump = context;
    const uint32_t *const limit = cpu_dump_leaf(dump, leaf & 0x80000000, 0);
    const uint32_t *const answer = cpu_dump_leaf(dump, leaf, subleaf);
    const int is_limit_leaf = (leaf & 0x7fffffff) == 0;
    if (++dump->cpuid_calls > CPU_DUMP_CALLS_MAX) {
        misuse(dump, "asks CPUID too often");
    }
    if (!is_limit_leaf && (limit == NULL || leaf > limit[0])) {
        misuse(dump, "asks for a leaf beyond the highest one");
        memset(out, 0xff, 4 * sizeof out[0]);
    } else if (answer != NULL) {
        memcpy(out, answer, 4 * sizeof out[0]);
    } else {
        memset(out, 0, 4 * sizeof out[0]);
    }
}

static uint64_t replay_xcr0(void *context) {
    cpu_dump *const dump = context;
    const uint32_t *const leaf_1 = cpu_dump_leaf(dump, 1, 0);
    if (leaf_1 == NULL || (leaf_1[2] >> 27 & 1) == 0) {
        misuse(dump, "reads XCR0 without OSXSAVE, which faults");
    }
    return dump->xcr0;
}

static uint64_t replay_hwcap(void *context, unsigned which) {
    cpu_dump *const dump = context;
    if (which != 1 && which != 2) {
        misuse(dump, "asks for a hwcap other than 1 and 2");
        return 0;
    }
    return dump->hwcap[which - 1];
}

static uint64_t replay_midr(void *context) {
    cpu_dump *const dump = context;
    if ((dump->hwcap[0] >> 11 & 1) == 0) {
        misuse(dump, "reads MIDR without the CPUID capability, which faults");
    }
    return dump->midr;
}

static uint32_t replay_cache(void *context, unsigned level) {
    cpu_dump *const dump = context;
    if (level > 3) {
        misuse(dump, "asks for a cache level above 3");
        return 0;
    }
    return dump->system_caches[level == 0 ? 3 : level - 1];
}

static void replay_brand(void *context, char *out, size_t size) {
    const cpu_dump *const dump = context;
    snprintf(out, size, "%s", dump->system_brand);
}

focal_cpu cpu_dump_replay(cpu_dump *dump) {
    const focal_cpu_reader reader = {dump->arch,   dump,        replay_cpuid, replay_xcr0,
                                     replay_hwcap, replay_midr, replay_cache, replay_brand};
    focal_cpu cpu;
    dump->misuse = NULL;
    dump->cpuid_calls = 0;
    memset(&cpu, 0xff, sizeof cpu);
    focal_cpu_detect(&cpu, &reader);
    return cpu;
}

static int parse_features(const char *text, uint64_t *features) {
    char copy[512];
    snprintf(copy, sizeof copy, "%s", text);
    *features = 0;
    for (char *word = strtok(copy, " "); word != NULL; word = strtok(NULL, " ")) {
        const uint64_t before = *features;
#define X(name, text) *features |= strcmp(word, text) == 0 ? FOCAL_CPU_##name : 0;
        FOCAL_CPU_FEATURES(X)
#undef X
        if (*features == before) {
            return 0;
        }
    }
    return 1;
}

static int parse_u64(const char *text, uint64_t *value) {
    char *end;
    *value = strtoull(text, &end, 16);
    return end != text && *end == '\0';
}

static int parse_caches(const char *text, uint32_t caches[4]) {
    int length = 0;
    return sscanf(text, "%u %u %u %u%n", &caches[0], &caches[1], &caches[2], &caches[3],
                  &length) == 4 &&
           text[length] == '\0';
}

static int parse_arch(const char *text, focal_cpu_arch *arch) {
    *arch = strcmp(text, "x86") == 0     ? FOCAL_CPU_ARCH_X86
            : strcmp(text, "arm64") == 0 ? FOCAL_CPU_ARCH_ARM64
                                         : FOCAL_CPU_ARCH_OTHER;
    return *arch != FOCAL_CPU_ARCH_OTHER || strcmp(text, "other") == 0;
}

static int parse_signature(const char *text, focal_cpu *cpu) {
    int length = 0;
    return sscanf(text, "%u %u %u%n", &cpu->family, &cpu->model, &cpu->stepping, &length) ==
               3 &&
           text[length] == '\0';
}

static int parse_text(const char *text, char *out, size_t size) {
    return (size_t)snprintf(out, size, "%s", text) < size;
}

/* Returns the SEEN_ bit of the key, 0 for an unknown key or a bad value. */
static unsigned parse_pair(cpu_dump *dump, const char *key, const char *value) {
    focal_cpu *const cpu = &dump->expected;
    uint32_t caches[4];
#define KEY(text, bit, parsed)                                                                 \
    if (strcmp(key, text) == 0) {                                                              \
        return (parsed) ? (bit) : 0;                                                           \
    }
    KEY("arch", SEEN_ARCH, parse_arch(value, &dump->arch))
    KEY("xcr0", SEEN_XCR0, parse_u64(value, &dump->xcr0))
    KEY("hwcap", SEEN_HWCAP, parse_u64(value, &dump->hwcap[0]))
    KEY("hwcap2", SEEN_HWCAP2, parse_u64(value, &dump->hwcap[1]))
    KEY("midr", SEEN_MIDR, parse_u64(value, &dump->midr))
    KEY("system_brand", SEEN_SYSTEM_BRAND,
        parse_text(value, dump->system_brand, sizeof dump->system_brand))
    KEY("system_caches", SEEN_SYSTEM_CACHES, parse_caches(value, dump->system_caches))
    KEY("features", SEEN_FEATURES, parse_features(value, &cpu->features))
    KEY("masked", SEEN_MASKED, parse_features(value, &cpu->masked))
    KEY("vendor", SEEN_VENDOR, parse_text(value, cpu->vendor, sizeof cpu->vendor))
    KEY("signature", SEEN_SIGNATURE, parse_signature(value, cpu))
    KEY("brand", SEEN_BRAND, parse_text(value, cpu->brand, sizeof cpu->brand))
    KEY("row", SEEN_ROW, parse_text(value, dump->row, sizeof dump->row))
#undef KEY
    if (strcmp(key, "caches") != 0 || !parse_caches(value, caches)) {
        return 0;
    }
    cpu->l1d_bytes = caches[0];
    cpu->l2_bytes = caches[1];
    cpu->l3_bytes = caches[2];
    cpu->cache_line_bytes = caches[3];
    return SEEN_CACHES;
}

static int parse_line(cpu_dump *dump, char *line) {
    leaf_line *const leaf = &dump->leaves[dump->leaf_count];
    uint32_t *const answer = leaf->answer;
    int length = 0;
    if (sscanf(line, "%8x %8x %8x %8x %8x %8x%n", &leaf->leaf, &leaf->subleaf, &answer[0],
               &answer[1], &answer[2], &answer[3], &length) == 6 &&
        line[length] == '\0') {
        const int is_new = cpu_dump_leaf(dump, leaf->leaf, leaf->subleaf) == NULL;
        dump->leaf_count++;
        return is_new && dump->leaf_count < CPU_DUMP_LEAVES_MAX;
    }
    char *const blank = strchr(line, ' ');
    if (blank != NULL) {
        *blank = '\0';
    }
    const unsigned bit = parse_pair(dump, line, blank != NULL ? blank + 1 : "");
    const int is_new = (dump->seen & bit) == 0;
    dump->seen |= bit;
    return bit != 0 && is_new;
}

static int is_provenance(const char *line) {
    return strstr(line, "# recorded on ") == line || strstr(line, "# invented: ") == line ||
           strstr(line, "# built from the vendor's documented leaves") == line;
}

int cpu_dump_read(cpu_dump *dump, const char *path, char *error, size_t error_size) {
    char line[512], copy[512];
    unsigned number = 0;
    memset(dump, 0, sizeof *dump);
    error[0] = '\0';
    FILE *const file = fopen(path, "r");
    if (file == NULL) {
        snprintf(error, error_size, "cannot be opened");
        return 0;
    }
    while (error[0] == '\0' && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        memcpy(copy, line, sizeof copy);
        number++;
        if (number == 1 && !is_provenance(line)) {
            snprintf(error, error_size, "line 1 does not say where the dump is from");
        } else if (line[0] != '#' && line[0] != '\0' && !parse_line(dump, line)) {
            snprintf(error, error_size, "line %u is unknown, repeated or malformed: %s", number,
                     copy);
        }
    }
    fclose(file);
    if (error[0] == '\0' && (dump->seen & SEEN_REQUIRED) != SEEN_REQUIRED) {
        snprintf(error, error_size, "arch, an expectation or the row is missing");
    }
    return error[0] == '\0';
}
