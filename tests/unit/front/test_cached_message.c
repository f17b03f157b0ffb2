/* What becomes of an origin's message: an answer, or the reason why it is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <libknot/libknot.h>

#include "front/cached_message.h"

#define NOW INT64_C(1790000000)

static struct cached_message *message;
static struct cached_answer answer;

/* ---- Messages ---- */

static uint8_t wire[UINT16_MAX];
static size_t wire_size;

static void put_u16(uint16_t value)
{
    knot_wire_write_u16(wire + wire_size, value);
    wire_size += 2;
}

static void put_octets(const void *octets, size_t size)
{
    memcpy(wire + wire_size, octets, size);
    wire_size += size;
}

static void put_name(const char *text)
{
    assert_non_null(knot_dname_from_str(wire + wire_size, text, KNOT_DNAME_MAXLEN));
    wire_size += knot_dname_size(wire + wire_size);
}

/* Begins a response; flags as in the second 16 bits of the header. */
static void begin(uint16_t flags, const char *name, uint16_t type)
{
    memset(wire, 0, KNOT_WIRE_HEADER_SIZE);
    knot_wire_write_u16(wire + 2, (uint16_t)(0x8000 | flags));
    knot_wire_set_qdcount(wire, 1);
    wire_size = KNOT_WIRE_HEADER_SIZE;
    put_name(name);
    put_u16(type);
    put_u16(KNOT_CLASS_IN);
}

static void put_record(unsigned section, const char *owner, uint16_t type, uint32_t ttl_s,
                       const void *rdata, size_t size)
{
    knot_wire_write_u16(wire + 6 + 2 * section,
                        (uint16_t)(knot_wire_read_u16(wire + 6 + 2 * section) + 1));
    put_name(owner);
    put_u16(type);
    put_u16(KNOT_CLASS_IN);
    put_u16((uint16_t)(ttl_s >> 16));
    put_u16((uint16_t)ttl_s);
    put_u16((uint16_t)size);
    put_octets(rdata, size);
}

static void put_a(unsigned section, const char *owner, uint32_t ttl_s)
{
    put_record(section, owner, KNOT_RRTYPE_A, ttl_s, "\300\0\2\1", 4);
}

static void put_names(unsigned section, const char *owner, uint16_t type, uint32_t ttl_s,
                      const char *target)
{
    uint8_t rdata[KNOT_DNAME_MAXLEN];
    assert_non_null(knot_dname_from_str(rdata, target, sizeof(rdata)));
    put_record(section, owner, type, ttl_s, rdata, knot_dname_size(rdata));
}

static void put_soa(const char *owner, uint32_t ttl_s, uint32_t minimum_s)
{
    static const uint8_t names[] = "\2ns\1a\7example\0\2hm\1a\7example";
    uint8_t rdata[sizeof(names) + 20] = {0};
    memcpy(rdata, names, sizeof(names));
    knot_wire_write_u32(rdata + sizeof(names) + 16, minimum_s);
    put_record(1, owner, KNOT_RRTYPE_SOA, ttl_s, rdata, sizeof(rdata));
}

static void put_opt(const void *options, size_t size)
{
    put_record(2, ".", KNOT_RRTYPE_OPT, 0, options, size);
}

/* ---- Reading ---- */

enum { AA = 0x0400, TC = 0x0200 };

static enum message_verdict judge(const char *name, uint16_t type)
{
    static struct name parsed, zone;
    uint8_t owner[KNOT_DNAME_MAXLEN];
    assert_non_null(knot_dname_from_str(owner, name, sizeof(owner)));
    assert_true(name_parse(&parsed, owner, sizeof(owner)) > 0);
    assert_true(name_parse(&zone, (const uint8_t *)"\1a\7example", 11) > 0);
    const struct message_question question = {
        .key = {.name = &parsed, .type = type}, .zone = &zone, .now = NOW, .stale_s = 3600};
    /* An exact copy: the address sanitizer sees a read beyond it. */
    uint8_t *exact = malloc(wire_size);
    memcpy(exact, wire, wire_size);
    enum message_verdict verdict =
        cached_message_read(message, &question, exact, wire_size, &answer);
    free(exact);
    return verdict;
}

