#include "server/notifier.h"

#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <syslog.h>
#include <unistd.h>

#include "server/timer_heap.h"
#include "zone/origin_link.h"
#include "zone/tsig_client.h"

#define MESSAGE_MAX    1500
#define PAUSE_FIRST_MS 1000

#define IDS 65536

/* Messages that wait for an answer at a time. A server with very many zones starts with one to say
 * of each; beyond this, who is to be told waits a moment. So few of all IDs are also found free by
 * chance at once. */
#define WAITING_MAX   4096
#define FULL_PAUSE_MS 100

/* One secondary of one zone. */
struct target {
    const struct notify_target *config;
    struct told_zone *zone;
    struct tsig_client *tsig; /* NULL: unsigned */
    char text[ORIGIN_TEXT_MAX];
    struct timer timer; /* the next message; not set: nothing to tell */
    int64_t sent_ms;    /* the last one; 0: none yet */
    unsigned tries;
    uint16_t id; /* of the message that waits for its answer */
    bool waits;
    bool has_news;  /* there is more than the last message told */
    bool is_silent; /* given up, and nothing was heard since */
};

struct told_zone {
    const struct notify_zone *config;
    struct target *targets;
    atomic_bool is_new; /* there is something to tell */
};

struct notifier {
    struct notifier_handlers handlers;
    struct told_zone *zones;
    size_t count;
    struct target *targets;
    size_t target_count;
    struct told_zone **by_zone; /* hash by the zone's address */
    size_t by_zone_size;        /* a power of two */
    struct target **by_id;      /* of all 2^16, who waits for the answer of that ID */
    size_t waiting_count;

    struct timer_heap timers; /* the thread's own, as all that follows */
    int sockets[2];           /* IPv4, IPv6; -1: not needed, or the system has none */
    int wake_fd;
    atomic_bool stops, is_woken;
    pthread_t thread;
    bool has_thread;
    struct record_reader *reader;
    struct notifier_counters counters;
};

