/* The census of what the event log holds: filled from the events that are kept when the program
 * starts, and followed up as they are written.
 *
 * It reads the log and nothing else, so that it never holds up the sensor, needs no queue that may
 * overflow, knows after a restart what it knew before, and never counts an event that a report
 * would not. It is behind by the flush time of the log.
 */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "sink/census.h"

/* The last events, and the last check-ins among them, are kept for the live view. */
#define LIVE_EVENTS_MAX 64

struct live_census_options {
    const char *events; /* the folder of the event log */
    unsigned flush_ms;  /* of the log */
    const struct census_options *census;
};

struct live_census_figures {
    uint64_t events;    /* read */
    uint64_t untracked; /* of them, those whose victim found no room, or dated more than a
                           day ahead */
    uint64_t damaged;   /* blocks of the log that could not be read */
    bool is_caught_up;  /* everything that was kept has been read once */
    size_t memory;      /* octets */
};

struct live_census;

/* Starts the thread that reads. */
_must_check_ int live_census_start(const struct live_census_options *options,
                                   struct live_census **ret_live, struct error *ret_error);
void live_census_stop(struct live_census *live);

/* The census for one who asks, until it is given back: the reader waits meanwhile. Any thread. */
const struct census *live_census_take(struct live_census *live);
void live_census_give_back(struct live_census *live);

/* Any thread. */
void live_census_figures(struct live_census *live, struct live_census_figures *ret_figures);

/* Copies the last events, or check-ins alone, the newest first; returns their number. Any thread.
 */
size_t live_census_last(struct live_census *live, bool checkins, size_t count_max,
                        struct sink_event ret_events[static LIVE_EVENTS_MAX]);
