#include "sink/pipeline.h"

#include <errno.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "sink/networks.h"
#include "sink/recogniser.h"

/* Seconds over which rates are told. */
#define RATE_SECONDS 10

/* Blocks of events that wait for room on the disk: minutes at full load, hours else. */
#define WAITING_OCTETS_MAX ((size_t)64 << 20)

/* Paths below the folder of state. */
#define PATH_SIZE 4096

/* Written by one thread of the sensor alone, each on cache lines of its own. */
struct counters {
    alignas(64) _Atomic uint64_t kinds[SINK_KIND_COUNT];
    _Atomic uint64_t fakes;
};

/* The totals as they were at a tick. */
struct sample {
    int64_t at_us;
    uint64_t flights, events, checkins, dropped, failures;
};

struct pipeline {
    const struct sink_config *config;
    struct recogniser *recogniser;
    struct arrivals *arrivals;
    struct networks *networks;
    struct calendar *calendar; /* of those that keep things for some days */
    struct privacy *privacy;
    struct event_log *log;
    struct evidence *evidence;
    struct event_outbox *outbox; /* NULL: none configured */
    struct live_census *census;

    bool has_failed_tick;
    pthread_mutex_t mutex; /* the samples, a ring */
    struct sample samples[RATE_SECONDS + 1];
    size_t sample_count;
    struct counters counters[]; /* one for each thread of the sensor */
};

struct pipeline *pipeline_create(const struct sink_config *config)
{
    size_t size = sizeof(struct pipeline) + config->threads * sizeof(struct counters);
    size =
        (size + alignof(struct pipeline) - 1) / alignof(struct pipeline) * alignof(struct pipeline);
    struct pipeline *pipeline = aligned_alloc(alignof(struct pipeline), size);

    if (pipeline == NULL)
        return NULL;
    memset(pipeline, 0, size);
    pipeline->config = config;
    pthread_mutex_init(&pipeline->mutex, NULL);
    return pipeline;
}

/* ---- A flight ---- */

static void word_copy(char *ret_word, size_t size, const char *text)
{
    size_t length = strnlen(text, size - 1);
    memcpy(ret_word, text, length);
    ret_word[length] = '\0';
}

/* What an event keeps of a flight as it is; the rest is for those who seal, hash and look up. */
static void event_fill(const struct sink_flight *flight, const struct sink_recognition *recognition,
                       struct sink_event *event)
{
    event->at_us = flight->at_us;
    event->lasted_ms = flight->lasted_ms;
    event->transport = (uint8_t)flight->transport;
    event->ending = (uint8_t)flight->ending;
    event->in_tls = flight->in_tls;
    event->client_port = flight->client.port;
    event->local_port = flight->local.port;
    memcpy(event->local, &flight->local.address, sizeof(event->local));
    event->received = flight->received;
    if (flight->hello != NULL)
        word_copy(event->ja4, sizeof(event->ja4), flight->hello->ja4);

    event->kind = (uint8_t)recognition->kind;
    event->wellformed = recognition->wellformed;
    event->consistent = recognition->consistent;
    event->fake = recognition->fake != NULL;
    word_copy(event->family, sizeof(event->family), recognition->family);
    word_copy(event->rule, sizeof(event->rule), recognition->rule);
    word_copy(event->version, sizeof(event->version), recognition->version);
}

static void count(struct counters *counters, const struct sink_event *event)
{
    atomic_fetch_add_explicit(&counters->kinds[event->kind], 1, memory_order_relaxed);
    if (event->fake)
        atomic_fetch_add_explicit(&counters->fakes, 1, memory_order_relaxed);
}

void pipeline_take(void *context, unsigned thread, const struct sink_flight *flight)
{
    struct pipeline *pipeline = context;
    struct sink_recognition recognition;
    struct sink_event event = {0};
    struct network network;

    recogniser_look(pipeline->recogniser, thread, flight, &recognition);
    event_fill(flight, &recognition, &event);
    networks_find(pipeline->networks, &flight->client.address, &network);
    event.asn = network.asn;
    word_copy(event.country, sizeof(event.country), network.country);
    arrivals_find(pipeline->arrivals, flight, &recognition, &event);
    privacy_apply(pipeline->privacy, flight, &recognition, &event);

    count(&pipeline->counters[thread], &event);
    (void)event_log_put(pipeline->log, thread, &event); /* the log counts what it drops */
    evidence_take(pipeline->evidence, flight, &event);
}

