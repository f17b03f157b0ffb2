/* Taking events in: each is counted in its cuts, at its source, and, with an id, at its victim. */
#include "sink/census.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "base/octets.h"
#include "sink/census_internal.h"

const char *const census_class_names[CENSUS_CLASS_COUNT] = {
    [CENSUS_UNKNOWN] = "unknown",   [CENSUS_PROVEN] = "proven",
    [CENSUS_LIKELY] = "likely",     [CENSUS_HUNTER] = "hunter",
    [CENSUS_SCANNER] = "scanner",   [CENSUS_RESEARCHER] = "researcher",
    [CENSUS_RESOLVER] = "resolver",
};

const struct census_options census_defaults = {
    .persistence_s = 24 * 3600,
    .checkins_min = 3,
    .networks_max = 8,
    .ids_per_address_max = 8,
    .quiet_s = 7 * 24 * 3600,
    .memory_max = (size_t)512 << 20,
};

/* A silence that ends a session. Bots retry within seconds to minutes. */
#define SESSION_GAP_US HOUR_US

/* Clocks of two machines differ by less, also where one of them takes its local time for UTC. */
#define EVENT_AHEAD_US DAY_US

/* Seen again after this part of the persistence, an id has come back. */
#define RETURN_PART 4

/* Of the memory, for addresses and networks. */
#define SOURCES_PART 4

/* Ids of one address that wait for their return, of which none more is taken: a hunter that makes
 * ids up can't fill the memory. Behind a NAT there is room again as they return. */
#define UNRETURNED_MAX 1024

/* The same of one network: whoever has a /48 has more addresses than there is memory for. */
#define UNRETURNED_OF_NETWORK_MAX (16 * UNRETURNED_MAX)

struct census *census_create(const struct census_options *options)
{
    struct census *census = calloc(1, sizeof(*census));
    if (census == NULL)
        return NULL;
    census->options = *options;
    census->event_us_max = INT64_MAX;
    census->budget = (struct memory_budget){.used = sizeof(*census), .max = options->memory_max};
    if (census->budget.max < census->budget.used)
        census->budget.max = census->budget.used;
    census->return_us = (int64_t)options->persistence_s * SECOND_US / RETURN_PART;
    census->sources.rows_max = options->memory_max / SOURCES_PART / sizeof(struct source);
    census->sources.ids_per_address_max = options->ids_per_address_max;
    for (unsigned class = 0; class < CENSUS_CLASS_COUNT; class ++)
        census->sources.gone[class].precision = 12;
    return census;
}

void census_free(struct census *census)
{
    if (census == NULL)
        return;
    words_free(&census->words, &census->budget);
    words_free(&census->contexts, &census->budget);
    victims_free(&census->victims, &census->budget);
    sources_free(&census->sources, &census->budget);
    cuts_free(&census->cuts, &census->budget);
    free(census);
}

size_t census_memory(const struct census *census)
{
    return census->budget.used;
}

void census_set_now(struct census *census, int64_t now_us)
{
    census->event_us_max = now_us + EVENT_AHEAD_US;
}

static void note_epoch(struct census *census, uint16_t number, int64_t at_us)
{
    for (unsigned i = census->epoch_count; i-- > 0;) {
        struct census_epoch *epoch = &census->epochs[i];
        if (epoch->number == number) {
            if (at_us < epoch->first_us)
                epoch->first_us = at_us;
            if (at_us > epoch->last_us)
                epoch->last_us = at_us;
            return;
        }
    }
    if (census->epoch_count == EPOCHS_MAX) /* the oldest came first */
        memmove(census->epochs, census->epochs + 1,
                --census->epoch_count * sizeof(census->epochs[0]));
    census->epochs[census->epoch_count++] =
        (struct census_epoch){.number = number, .first_us = at_us, .last_us = at_us};
}

static void note_time(struct census *census, const struct sink_event *event)
{
    if (census->first_us == 0 || event->at_us < census->first_us)
        census->first_us = event->at_us;
    if (event->at_us > census->newest_us)
        census->newest_us = event->at_us;
    note_epoch(census, event->epoch, event->at_us);
}

/* ---- Cuts ---- */

#define CUTS_PER_EVENT 6

/* What the feeding of one event has found out. */
struct feeding {
    struct census *census;
    const struct sink_event *event;
    uint64_t tag, network_tag;
    uint32_t order, family, name; /* words */
    uint64_t keys[CUTS_PER_EVENT];
};

static bool is_valid(const struct sink_event *event)
{
    return event->kind == SINK_CHECKIN && event->wellformed && event->consistent && !event->fake;
}

