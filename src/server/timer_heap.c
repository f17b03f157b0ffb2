#include "server/timer_heap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int timer_heap_init(struct timer_heap *heap, size_t max)
{
    *heap = (struct timer_heap){.max = max};
    heap->timers = calloc(max + 1, sizeof(*heap->timers)); /* place 0 stays empty */
    return heap->timers != NULL ? 0 : -ENOMEM;
}

void timer_heap_clear(struct timer_heap *heap)
{
    free(heap->timers);
    *heap = (struct timer_heap){.timers = NULL};
}

static void put(struct timer_heap *heap, struct timer *timer, size_t place)
{
    heap->timers[place] = timer;
    timer->place = place;
}

/* Moves the timer that belongs at `place` up or down until the heap is in order again. */
static void sift(struct timer_heap *heap, struct timer *timer, size_t place)
{
    while (place > 1 && heap->timers[place / 2]->due_ms > timer->due_ms) {
        put(heap, heap->timers[place / 2], place);
        place /= 2;
    }
    for (;;) {
        size_t child = place * 2;
        if (child > heap->count)
            break;
        if (child < heap->count && heap->timers[child + 1]->due_ms < heap->timers[child]->due_ms)
            child++;
        if (heap->timers[child]->due_ms >= timer->due_ms)
            break;
        put(heap, heap->timers[child], place);
        place = child;
    }
    put(heap, timer, place);
}

void timer_set(struct timer_heap *heap, struct timer *timer, int64_t due_ms)
{
    timer->due_ms = due_ms;
    if (timer->place == 0) {
        assert(heap->count < heap->max);
        timer->place = ++heap->count;
    }
    sift(heap, timer, timer->place);
}

void timer_unset(struct timer_heap *heap, struct timer *timer)
{
    const size_t place = timer->place;
    if (place == 0)
        return;
    struct timer *last = heap->timers[heap->count--];
    timer->place = 0;
    if (last != timer)
        sift(heap, last, place);
}

struct timer *timer_heap_first(const struct timer_heap *heap)
{
    return heap->count > 0 ? heap->timers[1] : NULL;
}
