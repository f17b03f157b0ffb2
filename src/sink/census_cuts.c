/* The table of cuts: what is counted as it comes, by order, family, network, country and name. */
#include <string.h>

#include "sink/census_internal.h"

#define SLOTS_MIN 256

/* Standard errors of 0.8 % for all, and 3.3 % for the many cuts. */
#define PRECISION_ALL 14
#define PRECISION_CUT 10

static uint32_t *slot_for(const struct cuts *cuts, uint64_t key)
{
    /* Fibonacci hashing: keys are small numbers with a dimension on top. */
    uint32_t at = (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (cuts->slot_count - 1);
    for (;; at = (at + 1) & (cuts->slot_count - 1)) {
        const uint32_t number = cuts->slots[at];
        if (number == 0 || cuts->rows[number - 1].key == key)
            return &cuts->slots[at];
    }
}

/* Twice as many slots, of which half stay free. */
static bool grow(struct cuts *cuts, struct memory_budget *budget)
{
    const uint32_t slot_count = cuts->slot_count == 0 ? SLOTS_MIN : 2 * cuts->slot_count;
    const uint32_t capacity = slot_count / 2;
    uint32_t *slots = budget_resize(budget, NULL, 0, slot_count * sizeof(*slots));
    if (slots == NULL)
        return false;
    struct cut *rows =
        budget_resize(budget, cuts->rows, cuts->capacity * sizeof(*rows), capacity * sizeof(*rows));
    if (rows == NULL) {
        budget_free(budget, slots, slot_count * sizeof(*slots));
        return false;
    }
    budget_free(budget, cuts->slots, cuts->slot_count * sizeof(*slots));
    memset(slots, 0, slot_count * sizeof(*slots));
    *cuts = (struct cuts){.rows = rows,
                          .slots = slots,
                          .count = cuts->count,
                          .capacity = capacity,
                          .slot_count = slot_count};
    for (uint32_t number = 0; number < cuts->count; number++)
        *slot_for(cuts, rows[number].key) = number + 1;
    return true;
}

struct cut *cuts_find(const struct cuts *cuts, uint64_t key)
{
    if (cuts->slot_count == 0)
        return NULL;
    const uint32_t number = *slot_for(cuts, key);
    return number == 0 ? NULL : &cuts->rows[number - 1];
}

struct cut *cuts_touch(struct cuts *cuts, uint64_t key, struct memory_budget *budget)
{
    if (cuts->count == cuts->capacity && !grow(cuts, budget))
        return NULL;
    uint32_t *slot = slot_for(cuts, key);
    if (*slot == 0) {
        const uint8_t precision = key == cut_key(CENSUS_ALL, 0) ? PRECISION_ALL : PRECISION_CUT;
        cuts->rows[cuts->count++] = (struct cut){
            .key = key, .addresses.precision = precision, .proven.precision = precision};
        *slot = cuts->count;
    }
    return &cuts->rows[*slot - 1];
}

void cuts_free(struct cuts *cuts, struct memory_budget *budget)
{
    for (uint32_t number = 0; number < cuts->count; number++) {
        hyperloglog_clear(&cuts->rows[number].addresses, budget);
        hyperloglog_clear(&cuts->rows[number].proven, budget);
    }
    budget_free(budget, cuts->rows, cuts->capacity * sizeof(*cuts->rows));
    budget_free(budget, cuts->slots, cuts->slot_count * sizeof(*cuts->slots));
}
