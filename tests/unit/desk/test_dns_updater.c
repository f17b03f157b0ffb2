/* Updates towards a name server that does as the test says: what is sent, in which order, and what
 * is told of each answer and of none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libknot/libknot.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "desk/desk_config.h"
#include "desk/dns_updater.h"
#include "dns/record_reader.h"
#include "fake_origin.h"
#include "zone/tsig_server.h"

#define ZONE    "dyn.example"
#define SECRET  "bm90LWEtcmVhbC1zZWNyZXQ="
#define SECRET2 "YW5vdGhlci1zZWNyZXQhISE="
#define SEEN    4096

static struct desk_config_key key = {"desk.", "hmac-sha256", SECRET};

/* ---- The server ---- */

/* An address that a host was given. */
struct seen {
    char host[64];
    uint8_t last_octet;
    unsigned message;
};

struct server {
    struct fake_origin origin;
    uint16_t port;
    struct tsig_keyring *keyring; /* NULL: answers unsigned */
    pthread_mutex_t lock;
    pthread_cond_t change;
    struct record_reader *reader;
    bool holds; /* does not go on before it is let */
    bool is_running;
    unsigned messages, probes;
    struct seen seen[SEEN];
    size_t seen_count;
    uint8_t refusal; /* for hosts named bad..., or for all */
    bool refuses_all;
};

static struct server server;

static void first_label(const uint8_t *name, char ret_text[static 64])
{
    memcpy(ret_text, name + 1, name[0]);
    ret_text[name[0]] = '\0';
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

enum verdict { ANSWER, CLOSE, SAY_NOTHING };

/* Looks at the records of an UPDATE; notes them when they are to be done. */
static enum verdict update_look(const struct fake_exchange *exchange, uint8_t *ret_rcode,
                                size_t *ret_tsig)
{
    struct record_reader *reader = server.reader;
    const uint8_t *wire = exchange->query;
    struct record record;
    uint8_t name[NAME_SIZE_MAX];
    uint16_t type, class;
    enum verdict verdict = ANSWER;
    const size_t first = server.seen_count;

    record_reader_init(reader, wire, exchange->query_size);
    assert_int_equal(record_reader_question(reader, name, &type, &class), 0);
    *ret_rcode = server.refuses_all ? server.refusal : 0;
    *ret_tsig = 0;
    unsigned count = knot_wire_get_nscount(wire) + knot_wire_get_arcount(wire);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(record_reader_next(reader, &record), 0);
        if (record.type == KNOT_RRTYPE_TSIG) {
            *ret_tsig = record.at;
            continue;
        }
        struct seen *seen = &server.seen[server.seen_count];
        first_label(record.owner, seen->host);
        if (begins(seen->host, "bad"))
            *ret_rcode = server.refusal;
        if (begins(seen->host, "closes"))
            verdict = CLOSE;
        if (begins(seen->host, "lost"))
            verdict = SAY_NOTHING;
        if (record.type == KNOT_RRTYPE_A && record.class == KNOT_CLASS_IN) {
            seen->last_octet = record.rdata[3];
            seen->message = server.messages;
            if (server.seen_count < SEEN - 1)
                server.seen_count++;
        }
    }
    if (*ret_rcode != 0 || verdict == CLOSE)
        server.seen_count = first;
    return verdict;
}

static void sign_and_send(struct message *message, const struct fake_exchange *exchange,
                          size_t tsig_at)
{
    struct tsig_server tsig;
    if (server.keyring != NULL && tsig_at > 0) {
        uint8_t rcode = tsig_server_check(server.keyring, exchange->query, exchange->query_size,
                                          tsig_at, time(NULL), &tsig);
        if (rcode != 0)
            message_rcode(message, rcode);
        assert_int_equal(tsig_server_sign(&tsig, message->wire, &message->size,
                                          sizeof(message->wire), time(NULL)),
                         0);
    }
    message_send(message, exchange);
}

