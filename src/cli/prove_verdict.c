#include "cli/prove_verdict.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Aliases followed in one answer: more than any server puts into one. */
#define ALIASES_MAX 32

#define FLAG_AA 0x0400

/* Names of an answer on the way from the question to a listed name. */
struct alias_chain {
    const uint8_t *names[ALIASES_MAX];
    size_t count;
    const uint8_t *listed;
    const struct order *order;
};

/* A filtered view of a section; `records` points into memory of the caller. */
typedef bool record_filter_fn(const knot_rrset_t *record, const void *context);

static struct answer_records records_filter(const struct answer_records *section,
                                            const knot_rrset_t **memory, record_filter_fn *filter,
                                            const void *context)
{
    struct answer_records kept = {.records = memory};
    for (size_t i = 0; i < section->count; i++)
        if (filter(section->records[i], context))
            kept.records[kept.count++] = section->records[i];
    return kept;
}

static bool record_is_of(const knot_rrset_t *record, const void *name)
{
    return knot_dname_is_equal(record->owner, name);
}

static bool record_is_not_of(const knot_rrset_t *record, const void *name)
{
    return !record_is_of(record, name);
}

static uint16_t action_rcode(enum verdict_action action)
{
    return action == VERDICT_NXDOMAIN ? KNOT_RCODE_NXDOMAIN
           : action == VERDICT_REFUSE ? KNOT_RCODE_REFUSED
                                      : KNOT_RCODE_NOERROR;
}

/* Whether the order gives this very address. */
static bool verdict_holds(const struct verdict *verdict, const knot_rrset_t *record)
{
    const knot_rdata_t *rdata = record->rrs.rdata;
    if (verdict->action != VERDICT_SINKHOLE)
        return false;
    if (record->type == KNOT_RRTYPE_A && rdata->len == 4)
        for (size_t i = 0; i < verdict->a_count; i++)
            if (memcmp(verdict->a[i], rdata->data, 4) == 0)
                return true;
    if (record->type == KNOT_RRTYPE_AAAA && rdata->len == 16)
        for (size_t i = 0; i < verdict->aaaa_count; i++)
            if (memcmp(verdict->aaaa[i], rdata->data, 16) == 0)
                return true;
    return false;
}

static size_t verdict_record_count(const struct verdict *verdict, uint16_t type)
{
    if (verdict->action != VERDICT_SINKHOLE)
        return 0;
    return type == KNOT_RRTYPE_A      ? verdict->a_count
           : type == KNOT_RRTYPE_AAAA ? verdict->aaaa_count
                                      : 0;
}

struct fault {
    char text[500];
};

static bool fault_set(struct fault *fault, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Returns false, so that checks end with `return fault_set(...)`. */
static bool fault_set(struct fault *fault, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fault->text, sizeof(fault->text), format, arguments);
    va_end(arguments);
    return false;
}

/* An empty answer must say that it is one: without its SOA resolvers take the server for lame, as
 * they did in 2014. */
static bool negative_right(const struct verdict *verdict, const struct answer *front,
                           struct fault *fault)
{
    const struct answer_records *authority = &front->sections[ANSWER_SECTION_AUTHORITY];
    const knot_rrset_t *soa = NULL;
    for (size_t i = 0; i < authority->count; i++) {
        if (authority->records[i]->type == KNOT_RRTYPE_SOA)
            soa = authority->records[i];
        if (authority->records[i]->type == KNOT_RRTYPE_NS)
            return fault_set(fault, "NS records in an empty answer");
    }
    if (soa == NULL)
        return fault_set(fault, "an empty answer without SOA");
    if (soa->ttl > verdict->ttl_s)
        return fault_set(fault, "TTL %u s of the SOA instead of %u s", soa->ttl, verdict->ttl_s);
    return true;
}

