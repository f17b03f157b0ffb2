#include "sink/sink_status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/nearest.h"
#include "order/timestamp.h"

/* Cuts that one answer holds at most: a page of a report, not the whole of it. */
#define CUTS_DEFAULT 20
#define CUTS_MAX     10000

/* What a view has room for. */
#define ROWS_SHOWN     10
#define CHECKINS_SHOWN 10
#define HOURS_SHOWN    48

/* A view of the census is kept for so many times as long as it took to make: at most a tenth of the
 * time goes into views. */
#define VIEW_REST 10

#define HOUR_US INT64_C(3600000000)
#define DAY_US  (24 * HOUR_US)

const char *const sink_ending_names[SINK_ENDING_COUNT] = {
    [SINK_CLOSED] = "closed",       [SINK_RESET] = "reset",   [SINK_FULL] = "full",
    [SINK_TIMED_OUT] = "timed-out", [SINK_SHED] = "shed",     [SINK_ANSWERED] = "answered",
    [SINK_DATAGRAM] = "datagram",   [SINK_ENDING] = "ending",
};

static const char *const name_sources[] = {
    [SINK_NAME_NONE] = "none",     [SINK_NAME_HOST] = "host",     [SINK_NAME_SNI] = "sni",
    [SINK_NAME_ANSWER] = "answer", [SINK_NAME_WINDOW] = "window", [SINK_NAME_ADDRESS] = "address",
};

static const char *const by_names[] = {
    [CENSUS_ALL] = "all", [CENSUS_ORDER] = "order",     [CENSUS_FAMILY] = "family",
    [CENSUS_ASN] = "asn", [CENSUS_COUNTRY] = "country", [CENSUS_NAME] = "name",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t now_us(void)
{
    return clock_us(CLOCK_REALTIME);
}

static json_t *number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

/* Texts of events come from clients: what isn't UTF-8 there is told as nothing. */
static json_t *text(const char *value)
{
    json_t *string = json_string(value);
    return string != NULL ? string : json_string("");
}

static int64_t uptime_s(const struct sink_status *status)
{
    return (now_us() - status->started_at_us) / 1000000;
}

/* ---- status ---- */

/* Octets that the process holds in memory, 0 where the system doesn't tell: proc(5), the second
 * number of statm. */
static uint64_t resident_octets(void)
{
    char line[128] = "", *rest;
    FILE *file = fopen("/proc/self/statm", "re");

    if (file == NULL)
        return 0;
    if (fgets(line, sizeof(line), file) == NULL)
        line[0] = '\0';
    fclose(file);
    (void)strtoull(line, &rest, 10);
    return strtoull(rest, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static json_t *sensor_json(const struct sink_status *status)
{
    struct sensor_figures figures;
    json_t *ended = json_object();

    sensor_figures(status->sensor, &figures);
    for (size_t i = 0; i < SINK_ENDING_COUNT; i++)
        json_object_set_new(ended, sink_ending_names[i], number(figures.ended[i]));
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o}", "accepted",
                     number(figures.accepted), "datagrams", number(figures.datagrams), "octets",
                     number(figures.octets), "open", number(figures.open), "open_max",
                     number(figures.open_max), "connections_max",
                     (json_int_t)status->config->connections_max, "ended", ended, "shed_per_source",
                     number(figures.shed_per_source), "accept_failures",
                     number(figures.accept_failures), "memory", number(figures.memory));
}

static json_t *kinds_json(const struct pipeline_figures *figures)
{
    json_t *kinds = json_object();
    for (size_t i = 0; i < SINK_KIND_COUNT; i++)
        json_object_set_new(kinds, sink_kind_names[i], number(figures->kinds[i]));
    return kinds;
}

static json_t *log_json(const struct event_log_figures *log)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "written", number(log->written),
                     "dropped", number(log->dropped), "waiting", number(log->waiting), "blocks",
                     number(log->blocks), "octets", number(log->octets), "octets_raw",
                     number(log->octets_raw), "failures", number(log->failures), "segments_deleted",
                     number(log->segments_deleted));
}

static json_t *evidence_json(const struct evidence_figures *evidence)
{
    return json_pack("{s:o, s:o, s:o}", "kept", number(evidence->kept), "dropped",
                     number(evidence->dropped), "octets", number(evidence->octets));
}

static json_t *nats_json(const struct pipeline_figures *figures)
{
    const struct event_outbox_figures *outbox = &figures->outbox;
    if (!figures->has_outbox)
        return json_null();
    return json_pack("{s:b, s:o, s:o, s:o, s:o, s:o}", "connected", (int)outbox->connected, "sent",
                     number(outbox->sent), "failures", number(outbox->failures), "reconnects",
                     number(outbox->reconnects), "behind", number(outbox->behind), "lost",
                     number(outbox->lost));
}

