/* What a connection gets to see, with a real TLS client in memory. */
#include <errno.h>
#include <gnutls/x509.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "sink/dialogue.h"
#include "sink/dialogue_tls.h"
#include "sink/octet_buffer.h"

#define OCTETS_MAX 4096

static struct dialogue_setting *setting;
static char asked_host[300];
static struct dialogue_order known_order;

static void order_of(void *context, const char *host, const struct sink_endpoint *local,
                     struct dialogue_order *ret_order)
{
    (void)context;
    assert_int_equal(local->port, 80);
    snprintf(asked_host, sizeof(asked_host), "%s", host);
    *ret_order = known_order;
}

static const struct dialogue_options options = {.operator_name = "Isp & Sons",
                                                .contact = "mailto:sinkhole@isp.example",
                                                .octets_max = OCTETS_MAX};

static int set_up(void **state)
{
    (void)state;
    return dialogue_setting_create(&options, order_of, NULL, &setting, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    dialogue_setting_free(setting);
    return 0;
}

static struct dialogue *begin(void)
{
    static const struct sink_endpoint local = {.port = 80};
    struct dialogue *dialogue = dialogue_create(setting, &local);
    assert_non_null(dialogue);
    asked_host[0] = '\0';
    known_order = (struct dialogue_order){.id = "nv-2014-00987",
                                          .authority = "District Court",
                                          .notice = "https://desk.example/orders/nv-2014-00987"};
    return dialogue;
}

static enum dialogue_state take_text(struct dialogue *dialogue, const char *text)
{
    return dialogue_take(dialogue, (const uint8_t *)text, strlen(text));
}

/* The whole output as text, sent in small pieces. */
static char *output_text(struct dialogue *dialogue, enum dialogue_state *ret_state)
{
    static char text[16384];
    size_t size = 0, piece;
    for (const uint8_t *output; (output = dialogue_output(dialogue, &piece)) != NULL;) {
        piece = piece > 100 ? 100 : piece;
        memcpy(text + size, output, piece);
        size += piece;
        *ret_state = dialogue_sent(dialogue, piece);
    }
    text[size] = '\0';
    assert_int_equal(strlen(text), size);
    return text;
}

static struct sink_flight described(const struct dialogue *dialogue)
{
    struct sink_flight flight = {.ending = SINK_TIMED_OUT};
    dialogue_describe(dialogue, &flight);
    return flight;
}

/* ---- Silence ---- */

static void assert_silent(const uint8_t *octets, size_t size)
{
    for (size_t piece = 1; piece <= size;
         piece = piece < size && piece * 7 > size ? size : piece * 7) {
        struct dialogue *dialogue = begin();
        size_t output_size;
        for (size_t at = 0; at < size; at += piece) {
            size_t there = piece < size - at ? piece : size - at;
            assert_int_not_equal(dialogue_take(dialogue, octets + at, there), DIALOGUE_WRITES);
            assert_null(dialogue_output(dialogue, &output_size));
            assert_int_equal(output_size, 0);
        }
        struct sink_flight flight = described(dialogue);
        size_t kept = size < OCTETS_MAX ? size : OCTETS_MAX;
        assert_int_equal(flight.size, kept);
        assert_memory_equal(flight.octets, octets, kept);
        assert_null(flight.hello);
        assert_false(flight.in_tls);
        assert_int_equal(flight.ending, size < OCTETS_MAX ? SINK_TIMED_OUT : SINK_FULL);
        dialogue_free(dialogue);
    }
}

#define assert_silent_text(text) assert_silent((const uint8_t *)(text), sizeof(text) - 1)

static void test_not_one_octet_is_sent_to_what_is_no_http(void **state)
{
    (void)state;
    assert_silent_text("149\0ll|'|'|SGFjS2VkXzEyMzQ1Njc4|'|'|PC|'|'|user|'|'|14-06-30|'|'||'|'|");
    assert_silent_text("lv0njxq80|'|'|HacKed|'|'|PC");
    assert_silent_text("SSH-2.0-OpenSSH_9.2p1\r\n");
    assert_silent_text("\0\0\0\x45\xffSMBr\0\0\0\0");
    assert_silent_text("\3\0\0\x13\x0e\xe0\0\0\0\0\0\1\0\x08\0\3\0\0\0");
    assert_silent_text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0");
    assert_silent_text("GET /\r\n\r\n");
    assert_silent_text("OPTIONS rtsp://a.example/ RTSP/1.0\r\n\r\n");
    assert_silent_text("get / http/1.1\r\n\r\n");
    assert_silent_text("HTTP/1.1 200 OK\r\n\r\n");
    assert_silent_text("GET / HTTP/1.1"); /* not whole */
    assert_silent_text("GET / HTTP/1.1\r\nHost: a.example\r\n");
    assert_silent_text("\x16\3\1\0\5\1\0\0\1\0 a record that holds no hello");
}

static void test_random_octets_get_none(void **state)
{
    static uint8_t octets[6000];
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srandom(seed);
    for (unsigned round = 0; round < 100; round++) {
        size_t size = 1 + (size_t)random() % sizeof(octets);
        for (size_t i = 0; i < size; i++)
            octets[i] = (uint8_t)random();
        octets[0] |= 0x80; /* neither a letter nor a record of TLS */
        assert_silent(octets, size);
    }
}

/* ---- HTTP ---- */

static const char sinkhole_header[] =
    "Sinkhole: contact=\"mailto:sinkhole@isp.example\", order=\"nv-2014-00987\", "
    "notice=\"https://desk.example/orders/nv-2014-00987\"\r\n";

static void assert_page(const char *page)
{
    static const char *const parts[] = {"HTTP/1.1 403 Forbidden\r\n",
                                        sinkhole_header,
                                        "Content-Type: text/html; charset=utf-8\r\n",
                                        "Connection: close\r\n",
                                        "Cache-Control: no-store\r\n",
                                        "\r\n\r\n<!doctype html>",
                                        "sinkhole",
                                        "Isp &amp; Sons",
                                        "nv-2014-00987",
                                        "District Court",
                                        "<a href=\"https://desk.example/orders/nv-2014-00987\">",
                                        "<a href=\"mailto:sinkhole@isp.example\">",
                                        "</html>\n"};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        assert_non_null(strstr(page, parts[i]));
    const char *length = strstr(page, "Content-Length: ");
    assert_non_null(length);
    assert_int_equal(strtoul(length + 16, NULL, 10), strlen(strstr(page, "\r\n\r\n") + 4));
}

/* One answer, then the end; `host` was asked for. */
static const char *answered(const char *request, const char *host)
{
    struct dialogue *dialogue = begin();
    enum dialogue_state after = DIALOGUE_READS;
    assert_int_equal(take_text(dialogue, request), DIALOGUE_WRITES);
    const char *page = output_text(dialogue, &after);
    assert_int_equal(after, DIALOGUE_ENDS);
    assert_string_equal(asked_host, host);
    assert_int_equal(described(dialogue).ending, SINK_ANSWERED);
    dialogue_free(dialogue);
    return page;
}

static void test_a_request_gets_the_page(void **state)
{
    (void)state;
    assert_page(answered("GET / HTTP/1.1\r\nHost: Bad.Example.:8080\r\n\r\n", "bad.example"));
    assert_page(answered("GET / HTTP/1.0\r\n\r\n", ""));
    assert_page(answered("\r\nGET / HTTP/1.1\nhost:  a.example \n\n", "a.example"));
    assert_page(
        answered("GET http://u@b.example:80/x?@ HTTP/1.1\r\nHost: c.example\r\n\r\n", "b.example"));
    assert_page(answered("CONNECT d.example:443 HTTP/1.1\r\n\r\n", "d.example"));
    assert_page(answered("GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", "[2001:db8::1]"));
    assert_page(answered("PUT /a b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", ""));
    assert_page(
        answered("POST / HTTP/1.1\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n", ""));
}

static void test_head_gets_no_body(void **state)
{
    (void)state;
    const char *page = answered("HEAD / HTTP/1.1\r\nHost: a.example\r\n\r\n", "a.example");
    assert_string_equal(strstr(page, "\r\n\r\n"), "\r\n\r\n");
    assert_non_null(strstr(page, "Content-Length: "));
    assert_null(strstr(page, "Content-Length: 0"));
}

static void test_a_body_is_waited_for(void **state)
{
    (void)state;
    static const char request[] = "POST /is-ready HTTP/1.1\r\nHost: a.example\r\n"
                                  "User-Agent: A1<|>PC<|>user<|>\r\nContent-Length: 4\r\n\r\nabcd";
    struct dialogue *dialogue = begin();
    for (size_t i = 0; i + 2 < sizeof(request); i++)
        assert_int_equal(dialogue_take(dialogue, (const uint8_t *)request + i, 1), DIALOGUE_READS);
    assert_int_equal(take_text(dialogue, "d"), DIALOGUE_WRITES);
    struct sink_flight flight = described(dialogue);
    assert_int_equal(flight.size, sizeof(request) - 1);
    assert_memory_equal(flight.octets, request, flight.size);
    dialogue_free(dialogue);
}

static void test_a_long_body_is_not_read_beyond_the_limit(void **state)
{
    static uint8_t body[2 * OCTETS_MAX];
    (void)state;
    struct dialogue *dialogue = begin();
    assert_int_equal(take_text(dialogue, "POST / HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n"),
                     DIALOGUE_READS);
    assert_int_equal(dialogue_take(dialogue, body, sizeof(body)), DIALOGUE_WRITES);
    assert_int_equal(described(dialogue).size, OCTETS_MAX);
    dialogue_free(dialogue);
}

static void test_an_overlong_head_gets_the_page_all_the_same(void **state)
{
    static char cookie[OCTETS_MAX + 1];
    enum dialogue_state after = DIALOGUE_READS;
    (void)state;
    memset(cookie, 'a', OCTETS_MAX);
    struct dialogue *dialogue = begin();
    assert_int_equal(take_text(dialogue, "GET / HTTP/1.1\r\nHost: a.example\r\nCookie: "),
                     DIALOGUE_READS);
    assert_int_equal(take_text(dialogue, cookie), DIALOGUE_WRITES);
    assert_page(output_text(dialogue, &after));
    assert_string_equal(asked_host, "a.example");
    assert_int_equal(described(dialogue).ending, SINK_FULL);
    dialogue_free(dialogue);
}

static void test_pipelined_requests_get_one_page(void **state)
{
    (void)state;
    const char *page = answered("GET / HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n", "");
    assert_page(page);
    assert_null(strstr(page + 1, "HTTP/1.1"));
}

static void test_nothing_in_the_page_is_a_command(void **state)
{
    enum dialogue_state after = DIALOGUE_READS;
    (void)state;
    struct dialogue *dialogue = begin();
    known_order = (struct dialogue_order){.id = "execute<|>evil",
                                          .authority = "uninstall<|>|'|'|\\<script>'\"&\r\nX: y",
                                          .notice = "https://a.example/<|>\"\r\nX: y"};
    assert_int_equal(take_text(dialogue, "POST /is-ready HTTP/1.1\r\n\r\n"), DIALOGUE_WRITES);
    const char *page = output_text(dialogue, &after);
    assert_null(strchr(page, '|'));
    assert_null(strchr(page, '\\'));
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "\r\nX: y"));
    assert_non_null(strstr(page, "order=\"execute%3C%7C%3Eevil\""));
    assert_non_null(strstr(page, "uninstall&lt;&#124;&gt;"));
    dialogue_free(dialogue);
}

