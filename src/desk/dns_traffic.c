/* What goes over the connection: which messages are sent when, what their answers mean, and what is
 * done when there are none. */
#include <assert.h>
#include <errno.h>
#include <libknot/consts.h>
#include <libknot/packet/wire.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "desk/dns_updater_internal.h"

/* After a connection that could not be made or brought nothing. */
#define RETRY_MS 50

/* Between two looks at a server that is down. */
#define PROBE_MS 500

/* A message is sent again, alone, when the server closed the connection without an answer. When it
 * does so again, it is the message that it cannot bear. */
#define SENDS_MAX 2

/* In a row; beyond, it is the server that fails and not one of many changes. */
#define SERVFAILS_MAX 4

/* How exactly the age of what is on its way is known. */
#define SCAN_MS 100

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static bool is_question(const struct message *message)
{
    return message->kind == MESSAGE_A || message->kind == MESSAGE_AAAA;
}

/* Says the same to all of its tasks, and lets go of them. */
static void message_finish(struct dns_updater *updater, struct message *message,
                           const struct dns_outcome *outcome)
{
    struct task *task;
    while ((task = dns_task_list_take(&message->tasks)) != NULL) {
        dns_task_tell(updater, task, outcome);
        dns_task_release(updater, task);
    }
    free(message);
}

static void message_not_reached(struct dns_updater *updater, struct message *message,
                                const char *why)
{
    message_finish(updater, message, &(struct dns_outcome){.result = DNS_NOT_REACHED, .why = why});
}

static void message_send_later(struct dns_updater *updater, struct message *message)
{
    dns_message_list_add(
        is_question(message) ? &updater->question_resends : &message->zone->resends, message);
}

/* ---- Slots ---- */

static bool can_send(struct dns_updater *updater)
{
    const unsigned slots = updater->is_careful ? 1 : MESSAGES_MAX;
    return updater->slots_used < slots && dns_link_room(&updater->link) != NULL;
}

static uint16_t slot_take(struct dns_updater *updater, struct message *message)
{
    unsigned at = updater->slot_hint;
    while (updater->slots[at].message != NULL)
        at = (at + 1) % MESSAGES_MAX;
    updater->slot_hint = (at + 1) % MESSAGES_MAX;
    updater->slots_used++;
    updater->slots[at].message = message;
    updater->slots[at].generation++;
    return (uint16_t)(updater->slots[at].generation * MESSAGES_MAX + at);
}

static unsigned *in_flight_of(struct dns_updater *updater, const struct message *message)
{
    return is_question(message) ? &updater->questions_in_flight : &message->zone->in_flight;
}

static struct message *slot_free(struct dns_updater *updater, struct slot *slot)
{
    struct message *message = TAKE(slot->message);
    updater->slots_used--;
    --*in_flight_of(updater, message);
    return message;
}

static struct slot *slot_find(struct dns_updater *updater, uint16_t id)
{
    struct slot *slot = &updater->slots[id % MESSAGES_MAX];
    const uint16_t generation = (uint16_t)(id / MESSAGES_MAX);
    return slot->message != NULL && slot->generation % (UINT16_MAX / MESSAGES_MAX + 1) == generation
               ? slot
               : NULL;
}

/* ---- Sending ---- */

/* There is a slot and room for it. */
static void message_send(struct dns_updater *updater, struct message *message)
{
    struct error error = {0};
    size_t size;

    const uint16_t id = slot_take(updater, message);
    struct slot *slot = &updater->slots[id % MESSAGES_MAX];
    ++*in_flight_of(updater, message);
    int rc =
        dns_message_write(updater, message, slot, id, dns_link_room(&updater->link), &size, &error);
    if (rc < 0) {
        message_not_reached(updater, slot_free(updater, slot), error.text);
        return;
    }
    dns_link_add(&updater->link, size);
    message->sends++;
    message->sent_us = now_us();
    atomic_fetch_add(&updater->figures.messages, 1);
    if (updater->silent_since_ms == 0)
        updater->silent_since_ms = updater->now_ms;
}

