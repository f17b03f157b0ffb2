/* The way of a flight: what it is, which name and network it came by, what is kept of it, and
 * where.
 *
 *     flight -> recogniser -> arrivals, networks, privacy -> event log -> census, NATS
 *                                                         -> evidence, sealed, where an order says
 * so
 */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "sink/arrivals.h"
#include "sink/event_log.h"
#include "sink/event_outbox.h"
#include "sink/evidence.h"
#include "sink/live_census.h"
#include "sink/sink_config.h"

struct pipeline;

struct pipeline_figures {
    uint64_t flights;
    uint64_t kinds[SINK_KIND_COUNT];
    uint64_t fakes; /* check-ins that are known not to be of a victim */
    struct event_log_figures log;
    struct evidence_figures evidence;
    uint64_t answers, answers_listed;
    bool has_outbox;
    struct event_outbox_figures outbox;
};

/* What happened in a second, on average over the last ten. */
struct pipeline_rates {
    double flights, events, checkins;        /* events: written */
    uint64_t events_dropped, write_failures; /* within the ten */
};

/* NULL: no memory. `config` must live as long. */
struct pipeline *pipeline_create(const struct sink_config *config);

/* Opens all parts and starts their threads; makes what is missing of the folders' content, which
 * must be whose who runs this. */
_must_check_ int pipeline_open(struct pipeline *pipeline, struct error *ret_error);

/* Loads what pipeline_open() would, writes nothing and starts nothing. */
_must_check_ int pipeline_check(const struct sink_config *config, struct error *ret_error);

/* Writes what waits, and closes; after the sensor has stopped. */
void pipeline_close(struct pipeline *pipeline);

/* For the sensor; `context` is the pipeline. */
sink_flight_fn pipeline_take;

/* For the page, once it is open; `context` is the pipeline. */
dialogue_order_fn pipeline_order;

/* Once a second, by one thread: keys that are due, and the rates. */
void pipeline_tick(struct pipeline *pipeline);

/* Any thread. */
void pipeline_figures(const struct pipeline *pipeline, struct pipeline_figures *ret_figures);
void pipeline_rates(struct pipeline *pipeline, struct pipeline_rates *ret_rates);
struct live_census *pipeline_census(const struct pipeline *pipeline);
