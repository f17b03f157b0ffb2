#include "zone/answer.h"

#include <assert.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/wire.h>
#include <string.h>

#include "base/rcu.h"
#include "dns/rdata.h"
#include "zone/answer_internal.h"

/* How one step of the search ends. */
/* Looks at a name whose cut came and went at each look before. */
#define TRIES_MAX 8

enum step {
    STEP_FOLLOW, /* an alias was put; go on with its target */
    STEP_DONE,   /* records were put */
    STEP_NODATA,
    STEP_NXDOMAIN,
    STEP_REFERRAL,
    STEP_STOP,      /* complete as it is: nothing goes into the authority section */
    STEP_TRUNCATED, /* no room for what must be there */
    STEP_AGAIN,     /* the zone was changed meanwhile: look anew */
};

/* ---- Putting record sets ---- */

static bool was_written(const struct answer *answer, const struct name_entry *entry, uint16_t type,
                        uint64_t owner_hash)
{
    for (unsigned i = 0; i < answer->written_count; i++) {
        if (answer->written[i].entry == entry && answer->written[i].type == type &&
            answer->written[i].owner_hash == owner_hash)
            return true;
    }
    return false;
}

bool answer_put(struct answer *answer, enum section section, struct response_owner owner,
                uint64_t owner_hash, const struct name_entry *entry, const struct rrset *rrset,
                uint32_t ttl_s)
{
    if (was_written(answer, entry, rrset->type, owner_hash))
        return true;

    struct response_mark mark = response_mark(answer->response);
    struct response_records records = {
        .type = rrset->type, .rr_count = rrset->rr_count, .ttl_s = ttl_s, .data = rrset->data};
    if (!response_put(answer->response, section, owner, &records))
        return false;

    struct rrset signatures;
    if (answer->question.dnssec && (entry->flags & ENTRY_ADDRESSES_ONLY) == 0 &&
        name_entry_rrset(entry, KNOT_RRTYPE_RRSIG, &signatures)) {
        struct response_records signature_records = {
            .type = KNOT_RRTYPE_RRSIG, .rr_count = signatures.rr_count, .data = signatures.data};
        if (!response_put_signatures(answer->response, section, owner, &signature_records,
                                     rrset->type, ttl_s)) {
            response_rewind(answer->response, &mark);
            return false;
        }
    }

    if (answer->written_count < WRITTEN_MAX) {
        answer->written[answer->written_count].entry = entry;
        answer->written[answer->written_count].owner_hash = owner_hash;
        answer->written[answer->written_count].type = rrset->type;
        answer->written_count++;
    }
    return true;
}

/* The owner of a hop's answer from `label` on: the question is pointed to, other names are
 * compressed. */
static struct response_owner hop_owner(const struct answer *answer, const struct answer_hop *hop,
                                       size_t label)
{
    if (hop == &answer->hops[0] && label < hop->name->label_count)
        return (struct response_owner){.pointer =
                                           (uint16_t)(QUESTION_OFFSET + hop->name->offsets[label])};
    return (struct response_owner){.wire = hop->name->wire + hop->name->offsets[label]};
}

/* The label of the hop's name at which its zone's apex begins. */
static size_t apex_label(const struct answer_hop *hop)
{
    return (size_t)hop->name->label_count - hop->data->apex.label_count;
}

static bool wants_addresses(uint16_t type)
{
    return type == KNOT_RRTYPE_NS || type == KNOT_RRTYPE_MX || type == KNOT_RRTYPE_SRV ||
           type == KNOT_RRTYPE_SVCB || type == KNOT_RRTYPE_HTTPS;
}

static struct answer_pending *add_pending(struct answer *answer, const struct zone_data *data,
                                          const struct rrset *rrset)
{
    if (!wants_addresses(rrset->type) || answer->pending_count == PENDING_MAX)
        return NULL;
    struct answer_pending *pending = &answer->pending[answer->pending_count++];
    *pending = (struct answer_pending){.rrset = *rrset, .data = data};
    return pending;
}

/* ---- Orders ---- */

/* The SOA of a zone that we have no data of, so that a verdict's negative answer can be cached (RFC
 * 2308). */