/* The next that has to be sent again, without what was told meanwhile. */
static struct message *resend_take(struct dns_updater *updater, struct message_list *list)
{
    struct message *message;
    while ((message = dns_message_list_take(list)) != NULL) {
        struct task_list tasks = message->tasks;
        struct task *task;
        message->tasks.first = NULL;
        message->count = 0;
        while ((task = dns_task_list_take(&tasks)) != NULL) {
            if (task->is_told) {
                dns_task_release(updater, task);
                continue;
            }
            dns_task_list_add(&message->tasks, task);
            message->count++;
        }
        if (message->count > 0)
            break;
        free(message);
    }
    return message;
}

static void zone_send(struct dns_updater *updater, struct dns_zone *zone)
{
    while (zone->in_flight < zone->window && can_send(updater)) {
        struct message *message = resend_take(updater, &zone->resends);
        if (message == NULL)
            message = dns_message_take_changes(updater, zone);
        if (message == NULL)
            break;
        message_send(updater, message);
    }
}

/* The two questions that one task is. */
static int question_split(struct dns_updater *updater, struct task *task)
{
    static const enum message_kind kinds[] = {MESSAGE_A, MESSAGE_AAAA};
    struct message *messages[] = {calloc(1, sizeof(struct message)),
                                  calloc(1, sizeof(struct message))};
    if (messages[0] == NULL || messages[1] == NULL) {
        free(messages[0]);
        free(messages[1]);
        return -ENOMEM;
    }
    task->next = NULL;
    task->holds = 2;
    for (size_t i = 0; i < 2; i++) {
        *messages[i] = (struct message){
            .kind = kinds[i], .zone = task->zone, .tasks = {task, task}, .count = 1};
        dns_message_list_add(&updater->question_resends, messages[i]);
    }
    return 0;
}

static void questions_send(struct dns_updater *updater)
{
    while (updater->questions_in_flight < 2 * QUESTIONS_MAX && can_send(updater)) {
        struct message *message = resend_take(updater, &updater->question_resends);
        if (message != NULL) {
            message_send(updater, message);
            continue;
        }
        struct task *task = dns_task_list_take(&updater->questions);
        if (task == NULL)
            break;
        if (task->is_told) {
            dns_task_release(updater, task);
        } else if (question_split(updater, task) < 0) {
            dns_task_tell(updater, task,
                          &(struct dns_outcome){.result = DNS_NOT_REACHED, .why = "out of memory"});
            dns_task_release(updater, task);
        }
    }
}

static void probe_send(struct dns_updater *updater)
{
    struct message *probe = can_send(updater) ? calloc(1, sizeof(*probe)) : NULL;
    if (probe == NULL)
        return;
    probe->kind = MESSAGE_PROBE;
    probe->zone = updater->probe_zone;
    updater->is_probing = true;
    message_send(updater, probe);
}

/* Half of the tasks go into a message of their own; both are sent again. */
static int message_split(struct dns_updater *updater, struct message *message)
{
    struct message *half = calloc(1, sizeof(*half));
    if (half == NULL)
        return -ENOMEM;
    half->kind = message->kind;
    half->zone = message->zone;
    message->sends = 0;
    message->is_full = false;
    while (half->count < message->count) {
        dns_task_list_add(&half->tasks, dns_task_list_take(&message->tasks));
        half->count++;
        message->count--;
    }
    message_send_later(updater, half);
    message_send_later(updater, message);
    atomic_fetch_add(&updater->figures.messages_split, 1);
    return 0;
}

/* ---- Losing the server ---- */

/* Of a message that the server does not bear, one change may be the cause. */
static void message_give_up(struct dns_updater *updater, struct message *message)
{
    if (message->count == 1 || message_split(updater, message) < 0)
        message_not_reached(updater, message, "the server closes the connection over it");
}

/* Takes everything out of the slots: to be sent again, or for good. */
static void slots_clear(struct dns_updater *updater, bool again)
{
    for (size_t i = 0; i < MESSAGES_MAX && updater->slots_used > 0; i++) {
        if (updater->slots[i].message == NULL)
            continue;
        struct message *message = slot_free(updater, &updater->slots[i]);
        if (!again || message->kind == MESSAGE_PROBE)
            free(message);
        else if (message->sends >= SENDS_MAX)
            message_give_up(updater, message);
        else
            message_send_later(updater, message);
    }
    updater->is_probing = false;
}

