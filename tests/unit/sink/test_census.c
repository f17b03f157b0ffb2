/* Who counts as a victim, and who only looks like one. Times are simulated. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sink/census.h"

#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)
#define HOUR_US   (60 * MINUTE_US)
#define DAY_US    (24 * HOUR_US)
#define START_US  (INT64_C(20700) * DAY_US) /* midnight of a day in 2026 */

static const struct census_options options = {
    .persistence_s = 24 * 3600,
    .checkins_min = 3,
    .networks_max = 4,
    .ids_per_address_max = 5,
    .quiet_s = 3 * 24 * 3600,
    .memory_max = 64 << 20,
};

static int make(void **state)
{
    *state = census_create(&options);
    return *state == NULL ? -1 : 0;
}

static int unmake(void **state)
{
    census_free(*state);
    return 0;
}

static void put_number(uint8_t *octets, uint64_t number)
{
    /* Ids are hashes: their octets look random. */
    for (unsigned half = 0; half < 2; half++) {
        number = (number + half + 1) * UINT64_C(0x9e3779b97f4a7c15);
        number ^= number >> 29;
        memcpy(octets + 8 * half, &number, sizeof(number));
    }
}

/* A valid check-in of njRAT; addresses of one network share all but the low 8 bits. */
static struct sink_event checkin(uint64_t id, uint64_t address, int64_t at_us)
{
    struct sink_event event = {
        .at_us = at_us,
        .kind = SINK_CHECKIN,
        .wellformed = true,
        .consistent = true,
        .epoch = 1,
        .local_port = 1177,
        .asn = 64496,
        .country = "CH",
        .has_victim = true,
        .has_machine = true,
        .family = "njrat",
        .version = "0.7d",
        .order = "nv-1",
        .name = "c2.example",
    };
    put_number(event.victim, id);
    put_number(event.machine, id);
    put_number(event.client, address);
    put_number(event.network, address >> 8);
    return event;
}

static void feed(struct census *census, struct sink_event event)
{
    assert_int_equal(census_feed(census, &event), 0);
}

/* As a bot does that finds no controller: a row of check-ins, a minute apart. */
static void feed_row(struct census *census, struct sink_event event, unsigned count)
{
    for (unsigned i = 0; i < count; i++, event.at_us += MINUTE_US)
        feed(census, event);
}

static void feed_victim(struct census *census, uint64_t id, uint64_t address, unsigned days)
{
    for (unsigned day = 0; day < days; day++)
        feed_row(census, checkin(id, address, START_US + day * DAY_US + 9 * HOUR_US), 5);
}

struct wanted {
    uint8_t id[SINK_ID_SIZE];
    struct census_entry entry;
    struct sink_event last;
    bool found;
};

static int keep_wanted(void *context, const struct census_entry *entry)
{
    struct wanted *wanted = context;
    if (memcmp(entry->id, wanted->id, SINK_ID_SIZE) == 0) {
        assert_false(wanted->found);
        wanted->entry = *entry;
        wanted->last = *entry->last;
        wanted->found = true;
    }
    return 0;
}

static struct wanted look_up(const struct census *census, uint64_t id)
{
    struct wanted wanted = {.found = false};
    put_number(wanted.id, id);
    assert_int_equal(census_each(census, START_US, keep_wanted, &wanted), 0);
    return wanted;
}

static void assert_class(const struct census *census, uint64_t id, enum census_class class,
                         const char *reason)
{
    const struct wanted wanted = look_up(census, id);
    assert_true(wanted.found);
    assert_string_equal(census_class_names[wanted.entry.class], census_class_names[class]);
    assert_non_null(strstr(wanted.entry.reason, reason));
}

struct one_cut {
    const char *key;
    struct census_figures figures;
    unsigned count;
};

static int keep_cut(void *context, const char *key, const struct census_figures *figures)
{
    struct one_cut *cut = context;
    cut->count++;
    if (strcmp(key, cut->key) == 0)
        cut->figures = *figures;
    return 0;
}

