/* From a flight to its recognition: who is asked first, what rules may read and say, and which are
 * refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sink/client_hello.h"
#include "sink/recogniser.h"

static char folder[] = "/tmp/test_recogniser.XXXXXX";

static void write_rules(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *stream = fopen(path, "w");
    assert_non_null(stream);
    assert_true(fputs(text, stream) >= 0);
    assert_int_equal(fclose(stream), 0);
}

static void remove_rules(const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    assert_int_equal(unlink(path), 0);
}

static struct sink_recognition look(struct recogniser *recogniser, struct sink_flight flight,
                                    const char *text, size_t size)
{
    struct sink_recognition recognition;
    flight.octets = (const uint8_t *)text;
    flight.size = size;
    recogniser_look(recogniser, 0, &flight, &recognition);
    return recognition;
}

#define LOOK(recogniser, text) look((recogniser), (struct sink_flight){0}, (text), sizeof(text) - 1)

static struct recogniser *load(const char *from)
{
    struct recogniser *recogniser;
    struct error error = {0};
    if (recogniser_load(from, 1, &recogniser, &error) < 0)
        fail_msg("%s:%u: %s", error.file, error.line, error.text);
    return recogniser;
}

/* Loads one file of rules that must be refused; the error names `line` and says `text`. */
static void assert_refused(const char *rules, uint32_t line, const char *text)
{
    struct recogniser *recogniser = NULL;
    struct error error = {0};
    write_rules("bad.yar", rules);
    assert_true(recogniser_load(folder, 1, &recogniser, &error) < 0);
    assert_null(recogniser);
    assert_int_equal(error.line, line);
    assert_non_null(strstr(error.text, text));
    assert_non_null(strstr(error.file, folder));
    remove_rules("bad.yar");
}

#define META "meta: family = \"test\" kind = \"check-in\" source = \"here\" "

static void test_nothing_is_nothing_and_a_hello_alone_is_tls(void **state)
{
    (void)state;
    const struct client_hello hello = {.ja4 = "t13d0000h2_000000000000_000000000000"};
    struct recogniser *recogniser = load(RULES_PATH);
    assert_int_equal(LOOK(recogniser, "").kind, SINK_NOTHING);
    assert_int_equal(look(recogniser, (struct sink_flight){.hello = &hello}, NULL, 0).kind,
                     SINK_TLS);
    assert_int_equal(LOOK(recogniser, "\x16\x03\x01\x02\x00\x01\x00").kind, SINK_TLS);
    assert_int_equal(LOOK(recogniser, "\x80\x81\x82\x83\x84").kind, SINK_UNKNOWN);
    recogniser_free(recogniser);
}

static void test_rules_win_over_generic_http_and_keep_its_fields(void **state)
{
    (void)state;
    static const char request[] = "GET /1234567890.functions HTTP/1.1\r\nHost: A.example:81\r\n"
                                  "User-Agent: test\r\n\r\n";
    struct recogniser *rules = load(RULES_PATH), *parsers = load(NULL);
    const struct sink_recognition with = LOOK(rules, request), without = LOOK(parsers, request);
    assert_int_equal(without.kind, SINK_HTTP);
    assert_int_equal(with.kind, SINK_CHECKIN);
    assert_string_equal(with.family, "xtremerat");
    assert_string_equal(with.rule, "yara:xtremerat");
    assert_true(with.wellformed && with.consistent);
    assert_int_equal(with.host.size, without.host.size);
    assert_int_equal(with.host.size, strlen("a.example"));
    assert_memory_equal(with.agent.octets, "test", 4);
    recogniser_free(rules);
    recogniser_free(parsers);
}

static void test_a_rule_names_the_victims_id(void **state)
{
    (void)state;
    char packet[81] = "\0\xff\x4b\0\0\0\xe2\0\x20\0\0\0";
    memset(packet + 12, 'a', 32);
    memcpy(packet + 44, "\0\x20\0\0\0", 5);
    memset(packet + 49, 'b', 32);
    struct recogniser *recogniser = load(RULES_PATH);
    const struct sink_recognition found =
        look(recogniser, (struct sink_flight){0}, packet, sizeof(packet));
    assert_string_equal(found.family, "ramnit");
    assert_ptr_equal(found.bot.octets, packet);
    assert_int_equal(found.bot.size, sizeof(packet));
    recogniser_free(recogniser);
}

