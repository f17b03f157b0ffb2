/* Hellos as they come, and FoxIO's own vectors of JA4: the example of the specification, and what
 * their programs say of the captures that come with them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sink/client_hello.h"

#define END         0 /* of a list; none of the lists has the code itself but for SNI, see SERVER_NAME */
#define SERVER_NAME 0x10000
#define GREASE      0x2a2a

struct hello {
    uint8_t octets[8192];
    size_t size;
};

struct offer {
    uint16_t version;
    const int *ciphers, *extensions, *versions, *signatures;
    const char *name, *protocol;
    size_t protocol_size; /* 0: of the text */
};

static void put(struct hello *hello, size_t octets, size_t value)
{
    for (size_t i = octets; i > 0; i--)
        hello->octets[hello->size++] = (uint8_t)(value >> 8 * (i - 1));
}

/* Writes the size of what came since `from` into the octets before it. */
static void close_vector(struct hello *hello, size_t octets, size_t from)
{
    size_t end = hello->size;
    hello->size = from - octets;
    put(hello, octets, end - from);
    hello->size = end;
}

static size_t open_vector(struct hello *hello, size_t octets)
{
    return hello->size += octets;
}

static void put_codes(struct hello *hello, size_t octets, const int *codes)
{
    size_t from = open_vector(hello, octets);
    for (; codes != NULL && *codes != END; codes++)
        put(hello, 2, (size_t)*codes);
    close_vector(hello, octets, from);
}

static void put_text(struct hello *hello, const char *text, size_t size)
{
    memcpy(hello->octets + hello->size, text, size);
    hello->size += size;
}

static void put_extension(struct hello *hello, int type, const struct offer *offer)
{
    put(hello, 2, (size_t)type & 0xffff);
    size_t value = open_vector(hello, 2);
    if (type == SERVER_NAME) {
        size_t list = open_vector(hello, 2);
        put(hello, 1, 0);
        size_t name = open_vector(hello, 2);
        put_text(hello, offer->name, strlen(offer->name));
        close_vector(hello, 2, name);
        close_vector(hello, 2, list);
    } else if (type == 0x0010) {
        size_t list = open_vector(hello, 2);
        size_t name = open_vector(hello, 1);
        put_text(hello, offer->protocol,
                 offer->protocol_size > 0 ? offer->protocol_size : strlen(offer->protocol));
        close_vector(hello, 1, name);
        close_vector(hello, 2, list);
    } else if (type == 0x002b)
        put_codes(hello, 1, offer->versions);
    else if (type == 0x000d)
        put_codes(hello, 2, offer->signatures);
    close_vector(hello, 2, value);
}

static void build(struct hello *hello, const struct offer *offer)
{
    hello->size = 0;
    put(hello, 3, 0x160301);
    size_t record = open_vector(hello, 2);
    put(hello, 1, 1);
    size_t message = open_vector(hello, 3);
    put(hello, 2, offer->version != 0 ? offer->version : 0x0303);
    memset(hello->octets + hello->size, 0x5a, 32);
    hello->size += 32;
    put(hello, 1, 0);
    put_codes(hello, 2, offer->ciphers);
    put(hello, 2, 0x0100);
    if (offer->extensions != NULL) {
        size_t extensions = open_vector(hello, 2);
        for (const int *type = offer->extensions; *type != END; type++)
            put_extension(hello, *type, offer);
        close_vector(hello, 2, extensions);
    }
    close_vector(hello, 3, message);
    close_vector(hello, 2, record);
}

static void assert_ja4(const struct offer *offer, const char *ja4)
{
    struct hello hello;
    struct client_hello read;
    build(&hello, offer);
    assert_int_equal(client_hello_read(hello.octets, hello.size, &read), 0);
    assert_string_equal(read.ja4, ja4);
}

/* ---- Published fingerprints ---- */

static const int chrome_ciphers[] = {GREASE, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f,
                                     0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014,
                                     0x009c, 0x009d, 0x002f, 0x0035, END};
static const int chrome_extensions[] = {GREASE, 0x001b, SERVER_NAME, 0x0033, 0x0010, 0x4469, 0x0017,
                                        0x002d, 0x000d, 0x0005,      0x0023, 0x0012, 0x002b, 0xff01,
                                        0x000b, 0x000a, 0x0015,      0xfafa, END};
