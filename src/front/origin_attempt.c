/* One message of a question to one server: sent, found again by what comes, given up. */
#include <errno.h>
#include <string.h>

#include "front/origin_internal.h"

/* Identifiers of one port that are in use at once: with half of them left one is drawn soon. */
#define CHANNEL_IDS_MAX 32768

/* ---- In flight ---- */

static struct attempt **bucket_of(const struct origin_pool *pool, const struct channel *channel,
                                  uint16_t id)
{
    /* The identifier is random: that is all the spread there need be. */
    return &pool->buckets[(channel->number * UINT32_C(0x9E3779B1) + id) & pool->bucket_mask];
}

struct attempt *attempt_find(const struct origin_pool *pool, const struct channel *channel,
                             const union origin_address *from, uint16_t id)
{
    struct attempt *attempt = *bucket_of(pool, channel, id);
    while (attempt != NULL && (attempt->channel != channel || attempt->id != id ||
                               (from != NULL && !address_equal(from, &attempt->server->address))))
        attempt = attempt->next;
    return attempt;
}

static void attempt_link(struct origin_pool *pool, struct attempt *attempt)
{
    struct channel *channel = attempt->channel;
    struct attempt **bucket = bucket_of(pool, channel, attempt->id);
    attempt->next = *bucket;
    attempt->previous = bucket;
    if (attempt->next != NULL)
        attempt->next->previous = &attempt->next;
    *bucket = attempt;
    channel->in_flight++;
    if (!channel->is_stream)
        return;

    struct attempt **first = &((struct tcp_connection *)channel)->attempts;
    attempt->connection_next = *first;
    attempt->connection_previous = first;
    if (attempt->connection_next != NULL)
        attempt->connection_next->connection_previous = &attempt->connection_next;
    *first = attempt;
}

void attempt_unlink(struct attempt *attempt)
{
    *attempt->previous = attempt->next;
    if (attempt->next != NULL)
        attempt->next->previous = attempt->previous;
    attempt->previous = NULL;
    attempt->channel->in_flight--;
    if (!attempt->channel->is_stream)
        return;

    *attempt->connection_previous = attempt->connection_next;
    if (attempt->connection_next != NULL)
        attempt->connection_next->connection_previous = attempt->connection_previous;
}

bool attempt_is_free(const struct attempt *attempt)
{
    return attempt->previous == NULL;
}

int64_t attempt_waited_us(const struct origin_pool *pool, const struct attempt *attempt)
{
    return pool->now_us - attempt->sent_us;
}

void attempt_count_timeout(struct origin_pool *pool, struct attempt *attempt)
{
    if (attempt->is_counted ||
        attempt_waited_us(pool, attempt) < attempt->patience_ms * INT64_C(1000))
        return;
    attempt->is_counted = true;
    if (attempt->channel->is_stream)
        ((struct tcp_connection *)attempt->channel)->is_hung = true;
    server_timed_out(attempt->server, pool->now_ms);
}

/* Never 0: numbers of channels begin with 1. */
static uint64_t late_key(const struct channel *channel, const struct server *server, uint16_t id)
{
    return (uint64_t)channel->number << 32 | (server->salt & 0xFFFF) << 16 | id;
}

static uint64_t *late_slot(struct origin_pool *pool, uint64_t key)
{
    return &pool->late[(key >> 32 ^ key) % LATE_SLOTS];
}

bool attempt_was_given_up(struct origin_pool *pool, const struct channel *channel,
                          const struct server *server, uint16_t id)
{
    const uint64_t key = late_key(channel, server, id);
    uint64_t *slot = late_slot(pool, key);
    if (*slot != key)
        return false;
    *slot = 0;
    return true;
}

void attempt_close(struct origin_pool *pool, struct attempt *attempt, int code)
{
    struct question *question = attempt->question;
    const int64_t waited = attempt_waited_us(pool, attempt);
    attempt_count_timeout(pool, attempt);
    if (code == 0 && !attempt->is_counted && !attempt->channel->is_stream)
        server_outwaited(attempt->server, waited);
    /* Also when others answered badly, or this one did in another way, as with TC. */
    if (code == -ETIMEDOUT || code == -EREMOTEIO)
        group_ignored(question->group, question, attempt->member);
    const uint64_t key = late_key(attempt->channel, attempt->server, attempt->id);
    *late_slot(pool, key) = key;
    attempt_unlink(attempt);
}

