/* Runs a test program with no tuning file, with one of what this host measures, and with a hostile
 * one that names the slowest candidate for everything. It must pass each time. (The number
 * of its checks may depend on the number of tasks.)
 *
 * usage: run_tuned PROGRAM [ARGUMENTS] */
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "tune_text.h"

enum { LINE = 256 };

/* Runs the program with that tuning file; its last line goes to `last`. */
static int run(char **command, const char *file, char last[LINE]) {
    int ends[2];
    char line[LINE] = "", rest;
    *last = '\0';
    fflush(stdout);
    if (pipe(ends) != 0)
        return -1;
    pid_t id = fork();
    if (id == 0) {
        setenv("FOCAL_TUNE_FILE", file, 1);
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
        memcpy(last, line, sizeof line);
        if (!strchr(line, '\n'))
            while (fread(&rest, 1, 1, output) == 1 && rest != '\n')
                ;
        if (strstr(line, "FAILED"))
            fputs(line, stdout);
    }
    if (output)
        fclose(output);
    int status = -1;
    waitpid(id, &status, 0);
    last[strcspn(last, "\n")] = '\0';
    return status;
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
    for (int kind = 0; kind < 8; kind++) {
        focal_problem problem;
        focal_problem_init(&problem);
        problem.op = kind % 4 == 3 ? FOCAL_SOFTMAX : FOCAL_SIGMOID;
        problem.target_kind = kind % 4 == 0   ? FOCAL_TARGET_DENSE
                              : kind % 4 == 1 ? FOCAL_TARGET_BINARY_U8
                                              : FOCAL_TARGET_LABEL_I32;
        problem.outer = 30;
        problem.classes = 40;
        problem.gamma = 2.0;
        problem.outputs = FOCAL_OUTPUT_SUM | (kind < 4 ? 0u : (unsigned)FOCAL_OUTPUT_GRADIENT);
        CHECK_STATUS(focal_tune_run(&problem, NULL, &settings, NULL, NULL), FOCAL_OK);
    }
}

int main(int argc, char **argv) {
    static const char *const names[] = {"no file", "measured", "hostile"};
    char path[] = "/tmp/focal-run-tuned-XXXXXX", lock[64], last[3][LINE];
    if (argc < 2)
        return fprintf(stderr, "usage: run_tuned PROGRAM [ARGUMENTS]\n"), 2;
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
        int status = run(argv + 1, i == 0 ? "" : path, last[i]);
        printf("%s: %s\n", names[i], last[i]);
        CHECK_CASE(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %x", names[i],
                   (unsigned)status);
        CHECK_CASE(strstr(last[i], " passed, 0 failed") != NULL, "%s: %s", names[i], last[i]);
    }
    unlink(path);
    unlink(lock);
    return check_report();
}
