/* Hostnames as people write them in lists, to and from wire form. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/* Longest text of a name: 255 octets, each written as \DDD, and a final NUL. */
#define NAME_TEXT_MAX 1024

/* Why a text is no name that an order may list: both static; `detail` may be NULL. */
struct name_fault {
    const char *reason;
    const char *detail;
};

/* Parses the `size` octets at `text`: a hostname with or without a final dot, in any letter case,
 * with `\DDD` and `\X` escapes (RFC 1035, 5.1). A text with octets above 127 is UTF-8 and converted
 * by IDNA2008 with UTS #46 non-transitional mapping; other texts are taken as they are, underscores
 * included. The root and wildcards are refused: an order lists neither.
 *
 * `ret_wire` has room for NAME_SIZE_MAX octets and gets the lower-case wire form. Returns 0 with
 * `ret_size` set, -EINVAL with `ret_fault` set, or -ENOMEM. */
_must_check_ int name_text_parse(const char *text, size_t size, uint8_t *ret_wire, size_t *ret_size,
                                 struct name_fault *ret_fault);

/* Writes a wire-form name without its final dot: letters, digits, '-', '_' and '*' stand for
 * themselves, any other octet becomes `\DDD`. `ret_text` has room for NAME_TEXT_MAX octets. Returns
 * the text's length; a NUL follows. */
size_t name_text_write(const uint8_t *wire, char *ret_text);