static void count(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

static void say(const struct notifier *notifier, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void say(const struct notifier *notifier, int level, const char *format, ...)
{
    char text[1600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    notifier->handlers.log(notifier->handlers.context, level, text);
}

/* ---- Being told ---- */

static size_t zone_slot(const struct notifier *notifier, const struct zone *zone)
{
    return (size_t)(((uintptr_t)zone >> 6) * UINT64_C(0x9e3779b97f4a7c15) >> 32) &
           (notifier->by_zone_size - 1);
}

static struct told_zone *find_zone(const struct notifier *notifier, const struct zone *zone)
{
    size_t at = zone_slot(notifier, zone);
    for (; notifier->by_zone[at] != NULL; at = (at + 1) & (notifier->by_zone_size - 1)) {
        if (notifier->by_zone[at]->config->zone == zone)
            return notifier->by_zone[at];
    }
    return NULL;
}

static void wake(struct notifier *notifier)
{
    const uint64_t one = 1;
    if (!atomic_exchange(&notifier->is_woken, true))
        (void)!write(notifier->wake_fd, &one, sizeof(one));
}

void notifier_tell(struct notifier *notifier, const struct zone *zone)
{
    struct told_zone *told = find_zone(notifier, zone);
    if (told != NULL && !atomic_exchange(&told->is_new, true))
        wake(notifier);
}

/* ---- Messages ---- */

static void stop_waiting(struct notifier *notifier, struct target *target)
{
    if (!target->waits)
        return;
    target->waits = false;
    notifier->by_id[target->id] = NULL;
    notifier->waiting_count--;
}

/* Takes an ID that nobody can guess and no other waits with. */
static int start_waiting(struct notifier *notifier, struct target *target)
{
    stop_waiting(notifier, target);
    if (notifier->waiting_count == WAITING_MAX)
        return -EAGAIN;
    do {
        if (getrandom(&target->id, sizeof(target->id), 0) != sizeof(target->id))
            return -EAGAIN;
    } while (notifier->by_id[target->id] != NULL);
    notifier->by_id[target->id] = target;
    notifier->waiting_count++;
    target->waits = true;
    return 0;
}

/* Writes the NOTIFY with the SOA as a hint (RFC 1996, 3.7). Returns its size, 0 when there is
 * nothing to say. */
static size_t make_message(struct notifier *notifier, struct target *target,
                           uint8_t message[MESSAGE_MAX])
{
    const struct zone *zone = target->zone->config->zone;
    uint8_t rdata[NOTIFY_SOA_SIZE_MAX];
    uint16_t rdata_size;
    uint32_t ttl_s;
    if (!notifier->handlers.soa(notifier->handlers.context, zone, rdata, &rdata_size, &ttl_s))
        return 0;

    memset(message, 0, KNOT_WIRE_HEADER_SIZE);
    knot_wire_set_id(message, target->id);
    knot_wire_set_opcode(message, KNOT_OPCODE_NOTIFY);
    knot_wire_set_aa(message);
    knot_wire_set_qdcount(message, 1);
    knot_wire_set_ancount(message, 1);
    uint8_t *at = message + KNOT_WIRE_HEADER_SIZE;
    memcpy(at, zone->name.wire, zone->name.size);
    at += zone->name.size;
    knot_wire_write_u16(at, KNOT_RRTYPE_SOA);
    knot_wire_write_u16(at + 2, KNOT_CLASS_IN);
    knot_wire_write_u16(at + 4, 0xc000 | KNOT_WIRE_HEADER_SIZE); /* the owner is the question's */
    knot_wire_write_u16(at + 6, KNOT_RRTYPE_SOA);
    knot_wire_write_u16(at + 8, KNOT_CLASS_IN);
    knot_wire_write_u32(at + 10, ttl_s);
    knot_wire_write_u16(at + 14, rdata_size);
    memcpy(at + 16, rdata, rdata_size);
    size_t size = (size_t)(at + 16 + rdata_size - message);

    struct error error;
    if (target->tsig != NULL &&
        tsig_client_sign(target->tsig, message, &size, MESSAGE_MAX, &error) < 0) {
        say(notifier, LOG_ERR, "zone %s: cannot notify %s: %s", zone->text, target->text,
            error.text);
        return 0;
    }
    return size;
}

static int socket_of(const struct notifier *notifier, const struct target *target)
{
    return notifier->sockets[target->config->address->sa_family == AF_INET6];
}

static void give_up(struct notifier *notifier, struct target *target)
{
    stop_waiting(notifier, target);
    count(&notifier->counters.given_up);
    target->tries = 0;
    if (target->is_silent)
        return; /* said already */
    target->is_silent = true;
    say(notifier, LOG_WARNING,
        "zone %s: %s does not answer a NOTIFY: it learns of the change by its own timers",
        target->zone->config->zone->text, target->text);
}

static void send_notify(struct notifier *notifier, struct target *target, int64_t now_ms)
{
    if (target->tries == NOTIFY_TRIES) {
        give_up(notifier, target);
        if (!target->has_news)
            return;
    }
    if (start_waiting(notifier, target) < 0) {
        timer_set(&notifier->timers, &target->timer, now_ms + FULL_PAUSE_MS);
        return;
    }
    target->has_news = false; /* the message has the serial of this moment */
    uint8_t message[MESSAGE_MAX];
    const size_t size = make_message(notifier, target, message);
    if (size == 0) {
        stop_waiting(notifier, target);
        return;
    }
    /* What the system does not take now is sent again as if it had been lost. */
    (void)!sendto(socket_of(notifier, target), message, size, MSG_DONTWAIT | MSG_NOSIGNAL,
                  target->config->address, target->config->size);
    count(&notifier->counters.sent);
    target->sent_ms = now_ms;
    timer_set(&notifier->timers, &target->timer, now_ms + (PAUSE_FIRST_MS << target->tries));
    target->tries++;
}

/* Sends what is new as soon as the target may hear again. One that does not answer is not left to
 * the growing pauses while there is more and more to tell: it may have come back. */
static void send_news(struct notifier *notifier, struct target *target, int64_t now_ms)
{
    const int64_t pause_ms = target->waits ? PAUSE_FIRST_MS : NOTIFY_PAUSE_MS;
    const int64_t due_ms = target->sent_ms == 0 ? now_ms : target->sent_ms + pause_ms;
    target->has_news = true;
    if (due_ms <= now_ms) {
        timer_unset(&notifier->timers, &target->timer);
        send_notify(notifier, target, now_ms);
    } else if (target->timer.place == 0 || due_ms < target->timer.due_ms) {
        timer_set(&notifier->timers, &target->timer, due_ms);
    }
}

static bool is_same_address(const struct sockaddr *one, const struct sockaddr *other)
{
    if (one->sa_family != other->sa_family)
        return false;
    if (one->sa_family == AF_INET) {
        const struct sockaddr_in *a = (const struct sockaddr_in *)one;
        const struct sockaddr_in *b = (const struct sockaddr_in *)other;
        return a->sin_port == b->sin_port && a->sin_addr.s_addr == b->sin_addr.s_addr;
    }
    const struct sockaddr_in6 *a = (const struct sockaddr_in6 *)one;
    const struct sockaddr_in6 *b = (const struct sockaddr_in6 *)other;
    return a->sin6_port == b->sin6_port &&
           memcmp(&a->sin6_addr, &b->sin6_addr, sizeof(a->sin6_addr)) == 0;
}

static struct target *find_waiting(const struct notifier *notifier, const struct sockaddr *address,
                                   const uint8_t *wire, size_t size)
{
    if (size < KNOT_WIRE_HEADER_SIZE || !knot_wire_get_qr(wire) ||
        knot_wire_get_opcode(wire) != KNOT_OPCODE_NOTIFY)
        return NULL;
    struct target *target = notifier->by_id[knot_wire_get_id(wire)];
    return target != NULL && is_same_address(target->config->address, address) ? target : NULL;
}

/* Whether the answer is signed as the question was. */
static bool is_verified(struct notifier *notifier, struct target *target, const uint8_t *wire,
                        size_t size)
{
    if (target->tsig == NULL)
        return true;
    struct record_reader *reader = notifier->reader;
    struct record record = {0};
    record_reader_init(reader, wire, size);
    uint8_t owner[NAME_SIZE_MAX];
    uint16_t type, class;
    for (unsigned left = knot_wire_get_qdcount(wire); left > 0; left--) {
        if (record_reader_question(reader, owner, &type, &class) < 0)
            return false;
    }
    unsigned records = (unsigned)knot_wire_get_ancount(wire) + knot_wire_get_nscount(wire) +
                       knot_wire_get_arcount(wire);
    for (; records > 0; records--) {
        if (record_reader_next(reader, &record) < 0)
            return false;
    }
    struct error error;
    return record.type == KNOT_RRTYPE_TSIG &&
           tsig_client_verify(target->tsig, wire, size, &record, &error) == 0;
}

static void take_answer(struct notifier *notifier, const struct sockaddr *address,
                        const uint8_t *wire, size_t size, int64_t now_ms)
{
    struct target *target = find_waiting(notifier, address, wire, size);
    if (target == NULL || !is_verified(notifier, target, wire, size))
        return;
    stop_waiting(notifier, target);
    timer_unset(&notifier->timers, &target->timer);
    target->tries = 0;
    target->is_silent = false;
    if (target->has_news)
        send_news(notifier, target, now_ms);
    count(&notifier->counters.answered);
    const unsigned rcode = knot_wire_get_rcode(wire);
    /* That a policy zone is new may be told before the catalog that brings it there. */
    if (rcode != KNOT_RCODE_NOERROR && !atomic_load(&target->zone->config->zone->transfer_only))
        say(notifier, LOG_NOTICE,
            "zone %s: %s answers a NOTIFY with RCODE %u: is it a secondary of the zone, and may we "
            "notify it?",
            target->zone->config->zone->text, target->text, rcode);
}

static void receive(struct notifier *notifier, int fd, int64_t now_ms)
{
    for (;;) {
        uint8_t wire[MESSAGE_MAX];
        struct sockaddr_storage from;
        socklen_t from_size = sizeof(from);
        const ssize_t size =
            recvfrom(fd, wire, sizeof(wire), MSG_DONTWAIT, (struct sockaddr *)&from, &from_size);
        if (size < 0 && errno != ECONNREFUSED)
            return;
        if (size > 0)
            take_answer(notifier, (const struct sockaddr *)&from, wire, (size_t)size, now_ms);
    }
}

/* ---- The thread ---- */

static void take_news(struct notifier *notifier, int64_t now_ms)
{
    for (size_t i = 0; i < notifier->count; i++) {
        struct told_zone *zone = &notifier->zones[i];
        if (!atomic_load(&zone->is_new))
            continue;
        atomic_store(&zone->is_new, false);
        for (size_t k = 0; k < zone->config->target_count; k++)
            send_news(notifier, &zone->targets[k], now_ms);
    }
}

static void run_timers(struct notifier *notifier, int64_t now_ms)
{
    struct timer *timer;
    while ((timer = timer_heap_first(&notifier->timers)) != NULL && timer->due_ms <= now_ms) {
        timer_unset(&notifier->timers, timer);
        send_notify(notifier, timer->owner, now_ms);
    }
}

static int wait_ms(const struct notifier *notifier)
{
    const struct timer *timer = timer_heap_first(&notifier->timers);
    if (timer == NULL)
        return -1;
    const int64_t left = timer->due_ms - monotonic_ms();
    return left > 0 ? (int)left : 0;
}

static void *run(void *context)
{
    struct notifier *notifier = context;
    pthread_setname_np(pthread_self(), "notify");
    while (!atomic_load(&notifier->stops)) {
        struct pollfd waits[] = {
            {.fd = notifier->wake_fd, .events = POLLIN},
            {.fd = notifier->sockets[0], .events = POLLIN},
            {.fd = notifier->sockets[1], .events = POLLIN},
        };
        if (poll(waits, 3, wait_ms(notifier)) < 0 && errno != EINTR)
            break;
        const int64_t now_ms = monotonic_ms();
        for (size_t i = 1; i < 3; i++) {
            if ((waits[i].revents & (POLLIN | POLLERR)) != 0)
                receive(notifier, waits[i].fd, now_ms);
        }
        if ((waits[0].revents & POLLIN) != 0) {
            uint64_t wakes;
            (void)!read(notifier->wake_fd, &wakes, sizeof(wakes));
            atomic_store(&notifier->is_woken, false);
            take_news(notifier, now_ms);
        }
        run_timers(notifier, now_ms);
    }
    return NULL;
}

/* ---- Life ---- */

static int open_sockets(struct notifier *notifier)
{
    static const int families[2] = {AF_INET, AF_INET6};
    bool is_needed[2] = {false, false};
    for (size_t i = 0; i < notifier->target_count; i++)
        is_needed[notifier->targets[i].config->address->sa_family == AF_INET6] = true;
    for (size_t i = 0; i < 2; i++) {
        if (!is_needed[i])
            continue;
        /* A machine without IPv6 notifies those that it can reach. */
        notifier->sockets[i] = socket(families[i], SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (notifier->sockets[i] < 0 && errno != EAFNOSUPPORT)
            return -errno;
    }
    return 0;
}

static int add_targets(struct notifier *notifier, struct told_zone *zone, struct error *ret_error)
{
    zone->targets = notifier->targets + notifier->target_count;
    for (size_t i = 0; i < zone->config->target_count; i++) {
        struct target *target = &notifier->targets[notifier->target_count++];
        target->config = &zone->config->targets[i];
        target->zone = zone;
        target->timer.owner = target;
        origin_text(target->config->address, target->config->size, target->text);
        if (target->config->key == NULL)
            continue;
        const int rc = tsig_client_create(target->config->key, &target->tsig, ret_error);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int add_zones(struct notifier *notifier, const struct notify_zone *zones,
                     struct error *ret_error)
{
    for (size_t i = 0; i < notifier->count; i++) {
        struct told_zone *zone = &notifier->zones[i];
        zone->config = &zones[i];
        const int rc = add_targets(notifier, zone, ret_error);
        if (rc < 0)
            return rc;
        size_t at = zone_slot(notifier, zones[i].zone);
        while (notifier->by_zone[at] != NULL)
            at = (at + 1) & (notifier->by_zone_size - 1);
        notifier->by_zone[at] = zone;
    }
    return 0;
}

static int allocate(struct notifier *notifier, const struct notify_zone *zones, size_t count)
{
    size_t target_count = 0;
    for (size_t i = 0; i < count; i++)
        target_count += zones[i].target_count;
    notifier->count = count;
    notifier->by_zone_size = 4;
    while (notifier->by_zone_size < 2 * count)
        notifier->by_zone_size *= 2;
    notifier->zones = calloc(count + 1, sizeof(*notifier->zones));
    notifier->targets = calloc(target_count + 1, sizeof(*notifier->targets));
    notifier->by_zone = calloc(notifier->by_zone_size, sizeof(struct told_zone *));
    notifier->by_id = calloc(IDS, sizeof(struct target *));
    notifier->reader = record_reader_create();
    return notifier->zones == NULL || notifier->targets == NULL || notifier->by_zone == NULL ||
                   notifier->by_id == NULL || notifier->reader == NULL
               ? -ENOMEM
               : timer_heap_init(&notifier->timers, target_count);
}

int notifier_start(const struct notify_zone *zones, size_t count,
                   const struct notifier_handlers *handlers, struct notifier **ret_notifier,
                   struct error *ret_error)
{
    struct notifier *notifier = calloc(1, sizeof(*notifier));
    if (notifier == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    notifier->handlers = *handlers;
    notifier->sockets[0] = notifier->sockets[1] = -1;
    notifier->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = notifier->wake_fd < 0 ? -errno : allocate(notifier, zones, count);
    if (rc == 0)
        rc = add_zones(notifier, zones, ret_error);
    if (rc == 0) {
        rc = open_sockets(notifier);
        if (rc == 0)
            rc = -pthread_create(&notifier->thread, NULL, run, notifier);
        notifier->has_thread = rc == 0;
    }
    if (rc < 0) {
        notifier_stop(notifier);
        return rc == -EINVAL ? rc
                             : error_set(ret_error, rc, "cannot start notifying secondaries: %s",
                                         strerror(-rc));
    }
    *ret_notifier = notifier;
    return 0;
}

void notifier_stop(struct notifier *notifier)
{
    if (notifier == NULL)
        return;
    if (notifier->has_thread) {
        atomic_store(&notifier->stops, true);
        wake(notifier);
        pthread_join(notifier->thread, NULL);
    }
    for (size_t i = 0; i < 2; i++) {
        if (notifier->sockets[i] >= 0)
            close(notifier->sockets[i]);
    }
    if (notifier->wake_fd >= 0)
        close(notifier->wake_fd);
    for (size_t i = 0; i < notifier->target_count; i++)
        tsig_client_free(notifier->targets[i].tsig);
    timer_heap_clear(&notifier->timers);
    record_reader_free(notifier->reader);
    free(notifier->by_zone);
    free(notifier->by_id);
    free(notifier->targets);
    free(notifier->zones);
    free(notifier);
}

void notifier_counters(const struct notifier *notifier, struct notifier_counters *ret_counters)
{
    ret_counters->sent = __atomic_load_n(&notifier->counters.sent, __ATOMIC_RELAXED);
    ret_counters->answered = __atomic_load_n(&notifier->counters.answered, __ATOMIC_RELAXED);
    ret_counters->given_up = __atomic_load_n(&notifier->counters.given_up, __ATOMIC_RELAXED);
}
