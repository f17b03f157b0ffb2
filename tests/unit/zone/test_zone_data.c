/* One generation: conflicts while it is built, and marks while it is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <libknot/libknot.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/rcu.h"
#include "zone/zone_data.h"

#define APEX "a.example."

static const uint8_t SOA[] = "\3ns1\1a\7example\0\1h\0\0\0\0\7\0\0\1\0\0\0\1\0\0\0\1\0\0\0\0\x3c";
static const uint8_t HOST[] = "\3ns1\1a\7example";
static const uint8_t ADDRESS[] = {192, 0, 2, 1};

static const uint8_t *wire_of(const char *text)
{
    static uint8_t wire[4][NAME_SIZE_MAX];
    static unsigned turn;
    uint8_t *place = wire[turn++ % 4];
    assert_non_null(knot_dname_from_str(place, text, NAME_SIZE_MAX));
    return place;
}

static struct zone_builder *begin(void)
{
    struct zone_builder *builder;
    assert_int_equal(zone_builder_create(wire_of(APEX), &builder), 0);
    return builder;
}

static int add(struct zone_builder *builder, const char *owner, uint16_t type, const void *rdata,
               size_t size)
{
    struct error error = {0};
    int rc = zone_builder_add(builder, wire_of(owner), type, 300, rdata, (uint16_t)size, &error);
    /* A refusal says why, and blames no memory. */
    assert_true(rc == 0 ? error.text[0] == '\0' : rc != -ENOMEM && error.text[0] != '\0');
    return rc;
}

static int add_address(struct zone_builder *builder, const char *owner)
{
    return add(builder, owner, KNOT_RRTYPE_A, ADDRESS, sizeof(ADDRESS));
}

static int add_alias(struct zone_builder *builder, const char *owner, uint16_t type)
{
    return add(builder, owner, type, HOST, sizeof(HOST));
}

static void add_apex(struct zone_builder *builder)
{
    assert_int_equal(add(builder, APEX, KNOT_RRTYPE_SOA, SOA, sizeof(SOA) - 1), 0);
    assert_int_equal(add_alias(builder, APEX, KNOT_RRTYPE_NS), 0);
}

static struct zone_data *finish(struct zone_builder *builder)
{
    struct zone_data *data;
    struct error error;
    if (zone_builder_finish(builder, &data, &error) != 0)
        fail_msg("%s", error.text);
    zone_builder_free(builder);
    return data;
}

static struct name_hit find(const struct zone_data *data, const char *text)
{
    struct name name;
    assert_true(name_parse(&name, wire_of(text), NAME_SIZE_MAX) > 0);
    return zone_data_find(data, &name);
}

static enum name_state state_of(const struct zone_data *data, const char *text)
{
    struct name name;
    assert_true(name_parse(&name, wire_of(text), NAME_SIZE_MAX) > 0);
    return zone_data_name_state(data, &name);
}

/* ---- Building ---- */

static void test_records_that_contradict_each_other_are_refused_and_change_nothing(void **state)
{
    (void)state;
    struct zone_builder *builder = begin();
    add_apex(builder);
    assert_int_equal(add_alias(builder, "www.a.example.", KNOT_RRTYPE_CNAME), 0);
    assert_int_equal(add_address(builder, "www.a.example."), -EINVAL);
    assert_int_equal(add_address(builder, "host.a.example."), 0);
    assert_int_equal(add_alias(builder, "host.a.example.", KNOT_RRTYPE_CNAME), -EINVAL);
    assert_int_equal(add(builder, "www.a.example.", KNOT_RRTYPE_CNAME, "\1x", 3), -EINVAL);
    assert_int_equal(add_alias(builder, "tree.a.example.", KNOT_RRTYPE_DNAME), 0);
    assert_int_equal(add(builder, "tree.a.example.", KNOT_RRTYPE_DNAME, "\1x", 3), -EINVAL);
    assert_int_equal(add(builder, "host.a.example.", KNOT_RRTYPE_SOA, SOA, sizeof(SOA) - 1),
                     -EINVAL);
    uint8_t other_soa[sizeof(SOA)];
    memcpy(other_soa, SOA, sizeof(SOA));
    other_soa[sizeof(SOA) - 2]++;
    assert_int_equal(add(builder, APEX, KNOT_RRTYPE_SOA, other_soa, sizeof(SOA) - 1), -EINVAL);
    static const uint16_t meta[] = {KNOT_RRTYPE_ANY, KNOT_RRTYPE_AXFR, KNOT_RRTYPE_TSIG,
                                    KNOT_RRTYPE_OPT};
    for (size_t i = 0; i < sizeof(meta) / sizeof(meta[0]); i++)
        assert_int_equal(add(builder, "host.a.example.", meta[i], "", 0), -EINVAL);
    assert_int_equal(zone_builder_record_count(builder), 5);

    struct zone_data *data = finish(builder);
    assert_int_equal(data->record_count, 5);
    assert_int_equal(data->soa.minimum_s, 60);
    assert_int_equal(find(data, "www.a.example.").entry->rrset_count, 1);
    zone_data_free(data);
}

