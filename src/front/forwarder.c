#include "front/forwarder.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/rcu.h"
#include "front/forwarder_internal.h"

/* Jobs between two looks at what origins have sent. */
#define JOBS_AT_ONCE 256

/* ---- Submitting ---- */

/* The high half: the low one chooses among buckets and shards. */
static struct forward_thread *thread_of(struct forwarder *forwarder, const struct name *name)
{
    return &forwarder->threads[(name->hashes[0] >> 40) % forwarder->thread_count];
}

static struct forward_job *job_create(const struct forward_question *question, size_t octets)
{
    struct forward_job *job = malloc(octets);
    if (job == NULL)
        return NULL;
    const struct name *name = question->key.name, *apex = question->apex;
    const bool has_subnet = question->client_subnet != NULL;
    assert(!has_subnet || question->client_subnet_size <= FORWARDER_SUBNET_SIZE_MAX);
    *job = (struct forward_job){
        .octets = (uint32_t)octets,
        .type = question->key.type,
        .dnssec_ok = question->key.dnssec_ok,
        .checking_disabled = question->key.checking_disabled,
        .request_size = (uint16_t)question->size,
        .route_at = (uint16_t)question->route_size,
        .apex_size = apex->size,
        .name_size = name->size,
        .has_subnet = has_subnet,
        .subnet_size = has_subnet ? (uint8_t)question->client_subnet_size : 0,
        .has_request = question->request != NULL,
    };
    cds_wfcq_node_init(&job->node);
    uint8_t *at = job->data;
    if (question->route_size > 0)
        memcpy(at, question->route, question->route_size);
    at += question->route_size;
    memcpy(at, apex->wire, apex->size);
    at += apex->size;
    memcpy(at, name->wire, name->size);
    at += name->size;
    if (job->subnet_size > 0)
        memcpy(at, question->client_subnet, job->subnet_size);
    at += job->subnet_size;
    job->request_at = (uint16_t)(at - job->data);
    if (question->size > 0)
        memcpy(at, question->request, question->size);
    return job;
}

/* A thread at work looks at its queues before it sleeps. Said so by is_asleep, which it sets before
 * the last look, and who queues something reads behind that. */
static void wake(struct forward_thread *thread)
{
    if (atomic_load(&thread->is_asleep) && atomic_exchange(&thread->is_asleep, false))
        (void)eventfd_write(thread->wake_fd, 1);
}

bool forwarder_submit(struct forwarder *forwarder, const struct forward_question *question)
{
    const size_t octets = sizeof(struct forward_job) + question->route_size + question->apex->size +
                          question->key.name->size + FORWARDER_SUBNET_SIZE_MAX + question->size;
    struct forward_job *job = NULL;
    if (atomic_fetch_add(&forwarder->waiting_octets, octets) + octets <= WAITING_OCTETS_MAX)
        job = job_create(question, octets);
    if (job == NULL) {
        atomic_fetch_sub(&forwarder->waiting_octets, octets);
        atomic_fetch_add(&forwarder->over_bound, 1);
        return false;
    }
    struct forward_thread *thread = thread_of(forwarder, question->key.name);
    (void)cds_wfcq_enqueue(&thread->jobs_head, &thread->jobs_tail, &job->node);
    wake(thread);
    return true;
}

/* ---- The thread ---- */

static void read_clocks(struct forward_thread *thread)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    thread->now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    thread->now = time(NULL);
}

static void run_calls(struct forward_thread *thread)
{
    struct cds_wfcq_node *node;
    while ((node = __cds_wfcq_dequeue_blocking(&thread->calls_head, &thread->calls_tail)) != NULL) {
        struct thread_call *call = caa_container_of(node, struct thread_call, node);
        call->rc = call->run(thread, call->argument);
        sem_post(&call->done);
    }
}

/* Takes some of the jobs; false: none are left. What is left is taken behind a look at what origins
 * have sent. */
