/* The zones of a forwarder: what they are told to be, and each thread's servers and budgets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "front/forwarder_internal.h"

#include <libknot/dname.h>

/* Names never seen at once after a silence: what a tenth of a second allows. */
#define BURST_SHARE 0.1

/* ---- The plan ---- */

static int compare_octets(const uint8_t *one, size_t one_size, const uint8_t *other,
                          size_t other_size)
{
    if (one_size != other_size)
        return one_size < other_size ? -1 : 1;
    return memcmp(one, other, one_size);
}

static int compare_zones(const void *one, const void *other)
{
    const struct forward_plan_zone *a = one, *b = other;
    return compare_octets(a->apex.wire, a->apex.size, b->apex.wire, b->apex.size);
}

/* A thread's part of a rate; at least one, so that none is without. */
static unsigned share_of(unsigned rate, unsigned threads)
{
    return rate == 0 ? 0 : (rate + threads - 1) / threads;
}

/* FNV-1a of the addresses. */
static uint64_t servers_number(const struct sockaddr_storage *servers, size_t count)
{
    const uint8_t *octets = (const uint8_t *)servers;
    uint64_t number = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < count * sizeof(*servers); i++)
        number = (number ^ octets[i]) * UINT64_C(1099511628211);
    return number;
}

static int plan_zone(const struct forward_zone *zone, unsigned threads,
                     struct forward_plan_zone *planned)
{
    if (name_parse(&planned->apex, zone->apex, NAME_SIZE_MAX) < 0)
        return -EINVAL;
    planned->servers = calloc(zone->server_count, sizeof(*planned->servers));
    if (planned->servers == NULL)
        return -ENOMEM;
    memcpy(planned->servers, zone->servers, zone->server_count * sizeof(*planned->servers));
    planned->server_count = zone->server_count;
    planned->rate_max = share_of(zone->rate_max, threads);
    /* Half of what the origin takes is for what is known to exist. */
    planned->unseen_rate_max = zone->unseen_rate_max != 0 ? share_of(zone->unseen_rate_max, threads)
                                                          : (planned->rate_max + 1) / 2;
    planned->stale_s = zone->stale_s;
    planned->uses_denials = zone->uses_denials;
    planned->origin = servers_number(zone->servers, zone->server_count);
    return 0;
}

int forward_plan_create(const struct forward_zone *zones, size_t count, unsigned threads,
                        struct forward_plan **ret_plan)
{
    struct forward_plan *plan = calloc(1, sizeof(*plan));
    if (plan == NULL)
        return -ENOMEM;
    plan->zones = calloc(count + 1, sizeof(*plan->zones));
    int rc = plan->zones == NULL ? -ENOMEM : 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = plan_zone(&zones[i], threads, &plan->zones[i]);
        plan->count++;
    }
    if (rc < 0) {
        forward_plan_free(plan);
        return rc;
    }
    qsort(plan->zones, plan->count, sizeof(*plan->zones), compare_zones);
    *ret_plan = plan;
    return 0;
}

void forward_plan_free(struct forward_plan *plan)
{
    if (plan == NULL)
        return;
    for (size_t i = 0; plan->zones != NULL && i < plan->count; i++)
        free(plan->zones[i].servers);
    free(plan->zones);
    free(plan);
}

static int plan_keep_zone(struct forward_plan *plan, const struct forward_plan_zone *zone)
{
    struct sockaddr_storage *servers = calloc(zone->server_count, sizeof(*servers));
    if (servers == NULL)
        return -ENOMEM;
    memcpy(servers, zone->servers, zone->server_count * sizeof(*servers));
    plan->zones[plan->count] = *zone;
    plan->zones[plan->count++].servers = servers;
    return 0;
}

int forward_plan_keep(struct forward_plan *plan, const struct forward_plan *other)
{
    const size_t count = plan->count, other_count = other == NULL ? 0 : other->count;
    struct forward_plan_zone *zones =
        reallocarray(plan->zones, count + other_count + 1, sizeof(*zones));
    if (zones == NULL)
        return -ENOMEM;
    plan->zones = zones;
    /* Those that are looked for stay in order; what is added comes behind them. */
    struct forward_plan ordered = {.count = count, .zones = zones};
    int rc = 0;
    for (size_t i = 0; i < other_count && rc == 0; i++) {
        const struct name *apex = &other->zones[i].apex;
        if (forward_plan_find(&ordered, apex->wire, apex->size) < 0)
            rc = plan_keep_zone(plan, &other->zones[i]);
    }
    qsort(plan->zones, plan->count, sizeof(*plan->zones), compare_zones);
    return rc;
}

int forward_plan_tell(const struct forward_plan *plan, struct denial_store *denials)
{
    struct denial_zone_option *options = calloc(plan->count + 1, sizeof(*options));
    if (options == NULL)
        return -ENOMEM;
    size_t count = 0;
    for (size_t i = 0; i < plan->count; i++) {
        const struct forward_plan_zone *zone = &plan->zones[i];
        if (zone->uses_denials)
            options[count++] =
                (struct denial_zone_option){.apex = &zone->apex, .origin = zone->origin};
    }
    const int rc = denial_store_configure(denials, options, count);
    free(options);
    return rc;
}

