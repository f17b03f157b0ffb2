/* An order as a row: reading it, showing it to staff, and noting what happens to it. */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk/audit.h"
#include "desk/change.h"
#include "desk/desk_order_internal.h"
#include "desk/ledger_queue.h"

/* ---- Reading ---- */

static void text_read(const struct store_rows *rows, size_t row, size_t column, char *ret_text,
                      size_t size)
{
    const char *text = store_row_text(rows, row, column);
    snprintf(ret_text, size, "%s", text != NULL ? text : "");
}

void order_row_read(const struct store_rows *rows, size_t row, struct order_row *ret_row)
{
    const struct {
        char *text;
        size_t size;
    } texts[] = {
        {ret_row->id, sizeof(ret_row->id)},
        {ret_row->name, sizeof(ret_row->name)},
        {ret_row->state, sizeof(ret_row->state)},
        {ret_row->kind, sizeof(ret_row->kind)},
        {ret_row->action, sizeof(ret_row->action)},
        {ret_row->authority, sizeof(ret_row->authority)},
        {ret_row->notice, sizeof(ret_row->notice)},
        {ret_row->document_hash, sizeof(ret_row->document_hash)},
    };
    int64_t flags[3];
    int64_t *const numbers[] = {
        &ret_row->version,
        &ret_row->starts_s,
        &ret_row->ends_s,
        &ret_row->name_count,
        &ret_row->subtree_count,
        &ret_row->exempt_count,
        &flags[0],
        &flags[1],
        &flags[2],
        &ret_row->sealed_until_s,
        &ret_row->opened_at_s,
        &ret_row->rehearsed_at_s,
        &ret_row->notified_at_s,
        &ret_row->notice_due_s,
        &ret_row->approved_at_s,
        &ret_row->activated_at_s,
        &ret_row->ended_at_s,
        &ret_row->created_at_s,
        &ret_row->updated_at_s,
        &ret_row->serial,
    };
    const size_t text_count = sizeof(texts) / sizeof(texts[0]);
    const size_t number_count = sizeof(numbers) / sizeof(numbers[0]);
    size_t size;

    for (size_t i = 0; i < text_count; i++)
        text_read(rows, row, i, texts[i].text, texts[i].size);
    const uint8_t *salt = store_row_octets(rows, row, text_count, &size);
    if (salt != NULL && size == sizeof(ret_row->salt))
        memcpy(ret_row->salt, salt, size);
    for (size_t i = 0; i < number_count; i++)
        *numbers[i] = store_row_integer(rows, row, text_count + 1 + i);
    ret_row->is_signed = flags[0] != 0;
    ret_row->exceeds_own = flags[1] != 0;
    ret_row->exceeds_desk = flags[2] != 0;
    text_read(rows, row, text_count + 1 + number_count, ret_row->end_reason,
              sizeof(ret_row->end_reason));
}

int order_row_get(struct store *store, const char *id, struct order_row *ret_row,
                  struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    char lower[DESK_ORDER_NAME_SIZE];
    size_t size = 0;

    for (; id[size] != '\0' && size < sizeof(lower) - 1; size++)
        lower[size] = (char)tolower((unsigned char)id[size]);
    lower[size] = '\0';
    int rc = store_query(store, &rows, ret_error,
                         "SELECT " ORDER_COLUMNS " FROM orders WHERE id = $1 OR name = $2",
                         store_text(lower), store_text(lower));
    if (rc < 0)
        return rc;
    if (id[size] != '\0' || store_rows_count(rows) == 0)
        return error_set(ret_error, -ENOENT, "there is no such order");
    order_row_read(rows, 0, ret_row);
    return 0;
}

bool order_row_is_sealed(const struct order_row *row, int64_t now_s)
{
    return row->sealed_until_s > now_s && row->opened_at_s == 0;
}

bool order_row_is_public(const struct order_row *row, int64_t now_s)
{
    return row->activated_at_s > 0 && !order_row_is_sealed(row, now_s);
}

void order_row_commitment(const struct order_row *row,
                          char ret_hex[static 2 * crypto_hash_sha256_BYTES + 1])
{
    uint8_t octets[sizeof(row->salt) + crypto_hash_sha256_BYTES], digest[crypto_hash_sha256_BYTES];
    size_t size;

    memcpy(octets, row->salt, sizeof(row->salt));
    if (sodium_hex2bin(octets + sizeof(row->salt), crypto_hash_sha256_BYTES, row->document_hash,
                       strlen(row->document_hash), NULL, &size, NULL) != 0 ||
        size != crypto_hash_sha256_BYTES)
        memset(octets + sizeof(row->salt), 0, crypto_hash_sha256_BYTES);
    crypto_hash_sha256(digest, octets, sizeof(octets));
    sodium_bin2hex(ret_hex, 2 * sizeof(digest) + 1, digest, sizeof(digest));
}

/* ---- Showing ---- */

static int time_add(json_t *json, const char *name, int64_t time_s)
{
    char text[CLOCK_TEXT_SIZE];
    return json_object_set_new(json, name,
                               time_s == 0 ? json_null() : json_string(clock_text(time_s, text)));
}

