/* The pool of origins against scripted ones: each lies in its own way, and none is believed. */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>

#include <cmocka.h>

#include <errno.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <libknot/packet/wire.h>
#include <libknot/wire.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fake_origin.h"
#include "front/origin.h"

#define ORIGINS_MAX 3

/* How an origin behaves: bits that go together. */
enum {
    SILENT = 1 << 0,
    REFUSES = 1 << 1,
    FAILS = 1 << 2,            /* SERVFAIL */
    WRONG_ID = 1 << 3,         /* a wrong one, and nothing else */
    WRONG_QUESTION = 1 << 4,   /* answers another name's question */
    WRONG_OWNER = 1 << 5,      /* the right question, another name's record */
    LAME = 1 << 6,             /* AA is clear */
    UPWARD = 1 << 7,           /* NOERROR with the parent's servers, the answer of 2014 */
    TRUNCATES = 1 << 8,        /* over UDP */
    TRUNCATES_ALWAYS = 1 << 9, /* over TCP, too */
    LOWER_CASE = 1 << 10,      /* the question comes back in lower case */
    NO_EDNS = 1 << 11,         /* FORMERR to OPT, without one */
    BARE_NO_EDNS = 1 << 12,    /* the same with a header alone */
    OTHER_ADDRESS = 1 << 13,   /* answers from another port */
    COOKIES = 1 << 14,         /* returns cookies */
    NEEDS_COOKIE = 1 << 15,    /* BADCOOKIE without the right server cookie */
    FORGED_COOKIE = 1 << 16,   /* another's client cookie */
    CLOSES = 1 << 17,          /* the connection after each answer */
    DROPS_THIRD = 1 << 18,
    DENIES = 1 << 19,  /* NXDOMAIN with SOA and AA */
    EMPTIES = 1 << 20, /* NOERROR, nothing in it, AA clear */
    REFERS = 1 << 21,  /* to servers below the zone */
    GARBLED = 1 << 22, /* a record that goes beyond the end */
    FOREIGN_SOA = 1 << 23,
    NO_COOKIES_UDP = 1 << 24, /* returns cookies over TCP only */
};

struct script {
    atomic_uint how, queries, over_tcp, without_edns, with_cookie;
    uint8_t letter_cases[64]; /* of the name's first label: one octet a query */
    int other_fd;
};

struct fixture {
    struct origin_pool *pool;
    struct origin_group *group;
    struct fake_origin origins[ORIGINS_MAX];
    struct script scripts[ORIGINS_MAX];
    unsigned origin_count;
};

/* ---- The origins ---- */

static size_t question_end(const struct fake_exchange *exchange)
{
    return 12 + knot_dname_size(exchange->query + 12) + 4;
}

/* The cookie option of the query, NULL without one; our queries have it first in their OPT. */
static const uint8_t *cookie_of(const struct fake_exchange *exchange, size_t *ret_size)
{
    const size_t at = question_end(exchange) + 11;
    if (exchange->query_size < at + 4 || knot_wire_read_u16(exchange->query + at) != 10)
        return NULL;
    *ret_size = knot_wire_read_u16(exchange->query + at + 2);
    return exchange->query + at + 4;
}

static const uint8_t server_cookie[8] = "servers!";

static void put_opt(struct message *message, const struct fake_exchange *exchange, unsigned how,
                    unsigned extended_rcode)
{
    uint8_t opt[11 + 4 + 16] = {0, 0, 41, 4, 208, (uint8_t)extended_rcode};
    size_t size = 11, cookie_size;
    const uint8_t *cookie = cookie_of(exchange, &cookie_size);
    const bool has_cookies = (how & (COOKIES | NEEDS_COOKIE | FORGED_COOKIE)) != 0 &&
                             ((how & NO_COOKIES_UDP) == 0 || exchange->is_tcp);

    if (has_cookies && cookie != NULL) {
        knot_wire_write_u16(opt + 9, 20);
        knot_wire_write_u16(opt + 11, 10);
        knot_wire_write_u16(opt + 13, 16);
        memcpy(opt + 15, cookie, 8);
        if ((how & FORGED_COOKIE) != 0)
            opt[15] ^= 1;
        memcpy(opt + 23, server_cookie, 8);
        size = sizeof(opt);
    }
    message_octets(message, opt, size);
    knot_wire_set_arcount(message->wire, 1);
}