static bool put_made_soa(struct answer *answer, const struct answer_hop *hop, uint32_t ttl_s)
{
    uint8_t data[2 + NAME_SIZE_MAX + NAME_SIZE_MAX + 20];
    const struct name *apex = &hop->data->apex;
    size_t size = 2;
    memcpy(data + size, apex->wire, apex->size);
    size += apex->size;
    memcpy(data + size, apex->wire, apex->size);
    size += apex->size;
    const uint32_t numbers[5] = {1, ttl_s, ttl_s, ttl_s, ttl_s};
    for (size_t i = 0; i < 5; i++, size += 4)
        knot_wire_write_u32(data + size, numbers[i]);
    knot_wire_write_u16(data, (uint16_t)(size - 2));
    struct response_records records = {
        .type = KNOT_RRTYPE_SOA, .rr_count = 1, .ttl_s = ttl_s, .data = data};
    return response_put(answer->response, SECTION_AUTHORITY,
                        hop_owner(answer, hop, apex_label(hop)), &records);
}

static bool put_soa(struct answer *answer, const struct answer_hop *hop, uint32_t ttl_max_s)
{
    const struct name_entry *apex_entry = rcu_dereference(hop->data->apex_entry);
    struct rrset rrset;
    if (apex_entry == NULL || !name_entry_rrset(apex_entry, KNOT_RRTYPE_SOA, &rrset))
        return put_made_soa(answer, hop, ttl_max_s);

    uint32_t ttl_s = rrset.ttl;
    uint32_t minimum_s = knot_wire_read_u32(rrset.data + rrset.size - 4);
    if (minimum_s < ttl_s)
        ttl_s = minimum_s; /* RFC 2308, 3 */
    if (ttl_max_s < ttl_s)
        ttl_s = ttl_max_s;
    return answer_put(answer, SECTION_AUTHORITY, hop_owner(answer, hop, apex_label(hop)),
                      hop->data->apex.hashes[0], apex_entry, &rrset, ttl_s);
}

static bool put_verdict_addresses(struct answer *answer, const struct answer_hop *hop,
                                  const struct verdict *verdict, uint16_t type)
{
    bool is_a = type == KNOT_RRTYPE_A;
    size_t count = is_a ? verdict->a_count : verdict->aaaa_count;
    uint16_t size = is_a ? 4 : 16;
    uint8_t data[VERDICT_ADDRESSES_MAX * (2 + 16)];
    uint8_t *at = data;
    for (size_t i = 0; i < count; i++) {
        knot_wire_write_u16(at, size);
        memcpy(at + 2, is_a ? verdict->a[i] : verdict->aaaa[i], size);
        at += 2 + size;
    }
    struct response_records records = {
        .type = type, .rr_count = (uint16_t)count, .ttl_s = verdict->ttl_s, .data = data};
    return response_put(answer->response, SECTION_ANSWER, hop_owner(answer, hop, 0), &records);
}

/* What an order says takes the place of what the zone says. */
static enum step apply_verdict(struct answer *answer, const struct answer_hop *hop,
                               const struct verdict *verdict)
{
    answer->verdict = true;
    if (verdict->action == VERDICT_TCP_ONLY)
        return STEP_TRUNCATED;
    answer->dropped = verdict->action == VERDICT_DROP;
    answer->ede_code = verdict->ede_code;
    answer->ede_text = verdict->text;
    answer->ede_text_size = verdict->text_size;

    switch (verdict->action) {
    case VERDICT_REFUSE:
        answer->rcode = KNOT_RCODE_REFUSED;
        answer->authoritative = false;
        return STEP_STOP;
    case VERDICT_NXDOMAIN:
        answer->rcode = KNOT_RCODE_NXDOMAIN;
        break;
    case VERDICT_SINKHOLE: {
        uint16_t type = answer->question.type;
        if (type == KNOT_RRTYPE_ANY) /* one set is enough (RFC 8482, 4.1) */
            type = verdict->a_count > 0 ? KNOT_RRTYPE_A : KNOT_RRTYPE_AAAA;
        if ((type == KNOT_RRTYPE_A && verdict->a_count > 0) ||
            (type == KNOT_RRTYPE_AAAA && verdict->aaaa_count > 0))
            return put_verdict_addresses(answer, hop, verdict, type) ? STEP_STOP : STEP_TRUNCATED;
        break;
    }
    case VERDICT_DROP:
        return STEP_STOP;
    case VERDICT_NODATA:
    case VERDICT_OBSERVE:
    case VERDICT_TCP_ONLY:
        break;
    }
    return put_soa(answer, hop, verdict->ttl_s) ? STEP_STOP : STEP_TRUNCATED;
}

