/* Buffers between inaccessible pages. Data is placed flush against the end (an access past it
 * faults at once), flush against the start, or in between at any alignment, with canary bytes on
 * both sides. */
#ifndef FOCAL_TESTS_GUARD_H
#define FOCAL_TESTS_GUARD_H

#include <stdbool.h>
#include <stddef.h>

typedef enum { GUARD_MIDDLE, GUARD_END, GUARD_START } guard_place;

typedef struct guard_buffer {
    const char *name;
    unsigned char canary; /* the byte around the data, and in outputs before they are written */
    unsigned char *mapping;
    size_t mapping_size;
    unsigned char *pages; /* the accessible ones */
    size_t pages_size;
    unsigned char *data; /* where guard_put placed it last */
    size_t data_size;
    struct guard_buffer *next;
} guard_buffer;

/* Room for `capacity` bytes at any place; false when the system refuses. */
bool guard_create(guard_buffer *buffer, const char *name, unsigned char canary,
                  size_t capacity);
void guard_destroy(guard_buffer *buffer);

/* Chooses the place of `size` bytes, fills them and their surroundings with canaries, and returns
 * the address. `offset` (bytes, below 4096) is used in the middle only. */
void *guard_put(guard_buffer *buffer, guard_place place, size_t size, size_t offset);

/* How far outside the data something was written: the distance of the nearest changed byte from
 * the data, negative before it, positive past it (1 is the first byte), 0 if all are intact. */
ptrdiff_t guard_disturbance(const guard_buffer *buffer);

/* Whether all bytes from start to end are the buffer's canary. */
bool guard_intact(const guard_buffer *buffer, const unsigned char *start,
                  const unsigned char *end);

/* The living buffer near whose data an address lies, or NULL; the distance as above, 0 inside. */
const guard_buffer *guard_find(const void *address, ptrdiff_t *distance);

const char *guard_place_text(guard_place place);

#endif