static void query_answer(struct message *message, const struct fake_exchange *exchange,
                         size_t *ret_tsig)
{
    struct record record;
    uint8_t name[NAME_SIZE_MAX];
    uint16_t type, class;
    char host[64];

    record_reader_init(server.reader, exchange->query, exchange->query_size);
    assert_int_equal(record_reader_question(server.reader, name, &type, &class), 0);
    *ret_tsig = 0;
    if (knot_wire_get_arcount(exchange->query) > 0) {
        assert_int_equal(record_reader_next(server.reader, &record), 0);
        *ret_tsig = record.at;
    }
    first_label(name, host);
    message_begin(message, exchange, true);
    if (begins(host, "nowhere")) {
        message_rcode(message, KNOT_RCODE_NXDOMAIN);
        return;
    }
    if (begins(host, "bad")) {
        message_rcode(message, server.refusal);
        return;
    }
    for (size_t i = server.seen_count; i > 0 && type == KNOT_RRTYPE_A; i--)
        if (strcmp(server.seen[i - 1].host, host) == 0) {
            message_add_a(message, "other." ZONE, 250); /* not what was asked for */
            const uint8_t address[4] = {192, 0, 2, server.seen[i - 1].last_octet};
            message_add(message, name, knot_dname_size(name), type, class, 60, address, 4);
            break;
        }
}

static void server_answer(void *context, const struct fake_exchange *exchange)
{
    static struct message message;
    uint8_t rcode = 0;
    size_t tsig_at;

    (void)context;
    pthread_mutex_lock(&server.lock);
    if (knot_wire_get_opcode(exchange->query) == KNOT_OPCODE_QUERY) {
        query_answer(&message, exchange, &tsig_at);
        sign_and_send(&message, exchange, tsig_at);
        pthread_mutex_unlock(&server.lock);
        return;
    }
    server.messages++;
    server.probes += knot_wire_get_nscount(exchange->query) == 0;
    enum verdict verdict = update_look(exchange, &rcode, &tsig_at);
    pthread_cond_broadcast(&server.change);
    while (server.holds)
        pthread_cond_wait(&server.change, &server.lock);
    if (verdict == CLOSE)
        shutdown(exchange->fd, SHUT_RDWR);
    if (verdict == ANSWER) {
        message_begin(&message, exchange, true);
        knot_wire_set_opcode(message.wire, KNOT_OPCODE_UPDATE);
        message_rcode(&message, rcode);
        sign_and_send(&message, exchange, tsig_at);
    }
    pthread_mutex_unlock(&server.lock);
}

static void server_hold(bool holds)
{
    pthread_mutex_lock(&server.lock);
    server.holds = holds;
    pthread_cond_broadcast(&server.change);
    pthread_mutex_unlock(&server.lock);
}

static void server_await_messages(unsigned count)
{
    pthread_mutex_lock(&server.lock);
    while (server.messages < count)
        pthread_cond_wait(&server.change, &server.lock);
    pthread_mutex_unlock(&server.lock);
}

static void server_key(const char *secret)
{
    struct transfer_key one = {key.name, key.algorithm, secret};
    struct tsig_keyring *keyring = NULL;
    if (secret != NULL)
        assert_int_equal(tsig_keyring_create(&one, 1, &keyring, NULL), 0);
    pthread_mutex_lock(&server.lock);
    tsig_keyring_free(server.keyring);
    server.keyring = keyring;
    pthread_mutex_unlock(&server.lock);
}

static void server_go(void)
{
    fake_origin_start_at(&server.origin, server.port, server_answer, NULL);
    server.port = ntohs(server.origin.address.sin_port);
    server.is_running = true;
}

static void server_end(void)
{
    if (server.is_running)
        fake_origin_stop(&server.origin);
    server.is_running = false;
}

/* ---- The updater ---- */

static struct dns_updater *updater;

static void updater_go(struct dns_updater_options options)
{
    static struct sockaddr_in address; /* the server's own is written anew when it comes back */
    address = server.origin.address;
    options.address = (const struct sockaddr *)&address;
    options.address_size = sizeof(address);
    options.server_text = "127.0.0.1@0";
    assert_int_equal(dns_updater_start(&options, &updater, NULL), 0);
}

static void figures_get(struct dns_updater_figures *figures)
{
    dns_updater_figures_get(updater, figures);
}

/* Counts outcomes and lets one wait for them. */
static struct tally {
    pthread_mutex_t lock;
    pthread_cond_t change;
    unsigned done, refused, not_reached;
    uint8_t rcode;
    char refused_host[64];
    struct dns_addresses addresses;
} tally = {.lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};

