/* The control socket: what it answers, and that no client can hold up another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "service/control.h"

/* Longer than any socket buffer, so that it can only arrive in pieces. */
#define LONG_COUNT 400000

static char folder[64];
static char path[96];

static int echo_run(void *context, const json_t *request, json_t **ret_result,
                    struct error *ret_error)
{
    (void)ret_error;
    *ret_result =
        json_pack("{s:s, s:O?}", "context", context, "said", json_object_get(request, "say"));
    return 0;
}

static int long_run(void *context, const json_t *request, json_t **ret_result,
                    struct error *ret_error)
{
    (void)context;
    (void)request;
    (void)ret_error;
    json_t *list = json_array();
    for (json_int_t i = 0; i < LONG_COUNT; i++)
        json_array_append_new(list, json_integer(i));
    *ret_result = list;
    return 0;
}

static int fail_run(void *context, const json_t *request, json_t **ret_result,
                    struct error *ret_error)
{
    (void)context;
    (void)request;
    (void)ret_result;
    return error_set_at(ret_error, -EINVAL, "order.yaml", 7, "bad \xff octet");
}

static int silent_failure_run(void *context, const json_t *request, json_t **ret_result,
                              struct error *ret_error)
{
    (void)context;
    (void)request;
    (void)ret_result;
    (void)ret_error;
    return -ENOSPC;
}

/* What the tests let the slow command know. */
static atomic_uint slow_started, slow_released;

/* Runs until it is released. */
static int slow_run(void *context, const json_t *request, json_t **ret_result,
                    struct error *ret_error)
{
    unsigned number = atomic_fetch_add(&slow_started, 1);
    while (atomic_load(&slow_released) <= number)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return echo_run(context, request, ret_result, ret_error);
}

static const struct control_command commands[] = {
    {"echo", echo_run, false}, {"long", long_run, false},
    {"fail", fail_run, false}, {"silent-failure", silent_failure_run, false},
    {"slow", slow_run, true},
};

static struct control_server *server_start(void)
{
    struct control_server *server = NULL;
    struct error error = {0};

    int rc = control_server_start(path, commands, sizeof(commands) / sizeof(commands[0]), "here",
                                  &server, &error);
    if (rc < 0)
        error_print(stderr, "test_control", &error);
    assert_int_equal(rc, 0);
    return server;
}