static struct census_figures figures_of(const struct census *census, int64_t now_us,
                                        enum census_by by, const char *key)
{
    struct one_cut cut = {.key = key};
    assert_int_equal(census_cuts(census, now_us, by, 100, keep_cut, &cut), 0);
    assert_true(cut.count > 0);
    return cut.figures;
}

/* ---- Victims ---- */

static void test_a_victim_is_proven_once_it_has_persisted(void **state)
{
    struct census *census = *state;
    feed_row(census, checkin(1, 0x100, START_US), 5);
    assert_class(census, 1, CENSUS_LIKELY, "not seen for long enough");
    feed_row(census, checkin(1, 0x100, START_US + DAY_US), 5);
    assert_class(census, 1, CENSUS_PROVEN, "over a long time");
}

static void test_one_check_in_is_too_few(void **state)
{
    struct census *census = *state;
    feed(census, checkin(1, 0x100, START_US));
    assert_class(census, 1, CENSUS_LIKELY, "too few");
}

static void test_an_id_with_a_few_new_addresses_a_day_stays_a_victim(void **state)
{
    struct census *census = *state;
    for (unsigned day = 0; day < 20; day++) {
        for (unsigned place = 0; place < 3; place++)
            feed_row(census,
                     checkin(1, (day * 3 + place) << 8, START_US + day * DAY_US + place * HOUR_US),
                     5);
    }
    assert_class(census, 1, CENSUS_PROVEN, "");
    const struct wanted wanted = look_up(census, 1);
    assert_in_range(wanted.entry.addresses, 55, 65);
    const struct census_figures all = figures_of(census, START_US + 20 * DAY_US, CENSUS_ALL, "");
    assert_true(all.churn > 2.7 && all.churn < 3.3);
    assert_int_equal(all.addresses, 60);
}

static void test_many_victims_behind_one_address_are_proven_and_shared(void **state)
{
    struct census *census = *state;
    for (uint64_t id = 1; id <= 40; id++)
        feed_victim(census, id, 0x100, 3);
    feed_victim(census, 41, 0x200, 3);
    const struct census_figures all = figures_of(census, START_US + 3 * DAY_US, CENSUS_ALL, "");
    assert_int_equal(all.victims[CENSUS_PROVEN], 41);
    assert_int_equal(all.shared, 40);
    assert_int_equal(all.addresses, 2);
    assert_int_equal(all.events, 41 * 3 * 5);
}

static void test_the_first_hours_make_no_hunter_of_a_nat(void **state)
{
    struct census *census = *state;
    for (uint64_t id = 1; id <= 40; id++)
        feed_row(census, checkin(id, 0x100, START_US), 3);
    assert_class(census, 1, CENSUS_LIKELY, "");
}

static void test_a_machine_that_is_set_up_again_stays_a_victim(void **state)
{
    struct census *census = *state;
    feed_victim(census, 1, 0x100, 3);
    struct sink_event event = checkin(1, 0x100, START_US + 4 * DAY_US);
    put_number(event.machine, 999);
    feed_row(census, event, 5);
    assert_class(census, 1, CENSUS_PROVEN, "");
}

static void test_events_out_of_order_give_the_same_verdict(void **state)
{
    struct census *census = *state;
    feed_row(census, checkin(1, 0x100, START_US + DAY_US), 5);
    feed_row(census, checkin(1, 0x100, START_US), 5);
    assert_class(census, 1, CENSUS_PROVEN, "");
    assert_int_equal(look_up(census, 1).entry.first_us, START_US);
}

/* ---- Who only look like victims ---- */

static void test_a_known_fake_is_a_hunter_for_ever(void **state)
{
    struct census *census = *state;
    feed_victim(census, 1, 0x100, 3);
    struct sink_event event = checkin(1, 0x100, START_US + 4 * DAY_US);
    event.fake = true;
    feed(census, event);
    assert_class(census, 1, CENSUS_HUNTER, "known as a fake");
    const int64_t now_us = START_US + 4 * DAY_US;
    assert_int_equal(figures_of(census, now_us, CENSUS_ALL, "").addresses, 0);
    assert_int_equal(figures_of(census, now_us, CENSUS_ASN, "64496").addresses, 0);
}

