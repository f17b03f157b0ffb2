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

/* Message i brings request i and takes its response away: what the kernel has just written is what
 * it reads next. Most responses even take the request's place. */
struct udp_batch {
    struct mmsghdr messages[BATCH_MAX];
    struct iovec parts[BATCH_MAX];
    union peer peers[BATCH_MAX];
    union udp_control controls[BATCH_MAX];
    struct responder_datagram datagrams[BATCH_MAX];
    int fd; /* that the batch came by */
    alignas(64) uint8_t requests[BATCH_MAX][BUFFER_STRIDE];
    alignas(64) uint8_t spares[BATCH_MAX][BUFFER_STRIDE];
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

/* Makes message `i` ready to receive again. The control room is offered on every socket; only
 * wildcard ones fill it. */
static inline void message_reset(struct udp_batch *batch, size_t i)
{
    struct msghdr *message = &batch->messages[i].msg_hdr;
    message->msg_namelen = sizeof(batch->peers[i]);
    message->msg_controllen = sizeof(batch->controls[i]);
    batch->parts[i] = (struct iovec){.iov_base = batch->requests[i], .iov_len = UDP_REQUEST_MAX};
}

struct udp_batch *udp_batch_create(void)
{
    struct udp_batch *batch = NULL;
    if (posix_memalign((void **)&batch, 4096, sizeof(*batch)) != 0)
        return NULL;
    memset(batch, 0, offsetof(struct udp_batch, requests));

    for (size_t i = 0; i < BATCH_MAX; i++) {
        batch->messages[i].msg_hdr.msg_name = &batch->peers[i];
        batch->messages[i].msg_hdr.msg_iov = &batch->parts[i];
        batch->messages[i].msg_hdr.msg_iovlen = 1;
        batch->messages[i].msg_hdr.msg_control = &batch->controls[i];
        batch->datagrams[i] = (struct responder_datagram){.request = batch->requests[i],
                                                          .client = &batch->peers[i].any,
                                                          .spare = batch->spares[i]};
        message_reset(batch, i);
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
    const struct msghdr *received = &batch->messages[i].msg_hdr;
    ret_route->fd = batch->fd;
    ret_route->peer_size = received->msg_namelen;
    ret_route->control_size = received->msg_controllen;
    memcpy(&ret_route->peer, &batch->peers[i], sizeof(ret_route->peer));
    memcpy(ret_route->control, &batch->controls[i], sizeof(ret_route->control));
    struct msghdr turned = {.msg_control = ret_route->control,
                            .msg_controllen = ret_route->control_size};
    control_turn(&turned);
}

static void answer_each(struct worker *worker, struct responder_datagram *datagrams, size_t count,
                        int64_t now)
{
    for (size_t i = 0; i < count; i++) {
        struct responder_datagram *datagram = &datagrams[i];
        datagram->response = datagram->spare;
        datagram->response_size = worker->answer(
            worker->context, datagram->request, datagram->request_size, datagram->client,
            TRANSPORT_UDP, now, datagram->response, UDP_RESPONSE_MAX);
    }
}

/* Answers the first `count` messages, which then are the replies; one that gets none has no
 * response_size. */
static void answer_batch(struct worker *worker, unsigned count)
{
    struct udp_batch *batch = worker->udp;
    const int64_t now = worker_unix_now();

    for (size_t i = 0; i < count; i++) {
        /* Nothing can be sent to port 0: such a request is forged. A cut one has lost its meaning.
         * Without its octets neither gets an answer. */
        bool is_unusable = (batch->messages[i].msg_hdr.msg_flags & MSG_TRUNC) != 0 ||
                           batch->peers[i].ipv4.sin_port == 0;
        batch->datagrams[i].request_size = is_unusable ? 0 : batch->messages[i].msg_len;
    }
    if (worker->answer_batch != NULL)
        worker->answer_batch(worker->context, batch->datagrams, count, now, UDP_RESPONSE_MAX);
    else
        answer_each(worker, batch->datagrams, count, now);

    for (size_t i = 0; i < count; i++) {
        const struct responder_datagram *datagram = &batch->datagrams[i];
        batch->parts[i] =
            (struct iovec){.iov_base = datagram->response, .iov_len = datagram->response_size};
        if (batch->messages[i].msg_hdr.msg_controllen > 0)
            control_turn(&batch->messages[i].msg_hdr);
    }
}

/* Sends `count` replies in a row; returns how many the system took. UDP may drop: a reply that
 * cannot be sent (no route, refused by a filter, no buffer) is left out and the others go on.
 * *waited tells whether the batch has waited for room. */
static unsigned send_run(int fd, struct mmsghdr *replies, unsigned count, bool *waited)
{
    unsigned done = 0, sent = 0;

    while (done < count) {
        int rc = sendmmsg(fd, replies + done, count - done, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (rc > 0) {
            done += (unsigned)rc;
            sent += (unsigned)rc;
        } else if (errno == EAGAIN) {
            struct pollfd room = {.fd = fd, .events = POLLOUT};
            if (*waited || poll(&room, 1, SEND_WAIT_MS) <= 0)
                break;
            *waited = true;
        } else if (errno != EINTR) {
            done++;
        }
    }
    return sent;
}

/* Sends the replies among the first `count` messages; mostly all are, and one call takes them.
 * Returns how many the system took, sets how many there were. */
static unsigned send_batch(struct udp_batch *batch, int fd, unsigned count, unsigned *ret_replies)
{
    unsigned sent = 0, replies = 0;
    bool waited = false;

    for (unsigned at = 0; at < count;) {
        unsigned end = at;
        while (end < count && batch->datagrams[end].response_size > 0)
            end++;
        if (end > at)
            sent += send_run(fd, batch->messages + at, end - at, &waited);
        replies += end - at;
        at = end + 1;
    }
    *ret_replies = replies;
    return sent;
}

void udp_serve(struct worker *worker, int fd, unsigned rounds_max)
{
    struct udp_batch *batch = worker->udp;
    batch->fd = fd;

    for (unsigned round = 0; round < rounds_max; round++) {
        /* An error of an earlier datagram (ICMP) may surface here; it says nothing about the next.
         */
        int received = recvmmsg(fd, batch->messages, BATCH_MAX, MSG_DONTWAIT, NULL);
        if (received <= 0)
            return;

        unsigned replies;
        answer_batch(worker, (unsigned)received);
        unsigned sent = send_batch(batch, fd, (unsigned)received, &replies);
        for (int i = 0; i < received; i++)
            message_reset(batch, (size_t)i);

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
