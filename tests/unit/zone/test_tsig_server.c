/* The server's side of TSIG, against libknot as the client: what is good, what is cut, and how each
 * fault is told (RFC 8945, 5.2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libknot/libknot.h>
#include <string.h>
#include <time.h>

#include "zone/tsig_server.h"

#define SECRET "bm90LWEtcmVhbC1zZWNyZXQ="

static const struct transfer_key keys[] = {
    {"one.example", "hmac-sha256", SECRET},
    {"two.example", "hmac-sha512", SECRET},
    {"old.example", "hmac-sha1", SECRET},
};

static const uint8_t question[] = "\x12\x34\0\0\0\1\0\0\0\0\0\0\1a\7example\0\0\6\0\1";

struct request {
    uint8_t wire[1024];
    size_t size, tsig_at;
    knot_tsig_key_t key;
    uint8_t mac[64];
    size_t mac_size;
};

static struct tsig_keyring *keyring;

static int set_up(void **state)
{
    (void)state;
    struct error error;
    return tsig_keyring_create(keys, sizeof(keys) / sizeof(keys[0]), &keyring, &error);
}

static int tear_down(void **state)
{
    (void)state;
    tsig_keyring_free(keyring);
    return 0;
}

static void make_request(struct request *request, const struct transfer_key *key)
{
    *request = (struct request){.size = sizeof(question) - 1, .tsig_at = sizeof(question) - 1};
    memcpy(request->wire, question, request->size);
    assert_int_equal(knot_tsig_key_init(&request->key, key->algorithm, key->name, key->secret), 0);
    request->mac_size = sizeof(request->mac);
    assert_int_equal(knot_tsig_sign(request->wire, &request->size, sizeof(request->wire), NULL, 0,
                                    request->mac, &request->mac_size, &request->key, 0, 0),
                     0);
}

/* Where the MAC's length stands. */
static uint8_t *mac_size_at(struct request *request)
{
    uint8_t *at = request->wire + request->tsig_at;
    at += knot_dname_size(at) + 10;
    return at + knot_dname_size(at) + 8;
}

/* Cuts the MAC as a client may that wants a shorter message. */
static void cut_mac(struct request *request, size_t size)
{
    uint8_t *at = mac_size_at(request);
    const size_t cut = request->mac_size - size;
    uint8_t *end = request->wire + request->size;
    memmove(at + 2 + size, at + 2 + request->mac_size,
            (size_t)(end - (at + 2 + request->mac_size)));
    knot_wire_write_u16(at, (uint16_t)size);
    uint8_t *rdata_size = request->wire + request->tsig_at;
    rdata_size += knot_dname_size(rdata_size) + 8;
    knot_wire_write_u16(rdata_size, (uint16_t)(knot_wire_read_u16(rdata_size) - cut));
    request->size -= cut;
    request->mac_size = size;
}

static uint8_t check(struct request *request, int64_t now, struct tsig_server *server)
{
    return tsig_server_check(keyring, request->wire, request->size, request->tsig_at, now, server);
}

/* Signs an answer and has libknot check it; returns what libknot says. */
static int check_answer(struct request *request, struct tsig_server *server, int64_t now,
                        uint16_t *ret_error)
{
    uint8_t wire[1024];
    size_t size = sizeof(question) - 1;
    memcpy(wire, question, size);
    knot_wire_set_qr(wire);
    const size_t wanted = size + tsig_server_size(server);
    assert_int_equal(tsig_server_sign(server, wire, &size, sizeof(wire), now), 0);
    assert_int_equal(size, wanted);
    knot_pkt_t *packet = knot_pkt_new(wire, (uint16_t)size, NULL);
    assert_int_equal(knot_pkt_parse(packet, 0), 0);
    assert_non_null(packet->tsig_rr);
    *ret_error = knot_tsig_rdata_error(packet->tsig_rr);
    int rc = knot_tsig_client_check(packet->tsig_rr, packet->wire, packet->size, request->mac,
                                    request->mac_size, &request->key, 0);
    knot_pkt_free(packet);
    return rc;
}

static void test_a_signed_request_and_its_answer_are_good_with_every_algorithm(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct request request;
        struct tsig_server server;
        uint16_t error;
        make_request(&request, &keys[i]);
        assert_int_equal(check(&request, time(NULL), &server), KNOT_RCODE_NOERROR);
        assert_string_equal(server.key_name, keys[i].name);
        assert_int_equal(check_answer(&request, &server, time(NULL), &error), 0);
        knot_tsig_key_deinit(&request.key);
    }
}

