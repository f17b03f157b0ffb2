/* The places of a thread's connections: their memory, the orders in which they are due or give way,
 * and how they end. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sink/sensor_internal.h"

/* Of those with a dialogue, how many of the oldest are compared. */
#define CANDIDATES_MAX 16

int places_create(struct sensor_thread *thread, uint32_t places)
{
    const struct sensor_options *options = &thread->sensor->options;
    thread->places = places;
    /* Zeroed pages take no memory until they are used. */
    thread->connections = calloc((size_t)places + 1, sizeof(*thread->connections));
    thread->sources = source_table_create(places, options->connections_max + options->threads,
                                          options->connections_per_source_max);
    return thread->connections == NULL || thread->sources == NULL ? -ENOMEM : 0;
}

void places_free(struct sensor_thread *thread)
{
    source_table_free(thread->sources);
    free(thread->connections);
}

static struct place_link *link_of(struct sensor_thread *thread, uint32_t place,
                                  enum connection_order order)
{
    return &thread->connections[place].links[order];
}

static void queue_append(struct sensor_thread *thread, struct place_queue *queue,
                         enum connection_order order, uint32_t place)
{
    *link_of(thread, place, order) = (struct place_link){.previous = queue->last};
    if (queue->last != 0)
        link_of(thread, queue->last, order)->next = place;
    else
        queue->first = place;
    queue->last = place;
}

static void queue_take_out(struct sensor_thread *thread, struct place_queue *queue,
                           enum connection_order order, uint32_t place)
{
    const struct place_link link = *link_of(thread, place, order);
    if (link.next != 0)
        link_of(thread, link.next, order)->previous = link.previous;
    else
        queue->last = link.previous;
    if (link.previous != 0)
        link_of(thread, link.previous, order)->next = link.next;
    else
        queue->first = link.next;
}

bool places_full(const struct sensor_thread *thread)
{
    return thread->place_free == 0 && thread->places_used == thread->places;
}

uint32_t place_take(struct sensor_thread *thread, const struct connection *connection,
                    uint32_t source)
{
    uint32_t place = thread->place_free;
    if (place != 0)
        thread->place_free = link_of(thread, place, ORDER_AGE)->next;
    else
        place = ++thread->places_used;
    thread->connections[place] = *connection;
    queue_append(thread, &thread->age, ORDER_AGE, place);
    queue_append(thread, &thread->stages[connection->stage], ORDER_STAGE, place);
    source_table_add(thread->sources, source, place);
    return place;
}

void place_stage(struct sensor_thread *thread, uint32_t place, enum connection_stage stage)
{
    struct connection *connection = &thread->connections[place];
    queue_take_out(thread, &thread->stages[connection->stage], ORDER_STAGE, place);
    queue_append(thread, &thread->stages[stage], ORDER_STAGE, place);
    connection->stage = (uint8_t)stage;
    if (stage == STAGE_LINGERS) {
        queue_take_out(thread, &thread->age, ORDER_AGE, place);
        connection->at_us = thread->now_us;
    }
}

static void place_give(struct sensor_thread *thread, uint32_t place)
{
    struct connection *connection = &thread->connections[place];
    const uint32_t source = source_table_source(thread->sources, place);
    source_table_remove(thread->sources, place);
    source_numbers_give(thread->sensor->numbers, source);
    if (connection->stage != STAGE_LINGERS)
        queue_take_out(thread, &thread->age, ORDER_AGE, place);
    queue_take_out(thread, &thread->stages[connection->stage], ORDER_STAGE, place);
    connection->fd = -1;
    link_of(thread, place, ORDER_AGE)->next = thread->place_free;
    thread->place_free = place;
    atomic_fetch_sub_explicit(&thread->sensor->open, 1, memory_order_relaxed);
}

void connection_local(const struct sensor_thread *thread, const struct connection *connection,
                      struct sink_endpoint *ret_local)
{
    const struct sensor_socket *listener = &thread->sockets[connection->listener];
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);
    if (!listener->is_precise &&
        getsockname(connection->fd, (struct sockaddr *)&address, &size) == 0)
        endpoint_from_sockaddr(&address, ret_local);
    else
        *ret_local = listener->local;
}

