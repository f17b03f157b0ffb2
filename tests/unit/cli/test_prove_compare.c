/* What counts as a difference between two answers, and what an order's verdict must look like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/prove_verdict.h"

#define MESSAGE_SIZE 4096

struct message {
    uint8_t octets[MESSAGE_SIZE];
    knot_pkt_t *packet;
};

struct fixture {
    struct answer_arena *arena;
    struct listing *listing;
    struct compare_rules rules;
    struct exchange_question question;
    struct message front, origin;
};

static const uint8_t address_1[] = {192, 0, 2, 1};
static const uint8_t address_2[] = {192, 0, 2, 2};
static const uint8_t sinkhole[] = {192, 0, 2, 66};

static void name_of(uint8_t *wire, const char *text)
{
    assert_non_null(knot_dname_from_str(wire, text, KNOT_DNAME_MAXLEN));
}

static void message_begin(struct message *message, const struct exchange_question *question,
                          uint8_t rcode)
{
    knot_pkt_free(message->packet);
    message->packet = knot_pkt_new(message->octets, MESSAGE_SIZE, NULL);
    assert_non_null(message->packet);
    knot_pkt_clear(message->packet);
    assert_int_equal(
        knot_pkt_put_question(message->packet, question->name, KNOT_CLASS_IN, question->type), 0);
    knot_wire_set_qr(message->octets);
    knot_wire_set_aa(message->octets);
    knot_wire_set_rcode(message->octets, rcode);
    assert_int_equal(knot_pkt_begin(message->packet, KNOT_ANSWER), 0);
}

static void message_add(struct message *message, const char *owner_text, uint16_t type,
                        uint32_t ttl, const uint8_t *rdata, size_t rdata_size)
{
    knot_dname_storage_t owner;
    name_of(owner, owner_text);
    knot_rrset_t *record = knot_rrset_new(owner, type, KNOT_CLASS_IN, ttl, NULL);
    assert_non_null(record);
    assert_int_equal(knot_rrset_add_rdata(record, rdata, (uint16_t)rdata_size, NULL), 0);
    assert_int_equal(knot_pkt_put(message->packet, KNOT_COMPR_HINT_NONE, record, KNOT_PF_FREE), 0);
    free(record);
}

static void message_add_name(struct message *message, const char *owner, uint16_t type,
                             const char *target_text)
{
    knot_dname_storage_t target;
    name_of(target, target_text);
    message_add(message, owner, type, 300, target, knot_dname_size(target));
}

static void message_add_soa(struct message *message, uint32_t ttl)
{
    uint8_t rdata[2 * KNOT_DNAME_MAXLEN + 20] = {0};
    name_of(rdata, "ns.a.example");
    size_t size = knot_dname_size(rdata);
    name_of(rdata + size, "host.a.example");
    size += knot_dname_size(rdata + size);
    rdata[size + 3] = 7;
    assert_int_equal(knot_pkt_begin(message->packet, KNOT_AUTHORITY), 0);
    message_add(message, "a.example", KNOT_RRTYPE_SOA, ttl, rdata, size + 20);
}

/* Closes a message with an OPT record and, where `text` is given, an extended error in it. */
static void message_end(struct message *message, uint16_t ede_code, const char *text)
{
    knot_rrset_t opt;
    assert_int_equal(knot_pkt_begin(message->packet, KNOT_ADDITIONAL), 0);
    assert_int_equal(knot_edns_init(&opt, 1232, 0, KNOT_EDNS_VERSION, NULL), 0);
    if (text != NULL) {
        uint8_t option[256] = {(uint8_t)(ede_code >> 8), (uint8_t)ede_code};
        memcpy(option + 2, text, strlen(text));
        assert_int_equal(knot_edns_add_option(&opt, KNOT_EDNS_OPTION_EDE,
                                              (uint16_t)(2 + strlen(text)), option, NULL),
                         0);
    }
    assert_int_equal(knot_pkt_put(message->packet, KNOT_COMPR_HINT_NONE, &opt, KNOT_PF_FREE), 0);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    assert_int_equal(answer_arena_create(&fixture->arena), 0);
    assert_int_equal(listing_create(&fixture->listing), 0);
    fixture->rules = (struct compare_rules){.ttl = TTL_DECREMENTED, .listing = fixture->listing};
    fixture->question.type = KNOT_RRTYPE_A;
    name_of(fixture->question.name, "www.a.example");
    fixture->question.name_size = (uint8_t)knot_dname_size(fixture->question.name);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    knot_pkt_free(fixture->front.packet);
    knot_pkt_free(fixture->origin.packet);
    answer_arena_free(fixture->arena);
    listing_free(fixture->listing);
    free(fixture);
    return 0;
}

