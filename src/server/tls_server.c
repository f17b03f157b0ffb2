#include "server/tls_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/rcu.h"

/* RFC 9325, 3.1.1: nothing below TLS 1.2. */
static const char priority_text[] = TLS_PRIORITY_BASE ":+VERS-TLS1.3:+VERS-TLS1.2:"
                                                      "%SERVER_PRECEDENCE";

struct tls_server {
    struct tls_credentials *credentials; /* RCU */
    int64_t expires_at;                  /* theirs, for threads that are no readers */
};

static void credentials_free(struct tls_credentials *credentials)
{
    tls_identity_clear(&credentials->identity);
    if (credentials->priority != NULL)
        gnutls_priority_deinit(credentials->priority);
    if (credentials->ticket_key.data != NULL)
        gnutls_memset(credentials->ticket_key.data, 0, credentials->ticket_key.size);
    gnutls_free(credentials->ticket_key.data);
    free(credentials);
}

static int credentials_load(const struct tls_files *files, struct tls_credentials **ret_credentials,
                            struct error *ret_error)
{
    struct tls_credentials *credentials = calloc(1, sizeof(*credentials));
    if (credentials == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    credentials->holders = 1;
    credentials->asks_certificate = files->ca != NULL;

    int rc = tls_identity_load(files, &credentials->identity, ret_error);
    if (rc == 0 && (gnutls_priority_init(&credentials->priority, priority_text, NULL) < 0 ||
                    gnutls_session_ticket_key_generate(&credentials->ticket_key) < 0))
        rc = error_set(ret_error, -ENOMEM, "GnuTLS cannot start: no memory or no random numbers");
    if (rc < 0) {
        credentials_free(credentials);
        return rc;
    }
    *ret_credentials = credentials;
    return 0;
}

static void publish(struct tls_server *server, struct tls_credentials *credentials)
{
    __atomic_store_n(&server->expires_at, credentials->identity.expires_at, __ATOMIC_RELAXED);
    rcu_assign_pointer(server->credentials, credentials);
}

int tls_server_create(const struct tls_files *files, struct tls_server **ret_server,
                      struct error *ret_error)
{
    struct tls_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");

    struct tls_credentials *credentials;
    int rc = credentials_load(files, &credentials, ret_error);
    if (rc < 0) {
        free(server);
        return rc;
    }
    publish(server, credentials);
    *ret_server = server;
    return 0;
}

void tls_server_free(struct tls_server *server)
{
    if (server == NULL)
        return;
    tls_credentials_release(server->credentials);
    free(server);
}

int tls_server_reload(struct tls_server *server, const struct tls_files *files,
                      struct error *ret_error)
{
    struct tls_credentials *old = server->credentials, *credentials;
    int rc = credentials_load(files, &credentials, ret_error);
    if (rc < 0)
        return rc;

    /* Tickets that clients hold stay good as long as the files say the same. */
    if (credentials->asks_certificate == old->asks_certificate &&
        memcmp(credentials->identity.digest, old->identity.digest, sizeof(old->identity.digest)) ==
            0) {
        credentials_free(credentials);
        return 0;
    }
    publish(server, credentials);
    synchronize_rcu(); /* from here on nobody begins to hold the old ones */
    tls_credentials_release(old);
    return 1;
}

int64_t tls_server_expires_at(const struct tls_server *server)
{
    return __atomic_load_n(&server->expires_at, __ATOMIC_RELAXED);
}

struct tls_credentials *tls_server_hold(struct tls_server *server)
{
    struct tls_credentials *credentials = rcu_dereference(server->credentials);
    __atomic_add_fetch(&credentials->holders, 1, __ATOMIC_RELAXED);
    return credentials;
}

void tls_credentials_release(struct tls_credentials *credentials)
{
    if (__atomic_sub_fetch(&credentials->holders, 1, __ATOMIC_ACQ_REL) == 0)
        credentials_free(credentials);
}
