#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* In front of libknot's, which leave a macro alone that we define. */
#include "fake_origin.h"
#include "zone/transfer_in.h"

#include <libknot/descriptor.h>
#include <libknot/packet/pkt.h>
#include <libknot/tsig-op.h>

#define APEX      ((const uint8_t *)"\1a\7example")
#define APEX_SIZE 11

/* What one transfer came to. */
struct outcome {
    int rc;
    struct zone_data *data;
    struct transfer_report report;
    struct error error;
};

static struct transfer_source source_of(const struct fake_origin *origin)
{
    return (struct transfer_source){
        .origin = (const struct sockaddr *)&origin->address,
        .origin_size = sizeof(origin->address),
        .idle_timeout_ms = 300,
        .total_timeout_ms = 3000,
    };
}

static struct outcome transfer_from(fake_answer_fn *answer, void *context,
                                    const struct transfer_key *key)
{
    struct fake_origin origin;
    struct outcome outcome = {.data = NULL};
    fake_origin_start(&origin, answer, context);
    struct transfer_source source = source_of(&origin);
    source.key = key;
    outcome.rc = transfer_axfr(&source, APEX, &outcome.data, &outcome.report, &outcome.error);
    fake_origin_stop(&origin);
    return outcome;
}

/* Expects a refusal whose text says why. */
static void assert_refused(fake_answer_fn *answer, void *context, int code, const char *why)
{
    struct outcome outcome = transfer_from(answer, context, NULL);
    zone_data_free(outcome.data);
    if (outcome.rc != code || strstr(outcome.error.text, why) == NULL)
        fail_msg("%d and \"%s\" instead of %d and \"%s\"", outcome.rc, outcome.error.text, code,
                 why);
}

static bool zone_has(const struct zone_data *data, const char *owner, uint16_t type,
                     struct rrset *ret_rrset)
{
    uint8_t wire[KNOT_DNAME_MAXLEN];
    struct name name;
    assert_non_null(knot_dname_from_str(wire, owner, sizeof(wire)));
    assert_true(name_parse(&name, wire, sizeof(wire)) > 0);
    const struct name_hit hit = zone_data_find(data, &name);
    return hit.entry != NULL && name_entry_rrset(hit.entry, type, ret_rrset);
}

/* ---- Good transfers ---- */

static void answer_small(void *context, const struct fake_exchange *exchange)
{
    struct message message;
    message_begin(&message, exchange, true);
    message_add_soa(&message, "a.example", 7, 60, 60, 600);
    message_add_ns(&message, "a.example");
    message_add_a(&message, "www.a.example", 1);
    message_add_soa(&message, "a.example", 7, 60, 60, 600);
    message_send(&message, exchange);
    (void)context;
}

static void test_transfers_a_zone_of_one_message(void **state)
{
    struct rrset rrset;
    struct outcome outcome = transfer_from(answer_small, NULL, NULL);
    assert_int_equal(outcome.rc, 0);
    assert_int_equal(outcome.data->soa.serial, 7);
    assert_int_equal(outcome.data->record_count, 3);
    assert_int_equal(outcome.report.messages, 1);
    assert_int_equal(outcome.report.refused, 0);
    assert_true(zone_has(outcome.data, "www.a.example", KNOT_RRTYPE_A, &rrset));
    assert_memory_equal(rrset.data, "\0\4\xc0\0\2\1", 6);
    zone_data_free(outcome.data);
    (void)state;
}

/* One record a message, later ones without the question, an empty one between. */
static void answer_in_many_messages(void *context, const struct fake_exchange *exchange)
{
    struct message message;
    char owner[64];
    for (int i = 0; i < 500; i++) {
        message_begin(&message, exchange, i == 0 || i % 7 == 0);
        snprintf(owner, sizeof(owner), "h%d.a.example", i);
        if (i == 0 || i == 499)
            message_add_soa(&message, "a.example", 9, 60, 60, 600);
        else if (i == 1)
            message_add_ns(&message, "a.example");
        else if (i != 250)
            message_add_a(&message, owner, (uint8_t)i);
        message_send(&message, exchange);
    }
    (void)context;
}

static void test_transfers_a_zone_of_many_messages(void **state)
{
    struct rrset rrset;
    struct outcome outcome = transfer_from(answer_in_many_messages, NULL, NULL);
    assert_int_equal(outcome.rc, 0);
    assert_int_equal(outcome.data->record_count, 2 + 496);
    assert_int_equal(outcome.report.messages, 500);
    assert_true(zone_has(outcome.data, "h498.a.example", KNOT_RRTYPE_A, &rrset));
    zone_data_free(outcome.data);
    (void)state;
}

