/* TSIG on requests and their responses (RFC 8945), by libknot. */
#include <errno.h>
#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>

#include "server/responder_internal.h"

int responder_tsig_load(struct responder *responder, struct error *ret_error)
{
    const struct responder_options *options = &responder->options;
    responder->keys = calloc(options->key_count + 1, sizeof(*responder->keys));
    if (responder->keys == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    for (size_t i = 0; i < options->key_count; i++) {
        const struct responder_key *key = &options->keys[i];
        if (knot_tsig_key_init(&responder->keys[i], key->algorithm, key->name, key->secret) !=
            KNOT_EOK)
            return error_set(ret_error, -EINVAL,
                             "key %s cannot be used: check its algorithm and its base64 secret",
                             key->name);
    }
    return 0;
}

void responder_tsig_clear(struct responder *responder)
{
    if (responder->keys == NULL)
        return;
    for (size_t i = 0; i < responder->options.key_count; i++)
        knot_tsig_key_deinit(&responder->keys[i]);
    free(responder->keys);
}

static const knot_tsig_key_t *find_key(const struct responder *responder,
                                       const knot_rrset_t *record, const char **ret_name)
{
    dnssec_tsig_algorithm_t algorithm = knot_tsig_rdata_alg(record);
    for (size_t i = 0; i < responder->options.key_count; i++) {
        const knot_tsig_key_t *key = &responder->keys[i];
        if (key->algorithm == algorithm && knot_dname_is_case_equal(key->name, record->owner)) {
            *ret_name = responder->options.keys[i].name;
            return key;
        }
    }
    return NULL;
}

uint8_t responder_tsig_check(const struct responder *responder, const struct request *request,
                             struct tsig_state *ret_state)
{
    *ret_state = (struct tsig_state){0};

    /* Parsing strips the TSIG from the octets that are signed: work on a copy. */
    uint8_t *copy = malloc(request->size);
    if (copy == NULL)
        return KNOT_RCODE_SERVFAIL;
    memcpy(copy, request->wire, request->size);
    knot_pkt_t *packet = knot_pkt_new(copy, (uint16_t)request->size, NULL);
    if (packet == NULL) {
        free(copy);
        return KNOT_RCODE_SERVFAIL;
    }
    ret_state->packet = packet;
    if (knot_pkt_parse(packet, 0) != KNOT_EOK || packet->tsig_rr == NULL)
        return KNOT_RCODE_FORMERR;
    ret_state->record = packet->tsig_rr;

    const char *name = NULL;
    const knot_tsig_key_t *key = find_key(responder, packet->tsig_rr, &name);
    if (key == NULL) {
        ret_state->error = KNOT_RCODE_BADKEY;
        return KNOT_RCODE_NOTAUTH;
    }
    switch (knot_tsig_server_check(packet->tsig_rr, packet->wire, packet->size, key)) {
    case KNOT_EOK:
        ret_state->key = key;
        ret_state->key_name = name;
        return KNOT_RCODE_NOERROR;
    case KNOT_TSIG_EBADKEY:
        ret_state->error = KNOT_RCODE_BADKEY;
        return KNOT_RCODE_NOTAUTH;
    case KNOT_TSIG_EBADTIME:
        ret_state->key = key; /* answered signed (RFC 8945, 5.2.3) */
        ret_state->error = KNOT_RCODE_BADTIME;
        return KNOT_RCODE_NOTAUTH;
    case KNOT_TSIG_EBADSIG:
    case KNOT_TSIG_EBADTRUNC:
        ret_state->error = KNOT_RCODE_BADSIG;
        return KNOT_RCODE_NOTAUTH;
    default:
        return KNOT_RCODE_FORMERR;
    }
}

size_t responder_tsig_size(const struct tsig_state *state)
{
    return state->key == NULL ? 0 : knot_tsig_wire_maxsize(state->key);
}

size_t responder_tsig_sign(const struct tsig_state *state, uint8_t *response, size_t size,
                           size_t response_max)
{
    if (state->record == NULL)
        return size;
    size_t signed_size = size;
    int rc;
    if (state->key != NULL) {
        uint8_t digest[64];
        size_t digest_size = sizeof(digest);
        rc =
            knot_tsig_sign(response, &signed_size, response_max, knot_tsig_rdata_mac(state->record),
                           knot_tsig_rdata_mac_length(state->record), digest, &digest_size,
                           state->key, state->error, knot_tsig_rdata_time_signed(state->record));
    } else {
        rc = knot_tsig_add(response, &signed_size, response_max, state->error, state->record);
    }
    return rc == KNOT_EOK ? signed_size : size;
}

void responder_tsig_release(struct tsig_state *state)
{
    knot_pkt_t *packet = state->packet;
    if (packet == NULL)
        return;
    uint8_t *copy = packet->wire;
    knot_pkt_free(packet);
    free(copy);
    state->packet = NULL;
}