static int client_open(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = 20}; /* a hang fails instead of blocking the run */

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void client_send(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Receives one line and parses it. */
static json_t *client_receive(int fd)
{
    size_t size = 0, capacity = 1 << 16;
    char *line = malloc(capacity);
    char octet;

    for (;;) {
        assert_int_equal(recv(fd, &octet, 1, 0), 1);
        if (octet == '\n')
            break;
        if (size == capacity)
            line = realloc(line, capacity *= 2);
        assert_non_null(line);
        line[size++] = octet;
    }
    json_t *answer = json_loadb(line, size, 0, NULL);
    free(line);
    assert_non_null(answer);
    return answer;
}

static void assert_failed(json_t *answer, const char *text)
{
    assert_true(json_is_false(json_object_get(answer, "ok")));
    const char *said = json_string_value(json_object_get(json_object_get(answer, "error"), "text"));
    assert_non_null(said);
    if (strstr(said, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, said);
    json_decref(answer);
}

static void assert_echo(int fd)
{
    client_send(fd, "{\"command\": \"echo\", \"say\": \"hello\"}\n");
    json_t *answer = client_receive(fd);
    assert_true(json_is_true(json_object_get(answer, "ok")));
    json_t *result = json_object_get(answer, "result");
    assert_string_equal(json_string_value(json_object_get(result, "context")), "here");
    assert_string_equal(json_string_value(json_object_get(result, "said")), "hello");
    json_decref(answer);
}

static void test_commands_are_answered_in_order(void **state)
{
    struct control_server *server = server_start();
    int fd = client_open();

    (void)state;
    assert_echo(fd);
    client_send(
        fd, "{\"command\": \"echo\", \"say\": 1}\n\n  \r\n{\"command\": \"echo\", \"say\": 2}\n");
    for (json_int_t i = 1; i <= 2; i++) {
        json_t *answer = client_receive(fd);
        json_t *result = json_object_get(answer, "result");
        assert_int_equal(json_integer_value(json_object_get(result, "said")), i);
        json_decref(answer);
    }
    close(fd);
    control_server_stop(server);
}

static void test_a_request_in_pieces_is_one_request(void **state)
{
    static const char request[] = "{\"command\": \"echo\", \"say\": \"hello\"}\n";
    struct control_server *server = server_start();
    int fd = client_open();

    (void)state;
    for (size_t i = 0; i < sizeof(request) - 1; i++) {
        char octet[2] = {request[i], '\0'};
        client_send(fd, octet);
    }
    json_t *answer = client_receive(fd);
    assert_true(json_is_true(json_object_get(answer, "ok")));
    json_decref(answer);
    close(fd);
    control_server_stop(server);
}

static void test_a_last_line_without_newline_is_answered(void **state)
{
    struct control_server *server = server_start();
    int fd = client_open();
    char octet;

    (void)state;
    client_send(fd, "{\"command\": \"echo\"}");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    json_decref(client_receive(fd));
    assert_int_equal(recv(fd, &octet, 1, 0), 0);
    close(fd);
    control_server_stop(server);
}

static void test_wrong_requests_say_what_is_wrong_and_the_client_stays(void **state)
{
    struct control_server *server = server_start();
    int fd = client_open();

    (void)state;
    client_send(fd, "garbage\n");
    assert_failed(client_receive(fd), "no JSON");
    client_send(fd, "[1]\n");
    assert_failed(client_receive(fd), "names no command");
    client_send(fd, "{\"command\": 5}\n");
    assert_failed(client_receive(fd), "names no command");
    client_send(fd, "{\"command\": \"ecko\"}\n");
    assert_failed(client_receive(fd), "did you mean \"echo\"");
    client_send(fd, "{\"command\": \"xxxxxxxxxx\"}\n");
    assert_failed(client_receive(fd), "known are echo, long, fail");
    client_send(fd, "{\"command\": \"silent-failure\"}\n");
    assert_failed(client_receive(fd), strerror(ENOSPC));
    assert_echo(fd);
    close(fd);
    control_server_stop(server);
}

static void test_an_error_carries_file_and_line(void **state)
{
    struct control_server *server = server_start();
    int fd = client_open();

    (void)state;
    client_send(fd, "{\"command\": \"fail\"}\n");
    json_t *answer = client_receive(fd);
    json_t *error = json_object_get(answer, "error");
    assert_string_equal(json_string_value(json_object_get(error, "file")), "order.yaml");
    assert_int_equal(json_integer_value(json_object_get(error, "line")), 7);
    assert_string_equal(json_string_value(json_object_get(error, "text")), "bad ? octet");
    json_decref(answer);
    close(fd);
    control_server_stop(server);
}

static void test_a_line_too_long_is_refused_and_ends_the_client(void **state)
{
    struct control_server *server = server_start();
    int fd = client_open();
    char junk[32 * 1024];
    char octet;

    (void)state;
    memset(junk, ' ', sizeof(junk)); /* blank, so that only its length is wrong */
    assert_int_equal(send(fd, junk, sizeof(junk), MSG_NOSIGNAL), sizeof(junk));
    assert_failed(client_receive(fd), "more than");
    assert_int_equal(recv(fd, &octet, 1, 0), 0);
    close(fd);

    fd = client_open();
    assert_echo(fd);
    close(fd);
    control_server_stop(server);
}

static void test_stalled_clients_hold_up_nobody(void **state)
{
    struct control_server *server = server_start();
    int half = client_open(), deaf = client_open(), fd = client_open();

    (void)state;
    client_send(half, "{\"command\": ");
    client_send(deaf, "{\"command\": \"long\"}\n{\"command\": \"long\"}\n");
    assert_echo(fd);

    /* The long answer arrives whole once its client begins to read. */
    for (int round = 0; round < 2; round++) {
        json_t *answer = client_receive(deaf);
        json_t *result = json_object_get(answer, "result");
        assert_int_equal(json_array_size(result), LONG_COUNT);
        assert_int_equal(json_integer_value(json_array_get(result, LONG_COUNT - 1)),
                         LONG_COUNT - 1);
        json_decref(answer);
    }
    client_send(half, "\"echo\"}\n");
    json_decref(client_receive(half));

    /* A client that leaves in the middle of its answer. */
    client_send(deaf, "{\"command\": \"long\"}\n");
    close(deaf);
    assert_echo(fd);
    close(half);
    close(fd);
    control_server_stop(server);
}

static void slow_begin(int fd, unsigned number)
{
    client_send(fd, "{\"command\": \"slow\", \"say\": \"slow\"}\n");
    while (atomic_load(&slow_started) < number)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void assert_said(int fd, const char *text)
{
    json_t *answer = client_receive(fd);
    const json_t *said = json_object_get(json_object_get(answer, "result"), "said");
    assert_string_equal(json_string_value(said), text);
    json_decref(answer);
}

static void test_a_slow_command_holds_up_its_own_client_alone(void **state)
{
    struct control_server *server = server_start();
    int slow = client_open(), fd = client_open();

    (void)state;
    atomic_store(&slow_started, 0);
    atomic_store(&slow_released, 0);
    slow_begin(slow, 1);
    client_send(slow, "{\"command\": \"echo\", \"say\": \"after\"}\n");
    assert_echo(fd);

    /* Nothing of the line behind it comes before its own answer. */
    char octet;
    assert_int_equal(recv(slow, &octet, 1, MSG_DONTWAIT), -1);
    atomic_store(&slow_released, 1);
    assert_said(slow, "slow");
    assert_said(slow, "after");
    close(slow);
    close(fd);
    control_server_stop(server);
}

static void test_a_slow_command_outlives_its_client(void **state)
{
    struct control_server *server = server_start();
    int slow = client_open(), fd = client_open();

    (void)state;
    atomic_store(&slow_started, 0);
    atomic_store(&slow_released, 0);
    slow_begin(slow, 1);
    close(slow);
    assert_echo(fd);
    atomic_store(&slow_released, 1);
    assert_echo(fd);
    close(fd);
    control_server_stop(server);
}

static void test_slow_commands_are_bounded_and_quick_ones_go_on(void **state)
{
    enum { JOBS = 8, SILENT = 64 };
    struct control_server *server = server_start();
    int slow[JOBS], silent[SILENT];

    (void)state;
    atomic_store(&slow_started, 0);
    atomic_store(&slow_released, 0);
    for (unsigned i = 0; i < JOBS; i++) {
        slow[i] = client_open();
        slow_begin(slow[i], i + 1);
    }
    int fd = client_open();
    client_send(fd, "{\"command\": \"slow\"}\n");
    json_t *refused = client_receive(fd);
    assert_true(json_is_true(json_object_get(json_object_get(refused, "error"), "again")));
    assert_failed(refused, "try again");
    assert_echo(fd);

    /* More clients than places push out others than those that wait for their answer. */
    for (size_t i = 0; i < SILENT; i++)
        silent[i] = client_open();
    int late = client_open();
    assert_echo(late);
    atomic_store(&slow_released, JOBS);
    for (unsigned i = 0; i < JOBS; i++) {
        assert_said(slow[i], "slow");
        assert_echo(slow[i]);
        close(slow[i]);
    }
    for (size_t i = 0; i < SILENT; i++)
        close(silent[i]);
    close(late);
    close(fd);
    control_server_stop(server);
}

static void *slow_release_soon(void *argument)
{
    (void)argument;
    nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000}, NULL);
    atomic_store(&slow_released, 1);
    return NULL;
}

static void test_a_stop_waits_for_a_slow_command_and_answers_it(void **state)
{
    struct control_server *server = server_start();
    int slow = client_open();
    pthread_t thread;

    (void)state;
    atomic_store(&slow_started, 0);
    atomic_store(&slow_released, 0);
    slow_begin(slow, 1);
    assert_int_equal(pthread_create(&thread, NULL, slow_release_soon, NULL), 0);
    control_server_stop(server);
    assert_int_equal(atomic_load(&slow_released), 1);
    pthread_join(thread, NULL);
    assert_said(slow, "slow");
    close(slow);
}

static void test_more_clients_than_places_push_out_the_silent_ones(void **state)
{
    struct control_server *server = server_start();
    int silent[64];

    (void)state;
    for (size_t i = 0; i < 64; i++)
        silent[i] = client_open();
    int fd = client_open();
    assert_echo(fd);
    for (size_t i = 0; i < 64; i++)
        close(silent[i]);
    close(fd);
    control_server_stop(server);
}

static void test_the_socket_is_private_and_goes_with_the_server(void **state)
{
    struct stat status;
    mode_t before = umask(0);
    struct control_server *server = server_start();

    (void)state;
    umask(before);
    assert_int_equal(stat(path, &status), 0);
    assert_true(S_ISSOCK(status.st_mode));
    assert_int_equal(status.st_mode & 0777, 0660);
    control_server_stop(server);
    assert_int_equal(stat(path, &status), -1);
    assert_int_equal(errno, ENOENT);
}

static void test_a_dead_socket_is_replaced_a_live_one_and_a_file_are_not(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct control_server *other = NULL;
    struct error error = {0};
    struct stat status;

    (void)state;
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd); /* the file stays, as after kill -9 */
    struct control_server *server = server_start();

    assert_int_equal(control_server_start(path, commands, 1, NULL, &other, &error), -EADDRINUSE);
    assert_non_null(strstr(error.text, "another tamisd"));
    assert_string_equal(error.file, path);
    fd = client_open();
    assert_echo(fd);
    close(fd);
    control_server_stop(server);

    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(control_server_start(path, commands, 1, NULL, &other, &error), -EEXIST);
    assert_int_equal(stat(path, &status), 0);
    unlink(path);

    assert_int_equal(
        control_server_start("/nowhere/tamisd.sock", commands, 1, NULL, &other, &error), -ENOENT);
    assert_non_null(strstr(error.text, "folder must exist"));
    assert_null(other);
}

