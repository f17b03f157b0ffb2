/* The life of a question: whom it waits for, what it is answered with. */
#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "front/forwarder_internal.h"

static const struct forward_outcome unreachable = {.ede_code = KNOT_EDNS_EDE_NREACH_AUTH};
static const struct forward_outcome unusable = {.ede_code = KNOT_EDNS_EDE_NETWORK};
static const struct forward_outcome over_unseen = {
    .ede_code = KNOT_EDNS_EDE_OTHER,
    .ede_text = "too many names never seen before are asked for now"};
static const struct forward_outcome over_bound = {
    .ede_code = KNOT_EDNS_EDE_OTHER, .ede_text = "too many questions wait for the origin"};
static const struct forward_outcome no_zone = {.ede_code = KNOT_EDNS_EDE_NOT_READY};

/* ---- Clients ---- */

void forward_job_free(struct forwarder *forwarder, struct forward_job *job)
{
    atomic_fetch_sub_explicit(&forwarder->waiting_octets, job->octets, memory_order_relaxed);
    free(job);
}

static void answer_client(struct forward_thread *thread, struct forward_job *job,
                          const struct forward_outcome *outcome)
{
    struct forwarder *forwarder = thread->forwarder;
    if (job->has_request)
        forwarder->options.answer(forwarder->options.context, thread->index, job->data,
                                  job->data + job->request_at, job->request_size, outcome);
    forward_job_free(forwarder, job);
}

/* Answers all who wait for a question, and counts each of them. */
static void answer_waiters(struct forward_thread *thread, struct inquiry *inquiry,
                           const struct forward_outcome *outcome, uint64_t *counter)
{
    struct forward_job *job = inquiry->waiters;
    inquiry->waiters = NULL;
    inquiry->waiter_count = 0;
    while (job != NULL) {
        struct forward_job *next = job->next;
        forward_count(counter);
        answer_client(thread, job, outcome);
        job = next;
    }
}

/* ---- What is stale ---- */

/* The name is read into `name`, unless it is that which was last. */
static struct cache_key key_of(const struct inquiry *inquiry, struct name *name)
{
    if (name->size != inquiry->name_size ||
        memcmp(name->wire, inquiry->name, inquiry->name_size) != 0)
        (void)name_parse(name, inquiry->name, inquiry->name_size);
    return (struct cache_key){.name = name,
                              .type = inquiry->type,
                              .dnssec_ok = inquiry->dnssec_ok,
                              .checking_disabled = inquiry->checking_disabled};
}

/* What is kept may be used although it has expired, or was kept anew meanwhile. */
static bool find_usable(const struct forward_thread *thread, const struct cache_key *key,
                        struct cached_answer *ret_answer)
{
    return cache_find(thread->forwarder->options.cache, key, ret_answer) &&
           thread->now < ret_answer->stale_until;
}

/* What is usable instead, when the alternative is a failure. CD means nothing to a server with
 * authority (RFC 4035, 3.1.6), so either answer is the other's. Without signatures, what is kept
 * serves everyone but who validates a signed zone, and they are no worse off than with SERVFAIL;
 * the other way round, who did not ask for signatures gets none (RFC 4035, 3.1). */
static bool find_substitute(const struct forward_thread *thread, const struct cache_key *asked,
                            struct cached_answer *ret_answer)
{
    struct cache_key key = *asked;
    unsigned forms = asked->dnssec_ok ? 2 : 1; /* as asked; without signatures */
    for (unsigned form = 0; form < forms; form++) {
        key.dnssec_ok = asked->dnssec_ok && form == 0;
        for (unsigned flip = 0; flip < 2; flip++) {
            key.checking_disabled = asked->checking_disabled ^ flip;
            if (find_usable(thread, &key, ret_answer))
                return true;
        }
    }
    return false;
}

static struct forward_outcome outcome_of(const struct forward_thread *thread,
                                         const struct cached_answer *answer)
{
    struct forward_outcome outcome = {.answer = answer, .ede_code = -1};
    if (thread->now >= answer->expires_at)
        outcome.ede_code =
            answer->rcode == KNOT_RCODE_NXDOMAIN ? KNOT_EDNS_EDE_STALE_NXD : KNOT_EDNS_EDE_STALE;
    return outcome;
}

