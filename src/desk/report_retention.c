/* What is kept of reports, and for how long. */
#include <errno.h>

#include "desk/desk.h"
#include "desk/reports_internal.h"

#define DAY_S (24 * 3600)

/* A file younger than this may belong to a report that is just being written down. */
#define ORPHAN_AGE_S 3600

/* Reports whose evidence one run lets go. */
#define REPORTS_MAX 1000

/* Evidence, the reporter's address and the client's go together, some time after nothing is to be
 * decided any more; what was reported and decided stays. */
static int reports_strip(struct store *store, int64_t before_s, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(
        store, &rows, ret_error,
        "UPDATE reports SET answer_to = NULL, client = NULL, description = '' WHERE id IN (SELECT "
        "id FROM reports WHERE state <> 'open' AND state <> 'noticed' AND COALESCE(acted_at, "
        "decided_at, received_at) < $1 AND (answer_to IS NOT NULL OR client IS NOT NULL OR "
        "description <> '' OR id IN (SELECT report FROM report_evidence)) LIMIT $2) RETURNING id",
        store_integer(before_s), store_integer(REPORTS_MAX));
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++)
        rc = store_change(store, NULL, ret_error, "DELETE FROM report_evidence WHERE report = $1",
                          store_text(store_row_text(rows, i, 0)));
    return rc;
}

struct strip {
    int64_t before_s;
};

static int strip_do(struct store *store, void *context, struct error *ret_error)
{
    const struct strip *strip = context;
    int rc = reports_strip(store, strip->before_s, ret_error);
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "DELETE FROM evidence WHERE hash NOT IN (SELECT hash FROM "
                          "report_evidence WHERE hash IS NOT NULL)");
    return rc;
}

struct sweep {
    struct desk *desk;
    struct store *store;
};

/* A file goes when no row names it: after a crash between file and row, or after the row went. */
static int file_sweep(const char *hash, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct sweep *sweep = context;
    int rc = store_query(sweep->store, &rows, ret_error, "SELECT 1 FROM evidence WHERE hash = $1",
                         store_text(hash));
    if (rc < 0 || store_rows_count(rows) > 0)
        return rc;
    return evidence_remove(sweep->desk->config->state, hash, ret_error);
}

int report_retention_run(struct desk *desk, struct store *store, int64_t now_s,
                         struct error *ret_error)
{
    struct strip strip = {now_s - (int64_t)desk->config->reports.evidence_days * DAY_S};
    int rc = store_transact(store, strip_do, &strip, ret_error);
    if (rc == 0)
        rc = evidence_visit(desk->config->state, now_s - ORPHAN_AGE_S, file_sweep,
                            &(struct sweep){desk, store}, ret_error);
    return rc;
}
