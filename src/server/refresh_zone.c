#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <time.h>

#include "dns/serial.h"
#include "server/refresh_internal.h"
#include "server/soa_timers.h"
#include "zone/origin_link.h"

/* Between two checks that NOTIFYs ask for: a storm of them becomes five queries a second. A zone
 * that a check has found changed may be looked at sooner, since it may change all the time; who
 * makes NOTIFYs up cannot make that happen. Each transfer leaves a port in TIME_WAIT for a minute
 * here, so that much less than this would use them up with a few dozen such zones of one origin. */
#define POKE_INTERVAL_MS     200
#define POKE_INTERVAL_NEW_MS 40

/* A zone whose origins are all being given a rest comes back this much after the rest at most, so
 * that a thousand such zones do not come in one moment. */
#define GATED_SPREAD_MS 500

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
    const int64_t due_ms =
        now_ms - age_ms + soa_refresh_ms(&secondary->soa, soa_expire_ms(&secondary->soa));
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
        due_ms = now_ms + soa_refresh_ms(&secondary->soa, secondary->expiry.due_ms - now_ms);
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
    secondary->was_attempted = secondary->was_good = secondary->brought_news = false;
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
    const int64_t earliest_ms = secondary->round_started_ms +
                                (secondary->brought_news ? POKE_INTERVAL_NEW_MS : POKE_INTERVAL_MS);
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
    refresh_log(refresher, LOG_ERR,
                "%s: expired with serial %u, answers SERVFAIL until an origin gives the zone again",
                secondary->zone->text, secondary->soa.serial);

    pthread_mutex_lock(&refresher->lock);
    handler_end(refresher, secondary);
    /* A check of the old data says nothing any more: ask for the whole zone. */
    if (secondary->state == SECONDARY_WAITING)
        wait_until(refresher, secondary, monotonic_ms());
}

/* ---- What an attempt came to ---- */

/* The data is good until the SOA's expire time after this attempt began, less what it has spent of
 * that at an origin that is a secondary itself (RFC 7314). A check that finds the same serial there
 * never takes time away (RFC 7314, 4). */
static void checked(struct refresher *refresher, struct secondary *secondary,
                    const struct attempt *attempt)
{
    struct zone *zone = secondary->zone;
    const struct soa *soa = &secondary->soa;
    const int64_t expire_ms = soa_expire_ms(soa);
    const int64_t age_s = soa_age_s(soa, attempt->expire_s);
    const int64_t expiry_ms = attempt->started_ms - age_s * 1000 + expire_ms;

    secondary->was_good = true;
    zone_last_error_set(zone, "");
    if (attempt->is_current && secondary->expiry.place != 0 &&
        expiry_ms <= secondary->expiry.due_ms)
        return;
    timer_set(&refresher->timers, &secondary->expiry, expiry_ms);
    atomic_store(&zone->checked_at, attempt->started_at - age_s);
    atomic_store(&zone->expires_at, attempt->started_at - age_s + expire_ms / 1000);
}

/* Without the lock: hands over what came. */
static int deliver(struct refresher *refresher, struct secondary *secondary,
                   struct attempt *attempt, struct error *ret_error)
{
    const struct refresh_handlers *handlers = &refresher->handlers;
    if (!attempt->has_changes) {
        const int rc = handlers->publish(handlers->context, secondary->zone, attempt->data);
        if (rc < 0)
            return error_set(ret_error, rc, "no memory to serve the new copy of the zone");
        attempt->data = NULL;
        return 0;
    }

    const struct refresh_changes changes = {
        .differences = &attempt->ixfr.differences,
        .serial_from = attempt->serial,
        .soa = attempt->soa,
        .origin = attempt->origin,
        .checked_at = attempt->started_at - soa_age_s(&attempt->soa, attempt->expire_s),
        .zonemd = secondary->zonemd,
    };
    return handlers->change(handlers->context, secondary->zone, &changes, ret_error);
}

/* Changes that do not fit say that the origin's zone and ours differ: only the whole of it helps,
 * and from the same origin. */
static void distrust_changes(struct refresher *refresher, struct secondary *secondary,
                             struct attempt *attempt, const struct error *error)
{
    refresh_log(refresher, LOG_WARNING,
                "%s: the changes from %s are refused and all of the zone is transferred: %s",
                secondary->zone->text, attempt->origin, error->text);
    secondary->distrusts_changes = true;
    secondary->tried &= ~(UINT64_C(1) << secondary->source);
}

static void publish(struct refresher *refresher, struct secondary *secondary,
                    struct attempt *attempt)
{
    /* An expiry that is being handled comes first, this data after it. */
    handler_begin(refresher, secondary);
    pthread_mutex_unlock(&refresher->lock);

    struct error error = {.code = 0};
    attempt->code = deliver(refresher, secondary, attempt, &error);
    const bool misfits = attempt->has_changes && attempt->code == -EBADMSG;
    if (attempt->code == 0) {
        attempt_log_success(refresher, secondary, attempt);
        atomic_fetch_add(&secondary->zone->transfers, 1);
    } else if (!misfits) {
        attempt_failed(refresher, secondary, attempt, &error);
    }

    pthread_mutex_lock(&refresher->lock);
    handler_end(refresher, secondary);
    if (misfits)
        distrust_changes(refresher, secondary, attempt, &error);
    if (attempt->code < 0) {
        /* It may have gone off unseen meanwhile. */
        if (secondary->has_data)
            timer_set(&refresher->timers, &secondary->expiry, secondary->expiry.due_ms);
        return;
    }
    secondary->has_data = true;
    secondary->is_foreign = false;
    secondary->distrusts_changes = false;
    secondary->brought_news = true;
    secondary->soa = attempt->soa;
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

    if (attempt->data != NULL || attempt->has_changes) {
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
                              .wants_whole = secondary->distrusts_changes,
                              .serial = secondary->soa.serial,
                              .expire_s = EXPIRE_UNTOLD};
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
    attempt_clear(&attempt);
    /* Room for one more of this health. */
    pthread_cond_broadcast(&refresher->work);
}
