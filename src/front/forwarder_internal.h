/* What the files behind forwarder.h share. */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "base/handover.h"
#include "front/cached_message.h"
#include "front/forwarder.h"
#include "front/timer_wheel.h"

/* Questions in flight of one thread: what an origin that answers in 50 ms needs for 400,000 a
 * second, and seconds of waiting for one that does not answer. */
#define INQUIRIES_MAX 20000

/* Of these, what names never seen may have: all zones together, and a zone. */
#define UNSEEN_SHARE 2

/* Clients that wait for one question; more will ask again. */
#define WAITERS_MAX 1024

/* What may wait to be taken or answered, in octets: of all threads. */
#define WAITING_OCTETS_MAX ((uint64_t)64 << 20)

/* RFC 8767, 5, has 1.8 seconds for stubs, which give up after two. Who asks a server with authority
 * is a resolver: it waits for what was usual, asks again at growing intervals, and gives up on the
 * server, Knot Resolver after five tries in 0.7 seconds, BIND after 0.8 for the first. */
#define CLIENT_RESPONSE_MS 200

/* A client that waits, as it was submitted. Behind it stand the zone's apex, the question's name,
 * the client's subnet, the route and the request. */
struct forward_job {
    struct cds_wfcq_node node;
    struct forward_job *next; /* of those that wait for one question */
    uint32_t octets;
    uint16_t type;
    uint16_t request_size, route_at, request_at;
    uint8_t apex_size, name_size, subnet_size;
    bool dnssec_ok, checking_disabled, has_subnet, has_request;
    _Alignas(16) uint8_t data[]; /* the route first, so that it is aligned */
};

/* What the zones were told to be; shared by the threads and never changed. */
struct forward_plan_zone {
    struct name apex;
    struct sockaddr_storage *servers;
    size_t server_count;
    unsigned rate_max, unseen_rate_max; /* of one thread; 0: no bound */
    uint32_t stale_s;
    bool uses_denials;
    uint64_t origin; /* stands for the servers */
};

struct forward_plan {
    size_t count;
    struct forward_plan_zone *zones; /* ordered by apex */
};

struct forward_thread;

/* A zone as one thread has it. */
struct thread_zone {
    const struct forward_plan_zone *plan;
    struct origin_group *group;
    unsigned unseen; /* questions in flight about names never seen */
    double unseen_tokens;
    int64_t unseen_tokens_ms;
};

/* A question in flight. */
struct inquiry {
    struct forward_thread *thread;
    struct inquiry *next, **previous; /* of its bucket */
    struct thread_zone *zone;         /* NULL: the zone is gone */
    struct wheel_timer timer;         /* when waiting clients get a stale answer */
    struct forward_job *waiters;
    unsigned waiter_count;
    uint64_t hash;
    uint16_t type;
    uint8_t name_size, subnet_size;
    bool dnssec_ok, checking_disabled, has_subnet;
    bool is_unseen;
    bool is_late; /* the timer was: who comes now is answered from what is stale, if anything */
    /* With DO although no client did so, for what the answer says of other names. */
    bool asks_dnssec;
    uint8_t subnet[FORWARDER_SUBNET_SIZE_MAX];
    uint8_t name[NAME_SIZE_MAX];
};

/* Something for the thread to do, while the caller waits. */
struct thread_call {
    struct cds_wfcq_node node;
    int (*run)(struct forward_thread *thread, void *argument);
    void *argument;
    int rc;
    sem_t done;
};

#define BUCKETS (2 * 16384)

struct forward_thread {
    struct forwarder *forwarder;
    unsigned index;
    pthread_t id;
    bool is_started;
    int wake_fd;
    atomic_bool stops;
    atomic_bool is_asleep; /* or about to be: who has work for it is to wake it */
    struct cds_wfcq_head jobs_head, calls_head;
    struct cds_wfcq_tail jobs_tail, calls_tail;

    /* The thread's own. */
    struct origin_pool *pool;
    struct timer_wheel wheel;
    struct cached_message *message;
    struct denial_reader *denial_reader;
    const struct forward_plan *plan;
    struct thread_zone *zones; /* beside plan->zones */
    unsigned inquiry_count, unseen_count;
    bool is_draining;    /* nothing is asked any more */
    int64_t now, now_ms; /* Unix seconds; monotonic */
    struct name name;    /* of the question that is dealt with */
    struct inquiry *buckets[BUCKETS];

    struct forwarder_counters counters; /* written by the thread alone, read relaxed */
};

struct forwarder {
    struct forwarder_options options;
    unsigned thread_count;
    struct forward_thread *threads;
    pthread_mutex_t calls; /* over the plan, and around what all threads are asked to do */
    struct forward_plan *plan;
    _Atomic(uint64_t) waiting_octets, over_bound;
};

static inline void forward_count(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

/* forwarder_zones.c */

/* Shares of the zones' rates for each of `threads`. */
_must_check_ int forward_plan_create(const struct forward_zone *zones, size_t count,
                                     unsigned threads, struct forward_plan **ret_plan);
void forward_plan_free(struct forward_plan *plan);

/* Adds the zones of another plan for as many threads that this one has not. */
_must_check_ int forward_plan_keep(struct forward_plan *plan, const struct forward_plan *other);

/* Tells the store of denials which zones there are; those of other servers than before begin anew.
 */
_must_check_ int forward_plan_tell(const struct forward_plan *plan, struct denial_store *denials);

/* Index of the zone with that apex; -1: there is none. */
ptrdiff_t forward_plan_find(const struct forward_plan *plan, const uint8_t *apex, size_t size);

/* The same of that zone or the nearest above it, which has its names when it is gone. */
ptrdiff_t forward_plan_find_at_or_above(const struct forward_plan *plan, const uint8_t *apex,
                                        size_t size);

/* Opens what is new or has changed; on failure nothing has. Then takes the new zones and lets go of
 * the old ones. To be called in that order by the thread. */
_must_check_ int thread_zones_open(struct forward_thread *thread, const struct forward_plan *plan,
                                   struct thread_zone **ret_zones);
void thread_zones_abandon(struct forward_thread *thread, const struct forward_plan *plan,
                          struct thread_zone *zones);
void thread_zones_take(struct forward_thread *thread, const struct forward_plan *plan,
                       struct thread_zone *zones);

/* Whether one more name that was never seen may be asked for; counts it. */
bool thread_zone_admits(struct forward_thread *thread, struct thread_zone *zone);

/* forwarder_inquiry.c */

/* Takes a job: answers it or has it wait. */
void inquiry_begin(struct forward_thread *thread, struct forward_job *job);

/* A timer has come. */
void inquiry_timer_due(void *context, struct wheel_timer *timer);

/* Points questions in flight to the thread's zones as they are from now on. */
void inquiries_move(struct forward_thread *thread, const struct forward_plan *plan,
                    struct thread_zone *zones);

void forward_job_free(struct forwarder *forwarder, struct forward_job *job);
