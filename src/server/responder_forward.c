/* Questions for forwarded zones: from the cache at once, or by the origin later.
 *
 * What an origin says of names that an order lists is not passed on, as little as a zone of ours
 * says it: an alias that leads to one ends with the order's answer, and beside another answer its
 * addresses are left out.
 */
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>
#include <libknot/wire.h>
#include <string.h>

#include "base/rcu.h"
#include "front/cache_direct.h"
#include "server/config.h"
#include "server/responder_internal.h"

static const struct zone *zone_of(const struct prepared *prepared)
{
    return prepared->question.zone;
}

bool responder_is_forwarded(const struct answer *answer)
{
    return answer->unavailable && !answer->verdict && answer->question.zone != NULL &&
           answer->question.zone->role == ZONE_FORWARD;
}

static struct cache_key key_of(const struct prepared *prepared)
{
    const struct request *request = &prepared->request;
    return (struct cache_key){.name = &prepared->name,
                              .type = request->qtype,
                              .dnssec_ok = request->dnssec_ok,
                              .checking_disabled = (request->flags & 0x0010) != 0};
}

static void fail(struct exchange *exchange, const struct forward_outcome *outcome)
{
    exchange->rcode = KNOT_RCODE_SERVFAIL;
    exchange->ede_code = outcome->ede_code;
    exchange->ede_text = outcome->ede_text;
    exchange->ede_text_size = outcome->ede_text != NULL ? (uint16_t)strlen(outcome->ede_text) : 0;
}

/* ---- The answer as it is kept ---- */

/* Offset behind the record at `at` of an answer's body; sets its type. */
static size_t skip_record(const uint8_t *body, size_t at, uint16_t *ret_type)
{
    while (body[at] != 0 && body[at] < 0xc0)
        at += (size_t)body[at] + 1;
    at += body[at] == 0 ? 1 : 2;
    *ret_type = knot_wire_read_u16(body + at);
    return at + 10 + knot_wire_read_u16(body + at + 8);
}

static bool has_alias(const struct cached_answer *answer)
{
    size_t at = 0;
    for (unsigned left = answer->counts[SECTION_ANSWER]; left > 0; left--) {
        uint16_t type;
        at = skip_record(answer->body, at, &type);
        if (type == KNOT_RRTYPE_CNAME)
            return true;
    }
    return false;
}

/* Without its additional section, which may be left out where there is no room (RFC 2181, 9), but
 * for the addresses of a referral. */
static bool is_referral(const struct cached_answer *answer)
{
    return answer->counts[SECTION_ANSWER] == 0 && !answer->authoritative;
}

static struct cached_answer without_additional(const struct cached_answer *answer)
{
    struct cached_answer rest = *answer;
    size_t at = 0;
    uint16_t type;
    const unsigned kept = answer->counts[SECTION_ANSWER] + answer->counts[SECTION_AUTHORITY];
    for (unsigned left = kept; left > 0; left--)
        at = skip_record(answer->body, at, &type);
    rest.body_size = (uint16_t)at;
    rest.ttl_count = (uint16_t)kept;
    rest.counts[SECTION_ADDITIONAL] = 0;
    return rest;
}

/* Writes what there is room for behind the question. */
static void write_kept(struct responder *responder, struct exchange *exchange,
                       const struct cached_answer *answer, uint8_t *wire, size_t room)
{
    const size_t end = exchange->request->question_end;
    struct cached_answer rest;
    if (answer->body_size > room && answer->counts[SECTION_ADDITIONAL] > 0 &&
        !is_referral(answer)) {
        rest = without_additional(answer);
        answer = &rest;
    }
    if (answer->body_size > room) {
        responder_count(&responder->counters.truncated);
        exchange->truncated = true;
        exchange->size = end;
        return;
    }
    size_t size = 0;
    if (answer->body_size > 0)
        size = cached_answer_write(answer, exchange->environment->now, FORWARDER_STALE_TTL_S,
                                   wire + end, room);
    exchange->size = end + size;
    memcpy(exchange->counts, answer->counts, sizeof(exchange->counts));
}

