#include "zone/negative.h"

#include <assert.h>
#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>

#include "dns/response.h"

/* A question for the apex and the record behind it. */
#define MESSAGE_MAX (QUESTION_OFFSET + 3 * NAME_SIZE_MAX + 64)

/* All labels of the apex are among the suffixes that records are compressed against, whatever
 * stands in front of them. */
#define APEX_LABELS_MAX (COMPRESSION_MAX / 2)

#define POINTER_BITS 0xc0

/* Notes the pointer that ends the name at `at` in the record, if one does; returns what is behind
 * the name. */
static size_t note_pointer(struct zone_negative *negative, size_t at)
{
    while (negative->octets[at] != 0) {
        if (negative->octets[at] >= POINTER_BITS) {
            negative->pointers[negative->pointer_count++] = (uint16_t)at;
            return at + 2;
        }
        at += (size_t)negative->octets[at] + 1;
    }
    return at + 1;
}

/* Notes the name one label below the apex that `wire` is at or below, if it is. */
static void note_shared(struct zone_negative *negative, const struct name *apex,
                        const uint8_t *wire)
{
    struct name name;
    if (name_parse(&name, wire, NAME_SIZE_MAX) < 0 || name.label_count <= apex->label_count)
        return;
    size_t below = (size_t)name.label_count - apex->label_count - 1;
    if (name.hashes[below + 1] == apex->hashes[0])
        negative->shared[negative->shared_count++] = name.hashes[below];
}

int zone_negative_create(const struct name *apex, const struct name_entry *apex_entry,
                         struct zone_negative **ret_negative)
{
    struct rrset soa, signatures;
    bool found = name_entry_rrset(apex_entry, KNOT_RRTYPE_SOA, &soa);
    assert(found);
    (void)found;
    *ret_negative = NULL;
    if (apex->label_count == 0 || apex->label_count > APEX_LABELS_MAX)
        return 0;

    uint8_t message[MESSAGE_MAX];
    struct response response;
    size_t question_end = QUESTION_OFFSET + (size_t)apex->size + 4;
    memcpy(message + QUESTION_OFFSET, apex->wire, apex->size);
    response_init(&response, message, question_end, sizeof(message), apex);
    uint32_t minimum_s = knot_wire_read_u32(soa.data + soa.size - 4);
    struct response_records records = {.type = KNOT_RRTYPE_SOA,
                                       .rr_count = 1,
                                       .ttl_s = minimum_s < soa.ttl ? minimum_s : soa.ttl,
                                       .data = soa.data};
    bool fits = response_put(&response, SECTION_AUTHORITY,
                             (struct response_owner){.pointer = QUESTION_OFFSET}, &records);
    assert(fits);
    (void)fits;

    size_t size = response.size - question_end;
    struct zone_negative *negative = calloc(1, sizeof(*negative) + size);
    if (negative == NULL)
        return -ENOMEM;
    negative->ttl_s = records.ttl_s;
    negative->is_signed = name_entry_rrset(apex_entry, KNOT_RRTYPE_RRSIG, &signatures);
    negative->size = (uint16_t)size;
    memcpy(negative->octets, message + question_end, size);

    /* Owner, ten octets to the end of the record data's length, two names, five numbers. */
    size_t rdata_at = note_pointer(negative, 0) + 10;
    (void)note_pointer(negative, note_pointer(negative, rdata_at));
    const uint8_t *primary = soa.data + 2;
    note_shared(negative, apex, primary);
    note_shared(negative, apex, primary + name_wire_size(primary));
    *ret_negative = negative;
    return 0;
}

static void free_retired(struct rcu_head *head)
{
    rcu_callback_begins();
    free(head); /* its first member */
}

void zone_negative_retire(struct zone_negative *negative)
{
    if (negative != NULL)
        call_rcu(&negative->retired, free_retired);
}