static void tally_add(void *context, const struct dns_outcome *outcome)
{
    const char *host = context;
    pthread_mutex_lock(&tally.lock);
    tally.done += outcome->result == DNS_DONE;
    tally.not_reached += outcome->result == DNS_NOT_REACHED;
    if (outcome->result == DNS_REFUSED) {
        tally.refused++;
        tally.rcode = outcome->rcode;
        snprintf(tally.refused_host, sizeof(tally.refused_host), "%s", host != NULL ? host : "");
    }
    pthread_cond_broadcast(&tally.change);
    pthread_mutex_unlock(&tally.lock);
}

static void tally_told(void *context, const struct dns_outcome *outcome,
                       const struct dns_addresses *addresses)
{
    assert_int_equal(addresses != NULL, outcome->result == DNS_DONE);
    if (addresses != NULL)
        tally.addresses = *addresses;
    tally_add(context, outcome);
}

static void tally_await(unsigned count)
{
    pthread_mutex_lock(&tally.lock);
    while (tally.done + tally.refused + tally.not_reached < count)
        pthread_cond_wait(&tally.change, &tally.lock);
    assert_int_equal(tally.done + tally.refused + tally.not_reached, count);
    pthread_mutex_unlock(&tally.lock);
}

static int submit(const char *host, uint8_t last_octet)
{
    char name[256];
    const uint8_t address[4] = {192, 0, 2, last_octet};
    const struct dns_value value = {address, 4};
    const struct dns_set sets[] = {
        {.type = KNOT_RRTYPE_A, .ttl_s = 60, .values = &value, .count = 1},
        {.type = KNOT_RRTYPE_AAAA},
    };
    snprintf(name, sizeof(name), "%s.%s", host, ZONE);
    const struct dns_change change = {.zone = ZONE, .host = name, .sets = sets, .set_count = 2};
    return dns_updater_submit(updater, &change, tally_add, (void *)host, NULL);
}

static int set_up(void **state)
{
    (void)state;
    struct server fresh = {.lock = PTHREAD_MUTEX_INITIALIZER,
                           .change = PTHREAD_COND_INITIALIZER,
                           .refusal = KNOT_RCODE_REFUSED,
                           .reader = record_reader_create()};
    server = fresh;
    tally.done = tally.refused = tally.not_reached = 0;
    tally.rcode = 0;
    server_key(SECRET);
    server_go();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    dns_updater_stop(TAKE(updater));
    server_end();
    tsig_keyring_free(server.keyring);
    record_reader_free(server.reader);
    return 0;
}

/* ---- Tests ---- */

static void test_a_change_is_done_when_the_server_has_said_so(void **state)
{
    (void)state;
    updater_go((struct dns_updater_options){.key = &key});
    server_hold(true);
    assert_int_equal(submit("one", 7), 0);
    server_await_messages(1);
    assert_int_equal(tally.done, 0);
    server_hold(false);
    tally_await(1);
    assert_int_equal(tally.done, 1);
    assert_int_equal(server.seen_count, 1);
    assert_string_equal(server.seen[0].host, "one");
    assert_int_equal(server.seen[0].last_octet, 7);
}

static void test_what_waits_shares_messages(void **state)
{
    static char names[1000][16];
    (void)state;
    updater_go((struct dns_updater_options){.key = &key});
    server_hold(true);
    assert_int_equal(submit("first", 1), 0);
    server_await_messages(1);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(names[i], sizeof(names[i]), "host%u", i);
        assert_int_equal(submit(names[i], 1), 0);
    }
    server_hold(false);
    tally_await(1001);
    assert_int_equal(tally.done, 1001);
    assert_int_equal(server.seen_count, 1001);
    assert_in_range(server.messages, 2, 30);
}

static void test_changes_of_one_host_go_one_after_the_other(void **state)
{
    (void)state;
    updater_go((struct dns_updater_options){.key = &key});
    server_hold(true);
    for (uint8_t i = 1; i <= 50; i++) {
        assert_int_equal(submit("same", i), 0);
        assert_int_equal(submit("SAME", (uint8_t)(100 + i)), 0);
    }
    assert_int_equal(submit("other", 1), 0);
    server_hold(false);
    tally_await(101);
    assert_int_equal(tally.done, 101);

    unsigned at = 0, last_message = 0;
    for (size_t i = 0; i < server.seen_count; i++) {
        if (strcmp(server.seen[i].host, "same") != 0)
            continue;
        assert_int_equal(server.seen[i].last_octet, (at % 2 == 0 ? 0 : 100) + at / 2 + 1);
        assert_true(server.seen[i].message > last_message);
        last_message = server.seen[i].message;
        at++;
    }
    assert_int_equal(at, 100);
}

