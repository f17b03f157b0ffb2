#include "zone/tsig_client.h"

#include <errno.h>
#include <libdnssec/error.h>
#include <libdnssec/tsig.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <libknot/errcode.h>
#include <libknot/packet/wire.h>
#include <libknot/tsig.h>
#include <nettle/memops.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FUDGE_S 300 /* RFC 8945, 10 */

/* Answers without a signature between two with one (RFC 8945, 5.3.1). */
#define UNSIGNED_MAX 99

#define MAC_SIZE_MAX 64 /* SHA-512 */

enum { TSIG_BADSIG = 16, TSIG_BADKEY = 17, TSIG_BADTIME = 18, TSIG_BADTRUNC = 22 };

struct tsig_client {
    knot_tsig_key_t key;
    uint8_t name[KNOT_DNAME_MAXLEN]; /* the key's, lower case as digests want it */
    size_t name_size;
    const uint8_t *algorithm; /* as a name, lower case */
    size_t algorithm_size;
    dnssec_tsig_ctx_t *digest; /* of the answers since the last signed one; NULL: not begun */
    uint8_t mac[MAC_SIZE_MAX]; /* of the request, then of the last signed answer */
    size_t mac_size;
    uint64_t signed_count;
    unsigned unsigned_count; /* since the last signed one */
};

/* The rdata of a TSIG record, RFC 8945, 4.2. */
struct tsig_fields {
    const uint8_t *algorithm, *mac, *other;
    uint64_t time_signed;
    uint16_t fudge, mac_size, original_id, error, other_size;
};

static uint64_t read_u48(const uint8_t *at)
{
    return (uint64_t)knot_wire_read_u16(at) << 32 | knot_wire_read_u32(at + 2);
}

static void write_u48(uint8_t *at, uint64_t value)
{
    knot_wire_write_u16(at, (uint16_t)(value >> 32));
    knot_wire_write_u32(at + 2, (uint32_t)value);
}