static void test_owners_outside_are_refused_and_duplicates_dropped(void **state)
{
    (void)state;
    struct zone_builder *builder = begin();
    add_apex(builder);
    assert_int_equal(add_address(builder, "b.example."), -ERANGE);
    assert_int_equal(add_address(builder, "xa.example."), -ERANGE);
    assert_int_equal(add_address(builder, "example."), -ERANGE);
    assert_int_equal(add_address(builder, "host.a.example."), 0);
    assert_int_equal(add_address(builder, "HOST.A.Example."), 0);
    struct zone_data *data = finish(builder);
    assert_int_equal(data->record_count, 3);
    assert_int_equal(data->name_count, 2);
    zone_data_free(data);
}

static void test_a_zone_without_soa_or_ns_is_none(void **state)
{
    (void)state;
    for (int with_soa = 0; with_soa < 2; with_soa++) {
        struct zone_builder *builder = begin();
        if (with_soa)
            assert_int_equal(add(builder, APEX, KNOT_RRTYPE_SOA, SOA, sizeof(SOA) - 1), 0);
        else
            assert_int_equal(add_alias(builder, APEX, KNOT_RRTYPE_NS), 0);
        struct zone_data *data;
        struct error error = {0};
        assert_int_equal(zone_builder_finish(builder, &data, &error), -EINVAL);
        assert_non_null(strstr(error.text, with_soa ? "NS" : "SOA"));
        zone_builder_free(builder);
    }
}

static void test_names_have_the_states_that_an_order_asks_for(void **state)
{
    (void)state;
    struct zone_builder *builder = begin();
    add_apex(builder);
    assert_int_equal(add_address(builder, "deep.below.a.example."), 0);
    assert_int_equal(add_address(builder, "*.wild.a.example."), 0);
    assert_int_equal(add_alias(builder, "cut.a.example.", KNOT_RRTYPE_NS), 0);
    assert_int_equal(add_address(builder, "glue.cut.a.example."), 0);
    assert_int_equal(add_alias(builder, "tree.a.example.", KNOT_RRTYPE_DNAME), 0);
    struct zone_data *data = finish(builder);

    assert_int_equal(state_of(data, APEX), NAME_IS_APEX);
    assert_int_equal(state_of(data, "deep.below.a.example."), NAME_EXISTS);
    assert_int_equal(state_of(data, "below.a.example."), NAME_EMPTY);
    assert_int_equal(state_of(data, "x.y.wild.a.example."), NAME_WILDCARDED);
    assert_int_equal(state_of(data, "x.below.a.example."), NAME_MISSING);
    assert_int_equal(state_of(data, "cut.a.example."), NAME_CUT);
    assert_int_equal(state_of(data, "glue.cut.a.example."), NAME_BELOW_CUT);
    assert_int_equal(state_of(data, "x.y.cut.a.example."), NAME_BELOW_CUT);
    assert_int_equal(state_of(data, "x.tree.a.example."), NAME_BELOW_CUT);
    /* A listed name that is not in the zone neither exists nor encloses. */
    assert_int_equal(zone_data_mark(data, wire_of("p.below.a.example.")), 0);
    assert_int_equal(state_of(data, "p.below.a.example."), NAME_MISSING);
    assert_int_equal(state_of(data, "x.p.below.a.example."), NAME_MISSING);
    zone_data_free(data);
}

/* ---- Marks under readers ---- */

#define HOSTS   2000
#define LISTED  20000
#define READERS 3

struct reading {
    struct zone_data *data;
    _Atomic(unsigned) marked; /* listed names below this number are marked */
    _Atomic(bool) ends;
    _Atomic(unsigned) faults;
    _Atomic(uint64_t) lookups;
};

