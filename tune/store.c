#include "store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "cpu.h"
#include "file.h"
#include "fingerprint.h"
#include "problem.h"
#include "sections.h"
#include "status.h"

/* `mutex` guards the rest; plans wait for it, so no file is touched under it but at the first
 * look-up. `writing` makes threads take turns at files, where locks keep processes apart only. */
static struct {
    pthread_mutex_t mutex, writing;
    focal_sections sections;
    focal_tune_report source; /* of the file: path, damage, why there is none */
    bool ready; /* the file of the first look-up is read, or not wanted any more */
} held = {.mutex = PTHREAD_MUTEX_INITIALIZER,
          .writing = PTHREAD_MUTEX_INITIALIZER,
          .source = FOCAL_TUNE_REPORT_INIT};

/* ---- Judging what is held ----------------------------------------------------------------- */

static uint32_t kind_of(const focal_section *section) {
    if (strcmp(section->host, focal_host_line()) != 0)
        return FOCAL_TUNE_FOREIGN;
    return strcmp(section->build, focal_build_line()) == 0 ? FOCAL_TUNE_OWN : FOCAL_TUNE_STALE;
}

static focal_section *own_section(const focal_sections *sections) {
    for (size_t i = 0; i < sections->count; i++)
        if (kind_of(&sections->list[i]) == FOCAL_TUNE_OWN)
            return &sections->list[i];
    return NULL;
}

focal_candidate focal_contract_standard(const char *contract) {
    const focal_isa_row *row = focal_isa_choose(NULL);
    size_t length = strlen(contract);
    focal_candidate one;
    for (size_t i = 0; (one = focal_candidate_at(row, i)).name; i++)
        if (focal_contract_length(one.name) == length &&
            memcmp(one.name, contract, length) == 0)
            break;
    return one;
}

static const char *record_flaw(const focal_record *record) {
    focal_candidate standard = focal_contract_standard(record->key.contract);
    if (!standard.name)
        return "there is no such contract";
    return focal_candidate_flaw(focal_candidate_find(record->kernel), standard);
}

/* Adds the entries of all sections to a report. */
static void count_entries(const focal_sections *sections, focal_tune_report *report) {
    for (size_t i = 0; i < sections->count; i++) {
        const focal_section *section = &sections->list[i];
        uint32_t kind = kind_of(section);
        for (size_t k = 0; k < section->count; k++) {
            const focal_line *line = &section->lines[k];
            if (line->text)
                continue;
            const char *flaw = kind == FOCAL_TUNE_OWN ? record_flaw(&line->record) : NULL;
            if (flaw)
                focal_report_reject(report, line->number, "%.95s: %s", line->record.kernel,
                                    flaw);
            else if (kind == FOCAL_TUNE_OWN)
                report->accepted++;
            else if (kind == FOCAL_TUNE_STALE)
                report->stale++;
            else
                report->foreign++;
        }
    }
}

/* ---- The first look-up -------------------------------------------------------------------- */

static void name_path(focal_tune_report *report, const char *path) {
    snprintf(report->path, sizeof report->path, "%.1023s", path);
}

/* What is wrong, without the path, which stands beside it in a report. */
static void name_reason(focal_tune_report *report, const char *path, const focal_error *error) {
    const char *message = error->message;
    const size_t field = strlen(error->field) + 2;
    size_t same = 0;
    if (*report->reason) /* the parser's */
        return;
    message += strlen(message) > field ? field : 0;
    while (path[same] && message[same] == path[same])
        same++;
    if (strncmp(message + same, ": ", 2) == 0)
        message += same + 2;
    snprintf(report->reason, sizeof report->reason, "%.159s", message);
}

/* Reads the first place that has something for this host, else the first that has anything. */
static void load_places(focal_sections *sections, focal_tune_report *source,
                        const focal_tune_places *places) {
    bool found = false;
    for (int i = 0; i < places->count; i++) {
        focal_sections read = {NULL, 0};
        focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
        focal_error error = FOCAL_ERROR_INIT;
        bool missing = false;
        focal_status status =
            focal_tune_read(places->path[i], &read, &report, &missing, &error);
        name_path(&report, places->path[i]);
        if (status != FOCAL_OK)
            name_reason(&report, places->path[i], &error);
        bool useful = status == FOCAL_OK && own_section(&read);
        if (!missing && (useful || !found)) {
            focal_sections_free(sections);
            *sections = read;
            *source = report;
            found = true;
        } else {
            focal_sections_free(&read);
        }
        if (useful)
            return;
    }
    if (!found) {
        *source = (focal_tune_report)FOCAL_TUNE_REPORT_INIT;
        if (*places->reason)
            snprintf(source->reason, sizeof source->reason, "%s", places->reason);
        else
            snprintf(source->reason, sizeof source->reason, "there is no %.140s",
                     places->path[0]);
    }
}

