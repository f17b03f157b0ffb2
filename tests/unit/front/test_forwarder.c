/* Who waits for whom: clients that ask the same, bounds, answers that have expired, names never
 * seen, and what becomes of questions in flight when zones change or all ends. The origins are
 * sockets of the test, which answers by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <libknot/libknot.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/rcu.h"
#include "front/forwarder_internal.h"

#define PATIENCE_MS 20000

/* Clients of one test. */
#define CLIENTS_MAX 4096

#define CACHE_OCTETS ((uint64_t)4 << 20)

/* ---- Clients ---- */

/* What a client was told. */
struct told {
    unsigned times; /* once is right */
    bool is_theirs; /* the request that came back */
    bool has_answer;
    int ede_code;
    char text[64];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t flushed = PTHREAD_COND_INITIALIZER;
static struct told told[CLIENTS_MAX]; /* under the lock; seen when the forwarder has flushed */
static unsigned told_count, held_count;

static void answer(void *context, unsigned thread, const void *route, const uint8_t *request,
                   size_t size, const struct forward_outcome *outcome)
{
    (void)context, (void)thread;
    unsigned client;
    memcpy(&client, route, sizeof(client));
    pthread_mutex_lock(&lock);
    struct told *one = &told[client];
    one->times++;
    one->is_theirs = size >= 1 && request[0] == (uint8_t)client;
    one->has_answer = outcome->answer != NULL;
    one->ede_code = outcome->ede_code;
    if (outcome->ede_text != NULL)
        snprintf(one->text, sizeof(one->text), "%s", outcome->ede_text);
    held_count++;
    pthread_mutex_unlock(&lock);
}

static void flush(void *context, unsigned thread)
{
    (void)context, (void)thread;
    pthread_mutex_lock(&lock);
    told_count = held_count;
    pthread_cond_broadcast(&flushed);
    pthread_mutex_unlock(&lock);
}

/* Waits until so many answers were sent. */
static void wait_for_told(unsigned count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&lock);
    int rc = 0;
    while (told_count < count && rc == 0)
        rc = pthread_cond_timedwait(&flushed, &lock, &until);
    const unsigned now = told_count;
    pthread_mutex_unlock(&lock);
    assert_int_equal(now, count);
}

static void assert_told(unsigned client, bool has_answer, int ede_code)
{
    pthread_mutex_lock(&lock);
    const struct told one = told[client];
    pthread_mutex_unlock(&lock);
    assert_int_equal(one.times, 1);
    assert_true(one.is_theirs);
    assert_int_equal(one.has_answer, has_answer);
    assert_int_equal(one.ede_code, ede_code);
}

/* ---- Origins ---- */

struct origin {
    int fd;
    struct sockaddr_storage address;
};

static struct origin origins[2];

/* A question as an origin has got it. */
struct heard {
    uint8_t wire[4096];
    size_t size, question_end;
    struct sockaddr_storage from;
    socklen_t from_size;
    char name[KNOT_DNAME_TXT_MAXLEN + 1]; /* in lower case */
};

static void origin_open(struct origin *origin)
{
    struct sockaddr_in *address = (struct sockaddr_in *)&origin->address;
    socklen_t size = sizeof(*address);
    *address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    origin->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(origin->fd >= 0);
    assert_int_equal(bind(origin->fd, (struct sockaddr *)address, size), 0);
    assert_int_equal(getsockname(origin->fd, (struct sockaddr *)address, &size), 0);
}

