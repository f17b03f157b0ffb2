/* Records as written into a message: compression, and what happens when they do not fit. */
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <libknot/wire.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dns/record_reader.h"
#include "dns/response.h"

#define MESSAGE_MAX 65535

struct fixture {
    struct response response;
    struct name question;
    struct record_reader *reader;
    uint8_t wire[MESSAGE_MAX];
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    fixture->reader = record_reader_create();
    assert_non_null(fixture->reader);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    record_reader_free(fixture->reader);
    free(fixture);
    return 0;
}

static void begin(struct fixture *fixture, const char *question, size_t limit)
{
    uint8_t *end = fixture->wire + MESSAGE_HEADER_SIZE;
    memset(fixture->wire, 0, MESSAGE_HEADER_SIZE);
    assert_non_null(knot_dname_from_str(end, question, NAME_SIZE_MAX));
    int size = name_parse(&fixture->question, end, NAME_SIZE_MAX);
    assert_true(size > 0);
    end += size;
    knot_wire_write_u16(end, KNOT_RRTYPE_MX);
    knot_wire_write_u16(end + 2, KNOT_CLASS_IN);
    response_init(&fixture->response, fixture->wire, (size_t)(end + 4 - fixture->wire), limit,
                  &fixture->question);
}

/* Puts `count` equal MX records of `owner`; repeated ones are what a set of that size weighs. */
static bool put_mx(struct fixture *fixture, const char *owner, const char *exchange, uint16_t count)
{
    uint8_t owner_wire[NAME_SIZE_MAX], record[2 + 2 + NAME_SIZE_MAX] = {0};
    assert_non_null(knot_dname_from_str(owner_wire, owner, sizeof(owner_wire)));
    assert_non_null(knot_dname_from_str(record + 4, exchange, NAME_SIZE_MAX));
    size_t size = 4 + name_wire_size(record + 4);
    knot_wire_write_u16(record, (uint16_t)(size - 2));

    uint8_t *data = malloc(count * size);
    assert_non_null(data);
    for (size_t i = 0; i < count; i++)
        memcpy(data + i * size, record, size);
    struct response_records records = {
        .type = KNOT_RRTYPE_MX, .rr_count = count, .ttl_s = 300, .data = data};
    bool fits = response_put(&fixture->response, SECTION_ANSWER,
                             (struct response_owner){.wire = owner_wire}, &records);
    free(data);
    return fits;
}

/* Every pointer of a name leads backwards, within 14 bits, and to a label. */
static size_t check_name(const uint8_t *wire, size_t at)
{
    while (wire[at] != 0) {
        if (wire[at] >= 0xc0) {
            size_t target = knot_wire_read_u16(wire + at) & 0x3fff;
            assert_true(target >= MESSAGE_HEADER_SIZE && target < at);
            assert_in_range(wire[target], 1, 63);
            return at + 2;
        }
        at += (size_t)wire[at] + 1;
    }
    return at + 1;
}

/* Reads the message back: each record has the owner and the exchange that it was given. */
static void check_records(struct fixture *fixture, const char *owner, const char *exchange)
{
    uint8_t owner_wire[NAME_SIZE_MAX], exchange_wire[NAME_SIZE_MAX], name[NAME_SIZE_MAX];
    uint16_t type, class;
    assert_non_null(knot_dname_from_str(owner_wire, owner, sizeof(owner_wire)));
    assert_non_null(knot_dname_from_str(exchange_wire, exchange, sizeof(exchange_wire)));
    record_reader_init(fixture->reader, fixture->wire, fixture->response.size);
    assert_int_equal(record_reader_question(fixture->reader, name, &type, &class), 0);

    for (unsigned left = fixture->response.counts[SECTION_ANSWER]; left > 0; left--) {
        struct record record;
        assert_int_equal(record_reader_next(fixture->reader, &record), 0);
        assert_true(name_equal(record.owner, owner_wire));
        assert_true(name_equal(record.rdata + 2, exchange_wire));
        size_t rdata = check_name(fixture->wire, record.at) + 10;
        assert_int_equal(check_name(fixture->wire, rdata + 2), fixture->reader->at);
    }
    assert_int_equal(fixture->reader->at, fixture->response.size);
}

static void test_an_owner_inside_the_question_is_one_pointer(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "a.B.example.", 512);
    size_t before = fixture->response.size;
    assert_true(put_mx(fixture, "b.EXAMPLE.", "A.b.example.", 3));
    assert_int_equal(fixture->response.size - before, 3 * (2 + 10 + 2 + 2));
    check_records(fixture, "b.example.", "a.b.example.");
}

