/* What is asked of an origin, and what an answer is worth. No state, no clock, no sockets. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "dns/name.h"
#include "dns/record_reader.h"

#define CLIENT_COOKIE_SIZE     8 /* RFC 7873, 4 */
#define SERVER_COOKIE_SIZE_MAX 32

/* Family, two prefix lengths and an IPv6 address (RFC 7871, 6). */
#define CLIENT_SUBNET_SIZE_MAX 20

/* Header, question, OPT with a cookie and a client subnet. */
#define ORIGIN_QUERY_SIZE_MAX                                                \
    (MESSAGE_HEADER_SIZE + NAME_SIZE_MAX + 4 + 11 + 4 + CLIENT_COOKIE_SIZE + \
     SERVER_COOKIE_SIZE_MAX + 4 + CLIENT_SUBNET_SIZE_MAX)

/* One message to send. */
struct origin_query_form {
    const uint8_t *name; /* wire form, in the letter case to send */
    uint16_t name_size, type, id;
    bool checking_disabled;

    bool has_edns; /* what follows needs it */
    bool dnssec_ok;
    uint16_t udp_payload;
    const uint8_t *client_cookie; /* CLIENT_COOKIE_SIZE octets; NULL: no cookie */
    const uint8_t *server_cookie;
    uint8_t server_cookie_size;   /* 0: none known */
    const uint8_t *client_subnet; /* the option's data */
    uint8_t client_subnet_size;   /* 0: none */
};

/* Writes the message; returns its size, at most ORIGIN_QUERY_SIZE_MAX. */
size_t origin_query_write(uint8_t *ret_wire, const struct origin_query_form *form);

/* Letter case at random (draft-vixie-dnsext-dns0x20-00): bit i of `bits` makes octet i of a
 * lower-case name a capital, if it is a letter. */
void origin_case_mix(uint8_t *ret_wire, const uint8_t *wire, size_t size, const uint8_t *bits);

/* What the answer to a message must look like. */
struct origin_expectation {
    const uint8_t *name; /* as sent */
    uint16_t name_size, type, id;
    const uint8_t *apex;          /* of the zone, lower case */
    const uint8_t *client_cookie; /* as sent; NULL: none was */
    bool is_case_exact; /* the server is known, or may be hoped, to return the case of the question
                         */
    bool has_edns;      /* the question had OPT */
    bool needs_cookie;  /* the server has shown that it returns cookies */
};

enum origin_verdict {
    /* Not the answer to this message: thrown away, and the wait goes on. */
    ORIGIN_MISMATCH,

    /* From the server, as far as can be seen, yet more certainty is needed: ask over TCP. */
    ORIGIN_CASE_LOST,   /* all is right but the letter case */
    ORIGIN_COOKIE_LOST, /* all is right but the missing cookie (RFC 7873, 5.3) */
    ORIGIN_TRUNCATED,

    /* Ask the same server in another way. */
    ORIGIN_BADCOOKIE, /* with a server cookie to use (RFC 7873, 5.3) */
    ORIGIN_NO_EDNS,   /* FORMERR or NOTIMP without OPT (RFC 6891, 7) */

    /* Ask another server. */
    ORIGIN_FAILED,    /* SERVFAIL, REFUSED, any RCODE that says nothing about the name */
    ORIGIN_LAME,      /* without authority for the zone: AA is clear and it is no referral below,
                         or a referral to the zone itself */
    ORIGIN_WRONG,     /* about another name, type, class or zone than the question's, or both data
                         and a denial */
    ORIGIN_MALFORMED, /* cannot be read to its end */

    ORIGIN_GOOD, /* an answer, a denial, or a referral to below the zone */
};

struct origin_reading {
    enum origin_verdict verdict;
    uint16_t rcode; /* with the upper bits of OPT */
    bool has_edns;
    const uint8_t *server_cookie; /* in the message, its size checked; NULL: none came */
    uint8_t server_cookie_size;
};

/* Judges a message from the right address to the right port. The octets may be any. */
enum origin_verdict origin_answer_judge(const struct origin_expectation *expected,
                                        struct record_reader *reader, const uint8_t *wire,
                                        size_t size, struct origin_reading *ret_reading);
