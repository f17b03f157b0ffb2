#include "zone/origin_tls.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

static const char priority_text[] = TLS_PRIORITY_BASE ":+VERS-TLS1.3";

struct origin_tls {
    struct tls_identity identity;
    gnutls_priority_t priority;
    char *name, *ca; /* NULL: not looked at; `ca` for messages */
    bool sends_name; /* a host name and no address (RFC 6066, 3) */
    uint8_t (*pins)[TLS_DIGEST_SIZE];
    size_t pin_count;
};

struct origin_session {
    gnutls_session_t gnutls;
    const struct origin_tls *tls;
    bool is_established, has_received;
    struct error cause; /* why the origin was not recognised; code 0: it was, or was not asked */
};

/* ---- How an origin is recognised ---- */

static int copy_text(const char *text, char **ret_copy)
{
    *ret_copy = text != NULL ? strdup(text) : NULL;
    return text != NULL && *ret_copy == NULL ? -ENOMEM : 0;
}

static int tls_fill(struct origin_tls *tls, const struct origin_tls_options *options)
{
    uint8_t address[16];

    if (copy_text(options->name, &tls->name) < 0 || copy_text(options->files.ca, &tls->ca) < 0 ||
        gnutls_priority_init(&tls->priority, priority_text, NULL) < 0)
        return -ENOMEM;
    tls->sends_name = tls->name != NULL && inet_pton(AF_INET, tls->name, address) != 1 &&
                      inet_pton(AF_INET6, tls->name, address) != 1;
    if (options->pin_count == 0)
        return 0;
    tls->pins = calloc(options->pin_count, sizeof(*tls->pins));
    if (tls->pins == NULL)
        return -ENOMEM;
    memcpy(tls->pins, options->pins, options->pin_count * sizeof(*tls->pins));
    tls->pin_count = options->pin_count;
    return 0;
}

int origin_tls_create(const struct origin_tls_options *options, struct origin_tls **ret_tls,
                      struct error *ret_error)
{
    assert(options->pin_count > 0 || (options->files.ca != NULL && options->name != NULL));

    struct origin_tls *tls = calloc(1, sizeof(*tls));
    if (tls == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = tls_identity_load(&options->files, &tls->identity, ret_error);
    if (rc == 0 && tls_fill(tls, options) < 0)
        rc = error_set(ret_error, -ENOMEM, "out of memory");
    if (rc < 0) {
        origin_tls_free(tls);
        return rc;
    }
    *ret_tls = tls;
    return 0;
}

void origin_tls_free(struct origin_tls *tls)
{
    if (tls == NULL)
        return;
    tls_identity_clear(&tls->identity);
    if (tls->priority != NULL)
        gnutls_priority_deinit(tls->priority);
    free(tls->name);
    free(tls->ca);
    free(tls->pins);
    free(tls);
}

/* SHA-256 of the certificate's SubjectPublicKeyInfo (RFC 7858, 4.2). */
static int key_digest(gnutls_x509_crt_t certificate, uint8_t ret_digest[TLS_DIGEST_SIZE])
{
    gnutls_pubkey_t key;
    gnutls_datum_t octets = {0};
    if (gnutls_pubkey_init(&key) < 0)
        return -ENOMEM;

    int code = gnutls_pubkey_import_x509(key, certificate, 0);
    if (code == 0)
        code = gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &octets);
    if (code == 0)
        code = gnutls_hash_fast(GNUTLS_DIG_SHA256, octets.data, octets.size, ret_digest);
    gnutls_free(octets.data);
    gnutls_pubkey_deinit(key);
    return code < 0 ? -EINVAL : 0;
}

static int check_pin(struct origin_session *session, gnutls_x509_crt_t certificate)
{
    const struct origin_tls *tls = session->tls;
    uint8_t digest[TLS_DIGEST_SIZE];
    if (key_digest(certificate, digest) < 0)
        return error_set(&session->cause, -EKEYREJECTED, "shows a key that cannot be read");

    for (size_t i = 0; i < tls->pin_count; i++)
        if (memcmp(digest, tls->pins[i], sizeof(digest)) == 0)
            return 0;

    gnutls_datum_t text = {0}, octets = {digest, sizeof(digest)};
    (void)gnutls_base64_encode2(&octets, &text);
    error_set(&session->cause, -EKEYREJECTED,
              "is not recognised: its key %s is none of \"pin\"; add it only if the origin's "
              "operator confirms it",
              text.data != NULL ? (const char *)text.data : "?");
    gnutls_free(text.data);
    return -EKEYREJECTED;
}

static int name_differs(struct origin_session *session)
{
    return error_set(&session->cause, -EKEYREJECTED,
                     "is not recognised: its certificate is not for %.120s; correct \"name\", or "
                     "have the origin's certificate name it",
                     session->tls->name);
}

