/* What tells of a person is hashed or sealed, links within an epoch and not across two, and opens
 * again only as long as there is a key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sink/address_seal.h"
#include "sink/event_log.h"
#include "sink/privacy.h"
#include "sink/segment.h"

#define DAY_US INT64_C(86400000000)

/* After any clock that runs this test: 2040-01-01, the first day of an epoch of 5 days. */
#define START_US (INT64_C(25570) * DAY_US)

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/tamis-privacy-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    char path[400];
    (void)state;
    DIR *files = opendir(folder);
    for (const struct dirent *file; (file = readdir(files)) != NULL;) {
        snprintf(path, sizeof(path), "%s/%s", folder, file->d_name);
        (void)unlink(path);
    }
    closedir(files);
    return rmdir(folder);
}

static struct calendar *calendar; /* NULL: the clock is believed */

static struct privacy *open_privacy(enum privacy_addresses addresses, unsigned rotate_days,
                                    bool read_only)
{
    const struct privacy_options options = {
        .folder = folder,
        .addresses = addresses,
        .rotate_days = rotate_days,
        .keep_days = 20,
        .calendar = calendar,
        .read_only = read_only,
    };
    struct privacy *privacy = NULL;
    struct error error = {0};
    if (privacy_open(&options, &privacy, &error) < 0)
        fail_msg("%s: %s", error.file, error.text);
    return privacy;
}

static void tick(struct privacy *privacy, int64_t day)
{
    struct error error = {0};
    if (privacy_tick(privacy, START_US + day * DAY_US, &error) < 0)
        fail_msg("%s: %s", error.file, error.text);
}

static struct sink_text text(const char *content)
{
    return (struct sink_text){.octets = (const uint8_t *)content, .size = strlen(content)};
}

static struct sink_flight flight_from(const char *address)
{
    struct sink_flight flight = {.transport = SINK_TCP};
    char mapped[64];
    snprintf(mapped, sizeof(mapped), "%s%s", strchr(address, ':') == NULL ? "::ffff:" : "",
             address);
    assert_int_equal(inet_pton(AF_INET6, mapped, &flight.client.address), 1);
    return flight;
}

static struct sink_event apply(const struct privacy *privacy, const char *address, const char *bot,
                               const char *machine, const char *user)
{
    static struct sink_recognition recognition;
    const struct sink_flight flight = flight_from(address);
    struct sink_event event;
    memset(&event, 0, sizeof(event));
    recognition = (struct sink_recognition){
        .family = "njrat",
        .bot = text(bot),
        .machine = text(machine),
        .user = text(user),
        .agent = text("agent"),
    };
    privacy_apply(privacy, &flight, &recognition, &event);
    return event;
}

static void assert_opens(const struct privacy *privacy, const struct sink_event *event,
                         const char *address)
{
    struct in6_addr opened;
    const struct sink_flight flight = flight_from(address);
    assert_int_equal(privacy_open_address(privacy, event, &opened), 0);
    assert_memory_equal(&opened, &flight.client.address, sizeof(opened));
}

static bool same(const uint8_t *one, const uint8_t *other)
{
    return memcmp(one, other, 16) == 0;
}

/* ---- Sealing: what was published for these constructions ---- */

static void hex(const char *digits, uint8_t *ret_octets, size_t size)
{
    size_t written;
    assert_int_equal(sodium_hex2bin(ret_octets, size, digits, strlen(digits), NULL, &written, NULL),
                     0);
    assert_int_equal(written, size);
}