/* Adds an order that sinkholes one name to 192.0.2.66 with a TTL of 60 s. */
static void list_name(struct fixture *fixture, const char *text)
{
    struct order *order = calloc(1, sizeof(*order));
    assert_non_null(order);
    order->id = strdup("nv-2014");
    order->action = VERDICT_SINKHOLE;
    order->verdict =
        (struct verdict){.action = VERDICT_SINKHOLE, .ede_code = 16, .ttl_s = 60, .a_count = 1};
    memcpy(order->verdict.a[0], sinkhole, sizeof(sinkhole));
    order->names.octets = malloc(KNOT_DNAME_MAXLEN);
    order->names.offsets = calloc(1, sizeof(*order->names.offsets));
    assert_non_null(order->names.octets);
    assert_non_null(order->names.offsets);
    name_of(order->names.octets, text);
    order->names.count = 1;
    assert_int_equal(listing_add(fixture->listing, order), 0);
}

static struct comparison judge(struct fixture *fixture)
{
    uint8_t name[NAME_SIZE_MAX];
    knot_dname_copy_lower(name, fixture->question.name);
    const struct exchange_reply replies[EXCHANGE_SIDES] = {
        {.octets = fixture->front.octets, .size = fixture->front.packet->size},
        {.octets = fixture->origin.octets, .size = fixture->origin.packet->size},
    };
    struct comparison comparison;
    verdict_of_replies(fixture->arena, &fixture->rules, &fixture->question,
                       listing_find(fixture->listing, name), replies, &comparison);
    return comparison;
}

static void begin_both(struct fixture *fixture)
{
    message_begin(&fixture->front, &fixture->question, KNOT_RCODE_NOERROR);
    message_begin(&fixture->origin, &fixture->question, KNOT_RCODE_NOERROR);
}

static void end_both(struct fixture *fixture)
{
    message_end(&fixture->front, 0, NULL);
    message_end(&fixture->origin, 0, NULL);
}

static void assert_finding(struct comparison comparison, enum difference kind)
{
    if (comparison.kinds != DIFFERENCE_BIT(kind))
        print_error("detail: %s\n", comparison.detail);
    assert_int_equal(comparison.kinds, DIFFERENCE_BIT(kind));
    assert_int_equal(comparison.kind, kind);
    assert_true(comparison.detail[0] != '\0');
}

static void test_order_of_records_compression_and_letter_case_do_not_count(void **state)
{
    struct fixture *fixture = *state;
    begin_both(fixture);
    message_add(&fixture->front, "www.a.example", KNOT_RRTYPE_A, 300, address_1, 4);
    message_add(&fixture->front, "www.a.example", KNOT_RRTYPE_A, 300, address_2, 4);
    message_add(&fixture->origin, "WWW.a.Example", KNOT_RRTYPE_A, 300, address_2, 4);
    message_add(&fixture->origin, "www.a.EXAMPLE", KNOT_RRTYPE_A, 300, address_1, 4);
    end_both(fixture);
    struct comparison comparison = judge(fixture);
    assert_int_equal(comparison.kinds, 0);
    assert_int_equal(comparison.result, COMPARISON_EQUAL);
}

static void test_names_in_rdata_are_compared_without_letter_case(void **state)
{
    struct fixture *fixture = *state;
    begin_both(fixture);
    message_add_name(&fixture->front, "www.a.example", KNOT_RRTYPE_CNAME, "Target.Example");
    message_add_name(&fixture->origin, "www.a.example", KNOT_RRTYPE_CNAME, "tARGET.eXAMPLE");
    end_both(fixture);
    assert_int_equal(judge(fixture).kinds, 0);
}

static void test_a_ttl_may_be_lower_only_where_the_rule_says_so(void **state)
{
    struct fixture *fixture = *state;
    begin_both(fixture);
    message_add(&fixture->front, "www.a.example", KNOT_RRTYPE_A, 299, address_1, 4);
    message_add(&fixture->origin, "www.a.example", KNOT_RRTYPE_A, 300, address_1, 4);
    end_both(fixture);
    assert_int_equal(judge(fixture).kinds, 0);
    fixture->rules.ttl = TTL_EXACT;
    assert_finding(judge(fixture), DIFFERENCE_TTL);
}

