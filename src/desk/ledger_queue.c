#include "desk/ledger_queue.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int ledger_queue_put(struct store *store, int64_t now_ms, const char *kind, const char *subject,
                     const json_t *content, char ret_id[static ID_SIZE], struct error *ret_error)
{
    assert(store_in_transaction(store));
    /* Sorted members: the same content is the same octets, which the ledger hashes. */
    char *text = json_dumps(content, JSON_COMPACT | JSON_SORT_KEYS);
    if (text == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for an entry of the ledger");
    char id[ID_SIZE];
    id_make(ID_LEDGER, now_ms, id);
    int rc = store_change(store, NULL, ret_error,
                          "INSERT INTO ledger_queue (id, at, kind, subject, content) "
                          "VALUES ($1, $2, $3, $4, $5)",
                          store_text(id), store_integer(now_ms), store_text(kind),
                          store_text(subject), store_text(text));
    free(text);
    if (rc == 0)
        memcpy(ret_id, id, sizeof(id));
    return rc;
}
