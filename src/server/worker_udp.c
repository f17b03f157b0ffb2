/* UDP in batches: one recvmmsg(), an answer each, one sendmmsg().
 *
 * The batch adapts by itself: recvmmsg() takes what is there, so a lone query is answered at once
 * and a flood fills the batches. All memory is laid out at start and used again for every batch, so
 * that it stays in the core's own cache.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/rcu.h"
#include "server/worker_internal.h"

/* Messages per system call. At 64 the call itself is about 1 % of a query's cost, and the batch's
 * headers and first lines still fit the level-1 cache. */
#define BATCH_MAX 64

/* The largest request read; a larger one is ignored (we announce at most 4096, RFC 6891, 6.2.5). */
#define UDP_REQUEST_MAX 4096

/* What responder_answer() is promised. */
#define UDP_RESPONSE_MAX 4096

/* Buffers 4096 octets apart would all begin in the same set of a level-1 cache, which has 64 sets
 * of 64 octets. Three lines more (prime to 64) spread them over all sets. */
#define BUFFER_STRIDE (4096 + 3 * 64)

/* How long a batch waits for a full send buffer to drain, once, before the rest is dropped as a
 * full queue anywhere on the way would. Others wait meanwhile, hence short. */
#define SEND_WAIT_MS 1

/* Bursts of a whole tick's queries fit without loss (about 10,000 queries). */
#define SOCKET_BUFFER_SIZE (4 * 1024 * 1024)

/* Room for the local address of a wildcard socket's message, IPv4 or IPv6. */
union udp_control {
    struct cmsghdr header;
    uint8_t ipv4[CMSG_SPACE(sizeof(struct in_pktinfo))];
    uint8_t ipv6[CMSG_SPACE(sizeof(struct in6_pktinfo))];
};

struct udp_batch {
    struct mmsghdr received[BATCH_MAX];
    struct mmsghdr replies[BATCH_MAX];
    struct iovec request_parts[BATCH_MAX];
    struct iovec response_parts[BATCH_MAX];
    union peer peers[BATCH_MAX];
    union udp_control controls[BATCH_MAX];
    int fd; /* that the batch came by */
    alignas(64) uint8_t requests[BATCH_MAX][BUFFER_STRIDE];
    alignas(64) uint8_t responses[BATCH_MAX][BUFFER_STRIDE];
};

static_assert(UDP_REQUEST_MAX <= BUFFER_STRIDE && UDP_RESPONSE_MAX <= BUFFER_STRIDE,
              "a message fits its buffer");
static_assert(BUFFER_STRIDE % 64 == 0, "buffers begin on a cache line");
static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port),
              "a port is read without looking at the family");
static_assert(sizeof(union udp_control) == sizeof(((struct reply_route *)NULL)->control) &&
                  sizeof(union peer) == sizeof(((struct reply_route *)NULL)->peer),
              "a route has the room of a message");

static void set_buffer_size(int fd, int option, int option_force)
{
    /* Best effort: without the privilege, net.core.[rw]mem_max caps the size silently. */
    const int size = SOCKET_BUFFER_SIZE;
    if (setsockopt(fd, SOL_SOCKET, option_force, &size, sizeof(size)) < 0)
        (void)setsockopt(fd, SOL_SOCKET, option, &size, sizeof(size));
}

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

int udp_socket_prepare(int fd, const struct worker_address *address)
{
    set_buffer_size(fd, SO_RCVBUF, SO_RCVBUFFORCE);
    set_buffer_size(fd, SO_SNDBUF, SO_SNDBUFFORCE);

    /* The path MTU that ICMP messages claim is not believed: a forged one would make us fragment,
     * and fragments can be forged too. Answers stay below 1232 octets unless configured otherwise
     * (RFC 9715, 3.1).
     *
     * On a wildcard socket the kernel would choose the source address by route, and a client drops
     * an answer that comes from elsewhere: there each message carries its local address. */
    int rc;
    if (address->address.ss_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)&address->address;
        rc = set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_OMIT);
        if (rc == 0 && ipv4->sin_addr.s_addr == htonl(INADDR_ANY))
            rc = set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
    } else {
        const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)&address->address;
        rc = set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_OMIT);
        if (rc == 0 && IN6_IS_ADDR_UNSPECIFIED(&ipv6->sin6_addr))
            rc = set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    }
    return rc;
}

/* Makes slot `i` ready to receive again. The control room is offered on every socket; only wildcard
 * ones fill it. */
static void slot_reset(struct udp_batch *batch, size_t i)
{
    struct msghdr *message = &batch->received[i].msg_hdr;
    message->msg_namelen = sizeof(batch->peers[i]);
    message->msg_controllen = sizeof(batch->controls[i]);
}

struct udp_batch *udp_batch_create(void)
{
    struct udp_batch *batch = NULL;
    if (posix_memalign((void **)&batch, 4096, sizeof(*batch)) != 0)
        return NULL;
    memset(batch, 0, offsetof(struct udp_batch, requests));

