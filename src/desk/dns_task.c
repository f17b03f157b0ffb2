/* A change or a question as it waits: all that can be made of it in the thread that submits it,
 * which is everything but the message around. */
#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <libknot/wire.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "desk/dns_updater_internal.h"
#include "dns/rdata.h"

#define RECORD_FIXED_SIZE 10     /* type, class, TTL, length (RFC 1035, 3.2.1) */
#define ZONE_POINTER      0xc00c /* to the name behind the header (RFC 1035, 4.1.4) */
#define STRING_SIZE_MAX   255    /* of a character-string (RFC 1035, 3.3) */

/* What the desk makes below a host. */
static const char *const below_all[] = {NULL, "*", "_acme-challenge"};

struct names {
    uint8_t zone[NAME_SIZE_MAX], host[NAME_SIZE_MAX];
    size_t zone_size, host_size;
};

struct writer {
    const struct names *names;
    uint8_t *octets;
    size_t size;
    unsigned records;
};

static int name_take(const char *text, uint8_t ret_wire[static NAME_SIZE_MAX], size_t *ret_size,
                     struct error *ret_error)
{
    if (knot_dname_from_str(ret_wire, text, NAME_SIZE_MAX) == NULL)
        return error_set(ret_error, -EINVAL, "\"%s\" is no domain name", text);
    knot_dname_to_lower(ret_wire);
    *ret_size = knot_dname_size(ret_wire);
    return 0;
}

static int names_take(struct names *ret_names, const char *zone, const char *host,
                      struct error *ret_error)
{
    int rc = name_take(zone, ret_names->zone, &ret_names->zone_size, ret_error);
    if (rc == 0)
        rc = name_take(host, ret_names->host, &ret_names->host_size, ret_error);
    if (rc == 0 && knot_dname_in_bailiwick(ret_names->host, ret_names->zone) < 0)
        rc = error_set(ret_error, -EINVAL, "%s is not in the zone %s", host, zone);
    return rc;
}

/* Returns -EMSGSIZE for a name or a change that gets too long. */
static int put_owner(struct writer *writer, const char *below)
{
    const struct names *names = writer->names;
    size_t label_size = below != NULL ? strlen(below) : 0;
    size_t relative_size = names->host_size - names->zone_size;

    if (label_size > KNOT_DNAME_MAXLABELLEN ||
        (below != NULL && 1 + label_size + names->host_size > NAME_SIZE_MAX))
        return -EMSGSIZE;
    if (writer->size + NAME_SIZE_MAX + RECORD_FIXED_SIZE > DNS_CHANGE_OCTETS_MAX)
        return -EMSGSIZE;
    uint8_t *at = writer->octets + writer->size;
    if (below != NULL) {
        *at++ = (uint8_t)label_size;
        name_fold(at, (const uint8_t *)below, label_size);
        at += label_size;
    }
    memcpy(at, names->host, relative_size);
    at += relative_size;
    knot_wire_write_u16(at, ZONE_POINTER);
    writer->size = (size_t)(at + 2 - writer->octets);
    return 0;
}

static int put_record(struct writer *writer, const char *below, uint16_t type, uint16_t class,
                      uint32_t ttl_s, const void *rdata, size_t rdata_size)
{
    int rc = put_owner(writer, below);
    if (rc < 0)
        return rc;
    if (writer->size + RECORD_FIXED_SIZE + rdata_size > DNS_CHANGE_OCTETS_MAX)
        return -EMSGSIZE;
    uint8_t *at = writer->octets + writer->size;
    knot_wire_write_u16(at, type);
    knot_wire_write_u16(at + 2, class);
    knot_wire_write_u32(at + 4, ttl_s);
    knot_wire_write_u16(at + 8, (uint16_t)rdata_size);
    if (rdata_size > 0)
        memcpy(at + RECORD_FIXED_SIZE, rdata, rdata_size);
    writer->size += RECORD_FIXED_SIZE + rdata_size;
    writer->records++;
    return 0;
}

/* Text as character-strings; at least one, which may be empty. */
static size_t put_strings(const struct dns_value *text, uint8_t *ret_rdata, size_t max)
{
    const uint8_t *octets = text->octets;
    size_t left = text->size, size = 0;
    do {
        size_t part = left < STRING_SIZE_MAX ? left : STRING_SIZE_MAX;
        if (size + 1 + part > max)
            return 0;
        ret_rdata[size] = (uint8_t)part;
        if (part > 0)
            memcpy(ret_rdata + size + 1, octets, part);
        size += 1 + part;
        octets += part;
        left -= part;
    } while (left > 0);
    return size;
}

