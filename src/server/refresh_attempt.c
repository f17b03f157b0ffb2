/* One attempt of the refresher: an exchange with one origin, without the lock. */
#include <errno.h>
#include <stdarg.h>
#include <syslog.h>
#include <time.h>

#include "dns/serial.h"
#include "server/refresh_internal.h"
#include "server/soa_timers.h"
#include "zone/origin_link.h"

/* When more than twice the zone goes or comes, the zone itself is the shorter way; a small one may
 * change as it likes. */
#define CHANGES_MIN 10000

void refresh_log(const struct refresher *refresher, int level, const char *format, ...)
{
    char text[1800];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    refresher->handlers.log(refresher->handlers.context, level, text);
}

void attempt_clear(struct attempt *attempt)
{
    zone_data_free(attempt->data);
    attempt->data = NULL;
    ixfr_result_clear(&attempt->ixfr);
}

void attempt_failed(const struct refresher *refresher, struct secondary *secondary,
                    const struct attempt *attempt, const struct error *error)
{
    if (attempt->code == -ECANCELED)
        return;
    atomic_fetch_add(&secondary->zone->transfer_failures, 1);
    zone_last_error_set(secondary->zone, error->text);
    refresh_log(refresher, LOG_WARNING, "%s: %s", secondary->zone->text, error->text);
}

void attempt_log_success(const struct refresher *refresher, const struct secondary *secondary,
                         const struct attempt *attempt)
{
    const struct transfer_report *report = &attempt->report;
    const char *zone = secondary->zone->text;
    if (attempt->has_changes)
        refresh_log(refresher, LOG_INFO,
                    "%s: serial %u to %u from %s: %zu changes, %llu octets, %.1f s", zone,
                    attempt->serial, attempt->soa.serial, attempt->origin,
                    attempt->ixfr.differences.count, (unsigned long long)report->octets,
                    report->duration_ms / 1000.0);
    else
        refresh_log(refresher, LOG_INFO, "%s: serial %u from %s: %llu records, %llu octets, %.1f s",
                    zone, attempt->soa.serial, attempt->origin,
                    (unsigned long long)attempt->record_count, (unsigned long long)report->octets,
                    report->duration_ms / 1000.0);
    if (report->refused > 0)
        refresh_log(refresher, LOG_WARNING, "%s: %llu records from %s refused, the first: %s", zone,
                    (unsigned long long)report->refused, attempt->origin, report->first_refused);
}

/* Whether a serial at the origin is worth a transfer; otherwise the attempt is settled. */
static bool serial_is_wanted(struct attempt *attempt, uint32_t serial, struct error *ret_error)
{
    if (!attempt->had_data || serial_is_newer(serial, attempt->serial))
        return true;
    if (serial == attempt->serial)
        attempt->is_current = true;
    else
        attempt->code = error_set(ret_error, -ESTALE,
                                  "%s has serial %u, older than our %u, which is kept: raise the "
                                  "serial there",
                                  attempt->origin, serial, attempt->serial);
    return false;
}

static int check_digest(const struct refresher *refresher, const struct secondary *secondary,
                        const struct attempt *attempt, const struct zone_data *data,
                        struct error *ret_error)
{
    enum zonemd_result result;
    struct error cause;
    const int rc = zonemd_check(data, secondary->zonemd, &result, &cause);
    if (rc < 0)
        return error_set(ret_error, rc, "serial %u from %s is refused: %s", data->soa.serial,
                         attempt->origin, cause.text);
    if (result == ZONEMD_NOT_OURS)
        refresh_log(refresher, LOG_INFO,
                    "%s: serial %u from %s has a ZONEMD of no scheme and hash that we know: taken "
                    "unchecked",
                    secondary->zone->text, data->soa.serial, attempt->origin);
    return 0;
}

/* Takes a whole zone that came, unless it is not wanted or not to be trusted. */
static void take_whole(const struct refresher *refresher, const struct secondary *secondary,
                       struct attempt *attempt, struct zone_data *came,
                       const struct transfer_report *report, struct error *ret_error)
{
    _cleanup_(zone_data_freep) struct zone_data *data = came;

    attempt->report = *report;
    if (report->expire_s != EXPIRE_UNTOLD)
        attempt->expire_s = report->expire_s;
    /* The server that answers a transfer need not be the one that answered the SOA query. */
    if (!serial_is_wanted(attempt, data->soa.serial, ret_error))
        return;
    attempt->code = check_digest(refresher, secondary, attempt, data, ret_error);
    if (attempt->code < 0)
        return;
    attempt->soa = data->soa;
    attempt->record_count = data->record_count;
    data->source = (struct zone_source){.kind = ZONE_SOURCE_TRANSFER,
                                        .checked_at = attempt->started_at -
                                                      soa_age_s(&data->soa, attempt->expire_s)};
    attempt->data = TAKE(data);
}

/* Asks for what has changed. Returns false when a whole transfer is to follow. */
static bool attempt_changes(const struct refresher *refresher, const struct secondary *secondary,
                            const struct transfer_source *source, uint32_t announced,
                            struct attempt *attempt, struct error *ret_error)
{
    const struct zone *zone = secondary->zone;
    const uint64_t twice = 2 * zone->data->record_count; /* nobody else changes it */
    const struct ixfr_request request = {
        .serial = attempt->serial,
        .serial_announced = announced,
        .changes_max = twice > CHANGES_MIN ? twice : CHANGES_MIN,
    };
    struct ixfr_result *result = &attempt->ixfr;

    attempt->code = transfer_ixfr(source, zone->name.wire, &request, result, ret_error);
    if (attempt->code < 0)
        return true;
    switch (result->outcome) {
    case IXFR_USELESS:
        refresh_log(refresher, result->useless.code == -EBADMSG ? LOG_WARNING : LOG_INFO,
                    "%s: all of the zone is transferred, since its changes did not come: %s",
                    zone->text, result->useless.text);
        return false;
    case IXFR_WHOLE:
        take_whole(refresher, secondary, attempt, TAKE(result->data), &result->report, ret_error);
        return true;
    case IXFR_DIFFERENCES:
        break;
    }
    attempt->has_changes = true;
    attempt->soa = result->soa;
    attempt->report = result->report;
    if (result->report.expire_s != EXPIRE_UNTOLD)
        attempt->expire_s = result->report.expire_s;
    return true;
}

void attempt_run(const struct refresher *refresher, const struct secondary *secondary,
                 struct attempt *attempt, struct error *ret_error)
{
    struct transfer_source source = secondary->sources[secondary->source];
    const uint8_t *apex = secondary->zone->name.wire;

    source.cancel_fd = refresher->cancel_fd;
    origin_text(source.origin, source.origin_size, attempt->origin);
    attempt->started_ms = monotonic_ms();
    attempt->started_at = (int64_t)time(NULL);

    if (attempt->had_data) {
        struct soa soa;
        attempt->code = transfer_soa(&source, apex, &soa, &attempt->expire_s, ret_error);
        if (attempt->code < 0 || !serial_is_wanted(attempt, soa.serial, ret_error))
            return;
        if (!attempt->wants_whole && refresher->handlers.change != NULL &&
            attempt_changes(refresher, secondary, &source, soa.serial, attempt, ret_error))
            return;
    }

    struct zone_data *data;
    struct transfer_report report;
    attempt->code = transfer_axfr(&source, apex, &data, &report, ret_error);
    if (attempt->code == 0)
        take_whole(refresher, secondary, attempt, data, &report, ret_error);
}
