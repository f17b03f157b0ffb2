/* Appeals and figures over HTTP: whoever is blocked submits, proves and looks; staff look and
 * decide. */
#include "desk/appeal_routes.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "desk/account.h"
#include "desk/appeal.h"
#include "desk/appeal_keys.h"
#include "desk/audit.h"
#include "desk/desk.h"
#include "desk/figures.h"
#include "desk/host_names.h"
#include "desk/json_in.h"
#include "desk/mail_internal.h"
#include "desk/row_json.h"

#define SUBMIT_BODY_MAX 65536
#define SMALL_BODY_MAX  16384

/* Lookups and signatures that one appeal may cost. */
#define ATTEMPTS_MAX 30

#define ROLE_DECIDES (ROLE_ANALYST | ROLE_APPROVER | ROLE_OPERATOR)
#define ROLE_LOOKS   (ROLE_DECIDES | ROLE_AUDITOR)

/* ---- As JSON ---- */

#define COLUMNS                                                                               \
    "p.id, p.against, p.name, p.state, p.proof, p.created_at, p.prove_by, p.decide_by, "      \
    "p.decided_at, p.reason, p.explanation, p.report, p.order_id, p.statement, p.challenge, " \
    "p.assigned_to, p.decided_by, p.account, p.email"

/* What whoever appealed sees; staff see also who has it and what was said. */
static json_t *appeal_json(const struct store_rows *rows, size_t row, bool for_staff)
{
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:s?, s:o, s:o, s:o, s:o, s:s?, s:s?, s:s}", "id",
        store_row_text(rows, row, 0), "against", store_row_text(rows, row, 1), "name",
        store_row_text(rows, row, 2), "state", store_row_text(rows, row, 3), "proof",
        store_row_text(rows, row, 4), "created_at", row_time_json(rows, row, 5), "prove_by",
        row_time_json(rows, row, 6), "decide_by", row_time_json(rows, row, 7), "decided_at",
        row_time_json(rows, row, 8), "reason", store_row_text(rows, row, 9), "explanation",
        store_row_text(rows, row, 10), "statement", store_row_text(rows, row, 13));
    if (!for_staff)
        return json;
    json_t *more =
        json_pack("{s:s?, s:s?, s:s?, s:s?, s:s?, s:s?}", "report", store_row_text(rows, row, 11),
                  "order", store_row_text(rows, row, 12), "assigned_to",
                  store_row_text(rows, row, 15), "decided_by", store_row_text(rows, row, 16),
                  "account", store_row_text(rows, row, 17), "email", store_row_text(rows, row, 18));
    json_object_update(json, more);
    json_decref(more);
    return json;
}

/* How control can be proven, while it is not. */
static void proof_add(json_t *json, const struct appeal *appeal)
{
    char owner[BLOCK_NAME_SIZE + sizeof(APPEAL_TXT_LABEL) + 1];
    char value[sizeof(APPEAL_TXT_VALUE) + SECRET_TEXT_SIZE], text[APPEAL_SIGNED_SIZE];

    if (strcmp(appeal->state, "unproven") != 0)
        return;
    snprintf(owner, sizeof(owner), APPEAL_TXT_LABEL ".%s", appeal->name);
    snprintf(value, sizeof(value), APPEAL_TXT_VALUE "%s", appeal->challenge);
    appeal_signed_text(appeal, text);
    json_object_set_new(json, "proofs",
                        json_pack("{s:{s:s, s:s}, s:{s:s}}", "dns-txt", "owner", owner, "value",
                                  value, "signature", "text", text));
}

static int one_get(struct store *store, const char *id, struct store_rows **ret_rows,
                   struct error *ret_error)
{
    int rc = store_query(store, ret_rows, ret_error,
                         "SELECT " COLUMNS " FROM appeals p WHERE p.id = $1", store_text(id));
    if (rc == 0 && store_rows_count(*ret_rows) == 0)
        return error_set(ret_error, -ENOENT, "there is no such appeal");
    return rc;
}

