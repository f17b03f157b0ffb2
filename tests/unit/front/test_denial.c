/* What is learned of a signed zone's denials, and what is answered from it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <libdnssec/error.h>
#include <libdnssec/key.h>
#include <libdnssec/sign.h>
#include <libknot/libknot.h>

#include "base/rcu.h"
#include "front/denial.h"

#define NOW INT64_C(1790000000)

/* Nobody's but this test's. */
static const char key_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MC4CAQAwBQYDK2VwBCIEIMGs5aMR/DqRkmnmYpwoDXAXE3yiQfB69UjiWToTzShe\n"
                              "-----END PRIVATE KEY-----\n";
static const char other_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                                "MC4CAQAwBQYDK2VwBCIEIKapf233HK1wfU0rOC819dPHjgweSAnBeSXrR6FtBVd2\n"
                                "-----END PRIVATE KEY-----\n";

static dnssec_key_t *key, *other_key;
static struct denial_store *store;
static struct denial_reader *reader;
static struct denial_answer made;
static struct name apex;
static uint64_t origin = 1;

/* ---- Signed messages ---- */

static uint8_t wire[UINT16_MAX];
static size_t wire_size;
static char asked_name[KNOT_DNAME_TXT_MAXLEN + 1];
static uint16_t asked_type;

/* How the next sets are signed; reset by begin(). */
static struct {
    const dnssec_key_t *key;
    const char *signer;
    int64_t from, until;
    int labels; /* -1: the owner's */
    bool is_damaged;
} how;

static void put(const void *octets, size_t size)
{
    memcpy(wire + wire_size, octets, size);
    wire_size += size;
}

static size_t dname(uint8_t *to, const char *text)
{
    assert_non_null(knot_dname_from_str(to, text, KNOT_DNAME_MAXLEN));
    return knot_dname_size(to);
}

static void begin(const char *name, uint16_t type, uint8_t rcode)
{
    how.key = key;
    how.signer = "c.example.";
    how.from = NOW - 1000;
    how.until = NOW + 100000;
    how.labels = -1;
    how.is_damaged = false;
    snprintf(asked_name, sizeof(asked_name), "%s", name);
    asked_type = type;
    memset(wire, 0, KNOT_WIRE_HEADER_SIZE);
    knot_wire_set_qr(wire);
    knot_wire_set_aa(wire);
    knot_wire_set_rcode(wire, rcode);
    knot_wire_set_qdcount(wire, 1);
    wire_size = KNOT_WIRE_HEADER_SIZE;
    wire_size += dname(wire + wire_size, name);
    uint8_t rest[4];
    knot_wire_write_u16(rest, type);
    knot_wire_write_u16(rest + 2, KNOT_CLASS_IN);
    put(rest, sizeof(rest));
}

static void put_record(unsigned section, const char *owner, uint16_t type, uint32_t ttl_s,
                       const uint8_t *rdata, size_t size)
{
    knot_wire_write_u16(wire + 6 + 2 * section,
                        (uint16_t)(knot_wire_read_u16(wire + 6 + 2 * section) + 1));
    wire_size += dname(wire + wire_size, owner);
    uint8_t head[10];
    knot_wire_write_u16(head, type);
    knot_wire_write_u16(head + 2, KNOT_CLASS_IN);
    knot_wire_write_u32(head + 4, ttl_s);
    knot_wire_write_u16(head + 8, (uint16_t)size);
    put(head, sizeof(head));
    put(rdata, size);
}

static void sign_piece(dnssec_sign_ctx_t *context, const void *octets, size_t size)
{
    const dnssec_binary_t binary = {.data = (uint8_t *)(uintptr_t)octets, .size = size};
    assert_int_equal(dnssec_sign_add(context, &binary), DNSSEC_EOK);
}

/* A set of one record with its signature; `signed_owner` is what was signed: a wildcard, or the
 * same. Names are given in lower case. */
