#include "server/updater.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>
#include <libknot/rrtype/opt.h>
#include <libknot/wire.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/handover.h"

/* Messages of one commit. More would make the first of them wait for the last. */
#define BATCH_MAX 1024

/* What may wait: seconds of work. */
#define WAITING_OCTETS_MAX (64u << 20)

/* Header, question, OPT with an extended error, the largest TSIG. */
#define REPLY_SIZE_MAX (12 + NAME_SIZE_MAX + 4 + 11 + 4 + 2 + 128 + 2 * NAME_SIZE_MAX + 128)

#define AUTHOR_TEXT_MAX (NAME_SIZE_MAX * 4 + 8)

struct job {
    struct cds_wfcq_node node;
    struct reply_route route;
    size_t size, tsig_offset;
    bool has_edns;
    uint8_t wire[];
};

/* One message of a batch. */
struct item {
    struct job *job;
    struct tsig_server tsig;
    bool is_signed;      /* the answer is to be: the request's TSIG could be read */
    struct group *group; /* NULL: refused before it came to a zone */
    uint8_t rcode;
    const char *reason;
    uint8_t reply[REPLY_SIZE_MAX];
};

/* One zone of a batch. */
struct group {
    struct zone *zone;
    struct zone_edit *edit;
    uint32_t serial_from;
    bool has_changed, has_own_serial;
    char **authors;
    uint16_t author_count, author_room;
};

struct updater {
    struct updater_options options;
    struct cds_wfcq_head head;
    struct cds_wfcq_tail tail;
    _Atomic(uint64_t) waiting, waiting_octets;
    int wake_fd;
    atomic_bool stops;
    pthread_t thread;

    struct record_reader *reader;
    struct item items[BATCH_MAX];
    struct group groups[BATCH_MAX];
    struct commit commits[BATCH_MAX];
    struct reply replies[BATCH_MAX];
    size_t item_count, group_count;
    int64_t now;        /* Unix seconds of the batch */
    bool journal_fails; /* said once, until it works again */

    struct updater_counters counters; /* but for refused_full and waiting: the thread's own */
    _Atomic(uint64_t) refused_full;
};

static void count(uint64_t *counter, uint64_t more)
{
    __atomic_store_n(counter, *counter + more, __ATOMIC_RELAXED);
}

