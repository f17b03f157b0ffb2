#include "desk/audit.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "desk/ids.h"

int audit_write(struct store *store, const struct audit_entry *entry, struct error *ret_error)
{
    const struct principal *who = entry->who;
    bool is_account = who != NULL && who->kind != PRINCIPAL_PUBLIC;
    char id[ID_SIZE];
    char *detail = NULL;

    assert(store_in_transaction(store));
    if (entry->detail != NULL) {
        detail = json_dumps(entry->detail, JSON_COMPACT);
        if (detail == NULL)
            return error_set(ret_error, -ENOMEM, "out of memory for the audit trail");
    }
    id_make(ID_AUDIT, entry->now_ms, id);
    int rc = store_change(
        store, NULL, ret_error,
        "INSERT INTO audit (id, at, account, role, credential, client, action, "
        "object, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        store_text(id), store_integer(entry->now_ms), store_text(is_account ? who->account : NULL),
        store_text(who != NULL ? role_name(who->role) : "desk"),
        store_text(is_account && who->kind == PRINCIPAL_TOKEN ? who->credential : NULL),
        store_text(entry->client), store_text(entry->action), store_text(entry->object),
        store_text(detail));
    free(detail);
    return rc;
}
