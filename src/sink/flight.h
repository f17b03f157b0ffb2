/* What a client sent first, and how it came: what the sensor hands on when it is done with one. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sink_transport { SINK_TCP = 0, SINK_UDP = 1 };

/* Why nothing more was read. The numbers are those of the event format. */
enum sink_ending {
    SINK_CLOSED = 0,    /* by the client */
    SINK_RESET = 1,     /* by the client or the network */
    SINK_FULL = 2,      /* as many octets as are read came */
    SINK_TIMED_OUT = 3, /* as many seconds as are waited passed */
    SINK_SHED = 4,      /* made room for others */
    SINK_ANSWERED = 5,  /* an HTTP request was whole and has its page */
    SINK_DATAGRAM = 6,  /* there is nothing to end */
    SINK_ENDING = 7,    /* the sensor itself ended */
};

struct sink_endpoint {
    struct in6_addr address; /* IPv4 mapped, ::ffff:192.0.2.1 */
    uint16_t port;           /* host order */
};

struct client_hello; /* sink/client_hello.h */

struct sink_flight {
    int64_t at_us; /* CLOCK_REALTIME, microseconds, of the connection or the datagram */
    uint32_t lasted_ms;
    enum sink_transport transport;
    enum sink_ending ending;
    struct sink_endpoint client;
    struct sink_endpoint local; /* where the client wanted to go, also behind TPROXY */
    uint64_t received;          /* octets, as they came on the wire */
    const uint8_t *octets;      /* the first of them; within TLS, of the plain text */
    size_t size;
    const struct client_hello *hello; /* NULL: no TLS, or no whole ClientHello */
    bool in_tls;                      /* a handshake was finished: `octets` came within it */
};

/* Takes a flight; its memory is valid during the call. Called by a thread of the sensor, `thread`
 * is its number from 0: must not wait. */
typedef void sink_flight_fn(void *context, unsigned thread, const struct sink_flight *flight);
