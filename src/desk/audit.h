/* The audit trail: a row for every change, written in the transaction of the change. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/principal.h"
#include "desk/store.h"

struct audit_entry {
    int64_t now_ms;
    const struct principal *who; /* NULL: the desk itself, as a job */
    const char *client;          /* address as text, or NULL */
    const char *action;          /* "host.create": noun and verb */
    const char *object;          /* id or name of what changed, or NULL */
    const json_t *detail;        /* what changed, without secrets; borrowed; NULL: nothing to add */
};

/* Must be called in a transaction. */
_must_check_ int audit_write(struct store *store, const struct audit_entry *entry,
                             struct error *ret_error);
