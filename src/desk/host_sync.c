#include "desk/host_sync.h"

#include <errno.h>

#include "desk/outbox.h"

int host_sync_put(struct store *store, int64_t now_ms, const char *name, struct error *ret_error)
{
    char id[ID_SIZE];
    json_t *payload = json_pack("{s:s}", "name", name);
    if (payload == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for what is to be sent");
    int rc = outbox_put(store, now_ms, HOST_SYNC_KIND, payload, now_ms / 1000, id, ret_error);
    json_decref(payload);
    return rc;
}

void host_sync_settle(struct desk *desk, const char *name)
{
    (void)name; /* nothing is cached yet */
    outbox_wake(desk);
}
