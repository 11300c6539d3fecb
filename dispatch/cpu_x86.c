/* x86 detection from CPUID and XCR0. Bit positions: Intel SDM volume 2A (CPUID) and volume 1
 * chapters 14 and 15 (how to detect AVX, AVX2, FMA, AVX-512); AMD APM volume 3 appendix E.
 *
 * No vendor and no model is ever compared: a leaf is used when the processor says it has it. */
#include "cpu.h"

enum { EAX, EBX, ECX, EDX };
enum { LEAF_1_ECX_OSXSAVE = 1 << 27, LEAF_1_EDX_CLFLUSH = 1 << 19 };
enum { EXTENDED_1_ECX_TOPOLOGY = 1 << 22 };

#define EXTENDED(n) (UINT32_C(0x80000000) + (n))

/* Processors have at most five caches; a hypervisor that never answers "no more" must not hang
 * us. */
enum { CACHE_SUBLEAVES_MAX = 16 };

/* In an order in which everything comes after what it builds on. The prerequisites are those of
 * the compilers' switches: clang lets -mavx512f emit FMA3 and F16C. */
static const struct {
    uint64_t feature, builds_on, xcr0;
    uint32_t leaf, bit;
    unsigned register_index;
} rules[] = {
    {FOCAL_CPU_SSE2, 0, 0, 1, 26, EDX},
    {FOCAL_CPU_AVX, FOCAL_CPU_SSE2, FOCAL_CPU_XCR0_AVX, 1, 28, ECX},
    {FOCAL_CPU_FMA, FOCAL_CPU_AVX, FOCAL_CPU_XCR0_AVX, 1, 12, ECX},
    {FOCAL_CPU_F16C, FOCAL_CPU_AVX, FOCAL_CPU_XCR0_AVX, 1, 29, ECX},
    {FOCAL_CPU_AVX2, FOCAL_CPU_AVX, FOCAL_CPU_XCR0_AVX, 7, 5, EBX},
    {FOCAL_CPU_AVX512F, FOCAL_CPU_AVX2 | FOCAL_CPU_FMA | FOCAL_CPU_F16C, FOCAL_CPU_XCR0_AVX512,
     7, 16, EBX},
    {FOCAL_CPU_AVX512DQ, FOCAL_CPU_AVX512F, FOCAL_CPU_XCR0_AVX512, 7, 17, EBX},
    {FOCAL_CPU_AVX512BW, FOCAL_CPU_AVX512F, FOCAL_CPU_XCR0_AVX512, 7, 30, EBX},
    {FOCAL_CPU_AVX512VL, FOCAL_CPU_AVX512F, FOCAL_CPU_XCR0_AVX512, 7, 31, EBX},
};

/* Beyond the highest leaf Intel answers with another leaf's data; here it reads as 0. */
typedef struct leaf_set {
    const focal_cpu_reader *reader;
    uint32_t basic_max, extended_max;
} leaf_set;

static int has_leaf(const leaf_set *leaves, uint32_t leaf) {
    return leaf <= (leaf >= EXTENDED(0) ? leaves->extended_max : leaves->basic_max);
}

static void ask(const leaf_set *leaves, uint32_t leaf, uint32_t subleaf, uint32_t out[4]) {
    out[EAX] = out[EBX] = out[ECX] = out[EDX] = 0;
    if (has_leaf(leaves, leaf) && leaves->reader->cpuid != NULL) {
        leaves->reader->cpuid(leaves->reader->context, leaf, subleaf, out);
    }
}

static void put_register(char *out, uint32_t value) {
    for (unsigned i = 0; i < 4; i++) {
        out[i] = (char)(value >> 8 * i & 0xff);
    }
}

static leaf_set read_limits(focal_cpu *cpu, const focal_cpu_reader *reader) {
    leaf_set leaves = {reader, 0, EXTENDED(0)};
    uint32_t answer[4];
    char vendor[12];
    ask(&leaves, 0, 0, answer);
    put_register(vendor, answer[EBX]);
    put_register(vendor + 4, answer[EDX]);
    put_register(vendor + 8, answer[ECX]);
    focal_cpu_copy_text(cpu->vendor, sizeof cpu->vendor, vendor, sizeof vendor);
    leaves.basic_max = answer[EAX] < EXTENDED(0) ? answer[EAX] : 0;
    /* Processors without extended leaves answer with a basic leaf: only 8000xxxx is a limit. */
    ask(&leaves, EXTENDED(0), 0, answer);
    leaves.extended_max = answer[EAX] >> 16 == 0x8000 ? answer[EAX] : EXTENDED(0);
    return leaves;
}

static void read_signature(focal_cpu *cpu, uint32_t signature) {
    const unsigned base_family = signature >> 8 & 0xf;
    const unsigned base_model = signature >> 4 & 0xf;
    cpu->stepping = signature & 0xf;
    cpu->family = base_family + (base_family == 0xf ? signature >> 20 & 0xff : 0);
    cpu->model = base_model + (base_family >= 6 ? (signature >> 16 & 0xf) << 4 : 0);
}

