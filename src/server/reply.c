#include "server/reply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

#include "server/worker_internal.h"

/* Datagrams of one system call. */
#define RUN_MAX 64

/* Sends the datagrams, all by one socket. Who sends does not wait: others' answers do. */
static void send_run(int fd, struct mmsghdr *messages, unsigned count)
{
    for (unsigned done = 0; done < count;) {
        int rc = sendmmsg(fd, messages + done, count - done, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (rc > 0)
            done += (unsigned)rc;
        else if (errno == EAGAIN)
            return;
        else if (errno != EINTR)
            done++; /* what cannot be sent is left out, and the others go on */
    }
}

/* Sends datagrams from the first on, as long as they go by the same socket; returns how many. */
static size_t send_datagrams(const struct reply *replies, size_t count)
{
    struct mmsghdr messages[RUN_MAX];
    struct iovec parts[RUN_MAX];
    const int fd = replies[0].route->fd;
    size_t at = 0;
    unsigned run = 0;
    for (; at < count && run < RUN_MAX; at++) {
        const struct reply *reply = &replies[at];
        const struct reply_route *route = reply->route;
        if (route->transport != TRANSPORT_UDP || route->fd != fd)
            break;
        if (reply->size == 0)
            continue;
        parts[run] = (struct iovec){.iov_base = (void *)reply->wire, .iov_len = reply->size};
        messages[run] = (struct mmsghdr){
            .msg_hdr = {
                .msg_name = (void *)&route->peer,
                .msg_namelen = route->peer_size,
                .msg_iov = &parts[run],
                .msg_iovlen = 1,
                .msg_control = route->control_size > 0 ? (void *)route->control : NULL,
                .msg_controllen = route->control_size,
            }};
        run++;
    }
    send_run(fd, messages, run);
    return at;
}

/* Hands a reply to the worker that has the connection. Without memory it is lost: the worker then
 * gives the connection up in time. */
static void send_stream(const struct reply *reply)
{
    struct worker *worker = reply->route->worker;
    struct late_reply *late = malloc(sizeof(*late) + 2 + reply->size);
    if (late == NULL) {
        if (reply->watch != NULL)
            reply->watch->done(reply->watch, false);
        return;
    }
    cds_wfcq_node_init(&late->node);
    late->connection = reply->route->connection;
    late->next = reply->next;
    late->watch = reply->watch;
    late->size = 0;
    if (reply->size > 0) {
        late->octets[0] = (uint8_t)(reply->size >> 8);
        late->octets[1] = (uint8_t)reply->size;
        memcpy(late->octets + 2, reply->wire, reply->size);
        late->size = 2 + reply->size;
    }
    /* Only who finds the queue empty need wake the worker. */
    if (!cds_wfcq_enqueue(&worker->late_head, &worker->late_tail, &late->node))
        (void)eventfd_write(worker->late.fd, 1);
}

void reply_send(const struct reply *replies, size_t count)
{
    while (count > 0) {
        size_t sent = 1;
        if (replies->route->transport == TRANSPORT_UDP)
            sent = send_datagrams(replies, count);
        else
            send_stream(replies);
        replies += sent;
        count -= sent;
    }
}
