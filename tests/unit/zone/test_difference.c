/* Differences and what they come to: against a model, at random, and the misfits one by one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <libknot/libknot.h>

#include "zone/difference.h"
#include "zone/zone_rebuild.h"

#define APEX ((const uint8_t *)"\1a\7example")

static const uint8_t SOA_1[] = "\3ns1\1a\7example\0\1h\0\0\0\0\1\0\0\1\0\0\0\1\0\0\0\1\0\0\0\0\x3c";
static const uint8_t SOA_2[] = "\3ns1\1a\7example\0\1h\0\0\0\0\2\0\0\1\0\0\0\1\0\0\0\1\0\0\0\0\x3c";
static const uint8_t HOST[] = "\3ns1\1a\7example";
#define SOA_SIZE (sizeof(SOA_1) - 1)

static struct name apex;

static const uint8_t *wire_of(const char *text)
{
    static uint8_t wire[4][NAME_SIZE_MAX];
    static unsigned turn;
    uint8_t *place = wire[turn++ % 4];
    assert_non_null(knot_dname_from_str(place, text, NAME_SIZE_MAX));
    return place;
}

/* ---- A zone and changes to it ---- */

static void put(struct zone_builder *builder, const char *owner, uint16_t type, uint32_t ttl_s,
                const void *rdata, size_t size)
{
    struct error error;
    if (zone_builder_add(builder, wire_of(owner), type, ttl_s, rdata, (uint16_t)size, &error) != 0)
        fail_msg("%s", error.text);
}

static struct zone_builder *begin(void)
{
    struct zone_builder *builder;
    assert_true(name_parse(&apex, APEX, NAME_SIZE_MAX) > 0);
    assert_int_equal(zone_builder_create(APEX, &builder), 0);
    put(builder, "a.example.", KNOT_RRTYPE_SOA, 60, SOA_1, SOA_SIZE);
    put(builder, "a.example.", KNOT_RRTYPE_NS, 60, HOST, sizeof(HOST));
    return builder;
}

static struct zone_data *finish(struct zone_builder *builder)
{
    struct zone_data *data;
    struct error error;
    assert_int_equal(zone_builder_finish(builder, &data, &error), 0);
    zone_builder_free(builder);
    return data;
}

static void differ(struct difference_list *list, bool is_addition, const char *owner, uint16_t type,
                   uint32_t ttl_s, const void *rdata, size_t size)
{
    assert_int_equal(difference_list_add(list, &apex, is_addition, wire_of(owner), type, ttl_s,
                                         rdata, (uint16_t)size),
                     0);
}

/* Every transfer changes the SOA. */
static void differ_soa(struct difference_list *list)
{
    differ(list, false, "a.example.", KNOT_RRTYPE_SOA, 60, SOA_1, SOA_SIZE);
    differ(list, true, "a.example.", KNOT_RRTYPE_SOA, 60, SOA_2, SOA_SIZE);
}

static int resolve(const struct zone_data *data, struct difference_list *list,
                   struct change_list *changes, struct error *ret_error)
{
    struct zone_hold hold;
    zone_data_hold((struct zone_data *)data, &hold);
    const struct difference_base base = {.apex = &apex, .find = zone_hold_find, .context = &hold};
    const int rc = difference_list_resolve(list, &base, changes, ret_error);
    zone_hold_release(&hold);
    return rc;
}

static struct zone_data *rebuild(struct zone_data *data, const struct change_list *changes)
{
    struct zone_hold hold;
    struct zone_data *next;
    struct error error;
    size_t count;
    assert_true(change_list_check(changes->octets, changes->size, &count));
    zone_data_hold(data, &hold);
    if (zone_rebuild(&hold, changes->octets, changes->size, &next, &error) != 0)
        fail_msg("%s", error.text);
    zone_hold_release(&hold);
    return next;
}

static bool find_set(const struct zone_data *data, const char *owner, uint16_t type,
                     struct rrset *ret_rrset)
{
    struct name name;
    assert_true(name_parse(&name, wire_of(owner), NAME_SIZE_MAX) > 0);
    const struct name_entry *entry = zone_data_find(data, &name).entry;
    return entry != NULL && name_entry_rrset(entry, type, ret_rrset);
}

/* ---- At random ---- */

#define OWNERS 6
#define VALUES 8
#define STEPS  30
#define ROUNDS 400

struct model {
    bool has[OWNERS][VALUES];
};

static const char *owner_text(size_t owner)
{
    static char text[32];
    snprintf(text, sizeof(text), "%c.a.example.", (char)('b' + owner));
    return text;
}

static void assert_is_model(const struct zone_data *data, const struct model *model)
{
    for (size_t owner = 0; owner < OWNERS; owner++) {
        struct rrset rrset = {.rr_count = 0};
        size_t count = 0;
        const bool found = find_set(data, owner_text(owner), KNOT_RRTYPE_A, &rrset);
        const uint8_t *at = rrset.data;
        for (size_t value = 0; value < VALUES; value++) {
            if (!model->has[owner][value])
                continue;
            assert_true(found && count < rrset.rr_count);
            assert_memory_equal(at, ((uint8_t[]){0, 4, 192, 0, 2, (uint8_t)value}), 6);
            at += 6;
            count++;
        }
        assert_int_equal(count, rrset.rr_count);
    }
}

