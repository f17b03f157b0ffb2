/* Members of a JSON object with their bounds, and errors that name the place. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "desk/json_in.h"

static json_t *parse(const char *text)
{
    json_t *json;
    assert_int_equal(json_in_parse(text, strlen(text), &json, NULL), 0);
    return json;
}

static void members_are_read_with_their_types(void **state)
{
    static const char *const words[] = {"dismiss", "warn", NULL};
    json_t *json = parse("{\"name\":\"a\",\"count\":3,\"on\":true,\"at\":\"1970-01-01T00:00:09Z\","
                         "\"what\":\"warn\",\"list\":[1],\"inner\":{\"x\":1},\"none\":null}");
    struct json_in in, inner;
    const char *text;
    const json_t *list;
    int64_t number;
    size_t index;
    bool flag;

    (void)state;
    assert_int_equal(json_in_open(json, "", &in, NULL), 0);
    assert_int_equal(json_in_text(&in, "name", 1, 1, &text, NULL), 0);
    assert_int_equal(json_in_integer(&in, "count", 3, 3, &number, NULL), 0);
    assert_int_equal(json_in_flag(&in, "on", &flag, NULL), 0);
    assert_true(flag);
    assert_int_equal(json_in_time(&in, "at", &number, NULL), 0);
    assert_int_equal(number, 9);
    assert_int_equal(json_in_word(&in, "what", words, &index, NULL), 0);
    assert_int_equal(index, 1);
    assert_int_equal(json_in_array(&in, "list", 1, &list, NULL), 0);
    assert_int_equal(json_in_object(&in, "inner", &inner, NULL), 0);
    assert_int_equal(json_in_integer(&inner, "x", 0, 1, &number, NULL), 0);
    assert_false(json_in_has(&in, "none"));
    assert_int_equal(json_in_end(&in, NULL), 0);
    json_decref(json);
}

static void what_is_wrong_is_named_by_its_pointer(void **state)
{
    json_t *json = parse("{\"inner\":{\"count\":9,\"lable\":\"x\"},\"text\":\"a\\nb\"}");
    struct json_in in, inner;
    struct error error;
    const char *text;
    int64_t number;

    (void)state;
    assert_int_equal(json_in_open(json, "", &in, NULL), 0);
    assert_int_equal(json_in_text(&in, "text", 0, 9, &text, &error), -EINVAL);
    assert_string_equal(error.file, "/text");
    assert_int_equal(json_in_lines(&in, "text", 0, 9, &text, NULL), 0);
    assert_int_equal(json_in_object(&in, "inner", &inner, NULL), 0);
    assert_int_equal(json_in_integer(&inner, "count", 0, 8, &number, &error), -EINVAL);
    assert_string_equal(error.file, "/inner/count");
    assert_false(json_in_has(&inner, "label"));
    assert_int_equal(json_in_end(&inner, &error), -EINVAL);
    assert_string_equal(error.file, "/inner/lable");
    assert_non_null(strstr(error.text, "\"label\""));
    json_decref(json);
}

static void depth_is_bounded_but_brackets_in_texts_are_not_depth(void **state)
{
    char deep[2 * (JSON_DEPTH_MAX + 1) + 1] = "", text[200] = "[\"\\\"";
    json_t *json;

    (void)state;
    memset(deep, '[', JSON_DEPTH_MAX + 1);
    memset(deep + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_int_equal(json_in_parse(deep, strlen(deep), &json, NULL), -EINVAL);
    json_decref(parse((deep[2 * JSON_DEPTH_MAX + 1] = '\0', deep + 1)));
    memset(text + 4, '[', 100);
    strcpy(text + 104, "\"]");
    json_decref(parse(text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_read_with_their_types),
        cmocka_unit_test(what_is_wrong_is_named_by_its_pointer),
        cmocka_unit_test(depth_is_bounded_but_brackets_in_texts_are_not_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
