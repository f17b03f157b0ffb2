/* Random responses: what is written compressed is read back by libknot as it was put; what does not
 * fit leaves no trace. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <libknot/libknot.h>

#include "dns/response.h"

#define ROUNDS      3000
#define RECORDS_MAX 60
#define DATA_MAX    2048

/* What was put, uncompressed. */
struct put {
    enum section section;
    uint8_t owner[NAME_SIZE_MAX];
    uint16_t type, rr_count;
    uint8_t data[DATA_MAX];
    size_t data_size;
};

/* Names from few labels, so that suffixes repeat; letter case varies. */
static size_t random_name(uint8_t *ret_wire)
{
    static const char *const labels[] = {"a",   "B",    "example", "EXAMPLE",
                                         "www", "mail", "x-y",     "long-label-of-some-length",
                                         "*",   "net"};
    size_t size = 0;
    for (int count = rand() % 7; count > 0; count--) {
        const char *label = labels[(size_t)rand() % (sizeof(labels) / sizeof(labels[0]))];
        size_t length = strlen(label);
        ret_wire[size++] = (uint8_t)length;
        memcpy(ret_wire + size, label, length);
        size += length;
    }
    ret_wire[size++] = 0;
    return size;
}

/* One rdata of the type, with names where it has them. */
static size_t random_rdata(uint16_t type, uint8_t *ret_rdata)
{
    size_t size = 0;
    switch (type) {
    case KNOT_RRTYPE_NS:
    case KNOT_RRTYPE_CNAME:
    case KNOT_RRTYPE_PTR:
    case KNOT_RRTYPE_DNAME:
        return random_name(ret_rdata);
    case KNOT_RRTYPE_MX:
        size = 2;
        break;
    case KNOT_RRTYPE_SRV:
        size = 6;
        break;
    case KNOT_RRTYPE_SOA:
        size = random_name(ret_rdata);
        size += random_name(ret_rdata + size);
        memset(ret_rdata + size, 7, 20);
        return size + 20;
    case KNOT_RRTYPE_A:
        memset(ret_rdata, rand(), 4);
        return 4;
    default: /* TXT */
        size = 1 + (size_t)(rand() % 200);
        memset(ret_rdata, 'x', size);
        ret_rdata[0] = (uint8_t)(size - 1);
        return size;
    }
    memset(ret_rdata, rand(), size);
    return size + random_name(ret_rdata + size);
}

static void random_put(struct put *put)
{
    static const uint16_t types[] = {KNOT_RRTYPE_NS,  KNOT_RRTYPE_CNAME, KNOT_RRTYPE_PTR,
                                     KNOT_RRTYPE_MX,  KNOT_RRTYPE_SRV,   KNOT_RRTYPE_SOA,
                                     KNOT_RRTYPE_TXT, KNOT_RRTYPE_DNAME, KNOT_RRTYPE_A};
    random_name(put->owner);
    put->type = types[(size_t)rand() % (sizeof(types) / sizeof(types[0]))];
    put->rr_count = (uint16_t)(1 + rand() % 3);
    put->data_size = 0;
    for (unsigned i = 0; i < put->rr_count; i++) {
        size_t size = random_rdata(put->type, put->data + put->data_size + 2);
        knot_wire_write_u16(put->data + put->data_size, (uint16_t)size);
        put->data_size += 2 + size;
    }
    assert_true(put->data_size <= DATA_MAX);
}

static void assert_record(const knot_rrset_t *read, const struct put *put, const uint8_t *rdata)
{
    uint8_t lower[2][DATA_MAX];
    uint16_t size = knot_wire_read_u16(rdata);

    assert_int_equal(read->type, put->type);
    assert_int_equal(read->ttl, 300);
    knot_dname_copy_lower(lower[0], put->owner);
    knot_dname_copy_lower(lower[1], read->owner);
    assert_true(knot_dname_is_equal(lower[0], lower[1]));
    assert_int_equal(read->rrs.count, 1);
    assert_int_equal(read->rrs.rdata->len, size);
    /* Letter case inside compressed names is that of the first one written. */
    name_fold(lower[0], rdata + 2, size);
    name_fold(lower[1], read->rrs.rdata->data, size);
    assert_memory_equal(lower[0], lower[1], size);
}

static void assert_message(uint8_t *wire, const struct response *response, const struct put *puts,
                           size_t put_count)
{
    knot_wire_set_ancount(wire, response->counts[SECTION_ANSWER]);
    knot_wire_set_nscount(wire, response->counts[SECTION_AUTHORITY]);
    knot_wire_set_arcount(wire, response->counts[SECTION_ADDITIONAL]);
    knot_pkt_t *packet = knot_pkt_new(wire, (uint16_t)response->size, NULL);
    assert_non_null(packet);
    assert_int_equal(knot_pkt_parse(packet, KNOT_PF_NOCANON), KNOT_EOK);
    assert_int_equal(packet->parsed, response->size);

    size_t record = 0;
    for (size_t i = 0; i < put_count; i++) {
        const uint8_t *at = puts[i].data;
        for (unsigned k = 0; k < puts[i].rr_count; k++) {
            assert_true(record < packet->rrset_count);
            assert_record(&packet->rr[record++], &puts[i], at);
            at += 2 + knot_wire_read_u16(at);
        }
    }
    assert_int_equal(record, packet->rrset_count);
    knot_pkt_free(packet);
}

