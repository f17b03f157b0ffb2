#include "zone/origin_link.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dns/record_reader.h"
#include "zone/origin_tls.h"

/* Holds some whole messages, so that a fast origin costs a system call per buffer and not two per
 * message. */
#define STREAM_BUFFER_SIZE (4u * (MESSAGE_SIZE_MAX + 2u))

#define LENGTH_SIZE 2

int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void origin_text(const struct sockaddr *address, socklen_t size, char ret_text[ORIGIN_TEXT_MAX])
{
    char host[64], port[8];
    if (getnameinfo(address, size, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(ret_text, ORIGIN_TEXT_MAX, "an address of family %d", address->sa_family);
    else
        snprintf(ret_text, ORIGIN_TEXT_MAX, "%s@%s", host, port);
}

static unsigned or_default(unsigned value, unsigned fallback)
{
    return value != 0 ? value : fallback;
}

static int link_open(struct origin_link *ret_link, const struct transfer_source *source, int type,
                     struct error *ret_error)
{
    struct origin_link link = {
        .cancel_fd = source->cancel_fd > 0 ? source->cancel_fd : -1,
        .connect_timeout_ms = or_default(source->connect_timeout_ms, TRANSFER_CONNECT_TIMEOUT_MS),
        .idle_timeout_ms = or_default(source->idle_timeout_ms, TRANSFER_IDLE_TIMEOUT_MS),
        .deadline_ms =
            monotonic_ms() + or_default(source->total_timeout_ms, TRANSFER_TOTAL_TIMEOUT_MS),
        .size_max = source->size_max != 0 ? source->size_max : TRANSFER_SIZE_MAX,
    };
    origin_text(source->origin, source->origin_size, link.text);

    link.fd = socket(source->origin->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link.fd < 0)
        return error_set(ret_error, -errno, "no socket towards %s: %s", link.text, strerror(errno));
    *ret_link = link;
    return 0;
}

/* Waits until `until_ms` for `events`; `what` names the wait in the error's text. */
static int link_wait(const struct origin_link *link, short events, int64_t until_ms,
                     const char *what, struct error *ret_error)
{
    const int64_t started_ms = monotonic_ms();
    if (until_ms > link->deadline_ms)
        until_ms = link->deadline_ms;

    for (int64_t now_ms = started_ms; now_ms < until_ms; now_ms = monotonic_ms()) {
        const int64_t left_ms = until_ms - now_ms;
        struct pollfd fds[2] = {{.fd = link->fd, .events = events},
                                {.fd = link->cancel_fd, .events = POLLIN}};
        const int count = poll(fds, 2, left_ms < INT_MAX ? (int)left_ms : INT_MAX);

        if (count < 0 && errno != EINTR)
            return error_set(ret_error, -errno, "waiting for %s: %s", link->text, strerror(errno));
        if (count > 0 && fds[1].revents != 0)
            return error_set(ret_error, -ECANCELED, "stopped");
        if (count > 0)
            return 0;
    }

    if (until_ms == link->deadline_ms)
        return error_set(ret_error, -ETIMEDOUT,
                         "%s took longer than the whole exchange may: is it overloaded?",
                         link->text);
    return error_set(ret_error, -ETIMEDOUT, "%s did not %s within %.1f s: is it up and reachable?",
                     link->text, what, (double)(until_ms - started_ms) / 1000);
}

static int connect_error(const struct origin_link *link, int code, struct error *ret_error)
{
    const char *remedy = code == ECONNREFUSED ? "is the server running and listening there?"
                                              : "check the address and the route to it";
    return error_set(ret_error, -code, "cannot connect to %s (%s): %s", link->text, strerror(code),
                     remedy);
}

/* What TLS said about the origin, behind its name. */
static int tls_error(const struct origin_link *link, int code, const struct error *cause,
                     struct error *ret_error)
{
    return error_set(ret_error, code, "%s %s", link->text, cause->text);
}

static int stream_secure(struct origin_link *link, const struct origin_tls *tls,
                         struct error *ret_error)
{
    const int64_t until_ms = monotonic_ms() + link->connect_timeout_ms;
    struct error cause = {.code = 0};

    int rc = origin_session_create(tls, link->fd, &link->tls, &cause);
    if (rc < 0)
        return tls_error(link, rc, &cause, ret_error);
    for (;;) {
        rc = origin_session_handshake(link->tls, &cause);
        if (rc != -EAGAIN)
            return rc == 0 ? 0 : tls_error(link, rc, &cause, ret_error);
        rc = link_wait(link, origin_session_event(link->tls), until_ms, "do its part of TLS",
                       ret_error);
        if (rc < 0)
            return rc;
    }
}

static int stream_connect(struct origin_link *link, const struct transfer_source *source,
                          struct error *ret_error)
{
    const int on = 1;
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    if (connect(link->fd, source->origin, source->origin_size) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return connect_error(link, errno, ret_error);

    const int rc = link_wait(link, POLLOUT, monotonic_ms() + link->connect_timeout_ms,
                             "accept a connection", ret_error);
    if (rc < 0)
        return rc;

    int code = 0;
    socklen_t code_size = sizeof(code);
    if (getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &code, &code_size) < 0)
        code = errno;
    return code == 0 ? 0 : connect_error(link, code, ret_error);
}

int origin_link_open_stream(struct origin_link *ret_link, const struct transfer_source *source,
                            struct error *ret_error)
{
    _cleanup_(origin_link_close) struct origin_link link = {.fd = -1};

    int rc = link_open(&link, source, SOCK_STREAM, ret_error);
    if (rc < 0)
        return rc;
    link.buffer = malloc(STREAM_BUFFER_SIZE);
    if (link.buffer == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    rc = stream_connect(&link, source, ret_error);
    if (rc == 0 && source->tls != NULL)
        rc = stream_secure(&link, source->tls, ret_error);
    if (rc < 0)
        return rc;

    *ret_link = link;
    link = (struct origin_link){.fd = -1};
    return 0;
}

int origin_link_open_datagram(struct origin_link *ret_link, const struct transfer_source *source,
                              struct error *ret_error)
{
    _cleanup_(origin_link_close) struct origin_link link = {.fd = -1};

    assert(source->tls == NULL); /* what TLS is to hide must not go out in a datagram */
    const int rc = link_open(&link, source, SOCK_DGRAM, ret_error);
    if (rc < 0)
        return rc;
    /* Connected, so that the kernel drops what comes from elsewhere. */
    if (connect(link.fd, source->origin, source->origin_size) < 0)
        return connect_error(&link, errno, ret_error);

    *ret_link = link;
    link = (struct origin_link){.fd = -1};
    return 0;
}

void origin_link_close(struct origin_link *link)
{
    origin_session_free(link->tls);
    if (link->fd >= 0)
        close(link->fd);
    free(link->buffer);
    link->fd = -1;
    link->tls = NULL;
    link->buffer = NULL;
}

/* Sends what the socket takes: at least one octet, or -EAGAIN. */
static ssize_t stream_send(struct origin_link *link, const uint8_t *octets, size_t size,
                           struct error *ret_error)
{
    if (link->tls != NULL) {
        struct error cause = {.code = 0};
        const ssize_t count = origin_session_send(link->tls, octets, size, &cause);
        return count >= 0 || count == -EAGAIN ? count
                                              : tls_error(link, (int)count, &cause, ret_error);
    }

    const ssize_t count = send(link->fd, octets, size, MSG_NOSIGNAL);
    if (count >= 0)
        return count;
    if (errno == EINTR || errno == EAGAIN)
        return -EAGAIN;
    return error_set(ret_error, -errno, "%s closed the connection: %s", link->text,
                     strerror(errno));
}

int origin_link_send_stream(struct origin_link *link, const uint8_t *message, size_t size,
                            struct error *ret_error)
{
    uint8_t framed[LENGTH_SIZE + 1024];
    assert(size <= sizeof(framed) - LENGTH_SIZE);
    framed[0] = (uint8_t)(size >> 8);
    framed[1] = (uint8_t)size;
    memcpy(framed + LENGTH_SIZE, message, size);
    size += LENGTH_SIZE;

    for (size_t sent = 0; sent < size;) {
        const ssize_t count = stream_send(link, framed + sent, size - sent, ret_error);
        if (count >= 0) {
            sent += (size_t)count;
            continue;
        }
        if (count != -EAGAIN)
            return (int)count;
        const int rc = link_wait(link, POLLOUT, monotonic_ms() + link->idle_timeout_ms,
                                 "take the query", ret_error);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Receives what is there: at least one octet, 0 at the end, or -EAGAIN. */
static ssize_t stream_receive(struct origin_link *link, uint8_t *ret_octets, size_t size,
                              struct error *ret_error)
{
    if (link->tls != NULL) {
        struct error cause = {.code = 0};
        const ssize_t count = origin_session_receive(link->tls, ret_octets, size, &cause);
        return count >= 0 || count == -EAGAIN ? count
                                              : tls_error(link, (int)count, &cause, ret_error);
    }

    const ssize_t count = recv(link->fd, ret_octets, size, 0);
    if (count >= 0)
        return count;
    if (errno == EINTR || errno == EAGAIN)
        return -EAGAIN;
    return error_set(ret_error, -errno, "the connection to %s broke: %s", link->text,
                     strerror(errno));
}

/* Receives at least one octet more. */
static int stream_fill(struct origin_link *link, struct error *ret_error)
{
    for (;;) {
        /* Also when octets are there: an origin that never pauses must not outrun the total time or
         * a stop. */
        /* What TLS holds already, the socket does not wait for: room to send is there at once. */
        const bool holds = link->tls != NULL && origin_session_holds(link->tls);
        const int rc =
            link_wait(link, holds ? POLLOUT : POLLIN, monotonic_ms() + link->idle_timeout_ms,
                      "send anything", ret_error);
        if (rc < 0)
            return rc;

        const ssize_t count = stream_receive(link, link->buffer + link->end,
                                             STREAM_BUFFER_SIZE - link->end, ret_error);
        if (count == 0)
            return error_set(ret_error, -ECONNRESET,
                             "%s closed the connection before the answer was complete", link->text);
        if (count == -EAGAIN)
            continue;
        if (count < 0)
            return (int)count;

        link->end += (size_t)count;
        link->received += (uint64_t)count;
        if (link->received > link->size_max)
            return error_set(ret_error, -EFBIG,
                             "%s sent more than %llu octets, the most that a zone may have",
                             link->text, (unsigned long long)link->size_max);
        return 0;
    }
}

int origin_link_receive_stream(struct origin_link *link, const uint8_t **ret_message,
                               size_t *ret_size, struct error *ret_error)
{
    for (;;) {
        const size_t held = link->end - link->begin;
        const uint8_t *at = link->buffer + link->begin;
        const size_t size = held >= LENGTH_SIZE ? (size_t)at[0] << 8 | at[1] : 0;

        if (held >= LENGTH_SIZE && held - LENGTH_SIZE >= size) {
            *ret_message = at + LENGTH_SIZE;
            *ret_size = size;
            link->begin += LENGTH_SIZE + size;
            return 0;
        }

        /* A message that would run over the end moves to the front first. */
        if (STREAM_BUFFER_SIZE - link->begin < LENGTH_SIZE + MESSAGE_SIZE_MAX) {
            memmove(link->buffer, at, held);
            link->begin = 0;
            link->end = held;
        }
        const int rc = stream_fill(link, ret_error);
        if (rc < 0)
            return rc;
    }
}

int origin_link_send_datagram(struct origin_link *link, const uint8_t *message, size_t size,
                              struct error *ret_error)
{
    if (send(link->fd, message, size, 0) < 0)
        return connect_error(link, errno, ret_error);
    return 0;
}

int origin_link_receive_datagram(struct origin_link *link, int64_t until_ms, uint8_t *ret_message,
                                 size_t max, size_t *ret_size, struct error *ret_error)
{
    for (;;) {
        const int rc = link_wait(link, POLLIN, until_ms, "answer", ret_error);
        if (rc < 0)
            return rc;
        const ssize_t count = recv(link->fd, ret_message, max, 0);
        if (count >= 0) {
            *ret_size = (size_t)count;
            return 0;
        }
        if (errno != EINTR && errno != EAGAIN)
            return connect_error(link, errno, ret_error);
    }
}