static void test_a_higher_ttl_is_a_difference_unless_ignored(void **state)
{
    struct fixture *fixture = *state;
    begin_both(fixture);
    message_add(&fixture->front, "www.a.example", KNOT_RRTYPE_A, 301, address_1, 4);
    message_add(&fixture->origin, "www.a.example", KNOT_RRTYPE_A, 300, address_1, 4);
    end_both(fixture);
    assert_finding(judge(fixture), DIFFERENCE_TTL);
    fixture->rules.ttl = TTL_IGNORE;
    assert_int_equal(judge(fixture).kinds, 0);
}

static void test_a_record_that_only_the_origin_has_is_missing(void **state)
{
    struct fixture *fixture = *state;
    begin_both(fixture);
    message_add(&fixture->origin, "www.a.example", KNOT_RRTYPE_A, 300, address_1, 4);
    end_both(fixture);
    assert_finding(judge(fixture), DIFFERENCE_MISSING);
}

static void test_a_record_that_only_the_front_has_is_extra(void **state)
{
    struct fixture *fixture = *state;
    begin_both(fixture);
    message_add(&fixture->front, "www.a.example", KNOT_RRTYPE_A, 300, address_1, 4);
    end_both(fixture);
    assert_finding(judge(fixture), DIFFERENCE_EXTRA);
}

static void test_other_data_in_the_same_set_is_rdata(void **state)
{
    struct fixture *fixture = *state;
    begin_both(fixture);
    message_add(&fixture->front, "www.a.example", KNOT_RRTYPE_A, 300, address_1, 4);
    message_add(&fixture->origin, "www.a.example", KNOT_RRTYPE_A, 300, address_2, 4);
    end_both(fixture);
    assert_finding(judge(fixture), DIFFERENCE_RDATA);
}

static void test_a_record_that_comes_twice_is_no_equal_set(void **state)
{
    struct fixture *fixture = *state;
    begin_both(fixture);
    message_add(&fixture->front, "www.a.example", KNOT_RRTYPE_A, 300, address_1, 4);
    message_add(&fixture->front, "www.a.example", KNOT_RRTYPE_A, 300, address_1, 4);
    message_add(&fixture->origin, "www.a.example", KNOT_RRTYPE_A, 300, address_1, 4);
    end_both(fixture);
    assert_finding(judge(fixture), DIFFERENCE_RDATA);
}

static void test_nxdomain_for_nodata_is_another_rcode(void **state)
{
    struct fixture *fixture = *state;
    begin_both(fixture);
    knot_wire_set_rcode(fixture->front.octets, KNOT_RCODE_NXDOMAIN);
    message_add_soa(&fixture->front, 60);
    message_add_soa(&fixture->origin, 60);
    end_both(fixture);
    assert_finding(judge(fixture), DIFFERENCE_RCODE);
}

static void test_a_missing_aa_flag_counts(void **state)
{
    struct fixture *fixture = *state;
    begin_both(fixture);
    knot_wire_clear_aa(fixture->front.octets);
    end_both(fixture);
    assert_finding(judge(fixture), DIFFERENCE_FLAGS);
}

static void test_a_question_in_another_letter_case_counts(void **state)
{
    struct fixture *fixture = *state;
    begin_both(fixture);
    end_both(fixture);
    fixture->front.octets[13] ^= 0x20;
    assert_finding(judge(fixture), DIFFERENCE_QUESTION);
}

static void test_edns_counts_only_for_extended_errors_of_the_fronts_own(void **state)
{
    struct fixture *fixture = *state;
    begin_both(fixture);
    message_end(&fixture->front, 24, "invalid data");
    message_end(&fixture->origin, 24, "other words for the same");
    assert_int_equal(judge(fixture).kinds, 0);

    begin_both(fixture);
    message_end(&fixture->front, 24, "invalid data");
    message_end(&fixture->origin, 0, NULL);
    assert_finding(judge(fixture), DIFFERENCE_EDE);

    begin_both(fixture);
    message_end(&fixture->front, 15, "Blocked");
    message_end(&fixture->origin, 0, NULL);
    assert_finding(judge(fixture), DIFFERENCE_UNLISTED_BLOCKED);
}

