/* Content is kept where an order's clause says so, while it is in force, and opens with its key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sink/evidence.h"
#include "sink/evidence_item.h"

#define ORDER_TEXT                                                                \
    "id: %s\nkind: court\nauthority: x\nstarts: 2026-01-01T00:00:00Z\n"           \
    "ends: 2026-02-01T00:00:00Z\naction: sinkhole\nsinkhole: {a: [192.0.2.66]}\n" \
    "names: [%s.example]\n%s"

/* Of the orders. */
#define STARTS_US INT64_C(1767225600000000)
#define ENDS_US   INT64_C(1769904000000000)

static char folder[64], kept[80];
static char order_paths[3][100];
static char *orders[] = {order_paths[0], order_paths[1], order_paths[2]};
static uint8_t public_key[32], secret_key[32];

/* ---- Fixture ---- */

static void write_order(size_t index, const char *id, const char *clause)
{
    snprintf(order_paths[index], sizeof(order_paths[index]), "%s/%s.yaml", folder, id);
    FILE *file = fopen(order_paths[index], "w");
    assert_non_null(file);
    fprintf(file, ORDER_TEXT, id, id, clause);
    fclose(file);
}

static int set_up(void **state)
{
    char key[64], clause[128];
    (void)state;
    strcpy(folder, "/tmp/tamis-evidence-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(kept, sizeof(kept), "%s/evidence", folder);
    crypto_box_keypair(public_key, secret_key);
    sodium_bin2base64(key, sizeof(key), public_key, 32, sodium_base64_VARIANT_ORIGINAL);
    snprintf(clause, sizeof(clause), "evidence: { content: true, seal-to: \"%s\" }\n", key);
    write_order(0, "with", clause);
    write_order(1, "without", "");
    snprintf(clause, sizeof(clause), "evidence: { content: false, seal-to: \"%s\" }\n", key);
    write_order(2, "denied", clause);
    return 0;
}

static void remove_files(const char *path)
{
    char name[400];
    DIR *files = opendir(path);
    if (files == NULL)
        return;
    for (const struct dirent *file; (file = readdir(files)) != NULL;) {
        snprintf(name, sizeof(name), "%s/%s", path, file->d_name);
        (void)unlink(name);
    }
    closedir(files);
    (void)rmdir(path);
}

static int tear_down(void **state)
{
    (void)state;
    remove_files(kept);
    remove_files(folder);
    return access(folder, F_OK) < 0 ? 0 : -1;
}

static struct calendar *calendar; /* NULL: the clock is believed */

static struct evidence *open_evidence(size_t order_count, size_t octets_max, unsigned keep_days)
{
    const struct evidence_options options = {
        .folder = kept,
        .orders = orders + (order_count == 2), /* two: those without */
        .order_count = order_count,
        .octets_max = octets_max,
        .keep_days = keep_days,
        .calendar = calendar,
    };
    struct evidence *evidence = NULL;
    struct error error = {0};
    if (evidence_open(&options, &evidence, &error) < 0)
        fail_msg("%s: %s", error.file, error.text);
    return evidence;
}

static void take(struct evidence *evidence, const char *order, int64_t at_us, const char *content)
{
    struct sink_event event;
    const struct sink_flight flight = {
        .at_us = at_us, .octets = (const uint8_t *)content, .size = strlen(content)};
    memset(&event, 0, sizeof(event));
    event.at_us = at_us;
    event.epoch = 7;
    event.local_port = 1177;
    memset(event.client, 0xab, sizeof(event.client));
    strcpy(event.family, "njrat");
    strcpy(event.name, "a.example");
    snprintf(event.order, sizeof(event.order), "%s", order);
    evidence_take(evidence, &flight, &event);
}

static void wait_for(const struct evidence *evidence, uint64_t pieces)
{
    struct evidence_figures figures;
    const struct timespec pause = {.tv_nsec = 1000000};
    for (;;) {
        evidence_figures(evidence, &figures);
        if (figures.kept + figures.dropped >= pieces)
            return;
        nanosleep(&pause, NULL);
    }
}

static uint8_t *read_day(const char *order, const char *day, size_t *ret_size)
{
    char path[200];
    struct stat status;
    snprintf(path, sizeof(path), "%s/%s-%s.sealed", kept, order, day);
    int file = open(path, O_RDONLY);
    if (file < 0)
        return NULL;
    assert_int_equal(fstat(file, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    uint8_t *octets = malloc((size_t)status.st_size + 1);
    assert_int_equal(read(file, octets, (size_t)status.st_size), status.st_size);
    close(file);
    *ret_size = (size_t)status.st_size;
    return octets;
}

/* Opens what is at `at`, as text; returns the place behind it. */
static size_t open_item(const uint8_t *octets, size_t at, char *ret_text)
{
    size_t size;
    assert_true(evidence_item_header_read(octets + at, &size));
    at += EVIDENCE_ITEM_HEADER_SIZE;
    assert_int_equal(
        crypto_box_seal_open((unsigned char *)ret_text, octets + at, size, public_key, secret_key),
        0);
    ret_text[size - crypto_box_SEALBYTES] = '\0';
    return at + size;
}

static unsigned count_items(const char *order, const char *day)
{
    char text[EVIDENCE_PLAIN_MAX + 1];
    size_t size = 0, at = 0;
    unsigned count = 0;
    uint8_t *octets = read_day(order, day, &size);
    for (; at < size; count++)
        at = open_item(octets, at, text);
    assert_int_equal(at, size);
    free(octets);
    return count;
}

/* ---- Tests ---- */

static void test_what_was_kept_opens_with_the_key_and_not_without(void **state)
{
    char text[EVIDENCE_PLAIN_MAX + 1];
    size_t size;
    (void)state;
    struct evidence *evidence = open_evidence(3, 1 << 20, 0);
    take(evidence, "with", STARTS_US + 123456, "one MARK one");
    take(evidence, "with", STARTS_US + 1, "two MARK two");
    evidence_close(evidence); /* keeps what waits */

    uint8_t *octets = read_day("with", "20260101", &size);
    assert_non_null(octets);
    assert_null(memmem(octets, size, "MARK", 4));
    assert_null(memmem(octets, size, "njrat", 5));
    size_t at = open_item(octets, 0, text);
    assert_string_equal(text, "tamis-evidence 1\n"
                              "order: with\n"
                              "at: 2026-01-01T00:00:00.123456Z\n"
                              "transport: tcp\n"
                              "port: 1177\n"
                              "epoch: 7\n"
                              "client: abababababababababababababababab\n"
                              "victim: \n"
                              "family: njrat\n"
                              "name: a.example\n"
                              "octets: 12\n"
                              "\n"
                              "one MARK one");
    at = open_item(octets, at, text);
    assert_non_null(strstr(text, "two MARK two"));
    assert_int_equal(at, size);
    free(octets);
}

static void test_an_order_without_the_clause_keeps_nothing(void **state)
{
    (void)state;
    struct evidence *evidence = open_evidence(2, 1 << 20, 0);
    take(evidence, "without", STARTS_US, "content");
    take(evidence, "denied", STARTS_US, "content");
    take(evidence, "", STARTS_US, "content");
    evidence_close(evidence);
    assert_int_equal(access(kept, F_OK), -1); /* not even a folder */

    evidence = open_evidence(3, 1 << 20, 0);
    take(evidence, "without", STARTS_US, "content");
    take(evidence, "denied", STARTS_US, "content");
    take(evidence, "with", STARTS_US, "content");
    evidence_close(evidence);
    assert_int_equal(count_items("with", "20260101"), 1);
    assert_int_equal(count_items("without", "20260101"), 0);
    assert_int_equal(count_items("denied", "20260101"), 0);
}

static void test_the_clause_ends_with_its_order(void **state)
{
    (void)state;
    struct evidence *evidence = open_evidence(3, 1 << 20, 0);
    take(evidence, "with", STARTS_US - 1, "before");
    take(evidence, "with", STARTS_US, "first");
    take(evidence, "with", ENDS_US - 1, "last");
    take(evidence, "with", ENDS_US, "after");
    evidence_close(evidence);
    assert_int_equal(count_items("with", "20251231"), 0);
    assert_int_equal(count_items("with", "20260101"), 1);
    assert_int_equal(count_items("with", "20260131"), 1);
    assert_int_equal(count_items("with", "20260201"), 0);
}

/* Or connections that were open at midnight would have both files opened and looked through again
 * and again. */
static void test_the_day_of_the_file_never_goes_back(void **state)
{
    const int64_t day = INT64_C(86400000000);
    (void)state;
    struct evidence *evidence = open_evidence(3, 1 << 20, 0);
    take(evidence, "with", STARTS_US + day, "today");
    take(evidence, "with", STARTS_US + day - 1, "yesterday, ended today");
    take(evidence, "with", STARTS_US + day, "today");
    evidence_close(evidence);
    assert_int_equal(count_items("with", "20260101"), 0);
    assert_int_equal(count_items("with", "20260102"), 3);
}

static void test_what_is_beyond_the_bound_is_counted_and_not_kept(void **state)
{
    struct evidence_figures figures;
    (void)state;
    struct evidence *evidence = open_evidence(3, 2000, 0);
    for (unsigned i = 0; i < 20; i++)
        take(evidence, "with", STARTS_US, "some content");
    wait_for(evidence, 20);
    evidence_figures(evidence, &figures);
    assert_true(figures.kept > 0 && figures.octets <= 2000);
    assert_int_equal(figures.kept + figures.dropped, 20);
    evidence_close(evidence);
    assert_int_equal(count_items("with", "20260101"), figures.kept);

    evidence = open_evidence(3, 2000, 0); /* what is there already counts */
    take(evidence, "with", STARTS_US, "some content");
    wait_for(evidence, 1);
    evidence_figures(evidence, &figures);
    assert_int_equal(figures.dropped, 1);
    evidence_close(evidence);
}

static void test_a_folder_is_of_one_process(void **state)
{
    const struct evidence_options options = {
        .folder = kept, .orders = orders, .order_count = 3, .octets_max = 1 << 20};
    struct evidence *other = NULL;
    struct error error = {0};
    (void)state;
    struct evidence *evidence = open_evidence(3, 1 << 20, 0);
    assert_int_equal(evidence_open(&options, &other, &error), -EBUSY);
    assert_non_null(strstr(error.text, "another process"));
    evidence_close(evidence);
    evidence_close(open_evidence(3, 1 << 20, 0));
}

static void test_half_an_item_is_cut_off_before_more_is_kept(void **state)
{
    char path[200];
    struct stat status;
    (void)state;
    struct evidence *evidence = open_evidence(3, 1 << 20, 0);
    take(evidence, "with", STARTS_US, "one");
    take(evidence, "with", STARTS_US, "two");
    evidence_close(evidence);
    snprintf(path, sizeof(path), "%s/with-20260101.sealed", kept);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(truncate(path, status.st_size - 5), 0); /* as a kill may leave it */
    evidence = open_evidence(3, 1 << 20, 0);
    take(evidence, "with", STARTS_US, "three");
    evidence_close(evidence);
    assert_int_equal(count_items("with", "20260101"), 2);
}

static size_t count_files(void)
{
    size_t count = 0;
    DIR *files = opendir(kept);
    assert_non_null(files);
    for (const struct dirent *file; (file = readdir(files)) != NULL;)
        count += strstr(file->d_name, ".sealed") != NULL;
    closedir(files);
    return count;
}

static void test_evidence_that_is_too_old_is_deleted(void **state)
{
    char path[200], day[16];
    const time_t long_ago = time(NULL) - 11 * 86400, lately = time(NULL) - 9 * 86400;
    (void)state;
    assert_int_equal(mkdir(kept, 0700), 0);
    for (unsigned i = 0; i < 2; i++) {
        strftime(day, sizeof(day), "%Y%m%d", gmtime(i == 0 ? &long_ago : &lately));
        snprintf(path, sizeof(path), "%s/with-%s.sealed", kept, day);
        close(open(path, O_CREAT | O_WRONLY, 0600));
    }
    /* Not while the clock is to be doubted, as where nothing tells what it said before. */
    struct error error = {0};
    assert_int_equal(calendar_create(folder, &calendar, &error), 0);
    evidence_close(open_evidence(2, 1 << 20, 10));
    assert_int_equal(count_files(), 2);
    calendar_free(calendar);
    calendar = NULL;
    /* Also when no order has the clause any more. */
    evidence_close(open_evidence(2, 1 << 20, 10));
    assert_int_equal(access(path, F_OK), 0);
    strftime(day, sizeof(day), "%Y%m%d", gmtime(&long_ago));
    snprintf(path, sizeof(path), "%s/with-%s.sealed", kept, day);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_content_of_any_length_has_room(void **state)
{
    static char content[EVIDENCE_CONTENT_MAX + 100];
    char text[EVIDENCE_PLAIN_MAX + 1];
    size_t size;
    (void)state;
    memset(content, 'x', sizeof(content) - 1);
    struct evidence *evidence = open_evidence(3, 1 << 20, 0);
    take(evidence, "with", STARTS_US, content);
    evidence_close(evidence);
    uint8_t *octets = read_day("with", "20260101", &size);
    assert_int_equal(open_item(octets, 0, text), size);
    assert_non_null(strstr(text, "octets: 65536\n"));
    free(octets);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_kept_opens_with_the_key_and_not_without),
        TEST(test_an_order_without_the_clause_keeps_nothing),
        TEST(test_the_clause_ends_with_its_order),
        TEST(test_the_day_of_the_file_never_goes_back),
        TEST(test_what_is_beyond_the_bound_is_counted_and_not_kept),
        TEST(test_a_folder_is_of_one_process),
        TEST(test_half_an_item_is_cut_off_before_more_is_kept),
        TEST(test_evidence_that_is_too_old_is_deleted),
        TEST(test_content_of_any_length_has_room),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
