#include "zone/transfer_out.h"

#include <assert.h>
#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>

#include "dns/response.h"
#include "zone/arena.h"

/* Entries asked of a view at once. */
#define ENTRIES_MAX 64

#define ARENA_CHUNK_SIZE ((size_t)64 * 1024)

/* A record set on its way out. */
struct out_set {
    const uint8_t *owner; /* relative to the apex */
    uint8_t owner_size;
    struct rrset rrset;
    const uint8_t *at; /* the next record; NULL: nothing of the set is out */
    unsigned left;     /* records from `at` on */
};

/* One record set that differs between two serials; both sides live in the arena. */
struct difference {
    const uint8_t *owner;
    uint64_t hash; /* of owner and type */
    struct rrset before, after;
    uint8_t owner_size;
};

enum phase {
    PHASE_FIRST_SOA, /* the new one */
    PHASE_OLD_SOA,
    PHASE_REMOVED,
    PHASE_NEW_SOA,
    PHASE_ADDED,
    PHASE_ZONE, /* of AXFR: everything but the SOA */
    PHASE_LAST_SOA,
    PHASE_END,
};

enum kind { KIND_ZONE, KIND_DIFFERENCE, KIND_SOA };

struct transfer_out {
    enum kind kind;
    enum phase phase;
    struct name apex;
    struct rrset old_soa, new_soa;
    struct out_set set; /* the one being put */
    bool has_set;
    struct transfer_out_report report;

    /* KIND_ZONE */
    struct zone_view *view;
    const struct name_entry *entries[ENTRIES_MAX];
    size_t entry_count, entry_next;
    const uint8_t *rrset_next; /* of the present entry */
    unsigned rrsets_left;

    /* KIND_DIFFERENCE */
    struct arena *arena;
    struct difference *differences;
    size_t count, room;
    uint32_t *slots; /* hash by owner and type: index plus one */
    size_t slot_count;
    size_t next;         /* difference */
    const uint8_t *from; /* the next record of it; NULL: at its first */
    unsigned from_left;
    uint64_t octets_max;
};

static struct transfer_out *create(enum kind kind, const uint8_t *apex)
{
    struct transfer_out *transfer = calloc(1, sizeof(*transfer));
    if (transfer == NULL)
        return NULL;
    transfer->kind = kind;
    if (name_parse(&transfer->apex, apex, NAME_SIZE_MAX) < 0) {
        free(transfer);
        return NULL;
    }
    return transfer;
}

void transfer_out_free(struct transfer_out *transfer)
{
    if (transfer == NULL)
        return;
    zone_view_close(transfer->view);
    arena_free(transfer->arena);
    free(transfer->differences);
    free(transfer->slots);
    free(transfer);
}

void transfer_out_report(const struct transfer_out *transfer,
                         struct transfer_out_report *ret_report)
{
    *ret_report = transfer->report;
}

static uint32_t soa_serial(const struct rrset *soa)
{
    return knot_wire_read_u32(soa->data + soa->size - 20);
}

int transfer_out_axfr(struct zone_view *view, struct transfer_out **ret_transfer)
{
    struct transfer_out *transfer = create(KIND_ZONE, zone_view_data(view)->apex.wire);
    if (transfer == NULL) {
        zone_view_close(view);
        return -ENOMEM;
    }
    transfer->view = view;
    bool found = name_entry_rrset(zone_view_apex(view), KNOT_RRTYPE_SOA, &transfer->new_soa);
    assert(found); /* what has data has a SOA */
    (void)found;
    transfer->report.serial_from = transfer->report.serial_to = soa_serial(&transfer->new_soa);
    *ret_transfer = transfer;
    return 0;
}

/* ---- The difference between two serials ---- */

static int copy_rrset(struct transfer_out *transfer, const struct rrset *rrset,
                      struct rrset *ret_copy)
{
    *ret_copy = *rrset;
    if (rrset->rr_count == 0)
        return 0;
    uint8_t *data = arena_alloc(transfer->arena, rrset->size);
    if (data == NULL)
        return -ENOMEM;
    memcpy(data, rrset->data, rrset->size);
    ret_copy->data = data;
    return 0;
}

static uint64_t difference_hash(const struct transfer_out *transfer, const struct change *change)
{
    /* The relative owner's hash from the apex leftwards, then the type. */
    uint8_t offsets[NAME_LABELS_MAX];
    size_t labels = 0;
    for (size_t at = 0; at < change->owner_size; at += (size_t)change->owner[at] + 1)
        offsets[labels++] = (uint8_t)at;
    uint64_t hash = transfer->apex.hashes[0];
    while (labels > 0)
        hash = name_hash_child(hash, change->owner + offsets[--labels]);
    const uint8_t type[] = {2, (uint8_t)(change->after.type >> 8), (uint8_t)change->after.type};
    return name_hash_child(hash, type);
}

