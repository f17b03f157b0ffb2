/* Which NSEC and NSEC3 records go into an answer. */
#include <libknot/descriptor.h>
#include <string.h>

#include "zone/answer_internal.h"
#include "zone/nsec_chain.h"

/* Puts the set of `type` at a chain entry, owner and all, into the authority section. */
static bool put_link(struct answer *answer, const struct zone_data *data,
                     const struct name_entry *entry, uint16_t type)
{
    struct rrset rrset;
    if (entry == NULL || !name_entry_rrset(entry, type, &rrset))
        return true;
    uint8_t owner[NAME_SIZE_MAX];
    memcpy(owner, entry->owner, entry->owner_size);
    memcpy(owner + entry->owner_size, data->apex.wire, data->apex.size);
    return answer_put(answer, SECTION_AUTHORITY, (struct response_owner){.wire = owner}, 0, entry,
                      &rrset, rrset.ttl);
}

/* Octets of the suffix of `name` from `label` in front of the apex. */
static size_t relative_size(const struct zone_data *data, const struct name *name, size_t label)
{
    return (size_t)name->size - data->apex.size - name->offsets[label];
}

/* "*." and the suffix of `name` from `label`, in wire form; returns its size, 0 when it would be
 * too long: then no such wildcard can exist. */
static size_t wildcard_name(const struct name *name, size_t label,
                            uint8_t ret_wire[NAME_SIZE_MAX + 2])
{
    size_t offset = name->offsets[label];
    size_t size = (size_t)name->size - offset;
    if (size + 2 > NAME_SIZE_MAX)
        return 0;
    ret_wire[0] = 1;
    ret_wire[1] = '*';
    memcpy(ret_wire + 2, name->wire + offset, size);
    return size + 2;
}

static bool put_nsec_covering(struct answer *answer, const struct zone_data *data,
                              const uint8_t *owner, size_t owner_size)
{
    bool exact;
    const struct name_entry *entry = nsec_chain_covering(data->chain, owner, owner_size, &exact);
    return put_link(answer, data, entry, KNOT_RRTYPE_NSEC);
}

static bool put_nsec_covering_label(struct answer *answer, const struct answer_hop *hop,
                                    size_t label)
{
    return put_nsec_covering(answer, hop->data, hop->name->wire + hop->name->offsets[label],
                             relative_size(hop->data, hop->name, label));
}

static bool nsec3_find_label(const struct answer_hop *hop, size_t label,
                             const struct name_entry **ret_entry)
{
    uint8_t hash[NSEC3_HASH_SIZE];
    bool exact;
    size_t offset = hop->name->offsets[label];
    nsec3_hash(hop->data->chain, hop->name->wire + offset, hop->name->size - offset, hash);
    const struct nsec3_link *link = nsec3_chain_covering(hop->data->chain, hash, &exact);
    *ret_entry = link == NULL ? NULL : link->entry;
    return exact;
}

/* Proves the closest provable encloser at or above `label` and that the next closer name does not
 * exist (RFC 5155, 7.2.1). Returns the encloser's label, or -1 when it does not fit. */
static int put_encloser_proof(struct answer *answer, const struct answer_hop *hop, size_t label,
                              bool with_match)
{
    size_t apex_label = (size_t)hop->name->label_count - hop->data->apex.label_count;
    const struct name_entry *entry = NULL;
    while (!nsec3_find_label(hop, label, &entry)) {
        if (label == apex_label)
            return (int)label; /* a broken chain: nothing proves anything */
        label++;
    }
    if (with_match && !put_link(answer, hop->data, entry, KNOT_RRTYPE_NSEC3))
        return -1;
    if (label == 0)
        return 0;
    (void)nsec3_find_label(hop, label - 1, &entry);
    return put_link(answer, hop->data, entry, KNOT_RRTYPE_NSEC3) ? (int)label : -1;
}

static bool put_nsec3_of_wildcard(struct answer *answer, const struct answer_hop *hop,
                                  size_t encloser_label)
{
    uint8_t wildcard[NAME_SIZE_MAX + 2], hash[NSEC3_HASH_SIZE];
    size_t size = wildcard_name(hop->name, encloser_label, wildcard);
    if (size == 0)
        return true;
    nsec3_hash(hop->data->chain, wildcard, size, hash);
    bool exact;
    const struct nsec3_link *link = nsec3_chain_covering(hop->data->chain, hash, &exact);
    return link == NULL || put_link(answer, hop->data, link->entry, KNOT_RRTYPE_NSEC3);
}

static bool is_needed(const struct answer *answer, const struct answer_hop *hop)
{
    return answer->question.dnssec && hop->data->chain != NULL;
}

bool denial_of_name(struct answer *answer, const struct answer_hop *hop)
{
    if (!is_needed(answer, hop))
        return true;

    if (hop->data->chain->nsec3 != NULL) {
        int label = put_encloser_proof(answer, hop, hop->encloser_label, true);
        return label >= 0 && put_nsec3_of_wildcard(answer, hop, (size_t)label);
    }

    if (!put_nsec_covering_label(answer, hop, 0))
        return false;
    uint8_t wildcard[NAME_SIZE_MAX + 2];
    size_t size = wildcard_name(hop->name, hop->encloser_label, wildcard);
    return size == 0 || put_nsec_covering(answer, hop->data, wildcard, size - hop->data->apex.size);
}

bool denial_of_type(struct answer *answer, const struct answer_hop *hop,
                    const struct name_entry *entry)
{
    if (!is_needed(answer, hop))
        return true;

    if (hop->data->chain->nsec3 != NULL) {
        if (hop->wildcard != NULL) /* RFC 5155, 7.2.5 */
            return put_encloser_proof(answer, hop, hop->encloser_label, true) >= 0 &&
                   put_nsec3_of_wildcard(answer, hop, hop->encloser_label);
        const struct name_entry *link = NULL;
        if (nsec3_find_label(hop, 0, &link))
            return put_link(answer, hop->data, link, KNOT_RRTYPE_NSEC3);
        /* An insecure delegation or what lies only above such, left out of the chain (RFC
         * 5155, 7.2.4). */
        return put_encloser_proof(answer, hop, 0, true) >= 0;
    }

    if (hop->wildcard != NULL) /* RFC 4035, 3.1.3.4; one without records is covered, not matched */
        return put_nsec_covering(answer, hop->data, hop->wildcard->owner,
                                 hop->wildcard->owner_size) &&
               put_nsec_covering_label(answer, hop, 0);
    if (entry->rrset_count == 0) /* an empty non-terminal has no NSEC of its own */
        return put_nsec_covering_label(answer, hop, 0);
    return put_link(answer, hop->data, entry, KNOT_RRTYPE_NSEC);
}

bool denial_of_better_match(struct answer *answer, const struct answer_hop *hop)
{
    if (!is_needed(answer, hop))
        return true;
    if (hop->data->chain->nsec3 != NULL)
        return put_encloser_proof(answer, hop, hop->encloser_label, false) >= 0;
    return put_nsec_covering_label(answer, hop, 0);
}

bool denial_of_ds(struct answer *answer, const struct answer_hop *hop, size_t cut_label,
                  const struct name_entry *cut)
{
    if (!is_needed(answer, hop))
        return true;
    if (hop->data->chain->nsec3 != NULL) {
        const struct name_entry *link = NULL;
        if (nsec3_find_label(hop, cut_label, &link))
            return put_link(answer, hop->data, link, KNOT_RRTYPE_NSEC3);
        return put_encloser_proof(answer, hop, cut_label, true) >= 0;
    }
    return put_link(answer, hop->data, cut, KNOT_RRTYPE_NSEC);
}
