#include "sink/word_index.h"

#include <assert.h>

/* Five bits of each octet: a letter's are the same in both cases. What else has the same ones is
 * told apart when the word is compared. */
static inline unsigned pair_after(unsigned pair, uint8_t octet)
{
    return (pair << 5 | (octet & 31)) & (WORD_INDEX_PAIRS - 1);
}

void word_index_add(struct word_index *index, uint8_t group, const char *const *words, size_t count)
{
    assert(index->count + count <= WORD_INDEX_WORDS_MAX);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *octets = (const uint8_t *)words[i];
        assert(octets[0] != '\0' && octets[1] != '\0');
        unsigned pair = pair_after(pair_after(0, octets[0]), octets[1]);
        unsigned number = index->count++;
        index->word[number] = words[i];
        index->group[number] = group;
        index->next[number] = index->first[pair];
        index->first[pair] = (uint8_t)(number + 1);
    }
}

uint8_t word_index_find(const struct word_index *index, struct sink_text text)
{
    uint8_t found = WORD_INDEX_NO_GROUP;
    unsigned pair = text.size > 0 ? pair_after(0, text.octets[0]) : 0;
    for (size_t end = 1; end < text.size; end++) {
        pair = pair_after(pair, text.octets[end]);
        for (unsigned number = index->first[pair]; number > 0; number = index->next[number - 1]) {
            if (index->group[number - 1] < found &&
                text_begins_as(text_after(text, end - 1), index->word[number - 1]))
                found = index->group[number - 1];
        }
    }
    return found;
}
