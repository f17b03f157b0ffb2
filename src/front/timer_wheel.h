/* Many short timers, set and cleared for every question: a wheel of milliseconds.
 *
 * Setting and clearing are a few stores, whatever the number of timers. A timer further away than
 * the wheel is round stays in its slot for another turn. One thread's.
 */
#pragma once

#include <stdint.h>

/* Milliseconds round: about the longest that a question waits. */
#define TIMER_WHEEL_SLOTS 2048

struct wheel_timer {
    struct wheel_timer *next, **previous; /* previous is NULL while the timer isn't set */
    int64_t due_ms;
    /* For who takes it: what to do then. */
    void (*due)(void *context, struct wheel_timer *timer);
};

struct timer_wheel {
    int64_t at_ms; /* everything due before is taken */
    struct wheel_timer *slots[TIMER_WHEEL_SLOTS];
    uint64_t used[TIMER_WHEEL_SLOTS / 64]; /* a bit for each slot with a timer */
};

void timer_wheel_init(struct timer_wheel *wheel, int64_t now_ms);

/* Sets a timer, or moves it. One that would be due already is due in the next millisecond. */
void wheel_timer_set(struct timer_wheel *wheel, struct wheel_timer *timer, int64_t due_ms);
void wheel_timer_unset(struct timer_wheel *wheel, struct wheel_timer *timer);

/* Takes out one timer that is due; NULL when none is left. */
struct wheel_timer *timer_wheel_take(struct timer_wheel *wheel, int64_t now_ms);

/* When to look again, which is never later than the first timer; INT64_MAX without timers. */
int64_t timer_wheel_next(const struct timer_wheel *wheel);
