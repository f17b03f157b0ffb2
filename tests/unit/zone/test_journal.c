/* The journal: what was written is read, in order, within its bounds, by one process. */
#include "journal_fixture.h"

#include <sys/wait.h>
#include <time.h>

static int64_t now_us(void)
{
    return (int64_t)time(NULL) * 1000000;
}

static struct seen read_from(struct journal *journal, const uint8_t *apex, uint32_t serial)
{
    struct seen seen = {.serial = serial};
    struct error error = {.code = 0};
    int rc = journal_read(journal, apex, serial, visit_seen, &seen, &error);
    if (rc != 0)
        fail_msg("%d %s", rc, error.text);
    return seen;
}

static void test_commits_come_back_after_reopening(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 100, 2000, 3900, 4080, 4200, 70000, 1000000};
    struct journal *journal = fixture_open(&limits_small);
    uint32_t first, last;
    assert_int_equal(journal_range(journal, apex_a, &first, &last), -ENOENT);
    for (uint32_t i = 0; i < 8; i++)
        assert_int_equal(write_commit(journal, apex_a, 10 + i, 11 + i, sizes[i], now_us(), NULL),
                         0);
    journal_close(journal);

    journal = fixture_open(&limits_small);
    assert_int_equal(journal_range(journal, apex_a, &first, &last), 0);
    assert_int_equal(first, 10);
    assert_int_equal(last, 18);
    assert_int_equal(read_from(journal, apex_a, 10).commits, 8);
    assert_int_equal(read_from(journal, apex_a, 15).commits, 3);
    struct journal_stats stats;
    assert_int_equal(journal_stats(journal, &stats), 0);
    assert_int_equal(stats.commits, 8);
    assert_int_equal(stats.zones, 1);
    journal_close(journal);
}

static void test_reading_begins_only_where_a_commit_does(void **state)
{
    (void)state;
    struct journal *journal = fixture_open(&limits_small);
    struct error error;
    struct seen seen = {.serial = 1};
    assert_int_equal(write_commit(journal, apex_a, 1, 5, 10, now_us(), NULL), 0);
    assert_int_equal(write_commit(journal, apex_a, 5, 9, 10, now_us(), NULL), 0);
    static const uint32_t wrong[] = {0, 2, 6, 9, 10, 0x80000000, 0xffffffff};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(journal_read(journal, apex_a, wrong[i], visit_seen, &seen, &error),
                         -ENOENT);
    assert_int_equal(journal_read(journal, apex_b, 1, visit_seen, &seen, &error), -ENOENT);
    seen.stop_after = 1;
    assert_int_equal(journal_read(journal, apex_a, 1, visit_seen, &seen, &error), 1);
    assert_int_equal(seen.serial, 5);
    journal_close(journal);
}

/* RFC 1982: through zero, and by the largest steps that there are, twice around. */
static void test_serials_wrap(void **state)
{
    (void)state;
    struct journal *journal = fixture_open(&limits_small);
    uint32_t serial = 0xfffffff0;
    for (unsigned i = 0; i < 40; i++, serial++)
        assert_int_equal(write_commit(journal, apex_a, serial, serial + 1, 50, now_us(), NULL), 0);
    assert_int_equal(read_from(journal, apex_a, 0xfffffff0).commits, 40);
    assert_int_equal(read_from(journal, apex_a, 0).commits, 24);
    for (unsigned i = 0; i < 5; i++, serial += 0x7fffffff)
        assert_int_equal(
            write_commit(journal, apex_a, serial, serial + 0x7fffffff, 50, now_us(), NULL), 0);
    assert_int_equal(read_from(journal, apex_a, serial - 0x7fffffff).commits, 1);
    assert_int_equal(read_from(journal, apex_a, serial - 0xfffffffe).commits, 2);
    assert_int_equal(write_commit(journal, apex_a, serial, serial, 50, now_us(), NULL), -EINVAL);
    assert_int_equal(write_commit(journal, apex_a, serial, serial - 1, 50, now_us(), NULL),
                     -EINVAL);
    journal_close(journal);
}

static void test_a_group_is_written_whole_or_not_at_all(void **state)
{
    (void)state;
    struct journal *journal = fixture_open(&limits_small);
    uint8_t octets[100];
    fill_octets(octets, sizeof(octets), 1);
    struct commit commits[3];
    for (size_t i = 0; i < 3; i++)
        commits[i] = (struct commit){.apex = i == 1 ? apex_b : apex_a,
                                     .serial_from = 1,
                                     .serial_to = 2,
                                     .authors = authors_two,
                                     .author_count = 2,
                                     .changes = octets,
                                     .changes_size = sizeof(octets)};
    uint32_t first, last;
    struct error error;
    assert_int_equal(journal_write(journal, commits, 3, &error), -ESTALE);
    assert_non_null(strstr(error.text, "does not follow serial 2"));
    assert_int_equal(journal_range(journal, apex_a, &first, &last), -ENOENT);
    assert_int_equal(journal_range(journal, apex_b, &first, &last), -ENOENT);

    assert_int_equal(journal_write(journal, commits, 2, &error), 0);
    assert_int_equal(read_from(journal, apex_a, 1).commits, 1);
    assert_int_equal(read_from(journal, apex_b, 1).commits, 1);
    journal_close(journal);
}