void connection_hand_on(struct sensor_thread *thread, uint32_t place, enum sink_ending ending,
                        const uint8_t *octets, size_t size)
{
    struct sensor *sensor = thread->sensor;
    struct connection *connection = &thread->connections[place];
    struct sink_flight flight = {
        .at_us = connection->at_us + thread->epoch_us,
        .lasted_ms = (uint32_t)((thread->now_us - connection->at_us) / 1000),
        .transport = SINK_TCP,
        .ending = ending,
        .client = {.address = connection->client, .port = connection->client_port},
        .received = connection->received,
        .octets = octets,
        .size = size,
    };
    connection_local(thread, connection, &flight.local);
    if (connection->dialogue != NULL)
        dialogue_describe(connection->dialogue, &flight);
    figure_add(&thread->figures.ended[flight.ending], 1);
    sensor->options.take(sensor->options.context, thread->number, &flight);

    if (connection->dialogue != NULL) {
        atomic_fetch_sub_explicit(&sensor->memory, dialogue_memory(connection->dialogue),
                                  memory_order_relaxed);
        dialogue_free(TAKE(connection->dialogue));
    }
}

void connection_close(struct sensor_thread *thread, uint32_t place)
{
    close(thread->connections[place].fd);
    place_give(thread, place);
}

void connection_end(struct sensor_thread *thread, uint32_t place, enum sink_ending ending)
{
    if (thread->connections[place].stage != STAGE_LINGERS)
        connection_hand_on(thread, place, ending, NULL, 0);
    connection_close(thread, place);
}

/* With a reset: what it holds in the kernel is to be free at once, without a wait for the client.
 */
static void shed(struct sensor_thread *thread, uint32_t place)
{
    const struct linger reset = {.l_onoff = 1};
    (void)setsockopt(thread->connections[place].fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    figure_add(&thread->figures.shed_per_source, 1);
    connection_end(thread, place, SINK_SHED);
}

bool connection_shed(struct sensor_thread *thread)
{
    const uint32_t place = source_table_candidate(thread->sources);
    if (place != 0)
        shed(thread, place);
    return place != 0;
}

bool connection_shed_dialogue(struct sensor_thread *thread)
{
    uint32_t place = thread->stages[STAGE_TALKS].first, chosen = place;
    for (unsigned i = 0; i < CANDIDATES_MAX && place != 0; i++) {
        if (source_table_count(thread->sources, place) >
            source_table_count(thread->sources, chosen))
            chosen = place;
        place = link_of(thread, place, ORDER_STAGE)->next;
    }
    if (chosen != 0)
        shed(thread, chosen);
    return chosen != 0;
}

/* When the first of a queue is due; INT64_MAX: it is empty. */
static int64_t queue_due(const struct sensor_thread *thread, const struct place_queue *queue,
                         int64_t limit_us)
{
    return queue->first == 0 ? INT64_MAX : thread->connections[queue->first].at_us + limit_us;
}

static const struct place_queue *first_due(const struct sensor_thread *thread, int64_t *ret_due_us)
{
    const struct sensor_options *options = &thread->sensor->options;
    const struct {
        const struct place_queue *queue;
        int64_t limit_us;
    } rows[] = {
        {&thread->age, (int64_t)options->seconds_max * 1000000},
        {&thread->stages[STAGE_IDLE], (int64_t)options->idle_seconds_max * 1000000},
        {&thread->stages[STAGE_LINGERS], LINGER_US},
    };
    const struct place_queue *first = NULL;
    *ret_due_us = INT64_MAX;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const int64_t due_us = queue_due(thread, rows[i].queue, rows[i].limit_us);
        if (due_us < *ret_due_us) {
            *ret_due_us = due_us;
            first = rows[i].queue;
        }
    }
    return first;
}

void connections_expire(struct sensor_thread *thread)
{
    for (unsigned i = 0; i < EXPIRES_MAX; i++) {
        int64_t due_us;
        const struct place_queue *queue = first_due(thread, &due_us);
        if (due_us > thread->now_us)
            return;
        connection_end(thread, queue->first, SINK_TIMED_OUT);
    }
}

int connections_timeout_ms(const struct sensor_thread *thread)
{
    int64_t due_us;
    (void)first_due(thread, &due_us);
    if (thread->resume_us != 0 && thread->resume_us < due_us)
        due_us = thread->resume_us;
    if (due_us == INT64_MAX)
        return -1;
    /* A moment later, so that it is due then. */
    return due_us <= thread->now_us ? 0 : (int)((due_us - thread->now_us) / 1000 + 1);
}

void connections_end_all(struct sensor_thread *thread)
{
    for (enum connection_stage stage = 0; stage < STAGE_COUNT; stage++) {
        while (thread->stages[stage].first != 0)
            connection_end(thread, thread->stages[stage].first, SINK_ENDING);
    }
}
