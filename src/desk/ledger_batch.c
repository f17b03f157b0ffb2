#include "desk/ledger_batch.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "desk/clock.h"
#include "ledger/ledger_reader.h"

#define ENTRY_VERSION 1

/* Entries of one transaction that makes the index anew. */
#define RECORD_MAX 1000

enum { COLUMN_ID, COLUMN_AT, COLUMN_KIND, COLUMN_SUBJECT, COLUMN_CONTENT, COLUMN_PLACE };

/* ---- Entries ---- */

static char *entry_text(const struct store_rows *rows, size_t row)
{
    char time[CLOCK_TEXT_SIZE];
    json_t *data = json_loads(store_row_text(rows, row, COLUMN_CONTENT), 0, NULL);
    if (data == NULL)
        return NULL;
    json_t *entry = json_pack("{s:i, s:s, s:s, s:s, s:s?, s:o}", "v", ENTRY_VERSION, "id",
                              store_row_text(rows, row, COLUMN_ID), "time",
                              clock_text(store_row_integer(rows, row, COLUMN_AT) / 1000, time),
                              "kind", store_row_text(rows, row, COLUMN_KIND), "object",
                              store_row_text(rows, row, COLUMN_SUBJECT), "data", data);
    char *text = json_dumps(entry, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(entry);
    return text;
}

/* Takes rows, in their order, as the entries of a batch. */
static int entries_make(struct store_rows *rows, struct ledger_batch *ret_batch,
                        struct error *ret_error)
{
    struct ledger_batch *batch = ret_batch;
    *batch = (struct ledger_batch){.rows = rows};
    for (size_t i = 0; i < store_rows_count(rows); i++) {
        char *text = entry_text(rows, i);
        if (text == NULL) {
            int rc = error_set(ret_error, -ENOMEM, "out of memory for an entry of the ledger");
            ledger_batch_clear(batch);
            return rc;
        }
        batch->entries[batch->count++] =
            (struct ledger_entry){.octets = (const uint8_t *)text, .size = strlen(text)};
    }
    return 0;
}

int ledger_batch_fetch(struct store *store, struct ledger_batch *ret_batch, struct error *ret_error)
{
    struct store_rows *rows;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT id, at, kind, subject, content FROM ledger_queue "
                         "WHERE taken = 0 ORDER BY id LIMIT $1",
                         store_integer(LEDGER_BATCH_MAX));
    return rc < 0 ? rc : entries_make(rows, ret_batch, ret_error);
}

void ledger_batch_clear(struct ledger_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        free((void *)batch->entries[i].octets);
    store_rows_free(batch->rows);
    batch->rows = NULL;
    batch->count = 0;
    batch->is_appended = false;
}

/* ---- The index ---- */

static int place_record(struct store *store, uint64_t place, const char *id, const char *kind,
                        const char *subject, struct error *ret_error)
{
    int rc = store_change(store, NULL, ret_error,
                          "INSERT INTO ledger_entries (place, id, kind, subject) "
                          "VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                          store_integer((int64_t)place), store_text(id), store_text(kind),
                          store_text(subject));
    if (rc == 0)
        rc = store_change(store, NULL, ret_error, "UPDATE ledger_queue SET taken = 1 WHERE id = $1",
                          store_text(id));
    return rc;
}

static int batch_record_do(struct store *store, void *context, struct error *ret_error)
{
    const struct ledger_batch *batch = context;
    int rc = 0;
    for (size_t i = 0; i < batch->count && rc == 0; i++)
        rc = place_record(store, batch->first + i, store_row_text(batch->rows, i, COLUMN_ID),
                          store_row_text(batch->rows, i, COLUMN_KIND),
                          store_row_text(batch->rows, i, COLUMN_SUBJECT), ret_error);
    return rc;
}

int ledger_batch_record(struct store *store, const struct ledger_batch *batch,
                        struct error *ret_error)
{
    assert(batch->is_appended);
    return store_transact(store, batch_record_do, (void *)batch, ret_error);
}

static int index_size(struct store *store, uint64_t *ret_size, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc =
        store_query(store, &rows, ret_error,
                    "SELECT MAX(place) FROM ledger_entries WHERE place >= $1", store_integer(0));
    if (rc == 0)
        *ret_size = store_row_is_null(rows, 0, 0) ? 0 : (uint64_t)store_row_integer(rows, 0, 0) + 1;
    return rc;
}

/* ---- Bringing tree and index together ---- */

struct reconciliation {
    struct ledger_log *log;
    const char *folder;
    struct ledger_source source;
    uint64_t log_size, from, to;
};

static int apart(const char *folder, const char *what, struct error *error)
{
    return error_set_at(error, -EBADMSG, folder, 0,
                        "%s: the ledger and the database do not belong together; restore both from "
                        "one backup, nothing was changed",
                        what);
}

