/* The addresses of all instructions that one execution of a workload runs, for
 * bench/model_throughput.py. On x86-64 a child executes and is stepped through; elsewhere the
 * program executes once and leaves the tracing to the emulator that runs it.
 *
 * usage: bench_trace CASE LOGITS loss|gradient|both GAMMA fast|accurate|sleef|calls ISA
 * (calls: SLEEF called per vector). Prints the memory map ("map FROM TO OFFSET PATH") and the
 * addresses, hexadecimal, in the order of execution. */
#define _DEFAULT_SOURCE
#include "baselines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct work {
    bench_data data;
    bench_direction direction;
    double gamma;
    const char *isa;
    int with_calls; /* of SLEEF, instead of the library */
    focal_plan *plan;
    focal_buffers buffers;
} work;

static int complain(const char *what) {
    fprintf(stderr, "bench_trace: %s\n", what);
    return 0;
}

static int choose(const char *const *words, const char *word) {
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], word) == 0)
            return i;
    return -1;
}

static int prepare(work *job, char **words) {
    static const char *const tiers[] = {"", "sleef", "fast", "accurate", "calls", NULL};
    const bench_case *shape = bench_case_find(words[0]);
    const int direction = choose(bench_direction_names, words[2]);
    const int tier = choose(tiers, words[4]);
    if (!shape || direction < 0 || tier < 1)
        return complain("there is no such case, direction or tier");
    *job = (work){.direction = (bench_direction)direction,
                  .gamma = strtod(words[3], NULL),
                  .isa = words[5],
                  .with_calls = tier == 4};
    bench_size size = bench_size_of(shape, strtoll(words[1], NULL, 10));
    if (!bench_data_create(&job->data, shape, size, 0))
        return complain("not enough memory");
    if (job->with_calls)
        return bench_baseline_usable(BENCH_BASELINE_SLEEF, job->isa) ||
               complain("SLEEF is not called on this row");
    focal_problem problem;
    focal_options options;
    focal_error error = FOCAL_ERROR_INIT;
    bench_problem(&problem, &job->data, job->gamma, job->direction, (focal_tier)tier);
    focal_options_init(&options);
    options.isa = job->isa;
    if (focal_plan_create(&job->plan, &problem, &options, &error) != FOCAL_OK)
        return complain(error.message);
    focal_buffers_init(&job->buffers);
    job->buffers.logits = job->data.logits;
    job->buffers.targets = job->data.targets;
    job->buffers.gradient = job->data.gradient;
    job->buffers.workspace_size = focal_plan_workspace_size(job->plan);
    job->buffers.workspace = bench_allocate(job->buffers.workspace_size);
    return job->buffers.workspace || complain("not enough memory");
}

#if defined(__GNUC__)
__attribute__((noinline)) /* what is traced lies between its first instruction and its last */
#endif
static int
execute(work *job) {
    focal_sums sums = FOCAL_SUMS_INIT;
    if (job->with_calls)
        return bench_baseline_run(BENCH_BASELINE_SLEEF, job->isa, &job->data, job->gamma,
                                  job->direction) > 0.0;
    return focal_plan_execute(job->plan, &job->buffers, NULL, &sums, NULL) == FOCAL_OK;
}

/* Where code stands in memory. */
static void print_map(const char *path) {
    char line[512];
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        unsigned long long from, to, offset;
        char rights[8], name[256];
        if (sscanf(line, "%llx-%llx %7s %llx %*s %*s %255s", &from, &to, rights, &offset,
                   name) == 5 &&
            strchr(rights, 'x') && name[0] == '/')
            printf("map %llx %llx %llx %s\n", from, to, offset, name);
    }
    if (file)
        fclose(file);
}

#if defined(__x86_64__) && defined(__linux__)
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* Executes once before, so that no lazy binding is in the trace, and stops twice. */
static void run_child(work *job) {
    int done = execute(job) && ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
    raise(SIGSTOP);
    done = done && execute(job);
    raise(SIGSTOP);
    _exit(done ? 0 : 1);
}

static int trace(work *job) {
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        run_child(job);
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
        return complain("the child did not start");
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/maps", (long)child);
    print_map(path);
    for (;;) {
        struct user_regs_struct registers;
        if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) != 0 ||
            waitpid(child, &status, 0) != child || !WIFSTOPPED(status) ||
            ptrace(PTRACE_GETREGS, child, NULL, &registers) != 0)
            return complain("the child could not be stepped through");
        if (WSTOPSIG(status) == SIGSTOP)
            break;
        printf("%llx\n", (unsigned long long)registers.rip);
    }
    ptrace(PTRACE_CONT, child, NULL, NULL);
    return (waitpid(child, &status, 0) == child && WIFEXITED(status) &&
            WEXITSTATUS(status) == 0) ||
           complain("the execution failed");
}
#else
static int trace(work *job) {
    print_map("/proc/self/maps");
    return execute(job) || complain("the execution failed");
}
#endif

int main(int count, char **words) {
    work job;
    if (count != 7) {
        complain("see the usage in trace.c");
        return 2;
    }
    if (!prepare(&job, words + 1))
        return 2;
    return trace(&job) ? 0 : 1;
}
