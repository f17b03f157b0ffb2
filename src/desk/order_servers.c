/* What each server confirms of an order: the serial of its policy zone, and how it answers for a
 * listed name. */
#include <arpa/inet.h>
#include <errno.h>
#include <libknot/codes.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <libknot/lookup.h>
#include <libknot/packet/wire.h>
#include <libknot/rrtype/opt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "desk/desk_order_internal.h"
#include "desk/zone_publisher_internal.h"
#include "dns/record_reader.h"
#include "zone/origin_link.h"
#include "zone/transfer_in.h"

/* A server that is there answers within milliseconds; a person waits for those that are not. */
#define ANSWER_MS   1000
#define PAYLOAD_MAX 1232
#define OPT_SIZE    11
#define EDE_SIZE    2 /* the code, in front of the text (RFC 8914, 2) */

/* Servers asked at a time. */
#define THREADS_MAX 16

/* How a name was answered. */
struct sample {
    char rcode[16];
    char addresses[4][INET6_ADDRSTRLEN];
    size_t address_count;
    int ede_code; /* -1: none */
    char ede_text[256];
};

struct asking {
    const struct desk_config_server *server;
    const struct order_row *row;
    uint8_t policy_apex[NAME_SIZE_MAX];
    const char *name; /* to ask for; NULL: none */
    int64_t asked_at_s;
    /* What came of it. */
    int soa_rc, sample_rc;
    struct soa soa;
    struct sample sample;
    struct error soa_error, sample_error;
};

/* ---- A question about a name ---- */

static size_t question_make(const uint8_t *name, uint16_t id, uint8_t *message)
{
    size_t size = KNOT_WIRE_HEADER_SIZE, name_size = name_wire_size(name);

    memset(message, 0, size);
    knot_wire_set_id(message, id);
    knot_wire_set_qdcount(message, 1);
    knot_wire_set_arcount(message, 1);
    memcpy(message + size, name, name_size);
    size += name_size;
    knot_wire_write_u16(message + size, KNOT_RRTYPE_A);
    knot_wire_write_u16(message + size + 2, KNOT_CLASS_IN);
    size += 4;
    memset(message + size, 0, OPT_SIZE);
    knot_wire_write_u16(message + size + 1, KNOT_RRTYPE_OPT);
    knot_wire_write_u16(message + size + 3, PAYLOAD_MAX);
    return size + OPT_SIZE;
}

static void ede_read(const struct record *opt, struct sample *sample)
{
    const uint8_t *at = opt->rdata, *end = opt->rdata + opt->rdata_size;

    while (end - at >= 4) {
        uint16_t code = knot_wire_read_u16(at), size = knot_wire_read_u16(at + 2);
        at += 4;
        if (size > end - at)
            return;
        if (code == KNOT_EDNS_OPTION_EDE && size >= EDE_SIZE && sample->ede_code < 0) {
            sample->ede_code = knot_wire_read_u16(at);
            snprintf(sample->ede_text, sizeof(sample->ede_text), "%.*s", size - EDE_SIZE,
                     (const char *)at + EDE_SIZE);
        }
        at += size;
    }
}

static void rcode_write(uint8_t rcode, char *ret_text, size_t size)
{
    const knot_lookup_t *known = knot_lookup_by_id(knot_rcode_names, rcode);
    if (known != NULL)
        snprintf(ret_text, size, "%s", known->name);
    else
        snprintf(ret_text, size, "%u", rcode);
}

static int answer_read(const uint8_t *wire, size_t size, struct record_reader *reader,
                       struct sample *ret_sample)
{
    uint8_t name[NAME_SIZE_MAX];
    uint16_t type, class;

    *ret_sample = (struct sample){.ede_code = -1};
    rcode_write(knot_wire_get_rcode(wire), ret_sample->rcode, sizeof(ret_sample->rcode));
    record_reader_init(reader, wire, size);
    if (knot_wire_get_qdcount(wire) != 1 || record_reader_question(reader, name, &type, &class) < 0)
        return -EBADMSG;
    unsigned answers = knot_wire_get_ancount(wire);
    unsigned count = answers + knot_wire_get_nscount(wire) + knot_wire_get_arcount(wire);
    for (unsigned i = 0; i < count; i++) {
        struct record record;
        if (record_reader_next(reader, &record) < 0)
            return -EBADMSG;
        if (record.type == KNOT_RRTYPE_OPT)
            ede_read(&record, ret_sample);
        if (i < answers && record.type == KNOT_RRTYPE_A && record.rdata_size == 4 &&
            ret_sample->address_count < 4)
            inet_ntop(AF_INET, record.rdata, ret_sample->addresses[ret_sample->address_count++],
                      INET6_ADDRSTRLEN);
    }
    return 0;
}