static size_t write_question(uint8_t *wire, struct name *ret_name)
{
    memset(wire, 0, 12);
    wire[2] = 0x80;
    knot_wire_set_qdcount(wire, 1);
    size_t size = random_name(wire + 12);
    assert_int_equal(name_parse(ret_name, wire + 12, size), size);
    memcpy(wire + 12 + size, "\0\1\0\1", 4);
    return 12 + size + 4;
}

static void test_random_responses_are_read_back_as_they_were_put(void **state)
{
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        /* Exactly as large as allowed, so that AddressSanitizer sees a write past it. */
        size_t limit = 300 + (size_t)(rand() % (rand() % 4 == 0 ? 60000 : 3000));
        uint8_t *wire = malloc(limit);
        struct put *puts = calloc(RECORDS_MAX, sizeof(*puts));
        assert_true(wire != NULL && puts != NULL);
        struct name question;
        struct response response;
        response_init(&response, wire, write_question(wire, &question), limit, &question);

        size_t count = 0;
        enum section section = SECTION_ANSWER;
        for (int i = 0; i < RECORDS_MAX; i++) {
            struct put *put = &puts[count];
            if (section < SECTION_ADDITIONAL && rand() % 10 == 0)
                section++;
            random_put(put);
            struct response_owner owner = {.wire = put->owner};
            if (rand() % 3 == 0) {
                memcpy(put->owner, question.wire, question.size);
                owner = (struct response_owner){.pointer = question.size > 1 ? QUESTION_OFFSET : 0,
                                                .wire = put->owner};
            }
            struct response_records records = {
                .type = put->type, .rr_count = put->rr_count, .ttl_s = 300, .data = put->data};
            struct response before = response;
            if (response_put(&response, section, owner, &records)) {
                count++;
            } else {
                assert_int_equal(response.size, before.size);
                assert_int_equal(response.name_count, before.name_count);
                assert_memory_equal(response.counts, before.counts, sizeof(before.counts));
            }
            assert_true(response.size <= limit);
        }
        assert_message(wire, &response, puts, count);
        free(puts);
        free(wire);
    }
}

static void test_names_beyond_a_pointers_reach_are_written_whole(void **state)
{
    (void)state;
    static uint8_t wire[65535];
    static struct put puts[200];
    struct name question;
    struct response response;
    response_init(&response, wire, write_question(wire, &question), sizeof(wire), &question);
    for (size_t i = 0; i < 200; i++) {
        do
            random_put(&puts[i]);
        while (puts[i].type != KNOT_RRTYPE_TXT && puts[i].type != KNOT_RRTYPE_MX);
        struct response_records records = {
            .type = puts[i].type, .rr_count = puts[i].rr_count, .ttl_s = 300, .data = puts[i].data};
        assert_true(response_put(&response, SECTION_ANSWER,
                                 (struct response_owner){.wire = puts[i].owner}, &records));
    }
    assert_true(response.size > 0x3fff);
    assert_message(wire, &response, puts, 200);
}

static void test_only_signatures_of_the_type_are_put(void **state)
{
    (void)state;
    static uint8_t wire[1000];
    struct name question;
    struct response response;
    response_init(&response, wire, write_question(wire, &question), sizeof(wire), &question);
    static const uint8_t signer[] = "\1a\7example";
    uint8_t data[256];
    size_t size = 0;
    for (uint16_t covered = 1; covered <= 3; covered++) {
        knot_wire_write_u16(data + size, 18 + sizeof(signer) + 4);
        memset(data + size + 2, 9, 18);
        knot_wire_write_u16(data + size + 2, covered);
        memcpy(data + size + 20, signer, sizeof(signer));
        memset(data + size + 20 + sizeof(signer), 5, 4);
        size += 2 + 18 + sizeof(signer) + 4;
    }
    struct response_records records = {
        .type = KNOT_RRTYPE_RRSIG, .rr_count = 3, .ttl_s = 60, .data = data};
    assert_true(response_put_signatures(&response, SECTION_ANSWER,
                                        (struct response_owner){.wire = signer}, &records, 2, 300));
    assert_int_equal(response.counts[SECTION_ANSWER], 1);
    knot_wire_set_ancount(wire, 1);
    knot_pkt_t *packet = knot_pkt_new(wire, (uint16_t)response.size, NULL);
    assert_int_equal(knot_pkt_parse(packet, 0), KNOT_EOK);
    assert_int_equal(knot_rrsig_type_covered(packet->rr[0].rrs.rdata), 2);
    assert_int_equal(packet->rr[0].ttl, 300);
    knot_pkt_free(packet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_responses_are_read_back_as_they_were_put),
        cmocka_unit_test(test_names_beyond_a_pointers_reach_are_written_whole),
        cmocka_unit_test(test_only_signatures_of_the_type_are_put),
    };
    unsigned seed = getenv("SEED") != NULL ? (unsigned)atoi(getenv("SEED")) : (unsigned)time(NULL);
    print_message("SEED=%u\n", seed);
    srand(seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
