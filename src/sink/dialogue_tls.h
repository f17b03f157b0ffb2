/* TLS of one dialogue, over memory: no socket, nothing waits. Private to the dialogue.
 *
 * GnuTLS only ever gets whole records: for each piece of one it would set aside room for a whole
 * one, so that a client that sends a record octet by octet would cost 270 MB.
 */
#pragma once

#include <stdbool.h>

#include "base/tls_files.h"
#include "sink/octet_buffer.h"

/* Octets that a session holds at most, in the midst of its handshake and after it, measured with
 * GnuTLS 3.7.9; tests/unit/sink/test_dialogue.c compares them with what malloc() says. */
#define DIALOGUE_TLS_HANDSHAKE_SIZE 20480
#define DIALOGUE_TLS_SESSION_SIZE   12288

/* What sessions share; read only once it is made. */
struct dialogue_tls_setting {
    struct tls_identity identity;
    gnutls_priority_t priority;
};

/* `files` without certificate: one is made. */
_must_check_ int dialogue_tls_setting_init(struct dialogue_tls_setting *setting,
                                           const struct tls_files *files, struct error *ret_error);
void dialogue_tls_setting_clear(struct dialogue_tls_setting *setting);

struct dialogue_tls {
    gnutls_session_t gnutls;
    struct octet_buffer records; /* that aren't whole yet */
    const uint8_t *feed;         /* whole records, while they are worked on */
    size_t feed_size;
    size_t held; /* octets of the handshake that GnuTLS may keep */
    struct octet_buffer *output;
    bool is_established;
};

/* Zeroed before. What is to be sent is appended to `output`. Returns 0 or -ENOMEM. */
_must_check_ int dialogue_tls_init(struct dialogue_tls *tls,
                                   const struct dialogue_tls_setting *setting,
                                   struct octet_buffer *output);
void dialogue_tls_clear(struct dialogue_tls *tls);

/* Takes octets as they came on the wire; what they hold is to be read until -EAGAIN before the next
 * ones. Returns 0, -EPROTO where they are no records, or -ENOMEM. */
_must_check_ int dialogue_tls_take(struct dialogue_tls *tls, const uint8_t *octets, size_t size);

/* Goes on with the handshake or reads plain text: octets, -EAGAIN when more must come first,
 * -EPROTO at the end and when it fails, with an alert in the output. */
ssize_t dialogue_tls_read(struct dialogue_tls *tls, uint8_t *ret_octets, size_t size);

/* Sends plain text and the end of it. */
_must_check_ int dialogue_tls_end(struct dialogue_tls *tls, const uint8_t *octets, size_t size);

size_t dialogue_tls_memory(const struct dialogue_tls *tls);
