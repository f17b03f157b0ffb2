/* The store: its zones, its room, and what it tells people. */
#include "front/denial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "front/denial_internal.h"

/* Entries that were used and so stay once more, passed over for one that goes. */
#define CHANCES_MAX 64

static bool name_is(const struct name *one, const struct name *other)
{
    return one->hashes[0] == other->hashes[0] && one->size == other->size &&
           memcmp(one->wire, other->wire, one->size) == 0;
}

static bool name_is_within(const struct name *name, const struct name *ancestor)
{
    return name->label_count >= ancestor->label_count &&
           name->hashes[name->label_count - ancestor->label_count] == ancestor->hashes[0];
}

/* ---- Entries ---- */

static size_t set_octets(const struct denial_rdata *records, unsigned count)
{
    size_t size = 0;
    for (unsigned i = 0; i < count; i++)
        size += 2u + records[i].size;
    return size;
}

static uint8_t *put_octets(uint8_t *to, const void *octets, size_t size)
{
    memcpy(to, octets, size);
    return to + size;
}

static uint8_t *put_records(uint8_t *to, const struct denial_rdata *records, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        *to++ = (uint8_t)(records[i].size >> 8);
        *to++ = (uint8_t)records[i].size;
        to = put_octets(to, records[i].at, records[i].size);
    }
    return to;
}

struct denial_entry *denial_entry_create(struct denial_zone *zone, struct denial_index *index,
                                         const struct denial_set *set, const struct denial_key *key,
                                         const struct denial_key *end)
{
    const uint8_t height = index != NULL ? denial_index_height(index) : 0;
    const size_t data_size = set_octets(set->records, set->record_count);
    const size_t signatures_size = set_octets(set->signatures, set->signature_count);
    const size_t octets = sizeof(struct denial_entry) + height * sizeof(struct denial_entry *) +
                          key->size + end->size + set->owner->size + data_size + signatures_size;
    struct denial_entry *entry = malloc(octets);
    if (entry == NULL)
        return NULL;
    *entry = (struct denial_entry){
        .zone = zone,
        .index = index,
        .height = height,
        .owner_size = set->owner->size,
        .type = set->type,
        .key_size = (uint16_t)key->size,
        .end_size = (uint16_t)end->size,
        .record_count = (uint16_t)set->record_count,
        .signature_count = (uint16_t)set->signature_count,
        .octets = (uint32_t)octets,
        .data_size = (uint32_t)data_size,
        .signatures_size = (uint32_t)signatures_size,
    };
    uint8_t *at = (uint8_t *)&entry->next[height];
    entry->key = at;
    at = put_octets(at, key->octets, key->size);
    entry->end = at;
    at = put_octets(at, end->octets, end->size);
    entry->owner = at;
    at = put_octets(at, set->owner->wire, set->owner->size);
    entry->data = at;
    at = put_records(at, set->records, set->record_count);
    entry->signatures = at;
    (void)put_records(at, set->signatures, set->signature_count);
    return entry;
}

static void free_entry(struct rcu_head *head)
{
    rcu_callback_begins();
    free(caa_container_of(head, struct denial_entry, retired));
}

static void queue_put(struct denial_store *store, struct denial_entry *entry)
{
    entry->older = store->newest;
    entry->newer = NULL;
    *(entry->older != NULL ? &entry->older->newer : &store->oldest) = entry;
    store->newest = entry;
}

static void queue_remove(struct denial_store *store, struct denial_entry *entry)
{
    *(entry->older != NULL ? &entry->older->newer : &store->oldest) = entry->newer;
    *(entry->newer != NULL ? &entry->newer->older : &store->newest) = entry->older;
}

static void entry_remove(struct denial_store *store, struct denial_entry *entry)
{
    denial_index_remove(entry->index, entry);
    queue_remove(store, entry);
    denial_count(&store->counters.records, UINT64_MAX);
    denial_count(&store->counters.octets, -(uint64_t)entry->octets);
    call_rcu(&entry->retired, free_entry);
}

/* Lets go of the oldest; what was used since it was last looked at becomes the newest instead. */
static void evict(struct denial_store *store)
{
    for (unsigned chances = 0; chances < CHANCES_MAX; chances++) {
        struct denial_entry *oldest = store->oldest;
        if (atomic_load_explicit(&oldest->used, memory_order_relaxed) == 0)
            break;
        atomic_store_explicit(&oldest->used, 0, memory_order_relaxed);
        queue_remove(store, oldest);
        queue_put(store, oldest);
    }
    entry_remove(store, store->oldest);
    denial_count(&store->counters.evicted, 1);
}

