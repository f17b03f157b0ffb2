#include "desk/triage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "desk/account.h"
#include "desk/audit.h"
#include "desk/block.h"
#include "desk/block_opening.h"
#include "desk/desk.h"
#include "desk/ledger_queue.h"
#include "desk/outbox.h"
#include "desk/report_mail.h"

/* Decisions that one run of the job carries out. */
#define DUE_MAX 200

/* A warning without any time to put things right would be none. */
#define WARNING_HOURS_MIN 24

const char *const triage_actions[] = {"dismiss",         "warn",     "suspend-host",
                                      "suspend-account", "escalate", NULL};

/* ---- Reasons ---- */

#define DISMISSES (1U << TRIAGE_DISMISS)
#define ACTS      (1U << TRIAGE_WARN | 1U << TRIAGE_SUSPEND_HOST | 1U << TRIAGE_SUSPEND_ACCOUNT)
#define ESCALATES (1U << TRIAGE_ESCALATE)

/* The codes of what is acted on are the classes of reports, as staff found it to be: by it goes how
 * long the customer has. */
static const struct triage_reason reasons[] = {
    {"no-abuse", DISMISSES, false, "We looked at it and found no abuse."},
    {"no-evidence", DISMISSES, false,
     "We could not see what you describe. Please send evidence if you have any."},
    {"resolved", DISMISSES, true, "It was put right before we decided."},
    {"blocked-already", DISMISSES, true, "The name is blocked already."},
    {"malware-controller", ACTS, true, "The name controls malware."},
    {"csam", ACTS, true, "The host shows sexual abuse of children."},
    {"malware", ACTS, true, "The host distributes malware."},
    {"phishing", ACTS, true, "The host is used for phishing or fraud."},
    {"attack", ACTS, true, "The host attacks others."},
    {"spam", ACTS, true, "The host is used for unsolicited mail."},
    {"copyright", ACTS, true, "The host infringes rights of others."},
    {"other", ACTS, true, "The host breaks our terms of use."},
    {"order-needed", ESCALATES, true,
     "It needs an order, which follows its own process and is published."},
    {"authority", ESCALATES, true, "It was passed on to the authority that is in charge of it."},
};

#define REASON_COUNT (sizeof(reasons) / sizeof(reasons[0]))

const struct triage_reason *triage_reason_find(enum triage_action action, const char *code)
{
    for (size_t i = 0; i < REASON_COUNT; i++)
        if ((reasons[i].actions & 1U << action) != 0 && strcmp(reasons[i].code, code) == 0)
            return &reasons[i];
    return NULL;
}

void triage_reasons_text(enum triage_action action, char *ret_text, size_t size)
{
    size_t used = 0;
    ret_text[0] = '\0';
    for (size_t i = 0; i < REASON_COUNT && used < size; i++)
        if ((reasons[i].actions & 1U << action) != 0)
            used += (size_t)snprintf(ret_text + used, size - used, "%s%s", used > 0 ? ", " : "",
                                     reasons[i].code);
}

/* ---- The report as it is ---- */

struct standing {
    char class[32];
    char reporter[ID_SIZE];
    char before[32]; /* action of the last decision; "" : there was none */
    char before_reason[64];
    int64_t before_acted_at; /* 0: it was not acted on */
    bool before_upheld, has_before;
    int64_t received_at;
};

static int standing_check(const struct triage_decision *decision, const struct store_rows *rows,
                          struct error *ret_error)
{
    const char *state = store_row_text(rows, 0, 0), *claimed_by = store_row_text(rows, 0, 1);
    int64_t now_s = decision->change.now_ms / 1000;

    if (strcmp(state, "duplicate") == 0)
        return error_set(ret_error, -EEXIST, "the report counts on another one: decide on %s",
                         store_row_text(rows, 0, 3));
    if (strcmp(state, "not-ours") == 0)
        return error_set(ret_error, -EEXIST,
                         "the report is about no name of ours: there is nothing to decide");
    if (claimed_by != NULL && store_row_integer(rows, 0, 2) > now_s &&
        strcmp(claimed_by, decision->change.who->account) != 0)
        return error_set(ret_error, -EEXIST, "the report is claimed by %s: leave it to them",
                         claimed_by);
    return 0;
}

