#include "cli/control_client.h"

#include <errno.h>
#include <poll.h>
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

static int server_connect(const char *path, int *ret_fd, struct error *ret_error)
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
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
        *ret_fd = fd;
        return 0;
    }

    int rc = -errno;
    close(fd);
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

/* Waits until the server sends; on a terminal a wait over a second shows. */
static void answer_wait(int fd, unsigned *waited_s)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    while (poll(&poll_fd, 1, 1000) == 0) {
        ++*waited_s;
        if (isatty(STDERR_FILENO))
            fprintf(stderr, "\rwaiting for tamisd: %u s", *waited_s);
    }
}

/* Receives until the end of the line. `*ret_text` is not NUL-terminated. */
static int answer_receive(int fd, char **ret_text, size_t *ret_size, struct error *ret_error)
{
    char *text = NULL;
    size_t size = 0, capacity = 0;
    unsigned waited_s = 0;
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
        answer_wait(fd, &waited_s);
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
    if (waited_s > 0 && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
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

int control_exchange(const char *path, const json_t *request, json_t **ret_answer,
                     struct error *ret_error)
{
    char *line = NULL, *text = NULL;
    size_t line_size = 0, size = 0;
    int fd = -1;

    int rc = server_connect(path, &fd, ret_error);
    if (rc < 0)
        return rc;
    rc = request_write(request, &line, &line_size, ret_error);
    if (rc == 0)
        rc = request_send(fd, line, line_size, ret_error);
    if (rc == 0)
        rc = answer_receive(fd, &text, &size, ret_error);
    free(line);
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

/* The server's error as if it had happened here. */
void control_answer_error(const json_t *answer, struct error *ret_error)
{
    const json_t *object = json_object_get(answer, "error");
    const char *text = json_string_value(json_object_get(object, "text"));
    const char *file = json_string_value(json_object_get(object, "file"));
    json_int_t line = json_integer_value(json_object_get(object, "line"));

    error_set_at(ret_error, -EINVAL, file, line > 0 && line <= UINT32_MAX ? (uint32_t)line : 0,
                 "%s", text != NULL ? text : "tamisd refused and did not say why");
}

int control_ask(const char *path, const json_t *request, json_t **ret_result,
                struct error *ret_error)
{
    json_t *answer;

    int rc = control_exchange(path, request, &answer, ret_error);
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
