#include "zone/tsig_client.h"

#include <errno.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <libknot/packet/wire.h>
#include <nettle/memops.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "zone/tsig.h"

/* Answers without a signature between two with one (RFC 8945, 5.3.1). */
#define UNSIGNED_MAX 99

struct tsig_client {
    struct tsig_key key;
    dnssec_tsig_ctx_t *digest;      /* of the answers since the last signed one; NULL: not begun */
    uint8_t mac[TSIG_MAC_SIZE_MAX]; /* of the request, then of the last signed answer */
    size_t mac_size;
    uint64_t signed_count;
    unsigned unsigned_count; /* since the last signed one */
};

int tsig_client_create(const struct transfer_key *key, struct tsig_client **ret_client,
                       struct error *ret_error)
{
    _cleanup_(tsig_client_freep) struct tsig_client *client = calloc(1, sizeof(*client));
    if (client == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");

    const int rc = tsig_key_init(&client->key, key, ret_error);
    if (rc < 0)
        return rc;

    *ret_client = TAKE(client);
    return 0;
}

void tsig_client_free(struct tsig_client *client)
{
    if (client == NULL)
        return;
    dnssec_tsig_free(client->digest);
    tsig_key_clear(&client->key);
    free(client);
}

/* Begins a digest that runs over the MAC before it. */
static int digest_begin(struct tsig_client *client, struct error *ret_error)
{
    dnssec_tsig_free(client->digest);
    client->digest = tsig_digest_begin(&client->key, client->mac, client->mac_size);
    return client->digest != NULL ? 0 : error_set(ret_error, -ENOMEM, "no memory for a signature");
}

static void digest_end(struct tsig_client *client, uint8_t ret_mac[TSIG_MAC_SIZE_MAX])
{
    tsig_digest_end(TAKE(client->digest), ret_mac);
}

int tsig_client_sign(struct tsig_client *client, uint8_t *message, size_t *size, size_t max,
                     struct error *ret_error)
{
    struct tsig_fields fields = {
        .algorithm = client->key.algorithm,
        .time_signed = (uint64_t)time(NULL),
        .fudge_s = TSIG_FUDGE_S,
        .mac = client->mac,
        .mac_size = (uint16_t)client->key.mac_size,
        .original_id = knot_wire_get_id(message),
    };
    if (tsig_record_size(client->key.name, &fields) > max - *size)
        return error_set(ret_error, -EINVAL, "no room for a signature");

    client->mac_size = 0;
    client->signed_count = client->unsigned_count = 0;
    const int rc = digest_begin(client, ret_error);
    if (rc < 0)
        return rc;
    tsig_digest_add(client->digest, message, *size);
    tsig_digest_add_variables(client->digest, &client->key, &fields, false);
    digest_end(client, client->mac);
    client->mac_size = client->key.mac_size;
    tsig_record_write(message, size, client->key.name, &fields);
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

    tsig_digest_add_message(client->digest, message, size, knot_wire_get_id(message),
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
    if (tsig_fields_read(&fields, tsig->rdata, tsig->rdata_size) < 0 ||
        tsig->class != KNOT_CLASS_ANY)
        return error_set(ret_error, -EBADMSG, "its signature is malformed");
    if (!knot_dname_is_case_equal(tsig->owner, client->key.name) ||
        !knot_dname_is_case_equal(fields.algorithm, client->key.algorithm))
        return error_set(ret_error, -EKEYREJECTED,
                         "its answer is signed with another key or algorithm than the query");
    /* Truncated MACs, allowed by policy only (RFC 8945, 5.2.2.1), are refused with the rest. */
    if (fields.mac_size != client->key.mac_size)
        return error_set(ret_error, -EKEYREJECTED, "its signature is cut short");

    uint8_t mac[TSIG_MAC_SIZE_MAX];
    tsig_digest_add_message(client->digest, message, tsig->at, fields.original_id,
                            (uint16_t)(knot_wire_get_arcount(message) - 1));
    tsig_digest_add_variables(client->digest, &client->key, &fields, client->signed_count > 0);
    digest_end(client, mac);
    if (!memeql_sec(mac, fields.mac, fields.mac_size))
        return error_set(ret_error, -EKEYREJECTED,
                         "its signature is wrong: the secrets differ, or somebody changed the "
                         "answer on its way");

    /* Only a time that the key's holder vouches for is worth a look (RFC 8945, 5.2.3). */
    const int64_t offset_s = (int64_t)fields.time_signed - (int64_t)time(NULL);
    if (offset_s > fields.fudge_s || -offset_s > fields.fudge_s)
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
    if (key == NULL || tsig_fields_read(&fields, tsig->rdata, tsig->rdata_size) < 0)
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
                     (long long)((int64_t)tsig_read_u48(fields.other) - (int64_t)time(NULL)));
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
