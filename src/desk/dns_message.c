/* Messages to the name server and its answers: UPDATE (RFC 2136), queries for addresses, signed and
 * verified (RFC 8945). */
#include <assert.h>
#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>
#include <stdlib.h>
#include <string.h>

#include "desk/dns_updater_internal.h"

#define QUESTION_FIXED_SIZE 4 /* type and class */

/* ---- Lists ---- */

void dns_message_list_add(struct message_list *list, struct message *message)
{
    message->next = NULL;
    if (list->first == NULL)
        list->first = message;
    else
        list->last->next = message;
    list->last = message;
}

struct message *dns_message_list_take(struct message_list *list)
{
    struct message *message = list->first;
    if (message != NULL)
        list->first = message->next;
    return message;
}

/* The first change that still waits; what was told meanwhile is dropped on the way. */
static struct task *ready_first(struct dns_updater *updater, struct dns_zone *zone)
{
    while (zone->ready.first != NULL && zone->ready.first->is_told)
        dns_task_release(updater, dns_task_list_take(&zone->ready));
    return zone->ready.first;
}

struct message *dns_message_take_changes(struct dns_updater *updater, struct dns_zone *zone)
{
    size_t size = MESSAGE_HEADER_SIZE + zone->name_size + QUESTION_FIXED_SIZE;
    struct task *task = ready_first(updater, zone);
    struct message *message = task != NULL ? calloc(1, sizeof(*message)) : NULL;
    if (message == NULL)
        return NULL;
    message->kind = MESSAGE_UPDATE;
    message->zone = zone;
    for (; task != NULL; task = ready_first(updater, zone)) {
        message->is_full = message->count == UPDATE_CHANGES_MAX ||
                           size + task_records_size(task) > UPDATE_OCTETS_MAX;
        if (message->is_full)
            break;
        size += task_records_size(task);
        dns_task_list_take(&zone->ready);
        dns_task_list_add(&message->tasks, task);
        task->holds = 1;
        message->count++;
    }
    return message;
}

/* ---- Writing ---- */

static size_t put_header(uint8_t *wire, uint16_t id, short opcode, const uint8_t *name,
                         size_t name_size, uint16_t type)
{
    memset(wire, 0, MESSAGE_HEADER_SIZE);
    knot_wire_set_id(wire, id);
    knot_wire_set_opcode(wire, opcode);
    knot_wire_set_qdcount(wire, 1);
    uint8_t *at = wire + MESSAGE_HEADER_SIZE;
    memcpy(at, name, name_size);
    knot_wire_write_u16(at + name_size, type);
    knot_wire_write_u16(at + name_size + 2, KNOT_CLASS_IN);
    return MESSAGE_HEADER_SIZE + name_size + QUESTION_FIXED_SIZE;
}

/* A probe is an update of nothing. */
static size_t put_update(uint8_t *wire, uint16_t id, const struct message *message)
{
    const struct dns_zone *zone = message->zone;
    unsigned records = 0;
    size_t size =
        put_header(wire, id, KNOT_OPCODE_UPDATE, zone->name, zone->name_size, KNOT_RRTYPE_SOA);
    for (const struct task *task = message->tasks.first; task != NULL; task = task->next) {
        memcpy(wire + size, task_records(task), task_records_size(task));
        size += task_records_size(task);
        records += task->record_count;
    }
    assert(size <= UPDATE_OCTETS_MAX);
    knot_wire_set_nscount(wire, (uint16_t)records);
    return size;
}

static uint16_t question_type(const struct message *message)
{
    return message->kind == MESSAGE_A ? KNOT_RRTYPE_A : KNOT_RRTYPE_AAAA;
}

static bool is_update(const struct message *message)
{
    return message->kind == MESSAGE_UPDATE || message->kind == MESSAGE_PROBE;
}