/* The verdict on a hop's name that was probed as `hit`; NULL: none. Names that are asked for or
 * that an alias leads to count with `worker`; one beside an answer is looked up with
 * OVERLAY_UNCOUNTED, so that an order's numbers are questions. */
static const struct verdict *ask_overlay(const struct answer *answer, const struct answer_hop *hop,
                                         struct name_hit hit, unsigned worker)
{
    if (hop == &answer->hops[0] && answer->judgement.is_known)
        return answer->judgement.verdict;
    const struct overlay *overlay = answer->environment->overlay;
    if (overlay == NULL || (!hit.marked && !overlay->has_subtrees))
        return NULL;
    /* A zone without data has an apex, too, though no entry says so. */
    bool is_cut_or_apex =
        apex_label(hop) == 0 || (hit.entry != NULL && (hit.entry->flags & ENTRY_CUT) != 0);
    return overlay->find(overlay, hop->name, is_cut_or_apex, answer->environment->now, worker)
        .verdict;
}

static const struct verdict *find_verdict(const struct answer *answer, const struct answer_hop *hop,
                                          struct name_hit hit, unsigned worker)
{
    const struct verdict *verdict = ask_overlay(answer, hop, hit, worker);
    bool passes =
        verdict != NULL && verdict->action == VERDICT_TCP_ONLY && answer->environment->over_tcp;
    return passes ? NULL : verdict;
}

/* ---- Aliases ---- */

/* Makes the next hop of `target`; false when the chain must end here. */
static bool add_hop(struct answer *answer, const uint8_t *target)
{
    assert(answer->hop_count <= CHAIN_MAX);
    struct answer_hop *hop = &answer->hops[answer->hop_count];
    struct name *name = &answer->aliases[answer->hop_count - 1];
    if (name_parse(name, target, NAME_SIZE_MAX) < 0)
        return false;
    hop->name = name;
    for (size_t i = 0; i < answer->hop_count; i++) {
        const struct name *seen = answer->hops[i].name;
        if (seen->hashes[0] == name->hashes[0] && seen->size == name->size &&
            memcmp(seen->wire, name->wire, seen->size) == 0)
            return false; /* a loop: every alias of it is in the answer by now */
    }
    /* A chain ends at the border of its zone, also in front of another zone that we hold: so do
     * Knot and BIND (RFC 1034, 4.3.2, 3a would go on). What a child zone has comes by referral. */
    hop->data = answer->hops[0].data;
    if (!zone_data_holds(hop->data, hop->name))
        return false;
    hop->wildcard = NULL;
    hop->encloser_label = 0;
    answer->hop_count++;
    return true;
}

static enum step follow_cname(struct answer *answer, struct answer_hop *hop,
                              const struct name_entry *entry)
{
    if (answer->hop_count > CHAIN_MAX)
        return STEP_STOP;
    struct rrset rrset;
    bool found = name_entry_rrset(entry, KNOT_RRTYPE_CNAME, &rrset);
    assert(found);
    (void)found;
    if (!answer_put(answer, SECTION_ANSWER, hop_owner(answer, hop, 0), hop->name->hashes[0], entry,
                    &rrset, rrset.ttl))
        return STEP_TRUNCATED;
    return add_hop(answer, rrset.data + 2) ? STEP_FOLLOW : STEP_STOP;
}

/* Whether the uncompressed name `wire` is at or below the suffix of `name` that begins with
 * `label`. */
static bool is_below(const uint8_t *wire, const struct name *name, size_t label)
{
    size_t suffix_size = (size_t)name->size - name->offsets[label];
    size_t size = name_wire_size(wire);
    for (size_t at = 0; size - at >= suffix_size; at += (size_t)wire[at] + 1) {
        if (size - at == suffix_size)
            return name_equal(wire + at, name->wire + name->offsets[label]);
    }
    return false;
}