/* The reason that a person can act on first; GnuTLS tells the rarer ones. */
static int chain_refused(struct origin_session *session, unsigned status)
{
    const char *remedy = NULL;
    if ((status & GNUTLS_CERT_EXPIRED) != 0)
        remedy = "its certificate has expired; the origin's operator must renew it";
    else if ((status & GNUTLS_CERT_NOT_ACTIVATED) != 0)
        remedy = "its certificate is not valid yet; compare the clocks";
    else if ((status & GNUTLS_CERT_SIGNER_NOT_FOUND) != 0)
        return error_set(&session->cause, -EKEYREJECTED,
                         "is not recognised: no authority in %.150s has signed its certificate; "
                         "put the right one there",
                         session->tls->ca);
    else if ((status & GNUTLS_CERT_UNEXPECTED_OWNER) != 0)
        return name_differs(session);
    if (remedy != NULL)
        return error_set(&session->cause, -EKEYREJECTED, "is not recognised: %s", remedy);

    gnutls_datum_t text = {0};
    (void)gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0);
    error_set(&session->cause, -EKEYREJECTED, "is not recognised: %.300s",
              text.data != NULL ? (const char *)text.data : "its certificate is not trusted");
    gnutls_free(text.data);
    return -EKEYREJECTED;
}

static int check_chain(struct origin_session *session)
{
    gnutls_typed_vdata_st wanted[] = {
        {.type = GNUTLS_DT_DNS_HOSTNAME, .data = (unsigned char *)session->tls->name},
        {.type = GNUTLS_DT_KEY_PURPOSE_OID, .data = (unsigned char *)GNUTLS_KP_TLS_WWW_SERVER},
    };
    unsigned status = 0;
    if (gnutls_certificate_verify_peers(session->gnutls, wanted, 2, &status) < 0)
        return error_set(&session->cause, -EKEYREJECTED,
                         "is not recognised: its certificate cannot be checked");
    return status == 0 ? 0 : chain_refused(session, status);
}

static int check_certificate(struct origin_session *session, gnutls_x509_crt_t certificate)
{
    const struct origin_tls *tls = session->tls;
    int rc = tls->pin_count > 0 ? check_pin(session, certificate) : 0;
    if (rc == 0 && tls->ca != NULL)
        return check_chain(session);
    if (rc == 0 && tls->name != NULL && !gnutls_x509_crt_check_hostname(certificate, tls->name))
        rc = name_differs(session);
    return rc;
}

/* GnuTLS asks in the midst of the handshake, before it proves our own identity to the origin. */
static int verify(gnutls_session_t gnutls)
{
    struct origin_session *session = gnutls_session_get_ptr(gnutls);
    unsigned count = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(gnutls, &count);
    gnutls_x509_crt_t certificate;

    if (count == 0 || gnutls_x509_crt_init(&certificate) < 0)
        return error_set(&session->cause, -EKEYREJECTED, "shows no certificate");
    int rc =
        gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) < 0
            ? error_set(&session->cause, -EKEYREJECTED, "shows a certificate that cannot be read")
            : check_certificate(session, certificate);
    gnutls_x509_crt_deinit(certificate);
    return rc < 0 ? GNUTLS_E_CERTIFICATE_ERROR : 0;
}

/* ---- One session ---- */

static int session_prepare(struct origin_session *session, int fd)
{
    static const gnutls_datum_t dot = {(unsigned char *)TLS_ALPN_DOT, sizeof(TLS_ALPN_DOT) - 1};
    const struct origin_tls *tls = session->tls;

    int code = gnutls_priority_set(session->gnutls, tls->priority);
    if (code == 0)
        code = gnutls_credentials_set(session->gnutls, GNUTLS_CRD_CERTIFICATE,
                                      tls->identity.credentials);
    if (code == 0)
        code = gnutls_alpn_set_protocols(session->gnutls, &dot, 1, 0);
    if (code == 0 && tls->sends_name)
        code =
            gnutls_server_name_set(session->gnutls, GNUTLS_NAME_DNS, tls->name, strlen(tls->name));
    if (code < 0)
        return -EINVAL;
    gnutls_session_set_ptr(session->gnutls, session);
    gnutls_session_set_verify_function(session->gnutls, verify);
    gnutls_transport_set_int(session->gnutls, fd);
    return 0;
}

int origin_session_create(const struct origin_tls *tls, int fd, struct origin_session **ret_session,
                          struct error *ret_error)
{
    struct origin_session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        return error_set(ret_error, -ENOMEM, "cannot be asked: out of memory");
    session->tls = tls;
    int rc = gnutls_init(&session->gnutls,
                         GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS) < 0
                 ? -ENOMEM
                 : session_prepare(session, fd);
    if (rc < 0) {
        origin_session_free(session);
        return error_set(ret_error, rc,
                         "cannot be asked over TLS: out of memory, or \"name\" is no host name");
    }
    *ret_session = session;
    return 0;
}