void pipeline_order(void *context, const char *host, const struct sink_endpoint *local,
                    struct dialogue_order *ret_order)
{
    const struct pipeline *pipeline = context;
    arrivals_order(pipeline->arrivals, host, local, ret_order);
}

/* ---- Open and close ---- */

/* The parts that read what a person wrote. */
static int readers_open(const struct sink_config *config, const char *answers,
                        struct pipeline *pipeline, struct error *ret_error)
{
    const struct arrivals_options arrivals = {
        .orders = config->orders,
        .order_count = config->order_count,
        .answers = answers,
        .window_s = config->window_s,
    };
    int rc = recogniser_load(config->rules, config->threads, &pipeline->recogniser, ret_error);
    if (rc == 0)
        rc = networks_open(config->asn_path, config->country_path, &pipeline->networks, ret_error);
    if (rc == 0)
        rc = arrivals_create(&arrivals, &pipeline->arrivals, ret_error);
    return rc;
}

static int privacy_begin(struct pipeline *pipeline, struct error *ret_error)
{
    const struct sink_config *config = pipeline->config;
    char folder[PATH_SIZE];
    const struct privacy_options options = {
        .folder = folder,
        .addresses = config->addresses,
        .rotate_days = config->rotate_days,
        .keep_days = config->keep_days,
        .calendar = pipeline->calendar,
    };
    snprintf(folder, sizeof(folder), "%s/keys", config->state);
    return privacy_open(&options, &pipeline->privacy, ret_error);
}

static int log_begin(struct pipeline *pipeline, struct error *ret_error)
{
    const struct sink_config *config = pipeline->config;
    const struct event_log_options options = {
        .folder = config->events,
        .threads = config->threads,
        .flush_ms = config->flush_ms,
        .segment_octets_max = config->segment_octets_max,
        .segment_seconds = config->segment_seconds,
        .octets_max = config->events_octets_max,
        .keep_days = config->keep_days,
        .calendar = pipeline->calendar,
        .waiting_octets_max = WAITING_OCTETS_MAX,
    };
    return event_log_open(&options, &pipeline->log, ret_error);
}

static int evidence_begin(struct pipeline *pipeline, struct error *ret_error)
{
    const struct sink_config *config = pipeline->config;
    char folder[PATH_SIZE];
    const struct evidence_options options = {
        .folder = folder,
        .orders = config->orders,
        .order_count = config->order_count,
        .octets_max = config->evidence_octets_max,
        .keep_days = config->evidence_keep_days,
        .calendar = pipeline->calendar,
    };
    snprintf(folder, sizeof(folder), "%s/evidence", config->state);
    return evidence_open(&options, &pipeline->evidence, ret_error);
}

static int outbox_begin(struct pipeline *pipeline, struct error *ret_error)
{
    const struct sink_config *config = pipeline->config;
    char place[PATH_SIZE];
    const struct event_outbox_options options = {
        .events = config->events,
        .place = place,
        .servers = config->nats_servers,
        .server_count = config->nats_server_count,
        .stream = config->nats_stream,
        .subject = config->nats_subject,
        .credentials = config->nats_credentials,
        .ca_file = config->nats_ca_file,
        .replicas = config->nats_replicas,
    };
    if (config->nats_server_count == 0)
        return 0;
    snprintf(place, sizeof(place), "%s/nats-place", config->state);
    return event_outbox_start(&options, &pipeline->outbox, ret_error);
}

int pipeline_open(struct pipeline *pipeline, struct error *ret_error)
{
    const struct sink_config *config = pipeline->config;
    const struct live_census_options census = {
        .events = config->events, .flush_ms = config->flush_ms, .census = &config->census};

    int rc = readers_open(config, config->answers, pipeline, ret_error);
    if (rc == 0)
        rc = calendar_create(config->events, &pipeline->calendar, ret_error);
    if (rc == 0)
        rc = privacy_begin(pipeline, ret_error);
    if (rc == 0)
        rc = log_begin(pipeline, ret_error);
    if (rc == 0)
        rc = evidence_begin(pipeline, ret_error);
    if (rc == 0)
        rc = arrivals_start(pipeline->arrivals, ret_error);
    if (rc == 0)
        rc = live_census_start(&census, &pipeline->census, ret_error);
    if (rc == 0)
        rc = outbox_begin(pipeline, ret_error);
    return rc;
}

