/* The inside of an active order, shared by what counts and asks one (active_order.c), what merges
 * the indexes of many (order_join.c) and what asks all (overlay_set.c). */
#pragma once

#include <stdatomic.h>

#include "order/canonical.h"
#include "order/hit_counters.h"
#include "order/name_index.h"
#include "order/overlay_set.h"

/* One worker's counter of an order: alone on its cache line, so that workers don't share lines for
 * the count that every hit makes. */
struct worker_hits {
    _Alignas(64) atomic_uint_fast64_t hits;
};

/* A list of an order: names to be asked for by hash, and a counter each. */
struct active_list {
    struct packed_names names;
    struct hit_counters hits;
    struct name_index *index; /* NULL: the list is empty. Of other orders' names as well: the writer
                                 puts another in its place. */
    uint32_t number;          /* of this list in `index` */
};

struct active_order {
    struct order *order;
    struct active_list names, subtrees, exempt;
    unsigned workers;
    struct worker_hits *worker_hits;
    atomic_uint references;
    uint8_t fingerprint[FINGERPRINT_SIZE];
};

/* A name whose key is written when it is first needed: most probes end before. */
struct asked_name {
    const struct name *name;
    size_t label; /* the suffix that begins here */
    bool has_key;
    struct packed_key key;
};

static inline void asked_name_init(struct asked_name *asked, const struct name *name, size_t label)
{
    asked->name = name;
    asked->label = label;
    asked->has_key = false;
}

static inline uint64_t asked_name_hash(const struct asked_name *asked)
{
    return asked->name->hashes[asked->label];
}

/* Looks at a place of a probe; SIZE_MAX: the name is not there. */
size_t asked_name_look(struct asked_name *asked, const struct name_index *index,
                       const struct name_place *place);

/* The subtree that `name` is in: the name itself or the nearest of its ancestors that is listed. */
size_t active_order_find_subtree(const struct active_order *active, const struct name *name);

/* Whether the order carves the name out. */
bool active_order_exempts(const struct active_order *active, const struct name *name);

/* Counts a hit of `worker`. */
void active_order_count(const struct active_order *active, const struct order_listing *listing,
                        unsigned worker);
