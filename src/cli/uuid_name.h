/* UUIDs made of a name, the same for the same name: version 5 of RFC 9562, section 5.5. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* "4a0e1c6c-0000-5000-8000-000000000000" and NUL. */
#define UUID_TEXT_SIZE 37

struct uuid {
    uint8_t octets[16];
};

struct uuid uuid_of_name(const struct uuid *space, const void *name, size_t size);
const char *uuid_text(const struct uuid *uuid, char ret_text[UUID_TEXT_SIZE]);