static int intern(struct feeding *feeding)
{
    struct census *census = feeding->census;
    const struct sink_event *event = feeding->event;
    feeding->order = words_put_text(&census->words, event->order, &census->budget);
    feeding->family = words_put_text(&census->words, event->family, &census->budget);
    feeding->name = words_put_text(&census->words, event->name, &census->budget);
    if (feeding->order == WORD_NONE || feeding->family == WORD_NONE || feeding->name == WORD_NONE)
        return -ENOMEM;
    const uint64_t keys[CUTS_PER_EVENT] = {
        cut_key(CENSUS_ALL, 0),
        cut_key(CENSUS_ORDER, feeding->order),
        cut_key(CENSUS_FAMILY, feeding->family),
        cut_key(CENSUS_ASN, event->asn),
        cut_key(CENSUS_COUNTRY, country_key(event->country)),
        cut_key(CENSUS_NAME, feeding->name),
    };
    memcpy(feeding->keys, keys, sizeof(keys));
    return 0;
}

static int count_in_cuts(const struct feeding *feeding)
{
    struct census *census = feeding->census;
    int rc = 0;
    for (unsigned i = 0; i < CUTS_PER_EVENT; i++) {
        struct cut *cut = cuts_touch(&census->cuts, feeding->keys[i], &census->budget);
        if (cut == NULL) {
            rc = -ENOMEM;
            continue;
        }
        cut->events++;
        if (hyperloglog_add(&cut->addresses, (uint32_t)feeding->tag, &census->budget) < 0)
            rc = -ENOMEM;
    }
    return rc;
}

static int count_proven_address(const struct feeding *feeding, uint32_t tag)
{
    struct census *census = feeding->census;
    int rc = 0;
    for (unsigned i = 0; i < CUTS_PER_EVENT; i++) {
        struct cut *cut = cuts_find(&census->cuts, feeding->keys[i]);
        if (cut == NULL || hyperloglog_add(&cut->proven, tag, &census->budget) < 0)
            rc = -ENOMEM;
    }
    return rc;
}

/* A ring of the last steps. */
static int count_in_step(struct census *census, unsigned by, uint64_t of, int64_t step,
                         uint32_t tag)
{
    struct cut *cut = cuts_touch(
        &census->cuts, cut_key(by, of << 8 | (uint64_t)step % CENSUS_STEPS_MAX), &census->budget);
    if (cut == NULL)
        return -ENOMEM;
    if (step < cut->step) /* a late event, from before what the ring holds */
        return 0;
    if (step > cut->step) {
        hyperloglog_clear(&cut->addresses, &census->budget);
        cut->step = step;
    }
    return hyperloglog_add(&cut->addresses, tag, &census->budget);
}

static int count_in_steps(const struct feeding *feeding)
{
    struct census *census = feeding->census;
    const uint64_t orders[] = {0, (uint64_t)feeding->order + 1}; /* 0: all */
    int rc = 0;
    for (unsigned i = 0; i < 2; i++) {
        if (count_in_step(census, CUT_DAY, orders[i], feeding->event->at_us / DAY_US,
                          (uint32_t)feeding->tag) < 0)
            rc = -ENOMEM;
        if (count_in_step(census, CUT_HOUR, orders[i], feeding->event->at_us / HOUR_US,
                          (uint32_t)feeding->tag) < 0)
            rc = -ENOMEM;
    }
    return rc;
}

/* ---- Sources ---- */

static bool is_probe(unsigned kind)
{
    return kind == SINK_HTTP_SCAN || kind == SINK_SSH || kind == SINK_SMB || kind == SINK_RDP ||
           kind == SINK_PROBE;
}

static void count_at_source(const struct feeding *feeding, struct source *source)
{
    const struct sink_event *event = feeding->event;
    source->network = feeding->network_tag;
    source->asn = event->asn;
    source->order = feeding->order;
    source->name = feeding->name;
    memcpy(source->country, event->country, sizeof(source->country));
    if (event->at_us > source->last_us)
        source->last_us = event->at_us;
    source->kinds |= (uint16_t)(1u << event->kind);
    source->ports |= (uint8_t)(1u << (event->local_port * 0x9e3779b1u >> 29));
    source->probes += is_probe(event->kind);
    if (event->kind == SINK_CHECKIN) {
        source->checkins += is_valid(event);
        source->families |= (uint8_t)(1u << (feeding->family % 8));
    }
}

/* A known id at a new address makes no row: addresses that change are most of all, and tell least.
 */
static int note_source(const struct feeding *feeding, bool is_known_id)
{
    struct census *census = feeding->census;
    struct source *source = is_known_id
                                ? sources_find(&census->sources, feeding->tag)
                                : sources_touch(&census->sources, feeding->tag, &census->budget);
    if (source != NULL)
        count_at_source(feeding, source);
    return source == NULL && !is_known_id ? -ENOMEM : 0;
}