/* ---- TLS ---- */

struct client {
    gnutls_session_t session;
    gnutls_certificate_credentials_t credentials;
    struct octet_buffer in, out;
};

static ssize_t client_pull(gnutls_transport_ptr_t transport, void *ret_octets, size_t size)
{
    struct client *client = transport;
    if (client->in.size == 0) {
        gnutls_transport_set_errno(client->session, EAGAIN);
        return -1;
    }
    size = size < client->in.size ? size : client->in.size;
    memcpy(ret_octets, client->in.octets, size);
    octet_buffer_drop(&client->in, size);
    return (ssize_t)size;
}

static int client_pull_timeout(gnutls_transport_ptr_t transport, unsigned timeout_ms)
{
    (void)timeout_ms;
    return ((const struct client *)transport)->in.size > 0;
}

static ssize_t client_push(gnutls_transport_ptr_t transport, const void *octets, size_t size)
{
    struct client *client = transport;
    assert_int_equal(octet_buffer_add(&client->out, octets, size), 0);
    return (ssize_t)size;
}

static void client_begin(struct client *client, const char *priority)
{
    static const gnutls_datum_t protocols[] = {{(unsigned char *)"h2", 2},
                                               {(unsigned char *)"http/1.1", 8}};
    *client = (struct client){0};
    assert_int_equal(gnutls_init(&client->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK), 0);
    assert_int_equal(gnutls_certificate_allocate_credentials(&client->credentials), 0);
    assert_int_equal(
        gnutls_credentials_set(client->session, GNUTLS_CRD_CERTIFICATE, client->credentials), 0);
    assert_int_equal(gnutls_priority_set_direct(client->session, priority, NULL), 0);
    assert_int_equal(gnutls_alpn_set_protocols(client->session, protocols, 2, 0), 0);
    assert_int_equal(gnutls_server_name_set(client->session, GNUTLS_NAME_DNS, "Sni.Example", 11),
                     0);
    gnutls_transport_set_ptr(client->session, client);
    gnutls_transport_set_pull_function(client->session, client_pull);
    gnutls_transport_set_pull_timeout_function(client->session, client_pull_timeout);
    gnutls_transport_set_push_function(client->session, client_push);
}

