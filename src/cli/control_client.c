#include "cli/control_client.h"

#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKET_HERE   "tamisd.sock"
#define SOCKET_SYSTEM "/run/tamis/tamisd.sock"

/* No result is longer; a server that sends more is none of ours. */
#define ANSWER_OCTETS_MAX ((size_t)1 << 30)

#define READ_OCTETS_MIN 65536

/* A tamisd with too many commands under way is asked again for so long, at growing intervals that
 * differ from client to client. Many at once are then served one after the other. */
#define BUSY_WAIT_MS      30000
#define BUSY_PAUSE_MS     50
#define BUSY_PAUSE_MS_MAX 1000

const char *control_path(const char *given)
{
    const char *environment = getenv("TAMIS_SOCKET");
    struct stat status;

    if (given != NULL)
        return given;
    if (environment != NULL && environment[0] != '\0')
        return environment;
    if (lstat(SOCKET_HERE, &status) == 0 && S_ISSOCK(status.st_mode))
        return SOCKET_HERE;
    return SOCKET_SYSTEM;
}

/* No send or connect, which waits where many connect at once, takes longer. */
static void timeout_set(int fd, unsigned timeout_ms)
{
    const struct timeval timeout = {.tv_sec = timeout_ms / 1000,
                                    .tv_usec = timeout_ms % 1000 * 1000};
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
}

static int timed_out(const char *path, unsigned timeout_ms, struct error *ret_error)
{
    return error_set_at(ret_error, -ETIMEDOUT, path, 0,
                        "tamisd does not answer within %u ms: it hangs or is overloaded",
                        timeout_ms);
}

static int server_connect(const char *path, unsigned timeout_ms, int *ret_fd,
                          struct error *ret_error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path))
        return error_set_at(ret_error, -ENAMETOOLONG, path, 0,
                            "a socket's path may have %zu octets: change to its folder and name it "
                            "from there",
                            sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(ret_error, -errno, "no socket to be had: %s", strerror(errno));
    timeout_set(fd, timeout_ms);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
        *ret_fd = fd;
        return 0;
    }

    int rc = -errno;
    close(fd);
    if (rc == -EAGAIN)
        return timed_out(path, timeout_ms, ret_error);
    if (rc == -EACCES || rc == -EPERM)
        return error_set_at(ret_error, rc, path, 0,
                            "you may not use this socket: run as tamisd's user or join its group");
    return error_set_at(ret_error, rc, path, 0,
                        "no tamisd answers here (%s): start it with \"tamisd -c FILE\", or name "
                        "its socket with -s SOCKET or TAMIS_SOCKET",
                        strerror(-rc));
}