/* A visitor may write: nothing that it reads goes, and what it writes is not seen. */
struct writing_visitor {
    struct journal *journal;
    struct seen seen;
    uint32_t last;
};

static int visit_writing(void *context, const struct commit *commit)
{
    struct writing_visitor *visitor = context;
    assert_int_equal(visit_seen(&visitor->seen, commit), 0);
    assert_int_equal(write_commit(visitor->journal, apex_a, visitor->last, visitor->last + 1, 9000,
                                  now_us(), NULL),
                     0);
    visitor->last++;
    return 0;
}

static void test_a_reading_ends_where_the_chain_did_when_it_began(void **state)
{
    (void)state;
    struct journal *journal = fixture_open(&limits_small);
    for (uint32_t i = 0; i < 200; i++)
        assert_int_equal(write_commit(journal, apex_a, i, i + 1, 5000, now_us(), NULL), 0);
    struct writing_visitor visitor = {.journal = journal, .last = 200};
    struct error error;
    assert_int_equal(journal_read(journal, apex_a, 0, visit_writing, &visitor, &error), 0);
    assert_int_equal(visitor.seen.commits, 200);
    assert_int_equal(read_from(journal, apex_a, 0).commits, 400);
    journal_close(journal);
}

static int visit_forgetting(void *context, const struct commit *commit)
{
    (void)commit;
    return journal_forget(context, apex_a, NULL);
}

static void test_a_reading_of_what_is_forgotten_says_so(void **state)
{
    (void)state;
    struct journal *journal = fixture_open(&limits_small);
    for (uint32_t i = 0; i < 200; i++)
        assert_int_equal(write_commit(journal, apex_a, i, i + 1, 5000, now_us(), NULL), 0);
    struct error error;
    assert_int_equal(journal_read(journal, apex_a, 0, visit_forgetting, journal, &error), -ESTALE);
    uint32_t first, last;
    assert_int_equal(journal_range(journal, apex_a, &first, &last), -ENOENT);
    assert_int_equal(write_commit(journal, apex_a, 77, 78, 10, now_us(), NULL), 0);
    assert_int_equal(read_from(journal, apex_a, 77).commits, 1);
    journal_close(journal);
}

static uint64_t file_size(void)
{
    struct stat stat_;
    assert_int_equal(stat(data_path, &stat_), 0);
    return (uint64_t)stat_.st_size;
}

static void test_commits_that_no_snapshot_holds_are_kept_until_it_is_full(void **state)
{
    (void)state;
    struct journal *journal = fixture_open(&limits_small);
    struct error error;
    uint32_t serial = 0;
    int rc;
    while ((rc = write_commit(journal, apex_a, serial, serial + 1, 20000, 0, &error)) == 0)
        serial++;
    assert_int_equal(rc, -ENOSPC);
    assert_non_null(strstr(error.text, "no snapshot holds"));
    assert_true(serial > 500);
    assert_int_equal(read_from(journal, apex_a, 0).commits, serial);

    /* A snapshot makes room at once, and the newest stay. */
    assert_int_equal(journal_kept(journal, apex_a, serial, &error), 0);
    for (unsigned i = 0; i < 2000; i++, serial++) {
        assert_int_equal(write_commit(journal, apex_a, serial, serial + 1, 20000, 0, &error), 0);
        assert_int_equal(journal_kept(journal, apex_a, serial, &error), 0);
    }
    uint32_t first, last;
    assert_int_equal(journal_range(journal, apex_a, &first, &last), 0);
    assert_int_equal(last, serial);
    assert_int_equal(read_from(journal, apex_a, first).commits, last - first);
    assert_true(last - first > 300);
    assert_true(file_size() <= limits_small.size_max);
    journal_close(journal);
}

static void test_the_oldest_of_all_zones_go_first(void **state)
{
    (void)state;
    struct journal *journal = fixture_open(&limits_small);
    struct error error;
    for (uint32_t i = 0; i < 300; i++) {
        const uint8_t *apex = i < 150 ? apex_a : apex_b;
        uint32_t from = i % 150;
        assert_int_equal(write_commit(journal, apex, from, from + 1, 20000, now_us() + i, &error),
                         0);
    }
    assert_int_equal(journal_kept(journal, apex_a, 150, &error), 0);
    assert_int_equal(journal_kept(journal, apex_b, 150, &error), 0);
    uint32_t first, last, serial = 150;
    do {
        assert_int_equal(
            write_commit(journal, apex_b, serial, serial + 1, 20000, now_us() + 900, &error), 0);
        serial++;
    } while (journal_range(journal, apex_a, &first, &last) == 0 && first == 0);
    assert_int_equal(journal_range(journal, apex_b, &first, &last), 0);
    assert_int_equal(first, 0);
    journal_close(journal);
}