/* Owner and rdata names as pointers, rdata of several types that RFC 3597, 4 lets be compressed.
 * The question's name stands at octet 12. */
static void answer_compressed(void *context, const struct fake_exchange *exchange)
{
    static const uint8_t soa[] = "\2ns\xc0\x0c\2hm\xc0\x0c"
                                 "\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5";
    struct message message;
    message_begin(&message, exchange, true);
    message_add(&message, "\xc0\x0c", 2, KNOT_RRTYPE_SOA, 1, 300, soa, sizeof(soa) - 1);
    message_add(&message, "\xc0\x0c", 2, KNOT_RRTYPE_NS, 1, 300, "\2ns\xc0\x0c", 5);
    message_add(&message, "\4mail\xc0\x0c", 7, KNOT_RRTYPE_MX, 1, 300, "\0\12\2mx\xc0\x0c", 7);
    message_add(&message, "\4_srv\xc0\x0c", 7, KNOT_RRTYPE_SRV, 1, 300, "\0\1\0\2\0\3\1s\xc0\x0c",
                10);
    message_add(&message, "\5naptr\xc0\x0c", 8, KNOT_RRTYPE_NAPTR, 1, 300,
                "\0\1\0\2\1u\3E2U\0\1r\xc0\x0c", 15);
    message_add(&message, "\1t\xc0\x0c", 4, 65280, 1, 0x80000001, "\xc0\x0c", 2);
    message_add(&message, "\xc0\x0c", 2, KNOT_RRTYPE_SOA, 1, 300, soa, sizeof(soa) - 1);
    message_send(&message, exchange);
    (void)context;
}

static void test_expands_compressed_names(void **state)
{
    struct rrset rrset;
    struct outcome outcome = transfer_from(answer_compressed, NULL, NULL);
    assert_int_equal(outcome.rc, 0);
    assert_int_equal(outcome.report.refused, 0);
    assert_int_equal(outcome.data->soa.minimum_s, 5);
    assert_true(zone_has(outcome.data, "mail.a.example", KNOT_RRTYPE_MX, &rrset));
    assert_int_equal(rrset.size, 2 + 2 + 3 + APEX_SIZE);
    assert_memory_equal(rrset.data, "\0\20\0\12\2mx\1a\7example", 18);
    assert_true(zone_has(outcome.data, "_srv.a.example", KNOT_RRTYPE_SRV, &rrset));
    assert_memory_equal(rrset.data, "\0\23\0\1\0\2\0\3\1s\1a\7example", 21);
    assert_true(zone_has(outcome.data, "naptr.a.example", KNOT_RRTYPE_NAPTR, &rrset));
    assert_memory_equal(rrset.data, "\0\30\0\1\0\2\1u\3E2U\0\1r\1a\7example", 26);
    /* Of an unknown type nothing is expanded, and a TTL beyond 2^31 is none. */
    assert_true(zone_has(outcome.data, "t.a.example", 65280, &rrset));
    assert_memory_equal(rrset.data, "\0\2\xc0\x0c", 4);
    assert_int_equal(rrset.ttl, 0);
    zone_data_free(outcome.data);
    (void)state;
}

static void answer_with_unfit_records(void *context, const struct fake_exchange *exchange)
{
    struct message message;
    message_begin(&message, exchange, true);
    message_add_soa(&message, "a.example", 7, 60, 60, 600);
    message_add_ns(&message, "a.example");
    message_add_a(&message, "www.b.example", 1);
    message_add_a(&message, "www.a.example", 1);
    message_add(&message, "\3www\xc0\x0c", 6, KNOT_RRTYPE_CNAME, 1, 300, "\xc0\x0c", 2);
    message_add(&message, "\3www\xc0\x0c", 6, KNOT_RRTYPE_ANY, 1, 300, "", 0);
    message_add_soa(&message, "sub.a.example", 7, 60, 60, 600);
    message_add_soa(&message, "a.example", 7, 60, 60, 600);
    message_send(&message, exchange);
    (void)context;
}

static void test_refuses_and_counts_records_that_cannot_stand_in_the_zone(void **state)
{
    struct outcome outcome = transfer_from(answer_with_unfit_records, NULL, NULL);
    assert_int_equal(outcome.rc, 0);
    assert_int_equal(outcome.report.refused, 4);
    assert_int_equal(outcome.data->record_count, 3);
    assert_non_null(strstr(outcome.report.first_refused, "www.b.example. A: "));
    zone_data_free(outcome.data);
    (void)state;
}

