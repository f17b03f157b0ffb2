#include "server/order_publisher.h"

#include <errno.h>
#include <libknot/dname.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/rcu.h"
#include "order/name_list.h"
#include "order/policy_zone.h"
#include "server/log.h"
#include "server/server_internal.h"
#include "zone/zone_file.h"

/* Refresh, retry and expire of the catalog, as of a policy zone (order/policy_zone.c). */
#define CATALOG_TIMERS "300 60 86400 0"

/* A zone of ours: an order's, or the catalog. */
struct published {
    struct zone *zone;
    struct active_order *active;   /* a reference; NULL: of the catalog */
    struct config_zone configs[2]; /* what stands for its configuration: one in use, RCU */
    unsigned config;
    bool stays; /* while orders are compared */
};

struct order_publisher {
    struct server *server;
    const struct config *config; /* publish_catalog NULL: nothing is published */
    pthread_t thread;
    bool is_running;
    _Atomic(bool) stops;
    _Atomic(unsigned) asked, done; /* changes of the orders: told of, and published */
    sem_t work;
    uint32_t serial;
    struct published *catalog; /* NULL: none */
    bool catalog_is_stale;     /* its zone does not list the orders below */
    struct published **orders; /* in no order */
    size_t count, room;
};

/* ---- Zones ---- */

static void published_configure(struct published *published, const struct config *config)
{
    unsigned next = published->config ^ 1;
    struct config_zone *made = &published->configs[next];

    *made = (struct config_zone){
        .name = published->zone->text,
        .apex = published->zone->name.wire,
        .kind = CONFIG_PRIMARY,
        .use = published->active != NULL ? CONFIG_POLICY : CONFIG_CATALOG,
        .is_member = true,
        .allow_transfer = config->publish_allow_transfer,
        .allow_transfer_count = config->publish_allow_transfer_count,
        .notify = config->publish_notify,
        .notify_count = config->publish_notify_count,
    };
    rcu_assign_pointer(published->zone->config, (void *)made);
    published->config = next;
}

/* Frees what is not among the server's zones. */
static void published_free(struct published *published, bool with_zone)
{
    if (published == NULL)
        return;
    if (with_zone)
        server_zone_free(published->zone);
    active_order_unref(published->active);
    free(published);
}

/* Adds a zone without data to the server's. NULL: no memory, or the name is taken. */
static struct published *published_create(struct order_publisher *publisher, const uint8_t *apex,
                                          struct active_order *active)
{
    struct server *server = publisher->server;
    uint8_t name[NAME_SIZE_MAX];
    struct config_zone config = {.kind = CONFIG_PRIMARY, .use = CONFIG_POLICY, .apex = name};
    knot_dname_txt_storage_t text;

    memcpy(name, apex, name_wire_size(apex));
    (void)knot_dname_to_str(text, apex, sizeof(text));
    if (server_zone_find(server, apex) != NULL) {
        server_log(LOG_ERR,
                   "zone %s: there is a zone of this name already; the order is not published",
                   text);
        return NULL;
    }
    struct published *published = calloc(1, sizeof(*published));
    if (published == NULL || server_zone_create(&config, &published->zone) < 0) {
        free(published);
        return NULL;
    }
    published->active = active != NULL ? active_order_ref(active) : NULL;
    published_configure(published, publisher->config);
    if (server_zones_change(server, &published->zone, 1, NULL, 0) < 0) {
        published_free(published, true);
        return NULL;
    }
    return published;
}

static void published_remove(struct order_publisher *publisher, struct published *published)
{
    if (server_zones_change(publisher->server, NULL, 0, &published->zone, 1) < 0) {
        server_log(LOG_ERR,
                   "zone %s: stays for want of memory, though it is not published any more",
                   published->zone->text);
        return; /* the server goes on to serve it, with what belongs to it */
    }
    published_free(published, false);
}

/* Serials only grow, also over a restart. */
static uint32_t next_serial(struct order_publisher *publisher)
{
    uint32_t now = (uint32_t)time(NULL);

    publisher->serial = publisher->serial < now ? now : publisher->serial + 1;
    return publisher->serial;
}

/* Loads the master file that `write` writes, without a disk, and publishes it. */
static int publish(struct order_publisher *publisher, struct published *published,
                   int (*write)(FILE *stream, struct order_publisher *publisher,
                                const struct published *published, struct error *ret_error))
{
    struct zone_data *data = NULL;
    struct error error = {0};
    char path[64];

    int fd = memfd_create("tamis-order", MFD_CLOEXEC);
    FILE *stream = fd < 0 ? NULL : fdopen(fd, "w");
    if (stream == NULL) {
        if (fd >= 0)
            close(fd);
        return -ENOMEM;
    }
    int rc = write(stream, publisher, published, &error);
    if (rc == 0 && fflush(stream) != 0)
        rc = error_set(&error, -ENOMEM, "out of memory");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (rc == 0)
        rc = zone_file_load(path, published->zone->name.wire, NULL, NULL, &data, &error);
    fclose(stream);
    if (rc == 0) {
        /* Made anew at each start, and never changed by others. */
        data->source = (struct zone_source){.kind = ZONE_SOURCE_NONE, .serial = data->soa.serial};
        rc = server_publish(publisher->server, published->zone, data);
        if (rc < 0)
            zone_data_free(data);
    }
    if (rc < 0) {
        server_log(LOG_ERR, "zone %s: cannot be published: %s", published->zone->text, error.text);
        zone_last_error_set(published->zone, error.text);
    }
    return rc;
}