static void test_one_id_from_many_networks_in_a_day_is_a_hunter(void **state)
{
    struct census *census = *state;
    feed_victim(census, 1, 0x100, 3);
    assert_class(census, 1, CENSUS_PROVEN, "");
    for (uint64_t network = 2; network <= 6; network++)
        feed(census, checkin(1, network << 8, START_US + 4 * DAY_US + HOUR_US));
    assert_class(census, 1, CENSUS_HUNTER, "more networks");
}

static void test_one_id_that_wanders_slowly_is_a_hunter(void **state)
{
    struct census *census = *state;
    for (unsigned day = 0; day < 10; day++)
        feed(census, checkin(1, (day + 1) << 8, START_US + day * DAY_US));
    assert_class(census, 1, CENSUS_HUNTER, "more networks");
}

static void test_many_ids_of_one_address_that_never_return_are_a_hunters(void **state)
{
    struct census *census = *state;
    for (uint64_t id = 1; id <= 30; id++)
        feed_row(census, checkin(id, 0x100, START_US + (int64_t)id * MINUTE_US), 3);
    feed_victim(census, 100, 0x100, 3);
    assert_class(census, 1, CENSUS_HUNTER, "never come back");
    assert_class(census, 100, CENSUS_HUNTER, "never come back");
}

static void test_a_few_short_visits_do_not_discredit_a_nat(void **state)
{
    struct census *census = *state;
    for (uint64_t id = 1; id <= 8; id++)
        feed_row(census, checkin(id, 0x100, START_US), 3);
    for (uint64_t id = 11; id <= 15; id++)
        feed_victim(census, id, 0x100, 3);
    assert_class(census, 11, CENSUS_PROVEN, "");
}

static void test_an_address_that_also_scans_is_a_hunters(void **state)
{
    struct census *census = *state;
    for (unsigned day = 0; day < 3; day++) {
        feed_row(census, checkin(1, 0x100, START_US + day * DAY_US), 2);
        struct sink_event probe = checkin(0, 0x100, START_US + day * DAY_US);
        probe.has_victim = false;
        probe.kind = SINK_HTTP_SCAN;
        probe.family[0] = '\0';
        feed(census, probe);
    }
    assert_class(census, 1, CENSUS_HUNTER, "also scans");
}

static void test_a_scanner_behind_the_same_nat_does_not_discredit_a_victim(void **state)
{
    struct census *census = *state;
    feed_victim(census, 1, 0x100, 10);
    struct sink_event probe = checkin(0, 0x100, START_US + DAY_US);
    probe.has_victim = false;
    probe.kind = SINK_SSH;
    feed_row(census, probe, 3);
    assert_class(census, 1, CENSUS_PROVEN, "");
}

static void test_an_address_of_many_families_is_a_hunters(void **state)
{
    struct census *census = *state;
    static const char *const families[] = {"njrat", "njw0rm",   "hworm",
                                           "gh0st", "nanocore", "mirai"};
    for (unsigned i = 0; i < 6; i++) {
        struct sink_event event = checkin(i, 0x100, START_US);
        event.has_victim = i < 3;
        snprintf(event.family, sizeof(event.family), "%s", families[i]);
        feed_row(census, event, 3);
        event.at_us += DAY_US;
        feed_row(census, event, 3);
    }
    assert_class(census, 0, CENSUS_HUNTER, "many families");
}

static void test_one_id_of_ever_other_machines_is_a_hunter(void **state)
{
    struct census *census = *state;
    for (unsigned day = 0; day < 5; day++) {
        struct sink_event event = checkin(1, 0x100, START_US + day * DAY_US);
        put_number(event.machine, 1000 + day);
        feed_row(census, event, 3);
    }
    assert_class(census, 1, CENSUS_HUNTER, "other machines");
}

