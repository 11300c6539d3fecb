/* Replays the recorded and documented processors of tests/data/cpu through detection, disturbs
 * every bit of them, feeds random answers, and checks that the host is detected once.
 *
 * usage: test_cpu DIRECTORY [SEED] */
#include "cpu_dump.h"

#include <dirent.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned passed, failed;

__attribute__((format(printf, 2, 3))) static int check(int holds, const char *format, ...) {
    if (holds) {
        passed++;
        return 1;
    }
    failed++;
    va_list arguments;
    va_start(arguments, format);
    fputs("FAILED: ", stdout);
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
    return 0;
}

/* What the rows of the dispatcher need, best first. */
static const struct {
    const char *name;
    uint64_t needs;
} rows[] = {
    {"avx512", FOCAL_CPU_FMA | FOCAL_CPU_F16C | FOCAL_CPU_AVX2 | FOCAL_CPU_AVX512F |
                   FOCAL_CPU_AVX512DQ | FOCAL_CPU_AVX512BW | FOCAL_CPU_AVX512VL},
    {"avx2", FOCAL_CPU_FMA | FOCAL_CPU_F16C | FOCAL_CPU_AVX2},
    {"neon", FOCAL_CPU_NEON},
    {"scalarfma", FOCAL_CPU_FMA | FOCAL_CPU_AVX2}, /* of x86 */
    {"scalar", 0},
};
enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

static const char *row_for(uint64_t features) {
    size_t i = 0;
    while ((features & rows[i].needs) != rows[i].needs) {
        i++;
    }
    return rows[i].name;
}

static int is_printable(const char *text, size_t size) {
    size_t length = 0;
    while (length < size && text[length] >= ' ' && text[length] <= '~') {
        length++;
    }
    return length < size && text[length] == '\0';
}

/* What must hold for whatever a machine answers; NULL if it does. */
static const char *broken_invariant(const focal_cpu *cpu, focal_cpu_arch arch, uint64_t xcr0) {
    const uint64_t avx = FOCAL_CPU_AVX | FOCAL_CPU_FMA | FOCAL_CPU_F16C | FOCAL_CPU_AVX2;
    const uint64_t avx512 =
        FOCAL_CPU_AVX512F | FOCAL_CPU_AVX512DQ | FOCAL_CPU_AVX512BW | FOCAL_CPU_AVX512VL;
    const uint64_t arm = FOCAL_CPU_NEON | FOCAL_CPU_SVE | FOCAL_CPU_SVE2;
    const uint64_t x86 = (avx | avx512 | FOCAL_CPU_SSE2) & ~(uint64_t)FOCAL_CPU_FMA;
    const uint64_t both = cpu->features | cpu->masked;
    if ((both & ~(uint64_t)FOCAL_CPU_EVERY_FEATURE) != 0) {
        return "an unknown feature bit is set";
    }
    if ((cpu->features & cpu->masked) != 0) {
        return "a feature is both usable and masked";
    }
    if (arch == FOCAL_CPU_ARCH_X86 && (cpu->features & avx) != 0 && (xcr0 & 0x06) != 0x06) {
        return "AVX, FMA, F16C or AVX2 claimed without XCR0 06";
    }
    if ((cpu->features & avx512) != 0 && (xcr0 & 0xe6) != 0xe6) {
        return "AVX-512 claimed without XCR0 E6";
    }
    if ((cpu->features & avx512) != 0 &&
        (cpu->features & (avx | FOCAL_CPU_AVX512F)) != (avx | FOCAL_CPU_AVX512F)) {
        return "AVX-512 claimed without its foundation";
    }
    if ((cpu->features & FOCAL_CPU_SVE2) != 0 && (cpu->features & FOCAL_CPU_SVE) == 0) {
        return "SVE2 claimed without SVE";
    }
    if ((both & (arch == FOCAL_CPU_ARCH_X86 ? arm : x86)) != 0) {
        return "a feature of another architecture is set";
    }
    if (!is_printable(cpu->vendor, sizeof cpu->vendor) ||
        !is_printable(cpu->brand, sizeof cpu->brand)) {
        return "vendor or brand is not printable text";
    }
    return NULL;
}

static const char *broken_replay(cpu_dump *dump) {
    const focal_cpu cpu = cpu_dump_replay(dump);
    const uint32_t *const leaf_1 = cpu_dump_leaf(dump, 1, 0);
    const int enabled = leaf_1 != NULL && (leaf_1[2] >> 27 & 1) != 0;
    const char *const broken = broken_invariant(&cpu, dump->arch, enabled ? dump->xcr0 : 0);
    return broken != NULL ? broken : dump->misuse;
}

