/* TLS towards an origin (RFC 9103): how it is recognised, and one session with it.
 *
 * TLS 1.3 alone (RFC 9103, 7.2), and no way without a proof of who is there: a chain to an
 * authority with the right name, a pinned key (RFC 7858, 4.2), or all of it. ALPN "dot" is offered;
 * an origin that passes over the offer is asked all the same, since NSD 4.6 is one
 * (doc/rfc-choices.md).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/tls_files.h"

struct origin_tls;

struct origin_tls_options {
    const char *name;       /* in the origin's certificate; NULL: not looked at, with pins only */
    struct tls_files files; /* the pair that we show; `ca` NULL: with pins only */
    const uint8_t (*pins)[TLS_DIGEST_SIZE]; /* SHA-256 of SubjectPublicKeyInfo; one must match */
    size_t pin_count;
};

/* Reads the files; nothing of the options is kept by pointer. Afterwards any number of sessions of
 * any threads may use it. Errors name the file and the remedy. */
_must_check_ int origin_tls_create(const struct origin_tls_options *options,
                                   struct origin_tls **ret_tls, struct error *ret_error);
void origin_tls_free(struct origin_tls *tls); /* NULL is fine */

/* One connection. One thread. Texts of errors go on behind the origin's name, as in "192.0.2.1@853
 * closed ...". */
struct origin_session;

/* A session on the connected, non-blocking `fd`, which stays the caller's. `tls` outlives it. */
_must_check_ int origin_session_create(const struct origin_tls *tls, int fd,
                                       struct origin_session **ret_session,
                                       struct error *ret_error);

/* Says good-bye where it can; before the socket is closed. NULL is fine. */
void origin_session_free(struct origin_session *session);

/* Goes on with the handshake: 0 when it is done and the origin is who it should be; -EAGAIN when
 * the socket must become ready first; -EKEYREJECTED when it is not recognised; -EPROTO when it
 * speaks something else or refuses; -ECONNRESET. */
_must_check_ int origin_session_handshake(struct origin_session *session, struct error *ret_error);

/* After -EAGAIN: the event of poll(2) to wait for. */
short origin_session_event(const struct origin_session *session);

/* Sends what the socket takes, at least one octet. After -EAGAIN the same octets come again. */
_must_check_ ssize_t origin_session_send(struct origin_session *session, const uint8_t *octets,
                                         size_t size, struct error *ret_error);

/* Receives what is there, at least one octet. 0: the origin has ended the connection. */
_must_check_ ssize_t origin_session_receive(struct origin_session *session, uint8_t *ret_octets,
                                            size_t size, struct error *ret_error);

/* Whether octets are there that the socket no longer has. */
bool origin_session_holds(const struct origin_session *session);