/* The vectors of draft-denis-ipcrypt for ipcrypt-deterministic. */
static void test_deterministic_sealing_is_ipcrypt(void **state)
{
    static const struct {
        const char *key, *address, *sealed;
    } vectors[] = {
        {"0123456789abcdeffedcba9876543210", "0.0.0.0", "bde9:6789:d353:824c:d7c6:f58a:6bd2:26eb"},
        {"1032547698badcfeefcdab8967452301", "255.255.255.255",
         "aed2:92f6:ea23:58c3:48fd:8b8:74e8:45d8"},
        {"2b7e151628aed2a6abf7158809cf4f3c", "192.0.2.1",
         "1dbd:c1b9:fff1:7586:7d0b:67b4:e76e:4777"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        uint8_t key[SEAL_KEY_SIZE] = {0}, sealed[16], opened[16], expected[16];
        struct address_seal seal;
        const struct sink_flight flight = flight_from(vectors[i].address);
        hex(vectors[i].key, key, 16);
        assert_int_equal(inet_pton(AF_INET6, vectors[i].sealed, expected), 1);
        address_seal_init(&seal, key);
        address_seal_deterministic(&seal, flight.client.address.s6_addr, sealed);
        assert_memory_equal(sealed, expected, 16);
        address_open_deterministic(&seal, sealed, opened);
        assert_memory_equal(opened, flight.client.address.s6_addr, 16);
    }
}

/* The key and the first addresses of the sample trace that Crypto-PAn's authors ship. */
static void test_prefix_preserving_sealing_is_crypto_pan(void **state)
{
    static const uint8_t key[SEAL_KEY_SIZE] = {21,  34, 23,  141, 51, 164, 207, 128, 19,  10,  91,
                                               22,  73, 144, 125, 16, 216, 152, 143, 131, 121, 121,
                                               101, 39, 98,  87,  76, 45,  42,  132, 34,  2};
    static const char *const vectors[][2] = {
        {"128.11.68.132", "135.242.180.132"},
        {"129.118.74.4", "134.136.186.123"},
        {"130.132.252.244", "133.68.164.234"},
    };
    struct address_seal seal;
    (void)state;
    address_seal_init(&seal, key);
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        uint8_t address[4], sealed[4], expected[4];
        assert_int_equal(inet_pton(AF_INET, vectors[i][0], address), 1);
        assert_int_equal(inet_pton(AF_INET, vectors[i][1], expected), 1);
        address_seal_prefix(&seal, address, 4, sealed);
        assert_memory_equal(sealed, expected, 4);
        address_open_prefix(&seal, sealed, 4, sealed); /* also in place */
        assert_memory_equal(sealed, address, 4);
    }
}

static unsigned common_bits(const uint8_t *one, const uint8_t *other, size_t size)
{
    unsigned bit = 0;
    while (bit < size * 8 && ((one[bit / 8] ^ other[bit / 8]) & 0x80 >> bit % 8) == 0)
        bit++;
    return bit;
}

static void test_addresses_share_as_many_bits_sealed_as_open(void **state)
{
    uint8_t key[SEAL_KEY_SIZE], addresses[2][16], sealed[2][16], opened[16];
    struct address_seal seal;
    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        randombytes_buf(key, sizeof(key));
        randombytes_buf(addresses, sizeof(addresses));
        const size_t size = i % 2 != 0 ? 4 : 16;
        memcpy(addresses[1], addresses[0], i % size); /* a prefix that they share */
        address_seal_init(&seal, key);
        address_seal_prefix(&seal, addresses[0], size, sealed[0]);
        address_seal_prefix(&seal, addresses[1], size, sealed[1]);
        assert_int_equal(common_bits(addresses[0], addresses[1], size),
                         common_bits(sealed[0], sealed[1], size));
        address_open_prefix(&seal, sealed[1], size, opened);
        assert_memory_equal(opened, addresses[1], size);
    }
}

/* ---- Events ---- */

static void test_an_address_opens_with_the_key_alone(void **state)
{
    static const char *const addresses[] = {"192.0.2.1", "255.255.255.255", "0.0.0.0",
                                            "2001:db8::1", "::1"};
    (void)state;
    for (unsigned mode = 0; mode < 2; mode++) {
        struct privacy *privacy = open_privacy((enum privacy_addresses)mode, 5, false);
        struct privacy *reader = open_privacy(PRIVACY_DETERMINISTIC, 5, true);
        for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
            struct sink_event event = apply(privacy, addresses[i], "bot", "", "");
            struct sink_event again = apply(privacy, addresses[i], "other", "", "");
            const struct sink_flight flight = flight_from(addresses[i]);
            assert_int_equal(event.ipv6, strchr(addresses[i], ':') != NULL);
            assert_false(same(event.client, flight.client.address.s6_addr));
            assert_true(same(event.client, again.client));
            assert_opens(privacy, &event, addresses[i]);
            assert_opens(reader, &event, addresses[i]); /* which knows the sealing by the key */
        }
        privacy_close(reader);
        privacy_close(privacy);
    }
}

