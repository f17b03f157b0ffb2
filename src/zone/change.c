/* A list's octets, change behind change:
 *
 *     number      author
 *     number      type
 *     octet       size of the owner, and the owner
 *     twice       number of records; unless that is 0: TTL, size of the data, and the data
 *
 * A number is 7 bits an octet, the lowest first, bit 7 set on all but the last (LEB128): the same
 * on every machine, and one octet for most of them. */
#include "zone/change.h"

#include <assert.h>
#include <errno.h>
#include <libknot/descriptor.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>

#include "dns/name.h"
#include "dns/rdata.h"

#define NUMBER_SIZE_MAX 5 /* of 32 bits */

/* Author, type, the owner's size, and two times count, TTL and size. */
#define FIXED_SIZE_MAX (2 * NUMBER_SIZE_MAX + 1 + 2 * 3 * NUMBER_SIZE_MAX)

#define ROOM_MIN 256

void change_list_clear(struct change_list *list)
{
    free(list->octets);
    *list = (struct change_list){0};
}

void change_list_cut(struct change_list *list, size_t size, size_t count)
{
    assert(size <= list->size && count <= list->count);
    list->size = size;
    list->count = count;
}

/* ---- Writing ---- */

static int make_room(struct change_list *list, size_t more)
{
    if (more <= list->room - list->size)
        return 0;
    size_t room = list->room < ROOM_MIN ? ROOM_MIN : list->room * 2;
    if (room - list->size < more)
        room = list->size + more;
    uint8_t *octets = realloc(list->octets, room);
    if (octets == NULL)
        return -ENOMEM;
    list->octets = octets;
    list->room = room;
    return 0;
}

static uint8_t *put_number(uint8_t *at, uint32_t number)
{
    while (number > 0x7f) {
        *at++ = (uint8_t)(number | 0x80);
        number >>= 7;
    }
    *at++ = (uint8_t)number;
    return at;
}

static uint8_t *put_rrset(uint8_t *at, const struct rrset *rrset)
{
    at = put_number(at, rrset->rr_count);
    if (rrset->rr_count == 0)
        return at;
    at = put_number(at, rrset->ttl);
    at = put_number(at, rrset->size);
    memcpy(at, rrset->data, rrset->size);
    return at + rrset->size;
}

int change_list_add(struct change_list *list, const struct change *change)
{
    assert(change->before.type == change->after.type);
    size_t before_size = change->before.rr_count > 0 ? change->before.size : 0;
    size_t after_size = change->after.rr_count > 0 ? change->after.size : 0;
    int rc = make_room(list, FIXED_SIZE_MAX + change->owner_size + before_size + after_size);
    if (rc < 0)
        return rc;

    uint8_t *at = list->octets + list->size;
    at = put_number(at, change->author);
    at = put_number(at, change->after.type);
    *at++ = change->owner_size;
    if (change->owner_size > 0) {
        memcpy(at, change->owner, change->owner_size);
        at += change->owner_size;
    }
    at = put_rrset(at, &change->before);
    at = put_rrset(at, &change->after);
    list->size = (size_t)(at - list->octets);
    list->count++;
    return 0;
}

/* ---- Reading ---- */

struct cursor {
    const uint8_t *at, *end;
};

static bool get_number(struct cursor *cursor, uint32_t max, uint32_t *ret_number)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < NUMBER_SIZE_MAX && cursor->at < cursor->end; i++) {
        uint8_t octet = *cursor->at++;
        number |= (uint64_t)(octet & 0x7f) << (7 * i);
        if ((octet & 0x80) == 0) {
            *ret_number = (uint32_t)number;
            return number <= max;
        }
    }
    return false;
}

static bool get_octets(struct cursor *cursor, size_t size, const uint8_t **ret_octets)
{
    if (size > (size_t)(cursor->end - cursor->at))
        return false;
    *ret_octets = cursor->at;
    cursor->at += size;
    return true;
}

