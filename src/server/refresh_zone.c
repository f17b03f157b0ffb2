#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <time.h>

#include "server/refresh_internal.h"
#include "server/soa_timers.h"
#include "zone/origin_link.h"

/* Between two checks that NOTIFYs ask for: a storm of them becomes five queries a second. */
#define POKE_INTERVAL_MS 200

/* A zone whose origins are all being given a rest comes back this much after the rest at most, so
 * that a thousand such zones do not come in one moment. */
#define GATED_SPREAD_MS 500

/* What one attempt came to. */
struct attempt {
    bool had_data;   /* when it began, of an origin */
    uint32_t serial; /* of that data */
    int code;
    int64_t started_ms;
    int64_t started_at;     /* Unix seconds */
    struct zone_data *data; /* NULL: nothing new */
    bool is_current;        /* the origin has what we have */
};

__attribute__((format(printf, 3, 4))) static void log_line(const struct refresher *refresher,
                                                           int level, const char *format, ...)
{
    char text[1800];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    refresher->handlers.log(refresher->handlers.context, level, text);
}

/* ---- The time between rounds ---- */

static void wait_until(struct refresher *refresher, struct secondary *secondary, int64_t due_ms)
{
    secondary->state = SECONDARY_WAITING;
    timer_set(&refresher->timers, &secondary->check, due_ms);
    /* Only the scheduler is woken by it when it is not the one who sets it: the write costs little
     * beside the exchange that led here. */
    if (timer_heap_first(&refresher->timers) == &secondary->check)
        eventfd_write(refresher->wake_fd, 1);
}

static void mark_tried(struct refresher *refresher, struct secondary *secondary)
{
    if (secondary->was_tried)
        return;
    secondary->was_tried = true;
    refresher->tried_count++;
    pthread_cond_broadcast(&refresher->settled);
}

void secondary_start(struct refresher *refresher, struct secondary *secondary, int64_t now_ms)
{
    struct zone *zone = secondary->zone;
    const struct zone_data *data = zone->data; /* nobody else replaces it yet */

    if (atomic_load(&zone->status) != ZONE_SERVING || data == NULL || data->apex_entry == NULL) {
        wait_until(refresher, secondary, now_ms);
        return;
    }

    secondary->has_data = true;
    secondary->soa = data->soa;
    mark_tried(refresher, secondary);
    if (atomic_load(&zone->checked_at) == 0) {
        /* No origin ever gave this data: the zone was a primary, whose serials say nothing about
         * the origin's. It serves until a whole copy is here. */
        const int64_t left_s = atomic_load(&zone->expires_at) - (int64_t)time(NULL);
        secondary->is_foreign = true;
        timer_set(&refresher->timers, &secondary->expiry, now_ms + left_s * 1000);
        wait_until(refresher, secondary, now_ms);
        return;
    }

    /* Carried over from an earlier configuration or run: its timers go on. */
    int64_t age_ms = ((int64_t)time(NULL) - atomic_load(&zone->checked_at)) * 1000;
    if (age_ms < 0)
        age_ms = 0;
    timer_set(&refresher->timers, &secondary->expiry,
              now_ms - age_ms + soa_expire_ms(&secondary->soa));
    const int64_t due_ms = now_ms - age_ms + soa_refresh_ms(&secondary->soa);
    wait_until(refresher, secondary, due_ms > now_ms ? due_ms : now_ms);
}

/* ---- A round ---- */

/* When one of the zone's origins may be asked again. */
static int64_t gate_opens_ms(const struct secondary *secondary, int64_t now_ms)
{
    int64_t opens_ms = INT64_MAX;
    for (size_t i = 0; i < secondary->source_count; i++)
        if (secondary->origins[i]->retry_at_ms < opens_ms)
            opens_ms = secondary->origins[i]->retry_at_ms;
    if (opens_ms < now_ms + GATED_SPREAD_MS)
        opens_ms = now_ms + GATED_SPREAD_MS; /* a probe is under way */
    return opens_ms + arc4random_uniform(GATED_SPREAD_MS);
}