static void test_no_pointer_leads_to_a_pointer(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "question.example.", 512);
    assert_true(put_mx(fixture, "other.example.", "other.example.", 2));
    check_records(fixture, "other.example.", "other.example.");
}

static void test_the_root_is_one_octet(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, ".", 512);
    size_t before = fixture->response.size;
    assert_true(put_mx(fixture, ".", ".", 2));
    assert_int_equal(fixture->response.size - before, 2 * (1 + 10 + 2 + 1));
    check_records(fixture, ".", ".");
}

static void test_a_question_of_127_labels_shares_the_suffix_of_its_zone(void **state)
{
    struct fixture *fixture = *state;
    char question[2 * NAME_LABELS_MAX + 1];
    for (size_t i = 0; i < NAME_LABELS_MAX; i++)
        memcpy(question + 2 * i, i == NAME_LABELS_MAX - 1 ? "z." : "a.", 2);
    question[sizeof(question) - 1] = '\0';
    begin(fixture, question, 512);
    size_t before = fixture->response.size;
    assert_true(put_mx(fixture, "z.", "b.z.", 1));
    assert_int_equal(fixture->response.size - before, 2 + 10 + 2 + 4);
    check_records(fixture, "z.", "b.z.");
}

static void test_names_behind_16_kibioctets_are_not_pointed_to(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "question.example.", MESSAGE_MAX);
    fixture->response.size = 0x4000;
    assert_true(put_mx(fixture, "far.elsewhere.", "far.elsewhere.", 2));
    /* Both records have both names in full: nothing that far back has a pointer. */
    assert_int_equal(fixture->response.size - 0x4000, 2 * (15 + 10 + 2 + 15));
}

static void test_more_names_than_the_table_holds_are_written_right(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "question.example.", MESSAGE_MAX);
    for (unsigned i = 0; i < 2 * COMPRESSION_MAX; i++) {
        struct response_mark mark = response_mark(&fixture->response);
        char name[64];
        snprintf(name, sizeof(name), "host%u.network%u.", i, i);
        assert_true(put_mx(fixture, name, name, 1));
        assert_true(fixture->response.name_count <= COMPRESSION_MAX);
        size_t end = fixture->response.size;
        size_t rdata = check_name(fixture->wire, mark.size) + 10;
        assert_int_equal(check_name(fixture->wire, rdata + 2), end);
    }
    assert_int_equal(fixture->response.counts[SECTION_ANSWER], 2 * COMPRESSION_MAX);
}

static void test_a_set_that_does_not_fit_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "question.example.", 512);
    assert_true(put_mx(fixture, "one.example.", "two.example.", 1));
    size_t whole = fixture->response.size;
    unsigned names = fixture->response.name_count;
    for (size_t limit = whole; limit < whole + 100; limit++) {
        fixture->response.limit = limit;
        if (put_mx(fixture, "three.example.", "four.example.", 3)) {
            /* 3 x 12 for owner and head, 6 for the owner's first label, and the rdata. */
            assert_int_equal(fixture->response.size, limit);
            assert_int_equal(fixture->response.counts[SECTION_ANSWER], 4);
            return;
        }
        assert_int_equal(fixture->response.size, whole);
        assert_int_equal(fixture->response.name_count, names);
        assert_int_equal(fixture->response.counts[SECTION_ANSWER], 1);
    }
    fail_msg("100 octets more hold three records");
}

static void test_what_is_reserved_is_kept_free(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, "question.example.", 512);
    size_t left = fixture->response.limit - fixture->response.size;
    response_reserve(&fixture->response, 100);
    assert_int_equal(fixture->response.limit - fixture->response.size, left - 100);
    response_reserve(&fixture->response, 1000);
    assert_int_equal(fixture->response.limit, fixture->response.size);
    assert_false(put_mx(fixture, "question.example.", ".", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_owner_inside_the_question_is_one_pointer, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_no_pointer_leads_to_a_pointer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_root_is_one_octet, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_question_of_127_labels_shares_the_suffix_of_its_zone,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_names_behind_16_kibioctets_are_not_pointed_to, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_more_names_than_the_table_holds_are_written_right,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_set_that_does_not_fit_leaves_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_reserved_is_kept_free, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
