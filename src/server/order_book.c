#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/rcu.h"
#include "order/order_save.h"
#include "order/order_scope.h"
#include "server/order_book_internal.h"
#include "server/order_marks.h"

static double milliseconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) * 1e3 +
           (double)(now.tv_nsec - start->tv_nsec) / 1e6;
}

static void entry_clear(struct order_entry *entry)
{
    active_order_unref(entry->active);
    free(entry->config_path);
}

void order_result_fill(struct order_result *result, struct active_order *active, uint64_t refused,
                       const struct timespec *start)
{
    *result = (struct order_result){
        .active = active_order_ref(active),
        .names = active_order_names(active)->count,
        .marked = active_order_entries(active) - refused,
        .refused = refused,
        .took_ms = milliseconds_since(start),
    };
}

void order_result_clear(struct order_result *result)
{
    if (result->active != NULL)
        active_order_unref(result->active);
    result->active = NULL;
}

const struct order *order_result_order(const struct order_result *result)
{
    return active_order_get(result->active);
}

int order_book_create(struct responder_view *view, pthread_mutex_t *control, const char *directory,
                      unsigned workers, const struct order_policy *policy,
                      struct order_book **ret_book, struct error *ret_error)
{
    if (mkdir(directory, 0750) < 0 && errno != EEXIST)
        return error_set_at(ret_error, -errno, directory, 0, "cannot make the folder: %s",
                            strerror(errno));
    struct order_book *book = calloc(1, sizeof(*book));
    if (book == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    book->view = view;
    book->control = control;
    pthread_mutex_init(&book->marks, NULL);
    pthread_mutex_init(&book->loading, NULL);
    book->workers = workers;
    book->policy = *policy;
    book->directory = strdup(directory);
    if (book->directory == NULL) {
        pthread_mutex_destroy(&book->marks);
        pthread_mutex_destroy(&book->loading);
        free(book);
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    *ret_book = book;
    return 0;
}

void order_book_free(struct order_book *book)
{
    if (book == NULL)
        return;
    struct overlay_set *set = book->view->orders;
    rcu_assign_pointer(book->view->orders, NULL);
    synchronize_rcu();
    overlay_set_free(set);
    for (size_t i = 0; i < book->count; i++)
        entry_clear(&book->entries[i]);
    for (size_t i = 0; i < book->gone_count; i++)
        active_order_unref(book->gone[i]);
    pthread_mutex_destroy(&book->marks);
    pthread_mutex_destroy(&book->loading);
    free(book->entries);
    free(book->gone);
    free(book->directory);
    free(book);
}

void order_book_set_policy(struct order_book *book, const struct order_policy *policy)
{
    pthread_mutex_lock(&book->loading);
    book->policy = *policy;
    pthread_mutex_unlock(&book->loading);
}

size_t order_book_count(const struct order_book *book)
{
    return book->count;
}

const struct order_entry *order_book_at(const struct order_book *book, size_t index)
{
    return &book->entries[index];
}

struct order_entry *order_book_find(const struct order_book *book, const char *id)
{
    for (size_t i = 0; i < book->count; i++) {
        if (strcmp(order_entry_order(&book->entries[i])->id, id) == 0)
            return &book->entries[i];
    }
    return NULL;
}

int order_book_snapshot(struct order_book *book, struct order_entry **ret_entries,
                        size_t *ret_count)
{
    pthread_mutex_lock(book->control);
    struct order_entry *entries = calloc(book->count + 1, sizeof(*entries));
    size_t count = book->count;
    for (size_t i = 0; i < count && entries != NULL; i++) {
        entries[i] = book->entries[i];
        entries[i].config_path = NULL;
        (void)active_order_ref(entries[i].active);
    }
    pthread_mutex_unlock(book->control);
    if (entries == NULL)
        return -ENOMEM;
    *ret_entries = entries;
    *ret_count = count;
    return 0;
}

void order_entries_free(struct order_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        entry_clear(&entries[i]);
    free(entries);
}

/* ---- Marks ---- */

void order_book_marks_lock(struct order_book *book)
{
    pthread_mutex_lock(&book->marks);
}

void order_book_marks_unlock(struct order_book *book)
{
    pthread_mutex_unlock(&book->marks);
}

int order_book_mark(struct order_book *book, const struct zone_set *zones, struct zone_data *data)
{
    struct order_entry *entries;
    size_t count;
    /* No order joins these while the marks lock is held; what is lifted meanwhile leaves marks. */
    int rc = order_book_snapshot(book, &entries, &count);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < count && rc == 0; i++) {
        if (!entries[i].ended)
            rc = order_marks_set_in(zones, entries[i].active, data);
    }
    order_entries_free(entries, count);
    return rc;
}

void order_book_recount(struct order_book *book)
{
    struct order_entry *entries;
    size_t count;
    if (order_book_snapshot(book, &entries, &count) < 0)
        return; /* the numbers stay those of the activation */
    for (size_t i = 0; i < count; i++) {
        const struct active_order *active = entries[i].active;
        uint64_t refused = order_scope_refused(book->view->zones, active);
        pthread_mutex_lock(book->control);
        struct order_entry *entry = order_book_find(book, active_order_get(active)->id);
        if (entry != NULL && entry->active == active) {
            entry->refused = refused;
            entry->marked = active_order_entries(active) - refused;
        }
        pthread_mutex_unlock(book->control);
    }
    order_entries_free(entries, count);
}

void order_book_put_away(struct order_book *book, struct active_order *active)
{
    if (book->gone_count == book->gone_room) {
        size_t room = book->gone_room == 0 ? 16 : book->gone_room * 2;
        struct active_order **gone = reallocarray(book->gone, room, sizeof(*gone));
        if (gone == NULL) {
            active_order_unref(active); /* marks that stay cost a lookup and say nothing */
            return;
        }
        book->gone = gone;
        book->gone_room = room;
    }
    book->gone[book->gone_count++] = active;
}

/* Clears the marks of orders that are in force no more: their names cost nothing again. */
static void clear_marks(struct order_book *book)
{
    pthread_mutex_lock(book->control);
    struct active_order **gone = TAKE(book->gone);
    size_t count = book->gone_count;
    book->gone_count = book->gone_room = 0;
    pthread_mutex_unlock(book->control);
    if (count == 0) {
        free(gone);
        return;
    }

    /* An order that was activated since, and lists the same names, is among the others: none joins
     * them as long as the lock is held. */
    struct overlay_set *others = NULL;
    pthread_mutex_lock(&book->marks);
    pthread_mutex_lock(book->control);
    int rc = order_book_overlay(book, NULL, NULL, &others);
    pthread_mutex_unlock(book->control);
    for (size_t i = 0; i < count; i++) {
        if (rc == 0)
            order_marks_clear(book->view->zones, gone[i], others);
        active_order_unref(gone[i]);
    }
    pthread_mutex_unlock(&book->marks);
    overlay_set_free(others);
    free(gone);
}

/* ---- The overlay ---- */

int order_book_overlay(const struct order_book *book, struct active_order *added,
                       const struct order_entry *replaced, struct overlay_set **ret_set)
{
    struct active_order **orders = calloc(book->count + 1, sizeof(struct active_order *));
    if (orders == NULL)
        return -ENOMEM;
    size_t count = 0;
    for (size_t i = 0; i < book->count; i++) {
        if (!book->entries[i].ended && &book->entries[i] != replaced)
            orders[count++] = book->entries[i].active;
    }
    if (added != NULL) {
        orders[count++] = added;
        active_orders_join(orders, count);
    }

    struct overlay_set *set = NULL;
    int rc = count == 0 ? 0 : overlay_set_create(orders, count, &set);
    free(orders);
    if (rc == 0)
        *ret_set = set;
    return rc;
}

void order_book_publish(struct order_book *book, struct overlay_set *set)
{
    struct overlay_set *old = book->view->orders;
    rcu_assign_pointer(book->view->orders, set);
    synchronize_rcu();
    overlay_set_free(old);
    if (book->changed != NULL)
        book->changed(book->changed_context);
}

void order_book_watch(struct order_book *book, void (*changed)(void *context), void *context)
{
    pthread_mutex_lock(book->control);
    book->changed = changed;
    book->changed_context = context;
    pthread_mutex_unlock(book->control);
}

int order_book_publish_without(struct order_book *book, const struct order_entry *entry)
{
    struct overlay_set *set;
    int rc = order_book_overlay(book, NULL, entry, &set);
    if (rc == 0)
        order_book_publish(book, set);
    return rc;
}

void order_book_lifted_path(const struct order_book *book, const char *id, char ret_path[PATH_MAX])
{
    snprintf(ret_path, PATH_MAX, "%s/%s.lifted", book->directory, id);
}

static int remember_lift(const struct order_book *book, const char *id, struct error *ret_error)
{
    char path[PATH_MAX];
    order_book_lifted_path(book, id, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0 || fsync(fd) < 0) {
        int rc = -errno;
        if (fd >= 0)
            close(fd);
        return error_set_at(ret_error, rc, path, 0,
                            "the order is lifted now, and would be back after a restart: %s",
                            strerror(-rc));
    }
    close(fd);
    return 0;
}

void order_book_remove(struct order_book *book, struct order_entry *entry)
{
    size_t index = (size_t)(entry - book->entries);
    order_book_put_away(book, entry->active);
    free(entry->config_path);
    memmove(entry, entry + 1, (book->count - index - 1) * sizeof(*entry));
    book->count--;
}

static int lift(struct order_book *book, const char *id, struct order_result *ret_result,
                struct error *ret_error)
{
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);

