#include "desk/dns_outbox.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "desk/desk.h"

#define KIND "dns"

/* Values of one change, as many as can fit it: an A of an owner of one octet takes 15. */
#define VALUES_MAX (DNS_CHANGE_OCTETS_MAX / 15)

/* ---- Writing ---- */

/* What dns_outbox_cancel() finds the rows of a host by: the first member. */
static json_t *payload_begin(const char *host)
{
    return json_pack("{s:s}", "host", host);
}

static json_t *values_pack(const struct dns_set *set)
{
    json_t *values = json_array();
    for (size_t i = 0; i < set->count; i++) {
        char hex[2 * DNS_CHANGE_OCTETS_MAX + 1];
        if (set->values[i].size > DNS_CHANGE_OCTETS_MAX)
            break;
        sodium_bin2hex(hex, sizeof(hex), set->values[i].octets, set->values[i].size);
        json_array_append_new(values, json_string(hex));
    }
    return values;
}

static json_t *change_pack(const struct dns_change *change)
{
    json_t *payload = payload_begin(change->host), *sets = json_array();
    for (size_t i = 0; i < change->set_count; i++) {
        const struct dns_set *set = &change->sets[i];
        json_array_append_new(sets, json_pack("{s:s*, s:i, s:I, s:o}", "below", set->below, "type",
                                              (int)set->type, "ttl", (json_int_t)set->ttl_s,
                                              "values", values_pack(set)));
    }
    json_object_set_new(payload, "zone", json_string(change->zone));
    json_object_set_new(payload, "remove", json_boolean(change->remove));
    json_object_set_new(payload, "sets", sets);
    return payload;
}

int dns_outbox_put(struct store *store, int64_t now_ms, const struct dns_change *change,
                   struct error *ret_error)
{
    char id[ID_SIZE];
    int rc = dns_change_check(change, ret_error);
    if (rc < 0)
        return rc;
    json_t *payload = change_pack(change);
    if (payload == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for an update");
    rc = outbox_put(store, now_ms, KIND, payload, now_ms / 1000, id, ret_error);
    json_decref(payload);
    return rc;
}

int dns_outbox_cancel(struct store *store, const char *host, struct error *ret_error)
{
    assert(store_in_transaction(store));
    json_t *payload = payload_begin(host);
    char *text = payload != NULL ? json_dumps(payload, JSON_COMPACT) : NULL;
    json_decref(payload);
    if (text == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for an update");
    text[strlen(text) - 1] = ','; /* more members follow */
    int rc = store_change(store, NULL, ret_error,
                          "DELETE FROM outbox WHERE kind = $1 AND "
                          "substr(payload, 1, length($2)) = $2",
                          store_text(KIND), store_text(text));
    free(text);
    return rc;
}

/* ---- Delivering ---- */

/* A change as it is read; what `change` points to lies beside it and in the payload. */
struct read_change {
    struct dns_change change;
    struct dns_set sets[DNS_CHANGE_SETS_MAX];
    struct dns_value values[VALUES_MAX];
    size_t value_count;
    uint8_t octets[DNS_CHANGE_OCTETS_MAX];
    size_t size;
};

static bool value_read(struct read_change *read, const json_t *value)
{
    const char *hex = json_string_value(value);
    size_t size;
    if (hex == NULL || read->value_count == VALUES_MAX ||
        sodium_hex2bin(read->octets + read->size, sizeof(read->octets) - read->size, hex,
                       strlen(hex), NULL, &size, NULL) != 0)
        return false;
    read->values[read->value_count++] =
        (struct dns_value){.octets = read->octets + read->size, .size = (uint16_t)size};
    read->size += size;
    return true;
}

static bool set_read(struct read_change *read, const json_t *from)
{
    struct dns_set *set = &read->sets[read->change.set_count++];
    const json_t *values = json_object_get(from, "values");
    *set = (struct dns_set){
        .below = json_string_value(json_object_get(from, "below")),
        .type = (uint16_t)json_integer_value(json_object_get(from, "type")),
        .ttl_s = (uint32_t)json_integer_value(json_object_get(from, "ttl")),
        .values = &read->values[read->value_count],
        .count = json_array_size(values),
    };
    for (size_t i = 0; i < set->count; i++)
        if (!value_read(read, json_array_get(values, i)))
            return false;
    return true;
}

static bool change_read(struct read_change *read, const json_t *payload)
{
    const json_t *sets = json_object_get(payload, "sets");
    read->change = (struct dns_change){
        .zone = json_string_value(json_object_get(payload, "zone")),
        .host = json_string_value(json_object_get(payload, "host")),
        .remove = json_is_true(json_object_get(payload, "remove")),
        .sets = read->sets,
    };
    if (read->change.zone == NULL || read->change.host == NULL ||
        json_array_size(sets) > DNS_CHANGE_SETS_MAX)
        return false;
    for (size_t i = 0; i < json_array_size(sets); i++)
        if (!set_read(read, json_array_get(sets, i)))
            return false;
    return true;
}

/* Whether nobody cancelled it since it was fetched with others. */
static int is_wanted(struct store *store, const char *id, bool *ret_wanted, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc =
        store_query(store, &rows, ret_error, "SELECT 1 FROM outbox WHERE id = $1", store_text(id));
    if (rc == 0)
        *ret_wanted = store_rows_count(rows) > 0;
    return rc;
}

int dns_outbox_deliver(struct desk *desk, struct store *store, const struct outbox_item *item,
                       struct error *ret_error)
{
    bool is_still_wanted = false;
    uint8_t rcode;

    struct read_change *read = calloc(1, sizeof(*read));
    if (read == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for an update");
    int rc = change_read(read, item->payload)
                 ? is_wanted(store, item->id, &is_still_wanted, ret_error)
                 : error_set(ret_error, -ECANCELED, "it is no change of a host");
    if (rc == 0 && is_still_wanted)
        rc = dns_updater_change(desk->dns_updater, &read->change, &rcode, ret_error);
    free(read);
    return rc == -EINVAL ? -ECANCELED : rc;
}