static int standing_find(struct store *store, const struct triage_decision *decision,
                         struct standing *ret_standing, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT r.state, r.claimed_by, r.claimed_until, r.first, r.class, "
                         "r.reporter, r.received_at, d.action, d.reason, d.acted_at FROM reports r "
                         "LEFT JOIN decisions d ON d.id = r.decision WHERE r.id = $1",
                         store_text(decision->report));
    if (rc == 0 && store_rows_count(rows) == 0)
        rc = error_set(ret_error, -ENOENT, "there is no such report");
    if (rc == 0)
        rc = standing_check(decision, rows, ret_error);
    if (rc < 0)
        return rc;
    const char *before = store_row_text(rows, 0, 7);
    *ret_standing = (struct standing){.has_before = before != NULL,
                                      .before_acted_at = store_row_integer(rows, 0, 9),
                                      .received_at = store_row_integer(rows, 0, 6)};
    snprintf(ret_standing->class, sizeof(ret_standing->class), "%s", store_row_text(rows, 0, 4));
    snprintf(ret_standing->reporter, ID_SIZE, "%s", store_row_text(rows, 0, 5));
    snprintf(ret_standing->before, sizeof(ret_standing->before), "%s",
             before != NULL ? before : "");
    snprintf(ret_standing->before_reason, sizeof(ret_standing->before_reason), "%s",
             before != NULL ? store_row_text(rows, 0, 8) : "");
    for (size_t i = 0; before != NULL && i < REASON_COUNT; i++)
        if (strcmp(reasons[i].code, store_row_text(rows, 0, 8)) == 0)
            ret_standing->before_upheld = reasons[i].upholds;
    return 0;
}

/* ---- Taking effect ---- */

/* What a decision that takes effect is about. */
struct effect {
    const struct desk *desk;
    struct change change;
    const char *report, *decision, *reason;
    enum triage_action action;
};

static int names_find(struct store *store, const char *report, struct store_rows **ret_rows,
                      struct error *ret_error)
{
    return store_query(store, ret_rows, ret_error,
                       "SELECT DISTINCT owner_name FROM report_names WHERE report = $1 AND "
                       "is_ours = 1 ORDER BY owner_name",
                       store_text(report));
}

/* Who has the hosts now, or had them when it was reported and has let them go. */
static int accounts_find(struct store *store, const char *report, struct store_rows **ret_rows,
                         struct error *ret_error)
{
    return store_query(store, ret_rows, ret_error,
                       "SELECT DISTINCT a.id, a.state, a.state_since, a.state_reason "
                       "FROM report_names n LEFT JOIN hosts h ON "
                       "h.name = n.owner_name JOIN accounts a ON "
                       "a.id = COALESCE(h.account, n.account) "
                       "WHERE n.report = $1 AND a.state <> 'closed'",
                       store_text(report));
}

/* What the public learns: how many names, why and since when; which ones from the look-up, as long
 * as they are blocked. Never whose they are or who asked. */
static int blocked_publish(struct store *store, const struct effect *effect,
                           const struct store_rows *names, struct error *ret_error)
{
    char id[ID_SIZE];
    int rc = 0;
    json_t *list = json_array();
    for (size_t i = 0; i < store_rows_count(names) && rc == 0; i++)
        rc = block_opening_put(store, effect->decision, effect->report, store_row_text(names, i, 0),
                               list, ret_error);
    json_t *content = json_pack("{s:s, s:s, s:s, s:s, s:o}", "report", effect->report, "decision",
                                effect->decision, "action", triage_actions[effect->action],
                                "reason", effect->reason, "names", list);
    if (rc == 0 && content == NULL)
        rc = error_set(ret_error, -ENOMEM, "out of memory for the ledger");
    if (rc == 0)
        rc = ledger_queue_put(store, effect->change.now_ms, "report.blocked", effect->report,
                              content, id, ret_error);
    if (rc == 0)
        rc = block_openings_place(store, effect->decision, id, ret_error);
    json_decref(content);
    return rc;
}

/* A suspension that stands already is somebody else's, who alone takes it back. */
static int accounts_suspend(struct store *store, const struct effect *effect,
                            struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *accounts = NULL;
    int rc = accounts_find(store, effect->report, &accounts, ret_error);
    for (size_t i = 0; rc == 0 && i < store_rows_count(accounts); i++) {
        if (strcmp(store_row_text(accounts, i, 1), "active") != 0)
            continue;
        rc = account_suspend(store, &effect->change, store_row_text(accounts, i, 0), effect->reason,
                             ret_error);
    }
    return rc;
}