static void random_step(struct model *model, struct difference_list *list)
{
    const size_t owner = (size_t)rand() % OWNERS, value = (size_t)rand() % VALUES;
    const uint8_t address[] = {192, 0, 2, (uint8_t)value};
    bool *has = &model->has[owner][value];
    differ(list, !*has, owner_text(owner), KNOT_RRTYPE_A, 300, address, sizeof(address));
    *has = !*has;
}

static void test_random_steps_lead_where_a_model_says(void **state)
{
    const unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    for (int round = 0; round < ROUNDS; round++) {
        struct model model = {0};
        struct zone_builder *builder = begin();
        for (size_t owner = 0; owner < OWNERS; owner++)
            for (size_t value = 0; value < VALUES; value++)
                if (rand() % 2 == 0) {
                    const uint8_t address[] = {192, 0, 2, (uint8_t)value};
                    put(builder, owner_text(owner), KNOT_RRTYPE_A, 300, address, 4);
                    model.has[owner][value] = true;
                }
        struct zone_data *data = finish(builder);

        struct difference_list list = {0};
        differ_soa(&list);
        for (int step = rand() % STEPS; step > 0; step--)
            random_step(&model, &list);
        struct change_list changes = {0};
        struct error error;
        if (resolve(data, &list, &changes, &error) != 0)
            fail_msg("%s", error.text);
        struct zone_data *next = rebuild(data, &changes);
        assert_int_equal(next->soa.serial, 2);
        assert_is_model(next, &model);

        zone_data_free(next);
        zone_data_free(data);
        change_list_clear(&changes);
        difference_list_clear(&list);
    }
    (void)state;
}

/* ---- What fits ---- */

static const uint8_t ONE[] = {192, 0, 2, 1}, TWO[] = {192, 0, 2, 2};

/* www has ONE, alias is a CNAME. */
static struct zone_data *small_zone(void)
{
    struct zone_builder *builder = begin();
    put(builder, "www.a.example.", KNOT_RRTYPE_A, 300, ONE, 4);
    put(builder, "alias.a.example.", KNOT_RRTYPE_CNAME, 300, HOST, sizeof(HOST));
    return finish(builder);
}

static void test_the_soa_comes_last_and_each_set_once(void **state)
{
    struct zone_data *data = small_zone();
    struct difference_list list = {0};
    differ_soa(&list);
    differ(&list, false, "www.a.example.", KNOT_RRTYPE_A, 300, ONE, 4);
    differ(&list, true, "www.a.example.", KNOT_RRTYPE_A, 300, TWO, 4);
    differ(&list, true, "WWW.A.example.", KNOT_RRTYPE_A, 600, ONE, 4);

    struct change_list changes = {0};
    struct error error;
    assert_int_equal(resolve(data, &list, &changes, &error), 0);
    struct change change;
    size_t at = 0;
    assert_true(change_list_next(changes.octets, changes.size, &at, &change));
    assert_int_equal(change.owner_size, 4);
    assert_int_equal(change.before.rr_count, 1);
    assert_int_equal(change.after.rr_count, 2);
    assert_int_equal(change.after.ttl, 600); /* of the latest addition */
    assert_true(change_list_next(changes.octets, changes.size, &at, &change));
    assert_int_equal(change.after.type, KNOT_RRTYPE_SOA);
    assert_false(change_list_next(changes.octets, changes.size, &at, &change));

    change_list_clear(&changes);
    difference_list_clear(&list);
    zone_data_free(data);
    (void)state;
}

static void test_what_goes_and_comes_back_is_no_change(void **state)
{
    struct zone_data *data = small_zone();
    struct difference_list list = {0};
    differ_soa(&list);
    differ(&list, false, "www.a.example.", KNOT_RRTYPE_A, 300, ONE, 4);
    differ(&list, true, "www.a.example.", KNOT_RRTYPE_A, 300, ONE, 4);
    differ(&list, true, "new.a.example.", KNOT_RRTYPE_A, 300, ONE, 4);
    differ(&list, false, "new.a.example.", KNOT_RRTYPE_A, 300, ONE, 4);
    struct change_list changes = {0};
    struct error error;
    assert_int_equal(resolve(data, &list, &changes, &error), 0);
    assert_int_equal(changes.count, 1); /* the SOA */
    change_list_clear(&changes);
    difference_list_clear(&list);
    zone_data_free(data);
    (void)state;
}

