/* Reports of abuse: taken in, claimed, decided on. */
#include <errno.h>
#include <string.h>

#include "desk/desk.h"
#include "desk/json_in.h"
#include "desk/lmtp.h"
#include "desk/parts.h"
#include "desk/report_view.h"
#include "desk/reports_internal.h"
#include "desk/triage.h"
#include "desk/xarf.h"

/* XARF's pieces may be large; beyond this a report comes by mail. */
#define REPORT_BODY_MAX (16 * 1024 * 1024)
#define FORM_BODY_MAX   (64 * 1024)
#define BULK_BODY_MAX   (4 * 1024 * 1024)
#define SMALL_BODY_MAX  8192

#define DECISION_NOTE_MAX 4000

/* ---- Taking in ---- */

int report_request_take(struct request *request, struct report_intake *intake,
                        struct report_receipt *ret_receipt, struct error *ret_error)
{
    struct report_taking taking = {
        .desk = request_desk(request), .change = change_of_request(request), .intake = intake};
    int rc = report_flood_check(request_store(request), &taking, ret_error);
    if (rc == 0)
        rc = report_evidence_keep(taking.desk->config, request_store(request), intake, ret_error);
    if (rc == 0)
        rc = request_transact(request, report_take, &taking, ret_error);
    if (rc < 0)
        return rc;
    outbox_wake(request_desk(request));
    *ret_receipt = taking.receipt;
    return 0;
}

static int report_post(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(report_intake_freep) struct report_intake *intake = report_intake_create("json");
    struct report_receipt receipt;
    const json_t *json;
    char location[64];

    if (intake == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for a report");
    int rc = request_json(request, &json, ret_error);
    if (rc == 0)
        rc = xarf_read(json, intake, ret_error);
    if (rc == 0)
        rc = report_request_take(request, intake, &receipt, ret_error);
    if (rc < 0)
        return rc;
    snprintf(location, sizeof(location), "/v1/reports/%s", receipt.id);
    rc = reply_header_add(reply, "Location", location);
    return rc < 0 ? rc
                  : reply_json(reply, 201,
                               report_receipt_json(request_desk(request)->config, intake, &receipt,
                                                   request_now_s(request)));
}

/* ---- Claims ---- */

static struct triage_claim claim_of(struct request *request)
{
    return (struct triage_claim){.desk = request_desk(request),
                                 .change = change_of_request(request),
                                 .report = request_param(request, "id")};
}

static int claim_post(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct triage_claim claim = claim_of(request);
    char until[CLOCK_TEXT_SIZE];

    int rc = request_transact(request, triage_claim, &claim, ret_error);
    if (rc < 0)
        return rc;
    return reply_json(reply, 201,
                      json_pack("{s:s, s:s, s:s}", "report", claim.report, "claimed_by",
                                claim.change.who->account, "claimed_until",
                                clock_text(claim.until_s, until)));
}

static int claim_delete(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct triage_claim claim = claim_of(request);
    int rc = request_transact(request, triage_release, &claim, ret_error);
    return rc < 0 ? rc : reply_status(reply, 204);
}

/* ---- Decisions ---- */

static int reason_read(struct json_in *in, struct triage_decision *decision,
                       struct error *ret_error)
{
    const char *code;
    char codes[200];
    int rc = json_in_text(in, "reason", 1, 64, &code, ret_error);
    if (rc < 0)
        return rc;
    decision->reason = triage_reason_find(decision->action, code);
    if (decision->reason != NULL)
        return 0;
    triage_reasons_text(decision->action, codes, sizeof(codes));
    return json_in_fail(in, "reason", ret_error, "is none for %s: take one of %s",
                        triage_actions[decision->action], codes);
}

static int decision_read(struct request *request, struct triage_decision *decision,
                         struct error *ret_error)
{
    struct json_in in;
    size_t action = 0;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0)
        rc = json_in_word(&in, "action", triage_actions, &action, ret_error);
    decision->action = (enum triage_action)action;
    if (rc == 0)
        rc = reason_read(&in, decision, ret_error);
    if (rc == 0 && json_in_has(&in, "note"))
        rc = json_in_lines(&in, "note", 0, DECISION_NOTE_MAX, &decision->note, ret_error);
    if (rc == 0 && json_in_has(&in, "order")) {
        rc = json_in_text(&in, "order", 1, ID_SIZE, &decision->order_id, ret_error);
        if (rc == 0 && !id_is_valid(ID_ORDER, decision->order_id))
            rc = json_in_fail(&in, "order", ret_error, "is no id of an order: write ord_...");
        if (rc == 0 && decision->action != TRIAGE_ESCALATE)
            rc = json_in_fail(&in, "order", ret_error, "is only for escalate: leave it out");
    }
    return rc < 0 ? rc : json_in_end(&in, ret_error);
}