/* Puts the DNAME at `label` and the CNAME it makes of the hop's name (RFC 6672, 3.1). */
static enum step follow_dname(struct answer *answer, struct answer_hop *hop, size_t label,
                              const struct name_entry *entry)
{
    if (answer->hop_count > CHAIN_MAX)
        return STEP_STOP;
    struct rrset rrset;
    bool found = name_entry_rrset(entry, KNOT_RRTYPE_DNAME, &rrset);
    assert(found);
    (void)found;
    const uint8_t *target = rrset.data + 2;
    size_t kept = hop->name->offsets[label], target_size = name_wire_size(target);
    bool is_too_long = kept + target_size > NAME_SIZE_MAX;
    if (is_too_long)
        answer->rcode = KNOT_RCODE_YXDOMAIN; /* also when the DNAME itself does not fit */
    if (!answer_put(answer, SECTION_ANSWER, hop_owner(answer, hop, label), hop->name->hashes[label],
                    entry, &rrset, rrset.ttl))
        return STEP_TRUNCATED;
    if (is_too_long)
        return STEP_STOP;
    uint8_t data[2 + NAME_SIZE_MAX];
    knot_wire_write_u16(data, (uint16_t)(kept + target_size));
    memcpy(data + 2, hop->name->wire, kept);
    memcpy(data + 2 + kept, target, target_size);
    struct response_records records = {
        .type = KNOT_RRTYPE_CNAME, .rr_count = 1, .ttl_s = rrset.ttl, .data = data};
    if (!response_put(answer->response, SECTION_ANSWER, hop_owner(answer, hop, 0), &records))
        return STEP_TRUNCATED;
    /* The CNAME made is what a question for a CNAME asked for, and enough for one for ANY. */
    if (answer->question.type == KNOT_RRTYPE_CNAME || answer->question.type == KNOT_RRTYPE_ANY)
        return STEP_STOP;
    /* A DNAME that leads below itself would grow the name for ever. */
    if (is_below(target, hop->name, label))
        return STEP_STOP;
    return add_hop(answer, data + 2) ? STEP_FOLLOW : STEP_STOP;
}

/* ---- One name in one zone ---- */

/* NS of a cut, proof of its DS or that it has none; the addresses follow as additional data. */
static enum step put_referral(struct answer *answer, struct answer_hop *hop, size_t cut_label,
                              struct response_owner owner, const struct name_entry *cut)
{
    if (answer->hop_count == 1)
        answer->authoritative =
            false; /* behind an alias of ours AA is about the alias (RFC 1035, 4.1.1) */
    struct rrset rrset;
    if (!name_entry_rrset(cut, KNOT_RRTYPE_NS, &rrset))
        return STEP_STOP;
    if (!answer_put(answer, SECTION_AUTHORITY, owner, hop->name->hashes[cut_label], cut, &rrset,
                    rrset.ttl))
        return STEP_TRUNCATED;
    struct answer_pending *pending = add_pending(answer, hop->data, &rrset);
    if (pending != NULL) {
        pending->is_referral = true;
        pending->cut_label = cut_label;
        pending->cut_hop = (size_t)(hop - answer->hops);
    }

    struct rrset ds;
    bool signed_zone = answer->question.dnssec && hop->data->chain != NULL;
    if (signed_zone && name_entry_rrset(cut, KNOT_RRTYPE_DS, &ds)) {
        if (!answer_put(answer, SECTION_AUTHORITY, owner, hop->name->hashes[cut_label], cut, &ds,
                        ds.ttl))
            return STEP_TRUNCATED;
    } else if (!denial_of_ds(answer, hop, cut_label, cut)) {
        return STEP_TRUNCATED;
    }
    return STEP_REFERRAL;
}

/* The name is at, below or in the shadow of a cut or DNAME: the topmost one decides. */
static enum step occluded(struct answer *answer, struct answer_hop *hop)
{
    for (size_t label = apex_label(hop) + 1; label-- > 0;) {
        const struct name_entry *entry = zone_data_find_suffix(hop->data, hop->name, label).entry;
        if (entry == NULL)
            break;
        if ((entry->flags & ENTRY_CUT) != 0)
            return put_referral(answer, hop, label, hop_owner(answer, hop, label), entry);
        if ((entry->flags & ENTRY_DNAME) != 0 && label > 0)
            return follow_dname(answer, hop, label, entry);
    }
    return STEP_AGAIN; /* an edit has just taken it away */
}

/* RFC 8482, 4.1: one record set stands for all. The one of the lowest type that says something
 * about the name itself; NSEC and RRSIG only where there is nothing else. */
static bool choose_any(const struct name_entry *entry, struct rrset *ret_rrset)
{
    const uint8_t *at = name_entry_rrsets(entry);
    for (unsigned left = entry->rrset_count; left > 0; left--) {
        at = rrset_read(ret_rrset, at);
        if (ret_rrset->type != KNOT_RRTYPE_RRSIG && ret_rrset->type != KNOT_RRTYPE_NSEC)
            return true;
    }
    return entry->rrset_count > 0;
}

