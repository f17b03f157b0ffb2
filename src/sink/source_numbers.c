#include "sink/source_numbers.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct source {
    uint64_t prefix;
    uint32_t count;
    uint32_t next; /* in its chain, or of those that are free; 0: none */
};

struct source_numbers {
    pthread_mutex_t lock;
    uint8_t key[crypto_shorthash_KEYBYTES];
    uint32_t connections_max, sources_max;
    uint32_t used;    /* sources with a higher number were never taken: their memory is untouched */
    uint32_t free;    /* the first of a chain */
    uint32_t *chains; /* by hash */
    uint32_t chains_mask;
    struct source *sources; /* [0] is none */
};

struct source_numbers *source_numbers_create(uint32_t sources_max, uint32_t connections_max)
{
    _cleanup_(source_numbers_freep) struct source_numbers *numbers = calloc(1, sizeof(*numbers));
    if (numbers == NULL || sodium_init() < 0)
        return NULL;
    uint32_t chains = 16;
    while (chains < sources_max / 2)
        chains *= 2;
    pthread_mutex_init(&numbers->lock, NULL);
    randombytes_buf(numbers->key, sizeof(numbers->key));
    numbers->connections_max = connections_max;
    numbers->sources_max = sources_max;
    numbers->chains_mask = chains - 1;
    numbers->chains = calloc(chains, sizeof(*numbers->chains));
    numbers->sources = calloc((size_t)sources_max + 1, sizeof(*numbers->sources));
    if (numbers->chains == NULL || numbers->sources == NULL)
        return NULL;
    return TAKE(numbers);
}

void source_numbers_free(struct source_numbers *numbers)
{
    if (numbers == NULL)
        return;
    free(numbers->chains);
    free(numbers->sources);
    free(numbers);
}

/* Of IPv4 the mapped address's last half, which holds ffff and the address: as a /64 of IPv6 that
 * would be of ::/16, where nobody is (RFC 4291, section 2.4). */
uint64_t source_prefix(const struct in6_addr *client)
{
    uint64_t prefix;
    memcpy(&prefix, client->s6_addr + (IN6_IS_ADDR_V4MAPPED(client) ? 8 : 0), sizeof(prefix));
    return prefix;
}

static uint32_t *chain_of(struct source_numbers *numbers, uint64_t prefix)
{
    uint64_t hash;
    static_assert(sizeof(hash) == crypto_shorthash_BYTES, "SipHash's width");
    crypto_shorthash((uint8_t *)&hash, (const uint8_t *)&prefix, sizeof(prefix), numbers->key);
    return &numbers->chains[hash & numbers->chains_mask];
}

static uint32_t source_find(const struct source_numbers *numbers, uint32_t first, uint64_t prefix)
{
    while (first != 0 && numbers->sources[first].prefix != prefix)
        first = numbers->sources[first].next;
    return first;
}

static uint32_t source_new(struct source_numbers *numbers, uint32_t *chain, uint64_t prefix)
{
    uint32_t number = numbers->free;
    if (number != 0)
        numbers->free = numbers->sources[number].next;
    else if (numbers->used < numbers->sources_max)
        number = ++numbers->used;
    else
        return 0;
    numbers->sources[number] = (struct source){.prefix = prefix, .next = *chain};
    *chain = number;
    return number;
}

uint32_t source_numbers_take(struct source_numbers *numbers, const struct in6_addr *client)
{
    const uint64_t prefix = source_prefix(client);
    uint32_t *chain = chain_of(numbers, prefix);

    pthread_mutex_lock(&numbers->lock);
    uint32_t number = source_find(numbers, *chain, prefix);
    if (number == 0)
        number = source_new(numbers, chain, prefix);
    if (number != 0 && numbers->sources[number].count >= numbers->connections_max)
        number = 0;
    if (number != 0)
        numbers->sources[number].count++;
    pthread_mutex_unlock(&numbers->lock);
    return number;
}

static void source_drop(struct source_numbers *numbers, uint32_t number)
{
    uint32_t *link = chain_of(numbers, numbers->sources[number].prefix);
    while (*link != number)
        link = &numbers->sources[*link].next;
    *link = numbers->sources[number].next;
    numbers->sources[number].next = numbers->free;
    numbers->free = number;
}

void source_numbers_give(struct source_numbers *numbers, uint32_t source)
{
    pthread_mutex_lock(&numbers->lock);
    assert(numbers->sources[source].count > 0);
    if (--numbers->sources[source].count == 0)
        source_drop(numbers, source);
    pthread_mutex_unlock(&numbers->lock);
}
