/* Customers' hosts and their updates, as a part of the desk. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "desk/host_jobs.h"
#include "desk/host_sync.h"
#include "desk/host_update.h"
#include "desk/hosts_internal.h"
#include "desk/parts.h"

/* What waits for the database beyond this is answered with 911: clients come again. */
#define LOADS_WAITING_MAX     100000
#define PASSWORDS_WAITING_MAX 200 /* some seconds of work */

#define BODY_MAX   8192
#define IMPORT_MAX (1 << 20)

#define RETRY_FIRST_S 1
#define RETRY_MAX_S   60

/* ---- What others may do ---- */

void hosts_forget(struct desk *desk, const char *name)
{
    if (desk->hosts == NULL)
        return;
    /* Whatever is below one of our hosts is none. */
    if (host_zone_find(&desk->config->hosts, name) != NULL)
        host_cache_forget(desk->hosts->cache, name);
    else
        host_cache_forget_below(desk->hosts->cache, name);
}

void hosts_forget_account(struct desk *desk, const char *account)
{
    if (desk->hosts == NULL)
        return;
    host_credentials_forget(desk->hosts->credentials, account);
    host_cache_forget_account(desk->hosts->cache, account);
}

void hosts_complain(struct hosts *hosts, const char *name, const char *why)
{
    int_fast64_t now_s = clock_now_s(hosts->desk->clock);
    if (atomic_exchange(&hosts->complained_s, now_s) != now_s)
        log_event(LOG_WARNING, "update of %s: %s", name, why);
}

/* ---- Starting and ending ---- */

static void hosts_free(struct hosts *hosts)
{
    host_workers_stop(hosts->loaders);
    host_workers_stop(hosts->passwords);
    host_cache_free(hosts->cache);
    host_credentials_free(hosts->credentials);
    for (size_t i = 0; i < SYNC_LOCKS; i++)
        pthread_mutex_destroy(&hosts->sync_locks[i]);
    free(hosts);
}

