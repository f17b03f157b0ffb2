#include "cli/prove_serials.h"

#include <errno.h>
#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>

#include "cli/prove_answer.h"

/* One round of asking: which names, and what to do with each SOA. */
struct round {
    struct zone_serials *serials;
    const struct survey *survey; /* its samples are asked about; NULL: the zones themselves */
    enum serial_moment moment;
    size_t next;
    struct answer_arena *arena;
};

static bool round_next(void *context, struct exchange_question *ret_question)
{
    struct round *round = context;
    size_t count = round->survey != NULL ? round->survey->sample_count : round->serials->count;
    if (round->next == count)
        return false;
    const uint8_t *name = round->survey != NULL ? round->survey->samples[round->next].name
                                                : round->serials->zones[round->next].name;
    *ret_question = (struct exchange_question){.type = KNOT_RRTYPE_SOA,
                                               .name_size = (uint8_t)name_wire_size(name)};
    memcpy(ret_question->name, name, ret_question->name_size);
    round->next++;
    return true;
}

static struct zone_serial *zone_serials_get(struct zone_serials *serials, const uint8_t *name)
{
    for (size_t i = 0; i < serials->count; i++)
        if (knot_dname_is_equal(serials->zones[i].name, name))
            return &serials->zones[i];
    if (serials->count == SURVEY_SAMPLES_MAX)
        return NULL;
    struct zone_serial *zone = &serials->zones[serials->count++];
    memcpy(zone->name, name, knot_dname_size(name));
    return zone;
}

/* Any SOA tells a zone: as the answer, or with the proof that there is none. */
static void soa_take(struct round *round, const knot_rrset_t *soa, enum exchange_side side)
{
    struct zone_serial *zone = zone_serials_get(round->serials, soa->owner);
    if (zone == NULL || round->survey != NULL)
        return;
    zone->seen[side][round->moment] = true;
    zone->serial[side][round->moment] = knot_soa_serial(soa->rrs.rdata);
}

static bool round_done(void *context, const struct exchange_question *question,
                       const struct exchange_reply replies[EXCHANGE_SIDES])
{
    struct round *round = context;
    (void)question;
    answer_arena_reset(round->arena);
    for (enum exchange_side side = 0; side < EXCHANGE_SIDES; side++) {
        struct answer answer;
        if (replies[side].outcome != EXCHANGE_ANSWERED ||
            answer_parse(round->arena, replies[side].octets, replies[side].size, &answer) < 0)
            continue;
        for (enum answer_section section = 0; section < ANSWER_SECTION_ADDITIONAL; section++)
            for (size_t i = 0; i < answer.sections[section].count; i++)
                if (answer.sections[section].records[i]->type == KNOT_RRTYPE_SOA)
                    soa_take(round, answer.sections[section].records[i], side);
    }
    return false;
}

static int round_run(struct zone_serials *serials, struct exchange *exchange,
                     const struct survey *survey, enum serial_moment moment,
                     struct error *ret_error)
{
    _cleanup_(answer_arena_freep) struct answer_arena *arena = NULL;
    if (answer_arena_create(&arena) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    struct round round = {.serials = serials, .survey = survey, .moment = moment, .arena = arena};
    const struct exchange_client client = {
        .context = &round, .next = round_next, .done = round_done};
    return exchange_run(exchange, &client, ret_error);
}

int zone_serials_start(struct zone_serials *serials, struct exchange *exchange,
                       const struct survey *survey, struct error *ret_error)
{
    serials->zones = calloc(SURVEY_SAMPLES_MAX, sizeof(*serials->zones));
    if (serials->zones == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = round_run(serials, exchange, survey, SERIAL_START, ret_error);
    if (rc < 0)
        return rc;
    return round_run(serials, exchange, NULL, SERIAL_START, ret_error);
}

int zone_serials_end(struct zone_serials *serials, struct exchange *exchange,
                     struct error *ret_error)
{
    return round_run(serials, exchange, NULL, SERIAL_END, ret_error);
}

void zone_serials_clear(struct zone_serials *serials)
{
    free(serials->zones);
    *serials = (struct zone_serials){0};
}

bool zone_serial_changed(const struct zone_serial *zone)
{
    for (enum exchange_side side = 0; side < EXCHANGE_SIDES; side++)
        if (zone->seen[side][SERIAL_START] && zone->seen[side][SERIAL_END] &&
            zone->serial[side][SERIAL_START] != zone->serial[side][SERIAL_END])
            return true;
    return false;
}

bool zone_serial_differs(const struct zone_serial *zone)
{
    return zone->seen[EXCHANGE_FRONT][SERIAL_END] && zone->seen[EXCHANGE_ORIGIN][SERIAL_END] &&
           zone->serial[EXCHANGE_FRONT][SERIAL_END] != zone->serial[EXCHANGE_ORIGIN][SERIAL_END];
}

const struct zone_serial *zone_serials_find(const struct zone_serials *serials, const uint8_t *name)
{
    const struct zone_serial *best = NULL;
    size_t best_size = 0;
    for (size_t i = 0; i < serials->count; i++) {
        const struct zone_serial *zone = &serials->zones[i];
        size_t size = knot_dname_size(zone->name);
        if (size > best_size && knot_dname_in_bailiwick(name, zone->name) >= 0) {
            best = zone;
            best_size = size;
        }
    }
    return best;
}