static void entry_time(struct denial_entry *entry, uint32_t ttl_s, int64_t now, int64_t until)
{
    entry->stored_at = now;
    entry->expires_at = now + ttl_s < until ? now + ttl_s : until;
}

void denial_entry_publish(struct denial_store *store, struct denial_entry *entry, uint32_t ttl_s,
                          int64_t now, int64_t until)
{
    bool is_there;
    struct denial_entry *old =
        denial_index_find(entry->index, entry->key, entry->key_size, &is_there);
    if (is_there)
        entry_remove(store, old);
    while (store->oldest != NULL && store->counters.octets + entry->octets > store->octets_max)
        evict(store);
    entry_time(entry, ttl_s, now, until);
    denial_index_put(entry->index, entry);
    queue_put(store, entry);
    denial_count(&store->counters.records, 1);
    denial_count(&store->counters.octets, entry->octets);
}

static void soa_replace(struct denial_store *store, struct denial_zone *zone,
                        struct denial_entry *entry)
{
    struct denial_entry *old = zone->soa;
    rcu_assign_pointer(zone->soa, entry);
    if (entry != NULL)
        denial_count(&store->counters.octets, entry->octets);
    if (old == NULL)
        return;
    denial_count(&store->counters.octets, -(uint64_t)old->octets);
    call_rcu(&old->retired, free_entry);
}

void denial_soa_publish(struct denial_store *store, struct denial_entry *entry, uint32_t ttl_s,
                        int64_t now, int64_t until)
{
    entry_time(entry, ttl_s, now, until);
    soa_replace(store, entry->zone, entry);
}

/* ---- Zones ---- */

struct denial_zone *denial_zone_find(const struct denial_store *store, const struct name *apex)
{
    const struct denial_zones *zones = rcu_dereference(store->zones);
    size_t low = 0, high = zones->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (zones->zones[middle]->apex.hashes[0] < apex->hashes[0])
            low = middle + 1;
        else
            high = middle;
    }
    return low < zones->count && name_is(&zones->zones[low]->apex, apex) ? zones->zones[low] : NULL;
}

static uint64_t index_clear(struct denial_store *store, struct denial_index *index)
{
    const uint64_t count = index->count;
    while (index->first[0] != NULL)
        entry_remove(store, index->first[0]);
    return count;
}

static void free_hashing(struct rcu_head *head)
{
    rcu_callback_begins();
    free(head); /* its first member */
}

void denial_zone_hash(struct denial_store *store, struct denial_zone *zone,
                      struct denial_hashing *hashing)
{
    struct denial_hashing *old = zone->hashing;
    (void)index_clear(store, &zone->nsec3);
    rcu_assign_pointer(zone->hashing, hashing);
    if (old != NULL)
        call_rcu(&old->retired, free_hashing);
}

uint64_t denial_zone_clear(struct denial_store *store, struct denial_zone *zone)
{
    const uint64_t count = index_clear(store, &zone->nsec) + index_clear(store, &zone->nsec3) +
                           index_clear(store, &zone->wildcards);
    soa_replace(store, zone, NULL);
    denial_zone_hash(store, zone, NULL);
    return count;
}

static void free_zone(struct rcu_head *head)
{
    rcu_callback_begins();
    free(head); /* its first member */
}

static void zone_retire(struct denial_store *store, struct denial_zone *zone)
{
    (void)denial_zone_clear(store, zone);
    denial_keys_clear(&zone->keys);
    call_rcu(&zone->retired, free_zone);
}

static struct denial_zone *zone_create(const struct denial_zone_option *option)
{
    struct denial_zone *zone = calloc(1, sizeof(*zone));
    if (zone == NULL)
        return NULL;
    zone->apex = *option->apex;
    zone->origin = option->origin;
    return zone;
}

static int compare_zones(const void *one, const void *other)
{
    const uint64_t a = (*(struct denial_zone *const *)one)->apex.hashes[0];
    const uint64_t b = (*(struct denial_zone *const *)other)->apex.hashes[0];
    return (a > b) - (a < b);
}

