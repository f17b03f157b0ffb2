/* Which of many words a text has, in one pass over it.
 *
 * Words are found by a hash of their first two octets, so that a text which has none of them costs
 * about a table look-up an octet however many words there are.
 */
#pragma once

#include "sink/text_part.h"

#define WORD_INDEX_WORDS_MAX 255
#define WORD_INDEX_PAIRS     1024

/* Nothing of it is the caller's to touch; of static storage, or zeroed, it is empty. */
struct word_index {
    uint8_t first[WORD_INDEX_PAIRS]; /* by hash: the number of a word from 1, 0 for none */
    uint8_t next[WORD_INDEX_WORDS_MAX];
    uint8_t group[WORD_INDEX_WORDS_MAX];
    const char *word[WORD_INDEX_WORDS_MAX];
    unsigned count;
};

#define WORD_INDEX_NO_GROUP UINT8_MAX

/* Adds words of a group, all in lower case and of two octets or more; they must outlive the index,
 * which has WORD_INDEX_WORDS_MAX at most. One thread at a time, before any looks in it. */
void word_index_add(struct word_index *index, uint8_t group, const char *const *words,
                    size_t count);

/* The lowest group of which `text` has a word in any letter case; WORD_INDEX_NO_GROUP when it has
 * none. Any thread. */
uint8_t word_index_find(const struct word_index *index, struct sink_text text);