/* The answer as a client gets it, parsed by libknot. */
static knot_pkt_t *as_sent(const char *name, uint16_t type, int64_t now)
{
    static uint8_t sent[UINT16_MAX];
    knot_pkt_t *packet = knot_pkt_new(sent, sizeof(sent), NULL);
    uint8_t owner[KNOT_DNAME_MAXLEN];
    assert_non_null(knot_dname_from_str(owner, name, sizeof(owner)));
    assert_int_equal(knot_pkt_put_question(packet, owner, KNOT_CLASS_IN, type), KNOT_EOK);
    size_t size = packet->size;
    knot_pkt_free(packet);
    size += cached_answer_write(&answer, now, 30, sent + size, sizeof(sent) - size);
    knot_wire_set_ancount(sent, answer.counts[0]);
    knot_wire_set_nscount(sent, answer.counts[1]);
    knot_wire_set_arcount(sent, answer.counts[2]);
    packet = knot_pkt_new(sent, (uint16_t)size, NULL);
    assert_int_equal(knot_pkt_parse(packet, 0), KNOT_EOK);
    return packet;
}

static void test_an_address_comes_through_with_its_ttl_running(void **state)
{
    (void)state;
    begin(AA, "WWW.a.example.", KNOT_RRTYPE_A);
    put_a(0, "www.A.example.", 300);
    put_names(1, "a.example.", KNOT_RRTYPE_NS, 200, "ns.a.example.");
    put_names(1, "a.example.", KNOT_RRTYPE_NS, 200, "ns.b.example.");
    put_a(2, "ns.a.example.", 250);
    put_a(2, "ns.b.example.", 10); /* the zone has no say about it */
    put_opt("", 0);
    assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_ANSWER);
    assert_true(answer.authoritative);
    assert_false(answer.is_plain); /* for the address of the server */
    assert_int_equal(answer.expires_at, NOW + 200);
    assert_int_equal(answer.stale_until, NOW + 200 + 3600);
    assert_int_equal(answer.ttl_count, 4);

    knot_pkt_t *packet = as_sent("www.a.example.", KNOT_RRTYPE_A, NOW + 60);
    const knot_pktsection_t *section = knot_pkt_section(packet, KNOT_ANSWER);
    assert_int_equal(section->count, 1);
    assert_int_equal(knot_pkt_rr(section, 0)->ttl, 240);
    assert_int_equal(knot_pkt_section(packet, KNOT_AUTHORITY)->count, 2);
    assert_int_equal(knot_pkt_rr(knot_pkt_section(packet, KNOT_AUTHORITY), 1)->ttl, 140);
    assert_int_equal(knot_pkt_section(packet, KNOT_ADDITIONAL)->count, 1);
    assert_int_equal(knot_pkt_rr(knot_pkt_section(packet, KNOT_ADDITIONAL), 0)->ttl, 190);
    knot_pkt_free(packet);
}

static void test_denials_live_as_long_as_the_soa_says(void **state)
{
    (void)state;
    begin(AA | KNOT_RCODE_NXDOMAIN, "no.a.example.", KNOT_RRTYPE_A);
    put_soa("a.example.", 3600, 60);
    assert_int_equal(judge("no.a.example.", KNOT_RRTYPE_A), MESSAGE_ANSWER);
    assert_int_equal(answer.rcode, KNOT_RCODE_NXDOMAIN);
    assert_true(answer.is_plain);
    assert_int_equal(answer.expires_at, NOW + 60);

    begin(AA, "www.a.example.", KNOT_RRTYPE_MX);
    put_soa("a.example.", 30, 600);
    assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_MX), MESSAGE_ANSWER);
    assert_int_equal(answer.expires_at, NOW + 30);

    begin(AA | KNOT_RCODE_NXDOMAIN, "no.a.example.", KNOT_RRTYPE_A); /* RFC 2308, 5 */
    assert_int_equal(judge("no.a.example.", KNOT_RRTYPE_A), MESSAGE_ANSWER);
    assert_int_equal(answer.expires_at, NOW);
    begin(AA | KNOT_RCODE_NXDOMAIN, "no.a.example.", KNOT_RRTYPE_A);
    put_soa("b.example.", 60, 60); /* of another zone: as good as none */
    assert_int_equal(judge("no.a.example.", KNOT_RRTYPE_A), MESSAGE_ANSWER);
    assert_int_equal(answer.expires_at, NOW);
    assert_int_equal(answer.counts[1], 0);
}

