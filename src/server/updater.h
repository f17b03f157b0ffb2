/* Takes UPDATE messages from the workers to the zones: one thread, many messages a commit.
 *
 * What arrives while one batch is made durable is the next batch: under load hundreds of updates
 * share one write to the journal, a lone update waits for nobody. Clients hear of success after
 * their change is durable and visible, in this order: journal, publication, answer. The serial
 * advances once a commit.
 *
 * Locks: a batch holds `writing` from before it looks at zones to after its publication, so who
 * takes zones away holds that, too; and the `writer` of each zone that it changes.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "server/reply.h"
#include "server/responder.h"
#include "zone/journal.h"
#include "zone/tsig_server.h"
#include "zone/update.h"
#include "zone/zone.h"

struct updater;

struct updater_options {
    const struct responder_view *view;
    struct journal *journal;
    const struct tsig_keyring *keyring;
    pthread_mutex_t *writing;

    /* Whether the client, with the TSIG key `key_name` (NULL: unsigned), may update the zone at
     * all, and what of it: fills the permission, which lives as long as `writing` is held. */
    bool (*permits)(void *context, const struct zone *zone, const struct sockaddr *client,
                    const char *key_name, struct update_permission *ret_permission);
    /* The zone has a new serial, and the journal so many octets more of it. Called with its
     * `writer` held; returns at once. */
    void (*changed)(void *context, struct zone *zone, size_t octets);
    void (*reply)(const struct reply *replies, size_t count); /* reply_send() */
    void (*log)(void *context, int level, const char *text);
    void *context;
};

/* The options are copied; what they point to outlives the updater. */
_must_check_ int updater_start(const struct updater_options *options, struct updater **ret_updater,
                               struct error *ret_error);

/* Does what was submitted, answers it, and frees. NULL is fine. */
void updater_stop(struct updater *updater);

/* A request with opcode UPDATE and a readable zone section. `tsig_offset` 0: unsigned. Any worker;
 * never waits. Returns false when too much waits already: the request is not taken. */
bool updater_submit(struct updater *updater, const struct reply_route *route,
                    const uint8_t *request, size_t size, size_t tsig_offset, bool has_edns);

struct updater_counters {
    uint64_t messages, rcodes[16]; /* answered, by RCODE */
    uint64_t commits;              /* transactions of the journal, of one zone or many */
    uint64_t failures;             /* transactions that failed */
    uint64_t changes;              /* record sets changed */
    uint64_t refused_full;         /* not taken by updater_submit() */
    uint64_t waiting;              /* submitted and not answered */
};
void updater_counters(const struct updater *updater, struct updater_counters *ret_counters);
