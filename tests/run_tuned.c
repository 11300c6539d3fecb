/* Runs a test program with no tuning file, with one of what this host measures, and with a hostile
 * one that names the slowest candidate for everything. It must pass each time, and by the sum of
 * unpin.c, which is preloaded, all results must have the same bits. (The number of its checks may
 * depend on the number of tasks.) Programs that call kernels without a plan have nothing to do here:
 * no file reaches them, and they try every kernel anyway.
 *
 * usage: run_tuned PRELOADED PROGRAM [ARGUMENTS] */
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "tune_text.h"

enum { LINE = 256 };

typedef struct outcome {
    int status;
    unsigned tuned, plans;
    unsigned long long bits;
    char last[LINE]; /* line of the program */
} outcome;

static void read_line(outcome *one, const char *line) {
    if (sscanf(line, "unpinned: %u of %u plans tuned, bits %llx", &one->tuned, &one->plans,
               &one->bits) != 3)
        snprintf(one->last, LINE, "%s", line);
    if (strstr(line, "FAILED"))
        puts(line);
}

/* Runs the program with that tuning file. */
static outcome run(const char *preloaded, char **command, const char *file) {
    outcome one = {.status = -1};
    int ends[2];
    char line[LINE] = "", rest;
    fflush(stdout);
    if (pipe(ends) != 0)
        return one;
    pid_t id = fork();
    if (id == 0) {
        setenv("FOCAL_TUNE_FILE", file, 1);
        setenv("LD_PRELOAD", preloaded, 1);
        dup2(ends[1], 1);
        close(ends[0]);
        close(ends[1]);
        execv(command[0], command);
        perror(command[0]);
        _exit(127);
    }
    close(ends[1]);
    FILE *output = fdopen(ends[0], "r");
    while (output && fgets(line, sizeof line, output)) {
        if (!strchr(line, '\n'))
            while (fread(&rest, 1, 1, output) == 1 && rest != '\n')
                ;
        line[strcspn(line, "\n")] = '\0';
        read_line(&one, line);
    }
    if (output)
        fclose(output);
    waitpid(id, &one.status, 0);
    return one;
}

static void make_hostile(void) {
    focal_sections sections = {NULL, 0};
    size_t size;
    tune_fill(&sections, tune_choose_worst);
    char *text = tune_text(&sections, &size);
    CHECK_STATUS(focal_tune_import(text, size, NULL, NULL), FOCAL_OK);
    focal_sections_free(&sections);
    free(text);
}

static void make_measured(void) {
    focal_tune_settings settings;
    focal_tune_settings_init(&settings);
    settings.budget_ms = 20.0;
    static const struct {
        int64_t rows, classes;
        focal_tier tier;
    } shapes[] = {{2, 2, FOCAL_TIER_FAST},
                  {30, 80, FOCAL_TIER_FAST},
                  {500, 80, FOCAL_TIER_FAST},
                  {500, 80, FOCAL_TIER_ACCURATE},
                  {500, 80, FOCAL_TIER_SLEEF}};
    for (size_t kind = 0; kind < 8 * sizeof shapes / sizeof shapes[0]; kind++) {
        int gradient = kind % 8 >= 4;
        focal_problem problem;
        focal_problem_init(&problem);
        problem.op = kind % 4 == 3 ? FOCAL_SOFTMAX : FOCAL_SIGMOID;
        problem.target_kind = kind % 4 == 0   ? FOCAL_TARGET_DENSE
                              : kind % 4 == 1 ? FOCAL_TARGET_BINARY_U8
                                              : FOCAL_TARGET_LABEL_I32;
        problem.outer = shapes[kind / 8].rows;
        problem.classes = shapes[kind / 8].classes;
        problem.tier = shapes[kind / 8].tier;
        problem.gamma = 2.0;
        problem.outputs = FOCAL_OUTPUT_SUM | (gradient ? (unsigned)FOCAL_OUTPUT_GRADIENT : 0u);
        CHECK_STATUS(focal_tune_run(&problem, NULL, &settings, NULL, NULL), FOCAL_OK);
    }
}

int main(int argc, char **argv) {
    static const char *const names[] = {"no file", "measured", "hostile"};
    const char *base = getenv("TMPDIR");
    char path[4096], lock[sizeof path + sizeof ".lock"];
    snprintf(path, sizeof path, "%s/focal-run-tuned-XXXXXX", base && *base ? base : "/tmp");
    outcome first = {.status = 0};
    if (argc < 3)
        return fprintf(stderr, "usage: run_tuned PRELOADED PROGRAM [ARGUMENTS]\n"), 2;
    int file = mkstemp(path);
    if (file < 0)
        return perror(path), 1;
    close(file);
    snprintf(lock, sizeof lock, "%s.lock", path);
    setenv("FOCAL_TUNE_FILE", "", 1);
    for (int i = 0; i < 3; i++) {
        if (i > 0) {
            focal_tune_forget(path, FOCAL_TUNE_OWN, NULL, NULL);
            i == 1 ? make_measured() : make_hostile();
            CHECK_STATUS(focal_tune_save(path, NULL, NULL), FOCAL_OK);
        }
        outcome one = run(argv[1], argv + 2, i == 0 ? "" : path);
        if (i == 0)
            first = one;
        printf("%s: %s; %u of %u plans tuned, bits %016llx\n", names[i], one.last, one.tuned,
               one.plans, one.bits);
        CHECK_CASE(WIFEXITED(one.status) && WEXITSTATUS(one.status) == 0, "%s: status %x",
                   names[i], (unsigned)one.status);
        CHECK_CASE(strstr(one.last, " passed, 0 failed") != NULL, "%s: %s", names[i], one.last);
        CHECK_CASE(one.bits == first.bits && one.bits != 0, "%s: bits %016llx, not %016llx",
                   names[i], one.bits, first.bits);
        CHECK_CASE(i == 0 ? one.tuned == 0 : one.tuned > 0, "%s: %u tuned", names[i],
                   one.tuned);
        /* The hostile file speaks of nearly everything; rows that have other bits stay pinned. */
        CHECK_CASE(i < 2 || one.tuned > one.plans / 4, "%s: %u of %u tuned", names[i],
                   one.tuned, one.plans);
    }
    unlink(path);
    unlink(lock);
    return check_report();
}
