#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "order/order_save.h"
#include "order/order_scope.h"
#include "order/signature.h"
#include "order/timestamp.h"
#include "server/order_book_internal.h"

/* ---- Reading an order ---- */

static bool is_lifted(const struct order_book *book, const char *id)
{
    char path[PATH_MAX];
    order_book_lifted_path(book, id, path);
    return access(path, F_OK) == 0;
}

static void forget_lift(const struct order_book *book, const char *id)
{
    char path[PATH_MAX];
    order_book_lifted_path(book, id, path);
    (void)unlink(path); /* most orders were never lifted */
}

/* The configuration's order has got an end that has passed. */
static void end_now(struct order_book *book, const char *id)
{
    pthread_mutex_lock(book->control);
    struct order_entry *entry = order_book_find(book, id);
    if (entry != NULL && entry->from_config && order_book_publish_without(book, entry) == 0)
        order_book_remove(book, entry);
    pthread_mutex_unlock(book->control);
}

static int lifted_error(const struct order *order, struct error *ret_error)
{
    return error_set_at(ret_error, -ECANCELED, order->path, 0,
                        "order %s was lifted: \"tamis ctl activate\" brings it back", order->id);
}

/* Whether an order that is in force may give way to one from a zone: when it is that zone's. */
static bool gives_way(const struct order_entry *entry, const struct order *order)
{
    return entry == NULL || entry->ended ||
           (entry->from_zone && strcmp(order_entry_order(entry)->path, order->path) == 0);
}

static int ended_error(const struct order *order, struct error *ret_error)
{
    char ends[TIMESTAMP_SIZE];
    return error_set_at(ret_error, -ETIME, order->path, 0,
                        "order %s ended at %s: there is nothing to activate", order->id,
                        timestamp_write(order->ends, ends));
}

/* Loads an order and says what would refuse it whole. */
static int load(struct order_book *book, const char *path, bool strict, enum order_source source,
                struct order **ret_order, struct error *ret_error)
{
    _cleanup_(order_freep) struct order *order = NULL;
    pthread_mutex_lock(&book->loading);
    struct order_policy policy = book->policy;
    policy.strict = strict;
    int rc = order_load(path, &policy, &order, ret_error);
    pthread_mutex_unlock(&book->loading);
    if (rc < 0)
        return rc;

    if (order->ends <= time(NULL)) {
        if (source == ORDER_FROM_CONFIG)
            end_now(book, order->id);
        return ended_error(order, ret_error);
    }
    if (source != ORDER_FROM_COMMAND && is_lifted(book, order->id))
        return lifted_error(order, ret_error);
    *ret_order = TAKE(order);
    return 0;
}

/* ---- Putting it in force ---- */

/* Whether an order says what one in force says already: then that one goes on, with its counters.
 */
static bool goes_on(struct order_book *book, const struct order *order, enum order_source source,
                    const struct timespec *start, struct order_result *ret_result)
{
    pthread_mutex_lock(book->control);
    const struct order_entry *present = order_book_find(book, order->id);
    struct active_order *active =
        present != NULL && !present->ended ? active_order_ref(present->active) : NULL;
    pthread_mutex_unlock(book->control);
    if (active == NULL)
        return false;

    bool same = active_order_is(active, order) > 0;
    char *config_path = NULL;
    if (same && source == ORDER_FROM_CONFIG)
        same = (config_path = strdup(order->path)) != NULL;
    if (same) {
        pthread_mutex_lock(book->control);
        struct order_entry *entry = order_book_find(book, order->id);
        same = entry != NULL && entry->active == active; /* not lifted meanwhile */
        if (same) {
            if (source == ORDER_FROM_CONFIG) {
                free(entry->config_path);
                entry->config_path = TAKE(config_path); /* the file may have got another name */
                entry->from_config = true;
            }
            order_result_fill(ret_result, active, entry->refused, start);
            ret_result->unchanged = true;
        }
        pthread_mutex_unlock(book->control);
    }
    free(config_path);
    active_order_unref(active);
    return same;
}

/* The configuration's file holds another order now: the one that it held before is not named any
 * more. The control lock is held. */
static void forget_path(struct order_book *book, const char *path)
{
    for (size_t i = 0; i < book->count; i++) {
        struct order_entry *entry = &book->entries[i];
        if (entry->config_path != NULL && strcmp(entry->config_path, path) == 0) {
            free(entry->config_path);
            entry->config_path = NULL;
        }
    }
}

static int grow(struct order_book *book)
{
    if (book->count < book->room)
        return 0;
    size_t room = book->room == 0 ? 16 : book->room * 2;
    struct order_entry *entries = reallocarray(book->entries, room, sizeof(*entries));
    if (entries == NULL)
        return -ENOMEM;
    book->entries = entries;
    book->room = room;
    return 0;
}

