#include "server/order_book.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libknot/dname.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/rcu.h"
#include "order/canonical.h"
#include "order/name_key.h"
#include "order/order_save.h"
#include "order/timestamp.h"

struct order_book {
    struct responder_view *view;
    pthread_mutex_t *control; /* guards the entries, the view and what zones hold */
    pthread_mutex_t loading;  /* guards the policy while an order is checked against it */
    char *directory;
    unsigned workers;
    struct order_policy policy;
    struct order_entry *entries;
    size_t count, room;
};

static double milliseconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) * 1e3 +
           (double)(now.tv_nsec - start->tv_nsec) / 1e6;
}

static const struct order *entry_order(const struct order_entry *entry)
{
    return active_order_get(entry->active);
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
    pthread_mutex_init(&book->loading, NULL);
    book->workers = workers;
    book->policy = *policy;
    book->directory = strdup(directory);
    if (book->directory == NULL) {
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
        active_order_unref(book->entries[i].active);
    pthread_mutex_destroy(&book->loading);
    free(book->entries);
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

static struct order_entry *find_entry(const struct order_book *book, const char *id)
{
    for (size_t i = 0; i < book->count; i++) {
        if (strcmp(entry_order(&book->entries[i])->id, id) == 0)
            return &book->entries[i];
    }
    return NULL;
}

/* ---- Marks ---- */

static struct zone *zone_of(const struct order_book *book, const uint8_t *wire,
                            struct name *ret_name)
{
    if (name_parse(ret_name, wire, NAME_SIZE_MAX) < 0)
        return NULL;
    return zone_set_find(book->view->zones, ret_name, 0);
}

/* Why a listed name cannot be blocked as it is listed; NULL when it can. */
static const char *refusal(const struct zone *zone, const struct name *name,
                           const char **ret_detail)
{
    *ret_detail = NULL;
    if (zone == NULL)
        return "is outside of every zone here";
    switch (zone_data_name_state(zone->data, name)) {
    case NAME_IS_APEX:
        *ret_detail = "list it under subtrees, with two signatures";
        return "is the apex of a zone";
    case NAME_CUT:
        *ret_detail = "list it under subtrees, with two signatures";
        return "is a zone cut";
    default:
        /* The apex of a zone without data, too. */
        if (name->label_count == zone->name.label_count) {
            *ret_detail = "list it under subtrees, with two signatures";
            return "is the apex of a zone";
        }
        return NULL;
    }
}

/* Finds what the order cannot block, before anything is changed. */
static uint64_t check_names(const struct order_book *book, struct order *order)
{
    uint64_t refused = 0;
    struct name name;
    for (size_t i = 0; i < order->names.count; i++) {
        const char *detail;
        struct zone *zone = zone_of(book, order_names_at(&order->names, i), &name);
        const char *reason = refusal(zone, &name, &detail);
        if (reason != NULL) {
            order_add_name_finding(order, &order->names, i, reason, detail);
            refused++;
        }
    }
    for (size_t i = 0; i < order->subtrees.count; i++) {
        if (zone_of(book, order_names_at(&order->subtrees, i), &name) == NULL) {
            order_add_name_finding(order, &order->subtrees, i, "is outside of every zone here",
                                   NULL);
            refused++;
        }
    }
    return refused;
}

static int mark_names(const struct order_book *book, const struct order *order)
{
    for (size_t i = 0; i < order->names.count; i++) {
        struct name name;
        const uint8_t *wire = order_names_at(&order->names, i);
        struct zone *zone = zone_of(book, wire, &name);
        if (zone == NULL)
            continue;
        int rc = zone_data_mark(zone->data, wire);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Whether an order in force other than `except` lists the name. */
static bool is_listed_elsewhere(const struct order_book *book, const struct order *except,
                                const uint8_t *wire)
{
    for (size_t i = 0; i < book->count; i++) {
        const struct order *order = entry_order(&book->entries[i]);
        if (order != except && !book->entries[i].ended &&
            order_names_find(&order->names, wire) != SIZE_MAX)
            return true;
    }
    return false;
}

/* Clears the marks of an order that is in no overlay any more: its names cost nothing again. */
static void unmark_names(const struct order_book *book, const struct order *order)
{
    for (size_t i = 0; i < order->names.count; i++) {
        struct name name;
        const uint8_t *wire = order_names_at(&order->names, i);
        struct zone *zone = zone_of(book, wire, &name);
        if (zone != NULL && !is_listed_elsewhere(book, order, wire))
            zone_data_unmark(zone->data, wire);
    }
}

/* Index of the first name that is not before `wire` in canonical order. */
static size_t lower_bound(const struct order_names *names, const uint8_t *wire)
{
    uint8_t wanted[NAME_KEY_MAX], key[NAME_KEY_MAX];
    name_key_write(wire, wanted);
    size_t low = 0, high = names->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        name_key_write(order_names_at(names, middle), key);
        if (name_key_compare(key, wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int order_book_mark(struct order_book *book, struct zone_data *data)
{
    for (size_t i = 0; i < book->count; i++) {
        if (book->entries[i].ended)
            continue;
        /* In canonical order, what is below a name stands right behind it. */
        const struct order_names *names = &entry_order(&book->entries[i])->names;
        for (size_t at = lower_bound(names, data->apex.wire); at < names->count; at++) {
            const uint8_t *wire = order_names_at(names, at);
            if (knot_dname_in_bailiwick(wire, data->apex.wire) < 0)
                break;
            struct name name;
            /* A zone below this one, which we hold as well, has its own marks. */
            struct zone *zone = zone_of(book, wire, &name);
            if (zone != NULL && zone->name.label_count != data->apex.label_count)
                continue;
            int rc = zone_data_mark(data, wire);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

/* ---- The overlay ---- */

/* Publishes the orders of the book that have not ended, with `added` in the place of the entry
 * `replaced`. */
static int publish(struct order_book *book, struct active_order *added,
                   const struct order_entry *replaced)
{
    struct active_order **orders = calloc(book->count + 1, sizeof(struct active_order *));
    if (orders == NULL)
        return -ENOMEM;
    size_t count = 0;
    for (size_t i = 0; i < book->count; i++) {
        if (!book->entries[i].ended && &book->entries[i] != replaced)
            orders[count++] = book->entries[i].active;
    }
    if (added != NULL)
        orders[count++] = added;

    struct overlay_set *set = NULL;
    int rc = count == 0 ? 0 : overlay_set_create(orders, count, &set);
    free(orders);
    if (rc < 0)
        return rc;
    struct overlay_set *old = book->view->orders;
    rcu_assign_pointer(book->view->orders, set);
    synchronize_rcu();
    overlay_set_free(old);
    return 0;
}

static void lifted_path(const struct order_book *book, const char *id, char ret_path[PATH_MAX])
{
    snprintf(ret_path, PATH_MAX, "%s/%s.lifted", book->directory, id);
}

static bool is_lifted(const struct order_book *book, const char *id)
{
    char path[PATH_MAX];
    lifted_path(book, id, path);
    return access(path, F_OK) == 0;
}

static int remember_lift(const struct order_book *book, const char *id, struct error *ret_error)
{
    char path[PATH_MAX];
    lifted_path(book, id, path);
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

static void forget_lift(const struct order_book *book, const char *id)
{
    char path[PATH_MAX];
    lifted_path(book, id, path);
    (void)unlink(path); /* most orders were never lifted */
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

static void fill_result(struct order_result *result, struct active_order *active, uint64_t refused,
                        const struct timespec *start)
{
    const struct order *order = active_order_get(active);
    *result = (struct order_result){
        .active = active_order_ref(active),
        .names = order->names.count,
        .marked = order->names.count + order->subtrees.count - refused,
        .refused = refused,
        .took_ms = milliseconds_since(start),
    };
}

/* Loads an order and says what would refuse it whole. */
static int load(struct order_book *book, const char *path, bool strict, bool from_config,
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

    char ends[TIMESTAMP_SIZE];
    if (order->ends <= time(NULL))
        return error_set_at(ret_error, -ETIME, path, 0,
                            "order %s ended at %s: there is nothing to activate", order->id,
                            timestamp_write(order->ends, ends));
    if (from_config && is_lifted(book, order->id))
        return error_set_at(ret_error, -ECANCELED, path, 0,
                            "order %s was lifted: \"tamis ctl activate\" brings it back",
                            order->id);
    *ret_order = TAKE(order);
    return 0;
}

/* Whether two orders say the same, by the form that is signed (tamis-order(5)). */
static bool is_same(const struct order *one, const struct order *other)
{
    char *texts[2] = {NULL, NULL};
    size_t sizes[2];
    bool same = canonical_write(one, &texts[0], &sizes[0]) == 0 &&
                canonical_write(other, &texts[1], &sizes[1]) == 0 && sizes[0] == sizes[1] &&
                memcmp(texts[0], texts[1], sizes[0]) == 0;
    free(texts[0]);
    free(texts[1]);
    return same;
}

/* Publishes an order whose names are marked, in the place of `old` (NULL: of none), and lists it.
 */
static int put_in_force(struct order_book *book, struct order *order, struct order_entry *old,
                        bool from_config, uint64_t refused, struct active_order **ret_active)
{
    struct active_order *active;
    uint64_t marked = order->names.count + order->subtrees.count - refused;
    int rc = active_order_create(order, book->workers, &active);
    if (rc < 0) {
        order_free(order);
        return rc;
    }
    rc = publish(book, active, old);
    if (rc < 0) {
        active_order_unref(active);
        return rc;
    }

    struct order_entry *entry = old != NULL ? old : &book->entries[book->count++];
    struct active_order *before = old != NULL ? old->active : NULL;
    *entry = (struct order_entry){
        .active = active,
        .from_config = from_config,
        .activated_at = time(NULL),
        .marked = marked,
        .refused = refused,
    };
    if (before != NULL) {
        unmark_names(book, active_order_get(before));
        active_order_unref(before);
    }
    *ret_active = active;
    return 0;
}

/* The part of an activation that changes something; the control lock is held. Takes the order over.
 */
static int commit(struct order_book *book, struct order *loaded, bool strict, bool from_config,
                  const struct timespec *start, struct order_result *ret_result,
                  struct error *ret_error)
{
    _cleanup_(order_freep) struct order *order = loaded;
    struct order_entry *old = find_entry(book, order->id);
    if (old != NULL && !old->ended && is_same(entry_order(old), order)) {
        old->from_config |= from_config;
        fill_result(ret_result, old->active, old->refused, start);
        ret_result->unchanged = true;
        return 0;
    }
    if (old == NULL && book->count >= ORDERS_MAX)
        return error_set(ret_error, -ENOSPC, "%u orders are active: lift one first", ORDERS_MAX);

    uint64_t refused = check_names(book, order);
    if (strict && refused > 0) {
        char text[400];
        return error_set_at(
            ret_error, -EINVAL, order->path, 0, "refused as strict was asked for: %s",
            order_finding_format(&order->findings[order->finding_count - 1], text, sizeof(text)));
    }
    size_t old_index = old != NULL ? (size_t)(old - book->entries) : 0;
    if (grow(book) < 0 || mark_names(book, order) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory: nothing has changed");
    if (old != NULL)
        old = &book->entries[old_index]; /* growing may have moved it */

    if (!from_config) {
        int rc = order_save(order, book->directory, ret_error);
        if (rc < 0)
            return rc;
        forget_lift(book, order->id);
    }
    struct active_order *active;
    bool replaced = old != NULL;
    if (put_in_force(book, TAKE(order), old, from_config, refused, &active) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory: nothing has changed");
    fill_result(ret_result, active, refused, start);
    ret_result->replaced = replaced;
    return 0;
}

int order_book_activate(struct order_book *book, const char *path, bool strict, bool from_config,
                        struct order_result *ret_result, struct error *ret_error)
{
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);

    struct order *order = NULL;
    int rc = load(book, path, strict, from_config, &order, ret_error);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(book->control);
    rc = commit(book, order, strict, from_config, &start, ret_result, ret_error);
    pthread_mutex_unlock(book->control);
    return rc;
}

static void remove_entry(struct order_book *book, struct order_entry *entry)
{
    struct active_order *active = entry->active;
    size_t index = (size_t)(entry - book->entries);
    memmove(entry, entry + 1, (book->count - index - 1) * sizeof(*entry));
    book->count--;
    unmark_names(book, active_order_get(active));
    active_order_unref(active);
}

static int lift(struct order_book *book, const char *id, struct order_result *ret_result,
                struct error *ret_error)
{
    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);

    struct order_entry *entry = find_entry(book, id);
    if (entry == NULL)
        return error_set(ret_error, -ENOENT,
                         "no order %s is active: \"tamis ctl orders\" lists them", id);
    if (publish(book, NULL, entry) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory: the order stays in force");

    /* From here on the names answer rightly. What follows keeps it so after a restart. */
    fill_result(ret_result, entry->active, entry->refused, &start);
    bool from_config = entry->from_config;
    remove_entry(book, entry);
    const char *name = order_result_order(ret_result)->id;
    int rc = from_config ? remember_lift(book, name, ret_error) : 0;
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
        bool is_named = find_entry(book, id) != NULL;
        pthread_mutex_unlock(book->control);
        if (is_named)
            continue; /* the configuration names it, too, and goes first */

        /* Loaded as the configuration's, so that it is not written again; it is a person's all the
         * same. */
        struct order_result result;
        struct error error;
        if (order_book_activate(book, path, false, true, &result, &error) < 0) {
            report(&error);
            continue;
        }
        pthread_mutex_lock(book->control);
        struct order_entry *entry = find_entry(book, order_result_order(&result)->id);
        if (entry != NULL)
            entry->from_config = false;
        pthread_mutex_unlock(book->control);
        order_result_clear(&result);
    }
    closedir(folder);
}

void order_book_drop_unnamed(struct order_book *book, char *const *paths, size_t path_count)
{
    pthread_mutex_lock(book->control);
    for (size_t i = book->count; i-- > 0;) {
        struct order_entry *entry = &book->entries[i];
        bool named = !entry->from_config;
        for (size_t k = 0; k < path_count && !named; k++)
            named = strcmp(paths[k], entry_order(entry)->path) == 0;
        if (!named && publish(book, NULL, entry) == 0)
            remove_entry(book, entry);
    }
    pthread_mutex_unlock(book->control);
}

void order_book_tick(struct order_book *book, int64_t now,
                     void (*report)(const struct order *order))
{
    pthread_mutex_lock(book->control);
    for (size_t i = 0; i < book->count; i++) {
        struct order_entry *entry = &book->entries[i];
        if (entry->ended || entry_order(entry)->ends > now)
            continue;
        if (publish(book, NULL, entry) < 0)
            continue; /* no memory: the answer path passes it over, the next tick tries again */
        entry->ended = true;
        unmark_names(book, entry_order(entry));
        report(entry_order(entry));
    }
    pthread_mutex_unlock(book->control);
}
