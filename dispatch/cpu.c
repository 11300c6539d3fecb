/* The part of CPU detection that all architectures share. */
#include "cpu.h"

#include <string.h>

static const char *const feature_texts[FOCAL_CPU_FEATURE_COUNT] = {
#define X(name, text) [FOCAL_CPU_INDEX_##name] = (text),
    FOCAL_CPU_FEATURES(X)
#undef X
};

size_t focal_cpu_features_text(uint64_t features, char *out, size_t size) {
    size_t length = 0;
    if (size > 0) {
        out[0] = '\0';
    }
    for (unsigned index = 0; index < FOCAL_CPU_FEATURE_COUNT; index++) {
        if ((features >> index & 1) == 0) {
            continue;
        }
        const size_t blank = length > 0;
        const size_t text_length = strlen(feature_texts[index]);
        /* Whole or not at all: a short buffer must not show avx512 for avx512bw. */
        if (length + blank + text_length < size) {
            memcpy(out + length, " ", blank);
            memcpy(out + length + blank, feature_texts[index], text_length + 1);
        }
        length += blank + text_length;
    }
    return length;
}

void focal_cpu_copy_text(char *out, size_t size, const char *text, size_t length) {
    size_t written = 0;
    int blank = 0;
    for (size_t i = 0; i < length && text[i] != '\0'; i++) {
        if (text[i] == ' ') {
            blank = written > 0;
            continue;
        }
        if (written + (size_t)blank + 1 >= size) {
            break;
        }
        if (blank) {
            out[written++] = ' ';
            blank = 0;
        }
        const unsigned char byte = (unsigned char)text[i];
        out[written++] = (char)(byte > ' ' && byte <= '~' ? byte : '?');
    }
    out[written] = '\0';
}

uint32_t focal_cpu_cache_bytes(uint64_t bytes) {
    return bytes <= UINT32_MAX ? (uint32_t)bytes : 0;
}

static uint32_t ask_cache(const focal_cpu_reader *reader, unsigned level) {
    return reader->cache != NULL ? reader->cache(reader->context, level) : 0;
}

void focal_cpu_detect(focal_cpu *cpu, const focal_cpu_reader *reader) {
    memset(cpu, 0, sizeof *cpu);
    if (reader->arch == FOCAL_CPU_ARCH_X86) {
        focal_cpu_detect_x86(cpu, reader);
        return;
    }
    if (reader->arch == FOCAL_CPU_ARCH_ARM64) {
        focal_cpu_detect_arm64(cpu, reader);
    }
    /* Outside x86 the caches and the brand are the system's to tell, and it knows the brand
     * best. */
    cpu->cache_line_bytes = ask_cache(reader, 0);
    cpu->l1d_bytes = ask_cache(reader, 1);
    cpu->l2_bytes = ask_cache(reader, 2);
    cpu->l3_bytes = ask_cache(reader, 3);
    if (reader->brand != NULL) {
        char brand[sizeof cpu->brand] = "";
        reader->brand(reader->context, brand, sizeof brand);
        if (brand[0] != '\0') {
            focal_cpu_copy_text(cpu->brand, sizeof cpu->brand, brand, sizeof brand);
        }
    }
}
