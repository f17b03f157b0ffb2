#include "cli/prove_answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two ordinary answers fit one block by far. The whole is bounded because compression lets a
 * message of 64 KiB name far more than it holds. */
#define ARENA_BLOCK_SIZE (256 << 10)
#define ARENA_SIZE_MAX   (64 << 20)

struct arena_block {
    struct arena_block *next;
    size_t size, used;
    _Alignas(16) uint8_t octets[];
};

struct answer_arena {
    struct arena_block *blocks; /* the newest first; the oldest stays over a reset */
    size_t size;
};

static struct arena_block *arena_grow(struct answer_arena *arena, size_t size)
{
    if (size < ARENA_BLOCK_SIZE)
        size = ARENA_BLOCK_SIZE;
    if (size > ARENA_SIZE_MAX - arena->size)
        return NULL;
    struct arena_block *block = malloc(sizeof(*block) + size);
    if (block == NULL)
        return NULL;
    *block = (struct arena_block){.next = arena->blocks, .size = size};
    arena->blocks = block;
    arena->size += size;
    return block;
}

void *answer_arena_take(struct answer_arena *arena, size_t size)
{
    if (size > ARENA_SIZE_MAX)
        return NULL;
    size = (size + 15) & ~(size_t)15;

    struct arena_block *block = arena->blocks;
    if (block->size - block->used < size) {
        block = arena_grow(arena, size);
        if (block == NULL)
            return NULL;
    }
    void *taken = block->octets + block->used;
    block->used += size;
    return taken;
}

/* libknot's view of the arena. */
static void *arena_take(void *context, size_t size)
{
    return answer_arena_take(context, size);
}

/* Everything is given back at once, by the reset. */
static void arena_give(void *pointer)
{
    (void)pointer;
}

int answer_arena_create(struct answer_arena **ret_arena)
{
    _cleanup_(answer_arena_freep) struct answer_arena *arena = calloc(1, sizeof(*arena));
    if (arena == NULL || arena_grow(arena, ARENA_BLOCK_SIZE) == NULL)
        return -ENOMEM;
    *ret_arena = TAKE(arena);
    return 0;
}

void answer_arena_free(struct answer_arena *arena)
{
    if (arena == NULL)
        return;
    while (arena->blocks != NULL) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->next;
        free(block);
    }
    free(arena);
}

void answer_arena_reset(struct answer_arena *arena)
{
    while (arena->blocks->next != NULL) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->next;
        arena->size -= block->size;
        free(block);
    }
    arena->blocks->used = 0;
}

int answer_record_compare(const knot_rrset_t *one, const knot_rrset_t *other)
{
    size_t one_size = knot_dname_size(one->owner), other_size = knot_dname_size(other->owner);
    if (one_size != other_size)
        return one_size < other_size ? -1 : 1;
    int order = memcmp(one->owner, other->owner, one_size);
    if (order != 0)
        return order;
    if (one->type != other->type)
        return one->type < other->type ? -1 : 1;
    if (one->rclass != other->rclass)
        return one->rclass < other->rclass ? -1 : 1;

    const knot_rdata_t *one_rdata = one->rrs.rdata, *other_rdata = other->rrs.rdata;
    if (one_rdata->len != other_rdata->len)
        return one_rdata->len < other_rdata->len ? -1 : 1;
    return memcmp(one_rdata->data, other_rdata->data, one_rdata->len);
}

static int record_order(const void *one, const void *other)
{
    const knot_rrset_t *a = *(const knot_rrset_t *const *)one;
    const knot_rrset_t *b = *(const knot_rrset_t *const *)other;
    int order = answer_record_compare(a, b);
    if (order != 0)
        return order;
    return a->ttl < b->ttl ? -1 : a->ttl > b->ttl;
}

static int section_collect(struct answer_arena *arena, const knot_pktsection_t *section,
                           struct answer_records *ret_records)
{
    *ret_records = (struct answer_records){0};
    if (section->count == 0)
        return 0;
    ret_records->records = answer_arena_take(arena, section->count * sizeof(*ret_records->records));
    if (ret_records->records == NULL)
        return -ENOMEM;

    for (uint16_t i = 0; i < section->count; i++) {
        const knot_rrset_t *record = knot_pkt_rr(section, i);
        if (record->type != KNOT_RRTYPE_OPT && record->type != KNOT_RRTYPE_TSIG)
            ret_records->records[ret_records->count++] = record;
    }
    if (ret_records->count > 1)
        qsort(ret_records->records, ret_records->count, sizeof(*ret_records->records),
              record_order);
    return 0;
}

/* libknot remembers one option of a kind; a server may send several extended errors. */
static void ede_collect(const knot_rrset_t *opt, struct answer *answer)
{
    const uint8_t *octet = opt->rrs.rdata->data;
    size_t left = opt->rrs.rdata->len;
    while (left >= 4) {
        uint16_t code = (uint16_t)(octet[0] << 8 | octet[1]);
        size_t size = (size_t)octet[2] << 8 | octet[3];
        if (size > left - 4)
            return;
        if (code == KNOT_EDNS_OPTION_EDE && size >= 2 && answer->ede_count < ANSWER_EDE_MAX)
            answer->ede[answer->ede_count++] =
                (struct answer_ede){.code = (uint16_t)(octet[4] << 8 | octet[5]),
                                    .text = octet + 6,
                                    .text_size = (uint16_t)(size - 2)};
        octet += 4 + size;
        left -= 4 + size;
    }
}

int answer_parse(struct answer_arena *arena, uint8_t *message, size_t size,
                 struct answer *ret_answer)
{
    if (size > UINT16_MAX)
        return -EBADMSG;
    knot_mm_t memory = {.ctx = arena, .alloc = arena_take, .free = arena_give};
    knot_pkt_t *packet = knot_pkt_new(message, (uint16_t)size, &memory);
    if (packet == NULL)
        return -ENOMEM;
    int rc = knot_pkt_parse(packet, KNOT_PF_KEEPWIRE);
    if (rc != KNOT_EOK)
        return rc == KNOT_ENOMEM ? -ENOMEM : -EBADMSG;

    struct answer answer = {
        .rcode = knot_pkt_ext_rcode(packet),
        .flags = (uint16_t)((message[2] << 8 | message[3]) & 0xfff0),
        .question_size = knot_pkt_question_size(packet),
    };
    if (answer.question_size > 0)
        answer.question = message + KNOT_WIRE_HEADER_SIZE;
    if (packet->opt_rr != NULL)
        ede_collect(packet->opt_rr, &answer);
    for (knot_section_t section = KNOT_ANSWER; section <= KNOT_ADDITIONAL; section++) {
        rc = section_collect(arena, knot_pkt_section(packet, section), &answer.sections[section]);
        if (rc < 0)
            return rc;
    }
    *ret_answer = answer;
    return 0;
}

void answer_record_print(const knot_rrset_t *record, char *ret_text, size_t size)
{
    knot_dname_txt_storage_t owner;
    char type[32], rdata[512];
    if (knot_dname_to_str(owner, record->owner, sizeof(owner)) == NULL ||
        knot_rrtype_to_string(record->type, type, sizeof(type)) < 0) {
        snprintf(ret_text, size, "a record that cannot be shown");
        return;
    }
    if (knot_rrset_txt_dump_data(record, 0, rdata, sizeof(rdata), &KNOT_DUMP_STYLE_DEFAULT) < 0)
        snprintf(rdata, sizeof(rdata), "(%u octets)", record->rrs.rdata->len);
    snprintf(ret_text, size, "%s %u %s %s", owner, record->ttl, type, rdata);
}
