#include "cli/uuid_name.h"

#include <assert.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

struct uuid uuid_of_name(const struct uuid *space, const void *name, size_t size)
{
    uint8_t hash[20];
    struct uuid uuid;
    gnutls_hash_hd_t state;

    /* SHA-1 as the RFC wants it: nothing here rests on its strength. */
    int rc = gnutls_hash_init(&state, GNUTLS_DIG_SHA1);
    assert(rc == 0);
    (void)rc;
    gnutls_hash(state, space->octets, sizeof(space->octets));
    gnutls_hash(state, name, size);
    gnutls_hash_deinit(state, hash);
    memcpy(uuid.octets, hash, sizeof(uuid.octets));
    uuid.octets[6] = (uint8_t)((uuid.octets[6] & 0x0f) | 0x50);
    uuid.octets[8] = (uint8_t)((uuid.octets[8] & 0x3f) | 0x80);
    return uuid;
}

const char *uuid_text(const struct uuid *uuid, char ret_text[UUID_TEXT_SIZE])
{
    const uint8_t *o = uuid->octets;
    (void)snprintf(ret_text, UUID_TEXT_SIZE,
                   "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", o[0],
                   o[1], o[2], o[3], o[4], o[5], o[6], o[7], o[8], o[9], o[10], o[11], o[12], o[13],
                   o[14], o[15]);
    return ret_text;
}
