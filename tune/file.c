#define _DEFAULT_SOURCE /* realpath, mkstemp's relatives */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/auxv.h>
#endif

#include "config.h"
#include "status.h"

/* ---- Places ------------------------------------------------------------------------------- */

bool focal_tune_privileged(void) {
#ifdef __linux__
    if (getauxval(AT_SECURE))
        return true;
#endif
    return getuid() != geteuid() || getgid() != getegid();
}

static bool user_path(char path[FOCAL_TUNE_PATH_MAX]) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int length = 0;
    /* The XDG base directory specification: a relative path is to be ignored. */
    if (cache && *cache == '/')
        length = snprintf(path, FOCAL_TUNE_PATH_MAX, "%s/focal/tuning.txt", cache);
    else if (home && *home == '/')
        length = snprintf(path, FOCAL_TUNE_PATH_MAX, "%s/.cache/focal/tuning.txt", home);
    return length > 0 && length < FOCAL_TUNE_PATH_MAX;
}

void focal_tune_places_get(focal_tune_places *places) {
    const char *named = getenv("FOCAL_TUNE_FILE");
    *places = (focal_tune_places){.count = 0, .reason = ""};
    if (focal_tune_privileged()) {
        places->reason = "the process is set-user-id: its environment is ignored";
    } else if (named) {
        if (!*named || strlen(named) >= FOCAL_TUNE_PATH_MAX) {
            places->reason =
                *named ? "FOCAL_TUNE_FILE is too long" : "FOCAL_TUNE_FILE is empty";
            return;
        }
        snprintf(places->path[places->count++], FOCAL_TUNE_PATH_MAX, "%s", named);
        places->writable = true;
        return;
    } else if (user_path(places->path[0])) {
        places->count = 1;
        places->writable = places->in_cache = true;
    } else {
        places->reason = "there is no HOME and no XDG_CACHE_HOME";
    }
    snprintf(places->path[places->count++], FOCAL_TUNE_PATH_MAX, "%s",
             FOCAL_SYSCONFDIR "/focal/tuning.txt");
}

/* ---- Reading ------------------------------------------------------------------------------ */

static focal_status fail_errno(focal_error *error, const char *path, const char *what) {
    return focal_fail(error, FOCAL_E_FILE, "path", -1, "%.120s: %s: %.60s", path, what,
                      strerror(errno));
}

/* All of a regular file, at most one byte more than a tuning file may have. The caller frees. */
static focal_status read_all(const char *path, char **text, size_t *size, bool *missing,
                             focal_error *error) {
    struct stat status;
    const size_t most = FOCAL_TUNE_BYTES_MAX + 1;
    *text = NULL;
    *size = 0;
    /* Without O_NONBLOCK a named pipe would wait for its writer. */
    int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    *missing = file < 0 && errno == ENOENT;
    if (file < 0)
        return fail_errno(error, path, "cannot be opened");
    focal_status result = FOCAL_OK;
    if (fstat(file, &status) != 0)
        result = fail_errno(error, path, "cannot be read");
    else if (!S_ISREG(status.st_mode))
        result =
            focal_fail(error, FOCAL_E_FILE, "path", -1, "%.120s: is no regular file", path);
    else
        *text = malloc(most);
    if (result == FOCAL_OK && !*text)
        result = focal_fail(error, FOCAL_E_MEMORY, "path", -1, "%zu bytes not available", most);
    for (ssize_t got = 1; result == FOCAL_OK && got != 0 && *size < most;) {
        got = read(file, *text + *size, most - *size);
        if (got < 0 && errno != EINTR)
            result = fail_errno(error, path, "cannot be read");
        *size += got > 0 ? (size_t)got : 0;
    }
    close(file);
    if (result != FOCAL_OK) {
        free(*text);
        *text = NULL;
    }
    return result;
}

