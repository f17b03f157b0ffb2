/* The connection to the name server: a TCP stream of messages with their length in front (RFC 1035,
 * 4.2.2), non-blocking.
 *
 * TCP and not UDP: a message of some hundred changes has no room in a datagram, several can be on
 * their way without a loss that has to be waited for, and a server that is gone shows at once. */
#include <errno.h>
#include <libknot/wire.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "desk/dns_updater_internal.h"

#define ROOM (LENGTH_SIZE + UPDATE_OCTETS_MAX + SIGNATURE_OCTETS_MAX)

static int link_watch(struct dns_link *link, int operation, bool wants_write)
{
    struct epoll_event event = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0), .data.ptr = link};
    if (epoll_ctl(link->epoll_fd, operation, link->fd, &event) < 0)
        return -errno;
    link->wants_write = wants_write;
    return 0;
}

int dns_link_connect(struct dns_link *link, const struct sockaddr *address, socklen_t size)
{
    const int yes = 1;
    link->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0)
        return -errno;
    link->state = LINK_CONNECTING;
    link->out_begin = link->out_end = link->in_begin = link->in_end = 0;
    (void)setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    int rc = connect(link->fd, address, size) == 0 || errno == EINPROGRESS ? 0 : -errno;
    if (rc == 0)
        rc = link_watch(link, EPOLL_CTL_ADD, true);
    if (rc < 0)
        dns_link_close(link);
    return rc;
}

int dns_link_connected(struct dns_link *link)
{
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return -errno;
    if (error != 0)
        return -error;
    link->state = LINK_OPEN;
    return link_watch(link, EPOLL_CTL_MOD, false);
}

void dns_link_close(struct dns_link *link)
{
    if (link->state != LINK_CLOSED)
        close(link->fd); /* epoll forgets it by itself */
    link->state = LINK_CLOSED;
    link->fd = -1;
}

uint8_t *dns_link_room(struct dns_link *link)
{
    if (link->out_begin == link->out_end)
        link->out_begin = link->out_end = 0;
    return link->state == LINK_OPEN && OUT_SIZE - link->out_end >= ROOM ? link->out + link->out_end
                                                                        : NULL;
}

void dns_link_add(struct dns_link *link, size_t size)
{
    link->out_end += size;
}

int dns_link_flush(struct dns_link *link)
{
    while (link->out_begin < link->out_end) {
        ssize_t sent = send(link->fd, link->out + link->out_begin, link->out_end - link->out_begin,
                            MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            return -errno;
        if (sent < 0)
            return link->wants_write ? 0 : link_watch(link, EPOLL_CTL_MOD, true);
        link->out_begin += (size_t)sent;
    }
    return link->wants_write ? link_watch(link, EPOLL_CTL_MOD, false) : 0;
}

int dns_link_receive(struct dns_link *link)
{
    memmove(link->in, link->in + link->in_begin, link->in_end - link->in_begin);
    link->in_end -= link->in_begin;
    link->in_begin = 0;
    ssize_t received = recv(link->fd, link->in + link->in_end, IN_SIZE - link->in_end, 0);
    if (received < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (received == 0)
        return -ENODATA;
    link->in_end += (size_t)received;
    return 1;
}

bool dns_link_next(struct dns_link *link, const uint8_t **ret_message, size_t *ret_size)
{
    size_t available = link->in_end - link->in_begin;
    if (available < LENGTH_SIZE)
        return false;
    size_t size = knot_wire_read_u16(link->in + link->in_begin);
    if (available < LENGTH_SIZE + size)
        return false;
    *ret_message = link->in + link->in_begin + LENGTH_SIZE;
    *ret_size = size;
    link->in_begin += LENGTH_SIZE + size;
    return true;
}