static void client_end(struct client *client)
{
    gnutls_deinit(client->session);
    gnutls_certificate_free_credentials(client->credentials);
    octet_buffer_clear(&client->in);
    octet_buffer_clear(&client->out);
}

/* Carries what both have to say, the client's in pieces. */
static enum dialogue_state carry(struct client *client, struct dialogue *dialogue, size_t piece)
{
    enum dialogue_state state = DIALOGUE_READS;
    size_t output_size;
    while (client->out.size > 0) {
        size_t size = piece < client->out.size ? piece : client->out.size;
        state = dialogue_take(dialogue, client->out.octets, size);
        octet_buffer_drop(&client->out, size);
        const uint8_t *output = dialogue_output(dialogue, &output_size);
        assert_int_equal(octet_buffer_add(&client->in, output, output_size), 0);
        if (output_size > 0)
            state = dialogue_sent(dialogue, output_size);
    }
    return state;
}

static void shake_hands(struct client *client, struct dialogue *dialogue, size_t piece)
{
    int code;
    while ((code = gnutls_handshake(client->session)) < 0) {
        assert_int_equal(code, GNUTLS_E_AGAIN);
        assert_true(client->out.size > 0);
        assert_int_equal(carry(client, dialogue, piece), DIALOGUE_READS);
    }
    assert_int_equal(carry(client, dialogue, piece), DIALOGUE_READS);
}

