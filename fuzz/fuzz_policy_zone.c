/* Any records as a policy zone and as a catalog: a head is put in front, so that the octets need to
 * be no more than records. What is read with metadata is an order that comes back equal when it is
 * compiled again. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "order/canonical.h"
#include "order/policy_read.h"
#include "order/policy_zone.h"
#include "zone/catalog.h"
#include "zone/zone_file.h"

#define HEAD "$ORIGIN a.example.\n$TTL 60\n@ SOA . . 1 1 1 1 1\n@ NS .\n"

static const uint8_t apex[] = "\1a\7example";

static struct zone_data *load(const void *head, size_t head_size, const void *text, size_t size)
{
    struct zone_data *data = NULL;
    struct error error = {0};
    char path[32];

    int file = memfd_create("zone", MFD_CLOEXEC);
    FUZZ_ASSERT(file >= 0);
    FUZZ_ASSERT(write(file, head, head_size) == (ssize_t)head_size);
    FUZZ_ASSERT(write(file, text, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    if (zone_file_load(path, apex, NULL, NULL, &data, &error) < 0)
        FUZZ_ASSERT(error.text[0] != '\0');
    close(file);
    return data;
}

static int read_orders(struct zone_data *data, struct policy_orders *ret_orders)
{
    struct zone_view *view;
    struct error error = {0};

    FUZZ_ASSERT(zone_view_open(data, &view) == 0);
    int rc = policy_zone_read(view, policy_zone_metadata(data), 1700000000, ret_orders, &error);
    zone_view_close(view);
    if (rc < 0)
        FUZZ_ASSERT(error.text[0] != '\0');
    return rc;
}

static char *canonical(const struct order *order)
{
    char *text = NULL;
    size_t size;

    FUZZ_ASSERT(canonical_write(order, &text, &size) == 0);
    return text;
}

static void check_comes_back(const struct order *order)
{
    const struct policy_zone_options options = {.origin = "a.example", .serial = 1};
    struct policy_zone_summary summary;
    struct policy_orders orders = {0};
    struct error error;
    char *zone = NULL;
    size_t size;

    FILE *stream = open_memstream(&zone, &size);
    FUZZ_ASSERT(stream != NULL);
    FUZZ_ASSERT(policy_zone_write(order, &options, stream, &summary, &error) == 0);
    fclose(stream);
    struct zone_data *data = load("", 0, zone, size);
    FUZZ_ASSERT(data != NULL);
    FUZZ_ASSERT(read_orders(data, &orders) == 0);
    FUZZ_ASSERT(orders.has_metadata && orders.count == 1);
    char *one = canonical(order), *other = canonical(orders.orders[0]);
    FUZZ_ASSERT(strcmp(one, other) == 0);
    free(one);
    free(other);
    policy_orders_clear(&orders);
    zone_data_free(data);
    free(zone);
}

static void check_catalog(struct zone_data *data)
{
    struct zone_view *view;
    struct catalog catalog = {0};
    struct error error = {0};

    FUZZ_ASSERT(zone_view_open(data, &view) == 0);
    if (catalog_read(view, 16, &catalog, &error) < 0)
        FUZZ_ASSERT(error.text[0] != '\0');
    zone_view_close(view);
    FUZZ_ASSERT(catalog.count <= 16);
    catalog_clear(&catalog);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct policy_orders orders = {0};
    struct zone_data *data = load(HEAD, sizeof(HEAD) - 1, input, size);

    if (data == NULL || data->apex_entry == NULL) {
        zone_data_free(data);
        return 0;
    }
    if (read_orders(data, &orders) == 0) {
        FUZZ_ASSERT(orders.count >= 1 && orders.count <= POLICY_ORDERS_MAX);
        for (size_t i = 0; i < orders.count; i++)
            FUZZ_ASSERT(strlen(orders.ids[i]) > 0);
        if (orders.has_metadata)
            check_comes_back(orders.orders[0]);
        policy_orders_clear(&orders);
    }
    check_catalog(data);
    zone_data_free(data);
    return 0;
}
