/* What the schema can't say about TLS: where it is served and with what, and how origins are
 * recognised. */
#include "server/config_internal.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "zone/origin_tls.h"

#define DNS_TLS_PORT 853 /* RFC 7858, 3.1 */

/* ---- The server's side ---- */

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

/* ---- Origins ---- */

static bool text_equal(const char *one, const char *other)
{
    return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

static bool origin_tls_equal(const struct raw_origin_tls *one, const struct raw_origin_tls *other)
{
    if (one->pin_count != other->pin_count)
        return false;
    for (unsigned i = 0; i < one->pin_count; i++)
        if (strcmp(one->pin[i], other->pin[i]) != 0)
            return false;
    return text_equal(one->name, other->name) && text_equal(one->ca, other->ca) &&
           text_equal(one->certificate, other->certificate) && text_equal(one->key, other->key);
}

static int pins_parse(const struct config_source *source, size_t zone,
                      const struct raw_origin_tls *raw, uint8_t (*ret_pins)[TLS_DIGEST_SIZE],
                      struct error *ret_error)
{
    for (unsigned i = 0; i < raw->pin_count; i++) {
        size_t size = 0;
        if (sodium_base642bin(ret_pins[i], TLS_DIGEST_SIZE, raw->pin[i], strlen(raw->pin[i]), NULL,
                              &size, NULL, sodium_base64_VARIANT_ORIGINAL) < 0 ||
            size != TLS_DIGEST_SIZE)
            return config_fail(source, config_place("zones.%zu.secondary.tls.pin.%u", zone, i),
                               ret_error,
                               "\"%.80s\" is not base64 of %d octets: write the SHA-256 of the "
                               "origin's public key, as tamisd.conf(5) shows",
                               raw->pin[i], TLS_DIGEST_SIZE);
    }
    return 0;
}

/* What must be there for an origin to be recognised at all. */
static int origin_tls_check(const struct config_source *source, struct config_place place,
                            const struct raw_origin_tls *raw, struct error *ret_error)
{
    if (raw->ca == NULL && raw->pin_count == 0)
        return config_fail(source, place, ret_error,
                           "nothing says how to recognise the origin: add \"ca\" and \"name\", or "
                           "\"pin\"");
    if (raw->ca != NULL && raw->name == NULL)
        return config_fail(source, place, ret_error,
                           "every holder of a certificate of \"ca\" would pass for the origin: add "
                           "\"name\", the origin's name in its certificate");
    if (raw->name != NULL && raw->name[0] == '\0')
        return config_fail(source, place, ret_error,
                           "the origin's name is empty: write the one in its certificate");
    if ((raw->certificate == NULL) != (raw->key == NULL))
        return config_fail(source, place, ret_error,
                           "\"certificate\" and \"key\" go together: add the other one, or leave "
                           "both out");
    return 0;
}

/* The paths and pins of one origin while its files are read. */
struct origin_paths {
    char *ca, *certificate, *key;
    uint8_t (*pins)[TLS_DIGEST_SIZE];
};

static void paths_clear(struct origin_paths *paths)
{
    free(paths->ca);
    free(paths->certificate);
    free(paths->key);
    free(paths->pins);
}

static int paths_resolve(const struct config_source *source, struct config *config, size_t index,
                         const struct raw_origin_tls *raw, struct origin_paths *paths,
                         struct error *ret_error)
{
    int rc = 0;
    if (raw->ca != NULL)
        rc = config_file_resolve(source, config, config_place("zones.%zu.secondary.tls.ca", index),
                                 "the authority's certificate", raw->ca, &paths->ca, ret_error);
    if (rc == 0 && raw->certificate != NULL)
        rc = config_file_resolve(
            source, config, config_place("zones.%zu.secondary.tls.certificate", index),
            "the certificate", raw->certificate, &paths->certificate, ret_error);
    if (rc == 0 && raw->key != NULL)
        rc = config_private_key_resolve(source, config,
                                        config_place("zones.%zu.secondary.tls.key", index),
                                        raw->key, &paths->key, ret_error);
    if (rc < 0)
        return rc;

    paths->pins = calloc(raw->pin_count + 1, sizeof(*paths->pins));
    if (paths->pins == NULL)
        return config_out_of_memory(ret_error);
    return pins_parse(source, index, raw, paths->pins, ret_error);
}

int config_check_origin_tls(const struct config_source *source, struct config *config, size_t index,
                            struct error *ret_error)
{
    const struct raw_zone *zones = source->raw->zones;
    const struct raw_origin_tls *raw = zones[index].secondary->tls;
    struct config_zone *zone = &config->zones[index];

    if (index > 0 && zones[index - 1].secondary != NULL &&
        zones[index - 1].secondary->tls != NULL &&
        origin_tls_equal(raw, zones[index - 1].secondary->tls)) {
        zone->tls = config->zones[index - 1].tls;
        return 0;
    }

    _cleanup_(paths_clear) struct origin_paths paths = {0};
    int rc =
        origin_tls_check(source, config_place("zones.%zu.secondary.tls", index), raw, ret_error);
    if (rc == 0)
        rc = paths_resolve(source, config, index, raw, &paths, ret_error);
    if (rc < 0)
        return rc;

    const struct origin_tls_options options = {
        .name = raw->name,
        .files = {.certificate = paths.certificate, .key = paths.key, .ca = paths.ca},
        .pins = (const uint8_t(*)[TLS_DIGEST_SIZE])paths.pins,
        .pin_count = raw->pin_count,
    };
    rc = origin_tls_create(&options, &zone->tls, ret_error);
    zone->owns_tls = rc == 0;
    return rc;
}