static void test_a_mac_may_be_cut_to_half_and_ten_octets_and_no_further(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        unsigned key;
        uint8_t rcode;
    } cases[] = {
        {31, 0, KNOT_RCODE_NOERROR}, {16, 0, KNOT_RCODE_NOERROR}, {15, 0, KNOT_RCODE_FORMERR},
        {32, 1, KNOT_RCODE_NOERROR}, {31, 1, KNOT_RCODE_FORMERR}, {10, 2, KNOT_RCODE_NOERROR},
        {9, 2, KNOT_RCODE_FORMERR},  {0, 0, KNOT_RCODE_FORMERR},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct request request;
        struct tsig_server server;
        uint16_t error;
        make_request(&request, &keys[cases[i].key]);
        cut_mac(&request, cases[i].size);
        assert_int_equal(check(&request, time(NULL), &server), cases[i].rcode);
        if (cases[i].rcode == KNOT_RCODE_NOERROR) /* whose digest begins with the MAC as it came */
            assert_int_equal(check_answer(&request, &server, time(NULL), &error), 0);
        knot_tsig_key_deinit(&request.key);
    }
}

static void test_a_cut_mac_with_a_wrong_octet_is_badsig(void **state)
{
    (void)state;
    struct request request;
    struct tsig_server server;
    make_request(&request, &keys[0]);
    cut_mac(&request, 16);
    mac_size_at(&request)[2 + 15] ^= 1;
    assert_int_equal(check(&request, time(NULL), &server), KNOT_RCODE_NOTAUTH);
    assert_int_equal(server.error, TSIG_BADSIG);
    assert_null(server.key_name);
    knot_tsig_key_deinit(&request.key);
}

static void test_every_octet_of_a_message_is_covered(void **state)
{
    (void)state;
    struct request request;
    make_request(&request, &keys[0]);
    for (size_t i = 0; i < request.size; i++) {
        struct tsig_server server;
        request.wire[i] ^= 0x80;
        /* The identifier alone may change on the way (RFC 8945, 5.2): the original one is signed.
         */
        assert_int_equal(check(&request, time(NULL), &server) == KNOT_RCODE_NOERROR, i < 2);
        request.wire[i] ^= 0x80;
    }
    knot_tsig_key_deinit(&request.key);
}

static void test_badtime_is_signed_and_says_our_time(void **state)
{
    (void)state;
    static const int64_t offsets[] = {-301, 301, -300, 300};
    for (size_t i = 0; i < 4; i++) {
        struct request request;
        struct tsig_server server;
        uint16_t error;
        make_request(&request, &keys[0]);
        uint8_t *mac_at = mac_size_at(&request);
        const int64_t now = (int64_t)tsig_read_u48(mac_at - 8) + offsets[i];
        const bool is_late = i < 2;
        assert_int_equal(check(&request, now, &server),
                         is_late ? KNOT_RCODE_NOTAUTH : KNOT_RCODE_NOERROR);
        assert_int_equal(server.error, is_late ? TSIG_BADTIME : 0);
        if (is_late) {
            assert_null(server.key_name);
            (void)check_answer(&request, &server, now, &error);
            assert_int_equal(error, TSIG_BADTIME);
        }
        knot_tsig_key_deinit(&request.key);
    }
}

static void test_an_unknown_key_or_algorithm_is_badkey_and_answered_without_a_mac(void **state)
{
    (void)state;
    static const struct transfer_key unknown[] = {{"other.example", "hmac-sha256", SECRET},
                                                  {"one.example", "hmac-sha384", SECRET}};
    for (size_t i = 0; i < 2; i++) {
        struct request request;
        struct tsig_server server;
        make_request(&request, &unknown[i]);
        assert_int_equal(check(&request, time(NULL), &server), KNOT_RCODE_NOTAUTH);
        assert_int_equal(server.error, TSIG_BADKEY);
        uint8_t wire[1024];
        size_t size = sizeof(question) - 1;
        memcpy(wire, question, size);
        assert_int_equal(tsig_server_sign(&server, wire, &size, sizeof(wire), time(NULL)), 0);
        knot_pkt_t *packet = knot_pkt_new(wire, (uint16_t)size, NULL);
        assert_int_equal(knot_pkt_parse(packet, 0), 0);
        assert_int_equal(knot_tsig_rdata_error(packet->tsig_rr), TSIG_BADKEY);
        assert_int_equal(knot_tsig_rdata_mac_length(packet->tsig_rr), 0);
        knot_pkt_free(packet);
        knot_tsig_key_deinit(&request.key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_signed_request_and_its_answer_are_good_with_every_algorithm),
        cmocka_unit_test(test_a_mac_may_be_cut_to_half_and_ten_octets_and_no_further),
        cmocka_unit_test(test_a_cut_mac_with_a_wrong_octet_is_badsig),
        cmocka_unit_test(test_every_octet_of_a_message_is_covered),
        cmocka_unit_test(test_badtime_is_signed_and_says_our_time),
        cmocka_unit_test(test_an_unknown_key_or_algorithm_is_badkey_and_answered_without_a_mac),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