static void say(const struct updater *updater, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void say(const struct updater *updater, int level, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    updater->options.log(updater->options.context, level, text);
}

/* ---- Submitting ---- */

bool updater_submit(struct updater *updater, const struct reply_route *route,
                    const uint8_t *request, size_t size, size_t tsig_offset, bool has_edns)
{
    const uint64_t octets = sizeof(struct job) + size;
    struct job *job = NULL;
    if (atomic_fetch_add(&updater->waiting_octets, octets) + octets <= WAITING_OCTETS_MAX)
        job = malloc(octets);
    if (job == NULL) {
        atomic_fetch_sub(&updater->waiting_octets, octets);
        atomic_fetch_add(&updater->refused_full, 1);
        return false;
    }
    atomic_fetch_add(&updater->waiting, 1);
    cds_wfcq_node_init(&job->node);
    job->route = *route;
    job->size = size;
    job->tsig_offset = tsig_offset;
    job->has_edns = has_edns;
    memcpy(job->wire, request, size);
    /* Only who finds the queue empty need wake the thread. */
    if (!cds_wfcq_enqueue(&updater->head, &updater->tail, &job->node)) {
        const uint64_t one = 1;
        (void)!write(updater->wake_fd, &one, sizeof(one));
    }
    return true;
}

/* ---- Zones of a batch ---- */

static struct group *find_group(struct updater *updater, const struct zone *zone)
{
    for (size_t i = 0; i < updater->group_count; i++) {
        if (updater->groups[i].zone == zone)
            return &updater->groups[i];
    }
    return NULL;
}

/* Takes the zone into the batch, which holds its writer lock from here on. Nobody else holds two of
 * these locks, so that their order does not matter. */
static struct group *open_group(struct updater *updater, struct zone *zone)
{
    struct group *group = &updater->groups[updater->group_count++];
    *group = (struct group){.zone = zone};
    pthread_mutex_lock(&zone->writer);
    return group;
}

static void close_group(struct group *group)
{
    zone_edit_end(TAKE(group->edit));
    for (size_t i = 0; i < group->author_count; i++)
        free(group->authors[i]);
    free(group->authors);
    pthread_mutex_unlock(&group->zone->writer);
}

/* The edit of a zone that can be changed; else says why not by RCODE. */
static uint8_t open_edit(struct group *group, const char **ret_reason)
{
    if (group->edit != NULL)
        return KNOT_RCODE_NOERROR;
    struct zone *zone = group->zone;
    struct error error;
    *ret_reason = "the zone is not served now";
    if (atomic_load(&zone->status) != ZONE_SERVING)
        return KNOT_RCODE_SERVFAIL;
    int rc = zone_edit_begin(zone->data, &group->edit, &error);
    if (rc == -EPERM) {
        *ret_reason = "the zone is signed, and its signer is not here";
        return KNOT_RCODE_REFUSED;
    }
    if (rc < 0)
        return KNOT_RCODE_SERVFAIL;
    group->serial_from = zone->data->soa.serial;
    return KNOT_RCODE_NOERROR;
}

/* Whom the journal names for a change. */
static void author_text(const struct item *item, char ret_text[AUTHOR_TEXT_MAX])
{
    if (item->tsig.key_name != NULL) {
        snprintf(ret_text, AUTHOR_TEXT_MAX, "key %s", item->tsig.key_name);
        return;
    }
    const struct reply_route *route = &item->job->route;
    const void *address = route->peer.any.sa_family == AF_INET
                              ? (const void *)&route->peer.ipv4.sin_addr
                              : (const void *)&route->peer.ipv6.sin6_addr;
    if (inet_ntop(route->peer.any.sa_family, address, ret_text, AUTHOR_TEXT_MAX) == NULL)
        ret_text[0] = '\0';
}

/* Its index in the group's list. Returns 0 or -ENOMEM. */
static int find_author(struct group *group, const struct item *item, uint16_t *ret_author)
{
    char text[AUTHOR_TEXT_MAX];
    author_text(item, text);
    for (uint16_t i = 0; i < group->author_count; i++) {
        if (strcmp(group->authors[i], text) == 0) {
            *ret_author = i;
            return 0;
        }
    }
    if (group->author_count == group->author_room) {
        const uint16_t room = group->author_room == 0 ? 8 : (uint16_t)(2 * group->author_room);
        char **authors = reallocarray(group->authors, room, sizeof(*authors));
        if (authors == NULL)
            return -ENOMEM;
        group->authors = authors;
        group->author_room = room;
    }
    char *copy = strdup(text);
    if (copy == NULL)
        return -ENOMEM;
    group->authors[group->author_count] = copy;
    *ret_author = group->author_count++;
    return 0;
}

/* ---- One message ---- */

static uint8_t fail(struct item *item, uint8_t rcode, const char *reason)
{
    item->reason = reason;
    return rcode;
}

/* The zone whose apex is the message's; NULL when it is not ours. */
static struct zone *find_zone(const struct updater *updater, const struct job *job,
                              struct name *ret_apex)
{
    if (name_parse(ret_apex, job->wire + MESSAGE_HEADER_SIZE, job->size - MESSAGE_HEADER_SIZE) < 0)
        return NULL;
    struct zone *zone = zone_set_find(updater->options.view->zones, ret_apex, 0);
    return zone != NULL && zone->name.label_count == ret_apex->label_count ? zone : NULL;
}

/* Takes the message to its zone's edit; returns its RCODE as far as the edit goes. */
static uint8_t edit_zone(struct updater *updater, struct item *item,
                         const struct update_permission *permission)
{
    struct group *group = item->group;
    uint8_t rcode = open_edit(group, &item->reason);
    if (rcode != KNOT_RCODE_NOERROR)
        return rcode;
    uint16_t author;
    if (find_author(group, item, &author) < 0)
        return fail(item, KNOT_RCODE_SERVFAIL, "out of memory");
    zone_edit_set_author(group->edit, author);

    struct update_outcome outcome;
    const struct job *job = item->job;
    if (update_apply(group->edit, group->zone->data, updater->reader, job->wire, job->size,
                     permission, &outcome) < 0)
        return fail(item, KNOT_RCODE_SERVFAIL, "out of memory");
    group->has_changed |= outcome.has_changed;
    group->has_own_serial |= outcome.has_own_serial;
    item->reason = outcome.reason;
    return outcome.rcode;
}

static uint8_t process(struct updater *updater, struct item *item)
{
    const struct updater_options *options = &updater->options;
    const struct job *job = item->job;
    item->reason = NULL;
    item->group = NULL;
    item->tsig.key_name = NULL;
    item->is_signed = false;
    if (job->tsig_offset != 0) {
        uint8_t rcode = tsig_server_check(options->keyring, job->wire, job->size, job->tsig_offset,
                                          updater->now, &item->tsig);
        item->is_signed = rcode == KNOT_RCODE_NOERROR || rcode == KNOT_RCODE_NOTAUTH;
        if (rcode != KNOT_RCODE_NOERROR)
            return rcode;
    }

    struct name apex;
    struct zone *zone = find_zone(updater, job, &apex);
    if (zone == NULL)
        return fail(item, KNOT_RCODE_NOTAUTH, "the zone is not served here");
    if (zone->role != ZONE_PRIMARY)
        return fail(item, KNOT_RCODE_REFUSED, "the zone's primary server is another one");
    struct update_permission permission;
    if (!options->permits(options->context, zone, &job->route.peer.any, item->tsig.key_name,
                          &permission))
        return fail(item, KNOT_RCODE_REFUSED, "this client may not update the zone");

    item->group = find_group(updater, zone);
    if (item->group == NULL)
        item->group = open_group(updater, zone);
    return edit_zone(updater, item, &permission);
}

/* ---- The commit ---- */

/* Makes the group's edit ready to be written. Returns 0 or a negative errno. */
static int prepare(struct group *group, int64_t at_us, struct commit *ret_commit)
{
    int rc = 0;
    if (!group->has_own_serial)
        rc = zone_edit_set_serial(group->edit, group->serial_from + 1);
    if (rc == 0)
        rc = zone_edit_prepare(group->edit);
    if (rc < 0)
        return rc;
    const struct change_list *changes = zone_edit_changes(group->edit);
    *ret_commit = (struct commit){
        .apex = group->zone->name.wire,
        .serial_from = group->serial_from,
        .serial_to = zone_edit_serial(group->edit),
        .at_us = at_us,
        .kind = COMMIT_UPDATE,
        .authors = (const char *const *)group->authors,
        .author_count = group->author_count,
        .changes = changes->octets,
        .changes_size = changes->size,
    };
    return 0;
}

/* Whatever the messages of the zone were told, nothing of it has come about. */
static void fail_group(struct updater *updater, const struct group *group, const char *reason)
{
    for (size_t i = 0; i < updater->item_count; i++) {
        struct item *item = &updater->items[i];
        if (item->group == group) {
            item->rcode = KNOT_RCODE_SERVFAIL;
            item->reason = reason;
        }
    }
}

static void commit(struct updater *updater)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const int64_t at_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;

    struct group *prepared[BATCH_MAX];
    size_t count_prepared = 0;
    for (size_t i = 0; i < updater->group_count; i++) {
        struct group *group = &updater->groups[i];
        if (!group->has_changed)
            continue;
        if (prepare(group, at_us, &updater->commits[count_prepared]) < 0) {
            fail_group(updater, group, "out of memory");
            continue;
        }
        prepared[count_prepared++] = group;
    }
    if (count_prepared == 0)
        return;

    struct error error;
    int rc = journal_write(updater->options.journal, updater->commits, count_prepared, &error);
    if (rc < 0) {
        count(&updater->counters.failures, 1);
        if (!updater->journal_fails)
            say(updater, LOG_ERR, "updates are refused: the journal cannot be written: %s",
                error.text);
        updater->journal_fails = true;
        for (size_t i = 0; i < count_prepared; i++)
            fail_group(updater, prepared[i], "the journal cannot be written");
        return;
    }
    if (updater->journal_fails)
        say(updater, LOG_NOTICE, "updates are taken again: the journal can be written");
    updater->journal_fails = false;

    count(&updater->counters.commits, 1);
    for (size_t i = 0; i < count_prepared; i++) {
        struct group *group = prepared[i];
        count(&updater->counters.changes, zone_edit_changes(group->edit)->count);
        zone_edit_commit(group->edit);
        updater->options.changed(updater->options.context, group->zone,
                                 zone_edit_changes(group->edit)->size);
    }
}