void origin_session_free(struct origin_session *session)
{
    if (session == NULL)
        return;
    if (session->is_established)
        (void)gnutls_bye(session->gnutls, GNUTLS_SHUT_WR);
    if (session->gnutls != NULL)
        gnutls_deinit(session->gnutls);
    free(session);
}

static int alert_received(const struct origin_session *session, struct error *ret_error)
{
    const gnutls_alert_description_t alert = gnutls_alert_get(session->gnutls);
    const char *name = gnutls_alert_get_name(alert);

    switch (alert) {
    case GNUTLS_A_PROTOCOL_VERSION:
        return error_set(
            ret_error, -EPROTO,
            "speaks no TLS 1.3, which zone transfers need (RFC 9103): enable it there");
    case GNUTLS_A_NO_APPLICATION_PROTOCOL:
        return error_set(ret_error, -EPROTO,
                         "speaks TLS but not DNS over it (ALPN \"dot\"): is the port right?");
    case GNUTLS_A_CERTIFICATE_REQUIRED:
        return error_set(ret_error, -EPROTO,
                         "wants a certificate of ours: add \"certificate\" and \"key\"");
    case GNUTLS_A_BAD_CERTIFICATE:
    case GNUTLS_A_UNKNOWN_CA:
    case GNUTLS_A_CERTIFICATE_EXPIRED:
    case GNUTLS_A_ACCESS_DENIED:
        return error_set(ret_error, -EPROTO,
                         "refuses our certificate (%s): has it expired, does the origin know its "
                         "authority?",
                         name);
    default:
        return error_set(ret_error, -EPROTO, "refuses TLS (%s): see the log there",
                         name != NULL ? name : "unknown alert");
    }
}

static int connection_cut(const struct origin_session *session, struct error *ret_error)
{
    const char *when = "without TLS's good-bye: was it cut?";
    if (!session->is_established)
        when = "during the TLS handshake: does it speak TLS at this port?";
    else if (!session->has_received && session->tls->identity.expires_at == 0)
        /* Servers judge us after our handshake is done, and some hang up without a word. */
        when = "before it answered: does it want a certificate of ours, is the key allowed there?";
    return error_set(ret_error, -ECONNRESET, "closed the connection %s", when);
}

/* What a failed call says; `code` is GnuTLS's and fatal. */
static _cold_ int session_error(const struct origin_session *session, int code,
                                struct error *ret_error)
{
    switch (code) {
    case GNUTLS_E_FATAL_ALERT_RECEIVED:
        return alert_received(session, ret_error);
    case GNUTLS_E_UNEXPECTED_PACKET_LENGTH:
    case GNUTLS_E_UNEXPECTED_PACKET:
    case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
    case GNUTLS_E_RECORD_OVERFLOW:
        return error_set(ret_error, -EPROTO,
                         "answers with something that is not TLS 1.3: is the port right?");
    case GNUTLS_E_PREMATURE_TERMINATION:
    case GNUTLS_E_PULL_ERROR:
    case GNUTLS_E_PUSH_ERROR:
        return connection_cut(session, ret_error);
    case GNUTLS_E_MEMORY_ERROR:
        return error_set(ret_error, -ENOMEM, "cannot be asked: out of memory");
    default:
        return error_set(ret_error, -EPROTO, "breaks TLS: %s", gnutls_strerror(code));
    }
}

int origin_session_handshake(struct origin_session *session, struct error *ret_error)
{
    const int code = gnutls_handshake(session->gnutls);
    if (code < 0 && !gnutls_error_is_fatal(code))
        return -EAGAIN;
    if (code < 0) {
        (void)gnutls_alert_send_appropriate(session->gnutls, code);
        if (session->cause.code == 0)
            return session_error(session, code, ret_error);
        return error_set(ret_error, session->cause.code, "%s", session->cause.text);
    }

    session->is_established = true;
    return 0;
}

short origin_session_event(const struct origin_session *session)
{
    return gnutls_record_get_direction(session->gnutls) == 1 ? POLLOUT : POLLIN;
}

ssize_t origin_session_send(struct origin_session *session, const uint8_t *octets, size_t size,
                            struct error *ret_error)
{
    const ssize_t count = gnutls_record_send(session->gnutls, octets, size);
    if (count >= 0)
        return count;
    return gnutls_error_is_fatal((int)count) ? session_error(session, (int)count, ret_error)
                                             : -EAGAIN;
}

ssize_t origin_session_receive(struct origin_session *session, uint8_t *ret_octets, size_t size,
                               struct error *ret_error)
{
    const ssize_t count = gnutls_record_recv(session->gnutls, ret_octets, size);
    session->has_received |= count > 0;
    if (count >= 0)
        return count;
    return gnutls_error_is_fatal((int)count) ? session_error(session, (int)count, ret_error)
                                             : -EAGAIN;
}

bool origin_session_holds(const struct origin_session *session)
{
    return gnutls_record_check_pending(session->gnutls) > 0;
}
