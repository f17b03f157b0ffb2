/* Who may change what of a zone, by its configuration: allow-update lets a client change all of it,
 * update-policy a key what its rules name. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

#include "dns/name.h"
#include "server/config.h"
#include "zone/update.h"

/* What a permission looks at; the caller's room. */
struct update_grant {
    const struct config_update_rule *any_key, *own; /* rules of every key, and of this one */
    size_t any_key_count, own_count;
    uint8_t key_owner[NAME_SIZE_MAX]; /* the key's name, lower case */
};

/* Whether the client, with the TSIG key `key_name` (NULL: unsigned), may update the zone at all,
 * and what of it. The permission is good as long as `zone` and `ret_grant` are. Any thread. */
bool update_policy_permits(const struct config_zone *zone, const struct sockaddr *client,
                           const char *key_name, struct update_grant *ret_grant,
                           struct update_permission *ret_permission);
