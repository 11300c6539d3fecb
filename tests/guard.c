#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "guard.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Canaries reach this far: twice the longest step, 32 floats. */
enum { WINDOW = 256, MIDDLE = 1024, OFFSET_LIMIT = 4096 };

static guard_buffer *buffers;

bool guard_create(guard_buffer *buffer, const char *name, unsigned char canary,
                  size_t capacity) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (capacity + MIDDLE + OFFSET_LIMIT + WINDOW + page - 1) / page * page;
    size_t fence = (65536 + page - 1) / page * page;
    void *mapping = mmap(NULL, room + 2 * fence, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED)
        return false;
    unsigned char *pages = (unsigned char *)mapping + fence;
    if (mprotect(pages, room, PROT_READ | PROT_WRITE) != 0) {
        munmap(mapping, room + 2 * fence);
        return false;
    }
    *buffer = (guard_buffer){
        .name = name,
        .canary = canary,
        .mapping = mapping,
        .mapping_size = room + 2 * fence,
        .pages = pages,
        .pages_size = room,
        .data = pages,
        .next = buffers,
    };
    buffers = buffer;
    return true;
}

void guard_destroy(guard_buffer *buffer) {
    for (guard_buffer **link = &buffers; *link; link = &(*link)->next)
        if (*link == buffer) {
            *link = buffer->next;
            munmap(buffer->mapping, buffer->mapping_size);
            return;
        }
}

static unsigned char *window_start(const guard_buffer *buffer) {
    size_t before = (size_t)(buffer->data - buffer->pages);
    return buffer->data - (before < WINDOW ? before : WINDOW);
}

static unsigned char *window_end(const guard_buffer *buffer) {
    unsigned char *end = buffer->data + buffer->data_size;
    size_t after = (size_t)(buffer->pages + buffer->pages_size - end);
    return end + (after < WINDOW ? after : WINDOW);
}

void *guard_put(guard_buffer *buffer, guard_place place, size_t size, size_t offset) {
    buffer->data_size = size;
    switch (place) {
    case GUARD_END:
        buffer->data = buffer->pages + buffer->pages_size - size;
        break;
    case GUARD_START:
        buffer->data = buffer->pages;
        break;
    case GUARD_MIDDLE:
        buffer->data = buffer->pages + MIDDLE + offset;
        break;
    }
    unsigned char *start = window_start(buffer);
    memset(start, buffer->canary, (size_t)(window_end(buffer) - start));
    return buffer->data;
}

/* The first byte is right, and each equals the one before. */
bool guard_intact(const guard_buffer *buffer, const unsigned char *start,
                  const unsigned char *end) {
    return start == end || (*start == buffer->canary &&
                            memcmp(start, start + 1, (size_t)(end - start) - 1) == 0);
}

ptrdiff_t guard_disturbance(const guard_buffer *buffer) {
    const unsigned char *data_end = buffer->data + buffer->data_size;
    const unsigned char *start = window_start(buffer), *end = window_end(buffer);
    if (!guard_intact(buffer, data_end, end))
        for (const unsigned char *p = data_end; p < end; p++)
            if (*p != buffer->canary)
                return p - data_end + 1;
    if (!guard_intact(buffer, start, buffer->data))
        for (const unsigned char *p = buffer->data; p > start; p--)
            if (p[-1] != buffer->canary)
                return p - 1 - buffer->data;
    return 0;
}

const guard_buffer *guard_find(const void *address, ptrdiff_t *distance) {
    uintptr_t wanted = (uintptr_t)address;
    for (const guard_buffer *b = buffers; b; b = b->next) {
        uintptr_t start = (uintptr_t)b->mapping;
        if (wanted < start || wanted - start >= b->mapping_size)
            continue;
        uintptr_t data = (uintptr_t)b->data, end = data + b->data_size;
        if (wanted < data)
            *distance = -(ptrdiff_t)(data - wanted);
        else
            *distance = wanted < end ? 0 : (ptrdiff_t)(wanted - end) + 1;
        return b;
    }
    return NULL;
}

const char *guard_place_text(guard_place place) {
    switch (place) {
    case GUARD_END:
        return "flush to the end";
    case GUARD_START:
        return "flush to the start";
    case GUARD_MIDDLE:
        break;
    }
    return "at an offset";
}