static int request_send(int fd, const char *line, size_t size, struct error *ret_error)
{
    while (size > 0) {
        ssize_t sent = send(fd, line, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return error_set(ret_error, -errno, "tamisd went away: %s; see its log",
                             strerror(errno));
        line += sent;
        size -= (size_t)sent;
    }
    return 0;
}

static void waiting_show(unsigned waited_ms)
{
    if (waited_ms >= 1000 && isatty(STDERR_FILENO))
        fprintf(stderr, "\rwaiting for tamisd: %u s", waited_ms / 1000);
}

/* Waits until the server sends; on a terminal a wait over a second shows. False: for too long. */
static bool answer_wait(int fd, unsigned timeout_ms, unsigned *waited_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    int step_ms = timeout_ms > 0 && timeout_ms < 1000 ? (int)timeout_ms : 1000;

    for (;;) {
        int ready = poll(&poll_fd, 1, step_ms);
        if (ready > 0 || (ready < 0 && errno != EINTR))
            return true; /* recv() tells what is wrong */
        if (ready < 0)
            continue;
        *waited_ms += (unsigned)step_ms;
        if (timeout_ms > 0 && *waited_ms >= timeout_ms)
            return false;
        waiting_show(*waited_ms);
    }
}

static void waiting_end(unsigned waited_ms)
{
    if (waited_ms > 0 && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

/* Receives until the end of the line. `*ret_text` is not NUL-terminated. */
static int answer_receive(int fd, const char *path, unsigned timeout_ms, char **ret_text,
                          size_t *ret_size, struct error *ret_error)
{
    char *text = NULL;
    size_t size = 0, capacity = 0;
    unsigned waited_ms = 0;
    int rc = 0;

    while (size == 0 || text[size - 1] != '\n') {
        if (size == capacity) {
            capacity = capacity == 0 ? READ_OCTETS_MIN : capacity * 2;
            char *larger = capacity <= ANSWER_OCTETS_MAX ? realloc(text, capacity) : NULL;
            if (larger == NULL) {
                rc = error_set(ret_error, -ENOMEM, "the answer does not fit into memory");
                break;
            }
            text = larger;
        }
        if (!answer_wait(fd, timeout_ms, &waited_ms)) {
            rc = timed_out(path, timeout_ms, ret_error);
            break;
        }
        ssize_t got = recv(fd, text + size, capacity - size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            rc = error_set(ret_error, got < 0 ? -errno : -ECONNRESET,
                           "tamisd went away before it had answered; see its log");
            break;
        }
        size += (size_t)got;
    }
    waiting_end(waited_ms);
    if (rc < 0) {
        free(text);
        return rc;
    }
    *ret_text = text;
    *ret_size = size;
    return 0;
}

/* One line with its newline, which takes the place of the NUL. */
static int request_write(const json_t *request, char **ret_line, size_t *ret_size,
                         struct error *ret_error)
{
    char *line = json_dumps(request, JSON_COMPACT);
    if (line == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    size_t size = strlen(line);
    line[size] = '\n';
    *ret_line = line;
    *ret_size = size + 1;
    return 0;
}

/* One connection, one request, one answer. */
static int exchange_once(const char *path, const char *line, size_t line_size, unsigned timeout_ms,
                         json_t **ret_answer, struct error *ret_error)
{
    char *text = NULL;
    size_t size = 0;
    int fd = -1;

    int rc = server_connect(path, timeout_ms, &fd, ret_error);
    if (rc < 0)
        return rc;
    rc = request_send(fd, line, line_size, ret_error);
    if (rc == 0)
        rc = answer_receive(fd, path, timeout_ms, &text, &size, ret_error);
    close(fd);
    if (rc < 0)
        return rc;

    json_t *answer = json_loadb(text, size, 0, NULL);
    free(text);
    if (!json_is_object(answer) || json_object_get(answer, "ok") == NULL) {
        json_decref(answer);
        return error_set_at(ret_error, -EPROTO, path, 0,
                            "what answers here is no tamisd: name another socket with -s SOCKET");
    }
    *ret_answer = answer;
    return 0;
}

static bool is_busy(const json_t *answer)
{
    return json_is_true(json_object_get(json_object_get(answer, "error"), "again"));
}

static unsigned busy_pause(unsigned pause_ms)
{
    unsigned drawn_ms = pause_ms / 2 + randombytes_uniform(pause_ms);
    usleep(drawn_ms * 1000);
    return drawn_ms;
}

static int exchange_within(const char *path, const json_t *request, unsigned timeout_ms,
                           json_t **ret_answer, struct error *ret_error)
{
    unsigned waited_ms = 0, pause_ms = BUSY_PAUSE_MS;
    char *line = NULL;
    size_t size = 0;

    int rc = request_write(request, &line, &size, ret_error);
    if (rc == 0)
        rc = exchange_once(path, line, size, timeout_ms, ret_answer, ret_error);
    while (rc == 0 && is_busy(*ret_answer) && waited_ms < BUSY_WAIT_MS) {
        json_decref(*ret_answer);
        waited_ms += busy_pause(pause_ms);
        waiting_show(waited_ms);
        pause_ms = 2 * pause_ms < BUSY_PAUSE_MS_MAX ? 2 * pause_ms : BUSY_PAUSE_MS_MAX;
        rc = exchange_once(path, line, size, timeout_ms, ret_answer, ret_error);
    }
    waiting_end(waited_ms);
    free(line);
    return rc;
}

int control_exchange(const char *path, const json_t *request, json_t **ret_answer,
                     struct error *ret_error)
{
    return exchange_within(path, request, 0, ret_answer, ret_error);
}

/* The server's error as if it had happened here. */
void control_answer_error(const json_t *answer, struct error *ret_error)
{
    const json_t *object = json_object_get(answer, "error");
    const char *text = json_string_value(json_object_get(object, "text"));
    const char *file = json_string_value(json_object_get(object, "file"));
    json_int_t line = json_integer_value(json_object_get(object, "line"));

    if (is_busy(answer)) {
        error_set(ret_error, -EBUSY, "tamisd was busy for %d s: %s", BUSY_WAIT_MS / 1000,
                  text != NULL ? text : "try again later");
        return;
    }
    error_set_at(ret_error, -EINVAL, file, line > 0 && line <= UINT32_MAX ? (uint32_t)line : 0,
                 "%s", text != NULL ? text : "tamisd refused and did not say why");
}

int control_ask(const char *path, const json_t *request, unsigned timeout_ms, json_t **ret_result,
                struct error *ret_error)
{
    json_t *answer;

    int rc = exchange_within(path, request, timeout_ms, &answer, ret_error);
    if (rc < 0)
        return rc;
    if (json_is_true(json_object_get(answer, "ok"))) {
        json_t *result = json_object_get(answer, "result");
        *ret_result = result != NULL ? json_incref(result) : json_null();
    } else {
        control_answer_error(answer, ret_error);
        rc = -EREMOTEIO;
    }
    json_decref(answer);
    return rc;
}
