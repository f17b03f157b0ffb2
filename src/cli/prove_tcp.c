#include "cli/prove_exchange_internal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TCP_MESSAGE_SIZE_MAX 65535

/* After a connection that failed: a server that takes none must not be asked for one in a loop. */
#define TCP_RETRY_PAUSE_US 50000

void tcp_init(struct exchange *exchange, enum exchange_side side)
{
    for (unsigned i = 0; i < TCP_STREAMS; i++)
        exchange->sides[side].streams[i].fd = -1;
}

static int stream_watch(struct exchange *exchange, enum exchange_side side, unsigned index,
                        int operation)
{
    struct tcp_stream *stream = &exchange->sides[side].streams[index];
    bool wants_out = !stream->connected || stream->out_sent < stream->out_size;
    struct epoll_event event = {.events = EPOLLIN | (wants_out ? (uint32_t)EPOLLOUT : 0),
                                .data.u64 = channel_tag(CHANNEL_TCP, side, index)};
    return epoll_ctl(exchange->epoll, operation, stream->fd, &event);
}

/* Closes the stream; what it carried is queued again or, after its last try, through. */
static void stream_close(struct exchange *exchange, enum exchange_side side, unsigned index)
{
    struct side *self = &exchange->sides[side];
    struct tcp_stream *stream = &self->streams[index];
    if (stream->fd < 0)
        return;

    close(stream->fd);
    stream->fd = -1;
    stream->connected = false;
    stream->in_size = stream->out_size = stream->out_sent = 0;
    free(TAKE(stream->in));
    if (stream->outstanding == 0)
        return;

    stream->outstanding = 0;
    for (uint32_t i = 0; i < exchange->slot_used; i++) {
        struct slot *slot = &exchange->slots[i];
        struct query *query = &slot->queries[side];
        if (slot->state != SLOT_ACTIVE || query->state != QUERY_TCP || query->channel != index)
            continue;
        if (query->tries >= TCP_TRIES_MAX) {
            query_finish(exchange, slot, side, EXCHANGE_TCP_FAILED, NULL, 0);
        } else {
            query->state = QUERY_TCP_QUEUED;
            self->tcp_queued++;
        }
    }
}

void tcp_close(struct exchange *exchange, enum exchange_side side)
{
    for (unsigned i = 0; i < TCP_STREAMS; i++) {
        struct tcp_stream *stream = &exchange->sides[side].streams[i];
        if (stream->fd >= 0)
            close(stream->fd);
        free(stream->in);
        *stream = (struct tcp_stream){.fd = -1};
    }
}

