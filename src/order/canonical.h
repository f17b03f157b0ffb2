/* The canonical form of an order: the text that is signed. Defined in tamis-order(5). */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"
#include "order/order.h"

/* Writes the form into a new text, which the caller frees. The lists enter as count and SHA-256, so
 * that it stays short; its cost is one pass over the names. */
_must_check_ int canonical_write(const struct order *order, char **ret_text, size_t *ret_size);

#define FINGERPRINT_SIZE 32

/* Tells orders apart as the canonical form does, some times faster: two have one fingerprint when
 * they say the same. It is no part of any file, so that it may change. Returns 0 or -ENOMEM. */
_must_check_ int canonical_fingerprint(const struct order *order,
                                       uint8_t ret_fingerprint[FINGERPRINT_SIZE]);