/* RRSIGs asked for by type: each has the TTL of the set that it covers (RFC 4034, 3). */
static bool put_signatures(struct answer *answer, const struct answer_hop *hop,
                           const struct name_entry *entry, const struct rrset *signatures)
{
    struct response_mark mark = response_mark(answer->response);
    const uint8_t *at = signatures->data;
    for (unsigned left = signatures->rr_count; left > 0; left--) {
        size_t size = 2 + (size_t)knot_wire_read_u16(at);
        struct rrset covered;
        struct response_records record = {
            .type = KNOT_RRTYPE_RRSIG, .rr_count = 1, .ttl_s = signatures->ttl, .data = at};
        if (name_entry_rrset(entry, knot_wire_read_u16(at + 2), &covered))
            record.ttl_s = covered.ttl;
        if (!response_put(answer->response, SECTION_ANSWER, hop_owner(answer, hop, 0), &record)) {
            response_rewind(answer->response, &mark);
            return false;
        }
        at += size;
    }
    return true;
}

/* The answer from an entry: the name's own, or the wildcard's that stands for it. */
static enum step answer_from_entry(struct answer *answer, struct answer_hop *hop,
                                   const struct name_entry *entry)
{
    uint16_t qtype = answer->question.type;
    if ((entry->flags & ENTRY_CNAME) != 0 && qtype != KNOT_RRTYPE_CNAME &&
        qtype != KNOT_RRTYPE_ANY && qtype != KNOT_RRTYPE_RRSIG && qtype != KNOT_RRTYPE_NSEC)
        return follow_cname(answer, hop, entry);

    if ((entry->flags & ENTRY_CUT) != 0 && qtype != KNOT_RRTYPE_DS) {
        if (hop->wildcard == NULL)
            return put_referral(answer, hop, 0, hop_owner(answer, hop, 0), entry);
        /* NS at a wildcard is undefined (RFC 4592, 4.2); like Knot, refer with the owner as it
         * stands. */
        uint8_t owner[NAME_SIZE_MAX];
        memcpy(owner, entry->owner, entry->owner_size);
        memcpy(owner + entry->owner_size, hop->data->apex.wire, hop->data->apex.size);
        return put_referral(answer, hop, 0, (struct response_owner){.wire = owner}, entry);
    }

    struct rrset rrset;
    bool found = qtype == KNOT_RRTYPE_ANY ? choose_any(entry, &rrset)
                                          : name_entry_rrset(entry, qtype, &rrset);
    if (!found)
        return STEP_NODATA;
    if (rrset.type == KNOT_RRTYPE_RRSIG)
        return put_signatures(answer, hop, entry, &rrset) ? STEP_DONE : STEP_TRUNCATED;
    if (!answer_put(answer, SECTION_ANSWER, hop_owner(answer, hop, 0), hop->name->hashes[0], entry,
                    &rrset, rrset.ttl))
        return STEP_TRUNCATED;
    /* A minimal answer to ANY brings no more than a zone's name servers need. */
    if (qtype != KNOT_RRTYPE_ANY || rrset.type == KNOT_RRTYPE_NS)
        (void)add_pending(answer, hop->data, &rrset);
    return STEP_DONE;
}