/* Counts a new id at its home and at its network. */
static int note_home(const struct feeding *feeding)
{
    struct census *census = feeding->census;
    struct source *source = sources_find(&census->sources, feeding->tag);
    if (source != NULL)
        source->ids++;
    struct source *network = sources_touch(&census->sources, feeding->network_tag, &census->budget);
    if (network == NULL)
        return -ENOMEM;
    network->ids++;
    if (feeding->event->at_us > network->last_us)
        network->last_us = feeding->event->at_us;
    return 0;
}

/* Rows that made room since may have come again without the id. */
static void count_return(struct source *source)
{
    if (source != NULL && source->returned < source->ids)
        source->returned++;
}

static void note_return(struct census *census, struct victim *victim)
{
    victim->flags |= VICTIM_RETURNED;
    struct source *home = sources_find(&census->sources, victim->home);
    if (home == NULL)
        return;
    count_return(home);
    count_return(sources_find(&census->sources, home->network));
}

/* ---- Victims ---- */

/* Moves a register on by `by` steps, or marks a step that is behind (by < 0). */
static uint64_t step_on(uint64_t steps, int64_t by)
{
    if (by >= 0)
        return (by >= CENSUS_STEPS_MAX ? 0 : steps << by) | 1;
    return -by >= CENSUS_STEPS_MAX ? steps : steps | UINT64_C(1) << -by;
}

static void note_when(struct victim *victim, int64_t at_us)
{
    if (victim->sessions == 0) {
        victim->first_us = victim->last_us = at_us;
        victim->sessions = 1;
    }
    victim->days = step_on(victim->days, at_us / DAY_US - victim->last_us / DAY_US);
    victim->hours = step_on(victim->hours, at_us / HOUR_US - victim->last_us / HOUR_US);
    if (at_us - victim->last_us > SESSION_GAP_US && victim->sessions < UINT16_MAX)
        victim->sessions++;
    if (at_us < victim->first_us)
        victim->first_us = at_us;
    if (at_us > victim->last_us)
        victim->last_us = at_us;
}

static void note_networks(struct victim *victim, const struct feeding *feeding)
{
    const uint16_t tag = (uint16_t)feeding->network_tag;
    const uint16_t today = (uint16_t)(feeding->event->at_us / DAY_US);
    network_set_add(&victim->networks, &victim->network_size, tag);
    if (today < victim->today) /* late: the day is over */
        return;
    if (today > victim->today) {
        victim->networks_today = (union network_set){.bits = 0};
        victim->today_size = 0;
        victim->today = today;
    }
    network_set_add(&victim->networks_today, &victim->today_size, tag);
    const unsigned count = network_set_count(&victim->networks_today, victim->today_size);
    if (count > victim->day_networks_max)
        victim->day_networks_max = (uint8_t)(count > UINT8_MAX ? UINT8_MAX : count);
}

static uint32_t put_context(const struct feeding *feeding)
{
    struct census *census = feeding->census;
    const struct sink_event *event = feeding->event;
    const bool crowded = census->contexts.count >= CONTEXTS_MAX;
    struct context context = {
        .order = feeding->order,
        .family = feeding->family,
        .rule = words_put_text(&census->words, crowded ? "" : event->rule, &census->budget),
        .version = words_put_text(&census->words, crowded ? "" : event->version, &census->budget),
        .transport = event->transport,
        .kind = event->kind,
        .name_source = event->name_source,
        .ipv6 = event->ipv6,
        .in_tls = event->in_tls,
    };
    memcpy(context.local, event->local, sizeof(context.local));
    if (context.rule == WORD_NONE || context.version == WORD_NONE)
        return WORD_NONE;
    return words_put(&census->contexts, &context, sizeof(context), &census->budget);
}

static int note_last(struct victim *victim, const struct feeding *feeding)
{
    const struct sink_event *event = feeding->event;
    const uint32_t context = put_context(feeding);
    if (context == WORD_NONE)
        return -ENOMEM;
    victim->context = context;
    memcpy(victim->client, event->client, sizeof(victim->client));
    memcpy(victim->country, event->country, sizeof(victim->country));
    victim->client_port = event->client_port;
    victim->local_port = event->local_port;
    victim->asn = event->asn;
    victim->name = feeding->name;
    return 0;
}

static void note_checkin(struct victim *victim, const struct sink_event *event)
{
    if (event->fake)
        victim->flags |= VICTIM_FAKE;
    if (event->has_machine) {
        uint16_t tag;
        memcpy(&tag, event->machine, sizeof(tag));
        network_set_add(&victim->machines, &victim->machine_size, tag);
    }
    if (is_valid(event))
        victim->checkins += victim->checkins < UINT32_MAX;
    else if (event->kind == SINK_CHECKIN && victim->odd < UINT16_MAX)
        victim->odd++;
}

