/* From the tables and the name server into the cache. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk/hosts_internal.h"

const struct desk_config_plan *host_plan_find(const struct desk_config_hosts *config,
                                              const char *name)
{
    for (size_t i = 0; name != NULL && i < config->plan_count; i++)
        if (strcmp(config->plans[i].name, name) == 0)
            return &config->plans[i];
    return &config->plans[0];
}

/* ---- The tables ---- */

static enum host_life life_of(const char *state)
{
    if (strcmp(state, "active") == 0)
        return HOST_ACTIVE;
    return strcmp(state, "offline") == 0 ? HOST_OFFLINE : HOST_EXPIRED;
}

static int keys_read(struct store *store, const char *host, struct host_facts *facts,
                     struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT hash FROM host_keys WHERE host = $1 ORDER BY id LIMIT $2",
                         store_text(host), store_integer(HOST_KEYS_MAX));
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++) {
        size_t size;
        const uint8_t *hash = store_row_octets(rows, i, 0, &size);
        if (size == SECRET_HASH_SIZE)
            memcpy(facts->keys[facts->key_count++], hash, size);
    }
    return rc;
}

static int block_read(struct store *store, const char *name, int64_t now_s,
                      struct host_facts *facts, struct error *ret_error)
{
    struct block block;
    int rc = block_find(store, name, now_s, &block, ret_error);
    if (rc == -ENOENT)
        return 0;
    if (rc == 0) {
        memcpy(facts->blocked, block.reason, sizeof(facts->blocked));
        facts->blocked_until_s = block.until_s;
    }
    return rc;
}

static int host_read(struct store *store, const struct desk_config_hosts *config, const char *name,
                     struct host_facts *facts, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT h.id, h.account, h.state, h.aaaa_suffix, h.seen_at, a.plan, "
                         "a.state, h.clean FROM hosts h JOIN accounts a ON a.id = h.account "
                         "WHERE h.name = $1",
                         store_text(name));
    if (rc < 0 || store_rows_count(rows) == 0 || facts->zone == NULL)
        return rc;
    const char *suffix = store_row_text(rows, 0, 3);
    facts->life = life_of(store_row_text(rows, 0, 2));
    snprintf(facts->account, sizeof(facts->account), "%s", store_row_text(rows, 0, 1));
    facts->has_suffix =
        suffix != NULL && host_suffix_parse(suffix, facts->suffix, &facts->suffix_bits);
    facts->seen_s = store_row_integer(rows, 0, 4);
    facts->updates_per_hour = host_plan_find(config, store_row_text(rows, 0, 5))->updates_per_hour;
    facts->is_clean = store_row_integer(rows, 0, 7) != 0;
    if (strcmp(store_row_text(rows, 0, 6), "active") != 0)
        snprintf(facts->blocked, sizeof(facts->blocked), "account-suspended");
    return keys_read(store, store_row_text(rows, 0, 0), facts, ret_error);
}

int host_facts_read(struct store *store, const struct desk_config_hosts *config, const char *name,
                    int64_t now_s, struct host_facts *ret_facts, struct error *ret_error)
{
    memset(ret_facts, 0, sizeof(*ret_facts));
    ret_facts->zone = host_zone_find(config, name);
    int rc = host_read(store, config, name, ret_facts, ret_error);
    /* A block on the name says more than one of the account. */
    if (rc == 0)
        rc = block_read(store, name, now_s, ret_facts, ret_error);
    return rc;
}

/* ---- Loading ---- */

struct loading {
    struct host_work work; /* first: it is what the workers see */
    struct hosts *hosts;
    uint64_t serial;
    struct host_facts facts;
    char name[];
};

static void loading_fail(struct loading *loading, int rc)
{
    host_cache_fail(loading->hosts->cache, loading->name, loading->serial, rc);
    free(loading);
}

static void loading_end(struct loading *loading, const struct host_addresses *addresses)
{
    struct hosts *hosts = loading->hosts;
    if (!host_cache_fill(hosts->cache, loading->name, loading->serial, &loading->facts, addresses))
        free(loading);
    else if (!host_workers_take(hosts->loaders, &loading->work))
        loading_fail(loading, -EAGAIN);
}

/* With more than one address of a family the zone has something that updates did not make: the
 * next update puts it right. */
static void on_told(void *context, const struct dns_outcome *outcome,
                    const struct dns_addresses *told)
{
    struct loading *loading = context;
    struct host_addresses addresses = {0};

    if (outcome->result != DNS_DONE || told->a_count > 1 || told->aaaa_count > 1) {
        loading_end(loading, NULL);
        return;
    }
    addresses.has_a = told->a_count > 0;
    addresses.has_aaaa = told->aaaa_count > 0;
    memcpy(addresses.a, told->a, sizeof(addresses.a));
    memcpy(addresses.aaaa, told->aaaa, sizeof(addresses.aaaa));
    loading_end(loading, &addresses);
}

static void loading_run(struct host_work *work, struct store *store)
{
    struct loading *loading = (struct loading *)work;
    struct hosts *hosts = loading->hosts;
    struct host_facts *facts = &loading->facts;
    struct error error;

    int rc = host_facts_read(store, &hosts->desk->config->hosts, loading->name,
                             clock_now_s(hosts->desk->clock), facts, &error);
    if (rc < 0) {
        hosts_complain(hosts, loading->name, error.text);
        loading_fail(loading, rc);
        return;
    }
    bool is_served =
        (facts->life == HOST_ACTIVE || facts->life == HOST_OFFLINE) && facts->blocked[0] == '\0';
    if (!is_served || dns_updater_ask(hosts->desk->dns_updater, facts->zone->name, loading->name,
                                      on_told, loading, &error) < 0)
        loading_end(loading, NULL);
}

void host_load_start(struct hosts *hosts, const char *name, uint64_t serial)
{
    size_t size = strlen(name) + 1;
    struct loading *loading = malloc(sizeof(*loading) + size);
    if (loading == NULL) {
        host_cache_fail(hosts->cache, name, serial, -ENOMEM);
        return;
    }
    memcpy(loading->name, name, size);
    loading->hosts = hosts;
    loading->serial = serial;
    loading->work.run = loading_run;
    if (!host_workers_take(hosts->loaders, &loading->work))
        loading_fail(loading, -EAGAIN);
}