static json_t *census_json(const struct live_census_figures *census)
{
    return json_pack("{s:o, s:o, s:o, s:b, s:o}", "events", number(census->events), "untracked",
                     number(census->untracked), "damaged", number(census->damaged), "caught_up",
                     (int)census->is_caught_up, "memory", number(census->memory));
}

static int status_run(void *context, const json_t *request, json_t **ret_result,
                      struct error *ret_error)
{
    const struct sink_status *status = context;
    struct pipeline_figures figures;
    struct live_census_figures census;

    (void)request, (void)ret_error;
    pipeline_figures(status->pipeline, &figures);
    live_census_figures(pipeline_census(status->pipeline), &census);
    *ret_result =
        json_pack("{s:s, s:I, s:I, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o}, s:o, s:o}",
                  "version", TAMIS_VERSION, "started_at_us", (json_int_t)status->started_at_us,
                  "uptime_s", (json_int_t)uptime_s(status), "filtered", (int)status->is_filtered,
                  "sensor", sensor_json(status), "flights", number(figures.flights), "fakes",
                  number(figures.fakes), "kinds", kinds_json(&figures), "log",
                  log_json(&figures.log), "evidence", evidence_json(&figures.evidence), "answers",
                  "taken", number(figures.answers), "listed", number(figures.answers_listed),
                  "nats", nats_json(&figures), "census", census_json(&census));
    if (*ret_result == NULL)
        return -ENOMEM;
    return json_object_set_new(*ret_result, "memory", number(resident_octets()));
}

/* ---- cuts ---- */

static json_t *figures_json(const char *key, const struct census_figures *figures)
{
    json_t *victims = json_object();
    for (size_t i = 0; i < CENSUS_CLASS_COUNT; i++)
        json_object_set_new(victims, census_class_names[i], number(figures->victims[i]));
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:o}", "key", text(key), "victims",
                     victims, "addresses", number(figures->addresses), "addresses_all",
                     number(figures->addresses_all), "fresh", number(figures->fresh), "quiet",
                     number(figures->quiet), "shared", number(figures->shared), "churn",
                     figures->churn, "events", number(figures->events));
}

static int cut_append(void *context, const char *key, const struct census_figures *figures)
{
    return json_array_append_new(context, figures_json(key, figures)) < 0 ? -ENOMEM : 0;
}

/* The cuts as a new array; NULL: no memory. */
static json_t *cuts_json(struct live_census *live, enum census_by by, size_t count_max)
{
    json_t *cuts = json_array();
    int rc = cuts == NULL
                 ? -ENOMEM
                 : census_cuts(live_census_take(live), now_us(), by, count_max, cut_append, cuts);
    if (cuts != NULL)
        live_census_give_back(live);
    if (rc < 0) {
        json_decref(cuts);
        return NULL;
    }
    return cuts;
}

static int by_find(const json_t *request, enum census_by *ret_by, struct error *ret_error)
{
    const char *name = json_string_value(json_object_get(request, "by"));
    if (name == NULL)
        return error_set(ret_error, -EINVAL,
                         "cuts lacks \"by\": write all, order, family, asn, country or name");
    for (size_t i = 0; i < COUNT(by_names); i++) {
        if (strcmp(by_names[i], name) == 0) {
            *ret_by = (enum census_by)i;
            return 0;
        }
    }
    const char *nearest = nearest_word(name, by_names, COUNT(by_names));
    return error_set(ret_error, -EINVAL, "there are no cuts by \"%.64s\": %s%s%s", name,
                     nearest != NULL ? "did you mean \"" : "write all, order, family, asn, ",
                     nearest != NULL ? nearest : "country or name", nearest != NULL ? "\"?" : "");
}

/* A whole number among the arguments, or its default. */
static int count_argument(const json_t *request, const char *key, json_int_t count_default,
                          json_int_t count_max, size_t *ret_count, struct error *ret_error)
{
    const json_t *value = json_object_get(request, key);
    json_int_t count = value != NULL ? json_integer_value(value) : count_default;
    if ((value != NULL && !json_is_integer(value)) || count < 0 || count > count_max)
        return error_set(ret_error, -EINVAL, "\"%s\" is a number of 0 to %lld", key,
                         (long long)count_max);
    *ret_count = (size_t)count;
    return 0;
}

static int cuts_run(void *context, const json_t *request, json_t **ret_result,
                    struct error *ret_error)
{
    const struct sink_status *status = context;
    enum census_by by = CENSUS_ALL;
    size_t count_max;

