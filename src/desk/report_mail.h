/* What reporters and customers are told by mail; each is put into the outbox in the transaction of
 * what it tells. */
#pragma once

#include "desk/report.h"

/* Tells the reporter that the report is here, with the address at which its state is shown.
 * `ours` is a name of ours that it is about; NULL: there is none, and that is the answer. */
_must_check_ int report_mail_acknowledge(struct store *store, const struct report_taking *taking,
                                         const char *ours, struct error *ret_error);

/* Tells the reporter, and those whose reports count on this one, what came of it. `outcome` is a
 * few words. */
_must_check_ int report_mail_outcome(const struct desk *desk, struct store *store, int64_t now_ms,
                                     const char *report, const char *outcome, const char *detail,
                                     struct error *ret_error);

/* What the customers of a report's names are told. */
struct report_customer_notice {
    const char *report;
    const char *reason; /* a code */
    const char *detail; /* what to do, or NULL */
    int64_t deadline_s; /* until when it has to be put right; 0: it is blocked now */
};
_must_check_ int report_mail_customers(const struct desk *desk, struct store *store, int64_t now_ms,
                                       const struct report_customer_notice *notice,
                                       struct error *ret_error);
