/* Datagrams in batches, from ports that nobody can foresee. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "front/origin_internal.h"

/* Questions from one port, at the least; twice that at most. A port that is found out is of use for
 * a moment only. */
#define ASKS_A_PORT 4096

/* Rounds on one socket before the others have their turn. */
#define ROUNDS_MAX 4

/* Answers to a full pool of questions that come while the thread sleeps. */
#define RECEIVE_BUFFER_SIZE (1 << 20)

/* linux/in.h and linux/in6.h, which cannot be included beside netinet/in.h. */
#ifndef IP_RECVFRAGSIZE
#define IP_RECVFRAGSIZE 25
#endif
#ifndef IPV6_RECVFRAGSIZE
#define IPV6_RECVFRAGSIZE 77
#endif

static struct udp_family *family_of(struct origin_pool *pool, sa_family_t family)
{
    return &pool->families[family == AF_INET6];
}

static int socket_prepare(int fd, sa_family_t family)
{
    const int on = 1, size = RECEIVE_BUFFER_SIZE;
    /* What cannot be had here is made up for: the buffer is smaller, fragments stay unseen. */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    if (family == AF_INET)
        (void)setsockopt(fd, IPPROTO_IP, IP_RECVFRAGSIZE, &on, sizeof(on));
    else
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVFRAGSIZE, &on, sizeof(on));

    union origin_address any = {.any.sa_family = family};
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
        return -errno;
    /* Port 0: the kernel draws one from its range at random. */
    return bind(fd, &any.any, family == AF_INET ? sizeof(any.ipv4) : sizeof(any.ipv6)) < 0 ? -errno
                                                                                           : 0;
}

static void socket_close(struct udp_socket *socket)
{
    if (socket->channel.fd >= 0)
        close(socket->channel.fd);
    free(socket);
}

static int socket_open(struct origin_pool *pool, sa_family_t family, struct udp_socket **ret_socket)
{
    struct udp_socket *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return -ENOMEM;
    made->channel.number = ++pool->channels_made;
    made->asks_left = ASKS_A_PORT + random_u16(&pool->random) % ASKS_A_PORT;
    made->channel.fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    int rc = made->channel.fd < 0 ? -errno : socket_prepare(made->channel.fd, family);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &made->channel};
    if (rc == 0 && epoll_ctl(pool->epoll_fd, EPOLL_CTL_ADD, made->channel.fd, &event) < 0)
        rc = -errno;
    if (rc < 0) {
        socket_close(made);
        return rc;
    }
    *ret_socket = made;
    return 0;
}

int udp_family_open(struct origin_pool *pool, sa_family_t family)
{
    struct udp_family *sockets = family_of(pool, family);
    if (sockets->count > 0)
        return 0;
    if (sockets->sockets == NULL)
        sockets->sockets = calloc(pool->options.sockets, sizeof(*sockets->sockets));
    if (sockets->sockets == NULL)
        return -ENOMEM;
    while (sockets->count < pool->options.sockets) {
        const int rc = socket_open(pool, family, &sockets->sockets[sockets->count]);
        if (rc < 0 && sockets->count == 0)
            return rc;
        if (rc < 0)
            break; /* fewer ports than wished for; the limit of descriptors, most likely */
        sockets->count++;
    }
    return 0;
}

void udp_close_retired(struct origin_pool *pool)
{
    for (unsigned i = 0; i < 2; i++) {
        for (struct udp_socket **place = &pool->families[i].retired; *place != NULL;) {
            struct udp_socket *socket = *place;
            if (socket->channel.in_flight > 0) {
                place = &socket->next_retired;
                continue;
            }
            *place = socket->next_retired;
            socket_close(socket);
        }
    }
}

void udp_close(struct origin_pool *pool)
{
    udp_close_retired(pool);
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned j = 0; j < pool->families[i].count; j++)
            socket_close(pool->families[i].sockets[j]);
        free(pool->families[i].sockets);
    }
}

/* ---- Sending ---- */

/* A port at random; one that was used enough gives way to a new one first. */
static struct udp_socket *socket_draw(struct origin_pool *pool, sa_family_t family)
{
    struct udp_family *sockets = family_of(pool, family);
    struct udp_socket **drawn = &sockets->sockets[random_u16(&pool->random) % sockets->count];
    struct udp_socket *fresh;

