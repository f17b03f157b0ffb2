/* Transfers out, read back: AXFR tells the zone, IXFR what has to be done to the earlier one. */
#include "journal_fixture.h"

#include <libknot/libknot.h>
#include <unistd.h>

#include "zone/transfer_out.h"
#include "zone_model.h"

#define RECORDS_MAX 4096
#define COMMITS     400

/* ---- Records as octets that can be sorted and compared ---- */

struct text {
    size_t size;
    uint8_t octets[NAME_SIZE_MAX + 6 + 65535];
};

struct records {
    size_t count;
    struct text *list[RECORDS_MAX];
};

static void add_record(struct records *records, const uint8_t *owner, uint16_t type, uint32_t ttl_s,
                       const uint8_t *rdata, size_t size)
{
    assert_true(records->count < RECORDS_MAX);
    const size_t owner_size = knot_dname_size(owner);
    struct text *text = malloc(offsetof(struct text, octets) + owner_size + 6 + size);
    assert_non_null(text);
    memcpy(text->octets, owner, owner_size);
    knot_dname_to_lower(text->octets);
    knot_wire_write_u16(text->octets + owner_size, type);
    knot_wire_write_u32(text->octets + owner_size + 2, ttl_s);
    memcpy(text->octets + owner_size + 6, rdata, size);
    text->size = owner_size + 6 + size;
    records->list[records->count++] = text;
}

static void clear_records(struct records *records)
{
    for (size_t i = 0; i < records->count; i++)
        free(records->list[i]);
    records->count = 0;
}