static const int chrome_signatures[] = {0x0403, 0x0804, 0x0401, 0x0503, 0x0805,
                                        0x0501, 0x0806, 0x0601, END};
static const int chrome_versions[] = {GREASE, 0x0304, 0x0303, END};
static const struct offer chrome = {.ciphers = chrome_ciphers,
                                    .extensions = chrome_extensions,
                                    .signatures = chrome_signatures,
                                    .versions = chrome_versions,
                                    .name = "Www.Example",
                                    .protocol = "h2"};

static void test_the_specification_s_example(void **state)
{
    (void)state;
    assert_ja4(&chrome, "t13d1516h2_8daaf6152771_e5627efa2ab1");
}

static void test_without_signature_algorithms_there_is_no_underscore(void **state)
{
    struct offer offer = chrome;
    (void)state;
    offer.signatures = NULL;
    assert_ja4(&offer, "t13d1516h2_8daaf6152771_6d807ffa2a79");
}

static void test_firefox_of_tls12_pcap(void **state)
{
    static const int ciphers[] = {0x1301, 0x1303, 0x1302, 0xc02b, 0xc02f, 0xcca9,
                                  0xcca8, 0xc02c, 0xc030, 0xc00a, 0xc009, 0xc013,
                                  0xc014, 0x009c, 0x009d, 0x002f, 0x0035, END};
    static const int extensions[] = {SERVER_NAME, 0x0017, 0xff01, 0x000a, 0x000b, 0x0023,
                                     0x0010,      0x0005, 0x0022, 0x0033, 0x002b, 0x000d,
                                     0x002d,      0x001c, 0x0015, END};
    static const int signatures[] = {0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806,
                                     0x0401, 0x0501, 0x0601, 0x0203, 0x0201, END};
    struct offer offer = chrome;
    (void)state;
    offer.ciphers = ciphers;
    offer.extensions = extensions;
    offer.signatures = signatures;
    assert_ja4(&offer, "t13d1715h2_5b57614c22b0_3d5424432f57");
}

static void test_chrome_of_badcurveball_pcap(void **state)
{
    static const int ciphers[] = {0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c,
                                  0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
                                  0x009d, 0x002f, 0x0035, 0x000a, END};
    static const int extensions[] = {SERVER_NAME, 0x0017, 0xff01, 0x000a, 0x000b, 0x0023,
                                     0x0010,      0x0005, 0x000d, 0x0012, 0x0033, 0x002d,
                                     0x002b,      0x001b, 0x0015, END};
    static const int signatures[] = {0x0403, 0x0804, 0x0401, 0x0503, 0x0805,
                                     0x0501, 0x0806, 0x0601, 0x0201, END};
    struct offer offer = chrome;
    (void)state;
    offer.ciphers = ciphers;
    offer.extensions = extensions;
    offer.signatures = signatures;
    assert_ja4(&offer, "t13d1615h2_46e7e9700bed_45f260be83e2");
}

static void test_grease_among_signature_algorithms(void **state)
{
    static const int extensions[] = {0xfe0d, 0x0010, 0x0017, 0x0033, 0x44cd,      0xff01,
                                     0x000a, 0x000d, 0x0023, 0x002b, 0x000b,      0xca34,
                                     0x002d, 0x0005, 0x001b, 0x0012, SERVER_NAME, END};
    static const int signatures[] = {GREASE, 0x0904, 0x0905, 0x0906, 0x0403, 0x0804, 0x0401,
                                     0x0503, 0x0805, 0x0501, 0x0806, 0x0601, END};
    struct offer offer = chrome;
    (void)state;
    offer.extensions = extensions;
    offer.signatures = signatures;
    assert_ja4(&offer, "t13d1517h2_8daaf6152771_cb7bf5808d99");
}

static void test_ends_of_protocols(void **state)
{
    static const struct {
        const char *protocol;
        size_t size;
        const char *ends;
    } cases[] = {{"http/1.1", 8, "h1"}, {"x", 1, "xx"},
                 {"\xab", 1, "ab"},     {"\xab\xcd", 2, "ad"},
                 {"\x30\xab", 2, "3b"}, {"\x30\x31\xab\xcd", 4, "3d"},
                 {"", 0, "00"},         {"\x30\xab\xcd\x31", 4, "01"}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct offer offer = chrome;
        char ja4[JA4_SIZE] = "t13d1516h2_8daaf6152771_e5627efa2ab1";
        offer.protocol = cases[i].protocol;
        offer.protocol_size = cases[i].size;
        memcpy(ja4 + 8, cases[i].ends, 2);
        assert_ja4(&offer, ja4);
    }
}

