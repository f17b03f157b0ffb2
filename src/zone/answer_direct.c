#include "zone/answer_direct.h"

#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/wire.h>

#include "base/octets.h"
#include "base/rcu.h"
#include "zone/answer_internal.h"
#include "zone/negative.h"

/* In front of a record's data: a pointer to the question's name, type, class, TTL. */
#define RECORD_HEAD_SIZE 10
#define QUESTION_POINTER (0xc000 | QUESTION_OFFSET)

void answer_direct_prefetch(const struct question *question)
{
    const struct name_table *table = rcu_dereference(question->data->table);
    name_table_prefetch(table, question->name->hashes[0]);
}

bool answer_direct_prefetch_entry(const struct question *question)
{
    const struct name_table *table = rcu_dereference(question->data->table);
    return name_table_prefetch_entry(table, question->name->hashes[0]);
}

static uint8_t *write_head(uint8_t *at, uint16_t type, uint32_t ttl_s)
{
    knot_wire_write_u16(at, QUESTION_POINTER);
    knot_wire_write_u16(at + 2, type);
    knot_wire_write_u16(at + 4, KNOT_CLASS_IN);
    knot_wire_write_u32(at + 6, ttl_s);
    return at + RECORD_HEAD_SIZE;
}

static bool write_rrset(const struct rrset *rrset, uint8_t *at, size_t room,
                        struct direct_answer *answer)
{
    size_t size = rrset->size + (size_t)rrset->rr_count * RECORD_HEAD_SIZE;
    if (size > room)
        return false;
    const uint8_t *record = rrset->data;
    for (unsigned left = rrset->rr_count; left > 0; left--) {
        size_t record_size = 2 + (size_t)knot_wire_read_u16(record);
        at = write_head(at, rrset->type, rrset->ttl);
        octets_copy(at, record, record_size);
        at += record_size;
        record += record_size;
    }
    answer->size = size;
    answer->answer_count = rrset->rr_count;
    return true;
}

/* The SOA of a negative answer with a TTL of at most ttl_max_s. */
static bool write_soa(const struct question *question, const struct zone_negative *negative,
                      uint32_t ttl_max_s, uint8_t *at, size_t room, struct direct_answer *answer)
{
    const struct name *apex = &question->data->apex;
    if (negative->size > room || !zone_negative_fits(negative, question->name, apex->label_count))
        return false;
    zone_negative_write(negative, at, (unsigned)question->name->size - apex->size);
    if (ttl_max_s < negative->ttl_s)
        knot_wire_write_u32(at + NEGATIVE_TTL_OFFSET, ttl_max_s);
    answer->size = negative->size;
    answer->authority_count = 1;
    return true;
}

/* What does not exist in a signed zone has to be proved when DNSSEC is asked for. */
static bool write_absence(const struct question *question, const struct zone_negative *negative,
                          uint8_t rcode, uint8_t *at, size_t room, struct direct_answer *answer)
{
    if (question->dnssec && (question->data->chain != NULL || negative->is_signed))
        return false;
    answer->rcode = rcode;
    return write_soa(question, negative, UINT32_MAX, at, room, answer);
}

/* ---- Verdicts ---- */

static bool write_verdict_addresses(const struct verdict *verdict, uint16_t type, uint8_t *at,
                                    size_t room, struct direct_answer *answer)
{
    bool is_a = type == KNOT_RRTYPE_A;
    unsigned count = is_a ? verdict->a_count : verdict->aaaa_count;
    uint16_t size = is_a ? 4 : 16;
    answer->size = count * (RECORD_HEAD_SIZE + 2 + (size_t)size);
    if (answer->size > room)
        return false;
    for (unsigned i = 0; i < count; i++) {
        at = write_head(at, type, verdict->ttl_s);
        knot_wire_write_u16(at, size);
        octets_copy(at + 2, is_a ? verdict->a[i] : verdict->aaaa[i], size);
        at += 2 + size;
    }
    answer->answer_count = (uint16_t)count;
    return true;
}

static bool write_verdict(const struct question *question, const struct zone_negative *negative,
                          const struct verdict *verdict, uint8_t *at, size_t room,
                          struct direct_answer *answer)
{
    uint16_t type = question->type;
    switch (verdict->action) {
    case VERDICT_REFUSE:
        answer->rcode = KNOT_RCODE_REFUSED;
        answer->authoritative = false;
        return true;
    case VERDICT_NXDOMAIN:
        answer->rcode = KNOT_RCODE_NXDOMAIN;
        break;
    case VERDICT_SINKHOLE:
        if ((type == KNOT_RRTYPE_A && verdict->a_count > 0) ||
            (type == KNOT_RRTYPE_AAAA && verdict->aaaa_count > 0))
            return write_verdict_addresses(verdict, type, at, room, answer);
        break;
    case VERDICT_DROP:
    case VERDICT_TCP_ONLY:
        return false;
    case VERDICT_NODATA:
    case VERDICT_OBSERVE:
        break;
    }
    if (question->dnssec && negative->is_signed)
        return false;
    return write_soa(question, negative, verdict->ttl_s, at, room, answer);
}