static int appeal_reply(struct request *request, struct reply *reply, unsigned status,
                        const struct appeal *appeal, const char *token, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = one_get(request_store(request), appeal->id, &rows, ret_error);
    if (rc < 0)
        return rc;
    json_t *json = appeal_json(rows, 0, (request_principal(request)->role & ROLE_LOOKS) != 0);
    proof_add(json, appeal);
    if (token != NULL)
        json_object_set_new(json, "token", json_string(token));
    return reply_json(reply, status, json);
}

/* ---- Submitting ---- */

struct submission {
    struct request *request;
    struct appeal_submission in;
    char name[HOST_NAME_SIZE], email[EMAIL_SIZE_MAX + 1];
    struct appeal appeal;
};

static int submit_do(struct store *store, void *context, struct error *ret_error)
{
    struct submission *submission = context;
    struct change change = change_of_request(submission->request);
    return appeal_submit(request_desk(submission->request), store, &change, &submission->in,
                         &submission->appeal, ret_error);
}

static int submission_read(struct submission *submission, struct error *ret_error)
{
    const char *account = request_principal(submission->request)->account;
    const char *name, *email;
    struct json_in in;

    int rc = request_json_in(submission->request, &in, ret_error);
    if (rc == 0)
        rc = json_in_lines(&in, "statement", 1, APPEAL_STATEMENT_MAX, &submission->in.statement,
                           ret_error);
    if (rc == 0 && json_in_has(&in, "name")) {
        rc = json_in_text(&in, "name", 1, HOST_NAME_SIZE - 1, &name, ret_error);
        if (rc == 0)
            rc = host_name_normalize(name, submission->name, ret_error);
        submission->in.name = submission->name;
    }
    if (rc == 0 && json_in_has(&in, "email")) {
        rc = json_in_text(&in, "email", 1, EMAIL_SIZE_MAX, &email, ret_error);
        if (rc == 0)
            rc = mail_address(email, submission->email, ret_error);
        submission->in.email = submission->email;
    }
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    if (rc == 0 && submission->in.name == NULL && account[0] == '\0')
        rc = json_in_fail(&in, "name", ret_error, "is missing: name the host or domain");
    submission->in.account = account[0] != '\0' ? account : NULL;
    submission->in.client = request_client_text(submission->request);
    return rc;
}

static int submit(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct submission submission = {.request = request};

    int rc = submission_read(&submission, ret_error);
    if (rc < 0)
        return rc;
    secret_make(submission.in.capability);
    rc = request_transact(request, submit_do, &submission, ret_error);
    if (rc < 0)
        return rc;
    outbox_wake(request_desk(request));
    reply->is_secret = true;
    return appeal_reply(request, reply, 201, &submission.appeal, submission.in.capability,
                        ret_error);
}

/* ---- Who may look ---- */

/* Its account, or whoever has the token of the answer; to anybody else there is no such appeal. */
static int party_check(struct request *request, const struct appeal *appeal, const char *token,
                       struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct principal *who = request_principal(request);
    uint8_t hash[SECRET_HASH_SIZE];

    if (who->account[0] != '\0' && strcmp(who->account, appeal->account) == 0)
        return 0;
    if (token == NULL)
        return error_set(ret_error, -ENOENT, "there is no such appeal");
    secret_hash("appeal", token, hash);
    int rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT 1 FROM appeals WHERE id = $1 AND capability = $2",
                         store_text(appeal->id), store_octets(hash, sizeof(hash)));
    if (rc == 0 && store_rows_count(rows) == 0)
        return error_set(ret_error, -ENOENT, "there is no such appeal");
    return rc;
}

static int get_one(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct appeal appeal;
    int rc = appeal_get(request_store(request), request_param(request, "id"), &appeal, ret_error);
    if (rc == 0 && (request_principal(request)->role & ROLE_LOOKS) == 0)
        rc = party_check(request, &appeal, request_query(request, "token"), ret_error);
    return rc < 0 ? rc : appeal_reply(request, reply, 200, &appeal, NULL, ret_error);
}

/* ---- Proving ---- */

struct proving {
    struct request *request;
    struct appeal appeal;
    struct appeal_proof proof;
    const char *method;
    bool holds;
};