static int sample_ask(struct asking *asking, const struct transfer_source *source)
{
    _cleanup_(record_reader_freep) struct record_reader *reader = record_reader_create();
    _cleanup_(origin_link_close) struct origin_link link = {.fd = -1};
    uint8_t wire[NAME_SIZE_MAX], message[PAYLOAD_MAX];
    size_t size;
    uint16_t id;

    if (reader == NULL || knot_dname_from_str(wire, asking->name, sizeof(wire)) == NULL ||
        getrandom(&id, sizeof(id), 0) != sizeof(id))
        return error_set(&asking->sample_error, -ENOMEM, "cannot ask for %s", asking->name);
    int rc = origin_link_open_datagram(&link, source, &asking->sample_error);
    if (rc == 0)
        rc = origin_link_send_datagram(&link, message, question_make(wire, id, message),
                                       &asking->sample_error);
    int64_t until_ms = monotonic_ms() + ANSWER_MS;
    do {
        if (rc == 0)
            rc = origin_link_receive_datagram(&link, until_ms, message, sizeof(message), &size,
                                              &asking->sample_error);
    } while (rc == 0 && (size < KNOT_WIRE_HEADER_SIZE || knot_wire_get_id(message) != id));
    if (rc == 0 && answer_read(message, size, reader, &asking->sample) < 0)
        rc = error_set(&asking->sample_error, -EBADMSG, "the answer for %s is malformed",
                       asking->name);
    return rc;
}

/* ---- One server ---- */

static void *server_ask(void *context)
{
    struct asking *asking = context;
    const struct desk_config_server *server = asking->server;
    struct transfer_key key = {0};
    struct transfer_source source = {
        .origin = (const struct sockaddr *)&server->address.address,
        .origin_size = server->address.size,
        .connect_timeout_ms = ANSWER_MS,
        .idle_timeout_ms = ANSWER_MS,
        .total_timeout_ms = 2 * ANSWER_MS,
    };
    uint32_t expire_s;

    if (server->key != NULL) {
        key = (struct transfer_key){server->key->name, server->key->algorithm, server->key->secret};
        source.key = &key;
    }
    asking->soa_rc =
        transfer_soa(&source, asking->policy_apex, &asking->soa, &expire_s, &asking->soa_error);
    if (asking->name != NULL)
        asking->sample_rc = sample_ask(asking, &source);
    return NULL;
}

/* The blocked answer names its order first in the extended error's text (tamis-order(5)). */
static bool sample_confirms(const struct asking *asking)
{
    const struct sample *sample = &asking->sample;
    size_t size = strlen(asking->row->name);

    return asking->name != NULL && asking->sample_rc == 0 &&
           (sample->ede_code == KNOT_EDNS_EDE_BLOCKED ||
            sample->ede_code == KNOT_EDNS_EDE_CENSORED) &&
           strncasecmp(sample->ede_text, asking->row->name, size) == 0 &&
           (sample->ede_text[size] == ' ' || sample->ede_text[size] == '\0');
}

static json_t *sample_json(const struct asking *asking)
{
    json_t *addresses = json_array();

    if (asking->name == NULL) {
        json_decref(addresses);
        return json_null();
    }
    for (size_t i = 0; i < asking->sample.address_count; i++)
        json_array_append_new(addresses, json_string(asking->sample.addresses[i]));
    bool is_told = asking->sample_rc == 0;
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:b, s:o}", "name", asking->name, "rcode",
        is_told ? json_string(asking->sample.rcode) : json_null(), "addresses", addresses, "ede",
        is_told && asking->sample.ede_code >= 0 ? json_integer(asking->sample.ede_code)
                                                : json_null(),
        "ede_text",
        is_told && asking->sample.ede_code >= 0
            ? json_stringn_nocheck(asking->sample.ede_text, strlen(asking->sample.ede_text))
            : json_null(),
        "blocked", sample_confirms(asking), "problem",
        is_told ? json_null() : json_string(asking->sample_error.text));
}

