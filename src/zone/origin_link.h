/* The way to one origin: a TCP stream of DNS messages, with TLS or without, or a UDP exchange, with
 * every wait bounded.
 *
 * Sockets are non-blocking; each wait ends with the first of: octets, the idle time, the total
 * time, or a readable cancel descriptor. One thread per link.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "zone/transfer_in.h"

/* "2001:db8::1@53" with room for a scope. */
#define ORIGIN_TEXT_MAX 80

struct origin_session;

struct origin_link {
    int fd;
    struct origin_session *tls; /* NULL: in the clear */
    int cancel_fd;              /* -1: none */
    unsigned connect_timeout_ms, idle_timeout_ms;
    int64_t deadline_ms; /* CLOCK_MONOTONIC: end of the total time */
    uint64_t size_max;
    uint64_t received; /* octets */
    uint8_t *buffer;   /* of a stream: [begin, end) is received and not yet handed out */
    size_t begin, end;
    char text[ORIGIN_TEXT_MAX]; /* the origin, for messages */
};

/* The time that deadlines are made of. */
int64_t monotonic_ms(void);

/* Connects a stream, and with TLS sees that it is the origin before anything is sent. Errors:
 * -ECANCELED, -ETIMEDOUT, -ENOMEM, what origin_session_handshake() says, or the socket's own, with
 * a text. */
_must_check_ int origin_link_open_stream(struct origin_link *ret_link,
                                         const struct transfer_source *source,
                                         struct error *ret_error);

/* Opens, towards a source without TLS, a connected UDP socket on a port that the kernel picks at
 * random. */
_must_check_ int origin_link_open_datagram(struct origin_link *ret_link,
                                           const struct transfer_source *source,
                                           struct error *ret_error);

/* Closes what was opened; fine on a cleared link whose fd is -1. */
void origin_link_close(struct origin_link *link);

/* Sends one message with its length in front (RFC 1035, 4.2.2). */
_must_check_ int origin_link_send_stream(struct origin_link *link, const uint8_t *message,
                                         size_t size, struct error *ret_error);

/* Hands out the next message of the stream: a view that the next call overwrites. */
_must_check_ int origin_link_receive_stream(struct origin_link *link, const uint8_t **ret_message,
                                            size_t *ret_size, struct error *ret_error);

_must_check_ int origin_link_send_datagram(struct origin_link *link, const uint8_t *message,
                                           size_t size, struct error *ret_error);

/* Waits for one datagram until `until_ms`; `ret_message` has room for `max` octets. */
_must_check_ int origin_link_receive_datagram(struct origin_link *link, int64_t until_ms,
                                              uint8_t *ret_message, size_t max, size_t *ret_size,
                                              struct error *ret_error);

/* Writes "192.0.2.1@53" of a socket address. */
void origin_text(const struct sockaddr *address, socklen_t size, char ret_text[ORIGIN_TEXT_MAX]);