static void test_who_never_tries_again_is_not_proven(void **state)
{
    struct census *census = *state;
    for (unsigned day = 0; day < 30; day++)
        feed(census, checkin(1, 0x100, START_US + day * DAY_US));
    assert_class(census, 1, CENSUS_LIKELY, "never tries again");
}

static void test_fields_that_do_not_agree_are_not_proven(void **state)
{
    struct census *census = *state;
    for (unsigned day = 0; day < 3; day++) {
        struct sink_event event = checkin(1, 0x100, START_US + day * DAY_US);
        feed_row(census, event, 4);
        event.consistent = false;
        feed_row(census, event, 4);
        event = checkin(2, 0x200, START_US + day * DAY_US);
        event.wellformed = false;
        feed_row(census, event, 4);
    }
    assert_class(census, 1, CENSUS_LIKELY, "don't agree");
    assert_class(census, 2, CENSUS_UNKNOWN, "no valid");
}

static void test_a_network_of_ids_seen_once_is_a_laboratory(void **state)
{
    struct census *census = *state;
    for (uint64_t id = 1; id <= 60; id++)
        feed_row(census, checkin(id, 0x100 + id % 30, START_US + (int64_t)id * HOUR_US), 4);
    assert_class(census, 1, CENSUS_RESEARCHER, "seen once each");
}

static void test_sources_without_ids_are_counted_by_address(void **state)
{
    struct census *census = *state;
    static const uint8_t kinds[] = {SINK_HTTP_SCAN, SINK_CRAWLER, SINK_SSH, SINK_DNS, SINK_HTTP};
    for (uint64_t i = 0; i < 10; i++) {
        struct sink_event event = checkin(0, 0x100 * (i + 1), START_US);
        event.has_victim = false;
        event.kind = kinds[i % 5];
        feed_row(census, event, 3);
    }
    const struct census_figures all = figures_of(census, START_US, CENSUS_ALL, "");
    assert_int_equal(all.victims[CENSUS_SCANNER], 6);
    assert_int_equal(all.victims[CENSUS_RESOLVER], 2);
    assert_int_equal(all.victims[CENSUS_UNKNOWN], 2);
    assert_int_equal(all.victims[CENSUS_PROVEN], 0);
    assert_int_equal(all.addresses_all, 10);
    assert_int_equal(all.addresses, 0);
}

/* ---- Figures ---- */

static void test_the_entry_gives_back_the_last_event(void **state)
{
    struct census *census = *state;
    feed_victim(census, 1, 0x100, 2);
    struct sink_event event = checkin(1, 0x200, START_US + 3 * DAY_US);
    event.client_port = 50001;
    event.asn = 64500;
    event.name_source = SINK_NAME_ANSWER;
    snprintf(event.name, sizeof(event.name), "%s", "other.example");
    snprintf(event.rule, sizeof(event.rule), "%s", "njrat");
    snprintf(event.country, sizeof(event.country), "%s", "DE");
    put_number(event.local, 7);
    feed(census, event);

    const struct wanted wanted = look_up(census, 1);
    assert_int_equal(wanted.entry.checkins, 11);
    assert_int_equal(wanted.entry.addresses, 2);
    assert_int_equal(wanted.entry.networks, 2);
    assert_string_equal(wanted.entry.country, "DE");
    assert_int_equal(wanted.last.at_us, event.at_us);
    assert_memory_equal(wanted.last.client, event.client, sizeof(event.client));
    assert_memory_equal(wanted.last.local, event.local, sizeof(event.local));
    assert_int_equal(wanted.last.client_port, 50001);
    assert_int_equal(wanted.last.local_port, 1177);
    assert_int_equal(wanted.last.asn, 64500);
    assert_int_equal(wanted.last.name_source, SINK_NAME_ANSWER);
    assert_string_equal(wanted.last.name, "other.example");
    assert_string_equal(wanted.last.version, "0.7d");
    assert_string_equal(wanted.last.rule, "njrat");
    assert_string_equal(wanted.last.order, "nv-1");
}

