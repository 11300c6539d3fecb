/* Prints a dump of this machine in the format of cpu_dump.h, with what detection finds as the
 * expectation. The row is left for a person to fill in, after comparing with the vendor's
 * sheet: a dump that only repeats what the code said would prove nothing.
 *
 * usage: record_cpu > tests/data/cpu/NAME.txt */
#include "../dispatch/cpu.h"

#include <stdio.h>

static void print_leaf(const focal_cpu_reader *reader, uint32_t leaf, uint32_t subleaf,
                       uint32_t out[4]) {
    reader->cpuid(reader->context, leaf, subleaf, out);
    /* What a dump leaves out reads as 0. */
    if ((out[0] | out[1] | out[2] | out[3]) != 0) {
        printf("%08x %08x %08x %08x %08x %08x\n", leaf, subleaf, out[0], out[1], out[2],
               out[3]);
    }
}

/* Leaf 3 is left out: where it exists it holds a serial number. */
static void print_leaves(const focal_cpu_reader *reader, uint32_t first, uint32_t count_max) {
    enum { SUBLEAVES_MAX = 8 };
    uint32_t limit[4], answer[4];
    reader->cpuid(reader->context, first, 0, limit);
    for (uint32_t leaf = first; leaf <= limit[0] && leaf - first < count_max; leaf++) {
        if (leaf == 3) {
            continue;
        }
        print_leaf(reader, leaf, 0, answer);
        const int lists_caches = leaf == 4 || leaf == 0x8000001d;
        for (uint32_t subleaf = 1;
             lists_caches && (answer[0] & 0x1f) != 0 && subleaf < SUBLEAVES_MAX; subleaf++) {
            print_leaf(reader, leaf, subleaf, answer);
        }
        for (uint32_t subleaf = 1, last = answer[0];
             leaf == 7 && subleaf <= last && subleaf < SUBLEAVES_MAX; subleaf++) {
            print_leaf(reader, leaf, subleaf, answer);
        }
    }
}

static void print_x86(const focal_cpu_reader *reader, const focal_cpu *cpu) {
    puts("arch x86");
    print_leaves(reader, 0, 0x20);
    print_leaves(reader, 0x80000000, 0x28);
    if (cpu->xcr0 != 0) {
        printf("xcr0 %llx\n", (unsigned long long)cpu->xcr0);
    }
}

static void print_arm64(const focal_cpu_reader *reader, const focal_cpu *cpu) {
    puts("arch arm64");
    printf("hwcap %llx\n", (unsigned long long)reader->hwcap(reader->context, 1));
    printf("hwcap2 %llx\n", (unsigned long long)reader->hwcap(reader->context, 2));
    if (reader->midr != NULL && cpu->vendor[0] != '\0') {
        printf("midr %llx\n", (unsigned long long)reader->midr(reader->context));
    } else if (cpu->brand[0] != '\0') {
        printf("system_brand %s\n", cpu->brand);
    }
}

static void print_caches(const char *key, const focal_cpu *cpu) {
    printf("%s %u %u %u %u\n", key, cpu->l1d_bytes, cpu->l2_bytes, cpu->l3_bytes,
           cpu->cache_line_bytes);
}

static void print_text(const char *key, const char *text) {
    printf("%s%s%s\n", key, text[0] != '\0' ? " " : "", text);
}

int main(void) {
    const focal_cpu_reader *const reader = focal_cpu_host_reader();
    const focal_cpu *const cpu = focal_cpu_host();
    char text[256];
    printf("# recorded on %s, by record_cpu\n",
           cpu->brand[0] != '\0' ? cpu->brand : "an unnamed processor");
    if (reader->arch == FOCAL_CPU_ARCH_X86) {
        print_x86(reader, cpu);
    } else {
        reader->arch == FOCAL_CPU_ARCH_ARM64 ? print_arm64(reader, cpu)
                                             : (void)puts("arch other");
        print_caches("system_caches", cpu);
    }
    focal_cpu_features_text(cpu->features, text, sizeof text);
    print_text("features", text);
    focal_cpu_features_text(cpu->masked, text, sizeof text);
    print_text("masked", text);
    print_text("vendor", cpu->vendor);
    printf("signature %u %u %u\n", cpu->family, cpu->model, cpu->stepping);
    print_text("brand", cpu->brand);
    print_caches("caches", cpu);
    puts("row ?");
    return 0;
}
