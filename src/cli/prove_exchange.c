#include "cli/prove_exchange_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define EDNS_UDP_SIZE 1232 /* no fragments on any common path */

/* Questions that wait to be asked again. When so many differ, new ones wait as well. */
#define PAUSED_MAX 4096

/* Before a question is asked again: longer than a transfer of a changed zone takes on its way. */
#define PAUSE_US 500000

#define TIMER_STEP_US 10000
#define TICK_STEP_US  100000

/* A first try waits at least this long, so that a scheduling hiccup is no loss. */
#define RETRY_MIN_US 100000

/* A side that left so many questions in a row without an answer gets one short try for each from
 * then on, until it answers again: else a stopped server would take days over a long list. */
#define SILENT_STREAK_MAX 64
#define SILENT_WAIT_US    200000

#define WINDOW_MIN   16
#define WINDOW_START 64

/* Questions that may wait in front of a server: enough to keep it busy, and well below the 277
 * small datagrams that Linux's default socket buffer of 212,992 octets holds. */
#define QUEUE_LOW  48
#define QUEUE_HIGH 96

/* Answers above this size give their memory back: few are so long. */
#define ANSWER_KEPT_MAX 4096

#define NO_SLOT UINT32_MAX

uint64_t exchange_clock_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int exchange_create(const struct exchange_options *options, struct exchange **ret_exchange,
                    struct error *ret_error)
{
    _cleanup_(exchange_freep) struct exchange *exchange = calloc(1, sizeof(*exchange));
    if (exchange == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");

    exchange->options = *options;
    if (options->tries_max == 0 || options->tries_max > UDP_TRIES_MAX)
        exchange->options.tries_max = UDP_TRIES_MAX;
    pace_init(&exchange->own_pace, options->rate_max, false);
    exchange->pace = options->pace != NULL ? options->pace : &exchange->own_pace;
    exchange->epoll = -1;
    for (enum exchange_side side = 0; side < EXCHANGE_SIDES; side++) {
        exchange->sides[side].address = options->address[side];
        for (unsigned i = 0; i < UDP_SOCKETS; i++)
            exchange->sides[side].sockets[i].fd = -1;
        tcp_init(exchange, side);
    }

    exchange->slot_count = options->in_flight_max + PAUSED_MAX;
    exchange->slots = calloc(exchange->slot_count, sizeof(*exchange->slots));
    if (exchange->slots == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory: lower --in-flight");
    exchange->slot_free = exchange->paused_first = exchange->paused_last = NO_SLOT;

    for (unsigned i = 0; i < UDP_BATCH; i++) {
        exchange->in_vectors[i].iov_base = exchange->in_octets[i];
        exchange->in_vectors[i].iov_len = UDP_ANSWER_SIZE_MAX;
        exchange->in_messages[i].msg_hdr.msg_iov = &exchange->in_vectors[i];
        exchange->in_messages[i].msg_hdr.msg_iovlen = 1;
    }

    exchange->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (exchange->epoll < 0)
        return error_set(ret_error, -errno, "cannot watch sockets: %s", strerror(errno));
    for (enum exchange_side side = 0; side < EXCHANGE_SIDES; side++) {
        int rc = udp_open(exchange, side, ret_error);
        if (rc < 0)
            return rc;
    }

    unsigned window = options->window_start > 0 ? options->window_start : WINDOW_START;
    exchange->window = options->in_flight_max < window ? options->in_flight_max : window;
    exchange->window_threshold = options->in_flight_max;
    *ret_exchange = TAKE(exchange);
    return 0;
}

void exchange_free(struct exchange *exchange)
{
    if (exchange == NULL)
        return;
    for (enum exchange_side side = 0; side < EXCHANGE_SIDES; side++) {
        udp_close(exchange, side);
        tcp_close(exchange, side);
    }
    for (uint32_t i = 0; i < exchange->slot_used; i++)
        for (enum exchange_side side = 0; side < EXCHANGE_SIDES; side++)
            free(exchange->slots[i].queries[side].octets);
    free(exchange->slots);
    pace_clear(&exchange->own_pace);
    if (exchange->epoll >= 0)
        close(exchange->epoll);
    free(exchange);
}

struct exchange_counts exchange_counts(const struct exchange *exchange)
{
    struct exchange_counts counts = exchange->counts;
    counts.window = (unsigned)exchange->window;
    for (enum exchange_side side = 0; side < EXCHANGE_SIDES; side++)
        counts.rtt_us[side] = exchange->sides[side].rtt_us;
    return counts;
}

/* Ids are drawn from the kernel: one side must not be able to guess what the other is asked. */
static uint16_t random_id(struct exchange *exchange)
{
    if (exchange->random_left == 0) {
        /* Up to 256 octets come whole; more may be cut short by a signal, and repeated values
         * of the buffer are no harm. */
        (void)!getrandom(exchange->random, sizeof(exchange->random), 0);
        exchange->random_left = sizeof(exchange->random) / sizeof(exchange->random[0]);
    }
    return exchange->random[--exchange->random_left];
}

size_t query_write(uint8_t *ret_octets, const struct slot *slot, enum exchange_side side)
{
    const struct exchange_question *question = &slot->question;
    uint8_t *octet = ret_octets;

    *octet++ = (uint8_t)(slot->queries[side].id >> 8);
    *octet++ = (uint8_t)slot->queries[side].id;
    /* Flags all clear; one question and one additional record, the OPT. */
    static const uint8_t header[10] = {0, 0, 0, 1, 0, 0, 0, 0, 0, 1};
    memcpy(octet, header, sizeof(header));
    octet += sizeof(header);

    memcpy(octet, question->name, question->name_size);
    octet += question->name_size;
    *octet++ = (uint8_t)(question->type >> 8);
    *octet++ = (uint8_t)question->type;
    *octet++ = 0;
    *octet++ = 1; /* IN */

    const uint8_t opt[11] = {
        0, 0, 41, EDNS_UDP_SIZE >> 8, EDNS_UDP_SIZE & 0xff, 0, 0, question->dnssec_ok ? 0x80 : 0};
    memcpy(octet, opt, sizeof(opt));
    octet += sizeof(opt);
    return (size_t)(octet - ret_octets);
}

static bool octets_equal_folded(const uint8_t *one, const uint8_t *other, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t a = one[i], b = other[i];
        if (a == b)
            continue;
        if ((a ^ b) != 0x20 || (a | 0x20) < 'a' || (a | 0x20) > 'z')
            return false;
    }
    return true;
}

struct slot *query_match(struct exchange *exchange, enum exchange_side side, const uint8_t *message,
                         size_t size)
{
    if (size < 12 || !(message[2] & 0x80))
        return NULL;
    uint16_t index = exchange->sides[side].slot_by_id[message[0] << 8 | message[1]];
    if (index == 0)
        return NULL;

    struct slot *slot = &exchange->slots[index - 1];
    unsigned question_count = message[4] << 8 | message[5];
    if (question_count == 0)
        return size == 12 && (message[3] & 0x0f) != 0 ? slot : NULL;

    const struct exchange_question *question = &slot->question;
    const uint8_t *fixed = message + 12 + question->name_size;
    if (question_count != 1 || size < 12 + (size_t)question->name_size + 4 ||
        fixed[0] != question->type >> 8 || fixed[1] != (question->type & 0xff) || fixed[2] != 0 ||
        fixed[3] != 1 || !octets_equal_folded(message + 12, question->name, question->name_size))
        return NULL;
    return slot;
}

static struct slot *slot_take(struct exchange *exchange)
{
    uint32_t index = exchange->slot_free;
    if (index != NO_SLOT)
        exchange->slot_free = exchange->slots[index].next;
    else if (exchange->slot_used < exchange->slot_count)
        index = exchange->slot_used++;
    else
        return NULL;
    return &exchange->slots[index];
}

static void slot_release(struct exchange *exchange, struct slot *slot)
{
    slot->state = SLOT_FREE;
    slot->next = exchange->slot_free;
    exchange->slot_free = (uint32_t)(slot - exchange->slots);
}

static uint64_t udp_wait_us(const struct exchange *exchange, enum exchange_side side,
                            unsigned tries)
{
    const struct side *self = &exchange->sides[side];
    uint64_t timeout_us = exchange->options.timeout_ms * UINT64_C(1000);
    if (self->silent_streak >= SILENT_STREAK_MAX)
        return timeout_us < SILENT_WAIT_US ? timeout_us : SILENT_WAIT_US;
    if (tries >= exchange->options.tries_max)
        return timeout_us;
    if (self->rtt_us == 0) /* a late answer to it still counts */
        return timeout_us / 2;

    uint64_t wait_us = self->rtt_us + 4 * self->rtt_variance_us;
    if (wait_us < RETRY_MIN_US)
        wait_us = RETRY_MIN_US;
    wait_us <<= tries - 1;
    return wait_us < timeout_us ? wait_us : timeout_us;
}

static void slot_start(struct exchange *exchange, struct slot *slot)
{
    slot->state = SLOT_ACTIVE;
    exchange->active++;
    for (enum exchange_side side = 0; side < EXCHANGE_SIDES; side++) {
        struct query *query = &slot->queries[side];
        uint16_t id;
        do
            id = random_id(exchange);
        while (exchange->sides[side].slot_by_id[id] != 0);
        exchange->sides[side].slot_by_id[id] = (uint16_t)(slot - exchange->slots + 1);

        query->id = id;
        query->tries = 0;
        query->over_tcp = false;
        query->size = 0;
        udp_send(exchange, slot, side);
        query->due_us = exchange->now_us + udp_wait_us(exchange, side, 1);
    }
}

static void slot_pause(struct exchange *exchange, struct slot *slot)
{
    slot->state = SLOT_PAUSED;
    slot->question.round++;
    slot->resume_us = exchange->now_us + PAUSE_US;
    slot->next = NO_SLOT;

    uint32_t index = (uint32_t)(slot - exchange->slots);
    if (exchange->paused_last == NO_SLOT)
        exchange->paused_first = index;
    else
        exchange->slots[exchange->paused_last].next = index;
    exchange->paused_last = index;
    exchange->paused_count++;
}

static struct slot *slot_resume(struct exchange *exchange)
{
    if (exchange->paused_first == NO_SLOT)
        return NULL;
    struct slot *slot = &exchange->slots[exchange->paused_first];
    if (slot->resume_us > exchange->now_us)
        return NULL;
    exchange->paused_first = slot->next;
    if (exchange->paused_first == NO_SLOT)
        exchange->paused_last = NO_SLOT;
    exchange->paused_count--;
    return slot;
}

/* Questions that wait in front of a server rather than on their way: what the window holds beyond
 * the shortest round trip ever seen. */
static double queue_estimate(const struct exchange *exchange, enum exchange_side side)
{
    const struct side *self = &exchange->sides[side];
    if (self->rtt_us <= self->rtt_min_us)
        return 0;
    return exchange->window * (1 - (double)self->rtt_min_us / (double)self->rtt_us);
}

/* Follows the slower side. Growing until something is lost would fill the servers' buffers, and
 * each loss costs a whole timeout. */
static void window_adapt(struct exchange *exchange)
{
    double front = queue_estimate(exchange, EXCHANGE_FRONT);
    double origin = queue_estimate(exchange, EXCHANGE_ORIGIN);
    double queue = front > origin ? front : origin;

    if (queue < QUEUE_LOW)
        exchange->window +=
            exchange->window < exchange->window_threshold ? 1 : 1 / exchange->window;
    else if (queue > QUEUE_HIGH)
        exchange->window -= (queue - QUEUE_HIGH) / exchange->window;

    double most = exchange->options.in_flight_max;
    double least = most < WINDOW_MIN ? most : WINDOW_MIN;
    exchange->window = exchange->window > most    ? most
                       : exchange->window < least ? least
                                                  : exchange->window;
}

/* Once for all losses of about one round trip: they have one cause. */
static void window_cut(struct exchange *exchange)
{
    if (exchange->now_us - exchange->window_cut_us < 2 * RETRY_MIN_US)
        return;
    exchange->window_cut_us = exchange->now_us;
    exchange->window *= 0.7;
    if (exchange->window < WINDOW_MIN)
        exchange->window = WINDOW_MIN;
    exchange->window_threshold = exchange->window;
}

static void slot_complete(struct exchange *exchange, struct slot *slot,
                          const struct exchange_reply replies[EXCHANGE_SIDES])
{
    exchange->active--;
    for (enum exchange_side side = 0; side < EXCHANGE_SIDES; side++)
        exchange->sides[side].slot_by_id[slot->queries[side].id] = 0;
    window_adapt(exchange);

    bool again = exchange->client->done(exchange->client->context, &slot->question, replies);
    for (enum exchange_side side = 0; side < EXCHANGE_SIDES; side++) {
        struct query *query = &slot->queries[side];
        if (query->capacity > ANSWER_KEPT_MAX) {
            free(TAKE(query->octets));
            query->capacity = 0;
        }
    }
    if (again)
        slot_pause(exchange, slot);
    else
        slot_release(exchange, slot);
}

/* Keeps an answer until the other side's is there as well. */
static bool query_keep(struct query *query, const uint8_t *message, size_t size)
{
    if (size > query->capacity) {
        uint8_t *octets = realloc(query->octets, size < 512 ? 512 : size);
        if (octets == NULL)
            return false;
        query->octets = octets;
        query->capacity = size < 512 ? 512 : size;
    }
    memcpy(query->octets, message, size);
    query->size = size;
    return true;
}

void query_finish(struct exchange *exchange, struct slot *slot, enum exchange_side side,
                  enum exchange_outcome outcome, uint8_t *message, size_t size)
{
    struct query *query = &slot->queries[side];
    enum exchange_side other_side = side == EXCHANGE_FRONT ? EXCHANGE_ORIGIN : EXCHANGE_FRONT;
    struct query *other = &slot->queries[other_side];

