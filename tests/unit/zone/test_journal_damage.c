/* Damaged files: an error, or what was written, and never a crash or anything else.
 * LONG=1: more of them. */
#include "journal_fixture.h"

#include <fcntl.h>
#include <time.h>

#include "zone/journal_internal.h"

static unsigned seed;
static uint8_t *whole;
static size_t whole_size;

static void file_load(void)
{
    FILE *file = fopen(data_path, "rb");
    assert_non_null(file);
    struct stat stat_;
    assert_int_equal(fstat(fileno(file), &stat_), 0);
    whole_size = (size_t)stat_.st_size;
    whole = realloc(whole, whole_size);
    assert_non_null(whole);
    assert_int_equal(fread(whole, 1, whole_size, file), whole_size);
    fclose(file);
}

static void file_store(size_t size)
{
    FILE *file = fopen(data_path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(whole, 1, size, file), size);
    fclose(file);
}

/* Two zones, commits of every kind of place, and free pages. */
static void fill(void)
{
    struct journal *journal = fixture_open(&limits_small);
    for (uint32_t i = 0; i < 150; i++) {
        assert_int_equal(
            write_commit(journal, apex_a, i, i + 1, i % 50 == 49 ? 30000 : 10 + i * 13, 5, NULL),
            0);
        assert_int_equal(write_commit(journal, apex_b, i, i + 1, 100, 5, NULL), 0);
    }
    assert_int_equal(journal_kept(journal, apex_a, 60, NULL), 0);
    assert_int_equal(journal_kept(journal, apex_b, 60, NULL), 0);
    journal_close(journal);
    journal = fixture_open(&(struct journal_limits){.size_max = 16 * MIB, .age_max_s = 1});
    assert_int_equal(write_commit(journal, apex_a, 150, 151, 10, 5, NULL), 0);
    journal_close(journal);
    file_load();
}

static int damage_setup(void **state)
{
    *state = fixture_folder();
    fill();
    return 0;
}

static int damage_teardown(void **state)
{
    free(whole);
    whole = NULL;
    return fixture_teardown(state);
}

/* Reads both zones whole; visit_seen() fails the test if anything was not written so. */
static bool read_all(struct journal *journal, const uint8_t *apex, uint32_t last_expected)
{
    uint32_t first, last;
    struct error error = {.code = 0};
    int rc = journal_range(journal, apex, &first, &last);
    assert_int_equal(rc, 0);
    assert_int_equal(last, last_expected);
    struct seen seen = {.serial = first};
    rc = journal_read(journal, apex, first, visit_seen, &seen, &error);
    if (rc == 0)
        assert_int_equal(seen.serial, last);
    else
        assert_int_equal(rc, -EBADMSG);
    return rc == 0;
}

/* Returns whether the file passed as whole: then its records must be right or named as damaged, and
 * writing must not break it. */
static bool opens(unsigned *damaged_reads)
{
    struct journal *journal;
    struct error error = {.code = 0};
    int rc = journal_open(folder, &limits_small, &journal, &error);
    if (rc < 0) {
        assert_true(rc == -EBADMSG || rc == -ENOTSUP);
        assert_non_null(strstr(error.text, "move"));
        return false;
    }
    *damaged_reads += !read_all(journal, apex_a, 151);
    *damaged_reads += !read_all(journal, apex_b, 150);
    for (uint32_t i = 0; i < 5; i++)
        if (write_commit(journal, apex_b, 150 + i, 151 + i, 9000, 5, &error) != 0)
            break;
    assert_int_equal(journal_kept(journal, apex_a, 151, &error), 0);
    journal_close(journal);
    assert_int_equal(journal_verify(data_path, &error), 0);
    return true;
}

static void test_flipped_bits_are_an_error_or_change_nothing(void **state)
{
    (void)state;
    unsigned refused = 0, damaged_reads = 0, rounds = getenv("LONG") != NULL ? 30000 : 1500;
    for (unsigned i = 0; i < rounds; i++) {
        /* Half of them where the structure is: the first octets of a page. */
        size_t at = (size_t)rand_r(&seed) % whole_size;
        if (i % 2 == 0)
            at = at / 4096 * 4096 + at % 40;
        uint8_t bit = (uint8_t)(1 << rand_r(&seed) % 8);
        whole[at] ^= bit;
        file_store(whole_size);
        refused += !opens(&damaged_reads);
        whole[at] ^= bit;
    }
    print_message("%u of %u refused, %u with a damaged commit\n", refused, rounds, damaged_reads);
    assert_true(refused > rounds / 20);
    assert_true(damaged_reads > 0);
}

