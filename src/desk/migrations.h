/* The database's tables, made by numbered steps (migrations/NNNN_name.sql, embedded by the build).
 */
#pragma once

#include <stddef.h>

#include "desk/store.h"

struct migration {
    unsigned number;  /* of its file's name; applied in this order */
    const char *name; /* the rest of its file's name */
    const char *sql;  /* statements that both databases take */
};

/* Ordered by number; made by the build from the files. */
extern const struct migration migrations[];
extern const size_t migration_count;

/* Applies what is missing, each step in a transaction of its own together with the note that it was
 * applied: a crash leaves whole steps. `ret_applied` (or NULL) gets their number. A database that
 * has a step which this program does not know is refused (-ENOTSUP): it belongs to a newer one. The
 * caller holds the lock. */
_must_check_ int migrations_apply(struct store *store, size_t *ret_applied,
                                  struct error *ret_error);

/* 0 when nothing is missing; -ENODATA when something is; -ENOTSUP for a newer database. */
_must_check_ int migrations_check(struct store *store, struct error *ret_error);
