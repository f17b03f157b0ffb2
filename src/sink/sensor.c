/* The sensor's threads and the loop that each one runs. */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "sink/sensor_internal.h"

#define EVENTS_MAX 256

/* Of a thread's descriptors, those that are no connection: the standard ones, epoll, stop; and one
 * that is accepted before another gives way. */
#define DESCRIPTORS_KEPT 6

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void clock_read(struct sensor_thread *thread)
{
    thread->now_us = clock_us(CLOCK_MONOTONIC);
    thread->epoch_us = clock_us(CLOCK_REALTIME) - thread->now_us;
}

static void serve_event(struct sensor_thread *thread, const struct epoll_event *event,
                        bool *ret_stops)
{
    const uint32_t number = (uint32_t)event->data.u64;
    switch ((enum sensor_event)(event->data.u64 >> 32)) {
    case EVENT_STOP:
        *ret_stops = true;
        break;
    case EVENT_TCP:
        sensor_accept(thread, (uint16_t)number);
        break;
    case EVENT_UDP:
        datagrams_serve(thread, &thread->sockets[number]);
        break;
    case EVENT_CONNECTION:
        connection_serve(thread, number, event->events);
        break;
    }
}

static int compare_fds(const void *one, const void *other)
{
    return *(const int *)one - *(const int *)other;
}

/* A table of descriptors of the thread's own, with nothing in it but its sockets. So a flood takes
 * no descriptor from the rest of the program, the limit of open files counts for each thread, and
 * system calls don't count references. Where the system forbids it the program's table does. */
static void own_table(struct sensor_thread *thread)
{
    const size_t listen_count = thread->sensor->options.listen_count;
    const size_t count = listen_count + 3;
    int *kept = calloc(count, sizeof(*kept));
    if (kept == NULL || unshare(CLONE_FILES) < 0) {
        free(kept);
        return;
    }
    thread->has_own_table = true;
    kept[0] = STDERR_FILENO;
    kept[1] = thread->epoll_fd;
    kept[2] = thread->stop_fd;
    for (size_t i = 0; i < listen_count; i++)
        kept[i + 3] = thread->sockets[i].fd;
    qsort(kept, count, sizeof(*kept), compare_fds);
    for (size_t i = 0; i < count; i++) {
        const unsigned first = (unsigned)kept[i] + 1;
        const unsigned last = i + 1 < count ? (unsigned)kept[i + 1] - 1 : ~0U;
        if (first <= last)
            (void)close_range(first, last, 0);
    }
    free(kept);
}

static void close_sockets(const struct sensor_thread *thread)
{
    for (size_t i = 0; thread->sockets != NULL && i < thread->sensor->options.listen_count; i++) {
        if (thread->sockets[i].fd >= 0)
            close(thread->sockets[i].fd);
    }
}

static void *thread_run(void *context)
{
    struct sensor_thread *thread = context;
    struct epoll_event events[EVENTS_MAX];
    bool stops = false;

    own_table(thread);
    clock_read(thread);
    while (!stops) {
        int count =
            epoll_wait(thread->epoll_fd, events, EVENTS_MAX, connections_timeout_ms(thread));
        clock_read(thread);
        for (int i = 0; i < count; i++)
            serve_event(thread, &events[i], &stops);
        connections_expire(thread);
        sensor_accept_resume(thread);
    }
    connections_end_all(thread);
    /* Before the table itself goes, which may be later than who waits for the thread goes on. */
    if (thread->has_own_table)
        close_sockets(thread);
    return NULL;
}

/* How many places a thread has: as many as there are in all, where it has the descriptors. */
static uint32_t places_of(const struct sensor_options *options)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return options->connections_max;
    if (limit.rlim_cur < limit.rlim_max) {
        const struct rlimit raised = {limit.rlim_max, limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    const rlim_t kept = DESCRIPTORS_KEPT + options->listen_count;
    const rlim_t places = limit.rlim_cur > kept ? limit.rlim_cur - kept : 1;
    if (places * options->threads < options->connections_max)
        log_event(LOG_WARNING,
                  "the limit of open files, %llu for each thread, leaves room for %llu of "
                  "connections-max: %u; raise LimitNOFILE or sensor.threads",
                  (unsigned long long)limit.rlim_cur, (unsigned long long)places * options->threads,
                  options->connections_max);
    return places < options->connections_max ? (uint32_t)places : options->connections_max;
}

static bool has_transport(const struct sensor_options *options, enum sink_transport transport)
{
    for (size_t i = 0; i < options->listen_count; i++) {
        if (options->listen[i].transport == transport)
            return true;
    }
    return false;
}

/* Fills a zeroed thread. On failure thread_clear() takes what was made. */
static int thread_init(struct sensor_thread *thread, struct sensor *sensor, unsigned number,
                       uint32_t places)
{
    const struct sensor_options *options = &sensor->options;
    thread->sensor = sensor;
    thread->number = number;
    thread->epoll_fd = thread->stop_fd = -1;
    thread->sockets = calloc(options->listen_count, sizeof(*thread->sockets));
    if (thread->sockets == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < options->listen_count; i++)
        thread->sockets[i].fd = -1;

    thread->buffer = malloc(options->octets_max);
    thread->handshakes = handshake_share_create();
    if (thread->buffer == NULL || thread->handshakes == NULL || places_create(thread, places) < 0)
        return -ENOMEM;
    if (has_transport(options, SINK_UDP)) {
        thread->datagrams = datagram_batch_create(options->octets_max);
        if (thread->datagrams == NULL)
            return -ENOMEM;
    }

    thread->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    thread->stop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)EVENT_STOP << 32};
    if (thread->epoll_fd < 0 || thread->stop_fd < 0 ||
        epoll_ctl(thread->epoll_fd, EPOLL_CTL_ADD, thread->stop_fd, &event) < 0)
        return -errno;
    return 0;
}