static void test_cuts_divide_the_proven_and_come_largest_first(void **state)
{
    struct census *census = *state;
    for (uint64_t id = 1; id <= 5; id++) {
        for (unsigned day = 0; day < 2; day++) {
            struct sink_event event = checkin(id, id << 8, START_US + day * DAY_US);
            event.asn = id <= 3 ? 64496 : 64497;
            snprintf(event.country, sizeof(event.country), "%s", id <= 4 ? "CH" : "DE");
            snprintf(event.family, sizeof(event.family), "%s", id <= 2 ? "njrat" : "hworm");
            snprintf(event.order, sizeof(event.order), "%s", id == 1 ? "nv-1" : "nv-2");
            feed_row(census, event, 3);
        }
    }
    const int64_t now_us = START_US + 2 * DAY_US;
    assert_int_equal(figures_of(census, now_us, CENSUS_ASN, "64496").victims[CENSUS_PROVEN], 3);
    assert_int_equal(figures_of(census, now_us, CENSUS_ASN, "64497").addresses, 2);
    assert_int_equal(figures_of(census, now_us, CENSUS_COUNTRY, "CH").victims[CENSUS_PROVEN], 4);
    assert_int_equal(figures_of(census, now_us, CENSUS_FAMILY, "hworm").victims[CENSUS_PROVEN], 3);
    assert_int_equal(figures_of(census, now_us, CENSUS_ORDER, "nv-2").events, 24);
    assert_int_equal(figures_of(census, now_us, CENSUS_NAME, "c2.example").victims[CENSUS_PROVEN],
                     5);
    struct one_cut largest = {.key = "64496"};
    assert_int_equal(census_cuts(census, now_us, CENSUS_ASN, 1, keep_cut, &largest), 0);
    assert_int_equal(largest.count, 1);
    assert_int_equal(largest.figures.victims[CENSUS_PROVEN], 3);
}

struct points {
    struct census_point of[CENSUS_CLASS_COUNT * 16];
    unsigned count;
};

static int keep_point(void *context, const struct census_point *point)
{
    struct points *points = context;
    points->of[points->count++] = *point;
    return 0;
}

static void test_the_series_tells_day_by_day_what_was_seen_new_and_quiet(void **state)
{
    struct census *census = *state;
    feed_victim(census, 1, 0x100, 2);
    feed_victim(census, 2, 0x200, 8);
    for (unsigned day = 3; day < 8; day++)
        feed_row(census, checkin(3, 0x300, START_US + day * DAY_US), 5);
    feed(census, checkin(4, 0x400, START_US)); /* not proven: in no figure but the addresses */

    struct points points = {.count = 0};
    assert_int_equal(census_series(census, "nv-1", DAY_US, keep_point, &points), 0);
    static const unsigned seen[] = {2, 2, 1, 2, 2, 2, 2, 2}, fresh[] = {2, 0, 0, 1, 0, 0, 0, 0};
    static const unsigned quiet[] = {0, 0, 0, 0, 1, 0, 0, 0}; /* three days after the second */
    static const unsigned addresses[] = {3, 2, 1, 2, 2, 2, 2, 2};
    assert_int_equal(points.count, 8);
    for (unsigned day = 0; day < 8; day++) {
        assert_int_equal(points.of[day].at_us, START_US + (day + 1) * DAY_US);
        assert_int_equal(points.of[day].seen, seen[day]);
        assert_int_equal(points.of[day].fresh, fresh[day]);
        assert_int_equal(points.of[day].quiet, quiet[day]);
        assert_int_equal(points.of[day].addresses, addresses[day]);
        assert_false(points.of[day].rekeyed);
    }

    points.count = 0;
    assert_int_equal(census_series(census, "nv-2", DAY_US, keep_point, &points), 0);
    assert_int_equal(points.count, 0);
    assert_int_equal(census_series(census, "", 4 * DAY_US, keep_point, &points), 0);
    assert_int_equal(points.of[points.count - 1].seen, 2);
    assert_int_equal(census_series(census, "", MINUTE_US, keep_point, &points), -EINVAL);
}

