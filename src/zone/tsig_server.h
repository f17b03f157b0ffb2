/* The server's side of TSIG (RFC 8945, 5): checks what came, signs what goes, one message or a
 * stream of them. Allocates nothing but what the MAC's library does. */
#pragma once

#include "zone/tsig.h"

/* An immutable set of keys; any thread may read it. */
struct tsig_keyring;

_must_check_ int tsig_keyring_create(const struct transfer_key *keys, size_t count,
                                     struct tsig_keyring **ret_keyring, struct error *ret_error);
void tsig_keyring_free(struct tsig_keyring *keyring);
DEFINE_FREEP(struct tsig_keyring, tsig_keyring_free)

/* One exchange, from its request on. */
struct tsig_server {
    const struct tsig_key *key; /* whose secret the client has; NULL: answers carry no MAC */
    const char *key_name;       /* as configured, when the signature is good; else NULL */
    uint16_t error;             /* enum tsig_error, or 0 */
    bool is_stream;             /* the first answer was signed: timers only from now on */
    uint16_t original_id;
    uint64_t time_signed; /* the request's */
    uint8_t mac[TSIG_MAC_SIZE_MAX];
    size_t mac_size;
    /* As the client wrote them, for an answer without a key. */
    uint8_t owner[NAME_SIZE_MAX], algorithm[NAME_SIZE_MAX];
};

/* Checks the request whose last record, at `tsig_offset`, is a TSIG. `now` is in Unix seconds.
 * Returns an RCODE: NOERROR, NOTAUTH with `error` set, FORMERR, or SERVFAIL without memory. A MAC
 * that was cut to no less than half, and ten octets, is good (5.2.2.1). */
uint8_t tsig_server_check(const struct tsig_keyring *keyring, const uint8_t *message, size_t size,
                          size_t tsig_offset, int64_t now, struct tsig_server *ret_server);

/* Octets that signing adds. */
size_t tsig_server_size(const struct tsig_server *server);

/* Signs an answer of `*size` octets in place; of a stream every message is signed. Returns 0,
 * -ENOMEM, or -EMSGSIZE when there is no room in `max`. */
_must_check_ int tsig_server_sign(struct tsig_server *server, uint8_t *message, size_t *size,
                                  size_t max, int64_t now);