static const char *const methods[] = {"dns-txt", "signature", "host-key", NULL};

static int proof_read(struct proving *proving, const char **ret_token, struct error *ret_error)
{
    struct json_in in;
    size_t method;

    int rc = request_json_in(proving->request, &in, ret_error);
    if (rc == 0)
        rc = json_in_word(&in, "method", methods, &method, ret_error);
    if (rc < 0)
        return rc;
    proving->proof.method = (enum appeal_method)method;
    proving->method = methods[method];
    if (method == APPEAL_PROOF_SIGNATURE)
        rc = json_in_text(&in, "signature", 1, 100, &proving->proof.signature, ret_error);
    else if (method == APPEAL_PROOF_HOST_KEY)
        rc = json_in_text(&in, "key", 1, 100, &proving->proof.host_key, ret_error);
    *ret_token = NULL;
    if (rc == 0 && json_in_has(&in, "token"))
        rc = json_in_text(&in, "token", 1, SECRET_TEXT_SIZE, ret_token, ret_error);
    return rc == 0 ? json_in_end(&in, ret_error) : rc;
}

/* The attempt counts also when it fails. */
static int prove_do(struct store *store, void *context, struct error *ret_error)
{
    struct proving *proving = context;
    struct change change = change_of_request(proving->request);
    int rc = store_change(store, NULL, ret_error,
                          "UPDATE appeals SET attempts = attempts + 1 WHERE id = $1",
                          store_text(proving->appeal.id));
    if (rc < 0 || !proving->holds)
        return rc;
    return appeal_open(request_desk(proving->request), store, &change, &proving->appeal,
                       proving->method, ret_error);
}

static int provable_check(const struct proving *proving, struct error *ret_error)
{
    if (strcmp(proving->appeal.state, "unproven") != 0)
        return error_set(ret_error, -EEXIST, "the appeal is %s: there is nothing to prove",
                         proving->appeal.state);
    if (proving->appeal.prove_by_s <= request_now_s(proving->request))
        return error_set(ret_error, -EEXIST, "its time is over: submit a new appeal");
    if (proving->appeal.attempts >= ATTEMPTS_MAX)
        return error_set(ret_error, -EDQUOT, "too many attempts: submit a new appeal");
    return 0;
}

static int prove(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct proving proving = {.request = request};
    const char *token;

    int rc = proof_read(&proving, &token, ret_error);
    if (rc == 0)
        rc = appeal_get(request_store(request), request_param(request, "id"), &proving.appeal,
                        ret_error);
    if (rc == 0)
        rc = party_check(request, &proving.appeal, token, ret_error);
    if (rc == 0)
        rc = provable_check(&proving, ret_error);
    if (rc == 0)
        rc = appeal_proof_check(request_desk(request), request_store(request), &proving.appeal,
                                &proving.proof, &proving.holds, ret_error);
    if (rc == 0)
        rc = request_transact(request, prove_do, &proving, ret_error);
    if (rc < 0)
        return rc;
    if (!proving.holds)
        return reply_problem(reply, 403, "proof", "see `proofs` of the appeal, then try again",
                             NULL, "this does not prove that you control %s", proving.appeal.name);
    outbox_wake(request_desk(request));
    return appeal_reply(request, reply, 200, &proving.appeal, NULL, ret_error);
}

/* ---- Lists ---- */