/* Answers who waits from what is kept; false: there is nothing. */
static bool answer_stale(struct forward_thread *thread, struct inquiry *inquiry)
{
    struct cached_answer answer;
    const struct cache_key key = key_of(inquiry, &thread->name);
    if (inquiry->has_subnet || !find_substitute(thread, &key, &answer))
        return false;
    const struct forward_outcome outcome = outcome_of(thread, &answer);
    answer_waiters(thread, inquiry, &outcome, &thread->counters.stale);
    return true;
}

void inquiry_timer_due(void *context, struct wheel_timer *timer)
{
    struct forward_thread *thread = context;
    struct inquiry *inquiry = (struct inquiry *)((char *)timer - offsetof(struct inquiry, timer));
    inquiry->is_late = true;
    (void)answer_stale(thread, inquiry); /* the query goes on, for the cache */
}

/* ---- The end ---- */

static void inquiry_free(struct forward_thread *thread, struct inquiry *inquiry)
{
    wheel_timer_unset(&thread->wheel, &inquiry->timer);
    *inquiry->previous = inquiry->next;
    if (inquiry->next != NULL)
        inquiry->next->previous = inquiry->previous;
    if (inquiry->is_unseen) {
        thread->unseen_count--;
        if (inquiry->zone != NULL)
            inquiry->zone->unseen--;
    }
    __atomic_store_n(&thread->inquiry_count, thread->inquiry_count - 1, __ATOMIC_RELAXED);
    free(inquiry);
}

/* Who still waits gets what is kept; else the failure. */
static void inquiry_fail(struct forward_thread *thread, struct inquiry *inquiry,
                         const struct forward_outcome *failure)
{
    if (inquiry->waiters != NULL && !answer_stale(thread, inquiry))
        answer_waiters(thread, inquiry, failure, &thread->counters.failed);
    inquiry_free(thread, inquiry);
}

/* Keeps what the message says of other names than its own, and has the zone's keys asked for when
 * they are needed. */
static void learn_denials(struct forward_thread *thread, const struct inquiry *inquiry,
                          const struct cache_key *key, const uint8_t *message, size_t size)
{
    struct forwarder *forwarder = thread->forwarder;
    const struct forward_plan_zone *plan = inquiry->zone->plan;
    const struct denial_zone_option zone = {.apex = &plan->apex, .origin = plan->origin};
    const bool is_positive = knot_wire_get_ancount(message) > 0;
    if (!plan->uses_denials || inquiry->has_subnet ||
        (is_positive && !inquiry->dnssec_ok && !inquiry->asks_dnssec) ||
        !denial_learn(forwarder->options.denials, thread->denial_reader, &zone, key, thread->now,
                      message, size))
        return;
    const struct forward_question keys = {
        .key = {.name = &plan->apex, .type = KNOT_RRTYPE_DNSKEY, .dnssec_ok = true},
        .apex = &plan->apex,
    };
    (void)forwarder_submit(forwarder, &keys);
}

static void inquiry_answered(struct forward_thread *thread, struct inquiry *inquiry,
                             const uint8_t *message, size_t size)
{
    struct cached_answer answer;
    const struct message_question question = {
        .key = key_of(inquiry, &thread->name),
        .zone = &inquiry->zone->plan->apex,
        .now = thread->now,
        .stale_s = inquiry->zone->plan->stale_s,
        .leaves_out_dnssec = inquiry->asks_dnssec,
    };
    const enum message_verdict verdict =
        cached_message_read(thread->message, &question, message, size, &answer);
    if (verdict != MESSAGE_ANSWER) {
        const struct forward_outcome failure = {.ede_code = KNOT_EDNS_EDE_NETWORK,
                                                .ede_text = message_verdict_text(verdict)};
        inquiry_fail(thread, inquiry, &failure);
        return;
    }
    if (!inquiry->has_subnet)
        cache_put(thread->forwarder->options.cache, &question.key, &answer);
    learn_denials(thread, inquiry, &question.key, message, size);
    if (inquiry->waiters == NULL)
        forward_count(&thread->counters.refreshed);
    /* What must not be kept is right for those who have waited, with the TTLs that it came with. */
    if (answer.expires_at <= answer.stored_at)
        answer.expires_at = answer.stored_at + 1;
    const struct forward_outcome outcome = {.answer = &answer, .ede_code = -1};
    answer_waiters(thread, inquiry, &outcome, &thread->counters.answered);
    inquiry_free(thread, inquiry);
}

/* ---- Asking ---- */

static void inquiry_ask(struct forward_thread *thread, struct inquiry *inquiry);