static void test_hours_are_told_for_the_last_64(void **state)
{
    struct census *census = *state;
    feed_victim(census, 1, 0x100, 8);
    struct points points = {.count = 0};
    assert_int_equal(census_series(census, "", HOUR_US, keep_point, &points), 0);
    assert_int_equal(points.count, 64);
    unsigned seen = 0;
    for (unsigned i = 0; i < points.count; i++)
        seen += (unsigned)points.of[i].seen;
    assert_int_equal(seen, 3); /* at 9 o'clock of the last three days */
    assert_int_equal(points.of[63].seen, 1);
    assert_int_equal(points.of[63 - 24].seen, 1);
}

static void test_a_change_of_keys_neither_doubles_victims_nor_cleans_them(void **state)
{
    struct census *census = *state;
    for (unsigned day = 0; day < 20; day++) {
        for (uint64_t machine = 1; machine <= 10; machine++) {
            const bool after = day >= 10;
            struct sink_event event =
                checkin(machine + (after ? 1000 : 0), (machine << 8) + (after ? 0x100000 : 0),
                        START_US + day * DAY_US);
            event.epoch = after ? 2 : 1;
            feed_row(census, event, 3);
        }
    }
    const struct census_figures all = figures_of(census, START_US + 20 * DAY_US, CENSUS_ALL, "");
    assert_int_equal(all.victims[CENSUS_PROVEN], 10);
    assert_int_equal(all.quiet, 0);

    struct points points = {.count = 0};
    assert_int_equal(census_series(census, "", DAY_US, keep_point, &points), 0);
    for (unsigned day = 0; day < 20; day++) {
        assert_int_equal(points.of[day].seen, 10);
        assert_int_equal(points.of[day].fresh, day == 0 ? 10 : 0);
        assert_int_equal(points.of[day].quiet, 0);
        assert_int_equal(points.of[day].rekeyed, day == 10);
    }
}

/* ---- Memory ---- */

static void test_ids_that_are_made_up_do_not_displace_victims(void **state)
{
    (void)state;
    struct census_options small = options;
    small.memory_max = 4 << 20;
    struct census *census = census_create(&small);
    assert_non_null(census);
    bool full = false;
    uint64_t id = 1000000;
    for (unsigned day = 0; day < 20; day++) {
        for (uint64_t victim = 1; victim <= 50; victim++)
            feed_row(census, checkin(victim, victim << 32, START_US + day * DAY_US), 3);
        for (unsigned i = 0; i < 30000; i++, id++) {
            struct sink_event event =
                checkin(id, id << 8, START_US + day * DAY_US + (int64_t)i * SECOND_US * 2);
            full = census_feed(census, &event) == -ENOMEM || full;
            assert_true(census_memory(census) <= small.memory_max);
        }
    }
    assert_true(full);
    const struct census_figures all = figures_of(census, START_US + 20 * DAY_US, CENSUS_ALL, "");
    assert_int_equal(all.victims[CENSUS_PROVEN], 50);
    assert_true(all.victims[CENSUS_LIKELY] > 50000); /* also those that made room */
    assert_int_equal(all.events, 20 * (150 + 30000));
    census_free(census);
}

static void test_an_event_dated_ahead_makes_nobody_quiet(void **state)
{
    struct census *census = *state;
    const int64_t now_us = START_US + 3 * DAY_US;
    struct sink_event ahead = checkin(2, 2 << 8, now_us + DAY_US + SECOND_US);
    census_set_now(census, now_us);
    feed_victim(census, 1, 1 << 8, 3);
    assert_int_equal(census_feed(census, &ahead), -ERANGE);
    ahead.at_us = INT64_MAX;
    assert_int_equal(census_feed(census, &ahead), -ERANGE);
    struct census_figures all = figures_of(census, now_us, CENSUS_ALL, "");
    assert_int_equal(all.victims[CENSUS_PROVEN], 1);
    assert_int_equal(all.quiet, 0);
    assert_int_equal(all.events, 15);
    assert_false(look_up(census, 2).found);
    /* Clocks differ a little, and events come late. */
    feed(census, checkin(2, 2 << 8, now_us + HOUR_US));
    assert_true(look_up(census, 2).found);
}