/* ---- Hostile origins ---- */

enum fault {
    FAULT_OTHER_ID,
    FAULT_NO_QR,
    FAULT_OPCODE,
    FAULT_TRUNCATED_FLAG,
    FAULT_NO_QUESTION,
    FAULT_TWO_QUESTIONS,
    FAULT_OTHER_NAME,
    FAULT_OTHER_TYPE,
    FAULT_EMPTY,
    FAULT_NO_SOA_FIRST,
    FAULT_FOREIGN_SOA_FIRST,
    FAULT_CLASS,
    FAULT_POINTER_LOOP,
    FAULT_POINTER_FORWARD,
    FAULT_POINTER_INTO_HEADER,
    FAULT_POINTER_CHAIN,
    FAULT_LABEL_TYPE,
    FAULT_LONG_NAME,
    FAULT_RDATA_BEYOND_END,
    FAULT_RDATA_SHORT,
    FAULT_RDATA_NAME_BEYOND_RDATA,
    FAULT_COMPRESSED_RRSIG,
    FAULT_COUNT_TOO_HIGH,
    FAULT_TRAILING_OCTETS,
    FAULT_SOA_CHANGES,
    FAULT_BEHIND_THE_END,
    FAULT_SHORT_HEADER,
    FAULT_NO_NS,
    FAULT_CLOSES_EARLY,
    FAULT_CUT_IN_MESSAGE,
    FAULT_HANGS,
    FAULT_COUNT,
};

static const struct {
    int code;
    const char *why;
} expected[FAULT_COUNT] = {
    [FAULT_OTHER_ID] = {-EBADMSG, "no answer to our query"},
    [FAULT_NO_QR] = {-EBADMSG, "no answer to our query"},
    [FAULT_OPCODE] = {-EBADMSG, "no answer to our query"},
    [FAULT_TRUNCATED_FLAG] = {-EBADMSG, "truncated"},
    [FAULT_NO_QUESTION] = {-EBADMSG, "0 questions"},
    [FAULT_TWO_QUESTIONS] = {-EBADMSG, "2 questions"},
    [FAULT_OTHER_NAME] = {-EBADMSG, "another question"},
    [FAULT_OTHER_TYPE] = {-EBADMSG, "another question"},
    [FAULT_EMPTY] = {-EBADMSG, "with nothing"},
    [FAULT_NO_SOA_FIRST] = {-EBADMSG, "no SOA of it"},
    [FAULT_FOREIGN_SOA_FIRST] = {-EBADMSG, "no SOA of it"},
    [FAULT_CLASS] = {-EBADMSG, "class 3"},
    [FAULT_POINTER_LOOP] = {-EBADMSG, "malformed"},
    [FAULT_POINTER_FORWARD] = {-EBADMSG, "malformed"},
    [FAULT_POINTER_INTO_HEADER] = {-EBADMSG, "malformed"},
    [FAULT_POINTER_CHAIN] = {-EBADMSG, "malformed"},
    [FAULT_LABEL_TYPE] = {-EBADMSG, "malformed"},
    [FAULT_LONG_NAME] = {-EBADMSG, "malformed"},
    [FAULT_RDATA_BEYOND_END] = {-EBADMSG, "malformed"},
    [FAULT_RDATA_SHORT] = {-EBADMSG, "malformed"},
    [FAULT_RDATA_NAME_BEYOND_RDATA] = {-EBADMSG, "malformed"},
    [FAULT_COMPRESSED_RRSIG] = {-EBADMSG, "malformed"},
    [FAULT_COUNT_TOO_HIGH] = {-EBADMSG, "malformed"},
    [FAULT_TRAILING_OCTETS] = {-EBADMSG, "behind the end of its message"},
    [FAULT_SOA_CHANGES] = {-EBADMSG, "changed the SOA"},
    [FAULT_BEHIND_THE_END] = {-EBADMSG, "behind the closing SOA"},
    [FAULT_SHORT_HEADER] = {-EBADMSG, "no answer to our query"},
    [FAULT_NO_NS] = {-EINVAL, "cannot be served"},
    [FAULT_CLOSES_EARLY] = {-ECONNRESET, "before the answer was complete"},
    [FAULT_CUT_IN_MESSAGE] = {-ECONNRESET, "before the answer was complete"},
    [FAULT_HANGS] = {-ETIMEDOUT, "did not send anything within 0.3 s"},
};