static void test_nothing_is_fresh_for_ever(void **state)
{
    (void)state;
    begin(AA, "www.a.example.", KNOT_RRTYPE_A);
    put_a(0, "www.a.example.", INT32_MAX);
    assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_ANSWER);
    assert_int_equal(answer.expires_at, NOW + 7 * 24 * 60 * 60);

    begin(AA | KNOT_RCODE_NXDOMAIN, "no.a.example.", KNOT_RRTYPE_A);
    put_soa("a.example.", INT32_MAX, INT32_MAX);
    assert_int_equal(judge("no.a.example.", KNOT_RRTYPE_A), MESSAGE_ANSWER);
    assert_int_equal(answer.expires_at, NOW + 3 * 60 * 60);
}

static void test_ns_of_the_zone_beside_aliases_refer_to_nobody(void **state)
{
    (void)state;
    begin(AA, "www.a.example.", KNOT_RRTYPE_A);
    put_names(0, "www.a.example.", KNOT_RRTYPE_CNAME, 300, "www.a.example.");
    put_names(1, "a.example.", KNOT_RRTYPE_NS, 300, "ns.a.example.");
    assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_ANSWER);
    assert_int_equal(answer.counts[0], 1);
}

static void test_ttl_0_is_for_those_who_wait(void **state)
{
    (void)state;
    begin(AA, "www.a.example.", KNOT_RRTYPE_A);
    put_a(0, "www.a.example.", 0);
    assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_ANSWER);
    assert_int_equal(answer.expires_at, NOW);
    assert_int_equal(answer.counts[0], 1);
}

static void test_aliases_are_followed_while_they_stay_in_the_zone(void **state)
{
    (void)state;
    begin(AA, "one.a.example.", KNOT_RRTYPE_A);
    put_names(0, "one.a.example.", KNOT_RRTYPE_CNAME, 300, "two.a.example.");
    put_names(0, "two.a.example.", KNOT_RRTYPE_CNAME, 300, "www.b.example.");
    put_a(0, "www.b.example.", 5);
    assert_int_equal(judge("one.a.example.", KNOT_RRTYPE_A), MESSAGE_ANSWER);
    assert_int_equal(answer.counts[0], 2);
    assert_false(answer.is_plain);
    assert_int_equal(answer.expires_at, NOW + 300);

    begin(AA, "x.old.a.example.", KNOT_RRTYPE_A);
    put_names(0, "old.a.example.", KNOT_RRTYPE_DNAME, 300, "new.a.example.");
    put_names(0, "x.old.a.example.", KNOT_RRTYPE_CNAME, 300, "x.new.a.example.");
    put_a(0, "x.new.a.example.", 100);
    put_a(0, "other.a.example.", 100); /* not asked for */
    assert_int_equal(judge("x.old.a.example.", KNOT_RRTYPE_A), MESSAGE_ANSWER);
    assert_int_equal(answer.counts[0], 3);

    begin(AA, "loop.a.example.", KNOT_RRTYPE_A);
    put_names(0, "loop.a.example.", KNOT_RRTYPE_CNAME, 300, "pool.a.example.");
    put_names(0, "pool.a.example.", KNOT_RRTYPE_CNAME, 300, "loop.a.example.");
    assert_int_equal(judge("loop.a.example.", KNOT_RRTYPE_A), MESSAGE_ANSWER);
    assert_int_equal(answer.expires_at, NOW);

    begin(AA, "www.a.example.", KNOT_RRTYPE_A);
    put_a(0, "other.a.example.", 100);
    assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_OFF_CHAIN);
    begin(AA, "www.a.example.", KNOT_RRTYPE_A);
    put_names(0, "a.", KNOT_RRTYPE_CNAME, 300, "two.a.example.");
    put_a(0, "two.a.example.", 100);
    assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_OFF_CHAIN);
}

