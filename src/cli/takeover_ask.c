#include "cli/takeover_ask.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libknot/libknot.h>
#include <sodium.h>
#include <string.h>

#include "zone/origin_link.h"

#define EDNS_UDP_SIZE 1232
#define UDP_TRIES     2
#define UDP_WAIT_MS   1500
#define TIMEOUT_MS    5000
#define QUESTION_MAX  (12 + NAME_SIZE_MAX + 4 + 11)
#define TEXT_MAX      1100 /* a name or DS as text */
#define QR_FLAG       0x80
#define TC_FLAG       0x02

static struct transfer_source source_of(const struct exchange_address *server)
{
    return (struct transfer_source){.origin = (const struct sockaddr *)&server->socket,
                                    .origin_size = server->size,
                                    .connect_timeout_ms = TIMEOUT_MS,
                                    .idle_timeout_ms = TIMEOUT_MS,
                                    .total_timeout_ms = 4 * TIMEOUT_MS};
}

static size_t question_write(uint8_t wire[QUESTION_MAX], const uint8_t *name, uint16_t type)
{
    size_t name_size = name_wire_size(name);
    const uint8_t header[12] = {(uint8_t)randombytes_uniform(256),
                                (uint8_t)randombytes_uniform(256),
                                0,
                                0,
                                0,
                                1,
                                0,
                                0,
                                0,
                                0,
                                0,
                                1};
    const uint8_t fixed[4] = {(uint8_t)(type >> 8), (uint8_t)type, 0, KNOT_CLASS_IN};
    const uint8_t opt[11] = {0, 0, KNOT_RRTYPE_OPT, EDNS_UDP_SIZE >> 8, EDNS_UDP_SIZE & 0xff};
    uint8_t *at = mempcpy(wire, header, sizeof(header));
    at = mempcpy(at, name, name_size);
    at = mempcpy(at, fixed, sizeof(fixed));
    at = mempcpy(at, opt, sizeof(opt));
    return (size_t)(at - wire);
}

/* Same id, a response, and the question that was asked. */
static bool is_answer(const uint8_t *question, size_t question_size, const uint8_t *message,
                      size_t size)
{
    size_t asked = question_size - 11 - 12;
    return size >= 12 + asked && memcmp(question, message, 2) == 0 && message[2] & QR_FLAG &&
           name_equal(question + 12, message + 12) &&
           memcmp(question + 12 + asked - 4, message + 12 + asked - 4, 4) == 0;
}

static int ask_datagram(const struct transfer_source *source, const uint8_t *question,
                        size_t question_size, uint8_t *ret_message, size_t max, size_t *ret_size,
                        struct error *ret_error)
{
    _cleanup_(origin_link_close) struct origin_link link = {.fd = -1};

    int rc = origin_link_open_datagram(&link, source, ret_error);
    for (int tries = 0; tries < UDP_TRIES && rc == 0; tries++) {
        rc = origin_link_send_datagram(&link, question, question_size, ret_error);
        const int64_t until_ms = monotonic_ms() + UDP_WAIT_MS;
        while (rc == 0) {
            rc = origin_link_receive_datagram(&link, until_ms, ret_message, max, ret_size,
                                              ret_error);
            if (rc == 0 && is_answer(question, question_size, ret_message, *ret_size))
                return 0;
        }
        if (rc == -ETIMEDOUT && tries + 1 < UDP_TRIES)
            rc = 0;
    }
    return rc;
}