static void round_end(struct refresher *refresher, struct secondary *secondary, int64_t now_ms)
{
    int64_t due_ms;

    if (secondary->was_good) {
        secondary->failures = 0;
        due_ms = now_ms + soa_refresh_ms(&secondary->soa);
    } else if (!secondary->was_attempted) {
        due_ms = gate_opens_ms(secondary, now_ms);
        if (!secondary->was_tried)
            zone_last_error_set(secondary->zone,
                                "no origin of the zone answers, as other zones found: see theirs");
    } else if (secondary->has_data) {
        due_ms = now_ms + soa_retry_ms(&secondary->soa);
    } else {
        due_ms = now_ms + backoff_ms(++secondary->failures);
    }
    mark_tried(refresher, secondary);

    secondary->wanted = 0;
    const bool rechecks = secondary->rechecks;
    secondary->rechecks = false;
    wait_until(refresher, secondary, due_ms);
    if (rechecks)
        secondary_poked(refresher, secondary, secondary->recheck_hint, now_ms);
}

/* Goes on with the next source that was not tried in this round: the last good one, then in the
 * order of the configuration. */
static void round_go_on(struct refresher *refresher, struct secondary *secondary, int64_t now_ms)
{
    for (size_t i = 0; i <= secondary->source_count; i++) {
        const size_t source = i == 0 ? secondary->good_source : i - 1;
        if ((secondary->tried >> source & 1) != 0 ||
            !refresh_origin_admits(secondary->origins[source], now_ms))
            continue;
        secondary->tried |= UINT64_C(1) << source;
        secondary->source = source;
        refresh_origin_queue(refresher, secondary);
        return;
    }
    round_end(refresher, secondary, now_ms);
}

void secondary_check(struct refresher *refresher, struct secondary *secondary, int64_t now_ms)
{
    secondary->tried = 0;
    secondary->was_attempted = secondary->was_good = false;
    secondary->round_started_ms = now_ms;
    round_go_on(refresher, secondary, now_ms);
}

void secondary_poked(struct refresher *refresher, struct secondary *secondary, uint32_t hint,
                     int64_t now_ms)
{
    if (hint != 0 && secondary->has_data && !secondary->is_foreign &&
        !serial_is_newer(hint, secondary->soa.serial))
        return;

    if (secondary->state == SECONDARY_RUNNING) {
        /* Two hints for one check: only an open question covers both. */
        secondary->recheck_hint = secondary->rechecks && secondary->recheck_hint != hint ? 0 : hint;
        secondary->rechecks = true;
        return;
    }
    secondary->wanted = hint;
    if (secondary->state == SECONDARY_QUEUED)
        return;

    /* Who notifies is up, so its rest ends; one probe at a time remains the rule. */
    for (size_t i = 0; i < secondary->source_count; i++)
        if (secondary->origins[i]->retry_at_ms > now_ms)
            secondary->origins[i]->retry_at_ms = now_ms;
    const int64_t earliest_ms = secondary->round_started_ms + POKE_INTERVAL_MS;
    const int64_t due_ms = earliest_ms > now_ms ? earliest_ms : now_ms;
    if (due_ms < secondary->check.due_ms)
        wait_until(refresher, secondary, due_ms);
}

/* ---- Handlers, one at a time per zone ---- */

static void handler_begin(struct refresher *refresher, struct secondary *secondary)
{
    while (secondary->in_handler)
        pthread_cond_wait(&refresher->settled, &refresher->lock);
    secondary->in_handler = true;
}

static void handler_end(struct refresher *refresher, struct secondary *secondary)
{
    secondary->in_handler = false;
    pthread_cond_broadcast(&refresher->settled);
}