static void check_features(const char *name, const char *what, uint64_t found,
                           uint64_t expected) {
    char found_text[256], expected_text[256];
    focal_cpu_features_text(found, found_text, sizeof found_text);
    focal_cpu_features_text(expected, expected_text, sizeof expected_text);
    check(found == expected, "%s: %s are [%s], expected [%s]", name, what, found_text,
          expected_text);
}

static void check_dump(const char *name, cpu_dump *dump) {
    const focal_cpu cpu = cpu_dump_replay(dump);
    const focal_cpu *const expected = &dump->expected;
    check_features(name, "usable features", cpu.features, expected->features);
    check_features(name, "masked features", cpu.masked, expected->masked);
    check(strcmp(cpu.vendor, expected->vendor) == 0, "%s: vendor is [%s], expected [%s]", name,
          cpu.vendor, expected->vendor);
    check(strcmp(cpu.brand, expected->brand) == 0, "%s: brand is [%s], expected [%s]", name,
          cpu.brand, expected->brand);
    check(cpu.family == expected->family && cpu.model == expected->model &&
              cpu.stepping == expected->stepping,
          "%s: signature is %u %u %u, expected %u %u %u", name, cpu.family, cpu.model,
          cpu.stepping, expected->family, expected->model, expected->stepping);
    check(cpu.l1d_bytes == expected->l1d_bytes && cpu.l2_bytes == expected->l2_bytes &&
              cpu.l3_bytes == expected->l3_bytes &&
              cpu.cache_line_bytes == expected->cache_line_bytes,
          "%s: caches are %u %u %u %u, expected %u %u %u %u", name, cpu.l1d_bytes, cpu.l2_bytes,
          cpu.l3_bytes, cpu.cache_line_bytes, expected->l1d_bytes, expected->l2_bytes,
          expected->l3_bytes, expected->cache_line_bytes);
    check(strcmp(row_for(cpu.features), dump->row) == 0, "%s: row is %s, expected %s", name,
          row_for(cpu.features), dump->row);
    const char *const broken = broken_replay(dump);
    check(broken == NULL, "%s: %s", name, broken);
}

/* Every single bit that a machine answered, wrong. */
static void check_flips(const char *name, cpu_dump *dump) {
    const char *broken = NULL;
    for (size_t i = 0; i < dump->leaf_count && broken == NULL; i++) {
        for (unsigned bit = 0; bit < 128 && broken == NULL; bit++) {
            uint32_t *const word = &dump->leaves[i].answer[bit / 32];
            *word ^= UINT32_C(1) << bit % 32;
            broken = broken_replay(dump);
            *word ^= UINT32_C(1) << bit % 32;
        }
    }
    uint64_t *const words[] = {&dump->xcr0, &dump->hwcap[0], &dump->hwcap[1], &dump->midr};
    for (unsigned bit = 0; bit < 4 * 64 && broken == NULL; bit++) {
        *words[bit / 64] ^= UINT64_C(1) << bit % 64;
        broken = broken_replay(dump);
        *words[bit / 64] ^= UINT64_C(1) << bit % 64;
    }
    check(broken == NULL, "%s: with one bit wrong: %s", name, broken);
}

static void check_all_dumps(const char *directory) {
    static cpu_dump dump;
    char error[640];
    unsigned per_row[ROW_COUNT] = {0}, recorded = 0, masking = 0;
    DIR *const entries = opendir(directory);
    if (!check(entries != NULL, "%s: cannot be opened as a directory", directory)) {
        return;
    }
    for (struct dirent *entry = readdir(entries); entry != NULL; entry = readdir(entries)) {
        const size_t length = strlen(entry->d_name);
        char path[1024];
        if (length < 4 || strcmp(entry->d_name + length - 4, ".txt") != 0) {
            continue;
        }
        if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, entry->d_name) >=
            sizeof path) {
            check(0, "%s: path too long", entry->d_name);
        } else if (check(cpu_dump_read(&dump, path, error, sizeof error), "%s: %s",
                         entry->d_name, error)) {
            check_dump(entry->d_name, &dump);
            check_flips(entry->d_name, &dump);
            recorded++;
            masking += dump.expected.masked != 0;
            for (size_t i = 0; i < ROW_COUNT; i++) {
                per_row[i] += strcmp(rows[i].name, dump.row) == 0;
            }
        }
    }
    closedir(entries);
    printf("%u dumps replayed from %s\n", recorded, directory);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        check(per_row[i] > 0, "no dump in %s expects row %s", directory, rows[i].name);
    }
    check(masking > 0, "no dump in %s has a masked feature", directory);
}

