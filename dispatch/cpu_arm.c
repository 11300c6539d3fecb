/* AArch64 detection from the hardware capabilities that Linux passes to a process (its
 * Documentation/arch/arm64/elf_hwcaps.rst) and from the main ID register (Arm ARM, MIDR_EL1).
 * The kernel sets a capability only when it also saves the registers, so nothing else needs to
 * be asked. */
#include "cpu.h"

#include <stdio.h>

enum { HWCAP_CPUID_BIT = 11 };

/* In an order in which everything comes after what it builds on. */
static const struct {
    uint64_t feature, builds_on;
    unsigned which, bit;
} rules[] = {
    {FOCAL_CPU_FMA, 0, 1, 0}, /* HWCAP_FP: FMADD belongs to the base floating point */
    {FOCAL_CPU_NEON, FOCAL_CPU_FMA, 1, 1},
    {FOCAL_CPU_SVE, FOCAL_CPU_NEON, 1, 22},
    {FOCAL_CPU_SVE2, FOCAL_CPU_SVE, 2, 1},
};

static const struct {
    unsigned code;
    const char *name;
} implementers[] = {
    {0x41, "Arm"},       {0x42, "Broadcom"}, {0x43, "Cavium"},   {0x46, "Fujitsu"},
    {0x48, "HiSilicon"}, {0x4e, "NVIDIA"},   {0x51, "Qualcomm"}, {0x61, "Apple"},
    {0x6d, "Microsoft"}, {0xc0, "Ampere"},
};

/* For display only: a part that is missing here is shown by its number and runs as well. */
static const struct {
    unsigned implementer, part;
    const char *name;
} parts[] = {
    {0x41, 0xd03, "Cortex-A53"},     {0x41, 0xd05, "Cortex-A55"},
    {0x41, 0xd07, "Cortex-A57"},     {0x41, 0xd08, "Cortex-A72"},
    {0x41, 0xd0b, "Cortex-A76"},     {0x41, 0xd0c, "Neoverse N1"},
    {0x41, 0xd40, "Neoverse V1"},    {0x41, 0xd41, "Cortex-A78"},
    {0x41, 0xd44, "Cortex-X1"},      {0x41, 0xd49, "Neoverse N2"},
    {0x41, 0xd4f, "Neoverse V2"},    {0x41, 0xd84, "Neoverse V3"},
    {0x41, 0xd8e, "Neoverse N3"},    {0x46, 0x001, "A64FX"},
    {0x48, 0xd01, "Kunpeng 920"},    {0x61, 0x022, "M1 (Icestorm)"},
    {0x61, 0x023, "M1 (Firestorm)"}, {0xc0, 0xac3, "AmpereOne"},
};

static uint64_t ask_hwcap(const focal_cpu_reader *reader, unsigned which) {
    return reader->hwcap != NULL ? reader->hwcap(reader->context, which) : 0;
}

static void read_features(focal_cpu *cpu, const uint64_t hwcap[2]) {
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if ((hwcap[rules[i].which - 1] >> rules[i].bit & 1) == 0) {
            continue;
        }
        const int founded = (cpu->features & rules[i].builds_on) == rules[i].builds_on;
        *(founded ? &cpu->features : &cpu->masked) |= rules[i].feature;
    }
}

static void read_identity(focal_cpu *cpu, uint32_t midr) {
    cpu->family = midr >> 24;
    cpu->model = midr >> 4 & 0xfff;
    cpu->stepping = (midr >> 20 & 0xf) << 4 | (midr & 0xf);
    snprintf(cpu->vendor, sizeof cpu->vendor, "0x%02x", cpu->family);
    snprintf(cpu->brand, sizeof cpu->brand, "part 0x%03x", cpu->model);
    for (size_t i = 0; i < sizeof implementers / sizeof implementers[0]; i++) {
        if (implementers[i].code == cpu->family) {
            snprintf(cpu->vendor, sizeof cpu->vendor, "%s", implementers[i].name);
        }
    }
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].implementer == cpu->family && parts[i].part == cpu->model) {
            snprintf(cpu->brand, sizeof cpu->brand, "%s", parts[i].name);
        }
    }
}

void focal_cpu_detect_arm64(focal_cpu *cpu, const focal_cpu_reader *reader) {
    const uint64_t hwcap[2] = {ask_hwcap(reader, 1), ask_hwcap(reader, 2)};
    read_features(cpu, hwcap);
    /* The kernel emulates this read for user space only where it says so. */
    if ((hwcap[0] >> HWCAP_CPUID_BIT & 1) != 0 && reader->midr != NULL) {
        const uint32_t midr = (uint32_t)reader->midr(reader->context);
        if (midr != 0) {
            read_identity(cpu, midr);
        }
    }
}
