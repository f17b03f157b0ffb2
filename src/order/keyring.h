/* The public keys that an order's signatures are checked against, as a file of its own: a YAML list
 * of { name, public } as `tamis key generate` writes them. */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "order/order.h"

struct keyring {
    struct order_keyring_entry *entries; /* for struct order_policy */
    size_t count;
    void *storage;
};

_must_check_ int keyring_load(const char *path, struct keyring **ret_keyring,
                              struct error *ret_error);
void keyring_free(struct keyring *keyring);
DEFINE_FREEP(struct keyring, keyring_free)
