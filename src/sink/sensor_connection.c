/* What a connection does: octets go to its dialogue, what the dialogue has to say goes out. */
#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "sink/sensor_internal.h"

/* A connection that is read or written again at once, waits for epoll, or is gone. */
enum step { STEP_AGAIN, STEP_WAIT, STEP_GONE };

static enum step end(struct sensor_thread *thread, uint32_t place, enum sink_ending ending)
{
    connection_end(thread, place, ending);
    return STEP_GONE;
}

/* The dialogue is over. Where it has sent something, that has to arrive: the client closes first,
 * within bounds, which also leaves the connection's TIME-WAIT to it. */
static enum step finish(struct sensor_thread *thread, uint32_t place)
{
    struct connection *connection = &thread->connections[place];
    if (!connection->has_sent || shutdown(connection->fd, SHUT_WR) < 0)
        return end(thread, place, SINK_CLOSED);
    connection_hand_on(thread, place, SINK_CLOSED, NULL, 0);
    place_stage(thread, place, STAGE_LINGERS);
    connection->received = 0;
    connection->awaits_room = false;
    return STEP_AGAIN;
}

/* The dialogue had so much memory before what it has done. */
static void memory_account(struct sensor_thread *thread, const struct connection *connection,
                           size_t before)
{
    atomic_fetch_add_explicit(&thread->sensor->memory,
                              (uint64_t)dialogue_memory(connection->dialogue) - before,
                              memory_order_relaxed);
}

/* Makes room where all dialogues have too much together. False: the connection itself had to go. */
static bool memory_settle(struct sensor_thread *thread, const struct connection *connection)
{
    const struct sensor *sensor = thread->sensor;
    while (atomic_load_explicit(&sensor->memory, memory_order_relaxed) >
               sensor->options.memory_max &&
           connection_shed_dialogue(thread)) {
        if (connection->fd < 0)
            return false;
    }
    return true;
}

/* Sends what there is and goes on as the dialogue says. */
static enum step speak(struct sensor_thread *thread, uint32_t place, enum dialogue_state state)
{
    struct connection *connection = &thread->connections[place];
    while (state == DIALOGUE_WRITES) {
        size_t size;
        const uint8_t *octets = dialogue_output(connection->dialogue, &size);
        assert(size > 0);
        ssize_t sent = send(connection->fd, octets, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            return end(thread, place, SINK_RESET);
        connection->awaits_room = sent < 0;
        if (sent < 0)
            return STEP_WAIT;
        connection->has_sent = true;
        const size_t before = dialogue_memory(connection->dialogue);
        state = dialogue_sent(connection->dialogue, (size_t)sent);
        memory_account(thread, connection, before);
    }
    if (state == DIALOGUE_ENDS)
        return finish(thread, place);
    if (connection->received >= thread->sensor->options.octets_max)
        return end(thread, place, SINK_FULL);
    return STEP_AGAIN;
}

/* The first octets: from here on there is a dialogue. */
static bool begin(struct sensor_thread *thread, uint32_t place)
{
    struct connection *connection = &thread->connections[place];
    struct sink_endpoint local;
    connection_local(thread, connection, &local);
    connection->dialogue = dialogue_create(thread->sensor->options.dialogue, &local);
    if (connection->dialogue == NULL)
        return false;
    dialogue_limit(connection->dialogue, thread->handshakes, &connection->client);
    place_stage(thread, place, STAGE_TALKS);
    return true;
}

static enum step take(struct sensor_thread *thread, uint32_t place, size_t size)
{
    struct connection *connection = &thread->connections[place];
    figure_add(&thread->figures.octets, size);
    connection->received += (uint32_t)size;
    if (connection->stage == STAGE_LINGERS)
        return connection->received >= LINGER_OCTETS_MAX ? end(thread, place, SINK_CLOSED)
                                                         : STEP_AGAIN;

    const bool is_first = connection->dialogue == NULL;
    if (is_first && !begin(thread, place)) {
        connection_hand_on(thread, place, SINK_SHED, thread->buffer, size);
        connection_close(thread, place);
        return STEP_GONE;
    }
    source_table_touch(thread->sources, place);
    const size_t before = is_first ? 0 : dialogue_memory(connection->dialogue);
    const enum dialogue_state state = dialogue_take(connection->dialogue, thread->buffer, size);
    memory_account(thread, connection, before);
    if (!memory_settle(thread, connection))
        return STEP_GONE;
    return speak(thread, place, state);
}

static enum step read_once(struct sensor_thread *thread, uint32_t place)
{
    const struct connection *connection = &thread->connections[place];
    const size_t octets_max = thread->sensor->options.octets_max;
    const size_t room =
        connection->stage == STAGE_LINGERS ? octets_max : octets_max - connection->received;
    ssize_t size = recv(connection->fd, thread->buffer, room, 0);
    if (size > 0)
        return take(thread, place, (size_t)size);
    if (size == 0)
        return end(thread, place, SINK_CLOSED);
    if (errno == EINTR)
        return STEP_AGAIN;
    return errno == EAGAIN ? STEP_WAIT : end(thread, place, SINK_RESET);
}

static void watch(struct sensor_thread *thread, uint32_t place, bool awaited_room)
{
    struct connection *connection = &thread->connections[place];
    if (connection->is_watched && awaited_room == connection->awaits_room)
        return;
    struct epoll_event event = {
        .events = connection->awaits_room ? EPOLLOUT : EPOLLIN | EPOLLRDHUP,
        .data.u64 = (uint64_t)EVENT_CONNECTION << 32 | place,
    };
    const int operation = connection->is_watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(thread->epoll_fd, operation, connection->fd, &event) < 0)
        connection_end(thread, place, SINK_SHED);
    else
        connection->is_watched = true;
}

void connection_serve(struct sensor_thread *thread, uint32_t place, uint32_t events)
{
    const struct connection *connection = &thread->connections[place];
    const bool awaited_room = connection->awaits_room;
    /* Closed, and perhaps taken anew, since epoll told: nothing is found then. */
    if (connection->fd < 0)
        return;
    enum step step = awaited_room ? speak(thread, place, DIALOGUE_WRITES) : STEP_AGAIN;
    for (unsigned i = 0; i < READS_MAX && step == STEP_AGAIN; i++) {
        step = read_once(thread, place);
        /* If there is more epoll will tell; an end that it has told of is read now. */
        if (step == STEP_AGAIN && connection->is_watched && (events & EPOLLRDHUP) == 0)
            break;
    }
    if (step != STEP_GONE)
        watch(thread, place, awaited_room);
}