/* The overlay's judgement of a name that is marked; false when more than marks would have to be
 * asked. */
static bool judge(const struct question *question, const struct answer_environment *environment,
                  struct name_hit hit, struct judgement *ret_judgement)
{
    const struct overlay *overlay = environment->overlay;
    if (overlay == NULL)
        return true;
    if (overlay->has_subtrees)
        return false;
    if (!hit.marked)
        return true;
    bool is_cut_or_apex = question->name->label_count == question->data->apex.label_count ||
                          (hit.entry != NULL && (hit.entry->flags & ENTRY_CUT) != 0);
    ret_judgement->is_known = true;
    ret_judgement->verdict =
        overlay
            ->find(overlay, question->name, is_cut_or_apex, environment->now, environment->worker)
            .verdict;
    return true;
}

/* ---- The zone's own data ---- */

/* Types whose data is sent as it is stored, and asks for no other record beside it. */
static bool is_plain_type(uint16_t type)
{
    return type == KNOT_RRTYPE_A || type == KNOT_RRTYPE_AAAA || type == KNOT_RRTYPE_TXT;
}

static bool write_from_entry(const struct question *question, const struct zone_negative *negative,
                             const struct name_entry *entry, uint8_t *at, size_t room,
                             struct direct_answer *answer)
{
    if ((entry->flags & (ENTRY_CUT | ENTRY_BELOW_CUT | ENTRY_CNAME)) != 0)
        return false;
    struct rrset rrset;
    if (!name_entry_rrset(entry, question->type, &rrset))
        return write_absence(question, negative, KNOT_RCODE_NOERROR, at, room, answer);
    if (!is_plain_type(question->type) ||
        (question->dnssec && (entry->flags & ENTRY_ADDRESSES_ONLY) == 0)) /* may be signed */
        return false;
    return write_rrset(&rrset, at, room, answer);
}

/* A name that is not there: a wildcard answers for it, or nothing does. Not inlined, so that what
 * is there does not pay for it. */
static __attribute__((noinline)) bool write_missing(const struct question *question,
                                                    const struct zone_negative *negative,
                                                    uint8_t *at, size_t room,
                                                    struct direct_answer *answer)
{
    size_t label;
    const struct name_entry *encloser = answer_encloser(question->data, question->name, &label);
    if ((encloser->flags & (ENTRY_CUT | ENTRY_BELOW_CUT | ENTRY_DNAME)) != 0)
        return false;
    if ((encloser->flags & ENTRY_WILDCARD_CHILD) != 0) {
        if (question->dnssec) /* that nothing is nearer may have to be proved */
            return false;
        const struct name_entry *wildcard = answer_wildcard(question->data, question->name, label);
        if (wildcard != NULL)
            return write_from_entry(question, negative, wildcard, at, room, answer);
    }
    return write_absence(question, negative, KNOT_RCODE_NXDOMAIN, at, room, answer);
}

bool answer_direct(const struct question *question, const struct answer_environment *environment,
                   uint8_t *at, size_t room, struct direct_answer *ret_answer,
                   struct judgement *ret_judgement)
{
    *ret_answer = (struct direct_answer){.rcode = KNOT_RCODE_NOERROR, .authoritative = true};
    *ret_judgement = (struct judgement){0};

    const struct zone_data *data = question->data;
    const struct zone_negative *negative = rcu_dereference(data->negative);
    int status = atomic_load_explicit(&question->zone->status, memory_order_relaxed);
    if (negative == NULL || status != ZONE_SERVING || question->type == KNOT_RRTYPE_ANY ||
        atomic_load_explicit(&question->zone->transfer_only, memory_order_relaxed))
        return false;

    struct name_hit hit = zone_data_find(data, question->name);
    if (!judge(question, environment, hit, ret_judgement))
        return false;
    if (ret_judgement->verdict != NULL)
        return write_verdict(question, negative, ret_judgement->verdict, at, room, ret_answer);

    const struct name_entry *entry = hit.entry;
    if (entry != NULL)
        return write_from_entry(question, negative, entry, at, room, ret_answer);
    return write_missing(question, negative, at, room, ret_answer);
}
