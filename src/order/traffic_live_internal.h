/* What a source of live traffic is to traffic_live.c. */
#pragma once

#include "order/traffic_internal.h"
#include "order/traffic_live.h"

struct live_source {
    int (*open)(const struct traffic_live_options *options, struct traffic *traffic,
                void **ret_state);
    /* One wait and what came; see traffic_live_step(). */
    int (*step)(void *state, struct traffic *traffic, int timeout_ms);
    void (*close)(void *state); /* NULL is no state */
};

extern const struct live_source live_packets, live_events;
