/* Reports as JSON, for those who may see which part of them. */
#pragma once

#include <jansson.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/report.h"

/* The answer to what was just taken in. */
_must_check_ json_t *report_receipt_json(const struct desk_config *config,
                                         const struct report_intake *intake,
                                         const struct report_receipt *receipt, int64_t now_s);

/* What the reporter sees: state, names and what came of it. -ENOENT. */
_must_check_ int report_public_json(struct store *store, const char *id, json_t **ret_json,
                                    struct error *ret_error);

/* All of it, for staff: with who reported it and how reliable they are, evidence, decisions and
 * earlier reports on the same hosts and accounts. -ENOENT. */
_must_check_ int report_staff_json(struct store *store, const char *id, int64_t now_s,
                                   json_t **ret_json, struct error *ret_error);

/* A row of a list, in the order of REPORT_LIST_COLUMNS. */
#define REPORT_LIST_COLUMNS                                                            \
    "r.id, r.class, r.state, r.seen, r.received_at, r.decide_by, r.claimed_by, "       \
    "r.claimed_until, r.trusted, "                                                     \
    "(SELECT MIN(n.name) FROM report_names n WHERE n.report = r.id), "                 \
    "(SELECT COUNT(*) FROM report_names n WHERE n.report = r.id), p.label, p.upheld, " \
    "p.dismissed"
_must_check_ json_t *report_row_json(const struct store_rows *rows, size_t row, int64_t now_s);
