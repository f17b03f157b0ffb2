/* What happens to hosts with time: when they were last used is written down, and blocks end. */
#include "desk/host_jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk/block.h"
#include "desk/hosts_internal.h"

/* Blocks that one run takes. */
#define BATCH 100

/* How often a host's time of use is worth a write. */
#define SEEN_STEP_S 3600

/* ---- When hosts were last used ---- */

struct seen {
    char name[HOST_NAME_SIZE];
    int64_t seen_s;
};

struct seen_list {
    struct seen *list;
    size_t count;
};

#define SEEN_BATCH 1000

static void seen_collect(struct host_entry *entry, void *context)
{
    struct seen_list *seen = context;
    if (entry->life == HOST_NONE || entry->seen_s - entry->seen_stored_s < SEEN_STEP_S ||
        seen->count == SEEN_BATCH)
        return;
    struct seen *one = &seen->list[seen->count++];
    snprintf(one->name, sizeof(one->name), "%s", entry->name);
    one->seen_s = entry->seen_s;
    entry->seen_stored_s = entry->seen_s;
}

static int seen_write(struct store *store, void *context, struct error *ret_error)
{
    const struct seen_list *seen = context;
    int rc = 0;
    for (size_t i = 0; i < seen->count && rc == 0; i++)
        rc = store_change(store, NULL, ret_error,
                          "UPDATE hosts SET seen_at = $1, notices = 0 WHERE name = $2 AND "
                          "seen_at < $3",
                          store_integer(seen->list[i].seen_s), store_text(seen->list[i].name),
                          store_integer(seen->list[i].seen_s));
    return rc;
}

/* What a crash loses is at most what was seen since the last run: an hour of a host's month. */
int host_seen_job(struct desk *desk, struct store *store, int64_t now_s, struct error *ret_error)
{
    struct seen_list seen = {.list = calloc(SEEN_BATCH, sizeof(struct seen))};
    int rc = 0;

    (void)now_s;
    if (seen.list == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for what was seen");
    do {
        seen.count = 0;
        host_cache_each(desk->hosts->cache, seen_collect, &seen);
        if (seen.count > 0)
            rc = store_transact(store, seen_write, &seen, ret_error);
    } while (rc == 0 && seen.count == SEEN_BATCH);
    free(seen.list);
    return rc;
}

/* ---- Blocks ---- */

struct block_end {
    const char *name;
    int64_t now_s;
};

/* It may have been prolonged or lifted since it was listed. */
static int block_end_do(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct block_end *end = context;
    const struct change change = {.now_ms = end->now_s * 1000};
    int rc = store_query(store, &rows, ret_error,
                         "SELECT name FROM blocks WHERE name = $1 AND until <= $2",
                         store_text(end->name), store_integer(end->now_s));
    if (rc < 0 || store_rows_count(rows) == 0)
        return rc;
    return block_lift(store, &change, end->name, ret_error);
}

/* A block ends by its time alone; this brings back what the tables say of the host. */
int block_expire_job(struct desk *desk, struct store *store, int64_t now_s, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT name FROM blocks WHERE until <= $1 ORDER BY name LIMIT $2",
                         store_integer(now_s), store_integer(BATCH));
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++) {
        struct block_end end = {.name = store_row_text(rows, i, 0), .now_s = now_s};
        rc = store_transact(store, block_end_do, &end, ret_error);
        block_settle(desk, end.name);
    }
    return rc;
}