static void put_signed(unsigned section, const char *owner, const char *signed_owner, uint16_t type,
                       uint32_t ttl_s, const uint8_t *rdata, size_t size)
{
    uint8_t rrsig[512], name[KNOT_DNAME_MAXLEN], head[10];
    const size_t name_size = dname(name, signed_owner);
    const bool is_asterisk = name[0] == 1 && name[1] == '*';
    const size_t labels = knot_dname_labels(name, NULL) - is_asterisk;
    knot_wire_write_u16(rrsig, type);
    rrsig[2] = dnssec_key_get_algorithm(how.key);
    rrsig[3] = (uint8_t)(how.labels >= 0 ? (size_t)how.labels : labels);
    knot_wire_write_u32(rrsig + 4, ttl_s);
    knot_wire_write_u32(rrsig + 8, (uint32_t)how.until);
    knot_wire_write_u32(rrsig + 12, (uint32_t)how.from);
    knot_wire_write_u16(rrsig + 16, dnssec_key_get_keytag(how.key));
    size_t rrsig_size = 18 + dname(rrsig + 18, how.signer);
    knot_wire_write_u16(head, type);
    knot_wire_write_u16(head + 2, KNOT_CLASS_IN);
    knot_wire_write_u32(head + 4, ttl_s);
    knot_wire_write_u16(head + 8, (uint16_t)size);

    dnssec_sign_ctx_t *context;
    dnssec_binary_t signature;
    assert_int_equal(dnssec_sign_new(&context, how.key), DNSSEC_EOK);
    sign_piece(context, rrsig, rrsig_size);
    sign_piece(context, name, name_size);
    sign_piece(context, head, sizeof(head));
    sign_piece(context, rdata, size);
    assert_int_equal(dnssec_sign_write(context, DNSSEC_SIGN_NORMAL, &signature), DNSSEC_EOK);
    memcpy(rrsig + rrsig_size, signature.data, signature.size);
    rrsig[rrsig_size] ^= how.is_damaged;
    rrsig_size += signature.size;
    dnssec_binary_free(&signature);
    dnssec_sign_free(context);
    put_record(section, owner, type, ttl_s, rdata, size);
    put_record(section, owner, KNOT_RRTYPE_RRSIG, ttl_s, rrsig, rrsig_size);
}

static void put_soa(uint32_t serial, uint32_t ttl_s, uint32_t minimum_s)
{
    uint8_t rdata[128];
    size_t size = dname(rdata, "ns.c.example.");
    size += dname(rdata + size, "host.c.example.");
    const uint32_t numbers[] = {serial, 3600, 600, 86400, minimum_s};
    for (unsigned i = 0; i < 5; i++, size += 4)
        knot_wire_write_u32(rdata + size, numbers[i]);
    put_signed(1, "c.example.", "c.example.", KNOT_RRTYPE_SOA, ttl_s, rdata, size);
}

/* A bitmap with types below 256; 0 ends them. */
static size_t bitmap(uint8_t *to, const uint16_t *types)
{
    memset(to, 0, 34);
    to[1] = 32;
    for (; *types != 0; types++)
        to[2 + *types / 8] |= (uint8_t)(0x80 >> *types % 8);
    return 34;
}

static void put_nsec(const char *owner, const char *next, const uint16_t *types)
{
    uint8_t rdata[512];
    size_t size = dname(rdata, next);
    size += bitmap(rdata + size, types);
    put_signed(1, owner, owner, KNOT_RRTYPE_NSEC, 3600, rdata, size);
}

static bool take(void)
{
    uint8_t octets[KNOT_DNAME_MAXLEN];
    struct name name;
    (void)dname(octets, asked_name);
    assert_true(name_parse(&name, octets, sizeof(octets)) > 0);
    const struct cache_key question = {.name = &name, .type = asked_type};
    const struct denial_zone_option zone = {.apex = &apex, .origin = origin};
    const bool wants_keys = denial_learn(store, reader, &zone, &question, NOW, wire, wire_size);
    rcu_quiescent_state();
    return wants_keys;
}

static void take_keys(const dnssec_key_t *signer)
{
    dnssec_binary_t rdata;
    begin("c.example.", KNOT_RRTYPE_DNSKEY, 0);
    how.key = signer;
    assert_int_equal(dnssec_key_get_rdata(key, &rdata), DNSSEC_EOK);
    put_signed(0, "c.example.", "c.example.", KNOT_RRTYPE_DNSKEY, 3600, rdata.data, rdata.size);
    assert_false(take());
}

