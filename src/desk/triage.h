/* What staff do with reports: take one, decide on it, and what follows from that. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/change.h"
#include "desk/ids.h"
#include "desk/report_class.h"
#include "desk/store.h"

struct desk;

enum triage_action {
    TRIAGE_DISMISS,
    TRIAGE_WARN,
    TRIAGE_SUSPEND_HOST,
    TRIAGE_SUSPEND_ACCOUNT,
    TRIAGE_ESCALATE,
};

/* "dismiss", ... ; NULL ends them. */
extern const char *const triage_actions[];

/* A reason that an action may have. */
struct triage_reason {
    const char *code;
    unsigned actions; /* bits, 1 << enum triage_action */
    bool upholds;     /* the reporter was right */
    const char *text; /* for the reporter */
};

/* NULL: there is none of that code for the action. */
const struct triage_reason *triage_reason_find(enum triage_action action, const char *code);

/* The codes of an action, "a, b or c", for an error's remedy. */
void triage_reasons_text(enum triage_action action, char *ret_text, size_t size);

/* ---- Claims ---- */

struct triage_claim {
    const struct desk *desk;
    struct change change;
    const char *report;
    int64_t until_s; /* out */
};

/* Takes a report for the analyst of the change, for a time; again: for longer. A store_work_fn.
 * -ENOENT; -EEXIST: somebody else has it, or there is nothing to decide. */
_must_check_ int triage_claim(struct store *store, void *context, struct error *ret_error);

/* Gives it back. */
_must_check_ int triage_release(struct store *store, void *context, struct error *ret_error);

/* ---- Decisions ---- */

struct triage_decision {
    const struct desk *desk;
    struct change change;
    const char *report;
    enum triage_action action;
    const struct triage_reason *reason;
    const char *note;     /* for staff; "" */
    const char *order_id; /* what it is escalated to, or NULL */
    char id[ID_SIZE];     /* out */
    int64_t act_at_s;     /* out: when it takes effect; 0: it did */
};

/* Decides: writes decision, audit and ledger rows, tells customer and reporter, and blocks at once
 * or when the customer's time is up. A later decision takes the place of an earlier one that has
 * not taken effect; a dismissal lifts what the report has blocked. A store_work_fn. -ENOENT;
 * -EEXIST: it is somebody else's, or not a report to decide on. */
_must_check_ int triage_decide(struct store *store, void *context, struct error *ret_error);

/* After its transaction: what is cached of the report's names and accounts is dropped. */
void triage_settle(struct desk *desk, struct store *store, const char *report);

/* The job: carries out what is due, and brings back what was warned of. */
_must_check_ int triage_act_due(struct desk *desk, struct store *store, int64_t now_s,
                                struct error *ret_error);