ptrdiff_t forward_plan_find(const struct forward_plan *plan, const uint8_t *apex, size_t size)
{
    size_t low = 0, high = plan == NULL ? 0 : plan->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct name *name = &plan->zones[middle].apex;
        const int order = compare_octets(apex, size, name->wire, name->size);
        if (order == 0)
            return (ptrdiff_t)middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}

ptrdiff_t forward_plan_find_at_or_above(const struct forward_plan *plan, const uint8_t *apex,
                                        size_t size)
{
    ptrdiff_t at = forward_plan_find(plan, apex, size);
    while (at < 0 && size > 1) {
        const size_t label_size = (size_t)apex[0] + 1;
        apex += label_size;
        size -= label_size;
        at = forward_plan_find(plan, apex, size);
    }
    return at;
}

/* ---- A thread's zones ---- */

static bool has_same_origin(const struct forward_plan_zone *one,
                            const struct forward_plan_zone *other)
{
    return one->server_count == other->server_count && one->rate_max == other->rate_max &&
           memcmp(one->servers, other->servers, one->server_count * sizeof(*one->servers)) == 0;
}

/* The zone as the thread has it now; NULL: it is new. */
static struct thread_zone *present_zone(const struct forward_thread *thread,
                                        const struct forward_plan_zone *planned)
{
    const ptrdiff_t at = forward_plan_find(thread->plan, planned->apex.wire, planned->apex.size);
    return at < 0 ? NULL : &thread->zones[at];
}

static int open_group(struct forward_thread *thread, const struct forward_plan_zone *planned,
                      struct origin_group **ret_group)
{
    knot_dname_txt_storage_t text;
    if (knot_dname_to_str(text, planned->apex.wire, sizeof(text)) == NULL)
        return -EINVAL;
    return origin_group_add(thread->pool, text, planned->servers, planned->server_count,
                            planned->rate_max, ret_group);
}

void thread_zones_abandon(struct forward_thread *thread, const struct forward_plan *plan,
                          struct thread_zone *zones)
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct thread_zone *present = present_zone(thread, &plan->zones[i]);
        if (zones[i].group != NULL && (present == NULL || present->group != zones[i].group))
            origin_group_remove(zones[i].group);
    }
    free(zones);
}

int thread_zones_open(struct forward_thread *thread, const struct forward_plan *plan,
                      struct thread_zone **ret_zones)
{
    struct thread_zone *zones = calloc(plan->count + 1, sizeof(*zones));
    if (zones == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < plan->count; i++) {
        const struct forward_plan_zone *planned = &plan->zones[i];
        const struct thread_zone *present = present_zone(thread, planned);
        zones[i].plan = planned;
        int rc = 0;
        if (present != NULL && has_same_origin(present->plan, planned))
            zones[i].group = present->group;
        else
            rc = open_group(thread, planned, &zones[i].group);
        if (rc < 0) {
            thread_zones_abandon(thread, plan, zones);
            return rc;
        }
    }
    *ret_zones = zones;
    return 0;
}

static bool is_kept(const struct forward_plan *plan, const struct thread_zone *zones,
                    const struct thread_zone *old)
{
    const ptrdiff_t at = forward_plan_find(plan, old->plan->apex.wire, old->plan->apex.size);
    return at >= 0 && zones[at].group == old->group;
}

void thread_zones_take(struct forward_thread *thread, const struct forward_plan *plan,
                       struct thread_zone *zones)
{
    const struct forward_plan *old_plan = thread->plan;
    struct thread_zone *old = thread->zones;
    /* First: what the groups that go had in flight is asked anew where it belongs now. */
    inquiries_move(thread, plan, zones);
    thread->plan = plan;
    thread->zones = zones;
    for (size_t i = 0; old_plan != NULL && i < old_plan->count; i++) {
        if (!is_kept(plan, zones, &old[i]))
            origin_group_remove(old[i].group);
    }
    free(old);
}

/* ---- Names never seen ---- */

static bool take_token(struct forward_thread *thread, struct thread_zone *zone)
{
    const unsigned rate = zone->plan->unseen_rate_max;
    if (rate == 0)
        return true;
    const double burst = rate * BURST_SHARE > 1 ? rate * BURST_SHARE : 1;
    zone->unseen_tokens += (double)(thread->now_ms - zone->unseen_tokens_ms) * rate / 1000;
    zone->unseen_tokens_ms = thread->now_ms;
    if (zone->unseen_tokens > burst)
        zone->unseen_tokens = burst;
    if (zone->unseen_tokens < 1)
        return false;
    zone->unseen_tokens -= 1;
    return true;
}

bool thread_zone_admits(struct forward_thread *thread, struct thread_zone *zone)
{
    /* A zone gets no more than what is left free, so that there is always room for another one. */
    const unsigned share = INQUIRIES_MAX / UNSEEN_SHARE;
    if (thread->unseen_count >= share || zone->unseen >= share - thread->unseen_count ||
        !take_token(thread, zone))
        return false;
    zone->unseen++;
    thread->unseen_count++;
    return true;
}