static void test_conditions_read_how_the_flight_came(void **state)
{
    (void)state;
    const struct client_hello hello = {.ja4 = "t13d1516h2_8daaf6152771_e5627efa2ab1"};
    write_rules("a.yar",
                "rule over_udp { " META "condition: udp and port == 53 }\n"
                "rule in_tls { " META "condition: tls and ja4 startswith \"t13d1516h2\" }\n");
    struct recogniser *recogniser = load(folder);
    const struct sink_flight udp = {.transport = SINK_UDP, .local.port = 53};
    const struct sink_flight tls = {.in_tls = true, .hello = &hello};
    assert_string_equal(look(recogniser, udp, "\x80", 1).rule, "yara:over_udp");
    assert_string_equal(look(recogniser, tls, "\x80", 1).rule, "yara:in_tls");
    /* What one flight had isn't left for the next. */
    assert_string_equal(look(recogniser, (struct sink_flight){.in_tls = true}, "\x80", 1).rule, "");
    recogniser_free(recogniser);
    remove_rules("a.yar");
}

static void test_the_first_rule_counts_but_a_checkin_more(void **state)
{
    (void)state;
    write_rules("a.yar", "rule keeps { meta: family = \"f\" kind = \"beacon\" source = \"s\" "
                         "condition: uint8(0) == 0x80 }\n"
                         "rule later { meta: family = \"g\" kind = \"beacon\" source = \"s\" "
                         "condition: uint8(0) == 0x80 }\n");
    write_rules("b.yar", "rule says { " META "condition: uint8(1) == 0x81 }\n");
    struct recogniser *recogniser = load(folder);
    assert_string_equal(LOOK(recogniser, "\x80").rule, "yara:keeps");
    assert_string_equal(LOOK(recogniser, "\x80\x81").rule, "yara:says");
    recogniser_free(recogniser);
    remove_rules("a.yar");
    remove_rules("b.yar");
}

static void test_bad_rules_are_refused_by_name_and_line(void **state)
{
    (void)state;
    assert_refused("rule ok { " META "condition: false }\n\nrule broken {\n condition: $no }\n", 4,
                   "undefined string");
    assert_refused("rule nobody { meta: kind = \"beacon\" source = \"s\" condition: true }", 0,
                   "nobody");
    assert_refused("rule odd { meta: kind = \"chekin\" source = \"s\" condition: true }", 0,
                   "no such kind");
    assert_refused("rule unsourced { meta: family = \"f\" kind = \"beacon\" condition: true }", 0,
                   "source");
    assert_refused("rule ids { " META "id = \"$x\" condition: true }", 0, "names no string");
    assert_refused("import \"pe\"\nrule pe { " META "condition: pe.is_pe }", 0, "module pe");
}

static void test_includes_stay_within_the_folder(void **state)
{
    (void)state;
    write_rules("parts.inc", "private rule part { condition: uint8(0) == 0x80 }\n");
    write_rules("a.yar", "include \"parts.inc\"\nrule whole { " META "condition: part }\n");
    struct recogniser *recogniser = load(folder);
    assert_string_equal(LOOK(recogniser, "\x80").rule, "yara:whole");
    recogniser_free(recogniser);
    remove_rules("a.yar");
    assert_refused("include \"../parts.inc\"\n", 1, "parts.inc");
    assert_refused("include \"/etc/hostname\"\n", 1, "hostname");
    remove_rules("parts.inc");
}

static void test_a_known_fake_is_named(void **state)
{
    (void)state;
    write_rules("a.yar", "rule says { " META "id = \"$id\" strings: $id = /\\x80[A-Z]+/ "
                         "condition: $id at 0 }\n");
    write_rules("known-fakes.txt", "anybody test *REPLAYED * * \"a test\"\n");
    struct recogniser *recogniser = load(folder);
    assert_string_equal(LOOK(recogniser, "\x80REPLAYED").fake, "anybody");
    const struct sink_recognition other = LOOK(recogniser, "\x80OTHER");
    assert_int_equal(other.kind, SINK_CHECKIN);
    assert_null(other.fake);
    recogniser_free(recogniser);
    remove_rules("a.yar");
    remove_rules("known-fakes.txt");
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_nothing_and_a_hello_alone_is_tls),
        cmocka_unit_test(test_rules_win_over_generic_http_and_keep_its_fields),
        cmocka_unit_test(test_a_rule_names_the_victims_id),
        cmocka_unit_test(test_conditions_read_how_the_flight_came),
        cmocka_unit_test(test_the_first_rule_counts_but_a_checkin_more),
        cmocka_unit_test(test_bad_rules_are_refused_by_name_and_line),
        cmocka_unit_test(test_includes_stay_within_the_folder),
        cmocka_unit_test(test_a_known_fake_is_named),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
