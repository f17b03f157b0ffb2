/* One thread, one poll() over the listener and all clients. Sockets never block; a client owns the
 * line it is sending and the answer it is being sent, so that one that stalls holds up nobody.
 * Commands run in this thread, one at a time. */
#include "server/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/nearest.h"

/* People and a few scripts: more at once are a mistake, and the one that is silent longest makes
 * room. */
#define CLIENTS_MAX 32

/* A request is a command and a path; PATH_MAX escaped as JSON fits. */
#define REQUEST_OCTETS_MAX (32 * 1024)

/* A client that neither sends nor takes anything for so long is gone. */
#define IDLE_S_MAX 300

#define LISTEN_BACKLOG 16

/* Commands that a control server may have; a bound for the list in a message. */
#define COMMANDS_MAX 64

struct client {
    int fd; /* -1: free */
    time_t active_at;
    bool ended;  /* sends nothing more */
    bool broken; /* to be closed once its answer is sent */
    size_t request_size;
    char *answer; /* NULL: none to send */
    size_t answer_size, answer_sent;
    char request[REQUEST_OCTETS_MAX];
};

struct control_server {
    const struct control_command *commands;
    size_t command_count;
    void *context;

    char *path;
    dev_t device; /* of the socket file, so that only our own is removed */
    ino_t inode;
    int listener;
    int stop_event;
    pthread_t thread;
    struct client clients[CLIENTS_MAX];
};

static time_t clock_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* Texts may quote what a client or a file says: what isn't UTF-8 there becomes '?'. */
static json_t *json_text(const char *text)
{
    json_t *value = json_string(text);
    if (value != NULL)
        return value;

    char plain[sizeof(((struct error *)NULL)->text)];
    size_t size = 0;
    for (; size < sizeof(plain) - 1 && text[size] != '\0'; size++)
        plain[size] = (unsigned char)text[size] < 0x80 ? text[size] : '?';
    plain[size] = '\0';
    return json_string(plain);
}

static json_t *error_answer(const struct error *error)
{
    json_t *place = json_object();

    json_object_set_new(place, "text", json_text(error->text));
    if (error->file[0] != '\0')
        json_object_set_new(place, "file", json_text(error->file));
    if (error->line != 0)
        json_object_set_new(place, "line", json_integer(error->line));
    return json_pack("{s:b, s:o}", "ok", 0, "error", place);
}

static int command_unknown(const struct control_server *server, const char *name,
                           struct error *ret_error)
{
    const char *names[COMMANDS_MAX];
    size_t count = server->command_count < COMMANDS_MAX ? server->command_count : COMMANDS_MAX;
    char known[256] = "";
    size_t used = 0;

    for (size_t i = 0; i < count; i++)
        names[i] = server->commands[i].name;
    const char *nearest = nearest_word(name, names, count);
    if (nearest != NULL)
        return error_set(ret_error, -EINVAL, "unknown command \"%.64s\": did you mean \"%s\"?",
                         name, nearest);
    for (size_t i = 0; i < count && used < sizeof(known); i++)
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i > 0 ? ", " : "",
                                 names[i]);
    return error_set(ret_error, -EINVAL, "unknown command \"%.64s\": known are %s", name, known);
}

static int command_run(const struct control_server *server, const json_t *request,
                       json_t **ret_result, struct error *ret_error)
{
    const char *name = json_string_value(json_object_get(request, "command"));

    if (name == NULL)
        return error_set(ret_error, -EINVAL,
                         "a request names no command: send {\"command\": \"status\"} as one line");
    for (size_t i = 0; i < server->command_count; i++)
        if (strcmp(server->commands[i].name, name) == 0)
            return server->commands[i].run(server->context, request, ret_result, ret_error);
    return command_unknown(server, name, ret_error);
}

/* Runs one line and makes its answer. Returns NULL only when memory is out. */
static char *line_answer(const struct control_server *server, const char *line, size_t size)
{
    struct error error = {0};
    json_error_t problem;
    json_t *result = NULL;
    int rc;

    json_t *request = json_loadb(line, size, JSON_REJECT_DUPLICATES, &problem);
    if (request == NULL)
        rc = error_set(&error, -EINVAL, "a request is no JSON: %s at octet %d", problem.text,
                       problem.position);
    else
        rc = command_run(server, request, &result, &error);
    json_decref(request);
    if (rc < 0 && error.text[0] == '\0')
        error_set(&error, rc, "%s", strerror(-rc));

    json_t *answer =
        rc < 0 ? error_answer(&error)
               : json_pack("{s:b, s:o}", "ok", 1, "result", result != NULL ? result : json_null());
    char *text = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    return text;
}

static void client_close(struct client *client)
{
    close(client->fd);
    free(client->answer);
    client->fd = -1;
    client->answer = NULL;
}

