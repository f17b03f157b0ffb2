/* The sockets that listen. */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sink/sensor_internal.h"

/* Connections that wait to be accepted, of each thread; the kernel's net.core.somaxconn may lower
 * it. At 30,000 a second two seconds' worth. */
#define BACKLOG 65535

/* Datagrams that wait; the kernel's net.core.rmem_max may lower it. */
#define RECEIVE_BUFFER_OCTETS (4 << 20)

void endpoint_from_sockaddr(const struct sockaddr_storage *address,
                            struct sink_endpoint *ret_endpoint)
{
    const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)address;
    if (address->ss_family == AF_INET6) {
        ret_endpoint->address = ipv6->sin6_addr;
        ret_endpoint->port = ntohs(ipv6->sin6_port);
        return;
    }
    ret_endpoint->address = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(ret_endpoint->address.s6_addr + 12, &ipv4->sin_addr, sizeof(ipv4->sin_addr));
    ret_endpoint->port = ntohs(ipv4->sin_port);
}

static const char *remedy(int code)
{
    switch (-code) {
    case EADDRINUSE:
        return "stop the other server or choose another port in sensor.listen";
    case EACCES:
        return "grant CAP_NET_BIND_SERVICE or choose a port above 1023 in sensor.listen";
    case EPERM:
        return "grant CAP_NET_ADMIN, which transparent listening needs";
    case EADDRNOTAVAIL:
        return "give the address to an interface of this machine or correct sensor.listen";
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
        return "enable the protocol in the kernel or take the address out of sensor.listen";
    case EMFILE:
    case ENFILE:
        return "raise the limit of open files (LimitNOFILE)";
    case ENOMEM:
    case ENOBUFS:
        return "free memory or lower sensor.threads";
    default:
        return "correct sensor.listen";
    }
}

static _cold_ int listen_error(struct error *error, int code, const struct sensor_listen *wish)
{
    return error_set(error, code, "cannot listen on %s over %s%s: %s; %s", wish->address.text,
                     wish->transport == SINK_UDP ? "UDP" : "TCP",
                     wish->transparent ? ", transparently" : "", strerror(-code), remedy(code));
}

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int prepare_udp(int fd, int family)
{
    (void)set_option(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER_OCTETS);
    return family == AF_INET6 ? set_option(fd, SOL_IPV6, IPV6_RECVORIGDSTADDR, 1)
                              : set_option(fd, SOL_IP, IP_RECVORIGDSTADDR, 1);
}

static int prepare(int fd, const struct sensor_listen *wish, bool is_shared)
{
    const int family = wish->address.address.ss_family;
    int rc = family == AF_INET6 ? set_option(fd, SOL_IPV6, IPV6_V6ONLY, 1) : 0;
    /* Connections of a sensor that ran before don't keep the port. */
    if (rc == 0 && wish->transport == SINK_TCP)
        rc = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0 && is_shared)
        rc = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (rc == 0 && wish->transparent)
        rc = family == AF_INET6 ? set_option(fd, SOL_IPV6, IPV6_TRANSPARENT, 1)
                                : set_option(fd, SOL_IP, IP_TRANSPARENT, 1);
    if (rc == 0 && wish->transport == SINK_UDP)
        rc = prepare_udp(fd, family);
    return rc;
}

/* Binds, and listens where it is TCP and shared as threads need it. */
static int socket_open(const struct sensor_listen *wish, const struct sockaddr_storage *address,
                       bool is_shared, int *ret_fd)
{
    const int type = wish->transport == SINK_UDP ? SOCK_DGRAM : SOCK_STREAM;
    int fd = socket(address->ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int rc = prepare(fd, wish, is_shared);
    if (rc == 0 && bind(fd, (const struct sockaddr *)address, wish->address.size) < 0)
        rc = -errno;
    if (rc == 0 && is_shared && type == SOCK_STREAM && listen(fd, BACKLOG) < 0)
        rc = -errno;
    if (rc < 0) {
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

/* SO_REUSEPORT would let us share the port with another program of the same user, each getting a
 * part of the connections. So it must first be ours alone; port 0 takes a free one. */
static int port_claim(const struct sensor_listen *wish, struct sockaddr_storage *ret_bound)
{
    int fd = -1;
    int rc = socket_open(wish, &wish->address.address, false, &fd);
    if (rc < 0)
        return rc;
    socklen_t size = sizeof(*ret_bound);
    if (getsockname(fd, (struct sockaddr *)ret_bound, &size) < 0)
        rc = -errno;
    close(fd);
    return rc;
}

static bool is_wildcard(const struct in6_addr *address)
{
    static const struct in6_addr any_ipv4 = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    return IN6_IS_ADDR_UNSPECIFIED(address) || IN6_ARE_ADDR_EQUAL(address, &any_ipv4);
}

static int watch(struct sensor_thread *thread, size_t index, int operation, uint32_t events)
{
    const struct sensor_socket *socket = &thread->sockets[index];
    const enum sensor_event kind = socket->transport == SINK_UDP ? EVENT_UDP : EVENT_TCP;
    struct epoll_event event = {.events = events, .data.u64 = (uint64_t)kind << 32 | index};
    return epoll_ctl(thread->epoll_fd, operation, socket->fd, &event) < 0 ? -errno : 0;
}

static int thread_listen(struct sensor_thread *thread, size_t index)
{
    const struct sensor *sensor = thread->sensor;
    const struct sensor_listen *wish = &sensor->options.listen[index];
    struct sensor_socket *socket = &thread->sockets[index];

    socket->transport = wish->transport;
    endpoint_from_sockaddr(&sensor->bound[index], &socket->local);
    socket->is_precise = !wish->transparent && !is_wildcard(&socket->local.address);
    int rc = socket_open(wish, &sensor->bound[index], true, &socket->fd);
    return rc < 0 ? rc : watch(thread, index, EPOLL_CTL_ADD, EPOLLIN);
}

int sensor_listen_all(struct sensor *sensor, struct error *ret_error)
{
    for (size_t i = 0; i < sensor->options.listen_count; i++) {
        const struct sensor_listen *wish = &sensor->options.listen[i];
        int rc = port_claim(wish, &sensor->bound[i]);
        for (unsigned k = 0; k < sensor->options.threads && rc == 0; k++)
            rc = thread_listen(&sensor->threads[k], i);
        if (rc < 0)
            return listen_error(ret_error, rc, wish);
    }
    return 0;
}

void sensor_listen_watch(struct sensor_thread *thread, bool is_watched)
{
    for (size_t i = 0; i < thread->sensor->options.listen_count; i++) {
        /* Can't fail: it is in the set, and a change needs no memory. */
        if (thread->sockets[i].transport == SINK_TCP)
            (void)watch(thread, i, EPOLL_CTL_MOD, is_watched ? EPOLLIN : 0);
    }
}
