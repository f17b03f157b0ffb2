/* What the server shows to clients of DNS over TLS (RFC 7858): certificate, key, and the key of its
 * session tickets, replaced as one while connections are open.
 *
 * Workers take the present credentials for each new connection without a lock and keep them until
 * that connection ends; whoever gives the last ones back frees them.
 */
#pragma once

#include <gnutls/gnutls.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/tls_files.h"

/* Immutable but for the count of its holders. */
struct tls_credentials {
    struct tls_identity identity;
    gnutls_priority_t priority;
    /* Lets clients resume (RFC 5077; RFC 8446, 4.6.1) at any worker. New with every pair of files:
     * who was let in by an earlier authority cannot come back on a ticket. */
    gnutls_datum_t ticket_key;
    bool asks_certificate; /* clients must show one that the authority signed */
    unsigned holders;
};

struct tls_server;

/* Loads the files, of which certificate and key must be named; a `ca` admits only clients whose
 * certificate it signed. An error names the file and the remedy. */
_must_check_ int tls_server_create(const struct tls_files *files, struct tls_server **ret_server,
                                   struct error *ret_error);

/* No worker uses it any more. NULL is fine. */
void tls_server_free(struct tls_server *server);

/* Reads the files again. Returns 1 when new connections get what is in them, 0 when nothing has
 * changed, or a negative errno with the file and the remedy: what was in use stays. One caller at a
 * time, which is no RCU reader, or offline. */
_must_check_ int tls_server_reload(struct tls_server *server, const struct tls_files *files,
                                   struct error *ret_error);

/* When the certificate ends, in Unix seconds. Any thread. */
int64_t tls_server_expires_at(const struct tls_server *server);

/* The present credentials, to be released. The caller is an RCU reader and online. */
struct tls_credentials *tls_server_hold(struct tls_server *server);
void tls_credentials_release(struct tls_credentials *credentials);