/* ---- Answers ---- */

/* Why an update was not made, for those who listen (RFC 8914). */
static size_t put_edns(const struct item *item, uint8_t *at)
{
    const size_t text_size = item->reason != NULL ? strnlen(item->reason, 128) : 0;
    at[0] = 0;
    knot_wire_write_u16(at + 1, KNOT_RRTYPE_OPT);
    knot_wire_write_u16(at + 3, 1232);
    knot_wire_write_u32(at + 5, 0);
    knot_wire_write_u16(at + 9, 0);
    if (item->reason == NULL)
        return 11;
    knot_wire_write_u16(at + 9, (uint16_t)(6 + text_size));
    knot_wire_write_u16(at + 11, KNOT_EDNS_OPTION_EDE);
    knot_wire_write_u16(at + 13, (uint16_t)(2 + text_size));
    knot_wire_write_u16(at + 15, item->rcode == KNOT_RCODE_REFUSED ? KNOT_EDNS_EDE_PROHIBITED
                                                                   : KNOT_EDNS_EDE_OTHER);
    memcpy(at + 17, item->reason, text_size);
    return 17 + text_size;
}

/* Writes the answer: header and zone section of the request, the RCODE. Returns its size. */
static size_t make_reply(struct updater *updater, struct item *item)
{
    const struct job *job = item->job;
    const size_t question = knot_dname_size(job->wire + MESSAGE_HEADER_SIZE) + 4;
    uint8_t *wire = item->reply;
    size_t size = MESSAGE_HEADER_SIZE + question;
    memcpy(wire, job->wire, size);
    knot_wire_write_u16(wire + 2, (uint16_t)(0x8000 | KNOT_OPCODE_UPDATE << 11 | item->rcode));
    knot_wire_write_u16(wire + 6, 0);
    knot_wire_write_u16(wire + 8, 0);
    knot_wire_write_u16(wire + 10, 0);
    if (job->has_edns) {
        size += put_edns(item, wire + size);
        knot_wire_set_arcount(wire, 1);
    }
    if (item->is_signed &&
        tsig_server_sign(&item->tsig, wire, &size, sizeof(item->reply), updater->now) < 0)
        return 0; /* unsigned it would not be believed */
    return size;
}