static focal_status fail_parse(focal_status status, const char *path,
                               const focal_tune_report *report, focal_error *error) {
    if (status == FOCAL_E_MEMORY)
        return focal_fail(error, status, "path", -1, "not enough memory for %.120s", path);
    if (status != FOCAL_OK)
        return focal_fail(error, status, "path", -1, "%.100s: %.110s", path, report->reason);
    return FOCAL_OK;
}

focal_status focal_tune_read(const char *path, focal_sections *sections,
                             focal_tune_report *report, bool *missing, focal_error *error) {
    char *text;
    size_t size;
    focal_status status = read_all(path, &text, &size, missing, error);
    if (status != FOCAL_OK)
        return status;
    status =
        fail_parse(focal_sections_parse(sections, text, size, report), path, report, error);
    free(text);
    return status;
}

/* ---- Replacing ---------------------------------------------------------------------------- */

/* The paths of one replacement: the file itself (a symbolic link stays one), its lock, its
 * temporary, its folder. */
typedef struct {
    char file[FOCAL_TUNE_PATH_MAX + 8], lock[FOCAL_TUNE_PATH_MAX + 16];
    char temporary[FOCAL_TUNE_PATH_MAX + 16], folder[FOCAL_TUNE_PATH_MAX + 8];
    int lock_file;
} replacement;

static focal_status make_folders(const char *path, focal_error *error) {
    char folder[FOCAL_TUNE_PATH_MAX];
    struct stat status;
    snprintf(folder, sizeof folder, "%s", path);
    for (char *slash = folder + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        if (stat(folder, &status) != 0 && mkdir(folder, 0700) != 0 && errno != EEXIST)
            return fail_errno(error, folder, "cannot be made");
        *slash = '/';
    }
    return FOCAL_OK;
}

static focal_status name_paths(replacement *paths, const char *path, focal_error *error) {
    char *resolved = realpath(path, NULL);
    if (!resolved && errno != ENOENT)
        return fail_errno(error, path, "cannot be resolved");
    if (strlen(resolved ? resolved : path) >= FOCAL_TUNE_PATH_MAX) {
        free(resolved);
        return focal_fail(error, FOCAL_E_FILE, "path", -1, "longer than %d bytes",
                          FOCAL_TUNE_PATH_MAX);
    }
    snprintf(paths->file, sizeof paths->file, "%s", resolved ? resolved : path);
    bool exists = resolved != NULL;
    free(resolved);
    /* Renaming would not ask. */
    if (exists && access(paths->file, W_OK) != 0)
        return fail_errno(error, path, "may not be written");
    snprintf(paths->lock, sizeof paths->lock, "%s.lock", paths->file);
    snprintf(paths->temporary, sizeof paths->temporary, "%s.new", paths->file);
    snprintf(paths->folder, sizeof paths->folder, "%s", paths->file);
    char *slash = strrchr(paths->folder, '/');
    if (slash)
        slash[slash == paths->folder] = '\0';
    else
        strcpy(paths->folder, ".");
    return FOCAL_OK;
}