static void put_authority(struct message *message, unsigned how)
{
    if ((how & (DENIES | FOREIGN_SOA)) != 0)
        message_add_soa(message, (how & FOREIGN_SOA) != 0 ? "b.example" : "a.example", 1, 1, 1, 1);
    if ((how & UPWARD) != 0)
        message_add(message, "\7example", 9, KNOT_RRTYPE_NS, 1, 300, "\2ns\7example", 12);
    if ((how & REFERS) != 0)
        message_add(message, "\3www\1a\7example", 15, KNOT_RRTYPE_NS, 1, 300, "\2ns\7example", 12);
    knot_wire_set_nscount(message->wire, knot_wire_get_ancount(message->wire));
    knot_wire_set_ancount(message->wire, 0);
}

static void put_answer(struct message *message, const struct fake_exchange *exchange, unsigned how)
{
    uint8_t owner[KNOT_DNAME_MAXLEN] = {0};
    memcpy(owner, exchange->query + 12, knot_dname_size(exchange->query + 12));
    const uint8_t address[4] = {192, 0, 2, 1};

    if ((how & (DENIES | FOREIGN_SOA | UPWARD | REFERS)) != 0)
        put_authority(message, how);
    else if ((how & WRONG_OWNER) != 0)
        message_add_a(message, "other.a.example", 9);
    else if ((how & EMPTIES) == 0)
        message_add(message, owner, knot_dname_size(owner), KNOT_RRTYPE_A, 1, 300, address, 4);
    if ((how & GARBLED) != 0)
        knot_wire_set_ancount(message->wire, 2);
}

static unsigned rcode_of(unsigned how)
{
    return (how & REFUSES) != 0                    ? KNOT_RCODE_REFUSED
           : (how & FAILS) != 0                    ? KNOT_RCODE_SERVFAIL
           : (how & (DENIES | FOREIGN_SOA)) != 0   ? KNOT_RCODE_NXDOMAIN
           : (how & (NO_EDNS | BARE_NO_EDNS)) != 0 ? KNOT_RCODE_FORMERR
                                                   : KNOT_RCODE_NOERROR;
}

static void distort(struct message *message, const struct fake_exchange *exchange, unsigned how)
{
    if ((how & WRONG_ID) != 0)
        knot_wire_set_id(message->wire, knot_wire_get_id(message->wire) ^ 1);
    if ((how & WRONG_QUESTION) != 0)
        message->wire[13] ^= 1;
    if ((how & LOWER_CASE) != 0)
        knot_dname_to_lower(message->wire + 12);
    if ((how & (LAME | UPWARD | REFERS | EMPTIES)) != 0)
        knot_wire_clear_aa(message->wire);
    if ((how & TRUNCATES_ALWAYS) != 0 || ((how & TRUNCATES) != 0 && !exchange->is_tcp))
        knot_wire_set_tc(message->wire);
}

/* Counts what was asked; false: no answer. */
static bool note_query(struct script *script, const struct fake_exchange *exchange, unsigned how)
{
    const unsigned number = atomic_fetch_add(&script->queries, 1);
    uint8_t letters = 0;
    for (unsigned i = 0; i < 3; i++)
        letters = (uint8_t)(letters << 1 | ((exchange->query[13 + i] & 0x20) == 0));
    if (number < sizeof(script->letter_cases))
        script->letter_cases[number] = letters;
    size_t size;
    atomic_fetch_add(&script->over_tcp, exchange->is_tcp);
    atomic_fetch_add(&script->without_edns, knot_wire_get_arcount(exchange->query) == 0);
    atomic_fetch_add(&script->with_cookie, cookie_of(exchange, &size) != NULL && size == 16);
    return (how & SILENT) == 0 && ((how & DROPS_THIRD) == 0 || number % 3 != 0);
}

