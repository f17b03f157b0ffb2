#include "sink/evidence.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "order/order.h"
#include "sink/evidence_internal.h"
#include "sink/evidence_item.h"

/* Of items in memory: some seconds of a busy order on a slow disk. */
#define QUEUE_OCTETS_MAX (16 * 1024 * 1024)

/* Some tenth of a second of sealing: no item waits longer for its sync. */
#define SYNC_ITEMS_MAX 1000

#define DAY_S 86400

/* Today; the day of the last look where the clock isn't to be believed. */
static int32_t day_to_sweep(const struct evidence *evidence)
{
    const time_t now = time(NULL);
    return calendar_is_sure(evidence->calendar, (int64_t)now * 1000000) ? (int32_t)(now / DAY_S)
                                                                        : evidence->swept_day;
}

/* ---- The thread ---- */

static void tell_full(struct evidence *evidence, int rc)
{
    if (!evidence->is_full)
        log_event(LOG_ERR, "%s: evidence is not kept: %s; %s", evidence->folder, strerror(-rc),
                  rc == -EDQUOT ? "the folder has as much as it may, see evidence.mib"
                                : "make room");
    evidence->is_full = true;
}

static void keep_item(struct evidence *evidence, const struct evidence_item *item)
{
    int rc = evidence_keep(evidence, item);
    atomic_fetch_add(rc < 0 ? &evidence->dropped : &evidence->kept, 1);
    if (rc < 0)
        tell_full(evidence, rc);
    else
        evidence->is_full = false;
}

/* Returns false when there was none. */
static bool keep_next(struct evidence *evidence)
{
    struct cds_wfcq_node *node = __cds_wfcq_dequeue_blocking(&evidence->head, &evidence->tail);
    if (node == NULL)
        return false;
    struct evidence_item *item = caa_container_of(node, struct evidence_item, node);
    keep_item(evidence, item);
    atomic_fetch_sub(&evidence->queued_octets, item->size);
    sodium_memzero(item->plain, item->size);
    free(item);
    return true;
}

/* Items and their sync; false: there are no more. */
static bool keep_some(struct evidence *evidence)
{
    unsigned count = 0;
    while (count < SYNC_ITEMS_MAX && keep_next(evidence))
        count++;
    int rc = evidence_sync(evidence);
    if (rc < 0)
        tell_full(evidence, rc);
    return count == SYNC_ITEMS_MAX;
}

static void wait_for_items(struct evidence *evidence)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60; /* retention goes on where nothing comes */
    while (sem_timedwait(&evidence->is_there, &until) < 0 && errno == EINTR)
        continue;
    while (sem_trywait(&evidence->is_there) == 0)
        continue; /* one look at the queue is for all that is there */
}

static void *run(void *context)
{
    struct evidence *evidence = context;
    for (bool is_ending = false; !is_ending;) {
        wait_for_items(evidence);
        is_ending = atomic_load(&evidence->is_ending); /* before the queue: what came is kept */
        while (keep_some(evidence))
            continue;
        const int32_t day = day_to_sweep(evidence);
        if (evidence->swept_day != day) {
            evidence->swept_day = day;
            evidence_sweep(evidence, day);
        }
    }
    return NULL;
}

/* ---- Taking ---- */

/* The clause of an order that is in force at the time. */
static struct evidence_clause *find_clause(const struct evidence *evidence,
                                           const struct sink_event *event)
{
    const int64_t at_s = event->at_us / 1000000;
    for (size_t i = 0; i < evidence->clause_count; i++) {
        struct evidence_clause *clause = &evidence->clauses[i];
        if (strcmp(clause->id, event->order) == 0 && at_s >= clause->starts && at_s < clause->ends)
            return clause;
    }
    return NULL;
}

static struct evidence_item *make_item(struct evidence_clause *clause,
                                       const struct sink_flight *flight,
                                       const struct sink_event *event)
{
    struct evidence_item *item = malloc(sizeof(*item) + evidence_plain_room(flight));
    if (item == NULL)
        return NULL;
    item->clause = clause;
    item->at_us = event->at_us;
    item->size = evidence_plain_write(flight, event, item->plain);
    return item;
}

void evidence_take(struct evidence *evidence, const struct sink_flight *flight,
                   const struct sink_event *event)
{
    struct evidence_clause *clause = find_clause(evidence, event);
    if (clause == NULL || flight->size == 0)
        return;
    struct evidence_item *item = NULL;
    if (atomic_load(&evidence->queued_octets) < QUEUE_OCTETS_MAX)
        item = make_item(clause, flight, event);
    if (item == NULL) {
        atomic_fetch_add(&evidence->dropped, 1);
        return;
    }
    atomic_fetch_add(&evidence->queued_octets, item->size);
    cds_wfcq_node_init(&item->node);
    cds_wfcq_enqueue(&evidence->head, &evidence->tail, &item->node);
    (void)sem_post(&evidence->is_there); /* its count may be at its end: the thread is awake then */
}

