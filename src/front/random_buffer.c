#include "front/random_buffer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void random_take(struct random_buffer *buffer, void *ret_octets, size_t size)
{
    assert(size <= RANDOM_BUFFER_SIZE);
    if (buffer->left < size) {
        ssize_t count;
        do
            count = getrandom(buffer->octets, RANDOM_BUFFER_SIZE, 0);
        while (count < 0 && errno == EINTR);
        if (count != RANDOM_BUFFER_SIZE)
            abort();
        buffer->left = RANDOM_BUFFER_SIZE;
    }
    uint8_t *at = buffer->octets + RANDOM_BUFFER_SIZE - buffer->left;
    memcpy(ret_octets, at, size);
    explicit_bzero(at, size);
    buffer->left -= size;
}

uint16_t random_u16(struct random_buffer *buffer)
{
    uint16_t value;
    random_take(buffer, &value, sizeof(value));
    return value;
}