/* The zone as it is, if its servers are the same. */
static struct denial_zone *find_same(const struct denial_store *store,
                                     const struct denial_zone_option *option)
{
    struct denial_zone *zone = denial_zone_find(store, option->apex);
    return zone != NULL && zone->origin == option->origin ? zone : NULL;
}

static void free_zones(struct rcu_head *head)
{
    rcu_callback_begins();
    free(head); /* its first member */
}

/* Publishes the new ones and lets go of the old ones that are not among them. */
static void zones_replace(struct denial_store *store, struct denial_zones *zones)
{
    struct denial_zones *old = store->zones;
    qsort(zones->zones, zones->count, sizeof(struct denial_zone *), compare_zones);
    rcu_assign_pointer(store->zones, zones);
    for (size_t i = 0; i < old->count; i++) {
        if (denial_zone_find(store, &old->zones[i]->apex) != old->zones[i])
            zone_retire(store, old->zones[i]);
    }
    call_rcu(&old->retired, free_zones);
}

int denial_store_configure(struct denial_store *store, const struct denial_zone_option *options,
                           size_t count)
{
    struct denial_zones *zones = calloc(1, sizeof(*zones) + count * sizeof(struct denial_zone *));
    if (zones == NULL)
        return -ENOMEM;
    pthread_mutex_lock(&store->lock);
    for (size_t i = 0; i < count; i++) {
        struct denial_zone *zone = find_same(store, &options[i]);
        if (zone == NULL)
            zone = zone_create(&options[i]);
        if (zone == NULL)
            break;
        zones->zones[zones->count++] = zone;
    }
    if (zones->count == count) {
        zones_replace(store, zones);
        pthread_mutex_unlock(&store->lock);
        return 0;
    }
    for (size_t i = 0; i < zones->count; i++) {
        if (denial_zone_find(store, &zones->zones[i]->apex) != zones->zones[i])
            free(zones->zones[i]);
    }
    pthread_mutex_unlock(&store->lock);
    free(zones);
    return -ENOMEM;
}

/* ---- The store ---- */

int denial_store_create(uint64_t octets_max, struct denial_store **ret_store)
{
    if (octets_max < DENIAL_OCTETS_MIN)
        return -EINVAL;
    struct denial_store *store = aligned_alloc(DENIAL_LINE, sizeof(*store));
    struct denial_zones *zones = calloc(1, sizeof(*zones));
    if (store == NULL || zones == NULL) {
        free(store);
        free(zones);
        return -ENOMEM;
    }
    memset(store, 0, sizeof(*store));
    store->zones = zones;
    store->octets_max = octets_max;
    pthread_mutex_init(&store->lock, NULL);
    *ret_store = store;
    return 0;
}

void denial_store_free(struct denial_store *store)
{
    if (store == NULL)
        return;
    for (size_t i = 0; i < store->zones->count; i++)
        zone_retire(store, store->zones->zones[i]);
    free(store->zones);
    rcu_barrier();
    pthread_mutex_destroy(&store->lock);
    free(store);
}

uint64_t denial_store_purge(struct denial_store *store, const struct name *name, bool with_subtree)
{
    uint64_t purged = 0;
    pthread_mutex_lock(&store->lock);
    for (size_t i = 0; i < store->zones->count; i++) {
        struct denial_zone *zone = store->zones->zones[i];
        if (name_is_within(name, &zone->apex) ||
            (with_subtree && name_is_within(&zone->apex, name)))
            purged += denial_zone_clear(store, zone);
    }
    pthread_mutex_unlock(&store->lock);
    return purged;
}

void denial_store_counters(const struct denial_store *store, struct denial_counters *ret_counters)
{
    struct denial_counters sum = {.octets_max = store->octets_max};
    const uint64_t *from = (const uint64_t *)&store->counters;
    uint64_t *to = (uint64_t *)&sum;
    for (size_t i = 0; i < sizeof(sum) / sizeof(uint64_t); i++)
        to[i] += __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    for (unsigned i = 0; i < DENIAL_READER_LINES; i++) {
        sum.nxdomain += __atomic_load_n(&store->lines[i].nxdomain, __ATOMIC_RELAXED);
        sum.nodata += __atomic_load_n(&store->lines[i].nodata, __ATOMIC_RELAXED);
        sum.wildcard += __atomic_load_n(&store->lines[i].wildcard, __ATOMIC_RELAXED);
    }
    *ret_counters = sum;
}