static void test_a_network_is_one_whatever_the_address_in_it(void **state)
{
    struct privacy *privacy = open_privacy(PRIVACY_DETERMINISTIC, 5, false);
    struct sink_event one = apply(privacy, "192.0.2.1", "", "", "");
    struct sink_event near = apply(privacy, "192.0.2.254", "", "", "");
    struct sink_event far = apply(privacy, "192.0.3.1", "", "", "");
    struct sink_event one6 = apply(privacy, "2001:db8:1::1", "", "", "");
    struct sink_event near6 = apply(privacy, "2001:db8:1:ffff::2", "", "", "");
    struct sink_event far6 = apply(privacy, "2001:db8:2::1", "", "", "");
    (void)state;
    assert_true(same(one.network, near.network));
    assert_false(same(one.network, far.network));
    assert_false(same(one.client, near.client));
    assert_true(same(one6.network, near6.network));
    assert_false(same(one6.network, far6.network));
    privacy_close(privacy);
}

/* Or two people would be counted as one. */
static void test_ids_differ_when_anything_that_they_are_made_of_does(void **state)
{
    struct privacy *privacy = open_privacy(PRIVACY_DETERMINISTIC, 5, false);
    struct sink_event one = apply(privacy, "192.0.2.1", "id", "ab", "c");
    struct sink_event again = apply(privacy, "198.51.100.7", "id", "ab", "c");
    struct sink_event shifted = apply(privacy, "192.0.2.1", "i", "a", "bc");
    struct sink_event none = apply(privacy, "192.0.2.1", "", "", "");
    (void)state;
    assert_true(one.has_victim && one.has_machine && one.has_agent);
    assert_true(same(one.victim, again.victim) && same(one.machine, again.machine));
    assert_false(same(one.victim, shifted.victim));
    assert_false(same(one.machine, shifted.machine));
    assert_false(same(one.victim, one.machine));
    assert_false(none.has_victim || none.has_machine);

    struct sink_recognition other = {.family = "njw0rm", .bot = text("id")};
    struct sink_flight flight = flight_from("192.0.2.1");
    struct sink_event event;
    memset(&event, 0, sizeof(event));
    privacy_apply(privacy, &flight, &other, &event);
    assert_true(event.has_victim && !event.has_agent);
    assert_false(same(event.victim, one.victim)); /* of another family */
    privacy_close(privacy);
}

/* ---- Epochs ---- */

static unsigned count_keys(void)
{
    unsigned count = 0;
    struct stat status;
    char path[400];
    DIR *files = opendir(folder);
    for (const struct dirent *file; (file = readdir(files)) != NULL;) {
        if (file->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, file->d_name);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
        assert_int_equal(status.st_size, 32);
        count++;
    }
    closedir(files);
    return count;
}

static void test_an_id_links_within_an_epoch_and_not_across_two(void **state)
{
    struct privacy *privacy = open_privacy(PRIVACY_DETERMINISTIC, 5, false);
    (void)state;
    tick(privacy, 0);
    struct sink_event first = apply(privacy, "192.0.2.1", "id", "machine", "user");
    tick(privacy, 4);
    struct sink_event later = apply(privacy, "192.0.2.1", "id", "machine", "user");
    tick(privacy, 5);
    struct sink_event next = apply(privacy, "192.0.2.1", "id", "machine", "user");
    assert_int_equal(first.epoch, 25570 / 5);
    assert_int_equal(first.epoch, later.epoch);
    assert_true(same(first.victim, later.victim) && same(first.client, later.client));
    assert_int_equal(next.epoch, first.epoch + 1);
    assert_false(same(first.victim, next.victim) || same(first.machine, next.machine) ||
                 same(first.client, next.client) || same(first.network, next.network));
    assert_opens(privacy, &first, "192.0.2.1");
    assert_opens(privacy, &next, "192.0.2.1");
    privacy_close(privacy);

    privacy = open_privacy(PRIVACY_DETERMINISTIC, 5, false); /* after a restart */
    tick(privacy, 5);
    struct sink_event same_epoch = apply(privacy, "192.0.2.1", "id", "machine", "user");
    assert_true(same(next.victim, same_epoch.victim));
    privacy_close(privacy);
}