static void test_a_listed_name_with_the_orders_address_and_reason_is_blocked(void **state)
{
    struct fixture *fixture = *state;
    list_name(fixture, "www.a.example");
    begin_both(fixture);
    message_add(&fixture->front, "www.a.example", KNOT_RRTYPE_A, 60, sinkhole, 4);
    message_end(&fixture->front, 16, "nv-2014 https://desk.example/");
    message_end(&fixture->origin, 0, NULL);
    assert_int_equal(judge(fixture).result, COMPARISON_BLOCKED);
}

static void test_a_block_without_the_orders_extended_error_is_a_finding(void **state)
{
    struct fixture *fixture = *state;
    list_name(fixture, "www.a.example");
    begin_both(fixture);
    message_add(&fixture->front, "www.a.example", KNOT_RRTYPE_A, 60, sinkhole, 4);
    end_both(fixture);
    assert_finding(judge(fixture), DIFFERENCE_LISTED_NO_REASON);

    begin_both(fixture);
    message_add(&fixture->front, "www.a.example", KNOT_RRTYPE_A, 60, sinkhole, 4);
    message_end(&fixture->front, 16, "another order");
    message_end(&fixture->origin, 0, NULL);
    assert_finding(judge(fixture), DIFFERENCE_LISTED_NO_REASON);
}

static void test_a_listed_name_answered_as_the_origin_does_is_not_blocked(void **state)
{
    struct fixture *fixture = *state;
    list_name(fixture, "www.a.example");
    begin_both(fixture);
    message_add(&fixture->front, "www.a.example", KNOT_RRTYPE_A, 300, address_1, 4);
    message_add(&fixture->origin, "www.a.example", KNOT_RRTYPE_A, 300, address_1, 4);
    end_both(fixture);
    assert_finding(judge(fixture), DIFFERENCE_LISTED_NOT_BLOCKED);
}

static void test_a_verdict_with_another_ttl_or_a_second_address_is_wrong(void **state)
{
    struct fixture *fixture = *state;
    list_name(fixture, "www.a.example");
    begin_both(fixture);
    message_add(&fixture->front, "www.a.example", KNOT_RRTYPE_A, 61, sinkhole, 4);
    message_end(&fixture->front, 16, "nv-2014");
    message_end(&fixture->origin, 0, NULL);
    assert_finding(judge(fixture), DIFFERENCE_LISTED_WRONG);

    begin_both(fixture);
    message_add(&fixture->front, "www.a.example", KNOT_RRTYPE_A, 60, sinkhole, 4);
    message_add(&fixture->front, "www.a.example", KNOT_RRTYPE_A, 60, address_1, 4);
    message_end(&fixture->front, 16, "nv-2014");
    message_end(&fixture->origin, 0, NULL);
    assert_finding(judge(fixture), DIFFERENCE_LISTED_WRONG);
}

static void test_an_empty_verdict_needs_its_soa(void **state)
{
    struct fixture *fixture = *state;
    fixture->question.type = KNOT_RRTYPE_MX;
    list_name(fixture, "www.a.example");
    begin_both(fixture);
    message_end(&fixture->front, 16, "nv-2014");
    message_end(&fixture->origin, 0, NULL);
    assert_finding(judge(fixture), DIFFERENCE_LISTED_WRONG);

    begin_both(fixture);
    message_add_soa(&fixture->front, 60);
    message_end(&fixture->front, 16, "nv-2014");
    message_end(&fixture->origin, 0, NULL);
    assert_int_equal(judge(fixture).result, COMPARISON_BLOCKED);
}

static void test_an_alias_is_right_up_to_the_listed_name_and_the_verdict_from_there(void **state)
{
    struct fixture *fixture = *state;
    list_name(fixture, "bad.a.example");
    begin_both(fixture);
    message_add_name(&fixture->front, "www.a.example", KNOT_RRTYPE_CNAME, "bad.a.example");
    message_add(&fixture->front, "bad.a.example", KNOT_RRTYPE_A, 60, sinkhole, 4);
    message_add_name(&fixture->origin, "www.a.example", KNOT_RRTYPE_CNAME, "bad.a.example");
    message_add(&fixture->origin, "bad.a.example", KNOT_RRTYPE_A, 300, address_1, 4);
    message_end(&fixture->front, 16, "nv-2014");
    message_end(&fixture->origin, 0, NULL);
    assert_int_equal(judge(fixture).result, COMPARISON_BLOCKED_ALIAS);
}

