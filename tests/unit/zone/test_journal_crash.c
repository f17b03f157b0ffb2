/* A writer is killed at any moment, or its disk fails: what it was told to be durable is there, and
 * nothing is half there. LONG=1: more of each. */
#include "journal_fixture.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

static unsigned seed;

struct outcome {
    uint32_t serial; /* the last that was durable; 0: none */
    unsigned errors, written_after_error;
    int error; /* the last */
    int status;
};

static pid_t writer_start(const char *writes, const char *size, const char *const *settings,
                          FILE **ret_output)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        for (; settings != NULL && settings[0] != NULL; settings += 2)
            (void)setenv(settings[0], settings[1], 1);
        (void)execl(WRITER_PATH, WRITER_PATH, folder, writes, size, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    *ret_output = fdopen(ends[0], "r");
    assert_non_null(*ret_output);
    return child;
}

static struct outcome writer_end(pid_t child, FILE *output)
{
    struct outcome outcome = {.serial = 0};
    char line[64];
    while (fgets(line, sizeof(line), output) != NULL) {
        if (sscanf(line, "error %d", &outcome.error) == 1) {
            outcome.errors++;
            continue;
        }
        outcome.serial = (uint32_t)strtoul(line, NULL, 10);
        outcome.written_after_error += outcome.errors > 0;
    }
    fclose(output);
    assert_int_equal(waitpid(child, &outcome.status, 0), child);
    return outcome;
}

static void check_zone(struct journal *journal, const uint8_t *apex, uint32_t *ret_last)
{
    uint32_t first;
    *ret_last = 1;
    if (journal_range(journal, apex, &first, ret_last) == -ENOENT)
        return;
    struct seen seen = {.serial = first};
    struct error error = {.code = 0};
    int rc = journal_read(journal, apex, first, visit_seen, &seen, &error);
    if (rc != 0)
        fail_msg("seed %u: %d %s", seed, rc, error.text);
    assert_int_equal(seen.serial, *ret_last);
}

/* Both chains are whole; one write may be there that nobody was told of. */
static void check_journal(uint32_t durable)
{
    struct journal *journal = fixture_open(&limits_writer);
    uint32_t last_a, last_b;
    check_zone(journal, apex_a, &last_a);
    check_zone(journal, apex_b, &last_b);
    if (durable != 0)
        assert_true(last_a == durable || last_a == durable + 1);
    assert_int_equal(last_b, 1 + last_a / 2); /* those of odd serials */
    journal_close(journal);
}

static void kill_in_a_loop(unsigned cycles, const char *size)
{
    for (unsigned i = 0; i < cycles; i++) {
        FILE *output;
        pid_t child = writer_start("0", size, NULL, &output);
        struct pollfd ready = {.fd = fileno(output), .events = POLLIN};
        assert_int_equal(poll(&ready, 1, 60000), 1); /* it writes, or ended */
        const struct timespec wait = {.tv_nsec = rand_r(&seed) % 12000000};
        nanosleep(&wait, NULL); /* any moment will do */
        assert_int_equal(kill(child, SIGKILL), 0);
        struct outcome outcome = writer_end(child, output);
        assert_true(WIFSIGNALED(outcome.status));
        assert_int_equal(outcome.errors, 0);
        check_journal(outcome.serial);
    }
}

static void test_kills_lose_nothing_that_was_durable(void **state)
{
    (void)state;
    kill_in_a_loop(getenv("LONG") != NULL ? 1000 : 100, "20000");
}

/* Two bodies of over 4 MiB are written in several transactions. */
static void test_kills_amid_huge_commits_leave_nothing_half_done(void **state)
{
    (void)state;
    kill_in_a_loop(getenv("LONG") != NULL ? 200 : 20, "5000000");
}

static struct outcome write_with_fault(const char *call, const char *error, unsigned at,
                                       const char *count, const char *done)
{
    char path[96], number[16];
    snprintf(path, sizeof(path), "%s/*.mdb", folder);
    snprintf(number, sizeof(number), "%u", at);
    const char *const settings[] = {
        "LD_PRELOAD",  FAULT_IO_PATH, "ASAN_OPTIONS", "verify_asan_link_order=0",
        "FAULT_PATH",  path,          "FAULT_CALLS",  call,
        "FAULT_ERRNO", error,         "FAULT_AT",     number,
        "FAULT_COUNT", count,         "FAULT_DONE",   done,
        NULL};
    FILE *output;
    pid_t child = writer_start("60", "20000", settings, &output);
    struct outcome outcome = writer_end(child, output);
    assert_true(WIFEXITED(outcome.status));
    return outcome;
}

/* pwrite: single pages and the meta pages; writev: runs of pages. */
static const char *const calls[] = {"pwrite", "writev", "fdatasync"};

static void test_after_an_error_of_the_disk_nothing_is_acknowledged(void **state)
{
    (void)state;
    static const char *const done[] = {"nothing", "all"};
    unsigned failed = 0;
    fixture_teardown(NULL);
    for (unsigned i = 0; i < (getenv("LONG") != NULL ? 600 : 90); i++) {
        fixture_folder();
        struct outcome outcome =
            write_with_fault(calls[i % 3], "EIO", 3 + i / 3, i % 2 ? "0" : "1", done[i / 3 % 2]);
        failed += outcome.errors > 0;
        if (outcome.errors > 0)
            assert_int_equal(outcome.error, -EIO);
        assert_int_equal(outcome.written_after_error, 0);
        check_journal(outcome.serial);
        fixture_clear();
    }
    assert_true(failed > 60);
    fixture_folder();
}

static void test_writes_go_on_when_a_full_disk_has_room_again(void **state)
{
    (void)state;
    unsigned failed = 0;
    fixture_teardown(NULL);
    for (unsigned i = 0; i < 30; i++) {
        fixture_folder();
        /* The first call is the new file's own, the second may be. */
        struct outcome outcome =
            write_with_fault(i % 2 ? "writev" : "fdatasync", "ENOSPC", 3 + i / 2, "2", "nothing");
        assert_int_equal(WEXITSTATUS(outcome.status), 0);
        if (outcome.errors > 0) {
            failed++;
            assert_int_equal(outcome.error, -ENOSPC);
            assert_true(outcome.written_after_error > 0);
        }
        check_journal(outcome.serial);
        fixture_clear();
    }
    assert_true(failed > 25);
    fixture_folder();
}

static void test_writes_cut_short_are_not_acknowledged(void **state)
{
    (void)state;
    fixture_teardown(NULL);
    for (unsigned i = 0; i < 40; i++) {
        fixture_folder();
        struct outcome outcome =
            write_with_fault(i % 2 ? "writev" : "pwrite", "EIO", 3 + i / 2, "1", "half");
        assert_true(outcome.errors > 0);
        check_journal(outcome.serial);
        fixture_clear();
    }
    fixture_folder();
}

int main(void)
{
    seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_kills_lose_nothing_that_was_durable),
        TEST(test_kills_amid_huge_commits_leave_nothing_half_done),
        TEST(test_after_an_error_of_the_disk_nothing_is_acknowledged),
        TEST(test_writes_go_on_when_a_full_disk_has_room_again),
        TEST(test_writes_cut_short_are_not_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
