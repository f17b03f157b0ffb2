/* A STIX 2.1 bundle (OASIS standard of 10 June 2021): who reports, the families, and of each victim
 * its address and network, the connection, the observation and the sighting. All ids are made of
 * what they stand for, so that a report that is made again repeats its objects instead of adding
 * others. Objects are written as they come; only their ids are held. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/sink_report.h"
#include "cli/uuid_set.h"

/* Of cyber-observable objects: section 2.9. */
static const struct uuid observable_space = {{0x00, 0xab, 0xed, 0xb4, 0xaa, 0x42, 0x46, 0x6c, 0x9c,
                                              0x01, 0xfe, 0xd2, 0x33, 0x15, 0xa9, 0xb7}};
/* Of our other objects: the standard's own space is not for them. */
static const struct uuid own_space = {{0x7c, 0x1d, 0x9e, 0x40, 0x35, 0xb2, 0x4f, 0x0a, 0x8e, 0x6d,
                                       0x5a, 0x90, 0x13, 0xc7, 0x2b, 0xf4}};

/* TLP:AMBER as section 7.2.1.4 defines it: a victim's address is for who can help it. */
#define AMBER "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"

/* Objects that never change are of one version: else each report would tell of a new one. */
#define UNCHANGED "2026-01-01T00:00:00.000Z"

/* Section 4.14: the largest number_observed; section 5.2: the largest count. */
#define COUNT_MAX 999999999

#define ID_SIZE 64

struct state {
    struct uuid_set written;
    char identity[ID_SIZE];
    bool has_objects;
};

/* ---- Ids and objects ---- */

static const char *id_write(const char *type, const struct uuid *uuid, char ret_id[ID_SIZE])
{
    char text[UUID_TEXT_SIZE];
    (void)snprintf(ret_id, ID_SIZE, "%s--%s", type, uuid_text(uuid, text));
    return ret_id;
}

/* The id of an object that stands for `key` among those of its type. */
static struct uuid own_uuid(const char *type, const void *key, size_t size)
{
    uint8_t name[64 + 512];
    size_t type_size = strlen(type) + 1;
    if (size > sizeof(name) - type_size)
        size = sizeof(name) - type_size;
    memcpy(name, type, type_size);
    memcpy(name + type_size, key, size);
    return uuid_of_name(&own_space, name, type_size + size);
}

static int no_memory(struct error *ret_error)
{
    return error_set(ret_error, -ENOMEM, "out of memory");
}

/* Writes the object, which is taken, unless one with this id was written before. */
static int object_put(FILE *stream, struct state *state, const struct uuid *uuid, json_t *object,
                      struct error *ret_error)
{
    int rc = object == NULL ? -ENOMEM : uuid_set_add(&state->written, uuid);
    if (rc > 0) {
        fputs(state->has_objects ? ",\n" : "\n", stream);
        json_dumpf(object, stream, JSON_COMPACT);
        state->has_objects = true;
    }
    json_decref(object);
    return rc < 0 ? no_memory(ret_error) : 0;
}

/* A cyber-observable object: its id is made of `properties` in their canonical form (RFC 8785; of
 * texts and whole numbers, sorted and compact is canonical), which it has all; they are taken. */
static int observable_put(FILE *stream, struct state *state, const char *type, json_t *properties,
                          char ret_id[ID_SIZE], struct error *ret_error)
{
    char *canonical = json_dumps(properties, JSON_COMPACT | JSON_SORT_KEYS);
    if (canonical == NULL) {
        json_decref(properties);
        return no_memory(ret_error);
    }
    const struct uuid uuid = uuid_of_name(&observable_space, canonical, strlen(canonical));
    free(canonical);
    json_t *object = json_pack("{s:s, s:s, s:s, s:[s]}", "type", type, "spec_version", "2.1", "id",
                               id_write(type, &uuid, ret_id), "object_marking_refs", AMBER);
    if (object == NULL || json_object_update_missing(object, properties) < 0) {
        json_decref(object);
        object = NULL;
    }
    json_decref(properties);
    return object_put(stream, state, &uuid, object, ret_error);
}

/* ---- Begin and end ---- */

