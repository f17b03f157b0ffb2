#include "zone/tsig_server.h"

#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <libknot/packet/wire.h>
#include <nettle/memops.h>
#include <stdlib.h>
#include <string.h>

/* A MAC may be cut to this, or half of it if that is more (RFC 8945, 5.2.2.1). */
#define CUT_MAC_MIN 10

struct tsig_keyring {
    size_t count;
    struct {
        struct tsig_key key;
        char *name; /* as configured */
    } keys[];
};

int tsig_keyring_create(const struct transfer_key *keys, size_t count,
                        struct tsig_keyring **ret_keyring, struct error *ret_error)
{
    _cleanup_(tsig_keyring_freep) struct tsig_keyring *keyring =
        calloc(1, sizeof(*keyring) + count * sizeof(keyring->keys[0]));
    if (keyring == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const int rc = tsig_key_init(&keyring->keys[i].key, &keys[i], ret_error);
        if (rc < 0)
            return rc;
        keyring->count++;
        keyring->keys[i].name = strdup(keys[i].name);
        if (keyring->keys[i].name == NULL)
            return error_set(ret_error, -ENOMEM, "out of memory");
    }
    *ret_keyring = TAKE(keyring);
    return 0;
}

void tsig_keyring_free(struct tsig_keyring *keyring)
{
    if (keyring == NULL)
        return;
    for (size_t i = 0; i < keyring->count; i++) {
        tsig_key_clear(&keyring->keys[i].key);
        free(keyring->keys[i].name);
    }
    free(keyring);
}

static const struct tsig_key *find_key(const struct tsig_keyring *keyring, const uint8_t *owner,
                                       const uint8_t *algorithm, const char **ret_name)
{
    for (size_t i = 0; i < keyring->count; i++) {
        const struct tsig_key *key = &keyring->keys[i].key;
        if (knot_dname_is_case_equal(key->name, owner) &&
            knot_dname_is_case_equal(key->algorithm, algorithm)) {
            *ret_name = keyring->keys[i].name;
            return key;
        }
    }
    return NULL;
}

/* Reads the TSIG record, whose owner must not be compressed (RFC 8945, 4.2: it is in the digest as
 * it stands; those who compress it mean the name it expands to, which is what is read here). */
static int read_record(struct tsig_server *server, const uint8_t *message, size_t size, size_t at,
                       struct tsig_fields *ret_fields)
{
    const int owner_size = knot_dname_wire_check(message + at, message + size, message);
    if (owner_size <= 0 ||
        knot_dname_unpack(server->owner, message + at, sizeof(server->owner), message) <= 0)
        return -EBADMSG;
    at += (size_t)owner_size;
    if (size - at < 10 || knot_wire_read_u16(message + at) != KNOT_RRTYPE_TSIG ||
        knot_wire_read_u16(message + at + 2) != KNOT_CLASS_ANY ||
        knot_wire_read_u32(message + at + 4) != 0)
        return -EBADMSG;
    const size_t rdata_size = knot_wire_read_u16(message + at + 8);
    at += 10;
    if (rdata_size != size - at)
        return -EBADMSG;
    return tsig_fields_read(ret_fields, message + at, rdata_size);
}

static uint8_t not_auth(struct tsig_server *server, enum tsig_error error)
{
    server->error = error;
    return KNOT_RCODE_NOTAUTH;
}

/* The lengths that a MAC may be cut to. */
static bool is_mac_size(const struct tsig_key *key, size_t size)
{
    const size_t half = (key->mac_size + 1) / 2;
    return size <= key->mac_size && size >= (half > CUT_MAC_MIN ? half : CUT_MAC_MIN);
}

