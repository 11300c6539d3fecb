/* CPU detection: what the processor offers and what the operating system lets a program use of
 * it.
 *
 * Everything detection asks of the machine goes through a focal_cpu_reader, so that a recorded
 * processor can be replayed on any other one; the parsing for x86 and for Arm is therefore
 * compiled on every architecture, and only the host's own reader (cpu_host.c) is not. */
#ifndef FOCAL_DISPATCH_CPU_H
#define FOCAL_DISPATCH_CPU_H

#include <stddef.h>
#include <stdint.h>

/* X(NAME, text): the one list of instruction sets that a kernel row may need. FMA stands for
 * fused multiply-add in scalar and in vector registers, on x86 (FMA3) and on Arm (part of
 * floating point). */
#define FOCAL_CPU_FEATURES(X)                                                                  \
    X(SSE2, "sse2")                                                                            \
    X(AVX, "avx")                                                                              \
    X(FMA, "fma")                                                                              \
    X(F16C, "f16c")                                                                            \
    X(AVX2, "avx2")                                                                            \
    X(AVX512F, "avx512f")                                                                      \
    X(AVX512DQ, "avx512dq")                                                                    \
    X(AVX512BW, "avx512bw")                                                                    \
    X(AVX512VL, "avx512vl")                                                                    \
    X(NEON, "neon")                                                                            \
    X(SVE, "sve")                                                                              \
    X(SVE2, "sve2")

enum {
#define X(name, text) FOCAL_CPU_INDEX_##name,
    FOCAL_CPU_FEATURES(X)
#undef X
        FOCAL_CPU_FEATURE_COUNT
};

/* Enumerators, so that they may stand in constant tables; C11 gives those the type int. */
enum {
#define X(name, text) FOCAL_CPU_##name = 1 << FOCAL_CPU_INDEX_##name,
    FOCAL_CPU_FEATURES(X)
#undef X
};

#define X(name, text) | FOCAL_CPU_##name
enum { FOCAL_CPU_EVERY_FEATURE = 0 FOCAL_CPU_FEATURES(X) };
#undef X

/* A shared bit would make the sum exceed the union. */
#define X(name, text) +FOCAL_CPU_##name
_Static_assert((0 FOCAL_CPU_FEATURES(X)) == FOCAL_CPU_EVERY_FEATURE,
               "feature bits are distinct");
#undef X
_Static_assert(FOCAL_CPU_FEATURE_COUNT <= 31, "feature bits fit an enumerator of type int");

/* What the scalar row with FMA needs: on x86 SLEEF compiles its scalar FMA functions for AVX2. */
enum {
#if defined(__x86_64__) || defined(__i386__)
    FOCAL_CPU_SCALAR_FMA = FOCAL_CPU_FMA | FOCAL_CPU_AVX2,
#else
    FOCAL_CPU_SCALAR_FMA = FOCAL_CPU_FMA,
#endif
};

/* Bits of XCR0, the register that tells which registers the system saves at a task switch. */
enum {
    FOCAL_CPU_XCR0_AVX = 0x06,    /* XMM and the upper halves of YMM */
    FOCAL_CPU_XCR0_AVX512 = 0xe6, /* those, the masks, the upper halves of ZMM, and ZMM16-31 */
};

typedef struct focal_cpu {
    uint64_t features; /* usable: the processor has it and the system saves its registers */
    uint64_t masked;   /* announced, but not saved or without what it builds on */
    uint64_t xcr0;     /* x86: the saved state, 0 where the system has not enabled XSAVE */
    char vendor[16];
    char brand[64];
    /* x86: as displayed. Arm: implementer, part number, 16 * variant + revision. */
    unsigned family, model, stepping;
    /* Of the core that detection ran on (x86) or of the first core (Arm); 0 is unknown. */
    uint32_t l1d_bytes, l2_bytes, l3_bytes, cache_line_bytes;
} focal_cpu;

typedef enum focal_cpu_arch {
    FOCAL_CPU_ARCH_OTHER,
    FOCAL_CPU_ARCH_X86,
    FOCAL_CPU_ARCH_ARM64,
} focal_cpu_arch;

/* A null function stands for a machine that does not tell. */
typedef struct focal_cpu_reader {
    focal_cpu_arch arch;
    void *context;
    /* x86. out is EAX, EBX, ECX, EDX; XCR0 is asked only where OSXSAVE allows it. */
    void (*cpuid)(void *context, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
    uint64_t (*xcr0)(void *context);
    /* Arm. hwcap 1 or 2 as Linux counts; MIDR is asked only where hwcap 1 allows it. */
    uint64_t (*hwcap)(void *context, unsigned which);
    uint64_t (*midr)(void *context);
    /* All but x86. Bytes of the data or unified cache of levels 1 to 3; level 0: of a line. */
    uint32_t (*cache)(void *context, unsigned level);
    void (*brand)(void *context, char *out, size_t size);
} focal_cpu_reader;

/* Fills *cpu from the reader's answers alone; whatever they are, the texts are printable. */
void focal_cpu_detect(focal_cpu *cpu, const focal_cpu_reader *reader);

/* This machine, detected at the first call and never again; safe from any thread. */
const focal_cpu *focal_cpu_host(void);

/* How often the host was detected in this process: 0 or 1. */
unsigned focal_cpu_host_detections(void);

/* This machine's own reader. */
const focal_cpu_reader *focal_cpu_host_reader(void);

/* Writes the names of the set bits, as many as fit; returns the length of all of them. */
size_t focal_cpu_features_text(uint64_t features, char *out, size_t size);

/* Parts of focal_cpu_detect, one per architecture; *cpu is cleared beforehand. */
void focal_cpu_detect_x86(focal_cpu *cpu, const focal_cpu_reader *reader);
void focal_cpu_detect_arm64(focal_cpu *cpu, const focal_cpu_reader *reader);

/* Copies at most length bytes: unprintable ones as '?', runs of blanks as one, ends trimmed. */
void focal_cpu_copy_text(char *out, size_t size, const char *text, size_t length);

/* The size if 32 bits hold it, else 0: a larger cache is a misreading. */
uint32_t focal_cpu_cache_bytes(uint64_t bytes);

#endif
