/* Dumps of processors: small text files that say what detection is told and what it must find.
 * The first line says who vouches for the dump:
 * - "# recorded on MACHINE"
 * - "# built from the vendor's documented leaves: PROCESSOR"
 * - "# invented: WHY", for machines that nobody sells
 *
 * What detection is told, where what is missing reads as 0:
 * - arch x86, arm64 or other
 * - LEAF SUBLEAF EAX EBX ECX EDX, eight hexadecimal digits each, and xcr0 HEX (x86)
 * - hwcap HEX, hwcap2 HEX, midr HEX (Arm)
 * - system_caches L1D L2 L3 LINE, system_brand TEXT (what the system tells outside x86)
 *
 * What it must find, all of it required:
 * - features NAMES, masked NAMES, vendor TEXT, signature FAMILY MODEL STEPPING, brand TEXT
 * - caches L1D L2 L3 LINE in bytes, row NAME */
#ifndef FOCAL_TESTS_CPU_DUMP_H
#define FOCAL_TESTS_CPU_DUMP_H

#include "../dispatch/cpu.h"

/* A detection that asks more often than CPU_DUMP_CALLS_MAX follows an answer in circles. */
enum { CPU_DUMP_LEAVES_MAX = 128, CPU_DUMP_CALLS_MAX = 64 };

typedef struct leaf_line {
    uint32_t leaf, subleaf, answer[4];
} leaf_line;

typedef struct cpu_dump {
    unsigned seen;
    focal_cpu_arch arch;
    leaf_line leaves[CPU_DUMP_LEAVES_MAX];
    size_t leaf_count;
    uint64_t xcr0, hwcap[2], midr;
    uint32_t system_caches[4]; /* level 1, 2, 3, line */
    char system_brand[64];
    focal_cpu expected;
    char row[16];
    /* What a replay watches: the first rule that detection broke, and how much it asked. */
    const char *misuse;
    unsigned cpuid_calls;
} cpu_dump;

/* Returns 0 and says why if the file is not a complete dump. */
int cpu_dump_read(cpu_dump *dump, const char *path, char *error, size_t error_size);

/* Runs detection on the dump; sets misuse and cpuid_calls. */
focal_cpu cpu_dump_replay(cpu_dump *dump);

/* The recorded answer, null if there is none. */
const uint32_t *cpu_dump_leaf(const cpu_dump *dump, uint32_t leaf, uint32_t subleaf);

#endif
