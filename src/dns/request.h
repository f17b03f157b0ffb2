/* Reading a request: header, question, EDNS (RFC 1035, 4.1; RFC 6891). Nothing in it is trusted. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dns/name.h"

enum request_status {
    REQUEST_OK,
    REQUEST_IGNORE, /* no answer at all: a response, too short, or a question that cannot be read */
    REQUEST_MALFORMED, /* FORMERR with the question, without OPT */
};

struct request {
    const uint8_t *wire;
    size_t size;
    uint16_t id, flags; /* the second 16 bits of the header, host order */
    uint8_t opcode;
    bool has_question;
    size_t question_end; /* offset behind the question; 12 without one */
    uint16_t qtype, qclass;

    bool has_edns, dnssec_ok;
    uint8_t edns_version;
    uint16_t edns_payload; /* as sent; below 512 counts as 512 */
    bool wants_nsid, wants_keepalive, wants_padding;
    bool wants_expire;            /* RFC 7314 */
    const uint8_t *client_subnet; /* data of that option (RFC 7871, 6); NULL: none */
    uint16_t client_subnet_size;

    bool has_tsig; /* the last additional record */
    size_t tsig_offset;
    uint32_t
        notify_serial; /* of a SOA in the answer section, where a NOTIFY has its hint; 0: none */
    bool has_ixfr_soa; /* in the authority section, where IXFR has the client's (RFC 1995, 3) */
    uint32_t ixfr_serial;
};

/* Reads `wire`; on REQUEST_OK with has_question, `ret_name` is the question's name. On
 * REQUEST_MALFORMED everything up to question_end is set. */
enum request_status request_parse(struct request *ret_request, struct name *ret_name,
                                  const uint8_t *wire, size_t size);

/* Whether a request that was read well asks for zone data: an ordinary query, no transfer, no
 * chaos, no EDNS version to come. Whether its TSIG is valid is not looked at. */
bool request_asks_data(const struct request *request);
