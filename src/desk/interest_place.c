/* What partners do: have names evaluated, place interests, look at them, withdraw them. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "desk/audit.h"
#include "desk/change.h"
#include "desk/desk.h"
#include "desk/interest.h"
#include "desk/interest_keys.h"
#include "desk/interest_pages.h"
#include "desk/interest_token.h"
#include "desk/json_in.h"

#define DAY_S            (24 * 3600)
#define REFERENCE_MAX    64
#define DAYS_DEFAULT     180
#define DAYS_MAX         366
#define BASE64_VARIANT   sodium_base64_VARIANT_URLSAFE_NO_PADDING
#define OCTETS_TEXT_SIZE sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_URLSAFE_NO_PADDING)

static int audit(struct store *store, struct request *request, const char *action,
                 const char *object, json_t *detail, struct error *ret_error)
{
    int rc = audit_write(store,
                         &(struct audit_entry){.now_ms = request_now_ms(request),
                                               .who = request_principal(request),
                                               .client = request_client_text(request),
                                               .action = action,
                                               .object = object,
                                               .detail = detail},
                         ret_error);
    json_decref(detail);
    return rc;
}

/* ---- Lists of 32 octets, as base64url ---- */

static int octets_read(struct json_in *in, const char *name, size_t count_max,
                       uint8_t (**ret_list)[32], size_t *ret_count, struct error *ret_error)
{
    const json_t *array;
    int rc = json_in_array(in, name, count_max, &array, ret_error);
    if (rc < 0)
        return rc;
    const size_t count = json_array_size(array);
    if (count == 0)
        return json_in_fail(in, name, ret_error, "is empty: give one or more");
    uint8_t(*list)[32] = calloc(count, sizeof(*list));
    if (list == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for a list");
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, i);
        const char *text = json_string_value(item);
        size_t size = 0;
        if (text == NULL ||
            sodium_base642bin(list[i], sizeof(list[i]), text, json_string_length(item), NULL, &size,
                              NULL, BASE64_VARIANT) != 0 ||
            size != sizeof(list[i])) {
            free(list);
            return json_in_fail(in, name, ret_error,
                                "has something at %zu that is no 32 octets: write base64url "
                                "without padding",
                                i);
        }
    }
    *ret_list = list;
    *ret_count = count;
    return 0;
}

/* ---- Evaluation ---- */

struct evaluation {
    struct request *request;
    size_t count;
    int64_t used; /* today, with these */
};

/* Counted before it is done: whoever asks for more than the day's share gets nothing. */
static int evaluation_count(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct evaluation *evaluation = context;
    struct request *request = evaluation->request;
    const unsigned share = request_desk(request)->config->interests.evaluations_per_day;
    int rc = store_query(store, &rows, ret_error,
                         "INSERT INTO interest_evaluations (account, day, elements) "
                         "VALUES ($1, $2, $3) ON CONFLICT (account, day) DO UPDATE SET elements = "
                         "interest_evaluations.elements + excluded.elements RETURNING elements",
                         store_text(request_principal(request)->account),
                         store_integer(request_now_s(request) / DAY_S),
                         store_integer((int64_t)evaluation->count));
    if (rc < 0)
        return rc;
    evaluation->used = store_row_integer(rows, 0, 0);
    if (evaluation->used > share)
        return error_set(ret_error, -EDQUOT,
                         "that is more than the %u names of a day: go on tomorrow", share);
    return audit(store, request, "interest.evaluate", NULL,
                 json_pack("{s:I}", "elements", (json_int_t)evaluation->count), ret_error);
}

static int elements_evaluate(const struct interest_key *key, uint8_t (*elements)[32], size_t count,
                             json_t *ret_list, struct json_in *in, struct error *ret_error)
{
    char text[OCTETS_TEXT_SIZE];
    for (size_t i = 0; i < count; i++) {
        if (blinding_evaluate(key->secret, elements[i], elements[i]) < 0)
            return json_in_fail(in, "elements", ret_error,
                                "has something at %zu that is no element of ristretto255: blind "
                                "as RFC 9497 says",
                                i);
        sodium_bin2base64(text, sizeof(text), elements[i], sizeof(elements[i]), BASE64_VARIANT);
        json_array_append_new(ret_list, json_string(text));
    }
    return 0;
}