static int decision_post(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct triage_decision decision = {.desk = request_desk(request),
                                       .change = change_of_request(request),
                                       .report = request_param(request, "id"),
                                       .note = ""};
    char act_at[CLOCK_TEXT_SIZE];

    int rc = decision_read(request, &decision, ret_error);
    if (rc < 0)
        return rc;
    rc = request_transact(request, triage_decide, &decision, ret_error);
    triage_settle(request_desk(request), request_store(request), decision.report);
    if (rc < 0)
        return rc;
    return reply_json(
        reply, 201,
        json_pack("{s:s, s:s, s:s, s:s, s:s?}", "id", decision.id, "report", decision.report,
                  "action", triage_actions[decision.action], "reason", decision.reason->code,
                  "act_at", decision.act_at_s != 0 ? clock_text(decision.act_at_s, act_at) : NULL));
}

/* ---- The part ---- */

#define READERS  (ROLE_ANALYST | ROLE_APPROVER | ROLE_AUDITOR | ROLE_OPERATOR)
#define ANALYSTS (ROLE_ANALYST | ROLE_OPERATOR)

static const struct route routes[] = {
    {"POST", "/v1/reports", ROLE_PUBLIC, SCOPE_REPORTS_WRITE, report_post,
     .body_max = REPORT_BODY_MAX},
    {"GET", "/v1/reports", READERS | ROLE_REPORTER, SCOPE_REPORTS_READ, report_list_get},
    {"GET", "/v1/reports/{id}", ROLE_PUBLIC, SCOPE_REPORTS_READ, report_get},
    {"POST", "/v1/reports/bulk", ROLE_REPORTER, SCOPE_REPORTS_WRITE, report_bulk_post,
     .body_max = BULK_BODY_MAX, .body_type = "text/csv"},
    {"POST", "/v1/reports/{id}/claims", ANALYSTS, SCOPE_REPORTS_WRITE, claim_post},
    {"DELETE", "/v1/reports/{id}/claims", ANALYSTS, SCOPE_REPORTS_WRITE, claim_delete},
    {"POST", "/v1/reports/{id}/decisions", ANALYSTS, SCOPE_REPORTS_WRITE, decision_post,
     .body_max = SMALL_BODY_MAX},
    {"GET", "/v1/queue", READERS, SCOPE_REPORTS_READ, report_queue_get},
    {"GET", "/v1/evidence/{hash}", READERS, SCOPE_REPORTS_READ, report_evidence_get},
    {"GET", "/v1/reporters", READERS, SCOPE_REPORTS_READ, reporter_list_get},
    {"PATCH", "/v1/reporters/{id}", ROLE_OPERATOR, SCOPE_REPORTS_WRITE, reporter_patch,
     .body_max = SMALL_BODY_MAX},
    {"GET", "/report", ROLE_PUBLIC, 0, report_form_get},
    /* Who has signed in reports like everybody: a form without script has no CSRF token to send. */
    {"POST", "/report", ROLE_PUBLIC, 0, report_form_post, .tells_own = true,
     .body_max = FORM_BODY_MAX, .body_type = "application/x-www-form-urlencoded"},
};

static const struct job jobs[] = {
    {"report.act", 2, triage_act_due},
    {"report.retention", 3600, report_retention_run},
};

static int start(struct desk *desk, struct error *ret_error)
{
    int rc = evidence_folder_make(desk->config->state, ret_error);
    if (rc == 0 && desk->config->reports.lmtp != NULL)
        rc = lmtp_start(desk, &desk->lmtp, ret_error);
    return rc;
}

static void stop(struct desk *desk)
{
    lmtp_stop(desk->lmtp);
    desk->lmtp = NULL;
}

const struct desk_part part_reports = {
    .name = "reports",
    .routes = ROUTE_TABLE(routes),
    .jobs = jobs,
    .job_count = sizeof(jobs) / sizeof(jobs[0]),
    .start = start,
    .stop = stop,
};