static void asked(void *context, int code, const uint8_t *message, size_t size)
{
    struct inquiry *inquiry = context;
    struct forward_thread *thread = inquiry->thread;
    if (code == 0 && inquiry->zone != NULL)
        inquiry_answered(thread, inquiry, message, size);
    else if (code == -ECANCELED && inquiry->zone != NULL && !thread->is_draining)
        inquiry_ask(thread, inquiry); /* the zone has other servers now */
    else
        inquiry_fail(thread, inquiry, code == -EREMOTEIO ? &unusable : &unreachable);
}

static void inquiry_ask(struct forward_thread *thread, struct inquiry *inquiry)
{
    const struct cache_key key = key_of(inquiry, &thread->name);
    const struct origin_question question = {
        .name = key.name,
        .type = key.type,
        .dnssec_ok = key.dnssec_ok || inquiry->asks_dnssec,
        .checking_disabled = key.checking_disabled,
        .client_subnet = inquiry->has_subnet ? inquiry->subnet : NULL,
        .client_subnet_size = inquiry->subnet_size,
        .done = asked,
        .context = inquiry,
    };
    const int rc = origin_ask(inquiry->zone->group, &question);
    if (rc == 0)
        forward_count(&thread->counters.asked);
    else
        inquiry_fail(thread, inquiry, rc == -EBUSY ? &over_bound : &unreachable);
}

/* ---- Who comes ---- */

static uint64_t question_hash(const struct forward_job *job, const struct name *name)
{
    uint64_t hash = name->hashes[0] ^ (uint64_t)job->type << 3 ^ (uint64_t)job->dnssec_ok << 2 ^
                    (uint64_t)job->checking_disabled << 1 ^ job->has_subnet;
    return hash * UINT64_C(0x9E3779B97F4A7C15);
}

static const uint8_t *job_name(const struct forward_job *job)
{
    return job->data + job->route_at + job->apex_size;
}

static const uint8_t *job_subnet(const struct forward_job *job)
{
    return job_name(job) + job->name_size;
}

static bool is_same(const struct inquiry *inquiry, const struct forward_job *job, uint64_t hash,
                    const struct name *name)
{
    return inquiry->hash == hash && inquiry->type == job->type &&
           inquiry->dnssec_ok == job->dnssec_ok &&
           inquiry->checking_disabled == job->checking_disabled &&
           inquiry->has_subnet == job->has_subnet && inquiry->subnet_size == job->subnet_size &&
           memcmp(inquiry->subnet, job_subnet(job), job->subnet_size) == 0 &&
           inquiry->name_size == name->size && memcmp(inquiry->name, name->wire, name->size) == 0;
}

static struct inquiry **bucket_of(struct forward_thread *thread, uint64_t hash)
{
    return &thread->buckets[hash >> 32 & (BUCKETS - 1)];
}

static struct inquiry *find_inquiry(struct forward_thread *thread, const struct forward_job *job,
                                    uint64_t hash)
{
    struct inquiry *inquiry = *bucket_of(thread, hash);
    while (inquiry != NULL && !is_same(inquiry, job, hash, &thread->name))
        inquiry = inquiry->next;
    return inquiry;
}

static struct inquiry *inquiry_create(struct forward_thread *thread, struct thread_zone *zone,
                                      const struct forward_job *job, uint64_t hash, bool is_unseen)
{
    struct inquiry *inquiry = malloc(sizeof(*inquiry));
    if (inquiry == NULL)
        return NULL;
    *inquiry = (struct inquiry){
        .thread = thread,
        .zone = zone,
        .timer = {.due = inquiry_timer_due},
        .hash = hash,
        .type = job->type,
        .name_size = thread->name.size,
        .subnet_size = job->subnet_size,
        .dnssec_ok = job->dnssec_ok,
        .checking_disabled = job->checking_disabled,
        .has_subnet = job->has_subnet,
        .is_unseen = is_unseen,
        .asks_dnssec =
            is_unseen && !job->dnssec_ok && !job->has_subnet &&
            denial_wants_dnssec(thread->forwarder->options.denials, &zone->plan->apex, job->type),
    };
    memcpy(inquiry->name, thread->name.wire, thread->name.size);
    memcpy(inquiry->subnet, job_subnet(job), job->subnet_size);
    struct inquiry **bucket = bucket_of(thread, hash);
    inquiry->next = *bucket;
    inquiry->previous = bucket;
    if (inquiry->next != NULL)
        inquiry->next->previous = &inquiry->next;
    *bucket = inquiry;
    __atomic_store_n(&thread->inquiry_count, thread->inquiry_count + 1, __ATOMIC_RELAXED);
    wheel_timer_set(&thread->wheel, &inquiry->timer, thread->now_ms + CLIENT_RESPONSE_MS);
    return inquiry;
}

