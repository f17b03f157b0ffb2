#include "front/origin.h"

#include <errno.h>
#include <libknot/dname.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "front/origin_internal.h"

#define SOCKETS_DEFAULT     32
#define SOCKETS_MAX         1024
#define TIMEOUT_MS_DEFAULT  2000
#define UDP_PAYLOAD_DEFAULT 1232 /* fits any path in one piece (RFC 9715, 3.1 and appendix A) */
#define WAITING_DEFAULT     20000
#define WAITING_MAX         (1u << 20)

void origin_clock(struct origin_pool *pool)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    pool->now_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    pool->now_ms = pool->now_us / 1000;
}

/* ---- The pool ---- */

static void options_complete(struct origin_options *options)
{
    if (options->sockets == 0)
        options->sockets = SOCKETS_DEFAULT;
    if (options->timeout_ms == 0)
        options->timeout_ms = TIMEOUT_MS_DEFAULT;
    if (options->udp_payload == 0)
        options->udp_payload = UDP_PAYLOAD_DEFAULT;
    if (options->waiting_max == 0)
        options->waiting_max = WAITING_DEFAULT;
}

static int pool_allocate(struct origin_pool *pool)
{
    const unsigned count = pool->options.waiting_max;
    uint32_t buckets = 1024;
    while (buckets < 2 * count)
        buckets *= 2;
    pool->bucket_mask = buckets - 1;
    pool->buckets = calloc(buckets, sizeof(*pool->buckets));
    pool->questions = calloc(count, sizeof(*pool->questions));
    pool->reader = record_reader_create();
    if (pool->buckets == NULL || pool->questions == NULL || pool->reader == NULL)
        return -ENOMEM;

    for (unsigned i = count; i-- > 0;) {
        pool->questions[i].timer.due = question_timer_due;
        pool->questions[i].next = pool->free_questions;
        pool->free_questions = &pool->questions[i];
    }
    pool->free_count = count;
    return 0;
}

int origin_pool_create(const struct origin_options *options, struct origin_pool **ret_pool,
                       struct error *ret_error)
{
    if (options->sockets > SOCKETS_MAX || options->waiting_max > WAITING_MAX)
        return error_set(ret_error, -EINVAL,
                         "%u sockets and %u questions in flight are too many: the most are %u and "
                         "%u",
                         options->sockets, options->waiting_max, SOCKETS_MAX, WAITING_MAX);
    _cleanup_(origin_pool_freep) struct origin_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    pool->options = *options;
    pool->inbox.ready_from = UDP_BATCH;
    options_complete(&pool->options);
    origin_clock(pool);
    timer_wheel_init(&pool->wheel, pool->now_ms);
    pool->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (pool->epoll_fd < 0)
        return error_set(ret_error, -errno, "no descriptor to wait for origins: %s",
                         strerror(errno));
    if (pool_allocate(pool) < 0)
        return error_set(ret_error, -ENOMEM,
                         "out of memory for %u questions in flight: allow fewer",
                         pool->options.waiting_max);
    *ret_pool = TAKE(pool);
    return 0;
}

void origin_pool_free(struct origin_pool *pool)
{
    if (pool == NULL)
        return;
    while (pool->groups != NULL)
        origin_group_remove(pool->groups);
    udp_close(pool);
    if (pool->epoll_fd >= 0)
        close(pool->epoll_fd);
    record_reader_free(pool->reader);
    free(pool->questions);
    free(pool->buckets);
    free(pool);
}

/* ---- Groups ---- */

static int apex_parse(struct origin_group *group, const char *zone)
{
    if (knot_dname_from_str(group->apex, zone, sizeof(group->apex)) == NULL)
        return -EINVAL;
    group->apex_size = knot_dname_size(group->apex);
    knot_dname_to_lower(group->apex);
    return 0;
}

/* The same server twice is one. */
static int member_add(struct origin_group *group, const struct sockaddr_storage *address)
{
    if (address->ss_family != AF_INET && address->ss_family != AF_INET6)
        return -EINVAL;
    const int rc = udp_family_open(group->pool, address->ss_family);
    if (rc < 0)
        return rc;
    struct server *server = server_use(group->pool, address);
    if (server == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < group->member_count; i++) {
        if (group->members[i].server == server) {
            server_release(group->pool, server);
            return 0;
        }
    }
    group->members[group->member_count++].server = server;
    return 0;
}