static void send_text(struct client *client, const char *text)
{
    assert_int_equal(gnutls_record_send(client->session, text, strlen(text)), strlen(text));
}

static void assert_page_within_tls(const char *priority, size_t piece, gnutls_protocol_t version)
{
    static char page[16384];
    static const char request[] = "GET / HTTP/1.1\r\nUser-Agent: x\r\n\r\n";
    struct client client;
    struct dialogue *dialogue = begin();
    client_begin(&client, priority);
    shake_hands(&client, dialogue, piece);
    assert_int_equal(gnutls_protocol_get_version(client.session), version);
    gnutls_datum_t protocol = {0};
    assert_int_equal(gnutls_alpn_get_selected_protocol(client.session, &protocol), 0);
    assert_memory_equal(protocol.data, "http/1.1", 8);

    send_text(&client, request);
    assert_int_equal(carry(&client, dialogue, piece), DIALOGUE_ENDS);
    ssize_t size = 0, count;
    while ((count = gnutls_record_recv(client.session, page + size, sizeof(page) - 1 - size)) > 0)
        size += count;
    assert_int_equal(count, 0); /* a clean end */
    page[size] = '\0';
    assert_page(page);
    assert_string_equal(asked_host, "sni.example");

    struct sink_flight flight = described(dialogue);
    assert_true(flight.in_tls);
    assert_int_equal(flight.ending, SINK_ANSWERED);
    assert_int_equal(flight.size, sizeof(request) - 1);
    assert_memory_equal(flight.octets, request, flight.size);
    assert_string_equal(flight.hello->server_name, "sni.example");
    assert_string_equal(flight.hello->alpn, "h2");
    dialogue_free(dialogue);
    client_end(&client);
}

static void test_http_within_tls_gets_the_page(void **state)
{
    (void)state;
    assert_page_within_tls("NORMAL", 65536, GNUTLS_TLS1_3);
    assert_page_within_tls("NORMAL", 1, GNUTLS_TLS1_3);
    assert_page_within_tls("NORMAL:-VERS-ALL:+VERS-TLS1.2", 65536, GNUTLS_TLS1_2);
    assert_page_within_tls("NORMAL:-VERS-ALL:+VERS-TLS1.2", 1, GNUTLS_TLS1_2);
    assert_page_within_tls("NORMAL:-VERS-ALL:+VERS-TLS1.1:+SIGN-ECDSA-SHA1", 7, GNUTLS_TLS1_1);
    assert_page_within_tls("NORMAL:-VERS-ALL:+VERS-TLS1.0:+SIGN-ECDSA-SHA1", 7, GNUTLS_TLS1_0);
}