typedef struct random_machine {
    uint64_t state, xcr0, hwcap_1;
    int osxsave;
    const char *misuse;
    unsigned cpuid_calls;
} random_machine;

static uint64_t next_random(random_machine *machine) {
    machine->state ^= machine->state << 13;
    machine->state ^= machine->state >> 7;
    machine->state ^= machine->state << 17;
    return machine->state * UINT64_C(0x2545f4914f6cdd1d) >> 16;
}

/* Each word is random, all ones or all zeros, so that rare combinations of bits are met too. */
static void random_cpuid(void *context, uint32_t leaf, uint32_t subleaf, uint32_t out[4]) {
    random_machine *const machine = context;
    (void)subleaf;
    for (unsigned i = 0; i < 4; i++) {
        const uint64_t kind = next_random(machine) & 3;
        out[i] = kind == 0 ? 0 : kind == 1 ? UINT32_MAX : (uint32_t)next_random(machine);
    }
    if (leaf == 0 && next_random(machine) % 8 != 0) {
        out[0] &= 0x1f;
    }
    if (leaf == 0x80000000 && next_random(machine) % 8 != 0) {
        out[0] = leaf + (out[0] & 0x3f);
    }
    if (leaf == 1) {
        machine->osxsave = out[2] >> 27 & 1;
    }
    if (++machine->cpuid_calls > CPU_DUMP_CALLS_MAX) {
        machine->misuse = "asks CPUID too often";
    }
}

static uint64_t random_xcr0(void *context) {
    random_machine *const machine = context;
    static const uint64_t usual[] = {0, 1, 3, 6, 7, 0x66, 0xe0, 0xe6, 0xe7};
    const uint64_t choice = next_random(machine) % 16;
    machine->xcr0 = choice < 9 ? usual[choice] : next_random(machine);
    if (!machine->osxsave) {
        machine->misuse = "reads XCR0 without OSXSAVE, which faults";
    }
    return machine->xcr0;
}

static uint64_t random_hwcap(void *context, unsigned which) {
    random_machine *const machine = context;
    const uint64_t answer = next_random(machine) | (next_random(machine) & 3);
    machine->hwcap_1 = which == 1 ? answer : machine->hwcap_1;
    return answer;
}

static uint64_t random_midr(void *context) {
    random_machine *const machine = context;
    if ((machine->hwcap_1 >> 11 & 1) == 0) {
        machine->misuse = "reads MIDR without the CPUID capability, which faults";
    }
    return next_random(machine);
}

static uint32_t random_cache(void *context, unsigned level) {
    (void)level;
    return (uint32_t)next_random(context);
}

/* Sometimes without an end. */
static void random_brand(void *context, char *out, size_t size) {
    for (size_t i = 0; i < size; i++) {
        out[i] = (char)(1 + next_random(context) % 200);
    }
}

static void check_random(uint64_t seed) {
    enum { ROUNDS = 100000 };
    random_machine machine = {.state = seed | 1};
    unsigned claims[FOCAL_CPU_FEATURE_COUNT] = {0};
    for (unsigned round = 0; round < ROUNDS; round++) {
        const focal_cpu_arch arch = (focal_cpu_arch)(next_random(&machine) % 3);
        const focal_cpu_reader reader = {arch,         &machine,    random_cpuid, random_xcr0,
                                         random_hwcap, random_midr, random_cache, random_brand};
        focal_cpu cpu;
        machine.xcr0 = 0;
        machine.osxsave = 0;
        machine.cpuid_calls = 0;
        machine.misuse = NULL;
        memset(&cpu, 0xff, sizeof cpu);
        focal_cpu_detect(&cpu, &reader);
        const char *const broken = broken_invariant(&cpu, arch, machine.xcr0);
        if (broken != NULL || machine.misuse != NULL) {
            check(0, "random machine, seed %llu, round %u: %s", (unsigned long long)seed, round,
                  broken != NULL ? broken : machine.misuse);
            return;
        }
        for (unsigned i = 0; i < FOCAL_CPU_FEATURE_COUNT; i++) {
            claims[i] += (cpu.features >> i & 1) != 0;
        }
    }
    /* The rounds prove nothing about a feature that was never granted. */
    for (unsigned i = 0; i < FOCAL_CPU_FEATURE_COUNT; i++) {
        check(claims[i] > 0, "random machines, seed %llu: feature %u never met",
              (unsigned long long)seed, i);
    }
}

