/* What the schema can't say about TLS: where it is served and with what. */
#include "server/config_internal.h"

#include <string.h>

#define DNS_TLS_PORT 853 /* RFC 7858, 3.1 */

/* In the clear and encrypted cannot share a port: the client begins, and the server would have to
 * guess (RFC 7858, 3.1). */
static int listen_check(const struct config_source *source, const struct config *config,
                        struct error *ret_error)
{
    const struct config_address *listen = config->tls.listen;

    for (size_t i = 0; i < config->tls.listen_count; i++) {
        struct config_place place = config_place("server.tls.listen.%zu", i);
        for (size_t j = 0; j < i; j++)
            if (memcmp(&listen[i].address, &listen[j].address, sizeof(listen[i].address)) == 0)
                return config_fail(source, place, ret_error,
                                   "listen address %s is there twice: remove one", listen[i].text);
        for (size_t j = 0; j < config->listen_count; j++)
            if (memcmp(&listen[i].address, &config->listen[j].address, sizeof(listen[i].address)) ==
                0)
                return config_fail(source, place, ret_error,
                                   "%s serves DNS in the clear already: give TLS a port of its "
                                   "own, as in 127.0.0.1@853",
                                   listen[i].text);
    }
    return 0;
}

int config_check_tls(const struct config_source *source, struct config *config,
                     struct error *ret_error)
{
    const struct raw_server_tls *raw =
        source->raw->server != NULL ? source->raw->server->tls : NULL;
    struct config_tls *tls = &config->tls;

    if (raw == NULL)
        return 0;
    if (raw->listen_count == 0)
        return config_fail(source, config_place("server.tls"), ret_error,
                           "TLS listens nowhere: add listen: [\"127.0.0.1@853\"]");
    int rc = config_addresses_check(source, config_place("server.tls.listen"), raw->listen,
                                    raw->listen_count, DNS_TLS_PORT, &tls->listen,
                                    &tls->listen_count, ret_error);
    if (rc == 0)
        rc = listen_check(source, config, ret_error);
    if (rc == 0)
        rc = config_file_resolve(source, config, config_place("server.tls.certificate"),
                                 "the certificate", raw->certificate, &tls->certificate, ret_error);
    if (rc == 0)
        rc = config_private_key_resolve(source, config, config_place("server.tls.key"), raw->key,
                                        &tls->key, ret_error);
    if (rc == 0 && raw->client_ca != NULL)
        rc = config_file_resolve(source, config, config_place("server.tls.client-ca"),
                                 "the authority's certificate", raw->client_ca, &tls->client_ca,
                                 ret_error);
    return rc;
}