void evidence_figures(const struct evidence *evidence, struct evidence_figures *ret_figures)
{
    *ret_figures = (struct evidence_figures){
        .kept = atomic_load(&evidence->kept),
        .dropped = atomic_load(&evidence->dropped),
        .octets = atomic_load(&evidence->octets),
    };
}

/* ---- Opening and closing ---- */

static int add_clause(struct evidence *evidence, const char *path, struct error *ret_error)
{
    /* Who signs whom is tamisd's to judge; here the operator's own files are read. */
    static const struct order_policy unverified = {.unverified = true};
    _cleanup_(order_freep) struct order *order = NULL;
    int rc = order_load(path, &unverified, &order, ret_error);
    if (rc < 0 || !order->evidence.content)
        return rc;
    struct evidence_clause *clause = &evidence->clauses[evidence->clause_count++];
    *clause =
        (struct evidence_clause){.starts = order->starts, .ends = order->ends, .kept.file = -1};
    (void)snprintf(clause->id, sizeof(clause->id), "%s", order->id);
    memcpy(clause->seal_to, order->evidence.seal_to, sizeof(clause->seal_to));
    return 0;
}

static int load_clauses(struct evidence *evidence, const struct evidence_options *options,
                        struct error *ret_error)
{
    int rc = 0;
    evidence->clauses = calloc(options->order_count + 1, sizeof(*evidence->clauses));
    if (evidence->clauses == NULL)
        return error_set(ret_error, -ENOMEM, "no memory for evidence");
    for (size_t i = 0; rc == 0 && i < options->order_count; i++)
        rc = add_clause(evidence, options->orders[i], ret_error);
    return rc;
}

static int take_folder(struct evidence *evidence, struct error *ret_error)
{
    if (mkdir(evidence->folder, 0700) < 0 && errno != EEXIST)
        return error_set_at(ret_error, -errno, evidence->folder, 0, "cannot be made: %s",
                            strerror(errno));
    /* Each writes behind what it knows of: two would write over each other. */
    evidence->lock = open(evidence->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (evidence->lock < 0)
        return error_set_at(ret_error, -errno, evidence->folder, 0, "cannot be opened: %s",
                            strerror(errno));
    if (flock(evidence->lock, LOCK_EX | LOCK_NB) < 0)
        return error_set_at(ret_error, -EBUSY, evidence->folder, 0,
                            "another process keeps evidence there; end it, or give each a state "
                            "of its own");
    return 0;
}

static int start(struct evidence *evidence, struct error *ret_error)
{
    evidence->swept_day = INT32_MIN;
    evidence->swept_day = day_to_sweep(evidence);
    evidence_sweep(evidence, evidence->swept_day);
    int rc = -pthread_create(&evidence->thread, NULL, run, evidence);
    if (rc < 0)
        return error_set(ret_error, rc, "cannot start a thread: %s", strerror(-rc));
    evidence->has_thread = true;
    return 0;
}

/* Where no order has the clause, what earlier ones left still ends in its time; else there is
 * nothing to do, and no folder. */
static bool is_needed(const struct evidence *evidence)
{
    struct stat status;
    return evidence->clause_count > 0 || stat(evidence->folder, &status) == 0;
}

int evidence_open(const struct evidence_options *options, struct evidence **ret_evidence,
                  struct error *ret_error)
{
    struct evidence *evidence = calloc(1, sizeof(*evidence));
    if (evidence == NULL || sodium_init() < 0 || sem_init(&evidence->is_there, 0, 0) < 0) {
        free(evidence);
        return error_set(ret_error, -ENOMEM, "no memory for evidence");
    }
    cds_wfcq_init(&evidence->head, &evidence->tail);
    evidence->lock = -1;
    evidence->octets_max = options->octets_max;
    evidence->keep_days = options->keep_days;
    evidence->calendar = options->calendar;
    evidence->folder = strdup(options->folder);
    evidence->sealed = malloc(evidence_item_room(EVIDENCE_PLAIN_MAX));
    int rc = evidence->folder == NULL || evidence->sealed == NULL
                 ? error_set(ret_error, -ENOMEM, "no memory for evidence")
                 : load_clauses(evidence, options, ret_error);
    if (rc == 0 && is_needed(evidence)) {
        rc = take_folder(evidence, ret_error);
        if (rc == 0)
            rc = start(evidence, ret_error);
    }
    if (rc < 0) {
        evidence_close(evidence);
        return rc;
    }
    *ret_evidence = evidence;
    return 0;
}

void evidence_close(struct evidence *evidence)
{
    if (evidence == NULL)
        return;
    if (evidence->has_thread) {
        atomic_store(&evidence->is_ending, true);
        (void)sem_post(&evidence->is_there);
        pthread_join(evidence->thread, NULL);
    }
    evidence_close_files(evidence);
    if (evidence->lock >= 0)
        close(evidence->lock);
    sem_destroy(&evidence->is_there);
    free(evidence->clauses);
    free(evidence->sealed);
    free(evidence->folder);
    free(evidence);
}
