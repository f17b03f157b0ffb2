/* Transaction signatures (RFC 8945): what both sides of an exchange share. Keys, the fields of a
 * TSIG record, the digest that a MAC is of. */
#pragma once

#include <libdnssec/tsig.h>
#include <libknot/tsig.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "dns/name.h"
#include "zone/transfer_in.h"

#define TSIG_MAC_SIZE_MAX 64  /* SHA-512 */
#define TSIG_FUDGE_S      300 /* RFC 8945, 10 */

enum tsig_error { TSIG_BADSIG = 16, TSIG_BADKEY = 17, TSIG_BADTIME = 18, TSIG_BADTRUNC = 22 };

struct tsig_key {
    knot_tsig_key_t key;
    uint8_t name[NAME_SIZE_MAX]; /* lower case as digests want it */
    size_t name_size;
    const uint8_t *algorithm; /* as a name, lower case */
    size_t algorithm_size;
    size_t mac_size; /* of a whole MAC */
};

/* Returns 0, -ENOMEM, or -EINVAL for a key that cannot be used. What `key` points to is copied. */
_must_check_ int tsig_key_init(struct tsig_key *ret_key, const struct transfer_key *key,
                               struct error *ret_error);
void tsig_key_clear(struct tsig_key *key);

/* The data of a TSIG record (RFC 8945, 4.2); points into the message. */
struct tsig_fields {
    const uint8_t *algorithm, *mac, *other;
    uint64_t time_signed; /* Unix seconds */
    uint16_t fudge_s, mac_size, original_id, error, other_size;
};
_must_check_ int tsig_fields_read(struct tsig_fields *ret_fields, const uint8_t *rdata,
                                  size_t size);

uint64_t tsig_read_u48(const uint8_t *at);
void tsig_write_u48(uint8_t *at, uint64_t value);

/* ---- The digest ---- */

/* Begins a digest; one of an answer runs over the MAC before it (RFC 8945, 4.3.1 and 5.3.1), of
 * which `mac_size` 0 says that there is none. NULL: no memory. */
dnssec_tsig_ctx_t *tsig_digest_begin(const struct tsig_key *key, const uint8_t *mac,
                                     size_t mac_size);

void tsig_digest_add(dnssec_tsig_ctx_t *digest, const void *octets, size_t size);

/* The message as it was before its TSIG: `size` octets, original identifier, so many records. */
void tsig_digest_add_message(dnssec_tsig_ctx_t *digest, const uint8_t *message, size_t size,
                             uint16_t id, uint16_t arcount);

/* All variables for the first message each way, only the timers for later ones (RFC 8945, 4.3.3 and
 * 5.3.1). */
void tsig_digest_add_variables(dnssec_tsig_ctx_t *digest, const struct tsig_key *key,
                               const struct tsig_fields *fields, bool timers_only);

/* Writes the whole MAC and frees the digest. */
void tsig_digest_end(dnssec_tsig_ctx_t *digest, uint8_t ret_mac[TSIG_MAC_SIZE_MAX]);

/* Octets of a TSIG record with these fields. */
size_t tsig_record_size(const uint8_t *owner, const struct tsig_fields *fields);

/* Writes the record behind the `*size` octets of the message and counts it; there must be room. */
void tsig_record_write(uint8_t *message, size_t *size, const uint8_t *owner,
                       const struct tsig_fields *fields);