static void test_overwritten_runs_are_an_error_or_change_nothing(void **state)
{
    (void)state;
    unsigned damaged_reads = 0, refused = 0;
    uint8_t *before = malloc(whole_size);
    assert_non_null(before);
    memcpy(before, whole, whole_size);
    for (unsigned i = 0; i < (getenv("LONG") != NULL ? 5000 : 300); i++) {
        size_t at = (size_t)rand_r(&seed) % whole_size, size = 1 + (size_t)rand_r(&seed) % 5000;
        if (size > whole_size - at)
            size = whole_size - at;
        if (i % 3 == 0)
            memset(whole + at, 0, size);
        else if (i % 3 == 1)
            memmove(whole + at, whole + (size_t)rand_r(&seed) % (whole_size - size), size);
        else
            for (size_t j = at; j < at + size; j++)
                whole[j] = (uint8_t)rand_r(&seed);
        file_store(whole_size);
        refused += !opens(&damaged_reads);
        memcpy(whole, before, whole_size);
    }
    free(before);
    assert_true(refused > 0);
}

static void test_files_cut_short_are_refused(void **state)
{
    (void)state;
    unsigned damaged_reads = 0, refused = 0;
    for (unsigned i = 0; i < 100; i++) {
        file_store(1 + (size_t)rand_r(&seed) % (whole_size - 1));
        refused += !opens(&damaged_reads);
    }
    /* What is cut off may be free pages. */
    assert_true(refused > 50);
    file_store(0);
    struct journal *journal = fixture_open(&limits_small);
    journal_close(journal);
}

/* Finds the octets of a commit in the file and breaks one. */
static void test_a_damaged_commit_is_named_by_zone_and_serial(void **state)
{
    (void)state;
    uint8_t octets[10 + 120 * 13];
    fill_octets(octets, sizeof(octets), 120);
    unsigned broken = 0;
    for (size_t i = 0; i + sizeof(octets) <= whole_size; i++)
        if (memcmp(whole + i, octets, sizeof(octets)) == 0) {
            whole[i + 700] ^= 1;
            broken++;
        }
    assert_true(broken > 0);
    file_store(whole_size);
    struct journal *journal = fixture_open(&limits_small);
    struct seen seen = {.serial = 100};
    struct error error;
    assert_int_equal(journal_read(journal, apex_a, 100, visit_seen, &seen, &error), -EBADMSG);
    assert_int_equal(seen.serial, 120); /* what comes before it is good */
    assert_non_null(strstr(error.text, "zone a.example."));
    assert_non_null(strstr(error.text, "serial 120"));

    /* The zone begins anew, and the others do not care. */
    assert_int_equal(journal_forget(journal, apex_a, &error), 0);
    assert_int_equal(write_commit(journal, apex_a, 1, 2, 10, 5, &error), 0);
    assert_true(read_all(journal, apex_a, 2));
    assert_true(read_all(journal, apex_b, 150));
    journal_close(journal);
}

static void test_another_version_is_refused_by_number(void **state)
{
    (void)state;
    for (size_t i = 0; i + 12 <= whole_size; i++)
        if (memcmp(whole + i, JOURNAL_MAGIC, 8) == 0)
            whole[i + 8] = JOURNAL_VERSION + 1;
    file_store(whole_size);
    struct journal *journal;
    struct error error;
    assert_int_equal(journal_open(folder, &limits_small, &journal, &error), -ENOTSUP);
    assert_non_null(strstr(error.text, "version 2, not 1"));
}

static void test_other_files_are_refused(void **state)
{
    (void)state;
    unsigned damaged_reads = 0;
    for (size_t i = 0; i < whole_size; i++)
        whole[i] = (uint8_t)rand_r(&seed);
    file_store(whole_size);
    assert_false(opens(&damaged_reads));
    memset(whole, 0, whole_size);
    file_store(whole_size);
    assert_false(opens(&damaged_reads));
}

int main(void)
{
    seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
#define TEST(name) cmocka_unit_test_setup_teardown(name, damage_setup, damage_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_flipped_bits_are_an_error_or_change_nothing),
        TEST(test_overwritten_runs_are_an_error_or_change_nothing),
        TEST(test_files_cut_short_are_refused),
        TEST(test_a_damaged_commit_is_named_by_zone_and_serial),
        TEST(test_another_version_is_refused_by_number),
        TEST(test_other_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