static bool load_default(focal_sections *sections, focal_tune_report *source) {
    focal_tune_places *places = malloc(sizeof *places);
    if (!places)
        return false;
    focal_tune_places_get(places);
    load_places(sections, source, places);
    free(places);
    return true;
}

static void lock_ready(void) {
    pthread_mutex_lock(&held.mutex);
    if (!held.ready)
        held.ready = load_default(&held.sections, &held.source);
}

static void unlock(void) {
    pthread_mutex_unlock(&held.mutex);
}

/* ---- For plans and the search ------------------------------------------------------------- */

static const focal_record *find_nearest(const focal_tuning_key *key, focal_candidate standard,
                                        focal_candidate *candidate) {
    const focal_section *section = own_section(&held.sections);
    const focal_record *best = NULL;
    int least = 0;
    for (size_t i = 0; section && i < section->count; i++) {
        const focal_record *record = &section->lines[i].record;
        if (section->lines[i].text)
            continue;
        int distance = focal_key_distance(&record->key, key);
        if (distance < 0 || (best && distance >= least))
            continue;
        focal_candidate found = focal_candidate_find(record->kernel);
        if (focal_candidate_flaw(found, standard))
            continue;
        best = record;
        least = distance;
        *candidate = found;
    }
    return best;
}

bool focal_tuning_find(const focal_tuning_key *key, focal_candidate standard,
                       focal_candidate *candidate, focal_tuning *tuning) {
    focal_tuning_key serial = *key;
    serial.threads = 1;
    lock_ready();
    const focal_record *record = find_nearest(key, standard, candidate);
    bool threads_known = record != NULL;
    /* The kernel that is best on one thread is a good guess for several. */
    if (!record && key->threads > 1)
        record = find_nearest(&serial, standard, candidate);
    if (record)
        *tuning = (focal_tuning){.task_elements = threads_known ? (uint64_t)record->task : 0,
                                 .date = (uint32_t)record->date,
                                 .ratio = (uint32_t)record->ratio};
    unlock();
    return record != NULL;
}

void focal_tuning_note(char *text, size_t capacity) {
    pthread_mutex_lock(&held.mutex);
    if (!held.ready)
        snprintf(text, capacity, "%s", "");
    else if (!*held.source.path)
        snprintf(text, capacity, "no tuning file: %.160s", held.source.reason);
    else if (*held.source.reason)
        snprintf(text, capacity, "tuning file %.100s: %.160s", held.source.path,
                 held.source.reason);
    else
        snprintf(text, capacity, "tuning file %.200s%s", held.source.path,
                 own_section(&held.sections) ? "" : ": nothing for this host and build");
    unlock();
}

bool focal_store_get(const focal_tuning_key *key, focal_record *record) {
    lock_ready();
    const focal_section *section = own_section(&held.sections);
    bool found = false;
    for (size_t i = 0; section && i < section->count && !found; i++)
        if (!section->lines[i].text && focal_key_equal(&section->lines[i].record.key, key)) {
            *record = section->lines[i].record;
            found = true;
        }
    unlock();
    return found;
}

bool focal_store_put(const focal_record *record) {
    lock_ready();
    focal_section *section =
        focal_section_get(&held.sections, focal_host_line(), focal_build_line());
    bool good = section && focal_section_put(section, record, true);
    unlock();
    return good;
}

/* ---- The public functions ----------------------------------------------------------------- */

static bool report_is_known(const focal_tune_report *report) {
    return !report || report->struct_size == sizeof *report;
}

static focal_status check_report(const focal_tune_report *report, focal_error *error) {
    if (!report_is_known(report))
        return focal_fail(error, FOCAL_E_STRUCT, "report.struct_size", -1,
                          "%zu is not a known size; use FOCAL_TUNE_REPORT_INIT",
                          report->struct_size);
    return FOCAL_OK;
}