static void resends_clear(struct message_list *list)
{
    struct message *message;
    while ((message = dns_message_list_take(list)) != NULL)
        free(message);
}

void dns_traffic_end(struct dns_updater *updater, const char *why)
{
    dns_link_close(&updater->link);
    slots_clear(updater, false);
    resends_clear(&updater->question_resends);
    for (struct dns_zone *zone = updater->zones; zone != NULL; zone = zone->next) {
        resends_clear(&zone->resends);
        zone->window = WINDOW_MIN;
        zone->servfails = 0;
    }
    updater->silent_since_ms = 0;
    updater->is_careful = false;
    dns_queues_fail_all(updater, why);
}

static void go_down(struct dns_updater *updater)
{
    if (!atomic_exchange(&updater->is_down, true)) {
        atomic_fetch_add(&updater->figures.downs, 1);
        log_event(LOG_ERR, "updates: %s: %s; they fail until it answers",
                  updater->options.server_text, updater->trouble);
    }
    dns_traffic_end(updater, updater->trouble);
    updater->connect_at_ms = updater->now_ms + PROBE_MS;
}

static void come_up(struct dns_updater *updater)
{
    if (atomic_exchange(&updater->is_down, false))
        log_event(LOG_INFO, "updates: %s answers again", updater->options.server_text);
}

static void connect_later(struct dns_updater *updater)
{
    const unsigned wait_ms = atomic_load(&updater->is_down) ? PROBE_MS
                             : updater->link_answered       ? 0
                                                            : RETRY_MS;
    updater->connect_at_ms = updater->now_ms + wait_ms;
}

/* The connection is gone, or did not come to be. */
static void link_lost(struct dns_updater *updater, int code)
{
    if (updater->slots_used > 0 || updater->link.state == LINK_CONNECTING)
        snprintf(updater->trouble, sizeof(updater->trouble), "%s",
                 code == -ENODATA ? "it closes the connection without an answer" : strerror(-code));
    dns_link_close(&updater->link);
    if (updater->slots_used == 0 && updater->link_answered)
        updater->silent_since_ms = 0;
    updater->is_careful |= updater->slots_used > 0;
    slots_clear(updater, true);
    connect_later(updater);
}

/* ---- Answers ---- */

/* An RCODE that may be about one change of many. */
static bool is_about_one(uint8_t rcode)
{
    switch (rcode) {
    case KNOT_RCODE_FORMERR:
    case KNOT_RCODE_SERVFAIL:
    case KNOT_RCODE_REFUSED:
    case KNOT_RCODE_NXDOMAIN:
    case KNOT_RCODE_YXDOMAIN:
    case KNOT_RCODE_YXRRSET:
    case KNOT_RCODE_NXRRSET:
    case KNOT_RCODE_NOTZONE:
        return true;
    default:
        return false;
    }
}

static void update_refused(struct dns_updater *updater, struct message *message, uint8_t rcode)
{
    struct dns_zone *zone = message->zone;
    char why[64];

    zone->servfails = rcode == KNOT_RCODE_SERVFAIL ? zone->servfails + 1 : 0;
    if (message->count > 1 && is_about_one(rcode) && zone->servfails <= SERVFAILS_MAX &&
        message_split(updater, message) == 0)
        return;
    snprintf(why, sizeof(why), "the server answers with RCODE %u", rcode);
    message_finish(updater, message,
                   &(struct dns_outcome){.result = DNS_REFUSED, .rcode = rcode, .why = why});
}

/* As few messages as carry the load: more at a time only when each of them is full. */
static void window_adapt(struct dns_zone *zone, const struct message *message)
{
    if (message->is_full)
        zone->window += zone->window < WINDOW_MAX;
    else
        zone->window -= zone->window > WINDOW_MIN;
}

