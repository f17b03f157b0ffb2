/* The judgement: from what is known of an id, and of the address and network that it came from
 * first and last, to its class and the reason for people. doc/sinkhole.md explains the rules and
 * what they can't tell apart. */
#include "sink/census_internal.h"

/* Machine hashes of one id: two people may use a machine, and it may be set up again. */
#define MACHINES_MAX 3

/* A bot that finds no controller tries again within seconds: its check-ins come in rows. Who sends
 * one and goes again is none. */
#define CHECKINS_PER_SESSION_MIN 2

/* Check-ins for each that is odd, of an id that is to be proven. */
#define VALID_PER_ODD_MIN 4

/* Check-ins for each probe of the same address: behind a NAT with a victim there may also be a
 * scanner, but the victim's retries are many. */
#define CHECKINS_PER_PROBE_MIN 4
#define PROBES_MIN             2

/* Ids seen in one stretch alone, for each that came back: above, an address is no NAT. An id that
 * came back itself is only held to be of the hunter where it is nearly the only one. */
#define UNRETURNED_MAJORITY      1
#define UNRETURNED_PREPONDERANCE 4

/* A network may hold so many times what an address may. */
#define NETWORK_FACTOR 4

static bool is_spread(const struct census *census, const struct victim *victim)
{
    if (victim->day_networks_max > census->options.networks_max)
        return true;
    const unsigned networks = network_set_count(&victim->networks, victim->network_size);
    return networks > census->options.networks_max && networks * 2 > victim->checkins;
}

static bool is_long_enough(const struct census *census, const struct victim *victim)
{
    return victim->last_us - victim->first_us >=
               (int64_t)census->options.persistence_s * SECOND_US &&
           victim->checkins >= census->options.checkins_min;
}

static bool retries(const struct victim *victim)
{
    return victim->checkins >= (uint32_t)victim->sessions * CHECKINS_PER_SESSION_MIN;
}

static bool holds_together(const struct victim *victim)
{
    return victim->checkins >= (uint32_t)victim->odd * VALID_PER_ODD_MIN;
}

bool victim_is_grown(const struct census *census, const struct victim *victim)
{
    return (victim->flags & VICTIM_FAKE) == 0 && is_long_enough(census, victim) &&
           !is_spread(census, victim) && victim->machine_size <= MACHINES_MAX && retries(victim) &&
           holds_together(victim);
}

/* Ids that are so new that they can't have come back yet wait for their judgement: else the first
 * hours of a sinkhole would make hunters of all behind a NAT. */
static bool may_still_return(const struct census *census, const struct victim *victim)
{
    return (victim->flags & VICTIM_RETURNED) == 0 &&
           census->newest_us - victim->first_us < census->return_us;
}

/* Whether the source has the ids of a hunter. */
static bool has_fleeting_ids(const struct census *census, const struct victim *victim,
                             const struct source *source, bool grown)
{
    if (may_still_return(census, victim))
        return false;
    const uint32_t unreturned = source_unreturned(source);
    const uint32_t share = grown ? UNRETURNED_PREPONDERANCE : UNRETURNED_MAJORITY;
    return unreturned > census->options.ids_per_address_max &&
           unreturned / share > source->returned;
}

/* Why a source's ids are no victims', or NULL. `grown`: the id is a victim's by itself. */
static const char *source_speaks_against(const struct census *census, const struct victim *victim,
                                         const struct source *source, bool grown)
{
    if (source == NULL) /* made room: it told little */
        return NULL;
    if (has_fleeting_ids(census, victim, source, grown))
        return "from an address whose ids are many and never come back";
    if (source->probes >= PROBES_MIN && source->probes > source->checkins / CHECKINS_PER_PROBE_MIN)
        return "from an address that also scans";
    if (__builtin_popcount(source->families) >= SOURCE_FAMILIES_MIN &&
        source->returned < 2u * (unsigned)__builtin_popcount(source->families))
        return "from an address that sends check-ins of many families";
    return NULL;
}

/* What speaks against both ends of an id's life: who is assigned a hunter's former address is no
 * hunter, nor is who has moved on from it. */
static const char *sources_speak_against(const struct census *census, const struct victim *victim,
                                         bool grown, const struct source **ret_home)
{
    const struct source *home = sources_find(&census->sources, victim->home);
    *ret_home = home;
    const uint64_t tag = source_tag(victim->client, victim->epoch);
    const char *reason = source_speaks_against(census, victim, home, grown);
    if (reason == NULL || tag == victim->home)
        return reason;
    const struct source *last = sources_find(&census->sources, tag);
    return source_speaks_against(census, victim, last, grown);
}

