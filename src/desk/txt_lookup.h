/* Asking a resolver for TXT records, as the proof that somebody controls a name. */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/config_address.h"
#include "base/error.h"

/* Whether `owner` (a domain name as text) has a TXT record of exactly `value`. By TCP, where nobody
 * off the path can put in an answer of his own; waits some seconds at most. -EIO: the resolver does
 * not answer; -EINVAL: `owner` is no name. Any thread. */
_must_check_ int txt_lookup(const struct config_address *resolver, const char *owner,
                            const char *value, bool *ret_found, struct error *ret_error);
