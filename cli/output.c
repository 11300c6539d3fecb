#include "output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    static const char pattern[] = ".focal-XXXXXX";
    char *temporary = malloc(folder + sizeof pattern);
    if (!temporary)
        return refuse(output, "not enough memory");
    memcpy(temporary, output->resolved, folder);
    memcpy(temporary + folder, pattern, sizeof pattern);
    int descriptor = mkstemp(temporary);
    if (descriptor < 0) {
        int code = fail(FAILED, "%s %s: no file can be created in its folder: %s",
                        output->option, output->path, strerror(errno));
        free(temporary);
        return code;
    }
    output->temporary = temporary;
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
    if (rename(output->temporary, output->resolved) != 0)
        return refuse(output, strerror(errno));
    free(output->temporary);
    output->temporary = NULL;
    return DONE;
}

void output_release(output_file *output) {
    if (output->stream)
        fclose(output->stream);
    if (output->temporary)
        unlink(output->temporary);
    free(output->temporary);
    free(output->resolved);
    *output = (output_file){.option = NULL};
}
