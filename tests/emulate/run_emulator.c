// run_emulator SECONDS FIFO LOG COMMAND...
// Runs COMMAND, the emulator, with its own output to LOG, and puts the frames
// that it writes to FIFO (guest_protocol.h) onto standard output and error as
// they come. Ends with the status in them, 124 when the time is over, 125 when
// the emulator ends without one.
#define _GNU_SOURCE
#include "guest_protocol.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MILLISECONDS 20 // how late the emulator's end may be seen
#define NO_STATUS         (-1)

static volatile pid_t emulator;

// Bochs catches SIGTERM and goes on, hence SIGKILL
static void end_by_signal(int number) {
    if (emulator > 0)
        kill(emulator, SIGKILL);
    _exit(128 + number);
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static pid_t start_emulator(const char *log_path, char **command) {
    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child < 0)
        err(STATUS_FAILED, "fork");
    if (child > 0)
        return child;
    // the emulator must not outlive this process, however that ends
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(STATUS_FAILED);
    setsid(); // no terminal for Bochs to alter
    const int log = open(log_path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (log < 0 || dup2(log, STDOUT_FILENO) < 0)
        err(STATUS_FAILED, "%s", log_path);
    const int terminal = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    dup2(log, STDERR_FILENO);
    execvp(command[0], command);
    dprintf(terminal, "run_emulator: %s: %s\n", command[0], strerror(errno));
    _exit(STATUS_FAILED);
}

static uint32_t little_endian(const uint8_t *bytes) {
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

// Passes on the whole frames in bytes and returns how many bytes these are;
// sets *status by the last one
static size_t take_frames(const uint8_t *bytes, size_t available, int *status) {
    size_t taken = 0;
    while (*status == NO_STATUS && available - taken >= FRAME_HEADER_BYTES) {
        const uint8_t *frame = bytes + taken, *data = frame + FRAME_HEADER_BYTES;
        const uint32_t length = little_endian(frame + 3);
        if (frame[0] != FRAME_MARK_0 || frame[1] != FRAME_MARK_1 || frame[2] > FRAME_STDERR ||
            length > FRAME_MAXIMUM_BYTES || (frame[2] == FRAME_EXIT_STATUS && length != 1)) {
            warnx("what the guest sends is no frame");
            *status = STATUS_FAILED;
            break;
        }
        if (available - taken - FRAME_HEADER_BYTES < length)
            break;
        if (frame[2] == FRAME_EXIT_STATUS)
            *status = data[0];
        else {
            FILE *stream = frame[2] == FRAME_STDOUT ? stdout : stderr;
            if (fwrite(data, 1, length, stream) != length || fflush(stream) != 0)
                err(STATUS_FAILED, "output");
        }
        taken += FRAME_HEADER_BYTES + length;
    }
    return taken;
}

static int forward_until_end(int fifo, double limit_seconds) {
    static uint8_t bytes[2 * (FRAME_HEADER_BYTES + FRAME_MAXIMUM_BYTES)];
    const double end = seconds_now() + limit_seconds;
    size_t filled = 0;
    int status = NO_STATUS;
    while (status == NO_STATUS) {
        // looked at before the reading, so that an ended emulator's last bytes
        // are read before they are missed
        const bool ended = waitpid(emulator, NULL, WNOHANG) == emulator;
        struct pollfd polled = {.fd = fifo, .events = POLLIN};
        poll(&polled, 1, ended ? 0 : LOOK_MILLISECONDS);
        ssize_t got;
        while (status == NO_STATUS &&
               (got = read(fifo, bytes + filled, sizeof bytes - filled)) > 0) {
            filled += (size_t)got;
            const size_t taken = take_frames(bytes, filled, &status);
            filled -= taken;
            memmove(bytes, bytes + taken, filled);
        }
        if (ended)
            emulator = 0;
        if (status != NO_STATUS)
            break;
        if (ended) {
            warnx("the emulator ended without the program's exit status");
            status = STATUS_FAILED;
        } else if (seconds_now() > end) {
            warnx("out of time (%g s)", limit_seconds);
            status = STATUS_OUT_OF_TIME;
        }
    }
    return status;
}

int main(int argc, char **argv) {
    static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    if (argc < 5)
        errx(STATUS_FAILED, "usage: run_emulator SECONDS FIFO LOG COMMAND...");
    char *rest;
    const double limit = strtod(argv[1], &rest);
    if (*rest != '\0' || !(limit > 0))
        errx(STATUS_FAILED, "time limit of %s seconds: not a positive number", argv[1]);
    // for writing too, so that a FIFO which nobody has open yet is only empty
    const int fifo = open(argv[2], O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fifo < 0)
        err(STATUS_FAILED, "%s", argv[2]);
    for (size_t i = 0; i < sizeof ending_signals / sizeof *ending_signals; i++)
        signal(ending_signals[i], end_by_signal);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
        err(STATUS_FAILED, "prctl");

    emulator = start_emulator(argv[3], argv + 4);
    const int status = forward_until_end(fifo, limit);
    if (emulator > 0) {
        kill(emulator, SIGKILL);
        waitpid(emulator, NULL, 0);
    }
    return status;
}