    if ((*drawn)->asks_left == 0 && socket_open(pool, family, &fresh) == 0) {
        (*drawn)->next_retired = sockets->retired;
        sockets->retired = *drawn;
        *drawn = fresh;
    }
    return *drawn;
}

/* What the system does not take is lost, as on the way anywhere. */
static void batch_send(struct udp_batch *batch)
{
    for (unsigned sent = 0; sent < batch->count;) {
        const int count = sendmmsg(batch->socket->channel.fd, batch->messages + sent,
                                   batch->count - sent, MSG_DONTWAIT);
        if (count < 0 && errno == EINTR)
            continue;
        sent += count > 0 ? (unsigned)count : 1;
    }
    batch->count = 0;
}

struct channel *udp_reserve(struct origin_pool *pool, const struct server *server,
                            uint8_t **ret_wire)
{
    const sa_family_t family = server->address.any.sa_family;
    struct udp_batch *batch = &family_of(pool, family)->batch;
    if (batch->count == UDP_BATCH)
        batch_send(batch);
    if (batch->count == 0)
        batch->socket = socket_draw(pool, family);
    *ret_wire = batch->wires[batch->count];
    return &batch->socket->channel;
}

void udp_queue(struct origin_pool *pool, const struct server *server, size_t size)
{
    struct udp_batch *batch = &family_of(pool, server->address.any.sa_family)->batch;
    const unsigned i = batch->count++;
    batch->vectors[i] = (struct iovec){.iov_base = batch->wires[i], .iov_len = size};
    batch->messages[i].msg_hdr = (struct msghdr){
        .msg_name = (void *)&server->address,
        .msg_namelen = server->address_size,
        .msg_iov = &batch->vectors[i],
        .msg_iovlen = 1,
    };
    if (batch->socket->asks_left > 0)
        batch->socket->asks_left--;
}

bool udp_has_queued(const struct origin_pool *pool)
{
    return pool->families[0].batch.count > 0 || pool->families[1].batch.count > 0;
}

void udp_flush(struct origin_pool *pool)
{
    for (unsigned i = 0; i < 2; i++)
        if (pool->families[i].batch.count > 0)
            batch_send(&pool->families[i].batch);
}

/* ---- Receiving ---- */

static bool is_fragmented(struct msghdr *header)
{
    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control != NULL;
         control = CMSG_NXTHDR(header, control))
        if ((control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_RECVFRAGSIZE) ||
            (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_RECVFRAGSIZE))
            return true;
    return false;
}

/* Makes the messages that were used ready to take others. */
static void inbox_prepare(struct udp_inbox *inbox)
{
    for (; inbox->ready_from > 0; inbox->ready_from--) {
        const unsigned i = inbox->ready_from - 1;
        inbox->vectors[i] =
            (struct iovec){.iov_base = inbox->wires[i], .iov_len = DATAGRAM_SIZE_MAX};
        inbox->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &inbox->from[i],
            .msg_namelen = sizeof(inbox->from[i]),
            .msg_iov = &inbox->vectors[i],
            .msg_iovlen = 1,
            .msg_control = inbox->controls[i],
            .msg_controllen = sizeof(inbox->controls[i]),
        };
    }
}

void udp_receive(struct origin_pool *pool, struct udp_socket *socket)
{
    struct udp_inbox *inbox = &pool->inbox;
    int count = UDP_BATCH;

    for (unsigned round = 0; round < ROUNDS_MAX && count == UDP_BATCH; round++) {
        inbox_prepare(inbox);
        count = recvmmsg(socket->channel.fd, inbox->messages, UDP_BATCH, MSG_DONTWAIT, NULL);
        inbox->ready_from = count > 0 ? (unsigned)count : 0;
        for (int i = 0; i < count; i++) {
            struct msghdr *header = &inbox->messages[i].msg_hdr;
            const struct arrival arrival = {
                .channel = &socket->channel,
                .from = &inbox->from[i],
                .wire = inbox->wires[i],
                .size = inbox->messages[i].msg_len,
                .is_cut = (header->msg_flags & MSG_TRUNC) != 0 || is_fragmented(header),
            };
            question_arrival(pool, &arrival);
        }
    }
}
