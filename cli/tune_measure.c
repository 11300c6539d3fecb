/* Measuring a list of problems, with a progress line, until the budget ends or Ctrl-C. */
#include "library.h"
#include "progress.h"
#include "tune.h"

#include <host.h>
#include <runner.h>

#include <signal.h>
#include <string.h>

#ifdef FOCAL_CLI_OPENMP
#include <focal_openmp.h>
#endif

static volatile sig_atomic_t interrupt_seen;

static void on_interrupt(int number) {
    (void)number;
    interrupt_seen = 1;
}

static int stop(void *context) {
    (void)context;
    return interrupt_seen;
}

/* What neighbours do changes by the second, and on several threads it can hide what a choice gains.
 * So where the default stood its ground there, it has to twice more, after all others have had their
 * turn. */
enum { PASSES = 3 };

static int measure_one(tune_case *one, uint32_t flags, double left_ms) {
    focal_tune_settings settings;
    focal_error error = FOCAL_ERROR_INIT;
    focal_tune_result result = FOCAL_TUNE_RESULT_INIT;
    focal_tune_settings_init(&settings);
    double wanted = 3.0 * one->expected_ms;
    settings.budget_ms = wanted < left_ms ? wanted : left_ms;
    settings.flags = flags;
    settings.threads = (uint32_t)one->threads;
    settings.stop = stop;
    settings.max_bytes = bench_memory_available() / 10 * 9;
#ifdef FOCAL_CLI_OPENMP
    focal_parallel parallel = focal_openmp_parallel(one->threads);
    if (one->threads > 1)
        settings.parallel = &parallel;
#endif
    focal_status status = focal_tune_run(&one->problem, NULL, &settings, &result, &error);
    if (status == FOCAL_E_STOPPED)
        return DONE;
    if (status != FOCAL_OK) {
        char label[TUNE_LABEL_MAX], text[LIBRARY_TEXT];
        tune_label(one, label);
        return fail(FAILED, "%s: %s: %s", label, error.field, library_message(&error, text));
    }
    if (result.decided) {
        one->measured = 1;
        one->result = result;
    }
    return DONE;
}

/* Whether a case is measured in that pass. */
static int takes_part(const tune_case *one, int pass, uint32_t flags) {
    return pass == 0 ||
           (flags == 0 && one->threads > 1 && one->measured && tune_is_default(&one->result));
}

int tune_measure(tune_list *list, const tune_request *request, uint32_t flags,
                 int *interrupted) {
    progress bar;
    double expected = 0.0, done = 0.0, started = progress_seconds();
    struct sigaction action, before;
    int code = DONE;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_interrupt;
    /* Where interrupts are ignored, as in a shell's background, they stay so. */
    sigaction(SIGINT, NULL, &before);
    if (before.sa_handler != SIG_IGN)
        sigaction(SIGINT, &action, NULL);
    if (request->most_threads <= 1)
        bench_pin(); /* threads made later would be pinned, too */
    for (size_t i = 0; i < list->count; i++)
        expected += list->cases[i].expected_ms *
                    (flags == 0 && list->cases[i].threads > 1 ? PASSES : 1);
    progress_start(&bar, "tune", (uint64_t)expected, request->quiet);
    for (size_t i = 0; i < PASSES * list->count && code == DONE && !interrupt_seen; i++) {
        tune_case *one = &list->cases[i % list->count];
        double left = request->budget - (progress_seconds() - started);
        if (left <= 0.0)
            break;
        if (takes_part(one, (int)(i / list->count), flags))
            code = measure_one(one, flags, 1e3 * left);
        done += i < list->count || one->threads > 1 ? one->expected_ms : 0.0;
        progress_update(&bar, (uint64_t)done);
    }
    progress_clear(&bar);
    sigaction(SIGINT, &before, NULL);
    *interrupted = interrupt_seen;
    return code;
}