/* What the front of 2014 answered to every name. */
static void test_an_upward_referral_is_no_answer(void **state)
{
    (void)state;
    static const char *const owners[] = {"example.", ".", "a.example.", "b.example.",
                                         "sub.a.example."};
    for (unsigned aa = 0; aa < 2; aa++) {
        for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++) {
            begin(aa ? AA : 0, "www.a.example.", KNOT_RRTYPE_A);
            put_names(1, owners[i], KNOT_RRTYPE_NS, 300, "ns.tld.example.");
            assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_UPWARD_REFERRAL);
        }
    }
}

static void test_a_referral_to_below_is_an_answer(void **state)
{
    (void)state;
    begin(0, "www.sub.a.example.", KNOT_RRTYPE_A);
    put_names(1, "sub.a.example.", KNOT_RRTYPE_NS, 300, "ns.sub.a.example.");
    put_a(2, "ns.sub.a.example.", 200);
    assert_int_equal(judge("www.sub.a.example.", KNOT_RRTYPE_A), MESSAGE_ANSWER);
    assert_false(answer.authoritative);
    assert_int_equal(answer.expires_at, NOW + 200);
    assert_int_equal(answer.counts[2], 1);
}

static void test_denials_without_authority_are_no_answers(void **state)
{
    (void)state;
    begin(KNOT_RCODE_NXDOMAIN, "www.a.example.", KNOT_RRTYPE_A);
    put_soa("a.example.", 60, 60);
    assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_LAME);
    begin(0, "www.a.example.", KNOT_RRTYPE_A);
    assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_LAME);
}

static void test_failures_never_become_answers(void **state)
{
    (void)state;
    for (uint16_t rcode = 1; rcode < 16; rcode++) {
        if (rcode == KNOT_RCODE_NXDOMAIN || rcode == KNOT_RCODE_YXDOMAIN)
            continue;
        begin(AA | rcode, "www.a.example.", KNOT_RRTYPE_A);
        put_soa("a.example.", 60, 60);
        assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_FAILURE);
        assert_int_equal(answer.rcode, rcode);
    }
    begin(AA, "www.a.example.", KNOT_RRTYPE_A); /* BADVERS: 16, of which OPT has the 1 */
    put_record(2, ".", KNOT_RRTYPE_OPT, 1u << 24, "", 0);
    assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_FAILURE);
}

static void test_another_question_is_not_ours(void **state)
{
    (void)state;
    begin(AA, "xww.a.example.", KNOT_RRTYPE_A);
    assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_NOT_OURS);
    begin(AA, "www.a.example.", KNOT_RRTYPE_AAAA);
    assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_NOT_OURS);
    begin(AA, "www.a.example.", KNOT_RRTYPE_A);
    knot_wire_clear_qr(wire);
    assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_NOT_OURS);
    begin(AA | TC, "www.a.example.", KNOT_RRTYPE_A);
    assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_TRUNCATED);
}

static void test_options_of_the_answer_stay_and_those_between_servers_go(void **state)
{
    (void)state;
    static const uint8_t options[] = {0, 10, 0, 8, 1,  2, 3,   4,   5, 6, 7, 8, /* cookie */
                                      0, 15, 0, 4, 0,  3, 'o', 'k',             /* EDE */
                                      0, 3,  0, 1, 'n'};                        /* NSID */
    begin(AA, "www.a.example.", KNOT_RRTYPE_A);
    put_a(0, "www.a.example.", 300);
    put_opt(options, sizeof(options));
    assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_ANSWER);
    assert_int_equal(answer.edns_size, 8);
    assert_memory_equal(answer.edns, options + 12, 8);
    assert_int_equal(answer.counts[2], 0);

    static const uint8_t subnet[] = {0, 8, 0, 7, 0, 1, 24, 24, 192, 0, 2};
    begin(AA, "www.a.example.", KNOT_RRTYPE_A);
    put_a(0, "www.a.example.", 300);
    put_opt(subnet, sizeof(subnet));
    assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_ANSWER);
    assert_int_equal(answer.edns_size, sizeof(subnet));
    assert_int_equal(answer.expires_at, NOW);
}

