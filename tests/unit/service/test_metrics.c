/* The two HTTP pages, asked over a plain socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/metrics.h"

/* Longer than a socket's buffer. */
#define SAMPLES 100000

struct sample_source {
    bool healthy;
    bool speaks;
};

static void source_write(void *context, FILE *stream)
{
    (void)context;
    fputs("# HELP tamis_up Whether it is.\n# TYPE tamis_up gauge\n", stream);
    for (int i = 0; i < SAMPLES; i++)
        fprintf(stream, "tamis_up{n=\"%d\"} 1\n", i);
}

static bool source_healthy(void *context, FILE *stream)
{
    const struct sample_source *source = context;

    if (source->speaks)
        fputs("zone a.example has expired\n", stream);
    return source->healthy;
}

struct fixture {
    struct sample_source sample;
    struct metrics_source source;
    struct sockaddr_in address;
    struct metrics_server *server;
};

/* A port that was free a moment ago. */
static uint16_t port_free(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);

    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    return address.sin_port;
}

static int fixture_start(void **state)
{
    static struct fixture fixture;
    struct error error = {0};

    fixture = (struct fixture){
        .sample = {.healthy = true},
        .source = {source_write, source_healthy, &fixture.sample},
        .address = {.sin_family = AF_INET,
                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                    .sin_port = port_free()},
    };
    *state = &fixture;
    int rc = metrics_server_start((struct sockaddr *)&fixture.address, sizeof(fixture.address),
                                  &fixture.source, &fixture.server, &error);
    if (rc < 0)
        error_print(stderr, "test_metrics", &error);
    return rc;
}

static int fixture_stop(void **state)
{
    struct fixture *fixture = *state;
    metrics_server_stop(fixture->server);
    return 0;
}

/* Sends a request and returns all that comes back, with its size when asked. */
static char *ask(const struct fixture *fixture, const char *request)
{
    const struct timeval patience = {.tv_sec = 20};
    size_t size = 0, capacity = 16 << 20;
    char *response = malloc(capacity);

    assert_non_null(response);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(
        connect(fd, (const struct sockaddr *)&fixture->address, sizeof(fixture->address)), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
    for (;;) {
        ssize_t got = recv(fd, response + size, capacity - 1 - size, 0);
        assert_true(got >= 0);
        if (got == 0)
            break;
        size += (size_t)got;
    }
    response[size] = '\0';
    close(fd);
    return response;
}

#define REQUEST(method, path) method " " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static void assert_says(char *response, const char *first, const char *rest)
{
    if (strncmp(response, first, strlen(first)) != 0 || strstr(response, rest) == NULL)
        fail_msg("expected \"%s\" ... \"%s\", got: %.300s", first, rest, response);
    free(response);
}

static void test_metrics_are_prometheus_text(void **state)
{
    char *response = ask(*state, REQUEST("GET", "/metrics"));

    assert_non_null(strstr(response, "Content-Type: text/plain; version=0.0.4"));
    assert_non_null(strstr(response, "# TYPE tamis_up gauge\n"));
    const char *last = "tamis_up{n=\"99999\"} 1\n";
    assert_string_equal(response + strlen(response) - strlen(last), last);
    assert_says(response, "HTTP/1.1 200", "\r\n\r\n# HELP");
}

static void test_a_head_request_gets_no_body(void **state)
{
    char *response = ask(*state, REQUEST("HEAD", "/metrics"));

    assert_null(strstr(response, "tamis_up"));
    assert_says(response, "HTTP/1.1 200", "Content-Length:");
}

static void test_health_is_a_status_with_its_reasons(void **state)
{
    struct fixture *fixture = *state;

    assert_says(ask(fixture, REQUEST("GET", "/healthz")), "HTTP/1.1 200", "\r\n\r\nok\n");
    fixture->sample = (struct sample_source){.healthy = false, .speaks = true};
    assert_says(ask(fixture, REQUEST("GET", "/healthz")), "HTTP/1.1 503",
                "\r\n\r\nzone a.example has expired\n");
    fixture->sample = (struct sample_source){.healthy = false};
    assert_says(ask(fixture, REQUEST("GET", "/healthz")), "HTTP/1.1 503", "not healthy\n");
}

static void test_other_paths_and_methods_are_refused(void **state)
{
    assert_says(ask(*state, REQUEST("GET", "/")), "HTTP/1.1 404", "/metrics");
    assert_says(ask(*state, REQUEST("GET", "/metrics/")), "HTTP/1.1 404", "/metrics");
    assert_says(ask(*state, REQUEST("DELETE", "/metrics")), "HTTP/1.1 405", "Allow: GET, HEAD");
    assert_says(ask(*state, "POST /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                            "Content-Length: 4\r\n\r\nabcd"),
                "HTTP/1.1 405", "use GET");
}

static void test_garbage_ends_only_its_own_connection(void **state)
{
    free(ask(*state, "\x16\x03\x01 this is no HTTP\r\n\r\n\r\n"));
    assert_says(ask(*state, REQUEST("GET", "/healthz")), "HTTP/1.1 200", "ok\n");
}

static void test_metrics_are_served_over_ipv6(void **state)
{
    const struct fixture *fixture = *state;
    struct sockaddr_in6 address = {
        .sin6_family = AF_INET6,
        .sin6_addr = IN6ADDR_LOOPBACK_INIT,
        .sin6_port = fixture->address.sin_port, /* free there as well: no socket is dual-stack */
    };
    struct metrics_server *server = NULL;
    struct error error = {0};
    static const char request[] = REQUEST("GET", "/healthz");
    char response[16];

    assert_int_equal(metrics_server_start((struct sockaddr *)&address, sizeof(address),
                                          &fixture->source, &server, &error),
                     0);
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL), sizeof(request) - 1);
    assert_int_equal(recv(fd, response, 12, MSG_WAITALL), 12);
    assert_memory_equal(response, "HTTP/1.1 200", 12);
    close(fd);
    metrics_server_stop(server);
}

static void test_a_taken_port_is_named(void **state)
{
    const struct fixture *fixture = *state;
    struct metrics_server *other = NULL;
    struct error error = {0};

    assert_int_equal(metrics_server_start((const struct sockaddr *)&fixture->address,
                                          sizeof(fixture->address), &fixture->source, &other,
                                          &error),
                     -EADDRINUSE);
    assert_non_null(strstr(error.text, "127.0.0.1@"));
    assert_null(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_metrics_are_prometheus_text, fixture_start,
                                        fixture_stop),
        cmocka_unit_test_setup_teardown(test_a_head_request_gets_no_body, fixture_start,
                                        fixture_stop),
        cmocka_unit_test_setup_teardown(test_health_is_a_status_with_its_reasons, fixture_start,
                                        fixture_stop),
        cmocka_unit_test_setup_teardown(test_other_paths_and_methods_are_refused, fixture_start,
                                        fixture_stop),
        cmocka_unit_test_setup_teardown(test_garbage_ends_only_its_own_connection, fixture_start,
                                        fixture_stop),
        cmocka_unit_test_setup_teardown(test_metrics_are_served_over_ipv6, fixture_start,
                                        fixture_stop),
        cmocka_unit_test_setup_teardown(test_a_taken_port_is_named, fixture_start, fixture_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
