#include "desk/dns_updater.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "desk/desk_config.h"
#include "desk/dns_updater_internal.h"
#include "zone/origin_link.h"

/* Where the options say 0. Clients of dynamic DNS wait for 10 s and more; below that, a name server
 * that restarts is waited for. */
#define WAITING_MAX 65536
#define ANSWER_MS   5000
#define DOWN_MS     4000
#define CONNECT_MS  2000

/* ---- Submitting ---- */

static int submit(struct dns_updater *updater, struct task *task, struct error *ret_error)
{
    if (atomic_fetch_add(&updater->waiting, 1) >= updater->options.waiting_max) {
        atomic_fetch_sub(&updater->waiting, 1);
        atomic_fetch_add(&updater->figures.turned_away, 1);
        free(task);
        return error_set(ret_error, -EAGAIN, "too many updates wait for the name server");
    }
    task->submitted_ms = monotonic_ms();
    pthread_mutex_lock(&updater->lock);
    const bool is_stopping = updater->is_stopping, wakes = updater->is_asleep;
    if (!is_stopping) {
        dns_task_list_add(&updater->incoming, task);
        updater->is_asleep = false;
    }
    pthread_mutex_unlock(&updater->lock);
    if (is_stopping) {
        atomic_fetch_sub(&updater->waiting, 1);
        free(task);
        return error_set(ret_error, -EIO, "the desk ends");
    }
    if (wakes)
        (void)eventfd_write(updater->event_fd, 1);
    return 0;
}

/* What needs no look at the task. */
static int submit_check(struct dns_updater *updater, struct error *ret_error)
{
    if (updater == NULL)
        return error_set(ret_error, -EIO,
                         "no name server takes updates: write update: yes at one of servers");
    if (!atomic_load(&updater->is_down))
        return 0;
    atomic_fetch_add(&updater->figures.turned_away, 1);
    return error_set(ret_error, -EIO, "the name server %s is down", updater->options.server_text);
}

int dns_updater_submit(struct dns_updater *updater, const struct dns_change *change,
                       dns_done_fn *done, void *context, struct error *ret_error)
{
    struct task *task;
    int rc = submit_check(updater, ret_error);
    if (rc == 0)
        rc = dns_task_create(change->zone, change->host, change, updater->hash_key, &task,
                             ret_error);
    if (rc < 0)
        return rc;
    task->done = done;
    task->context = context;
    return submit(updater, task, ret_error);
}

int dns_updater_ask(struct dns_updater *updater, const char *zone, const char *host,
                    dns_told_fn *told, void *context, struct error *ret_error)
{
    struct task *task;
    int rc = submit_check(updater, ret_error);
    if (rc == 0)
        rc = dns_task_create(zone, host, NULL, updater->hash_key, &task, ret_error);
    if (rc < 0)
        return rc;
    task->told = told;
    task->context = context;
    rc = submit(updater, task, ret_error);
    if (rc == 0)
        atomic_fetch_add(&updater->figures.asked, 1);
    return rc;
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
    enum dns_result result;
    uint8_t rcode;
    char why[256];
};

static void waiter_tell(void *context, const struct dns_outcome *outcome)
{
    struct waiter *waiter = context;
    pthread_mutex_lock(&waiter->lock);
    waiter->result = outcome->result;
    waiter->rcode = outcome->rcode;
    if (outcome->why != NULL)
        snprintf(waiter->why, sizeof(waiter->why), "%s", outcome->why);
    waiter->is_done = true;
    pthread_cond_signal(&waiter->done);
    pthread_mutex_unlock(&waiter->lock);
}

