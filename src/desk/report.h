/* Taking in reports of abuse: whatever way one comes, it becomes a `struct report_intake`, and
 * report_take() writes it down in one transaction, with the acknowledgement that it is answered
 * with. Who has a receipt has a report that survives whatever comes.
 *
 *     intake = report_intake_create("json");
 *     rc = xarf_read(json, intake, ret_error);
 *     rc = report_evidence_keep(desk->config, store, intake, ret_error);
 *     rc = store_transact(store, report_take, &taking, ret_error);
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/account.h"
#include "desk/change.h"
#include "desk/evidence.h"
#include "desk/report_class.h"
#include "desk/report_names.h"
#include "desk/store.h"

struct desk;

#define ID_REPORTER "rpr"

#define REPORT_DESCRIPTION_SIZE 4001 /* octets of UTF-8, and NUL */
#define REPORT_TYPE_SIZE        128  /* of a piece's media type, and of a XARF type */
#define REPORT_LABEL_SIZE       501
#define REPORT_PIECES_MAX       50 /* XARF's bound */

/* A piece of evidence. */
struct report_piece {
    void *octets; /* owned */
    size_t size;
    char type[REPORT_TYPE_SIZE], label[REPORT_LABEL_SIZE]; /* as the reporter called it */
    char hash[EVIDENCE_HASH_SIZE];                         /* "": not kept */
};

/* A report on its way in. */
struct report_intake {
    const char *channel; /* json, mail, form or bulk */
    const struct report_class *report_class;
    char xarf_type[REPORT_TYPE_SIZE]; /* "": it did not come as XARF */
    char contact[EMAIL_SIZE_MAX + 1]; /* of the reporter; "": none, no answer by mail */
    bool is_automatic;                /* RFC 3834: nothing is mailed back */
    char description[REPORT_DESCRIPTION_SIZE];
    int64_t observed_s; /* 0: not said */
    struct report_names names;
    struct report_piece pieces[REPORT_PIECES_MAX];
    size_t piece_count;
    uint8_t hash[32]; /* of a mail as it came */
    bool has_hash;
};

_must_check_ struct report_intake *report_intake_create(const char *channel);
void report_intake_free(struct report_intake *intake);
DEFINE_FREEP(struct report_intake, report_intake_free)

/* Sets the description: what is too long is cut, what is no UTF-8 or a control character is
 * replaced. */
void report_intake_describe(struct report_intake *intake, const char *text, size_t size);

/* Adds a piece; takes `octets` (of malloc()), also on failure. What is beyond REPORT_PIECES_MAX is
 * dropped. */
void report_intake_add(struct report_intake *intake, void *octets, size_t size, const char *type,
                       const char *label);

/* Makes the pieces durable, before the transaction that names them. Those beyond the configured
 * bounds are named in the report and not kept. */
_must_check_ int report_evidence_keep(const struct desk_config *config, struct store *store,
                                      struct report_intake *intake, struct error *ret_error);

/* What is answered at once. */
struct report_receipt {
    char id[ID_SIZE];
    char token[SECRET_TEXT_SIZE]; /* shows the report's state; "": a mail that came before */
    char first[ID_SIZE];          /* "": no duplicate */
    const char *state;
    int64_t decide_by_s; /* 0: there is nothing to decide */
};

struct report_taking {
    const struct desk *desk; /* its configuration is all that is looked at */
    struct change change;
    const struct report_intake *intake;
    struct report_receipt receipt; /* out */
};

/* A store_work_fn; `context` is a struct report_taking. -EDQUOT: too many from this client. */
_must_check_ int report_take(struct store *store, void *context, struct error *ret_error);
