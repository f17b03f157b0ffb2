#include "zone/tsig.h"

#include <errno.h>
#include <libdnssec/error.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <libknot/errcode.h>
#include <libknot/packet/wire.h>
#include <string.h>

#include "dns/record_reader.h"

uint64_t tsig_read_u48(const uint8_t *at)
{
    return (uint64_t)knot_wire_read_u16(at) << 32 | knot_wire_read_u32(at + 2);
}

void tsig_write_u48(uint8_t *at, uint64_t value)
{
    knot_wire_write_u16(at, (uint16_t)(value >> 32));
    knot_wire_write_u32(at + 2, (uint32_t)value);
}

int tsig_key_init(struct tsig_key *ret_key, const struct transfer_key *key, struct error *ret_error)
{
    *ret_key = (struct tsig_key){0};
    const int rc = knot_tsig_key_init(&ret_key->key, key->algorithm, key->name, key->secret);
    if (rc == KNOT_ENOMEM)
        return error_set(ret_error, -ENOMEM, "out of memory");
    if (rc != KNOT_EOK)
        return error_set(ret_error, -EINVAL,
                         "the key %s cannot be used: check its name, its algorithm (%s) and its "
                         "base64 secret",
                         key->name, key->algorithm);

    ret_key->algorithm = dnssec_tsig_algorithm_to_dname(ret_key->key.algorithm);
    ret_key->algorithm_size = knot_dname_size(ret_key->algorithm);
    ret_key->name_size = knot_dname_size(ret_key->key.name);
    ret_key->mac_size = dnssec_tsig_algorithm_size(ret_key->key.algorithm);
    knot_dname_copy_lower(ret_key->name, ret_key->key.name);
    return 0;
}

void tsig_key_clear(struct tsig_key *key)
{
    knot_tsig_key_deinit(&key->key);
}

int tsig_fields_read(struct tsig_fields *ret_fields, const uint8_t *rdata, size_t size)
{
    const uint8_t *at = rdata, *end = rdata + size;
    struct tsig_fields fields = {.algorithm = at};

    const int algorithm_size = knot_dname_wire_check(at, end, NULL);
    if (algorithm_size <= 0)
        return -EBADMSG;
    at += algorithm_size;
    if (end - at < 10)
        return -EBADMSG;
    fields.time_signed = tsig_read_u48(at);
    fields.fudge_s = knot_wire_read_u16(at + 6);
    fields.mac_size = knot_wire_read_u16(at + 8);
    fields.mac = at + 10;
    at += 10;
    if (end - at < fields.mac_size + 6)
        return -EBADMSG;
    at += fields.mac_size;
    fields.original_id = knot_wire_read_u16(at);
    fields.error = knot_wire_read_u16(at + 2);
    fields.other_size = knot_wire_read_u16(at + 4);
    fields.other = at + 6;
    if (end - fields.other != fields.other_size)
        return -EBADMSG;

    *ret_fields = fields;
    return 0;
}

/* ---- The digest ---- */

void tsig_digest_add(dnssec_tsig_ctx_t *digest, const void *octets, size_t size)
{
    /* Only absent arguments make this fail. */
    const dnssec_binary_t stretch = {.data = (uint8_t *)octets, .size = size};
    (void)dnssec_tsig_add(digest, &stretch);
}

dnssec_tsig_ctx_t *tsig_digest_begin(const struct tsig_key *key, const uint8_t *mac,
                                     size_t mac_size)
{
    dnssec_tsig_ctx_t *digest = NULL;
    if (dnssec_tsig_new(&digest, key->key.algorithm, &key->key.secret) != DNSSEC_EOK)
        return NULL;
    if (mac_size > 0) {
        uint8_t size[2];
        knot_wire_write_u16(size, (uint16_t)mac_size);
        tsig_digest_add(digest, size, sizeof(size));
        tsig_digest_add(digest, mac, mac_size);
    }
    return digest;
}

void tsig_digest_add_message(dnssec_tsig_ctx_t *digest, const uint8_t *message, size_t size,
                             uint16_t id, uint16_t arcount)
{
    uint8_t header[MESSAGE_HEADER_SIZE];
    memcpy(header, message, sizeof(header));
    knot_wire_set_id(header, id);
    knot_wire_set_arcount(header, arcount);
    tsig_digest_add(digest, header, sizeof(header));
    tsig_digest_add(digest, message + sizeof(header), size - sizeof(header));
}

void tsig_digest_add_variables(dnssec_tsig_ctx_t *digest, const struct tsig_key *key,
                               const struct tsig_fields *fields, bool timers_only)
{
    uint8_t timers[8];
    tsig_write_u48(timers, fields->time_signed);
    knot_wire_write_u16(timers + 6, fields->fudge_s);
    if (timers_only) {
        tsig_digest_add(digest, timers, sizeof(timers));
        return;
    }

    static const uint8_t class_and_ttl[6] = {0, KNOT_CLASS_ANY, 0, 0, 0, 0};
    uint8_t tail[4];
    knot_wire_write_u16(tail, fields->error);
    knot_wire_write_u16(tail + 2, fields->other_size);
    tsig_digest_add(digest, key->name, key->name_size);
    tsig_digest_add(digest, class_and_ttl, sizeof(class_and_ttl));
    tsig_digest_add(digest, key->algorithm, key->algorithm_size);
    tsig_digest_add(digest, timers, sizeof(timers));
    tsig_digest_add(digest, tail, sizeof(tail));
    tsig_digest_add(digest, fields->other, fields->other_size);
}

void tsig_digest_end(dnssec_tsig_ctx_t *digest, uint8_t ret_mac[TSIG_MAC_SIZE_MAX])
{
    (void)dnssec_tsig_write(digest, ret_mac);
    dnssec_tsig_free(digest);
}

/* ---- The record ---- */

static size_t rdata_size(const struct tsig_fields *fields)
{
    return knot_dname_size(fields->algorithm) + 16 + fields->mac_size + fields->other_size;
}

size_t tsig_record_size(const uint8_t *owner, const struct tsig_fields *fields)
{
    return knot_dname_size(owner) + 10 + rdata_size(fields);
}

void tsig_record_write(uint8_t *message, size_t *size, const uint8_t *owner,
                       const struct tsig_fields *fields)
{
    const size_t owner_size = knot_dname_size(owner);
    const size_t algorithm_size = knot_dname_size(fields->algorithm);

    uint8_t *at = message + *size;
    memcpy(at, owner, owner_size);
    at += owner_size;
    knot_wire_write_u16(at, KNOT_RRTYPE_TSIG);
    knot_wire_write_u16(at + 2, KNOT_CLASS_ANY);
    knot_wire_write_u32(at + 4, 0);
    knot_wire_write_u16(at + 8, (uint16_t)rdata_size(fields));
    at += 10;
    memcpy(at, fields->algorithm, algorithm_size);
    at += algorithm_size;
    tsig_write_u48(at, fields->time_signed);
    knot_wire_write_u16(at + 6, fields->fudge_s);
    knot_wire_write_u16(at + 8, fields->mac_size);
    if (fields->mac_size > 0)
        memcpy(at + 10, fields->mac, fields->mac_size);
    at += 10 + fields->mac_size;
    knot_wire_write_u16(at, fields->original_id);
    knot_wire_write_u16(at + 2, fields->error);
    knot_wire_write_u16(at + 4, fields->other_size);
    if (fields->other_size > 0)
        memcpy(at + 6, fields->other, fields->other_size);
    at += 6 + fields->other_size;

    knot_wire_set_arcount(message, (uint16_t)(knot_wire_get_arcount(message) + 1));
    *size = (size_t)(at - message);
}