/* The record in the middle of the zone, wrong in one way. */
static void add_faulty_record(struct message *message, enum fault fault)
{
    uint8_t owner[300], rdata[64] = {0};
    const uint8_t here[2] = {(uint8_t)(0xc0 | message->size >> 8), (uint8_t)message->size};

    switch (fault) {
    case FAULT_CLASS:
        message_add(message, "\xc0\x0c", 2, KNOT_RRTYPE_A, 3, 300, "\300\0\2\1", 4);
        break;
    case FAULT_POINTER_LOOP:
        message_add(message, here, 2, KNOT_RRTYPE_A, 1, 300, "\300\0\2\1", 4);
        break;
    case FAULT_POINTER_FORWARD:
        message_add(message, "\xc1\xff", 2, KNOT_RRTYPE_A, 1, 300, "\300\0\2\1", 4);
        break;
    case FAULT_POINTER_INTO_HEADER:
        message_add(message, "\xc0\x04", 2, KNOT_RRTYPE_A, 1, 300, "\300\0\2\1", 4);
        break;
    case FAULT_POINTER_CHAIN: /* a label in front of a pointer back to that label */
        message_add(message, (uint8_t[]){1, 'x', here[0], here[1]}, 4, KNOT_RRTYPE_A, 1, 300,
                    "\300\0\2\1", 4);
        break;
    case FAULT_LABEL_TYPE:
        message_add(message, "\x41x\0", 3, KNOT_RRTYPE_A, 1, 300, "\300\0\2\1", 4);
        break;
    case FAULT_LONG_NAME:
        for (size_t i = 0; i < 250; i++)
            owner[i] = i % 2 == 0 ? 1 : 'x';
        owner[250] = 0xc0;
        owner[251] = 0x0c;
        message_add(message, owner, 252, KNOT_RRTYPE_A, 1, 300, "\300\0\2\1", 4);
        break;
    case FAULT_RDATA_SHORT:
        message_add(message, "\xc0\x0c", 2, KNOT_RRTYPE_A, 1, 300, "\300\0\2", 3);
        break;
    case FAULT_RDATA_NAME_BEYOND_RDATA:
        message_add(message, "\xc0\x0c", 2, KNOT_RRTYPE_NS, 1, 300, "\2n", 2);
        break;
    case FAULT_COMPRESSED_RRSIG:
        memcpy(rdata + 18, "\xc0\x0c", 2);
        message_add(message, "\xc0\x0c", 2, KNOT_RRTYPE_RRSIG, 1, 300, rdata, sizeof(rdata));
        break;
    case FAULT_RDATA_BEYOND_END:
        message_add(message, "\xc0\x0c", 2, KNOT_RRTYPE_TXT, 1, 300, "\1x", 2);
        message->wire[message->size - 3] = 200;
        break;
    default:
        message_add_a(message, "www.a.example", 1);
        break;
    }
}

static void add_faulty_zone(struct message *message, enum fault fault)
{
    if (fault == FAULT_FOREIGN_SOA_FIRST)
        message_add_soa(message, "b.example", 7, 60, 60, 600);
    else if (fault != FAULT_NO_SOA_FIRST)
        message_add_soa(message, "a.example", 7, 60, 60, 600);
    if (fault != FAULT_NO_NS)
        message_add_ns(message, "a.example");
    add_faulty_record(message, fault);
    if (fault == FAULT_RDATA_BEYOND_END || fault == FAULT_HANGS || fault == FAULT_CLOSES_EARLY)
        return;
    message_add_soa(message, "a.example", fault == FAULT_SOA_CHANGES ? 8 : 7, 60, 60, 600);
    if (fault == FAULT_BEHIND_THE_END)
        message_add_a(message, "more.a.example", 1);
}

static void spoil_message(struct message *message, enum fault fault)
{
    uint8_t *wire = message->wire;
    switch (fault) {
    case FAULT_OTHER_ID:
        wire[0] ^= 1;
        break;
    case FAULT_NO_QR:
        wire[2] &= 0x7f;
        break;
    case FAULT_OPCODE:
        wire[2] |= 5 << 3;
        break;
    case FAULT_TRUNCATED_FLAG:
        wire[2] |= 2;
        break;
    case FAULT_TWO_QUESTIONS:
        wire[5] = 2;
        break;
    case FAULT_OTHER_NAME:
        wire[13] = 'b';
        break;
    case FAULT_OTHER_TYPE:
        wire[12 + APEX_SIZE + 1] = KNOT_RRTYPE_IXFR & 0xff;
        break;
    case FAULT_COUNT_TOO_HIGH:
        wire[9]++; /* NSCOUNT: behind the closing SOA */
        break;
    case FAULT_TRAILING_OCTETS:
        message_octets(message, "x", 1);
        break;
    case FAULT_SHORT_HEADER:
        message->size = 11;
        break;
    default:
        break;
    }
}