int origin_group_add(struct origin_pool *pool, const char *zone,
                     const struct sockaddr_storage *servers, size_t count, unsigned rate_max,
                     struct origin_group **ret_group)
{
    if (count == 0)
        return -EINVAL;
    if (count > ORIGIN_SERVERS_MAX)
        return -E2BIG;
    struct origin_group *group = calloc(1, sizeof(*group));
    if (group == NULL)
        return -ENOMEM;
    origin_clock(pool);
    group->pool = pool;
    group->rate_max = rate_max;
    group->tokens_us = pool->now_us - 1000000;
    group->hedge_credit = 1;
    group->next = pool->groups;
    pool->groups = group;

    int rc = apex_parse(group, zone);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = member_add(group, &servers[i]);
    if (rc < 0) {
        origin_group_remove(group);
        return rc;
    }
    *ret_group = group;
    return 0;
}

void origin_group_remove(struct origin_group *group)
{
    if (group == NULL)
        return;
    struct origin_pool *pool = group->pool;
    /* Messages not sent yet refer to their servers. */
    udp_flush(pool);
    /* From here on a question that done() asks finds nobody. */
    const unsigned member_count = group->member_count;
    group->member_count = 0;
    while (group->questions != NULL)
        question_end(pool, group->questions, -ECANCELED, NULL, 0);
    for (unsigned i = 0; i < member_count; i++)
        server_release(pool, group->members[i].server);

    struct origin_group **place = &pool->groups;
    while (*place != group)
        place = &(*place)->next;
    *place = group->next;
    free(group);
}

/* ---- The loop ---- */

int origin_pool_fd(const struct origin_pool *pool)
{
    return pool->epoll_fd;
}

int origin_pool_timeout_ms(const struct origin_pool *pool)
{
    if (udp_has_queued(pool) || tcp_has_queued(pool))
        return 0;
    const int64_t next_ms = timer_wheel_next(&pool->wheel);
    if (next_ms == INT64_MAX)
        return -1;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const int64_t left_ms = next_ms - ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
    return left_ms > 0 ? (int)left_ms : 0;
}

int origin_pool_watch(struct origin_pool *pool, int event_fd)
{
    /* Each write is an edge: what was written need not be read. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    return epoll_ctl(pool->epoll_fd, EPOLL_CTL_ADD, event_fd, &event) < 0 ? -errno : 0;
}

void origin_pool_wait(struct origin_pool *pool, int timeout_ms)
{
    pool->event_count = epoll_wait(pool->epoll_fd, pool->events, EVENTS_MAX, timeout_ms);
    pool->has_waited = true;
}

void origin_pool_run(struct origin_pool *pool)
{
    if (!pool->has_waited)
        origin_pool_wait(pool, 0);
    pool->has_waited = false;
    origin_clock(pool);
    for (int i = 0; i < pool->event_count; i++) {
        struct channel *channel = pool->events[i].data.ptr;
        if (channel == NULL)
            continue;
        if (channel->is_stream)
            tcp_ready(pool, (struct tcp_connection *)channel, pool->events[i].events);
        else
            udp_receive(pool, (struct udp_socket *)channel);
    }

    struct wheel_timer *timer;
    while ((timer = timer_wheel_take(&pool->wheel, pool->now_ms)) != NULL)
        timer->due(pool, timer);
    origin_pool_flush(pool);
}

void origin_pool_flush(struct origin_pool *pool)
{
    udp_flush(pool);
    tcp_flush(pool);
    udp_close_retired(pool);
}

/* ---- For people ---- */

size_t origin_group_state(const struct origin_group *group, struct origin_server_state *ret_states,
                          size_t max)
{
    const int64_t now_ms = group->pool->now_ms;
    size_t count = 0;
    for (; count < group->member_count && count < max; count++) {
        const struct server *server = group->members[count].server;
        ret_states[count] = (struct origin_server_state){
            .address = server->address.storage,
            .is_healthy = !server_is_down(server) &&
                          group->members[count]
                              .failing<0.5, .has_case = server->no_case_until_ms <= now_ms,
                                       .has_edns = server->no_edns_until_ms <= now_ms,
                                       .has_cookies = server->server_cookie_size> 0,
            .rtt_ms = (double)server->rtt_us / 1000,
            .p95_ms = (double)server->p95_us / 1000,
            .asked = server->asked,
            .answered = server->answered,
            .late = server->late,
            .timeouts = server->timeouts,
            .refused = server->refused,
            .mismatches = server->mismatches,
            .truncated = server->truncated,
            .over_tcp = server->over_tcp,
            .hedges = server->hedges,
        };
    }
    return count;
}

void origin_counters(const struct origin_pool *pool, struct origin_counters *ret_counters)
{
    *ret_counters = pool->counters;
    ret_counters->waiting = pool->options.waiting_max - pool->free_count;
}
