/* What one side of TLS shows and trusts: a certificate with its key, and the authorities that it
 * believes, read from PEM files.
 *
 * Once loaded, an identity is only read: any number of sessions of any threads may use it.
 */
#pragma once

#include <gnutls/gnutls.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

/* The application protocol of DNS over TLS (RFC 7858 and RFC 9103, 7.1; IANA's ALPN registry). */
#define TLS_ALPN_DOT "dot"

/* What both sides take: forward secrecy and authenticated encryption alone (RFC 9325, 4), and
 * groups that cost a fraction of a millisecond, since the finite fields cost up to 10 of them. */
#define TLS_PRIORITY_BASE                                                            \
    "SECURE128:-VERS-ALL:-RSA:-DHE-RSA:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:"       \
    "+CHACHA20-POLY1305:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:" \
    "+GROUP-SECP521R1"

/* Octets of a digest of files or of a public key (SHA-256). */
#define TLS_DIGEST_SIZE 32

/* Paths; NULL: none. A certificate and its key go together. */
struct tls_files {
    const char *certificate; /* its own first, then those between it and the authority */
    const char *key;         /* not encrypted */
    const char *ca;
};

struct tls_identity {
    gnutls_certificate_credentials_t credentials;
    int64_t expires_at;              /* end of the certificate, Unix seconds; 0: there is none */
    uint8_t digest[TLS_DIGEST_SIZE]; /* of the files' octets: equal for equal files */
};

/* Reads the files. An error names the file and what to do about it: -EINVAL for what is in it. */
_must_check_ int tls_identity_load(const struct tls_files *files, struct tls_identity *ret_identity,
                                   struct error *ret_error);

/* Frees what was loaded; fine on a zeroed one. */
void tls_identity_clear(struct tls_identity *identity);
