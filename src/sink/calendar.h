/* Whether the calendar may be believed where something is destroyed because it is old.
 *
 * A clock that leaps ahead, by a wrong time server or a machine that starts with a wrong time,
 * makes all that is kept look old at once. So the clock is compared with itself: where it is more
 * than a day ahead of what it said before, it has to say so for an hour of CLOCK_MONOTONIC until it
 * is believed. What it said before the start is told by the newest segment of events, of those
 * whose times are a day apart at most and begin no later than an hour before it: what was written
 * after a leap doesn't prove it. A machine that is started daily so destroys at once what is old;
 * one that wrote nothing for longer waits for an hour.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

struct calendar;

/* Looks at the folder of events, before anything is written to it; it may not be there yet. */
_must_check_ int calendar_create(const char *events, struct calendar **ret_calendar,
                                 struct error *ret_error);
void calendar_free(struct calendar *calendar);
DEFINE_FREEP(struct calendar, calendar_free)

/* Whether what is too old at `now_us` of CLOCK_REALTIME, just read, may be destroyed. To be asked
 * from time to time: what isn't asked can't see a leap. NULL is always believed. Any thread. */
_must_check_ bool calendar_is_sure(struct calendar *calendar, int64_t now_us);

/* The same at `monotonic_us` of CLOCK_MONOTONIC. */
_must_check_ bool calendar_is_sure_at(struct calendar *calendar, int64_t now_us,
                                      int64_t monotonic_us);