static void name_of(struct name *ret_name, const char *kind, unsigned number)
{
    char text[64];
    uint8_t wire[NAME_SIZE_MAX];
    snprintf(text, sizeof(text), "%s%u.a.example.", kind, number);
    (void)knot_dname_from_str(wire, text, sizeof(wire));
    (void)name_parse(ret_name, wire, sizeof(wire));
}

static void *read_all(void *argument)
{
    struct reading *reading = argument;
    unsigned number = 0;

    rcu_register_thread();
    while (!atomic_load(&reading->ends)) {
        struct name name;
        number = number * 1664525u + 1013904223u;

        name_of(&name, "h", number % HOSTS);
        struct name_hit hit = zone_data_find(reading->data, &name);
        if (hit.entry == NULL || hit.entry->rrset_count != 1)
            atomic_fetch_add(&reading->faults, 1);

        /* What was marked before is found marked, whatever grows meanwhile. */
        unsigned marked = atomic_load(&reading->marked);
        if (marked > 0) {
            name_of(&name, "p", number % marked);
            hit = zone_data_find(reading->data, &name);
            if (hit.entry != NULL || !hit.marked)
                atomic_fetch_add(&reading->faults, 1);
        }
        name_of(&name, "missing", number);
        if (zone_data_find(reading->data, &name).entry != NULL)
            atomic_fetch_add(&reading->faults, 1);
        atomic_fetch_add(&reading->lookups, 1);
        rcu_quiescent_state();
    }
    rcu_unregister_thread();
    return NULL;
}

static struct zone_data *hosts(void)
{
    struct zone_builder *builder = begin();
    add_apex(builder);
    for (unsigned i = 0; i < HOSTS; i++) {
        char text[64];
        snprintf(text, sizeof(text), "h%u.a.example.", i);
        assert_int_equal(add_address(builder, text), 0);
    }
    return finish(builder);
}

static void test_readers_find_every_name_and_mark_while_the_table_grows(void **state)
{
    (void)state;
    struct reading reading = {.data = hosts()};
    pthread_t readers[READERS];
    uint64_t capacity = reading.data->table->capacity;
    for (size_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_all, &reading), 0);

    for (unsigned i = 0; i < LISTED; i++) {
        struct name name;
        name_of(&name, "p", i);
        assert_int_equal(zone_data_mark(reading.data, name.wire), 0);
        atomic_store(&reading.marked, i + 1);
    }
    while (atomic_load(&reading.lookups) < 10000 && atomic_load(&reading.faults) == 0)
        sched_yield();
    atomic_store(&reading.ends, true);
    for (size_t i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(reading.faults, 0);
    assert_true(reading.data->table->capacity > capacity * 4);
    assert_int_equal(reading.data->name_count, HOSTS + 1);
    zone_data_free(reading.data);
}

static void test_marks_survive_growth_and_go_when_cleared(void **state)
{
    (void)state;
    struct zone_data *data = hosts();
    assert_int_equal(zone_data_mark(data, wire_of("H5.a.example.")), 0);
    assert_int_equal(zone_data_mark(data, wire_of(APEX)), 0);
    assert_int_equal(zone_data_reserve(data, 100000), 0);
    assert_true(find(data, "h5.a.example.").marked);
    assert_true(find(data, APEX).marked);
    assert_false(find(data, "h6.a.example.").marked);

    uint64_t memory = data->memory;
    for (int round = 0; round < 100; round++) {
        assert_int_equal(zone_data_mark(data, wire_of("dead.a.example.")), 0);
        assert_true(find(data, "dead.a.example.").marked);
        zone_data_unmark(data, wire_of("dead.a.example."));
        assert_false(find(data, "dead.a.example.").marked);
    }
    assert_int_equal(data->memory, memory);
    zone_data_unmark(data, wire_of("H5.a.example."));
    zone_data_unmark(data, wire_of("never.a.example."));
    zone_data_unmark(data, wire_of("b.example."));
    assert_false(find(data, "h5.a.example.").marked);
    assert_int_equal(find(data, "h5.a.example.").entry->rrset_count, 1);
    zone_data_free(data);
}

