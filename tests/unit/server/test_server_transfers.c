/* What comes by transfer: in the zone, in the journal, and out of it again. */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <libknot/libknot.h>

#include "base/rcu.h"
#include "server/server_internal.h"
#include "server/server_transfers.h"
#include "zone/difference.h"
#include "zone/journal.h"

#define APEX       ((const uint8_t *)"\1a\7example")
#define SOA_SIZE   36
#define NSEC3PARAM "\1\0\0\0\0"

struct fixture {
    struct server server;
    struct zone zone;
    char folder[64];
};

static const uint8_t HOST[] = "\3ns1\1a\7example";
static const uint8_t WWW[] = "\3www\1a\7example";
static const uint8_t ADDRESS[] = {192, 0, 2, 1};

/* A SOA of `serial`. */
static const uint8_t *soa(uint8_t serial)
{
    static uint8_t rdata[2][64];
    static unsigned turn;
    static const uint8_t model[] =
        "\3ns1\1a\7example\0\0\0\0\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\0\x3c";
    uint8_t *at = rdata[turn++ % 2];
    memcpy(at, model, SOA_SIZE);
    at[sizeof(HOST) + 1 + 3] = serial;
    return at;
}

static struct zone_data *make_zone(uint8_t serial)
{
    struct zone_builder *builder;
    struct zone_data *data;
    struct error error;
    assert_int_equal(zone_builder_create(APEX, &builder), 0);
    assert_int_equal(
        zone_builder_add(builder, APEX, KNOT_RRTYPE_SOA, 60, soa(serial), SOA_SIZE, &error), 0);
    assert_int_equal(
        zone_builder_add(builder, APEX, KNOT_RRTYPE_NS, 60, HOST, sizeof(HOST), &error), 0);
    assert_int_equal(zone_builder_finish(builder, &data, &error), 0);
    zone_builder_free(builder);
    return data;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/tamis-transfers-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    struct error error;
    const struct journal_limits limits = {.size_max = 32 << 20};
    if (journal_open(fixture->folder, &limits, &fixture->server.journal, &error) != 0)
        fail_msg("%s", error.text);
    pthread_mutex_init(&fixture->server.control, NULL);
    fixture->zone.role = ZONE_SECONDARY;
    pthread_mutex_init(&fixture->zone.writer, NULL);
    assert_true(name_parse(&fixture->zone.name, APEX, NAME_SIZE_MAX) > 0);
    assert_int_equal(zone_data_create_empty(APEX, &fixture->zone.data), 0);
    assert_int_equal(server_take_zone(&fixture->server, &fixture->zone, make_zone(1)), 0);
    *state = fixture;
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    journal_close(fixture->server.journal);
    zone_data_free(fixture->zone.data);
    assert_int_equal(nftw(fixture->folder, remove_one, 4, FTW_DEPTH | FTW_PHYS), 0);
    free(fixture);
    rcu_barrier();
    return 0;
}

/* Takes the step from one serial to the next, in which one record comes or goes. */
static int step(struct fixture *fixture, uint8_t from, uint8_t to, bool comes, const uint8_t *owner,
                uint16_t type, const void *rdata, uint16_t size, struct error *ret_error)
{
    struct difference_list list = {0};
    const struct name *apex = &fixture->zone.name;
    assert_int_equal(
        difference_list_add(&list, apex, false, APEX, KNOT_RRTYPE_SOA, 60, soa(from), SOA_SIZE), 0);
    assert_int_equal(
        difference_list_add(&list, apex, true, APEX, KNOT_RRTYPE_SOA, 60, soa(to), SOA_SIZE), 0);
    assert_int_equal(difference_list_add(&list, apex, comes, owner, type, 60, rdata, size), 0);
    const struct refresh_changes changes = {
        .differences = &list,
        .serial_from = from,
        .soa = {.serial = to, .expire_s = 1},
        .origin = "192.0.2.53@5300",
        .checked_at = 1,
    };
    const int rc = server_take_changes(&fixture->server, &fixture->zone, &changes, ret_error);
    difference_list_clear(&list);
    return rc;
}

static void take_address(struct fixture *fixture, uint8_t from, uint8_t to, bool comes)
{
    struct error error;
    if (step(fixture, from, to, comes, WWW, KNOT_RRTYPE_A, ADDRESS, sizeof(ADDRESS), &error) != 0)
        fail_msg("%s", error.text);
    assert_int_equal(fixture->zone.data->soa.serial, to);
}

static bool has_www(const struct fixture *fixture)
{
    struct name name;
    struct rrset rrset;
    assert_true(name_parse(&name, WWW, sizeof(WWW)) > 0);
    const struct name_entry *entry = zone_data_find(fixture->zone.data, &name).entry;
    return entry != NULL && name_entry_rrset(entry, KNOT_RRTYPE_A, &rrset);
}