static int fields_read(struct tsig_fields *ret_fields, const struct record *record)
{
    const uint8_t *at = record->rdata, *end = at + record->rdata_size;
    struct tsig_fields fields = {.algorithm = at};

    const int algorithm_size = knot_dname_wire_check(at, end, NULL);
    if (algorithm_size <= 0)
        return -EBADMSG;
    at += algorithm_size;
    if (end - at < 10)
        return -EBADMSG;
    fields.time_signed = read_u48(at);
    fields.fudge = knot_wire_read_u16(at + 6);
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

int tsig_client_create(const struct transfer_key *key, struct tsig_client **ret_client,
                       struct error *ret_error)
{
    _cleanup_(tsig_client_freep) struct tsig_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");

    const int rc = knot_tsig_key_init(&client->key, key->algorithm, key->name, key->secret);
    if (rc == KNOT_ENOMEM)
        return error_set(ret_error, -ENOMEM, "out of memory");
    if (rc != KNOT_EOK)
        return error_set(ret_error, -EINVAL,
                         "the key %s cannot be used: check its name, its algorithm (%s) and its "
                         "base64 secret",
                         key->name, key->algorithm);

    client->algorithm = dnssec_tsig_algorithm_to_dname(client->key.algorithm);
    client->algorithm_size = knot_dname_size(client->algorithm);
    client->name_size = knot_dname_size(client->key.name);
    knot_dname_copy_lower(client->name, client->key.name);

    *ret_client = TAKE(client);
    return 0;
}

void tsig_client_free(struct tsig_client *client)
{
    if (client == NULL)
        return;
    dnssec_tsig_free(client->digest);
    knot_tsig_key_deinit(&client->key);
    free(client);
}

static void digest_add(struct tsig_client *client, const void *octets, size_t size)
{
    /* Only absent arguments make this fail. */
    const dnssec_binary_t stretch = {.data = (uint8_t *)octets, .size = size};
    (void)dnssec_tsig_add(client->digest, &stretch);
}

/* Begins a digest; that of an answer runs over the MAC before it (RFC 8945, 4.3.1 and 5.3.1). */
static int digest_begin(struct tsig_client *client, struct error *ret_error)
{
    dnssec_tsig_free(client->digest);
    client->digest = NULL;
    const int rc = dnssec_tsig_new(&client->digest, client->key.algorithm, &client->key.secret);
    if (rc != DNSSEC_EOK)
        return error_set(ret_error, -ENOMEM, "no memory for a signature");

    if (client->mac_size > 0) {
        uint8_t size[2];
        knot_wire_write_u16(size, (uint16_t)client->mac_size);
        digest_add(client, size, sizeof(size));
        digest_add(client, client->mac, client->mac_size);
    }
    return 0;
}

static void digest_end(struct tsig_client *client, uint8_t *ret_mac)
{
    (void)dnssec_tsig_write(client->digest, ret_mac);
    dnssec_tsig_free(client->digest);
    client->digest = NULL;
}

/* The message as it was before its TSIG: `size` octets, original identifier, one record less. */
static void digest_add_message(struct tsig_client *client, const uint8_t *message, size_t size,
                               uint16_t id, uint16_t arcount)
{
    uint8_t header[MESSAGE_HEADER_SIZE];
    memcpy(header, message, sizeof(header));
    knot_wire_set_id(header, id);
    knot_wire_set_arcount(header, arcount);
    digest_add(client, header, sizeof(header));
    digest_add(client, message + sizeof(header), size - sizeof(header));
}

/* All variables for the first message each way, only the timers for later ones (RFC 8945, 4.3.3 and
 * 5.3.1). */
static void digest_add_variables(struct tsig_client *client, const struct tsig_fields *fields,
                                 bool timers_only)
{
    uint8_t timers[8];
    write_u48(timers, fields->time_signed);
    knot_wire_write_u16(timers + 6, fields->fudge);
    if (timers_only) {
        digest_add(client, timers, sizeof(timers));
        return;
    }

    static const uint8_t class_and_ttl[6] = {0, KNOT_CLASS_ANY, 0, 0, 0, 0};
    uint8_t tail[4];
    knot_wire_write_u16(tail, fields->error);
    knot_wire_write_u16(tail + 2, fields->other_size);
    digest_add(client, client->name, client->name_size);
    digest_add(client, class_and_ttl, sizeof(class_and_ttl));
    digest_add(client, client->algorithm, client->algorithm_size);
    digest_add(client, timers, sizeof(timers));
    digest_add(client, tail, sizeof(tail));
    digest_add(client, fields->other, fields->other_size);
}

int tsig_client_sign(struct tsig_client *client, uint8_t *message, size_t *size, size_t max,
                     struct error *ret_error)
{
    const size_t mac_size = dnssec_tsig_algorithm_size(client->key.algorithm);
    const size_t rdata_size = client->algorithm_size + 16 + mac_size;
    if (mac_size > MAC_SIZE_MAX || client->name_size + 10 + rdata_size > max - *size)
        return error_set(ret_error, -EINVAL, "no room for a signature");

    const struct tsig_fields fields = {.time_signed = (uint64_t)time(NULL), .fudge = FUDGE_S};
    client->mac_size = 0;
    client->signed_count = client->unsigned_count = 0;
    const int rc = digest_begin(client, ret_error);
    if (rc < 0)
        return rc;
    digest_add(client, message, *size);
    digest_add_variables(client, &fields, false);
    digest_end(client, client->mac);
    client->mac_size = mac_size;

    uint8_t *at = message + *size;
    memcpy(at, client->name, client->name_size);
    at += client->name_size;
    knot_wire_write_u16(at, KNOT_RRTYPE_TSIG);
    knot_wire_write_u16(at + 2, KNOT_CLASS_ANY);
    knot_wire_write_u32(at + 4, 0);
    knot_wire_write_u16(at + 8, (uint16_t)rdata_size);
    at += 10;
    memcpy(at, client->algorithm, client->algorithm_size);
    at += client->algorithm_size;
    write_u48(at, fields.time_signed);
    knot_wire_write_u16(at + 6, FUDGE_S);
    knot_wire_write_u16(at + 8, (uint16_t)mac_size);
    memcpy(at + 10, client->mac, mac_size);
    at += 10 + mac_size;
    knot_wire_write_u16(at, knot_wire_get_id(message));
    knot_wire_write_u32(at + 2, 0); /* no error, no other data */
    at += 6;

    knot_wire_set_arcount(message, (uint16_t)(knot_wire_get_arcount(message) + 1));
    *size = (size_t)(at - message);
    return 0;
}

static int verify_unsigned(struct tsig_client *client, const uint8_t *message, size_t size,
                           struct error *ret_error)
{
    if (client->signed_count == 0)
        return error_set(ret_error, -EKEYREJECTED,
                         "its answer is not signed: configure the key there, too");
    if (++client->unsigned_count > UNSIGNED_MAX)
        return error_set(ret_error, -EKEYREJECTED,
                         "more than %d of its messages in a row are not signed", UNSIGNED_MAX);

    digest_add_message(client, message, size, knot_wire_get_id(message),
                       knot_wire_get_arcount(message));
    return 0;
}

int tsig_client_verify(struct tsig_client *client, const uint8_t *message, size_t size,
                       const struct record *tsig, struct error *ret_error)
{
    if (client->digest == NULL) {
        const int rc = digest_begin(client, ret_error);
        if (rc < 0)
            return rc;
    }
    if (tsig == NULL)
        return verify_unsigned(client, message, size, ret_error);

    struct tsig_fields fields;
    if (fields_read(&fields, tsig) < 0 || tsig->class != KNOT_CLASS_ANY)
        return error_set(ret_error, -EBADMSG, "its signature is malformed");
    if (!knot_dname_is_case_equal(tsig->owner, client->name) ||
        !knot_dname_is_case_equal(fields.algorithm, client->algorithm))
        return error_set(ret_error, -EKEYREJECTED,
                         "its answer is signed with another key or algorithm than the query");
    /* Truncated MACs, allowed by policy only (RFC 8945, 5.2.2.1), are refused with the rest. */
    if (fields.mac_size != dnssec_tsig_algorithm_size(client->key.algorithm))
        return error_set(ret_error, -EKEYREJECTED, "its signature is cut short");

    uint8_t mac[MAC_SIZE_MAX];
    digest_add_message(client, message, tsig->at, fields.original_id,
                       (uint16_t)(knot_wire_get_arcount(message) - 1));
    digest_add_variables(client, &fields, client->signed_count > 0);
    digest_end(client, mac);
    if (!memeql_sec(mac, fields.mac, fields.mac_size))
        return error_set(ret_error, -EKEYREJECTED,
                         "its signature is wrong: the secrets differ, or somebody changed the "
                         "answer on its way");

    /* Only a time that the key's holder vouches for is worth a look (RFC 8945, 5.2.3). */
    const int64_t offset_s = (int64_t)fields.time_signed - (int64_t)time(NULL);
    if (offset_s > fields.fudge || -offset_s > fields.fudge)
        return error_set(ret_error, -EKEYREJECTED,
                         "its signature is %lld s %s this machine's clock: set the clocks right",
                         (long long)(offset_s > 0 ? offset_s : -offset_s),
                         offset_s > 0 ? "ahead of" : "behind");

    memcpy(client->mac, mac, fields.mac_size);
    client->mac_size = fields.mac_size;
    client->signed_count++;
    client->unsigned_count = 0;
    return 0;
}

bool tsig_client_is_complete(const struct tsig_client *client)
{
    return client->signed_count > 0 && client->unsigned_count == 0;
}

void tsig_error_explain(const struct record *tsig, const struct transfer_key *key, char *ret_text,
                        size_t size)
{
    struct tsig_fields fields;
    ret_text[0] = '\0';
    if (key == NULL || fields_read(&fields, tsig) < 0)
        return;

    switch (fields.error) {
    case TSIG_BADSIG:
        snprintf(ret_text, size, "BADSIG: the secret of the key %s differs there", key->name);
        break;
    case TSIG_BADKEY:
        snprintf(ret_text, size, "BADKEY: it does not know the key %s with %s; configure it there",
                 key->name, key->algorithm);
        break;
    case TSIG_BADTIME:
        if (fields.other_size == 6)
            snprintf(ret_text, size, "BADTIME: its clock is %+lld s off ours; set the clocks right",
                     (long long)((int64_t)read_u48(fields.other) - (int64_t)time(NULL)));
        else
            snprintf(ret_text, size, "BADTIME: the clocks differ; set them right");
        break;
    case TSIG_BADTRUNC:
        snprintf(ret_text, size, "BADTRUNC: it wants a longer signature");
        break;
    default:
        break;
    }
}
