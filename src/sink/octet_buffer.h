/* A run of octets that grows. A zeroed one is empty and holds no memory. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct octet_buffer {
    uint8_t *octets;
    size_t size, capacity;
};

/* Appends; -ENOMEM leaves the buffer as it was. */
_must_check_ int octet_buffer_add(struct octet_buffer *buffer, const void *octets, size_t size);
_must_check_ int octet_buffer_add_text(struct octet_buffer *buffer, const char *text);

/* Removes octets from the front; who removes the last gives the memory back. */
void octet_buffer_drop(struct octet_buffer *buffer, size_t size);
void octet_buffer_clear(struct octet_buffer *buffer);
