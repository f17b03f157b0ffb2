/* What an origin may answer to IXFR, good and bad. Its answers are scripts of words:
 *
 *     S3    the SOA of serial 3            h5    A record 192.0.2.5 at host h.a.example
 *     N     the NS of the apex             o5    the same outside of the zone
 *     |     the next message               s3    the SOA of serial 3 with another refresh
 *     R4    RCODE 4                        x     a record that is cut short
 *     .     closes the connection          z     a SOA below the apex
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_origin.h"
#include "zone/ixfr_in.h"

#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>

#define APEX ((const uint8_t *)"\1a\7example")
#define OURS 1u /* the serial that we have */

/* What was asked, and with what. */
struct script {
    const char *words;
    uint16_t type;
    uint32_t serial;
    unsigned queries, edns_queries;
    bool refuses_edns;
};

static void play(const char *words, const struct fake_exchange *exchange)
{
    struct message message;
    message_begin(&message, exchange, true);
    for (const char *at = words; *at != '\0'; at++) {
        char *end = (char *)at + 1;
        const uint32_t number =
            at[1] >= '0' && at[1] <= '9' ? (uint32_t)strtoul(at + 1, &end, 10) : 0;
        switch (*at) {
        case 'S':
            message_add_soa(&message, "a.example", number, 60, 60, 600);
            break;
        case 's':
            message_add_soa(&message, "a.example", number, 61, 60, 600);
            break;
        case 'N':
            message_add_ns(&message, "a.example");
            break;
        case 'h':
            message_add_a(&message, "h.a.example", (uint8_t)number);
            break;
        case 'o':
            message_add_a(&message, "o.example", (uint8_t)number);
            break;
        case 'z':
            message_add_soa(&message, "z.a.example", number, 60, 60, 600);
            break;
        case 'x':
            message_add(&message, "\1x\1a\7example", 13, KNOT_RRTYPE_A, KNOT_CLASS_IN, 60, "\xc0",
                        1);
            break;
        case 'R':
            message_rcode(&message, number);
            break;
        case '|':
            message_send(&message, exchange);
            message_begin(&message, exchange, true);
            break;
        case '.':
            shutdown(exchange->fd, SHUT_RDWR);
            return;
        default:
            break;
        }
        at = end - 1;
    }
    message_send(&message, exchange);
}

static void answer_script(void *context, const struct fake_exchange *exchange)
{
    struct script *script = context;
    const bool has_edns = knot_wire_get_arcount(exchange->query) > 0;
    script->queries++;
    script->edns_queries += has_edns;
    script->type = exchange_type(exchange);
    /* Header, question; then owner, type, class, TTL, size and two names of a SOA. */
    if (knot_wire_get_nscount(exchange->query) == 1)
        script->serial = knot_wire_read_u32(exchange->query + 12 + 11 + 4 + 11 + 10 + 2);
    play(script->refuses_edns && has_edns ? "R1" : script->words, exchange);
}

static int ask(struct script *script, struct ixfr_result *ret_result, struct error *ret_error)
{
    struct fake_origin origin;
    fake_origin_start(&origin, answer_script, script);
    const struct transfer_source source = {
        .origin = (const struct sockaddr *)&origin.address,
        .origin_size = sizeof(origin.address),
        .idle_timeout_ms = 200,
        .total_timeout_ms = 3000,
    };
    const struct ixfr_request request = {.serial = OURS, .serial_announced = 3, .changes_max = 20};
    *ret_result = (struct ixfr_result){.outcome = IXFR_USELESS};
    const int rc = transfer_ixfr(&source, APEX, &request, ret_result, ret_error);
    fake_origin_stop(&origin);
    return rc;
}

static void assert_useless(const char *words, const char *why)
{
    struct script script = {.words = words};
    struct ixfr_result result;
    struct error error = {.code = 0};
    if (ask(&script, &result, &error) != 0)
        fail_msg("\"%s\": %s", words, error.text);
    if (result.outcome != IXFR_USELESS)
        fail_msg("\"%s\" was taken", words);
    if (strstr(result.useless.text, why) == NULL)
        fail_msg("\"%s\": \"%s\" does not say \"%s\"", words, result.useless.text, why);
    ixfr_result_clear(&result);
}

static void assert_differences(const char *words, size_t count, uint32_t serial)
{
    struct script script = {.words = words};
    struct ixfr_result result;
    struct error error = {.code = 0};
    if (ask(&script, &result, &error) != 0)
        fail_msg("\"%s\": %s", words, error.text);
    if (result.outcome != IXFR_DIFFERENCES)
        fail_msg("\"%s\": %s", words, result.useless.text);
    assert_int_equal(result.differences.count, count);
    assert_int_equal(result.soa.serial, serial);
    assert_int_equal(script.type, KNOT_RRTYPE_IXFR);
    assert_int_equal(script.serial, OURS);
    ixfr_result_clear(&result);
}

static void test_takes_steps_condensed_or_not_in_any_messages(void **state)
{
    assert_differences("S3 S1 h1 S3 h2 S3", 4, 3);
    assert_differences("S3 S1 h1 S2 h2 S2 h2 S3 h3 S3", 8, 3);
    assert_differences("S3 | S1 | h1 | S3 | h2 | S3", 4, 3);
    assert_differences("S3 S1 S3 S3", 2, 3);
    /* The zone went on since it was announced. */
    assert_differences("S4 S1 h1 S4 h2 S4", 4, 4);
    (void)state;
}