int pipeline_check(const struct sink_config *config, struct error *ret_error)
{
    struct pipeline *pipeline = pipeline_create(config);
    if (pipeline == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = readers_open(config, NULL, pipeline, ret_error);
    pipeline_close(pipeline);
    return rc;
}

void pipeline_close(struct pipeline *pipeline)
{
    if (pipeline == NULL)
        return;
    if (pipeline->log != NULL)
        event_log_close(pipeline->log); /* first: the others read what it writes */
    if (pipeline->outbox != NULL)
        event_outbox_stop(pipeline->outbox);
    live_census_stop(pipeline->census);
    evidence_close(pipeline->evidence);
    privacy_close(pipeline->privacy);
    calendar_free(pipeline->calendar);
    arrivals_free(pipeline->arrivals);
    networks_close(pipeline->networks);
    recogniser_free(pipeline->recogniser);
    pthread_mutex_destroy(&pipeline->mutex);
    free(pipeline);
}

/* ---- Figures ---- */

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void pipeline_figures(const struct pipeline *pipeline, struct pipeline_figures *ret_figures)
{
    struct pipeline_figures figures = {.has_outbox = pipeline->outbox != NULL};

    for (unsigned thread = 0; thread < pipeline->config->threads; thread++) {
        const struct counters *counters = &pipeline->counters[thread];
        for (size_t kind = 0; kind < SINK_KIND_COUNT; kind++) {
            uint64_t flights = atomic_load_explicit(&counters->kinds[kind], memory_order_relaxed);
            figures.kinds[kind] += flights;
            figures.flights += flights;
        }
        figures.fakes += atomic_load_explicit(&counters->fakes, memory_order_relaxed);
    }
    event_log_figures(pipeline->log, &figures.log);
    evidence_figures(pipeline->evidence, &figures.evidence);
    arrivals_figures(pipeline->arrivals, &figures.answers, &figures.answers_listed);
    if (pipeline->outbox != NULL)
        event_outbox_figures(pipeline->outbox, &figures.outbox);
    *ret_figures = figures;
}

static void sample_take(struct pipeline *pipeline)
{
    struct pipeline_figures figures;
    pipeline_figures(pipeline, &figures);

    pthread_mutex_lock(&pipeline->mutex);
    pipeline->samples[pipeline->sample_count++ % (RATE_SECONDS + 1)] = (struct sample){
        .at_us = clock_us(CLOCK_MONOTONIC),
        .flights = figures.flights,
        .events = figures.log.written,
        .checkins = figures.kinds[SINK_CHECKIN],
        .dropped = figures.log.dropped,
        .failures = figures.log.failures,
    };
    pthread_mutex_unlock(&pipeline->mutex);
}

void pipeline_tick(struct pipeline *pipeline)
{
    struct error error = {0};
    int rc = privacy_tick(pipeline->privacy, clock_us(CLOCK_REALTIME), &error);

    if (rc < 0 && !pipeline->has_failed_tick)
        log_event(LOG_ERR, "the keys of the next epoch: %s", error.text);
    pipeline->has_failed_tick = rc < 0;
    sample_take(pipeline);
}

void pipeline_rates(struct pipeline *pipeline, struct pipeline_rates *ret_rates)
{
    struct pipeline_rates rates = {0};

    pthread_mutex_lock(&pipeline->mutex);
    size_t count = pipeline->sample_count;
    if (count > 1) {
        size_t first = count > RATE_SECONDS ? count - RATE_SECONDS - 1 : 0;
        const struct sample *from = &pipeline->samples[first % (RATE_SECONDS + 1)];
        const struct sample *to = &pipeline->samples[(count - 1) % (RATE_SECONDS + 1)];
        double seconds = (double)(to->at_us - from->at_us) / 1e6;
        if (seconds > 0) {
            rates.flights = (double)(to->flights - from->flights) / seconds;
            rates.events = (double)(to->events - from->events) / seconds;
            rates.checkins = (double)(to->checkins - from->checkins) / seconds;
        }
        rates.events_dropped = to->dropped - from->dropped;
        rates.write_failures = to->failures - from->failures;
    }
    pthread_mutex_unlock(&pipeline->mutex);
    *ret_rates = rates;
}

struct live_census *pipeline_census(const struct pipeline *pipeline)
{
    return pipeline->census;
}
