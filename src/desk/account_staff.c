/* Accounts of others, for staff: found, looked at, given a role or a plan, suspended, closed. */
#include <errno.h>
#include <string.h>

#include "desk/accounts_internal.h"
#include "desk/desk.h"

#define REASON_SIZE_MAX 500
#define PLAN_SIZE_MAX   64

/* ---- Looking ---- */

/* NULL and "": whatever it is. */
static struct store_value filter(const struct request *request, const char *name)
{
    const char *text = request_query(request, name);
    return store_text(text != NULL ? text : "");
}

int staff_account_list(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    char email[EMAIL_SIZE_MAX + 1] = "";
    const char *cursor, *asked = request_query(request, "email");
    unsigned limit;

    if (asked != NULL && !email_normalize(asked, email))
        return error_set_at(ret_error, -EINVAL, "#", 0, "email is no address: write all of it");
    int rc = request_page(request, &limit, &cursor, ret_error);
    if (rc == 0)
        rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT " ACCOUNT_COLUMNS " FROM accounts WHERE id > $1 AND "
                         "($2 = '' OR email = $3) AND ($4 = '' OR role = $5) AND "
                         "($6 = '' OR state = $7) ORDER BY id LIMIT $8",
                         store_text(cursor), store_text(email), store_text(email),
                         filter(request, "role"), filter(request, "role"), filter(request, "state"),
                         filter(request, "state"), store_integer(limit + 1));
    if (rc < 0)
        return rc;
    const size_t count = store_rows_count(rows) > limit ? limit : store_rows_count(rows);
    json_t *items = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(items, account_json(rows, i));
    return reply_list(reply, items,
                      store_rows_count(rows) > limit ? store_row_text(rows, count - 1, 0) : NULL);
}

int staff_account_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT " ACCOUNT_COLUMNS " FROM accounts WHERE id = $1",
                         store_text(request_param(request, "id")));
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) == 0)
        return error_set(ret_error, -ENOENT, "there is no such account");
    return reply_json(reply, 200, account_json(rows, 0));
}

/* ---- Changing ---- */

static const char *const state_words[] = {"active", "suspended", "closed", NULL};
enum { STATE_ACTIVE, STATE_SUSPENDED, STATE_CLOSED };

static const char *const role_words[] = {"customer", "reporter", "analyst",  "approver",
                                         "auditor",  "partner",  "operator", NULL};

struct staff_patch {
    struct request *request;
    const char *account;
    const char *role, *plan, *reason; /* NULL: not sent */
    bool has_state;
    size_t state;
};

static bool plan_is_known(const struct desk *desk, const char *name)
{
    const struct desk_config_hosts *hosts = &desk->config->hosts;
    for (size_t i = 0; i < hosts->plan_count; i++)
        if (strcmp(hosts->plans[i].name, name) == 0)
            return true;
    return false;
}

static int patch_read(struct staff_patch *patch, struct error *ret_error)
{
    struct json_in in;
    size_t role = 0;

    int rc = request_json_in(patch->request, &in, ret_error);
    if (rc == 0 && json_in_has(&in, "role")) {
        rc = json_in_word(&in, "role", role_words, &role, ret_error);
        patch->role = role_words[role];
    }
    if (rc == 0 && json_in_has(&in, "plan")) {
        rc = json_in_text(&in, "plan", 1, PLAN_SIZE_MAX, &patch->plan, ret_error);
        if (rc == 0 && !plan_is_known(request_desk(patch->request), patch->plan))
            rc = json_in_fail(&in, "plan", ret_error, "is none: add it to the configuration");
    }
    if (rc == 0 && json_in_has(&in, "state")) {
        rc = json_in_word(&in, "state", state_words, &patch->state, ret_error);
        patch->has_state = true;
    }
    /* Whoever is suspended is told why. */
    if (rc == 0 &&
        (json_in_has(&in, "reason") || (patch->has_state && patch->state == STATE_SUSPENDED)))
        rc = json_in_text(&in, "reason", 1, REASON_SIZE_MAX, &patch->reason, ret_error);
    return rc == 0 ? json_in_end(&in, ret_error) : rc;
}

static int state_apply(struct store *store, const struct staff_patch *patch,
                       struct error *ret_error)
{
    const struct change change = change_of_request(patch->request);
    switch (patch->state) {
    case STATE_ACTIVE:
        return account_reinstate(store, &change, patch->account, ret_error);
    case STATE_SUSPENDED:
        return account_suspend(store, &change, patch->account, patch->reason, ret_error);
    default:
        return account_close(store, &change, patch->account, ret_error);
    }
}

/* What the old role had opened is not the new one's. */
static int role_apply(struct store *store, const struct staff_patch *patch, struct error *ret_error)
{
    int rc = store_change(store, NULL, ret_error,
                          "UPDATE accounts SET role = $1, updated_at = $2 WHERE id = $3",
                          store_text(patch->role), store_integer(request_now_s(patch->request)),
                          store_text(patch->account));
    if (rc == 0)
        rc = sessions_end(store, patch->account, ret_error);
    if (rc == 0)
        rc = store_change(store, NULL, ret_error, "DELETE FROM api_tokens WHERE account = $1",
                          store_text(patch->account));
    if (rc == 0) {
        json_t *detail = json_pack("{s:s}", "role", patch->role);
        rc = request_audit(patch->request, store, "account.set_role", patch->account, detail,
                           ret_error);
        json_decref(detail);
    }
    return rc;
}

static int plan_apply(struct store *store, const struct staff_patch *patch, struct error *ret_error)
{
    int rc = store_change(store, NULL, ret_error,
                          "UPDATE accounts SET plan = $1, updated_at = $2 WHERE id = $3",
                          store_text(patch->plan), store_integer(request_now_s(patch->request)),
                          store_text(patch->account));
    if (rc == 0) {
        json_t *detail = json_pack("{s:s}", "plan", patch->plan);
        rc = request_audit(patch->request, store, "account.set_plan", patch->account, detail,
                           ret_error);
        json_decref(detail);
    }
    return rc;
}

static int patch_do(struct store *store, void *context, struct error *ret_error)
{
    const struct staff_patch *patch = context;
    struct account_contact contact;

    int rc = account_contact_find(store, patch->account, &contact, ret_error);
    if (rc == 0 && patch->role != NULL)
        rc = role_apply(store, patch, ret_error);
    if (rc == 0 && patch->plan != NULL)
        rc = plan_apply(store, patch, ret_error);
    if (rc == 0 && patch->has_state)
        rc = state_apply(store, patch, ret_error);
    return rc;
}

int staff_account_patch(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct staff_patch patch = {.request = request, .account = request_param(request, "id")};

    int rc = patch_read(&patch, ret_error);
    if (rc < 0)
        return rc;
    /* Nobody takes away his own role, and so there always is an operator. */
    if (strcmp(patch.account, request_principal(request)->account) == 0)
        return reply_problem(reply, 403, "own-account", "ask another operator", NULL,
                             "nobody changes role, plan or state of his own account");
    rc = request_transact(request, patch_do, &patch, ret_error);
    account_settle(request_desk(request), patch.account);
    return rc < 0 ? rc : staff_account_get(request, reply, ret_error);
}
