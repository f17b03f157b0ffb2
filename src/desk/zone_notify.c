/* NOTIFY (RFC 1996): servers are told of each change, again and again until they answer. */
#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "desk/zone_publisher_internal.h"
#include "zone/origin_link.h"
#include "zone/tsig_client.h"

#define MESSAGE_MAX 1024

/* The pause before the second message, which doubles; a server that hears none of them finds out at
 * its next refresh. */
#define PAUSE_FIRST_MS 300
#define TRIES_MAX      9

/* Messages that wait for an answer; of more, some are sent when others are done. */
#define PENDING_MAX 8192

struct pending_notify {
    size_t target;
    uint8_t apex[NAME_SIZE_MAX];
    uint16_t id;
    unsigned tries;
    int64_t due_ms;
};

struct zone_notifier {
    const struct desk_config_orders *config;
    int sockets[2]; /* IPv4, IPv6 */
    struct pending_notify *pending;
    size_t count, room;
    struct zone_notify_figures figures;
};

const int *zone_notifier_sockets(const struct zone_notifier *notifier)
{
    return notifier->sockets;
}

struct zone_notify_figures *zone_notifier_figures(struct zone_notifier *notifier)
{
    return &notifier->figures;
}

/* ---- What is to be said ---- */

static struct pending_notify *pending_find(struct zone_notifier *notifier, size_t target,
                                           const uint8_t *apex)
{
    for (size_t i = 0; i < notifier->count; i++)
        if (notifier->pending[i].target == target && name_equal(notifier->pending[i].apex, apex))
            return &notifier->pending[i];
    return NULL;
}

static struct pending_notify *pending_add(struct zone_notifier *notifier)
{
    if (notifier->count == notifier->room) {
        size_t room = notifier->room == 0 ? 64 : notifier->room * 2;
        struct pending_notify *pending =
            room <= PENDING_MAX ? reallocarray(notifier->pending, room, sizeof(*pending)) : NULL;
        if (pending == NULL)
            return NULL;
        notifier->pending = pending;
        notifier->room = room;
    }
    return &notifier->pending[notifier->count++];
}

static void pending_drop(struct zone_notifier *notifier, struct pending_notify *pending)
{
    *pending = notifier->pending[--notifier->count];
}

void zone_notifier_tell(struct zone_notifier *notifier, const uint8_t *apex)
{
    for (size_t i = 0; i < notifier->config->notify_count; i++) {
        struct pending_notify *pending = pending_find(notifier, i, apex);
        if (pending == NULL)
            pending = pending_add(notifier);
        if (pending == NULL)
            return; /* they find out at their next refresh */
        *pending = (struct pending_notify){.target = i};
        memcpy(pending->apex, apex, name_wire_size(apex));
        (void)!getrandom(&pending->id, sizeof(pending->id), 0);
    }
}

void zone_notifier_forget(struct zone_notifier *notifier, const uint8_t *apex)
{
    for (size_t i = 0; i < notifier->config->notify_count; i++) {
        struct pending_notify *pending = pending_find(notifier, i, apex);
        if (pending != NULL)
            pending_drop(notifier, pending);
    }
}

/* ---- Messages ---- */

static int message_sign(const struct desk_config_key *key, uint8_t *message, size_t *size,
                        struct error *ret_error)
{
    _cleanup_(tsig_client_freep) struct tsig_client *client = NULL;
    const struct transfer_key wanted = {key->name, key->algorithm, key->secret};

    int rc = tsig_client_create(&wanted, &client, ret_error);
    return rc < 0 ? rc : tsig_client_sign(client, message, size, MESSAGE_MAX, ret_error);
}

static int message_make(const struct pending_notify *pending, const struct desk_config_key *key,
                        uint8_t message[MESSAGE_MAX], size_t *ret_size, struct error *ret_error)
{
    size_t size = KNOT_WIRE_HEADER_SIZE, apex_size = name_wire_size(pending->apex);

    memset(message, 0, size);
    knot_wire_set_id(message, pending->id);
    knot_wire_set_opcode(message, KNOT_OPCODE_NOTIFY);
    knot_wire_set_aa(message);
    knot_wire_set_qdcount(message, 1);
    memcpy(message + size, pending->apex, apex_size);
    size += apex_size;
    knot_wire_write_u16(message + size, KNOT_RRTYPE_SOA);
    knot_wire_write_u16(message + size + 2, KNOT_CLASS_IN);
    *ret_size = size + 4;
    return key == NULL ? 0 : message_sign(key, message, ret_size, ret_error);
}

