/* The outbox without NATS: its options, its place, and what retention takes from it. What it sends
 * is tested with real servers by tests/system/test_sink_nats*.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "event_sample.h"
#include "sink/event_outbox_internal.h"
#include "sink/segment.h"

static char folder[64], place_path[80], file_path[80], url[64];
static char *servers[] = {url};

static struct event_outbox_options usual(void)
{
    return (struct event_outbox_options){
        .events = folder,
        .place = place_path,
        .servers = servers,
        .server_count = 1,
        .stream = "SINK",
        .subject = "sink.events",
        .replicas = 1,
    };
}

/* ---- Fixture ---- */

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/tamis-outbox-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(place_path, sizeof(place_path), "%s/place", folder);
    snprintf(file_path, sizeof(file_path), "%s/file", folder);
    strcpy(url, "nats://127.0.0.1:1"); /* nobody listens there */
    return 0;
}

static int remove_folder(void **state)
{
    char path[400];
    (void)state;
    DIR *files = opendir(folder);
    if (files == NULL)
        return -1;
    for (const struct dirent *file; (file = readdir(files)) != NULL;) {
        snprintf(path, sizeof(path), "%s/%s", folder, file->d_name);
        (void)unlink(path);
    }
    closedir(files);
    return rmdir(folder);
}

static void write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* Begins one more segment. */
static struct event_log *open_log(void)
{
    const struct event_log_options options = {
        .folder = folder,
        .threads = 1,
        .flush_ms = 20,
        .segment_octets_max = 1 << 20,
        .segment_seconds = 3600,
        .waiting_octets_max = 1 << 20,
    };
    struct event_log *log;
    struct error error = {0};
    if (event_log_open(&options, &log, &error) < 0)
        fail_msg("%s", error.text);
    return log;
}

/* One more segment, with one block. */
static void write_segment(void)
{
    struct event_log *log = open_log();
    const struct sink_event event = sample_example();
    assert_true(event_log_put(log, 0, &event));
    event_log_close(log);
}

/* The numbers and payload octets of the segments. */
static size_t list(struct outbox_segment *ret_segments, size_t room)
{
    struct segment_name *names;
    size_t count;
    assert_int_equal(segment_list(folder, &names, &count), 0);
    assert_true(count <= room);
    for (size_t i = 0; i < count; i++) {
        char path[200];
        struct stat status;
        snprintf(path, sizeof(path), "%s/%s", folder, names[i].name);
        assert_int_equal(stat(path, &status), 0);
        ret_segments[i] = (struct outbox_segment){names[i].number,
                                                  (uint64_t)status.st_size - SEGMENT_HEADER_SIZE};
    }
    free(names);
    return count;
}

static void delete_segment(size_t index)
{
    struct segment_name *names;
    size_t count;
    char path[200];
    assert_int_equal(segment_list(folder, &names, &count), 0);
    snprintf(path, sizeof(path), "%s/%s", folder, names[index].name);
    free(names);
    assert_int_equal(unlink(path), 0);
}

/* ---- Options ---- */

static void refuse(const struct event_outbox_options *options, int code, const char *text)
{
    struct event_outbox *outbox;
    struct error error = {0};
    assert_int_equal(event_outbox_start(options, &outbox, &error), code);
    if (strstr(error.text, text) == NULL)
        fail_msg("'%s' does not say '%s'", error.text, text);
}

static void test_options_that_cannot_work_are_refused_at_the_start(void **state)
{
    static const char *const subjects[] = {"", "a..b", ".a", "a.", "*", "a.>", "$JS.ACK.x", "a b"};
    (void)state;
    struct event_outbox_options options = usual();
    options.stream = "with.dot";
    refuse(&options, -EINVAL, "no name of a stream");
    for (size_t i = 0; i < sizeof(subjects) / sizeof(*subjects); i++) {
        options = usual();
        options.subject = subjects[i];
        refuse(&options, -EINVAL, "no subject to publish to");
    }
    options = usual();
    options.credentials = file_path;
    refuse(&options, -ENOENT, "credentials");
    options = usual();
    options.ca_file = file_path;
    refuse(&options, -ENOENT, "authority");
    write_text(file_path, "nonsense");
    refuse(&options, -EINVAL, "PEM");
}

static void test_a_place_that_cannot_be_read_is_refused(void **state)
{
    static const char *const texts[] = {"", "tamis-outbox-place 1 00000000000000aa 3",
                                        "tamis-outbox-place 2 00000000000000aa 3 4\n",
                                        "tamis-outbox-place 1 00000000000000aa 3 4\n5"};
    (void)state;
    const struct event_outbox_options options = usual();
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        write_text(place_path, texts[i]);
        refuse(&options, -EINVAL, "remove it");
    }
}

/* ---- Without a server ---- */

static void wait_figures(const struct event_outbox *outbox, uint64_t failures,
                         struct event_outbox_figures *ret_figures)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    do {
        nanosleep(&pause, NULL);
        event_outbox_figures(outbox, ret_figures);
    } while (ret_figures->failures < failures);
}

