#include "cli/parity.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct parity {
    const struct parity_options *options;
    const struct question_set *set;
    const size_t *indices;
    size_t count, next;
    bool waits; /* the source had no question at the moment */
    struct compare_rules rules;
    struct answer_arena *arena;
    struct parity_result *result;
};

static bool source_next(struct parity *parity, struct exchange_question *ret_question)
{
    const struct parity_source *source = parity->options->source;
    if (source == NULL)
        return false;
    *ret_question = (struct exchange_question){0};
    enum parity_next next = source->next(source->context, ret_question);
    parity->waits = next == PARITY_NONE_YET;
    if (next == PARITY_QUESTION)
        ret_question->mark = listing_find(parity->options->listing, ret_question->name);
    return next == PARITY_QUESTION;
}

static bool parity_waits(void *context)
{
    const struct parity *parity = context;
    return parity->waits;
}

static bool parity_next(void *context, struct exchange_question *ret_question)
{
    struct parity *parity = context;
    if (parity->next == parity->count)
        return source_next(parity, ret_question);
    size_t index = parity->indices != NULL ? parity->indices[parity->next] : parity->next;
    const struct question_entry *entry = &parity->set->entries[index];
    const uint8_t *name = question_set_name(parity->set, index);
    const struct order *listed = listing_find(parity->options->listing, name);
    *ret_question = (struct exchange_question){.name_size = (uint8_t)name_wire_size(name),
                                               .dnssec_ok = entry->dnssec_ok,
                                               .type = entry->type,
                                               .ordinal = index,
                                               .mark = listed};
    memcpy(ret_question->name, name, ret_question->name_size);
    parity->next++;
    return true;
}

/* The RCODE of the header; an extended one is none that is counted here. */
static int reply_rcode(const struct exchange_reply *reply)
{
    return reply->outcome == EXCHANGE_ANSWERED ? reply->octets[3] & 0xf : -1;
}

static void rcodes_count(struct parity_counts *counts,
                         const struct exchange_reply replies[EXCHANGE_SIDES])
{
    int front = reply_rcode(&replies[EXCHANGE_FRONT]),
        origin = reply_rcode(&replies[EXCHANGE_ORIGIN]);
    /* To a client silence is as bad. */
    counts->servfail += front == KNOT_RCODE_SERVFAIL || front < 0;
    counts->nxdomain += front == KNOT_RCODE_NXDOMAIN;
    counts->origin_servfail += origin == KNOT_RCODE_SERVFAIL || origin < 0;
    /* What a silent one would have said is not known: nothing to hold against the front. */
    counts->origin_nxdomain += (origin < 0 ? front : origin) == KNOT_RCODE_NXDOMAIN;
}

static void finding_keep(struct parity_result *result, const struct exchange_question *question,
                         const struct comparison *comparison)
{
    result->counts.by_kind[comparison->kind]++;
    if (result->finding_count == PARITY_FINDINGS_MAX)
        return;
    struct parity_finding *finding = &result->findings[result->finding_count++];
    memcpy(finding->name, question->name, question->name_size);
    finding->type = question->type;
    finding->dnssec_ok = question->dnssec_ok;
    finding->kind = comparison->kind;
    memcpy(finding->detail, comparison->detail, sizeof(finding->detail));
}

static bool has_silent(const struct exchange_reply replies[EXCHANGE_SIDES])
{
    return replies[EXCHANGE_FRONT].outcome != EXCHANGE_ANSWERED ||
           replies[EXCHANGE_ORIGIN].outcome != EXCHANGE_ANSWERED;
}

static bool parity_done(void *context, const struct exchange_question *question,
                        const struct exchange_reply replies[EXCHANGE_SIDES])
{
    struct parity *parity = context;
    struct parity_counts *counts = &parity->result->counts;
    struct comparison comparison;

    verdict_of_replies(parity->arena, &parity->rules, question, question->mark, replies,
                       &comparison);
    bool finding = comparison.kinds != 0;
    bool final = parity->options->silence_is_final && has_silent(replies);
    if (finding && question->round == 0 && !final)
        return true;

    counts->questions++;
    counts->since_different = finding ? 0 : counts->since_different + 1;
    counts->settled += !finding && question->round > 0;
    if (question->mark == NULL)
        rcodes_count(counts, replies);
    switch (comparison.result) {
    case COMPARISON_EQUAL:
        counts->equal++;
        break;
    case COMPARISON_BLOCKED:
    case COMPARISON_BLOCKED_ALIAS:
        counts->blocked++;
        break;
    case COMPARISON_DIFFERENT:
        counts->different++;
        finding_keep(parity->result, question, &comparison);
        break;
    case COMPARISON_NOT_COMPARABLE:
        counts->not_comparable++;
        finding_keep(parity->result, question, &comparison);
        break;
    }
    if (parity->options->judged != NULL)
        parity->options->judged(parity->options->context, question, &comparison);
    return false;
}

static bool parity_tick(void *context)
{
    struct parity *parity = context;
    if (parity->options->ticked != NULL)
        parity->options->ticked(parity->options->ticked_context, &parity->result->counts);
    if (parity->options->stopped == NULL || !parity->options->stopped())
        return true;
    parity->result->stopped = true;
    return false;
}

int parity_run(const struct parity_options *options, const struct question_set *set,
               const size_t *indices, size_t count, struct parity_result *ret_result,
               struct error *ret_error)
{
    _cleanup_(exchange_freep) struct exchange *exchange = NULL;
    _cleanup_(answer_arena_freep) struct answer_arena *arena = NULL;

    *ret_result = (struct parity_result){0};
    if (answer_arena_create(&arena) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = exchange_create(&options->exchange, &exchange, ret_error);
    if (rc < 0)
        return rc;
    struct parity parity = {.options = options,
                            .set = set,
                            .indices = indices,
                            .count = indices != NULL ? count : set->count,
                            .rules = {.ttl = TTL_DECREMENTED, .listing = options->listing},
                            .arena = arena,
                            .result = ret_result};
    const struct exchange_client client = {.context = &parity,
                                           .next = parity_next,
                                           .waits = parity_waits,
                                           .done = parity_done,
                                           .tick = parity_tick};
    rc = exchange_run(exchange, &client, ret_error);
    struct exchange_counts counts = exchange_counts(exchange);
    ret_result->counts.front_sent =
        counts.queries_sent[EXCHANGE_FRONT] + counts.over_tcp[EXCHANGE_FRONT];
    ret_result->counts.front_ms = (double)counts.rtt_us[EXCHANGE_FRONT] / 1e3;
    ret_result->counts.origin_ms = (double)counts.rtt_us[EXCHANGE_ORIGIN] / 1e3;
    return rc;
}

size_t *parity_sample(size_t total, size_t *count)
{
    if (*count > total)
        *count = total;
    size_t *drawn = calloc(*count + 1, sizeof(*drawn));
    if (drawn == NULL)
        return NULL;
    /* One in each of as many equal parts: all different, and spread over the whole. */
    for (size_t i = 0; i < *count; i++) {
        size_t begin = total * i / *count, end = total * (i + 1) / *count;
        drawn[i] = begin + randombytes_uniform((uint32_t)(end - begin));
    }
    return drawn;
}