/* Whatever a pointer of theirs leads to, none of ours leads elsewhere than to a name we wrote. */
static void test_compression_is_written_anew(void **state)
{
    (void)state;
    begin(AA, "www.a.example.", KNOT_RRTYPE_MX);
    knot_wire_set_ancount(wire, 1);
    static const uint8_t record[] = {0xc0, 12, 0, 15, 0, 1,   0,   0,   1,    44,
                                     0,    8,  0, 10, 3, 'm', 'x', '1', 0xc0, 16};
    put_octets(record, sizeof(record));
    put_soa("a.example.", 300, 60);
    assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_MX), MESSAGE_ANSWER);
    knot_pkt_t *packet = as_sent("www.a.example.", KNOT_RRTYPE_MX, NOW);
    const knot_rrset_t *mx = knot_pkt_rr(knot_pkt_section(packet, KNOT_ANSWER), 0);
    char text[KNOT_DNAME_TXT_MAXLEN + 1];
    assert_non_null(knot_dname_to_str(text, mx->rrs.rdata->data + 2, sizeof(text)));
    assert_string_equal(text, "mx1.a.example.");
    knot_pkt_free(packet);

    /* To itself, forward, beyond the end, and into the header. */
    const size_t pointer = KNOT_WIRE_HEADER_SIZE + 15 + 4;
    const uint16_t targets[] = {(uint16_t)pointer, (uint16_t)(pointer + 2), 0x3fff, 0, 11};
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        knot_wire_write_u16(wire + pointer, 0xc000 | targets[i]);
        assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_MX), MESSAGE_MALFORMED);
    }
}

static void test_cut_short_anywhere_it_is_malformed(void **state)
{
    (void)state;
    begin(AA, "www.a.example.", KNOT_RRTYPE_A);
    put_a(0, "www.a.example.", 300);
    put_soa("a.example.", 300, 60);
    put_opt("\0\17\0\2\0\3", 6);
    const size_t whole = wire_size;
    for (wire_size = 1; wire_size < whole; wire_size++)
        assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_MALFORMED);
    wire_size = whole + 1;
    assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_MALFORMED);
    wire_size = whole;
    assert_int_equal(judge("www.a.example.", KNOT_RRTYPE_A), MESSAGE_ANSWER);
}

static void test_every_verdict_has_its_words(void **state)
{
    (void)state;
    for (enum message_verdict verdict = MESSAGE_ANSWER; verdict <= MESSAGE_TOO_LARGE; verdict++)
        assert_non_null(message_verdict_text(verdict));
}

int main(void)
{
    message = cached_message_create();
    if (message == NULL)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_address_comes_through_with_its_ttl_running),
        cmocka_unit_test(test_denials_live_as_long_as_the_soa_says),
        cmocka_unit_test(test_nothing_is_fresh_for_ever),
        cmocka_unit_test(test_ns_of_the_zone_beside_aliases_refer_to_nobody),
        cmocka_unit_test(test_ttl_0_is_for_those_who_wait),
        cmocka_unit_test(test_aliases_are_followed_while_they_stay_in_the_zone),
        cmocka_unit_test(test_an_upward_referral_is_no_answer),
        cmocka_unit_test(test_a_referral_to_below_is_an_answer),
        cmocka_unit_test(test_denials_without_authority_are_no_answers),
        cmocka_unit_test(test_failures_never_become_answers),
        cmocka_unit_test(test_another_question_is_not_ours),
        cmocka_unit_test(test_options_of_the_answer_stay_and_those_between_servers_go),
        cmocka_unit_test(test_compression_is_written_anew),
        cmocka_unit_test(test_cut_short_anywhere_it_is_malformed),
        cmocka_unit_test(test_every_verdict_has_its_words),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    cached_message_free(message);
    return failed;
}
