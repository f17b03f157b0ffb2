/* The table of ids: records that never move, and a hash table of their numbers. */
#include <math.h>
#include <string.h>

#include "base/octets.h"
#include "sink/census_internal.h"

#define SLOTS_MIN 1024

/* ---- Distinct things of one id ---- */

static unsigned linear_count(double bits, int set)
{
    const double clear = bits - set;
    return (unsigned)lround(bits * log(bits / (clear < 1 ? 1 : clear)));
}

static bool set_bit(uint64_t *word, unsigned bit)
{
    *word |= UINT64_C(1) << bit;
    return true; /* another tag may have set it before */
}

static bool set_address_bit(union address_set *set, uint32_t tag)
{
    return set_bit(&set->bits[tag / 64 % 2], tag % 64);
}

bool address_set_add(union address_set *set, uint8_t *size, uint32_t tag)
{
    if (*size == SET_IS_BITS)
        return set_address_bit(set, tag);
    for (unsigned i = 0; i < *size; i++) {
        if (set->tags[i] == tag)
            return false;
    }
    if (*size < SET_EXACT_MAX) {
        set->tags[(*size)++] = tag;
        return true;
    }
    const union address_set tags = *set;
    *set = (union address_set){.bits = {0}};
    for (unsigned i = 0; i < SET_EXACT_MAX; i++)
        set_address_bit(set, tags.tags[i]);
    *size = SET_IS_BITS;
    return set_address_bit(set, tag);
}

unsigned address_set_count(const union address_set *set, uint8_t size)
{
    if (size < SET_IS_BITS)
        return size;
    return linear_count(128,
                        __builtin_popcountll(set->bits[0]) + __builtin_popcountll(set->bits[1]));
}

bool network_set_add(union network_set *set, uint8_t *size, uint16_t tag)
{
    if (*size == SET_IS_BITS)
        return set_bit(&set->bits, tag % 64);
    for (unsigned i = 0; i < *size; i++) {
        if (set->tags[i] == tag)
            return false;
    }
    if (*size < SET_EXACT_MAX) {
        set->tags[(*size)++] = tag;
        return true;
    }
    const union network_set tags = *set;
    *set = (union network_set){.bits = 0};
    for (unsigned i = 0; i < SET_EXACT_MAX; i++)
        set_bit(&set->bits, tags.tags[i] % 64);
    *size = SET_IS_BITS;
    return set_bit(&set->bits, tag % 64);
}

unsigned network_set_count(const union network_set *set, uint8_t size)
{
    if (size < SET_IS_BITS)
        return size;
    return linear_count(64, __builtin_popcountll(set->bits));
}

/* ---- The table ---- */

/* The slot that holds the id, or the free one where it belongs. Ids are hashes already. */
static uint32_t *slot_for(const struct victims *victims, const uint8_t id[SINK_ID_SIZE])
{
    uint32_t at = octets_load32(id) & (victims->slot_count - 1);
    for (;; at = (at + 1) & (victims->slot_count - 1)) {
        const uint32_t number = victims->slots[at];
        if (number == 0 || memcmp(victims_at(victims, number - 1)->id, id, SINK_ID_SIZE) == 0)
            return &victims->slots[at];
    }
}

struct victim *victims_find(const struct victims *victims, const uint8_t id[SINK_ID_SIZE])
{
    if (victims->slot_count == 0)
        return NULL;
    const uint32_t number = *slot_for(victims, id);
    return number == 0 ? NULL : victims_at(victims, number - 1);
}

static void fill_slots(struct victims *victims)
{
    memset(victims->slots, 0, victims->slot_count * sizeof(*victims->slots));
    for (uint32_t number = 0; number < victims->count; number++)
        *slot_for(victims, victims_at(victims, number)->id) = number + 1;
}

static bool grow_slots(struct victims *victims, struct memory_budget *budget)
{
    const uint32_t slot_count = victims->slot_count == 0 ? SLOTS_MIN : 2 * victims->slot_count;
    uint32_t *slots = budget_resize(budget, NULL, 0, slot_count * sizeof(*slots));
    if (slots == NULL)
        return false;
    budget_free(budget, victims->slots, victims->slot_count * sizeof(*slots));
    victims->slots = slots;
    victims->slot_count = slot_count;
    fill_slots(victims);
    return true;
}

static bool grow_chunks(struct victims *victims, struct memory_budget *budget)
{
    const size_t size = victims->chunk_count * sizeof(*victims->chunks);
    struct victim **chunks =
        budget_resize(budget, victims->chunks, size, size + sizeof(*victims->chunks));
    if (chunks == NULL)
        return false;
    victims->chunks = chunks;
    struct victim *chunk = budget_resize(budget, NULL, 0, VICTIMS_PER_CHUNK * sizeof(*chunk));
    if (chunk == NULL) {
        budget->used -= sizeof(*victims->chunks);
        return false;
    }
    chunks[victims->chunk_count++] = chunk;
    return true;
}

struct victim *victims_add(struct victims *victims, const uint8_t id[SINK_ID_SIZE],
                           struct memory_budget *budget)
{
    if (victims->count >= victims->slot_count / 4 * 3 && !grow_slots(victims, budget))
        return NULL;
    if (victims->count == victims->chunk_count * VICTIMS_PER_CHUNK && !grow_chunks(victims, budget))
        return NULL;
    struct victim *victim = victims_at(victims, victims->count);
    memset(victim, 0, sizeof(*victim));
    memcpy(victim->id, id, SINK_ID_SIZE);
    *slot_for(victims, id) = ++victims->count;
    return victim;
}

uint32_t victims_sweep(struct victims *victims,
                       bool (*is_kept)(void *context, const struct victim *victim), void *context,
                       struct memory_budget *budget)
{
    uint32_t kept = 0;
    const uint32_t before = victims->count;
    for (uint32_t number = 0; number < before; number++) {
        const struct victim *victim = victims_at(victims, number);
        if (is_kept(context, victim)) {
            if (kept != number)
                memcpy(victims_at(victims, kept), victim, sizeof(*victim));
            kept++;
        }
    }
    victims->count = kept;
    if (kept < before)
        fill_slots(victims);

    const uint32_t chunk_count = (kept + VICTIMS_PER_CHUNK - 1) / VICTIMS_PER_CHUNK;
    for (uint32_t chunk = chunk_count; chunk < victims->chunk_count; chunk++) {
        budget_free(budget, victims->chunks[chunk], VICTIMS_PER_CHUNK * sizeof(struct victim));
        budget->used -= sizeof(*victims->chunks);
    }
    victims->chunk_count = chunk_count;
    return before - kept;
}

void victims_free(struct victims *victims, struct memory_budget *budget)
{
    for (uint32_t chunk = 0; chunk < victims->chunk_count; chunk++)
        budget_free(budget, victims->chunks[chunk], VICTIMS_PER_CHUNK * sizeof(struct victim));
    budget_free(budget, victims->chunks, victims->chunk_count * sizeof(*victims->chunks));
    budget_free(budget, victims->slots, victims->slot_count * sizeof(*victims->slots));
}
