/* dnstap events as servers send them: over Frame Streams to a socket of ours, several at a time.
 *
 * A server that breaks off may come again; one that sends what is no dnstap is cut off and counted.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "order/frame_stream.h"
#include "order/traffic_live_internal.h"

/* Servers at a time, each with a frame of FRAME_SIZE_MAX: more than run beside one another where
 * somebody takes zones over. Others wait in the socket's queue. */
#define PRODUCERS_MAX 32

struct producer {
    int fd;
    struct frame_stream *frames;
};

struct events {
    int listener;
    const char *name;
    struct producer producers[PRODUCERS_MAX];
    size_t count;
};

static void events_close(void *state)
{
    struct events *events = state;
    if (events == NULL)
        return;
    for (size_t i = 0; i < events->count; i++) {
        close(events->producers[i].fd);
        frame_stream_free(events->producers[i].frames);
    }
    if (events->listener >= 0)
        close(events->listener);
    free(events);
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

static int events_open(const struct traffic_live_options *options, struct traffic *traffic,
                       void **ret_state)
{
    int one = 1;
    struct events *events = calloc(1, sizeof(*events));
    if (events == NULL)
        return error_set(traffic->error, -ENOMEM, "out of memory");
    events->name = options->dnstap_name;

    if (options->dnstap->sa_family == AF_UNIX)
        stale_remove(options->dnstap, options->dnstap_size);
    events->listener =
        socket(options->dnstap->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (events->listener < 0 ||
        setsockopt(events->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(events->listener, options->dnstap, options->dnstap_size) < 0 ||
        listen(events->listener, PRODUCERS_MAX) < 0) {
        int rc = error_set(traffic->error, -errno, "cannot listen for dnstap on %s: %s",
                           events->name, strerror(errno));
        events_close(events);
        return rc;
    }
    *ret_state = events;
    return 0;
}

static void producer_drop(struct events *events, size_t index)
{
    close(events->producers[index].fd);
    frame_stream_free(events->producers[index].frames);
    events->producers[index] = events->producers[--events->count];
}

static void producer_accept(struct events *events)
{
    int fd = accept4(events->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return; /* it went away again, or descriptors are short: poll() comes back */
    struct frame_stream *frames = frame_stream_create(DNSTAP_CONTENT_TYPE);
    if (frames == NULL) {
        close(fd);
        return;
    }
    events->producers[events->count++] = (struct producer){.fd = fd, .frames = frames};
}

/* What a stream's octets are for. */
struct taking {
    struct traffic *traffic;
    int fd;
};

static int frame_take(void *context, const uint8_t *octets, size_t size, struct error *ret_error)
{
    const struct taking *taking = context;

    (void)ret_error; /* the traffic has its own */
    return traffic_take_event(taking->traffic, octets, size);
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
static int producer_read(struct producer *producer, struct traffic *traffic)
{
    struct taking taking = {.traffic = traffic, .fd = producer->fd};
    const struct frame_user user = {.context = &taking, .frame = frame_take, .reply = frame_reply};
    struct error cause = {0};
    size_t room;

    uint8_t *octets = frame_stream_room(producer->frames, &room);
    ssize_t size = recv(producer->fd, octets, room, 0);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (size <= 0) {
        traffic->report->gaps += frame_stream_inside(producer->frames);
        return 1;
    }
    int rc = frame_stream_take(producer->frames, (size_t)size, &user, &cause);
    if (rc < 0 && cause.code == 0)
        return rc;
    traffic->report->malformed += rc < 0;
    return rc < 0 || frame_stream_finished(producer->frames);
}

static int events_step(void *state, struct traffic *traffic, int timeout_ms)
{
    struct events *events = state;
    struct pollfd pollers[PRODUCERS_MAX + 1];
    size_t count = events->count;

    for (size_t i = 0; i < count; i++)
        pollers[i] = (struct pollfd){.fd = events->producers[i].fd, .events = POLLIN};
    /* Below its bound only: a negative descriptor is passed over. */
    pollers[count] =
        (struct pollfd){.fd = count < PRODUCERS_MAX ? events->listener : -1, .events = POLLIN};
    if (poll(pollers, count + 1, timeout_ms) <= 0)
        return 0;
    for (size_t i = count;
         i-- > 0;) { /* from the end, where a dropped one takes the last's place */
        if (pollers[i].revents == 0)
            continue;
        int rc = producer_read(&events->producers[i], traffic);
        if (rc < 0)
            return rc;
        if (rc > 0)
            producer_drop(events, i);
    }
    if (pollers[count].revents != 0)
        producer_accept(events);
    return 0;
}

const struct live_source live_events = {
    .open = events_open, .step = events_step, .close = events_close};
