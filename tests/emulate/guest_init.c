// The guest's first process: runs the requested program and sends what it
// writes, and its exit status, out of the parallel port.
//
// The parallel port because Bochs hands its bytes to a file at once: no serial
// timing, no terminal that alters them, no kernel messages in between.
#define _GNU_SOURCE
#include "guest_protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PARALLEL_DATA       0x378
#define PARALLEL_CONTROL    0x37a
#define CONTROL_IDLE        0x0c // initialised and selected
#define CONTROL_STROBE      0x0d // its rising edge sends the byte
#define BITS_OF_BYTE(v, at) ((uint8_t)((v) >> (at)))

static void send_byte(uint8_t byte) {
    outb(byte, PARALLEL_DATA);
    outb(CONTROL_STROBE, PARALLEL_CONTROL);
    outb(CONTROL_IDLE, PARALLEL_CONTROL);
}

static void send_frame(enum frame_channel channel, const void *data, size_t length) {
    const uint8_t header[FRAME_HEADER_BYTES] = {
        FRAME_MARK_0,
        FRAME_MARK_1,
        (uint8_t)channel,
        BITS_OF_BYTE(length, 0),
        BITS_OF_BYTE(length, 8),
        BITS_OF_BYTE(length, 16),
        BITS_OF_BYTE(length, 24),
    };
    for (size_t i = 0; i < sizeof header; i++)
        send_byte(header[i]);
    for (size_t i = 0; i < length; i++)
        send_byte(((const uint8_t *)data)[i]);
}

// The host kills the emulator when it has the status; an init that returned
// would make the kernel panic first.
static _Noreturn void finish(int status) {
    const uint8_t byte = (uint8_t)status;
    send_frame(FRAME_EXIT_STATUS, &byte, 1);
    for (;;)
        pause();
}

static _Noreturn void fail(const char *what) {
    char text[512];
    snprintf(text, sizeof text, "guest: %s: %s\n", what, strerror(errno));
    send_frame(FRAME_STDERR, text, strlen(text));
    finish(STATUS_FAILED);
}

// The strings of a request file as a vector ended by NULL
static char **read_strings(const char *path) {
    struct stat status;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status) != 0)
        fail(path);
    const size_t size = (size_t)status.st_size;
    char *text = malloc(size + 1);
    char **strings = calloc(size + 1, sizeof *strings);
    if (text == NULL || strings == NULL)
        fail(path);
    // the whole file in one read: it lies in memory
    if (read(file, text, size) != (ssize_t)size)
        fail(path);
    close(file);
    text[size] = '\0';
    size_t count = 0;
    for (size_t at = 0; at < size; at += strlen(text + at) + 1)
        strings[count++] = text + at;
    return strings;
}

static _Noreturn void start_program(int output, int error_output) {
    char **arguments = read_strings(REQUEST_ARGUMENTS);
    char **environment = read_strings(REQUEST_ENVIRONMENT);
    char **directory = read_strings(REQUEST_DIRECTORY);
    int input = open(REQUEST_STDIN, O_RDONLY | O_CLOEXEC);
    if (input < 0)
        input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
        dup2(error_output, STDERR_FILENO) < 0 || iopl(0) != 0)
        fail("standard streams");
    if (chdir(directory[0]) != 0)
        dprintf(STDERR_FILENO, "guest: directory %s: %s\n", directory[0], strerror(errno));
    else if (execve(arguments[0], arguments + 1, environment) != 0)
        dprintf(STDERR_FILENO, "guest: program %s: %s\n", arguments[0], strerror(errno));
    _exit(STATUS_NOT_STARTED);
}

// Sends on what there is to read; the end of a stream makes poll skip it
static void forward(struct pollfd *stream, enum frame_channel channel) {
    static uint8_t data[FRAME_MAXIMUM_BYTES];
    for (;;) {
        const ssize_t got = read(stream->fd, data, sizeof data);
        if (got > 0)
            send_frame(channel, data, (size_t)got);
        else if (got < 0 && errno == EINTR)
            continue;
        else {
            if (got == 0)
                stream->fd = -1;
            return;
        }
    }
}

// Forwards both streams until the program has ended. Its orphans, which may
// hold the streams open, do not delay the end.
static int supervise(pid_t program, int output, int error_output, int signals) {
    struct pollfd polled[] = {
        {.fd = output, .events = POLLIN},
        {.fd = error_output, .events = POLLIN},
        {.fd = signals, .events = POLLIN},
    };
    int status = 0;
    for (int running = 1; running;) {
        poll(polled, sizeof polled / sizeof *polled, -1);
        struct signalfd_siginfo ignored;
        if (polled[2].revents != 0 && read(signals, &ignored, sizeof ignored) > 0) {
            int ended_status;
            pid_t ended;
            while ((ended = waitpid(-1, &ended_status, WNOHANG)) > 0)
                if (ended == program) {
                    running = 0;
                    status = ended_status;
                }
        }
        // after the look at the children, so that nothing written before the
        // end is lost
        forward(&polled[0], FRAME_STDOUT);
        forward(&polled[1], FRAME_STDERR);
    }
    return status;
}

int main(void) {
    int output[2], error_output[2];
    sigset_t child_ends;
    sigemptyset(&child_ends);
    sigaddset(&child_ends, SIGCHLD);
    if (iopl(3) != 0)
        return STATUS_FAILED;
    if (mount("proc", "/proc", "proc", 0, NULL) != 0 ||
        mount("sysfs", "/sys", "sysfs", 0, NULL) != 0 ||
        mount("devtmpfs", "/dev", "devtmpfs", 0, NULL) != 0)
        fail("mount");
    if (pipe2(output, O_CLOEXEC) != 0 || pipe2(error_output, O_CLOEXEC) != 0 ||
        fcntl(output[0], F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(error_output[0], F_SETFL, O_NONBLOCK) != 0)
        fail("pipe");
    sigprocmask(SIG_BLOCK, &child_ends, NULL);
    const int signals = signalfd(-1, &child_ends, SFD_CLOEXEC | SFD_NONBLOCK);
    const pid_t program = fork();
    if (signals < 0 || program < 0)
        fail("fork");
    if (program == 0)
        start_program(output[1], error_output[1]);
    close(output[1]);
    close(error_output[1]);

    const int status = supervise(program, output[0], error_output[0], signals);
    if (WIFSIGNALED(status)) {
        const int number = WTERMSIG(status);
        char text[128];
        snprintf(text, sizeof text, "guest: killed by signal %d (%s)\n", number,
                 strsignal(number));
        send_frame(FRAME_STDERR, text, strlen(text));
        finish(128 + number);
    }
    finish(WEXITSTATUS(status));
}
