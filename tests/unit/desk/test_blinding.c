/* RFC 9497, appendix A.1.1: OPRF(ristretto255, SHA-512), OPRF mode. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "desk/blinding.h"

static const char key_text[] = "5ebcea5ee37023ccb9fc2d2019f9d7737be85591ae8652ffa9ef0f4d37063b0e";
static const char blind_text[] = "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706";

static const struct {
    const char *input, *blinded, *evaluated, *output;
} vectors[] = {
    {"00", "609a0ae68c15a3cf6903766461307e5c8bb2f95e7e6550e1ffa2dc99e412803c",
     "7ec6578ae5120958eb2db1745758ff379e77cb64fe77b0b2d8cc917ea0869c7e",
     "527759c3d9366f277d8c6020418d96bb393ba2afb20ff90df23fb7708264e2f3"
     "ab9135e3bd69955851de4b1f9fe8a0973396719b7912ba9ee8aa7d0b5e24bcf6"},
    {"5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
     "da27ef466870f5f15296299850aa088629945a17d1f5b7f5ff043f76b3c06418",
     "b4cbf5a4f1eeda5a63ce7b77c7d23f461db3fcab0dd28e4e17cecb5c90d02c25",
     "f4a74c9c592497375e796aa837e907b1a045d34306a749db9f34221f7e750cb4"
     "f2a6413a6bf6fa5e19ba6348eb673934a722a7ede2e7621306d18951e7cf2c73"},
};

static size_t octets_of(const char *text, uint8_t *ret_octets, size_t room)
{
    size_t size;
    assert_int_equal(sodium_hex2bin(ret_octets, room, text, strlen(text), NULL, &size, NULL), 0);
    return size;
}

static void assert_hex(const uint8_t *octets, const char *text)
{
    uint8_t expected[BLINDING_OUTPUT_SIZE];
    size_t size = octets_of(text, expected, sizeof(expected));
    assert_memory_equal(octets, expected, size);
}

static void a_key_is_derived_as_the_rfc_says(void **state)
{
    uint8_t seed[BLINDING_SEED_SIZE], key[BLINDING_SCALAR_SIZE], public[BLINDING_ELEMENT_SIZE];
    (void)state;
    memset(seed, 0xa3, sizeof(seed));
    assert_int_equal(blinding_key_derive(seed, "test key", 8, key, public), 0);
    assert_hex(key, key_text);
}

static void the_vectors_of_the_rfc_hold(void **state)
{
    uint8_t input[32], key[BLINDING_SCALAR_SIZE], blind[BLINDING_SCALAR_SIZE];
    uint8_t element[BLINDING_ELEMENT_SIZE], output[BLINDING_OUTPUT_SIZE];
    (void)state;
    octets_of(key_text, key, sizeof(key));
    octets_of(blind_text, blind, sizeof(blind));
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        size_t size = octets_of(vectors[i].input, input, sizeof(input));
        assert_int_equal(blinding_blind_with(input, size, blind, element), 0);
        assert_hex(element, vectors[i].blinded);
        assert_int_equal(blinding_evaluate(key, element, element), 0);
        assert_hex(element, vectors[i].evaluated);
        assert_int_equal(blinding_finalize(input, size, blind, element, output), 0);
        assert_hex(output, vectors[i].output);
        memset(output, 0, sizeof(output));
        assert_int_equal(blinding_output(key, input, size, output), 0);
        assert_hex(output, vectors[i].output);
    }
}

static void blinding_hides_the_input_and_does_not_change_the_output(void **state)
{
    uint8_t key[BLINDING_SCALAR_SIZE], blind[BLINDING_SCALAR_SIZE];
    uint8_t one[BLINDING_ELEMENT_SIZE], other[BLINDING_ELEMENT_SIZE];
    uint8_t expected[BLINDING_OUTPUT_SIZE], output[BLINDING_OUTPUT_SIZE];
    (void)state;
    octets_of(key_text, key, sizeof(key));
    assert_int_equal(blinding_output(key, "a.example", 9, expected), 0);
    assert_int_equal(blinding_blind("a.example", 9, blind, one), 0);
    assert_int_equal(blinding_blind("a.example", 9, blind, other), 0);
    assert_memory_not_equal(one, other, sizeof(one));
    assert_int_equal(blinding_evaluate(key, other, other), 0);
    assert_int_equal(blinding_finalize("a.example", 9, blind, other, output), 0);
    assert_memory_equal(output, expected, sizeof(output));
    assert_int_equal(blinding_output(key, "b.example", 9, output), 0);
    assert_memory_not_equal(output, expected, sizeof(output));
}

static void what_is_no_element_is_refused(void **state)
{
    uint8_t key[BLINDING_SCALAR_SIZE], element[BLINDING_ELEMENT_SIZE] = {0};
    (void)state;
    octets_of(key_text, key, sizeof(key));
    /* The identity. */
    assert_int_equal(blinding_evaluate(key, element, element), -EDOM);
    /* Not canonical, and negative (RFC 9496, A.3). */
    memset(element, 0xff, sizeof(element));
    assert_int_equal(blinding_evaluate(key, element, element), -EDOM);
    memset(element, 0, sizeof(element));
    element[0] = 1;
    assert_int_equal(blinding_evaluate(key, element, element), -EDOM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_derived_as_the_rfc_says),
        cmocka_unit_test(the_vectors_of_the_rfc_hold),
        cmocka_unit_test(blinding_hides_the_input_and_does_not_change_the_output),
        cmocka_unit_test(what_is_no_element_is_refused),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
