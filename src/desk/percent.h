/* Percent-encoding (RFC 3986, 2.1) of paths and queries. */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"

/* Decodes `size` octets into `ret_text` with a NUL behind; '+' is a blank in queries, which a
 * caller has replaced already. -EINVAL: a wrong escape, a control character, no UTF-8, or no room.
 */
_must_check_ int percent_decode(const char *text, size_t size, char *ret_text, size_t room);
