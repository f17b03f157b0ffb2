/* How fast the desk answers: the time from a report to its acknowledgement, to its decision and to
 * what followed, and from a proven appeal to its decision. Exact from the tables, by nearest rank:
 * the median is a time that was, not one between two.
 *
 * What counts is when it happened: a decision counts in the month in which it was taken, so that
 * the figures of a month that is over never change. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/router.h"
#include "desk/store.h"

struct desk;

enum figures_by { FIGURES_ALL, FIGURES_CLASS, FIGURES_REPORTER, FIGURES_APPEALS };

/* {key: {"received": n, "acknowledge": {"count", "median", "p95"}, "decide": ..., "act": ...}} in
 * seconds, of [from, to). The caller frees it. */
_must_check_ int figures_get(struct store *store, enum figures_by by, int64_t from_s, int64_t to_s,
                             json_t **ret_figures, struct error *ret_error);

/* "2026-10" into its first second and that of the next month. */
bool figures_month_parse(const char *text, int64_t *ret_from_s, int64_t *ret_to_s);
#define FIGURES_MONTH_SIZE 8
void figures_month_text(int64_t time_s, char ret_text[static FIGURES_MONTH_SIZE]);

/* ---- Publishing (figures_publish.c) ---- */

/* The job: each month that is over is published once, signed with the ledger's key, with its hash
 * in the ledger. */
_must_check_ int figures_publish(struct desk *desk, struct store *store, int64_t now_s,
                                 struct error *ret_error);

/* GET /v1/figures, GET /figures/{month}. */
handler_fn figures_show, figures_month_show;