int interest_evaluate(struct request *request, struct reply *reply, struct error *ret_error)
{
    const struct desk *desk = request_desk(request);
    const struct interest_key *key = &desk->interest_keys->keys[0];
    struct evaluation evaluation = {.request = request};
    uint8_t(*elements)[32] = NULL;
    struct json_in in;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0)
        rc = octets_read(&in, "elements", EVALUATE_MAX, &elements, &evaluation.count, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    if (rc == 0)
        rc = request_transact(request, evaluation_count, &evaluation, ret_error);
    json_t *list = json_array();
    if (rc == 0)
        rc = elements_evaluate(key, elements, evaluation.count, list, &in, ret_error);
    free(elements);
    if (rc < 0) {
        json_decref(list);
        return rc;
    }
    return reply_json(
        reply, 200,
        json_pack("{s:s, s:o, s:I}", "key", key->id, "elements", list, "remaining",
                  (json_int_t)desk->config->interests.evaluations_per_day - evaluation.used));
}

/* ---- Placing ---- */

struct placing {
    struct request *request;
    const char *key, *reference;
    int64_t days;
    uint8_t (*tokens)[32];
    size_t count;
    char id[ID_SIZE];
};

static int room_check(struct store *store, struct request *request, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const unsigned max = request_desk(request)->config->interests.interests_max;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT COUNT(*) FROM interests WHERE account = $1 AND "
                         "withdrawn_at IS NULL",
                         store_text(request_principal(request)->account));
    if (rc == 0 && store_row_integer(rows, 0, 0) >= max)
        rc = error_set(ret_error, -EDQUOT, "you have %u interests: withdraw others first", max);
    return rc;
}

static int place_do(struct store *store, void *context, struct error *ret_error)
{
    struct placing *placing = context;
    struct request *request = placing->request;
    const int64_t now_s = request_now_s(request);

    int rc = room_check(store, request, ret_error);
    if (rc < 0)
        return rc;
    id_make(ID_INTEREST, request_now_ms(request), placing->id);
    rc = store_change(store, NULL, ret_error,
                      "INSERT INTO interests (id, account, key_id, reference, placed_at, "
                      "expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
                      store_text(placing->id), store_text(request_principal(request)->account),
                      store_text(placing->key), store_text(placing->reference),
                      store_integer(now_s), store_integer(now_s + placing->days * DAY_S));
    for (size_t i = 0; i < placing->count && rc == 0; i++)
        rc = store_change(store, NULL, ret_error,
                          "INSERT INTO interest_tokens (token, interest) VALUES ($1, $2) "
                          "ON CONFLICT (token, interest) DO NOTHING",
                          store_octets(placing->tokens[i], 32), store_text(placing->id));
    if (rc == 0)
        rc = audit(store, request, "interest.place", placing->id, NULL, ret_error);
    return rc;
}

/* An interest as its partner and staff see it: never its tokens. */
static json_t *interest_json(const struct interest_keys *keys, const struct store_rows *rows,
                             size_t row)
{
    char placed[CLOCK_TEXT_SIZE], expires[CLOCK_TEXT_SIZE];
    const struct interest_key *key = interest_key_find(keys, store_row_text(rows, row, 1));
    const char *state = "active";
    if (!store_row_is_null(rows, row, 5))
        state = "withdrawn";
    else if (key == NULL)
        state = "unmatched"; /* its key is retired */
    else if (key != &keys->keys[0])
        state = "aging";
    return json_pack("{s:s, s:s, s:s?, s:s, s:s, s:s}", "id", store_row_text(rows, row, 0), "key",
                     store_row_text(rows, row, 1), "reference", store_row_text(rows, row, 2),
                     "placed_at", clock_text(store_row_integer(rows, row, 3), placed), "expires_at",
                     clock_text(store_row_integer(rows, row, 4), expires), "state", state);
}

static int place_reply(struct request *request, const struct placing *placing, struct reply *reply,
                       struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    char location[64];
    int rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT id, key_id, reference, placed_at, expires_at, withdrawn_at "
                         "FROM interests WHERE id = $1",
                         store_text(placing->id));
    if (rc == 0 && store_rows_count(rows) == 0)
        rc = error_set(ret_error, -ENOENT, "there is no such interest");
    if (rc < 0)
        return rc;
    (void)snprintf(location, sizeof(location), "/v1/interests/%s", placing->id);
    rc = reply_header_add(reply, "Location", location);
    return rc < 0 ? rc
                  : reply_json(reply, 201,
                               interest_json(request_desk(request)->interest_keys, rows, 0));
}

