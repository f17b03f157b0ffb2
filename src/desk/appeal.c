/* Making appeals, and opening those that are proven. */
#include "desk/appeal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "desk/audit.h"
#include "desk/desk.h"
#include "desk/desk_order.h"
#include "desk/mail.h"

#define HOUR_S 3600

/* Of one name that wait for their proof: as many may try, and no more fill the table. */
#define UNPROVEN_MAX 50

static const char *const against_names[] = {"block", "order", "account"};

static void text_take(char *to, size_t size, const char *text)
{
    snprintf(to, size, "%s", text != NULL ? text : "");
}

int appeal_get(struct store *store, const char *id, struct appeal *ret_appeal,
               struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;

    int rc = store_query(store, &rows, ret_error,
                         "SELECT p.against, p.name, p.report, p.order_id, p.account, p.challenge, "
                         "p.state, p.assigned_to, COALESCE(a.email, p.email), p.attempts, "
                         "p.prove_by, p.decide_by FROM appeals p LEFT JOIN accounts a ON "
                         "a.id = p.account WHERE p.id = $1",
                         store_text(id));
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) == 0)
        return error_set(ret_error, -ENOENT, "there is no such appeal");
    struct appeal appeal = {.attempts = store_row_integer(rows, 0, 9),
                            .prove_by_s = store_row_integer(rows, 0, 10),
                            .decide_by_s = store_row_integer(rows, 0, 11)};
    text_take(appeal.id, sizeof(appeal.id), id);
    for (size_t i = 0; i < sizeof(against_names) / sizeof(against_names[0]); i++)
        if (strcmp(against_names[i], store_row_text(rows, 0, 0)) == 0)
            appeal.against = (enum appeal_against)i;
    text_take(appeal.name, sizeof(appeal.name), store_row_text(rows, 0, 1));
    text_take(appeal.report, sizeof(appeal.report), store_row_text(rows, 0, 2));
    text_take(appeal.order_id, sizeof(appeal.order_id), store_row_text(rows, 0, 3));
    text_take(appeal.account, sizeof(appeal.account), store_row_text(rows, 0, 4));
    text_take(appeal.challenge, sizeof(appeal.challenge), store_row_text(rows, 0, 5));
    text_take(appeal.state, sizeof(appeal.state), store_row_text(rows, 0, 6));
    text_take(appeal.assigned_to, sizeof(appeal.assigned_to), store_row_text(rows, 0, 7));
    text_take(appeal.email, sizeof(appeal.email), store_row_text(rows, 0, 8));
    *ret_appeal = appeal; /* which `id` may be a part of */
    return 0;
}

/* ---- What is in force ---- */

static int block_target(struct store *store, const char *name, int64_t now_s, struct appeal *appeal,
                        struct error *ret_error)
{
    struct block block;
    int rc = block_find(store, name, now_s, &block, ret_error);
    if (rc < 0)
        return rc;
    /* The block covers all below its name, and is lifted as a whole: its holder appeals. */
    appeal->against = APPEAL_BLOCK;
    text_take(appeal->name, sizeof(appeal->name), block.name);
    text_take(appeal->report, sizeof(appeal->report), block.report);
    text_take(appeal->order_id, sizeof(appeal->order_id), block.order_id);
    return 0;
}

static int order_target(struct store *store, const char *name, int64_t now_s, struct appeal *appeal,
                        struct error *ret_error)
{
    struct desk_order_block order;
    int rc = desk_order_find(store, name, now_s, &order, ret_error);
    if (rc < 0)
        return rc;
    appeal->against = APPEAL_ORDER;
    text_take(appeal->name, sizeof(appeal->name), name);
    text_take(appeal->order_id, sizeof(appeal->order_id), order.id);
    return 0;
}

static int account_target(struct store *store, const char *account, struct appeal *appeal,
                          struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT 1 FROM accounts WHERE id = $1 AND state = 'suspended'",
                         store_text(account));
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) == 0)
        return error_set(ret_error, -ENOENT,
                         "the account is not suspended: name the host or domain that is blocked");
    appeal->against = APPEAL_ACCOUNT;
    return 0;
}