/* ---- Names that an order lists, in an answer about others ---- */

/* The answer as a message that can be read record by record. */
static void begin_reading(struct responder *responder, const struct exchange *exchange,
                          const struct cached_answer *answer)
{
    const struct request *request = exchange->request;
    uint8_t *wire = responder->message;
    uint8_t owner[NAME_SIZE_MAX];
    uint16_t type, class;
    memcpy(wire, request->wire, request->question_end);
    const size_t size = cached_answer_write(answer, exchange->environment->now,
                                            FORWARDER_STALE_TTL_S, wire + request->question_end,
                                            sizeof(responder->message) - request->question_end);
    record_reader_init(&responder->reader, wire, request->question_end + size);
    (void)!record_reader_question(&responder->reader, owner, &type, &class);
}

static bool name_is(const struct name *one, const struct name *other)
{
    return one->hashes[0] == other->hashes[0] && one->size == other->size &&
           memcmp(one->wire, other->wire, one->size) == 0;
}

static bool name_is_within(const struct name *name, const struct name *ancestor)
{
    return name->label_count >= ancestor->label_count &&
           name->hashes[name->label_count - ancestor->label_count] == ancestor->hashes[0];
}

/* Finds where an alias of `from` leads. */
static bool find_alias(struct responder *responder, size_t first,
                       const struct cached_answer *answer, const struct name *from,
                       struct name *ret_target)
{
    responder->reader.at = first;
    for (unsigned left = answer->counts[SECTION_ANSWER]; left > 0; left--) {
        struct record record;
        if (record_reader_next(&responder->reader, &record) < 0)
            return false;
        if (record.type == KNOT_RRTYPE_CNAME && name_equal(record.owner, from->wire))
            return name_parse(ret_target, record.rdata, record.rdata_size) > 0;
    }
    return false;
}

/* Follows the aliases until one leads to a listed name; returns how many names lead there, 0 when
 * none does. The names are responder->aliases, the question's first. */
static unsigned find_listed_target(struct responder *responder, const struct exchange *exchange,
                                   const struct prepared *prepared,
                                   const struct cached_answer *answer,
                                   const struct verdict **ret_verdict)
{
    const size_t first = responder->reader.at;
    responder->aliases[0] = prepared->name;
    for (unsigned count = 1; count < FORWARDED_CHAIN_MAX; count++) {
        struct name *target = &responder->aliases[count];
        if (!find_alias(responder, first, answer, &responder->aliases[count - 1], target))
            break;
        for (unsigned i = 0; i < count; i++) {
            if (name_is(&responder->aliases[i], target))
                return 0;
        }
        *ret_verdict = answer_judge(&prepared->question, exchange->environment, target,
                                    responder->options.worker);
        if (*ret_verdict != NULL)
            return count;
    }
    responder->reader.at = first;
    return 0;
}

static void put_record(struct responder *responder, struct response *response, enum section section,
                       const struct record *record)
{
    uint8_t *data = responder->rdata;
    knot_wire_write_u16(data, record->rdata_size);
    memcpy(data + 2, record->rdata, record->rdata_size);
    const struct response_records records = {
        .type = record->type, .rr_count = 1, .ttl_s = record->ttl_s, .data = data};
    if (!response_put(response, section, (struct response_owner){.wire = record->owner}, &records))
        responder->is_full = true;
}

/* Whether a record belongs to the way to the listed name: an alias on it, or the DNAME that makes
 * one. */
static bool leads_there(const struct responder *responder, unsigned count,
                        const struct record *record)
{
    struct name owner;
    if (name_parse(&owner, record->owner, NAME_SIZE_MAX) < 0)
        return false;
    const uint16_t type =
        record->type == KNOT_RRTYPE_RRSIG ? knot_wire_read_u16(record->rdata) : record->type;
    for (unsigned i = 0; i < count; i++) {
        if (type == KNOT_RRTYPE_DNAME ? name_is_within(&responder->aliases[i], &owner)
                                      : name_is(&responder->aliases[i], &owner))
            return true;
    }
    return false;
}

