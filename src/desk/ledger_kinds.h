/* What may stand in the ledger: the kinds of entries, and of each the members of its content.
 *
 * Nobody can take back what an append-only log has told, so nothing personal may get there: no
 * address, no account, nothing that a customer or a reporter typed. A kind that is not in the table
 * is refused, and so is a member that its kind does not have. Values are codes, ids, numbers, times
 * and hashes; of hostnames only those that are blocked, which is public; of texts only lines that
 * staff wrote to be published. A new kind is a line in ledger_kinds.c.
 */
#pragma once

#include <jansson.h>

#include "base/cleanup.h"
#include "base/error.h"

/* Of an entry's content as text: what is larger belongs elsewhere, with its hash here. */
#define LEDGER_CONTENT_MAX 49152

/* 0, or -EINVAL with what is wrong: an error of the program, never of who uses it. `subject` may be
 * NULL. */
_must_check_ int ledger_kind_check(const char *kind, const char *subject, const json_t *content,
                                   struct error *ret_error);