    struct order_entry *entry = order_book_find(book, id);
    if (entry == NULL)
        return error_set(ret_error, -ENOENT,
                         "no order %s is active: \"tamis ctl orders\" lists them", id);
    if (order_book_publish_without(book, entry) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory: the order stays in force");

    /* From here on the names answer rightly. What follows keeps it so after a restart. */
    order_result_fill(ret_result, entry->active, entry->refused, &start);
    bool comes_back = entry->from_config || entry->from_zone;
    order_book_remove(book, entry);
    const char *name = order_result_order(ret_result)->id;
    int rc = comes_back ? remember_lift(book, name, ret_error) : 0;
    return rc < 0 ? rc : order_unsave(name, book->directory, ret_error);
}

int order_book_lift(struct order_book *book, const char *id, struct order_result *ret_result,
                    struct error *ret_error)
{
    *ret_result = (struct order_result){0};
    pthread_mutex_lock(book->control);
    int rc = lift(book, id, ret_result, ret_error);
    pthread_mutex_unlock(book->control);
    return rc;
}

void order_book_drop_unnamed(struct order_book *book, char *const *paths, size_t path_count,
                             void (*report)(const struct order *order))
{
    pthread_mutex_lock(book->control);
    for (size_t i = book->count; i-- > 0;) {
        struct order_entry *entry = &book->entries[i];
        bool named = !entry->from_config;
        for (size_t k = 0; k < path_count && !named && entry->config_path != NULL; k++)
            named = strcmp(paths[k], entry->config_path) == 0;
        if (named || order_book_publish_without(book, entry) < 0)
            continue;
        const struct order *order = order_entry_order(entry);
        struct error ignored;
        /* A person may have activated it as well: that copy would bring it back at a restart. */
        int rc = order_unsave(order->id, book->directory, &ignored);
        (void)rc;
        report(order);
        order_book_remove(book, entry);
    }
    pthread_mutex_unlock(book->control);
}

static bool keeps(const struct policy_orders *kept, const char *id)
{
    for (size_t i = 0; kept != NULL && i < kept->count; i++)
        if (strcmp(kept->ids[i], id) == 0)
            return true;
    return false;
}

void order_book_drop_of_zone(struct order_book *book, const char *path,
                             const struct policy_orders *kept,
                             void (*report)(const struct order *order))
{
    pthread_mutex_lock(book->control);
    for (size_t i = book->count; i-- > 0;) {
        struct order_entry *entry = &book->entries[i];
        const struct order *order = order_entry_order(entry);
        if (!entry->from_zone || strcmp(order->path, path) != 0 || keeps(kept, order->id) ||
            order_book_publish_without(book, entry) < 0)
            continue;
        report(order);
        order_book_remove(book, entry);
    }
    pthread_mutex_unlock(book->control);
}

void order_book_tick(struct order_book *book, int64_t now,
                     void (*report)(const struct order *order))
{
    pthread_mutex_lock(book->control);
    for (size_t i = 0; i < book->count; i++) {
        struct order_entry *entry = &book->entries[i];
        if (entry->ended || order_entry_order(entry)->ends > now)
            continue;
        if (order_book_publish_without(book, entry) < 0)
            continue; /* no memory: the answer path passes it over, the next tick tries again */
        entry->ended = true;
        order_book_put_away(book, active_order_ref(entry->active));
        report(order_entry_order(entry));
    }
    pthread_mutex_unlock(book->control);
    clear_marks(book);
}
