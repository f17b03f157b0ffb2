/* Blocks: tombstones on names. A block survives the deletion of the host, its registration by
 * somebody else and the change of account; it takes the records from the zone at once and has
 * every update answered with `abuse`. It covers the name and all names below it.
 *
 * How to use it from a part that decides:
 *
 *     static int decision_do(struct store *store, void *context, struct error *ret_error)
 *     {
 *         ...
 *         rc = block_put(store, &change, &(struct block_order){.name = name, ...}, ret_error);
 *     }
 *     rc = request_transact(request, decision_do, &decision, ret_error);
 *     block_settle(desk, name);
 *
 * Names are as host_name_normalize() writes them: lower case, A-labels, no last dot. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/change.h"
#include "desk/ids.h"
#include "desk/store.h"

struct desk;

#define BLOCK_NAME_SIZE   254 /* RFC 1035, 3.1: 253 characters of text, and NUL */
#define BLOCK_REASON_SIZE 65  /* a code of a few words, and NUL */

/* What is to be blocked, and why. */
struct block_order {
    const char *name;
    const char *reason;   /* a code that the customer sees, as "malware-controller" */
    const char *report;   /* id of what led to it, or NULL */
    const char *order_id; /* the same, or NULL */
    int64_t until_s;      /* 0: until it is lifted */
};

/* A block as it stands. */
struct block {
    char name[BLOCK_NAME_SIZE]; /* the one that is blocked: it may be above the one asked for */
    char reason[BLOCK_REASON_SIZE];
    char report[ID_SIZE], order_id[ID_SIZE]; /* "": none */
    int64_t since_s, until_s;                /* until_s 0: until it is lifted */
};

/* The block that covers a name: its own, or the closest one above it. -ENOENT: there is none. */
_must_check_ int block_find(struct store *store, const char *name, int64_t now_s,
                            struct block *ret_block, struct error *ret_error);

/* Blocks, or changes the block that is there, whose beginning stays, and notes whose host it is,
 * who may appeal though it is deleted later. In a transaction; writes the audit row and the outbox
 * row that takes the records from the zone. */
_must_check_ int block_put(struct store *store, const struct change *change,
                           const struct block_order *order, struct error *ret_error);

/* Lifts the block of exactly this name. In a transaction. -ENOENT: there is none. */
_must_check_ int block_lift(struct store *store, const struct change *change, const char *name,
                            struct error *ret_error);

/* After the transaction of block_put() or block_lift(), whatever came of it: what is cached of the
 * name is dropped, and the outbox looks at once. Any thread. */
void block_settle(struct desk *desk, const char *name);