static const uint16_t a_only[] = {1, 46, 47, 0}, delegation[] = {2, 46, 47, 0},
                      dname_only[] = {39, 46, 47, 0}, alias_only[] = {5, 46, 47, 0},
                      apex_types[] = {2, 6, 46, 47, 48, 0};

/* ---- Answers ---- */

enum { NOTHING = -1, NODATA = 0, NXDOMAIN = 3, WILDCARD = 100 };

static int answer_at(const char *text, uint16_t type, int64_t now, bool do_bit)
{
    uint8_t octets[KNOT_DNAME_MAXLEN];
    struct name name;
    (void)dname(octets, text);
    assert_true(name_parse(&name, octets, sizeof(octets)) > 0);
    const struct cache_key question = {.name = &name, .type = type, .dnssec_ok = do_bit};
    if (!denial_store_answer(store, &apex, &question, now, &made))
        return NOTHING;
    assert_true(made.answer.authoritative);
    return made.answer.counts[0] > 0 ? WILDCARD : made.answer.rcode;
}

static int answer(const char *text, uint16_t type)
{
    return answer_at(text, type, NOW, true);
}

static struct denial_counters counters(void)
{
    struct denial_counters now;
    denial_store_counters(store, &now);
    return now;
}

/* Begins a message of the usual zone: c, then m with an address, then back to the apex. */
static void begin_usual(void)
{
    begin("x.c.example.", 1, KNOT_RCODE_NXDOMAIN);
    put_soa(7, 3600, 300);
    put_nsec("c.example.", "m.c.example.", apex_types);
    put_nsec("m.c.example.", "c.example.", a_only);
}

/* ---- Tests ---- */

static int set_up(void **test)
{
    (void)test;
    assert_int_equal(denial_store_create(DENIAL_OCTETS_MIN, &store), 0);
    reader = denial_reader_create();
    assert_non_null(reader);
    const struct denial_zone_option zone = {.apex = &apex, .origin = origin};
    assert_int_equal(denial_store_configure(store, &zone, 1), 0);
    return 0;
}

static int set_up_with_keys(void **test)
{
    set_up(test);
    take_keys(key);
    return 0;
}

static int tear_down(void **test)
{
    (void)test;
    denial_reader_free(reader);
    denial_store_free(store);
    return 0;
}

static void test_keys_are_asked_for_once_in_a_while(void **test)
{
    (void)test;
    begin_usual();
    assert_true(take());
    assert_false(take());
    assert_int_equal(counters().records, 0);
    take_keys(other_key); /* not self-signed: not one of the set */
    begin_usual();
    assert_false(take());
    assert_int_equal(counters().records, 0);
    take_keys(key);
    begin_usual();
    assert_false(take());
    assert_int_equal(counters().records, 2);
}

static void test_a_span_denies_what_is_in_it(void **test)
{
    (void)test;
    begin_usual();
    (void)take();
    assert_int_equal(answer("a.c.example.", 1), NXDOMAIN);
    assert_int_equal(made.answer.counts[1], 4); /* SOA and one NSEC, signed */
    assert_int_equal(answer("zz.a.c.example.", 16), NXDOMAIN);
    assert_int_equal(answer("q.c.example.", 1), NXDOMAIN);
    assert_int_equal(made.answer.counts[1], 6); /* and the wildcard's */
    assert_int_equal(answer("q.m.c.example.", 1), NXDOMAIN);
    assert_int_equal(answer("m.c.example.", 28), NODATA);
    assert_int_equal(answer("m.c.example.", 1), NOTHING);
    assert_int_equal(answer("m.c.example.", 255), NOTHING);
    assert_int_equal(answer("m.c.example.", 46), NOTHING);
    assert_int_equal(answer("c.example.", 28), NOTHING);
    assert_int_equal(answer_at("a.c.example.", 1, NOW, false), NXDOMAIN);
    assert_int_equal(made.answer.counts[1], 1); /* the SOA alone */
    const struct denial_counters now = counters();
    assert_int_equal(now.nxdomain, 5);
    assert_int_equal(now.nodata, 1);
}