static bool run_jobs(struct forward_thread *thread)
{
    for (unsigned left = JOBS_AT_ONCE; left > 0; left--) {
        struct cds_wfcq_node *node =
            __cds_wfcq_dequeue_blocking(&thread->jobs_head, &thread->jobs_tail);
        if (node == NULL)
            return false;
        inquiry_begin(thread, caa_container_of(node, struct forward_job, node));
    }
    return true;
}

static void run_timers(struct forward_thread *thread)
{
    struct wheel_timer *timer;
    while ((timer = timer_wheel_take(&thread->wheel, thread->now_ms)) != NULL)
        timer->due(thread, timer);
}

static int timeout_ms(const struct forward_thread *thread)
{
    int timeout = origin_pool_timeout_ms(thread->pool);
    const int64_t next_ms = timer_wheel_next(&thread->wheel);
    if (next_ms != INT64_MAX) {
        int64_t left_ms = next_ms - thread->now_ms;
        left_ms = left_ms < 0 ? 0 : left_ms;
        if (timeout < 0 || left_ms < timeout)
            timeout = (int)left_ms;
    }
    return timeout;
}

static bool has_work(struct forward_thread *thread)
{
    return atomic_load(&thread->stops) || !cds_wfcq_empty(&thread->jobs_head, &thread->jobs_tail) ||
           !cds_wfcq_empty(&thread->calls_head, &thread->calls_tail);
}

static void wait_for_work(struct forward_thread *thread)
{
    atomic_store(&thread->is_asleep, true);
    const int timeout = has_work(thread) ? 0 : timeout_ms(thread);
    if (timeout != 0)
        rcu_thread_offline();
    origin_pool_wait(thread->pool, timeout);
    if (timeout != 0)
        rcu_thread_online();
    atomic_store(&thread->is_asleep, false);
}

/* Sends what the turn has made: answers to clients, questions to origins. */
static void send_all(struct forward_thread *thread)
{
    const struct forwarder_options *options = &thread->forwarder->options;
    if (options->flush != NULL)
        options->flush(options->context, thread->index);
    if (thread->pool != NULL)
        origin_pool_flush(thread->pool);
}

/* Nobody is left without an answer: what is in flight ends with what is kept. */
static void drain(struct forward_thread *thread)
{
    thread->is_draining = true;
    while (run_jobs(thread))
        continue;
    run_calls(thread);
    origin_pool_free(thread->pool);
    thread->pool = NULL;
    send_all(thread);
    free(thread->zones);
}

static void *run(void *context)
{
    struct forward_thread *thread = context;
    rcu_register_thread();
    while (!atomic_load(&thread->stops)) {
        wait_for_work(thread);
        read_clocks(thread);
        origin_pool_run(thread->pool);
        run_calls(thread);
        (void)run_jobs(thread);
        run_timers(thread);
        send_all(thread);
        rcu_quiescent_state();
    }
    read_clocks(thread);
    drain(thread);
    rcu_unregister_thread();
    return NULL;
}

static int thread_start(struct forward_thread *thread, struct error *ret_error)
{
    const struct origin_options options = {.waiting_max = INQUIRIES_MAX};
    cds_wfcq_init(&thread->jobs_head, &thread->jobs_tail);
    cds_wfcq_init(&thread->calls_head, &thread->calls_tail);
    read_clocks(thread);
    timer_wheel_init(&thread->wheel, thread->now_ms);
    thread->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    thread->message = cached_message_create();
    thread->denial_reader = denial_reader_create();
    if (thread->wake_fd < 0 || thread->message == NULL || thread->denial_reader == NULL)
        return error_set(ret_error, thread->wake_fd < 0 ? -errno : -ENOMEM,
                         "cannot start a forwarding thread: %s", strerror(errno));
    int rc = origin_pool_create(&options, &thread->pool, ret_error);
    if (rc < 0)
        return rc;
    rc = origin_pool_watch(thread->pool, thread->wake_fd);
    if (rc < 0)
        return error_set(ret_error, rc, "cannot start a forwarding thread: %s", strerror(-rc));
    rc = -pthread_create(&thread->id, NULL, run, thread);
    if (rc < 0)
        return error_set(ret_error, rc, "cannot start a forwarding thread: %s", strerror(-rc));
    thread->is_started = true;
    return 0;
}