/* Publishes an order whose names are marked and lists it, in the place of the one of that id. The
 * control lock is held. On success the order's reference and `*config_path` are the book's. */
static int put_in_force(struct order_book *book, struct active_order *active,
                        enum order_source source, char **config_path, uint64_t refused,
                        const struct order_saving *saving, bool *ret_replaced,
                        struct error *ret_error)
{
    const struct order *order = active_order_get(active);
    /* Again, since a lift does not wait for an activation; under its lock it is certain. */
    if (source != ORDER_FROM_COMMAND && is_lifted(book, order->id))
        return lifted_error(order, ret_error);

    if (source == ORDER_FROM_ZONE && !gives_way(order_book_find(book, order->id), order))
        return error_set_at(
            ret_error, -EEXIST, order->path, 0,
            "order %s is in force from elsewhere, and stays: give the zone's another "
            "id, or lift it before the zone changes next",
            order->id);
    if (order_book_find(book, order->id) == NULL && book->count >= ORDERS_MAX)
        return error_set(ret_error, -ENOSPC, "%u orders are active: lift one first", ORDERS_MAX);
    if (grow(book) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory: nothing has changed");
    struct order_entry *entry = order_book_find(book, order->id); /* growing moves entries */
    struct overlay_set *set;
    if (order_book_overlay(book, active, entry, &set) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory: nothing has changed");
    if (source == ORDER_FROM_COMMAND) {
        forget_lift(book, order->id); /* first: order_save_finish() makes it durable, too */
        int rc = order_save_finish(saving, book->directory, ret_error);
        if (rc < 0) {
            overlay_set_free(set);
            return rc;
        }
    }
    order_book_publish(book, set);

    *ret_replaced = entry != NULL;
    if (entry == NULL) {
        entry = &book->entries[book->count++];
    } else {
        order_book_put_away(book, entry->active);
        free(entry->config_path);
    }
    *entry = (struct order_entry){
        .active = active,
        .from_config = source == ORDER_FROM_CONFIG,
        .from_zone = source == ORDER_FROM_ZONE,
        .activated_at = time(NULL),
        .marked = active_order_entries(active) - refused,
        .refused = refused,
    };
    if (source == ORDER_FROM_CONFIG) {
        forget_path(book, *config_path);
        entry->config_path = TAKE(*config_path);
    }
    return 0;
}

/* What needs the order alone: to keep it and to index its names. It is done beside the marking,
 * which takes as long. */
struct making {
    struct order *order;
    const char *directory; /* NULL: the order is not kept */
    unsigned workers;
    pthread_t thread;
    bool has_thread;

    struct order_saving saving;
    struct active_order *active; /* NULL: it failed, and the order is nobody's */
    struct error error;
    int rc;
};

static void *make(void *context)
{
    struct making *making = context;
    making->rc = making->directory == NULL ? 0
                                           : order_save_prepare(making->order, making->directory,
                                                                &making->saving, &making->error);
    if (making->rc < 0)
        return NULL;
    making->rc = active_order_create(making->order, making->workers, &making->active);
    if (making->rc == 0)
        return NULL;
    if (making->directory != NULL)
        order_save_cancel(&making->saving, making->directory);
    making->rc = error_set(&making->error, making->rc, "out of memory: nothing has changed");
    return NULL;
}

static void making_begin(struct making *making)
{
    making->has_thread = pthread_create(&making->thread, NULL, make, making) == 0;
}

/* Where no thread could be started, this one does all of it. */
static int making_end(struct making *making)
{
    if (making->has_thread)
        pthread_join(making->thread, NULL);
    else
        (void)make(making);
    return making->rc;
}

/* Forgets what was made; the order goes with it. */
static void making_cancel(struct making *making)
{
    active_order_unref(making->active);
    if (making->directory != NULL)
        order_save_cancel(&making->saving, making->directory);
}

/* Marks the names of an order in the zones, which hold still. */
static int mark(const struct order_book *book, struct order *order, bool strict,
                uint64_t *ret_refused, struct error *ret_error)
{
    struct order_scope scope;
    int rc = order_scope_check(book->view->zones, order, !strict, &scope);
    bool refuses = rc == 0 && strict && scope.refused > 0;
    if (rc == 0 && !refuses)
        rc = order_scope_mark(&scope, order);
    *ret_refused = scope.refused;
    order_scope_clear(&scope);
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory: nothing has changed");
    if (!refuses)
        return 0;
    char text[400];
    return error_set_at(
        ret_error, -EINVAL, order->path, 0, "refused as strict was asked for: %s",
        order_finding_format(&order->findings[order->finding_count - 1], text, sizeof(text)));
}

/* The long part of an activation, under the marks lock alone: answers, lifts and all else go on.
 * Takes the order over. */
static int prepare(struct order_book *book, struct order *loaded, bool strict,
                   enum order_source source, struct active_order **ret_active,
                   uint64_t *ret_refused, struct order_saving *ret_saving, struct error *ret_error)
{
    _cleanup_(order_freep) struct order *order = loaded;
    struct making making = {
        .order = order,
        .directory = source == ORDER_FROM_COMMAND ? book->directory : NULL,
        .workers = book->workers,
    };

    making_begin(&making);
    int rc = mark(book, order, strict, ret_refused, ret_error);
    int made = making_end(&making);
    if (made < 0) {
        if (rc == 0)
            *ret_error = making.error;
        return rc < 0 ? rc : made;
    }
    order = NULL; /* the active order's */
    if (rc < 0) {
        making_cancel(&making);
        return rc;
    }
    active_order_drop_list(making.active);
    *ret_active = making.active;
    *ret_saving = making.saving;
    return 0;
}

/* Activates a loaded order, which it takes over. The marks lock is held. */
static int activate(struct order_book *book, struct order *loaded, bool strict,
                    enum order_source source, const struct timespec *start,
                    struct order_result *ret_result, struct error *ret_error)
{
    _cleanup_(order_freep) struct order *order = loaded;
    if (goes_on(book, order, source, start, ret_result))
        return 0;

    char *config_path = source == ORDER_FROM_CONFIG ? strdup(order->path) : NULL;
    if (source == ORDER_FROM_CONFIG && config_path == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory: nothing has changed");
    struct active_order *active = NULL;
    uint64_t refused = 0;
    bool replaced = false;
    struct order_saving saving;
    int rc = prepare(book, TAKE(order), strict, source, &active, &refused, &saving, ret_error);
    if (rc == 0) {
        pthread_mutex_lock(book->control);
        rc = put_in_force(book, active, source, &config_path, refused, &saving, &replaced,
                          ret_error);
        if (rc == 0) {
            order_result_fill(ret_result, active, refused, start);
            ret_result->replaced = replaced;
        } else {
            if (source == ORDER_FROM_COMMAND)
                order_save_cancel(&saving, book->directory);
            order_book_put_away(book, active);
        }
        pthread_mutex_unlock(book->control);
    }
    free(config_path);
    return rc;
}

int order_book_activate(struct order_book *book, const char *path, bool strict,
                        enum order_source source, struct order_result *ret_result,
                        struct error *ret_error)
{
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);

    struct order *order = NULL;
    int rc = load(book, path, strict, source, &order, ret_error);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&book->marks);
    rc = activate(book, order, strict, source, &start, ret_result, ret_error);
    pthread_mutex_unlock(&book->marks);
    /* What the list took while it was read and sorted goes back to the system. */
    (void)malloc_trim(0);
    return rc;
}

int order_book_activate_read(struct order_book *book, struct order *order,
                             struct order_result *ret_result, struct error *ret_error)
{
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);

