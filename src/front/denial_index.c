#include "front/denial_index.h"

#include <assert.h>
#include <string.h>

/* ---- Keys ---- */

void denial_key_make(struct denial_key *ret_key, const struct name *name)
{
    uint8_t *to = ret_key->octets;
    for (unsigned label = name->label_count; label > 0; label--) {
        const uint8_t *from = name->wire + name->offsets[label - 1];
        for (unsigned i = 1; i <= from[0]; i++) {
            if (from[i] <= 1)
                *to++ = 1;
            *to++ = from[i] <= 1 ? (uint8_t)(from[i] + 1) : from[i];
        }
        *to++ = 0;
    }
    ret_key->size = (size_t)(to - ret_key->octets);
}

void denial_key_make_wildcard(struct denial_key *ret_key, const struct denial_key *name,
                              size_t size)
{
    memcpy(ret_key->octets, name->octets, size);
    ret_key->octets[size] = '*';
    ret_key->octets[size + 1] = 0;
    ret_key->size = size + 2;
}

size_t denial_key_common(const uint8_t *one, size_t one_size, const uint8_t *other,
                         size_t other_size)
{
    size_t common = 0;
    const size_t size = one_size < other_size ? one_size : other_size;
    for (size_t i = 0; i < size && one[i] == other[i]; i++) {
        if (one[i] == 0)
            common = i + 1;
    }
    return common;
}

int denial_key_compare(const uint8_t *one, size_t one_size, const uint8_t *other, size_t other_size)
{
    const int order = memcmp(one, other, one_size < other_size ? one_size : other_size);
    return order != 0 ? order : (one_size > other_size) - (one_size < other_size);
}

/* ---- The list ---- */

uint8_t denial_index_height(struct denial_index *index)
{
    /* xorshift32: who could foresee heights would still have to have signatures for the keys. */
    uint32_t random = index->random != 0 ? index->random : UINT32_C(2463534242);
    random ^= random << 13;
    random ^= random >> 17;
    random ^= random << 5;
    index->random = random;
    const int zeros = __builtin_ctz(random | UINT32_C(1) << (DENIAL_HEIGHT_MAX - 1));
    return (uint8_t)(1 + zeros);
}

/* Walks down to the last entry before the key; *ret_links, if wanted, are those that lead on from
 * there, one a level. */
static struct denial_entry *find_before(const struct denial_index *index, const uint8_t *key,
                                        size_t size, struct denial_entry **ret_links[])
{
    struct denial_entry *before = NULL;
    for (unsigned level = DENIAL_HEIGHT_MAX; level-- > 0;) {
        /* The writer alone changes what the links point to. */
        struct denial_entry **link = before != NULL
                                         ? &before->next[level]
                                         : &((struct denial_index *)(uintptr_t)index)->first[level];
        struct denial_entry *entry;
        while ((entry = rcu_dereference(*link)) != NULL &&
               denial_key_compare(entry->key, entry->key_size, key, size) < 0) {
            before = entry;
            link = &entry->next[level];
        }
        if (ret_links != NULL)
            ret_links[level] = link;
    }
    return before;
}

void denial_index_put(struct denial_index *index, struct denial_entry *entry)
{
    struct denial_entry **links[DENIAL_HEIGHT_MAX];
    (void)find_before(index, entry->key, entry->key_size, links);
    for (unsigned level = 0; level < entry->height; level++)
        entry->next[level] = *links[level];
    for (unsigned level = 0; level < entry->height; level++)
        rcu_assign_pointer(*links[level], entry);
    index->count++;
}

void denial_index_remove(struct denial_index *index, struct denial_entry *entry)
{
    struct denial_entry **links[DENIAL_HEIGHT_MAX];
    (void)find_before(index, entry->key, entry->key_size, links);
    for (unsigned level = entry->height; level-- > 0;) {
        assert(*links[level] == entry);
        rcu_assign_pointer(*links[level], entry->next[level]);
    }
    index->count--;
}

struct denial_entry *denial_index_find(const struct denial_index *index, const uint8_t *key,
                                       size_t size, bool *ret_exact)
{
    struct denial_entry *before = find_before(index, key, size, NULL);
    struct denial_entry *next = rcu_dereference(*(
        before != NULL ? &before->next[0] : &((struct denial_index *)(uintptr_t)index)->first[0]));
    *ret_exact = next != NULL && denial_key_compare(next->key, next->key_size, key, size) == 0;
    return *ret_exact ? next : before;
}

struct denial_entry *denial_index_last(const struct denial_index *index)
{
    struct denial_entry *last = NULL;
    for (unsigned level = DENIAL_HEIGHT_MAX; level-- > 0;) {
        struct denial_entry *next = last != NULL ? rcu_dereference(last->next[level])
                                                 : rcu_dereference(index->first[level]);
        for (; next != NULL; next = rcu_dereference(next->next[level]))
            last = next;
    }
    return last;
}
