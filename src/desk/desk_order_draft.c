/* From a document to the rows of an order, and from one document to the next. */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "desk/account.h"
#include "desk/change.h"
#include "desk/desk_order_internal.h"
#include "desk/zone_publisher.h"
#include "order/name_text.h"

/* Names that one INSERT takes, beside the order's id and the list: about what a statement may have.
 */
#define NAMES_PER_INSERT 32

#define CONTACTS_MAX 50

/* Names as the tables have them: hostnames. */
bool order_name_write(const uint8_t *wire, char ret_name[static ORDER_NAME_TEXT_SIZE])
{
    char text[NAME_TEXT_MAX + 1];
    size_t size = name_text_write(wire, text);

    if (size >= ORDER_NAME_TEXT_SIZE)
        return false; /* of odd octets: the order lists it, a look-up cannot ask for it */
    memcpy(ret_name, text, size + 1);
    return true;
}

int order_name_normalize(const char *text, char ret_name[static ORDER_NAME_TEXT_SIZE],
                         struct error *ret_error)
{
    uint8_t wire[NAME_SIZE_MAX];
    struct name_fault fault = {0};
    size_t size;

    int rc = name_text_parse(text, strlen(text), wire, &size, &fault);
    if (rc == -EINVAL)
        return error_set(ret_error, rc, "this is no hostname: it %s%s%s",
                         fault.reason != NULL ? fault.reason : "cannot be read",
                         fault.detail != NULL ? ", " : "",
                         fault.detail != NULL ? fault.detail : "");
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory for a name");
    return order_name_write(wire, ret_name)
               ? 0
               : error_set(ret_error, -EINVAL, "this is no hostname: it is too long");
}

/* ---- Documents ---- */

int order_document_load(const struct desk *desk, const char *path, const char *text, size_t size,
                        struct order **ret_order, struct error *ret_error)
{
    const struct keyring *keyring = desk->orders->keyring;
    const struct order_policy policy = {
        .one_piece = true,
        .unverified = keyring == NULL,
        .keyring = keyring != NULL ? keyring->entries : NULL,
        .keyring_count = keyring != NULL ? keyring->count : 0,
    };
    struct error why = {0};

    int rc = order_load_text(path, text, size, &policy, ret_order, &why);
    if (rc >= 0)
        return rc;
    if (rc == -ENOMEM)
        return error_set(ret_error, rc, "out of memory for the document");
    /* Whatever is wrong with it, it is what was sent. */
    if (why.line > 0)
        return error_set_at(ret_error, -EINVAL, path, 0, "line %u, %s", why.line, why.text);
    return error_set_at(ret_error, -EINVAL, path, 0, "%s", why.text);
}

int order_stored_load(const struct desk *desk, struct store *store, const char *id,
                      struct order **ret_order, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;

    int rc = store_query(store, &rows, ret_error, "SELECT document FROM orders WHERE id = $1",
                         store_text(id));
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) == 0)
        return error_set(ret_error, -ENOENT, "there is no such order");
    const char *text = store_row_text(rows, 0, 0);
    return order_document_load(desk, "/document", text, strlen(text), ret_order, ret_error);
}

static void hash_document(const struct desk_order_draft *draft,
                          char ret_hex[static 2 * crypto_hash_sha256_BYTES + 1])
{
    uint8_t digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256(digest, (const uint8_t *)draft->document, draft->document_size);
    sodium_bin2hex(ret_hex, 2 * sizeof(digest) + 1, digest, sizeof(digest));
}

static void lower_id(const struct order *order, char ret_name[static DESK_ORDER_NAME_SIZE])
{
    size_t i = 0;
    for (; order->id[i] != '\0' && i < DESK_ORDER_NAME_SIZE - 1; i++)
        ret_name[i] = (char)tolower((unsigned char)order->id[i]);
    ret_name[i] = '\0';
}

/* ---- Names ---- */

#define INSERT "INSERT INTO order_names (order_id, list, name) VALUES "
#define ROW(n) "($1, $2, $" #n ")"
#define ROWS(a, b, c, d, e, f, g, h) \
    ROW(a) ", " ROW(b) ", " ROW(c) ", " ROW(d) ", " ROW(e) ", " ROW(f) ", " ROW(g) ", " ROW(h)

