/* What is known of one server: how fast it is, whether it is up, what it can do. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "front/origin_internal.h"

/* Before there is a sample: a server at the other end of the world answers within this. */
#define HEDGE_MS_UNKNOWN    150
#define PATIENCE_MS_UNKNOWN 400

/* Below, the machine's own scheduling is measured and not the server. */
#define HEDGE_MS_MIN    5
#define HEDGE_MS_MAX    400
#define PATIENCE_MS_MIN 100
#define PATIENCE_MS_MAX 800

/* A server is given up after so many timeouts in a row without an answer for so long: with every
 * third message lost that happens once in 6,000 times, at a busy server never. */
#define TIMEOUTS_DOWN  8
#define SILENCE_MS     500
#define BACKOFF_MS_MIN 250
#define BACKOFF_MS_MAX 16000

/* Wrong guesses in a second that look like an attack on the identifiers: from then on TCP. */
#define GUESSES_MAX     64
#define GUESS_WINDOW_MS 1000
#define TCP_ONLY_MS     10000

/* Answers in a row in another letter case, without their cookie, or refusing EDNS (RFC
 * 6891, 6.2.2), before it is believed to be the server's way: so many guesses of port and
 * identifier would have to be right. */
#define LOSSES_MAX     3
#define ABILITY_OFF_MS (600 * 1000)

bool address_equal(const union origin_address *one, const union origin_address *other)
{
    if (one->any.sa_family != other->any.sa_family)
        return false;
    if (one->any.sa_family == AF_INET)
        return one->ipv4.sin_port == other->ipv4.sin_port &&
               one->ipv4.sin_addr.s_addr == other->ipv4.sin_addr.s_addr;
    return one->ipv6.sin6_port == other->ipv6.sin6_port &&
           one->ipv6.sin6_scope_id == other->ipv6.sin6_scope_id &&
           memcmp(&one->ipv6.sin6_addr, &other->ipv6.sin6_addr, sizeof(struct in6_addr)) == 0;
}

struct server *server_use(struct origin_pool *pool, const struct sockaddr_storage *address)
{
    const union origin_address wanted = {.storage = *address};
    for (struct server *server = pool->servers; server != NULL; server = server->next) {
        if (address_equal(&server->address, &wanted)) {
            server->users++;
            return server;
        }
    }

    struct server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return NULL;
    server->users = 1;
    server->address = wanted;
    server->address_size =
        address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    server->questions_max = UINT32_MAX;
    server->answered_ms = pool->now_ms;
    random_take(&pool->random, &server->salt, sizeof(server->salt));
    /* RFC 9018, 3: for each server another one, which tells nobody who asks. */
    random_take(&pool->random, server->cookie, sizeof(server->cookie));
    server->next = pool->servers;
    pool->servers = server;
    return server;
}

void server_release(struct origin_pool *pool, struct server *server)
{
    if (--server->users > 0)
        return;
    while (server->connections != NULL)
        tcp_close(pool, server->connections);
    struct server **place = &pool->servers;
    while (*place != server)
        place = &(*place)->next;
    *place = server->next;
    free(server);
}

/* ---- Time ---- */

static unsigned clamp_ms(int64_t us, unsigned min_ms, unsigned max_ms)
{
    const int64_t ms = us / 1000 + 1;
    return ms < min_ms ? min_ms : ms > max_ms ? max_ms : (unsigned)ms;
}

unsigned server_hedge_ms(const struct server *server)
{
    return server->is_sampled ? clamp_ms(server->p95_us, HEDGE_MS_MIN, HEDGE_MS_MAX)
                              : HEDGE_MS_UNKNOWN;
}

unsigned server_patience_ms(const struct server *server)
{
    if (!server->is_sampled)
        return PATIENCE_MS_UNKNOWN;
    const int64_t usual_us = server->rtt_us + 4 * server->variation_us; /* RFC 6298, 2 */
    return clamp_ms(2 * (usual_us > server->p95_us ? usual_us : server->p95_us), PATIENCE_MS_MIN,
                    PATIENCE_MS_MAX);
}