/* Whoever holds a network of IPv6 has an address for each id. */
static void test_ids_made_up_by_one_network_leave_room_for_others(void **state)
{
    (void)state;
    struct census_options small = options;
    small.memory_max = 16 << 20;
    struct census *census = census_create(&small);
    assert_non_null(census);
    for (uint64_t id = 1000000; id < 1120000; id++) {
        struct sink_event event = checkin(id, id, START_US);
        put_number(event.network, 7);
        assert_int_equal(census_feed(census, &event), 0);
    }
    feed_victim(census, 1, 1 << 8, 3);
    assert_class(census, 1, CENSUS_PROVEN, "over a long time");
    census_free(census);
}

static void test_scanners_that_made_room_stay_counted(void **state)
{
    (void)state;
    struct census_options small = options;
    small.memory_max = 4 << 20; /* of it, 16,384 rows of addresses */
    struct census *census = census_create(&small);
    assert_non_null(census);
    feed_victim(census, 1, UINT64_C(1) << 40, 3);
    for (uint64_t i = 0; i < 100000; i++) {
        struct sink_event event = checkin(0, i << 8, START_US + (int64_t)i * SECOND_US);
        event.has_victim = false;
        event.kind = SINK_SSH;
        (void)!census_feed(census, &event);
    }
    assert_true(census_memory(census) <= small.memory_max);
    const struct census_figures all = figures_of(census, START_US + 3 * DAY_US, CENSUS_ALL, "");
    assert_in_range(all.victims[CENSUS_SCANNER], 94000, 106000);
    assert_int_equal(all.victims[CENSUS_PROVEN], 1);
    census_free(census);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, make, unmake)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_victim_is_proven_once_it_has_persisted),
        TEST(test_one_check_in_is_too_few),
        TEST(test_an_id_with_a_few_new_addresses_a_day_stays_a_victim),
        TEST(test_many_victims_behind_one_address_are_proven_and_shared),
        TEST(test_the_first_hours_make_no_hunter_of_a_nat),
        TEST(test_a_machine_that_is_set_up_again_stays_a_victim),
        TEST(test_events_out_of_order_give_the_same_verdict),
        TEST(test_a_known_fake_is_a_hunter_for_ever),
        TEST(test_one_id_from_many_networks_in_a_day_is_a_hunter),
        TEST(test_one_id_that_wanders_slowly_is_a_hunter),
        TEST(test_many_ids_of_one_address_that_never_return_are_a_hunters),
        TEST(test_a_few_short_visits_do_not_discredit_a_nat),
        TEST(test_an_address_that_also_scans_is_a_hunters),
        TEST(test_a_scanner_behind_the_same_nat_does_not_discredit_a_victim),
        TEST(test_an_address_of_many_families_is_a_hunters),
        TEST(test_one_id_of_ever_other_machines_is_a_hunter),
        TEST(test_who_never_tries_again_is_not_proven),
        TEST(test_fields_that_do_not_agree_are_not_proven),
        TEST(test_a_network_of_ids_seen_once_is_a_laboratory),
        TEST(test_sources_without_ids_are_counted_by_address),
        TEST(test_the_entry_gives_back_the_last_event),
        TEST(test_cuts_divide_the_proven_and_come_largest_first),
        TEST(test_the_series_tells_day_by_day_what_was_seen_new_and_quiet),
        TEST(test_hours_are_told_for_the_last_64),
        TEST(test_a_change_of_keys_neither_doubles_victims_nor_cleans_them),
        TEST(test_an_event_dated_ahead_makes_nobody_quiet),
        cmocka_unit_test(test_ids_that_are_made_up_do_not_displace_victims),
        cmocka_unit_test(test_ids_made_up_by_one_network_leave_room_for_others),
        cmocka_unit_test(test_scanners_that_made_room_stay_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