/* Of a customer their own, of staff all; ?queue=mine is what one has to decide. */
static int list(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct principal *who = request_principal(request);
    const char *state = request_query(request, "state"), *queue = request_query(request, "queue");
    const char *name = request_query(request, "name"), *cursor;
    bool for_staff = (who->role & ROLE_LOOKS) != 0;
    unsigned limit;

    bool is_mine = queue != NULL && strcmp(queue, "mine") == 0;
    if (queue != NULL && !is_mine)
        return error_set(ret_error, -EINVAL, "there is no such queue: write queue=mine");
    int rc = request_page(request, &limit, &cursor, ret_error);
    if (rc == 0)
        rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT " COLUMNS " FROM appeals p WHERE p.id > $1 AND ($2 = '' OR "
                         "p.account = $3) AND ($4 = '' OR p.assigned_to = $5) AND ($6 = '' OR "
                         "p.state = $7) AND ($8 = '' OR p.name = $9) ORDER BY p.id LIMIT $10",
                         store_text(cursor), store_text(for_staff ? "" : who->account),
                         store_text(who->account), store_text(is_mine ? who->account : ""),
                         store_text(who->account), store_text(state != NULL ? state : ""),
                         store_text(state != NULL ? state : ""),
                         store_text(name != NULL ? name : ""), store_text(name != NULL ? name : ""),
                         store_integer(limit));
    if (rc < 0)
        return rc;
    json_t *items = json_array();
    size_t count = store_rows_count(rows);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(items, appeal_json(rows, i, for_staff));
    return reply_list(reply, items, count == limit ? store_row_text(rows, count - 1, 0) : NULL);
}

/* ---- Deciding ---- */

struct deciding {
    struct request *request;
    struct appeal_decision decision;
    struct appeal appeal;
};

static int decide_do(struct store *store, void *context, struct error *ret_error)
{
    struct deciding *deciding = context;
    struct change change = change_of_request(deciding->request);
    return appeal_decide(request_desk(deciding->request), store, &change, &deciding->decision,
                         &deciding->appeal, ret_error);
}

/* It goes into the ledger, where no text does. */
static bool is_code(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(text);
}

static int decision_read(struct deciding *deciding, struct error *ret_error)
{
    static const char *const outcomes[] = {"denied", "granted", NULL};
    struct json_in in;
    size_t outcome;

    int rc = request_json_in(deciding->request, &in, ret_error);
    if (rc == 0)
        rc = json_in_word(&in, "outcome", outcomes, &outcome, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "reason", 1, APPEAL_REASON_MAX, &deciding->decision.reason,
                          ret_error);
    if (rc == 0)
        rc = json_in_lines(&in, "explanation", 1, APPEAL_EXPLANATION_MAX,
                           &deciding->decision.explanation, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    if (rc < 0)
        return rc;
    if (!is_code(deciding->decision.reason))
        return json_in_fail(&in, "reason", ret_error,
                            "is a code of small letters, digits and '-': write false-positive");
    deciding->decision.is_granted = outcome == 1;
    return 0;
}

static int decide(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct deciding deciding = {.request = request,
                                .decision = {.id = request_param(request, "id")}};

    int rc = decision_read(&deciding, ret_error);
    if (rc < 0)
        return rc;
    rc = request_transact(request, decide_do, &deciding, ret_error);
    appeal_settle(request_desk(request), &deciding.appeal);
    return rc < 0 ? rc : appeal_reply(request, reply, 201, &deciding.appeal, NULL, ret_error);
}

const struct route appeal_routes[APPEAL_ROUTE_COUNT] = {
    {"POST", "/v1/appeals", ROLE_PUBLIC, SCOPE_APPEALS_WRITE, submit, .body_max = SUBMIT_BODY_MAX},
    {"GET", "/v1/appeals", ROLE_CUSTOMER | ROLE_LOOKS, SCOPE_REPORTS_READ, list},
    {"GET", "/v1/appeals/{id}", ROLE_PUBLIC, SCOPE_REPORTS_READ, get_one},
    {"POST", "/v1/appeals/{id}/proofs", ROLE_PUBLIC, SCOPE_APPEALS_WRITE, prove,
     .body_max = SMALL_BODY_MAX},
    {"POST", "/v1/appeals/{id}/decisions", ROLE_DECIDES, SCOPE_APPEALS_WRITE, decide,
     .body_max = SMALL_BODY_MAX},
    {"POST", "/v1/appeal-keys", ROLE_PUBLIC, SCOPE_APPEALS_WRITE, appeal_key_add,
     .body_max = SMALL_BODY_MAX},
    {"GET", "/v1/figures", ROLE_LOOKS, SCOPE_REPORTS_READ, figures_show},
    {"GET", "/figures/{month}", ROLE_PUBLIC, 0, figures_month_show},
};
