/* The client's side of a zone transfer: SOA query, AXFR over TCP (RFC 5936), TSIG (RFC 8945), and
 * how long the zone is good for (EXPIRE, RFC 7314). IXFR is in ixfr_in.h.
 *
 * Blocking, for transfer threads; every wait is bounded. Nothing an origin sends is trusted: sizes,
 * counts and time have limits, and a refused transfer leaves the caller's zone as it was.
 *
 * Errors: -ECANCELED after the cancel descriptor; transfer_error_is_origins() for "nobody there";
 * -EACCES when the origin says no, -EKEYREJECTED when its signature is missing or wrong or TLS does
 * not recognise it, -EPROTO when TLS fails for another reason, -EREMOTEIO for its other RCODEs,
 * -EBADMSG for what breaks the protocol, -EFBIG over a limit, -EINVAL for a key that cannot be used
 * or a zone that cannot be served, -ENOMEM, and the system's own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "zone/zone_data.h"

/* Used where a source says 0. */
#define TRANSFER_CONNECT_TIMEOUT_MS 5000
#define TRANSFER_IDLE_TIMEOUT_MS    10000
#define TRANSFER_TOTAL_TIMEOUT_MS   (30 * 60 * 1000)
#define TRANSFER_SIZE_MAX           (16ull << 30) /* 100 M records of a dense zone */
#define TRANSFER_RECORDS_MAX        200000000ull

struct origin_tls;

struct transfer_key {
    const char *name, *algorithm, *secret; /* as configured: text, hmac-..., base64 */
};

struct transfer_source {
    const struct sockaddr *origin;
    socklen_t origin_size;
    const struct transfer_key *key; /* NULL: unsigned */
    const struct origin_tls *tls;   /* over TLS (RFC 9103), the SOA too; NULL: in the clear */
    unsigned connect_timeout_ms;
    unsigned idle_timeout_ms; /* without a single octet from the origin */
    unsigned total_timeout_ms;
    uint64_t size_max;    /* octets on the wire */
    uint64_t records_max; /* compression makes records of many octets out of few */
    int cancel_fd;        /* becomes readable to stop every wait; 0: none */
};

/* What an origin that does not know EXPIRE says: the SOA's expire time counts. */
#define EXPIRE_UNTOLD UINT32_MAX

struct transfer_report {
    uint32_t expire_s; /* seconds from now that the origin itself has the zone for (RFC 7314) */
    uint64_t octets, messages;
    uint64_t refused;        /* records that cannot stand in the zone; the rest is served */
    char first_refused[400]; /* what it was and why; "" when none */
    unsigned duration_ms;
};

/* Asks the origin for the zone's SOA over UDP; over TCP when truncated or when no datagram comes
 * back; over TLS alone when the source says so. An answer that is not authoritative is an error:
 * its serial proves nothing. */
_must_check_ int transfer_soa(const struct transfer_source *source, const uint8_t *apex,
                              struct soa *ret_soa, uint32_t *ret_expire_s, struct error *ret_error);

/* Transfers the whole zone. Well-formed records that cannot stand in the zone (out of zone, beside
 * a CNAME, ...) are refused one by one and counted; malformed ones refuse the transfer. The report
 * may be NULL and is set on success only. */
_must_check_ int transfer_axfr(const struct transfer_source *source, const uint8_t *apex,
                               struct zone_data **ret_data, struct transfer_report *ret_report,
                               struct error *ret_error);

/* Whether an error says that the origin as a whole is not reachable, whatever the zone: other zones
 * need not try it right away. */
bool transfer_error_is_origins(int code);
