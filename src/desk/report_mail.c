#include "desk/report_mail.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "desk/mail.h"

/* An address that cannot be written to stops nothing: what it would be told is shown over HTTP. */
static int notice_put(const struct desk *desk, struct store *store, int64_t now_ms,
                      const struct mail_notice *notice, struct error *ret_error)
{
    int rc = mail_notice_put(desk, store, now_ms, notice, ret_error);
    return rc == -EINVAL ? 0 : rc;
}

int report_mail_acknowledge(struct store *store, const struct report_taking *taking,
                            const char *ours, struct error *ret_error)
{
    const struct report_receipt *receipt = &taking->receipt;
    const struct report_names *names = &taking->intake->names;
    char url[128];

    snprintf(url, sizeof(url), "/v1/reports/%s?token=%s", receipt->id, receipt->token);
    struct mail_notice notice = {
        .text = MAIL_REPORT_RECEIVED,
        .to = taking->intake->contact,
        .name = ours,
        .reference = receipt->id,
        .url = url,
        .deadline_s = receipt->decide_by_s,
    };
    if (ours == NULL) {
        notice.text = MAIL_REPORT_OUTCOME;
        notice.name = names->count > 0 ? names->list[0] : "an unnamed host";
        notice.outcome = names->count > 0 ? "not one of our names" : "no name found";
        notice.detail =
            names->count > 0
                ? "None of the names in your report is in a zone of ours, so there is nothing that "
                  "we can do about them. Please report them to who runs their zone."
                : "Your report names no host in a zone of ours. If it is about one, please send it "
                  "again with the host's full name or address of the web.";
    }
    return notice_put(taking->desk, store, taking->change.now_ms, &notice, ret_error);
}

int report_mail_outcome(const struct desk *desk, struct store *store, int64_t now_ms,
                        const char *report, const char *outcome, const char *detail,
                        struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;

    /* Who has told of it ten times is told once. */
    int rc = store_query(store, &rows, ret_error,
                         "SELECT MIN(r.id), r.answer_to, (SELECT MIN(n.name) FROM report_names n "
                         "WHERE n.report = $1 AND n.is_ours = 1) FROM reports r WHERE (r.id = $2 "
                         "OR r.first = $3) AND r.answer_to IS NOT NULL GROUP BY r.answer_to",
                         store_text(report), store_text(report), store_text(report));
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++)
        rc = notice_put(desk, store, now_ms,
                        &(struct mail_notice){.text = MAIL_REPORT_OUTCOME,
                                              .to = store_row_text(rows, i, 1),
                                              .name = store_row_text(rows, i, 2),
                                              .reference = store_row_text(rows, i, 0),
                                              .outcome = outcome,
                                              .detail = detail},
                        ret_error);
    return rc;
}

/* One mail for each host, to who has it now: it may have changed hands since the report. */
int report_mail_customers(const struct desk *desk, struct store *store, int64_t now_ms,
                          const struct report_customer_notice *notice, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;

    int rc =
        store_query(store, &rows, ret_error,
                    "SELECT DISTINCT h.name, a.email FROM report_names n "
                    "JOIN hosts h ON h.name = n.owner_name JOIN accounts a ON a.id = h.account "
                    "WHERE n.report = $1 AND a.state <> 'closed' ORDER BY h.name",
                    store_text(notice->report));
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++)
        rc = notice_put(desk, store, now_ms,
                        &(struct mail_notice){.text = notice->deadline_s != 0
                                                          ? MAIL_CUSTOMER_WARNED
                                                          : MAIL_CUSTOMER_BLOCKED,
                                              .to = store_row_text(rows, i, 1),
                                              .name = store_row_text(rows, i, 0),
                                              .reason = notice->reason,
                                              .reference = notice->report,
                                              .deadline_s = notice->deadline_s,
                                              .detail = notice->detail},
                        ret_error);
    return rc;
}
