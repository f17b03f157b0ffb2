/* How often something may be tried: a bounded table in memory of who has tried how much.
 *
 * Each key (an account, an address, or both) has a bucket that holds `burst` tries and gets one
 * back every `period_s`. Who takes a try before the costly check and gives it back after a success
 * pays for failures alone, and a hundred guesses at once count as a hundred. What is not in the
 * table has a full bucket. A full table forgets the bucket that is nearest to full in the key's
 * set; keys are hashed with a secret of the process, so that nobody can aim at the set of another.
 *
 * A restart forgets: it is not in the hands of those who guess. Any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct throttle;

struct throttle_rate {
    unsigned burst;    /* at least 1 */
    unsigned period_s; /* until one more */
};

/* At least `entries` keys, 16 octets each. NULL: out of memory. */
struct throttle *throttle_create(size_t entries);
void throttle_free(struct throttle *throttle);
DEFINE_FREEP(struct throttle, throttle_free)

/* The key of `text` among those of its `kind`. */
uint64_t throttle_key(const struct throttle *throttle, const char *kind, const char *text);

/* Takes one try. 0, or the seconds until there is one: then nothing was taken. */
unsigned throttle_take(struct throttle *throttle, uint64_t key, struct throttle_rate rate,
                       int64_t now_ms);

/* Gives one back that was taken. */
void throttle_give(struct throttle *throttle, uint64_t key, struct throttle_rate rate);
