/* Arrays in NumPy's .npy format (versions 1.0, 2.0 and 3.0). */
#ifndef FOCAL_CLI_NPY_H
#define FOCAL_CLI_NPY_H

#include "command.h"
#include "output.h"

#include <sys/types.h>

enum { NPY_DIMENSIONS_MAX = 32 };

typedef struct npy_header {
    char kind;     /* 'f' float, 'i' signed, 'u' unsigned integer, 'b' bool */
    int item_size; /* bytes per element: 1, 2, 4, 8 */
    int swapped;   /* bytes in the order this machine does not use */
    int fortran;   /* the first index varies fastest */
    int dimensions;
    int64_t shape[NPY_DIMENSIONS_MAX];
    int64_t count; /* product of the shape */
} npy_header;

/* Understands the header's text (a Python dict literal) of `length` bytes, which may hold any
 * bytes at all. Returns NULL, or what is wrong with it in static storage or in `reason`. */
const char *npy_parse_header(npy_header *header, const char *text, size_t length,
                             char reason[160]);

typedef struct npy_file {
    const char *option; /* "--logits": for messages */
    const char *path;
    npy_header header;
    int descriptor;
    dev_t device;
    ino_t inode;
    void *data; /* C order, this machine's byte order; NULL until npy_load */
} npy_file;

/* Opens a regular file and reads its header; checks that what follows has exactly the size that
 * the header announces. Returns an exit code; npy_close is due either way. */
int npy_open(npy_file *file, const char *option, const char *path);

/* Reads the elements. The memory begins on a 64-byte boundary and is never NULL on success. */
int npy_load(npy_file *file);

/* Releases the data too. A file of zeros may be closed. */
void npy_close(npy_file *file);

/* `count` elements of `size` bytes on a 64-byte boundary, not NULL for zero elements. Release
 * with free. Says so and returns NULL if there is no memory; `what` names the array. */
void *allocate_array(const char *what, int64_t count, size_t size);

/* "f32", "i64", "u8", "bool" */
const char *npy_type_name(const npy_header *header, char text[16]);

/* "899 x 10" */
const char *npy_shape_text(const int64_t *shape, int dimensions, char text[160]);

/* Writes elements in C order, of this machine's byte order and of a type such as "f4", to the
 * temporary of an output; nothing if it is none. */
int npy_write(output_file *output, const void *data, const char *type, const int64_t *shape,
              int dimensions);

#endif