/* Checks RCODE, AA and `records`, which are those that the front gives for the listed name. */
static bool content_right(const struct verdict *verdict, uint16_t type, const struct answer *front,
                          const struct answer_records *records, struct fault *fault)
{
    uint16_t rcode = action_rcode(verdict->action);
    if (front->rcode != rcode) {
        char ours[16], theirs[16];
        return fault_set(fault, "%s instead of %s", compare_rcode_text(front->rcode, ours),
                         compare_rcode_text(rcode, theirs));
    }

    /* ANY may be answered with any one record set, or a HINFO in place of all (RFC 8482). */
    bool any = type == KNOT_RRTYPE_ANY && verdict->action == VERDICT_SINKHOLE;
    for (size_t i = 0; i < records->count; i++) {
        const knot_rrset_t *record = records->records[i];
        char text[300];
        answer_record_print(record, text, sizeof(text));
        if (any && record->type == KNOT_RRTYPE_HINFO)
            continue;
        if (!verdict_holds(verdict, record) || (!any && record->type != type))
            return fault_set(fault, "%s is not of the order", text);
        if (record->ttl != verdict->ttl_s)
            return fault_set(fault, "TTL %u s instead of %u s", record->ttl, verdict->ttl_s);
        if (i > 0 && answer_record_compare(records->records[i - 1], record) == 0)
            return fault_set(fault, "%s comes twice", text);
    }
    size_t expected = verdict_record_count(verdict, type);
    if (!any && records->count != expected)
        return fault_set(fault, "%zu of the order's %zu addresses", records->count, expected);

    if (verdict->action == VERDICT_REFUSE)
        return true;
    if (!(front->flags & FLAG_AA))
        return fault_set(fault, "AA is not set");
    return records->count > 0 || negative_right(verdict, front, fault);
}

static bool text_holds(const uint8_t *text, size_t size, const char *part)
{
    return memmem(text, size, part, strlen(part)) != NULL;
}

static bool ede_right(const struct order *order, const struct answer *front)
{
    for (size_t i = 0; i < front->ede_count; i++)
        if (front->ede[i].code == order->verdict.ede_code &&
            text_holds(front->ede[i].text, front->ede[i].text_size, order->id))
            return true;
    return false;
}

/* Whether anything in the answer shows that the front meant to block it. */
static bool order_shows(const struct order *order, const struct answer *front)
{
    const struct answer_records *records = &front->sections[ANSWER_SECTION_ANSWER];
    for (size_t i = 0; i < records->count; i++)
        if (verdict_holds(&order->verdict, records->records[i]))
            return true;
    return ede_right(order, front);
}

/* Notes what is wrong with the part of the answer that the order makes. */
static void judge_order_part(const struct order *order, const uint8_t *listed, uint16_t type,
                             const struct answer *front, const struct answer_records *records,
                             struct comparison *ret)
{
    knot_dname_txt_storage_t name;
    struct fault fault;
    (void)knot_dname_to_str(name, listed, sizeof(name));
    if (!content_right(&order->verdict, type, front, records, &fault))
        comparison_note(ret,
                        order_shows(order, front) ? DIFFERENCE_LISTED_WRONG
                                                  : DIFFERENCE_LISTED_NOT_BLOCKED,
                        "%s is listed by %s: %s", name, order->id, fault.text);
    else if (!ede_right(order, front))
        comparison_note(ret, DIFFERENCE_LISTED_NO_REASON,
                        "%s is listed by %s: no extended error %u that names the order", name,
                        order->id, order->verdict.ede_code);
}

void verdict_judge(const struct order *order, const uint8_t *name, uint16_t type,
                   const struct answer *front, struct comparison *ret)
{
    judge_order_part(order, name, type, front, &front->sections[ANSWER_SECTION_ANSWER], ret);
    if (ret->kinds == 0)
        ret->result = COMPARISON_BLOCKED;
}

static const uint8_t *alias_target(const struct answer *answer, const uint8_t *name)
{
    const struct answer_records *records = &answer->sections[ANSWER_SECTION_ANSWER];
    for (size_t i = 0; i < records->count; i++)
        if (records->records[i]->type == KNOT_RRTYPE_CNAME &&
            knot_dname_is_equal(records->records[i]->owner, name))
            return records->records[i]->rrs.rdata->data;
    return NULL;
}

/* Follows the origin's answer to the first name that an order blocks. A DNAME comes with the CNAME
 * that was made of it, so that CNAMEs are enough. */
static bool alias_chain_follow(const struct listing *listing, const struct answer *origin,
                               const uint8_t *name, uint16_t type, struct alias_chain *ret_chain)
{
    if (listing_order_count(listing) == 0 || type == KNOT_RRTYPE_CNAME || type == KNOT_RRTYPE_ANY)
        return false;
    ret_chain->count = 0;
    while (ret_chain->count < ALIASES_MAX) {
        ret_chain->names[ret_chain->count++] = name;
        name = alias_target(origin, name);
        if (name == NULL)
            return false;
        ret_chain->order = listing_find(listing, name);
        if (ret_chain->order != NULL) {
            ret_chain->listed = name;
            return true;
        }
    }
    return false;
}