static int write_order(FILE *stream, struct order_publisher *publisher,
                       const struct published *published, struct error *ret_error)
{
    const struct policy_zone_options options = {.origin = published->zone->text,
                                                .serial = next_serial(publisher)};
    struct policy_zone_summary summary;

    /* In force an order has its names packed. */
    struct order order = *active_order_get(published->active);
    int rc = packed_names_unpack(active_order_names(published->active), &order.names);
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory");
    rc = policy_zone_write(&order, &options, stream, &summary, ret_error);
    order_names_clear(&order.names);
    return rc;
}

/* A member's label is its order's id: the same order activated again is the same member. */
static int write_catalog(FILE *stream, struct order_publisher *publisher,
                         const struct published *published, struct error *ret_error)
{
    (void)ret_error;
    fprintf(stream, "$ORIGIN %s.\n$TTL 0\n@ SOA invalid. invalid. %u " CATALOG_TIMERS "\n",
            published->zone->text, next_serial(publisher));
    fputs("@ NS invalid.\nversion TXT \"2\"\n", stream);
    for (size_t i = 0; i < publisher->count; i++)
        fprintf(stream, "%s.zones PTR %s.\n", active_order_get(publisher->orders[i]->active)->id,
                publisher->orders[i]->zone->text);
    return 0;
}

/* Without memory it stays stale until the next change. */
static void publish_catalog(struct order_publisher *publisher)
{
    if (publisher->catalog_is_stale && publish(publisher, publisher->catalog, write_catalog) == 0)
        publisher->catalog_is_stale = false;
}

/* ---- From orders to zones ---- */

static struct published *find_order(const struct order_publisher *publisher, const char *id)
{
    for (size_t i = 0; i < publisher->count; i++)
        if (strcmp(active_order_get(publisher->orders[i]->active)->id, id) == 0)
            return publisher->orders[i];
    return NULL;
}

static bool is_published(const struct order_entry *entry)
{
    return !entry->ended && !entry->from_zone;
}

/* Takes the zones out that `stays` does not say of, the catalog's entries first. */
static void remove_gone(struct order_publisher *publisher)
{
    size_t kept = 0, count = publisher->count;

    for (size_t i = 0; i < count; i++) {
        struct published *one = publisher->orders[i];
        if (!one->stays)
            continue;
        publisher->orders[i] = publisher->orders[kept];
        publisher->orders[kept++] = one;
    }
    if (kept == count)
        return;
    publisher->count = kept;
    publisher->catalog_is_stale = true;
    publish_catalog(publisher);
    for (size_t i = kept; i < count; i++)
        published_remove(publisher, publisher->orders[i]);
}

static int make_apex(const struct order_publisher *publisher, const char *id, uint8_t *ret_apex)
{
    size_t size = strlen(id), suffix_size = name_wire_size(publisher->config->publish_suffix);

    if (1 + size + suffix_size > NAME_SIZE_MAX)
        return -EINVAL;
    ret_apex[0] = (uint8_t)size;
    name_fold(ret_apex + 1, (const uint8_t *)id, size);
    memcpy(ret_apex + 1 + size, publisher->config->publish_suffix, suffix_size);
    return 0;
}

static int reserve(struct order_publisher *publisher)
{
    if (publisher->count < publisher->room)
        return 0;
    size_t room = publisher->room == 0 ? 16 : publisher->room * 2;
    struct published **orders = reallocarray(publisher->orders, room, sizeof(struct published *));
    if (orders == NULL)
        return -ENOMEM;
    publisher->orders = orders;
    publisher->room = room;
    return 0;
}

static bool add_order(struct order_publisher *publisher, struct active_order *active)
{
    uint8_t apex[NAME_SIZE_MAX];
    const char *id = active_order_get(active)->id;

    if (make_apex(publisher, id, apex) < 0 || reserve(publisher) < 0) {
        server_log(LOG_ERR,
                   "order %s: not published: its zone's name would be too long, or memory is out",
                   id);
        return false;
    }
    struct published *published = published_create(publisher, apex, active);
    if (published == NULL)
        return false;
    if (publish(publisher, published, write_order) < 0) {
        published_remove(publisher, published);
        return false;
    }
    publisher->orders[publisher->count++] = published;
    return true;
}

/* An order has taken the place of one of its id. */
static void change_order(struct order_publisher *publisher, struct published *published,
                         struct active_order *active)
{
    struct active_order *before = published->active;

    published->active = active_order_ref(active);
    if (publish(publisher, published, write_order) < 0) {
        active_order_unref(published->active); /* the next change tries again */
        published->active = before;
        return;
    }
    active_order_unref(before);
}

