/* Reports on victims: what a format makes of one victim, also of a hostile one, and whether the
 * desk's own intake takes what is sent as XARF. */
#include <arpa/inet.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/sink_report.h"
#include "cli/sink_span.h"
#include "cli/uuid_set.h"
#include "desk/xarf.h"

static struct sink_event event = {
    .at_us = 1795482123456000, /* 2026-11-24T01:02:03.456Z */
    .name_source = SINK_NAME_HOST,
    .client_port = 40000,
    .local_port = 5552,
    .family = "njrat",
    .version = "0.7d",
    .order = "nv-2014-00987",
    .name = "bad.a.example",
};
static struct census_entry entry = {
    .id = {0xab, 0xcd},
    .family = "njrat",
    .order = "nv-2014-00987",
    .name = "bad.a.example",
    .class = CENSUS_PROVEN,
    .reason = "came back for 2 d",
    .first_us = 1795400000000000,
    .last_us = 1795482123456000,
    .checkins = 42,
    .addresses = 2,
    .networks = 1,
    .asn = 64496,
    .country = "CH",
    .last = &event,
};
static const struct report_sender sender = {
    .operator_name = "Sinkhole, \"Example\"", .mail = "abuse@sink.example", .now_us = 1};

static struct report_victim victim_of(const char *address)
{
    struct report_victim victim = {.entry = &entry, .holder = ""};
    char mapped[64];
    (void)snprintf(mapped, sizeof(mapped), "%s%s", strchr(address, ':') == NULL ? "::ffff:" : "",
                   address);
    assert_int_equal(inet_pton(AF_INET6, mapped, &victim.address), 1);
    struct in6_addr local;
    assert_int_equal(inet_pton(AF_INET6, "::ffff:203.0.113.66", &local), 1);
    memcpy(event.local, &local, sizeof(local));
    report_victim_fill(&victim);
    return victim;
}

/* A whole report of the victim at each address; the caller frees it. */
static char *report_of(const struct report_format *format, size_t count,
                       const char *const addresses[])
{
    struct error error;
    char *text = NULL;
    size_t size;
    void *state;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    assert_int_equal(format->begin(stream, &sender, &state, &error), 0);
    for (size_t i = 0; i < count; i++) {
        struct report_victim victim = victim_of(addresses[i]);
        assert_int_equal(format->victim(stream, state, &victim, &error), 0);
    }
    assert_int_equal(format->end(stream, state, &error), 0);
    format->free(state);
    assert_int_equal(fclose(stream), 0);
    return text;
}

static void test_csv_has_the_published_columns_and_quotes_what_it_must(void **state)
{
    (void)state;
    char *text = report_of(&report_csv, 1, (const char *const[]){"192.0.2.7"});
    assert_int_equal(strncmp(text, "\"timestamp\",\"protocol\",\"src_ip\",\"src_port\",", 43), 0);
    const char *row = strstr(text, "\r\n");
    assert_non_null(row);
    assert_string_equal(
        row + 2,
        "\"2026-11-24 01:02:03\",\"tcp\",\"192.0.2.7\",40000,64496,\"CH\",,,,,,,,,\"critical\","
        "\"203.0.113.66\",5552,,,,,\"bad.a.example\",,,\"Sinkhole, \"\"Example\"\"\",\"njrat\","
        "\"njrat\",\"proven\",,\"0.7d\",\"abcd0000000000000000000000000000\",,"
        "\"bad.a.example\",,,,\r\n");
    size_t head = 0, cells = 0;
    bool quoted = false;
    for (const char *at = text; at < row; at++)
        head += *at == ',';
    for (const char *at = row; *at != '\0'; at++) {
        quoted ^= *at == '"';
        cells += *at == ',' && !quoted;
    }
    assert_int_equal(head, 36);
    assert_int_equal(cells, head);
    free(text);
}

static void test_no_cell_is_a_formula(void **state)
{
    static const char *const hostile[] = {"=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\t=1"};
    (void)state;
    for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
        (void)snprintf(event.version, sizeof(event.version), "%s", hostile[i]);
        char *text = report_of(&report_csv, 1, (const char *const[]){"192.0.2.7"});
        char wanted[64];
        (void)snprintf(wanted, sizeof(wanted), ",\"'%s\",", hostile[i]);
        assert_non_null(strstr(text, wanted));
        free(text);
    }
    (void)snprintf(event.version, sizeof(event.version), "0.7d");
}

