/* A counter for each name of a list, for the price of those that are asked for.
 *
 * Most listed names are dead: nobody ever asks for them. Counters of a long list are pages that the
 * system provides when they are first touched. Four octets count the hits; what a counter carries
 * over, once in four billion hits, has a counter of its own, whose page is touched only then.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct hit_counters {
    _Atomic(uint32_t) *low;
    _Atomic(uint32_t) *high;
    size_t mapped; /* octets; 0: they are on the heap */
};

/* All zero. Returns 0 or -ENOMEM. */
_must_check_ int hit_counters_init(struct hit_counters *counters, size_t count);
void hit_counters_clear(struct hit_counters *counters);

/* Any thread. */
static inline void hit_counters_add(const struct hit_counters *counters, size_t index)
{
    if (atomic_fetch_add_explicit(&counters->low[index], 1, memory_order_relaxed) == UINT32_MAX)
        atomic_fetch_add_explicit(&counters->high[index], 1, memory_order_relaxed);
}

/* Any thread. In the instant of a carry the number lacks it. */
static inline uint64_t hit_counters_read(const struct hit_counters *counters, size_t index)
{
    return (uint64_t)atomic_load_explicit(&counters->high[index], memory_order_relaxed) << 32 |
           atomic_load_explicit(&counters->low[index], memory_order_relaxed);
}
