/* Sealed secrets: they open for whom they were sealed, by the same key, and as they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "desk/sealing.h"

#define SECRET "twenty octets of it."
#define SIZE   20

static const struct sealing_key key = {.octets = {1, 2, 3}}, other_key = {.octets = {1, 2, 4}};

static void test_what_is_sealed_opens_again(void **state)
{
    uint8_t sealed[SIZE + SEALED_MORE], opened[SIZE];
    (void)state;
    sealing_seal(&key, "totp acc_1", (const uint8_t *)SECRET, SIZE, sealed);
    assert_null(memmem(sealed, sizeof(sealed), SECRET, 4));
    assert_true(sealing_open(&key, "totp acc_1", sealed, sizeof(sealed), opened, SIZE));
    assert_memory_equal(opened, SECRET, SIZE);
}

static void test_the_same_is_sealed_differently_each_time(void **state)
{
    uint8_t one[SIZE + SEALED_MORE], other[SIZE + SEALED_MORE];
    (void)state;
    sealing_seal(&key, "totp acc_1", (const uint8_t *)SECRET, SIZE, one);
    sealing_seal(&key, "totp acc_1", (const uint8_t *)SECRET, SIZE, other);
    assert_memory_not_equal(one, other, sizeof(one));
}

static void test_nothing_opens_for_another_owner_or_key_or_changed(void **state)
{
    uint8_t sealed[SIZE + SEALED_MORE], opened[SIZE];
    (void)state;
    sealing_seal(&key, "totp acc_1", (const uint8_t *)SECRET, SIZE, sealed);
    assert_false(sealing_open(&key, "totp acc_2", sealed, sizeof(sealed), opened, SIZE));
    assert_false(sealing_open(&other_key, "totp acc_1", sealed, sizeof(sealed), opened, SIZE));
    assert_false(sealing_open(&key, "totp acc_1", sealed, sizeof(sealed) - 1, opened, SIZE));
    assert_false(sealing_open(&key, "totp acc_1", (const uint8_t *)SECRET, SIZE, opened, SIZE));
    for (size_t i = 0; i < sizeof(sealed); i++) {
        sealed[i] ^= 1;
        assert_false(sealing_open(&key, "totp acc_1", sealed, sizeof(sealed), opened, SIZE));
        sealed[i] ^= 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_sealed_opens_again),
        cmocka_unit_test(test_the_same_is_sealed_differently_each_time),
        cmocka_unit_test(test_nothing_opens_for_another_owner_or_key_or_changed),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
