/* Puts a signature into the text of an order's file and changes nothing else: comments, order and
 * spacing stay as their author wrote them. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "order/signing_key.h"

/* Makes the text of `path` (of `size` octets) with a signature by `key` in its `signatures` list: a
 * new entry, or a new value of the entry that has this key. The text must be an order that loads.
 * Returns 0 with a text that the caller frees, -ENOTSUP where the list is written in a way that
 * cannot be edited safely, or -ENOMEM. */
_must_check_ int signature_edit(const char *path, const char *text, size_t size,
                                const struct signing_key *key, const uint8_t *value,
                                char **ret_text, size_t *ret_size, struct error *ret_error);