static void test_a_check_in_within_tls_gets_nothing(void **state)
{
    static const char checkin[] = "149 ll|'|'|SGFjS2Vk|'|'|PC";
    struct client client;
    struct dialogue *dialogue = begin();
    (void)state;
    client_begin(&client, "NORMAL");
    shake_hands(&client, dialogue, 65536);
    octet_buffer_clear(&client.in);
    send_text(&client, checkin);
    assert_int_equal(carry(&client, dialogue, 65536), DIALOGUE_READS);
    assert_int_equal(client.in.size, 0);
    struct sink_flight flight = described(dialogue);
    assert_true(flight.in_tls);
    assert_int_equal(flight.size, sizeof(checkin) - 1);
    dialogue_free(dialogue);
    client_end(&client);
}

static void test_a_failing_handshake_still_yields_the_hello(void **state)
{
    struct client client;
    struct dialogue *dialogue = begin();
    (void)state;
    client_begin(&client, "NORMAL:-KX-ALL:+DHE-RSA:-VERS-ALL:+VERS-TLS1.2");
    assert_int_equal(gnutls_handshake(client.session), GNUTLS_E_AGAIN);
    size_t hello_size = client.out.size;
    assert_int_equal(carry(&client, dialogue, 65536), DIALOGUE_ENDS);
    assert_int_equal(client.in.octets[0], 21); /* an alert and nothing else */
    assert_int_equal(client.in.size, 7);
    struct sink_flight flight = described(dialogue);
    assert_false(flight.in_tls);
    assert_int_equal(flight.ending, SINK_TIMED_OUT);
    assert_int_equal(flight.size, hello_size);
    assert_string_equal(flight.hello->server_name, "sni.example");
    assert_int_equal(strncmp(flight.hello->ja4, "t12d", 4), 0);
    dialogue_free(dialogue);
    client_end(&client);
}

static void test_a_flood_of_handshakes_yields_hellos_alone(void **state)
{
    _cleanup_(handshake_share_freep) struct handshake_share *share = handshake_share_create();
    const struct in6_addr client_address = {.s6_addr = {0x20, 0x01, 0x0d, 0xb8}};
    struct timespec now;
    struct client client;
    struct dialogue *dialogue = begin();
    (void)state;
    assert_non_null(share);
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (unsigned i = 0; i < 1000; i++)
        handshake_share_spend(share, &client_address, (int64_t)now.tv_sec * 1000000, 5000);
    dialogue_limit(dialogue, share, &client_address);
    client_begin(&client, "NORMAL");
    assert_int_equal(gnutls_handshake(client.session), GNUTLS_E_AGAIN);
    assert_int_equal(carry(&client, dialogue, 65536), DIALOGUE_ENDS);
    assert_int_equal(client.in.size, 0);
    struct sink_flight flight = described(dialogue);
    assert_false(flight.in_tls);
    assert_int_equal(flight.ending, SINK_SHED);
    assert_string_equal(flight.hello->server_name, "sni.example");
    dialogue_free(dialogue);
    client_end(&client);
}

static void test_the_limit_holds_within_tls(void **state)
{
    static char text[3 * OCTETS_MAX + 1];
    struct client client;
    struct dialogue *dialogue = begin();
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    client_begin(&client, "NORMAL");
    shake_hands(&client, dialogue, 65536);
    send_text(&client, text);
    assert_int_equal(carry(&client, dialogue, 65536), DIALOGUE_ENDS);
    struct sink_flight flight = described(dialogue);
    assert_int_equal(flight.size, OCTETS_MAX);
    assert_int_equal(flight.ending, SINK_FULL);
    dialogue_free(dialogue);
    client_end(&client);
}

/* Whoever shows the certificate proves nothing, and learns nothing of the machine. */
static void test_the_made_certificate_says_sinkhole(void **state)
{
    struct client client;
    struct dialogue *dialogue = begin();
    gnutls_x509_crt_t certificate;
    unsigned count;
    gnutls_datum_t name = {0};
    (void)state;
    client_begin(&client, "NORMAL");
    shake_hands(&client, dialogue, 65536);
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(client.session, &count);
    assert_int_equal(count, 1);
    assert_int_equal(gnutls_x509_crt_init(&certificate), 0);
    assert_int_equal(gnutls_x509_crt_import(certificate, chain, GNUTLS_X509_FMT_DER), 0);
    assert_int_equal(gnutls_x509_crt_get_dn3(certificate, &name, 0), 0);
    assert_string_equal((char *)name.data, "CN=sinkhole");
    assert_int_equal(gnutls_x509_crt_get_pk_algorithm(certificate, NULL), GNUTLS_PK_ECDSA);
    gnutls_free(name.data);
    gnutls_x509_crt_deinit(certificate);
    dialogue_free(dialogue);
    client_end(&client);
}

