#include "server/listed_answers.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "order/dnstap.pb-c.h"
#include "order/frame_sender.h"
#include "order/frame_stream.h"

/* Of a thread: some ten thousand answers, a power of two. Its pages come with their first use. */
#define RING_OCTETS ((size_t)4 << 20)

/* A sinkholed answer with eight addresses of IPv6 and its reasons stays below; what is longer came
 * over TCP and is cut behind its question by whoever reads it. */
#define RESPONSE_MAX 1232

#define SEND_EVERY_MS 100
#define RETRY_S       1

/* In the ring, before the response. */
struct put {
    uint32_t size; /* of the response */
    uint16_t port; /* host order */
    bool is_ipv6, is_stream;
    int64_t at_ns;
    uint8_t address[16];
};

/* One writer, one reader; positions only grow. */
struct ring {
    alignas(64) atomic_size_t end; /* of what was put */
    uint64_t dropped;
    alignas(64) atomic_size_t begin; /* of what was not sent yet */
    uint8_t *octets;
};

struct listed_answers {
    struct frame_sender *sender;
    time_t tried_at;
    bool complained;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
    uint64_t sent, lost; /* relaxed: written by the thread */
    unsigned ring_count;
    struct ring rings[];
};

/* ---- Putting ---- */

static void ring_write(const struct ring *ring, size_t at, const void *from, size_t size)
{
    const size_t begin = at & (RING_OCTETS - 1), room = RING_OCTETS - begin;
    const size_t part = size < room ? size : room;
    memcpy(ring->octets + begin, from, part);
    memcpy(ring->octets, (const uint8_t *)from + part, size - part);
}

static void ring_read(const struct ring *ring, size_t at, void *to, size_t size)
{
    const size_t begin = at & (RING_OCTETS - 1), room = RING_OCTETS - begin;
    const size_t part = size < room ? size : room;
    memcpy(to, ring->octets + begin, part);
    memcpy((uint8_t *)to + part, ring->octets, size - part);
}

void listed_answers_put(struct listed_answers *answers, unsigned thread,
                        const struct sockaddr *client, bool is_stream, const uint8_t *response,
                        size_t size)
{
    struct ring *ring = &answers->rings[thread];
    struct put put = {.size = (uint32_t)size, .is_stream = is_stream};
    struct timespec now;

    const size_t end = atomic_load_explicit(&ring->end, memory_order_relaxed);
    const size_t begin = atomic_load_explicit(&ring->begin, memory_order_acquire);
    if (size > RESPONSE_MAX || end - begin + sizeof(put) + size > RING_OCTETS) {
        __atomic_store_n(&ring->dropped, ring->dropped + 1, __ATOMIC_RELAXED);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    put.at_ns = now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
    put.is_ipv6 = client->sa_family == AF_INET6;
    if (put.is_ipv6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)client;
        memcpy(put.address, &v6->sin6_addr, 16);
        put.port = ntohs(v6->sin6_port);
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)client;
        memcpy(put.address, &v4->sin_addr, 4);
        put.port = ntohs(v4->sin_port);
    }
    ring_write(ring, end, &put, sizeof(put));
    ring_write(ring, end + sizeof(put), response, size);
    atomic_store_explicit(&ring->end, end + sizeof(put) + size, memory_order_release);
}

/* ---- Sending ---- */

static int event_send(struct listed_answers *answers, const struct put *put, uint8_t *response)
{
    uint8_t packed[RESPONSE_MAX + 256], address[16];
    Dnstap__Message message = DNSTAP__MESSAGE__INIT;
    Dnstap__Dnstap event = DNSTAP__DNSTAP__INIT;

    memcpy(address, put->address, sizeof(address));
    message.type = DNSTAP__MESSAGE__TYPE__AUTH_RESPONSE;
    message.has_socket_family = message.has_socket_protocol = true;
    message.socket_family =
        put->is_ipv6 ? DNSTAP__SOCKET_FAMILY__INET6 : DNSTAP__SOCKET_FAMILY__INET;
    message.socket_protocol =
        put->is_stream ? DNSTAP__SOCKET_PROTOCOL__TCP : DNSTAP__SOCKET_PROTOCOL__UDP;
    message.has_query_address = true;
    message.query_address = (ProtobufCBinaryData){put->is_ipv6 ? 16 : 4, address};
    message.has_query_port = true;
    message.query_port = put->port;
    message.has_response_time_sec = message.has_response_time_nsec = true;
    message.response_time_sec = (uint64_t)(put->at_ns / 1000000000);
    message.response_time_nsec = (uint32_t)(put->at_ns % 1000000000);
    message.has_response_message = true;
    message.response_message = (ProtobufCBinaryData){put->size, response};
    event.type = DNSTAP__DNSTAP__TYPE__MESSAGE;
    event.message = &message;
    return frame_sender_send(answers->sender, packed, dnstap__dnstap__pack(&event, packed));
}