/* What the origin says before the listed name: records of the aliases, and the DNAMEs above. */
static bool record_is_before_listed(const knot_rrset_t *record, const void *context)
{
    const struct alias_chain *chain = context;
    for (size_t i = 0; i < chain->count; i++) {
        int below = knot_dname_in_bailiwick(chain->names[i], record->owner);
        if (below == 0)
            return true;
        if (below > 0 && (record->type == KNOT_RRTYPE_DNAME || record->type == KNOT_RRTYPE_RRSIG))
            return true;
    }
    return false;
}

/* Whether the origin's answer ends with the alias, because its target is in none of its zones. */
static bool alias_leaves_zones(const struct answer *origin, const uint8_t *listed)
{
    const struct answer_records *records = &origin->sections[ANSWER_SECTION_ANSWER];
    for (size_t i = 0; i < records->count; i++)
        if (knot_dname_is_equal(records->records[i]->owner, listed))
            return false;
    return origin->rcode == KNOT_RCODE_NOERROR &&
           origin->sections[ANSWER_SECTION_AUTHORITY].count == 0;
}

static int verdict_judge_alias(struct answer_arena *arena, const struct compare_rules *rules,
                               const struct alias_chain *chain, uint16_t type,
                               const struct answer *front, const struct answer *origin,
                               struct comparison *ret)
{
    const struct answer_records *ours = &front->sections[ANSWER_SECTION_ANSWER];
    const struct answer_records *theirs = &origin->sections[ANSWER_SECTION_ANSWER];
    const knot_rrset_t **memory =
        answer_arena_take(arena, (2 * ours->count + theirs->count + 1) * sizeof(*memory));
    if (memory == NULL)
        return -ENOMEM;

    struct answer_records ordered = records_filter(ours, memory, record_is_of, chain->listed);
    struct answer_records before =
        records_filter(ours, memory + ours->count, record_is_not_of, chain->listed);
    struct answer_records origin_before =
        records_filter(theirs, memory + 2 * ours->count, record_is_before_listed, chain);

    struct comparison judged = {0};
    judge_order_part(chain->order, chain->listed, type, front, &ordered, &judged);
    compare_header(front, origin, (uint16_t)~FLAG_AA, &judged);
    compare_records(rules, "alias", &before, &origin_before, NULL, &judged);
    if (judged.kinds != 0 && alias_leaves_zones(origin, chain->listed)) {
        /* Nobody who asks this front meets the listed name: it may answer as the origin does. */
        compare_answers(rules, front, origin, ret);
        return 0;
    }
    if (judged.kinds == 0)
        judged.result = COMPARISON_BLOCKED_ALIAS;
    *ret = judged;
    return 0;
}

/* A name that no order lists must not get an order's address, with or without a reason. */
static void note_blocked_address(const struct compare_rules *rules, const struct answer *front,
                                 const struct answer *origin, struct comparison *ret)
{
    const struct answer_records *ours = &front->sections[ANSWER_SECTION_ANSWER];
    const struct answer_records *theirs = &origin->sections[ANSWER_SECTION_ANSWER];
    for (size_t i = 0; i < ours->count; i++)
        for (size_t k = 0; k < listing_order_count(rules->listing); k++) {
            const struct order *order = listing_order(rules->listing, k);
            if (!verdict_holds(&order->verdict, ours->records[i]))
                continue;
            bool shared = false;
            for (size_t o = 0; o < theirs->count; o++)
                shared |= answer_record_compare(ours->records[i], theirs->records[o]) == 0;
            if (!shared) {
                comparison_note(ret, DIFFERENCE_UNLISTED_BLOCKED, "an address of the order %s",
                                order->id);
                return;
            }
        }
}

/* Octets of the name at `at`, or 0 if it does not end within `size`. */
static size_t wire_name_size(const uint8_t *message, size_t size, size_t at)
{
    size_t begin = at;
    while (at < size) {
        if (message[at] >= 0xc0)
            return at + 2 <= size ? at + 2 - begin : 0;
        if (message[at] == 0)
            return at + 1 - begin;
        at += 1 + (size_t)message[at];
    }
    return 0;
}

/* Whether a message has no names in it that an order could list but the question's: all answers
 * belong to the question, none is an alias, and no addresses come with them. For two messages of
 * the same octets nothing else is left to look at. */