static void update_answered(struct dns_updater *updater, struct message *message, uint8_t rcode)
{
    static const struct dns_outcome done = {.result = DNS_DONE};
    if (rcode != KNOT_RCODE_NOERROR) {
        update_refused(updater, message, rcode);
        return;
    }
    message->zone->servfails = 0;
    window_adapt(message->zone, message);
    atomic_store_explicit(&updater->figures.window, message->zone->window, memory_order_relaxed);
    message_finish(updater, message, &done);
}

static void question_answered(struct dns_updater *updater, struct message *message, uint8_t rcode)
{
    static const struct dns_outcome done = {.result = DNS_DONE};
    struct task *task = message->tasks.first;
    char why[64];

    if (rcode != KNOT_RCODE_NOERROR && rcode != KNOT_RCODE_NXDOMAIN) {
        snprintf(why, sizeof(why), "the server answers with RCODE %u", rcode);
        dns_task_tell(updater, task,
                      &(struct dns_outcome){.result = DNS_REFUSED, .rcode = rcode, .why = why});
    } else if (task->holds == 1) {
        dns_task_tell(updater, task, &done);
    }
    dns_task_release(updater, task);
    free(message);
}

static void answer_count(struct dns_updater *updater, const struct message *message)
{
    atomic_fetch_add(&updater->figures.answers, 1);
    atomic_fetch_add(&updater->figures.answer_us, (uint64_t)(now_us() - message->sent_us));
}

static int answer_take(struct dns_updater *updater, const uint8_t *wire, size_t size)
{
    struct error error;
    uint8_t rcode;

    if (size < MESSAGE_HEADER_SIZE) {
        snprintf(updater->trouble, sizeof(updater->trouble), "its answer is malformed");
        return -EBADMSG;
    }
    struct slot *slot = slot_find(updater, knot_wire_get_id(wire));
    if (slot == NULL)
        return 0; /* came after nobody waited for it any more */
    int rc = dns_message_read_answer(updater, slot, wire, size, &rcode, &error);
    if (rc < 0) {
        atomic_fetch_add(&updater->figures.answers_bad, 1);
        snprintf(updater->trouble, sizeof(updater->trouble), "%s", error.text);
        return rc;
    }
    struct message *message = slot_free(updater, slot);
    answer_count(updater, message);
    updater->link_answered = true;
    updater->silent_since_ms = updater->slots_used > 0 ? updater->now_ms : 0;
    come_up(updater);
    if (message->kind == MESSAGE_PROBE) {
        updater->is_probing = false;
        free(message);
    } else if (message->kind == MESSAGE_UPDATE) {
        update_answered(updater, message, rcode);
    } else {
        question_answered(updater, message, rcode);
    }
    return 0;
}

void dns_traffic_receive(struct dns_updater *updater)
{
    const uint8_t *wire;
    size_t size;

    if (updater->link.state == LINK_CONNECTING) {
        int rc = dns_link_connected(&updater->link);
        if (rc < 0)
            link_lost(updater, rc);
        else
            atomic_fetch_add(&updater->figures.connects, 1);
        return;
    }
    int rc;
    while ((rc = dns_link_receive(&updater->link)) > 0)
        while (dns_link_next(&updater->link, &wire, &size))
            if (answer_take(updater, wire, size) < 0) {
                go_down(updater);
                return;
            }
    if (rc < 0)
        link_lost(updater, rc);
}

/* Whether something still has to be sent again. */
static bool has_resends(const struct dns_updater *updater)
{
    bool has = updater->question_resends.first != NULL;
    for (const struct dns_zone *zone = updater->zones; zone != NULL; zone = zone->next)
        has |= zone->resends.first != NULL;
    return has;
}

void dns_traffic_send(struct dns_updater *updater)
{
    if (updater->link.state != LINK_OPEN)
        return;
    if (updater->is_careful && updater->slots_used == 0)
        updater->is_careful = has_resends(updater);
    if (!atomic_load(&updater->is_down)) {
        struct dns_zone *from = updater->next_zone != NULL ? updater->next_zone : updater->zones;
        updater->next_zone = from != NULL ? from->next : NULL;
        for (struct dns_zone *zone = from; zone != NULL; zone = zone->next)
            zone_send(updater, zone);
        for (struct dns_zone *zone = updater->zones; zone != from; zone = zone->next)
            zone_send(updater, zone);
        questions_send(updater);
    }
    int rc = dns_link_flush(&updater->link);
    if (rc < 0)
        link_lost(updater, rc);
}