static void test_takes_a_whole_zone_in_place_of_changes(void **state)
{
    static const char *const scripts[] = {"S3 N h1 S3", "S3 | N | h1 | S3"};
    for (size_t i = 0; i < 2; i++) {
        struct script script = {.words = scripts[i]};
        struct ixfr_result result;
        struct error error;
        assert_int_equal(ask(&script, &result, &error), 0);
        assert_int_equal(result.outcome, IXFR_WHOLE);
        assert_int_equal(result.data->soa.serial, 3);
        assert_int_equal(result.data->record_count, 3);
        ixfr_result_clear(&result);
    }
    (void)state;
}

static void test_wrong_serials_are_of_no_use(void **state)
{
    /* Only what we have, older, or older than announced. */
    assert_useless("S1", "announced serial 3 of a.example and sent changes to serial 1");
    assert_useless("S0 S1 S0 S0", "announced serial 3");
    assert_useless("S2 S1 h1 S2 h2 S2", "sent changes to serial 2");
    /* From another serial than ours, or where the last step did not lead. */
    assert_useless("S3 S2 h1 S3 h2 S3", "from serial 2 on, where serial 1 is");
    assert_useless("S4 S1 h1 S2 h2 S3 h2 S4 h3 S4", "from serial 3 on, where serial 2 is");
    /* Backwards, on the spot, beyond the end. */
    assert_useless("S3 S1 h1 S0 h2 S3", "from serial 1 to 0");
    assert_useless("S3 S1 h1 S1 h2 S3", "from serial 1 to 1");
    assert_useless("S4 S1 h1 S3 h2 S3 h2 S2 h3 S2", "from serial 3 to 2, on the way to 4");
    assert_useless("S3 S1 h1 S5 h2 S5", "from serial 1 to 5");
    (void)state;
}

static void test_loops_and_floods_end(void **state)
{
    assert_useless("S4 S1 h1 S2 h2 S2 h2 S1 h1 S1 h1 S2 h2 S2", "from serial 2 to 1");
    assert_useless("S3 S1 h1 h2 h3 h4 h5 h6 h7 h8 h9 h10 h11 h12 h13 h14 h15 h16 h17 h18 h19 h20",
                   "so many changes");
    (void)state;
}

static void test_broken_sequences_are_of_no_use(void **state)
{
    assert_useless("S3 S1 o1 S3 h2 S3", "outside of the zone");
    assert_useless("S3 S1 h1 S3 o2 S3", "outside of the zone");
    assert_useless("S3 S1 z1 S3 h2 S3", "of a type that no zone has");
    assert_useless("S3 S1 h1 s3 h2 S3", "lead to another SOA");
    assert_useless("S3 S1 h1 S3 h2 s3", "with another SOA");
    assert_useless("S3 S1 h1 S3 h2 S3 h4", "behind the closing SOA");
    assert_useless("S3 S1 x S3 S3", "malformed");
    assert_useless("N S3", "began the transfer of a.example with no SOA");
    assert_useless("R0", "answered the transfer of a.example with nothing");
    assert_useless("S3 N h1 s3", "changed the SOA of a.example during the transfer");
    (void)state;
}

static void test_an_end_that_does_not_come_is_of_no_use(void **state)
{
    assert_useless("S3 S1 h1 | .", "before the answer was complete");
    assert_useless("S3 | .", "before the answer was complete");
    assert_useless(".", "before the answer was complete");
    /* The latest SOA alone is the whole answer of a server that keeps no changes (RFC 1995, 2). */
    assert_useless("S3", "did not send anything");
    (void)state;
}

static void test_refusals_are_of_no_use_and_say_what_was_refused(void **state)
{
    assert_useless("R4", "refused the incremental transfer of a.example (NOTIMPL)");
    assert_useless("R5", "refused the incremental transfer of a.example (REFUSED)");
    assert_useless("R1", "refused the incremental transfer of a.example (FORMERR)");
    (void)state;
}

static void test_a_server_without_edns_is_asked_without(void **state)
{
    struct script script = {.words = "S3 S1 h1 S3 h2 S3", .refuses_edns = true};
    struct ixfr_result result;
    struct error error;
    assert_int_equal(ask(&script, &result, &error), 0);
    assert_int_equal(result.outcome, IXFR_DIFFERENCES);
    assert_int_equal(result.report.expire_s, EXPIRE_UNTOLD);
    assert_int_equal(script.queries, 2);
    assert_int_equal(script.edns_queries, 1);
    ixfr_result_clear(&result);
    (void)state;
}

static void test_silence_in_the_middle_and_absence_are_failures(void **state)
{
    struct script script = {.words = "S3 S1 h1"};
    struct ixfr_result result;
    struct error error;
    assert_int_equal(ask(&script, &result, &error), -ETIMEDOUT);

    struct fake_origin origin;
    fake_origin_start(&origin, answer_script, &script);
    fake_origin_stop(&origin);
    const struct transfer_source source = {.origin = (const struct sockaddr *)&origin.address,
                                           .origin_size = sizeof(origin.address)};
    const struct ixfr_request request = {.serial = OURS, .serial_announced = 3, .changes_max = 20};
    assert_int_equal(transfer_ixfr(&source, APEX, &request, &result, &error), -ECONNREFUSED);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_steps_condensed_or_not_in_any_messages),
        cmocka_unit_test(test_takes_a_whole_zone_in_place_of_changes),
        cmocka_unit_test(test_wrong_serials_are_of_no_use),
        cmocka_unit_test(test_loops_and_floods_end),
        cmocka_unit_test(test_broken_sequences_are_of_no_use),
        cmocka_unit_test(test_an_end_that_does_not_come_is_of_no_use),
        cmocka_unit_test(test_refusals_are_of_no_use_and_say_what_was_refused),
        cmocka_unit_test(test_a_server_without_edns_is_asked_without),
        cmocka_unit_test(test_silence_in_the_middle_and_absence_are_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