static void answer_all(struct updater *updater)
{
    size_t replies = 0;
    for (size_t i = 0; i < updater->item_count; i++) {
        struct item *item = &updater->items[i];
        count(&updater->counters.messages, 1);
        count(&updater->counters.rcodes[item->rcode & 15], 1);
        const size_t size = make_reply(updater, item);
        if (size > 0)
            updater->replies[replies++] =
                (struct reply){.route = &item->job->route, .wire = item->reply, .size = size};
    }
    updater->options.reply(updater->replies, replies);
    for (size_t i = 0; i < updater->item_count; i++) {
        struct job *job = updater->items[i].job;
        atomic_fetch_sub(&updater->waiting_octets, sizeof(*job) + job->size);
        atomic_fetch_sub(&updater->waiting, 1);
        free(job);
    }
    updater->item_count = 0;
}

/* ---- The thread ---- */

static void take_batch(struct updater *updater)
{
    while (updater->item_count < BATCH_MAX) {
        struct cds_wfcq_node *node = __cds_wfcq_dequeue_blocking(&updater->head, &updater->tail);
        if (node == NULL)
            return;
        updater->items[updater->item_count++].job = caa_container_of(node, struct job, node);
    }
}

static void do_batch(struct updater *updater)
{
    updater->now = time(NULL);
    updater->group_count = 0;
    pthread_mutex_lock(updater->options.writing);
    for (size_t i = 0; i < updater->item_count; i++)
        updater->items[i].rcode = process(updater, &updater->items[i]);
    commit(updater);
    for (size_t i = 0; i < updater->group_count; i++)
        close_group(&updater->groups[i]);
    pthread_mutex_unlock(updater->options.writing);
    answer_all(updater);
}

static void *run(void *context)
{
    struct updater *updater = context;
    pthread_setname_np(pthread_self(), "updates");
    for (;;) {
        const bool stops = atomic_load(&updater->stops);
        take_batch(updater);
        if (updater->item_count > 0) {
            do_batch(updater);
            continue;
        }
        if (stops)
            return NULL;
        uint64_t wakes;
        (void)!read(updater->wake_fd, &wakes, sizeof(wakes));
    }
}

int updater_start(const struct updater_options *options, struct updater **ret_updater,
                  struct error *ret_error)
{
    struct updater *updater = calloc(1, sizeof(*updater));
    if (updater == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    updater->options = *options;
    cds_wfcq_init(&updater->head, &updater->tail);
    updater->wake_fd = eventfd(0, EFD_CLOEXEC);
    updater->reader = record_reader_create();
    int rc = updater->wake_fd < 0 ? -errno : updater->reader == NULL ? -ENOMEM : 0;
    if (rc == 0)
        rc = -pthread_create(&updater->thread, NULL, run, updater);
    if (rc < 0) {
        if (updater->wake_fd >= 0)
            close(updater->wake_fd);
        record_reader_free(updater->reader);
        free(updater);
        return error_set(ret_error, rc, "cannot start the thread for updates: %s", strerror(-rc));
    }
    *ret_updater = updater;
    return 0;
}

void updater_stop(struct updater *updater)
{
    if (updater == NULL)
        return;
    const uint64_t one = 1;
    atomic_store(&updater->stops, true);
    (void)!write(updater->wake_fd, &one, sizeof(one));
    pthread_join(updater->thread, NULL);
    close(updater->wake_fd);
    cds_wfcq_destroy(&updater->head, &updater->tail);
    record_reader_free(updater->reader);
    free(updater);
}

void updater_counters(const struct updater *updater, struct updater_counters *ret_counters)
{
    const uint64_t *from = (const uint64_t *)&updater->counters;
    uint64_t *to = (uint64_t *)ret_counters;
    for (size_t i = 0; i < sizeof(*ret_counters) / sizeof(uint64_t); i++)
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    ret_counters->refused_full = atomic_load(&updater->refused_full);
    ret_counters->waiting = atomic_load(&updater->waiting);
}
