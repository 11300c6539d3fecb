/* Writing .npy files so that the output is either the old file or all of the new one. */
#include "npy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse(const npy_output *output, const char *reason) {
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

int npy_output_check(npy_output *output, const char *option, const char *path,
                     const npy_file *const *inputs, size_t input_count) {
    struct stat status;
    *output = (npy_output){.option = option, .path = path};
    if (!path)
        return DONE;
    if (stat(path, &status) == 0) {
        if (S_ISDIR(status.st_mode))
            return refuse(output, "is a folder; name a file");
        if (!S_ISREG(status.st_mode))
            return refuse(output, "exists and is not a regular file");
        for (size_t i = 0; i < input_count; i++)
            if (status.st_dev == inputs[i]->device && status.st_ino == inputs[i]->inode)
                return fail(FAILED, "%s %s: is the file of %s; name another one", option, path,
                            inputs[i]->option);
        output->exists = 1;
        output->mode = status.st_mode & 07777;
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

static int write_all(int descriptor, const void *data, size_t bytes) {
    const char *at = data;
    while (bytes > 0) {
        ssize_t written = write(descriptor, at, bytes < (1U << 30) ? bytes : 1U << 30);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        at += written;
        bytes -= (size_t)written;
    }
    return 0;
}

/* Version 1.0: preamble and dict, padded with blanks so that the data begins at a multiple
 * of 64. 32 dimensions of 19 digits need less than 1024 bytes. */
static size_t make_header(char text[1024], const char *type, const int64_t *shape,
                          int dimensions) {
    const uint16_t one = 1;
    unsigned char low_first;
    memcpy(&low_first, &one, 1);
    size_t length = 10;
    length += (size_t)snprintf(text + length, 1024 - length,
                               "{'descr': '%c%s', 'fortran_order': False, 'shape': (",
                               low_first ? '<' : '>', type);
    for (int i = 0; i < dimensions; i++)
        length += (size_t)snprintf(text + length, 1024 - length, "%s%" PRId64, i ? ", " : "",
                                   shape[i]);
    length +=
        (size_t)snprintf(text + length, 1024 - length, "%s), }", dimensions == 1 ? "," : "");
    while ((length + 1) % 64)
        text[length++] = ' ';
    text[length++] = '\n';
    memcpy(text, "\x93NUMPY\1\0", 8);
    text[8] = (char)((length - 10) & 0xff);
    text[9] = (char)((length - 10) >> 8);
    return length;
}

/* What open(path, O_CREAT, 0666) would have given, or the mode of the file to be replaced. */
static mode_t wanted_mode(const npy_output *output) {
    if (output->exists)
        return output->mode;
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

int npy_output_write(npy_output *output, const void *data, const char *type,
                     const int64_t *shape, int dimensions) {
    if (!output->resolved)
        return DONE;
    size_t count = 1;
    for (int i = 0; i < dimensions; i++)
        count *= (size_t)shape[i];
    char header[1024];
    size_t header_length = make_header(header, type, shape, dimensions);

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
    int failed = write_all(descriptor, header, header_length) != 0 ||
                 write_all(descriptor, data, count * (size_t)(type[1] - '0')) != 0 ||
                 fchmod(descriptor, wanted_mode(output)) != 0 || flush(descriptor) != 0;
    int reason = errno;
    /* Some file systems report a full disk only here. */
    if (close(descriptor) != 0 && !failed) {
        failed = 1;
        reason = errno;
    }
    return failed ? refuse(output, strerror(reason)) : DONE;
}

int npy_output_commit(npy_output *output) {
    if (!output->temporary)
        return DONE;
    if (rename(output->temporary, output->resolved) != 0)
        return refuse(output, strerror(errno));
    free(output->temporary);
    output->temporary = NULL;
    return DONE;
}

void npy_output_release(npy_output *output) {
    if (output->temporary)
        unlink(output->temporary);
    free(output->temporary);
    free(output->resolved);
    *output = (npy_output){.option = NULL};
}