static void test_what_is_not_signed_by_the_zone_is_not_believed(void **test)
{
    (void)test;
    for (unsigned fault = 0; fault < 6; fault++) {
        begin_usual();
        (void)take(); /* the SOA is known, and the apex's */
        denial_store_purge(store, &apex, true);
        begin("x.c.example.", 1, KNOT_RCODE_NXDOMAIN);
        put_soa(7, 3600, 300);
        how.is_damaged = fault == 0;
        how.key = fault == 1 ? other_key : key;
        how.until = fault == 2 ? NOW : how.until;
        how.from = fault == 3 ? NOW + 1 : how.from;
        how.signer = fault == 4 ? "example." : how.signer;
        how.labels = fault == 5 ? 2 : how.labels;
        put_nsec("m.c.example.", "c.example.", a_only);
        (void)take();
        assert_int_equal(counters().records, 0);
    }
}

static void test_a_span_of_a_wildcards_making_is_not_believed(void **test)
{
    (void)test;
    uint8_t rdata[512];
    size_t size = dname(rdata, "c.example.");
    size += bitmap(rdata + size, a_only);
    begin("x.c.example.", 1, KNOT_RCODE_NXDOMAIN);
    put_soa(7, 3600, 300);
    /* Signed rightly for "*.c.example", which anybody may have seen. */
    put_signed(1, "b.c.example.", "*.c.example.", KNOT_RRTYPE_NSEC, 3600, rdata, size);
    (void)take();
    assert_int_equal(counters().records, 0);
    assert_int_equal(counters().bogus, 0);
}

static void test_nothing_below_a_cut_or_a_dname_is_denied(void **test)
{
    (void)test;
    begin("x.c.example.", 1, KNOT_RCODE_NXDOMAIN);
    put_soa(7, 3600, 300);
    put_nsec("c.example.", "cut.c.example.", apex_types);
    put_nsec("cut.c.example.", "dn.c.example.", delegation);
    put_nsec("dn.c.example.", "to.c.example.", dname_only);
    put_nsec("to.c.example.", "c.example.", alias_only);
    (void)take();
    assert_int_equal(answer("cut.c.example.", 1), NOTHING);
    assert_int_equal(answer("cut.c.example.", 43), NODATA);
    assert_int_equal(answer("www.cut.c.example.", 1), NOTHING);
    assert_int_equal(answer("www.cut.c.example.", 43), NOTHING);
    assert_int_equal(answer("cuu.c.example.", 1), NXDOMAIN);
    assert_int_equal(answer("x.dn.c.example.", 1), NOTHING);
    assert_int_equal(answer("dn.c.example.", 1), NODATA);
    assert_int_equal(answer("to.c.example.", 1), NOTHING);
    assert_int_equal(answer("x.to.c.example.", 1), NXDOMAIN);
}

static void test_names_between_names_exist(void **test)
{
    (void)test;
    begin("x.c.example.", 1, KNOT_RCODE_NXDOMAIN);
    put_soa(7, 3600, 300);
    put_nsec("c.example.", "a.b.c.example.", apex_types);
    put_nsec("a.b.c.example.", "a.*.w.c.example.", a_only);
    put_nsec("a.*.w.c.example.", "c.example.", a_only);
    (void)take();
    assert_int_equal(answer("b.c.example.", 1), NODATA);
    assert_int_equal(answer("0.b.c.example.", 1), NXDOMAIN);
    assert_int_equal(answer("w.c.example.", 1), NODATA);
    /* Its wildcard exists without records: servers prove that in different ways. */
    assert_int_equal(answer("q.w.c.example.", 1), NOTHING);
}

static void test_a_wildcard_answers_and_lacks_types(void **test)
{
    (void)test;
    static const uint8_t address[] = {192, 0, 2, 1};
    begin_usual();
    put_nsec("*.n.c.example.", "z.c.example.", a_only);
    (void)take();
    assert_int_equal(answer("q.n.c.example.", 28), NODATA);
    assert_int_equal(answer("q.n.c.example.", 1), NOTHING);
    begin("p.n.c.example.", 1, 0);
    put_signed(0, "p.n.c.example.", "*.n.c.example.", 1, 600, address, sizeof(address));
    put_nsec("*.n.c.example.", "z.c.example.", a_only);
    (void)take();
    assert_int_equal(answer("q.r.n.c.example.", 1), WILDCARD);
    assert_int_equal(made.answer.counts[0], 2);
    assert_int_equal(made.answer.counts[1], 2);
    assert_int_equal(answer_at("q.r.n.c.example.", 1, NOW, false), WILDCARD);
    assert_int_equal(made.answer.counts[0], 1);
    assert_int_equal(made.answer.counts[1], 0);
    assert_int_equal(answer("q.c.example.", 1), NXDOMAIN);
}