static json_t *amber_json(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:{s:s}}", "type", "marking-definition",
                     "spec_version", "2.1", "id", AMBER, "created", "2017-01-20T00:00:00.000Z",
                     "definition_type", "tlp", "name", "TLP:AMBER", "definition", "tlp", "amber");
}

static int head_put(FILE *stream, struct state *state, const struct report_sender *sender,
                    struct error *ret_error)
{
    const char *name = sender->operator_name != NULL ? sender->operator_name : "Sinkhole operator";
    const struct uuid amber = own_uuid("marking-definition", "amber", 5);
    const struct uuid identity = own_uuid("identity", name, strlen(name));
    int rc = object_put(stream, state, &amber, amber_json(), ret_error);
    if (rc < 0)
        return rc;
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "type", "identity", "spec_version", "2.1",
                  "id", id_write("identity", &identity, state->identity), "created", UNCHANGED,
                  "modified", UNCHANGED, "name", name, "identity_class", "organization");
    if (object != NULL && sender->mail != NULL &&
        json_object_set_new(object, "contact_information", json_string(sender->mail)) < 0) {
        json_decref(object);
        object = NULL;
    }
    return object_put(stream, state, &identity, object, ret_error);
}

static void stix_free(void *context)
{
    struct state *state = context;
    uuid_set_clear(&state->written);
    free(state);
}

static int stix_begin(FILE *stream, const struct report_sender *sender, void **ret_state,
                      struct error *ret_error)
{
    char id[ID_SIZE];
    struct state *state = calloc(1, sizeof(*state));
    if (state == NULL)
        return no_memory(ret_error);
    const struct uuid bundle = own_uuid("bundle", &sender->now_us, sizeof(sender->now_us));
    fprintf(stream, "{\"type\":\"bundle\",\"id\":\"%s\",\"objects\":[",
            id_write("bundle", &bundle, id));
    int rc = head_put(stream, state, sender, ret_error);
    if (rc < 0) {
        stix_free(state);
        return rc;
    }
    *ret_state = state;
    return 0;
}

static int stix_end(FILE *stream, void *state, struct error *ret_error)
{
    (void)state, (void)ret_error;
    fputs("\n]}\n", stream);
    return 0;
}

/* ---- A victim ---- */

/* The ids of the objects that one victim has. */
struct objects {
    char malware[ID_SIZE], source[ID_SIZE], sinkhole[ID_SIZE], traffic[ID_SIZE], network[ID_SIZE],
        name[ID_SIZE], observation[ID_SIZE];
    bool has_network, has_name;
};

static int malware_put(FILE *stream, struct state *state, const struct report_victim *victim,
                       struct objects *objects, struct error *ret_error)
{
    const char *family = victim->entry->family[0] != '\0' ? victim->entry->family : "unknown";
    const struct uuid uuid = own_uuid("malware", family, strlen(family));
    return object_put(stream, state, &uuid,
                      json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:[s]}", "type",
                                "malware", "spec_version", "2.1", "id",
                                id_write("malware", &uuid, objects->malware), "created_by_ref",
                                state->identity, "created", UNCHANGED, "modified", UNCHANGED,
                                "name", family, "is_family", 1, "malware_types", "bot"),
                      ret_error);
}

static int addresses_put(FILE *stream, struct state *state, const struct report_victim *victim,
                         struct objects *objects, struct error *ret_error)
{
    const struct census_entry *entry = victim->entry;
    const char *local_type = strchr(victim->sinkhole, ':') != NULL ? "ipv6-addr" : "ipv4-addr";
    int rc =
        observable_put(stream, state, victim->is_ipv6 ? "ipv6-addr" : "ipv4-addr",
                       json_pack("{s:s}", "value", victim->source), objects->source, ret_error);
    if (rc == 0)
        rc =
            observable_put(stream, state, local_type, json_pack("{s:s}", "value", victim->sinkhole),
                           objects->sinkhole, ret_error);
    objects->has_network = entry->asn != 0;
    if (rc == 0 && objects->has_network)
        rc = observable_put(stream, state, "autonomous-system",
                            json_pack("{s:I}", "number", (json_int_t)entry->asn), objects->network,
                            ret_error);
    objects->has_name = report_has_name(entry->last);
    if (rc == 0 && objects->has_name)
        rc = observable_put(stream, state, "domain-name",
                            json_pack("{s:s}", "value", entry->last->name), objects->name,
                            ret_error);
    return rc;
}

