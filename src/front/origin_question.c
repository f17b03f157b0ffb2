/* The life of a question: asked, hedged, repeated, answered or given up. */
#include <errno.h>
#include <libknot/descriptor.h>
#include <stddef.h>
#include <string.h>

#include "front/origin_internal.h"

/* Between two messages of the same question. */
#define WAIT_MS_MAX 800

/* After there was no room for a message. */
#define ROOM_WAIT_MS 20u

static unsigned question_in_flight(const struct question *question)
{
    unsigned count = 0;
    for (unsigned i = 0; i < ATTEMPTS_MAX; i++)
        count += !attempt_is_free(&question->attempts[i]);
    return count;
}

/* Who is asked next: one that was not asked yet, else one that has not answered badly. */
static int question_choose(struct question *question)
{
    struct origin_group *group = question->group;
    int member = group_choose(group, question, question->tried | question->failed);
    if (member < 0)
        member = group_choose(group, question, question->failed);
    return member;
}

static void question_wait(struct origin_pool *pool, struct question *question, unsigned wait_ms)
{
    const int64_t due_ms = pool->now_ms + (wait_ms < WAIT_MS_MAX ? wait_ms : WAIT_MS_MAX);
    wheel_timer_set(&pool->wheel, &question->timer,
                    due_ms < question->deadline_ms ? due_ms : question->deadline_ms);
}

void question_end(struct origin_pool *pool, struct question *question, int code,
                  const uint8_t *message, size_t size)
{
    for (unsigned i = 0; i < ATTEMPTS_MAX; i++)
        if (!attempt_is_free(&question->attempts[i]))
            attempt_close(pool, &question->attempts[i], code);
    wheel_timer_unset(&pool->wheel, &question->timer);

    *question->previous = question->next;
    if (question->next != NULL)
        question->next->previous = question->previous;
    question->group->in_flight--;
    question->next = pool->free_questions;
    pool->free_questions = question;
    pool->free_count++;
    question->done(question->context, code, message, size);
}

static int failure_code(const struct question *question)
{
    return question->was_answered ? -EREMOTEIO : -ETIMEDOUT;
}

/* Asks the next server; ends the question when there is none and no answer is to come. */
static void question_go_on(struct origin_pool *pool, struct question *question,
                           const uint8_t *message, size_t size)
{
    const int member = question_choose(question);
    if (member >= 0) {
        const struct attempt *attempt = attempt_send(pool, question, (unsigned)member, false);
        if (attempt != NULL) {
            question_wait(pool, question, attempt->patience_ms);
            return;
        }
    }
    if (question_in_flight(question) == 0 && !question->is_due_again &&
        (member < 0 || question->message_count >= MESSAGES_MAX))
        question_end(pool, question, failure_code(question), message, size);
}

void question_failed_at(struct origin_pool *pool, struct question *question, unsigned member,
                        const uint8_t *message, size_t size)
{
    question->failed |= UINT32_C(1) << member;
    group_judged(question->group, question, member, false);
    question_go_on(pool, question, message, size);
}

void question_ask_again(struct origin_pool *pool, struct question *question, unsigned member,
                        bool is_over_tcp)
{
    const struct attempt *attempt = attempt_send(pool, question, member, is_over_tcp);
    if (attempt != NULL) {
        question_wait(pool, question, attempt->patience_ms);
        return;
    }
    const bool is_impossible =
        is_over_tcp && tcp_is_down(pool, question->group->members[member].server);
    if (is_impossible || question->message_count >= MESSAGES_MAX) {
        question_failed_at(pool, question, member, NULL, 0);
        return;
    }
    /* The rate does not allow it yet, or all connections are busy. */
    question->is_due_again = true;
    question->is_due_over_tcp = is_over_tcp;
    question->due_member = (uint8_t)member;
    question_wait(pool, question, ROOM_WAIT_MS);
}

/* Whether an answer of the server's was doubted, which TCP was to settle. */
static bool is_doubted(const struct question *question, unsigned member)
{
    for (unsigned i = 0; i < ATTEMPTS_MAX; i++) {
        const struct attempt *attempt = &question->attempts[i];
        if (!attempt_is_free(attempt) && attempt->is_doubted && attempt->member == member)
            return true;
    }
    return false;
}

void attempt_lost(struct origin_pool *pool, struct attempt *attempt, bool is_same_again)
{
    struct question *question = attempt->question;
    const unsigned member = attempt->member;
    attempt_unlink(attempt);
    if (is_same_again)
        question_ask_again(pool, question, member, true);
    else if (is_doubted(question, member))
        /* Without TCP it is settled by how often it happens: server_lost_case(). */
        question_ask_again(pool, question, member, false);
    else
        question_failed_at(pool, question, member, NULL, 0);
}

