/* What waits: a queue for each host, of which only the first may go; those that may, in the queue
 * of their zone. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "desk/dns_updater_internal.h"

static bool is_same_host(const struct task *one, const struct task *other)
{
    return one->hash == other->hash && one->zone_size == other->zone_size &&
           one->host_size == other->host_size &&
           memcmp(one->octets, other->octets, (size_t)one->zone_size + one->host_size) == 0;
}

/* Where the first task of the host is linked, or would be. */
static struct task **host_link(struct dns_updater *updater, const struct task *task)
{
    struct task **link = &updater->hosts[task->hash & (HOSTS_BUCKETS - 1)];
    while (*link != NULL && !is_same_host(*link, task))
        link = &(*link)->bucket_next;
    return link;
}

/* NULL: no memory. */
static struct dns_zone *zone_of(struct dns_updater *updater, const struct task *task)
{
    struct dns_zone *zone = updater->zones;
    while (zone != NULL && (zone->name_size != task->zone_size ||
                            memcmp(zone->name, task_zone(task), task->zone_size) != 0))
        zone = zone->next;
    if (zone != NULL)
        return zone;

    zone = calloc(1, sizeof(*zone) + task->zone_size);
    if (zone == NULL)
        return NULL;
    zone->window = WINDOW_MIN;
    zone->name_size = task->zone_size;
    memcpy(zone->name, task_zone(task), task->zone_size);
    zone->next = updater->zones;
    updater->zones = zone;
    return zone;
}

/* ---- Telling ---- */

static void age_add(struct dns_updater *updater, struct task *task)
{
    task->older = updater->newest;
    task->newer = NULL;
    if (updater->newest != NULL)
        updater->newest->newer = task;
    else
        updater->oldest = task;
    updater->newest = task;
}

static void age_remove(struct dns_updater *updater, struct task *task)
{
    if (task->older != NULL)
        task->older->newer = task->newer;
    else
        updater->oldest = task->newer;
    if (task->newer != NULL)
        task->newer->older = task->older;
    else
        updater->newest = task->older;
}

static void outcome_count(struct dns_updater *updater, const struct task *task,
                          const struct dns_outcome *outcome)
{
    if (task->kind == TASK_QUESTION)
        atomic_fetch_add(&updater->figures.told, outcome->result == DNS_DONE);
    else if (outcome->result == DNS_DONE)
        atomic_fetch_add(&updater->figures.changes_done, 1);
    else if (outcome->result == DNS_REFUSED)
        atomic_fetch_add(&updater->figures.changes_refused, 1);
    else
        atomic_fetch_add(&updater->figures.changes_not_reached, 1);
}

void dns_task_tell(struct dns_updater *updater, struct task *task,
                   const struct dns_outcome *outcome)
{
    if (task->is_told)
        return;
    task->is_told = true;
    age_remove(updater, task);
    outcome_count(updater, task, outcome);
    if (task->kind == TASK_CHANGE)
        task->done(task->context, outcome);
    else
        task->told(task->context, outcome, outcome->result == DNS_DONE ? &task->addresses : NULL);
}

static void task_free(struct dns_updater *updater, struct task *task)
{
    assert(task->is_told);
    atomic_fetch_sub(&updater->waiting, 1);
    free(task);
}

void dns_tasks_expire(struct dns_updater *updater)
{
    static const struct dns_outcome late = {.result = DNS_NOT_REACHED,
                                            .why = "the server did not answer in time"};
    while (updater->oldest != NULL &&
           updater->now_ms - updater->oldest->submitted_ms >= updater->options.answer_ms)
        dns_task_tell(updater, updater->oldest, &late);
}

/* ---- Turns ---- */

static void task_make_ready(struct dns_updater *updater, struct task *task)
{
    dns_task_list_add(task->kind == TASK_CHANGE ? &task->zone->ready : &updater->questions, task);
}

static void task_take_in(struct dns_updater *updater, struct task *task)
{
    struct task **link = host_link(updater, task);
    if (*link != NULL) {
        struct task *first = *link;
        task->next = NULL;
        if (first->follower == NULL)
            first->follower = task;
        else
            first->follower_at->next = task;
        first->follower_at = task;
        return;
    }
    task->bucket_next = NULL;
    *link = task;
    task_make_ready(updater, task);
}

void dns_queues_take_in(struct dns_updater *updater, struct task_list *incoming)
{
    static const struct dns_outcome down = {.result = DNS_NOT_REACHED, .why = "the server is down"};
    static const struct dns_outcome no_memory = {.result = DNS_NOT_REACHED, .why = "out of memory"};
    struct task *task;

    while ((task = dns_task_list_take(incoming)) != NULL) {
        age_add(updater, task);
        task->zone = zone_of(updater, task);
        if (task->zone != NULL && !atomic_load(&updater->is_down)) {
            updater->probe_zone = task->zone;
            task_take_in(updater, task);
            continue;
        }
        dns_task_tell(updater, task, task->zone == NULL ? &no_memory : &down);
        task_free(updater, task);
    }
}

void dns_task_release(struct dns_updater *updater, struct task *task)
{
    if (task->holds > 0 && --task->holds > 0)
        return;

    struct task **link = host_link(updater, task), *next = task->follower;
    assert(*link == task);
    if (next != NULL) {
        next->bucket_next = task->bucket_next;
        next->follower = next->next;
        next->follower_at = task->follower_at;
        *link = next;
        task_make_ready(updater, next);
    } else {
        *link = task->bucket_next;
    }
    task_free(updater, task);
}

static void host_clear(struct dns_updater *updater, struct task *first)
{
    while (first->follower != NULL) {
        struct task *follower = first->follower;
        first->follower = follower->next;
        task_free(updater, follower);
    }
    task_free(updater, first);
}

void dns_queues_fail_all(struct dns_updater *updater, const char *why)
{
    const struct dns_outcome outcome = {.result = DNS_NOT_REACHED, .why = why};

    while (updater->oldest != NULL)
        dns_task_tell(updater, updater->oldest, &outcome);
    for (size_t i = 0; i < HOSTS_BUCKETS; i++)
        while (updater->hosts[i] != NULL) {
            struct task *first = updater->hosts[i];
            updater->hosts[i] = first->bucket_next;
            host_clear(updater, first);
        }
    for (struct dns_zone *zone = updater->zones; zone != NULL; zone = zone->next)
        zone->ready.first = NULL;
    updater->questions.first = NULL;
}

void dns_queues_clear(struct dns_updater *updater)
{
    while (updater->zones != NULL) {
        struct dns_zone *zone = updater->zones;
        updater->zones = zone->next;
        free(zone);
    }
}