static int effect_run(struct store *store, const struct effect *effect, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *names = NULL;
    int64_t now_s = effect->change.now_ms / 1000;

    int rc = names_find(store, effect->report, &names, ret_error);
    for (size_t i = 0; rc == 0 && i < store_rows_count(names); i++)
        rc = block_put(store, &effect->change,
                       &(struct block_order){.name = store_row_text(names, i, 0),
                                             .reason = effect->reason,
                                             .report = effect->report},
                       ret_error);
    if (rc == 0 && effect->action == TRIAGE_SUSPEND_ACCOUNT)
        rc = accounts_suspend(store, effect, ret_error);
    if (rc == 0)
        rc = blocked_publish(store, effect, names, ret_error);
    if (rc == 0)
        rc = report_mail_customers(
            effect->desk, store, effect->change.now_ms,
            &(struct report_customer_notice){.report = effect->report, .reason = effect->reason},
            ret_error);
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "UPDATE decisions SET state = 'done', acted_at = $1 WHERE id = $2",
                          store_integer(now_s), store_text(effect->decision));
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "UPDATE reports SET state = 'decided', acted_at = $1 WHERE id = $2",
                          store_integer(now_s), store_text(effect->report));
    return rc;
}

/* Whether an account is suspended by the decision before, and by nobody since. */
static bool is_suspended_by(const struct store_rows *accounts, size_t row,
                            const struct standing *standing)
{
    const char *reason = store_row_text(accounts, row, 3);
    return strcmp(store_row_text(accounts, row, 1), "suspended") == 0 &&
           store_row_integer(accounts, row, 2) == standing->before_acted_at && reason != NULL &&
           strcmp(reason, standing->before_reason) == 0;
}

/* A dismissal takes back what this very report has blocked; what another one or an order blocks
 * stays, and so does a suspension by others. */
static int effect_undo(struct store *store, const struct triage_decision *decision,
                       const struct standing *standing, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *names = NULL, *accounts = NULL;
    int rc = store_query(store, &names, ret_error, "SELECT name FROM blocks WHERE report = $1",
                         store_text(decision->report));
    for (size_t i = 0; rc == 0 && i < store_rows_count(names); i++)
        rc = block_lift(store, &decision->change, store_row_text(names, i, 0), ret_error);
    if (rc < 0 || strcmp(standing->before, triage_actions[TRIAGE_SUSPEND_ACCOUNT]) != 0)
        return rc;
    rc = accounts_find(store, decision->report, &accounts, ret_error);
    for (size_t i = 0; rc == 0 && i < store_rows_count(accounts); i++)
        if (is_suspended_by(accounts, i, standing))
            rc = account_reinstate(store, &decision->change, store_row_text(accounts, i, 0),
                                   ret_error);
    return rc;
}

/* ---- Deciding ---- */

/* How long the customer has: by the class that staff found it to be. */
static int64_t notice_s(const struct triage_decision *decision)
{
    const struct report_class *class = report_class_find(decision->reason->code);
    bool notices = decision->action == TRIAGE_WARN || decision->action == TRIAGE_SUSPEND_HOST ||
                   decision->action == TRIAGE_SUSPEND_ACCOUNT;
    if (!notices || class == NULL)
        return 0;
    unsigned hours =
        decision->desk->config->reports.classes[report_class_index(class)].notice_hours;
    if (hours == 0 && decision->action == TRIAGE_WARN)
        hours = WARNING_HOURS_MIN;
    return (int64_t)hours * 3600;
}

static int decision_write(struct store *store, struct triage_decision *decision,
                          struct error *ret_error)
{
    int64_t now_s = decision->change.now_ms / 1000;
    bool is_pending = decision->act_at_s != 0;
    int rc = store_change(store, NULL, ret_error,
                          "UPDATE decisions SET state = 'withdrawn' WHERE report = $1 AND "
                          "state = 'pending'",
                          store_text(decision->report));
    if (rc == 0)
        rc = store_change(
            store, NULL, ret_error,
            "INSERT INTO decisions (id, report, action, reason, note, by_account, at, act_at, "
            "order_id, state) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            store_text(decision->id), store_text(decision->report),
            store_text(triage_actions[decision->action]), store_text(decision->reason->code),
            store_text(decision->note), store_text(decision->change.who->account),
            store_integer(now_s), is_pending ? store_integer(decision->act_at_s) : store_null(),
            store_text(decision->order_id), store_text(is_pending ? "pending" : "done"));
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "UPDATE reports SET state = $1, decision = $2, decided_at = "
                          "COALESCE(decided_at, $3), claimed_by = NULL, claimed_until = NULL "
                          "WHERE id = $4",
                          store_text(is_pending ? "noticed" : "decided"), store_text(decision->id),
                          store_integer(now_s), store_text(decision->report));
    return rc;
}