static void read_features(focal_cpu *cpu, const leaf_set *leaves, const uint32_t leaf_1[4]) {
    const focal_cpu_reader *reader = leaves->reader;
    uint32_t leaf_7[4];
    ask(leaves, 7, 0, leaf_7);
    if ((leaf_1[ECX] & LEAF_1_ECX_OSXSAVE) != 0 && reader->xcr0 != NULL) {
        cpu->xcr0 = reader->xcr0(reader->context);
    }
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const uint32_t *answer = rules[i].leaf == 1 ? leaf_1 : leaf_7;
        if ((answer[rules[i].register_index] >> rules[i].bit & 1) == 0) {
            continue;
        }
        const int saved = (cpu->xcr0 & rules[i].xcr0) == rules[i].xcr0;
        const int founded = (cpu->features & rules[i].builds_on) == rules[i].builds_on;
        *(saved && founded ? &cpu->features : &cpu->masked) |= rules[i].feature;
    }
}

/* Leaves 4 (Intel) and 8000001D (AMD) have one layout: a subleaf per cache, ended by type 0. */
static void read_cache_leaf(focal_cpu *cpu, const leaf_set *leaves, uint32_t leaf) {
    enum { TYPE_NONE = 0, TYPE_DATA = 1, TYPE_UNIFIED = 3 };
    for (uint32_t subleaf = 0; subleaf < CACHE_SUBLEAVES_MAX; subleaf++) {
        uint32_t answer[4];
        ask(leaves, leaf, subleaf, answer);
        const uint32_t type = answer[EAX] & 0x1f;
        if (type == TYPE_NONE) {
            break;
        }
        if (type != TYPE_DATA && type != TYPE_UNIFIED) {
            continue;
        }
        const uint32_t line = (answer[EBX] & 0xfff) + 1;
        const uint32_t partitions = (answer[EBX] >> 12 & 0x3ff) + 1;
        const uint32_t ways = (answer[EBX] >> 22) + 1;
        /* At most 2^12 * 2^10 * 2^10 * 2^32: all ones wraps to 0, which is "unknown" and right.
         */
        const uint64_t bytes = (uint64_t)line * partitions * ways * ((uint64_t)answer[ECX] + 1);
        switch (answer[EAX] >> 5 & 7) {
        case 1:
            cpu->l1d_bytes = focal_cpu_cache_bytes(bytes);
            cpu->cache_line_bytes = line;
            break;
        case 2:
            cpu->l2_bytes = focal_cpu_cache_bytes(bytes);
            break;
        case 3:
            cpu->l3_bytes = focal_cpu_cache_bytes(bytes);
            break;
        default:
            break;
        }
    }
}

/* AMD before the topology extension, and VIA: sizes in KiB, the third level in units of 512
 * KiB. */
static void read_old_cache_leaves(focal_cpu *cpu, const leaf_set *leaves) {
    uint32_t answer[4];
    ask(leaves, EXTENDED(5), 0, answer);
    cpu->l1d_bytes = (answer[ECX] >> 24) * 1024;
    cpu->cache_line_bytes = answer[ECX] & 0xff;
    ask(leaves, EXTENDED(6), 0, answer);
    cpu->l2_bytes = (answer[ECX] >> 16) * 1024;
    cpu->l3_bytes = focal_cpu_cache_bytes((uint64_t)(answer[EDX] >> 18) * 512 * 1024);
}

static void read_caches(focal_cpu *cpu, const leaf_set *leaves, const uint32_t leaf_1[4]) {
    uint32_t extended_1[4];
    read_cache_leaf(cpu, leaves, 4);
    ask(leaves, EXTENDED(1), 0, extended_1);
    if (cpu->l1d_bytes == 0 && (extended_1[ECX] & EXTENDED_1_ECX_TOPOLOGY) != 0) {
        read_cache_leaf(cpu, leaves, EXTENDED(0x1d));
    }
    if (cpu->l1d_bytes == 0) {
        read_old_cache_leaves(cpu, leaves);
    }
    if (cpu->cache_line_bytes == 0 && (leaf_1[EDX] & LEAF_1_EDX_CLFLUSH) != 0) {
        cpu->cache_line_bytes = (leaf_1[EBX] >> 8 & 0xff) * 8;
    }
}

static void read_brand(focal_cpu *cpu, const leaf_set *leaves) {
    char brand[48];
    for (size_t part = 0; part < 3; part++) {
        uint32_t answer[4];
        ask(leaves, EXTENDED(2 + (uint32_t)part), 0, answer);
        for (size_t i = 0; i < 4; i++) {
            put_register(brand + 16 * part + 4 * i, answer[i]);
        }
    }
    focal_cpu_copy_text(cpu->brand, sizeof cpu->brand, brand, sizeof brand);
}

void focal_cpu_detect_x86(focal_cpu *cpu, const focal_cpu_reader *reader) {
    const leaf_set leaves = read_limits(cpu, reader);
    uint32_t leaf_1[4];
    ask(&leaves, 1, 0, leaf_1);
    read_signature(cpu, leaf_1[EAX]);
    read_features(cpu, &leaves, leaf_1);
    read_caches(cpu, &leaves, leaf_1);
    read_brand(cpu, &leaves);
}
