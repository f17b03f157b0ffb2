/* How many answers each zone gave, and of what kind: one increment an answer.
 *
 * Every thread that answers has counters of its own, so that no two write to a cache line. They are
 * pages that the system provides when they are first touched: 32 octets for each zone that a thread
 * answers for. A zone is known by its index; those that find none left share index 0, which nobody
 * reads.
 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"

/* The kinds exclude each other. SERVFAIL and NXDOMAIN have the values of their RCODEs. */
enum zone_count_kind {
    ZONE_COUNT_OTHER,
    ZONE_COUNT_LISTED, /* an order decided, whatever the RCODE is */
    ZONE_COUNT_SERVFAIL,
    ZONE_COUNT_NXDOMAIN,
    ZONE_COUNT_KINDS
};

struct zone_counts {
    uint64_t answers[ZONE_COUNT_KINDS];
};

struct zone_counters;

/* For `threads` writers, and `zones_max` zones beside those that share index 0. Returns 0 or
 * -ENOMEM. */
_must_check_ int zone_counters_create(unsigned threads, unsigned zones_max,
                                      struct zone_counters **ret_counters);
void zone_counters_free(struct zone_counters *counters);

/* The counters of one thread, by index; only that thread writes them. They live as long as all. */
struct zone_counts *zone_counters_of(const struct zone_counters *counters, unsigned thread);

/* An index with all counters 0, or 0 when none is left; and back, when no thread can use it any
 * more. Any thread but a writer. */
uint32_t zone_counters_take(struct zone_counters *counters);
void zone_counters_give_back(struct zone_counters *counters, uint32_t index);

/* Sums over all threads. Any thread. */
struct zone_counts zone_counters_read(const struct zone_counters *counters, uint32_t index);

/* All kinds together. */
static inline uint64_t zone_counts_total(const struct zone_counts *counts)
{
    return counts->answers[ZONE_COUNT_OTHER] + counts->answers[ZONE_COUNT_LISTED] +
           counts->answers[ZONE_COUNT_SERVFAIL] + counts->answers[ZONE_COUNT_NXDOMAIN];
}

/* One writer, any reader: no torn values, no order. */
static inline void zone_counts_add(struct zone_counts *counts, enum zone_count_kind kind)
{
    __atomic_store_n(&counts->answers[kind], counts->answers[kind] + 1, __ATOMIC_RELAXED);
}
