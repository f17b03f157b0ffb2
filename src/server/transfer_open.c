#include <errno.h>
#include <libknot/descriptor.h>
#include <libknot/wire.h>
#include <syslog.h>
#include <time.h>

#include "base/rcu.h"
#include "dns/serial.h"
#include "server/soa_timers.h"
#include "server/transfer_sender_internal.h"
#include "zone/origin_link.h"
#include "zone/zone_view.h"

/* Memory for one difference: what the zone takes, within these. A larger one is told as the whole
 * zone. */
#define DIFFERENCE_OCTETS_MIN ((uint64_t)1 << 20)
#define DIFFERENCE_OCTETS_MAX ((uint64_t)32 << 20)

/* The end of an SOA's rdata (RFC 1035, 3.3.13): five numbers of four octets. */
#define SOA_NUMBERS_SIZE 20
#define SOA_EXPIRE       12

/* Remaining time of a secondary (RFC 7314, 2), or what the SOA says. */
static uint32_t expire_of(const struct zone *zone, uint32_t of_soa_s)
{
    if (zone->role != ZONE_SECONDARY)
        return of_soa_s;
    const int64_t left_s = atomic_load(&zone->expires_at) - (int64_t)time(NULL);
    return left_s > 0 ? (uint32_t)left_s : 0;
}

static int open_soa(const struct zone_data *data, struct transfer_out **ret_out)
{
    struct rrset soa;
    if (!name_entry_rrset(data->apex_entry, KNOT_RRTYPE_SOA, &soa))
        return -ENODATA;
    return transfer_out_soa(data->apex.wire, &soa, ret_out);
}

static int open_whole(struct transfer *transfer, struct zone_data *data)
{
    struct zone_view *view;
    const int rc = zone_view_open(data, &view);
    transfer->is_whole = rc == 0;
    return rc < 0 ? rc : transfer_out_axfr(view, &transfer->out);
}

static struct journal *present_journal(const struct transfer_sender *sender)
{
    return __atomic_load_n(sender->options.journal, __ATOMIC_ACQUIRE);
}

/* Whether the journal tells the way from the client's serial to the zone's present one. */
static bool has_difference(struct journal *journal, const struct transfer *transfer,
                           uint32_t serial)
{
    uint32_t first, last;
    return journal != NULL && journal_range(journal, transfer->apex.wire, &first, &last) == 0 &&
           last == serial && transfer->serial != last;
}

/* What a difference needs of the zone, as queries see it. False: it is not served. */
static bool look(const struct transfer_sender *sender, struct transfer *transfer,
                 uint32_t *ret_serial)
{
    const struct zone *zone =
        zone_set_find(rcu_dereference(sender->options.view->zones), &transfer->apex, 0);
    if (zone == NULL || zone->name.label_count != transfer->apex.label_count ||
        atomic_load(&zone->status) != ZONE_SERVING)
        return false;
    const struct zone_data *data = rcu_dereference(zone->data);
    const struct name_entry *apex = rcu_dereference(data->apex_entry);
    struct rrset soa;
    if (apex == NULL || !name_entry_rrset(apex, KNOT_RRTYPE_SOA, &soa))
        return false;
    const uint8_t *numbers = soa.data + soa.size - SOA_NUMBERS_SIZE;
    *ret_serial = knot_wire_read_u32(numbers);
    transfer->expire_s = expire_of(zone, knot_wire_read_u32(numbers + SOA_EXPIRE));
    transfer->zone_octets = zone_data_memory(data);
    return true;
}

/* Whether a difference may do, told without a lock: whoever changes the zone has its own while a
 * commit waits for the disk, and would seldom let a secondary in where one follows the other. */
static bool may_begin_at_once(const struct transfer_sender *sender, struct transfer *transfer)
{
    uint32_t serial;
    if (!transfer->is_ixfr || transfer_is_datagram(transfer))
        return false;
    rcu_register_thread();
    const bool is_served = look(sender, transfer, &serial);
    rcu_unregister_thread();
    return is_served && serial_is_newer(serial, transfer->serial) &&
           has_difference(present_journal(sender), transfer, serial);
}

/* Opens what needs the zone, under its `writer`. 1: a difference, which needs only the journal, may
 * do. */
static int open_locked(const struct transfer_sender *sender, struct transfer *transfer,
                       struct zone *zone, bool may_differ)
{
    struct zone_data *data = zone->data;
    if (atomic_load(&zone->status) != ZONE_SERVING || data->apex_entry == NULL)
        return -ENODATA;
    transfer->expire_s = expire_of(zone, data->soa.expire_s);
    transfer->zone_octets = zone_data_memory(data);
    const uint32_t serial = data->soa.serial;
    const bool is_current = transfer->is_ixfr && (transfer->serial == serial ||
                                                  serial_is_newer(transfer->serial, serial));
    if (is_current)
        return open_soa(data, &transfer->out);
    if (transfer_is_datagram(transfer)) {
        const int rc = transfer->soa == NULL ? open_soa(data, &transfer->soa) : 0;
        if (rc < 0)
            return rc;
    }
    if (transfer->is_ixfr && may_differ &&
        has_difference(present_journal(sender), transfer, serial))
        return 1;
    if (transfer_is_datagram(transfer)) {
        transfer->out = TAKE(transfer->soa);
        return 0;
    }
    return open_whole(transfer, data);
}

static int open_under_locks(const struct transfer_sender *sender, struct transfer *transfer,
                            bool may_differ)
{
    (void)pthread_mutex_lock(sender->options.writing);
    struct zone *zone = zone_set_find(sender->options.view->zones, &transfer->apex, 0);
    int rc = -ENOENT;
    if (zone != NULL && zone->name.label_count == transfer->apex.label_count) {
        (void)pthread_mutex_lock(&zone->writer);
        rc = open_locked(sender, transfer, zone, may_differ);
        (void)pthread_mutex_unlock(&zone->writer);
    }
    (void)pthread_mutex_unlock(sender->options.writing);
    return rc;
}

/* The difference, while the zone changes on. What is newer than the zone was at the look is as
 * right. */
static int open_difference(const struct sender_thread *thread, struct transfer *transfer)
{
    struct error error = {0};
    uint64_t octets_max = transfer->zone_octets;
    if (octets_max < DIFFERENCE_OCTETS_MIN)
        octets_max = DIFFERENCE_OCTETS_MIN;
    if (octets_max > DIFFERENCE_OCTETS_MAX)
        octets_max = DIFFERENCE_OCTETS_MAX;
    const int rc = transfer_out_ixfr(present_journal(thread->sender), transfer->apex.wire,
                                     transfer->serial, octets_max, &transfer->out, &error);
    if (rc == -EBADMSG)
        transfer_say(thread, transfer, LOG_WARNING, "%s: the whole zone is sent", error.text);
    return rc;
}

int transfer_open(const struct sender_thread *thread, struct transfer *transfer)
{
    const struct transfer_sender *sender = thread->sender;
    transfer->begun_ms = monotonic_ms();
    int rc = may_begin_at_once(sender, transfer) ? 1 : open_under_locks(sender, transfer, true);
    if (rc <= 0)
        return rc;
    rc = open_difference(thread, transfer);
    return rc < 0 ? open_under_locks(sender, transfer, false) : 0;
}