    for (size_t i = 0; i < BATCH_MAX; i++) {
        batch->request_parts[i].iov_base = batch->requests[i];
        batch->request_parts[i].iov_len = UDP_REQUEST_MAX;
        batch->received[i].msg_hdr.msg_name = &batch->peers[i];
        batch->received[i].msg_hdr.msg_iov = &batch->request_parts[i];
        batch->received[i].msg_hdr.msg_iovlen = 1;
        batch->received[i].msg_hdr.msg_control = &batch->controls[i];
        batch->replies[i].msg_hdr.msg_iov = &batch->response_parts[i];
        batch->replies[i].msg_hdr.msg_iovlen = 1;
        slot_reset(batch, i);
    }
    return batch;
}

void udp_batch_free(struct udp_batch *batch)
{
    free(batch);
}

/* Turns what came with a request into what goes with its answer: from the same address, but by
 * whatever interface the route says. */
static void control_turn(struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    if (header == NULL)
        return;

    if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(header);
        info->ipi_ifindex = 0;
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
        /* A link-local address means nothing without its interface. */
        struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(header);
        if (!IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr))
            info->ipi6_ifindex = 0;
    }
}

void udp_route(const struct worker *worker, const struct sockaddr *client,
               struct reply_route *ret_route)
{
    const struct udp_batch *batch = worker->udp;
    const size_t i = (size_t)((const union peer *)(const void *)client - batch->peers);
    const struct msghdr *received = &batch->received[i].msg_hdr;
    ret_route->fd = batch->fd;
    ret_route->peer_size = received->msg_namelen;
    ret_route->control_size = received->msg_controllen;
    memcpy(&ret_route->peer, &batch->peers[i], sizeof(ret_route->peer));
    memcpy(ret_route->control, &batch->controls[i], sizeof(ret_route->control));
    struct msghdr turned = {.msg_control = ret_route->control,
                            .msg_controllen = ret_route->control_size};
    control_turn(&turned);
}

static size_t answer_slot(struct worker *worker, size_t i, int64_t now)
{
    struct udp_batch *batch = worker->udp;

    /* Nothing can be sent to port 0: such a request is forged. A cut one has lost its meaning. */
    if ((batch->received[i].msg_hdr.msg_flags & MSG_TRUNC) != 0 ||
        batch->peers[i].ipv4.sin_port == 0)
        return 0;

    return worker->answer(worker->context, batch->requests[i], batch->received[i].msg_len,
                          &batch->peers[i].any, TRANSPORT_UDP, now, batch->responses[i],
                          UDP_RESPONSE_MAX);
}

/* Answers the first `count` slots. Returns how many replies are ready to send. */
static unsigned answer_batch(struct worker *worker, unsigned count)
{
    struct udp_batch *batch = worker->udp;
    const int64_t now = worker_unix_now();
    unsigned replies = 0;

    for (size_t i = 0; i < count; i++) {
        struct msghdr *received = &batch->received[i].msg_hdr;
        size_t size = answer_slot(worker, i, now);
        if (size > 0) {
            struct msghdr *reply = &batch->replies[replies].msg_hdr;
            batch->response_parts[replies].iov_base = batch->responses[i];
            batch->response_parts[replies].iov_len = size;
            reply->msg_name = &batch->peers[i];
            reply->msg_namelen = received->msg_namelen;
            reply->msg_control = NULL;
            reply->msg_controllen = received->msg_controllen;
            if (received->msg_controllen > 0) {
                control_turn(received);
                reply->msg_control = received->msg_control;
            }
            replies++;
        }
        slot_reset(batch, i);
    }
    return replies;
}

/* Sends `count` replies; returns how many the system took. UDP may drop: a reply that cannot be
 * sent (no route, refused by a filter, no buffer) is left out and the others go on. */
static unsigned send_batch(int fd, struct mmsghdr *replies, unsigned count)
{
    unsigned done = 0, sent = 0;
    bool waited = false;

    while (done < count) {
        int rc = sendmmsg(fd, replies + done, count - done, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (rc > 0) {
            done += (unsigned)rc;
            sent += (unsigned)rc;
        } else if (errno == EAGAIN) {
            struct pollfd room = {.fd = fd, .events = POLLOUT};
            if (waited || poll(&room, 1, SEND_WAIT_MS) <= 0)
                break;
            waited = true;
        } else if (errno != EINTR) {
            done++;
        }
    }
    return sent;
}

void udp_serve(struct worker *worker, int fd, unsigned rounds_max)
{
    struct udp_batch *batch = worker->udp;
    batch->fd = fd;

    for (unsigned round = 0; round < rounds_max; round++) {
        /* An error of an earlier datagram (ICMP) may surface here; it says nothing about the next.
         */
        int received = recvmmsg(fd, batch->received, BATCH_MAX, MSG_DONTWAIT, NULL);
        if (received <= 0)
            return;

        unsigned replies = answer_batch(worker, (unsigned)received);
        unsigned sent = send_batch(fd, batch->replies, replies);

        struct worker_counters *counters = &worker->counters;
        counter_add(&counters->udp_batches, 1);
        counter_add(&counters->udp_requests, (uint64_t)received);
        counter_add(&counters->udp_responses, sent);
        if (sent < replies)
            counter_add(&counters->udp_dropped, replies - sent);

        rcu_quiescent_state();
        if (received < BATCH_MAX)
            return;
    }
}
