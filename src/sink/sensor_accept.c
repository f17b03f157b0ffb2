/* Who gets a place: connections are accepted as long as their source may have more, and in the
 * place of another when there is none left. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sink/sensor_internal.h"

/* With a reset, which keeps nothing of it in the kernel. It isn't handed on: a flood of one source
 * would else fill the event log. */
static void refuse(struct sensor_thread *thread, int fd)
{
    const struct linger reset = {.l_onoff = 1};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    figure_add(&thread->figures.shed_per_source, 1);
}

static void open_max_raise(struct sensor *sensor, uint64_t open)
{
    uint64_t open_max = atomic_load_explicit(&sensor->open_max, memory_order_relaxed);
    while (open > open_max &&
           !atomic_compare_exchange_weak_explicit(&sensor->open_max, &open_max, open,
                                                  memory_order_relaxed, memory_order_relaxed))
        continue;
}

/* Counts one more as open, if need be in the place of another of this thread. */
static bool room_take(struct sensor_thread *thread)
{
    struct sensor *sensor = thread->sensor;
    if (places_full(thread) && !connection_shed(thread))
        return false;
    uint64_t open = atomic_fetch_add_explicit(&sensor->open, 1, memory_order_relaxed) + 1;
    if (open > sensor->options.connections_max) {
        if (!connection_shed(thread)) {
            atomic_fetch_sub_explicit(&sensor->open, 1, memory_order_relaxed);
            return false;
        }
        open--;
    }
    open_max_raise(sensor, open);
    return true;
}

static void admit(struct sensor_thread *thread, uint16_t listener, int fd,
                  const struct sockaddr_storage *address)
{
    struct sink_endpoint client;
    endpoint_from_sockaddr(address, &client);
    figure_add(&thread->figures.accepted, 1);

    const uint32_t source = source_numbers_take(thread->sensor->numbers, &client.address);
    if (source == 0) {
        refuse(thread, fd);
        return;
    }
    if (!room_take(thread)) {
        source_numbers_give(thread->sensor->numbers, source);
        refuse(thread, fd);
        return;
    }
    const struct connection connection = {
        .at_us = thread->now_us,
        .client = client.address,
        .fd = fd,
        .client_port = client.port,
        .listener = listener,
        .stage = STAGE_IDLE,
    };
    /* Most have sent already what they have to say: who is done with now costs epoll nothing. */
    connection_serve(thread, place_take(thread, &connection, source), 0);
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

/* What waits would wake the loop for ever, so it is not looked at for a while. Who gives way leaves
 * a descriptor and memory. */
static void pause_accepting(struct sensor_thread *thread)
{
    figure_add(&thread->figures.accept_failures, 1);
    (void)connection_shed(thread);
    thread->resume_us = thread->now_us + ACCEPT_PAUSE_US;
    sensor_listen_watch(thread, false);
}

void sensor_accept(struct sensor_thread *thread, uint16_t listener)
{
    const int fd = thread->sockets[listener].fd;
    for (unsigned i = 0; i < ACCEPTS_MAX && thread->resume_us == 0; i++) {
        struct sockaddr_storage client;
        socklen_t size = sizeof(client);
        int accepted = accept4(fd, (struct sockaddr *)&client, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0)
            admit(thread, listener, accepted, &client);
        else if (is_shortage(errno))
            pause_accepting(thread);
        else if (errno == EAGAIN)
            return;
        /* Else one has gone before it was accepted (accept(2), "Error handling"). */
    }
}

void sensor_accept_resume(struct sensor_thread *thread)
{
    if (thread->resume_us == 0 || thread->resume_us > thread->now_us)
        return;
    thread->resume_us = 0;
    sensor_listen_watch(thread, true);
}