static uint32_t ttl_of_soa(void)
{
    /* Behind an owner that is a pointer. */
    return knot_wire_read_u32(made.answer.body + 2 + 4);
}

static void test_no_denial_lives_longer_than_the_soa_says(void **test)
{
    (void)test;
    begin_usual(); /* NSEC with 3600 seconds, minimum 300 */
    (void)take();
    assert_int_equal(answer_at("a.c.example.", 1, NOW + 299, true), NXDOMAIN);
    assert_int_equal(ttl_of_soa(), 1);
    assert_int_equal(answer_at("a.c.example.", 1, NOW + 300, true), NOTHING);
    denial_store_purge(store, &apex, false);
    begin("x.c.example.", 1, KNOT_RCODE_NXDOMAIN);
    how.until = NOW + 50;
    put_soa(7, 3600, 300);
    put_nsec("c.example.", "c.example.", apex_types);
    (void)take();
    assert_int_equal(answer_at("a.c.example.", 1, NOW + 49, true), NXDOMAIN);
    assert_int_equal(answer_at("a.c.example.", 1, NOW + 50, true), NOTHING);
}

static void test_an_older_serial_is_left_and_a_newer_one_begins_anew(void **test)
{
    (void)test;
    begin_usual();
    (void)take();
    begin("x.c.example.", 1, KNOT_RCODE_NXDOMAIN);
    put_soa(6, 3600, 300);
    put_nsec("m.c.example.", "z.c.example.", a_only);
    (void)take();
    assert_int_equal(counters().records, 2);
    assert_int_equal(answer("zz.c.example.", 1), NXDOMAIN);
    begin("x.c.example.", 1, KNOT_RCODE_NXDOMAIN);
    put_soa(8, 3600, 300);
    put_nsec("m.c.example.", "z.c.example.", a_only);
    (void)take();
    assert_int_equal(counters().records, 1);
    assert_int_equal(answer("zz.c.example.", 1), NOTHING);
}

static void test_white_lies_are_useless(void **test)
{
    (void)test;
    begin("x.c.example.", 1, 0);
    put_soa(7, 3600, 300);
    put_nsec("x.c.example.", "\\000.x.c.example.", a_only);
    put_nsec("w~.c.example.", "x\\000.c.example.", a_only);
    (void)take();
    assert_int_equal(counters().records, 0);
    assert_int_equal(counters().useless, 2);
    /* A name that is spelled so is another matter. */
    begin("a.c.example.", 1, 0);
    put_soa(7, 3600, 300);
    put_nsec("www.c.example.", "\\000.zero.c.example.", a_only);
    (void)take();
    assert_int_equal(counters().records, 1);
}

static void put_nsec3(const char *label, uint8_t flags, uint16_t iterations, uint8_t first_octet)
{
    uint8_t rdata[128] = {1, flags, 0, 0, 0, 20};
    char owner[128];
    knot_wire_write_u16(rdata + 2, iterations);
    memset(rdata + 6, first_octet, 20);
    snprintf(owner, sizeof(owner), "%s.c.example.", label);
    const size_t size = 26 + bitmap(rdata + 26, a_only);
    put_signed(1, owner, owner, KNOT_RRTYPE_NSEC3, 3600, rdata, size);
}

static void test_opt_out_and_costly_hashes_are_useless(void **test)
{
    (void)test;
    static const char label[] = "00000000000000000000000000000000";
    begin("x.c.example.", 1, KNOT_RCODE_NXDOMAIN);
    put_soa(7, 3600, 300);
    put_nsec3(label, 1, 0, 255);
    (void)take();
    begin("x.c.example.", 1, KNOT_RCODE_NXDOMAIN);
    put_soa(7, 3600, 300);
    put_nsec3(label, 0, 51, 255);
    (void)take();
    assert_int_equal(counters().records, 0);
    assert_int_equal(counters().useless, 2);
    begin("x.c.example.", 1, KNOT_RCODE_NXDOMAIN);
    put_soa(7, 3600, 300);
    put_nsec3(label, 0, 50, 255);
    (void)take();
    assert_int_equal(counters().records, 1);
    /* Too much to hash for each question, and no closest encloser. */
    assert_int_equal(answer("a.b.c.d.e.f.c.example.", 1), NOTHING);
}

