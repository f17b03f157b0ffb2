/* An event: what is kept of a flight. It holds nothing that names a person: addresses are sealed,
 * ids hashed, everything else of a check-in dropped (privacy.h). doc/sink-events.md describes the
 * format. */
#pragma once

#include "base/cleanup.h"
#include "sink/client_hello.h"
#include "sink/recognition.h"

#define SINK_ID_SIZE      16
#define SINK_ADDRESS_SIZE 16
#define SINK_WORD_SIZE    32  /* a family, rule, version, order's id cut to it, NUL included */
#define SINK_NAME_SIZE    256 /* a listed name as text, lower case, no last dot, NUL included */

/* How the name that brought the client is known, the surest first. */
enum sink_name_source {
    SINK_NAME_NONE = 0,
    SINK_NAME_HOST = 1,   /* HTTP Host: certain */
    SINK_NAME_SNI = 2,    /* TLS SNI: certain */
    SINK_NAME_ANSWER = 3, /* an answer given to a resolver near the client shortly before: likely */
    SINK_NAME_WINDOW = 4, /* the only listed name answered in the window: possible */
    SINK_NAME_ADDRESS = 5, /* the sinkhole address belongs to one name alone */
};

struct sink_event {
    int64_t at_us;
    uint32_t lasted_ms;
    uint8_t transport, ending, kind, name_source;
    bool wellformed, consistent, fake, in_tls, ipv6;
    uint16_t epoch; /* of the keys by which ids are hashed and addresses sealed */
    uint8_t client[SINK_ADDRESS_SIZE]; /* sealed */
    uint8_t
        network[SINK_ADDRESS_SIZE];   /* hashed: its /24 or /48, to see spread without addresses */
    uint16_t client_port, local_port; /* host order */
    uint8_t local[SINK_ADDRESS_SIZE]; /* the sinkhole's own, as it is */
    uint32_t asn;                     /* 0: not known */
    char country[3];                  /* ISO 3166, "": not known */
    bool has_victim, has_machine, has_agent;
    uint8_t victim[SINK_ID_SIZE];  /* hash of family and bot id */
    uint8_t machine[SINK_ID_SIZE]; /* hash of machine and user */
    uint8_t agent[8];              /* hash of the User-Agent */
    uint64_t received;
    char family[SINK_WORD_SIZE], rule[SINK_WORD_SIZE], version[24];
    char order[64];
    char name[SINK_NAME_SIZE]; /* the listed name that brought it; "" */
    char ja4[JA4_SIZE];        /* "" */
};

/* Longest encoding. */
#define SINK_EVENT_OCTETS_MAX 1024

/* Encodes; returns its octets. Any thread. */
size_t sink_event_encode(const struct sink_event *event,
                         uint8_t ret_octets[static SINK_EVENT_OCTETS_MAX]);

/* Decodes one from the front; returns the octets it took, or -EBADMSG. */
_must_check_ int sink_event_decode(const uint8_t *octets, size_t size,
                                   struct sink_event *ret_event);