static void test_json_is_an_array_also_of_none(void **state)
{
    (void)state;
    for (size_t count = 0; count <= 2; count++) {
        char *text =
            report_of(&report_json, count, (const char *const[]){"192.0.2.7", "2001:db8::7"});
        json_t *array = json_loads(text, 0, NULL);
        assert_int_equal(json_array_size(array), count);
        if (count == 2) {
            const json_t *object = json_array_get(array, 1);
            assert_string_equal(json_string_value(json_object_get(object, "address")),
                                "2001:db8::7");
            assert_string_equal(json_string_value(json_object_get(object, "last_seen")),
                                "2026-11-24T01:02:03.456Z");
            assert_true(json_is_null(json_object_get(object, "holder")));
        }
        json_decref(array);
        free(text);
    }
}

static void test_the_desk_takes_the_xarf(void **state)
{
    (void)state;
    char *text = report_of(&report_xarf, 1, (const char *const[]){"192.0.2.7"});
    struct error error = {0};
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    struct report_intake *intake = report_intake_create("json");
    if (xarf_read(json, intake, &error) < 0)
        fail_msg("%s: %s", error.file, error.text);
    assert_string_equal(intake->contact, "abuse@sink.example");
    assert_string_equal(intake->xarf_type, "infrastructure/botnet");
    report_intake_free(intake);
    json_decref(json);
    free(text);
}

static void test_stix_has_each_object_once_and_always_under_the_same_id(void **state)
{
    (void)state;
    const char *const addresses[] = {"192.0.2.7", "192.0.2.7"};
    char *text = report_of(&report_stix, 2, addresses);
    char *again = report_of(&report_stix, 2, addresses);
    assert_string_equal(text, again);
    json_t *bundle = json_loads(text, 0, NULL);
    /* marking, identity, malware, two addresses, network, name, traffic, observation, sighting */
    assert_int_equal(json_array_size(json_object_get(bundle, "objects")), 10);
    json_decref(bundle);
    free(text);
    free(again);
}

/* The example of RFC 9562, appendix A.4. */
static void test_uuids_are_those_of_the_rfc(void **state)
{
    static const struct uuid dns = {{0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4,
                                     0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}};
    char text[UUID_TEXT_SIZE];
    (void)state;
    const struct uuid uuid = uuid_of_name(&dns, "www.example.com", 15);
    assert_string_equal(uuid_text(&uuid, text), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
}

static void test_a_set_knows_what_was_added(void **state)
{
    static const struct uuid space;
    struct uuid_set set = {0};
    (void)state;
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < 5000; i++) {
            const struct uuid uuid = uuid_of_name(&space, &i, sizeof(i));
            assert_int_equal(uuid_set_add(&set, &uuid), round == 0);
        }
    assert_int_equal(set.count, 5000);
    uuid_set_clear(&set);
}

static void test_times_are_spans_days_and_rfc_3339(void **state)
{
    const int64_t now_us = INT64_C(1795482123456000);
    int64_t time_us;
    (void)state;
    assert_int_equal(sink_time_parse("7d", now_us, &time_us), 0);
    assert_int_equal(time_us, now_us - INT64_C(7) * 86400 * 1000000);
    assert_int_equal(sink_time_parse("2026-11-24", now_us, &time_us), 0);
    assert_int_equal(time_us, INT64_C(1795478400000000));
    assert_int_equal(sink_time_parse("2026-11-24T01:00:00+01:00", now_us, &time_us), 0);
    assert_int_equal(time_us, INT64_C(1795478400000000));
    static const char *const wrong[] = {
        "",           "d",         "0d", "7", "7dd", "-7d", "99999999999999999999d",
        "2026-13-01", "yesterday", "11y"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_true(sink_time_parse(wrong[i], now_us, &time_us) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv_has_the_published_columns_and_quotes_what_it_must),
        cmocka_unit_test(test_no_cell_is_a_formula),
        cmocka_unit_test(test_json_is_an_array_also_of_none),
        cmocka_unit_test(test_the_desk_takes_the_xarf),
        cmocka_unit_test(test_stix_has_each_object_once_and_always_under_the_same_id),
        cmocka_unit_test(test_uuids_are_those_of_the_rfc),
        cmocka_unit_test(test_a_set_knows_what_was_added),
        cmocka_unit_test(test_times_are_spans_days_and_rfc_3339),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