static void answer(void *context, const struct fake_exchange *exchange)
{
    struct script *script = context;
    unsigned how = atomic_load(&script->how), extended_rcode = 0;
    const bool has_edns = knot_wire_get_arcount(exchange->query) != 0;
    size_t cookie_size = 0;
    const uint8_t *cookie = cookie_of(exchange, &cookie_size);

    if (!note_query(script, exchange, how))
        return;
    if (!has_edns)
        how &= ~(unsigned)(NO_EDNS | BARE_NO_EDNS);
    static _Thread_local struct message message;
    message_begin(&message, exchange, (how & BARE_NO_EDNS) == 0);
    message_rcode(&message, rcode_of(how));
    if ((how & NEEDS_COOKIE) != 0 && !exchange->is_tcp &&
        (cookie == NULL || cookie_size != 16 || memcmp(cookie + 8, server_cookie, 8) != 0)) {
        message_rcode(&message, 23 & 15);
        extended_rcode = 23 >> 4;
    } else if (rcode_of(how) == KNOT_RCODE_NOERROR || (how & (DENIES | FOREIGN_SOA)) != 0) {
        put_answer(&message, exchange, how);
    }
    if (has_edns && (how & (NO_EDNS | BARE_NO_EDNS)) == 0)
        put_opt(&message, exchange, how, extended_rcode);
    distort(&message, exchange, how);

    struct fake_exchange reply = *exchange;
    if ((how & OTHER_ADDRESS) != 0)
        reply.fd = script->other_fd;
    message_send(&message, &reply);
    if (exchange->is_tcp && (how & CLOSES) != 0)
        shutdown(exchange->fd, SHUT_RDWR);
}

/* ---- Asking ---- */

struct outcome {
    bool is_done;
    int code;
    size_t size;
    uint8_t message[65535];
};

static void keep_outcome(void *context, int code, const uint8_t *message, size_t size)
{
    struct outcome *outcome = context;
    assert_false(outcome->is_done);
    outcome->is_done = true;
    outcome->code = code;
    outcome->size = size;
    if (message != NULL)
        memcpy(outcome->message, message, size);
}

static void run_once(struct origin_pool *pool)
{
    struct pollfd fd = {.fd = origin_pool_fd(pool), .events = POLLIN};
    poll(&fd, 1, origin_pool_timeout_ms(pool));
    origin_pool_run(pool);
}

static struct name name_of(const char *text)
{
    uint8_t wire[KNOT_DNAME_MAXLEN];
    struct name name;
    assert_non_null(knot_dname_from_str(wire, text, sizeof(wire)));
    assert_true(name_parse(&name, wire, knot_dname_size(wire)) > 0);
    return name;
}

static int begin(struct origin_group *group, const char *text, struct outcome *outcome)
{
    const struct name name = name_of(text);
    const struct origin_question question = {
        .name = &name, .type = KNOT_RRTYPE_A, .done = keep_outcome, .context = outcome};
    outcome->is_done = false;
    return origin_ask(group, &question);
}

/* Asks and waits. The code of the outcome, or of origin_ask() when that refuses. */
static int ask(struct fixture *fixture, const char *text, struct outcome *outcome)
{
    const int rc = begin(fixture->group, text, outcome);
    if (rc < 0)
        return rc;
    while (!outcome->is_done)
        run_once(fixture->pool);
    return outcome->code;
}

/* A different name each time, so that no failure is remembered. */
static int ask_fresh(struct fixture *fixture, struct outcome *outcome)
{
    static unsigned number;
    char text[64];
    snprintf(text, sizeof(text), "www.n%u.a.example", number++);
    return ask(fixture, text, outcome);
}

static struct fixture *start_with(const struct origin_options *options, unsigned rate_max,
                                  const unsigned *hows, unsigned count)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct sockaddr_storage servers[ORIGINS_MAX] = {0};
    struct error error;
    assert_non_null(fixture);
    assert_int_equal(origin_pool_create(options, &fixture->pool, &error), 0);
    for (unsigned i = 0; i < count; i++) {
        atomic_init(&fixture->scripts[i].how, hows[i]);
        fixture->scripts[i].other_fd = socket(AF_INET, SOCK_DGRAM, 0);
        fake_origin_start(&fixture->origins[i], answer, &fixture->scripts[i]);
        memcpy(&servers[i], &fixture->origins[i].address, sizeof(struct sockaddr_in));
    }
    fixture->origin_count = count;
    assert_int_equal(
        origin_group_add(fixture->pool, "A.example.", servers, count, rate_max, &fixture->group),
        0);
    return fixture;
}

static struct fixture *start(const unsigned *hows, unsigned count)
{
    const struct origin_options options = {.sockets = 8};
    return start_with(&options, 0, hows, count);
}

static void stop(struct fixture *fixture)
{
    origin_pool_free(fixture->pool);
    for (unsigned i = 0; i < fixture->origin_count; i++) {
        fake_origin_stop(&fixture->origins[i]);
        close(fixture->scripts[i].other_fd);
    }
    free(fixture);
}

