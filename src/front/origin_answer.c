/* What comes from a server: to which question it belongs, whether it is believed, what follows. */
#include <libknot/packet/wire.h>
#include <string.h>

#include "front/origin_internal.h"

static struct server *server_of(const struct origin_pool *pool, const struct arrival *arrival)
{
    if (arrival->from == NULL)
        return ((struct tcp_connection *)arrival->channel)->server;
    struct server *server = pool->servers;
    while (server != NULL && !address_equal(arrival->from, &server->address))
        server = server->next;
    return server;
}

static void arrival_unexpected(struct origin_pool *pool, const struct arrival *arrival)
{
    struct server *server = server_of(pool, arrival);
    if (server == NULL)
        pool->counters.unexpected++;
    else if (arrival->size >= MESSAGE_HEADER_SIZE &&
             attempt_was_given_up(pool, arrival->channel, server, knot_wire_get_id(arrival->wire)))
        server->late++;
    else
        server_guessed_at(server, pool->now_ms);
}

static enum origin_verdict arrival_judge(struct origin_pool *pool, const struct arrival *arrival,
                                         const struct attempt *attempt,
                                         struct origin_reading *ret_reading)
{
    uint8_t name[NAME_SIZE_MAX];
    question_name_sent(attempt->question, attempt->has_case, name);
    const struct origin_expectation expected = {
        .name = name,
        .name_size = attempt->question->name_size,
        .type = attempt->question->type,
        .id = attempt->id,
        .apex = attempt->question->group->apex,
        .client_cookie = attempt->has_edns ? attempt->server->cookie : NULL,
        .is_case_exact = attempt->has_case && !arrival->channel->is_stream,
        .has_edns = attempt->has_edns,
        .needs_cookie = attempt->needs_cookie,
    };
    const enum origin_verdict verdict =
        origin_answer_judge(&expected, pool->reader, arrival->wire, arrival->size, ret_reading);
    if (arrival->is_cut && verdict != ORIGIN_MISMATCH && verdict != ORIGIN_CASE_LOST)
        return ORIGIN_TRUNCATED;
    /* What is truncated although there is room for 65,535 octets is no answer. */
    if (verdict == ORIGIN_TRUNCATED && arrival->channel->is_stream)
        return ORIGIN_FAILED;
    return verdict;
}

/* What a good answer tells about the server's abilities. */
static void server_learned(struct origin_pool *pool, const struct arrival *arrival,
                           const struct attempt *attempt, const struct origin_reading *reading)
{
    struct server *server = attempt->server;
    if (attempt->has_case && !arrival->channel->is_stream)
        server->case_losses = 0;
    if (reading->has_edns)
        server->edns_losses = 0;
    if (attempt->has_case && arrival->channel->is_stream) {
        uint8_t name[NAME_SIZE_MAX];
        question_name_sent(attempt->question, true, name);
        if (memcmp(arrival->wire + MESSAGE_HEADER_SIZE, name, attempt->question->name_size) != 0)
            server_has_no_case(server, pool->now_ms);
    }
    if (reading->server_cookie == NULL && arrival->channel->is_stream && attempt->has_edns)
        server->server_cookie_size = 0;
}

/* All is as it must be but for a sign that is missing: it may be a guess that came near. TCP will
 * tell; the real answer may still come, too. */
static void arrival_doubted(struct origin_pool *pool, struct attempt *attempt,
                            enum origin_verdict verdict)
{
    if (attempt->is_doubted)
        return;
    attempt->is_doubted = true;
    attempt->is_counted = true; /* it is no timeout, whatever becomes of it */
    if (verdict == ORIGIN_CASE_LOST)
        server_lost_case(attempt->server, pool->now_ms);
    else
        server_lost_cookie(attempt->server);
    if (attempt_send(pool, attempt->question, attempt->member, true) == NULL)
        question_ask_again(pool, attempt->question, attempt->member,
                           !tcp_is_down(pool, attempt->server));
}

static void arrival_settle(struct origin_pool *pool, const struct arrival *arrival,
                           const struct attempt *answered, enum origin_verdict verdict)
{
    struct question *question = answered->question;
    struct server *server = answered->server;
    const unsigned member = answered->member;

    question->was_answered = true;
    switch (verdict) {
    case ORIGIN_GOOD:
        group_judged(question->group, question, member, true);
        memcpy(arrival->wire + MESSAGE_HEADER_SIZE, question->name, question->name_size);
        question_end(pool, question, 0, arrival->wire, arrival->size);
        return;
    case ORIGIN_TRUNCATED:
        server->truncated++;
        question_ask_again(pool, question, member, true);
        return;
    case ORIGIN_BADCOOKIE:
        /* Once with the new cookie, then where none is needed (RFC 7873, 5.3). */
        if (question->badcookies < 2) {
            question_ask_again(pool, question, member, ++question->badcookies > 1);
            return;
        }
        break;
    case ORIGIN_NO_EDNS:
        /* This question at once, others when it has become clear that this is the server's way. */
        question->is_plain = true;
        server_lost_edns(server, pool->now_ms);
        question_ask_again(pool, question, member, false);
        return;
    default:
        break;
    }
    server->refused++;
    question_failed_at(pool, question, member, arrival->wire, arrival->size);
}

void question_arrival(struct origin_pool *pool, const struct arrival *arrival)
{
    struct origin_reading reading;
    struct attempt *attempt = NULL;
    if (arrival->size >= MESSAGE_HEADER_SIZE)
        attempt =
            attempt_find(pool, arrival->channel, arrival->from, knot_wire_get_id(arrival->wire));
    if (attempt == NULL) {
        arrival_unexpected(pool, arrival);
        return;
    }

    const enum origin_verdict verdict = arrival_judge(pool, arrival, attempt, &reading);
    if (verdict == ORIGIN_MISMATCH) {
        server_guessed_at(attempt->server, pool->now_ms);
        return;
    }
    if (verdict == ORIGIN_CASE_LOST || verdict == ORIGIN_COOKIE_LOST) {
        arrival_doubted(pool, attempt, verdict);
        return;
    }

    server_answered(attempt->server, pool->now_ms);
    arrival->channel->answered++;
    if (!arrival->channel->is_stream)
        server_measured(attempt->server, attempt_waited_us(pool, attempt));
    if (reading.server_cookie != NULL)
        server_kept_cookie(attempt->server, &reading);
    if (verdict == ORIGIN_GOOD)
        server_learned(pool, arrival, attempt, &reading);
    const struct attempt answered = *attempt;
    attempt_unlink(attempt);
    arrival_settle(pool, arrival, &answered, verdict);
}