static bool origin_hears(const struct origin *origin, struct heard *ret_heard, int wait_ms)
{
    struct pollfd fd = {.fd = origin->fd, .events = POLLIN};
    if (poll(&fd, 1, wait_ms) != 1)
        return false;
    ret_heard->from_size = sizeof(ret_heard->from);
    const ssize_t size = recvfrom(origin->fd, ret_heard->wire, sizeof(ret_heard->wire), 0,
                                  (struct sockaddr *)&ret_heard->from, &ret_heard->from_size);
    assert_true(size > KNOT_WIRE_HEADER_SIZE);
    ret_heard->size = (size_t)size;
    uint8_t name[KNOT_DNAME_MAXLEN];
    const int name_size = knot_dname_wire_check(ret_heard->wire + KNOT_WIRE_HEADER_SIZE,
                                                ret_heard->wire + size, NULL);
    assert_true(name_size > 0);
    memcpy(name, ret_heard->wire + KNOT_WIRE_HEADER_SIZE, (size_t)name_size);
    knot_dname_to_lower(name);
    assert_non_null(knot_dname_to_str(ret_heard->name, name, sizeof(ret_heard->name)));
    ret_heard->question_end = KNOT_WIRE_HEADER_SIZE + (size_t)name_size + 4;
    return true;
}

/* Waits for a question for that name; others, asked again meanwhile, are passed over. */
static void origin_expect(const struct origin *origin, const char *name, struct heard *ret_heard)
{
    do
        assert_true(origin_hears(origin, ret_heard, PATIENCE_MS));
    while (strcmp(ret_heard->name, name) != 0);
}

static void origin_says(const struct origin *origin, const struct heard *heard)
{
    static const uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 192, 0, 2, 1};
    uint8_t wire[4096];
    memcpy(wire, heard->wire, heard->question_end);
    knot_wire_write_u16(wire + 2, 0x8400); /* QR, AA */
    knot_wire_set_ancount(wire, 1);
    knot_wire_set_nscount(wire, 0);
    knot_wire_set_arcount(wire, 0);
    memcpy(wire + heard->question_end, record, sizeof(record));
    const size_t size = heard->question_end + sizeof(record);
    assert_int_equal(
        sendto(origin->fd, wire, size, 0, (const struct sockaddr *)&heard->from, heard->from_size),
        size);
}

/* ---- The forwarder ---- */

static struct cache *cache;
static struct denial_store *denials;
static struct forwarder *forwarder;

static int set_up(void **state)
{
    (void)state;
    const struct cache_options cache_options = {.octets_max = CACHE_OCTETS};
    assert_int_equal(cache_create(&cache_options, &cache), 0);
    assert_int_equal(denial_store_create(DENIAL_OCTETS_MIN, &denials), 0);
    const struct forwarder_options options = {
        .threads = 1, .cache = cache, .denials = denials, .answer = answer, .flush = flush};
    struct error error;
    assert_int_equal(forwarder_start(&options, &forwarder, &error), 0);
    memset(told, 0, sizeof(told));
    told_count = held_count = 0;
    for (size_t i = 0; i < 2; i++)
        origin_open(&origins[i]);
    return 0;
}

static void stop(void)
{
    forwarder_stop(forwarder);
    forwarder = NULL;
}

static int tear_down(void **state)
{
    (void)state;
    stop();
    cache_free(cache);
    denial_store_free(denials);
    for (size_t i = 0; i < 2; i++)
        close(origins[i].fd);
    return 0;
}

static void parse(struct name *ret_name, const char *text)
{
    uint8_t wire[KNOT_DNAME_MAXLEN];
    assert_non_null(knot_dname_from_str(wire, text, sizeof(wire)));
    assert_true(name_parse(ret_name, wire, sizeof(wire)) > 0);
}

static struct forward_zone zone_of(const uint8_t *apex, const struct origin *origin)
{
    return (struct forward_zone){
        .apex = apex, .servers = &origin->address, .server_count = 1, .stale_s = 3600};
}

static const uint8_t a_example[] = "\1a\7example", sub_a_example[] = "\3sub\1a\7example";

static void configure(const struct forward_zone *zones, size_t count, enum forward_others others)
{
    struct error error;
    if (forwarder_configure(forwarder, zones, count, others, &error) < 0)
        fail_msg("%s", error.text);
}

