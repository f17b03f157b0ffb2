/* The section `http`: where it is served, for how many, and behind whom. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "desk/desk_config_internal.h"

#define PORT_DEFAULT 8053
#define LISTEN_MAX   16
#define PROXIES_MAX  256

#define THREADS_MAX 64
#define WORKERS_MAX 256
#define QUEUE_MAX   100000

#define CONNECTIONS_DEFAULT             10000
#define CONNECTIONS_PER_ADDRESS_DEFAULT 1000
#define CONNECTIONS_MAX                 1000000

/* The least has room for one report of the largest size by somebody who has not signed in. */
#define BODIES_MIB_DEFAULT 256
#define BODIES_MIB_MIN     34
#define BODIES_MIB_MAX     65536

#define TIMEOUT_DEFAULT_S 15
#define TIMEOUT_MAX_S     3600

static const cyaml_schema_field_t tls_fields[] = {
    TEXT("certificate", struct raw_http_tls, certificate),
    TEXT("key", struct raw_http_tls, key),
    CYAML_FIELD_END,
};

const cyaml_schema_field_t desk_http_fields[] = {
    OPTIONAL_LIST("listen", struct raw_http, listen, &yaml_text_schema, LISTEN_MAX),
    OPTIONAL_MAP("tls", struct raw_http, tls, tls_fields),
    OPTIONAL_LIST("trusted-proxies", struct raw_http, trusted_proxies, &yaml_text_schema,
                  PROXIES_MAX),
    OPTIONAL_NUMBER("threads", struct raw_http, threads),
    OPTIONAL_NUMBER("workers", struct raw_http, workers),
    OPTIONAL_NUMBER("queue-max", struct raw_http, queue_max),
    OPTIONAL_NUMBER("connections-max", struct raw_http, connections_max),
    OPTIONAL_NUMBER("connections-per-address-max", struct raw_http, connections_per_address_max),
    OPTIONAL_NUMBER("bodies-mib-max", struct raw_http, bodies_mib_max),
    OPTIONAL_NUMBER("timeout", struct raw_http, timeout),
    OPTIONAL_TEXT("base", struct raw_http, base),
    OPTIONAL_FLAG("insecure-cookies", struct raw_http, insecure_cookies),
    OPTIONAL_TEXT("security-contact", struct raw_http, security_contact),
    CYAML_FIELD_END,
};

static int listen_check(const struct desk_config_source *source, const struct raw_http *raw,
                        struct desk_config_http *http, struct error *ret_error)
{
    static char address_default[] = "127.0.0.1@8053";
    char *texts_default[] = {address_default};
    bool is_set = raw->listen_count > 0;

    return config_value_addresses(&source->values, config_value_place("http.listen"),
                                  is_set ? raw->listen : texts_default,
                                  is_set ? raw->listen_count : 1, PORT_DEFAULT, &http->listen,
                                  &http->listen_count, ret_error);
}

static int tls_check(const struct desk_config_source *source, struct desk_config *config,
                     const struct raw_http_tls *tls, struct error *ret_error)
{
    if (tls == NULL)
        return 0;
    int rc = config_value_file(&source->values, config_value_place("http.tls.certificate"),
                               "the certificate", tls->certificate, &config->http.certificate,
                               ret_error);
    if (rc == 0)
        rc = config_value_file(&source->values, config_value_place("http.tls.key"),
                               "the private key", tls->key, &config->http.key, ret_error);
    return rc;
}

static int numbers_check(const struct desk_config_source *source, const struct raw_http *raw,
                         struct desk_config_http *http, struct error *ret_error)
{
    const struct {
        const char *place;
        const unsigned *raw;
        unsigned value_default, value_min, value_max;
        unsigned *ret_value;
    } numbers[] = {
        {"http.threads", raw->threads, 1, 1, THREADS_MAX, &http->threads},
        {"http.workers", raw->workers, 4, 1, WORKERS_MAX, &http->workers},
        {"http.queue-max", raw->queue_max, 1000, 1, QUEUE_MAX, &http->queue_max},
        {"http.connections-max", raw->connections_max, CONNECTIONS_DEFAULT, 1, CONNECTIONS_MAX,
         &http->connections_max},
        {"http.connections-per-address-max", raw->connections_per_address_max,
         CONNECTIONS_PER_ADDRESS_DEFAULT, 1, CONNECTIONS_MAX, &http->connections_per_address_max},
        {"http.bodies-mib-max", raw->bodies_mib_max, BODIES_MIB_DEFAULT, BODIES_MIB_MIN,
         BODIES_MIB_MAX, &http->bodies_mib_max},
        {"http.timeout", raw->timeout, TIMEOUT_DEFAULT_S, 1, TIMEOUT_MAX_S, &http->timeout_s},
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && rc == 0; i++)
        rc = config_value_number(&source->values, config_value_place("%s", numbers[i].place),
                                 numbers[i].raw, numbers[i].value_default, numbers[i].value_min,
                                 numbers[i].value_max, numbers[i].ret_value, ret_error);
    return rc;
}

/* The address that mails and notices name: without it they would point nowhere. */
static int base_check(const struct desk_config_source *source, const struct raw_http *raw,
                      struct desk_config_http *http, struct error *ret_error)
{
    struct config_value_place place = config_value_place("http.base");
    if (raw->base == NULL)
        return config_value_copy("http://127.0.0.1:8053", &http->base, ret_error);
    if (strncasecmp(raw->base, "https://", 8) != 0 && strncasecmp(raw->base, "http://", 7) != 0)
        return config_value_fail(&source->values, place, ret_error,
                                 "\"%s\" is no address of a site: write https://desk.example",
                                 raw->base);
    int rc = config_value_copy(raw->base, &http->base, ret_error);
    if (rc < 0)
        return rc;
    size_t size = strlen(http->base);
    if (http->base[size - 1] == '/')
        http->base[size - 1] = '\0';
    return 0;
}

int desk_config_check_http(const struct desk_config_source *source, struct desk_config *config,
                           struct error *ret_error)
{
    const struct raw_http nothing = {0};
    const struct raw_http *raw = source->raw->http != NULL ? source->raw->http : &nothing;
    struct desk_config_http *http = &config->http;

    int rc = listen_check(source, raw, http, ret_error);
    if (rc == 0)
        rc = tls_check(source, config, raw->tls, ret_error);
    if (rc == 0)
        rc = config_value_addresses(&source->values, config_value_place("http.trusted-proxies"),
                                    raw->trusted_proxies, raw->trusted_proxies_count, 0,
                                    &http->trusted_proxies, &http->trusted_proxy_count, ret_error);
    if (rc == 0)
        rc = numbers_check(source, raw, http, ret_error);
    if (rc == 0)
        rc = base_check(source, raw, http, ret_error);
    if (rc == 0)
        rc = config_value_copy(raw->security_contact, &http->security_contact, ret_error);
    http->insecure_cookies = raw->insecure_cookies != NULL && *raw->insecure_cookies;
    return rc;
}

void desk_config_clear_http(struct desk_config *config)
{
    struct desk_config_http *http = &config->http;
    free(http->listen);
    free(http->certificate);
    free(http->key);
    free(http->trusted_proxies);
    free(http->base);
    free(http->security_contact);
}
