/* tamis ctl against a control server with canned results: what a person sees, and the exit codes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/quantity.h"
#include "service/control.h"

static char folder[64];
static char path[96];
static struct control_server *server;

/* What the program has seen and said in one run. */
static char output[1 << 16], errors[1 << 16];

int command_usage_error(const struct command *command, const char *format, ...)
{
    va_list arguments;

    assert_ptr_equal(command, &command_ctl);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    return EXIT_USAGE;
}

static int canned(json_t **ret_result, const char *text)
{
    *ret_result = json_loads(text, 0, NULL);
    return *ret_result != NULL ? 0 : -EINVAL;
}

static int status_run(void *context, const json_t *request, json_t **ret_result,
                      struct error *ret_error)
{
    (void)context, (void)request, (void)ret_error;
    return canned(ret_result,
                  "{\"version\": \"0.1.0\", \"pid\": 4711, \"started\": 1404129600,"
                  "\"uptime_s\": 93784, \"workers\": 2, \"zones\": {\"total\": 23, \"serving\": 22,"
                  "\"unloaded\": 1, \"expired\": 0}, \"orders\": {\"active\": 1, \"names\": 18472},"
                  "\"memory_octets\": 402653184, \"queries\": {\"udp\": 1234567, \"tcp\": 89,"
                  "\"tls\": 7},"
                  "\"new\": [1]}");
}

static int zones_run(void *context, const json_t *request, json_t **ret_result,
                     struct error *ret_error)
{
    (void)context, (void)request, (void)ret_error;
    char text[1024];
    snprintf(text, sizeof(text),
             "[{\"name\": \"a.example\", \"role\": \"primary\", \"status\": \"serving\","
             "\"serial\": 2014063001, \"names\": 1000000, \"records\": 2000001,"
             "\"memory_octets\": 80000000, \"loaded_at\": %lld, \"checked_at\": 0,"
             "\"expires_at\": 0, \"answers\": {\"queries\": 1234000}, \"error\": \"\"},"
             "{\"name\": \"longer.b.example\", \"role\": \"secondary\", \"status\": \"unloaded\","
             "\"error\": \"192.0.2.1@53: \\u001b[31mrefused\"}]",
             (long long)time(NULL) - 600);
    return canned(ret_result, text);
}

static int orders_run(void *context, const json_t *request, json_t **ret_result,
                      struct error *ret_error)
{
    (void)context, (void)request, (void)ret_error;
    return canned(
        ret_result,
        "[{\"id\": \"nv-1\", \"kind\": \"court\", \"action\": \"sinkhole\","
        "\"authority\": \"D. Nevada\", \"starts\": 1404129600, \"ends\": \"2014-07-14T12:00:00Z\","
        "\"state\": \"in force\", \"names\": 18472, \"marked\": 2000, \"refused\": 1,"
        "\"subtrees\": 0, \"exempt\": 3, \"hits\": 12,"
        "\"notice\": \"https://desk.example/orders/nv-1\", \"activated_at\": 1404129601,"
        "\"findings\": [{\"file\": \"names.txt\", \"line\": 7,"
        "\"entry\": \"*.a.example\", \"reason\": \"is a wildcard\"}]}]");
}

static int stats_run(void *context, const json_t *request, json_t **ret_result,
                     struct error *ret_error)
{
    (void)context, (void)request, (void)ret_error;
    json_t *names = json_array();
    for (int i = 0; i < 25; i++) {
        char name[32];
        snprintf(name, sizeof(name), "h%02d.a.example", i);
        json_array_append_new(names, json_pack("{s:s, s:i}", "name", name, "hits", 2500 - i));
    }
    *ret_result = json_pack("{s:{s:i, s:i}, s:{s:i}, s:[{s:s, s:i, s:o}]}", "queries", "udp",
                            1234567, "tcp", 89, "responses", "NOERROR", 5, "orders", "id", "nv-1",
                            "hits", 62200, "names", names);
    return 0;
}

static int activate_run(void *context, const json_t *request, json_t **ret_result,
                        struct error *ret_error)
{
    const char *file = json_string_value(json_object_get(request, "file"));

