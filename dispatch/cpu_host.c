/* The machine's own reader, and the record of the host that it fills once. */
#include "cpu.h"

#include <pthread.h>
#include <stdatomic.h>

#if defined(__x86_64__) || defined(__i386__)

#include <cpuid.h>

static void read_cpuid(void *context, uint32_t leaf, uint32_t subleaf, uint32_t out[4]) {
    (void)context;
    __cpuid_count(leaf, subleaf, out[0], out[1], out[2], out[3]);
}

/* By its opcode's name and not by _xgetbv, which would need this file built with -mxsave. macOS
 * on x86 sets the AVX-512 bits only once a thread has used those registers, so there we stay
 * with AVX2. */
static uint64_t read_xcr0(void *context) {
    (void)context;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static const focal_cpu_reader host_reader = {
    .arch = FOCAL_CPU_ARCH_X86,
    .cpuid = read_cpuid,
    .xcr0 = read_xcr0,
};

#else /* not x86 */

#if defined(__linux__)

#include <stdio.h>
#include <string.h>

/* One word of one file of the first core's cache directory; returns whether it was there. */
static int read_cache_word(unsigned index, const char *name, char word[32]) {
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%u/%s", index, name);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    const int found = fscanf(file, "%31s", word) == 1;
    fclose(file);
    return found;
}

/* Numbers look like 64 or 64K or 32M; anything else reads as 0, unknown. */
static uint32_t parse_size(const char *word) {
    unsigned long number;
    char unit = '\0';
    if (sscanf(word, "%9lu%c", &number, &unit) < 1) {
        return 0;
    }
    const unsigned shift = unit == 'K' ? 10 : unit == 'M' ? 20 : 0;
    return focal_cpu_cache_bytes((uint64_t)number << shift);
}

static uint32_t read_cache(void *context, unsigned level) {
    (void)context;
    enum { INDEXES_MAX = 8 };
    const unsigned long wanted_level = level == 0 ? 1 : level;
    for (unsigned index = 0; index < INDEXES_MAX; index++) {
        char word[32];
        if (!read_cache_word(index, "level", word) || parse_size(word) != wanted_level) {
            continue;
        }
        if (!read_cache_word(index, "type", word) || strcmp(word, "Instruction") == 0) {
            continue;
        }
        if (read_cache_word(index, level == 0 ? "coherency_line_size" : "size", word)) {
            return parse_size(word);
        }
    }
    return 0;
}

#elif defined(__APPLE__)

#include <sys/sysctl.h>
#include <sys/types.h>

/* The fast cores' caches where the system distinguishes cores, else the machine's. */
static uint32_t read_cache(void *context, unsigned level) {
    (void)context;
    static const char *const names[4][2] = {
        {"hw.cachelinesize", "hw.cachelinesize"},
        {"hw.perflevel0.l1dcachesize", "hw.l1dcachesize"},
        {"hw.perflevel0.l2cachesize", "hw.l2cachesize"},
        {"hw.perflevel0.l3cachesize", "hw.l3cachesize"},
    };
    for (unsigned i = 0; level < 4 && i < 2; i++) {
        /* The kernel writes 4 or 8 bytes; both read right on a little-endian machine. */
        uint64_t value = 0;
        size_t size = sizeof value;
        if (sysctlbyname(names[level][i], &value, &size, NULL, 0) == 0 && value != 0) {
            return focal_cpu_cache_bytes(value);
        }
    }
    return 0;
}

static void read_brand(void *context, char *out, size_t size) {
    (void)context;
    if (sysctlbyname("machdep.cpu.brand_string", out, &size, NULL, 0) != 0) {
        out[0] = '\0';
    }
}

#endif

#if defined(__aarch64__)

#if defined(__linux__)

#include <sys/auxv.h>

static uint64_t read_hwcap(void *context, unsigned which) {
    (void)context;
    return getauxval(which == 1 ? AT_HWCAP : AT_HWCAP2);
}

static uint64_t read_midr(void *context) {
    (void)context;
    uint64_t value;
    __asm__("mrs %0, midr_el1" : "=r"(value));
    return value;
}

#else

/* No other system tells in this way; floating point and NEON are the baseline of all their
 * ABIs. */
static uint64_t read_hwcap(void *context, unsigned which) {
    (void)context;
    return which == 1 ? 0x3 : 0;
}

#endif
#endif

static const focal_cpu_reader host_reader = {
#if defined(__aarch64__)
    .arch = FOCAL_CPU_ARCH_ARM64,
    .hwcap = read_hwcap,
#if defined(__linux__)
    .midr = read_midr,
#endif
#else
    .arch = FOCAL_CPU_ARCH_OTHER,
#endif
#if defined(__linux__) || defined(__APPLE__)
    .cache = read_cache,
#endif
#if defined(__APPLE__)
    .brand = read_brand,
#endif
};

#endif /* not x86 */

static focal_cpu host;
static pthread_once_t host_once = PTHREAD_ONCE_INIT;
static atomic_uint host_detections;

const focal_cpu_reader *focal_cpu_host_reader(void) {
    return &host_reader;
}

static void detect_host(void) {
    focal_cpu_detect(&host, &host_reader);
    atomic_fetch_add(&host_detections, 1);
}

const focal_cpu *focal_cpu_host(void) {
    pthread_once(&host_once, detect_host);
    return &host;
}

unsigned focal_cpu_host_detections(void) {
    return atomic_load(&host_detections);
}