    query->state = QUERY_DONE;
    query->outcome = outcome;
    if (outcome != EXCHANGE_ANSWERED)
        exchange->sides[side].silent_streak++;

    if (other->state != QUERY_DONE) {
        /* Without memory for it the answer counts as lost, which no proof takes for equal. */
        if (outcome == EXCHANGE_ANSWERED && !query_keep(query, message, size))
            query->outcome = EXCHANGE_SILENT;
        return;
    }

    struct exchange_reply replies[EXCHANGE_SIDES];
    replies[side] = (struct exchange_reply){outcome, query->over_tcp, message, size};
    replies[other_side] =
        (struct exchange_reply){other->outcome, other->over_tcp, other->octets, other->size};
    slot_complete(exchange, slot, replies);
}

static void query_expire(struct exchange *exchange, struct slot *slot, enum exchange_side side)
{
    struct query *query = &slot->queries[side];
    if (query->state != QUERY_UDP) {
        tcp_expire(exchange, slot, side);
        return;
    }

    bool down = exchange->sides[side].silent_streak >= SILENT_STREAK_MAX;
    if (!down)
        window_cut(exchange);
    pace_failed(exchange->pace);
    if (down || query->tries >= exchange->options.tries_max) {
        query_finish(exchange, slot, side, EXCHANGE_SILENT, NULL, 0);
        return;
    }
    exchange->counts.repeated[side]++;
    udp_send(exchange, slot, side);
    query->due_us = exchange->now_us + udp_wait_us(exchange, side, query->tries);
}

static void timers_run(struct exchange *exchange)
{
    for (uint32_t i = 0; i < exchange->slot_used; i++) {
        struct slot *slot = &exchange->slots[i];
        for (enum exchange_side side = 0; side < EXCHANGE_SIDES; side++) {
            struct query *query = &slot->queries[side];
            if (slot->state == SLOT_ACTIVE && query->state != QUERY_DONE &&
                query->due_us <= exchange->now_us)
                query_expire(exchange, slot, side);
        }
    }
}

/* Starts what the window and the pace allow. Returns false when there is no new question left. */
static bool questions_start(struct exchange *exchange, bool more)
{
    exchange->held_back = false;
    while (exchange->active < (unsigned)exchange->window) {
        bool resumes = exchange->paused_first != NO_SLOT &&
                       exchange->slots[exchange->paused_first].resume_us <= exchange->now_us;
        if (!resumes && !more)
            break;
        exchange->held_back = !pace_take(exchange->pace, exchange->now_us);
        if (exchange->held_back)
            break;

        struct slot *slot = slot_resume(exchange);
        if (slot == NULL) {
            slot = slot_take(exchange);
            if (slot == NULL) {
                pace_put_back(exchange->pace);
                break;
            }
            if (!exchange->client->next(exchange->client->context, &slot->question)) {
                slot_release(exchange, slot);
                pace_put_back(exchange->pace);
                more = exchange->client->waits != NULL &&
                       exchange->client->waits(exchange->client->context);
                if (more) /* what is to be asked again has its turn at the next step */
                    break;
                continue;
            }
            slot->question.round = 0;
        }
        slot_start(exchange, slot);
    }
    return more;
}

static void event_take(struct exchange *exchange, const struct epoll_event *event)
{
    enum channel_kind kind = (enum channel_kind)(event->data.u64 >> 32);
    enum exchange_side side = (enum exchange_side)(event->data.u64 >> 16 & 0xffff);
    unsigned index = event->data.u64 & 0xffff;
    if (kind == CHANNEL_UDP)
        udp_receive(exchange, side, index);
    else
        tcp_event(exchange, side, index, event->events);
}

/* Drops what a stopped run left in flight. */
static void slots_clear(struct exchange *exchange)
{
    for (uint32_t i = 0; i < exchange->slot_used; i++) {
        struct slot *slot = &exchange->slots[i];
        if (slot->state == SLOT_ACTIVE)
            for (enum exchange_side side = 0; side < EXCHANGE_SIDES; side++)
                exchange->sides[side].slot_by_id[slot->queries[side].id] = 0;
        if (slot->state != SLOT_FREE)
            slot_release(exchange, slot);
    }
    exchange->active = 0;
    exchange->paused_count = 0;
    exchange->paused_first = exchange->paused_last = NO_SLOT;
    for (enum exchange_side side = 0; side < EXCHANGE_SIDES; side++) {
        tcp_close(exchange, side);
        exchange->sides[side].tcp_queued = 0;
    }
}

int exchange_run(struct exchange *exchange, const struct exchange_client *client,
                 struct error *ret_error)
{
    struct epoll_event events[UDP_SOCKETS * EXCHANGE_SIDES + TCP_STREAMS * EXCHANGE_SIDES];
    bool more = true;