focal_status focal_tune_load(const char *path, focal_tune_report *report, focal_error *error) {
    focal_sections sections = {NULL, 0};
    focal_tune_report source = FOCAL_TUNE_REPORT_INIT;
    focal_status status = check_report(report, error);
    bool missing = false;
    if (status == FOCAL_OK && path)
        status = focal_tune_read(path, &sections, &source, &missing, error);
    else if (status == FOCAL_OK && !load_default(&sections, &source))
        status = focal_fail(error, FOCAL_E_MEMORY, "path", -1, "not enough memory");
    if (status != FOCAL_OK) {
        focal_sections_free(&sections);
        return status;
    }
    if (path)
        name_path(&source, path);
    pthread_mutex_lock(&held.mutex);
    focal_sections_free(&held.sections);
    held.sections = sections;
    held.source = source;
    held.ready = true;
    if (report) {
        *report = source;
        count_entries(&held.sections, report);
    }
    unlock();
    return FOCAL_OK;
}

focal_status focal_tune_import(const void *text, size_t size, focal_tune_report *report,
                               focal_error *error) {
    focal_sections sections = {NULL, 0};
    focal_tune_report result = FOCAL_TUNE_REPORT_INIT;
    focal_status status = check_report(report, error);
    if (status != FOCAL_OK)
        return status;
    if (!text)
        return focal_fail(error, FOCAL_E_NULL, "text", -1, "there is no text");
    status = focal_sections_parse(&sections, text, size, &result);
    if (status != FOCAL_OK)
        focal_fail(error, status, "text", -1, "%.150s",
                   status == FOCAL_E_MEMORY ? "not enough memory" : result.reason);
    if (status == FOCAL_OK) {
        pthread_mutex_lock(&held.mutex);
        if (!held.ready)
            snprintf(held.source.reason, sizeof held.source.reason, "imported by the program");
        held.ready = true;
        if (!focal_sections_merge(&held.sections, &sections, false, true))
            status = focal_fail(error, FOCAL_E_MEMORY, "text", -1, "not enough memory");
        count_entries(&sections, &result);
        unlock();
    }
    focal_sections_free(&sections);
    if (status == FOCAL_OK && report)
        *report = result;
    return status;
}

size_t focal_tune_export(char *text, size_t capacity) {
    lock_ready();
    size_t length = focal_sections_print(&held.sections, text, text ? capacity : 0);
    unlock();
    return length;
}

focal_status focal_tune_state(focal_tune_report *report) {
    if (!report)
        return FOCAL_E_NULL;
    if (!report_is_known(report))
        return FOCAL_E_STRUCT;
    lock_ready();
    *report = held.source;
    count_entries(&held.sections, report);
    unlock();
    return FOCAL_OK;
}

/* ---- Changing files ----------------------------------------------------------------------- */

/* What a change of a file does, and what came of it. */
typedef struct {
    const focal_sections *fresh; /* to be merged, or NULL */
    uint32_t forget;             /* FOCAL_TUNE_ kinds of sections to drop */
    focal_tune_report *report;
} change;

static void drop_sections(focal_sections *sections, uint32_t kinds) {
    for (size_t i = sections->count; i-- > 0;)
        if (kind_of(&sections->list[i]) & kinds)
            focal_section_drop(sections, i);
}

static bool apply(void *context, focal_sections *sections) {
    change *wanted = context;
    pthread_mutex_lock(&held.mutex); /* for the fingerprints */
    drop_sections(sections, wanted->forget);
    bool good = !wanted->fresh || focal_sections_merge(sections, wanted->fresh, false, false);
    count_entries(sections, wanted->report);
    unlock();
    return good;
}

/* Applies a change to the file at `path`, or to the one that NULL stands for. */
static focal_status rewrite(const char *path, change *wanted, focal_error *error) {
    focal_tune_places *places = malloc(sizeof *places);
    if (!places)
        return focal_fail(error, FOCAL_E_MEMORY, "path", -1, "not enough memory");
    focal_tune_places_get(places);
    focal_status status = FOCAL_OK;
    bool make_folder = !path && places->in_cache;
    if (!path && places->writable)
        path = places->path[0];
    if (!path)
        status =
            focal_fail(error, FOCAL_E_FILE, "path", -1, "no file to write: %s", places->reason);
    if (status == FOCAL_OK) {
        name_path(wanted->report, path);
        pthread_mutex_lock(&held.writing);
        status = focal_tune_rewrite(path, make_folder, apply, wanted, wanted->report, error);
        pthread_mutex_unlock(&held.writing);
    }
    free(places);
    return status;
}

/* Takes the mark of being unsaved from all lines, or gives it back to those in `lines`. */
static void mark_saved(void) {
    for (size_t i = 0; i < held.sections.count; i++)
        for (size_t k = 0; k < held.sections.list[i].count; k++)
            held.sections.list[i].lines[k].fresh = false;
}