    (void)context;
    assert_int_equal(file[0], '/');
    if (json_is_true(json_object_get(request, "strict")))
        return error_set_at(ret_error, -EINVAL, "names.txt", 7, "\"*.a.example\" is a wildcard");
    return canned(ret_result,
                  "{\"id\": \"nv-1\", \"names\": 18472, \"marked\": 2000,"
                  "\"refused\": 1, \"finding_total\": 5, \"took_ms\": 12.4, \"replaced\": true,"
                  "\"findings\": [{\"file\": \"names.txt\", \"line\": 7,"
                  "\"entry\": \"*.a.example\", \"reason\": \"is a wildcard\"}]}");
}

static int lift_run(void *context, const json_t *request, json_t **ret_result,
                    struct error *ret_error)
{
    const char *id = json_string_value(json_object_get(request, "id"));

    (void)context;
    if (strcmp(id, "nv-1") != 0)
        return error_set(ret_error, -ENOENT, "no order %s is active", id);
    return canned(ret_result, "{\"id\": \"nv-1\", \"names\": 18472, \"took_ms\": 0.25}");
}

static int reload_run(void *context, const json_t *request, json_t **ret_result,
                      struct error *ret_error)
{
    bool *broken = context;

    (void)request, (void)ret_error;
    if (!*broken)
        return canned(ret_result, "{\"zones\": {\"loaded\": 3, \"unchanged\": 20, \"failed\": 0},"
                                  "\"orders\": {\"active\": 1}, \"findings\": []}");
    return canned(ret_result, "{\"zones\": {\"loaded\": 2, \"unchanged\": 20, \"failed\": 1},"
                              "\"findings\": [{\"file\": \"a.zone\", \"line\": 3,"
                              "\"text\": \"no SOA\"}]}");
}

static const struct control_command commands[] = {
    {"status", status_run},     {"zones", zones_run}, {"orders", orders_run}, {"stats", stats_run},
    {"activate", activate_run}, {"lift", lift_run},   {"reload", reload_run},
};
static bool broken;

static void slurp(FILE *file, char *ret_text, size_t size)
{
    rewind(file);
    size_t got = fread(ret_text, 1, size - 1, file);
    ret_text[got] = '\0';
    fclose(file);
}

/* Runs "tamis ctl ARGUMENTS" with its output kept. Arguments end with NULL. */
static int run(const char *first, ...)
{
    char *argv[16] = {"ctl"};
    int argc = 1;
    va_list arguments;

    va_start(arguments, first);
    for (const char *argument = first; argument != NULL; argument = va_arg(arguments, char *))
        argv[argc++] = (char *)argument;
    va_end(arguments);

    FILE *out = tmpfile(), *err = tmpfile();
    assert_true(out != NULL && err != NULL);
    fflush(stdout);
    fflush(stderr);
    int old_out = dup(STDOUT_FILENO), old_err = dup(STDERR_FILENO);
    dup2(fileno(out), STDOUT_FILENO);
    dup2(fileno(err), STDERR_FILENO);
    int code = command_ctl.run(argc, argv);
    fflush(stdout);
    fflush(stderr);
    dup2(old_out, STDOUT_FILENO);
    dup2(old_err, STDERR_FILENO);
    close(old_out);
    close(old_err);
    slurp(out, output, sizeof(output));
    slurp(err, errors, sizeof(errors));
    return code;
}

static void assert_in(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, text);
}

static void test_status_is_told_with_units(void **state)
{
    (void)state;
    assert_int_equal(run("-s", path, "status", NULL), EXIT_OK);
    assert_string_equal(output, "tamisd 0.1.0, pid 4711, up 1 d 2 h, since 2014-06-30T12:00:00Z\n"
                                "zones    23: 22 serving, 1 unloaded, 0 expired\n"
                                "orders   1 active, 18,472 names\n"
                                "queries  1,234,567 UDP, 89 TCP, 7 TLS\n"
                                "workers  2\n"
                                "memory   384.0 MiB\n");
    assert_string_equal(errors, "");
}

static void test_zones_are_an_aligned_table_with_errors_below(void **state)
{
    (void)state;
    assert_int_equal(run("zones", "-s", path, NULL), EXIT_OK);
    assert_string_equal(
        output,
        "ZONE              ROLE       STATUS        SERIAL      NAMES    RECORDS    MEMORY  "
        "LOADED      CHECKED  EXPIRES    QUERIES\n"
        "a.example         primary    serving   2014063001  1,000,000  2,000,001  76.3 MiB  "
        "10 min ago  -        -        1,234,000\n"
        "longer.b.example  secondary  unloaded           -          -          -         -  "
        "-           -        -                -\n");
    assert_string_equal(errors, "longer.b.example: 192.0.2.1@53: ?[31mrefused\n");
}