static int stream_open(struct exchange *exchange, enum exchange_side side, unsigned index)
{
    struct side *self = &exchange->sides[side];
    struct tcp_stream *stream = &self->streams[index];

    stream->in = malloc(2 + TCP_MESSAGE_SIZE_MAX);
    if (stream->in == NULL)
        return -ENOMEM;
    stream->fd =
        socket(self->address.socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (stream->fd < 0) {
        free(TAKE(stream->in));
        return -errno;
    }

    int on = 1;
    (void)setsockopt(stream->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    stream->connected = false;
    stream->in_size = stream->out_size = stream->out_sent = 0;
    stream->outstanding = 0;
    if ((connect(stream->fd, (const struct sockaddr *)&self->address.socket, self->address.size) <
             0 &&
         errno != EINPROGRESS) ||
        stream_watch(exchange, side, index, EPOLL_CTL_ADD) < 0) {
        stream_close(exchange, side, index);
        return -ECONNREFUSED;
    }
    return 0;
}

void tcp_queue(struct exchange *exchange, struct slot *slot, enum exchange_side side)
{
    struct query *query = &slot->queries[side];
    query->state = QUERY_TCP_QUEUED;
    query->tries = 0;
    query->over_tcp = true;
    query->due_us = exchange->now_us + exchange->options.timeout_ms * UINT64_C(1000);
    exchange->sides[side].tcp_queued++;
    exchange->counts.over_tcp[side]++;
}

/* The stream that has the fewest queries under way; an unused one is opened before any of them
 * carries many. Returns -1 if there is no room. */
static int stream_choose(struct exchange *exchange, enum exchange_side side)
{
    struct side *self = &exchange->sides[side];
    int best = -1, closed = -1;
    for (int i = 0; i < TCP_STREAMS; i++) {
        struct tcp_stream *stream = &self->streams[i];
        if (stream->fd < 0)
            closed = i;
        else if (stream->outstanding < TCP_PIPELINE_MAX &&
                 stream->out_size + 2 + QUERY_SIZE_MAX <= sizeof(stream->out) &&
                 (best < 0 || stream->outstanding < self->streams[best].outstanding))
            best = i;
    }

    bool busy = best < 0 || self->streams[best].outstanding >= TCP_PIPELINE_MAX / 4;
    if (closed < 0 || !busy || exchange->now_us < self->tcp_retry_us)
        return best;
    if (stream_open(exchange, side, (unsigned)closed) < 0) {
        self->tcp_retry_us = exchange->now_us + TCP_RETRY_PAUSE_US;
        return best;
    }
    return closed;
}

/* Returns false if the stream failed and was closed. */
static bool stream_flush(struct exchange *exchange, enum exchange_side side, unsigned index)
{
    struct tcp_stream *stream = &exchange->sides[side].streams[index];
    while (stream->connected && stream->out_sent < stream->out_size) {
        ssize_t sent = send(stream->fd, stream->out + stream->out_sent,
                            stream->out_size - stream->out_sent, MSG_NOSIGNAL);
        if (sent > 0) {
            stream->out_sent += (size_t)sent;
        } else if (errno == EAGAIN) {
            break;
        } else if (errno != EINTR) {
            stream_close(exchange, side, index);
            return false;
        }
    }
    if (stream->out_sent == stream->out_size)
        stream->out_sent = stream->out_size = 0;
    if (stream_watch(exchange, side, index, EPOLL_CTL_MOD) < 0) {
        stream_close(exchange, side, index);
        return false;
    }
    return true;
}

void tcp_pump(struct exchange *exchange, enum exchange_side side)
{
    struct side *self = &exchange->sides[side];
    bool touched[TCP_STREAMS] = {false};

    for (uint32_t i = 0; i < exchange->slot_used && self->tcp_queued > 0; i++) {
        struct slot *slot = &exchange->slots[i];
        struct query *query = &slot->queries[side];
        if (slot->state != SLOT_ACTIVE || query->state != QUERY_TCP_QUEUED)
            continue;

        int chosen = stream_choose(exchange, side);
        if (chosen < 0)
            break;
        struct tcp_stream *stream = &self->streams[chosen];
        uint8_t *out = stream->out + stream->out_size;
        size_t size = query_write(out + 2, slot, side);
        out[0] = (uint8_t)(size >> 8);
        out[1] = (uint8_t)size;
        stream->out_size += 2 + size;
        stream->outstanding++;
        touched[chosen] = true;

        query->state = QUERY_TCP;
        query->channel = (uint8_t)chosen;
        query->tries++;
        query->due_us = exchange->now_us + exchange->options.timeout_ms * UINT64_C(1000);
        self->tcp_queued--;
    }

    for (unsigned i = 0; i < TCP_STREAMS; i++)
        if (touched[i] && self->streams[i].fd >= 0)
            stream_flush(exchange, side, i);
}

static void stream_take(struct exchange *exchange, enum exchange_side side, unsigned index,
                        uint8_t *message, size_t size)
{
    struct slot *slot = query_match(exchange, side, message, size);
    struct query *query = slot != NULL ? &slot->queries[side] : NULL;
    if (query == NULL || query->state != QUERY_TCP || query->channel != index) {
        exchange->counts.stray++;
        return;
    }
    exchange->sides[side].streams[index].outstanding--;
    exchange->sides[side].silent_streak = 0;
    query_finish(exchange, slot, side, EXCHANGE_ANSWERED, message, size);
}

static void stream_read(struct exchange *exchange, enum exchange_side side, unsigned index)
{
    struct tcp_stream *stream = &exchange->sides[side].streams[index];
    ssize_t got = recv(stream->fd, stream->in + stream->in_size,
                       2 + TCP_MESSAGE_SIZE_MAX - stream->in_size, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        stream_close(exchange, side, index);
        return;
    }

    stream->in_size += (size_t)got;
    size_t taken = 0;
    while (stream->in_size - taken >= 2) {
        uint8_t *message = stream->in + taken + 2;
        size_t size = (size_t)stream->in[taken] << 8 | stream->in[taken + 1];
        if (stream->in_size - taken - 2 < size)
            break;
        stream_take(exchange, side, index, message, size);
        taken += 2 + size;
    }
    memmove(stream->in, stream->in + taken, stream->in_size - taken);
    stream->in_size -= taken;
}

void tcp_event(struct exchange *exchange, enum exchange_side side, unsigned index, uint32_t events)
{
    struct side *self = &exchange->sides[side];
    struct tcp_stream *stream = &self->streams[index];
    if (stream->fd < 0)
        return;

    if (!stream->connected && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
        int code = 0;
        socklen_t size = sizeof(code);
        if (getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &code, &size) < 0 || code != 0) {
            self->tcp_retry_us = exchange->now_us + TCP_RETRY_PAUSE_US;
            stream_close(exchange, side, index);
            return;
        }
        stream->connected = true;
    }
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        stream_read(exchange, side, index);
    if (stream->fd >= 0 && events & EPOLLOUT)
        stream_flush(exchange, side, index);
}

void tcp_expire(struct exchange *exchange, struct slot *slot, enum exchange_side side)
{
    struct query *query = &slot->queries[side];
    if (query->state == QUERY_TCP_QUEUED) {
        exchange->sides[side].tcp_queued--;
        query_finish(exchange, slot, side, EXCHANGE_TCP_FAILED, NULL, 0);
        return;
    }
    /* A stream that keeps one answer back may be stuck: the others on it get a new one. */
    query->tries = TCP_TRIES_MAX;
    stream_close(exchange, side, query->channel);
}
