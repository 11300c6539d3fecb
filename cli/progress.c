#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { BAR_WIDTH = 30 };
static const double drawing_interval = 0.2, first_drawing = 0.5;

double progress_seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void progress_start(progress *bar, const char *label, uint64_t total, int quiet) {
    bar->label = label;
    bar->total = total;
    bar->started = progress_seconds();
    /* What is over at once needs no bar. */
    bar->next = bar->started + first_drawing;
    bar->enabled = !quiet && total > 0 && isatty(STDERR_FILENO);
    atomic_flag_clear(&bar->drawing);
}

static void draw(const progress *bar, uint64_t done, double now) {
    double share = (double)done / (double)bar->total;
    int filled = (int)(share * (double)BAR_WIDTH);
    char cells[BAR_WIDTH + 1];
    for (int i = 0; i < BAR_WIDTH; i++)
        cells[i] = i < filled ? '#' : '.';
    cells[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r%s [%s] %5.1f %%", bar->label, cells, 100.0 * share);
    if (done > 0) {
        uint64_t left = (uint64_t)((now - bar->started) * (1.0 - share) / share + 0.5);
        if (left >= 3600)
            fprintf(stderr, ", %" PRIu64 ":%02" PRIu64, left / 3600, left / 60 % 60);
        else
            fprintf(stderr, ", %" PRIu64, left / 60);
        fprintf(stderr, ":%02" PRIu64 " left", left % 60);
    }
    fputs("\033[K", stderr);
    fflush(stderr);
}

void progress_update(progress *bar, uint64_t done) {
    if (!bar->enabled || atomic_flag_test_and_set(&bar->drawing))
        return;
    double now = progress_seconds();
    if (now >= bar->next) {
        bar->next = now + drawing_interval;
        draw(bar, done, now);
    }
    atomic_flag_clear(&bar->drawing);
}

void progress_clear(progress *bar) {
    if (bar->enabled)
        fputs("\r\033[K", stderr);
}
