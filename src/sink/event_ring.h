/* A ring between one thread that puts events and the one that writes them: bounded, without a lock.
 * Private to the event log. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sink/event.h"

/* A power of two. A thread that puts 50,000 events a second fills it in 330 ms, which is longer
 * than a healthy disk takes to sync; it takes some 10 MiB. */
#define RING_EVENTS 16384

struct event_ring {
    _Alignas(64) _Atomic uint64_t put_count;   /* changed by who puts */
    _Atomic uint64_t dropped;                  /* likewise */
    uint64_t taken_seen;                       /* likewise: a taken_count that was true once */
    _Alignas(64) _Atomic uint64_t taken_count; /* changed by who takes */
    struct sink_event *events;                 /* RING_EVENTS of them */
};

static inline bool event_ring_put(struct event_ring *ring, const struct sink_event *event)
{
    const uint64_t number = atomic_load_explicit(&ring->put_count, memory_order_relaxed);
    if (number - ring->taken_seen == RING_EVENTS) {
        ring->taken_seen = atomic_load_explicit(&ring->taken_count, memory_order_acquire);
        if (number - ring->taken_seen == RING_EVENTS) {
            atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
            return false;
        }
    }
    ring->events[number % RING_EVENTS] = *event;
    atomic_store_explicit(&ring->put_count, number + 1, memory_order_release);
    return true;
}

/* The oldest event, or NULL; it stays until event_ring_drop_first(). */
static inline const struct sink_event *event_ring_first(const struct event_ring *ring)
{
    const uint64_t number = atomic_load_explicit(&ring->taken_count, memory_order_relaxed);
    if (number == atomic_load_explicit(&ring->put_count, memory_order_acquire))
        return NULL;
    return &ring->events[number % RING_EVENTS];
}

static inline void event_ring_drop_first(struct event_ring *ring)
{
    const uint64_t number = atomic_load_explicit(&ring->taken_count, memory_order_relaxed);
    atomic_store_explicit(&ring->taken_count, number + 1, memory_order_release);
}
