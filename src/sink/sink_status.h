/* What the running sinkhole tells of itself: the commands of its control socket, its metrics and
 * whether it is well. Nothing of it holds an address of a client. tamis-sink(8) describes the JSON.
 */
#pragma once

#include <pthread.h>
#include <stdio.h>

#include "service/control.h"
#include "sink/pipeline.h"
#include "sink/sensor.h"

/* What the census knows, as a view shows it. It takes a pass over all victims: one that took long
 * is kept for some time, so that the census spends most of its time with events, however many
 * look. */
struct sink_view {
    pthread_mutex_t mutex;
    json_t *census;              /* NULL: none was made yet */
    int64_t made_at_us, cost_us; /* CLOCK_MONOTONIC */
};

/* The `context` of all below. */
struct sink_status {
    const struct sink_config *config;
    const struct sensor *sensor;
    struct pipeline *pipeline;
    int64_t started_at_us; /* CLOCK_REALTIME */
    bool is_filtered;      /* system calls are (confine.h) */
    struct sink_view view;
};

void sink_status_init(struct sink_status *status);
void sink_status_clear(struct sink_status *status);

/* status, live, cuts, series. */
extern const struct control_command sink_status_commands[];
extern const size_t sink_status_command_count;

/* Names of enum sink_ending, and SINK_ENDING_COUNT of them. */
#define SINK_ENDING_COUNT 8
extern const char *const sink_ending_names[SINK_ENDING_COUNT];

/* For a metrics_source: Prometheus text; health is that events reach the disk. */
void sink_metrics_write(void *context, FILE *stream);
bool sink_metrics_healthy(void *context, FILE *stream);