static void assert_journal(const struct fixture *fixture, uint32_t first, uint32_t last)
{
    uint32_t is_first, is_last;
    assert_int_equal(journal_range(fixture->server.journal, APEX, &is_first, &is_last), 0);
    assert_int_equal(is_first, first);
    assert_int_equal(is_last, last);
}

static int check_commit(void *context, const struct commit *commit)
{
    unsigned *count = context;
    (*count)++;
    assert_int_equal(commit->kind, COMMIT_TRANSFER);
    assert_int_equal(commit->author_count, 1);
    assert_string_equal(commit->authors[0], "192.0.2.53");
    return 0;
}

static void test_changes_are_served_and_in_the_journal(void **state)
{
    struct fixture *fixture = *state;
    const struct zone_data *before = fixture->zone.data;
    take_address(fixture, 1, 2, true);
    assert_true(has_www(fixture));
    take_address(fixture, 2, 3, false);
    assert_false(has_www(fixture));
    assert_ptr_equal(fixture->zone.data, before); /* in place */
    assert_int_equal(fixture->zone.status, ZONE_SERVING);
    assert_journal(fixture, 1, 3);

    unsigned count = 0;
    struct error error;
    assert_int_equal(journal_read(fixture->server.journal, APEX, 1, check_commit, &count, &error),
                     0);
    assert_int_equal(count, 2);
}

static void test_the_journal_forgets_a_zone_that_came_whole(void **state)
{
    struct fixture *fixture = *state;
    uint32_t first, last;
    take_address(fixture, 1, 2, true);
    assert_int_equal(server_take_zone(&fixture->server, &fixture->zone, make_zone(7)), 0);
    assert_int_equal(journal_range(fixture->server.journal, APEX, &first, &last), -ENOENT);
    take_address(fixture, 7, 8, true);
    assert_journal(fixture, 7, 8);
}

static void test_a_chain_that_broke_begins_anew(void **state)
{
    struct fixture *fixture = *state;
    struct journal *journal = fixture->server.journal;
    take_address(fixture, 1, 2, true);
    fixture->server.journal = NULL; /* as if it could not be written */
    take_address(fixture, 2, 3, false);
    fixture->server.journal = journal;
    take_address(fixture, 3, 4, true);
    assert_journal(fixture, 3, 4);
}

static void test_changes_that_do_not_fit_change_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    uint32_t first, last;
    const struct zone_data *before = fixture->zone.data;
    assert_int_equal(
        step(fixture, 1, 2, false, WWW, KNOT_RRTYPE_A, ADDRESS, sizeof(ADDRESS), &error), -EBADMSG);
    assert_int_equal(
        step(fixture, 4, 5, true, WWW, KNOT_RRTYPE_A, ADDRESS, sizeof(ADDRESS), &error), -EBADMSG);
    assert_int_equal(step(fixture, 1, 2, true, APEX, KNOT_RRTYPE_NSEC3PARAM, NSEC3PARAM,
                          sizeof(NSEC3PARAM) - 1, &error),
                     -EBADMSG);
    assert_non_null(strstr(error.text, "replace the chain of NSEC3"));
    assert_ptr_equal(fixture->zone.data, before);
    assert_int_equal(before->soa.serial, 1);
    assert_int_equal(journal_range(fixture->server.journal, APEX, &first, &last), -ENOENT);
}

/* A record of a chain cannot come in place: with it the zone is signed. */
static void test_a_zone_that_becomes_signed_is_built_anew(void **state)
{
    static const uint8_t nsec[] = "\1a\7example\0\0\6\x22\0\0\0\0\1";
    struct fixture *fixture = *state;
    struct error error;
    uint32_t first, last;
    const struct zone_data *before = fixture->zone.data;
    take_address(fixture, 1, 2, true);
    if (step(fixture, 2, 3, true, APEX, KNOT_RRTYPE_NSEC, nsec, sizeof(nsec) - 1, &error) != 0)
        fail_msg("%s", error.text);
    assert_ptr_not_equal(fixture->zone.data, before);
    assert_non_null(fixture->zone.data->chain);
    assert_int_equal(fixture->zone.data->soa.serial, 3);
    assert_int_equal(fixture->zone.data->source.kind, ZONE_SOURCE_TRANSFER);
    assert_true(has_www(fixture));
    assert_int_equal(journal_range(fixture->server.journal, APEX, &first, &last), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_changes_are_served_and_in_the_journal, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_journal_forgets_a_zone_that_came_whole, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_chain_that_broke_begins_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changes_that_do_not_fit_change_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_zone_that_becomes_signed_is_built_anew, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