int dns_message_write(struct dns_updater *updater, const struct message *message, struct slot *slot,
                      uint16_t id, uint8_t *octets, size_t *ret_size, struct error *ret_error)
{
    uint8_t *wire = octets + LENGTH_SIZE;
    const struct task *task = message->tasks.first;
    size_t size = is_update(message) ? put_update(wire, id, message)
                                     : put_header(wire, id, KNOT_OPCODE_QUERY, task_host(task),
                                                  task->host_size, question_type(message));
    if (updater->options.key != NULL) {
        int rc = slot->tsig != NULL ? 0 : tsig_client_create(&updater->key, &slot->tsig, ret_error);
        if (rc == 0)
            rc = tsig_client_sign(slot->tsig, wire, &size, UPDATE_OCTETS_MAX + SIGNATURE_OCTETS_MAX,
                                  ret_error);
        if (rc < 0)
            return rc;
    }
    knot_wire_write_u16(octets, (uint16_t)size);
    *ret_size = LENGTH_SIZE + size;
    return 0;
}

/* ---- Reading ---- */

/* Notes an address of the name that was asked for; in a question's task, which counts. */
static void address_take(const struct message *message, const struct record *record,
                         struct dns_addresses *addresses)
{
    if (record->type != question_type(message) || record->class != KNOT_CLASS_IN ||
        !name_equal(record->owner, task_host(message->tasks.first)))
        return;
    if (record->type == KNOT_RRTYPE_A && record->rdata_size == sizeof(addresses->a)) {
        if (addresses->a_count++ == 0)
            memcpy(addresses->a, record->rdata, sizeof(addresses->a));
    } else if (record->type == KNOT_RRTYPE_AAAA && record->rdata_size == sizeof(addresses->aaaa)) {
        if (addresses->aaaa_count++ == 0)
            memcpy(addresses->aaaa, record->rdata, sizeof(addresses->aaaa));
    }
}

/* Walks all records; says whether the last is a signature, which `ret_last` then is. */
static int answer_walk(struct record_reader *reader, const struct message *message,
                       const uint8_t *wire, struct dns_addresses *addresses,
                       struct record *ret_last, bool *ret_is_signed)
{
    uint8_t name[NAME_SIZE_MAX];
    uint16_t type, class, answers = knot_wire_get_ancount(wire);
    unsigned count = answers + knot_wire_get_nscount(wire) + knot_wire_get_arcount(wire);

    for (unsigned i = 0; i < knot_wire_get_qdcount(wire); i++)
        if (record_reader_question(reader, name, &type, &class) < 0)
            return -EBADMSG;
    *ret_is_signed = false;
    for (unsigned i = 0; i < count; i++) {
        if (record_reader_next(reader, ret_last) < 0)
            return -EBADMSG;
        *ret_is_signed = ret_last->type == KNOT_RRTYPE_TSIG;
        if (i < answers && !is_update(message))
            address_take(message, ret_last, addresses);
    }
    return 0;
}

static int answer_verify(struct dns_updater *updater, struct slot *slot, const uint8_t *wire,
                         size_t size, const struct record *signature, struct error *ret_error)
{
    char why[256] = "";
    struct error error = {0};

    int rc = tsig_client_verify(slot->tsig, wire, size, signature, &error);
    if (rc == 0 && !tsig_client_is_complete(slot->tsig))
        rc = -EKEYREJECTED;
    if (rc == 0)
        return 0;
    if (signature != NULL)
        tsig_error_explain(signature, &updater->key, why, sizeof(why));
    return error_set(ret_error, -EKEYREJECTED, "%s", why[0] != '\0' ? why : error.text);
}

int dns_message_read_answer(struct dns_updater *updater, struct slot *slot, const uint8_t *wire,
                            size_t size, uint8_t *ret_rcode, struct error *ret_error)
{
    const struct message *message = slot->message;
    struct dns_addresses addresses =
        is_update(message) ? (struct dns_addresses){0} : message->tasks.first->addresses;
    struct record last;
    bool is_signed = false;

    record_reader_init(updater->reader, wire, size);
    const uint8_t opcode = is_update(message) ? KNOT_OPCODE_UPDATE : KNOT_OPCODE_QUERY;
    if (!knot_wire_get_qr(wire) || knot_wire_get_opcode(wire) != opcode ||
        answer_walk(updater->reader, message, wire, &addresses, &last, &is_signed) < 0)
        return error_set(ret_error, -EBADMSG, "its answer is malformed");
    if (updater->options.key != NULL) {
        int rc = answer_verify(updater, slot, wire, size, is_signed ? &last : NULL, ret_error);
        if (rc < 0)
            return rc;
    }
    if (!is_update(message))
        message->tasks.first->addresses = addresses;
    *ret_rcode = knot_wire_get_rcode(wire);
    return 0;
}