/* The aliases, and behind them what the order says. */
static void write_verdict(struct responder *responder, struct exchange *exchange,
                          const struct prepared *prepared, const struct cached_answer *answer,
                          unsigned count, const struct verdict *verdict, struct response *response)
{
    responder->reader.at = exchange->request->question_end;
    responder->is_full = false;
    for (unsigned left = answer->counts[SECTION_ANSWER]; left > 0; left--) {
        struct record record;
        if (record_reader_next(&responder->reader, &record) < 0)
            break;
        if (leads_there(responder, count, &record))
            put_record(responder, response, SECTION_ANSWER, &record);
    }
    struct answer *said = &responder->answer;
    said->question = prepared->question;
    answer_put_verdict(said, exchange->environment, &responder->aliases[count], verdict, response);
    responder_count(&responder->counters.verdicts);
    exchange->is_listed = true;
    exchange->rcode = said->rcode;
    exchange->authoritative = said->authoritative;
    exchange->truncated = said->truncated || responder->is_full;
    exchange->dropped = said->dropped;
    exchange->ede_code = said->ede_code;
    exchange->ede_text = said->ede_text;
    exchange->ede_text_size = said->ede_text_size;
    exchange->options_size = 0;
}

/* Of a referral, the name of the delegation; else an empty one. */
static bool find_cut(struct responder *responder, const struct cached_answer *answer,
                     struct name *ret_cut)
{
    for (unsigned left = answer->counts[SECTION_AUTHORITY]; left > 0; left--) {
        struct record record;
        if (record_reader_next(&responder->reader, &record) < 0)
            return false;
        if (record.type == KNOT_RRTYPE_NS)
            return name_parse(ret_cut, record.owner, NAME_SIZE_MAX) > 0;
    }
    return false;
}

/* Whether a record beside the answer is an address of a listed name; not one that a delegation
 * would be lost without. */
static bool is_withheld(struct responder *responder, const struct exchange *exchange,
                        const struct prepared *prepared, const struct record *record,
                        const struct name *cut)
{
    struct name *owner = &responder->aliases[0];
    return name_parse(owner, record->owner, NAME_SIZE_MAX) > 0 &&
           (cut == NULL || !name_is_within(owner, cut)) &&
           answer_judge(&prepared->question, exchange->environment, owner, OVERLAY_UNCOUNTED) !=
               NULL;
}

/* Writes the answer without the addresses of listed names beside it; false: there are none, and
 * nothing is left in `response`. */
static bool write_withheld(struct responder *responder, struct exchange *exchange,
                           const struct prepared *prepared, const struct cached_answer *answer,
                           struct response *response)
{
    const struct response_mark begin = response_mark(response);
    struct name cut;
    const bool has_cut = is_referral(answer) && find_cut(responder, answer, &cut);
    bool withholds = false;
    responder->is_full = false;
    responder->reader.at = exchange->request->question_end;
    for (unsigned section = 0; section < 3; section++) {
        const bool was_full = responder->is_full;
        for (unsigned left = answer->counts[section]; left > 0; left--) {
            struct record record;
            if (record_reader_next(&responder->reader, &record) < 0)
                break;
            if (section == SECTION_ADDITIONAL &&
                is_withheld(responder, exchange, prepared, &record, has_cut ? &cut : NULL))
                withholds = true;
            else
                put_record(responder, response, (enum section)section, &record);
        }
        if (section == SECTION_ADDITIONAL && !is_referral(answer))
            responder->is_full = was_full;
    }
    if (!withholds)
        response_rewind(response, &begin);
    exchange->truncated |= withholds && responder->is_full;
    return withholds;
}

