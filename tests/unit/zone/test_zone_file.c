/* Zone files: directives, includes, and what is wrong by file and line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <libknot/libknot.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zone/zone_file.h"

#define HEAD  "$TTL 300\n@ SOA ns1 h 7 1 1 1 60\n@ NS ns1\nns1 A 192.0.2.1\n"
#define NAMES 2 /* of HEAD */

static char folder[64];

struct findings {
    unsigned count, fatal;
    char file[256], text[512]; /* of the first */
    uint64_t line;
};

static void keep(void *context, const struct zone_finding *finding)
{
    struct findings *findings = context;
    if (findings->count++ == 0) {
        snprintf(findings->file, sizeof(findings->file), "%s", finding->file);
        snprintf(findings->text, sizeof(findings->text), "%s", finding->text);
        findings->line = finding->line;
    }
    findings->fatal += finding->fatal;
}

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void write_sized(const char *name, const char *text, size_t size)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void write_file(const char *name, const char *text)
{
    write_sized(name, text, strlen(text));
}

/* Loads the file "zone"; NULL when it is refused. */
static struct zone_data *load(struct findings *ret_findings, struct error *ret_error)
{
    uint8_t apex[NAME_SIZE_MAX];
    struct zone_data *data = NULL;
    *ret_findings = (struct findings){0};
    *ret_error = (struct error){0};
    assert_non_null(knot_dname_from_str(apex, "a.example.", sizeof(apex)));
    int rc = zone_file_load(path_of("zone"), apex, keep, ret_findings, &data, ret_error);
    assert_int_equal(rc < 0, data == NULL);
    if (rc < 0)
        assert_true(ret_error->code == rc && ret_error->text[0] != '\0');
    return data;
}

static struct zone_data *load_good(void)
{
    struct findings findings;
    struct error error;
    struct zone_data *data = load(&findings, &error);
    if (data == NULL)
        fail_msg("%s:%u: %s", error.file, error.line, error.text);
    assert_int_equal(findings.count, 0);
    return data;
}

static void assert_holds(const struct zone_data *data, const char *text, uint16_t type,
                         uint32_t ttl_s)
{
    uint8_t wire[NAME_SIZE_MAX];
    struct name name;
    struct rrset rrset;
    assert_non_null(knot_dname_from_str(wire, text, sizeof(wire)));
    assert_true(name_parse(&name, wire, sizeof(wire)) > 0);
    struct name_hit hit = zone_data_find(data, &name);
    assert_non_null(hit.entry);
    assert_true(name_entry_rrset(hit.entry, type, &rrset));
    assert_int_equal(rrset.ttl, ttl_s);
}

static void assert_refused(const char *text, const char *file, unsigned line, const char *reason)
{
    struct findings findings;
    struct error error;
    write_file("zone", text);
    assert_null(load(&findings, &error));
    assert_string_equal(error.file, path_of(file));
    assert_int_equal(error.line, line);
    assert_non_null(strstr(error.text, reason));
}

static void test_origin_ttl_and_unknown_types_are_understood(void **state)
{
    (void)state;
    write_file("zone", HEAD "$ORIGIN sub.a.example.\nx 60 A 192.0.2.2\n$TTL 90\ny TXT \"a\\\"b\"\n"
                            "$ORIGIN a.example.\nodd TYPE65280 \\# 3 010203\n"
                            "plain TYPE1 \\# 4 C0000203\nabsolute.a.example. AAAA 2001:db8::1\n");
    struct zone_data *data = load_good();
    assert_holds(data, "x.sub.a.example.", KNOT_RRTYPE_A, 60);
    assert_holds(data, "y.sub.a.example.", KNOT_RRTYPE_TXT, 90);
    assert_holds(data, "odd.a.example.", 65280, 90);
    assert_holds(data, "plain.a.example.", KNOT_RRTYPE_A, 90);
    assert_holds(data, "absolute.a.example.", KNOT_RRTYPE_AAAA, 90);
    zone_data_free(data);
}

static void test_a_missing_newline_at_the_end_loses_no_record(void **state)
{
    (void)state;
    static const char *const ends[] = {"last A 192.0.2.9", "last A 192.0.2.9\n",
                                       "last A 192.0.2.9 ; comment", "last ( A\n192.0.2.9 )"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        char text[512];
        snprintf(text, sizeof(text), "%s%s", HEAD, ends[i]);
        write_file("zone", text);
        struct zone_data *data = load_good();
        assert_int_equal(data->name_count, NAMES + 1);
        assert_holds(data, "last.a.example.", KNOT_RRTYPE_A, 300);
        zone_data_free(data);
    }
}