/* The addresses of an id go to the sketches once it looks proven, the few from before with it. */
static int note_address(struct victim *victim, const struct feeding *feeding)
{
    const bool maybe_new =
        address_set_add(&victim->addresses, &victim->address_size, (uint32_t)feeding->tag);
    if ((victim->flags & VICTIM_GROWN) != 0)
        return maybe_new ? count_proven_address(feeding, (uint32_t)feeding->tag) : 0;
    if (!victim_is_grown(feeding->census, victim))
        return 0;
    victim->flags |= VICTIM_GROWN;
    int rc = count_proven_address(feeding, (uint32_t)feeding->tag);
    for (unsigned i = 0; i < victim->address_size && victim->address_size < SET_IS_BITS; i++) {
        if (count_proven_address(feeding, victim->addresses.tags[i]) < 0)
            rc = -ENOMEM;
    }
    return rc;
}

/* Ids that never came back within the time that proves a victim make room. */
static bool is_kept(void *context, const struct victim *victim)
{
    struct census *census = context;
    if ((victim->flags & VICTIM_RETURNED) != 0 ||
        census->newest_us - victim->last_us < (int64_t)census->options.persistence_s * SECOND_US)
        return true;
    census->forgotten[victim_class(census, victim, NULL)]++;
    return false;
}

/* A look at all ids for each that finds no room would take ages: those to make room for are old,
 * and there are more of them after a while. */
static bool make_room(struct census *census)
{
    if (census->swept_us != 0 && census->newest_us - census->swept_us < census->return_us)
        return false;
    census->swept_us = census->newest_us;
    return victims_sweep(&census->victims, is_kept, census, &census->budget) > 0;
}

/* Whether the address or its network has too many ids that didn't return. */
static bool is_crowded(const struct feeding *feeding)
{
    const struct sources *sources = &feeding->census->sources;
    const struct source *source = sources_find(sources, feeding->tag);
    const struct source *network = sources_find(sources, feeding->network_tag);
    return (source != NULL && source_unreturned(source) >= UNRETURNED_MAX) ||
           (network != NULL && source_unreturned(network) >= UNRETURNED_OF_NETWORK_MAX);
}

/* NULL with 0: the source has too many of them. */
static int add_victim(const struct feeding *feeding, struct victim **ret_victim)
{
    struct census *census = feeding->census;
    const struct sink_event *event = feeding->event;
    if (is_crowded(feeding)) {
        *ret_victim = NULL;
        return 0;
    }
    struct victim *victim = victims_add(&census->victims, event->victim, &census->budget);
    if (victim == NULL && make_room(census))
        victim = victims_add(&census->victims, event->victim, &census->budget);
    if (victim == NULL)
        return -ENOMEM;
    victim->home = feeding->tag;
    victim->epoch = event->epoch;
    *ret_victim = victim;
    return note_home(feeding);
}

static int feed_victim(const struct feeding *feeding, struct victim *victim)
{
    struct census *census = feeding->census;
    const struct sink_event *event = feeding->event;
    int rc = 0;
    const bool newest = victim->sessions == 0 || event->at_us >= victim->last_us;
    if (newest)
        rc = note_last(victim, feeding);
    note_when(victim, event->at_us);
    note_networks(victim, feeding);
    note_checkin(victim, event);
    if ((victim->flags & VICTIM_RETURNED) == 0 &&
        victim->last_us - victim->first_us >= census->return_us)
        note_return(census, victim);
    int rc_address = note_address(victim, feeding);
    return rc < 0 ? rc : rc_address;
}

static bool is_of_victim(const struct sink_event *event)
{
    return event->has_victim && (event->kind == SINK_CHECKIN || event->kind == SINK_BEACON);
}

int census_feed(struct census *census, const struct sink_event *event)
{
    struct feeding feeding = {.census = census,
                              .event = event,
                              .tag = source_tag(event->client, event->epoch),
                              .network_tag = source_network_tag(event->network, event->epoch)};
    if (event->at_us > census->event_us_max)
        return -ERANGE;
    note_time(census, event);
    int rc = intern(&feeding);
    if (rc < 0)
        return rc;
    rc = count_in_cuts(&feeding);

    struct victim *victim = NULL;
    if (is_of_victim(event))
        victim = victims_find(&census->victims, event->victim);
    if (note_source(&feeding, victim != NULL) < 0)
        rc = -ENOMEM;
    if (!is_of_victim(event))
        return rc;
    if (is_valid(event) && count_in_steps(&feeding) < 0)
        rc = -ENOMEM;
    if (victim == NULL) {
        int rc_add = add_victim(&feeding, &victim);
        if (rc_add < 0)
            rc = rc_add;
        if (victim == NULL)
            return rc;
    }
    int rc_victim = feed_victim(&feeding, victim);
    return rc_victim < 0 ? rc_victim : rc;
}
