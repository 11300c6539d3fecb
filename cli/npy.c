/* Reading .npy files: size check, bytes, byte order, Fortran order. */
#include "npy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* NumPy itself writes less than 65536 bytes for any array of numbers. */
enum { HEADER_MAX = 1 << 20, READ_AT_ONCE = 1 << 30 };

static int refuse(const npy_file *file, const char *reason) {
    return fail(FAILED, "%s %s: %s", file->option, file->path, reason);
}

void *allocate_array(const char *what, int64_t count, size_t size) {
    void *memory = NULL;
    size_t bytes = (size_t)count * size;
    int fits = count == 0 || (bytes / size == (size_t)count && bytes <= PTRDIFF_MAX);
    if (!fits || posix_memalign(&memory, 64, bytes ? bytes : 1) != 0) {
        fail(FAILED, "%s: not enough memory for %" PRId64 " elements of %zu bytes", what, count,
             size);
        return NULL;
    }
    return memory;
}

/* All of the bytes, or an exit code. */
static int read_exactly(npy_file *file, void *memory, int64_t bytes) {
    char *at = memory;
    while (bytes > 0) {
        size_t wanted = bytes < READ_AT_ONCE ? (size_t)bytes : READ_AT_ONCE;
        ssize_t got = read(file->descriptor, at, wanted);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return refuse(file, strerror(errno));
        if (got == 0)
            return refuse(file, "truncated: it ends before its data does");
        at += got;
        bytes -= got;
    }
    return DONE;
}

/* Reads the preamble and the header; *offset becomes the place of the first element. */
static int read_header(npy_file *file, int64_t *offset) {
    unsigned char start[12];
    int code = read_exactly(file, start, 10);
    if (code != DONE)
        return code;
    if (memcmp(start, "PK\3\4", 4) == 0)
        return refuse(file, "is an .npz archive; save the one array with numpy.save");
    if (memcmp(start, "\x93NUMPY", 6) != 0)
        return refuse(file, "is not a .npy file; write it with numpy.save");
    if (start[6] < 1 || start[6] > 3 || start[7] != 0)
        return fail(FAILED, "%s %s: is of .npy version %d.%d; 1.0, 2.0 and 3.0 are known",
                    file->option, file->path, start[6], start[7]);
    *offset = 10;
    size_t length = start[8] | (size_t)start[9] << 8;
    if (start[6] > 1) {
        code = read_exactly(file, start + 10, 2);
        if (code != DONE)
            return code;
        *offset = 12;
        length |= (size_t)start[10] << 16 | (size_t)start[11] << 24;
    }
    if (length > HEADER_MAX)
        return refuse(file, "its header is longer than that of any array of numbers");
    *offset += (int64_t)length;

    char *text = malloc(length + 1), reason[160];
    if (!text)
        return refuse(file, "not enough memory");
    code = read_exactly(file, text, (int64_t)length);
    if (code == DONE) {
        const char *wrong = npy_parse_header(&file->header, text, length, reason);
        if (wrong)
            code = refuse(file, wrong);
    }
    free(text);
    return code;
}

int npy_open(npy_file *file, const char *option, const char *path) {
    struct stat status;
    int64_t offset = 0;
    *file = (npy_file){.option = option, .path = path, .descriptor = -1};
    /* Without blocking: a pipe that nobody writes to would hang here, before it is refused. */
    file->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->descriptor < 0 || fstat(file->descriptor, &status) != 0)
        return refuse(file, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return refuse(file, "is not a regular file");
    file->device = status.st_dev;
    file->inode = status.st_ino;
    int code = read_header(file, &offset);
    if (code != DONE)
        return code;
    int64_t announced = file->header.count * file->header.item_size;
    int64_t present = (int64_t)status.st_size - offset;
    char type[16], shape[160];
    if (present != announced)
        return fail(FAILED,
                    "%s %s: %s: its header (%s, %s) announces %" PRId64
                    " bytes of data, the file has %" PRId64,
                    option, path, present < announced ? "truncated" : "oversized",
                    npy_type_name(&file->header, type),
                    npy_shape_text(file->header.shape, file->header.dimensions, shape),
                    announced, present);
    return DONE;
}

static void swap_bytes(unsigned char *data, int64_t count, int size) {
    for (int64_t i = 0; i < count; i++, data += size)
        for (int low = 0, high = size - 1; low < high; low++, high--) {
            unsigned char kept = data[low];
            data[low] = data[high];
            data[high] = kept;
        }
}

/* Copies from Fortran into C order, walking the result in order and the source by its strides.
 */
static void reorder(char *to, const char *from, const npy_header *header) {
    int64_t index[NPY_DIMENSIONS_MAX] = {0}, stride[NPY_DIMENSIONS_MAX], place = 0;
    size_t size = (size_t)header->item_size;
    for (int i = 0; i < header->dimensions; i++)
        stride[i] = i == 0 ? (int64_t)size : stride[i - 1] * header->shape[i - 1];
    for (int64_t i = 0; i < header->count; i++, to += size) {
        memcpy(to, from + place, size);
        for (int d = header->dimensions - 1; d >= 0; d--) {
            place += stride[d];
            if (++index[d] < header->shape[d])
                break;
            place -= stride[d] * header->shape[d];
            index[d] = 0;
        }
    }
}

int npy_load(npy_file *file) {
    const npy_header *header = &file->header;
    size_t size = (size_t)header->item_size;
    file->data = allocate_array(file->option, header->count, size);
    if (!file->data)
        return FAILED;
    int code = read_exactly(file, file->data, header->count * header->item_size);
    if (code != DONE)
        return code;
    if (header->swapped)
        swap_bytes(file->data, header->count, header->item_size);
    if (header->fortran && header->dimensions > 1) {
        void *ordered = allocate_array(file->option, header->count, size);
        if (!ordered)
            return FAILED;
        reorder(ordered, file->data, header);
        free(file->data);
        file->data = ordered;
    }
    return DONE;
}

void npy_close(npy_file *file) {
    if (file->path && file->descriptor >= 0)
        close(file->descriptor);
    free(file->data);
    *file = (npy_file){.descriptor = -1};
}
