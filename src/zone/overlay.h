/* What the answer path asks about a marked name: the verdict of the orders in force.
 *
 * The zone module defines what it can be told; the order module implements it. The overlay is a
 * generation: published by pointer, read under RCU.
 */
#pragma once

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dns/name.h"

enum verdict_action {
    VERDICT_SINKHOLE, /* A and AAAA get the given addresses, every other type NODATA */
    VERDICT_NXDOMAIN,
    VERDICT_NODATA,
    VERDICT_REFUSE,
    VERDICT_OBSERVE, /* counted, changes nothing */

    /* Only policy zones say these; an order's file does not. */
    VERDICT_DROP,     /* no answer at all */
    VERDICT_TCP_ONLY, /* over UDP an empty, truncated answer; over TCP nothing changes */
};

#define VERDICT_ADDRESSES_MAX \
    8 /* of each family: more would not fit a plain UDP answer beside the EDE */
#define VERDICT_TEXT_MAX 200 /* EXTRA-TEXT octets, so that answer and text stay far below 512 */

/* What an order says about its names: one value per order, shared by all of them. Immutable. */
struct verdict {
    enum verdict_action action;
    uint16_t ede_code; /* RFC 8914: 16 Censored for a court's order, 15 Blocked for others */
    uint32_t ttl_s;    /* of every record that the verdict makes, the negative SOA included */
    uint8_t a_count, aaaa_count;
    uint8_t a[VERDICT_ADDRESSES_MAX][4]; /* network order */
    uint8_t aaaa[VERDICT_ADDRESSES_MAX][16];
    uint16_t text_size;
    char text[VERDICT_TEXT_MAX]; /* "<order id> <notice URL>" as UTF-8, not terminated */
    int64_t starts, ends;        /* Unix seconds; in force while starts <= now < ends */
};

struct overlay_hit {
    const struct verdict *verdict; /* NULL: no order in force lists the name */
    bool by_subtree; /* the order blocks the whole subtree: it also covers cuts, wildcards and the
                        apex */
};

/* In the place of a worker: look without counting, for names that nobody asked about. */
#define OVERLAY_UNCOUNTED UINT_MAX

/* Turns of prefetching: an index, and three times what the one before points to. */
#define OVERLAY_STEPS 4

struct overlay {
    bool has_subtrees; /* then every name is asked about, not only marked ones */
    /* Finds the verdict in force for `name` at `now` (Unix seconds) and counts the hit (relaxed
     * atomics, no lock). `is_cut_or_apex` names are never blocked by a listed name, only by a
     * subtree. `worker` indexes counters, or is OVERLAY_UNCOUNTED. Observing orders are counted
     * and not returned. */
    struct overlay_hit (*find)(const struct overlay *overlay, const struct name *name,
                               bool is_cut_or_apex, int64_t now, unsigned worker);
    /* Asks the memory for what find() will look at for a marked name. Each step, from 0 to
     * OVERLAY_STEPS - 1, takes what the one before has brought. NULL: nothing is gained by it. */
    void (*prefetch)(const struct overlay *overlay, const struct name *name, unsigned step);
};