int dns_updater_change(struct dns_updater *updater, const struct dns_change *change,
                       uint8_t *ret_rcode, struct error *ret_error)
{
    struct waiter waiter = {.lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

    int rc = dns_updater_submit(updater, change, waiter_tell, &waiter, ret_error);
    if (rc == 0) {
        pthread_mutex_lock(&waiter.lock);
        while (!waiter.is_done)
            pthread_cond_wait(&waiter.done, &waiter.lock);
        pthread_mutex_unlock(&waiter.lock);
        if (waiter.result == DNS_REFUSED) {
            *ret_rcode = waiter.rcode;
            rc = error_set(ret_error, -EACCES, "the update of %s is refused: %s", change->host,
                           waiter.why);
        } else if (waiter.result == DNS_NOT_REACHED) {
            rc = error_set(ret_error, -EIO, "the update of %s: %s", change->host, waiter.why);
        }
    }
    pthread_cond_destroy(&waiter.done);
    pthread_mutex_destroy(&waiter.lock);
    return rc;
}

/* ---- The thread ---- */

static bool incoming_take(struct dns_updater *updater, struct task_list *ret_incoming)
{
    pthread_mutex_lock(&updater->lock);
    *ret_incoming = updater->incoming;
    updater->incoming.first = NULL;
    const bool is_stopping = updater->is_stopping;
    pthread_mutex_unlock(&updater->lock);
    return !is_stopping;
}

/* Whoever submits from now on wakes the thread; false: somebody has just done so. */
static bool fall_asleep(struct dns_updater *updater)
{
    pthread_mutex_lock(&updater->lock);
    updater->is_asleep = updater->incoming.first == NULL && !updater->is_stopping;
    const bool is_asleep = updater->is_asleep;
    pthread_mutex_unlock(&updater->lock);
    return is_asleep;
}

static void events_await(struct dns_updater *updater)
{
    struct epoll_event events[2];
    eventfd_t ignored;
    const int wait_ms = fall_asleep(updater) ? dns_traffic_wait_ms(updater) : 0;

    const int count = epoll_wait(updater->link.epoll_fd, events, 2, wait_ms);
    updater->now_ms = monotonic_ms();
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr == &updater->link)
            dns_traffic_receive(updater);
        else
            (void)eventfd_read(updater->event_fd, &ignored);
    }
}

static void *updater_run(void *context)
{
    struct dns_updater *updater = context;
    struct task_list incoming;

    updater->now_ms = monotonic_ms();
    while (incoming_take(updater, &incoming)) {
        dns_queues_take_in(updater, &incoming);
        dns_traffic_look(updater);
        dns_traffic_send(updater);
        events_await(updater);
    }
    dns_queues_take_in(updater, &incoming);
    dns_traffic_end(updater, "the desk ends");
    return NULL;
}

/* ---- Beginning and end ---- */

static void updater_free(struct dns_updater *updater)
{
    for (size_t i = 0; i < MESSAGES_MAX; i++)
        tsig_client_free(updater->slots[i].tsig);
    dns_queues_clear(updater);
    record_reader_free(updater->reader);
    if (updater->event_fd >= 0)
        close(updater->event_fd);
    if (updater->link.epoll_fd >= 0)
        close(updater->link.epoll_fd);
    pthread_mutex_destroy(&updater->lock);
    free(updater);
}

static void options_default(struct dns_updater_options *options)
{
    if (options->waiting_max == 0)
        options->waiting_max = WAITING_MAX;
    if (options->answer_ms == 0)
        options->answer_ms = ANSWER_MS;
    if (options->down_ms == 0)
        options->down_ms = DOWN_MS;
    if (options->connect_ms == 0)
        options->connect_ms = CONNECT_MS;
}

/* The key is tried out: one that cannot be used is told now. */
static int key_take(struct dns_updater *updater, struct error *ret_error)
{
    const struct desk_config_key *key = updater->options.key;
    if (key == NULL)
        return 0;
    updater->key = (struct transfer_key){
        .name = key->name, .algorithm = key->algorithm, .secret = key->secret};
    return tsig_client_create(&updater->key, &updater->slots[0].tsig, ret_error);
}

static int updater_open(struct dns_updater *updater, struct error *ret_error)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &updater->event_fd};

    updater->reader = record_reader_create();
    if (updater->reader == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory while starting the updates");
    updater->link.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    updater->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (updater->link.epoll_fd < 0 || updater->event_fd < 0 ||
        epoll_ctl(updater->link.epoll_fd, EPOLL_CTL_ADD, updater->event_fd, &event) < 0)
        return error_set(ret_error, -errno, "no descriptors for the updates: %s", strerror(errno));
    int rc = key_take(updater, ret_error);
    if (rc < 0)
        return rc;
    rc = pthread_create(&updater->thread, NULL, updater_run, updater);
    return rc == 0 ? 0 : error_set(ret_error, -rc, "no thread for the updates");
}

