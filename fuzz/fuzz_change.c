/* A change list from outside, such as a journal's: any octets are refused or are a list that can be
 * walked to its end, and that written anew says the same. A zone takes it whole or not at all, and
 * is put back by it. */
#include <libknot/libknot.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "zone/change.h"
#include "zone/zone_edit.h"

static const uint8_t apex[] = "\1a\7example";

static void expect_equal(const struct rrset *one, const struct rrset *other)
{
    FUZZ_ASSERT(one->type == other->type && one->rr_count == other->rr_count);
    FUZZ_ASSERT(one->ttl == other->ttl && one->size == other->size);
    FUZZ_ASSERT(one->size == 0 || memcmp(one->data, other->data, one->size) == 0);
}

/* Copies the list; returns how many changes it has. */
static size_t copy(const uint8_t *octets, size_t size, struct change_list *list)
{
    struct change change;
    size_t count = 0;
    for (size_t at = 0; change_list_next(octets, size, &at, &change); count++) {
        FUZZ_ASSERT(at <= size);
        FUZZ_ASSERT(change_list_add(list, &change) == 0);
    }
    return count;
}

static void compare(const struct change_list *list, const uint8_t *octets, size_t size)
{
    size_t one_at = 0, other_at = 0;
    struct change one, other;
    while (change_list_next(octets, size, &one_at, &one)) {
        FUZZ_ASSERT(change_list_next(list->octets, list->size, &other_at, &other));
        FUZZ_ASSERT(one.author == other.author && one.owner_size == other.owner_size);
        FUZZ_ASSERT(memcmp(one.owner, other.owner, one.owner_size) == 0);
        expect_equal(&one.before, &other.before);
        expect_equal(&one.after, &other.after);
    }
    FUZZ_ASSERT(other_at == list->size);
}

/* ---- Applying ---- */

static struct zone_data *make_zone(void)
{
    static const uint8_t soa[22], host[] = "\4host\1a\7example", address[] = {192, 0, 2, 1};
    struct zone_builder *builder;
    struct zone_data *data;
    struct error error = {0};
    FUZZ_ASSERT(zone_builder_create(apex, &builder) == 0);
    FUZZ_ASSERT(zone_builder_add(builder, apex, KNOT_RRTYPE_SOA, 60, soa, 22, &error) == 0);
    FUZZ_ASSERT(zone_builder_add(builder, apex, KNOT_RRTYPE_NS, 60, host, 16, &error) == 0);
    FUZZ_ASSERT(zone_builder_add(builder, host, KNOT_RRTYPE_A, 3600, address, 4, &error) == 0);
    FUZZ_ASSERT(zone_builder_finish(builder, &data, &error) == 0);
    zone_builder_free(builder);
    return data;
}

/* Returns whether the zone took the list. */
static bool apply(struct zone_data *data, const uint8_t *octets, size_t size, bool is_backward)
{
    struct zone_edit *edit;
    struct error error = {0};
    FUZZ_ASSERT(zone_edit_begin(data, &edit, &error) == 0);
    int rc = zone_edit_apply(edit, octets, size, is_backward, &error);
    FUZZ_ASSERT(rc == 0 || error.text[0] != '\0');
    if (rc == 0)
        rc = zone_edit_prepare(edit);
    if (rc == 0)
        zone_edit_commit(edit);
    zone_edit_end(edit);
    return rc == 0;
}

/* Each list meets the zone as it was made. */
static void check_zone(const uint8_t *octets, size_t size)
{
    struct zone_data *data = make_zone();
    if (apply(data, octets, size, false))
        FUZZ_ASSERT(apply(data, octets, size, true));
    FUZZ_ASSERT(data->entry_count == 2 && data->name_count == 2 && data->record_count == 3);
    FUZZ_ASSERT(name_table_count(data->table) == 2 && data->soa.serial == 0);
    zone_data_free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    size_t count;
    if (!change_list_check(input, size, &count))
        return 0;
    struct change_list list = {0};
    FUZZ_ASSERT(copy(input, size, &list) == count && list.count == count);
    compare(&list, input, size);
    size_t again;
    FUZZ_ASSERT(change_list_check(list.octets, list.size, &again) && again == count);
    change_list_clear(&list);
    check_zone(input, size);
    return 0;
}
