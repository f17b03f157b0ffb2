/* Handlers of the reports' routes and their jobs: private to part_reports.c and the files that have
 * them. */
#pragma once

#include "desk/jobs.h"
#include "desk/report.h"
#include "desk/router.h"

/* Takes what a request reports, keeps its evidence and fills the receipt. */
_must_check_ int report_request_take(struct request *request, struct report_intake *intake,
                                     struct report_receipt *ret_receipt, struct error *ret_error);

/* ---- report_form.c ---- */
handler_fn report_form_get, report_form_post;

/* ---- report_bulk.c ---- */
handler_fn report_bulk_post;

/* ---- report_list.c ---- */
handler_fn report_list_get, report_get, report_queue_get, report_evidence_get;
handler_fn reporter_list_get, reporter_patch;

/* ---- report_retention.c ---- */

/* Removes evidence whose reports were decided long ago, and the client's address and the contact
 * with it; and files that no row names. */
job_fn report_retention_run;
