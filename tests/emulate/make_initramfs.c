// make_initramfs OUTPUT < LIST
// Writes the guest's files as an archive that the kernel unpacks into memory
// ("newc" cpio). LIST has lines "guest path<TAB>host path"; a host path that is
// a directory makes an empty directory. Own code rather than cpio(1), which
// would want a copy of the tree and root for the device node.
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest_protocol.h"

#define HEADER_BYTES      110
#define CONSOLE_MAJOR     5
#define CONSOLE_MINOR     1
#define PERMISSIONS       0777u
#define LONGEST_NAME      4000 // the kernel's limit is 4095 with the NUL
#define CREATED_DIRECTORY (S_IFDIR | 0755u)

static FILE *archive;
static const char *archive_path;

static void write_padded(const void *data, size_t bytes, size_t already) {
    static const char zeros[4];
    const size_t padding = -(already + bytes) & 3;
    if (fwrite(data, 1, bytes, archive) != bytes ||
        fwrite(zeros, 1, padding, archive) != padding)
        err(STATUS_FAILED, "%s", archive_path);
}

static void add_entry(const char *name, unsigned mode, const void *data, size_t bytes,
                      unsigned device_major, unsigned device_minor) {
    static unsigned inode;
    char header[HEADER_BYTES + 1];
    const size_t name_bytes = strlen(name) + 1;
    if (name_bytes > LONGEST_NAME)
        errx(STATUS_FAILED, "%s: name too long", name);
    if (bytes > INT32_MAX)
        errx(STATUS_FAILED, "%s: too large for the guest", name);
    // inode, mode, owner, group, links, time, size, device (2), node (2), name, checksum
    snprintf(header, sizeof header,
             "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", ++inode, mode, 0u,
             0u, 1u, 0u, (unsigned)bytes, 0u, 0u, device_major, device_minor,
             (unsigned)name_bytes, 0u);
    if (fwrite(header, 1, HEADER_BYTES, archive) != HEADER_BYTES)
        err(STATUS_FAILED, "%s", archive_path);
    write_padded(name, name_bytes, HEADER_BYTES);
    write_padded(data, bytes, 0);
}

static void add_directory_once(const char *name) {
    static char **created;
    static size_t created_count;
    for (size_t i = created_count; i-- > 0;)
        if (strcmp(created[i], name) == 0)
            return;
    created = realloc(created, (created_count + 1) * sizeof *created);
    if (created == NULL || (created[created_count] = strdup(name)) == NULL)
        err(STATUS_FAILED, "memory");
    created_count++;
    add_entry(name, CREATED_DIRECTORY, "", 0, 0, 0);
}

// The kernel makes no missing parents
static void add_parents(char *name) {
    for (char *slash = name; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        add_directory_once(name);
        *slash = '/';
    }
}

static void add_file(const char *name, const char *host, const struct stat *status) {
    const size_t bytes = (size_t)status->st_size;
    const void *data = "";
    const int file = open(host, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        err(STATUS_FAILED, "%s", host);
    if (bytes > 0) {
        data = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, file, 0);
        if (data == MAP_FAILED)
            err(STATUS_FAILED, "%s", host);
    }
    add_entry(name, S_IFREG | (status->st_mode & PERMISSIONS), data, bytes, 0, 0);
    if (bytes > 0)
        munmap((void *)(uintptr_t)data, bytes);
    close(file);
}

static void add_line(char *line) {
    struct stat status;
    char *host = strchr(line, '\t');
    if (host == NULL)
        errx(STATUS_FAILED, "no tab in the list's line: %s", line);
    *host++ = '\0';
    char *name = line + strspn(line, "/");
    if (stat(host, &status) != 0)
        err(STATUS_FAILED, "%s", host);
    add_parents(name);
    if (S_ISREG(status.st_mode))
        add_file(name, host, &status);
    else if (!S_ISDIR(status.st_mode))
        errx(STATUS_FAILED, "%s: neither a file nor a directory", host);
    else if (*name != '\0')
        add_directory_once(name);
}

int main(int argc, char **argv) {
    static const char *const mount_points[] = {"dev", "proc", "sys", "tmp"};
    if (argc != 2)
        errx(STATUS_FAILED, "usage: make_initramfs OUTPUT < LIST");
    archive_path = argv[1];
    archive = fopen(archive_path, "wb");
    if (archive == NULL)
        err(STATUS_FAILED, "%s", archive_path);

    for (size_t i = 0; i < sizeof mount_points / sizeof *mount_points; i++)
        add_directory_once(mount_points[i]);
    add_entry("dev/console", S_IFCHR | 0600, "", 0, CONSOLE_MAJOR, CONSOLE_MINOR);
    char *line = NULL;
    size_t capacity = 0;
    for (ssize_t got; (got = getline(&line, &capacity, stdin)) > 0;) {
        if (line[got - 1] == '\n')
            line[got - 1] = '\0';
        add_line(line);
    }
    free(line);
    if (ferror(stdin))
        err(STATUS_FAILED, "list");
    add_entry("TRAILER!!!", 0, "", 0, 0, 0);
    if (fclose(archive) != 0)
        err(STATUS_FAILED, "%s", archive_path);
    return 0;
}