static void client_answer(struct client *client, char *answer)
{
    if (answer == NULL) {
        client_close(client);
        return;
    }
    client->answer = answer;
    client->answer_size = strlen(answer);
    client->answer_sent = 0;
    answer[client->answer_size++] = '\n'; /* in place of the NUL: sent by size from here on */
}

/* Sends as much of the answer as the socket takes. */
static void client_send(struct client *client)
{
    while (client->answer_sent < client->answer_size) {
        ssize_t sent = send(client->fd, client->answer + client->answer_sent,
                            client->answer_size - client->answer_sent, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (sent < 0) {
            client_close(client);
            return;
        }
        client->answer_sent += (size_t)sent;
        client->active_at = clock_s();
    }
    free(client->answer);
    client->answer = NULL;
    if (client->broken)
        client_close(client);
}

static bool is_blank(const char *line, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    return true;
}

/* Runs the first complete line, if there is one. Returns whether an answer is under way. */
static bool client_run_line(const struct control_server *server, struct client *client)
{
    char *end = memchr(client->request, '\n', client->request_size);
    size_t used;

    if (end != NULL)
        used = (size_t)(end - client->request) + 1;
    else if (client->ended) /* "printf ... | nc -U" sends no newline and means the line */
        used = client->request_size;
    else
        return false;

    size_t size = end != NULL ? used - 1 : used;
    char *answer = NULL;
    bool blank = is_blank(client->request, size);
    if (!blank)
        answer = line_answer(server, client->request, size);
    memmove(client->request, client->request + used, client->request_size - used);
    client->request_size -= used;
    if (blank)
        return false;
    client_answer(client, answer);
    return true;
}

static void client_receive(struct client *client)
{
    size_t room = sizeof(client->request) - client->request_size;
    ssize_t got = recv(client->fd, client->request + client->request_size, room, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got < 0) {
        client_close(client);
        return;
    }
    client->ended = got == 0;
    client->request_size += (size_t)got;
    client->active_at = clock_s();
}

/* Works for one client until it must wait: for octets, or for room to send. */
static void client_serve(const struct control_server *server, struct client *client)
{
    if (client->answer == NULL)
        client_receive(client);
    else
        client_send(client);

    while (client->fd >= 0 && client->answer == NULL && client->request_size > 0) {
        size_t before = client->request_size;
        if (client_run_line(server, client))
            client_send(client);
        else if (client->request_size == before)
            break;
    }
    if (client->fd < 0 || client->answer != NULL)
        return;

    if (client->ended) {
        client_close(client);
    } else if (client->request_size == sizeof(client->request)) {
        struct error error = {0};
        error_set(&error, -E2BIG, "a request has more than %zu octets: one line must fit",
                  sizeof(client->request));
        json_t *answer = error_answer(&error);
        client->broken = true;
        client_answer(client, json_dumps(answer, JSON_COMPACT));
        json_decref(answer);
    }
}

/* A free place, made by closing the client that is silent longest when there is none. */
static struct client *client_place(struct control_server *server)
{
    struct client *oldest = &server->clients[0];

    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &server->clients[i];
        if (client->fd < 0)
            return client;
        if (client->active_at < oldest->active_at)
            oldest = client;
    }
    client_close(oldest);
    return oldest;
}

static void client_accept(struct control_server *server)
{
    int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
        /* The listener stays readable: without a pause, this would spin until others close. */
        nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
        return;
    }
    if (fd < 0)
        return;

    struct client *client = client_place(server);
    client->fd = fd;
    client->active_at = clock_s();
    client->ended = client->broken = false;
    client->request_size = 0;
}

static void clients_expire(struct control_server *server)
{
    time_t now = clock_s();

    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (server->clients[i].fd >= 0 && now - server->clients[i].active_at > IDLE_S_MAX)
            client_close(&server->clients[i]);
}

enum { POLL_STOP, POLL_LISTENER, POLL_CLIENTS };

static void *control_main(void *argument)
{
    struct control_server *server = argument;
    struct pollfd polls[POLL_CLIENTS + CLIENTS_MAX];

    pthread_setname_np(pthread_self(), "control");
    for (;;) {
        polls[POLL_STOP] = (struct pollfd){.fd = server->stop_event, .events = POLLIN};
        polls[POLL_LISTENER] = (struct pollfd){.fd = server->listener, .events = POLLIN};
        for (size_t i = 0; i < CLIENTS_MAX; i++) {
            const struct client *client = &server->clients[i];
            polls[POLL_CLIENTS + i] = (struct pollfd){
                .fd = client->fd,
                .events = client->answer != NULL ? POLLOUT : POLLIN,
            };
        }

        int ready = poll(polls, POLL_CLIENTS + CLIENTS_MAX, IDLE_S_MAX * 1000);
        if (ready < 0)
            continue; /* only EINTR: the descriptors and the array are ours */
        if (polls[POLL_STOP].revents != 0)
            return NULL;
        for (size_t i = 0; i < CLIENTS_MAX; i++)
            if (polls[POLL_CLIENTS + i].revents != 0)
                client_serve(server, &server->clients[i]);
        clients_expire(server);
        if (polls[POLL_LISTENER].revents != 0)
            client_accept(server);
    }
}