static void answer_faulty(void *context, const struct fake_exchange *exchange)
{
    const enum fault fault = *(enum fault *)context;
    struct message message;

    message_begin(&message, exchange, fault != FAULT_NO_QUESTION);
    if (fault != FAULT_EMPTY)
        add_faulty_zone(&message, fault);
    spoil_message(&message, fault);
    if (fault == FAULT_CUT_IN_MESSAGE) {
        send(exchange->fd, "\1\0abc", 5, MSG_NOSIGNAL);
        shutdown(exchange->fd, SHUT_WR);
        return;
    }
    message_send(&message, exchange);
    if (fault == FAULT_CLOSES_EARLY)
        shutdown(exchange->fd, SHUT_WR);
}

static void test_refuses_every_fault_of_an_origin_with_its_reason(void **state)
{
    for (enum fault fault = 0; fault < FAULT_COUNT; fault++) {
        assert_refused(answer_faulty, &fault, expected[fault].code, expected[fault].why);
    }
    (void)state;
}

/* ---- Limits ---- */

static void answer_endlessly(void *context, const struct fake_exchange *exchange)
{
    struct message message;
    message_begin(&message, exchange, true);
    message_add_soa(&message, "a.example", 7, 60, 60, 600);
    message_send(&message, exchange);
    for (uint32_t i = 0; i < 1000; i++) {
        char owner[64];
        message_begin(&message, exchange, false);
        for (int j = 0; j < 100; j++) {
            snprintf(owner, sizeof(owner), "h%u-%d.a.example", i, j);
            message_add_a(&message, owner, 1);
        }
        message_send(&message, exchange);
    }
    (void)context;
}

static void test_ends_an_endless_transfer_at_each_limit(void **state)
{
    for (int limit = 0; limit < 2; limit++) {
        struct fake_origin origin;
        struct zone_data *data;
        struct error error;
        fake_origin_start(&origin, answer_endlessly, NULL);
        struct transfer_source source = source_of(&origin);
        if (limit == 0)
            source.size_max = 100000;
        else
            source.records_max = 5000;
        assert_int_equal(transfer_axfr(&source, APEX, &data, NULL, &error), -EFBIG);
        assert_non_null(strstr(error.text, limit == 0 ? "100000 octets" : "5000 records"));
        fake_origin_stop(&origin);
    }
    (void)state;
}

/* Never idle for long, never done. */
static void answer_dripping(void *context, const struct fake_exchange *exchange)
{
    const struct timespec pause = {.tv_nsec = 50 * 1000000};
    for (int i = 0; i < 40; i++) {
        if (send(exchange->fd, i == 0 ? "\xff" : "x", 1, MSG_NOSIGNAL) < 0)
            return;
        nanosleep(&pause, NULL);
    }
    (void)context;
}

static void test_ends_a_dripping_transfer_at_the_total_time(void **state)
{
    struct fake_origin origin;
    struct zone_data *data;
    struct error error;
    fake_origin_start(&origin, answer_dripping, NULL);
    struct transfer_source source = source_of(&origin);
    source.total_timeout_ms = 400;
    assert_int_equal(transfer_axfr(&source, APEX, &data, NULL, &error), -ETIMEDOUT);
    assert_non_null(strstr(error.text, "longer than the whole exchange may"));
    fake_origin_stop(&origin);
    (void)state;
}

static void answer_nothing(void *context, const struct fake_exchange *exchange)
{
    (void)context;
    (void)exchange;
}

static void test_a_readable_cancel_descriptor_ends_a_wait(void **state)
{
    struct fake_origin origin;
    struct zone_data *data;
    struct soa soa;
    uint32_t expire_s;
    struct error error;
    fake_origin_start(&origin, answer_nothing, NULL);
    struct transfer_source source = source_of(&origin);
    source.cancel_fd = eventfd(1, EFD_CLOEXEC);
    assert_int_equal(transfer_axfr(&source, APEX, &data, NULL, &error), -ECANCELED);
    assert_int_equal(transfer_soa(&source, APEX, &soa, &expire_s, &error), -ECANCELED);
    close(source.cancel_fd);
    fake_origin_stop(&origin);
    (void)state;
}