static void test_a_refused_change_fails_alone(void **state)
{
    static const uint8_t rcodes[] = {KNOT_RCODE_REFUSED, KNOT_RCODE_FORMERR, KNOT_RCODE_SERVFAIL,
                                     KNOT_RCODE_NOTZONE};
    static char names[200][16];
    (void)state;
    updater_go((struct dns_updater_options){.key = &key});
    for (size_t round = 0; round < sizeof(rcodes); round++) {
        tally.done = tally.refused = 0;
        server.refusal = rcodes[round];
        const unsigned before = server.messages;
        server_hold(true);
        assert_int_equal(submit("first", 1), 0);
        server_await_messages(before + 1);
        for (unsigned i = 0; i < 200; i++) {
            snprintf(names[i], sizeof(names[i]), "%s%u", i == 77 ? "bad" : "good", i);
            assert_int_equal(submit(names[i], 1), 0);
        }
        server_hold(false);
        tally_await(201);
        assert_int_equal(tally.done, 200);
        assert_int_equal(tally.refused, 1);
        assert_int_equal(tally.rcode, rcodes[round]);
        assert_string_equal(tally.refused_host, "bad77");
        assert_in_range(server.messages - before, 3, 40);
    }
}

/* NOTAUTH is about the zone; SERVFAIL again and again is about the server. */
static void test_a_refusal_of_all_is_not_taken_apart(void **state)
{
    static const uint8_t rcodes[] = {KNOT_RCODE_NOTAUTH, KNOT_RCODE_SERVFAIL};
    static char names[200][16];
    (void)state;
    updater_go((struct dns_updater_options){.key = &key});
    for (size_t round = 0; round < sizeof(rcodes); round++) {
        tally.refused = 0;
        server.refusal = rcodes[round];
        server.refuses_all = true;
        const unsigned before = server.messages;
        server_hold(true);
        assert_int_equal(submit("first", 1), 0);
        server_await_messages(before + 1);
        for (unsigned i = 0; i < 200; i++) {
            snprintf(names[i], sizeof(names[i]), "good%u", i);
            assert_int_equal(submit(names[i], 1), 0);
        }
        server_hold(false);
        tally_await(201);
        assert_int_equal(tally.refused, 201);
        assert_int_equal(tally.rcode, rcodes[round]);
        assert_in_range(server.messages - before, 2, 20);
    }
}

static void test_what_a_closed_connection_left_open_is_sent_again(void **state)
{
    static char names[100][16];
    (void)state;
    updater_go((struct dns_updater_options){.key = &key});
    server_hold(true);
    assert_int_equal(submit("first", 1), 0);
    server_await_messages(1);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(names[i], sizeof(names[i]), "%s%u", i == 50 ? "closes" : "good", i);
        assert_int_equal(submit(names[i], 1), 0);
    }
    server_hold(false);
    tally_await(101);
    assert_int_equal(tally.done, 100);
    assert_int_equal(tally.not_reached, 1);
}

static void test_a_lost_answer_fails_what_it_was_about(void **state)
{
    (void)state;
    updater_go((struct dns_updater_options){.key = &key, .answer_ms = 300, .down_ms = 60000});
    assert_int_equal(submit("lost", 1), 0);
    server_await_messages(1);
    assert_int_equal(submit("found", 1), 0);
    tally_await(2);
    assert_int_equal(tally.done, 1);
    assert_int_equal(tally.not_reached, 1);

    /* And the host has its turn again. */
    assert_int_equal(submit("lost", 2), 0);
    tally_await(3);
    assert_int_equal(tally.not_reached, 2);
}

static void await_up(const char *host)
{
    int rc;
    while ((rc = submit(host, 1)) == -EIO)
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    assert_int_equal(rc, 0);
}

