#include "desk/host_sync.h"

#include <errno.h>
#include <libknot/descriptor.h>
#include <sodium.h>
#include <string.h>

#include "desk/host_tables.h"
#include "desk/hosts_internal.h"

#define ACME_LABEL "_acme-challenge" /* RFC 8555, 8.4 */

int host_sync_put(struct store *store, int64_t now_ms, const char *name, struct error *ret_error)
{
    char id[ID_SIZE];
    json_t *payload = json_pack("{s:s}", "name", name);
    if (payload == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for what is to be sent");
    int rc = outbox_put(store, now_ms, HOST_SYNC_KIND, payload, now_ms / 1000, id, ret_error);
    json_decref(payload);
    return rc;
}

void host_sync_settle(struct desk *desk, const char *name)
{
    hosts_forget(desk, name);
    outbox_wake(desk);
}

/* ---- What the zone is to have ---- */

struct wanted {
    bool is_served, wildcard, is_clean;
    char host[ID_SIZE];
    struct store_rows *txt;
};

static int wanted_read(struct store *store, const char *name, int64_t now_s,
                       struct wanted *ret_wanted, struct error *ret_error)
{
    struct host_row row;
    struct block block;

    *ret_wanted = (struct wanted){0};
    int rc = block_find(store, name, now_s, &block, ret_error);
    if (rc != -ENOENT)
        return rc; /* 0: it is blocked, so it has nothing */
    rc = host_row_find(store, name, &row, ret_error);
    if (rc == -ENOENT || (rc == 0 && strcmp(row.state, "active") != 0))
        return 0;
    if (rc == 0)
        rc = store_query(store, &ret_wanted->txt, ret_error,
                         "SELECT value FROM host_txt WHERE host = $1 ORDER BY value",
                         store_text(row.id));
    if (rc < 0)
        return rc;
    ret_wanted->is_served = true;
    ret_wanted->wildcard = row.wildcard;
    ret_wanted->is_clean = row.is_clean;
    memcpy(ret_wanted->host, row.id, sizeof(row.id));
    return 0;
}

/* A host in wire form, for the wildcard's CNAME. The name is well-formed. */
static size_t wire_make(const char *name, uint8_t ret_wire[static HOST_NAME_SIZE + 1])
{
    size_t used = 0;
    for (;;) {
        size_t size = strcspn(name, ".");
        ret_wire[used++] = (uint8_t)size;
        memcpy(ret_wire + used, name, size);
        used += size;
        if (name[size] == '\0')
            break;
        name += size + 1;
    }
    ret_wire[used++] = 0;
    return used;
}

/* The wildcard is a CNAME to the host: its addresses need no second copy. */
static int zone_change(struct hosts *hosts, const struct desk_config_zone *zone, const char *name,
                       const struct wanted *wanted, struct error *ret_error)
{
    uint8_t wire[HOST_NAME_SIZE + 1], rcode;
    struct dns_value txt[HOST_TXT_MAX], target = {wire, (uint16_t)wire_make(name, wire)};
    size_t txt_count = wanted->txt != NULL ? store_rows_count(wanted->txt) : 0;

    txt_count = txt_count < HOST_TXT_MAX ? txt_count : HOST_TXT_MAX;
    for (size_t i = 0; i < txt_count; i++) {
        const char *value = store_row_text(wanted->txt, i, 0);
        txt[i] = (struct dns_value){value, (uint16_t)strlen(value)};
    }
    const struct dns_set sets[] = {
        {.below = "*",
         .type = KNOT_RRTYPE_CNAME,
         .ttl_s = zone->ttl_s,
         .values = &target,
         .count = wanted->wildcard},
        {.below = ACME_LABEL,
         .type = KNOT_RRTYPE_TXT,
         .ttl_s = zone->ttl_s,
         .values = txt,
         .count = txt_count},
    };
    const struct dns_change change = {
        .zone = zone->name,
        .host = name,
        .remove = !wanted->is_served || !wanted->is_clean,
        .sets = sets,
        .set_count = wanted->is_served ? sizeof(sets) / sizeof(sets[0]) : 0,
    };
    return dns_updater_change(hosts->desk->dns_updater, &change, &rcode, ret_error);
}

static pthread_mutex_t *lock_of(struct hosts *hosts, const char *name)
{
    uint8_t hash[crypto_generichash_BYTES_MIN];
    crypto_generichash(hash, sizeof(hash), (const uint8_t *)name, strlen(name), NULL, 0);
    return &hosts->sync_locks[hash[0] % SYNC_LOCKS];
}

int host_sync_now(struct hosts *hosts, struct store *store, const char *name,
                  struct error *ret_error)
{
    const struct desk_config_zone *zone = host_zone_find(&hosts->desk->config->hosts, name);
    pthread_mutex_t *lock = lock_of(hosts, name);
    struct wanted wanted;

    if (zone == NULL)
        return 0; /* a block on a name that is none of ours */
    /* Two who bring the same name in line do so one after the other: who reads last writes last. */
    pthread_mutex_lock(lock);
    /* Before it is read: an update that goes by what was cached is with the updater by now, before
     * this. */
    host_cache_forget(hosts->cache, name);
    int rc = wanted_read(store, name, clock_now_s(hosts->desk->clock), &wanted, ret_error);
    if (rc == 0)
        rc = zone_change(hosts, zone, name, &wanted, ret_error);
    /* Until this is noted no update comes through: what is cleared is never a new address. */
    if (rc == 0 && wanted.is_served && !wanted.is_clean)
        rc = store_change(store, NULL, ret_error, "UPDATE hosts SET clean = 1 WHERE id = $1",
                          store_text(wanted.host));
    /* And after, as what was loaded meanwhile may have asked before this was made. */
    host_cache_forget(hosts->cache, name);
    store_rows_free(wanted.txt);
    pthread_mutex_unlock(lock);
    return rc;
}

int host_sync_deliver(struct desk *desk, struct store *store, const struct outbox_item *item,
                      struct error *ret_error)
{
    const char *name = json_string_value(json_object_get(item->payload, "name"));
    if (name == NULL)
        return error_set(ret_error, -ECANCELED, "the row names no host");
    return host_sync_now(desk->hosts, store, name, ret_error);
}
