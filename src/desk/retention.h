/* What is deleted when its time is over: the one list of how long the desk keeps what, and the job
 * that enforces it. doc/privacy.md says the same for people.
 *
 * A part that keeps something about people adds a rule to the list in retention.c: its key of the
 * section `retention`, and the statement that deletes or erases the oldest of what is due. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/desk_config.h"
#include "desk/store.h"

struct desk;

/* Rows that one transaction deletes: it stays short whatever has piled up. */
#define RETENTION_BATCH 1000

struct retention_rule {
    const char *name; /* in the audit trail, and the key's name without "-days" */
    size_t days;      /* offset of the number in struct desk_config_retention; 0 days: for ever */
    int64_t unit;     /* of the column: 1 for seconds, 1000 for milliseconds */
    /* $1: what is older goes; $2: at most so many. */
    const char *sql;
};

extern const struct retention_rule retention_rules[];
extern const size_t retention_rule_count;

/* The job: all rules, each as often as it finds something. */
_must_check_ int retention_run(struct desk *desk, struct store *store, int64_t now_s,
                               struct error *ret_error);