static void test_an_alias_that_leaks_the_listed_address_is_a_finding_though_both_agree(void **state)
{
    struct fixture *fixture = *state;
    list_name(fixture, "bad.a.example");
    begin_both(fixture);
    for (int i = 0; i < 2; i++) {
        struct message *message = i == 0 ? &fixture->front : &fixture->origin;
        message_add_name(message, "www.a.example", KNOT_RRTYPE_CNAME, "bad.a.example");
        message_add(message, "bad.a.example", KNOT_RRTYPE_A, 300, address_1, 4);
    }
    end_both(fixture);
    assert_finding(judge(fixture), DIFFERENCE_LISTED_NOT_BLOCKED);
}

static void test_an_alias_to_a_listed_name_outside_the_zones_may_end_there(void **state)
{
    struct fixture *fixture = *state;
    list_name(fixture, "bad.b.example");
    begin_both(fixture);
    message_add_name(&fixture->front, "www.a.example", KNOT_RRTYPE_CNAME, "bad.b.example");
    message_add_name(&fixture->origin, "www.a.example", KNOT_RRTYPE_CNAME, "bad.b.example");
    end_both(fixture);
    assert_int_equal(judge(fixture).result, COMPARISON_EQUAL);
}

static void test_additional_addresses_of_a_listed_name_may_be_left_out_and_not_given(void **state)
{
    struct fixture *fixture = *state;
    fixture->question.type = KNOT_RRTYPE_NS;
    list_name(fixture, "bad.a.example");
    begin_both(fixture);
    message_add_name(&fixture->front, "www.a.example", KNOT_RRTYPE_NS, "bad.a.example");
    message_add_name(&fixture->origin, "www.a.example", KNOT_RRTYPE_NS, "bad.a.example");
    message_end(&fixture->front, 0, NULL);
    message_end(&fixture->origin, 0, NULL);
    message_add(&fixture->origin, "bad.a.example", KNOT_RRTYPE_A, 300, address_1, 4);
    struct comparison comparison = judge(fixture);
    assert_int_equal(comparison.kinds, 0);
    assert_int_equal(comparison.addresses_left_out, 1);

    message_add(&fixture->front, "bad.a.example", KNOT_RRTYPE_A, 300, address_1, 4);
    assert_finding(judge(fixture), DIFFERENCE_LISTED_NOT_BLOCKED);
}

static void test_an_orders_address_for_an_unlisted_name_is_a_finding(void **state)
{
    struct fixture *fixture = *state;
    list_name(fixture, "bad.a.example");
    begin_both(fixture);
    message_add(&fixture->front, "www.a.example", KNOT_RRTYPE_A, 60, sinkhole, 4);
    message_add(&fixture->origin, "www.a.example", KNOT_RRTYPE_A, 300, address_1, 4);
    end_both(fixture);
    struct comparison comparison = judge(fixture);
    assert_int_equal(comparison.kind, DIFFERENCE_UNLISTED_BLOCKED);
}

static void test_the_origins_silence_leaves_nothing_to_compare_and_the_fronts_is_a_finding(
    void **state)
{
    struct fixture *fixture = *state;
    begin_both(fixture);
    end_both(fixture);
    struct exchange_reply replies[EXCHANGE_SIDES] = {
        {.octets = fixture->front.octets, .size = fixture->front.packet->size},
        {.outcome = EXCHANGE_SILENT},
    };
    struct comparison comparison;
    verdict_of_replies(fixture->arena, &fixture->rules, &fixture->question, NULL, replies,
                       &comparison);
    assert_int_equal(comparison.result, COMPARISON_NOT_COMPARABLE);
    assert_finding(comparison, DIFFERENCE_ORIGIN_SILENT);

    replies[EXCHANGE_ORIGIN] = replies[EXCHANGE_FRONT];
    replies[EXCHANGE_FRONT] = (struct exchange_reply){.outcome = EXCHANGE_TCP_FAILED};
    verdict_of_replies(fixture->arena, &fixture->rules, &fixture->question, NULL, replies,
                       &comparison);
    assert_int_equal(comparison.result, COMPARISON_DIFFERENT);
    assert_finding(comparison, DIFFERENCE_FRONT_SILENT);
}