/* A decision counts once for the reporter, as the last one says. */
static int reputation_count(struct store *store, const struct triage_decision *decision,
                            const struct standing *standing, struct error *ret_error)
{
    int upheld = decision->reason->upholds ? 1 : 0, dismissed = 1 - upheld;
    if (standing->has_before) {
        upheld -= standing->before_upheld ? 1 : 0;
        dismissed -= standing->before_upheld ? 0 : 1;
    }
    return store_change(store, NULL, ret_error,
                        "UPDATE reporters SET upheld = upheld + $1, dismissed = dismissed + $2 "
                        "WHERE id = $3",
                        store_integer(upheld), store_integer(dismissed),
                        store_text(standing->reporter));
}

/* The names are published when something is done about them, and not before: who was reported
 * wrongly is nobody's business. */
static int decision_publish(struct store *store, const struct triage_decision *decision,
                            const struct standing *standing, struct error *ret_error)
{
    char received[CLOCK_TEXT_SIZE], id[ID_SIZE];
    json_t *content = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "report", decision->report,
                                "decision", decision->id, "class", standing->class, "action",
                                triage_actions[decision->action], "reason", decision->reason->code,
                                "received_at", clock_text(standing->received_at, received));
    if (content == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the ledger");
    int rc = ledger_queue_put(store, decision->change.now_ms, "report.decided", decision->report,
                              content, id, ret_error);
    if (rc == 0)
        rc = audit_write(store,
                         &(struct audit_entry){.now_ms = decision->change.now_ms,
                                               .who = decision->change.who,
                                               .client = decision->change.client,
                                               .action = "report.decide",
                                               .object = decision->report,
                                               .detail = content},
                         ret_error);
    json_decref(content);
    return rc;
}

static int reporter_tell(struct store *store, const struct triage_decision *decision,
                         struct error *ret_error)
{
    static const char *const outcomes[] = {
        [TRIAGE_DISMISS] = "no measure was taken",
        [TRIAGE_WARN] = "the customer was warned",
        [TRIAGE_SUSPEND_HOST] = "the host is blocked",
        [TRIAGE_SUSPEND_ACCOUNT] = "the account is suspended",
        [TRIAGE_ESCALATE] = "it was escalated",
    };
    static const char *const pending[] = {
        [TRIAGE_WARN] = "the customer was warned",
        [TRIAGE_SUSPEND_HOST] = "the host will be blocked unless it is put right",
        [TRIAGE_SUSPEND_ACCOUNT] = "the account will be suspended unless it is put right",
    };
    return report_mail_outcome(decision->desk, store, decision->change.now_ms, decision->report,
                               decision->act_at_s != 0 ? pending[decision->action]
                                                       : outcomes[decision->action],
                               decision->reason->text, ret_error);
}

static int consequences(struct store *store, struct triage_decision *decision,
                        const struct standing *standing, struct error *ret_error)
{
    bool suspends =
        decision->action == TRIAGE_SUSPEND_HOST || decision->action == TRIAGE_SUSPEND_ACCOUNT;
    if (decision->act_at_s != 0)
        return report_mail_customers(
            decision->desk, store, decision->change.now_ms,
            &(struct report_customer_notice){.report = decision->report,
                                             .reason = decision->reason->code,
                                             .deadline_s = decision->act_at_s},
            ret_error);
    if (suspends)
        return effect_run(store,
                          &(struct effect){.desk = decision->desk,
                                           .change = decision->change,
                                           .report = decision->report,
                                           .decision = decision->id,
                                           .reason = decision->reason->code,
                                           .action = decision->action},
                          ret_error);
    if (decision->action == TRIAGE_DISMISS && standing->before_acted_at != 0)
        return effect_undo(store, decision, standing, ret_error);
    return 0;
}