static int entry_parse(const struct reconciliation *work, uint64_t place, json_t **ret_entry,
                       struct error *ret_error)
{
    uint8_t *octets;
    size_t size;
    int rc = ledger_entry_read(&work->source, place, work->log_size, &octets, &size, ret_error);
    if (rc < 0)
        return rc;
    json_t *entry = json_loadb((const char *)octets, size, 0, NULL);
    free(octets);
    if (json_string_value(json_object_get(entry, "id")) == NULL ||
        json_string_value(json_object_get(entry, "kind")) == NULL) {
        json_decref(entry);
        return apart(work->folder, "an entry is none of this desk's", ret_error);
    }
    *ret_entry = entry;
    return 0;
}

/* The last entry that both know is the same one. */
static int tail_compare(struct store *store, const struct reconciliation *work, uint64_t place,
                        struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    json_t *entry;
    int rc = store_query(store, &rows, ret_error, "SELECT id FROM ledger_entries WHERE place = $1",
                         store_integer((int64_t)place));
    if (rc == 0)
        rc = entry_parse(work, place, &entry, ret_error);
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) == 0 ||
        strcmp(store_row_text(rows, 0, 0), json_string_value(json_object_get(entry, "id"))) != 0)
        rc = apart(work->folder, "their last common entry differs", ret_error);
    json_decref(entry);
    return rc;
}

static int record_do(struct store *store, void *context, struct error *ret_error)
{
    const struct reconciliation *work = context;
    int rc = 0;
    for (uint64_t place = work->from; place < work->to && rc == 0; place++) {
        json_t *entry;
        rc = entry_parse(work, place, &entry, ret_error);
        if (rc < 0)
            break;
        rc = place_record(store, place, json_string_value(json_object_get(entry, "id")),
                          json_string_value(json_object_get(entry, "kind")),
                          json_string_value(json_object_get(entry, "object")), ret_error);
        json_decref(entry);
    }
    return rc;
}

/* The tree is ahead: a kill came between the append and its record, or the database is the older
 * copy. */
static int index_catch_up(struct store *store, struct reconciliation *work, uint64_t index,
                          struct error *ret_error)
{
    int rc = 0;
    for (work->from = index; work->from < work->log_size && rc == 0; work->from = work->to) {
        work->to = work->from + RECORD_MAX;
        if (work->to > work->log_size)
            work->to = work->log_size;
        rc = store_transact(store, record_do, work, ret_error);
    }
    if (rc == 0)
        log_event(LOG_INFO, "the ledger's index got %" PRIu64 " entries that the tree had already",
                  work->log_size - index);
    return rc;
}

static int append_again(struct store *store, struct reconciliation *work, uint64_t index,
                        uint64_t *ret_count, struct error *ret_error)
{
    struct ledger_batch *batch = calloc(1, sizeof(*batch));
    struct store_rows *rows;
    uint64_t size = ledger_log_size(work->log), first;
    if (batch == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for a batch of the ledger");
    int rc = store_query(store, &rows, ret_error,
                         "SELECT q.id, q.at, q.kind, q.subject, q.content, e.place "
                         "FROM ledger_entries e JOIN ledger_queue q ON q.id = e.id "
                         "WHERE e.place >= $1 ORDER BY e.place LIMIT $2",
                         store_integer((int64_t)size), store_integer(LEDGER_BATCH_MAX));
    if (rc == 0)
        rc = entries_make(rows, batch, ret_error);
    for (size_t i = 0; rc == 0 && i < batch->count; i++)
        if (store_row_integer(batch->rows, i, COLUMN_PLACE) != (int64_t)(size + i))
            rc = apart(work->folder, "the folder lacks entries", ret_error);
    if (rc == 0 && batch->count == 0 && size < index)
        rc = apart(work->folder, "the folder lacks entries", ret_error);
    if (rc == 0)
        rc = ledger_log_append(work->log, batch->entries, batch->count, &first, ret_error);
    if (rc == 0)
        *ret_count = batch->count;
    ledger_batch_clear(batch);
    free(batch);
    return rc;
}

/* The index is ahead: the folder is the older copy. */
static int tree_catch_up(struct store *store, struct reconciliation *work, uint64_t index,
                         struct error *ret_error)
{
    uint64_t count = 0;
    int rc = 0;
    while (rc == 0 && ledger_log_size(work->log) < index)
        rc = append_again(store, work, index, &count, ret_error);
    if (rc == 0)
        log_event(LOG_WARNING,
                  "the ledger's folder lacked %" PRIu64
                  " entries that had been told already; they are there again, the same ones",
                  index - work->log_size);
    return rc;
}

int ledger_reconcile(struct store *store, struct ledger_log *log, const char *folder,
                     struct error *ret_error)
{
    struct reconciliation work = {
        .log = log,
        .folder = folder,
        .source = {.read = ledger_folder_read, .context = (void *)folder},
        .log_size = ledger_log_size(log),
    };
    uint64_t index = 0;
    int rc = index_size(store, &index, ret_error);
    const uint64_t common = index < work.log_size ? index : work.log_size;
    if (rc == 0 && common > 0)
        rc = tail_compare(store, &work, common - 1, ret_error);
    if (rc == 0 && index < work.log_size)
        rc = index_catch_up(store, &work, index, ret_error);
    if (rc == 0 && index > work.log_size)
        rc = tree_catch_up(store, &work, index, ret_error);
    return rc;
}
