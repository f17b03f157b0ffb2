#include "server/update_forwarder.h"

#include <errno.h>
#include <libknot/consts.h>
#include <libknot/packet/wire.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dns/record_reader.h"
#include "zone/origin_link.h"

/* As many updates as are under way at a time: each waits for its primary. */
#define THREADS 8

/* What may wait: more would only grow old. */
#define WAITING_MAX 1024

/* A client asks again after a few seconds, and elsewhere. */
#define CONNECT_TIMEOUT_MS 2000
#define TOTAL_TIMEOUT_MS   5000

/* Origins of a zone that are tried for one update. */
#define ORIGINS_MAX 4

/* What a client of UDP takes; no answer to an update is this long. */
#define DATAGRAM_MAX 1232

struct job {
    struct job *next;
    struct reply_route route;
    struct config_address origins[ORIGINS_MAX];
    size_t origin_count, size;
    uint8_t wire[];
};

struct update_forwarder {
    pthread_mutex_t lock; /* guards all that follows */
    pthread_cond_t work;
    struct job *first, **last;
    size_t waiting;
    bool stops;
    int cancel_fd; /* readable once it stops */
    pthread_t threads[THREADS];
    unsigned thread_count;
};

bool update_forwarder_submit(struct update_forwarder *forwarder, const struct reply_route *route,
                             const struct config_zone *zone, const uint8_t *request, size_t size)
{
    struct job *job = malloc(sizeof(*job) + size);
    if (job == NULL)
        return false;
    job->next = NULL;
    job->route = *route;
    job->origin_count = zone->from_count < ORIGINS_MAX ? zone->from_count : ORIGINS_MAX;
    memcpy(job->origins, zone->from, job->origin_count * sizeof(job->origins[0]));
    job->size = size;
    memcpy(job->wire, request, size);

    pthread_mutex_lock(&forwarder->lock);
    const bool taken = forwarder->waiting < WAITING_MAX;
    if (taken) {
        *forwarder->last = job;
        forwarder->last = &job->next;
        forwarder->waiting++;
        pthread_cond_signal(&forwarder->work);
    }
    pthread_mutex_unlock(&forwarder->lock);
    if (!taken)
        free(job);
    return taken;
}

static bool is_answer(const struct job *job, const uint8_t *wire, size_t size)
{
    return size >= MESSAGE_HEADER_SIZE && knot_wire_get_id(wire) == knot_wire_get_id(job->wire) &&
           knot_wire_get_qr(wire) && knot_wire_get_opcode(wire) == KNOT_OPCODE_UPDATE &&
           (job->route.transport != TRANSPORT_UDP || size <= DATAGRAM_MAX);
}

/* Asks one origin and passes its answer on. */
static int try_origin(const struct update_forwarder *forwarder, const struct job *job,
                      const struct config_address *origin)
{
    const struct transfer_source source = {
        .origin = (const struct sockaddr *)&origin->address,
        .origin_size = origin->size,
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .idle_timeout_ms = TOTAL_TIMEOUT_MS,
        .total_timeout_ms = TOTAL_TIMEOUT_MS,
        .cancel_fd = forwarder->cancel_fd,
    };
    _cleanup_(origin_link_close) struct origin_link link = {.fd = -1};
    struct error error;
    const uint8_t *wire;
    size_t size;
    int rc = origin_link_open_stream(&link, &source, &error);
    if (rc == 0)
        rc = origin_link_send_stream(&link, job->wire, job->size, &error);
    if (rc == 0)
        rc = origin_link_receive_stream(&link, &wire, &size, &error);
    if (rc == 0 && !is_answer(job, wire, size))
        rc = -EBADMSG;
    if (rc == 0) {
        const struct reply reply = {.route = &job->route, .wire = wire, .size = size};
        reply_send(&reply, 1);
    }
    return rc;
}

/* The client's header back; its TSIG is not ours to answer. */
static void answer_failure(const struct job *job)
{
    uint8_t wire[MESSAGE_HEADER_SIZE] = {0};
    knot_wire_set_id(wire, knot_wire_get_id(job->wire));
    knot_wire_set_qr(wire);
    knot_wire_set_opcode(wire, KNOT_OPCODE_UPDATE);
    knot_wire_set_rcode(wire, KNOT_RCODE_SERVFAIL);
    const struct reply reply = {.route = &job->route, .wire = wire, .size = sizeof(wire)};
    reply_send(&reply, 1);
}

/* Another origin is asked only when the one before cannot have made the update: a connection that
 * broke later may have. */
static void forward(const struct update_forwarder *forwarder, const struct job *job, bool stops)
{
    for (size_t i = 0; i < job->origin_count && !stops; i++) {
        int rc = try_origin(forwarder, job, &job->origins[i]);
        if (rc == 0)
            return;
        if (rc != -ECONNREFUSED && rc != -EHOSTUNREACH && rc != -ENETUNREACH)
            break;
    }
    answer_failure(job);
}

static void *run(void *context)
{
    struct update_forwarder *forwarder = context;
    pthread_mutex_lock(&forwarder->lock);
    for (;;) {
        struct job *job = forwarder->first;
        if (job == NULL && forwarder->stops)
            break;
        if (job == NULL) {
            pthread_cond_wait(&forwarder->work, &forwarder->lock);
            continue;
        }
        forwarder->first = job->next;
        if (forwarder->first == NULL)
            forwarder->last = &forwarder->first;
        forwarder->waiting--;
        const bool stops = forwarder->stops;
        pthread_mutex_unlock(&forwarder->lock);
        forward(forwarder, job, stops);
        free(job);
        pthread_mutex_lock(&forwarder->lock);
    }
    pthread_mutex_unlock(&forwarder->lock);
    return NULL;
}

int update_forwarder_start(struct update_forwarder **ret_forwarder, struct error *ret_error)
{
    struct update_forwarder *forwarder = calloc(1, sizeof(*forwarder));
    if (forwarder == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    pthread_mutex_init(&forwarder->lock, NULL);
    pthread_cond_init(&forwarder->work, NULL);
    forwarder->last = &forwarder->first;
    forwarder->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = forwarder->cancel_fd < 0 ? -errno : 0;
    while (rc == 0 && forwarder->thread_count < THREADS) {
        rc = -pthread_create(&forwarder->threads[forwarder->thread_count], NULL, run, forwarder);
        forwarder->thread_count += rc == 0;
    }
    if (rc < 0) {
        update_forwarder_stop(forwarder);
        return error_set(ret_error, rc, "cannot start the threads that forward updates: %s",
                         strerror(-rc));
    }
    *ret_forwarder = forwarder;
    return 0;
}

void update_forwarder_stop(struct update_forwarder *forwarder)
{
    if (forwarder == NULL)
        return;
    pthread_mutex_lock(&forwarder->lock);
    forwarder->stops = true;
    pthread_cond_broadcast(&forwarder->work);
    pthread_mutex_unlock(&forwarder->lock);
    if (forwarder->cancel_fd >= 0)
        (void)eventfd_write(forwarder->cancel_fd, 1);
    for (unsigned i = 0; i < forwarder->thread_count; i++)
        pthread_join(forwarder->threads[i], NULL);
    if (forwarder->cancel_fd >= 0)
        close(forwarder->cancel_fd);
    pthread_mutex_destroy(&forwarder->lock);
    pthread_cond_destroy(&forwarder->work);
    free(forwarder);
}
