/* Reports in bulk, from reporters whom the operator trusts: CSV (RFC 4180) with the columns name,
 * class, and optionally description and observed_at. Each record is a report of its own; what is
 * wrong with one is told with its line and keeps no other out. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk/csv.h"
#include "desk/desk.h"
#include "desk/reports_internal.h"

/* All are one transaction, which so many keep short. */
#define RECORDS_MAX 1000

enum { COLUMN_NAME, COLUMN_CLASS, COLUMN_DESCRIPTION, COLUMN_OBSERVED, COLUMN_COUNT };

static const char *const column_names[COLUMN_COUNT] = {"name", "class", "description",
                                                       "observed_at"};

/* Where each column is in a record; -1: it is not there. */
struct columns {
    int at[COLUMN_COUNT];
};

struct entry {
    unsigned line;
    struct report_intake *intake; /* owned; NULL: `problem` says why */
    const char *problem;
    struct report_receipt receipt;
};

struct bulk {
    struct request *request;
    struct entry *entries; /* owned */
    size_t count;
};

static void bulk_clear(struct bulk *bulk)
{
    for (size_t i = 0; i < bulk->count; i++)
        report_intake_free(bulk->entries[i].intake);
    free(bulk->entries);
}

static int head_read(const struct csv_record *record, struct columns *ret_columns,
                     struct error *ret_error)
{
    for (size_t c = 0; c < COLUMN_COUNT; c++)
        ret_columns->at[c] = -1;
    for (size_t i = 0; i < record->count; i++) {
        size_t c = 0;
        while (c < COLUMN_COUNT && strcmp(column_names[c], record->fields[i]) != 0)
            c++;
        if (c == COLUMN_COUNT)
            return error_set(ret_error, -EINVAL,
                             "the column \"%.60s\" is not known: write name, class, description "
                             "and observed_at into the first line",
                             record->fields[i]);
        ret_columns->at[c] = (int)i;
    }
    if (ret_columns->at[COLUMN_NAME] < 0 || ret_columns->at[COLUMN_CLASS] < 0)
        return error_set(ret_error, -EINVAL,
                         "the columns name and class are missing: name the columns in the first "
                         "line");
    return 0;
}

static const char *field(const struct csv_record *record, const struct columns *columns, size_t c)
{
    int at = columns->at[c];
    return at >= 0 && (size_t)at < record->count ? record->fields[at] : "";
}

/* Returns what is wrong, or NULL. */
static const char *record_read(const struct csv_record *record, const struct columns *columns,
                               struct report_intake *intake)
{
    const char *observed = field(record, columns, COLUMN_OBSERVED);
    const char *description = field(record, columns, COLUMN_DESCRIPTION);

    intake->report_class = report_class_find(field(record, columns, COLUMN_CLASS));
    if (intake->report_class == NULL)
        return "the class is not known";
    if (!report_names_add_url(&intake->names, field(record, columns, COLUMN_NAME)))
        return "the name is no host name";
    if (observed[0] != '\0' && !clock_parse(observed, &intake->observed_s))
        return "observed_at is no time: write it as 2026-11-23T12:00:00Z";
    report_intake_describe(intake, description, strlen(description));
    return NULL;
}

static int entry_read(const struct csv_record *record, const struct columns *columns,
                      struct entry *entry, struct error *ret_error)
{
    entry->line = record->line;
    entry->intake = report_intake_create("bulk");
    if (entry->intake == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for a report");
    entry->problem = record_read(record, columns, entry->intake);
    if (entry->problem != NULL) {
        report_intake_free(entry->intake);
        entry->intake = NULL;
    }
    return 0;
}

static int text_read(char *text, struct bulk *bulk, struct error *ret_error)
{
    struct csv_record record;
    struct columns columns;
    struct csv csv;

    csv_open(&csv, text);
    int more = csv_next(&csv, &record);
    int rc = more > 0 ? head_read(&record, &columns, ret_error)
                      : error_set(ret_error, -EINVAL,
                                  "there is no CSV: name the columns in the "
                                  "first line");
    while (rc == 0 && (more = csv_next(&csv, &record)) > 0) {
        if (bulk->count == RECORDS_MAX)
            return error_set(ret_error, -EMSGSIZE,
                             "there are too many records: send at most %d at a time", RECORDS_MAX);
        rc = entry_read(&record, &columns, &bulk->entries[bulk->count++], ret_error);
    }
    if (rc == 0 && more < 0)
        rc = error_set(ret_error, -EINVAL,
                       "line %u is no CSV: quote fields with commas, quotes or line ends",
                       record.line);
    return rc;
}

static int all_take(struct store *store, void *context, struct error *ret_error)
{
    struct bulk *bulk = context;
    int rc = 0;
    for (size_t i = 0; i < bulk->count && rc == 0; i++) {
        struct report_taking taking = {.desk = request_desk(bulk->request),
                                       .change = change_of_request(bulk->request),
                                       .intake = bulk->entries[i].intake};
        if (taking.intake == NULL)
            continue;
        rc = report_take(store, &taking, ret_error);
        bulk->entries[i].receipt = taking.receipt;
    }
    return rc;
}

static int bulk_reply(const struct bulk *bulk, struct reply *reply)
{
    json_t *items = json_array();
    json_int_t taken = 0;
    for (size_t i = 0; i < bulk->count; i++) {
        const struct entry *entry = &bulk->entries[i];
        json_int_t line = entry->line;
        taken += entry->intake != NULL;
        json_array_append_new(
            items,
            entry->intake == NULL
                ? json_pack("{s:I, s:s}", "line", line, "problem", entry->problem)
                : json_pack("{s:I, s:s, s:s, s:s, s:s?}", "line", line, "id", entry->receipt.id,
                            "token", entry->receipt.token, "state", entry->receipt.state, "first",
                            entry->receipt.first[0] != '\0' ? entry->receipt.first : NULL));
    }
    return reply_json(reply, 200, json_pack("{s:I, s:o}", "taken", taken, "items", items));
}

static int trust_check(struct request *request, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT 1 FROM reporters WHERE identity = $1 AND trusted = 1",
                         store_text(request_principal(request)->account));
    if (rc == 0 && store_rows_count(rows) == 0)
        rc = error_set(ret_error, -EACCES,
                       "reports in bulk are for trusted reporters: ask the operator");
    return rc;
}

int report_bulk_post(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct bulk bulk = {.request = request};
    size_t size;
    const char *body = request_body(request, &size);

    int rc = trust_check(request, ret_error);
    if (rc < 0)
        return rc;
    char *text = strdup(body != NULL ? body : "");
    bulk.entries = calloc(RECORDS_MAX, sizeof(*bulk.entries));
    if (text == NULL || bulk.entries == NULL)
        rc = error_set(ret_error, -ENOMEM, "out of memory for reports");
    if (rc == 0)
        rc = text_read(text, &bulk, ret_error);
    if (rc == 0)
        rc = request_transact(request, all_take, &bulk, ret_error);
    if (rc == 0)
        rc = bulk_reply(&bulk, reply);
    bulk_clear(&bulk);
    free(text);
    return rc;
}
