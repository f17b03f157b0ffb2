/* Deciding an appeal, and what a granted one sets right. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "desk/account.h"
#include "desk/appeal.h"
#include "desk/audit.h"
#include "desk/desk.h"
#include "desk/desk_order.h"
#include "desk/ledger_queue.h"
#include "desk/mail.h"
#include "desk/outbox.h"

/* Only whoever it was given to, or an operator; and nobody who had a part in the matter. */
static int decider_check(struct store *store, const struct change *change,
                         const struct appeal *appeal, struct error *ret_error)
{
    bool is_barred;
    int rc = appeal_is_barred(store, appeal->id, change->who->account, &is_barred, ret_error);
    if (rc < 0)
        return rc;
    if (is_barred)
        return error_set(ret_error, -EACCES,
                         "you had a part in what this appeal is against: somebody else decides it");
    if (strcmp(appeal->assigned_to, change->who->account) != 0 &&
        change->who->role != ROLE_OPERATOR)
        return error_set(ret_error, -EACCES, "this appeal is in somebody else's queue");
    if (strcmp(appeal->state, "open") != 0)
        return error_set(ret_error, -EEXIST, "the appeal is %s: there is nothing to decide",
                         appeal->state);
    return 0;
}

/* What was lifted or has ended meanwhile needs no lifting: the decision stands all the same. */
static int grant(const struct desk *desk, struct store *store, const struct change *change,
                 const struct appeal *appeal, struct error *ret_error)
{
    size_t count;
    int rc = 0;

    switch (appeal->against) {
    case APPEAL_BLOCK:
        rc = block_lift(store, change, appeal->name, ret_error);
        return rc == -ENOENT ? 0 : rc;
    case APPEAL_ORDER:
        return desk_order_exempt(desk, store, change,
                                 &(struct desk_order_exemption){.name = appeal->name,
                                                                .reason = "appeal granted",
                                                                .reference = appeal->id,
                                                                .order = appeal->order_id},
                                 &count, ret_error);
    case APPEAL_ACCOUNT:
        return account_reinstate(store, change, appeal->account, ret_error);
    }
    return rc;
}

static int published(struct store *store, const struct change *change, const struct appeal *appeal,
                     const struct appeal_decision *decision, struct error *ret_error)
{
    char id[ID_SIZE];
    json_t *content =
        json_pack("{s:s, s:s, s:i}", "outcome", decision->is_granted ? "granted" : "denied",
                  "reason", decision->reason, "names", appeal->against == APPEAL_ACCOUNT ? 0 : 1);
    if (appeal->order_id[0] != '\0')
        json_object_set_new(content, "order", json_string(appeal->order_id));
    if (appeal->report[0] != '\0')
        json_object_set_new(content, "report", json_string(appeal->report));
    int rc = ledger_queue_put(store, change->now_ms, "appeal.decided", appeal->id, content, id,
                              ret_error);
    if (rc == 0)
        rc = audit_write(store,
                         &(struct audit_entry){.now_ms = change->now_ms,
                                               .who = change->who,
                                               .client = change->client,
                                               .action = "appeal.decide",
                                               .object = appeal->id,
                                               .detail = content},
                         ret_error);
    json_decref(content);
    return rc;
}

static int appellant_tell(const struct desk *desk, struct store *store, int64_t now_ms,
                          const struct appeal *appeal, const struct appeal_decision *decision,
                          struct error *ret_error)
{
    if (appeal->email[0] == '\0')
        return 0;
    return mail_notice_put(
        desk, store, now_ms,
        &(struct mail_notice){
            .text = decision->is_granted ? MAIL_APPEAL_GRANTED : MAIL_APPEAL_DENIED,
            .to = appeal->email,
            .name = appeal->against == APPEAL_ACCOUNT ? "your account" : appeal->name,
            .reference = appeal->id,
            .detail = decision->explanation},
        ret_error);
}

int appeal_decide(const struct desk *desk, struct store *store, const struct change *change,
                  const struct appeal_decision *decision, struct appeal *ret_appeal,
                  struct error *ret_error)
{
    assert(store_in_transaction(store));
    int rc = appeal_get(store, decision->id, ret_appeal, ret_error);
    /* Whoever amended the order or renewed the block since is part of the matter by now. */
    if (rc == 0)
        rc = appeal_bar(store, ret_appeal, ret_error);
    if (rc == 0)
        rc = decider_check(store, change, ret_appeal, ret_error);
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "UPDATE appeals SET state = $1, reason = $2, explanation = $3, "
                          "decided_by = $4, decided_at = $5 WHERE id = $6",
                          store_text(decision->is_granted ? "granted" : "denied"),
                          store_text(decision->reason), store_text(decision->explanation),
                          store_text(change->who->account), store_integer(change->now_ms / 1000),
                          store_text(decision->id));
    if (rc == 0)
        rc = published(store, change, ret_appeal, decision, ret_error);
    if (rc == 0 && decision->is_granted)
        rc = grant(desk, store, change, ret_appeal, ret_error);
    return rc < 0 ? rc
                  : appellant_tell(desk, store, change->now_ms, ret_appeal, decision, ret_error);
}

void appeal_settle(struct desk *desk, const struct appeal *appeal)
{
    if (appeal->against == APPEAL_BLOCK && appeal->name[0] != '\0')
        block_settle(desk, appeal->name);
    else if (appeal->against == APPEAL_ORDER)
        desk_orders_settle(desk);
    else if (appeal->account[0] != '\0')
        account_settle(desk, appeal->account);
    outbox_wake(desk);
}
