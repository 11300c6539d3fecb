/* What the parts of `focal tune` share. */
#ifndef FOCAL_CLI_TUNE_H
#define FOCAL_CLI_TUNE_H

#include "command.h"

#include <cases.h>
#include <focal.h>

enum { TUNE_LIST_MAX = 8 };

/* What is to be measured, as the command line says it. */
typedef struct tune_request {
    const char *path;        /* of the tuning file; NULL: the usual one */
    const char *path_option; /* that gave it */
    double budget;           /* seconds */
    int ops[2];              /* sigmoid, softmax */
    focal_tier tiers[TUNE_LIST_MAX];
    double gammas[TUNE_LIST_MAX];
    int threads[TUNE_LIST_MAX], most_threads;
    size_t tier_count, gamma_count, thread_count;
    const char *cases;   /* names of workloads, or "all"; NULL: the usual shapes */
    const char *problem; /* a description; NULL: none */
    int quiet;
} tune_request;

/* One problem to be measured, and what came of it. */
typedef struct tune_case {
    const char *name; /* of a workload, or NULL */
    focal_problem problem;
    int threads;
    double expected_ms; /* that measuring it takes */
    int measured;
    focal_tune_result result;
} tune_case;

typedef struct tune_list {
    tune_case *cases;
    size_t count, capacity;
} tune_list;

/* ---- tune_cases.c ---- */

/* What the request asks for, the most important first. */
int tune_list_make(tune_list *list, const tune_request *request);

/* The problems of the entries that the library uses, spread over all of them. */
int tune_list_entries(tune_list *list, size_t most);
void tune_list_free(tune_list *list);

/* "sigmoid dense both, gamma 2, fast, 4096 x 1": the problem, or the workload's name first. */
enum { TUNE_LABEL_MAX = 96 };
void tune_label(const tune_case *one, char label[TUNE_LABEL_MAX]);

/* ---- tune_measure.c ---- */

/* Measures the cases in their order until the budget ends or the user interrupts; *interrupted says
 * so. `flags` are those of focal_tune_settings. */
int tune_measure(tune_list *list, const tune_request *request, uint32_t flags,
                 int *interrupted);

/* ---- tune_report.c ---- */

/* What a kernel is besides its contract: "avx512_u16". */
const char *tune_variant(const char *kernel);

/* Whether nothing was better than the default. */
int tune_is_default(const focal_tune_result *result);

/* A table of the cases measured: all of them, or those where the default is not best. */
void tune_print(const tune_list *list, int all);
int tune_show(const tune_request *request);

/* The library's message about the tuning file, under the option that named it. */
int tune_fail(const tune_request *request, const focal_error *error);
void tune_print_report(const focal_tune_report *report);

#endif