static int place_read(struct request *request, struct placing *placing, struct error *ret_error)
{
    struct json_in in;
    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "key", 1, INTEREST_KEY_ID_SIZE, &placing->key, ret_error);
    if (rc == 0 && json_in_has(&in, "reference"))
        rc = json_in_text(&in, "reference", 1, REFERENCE_MAX, &placing->reference, ret_error);
    if (rc == 0 && json_in_has(&in, "days"))
        rc = json_in_integer(&in, "days", 1, DAYS_MAX, &placing->days, ret_error);
    if (rc == 0 && strcmp(placing->key, request_desk(request)->interest_keys->keys[0].id) != 0)
        rc = json_in_fail(&in, "key", ret_error,
                          "is not the present key: have the names evaluated anew");
    if (rc == 0)
        rc = octets_read(&in, "tokens", INTEREST_TOKENS_MAX, &placing->tokens, &placing->count,
                         ret_error);
    return rc < 0 ? rc : json_in_end(&in, ret_error);
}

int interest_place(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct placing placing = {.request = request, .days = DAYS_DEFAULT};
    int rc = place_read(request, &placing, ret_error);
    if (rc == 0)
        rc = request_transact(request, place_do, &placing, ret_error);
    free(placing.tokens);
    return rc < 0 ? rc : place_reply(request, &placing, reply, ret_error);
}

/* ---- Looking ---- */

int interest_list(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct principal *who = request_principal(request);
    const char *cursor;
    unsigned limit;

    int rc = request_page(request, &limit, &cursor, ret_error);
    if (rc < 0)
        return rc;
    if (who->role == ROLE_PARTNER)
        rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT id, key_id, reference, placed_at, expires_at, withdrawn_at FROM "
                         "interests WHERE account = $1 AND withdrawn_at IS NULL AND id > $2 "
                         "ORDER BY id LIMIT $3",
                         store_text(who->account), store_text(cursor), store_integer(limit));
    else
        rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT id, key_id, reference, placed_at, expires_at, withdrawn_at FROM "
                         "interests WHERE withdrawn_at IS NULL AND id > $1 ORDER BY id LIMIT $2",
                         store_text(cursor), store_integer(limit));
    if (rc < 0)
        return rc;
    json_t *items = json_array();
    const size_t count = store_rows_count(rows);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(items, interest_json(request_desk(request)->interest_keys, rows, i));
    return reply_list(reply, items, count == limit ? store_row_text(rows, count - 1, 0) : NULL);
}

/* ---- Withdrawing ---- */

static int holds_end(struct store *store, const struct change *change, const char *interest,
                     struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT order_id, id FROM interest_overlaps WHERE interest = $1 AND "
                         "ended_at IS NULL",
                         store_text(interest));
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++)
        rc = interest_hold_end(store, change, store_row_text(rows, i, 0),
                               store_row_text(rows, i, 1), ret_error);
    return rc;
}

int interest_end(struct store *store, const struct change *change, const char *id,
                 struct error *ret_error)
{
    const int64_t now_s = change->now_ms / 1000;
    int rc = store_change(store, NULL, ret_error, "DELETE FROM interest_tokens WHERE interest = $1",
                          store_text(id));
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "UPDATE interests SET withdrawn_at = $1, reference = NULL WHERE id = $2",
                          store_integer(now_s), store_text(id));
    if (rc == 0)
        rc = holds_end(store, change, id, ret_error);
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "UPDATE interest_overlaps SET ended_at = $1, ended_how = 'withdrawn' "
                          "WHERE interest = $2 AND ended_at IS NULL",
                          store_integer(now_s), store_text(id));
    return rc;
}

static int withdraw_do(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct request *request = context;
    const char *id = request_param(request, "id");
    /* Those of others are as if they were not. */
    int rc = store_query(store, &rows, ret_error,
                         "SELECT id FROM interests WHERE id = $1 AND account = $2 AND "
                         "withdrawn_at IS NULL",
                         store_text(id), store_text(request_principal(request)->account));
    if (rc == 0 && store_rows_count(rows) == 0)
        rc = error_set(ret_error, -ENOENT, "there is no such interest");
    const struct change change = change_of_request(request);
    if (rc == 0)
        rc = interest_end(store, &change, id, ret_error);
    if (rc == 0)
        rc = audit(store, request, "interest.withdraw", id, NULL, ret_error);
    return rc;
}

int interest_withdraw(struct request *request, struct reply *reply, struct error *ret_error)
{
    int rc = request_transact(request, withdraw_do, request, ret_error);
    return rc < 0 ? rc : reply_status(reply, 204);
}
