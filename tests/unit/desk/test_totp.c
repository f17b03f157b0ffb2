/* Codes of authenticators: the vectors of RFC 6238, and which steps count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "desk/totp.h"

static const uint8_t secret[] = "12345678901234567890";
#define SECRET_SIZE (sizeof(secret) - 1)

/* RFC 6238, appendix B, SHA-1: the last six of its eight digits. */
static void codes_are_those_of_the_rfc(void **state)
{
    static const struct {
        int64_t now_s;
        const char *code;
    } vectors[] = {
        {59, "287082"},         {1111111109, "081804"}, {1111111111, "050471"},
        {1234567890, "005924"}, {2000000000, "279037"}, {20000000000, "353130"},
    };
    char code[TOTP_CODE_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        totp_code(secret, SECRET_SIZE, vectors[i].now_s / TOTP_STEP_S, code);
        assert_string_equal(code, vectors[i].code);
    }
}

static void one_step_to_either_side_counts(void **state)
{
    const int64_t now_s = 1111111111, now = now_s / TOTP_STEP_S;
    char code[TOTP_CODE_SIZE];

    (void)state;
    for (int64_t offset = -3; offset <= 3; offset++) {
        int64_t step = 0;
        totp_code(secret, SECRET_SIZE, now + offset, code);
        const bool counts = totp_step_find(secret, SECRET_SIZE, code, now_s, 0, &step);
        assert_int_equal(counts, offset >= -1 && offset <= 1);
        if (counts)
            assert_int_equal(step, now + offset);
    }
}

static void a_step_that_is_not_later_does_not_count(void **state)
{
    const int64_t now_s = 1111111111, now = now_s / TOTP_STEP_S;
    char code[TOTP_CODE_SIZE];
    int64_t step;

    (void)state;
    totp_code(secret, SECRET_SIZE, now, code);
    assert_true(totp_step_find(secret, SECRET_SIZE, code, now_s, now - 1, &step));
    assert_false(totp_step_find(secret, SECRET_SIZE, code, now_s, now, &step));
    assert_false(totp_step_find(secret, SECRET_SIZE, code, now_s, now + 1, &step));
}

static void what_is_no_code_is_none(void **state)
{
    static const char *const texts[] = {"", "05047", "0504711", "050471 ", " 50471", "05047a"};
    int64_t step;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_false(totp_step_find(secret, SECRET_SIZE, texts[i], 1111111111, 0, &step));
    assert_true(totp_step_find(secret, SECRET_SIZE, "050471", 1111111111, 0, &step));
}

static void a_secret_is_shown_in_base32(void **state)
{
    char text[TOTP_TEXT_SIZE];

    (void)state;
    totp_secret_text(secret, text);
    assert_string_equal(text, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_those_of_the_rfc),
        cmocka_unit_test(one_step_to_either_side_counts),
        cmocka_unit_test(a_step_that_is_not_later_does_not_count),
        cmocka_unit_test(what_is_no_code_is_none),
        cmocka_unit_test(a_secret_is_shown_in_base32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