/* ---- Memory, setting ---- */

#ifndef __SANITIZE_ADDRESS__
/* What malloc() has given out for each of many dialogues, and what one of them says. */
static void measure(const char *priority, bool is_finished, size_t *ret_each, size_t *ret_told)
{
    enum { COUNT = 50 };
    static struct dialogue *dialogues[COUNT];
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;

    for (size_t i = 0; i < COUNT; i++) {
        struct client client;
        dialogues[i] = begin();
        client_begin(&client, priority);
        if (is_finished)
            shake_hands(&client, dialogues[i], 65536);
        else {
            assert_int_equal(gnutls_handshake(client.session), GNUTLS_E_AGAIN);
            assert_int_equal(carry(&client, dialogues[i], 65536), DIALOGUE_READS);
        }
        client_end(&client);
    }
    *ret_each = (mallinfo2().uordblks + mallinfo2().hblkhd - before) / COUNT;
    *ret_told = dialogue_memory(dialogues[0]);
    for (size_t i = 0; i < COUNT; i++)
        dialogue_free(dialogues[i]);
    print_message("%s, %s: %zu octets, told %zu\n", priority, is_finished ? "after" : "midst",
                  *ret_each, *ret_told);
}
#endif

static void test_memory_is_told_and_small(void **state)
{
    struct dialogue *plain = begin();
    (void)state;
    assert_int_equal(take_text(plain, "149"), DIALOGUE_READS);
    print_message("plain: %zu octets\n", dialogue_memory(plain));
    assert_true(dialogue_memory(plain) <= 1024);
    dialogue_free(plain);

#ifndef __SANITIZE_ADDRESS__
    static const char *const priorities[] = {"NORMAL", "NORMAL:-VERS-ALL:+VERS-TLS1.2"};
    for (size_t i = 0; i < 4; i++) {
        size_t each, told;
        measure(priorities[i / 2], i % 2 == 0, &each, &told);
        assert_true(each <= told);
        assert_true(told <= 2 * each);
    }
#endif
}

static void test_errors_name_the_file_and_the_remedy(void **state)
{
    struct dialogue_options with = options;
    struct dialogue_setting *never = NULL;
    struct error error = {0};
    (void)state;
    with.certificate = "/nonexistent/cert.pem";
    assert_int_equal(dialogue_setting_create(&with, order_of, NULL, &never, &error), -EINVAL);
    assert_string_equal(error.file, with.certificate);
    assert_non_null(strstr(error.text, "go together"));
    with.key = "/nonexistent/key.pem";
    assert_int_equal(dialogue_setting_create(&with, order_of, NULL, &never, &error), -ENOENT);
    assert_string_equal(error.file, with.certificate);
    assert_null(never);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_not_one_octet_is_sent_to_what_is_no_http),
        cmocka_unit_test(test_random_octets_get_none),
        cmocka_unit_test(test_a_request_gets_the_page),
        cmocka_unit_test(test_head_gets_no_body),
        cmocka_unit_test(test_a_body_is_waited_for),
        cmocka_unit_test(test_a_long_body_is_not_read_beyond_the_limit),
        cmocka_unit_test(test_an_overlong_head_gets_the_page_all_the_same),
        cmocka_unit_test(test_pipelined_requests_get_one_page),
        cmocka_unit_test(test_nothing_in_the_page_is_a_command),
        cmocka_unit_test(test_http_within_tls_gets_the_page),
        cmocka_unit_test(test_a_check_in_within_tls_gets_nothing),
        cmocka_unit_test(test_a_failing_handshake_still_yields_the_hello),
        cmocka_unit_test(test_a_flood_of_handshakes_yields_hellos_alone),
        cmocka_unit_test(test_the_limit_holds_within_tls),
        cmocka_unit_test(test_the_made_certificate_says_sinkhole),
        cmocka_unit_test(test_memory_is_told_and_small),
        cmocka_unit_test(test_errors_name_the_file_and_the_remedy),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