static struct origin_server_state state_of(const struct fixture *fixture, unsigned index)
{
    struct origin_server_state states[ORIGINS_MAX];
    assert_int_equal(origin_group_state(fixture->group, states, ORIGINS_MAX),
                     fixture->origin_count);
    return states[index];
}

static void assert_is_answer(const struct outcome *outcome)
{
    assert_int_equal(outcome->code, 0);
    assert_int_equal(knot_wire_get_rcode(outcome->message), KNOT_RCODE_NOERROR);
    assert_int_equal(knot_wire_get_ancount(outcome->message), 1);
}

static struct outcome outcome;

/* ---- Tests ---- */

static void test_question_comes_back_in_lower_case_with_its_answer(void **state)
{
    (void)state;
    struct fixture *fixture = start((unsigned[]){0}, 1);
    assert_int_equal(ask(fixture, "WwW.a.example", &outcome), 0);
    assert_is_answer(&outcome);
    assert_memory_equal(outcome.message + 12, "\3www\1a\7example", 15);
    stop(fixture);
}

static void test_letter_case_differs_from_question_to_question(void **state)
{
    (void)state;
    struct fixture *fixture = start((unsigned[]){0}, 1);
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(ask_fresh(fixture, &outcome), 0);
    unsigned seen = 0;
    for (unsigned i = 0; i < 64; i++)
        seen |= 1u << fixture->scripts[0].letter_cases[i];
    /* Eight cases of three letters; that one of them is missing among 64 happens once in 600. */
    assert_true(__builtin_popcount(seen) >= 6);
    assert_int_equal(state_of(fixture, 0).mismatches, 0);
    stop(fixture);
}

static void test_many_questions_at_once_each_get_their_own_answer(void **state)
{
    (void)state;
    struct fixture *fixture = start((unsigned[]){0, 0}, 2);
    enum { COUNT = 200 };
    struct outcome *outcomes = calloc(COUNT, sizeof(*outcomes));
    char text[32];
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(text, sizeof(text), "www.m%u.a.example", i);
        assert_int_equal(begin(fixture->group, text, &outcomes[i]), 0);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        while (!outcomes[i].is_done)
            run_once(fixture->pool);
        snprintf(text, sizeof(text), "www.m%u.a.example", i);
        const struct name name = name_of(text);
        assert_is_answer(&outcomes[i]);
        assert_memory_equal(outcomes[i].message + 12, name.wire, name.size);
    }
    struct origin_counters counters;
    origin_counters(fixture->pool, &counters);
    assert_int_equal(counters.waiting, 0);
    free(outcomes);
    stop(fixture);
}

/* What is never believed: the next server's answer is given, and of one alone nothing. */
static void assert_other_is_asked(unsigned how, int code_alone)
{
    struct fixture *fixture = start((unsigned[]){how, 0}, 2);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(ask_fresh(fixture, &outcome), 0);
        assert_is_answer(&outcome);
    }
    assert_true(atomic_load(&fixture->scripts[0].queries) > 0);
    stop(fixture);

    const struct origin_options options = {.sockets = 2, .timeout_ms = 600};
    fixture = start_with(&options, 0, &how, 1);
    assert_int_equal(ask_fresh(fixture, &outcome), code_alone);
    stop(fixture);
}

#define TEST_OTHER_IS_ASKED(name, how, code) \
    static void name(void **state)           \
    {                                        \
        (void)state;                         \
        assert_other_is_asked(how, code);    \
    }

