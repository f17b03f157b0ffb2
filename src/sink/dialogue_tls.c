#include "sink/dialogue_tls.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "sink/certificate_make.h"
#include "sink/ja4.h"

#define RECORD_HEADER_SIZE 5
#define RECORD_SIZE_MAX    ((1 << 14) + 2048) /* RFC 5246, 6.2.3: with what encryption adds */

/* Whoever comes: programs of the infected speak what their systems spoke years ago, TLS 1.0 with
 * CBC and SHA-1 included. Nothing secret is said here, so that their weakness harms nobody. Groups
 * are elliptic curves alone: finite fields cost up to 10 ms a handshake. 3DES and RC4 with a key
 * exchange by RSA are what Windows XP has, which needs an RSA certificate in a file. */
static const char priority_text[] =
    "NONE:+VERS-TLS1.3:+VERS-TLS1.2:+VERS-TLS1.1:+VERS-TLS1.0:"
    "+ECDHE-ECDSA:+ECDHE-RSA:+RSA:"
    "+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-CBC:+AES-256-CBC:+3DES-CBC:+ARCFOUR-128:"
    "+AEAD:+SHA1:+SHA256:+SHA384:+COMP-NULL:"
    "+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:+GROUP-SECP521R1:"
    "+SIGN-ALL:+SIGN-ECDSA-SHA1:+SIGN-RSA-SHA1:+CTYPE-X509:%SERVER_PRECEDENCE:%COMPAT";

int dialogue_tls_setting_init(struct dialogue_tls_setting *setting, const struct tls_files *files,
                              struct error *ret_error)
{
    int rc = tls_identity_load(files, &setting->identity, ret_error);
    if (rc == 0 && files->certificate == NULL)
        rc = certificate_make(setting->identity.credentials, ret_error);
    if (rc < 0)
        return rc;
    if (gnutls_priority_init(&setting->priority, priority_text, NULL) < 0)
        return error_set(ret_error, -EIO,
                         "GnuTLS has none of the protocols: see what its own configuration takes "
                         "away (/etc/gnutls/config)");
    return 0;
}

void dialogue_tls_setting_clear(struct dialogue_tls_setting *setting)
{
    tls_identity_clear(&setting->identity);
    if (setting->priority != NULL)
        gnutls_priority_deinit(setting->priority);
    setting->priority = NULL;
}

/* ---- What GnuTLS takes for a network ---- */

static ssize_t pull(gnutls_transport_ptr_t transport, void *ret_octets, size_t size)
{
    struct dialogue_tls *tls = transport;
    if (tls->feed_size == 0) {
        gnutls_transport_set_errno(tls->gnutls, EAGAIN);
        return -1;
    }
    if (size > tls->feed_size)
        size = tls->feed_size;
    memcpy(ret_octets, tls->feed, size);
    tls->feed += size;
    tls->feed_size -= size;
    return (ssize_t)size;
}

static int pull_timeout(gnutls_transport_ptr_t transport, unsigned timeout_ms)
{
    const struct dialogue_tls *tls = transport;
    (void)timeout_ms;
    return tls->feed_size > 0;
}

static ssize_t push(gnutls_transport_ptr_t transport, const void *octets, size_t size)
{
    struct dialogue_tls *tls = transport;
    if (octet_buffer_add(tls->output, octets, size) < 0) {
        gnutls_transport_set_errno(tls->gnutls, ENOMEM);
        return -1;
    }
    return (ssize_t)size;
}

/* ---- One session ---- */

int dialogue_tls_init(struct dialogue_tls *tls, const struct dialogue_tls_setting *setting,
                      struct octet_buffer *output)
{
    /* HTTP/2 isn't spoken here; browsers then take this one. */
    static const gnutls_datum_t http = {(unsigned char *)"http/1.1", 8};

