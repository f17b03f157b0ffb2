/* API tokens: made and deleted in a session alone, so that a token that leaks makes no others. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "desk/accounts_internal.h"
#include "desk/desk.h"
#include "desk/row_json.h"

/* Of one account; keeps its list one that a person can look through. */
#define TOKENS_MAX     100
#define LABEL_SIZE_MAX 100
#define SCOPES_MAX     32

struct token {
    struct request *request;
    const char *label;
    char scopes[SCOPES_TEXT_SIZE];
    int64_t expires_s; /* 0: never */
    char id[ID_SIZE], text[sizeof(TOKEN_PREFIX) + SECRET_TEXT_SIZE];
};

/* ---- List ---- */

static json_t *scopes_json(const char *text)
{
    json_t *list = json_array();
    unsigned set = 0;

    if (!scopes_parse(text, &set)) /* of a later program: shown by what is known */
        return list;
    for (size_t i = 0; scope_name_at(i) != NULL; i++) {
        unsigned bit = 0;
        if (scopes_parse(scope_name_at(i), &bit) && (set & bit) != 0)
            json_array_append_new(list, json_string(scope_name_at(i)));
    }
    return list;
}

int token_list(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const char *cursor;
    unsigned limit;

    int rc = request_page(request, &limit, &cursor, ret_error);
    if (rc == 0)
        rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT id, label, scopes, created_at, last_used_at, expires_at "
                         "FROM api_tokens WHERE account = $1 AND id > $2 ORDER BY id LIMIT $3",
                         store_text(request_principal(request)->account), store_text(cursor),
                         store_integer(limit + 1));
    if (rc < 0)
        return rc;
    const size_t count = store_rows_count(rows) > limit ? limit : store_rows_count(rows);
    json_t *items = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(
            items,
            json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "id", store_row_text(rows, i, 0), "label",
                      store_row_text(rows, i, 1), "scopes", scopes_json(store_row_text(rows, i, 2)),
                      "created_at", row_time_json(rows, i, 3), "last_used_at",
                      row_time_json(rows, i, 4), "expires_at", row_time_json(rows, i, 5)));
    return reply_list(reply, items,
                      store_rows_count(rows) > limit ? store_row_text(rows, count - 1, 0) : NULL);
}

/* ---- Make ---- */

static int count_check(struct store *store, const char *account, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT COUNT(*) FROM api_tokens WHERE account = $1", store_text(account));
    if (rc == 0 && store_row_integer(rows, 0, 0) >= TOKENS_MAX)
        return error_set(ret_error, -EEXIST, "the account has %d tokens: delete one", TOKENS_MAX);
    return rc;
}

static int token_do(struct store *store, void *context, struct error *ret_error)
{
    struct token *token = context;
    const struct principal *who = request_principal(token->request);
    uint8_t hash[SECRET_HASH_SIZE];

    id_make(ID_TOKEN, request_now_ms(token->request), token->id);
    secret_hash("token", token->text, hash);
    int rc = count_check(store, who->account, ret_error);
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "INSERT INTO api_tokens (id, account, hash, scopes, label, created_at, "
                          "expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
                          store_text(token->id), store_text(who->account),
                          store_octets(hash, sizeof(hash)), store_text(token->scopes),
                          store_text(token->label), store_integer(request_now_s(token->request)),
                          token->expires_s != 0 ? store_integer(token->expires_s) : store_null());
    if (rc == 0) {
        json_t *detail = json_pack("{s:s}", "scopes", token->scopes);
        rc = request_audit(token->request, store, "token.create", token->id, detail, ret_error);
        json_decref(detail);
    }
    return rc;
}

static int scopes_take(struct json_in *in, struct token *token, struct error *ret_error)
{
    const json_t *list;
    unsigned set = 0;

    int rc = json_in_array(in, "scopes", SCOPES_MAX, &list, ret_error);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        unsigned bit = 0;
        if (name == NULL || strchr(name, ' ') != NULL || !scopes_parse(name, &bit) || bit == 0)
            return json_in_fail(in, "scopes", ret_error,
                                "has an entry that is none: the description lists them");
        set |= bit;
    }
    if (set == 0)
        return json_in_fail(in, "scopes", ret_error, "is empty: name what the token may do");
    scopes_text(set, token->scopes);
    return 0;
}

static int token_read(struct token *token, struct error *ret_error)
{
    struct json_in in;
    int rc = request_json_in(token->request, &in, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "label", 1, LABEL_SIZE_MAX, &token->label, ret_error);
    if (rc == 0)
        rc = scopes_take(&in, token, ret_error);
    if (rc == 0 && json_in_has(&in, "expires_at"))
        rc = json_in_time(&in, "expires_at", &token->expires_s, ret_error);
    if (rc == 0 && token->expires_s != 0 && token->expires_s <= request_now_s(token->request))
        rc = json_in_fail(&in, "expires_at", ret_error, "is in the past: give a later time");
    return rc == 0 ? json_in_end(&in, ret_error) : rc;
}

int token_create(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct token token = {.request = request};
    char secret[SECRET_TEXT_SIZE], location[ID_SIZE + 16];

    int rc = token_read(&token, ret_error);
    if (rc < 0)
        return rc;
    secret_make(secret);
    (void)snprintf(token.text, sizeof(token.text), "%s%s", TOKEN_PREFIX, secret);
    rc = request_transact(request, token_do, &token, ret_error);
    if (rc == 0) {
        reply->is_secret = true;
        (void)snprintf(location, sizeof(location), "/v1/tokens/%s", token.id);
        rc = reply_header_add(reply, "Location", location);
    }
    if (rc == 0)
        rc = reply_json(reply, 201, json_pack("{s:s, s:s}", "id", token.id, "token", token.text));
    sodium_memzero(secret, sizeof(secret));
    sodium_memzero(token.text, sizeof(token.text));
    return rc;
}

/* ---- Delete ---- */

static int delete_do(struct store *store, void *context, struct error *ret_error)
{
    struct request *request = context;
    const char *id = request_param(request, "id");
    uint64_t changed = 0;

    int rc = store_change(store, &changed, ret_error,
                          "DELETE FROM api_tokens WHERE id = $1 AND account = $2", store_text(id),
                          store_text(request_principal(request)->account));
    if (rc == 0 && changed == 0)
        return error_set(ret_error, -ENOENT, "there is no such token of yours");
    return rc < 0 ? rc : request_audit(request, store, "token.delete", id, NULL, ret_error);
}

int token_delete(struct request *request, struct reply *reply, struct error *ret_error)
{
    int rc = request_transact(request, delete_do, request, ret_error);
    account_settle(request_desk(request), request_principal(request)->account);
    return rc < 0 ? rc : reply_status(reply, 204);
}