static void refuse(struct forward_thread *thread, struct forward_job *job,
                   const struct forward_outcome *outcome, uint64_t *counter)
{
    forward_count(counter);
    answer_client(thread, job, outcome);
}

/* Has a client wait for a question in flight. */
static void inquiry_join(struct forward_thread *thread, struct inquiry *inquiry,
                         struct forward_job *job)
{
    if (inquiry->waiter_count == WAITERS_MAX) {
        refuse(thread, job, &over_bound, &thread->counters.over_bound);
        return;
    }
    job->next = inquiry->waiters;
    inquiry->waiters = job;
    inquiry->waiter_count++;
    if (inquiry->is_late)
        (void)answer_stale(thread, inquiry);
}

/* A question that is not in flight, and to which nothing fresh is kept. */
static void inquiry_open(struct forward_thread *thread, struct thread_zone *zone,
                         struct forward_job *job, uint64_t hash, bool is_kept)
{
    if (thread->inquiry_count >= INQUIRIES_MAX) {
        refuse(thread, job, &over_bound, &thread->counters.over_bound);
        return;
    }
    const bool is_unseen =
        !is_kept && !cache_knows(thread->forwarder->options.cache, &thread->name);
    if (is_unseen && !thread_zone_admits(thread, zone)) {
        refuse(thread, job, &over_unseen, &thread->counters.over_unseen);
        return;
    }
    struct inquiry *inquiry = inquiry_create(thread, zone, job, hash, is_unseen);
    if (inquiry == NULL) {
        if (is_unseen) {
            zone->unseen--;
            thread->unseen_count--;
        }
        refuse(thread, job, &over_bound, &thread->counters.over_bound);
        return;
    }
    if (job->has_request)
        inquiry_join(thread, inquiry, job);
    else
        forward_job_free(thread->forwarder, job);
    inquiry_ask(thread, inquiry);
}

void inquiry_begin(struct forward_thread *thread, struct forward_job *job)
{
    const ptrdiff_t at =
        forward_plan_find_at_or_above(thread->plan, job->data + job->route_at, job->apex_size);
    if (at < 0 || thread->is_draining ||
        name_parse(&thread->name, job_name(job), job->name_size) < 0) {
        refuse(thread, job, &no_zone, &thread->counters.failed);
        return;
    }
    const uint64_t hash = question_hash(job, &thread->name);
    struct inquiry *inquiry = find_inquiry(thread, job, hash);
    if (inquiry != NULL) {
        forward_count(&thread->counters.joined);
        if (job->has_request)
            inquiry_join(thread, inquiry, job);
        else
            forward_job_free(thread->forwarder, job);
        return;
    }

    const struct cache_key key = {.name = &thread->name,
                                  .type = job->type,
                                  .dnssec_ok = job->dnssec_ok,
                                  .checking_disabled = job->checking_disabled};
    struct cached_answer answer;
    const bool is_kept = !job->has_subnet && find_usable(thread, &key, &answer);
    /* It may have come while the job was on its way. */
    if (is_kept && job->has_request && thread->now < answer.expires_at) {
        const struct forward_outcome outcome = outcome_of(thread, &answer);
        refuse(thread, job, &outcome, &thread->counters.answered);
        return;
    }
    inquiry_open(thread, &thread->zones[at], job, hash, is_kept);
}

void inquiries_move(struct forward_thread *thread, const struct forward_plan *plan,
                    struct thread_zone *zones)
{
    thread->unseen_count = 0;
    for (size_t bucket = 0; bucket < BUCKETS; bucket++) {
        for (struct inquiry *inquiry = thread->buckets[bucket]; inquiry != NULL;
             inquiry = inquiry->next) {
            const struct name *apex = inquiry->zone != NULL ? &inquiry->zone->plan->apex : NULL;
            const ptrdiff_t at =
                apex != NULL ? forward_plan_find_at_or_above(plan, apex->wire, apex->size) : -1;
            inquiry->zone = at >= 0 ? &zones[at] : NULL;
            if (inquiry->is_unseen) {
                thread->unseen_count++;
                if (inquiry->zone != NULL)
                    inquiry->zone->unseen++;
            }
        }
    }
}