static void test_a_server_that_is_gone_fails_all_until_it_is_back(void **state)
{
    struct dns_updater_figures figures;
    (void)state;
    server_end();
    updater_go((struct dns_updater_options){.key = &key, .down_ms = 200});
    assert_int_equal(submit("one", 1), 0);
    assert_int_equal(submit("one", 2), 0);
    assert_int_equal(submit("two", 1), 0);
    tally_await(3);
    assert_int_equal(tally.not_reached, 3);
    assert_int_equal(submit("three", 1), -EIO);
    figures_get(&figures);
    assert_true(figures.is_down);
    assert_int_equal(figures.downs, 1);
    while (figures.waiting > 0) /* those that were told are let go of a moment later */
        figures_get(&figures);

    server_go();
    await_up("three");
    tally_await(4);
    assert_int_equal(tally.done, 1);
    assert_int_equal(server.seen_count, 1);
    figures_get(&figures);
    assert_false(figures.is_down);
}

static void test_a_restart_in_time_fails_nothing(void **state)
{
    (void)state;
    updater_go((struct dns_updater_options){.key = &key, .answer_ms = 60000, .down_ms = 60000});
    assert_int_equal(submit("before", 1), 0);
    tally_await(1);
    server_end();
    assert_int_equal(submit("meanwhile", 1), 0);
    server_go();
    tally_await(2);
    assert_int_equal(tally.done, 2);
}

static void test_a_server_that_hangs_counts_as_down(void **state)
{
    (void)state;
    updater_go((struct dns_updater_options){.key = &key, .down_ms = 200});
    server_hold(true);
    assert_int_equal(submit("one", 1), 0);
    tally_await(1);
    assert_int_equal(tally.not_reached, 1);
    assert_int_equal(submit("two", 1), -EIO);
    server_hold(false);
    await_up("two");
    tally_await(2);
    assert_int_equal(tally.done, 1);
    assert_in_range(server.probes, 1, UINT32_MAX);
}

static void test_only_the_holder_of_the_key_is_believed(void **state)
{
    static const char *const wrong[] = {SECRET2, NULL};
    struct dns_updater_figures figures;
    (void)state;
    updater_go((struct dns_updater_options){.key = &key});
    for (size_t i = 0; i < 2; i++) {
        tally.done = tally.not_reached = 0;
        server_key(wrong[i]);
        assert_int_equal(submit("one", 1), 0);
        tally_await(1);
        assert_int_equal(tally.not_reached, 1);
        assert_int_equal(submit("two", 1), -EIO);
        figures_get(&figures);
        assert_int_equal(figures.downs, i + 1);
        server_key(SECRET);
        await_up("two");
        tally_await(2);
        assert_int_equal(tally.done, 1);
    }
}

static void test_works_without_a_key(void **state)
{
    (void)state;
    server_key(NULL);
    updater_go((struct dns_updater_options){.key = NULL});
    assert_int_equal(submit("one", 1), 0);
    tally_await(1);
    assert_int_equal(tally.done, 1);
}

static void test_no_more_waits_than_may(void **state)
{
    (void)state;
    updater_go((struct dns_updater_options){.key = &key, .waiting_max = 3});
    server_hold(true);
    assert_int_equal(submit("one", 1), 0);
    assert_int_equal(submit("two", 1), 0);
    assert_int_equal(submit("two", 2), 0);
    assert_int_equal(submit("three", 1), -EAGAIN);
    server_hold(false);
    tally_await(3);
    assert_int_equal(tally.done, 3);
    /* The count goes down just after the call. */
    struct dns_updater_figures figures;
    do
        figures_get(&figures);
    while (figures.waiting > 0);
    assert_int_equal(submit("three", 1), 0);
    tally_await(4);
}

static int ask(const char *host)
{
    char name[256];
    snprintf(name, sizeof(name), "%s.%s", host, ZONE);
    return dns_updater_ask(updater, ZONE, name, tally_told, NULL, NULL);
}

static void test_a_question_is_answered_after_the_changes_before_it(void **state)
{
    (void)state;
    updater_go((struct dns_updater_options){.key = &key});
    for (uint8_t i = 1; i <= 10; i++) {
        assert_int_equal(submit("host", i), 0);
        assert_int_equal(ask("host"), 0);
        tally_await(2u * i);
        assert_int_equal(tally.done, 2u * i);
        assert_int_equal(tally.addresses.a_count, 1);
        assert_int_equal(tally.addresses.a[3], i);
        assert_int_equal(tally.addresses.aaaa_count, 0);
    }
    assert_int_equal(ask("nowhere"), 0);
    tally_await(21);
    assert_int_equal(tally.done, 21);
    assert_int_equal(tally.addresses.a_count, 0);
    assert_int_equal(ask("bad"), 0);
    tally_await(22);
    assert_int_equal(tally.refused, 1);
    assert_int_equal(tally.rcode, KNOT_RCODE_REFUSED);
}