static void configure_one(const uint8_t *apex, const struct origin *origin)
{
    const struct forward_zone zone = zone_of(apex, origin);
    configure(&zone, 1, FORWARD_OTHERS_GO);
}

/* A client asks for the address of a name in a zone; `size` octets of request. */
static bool ask_sized(unsigned client, const char *text, const char *apex_text, size_t size)
{
    static uint8_t request[60000];
    struct name name, apex;
    parse(&name, text);
    parse(&apex, apex_text);
    request[0] = (uint8_t)client;
    const struct forward_question question = {
        .key = {.name = &name, .type = KNOT_RRTYPE_A},
        .apex = &apex,
        .route = &client,
        .route_size = sizeof(client),
        .request = request,
        .size = size,
    };
    return forwarder_submit(forwarder, &question);
}

static void ask(unsigned client, const char *text)
{
    assert_true(ask_sized(client, text, "a.example.", 1));
}

static struct forwarder_counters counters(void)
{
    struct forwarder_counters now;
    forwarder_counters(forwarder, &now);
    return now;
}

/* Keeps an answer that expired a minute ago. */
static void keep_expired(const char *text, uint8_t rcode)
{
    static const uint8_t body[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 9};
    static const uint16_t place = 6;
    struct name name;
    parse(&name, text);
    const int64_t now = time(NULL);
    const struct cache_key key = {.name = &name, .type = KNOT_RRTYPE_A};
    const struct cached_answer kept = {
        .rcode = rcode,
        .authoritative = true,
        .counts = {rcode == 0 ? 1 : 0},
        .body = body,
        .body_size = rcode == 0 ? sizeof(body) : 0,
        .ttl_places = &place,
        .ttl_count = rcode == 0 ? 1 : 0,
        .stored_at = now - 120,
        .expires_at = now - 60,
        .stale_until = now + 3600,
    };
    cache_put(cache, &key, &kept);
}

static bool is_fresh(const char *text)
{
    struct name name;
    struct cached_answer found;
    parse(&name, text);
    const struct cache_key key = {.name = &name, .type = KNOT_RRTYPE_A};
    rcu_register_thread();
    const bool is = cache_find(cache, &key, &found) && time(NULL) < found.expires_at;
    rcu_unregister_thread();
    return is;
}

/* ---- Joining ---- */

static void test_who_asks_the_same_waits_for_one_question(void **state)
{
    (void)state;
    struct heard heard;
    configure_one(a_example, &origins[0]);
    ask(0, "www.a.example.");
    origin_expect(&origins[0], "www.a.example.", &heard);
    ask(1, "www.a.example.");
    ask(2, "WWW.A.example.");
    while (counters().joined < 2)
        usleep(100);
    assert_int_equal(counters().waiting, 1);
    origin_says(&origins[0], &heard);
    wait_for_told(3);
    for (unsigned client = 0; client < 3; client++)
        assert_told(client, true, -1);
    assert_int_equal(counters().asked, 1);
    assert_int_equal(counters().answered, 3);
    assert_true(is_fresh("www.a.example."));

    ask(3, "www.a.example."); /* it was on its way while the answer was kept */
    wait_for_told(4);
    assert_told(3, true, -1);
    assert_int_equal(counters().asked, 1);
}

static void test_the_cache_may_ask_without_a_client(void **state)
{
    (void)state;
    struct heard heard;
    struct name name, apex;
    configure_one(a_example, &origins[0]);
    parse(&name, "www.a.example.");
    parse(&apex, "a.example.");
    const struct forward_question question = {.key = {.name = &name, .type = KNOT_RRTYPE_A},
                                              .apex = &apex};
    assert_true(forwarder_submit(forwarder, &question));
    origin_expect(&origins[0], "www.a.example.", &heard);
    origin_says(&origins[0], &heard);
    while (counters().refreshed < 1)
        usleep(100);
    assert_true(is_fresh("www.a.example."));
    assert_int_equal(counters().answered, 0);
}

/* ---- Bounds ---- */

