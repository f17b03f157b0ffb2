#include "desk/ledger_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "desk/ledger_kinds.h"

/* Rows are taken in the order of their ids, and two of one millisecond have that by chance: each
 * gets a millisecond of its own, so that what was queued first is told first. */
static int64_t own_ms(int64_t now_ms)
{
    static _Atomic int64_t last_ms;
    int64_t last = atomic_load(&last_ms), own;
    do {
        own = now_ms > last ? now_ms : last + 1;
    } while (!atomic_compare_exchange_weak(&last_ms, &last, own));
    return own;
}

int ledger_queue_put(struct store *store, int64_t now_ms, const char *kind, const char *subject,
                     const json_t *content, char ret_id[static ID_SIZE], struct error *ret_error)
{
    assert(store_in_transaction(store));
    int rc = ledger_kind_check(kind, subject, content, ret_error);
    if (rc < 0)
        return rc;
    /* Sorted members: the same content is the same octets, which the ledger hashes. */
    char *text = json_dumps(content, JSON_COMPACT | JSON_SORT_KEYS);
    if (text == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for an entry of the ledger");
    char id[ID_SIZE];
    id_make(ID_LEDGER, own_ms(now_ms), id);
    rc = store_change(store, NULL, ret_error,
                      "INSERT INTO ledger_queue (id, at, kind, subject, content) "
                      "VALUES ($1, $2, $3, $4, $5)",
                      store_text(id), store_integer(now_ms), store_text(kind), store_text(subject),
                      store_text(text));
    free(text);
    if (rc == 0)
        memcpy(ret_id, id, sizeof(id));
    return rc;
}