static void test_it_tries_again_and_tells_what_waits(void **state)
{
    struct event_outbox_figures figures;
    struct outbox_segment segments[2];
    const struct event_outbox_options options = usual();
    (void)state;
    write_segment();
    write_segment();
    assert_int_equal(list(segments, 2), 2);
    for (unsigned round = 0; round < 2; round++) { /* the library can be opened again */
        struct event_outbox *outbox = NULL;
        assert_int_equal(event_outbox_start(&options, &outbox, NULL), 0);
        wait_figures(outbox, 2, &figures);
        event_outbox_stop(outbox);
        assert_false(figures.connected);
        assert_int_equal(figures.sent, 0);
        assert_int_equal(figures.lost, 0);
        assert_int_equal(figures.behind, segments[0].size + segments[1].size);
    }
    assert_int_equal(access(place_path, F_OK), -1); /* it has not moved */
}

static void test_a_server_that_says_nothing_holds_up_no_stop(void **state)
{
    struct event_outbox *outbox = NULL;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(address);
    const struct event_outbox_options options = usual();
    (void)state;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    snprintf(url, sizeof(url), "nats://127.0.0.1:%u", ntohs(address.sin_port));
    write_segment();
    assert_int_equal(event_outbox_start(&options, &outbox, NULL), 0);
    close(accept(listener, NULL, NULL)); /* once it ends, and then it is silent */
    int silent = accept(listener, NULL, NULL);
    event_outbox_stop(outbox);
    close(silent);
    close(listener);
}

/* ---- The place ---- */

/* As after event_outbox_start(), but without a thread. */
static struct event_outbox at(uint64_t node, uint64_t segment, uint64_t octet)
{
    return (struct event_outbox){
        .events = folder,
        .place_path = place_path,
        .node = node,
        .place = {segment, octet},
    };
}

static void test_a_place_that_is_saved_is_found_again(void **state)
{
    struct event_outbox saved = at(UINT64_C(0xfedcba9876543210), 7, 123456), found = at(0, 0, 0);
    (void)state;
    outbox_look(&saved);
    free(saved.segments);
    assert_int_equal(outbox_place_load(&found, NULL), 0);
    assert_true(found.node == saved.node);
    assert_int_equal(found.place.segment, 7);
    assert_int_equal(found.place.octet, 123456);
}

static void test_a_place_in_another_log_is_not_one_in_this(void **state)
{
    struct event_outbox outbox = at(0xaa, 7, 123456);
    (void)state;
    assert_int_equal(outbox_place_check(&outbox), 0); /* there is no log yet */
    write_segment();
    assert_int_equal(outbox_place_check(&outbox), 1);
    assert_true(outbox.node != 0xaa);
    assert_int_equal(outbox.place.segment, 0);
    outbox.place.segment = 1;
    assert_int_equal(outbox_place_check(&outbox), 1);
    assert_int_equal(outbox.place.segment, 1);
}

static void test_where_all_is_sent_the_place_goes_on_to_the_last_segment(void **state)
{
    struct outbox_segment segments[2];
    (void)state;
    write_segment();
    write_segment();
    assert_int_equal(list(segments, 2), 2);
    struct event_outbox outbox = at(1, 1, SEGMENT_HEADER_SIZE + segments[0].size);
    outbox_look(&outbox);
    assert_int_equal(outbox.place.segment, 1); /* there is one more block */
    assert_int_equal(outbox.behind, segments[1].size);
    outbox.place = (struct event_place){2, SEGMENT_HEADER_SIZE + segments[1].size};
    struct event_log *log = open_log();
    outbox_look(&outbox);
    event_log_close(log);
    assert_int_equal(outbox.place.segment, 3);
    assert_int_equal(outbox.place.octet, 0);
    write_segment(); /* which removes the third, since it is empty */
    delete_segment(0);
    outbox_look(&outbox);
    assert_int_equal(outbox.lost, 0);
    assert_int_equal(outbox.place.segment, 3);
    free(outbox.segments);
}

static void test_what_retention_takes_before_it_is_sent_is_counted(void **state)
{
    struct outbox_segment segments[3];
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        write_segment();
    assert_int_equal(list(segments, 3), 3);
    struct event_outbox outbox = at(1, 1, SEGMENT_HEADER_SIZE + 10); /* within the first block */
    outbox_look(&outbox);
    assert_int_equal(outbox.lost, 0);
    delete_segment(0);
    delete_segment(0);
    outbox_look(&outbox);
    assert_int_equal(outbox.lost, segments[0].size - 10 + segments[1].size);
    outbox_look(&outbox);
    assert_int_equal(outbox.lost, segments[0].size - 10 + segments[1].size);
    assert_int_equal(outbox.behind, segments[2].size);
    free(outbox.segments);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        TEST(test_options_that_cannot_work_are_refused_at_the_start),
        TEST(test_a_place_that_cannot_be_read_is_refused),
        TEST(test_it_tries_again_and_tells_what_waits),
        TEST(test_a_server_that_says_nothing_holds_up_no_stop),
        TEST(test_a_place_that_is_saved_is_found_again),
        TEST(test_a_place_in_another_log_is_not_one_in_this),
        TEST(test_where_all_is_sent_the_place_goes_on_to_the_last_segment),
        TEST(test_what_retention_takes_before_it_is_sent_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