static void test_orders_show_state_and_what_was_refused(void **state)
{
    (void)state;
    assert_int_equal(run("-s", path, "orders", NULL), EXIT_OK);
    assert_in(output, "nv-1   court  sinkhole  in force  18,472   2,000        1    12  "
                      "2014-06-30T12:00:00Z  2014-07-14T12:00:00Z\n");
    assert_in(output, "nv-1: D. Nevada\n");
    assert_in(output, "  notice     https://desk.example/orders/nv-1\n");
    assert_in(output, "  exempt     3 names\n");
    assert_in(output, "  names.txt:7: *.a.example is a wildcard\n");
}

static void test_stats_show_the_twenty_most_hit_names(void **state)
{
    (void)state;
    assert_int_equal(run("-s", path, "stats", NULL), EXIT_OK);
    assert_in(output, "queries:\n  udp  1,234,567\n  tcp         89\n");
    assert_in(output, "order nv-1: 62,200 hits on 25 names:\n  h00.a.example  2,500\n");
    assert_in(output, "h19.a.example");
    assert_null(strstr(output, "h20.a.example"));
    assert_in(output, "and 5 more names");

    assert_int_equal(run("-s", path, "--json", "stats", NULL), EXIT_OK);
    json_t *result = json_loads(output, 0, NULL);
    json_t *order = json_array_get(json_object_get(result, "orders"), 0);
    assert_int_equal(json_array_size(json_object_get(order, "names")), 25);
    json_decref(result);
}

static void test_activate_sends_the_absolute_path_and_lists_refusals(void **state)
{
    (void)state;
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(run("activate", "order.yaml", NULL), EXIT_OK);
    assert_string_equal(output, "order nv-1 is active in place of its earlier version after 12 ms: "
                                "18,472 names, 2,000 in effect, 1 refused\n");
    assert_string_equal(errors, "refused entries:\n  names.txt:7: *.a.example is a wildcard\n"
                                "  and 4 more: --json shows more of them\n");

    assert_int_equal(run("activate", "--strict", "order.yaml", NULL), EXIT_FINDING);
    assert_string_equal(output, "");
    assert_string_equal(errors, "tamis ctl: names.txt:7: \"*.a.example\" is a wildcard\n");

    assert_int_equal(run("activate", "gone.yaml", NULL), EXIT_FINDING);
    assert_in(errors, "tamis ctl: gone.yaml: the order file cannot be found");
    assert_int_equal(chdir("/"), 0);
}

static void test_lift_names_the_order_that_is_not_there(void **state)
{
    (void)state;
    assert_int_equal(run("-s", path, "lift", "nv-1", NULL), EXIT_OK);
    assert_string_equal(
        output, "order nv-1 is lifted after 0.25 ms: 18,472 names answer as their zones say\n");
    assert_int_equal(run("-s", path, "lift", "nv-2", "--json", NULL), EXIT_FINDING);
    assert_string_equal(errors, "tamis ctl: no order nv-2 is active\n");
    json_t *answer = json_loads(output, 0, NULL);
    assert_true(json_is_false(json_object_get(answer, "ok")));
    json_decref(answer);
}

static void test_a_reload_with_findings_exits_1(void **state)
{
    (void)state;
    broken = false;
    assert_int_equal(run("-s", path, "reload", NULL), EXIT_OK);
    assert_string_equal(output, "zones: 3 loaded, 20 unchanged, 0 failed\norders: 1 active\n");
    broken = true;
    assert_int_equal(run("-s", path, "reload", NULL), EXIT_FINDING);
    assert_string_equal(errors, "what failed keeps its earlier state:\n  a.zone:3: no SOA\n");
    assert_int_equal(run("-s", path, "reload", "--json", NULL), EXIT_FINDING);
    assert_string_equal(errors, "");
}

static void test_wrong_use_exits_2_and_says_how(void **state)
{
    (void)state;
    assert_int_equal(run(NULL), EXIT_USAGE);
    assert_int_equal(run("activte", NULL), EXIT_USAGE);
    assert_in(errors, "did you mean \"activate\"");
    assert_int_equal(run("lift", NULL), EXIT_USAGE);
    assert_in(errors, "needs its ID");
    assert_int_equal(run("status", "now", NULL), EXIT_USAGE);
    assert_int_equal(run("status", "--strict", NULL), EXIT_USAGE);
    assert_int_equal(run("status", "--wrong", NULL), EXIT_USAGE);
    assert_in(errors, "--wrong");
    assert_int_equal(run("status", "-s", NULL), EXIT_USAGE);
    assert_in(errors, "-s needs a value");
}

