#include <inttypes.h>
#include <time.h>

#include "sink/sink_status.h"

/* Families that get a line of their own. */
#define FAMILIES_MAX 100

static void head(FILE *stream, const char *name, const char *type, const char *help)
{
    fprintf(stream, "# HELP tamis_sink_%s %s\n# TYPE tamis_sink_%s %s\n", name, help, name, type);
}

static void counter(FILE *stream, const char *name, const char *help, uint64_t value)
{
    head(stream, name, "counter", help);
    fprintf(stream, "tamis_sink_%s %" PRIu64 "\n", name, value);
}

static void gauge(FILE *stream, const char *name, const char *help, uint64_t value)
{
    head(stream, name, "gauge", help);
    fprintf(stream, "tamis_sink_%s %" PRIu64 "\n", name, value);
}

static void sensor_write(const struct sensor *sensor, FILE *stream)
{
    struct sensor_figures figures;
    sensor_figures(sensor, &figures);

    counter(stream, "connections_total", "Connections accepted.", figures.accepted);
    counter(stream, "datagrams_total", "Datagrams taken.", figures.datagrams);
    counter(stream, "received_octets_total", "Octets received.", figures.octets);
    gauge(stream, "connections_open", "Connections open now.", figures.open);
    gauge(stream, "connections_open_max", "Connections open at once, since the start.",
          figures.open_max);
    head(stream, "ended_total", "counter", "Connections and datagrams by how they ended.");
    for (size_t i = 0; i < SINK_ENDING_COUNT; i++)
        fprintf(stream, "tamis_sink_ended_total{how=\"%s\"} %" PRIu64 "\n", sink_ending_names[i],
                figures.ended[i]);
    counter(stream, "shed_per_source_total",
            "Connections and datagrams shed since their source had too many.",
            figures.shed_per_source);
    counter(stream, "accept_failures_total", "Connections that the system had no room for.",
            figures.accept_failures);
    gauge(stream, "dialogue_octets", "Memory of connections that have sent something.",
          figures.memory);
}

static void events_write(const struct pipeline_figures *figures, FILE *stream)
{
    const struct event_log_figures *log = &figures->log;

    head(stream, "flights_total", "counter", "What came, by what it is.");
    for (size_t i = 0; i < SINK_KIND_COUNT; i++)
        fprintf(stream, "tamis_sink_flights_total{kind=\"%s\"} %" PRIu64 "\n", sink_kind_names[i],
                figures->kinds[i]);
    counter(stream, "fakes_total", "Check-ins that are known fakes.", figures->fakes);
    counter(stream, "events_written_total", "Events that are on the disk.", log->written);
    counter(stream, "events_dropped_total", "Events that found no room.", log->dropped);
    gauge(stream, "events_waiting", "Events that are not on the disk yet.", log->waiting);
    counter(stream, "event_octets_total", "Octets of events written.", log->octets);
    counter(stream, "event_write_failures_total", "Writes of events that failed.", log->failures);
    counter(stream, "segments_deleted_total", "Segments of events deleted by age or size.",
            log->segments_deleted);
    counter(stream, "evidence_kept_total",
            "Pieces of content kept, sealed, since an order says so.", figures->evidence.kept);
    counter(stream, "evidence_dropped_total", "Pieces that found no room.",
            figures->evidence.dropped);
    gauge(stream, "evidence_octets", "Octets of sealed content.", figures->evidence.octets);
    head(stream, "answers_total", "counter",
         "Answers of name servers, by whether of a listed name.");
    fprintf(stream,
            "tamis_sink_answers_total{listed=\"yes\"} %" PRIu64 "\n"
            "tamis_sink_answers_total{listed=\"no\"} %" PRIu64 "\n",
            figures->answers_listed, figures->answers - figures->answers_listed);
}