static int folder_create(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/tamis-control-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/tamisd.sock", folder);
    return 0;
}

static int folder_remove(void **state)
{
    (void)state;
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands_are_answered_in_order),
        cmocka_unit_test(test_a_request_in_pieces_is_one_request),
        cmocka_unit_test(test_a_last_line_without_newline_is_answered),
        cmocka_unit_test(test_wrong_requests_say_what_is_wrong_and_the_client_stays),
        cmocka_unit_test(test_an_error_carries_file_and_line),
        cmocka_unit_test(test_a_line_too_long_is_refused_and_ends_the_client),
        cmocka_unit_test(test_stalled_clients_hold_up_nobody),
        cmocka_unit_test(test_a_slow_command_holds_up_its_own_client_alone),
        cmocka_unit_test(test_a_slow_command_outlives_its_client),
        cmocka_unit_test(test_slow_commands_are_bounded_and_quick_ones_go_on),
        cmocka_unit_test(test_a_stop_waits_for_a_slow_command_and_answers_it),
        cmocka_unit_test(test_more_clients_than_places_push_out_the_silent_ones),
        cmocka_unit_test(test_the_socket_is_private_and_goes_with_the_server),
        cmocka_unit_test(test_a_dead_socket_is_replaced_a_live_one_and_a_file_are_not),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