uint8_t tsig_server_check(const struct tsig_keyring *keyring, const uint8_t *message, size_t size,
                          size_t tsig_offset, int64_t now, struct tsig_server *ret_server)
{
    struct tsig_server *server = ret_server;
    struct tsig_fields fields;
    server->key = NULL;
    server->key_name = NULL;
    server->error = 0;
    server->is_stream = false;
    server->mac_size = 0;
    if (read_record(server, message, size, tsig_offset, &fields) < 0)
        return KNOT_RCODE_FORMERR;
    server->original_id = fields.original_id;
    server->time_signed = fields.time_signed;
    memcpy(server->algorithm, fields.algorithm, knot_dname_size(fields.algorithm));

    const char *name = NULL;
    const struct tsig_key *key = find_key(keyring, server->owner, fields.algorithm, &name);
    if (key == NULL)
        return not_auth(server, TSIG_BADKEY);
    if (!is_mac_size(key, fields.mac_size))
        return KNOT_RCODE_FORMERR;

    dnssec_tsig_ctx_t *digest = tsig_digest_begin(key, NULL, 0);
    if (digest == NULL)
        return KNOT_RCODE_SERVFAIL;
    uint8_t mac[TSIG_MAC_SIZE_MAX];
    tsig_digest_add_message(digest, message, tsig_offset, fields.original_id,
                            (uint16_t)(knot_wire_get_arcount(message) - 1));
    tsig_digest_add_variables(digest, key, &fields, false);
    tsig_digest_end(digest, mac);
    if (!memeql_sec(mac, fields.mac, fields.mac_size))
        return not_auth(server, TSIG_BADSIG);

    /* From here on the client has the secret: what it is told is signed (5.2.3). */
    server->key = key;
    memcpy(server->mac, fields.mac, fields.mac_size);
    server->mac_size = fields.mac_size;
    const int64_t offset_s = (int64_t)fields.time_signed - now;
    if (offset_s > fields.fudge_s || -offset_s > fields.fudge_s)
        return not_auth(server, TSIG_BADTIME);
    server->key_name = name;
    return KNOT_RCODE_NOERROR;
}

/* The fields of an answer's record; `other` is room for the server's time. */
static struct tsig_fields answer_fields(const struct tsig_server *server, const uint8_t *message,
                                        int64_t now, uint8_t other[6])
{
    struct tsig_fields fields = {
        .algorithm = server->key != NULL ? server->key->algorithm : server->algorithm,
        .time_signed = (uint64_t)now,
        .fudge_s = TSIG_FUDGE_S,
        .original_id = knot_wire_get_id(message),
        .error = server->error,
        .mac_size = server->key != NULL ? (uint16_t)server->key->mac_size : 0,
    };
    if (server->error != 0)
        fields.time_signed = server->time_signed;
    if (server->error == TSIG_BADTIME) { /* says our time, so that the client can set its clock */
        tsig_write_u48(other, (uint64_t)now);
        fields.other = other;
        fields.other_size = 6;
    }
    return fields;
}

static const uint8_t *answer_owner(const struct tsig_server *server)
{
    return server->key != NULL ? server->key->name : server->owner;
}

size_t tsig_server_size(const struct tsig_server *server)
{
    static const uint8_t header[12];
    uint8_t other[6];
    struct tsig_fields fields = answer_fields(server, header, 0, other);
    return tsig_record_size(answer_owner(server), &fields);
}

int tsig_server_sign(struct tsig_server *server, uint8_t *message, size_t *size, size_t max,
                     int64_t now)
{
    uint8_t other[6];
    struct tsig_fields fields = answer_fields(server, message, now, other);
    if (tsig_record_size(answer_owner(server), &fields) > max - *size)
        return -EMSGSIZE;
    if (server->key != NULL) {
        dnssec_tsig_ctx_t *digest = tsig_digest_begin(server->key, server->mac, server->mac_size);
        if (digest == NULL)
            return -ENOMEM;
        tsig_digest_add(digest, message, *size);
        tsig_digest_add_variables(digest, server->key, &fields, server->is_stream);
        tsig_digest_end(digest, server->mac);
        server->mac_size = server->key->mac_size;
        server->is_stream = true;
        fields.mac = server->mac;
    }
    tsig_record_write(message, size, answer_owner(server), &fields);
    return 0;
}