/* One that cannot be sent counts as one that was lost. */
static void message_send(struct zone_notifier *notifier, struct pending_notify *pending)
{
    const struct desk_config_notify *target = &notifier->config->notify[pending->target];
    const struct sockaddr *address = (const struct sockaddr *)&target->address.address;
    uint8_t message[MESSAGE_MAX];
    struct error error = {0};
    size_t size;

    if (message_make(pending, target->key, message, &size, &error) < 0)
        log_event(LOG_ERR, "%s is not told of its zones: %s", target->address.text, error.text);
    else
        (void)!sendto(notifier->sockets[address->sa_family == AF_INET6], message, size,
                      MSG_DONTWAIT | MSG_NOSIGNAL, address, target->address.size);
    atomic_fetch_add(&notifier->figures.sent, 1);
    pending->due_ms = monotonic_ms() + ((int64_t)PAUSE_FIRST_MS << pending->tries);
    pending->tries++;
}

static bool is_from(const struct config_address *target, const struct sockaddr_storage *from)
{
    if (target->address.ss_family != from->ss_family)
        return false;
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *one = (const void *)&target->address, *other = (const void *)from;
        return one->sin_port == other->sin_port && one->sin_addr.s_addr == other->sin_addr.s_addr;
    }
    const struct sockaddr_in6 *one = (const void *)&target->address, *other = (const void *)from;
    return one->sin6_port == other->sin6_port &&
           memcmp(&one->sin6_addr, &other->sin6_addr, sizeof(one->sin6_addr)) == 0;
}

/* Any answer, also one that refuses, says that the message came through; its signature is not
 * looked at: whoever can make one up for the identifier merely spares a server a repetition. */
static void answer_take(struct zone_notifier *notifier, const uint8_t *message, size_t size,
                        const struct sockaddr_storage *from)
{
    if (size < KNOT_WIRE_HEADER_SIZE || !knot_wire_get_qr(message) ||
        knot_wire_get_opcode(message) != KNOT_OPCODE_NOTIFY)
        return;
    for (size_t i = 0; i < notifier->count; i++) {
        struct pending_notify *pending = &notifier->pending[i];
        if (pending->tries == 0 || pending->id != knot_wire_get_id(message) ||
            !is_from(&notifier->config->notify[pending->target].address, from))
            continue;
        pending_drop(notifier, pending);
        return;
    }
}

static void answers_read(struct zone_notifier *notifier, int socket)
{
    uint8_t message[MESSAGE_MAX];
    struct sockaddr_storage from;

    for (;;) {
        socklen_t from_size = sizeof(from);
        ssize_t size = recvfrom(socket, message, sizeof(message), MSG_DONTWAIT,
                                (struct sockaddr *)&from, &from_size);
        if (size < 0)
            return;
        answer_take(notifier, message, (size_t)size, &from);
    }
}

int zone_notifier_work(struct zone_notifier *notifier, int max_ms)
{
    int64_t now_ms = monotonic_ms(), next_ms = now_ms + max_ms;

    for (size_t i = 0; i < 2; i++)
        if (notifier->sockets[i] >= 0)
            answers_read(notifier, notifier->sockets[i]);
    for (size_t i = notifier->count; i-- > 0;) {
        struct pending_notify *pending = &notifier->pending[i];
        if (pending->due_ms <= now_ms && pending->tries >= TRIES_MAX) {
            atomic_fetch_add(&notifier->figures.unanswered, 1);
            pending_drop(notifier, pending);
            continue;
        }
        if (pending->due_ms <= now_ms)
            message_send(notifier, pending);
        next_ms = pending->due_ms < next_ms ? pending->due_ms : next_ms;
    }
    return next_ms > now_ms ? (int)(next_ms - now_ms) : 0;
}

/* ---- Life ---- */

int zone_notifier_create(const struct desk_config_orders *config,
                         struct zone_notifier **ret_notifier, struct error *ret_error)
{
    struct zone_notifier *notifier = calloc(1, sizeof(*notifier));
    if (notifier == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for NOTIFY");
    notifier->config = config;
    notifier->sockets[0] = notifier->sockets[1] = -1;
    for (size_t i = 0; i < config->notify_count; i++) {
        int family = config->notify[i].address.address.ss_family;
        int *made = &notifier->sockets[family == AF_INET6];
        if (*made < 0)
            *made = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (*made < 0) {
            zone_notifier_free(notifier);
            return error_set(ret_error, -errno, "no socket for NOTIFY: %s", strerror(errno));
        }
    }
    *ret_notifier = notifier;
    return 0;
}

void zone_notifier_free(struct zone_notifier *notifier)
{
    if (notifier == NULL)
        return;
    for (size_t i = 0; i < 2; i++)
        if (notifier->sockets[i] >= 0)
            close(notifier->sockets[i]);
    free(notifier->pending);
    free(notifier);
}
