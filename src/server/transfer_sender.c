#include "server/transfer_sender.h"

#include <errno.h>
#include <inttypes.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <unistd.h>

#include "base/handover.h"
#include "server/transfer_sender_internal.h"
#include "zone/origin_link.h"

/* Requests that may wait for their turn, each of them a kilobyte. */
#define WAITING_MAX 1024

/* However slowly a client reads, its view of the zone is not held longer. */
#define TRANSFER_MS_MAX (2 * 3600 * INT64_C(1000))

static void add(_Atomic(uint64_t) *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

/* ---- Events ---- */

static void tell(struct sender_thread *thread, struct event *event)
{
    cds_wfcq_node_init(&event->node);
    /* Only who finds the queue empty need wake the thread. */
    if (!cds_wfcq_enqueue(&thread->head, &thread->tail, &event->node))
        (void)eventfd_write(thread->wake_fd, 1);
}

static void message_left(struct reply_watch *watch, bool is_sent)
{
    struct slot *slot = caa_container_of(watch, struct slot, watch);
    slot->is_sent = is_sent;
    tell(slot->event.transfer->thread, &slot->event);
}

static struct event *take_event(struct sender_thread *thread)
{
    struct cds_wfcq_node *node = __cds_wfcq_dequeue_blocking(&thread->head, &thread->tail);
    return node == NULL ? NULL : caa_container_of(node, struct event, node);
}

/* ---- Life of a transfer ---- */

static void transfer_free(struct transfer *transfer)
{
    transfer_out_free(transfer->out);
    transfer_out_free(transfer->soa);
    free(transfer);
}

static struct transfer *transfer_create(const struct transfer_order *order)
{
    const struct request *request = order->request;
    struct transfer *transfer = calloc(1, sizeof(*transfer));
    if (transfer == NULL)
        return NULL;
    transfer->event.transfer = transfer;
    for (size_t i = 0; i < TRANSFER_MESSAGES_OUT; i++) {
        struct slot *slot = &transfer->slots[i];
        slot->watch.done = message_left;
        slot->event = (struct event){.transfer = transfer, .slot = slot};
    }
    transfer->route = *order->route;
    memcpy(transfer->question, request->wire, request->question_end);
    transfer->question_end = request->question_end;
    transfer->is_ixfr = request->qtype == KNOT_RRTYPE_IXFR;
    transfer->serial = request->ixfr_serial;
    transfer->has_edns = request->has_edns;
    transfer->dnssec_ok = request->dnssec_ok;
    transfer->wants_expire = request->wants_expire;
    transfer->datagram_max = order->datagram_max;
    transfer->is_signed = order->tsig != NULL;
    if (transfer->is_signed)
        transfer->tsig = *order->tsig;
    if (name_parse(&transfer->apex, request->wire + KNOT_WIRE_HEADER_SIZE,
                   request->question_end - KNOT_WIRE_HEADER_SIZE) < 0) {
        free(transfer);
        return NULL;
    }
    return transfer;
}

bool transfer_sender_submit(struct transfer_sender *sender, const struct transfer_order *order)
{
    struct transfer *transfer = NULL;
    if (atomic_fetch_add(&sender->held, 1) < RUNNING_MAX + WAITING_MAX)
        transfer = transfer_create(order);
    if (transfer == NULL) {
        atomic_fetch_sub(&sender->held, 1);
        add(&sender->counters.refused_full, 1);
        return false;
    }
    const unsigned index = atomic_fetch_add(&sender->next_thread, 1) % sender->thread_count;
    transfer->thread = &sender->threads[index];
    tell(transfer->thread, &transfer->event);
    return true;
}

static void ring_push(struct transfer *transfer)
{
    struct sender_thread *thread = transfer->thread;
    transfer->next = NULL;
    transfer->in_ring = true;
    if (thread->ring_last != NULL)
        thread->ring_last->next = transfer;
    else
        thread->ring_first = transfer;
    thread->ring_last = transfer;
}

static struct transfer *ring_pop(struct sender_thread *thread)
{
    struct transfer *transfer = thread->ring_first;
    if (transfer == NULL)
        return NULL;
    thread->ring_first = transfer->next;
    if (thread->ring_first == NULL)
        thread->ring_last = NULL;
    transfer->in_ring = false;
    return transfer;
}

/* A place among those that run; NULL: there is none for this zone. Under `admission`. */
static struct transfer **find_place(struct transfer_sender *sender, const struct transfer *transfer)
{
    struct transfer **place = NULL;
    unsigned of_zone = 0;
    for (size_t i = 0; i < RUNNING_MAX; i++) {
        const struct transfer *running = sender->running[i];
        if (running == NULL)
            place = &sender->running[i];
        else
            of_zone += running->apex.size == transfer->apex.size &&
                       memcmp(running->apex.wire, transfer->apex.wire, transfer->apex.size) == 0;
    }
    return of_zone < RUNNING_PER_ZONE_MAX ? place : NULL;
}

static void run_transfer(struct transfer *transfer, struct transfer **place)
{
    *place = transfer;
    transfer->is_running = true;
    add(&transfer->thread->sender->counters.running, 1);
}

/* Lets a new transfer run, or wait. A datagram is one message and waits for nobody. */
static void admit(struct sender_thread *thread, struct transfer *transfer)
{
    struct transfer_sender *sender = thread->sender;
    if (transfer_is_datagram(transfer)) {
        ring_push(transfer);
        return;
    }
    (void)pthread_mutex_lock(&sender->admission);
    struct transfer **place = find_place(sender, transfer);
    if (place != NULL) {
        run_transfer(transfer, place);
    } else {
        transfer->next = NULL;
        if (sender->waiting_last != NULL)
            sender->waiting_last->next = transfer;
        else
            sender->waiting_first = transfer;
        sender->waiting_last = transfer;
        add(&sender->counters.waiting, 1);
    }
    (void)pthread_mutex_unlock(&sender->admission);
    if (place != NULL)
        ring_push(transfer);
}

/* The first of those that wait that may run now. Under `admission`. */
static struct transfer *take_waiting(struct transfer_sender *sender)
{
    struct transfer *before = NULL;
    for (struct transfer *transfer = sender->waiting_first; transfer != NULL;
         before = transfer, transfer = transfer->next) {
        struct transfer **place = find_place(sender, transfer);
        if (place == NULL)
            continue;
        if (before != NULL)
            before->next = transfer->next;
        else
            sender->waiting_first = transfer->next;
        if (sender->waiting_last == transfer)
            sender->waiting_last = before;
        atomic_fetch_sub(&sender->counters.waiting, 1);
        run_transfer(transfer, place);
        return transfer;
    }
    return NULL;
}

/* Gives the place of a transfer to the next one, which this thread takes over. */
static void leave(struct sender_thread *thread, const struct transfer *transfer)
{
    struct transfer_sender *sender = thread->sender;
    (void)pthread_mutex_lock(&sender->admission);
    for (size_t i = 0; i < RUNNING_MAX; i++) {
        if (sender->running[i] == transfer)
            sender->running[i] = NULL;
    }
    atomic_fetch_sub(&sender->counters.running, 1);
    struct transfer *next = take_waiting(sender);
    (void)pthread_mutex_unlock(&sender->admission);
    if (next != NULL) {
        next->thread = thread;
        ring_push(next);
    }
}

/* ---- What is said of it ---- */

void transfer_say(const struct sender_thread *thread, const struct transfer *transfer, int level,
                  const char *format, ...)
{
    const struct transfer_sender_options *options = &thread->sender->options;
    char zone[NAME_SIZE_MAX * 4 + 1], client[ORIGIN_TEXT_MAX], what[512], text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    if (knot_dname_to_str(zone, transfer->apex.wire, sizeof(zone)) == NULL)
        return;
    const size_t zone_size = strlen(zone);
    if (zone_size > 1)
        zone[zone_size - 1] = '\0';
    origin_text(&transfer->route.peer.any, transfer->route.peer_size, client);
    const char *key = transfer->is_signed ? transfer->tsig.key_name : NULL;
    snprintf(text, sizeof(text), "zone %s: %s to %s%s%s: %s", zone,
             transfer->is_ixfr ? "IXFR" : "AXFR", client, key != NULL ? " with key " : "",
             key != NULL ? key : "", what);
    options->log(options->context, level, text);
}

/* Counts and logs a transfer that was sent to its end. */
static void tell_success(const struct sender_thread *thread, const struct transfer *transfer)
{
    struct transfer_sender *sender = thread->sender;
    struct transfer_out_report report;
    transfer_out_report(transfer->out, &report);
    const double took_s = (double)(monotonic_ms() - transfer->begun_ms) / 1000;
    add(&sender->counters.records, report.records);
    if (!transfer->is_whole && report.serial_from == report.serial_to) {
        add(&sender->counters.current, 1); /* every secondary asks now and then: not logged */
        return;
    }
    char serials[40];
    if (transfer->is_whole)
        snprintf(serials, sizeof(serials), "serial %" PRIu32, report.serial_to);
    else
        snprintf(serials, sizeof(serials), "serial %" PRIu32 " to %" PRIu32, report.serial_from,
                 report.serial_to);
    add(transfer->is_whole ? &sender->counters.whole : &sender->counters.differences, 1);
    transfer_say(thread, transfer, LOG_INFO,
                 "%s%s, %" PRIu64 " records, %" PRIu64 " messages, %" PRIu64 " octets, %.2f s",
                 serials, transfer->is_whole && transfer->is_ixfr ? " as a whole" : "",
                 report.records, report.messages, transfer->octets, took_s);
}

static void fail(const struct sender_thread *thread, struct transfer *transfer, const char *reason)
{
    if (transfer->has_failed)
        return;
    transfer->has_failed = true;
    add(&thread->sender->counters.failed, 1);
    transfer_say(thread, transfer, LOG_NOTICE, "%s, after %" PRIu64 " octets", reason,
                 transfer->octets);
}

static void transfer_end(struct sender_thread *thread, struct transfer *transfer)
{
    if (!transfer->has_failed)
        tell_success(thread, transfer);
    if (transfer->is_running)
        leave(thread, transfer);
    transfer_free(transfer);
    atomic_fetch_sub(&thread->sender->held, 1);
}

/* ---- Messages ---- */

static struct slot *free_slot(struct transfer *transfer)
{
    for (size_t i = 0; i < TRANSFER_MESSAGES_OUT; i++) {
        if (!transfer->slots[i].is_busy)
            return &transfer->slots[i];
    }
    return NULL;
}

static bool is_idle(const struct transfer *transfer)
{
    for (size_t i = 0; i < TRANSFER_MESSAGES_OUT; i++) {
        if (transfer->slots[i].is_busy)
            return false;
    }
    return true;
}

/* Sends the thread's message, or with size 0 what `next` says alone. */
static void send_message(struct sender_thread *thread, struct transfer *transfer, size_t size,
                         enum reply_next next)
{
    struct reply reply = {
        .route = &transfer->route, .wire = thread->message, .size = size, .next = next};
    transfer->octets += size;
    add(&thread->sender->counters.octets, size);
    add(&thread->sender->counters.messages, size > 0);
    transfer->has_ended = next != REPLY_MORE;
    if (size > 0 && !transfer_is_datagram(transfer)) {
        struct slot *slot = free_slot(transfer);
        slot->is_busy = true;
        reply.watch = &slot->watch;
    }
    thread->sender->options.reply(&reply, 1);
}

/* A transfer that cannot go on: the client is told what it can still be told. */
static void give_up(struct sender_thread *thread, struct transfer *transfer, const char *reason,
                    uint8_t rcode)
{
    fail(thread, transfer, reason);
    if (transfer->octets > 0) {
        send_message(thread, transfer, 0, REPLY_CLOSE);
        return;
    }
    const int size = transfer_make_refusal(thread, transfer, rcode);
    send_message(thread, transfer, size < 0 ? 0 : (size_t)size, REPLY_LAST);
}

static const char *open_problem(int code)
{
    switch (code) {
    case -ENOENT:
        return "the zone is no longer here";
    case -ENODATA:
        return "the zone is not served now";
    default:
        return "out of memory";
    }
}

/* Makes and sends the next message of a transfer that has room for one. */
static void go_on(struct sender_thread *thread, struct transfer *transfer)
{
    if (transfer->out == NULL) {
        const int rc = transfer_open(thread, transfer);
        if (rc < 0) {
            give_up(thread, transfer, open_problem(rc),
                    rc == -ENOENT ? KNOT_RCODE_NOTAUTH : KNOT_RCODE_SERVFAIL);
            return;
        }
    }
    if (monotonic_ms() - transfer->begun_ms > TRANSFER_MS_MAX) {
        give_up(thread, transfer, "not done in time", KNOT_RCODE_SERVFAIL);
        return;
    }
    const int size = transfer_make_message(thread, transfer);
    if (size < 0) {
        give_up(thread, transfer,
                size == -EMSGSIZE ? "a record does not fit into a message" : "out of memory",
                KNOT_RCODE_SERVFAIL);
        return;
    }
    send_message(thread, transfer, (size_t)size,
                 transfer_out_is_done(transfer->out) ? REPLY_LAST : REPLY_MORE);
}

/* Where a transfer goes after something happened to it. */
static void settle(struct sender_thread *thread, struct transfer *transfer)
{
    if (transfer->in_ring)
        return;
    if (!transfer->has_ended && !transfer->has_failed) {
        if (free_slot(transfer) != NULL)
            ring_push(transfer);
    } else if (is_idle(transfer)) {
        transfer_end(thread, transfer);
    }
}

/* ---- The threads ---- */

static void take_events(struct sender_thread *thread)
{
    struct event *event;
    while ((event = take_event(thread)) != NULL) {
        struct transfer *transfer = event->transfer;
        if (event->slot == NULL) {
            admit(thread, transfer);
            continue;
        }
        event->slot->is_busy = false;
        if (!event->slot->is_sent)
            fail(thread, transfer, "the client is gone");
        settle(thread, transfer);
    }
}

static void wait_for_events(struct sender_thread *thread)
{
    struct pollfd wait = {.fd = thread->wake_fd, .events = POLLIN};
    (void)poll(&wait, 1, -1);
    eventfd_t wakes;
    (void)eventfd_read(thread->wake_fd, &wakes);
}

static void *run(void *context)
{
    struct sender_thread *thread = context;
    pthread_setname_np(pthread_self(), "transfers");
    thread->sender->options.thread_begins();
    while (!atomic_load(&thread->sender->stops)) {
        take_events(thread);
        struct transfer *transfer = ring_pop(thread);
        if (transfer == NULL) {
            wait_for_events(thread);
            continue;
        }
        if (!transfer->has_failed)
            go_on(thread, transfer);
        settle(thread, transfer);
    }
    return NULL;
}

/* ---- Life ---- */

int transfer_sender_start(const struct transfer_sender_options *options,
                          struct transfer_sender **ret_sender, struct error *ret_error)
{
    struct transfer_sender *sender =
        calloc(1, sizeof(*sender) + options->threads * sizeof(sender->threads[0]));
    if (sender == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    sender->options = *options;
    (void)pthread_mutex_init(&sender->admission, NULL);
    int rc = 0;
    for (unsigned i = 0; i < options->threads && rc == 0; i++) {
        struct sender_thread *thread = &sender->threads[i];
        thread->sender = sender;
        cds_wfcq_init(&thread->head, &thread->tail);
        thread->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        sender->thread_count++;
        rc = thread->wake_fd < 0 ? -errno : -pthread_create(&thread->thread, NULL, run, thread);
        thread->has_thread = rc == 0;
    }
    if (rc < 0) {
        transfer_sender_stop(sender);
        transfer_sender_free(sender);
        return error_set(ret_error, rc, "cannot start sending zones: %s", strerror(-rc));
    }
    *ret_sender = sender;
    return 0;
}

void transfer_sender_stop(struct transfer_sender *sender)
{
    if (sender == NULL)
        return;
    atomic_store(&sender->stops, true);
    for (unsigned i = 0; i < sender->thread_count; i++) {
        struct sender_thread *thread = &sender->threads[i];
        if (!thread->has_thread)
            continue;
        (void)eventfd_write(thread->wake_fd, 1);
        (void)pthread_join(thread->thread, NULL);
        thread->has_thread = false;
    }
}

/* Frees what was never begun. */
static void free_new(struct sender_thread *thread)
{
    struct event *event;
    while ((event = take_event(thread)) != NULL) {
        if (event->slot == NULL)
            transfer_free(event->transfer);
    }
}

void transfer_sender_free(struct transfer_sender *sender)
{
    if (sender == NULL)
        return;
    for (unsigned i = 0; i < sender->thread_count; i++) {
        struct sender_thread *thread = &sender->threads[i];
        struct transfer *transfer;
        while ((transfer = ring_pop(thread)) != NULL) {
            if (!transfer->is_running)
                transfer_free(transfer); /* the others are freed below */
        }
        free_new(thread);
        if (thread->wake_fd >= 0)
            close(thread->wake_fd);
    }
    for (size_t i = 0; i < RUNNING_MAX; i++) {
        if (sender->running[i] != NULL)
            transfer_free(sender->running[i]);
    }
    while (sender->waiting_first != NULL) {
        struct transfer *transfer = sender->waiting_first;
        sender->waiting_first = transfer->next;
        transfer_free(transfer);
    }
    (void)pthread_mutex_destroy(&sender->admission);
    free(sender);
}

void transfer_sender_counters(const struct transfer_sender *sender,
                              struct transfer_sender_counters *ret_counters)
{
    *ret_counters = (struct transfer_sender_counters){
        .whole = atomic_load(&sender->counters.whole),
        .differences = atomic_load(&sender->counters.differences),
        .current = atomic_load(&sender->counters.current),
        .failed = atomic_load(&sender->counters.failed),
        .refused_full = atomic_load(&sender->counters.refused_full),
        .records = atomic_load(&sender->counters.records),
        .messages = atomic_load(&sender->counters.messages),
        .octets = atomic_load(&sender->counters.octets),
        .running = atomic_load(&sender->counters.running),
        .waiting = atomic_load(&sender->counters.waiting),
    };
}