TEST_OTHER_IS_ASKED(test_silence_ends_in_a_timeout, SILENT, -ETIMEDOUT)
TEST_OTHER_IS_ASKED(test_refusal_is_a_failure_of_the_server, REFUSES, -EREMOTEIO)
TEST_OTHER_IS_ASKED(test_servfail_is_a_failure_of_the_server, FAILS, -EREMOTEIO)
TEST_OTHER_IS_ASKED(test_wrong_id_is_thrown_away, WRONG_ID, -ETIMEDOUT)
TEST_OTHER_IS_ASKED(test_wrong_question_is_thrown_away, WRONG_QUESTION, -ETIMEDOUT)
TEST_OTHER_IS_ASKED(test_other_address_is_thrown_away, OTHER_ADDRESS, -ETIMEDOUT)
TEST_OTHER_IS_ASKED(test_forged_cookie_is_thrown_away, FORGED_COOKIE, -ETIMEDOUT)
TEST_OTHER_IS_ASKED(test_record_of_another_name_is_no_answer, WRONG_OWNER, -EREMOTEIO)
TEST_OTHER_IS_ASKED(test_answer_without_authority_is_lame, LAME, -EREMOTEIO)
TEST_OTHER_IS_ASKED(test_denial_without_authority_is_lame, DENIES | LAME, -EREMOTEIO)
TEST_OTHER_IS_ASKED(test_empty_answer_without_authority_is_lame, EMPTIES, -EREMOTEIO)
TEST_OTHER_IS_ASKED(test_upward_referral_is_lame, UPWARD, -EREMOTEIO)
TEST_OTHER_IS_ASKED(test_denial_by_another_zone_is_no_answer, FOREIGN_SOA, -EREMOTEIO)
TEST_OTHER_IS_ASKED(test_garbled_message_is_no_answer, GARBLED, -EREMOTEIO)
TEST_OTHER_IS_ASKED(test_truncation_over_tcp_is_no_answer, TRUNCATES_ALWAYS, -EREMOTEIO)

static void test_last_failing_answer_is_told(void **state)
{
    (void)state;
    struct fixture *fixture = start((unsigned[]){REFUSES}, 1);
    assert_int_equal(ask_fresh(fixture, &outcome), -EREMOTEIO);
    assert_true(outcome.size > 12);
    assert_int_equal(knot_wire_get_rcode(outcome.message), KNOT_RCODE_REFUSED);
    assert_int_equal(state_of(fixture, 0).refused, 1);
    stop(fixture);
}

static void test_denial_with_authority_is_an_answer(void **state)
{
    (void)state;
    struct fixture *fixture = start((unsigned[]){DENIES}, 1);
    assert_int_equal(ask(fixture, "www.a.example", &outcome), 0);
    assert_int_equal(knot_wire_get_rcode(outcome.message), KNOT_RCODE_NXDOMAIN);
    stop(fixture);
}

static void test_referral_below_the_zone_is_an_answer(void **state)
{
    (void)state;
    struct fixture *fixture = start((unsigned[]){REFERS}, 1);
    assert_int_equal(ask(fixture, "host.www.a.example", &outcome), 0);
    assert_int_equal(knot_wire_get_nscount(outcome.message), 1);
    /* The same for a name that is not below the cut leads nowhere. */
    assert_int_equal(ask(fixture, "ftp.a.example", &outcome), -EREMOTEIO);
    stop(fixture);
}

static void test_truncated_answer_is_asked_for_over_one_connection(void **state)
{
    (void)state;
    struct fixture *fixture = start((unsigned[]){TRUNCATES}, 1);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(ask_fresh(fixture, &outcome), 0);
        assert_is_answer(&outcome);
        assert_false(knot_wire_get_tc(outcome.message));
    }
    const struct origin_server_state server = state_of(fixture, 0);
    assert_true(server.truncated >= 20);
    assert_true(server.over_tcp >= 20);
    assert_int_equal(fixture->origins[0].connection_count, 1);
    stop(fixture);
}

static void test_connections_that_close_after_each_answer_lose_none(void **state)
{
    (void)state;
    struct fixture *fixture = start((unsigned[]){TRUNCATES | CLOSES}, 1);
    enum { COUNT = 30 };
    struct outcome *outcomes = calloc(COUNT, sizeof(*outcomes));
    char text[32];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < COUNT; i++) {
            snprintf(text, sizeof(text), "www.c%u-%u.a.example", round, i);
            assert_int_equal(begin(fixture->group, text, &outcomes[i]), 0);
        }
        for (unsigned i = 0; i < COUNT; i++) {
            while (!outcomes[i].is_done)
                run_once(fixture->pool);
            assert_is_answer(&outcomes[i]);
        }
    }
    free(outcomes);
    stop(fixture);
}

static void test_server_that_folds_case_is_verified_over_tcp_once(void **state)
{
    (void)state;
    struct fixture *fixture = start((unsigned[]){LOWER_CASE}, 1);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(ask_fresh(fixture, &outcome), 0);
        assert_is_answer(&outcome);
    }
    assert_false(state_of(fixture, 0).has_case);
    assert_in_range(atomic_load(&fixture->scripts[0].over_tcp), 1, 9);
    stop(fixture);
}