static void test_a_zone_without_data_takes_marks(void **state)
{
    (void)state;
    struct zone_data *data;
    assert_int_equal(zone_data_create_empty(wire_of(APEX), &data), 0);
    for (unsigned i = 0; i < 1000; i++) {
        struct name name;
        name_of(&name, "p", i);
        assert_int_equal(zone_data_mark(data, name.wire), 0);
    }
    assert_true(find(data, "p999.a.example.").marked);
    assert_int_equal(data->name_count, 0);
    zone_data_free(data);
}

static void test_marks_of_missing_names_give_their_slots_back(void **state)
{
    (void)state;
    struct zone_data *data = hosts();
    assert_int_equal(zone_data_reserve(data, 1000), 0);
    const uint64_t capacity = data->table->capacity;
    for (unsigned i = 0; i < 100000; i++) {
        struct name name;
        name_of(&name, "p", i);
        assert_int_equal(zone_data_mark(data, name.wire), 0);
        if (i >= 500) {
            name_of(&name, "p", i - 500);
            zone_data_unmark(data, name.wire);
            assert_false(zone_data_find(data, &name).marked);
        }
    }
    assert_true(data->table->capacity <= capacity * 3 / 2);
    assert_int_equal(name_table_count(data->table), HOSTS + 1 + 500);
    zone_data_free(data);
}

static void test_many_names_are_marked_at_once(void **state)
{
    (void)state;
    struct zone_data *data = hosts();
    static struct name names[LISTED];
    static const uint8_t *owners[LISTED];
    for (unsigned i = 0; i < LISTED; i++) {
        name_of(&names[i], i % 2 == 0 ? "h" : "p", i);
        owners[i] = names[i].wire;
    }
    assert_int_equal(zone_data_mark_all(data, owners, LISTED), 0);
    assert_int_equal(zone_data_mark_all(data, owners, LISTED), 0);
    for (unsigned i = 0; i < LISTED; i++) {
        struct name_hit hit = zone_data_find(data, &names[i]);
        assert_true(hit.marked);
        assert_int_equal(hit.entry != NULL, i % 2 == 0 && i < HOSTS);
    }
    assert_false(find(data, "h1.a.example.").marked);
    assert_int_equal(name_table_count(data->table), HOSTS + 1 + LISTED - HOSTS / 2);
    zone_data_free(data);
}

/* Enough for table and entries to be on large pages, with a part of one to spare. */
#define LARGE 300000

static void test_a_large_zone_has_all_of_its_names_and_takes_more(void **state)
{
    (void)state;
    struct zone_builder *builder = begin();
    struct name name;
    add_apex(builder);
    for (unsigned i = 0; i < LARGE; i++) {
        name_of(&name, "l", i);
        const uint32_t address = i;
        struct error error;
        assert_int_equal(zone_builder_add(builder, name.wire, KNOT_RRTYPE_A, 60,
                                          (const uint8_t *)&address, 4, &error),
                         0);
    }
    struct zone_data *data = finish(builder);
    for (unsigned i = 0; i < LARGE / 10; i++) { /* into memory that was given back */
        name_of(&name, "more", i);
        assert_int_equal(zone_data_mark(data, name.wire), 0);
    }
    for (unsigned i = 0; i < LARGE; i++) {
        struct rrset rrset = {0};
        name_of(&name, "l", i);
        const struct name_entry *entry = zone_data_find(data, &name).entry;
        assert_non_null(entry);
        assert_true(name_entry_rrset(entry, KNOT_RRTYPE_A, &rrset));
        assert_memory_equal(rrset.data + 2, &i, 4);
        name_of(&name, "more", i);
        assert_true(zone_data_find(data, &name).marked == (i < LARGE / 10));
    }
    assert_int_equal(data->name_count, LARGE + 1);
    zone_data_free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_large_zone_has_all_of_its_names_and_takes_more),
        cmocka_unit_test(test_records_that_contradict_each_other_are_refused_and_change_nothing),
        cmocka_unit_test(test_owners_outside_are_refused_and_duplicates_dropped),
        cmocka_unit_test(test_a_zone_without_soa_or_ns_is_none),
        cmocka_unit_test(test_names_have_the_states_that_an_order_asks_for),
        cmocka_unit_test(test_readers_find_every_name_and_mark_while_the_table_grows),
        cmocka_unit_test(test_marks_survive_growth_and_go_when_cleared),
        cmocka_unit_test(test_a_zone_without_data_takes_marks),
        cmocka_unit_test(test_marks_of_missing_names_give_their_slots_back),
        cmocka_unit_test(test_many_names_are_marked_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
