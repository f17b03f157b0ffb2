/* Answers to questions: every id with its verdict, and the figures of cuts. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sink/census_internal.h"

/* By how much the addresses of an id, which are counted linearly, may be told too low: an eighth.
 */
#define ADDRESS_ERROR_PART 8

/* ---- Every id ---- */

static void copy_word(const struct words *words, uint32_t number, char *ret_text, size_t size)
{
    snprintf(ret_text, size, "%s", words_text(words, number));
}

static void fill_event(const struct census *census, const struct victim *victim,
                       enum census_class class, struct sink_event *ret_event)
{
    const struct context *context = census_context(census, victim);
    *ret_event = (struct sink_event){
        .at_us = victim->last_us,
        .transport = context->transport,
        .kind = context->kind,
        .name_source = context->name_source,
        .in_tls = context->in_tls,
        .ipv6 = context->ipv6,
        .wellformed = victim->checkins > 0,
        .consistent = class == CENSUS_PROVEN,
        .fake = (victim->flags & VICTIM_FAKE) != 0,
        .epoch = victim->epoch,
        .client_port = victim->client_port,
        .local_port = victim->local_port,
        .asn = victim->asn,
        .has_victim = true,
    };
    memcpy(ret_event->client, victim->client, sizeof(victim->client));
    memcpy(ret_event->local, context->local, sizeof(context->local));
    memcpy(ret_event->victim, victim->id, sizeof(victim->id));
    memcpy(ret_event->country, victim->country, sizeof(victim->country));
    copy_word(&census->words, context->family, ret_event->family, sizeof(ret_event->family));
    copy_word(&census->words, context->rule, ret_event->rule, sizeof(ret_event->rule));
    copy_word(&census->words, context->version, ret_event->version, sizeof(ret_event->version));
    copy_word(&census->words, context->order, ret_event->order, sizeof(ret_event->order));
    copy_word(&census->words, victim->name, ret_event->name, sizeof(ret_event->name));
}

static void fill_entry(const struct census *census, const struct victim *victim,
                       struct sink_event *last, struct census_entry *ret_entry)
{
    const char *reason;
    const enum census_class class = victim_class(census, victim, &reason);
    fill_event(census, victim, class, last);
    *ret_entry = (struct census_entry){
        .epoch = victim->epoch,
        .family = last->family,
        .order = last->order,
        .name = last->name,
        .class = class,
        .reason = reason,
        .first_us = victim->first_us,
        .last_us = victim->last_us,
        .checkins = victim->checkins + UINT64_C(0) + victim->odd,
        .addresses = address_set_count(&victim->addresses, victim->address_size),
        .networks = network_set_count(&victim->networks, victim->network_size),
        .asn = victim->asn,
        .last = last,
    };
    memcpy(ret_entry->id, victim->id, sizeof(victim->id));
    memcpy(ret_entry->country, victim->country, sizeof(victim->country));
}