static int hosts_start(struct desk *desk, struct error *ret_error)
{
    const struct desk_config_hosts *config = &desk->config->hosts;
    struct hosts *hosts = calloc(1, sizeof(*hosts));
    if (hosts == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for hosts");
    hosts->desk = desk;
    for (size_t i = 0; i < SYNC_LOCKS; i++)
        pthread_mutex_init(&hosts->sync_locks[i], NULL);
    int rc = host_cache_create(config->cache_max, &hosts->cache, ret_error);
    if (rc == 0)
        rc = host_credentials_create(config->cache_max, &hosts->credentials, ret_error);
    if (rc == 0)
        rc = host_workers_start(desk, config->loaders, LOADS_WAITING_MAX, &hosts->loaders,
                                ret_error);
    if (rc == 0)
        rc = host_workers_start(desk, 1, PASSWORDS_WAITING_MAX, &hosts->passwords, ret_error);
    if (rc < 0) {
        hosts_free(hosts);
        return rc;
    }
    desk->hosts = hosts;
    return 0;
}

static void hosts_stop(struct desk *desk)
{
    struct store *store;
    struct error ignored;
    /* What was seen since the last run of the job. */
    if (desk_store_open(desk, &store, &ignored) == 0) {
        int rc = host_seen_job(desk, store, clock_now_s(desk->clock), &ignored);
        (void)rc;
        store_close(store);
    }
    hosts_free(desk->hosts);
    desk->hosts = NULL;
}

static void hosts_metrics(struct desk *desk, FILE *stream)
{
    static const char *const names[UPDATE_CODES] = {
        [UPDATE_GOOD] = "good",         [UPDATE_NOCHG] = "nochg",     [UPDATE_NOHOST] = "nohost",
        [UPDATE_NOTFQDN] = "notfqdn",   [UPDATE_ABUSE] = "abuse",     [UPDATE_LIMITED] = "limited",
        [UPDATE_DNSERR] = "dnserr",     [UPDATE_FAILED] = "911",      [UPDATE_BADAUTH] = "badauth",
        [UPDATE_BADAGENT] = "badagent", [UPDATE_NUMHOST] = "numhost",
    };
    struct host_cache_figures figures;

    host_cache_figures_get(desk->hosts->cache, &figures);
    fputs("# TYPE tamis_desk_updates_total counter\n", stream);
    for (size_t i = 0; i < UPDATE_CODES; i++)
        if (names[i] != NULL)
            fprintf(stream, "tamis_desk_updates_total{code=\"%s\"} %" PRIu64 "\n", names[i],
                    atomic_load(&desk->hosts->updates[i]));
    fprintf(stream,
            "# TYPE tamis_desk_host_cache_hits_total counter\n"
            "tamis_desk_host_cache_hits_total %" PRIu64 "\n"
            "# TYPE tamis_desk_host_cache_misses_total counter\n"
            "tamis_desk_host_cache_misses_total %" PRIu64 "\n"
            "# TYPE tamis_desk_host_cache_evicted_total counter\n"
            "tamis_desk_host_cache_evicted_total %" PRIu64 "\n"
            "# TYPE tamis_desk_host_cache_entries gauge\ntamis_desk_host_cache_entries %zu\n",
            figures.hits, figures.misses, figures.evicted, figures.entries);
}

/* ---- Tables ---- */

#define OWNERS  (ROLE_CUSTOMER | ROLE_OPERATOR)
#define READERS (OWNERS | ROLE_ANALYST | ROLE_APPROVER | ROLE_AUDITOR)

static const struct route routes[] = {
    {"GET", "/nic/update", ROLE_PUBLIC, 0, nic_update, .fast = true, .changes = true,
     .tells_own = true},
    {"GET", "/update", ROLE_PUBLIC, 0, duck_update, .fast = true, .changes = true,
     .tells_own = true},
    {"GET", "/", ROLE_PUBLIC, 0, desec_update, .fast = true, .changes = true, .tells_own = true},
    {"GET", "/v1/hosts", READERS, SCOPE_HOSTS_READ, host_list},
    {"POST", "/v1/hosts", OWNERS, SCOPE_HOSTS_WRITE, host_create, .body_max = BODY_MAX},
    {"POST", "/v1/hosts/imports", OWNERS, SCOPE_HOSTS_WRITE, host_import, .body_max = IMPORT_MAX,
     .body_type = "*"},
    {"GET", "/v1/hosts/{name}", READERS, SCOPE_HOSTS_READ, host_get},
    {"PATCH", "/v1/hosts/{name}", OWNERS, SCOPE_HOSTS_WRITE, host_patch, .body_max = BODY_MAX},
    {"DELETE", "/v1/hosts/{name}", OWNERS, SCOPE_HOSTS_WRITE, host_delete},
    {"POST", "/v1/hosts/{name}/keys", OWNERS, SCOPE_HOSTS_WRITE, host_key_create,
     .body_max = BODY_MAX},
    {"DELETE", "/v1/hosts/{name}/keys/{id}", OWNERS, SCOPE_HOSTS_WRITE, host_key_delete},
    {"PUT", "/v1/hosts/{name}/txt", OWNERS, SCOPE_HOSTS_WRITE, host_txt_put, .body_max = BODY_MAX},
    {"DELETE", "/v1/hosts/{name}/txt", OWNERS, SCOPE_HOSTS_WRITE, host_txt_delete},
};

static const struct job jobs[] = {
    {"block.expire", 10, block_expire_job},
    {"host.expire", 3600, host_expire_job},
    {"host.seen", 300, host_seen_job},
};

/* Never given up: what is blocked or deleted has to go, whenever the name server comes back. */
static const struct outbox_kind outbox_kinds[] = {
    {HOST_SYNC_KIND, host_sync_deliver, RETRY_FIRST_S, RETRY_MAX_S, 0},
};

const struct desk_part part_hosts = {
    .name = "hosts",
    .routes = ROUTE_TABLE(routes),
    .jobs = jobs,
    .job_count = sizeof(jobs) / sizeof(jobs[0]),
    .outbox_kinds = outbox_kinds,
    .outbox_kind_count = sizeof(outbox_kinds) / sizeof(outbox_kinds[0]),
    .start = hosts_start,
    .stop = hosts_stop,
    .metrics = hosts_metrics,
};