static bool message_is_plain(const uint8_t *message, size_t size, size_t question_size)
{
    if (size < 12)
        return false;
    size_t answers = (size_t)message[6] << 8 | message[7];
    size_t authorities = (size_t)message[8] << 8 | message[9];
    size_t additionals = (size_t)message[10] << 8 | message[11];
    if (message[4] != 0 || message[5] != 1 || additionals > 1)
        return false;

    size_t at = 12 + question_size;
    for (size_t i = 0; i < answers + authorities + additionals; i++) {
        size_t name_size = wire_name_size(message, size, at);
        if (name_size == 0 || size - at - name_size < 10)
            return false;
        const uint8_t *fixed = message + at + name_size;
        uint16_t type = (uint16_t)(fixed[0] << 8 | fixed[1]);
        bool of_question = name_size == 2 && message[at] == 0xc0 && message[at + 1] == 12;
        if (i < answers && (!of_question || type == KNOT_RRTYPE_CNAME || type == KNOT_RRTYPE_DNAME))
            return false;
        if (i >= answers + authorities && type != KNOT_RRTYPE_OPT)
            return false;
        size_t record_size = name_size + 10 + ((size_t)fixed[8] << 8 | fixed[9]);
        if (size - at < record_size)
            return false;
        at += record_size;
    }
    return at == size;
}

static bool replies_are_same(const struct exchange_question *question,
                             const struct exchange_reply replies[EXCHANGE_SIDES])
{
    const struct exchange_reply *front = &replies[EXCHANGE_FRONT];
    const struct exchange_reply *origin = &replies[EXCHANGE_ORIGIN];
    return front->outcome == EXCHANGE_ANSWERED && origin->outcome == EXCHANGE_ANSWERED &&
           front->size == origin->size &&
           memcmp(front->octets + 2, origin->octets + 2, front->size - 2) == 0 &&
           message_is_plain(front->octets, front->size, (size_t)question->name_size + 4);
}

/* Returns false if there is no answer to work with, and notes why. */
static bool reply_parse(struct answer_arena *arena, const struct exchange_reply *reply,
                        enum exchange_side side, struct answer *ret_answer,
                        struct comparison *comparison)
{
    bool front = side == EXCHANGE_FRONT;
    const char *who = front ? "front" : "origin";
    if (reply->outcome != EXCHANGE_ANSWERED) {
        comparison_note(comparison, front ? DIFFERENCE_FRONT_SILENT : DIFFERENCE_ORIGIN_SILENT,
                        reply->outcome == EXCHANGE_TCP_FAILED
                            ? "the %s cuts its answer over UDP and gives none over TCP"
                            : "the %s does not answer",
                        who);
        return false;
    }
    if (answer_parse(arena, reply->octets, reply->size, ret_answer) < 0) {
        comparison_note(comparison,
                        front ? DIFFERENCE_FRONT_MALFORMED : DIFFERENCE_ORIGIN_MALFORMED,
                        "the %s's answer of %zu octets is malformed", who, reply->size);
        return false;
    }
    return true;
}

void verdict_of_replies(struct answer_arena *arena, const struct compare_rules *rules,
                        const struct exchange_question *question, const struct order *listed,
                        const struct exchange_reply replies[EXCHANGE_SIDES], struct comparison *ret)
{
    *ret = (struct comparison){.result = COMPARISON_EQUAL};
    if (listed == NULL && replies_are_same(question, replies))
        return;

    struct answer front, origin;
    uint8_t name[NAME_SIZE_MAX];
    answer_arena_reset(arena);
    knot_dname_copy_lower(name, question->name);
    bool answered = reply_parse(arena, &replies[EXCHANGE_FRONT], EXCHANGE_FRONT, &front, ret);
    if (listed != NULL) {
        /* The origin has no say in what an order demands. */
        if (answered) {
            if (front.question_size != (size_t)question->name_size + 4 ||
                memcmp(front.question, question->name, question->name_size) != 0)
                comparison_note(ret, DIFFERENCE_QUESTION,
                                "the question comes back in another form");
            verdict_judge(listed, name, question->type, &front, ret);
        }
        return;
    }

    if (!reply_parse(arena, &replies[EXCHANGE_ORIGIN], EXCHANGE_ORIGIN, &origin, ret) || !answered)
        return;
    struct alias_chain chain;
    if (alias_chain_follow(rules->listing, &origin, name, question->type, &chain)) {
        if (verdict_judge_alias(arena, rules, &chain, question->type, &front, &origin, ret) < 0)
            comparison_note(ret, DIFFERENCE_FRONT_MALFORMED, "no memory to compare the answers");
        return;
    }
    compare_answers(rules, &front, &origin, ret);
    note_blocked_address(rules, &front, &origin, ret);
}