    exchange->client = client;
    exchange->now_us = exchange_clock_us();
    uint64_t timer_us = exchange->now_us + TIMER_STEP_US;
    uint64_t tick_us = exchange->now_us + TICK_STEP_US;

    for (;;) {
        more = questions_start(exchange, more);
        for (enum exchange_side side = 0; side < EXCHANGE_SIDES; side++) {
            udp_flush(exchange, side);
            if (exchange->sides[side].tcp_queued > 0)
                tcp_pump(exchange, side);
        }
        if (!more && exchange->active == 0 && exchange->paused_count == 0)
            return 0;

        int wait_ms = exchange->held_back ? 1 : TIMER_STEP_US / 1000;
        int count =
            epoll_wait(exchange->epoll, events, sizeof(events) / sizeof(events[0]), wait_ms);
        if (count < 0 && errno != EINTR)
            return error_set(ret_error, -errno, "cannot wait for answers: %s", strerror(errno));

        exchange->now_us = exchange_clock_us();
        for (int i = 0; i < count; i++)
            event_take(exchange, &events[i]);
        if (exchange->now_us >= timer_us) {
            timers_run(exchange);
            timer_us = exchange->now_us + TIMER_STEP_US;
        }
        if (client->tick != NULL && exchange->now_us >= tick_us) {
            if (!client->tick(client->context)) {
                slots_clear(exchange);
                return 0;
            }
            tick_us = exchange->now_us + TICK_STEP_US;
        }
    }
}