static int traffic_put(FILE *stream, struct state *state, const struct report_victim *victim,
                       struct objects *objects, struct error *ret_error)
{
    const struct sink_event *event = victim->entry->last;
    char at[REPORT_TIME_SIZE];
    return observable_put(
        stream, state, "network-traffic",
        json_pack("{s:s, s:s, s:s, s:i, s:i, s:[s, s]}", "start", report_time(event->at_us, at),
                  "src_ref", objects->source, "dst_ref", objects->sinkhole, "src_port",
                  (int)event->client_port, "dst_port", (int)event->local_port, "protocols",
                  victim->is_ipv6 ? "ipv6" : "ipv4", report_transport(event)),
        objects->traffic, ret_error);
}

static json_int_t bounded(uint64_t count)
{
    return count > COUNT_MAX ? COUNT_MAX : (json_int_t)count;
}

static int observation_put(FILE *stream, struct state *state, const struct report_victim *victim,
                           struct objects *objects, struct error *ret_error)
{
    const struct census_entry *entry = victim->entry;
    char first[REPORT_TIME_SIZE], last[REPORT_TIME_SIZE];
    const struct uuid uuid = own_uuid("observed-data", entry->id, sizeof(entry->id));

    (void)report_time(entry->first_us, first);
    (void)report_time(entry->last->at_us, last);
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:[s, s, s], s:[s]}", "type",
        "observed-data", "spec_version", "2.1", "id",
        id_write("observed-data", &uuid, objects->observation), "created_by_ref", state->identity,
        "created", first, "modified", last, "first_observed", first, "last_observed", last,
        "number_observed", bounded(entry->checkins), "object_refs", objects->source,
        objects->sinkhole, objects->traffic, "object_marking_refs", AMBER);
    json_t *refs = json_object_get(object, "object_refs");
    int rc = 0;
    if (objects->has_network)
        rc |= json_array_append_new(refs, json_string(objects->network));
    if (objects->has_name)
        rc |= json_array_append_new(refs, json_string(objects->name));
    if (rc != 0) {
        json_decref(object);
        object = NULL;
    }
    return object_put(stream, state, &uuid, object, ret_error);
}

static int sighting_put(FILE *stream, struct state *state, const struct report_victim *victim,
                        const struct objects *objects, struct error *ret_error)
{
    const struct census_entry *entry = victim->entry;
    char first[REPORT_TIME_SIZE], last[REPORT_TIME_SIZE], id[ID_SIZE];
    const struct uuid uuid = own_uuid("sighting", entry->id, sizeof(entry->id));

    (void)report_time(entry->first_us, first);
    (void)report_time(entry->last->at_us, last);
    return object_put(
        stream, state, &uuid,
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:i, s:s, s:[s], s:[s], s:[s]}",
                  "type", "sighting", "spec_version", "2.1", "id", id_write("sighting", &uuid, id),
                  "created_by_ref", state->identity, "created", first, "modified", last,
                  "first_seen", first, "last_seen", last, "count", bounded(entry->checkins),
                  "confidence", entry->class == CENSUS_PROVEN ? 99 : 70, "sighting_of_ref",
                  objects->malware, "observed_data_refs", objects->observation,
                  "where_sighted_refs", state->identity, "object_marking_refs", AMBER),
        ret_error);
}

static int stix_victim(FILE *stream, void *context, const struct report_victim *victim,
                       struct error *ret_error)
{
    struct state *state = context;
    struct objects objects;
    int rc = malware_put(stream, state, victim, &objects, ret_error);
    if (rc == 0)
        rc = addresses_put(stream, state, victim, &objects, ret_error);
    if (rc == 0)
        rc = traffic_put(stream, state, victim, &objects, ret_error);
    if (rc == 0)
        rc = observation_put(stream, state, victim, &objects, ret_error);
    return rc == 0 ? sighting_put(stream, state, victim, &objects, ret_error) : rc;
}

const struct report_format report_stix = {
    .name = "stix",
    .infections_only = true,
    .begin = stix_begin,
    .victim = stix_victim,
    .end = stix_end,
    .free = stix_free,
};
