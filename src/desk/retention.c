#include "desk/retention.h"

#include <inttypes.h>

#include "base/log.h"
#include "desk/audit.h"
#include "desk/desk.h"

#define DAY_S (24 * 3600)

#define RULE(rule_name, member, column_unit, text)                                   \
    {                                                                                \
        .name = (rule_name), .days = offsetof(struct desk_config_retention, member), \
        .unit = (column_unit), .sql = (text)                                         \
    }

const struct retention_rule retention_rules[] = {
    /* Nobody ever confirmed the address: it may be that of somebody who never asked. One with hosts
     * was in use: an operator decides. */
    RULE("unconfirmed", unconfirmed_days, 1,
         "DELETE FROM accounts WHERE id IN (SELECT id FROM accounts WHERE "
         "email_confirmed_at IS NULL AND state = 'active' AND created_at < $1 AND "
         "NOT EXISTS (SELECT 1 FROM hosts WHERE hosts.account = accounts.id) "
         "ORDER BY created_at LIMIT $2)"),
    RULE("expired-tokens", expired_tokens_days, 1,
         "DELETE FROM api_tokens WHERE id IN (SELECT id FROM api_tokens WHERE "
         "expires_at IS NOT NULL AND expires_at < $1 ORDER BY expires_at LIMIT $2)"),
    /* Mails that never arrived hold addresses, and tokens that are dead by now. */
    RULE("failed-outbox", failed_outbox_days, 1,
         "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE state = 'failed' AND "
         "created_at < $1 ORDER BY created_at LIMIT $2)"),
    /* From where something was done helps against misuse for a while; that it was done, longer. */
    RULE("audit-addresses", audit_addresses_days, 1000,
         "UPDATE audit SET client = NULL WHERE id IN (SELECT id FROM audit WHERE "
         "client IS NOT NULL AND at < $1 ORDER BY at LIMIT $2)"),
    RULE("audit", audit_days, 1000,
         "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 "
         "ORDER BY at LIMIT $2)"),
};

const size_t retention_rule_count = sizeof(retention_rules) / sizeof(retention_rules[0]);

struct applying {
    const struct retention_rule *rule;
    int64_t now_s, before;
    uint64_t changed;
};

static int batch_apply(struct store *store, void *context, struct error *ret_error)
{
    struct applying *applying = context;
    int rc = store_change(store, &applying->changed, ret_error, applying->rule->sql,
                          store_integer(applying->before), store_integer(RETENTION_BATCH));
    if (rc < 0 || applying->changed == 0)
        return rc;
    json_t *detail = json_pack("{s:I}", "rows", (json_int_t)applying->changed);
    rc = audit_write(store,
                     &(struct audit_entry){.now_ms = applying->now_s * 1000,
                                           .action = "retention.apply",
                                           .object = applying->rule->name,
                                           .detail = detail},
                     ret_error);
    json_decref(detail);
    return rc;
}

static int rule_apply(struct store *store, const struct retention_rule *rule, unsigned days,
                      int64_t now_s, struct error *ret_error)
{
    struct applying applying = {
        .rule = rule, .now_s = now_s, .before = (now_s - (int64_t)days * DAY_S) * rule->unit};
    int rc;
    do {
        rc = store_transact(store, batch_apply, &applying, ret_error);
    } while (rc == 0 && applying.changed == RETENTION_BATCH);
    return rc;
}

/* One rule that fails, as of a table that is broken, does not keep the others from their work. */
int retention_run(struct desk *desk, struct store *store, int64_t now_s, struct error *ret_error)
{
    int rc = 0;
    for (size_t i = 0; i < retention_rule_count; i++) {
        const struct retention_rule *rule = &retention_rules[i];
        const unsigned days =
            *(const unsigned *)((const char *)&desk->config->retention + rule->days);
        const int one = days == 0 ? 0 : rule_apply(store, rule, days, now_s, ret_error);
        if (one < 0) {
            log_event(LOG_WARNING, "retention of %s: it is tried again", rule->name);
            rc = one;
        }
    }
    return rc;
}