static bool is_of_a_laboratory(const struct census *census, const struct victim *victim,
                               const struct source *home)
{
    if (home == NULL || (victim->flags & VICTIM_RETURNED) != 0 || may_still_return(census, victim))
        return false;
    const struct source *network = sources_find(&census->sources, home->network);
    if (network == NULL)
        return false;
    const uint32_t unreturned = source_unreturned(network);
    return unreturned > NETWORK_FACTOR * census->options.ids_per_address_max &&
           unreturned > NETWORK_FACTOR * network->returned;
}

static const char *why_only_likely(const struct census *census, const struct victim *victim)
{
    if (victim->checkins < census->options.checkins_min)
        return "valid, but too few check-ins";
    if (!is_long_enough(census, victim))
        return "valid, but not seen for long enough";
    if (!holds_together(victim))
        return "seen for long, but fields of many check-ins don't agree";
    return "comes back, but never tries again at once as a bot without its controller does";
}

static enum census_class judge(const struct census *census, const struct victim *victim,
                               const char **ret_reason)
{
    const struct source *home;
    const bool grown = victim_is_grown(census, victim);
    if ((victim->flags & VICTIM_FAKE) != 0) {
        *ret_reason = "sends a check-in that is known as a fake";
        return CENSUS_HUNTER;
    }
    if (is_spread(census, victim)) {
        *ret_reason = "one id from more networks than a machine comes from";
        return CENSUS_HUNTER;
    }
    if (victim->machine_size > MACHINES_MAX) {
        *ret_reason = "one id, but ever other machines";
        return CENSUS_HUNTER;
    }
    *ret_reason = sources_speak_against(census, victim, grown, &home);
    if (*ret_reason != NULL)
        return CENSUS_HUNTER;
    if (is_of_a_laboratory(census, victim, home)) {
        *ret_reason = "from a network whose many ids are seen once each";
        return CENSUS_RESEARCHER;
    }
    if (victim->checkins == 0) {
        *ret_reason = "no valid check-in";
        return CENSUS_UNKNOWN;
    }
    if (!grown) {
        *ret_reason = why_only_likely(census, victim);
        return CENSUS_LIKELY;
    }
    *ret_reason = "valid check-ins of one machine over a long time";
    return CENSUS_PROVEN;
}

enum census_class victim_class(const struct census *census, const struct victim *victim,
                               const char **ret_reason)
{
    const char *reason;
    const enum census_class class = judge(census, victim, &reason);
    if (ret_reason != NULL)
        *ret_reason = reason;
    return class;
}

/* ---- Fresh and quiet ---- */

/* `ret_first`, `ret_last`: no epoch was before it, none after. */
static const struct census_epoch *epoch_of(const struct census *census, uint16_t number,
                                           bool *ret_first, bool *ret_last)
{
    const struct census_epoch *found = NULL;
    *ret_first = *ret_last = true;
    for (unsigned i = 0; i < census->epoch_count; i++) {
        const struct census_epoch *epoch = &census->epochs[i];
        if (epoch->number == number)
            found = epoch;
        else if (epoch->number < number)
            *ret_first = false;
        else
            *ret_last = false;
    }
    return found;
}

static int64_t quiet_us(const struct census *census)
{
    return (int64_t)census->options.quiet_s * SECOND_US;
}

bool victim_is_fresh_by(const struct census *census, const struct victim *victim, int64_t from_us,
                        int64_t to_us)
{
    bool first, last;
    if (victim->first_us < from_us || victim->first_us >= to_us)
        return false;
    const struct census_epoch *epoch = epoch_of(census, victim->epoch, &first, &last);
    /* Soon after a change of keys, most ids that are new are of machines that are not. */
    return epoch == NULL || first || victim->first_us >= epoch->first_us + quiet_us(census);
}

bool victim_is_quiet_by(const struct census *census, const struct victim *victim, int64_t from_us,
                        int64_t to_us)
{
    bool first, last;
    const int64_t at_us = victim->last_us + quiet_us(census);
    if (at_us < from_us || at_us >= to_us)
        return false;
    const struct census_epoch *epoch = epoch_of(census, victim->epoch, &first, &last);
    /* Ids that were still heard of when their epoch ended may go on under others. */
    return epoch == NULL || last || at_us <= epoch->last_us;
}