static void test_says_when_nobody_listens(void **state)
{
    struct fake_origin origin;
    struct zone_data *data;
    struct soa soa;
    uint32_t expire_s;
    struct error error;
    fake_origin_start(&origin, answer_nothing, NULL);
    fake_origin_stop(&origin);
    struct transfer_source source = source_of(&origin);
    int rc = transfer_axfr(&source, APEX, &data, NULL, &error);
    assert_int_equal(rc, -ECONNREFUSED);
    assert_true(transfer_error_is_origins(rc));
    assert_non_null(strstr(error.text, "is the server running"));
    assert_int_equal(transfer_soa(&source, APEX, &soa, &expire_s, &error), -ECONNREFUSED);
    (void)state;
}

static void answer_rcode(void *context, const struct fake_exchange *exchange)
{
    struct message message;
    const int *rcode = context;
    message_begin(&message, exchange, *rcode != KNOT_RCODE_FORMERR);
    message_rcode(&message, (unsigned)*rcode);
    message_send(&message, exchange);
}

static void test_explains_refusals_of_the_origin(void **state)
{
    int rcode = KNOT_RCODE_REFUSED;
    assert_refused(answer_rcode, &rcode, -EACCES,
                   "refused the transfer of a.example (REFUSED): allow this address there");
    rcode = KNOT_RCODE_NOTAUTH;
    assert_refused(answer_rcode, &rcode, -EACCES, "(NOTAUTH): allow this address there");
    rcode = KNOT_RCODE_SERVFAIL;
    assert_refused(answer_rcode, &rcode, -EREMOTEIO, "(SERVFAIL)");
    rcode = KNOT_RCODE_FORMERR;
    assert_refused(answer_rcode, &rcode, -EREMOTEIO, "(FORMERR)");
    (void)state;
}

/* ---- SOA queries ---- */

struct soa_script {
    bool truncate, silent_udp, not_authoritative, no_soa, stray_first;
    int udp_count, tcp_count;
};

static void answer_soa(void *context, const struct fake_exchange *exchange)
{
    struct soa_script *script = context;
    struct message message;
    int *count = exchange->is_tcp ? &script->tcp_count : &script->udp_count;
    (*count)++;

    if (!exchange->is_tcp && script->silent_udp)
        return;
    if (script->stray_first) {
        message_begin(&message, exchange, true);
        message.wire[0] ^= 0x55;
        message_add_soa(&message, "a.example", 666, 60, 60, 600);
        message_send(&message, exchange);
    }
    message_begin(&message, exchange, true);
    if (!exchange->is_tcp && script->truncate)
        message.wire[2] |= 2;
    else if (!script->no_soa)
        message_add_soa(&message, "a.example", 42, 60, 61, 600);
    if (script->not_authoritative)
        message.wire[2] &= (uint8_t)~4;
    message_send(&message, exchange);
}

static int query_soa(struct soa_script *script, struct soa *ret_soa, struct error *ret_error)
{
    struct fake_origin origin;
    fake_origin_start(&origin, answer_soa, script);
    const struct transfer_source source = source_of(&origin);
    uint32_t expire_s;
    const int rc = transfer_soa(&source, APEX, ret_soa, &expire_s, ret_error);
    fake_origin_stop(&origin);
    return rc;
}

static void test_asks_for_the_soa_over_udp(void **state)
{
    struct soa_script script = {.stray_first = true};
    struct soa soa;
    struct error error;
    assert_int_equal(query_soa(&script, &soa, &error), 0);
    assert_int_equal(soa.serial, 42);
    assert_int_equal(soa.retry_s, 61);
    assert_int_equal(script.tcp_count, 0);
    (void)state;
}

static void test_asks_over_tcp_when_truncated_or_unanswered(void **state)
{
    struct soa_script truncating = {.truncate = true}, silent = {.silent_udp = true};
    struct soa soa;
    struct error error;
    assert_int_equal(query_soa(&truncating, &soa, &error), 0);
    assert_int_equal(truncating.tcp_count, 1);
    assert_int_equal(query_soa(&silent, &soa, &error), 0);
    assert_int_equal(silent.udp_count, 2);
    assert_int_equal(silent.tcp_count, 1);
    (void)state;
}