focal_status focal_tune_save(const char *path, focal_tune_report *report, focal_error *error) {
    focal_sections fresh = {NULL, 0};
    focal_tune_report result = FOCAL_TUNE_REPORT_INIT;
    focal_status status = check_report(report, error);
    if (status != FOCAL_OK)
        return status;
    lock_ready();
    bool good = focal_sections_merge(&fresh, &held.sections, true, true);
    if (good)
        mark_saved();
    unlock();
    if (!good)
        status = focal_fail(error, FOCAL_E_MEMORY, "path", -1, "not enough memory");
    if (status == FOCAL_OK)
        status = rewrite(path, &(change){&fresh, 0, &result}, error);
    if (good && status != FOCAL_OK) {
        /* Still to be saved, unless measured again in the meantime. */
        pthread_mutex_lock(&held.mutex);
        focal_sections_merge(&held.sections, &fresh, false, true);
        unlock();
    }
    focal_sections_free(&fresh);
    if (status == FOCAL_OK && report)
        *report = result;
    return status;
}

focal_status focal_tune_forget(const char *path, uint32_t what, focal_tune_report *report,
                               focal_error *error) {
    const uint32_t kinds = FOCAL_TUNE_OWN | FOCAL_TUNE_STALE | FOCAL_TUNE_FOREIGN;
    focal_tune_report result = FOCAL_TUNE_REPORT_INIT;
    focal_status status = check_report(report, error);
    if (status != FOCAL_OK)
        return status;
    if (what == 0 || what & ~kinds)
        return focal_fail(error, FOCAL_E_VALUE, "what", -1, "0x%x is not an OR of FOCAL_TUNE_",
                          (unsigned)what);
    if (path)
        status = rewrite(path, &(change){NULL, what, &result}, error);
    if (status != FOCAL_OK)
        return status;
    lock_ready();
    drop_sections(&held.sections, what);
    if (!path)
        count_entries(&held.sections, &result);
    unlock();
    if (report)
        *report = result;
    return FOCAL_OK;
}

/* ---- Listing ------------------------------------------------------------------------------ */

static void describe(const focal_section *section, const focal_record *record,
                     focal_tune_entry *entry) {
    const focal_tuning_key *key = &record->key;
    *entry = (focal_tune_entry){
        .struct_size = sizeof *entry,
        .section = kind_of(section),
        .elements_log2 = key->elements_log2,
        .classes_log2 = key->classes_log2,
        .inner_log2 = key->inner_log2,
        .threads = key->threads,
        .task_elements = (uint64_t)record->task,
        .ns = 1e-3 * (double)record->ps,
        .default_ns = 1e-3 * (double)record->base,
        .ratio = 1e-4 * (double)record->ratio,
        .low = 1e-4 * (double)record->low,
        .high = 1e-4 * (double)record->high,
        .rounds = (uint32_t)record->rounds,
        .date = (uint32_t)record->date,
    };
    snprintf(entry->host, sizeof entry->host, "%.319s", section->host);
    snprintf(entry->build, sizeof entry->build, "%.319s", section->build);
    snprintf(entry->contract, sizeof entry->contract, "%s", key->contract);
    snprintf(entry->target, sizeof entry->target, "%s", focal_target_word(key->target_kind));
    snprintf(entry->dtype, sizeof entry->dtype, "%s", focal_dtype_name(key->dtype));
    snprintf(entry->kernel, sizeof entry->kernel, "%s", record->kernel);
    entry->refused = entry->section == FOCAL_TUNE_OWN && record_flaw(record);
    entry->has_problem = entry->section == FOCAL_TUNE_OWN && !entry->refused &&
                         focal_record_problem(record, &entry->problem);
}

focal_status focal_tune_get(size_t index, focal_tune_entry *entry) {
    if (!entry)
        return FOCAL_E_NULL;
    if (entry->struct_size != sizeof *entry)
        return FOCAL_E_STRUCT;
    focal_status status = FOCAL_E_RANGE;
    lock_ready();
    for (size_t i = 0; i < held.sections.count && status != FOCAL_OK; i++) {
        const focal_section *section = &held.sections.list[i];
        for (size_t k = 0; k < section->count && status != FOCAL_OK; k++)
            if (!section->lines[k].text && index-- == 0) {
                describe(section, &section->lines[k].record, entry);
                status = FOCAL_OK;
            }
    }
    unlock();
    return status;
}