static void thread_stop(struct forward_thread *thread)
{
    if (thread->is_started) {
        atomic_store(&thread->stops, true);
        wake(thread);
        pthread_join(thread->id, NULL);
        cds_wfcq_destroy(&thread->jobs_head, &thread->jobs_tail);
        cds_wfcq_destroy(&thread->calls_head, &thread->calls_tail);
    }
    origin_pool_free(thread->pool); /* of one that was not started */
    cached_message_free(thread->message);
    denial_reader_free(thread->denial_reader);
    if (thread->wake_fd >= 0)
        close(thread->wake_fd);
}

int forwarder_start(const struct forwarder_options *options, struct forwarder **ret_forwarder,
                    struct error *ret_error)
{
    struct forwarder *forwarder = calloc(1, sizeof(*forwarder));
    if (forwarder == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    forwarder->options = *options;
    pthread_mutex_init(&forwarder->calls, NULL);
    const unsigned count = options->threads;
    assert(count > 0);
    forwarder->threads = calloc(count, sizeof(*forwarder->threads));
    int rc = forwarder->threads == NULL ? error_set(ret_error, -ENOMEM, "out of memory") : 0;
    while (rc == 0 && forwarder->thread_count < count) {
        struct forward_thread *thread = &forwarder->threads[forwarder->thread_count];
        thread->forwarder = forwarder;
        thread->index = forwarder->thread_count++;
        rc = thread_start(thread, ret_error);
    }
    if (rc < 0) {
        forwarder_stop(forwarder);
        return rc;
    }
    *ret_forwarder = forwarder;
    return 0;
}

void forwarder_stop(struct forwarder *forwarder)
{
    if (forwarder == NULL)
        return;
    for (unsigned i = 0; i < forwarder->thread_count; i++)
        thread_stop(&forwarder->threads[i]);
    forward_plan_free(forwarder->plan);
    pthread_mutex_destroy(&forwarder->calls);
    free(forwarder->threads);
    free(forwarder);
}

unsigned forwarder_threads(const struct forwarder *forwarder)
{
    return forwarder->thread_count;
}

/* ---- Calls ---- */

static int thread_run(struct forward_thread *thread,
                      int (*run_it)(struct forward_thread *thread, void *argument), void *argument)
{
    struct thread_call call = {.run = run_it, .argument = argument};
    cds_wfcq_node_init(&call.node);
    sem_init(&call.done, 0, 0);
    (void)cds_wfcq_enqueue(&thread->calls_head, &thread->calls_tail, &call.node);
    wake(thread);
    while (sem_wait(&call.done) < 0 && errno == EINTR)
        continue;
    sem_destroy(&call.done);
    return call.rc;
}

/* One thread's part of a change of the zones. */
struct zones_change {
    const struct forward_plan *plan;
    struct thread_zone *zones;
};

static int open_zones(struct forward_thread *thread, void *argument)
{
    struct zones_change *change = argument;
    return thread_zones_open(thread, change->plan, &change->zones);
}

static int abandon_zones(struct forward_thread *thread, void *argument)
{
    struct zones_change *change = argument;
    thread_zones_abandon(thread, change->plan, change->zones);
    return 0;
}

static int take_zones(struct forward_thread *thread, void *argument)
{
    struct zones_change *change = argument;
    thread_zones_take(thread, change->plan, change->zones);
    return 0;
}

int forwarder_configure(struct forwarder *forwarder, const struct forward_zone *zones, size_t count,
                        enum forward_others others, struct error *ret_error)
{
    struct forward_plan *plan = NULL;
    struct zones_change *changes = calloc(forwarder->thread_count, sizeof(*changes));
    pthread_mutex_lock(&forwarder->calls);
    int rc = changes == NULL ? -ENOMEM
                             : forward_plan_create(zones, count, forwarder->thread_count, &plan);
    if (rc == 0 && others == FORWARD_OTHERS_STAY)
        rc = forward_plan_keep(plan, forwarder->plan);
    unsigned opened = 0;
    while (rc == 0 && opened < forwarder->thread_count) {
        changes[opened].plan = plan;
        rc = thread_run(&forwarder->threads[opened], open_zones, &changes[opened]);
        opened += rc == 0;
    }
    if (rc == 0)
        rc = forward_plan_tell(plan, forwarder->options.denials);
    for (unsigned i = 0; i < opened; i++)
        thread_run(&forwarder->threads[i], rc == 0 ? take_zones : abandon_zones, &changes[i]);
    if (rc == 0) {
        forward_plan_free(forwarder->plan);
        forwarder->plan = TAKE(plan);
    }
    pthread_mutex_unlock(&forwarder->calls);
    forward_plan_free(plan);
    free(changes);
    return rc < 0 ? error_set(ret_error, rc, "cannot forward: %s", strerror(-rc)) : 0;
}

/* ---- For people ---- */

void forwarder_counters(const struct forwarder *forwarder, struct forwarder_counters *ret_counters)
{
    struct forwarder_counters sum = {0};
    for (unsigned i = 0; i < forwarder->thread_count; i++) {
        const struct forward_thread *thread = &forwarder->threads[i];
        const uint64_t *from = (const uint64_t *)&thread->counters;
        uint64_t *to = (uint64_t *)&sum;
        for (size_t k = 0; k < sizeof(sum) / sizeof(uint64_t); k++)
            to[k] += __atomic_load_n(&from[k], __ATOMIC_RELAXED);
        sum.waiting += __atomic_load_n(&thread->inquiry_count, __ATOMIC_RELAXED);
    }
    sum.over_bound += atomic_load(&forwarder->over_bound);
    *ret_counters = sum;
}

struct state_request {
    size_t zone, max, count;
    struct origin_server_state *states;
};

static int read_states(struct forward_thread *thread, void *argument)
{
    struct state_request *request = argument;
    request->count =
        origin_group_state(thread->zones[request->zone].group, request->states, request->max);
    return 0;
}

/* Adds what another thread knows of the same server. */
static void add_state(struct origin_server_state *sum, const struct origin_server_state *more)
{
    if (more->answered > sum->answered) {
        sum->rtt_ms = more->rtt_ms;
        sum->p95_ms = more->p95_ms;
        sum->has_case = more->has_case;
        sum->has_edns = more->has_edns;
        sum->has_cookies = more->has_cookies;
    }
    sum->is_healthy &= more->is_healthy;
    sum->asked += more->asked;
    sum->answered += more->answered;
    sum->timeouts += more->timeouts;
    sum->refused += more->refused;
    sum->late += more->late;
    sum->mismatches += more->mismatches;
    sum->truncated += more->truncated;
    sum->over_tcp += more->over_tcp;
    sum->hedges += more->hedges;
}

size_t forwarder_zone_state(struct forwarder *forwarder, const uint8_t *apex,
                            struct origin_server_state *ret_states, size_t max)
{
    struct origin_server_state states[ORIGIN_SERVERS_MAX];
    pthread_mutex_lock(&forwarder->calls);
    const ptrdiff_t zone = forward_plan_find(forwarder->plan, apex, name_wire_size(apex));
    struct state_request request = {
        .zone = (size_t)zone, .max = ORIGIN_SERVERS_MAX, .states = states};
    for (unsigned i = 0; zone >= 0 && i < forwarder->thread_count; i++) {
        (void)thread_run(&forwarder->threads[i], read_states, &request);
        for (size_t k = 0; k < request.count && k < max; k++) {
            if (i == 0)
                ret_states[k] = states[k];
            else
                add_state(&ret_states[k], &states[k]);
        }
    }
    pthread_mutex_unlock(&forwarder->calls);
    return request.count < max ? request.count : max;
}