static void test_a_key_is_destroyed_when_its_events_are(void **state)
{
    struct privacy *privacy = open_privacy(PRIVACY_DETERMINISTIC, 5, false);
    struct in6_addr address;
    (void)state;
    tick(privacy, 0); /* the key of the real clock's epoch is long over */
    assert_int_equal(count_keys(), 1);
    struct sink_event event = apply(privacy, "192.0.2.1", "id", "", "");
    tick(privacy, 4 + 20);
    assert_opens(privacy, &event, "192.0.2.1");
    assert_int_equal(count_keys(), 2);
    tick(privacy, 4 + 21);
    assert_int_equal(privacy_open_address(privacy, &event, &address), -ENOENT);
    tick(privacy, 4 + 22);
    assert_int_equal(count_keys(), 2);
    privacy_close(privacy);
    privacy = open_privacy(PRIVACY_DETERMINISTIC, 5, true);
    assert_int_equal(privacy_open_address(privacy, &event, &address), -ENOENT);
    privacy_close(privacy);
}

static void test_a_leap_of_the_clock_destroys_no_key_within_an_hour(void **state)
{
    struct error error = {0};
    struct in6_addr address;
    struct timespec now;
    (void)state;
    assert_int_equal(calendar_create(folder, &calendar, &error), 0); /* of no events */
    struct privacy *privacy = open_privacy(PRIVACY_DETERMINISTIC, 5, false);
    tick(privacy, 0);
    struct sink_event event = apply(privacy, "192.0.2.1", "id", "", "");
    tick(privacy, 10000);
    assert_opens(privacy, &event, "192.0.2.1");

    /* As if the clock had leapt an hour ago. */
    clock_gettime(CLOCK_MONOTONIC, &now);
    const int64_t before_us = ((int64_t)now.tv_sec - 3600) * 1000000;
    assert_false(calendar_is_sure_at(calendar, START_US + 20000 * DAY_US, before_us));
    tick(privacy, 20000);
    assert_int_equal(privacy_open_address(privacy, &event, &address), -ENOENT);
    privacy_close(privacy);
    calendar_free(calendar);
    calendar = NULL;
}