double server_score(const struct server *server)
{
    /* One that was never asked comes first, so that it is known. */
    return (server->is_sampled ? (double)server->rtt_us : 0) *
               (1 + (double)server->timeouts_in_row) +
           1;
}

bool server_is_down(const struct server *server)
{
    return server->backoff_ms > 0;
}

/* A 95th percentile follows the samples in steps: up by 19 when one is above, down by 1 when it is
 * below; they balance where 5 in 100 are above. A step is a small share of the percentile, so that
 * it settles within some hundreds of samples whatever the scale. */
static void follow_p95(struct server *server, int64_t rtt_us)
{
    const int64_t step_us = server->p95_us / 256 + 1;
    server->p95_us += rtt_us > server->p95_us ? 19 * step_us : -step_us;
    if (server->p95_us < server->rtt_us)
        server->p95_us = server->rtt_us;
}

void server_measured(struct server *server, int64_t rtt_us)
{
    if (!server->is_sampled) {
        server->is_sampled = true;
        server->rtt_us = rtt_us;
        server->variation_us = rtt_us / 2;
        server->p95_us = 2 * rtt_us;
        return;
    }
    const int64_t apart_us = rtt_us - server->rtt_us;
    server->variation_us += ((apart_us < 0 ? -apart_us : apart_us) - server->variation_us) / 4;
    server->rtt_us += apart_us / 8; /* RFC 6298, 2.3 */
    follow_p95(server, rtt_us);
}

/* All that is known is that it would have taken longer. */
void server_outwaited(struct server *server, int64_t waited_us)
{
    if (!server->is_sampled || waited_us > server->rtt_us)
        server_measured(server, waited_us);
}

/* ---- Health ---- */

void server_answered(struct server *server, int64_t now_ms)
{
    server->answered++;
    server->timeouts_in_row = 0;
    server->backoff_ms = 0;
    server->answered_ms = now_ms;
}

void server_timed_out(struct server *server, int64_t now_ms)
{
    server->timeouts++;
    server->timeouts_in_row++;
    if (server_is_down(server) || server->timeouts_in_row < TIMEOUTS_DOWN ||
        now_ms - server->answered_ms < SILENCE_MS)
        return;
    server->backoff_ms = BACKOFF_MS_MIN;
    server->down_until_ms = now_ms; /* probed at once: it may be these questions alone */
}

void server_probed(struct server *server, int64_t now_ms)
{
    server->backoff_ms *= 2;
    if (server->backoff_ms > BACKOFF_MS_MAX)
        server->backoff_ms = BACKOFF_MS_MAX;
    server->down_until_ms = now_ms + server->backoff_ms;
}

void server_guessed_at(struct server *server, int64_t now_ms)
{
    server->mismatches++;
    if (now_ms - server->guess_window_ms >= GUESS_WINDOW_MS) {
        server->guess_window_ms = now_ms;
        server->guesses = 0;
    }
    if (++server->guesses >= GUESSES_MAX)
        server->tcp_only_until_ms = now_ms + TCP_ONLY_MS;
}

void server_lost_case(struct server *server, int64_t now_ms)
{
    if (++server->case_losses < LOSSES_MAX)
        return;
    server_has_no_case(server, now_ms);
}

void server_has_no_case(struct server *server, int64_t now_ms)
{
    server->case_losses = 0;
    server->no_case_until_ms = now_ms + ABILITY_OFF_MS;
}

void server_lost_edns(struct server *server, int64_t now_ms)
{
    if (++server->edns_losses < LOSSES_MAX)
        return;
    server->edns_losses = 0;
    server->no_edns_until_ms = now_ms + ABILITY_OFF_MS;
}

void server_lost_cookie(struct server *server)
{
    if (++server->cookie_losses < LOSSES_MAX)
        return;
    server->cookie_losses = 0;
    server->server_cookie_size = 0;
}

void server_kept_cookie(struct server *server, const struct origin_reading *reading)
{
    memcpy(server->server_cookie, reading->server_cookie, reading->server_cookie_size);
    server->server_cookie_size = reading->server_cookie_size;
    server->cookie_losses = 0;
}