/* ---- The clock ---- */

/* Gives up what is on its way for too long, on a connection that brings other answers. */
static void slots_expire(struct dns_updater *updater)
{
    const int64_t before_us = now_us() - (int64_t)updater->options.answer_ms * 1000;
    for (size_t i = 0; i < MESSAGES_MAX; i++) {
        const struct message *message = updater->slots[i].message;
        if (message != NULL && message->kind != MESSAGE_PROBE && message->sent_us < before_us)
            message_not_reached(updater, slot_free(updater, &updater->slots[i]),
                                "the server did not answer in time");
    }
    if (updater->slots_used == 0)
        updater->silent_since_ms = 0;
}

static bool has_work(struct dns_updater *updater)
{
    return updater->oldest != NULL || (atomic_load(&updater->is_down) && updater->probe_zone);
}

static void connection_begin(struct dns_updater *updater)
{
    updater->link_answered = false;
    updater->connecting_since_ms = updater->now_ms;
    if (updater->silent_since_ms == 0)
        updater->silent_since_ms = updater->now_ms;
    int rc =
        dns_link_connect(&updater->link, updater->options.address, updater->options.address_size);
    if (rc < 0) {
        snprintf(updater->trouble, sizeof(updater->trouble), "%s", strerror(-rc));
        connect_later(updater);
    }
}

void dns_traffic_look(struct dns_updater *updater)
{
    const struct dns_updater_options *options = &updater->options;
    const bool is_down = atomic_load(&updater->is_down);

    dns_tasks_expire(updater);
    if (updater->now_ms >= updater->scan_at_ms) {
        updater->scan_at_ms = updater->now_ms + SCAN_MS;
        if (updater->slots_used > 0)
            slots_expire(updater);
    }
    if (updater->silent_since_ms != 0 &&
        updater->now_ms - updater->silent_since_ms >= options->down_ms) {
        if (updater->link.state == LINK_OPEN)
            snprintf(updater->trouble, sizeof(updater->trouble), "it does not answer");
        go_down(updater);
    } else if (updater->link.state == LINK_CONNECTING &&
               updater->now_ms - updater->connecting_since_ms >= options->connect_ms) {
        link_lost(updater, -ETIMEDOUT);
    }
    if (updater->now_ms < updater->connect_at_ms)
        return;
    if (updater->link.state == LINK_CLOSED && has_work(updater))
        connection_begin(updater);
    else if (updater->link.state == LINK_OPEN && is_down && !updater->is_probing)
        probe_send(updater);
}

static void wait_until(int64_t *until_ms, int64_t at_ms)
{
    if (*until_ms < 0 || at_ms < *until_ms)
        *until_ms = at_ms;
}

int dns_traffic_wait_ms(struct dns_updater *updater)
{
    const struct dns_updater_options *options = &updater->options;
    const bool is_down = atomic_load(&updater->is_down);
    int64_t until_ms = -1;

    if (updater->oldest != NULL)
        wait_until(&until_ms, updater->oldest->submitted_ms + options->answer_ms);
    if (updater->slots_used > 0)
        wait_until(&until_ms, updater->scan_at_ms);
    if (updater->silent_since_ms != 0)
        wait_until(&until_ms, updater->silent_since_ms + options->down_ms);
    if (updater->link.state == LINK_CONNECTING)
        wait_until(&until_ms, updater->connecting_since_ms + options->connect_ms);
    if ((updater->link.state == LINK_CLOSED && has_work(updater)) ||
        (updater->link.state == LINK_OPEN && is_down && !updater->is_probing))
        wait_until(&until_ms, updater->connect_at_ms);
    if (until_ms < 0)
        return -1;
    return until_ms > updater->now_ms ? (int)(until_ms - updater->now_ms) : 0;
}
