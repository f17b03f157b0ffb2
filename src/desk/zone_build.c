/* From rows to zones: an order's policy zone, the exemptions', and the catalog of all. */
#include <errno.h>
#include <libknot/dname.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "desk/zone_publisher_internal.h"
#include "order/name_list.h"
#include "order/name_text.h"
#include "order/policy_zone.h"
#include "order/signature.h"
#include "zone/zone_file.h"

/* Refresh, retry and expire of the catalog, as of a policy zone (order/policy_zone.c). */
#define CATALOG_TIMERS "300 60 86400 0"

/* Exemptions at a time: rows are in memory whole. */
#define EXEMPTIONS_PAGE 10000

bool zone_name_make(const char *label, const char *suffix, uint8_t ret_apex[static NAME_SIZE_MAX])
{
    char text[4 * NAME_SIZE_MAX];
    uint8_t wire[NAME_SIZE_MAX];

    int size = snprintf(text, sizeof(text), "%s%s%s", label, label[0] != '\0' ? "." : "", suffix);
    if (size >= (int)sizeof(text) || knot_dname_from_str(wire, text, sizeof(wire)) == NULL)
        return false;
    name_fold(ret_apex, wire, name_wire_size(wire));
    return true;
}

/* ---- Master files that never see a disk ---- */

typedef int write_fn(FILE *stream, const void *context, struct error *ret_error);

static int zone_load(const uint8_t *apex, write_fn *write, const void *context,
                     struct zone_data **ret_data, struct error *ret_error)
{
    char path[64];

    int fd = memfd_create("tamis-desk-zone", MFD_CLOEXEC);
    FILE *stream = fd < 0 ? NULL : fdopen(fd, "w");
    if (stream == NULL) {
        if (fd >= 0)
            close(fd);
        return error_set(ret_error, -ENOMEM, "out of memory for a zone");
    }
    int rc = write(stream, context, ret_error);
    if (rc == 0 && (ferror(stream) || fflush(stream) != 0))
        rc = error_set(ret_error, -ENOMEM, "out of memory for a zone");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (rc == 0)
        rc = zone_file_load(path, apex, NULL, NULL, ret_data, ret_error);
    fclose(stream);
    return rc;
}

/* ---- Orders ---- */

struct policy_writing {
    const struct order *order;
    const char *origin;
    uint32_t serial;
};

static int policy_write(FILE *stream, const void *context, struct error *ret_error)
{
    const struct policy_writing *writing = context;
    const struct policy_zone_options options = {.origin = writing->origin,
                                                .serial = writing->serial};
    struct policy_zone_summary summary;
    return policy_zone_write(writing->order, &options, stream, &summary, ret_error);
}

/* A document without signatures is signed by the desk, for servers that want one of everything. */
static int order_sign(const struct desk *desk, struct order *order, struct error *ret_error)
{
    const struct desk_orders *orders = desk->orders;

    if (!orders->has_signing_key || order->signature_count > 0)
        return 0;
    free(order->signatures);
    order->signatures = calloc(1, sizeof(struct order_signature));
    char *key = strdup(orders->signing_key.name);
    if (order->signatures == NULL || key == NULL) {
        free(key);
        return error_set(ret_error, -ENOMEM, "out of memory for a signature");
    }
    order->signatures[0].key = key;
    order->signature_count = 1;
    return signature_make(order, &orders->signing_key, order->signatures[0].value, ret_error);
}

static int list_add_wire(struct name_list *list, const struct order_names *names)
{
    char text[NAME_TEXT_MAX + 1];
    int rc = 0;
    for (size_t i = 0; i < names->count && rc == 0; i++) {
        size_t size = name_text_write(order_names_at(names, i), text);
        rc = name_list_add(list, text, size, 0);
    }
    return rc;
}

/* The exempt names of one order, or with "" of all that are in force. */
static int list_add_exemptions(struct store *store, const char *id, struct name_list *list,
                               struct error *ret_error)
{
    char after[ORDER_NAME_TEXT_SIZE] = "";
    size_t count;

    do {
        _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
        int rc = store_query(store, &rows, ret_error,
                             "SELECT DISTINCT order_exemptions.name FROM order_exemptions JOIN "
                             "orders ON orders.id = order_exemptions.order_id WHERE "
                             "orders.state = 'active' AND (orders.id = $1 OR $2 = '') AND "
                             "order_exemptions.name > $3 ORDER BY order_exemptions.name LIMIT $4",
                             store_text(id), store_text(id), store_text(after),
                             store_integer(EXEMPTIONS_PAGE));
        if (rc < 0)
            return rc;
        count = store_rows_count(rows);
        for (size_t i = 0; i < count; i++) {
            const char *name = store_row_text(rows, i, 0);
            if (name_list_add(list, name, strlen(name), 0) < 0)
                return error_set(ret_error, -ENOMEM, "out of memory for the exempt names");
        }
        if (count > 0)
            snprintf(after, sizeof(after), "%s", store_row_text(rows, count - 1, 0));
    } while (count == EXEMPTIONS_PAGE);
    return 0;
}