void question_timer_due(void *context, struct wheel_timer *timer)
{
    struct origin_pool *pool = context;
    struct question *question =
        (struct question *)((char *)timer - offsetof(struct question, timer));
    if (pool->now_ms >= question->deadline_ms) {
        question_end(pool, question, failure_code(question), NULL, 0);
        return;
    }

    if (question->is_due_again) {
        question->is_due_again = false;
        question_ask_again(pool, question, question->due_member, question->is_due_over_tcp);
        return;
    }

    bool has_timeout = question_in_flight(question) == 0;
    unsigned patience_ms = 0;
    for (unsigned i = 0; i < ATTEMPTS_MAX; i++) {
        struct attempt *attempt = &question->attempts[i];
        if (attempt_is_free(attempt))
            continue;
        attempt_count_timeout(pool, attempt);
        has_timeout |= attempt->is_counted;
        patience_ms = attempt->patience_ms > patience_ms ? attempt->patience_ms : patience_ms;
    }
    /* Also when nothing can be sent now: the rate may allow it then. */
    question_wait(pool, question,
                  (patience_ms > 0 ? patience_ms : ROOM_WAIT_MS) << question->rounds);
    if (question->rounds < 4)
        question->rounds++;
    if (!has_timeout && !group_may_hedge(question->group))
        return;
    /* Early, only somebody else is asked. */
    const int member =
        has_timeout ? question_choose(question)
                    : group_choose(question->group, question, question->tried | question->failed);
    if (member < 0)
        return;
    struct attempt *attempt = attempt_send(pool, question, (unsigned)member, false);
    if (attempt != NULL && !has_timeout)
        attempt->server->hedges++;
}

/* ---- Asking ---- */

static bool is_in_zone(const struct origin_group *group, const struct name *name)
{
    for (unsigned label = 0; label <= name->label_count; label++)
        if (name->size - name->offsets[label] == (int)group->apex_size)
            return memcmp(name->wire + name->offsets[label], group->apex, group->apex_size) == 0;
    return false;
}

static void question_init(struct question *question, struct origin_group *group,
                          const struct origin_question *asked)
{
    struct origin_pool *pool = group->pool;
    const uint64_t kind =
        (uint64_t)asked->type << 2 | (uint64_t)asked->dnssec_ok << 1 | asked->checking_disabled;

    question->group = group;
    question->done = asked->done;
    question->context = asked->context;
    question->key = asked->name->hashes[0] ^ (kind + 1) * UINT64_C(0x9E3779B97F4A7C15);
    question->deadline_ms = pool->now_ms + pool->options.timeout_ms;
    question->tried = question->failed = 0;
    question->type = asked->type;
    question->message_count = question->badcookies = question->rounds = 0;
    question->dnssec_ok = asked->dnssec_ok;
    question->checking_disabled = asked->checking_disabled;
    question->was_answered = question->is_plain = question->is_due_again = false;
    question->client_subnet_size =
        asked->client_subnet != NULL ? (uint8_t)asked->client_subnet_size : 0;
    if (question->client_subnet_size > 0)
        memcpy(question->client_subnet, asked->client_subnet, question->client_subnet_size);
    question->name_size = asked->name->size;
    memcpy(question->name, asked->name->wire, asked->name->size);
    random_take(&pool->random, question->case_bits, (asked->name->size + 7u) / 8);
}

static void question_link(struct question *question)
{
    struct origin_group *group = question->group;
    group->pool->free_questions = question->next;
    group->pool->free_count--;
    question->next = group->questions;
    question->previous = &group->questions;
    if (question->next != NULL)
        question->next->previous = &question->next;
    group->questions = question;
    group->in_flight++;
}

static void probe_done(void *context, int code, const uint8_t *message, size_t size)
{
    (void)context, (void)code, (void)message, (void)size;
}

/* Asks a server that was given up for the SOA of the zone: what clients ask may be the very thing
 * that it does not answer. */
static void probe_send(struct origin_pool *pool, struct origin_group *group, unsigned member)
{
    struct question *question = pool->free_questions;
    struct name apex;
    if (question == NULL || name_parse(&apex, group->apex, group->apex_size) < 0)
        return;
    const struct origin_question asked = {
        .name = &apex, .type = KNOT_RRTYPE_SOA, .done = probe_done};
    question_init(question, group, &asked);
    question->failed = ~(UINT32_C(1) << member); /* nobody else is meant */
    if (attempt_send(pool, question, member, false) == NULL)
        return;
    question_link(question);
    question_wait(pool, question, WAIT_MS_MAX);
}

int origin_ask(struct origin_group *group, const struct origin_question *asked)
{
    struct origin_pool *pool = group->pool;
    if (!is_in_zone(group, asked->name) ||
        (asked->client_subnet != NULL && asked->client_subnet_size > CLIENT_SUBNET_SIZE_MAX))
        return -EINVAL;
    if (group->in_flight >= pool->free_count) {
        pool->counters.over_bound++;
        return -EBUSY;
    }

    origin_clock(pool);
    const int probed = group_probe(group);
    if (probed >= 0)
        probe_send(pool, group, (unsigned)probed);
    struct question *question = pool->free_questions;
    if (question == NULL)
        return -EBUSY;
    question_init(question, group, asked);
    int member = group_choose(group, question, 0);
    if (member < 0)
        member = probed; /* as good as any other way to find out */
    if (member < 0) {
        pool->counters.known_failures++;
        return -EHOSTDOWN;
    }
    const struct attempt *attempt = attempt_send(pool, question, (unsigned)member, false);
    if (attempt == NULL)
        return -EBUSY;

    question_link(question);
    group_asked(group);
    const bool has_others = group_choose(group, question, question->tried) >= 0;
    question_wait(pool, question,
                  has_others ? server_hedge_ms(attempt->server) : attempt->patience_ms);
    return 0;
}