static void test_includes_have_their_own_origin_and_give_it_back(void **state)
{
    (void)state;
    assert_int_equal(mkdir(path_of("parts"), 0700), 0);
    write_file("zone", HEAD "$INCLUDE parts/hosts sub.a.example.\nafter A 192.0.2.3\n"
                            "$INCLUDE parts/hosts\n");
    write_file("parts/hosts",
               "zero A 192.0.2.5\n$ORIGIN deeper.a.example.\none A 192.0.2.2\n$INCLUDE more");
    write_file("parts/more", "two A 192.0.2.4");
    struct zone_data *data = load_good();
    assert_holds(data, "zero.sub.a.example.", KNOT_RRTYPE_A, 300);
    assert_holds(data, "zero.a.example.", KNOT_RRTYPE_A, 300);
    assert_holds(data, "one.deeper.a.example.", KNOT_RRTYPE_A, 300);
    assert_holds(data, "two.deeper.a.example.", KNOT_RRTYPE_A, 300);
    assert_holds(data, "after.a.example.", KNOT_RRTYPE_A, 300);
    zone_data_free(data);
}

static void test_errors_name_the_file_and_the_line(void **state)
{
    (void)state;
    assert_refused(HEAD "bad A 300.0.0.1\n", "zone", 5, "IPv4");
    assert_refused(HEAD "\n; comment\nworse TYPEX 1\n", "zone", 7, "");
    assert_refused(HEAD "x CNAME y\nx A 192.0.2.1\n", "zone", 6, "CNAME");
    assert_refused(HEAD "x CH A 192.0.2.1\n", "zone", 5, "");
    write_file("part", "fine A 192.0.2.7\nbad A 1.2.3\n");
    assert_refused(HEAD "$INCLUDE part\n", "part", 2, "IPv4");
    assert_refused(HEAD "$INCLUDE nothing-here\n", "zone", 5, "nothing-here");
    assert_refused(HEAD "$INCLUDE .\n", "zone", 5, "folder");
    assert_refused("@ SOA ns1 h 7 1 1 1 60\r\n", "zone", 1, "CRLF");
    assert_refused("", "zone", 0, "empty");
}

static void test_includes_that_go_round_end(void **state)
{
    (void)state;
    write_file("loop", "$INCLUDE zone\n");
    assert_refused(HEAD "$INCLUDE loop\n", "zone", 5, "deeply");
    /* Followed to the bound of depth at every turn, this would be 4^16 inclusions. */
    struct findings findings;
    struct error error;
    write_file("zone", HEAD "$INCLUDE zone\n$INCLUDE zone\n$INCLUDE zone\n$INCLUDE zone\n");
    assert_null(load(&findings, &error));
}

static void test_records_outside_are_warned_of_and_left_out(void **state)
{
    (void)state;
    struct findings findings;
    struct error error;
    write_file("zone", HEAD "elsewhere.example. A 192.0.2.3\nin A 192.0.2.4\n");
    struct zone_data *data = load(&findings, &error);
    assert_non_null(data);
    assert_int_equal(findings.count, 1);
    assert_int_equal(findings.fatal, 0);
    assert_int_equal(findings.line, 5);
    assert_string_equal(findings.file, path_of("zone"));
    assert_int_equal(data->name_count, NAMES + 1);
    zone_data_free(data);
}

static void test_what_is_no_zone_file_is_refused(void **state)
{
    (void)state;
    struct findings findings;
    struct error error;
    unlink(path_of("zone"));
    assert_null(load(&findings, &error));
    assert_int_equal(error.code, -ENOENT);
    assert_int_equal(mkdir(path_of("zone"), 0700), 0);
    assert_null(load(&findings, &error));
    assert_int_equal(rmdir(path_of("zone")), 0);

    char garbage[65536];
    srand(7);
    for (size_t i = 0; i < sizeof(garbage); i++)
        garbage[i] = (char)rand();
    write_sized("zone", garbage, sizeof(garbage));
    assert_null(load(&findings, &error));
    write_sized("zone", "\0\0\0\0", 4);
    assert_null(load(&findings, &error));
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/test_zone_file.XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"zone", "part", "loop", "parts/hosts", "parts/more"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(path_of(names[i]));
    rmdir(path_of("parts"));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_origin_ttl_and_unknown_types_are_understood),
        cmocka_unit_test(test_a_missing_newline_at_the_end_loses_no_record),
        cmocka_unit_test(test_includes_have_their_own_origin_and_give_it_back),
        cmocka_unit_test(test_errors_name_the_file_and_the_line),
        cmocka_unit_test(test_includes_that_go_round_end),
        cmocka_unit_test(test_records_outside_are_warned_of_and_left_out),
        cmocka_unit_test(test_what_is_no_zone_file_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
