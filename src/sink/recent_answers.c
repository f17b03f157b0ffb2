#include "sink/recent_answers.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "dns/name.h"

/* Networks of resolvers: sets of a few, of which the oldest gives way. About 5 MiB. */
#define SETS 2048
#define WAYS 8

/* Addresses of sinkholes: an order has at most eight of each family. */
#define LOCALS_MAX 1024

/* An answer may be told a little after its client has come. */
#define LATE_US 2000000

struct near {
    uint64_t key; /* of the network and the address; 0: none */
    int64_t at_us;
    uint8_t wire[NAME_SIZE_MAX];
};

/* Two times are enough to know whether there was one name alone: when the present name was answered
 * last, and when any other was. */
struct local {
    struct in6_addr address;
    int64_t at_us, other_us;
    uint8_t wire[NAME_SIZE_MAX];
};

struct recent_answers {
    pthread_mutex_t lock;
    int64_t window_us;
    uint8_t key[crypto_shorthash_KEYBYTES]; /* nobody can choose resolvers that collide */
    size_t local_count;
    struct local locals[LOCALS_MAX];
    struct near nears[SETS][WAYS];
};

struct recent_answers *recent_answers_create(unsigned window_s)
{
    struct recent_answers *answers = calloc(1, sizeof(*answers));
    if (answers == NULL)
        return NULL;
    pthread_mutex_init(&answers->lock, NULL);
    answers->window_us = (int64_t)window_s * 1000000;
    crypto_shorthash_keygen(answers->key);
    return answers;
}

void recent_answers_free(struct recent_answers *answers)
{
    if (answers == NULL)
        return;
    pthread_mutex_destroy(&answers->lock);
    free(answers);
}

static uint64_t key_of(const struct recent_answers *answers, const struct in6_addr *host,
                       const struct in6_addr *local)
{
    uint8_t octets[32] = {0};
    uint64_t key;
    static_assert(sizeof(key) == crypto_shorthash_BYTES, "a key is one short hash");
    memcpy(octets, host, IN6_IS_ADDR_V4MAPPED(host) ? 15 : 6);
    memcpy(octets + 16, local, 16);
    crypto_shorthash((uint8_t *)&key, octets, sizeof(octets), answers->key);
    return key != 0 ? key : 1;
}

static struct local *local_find(struct recent_answers *answers, const struct in6_addr *address)
{
    for (size_t i = 0; i < answers->local_count; i++)
        if (memcmp(&answers->locals[i].address, address, sizeof(*address)) == 0)
            return &answers->locals[i];
    return NULL;
}

static void name_copy(uint8_t *to, const uint8_t *wire)
{
    memcpy(to, wire, name_wire_size(wire));
}

static void local_put(struct recent_answers *answers, const uint8_t *wire,
                      const struct in6_addr *address, int64_t at_us)
{
    struct local *local = local_find(answers, address);
    if (local == NULL) {
        if (answers->local_count == LOCALS_MAX)
            return;
        local = &answers->locals[answers->local_count++];
        *local = (struct local){.address = *address, .other_us = INT64_MIN};
        name_copy(local->wire, wire);
    } else if (!name_equal(local->wire, wire)) {
        local->other_us = local->at_us;
        name_copy(local->wire, wire);
    }
    local->at_us = at_us;
}

static void near_put(struct recent_answers *answers, uint64_t key, const uint8_t *wire,
                     int64_t at_us)
{
    struct near *set = answers->nears[key % SETS], *place = set;
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].key == key) {
            place = &set[i];
            break;
        }
        if (set[i].at_us < place->at_us)
            place = &set[i];
    }
    place->key = key;
    place->at_us = at_us;
    name_copy(place->wire, wire);
}

void recent_answers_put(struct recent_answers *answers, const uint8_t *wire,
                        const struct in6_addr *resolver, const struct in6_addr *local,
                        int64_t at_us)
{
    const uint64_t key = key_of(answers, resolver, local);
    pthread_mutex_lock(&answers->lock);
    local_put(answers, wire, local, at_us);
    near_put(answers, key, wire, at_us);
    pthread_mutex_unlock(&answers->lock);
}

static bool is_recent(const struct recent_answers *answers, int64_t answered_us, int64_t at_us)
{
    return answered_us >= at_us - answers->window_us && answered_us <= at_us + LATE_US;
}

bool recent_answers_near(struct recent_answers *answers, const struct in6_addr *client,
                         const struct in6_addr *local, int64_t at_us, uint8_t *ret_wire)
{
    const uint64_t key = key_of(answers, client, local);
    bool is_found = false;

    pthread_mutex_lock(&answers->lock);
    const struct near *set = answers->nears[key % SETS];
    for (size_t i = 0; i < WAYS && !is_found; i++)
        if (set[i].key == key && is_recent(answers, set[i].at_us, at_us)) {
            name_copy(ret_wire, set[i].wire);
            is_found = true;
        }
    pthread_mutex_unlock(&answers->lock);
    return is_found;
}

bool recent_answers_only(struct recent_answers *answers, const struct in6_addr *local,
                         int64_t at_us, uint8_t *ret_wire)
{
    pthread_mutex_lock(&answers->lock);
    const struct local *found = local_find(answers, local);
    const bool is_only = found != NULL && is_recent(answers, found->at_us, at_us) &&
                         found->other_us < at_us - answers->window_us;
    if (is_only)
        name_copy(ret_wire, found->wire);
    pthread_mutex_unlock(&answers->lock);
    return is_only;
}