static void check_silent_readers(void) {
    for (int arch = FOCAL_CPU_ARCH_OTHER; arch <= FOCAL_CPU_ARCH_ARM64; arch++) {
        const focal_cpu_reader reader = {.arch = (focal_cpu_arch)arch};
        focal_cpu cpu, nothing;
        memset(&cpu, 0xff, sizeof cpu);
        memset(&nothing, 0, sizeof nothing);
        focal_cpu_detect(&cpu, &reader);
        check(memcmp(&cpu, &nothing, sizeof cpu) == 0,
              "architecture %d: a silent reader is detected as something", arch);
    }
}

static void check_texts(void) {
    static const char brand[] = "   Some  Brand\t\x80 @ 2 GHz   ";
    char text[64];
    focal_cpu_copy_text(text, sizeof text, brand, sizeof brand - 1);
    check(strcmp(text, "Some Brand?? @ 2 GHz") == 0, "copied text is [%s]", text);
    focal_cpu_copy_text(text, 5, "abcdefgh", 8);
    check(strcmp(text, "abcd") == 0, "cut text is [%s]", text);
    const uint64_t features = FOCAL_CPU_SSE2 | FOCAL_CPU_AVX512BW | FOCAL_CPU_SVE2;
    const size_t length = focal_cpu_features_text(features, text, sizeof text);
    check(strcmp(text, "sse2 avx512bw sve2") == 0 && length == 18, "features text is [%s]",
          text);
    for (size_t size = 0; size < 19; size++) {
        memset(text, '#', sizeof text);
        const size_t uncut = focal_cpu_features_text(features, text, size);
        const char *const expected = size < 5 ? "" : size < 14 ? "sse2" : "sse2 avx512bw";
        check(uncut == 18 && text[size] == '#' && (size == 0 || strcmp(text, expected) == 0),
              "features text cut at %zu is wrong", size);
    }
}

enum { THREADS = 8 };
static atomic_uint threads_ready;

static void *ask_host(void *argument) {
    const focal_cpu **const answer = argument;
    atomic_fetch_add(&threads_ready, 1);
    while (atomic_load(&threads_ready) < THREADS) {
    }
    *answer = focal_cpu_host();
    return NULL;
}

static void check_host_once(void) {
    pthread_t threads[THREADS];
    const focal_cpu *answers[THREADS] = {NULL};
    check(focal_cpu_host_detections() == 0, "the host was detected before anybody asked");
    for (unsigned i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, ask_host, &answers[i]) != 0) {
            puts("FAILED: cannot create a thread");
            exit(1);
        }
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        check(answers[i] != NULL && answers[i] == answers[0], "thread %u got another record",
              i);
    }
    check(focal_cpu_host_detections() == 1, "the host was detected %u times",
          focal_cpu_host_detections());
}

/* Against an oracle of other authors: the compiler's run-time library, which honours XCR0 too.
 */
static void check_host_features(void) {
    const focal_cpu *const host = focal_cpu_host();
    char text[256];
    focal_cpu_features_text(host->features, text, sizeof text);
    printf("host: %s, family %u, model %u, stepping %u, vendor %s, row %s\n", host->brand,
           host->family, host->model, host->stepping, host->vendor, row_for(host->features));
    printf("host: features %s; caches %u %u %u, line %u\n", text, host->l1d_bytes,
           host->l2_bytes, host->l3_bytes, host->cache_line_bytes);
    const char *const broken =
        broken_invariant(host, focal_cpu_host_reader()->arch, host->xcr0);
    check(broken == NULL, "host: %s", broken);
#if defined(__x86_64__) || defined(__i386__)
#define AGREES(name, text)                                                                     \
    check(((host->features & FOCAL_CPU_##name) != 0) == (__builtin_cpu_supports(text) != 0),   \
          "host: " text " differs from the compiler's opinion")
    __builtin_cpu_init();
    AGREES(SSE2, "sse2");
    AGREES(AVX, "avx");
    AGREES(FMA, "fma");
    AGREES(AVX2, "avx2");
    AGREES(AVX512F, "avx512f");
    AGREES(AVX512DQ, "avx512dq");
    AGREES(AVX512BW, "avx512bw");
    AGREES(AVX512VL, "avx512vl");
#elif defined(__aarch64__)
    const uint64_t baseline = FOCAL_CPU_FMA | FOCAL_CPU_NEON;
    check((host->features & baseline) == baseline, "host: AArch64 without its NEON baseline");
#endif
}

int main(int argument_count, char **arguments) {
    if (argument_count < 2 || argument_count > 3) {
        fputs("usage: test_cpu DIRECTORY [SEED]\n", stderr);
        return 2;
    }
    const uint64_t seed = argument_count == 3 ? strtoull(arguments[2], NULL, 0) : 20260401;
    check_host_once();
    check_host_features();
    check_all_dumps(arguments[1]);
    check_silent_readers();
    check_random(seed);
    check_texts();
    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
