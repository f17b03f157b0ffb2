/* Answers to put into a cache and random numbers that come again; for the tests of the cache. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/rcu.h"
#include "front/cache_internal.h"

#define NOW INT64_C(1790000000)

/* splitmix64: the same from the same seed everywhere. */
static inline uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* <label>.a.example, or the apex when the label is empty. */
static inline struct name make_name(const char *label)
{
    static const uint8_t apex[] = "\1a\7example";
    uint8_t wire[NAME_SIZE_MAX], *at = wire;
    while (*label != '\0') {
        size_t size = strcspn(label, ".");
        *at++ = (uint8_t)size;
        memcpy(at, label, size);
        at += size;
        label += size + (label[size] == '.');
    }
    memcpy(at, apex, sizeof(apex));
    struct name name;
    assert_true(name_parse(&name, wire, sizeof(wire)) > 0);
    return name;
}

/* A body of one record-like stretch: TTL first, then octets that its number tells. */
struct made_answer {
    struct cached_answer answer;
    uint16_t place;
    uint8_t body[UINT16_MAX];
};

static inline void make_answer(struct made_answer *made, uint64_t number, size_t body_size,
                               uint32_t ttl_s, bool denies)
{
    assert_true(body_size >= 4 && body_size <= UINT16_MAX);
    made->place = 0;
    for (size_t i = 0; i < body_size; i++)
        made->body[i] = (uint8_t)((number >> (8 * (i % 8))) + i);
    const uint8_t ttl[] = {(uint8_t)(ttl_s >> 24), (uint8_t)(ttl_s >> 16), (uint8_t)(ttl_s >> 8),
                           (uint8_t)ttl_s};
    memcpy(made->body, ttl, sizeof(ttl));
    made->answer = (struct cached_answer){
        .rcode = denies ? 3 : 0,
        .authoritative = true,
        .counts = {denies ? 0 : 1, denies ? 1 : 0, 0},
        .body = made->body,
        .body_size = (uint16_t)body_size,
        .ttl_places = &made->place,
        .ttl_count = 1,
        .stored_at = NOW,
        .expires_at = NOW + ttl_s,
        .stale_until = NOW + ttl_s + 3600,
    };
}

static inline struct cache *make_cache(uint64_t octets)
{
    struct cache *cache = NULL;
    const struct cache_options options = {.octets_max = octets};
    assert_int_equal(cache_create(&options, &cache), 0);
    return cache;
}

/* What was let go becomes room. */
static inline void pass_grace_period(void)
{
    rcu_quiescent_state();
    rcu_barrier();
}

/* Puts an answer that is not too large, waiting for room where a server would go on without. */
static inline void put_at_last(struct cache *cache, const struct cache_key *key,
                               const struct cached_answer *answer)
{
    while (!cache_put_at(cache, key, answer, answer->stored_at, false))
        pass_grace_period();
}