static void test_nothing_offered_is_zeros(void **state)
{
    (void)state;
    assert_ja4(&(struct offer){.version = 0x0301}, "t10i000000_000000000000_000000000000");
    assert_ja4(&(struct offer){.version = 0x0300}, "ts3i000000_000000000000_000000000000");
    assert_ja4(&(struct offer){.version = 0x0377}, "t00i000000_000000000000_000000000000");
}

/* ---- Reading ---- */

static void test_fields_are_read(void **state)
{
    struct hello hello;
    struct client_hello read;
    (void)state;
    build(&hello, &chrome);
    assert_true(client_hello_begins(hello.octets, hello.size));
    assert_int_equal(client_hello_read(hello.octets, hello.size, &read), 0);
    assert_string_equal(read.server_name, "www.example");
    assert_string_equal(read.alpn, "h2");
    assert_int_equal(read.version, 0x0304);
}

static void test_only_host_names_are_names(void **state)
{
    static const struct {
        const char *sent, *name;
    } cases[] = {{"a.example.", "a.example"},
                 {"192.0.2.1", ""},
                 {"2001:db8::1", ""},
                 {"<script>", ""},
                 {"", ""},
                 {"a..example", ""},
                 {"_x-1.a.example", "_x-1.a.example"}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct offer offer = chrome;
        struct hello hello;
        struct client_hello read;
        offer.name = cases[i].sent;
        build(&hello, &offer);
        assert_int_equal(client_hello_read(hello.octets, hello.size, &read), 0);
        assert_string_equal(read.server_name, cases[i].name);
    }
}

static void test_every_cut_asks_for_more(void **state)
{
    struct hello hello;
    struct client_hello read;
    (void)state;
    build(&hello, &chrome);
    for (size_t size = 0; size < hello.size; size++)
        assert_int_equal(client_hello_read(hello.octets, size, &read), -EAGAIN);
}

static void test_any_fragments_read_the_same(void **state)
{
    struct hello hello;
    struct client_hello read;
    static uint8_t records[65536];
    (void)state;
    build(&hello, &chrome);
    for (size_t piece = 1; piece < hello.size; piece++) {
        size_t size = 0;
        for (size_t at = 5; at < hello.size; at += piece) {
            size_t there = piece < hello.size - at ? piece : hello.size - at;
            const uint8_t head[] = {22, 3, 1, (uint8_t)(there >> 8), (uint8_t)there};
            memcpy(records + size, head, 5);
            memcpy(records + size + 5, hello.octets + at, there);
            size += 5 + there;
        }
        assert_int_equal(client_hello_read(records, size, &read), 0);
        assert_string_equal(read.ja4, "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }
}

static void test_what_is_no_hello_is_refused(void **state)
{
    struct hello hello;
    struct client_hello read;
    (void)state;
    static const struct {
        size_t at;
        uint8_t octet;
    } breaks[] = {{0, 23}, {1, 2}, {5, 2}, {6, 1}, {43, 200}, {45, 0xff}};
    for (size_t i = 0; i < sizeof(breaks) / sizeof(breaks[0]); i++) {
        build(&hello, &chrome);
        hello.octets[breaks[i].at] = breaks[i].octet;
        assert_int_equal(client_hello_read(hello.octets, hello.size, &read), -EBADMSG);
    }
    assert_false(client_hello_begins((const uint8_t *)"GET / HTTP/1.1", 14));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_specification_s_example),
        cmocka_unit_test(test_without_signature_algorithms_there_is_no_underscore),
        cmocka_unit_test(test_firefox_of_tls12_pcap),
        cmocka_unit_test(test_chrome_of_badcurveball_pcap),
        cmocka_unit_test(test_grease_among_signature_algorithms),
        cmocka_unit_test(test_ends_of_protocols),
        cmocka_unit_test(test_nothing_offered_is_zeros),
        cmocka_unit_test(test_fields_are_read),
        cmocka_unit_test(test_only_host_names_are_names),
        cmocka_unit_test(test_every_cut_asks_for_more),
        cmocka_unit_test(test_any_fragments_read_the_same),
        cmocka_unit_test(test_what_is_no_hello_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