static int target_find(struct store *store, const struct appeal_submission *submission,
                       int64_t now_s, struct appeal *appeal, struct error *ret_error)
{
    if (submission->name == NULL)
        return account_target(store, submission->account, appeal, ret_error);
    int rc = block_target(store, submission->name, now_s, appeal, ret_error);
    if (rc == -ENOENT)
        rc = order_target(store, submission->name, now_s, appeal, ret_error);
    return rc == -ENOENT
               ? error_set(ret_error, rc, "nothing is in force against %s", submission->name)
               : rc;
}

/* ---- Making ---- */

static int count_of(struct store *store, const char *sql, const char *text, int64_t since_s,
                    int64_t *ret_count, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error, sql, store_text(text), store_integer(since_s));
    if (rc == 0)
        *ret_count = store_row_integer(rows, 0, 0);
    return rc;
}

/* Appeals cost a stranger nothing: bounded by client and by name. */
static int stranger_check(const struct desk *desk, struct store *store,
                          const struct appeal_submission *submission, const struct appeal *appeal,
                          int64_t now_s, struct error *ret_error)
{
    int64_t of_client = 0, of_name = 0;
    int rc = count_of(store, "SELECT COUNT(*) FROM appeals WHERE client = $1 AND created_at > $2",
                      submission->client, now_s - HOUR_S, &of_client, ret_error);
    if (rc == 0)
        rc = count_of(store,
                      "SELECT COUNT(*) FROM appeals WHERE name = $1 AND state = 'unproven' AND "
                      "prove_by > $2",
                      appeal->name, now_s, &of_name, ret_error);
    if (rc < 0)
        return rc;
    if (of_client >= desk->config->appeals.per_address_hourly || of_name >= UNPROVEN_MAX)
        return error_set(ret_error, -EDQUOT, "too many appeals: try again in an hour");
    return 0;
}

/* Of an account one for a name is open at a time. */
static int account_check(struct store *store, const char *account, const struct appeal *appeal,
                         struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT id FROM appeals WHERE account = $1 AND name = $2 AND "
                         "state IN ('unproven', 'open')",
                         store_text(account), store_text(appeal->name));
    if (rc == 0 && store_rows_count(rows) > 0)
        return error_set(ret_error, -EEXIST, "your appeal %s waits already: look at that one",
                         store_row_text(rows, 0, 0));
    return rc;
}

static int row_add(struct store *store, const struct appeal_submission *submission,
                   const struct appeal *appeal, int64_t now_s, struct error *ret_error)
{
    uint8_t capability[SECRET_HASH_SIZE];
    secret_hash("appeal", submission->capability, capability);
    return store_change(
        store, NULL, ret_error,
        "INSERT INTO appeals (id, against, name, report, order_id, account, email, client, "
        "statement, capability, challenge, state, created_at, prove_by) VALUES ($1, $2, $3, $4, "
        "$5, $6, $7, $8, $9, $10, $11, 'unproven', $12, $13)",
        store_text(appeal->id), store_text(against_names[appeal->against]),
        store_text(appeal->name), store_text(appeal->report[0] != '\0' ? appeal->report : NULL),
        store_text(appeal->order_id[0] != '\0' ? appeal->order_id : NULL),
        store_text(submission->account), store_text(submission->email),
        store_text(submission->client), store_text(submission->statement),
        store_octets(capability, sizeof(capability)), store_text(appeal->challenge),
        store_integer(now_s), store_integer(appeal->prove_by_s));
}

/* The account that is blocked needs no more proof than to be signed in. */
static int owner_open(const struct desk *desk, struct store *store, const struct change *change,
                      const struct appeal_submission *submission, struct appeal *appeal,
                      struct error *ret_error)
{
    bool owns = appeal->against == APPEAL_ACCOUNT;
    int rc = 0;
    if (submission->account == NULL)
        return 0;
    if (!owns)
        rc = appeal_concerns(store, submission->account, appeal, &owns, ret_error);
    if (rc < 0 || !owns)
        return rc;
    return appeal_open(desk, store, change, appeal, "account", ret_error);
}

