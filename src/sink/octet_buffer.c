#include "sink/octet_buffer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A request of a bot, or a check-in. */
#define CAPACITY_MIN 256

int octet_buffer_add(struct octet_buffer *buffer, const void *octets, size_t size)
{
    if (size == 0)
        return 0;
    if (size > buffer->capacity - buffer->size) {
        size_t capacity = buffer->capacity > 0 ? buffer->capacity : CAPACITY_MIN;
        while (capacity - buffer->size < size)
            capacity *= 2;
        uint8_t *grown = realloc(buffer->octets, capacity);
        if (grown == NULL)
            return -ENOMEM;
        buffer->octets = grown;
        buffer->capacity = capacity;
    }
    memcpy(buffer->octets + buffer->size, octets, size);
    buffer->size += size;
    return 0;
}

int octet_buffer_add_text(struct octet_buffer *buffer, const char *text)
{
    return octet_buffer_add(buffer, text, strlen(text));
}

void octet_buffer_drop(struct octet_buffer *buffer, size_t size)
{
    assert(size <= buffer->size);
    buffer->size -= size;
    if (buffer->size == 0)
        octet_buffer_clear(buffer);
    else if (size > 0)
        memmove(buffer->octets, buffer->octets + size, buffer->size);
}

void octet_buffer_clear(struct octet_buffer *buffer)
{
    free(buffer->octets);
    *buffer = (struct octet_buffer){0};
}