int dns_updater_start(const struct dns_updater_options *options, struct dns_updater **ret_updater,
                      struct error *ret_error)
{
    struct dns_updater *updater = calloc(1, sizeof(*updater));
    if (updater == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory while starting the updates");
    updater->options = *options;
    options_default(&updater->options);
    updater->event_fd = updater->link.fd = updater->link.epoll_fd = -1;
    randombytes_buf(updater->hash_key, sizeof(updater->hash_key));
    pthread_mutex_init(&updater->lock, NULL);
    int rc = updater_open(updater, ret_error);
    if (rc < 0) {
        updater_free(updater);
        return rc;
    }
    *ret_updater = updater;
    return 0;
}

void dns_updater_stop(struct dns_updater *updater)
{
    if (updater == NULL)
        return;
    pthread_mutex_lock(&updater->lock);
    updater->is_stopping = true;
    pthread_mutex_unlock(&updater->lock);
    (void)eventfd_write(updater->event_fd, 1);
    pthread_join(updater->thread, NULL);
    updater_free(updater);
}

/* ---- Figures ---- */

void dns_updater_figures_get(struct dns_updater *updater, struct dns_updater_figures *ret_figures)
{
    *ret_figures = (struct dns_updater_figures){
        .changes_done = atomic_load(&updater->figures.changes_done),
        .changes_refused = atomic_load(&updater->figures.changes_refused),
        .changes_not_reached = atomic_load(&updater->figures.changes_not_reached),
        .asked = atomic_load(&updater->figures.asked),
        .told = atomic_load(&updater->figures.told),
        .turned_away = atomic_load(&updater->figures.turned_away),
        .messages = atomic_load(&updater->figures.messages),
        .messages_split = atomic_load(&updater->figures.messages_split),
        .answers_bad = atomic_load(&updater->figures.answers_bad),
        .connects = atomic_load(&updater->figures.connects),
        .downs = atomic_load(&updater->figures.downs),
        .answer_us = atomic_load(&updater->figures.answer_us),
        .answers = atomic_load(&updater->figures.answers),
        .waiting = atomic_load(&updater->waiting),
        .window = atomic_load(&updater->figures.window),
        .is_down = atomic_load(&updater->is_down),
    };
}

static void counter_write(FILE *stream, const char *name, uint64_t value)
{
    fprintf(stream, "# TYPE tamis_desk_dns_%s counter\ntamis_desk_dns_%s %" PRIu64 "\n", name, name,
            value);
}

static void gauge_write(FILE *stream, const char *name, unsigned value)
{
    fprintf(stream, "# TYPE tamis_desk_dns_%s gauge\ntamis_desk_dns_%s %u\n", name, name, value);
}

void dns_updater_metrics_write(struct dns_updater *updater, FILE *stream)
{
    struct dns_updater_figures figures;
    if (updater == NULL)
        return;
    dns_updater_figures_get(updater, &figures);
    fprintf(stream,
            "# TYPE tamis_desk_dns_changes_total counter\n"
            "tamis_desk_dns_changes_total{result=\"done\"} %" PRIu64 "\n"
            "tamis_desk_dns_changes_total{result=\"refused\"} %" PRIu64 "\n"
            "tamis_desk_dns_changes_total{result=\"not-reached\"} %" PRIu64 "\n",
            figures.changes_done, figures.changes_refused, figures.changes_not_reached);
    counter_write(stream, "questions_total", figures.asked);
    counter_write(stream, "questions_answered_total", figures.told);
    counter_write(stream, "turned_away_total", figures.turned_away);
    counter_write(stream, "messages_total", figures.messages);
    counter_write(stream, "messages_split_total", figures.messages_split);
    counter_write(stream, "answers_bad_total", figures.answers_bad);
    counter_write(stream, "connects_total", figures.connects);
    counter_write(stream, "downs_total", figures.downs);
    counter_write(stream, "answers_total", figures.answers);
    fprintf(stream,
            "# TYPE tamis_desk_dns_answer_seconds_total counter\n"
            "tamis_desk_dns_answer_seconds_total %.6f\n",
            (double)figures.answer_us / 1e6);
    gauge_write(stream, "waiting", figures.waiting);
    gauge_write(stream, "window", figures.window);
    gauge_write(stream, "down", figures.is_down);
}
