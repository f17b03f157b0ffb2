/* What an update needs to know of a host, in memory: so that most updates ask neither the database
 * nor the name server.
 *
 * A bounded hash table in shards, each with a lock that is held for well under a microsecond; when
 * it is full what was not used for long goes. Names that are no hosts are kept too. An entry is
 * loaded once however many wait for it.
 *
 * Whoever changes what stands here forgets the name after the commit. What is loaded while that
 * happens is loaded again, so nothing older than the change stays. An update checks an entry and is
 * handed to the updater under the entry's lock: therefore whatever is handed to the updater after a
 * name was forgotten happens after every update that was still checked against the old entry.
 *
 * Any thread may call everything. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "desk/block.h"
#include "desk/host_names.h"
#include "desk/ids.h"
#include "desk/principal.h"

#define HOST_KEYS_MAX 8

struct host_addresses {
    bool has_a, has_aaaa;
    uint8_t a[4], aaaa[16];
};

enum host_life { HOST_NONE, HOST_ACTIVE, HOST_OFFLINE, HOST_EXPIRED };

/* What the tables say of a name. */
struct host_facts {
    enum host_life life; /* HOST_NONE: there is no such host */
    bool is_clean;       /* false: the zone may still have what is not this host's */
    char account[ID_SIZE];
    char blocked[BLOCK_REASON_SIZE]; /* "": not blocked */
    int64_t blocked_until_s;         /* 0: no end */
    const struct desk_config_zone *zone;
    uint32_t updates_per_hour;
    bool has_suffix;
    uint8_t suffix[16], suffix_bits; /* the prefix is the client's, the rest is the suffix */
    int64_t seen_s;                  /* as the table has it */
    size_t key_count;
    uint8_t keys[HOST_KEYS_MAX][SECRET_HASH_SIZE];
};

/* An entry, as host_look_fn sees it: the lock is held, so be quick. */
struct host_entry {
    uint64_t serial; /* of this loading; another one has another */
    const char *name;
    enum host_life life;
    bool is_clean;
    char account[ID_SIZE];
    const char *blocked; /* NULL: not blocked */
    int64_t blocked_until_s;
    const struct desk_config_zone *zone;
    bool has_suffix;
    uint8_t suffix[16], suffix_bits;
    size_t key_count;
    const uint8_t (*keys)[SECRET_HASH_SIZE];

    /* What a look may change. */
    bool knows_addresses; /* false: the name server was not to be asked */
    struct host_addresses addresses;
    unsigned in_flight;  /* updates that were handed over and have not come back */
    int64_t spent_ms[2]; /* of A and of AAAA: the time until which changes are paid for */
    uint32_t updates_per_hour;
    int64_t seen_s, seen_stored_s;
};

typedef void host_look_fn(struct host_entry *entry, void *context);

/* Somebody who waits for an entry; woken once, by whoever loaded it: 0 look again, or a negative
 * errno for which it could not be loaded. */
struct host_waiter {
    struct host_waiter *next;
    void (*wake)(struct host_waiter *waiter, int rc);
};

struct host_cache;

_must_check_ int host_cache_create(size_t entries_max, struct host_cache **ret_cache,
                                   struct error *ret_error);
void host_cache_free(struct host_cache *cache);

/* Calls `look` with the entry: 0; or -ENOENT when it is not loaded. */
_must_check_ int host_cache_look(struct host_cache *cache, const char *name, host_look_fn *look,
                                 void *context);

/* The same, and when it is not there: 1, `waiter` will be woken; 2, the same and the caller has to
 * load it, with `ret_serial`; -ENOMEM, or -EAGAIN when all that there is room for is being loaded.
 */
_must_check_ int host_cache_look_or_wait(struct host_cache *cache, const char *name,
                                         host_look_fn *look, void *context,
                                         struct host_waiter *waiter, uint64_t *ret_serial);

/* Ends a loading with what was found; `addresses` NULL: not known. True: load again, since the name
 * was forgotten meanwhile. */
bool host_cache_fill(struct host_cache *cache, const char *name, uint64_t serial,
                     const struct host_facts *facts, const struct host_addresses *addresses);
/* Ends a loading that failed. */
void host_cache_fail(struct host_cache *cache, const char *name, uint64_t serial, int rc);

/* Calls `look` if the entry is still the one of that loading. */
void host_cache_look_at(struct host_cache *cache, const char *name, uint64_t serial,
                        host_look_fn *look, void *context);

void host_cache_forget(struct host_cache *cache, const char *name);
/* Forgets a name and all names below it, or an account's hosts, or all; looks at every entry. */
void host_cache_forget_below(struct host_cache *cache, const char *name);
void host_cache_forget_account(struct host_cache *cache, const char *account);

/* Calls `look` with entries, in pieces, until all were seen: for a job that writes down what has
 * changed. `look` may be called with an entry that has just been loaded. */
void host_cache_each(struct host_cache *cache, host_look_fn *look, void *context);

struct host_cache_figures {
    uint64_t hits, misses, evicted;
    size_t entries;
};
void host_cache_figures_get(struct host_cache *cache, struct host_cache_figures *ret_figures);