/* ---- Sending ---- */

void question_name_sent(const struct question *question, bool has_case, uint8_t *ret_name)
{
    if (has_case)
        origin_case_mix(ret_name, question->name, question->name_size, question->case_bits);
    else
        memcpy(ret_name, question->name, question->name_size);
}

static size_t attempt_write(const struct origin_pool *pool, const struct attempt *attempt,
                            uint8_t *ret_wire)
{
    const struct question *question = attempt->question;
    const struct server *server = attempt->server;
    uint8_t name[NAME_SIZE_MAX];
    question_name_sent(question, attempt->has_case, name);
    const struct origin_query_form form = {
        .name = name,
        .name_size = question->name_size,
        .type = question->type,
        .id = attempt->id,
        .checking_disabled = question->checking_disabled,
        .has_edns = attempt->has_edns,
        .dnssec_ok = question->dnssec_ok,
        .udp_payload = pool->options.udp_payload,
        .client_cookie = server->cookie,
        .server_cookie = server->server_cookie,
        .server_cookie_size = server->server_cookie_size,
        .client_subnet = question->client_subnet,
        .client_subnet_size = question->client_subnet_size,
    };
    return origin_query_write(ret_wire, &form);
}

static struct attempt *attempt_slot(struct question *question)
{
    if (question->message_count >= MESSAGES_MAX)
        return NULL;
    for (unsigned i = 0; i < ATTEMPTS_MAX; i++)
        if (attempt_is_free(&question->attempts[i]))
            return &question->attempts[i];
    return NULL;
}

static void attempt_begin(struct origin_pool *pool, struct attempt *attempt,
                          struct question *question, unsigned member, struct channel *channel)
{
    struct server *server = question->group->members[member].server;
    const unsigned patience_ms = server_patience_ms(server), timeout_ms = pool->options.timeout_ms;
    *attempt = (struct attempt){
        .question = question,
        .channel = channel,
        .server = server,
        .sent_us = pool->now_us,
        .patience_ms = patience_ms < timeout_ms ? patience_ms : timeout_ms,
        .member = (uint8_t)member,
        .has_case = server->no_case_until_ms <= pool->now_ms,
        .has_edns = server->no_edns_until_ms <= pool->now_ms && !question->is_plain,
        /* What TCP says settles it. */
        .needs_cookie = server->server_cookie_size > 0 && !channel->is_stream,
    };
    attempt->needs_cookie &= attempt->has_edns;
    do
        attempt->id = random_u16(&pool->random);
    while (attempt_find(pool, channel, channel->is_stream ? NULL : &server->address, attempt->id) !=
           NULL);
    attempt_link(pool, attempt);
    question->tried |= UINT32_C(1) << member;
    question->message_count++;
    server->asked++;
    server->over_tcp += channel->is_stream;
}

struct attempt *attempt_send(struct origin_pool *pool, struct question *question, unsigned member,
                             bool is_over_tcp)
{
    struct server *server = question->group->members[member].server;
    struct attempt *attempt = attempt_slot(question);
    struct tcp_connection *connection = NULL;
    uint8_t stream_wire[ORIGIN_QUERY_SIZE_MAX], *wire = stream_wire;
    struct channel *channel;

    if (attempt == NULL)
        return NULL;
    if (is_over_tcp || server->tcp_only_until_ms > pool->now_ms) {
        connection = tcp_connection_get(pool, server);
        if (connection == NULL)
            return NULL;
        channel = &connection->channel;
    } else {
        channel = udp_reserve(pool, server, &wire);
    }
    if (channel->in_flight >= CHANNEL_IDS_MAX || !group_may_send(question->group))
        return NULL;

    attempt_begin(pool, attempt, question, member, channel);
    const size_t size = attempt_write(pool, attempt, wire);
    if (connection != NULL)
        tcp_queue(connection, wire, size);
    else
        udp_queue(pool, server, size);
    return attempt;
}