static bool get_rrset(struct cursor *cursor, uint16_t type, struct rrset *ret_rrset)
{
    *ret_rrset = (struct rrset){.type = type};
    uint32_t count;
    if (!get_number(cursor, UINT16_MAX, &count))
        return false;
    ret_rrset->rr_count = (uint16_t)count;
    return count == 0 || (get_number(cursor, UINT32_MAX, &ret_rrset->ttl) &&
                          get_number(cursor, UINT32_MAX, &ret_rrset->size) &&
                          get_octets(cursor, ret_rrset->size, &ret_rrset->data));
}

/* Reads one change as far as lengths go. */
static bool get_change(struct cursor *cursor, struct change *ret_change)
{
    uint32_t author, type;
    const uint8_t *owner_size;
    if (!get_number(cursor, UINT16_MAX, &author) || !get_number(cursor, UINT16_MAX, &type) ||
        !get_octets(cursor, 1, &owner_size))
        return false;
    ret_change->author = (uint16_t)author;
    ret_change->owner_size = *owner_size;
    return get_octets(cursor, *owner_size, &ret_change->owner) &&
           get_rrset(cursor, (uint16_t)type, &ret_change->before) &&
           get_rrset(cursor, (uint16_t)type, &ret_change->after);
}

bool change_list_next(const uint8_t *octets, size_t size, size_t *at, struct change *ret_change)
{
    if (*at == size)
        return false;
    struct cursor cursor = {.at = octets + *at, .end = octets + size};
    bool whole = get_change(&cursor, ret_change);
    assert(whole);
    *at = (size_t)(cursor.at - octets);
    return whole;
}

/* ---- Checking ---- */

/* Whole labels in lower case, as many as leave room for the root. */
static bool owner_is_valid(const uint8_t *owner, size_t size)
{
    if (size > NAME_SIZE_MAX - 1)
        return false;
    size_t at = 0;
    while (at < size) {
        size_t length = owner[at++];
        if (length == 0 || length > 63 || length > size - at)
            return false;
        for (size_t end = at + length; at < end; at++) {
            if (owner[at] >= 'A' && owner[at] <= 'Z')
                return false;
        }
    }
    return true;
}

/* Whether the data is exactly the records that it should be, each of its type's form, in canonical
 * order and none twice (RFC 4034, 6.3): as zones keep them, so that equal sets are equal octets. */
static bool rrset_is_valid(const struct rrset *rrset)
{
    bool single = rrset->type == KNOT_RRTYPE_SOA || rrset->type == KNOT_RRTYPE_CNAME ||
                  rrset->type == KNOT_RRTYPE_DNAME;
    if (single && rrset->rr_count > 1)
        return false;
    uint32_t at = 0;
    const uint8_t *before = NULL;
    uint16_t before_size = 0;
    for (unsigned left = rrset->rr_count; left > 0; left--) {
        if (rrset->size - at < 2)
            return false;
        uint16_t rdata_size = knot_wire_read_u16(rrset->data + at);
        const uint8_t *rdata = rrset->data + at + 2;
        if (rrset->size - at - 2 < rdata_size || !rdata_is_valid(rrset->type, rdata, rdata_size))
            return false;
        if (before != NULL &&
            rdata_compare(rrset->type, before, before_size, rdata, rdata_size) >= 0)
            return false;
        at += 2 + (uint32_t)rdata_size;
        before = rdata;
        before_size = rdata_size;
    }
    return at == rrset->size;
}

static bool change_is_valid(const struct change *change)
{
    const uint16_t type = change->after.type;
    if (type == 0 || type == KNOT_RRTYPE_OPT || knot_rrtype_is_metatype(type) ||
        (type == KNOT_RRTYPE_SOA && change->owner_size > 0))
        return false;
    return owner_is_valid(change->owner, change->owner_size) &&
           (change->before.rr_count > 0 || change->after.rr_count > 0) &&
           rrset_is_valid(&change->before) && rrset_is_valid(&change->after);
}

bool change_list_check(const uint8_t *octets, size_t size, size_t *ret_count)
{
    struct cursor cursor = {.at = octets, .end = octets + size};
    size_t count = 0;
    while (cursor.at < cursor.end) {
        struct change change;
        if (!get_change(&cursor, &change) || !change_is_valid(&change))
            return false;
        count++;
    }
    *ret_count = count;
    return true;
}