static void test_no_more_wait_for_a_question_than_may(void **state)
{
    (void)state;
    struct heard heard;
    configure_one(a_example, &origins[0]);
    for (unsigned client = 0; client < WAITERS_MAX + 3; client++)
        ask(client, "www.a.example.");
    wait_for_told(3);
    for (unsigned client = WAITERS_MAX; client < WAITERS_MAX + 3; client++)
        assert_told(client, false, KNOT_EDNS_EDE_OTHER);
    assert_int_equal(counters().over_bound, 3);
    origin_expect(&origins[0], "www.a.example.", &heard);
    origin_says(&origins[0], &heard);
    wait_for_told(WAITERS_MAX + 3);
    for (unsigned client = 0; client < WAITERS_MAX; client++)
        assert_told(client, true, -1);
}

static void test_no_more_octets_wait_than_may(void **state)
{
    (void)state;
    const size_t size = 60000;
    char name[64];
    unsigned taken = 0;
    configure_one(a_example, &origins[0]);
    for (; taken < CLIENTS_MAX; taken++) {
        snprintf(name, sizeof(name), "n%u.a.example.", taken);
        if (!ask_sized(taken, name, "a.example.", size))
            break;
    }
    assert_in_range(taken, WAITING_OCTETS_MAX / (size + 1000), WAITING_OCTETS_MAX / size);
    assert_int_equal(counters().over_bound, 1);
    stop();
    assert_int_equal(told_count, taken);
}

/* ---- What has expired ---- */

static void test_an_expired_answer_comes_before_the_client_gives_up(void **state)
{
    (void)state;
    struct heard heard;
    configure_one(a_example, &origins[0]);
    keep_expired("www.a.example.", KNOT_RCODE_NOERROR);
    ask(0, "www.a.example.");
    origin_expect(&origins[0], "www.a.example.", &heard);
    wait_for_told(1);
    assert_told(0, true, KNOT_EDNS_EDE_STALE);
    assert_int_equal(counters().waiting, 1); /* for the cache */

    ask(1, "www.a.example."); /* need not wait as long again */
    wait_for_told(2);
    assert_told(1, true, KNOT_EDNS_EDE_STALE);
    assert_int_equal(counters().stale, 2);
    assert_int_equal(counters().asked, 1);
    origin_says(&origins[0], &heard);
    while (counters().refreshed < 1)
        usleep(100);
    assert_true(is_fresh("www.a.example."));
}

/* ---- Names never seen ---- */

static void test_names_never_seen_have_a_budget_that_is_theirs_alone(void **state)
{
    (void)state;
    struct heard heard;
    struct forward_zone zone = zone_of(a_example, &origins[0]);
    zone.unseen_rate_max = 1;
    configure(&zone, 1, FORWARD_OTHERS_GO);
    keep_expired("known.a.example.", KNOT_RCODE_NOERROR);
    keep_expired("denied.a.example.", KNOT_RCODE_NXDOMAIN);

    ask(0, "one.a.example.");
    ask(1, "two.a.example.");
    ask(2, "known.a.example.");
    wait_for_told(1);
    assert_told(1, false, KNOT_EDNS_EDE_OTHER);
    assert_string_equal(told[1].text, "too many names never seen before are asked for now");
    assert_int_equal(counters().over_unseen, 1);
    for (unsigned count = 0; count < 2; count++) {
        assert_true(origin_hears(&origins[0], &heard, PATIENCE_MS));
        assert_true(strcmp(heard.name, "one.a.example.") == 0 ||
                    strcmp(heard.name, "known.a.example.") == 0);
        origin_says(&origins[0], &heard);
    }
    wait_for_told(3);
    assert_told(0, true, -1);
    assert_told(2, true, -1);
}

/* ---- Zones change ---- */