/* A signature is over the exempt names, too: a signed document stays as it is, and what the desk
 * exempts from it is in the exemptions' zone alone. */
static int order_exempt_more(struct store *store, const char *id, struct order *order,
                             struct error *ret_error)
{
    _cleanup_(name_list_freep) struct name_list *list = NULL;
    struct order_names exempt = {0};

    if (order->signature_count > 0)
        return 0;
    int rc = name_list_create(order, &list);
    if (rc == 0)
        rc = list_add_wire(list, &order->exempt);
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory for the exempt names");
    rc = list_add_exemptions(store, id, list, ret_error);
    if (rc == 0 && name_list_finish(list, &exempt) < 0)
        rc = error_set(ret_error, -ENOMEM, "out of memory for the exempt names");
    if (rc < 0)
        return rc;
    order_names_clear(&order->exempt);
    order->exempt = exempt;
    return 0;
}

/* The order that does nothing but exempt, for as long as an order is in force that it exempts from.
 */
static int exemptions_order(struct store *store, struct order **ret_order, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct order_policy policy = {.unverified = true, .listless = true};
    char text[512], starts[CLOCK_TEXT_SIZE], ends[CLOCK_TEXT_SIZE];

    int rc =
        store_query(store, &rows, ret_error,
                    "SELECT MIN(starts_at), MAX(ends_at) FROM orders WHERE state = 'active' AND "
                    "id IN (SELECT order_id FROM order_exemptions)");
    if (rc < 0)
        return rc;
    if (store_row_is_null(rows, 0, 0))
        return error_set(ret_error, -ENOENT, "no order is in force");
    int size = snprintf(text, sizeof(text),
                        "id: " EXEMPTIONS_ID "\nkind: provider\nauthority: appeals\n"
                        "starts: %s\nends: %s\naction: nodata\n",
                        clock_text(store_row_integer(rows, 0, 0), starts),
                        clock_text(store_row_integer(rows, 0, 1), ends));
    return order_load_text("exemptions", text, (size_t)size, &policy, ret_order, ret_error);
}

int zone_build(struct desk *desk, struct store *store, const struct published *zone,
               struct zone_data **ret_data, struct error *ret_error)
{
    _cleanup_(order_freep) struct order *order = NULL;
    char origin[4 * NAME_SIZE_MAX];

    int rc = zone->id[0] != '\0' ? order_stored_load(desk, store, zone->id, &order, ret_error)
                                 : exemptions_order(store, &order, ret_error);
    if (rc == 0)
        rc = order_exempt_more(store, zone->id, order, ret_error);
    if (rc == 0)
        rc = order_sign(desk, order, ret_error);
    if (rc < 0)
        return rc;
    snprintf(origin, sizeof(origin), "%s.%s", zone->label, desk->config->orders.suffix);
    const struct policy_writing writing = {order, origin, zone->wanted};
    return zone_load(zone->apex, policy_write, &writing, ret_data, ret_error);
}

/* ---- The catalog ---- */

struct catalog_writing {
    const struct desk_config_orders *config;
    const char *members;
    uint32_t serial;
};

/* A member's label is its order's id: the same order is the same member. */
static int catalog_write(FILE *stream, const void *context, struct error *ret_error)
{
    const struct catalog_writing *writing = context;
    const struct desk_config_orders *config = writing->config;

    (void)ret_error;
    fprintf(stream, "$ORIGIN %s.\n$TTL 0\n@ SOA invalid. invalid. %u " CATALOG_TIMERS "\n",
            config->catalog, writing->serial);
    fputs("@ NS invalid.\nversion TXT \"2\"\n", stream);
    for (const char *at = writing->members; *at != '\0';) {
        int size = (int)strcspn(at, "\n");
        fprintf(stream, "%.*s.zones PTR %.*s.%s.\n", size, at, size, at, config->suffix);
        at += size + (at[size] == '\n');
    }
    return 0;
}

int zone_build_catalog(const struct desk_config_orders *config, const char *members,
                       uint32_t serial, struct zone_data **ret_data, struct error *ret_error)
{
    const struct catalog_writing writing = {config, members, serial};
    uint8_t apex[NAME_SIZE_MAX];

    if (!zone_name_make("", config->catalog, apex))
        return error_set(ret_error, -EINVAL, "the catalog's name is too long");
    return zone_load(apex, catalog_write, &writing, ret_data, ret_error);
}