static void test_keys_end_in_time_whatever_is_wrong_with_another(void **state)
{
    struct privacy *privacy = open_privacy(PRIVACY_DETERMINISTIC, 5, false);
    struct error error = {0};
    struct in6_addr address;
    char path[128];
    (void)state;
    tick(privacy, 0);
    struct sink_event event = apply(privacy, "192.0.2.1", "id", "", "");
    tick(privacy, 5);
    snprintf(path, sizeof(path), "%s/epoch-9-prefix-19700102.key", folder);
    int file = open(path, O_WRONLY | O_CREAT, 0600); /* empty: no key */
    assert_true(file >= 0);
    close(file);
    assert_int_equal(privacy_tick(privacy, START_US + (4 + 21) * DAY_US, &error), -EBADMSG);
    assert_string_equal(error.file, path);
    assert_int_equal(privacy_open_address(privacy, &event, &address), -ENOENT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(count_keys(), 1);
    privacy_close(privacy);
}

/* Another sealing or rotation must not be taken for that of the events before. */
static void test_a_changed_configuration_begins_an_epoch_of_its_own(void **state)
{
    struct privacy *privacy = open_privacy(PRIVACY_DETERMINISTIC, 5, false);
    (void)state;
    tick(privacy, 0);
    struct sink_event fixed = apply(privacy, "192.0.2.1", "id", "", "");
    privacy_close(privacy);

    privacy = open_privacy(PRIVACY_PREFIX, 5, false);
    tick(privacy, 0);
    struct sink_event prefix = apply(privacy, "192.0.2.1", "id", "", "");
    assert_int_not_equal(prefix.epoch, fixed.epoch);
    assert_opens(privacy, &fixed, "192.0.2.1");
    assert_opens(privacy, &prefix, "192.0.2.1");
    privacy_close(privacy);

    privacy = open_privacy(PRIVACY_PREFIX, 25570, false); /* number 1 by the calendar */
    tick(privacy, 0);
    struct sink_event slow = apply(privacy, "192.0.2.1", "id", "", "");
    assert_int_equal(slow.epoch, 1);
    privacy_close(privacy);
    privacy = open_privacy(PRIVACY_PREFIX, 5, false);
    tick(privacy, 0);
    struct sink_event back = apply(privacy, "192.0.2.1", "id", "", "");
    assert_int_equal(back.epoch, prefix.epoch);
    assert_true(same(back.client, prefix.client));
    privacy_close(privacy);
}

static void test_a_reader_makes_and_destroys_nothing(void **state)
{
    struct privacy *reader = open_privacy(PRIVACY_DETERMINISTIC, 0, true);
    (void)state;
    tick(reader, 0);
    assert_int_equal(count_keys(), 0);
    struct privacy *privacy = open_privacy(PRIVACY_DETERMINISTIC, 5, false);
    tick(privacy, 0);
    struct sink_event event = apply(privacy, "192.0.2.1", "id", "", "");
    tick(reader, 1000); /* sees the key that was made since */
    assert_opens(reader, &event, "192.0.2.1");
    assert_int_equal(count_keys(), 1);
    privacy_close(privacy);
    privacy_close(reader);
}

static void test_keys_that_others_may_read_are_refused(void **state)
{
    struct privacy_options options = {.folder = folder, .rotate_days = 5};
    struct privacy *privacy;
    struct error error = {0};
    char path[128];
    (void)state;
    snprintf(path, sizeof(path), "%s/epoch-7-prefix-20400105.key", folder);
    int file = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(file, "0123456789012345678901234567890", 31), 31);
    close(file);
    assert_int_equal(privacy_open(&options, &privacy, &error), -EBADMSG);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(privacy_open(&options, &privacy, &error), -EPERM);
    assert_non_null(strstr(error.text, "chmod 600"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(chmod(folder, 0750), 0);
    assert_int_equal(privacy_open(&options, &privacy, &error), -EPERM);
    assert_non_null(strstr(error.text, "chmod 700"));
}

struct user {
    const struct privacy *privacy;
    _Atomic bool is_told_to_end;
};

static void *apply_and_open(void *context)
{
    struct user *user = context;
    while (!atomic_load(&user->is_told_to_end)) {
        const struct sink_flight flight = flight_from("192.0.2.1");
        struct sink_recognition recognition = {.family = "njrat", .bot = text("id")};
        struct sink_event event;
        struct in6_addr address;
        memset(&event, 0, sizeof(event));
        privacy_apply(user->privacy, &flight, &recognition, &event);
        if (privacy_open_address(user->privacy, &event, &address) != 0)
            continue; /* its key was destroyed meanwhile */
        if (memcmp(&address, &flight.client.address, sizeof(address)) != 0)
            return user; /* cmocka's assertions are for the main thread */
    }
    return NULL;
}

static void test_threads_hash_while_epochs_come_and_go(void **state)
{
    struct privacy *privacy = open_privacy(PRIVACY_DETERMINISTIC, 1, false);
    struct user user = {.privacy = privacy};
    pthread_t threads[2];
    (void)state;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, apply_and_open, &user), 0);
    for (int64_t day = 0; day < 200; day++)
        tick(privacy, day * 22); /* the last one's key is destroyed at once */
    atomic_store(&user.is_told_to_end, true);
    for (size_t i = 0; i < 2; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_int_equal(count_keys(), 1);
    privacy_close(privacy);
}

/* ---- The promise ---- */

#define BOT     "MARK-bot_1A2B3C4D"
#define MACHINE "MARK-machine"
#define USER    "MARK-user"
#define WINDOW  "MARK-window"
#define AGENT   "MARK-agent"

static void assert_absent(const uint8_t *octets, size_t size, const char *where)
{
    static const char *const marks[] = {"MARK",         BOT,
                                        MACHINE,        USER,
                                        WINDOW,         AGENT,
                                        "203.0.113.77", "\xcb\x00\x71\x4d",
                                        "cb00714d",     "\x4d\x71\x00\xcb"};
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        const size_t length = i == 7 || i == 9 ? 4 : strlen(marks[i]);
        if (memmem(octets, size, marks[i], length) != NULL)
            fail_msg("%s holds mark %zu", where, i);
    }
}

static void search_file(const char *path)
{
    static uint8_t octets[1 << 20];
    int file = open(path, O_RDONLY);
    ssize_t size = read(file, octets, sizeof(octets));
    close(file);
    assert_true(size >= 0 && size < (ssize_t)sizeof(octets));
    assert_absent(octets, (size_t)size, path);
}

