/* TLS on a worker's connections (RFC 7858), as worker_tcp.c needs it: nothing here waits.
 *
 * A handshake's signature is the dearest thing that a client can ask for: 0.1 ms with an ECDSA key,
 * 1 ms and more with RSA. The loop looks at the clock after every event (TCP_TURN_NS in worker.c),
 * so a flood of handshakes delays UDP by that time and one handshake, whatever its size.
 *
 * A session costs some 11 KB, so it is made when the client's first octets are there, not for who
 * only connects. It is the one part of the path of a query that allocates.
 */
#include <errno.h>
#include <stdlib.h>

#include "server/tls_server.h"
#include "server/worker_internal.h"

/* Records read in a turn: a client may put every request into one of its own, or a single octet. */
#define RECORDS_MAX 16

/* Octets of a handshake message: certificates of a client with their chain, a ClientHello with the
 * largest key shares. GnuTLS would keep eight times as much for whoever sends it. */
#define HANDSHAKE_SIZE_MAX (16 * 1024)

struct tls_session {
    gnutls_session_t gnutls;
    struct tls_credentials *credentials;
    bool is_established;
    bool has_ended; /* the end was met behind octets that were handed out first */
};

static int session_prepare(struct tls_session *session, int fd)
{
    const struct tls_credentials *credentials = session->credentials;
    static const gnutls_datum_t dot = {(unsigned char *)TLS_ALPN_DOT, sizeof(TLS_ALPN_DOT) - 1};

    int code = gnutls_priority_set(session->gnutls, credentials->priority);
    if (code == 0)
        code = gnutls_credentials_set(session->gnutls, GNUTLS_CRD_CERTIFICATE,
                                      credentials->identity.credentials);
    if (code == 0)
        code = gnutls_session_ticket_enable_server(session->gnutls, &credentials->ticket_key);
    /* Clients need not say which protocol they want; who wants another must not get this one (RFC
     * 7301, 3.2). */
    if (code == 0)
        code = gnutls_alpn_set_protocols(session->gnutls, &dot, 1, GNUTLS_ALPN_MANDATORY);
    if (code < 0)
        return -ENOMEM;

    if (credentials->asks_certificate) {
        gnutls_certificate_server_set_request(session->gnutls, GNUTLS_CERT_REQUIRE);
        gnutls_session_set_verify_cert(session->gnutls, NULL, 0);
    }
    gnutls_handshake_set_max_packet_length(session->gnutls, HANDSHAKE_SIZE_MAX);
    gnutls_transport_set_int(session->gnutls, fd);
    return 0;
}

struct tls_session *tls_session_create(struct tls_server *server, int fd)
{
    struct tls_session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        return NULL;
    if (gnutls_init(&session->gnutls, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0) {
        free(session);
        return NULL;
    }
    session->credentials = tls_server_hold(server);
    if (session_prepare(session, fd) < 0) {
        tls_session_free(session);
        return NULL;
    }
    return session;
}

void tls_session_free(struct tls_session *session)
{
    if (session == NULL)
        return;
    /* So that the client can tell an end from a cut (RFC 8446, 6.1); one try, as all here. */
    if (session->is_established)
        (void)gnutls_bye(session->gnutls, GNUTLS_SHUT_WR);
    gnutls_deinit(session->gnutls);
    tls_credentials_release(session->credentials);
    free(session);
}

int tls_session_handshake(struct tls_session *session)
{
    int code = gnutls_handshake(session->gnutls);
    if (code == GNUTLS_E_SUCCESS) {
        session->is_established = true;
        return 0;
    }
    if (!gnutls_error_is_fatal(code))
        return -EAGAIN;
    /* Tells the client what was wrong, as far as its socket takes it. */
    (void)gnutls_alert_send_appropriate(session->gnutls, code);
    return -EPROTO;
}

bool tls_session_wants_to_send(const struct tls_session *session)
{
    return gnutls_record_get_direction(session->gnutls) == 1;
}

bool tls_session_is_resumed(const struct tls_session *session)
{
    return gnutls_session_is_resumed(session->gnutls) != 0;
}

enum transport tls_session_transport(const struct tls_session *session)
{
    return gnutls_protocol_get_version(session->gnutls) == GNUTLS_TLS1_2 ? TRANSPORT_TLS_1_2
                                                                         : TRANSPORT_TLS_1_3;
}

bool tls_session_holds(const struct tls_session *session)
{
    return session->has_ended || gnutls_record_check_pending(session->gnutls) > 0;
}

ssize_t tls_session_receive(struct tls_session *session, uint8_t *ret_octets, size_t size)
{
    size_t received = 0;

    if (session->has_ended)
        return -ECONNRESET;
    for (unsigned i = 0; i < RECORDS_MAX && received < size; i++) {
        ssize_t count = gnutls_record_recv(session->gnutls, ret_octets + received, size - received);
        if (count > 0) {
            received += (size_t)count;
            continue;
        }
        /* What came before the end is answered first; the next call tells of the end, though the
         * socket may have nothing to tell any more. A TLS 1.2 client that wants to negotiate anew
         * gets no second handshake. */
        session->has_ended =
            count == 0 || count == GNUTLS_E_REHANDSHAKE || gnutls_error_is_fatal((int)count);
        if (session->has_ended && received == 0)
            return -ECONNRESET;
        break;
    }
    return (ssize_t)received;
}

ssize_t tls_session_send(struct tls_session *session, const uint8_t *octets, size_t size)
{
    size_t sent = 0;

    while (sent < size) {
        /* After a record that the system did not take whole, GnuTLS goes on with that one: the
         * caller has kept its octets and offers them again first. */
        ssize_t count = gnutls_record_send(session->gnutls, octets + sent, size - sent);
        if (count == GNUTLS_E_AGAIN || count == GNUTLS_E_INTERRUPTED)
            break;
        if (count < 0)
            return -ECONNRESET;
        sent += (size_t)count;
    }
    return (ssize_t)sent;
}