static void test_trusts_no_soa_without_authority(void **state)
{
    struct soa_script lame = {.not_authoritative = true}, empty = {.no_soa = true};
    struct soa soa;
    struct error error;
    assert_int_equal(query_soa(&lame, &soa, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "not authoritative"));
    assert_int_equal(query_soa(&empty, &soa, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "has no SOA"));
    (void)state;
}

/* ---- Signatures: the other side signs with libknot ---- */

struct tsig_script {
    struct transfer_key key;
    unsigned messages, sign_every;
    bool last_unsigned, tampered, none_signed;
    unsigned refuse_with; /* TSIG error of a NOTAUTH answer; 0: none */
};

static void send_bad_tsig_answer(const struct tsig_script *script,
                                 const struct fake_exchange *exchange)
{
    static const uint8_t owner[] = "\1k";
    uint8_t rdata[] = "\13hmac-sha256\0\0\0\0\0\0\0\1\54\0\0\0\0\0\0\0";
    struct message message;
    rdata[sizeof(rdata) - 3] = (uint8_t)script->refuse_with;
    message_begin(&message, exchange, true);
    message_rcode(&message, KNOT_RCODE_NOTAUTH);
    message_add(&message, owner, sizeof(owner), KNOT_RRTYPE_TSIG, KNOT_CLASS_ANY, 0, rdata,
                sizeof(rdata));
    knot_wire_set_ancount(message.wire, 0);
    knot_wire_set_arcount(message.wire, 1);
    message_send(&message, exchange);
}

static void answer_signed(void *context, const struct fake_exchange *exchange)
{
    const struct tsig_script *script = context;
    if (script->refuse_with != 0) {
        send_bad_tsig_answer(script, exchange);
        return;
    }

    /* Verifies the request first, so that the MAC to chain on is known to be right. */
    uint8_t request[1024];
    knot_tsig_key_t key;
    memcpy(request, exchange->query, exchange->query_size);
    knot_pkt_t *parsed = knot_pkt_new(request, (uint16_t)exchange->query_size, NULL);
    if (knot_tsig_key_init(&key, script->key.algorithm, script->key.name, script->key.secret) !=
            KNOT_EOK ||
        knot_pkt_parse(parsed, 0) != KNOT_EOK || parsed->tsig_rr == NULL ||
        knot_tsig_server_check(parsed->tsig_rr, parsed->wire, parsed->size, &key) != KNOT_EOK)
        abort();

    uint8_t mac[64], pending[65535 * 4];
    size_t mac_size = knot_tsig_rdata_mac_length(parsed->tsig_rr), pending_size = 0;
    memcpy(mac, knot_tsig_rdata_mac(parsed->tsig_rr), mac_size);

    for (unsigned i = 0; i < script->messages; i++) {
        struct message message;
        char owner[32];
        message_begin(&message, exchange, i == 0);
        if (i == 0) {
            message_add_soa(&message, "a.example", 7, 60, 60, 600);
            message_add_ns(&message, "a.example");
        }
        snprintf(owner, sizeof(owner), "h%u.a.example", i);
        message_add_a(&message, owner, 1);
        const bool is_last = i + 1 == script->messages;
        if (is_last)
            message_add_soa(&message, "a.example", 7, 60, 60, 600);

        memcpy(pending + pending_size, message.wire, message.size);
        pending_size += message.size;
        size_t digest_size = sizeof(mac);
        if (script->none_signed || (is_last && script->last_unsigned) ||
            (!is_last && i % script->sign_every != 0)) {
            /* goes unsigned */
        } else if (i == 0) {
            if (knot_tsig_sign(message.wire, &message.size, sizeof(message.wire), mac, mac_size,
                               mac, &digest_size, &key, 0, 0) != KNOT_EOK)
                abort();
            pending_size = 0;
        } else {
            if (knot_tsig_sign_next(message.wire, &message.size, sizeof(message.wire), mac,
                                    mac_size, mac, &digest_size, &key, pending,
                                    pending_size) != KNOT_EOK)
                abort();
            pending_size = 0;
        }
        if (script->tampered && i == script->messages / 2)
            message.wire[14] ^= 1; /* a digit of the owner */
        message_send(&message, exchange);
    }
    knot_pkt_free(parsed);
    knot_tsig_key_deinit(&key);
}

static const struct transfer_key good_key = {"k", "hmac-sha256", "bm90LWEtcmVhbC1zZWNyZXQ="};