static int compare_text(const void *one, const void *other)
{
    const struct text *a = *(struct text *const *)one, *b = *(struct text *const *)other;
    const int order = memcmp(a->octets, b->octets, a->size < b->size ? a->size : b->size);
    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

static void assert_same_records(struct records *one, struct records *other)
{
    assert_int_equal(one->count, other->count);
    qsort(one->list, one->count, sizeof(one->list[0]), compare_text);
    qsort(other->list, other->count, sizeof(other->list[0]), compare_text);
    for (size_t i = 0; i < one->count; i++)
        assert_int_equal(compare_text(&one->list[i], &other->list[i]), 0);
}

static int add_entry(void *context, const uint8_t *owner, const struct name_entry *entry)
{
    const uint8_t *at = name_entry_rrsets(entry);
    for (unsigned sets = entry->rrset_count; sets > 0; sets--) {
        struct rrset rrset;
        at = rrset_read(&rrset, at);
        const uint8_t *record = rrset.data;
        for (unsigned left = rrset.rr_count; left > 0; left--) {
            const uint16_t size = knot_wire_read_u16(record);
            add_record(context, owner, rrset.type, rrset.ttl, record + 2, size);
            record += 2 + size;
        }
    }
    return 0;
}

static void dump_zone(const struct zone_data *data, struct records *ret_records)
{
    assert_int_equal(zone_data_each(data, add_entry, ret_records), 0);
}

static const uint8_t request[] = {0x12, 0x34, 0x01, 0,   0,   1,   0,   0,   0, 0, 0, 0, 1, 'a',
                                  7,    'e',  'x',  'a', 'm', 'p', 'l', 'e', 0, 0, 0, 0, 1};

/* Takes all messages, each of which has to be a good answer of at most `max` octets less those
 * reserved, and their records in the order in which they come. Returns the number of messages. */
static unsigned read_all(struct transfer_out *transfer, uint16_t type, size_t max, size_t reserved,
                         struct records *ret_records)
{
    uint8_t question[sizeof(request)];
    memcpy(question, request, sizeof(request));
    knot_wire_write_u16(question + sizeof(request) - 4, type);
    static uint8_t message[65535];
    unsigned messages = 0;
    size_t octets = 0;
    while (!transfer_out_is_done(transfer)) {
        const int size =
            transfer_out_next(transfer, question, sizeof(question), message, max, reserved);
        assert_true(size > 0);
        assert_true((size_t)size <= max - reserved);
        knot_pkt_t *packet = knot_pkt_new(message, (uint16_t)size, NULL);
        assert_non_null(packet);
        assert_int_equal(knot_pkt_parse(packet, KNOT_PF_NOCANON), KNOT_EOK);
        assert_true(knot_wire_get_qr(message) && knot_wire_get_aa(message) &&
                    knot_wire_get_rd(message));
        assert_int_equal(knot_wire_get_id(message), 0x1234);
        assert_int_equal(knot_pkt_qtype(packet), type);
        const knot_pktsection_t *answer = knot_pkt_section(packet, KNOT_ANSWER);
        assert_true(answer->count > 0);
        for (uint16_t i = 0; i < answer->count; i++) {
            const knot_rrset_t *rr = knot_pkt_rr(answer, i);
            add_record(ret_records, rr->owner, rr->type, rr->ttl, rr->rrs.rdata->data,
                       rr->rrs.rdata->len);
        }
        knot_pkt_free(packet);
        messages++;
        octets += (size_t)size;
    }
    assert_int_equal(
        transfer_out_next(transfer, question, sizeof(question), message, max, reserved), 0);
    struct transfer_out_report report;
    transfer_out_report(transfer, &report);
    assert_int_equal(report.messages, messages);
    assert_int_equal(report.octets, octets);
    assert_int_equal(report.records, ret_records->count);
    return messages;
}

static bool is_soa(const struct text *text)
{
    return knot_wire_read_u16(text->octets + knot_dname_size(text->octets)) == KNOT_RRTYPE_SOA;
}

static uint32_t serial_of(const struct text *text)
{
    assert_true(is_soa(text));
    return knot_wire_read_u32(text->octets + text->size - 20);
}

static uint64_t seeded(void)
{
    uint64_t seed = (uint64_t)getpid() * UINT64_C(0x9e3779b97f4a7c15);
    const char *given = getenv("TEST_SEED");
    if (given != NULL)
        seed = strtoull(given, NULL, 0);
    print_message("TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* ---- Changing a zone and its journal together ---- */

struct changing {
    struct model model;
    struct zone_data *data;
    struct journal *journal;
    uint64_t random;
};

static void change(struct changing *changing)
{
    struct error error = {0};
    struct zone_edit *edit;
    struct model before = changing->model;
    assert_int_equal(zone_edit_begin(changing->data, &edit, &error), 0);
    for (uint64_t left = 1 + model_random(&changing->random) % 8; left > 0; left--)
        model_change(&changing->model, edit, &changing->random);
    if (!model_is_valid(&changing->model) || zone_edit_changes(edit)->count == 0) {
        changing->model = before;
        zone_edit_end(edit);
        return;
    }
    assert_int_equal(zone_edit_set_serial(edit, ++changing->model.serial), 0);
    assert_int_equal(zone_edit_prepare(edit), 0);
    const struct change_list *changes = zone_edit_changes(edit);
    const struct commit commit = {.apex = apex_a,
                                  .serial_from = before.serial,
                                  .serial_to = changing->model.serial,
                                  .at_us = changing->model.serial,
                                  .changes = changes->octets,
                                  .changes_size = changes->size};
    assert_int_equal(journal_write(changing->journal, &commit, 1, &error), 0);
    zone_edit_commit(edit);
    zone_edit_end(edit);
}

static void changing_init(struct changing *changing)
{
    changing->random = seeded();
    model_init(&changing->model);
    changing->data = model_build(&changing->model);
    changing->journal = fixture_open(&limits_small);
}

static void changing_clear(struct changing *changing)
{
    journal_close(changing->journal);
    zone_data_free(changing->data);
}

/* ---- AXFR ---- */

static void assert_axfr_tells(struct transfer_out *transfer, struct records *wanted, size_t max)
{
    struct records told = {0};
    read_all(transfer, KNOT_RRTYPE_AXFR, max, 0, &told);
    assert_true(told.count >= 2);
    assert_true(is_soa(told.list[0]));
    assert_int_equal(compare_text(&told.list[0], &told.list[told.count - 1]), 0);
    free(told.list[--told.count]); /* the SOA is told twice */
    assert_same_records(&told, wanted);
    clear_records(&told);
}

static void test_axfr_tells_the_zone_as_it_was_when_it_began(void **state)
{
    (void)state;
    struct changing changing;
    changing_init(&changing);
    for (unsigned round = 0; round < 100; round++) {
        for (unsigned i = 0; i < 5; i++)
            change(&changing);
        struct zone_view *view;
        struct transfer_out *transfer;
        struct records wanted = {0};
        dump_zone(changing.data, &wanted);
        assert_int_equal(zone_view_open(changing.data, &view), 0);
        assert_int_equal(transfer_out_axfr(view, &transfer), 0);
        for (unsigned i = 0; i < 5; i++)
            change(&changing); /* says nothing to this transfer */
        assert_axfr_tells(transfer, &wanted, round % 2 == 0 ? 16384 : 512);
        transfer_out_free(transfer);
        clear_records(&wanted);
    }
    changing_clear(&changing);
}

/* ---- IXFR ---- */

/* Makes of an earlier zone what the difference says. */
static void apply(struct records *zone, const struct records *told)
{
    const uint32_t serial_to = serial_of(told->list[0]);
    bool adds = true;
    assert_int_equal(serial_of(told->list[told->count - 1]), serial_to);
    for (size_t i = 1; i + 1 < told->count; i++) {
        const struct text *text = told->list[i];
        adds = is_soa(text) ? !adds : adds;
        size_t at = 0;
        while (at < zone->count && compare_text(&zone->list[at], &text) != 0)
            at++;
        if (adds) {
            assert_int_equal(at, zone->count); /* what is added is new */
            const size_t owner = knot_dname_size(text->octets);
            add_record(zone, text->octets, knot_wire_read_u16(text->octets + owner),
                       knot_wire_read_u32(text->octets + owner + 2), text->octets + owner + 6,
                       text->size - owner - 6);
        } else {
            assert_true(at < zone->count); /* what is removed was there */
            free(zone->list[at]);
            zone->list[at] = zone->list[--zone->count];
        }
    }
    assert_true(adds);
}

static void assert_ixfr_leads(struct changing *changing, uint32_t serial_from,
                              const struct records *from, size_t max)
{
    struct transfer_out *transfer;
    struct error error = {0};
    struct records told = {0}, zone = {0}, wanted = {0};
    assert_int_equal(
        transfer_out_ixfr(changing->journal, apex_a, serial_from, 16 * MIB, &transfer, &error), 0);
    read_all(transfer, KNOT_RRTYPE_IXFR, max, 0, &told);
    assert_int_equal(serial_of(told.list[0]), changing->model.serial);
    assert_int_equal(serial_of(told.list[1]), serial_from);
    for (size_t i = 0; i < from->count; i++) {
        zone.list[i] = malloc(sizeof(size_t) + from->list[i]->size);
        assert_non_null(zone.list[i]);
        memcpy(zone.list[i], from->list[i], sizeof(size_t) + from->list[i]->size);
        zone.count++;
    }
    apply(&zone, &told);
    dump_zone(changing->data, &wanted);
    assert_same_records(&zone, &wanted);
    transfer_out_free(transfer);
    clear_records(&told);
    clear_records(&zone);
    clear_records(&wanted);
}

static void test_ixfr_leads_from_any_serial_to_the_present_zone(void **state)
{
    (void)state;
    struct changing changing;
    changing_init(&changing);
    struct records states[8] = {0};
    uint32_t serials[8];
    for (unsigned round = 0; round < COMMITS; round++) {
        struct records *kept = &states[round % 8];
        if (round >= 8 && serials[round % 8] != changing.model.serial)
            assert_ixfr_leads(&changing, serials[round % 8], kept, round % 3 == 0 ? 512 : 16384);
        clear_records(kept);
        dump_zone(changing.data, kept);
        serials[round % 8] = changing.model.serial;
        for (uint64_t left = 1 + model_random(&changing.random) % 10; left > 0; left--)
            change(&changing);
    }
    for (unsigned i = 0; i < 8; i++)
        clear_records(&states[i]);
    changing_clear(&changing);
}

static void put_a(struct changing *changing, uint32_t ttl_s)
{
    struct error error = {0};
    struct zone_edit *edit;
    struct name owner;
    model_owner(1, &owner);
    const uint8_t data[] = {0, 4, 192, 0, 2, 1, 0, 4, 192, 0, 2, 2};
    const struct rrset rrset = {.type = KNOT_RRTYPE_A,
                                .rr_count = ttl_s == 0 ? 0 : 2,
                                .ttl = ttl_s,
                                .size = ttl_s == 0 ? 0 : sizeof(data),
                                .data = data};
    assert_int_equal(zone_edit_begin(changing->data, &edit, &error), 0);
    assert_int_equal(zone_edit_put(edit, &owner, &rrset), 0);
    assert_int_equal(zone_edit_set_serial(edit, ++changing->model.serial), 0);
    assert_int_equal(zone_edit_prepare(edit), 0);
    const struct commit commit = {.apex = apex_a,
                                  .serial_from = changing->model.serial - 1,
                                  .serial_to = changing->model.serial,
                                  .changes = zone_edit_changes(edit)->octets,
                                  .changes_size = zone_edit_changes(edit)->size};
    assert_int_equal(journal_write(changing->journal, &commit, 1, &error), 0);
    zone_edit_commit(edit);
    zone_edit_end(edit);
}

static size_t ixfr_records(struct changing *changing, uint32_t serial_from)
{
    struct transfer_out *transfer;
    struct error error = {0};
    struct records told = {0};
    assert_int_equal(
        transfer_out_ixfr(changing->journal, apex_a, serial_from, MIB, &transfer, &error), 0);
    read_all(transfer, KNOT_RRTYPE_IXFR, 16384, 0, &told);
    const size_t count = told.count;
    transfer_out_free(transfer);
    clear_records(&told);
    return count;
}

static void test_what_comes_and_goes_in_between_is_not_told(void **state)
{
    (void)state;
    struct changing changing;
    changing_init(&changing);
    put_a(&changing, 60);
    put_a(&changing, 0);
    assert_int_equal(ixfr_records(&changing, 1), 4); /* four SOAs */
    assert_int_equal(ixfr_records(&changing, 2), 4 + 2);
    changing_clear(&changing);
}

static void test_another_ttl_is_told_as_other_records(void **state)
{
    (void)state;
    struct changing changing;
    changing_init(&changing);
    put_a(&changing, 60);
    struct records before = {0};
    dump_zone(changing.data, &before);
    put_a(&changing, 61);
    assert_int_equal(ixfr_records(&changing, 2), 4 + 2 + 2);
    assert_ixfr_leads(&changing, 2, &before, 16384);
    clear_records(&before);
    changing_clear(&changing);
}

static void test_a_serial_that_the_journal_does_not_know_needs_the_whole_zone(void **state)
{
    (void)state;
    struct changing changing;
    changing_init(&changing);
    put_a(&changing, 60);
    struct transfer_out *transfer;
    struct error error = {0};
    assert_int_equal(transfer_out_ixfr(changing.journal, apex_a, 77, MIB, &transfer, &error),
                     -ENOENT);
    assert_int_equal(transfer_out_ixfr(changing.journal, apex_b, 1, MIB, &transfer, &error),
                     -ENOENT);
    assert_int_equal(transfer_out_ixfr(changing.journal, apex_a, 1, 0, &transfer, &error), -ENOENT);
    changing_clear(&changing);
}

/* ---- Messages ---- */

static struct zone_data *build_large_set(unsigned records, uint16_t size)
{
    struct zone_builder *builder;
    struct zone_data *data;
    struct error error = {0};
    uint8_t soa[22] = {0}, *rdata = calloc(1, size);
    assert_non_null(rdata);
    assert_int_equal(zone_builder_create(apex_a, &builder), 0);
    assert_int_equal(zone_builder_add(builder, apex_a, KNOT_RRTYPE_SOA, 60, soa, 22, &error), 0);
    assert_int_equal(
        zone_builder_add(builder, apex_a, KNOT_RRTYPE_NS, 60, (const uint8_t *)"\1n", 3, &error),
        0);
    for (unsigned i = 0; i < records; i++) {
        knot_wire_write_u32(rdata, i);
        assert_int_equal(zone_builder_add(builder, apex_a, 65280, 60, rdata, size, &error), 0);
    }
    assert_int_equal(zone_builder_finish(builder, &data, &error), 0);
    zone_builder_free(builder);
    free(rdata);
    return data;
}

static void test_a_set_that_fits_no_message_is_told_in_several(void **state)
{
    (void)state;
    struct zone_data *data = build_large_set(40, 200);
    struct records wanted = {0};
    dump_zone(data, &wanted);
    for (size_t max = 400; max < 9000; max += 700) {
        struct zone_view *view;
        struct transfer_out *transfer;
        assert_int_equal(zone_view_open(data, &view), 0);
        assert_int_equal(transfer_out_axfr(view, &transfer), 0);
        assert_axfr_tells(transfer, &wanted, max);
        transfer_out_free(transfer);
    }
    clear_records(&wanted);
    zone_data_free(data);
}

static void test_a_record_that_fits_no_message_waits_for_a_larger_one(void **state)
{
    (void)state;
    struct zone_data *data = build_large_set(3, 20000);
    struct zone_view *view;
    struct transfer_out *transfer;
    static uint8_t message[65535];
    uint8_t question[sizeof(request)];
    memcpy(question, request, sizeof(request));
    knot_wire_write_u16(question + sizeof(request) - 4, KNOT_RRTYPE_AXFR);
    assert_int_equal(zone_view_open(data, &view), 0);
    assert_int_equal(transfer_out_axfr(view, &transfer), 0);
    unsigned refused = 0;
    uint64_t records = 0;
    while (!transfer_out_is_done(transfer)) {
        int size = transfer_out_next(transfer, question, sizeof(question), message, 16384, 0);
        if (size == -EMSGSIZE) {
            refused++;
            size = transfer_out_next(transfer, question, sizeof(question), message, sizeof(message),
                                     0);
        }
        assert_true(size > 0);
        records += knot_wire_get_ancount(message);
    }
    assert_int_equal(refused, 1); /* then all three fit one */
    assert_int_equal(records, 1 + 1 + 3 + 1);
    transfer_out_free(transfer);
    zone_data_free(data);
}

static void test_room_for_a_signature_is_kept(void **state)
{
    (void)state;
    struct zone_data *data = build_large_set(40, 200);
    struct zone_view *view;
    struct transfer_out *transfer;
    struct records told = {0};
    assert_int_equal(zone_view_open(data, &view), 0);
    assert_int_equal(transfer_out_axfr(view, &transfer), 0);
    assert_true(read_all(transfer, KNOT_RRTYPE_AXFR, 1000, 300, &told) > 10);
    transfer_out_free(transfer);
    clear_records(&told);
    zone_data_free(data);
}

static void test_who_has_the_serial_is_told_the_soa_alone(void **state)
{
    (void)state;
    struct model model;
    model_init(&model);
    struct zone_data *data = model_build(&model);
    struct rrset soa;
    struct transfer_out *transfer;
    struct records told = {0};
    assert_true(name_entry_rrset(data->apex_entry, KNOT_RRTYPE_SOA, &soa));
    assert_int_equal(transfer_out_soa(apex_a, &soa, &transfer), 0);
    zone_data_free(data); /* the transfer has its own */
    assert_int_equal(read_all(transfer, KNOT_RRTYPE_IXFR, 512, 0, &told), 1);
    assert_int_equal(told.count, 1);
    assert_int_equal(serial_of(told.list[0]), 1);
    clear_records(&told);
    transfer_out_free(transfer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_axfr_tells_the_zone_as_it_was_when_it_began,
                                        fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_ixfr_leads_from_any_serial_to_the_present_zone,
                                        fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_what_comes_and_goes_in_between_is_not_told,
                                        fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_another_ttl_is_told_as_other_records, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_a_serial_that_the_journal_does_not_know_needs_the_whole_zone, fixture_setup,
            fixture_teardown),
        cmocka_unit_test(test_a_set_that_fits_no_message_is_told_in_several),
        cmocka_unit_test(test_a_record_that_fits_no_message_waits_for_a_larger_one),
        cmocka_unit_test(test_room_for_a_signature_is_kept),
        cmocka_unit_test(test_who_has_the_serial_is_told_the_soa_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
