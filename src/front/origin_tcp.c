/* Questions over TCP: several on one connection, answers in any order (RFC 7766, 6.2). */
#include <assert.h>
#include <errno.h>
#include <libknot/wire.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "front/origin_internal.h"

/* To one server; and of the whole pool, 70 KiB each. */
#define CONNECTIONS_A_SERVER 8
#define CONNECTIONS_MAX      128

/* Under way on one connection at once. */
#define PIPELINED_MAX 64

#define LENGTH_SIZE 2
#define OUT_SIZE    (PIPELINED_MAX * (LENGTH_SIZE + ORIGIN_QUERY_SIZE_MAX))
#define IN_SIZE     (LENGTH_SIZE + MESSAGE_SIZE_MAX)

/* No whole message came for so long: an idle connection is closed before most servers would do so,
 * one with questions in flight is dead, also when octets trickle in. */
#define SILENCE_MS 4000

/* After a connection could not be made. */
#define REFUSED_MS 1000

static struct tcp_connection *of_timer(struct wheel_timer *timer)
{
    return (struct tcp_connection *)((char *)timer - offsetof(struct tcp_connection, timer));
}

static void connection_free(struct tcp_connection *connection)
{
    if (connection->channel.fd >= 0)
        close(connection->channel.fd);
    free(connection->out);
    free(connection->in);
    free(connection);
}

void tcp_close(struct origin_pool *pool, struct tcp_connection *connection)
{
    struct server *server = connection->server;
    struct tcp_connection **place = &server->connections;
    while (*place != connection)
        place = &(*place)->next;
    *place = connection->next;
    server->connection_count--;
    pool->connection_count--;
    wheel_timer_unset(&pool->wheel, &connection->timer);

    const bool was_useful = connection->channel.answered > 0;
    if (!was_useful && connection->channel.in_flight > 0)
        server->tcp_down_until_ms = pool->now_ms + REFUSED_MS;
    /* It has taken so many questions and not the next: another connection gets no more. */
    if (was_useful && connection->channel.in_flight > 0 &&
        connection->channel.answered < server->questions_max)
        server->questions_max = connection->channel.answered;

    while (connection->attempts != NULL)
        attempt_lost(pool, connection->attempts, was_useful);
    connection_free(connection);
}

static void connection_timer_due(void *context, struct wheel_timer *timer)
{
    struct origin_pool *pool = context;
    struct tcp_connection *connection = of_timer(timer);
    /* It was left open to the last: the server has changed its ways. */
    if (connection->channel.in_flight == 0 &&
        connection->channel.answered >= connection->server->questions_max)
        connection->server->questions_max = UINT32_MAX;
    tcp_close(pool, connection);
}

static void connection_watch(struct origin_pool *pool, struct tcp_connection *connection)
{
    struct epoll_event event = {
        .events = EPOLLIN | (connection->waits_to_write ? EPOLLOUT : 0),
        .data.ptr = &connection->channel,
    };
    /* The descriptor is in the set: nothing can fail. */
    (void)epoll_ctl(pool->epoll_fd, EPOLL_CTL_MOD, connection->channel.fd, &event);
}

static int connection_connect(struct origin_pool *pool, struct tcp_connection *connection)
{
    const struct server *server = connection->server;
    const int fd =
        socket(server->address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    connection->channel.fd = fd;
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(fd, &server->address.any, server->address_size) < 0 && errno != EINPROGRESS)
        return -errno;

    connection->waits_to_write = true;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = &connection->channel};
    return epoll_ctl(pool->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static struct tcp_connection *connection_open(struct origin_pool *pool, struct server *server)
{
    struct tcp_connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL)
        return NULL;
    connection->channel = (struct channel){.fd = -1, .is_stream = true};
    connection->channel.number = ++pool->channels_made;
    connection->server = server;
    connection->timer.due = connection_timer_due;
    connection->out = malloc(OUT_SIZE);
    connection->in = malloc(IN_SIZE);
    if (connection->out == NULL || connection->in == NULL ||
        connection_connect(pool, connection) < 0) {
        connection_free(connection);
        server->tcp_down_until_ms = pool->now_ms + REFUSED_MS;
        return NULL;
    }
    connection->next = server->connections;
    server->connections = connection;
    server->connection_count++;
    pool->connection_count++;
    wheel_timer_set(&pool->wheel, &connection->timer, pool->now_ms + SILENCE_MS);
    return connection;
}

static bool has_room(const struct tcp_connection *connection)
{
    const struct channel *channel = &connection->channel;
    return !connection->is_hung && channel->in_flight < PIPELINED_MAX &&
           channel->in_flight + channel->answered < connection->server->questions_max &&
           OUT_SIZE - connection->out_end >= LENGTH_SIZE + ORIGIN_QUERY_SIZE_MAX;
}