    pthread_mutex_lock(&book->loading);
    int rc = signature_check(order, &book->policy, ret_error);
    pthread_mutex_unlock(&book->loading);
    if (rc == 0 && order->ends <= time(NULL))
        rc = ended_error(order, ret_error);
    if (rc == 0 && is_lifted(book, order->id))
        rc = lifted_error(order, ret_error);
    if (rc < 0) {
        order_free(order);
        return rc;
    }
    pthread_mutex_lock(&book->marks);
    rc = activate(book, order, false, ORDER_FROM_ZONE, &start, ret_result, ret_error);
    pthread_mutex_unlock(&book->marks);
    return rc;
}

void order_book_restore(struct order_book *book, void (*report)(const struct error *error))
{
    DIR *folder = opendir(book->directory);
    if (folder == NULL)
        return;
    for (const struct dirent *file = readdir(folder); file != NULL; file = readdir(folder)) {
        size_t size = strlen(file->d_name);
        if (size <= 5 || strcmp(file->d_name + size - 5, ".yaml") != 0)
            continue;
        char path[PATH_MAX], id[64];
        if (snprintf(path, sizeof(path), "%s/%s", book->directory, file->d_name) >=
            (int)sizeof(path))
            continue;
        snprintf(id, sizeof(id), "%.*s", (int)(size - 5), file->d_name);
        pthread_mutex_lock(book->control);
        bool is_named = order_book_find(book, id) != NULL;
        pthread_mutex_unlock(book->control);
        if (is_named)
            continue; /* the configuration names it, too, and goes first */

        struct order_result result;
        struct error error;
        if (order_book_activate(book, path, false, ORDER_FROM_STATE, &result, &error) < 0)
            report(&error);
        else
            order_result_clear(&result);
    }
    closedir(folder);
}