static void test_verifies_every_algorithm(void **state)
{
    static const char *const algorithms[] = {"hmac-md5",    "hmac-sha1",   "hmac-sha224",
                                             "hmac-sha256", "hmac-sha384", "hmac-sha512"};
    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
        struct tsig_script script = {
            .key = {"Key.example", algorithms[i], good_key.secret}, .messages = 3, .sign_every = 1};
        struct outcome outcome = transfer_from(answer_signed, &script, &script.key);
        if (outcome.rc != 0)
            fail_msg("%s: %s", algorithms[i], outcome.error.text);
        assert_int_equal(outcome.data->record_count, 5);
        zone_data_free(outcome.data);
    }
    (void)state;
}

static void test_verifies_unsigned_messages_between_signed_ones(void **state)
{
    struct tsig_script script = {.key = good_key, .messages = 301, .sign_every = 100};
    struct outcome outcome = transfer_from(answer_signed, &script, &good_key);
    if (outcome.rc != 0)
        fail_msg("%s", outcome.error.text);
    zone_data_free(outcome.data);
    (void)state;
}

static void assert_distrusted(struct tsig_script script, const struct transfer_key *key, int code,
                              const char *why)
{
    struct outcome outcome = transfer_from(answer_signed, &script, key);
    zone_data_free(outcome.data);
    if (outcome.rc != code || strstr(outcome.error.text, why) == NULL)
        fail_msg("%d and \"%s\" instead of %d and \"%s\"", outcome.rc, outcome.error.text, code,
                 why);
}

static void test_distrusts_what_is_not_signed_as_it_must(void **state)
{
    struct tsig_script script = {.key = good_key, .messages = 50, .sign_every = 10};

    struct tsig_script unsigned_script = script;
    unsigned_script.none_signed = true;
    assert_distrusted(unsigned_script, &good_key, -EKEYREJECTED, "is not signed");

    struct tsig_script open_end = script;
    open_end.last_unsigned = true;
    assert_distrusted(open_end, &good_key, -EKEYREJECTED, "did not sign the end");

    struct tsig_script sparse = script;
    sparse.messages = 250;
    sparse.sign_every = 200;
    assert_distrusted(sparse, &good_key, -EKEYREJECTED, "more than 99");

    /* Message 25 is unsigned itself and well formed: the signature of message 30 tells. */
    struct tsig_script tampered = script;
    tampered.tampered = true;
    tampered.messages = 51;
    assert_distrusted(tampered, &good_key, -EKEYREJECTED, "signature is wrong");
    (void)state;
}

static void test_explains_tsig_errors(void **state)
{
    struct tsig_script script = {.key = good_key};
    script.refuse_with = 16;
    assert_distrusted(script, &good_key, -EACCES, "BADSIG: the secret of the key k differs there");
    script.refuse_with = 17;
    assert_distrusted(script, &good_key, -EACCES, "BADKEY: it does not know the key k");
    script.refuse_with = 18;
    assert_distrusted(script, &good_key, -EACCES, "BADTIME");

    const struct transfer_key bad_key = {"k", "hmac-sha3", "bm90"};
    assert_distrusted(script, &bad_key, -EINVAL, "check its name, its algorithm (hmac-sha3)");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transfers_a_zone_of_one_message),
        cmocka_unit_test(test_transfers_a_zone_of_many_messages),
        cmocka_unit_test(test_expands_compressed_names),
        cmocka_unit_test(test_refuses_and_counts_records_that_cannot_stand_in_the_zone),
        cmocka_unit_test(test_refuses_every_fault_of_an_origin_with_its_reason),
        cmocka_unit_test(test_ends_an_endless_transfer_at_each_limit),
        cmocka_unit_test(test_ends_a_dripping_transfer_at_the_total_time),
        cmocka_unit_test(test_a_readable_cancel_descriptor_ends_a_wait),
        cmocka_unit_test(test_says_when_nobody_listens),
        cmocka_unit_test(test_explains_refusals_of_the_origin),
        cmocka_unit_test(test_asks_for_the_soa_over_udp),
        cmocka_unit_test(test_asks_over_tcp_when_truncated_or_unanswered),
        cmocka_unit_test(test_trusts_no_soa_without_authority),
        cmocka_unit_test(test_verifies_every_algorithm),
        cmocka_unit_test(test_verifies_unsigned_messages_between_signed_ones),
        cmocka_unit_test(test_distrusts_what_is_not_signed_as_it_must),
        cmocka_unit_test(test_explains_tsig_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
