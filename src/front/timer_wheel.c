#include "front/timer_wheel.h"

#include <stddef.h>
#include <string.h>

#define WORDS (TIMER_WHEEL_SLOTS / 64)

static unsigned slot_of(int64_t ms)
{
    return (unsigned)((uint64_t)ms % TIMER_WHEEL_SLOTS);
}

void timer_wheel_init(struct timer_wheel *wheel, int64_t now_ms)
{
    memset(wheel, 0, sizeof(*wheel));
    wheel->at_ms = now_ms;
}

void wheel_timer_unset(struct timer_wheel *wheel, struct wheel_timer *timer)
{
    if (timer->previous == NULL)
        return;
    *timer->previous = timer->next;
    if (timer->next != NULL)
        timer->next->previous = timer->previous;
    timer->previous = NULL;

    const unsigned slot = slot_of(timer->due_ms);
    if (wheel->slots[slot] == NULL)
        wheel->used[slot / 64] &= ~(UINT64_C(1) << slot % 64);
}

void wheel_timer_set(struct timer_wheel *wheel, struct wheel_timer *timer, int64_t due_ms)
{
    wheel_timer_unset(wheel, timer);
    timer->due_ms = due_ms > wheel->at_ms ? due_ms : wheel->at_ms + 1;

    const unsigned slot = slot_of(timer->due_ms);
    timer->next = wheel->slots[slot];
    timer->previous = &wheel->slots[slot];
    if (timer->next != NULL)
        timer->next->previous = &timer->next;
    wheel->slots[slot] = timer;
    wheel->used[slot / 64] |= UINT64_C(1) << slot % 64;
}

/* The first slot in use at `from_ms` or behind it, as a time; INT64_MAX: all are empty. */
static int64_t next_used(const struct timer_wheel *wheel, int64_t from_ms)
{
    const unsigned first = slot_of(from_ms);
    for (unsigned i = 0; i <= WORDS; i++) {
        const unsigned word = (first / 64 + i) % WORDS;
        uint64_t bits = wheel->used[word];
        if (i == 0)
            bits &= ~UINT64_C(0) << first % 64;
        if (bits == 0)
            continue;
        const unsigned slot = word * 64 + (unsigned)__builtin_ctzll(bits);
        return from_ms + (slot + TIMER_WHEEL_SLOTS - first) % TIMER_WHEEL_SLOTS;
    }
    return INT64_MAX;
}

struct wheel_timer *timer_wheel_take(struct timer_wheel *wheel, int64_t now_ms)
{
    /* After a long sleep one turn sees every slot. */
    if (now_ms - wheel->at_ms > TIMER_WHEEL_SLOTS)
        wheel->at_ms = now_ms - TIMER_WHEEL_SLOTS;

    for (;;) {
        const int64_t at_ms = next_used(wheel, wheel->at_ms);
        if (at_ms > now_ms)
            break;
        for (struct wheel_timer *timer = wheel->slots[slot_of(at_ms)]; timer != NULL;
             timer = timer->next) {
            if (timer->due_ms > now_ms)
                continue;
            wheel_timer_unset(wheel, timer);
            wheel->at_ms = at_ms;
            return timer;
        }
        wheel->at_ms = at_ms + 1;
    }
    if (now_ms > wheel->at_ms)
        wheel->at_ms = now_ms;
    return NULL;
}

int64_t timer_wheel_next(const struct timer_wheel *wheel)
{
    return next_used(wheel, wheel->at_ms);
}
