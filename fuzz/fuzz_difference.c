/* The records of an incremental transfer, as an origin might send them, against a small zone: they
 * are refused, or come to changes that make another zone. A record goes when its TTL is even and
 * comes when it is odd. */
#include "fuzz/fuzz.h"

#include "dns/record_reader.h"
#include "zone/difference.h"
#include "zone/zone_rebuild.h"

#include <libknot/descriptor.h>

static const uint8_t apex_wire[] = "\1a\7example";
static const uint8_t soa[] = "\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1";
static const uint8_t host[] = "\3www\1a\7example";
static const uint8_t address[] = {192, 0, 2, 1};

static void put(struct zone_builder *builder, const uint8_t *owner, uint16_t type,
                const void *rdata, uint16_t size)
{
    struct error error;
    FUZZ_ASSERT(zone_builder_add(builder, owner, type, 300, rdata, size, &error) == 0);
}

/* The zone that the differences are from; made once. */
static struct zone_data *base_zone(void)
{
    static struct zone_data *zone;
    struct zone_builder *builder;
    struct error error;
    if (zone != NULL)
        return zone;
    FUZZ_ASSERT(zone_builder_create(apex_wire, &builder) == 0);
    put(builder, apex_wire, KNOT_RRTYPE_SOA, soa, sizeof(soa) - 1);
    put(builder, apex_wire, KNOT_RRTYPE_NS, host, sizeof(host));
    put(builder, host, KNOT_RRTYPE_A, address, sizeof(address));
    FUZZ_ASSERT(zone_builder_finish(builder, &zone, &error) == 0);
    zone_builder_free(builder);
    return zone;
}

static void check_changes(struct zone_data *zone, const struct difference_list *list,
                          const struct name *apex)
{
    struct zone_hold hold;
    struct change_list changes = {0};
    struct error error = {.code = 0};
    size_t count;
    zone_data_hold(zone, &hold);
    const struct difference_base base = {.apex = apex, .find = zone_hold_find, .context = &hold};
    if (difference_list_resolve(list, &base, &changes, &error) == 0) {
        struct zone_data *next;
        FUZZ_ASSERT(change_list_check(changes.octets, changes.size, &count));
        FUZZ_ASSERT(count == changes.count);
        if (zone_rebuild(&hold, changes.octets, changes.size, &next, &error) == 0)
            zone_data_free(next);
        else
            FUZZ_ASSERT(error.text[0] != '\0');
    } else {
        FUZZ_ASSERT(error.text[0] != '\0');
    }
    change_list_clear(&changes);
    zone_hold_release(&hold);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static struct record_reader *reader;
    struct difference_list list = {0};
    struct record record;
    struct name apex;

    if (size < MESSAGE_HEADER_SIZE || size > MESSAGE_SIZE_MAX)
        return 0;
    if (reader == NULL)
        reader = record_reader_create();
    FUZZ_ASSERT(reader != NULL && name_parse(&apex, apex_wire, sizeof(apex_wire)) > 0);

    record_reader_init(reader, input, size);
    while (record_reader_next(reader, &record) == 0)
        FUZZ_ASSERT(difference_list_add(&list, &apex, record.ttl_s % 2 != 0, record.owner,
                                        record.type, record.ttl_s, record.rdata,
                                        record.rdata_size) <= 0);
    check_changes(base_zone(), &list, &apex);
    difference_list_clear(&list);
    return 0;
}