static void thread_clear(struct sensor_thread *thread)
{
    if (thread->sensor == NULL)
        return;
    close_sockets(thread);
    if (thread->epoll_fd >= 0)
        close(thread->epoll_fd);
    if (thread->stop_fd >= 0)
        close(thread->stop_fd);
    datagram_batch_free(thread->datagrams);
    places_free(thread);
    handshake_share_free(thread->handshakes);
    free(thread->buffer);
    free(thread->sockets);
}

int sensor_create(const struct sensor_options *options, struct sensor **ret_sensor,
                  struct error *ret_error)
{
    _cleanup_(sensor_freep) struct sensor *sensor = aligned_alloc(128, sizeof(*sensor));
    if (sensor == NULL)
        return error_set(ret_error, -ENOMEM, "no memory for the sensor");
    memset(sensor, 0, sizeof(*sensor));
    sensor->options = *options;

    const uint32_t places = places_of(options);
    sensor->bound = calloc(options->listen_count, sizeof(*sensor->bound));
    sensor->threads = calloc(options->threads, sizeof(*sensor->threads));
    /* Each thread may have one in hand before another gives way. */
    sensor->numbers = source_numbers_create(options->connections_max + options->threads,
                                            options->connections_per_source_max);
    int rc =
        sensor->bound == NULL || sensor->threads == NULL || sensor->numbers == NULL ? -ENOMEM : 0;
    if (rc == 0 && has_transport(options, SINK_UDP)) {
        sensor->datagrams = datagram_share_create(options->datagrams_per_source_max);
        rc = sensor->datagrams == NULL ? -ENOMEM : 0;
    }
    for (unsigned i = 0; i < options->threads && rc == 0; i++)
        rc = thread_init(&sensor->threads[i], sensor, i, places);
    if (rc < 0)
        return error_set(ret_error, rc,
                         "cannot make the sensor's threads: %s; lower sensor.connections-max or "
                         "sensor.threads",
                         strerror(-rc));
    rc = sensor_listen_all(sensor, ret_error);
    if (rc < 0)
        return rc;
    *ret_sensor = TAKE(sensor);
    return 0;
}

int sensor_start(struct sensor *sensor, struct error *ret_error)
{
    sigset_t all, before;
    sigfillset(&all);
    int rc = 0;
    /* Signals are the main thread's. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (unsigned i = 0; i < sensor->options.threads && rc == 0; i++) {
        struct sensor_thread *thread = &sensor->threads[i];
        rc = -pthread_create(&thread->thread, NULL, thread_run, thread);
        thread->is_started = rc == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc < 0) {
        sensor_stop(sensor);
        return error_set(ret_error, rc, "cannot start a thread of the sensor: %s", strerror(-rc));
    }
    return 0;
}

void sensor_stop(struct sensor *sensor)
{
    for (unsigned i = 0; i < sensor->options.threads; i++) {
        /* Can't fail: the counter is zero. */
        if (sensor->threads[i].is_started)
            (void)eventfd_write(sensor->threads[i].stop_fd, 1);
    }
    for (unsigned i = 0; i < sensor->options.threads; i++) {
        if (sensor->threads[i].is_started)
            pthread_join(sensor->threads[i].thread, NULL);
        sensor->threads[i].is_started = false;
    }
}

void sensor_free(struct sensor *sensor)
{
    if (sensor == NULL)
        return;
    if (sensor->threads != NULL) {
        sensor_stop(sensor);
        for (unsigned i = 0; i < sensor->options.threads; i++)
            thread_clear(&sensor->threads[i]);
    }
    free(sensor->threads);
    free(sensor->bound);
    datagram_share_free(sensor->datagrams);
    source_numbers_free(sensor->numbers);
    free(sensor);
}

void sensor_address(const struct sensor *sensor, size_t index, struct sockaddr_storage *ret_address)
{
    *ret_address = sensor->bound[index];
}

void sensor_figures(const struct sensor *sensor, struct sensor_figures *ret_figures)
{
    struct sensor_figures sum = {
        .open = atomic_load_explicit(&sensor->open, memory_order_relaxed),
        .open_max = atomic_load_explicit(&sensor->open_max, memory_order_relaxed),
        .memory = atomic_load_explicit(&sensor->memory, memory_order_relaxed),
    };
    uint64_t *to = (uint64_t *)&sum;
    for (unsigned i = 0; i < sensor->options.threads; i++) {
        const uint64_t *from = (const uint64_t *)&sensor->threads[i].figures;
        for (size_t k = 0; k < sizeof(sum) / sizeof(*to); k++)
            to[k] += __atomic_load_n(&from[k], __ATOMIC_RELAXED);
    }
    *ret_figures = sum;
}
