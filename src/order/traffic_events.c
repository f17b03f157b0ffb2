/* dnstap events as servers send them: traffic from a socket of ours. */
#include "order/dnstap_listener.h"
#include "order/traffic_live_internal.h"

static int events_open(const struct traffic_live_options *options, struct traffic *traffic,
                       void **ret_state)
{
    struct dnstap_listener *listener;
    int rc = dnstap_listener_open(options->dnstap, options->dnstap_size, options->dnstap_name,
                                  &listener, traffic->error);
    if (rc == 0)
        *ret_state = listener;
    return rc;
}

static void events_close(void *state)
{
    dnstap_listener_close(state);
}

static int event_take(void *context, const uint8_t *octets, size_t size)
{
    return traffic_take_event(context, octets, size);
}

static int events_step(void *state, struct traffic *traffic, int timeout_ms)
{
    const struct dnstap_faults *faults = dnstap_listener_faults(state);
    const struct dnstap_faults before = *faults;

    int rc = dnstap_listener_step(state, timeout_ms, event_take, traffic);
    traffic->report->gaps += faults->cut_off - before.cut_off;
    traffic->report->malformed += faults->malformed - before.malformed;
    return rc;
}

const struct live_source live_events = {
    .open = events_open, .step = events_step, .close = events_close};
