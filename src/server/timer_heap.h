/* Timers in order of their time: a binary heap of timers that live inside what they are about.
 *
 * Setting and clearing cost O(log n) and no allocation; the caller holds the lock that guards it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct timer {
    int64_t due_ms;
    size_t place; /* in the heap, from 1; 0: not set */
    void *owner;  /* whose it is: for who takes it when it is due */
};

struct timer_heap {
    struct timer **timers;
    size_t count, max;
};

/* Makes room for `max` timers. */
_must_check_ int timer_heap_init(struct timer_heap *heap, size_t max);
void timer_heap_clear(struct timer_heap *heap);

/* Sets a timer, or moves it when it is set. */
void timer_set(struct timer_heap *heap, struct timer *timer, int64_t due_ms);

/* Takes a timer out; fine when it is not set. */
void timer_unset(struct timer_heap *heap, struct timer *timer);

/* The earliest timer, NULL when none is set. */
struct timer *timer_heap_first(const struct timer_heap *heap);