static void test_no_server_names_the_socket_and_how_to_start(void **state)
{
    (void)state;
    assert_int_equal(run("-s", "/nowhere/tamisd.sock", "status", NULL), EXIT_FINDING);
    assert_in(errors, "tamis ctl: /nowhere/tamisd.sock: no tamisd answers here");
    assert_in(errors, "tamisd -c FILE");

    setenv("TAMIS_SOCKET", "/elsewhere/tamisd.sock", 1);
    assert_int_equal(run("status", NULL), EXIT_FINDING);
    assert_in(errors, "/elsewhere/tamisd.sock");
    assert_int_equal(run("-s", path, "status", NULL), EXIT_OK);
    unsetenv("TAMIS_SOCKET");
    assert_int_equal(run("status", NULL), EXIT_FINDING);
    assert_in(errors, "/run/tamis/tamisd.sock");
}

static void test_a_full_disk_is_a_failure(void **state)
{
    (void)state;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC), kept = dup(STDOUT_FILENO);
    char *argv[] = {"ctl", "-s", path, "status", NULL};

    assert_true(full >= 0);
    fflush(stdout);
    dup2(full, STDOUT_FILENO);
    int code = command_ctl.run(4, argv);
    dup2(kept, STDOUT_FILENO);
    clearerr(stdout);
    close(full);
    close(kept);
    assert_int_equal(code, EXIT_FINDING);
}

static void test_quantities_read_well(void **state)
{
    (void)state;
    assert_string_equal(quantity_count(0).text, "0");
    assert_string_equal(quantity_count(-1234).text, "-1,234");
    assert_string_equal(quantity_count(INT64_MIN).text, "-9,223,372,036,854,775,808");
    assert_string_equal(quantity_octets(1023).text, "1023 B");
    assert_string_equal(quantity_octets(1024).text, "1.0 KiB");
    assert_string_equal(quantity_octets(1048575).text, "1.0 MiB");
    assert_string_equal(quantity_octets(INT64_MAX).text, "8388608.0 TiB");
    assert_string_equal(quantity_seconds(0).text, "0 s");
    assert_string_equal(quantity_seconds(60).text, "1 min");
    assert_string_equal(quantity_seconds(3725).text, "1 h 2 min");
    assert_string_equal(quantity_ms(0.04).text, "0.04 ms");
    assert_string_equal(quantity_ms(9.5).text, "9.5 ms");
    assert_string_equal(quantity_ms(9.96).text, "10 ms");
    assert_string_equal(quantity_ms(1500).text, "1.5 s");
    assert_string_equal(quantity_distance(100, 40).text, "in 1 min");
    assert_string_equal(quantity_distance(40, 40).text, "0 s ago");
}

static int server_start(void **state)
{
    struct error error = {0};

    (void)state;
    unsetenv("TAMIS_SOCKET");
    strcpy(folder, "/tmp/tamis-ctl-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/order.yaml", folder);
    FILE *file = fopen(path, "w");
    if (file == NULL || fclose(file) != 0)
        return -1;
    snprintf(path, sizeof(path), "%s/tamisd.sock", folder);
    return control_server_start(path, commands, sizeof(commands) / sizeof(commands[0]), &broken,
                                &server, &error);
}

static int server_stop(void **state)
{
    char order[96];

    (void)state;
    control_server_stop(server);
    snprintf(order, sizeof(order), "%s/order.yaml", folder);
    unlink(order);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_is_told_with_units),
        cmocka_unit_test(test_zones_are_an_aligned_table_with_errors_below),
        cmocka_unit_test(test_orders_show_state_and_what_was_refused),
        cmocka_unit_test(test_stats_show_the_twenty_most_hit_names),
        cmocka_unit_test(test_activate_sends_the_absolute_path_and_lists_refusals),
        cmocka_unit_test(test_lift_names_the_order_that_is_not_there),
        cmocka_unit_test(test_a_reload_with_findings_exits_1),
        cmocka_unit_test(test_wrong_use_exits_2_and_says_how),
        cmocka_unit_test(test_no_server_names_the_socket_and_how_to_start),
        cmocka_unit_test(test_a_full_disk_is_a_failure),
        cmocka_unit_test(test_quantities_read_well),
    };
    return cmocka_run_group_tests(tests, server_start, server_stop);
}
