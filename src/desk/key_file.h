/* A file with a secret key of 32 octets, as 64 hexadecimal digits. Any thread. */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

#define KEY_FILE_OCTETS 32

/* Makes a new one by chance, mode 0600; a file that is there is an error. */
_must_check_ int key_file_make(const char *path, struct error *ret_error);

/* Reads it; refuses one that every user of the system may read. `what` is "key of deconfliction".
 */
_must_check_ int key_file_read(const char *path, const char *what,
                               uint8_t ret_octets[static KEY_FILE_OCTETS], struct error *ret_error);