static int put_value(struct writer *writer, const struct dns_set *set,
                     const struct dns_value *value)
{
    uint8_t strings[DNS_CHANGE_OCTETS_MAX];
    const void *rdata = value->octets;
    size_t size = value->size;

    if (set->type == KNOT_RRTYPE_TXT) {
        size = put_strings(value, strings, sizeof(strings));
        if (size == 0)
            return -EMSGSIZE;
        rdata = strings;
    }
    if (!rdata_is_valid(set->type, rdata, size))
        return -EINVAL;
    return put_record(writer, set->below, set->type, KNOT_CLASS_IN, set->ttl_s, rdata, size);
}

/* "Delete an RRset" and "add to an RRset" (RFC 2136, 2.5.2 and 2.5.1). */
static int put_set(struct writer *writer, const struct dns_set *set)
{
    if (knot_rrtype_is_metatype(set->type))
        return -EINVAL;
    int rc = put_record(writer, set->below, set->type, KNOT_CLASS_ANY, 0, NULL, 0);
    for (size_t i = 0; i < set->count && rc == 0; i++)
        rc = put_value(writer, set, &set->values[i]);
    return rc;
}

/* "Delete all RRsets from a name" (RFC 2136, 2.5.3), of each that there can be. */
static int put_removal(struct writer *writer)
{
    int rc = 0;
    for (size_t i = 0; i < sizeof(below_all) / sizeof(below_all[0]) && rc == 0; i++) {
        const char *below = below_all[i];
        if (below == NULL || 1 + strlen(below) + writer->names->host_size <= NAME_SIZE_MAX)
            rc = put_record(writer, below, KNOT_RRTYPE_ANY, KNOT_CLASS_ANY, 0, NULL, 0);
    }
    return rc;
}

static int put_change(struct writer *writer, const struct dns_change *change,
                      struct error *ret_error)
{
    int rc = change->set_count <= DNS_CHANGE_SETS_MAX ? 0 : -EMSGSIZE;
    if (rc == 0 && change->remove)
        rc = put_removal(writer);
    for (size_t i = 0; i < change->set_count && rc == 0; i++)
        rc = put_set(writer, &change->sets[i]);
    if (rc == -EMSGSIZE)
        return error_set(ret_error, -EINVAL, "the change of %s is too large", change->host);
    if (rc < 0)
        return error_set(ret_error, rc, "the change of %s has a value that does not fit its type",
                         change->host);
    return 0;
}

/* `change` NULL: of a question only the names. */
static int task_encode(const char *zone, const char *host, const struct dns_change *change,
                       struct names *ret_names, struct writer *writer, struct error *ret_error)
{
    writer->names = ret_names;
    int rc = names_take(ret_names, zone, host, ret_error);
    if (rc == 0 && change != NULL)
        rc = put_change(writer, change, ret_error);
    return rc;
}

int dns_change_check(const struct dns_change *change, struct error *ret_error)
{
    uint8_t records[DNS_CHANGE_OCTETS_MAX];
    struct writer writer = {.octets = records};
    struct names names;
    return task_encode(change->zone, change->host, change, &names, &writer, ret_error);
}

int dns_task_create(const char *zone, const char *host, const struct dns_change *change,
                    const uint8_t *hash_key, struct task **ret_task, struct error *ret_error)
{
    uint8_t records[DNS_CHANGE_OCTETS_MAX];
    struct writer writer = {.octets = records};
    struct names names;

    int rc = task_encode(zone, host, change, &names, &writer, ret_error);
    if (rc < 0)
        return rc;

    size_t size = names.zone_size + names.host_size + writer.size;
    struct task *task = malloc(sizeof(*task) + size);
    if (task == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for a change");
    *task = (struct task){.kind = change != NULL ? TASK_CHANGE : TASK_QUESTION,
                          .record_count = (uint16_t)writer.records,
                          .zone_size = (uint8_t)names.zone_size,
                          .host_size = (uint8_t)names.host_size,
                          .size = (uint32_t)size};
    memcpy(task->octets, names.zone, names.zone_size);
    memcpy(task->octets + names.zone_size, names.host, names.host_size);
    memcpy(task->octets + names.zone_size + names.host_size, records, writer.size);
    uint8_t hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, task->octets, names.zone_size + names.host_size, hash_key);
    memcpy(&task->hash, hash, sizeof(task->hash));
    *ret_task = task;
    return 0;
}

void dns_task_list_add(struct task_list *list, struct task *task)
{
    task->next = NULL;
    if (list->first == NULL)
        list->first = task;
    else
        list->last->next = task;
    list->last = task;
}

struct task *dns_task_list_take(struct task_list *list)
{
    struct task *task = list->first;
    if (task != NULL)
        list->first = task->next;
    return task;
}