static void test_what_is_too_old_goes_when_a_snapshot_holds_it(void **state)
{
    (void)state;
    struct journal *journal = fixture_open(&limits_small);
    struct error error;
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(write_commit(journal, apex_a, i, i + 1, 100,
                                      i < 60 ? now_us() - (int64_t)7200 * 1000000 : now_us(),
                                      &error),
                         0);
    uint32_t first, last;
    assert_int_equal(journal_range(journal, apex_a, &first, &last), 0);
    assert_int_equal(first, 0);
    assert_int_equal(journal_kept(journal, apex_a, 50, &error), 0);
    journal_close(journal); /* ages are looked at once a minute, and at the first write */

    journal = fixture_open(&limits_small);
    assert_int_equal(write_commit(journal, apex_a, 100, 101, 100, now_us(), &error), 0);
    assert_int_equal(journal_range(journal, apex_a, &first, &last), 0);
    assert_int_equal(first, 50);
    assert_int_equal(journal_kept(journal, apex_a, 101, &error), 0);
    journal_close(journal);

    journal = fixture_open(&limits_small);
    assert_int_equal(write_commit(journal, apex_a, 101, 102, 100, now_us(), &error), 0);
    assert_int_equal(journal_range(journal, apex_a, &first, &last), 0);
    assert_int_equal(first, 60);
    journal_close(journal);
}

static void test_huge_commits_come_and_go(void **state)
{
    (void)state;
    const struct journal_limits limits = {.size_max = 128 * MIB};
    struct journal *journal = fixture_open(&limits);
    struct error error;
    for (uint32_t i = 0; i < 8; i++) {
        int rc = write_commit(journal, apex_a, i, i + 1, 40 * MIB + 123, now_us(), &error);
        if (rc != 0)
            fail_msg("%u: %s", i, error.text);
        assert_int_equal(write_commit(journal, apex_b, i, i + 1, 100, now_us(), &error), 0);
        assert_int_equal(journal_kept(journal, apex_a, i + 1, &error), 0);
    }
    uint32_t first, last;
    assert_int_equal(journal_range(journal, apex_a, &first, &last), 0);
    assert_int_equal(last, 8);
    assert_true(first < last);
    assert_int_equal(read_from(journal, apex_a, first).commits, last - first);
    assert_int_equal(read_from(journal, apex_b, 0).commits, 8);
    assert_true(file_size() <= limits.size_max);

    /* One that can never fit leaves nothing behind. */
    assert_int_equal(write_commit(journal, apex_a, 8, 9, 140 * MIB, now_us(), &error), -ENOSPC);
    assert_int_equal(journal_range(journal, apex_b, &first, &last), 0);
    struct journal_stats stats;
    do {
        assert_int_equal(write_commit(journal, apex_b, last, last + 1, 100, now_us(), &error), 0);
        last++;
        assert_int_equal(journal_stats(journal, &stats), 0);
    } while (stats.octets > 8 * MIB && last < 2000);
    assert_true(last < 2000);
    journal_close(journal);
}

static void test_only_one_process_has_it_open(void **state)
{
    (void)state;
    struct journal *journal = fixture_open(&limits_small), *other;
    struct error error;
    char pid[32];
    snprintf(pid, sizeof(pid), "process %d ", (int)getpid());
    assert_int_equal(journal_open(folder, &limits_small, &other, &error), -EBUSY);
    assert_non_null(strstr(error.text, pid));
    pid_t child = fork();
    if (child == 0)
        _exit(journal_open(folder, &limits_small, &other, &error) == -EBUSY ? 0 : 1);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(write_commit(journal, apex_a, 1, 2, 100, now_us(), &error), 0);
    journal_close(journal);
    journal_close(fixture_open(&limits_small));
}

static void test_a_size_too_small_to_work_with_is_refused(void **state)
{
    (void)state;
    const struct journal_limits limits = {.size_max = MIB};
    struct journal *journal;
    struct error error;
    assert_int_equal(journal_open(folder, &limits, &journal, &error), -EINVAL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_commits_come_back_after_reopening),
        TEST(test_reading_begins_only_where_a_commit_does),
        TEST(test_serials_wrap),
        TEST(test_a_group_is_written_whole_or_not_at_all),
        TEST(test_a_reading_ends_where_the_chain_did_when_it_began),
        TEST(test_a_reading_of_what_is_forgotten_says_so),
        TEST(test_commits_that_no_snapshot_holds_are_kept_until_it_is_full),
        TEST(test_the_oldest_of_all_zones_go_first),
        TEST(test_what_is_too_old_goes_when_a_snapshot_holds_it),
        TEST(test_huge_commits_come_and_go),
        TEST(test_only_one_process_has_it_open),
        TEST(test_a_size_too_small_to_work_with_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
