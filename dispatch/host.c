/* What the library tells about the machine and itself. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "cpu.h"
#include "focal.h"
#include "isa.h"

#define TEXT_OF(number) #number
#define TEXT(number)    TEXT_OF(number)

const char *focal_version(void) {
    return TEXT(FOCAL_VERSION_MAJOR) "." TEXT(FOCAL_VERSION_MINOR) "." TEXT(
        FOCAL_VERSION_PATCH);
}

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "gcc " __VERSION__
#else
#define COMPILER "unknown"
#endif

#define FOCAL_ISA_ROW(isa, needs) +1
enum {
    ISA_ROWS = 0
#include "isas.def"
};
#undef FOCAL_ISA_ROW

/* The texts that depend on the machine, made once. */
static struct {
    char cpu[96], features[256], masked[256];
    char missing[ISA_ROWS][256];
} texts;
static pthread_once_t texts_once = PTHREAD_ONCE_INIT;

static void make_texts(void) {
    const focal_cpu *cpu = focal_cpu_host();
    if (cpu->brand[0])
        snprintf(texts.cpu, sizeof texts.cpu, "%s", cpu->brand);
    else
        snprintf(texts.cpu, sizeof texts.cpu, "%s family %u model %u", cpu->vendor, cpu->family,
                 cpu->model);
    focal_cpu_features_text(cpu->features, texts.features, sizeof texts.features);
    focal_cpu_features_text(cpu->masked, texts.masked, sizeof texts.masked);
    for (size_t i = 0; i < focal_isa_row_count; i++) {
        const focal_isa_row *row = &focal_isa_rows[i];
        if (!row->table)
            snprintf(texts.missing[i], sizeof texts.missing[i], "not built");
        else
            focal_cpu_features_text(row->needs & ~cpu->features, texts.missing[i],
                                    sizeof texts.missing[i]);
    }
}

size_t focal_isa_count(void) {
    return focal_isa_row_count;
}

focal_status focal_isa_get(size_t index, focal_isa_info *info) {
    if (!info)
        return FOCAL_E_NULL;
    if (info->struct_size != sizeof *info)
        return FOCAL_E_STRUCT;
    if (index >= focal_isa_row_count)
        return FOCAL_E_RANGE;
    pthread_once(&texts_once, make_texts);
    const focal_isa_row *row = &focal_isa_rows[index];
    info->name = row->name;
    info->built = row->table != NULL;
    info->usable = focal_isa_usable(row, focal_cpu_host()->features);
    info->chosen = row == focal_isa_choose(NULL);
    info->missing = texts.missing[index];
    return FOCAL_OK;
}

focal_status focal_host_get(focal_host_info *info) {
    if (!info)
        return FOCAL_E_NULL;
    if (info->struct_size != sizeof *info)
        return FOCAL_E_STRUCT;
    pthread_once(&texts_once, make_texts);
    const focal_cpu *cpu = focal_cpu_host();
    info->cpu = texts.cpu;
    info->features = texts.features;
    info->masked = texts.masked;
    info->isa_cap = focal_isa_cap_name();
    info->cap_note = focal_isa_cap_note();
    info->compiler = COMPILER;
    info->sleef = FOCAL_SLEEF_VERSION;
    info->l1d_bytes = cpu->l1d_bytes;
    info->l2_bytes = cpu->l2_bytes;
    info->l3_bytes = cpu->l3_bytes;
    return FOCAL_OK;
}