/* The kernel drops the lock when the process ends, however it ends; the lock's file stays. */
static focal_status lock(replacement *paths, focal_error *error) {
    enum { TRIES = 2000 };
    const struct timespec pause = {0, 5000000};
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    paths->lock_file = open(paths->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (paths->lock_file < 0)
        return fail_errno(error, paths->lock, "cannot be made");
    for (int i = 0; fcntl(paths->lock_file, F_SETLK, &whole) != 0; i++) {
        bool busy = errno == EAGAIN || errno == EACCES || errno == EINTR;
        if (!busy || i == TRIES) {
            focal_status status = fail_errno(error, paths->lock, "cannot be locked");
            close(paths->lock_file);
            return status;
        }
        nanosleep(&pause, NULL);
    }
    return FOCAL_OK;
}

static bool write_all(int file, const char *text, size_t size) {
    while (size > 0) {
        ssize_t done = write(file, text, size);
        if (done < 0 && errno != EINTR)
            return false;
        text += done > 0 ? done : 0;
        size -= done > 0 ? (size_t)done : 0;
    }
    return true;
}

/* Some file systems cannot flush, and say EINVAL. */
static bool flush(int file) {
    return fsync(file) == 0 || errno == EINVAL || errno == EROFS;
}

/* Under the lock nobody else has the temporary: what is there was left by a process that died. */
static focal_status replace(const replacement *paths, const char *text, size_t size,
                            focal_error *error) {
    struct stat status;
    unlink(paths->temporary);
    int file =
        open(paths->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (file < 0)
        return fail_errno(error, paths->temporary, "cannot be made");
    bool good = write_all(file, text, size) && flush(file);
    if (good && stat(paths->file, &status) == 0)
        good = fchmod(file, status.st_mode & 07777) == 0;
    int reason = errno;
    if (close(file) != 0 && good) {
        good = false;
        reason = errno;
    }
    if (good && rename(paths->temporary, paths->file) != 0) {
        good = false;
        reason = errno;
    }
    if (!good) {
        unlink(paths->temporary);
        errno = reason;
        return fail_errno(error, paths->file, "cannot be written");
    }
    int folder = open(paths->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
        fsync(folder); /* the file is whole either way */
        close(folder);
    }
    return FOCAL_OK;
}

static focal_status read_old(const char *path, focal_sections *sections,
                             focal_tune_report *report, focal_error *error) {
    bool missing;
    char *text;
    size_t size;
    focal_error ignored = FOCAL_ERROR_INIT;
    focal_status status = read_all(path, &text, &size, &missing, &ignored);
    if (status == FOCAL_E_FILE && missing)
        return FOCAL_OK;
    if (status != FOCAL_OK) {
        if (error && error->struct_size == sizeof *error)
            *error = ignored;
        return status;
    }
    if (size > 0)
        status =
            fail_parse(focal_sections_parse(sections, text, size, report), path, report, error);
    free(text);
    return status;
}

static focal_status write_new(const replacement *paths, const focal_sections *sections,
                              focal_error *error) {
    size_t size = focal_sections_print(sections, NULL, 0);
    if (size > FOCAL_TUNE_BYTES_MAX)
        return focal_fail(error, FOCAL_E_FILE, "path", -1,
                          "%.100s: would have %zu bytes, more than %d; forget what is stale",
                          paths->file, size, FOCAL_TUNE_BYTES_MAX);
    char *text = malloc(size + 1);
    if (!text)
        return focal_fail(error, FOCAL_E_MEMORY, "path", -1, "%zu bytes not available", size);
    focal_sections_print(sections, text, size + 1);
    focal_status status = replace(paths, text, size, error);
    free(text);
    return status;
}

focal_status focal_tune_rewrite(const char *path, bool make_folder,
                                bool (*change)(void *context, focal_sections *sections),
                                void *context, focal_tune_report *report, focal_error *error) {
    focal_sections sections = {NULL, 0};
    replacement *paths = malloc(sizeof *paths);
    if (!paths)
        return focal_fail(error, FOCAL_E_MEMORY, "path", -1, "%zu bytes not available",
                          sizeof *paths);
    focal_status status = make_folder ? make_folders(path, error) : FOCAL_OK;
    if (status == FOCAL_OK)
        status = name_paths(paths, path, error);
    if (status == FOCAL_OK)
        status = lock(paths, error);
    if (status == FOCAL_OK) {
        status = read_old(paths->file, &sections, report, error);
        if (status == FOCAL_OK && !change(context, &sections))
            status = focal_fail(error, FOCAL_E_MEMORY, "path", -1, "not enough memory");
        if (status == FOCAL_OK)
            status = write_new(paths, &sections, error);
        close(paths->lock_file);
    }
    focal_sections_free(&sections);
    free(paths);
    return status;
}
