/* An origin's message made into an answer that can be kept.
 *
 * Its octets are hostile: every name and bound is checked, and what is kept is written anew, name
 * by name, behind the question as the client's will stand. So a compression pointer can only lead
 * to where we put a name. Letter case stays where a name is spelled out; a name that equals an
 * earlier one in another case becomes a pointer to that (RFC 4343, 4.1).
 *
 * Left out are OPT and TSIG, which are between two servers, and records that the zone has no say
 * about: RFC 2181, 5.4.1.
 */
#pragma once

#include "base/cleanup.h"
#include "front/cache.h"

/* Room and state to read one message after the other; one a thread. NULL: no memory. */
struct cached_message;
struct cached_message *cached_message_create(void);
void cached_message_free(struct cached_message *message);
DEFINE_FREEP(struct cached_message, cached_message_free)

/* What came of a message. All but the first are the origin's failure, and no answer to anybody. */
enum message_verdict {
    MESSAGE_ANSWER,
    MESSAGE_MALFORMED,       /* cut short, a bad name, rdata not of its type's shape, octets left */
    MESSAGE_NOT_OURS,        /* no response, or to another question */
    MESSAGE_TRUNCATED,       /* TC: ask by TCP */
    MESSAGE_FAILURE,         /* an RCODE that says nothing about the name: SERVFAIL, REFUSED, ... */
    MESSAGE_LAME,            /* says without authority that a name or its data does not exist */
    MESSAGE_UPWARD_REFERRAL, /* refers to the zone itself, to what is above it or beside it */
    MESSAGE_OFF_CHAIN,       /* its answer section does not begin at the question */
    MESSAGE_TOO_LARGE,       /* cannot be written in 64 KiB */
};

/* For a log line and an extended error's EXTRA-TEXT: "an upward referral". */
const char *message_verdict_text(enum message_verdict verdict);

/* What was asked, and of whom. */
struct message_question {
    struct cache_key key;
    const struct name *zone; /* apex of the forwarded zone; the key's name is in it */
    int64_t now;             /* Unix seconds */
    uint32_t stale_s;        /* how long an expired answer may still be served (RFC 8767, 4) */
    bool leaves_out_dnssec; /* the origin was asked with DO, the key is without: what only DO brings
                               is left out (RFC 3225, 3) */
};

/* Reads a whole message as it came. On MESSAGE_ANSWER *ret_answer is what to send to those who wait
 * and to give to cache_put(), valid until the next message is read; on MESSAGE_FAILURE
 * ret_answer->rcode alone is set, the low 4 bits of it. An answer that must not be kept (TTL 0, a
 * denial without SOA, an answer for one client's subnet) has expires_at at stored_at. */
enum message_verdict cached_message_read(struct cached_message *message,
                                         const struct message_question *question,
                                         const uint8_t *wire, size_t size,
                                         struct cached_answer *ret_answer);
