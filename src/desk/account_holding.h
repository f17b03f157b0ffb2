/* What an account has in each part of the desk: how that is exported, taken off the net and
 * released. A part with something of an account adds a struct to the list in account_holding.c, one
 * line; NULL functions have nothing to do. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/change.h"
#include "desk/store.h"

struct desk;

/* An export holds at most so many rows of one kind; who has more asks for the pages of its list. */
#define ACCOUNT_EXPORT_ROWS_MAX 100000

struct account_holding {
    const char *name; /* its member in the export: "hosts" */

    /* All that is kept about the account and its owner, as JSON that the caller frees. */
    int (*export)(struct store *store, const char *account, json_t **ret_json,
                  struct error *ret_error);

    /* Takes it off the net, or puts it back; in the transaction that suspends or reinstates. */
    int (*suspend)(struct store *store, const struct change *change, const char *account,
                   bool suspended, struct error *ret_error);

    /* Gives it up and forgets what tells of a person; in the transaction that closes. */
    int (*release)(struct store *store, const struct change *change, const char *account,
                   struct error *ret_error);

    /* After either transaction: what is cached of the account is dropped. Any thread. */
    void (*settle)(struct desk *desk, const char *account);
};

extern const struct account_holding *const account_holdings[];
extern const size_t account_holding_count;

/* The lists of the accounts' own part. */
extern const struct account_holding account_holding_self;
extern const struct account_holding account_holding_sessions;
extern const struct account_holding account_holding_tokens;
extern const struct account_holding account_holding_audit;

/* Of other parts. */
extern const struct account_holding account_holding_hosts;
extern const struct account_holding account_holding_mails;
extern const struct account_holding account_holding_appeals;
extern const struct account_holding account_holding_reports;
extern const struct account_holding account_holding_measures;
extern const struct account_holding account_holding_orders;

/* Rows as an array of objects: member `names[i]` is column i. What ends in "_at" or "_until" is a
 * time; NULL is null. For exports. */
_must_check_ int account_rows_json(const struct store_rows *rows, const char *const *names,
                                   size_t column_count, json_t **ret_json, struct error *ret_error);
