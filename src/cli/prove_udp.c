#include "cli/prove_exchange_internal.h"

#include <errno.h>
#include <libknot/libknot.h>
#include <string.h>
#include <unistd.h>

/* Asked of the kernel for each socket; it gives what its limit allows. Answers to a whole window
 * then wait here while a batch of others is compared. */
#define UDP_BUFFER_SIZE (4 << 20)

#define WIRE_TC 0x02 /* in the third octet of the header */

static int udp_socket_open(const struct exchange_address *address)
{
    int fd = socket(address->socket.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;

    int size = UDP_BUFFER_SIZE;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));

    /* A connected socket takes datagrams from this one address only. */
    if (connect(fd, (const struct sockaddr *)&address->socket, address->size) < 0) {
        int code = -errno;
        close(fd);
        return code;
    }
    return fd;
}

int udp_open(struct exchange *exchange, enum exchange_side side, struct error *ret_error)
{
    struct side *self = &exchange->sides[side];
    for (unsigned i = 0; i < UDP_SOCKETS; i++) {
        struct udp_socket *socket = &self->sockets[i];
        int fd = udp_socket_open(&self->address);
        if (fd < 0)
            return error_set(ret_error, fd, "cannot open a UDP socket towards the %s: %s",
                             side == EXCHANGE_FRONT ? "front" : "origin", strerror(-fd));
        socket->fd = fd;
        for (unsigned k = 0; k < UDP_BATCH; k++) {
            socket->vectors[k].iov_base = socket->octets[k];
            socket->messages[k].msg_hdr.msg_iov = &socket->vectors[k];
            socket->messages[k].msg_hdr.msg_iovlen = 1;
        }

        struct epoll_event event = {.events = EPOLLIN,
                                    .data.u64 = channel_tag(CHANNEL_UDP, side, i)};
        if (epoll_ctl(exchange->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
            return error_set(ret_error, -errno, "cannot watch a socket: %s", strerror(errno));
    }
    return 0;
}

void udp_close(struct exchange *exchange, enum exchange_side side)
{
    for (unsigned i = 0; i < UDP_SOCKETS; i++) {
        int fd = exchange->sides[side].sockets[i].fd;
        if (fd >= 0)
            close(fd);
    }
}

static void udp_socket_flush(struct udp_socket *socket)
{
    unsigned sent = 0;
    unsigned errors = 0;
    while (sent < socket->pending) {
        int count = sendmmsg(socket->fd, socket->messages + sent, socket->pending - sent, 0);
        if (count > 0) {
            sent += (unsigned)count;
            continue;
        }
        /* A refusal that arrived earlier (ICMP) is reported by the next call and is then gone.
         * Anything else, a full buffer for one, is a loss: the query is sent again in time. */
        if (errno != EINTR && (errno != ECONNREFUSED || ++errors > UDP_BATCH))
            break;
    }
    socket->pending = 0;
}

void udp_flush(struct exchange *exchange, enum exchange_side side)
{
    for (unsigned i = 0; i < UDP_SOCKETS; i++)
        if (exchange->sides[side].sockets[i].pending > 0)
            udp_socket_flush(&exchange->sides[side].sockets[i]);
}

void udp_send(struct exchange *exchange, struct slot *slot, enum exchange_side side)
{
    struct side *self = &exchange->sides[side];
    struct query *query = &slot->queries[side];

    if (query->tries == 0) {
        query->channel = (uint8_t)self->socket_next;
        self->socket_next = (self->socket_next + 1) % UDP_SOCKETS;
    }
    struct udp_socket *socket = &self->sockets[(query->channel + query->tries) % UDP_SOCKETS];
    if (socket->pending == UDP_BATCH)
        udp_socket_flush(socket);

    socket->vectors[socket->pending].iov_len =
        query_write(socket->octets[socket->pending], slot, side);
    socket->pending++;

    query->state = QUERY_UDP;
    query->sent_us[query->tries++] = exchange->now_us;
    exchange->counts.queries_sent[side]++;
}

/* Learns from an answer (RFC 6298, 2). */
static void round_trip_learn(struct side *side, uint64_t sample_us)
{
    if (sample_us == 0)
        sample_us = 1;
    if (side->rtt_min_us == 0 || sample_us < side->rtt_min_us)
        side->rtt_min_us = sample_us;
    if (side->rtt_us == 0) {
        side->rtt_us = sample_us;
        side->rtt_variance_us = sample_us / 2;
        return;
    }
    uint64_t error_us =
        sample_us > side->rtt_us ? sample_us - side->rtt_us : side->rtt_us - sample_us;
    side->rtt_variance_us = (3 * side->rtt_variance_us + error_us) / 4;
    side->rtt_us = (7 * side->rtt_us + sample_us) / 8;
}

static void udp_take(struct exchange *exchange, enum exchange_side side, unsigned index,
                     uint8_t *message, size_t size)
{
    struct slot *slot = query_match(exchange, side, message, size);
    struct query *query = slot != NULL ? &slot->queries[side] : NULL;
    unsigned sent =
        query != NULL ? (index + UDP_SOCKETS - query->channel) % UDP_SOCKETS : UDP_TRIES_MAX;
    if (query == NULL || query->state != QUERY_UDP || sent >= query->tries) {
        exchange->counts.stray++;
        return;
    }

    uint64_t round_trip_us = exchange->now_us - query->sent_us[sent];
    exchange->sides[side].silent_streak = 0;
    round_trip_learn(&exchange->sides[side], round_trip_us);
    /* A front's round trips tell little: what it knows comes at once, and for the rest it asks the
     * origin. Where both sides are the front, though, they are all there is. */
    if (side == EXCHANGE_ORIGIN)
        pace_answered(exchange->pace, round_trip_us);
    if ((message[3] & 0xf) == KNOT_RCODE_SERVFAIL)
        pace_failed(exchange->pace);

    if (message[2] & WIRE_TC)
        tcp_queue(exchange, slot, side);
    else
        query_finish(exchange, slot, side, EXCHANGE_ANSWERED, message, size);
}

void udp_receive(struct exchange *exchange, enum exchange_side side, unsigned index)
{
    int fd = exchange->sides[side].sockets[index].fd;

    /* Refusals (ICMP) are taken off the socket; the timers tell what they mean for a question. */
    int count = recvmmsg(fd, exchange->in_messages, UDP_BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++)
        udp_take(exchange, side, index, exchange->in_octets[i], exchange->in_messages[i].msg_len);
}