/* Writes an answer that has to do with a listed name; false: it has not. */
static bool write_judged(struct responder *responder, struct exchange *exchange,
                         const struct prepared *prepared, const struct cached_answer *answer,
                         uint8_t *wire, size_t room)
{
    if (answer->is_plain)
        return false;
    const uint16_t type = exchange->request->qtype;
    const bool leads_on = type != KNOT_RRTYPE_CNAME && type != KNOT_RRTYPE_ANY && has_alias(answer);
    if (!leads_on && answer->counts[SECTION_ADDITIONAL] == 0)
        return false;

    const size_t end = exchange->request->question_end;
    struct response response;
    const struct verdict *verdict = NULL;
    begin_reading(responder, exchange, answer);
    response_init(&response, wire, end, end + room, &prepared->name);
    const unsigned count =
        leads_on ? find_listed_target(responder, exchange, prepared, answer, &verdict) : 0;
    if (count > 0)
        write_verdict(responder, exchange, prepared, answer, count, verdict, &response);
    else if (answer->counts[SECTION_ADDITIONAL] == 0 ||
             !write_withheld(responder, exchange, prepared, answer, &response))
        return false;
    exchange->size = response.size;
    memcpy(exchange->counts, response.counts, sizeof(exchange->counts));
    return true;
}

/* ---- The whole ---- */

static void write_answer(struct responder *responder, struct exchange *exchange,
                         const struct prepared *prepared, const struct cached_answer *answer,
                         uint8_t *wire, size_t room)
{
    exchange->rcode = answer->rcode;
    exchange->authoritative = answer->authoritative;
    exchange->options = answer->edns;
    exchange->options_size = answer->edns_size;
    if (exchange->environment->overlay != NULL &&
        write_judged(responder, exchange, prepared, answer, wire, room))
        return;
    write_kept(responder, exchange, answer, wire, room);
}

/* An option of no possible size is not passed on (RFC 7871, 6: family, two lengths, an address). */
static bool passes_subnet(const struct prepared *prepared)
{
    const struct request *request = &prepared->request;
    if (request->client_subnet == NULL)
        return false;
    const struct config_zone *config = rcu_dereference(zone_of(prepared)->config);
    return config != NULL && config->passes_client_subnet && request->client_subnet_size >= 4 &&
           request->client_subnet_size <= FORWARDER_SUBNET_SIZE_MAX;
}

/* Answers from what the origin has said of other names (RFC 8198); false: it has not said enough.
 * Names that have had an answer are not among those. */
static bool write_denial(struct responder *responder, struct exchange *exchange,
                         const struct prepared *prepared, const struct cache_key *key,
                         uint8_t *wire, size_t room)
{
    const struct responder_view *view = responder->options.view;
    const struct denial_store *denials = rcu_dereference(view->denials);
    if (denials == NULL || cache_knows(view->cache, key->name) ||
        !denial_store_answer(denials, &zone_of(prepared)->name, key, exchange->environment->now,
                             &responder->denial))
        return false;
    write_answer(responder, exchange, prepared, &responder->denial.answer, wire, room);
    return true;
}

/* Has an answer that many ask for renewed before it expires. */
static void refresh(const struct responder *responder, const struct exchange *exchange,
                    const struct prepared *prepared, const struct cache_key *key,
                    const struct cached_answer *answer)
{
    if (!cached_answer_is_due(answer, exchange->environment->now) || !cache_claim_refresh(answer))
        return;
    (void)responder->options.forward(responder->options.context, zone_of(prepared), key,
                                     exchange->request, false, NULL, exchange->transport);
}

static void have_answered(const struct responder *responder, struct exchange *exchange,
                          const struct prepared *prepared, const struct cache_key *key, bool subnet)
{
    const int rc = responder->options.forward(responder->options.context, zone_of(prepared), key,
                                              exchange->request, subnet, exchange->client,
                                              exchange->transport);
    exchange->is_deferred = rc < 0;
    if (rc < 0)
        return;
    exchange->rcode = (uint16_t)rc;
    exchange->ede_code = KNOT_EDNS_EDE_NOT_READY;
}