static int ask_stream(const struct transfer_source *source, const uint8_t *question,
                      size_t question_size, struct answer_arena *arena, uint8_t **ret_message,
                      size_t *ret_size, struct error *ret_error)
{
    _cleanup_(origin_link_close) struct origin_link link = {.fd = -1};
    const uint8_t *message;

    int rc = origin_link_open_stream(&link, source, ret_error);
    if (rc == 0)
        rc = origin_link_send_stream(&link, question, question_size, ret_error);
    if (rc == 0)
        rc = origin_link_receive_stream(&link, &message, ret_size, ret_error);
    if (rc < 0)
        return rc;
    if (!is_answer(question, question_size, message, *ret_size))
        return error_set(ret_error, -EBADMSG, "%s answers something else than was asked",
                         link.text);
    *ret_message = answer_arena_take(arena, *ret_size);
    if (*ret_message == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    memcpy(*ret_message, message, *ret_size);
    return 0;
}

int dns_ask(const struct exchange_address *server, const uint8_t *name, uint16_t type,
            struct answer_arena *arena, struct answer *ret_answer, struct error *ret_error)
{
    const struct transfer_source source = source_of(server);
    char text[ORIGIN_TEXT_MAX];
    uint8_t question[QUESTION_MAX];
    size_t size = 0, question_size = question_write(question, name, type);
    uint8_t *message = answer_arena_take(arena, 4096);

    if (message == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = ask_datagram(&source, question, question_size, message, 4096, &size, ret_error);
    if (rc < 0 || message[2] & TC_FLAG)
        rc = ask_stream(&source, question, question_size, arena, &message, &size, ret_error);
    if (rc < 0)
        return rc;
    if (answer_parse(arena, message, size, ret_answer) < 0) {
        origin_text(source.origin, source.origin_size, text);
        return error_set(ret_error, -EBADMSG, "%s sent a malformed answer", text);
    }
    return 0;
}

static void servers_take(json_t *delegation, const struct answer *answer, const uint8_t *name)
{
    char text[TEXT_MAX];
    json_t *servers = json_object_get(delegation, "ns");
    for (enum answer_section section = 0; section < ANSWER_SECTION_ADDITIONAL; section++)
        for (size_t i = 0; i < answer->sections[section].count; i++) {
            const knot_rrset_t *record = answer->sections[section].records[i];
            if (record->type != KNOT_RRTYPE_NS || !name_equal(record->owner, name) ||
                knot_dname_to_str(text, knot_ns_name(record->rrs.rdata), sizeof(text)) == NULL)
                continue;
            json_array_append_new(servers, json_string(text));
            json_object_set_new(delegation, "ttl", json_integer(record->ttl));
        }
}

static void glue_take(json_t *delegation, const struct answer *answer, const uint8_t *name)
{
    char owner[TEXT_MAX], address[INET6_ADDRSTRLEN];
    json_t *glue = json_object_get(delegation, "glue");
    const struct answer_records *records = &answer->sections[ANSWER_SECTION_ADDITIONAL];
    for (size_t i = 0; i < records->count; i++) {
        const knot_rrset_t *record = records->records[i];
        if ((record->type != KNOT_RRTYPE_A && record->type != KNOT_RRTYPE_AAAA) ||
            knot_dname_in_bailiwick(record->owner, name) < 0 ||
            knot_dname_to_str(owner, record->owner, sizeof(owner)) == NULL)
            continue;
        inet_ntop(record->type == KNOT_RRTYPE_A ? AF_INET : AF_INET6, record->rrs.rdata->data,
                  address, sizeof(address));
        json_array_append_new(glue, json_pack("{s:s, s:s}", "name", owner, "address", address));
        json_object_set_new(delegation, "glue_ttl", json_integer(record->ttl));
    }
}

static void ds_take(json_t *delegation, const struct answer *answer)
{
    char text[TEXT_MAX];
    const struct answer_records *records = &answer->sections[ANSWER_SECTION_ANSWER];
    for (size_t i = 0; i < records->count; i++)
        if (records->records[i]->type == KNOT_RRTYPE_DS &&
            knot_rrset_txt_dump_data(records->records[i], 0, text, sizeof(text),
                                     &KNOT_DUMP_STYLE_DEFAULT) > 0)
            json_array_append_new(json_object_get(delegation, "ds"), json_string(text));
}

int delegation_ask(const struct exchange_address *server, const uint8_t *name,
                   json_t **ret_delegation, struct error *ret_error)
{
    _cleanup_(answer_arena_freep) struct answer_arena *arena = NULL;
    struct answer answer, ds;

    if (answer_arena_create(&arena) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = dns_ask(server, name, KNOT_RRTYPE_NS, arena, &answer, ret_error);
    if (rc == 0)
        rc = dns_ask(server, name, KNOT_RRTYPE_DS, arena, &ds, ret_error);
    if (rc < 0)
        return rc;
    json_t *delegation =
        json_pack("{s:[], s:i, s:[], s:i, s:[]}", "ns", "ttl", 0, "glue", "glue_ttl", 0, "ds");
    if (delegation == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    servers_take(delegation, &answer, name);
    glue_take(delegation, &answer, name);
    ds_take(delegation, &ds);
    *ret_delegation = delegation;
    return 0;
}

int zone_signed_ask(const struct exchange_address *server, const uint8_t *name, bool *ret_signed,
                    struct error *ret_error)
{
    _cleanup_(answer_arena_freep) struct answer_arena *arena = NULL;
    struct answer answer;

    if (answer_arena_create(&arena) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = dns_ask(server, name, KNOT_RRTYPE_DNSKEY, arena, &answer, ret_error);
    if (rc < 0)
        return rc;
    *ret_signed = false;
    for (size_t i = 0; i < answer.sections[ANSWER_SECTION_ANSWER].count; i++)
        *ret_signed |=
            answer.sections[ANSWER_SECTION_ANSWER].records[i]->type == KNOT_RRTYPE_DNSKEY;
    return 0;
}

bool zone_transferable(const struct exchange_address *server, const uint8_t *name,
                       struct error *ret_error)
{
    const struct transfer_source source = source_of(server);
    _cleanup_(answer_arena_freep) struct answer_arena *arena = NULL;
    uint8_t question[QUESTION_MAX], *message;
    size_t size;

    if (answer_arena_create(&arena) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory") == 0;
    size_t question_size = question_write(question, name, KNOT_RRTYPE_AXFR);
    if (ask_stream(&source, question, question_size, arena, &message, &size, ret_error) < 0)
        return false;
    unsigned rcode = message[3] & 0xf, answers = message[6] << 8 | message[7];
    if (rcode == KNOT_RCODE_NOERROR && answers > 0)
        return true;
    const knot_lookup_t *word = knot_lookup_by_id(knot_rcode_names, (int)rcode);
    return error_set(ret_error, -EACCES, "the origin answers %s to a transfer",
                     word != NULL ? word->name : "an unknown code") == 0;
}

static bool has_server(const json_t *servers, const char *name)
{
    size_t index;
    json_t *value;
    json_array_foreach(servers, index,
                       value) if (strcasecmp(json_string_value(value), name) == 0) return true;
    return false;
}

bool delegation_same_servers(const json_t *one, const json_t *other)
{
    const json_t *a = json_object_get(one, "ns"), *b = json_object_get(other, "ns");
    size_t index;
    json_t *value;
    if (json_array_size(a) != json_array_size(b))
        return false;
    json_array_foreach(a, index, value) if (!has_server(b, json_string_value(value))) return false;
    return true;
}