static void test_a_cname_gives_way_to_an_address(void **state)
{
    struct zone_data *data = small_zone();
    struct difference_list list = {0};
    differ_soa(&list);
    differ(&list, false, "alias.a.example.", KNOT_RRTYPE_CNAME, 300, HOST, sizeof(HOST));
    differ(&list, true, "alias.a.example.", KNOT_RRTYPE_A, 300, ONE, 4);
    struct change_list changes = {0};
    struct error error;
    assert_int_equal(resolve(data, &list, &changes, &error), 0);
    struct zone_data *next = rebuild(data, &changes);
    struct rrset rrset;
    assert_true(find_set(next, "alias.a.example.", KNOT_RRTYPE_A, &rrset));
    assert_false(find_set(next, "alias.a.example.", KNOT_RRTYPE_CNAME, &rrset));
    assert_true(find_set(next, "www.a.example.", KNOT_RRTYPE_A, &rrset));
    zone_data_free(next);
    change_list_clear(&changes);
    difference_list_clear(&list);
    zone_data_free(data);
    (void)state;
}

/* ---- What does not ---- */

struct misfit {
    const char *why, *owner;
    uint16_t type;
    const void *rdata;
    size_t size;
    const char *signs; /* one difference each: '+' comes, '-' goes */
};

static void test_what_does_not_fit_is_refused_with_the_reason(void **state)
{
    static const struct misfit misfits[] = {
        {"www.a.example. A is added, but is there already", "www.a.example.", KNOT_RRTYPE_A, ONE, 4,
         "+"},
        {"is removed, but was not there", "www.a.example.", KNOT_RRTYPE_A, TWO, 4, "-"},
        {"is removed, but was not there", "none.a.example.", KNOT_RRTYPE_A, ONE, 4, "-"},
        {"is removed, but was not there", "www.a.example.", KNOT_RRTYPE_AAAA, "0123456789abcdef",
         16, "-"},
        {"is removed twice", "www.a.example.", KNOT_RRTYPE_A, ONE, 4, "--"},
        {"is added twice", "www.a.example.", KNOT_RRTYPE_A, TWO, 4, "++"},
        {"leaves a CNAME beside other data", "www.a.example.", KNOT_RRTYPE_CNAME, HOST,
         sizeof(HOST), "+"},
        {"leaves a CNAME beside other data", "alias.a.example.", KNOT_RRTYPE_A, ONE, 4, "+"},
        {"would be too many records", "alias.a.example.", KNOT_RRTYPE_CNAME, "\1x", 3, "+"},
        {"without SOA or NS", "a.example.", KNOT_RRTYPE_NS, HOST, sizeof(HOST), "-"},
        {"without SOA or NS", "a.example.", KNOT_RRTYPE_SOA, SOA_2, SOA_SIZE, "-"},
    };
    for (size_t i = 0; i < sizeof(misfits) / sizeof(misfits[0]); i++) {
        const struct misfit *misfit = &misfits[i];
        struct zone_data *data = small_zone();
        struct difference_list list = {0};
        differ_soa(&list);
        for (const char *sign = misfit->signs; *sign != '\0'; sign++)
            differ(&list, *sign == '+', misfit->owner, misfit->type, 300, misfit->rdata,
                   misfit->size);
        struct change_list changes = {0};
        struct error error = {.code = 0};
        assert_int_equal(resolve(data, &list, &changes, &error), -EBADMSG);
        if (strstr(error.text, misfit->why) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", error.text, misfit->why);
        change_list_clear(&changes);
        difference_list_clear(&list);
        zone_data_free(data);
    }
    (void)state;
}

static void test_only_records_of_the_zone_get_into_a_list(void **state)
{
    struct difference_list list = {0};
    assert_true(name_parse(&apex, APEX, NAME_SIZE_MAX) > 0);
    static const char *const strangers[] = {"example.", "b.example.", "xa.example.", "."};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(difference_list_add(&list, &apex, true, wire_of(strangers[i]),
                                             KNOT_RRTYPE_A, 1, ONE, 4),
                         -ERANGE);
    /* Its last octets are those of the apex, but no label begins there. */
    assert_int_equal(difference_list_add(&list, &apex, true, (const uint8_t *)"\3x\1a\7example",
                                         KNOT_RRTYPE_A, 1, ONE, 4),
                     -ERANGE);
    assert_int_equal(difference_list_add(&list, &apex, true, wire_of("x.a.example."),
                                         KNOT_RRTYPE_SOA, 1, SOA_1, SOA_SIZE),
                     -EINVAL);
    assert_int_equal(difference_list_add(&list, &apex, true, wire_of("x.a.example."),
                                         KNOT_RRTYPE_ANY, 1, ONE, 4),
                     -EINVAL);
    assert_int_equal(list.count, 0);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_steps_lead_where_a_model_says),
        cmocka_unit_test(test_the_soa_comes_last_and_each_set_once),
        cmocka_unit_test(test_what_goes_and_comes_back_is_no_change),
        cmocka_unit_test(test_a_cname_gives_way_to_an_address),
        cmocka_unit_test(test_what_does_not_fit_is_refused_with_the_reason),
        cmocka_unit_test(test_only_records_of_the_zone_get_into_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
