/* Times as RFC 3339 writes them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/* Size of "2014-06-30T12:00:00Z" with its NUL. */
#define TIMESTAMP_SIZE 21

/* Parses "2014-06-30T12:00:00Z" or with an offset ("+02:00") and with fractions of a second, which
 * are dropped. Years 1970 to 9999. Returns 0 with Unix seconds in `ret_time`, or -EINVAL. */
_must_check_ int timestamp_parse(const char *text, int64_t *ret_time);

/* Writes the UTC form; returns `ret_text`. */
const char *timestamp_write(int64_t time, char ret_text[TIMESTAMP_SIZE]);