static void assert_edns_is_dropped(unsigned how)
{
    struct fixture *fixture = start((unsigned[]){how}, 1);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(ask_fresh(fixture, &outcome), 0);
        assert_is_answer(&outcome);
    }
    assert_false(state_of(fixture, 0).has_edns);
    /* Three times it is tried, then it is known. */
    assert_true(atomic_load(&fixture->scripts[0].without_edns) >= 5);
    assert_true(atomic_load(&fixture->scripts[0].queries) >= 8);
    stop(fixture);
}

static void test_formerr_to_edns_makes_it_plain(void **state)
{
    (void)state;
    assert_edns_is_dropped(NO_EDNS);
    assert_edns_is_dropped(BARE_NO_EDNS);
}

static void test_server_cookie_is_returned(void **state)
{
    (void)state;
    struct fixture *fixture = start((unsigned[]){COOKIES}, 1);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(ask_fresh(fixture, &outcome), 0);
    assert_true(state_of(fixture, 0).has_cookies);
    assert_true(atomic_load(&fixture->scripts[0].with_cookie) >= 4);
    stop(fixture);
}

static void test_badcookie_is_asked_again_with_the_new_cookie(void **state)
{
    (void)state;
    struct fixture *fixture = start((unsigned[]){NEEDS_COOKIE}, 1);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(ask_fresh(fixture, &outcome), 0);
        assert_is_answer(&outcome);
    }
    assert_true(atomic_load(&fixture->scripts[0].with_cookie) >= 5);
    assert_int_equal(atomic_load(&fixture->scripts[0].over_tcp), 0);
    stop(fixture);
}

static void test_missing_cookie_is_verified_over_tcp(void **state)
{
    (void)state;
    struct fixture *fixture = start((unsigned[]){COOKIES}, 1);
    assert_int_equal(ask_fresh(fixture, &outcome), 0);
    atomic_store(&fixture->scripts[0].how, COOKIES | NO_COOKIES_UDP);
    assert_int_equal(ask_fresh(fixture, &outcome), 0);
    const unsigned verified = atomic_load(&fixture->scripts[0].over_tcp);
    assert_true(verified >= 1);
    /* Without cookies over TCP either the server has changed, and that is that. */
    atomic_store(&fixture->scripts[0].how, 0);
    assert_int_equal(ask_fresh(fixture, &outcome), 0);
    assert_false(state_of(fixture, 0).has_cookies);
    const unsigned again = atomic_load(&fixture->scripts[0].over_tcp);
    assert_true(again > verified);
    assert_int_equal(ask_fresh(fixture, &outcome), 0);
    assert_int_equal(atomic_load(&fixture->scripts[0].over_tcp), again);
    stop(fixture);
}

static void test_every_third_datagram_lost_loses_no_answer(void **state)
{
    (void)state;
    struct fixture *fixture = start((unsigned[]){DROPS_THIRD, DROPS_THIRD}, 2);
    for (unsigned i = 0; i < 30; i++)
        assert_int_equal(ask_fresh(fixture, &outcome), 0);
    stop(fixture);
}

static void test_slow_server_is_outrun_by_another(void **state)
{
    (void)state;
    struct fixture *fixture = start((unsigned[]){0, 0}, 2);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(ask_fresh(fixture, &outcome), 0);
    atomic_store(&fixture->scripts[0].how, SILENT);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(ask_fresh(fixture, &outcome), 0);
    const struct origin_server_state first = state_of(fixture, 0), second = state_of(fixture, 1);
    assert_true(first.rtt_ms > 0 && first.p95_ms >= first.rtt_ms);
    assert_true(second.answered >= 20);
    stop(fixture);
}

static void test_failing_question_is_not_asked_again_at_once(void **state)
{
    (void)state;
    struct fixture *fixture = start((unsigned[]){FAILS, FAILS}, 2);
    assert_int_equal(ask(fixture, "www.a.example", &outcome), -EREMOTEIO);
    assert_int_equal(ask(fixture, "www.a.example", &outcome), -EHOSTDOWN);
    /* Another question is another matter. */
    assert_int_equal(ask(fixture, "ftp.a.example", &outcome), -EREMOTEIO);
    struct origin_counters counters;
    origin_counters(fixture->pool, &counters);
    assert_int_equal(counters.known_failures, 1);
    stop(fixture);
}

