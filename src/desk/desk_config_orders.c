/* The section `orders`: where servers get the policy zones, and what an order has to pass. */
#include <errno.h>
#include <libknot/dname.h>
#include <stdlib.h>
#include <string.h>

#include "desk/account.h"
#include "desk/desk_config_internal.h"
#include "dns/name.h"

#define DNS_PORT      53
#define HOUR_S        3600
#define HOLD_MAX_S    (30 * 24 * HOUR_S)
#define VALID_MAX_H   (30 * 24)
#define LISTEN_MAX    16
#define NOTIFY_MAX    256
#define CONTACTS_MAX  50
#define ZONES_MAX     1000
#define SUFFIX_ROOM   64 /* of the label that an order's id makes in front of the suffix */
#define CATALOG_ROOM  (SUFFIX_ROOM + 1 + 5) /* and of "zones" */
#define KEY_SEPARATOR " key "

static const cyaml_schema_field_t budget_fields[] = {
    OPTIONAL_NUMBER("live", struct raw_order_budget, live),
    OPTIONAL_NUMBER("shared", struct raw_order_budget, shared),
    OPTIONAL_NUMBER("cuts", struct raw_order_budget, cuts),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t rehearse_fields[] = {
    OPTIONAL_LIST("zones", struct raw_rehearse, zones, &yaml_text_schema, ZONES_MAX),
    OPTIONAL_TEXT("server", struct raw_rehearse, server),
    OPTIONAL_NUMBER("valid-hours", struct raw_rehearse, valid_hours),
    CYAML_FIELD_END,
};

const cyaml_schema_field_t desk_orders_fields[] = {
    OPTIONAL_LIST("listen", struct raw_desk_orders, listen, &yaml_text_schema, LISTEN_MAX),
    OPTIONAL_TEXT("catalog", struct raw_desk_orders, catalog),
    OPTIONAL_TEXT("suffix", struct raw_desk_orders, suffix),
    OPTIONAL_TEXT("key", struct raw_desk_orders, key),
    OPTIONAL_LIST("notify", struct raw_desk_orders, notify, &yaml_text_schema, NOTIFY_MAX),
    OPTIONAL_LIST("contacts", struct raw_desk_orders, contacts, &yaml_text_schema, CONTACTS_MAX),
    OPTIONAL_NUMBER("hold-seconds", struct raw_desk_orders, hold_seconds),
    OPTIONAL_MAP("collateral-budget", struct raw_desk_orders, collateral_budget, budget_fields),
    OPTIONAL_MAP("rehearse", struct raw_desk_orders, rehearse, rehearse_fields),
    OPTIONAL_TEXT("keyring", struct raw_desk_orders, keyring),
    OPTIONAL_TEXT("signing-key", struct raw_desk_orders, signing_key),
    CYAML_FIELD_END,
};

/* A name, to which `room` octets are still to be added. */
static int name_take(const struct desk_config_source *source, struct config_value_place place,
                     const char *text, size_t room, char **ret_text, struct error *ret_error)
{
    uint8_t wire[NAME_SIZE_MAX];

    if (text[0] == '\0' || knot_dname_from_str(wire, text, sizeof(wire)) == NULL)
        return config_value_fail(&source->values, place, ret_error, "\"%s\" is no domain name",
                                 text);
    if (wire[0] == 0)
        return config_value_fail(&source->values, place, ret_error, "the root cannot stand here");
    if (name_wire_size(wire) + room > NAME_SIZE_MAX)
        return config_value_fail(&source->values, place, ret_error,
                                 "\"%s\" is too long: %zu octets are added to it", text, room);
    int rc = config_value_copy(text, ret_text, ret_error);
    size_t size = strlen(text);
    if (rc == 0 && text[size - 1] == '.')
        (*ret_text)[size - 1] = '\0';
    return rc;
}

/* "192.0.2.1@53", or "192.0.2.1@53 key NAME". */
static int notify_take(const struct desk_config_source *source, const struct desk_config *config,
                       size_t index, struct desk_config_notify *ret_notify, struct error *ret_error)
{
    struct config_value_place place = config_value_place("orders.notify.%zu", index);
    const char *text = source->raw->orders->notify[index];
    const char *key = strstr(text, KEY_SEPARATOR);
    int rc = 0;

    char *address = key != NULL ? strndup(text, (size_t)(key - text)) : strdup(text);
    if (address == NULL)
        return config_value_out_of_memory(ret_error);
    if (key != NULL)
        rc = desk_config_key_find(source, config, place, key + strlen(KEY_SEPARATOR),
                                  &ret_notify->key, ret_error);
    if (rc == 0)
        rc = config_value_address(&source->values, place, address, DNS_PORT, &ret_notify->address,
                                  ret_error);
    free(address);
    return rc;
}

static int notifies_check(const struct desk_config_source *source, struct desk_config *config,
                          struct error *ret_error)
{
    struct desk_config_orders *orders = &config->orders;
    size_t count = source->raw->orders->notify_count;
    int rc = 0;

    if (count == 0)
        return 0;
    orders->notify = calloc(count, sizeof(*orders->notify));
    if (orders->notify == NULL)
        return config_value_out_of_memory(ret_error);
    orders->notify_count = count;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = notify_take(source, config, i, &orders->notify[i], ret_error);
    return rc;
}

/* Whoever may transfer the zones reads every name of every order: never without a key. */
static int publication_check(const struct desk_config_source *source, struct desk_config *config,
                             const struct raw_desk_orders *raw, struct error *ret_error)
{
    struct desk_config_orders *orders = &config->orders;

    if (raw->listen_count == 0)
        return 0;
    if (raw->catalog == NULL || raw->suffix == NULL || raw->key == NULL)
        return config_value_fail(&source->values, config_value_place("orders"), ret_error,
                                 "who listens for transfers needs a name for the catalog, one for "
                                 "the policy zones and a key: add catalog, suffix and key");
    int rc = config_value_addresses(&source->values, config_value_place("orders.listen"),
                                    raw->listen, raw->listen_count, DNS_PORT, &orders->listen,
                                    &orders->listen_count, ret_error);
    if (rc == 0)
        rc = name_take(source, config_value_place("orders.catalog"), raw->catalog, CATALOG_ROOM,
                       &orders->catalog, ret_error);
    if (rc == 0)
        rc = name_take(source, config_value_place("orders.suffix"), raw->suffix, SUFFIX_ROOM,
                       &orders->suffix, ret_error);
    if (rc == 0)
        rc = desk_config_key_find(source, config, config_value_place("orders.key"), raw->key,
                                  &orders->key, ret_error);
    return rc < 0 ? rc : notifies_check(source, config, ret_error);
}

static uint64_t bound_of(const unsigned *raw)
{
    return raw != NULL ? *raw : UINT64_MAX;
}

static void budget_take(const struct raw_order_budget *raw, struct desk_config_orders *orders)
{
    const struct raw_order_budget nothing = {0};

    raw = raw != NULL ? raw : &nothing;
    orders->live_max = bound_of(raw->live);
    orders->shared_max = bound_of(raw->shared);
    orders->cuts_max = bound_of(raw->cuts);
}

static int server_find(const struct desk_config_source *source, const struct desk_config *config,
                       const char *name, const struct desk_config_server **ret_server,
                       struct error *ret_error)
{
    for (size_t i = 0; i < config->server_count; i++)
        if (name == NULL || strcmp(config->servers[i].name, name) == 0) {
            *ret_server = &config->servers[i];
            return 0;
        }
    if (name == NULL)
        return 0;
    return config_value_fail(&source->values, config_value_place("orders.rehearse.server"),
                             ret_error, "there is no server %s: add it to servers", name);
}

static int rehearse_check(const struct desk_config_source *source, struct desk_config *config,
                          const struct raw_rehearse *raw, struct error *ret_error)
{
    const struct raw_rehearse nothing = {0};
    struct desk_config_orders *orders = &config->orders;
    unsigned hours = 0;

    raw = raw != NULL ? raw : &nothing;
    int rc = config_value_number(&source->values, config_value_place("orders.rehearse.valid-hours"),
                                 raw->valid_hours, 24, 1, VALID_MAX_H, &hours, ret_error);
    orders->rehearsal_valid_s = hours * HOUR_S;
    if (rc == 0)
        rc = server_find(source, config, raw->server, &orders->rehearse_from, ret_error);
    /* By default the zones in which hosts live. */
    size_t count = raw->zones_count > 0 ? raw->zones_count : config->hosts.zone_count;
    if (rc < 0 || count == 0)
        return rc;
    orders->rehearse_zones = calloc(count, sizeof(char *));
    if (orders->rehearse_zones == NULL)
        return config_value_out_of_memory(ret_error);
    orders->rehearse_zone_count = count;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = name_take(source, config_value_place("orders.rehearse.zones.%zu", i),
                       raw->zones_count > 0 ? raw->zones[i] : config->hosts.zones[i].name, 0,
                       &orders->rehearse_zones[i], ret_error);
    return rc;
}

static int contacts_check(const struct desk_config_source *source, struct desk_config *config,
                          const struct raw_desk_orders *raw, struct error *ret_error)
{
    struct desk_config_orders *orders = &config->orders;
    char email[EMAIL_SIZE_MAX + 1];
    int rc = 0;

    if (raw->contacts_count == 0)
        return 0;
    orders->contacts = calloc(raw->contacts_count, sizeof(char *));
    if (orders->contacts == NULL)
        return config_value_out_of_memory(ret_error);
    orders->contact_count = raw->contacts_count;
    for (unsigned i = 0; i < raw->contacts_count && rc == 0; i++) {
        if (!email_normalize(raw->contacts[i], email))
            return config_value_fail(&source->values, config_value_place("orders.contacts.%u", i),
                                     ret_error, "\"%s\" is no mail address", raw->contacts[i]);
        rc = config_value_copy(email, &orders->contacts[i], ret_error);
    }
    return rc;
}

static int files_check(const struct desk_config_source *source, struct desk_config *config,
                       const struct raw_desk_orders *raw, struct error *ret_error)
{
    struct desk_config_orders *orders = &config->orders;
    int rc = 0;

    if (raw->keyring != NULL)
        rc = config_value_file(&source->values, config_value_place("orders.keyring"), "the keyring",
                               raw->keyring, &orders->keyring, ret_error);
    if (rc == 0 && raw->signing_key != NULL)
        rc =
            config_value_file(&source->values, config_value_place("orders.signing-key"),
                              "the signing key", raw->signing_key, &orders->signing_key, ret_error);
    return rc;
}

int desk_config_check_orders(const struct desk_config_source *source, struct desk_config *config,
                             struct error *ret_error)
{
    const struct raw_desk_orders nothing = {0};
    const struct raw_desk_orders *raw =
        source->raw->orders != NULL ? source->raw->orders : &nothing;

    int rc = publication_check(source, config, raw, ret_error);
    if (rc == 0)
        rc = config_value_number(&source->values, config_value_place("orders.hold-seconds"),
                                 raw->hold_seconds, 24 * HOUR_S, 0, HOLD_MAX_S,
                                 &config->orders.hold_s, ret_error);
    budget_take(raw->collateral_budget, &config->orders);
    if (rc == 0)
        rc = rehearse_check(source, config, raw->rehearse, ret_error);
    if (rc == 0)
        rc = contacts_check(source, config, raw, ret_error);
    return rc < 0 ? rc : files_check(source, config, raw, ret_error);
}

void desk_config_clear_orders(struct desk_config *config)
{
    struct desk_config_orders *orders = &config->orders;

    free(orders->listen);
    free(orders->catalog);
    free(orders->suffix);
    free(orders->notify);
    for (size_t i = 0; i < orders->rehearse_zone_count; i++)
        free(orders->rehearse_zones[i]);
    free(orders->rehearse_zones);
    for (size_t i = 0; i < orders->contact_count; i++)
        free(orders->contacts[i]);
    free(orders->contacts);
    free(orders->keyring);
    free(orders->signing_key);
}
