#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "packets.h"
#include "sink/http_request.h"

static struct sink_recognition recognition;

static bool is_text(struct sink_text text, const char *expected)
{
    return text.size == strlen(expected) && memcmp(text.octets, expected, text.size) == 0;
}

static int read_request(const char *flight, struct http_request *ret_request)
{
    return http_request_read((const uint8_t *)flight, strlen(flight), ret_request);
}

static void test_a_request_is_read_to_its_parts(void **state)
{
    (void)state;
    struct http_request request;
    assert_int_equal(
        read_request("POST /a?b HTTP/1.1\r\nhost: [2001:db8::1]:80\r\nUSER-AGENT:  x/1 \r\n"
                     "Host: other\r\n\r\nbody",
                     &request),
        0);
    assert_true(is_text(request.method, "POST") && is_text(request.target, "/a?b"));
    assert_true(is_text(request.version, "HTTP/1.1") && is_text(request.host, "[2001:db8::1]"));
    assert_true(is_text(request.agent, "x/1") && is_text(request.body, "body"));
    assert_true(request.strict);
}

static void test_what_came_of_a_request_is_read(void **state)
{
    (void)state;
    struct http_request request;
    assert_int_equal(read_request("GET /abc", &request), -EAGAIN);
    assert_true(is_text(request.target, "/abc"));
    assert_int_equal(read_request("GET / HTTP/1.1\r\nHost: a.example:8080\r\nUser-Ag", &request),
                     -EAGAIN);
    assert_true(is_text(request.host, "a.example"));
    assert_int_equal(request.agent.size, 0);
    assert_int_equal(read_request("GET /\r\n", &request), 0);
}

static void test_what_is_loose_is_read_but_not_strict(void **state)
{
    (void)state;
    struct http_request request;
    assert_int_equal(read_request("GET /a b HTTP/1.1\r\n\r\n", &request), 0);
    assert_false(request.strict);
    assert_true(is_text(request.target, "/a b"));
    assert_int_equal(read_request("GET / HTTP/1.1\n\n", &request), 0);
    assert_false(request.strict);
    assert_int_equal(read_request("GET / HTTP/1.1\r\nno colon\r\n\r\n", &request), 0);
    assert_false(request.strict);
}

static void test_an_empty_line_before_a_request_is_passed_over(void **state)
{
    (void)state;
    struct http_request request;
    assert_int_equal(read_request("\r\nGET /a HTTP/1.1\r\nHost: a.example\r\n\r\n", &request), 0);
    assert_true(is_text(request.target, "/a"));
    assert_false(request.strict);
    assert_int_equal(read_request("\r\n\r\nGET / HTTP/1.1\r\n\r\n", &request), -EBADMSG);
}

static void test_what_is_no_request_is_refused(void **state)
{
    (void)state;
    struct http_request request;
    const char *const flights[] = {"",
                                   "GET",
                                   "GET ",
                                   " GET / HTTP/1.1\r\n",
                                   "HELO example\r\n",
                                   "INVITE sip:a@b SIP/2.0\r\n",
                                   "POST /\r\n",
                                   "{\"a\": /b}",
                                   "METHOD-OF-MORE-THAN-TWENTY / HTTP/1.1\r\n\r\n"};
    for (size_t i = 0; i < sizeof(flights) / sizeof(flights[0]); i++)
        assert_int_equal(read_request(flights[i], &request), -EBADMSG);
}

static void recognise(const char *flight, size_t size)
{
    packet_recognise((const uint8_t *)flight, size, &recognition);
}

static void test_a_request_tells_host_and_agent(void **state)
{
    (void)state;
    const char flight[] = "GET / HTTP/1.1\r\nHost: www.example:80\r\nUser-Agent: curl/8\r\n\r\n";
    recognise(flight, sizeof(flight) - 1);
    assert_int_equal(recognition.kind, SINK_HTTP);
    assert_string_equal(recognition.family, "");
    assert_true(is_text(recognition.host, "www.example") && is_text(recognition.agent, "curl/8"));
    assert_true(recognition.wellformed);
}

static void test_a_query_must_be_one_to_its_end(void **state)
{
    (void)state;
    char query[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\3www\7example\0\0\1\0\1";
    recognise(query, sizeof(query) - 1);
    assert_int_equal(recognition.kind, SINK_DNS);
    recognise(query, sizeof(query) - 3);
    assert_int_equal(recognition.kind, SINK_UNKNOWN);
    query[2] = '\0'; /* the beginning is AJP's, too */
    recognise(query, sizeof(query) - 1);
    assert_int_equal(recognition.kind, SINK_DNS);
    query[2] = '\x81'; /* a response */
    recognise(query, sizeof(query) - 1);
    assert_int_equal(recognition.kind, SINK_UNKNOWN);
}

static void test_protocols_are_told_by_name(void **state)
{
    (void)state;
    recognise("*1\r\n$4\r\nPING\r\n", 14);
    assert_int_equal(recognition.kind, SINK_PROBE);
    assert_string_equal(recognition.rule, "redis");
    recognise("RFB 003.008\n", 12);
    assert_string_equal(recognition.rule, "vnc");
    recognise("informal words", 14);
    assert_int_equal(recognition.kind, SINK_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_is_read_to_its_parts),
        cmocka_unit_test(test_what_came_of_a_request_is_read),
        cmocka_unit_test(test_what_is_loose_is_read_but_not_strict),
        cmocka_unit_test(test_an_empty_line_before_a_request_is_passed_over),
        cmocka_unit_test(test_what_is_no_request_is_refused),
        cmocka_unit_test(test_a_request_tells_host_and_agent),
        cmocka_unit_test(test_a_query_must_be_one_to_its_end),
        cmocka_unit_test(test_protocols_are_told_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