static void test_dead_server_is_given_up_and_found_again(void **state)
{
    (void)state;
    const struct origin_options options = {.sockets = 4, .timeout_ms = 300};
    struct fixture *fixture = start_with(&options, 0, (unsigned[]){SILENT}, 1);
    int code = 0;
    for (unsigned i = 0; i < 100 && code != -EHOSTDOWN; i++) {
        code = ask_fresh(fixture, &outcome);
        assert_true(code == -ETIMEDOUT || code == -EHOSTDOWN);
    }
    assert_int_equal(code, -EHOSTDOWN);
    assert_false(state_of(fixture, 0).is_healthy);

    atomic_store(&fixture->scripts[0].how, 0);
    while (code == -EHOSTDOWN) {
        usleep(1000);
        code = ask_fresh(fixture, &outcome);
    }
    assert_int_equal(code, 0);
    assert_true(state_of(fixture, 0).is_healthy);
    stop(fixture);
}

static void test_rate_is_kept_with_all_repetitions(void **state)
{
    (void)state;
    const struct origin_options options = {.sockets = 4, .timeout_ms = 500};
    struct fixture *fixture = start_with(&options, 50, (unsigned[]){SILENT}, 1);
    static struct outcome outcomes[20];
    struct timespec began, ended;
    clock_gettime(CLOCK_MONOTONIC, &began);
    unsigned taken = 0;
    for (unsigned i = 0; i < 20; i++) {
        char text[32];
        snprintf(text, sizeof(text), "www.r%u.a.example", i);
        const int rc = begin(fixture->group, text, &outcomes[i]);
        assert_true(rc == 0 || rc == -EBUSY);
        taken += rc == 0;
        outcomes[i].is_done = rc < 0;
    }
    assert_true(taken >= 5);
    for (unsigned i = 0; i < 20; i++)
        while (!outcomes[i].is_done)
            run_once(fixture->pool);
    /* A tenth of a second's worth at once, and what time adds. */
    clock_gettime(CLOCK_MONOTONIC, &ended);
    const double took_s =
        (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9;
    assert_true((double)state_of(fixture, 0).asked <= 5 + 50 * took_s + 1);
    struct origin_counters counters;
    origin_counters(fixture->pool, &counters);
    assert_true(counters.over_rate > 0);
    stop(fixture);
}

static void test_one_zone_leaves_room_for_another(void **state)
{
    (void)state;
    const struct origin_options options = {.sockets = 2, .waiting_max = 16};
    struct fixture *fixture = start_with(&options, 0, (unsigned[]){SILENT}, 1);
    struct origin_group *other;
    struct sockaddr_storage server = {0};
    memcpy(&server, &fixture->origins[0].address, sizeof(struct sockaddr_in));
    assert_int_equal(origin_group_add(fixture->pool, "b.example", &server, 1, 0, &other), 0);

    static struct outcome outcomes[17];
    char text[32];
    for (unsigned i = 0; i < 16; i++) {
        snprintf(text, sizeof(text), "www.o%u.a.example", i);
        assert_int_equal(begin(fixture->group, text, &outcomes[i]), i < 8 ? 0 : -EBUSY);
    }
    assert_int_equal(begin(other, "www.b.example", &outcomes[16]), 0);
    assert_int_equal(begin(fixture->group, "www.b.example", &outcomes[15]), -EINVAL);

    origin_group_remove(fixture->group);
    for (unsigned i = 0; i < 8; i++)
        assert_true(outcomes[i].is_done && outcomes[i].code == -ECANCELED);
    assert_false(outcomes[16].is_done);
    origin_group_remove(other);
    assert_true(outcomes[16].is_done && outcomes[16].code == -ECANCELED);
    stop(fixture);
}

static void test_servers_keep_what_is_known_when_groups_change(void **state)
{
    (void)state;
    struct fixture *fixture = start((unsigned[]){COOKIES}, 1);
    struct sockaddr_storage server = {0};
    memcpy(&server, &fixture->origins[0].address, sizeof(struct sockaddr_in));
    assert_int_equal(ask_fresh(fixture, &outcome), 0);
    struct origin_group *fresh;
    const struct sockaddr_storage twice[2] = {server, server};
    assert_int_equal(origin_group_add(fixture->pool, "a.example", twice, 2, 0, &fresh), 0);
    origin_group_remove(fixture->group);
    fixture->group = fresh;
    assert_true(state_of(fixture, 0).has_cookies);
    assert_int_equal(state_of(fixture, 0).answered, 1);
    assert_int_equal(ask_fresh(fixture, &outcome), 0);
    stop(fixture);
}

static void test_group_that_cannot_be_is_refused(void **state)
{
    (void)state;
    struct fixture *fixture = start((unsigned[]){0}, 1);
    struct sockaddr_storage servers[ORIGIN_SERVERS_MAX + 1] = {{.ss_family = AF_INET}};
    struct origin_group *group = NULL;
    assert_int_equal(origin_group_add(fixture->pool, "a..example", servers, 1, 0, &group), -EINVAL);
    assert_int_equal(origin_group_add(fixture->pool, "a.example", servers, 0, 0, &group), -EINVAL);
    assert_int_equal(origin_group_add(fixture->pool, "a.example", servers, 2, 0, &group), -EINVAL);
    assert_int_equal(
        origin_group_add(fixture->pool, "a.example", servers, ORIGIN_SERVERS_MAX + 1, 0, &group),
        -E2BIG);
    assert_null(group);
    stop(fixture);
}

/* Many more questions than a port is used for: ports come and go under way. */
static void test_ports_change(void **state)
{
    (void)state;
    const struct origin_options options = {.sockets = 1};
    struct fixture *fixture = start_with(&options, 0, (unsigned[]){0}, 1);
    for (unsigned i = 0; i < 9000; i++)
        assert_int_equal(ask_fresh(fixture, &outcome), 0);
    assert_int_equal(state_of(fixture, 0).mismatches, 0);
    stop(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_question_comes_back_in_lower_case_with_its_answer),
        cmocka_unit_test(test_letter_case_differs_from_question_to_question),
        cmocka_unit_test(test_many_questions_at_once_each_get_their_own_answer),
        cmocka_unit_test(test_silence_ends_in_a_timeout),
        cmocka_unit_test(test_refusal_is_a_failure_of_the_server),
        cmocka_unit_test(test_servfail_is_a_failure_of_the_server),
        cmocka_unit_test(test_wrong_id_is_thrown_away),
        cmocka_unit_test(test_wrong_question_is_thrown_away),
        cmocka_unit_test(test_other_address_is_thrown_away),
        cmocka_unit_test(test_forged_cookie_is_thrown_away),
        cmocka_unit_test(test_record_of_another_name_is_no_answer),
        cmocka_unit_test(test_answer_without_authority_is_lame),
        cmocka_unit_test(test_denial_without_authority_is_lame),
        cmocka_unit_test(test_empty_answer_without_authority_is_lame),
        cmocka_unit_test(test_upward_referral_is_lame),
        cmocka_unit_test(test_denial_by_another_zone_is_no_answer),
        cmocka_unit_test(test_garbled_message_is_no_answer),
        cmocka_unit_test(test_truncation_over_tcp_is_no_answer),
        cmocka_unit_test(test_last_failing_answer_is_told),
        cmocka_unit_test(test_denial_with_authority_is_an_answer),
        cmocka_unit_test(test_referral_below_the_zone_is_an_answer),
        cmocka_unit_test(test_truncated_answer_is_asked_for_over_one_connection),
        cmocka_unit_test(test_connections_that_close_after_each_answer_lose_none),
        cmocka_unit_test(test_server_that_folds_case_is_verified_over_tcp_once),
        cmocka_unit_test(test_formerr_to_edns_makes_it_plain),
        cmocka_unit_test(test_server_cookie_is_returned),
        cmocka_unit_test(test_badcookie_is_asked_again_with_the_new_cookie),
        cmocka_unit_test(test_missing_cookie_is_verified_over_tcp),
        cmocka_unit_test(test_every_third_datagram_lost_loses_no_answer),
        cmocka_unit_test(test_slow_server_is_outrun_by_another),
        cmocka_unit_test(test_failing_question_is_not_asked_again_at_once),
        cmocka_unit_test(test_dead_server_is_given_up_and_found_again),
        cmocka_unit_test(test_rate_is_kept_with_all_repetitions),
        cmocka_unit_test(test_one_zone_leaves_room_for_another),
        cmocka_unit_test(test_servers_keep_what_is_known_when_groups_change),
        cmocka_unit_test(test_group_that_cannot_be_is_refused),
        cmocka_unit_test(test_ports_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
