/* What a person reads when a YAML file is wrong, and where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/yaml_load.h"

struct item {
    char *name;
    uint16_t port;
};

struct document {
    char *id;
    int kind;
    bool on;
    double share;
    struct item *items;
    unsigned items_count;
    char **names;
    unsigned names_count;
};

static const cyaml_schema_field_t item_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct item, name, 0, CYAML_UNLIMITED),
    CYAML_FIELD_UINT("port", CYAML_FLAG_OPTIONAL, struct item, port),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t item_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct item, item_fields),
};

static const cyaml_schema_value_t name_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, CYAML_UNLIMITED),
};

static const cyaml_strval_t kinds[] = {{"court", 0}, {"provider", 1}, {"registry", 2}};

static const cyaml_schema_field_t document_fields[] = {
    CYAML_FIELD_STRING_PTR("id", CYAML_FLAG_POINTER, struct document, id, 0, CYAML_UNLIMITED),
    CYAML_FIELD_ENUM("kind", CYAML_FLAG_STRICT | CYAML_FLAG_OPTIONAL, struct document, kind, kinds,
                     3),
    CYAML_FIELD_BOOL("on", CYAML_FLAG_OPTIONAL, struct document, on),
    CYAML_FIELD_FLOAT("share", CYAML_FLAG_OPTIONAL, struct document, share),
    CYAML_FIELD_SEQUENCE("items", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct document, items,
                         &item_schema, 0, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("names", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct document, names,
                         &name_schema, 0, CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t document_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct document, document_fields),
};

static int load(const char *text, size_t size, struct error *error)
{
    struct yaml_source *source = NULL;
    void *value = NULL;

    assert_int_equal(yaml_source_create("t.yaml", text, size, &source, error), 0);
    int rc = yaml_source_load(source, &document_schema, &value, NULL, error);
    yaml_value_free(&document_schema, value, 0);
    yaml_source_free(source);
    return rc;
}

static void refuses(const char *text, uint32_t line, const char *cause)
{
    struct error error = {0};

    assert_true(load(text, strlen(text), &error) < 0);
    assert_string_equal(error.file, "t.yaml");
    assert_string_equal(error.text, cause);
    assert_int_equal(error.line, line);
}

static void test_an_unknown_key_names_its_line_and_the_nearest_key(void **state)
{
    (void)state;
    refuses("id: x\nknd: court\n", 2, "unknown key 'knd'; did you mean 'kind'?");
    refuses("id: x\nitems:\n- name: a\n  prot: 1\n", 4, "unknown key 'prot'; did you mean 'port'?");
    refuses("id: x\nzebra: 1\n", 2,
            "unknown key 'zebra'; known here: id, kind, on, share, items, names");
}

static void test_a_wrong_type_names_what_is_expected(void **state)
{
    (void)state;
    refuses("id: x\nitems: 3\n", 2, "'items' expects a list, not a single value");
    refuses("id: x\nitems:\non: true\n", 2, "'items' expects a list, not nothing");
    refuses("id:\n- x\n", 2, "'id' expects a single value, not a list");
    refuses("- x\n", 1, "'the document' expects a map of keys, not a list");
    refuses("id: x\nitems:\n- name: a\n  port: 65536\n", 4,
            "'port' expects a whole number from 0 to 65535, not '65536'");
    refuses("id: x\nitems:\n- name: a\n  port: -1\n", 4,
            "'port' expects a whole number from 0 to 65535, not '-1'");
    refuses("id: x\non: yse\n", 2, "'on' expects true or false, not 'yse'");
    refuses("id: x\nshare: 1e3z\n", 2, "'share' expects a number, not '1e3z'");
    refuses("id: x\nshare: .nan\n", 2, "'share' expects a number, not '.nan'");
    refuses("id: ~\n", 1, "'id' has no value");
}

static void test_a_wrong_word_names_the_nearest_one(void **state)
{
    (void)state;
    refuses("id: x\nkind: cuort\n", 2, "'kind' cannot be 'cuort'; did you mean 'court'?");
    refuses("id: x\nkind: 7\n", 2,
            "'kind' cannot be '7'; choose one of: court, provider, registry");
}

static void test_missing_and_repeated_keys_are_refused(void **state)
{
    (void)state;
    refuses("on: true\n", 1, "'id' is missing; add it");
    refuses("id: x\nitems:\n- port: 1\n", 3, "'name' is missing; add it");
    refuses("id: x\non: true\nid: y\n", 3, "'id' stands here twice; keep one");
}

static void test_documents_that_libcyaml_takes_in_silence_are_refused(void **state)
{
    struct error error = {0};

    (void)state;
    refuses("", 0, "is empty");
    refuses("# nothing\n", 0, "is empty");
    refuses("id: x\n---\nid: y\n", 2, "a second document begins here; keep one document in a file");
    refuses("id: \"a\\0b\"\n", 1, "a text contains the character NUL; remove it");
    refuses("id: &a x\nnames: [*a]\n", 2, "aliases (*a) are not allowed; write the value again");
    refuses("? [a]\n: b\n", 1, "a key must be a word, not a list");
    assert_true(load("id: x\xff\n", 7, &error) < 0);
    assert_true(load("\xff\xfe\x00", 3, &error) < 0);
    assert_int_equal(load("\xef\xbb\xbfid: x\non: true\n", 17, &error), 0);
    refuses("id: x\n  bad: [\n", 2,
            "is not valid YAML: mapping values are not allowed in this context");
}

static void test_lines_are_found_again_after_loading(void **state)
{
    static const char text[] = "id: x # c\n"
                               "items:\n"
                               "  - {name: a}\n"
                               "  - name: b\n"
                               "    port: 1\n"
                               "names: [a, b,\n"
                               "  c]\n";
    struct yaml_source *source = NULL;
    uint32_t *lines = NULL;
    size_t count = 0;

    (void)state;
    assert_int_equal(yaml_source_create("t", text, sizeof(text) - 1, &source, NULL), 0);
    assert_int_equal(yaml_source_line(source, "items.1.port"), 5);
    assert_int_equal(yaml_source_line(source, "items.1"), 4);
    assert_int_equal(yaml_source_line(source, "items.7.port"), 3);
    assert_int_equal(yaml_source_line(source, "names.2"), 7);
    assert_int_equal(yaml_source_lines(source, "names", &lines, &count), 0);
    assert_int_equal(count, 3);
    assert_int_equal(lines[1], 6);
    assert_int_equal(lines[2], 7);
    free(lines);
    lines = NULL;
    assert_int_equal(yaml_source_lines(source, "none", &lines, &count), 0);
    assert_int_equal(count, 0);
    free(lines);
    yaml_source_free(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_unknown_key_names_its_line_and_the_nearest_key),
        cmocka_unit_test(test_a_wrong_type_names_what_is_expected),
        cmocka_unit_test(test_a_wrong_word_names_the_nearest_one),
        cmocka_unit_test(test_missing_and_repeated_keys_are_refused),
        cmocka_unit_test(test_documents_that_libcyaml_takes_in_silence_are_refused),
        cmocka_unit_test(test_lines_are_found_again_after_loading),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