/* Answers, or has it done, behind the question at `wire`, with at most `room` octets. */
static void forward(struct responder *responder, struct exchange *exchange,
                    const struct prepared *prepared, uint8_t *wire, size_t room)
{
    exchange->size = exchange->request->question_end;
    const struct forward_outcome *outcome = responder->outcome;
    if (outcome != NULL) {
        if (outcome->answer == NULL) {
            fail(exchange, outcome);
            return;
        }
        exchange->ede_code = outcome->ede_code;
        write_answer(responder, exchange, prepared, outcome->answer, wire, room);
        return;
    }

    const struct cache *cache = rcu_dereference(responder->options.view->cache);
    if (cache == NULL || responder->options.forward == NULL) {
        const struct forward_outcome none = {.ede_code = KNOT_EDNS_EDE_NOT_READY};
        fail(exchange, &none);
        return;
    }
    const struct cache_key key = key_of(prepared);
    struct cached_answer answer;
    const bool subnet = passes_subnet(prepared);
    if (subnet || !cache_find(cache, &key, &answer) ||
        exchange->environment->now >= answer.expires_at) {
        if (!subnet && write_denial(responder, exchange, prepared, &key, wire, room))
            return;
        have_answered(responder, exchange, prepared, &key, subnet);
        return;
    }
    refresh(responder, exchange, prepared, &key, &answer);
    write_answer(responder, exchange, prepared, &answer, wire, room);
}

/* What is kept and needs no closer look, as nearly all answers are. */
static bool write_direct(struct exchange *exchange, const struct prepared *prepared, uint8_t *wire,
                         size_t room)
{
    if (prepared->candidate == NULL || passes_subnet(prepared))
        return false;
    const struct cache_key key = key_of(prepared);
    struct cache_direct direct;
    if (!cache_direct_write(prepared->cache, prepared->candidate, &key, exchange->environment->now,
                            wire, room, &direct))
        return false;
    exchange->rcode = direct.rcode;
    exchange->authoritative = direct.authoritative;
    exchange->counts[SECTION_ANSWER] = direct.answer_count;
    exchange->counts[SECTION_AUTHORITY] = direct.authority_count;
    exchange->options = direct.edns;
    exchange->options_size = direct.edns_size;
    exchange->size = exchange->request->question_end + direct.size;
    return true;
}

void responder_forward_prefetch(const struct responder *responder, struct prepared *prepared)
{
    if (zone_of(prepared)->role != ZONE_FORWARD || responder->options.forward == NULL)
        return;
    prepared->cache = rcu_dereference(responder->options.view->cache);
    if (prepared->cache != NULL)
        cache_direct_prefetch(prepared->cache, &prepared->name);
}

void responder_forward_prefetch_answer(struct prepared *prepared)
{
    const struct cache_key key = key_of(prepared);
    prepared->candidate = cache_direct_candidate(prepared->cache, &key);
}

bool responder_forward_directly(struct responder *responder, struct exchange *exchange,
                                const struct prepared *prepared, uint8_t *wire)
{
    /* What comes back from the origin was counted when it left. */
    const unsigned worker =
        responder->outcome != NULL ? OVERLAY_UNCOUNTED : responder->options.worker;
    exchange->judgement = answer_judge_question(&prepared->question, exchange->environment, worker);
    if (exchange->judgement.verdict != NULL)
        return false;
    responder_count(&responder->counters.queries);
    const size_t end = prepared->request.question_end;
    const size_t reserved = exchange->with_edns ? responder_edns_size(responder, exchange) : 0;
    const size_t room = exchange->limit > end + reserved ? exchange->limit - end - reserved : 0;
    if (!write_direct(exchange, prepared, wire + end, room))
        forward(responder, exchange, prepared, wire, room);
    return true;
}

void responder_forward_generally(struct responder *responder, struct exchange *exchange,
                                 const struct prepared *prepared, struct response *response)
{
    /* Of a signed request the zone was looked for after the check of its signature. */
    struct prepared asked = *prepared;
    asked.question = responder->answer.question;
    asked.question.name = &asked.name;
    const size_t end = prepared->request.question_end;
    forward(responder, exchange, &asked, response->wire,
            response->limit > end ? response->limit - end : 0);
    response->size = exchange->size;
    memcpy(response->counts, exchange->counts, sizeof(response->counts));
}
