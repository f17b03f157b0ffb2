/* The sections `keys` (TSIG, RFC 8945) and `servers`: the name servers that the desk speaks to. */
#include <errno.h>
#include <libdnssec/tsig.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "desk/desk_config_internal.h"

#define DNS_PORT 53

/* A secret longer than any hash's block gains nothing. */
#define SECRET_OCTETS_MAX 512

static const cyaml_schema_field_t key_fields[] = {
    TEXT("name", struct raw_desk_key, name),
    TEXT("algorithm", struct raw_desk_key, algorithm),
    OPTIONAL_TEXT("secret", struct raw_desk_key, secret),
    OPTIONAL_TEXT("secret-file", struct raw_desk_key, secret_file),
    OPTIONAL_TEXT("secret-env", struct raw_desk_key, secret_env),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t desk_key_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_desk_key, key_fields),
};

static const cyaml_schema_field_t server_fields[] = {
    TEXT("name", struct raw_desk_server, name),
    TEXT("address", struct raw_desk_server, address),
    OPTIONAL_TEXT("key", struct raw_desk_server, key),
    OPTIONAL_FLAG("update", struct raw_desk_server, update),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t desk_server_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_desk_server, server_fields),
};

/* ---- Keys ---- */

static int secret_take(const struct desk_config_source *source, size_t index,
                       const struct raw_desk_key *raw, char **ret_secret, struct error *ret_error)
{
    struct config_value_place place = config_value_place("keys.%zu", index);
    if ((raw->secret != NULL) + (raw->secret_file != NULL) + (raw->secret_env != NULL) != 1)
        return config_value_fail(&source->values, place, ret_error,
                                 "a key has one of secret-file, secret-env and secret");
    if (raw->secret != NULL)
        return config_value_copy(raw->secret, ret_secret, ret_error);
    return desk_config_secret(source, place, raw->secret_file, raw->secret_env, ret_secret,
                              ret_error);
}

static int key_check(const struct desk_config_source *source, const struct desk_config *config,
                     size_t index, struct desk_config_key *key, struct error *ret_error)
{
    const struct raw_desk_key *raw = &source->raw->keys[index];
    uint8_t octets[SECRET_OCTETS_MAX];
    size_t size;

    if (dnssec_tsig_algorithm_from_name(raw->algorithm) == DNSSEC_TSIG_UNKNOWN)
        return config_value_fail(&source->values, config_value_place("keys.%zu.algorithm", index),
                                 ret_error, "\"%s\" is no TSIG algorithm: write hmac-sha256",
                                 raw->algorithm);
    for (size_t i = 0; i < index; i++)
        if (strcasecmp(config->keys[i].name, raw->name) == 0)
            return config_value_fail(&source->values, config_value_place("keys.%zu.name", index),
                                     ret_error, "the key %s is there twice: remove one", raw->name);
    int rc = config_value_copy(raw->name, &key->name, ret_error);
    if (rc == 0)
        rc = config_value_copy(raw->algorithm, &key->algorithm, ret_error);
    if (rc == 0)
        rc = secret_take(source, index, raw, &key->secret, ret_error);
    if (rc < 0)
        return rc;
    bool is_right = sodium_base642bin(octets, sizeof(octets), key->secret, strlen(key->secret),
                                      NULL, &size, NULL, sodium_base64_VARIANT_ORIGINAL) == 0;
    sodium_memzero(octets, sizeof(octets));
    if (!is_right || size == 0)
        return config_value_fail(
            &source->values, config_value_place("keys.%zu", index), ret_error,
            "the secret of %s is no base64: make one with keymgr -t, or head -c "
            "32 /dev/urandom | base64",
            raw->name);
    return 0;
}

int desk_config_check_keys(const struct desk_config_source *source, struct desk_config *config,
                           struct error *ret_error)
{
    if (source->raw->keys_count == 0)
        return 0;
    config->keys = calloc(source->raw->keys_count, sizeof(*config->keys));
    if (config->keys == NULL)
        return config_value_out_of_memory(ret_error);
    int rc = 0;
    for (size_t i = 0; i < source->raw->keys_count && rc == 0; i++)
        rc = key_check(source, config, i, &config->keys[config->key_count++], ret_error);
    return rc;
}

void desk_config_clear_keys(struct desk_config *config)
{
    for (size_t i = 0; i < config->key_count; i++) {
        free(config->keys[i].name);
        free(config->keys[i].algorithm);
        desk_config_secret_free(config->keys[i].secret);
    }
    free(config->keys);
}

int desk_config_key_find(const struct desk_config_source *source, const struct desk_config *config,
                         struct config_value_place place, const char *name,
                         const struct desk_config_key **ret_key, struct error *ret_error)
{
    for (size_t i = 0; i < config->key_count; i++)
        if (strcasecmp(config->keys[i].name, name) == 0) {
            *ret_key = &config->keys[i];
            return 0;
        }
    return config_value_fail(&source->values, place, ret_error,
                             "there is no key %s: add it to keys", name);
}

/* ---- Servers ---- */

static int server_check(const struct desk_config_source *source, const struct desk_config *config,
                        size_t index, struct desk_config_server *server, struct error *ret_error)
{
    const struct raw_desk_server *raw = &source->raw->servers[index];

    for (size_t i = 0; i < index; i++)
        if (strcmp(config->servers[i].name, raw->name) == 0)
            return config_value_fail(&source->values, config_value_place("servers.%zu.name", index),
                                     ret_error, "the server %s is there twice: remove one",
                                     raw->name);
    int rc = config_value_copy(raw->name, &server->name, ret_error);
    if (rc == 0)
        rc = config_value_address(&source->values, config_value_place("servers.%zu.address", index),
                                  raw->address, DNS_PORT, &server->address, ret_error);
    if (rc == 0 && raw->key != NULL)
        rc = desk_config_key_find(source, config, config_value_place("servers.%zu.key", index),
                                  raw->key, &server->key, ret_error);
    server->update = raw->update != NULL && *raw->update;
    return rc;
}

int desk_config_check_servers(const struct desk_config_source *source, struct desk_config *config,
                              struct error *ret_error)
{
    if (source->raw->servers_count == 0)
        return 0;
    config->servers = calloc(source->raw->servers_count, sizeof(*config->servers));
    if (config->servers == NULL)
        return config_value_out_of_memory(ret_error);
    int rc = 0;
    for (size_t i = 0; i < source->raw->servers_count && rc == 0; i++)
        rc = server_check(source, config, i, &config->servers[config->server_count++], ret_error);
    return rc;
}

void desk_config_clear_servers(struct desk_config *config)
{
    for (size_t i = 0; i < config->server_count; i++)
        free(config->servers[i].name);
    free(config->servers);
}
