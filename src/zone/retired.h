/* Entries that an edit has taken out of a zone, until nobody can read them: no query thread, once a
 * grace period has passed, and no view that was opened before.
 *
 * Nothing here waits. Entries are gathered while the grace period of earlier ones runs; when that
 * is over, seen at a later commit, theirs begins. Only for who may edit the zone. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "zone/name_table.h"

struct arena;
struct grace_period;
struct retired_batch;

/* All zero is empty. */
struct retired {
    struct retired_batch *gathering; /* NULL: nothing yet */
    struct retired_batch *waiting;   /* for `grace` */
    struct grace_period *grace;
    struct retired_batch *passed, *passed_last; /* oldest first; only views may need them */
};

/* Forgets all; their memory is the arena's. */
void retired_clear(struct retired *retired);

/* Makes room for `count` more. Returns 0 or -ENOMEM. */
_must_check_ int retired_reserve(struct retired *retired, size_t count);

/* Takes an entry of `size` octets that commit number `commit` has replaced; there must be room. */
void retired_add(struct retired *retired, const struct name_entry *entry, size_t size,
                 uint64_t commit);

/* Gives the arena what nobody needs any more. The views that are open were opened behind commit
 * number `oldest_view` or later; UINT64_MAX: there is none. */
void retired_advance(struct retired *retired, uint64_t oldest_view, struct arena *arena);