json_t *order_row_json(const struct order_row *row, int64_t now_s)
{
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:I, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:b, s:b, s:b, s:b, s:I}", "id",
        row->id, "order", row->name, "state", row->state, "version", (json_int_t)row->version,
        "kind", row->kind, "authority", row->authority, "action", row->action, "document_sha256",
        row->document_hash, "names", (json_int_t)row->name_count, "subtrees",
        (json_int_t)row->subtree_count, "exempt", (json_int_t)row->exempt_count, "signed",
        row->is_signed, "sealed", order_row_is_sealed(row, now_s), "exceeds_own_budget",
        row->exceeds_own, "exceeds_desk_budget", row->exceeds_desk, "serial",
        (json_int_t)row->serial);
    const struct {
        const char *name;
        int64_t time_s;
    } times[] = {
        {"starts", row->starts_s},
        {"ends", row->ends_s},
        {"sealed_until", row->sealed_until_s},
        {"rehearsed_at", row->rehearsed_at_s},
        {"notified_at", row->notified_at_s},
        {"notice_due_at", row->notice_due_s},
        {"approved_at", row->approved_at_s},
        {"activated_at", row->activated_at_s},
        {"ended_at", row->ended_at_s},
        {"created_at", row->created_at_s},
        {"updated_at", row->updated_at_s},
    };
    int rc = json == NULL ? -1 : 0;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]) && rc == 0; i++)
        rc = time_add(json, times[i].name, times[i].time_s);
    if (rc == 0)
        rc = json_object_set_new(json, "notice",
                                 row->notice[0] != '\0' ? json_string(row->notice) : json_null());
    if (rc == 0)
        rc = json_object_set_new(json, "end_reason",
                                 row->end_reason[0] != '\0' ? json_string(row->end_reason)
                                                            : json_null());
    if (rc == 0)
        return json;
    json_decref(json);
    return NULL;
}

/* ---- Events ---- */

/* What the ledger gets: before an order is public only what commits to it, then what opens the
 * commitment. Who did it is in the audit trail; the public learns the role. */
static json_t *entry_make(const struct order_row *row, const struct change *change,
                          const json_t *detail)
{
    char commitment[2 * crypto_hash_sha256_BYTES + 1], salt[2 * sizeof(row->salt) + 1];
    char starts[CLOCK_TEXT_SIZE], ends[CLOCK_TEXT_SIZE];
    const char *role = change->who != NULL ? role_name(change->who->role) : "desk";

    order_row_commitment(row, commitment);
    json_t *entry = json_pack("{s:s, s:s, s:I, s:s}", "order", row->id, "commitment", commitment,
                              "version", (json_int_t)row->version, "by", role);
    if (entry == NULL || !order_row_is_public(row, change->now_ms / 1000))
        return entry;
    sodium_bin2hex(salt, sizeof(salt), row->salt, sizeof(row->salt));
    json_t *open =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I}", "id", row->name, "salt",
                  salt, "document_sha256", row->document_hash, "kind", row->kind, "authority",
                  row->authority, "action", row->action, "starts",
                  clock_text(row->starts_s, starts), "ends", clock_text(row->ends_s, ends), "names",
                  (json_int_t)row->name_count, "subtrees", (json_int_t)row->subtree_count);
    int rc = open != NULL ? json_object_update(entry, open) : -1;
    if (rc == 0 && detail != NULL)
        rc = json_object_set(entry, "detail", (json_t *)detail);
    json_decref(open);
    if (rc == 0)
        return entry;
    json_decref(entry);
    return NULL;
}

static int event_insert(struct store *store, const struct change *change,
                        const struct order_row *row, const char *action, const json_t *detail,
                        const char *ledger, struct error *ret_error)
{
    bool is_account = change->who != NULL && change->who->account[0] != '\0';
    char id[ID_SIZE];
    char *text = detail != NULL ? json_dumps(detail, JSON_COMPACT) : NULL;

    if (detail != NULL && text == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for an event");
    id_make(ID_EVENT, change->now_ms, id);
    int rc = store_change(
        store, NULL, ret_error,
        "INSERT INTO order_events (id, order_id, at, action, account, role, detail, ledger) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        store_text(id), store_text(row->id), store_integer(change->now_ms), store_text(action),
        store_text(is_account ? change->who->account : NULL),
        store_text(change->who != NULL ? role_name(change->who->role) : "desk"), store_text(text),
        store_text(ledger));
    free(text);
    return rc;
}

int order_event(struct store *store, const struct change *change, const struct order_row *row,
                const char *action, json_t *detail, struct error *ret_error)
{
    char ledger[ID_SIZE];

    assert(store_in_transaction(store));
    json_t *entry = entry_make(row, change, detail);
    int rc =
        entry != NULL
            ? ledger_queue_put(store, change->now_ms, action, row->id, entry, ledger, ret_error)
            : error_set(ret_error, -ENOMEM, "out of memory for an entry of the ledger");
    json_decref(entry);
    if (rc == 0)
        rc = event_insert(store, change, row, action, detail, ledger, ret_error);
    if (rc == 0)
        rc = audit_write(store,
                         &(struct audit_entry){.now_ms = change->now_ms,
                                               .who = change->who,
                                               .client = change->client,
                                               .action = action,
                                               .object = row->id,
                                               .detail = detail},
                         ret_error);
    json_decref(detail);
    return rc;
}

int order_serial_bump(struct store *store, const char *id, int64_t now_s, struct error *ret_error)
{
    return store_change(store, NULL, ret_error,
                        "UPDATE orders SET serial = CASE WHEN serial >= $1 THEN serial + 1 "
                        "ELSE $2 END, updated_at = $3 WHERE id = $4",
                        store_integer(now_s), store_integer(now_s), store_integer(now_s),
                        store_text(id));
}