static bool is_same_set(const struct difference *difference, const struct change *change)
{
    return difference->after.type == change->after.type &&
           difference->owner_size == change->owner_size &&
           memcmp(difference->owner, change->owner, change->owner_size) == 0;
}

/* The slot of the set, or the empty one where it belongs. */
static uint32_t *find_slot(struct transfer_out *transfer, uint64_t hash,
                           const struct change *change)
{
    for (size_t at = hash % transfer->slot_count;; at = (at + 1) % transfer->slot_count) {
        uint32_t *slot = &transfer->slots[at];
        if (*slot == 0)
            return slot;
        const struct difference *difference = &transfer->differences[*slot - 1];
        if (difference->hash == hash && is_same_set(difference, change))
            return slot;
    }
}

/* Keeps the table at most half full. */
static int grow(struct transfer_out *transfer)
{
    if (transfer->count < transfer->room)
        return 0;
    const size_t room = transfer->room == 0 ? 64 : transfer->room * 2;
    if (room > UINT32_MAX / 2)
        return -ENOENT;
    struct difference *differences =
        reallocarray(transfer->differences, room, sizeof(*differences));
    if (differences == NULL)
        return -ENOMEM;
    transfer->differences = differences;
    transfer->room = room;
    uint32_t *slots = calloc(2 * room, sizeof(*slots));
    if (slots == NULL)
        return -ENOMEM;
    free(transfer->slots);
    transfer->slots = slots;
    transfer->slot_count = 2 * room;
    for (size_t i = 0; i < transfer->count; i++) {
        size_t at = differences[i].hash % transfer->slot_count;
        while (slots[at] != 0)
            at = (at + 1) % transfer->slot_count;
        slots[at] = (uint32_t)i + 1;
    }
    return 0;
}

static int add_difference(struct transfer_out *transfer, const struct change *change)
{
    int rc = grow(transfer);
    if (rc < 0)
        return rc;
    const uint64_t hash = difference_hash(transfer, change);
    uint32_t *slot = find_slot(transfer, hash, change);
    if (*slot != 0)
        return copy_rrset(transfer, &change->after, &transfer->differences[*slot - 1].after);

    struct difference *difference = &transfer->differences[transfer->count];
    uint8_t *owner = arena_alloc(transfer->arena, change->owner_size + 1u);
    if (owner == NULL)
        return -ENOMEM;
    if (change->owner_size > 0)
        memcpy(owner, change->owner, change->owner_size);
    *difference = (struct difference){
        .owner = owner,
        .owner_size = change->owner_size,
        .hash = hash,
    };
    rc = copy_rrset(transfer, &change->before, &difference->before);
    if (rc == 0)
        rc = copy_rrset(transfer, &change->after, &difference->after);
    if (rc < 0)
        return rc;
    *slot = (uint32_t)++transfer->count;
    return 0;
}

static bool takes_too_much(const struct transfer_out *transfer)
{
    return arena_held(transfer->arena) + transfer->room * sizeof(struct difference) +
               transfer->slot_count * sizeof(uint32_t) >
           transfer->octets_max;
}

static int collect(void *context, const struct commit *commit)
{
    struct transfer_out *transfer = context;
    struct change change;
    size_t at = 0;
    while (change_list_next(commit->changes, commit->changes_size, &at, &change)) {
        int rc = add_difference(transfer, &change);
        if (rc < 0)
            return rc;
    }
    return takes_too_much(transfer) ? -ENOENT : 0;
}

/* The SOA's difference gives both SOAs, and is told by them alone. */
static bool take_soas(struct transfer_out *transfer)
{
    for (size_t i = 0; i < transfer->count; i++) {
        struct difference *difference = &transfer->differences[i];
        if (difference->owner_size != 0 || difference->after.type != KNOT_RRTYPE_SOA)
            continue;
        transfer->old_soa = difference->before;
        transfer->new_soa = difference->after;
        *difference = transfer->differences[--transfer->count];
        return transfer->old_soa.rr_count == 1 && transfer->new_soa.rr_count == 1;
    }
    return false;
}