bool tcp_is_down(const struct origin_pool *pool, const struct server *server)
{
    return server->tcp_down_until_ms > pool->now_ms;
}

struct tcp_connection *tcp_connection_get(struct origin_pool *pool, struct server *server)
{
    if (tcp_is_down(pool, server))
        return NULL;
    for (struct tcp_connection *connection = server->connections; connection != NULL;
         connection = connection->next)
        if (has_room(connection))
            return connection;
    if (server->connection_count >= CONNECTIONS_A_SERVER ||
        pool->connection_count >= CONNECTIONS_MAX)
        return NULL;
    return connection_open(pool, server);
}

/* ---- Sending ---- */

void tcp_queue(struct tcp_connection *connection, const uint8_t *wire, size_t size)
{
    assert(OUT_SIZE - connection->out_end >= LENGTH_SIZE + size);
    knot_wire_write_u16(connection->out + connection->out_end, (uint16_t)size);
    memcpy(connection->out + connection->out_end + LENGTH_SIZE, wire, size);
    connection->out_end += LENGTH_SIZE + size;
}

static bool wants_to_write(const struct tcp_connection *connection)
{
    return connection->is_connected && !connection->waits_to_write && connection->out_end > 0;
}

/* False: the connection is broken. */
static bool connection_write(struct origin_pool *pool, struct tcp_connection *connection)
{
    while (connection->out_begin < connection->out_end) {
        const ssize_t count = send(connection->channel.fd, connection->out + connection->out_begin,
                                   connection->out_end - connection->out_begin, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno != EAGAIN)
            return false;
        if (count < 0) {
            connection->waits_to_write = true;
            connection_watch(pool, connection);
            return true;
        }
        connection->out_begin += (size_t)count;
    }
    connection->out_begin = connection->out_end = 0;
    return true;
}

bool tcp_has_queued(const struct origin_pool *pool)
{
    for (const struct server *server = pool->servers; server != NULL; server = server->next)
        for (const struct tcp_connection *connection = server->connections; connection != NULL;
             connection = connection->next)
            if (wants_to_write(connection))
                return true;
    return false;
}

/* Closing one may open another, at the front of the list, which is not connected yet. */
void tcp_flush(struct origin_pool *pool)
{
    for (struct server *server = pool->servers; server != NULL; server = server->next) {
        struct tcp_connection *next;
        for (struct tcp_connection *connection = server->connections; connection != NULL;
             connection = next) {
            next = connection->next;
            if (wants_to_write(connection) && !connection_write(pool, connection))
                tcp_close(pool, connection);
        }
    }
}

/* ---- Receiving ---- */

/* Hands on every whole message in the buffer: only these are signs of life. */
static void take_messages(struct origin_pool *pool, struct tcp_connection *connection)
{
    size_t at = 0;
    for (;;) {
        const size_t left = connection->in_end - at;
        if (left < LENGTH_SIZE)
            break;
        const size_t size = knot_wire_read_u16(connection->in + at);
        if (left < LENGTH_SIZE + size)
            break;
        const struct arrival arrival = {
            .channel = &connection->channel,
            .wire = connection->in + at + LENGTH_SIZE,
            .size = size,
        };
        question_arrival(pool, &arrival);
        at += LENGTH_SIZE + size;
    }
    if (at > 0) {
        connection->is_hung = false;
        wheel_timer_set(&pool->wheel, &connection->timer, pool->now_ms + SILENCE_MS);
    }
    memmove(connection->in, connection->in + at, connection->in_end - at);
    connection->in_end -= at;
}

/* False: it is closed or broken. */
static bool connection_read(struct origin_pool *pool, struct tcp_connection *connection)
{
    const ssize_t count = recv(connection->channel.fd, connection->in + connection->in_end,
                               IN_SIZE - connection->in_end, 0);
    if (count < 0)
        return errno == EAGAIN || errno == EINTR;
    if (count == 0)
        return false;
    connection->in_end += (size_t)count;
    take_messages(pool, connection);
    return true;
}

static bool connection_connected(struct origin_pool *pool, struct tcp_connection *connection)
{
    int code = 0;
    socklen_t size = sizeof(code);
    if (getsockopt(connection->channel.fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0 || code != 0)
        return false;
    connection->is_connected = true;
    connection->waits_to_write = false;
    connection_watch(pool, connection);
    return connection_write(pool, connection);
}

void tcp_ready(struct origin_pool *pool, struct tcp_connection *connection, uint32_t events)
{
    bool is_alive = true;
    if ((events & (EPOLLOUT | EPOLLERR)) != 0 && connection->waits_to_write)
        is_alive = connection_connected(pool, connection);
    if (is_alive && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
        is_alive = connection_read(pool, connection);
    if (!is_alive)
        tcp_close(pool, connection);
}