/* Connects when it is time to try again. */
static bool is_taken(struct listed_answers *answers)
{
    struct timespec now;
    if (frame_sender_is_connected(answers->sender))
        return true;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec - answers->tried_at < RETRY_S)
        return false;
    answers->tried_at = now.tv_sec;
    int rc = frame_sender_connect(answers->sender);
    if (rc < 0 && !answers->complained)
        log_event(LOG_WARNING, "nobody takes the events of listed names (orders.dnstap): %s",
                  strerror(-rc));
    else if (rc == 0)
        log_event(LOG_INFO, "events of listed names are taken");
    answers->complained = rc < 0;
    return rc == 0;
}

static void counted_add(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

static void ring_send(struct listed_answers *answers, struct ring *ring)
{
    const size_t end = atomic_load_explicit(&ring->end, memory_order_acquire);
    size_t begin = atomic_load_explicit(&ring->begin, memory_order_relaxed);
    uint8_t response[RESPONSE_MAX];
    struct put put;

    while (begin != end) {
        ring_read(ring, begin, &put, sizeof(put));
        ring_read(ring, begin + sizeof(put), response, put.size);
        begin += sizeof(put) + put.size;
        const bool is_sent = is_taken(answers) && event_send(answers, &put, response) == 0;
        counted_add(is_sent ? &answers->sent : &answers->lost);
        atomic_store_explicit(&ring->begin, begin, memory_order_release);
    }
}

static bool pause_for(struct listed_answers *answers, unsigned ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&answers->lock);
    while (!answers->stopping &&
           pthread_cond_timedwait(&answers->wake, &answers->lock, &until) == 0)
        ;
    const bool stopping = answers->stopping;
    pthread_mutex_unlock(&answers->lock);
    return !stopping;
}

static void *answers_run(void *context)
{
    struct listed_answers *answers = context;
    bool goes_on;
    do {
        goes_on = pause_for(answers, SEND_EVERY_MS);
        (void)is_taken(
            answers); /* also while there is nothing to tell: so that a first answer is */
        for (unsigned i = 0; i < answers->ring_count; i++)
            ring_send(answers, &answers->rings[i]);
    } while (goes_on);
    return NULL;
}

/* ---- Beginning and end ---- */

static void answers_free(struct listed_answers *answers)
{
    frame_sender_free(answers->sender);
    for (unsigned i = 0; i < answers->ring_count; i++)
        free(answers->rings[i].octets);
    pthread_mutex_destroy(&answers->lock);
    pthread_cond_destroy(&answers->wake);
    free(answers);
}

int listed_answers_start(const char *path, unsigned threads, struct listed_answers **ret_answers,
                         struct error *ret_error)
{
    const size_t size = sizeof(struct listed_answers) + threads * sizeof(struct ring);
    const size_t whole = (size + 63) / 64 * 64;
    struct listed_answers *answers = aligned_alloc(64, whole);
    pthread_condattr_t clock;

    if (answers == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    memset(answers, 0, whole);
    pthread_mutex_init(&answers->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&answers->wake, &clock);
    pthread_condattr_destroy(&clock);
    answers->tried_at = -RETRY_S;
    answers->ring_count = threads;
    answers->sender = frame_sender_create(path, DNSTAP_CONTENT_TYPE);
    int rc = answers->sender != NULL ? 0 : -ENOMEM;
    for (unsigned i = 0; i < threads && rc == 0; i++)
        if ((answers->rings[i].octets = malloc(RING_OCTETS)) == NULL)
            rc = -ENOMEM;
    if (rc == 0)
        rc = -pthread_create(&answers->thread, NULL, answers_run, answers);
    if (rc < 0) {
        answers_free(answers);
        return error_set(ret_error, rc, "no memory or thread for events of listed names");
    }
    *ret_answers = answers;
    return 0;
}

void listed_answers_stop(struct listed_answers *answers)
{
    if (answers == NULL)
        return;
    pthread_mutex_lock(&answers->lock);
    answers->stopping = true;
    pthread_cond_signal(&answers->wake);
    pthread_mutex_unlock(&answers->lock);
    pthread_join(answers->thread, NULL);
    answers_free(answers);
}

void listed_answers_write_metrics(const struct listed_answers *answers, FILE *stream)
{
    if (answers == NULL)
        return;
    uint64_t dropped = __atomic_load_n(&answers->lost, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < answers->ring_count; i++)
        dropped += __atomic_load_n(&answers->rings[i].dropped, __ATOMIC_RELAXED);
    fprintf(
        stream,
        "# HELP tamisd_listed_answers_total Answers that orders decided, told as dnstap events.\n"
        "# TYPE tamisd_listed_answers_total counter\n"
        "tamisd_listed_answers_total{result=\"sent\"} %llu\n"
        "tamisd_listed_answers_total{result=\"dropped\"} %llu\n",
        (unsigned long long)__atomic_load_n(&answers->sent, __ATOMIC_RELAXED),
        (unsigned long long)dropped);
}