int transfer_out_ixfr(struct journal *journal, const uint8_t *apex, uint32_t serial_from,
                      uint64_t octets_max, struct transfer_out **ret_transfer,
                      struct error *ret_error)
{
    _cleanup_(transfer_out_freep) struct transfer_out *transfer = create(KIND_DIFFERENCE, apex);
    if (transfer == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    transfer->octets_max = octets_max;
    transfer->arena = arena_create(ARENA_CHUNK_SIZE);
    if (transfer->arena == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = journal_read(journal, apex, serial_from, collect, transfer, ret_error);
    if (rc == -ENOMEM)
        return error_set(ret_error, rc, "out of memory");
    if (rc < 0)
        return rc;
    if (!take_soas(transfer))
        return error_set(ret_error, -EBADMSG, "the journal's commits say nothing of the SOA");
    transfer->report.serial_from = soa_serial(&transfer->old_soa);
    transfer->report.serial_to = soa_serial(&transfer->new_soa);
    *ret_transfer = TAKE(transfer);
    return 0;
}

int transfer_out_soa(const uint8_t *apex, const struct rrset *soa,
                     struct transfer_out **ret_transfer)
{
    _cleanup_(transfer_out_freep) struct transfer_out *transfer = create(KIND_SOA, apex);
    if (transfer == NULL)
        return -ENOMEM;
    transfer->arena = arena_create(soa->size + 64);
    if (transfer->arena == NULL || copy_rrset(transfer, soa, &transfer->new_soa) < 0)
        return -ENOMEM;
    transfer->report.serial_from = transfer->report.serial_to = soa_serial(&transfer->new_soa);
    *ret_transfer = TAKE(transfer);
    return 0;
}

/* ---- What comes next ---- */

static void give(struct transfer_out *transfer, const uint8_t *owner, uint8_t owner_size,
                 const struct rrset *rrset)
{
    transfer->set.owner = owner;
    transfer->set.owner_size = owner_size;
    transfer->set.rrset = *rrset;
    transfer->set.at = NULL;
    transfer->has_set = true;
}

static bool next_of_zone(struct transfer_out *transfer)
{
    for (;;) {
        while (transfer->rrsets_left > 0) {
            struct rrset rrset;
            transfer->rrset_next = rrset_read(&rrset, transfer->rrset_next);
            transfer->rrsets_left--;
            const struct name_entry *entry = transfer->entries[transfer->entry_next - 1];
            if (rrset.type == KNOT_RRTYPE_SOA && entry->owner_size == 0)
                continue;
            give(transfer, entry->owner, entry->owner_size, &rrset);
            return true;
        }
        if (transfer->entry_next == transfer->entry_count) {
            transfer->entry_count =
                zone_view_next(transfer->view, transfer->entries, NULL, ENTRIES_MAX);
            transfer->entry_next = 0;
            if (transfer->entry_count == 0)
                return false;
            /* They lie anywhere: waiting for one after the other would take half of the time. */
            for (size_t i = 0; i < transfer->entry_count; i++)
                __builtin_prefetch(transfer->entries[i]);
        }
        const struct name_entry *entry = transfer->entries[transfer->entry_next++];
        transfer->rrset_next = name_entry_rrsets(entry);
        transfer->rrsets_left = entry->rrset_count;
    }
}

/* Whether a set of other records has this one: same data, same TTL. */
static bool has_record(const struct rrset *rrset, uint32_t ttl_s, const uint8_t *record)
{
    if (rrset->rr_count == 0 || rrset->ttl != ttl_s)
        return false;
    const size_t size = 2 + (size_t)knot_wire_read_u16(record);
    const uint8_t *at = rrset->data;
    for (unsigned left = rrset->rr_count; left > 0; left--) {
        const size_t present = 2 + (size_t)knot_wire_read_u16(at);
        if (present == size && memcmp(at, record, size) == 0)
            return true;
        at += present;
    }
    return false;
}

/* The next record that one side of the differences has and the other has not. */
static bool next_of_differences(struct transfer_out *transfer, bool removed)
{
    for (; transfer->next < transfer->count; transfer->next++, transfer->from = NULL) {
        const struct difference *difference = &transfer->differences[transfer->next];
        const struct rrset *side = removed ? &difference->before : &difference->after;
        const struct rrset *other = removed ? &difference->after : &difference->before;
        if (transfer->from == NULL) {
            transfer->from = side->data;
            transfer->from_left = side->rr_count;
        }
        while (transfer->from_left > 0) {
            const uint8_t *record = transfer->from;
            const uint32_t size = 2u + knot_wire_read_u16(record);
            transfer->from += size;
            transfer->from_left--;
            if (has_record(other, side->ttl, record))
                continue;
            const struct rrset one = {
                .type = side->type, .rr_count = 1, .ttl = side->ttl, .size = size, .data = record};
            give(transfer, difference->owner, difference->owner_size, &one);
            return true;
        }
    }
    transfer->next = 0;
    transfer->from = NULL;
    return false;
}

static enum phase after_first_soa(const struct transfer_out *transfer)
{
    switch (transfer->kind) {
    case KIND_ZONE:
        return PHASE_ZONE;
    case KIND_DIFFERENCE:
        return PHASE_OLD_SOA;
    case KIND_SOA:
        break;
    }
    return PHASE_END;
}

/* Makes the next record set the present one; false at the end. */
static bool next_set(struct transfer_out *transfer)
{
    for (;;) {
        switch (transfer->phase) {
        case PHASE_FIRST_SOA:
            transfer->phase = after_first_soa(transfer);
            give(transfer, NULL, 0, &transfer->new_soa);
            return true;
        case PHASE_OLD_SOA:
            transfer->phase = PHASE_REMOVED;
            give(transfer, NULL, 0, &transfer->old_soa);
            return true;
        case PHASE_REMOVED:
            if (next_of_differences(transfer, true))
                return true;
            transfer->phase = PHASE_NEW_SOA;
            break;
        case PHASE_NEW_SOA:
            transfer->phase = PHASE_ADDED;
            give(transfer, NULL, 0, &transfer->new_soa);
            return true;
        case PHASE_ADDED:
            if (next_of_differences(transfer, false))
                return true;
            transfer->phase = PHASE_LAST_SOA;
            break;
        case PHASE_ZONE:
            if (next_of_zone(transfer))
                return true;
            transfer->phase = PHASE_LAST_SOA;
            break;
        case PHASE_LAST_SOA:
            transfer->phase = PHASE_END;
            give(transfer, NULL, 0, &transfer->new_soa);
            return true;
        case PHASE_END:
            return false;
        }
    }
}

bool transfer_out_is_done(const struct transfer_out *transfer)
{
    return !transfer->has_set && transfer->phase == PHASE_END;
}

/* ---- Messages ---- */

/* The question is the apex, so owners are what is relative to it and a pointer. */
static bool put(struct response *response, const struct out_set *set, unsigned rr_count,
                const uint8_t *data)
{
    const struct response_owner owner = {
        .wire = set->owner,
        .pointer = set->owner_size == 0 ? QUESTION_OFFSET : 0,
        .relative_size = set->owner_size,
    };
    const struct response_records records = {.type = set->rrset.type,
                                             .rr_count = (uint16_t)rr_count,
                                             .ttl_s = set->rrset.ttl,
                                             .data = data};
    return response_put(response, SECTION_ANSWER, owner, &records);
}

/* Puts the present set, or as many of its records as fit when it is too large for any message.
 * Returns whether all of it is out. */
static bool put_set(struct transfer_out *transfer, struct response *response)
{
    struct out_set *set = &transfer->set;
    if (set->at == NULL) {
        if (put(response, set, set->rrset.rr_count, set->rrset.data)) {
            transfer->report.records += set->rrset.rr_count;
            return true;
        }
        if (response->counts[SECTION_ANSWER] > 0)
            return false; /* the next message may have room for it */
        set->at = set->rrset.data;
        set->left = set->rrset.rr_count;
    }
    while (set->left > 0 && put(response, set, 1, set->at)) {
        set->at += 2 + (size_t)knot_wire_read_u16(set->at);
        set->left--;
        transfer->report.records++;
    }
    return set->left == 0;
}

int transfer_out_next(struct transfer_out *transfer, const uint8_t *request, size_t question_end,
                      uint8_t *message, size_t max, size_t reserved)
{
    if (!transfer->has_set && !next_set(transfer))
        return 0;

    memcpy(message, request, question_end);
    struct response response;
    struct name question;
    if (name_parse(&question, message + QUESTION_OFFSET, question_end - QUESTION_OFFSET) < 0)
        return -EBADMSG;
    response_init(&response, message, question_end, max, &question);
    response_reserve(&response, reserved);
    do {
        if (!put_set(transfer, &response))
            break;
        transfer->has_set = false;
    } while (next_set(transfer));
    if (response.counts[SECTION_ANSWER] == 0)
        return -EMSGSIZE;

    const uint16_t flags =
        0x8400 | (knot_wire_read_u16(request + 2) & 0x0100); /* QR, AA; RD as is */
    knot_wire_write_u16(message + 2, flags);
    knot_wire_set_qdcount(message, 1);
    knot_wire_set_ancount(message, response.counts[SECTION_ANSWER]);
    knot_wire_set_nscount(message, 0);
    knot_wire_set_arcount(message, 0);
    transfer->report.messages++;
    transfer->report.octets += response.size;
    return (int)response.size;
}
