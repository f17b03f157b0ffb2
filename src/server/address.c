/* The access lists that a configuration makes of addresses and keys. */
#include <string.h>
#include <strings.h>

#include "server/config.h"

/* Key names are domain names (RFC 8945, 4.2): letter case and a last dot don't count. */
static bool key_name_equal(const char *one, const char *other)
{
    size_t one_size = strlen(one), other_size = strlen(other);

    if (one_size > 0 && one[one_size - 1] == '.')
        one_size--;
    if (other_size > 0 && other[other_size - 1] == '.')
        other_size--;
    return one_size == other_size && strncasecmp(one, other, one_size) == 0;
}

bool config_access_allows(const struct config_access *list, size_t count,
                          const struct sockaddr *client, const char *key_name)
{
    for (size_t i = 0; i < count; i++) {
        const struct config_access *entry = &list[i];

        if (entry->has_address && !config_address_covers(&entry->address, client))
            continue;
        if (entry->key != NULL && (key_name == NULL || !key_name_equal(entry->key->name, key_name)))
            continue;
        return true;
    }
    return false;
}