void secondary_expire(struct refresher *refresher, struct secondary *secondary)
{
    /* A publication under way sets the timer anew, and it alone knows to when. */
    if (secondary->in_handler || !secondary->has_data)
        return;
    handler_begin(refresher, secondary);
    secondary->has_data = false;
    secondary->failures = 0;
    pthread_mutex_unlock(&refresher->lock);

    refresher->handlers.expire(refresher->handlers.context, secondary->zone);
    log_line(refresher, LOG_ERR,
             "%s: expired with serial %u, answers SERVFAIL until an origin gives the zone again",
             secondary->zone->text, secondary->soa.serial);

    pthread_mutex_lock(&refresher->lock);
    handler_end(refresher, secondary);
    /* A check of the old data says nothing any more: ask for the whole zone. */
    if (secondary->state == SECONDARY_WAITING)
        wait_until(refresher, secondary, monotonic_ms());
}

/* ---- An attempt, without the lock ---- */

/* Whether a serial at the origin is worth a transfer; otherwise the attempt is settled. */
static bool serial_is_wanted(struct attempt *attempt, uint32_t serial, const char *origin,
                             struct error *ret_error)
{
    if (!attempt->had_data || serial_is_newer(serial, attempt->serial))
        return true;
    if (serial == attempt->serial)
        attempt->is_current = true;
    else
        attempt->code = error_set(ret_error, -ESTALE,
                                  "%s has serial %u, older than our %u, which is kept: raise the "
                                  "serial there",
                                  origin, serial, attempt->serial);
    return false;
}

static void attempt_transfer(const struct refresher *refresher, const struct secondary *secondary,
                             const struct transfer_source *source, const char *origin,
                             struct attempt *attempt, struct error *ret_error)
{
    const char *zone = secondary->zone->text;
    _cleanup_(zone_data_freep) struct zone_data *data = NULL;
    struct transfer_report report;

    attempt->code = transfer_axfr(source, secondary->zone->name.wire, &data, &report, ret_error);
    /* The server that answers a transfer need not be the one that answered the SOA query. */
    if (attempt->code < 0 || !serial_is_wanted(attempt, data->soa.serial, origin, ret_error))
        return;

    log_line(refresher, LOG_INFO, "%s: serial %u from %s: %llu records, %llu octets, %.1f s", zone,
             data->soa.serial, origin, (unsigned long long)data->record_count,
             (unsigned long long)report.octets, report.duration_ms / 1000.0);
    if (report.refused > 0)
        log_line(refresher, LOG_WARNING, "%s: %llu records from %s refused, the first: %s", zone,
                 (unsigned long long)report.refused, origin, report.first_refused);
    data->source =
        (struct zone_source){.kind = ZONE_SOURCE_TRANSFER, .checked_at = attempt->started_at};
    attempt->data = TAKE(data);
}

static void attempt_run(const struct refresher *refresher, const struct secondary *secondary,
                        struct attempt *attempt, struct error *ret_error)
{
    struct transfer_source source = secondary->sources[secondary->source];
    char origin[ORIGIN_TEXT_MAX];
    struct soa soa;

    source.cancel_fd = refresher->cancel_fd;
    origin_text(source.origin, source.origin_size, origin);
    attempt->started_ms = monotonic_ms();
    attempt->started_at = (int64_t)time(NULL);

    if (attempt->had_data) {
        attempt->code = transfer_soa(&source, secondary->zone->name.wire, &soa, ret_error);
        if (attempt->code < 0)
            return;
        if (!serial_is_wanted(attempt, soa.serial, origin, ret_error))
            return;
    }
    attempt_transfer(refresher, secondary, &source, origin, attempt, ret_error);
}

static void attempt_failed(const struct refresher *refresher, struct secondary *secondary,
                           const struct attempt *attempt, const struct error *error)
{
    if (attempt->code == -ECANCELED)
        return;
    atomic_fetch_add(&secondary->zone->transfer_failures, 1);
    zone_last_error_set(secondary->zone, error->text);
    log_line(refresher, LOG_WARNING, "%s: %s", secondary->zone->text, error->text);
}

/* ---- Its result, with the lock ---- */