    int rc = by_find(request, &by, ret_error);
    if (rc == 0)
        rc = count_argument(request, "limit", CUTS_DEFAULT, CUTS_MAX, &count_max, ret_error);
    if (rc < 0)
        return rc;
    json_t *cuts = cuts_json(pipeline_census(status->pipeline), by, count_max);
    if (cuts == NULL)
        return -ENOMEM;
    *ret_result = json_pack("{s:I, s:s, s:o}", "at_us", (json_int_t)now_us(), "by", by_names[by],
                            "cuts", cuts);
    return *ret_result == NULL ? -ENOMEM : 0;
}

/* ---- series ---- */

static int point_append(void *context, const struct census_point *point)
{
    json_t *value = json_pack("{s:I, s:o, s:o, s:o, s:o}", "at_us", (json_int_t)point->at_us,
                              "seen", number(point->seen), "fresh", number(point->fresh), "quiet",
                              number(point->quiet), "addresses", number(point->addresses));
    return json_array_append_new(context, value) < 0 ? -ENOMEM : 0;
}

static int series_run(void *context, const json_t *request, json_t **ret_result,
                      struct error *ret_error)
{
    const struct sink_status *status = context;
    struct live_census *live = pipeline_census(status->pipeline);
    const json_t *order_value = json_object_get(request, "order");
    const json_t *step_value = json_object_get(request, "step");
    const char *order = order_value != NULL ? json_string_value(order_value) : "";
    const char *step = step_value != NULL ? json_string_value(step_value) : "day";

    if (order == NULL)
        return error_set(ret_error, -EINVAL, "\"order\" is an order's id, or \"\" for all");
    if (step == NULL || (strcmp(step, "day") != 0 && strcmp(step, "hour") != 0))
        return error_set(ret_error, -EINVAL, "\"step\" is \"day\" or \"hour\"");

    json_t *points = json_array();
    int rc = census_series(live_census_take(live), order, step[0] == 'd' ? DAY_US : HOUR_US,
                           point_append, points);
    live_census_give_back(live);
    if (rc < 0) {
        json_decref(points);
        return rc;
    }
    *ret_result =
        json_pack("{s:o, s:s, s:o}", "order", text(order), "step", step, "points", points);
    return *ret_result == NULL ? -ENOMEM : 0;
}

/* ---- live ---- */

static json_t *time_text(int64_t at_us)
{
    char text[TIMESTAMP_SIZE];
    return json_string(timestamp_write(at_us / 1000000, text));
}

static json_t *event_json(const struct sink_event *event)
{
    const char *source =
        name_sources[event->name_source < COUNT(name_sources) ? event->name_source : 0];
    const char *ending =
        sink_ending_names[event->ending < SINK_ENDING_COUNT ? event->ending : SINK_CLOSED];
    const char *kind = sink_kind_names[event->kind < SINK_KIND_COUNT ? event->kind : SINK_UNKNOWN];
    return json_pack(
        "{s:o, s:s, s:b, s:i, s:s, s:s, s:o, s:o, s:b, s:b, s:o, s:s, s:o, s:o, s:I, "
        "s:o, s:o}",
        "at", time_text(event->at_us), "transport", event->transport == SINK_UDP ? "udp" : "tcp",
        "tls", (int)event->in_tls, "local_port", (int)event->local_port, "ending", ending, "kind",
        kind, "family", text(event->family), "version", text(event->version), "victim",
        (int)event->has_victim, "fake", (int)event->fake, "name", text(event->name), "name_source",
        source, "order", text(event->order), "ja4", text(event->ja4), "asn", (json_int_t)event->asn,
        "country", text(event->country), "octets", number(event->received));
}

static json_t *last_json(struct live_census *live, bool checkins, size_t count_max)
{
    struct sink_event events[LIVE_EVENTS_MAX];
    json_t *list = json_array();

    size_t count = live_census_last(live, checkins, count_max, events);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, event_json(&events[i]));
    return list;
}

/* A row of the view: what is cut by, and the few numbers that are shown of it. */
struct rows {
    json_t *list;
    enum census_by by;
};

static int row_append(void *context, const char *key, const struct census_figures *figures)
{
    const struct rows *rows = context;

    if (key[0] == '\0' || (rows->by == CENSUS_ASN && strcmp(key, "0") == 0))
        return 0; /* not known: no row of a table */
    json_t *name = rows->by == CENSUS_ASN ? json_integer(strtoll(key, NULL, 10)) : text(key);
    json_t *row = json_pack("{s:o, s:o, s:o, s:o, s:o}", by_names[rows->by], name, "proven",
                            number(figures->victims[CENSUS_PROVEN]), "likely",
                            number(figures->victims[CENSUS_LIKELY]), "fresh",
                            number(figures->fresh), "quiet", number(figures->quiet));
    return json_array_append_new(rows->list, row) < 0 ? -ENOMEM : 0;
}

