#define _GNU_SOURCE /* the registers in ucontext_t, MAP_ANONYMOUS */
#include "child.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

static struct {
    child_describer *describe;
    void *context;
    child_result *result;
} running;

/* The kernel tells whether a fault was a write: x86 in the page fault's error code, Arm in the
 * syndrome register (WnR), which lies among the records after the general registers. */
static child_access access_of(const void *raw) {
#if defined(__linux__) && defined(__x86_64__)
    const ucontext_t *context = raw;
    return context->uc_mcontext.gregs[REG_ERR] & 2 ? CHILD_WRITE : CHILD_READ;
#elif defined(__linux__) && defined(__aarch64__)
    const ucontext_t *context = raw;
    const unsigned char *record = (const unsigned char *)context->uc_mcontext.__reserved;
    const unsigned char *end = record + sizeof context->uc_mcontext.__reserved;
    while (record + 16 <= end) {
        uint32_t head[2];
        memcpy(head, record, sizeof head);
        if (head[0] == 0x45535201) { /* ESR_MAGIC */
            uint64_t syndrome;
            memcpy(&syndrome, record + 8, sizeof syndrome);
            return syndrome >> 6 & 1 ? CHILD_WRITE : CHILD_READ;
        }
        if (head[0] == 0 || head[1] < 8)
            break;
        record += head[1];
    }
    return CHILD_ACCESS_UNKNOWN;
#else
    (void)raw;
    return CHILD_ACCESS_UNKNOWN;
#endif
}

static void last_words(int number, siginfo_t *info, void *context) {
    child_result *result = running.result;
    result->number = number;
    if (number == SIGSEGV || number == SIGBUS) {
        result->end = CHILD_FAULT;
        result->address = info->si_addr;
        result->access = access_of(context);
    } else {
        result->end = number == SIGPROF || number == SIGALRM ? CHILD_TIME : CHILD_SIGNAL;
    }
    if (running.describe)
        running.describe(running.context, result);
    _exit(0);
}

static void prepare(unsigned seconds) {
    /* Of its own, since the stack itself may be what overflowed. */
    static unsigned char signal_stack[1 << 17];
    stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof signal_stack};
    sigaltstack(&stack, NULL);
    struct sigaction action = {.sa_sigaction = last_words,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND};
    sigfillset(&action.sa_mask);
    const int numbers[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGPROF, SIGALRM};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        sigaction(numbers[i], &action, NULL);
    setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = (time_t)seconds}, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){.it_value.tv_sec = 10 * (time_t)seconds}, NULL);
}

child_result child_run(void (*function)(void *context), child_describer *describe,
                       void *context, unsigned seconds) {
    child_result result = {.end = CHILD_NONE};
    child_result *shared = child_shared(sizeof *shared);
    if (!shared)
        return result;
    shared->end = CHILD_EXIT;
    fflush(NULL);
    pid_t process = fork();
    if (process == 0) {
        running.describe = describe;
        running.context = context;
        running.result = shared;
        prepare(seconds);
        function(context);
        fflush(NULL);
        shared->end = CHILD_DONE;
        _exit(0);
    }
    int status = 0;
    pid_t ended = process;
    if (process > 0)
        do
            ended = waitpid(process, &status, 0);
        while (ended < 0 && errno == EINTR);
    if (process > 0 && ended == process) {
        if (WIFSIGNALED(status)) {
            shared->end = CHILD_SIGNAL;
            shared->number = WTERMSIG(status);
        } else if (shared->end == CHILD_EXIT || WEXITSTATUS(status) != 0) {
            shared->end = CHILD_EXIT;
            shared->number = WEXITSTATUS(status);
        }
        result = *shared;
    }
    child_shared_free(shared, sizeof *shared);
    return result;
}

void *child_shared(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void child_shared_free(void *memory, size_t size) {
    if (memory)
        munmap(memory, size);
}
