/* Zones and changes that come by transfer.
 *
 * Changes go into a zone in place when that is possible, and are in the journal before anyone sees
 * them. Else the zone is built anew with them, checked, and published as a whole one is. What a
 * secondary's journal has saves a longer transfer after a restart and nothing else: where it fails,
 * the zone follows its origin all the same, and the chain of commits begins anew. The restart
 * replays a chain that begins at the snapshot's serial and drops any other, so a crash between the
 * publication of a whole zone and journal_forget() leaves either the old serial or the new one.
 */
#include "server/server_transfers.h"

#include <errno.h>
#include <libknot/descriptor.h>
#include <string.h>
#include <time.h>

#include "server/log.h"
#include "server/server_internal.h"
#include "zone/difference.h"
#include "zone/journal.h"
#include "zone/origin_link.h"
#include "zone/zone_edit.h"
#include "zone/zone_rebuild.h"

#define TYPE_ZONEMD 63 /* RFC 8976, 5.1 */

/* ---- Whole zones ---- */

int server_take_zone(void *context, struct zone *zone, struct zone_data *data)
{
    struct server *server = context;
    /* A publication may wait for an activation; what a catalog lists no more does not. */
    order_zones_arrives(server->order_zones, zone, data);
    return server_publish(server, zone, data);
}

/* ---- Changes ---- */

/* How changes can be made. */
enum way { WAY_IN_PLACE, WAY_REBUILD, WAY_NONE };

static enum way way_of(const struct zone_data *data, const struct change_list *list,
                       enum zonemd_policy policy)
{
    bool is_rebuilt = data->chain != NULL || zonemd_is_wanted(data, policy);
    enum way way = is_rebuilt ? WAY_REBUILD : WAY_IN_PLACE;
    struct change change;
    for (size_t at = 0; change_list_next(list->octets, list->size, &at, &change);) {
        switch (change.after.type) {
        case KNOT_RRTYPE_NSEC3PARAM:
            /* The chain that it names has come before it; what came then need not be here still
             * (struct zone_data, strays). */
            return WAY_NONE;
        case KNOT_RRTYPE_NSEC:
        case KNOT_RRTYPE_NSEC3:
        case KNOT_RRTYPE_RRSIG:
            way = WAY_REBUILD;
            break;
        case TYPE_ZONEMD:
            if (policy != ZONEMD_IGNORE)
                way = WAY_REBUILD;
            break;
        default:
            break;
        }
    }
    return way;
}

static void keep_in_journal(struct server *server, const struct zone *zone,
                            const struct refresh_changes *changes, const struct change_list *list)
{
    if (server->journal == NULL)
        return;
    char author[ORIGIN_TEXT_MAX];
    snprintf(author, sizeof(author), "%s", changes->origin);
    author[strcspn(author, "@")] = '\0';
    const char *const authors[] = {author};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const struct commit commit = {
        .apex = zone->name.wire,
        .serial_from = changes->serial_from,
        .serial_to = changes->soa.serial,
        .at_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000,
        .kind = COMMIT_TRANSFER,
        .authors = authors,
        .author_count = 1,
        .changes = list->octets,
        .changes_size = list->size,
    };
    struct error error;
    int rc = journal_write(server->journal, &commit, 1, &error);
    if (rc == -ESTALE) {
        /* An earlier write failed, or the zone came whole: the chain begins anew. */
        rc = journal_forget(server->journal, zone->name.wire, &error);
        if (rc == 0)
            rc = journal_write(server->journal, &commit, 1, &error);
    }
    if (rc < 0)
        server_log(LOG_WARNING,
                   "zone %s: changes to serial %u are served, but not kept for a restart: %s",
                   zone->text, changes->soa.serial, error.text);
}

static int change_in_place(struct server *server, struct zone *zone,
                           const struct refresh_changes *changes, const struct change_list *list,
                           struct error *ret_error)
{
    _cleanup_(zone_edit_endp) struct zone_edit *edit = NULL;
    int rc = zone_edit_begin(zone->data, &edit, ret_error);
    if (rc < 0)
        return rc == -ENOMEM ? rc : -EBADMSG;
    rc = zone_edit_apply(edit, list->octets, list->size, false, ret_error);
    if (rc < 0)
        return rc == -ENOMEM ? rc : -EBADMSG;
    rc = zone_edit_prepare(edit);
    if (rc < 0)
        return rc == -ENOMEM ? error_set(ret_error, rc, "out of memory")
                             : error_set(ret_error, -EBADMSG, "they leave what is no zone");
    keep_in_journal(server, zone, changes, list);
    zone_edit_commit(edit);
    return 0;
}

static int take_in_place(struct server *server, struct zone *zone,
                         const struct refresh_changes *changes, const struct change_list *list,
                         struct error *ret_error)
{
    pthread_mutex_lock(&zone->writer);
    const int rc = change_in_place(server, zone, changes, list, ret_error);
    if (rc == 0)
        server_zone_changed(server, zone, list->size);
    pthread_mutex_unlock(&zone->writer);
    if (rc < 0)
        return rc;
    atomic_store(&zone->loaded_at, time(NULL));
    atomic_store(&zone->status, ZONE_SERVING);
    return 0;
}

static int take_rebuilt(struct server *server, struct zone *zone, const struct zone_hold *hold,
                        const struct refresh_changes *changes, const struct change_list *list,
                        struct error *ret_error)
{
    _cleanup_(zone_data_freep) struct zone_data *data = NULL;
    enum zonemd_result ignored;

    int rc = zone_rebuild(hold, list->octets, list->size, &data, ret_error);
    if (rc < 0)
        return rc;
    rc = zonemd_check(data, changes->zonemd, &ignored, ret_error);
    if (rc < 0)
        return rc == -ENOMEM ? rc : -EBADMSG;
    data->source =
        (struct zone_source){.kind = ZONE_SOURCE_TRANSFER, .checked_at = changes->checked_at};
    rc = server_take_zone(server, zone, data);
    if (rc < 0)
        return error_set(ret_error, rc, "no memory to serve the new copy of the zone");
    data = NULL;
    return 0;
}

static int take_changes(struct server *server, struct zone *zone, const struct zone_hold *hold,
                        const struct refresh_changes *changes, struct change_list *list,
                        struct error *ret_error)
{
    const struct difference_base base = {
        .apex = &zone->name, .find = zone_hold_find, .context = hold};
    const int rc = difference_list_resolve(changes->differences, &base, list, ret_error);
    if (rc < 0)
        return rc;

    switch (way_of(hold->data, list, changes->zonemd)) {
    case WAY_IN_PLACE:
        return take_in_place(server, zone, changes, list, ret_error);
    case WAY_REBUILD:
        return take_rebuilt(server, zone, hold, changes, list, ret_error);
    case WAY_NONE:
        break;
    }
    return error_set(ret_error, -EBADMSG, "they replace the chain of NSEC3 records");
}

int server_take_changes(void *context, struct zone *zone, const struct refresh_changes *changes,
                        struct error *ret_error)
{
    struct server *server = context;
    struct change_list list = {.octets = NULL};
    /* Nobody else edits or replaces the data of a secondary; marks that come and go meanwhile may
     * replace its table. */
    struct zone_hold hold;
    zone_data_hold(zone->data, &hold);
    const int rc = take_changes(server, zone, &hold, changes, &list, ret_error);
    zone_hold_release(&hold);
    change_list_clear(&list);
    return rc;
}