int census_each(const struct census *census, int64_t now_us, census_entry_fn *take, void *context)
{
    (void)now_us; /* the judgement rests on what was seen alone */
    for (uint32_t number = 0; number < census->victims.count; number++) {
        struct sink_event last;
        struct census_entry entry;
        fill_entry(census, victims_at(&census->victims, number), &last, &entry);
        int rc = take(context, &entry);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- What all cuts need ---- */

/* An address of proven victims, and how many had it last. */
struct behind {
    uint64_t tag;
    uint32_t count;
};

struct verdicts {
    uint8_t *classes; /* of each victim */
    struct behind *behind;
    uint64_t behind_mask;
    uint16_t epoch; /* the one that is counted */
};

static void verdicts_clear(struct verdicts *verdicts)
{
    free(verdicts->classes);
    free(verdicts->behind);
}

static struct behind *behind_at(const struct verdicts *verdicts, uint64_t tag)
{
    uint64_t at = tag & verdicts->behind_mask;
    while (verdicts->behind[at].tag != 0 && verdicts->behind[at].tag != tag)
        at = (at + 1) & verdicts->behind_mask;
    return &verdicts->behind[at];
}

static int count_behind(const struct census *census, uint64_t proven, struct verdicts *verdicts)
{
    uint64_t size = 16;
    while (size < 2 * proven)
        size *= 2;
    verdicts->behind = calloc(size, sizeof(*verdicts->behind));
    if (verdicts->behind == NULL)
        return -ENOMEM;
    verdicts->behind_mask = size - 1;
    for (uint32_t number = 0; number < census->victims.count; number++) {
        const struct victim *victim = victims_at(&census->victims, number);
        if (verdicts->classes[number] != CENSUS_PROVEN || victim->epoch != verdicts->epoch)
            continue;
        const uint64_t tag = source_tag(victim->client, victim->epoch);
        struct behind *behind = behind_at(verdicts, tag);
        behind->tag = tag;
        behind->count++;
    }
    return 0;
}

/* The epoch with most proven victims; of equals the newest. */
static uint64_t choose_epoch(const struct census *census, const uint64_t proven[EPOCHS_MAX],
                             struct verdicts *verdicts)
{
    uint64_t most = 0;
    uint16_t chosen = 0;
    for (unsigned i = 0; i < census->epoch_count; i++) {
        const struct census_epoch *epoch = &census->epochs[i];
        if (proven[i] > most || (proven[i] == most && epoch->number >= chosen)) {
            most = proven[i];
            chosen = epoch->number;
        }
    }
    verdicts->epoch = chosen;
    return most;
}

static int judge_all(const struct census *census, struct verdicts *ret_verdicts)
{
    struct verdicts verdicts = {.classes = malloc(census->victims.count + 1)};
    uint64_t proven[EPOCHS_MAX] = {0};
    if (verdicts.classes == NULL)
        return -ENOMEM;
    for (uint32_t number = 0; number < census->victims.count; number++) {
        const struct victim *victim = victims_at(&census->victims, number);
        verdicts.classes[number] = (uint8_t)victim_class(census, victim, NULL);
        if (verdicts.classes[number] != CENSUS_PROVEN)
            continue;
        for (unsigned i = 0; i < census->epoch_count; i++)
            proven[i] += census->epochs[i].number == victim->epoch;
    }
    int rc = count_behind(census, choose_epoch(census, proven, &verdicts), &verdicts);
    if (rc < 0) {
        verdicts_clear(&verdicts);
        return rc;
    }
    *ret_verdicts = verdicts;
    return 0;
}

/* ---- Cuts ---- */

/* Sums of a cut, beside what its row has counted. */
struct sums {
    struct census_figures figures;
    uint64_t address_days, days;
    const struct cut *cut;
};

struct asked {
    const struct census *census;
    enum census_by by;
    int64_t now_us;
    struct verdicts verdicts;
    struct sums *sums; /* by the number of the cut's row */
};

static struct sums *sums_of(const struct asked *asked, uint64_t of)
{
    const struct cut *cut = cuts_find(&asked->census->cuts, cut_key(asked->by, of));
    return cut == NULL ? NULL : &asked->sums[cut - asked->census->cuts.rows];
}

static uint64_t victim_key(const struct asked *asked, const struct victim *victim)
{
    const struct context *context = census_context(asked->census, victim);
    switch (asked->by) {
    case CENSUS_ORDER:
        return context->order;
    case CENSUS_FAMILY:
        return context->family;
    case CENSUS_ASN:
        return victim->asn;
    case CENSUS_COUNTRY:
        return country_key(victim->country);
    case CENSUS_NAME:
        return victim->name;
    case CENSUS_ALL:
    default:
        return 0;
    }
}

static void add_proven(const struct asked *asked, const struct victim *victim, struct sums *sums)
{
    const struct census *census = asked->census;
    const int64_t fresh_from_us = asked->now_us - (int64_t)census->options.quiet_s * SECOND_US;
    struct census_figures *figures = &sums->figures;
    figures->fresh += victim_is_fresh_by(census, victim, fresh_from_us, asked->now_us + 1);
    figures->quiet += victim_is_quiet_by(census, victim, INT64_MIN, asked->now_us + 1);
    figures->shared +=
        behind_at(&asked->verdicts, source_tag(victim->client, victim->epoch))->count > 1;
    sums->days += (uint64_t)__builtin_popcountll(victim->days);
    sums->address_days += address_set_count(&victim->addresses, victim->address_size);
}

static void add_victims(const struct asked *asked)
{
    const struct victims *victims = &asked->census->victims;
    for (uint32_t number = 0; number < victims->count; number++) {
        const struct victim *victim = victims_at(victims, number);
        if (victim->epoch != asked->verdicts.epoch)
            continue;
        struct sums *sums = sums_of(asked, victim_key(asked, victim));
        if (sums == NULL)
            continue;
        sums->figures.victims[asked->verdicts.classes[number]]++;
        if (asked->verdicts.classes[number] == CENSUS_PROVEN)
            add_proven(asked, victim, sums);
    }
}

static uint64_t source_key(const struct asked *asked, const struct source *source)
{
    switch (asked->by) {
    case CENSUS_ORDER:
        return source->order;
    case CENSUS_ASN:
        return source->asn;
    case CENSUS_COUNTRY:
        return country_key(source->country);
    case CENSUS_NAME:
        return source->name;
    case CENSUS_FAMILY: /* asked for ids alone: who has none speaks several, or none */
    case CENSUS_ALL:
    default:
        return 0;
    }
}

/* Addresses without ids. Those that have made room are known in the whole alone, where one that
 * came back must not count twice. */
static int add_sources(const struct asked *asked)
{
    const struct sources *sources = &asked->census->sources;
    struct memory_budget budget = {.max = SIZE_MAX};
    struct hyperloglog seen[CENSUS_CLASS_COUNT];
    uint64_t counts[CENSUS_CLASS_COUNT] = {0};
    int rc = 0;
    for (unsigned class = 0; class < CENSUS_CLASS_COUNT; class ++) {
        seen[class] = (struct hyperloglog){.precision = sources->gone[class].precision};
        if (rc == 0)
            rc = hyperloglog_merge(&seen[class], &sources->gone[class], &budget);
    }
    for (size_t row = 0; row < sources->row_count && rc == 0; row++) {
        const struct source *source = &sources->rows[row];
        if (source->tag == 0 || source->network == 0 || source->ids > 0)
            continue;
        const enum census_class class = source_class(source);
        counts[class]++;
        if (asked->by == CENSUS_ALL && sources->gone[class].count > 0)
            rc = hyperloglog_add(&seen[class], (uint32_t)source->tag, &budget);
        struct sums *sums = sums_of(asked, source_key(asked, source));
        if (sums != NULL)
            sums->figures.victims[class]++;
    }
    struct sums *all = asked->by == CENSUS_ALL ? sums_of(asked, 0) : NULL;
    for (unsigned class = 0; class < CENSUS_CLASS_COUNT; class ++) {
        const uint64_t known = hyperloglog_estimate(&seen[class]);
        if (all != NULL && known > counts[class])
            all->figures.victims[class] += known - counts[class];
        if (all != NULL)
            all->figures.victims[class] += asked->census->forgotten[class];
        hyperloglog_clear(&seen[class], &budget);
    }
    return rc;
}

/* ---- Giving them out ---- */

static int compare_sums(const void *one_pointer, const void *other_pointer)
{
    const struct sums *one = one_pointer, *other = other_pointer;
    const uint64_t proven_one = one->figures.victims[CENSUS_PROVEN];
    const uint64_t proven_other = other->figures.victims[CENSUS_PROVEN];
    if (proven_one != proven_other)
        return proven_one > proven_other ? -1 : 1;
    if (one->cut->events != other->cut->events)
        return one->cut->events > other->cut->events ? -1 : 1;
    return one->cut->key < other->cut->key ? -1 : 1;
}

static const char *key_text(const struct asked *asked, uint64_t of, char ret_text[static 16])
{
    switch (asked->by) {
    case CENSUS_ORDER:
    case CENSUS_FAMILY:
    case CENSUS_NAME:
        return words_text(&asked->census->words, (uint32_t)of);
    case CENSUS_ASN:
        snprintf(ret_text, 16, "%u", (unsigned)of);
        return ret_text;
    case CENSUS_COUNTRY:
        ret_text[0] = (char)(of >> 8);
        ret_text[1] = (char)of;
        ret_text[2] = '\0';
        return ret_text;
    case CENSUS_ALL:
    default:
        return "";
    }
}

/* The sketch still has the addresses of ids that looked proven once, hunters' among them. What the
 * proven victims have each is known, about; all of them have no more than that together. */
static uint64_t proven_addresses(const struct sums *sums)
{
    const uint64_t estimate = hyperloglog_estimate(&sums->cut->proven);
    const uint64_t together_max = sums->address_days + sums->address_days / ADDRESS_ERROR_PART;
    return estimate < together_max ? estimate : together_max;
}

static int give(const struct asked *asked, size_t count_max, census_cut_fn *take, void *context)
{
    const struct cuts *cuts = &asked->census->cuts;
    size_t count = 0;
    for (uint32_t number = 0; number < cuts->count; number++) {
        if (cuts->rows[number].key >> 56 != asked->by)
            continue;
        asked->sums[count] = asked->sums[number];
        asked->sums[count++].cut = &cuts->rows[number];
    }
    qsort(asked->sums, count, sizeof(*asked->sums), compare_sums);
    for (size_t i = 0; i < count && i < count_max; i++) {
        struct sums *sums = &asked->sums[i];
        char text[16];
        sums->figures.events = sums->cut->events;
        sums->figures.addresses = proven_addresses(sums);
        sums->figures.addresses_all = hyperloglog_estimate(&sums->cut->addresses);
        if (sums->days > 0)
            sums->figures.churn = (double)sums->address_days / (double)sums->days;
        int rc = take(context, key_text(asked, sums->cut->key & (UINT64_MAX >> 8), text),
                      &sums->figures);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int census_cuts(const struct census *census, int64_t now_us, enum census_by by, size_t count_max,
                census_cut_fn *take, void *context)
{
    struct asked asked = {.census = census, .by = by, .now_us = now_us};
    if (census->cuts.count == 0)
        return 0;
    asked.sums = calloc(census->cuts.count, sizeof(*asked.sums));
    if (asked.sums == NULL)
        return -ENOMEM;
    int rc = judge_all(census, &asked.verdicts);
    if (rc == 0) {
        add_victims(&asked);
        rc = by == CENSUS_FAMILY ? 0 : add_sources(&asked);
        if (rc == 0)
            rc = give(&asked, count_max, take, context);
        verdicts_clear(&asked.verdicts);
    }
    free(asked.sums);
    return rc;
}