int triage_decide(struct store *store, void *context, struct error *ret_error)
{
    struct triage_decision *decision = context;
    struct standing standing;

    int rc = standing_find(store, decision, &standing, ret_error);
    if (rc < 0)
        return rc;
    id_make(ID_DECISION, decision->change.now_ms, decision->id);
    int64_t notice = notice_s(decision);
    decision->act_at_s = notice > 0 ? decision->change.now_ms / 1000 + notice : 0;
    rc = decision_write(store, decision, ret_error);
    if (rc == 0)
        rc = decision_publish(store, decision, &standing, ret_error);
    if (rc == 0)
        rc = reputation_count(store, decision, &standing, ret_error);
    if (rc == 0)
        rc = consequences(store, decision, &standing, ret_error);
    if (rc == 0)
        rc = reporter_tell(store, decision, ret_error);
    return rc;
}

void triage_settle(struct desk *desk, struct store *store, const char *report)
{
    _cleanup_(store_rows_freep) struct store_rows *names = NULL, *accounts = NULL;
    struct error error;

    if (names_find(store, report, &names, &error) == 0)
        for (size_t i = 0; i < store_rows_count(names); i++)
            block_settle(desk, store_row_text(names, i, 0));
    if (accounts_find(store, report, &accounts, &error) == 0)
        for (size_t i = 0; i < store_rows_count(accounts); i++)
            account_settle(desk, store_row_text(accounts, i, 0));
    outbox_wake(desk);
}

/* ---- What is due ---- */

/* The customer's time after a warning is up: somebody looks whether it was put right. */
static int warning_end(struct store *store, const struct effect *effect, struct error *ret_error)
{
    int64_t now_s = effect->change.now_ms / 1000;
    int rc = store_change(store, NULL, ret_error,
                          "UPDATE decisions SET state = 'done', acted_at = $1 WHERE id = $2",
                          store_integer(now_s), store_text(effect->decision));
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "UPDATE reports SET state = 'open', decide_by = $1, claimed_by = NULL, "
                          "claimed_until = NULL WHERE id = $2",
                          store_integer(now_s), store_text(effect->report));
    return rc;
}

static int due_run(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct effect *effect = context;

    /* It may have been withdrawn since the list was made. */
    int rc = store_query(store, &rows, ret_error,
                         "SELECT 1 FROM decisions WHERE id = $1 AND state = 'pending'",
                         store_text(effect->decision));
    if (rc < 0 || store_rows_count(rows) == 0)
        return rc;
    rc = effect->action == TRIAGE_WARN ? warning_end(store, effect, ret_error)
                                       : effect_run(store, effect, ret_error);
    if (rc == 0)
        rc = audit_write(store,
                         &(struct audit_entry){.now_ms = effect->change.now_ms,
                                               .action = "report.act",
                                               .object = effect->report},
                         ret_error);
    if (rc == 0 && effect->action != TRIAGE_WARN)
        rc = report_mail_outcome(effect->desk, store, effect->change.now_ms, effect->report,
                                 effect->action == TRIAGE_SUSPEND_HOST ? "the host is blocked"
                                                                       : "the account is suspended",
                                 "It was not put right in time.", ret_error);
    return rc;
}

static enum triage_action action_find(const char *name)
{
    size_t i = 0;
    while (triage_actions[i + 1] != NULL && strcmp(triage_actions[i], name) != 0)
        i++;
    return (enum triage_action)i;
}

int triage_act_due(struct desk *desk, struct store *store, int64_t now_s, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;

    int rc = store_query(store, &rows, ret_error,
                         "SELECT id, report, reason, action FROM decisions WHERE "
                         "state = 'pending' AND act_at <= $1 ORDER BY act_at LIMIT $2",
                         store_integer(now_s), store_integer(DUE_MAX));
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++) {
        struct effect effect = {.desk = desk,
                                .change = {.now_ms = clock_now_ms(desk->clock)},
                                .decision = store_row_text(rows, i, 0),
                                .report = store_row_text(rows, i, 1),
                                .reason = store_row_text(rows, i, 2),
                                .action = action_find(store_row_text(rows, i, 3))};
        rc = store_transact(store, due_run, &effect, ret_error);
        if (rc == 0)
            triage_settle(desk, store, effect.report);
    }
    return rc;
}