static int names_insert_some(struct store *store, const struct store_value *values, size_t count,
                             struct error *ret_error)
{
    /* clang-format off */
    static const char all[] = INSERT ROWS(3, 4, 5, 6, 7, 8, 9, 10) ", "
        ROWS(11, 12, 13, 14, 15, 16, 17, 18) ", " ROWS(19, 20, 21, 22, 23, 24, 25, 26) ", "
        ROWS(27, 28, 29, 30, 31, 32, 33, 34);
    /* clang-format on */
    static const char one[] = INSERT ROW(3);

    assert(count == 1 || count == NAMES_PER_INSERT);
    return store_statement(store, count == 1 ? one : all, values, count + 2, NULL, NULL, ret_error);
}

static int names_insert(struct store *store, const char *id, const char *list,
                        const struct order_names *names, struct error *ret_error)
{
    char(*texts)[ORDER_NAME_TEXT_SIZE] = calloc(NAMES_PER_INSERT, sizeof(*texts));
    struct store_value values[NAMES_PER_INSERT + 2] = {store_text(id), store_text(list)};
    size_t count = 0;
    int rc = 0;

    if (texts == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the names");
    for (size_t i = 0; i < names->count && rc == 0; i++) {
        if (!order_name_write(order_names_at(names, i), texts[count]))
            continue;
        values[count + 2] = store_text(texts[count]);
        if (++count < NAMES_PER_INSERT)
            continue;
        rc = names_insert_some(store, values, count, ret_error);
        count = 0;
    }
    /* One by one: each number of rows would be a statement of its own. */
    for (size_t i = 0; i < count && rc == 0; i++) {
        values[2] = store_text(texts[i]);
        rc = names_insert_some(store, values, 1, ret_error);
    }
    free(texts);
    return rc;
}

static int lists_replace(struct store *store, const char *id, const struct order *order,
                         struct error *ret_error)
{
    int rc = store_change(store, NULL, ret_error, "DELETE FROM order_names WHERE order_id = $1",
                          store_text(id));
    if (rc == 0)
        rc = names_insert(store, id, "name", &order->names, ret_error);
    if (rc == 0)
        rc = names_insert(store, id, "subtree", &order->subtrees, ret_error);
    if (rc == 0)
        rc = names_insert(store, id, "exempt", &order->exempt, ret_error);
    return rc;
}

/* ---- Drafts ---- */

static int contacts_check(const json_t *contacts, struct error *ret_error)
{
    char email[EMAIL_SIZE_MAX + 1];
    const json_t *contact;
    size_t index;

    if (json_array_size(contacts) > CONTACTS_MAX)
        return error_set_at(ret_error, -EINVAL, "/contacts", 0, "are more than %d: take fewer",
                            CONTACTS_MAX);
    json_array_foreach(contacts, index, contact)
    {
        if (!json_is_string(contact) || !email_normalize(json_string_value(contact), email))
            return error_set_at(ret_error, -EINVAL, "/contacts", 0,
                                "the entry %zu is no mail address: correct it", index);
    }
    return 0;
}

int desk_order_draft_check(const struct desk_order_draft *draft, int64_t now_s,
                           struct error *ret_error)
{
    if (draft->sealed_until_s != 0 && draft->sealed_until_s <= now_s)
        return error_set_at(ret_error, -EINVAL, "/sealed_until", 0,
                            "is in the past: leave it out, or give a later time");
    return contacts_check(draft->contacts, ret_error);
}

static int draft_check(const struct desk_order_draft *draft, const struct order *order,
                       int64_t now_s, struct error *ret_error)
{
    if (strcasecmp(order->id, EXEMPTIONS_ID) == 0)
        return error_set_at(ret_error, -EINVAL, draft->path, 0,
                            "the id " EXEMPTIONS_ID " is the desk's own: take another");
    if (order->ends <= now_s)
        return error_set_at(ret_error, -EINVAL, draft->path, 0,
                            "the order has ended already: give it a later end");
    return desk_order_draft_check(draft, now_s, ret_error);
}

/* The document of a draft: loaded ahead, or now. */
static int draft_order(const struct desk *desk, const struct desk_order_draft *draft,
                       struct order **ret_own, const struct order **ret_order,
                       struct error *ret_error)
{
    int rc = 0;
    if (draft->loaded == NULL)
        rc = order_document_load(desk, draft->path, draft->document, draft->document_size, ret_own,
                                 ret_error);
    *ret_order = draft->loaded != NULL ? draft->loaded : *ret_own;
    return rc;
}

static int order_insert(struct store *store, const struct change *change,
                        const struct desk_order_draft *draft, const struct order *order,
                        const char *id, struct error *ret_error)
{
    char name[DESK_ORDER_NAME_SIZE], hash[2 * crypto_hash_sha256_BYTES + 1];
    uint8_t salt[32];
    int64_t now_s = change->now_ms / 1000;
    uint64_t changed = 0;

    lower_id(order, name);
    hash_document(draft, hash);
    randombytes_buf(salt, sizeof(salt));
    char *contacts =
        draft->contacts != NULL ? json_dumps(draft->contacts, JSON_COMPACT) : strdup("[]");
    if (contacts == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for an order");
    int rc = store_change(
        store, &changed, ret_error,
        "INSERT INTO orders (id, name, state, version, document, document_hash, salt, kind, "
        "authority, action, notice, starts_at, ends_at, name_count, subtree_count, exempt_count, "
        "is_signed, sealed_until, contacts, drafted_by, report, created_at, updated_at) "
        "VALUES ($1, $2, 'draft', 1, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, "
        "$16, $17, $18, $19, $20, $21) ON CONFLICT (name) DO NOTHING",
        store_text(id), store_text(name), store_text(draft->document), store_text(hash),
        store_octets(salt, sizeof(salt)), store_text(order_kind_word(order->kind)),
        store_text(order->authority), store_text(order_action_word(order->action)),
        store_text(order->notice), store_integer(order->starts), store_integer(order->ends),
        store_integer((int64_t)order->names.count), store_integer((int64_t)order->subtrees.count),
        store_integer((int64_t)order->exempt.count), store_integer(order->signature_count > 0),
        draft->sealed_until_s != 0 ? store_integer(draft->sealed_until_s) : store_null(),
        store_text(contacts), store_text(change->who != NULL ? change->who->account : ""),
        store_text(draft->report), store_integer(now_s), store_integer(now_s));
    free(contacts);
    if (rc == 0 && changed == 0)
        rc = error_set_at(ret_error, -EEXIST, draft->path, 0,
                          "there is an order %s already: give this one another id", order->id);
    return rc;
}

int desk_order_draft(struct desk *desk, struct store *store, const struct change *change,
                     const struct desk_order_draft *draft, char ret_id[static ID_SIZE],
                     struct error *ret_error)
{
    _cleanup_(order_freep) struct order *own = NULL;
    const struct order *order;
    struct order_row row;
    char id[ID_SIZE];

    assert(store_in_transaction(store));
    int rc = draft_order(desk, draft, &own, &order, ret_error);
    if (rc == 0)
        rc = draft_check(draft, order, change->now_ms / 1000, ret_error);
    if (rc < 0)
        return rc;
    id_make(ID_ORDER, change->now_ms, id);
    rc = order_insert(store, change, draft, order, id, ret_error);
    if (rc == 0)
        rc = lists_replace(store, id, order, ret_error);
    if (rc == 0)
        rc = order_row_get(store, id, &row, ret_error);
    if (rc == 0)
        rc = order_event(store, change, &row, "order.drafted", NULL, ret_error);
    if (rc == 0)
        memcpy(ret_id, id, sizeof(id));
    return rc;
}

/* ---- Another document ---- */

static int document_update(struct store *store, const struct change *change,
                           const struct order_row *row, const struct desk_order_draft *draft,
                           const struct order *order, struct error *ret_error)
{
    char hash[2 * crypto_hash_sha256_BYTES + 1], name[DESK_ORDER_NAME_SIZE];

    lower_id(order, name);
    if (strcmp(name, row->name) != 0)
        return error_set_at(ret_error, -EINVAL, draft->path, 0,
                            "its id is not %s: an order keeps its id", row->name);
    hash_document(draft, hash);
    int rc = store_change(
        store, NULL, ret_error,
        "UPDATE orders SET version = version + 1, document = $1, document_hash = $2, kind = $3, "
        "authority = $4, action = $5, notice = $6, starts_at = $7, ends_at = $8, name_count = $9, "
        "subtree_count = $10, exempt_count = $11, is_signed = $12, updated_at = $13 WHERE id = $14",
        store_text(draft->document), store_text(hash), store_text(order_kind_word(order->kind)),
        store_text(order->authority), store_text(order_action_word(order->action)),
        store_text(order->notice), store_integer(order->starts), store_integer(order->ends),
        store_integer((int64_t)order->names.count), store_integer((int64_t)order->subtrees.count),
        store_integer((int64_t)order->exempt.count), store_integer(order->signature_count > 0),
        store_integer(change->now_ms / 1000), store_text(row->id));
    return rc < 0 ? rc : lists_replace(store, row->id, order, ret_error);
}

int order_document_replace(struct desk *desk, struct store *store, const struct change *change,
                           const struct order_row *row, const struct desk_order_draft *draft,
                           struct error *ret_error)
{
    _cleanup_(order_freep) struct order *own = NULL;
    const struct order *order;

    int rc = draft_order(desk, draft, &own, &order, ret_error);
    if (rc == 0)
        rc = draft_check(draft, order, change->now_ms / 1000, ret_error);
    if (rc == 0)
        rc = document_update(store, change, row, draft, order, ret_error);
    /* What was found of another document, and who was told of it, counts no more. */
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "UPDATE orders SET state = 'draft', rehearsal = NULL, "
                          "rehearsed_at = NULL, exceeds_own = 0, exceeds_desk = 0, "
                          "notified_at = NULL, notice_due_at = NULL WHERE id = $1",
                          store_text(row->id));
    return rc;
}

/* ---- Less of an order in force ---- */

static bool is_part_of(const struct order_names *names, const struct order_names *whole)
{
    for (size_t i = 0; i < names->count; i++)
        if (order_names_find(whole, order_names_at(names, i)) == SIZE_MAX)
            return false;
    return true;
}

static bool is_same_answer(const struct verdict *one, const struct verdict *other)
{
    return one->a_count == other->a_count && one->aaaa_count == other->aaaa_count &&
           one->ttl_s == other->ttl_s && memcmp(one->a, other->a, sizeof(one->a)) == 0 &&
           memcmp(one->aaaa, other->aaaa, sizeof(one->aaaa)) == 0;
}

/* What makes `next` more than `before`; NULL: nothing does. */
static const char *excess_of(const struct order *next, const struct order *before)
{
    if (next->kind != before->kind || strcmp(next->authority, before->authority) != 0)
        return "is another authority's";
    if (next->starts < before->starts || next->ends > before->ends)
        return "is in force for longer";
    if (next->action != VERDICT_OBSERVE &&
        (next->action != before->action || !is_same_answer(&next->verdict, &before->verdict)))
        return "answers something else";
    if (!is_part_of(&next->names, &before->names) ||
        !is_part_of(&next->subtrees, &before->subtrees))
        return "lists more names";
    return is_part_of(&before->exempt, &next->exempt) ? NULL : "exempts fewer names";
}

int order_document_narrow(struct desk *desk, struct store *store, const struct change *change,
                          const struct order_row *row, const struct desk_order_draft *draft,
                          const char *reason, struct error *ret_error)
{
    _cleanup_(order_freep) struct order *before = NULL, *own = NULL;
    const struct order *next;

    int rc = draft_order(desk, draft, &own, &next, ret_error);
    if (rc == 0)
        rc = order_stored_load(desk, store, row->id, &before, ret_error);
    if (rc < 0)
        return rc;
    const char *excess = excess_of(next, before);
    if (excess != NULL)
        return error_set_at(ret_error, -EEXIST, draft->path, 0,
                            "the document %s: an amendment only takes back; draft a new order",
                            excess);
    rc = document_update(store, change, row, draft, next, ret_error);
    if (rc == 0)
        rc = order_serial_bump(store, row->id, change->now_ms / 1000, ret_error);
    struct order_row amended;
    if (rc == 0)
        rc = order_row_get(store, row->id, &amended, ret_error);
    if (rc == 0)
        rc = order_event(
            store, change, &amended, "order.amended",
            json_pack("{s:s, s:s}", "reason", reason, "document_sha256", amended.document_hash),
            ret_error);
    return rc;
}
