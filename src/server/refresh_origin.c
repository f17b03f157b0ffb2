#include <errno.h>
#include <string.h>

#include "server/refresh_internal.h"
#include "server/soa_timers.h"

struct refresh_origin *refresh_origin_get(struct refresher *refresher,
                                          const struct transfer_source *source)
{
    for (size_t i = 0; i < refresher->origin_count; i++) {
        struct refresh_origin *origin = &refresher->origins[i];
        if (origin->size == source->origin_size &&
            memcmp(origin->address, source->origin, origin->size) == 0)
            return origin;
    }
    struct refresh_origin *origin = &refresher->origins[refresher->origin_count++];
    *origin = (struct refresh_origin){
        .address = source->origin, .size = source->origin_size, .health = ORIGIN_UNPROVEN};
    return origin;
}

bool refresh_origin_admits(const struct refresh_origin *origin, int64_t now_ms)
{
    if (origin->health != ORIGIN_FAILING)
        return true;
    /* One probe at a time. */
    return origin->retry_at_ms <= now_ms && origin->active == 0 && origin->first == NULL;
}

/* ---- Rings of origins whose attempts wait, one per health; a round robin is fair to each ---- */

static void ring_add(struct refresher *refresher, struct refresh_origin *origin)
{
    struct refresh_origin **last = &refresher->ready[origin->health];
    if (origin->is_ready)
        return;
    if (*last == NULL) {
        origin->next_ready = origin;
    } else {
        origin->next_ready = (*last)->next_ready;
        (*last)->next_ready = origin;
    }
    *last = origin;
    origin->is_ready = true;
}

static void ring_remove(struct refresher *refresher, struct refresh_origin *origin)
{
    struct refresh_origin **last = &refresher->ready[origin->health];
    if (!origin->is_ready)
        return;
    struct refresh_origin *before = *last;
    while (before->next_ready != origin)
        before = before->next_ready;
    before->next_ready = origin->next_ready;
    if (*last == origin)
        *last = before == origin ? NULL : before;
    origin->is_ready = false;
}

void refresh_origin_queue(struct refresher *refresher, struct secondary *secondary)
{
    struct refresh_origin *origin = secondary->origins[secondary->source];
    secondary->state = SECONDARY_QUEUED;
    secondary->next_queued = NULL;
    if (origin->first == NULL)
        origin->first = secondary;
    else
        origin->last->next_queued = secondary;
    origin->last = secondary;
    ring_add(refresher, origin);
    pthread_cond_signal(&refresher->work);
}

/* Threads that origins of a health may hold: half for those that fail, all but one for those that
 * have not answered yet, so that one is left for an origin that is known to be good. */
static bool health_has_room(const struct refresher *refresher, enum origin_health health)
{
    const unsigned failing = refresher->active[ORIGIN_FAILING];
    const unsigned unproven = refresher->active[ORIGIN_UNPROVEN];
    switch (health) {
    case ORIGIN_FAILING:
        return failing < (refresher->thread_max + 1) / 2 &&
               failing + unproven + 1 < refresher->thread_max;
    case ORIGIN_UNPROVEN:
        return failing + unproven + 1 < refresher->thread_max;
    default:
        return true;
    }
}

struct secondary *refresh_origin_take(struct refresher *refresher, enum origin_health *ret_health)
{
    for (enum origin_health health = 0; health < ORIGIN_HEALTH_COUNT; health++) {
        struct refresh_origin *last = refresher->ready[health];
        if (last == NULL || !health_has_room(refresher, health))
            continue;

        struct refresh_origin *origin = last->next_ready;
        struct secondary *secondary = origin->first;
        origin->first = secondary->next_queued;
        ring_remove(refresher, origin);
        if (origin->first != NULL)
            ring_add(refresher, origin); /* at the end */

        origin->active++;
        refresher->active[health]++;
        secondary->state = SECONDARY_RUNNING;
        secondary->was_attempted = true;
        *ret_health = health;
        return secondary;
    }
    return NULL;
}

enum verdict_on_origin { ORIGIN_ANSWERED, ORIGIN_SILENT, ORIGIN_UNKNOWN };

static enum verdict_on_origin verdict_of(int code)
{
    switch (code) {
    case -ECANCELED:
    case -ENOMEM:
    case -EMFILE:
    case -ENFILE:
    case -ENOBUFS:
        return ORIGIN_UNKNOWN; /* the trouble is ours */
    default:
        return transfer_error_is_origins(code) ? ORIGIN_SILENT : ORIGIN_ANSWERED;
    }
}

void refresh_origin_done(struct refresher *refresher, struct refresh_origin *origin,
                         enum origin_health began_as, int code, int64_t now_ms,
                         struct secondary **ret_orphans)
{
    origin->active--;
    refresher->active[began_as]--;
    *ret_orphans = NULL;

    const enum verdict_on_origin verdict = verdict_of(code);
    if (verdict == ORIGIN_UNKNOWN)
        return;
    ring_remove(refresher, origin);
    if (verdict == ORIGIN_ANSWERED) {
        origin->health = ORIGIN_PROVEN;
        origin->failures = 0;
    } else {
        origin->health = ORIGIN_FAILING;
        origin->retry_at_ms = now_ms + backoff_ms(++origin->failures);
        *ret_orphans = origin->first;
        origin->first = NULL;
    }
    if (origin->first != NULL)
        ring_add(refresher, origin);
}
