/* Catalog zones: what lists a member, what is passed over, what breaks the whole. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <libknot/dname.h>

#include "zone/catalog.h"
#include "zone/zone_file.h"

#define VERSION "version 0 TXT \"2\"\n"

static int read_records(const char *records, struct catalog *ret_catalog, struct error *ret_error)
{
    static const uint8_t apex[] = "\7catalog\7example";
    char path[] = "/tmp/tamis-catalog-XXXXXX";
    struct zone_data *data = NULL;

    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *stream = fdopen(fd, "w");
    fprintf(stream,
            "$ORIGIN catalog.example.\n@ 0 SOA invalid. invalid. 1 3600 600 86400 0\n"
            "@ 0 NS invalid.\n$TTL 0\n%s",
            records);
    fclose(stream);
    int rc = zone_file_load(path, apex, NULL, NULL, &data, ret_error);
    unlink(path);
    if (rc < 0)
        fail_msg("%s", ret_error->text);
    struct zone_view *view;
    assert_int_equal(zone_view_open(data, &view), 0);
    rc = catalog_read(view, 3, ret_catalog, ret_error);
    zone_view_close(view);
    zone_data_free(data);
    return rc;
}

static void test_members_come_sorted_and_properties_are_passed_over(void **state)
{
    struct catalog catalog = {0};
    struct error error = {0};

    (void)state;
    if (read_records(VERSION "nj2.zones PTR B.example.\n"
                             "group.nj2.zones TXT \"nodnssec\"\ncoo.nj2.zones PTR other.example.\n"
                             "bm.zones PTR a.example.\ngroup.gone.zones TXT \"x\"\n"
                             "x.ext PTR c.example.\nzones PTR d.example.\n"
                             "a.b.zones PTR e.example.\nstray TXT \"y\"\n",
                     &catalog, &error) < 0)
        fail_msg("%s", error.text);
    assert_int_equal(catalog.count, 2);
    assert_memory_equal(catalog.members[0].zone, "\1a\7example", 11);
    assert_memory_equal(catalog.members[0].label, "\2bm", 4);
    assert_memory_equal(catalog.members[1].zone, "\1b\7example", 11);
    catalog_clear(&catalog);
}

static void test_a_broken_catalog_is_refused_with_its_reason(void **state)
{
    static const char *const broken[][2] = {
        {"a.zones PTR a.example.\n", "no version"},
        {"version TXT \"1\"\n", "not of version \"2\""},
        {"version TXT \"2\" \"2\"\n", "not of version \"2\""},
        {"version TXT \"2\"\nversion TXT \"1\"\n", "not of version \"2\""},
        {"version A 192.0.2.1\n", "no version"},
        {VERSION "a.zones PTR a.example.\na.zones PTR b.example.\n", "a.zones names 2 zones"},
        {VERSION "a.zones PTR a.example.\nb.zones PTR A.example.\n", "lists a.example. twice"},
        {VERSION "a.zones PTR a.\nb.zones PTR b.\nc.zones PTR c.\nd.zones PTR d.\n",
         "more than 3 members"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct catalog catalog = {0};
        struct error error = {0};
        assert_int_equal(read_records(broken[i][0], &catalog, &error), -EINVAL);
        if (strstr(error.text, broken[i][1]) == NULL)
            fail_msg("%zu: %s", i, error.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members_come_sorted_and_properties_are_passed_over),
        cmocka_unit_test(test_a_broken_catalog_is_refused_with_its_reason),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
