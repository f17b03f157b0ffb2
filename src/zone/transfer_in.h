/* The client's side of a zone transfer: SOA query, AXFR over TCP (RFC 5936), TSIG (RFC 8945).
 *
 * Blocking, for transfer threads; every wait is bounded. Nothing an origin sends is trusted: sizes,
 * counts and time have limits, and a refused transfer leaves the caller's zone as it was.
 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#include "zone/zone_data.h"

struct transfer_key {
    const char *name, *algorithm, *secret; /* as configured: text, hmac-..., base64 */
};

struct transfer_source {
    const struct sockaddr *origin;
    socklen_t origin_size;
    const struct transfer_key *key; /* NULL: unsigned */
    unsigned connect_timeout_ms;
    unsigned idle_timeout_ms; /* without a single octet from the origin */
    unsigned total_timeout_ms;
    uint64_t size_max; /* octets on the wire */
};

/* Asks the origin for the zone's SOA over UDP, over TCP when truncated. */
_must_check_ int transfer_soa(const struct transfer_source *source, const uint8_t *apex,
                              struct soa *ret_soa, struct error *ret_error);

/* Transfers the whole zone. Out-of-zone records are refused and counted in `ret_refused` (may be
 * NULL). */
_must_check_ int transfer_axfr(const struct transfer_source *source, const uint8_t *apex,
                               struct zone_data **ret_data, uint64_t *ret_refused,
                               struct error *ret_error);