static void outbox_write(const struct pipeline_figures *figures, FILE *stream)
{
    const struct event_outbox_figures *outbox = &figures->outbox;
    if (!figures->has_outbox)
        return;
    gauge(stream, "nats_connected", "1 while NATS is connected.", outbox->connected);
    counter(stream, "nats_sent_total", "Blocks of events that JetStream acknowledged.",
            outbox->sent);
    counter(stream, "nats_failures_total", "Blocks that had to be sent again.", outbox->failures);
    counter(stream, "nats_reconnects_total", "Connections made again.", outbox->reconnects);
    counter(stream, "nats_lost_octets_total",
            "Octets of events that were deleted before JetStream had them.", outbox->lost);
    gauge(stream, "nats_behind_octets", "Octets of events that JetStream does not have yet.",
          outbox->behind);
}

static int classes_write(void *context, const char *key, const struct census_figures *figures)
{
    FILE *stream = context;
    (void)key;
    for (size_t i = 0; i < CENSUS_CLASS_COUNT; i++)
        fprintf(stream, "tamis_sink_victims{class=\"%s\"} %" PRIu64 "\n", census_class_names[i],
                figures->victims[i]);
    return 0;
}

/* Names of families come from rules, which a user writes: what a label can't hold as it is becomes
 * '_'. */
static int family_write(void *context, const char *key, const struct census_figures *figures)
{
    FILE *stream = context;
    if (key[0] == '\0')
        return 0;
    fputs("tamis_sink_family_victims{family=\"", stream);
    for (const char *c = key; *c != '\0'; c++)
        fputc(*c == '"' || *c == '\\' || (unsigned char)*c < 0x20 ? '_' : *c, stream);
    fprintf(stream, "\"} %" PRIu64 "\n", figures->victims[CENSUS_PROVEN]);
    return 0;
}

static void census_write(struct pipeline *pipeline, int64_t now_us, FILE *stream)
{
    struct live_census *live = pipeline_census(pipeline);
    struct live_census_figures figures;

    live_census_figures(live, &figures);
    counter(stream, "census_events_total", "Events that the census has read.", figures.events);
    counter(stream, "census_untracked_total",
            "Events dated ahead, or whose victim had no room in the census.", figures.untracked);
    gauge(stream, "census_octets", "Memory of the census.", figures.memory);
    gauge(stream, "census_caught_up", "1 once all kept events have been read.",
          figures.is_caught_up);

    const struct census *census = live_census_take(live);
    head(stream, "victims", "gauge", "Victim ids, and sources that are none, by class.");
    int rc = census_cuts(census, now_us, CENSUS_ALL, 1, classes_write, stream);
    head(stream, "family_victims", "gauge", "Proven victims by family.");
    if (rc == 0)
        rc = census_cuts(census, now_us, CENSUS_FAMILY, FAMILIES_MAX, family_write, stream);
    live_census_give_back(live);
    gauge(stream, "census_complete", "0 when memory was out while victims were counted.", rc == 0);
}

void sink_metrics_write(void *context, FILE *stream)
{
    const struct sink_status *status = context;
    struct pipeline_figures figures;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    gauge(stream, "start_time_seconds", "When the program started, Unix time.",
          (uint64_t)(status->started_at_us / 1000000));
    sensor_write(status->sensor, stream);
    pipeline_figures(status->pipeline, &figures);
    events_write(&figures, stream);
    outbox_write(&figures, stream);
    census_write(status->pipeline, (int64_t)now.tv_sec * 1000000, stream);
}

bool sink_metrics_healthy(void *context, FILE *stream)
{
    const struct sink_status *status = context;
    struct pipeline_figures figures;
    struct pipeline_rates rates;

    pipeline_figures(status->pipeline, &figures);
    pipeline_rates(status->pipeline, &rates);
    if (figures.has_outbox && !figures.outbox.connected)
        fprintf(stream, "nats: not connected, %" PRIu64 " octets of events wait on the disk\n",
                figures.outbox.behind);
    bool is_stuck = rates.write_failures > 0 && figures.log.waiting > 0;
    if (is_stuck)
        fprintf(stream, "events: writing fails, %" PRIu64 " wait: is the disk full?\n",
                figures.log.waiting);
    if (rates.events_dropped > 0)
        fprintf(stream, "events: %" PRIu64 " dropped within ten seconds\n", rates.events_dropped);
    return !is_stuck && rates.events_dropped == 0;
}
