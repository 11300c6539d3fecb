/* Writing .npy files. */
#include "npy.h"

#include <inttypes.h>
#include <string.h>

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

int npy_write(output_file *output, const void *data, const char *type, const int64_t *shape,
              int dimensions) {
    size_t count = 1;
    for (int i = 0; i < dimensions; i++)
        count *= (size_t)shape[i];
    char header[1024];
    size_t header_length = make_header(header, type, shape, dimensions);
    int code = output_begin(output);
    if (code != DONE || !output->stream)
        return code;
    /* After a write that failed, errno says why until output_end, which asks for errors first. */
    if (fwrite(header, 1, header_length, output->stream) == header_length)
        fwrite(data, (size_t)(type[1] - '0'), count, output->stream);
    return output_end(output);
}
