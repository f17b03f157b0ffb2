#include "server/responder.h"

#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>
#include <libknot/rrtype/opt.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>

#include "base/octets.h"
#include "base/rcu.h"
#include "server/responder_internal.h"
#include "zone/answer_direct.h"

#define PAYLOAD_MIN 512 /* what every client takes (RFC 1035, 4.2.1) */
#define OPT_SIZE    11  /* of an OPT without options */
#define OPTION_HEAD 4   /* code and length */

#define OPTION_REPORT_CHANNEL 18 /* RFC 9567, 5 */

/* Padded responses are a multiple of this (RFC 8467, 4.1). */
#define PADDING_BLOCK 468

int responder_create(const struct responder_options *options, struct responder **ret_responder,
                     struct error *ret_error)
{
    struct responder *responder = calloc(1, sizeof(*responder));
    if (responder == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    responder->options = *options;
    responder->zone_counts =
        options->zone_counts != NULL ? options->zone_counts : &responder->uncounted;
    *ret_responder = responder;
    return 0;
}

void responder_free(struct responder *responder)
{
    free(responder);
}

void responder_counters(const struct responder *responder, struct responder_counters *ret_counters)
{
    const uint64_t *from = (const uint64_t *)&responder->counters;
    uint64_t *to = (uint64_t *)ret_counters;
    for (size_t i = 0; i < sizeof(*ret_counters) / sizeof(uint64_t); i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

/* ---- EDNS in the response ---- */

static uint8_t *put_option(uint8_t *at, uint16_t code, const void *data, size_t size)
{
    knot_wire_write_u16(at, code);
    knot_wire_write_u16(at + 2, (uint16_t)size);
    if (size > 0)
        memcpy(at + OPTION_HEAD, data, size);
    return at + OPTION_HEAD + size;
}

/* Whether the client asked for our identifier and it fits beside the question. */
static bool sends_nsid(const struct responder *responder, const struct exchange *exchange)
{
    const struct request *request = exchange->request;
    return request->wants_nsid && responder->options.nsid != NULL &&
           request->question_end + OPT_SIZE + OPTION_HEAD + responder->options.nsid_size <=
               exchange->limit;
}

size_t responder_edns_size(const struct responder *responder, const struct exchange *exchange)
{
    size_t size = OPT_SIZE;
    if (sends_nsid(responder, exchange))
        size += OPTION_HEAD + responder->options.nsid_size;
    if (exchange->request->wants_keepalive && exchange->transport != TRANSPORT_UDP)
        size += OPTION_HEAD + 2;
    if (exchange->request->wants_expire)
        size += OPTION_HEAD + 4;
    return size;
}

static size_t tsig_size(const struct exchange *exchange)
{
    return exchange->tsig != NULL ? tsig_server_size(exchange->tsig) : 0;
}

/* Pads a response, which ends at `at`, the EDNS options last, and may grow to `limit`: when the
 * query was padded (RFC 7830, 4) and nobody reads the sizes in the clear anyway. A signature that
 * follows counts. */
static uint8_t *put_padding(const struct exchange *exchange, const uint8_t *wire, uint8_t *at,
                            size_t limit)
{
    const size_t used = (size_t)(at - wire) + OPTION_HEAD;
    if (!exchange->request->wants_padding || !transport_is_encrypted(exchange->transport) ||
        used > limit)
        return at;

    size_t signed_size = used + tsig_size(exchange);
    size_t padding = (PADDING_BLOCK - signed_size % PADDING_BLOCK) % PADDING_BLOCK;
    if (padding > limit - used)
        padding = limit - used;
    knot_wire_write_u16(at, KNOT_EDNS_OPTION_PADDING);
    knot_wire_write_u16(at + 2, (uint16_t)padding);
    memset(at + OPTION_HEAD, 0, padding);
    return at + OPTION_HEAD + padding;
}

/* The options that came with an origin's answer; not the agent that it names where we name one, for
 * there may be but one (RFC 9567, 6.2). */
static uint8_t *put_origin_options(const struct responder *responder,
                                   const struct exchange *exchange, uint8_t *at)
{
    const uint8_t *option = exchange->options, *end = option + exchange->options_size;
    while (end - option >= OPTION_HEAD) {
        const size_t size = OPTION_HEAD + (size_t)knot_wire_read_u16(option + 2);
        if (size > (size_t)(end - option))
            break;
        if (responder->options.error_reports == NULL ||
            knot_wire_read_u16(option) != OPTION_REPORT_CHANNEL) {
            memcpy(at, option, size);
            at += size;
        }
        option += size;
    }
    return at;
}

/* Who takes reports of errors (RFC 9567, 6.2), where there is room; not about the agent itself,
 * whose failure nobody could report. */
static uint8_t *put_report_channel(const struct responder *responder,
                                   const struct exchange *exchange, const uint8_t *wire,
                                   uint8_t *at, size_t limit)
{
    const struct error_agent *agent = error_reports_agent(responder->options.error_reports);
    if (exchange->zone == NULL || (size_t)(at - wire) + agent->option_size > limit ||
        error_agent_name_is_within(exchange->name, &agent->domain))
        return at;
    memcpy(at, agent->option, agent->option_size);
    return at + agent->option_size;
}

static size_t put_edns(const struct responder *responder, const struct exchange *exchange,
                       uint8_t *wire, size_t size, size_t limit)
{
    uint8_t *opt = wire + size;
    opt[0] = 0;
    knot_wire_write_u16(opt + 1, KNOT_RRTYPE_OPT);
    knot_wire_write_u16(opt + 3, responder->options.udp_payload_max);
    opt[5] = (uint8_t)(exchange->rcode >> 4);
    opt[6] = 0; /* version (RFC 6891, 6.1.3) */
    knot_wire_write_u16(opt + 7, exchange->request->dnssec_ok ? 0x8000 : 0);

    uint8_t *at = opt + OPT_SIZE;
    if (sends_nsid(responder, exchange))
        at = put_option(at, KNOT_EDNS_OPTION_NSID, responder->options.nsid,
                        responder->options.nsid_size);
    if (exchange->request->wants_keepalive && exchange->transport != TRANSPORT_UDP) {
        uint8_t timeout[2]; /* in units of 100 ms (RFC 7828, 3.1) */
        knot_wire_write_u16(timeout, (uint16_t)(responder->options.tcp_idle_timeout_ms / 100));
        at = put_option(at, KNOT_EDNS_OPTION_TCP_KEEPALIVE, timeout, sizeof(timeout));
    }
    if (exchange->tells_expire) {
        uint8_t expire[4];
        knot_wire_write_u32(expire, exchange->expire_s);
        at = put_option(at, KNOT_EDNS_OPTION_EXPIRE, expire, sizeof(expire));
    }
    if (exchange->options_size > 0 && (size_t)(at - wire) + exchange->options_size <= limit)
        at = put_origin_options(responder, exchange, at);
    if (exchange->ede_code >= 0) {
        uint8_t error[2 + VERDICT_TEXT_MAX];
        knot_wire_write_u16(error, (uint16_t)exchange->ede_code);
        size_t text_size = exchange->ede_text_size;
        size_t used = (size_t)(at - wire);
        size_t room = limit > used ? limit - used : 0;
        if (room < OPTION_HEAD + 2 + text_size)
            text_size = 0; /* the code alone still tells */
        if (room >= OPTION_HEAD + 2 + text_size) {
            if (text_size > 0)
                memcpy(error + 2, exchange->ede_text, text_size);
            at = put_option(at, KNOT_EDNS_OPTION_EDE, error, 2 + text_size);
        }
    }
    if (responder->options.error_reports != NULL)
        at = put_report_channel(responder, exchange, wire, at, limit);
    at = put_padding(exchange, wire, at, limit);
    knot_wire_write_u16(opt + 9, (uint16_t)(at - opt - OPT_SIZE));
    return (size_t)(at - wire);
}

/* ---- Requests by kind ---- */

static const char *key_name(const struct exchange *exchange)
{
    return exchange->tsig != NULL ? exchange->tsig->key_name : NULL;
}

static void answer_internet(struct responder *responder, struct exchange *exchange,
                            const struct prepared *prepared, struct response *response)
{
    struct answer *answer = &responder->answer;
    struct response_mark empty = response_mark(response);
    answer->question = prepared->question;
    if (!prepared->has_zone)
        question_find_zone(&answer->question, exchange->environment->zones);
    exchange->zone = answer->question.zone;
    answer->judgement = exchange->judgement;
    answer_question(answer, exchange->environment, response);
    if (answer->transfer_only != NULL && responder->options.transfer_allowed != NULL &&
        responder->options.transfer_allowed(responder->options.context, answer->transfer_only,
                                            exchange->client, key_name(exchange))) {
        struct answer_environment permitted = *exchange->environment;
        permitted.may_transfer = true;
        answer_question(answer, &permitted, response);
    }
    if (responder_is_forwarded(answer)) {
        responder_forward_generally(responder, exchange, prepared, response);
        return;
    }
    exchange->dropped = answer->dropped;
    if (answer->truncated)
        responder_count(&responder->counters.truncated);
    if (answer->truncated && exchange->transport != TRANSPORT_UDP) {
        /* There is no larger transport to send the client to: the answer cannot be told. */
        static const char text[] = "the answer is larger than a message can be";
        response_rewind(response, &empty);
        exchange->rcode = KNOT_RCODE_SERVFAIL;
        exchange->ede_code = KNOT_EDNS_EDE_OTHER;
        exchange->ede_text = text;
        exchange->ede_text_size = sizeof(text) - 1;
        return;
    }

    exchange->rcode = answer->rcode;
    exchange->authoritative = answer->authoritative;
    exchange->truncated = answer->truncated;
    exchange->ede_code = answer->ede_code;
    exchange->ede_text = answer->ede_text;
    exchange->ede_text_size = answer->ede_text_size;
    exchange->is_listed = answer->verdict;
    if (answer->verdict)
        responder_count(&responder->counters.verdicts);
}

/* The zone whose apex is the question's name; NULL when it is not ours. */
static struct zone *exact_zone(const struct responder *responder, const struct name *name)
{
    struct zone *zone = zone_set_find(rcu_dereference(responder->options.view->zones), name, 0);
    return zone != NULL && zone->name.label_count == name->label_count ? zone : NULL;
}

/* How long a secondary may serve what it has from here: as long as we may, or as a primary's SOA
 * says (RFC 7314, 2 and 3). */
static _cold_ void add_expire(const struct responder *responder, struct exchange *exchange,
                              const struct name *name)
{
    const struct zone *zone = exact_zone(responder, name);
    struct rrset soa;
    if (zone == NULL || zone->role == ZONE_FORWARD || exchange->rcode != KNOT_RCODE_NOERROR)
        return;
    const struct name_entry *apex = rcu_dereference(rcu_dereference(zone->data)->apex_entry);
    if (apex == NULL || !name_entry_rrset(apex, KNOT_RRTYPE_SOA, &soa))
        return;
    exchange->tells_expire = true;
    exchange->expire_s = knot_wire_read_u32(soa.data + soa.size - 8);
    if (zone->role == ZONE_SECONDARY) {
        const int64_t left_s = atomic_load(&zone->expires_at) - exchange->environment->now;
        exchange->expire_s = left_s > 0 ? (uint32_t)left_s : 0;
    }
}

/* Why a zone is not served now, as for its other questions; false when it is. */
static bool is_not_served(struct exchange *exchange, const struct zone *zone)
{
    const int status = atomic_load_explicit(&zone->status, memory_order_relaxed);
    if (status == ZONE_SERVING)
        return false;
    exchange->rcode = KNOT_RCODE_SERVFAIL;
    exchange->ede_code = status == ZONE_EXPIRED ? KNOT_EDNS_EDE_INV_DATA : KNOT_EDNS_EDE_NOT_READY;
    return true;
}

/* Hands a transfer to who sends it, or says why not. Over UDP there is no AXFR (RFC 5936, 4.2),
 * over TLS 1.2 nothing (RFC 9103, 7.2), and IXFR tells our serial to who tells its own (RFC 1995,
 * 3). */
static _cold_ void answer_transfer(const struct responder *responder, struct exchange *exchange,
                                   const struct name *name)
{
    const struct responder_options *options = &responder->options;
    const struct request *request = exchange->request;
    const struct zone *zone = exact_zone(responder, name);
    if (request->qtype == KNOT_RRTYPE_AXFR && exchange->transport == TRANSPORT_UDP)
        exchange->rcode = KNOT_RCODE_NOTIMPL;
    else if (exchange->transport == TRANSPORT_TLS_1_2)
        exchange->rcode = KNOT_RCODE_REFUSED;
    else if (zone == NULL || options->transfer == NULL)
        exchange->rcode = KNOT_RCODE_NOTAUTH;
    else if (request->qtype == KNOT_RRTYPE_IXFR && !request->has_ixfr_soa)
        exchange->rcode = KNOT_RCODE_FORMERR;
    else {
        const int rc = options->transfer(options->context, zone, request, exchange->tsig,
                                         exchange->client, exchange->transport, exchange->limit);
        exchange->is_deferred = rc < 0;
        if (rc == KNOT_RCODE_SERVFAIL && is_not_served(exchange, zone))
            return;
        if (rc >= 0)
            exchange->rcode = (uint16_t)rc;
    }
}

static void answer_query(struct responder *responder, struct exchange *exchange,
                         const struct prepared *prepared, struct response *response)
{
    const struct request *request = exchange->request;
    if (request->qclass == KNOT_CLASS_CH) {
        exchange->rcode = responder_chaos(responder, request, &prepared->name, response);
        return;
    }
    if (request->qclass != KNOT_CLASS_IN && request->qclass != KNOT_CLASS_ANY) {
        exchange->rcode = KNOT_RCODE_REFUSED;
        return;
    }
    switch (request->qtype) {
    case 0:
        exchange->rcode = KNOT_RCODE_NOTIMPL;
        return;
    case KNOT_RRTYPE_AXFR:
    case KNOT_RRTYPE_IXFR:
        answer_transfer(responder, exchange, &prepared->name);
        return;
    default:
        if (!responder_is_report(responder, &prepared->name) ||
            !responder_take_report(responder, exchange, prepared, response))
            answer_internet(responder, exchange, prepared, response);
        if (request->wants_expire && request->qtype == KNOT_RRTYPE_SOA)
            add_expire(responder, exchange, &prepared->name);
        return;
    }
}

static _cold_ void answer_notify(struct responder *responder, struct exchange *exchange,
                                 const struct name *name)
{
    const struct request *request = exchange->request;
    struct zone *zone = exact_zone(responder, name);
    if (zone == NULL || zone->role != ZONE_SECONDARY || request->qtype != KNOT_RRTYPE_SOA ||
        !responder->options.notify_allowed(responder->options.context, zone, exchange->client,
                                           key_name(exchange))) {
        exchange->rcode = KNOT_RCODE_NOTAUTH;
        return;
    }
    responder->options.notified(responder->options.context, zone, request->notify_serial);
    exchange->authoritative = true; /* RFC 1996, 4.7 */
}

/* Hands an update to who makes it; false when it is to be answered here. The zone section is looked
 * at before the signature, which who makes the update checks (RFC 2136, 3.1.1 and 3.3). */
static _cold_ bool hand_over_update(const struct responder *responder, struct exchange *exchange,
                                    const struct name *name)
{
    const struct responder_options *options = &responder->options;
    const struct request *request = exchange->request;
    struct zone *zone = exact_zone(responder, name);
    exchange->rcode = KNOT_RCODE_NOERROR;
    if (request->qtype != KNOT_RRTYPE_SOA)
        exchange->rcode = KNOT_RCODE_FORMERR;
    else if (request->qclass != KNOT_CLASS_IN || zone == NULL)
        exchange->rcode = KNOT_RCODE_NOTAUTH;
    else if (options->update == NULL)
        exchange->rcode = KNOT_RCODE_REFUSED;
    if (exchange->rcode != KNOT_RCODE_NOERROR)
        return false;
    int rc =
        options->update(options->context, zone, request, exchange->client, exchange->transport);
    exchange->is_deferred = rc < 0;
    if (rc >= 0)
        exchange->rcode = (uint16_t)rc;
    return rc < 0;
}

/* Checks a signed request; true when it may be answered. Not ours is told without a look at the
 * key. */
static _cold_ bool check_tsig(struct responder *responder, struct exchange *exchange,
                              const struct name *name)
{
    const struct request *request = exchange->request;
    if (request->opcode == KNOT_OPCODE_QUERY && request->has_question &&
        zone_set_find(rcu_dereference(responder->options.view->zones), name, 0) == NULL)
        return true;
    struct tsig_server *tsig = &responder->tsig;
    uint8_t rcode = tsig_server_check(responder->options.keyring, request->wire, request->size,
                                      request->tsig_offset, exchange->environment->now, tsig);
    if (rcode == KNOT_RCODE_NOERROR || rcode == KNOT_RCODE_NOTAUTH)
        exchange->tsig = tsig;
    if (rcode != KNOT_RCODE_NOERROR)
        exchange->rcode = rcode;
    return rcode == KNOT_RCODE_NOERROR;
}

static void answer_by_opcode(struct responder *responder, struct exchange *exchange,
                             const struct prepared *prepared, struct response *response)
{
    const struct request *request = exchange->request;
    const struct name *name = &prepared->name;
    switch (request->opcode) {
    case KNOT_OPCODE_QUERY:
        responder_count(&responder->counters.queries);
        break;
    case KNOT_OPCODE_NOTIFY:
        responder_count(&responder->counters.notifies);
        break;
    case KNOT_OPCODE_UPDATE:
        responder_count(&responder->counters.updates);
        break;
    default:
        responder_count(&responder->counters.others);
        exchange->rcode = KNOT_RCODE_NOTIMPL;
        return;
    }
    if (!request->has_question) {
        exchange->rcode = KNOT_RCODE_FORMERR;
        return;
    }
    if (request->opcode == KNOT_OPCODE_UPDATE && hand_over_update(responder, exchange, name))
        return;
    if (request->has_tsig) {
        if (!check_tsig(responder, exchange, name))
            return;
        response_reserve(response, tsig_size(exchange));
    }
    if (request->opcode == KNOT_OPCODE_QUERY)
        answer_query(responder, exchange, prepared, response);
    else if (request->opcode == KNOT_OPCODE_NOTIFY)
        answer_notify(responder, exchange, name);
}

/* ---- The whole ---- */

/* Octets a response may have: what the client takes, what we send, what the buffer holds. */
static size_t response_limit(const struct responder *responder, const struct request *request,
                             enum transport transport, size_t response_max)
{
    size_t limit = RESPONSE_SIZE_MAX;
    if (transport == TRANSPORT_UDP) {
        limit = PAYLOAD_MIN;
        if (request->has_edns && request->edns_payload > limit)
            limit = request->edns_payload < responder->options.udp_payload_max
                        ? request->edns_payload
                        : responder->options.udp_payload_max;
    }
    return limit < response_max ? limit : response_max;
}

/* Counts what a zone answered. */
static inline void count_answer(struct responder *responder, const struct exchange *exchange)
{
    if (exchange->zone == NULL)
        return;
    unsigned kind = exchange->rcode >> 1 == 1 ? exchange->rcode : ZONE_COUNT_OTHER;
    if (exchange->is_listed)
        kind = ZONE_COUNT_LISTED;
    zone_counts_add(&responder->zone_counts[exchange->zone->counter], kind);
}

static size_t finish(struct responder *responder, struct exchange *exchange, uint8_t *wire,
                     size_t response_max)
{
    const struct request *request = exchange->request;
    if (exchange->is_deferred)
        return 0;

    uint16_t flags = 0x8000 | (request->flags & 0x7900); /* QR, and the request's opcode and RD */
    if (exchange->authoritative)
        flags |= 0x0400;
    if (exchange->truncated)
        flags |= 0x0200;
    flags |= exchange->rcode & 0xf;

    knot_wire_write_u16(wire, request->id);
    knot_wire_write_u16(wire + 2, flags);
    knot_wire_set_qdcount(wire, request->has_question ? 1 : 0);
    knot_wire_set_ancount(wire, exchange->counts[SECTION_ANSWER]);
    knot_wire_set_nscount(wire, exchange->counts[SECTION_AUTHORITY]);
    knot_wire_set_arcount(wire,
                          (uint16_t)(exchange->counts[SECTION_ADDITIONAL] + exchange->with_edns));

    size_t size = exchange->size;
    if (exchange->with_edns) {
        const size_t kept = tsig_size(exchange);
        const size_t limit = exchange->limit > kept ? exchange->limit - kept : 0;
        size = put_edns(responder, exchange, wire, size, limit);
    }
    if (exchange->tsig != NULL &&
        tsig_server_sign(exchange->tsig, wire, &size, response_max, exchange->environment->now) < 0)
        return 0; /* unsigned it would not be believed */
    if (exchange->rcode < sizeof(responder->counters.rcodes) / sizeof(uint64_t))
        responder_count(&responder->counters.rcodes[exchange->rcode]);
    count_answer(responder, exchange);
    if (exchange->is_listed && responder->options.listed != NULL)
        listed_answers_put(responder->options.listed, responder->options.worker, exchange->client,
                           exchange->transport != TRANSPORT_UDP, wire, size);
    return size;
}

/* Reads a request, and finds the zone that a question for data is about. */
static void prepare(const struct answer_environment *environment, const uint8_t *wire, size_t size,
                    struct prepared *prepared)
{
    struct request *request = &prepared->request;
    prepared->has_zone = false;
    prepared->cache = NULL;
    prepared->candidate = NULL;
    prepared->status = request_parse(request, &prepared->name, wire, size);
    if (prepared->status == REQUEST_IGNORE)
        return;
    if (!request->has_question)
        prepared->name.label_count = 0;
    prepared->question = (struct question){
        .name = &prepared->name, .type = request->qtype, .dnssec = request->dnssec_ok};
    if (prepared->status == REQUEST_OK && request_asks_data(request) && !request->has_tsig) {
        question_find_zone(&prepared->question, environment->zones);
        prepared->has_zone = prepared->question.zone != NULL;
    }
}

/* The ordinary answer to an ordinary question, behind the question at `wire`. False: nothing was
 * done but asking the orders. */
static bool respond_directly(struct responder *responder, struct exchange *exchange,
                             const struct prepared *prepared, uint8_t *wire)
{
    size_t end = prepared->request.question_end;
    size_t reserved = exchange->with_edns ? responder_edns_size(responder, exchange) : 0;
    size_t room = exchange->limit > end + reserved ? exchange->limit - end - reserved : 0;
    struct direct_answer answer;
    if (!answer_direct(&prepared->question, exchange->environment, wire + end, room, &answer,
                       &exchange->judgement))
        return false;

    responder_count(&responder->counters.queries);
    const struct verdict *verdict = exchange->judgement.verdict;
    if (verdict != NULL) {
        responder_count(&responder->counters.verdicts);
        exchange->is_listed = true;
        exchange->ede_code = verdict->ede_code;
        exchange->ede_text = verdict->text;
        exchange->ede_text_size = verdict->text_size;
    }
    exchange->rcode = answer.rcode;
    exchange->authoritative = answer.authoritative;
    exchange->counts[SECTION_ANSWER] = answer.answer_count;
    exchange->counts[SECTION_AUTHORITY] = answer.authority_count;
    exchange->size = end + answer.size;
    return true;
}

/* The same with a zone of any role, as far as there is one. */
static bool may_respond_directly(struct responder *responder, struct exchange *exchange,
                                 const struct prepared *prepared, uint8_t *wire)
{
    if (!prepared->has_zone || responder->is_never_direct ||
        responder_is_report(responder, &prepared->name))
        return false;
    if (prepared->question.zone->role == ZONE_FORWARD)
        return responder_forward_directly(responder, exchange, prepared, wire);
    return respond_directly(responder, exchange, prepared, wire);
}

static void respond_generally(struct responder *responder, struct exchange *exchange,
                              const struct prepared *prepared, uint8_t *wire)
{
    const struct request *request = exchange->request;
    struct response response;
    response_init(&response, wire, request->question_end, exchange->limit, &prepared->name);
    if (exchange->with_edns)
        response_reserve(&response, responder_edns_size(responder, exchange));

    if (prepared->status == REQUEST_MALFORMED) {
        responder_count(&responder->counters.malformed);
        exchange->rcode = KNOT_RCODE_FORMERR;
    } else if (request->has_edns && request->edns_version != 0) {
        exchange->rcode = KNOT_RCODE_BADVERS;
    } else {
        answer_by_opcode(responder, exchange, prepared, &response);
    }
    exchange->size = response.size;
    memcpy(exchange->counts, response.counts, sizeof(exchange->counts));
}

static void copy_question(const struct request *request, uint8_t *wire)
{
    octets_copy(wire + KNOT_WIRE_HEADER_SIZE, request->wire + KNOT_WIRE_HEADER_SIZE,
                request->question_end - KNOT_WIRE_HEADER_SIZE);
}

/* Responds to a request that was read. The general way needs the request as it came until the end,
 * for its TSIG, so it writes into the spare buffer; only the direct one can take its place. */
static void respond(struct responder *responder, const struct answer_environment *environment,
                    const struct prepared *prepared, struct responder_datagram *datagram,
                    enum transport transport, size_t response_max, bool in_place)
{
    if (prepared->status == REQUEST_IGNORE) {
        responder_count(&responder->counters.ignored);
        datagram->response_size = 0;
        return;
    }
    const struct request *request = &prepared->request;
    struct exchange exchange = {
        .request = request,
        .environment = environment,
        .client = datagram->client,
        .transport = transport,
        .limit = response_limit(responder, request, transport, response_max),
        .with_edns = request->has_edns && prepared->status == REQUEST_OK,
        .ede_code = -1,
        .name = &prepared->name,
        .zone = prepared->question.zone,
    };
    datagram->response = in_place ? datagram->request : datagram->spare;
    if (!in_place)
        copy_question(request, datagram->spare);
    if (!may_respond_directly(responder, &exchange, prepared, datagram->response)) {
        datagram->response = datagram->spare;
        if (in_place)
            copy_question(request, datagram->spare);
        respond_generally(responder, &exchange, prepared, datagram->spare);
    }
    if (exchange.dropped) {
        count_answer(responder, &exchange);
        datagram->response_size = 0;
        return;
    }
    datagram->response_size = finish(responder, &exchange, datagram->response, response_max);
}

static struct answer_environment make_environment(const struct responder *responder,
                                                  enum transport transport, int64_t now)
{
    const struct responder_view *view = responder->options.view;
    const struct overlay_set *orders = rcu_dereference(view->orders);
    return (struct answer_environment){
        .zones = rcu_dereference(view->zones),
        .overlay = orders == NULL ? NULL : overlay_set_overlay(orders),
        .now = now,
        .worker = responder->options.worker,
        .over_tcp = transport != TRANSPORT_UDP,
    };
}

size_t responder_answer(struct responder *responder, const uint8_t *request, size_t request_size,
                        const struct sockaddr *client, enum transport transport, int64_t now,
                        uint8_t *response, size_t response_max)
{
    const struct answer_environment environment = make_environment(responder, transport, now);
    struct prepared *prepared = &responder->prepared[0];
    struct responder_datagram datagram = {
        .request = (uint8_t *)request, /* only read, as the response goes elsewhere */
        .client = client,
        .spare = response,
    };
    prepare(&environment, request, request_size, prepared);
    respond(responder, &environment, prepared, &datagram, transport, response_max, false);
    return datagram.response_size;
}

size_t responder_answer_forwarded(struct responder *responder, const uint8_t *request,
                                  size_t request_size, const struct sockaddr *client,
                                  enum transport transport, int64_t now,
                                  const struct forward_outcome *outcome, uint8_t *response,
                                  size_t response_max)
{
    responder->outcome = outcome;
    const size_t size = responder_answer(responder, request, request_size, client, transport, now,
                                         response, response_max);
    responder->outcome = NULL;
    return size;
}

/* What the orders have to say about marked names, likewise. */
static void prefetch_verdicts(const struct overlay *overlay, const struct prepared *const *marked,
                              size_t count)
{
    if (overlay == NULL || overlay->prefetch == NULL)
        return;
    for (unsigned step = 0; step < OVERLAY_STEPS; step++) {
        for (size_t i = 0; i < count; i++)
            overlay->prefetch(overlay, &marked[i]->name, step);
    }
}

static void answer_group(struct responder *responder, const struct answer_environment *environment,
                         struct responder_datagram *datagrams, size_t count, size_t response_max)
{
    struct prepared *prepared = responder->prepared;
    const struct prepared *marked[GROUP_MAX];
    size_t marked_count = 0;
    for (size_t i = 0; i < count; i++)
        prepare(environment, datagrams[i].request, datagrams[i].request_size, &prepared[i]);
    /* In loops of their own: a core waits for the page's address behind a prefetch as behind a
     * load, and only what stands near enough is looked up beside it. */
    for (size_t i = 0; i < count; i++) {
        if (!prepared[i].has_zone)
            continue;
        answer_direct_prefetch(&prepared[i].question);
        responder_forward_prefetch(responder, &prepared[i]);
    }
    for (size_t i = 0; i < count; i++) {
        if (!prepared[i].has_zone)
            continue;
        if (answer_direct_prefetch_entry(&prepared[i].question))
            marked[marked_count++] = &prepared[i];
        if (prepared[i].cache != NULL)
            responder_forward_prefetch_answer(&prepared[i]);
    }
    if (marked_count > 0)
        prefetch_verdicts(environment->overlay, marked, marked_count);
    for (size_t i = 0; i < count; i++)
        respond(responder, environment, &prepared[i], &datagrams[i], TRANSPORT_UDP, response_max,
                true);
}

void responder_answer_batch(struct responder *responder, struct responder_datagram *datagrams,
                            size_t count, int64_t now, size_t response_max)
{
    const struct answer_environment environment = make_environment(responder, TRANSPORT_UDP, now);
    while (count > 0) {
        size_t part = count < GROUP_MAX ? count : GROUP_MAX;
        answer_group(responder, &environment, datagrams, part, response_max);
        datagrams += part;
        count -= part;
    }
}