int appeal_submit(const struct desk *desk, struct store *store, const struct change *change,
                  const struct appeal_submission *submission, struct appeal *ret_appeal,
                  struct error *ret_error)
{
    int64_t now_s = change->now_ms / 1000;
    struct appeal appeal = {.prove_by_s =
                                now_s + (int64_t)desk->config->appeals.prove_hours * HOUR_S};

    assert(store_in_transaction(store));
    int rc = target_find(store, submission, now_s, &appeal, ret_error);
    if (rc == 0)
        rc = submission->account == NULL
                 ? stranger_check(desk, store, submission, &appeal, now_s, ret_error)
                 : account_check(store, submission->account, &appeal, ret_error);
    if (rc < 0)
        return rc;
    id_make(ID_APPEAL, change->now_ms, appeal.id);
    secret_make(appeal.challenge);
    text_take(appeal.state, sizeof(appeal.state), "unproven");
    text_take(appeal.account, sizeof(appeal.account), submission->account);
    rc = row_add(store, submission, &appeal, now_s, ret_error);
    if (rc == 0)
        rc = appeal_bar(store, &appeal, ret_error);
    if (rc == 0)
        rc = audit_write(store,
                         &(struct audit_entry){.now_ms = change->now_ms,
                                               .who = change->who,
                                               .client = change->client,
                                               .action = "appeal.submit",
                                               .object = appeal.id},
                         ret_error);
    if (rc == 0)
        rc = appeal_get(store, appeal.id, &appeal, ret_error);
    if (rc == 0)
        rc = owner_open(desk, store, change, submission, &appeal, ret_error);
    if (rc == 0)
        *ret_appeal = appeal;
    return rc;
}

/* ---- Opening ---- */

static int receipt_put(const struct desk *desk, struct store *store, int64_t now_ms,
                       const struct appeal *appeal, struct error *ret_error)
{
    char url[64];
    if (appeal->email[0] == '\0')
        return 0;
    snprintf(url, sizeof(url), "/v1/appeals/%s", appeal->id);
    return mail_notice_put(desk, store, now_ms,
                           &(struct mail_notice){.text = MAIL_APPEAL_RECEIVED,
                                                 .to = appeal->email,
                                                 .name = appeal->against == APPEAL_ACCOUNT
                                                             ? "your account"
                                                             : appeal->name,
                                                 .reference = appeal->id,
                                                 .deadline_s = appeal->decide_by_s,
                                                 .url = url},
                           ret_error);
}

int appeal_open(const struct desk *desk, struct store *store, const struct change *change,
                struct appeal *appeal, const char *proof, struct error *ret_error)
{
    int64_t now_s = change->now_ms / 1000;
    uint64_t changed = 0;

    assert(store_in_transaction(store));
    appeal->decide_by_s = now_s + (int64_t)desk->config->appeals.decide_hours * HOUR_S;
    int rc = store_change(store, &changed, ret_error,
                          "UPDATE appeals SET state = 'open', proof = $1, proven_at = $2, "
                          "decide_by = $3 WHERE id = $4 AND state = 'unproven'",
                          store_text(proof), store_integer(now_s),
                          store_integer(appeal->decide_by_s), store_text(appeal->id));
    if (rc < 0)
        return rc;
    if (changed == 0)
        return error_set(ret_error, -EEXIST, "the appeal is %s: there is nothing to prove",
                         appeal->state);
    text_take(appeal->state, sizeof(appeal->state), "open");
    json_t *detail = json_pack("{s:s}", "proof", proof);
    rc = audit_write(store,
                     &(struct audit_entry){.now_ms = change->now_ms,
                                           .who = change->who,
                                           .client = change->client,
                                           .action = "appeal.prove",
                                           .object = appeal->id,
                                           .detail = detail},
                     ret_error);
    json_decref(detail);
    if (rc == 0)
        rc = receipt_put(desk, store, change->now_ms, appeal, ret_error);
    return rc < 0 ? rc : appeal_assign(desk, store, change->now_ms, appeal, ret_error);
}
