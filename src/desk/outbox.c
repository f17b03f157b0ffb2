#include "desk/outbox.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "desk/desk.h"
#include "desk/part.h"

/* How often the table is looked at when nobody says that there is something. */
#define LOOK_EVERY_S 5

/* Rows that one look takes. */
#define BATCH_MAX 100

/* One kind's own thread: an MTA that takes minutes to answer holds up no DNS update. */
struct lane {
    struct outbox *outbox;
    const struct outbox_kind *kind;
    struct store *store;
    pthread_t thread;
    bool is_running, woken;
};

struct outbox {
    struct desk *desk;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool ending;
    size_t lane_count;
    struct lane lanes[];
};

int outbox_put(struct store *store, int64_t now_ms, const char *kind, const json_t *payload,
               int64_t due_s, char ret_id[static ID_SIZE], struct error *ret_error)
{
    char id[ID_SIZE];
    assert(store_in_transaction(store));
    char *text = json_dumps(payload, JSON_COMPACT);
    if (text == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for what is to be sent");
    id_make(ID_OUTBOX, now_ms, id);
    int rc = store_change(store, NULL, ret_error,
                          "INSERT INTO outbox (id, kind, payload, state, due_at, attempts, "
                          "created_at) VALUES ($1, $2, $3, 'waiting', $4, 0, $5)",
                          store_text(id), store_text(kind), store_text(text), store_integer(due_s),
                          store_integer(now_ms / 1000));
    free(text);
    if (rc == 0)
        memcpy(ret_id, id, sizeof(id));
    return rc;
}

void outbox_wake(struct desk *desk)
{
    struct outbox *outbox = desk->outbox;
    if (outbox == NULL)
        return;
    pthread_mutex_lock(&outbox->lock);
    for (size_t i = 0; i < outbox->lane_count; i++)
        outbox->lanes[i].woken = true;
    pthread_cond_broadcast(&outbox->wake);
    pthread_mutex_unlock(&outbox->lock);
}

/* Doubles with every attempt, up to the kind's longest. */
static int64_t wait_of(const struct outbox_kind *kind, unsigned attempt)
{
    int64_t wait_s = kind->retry_first_s;
    for (unsigned i = 1; i < attempt && wait_s < kind->retry_max_s; i++)
        wait_s *= 2;
    return wait_s < kind->retry_max_s ? wait_s : kind->retry_max_s;
}

static int done_note(struct store *store, const struct outbox_item *item, struct error *ret_error)
{
    return store_change(store, NULL, ret_error, "DELETE FROM outbox WHERE id = $1",
                        store_text(item->id));
}

static int failure_note(struct lane *lane, const struct outbox_item *item, int code,
                        const struct error *why, struct error *ret_error)
{
    const struct outbox_kind *kind = lane->kind;
    int64_t now_s = clock_now_s(lane->outbox->desk->clock);
    bool gives_up =
        code == -ECANCELED || (kind->give_up_s > 0 && now_s - item->created_at >= kind->give_up_s);
    if (gives_up)
        log_event(LOG_ERR, "outbox: %s %s is given up after %u attempts: %s", kind->name, item->id,
                  item->attempt, why->text);
    return store_change(lane->store, NULL, ret_error,
                        "UPDATE outbox SET state = $1, due_at = $2, attempts = $3, last_error = $4 "
                        "WHERE id = $5",
                        store_text(gives_up ? "failed" : "waiting"),
                        store_integer(now_s + wait_of(kind, item->attempt)),
                        store_integer(item->attempt), store_text(why->text), store_text(item->id));
}

static int deliver(struct lane *lane, const struct store_rows *rows, size_t row,
                   struct error *ret_error)
{
    struct error why = {.text = "no reason given"};

    json_t *payload = json_loads(store_row_text(rows, row, 1), 0, NULL);
    struct outbox_item item = {
        .id = store_row_text(rows, row, 0),
        .payload = payload,
        .attempt = (unsigned)store_row_integer(rows, row, 2) + 1,
        .created_at = store_row_integer(rows, row, 3),
    };
    int rc = payload != NULL ? lane->kind->deliver(lane->outbox->desk, lane->store, &item, &why)
                             : -ECANCELED;
    rc = rc == 0 ? done_note(lane->store, &item, ret_error)
                 : failure_note(lane, &item, rc, &why, ret_error);
    json_decref(payload);
    return rc;
}

static bool is_ending(struct outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    bool ending = outbox->ending;
    pthread_mutex_unlock(&outbox->lock);
    return ending;
}

bool outbox_is_ending(const struct desk *desk)
{
    return desk->outbox != NULL && is_ending(desk->outbox);
}

/* Delivers what is due. Returns whether there may be more. */
static bool round_run(struct lane *lane)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct error error;

    int rc = store_query(lane->store, &rows, &error,
                         "SELECT id, payload, attempts, created_at FROM outbox WHERE "
                         "state = 'waiting' AND kind = $1 AND due_at <= $2 ORDER BY due_at, id "
                         "LIMIT $3",
                         store_text(lane->kind->name),
                         store_integer(clock_now_s(lane->outbox->desk->clock)),
                         store_integer(BATCH_MAX));
    size_t count = rc < 0 ? 0 : store_rows_count(rows);
    for (size_t i = 0; i < count && rc == 0 && !is_ending(lane->outbox); i++)
        rc = deliver(lane, rows, i, &error);
    if (rc < 0)
        log_event(LOG_WARNING, "outbox of %s: %s", lane->kind->name, error.text);
    return rc == 0 && count == BATCH_MAX;
}