static int classes_take(void *context, const char *key, const struct census_figures *figures)
{
    (void)key;
    for (size_t i = 0; i < CENSUS_CLASS_COUNT; i++)
        if (json_object_set_new(context, census_class_names[i], number(figures->victims[i])) < 0)
            return -ENOMEM;
    return 0;
}

static int hour_append(void *context, const struct census_point *point)
{
    json_t *value =
        json_pack("{s:o, s:o}", "at", time_text(point->at_us), "proven", number(point->seen));
    if (json_array_append_new(context, value) < 0)
        return -ENOMEM;
    return json_array_size(context) > HOURS_SHOWN ? json_array_remove(context, 0) : 0;
}

/* Fills what the census knows; the reader of events waits for this. */
static int census_add(const struct census *census, json_t *snapshot)
{
    static const struct {
        const char *key;
        enum census_by by;
    } tables[] = {{"families", CENSUS_FAMILY},
                  {"orders", CENSUS_ORDER},
                  {"countries", CENSUS_COUNTRY},
                  {"asns", CENSUS_ASN}};
    json_t *classes = json_object(), *series = json_array();
    int64_t at_us = now_us();

    json_object_set_new(snapshot, "classes", classes);
    json_object_set_new(snapshot, "series", series);
    int rc = census_cuts(census, at_us, CENSUS_ALL, 1, classes_take, classes);
    for (size_t i = 0; i < COUNT(tables) && rc == 0; i++) {
        struct rows rows = {.list = json_array(), .by = tables[i].by};
        json_object_set_new(snapshot, tables[i].key, rows.list);
        rc = census_cuts(census, at_us, rows.by, ROWS_SHOWN, row_append, &rows);
    }
    return rc == 0 ? census_series(census, "", HOUR_US, hour_append, series) : rc;
}

/* Adds what the census knows, made anew unless the last one is recent: a copy, since references are
 * counted without a lock. */
static int view_add(struct sink_view *view, struct live_census *live, json_t *snapshot)
{
    int rc = 0;

    pthread_mutex_lock(&view->mutex);
    int64_t began_us = clock_us(CLOCK_MONOTONIC);
    if (view->census == NULL || began_us - view->made_at_us > VIEW_REST * view->cost_us) {
        json_t *census = json_object();
        rc = census_add(live_census_take(live), census);
        live_census_give_back(live);
        if (rc == 0) {
            json_decref(view->census);
            view->census = json_incref(census);
            view->made_at_us = clock_us(CLOCK_MONOTONIC);
            view->cost_us = view->made_at_us - began_us;
        }
        json_decref(census);
    }
    if (rc == 0) {
        json_t *copy = json_deep_copy(view->census);
        rc = copy == NULL || json_object_update(snapshot, copy) < 0 ? -ENOMEM : 0;
        json_decref(copy);
    }
    pthread_mutex_unlock(&view->mutex);
    return rc;
}

static int live_run(void *context, const json_t *request, json_t **ret_result,
                    struct error *ret_error)
{
    struct sink_status *status = context;
    struct live_census *live = pipeline_census(status->pipeline);
    struct live_census_figures census;
    struct pipeline_figures figures;
    struct sensor_figures sensor;
    struct pipeline_rates rates;
    size_t count_max;

    int rc = count_argument(request, "events", 0, LIVE_EVENTS_MAX, &count_max, ret_error);
    if (rc < 0)
        return rc;
    pipeline_figures(status->pipeline, &figures);
    pipeline_rates(status->pipeline, &rates);
    live_census_figures(live, &census);
    sensor_figures(status->sensor, &sensor);
    json_t *snapshot = json_pack(
        "{s:I, s:b, s:{s:f, s:f, s:f}, s:o, s:o, s:o, s:o}", "uptime_s",
        (json_int_t)uptime_s(status), "caught_up", (int)census.is_caught_up, "rates", "connections",
        rates.flights, "events", rates.events, "checkins", rates.checkins, "open",
        number(sensor.open), "kinds", kinds_json(&figures), "last",
        last_json(live, true, CHECKINS_SHOWN), "events", last_json(live, false, count_max));
    if (snapshot == NULL)
        return -ENOMEM;
    rc = view_add(&status->view, live, snapshot);
    if (rc < 0) {
        json_decref(snapshot);
        return rc;
    }
    *ret_result = snapshot;
    return 0;
}

void sink_status_init(struct sink_status *status)
{
    *status = (struct sink_status){0};
    pthread_mutex_init(&status->view.mutex, NULL);
}

void sink_status_clear(struct sink_status *status)
{
    json_decref(status->view.census);
    pthread_mutex_destroy(&status->view.mutex);
}

const struct control_command sink_status_commands[] = {
    {"status", status_run, false},
    {"live", live_run, true},
    {"cuts", cuts_run, true},
    {"series", series_run, true},
};

const size_t sink_status_command_count = COUNT(sink_status_commands);