static void test_mutated_messages_are_never_read_past_their_end(void **state)
{
    struct fixture *fixture = *state;
    list_name(fixture, "bad.a.example");
    begin_both(fixture);
    message_add_name(&fixture->front, "www.a.example", KNOT_RRTYPE_CNAME, "bad.a.example");
    message_add(&fixture->front, "bad.a.example", KNOT_RRTYPE_A, 60, sinkhole, 4);
    message_add_soa(&fixture->front, 60);
    message_end(&fixture->front, 16, "nv-2014");
    message_add_name(&fixture->origin, "www.a.example", KNOT_RRTYPE_CNAME, "bad.a.example");
    message_end(&fixture->origin, 0, NULL);

    unsigned seed = 2014;
    print_message("seed %u\n", seed);
    unsigned read = 0, refused = 0;
    size_t size = fixture->front.packet->size;
    for (int i = 0; i < 100000; i++) {
        /* A copy of its exact size lets the sanitizer see a read past the end. */
        size_t cut = rand_r(&seed) % 4 == 0 ? 12 + (size_t)rand_r(&seed) % (size - 11) : size;
        uint8_t *octets = malloc(cut);
        assert_non_null(octets);
        memcpy(octets, fixture->front.octets, cut);
        for (int k = rand_r(&seed) % 4; k >= 0; k--)
            octets[(size_t)rand_r(&seed) % cut] = (uint8_t)rand_r(&seed);

        struct exchange_reply replies[EXCHANGE_SIDES] = {
            {.octets = octets, .size = cut},
            {.octets = fixture->origin.octets, .size = fixture->origin.packet->size},
        };
        if (i % 2) {
            struct exchange_reply other = replies[0];
            replies[0] = replies[1];
            replies[1] = other;
        }
        struct comparison comparison;
        verdict_of_replies(fixture->arena, &fixture->rules, &fixture->question, NULL, replies,
                           &comparison);
        bool malformed = comparison.kinds & (DIFFERENCE_BIT(DIFFERENCE_FRONT_MALFORMED) |
                                             DIFFERENCE_BIT(DIFFERENCE_ORIGIN_MALFORMED));
        read += !malformed;
        refused += malformed;
        free(octets);
    }
    assert_true(read > 1000);
    assert_true(refused > 1000);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(test_order_of_records_compression_and_letter_case_do_not_count),
        ROW(test_names_in_rdata_are_compared_without_letter_case),
        ROW(test_a_ttl_may_be_lower_only_where_the_rule_says_so),
        ROW(test_a_higher_ttl_is_a_difference_unless_ignored),
        ROW(test_a_record_that_only_the_origin_has_is_missing),
        ROW(test_a_record_that_only_the_front_has_is_extra),
        ROW(test_other_data_in_the_same_set_is_rdata),
        ROW(test_a_record_that_comes_twice_is_no_equal_set),
        ROW(test_nxdomain_for_nodata_is_another_rcode),
        ROW(test_a_missing_aa_flag_counts),
        ROW(test_a_question_in_another_letter_case_counts),
        ROW(test_edns_counts_only_for_extended_errors_of_the_fronts_own),
        ROW(test_a_listed_name_with_the_orders_address_and_reason_is_blocked),
        ROW(test_a_block_without_the_orders_extended_error_is_a_finding),
        ROW(test_a_listed_name_answered_as_the_origin_does_is_not_blocked),
        ROW(test_a_verdict_with_another_ttl_or_a_second_address_is_wrong),
        ROW(test_an_empty_verdict_needs_its_soa),
        ROW(test_an_alias_is_right_up_to_the_listed_name_and_the_verdict_from_there),
        ROW(test_an_alias_that_leaks_the_listed_address_is_a_finding_though_both_agree),
        ROW(test_an_alias_to_a_listed_name_outside_the_zones_may_end_there),
        ROW(test_additional_addresses_of_a_listed_name_may_be_left_out_and_not_given),
        ROW(test_an_orders_address_for_an_unlisted_name_is_a_finding),
        ROW(test_the_origins_silence_leaves_nothing_to_compare_and_the_fronts_is_a_finding),
        ROW(test_mutated_messages_are_never_read_past_their_end),
    };
#undef ROW
    return cmocka_run_group_tests(tests, NULL, NULL);
}
