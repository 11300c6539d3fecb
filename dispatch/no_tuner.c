/* The tuning interface of a library that is built without the tuner. */
#include "choice.h"
#include "status.h"

static focal_status refuse(focal_error *error) {
    return focal_fail(error, FOCAL_E_UNSUPPORTED, "tuning", -1,
                      "this library is built without the tuner (meson option tune)");
}

bool focal_tuning_find(const focal_tuning_key *key, focal_candidate standard,
                       focal_candidate *candidate, focal_tuning *tuning) {
    (void)key, (void)standard, (void)candidate, (void)tuning;
    return false;
}

void focal_tuning_note(char *text, size_t capacity) {
    if (capacity > 0)
        *text = '\0';
}

focal_status focal_tune_load(const char *path, focal_tune_report *report, focal_error *error) {
    (void)path, (void)report;
    return refuse(error);
}

focal_status focal_tune_save(const char *path, focal_tune_report *report, focal_error *error) {
    (void)path, (void)report;
    return refuse(error);
}

focal_status focal_tune_import(const void *text, size_t size, focal_tune_report *report,
                               focal_error *error) {
    (void)text, (void)size, (void)report;
    return refuse(error);
}

size_t focal_tune_export(char *text, size_t capacity) {
    if (capacity > 0 && text)
        *text = '\0';
    return 0;
}

focal_status focal_tune_forget(const char *path, uint32_t what, focal_tune_report *report,
                               focal_error *error) {
    (void)path, (void)what, (void)report;
    return refuse(error);
}

focal_status focal_tune_state(focal_tune_report *report) {
    (void)report;
    return FOCAL_E_UNSUPPORTED;
}

focal_status focal_tune_run(const focal_problem *problem, const focal_options *options,
                            const focal_tune_settings *settings, focal_tune_result *result,
                            focal_error *error) {
    (void)problem, (void)options, (void)settings, (void)result;
    return refuse(error);
}

focal_status focal_tune_get(size_t index, focal_tune_entry *entry) {
    (void)index, (void)entry;
    return FOCAL_E_UNSUPPORTED;
}
