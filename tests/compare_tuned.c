/* What it costs that two tuning files of this host differ: the two choices of each such entry
 * run against each other, paired within rounds. Not a test: `tune check` judges entries, this the
 * tuner.
 *
 * usage: compare_tuned FILE OTHER */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "measure.h"
#include "problem.h"
#include "tune_text.h"

#ifdef _OPENMP
#include "focal_openmp.h"
#endif

enum { ROUNDS = 64 };

static bool never(focal_trial *trial, size_t rounds) {
    (void)trial;
    return rounds >= ROUNDS;
}

static bool make_contender(focal_contender *one, const focal_record *record,
                           const focal_problem *problem) {
    focal_options options;
    focal_error error = FOCAL_ERROR_INIT;
    focal_options_init(&options);
    options.kernel = record->kernel;
    options.threads = record->key.threads;
    if (focal_plan_create(&one->plan, problem, &options, &error) != FOCAL_OK)
        return fprintf(stderr, "%s\n", error.message), false;
    focal_plan_set_task(one->plan, (uint64_t)record->task);
    return true;
}

/* Time of b by that of a; no rounds: they cannot be measured. */
static focal_summary duel(const focal_record *a, const focal_record *b) {
    static focal_contender contenders[2];
    focal_tune_settings settings;
    focal_problem problem;
    focal_trial trial = {
        .contenders = contenders, .count = 2, .settings = &settings, .random = 7};
    focal_tune_settings_init(&settings);
    settings.threads = a->key.threads;
#ifdef _OPENMP
    focal_parallel parallel = focal_openmp_parallel((int)a->key.threads);
    settings.parallel = &parallel;
#endif
    memset(contenders, 0, sizeof contenders);
    trial.deadline = focal_seconds() + 60.0;
    focal_timer_init(&trial.timer, a->key.threads > 1 ? FOCAL_CLOCK_WALL : FOCAL_CLOCK_CPU);
    if (focal_record_problem(a, &problem) && make_contender(&contenders[0], a, &problem) &&
        make_contender(&contenders[1], b, &problem) &&
        focal_trial_data_make(&trial.data, contenders[0].plan) &&
        focal_trial_workspace_make(&trial.data,
                                   focal_plan_workspace_size(contenders[0].plan))) {
        focal_trial_calibrate(&trial, 0);
        focal_trial_rounds(&trial, ROUNDS, never);
    }
    focal_trial_data_free(&trial.data);
    focal_plan_destroy(contenders[0].plan);
    focal_plan_destroy(contenders[1].plan);
    return contenders[1].ratio;
}

static focal_section *read_own(const char *path, focal_sections *sections) {
    focal_tune_report report = FOCAL_TUNE_REPORT_INIT;
    focal_error error = FOCAL_ERROR_INIT;
    bool missing = false;
    if (focal_tune_read(path, sections, &report, &missing, &error) != FOCAL_OK) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    return tune_own_section(sections);
}

static bool same_choice(const focal_record *a, const focal_record *b) {
    return strcmp(a->kernel, b->kernel) == 0 && a->task == b->task;
}

static void name_choice(const focal_record *record, char text[64]) {
    snprintf(text, 64, "%s/%lld", record->kernel + focal_contract_length(record->kernel) + 2,
             (long long)record->task);
}

int main(int argc, char **argv) {
    focal_sections files[2] = {{NULL, 0}, {NULL, 0}};
    unsigned common = 0, same = 0, far = 0;
    if (argc != 3)
        return fprintf(stderr, "usage: compare_tuned FILE OTHER\n"), 2;
    focal_section *a = read_own(argv[1], &files[0]), *b = read_own(argv[2], &files[1]);
    for (size_t i = 0; i < a->count; i++)
        for (size_t k = 0; k < b->count; k++) {
            const focal_record *one = &a->lines[i].record, *other = &b->lines[k].record;
            if (a->lines[i].text || b->lines[k].text ||
                !focal_key_equal(&one->key, &other->key))
                continue;
            common++;
            if (same_choice(one, other)) {
                same++;
                continue;
            }
            focal_summary ratio = duel(one, other);
            char first[64], second[64];
            name_choice(one, first);
            name_choice(other, second);
            double cost = ratio.median < 1.0 ? 1.0 / ratio.median - 1.0 : ratio.median - 1.0;
            far += cost >= 0.03;
            printf("%s %s n=%u t=%u: %s or %s: %.3f (%.3f to %.3f)\n", one->key.contract,
                   focal_target_word(one->key.target_kind), (unsigned)one->key.elements_log2,
                   (unsigned)one->key.threads, first, second, ratio.median, ratio.low,
                   ratio.high);
        }
    printf("%u entries in both, %u equal (%.1f %%), %u differ, %u of them by 3 %% or more\n",
           common, same, common ? 100.0 * same / common : 0.0, common - same, far);
    focal_sections_free(&files[0]);
    focal_sections_free(&files[1]);
    return 0;
}
