#include "order/dnstap_listener.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "order/frame_stream.h"

/* Servers at a time, each with a frame of FRAME_SIZE_MAX: more than run beside one another where
 * somebody takes zones over. Others wait in the socket's queue. */
#define PRODUCERS_MAX 32

struct producer {
    int fd;
    struct frame_stream *frames;
};

struct dnstap_listener {
    int fd;
    struct dnstap_faults faults;
    struct producer producers[PRODUCERS_MAX];
    size_t count;
};

void dnstap_listener_close(struct dnstap_listener *listener)
{
    if (listener == NULL)
        return;
    for (size_t i = 0; i < listener->count; i++) {
        close(listener->producers[i].fd);
        frame_stream_free(listener->producers[i].frames);
    }
    if (listener->fd >= 0)
        close(listener->fd);
    free(listener);
}

/* Takes a Unix socket away that nobody listens on: one that a killed process left. */
static void stale_remove(const struct sockaddr *address, socklen_t size)
{
    const char *path = ((const struct sockaddr_un *)address)->sun_path;
    struct stat status;

    if (stat(path, &status) < 0 || !S_ISSOCK(status.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, address, size) < 0 && errno == ECONNREFUSED)
        (void)unlink(path); /* else bind() says why */
    close(fd);
}

int dnstap_listener_open(const struct sockaddr *address, socklen_t size, const char *name,
                         struct dnstap_listener **ret_listener, struct error *ret_error)
{
    int one = 1;
    struct dnstap_listener *listener = calloc(1, sizeof(*listener));
    if (listener == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");

    if (address->sa_family == AF_UNIX)
        stale_remove(address, size);
    listener->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0 ||
        setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(listener->fd, address, size) < 0 || listen(listener->fd, PRODUCERS_MAX) < 0) {
        int rc = error_set(ret_error, -errno, "cannot listen for dnstap on %s: %s", name,
                           strerror(errno));
        dnstap_listener_close(listener);
        return rc;
    }
    *ret_listener = listener;
    return 0;
}

const struct dnstap_faults *dnstap_listener_faults(const struct dnstap_listener *listener)
{
    return &listener->faults;
}

static void producer_drop(struct dnstap_listener *listener, size_t index)
{
    close(listener->producers[index].fd);
    frame_stream_free(listener->producers[index].frames);
    listener->producers[index] = listener->producers[--listener->count];
}

static void producer_accept(struct dnstap_listener *listener)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return; /* it went away again, or descriptors are short: poll() comes back */
    struct frame_stream *frames = frame_stream_create(DNSTAP_CONTENT_TYPE);
    if (frames == NULL) {
        close(fd);
        return;
    }
    listener->producers[listener->count++] = (struct producer){.fd = fd, .frames = frames};
}

/* What a stream's octets are for. */
struct taking {
    dnstap_event_fn *take;
    void *context;
    int fd;
};

static int frame_take(void *context, const uint8_t *octets, size_t size, struct error *ret_error)
{
    const struct taking *taking = context;

    (void)ret_error; /* the taker has its own */
    return taking->take(taking->context, octets, size);
}

/* A few octets into an empty buffer: they go at once, or the producer does not read at all. */
static int frame_reply(void *context, const uint8_t *octets, size_t size, struct error *ret_error)
{
    const struct taking *taking = context;

    if (send(taking->fd, octets, size, MSG_NOSIGNAL) != (ssize_t)size)
        return error_set(ret_error, -EPIPE, "the producer takes no answer");
    return 0;
}

/* Reads once. Returns 0; 1: the producer is through; or what the taker returned. */
static int producer_read(struct dnstap_listener *listener, struct producer *producer,
                         dnstap_event_fn *take, void *context)
{
    struct taking taking = {.take = take, .context = context, .fd = producer->fd};
    const struct frame_user user = {.context = &taking, .frame = frame_take, .reply = frame_reply};
    struct error cause = {0};
    size_t room;

    uint8_t *octets = frame_stream_room(producer->frames, &room);
    ssize_t size = recv(producer->fd, octets, room, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (size <= 0) {
        listener->faults.cut_off += frame_stream_inside(producer->frames);
        return 1;
    }
    int rc = frame_stream_take(producer->frames, (size_t)size, &user, &cause);
    if (rc < 0 && cause.code == 0)
        return rc;
    listener->faults.malformed += rc < 0;
    return rc < 0 || frame_stream_finished(producer->frames);
}

int dnstap_listener_step(struct dnstap_listener *listener, int timeout_ms, dnstap_event_fn *take,
                         void *context)
{
    struct pollfd pollers[PRODUCERS_MAX + 1];
    size_t count = listener->count;

    for (size_t i = 0; i < count; i++)
        pollers[i] = (struct pollfd){.fd = listener->producers[i].fd, .events = POLLIN};
    /* Below its bound only: a negative descriptor is passed over. */
    pollers[count] =
        (struct pollfd){.fd = count < PRODUCERS_MAX ? listener->fd : -1, .events = POLLIN};
    if (poll(pollers, count + 1, timeout_ms) <= 0)
        return 0;
    for (size_t i = count;
         i-- > 0;) { /* from the end, where a dropped one takes the last's place */
        if (pollers[i].revents == 0)
            continue;
        int rc = producer_read(listener, &listener->producers[i], take, context);
        if (rc < 0)
            return rc;
        if (rc > 0)
            producer_drop(listener, i);
    }
    if (pollers[count].revents != 0)
        producer_accept(listener);
    return 0;
}