static json_t *server_json(const struct asking *asking)
{
    char asked_at[CLOCK_TEXT_SIZE];
    bool has_zone = asking->soa_rc == 0;
    bool wants = order_row_is(asking->row, "active");
    const char *state = !has_zone && asking->soa_rc != -EACCES                         ? "unknown"
                        : !has_zone                                                    ? "absent"
                        : (int64_t)asking->soa.serial == (uint32_t)asking->row->serial ? "current"
                                                                                       : "outdated";

    return json_pack("{s:s, s:s, s:s, s:o, s:I, s:b, s:s, s:o, s:o}", "server",
                     asking->server->name, "address", asking->server->address.text, "state", state,
                     "serial",
                     has_zone ? json_integer((json_int_t)asking->soa.serial) : json_null(),
                     "expected_serial", (json_int_t)asking->row->serial, "expected", wants,
                     "asked_at", clock_text(asking->asked_at_s, asked_at), "problem",
                     has_zone ? json_null() : json_string(asking->soa_error.text), "sample",
                     sample_json(asking));
}

/* ---- All of them ---- */

/* A listed name, alive if there is one, that no exemption lets pass. */
static int sample_choose(struct store *store, const struct order_row *row,
                         struct store_rows **ret_rows, struct error *ret_error)
{
    return store_query(store, ret_rows, ret_error,
                       "SELECT name FROM order_names WHERE order_id = $1 AND list = 'name' AND "
                       "name NOT IN (SELECT name FROM order_exemptions) AND name NOT IN (SELECT "
                       "name FROM order_names WHERE order_id = $2 AND list = 'exempt') ORDER BY "
                       "CASE WHEN found = 'live' THEN 0 WHEN found = 'dead' THEN 1 ELSE 2 END, "
                       "name LIMIT 1",
                       store_text(row->id), store_text(row->id));
}

static void ask_some(struct asking *askings, size_t count)
{
    pthread_t threads[THREADS_MAX];
    bool runs[THREADS_MAX] = {false};

    for (size_t i = 0; i < count; i++)
        runs[i] = pthread_create(&threads[i], NULL, server_ask, &askings[i]) == 0;
    for (size_t i = 0; i < count; i++) {
        if (runs[i])
            pthread_join(threads[i], NULL);
        else
            (void)server_ask(&askings[i]);
    }
}

static int zone_apex_make(const struct desk *desk, const struct order_row *row,
                          uint8_t ret_apex[static NAME_SIZE_MAX], struct error *ret_error)
{
    const char *suffix = desk->config->orders.suffix;
    if (suffix == NULL)
        return error_set(ret_error, -EEXIST,
                         "no server gets orders from this desk: configure orders.listen");
    return zone_name_make(row->name, suffix, ret_apex)
               ? 0
               : error_set(ret_error, -EINVAL, "the name of the order's zone is too long");
}

int order_servers_ask(struct desk *desk, struct store *store, const struct order_row *row,
                      json_t **ret_items, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct desk_config *config = desk->config;
    uint8_t apex[NAME_SIZE_MAX];

    int rc = zone_apex_make(desk, row, apex, ret_error);
    if (rc == 0)
        rc = sample_choose(store, row, &rows, ret_error);
    if (rc < 0)
        return rc;
    json_t *items = json_array();
    struct asking *askings = calloc(THREADS_MAX, sizeof(*askings));
    for (size_t first = 0; askings != NULL && first < config->server_count; first += THREADS_MAX) {
        size_t left = config->server_count - first;
        size_t count = left < THREADS_MAX ? left : THREADS_MAX;
        for (size_t i = 0; i < count; i++) {
            askings[i] = (struct asking){
                .server = &config->servers[first + i],
                .row = row,
                .name = store_rows_count(rows) > 0 ? store_row_text(rows, 0, 0) : NULL,
                .asked_at_s = clock_now_s(desk->clock),
            };
            memcpy(askings[i].policy_apex, apex, name_wire_size(apex));
        }
        ask_some(askings, count);
        for (size_t i = 0; i < count; i++)
            json_array_append_new(items, server_json(&askings[i]));
    }
    free(askings);
    if (items == NULL || json_array_size(items) != config->server_count) {
        json_decref(items);
        return error_set(ret_error, -ENOMEM, "out of memory for the servers' answers");
    }
    *ret_items = items;
    return 0;
}