static void compare(struct order_publisher *publisher, const struct order_entry *entries,
                    size_t count)
{
    for (size_t i = 0; i < publisher->count; i++)
        publisher->orders[i]->stays = false;
    for (size_t i = 0; i < count; i++) {
        struct published *one = find_order(publisher, active_order_get(entries[i].active)->id);
        if (one != NULL)
            one->stays = is_published(&entries[i]);
    }
    remove_gone(publisher);
    for (size_t i = 0; i < count && !atomic_load(&publisher->stops); i++) {
        struct active_order *active = entries[i].active;
        if (!is_published(&entries[i]))
            continue;
        struct published *one = find_order(publisher, active_order_get(active)->id);
        if (one == NULL)
            publisher->catalog_is_stale |= add_order(publisher, active);
        else if (one->active != active)
            change_order(publisher, one, active);
    }
    publish_catalog(publisher);
}

static void publish_all(struct order_publisher *publisher)
{
    struct order_entry *entries;
    size_t count;
    unsigned asked = atomic_load(&publisher->asked);

    if (publisher->config->publish_catalog == NULL) {
        atomic_store(&publisher->done, asked);
        return;
    }
    if (publisher->catalog == NULL) {
        publisher->catalog = published_create(publisher, publisher->config->publish_catalog, NULL);
        publisher->catalog_is_stale = true;
    }
    if (publisher->catalog != NULL &&
        order_book_snapshot(publisher->server->book, &entries, &count) == 0) {
        compare(publisher, entries, count);
        order_entries_free(entries, count);
    }
    atomic_store(&publisher->done, asked);
}

static void *run(void *argument)
{
    struct order_publisher *publisher = argument;

    pthread_setname_np(pthread_self(), "order changes");
    while (!atomic_load(&publisher->stops)) {
        publish_all(publisher);
        while (sem_wait(&publisher->work) < 0 && errno == EINTR)
            ;
        while (sem_trywait(&publisher->work) == 0)
            ; /* several changes are published as one */
    }
    return NULL;
}

/* ---- Start and stop ---- */

/* The control lock is held. */
static void orders_changed(void *context)
{
    struct order_publisher *publisher = context;

    atomic_fetch_add(&publisher->asked, 1);
    sem_post(&publisher->work);
}

int order_publisher_create(struct server *server, struct order_publisher **ret_publisher,
                           struct error *ret_error)
{
    struct order_publisher *publisher = calloc(1, sizeof(*publisher));
    if (publisher == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    publisher->server = server;
    publisher->config = server->config;
    publisher->asked = 1;
    sem_init(&publisher->work, 0, 0);
    order_book_watch(server->book, orders_changed, publisher);
    *ret_publisher = publisher;
    return 0;
}

void order_publisher_free(struct order_publisher *publisher)
{
    if (publisher == NULL)
        return;
    order_book_watch(publisher->server->book, NULL, NULL);
    for (size_t i = 0; i < publisher->count; i++)
        published_free(publisher->orders[i], false);
    published_free(publisher->catalog, false);
    free(publisher->orders);
    sem_destroy(&publisher->work);
    free(publisher);
}

int order_publisher_start(struct order_publisher *publisher, struct error *ret_error)
{
    atomic_store(&publisher->stops, false);
    int rc = -pthread_create(&publisher->thread, NULL, run, publisher);
    if (rc < 0)
        return error_set(ret_error, rc, "cannot start the thread that publishes orders: %s",
                         strerror(-rc));
    publisher->is_running = true;
    return 0;
}

void order_publisher_stop(struct order_publisher *publisher)
{
    if (publisher == NULL || !publisher->is_running)
        return;
    atomic_store(&publisher->stops, true);
    sem_post(&publisher->work);
    pthread_join(publisher->thread, NULL);
    publisher->is_running = false;
}

static bool is_same_publication(const struct config *one, const struct config *other)
{
    return one->publish_catalog != NULL && other->publish_catalog != NULL &&
           name_equal(one->publish_catalog, other->publish_catalog) &&
           name_equal(one->publish_suffix, other->publish_suffix);
}

void order_publisher_configure(struct order_publisher *publisher, const struct config *config)
{
    bool is_same = is_same_publication(publisher->config, config);

    publisher->config = config;
    if (!is_same) {
        for (size_t i = 0; i < publisher->count; i++)
            published_remove(publisher, publisher->orders[i]);
        publisher->count = 0;
        if (publisher->catalog != NULL)
            published_remove(publisher, publisher->catalog);
        publisher->catalog = NULL;
        return;
    }
    for (size_t i = 0; i < publisher->count; i++)
        published_configure(publisher->orders[i], config);
    if (publisher->catalog != NULL)
        published_configure(publisher->catalog, config);
    synchronize_rcu(); /* now nobody looks at what the old configuration said */
}

bool order_publisher_is_settled(struct order_publisher *publisher)
{
    return atomic_load(&publisher->done) == atomic_load(&publisher->asked);
}
