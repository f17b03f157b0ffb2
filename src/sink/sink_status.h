/* What the running sinkhole tells of itself: the commands of its control socket, its metrics and
 * whether it is well. Nothing of it holds an address of a client. tamis-sink(8) describes the JSON.
 */
#pragma once

#include <stdio.h>

#include "service/control.h"
#include "sink/pipeline.h"
#include "sink/sensor.h"

/* The `context` of all below. */
struct sink_status {
    const struct sink_config *config;
    const struct sensor *sensor;
    struct pipeline *pipeline;
    int64_t started_at_us; /* CLOCK_REALTIME */
    bool is_filtered;      /* system calls are (confine.h) */
};

/* status, live, cuts, series. */
extern const struct control_command sink_status_commands[];
extern const size_t sink_status_command_count;

/* Names of enum sink_ending, and SINK_ENDING_COUNT of them. */
#define SINK_ENDING_COUNT 8
extern const char *const sink_ending_names[SINK_ENDING_COUNT];

/* For a metrics_source: Prometheus text; health is that events reach the disk. */
void sink_metrics_write(void *context, FILE *stream);
bool sink_metrics_healthy(void *context, FILE *stream);