static void lane_wait(struct lane *lane)
{
    struct outbox *outbox = lane->outbox;
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LOOK_EVERY_S;
    pthread_mutex_lock(&outbox->lock);
    while (!lane->woken && !outbox->ending &&
           pthread_cond_timedwait(&outbox->wake, &outbox->lock, &until) == 0)
        ;
    lane->woken = false;
    pthread_mutex_unlock(&outbox->lock);
}

static void *lane_run(void *context)
{
    struct lane *lane = context;
    bool has_more = true;

    while (!is_ending(lane->outbox)) {
        if (!has_more)
            lane_wait(lane);
        has_more = round_run(lane);
    }
    return NULL;
}

static int lane_start(struct lane *lane, struct error *ret_error)
{
    int rc = desk_store_open(lane->outbox->desk, &lane->store, ret_error);
    if (rc < 0)
        return rc;
    rc = pthread_create(&lane->thread, NULL, lane_run, lane);
    if (rc != 0)
        return error_set(ret_error, -rc, "no thread for the outbox");
    lane->is_running = true;
    return 0;
}

static struct outbox *outbox_make(struct desk *desk)
{
    size_t count = 0;
    for (size_t i = 0; i < desk_part_count; i++)
        count += desk_parts[i]->outbox_kind_count;
    struct outbox *outbox = calloc(1, sizeof(*outbox) + count * sizeof(struct lane));
    if (outbox == NULL)
        return NULL;
    outbox->desk = desk;
    for (size_t i = 0; i < desk_part_count; i++)
        for (size_t j = 0; j < desk_parts[i]->outbox_kind_count; j++)
            outbox->lanes[outbox->lane_count++] =
                (struct lane){.outbox = outbox, .kind = &desk_parts[i]->outbox_kinds[j]};
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&outbox->lock, NULL);
    pthread_cond_init(&outbox->wake, &clock);
    pthread_condattr_destroy(&clock);
    return outbox;
}

int outbox_start(struct desk *desk, struct outbox **ret_outbox, struct error *ret_error)
{
    struct outbox *outbox = outbox_make(desk);
    if (outbox == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory while starting the outbox");
    *ret_outbox = outbox; /* before the threads, which ask outbox_is_ending() */
    int rc = 0;
    for (size_t i = 0; i < outbox->lane_count && rc == 0; i++)
        rc = lane_start(&outbox->lanes[i], ret_error);
    if (rc < 0) {
        outbox_stop(outbox);
        *ret_outbox = NULL;
    }
    return rc;
}

void outbox_stop(struct outbox *outbox)
{
    if (outbox == NULL)
        return;
    pthread_mutex_lock(&outbox->lock);
    outbox->ending = true;
    pthread_cond_broadcast(&outbox->wake);
    pthread_mutex_unlock(&outbox->lock);
    for (size_t i = 0; i < outbox->lane_count; i++) {
        if (outbox->lanes[i].is_running)
            pthread_join(outbox->lanes[i].thread, NULL);
        store_close(outbox->lanes[i].store);
    }
    pthread_mutex_destroy(&outbox->lock);
    pthread_cond_destroy(&outbox->wake);
    free(outbox);
}
