#define _DEFAULT_SOURCE /* getloadavg */
#include "host.h"

#include "commit.h"
#include "stats.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

const char *const bench_card_keys[BENCH_CARD_COUNT] = {
#define BENCH_CARD_KEY(id, key) key,
    BENCH_CARD_LIST(BENCH_CARD_KEY)
#undef BENCH_CARD_KEY
};

void bench_card_set(bench_card *card, bench_card_line line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(card->text[line], sizeof card->text[line], format, arguments);
    va_end(arguments);
}

/* The first line of a file of the kernel's, or "unknown". */
static void set_from_file(bench_card *card, bench_card_line line, const char *path) {
    char text[128] = "";
    FILE *file = fopen(path, "r");
    if (file) {
        if (fgets(text, sizeof text, file))
            text[strcspn(text, "\n")] = '\0';
        fclose(file);
    }
    bench_card_set(card, line, "%s", *text ? text : "unknown");
}

/* A CPU says itself whether a hypervisor stands between, and which (leaf 0x40000000, by common
 * consent of the hypervisors). */
static void set_virtual(bench_card *card) {
    bench_card_set(card, BENCH_CARD_VIRTUAL, "unknown");
#if defined(__x86_64__) || defined(__i386__)
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return;
    if (!(c >> 31 & 1)) {
        bench_card_set(card, BENCH_CARD_VIRTUAL, "no");
        return;
    }
    char name[13] = "";
    __cpuid(0x40000000, a, b, c, d);
    memcpy(name, &b, 4);
    memcpy(name + 4, &c, 4);
    memcpy(name + 8, &d, 4);
    for (char *letter = name; *letter; letter++)
        if (*letter < ' ' || *letter > '~')
            *letter = '?';
    bench_card_set(card, BENCH_CARD_VIRTUAL, "yes (%s)", *name ? name : "unnamed");
#endif
}

static void set_library(bench_card *card) {
    focal_host_info host = {.struct_size = sizeof host};
    char rows[128] = "";
    for (size_t i = 0; i < focal_isa_count(); i++) {
        focal_isa_info info = {.struct_size = sizeof info};
        if (focal_isa_get(i, &info) == FOCAL_OK && info.usable &&
            strlen(rows) + strlen(info.name) + 2 < sizeof rows) {
            strcat(rows, *rows ? " " : "");
            strcat(rows, info.name);
        }
    }
    bench_card_set(card, BENCH_CARD_ISA, "%s", rows);
    bench_card_set(card, BENCH_CARD_LIBRARY, "libfocal %s", focal_version());
    if (focal_host_get(&host) != FOCAL_OK)
        return;
    bench_card_set(card, BENCH_CARD_CPU, "%s", host.cpu);
    bench_card_set(card, BENCH_CARD_CACHES, "L1d %u KiB, L2 %u KiB, L3 %u KiB",
                   (unsigned)(host.l1d_bytes >> 10), (unsigned)(host.l2_bytes >> 10),
                   (unsigned)(host.l3_bytes >> 10));
    bench_card_set(card, BENCH_CARD_COMPILER, "%s", host.compiler);
    bench_card_set(card, BENCH_CARD_SLEEF, "%s", host.sleef);
}

/* The cycle's length is taken again in every round; this is for people. */
static void set_clock(bench_card *card, focal_clock clock) {
    enum { TRIES = 15 };
    focal_timer timer;
    double cycles[TRIES];
    focal_timer_init(&timer, clock);
    bench_card_set(card, BENCH_CARD_CLOCK, "%s, steps of %.0f ns, a reading costs %.0f ns",
                   clock == FOCAL_CLOCK_CPU ? "cpu time" : "wall time", timer.resolution_ns,
                   timer.overhead_ns);
    for (size_t i = 0; i < TRIES; i++) {
        double start = focal_timer_now(&timer);
        if (!focal_chain())
            return;
        cycles[i] = (focal_timer_now(&timer) - start) / (double)FOCAL_CHAIN_ADDS;
    }
    bench_card_set(card, BENCH_CARD_FREQUENCY, "%.2f GHz by a chain of dependent additions",
                   1.0 / focal_summarize(cycles, TRIES).median);
}

int bench_cpu_count(void) {
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (int)count : 1;
}

double bench_load(void) {
    double load;
    return getloadavg(&load, 1) == 1 ? load : -1.0;
}

/* A line "KEY: N kB" of a file of the kernel's; 0 if there is none. */
static size_t read_kib(const char *path, const char *key) {
    FILE *file = fopen(path, "r");
    char line[128];
    unsigned long long kib = 0;
    const size_t length = strlen(key);
    while (file && kib == 0 && fgets(line, sizeof line, file))
        if (strncmp(line, key, length) == 0 && line[length] == ':')
            kib = strtoull(line + length + 1, NULL, 10);
    if (file)
        fclose(file);
    return (size_t)kib << 10;
}

size_t bench_memory_available(void) {
    return read_kib("/proc/meminfo", "MemAvailable");
}

void bench_memory_peak_reset(void) {
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (!file)
        return;
    fputs("5", file); /* VmHWM alone; proc(5) */
    fclose(file);
}

size_t bench_memory_peak(void) {
    return read_kib("/proc/self/status", "VmHWM");
}

void bench_card_fill(bench_card *card, focal_clock clock) {
    struct utsname kernel;
    for (int line = 0; line < BENCH_CARD_COUNT; line++)
        bench_card_set(card, (bench_card_line)line, "unknown");
    set_library(card);
    set_virtual(card);
    set_clock(card, clock);
    bench_card_set(card, BENCH_CARD_CPUS, "%d", bench_cpu_count());
    set_from_file(card, BENCH_CARD_GOVERNOR,
                  "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    set_from_file(card, BENCH_CARD_BOOST, "/sys/devices/system/cpu/cpufreq/boost");
    set_from_file(card, BENCH_CARD_SMT, "/sys/devices/system/cpu/smt/active");
    set_from_file(card, BENCH_CARD_PAGES, "/sys/kernel/mm/transparent_hugepage/enabled");
    if (uname(&kernel) == 0)
        bench_card_set(card, BENCH_CARD_KERNEL, "%.30s %.60s %.30s", kernel.sysname,
                       kernel.release, kernel.machine);
    bench_card_set(card, BENCH_CARD_COMMIT, "%s", BENCH_COMMIT);
    bench_card_set(card, BENCH_CARD_FLAGS, "%s", BENCH_FLAGS);
    if (bench_load() >= 0.0)
        bench_card_set(card, BENCH_CARD_LOAD, "%.2f", bench_load());
}