const struct name_entry *answer_encloser(const struct zone_data *data, const struct name *name,
                                         size_t *ret_label)
{
    /* What exists has ancestors that exist, empty non-terminals among them: so halving finds it
     * with few looks into the table, however many labels there are. None is needed in a flat zone.
     */
    size_t last = (size_t)name->label_count - data->apex.label_count;
    size_t depth_max = __atomic_load_n(&data->depth_max, __ATOMIC_ACQUIRE);
    size_t low = last > depth_max ? last - depth_max : 1, high = last;
    const struct name_entry *encloser = rcu_dereference(data->apex_entry);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct name_entry *entry = zone_data_find_suffix(data, name, middle).entry;
        if (entry != NULL) {
            encloser = entry;
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    *ret_label = high;
    return encloser;
}

static const struct name_entry *find_encloser(struct answer_hop *hop)
{
    return answer_encloser(hop->data, hop->name, &hop->encloser_label);
}

const struct name_entry *answer_wildcard(const struct zone_data *data, const struct name *name,
                                         size_t encloser_label)
{
    static const uint8_t star[] = {1, '*'};
    uint8_t owner[NAME_SIZE_MAX + 2];
    size_t offset = name->offsets[encloser_label];
    size_t size = (size_t)name->size - data->apex.size - offset;
    memcpy(owner, star, sizeof(star));
    memcpy(owner + sizeof(star), name->wire + offset, size);
    uint64_t hash = name_hash_child(name->hashes[encloser_label], star);
    const struct name_table *table = rcu_dereference(data->table);
    return name_table_find(table, hash, owner, size + sizeof(star)).entry;
}

static const struct name_entry *find_wildcard(const struct answer_hop *hop)
{
    return answer_wildcard(hop->data, hop->name, hop->encloser_label);
}

static enum step answer_missing(struct answer *answer, struct answer_hop *hop,
                                const struct name_entry **ret_entry)
{
    const struct name_entry *encloser = find_encloser(hop);
    if ((encloser->flags & (ENTRY_CUT | ENTRY_BELOW_CUT)) != 0)
        return occluded(answer, hop);
    if ((encloser->flags & ENTRY_DNAME) != 0)
        return follow_dname(answer, hop, hop->encloser_label, encloser);
    if ((encloser->flags & ENTRY_WILDCARD_CHILD) != 0) {
        hop->wildcard = find_wildcard(hop);
        if (hop->wildcard != NULL) {
            *ret_entry = hop->wildcard;
            return answer_from_entry(answer, hop, hop->wildcard);
        }
    }
    return STEP_NXDOMAIN;
}

static bool is_for_transfer_only(const struct zone *zone)
{
    return atomic_load_explicit(&zone->transfer_only, memory_order_relaxed);
}

void question_find_zone(struct question *question, const struct zone_set *zones)
{
    const struct name *name = question->name;
    const struct zone *zone = NULL;
    /* A DS lives on the parent's side of a cut (RFC 4035, 3.1.4.1). */
    if (question->type == KNOT_RRTYPE_DS && name->label_count > 0)
        zone = zone_set_find(zones, name, 1);
    if (zone == NULL || is_for_transfer_only(zone))
        zone = zone_set_find(zones, name, 0);
    question->zone = zone;
    question->data = zone == NULL ? NULL : rcu_dereference(zone->data);
}

static enum step answer_from_data(struct answer *answer, struct answer_hop *hop,
                                  const struct name_entry *entry,
                                  const struct name_entry **ret_entry)
{
    *ret_entry = entry;
    if (entry == NULL)
        return answer_missing(answer, hop, ret_entry);
    if ((entry->flags & ENTRY_BELOW_CUT) != 0)
        return occluded(answer, hop);
    return answer_from_entry(answer, hop, entry);
}

/* Answers one hop from its zone's data. `ret_entry` is what NODATA must be proved for. */
static enum step answer_hop(struct answer *answer, struct answer_hop *hop,
                            const struct name_entry **ret_entry)
{
    struct name_hit hit = zone_data_find(hop->data, hop->name);
    const struct verdict *verdict = find_verdict(answer, hop, hit, answer->environment->worker);
    if (verdict != NULL)
        return apply_verdict(answer, hop, verdict);
    if (answer->unavailable)
        return STEP_STOP;

    enum step step = answer_from_data(answer, hop, hit.entry, ret_entry);
    for (unsigned tries = 0; step == STEP_AGAIN && tries < TRIES_MAX; tries++) {
        hit = zone_data_find(hop->data, hop->name);
        step = answer_from_data(answer, hop, hit.entry, ret_entry);
    }
    if (step != STEP_AGAIN)
        return step;
    answer->rcode = KNOT_RCODE_SERVFAIL;
    answer->authoritative = false;
    return STEP_STOP;
}

static enum step answer_first_hop(struct answer *answer, const struct name_entry **ret_entry)
{
    const struct zone *zone = answer->question.zone;
    if (zone == NULL) {
        answer->rcode = KNOT_RCODE_REFUSED;
        answer->refused_zone = true;
        answer->authoritative = false;
        answer->ede_code = KNOT_EDNS_EDE_NOTAUTH;
        return STEP_STOP;
    }

    struct answer_hop *hop = &answer->hops[0];
    if (is_for_transfer_only(zone) && !answer->environment->may_transfer) {
        answer->rcode = KNOT_RCODE_REFUSED;
        answer->transfer_only = zone;
        answer->authoritative = false;
        answer->ede_code = KNOT_EDNS_EDE_PROHIBITED;
        return STEP_STOP;
    }
    int status = atomic_load_explicit(&zone->status, memory_order_relaxed);
    answer->unavailable = status != ZONE_SERVING || rcu_dereference(hop->data->apex_entry) == NULL;
    enum step step = answer_hop(answer, hop, ret_entry);
    if (answer->unavailable && !answer->verdict) {
        answer->rcode = KNOT_RCODE_SERVFAIL;
        answer->authoritative = false;
        answer->ede_code =
            status == ZONE_EXPIRED ? KNOT_EDNS_EDE_INV_DATA : KNOT_EDNS_EDE_NOT_READY;
    }
    return step;
}

/* ---- Additional data ---- */

/* Where in the rdata of these types the name is that wants addresses. */
static size_t target_offset(uint16_t type)
{
    switch (type) {
    case KNOT_RRTYPE_MX:
    case KNOT_RRTYPE_SVCB:
    case KNOT_RRTYPE_HTTPS:
        return 2;
    case KNOT_RRTYPE_SRV:
        return 6;
    default:
        return 0;
    }
}

/* What answers for `target`: its own entry, a glue entry, or a wildcard. */
static const struct name_entry *additional_entry(const struct answer *answer,
                                                 const struct zone_data *data,
                                                 struct answer_hop *target, bool is_needed)
{
    target->data = data;
    struct name_hit hit = zone_data_find(data, target->name);
    /* A listed name's address is not given away beside another answer, unless a delegation would
     * be lost without it: that would block what nobody listed. */
    if (!is_needed && find_verdict(answer, target, hit, OVERLAY_UNCOUNTED) != NULL)
        return NULL;
    const struct name_entry *entry = hit.entry;
    if (entry != NULL)
        return entry;
    const struct name_entry *encloser = find_encloser(target);
    if ((encloser->flags & (ENTRY_CUT | ENTRY_BELOW_CUT | ENTRY_DNAME)) != 0 ||
        (encloser->flags & ENTRY_WILDCARD_CHILD) == 0)
        return NULL;
    return find_wildcard(target);
}

static bool put_addresses(struct answer *answer, const struct name *owner,
                          const struct name_entry *entry, uint16_t source_type)
{
    static const uint16_t types[] = {KNOT_RRTYPE_A, KNOT_RRTYPE_AAAA};
    bool fits = true;
    struct rrset rrset;
    struct response_owner place = {.wire = owner->wire};
    for (size_t i = 0; i < 2; i++) {
        if (name_entry_rrset(entry, types[i], &rrset))
            fits &= answer_put(answer, SECTION_ADDITIONAL, place, owner->hashes[0], entry, &rrset,
                               rrset.ttl);
    }
    if ((source_type == KNOT_RRTYPE_SVCB || source_type == KNOT_RRTYPE_HTTPS) &&
        name_entry_rrset(entry, source_type, &rrset))
        fits &= answer_put(answer, SECTION_ADDITIONAL, place, owner->hashes[0], entry, &rrset,
                           rrset.ttl);
    return fits;
}

/* Whether `name` is at or below the delegation that a referral is about. */
static bool is_in_domain(const struct answer *answer, const struct answer_pending *pending,
                         const struct name *name)
{
    const struct name *cut = answer->hops[pending->cut_hop].name;
    size_t labels = (size_t)cut->label_count - pending->cut_label;
    if (name->label_count < labels)
        return false;
    return name->hashes[name->label_count - labels] == cut->hashes[pending->cut_label];
}

/* Adds the addresses of the targets of one record set: those without which a delegation cannot be
 * followed, or the others. */
static void put_targets(struct answer *answer, const struct answer_pending *pending, bool needed)
{
    const uint8_t *at = pending->rrset.data;
    for (unsigned left = pending->rrset.rr_count; left > 0; left--) {
        uint16_t size = knot_wire_read_u16(at);
        struct name name;
        struct answer_hop target = {.name = &name};
        const uint8_t *wire = at + 2 + target_offset(pending->rrset.type);
        at += 2 + (size_t)size;
        if (wire[0] == 0 || name_parse(&name, wire, NAME_SIZE_MAX) < 0 ||
            !zone_data_holds(pending->data, &name))
            continue;
        bool is_needed = pending->is_referral && is_in_domain(answer, pending, &name);
        if (is_needed != needed)
            continue;
        const struct name_entry *entry =
            additional_entry(answer, pending->data, &target, is_needed);
        if (entry == NULL)
            continue;
        bool fits = put_addresses(answer, &name, entry, pending->rrset.type);
        if (!fits && is_needed)
            answer->truncated = true;
    }
}

/* Needed glue goes first, so that no other address takes its room (RFC 9471, 3.1). */
static void put_additional(struct answer *answer)
{
    for (unsigned i = 0; i < answer->pending_count; i++)
        if (answer->pending[i].is_referral)
            put_targets(answer, &answer->pending[i], true);
    for (unsigned i = 0; i < answer->pending_count; i++)
        put_targets(answer, &answer->pending[i], false);
}

/* ---- The whole ---- */

/* What the authority section owes to the last step and to the wildcards on the way. */
static bool put_authority(struct answer *answer, enum step step, const struct name_entry *entry)
{
    struct answer_hop *last = &answer->hops[answer->hop_count - 1];
    if (step == STEP_NODATA || step == STEP_NXDOMAIN) {
        if (!put_soa(answer, last, UINT32_MAX))
            return false;
        bool fits = step == STEP_NXDOMAIN ? denial_of_name(answer, last)
                                          : denial_of_type(answer, last, entry);
        if (!fits)
            return false;
    }
    if (!answer->question.dnssec)
        return true;
    for (size_t i = 0; i < answer->hop_count; i++) {
        struct answer_hop *hop = &answer->hops[i];
        bool proved = hop == last && step == STEP_NODATA;
        if (hop->wildcard != NULL && !proved && !denial_of_better_match(answer, hop))
            return false;
    }
    return true;
}

static void answer_begin(struct answer *answer, const struct answer_environment *environment,
                         struct response *response)
{
    answer->environment = environment;
    answer->response = response;
    answer->rcode = KNOT_RCODE_NOERROR;
    answer->authoritative = true;
    answer->truncated = false;
    answer->refused_zone = false;
    answer->unavailable = false;
    answer->verdict = false;
    answer->dropped = false;
    answer->transfer_only = NULL;
    answer->ede_code = -1;
    answer->ede_text = NULL;
    answer->ede_text_size = 0;
    answer->pending_count = 0;
    answer->written_count = 0;
    answer->hop_count = 1;
    answer->hops[0].name = answer->question.name;
    answer->hops[0].data = answer->question.data;
    answer->hops[0].wildcard = NULL;
    answer->hops[0].encloser_label = 0;
}

void answer_question(struct answer *answer, const struct answer_environment *environment,
                     struct response *response)
{
    answer_begin(answer, environment, response);
    const struct name_entry *entry = NULL;
    enum step step = answer_first_hop(answer, &entry);
    while (step == STEP_FOLLOW)
        step = answer_hop(answer, &answer->hops[answer->hop_count - 1], &entry);

    if (step == STEP_NXDOMAIN)
        answer->rcode = KNOT_RCODE_NXDOMAIN;
    if (step == STEP_TRUNCATED || !put_authority(answer, step, entry)) {
        answer->truncated = true;
        return;
    }
    if (answer->pending_count > 0)
        put_additional(answer);
}

/* ---- Answers made elsewhere ---- */

static const struct verdict *judge(const struct zone_data *data,
                                   const struct answer_environment *environment,
                                   const struct name *name, unsigned worker)
{
    const struct overlay *overlay = environment->overlay;
    if (overlay == NULL)
        return NULL;
    const struct name_hit hit = zone_data_find(data, name);
    if (!hit.marked && !overlay->has_subtrees)
        return NULL;
    const bool is_apex = name->label_count == data->apex.label_count;
    return overlay->find(overlay, name, is_apex, environment->now, worker).verdict;
}

struct judgement answer_judge_question(const struct question *question,
                                       const struct answer_environment *environment,
                                       unsigned worker)
{
    return (struct judgement){
        .is_known = true, .verdict = judge(question->data, environment, question->name, worker)};
}

const struct verdict *answer_judge(const struct question *question,
                                   const struct answer_environment *environment,
                                   const struct name *name, unsigned worker)
{
    if (!zone_data_holds(question->data, name))
        return NULL;
    const struct verdict *verdict = judge(question->data, environment, name, worker);
    const bool passes =
        verdict != NULL && verdict->action == VERDICT_TCP_ONLY && environment->over_tcp;
    return passes ? NULL : verdict;
}

void answer_put_verdict(struct answer *answer, const struct answer_environment *environment,
                        const struct name *target, const struct verdict *verdict,
                        struct response *response)
{
    answer_begin(answer, environment, response);
    answer->hops[1] = (struct answer_hop){.name = target, .data = answer->question.data};
    answer->hop_count = 2;
    answer->truncated = apply_verdict(answer, &answer->hops[1], verdict) == STEP_TRUNCATED;
}
