#include "isa.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "cpu.h"
#include "status.h"

/* config.h defines FOCAL_BUILT_<isa> as 1 or 0 for every row of isas.def. */
#define TABLE_0(isa)              NULL
#define TABLE_1(isa)              &focal_kernels_##isa
#define TABLE_JOIN(built, isa)    TABLE_##built(isa)
#define TABLE_IF(built, isa)      TABLE_JOIN(built, isa)
#define FOCAL_ISA_ROW(isa, needs) {#isa, needs, TABLE_IF(FOCAL_BUILT_##isa, isa)},
const focal_isa_row focal_isa_rows[] = {
#include "isas.def"
};
#undef FOCAL_ISA_ROW
const size_t focal_isa_row_count = sizeof focal_isa_rows / sizeof focal_isa_rows[0];

const focal_isa_row *focal_isa_find(const char *name) {
    for (size_t i = 0; i < focal_isa_row_count; i++)
        if (strcmp(focal_isa_rows[i].name, name) == 0)
            return &focal_isa_rows[i];
    return NULL;
}

bool focal_isa_usable(const focal_isa_row *row, uint64_t features) {
    return row->table && (row->needs & ~features) == 0;
}

const focal_isa_row *focal_isa_best(uint64_t features, size_t cap) {
    for (size_t i = cap; i < focal_isa_row_count; i++)
        if (focal_isa_usable(&focal_isa_rows[i], features))
            return &focal_isa_rows[i];
    return &focal_isa_rows[focal_isa_row_count - 1];
}

/* The two caps as indices into focal_isa_rows; 0 caps nothing. Guarded by the mutex, except
 * that nothing changes after `frozen`. */
static struct {
    pthread_mutex_t mutex;
    bool environment_read, frozen;
    size_t environment_cap, set_cap;
    char note[160];
} state = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void read_environment_locked(void) {
    if (state.environment_read)
        return;
    state.environment_read = true;
    const char *name = getenv("FOCAL_ISA");
    if (!name || !*name)
        return;
    const focal_isa_row *row = focal_isa_find(name);
    if (!row)
        snprintf(state.note, sizeof state.note, "FOCAL_ISA=%.40s ignored: no such ISA row",
                 name);
    else if (!row->table)
        snprintf(state.note, sizeof state.note,
                 "FOCAL_ISA=%s ignored: the row is not built into this library", name);
    else
        state.environment_cap = (size_t)(row - focal_isa_rows);
}

static size_t cap_locked(void) {
    read_environment_locked();
    return state.set_cap > state.environment_cap ? state.set_cap : state.environment_cap;
}

static size_t current_cap(void) {
    pthread_mutex_lock(&state.mutex);
    size_t cap = cap_locked();
    pthread_mutex_unlock(&state.mutex);
    return cap;
}

const focal_isa_row *focal_isa_choose(const char **reason) {
    pthread_mutex_lock(&state.mutex);
    size_t cap = cap_locked();
    bool from_environment = cap == state.environment_cap;
    pthread_mutex_unlock(&state.mutex);

    uint64_t features = focal_cpu_host()->features;
    const focal_isa_row *best = focal_isa_best(features, 0);
    const focal_isa_row *row = focal_isa_best(features, cap);
    if (reason) {
        if (row == best)
            *reason = "default";
        else
            *reason = from_environment ? "capped by FOCAL_ISA" : "capped by focal_set_isa_cap";
    }
    return row;
}

bool focal_isa_freeze(void) {
    pthread_mutex_lock(&state.mutex);
    bool first = !state.frozen;
    state.frozen = true;
    read_environment_locked();
    pthread_mutex_unlock(&state.mutex);
    return first;
}

const char *focal_isa_cap_name(void) {
    size_t cap = current_cap();
    return cap ? focal_isa_rows[cap].name : "";
}

const char *focal_isa_cap_note(void) {
    current_cap();
    return state.note;
}

focal_status focal_set_isa_cap(const char *isa, focal_error *error) {
    if (!isa)
        return focal_fail(error, FOCAL_E_NULL, "isa", -1, "the name of an ISA row is needed");
    const focal_isa_row *row = focal_isa_find(isa);
    if (!row)
        return focal_fail(error, FOCAL_E_ISA, "isa", -1, "there is no ISA row \"%.40s\"", isa);
    if (!row->table)
        return focal_fail(error, FOCAL_E_ISA, "isa", -1,
                          "the row \"%s\" is not built into this library", isa);
    pthread_mutex_lock(&state.mutex);
    bool late = state.frozen;
    size_t cap = (size_t)(row - focal_isa_rows);
    if (!late && cap > state.set_cap)
        state.set_cap = cap;
    pthread_mutex_unlock(&state.mutex);
    if (late)
        return focal_fail(error, FOCAL_E_LATE, "isa", -1,
                          "a plan exists already; set the cap before the first one");
    return FOCAL_OK;
}