static void test_the_end_calls_everything_back(void **state)
{
    (void)state;
    updater_go((struct dns_updater_options){.key = &key});
    server_hold(true);
    assert_int_equal(submit("one", 1), 0);
    server_await_messages(1);
    for (uint8_t i = 0; i < 100; i++)
        assert_int_equal(submit(i % 2 ? "one" : "two", i), 0);
    assert_int_equal(ask("one"), 0);
    dns_updater_stop(TAKE(updater));
    assert_int_equal(tally.not_reached, 102);
    server_hold(false);
}

static void test_a_change_that_cannot_be_is_refused_at_once(void **state)
{
    static const uint8_t octets[DNS_CHANGE_OCTETS_MAX] = {1};
    const struct dns_value four = {octets, 4}, five = {octets, 5}, much = {octets, 8000};
    const struct dns_set good = {.type = KNOT_RRTYPE_A, .values = &four, .count = 1},
                         bad = {.type = KNOT_RRTYPE_A, .values = &five, .count = 1},
                         meta = {.type = KNOT_RRTYPE_ANY},
                         large[] = {{.type = KNOT_RRTYPE_TXT, .values = &much, .count = 1},
                                    {.type = KNOT_RRTYPE_TXT, .values = &much, .count = 1}};
    const struct dns_change changes[] = {
        {.zone = ZONE, .host = "one.other.example", .sets = &good, .set_count = 1},
        {.zone = ZONE, .host = "one..dyn.example", .sets = &good, .set_count = 1},
        {.zone = ZONE, .host = "one." ZONE, .sets = &bad, .set_count = 1},
        {.zone = ZONE, .host = "one." ZONE, .sets = &meta, .set_count = 1},
        {.zone = ZONE, .host = "one." ZONE, .sets = large, .set_count = 2},
    };
    (void)state;
    updater_go((struct dns_updater_options){.key = &key});
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct error error;
        assert_int_equal(dns_change_check(&changes[i], &error), -EINVAL);
        assert_int_equal(dns_updater_submit(updater, &changes[i], tally_add, NULL, &error),
                         -EINVAL);
        assert_true(error.text[0] != '\0');
    }
    assert_int_equal(dns_updater_submit(NULL, &changes[0], tally_add, NULL, NULL), -EIO);
}

static void test_a_call_that_waits_tells_the_rcode(void **state)
{
    uint8_t rcode = 0;
    struct error error;
    struct dns_change change = {.zone = ZONE, .host = "one." ZONE, .remove = true};
    (void)state;
    updater_go((struct dns_updater_options){.key = &key, .down_ms = 100});
    assert_int_equal(dns_updater_change(updater, &change, &rcode, &error), 0);
    change.host = "bad." ZONE;
    assert_int_equal(dns_updater_change(updater, &change, &rcode, &error), -EACCES);
    assert_int_equal(rcode, KNOT_RCODE_REFUSED);
    server_end();
    assert_int_equal(dns_updater_change(updater, &change, &rcode, &error), -EIO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_change_is_done_when_the_server_has_said_so),
        TEST(test_what_waits_shares_messages),
        TEST(test_changes_of_one_host_go_one_after_the_other),
        TEST(test_a_refused_change_fails_alone),
        TEST(test_a_refusal_of_all_is_not_taken_apart),
        TEST(test_what_a_closed_connection_left_open_is_sent_again),
        TEST(test_a_lost_answer_fails_what_it_was_about),
        TEST(test_a_server_that_is_gone_fails_all_until_it_is_back),
        TEST(test_a_restart_in_time_fails_nothing),
        TEST(test_a_server_that_hangs_counts_as_down),
        TEST(test_only_the_holder_of_the_key_is_believed),
        TEST(test_works_without_a_key),
        TEST(test_no_more_waits_than_may),
        TEST(test_a_question_is_answered_after_the_changes_before_it),
        TEST(test_the_end_calls_everything_back),
        TEST(test_a_change_that_cannot_be_is_refused_at_once),
        TEST(test_a_call_that_waits_tells_the_rcode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