    if (gnutls_init(&tls->gnutls,
                    GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL | GNUTLS_NO_TICKETS) < 0)
        return -ENOMEM;
    int code = gnutls_priority_set(tls->gnutls, setting->priority);
    if (code == 0)
        code = gnutls_credentials_set(tls->gnutls, GNUTLS_CRD_CERTIFICATE,
                                      setting->identity.credentials);
    if (code == 0)
        code = gnutls_alpn_set_protocols(tls->gnutls, &http, 1, 0);
    if (code < 0)
        return -ENOMEM;
    tls->output = output;
    gnutls_handshake_set_max_packet_length(tls->gnutls, HELLO_SIZE_MAX);
    gnutls_transport_set_ptr(tls->gnutls, tls);
    gnutls_transport_set_pull_function(tls->gnutls, pull);
    gnutls_transport_set_pull_timeout_function(tls->gnutls, pull_timeout);
    gnutls_transport_set_push_function(tls->gnutls, push);
    return 0;
}

void dialogue_tls_clear(struct dialogue_tls *tls)
{
    if (tls->gnutls != NULL)
        gnutls_deinit(tls->gnutls);
    octet_buffer_clear(&tls->records);
    *tls = (struct dialogue_tls){0};
}

/* Octets of the whole records in front; -EPROTO for what is none. */
static ssize_t whole_records(const struct octet_buffer *buffer)
{
    size_t whole = 0;
    while (buffer->size - whole >= RECORD_HEADER_SIZE) {
        size_t size = hello_code(buffer->octets + whole + 3);
        if (size > RECORD_SIZE_MAX)
            return -EPROTO;
        if (buffer->size - whole - RECORD_HEADER_SIZE < size)
            break;
        whole += RECORD_HEADER_SIZE + size;
    }
    return (ssize_t)whole;
}

int dialogue_tls_take(struct dialogue_tls *tls, const uint8_t *octets, size_t size)
{
    assert(tls->feed == NULL); /* who takes reads until -EAGAIN */
    int rc = octet_buffer_add(&tls->records, octets, size);
    if (rc < 0)
        return rc;
    ssize_t whole = whole_records(&tls->records);
    if (whole < 0)
        return (int)whole;
    tls->feed = tls->records.octets;
    tls->feed_size = (size_t)whole;
    if (!tls->is_established)
        tls->held += (size_t)whole;
    return 0;
}

/* Nothing of what was read stays here. */
static ssize_t wants_more(struct dialogue_tls *tls)
{
    size_t done = tls->feed != NULL ? (size_t)(tls->feed - tls->records.octets) : 0;
    tls->feed = NULL;
    tls->feed_size = 0;
    octet_buffer_drop(&tls->records, done);
    return -EAGAIN;
}

static ssize_t step(struct dialogue_tls *tls, uint8_t *ret_octets, size_t size)
{
    if (tls->is_established)
        return gnutls_record_recv(tls->gnutls, ret_octets, size);
    int code = gnutls_handshake(tls->gnutls);
    if (code < 0)
        return code;
    tls->is_established = true;
    tls->held = 0;
    return GNUTLS_E_AGAIN;
}

ssize_t dialogue_tls_read(struct dialogue_tls *tls, uint8_t *ret_octets, size_t size)
{
    for (;;) {
        size_t before = tls->feed_size;
        bool was_established = tls->is_established;
        ssize_t count = step(tls, ret_octets, size);
        if (count > 0)
            return count;
        /* Another handshake (RFC 5246, 7.4.1.1) is not made. */
        if (count == 0 || count == GNUTLS_E_REHANDSHAKE)
            return -EPROTO;
        if (gnutls_error_is_fatal((int)count)) {
            (void)gnutls_alert_send_appropriate(tls->gnutls, (int)count);
            return -EPROTO;
        }
        /* A record that isn't data, or a warning: what follows may be. */
        if (tls->feed_size == before && was_established == tls->is_established)
            return wants_more(tls);
    }
}

int dialogue_tls_end(struct dialogue_tls *tls, const uint8_t *octets, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t count = gnutls_record_send(tls->gnutls, octets + sent, size - sent);
        if (count < 0)
            return -ENOMEM; /* the only thing that can fail here */
        sent += (size_t)count;
    }
    return gnutls_bye(tls->gnutls, GNUTLS_SHUT_WR) < 0 ? -ENOMEM : 0;
}

size_t dialogue_tls_memory(const struct dialogue_tls *tls)
{
    size_t session = tls->is_established ? DIALOGUE_TLS_SESSION_SIZE : DIALOGUE_TLS_HANDSHAKE_SIZE;
    return session + tls->records.capacity + tls->held;
}