static void search_blocks(const char *events)
{
    static uint8_t raw[BLOCK_RAW_MAX];
    struct event_reader *reader;
    struct error error;
    struct event_place place;
    const uint8_t *octets;
    size_t size, blocks = 0;
    assert_int_equal(event_reader_open(events, 0, 0, NULL, &reader, &error), 0);
    while (event_reader_block(reader, &octets, &size, &place, &error) == 1) {
        struct block_header header;
        assert_int_equal(block_header_read(octets, &header), 0);
        int raw_size = block_unpack(&header, octets + BLOCK_HEADER_SIZE, raw);
        assert_true(raw_size > 0);
        assert_absent(raw, (size_t)raw_size, "a block");
        blocks++;
    }
    assert_true(blocks > 0);
    event_reader_close(reader);
}

/* The log on standard error goes to a file of the folder meanwhile. */
static void test_nothing_that_names_a_person_is_written(void **state)
{
    char events[80], path[400], told[80];
    struct event_log *log;
    struct error error = {0};
    struct privacy *privacy = open_privacy(PRIVACY_DETERMINISTIC, 5, false);
    (void)state;
    snprintf(events, sizeof(events), "%s/events", folder);
    snprintf(told, sizeof(told), "%s/log", folder);
    const struct event_log_options options = {
        .folder = events,
        .threads = 1,
        .flush_ms = 10,
        .segment_octets_max = 1 << 20,
        .segment_seconds = 60,
        .waiting_octets_max = 1 << 20,
    };
    fflush(stderr);
    const int saved = dup(STDERR_FILENO), file = open(told, O_CREAT | O_RDWR, 0600);
    (void)dup2(file, STDERR_FILENO);
    assert_int_equal(event_log_open(&options, &log, &error), 0);
    for (unsigned i = 0; i < 3000; i++) {
        static const char octets[] = "170\0ll|'|'|" BOT "|'|'|" MACHINE "|'|'|" USER;
        struct sink_flight flight = flight_from("203.0.113.77");
        struct sink_recognition recognition = {
            .kind = SINK_CHECKIN,
            .family = "njrat",
            .rule = "njrat",
            .bot = text(BOT),
            .machine = text(MACHINE),
            .user = text(USER),
            .window = text(WINDOW),
            .agent = text(AGENT),
        };
        struct sink_event event;
        memset(&event, 0, sizeof(event));
        flight.octets = (const uint8_t *)octets;
        flight.size = sizeof(octets);
        snprintf(event.family, sizeof(event.family), "%s", recognition.family);
        event.at_us = (int64_t)i + 1;
        event.kind = (uint8_t)recognition.kind;
        privacy_apply(privacy, &flight, &recognition, &event);
        assert_true(event.has_victim && event.has_machine && event.has_agent);
        assert_true(event_log_put(log, 0, &event));
    }
    event_log_close(log);
    privacy_close(privacy);
    fflush(stderr);
    (void)dup2(saved, STDERR_FILENO);
    close(file);
    close(saved);

    search_blocks(events);
    search_file(told);
    (void)unlink(told);
    DIR *files = opendir(events);
    for (const struct dirent *entry; (entry = readdir(files)) != NULL;) {
        snprintf(path, sizeof(path), "%s/%s", events, entry->d_name);
        if (entry->d_name[0] != '.') {
            search_file(path);
            (void)unlink(path);
        }
    }
    closedir(files);
    assert_int_equal(rmdir(events), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deterministic_sealing_is_ipcrypt),
        cmocka_unit_test(test_prefix_preserving_sealing_is_crypto_pan),
        cmocka_unit_test(test_addresses_share_as_many_bits_sealed_as_open),
        TEST(test_an_address_opens_with_the_key_alone),
        TEST(test_a_network_is_one_whatever_the_address_in_it),
        TEST(test_ids_differ_when_anything_that_they_are_made_of_does),
        TEST(test_an_id_links_within_an_epoch_and_not_across_two),
        TEST(test_a_key_is_destroyed_when_its_events_are),
        TEST(test_a_leap_of_the_clock_destroys_no_key_within_an_hour),
        TEST(test_keys_end_in_time_whatever_is_wrong_with_another),
        TEST(test_a_changed_configuration_begins_an_epoch_of_its_own),
        TEST(test_a_reader_makes_and_destroys_nothing),
        TEST(test_keys_that_others_may_read_are_refused),
        TEST(test_threads_hash_while_epochs_come_and_go),
        TEST(test_nothing_that_names_a_person_is_written),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
