/* Every text of the census once, by its number. */
#include <string.h>
#include <xxhash.h>

#include "sink/census_internal.h"

#define SLOTS_MIN 64

/* Before each text; behind it a NUL. */
struct word_head {
    uint64_t hash;
    uint32_t size;
    uint32_t unused;
};

static struct word_head *head_of(const char *text)
{
    return (struct word_head *)(void *)text - 1;
}

static uint32_t *slot_for(const struct words *words, uint64_t hash, const void *octets, size_t size)
{
    uint32_t at = (uint32_t)hash & (words->slot_count - 1);
    for (;; at = (at + 1) & (words->slot_count - 1)) {
        if (words->slots[at] == 0)
            return &words->slots[at];
        const char *text = words->texts[words->slots[at] - 1];
        const struct word_head *head = head_of(text);
        if (head->hash == hash && head->size == size && memcmp(text, octets, size) == 0)
            return &words->slots[at];
    }
}

/* Twice as many slots, of which half stay free. */
static bool grow(struct words *words, struct memory_budget *budget)
{
    const uint32_t slot_count = words->slot_count == 0 ? SLOTS_MIN : 2 * words->slot_count;
    const uint32_t capacity = slot_count / 2;
    char **texts = budget_resize(budget, words->texts, words->capacity * sizeof(*texts),
                                 capacity * sizeof(*texts));
    if (texts == NULL)
        return false;
    words->texts = texts;
    const size_t texts_size = capacity * sizeof(*texts);
    uint32_t *slots = budget_resize(budget, NULL, 0, slot_count * sizeof(*slots));
    if (slots == NULL) {
        budget->used -= texts_size - words->capacity * sizeof(*texts);
        return false;
    }
    memset(slots, 0, slot_count * sizeof(*slots));
    budget_free(budget, words->slots, words->slot_count * sizeof(*slots));
    words->slots = slots;
    words->slot_count = slot_count;
    words->capacity = capacity;
    for (uint32_t number = 0; number < words->count; number++) {
        const struct word_head *head = head_of(texts[number]);
        *slot_for(words, head->hash, texts[number], head->size) = number + 1;
    }
    return true;
}

uint32_t words_put(struct words *words, const void *octets, size_t size,
                   struct memory_budget *budget)
{
    if (words->count == words->capacity && !grow(words, budget))
        return WORD_NONE;
    const uint64_t hash = XXH3_64bits(octets, size);
    uint32_t *slot = slot_for(words, hash, octets, size);
    if (*slot != 0)
        return *slot - 1;

    struct word_head *head = budget_resize(budget, NULL, 0, sizeof(*head) + size + 1);
    if (head == NULL)
        return WORD_NONE;
    *head = (struct word_head){.hash = hash, .size = (uint32_t)size};
    char *text = (char *)(head + 1);
    memcpy(text, octets, size);
    text[size] = '\0';
    words->texts[words->count++] = text;
    *slot = words->count;
    return words->count - 1;
}

uint32_t words_put_text(struct words *words, const char *text, struct memory_budget *budget)
{
    return words_put(words, text, strlen(text), budget);
}

uint32_t words_find(const struct words *words, const char *text)
{
    if (words->slot_count == 0)
        return WORD_NONE;
    const size_t size = strlen(text);
    const uint32_t number = *slot_for(words, XXH3_64bits(text, size), text, size);
    return number == 0 ? WORD_NONE : number - 1;
}

void words_free(struct words *words, struct memory_budget *budget)
{
    for (uint32_t number = 0; number < words->count; number++) {
        struct word_head *head = head_of(words->texts[number]);
        budget_free(budget, head, sizeof(*head) + head->size + 1);
    }
    budget_free(budget, words->texts, words->capacity * sizeof(*words->texts));
    budget_free(budget, words->slots, words->slot_count * sizeof(*words->slots));
}
