/* What a flight is: a family's check-in, a scanner's probe, ordinary traffic, or nothing known.
 *
 * The parsers of families and of generic traffic come first; YARA rules (recogniser.h) are asked
 * for what none of them knows, and add families. A recognition tells of one flight alone; whether a
 * victim is behind it is the census's to say (census.h).
 */
#pragma once

#include "sink/flight.h"

/* The numbers are those of the event format. */
enum sink_kind {
    SINK_NOTHING = 0, /* no octet came */
    SINK_UNKNOWN = 1,
    SINK_CHECKIN = 2,   /* a bot says who it is */
    SINK_BEACON = 3,    /* another message of a family: keep-alive, screen, keys */
    SINK_HTTP = 4,      /* a request of no family; of a browser or a tool */
    SINK_HTTP_SCAN = 5, /* of a scanner that says so, or looks for holes */
    SINK_CRAWLER = 6,   /* of a search engine */
    SINK_MONITOR = 7,   /* of a service that watches whether a site is up */
    SINK_TLS = 8,       /* a handshake with no known content */
    SINK_SSH = 9,
    SINK_SMB = 10,
    SINK_RDP = 11,
    SINK_DNS = 12,
    SINK_PROBE = 13, /* another protocol's opening: SIP, Redis, MySQL, VNC, ... */
    SINK_KIND_COUNT
};

extern const char *const sink_kind_names[SINK_KIND_COUNT]; /* "check-in", "http-scan", ... */

/* A part of the flight's octets, or of the recognition's scratch. */
struct sink_text {
    const uint8_t *octets;
    size_t size;
};

#define SINK_SCRATCH_SIZE 1024

struct sink_recognition {
    enum sink_kind kind;
    const char
        *family; /* "njrat", "hworm", "njw0rm", ...; "" for none. Lives as long as the recogniser */
    const char *rule; /* the parser or rule that said so: "njrat", "yara:gh0st" */
    char version[24]; /* of the bot, printable ASCII as it told; "" */
    bool wellformed;  /* lengths, separators and encodings hold to the letter */
    bool consistent;  /* its fields agree with each other and with what real machines say */
    const char *fake; /* the row of known-fakes that it matched, or NULL */

    /* Fields of a check-in, decoded. They tell of a person: nothing of them is written as it is. */
    struct sink_text
        bot; /* the id: of njRAT the campaign and volume serial, as in "HacKed_12345678" */
    struct sink_text machine; /* host name */
    struct sink_text user;
    struct sink_text installed, country, system, window;

    struct sink_text host;  /* HTTP Host without its port */
    struct sink_text agent; /* HTTP User-Agent */
    uint8_t scratch[SINK_SCRATCH_SIZE];
};

/* A parser of a family: whether the octets are its own; then `recognition`, which is zeroed with
 * texts
 * "" before, is filled. Never reads beyond `size`, allocates nothing. Any thread. */
typedef bool sink_parser_fn(const uint8_t *octets, size_t size,
                            struct sink_recognition *recognition);

sink_parser_fn njrat_recognise;   /* family_njrat.c: Bladabindi, 0.4 to 0.7d, Green, Lime, Golden */
sink_parser_fn njw0rm_recognise;  /* family_njw0rm.c */
sink_parser_fn hworm_recognise;   /* family_hworm.c: Jenxcus, Houdini, Dunihi, WSHRAT, over HTTP */
sink_parser_fn generic_recognise; /* generic.c: HTTP, SSH, SMB, RDP, DNS and other protocols */