/* The data is good until the SOA's expire time after this attempt began. */
static void checked(struct refresher *refresher, struct secondary *secondary,
                    const struct attempt *attempt)
{
    struct zone *zone = secondary->zone;
    const int64_t expire_ms = soa_expire_ms(&secondary->soa);
    secondary->was_good = true;
    timer_set(&refresher->timers, &secondary->expiry, attempt->started_ms + expire_ms);
    atomic_store(&zone->checked_at, attempt->started_at);
    atomic_store(&zone->expires_at, attempt->started_at + expire_ms / 1000);
    zone_last_error_set(zone, "");
}

static void publish(struct refresher *refresher, struct secondary *secondary,
                    struct attempt *attempt)
{
    /* An expiry that is being handled comes first, this data after it. */
    handler_begin(refresher, secondary);
    pthread_mutex_unlock(&refresher->lock);

    const struct soa soa = attempt->data->soa;
    attempt->code =
        refresher->handlers.publish(refresher->handlers.context, secondary->zone, attempt->data);
    if (attempt->code < 0) {
        const struct error error = {.text = "no memory to serve the new copy of the zone"};
        zone_data_free(attempt->data);
        attempt_failed(refresher, secondary, attempt, &error);
    } else {
        atomic_fetch_add(&secondary->zone->transfers, 1);
    }
    attempt->data = NULL;

    pthread_mutex_lock(&refresher->lock);
    handler_end(refresher, secondary);
    if (attempt->code < 0) {
        /* It may have gone off unseen meanwhile. */
        if (secondary->has_data)
            timer_set(&refresher->timers, &secondary->expiry, secondary->expiry.due_ms);
        return;
    }
    secondary->has_data = true;
    secondary->is_foreign = false;
    secondary->soa = soa;
    checked(refresher, secondary, attempt);
}

/* Whether the origin, though its answer is good, lags behind the one that notified. */
static bool lags(const struct secondary *secondary)
{
    return secondary->wanted != 0 && serial_is_newer(secondary->wanted, secondary->soa.serial);
}

static void attempt_settle(struct refresher *refresher, struct secondary *secondary,
                           struct attempt *attempt)
{
    const bool expired_meanwhile = attempt->had_data && !secondary->has_data;

    if (attempt->data != NULL) {
        publish(refresher, secondary, attempt);
    } else if (attempt->is_current && !expired_meanwhile) {
        checked(refresher, secondary, attempt);
    } else if (attempt->is_current) {
        secondary->tried &= ~(UINT64_C(1) << secondary->source); /* again, the whole zone */
    }

    const int64_t now_ms = monotonic_ms();
    if (secondary->was_good && attempt->code == 0)
        secondary->good_source = secondary->source;
    if (secondary->was_good && !lags(secondary)) {
        round_end(refresher, secondary, now_ms);
    } else {
        round_go_on(refresher, secondary, now_ms);
    }
}

void secondary_attempt(struct refresher *refresher, struct secondary *secondary,
                       enum origin_health began_as)
{
    struct refresh_origin *origin = secondary->origins[secondary->source];
    struct attempt attempt = {.had_data = secondary->has_data && !secondary->is_foreign,
                              .serial = secondary->soa.serial};
    struct error error = {.code = 0};
    struct secondary *orphans;

    pthread_mutex_unlock(&refresher->lock);
    attempt_run(refresher, secondary, &attempt, &error);
    if (attempt.code < 0)
        attempt_failed(refresher, secondary, &attempt, &error);
    pthread_mutex_lock(&refresher->lock);

    const int64_t now_ms = monotonic_ms();
    refresh_origin_done(refresher, origin, began_as, attempt.code, now_ms, &orphans);
    while (orphans != NULL) {
        struct secondary *orphan = orphans;
        orphans = orphan->next_queued;
        round_go_on(refresher, orphan, now_ms);
    }
    attempt_settle(refresher, secondary, &attempt);
    /* Room for one more of this health. */
    pthread_cond_broadcast(&refresher->work);
}