static void test_what_waits_goes_to_the_new_servers(void **state)
{
    (void)state;
    struct heard heard;
    configure_one(a_example, &origins[0]);
    ask(0, "www.a.example.");
    origin_expect(&origins[0], "www.a.example.", &heard);
    configure_one(a_example, &origins[1]);
    origin_says(&origins[0], &heard); /* is not listened to any more */
    origin_expect(&origins[1], "www.a.example.", &heard);
    origin_says(&origins[1], &heard);
    wait_for_told(1);
    assert_told(0, true, -1);
    assert_int_equal(counters().waiting, 0);
}

static void test_what_waits_for_a_zone_that_goes_fails(void **state)
{
    (void)state;
    struct heard heard;
    configure_one(a_example, &origins[0]);
    ask(0, "www.a.example.");
    origin_expect(&origins[0], "www.a.example.", &heard);
    configure(NULL, 0, FORWARD_OTHERS_STAY);
    ask(1, "www.a.example.");
    while (counters().joined < 1)
        usleep(100);
    configure(NULL, 0, FORWARD_OTHERS_GO);
    wait_for_told(2);
    assert_told(0, false, KNOT_EDNS_EDE_NREACH_AUTH);
    assert_told(1, false, KNOT_EDNS_EDE_NREACH_AUTH);
    ask(2, "www.a.example.");
    wait_for_told(3);
    assert_told(2, false, KNOT_EDNS_EDE_NOT_READY);
}

static void test_what_waits_for_a_zone_that_goes_is_asked_above_it(void **state)
{
    (void)state;
    struct heard heard;
    const struct forward_zone zones[] = {zone_of(a_example, &origins[1]),
                                         zone_of(sub_a_example, &origins[0])};
    configure(zones, 2, FORWARD_OTHERS_GO);
    assert_true(ask_sized(0, "www.sub.a.example.", "sub.a.example.", 1));
    origin_expect(&origins[0], "www.sub.a.example.", &heard);
    configure(zones, 1, FORWARD_OTHERS_STAY);
    assert_true(ask_sized(1, "ftp.sub.a.example.", "sub.a.example.", 1));
    origin_expect(&origins[0], "ftp.sub.a.example.", &heard);

    configure(zones, 1, FORWARD_OTHERS_GO);
    assert_true(ask_sized(2, "new.sub.a.example.", "sub.a.example.", 1)); /* it was queued before */
    for (unsigned count = 0; count < 3; count++) {
        assert_true(origin_hears(&origins[1], &heard, PATIENCE_MS));
        origin_says(&origins[1], &heard);
    }
    wait_for_told(3);
    for (unsigned client = 0; client < 3; client++)
        assert_told(client, true, -1);
}

/* ---- The end ---- */

static void test_a_stop_leaves_nobody_without_an_answer(void **state)
{
    (void)state;
    struct heard heard;
    configure_one(a_example, &origins[0]);
    keep_expired("known.a.example.", KNOT_RCODE_NOERROR);
    keep_expired("denied.a.example.", KNOT_RCODE_NXDOMAIN);
    ask(0, "known.a.example.");
    ask(1, "denied.a.example.");
    ask(2, "www.a.example.");
    ask(3, "www.a.example.");
    origin_expect(&origins[0], "www.a.example.", &heard);
    stop();
    assert_int_equal(told_count, 4);
    assert_told(0, true, KNOT_EDNS_EDE_STALE);
    assert_told(1, true, KNOT_EDNS_EDE_STALE_NXD);
    for (unsigned client = 2; client < 4; client++) {
        assert_int_equal(told[client].times, 1);
        assert_false(told[client].has_answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_asks_the_same_waits_for_one_question, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_cache_may_ask_without_a_client, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_more_wait_for_a_question_than_may, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_no_more_octets_wait_than_may, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_expired_answer_comes_before_the_client_gives_up,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names_never_seen_have_a_budget_that_is_theirs_alone,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_waits_goes_to_the_new_servers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_waits_for_a_zone_that_goes_fails, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_waits_for_a_zone_that_goes_is_asked_above_it,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_stop_leaves_nobody_without_an_answer, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