static void test_another_origins_words_do_not_count(void **test)
{
    (void)test;
    begin_usual();
    origin = 2;
    (void)take();
    assert_int_equal(counters().records, 0);
    const struct denial_zone_option zone = {.apex = &apex, .origin = 1};
    origin = 1;
    begin_usual();
    (void)take();
    assert_int_equal(denial_store_configure(store, &zone, 1), 0);
    assert_int_equal(answer("a.c.example.", 1), NXDOMAIN);
    const struct denial_zone_option moved = {.apex = &apex, .origin = 2};
    assert_int_equal(denial_store_configure(store, &moved, 1), 0);
    assert_int_equal(counters().records, 0);
    assert_int_equal(counters().octets, 0);
    assert_int_equal(answer("a.c.example.", 1), NOTHING);
    assert_int_equal(denial_store_configure(store, NULL, 0), 0);
    assert_false(denial_wants_dnssec(store, &apex, 1));
}

static void test_room_and_verifying_are_bounded(void **test)
{
    (void)test;
    for (unsigned i = 0; i < 600; i++) {
        char owner[64], next[64];
        snprintf(owner, sizeof(owner), "n%04u.c.example.", i);
        snprintf(next, sizeof(next), "n%04u.c.example.", i + 1);
        begin("x.c.example.", 1, KNOT_RCODE_NXDOMAIN);
        put_soa(7, 3600, 300);
        put_nsec(owner, next, a_only);
        (void)take();
        assert_true(counters().octets <= DENIAL_OCTETS_MIN + 1024); /* the SOA is extra */
    }
    const struct denial_counters now = counters();
    assert_true(now.evicted > 0);
    assert_true(now.over_bound > 0);
    assert_int_equal(now.verified, 500);
    assert_int_equal(now.records + now.evicted, 498); /* less the keys and the SOA */
}

static dnssec_key_t *load_key(const char *pem)
{
    dnssec_key_t *loaded;
    const dnssec_binary_t binary = {.data = (uint8_t *)(uintptr_t)pem, .size = strlen(pem)};
    assert_int_equal(dnssec_key_new(&loaded), DNSSEC_EOK);
    uint8_t owner[KNOT_DNAME_MAXLEN];
    (void)dname(owner, "c.example.");
    assert_int_equal(dnssec_key_set_dname(loaded, owner), DNSSEC_EOK);
    dnssec_key_set_flags(loaded, 257);
    dnssec_key_set_algorithm(loaded, DNSSEC_KEY_ALGORITHM_ED25519);
    assert_int_equal(dnssec_key_load_pkcs8(loaded, &binary), DNSSEC_EOK);
    return loaded;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_keys_are_asked_for_once_in_a_while, set_up, tear_down),
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_with_keys, tear_down)
        TEST(test_a_span_denies_what_is_in_it),
        TEST(test_what_is_not_signed_by_the_zone_is_not_believed),
        TEST(test_a_span_of_a_wildcards_making_is_not_believed),
        TEST(test_nothing_below_a_cut_or_a_dname_is_denied),
        TEST(test_names_between_names_exist),
        TEST(test_a_wildcard_answers_and_lacks_types),
        TEST(test_no_denial_lives_longer_than_the_soa_says),
        TEST(test_an_older_serial_is_left_and_a_newer_one_begins_anew),
        TEST(test_white_lies_are_useless),
        TEST(test_opt_out_and_costly_hashes_are_useless),
        TEST(test_another_origins_words_do_not_count),
        TEST(test_room_and_verifying_are_bounded),
    };
    uint8_t octets[KNOT_DNAME_MAXLEN];
    (void)dname(octets, "c.example.");
    (void)name_parse(&apex, octets, sizeof(octets));
    key = load_key(key_pem);
    other_key = load_key(other_pem);
    rcu_register_thread();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_unregister_thread();
    dnssec_key_free(key);
    dnssec_key_free(other_key);
    return failed;
}
