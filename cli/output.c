#include "output.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Temporaries and signals ------------------------------------------------------------------ */

enum { TEMPORARIES_MAX = 8, NAME_MAX_BYTES = 4096 };

/* The names of those on disk, "" in free places: static, because a signal's handler may neither use
 * the heap nor wait for a lock. */
static char temporaries[TEMPORARIES_MAX][NAME_MAX_BYTES];

/* Any thread may be the one that a signal interrupts, at any time; so while the main thread makes,
 * renames or removes a file (`changing`), the handler leaves the rest to it. Each side first says
 * what it is about to do and then looks at the other: both cannot go on. */
static atomic_int signal_seen, changing;
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "signal handlers need atomics without locks");

/* Ends the process by the signal, so that whoever waits for it sees which. */
static void die(int number) {
    for (int i = 0; i < TEMPORARIES_MAX; i++)
        if (*temporaries[i])
            unlink(temporaries[i]);
    signal(number, SIG_DFL);
    raise(number);
}

static void on_signal(int number) {
    atomic_store(&signal_seen, number);
    if (!atomic_load(&changing))
        die(number);
}

static void begin_change(void) {
    atomic_store(&changing, 1);
    if (atomic_load(&signal_seen))
        die(atomic_load(&signal_seen));
}

static void end_change(void) {
    atomic_store(&changing, 0);
    if (atomic_load(&signal_seen))
        die(atomic_load(&signal_seen));
}

/* Signals that are ignored, as under nohup, stay so. */
static void catch_signals(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(numbers[i], &action, NULL);
}

/* Makes a file of a new name in the folder that begins `path`, in `length` bytes, and keeps the name
 * in *temporary. Returns its descriptor, or -1 with errno. */
static int make_temporary(const char *path, size_t length, char **temporary) {
    static const char pattern[] = ".focal-XXXXXX";
    int place = 0;
    while (place < TEMPORARIES_MAX && *temporaries[place])
        place++;
    if (place == TEMPORARIES_MAX || length + sizeof pattern > NAME_MAX_BYTES) {
        errno = place == TEMPORARIES_MAX ? EMFILE : ENAMETOOLONG;
        return -1;
    }
    catch_signals();
    begin_change();
    char *name = temporaries[place];
    memcpy(name, path, length);
    memcpy(name + length, pattern, sizeof pattern);
    int descriptor = mkstemp(name), reason = errno;
    if (descriptor < 0)
        *name = '\0';
    end_change();
    *temporary = descriptor < 0 ? NULL : name;
    errno = reason;
    return descriptor;
}

/* Gives the file another name, or removes it if that is NULL. Returns 0, or -1 with errno. */
static int end_temporary(char **temporary, const char *path) {
    begin_change();
    int result = path ? rename(*temporary, path) : unlink(*temporary), reason = errno;
    if (result == 0 || !path) {
        **temporary = '\0';
        *temporary = NULL;
    }
    end_change();
    errno = reason;
    return result;
}

/* ---- Outputs ------------------------------------------------------------------------------------ */

static int refuse(const output_file *output, const char *reason) {
    return fail(FAILED, "%s %s: %s", output->option, output->path, reason);
}

/* "folder/name" of two parts, allocated. */
static char *join(const char *folder, const char *name) {
    size_t capacity = strlen(folder) + strlen(name) + 2;
    char *path = malloc(capacity);
    if (path)
        snprintf(path, capacity, "%s/%s", folder, name);
    return path;
}

/* The path of a file that does not exist yet: that of its folder, resolved, and its name. */
static char *resolve_new(const char *path) {
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char *folder = strdup(path), *resolved = NULL, *joined = NULL;
    if (folder) {
        if (!slash)
            resolved = realpath(".", NULL);
        else {
            folder[slash == path ? 1 : slash - path] = '\0';
            resolved = realpath(folder, NULL);
        }
    }
    if (resolved)
        joined = join(strcmp(resolved, "/") == 0 ? "" : resolved, name);
    free(resolved);
    free(folder);
    return joined;
}

int output_check(output_file *output, const char *option, const char *path) {
    struct stat status;
    *output = (output_file){.option = option, .path = path};
    if (!path)
        return DONE;
    if (stat(path, &status) == 0) {
        if (S_ISDIR(status.st_mode))
            return refuse(output, "is a folder; name a file");
        if (!S_ISREG(status.st_mode))
            return refuse(output, "exists and is not a regular file");
        output->exists = 1;
        output->mode = status.st_mode & 07777;
        output->device = status.st_dev;
        output->inode = status.st_ino;
        output->resolved = realpath(path, NULL);
    } else if (errno != ENOENT)
        return refuse(output, strerror(errno));
    else if (lstat(path, &status) == 0)
        return refuse(output, "is a symbolic link to nothing");
    else if (path[strlen(path) - 1] == '/')
        return refuse(output, "is a folder; name a file");
    else {
        errno = 0;
        output->resolved = resolve_new(path);
        if (!output->resolved && errno == ENOENT)
            return refuse(output, "its folder does not exist");
    }
    return output->resolved ? DONE : refuse(output, strerror(errno));
}

/* On a file system that cannot flush (EINVAL), the rename must do. */
static int flush(int descriptor) {
    return fsync(descriptor) == 0 || errno == EINVAL ? 0 : -1;
}

/* What open(path, O_CREAT, 0666) would have given, or the mode of the file to be replaced. */
static mode_t wanted_mode(const output_file *output) {
    if (output->exists)
        return output->mode;
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

int output_begin(output_file *output) {
    if (!output->resolved)
        return DONE;
    /* In the same folder, because a rename is atomic only within one file system. */
    const char *name = strrchr(output->resolved, '/');
    size_t folder = (size_t)(name - output->resolved) + 1;
    int descriptor = make_temporary(output->resolved, folder, &output->temporary);
    if (descriptor < 0)
        return fail(FAILED, "%s %s: no file can be created in its folder: %s", output->option,
                    output->path, strerror(errno));
    output->stream = fdopen(descriptor, "wb");
    if (output->stream)
        return DONE;
    close(descriptor);
    return refuse(output, "not enough memory");
}

int output_end(output_file *output) {
    FILE *stream = output->stream;
    if (!stream)
        return DONE;
    int failed = ferror(stream) || fflush(stream) != 0 ||
                 fchmod(fileno(stream), wanted_mode(output)) != 0 || flush(fileno(stream)) != 0;
    int reason = errno;
    output->stream = NULL;
    /* Some file systems report a full disk only here. */
    if (fclose(stream) != 0 && !failed) {
        failed = 1;
        reason = errno;
    }
    return failed ? refuse(output, strerror(reason)) : DONE;
}

int output_commit(output_file *output) {
    if (!output->temporary)
        return DONE;
    if (end_temporary(&output->temporary, output->resolved) != 0)
        return refuse(output, strerror(errno));
    return DONE;
}

void output_release(output_file *output) {
    if (output->stream)
        fclose(output->stream);
    if (output->temporary)
        end_temporary(&output->temporary, NULL);
    free(output->resolved);
    *output = (output_file){.option = NULL};
}