/* Whether a server answers on the socket file: 1 yes, 0 none, or a negative errno. */
static int socket_alive(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int rc = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    int failed = rc < 0 ? errno : 0;
    close(fd);
    if (rc == 0 || failed == EAGAIN) /* EAGAIN: its backlog is full, so it lives */
        return 1;
    return failed == ECONNREFUSED || failed == ENOENT ? 0 : -failed;
}

/* Removes the socket file that a killed server left; refuses anything else that stands there. */
static int stale_remove(const struct sockaddr_un *address, struct error *ret_error)
{
    const char *path = address->sun_path;
    struct stat status;

    if (lstat(path, &status) < 0)
        return errno == ENOENT ? 0
                               : error_set_at(ret_error, -errno, path, 0,
                                              "the control socket's place cannot be examined: %s",
                                              strerror(errno));
    if (!S_ISSOCK(status.st_mode))
        return error_set_at(ret_error, -EEXIST, path, 0,
                            "the control socket's place is taken by another file: remove it or "
                            "configure another \"control\" path");
    int alive = socket_alive(address);
    if (alive > 0)
        return error_set_at(ret_error, -EADDRINUSE, path, 0,
                            "another tamisd listens on this control socket: stop it or configure "
                            "another \"control\" path");
    if (alive < 0)
        return error_set_at(ret_error, alive, path, 0, "the control socket cannot be examined: %s",
                            strerror(-alive));
    if (unlink(path) < 0 && errno != ENOENT)
        return error_set_at(ret_error, -errno, path, 0,
                            "the control socket of an earlier run cannot be removed: %s",
                            strerror(errno));
    return 0;
}

static int listener_open(struct control_server *server, struct error *ret_error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;

    if (strlen(server->path) >= sizeof(address.sun_path))
        return error_set_at(ret_error, -ENAMETOOLONG, server->path, 0,
                            "the control socket's path is longer than %zu octets: choose a shorter "
                            "one, for example below /run",
                            sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, server->path, strlen(server->path) + 1);
    int rc = stale_remove(&address, ret_error);
    if (rc < 0)
        return rc;

    server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* The mode is set before the name exists, so that it is never wider, and again behind it, since
     * bind() takes the umask off. */
    if (server->listener < 0 || fchmod(server->listener, 0660) < 0 ||
        bind(server->listener, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return error_set_at(ret_error, -errno, server->path, 0,
                            "the control socket cannot be made: %s; its folder must exist and be "
                            "writable",
                            strerror(errno));
    if (chmod(server->path, 0660) < 0 || lstat(server->path, &status) < 0 ||
        listen(server->listener, LISTEN_BACKLOG) < 0) {
        rc = -errno;
        unlink(server->path);
        return error_set_at(ret_error, rc, server->path, 0, "the control socket cannot be used: %s",
                            strerror(-rc));
    }
    server->device = status.st_dev;
    server->inode = status.st_ino;
    return 0;
}

static void server_free(struct control_server *server)
{
    struct stat status;

    if (server->inode != 0 && lstat(server->path, &status) == 0 &&
        status.st_dev == server->device && status.st_ino == server->inode)
        unlink(server->path);
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (server->clients[i].fd >= 0)
            client_close(&server->clients[i]);
    if (server->listener >= 0)
        close(server->listener);
    if (server->stop_event >= 0)
        close(server->stop_event);
    free(server->path);
    free(server);
}

/* Signals are the main thread's: a new thread inherits the mask that blocks them. */
static int thread_start(struct control_server *server)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&server->thread, NULL, control_main, server);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

int control_server_start(const char *path, const struct control_command *commands,
                         size_t command_count, void *context, struct control_server **ret_server,
                         struct error *ret_error)
{
    struct control_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the control socket");
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        server->clients[i].fd = -1;
    server->commands = commands;
    server->command_count = command_count;
    server->context = context;
    server->listener = -1;
    server->path = strdup(path);
    server->stop_event = eventfd(0, EFD_CLOEXEC);

    int rc;
    if (server->path == NULL || server->stop_event < 0)
        rc = error_set(ret_error, -ENOMEM, "no memory or descriptor for the control socket");
    else
        rc = listener_open(server, ret_error);
    if (rc == 0) {
        rc = thread_start(server);
        if (rc < 0)
            error_set(ret_error, rc, "the control thread cannot start: %s", strerror(-rc));
    }
    if (rc < 0) {
        server_free(server);
        return rc;
    }
    *ret_server = server;
    return 0;
}

void control_server_stop(struct control_server *server)
{
    if (server == NULL)
        return;
    eventfd_write(server->stop_event, 1);
    pthread_join(server->thread, NULL);
    server_free(server);
}
