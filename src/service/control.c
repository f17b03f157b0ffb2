/* One thread, one poll() over the listener and all clients. Sockets never block; a client owns the
 * line it is sending and the answer it is being sent, so that one that stalls holds up nobody.
 * Quick commands run in this thread, one at a time. A slow one runs in a thread of its own, its
 * job, and its client is busy: neither read, nor timed out, nor displaced, until the job has an
 * answer. Clients belong to the control thread alone; a job touches its own fields and the eventfd.
 */
#include "service/control.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/nearest.h"
#include "service/control_listener.h"

/* People and a few scripts: more at once are a mistake, and the one that is silent longest makes
 * room. */
#define CLIENTS_MAX 32

/* Slow commands under way: each holds a thread and perhaps a whole list of names. Fewer than
 * clients, so that there is always one that can make room. */
#define JOBS_MAX 8
static_assert(JOBS_MAX < CLIENTS_MAX, "a client without a job can make room");

/* A request is a command and a path; PATH_MAX escaped as JSON fits. */
#define REQUEST_OCTETS_MAX (32 * 1024)

/* A client that neither sends nor takes anything for so long is gone. */
#define IDLE_S_MAX 300

/* Commands that a control server may have; a bound for the list in a message. */
#define COMMANDS_MAX 64

struct client {
    int fd;    /* -1: free */
    bool busy; /* a job works for it */
    time_t active_at;
    bool ended;  /* sends nothing more */
    bool broken; /* to be closed once its answer is sent */
    size_t request_size;
    char *answer; /* NULL: none to send */
    size_t answer_size, answer_sent;
    char request[REQUEST_OCTETS_MAX];
};

/* A slow command under way. */
struct job {
    const struct control_server *server;
    const struct control_command *command; /* NULL: the place is free */
    struct client *client;
    json_t *request;
    char *answer; /* NULL when memory was out; read once `done` is set */
    atomic_bool done;
    pthread_t thread;
};

struct control_server {
    const struct control_command *commands;
    size_t command_count;
    void *context;

    char *path;
    struct control_listener listener;
    int stop_event;
    int job_event; /* a job is done */
    pthread_t thread;
    struct job jobs[JOBS_MAX];
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
    if (error->code == -EAGAIN)
        json_object_set_new(place, "again", json_true());
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

static int command_find(const struct control_server *server, const json_t *request,
                        const struct control_command **ret_command, struct error *ret_error)
{
    const char *name = json_string_value(json_object_get(request, "command"));

    if (name == NULL)
        return error_set(ret_error, -EINVAL,
                         "a request names no command: send {\"command\": \"status\"} as one line");
    for (size_t i = 0; i < server->command_count; i++) {
        if (strcmp(server->commands[i].name, name) == 0) {
            *ret_command = &server->commands[i];
            return 0;
        }
    }
    return command_unknown(server, name, ret_error);
}

/* The answer of a command that returned `rc`; takes the result over. Returns NULL only when memory
 * is out. */
static char *answer_text(int rc, json_t *result, struct error *error)
{
    if (rc < 0 && error->text[0] == '\0')
        error_set(error, rc, "%s", strerror(-rc));
    json_t *answer =
        rc < 0 ? error_answer(error)
               : json_pack("{s:b, s:o}", "ok", 1, "result", result != NULL ? result : json_null());
    char *text = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    return text;
}

static char *command_run(const struct control_server *server, const struct control_command *command,
                         const json_t *request)
{
    struct error error = {0};
    json_t *result = NULL;

    int rc = command->run(server->context, request, &result, &error);
    return answer_text(rc, result, &error);
}

/* ---- Jobs ---- */

static void *job_main(void *argument)
{
    struct job *job = argument;

    pthread_setname_np(pthread_self(), job->command->name);
    job->answer = command_run(job->server, job->command, job->request);
    json_decref(job->request);
    atomic_store(&job->done, true);
    eventfd_write(job->server->job_event, 1);
    return NULL;
}

/* Signals are the main thread's: a new thread inherits the mask that blocks them. */
static int thread_start(pthread_t *thread, void *(*run)(void *argument), void *argument)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

/* Begins a slow command for the client. On success the request is the job's: a reference count is
 * nothing for two threads. */
static int job_start(struct control_server *server, const struct control_command *command,
                     json_t *request, struct client *client, struct error *ret_error)
{
    struct job *job = server->jobs;
    while (job < &server->jobs[JOBS_MAX] && job->command != NULL)
        job++;
    if (job == &server->jobs[JOBS_MAX])
        return error_set(ret_error, -EAGAIN,
                         "%d long commands are under way: try again when one has ended", JOBS_MAX);

    job->server = server;
    job->client = client;
    job->request = request;
    job->answer = NULL;
    atomic_store(&job->done, false);
    job->command = command;
    int rc = thread_start(&job->thread, job_main, job);
    if (rc < 0) {
        job->command = NULL;
        return error_set(ret_error, rc, "no memory for a thread for \"%s\": %s", command->name,
                         strerror(-rc));
    }
    client->busy = true;
    return 0;
}

/* ---- Clients ---- */

static void client_close(struct client *client)
{
    close(client->fd);
    free(client->answer);
    client->fd = -1;
    client->busy = false;
    client->answer = NULL;
}

static void client_answer(struct client *client, char *answer)
{
    if (answer == NULL) {
        static const char text[] = "{\"ok\":false,\"error\":{\"text\":\"out of memory\"}}\n";
        (void)send(client->fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
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

/* Runs one line: its answer is there afterwards, or the client is busy or closed. */
static void client_run(struct control_server *server, struct client *client, const char *line,
                       size_t size)
{
    const struct control_command *command = NULL;
    struct error error = {0};
    json_error_t problem;
    int rc;

    json_t *request = json_loadb(line, size, JSON_REJECT_DUPLICATES, &problem);
    if (request == NULL)
        rc = error_set(&error, -EINVAL, "a request is no JSON: %s at octet %d", problem.text,
                       problem.position);
    else
        rc = command_find(server, request, &command, &error);
    if (rc == 0 && command->slow)
        rc = job_start(server, command, request, client, &error);
    if (client->busy)
        return;
    client_answer(client,
                  rc < 0 ? answer_text(rc, NULL, &error) : command_run(server, command, request));
    json_decref(request);
}

/* Runs the first complete line, if there is one that is not blank. */
static void client_run_line(struct control_server *server, struct client *client)
{
    const char *end = memchr(client->request, '\n', client->request_size);
    size_t used;

    if (end != NULL)
        used = (size_t)(end - client->request) + 1;
    else if (client->ended) /* "printf ... | nc -U" sends no newline and means the line */
        used = client->request_size;
    else
        return;

    size_t size = end != NULL ? used - 1 : used;
    if (!is_blank(client->request, size))
        client_run(server, client, client->request, size);
    memmove(client->request, client->request + used, client->request_size - used);
    client->request_size -= used;
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

/* Works for one client until it must wait: for octets, for room to send, or for a job. */
static void client_serve(struct control_server *server, struct client *client)
{
    if (client->answer == NULL)
        client_receive(client);
    else
        client_send(client);

    while (client->fd >= 0 && client->answer == NULL && client->request_size > 0) {
        size_t before = client->request_size;
        client_run_line(server, client);
        if (client->fd >= 0 && client->answer != NULL)
            client_send(client);
        if (client->busy || client->request_size == before)
            break;
    }
    if (client->fd < 0 || client->busy || client->answer != NULL)
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
    struct client *oldest = NULL;

    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &server->clients[i];
        if (client->fd < 0)
            return client;
        if (!client->busy && (oldest == NULL || client->active_at < oldest->active_at))
            oldest = client;
    }
    assert(oldest != NULL);
    client_close(oldest);
    return oldest;
}

static void client_accept(struct control_server *server)
{
    int fd = accept4(server->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

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
        if (server->clients[i].fd >= 0 && !server->clients[i].busy &&
            now - server->clients[i].active_at > IDLE_S_MAX)
            client_close(&server->clients[i]);
}

/* Gives the answer of a job that is done to its client and frees its place. */
static void job_finish(struct control_server *server, struct job *job)
{
    struct client *client = job->client;

    pthread_join(job->thread, NULL);
    job->command = NULL;
    client->busy = false;
    client->active_at = clock_s();
    client_answer(client, job->answer);
    if (client->fd >= 0)
        client_serve(server, client);
}

static void jobs_finish_done(struct control_server *server)
{
    eventfd_t count;

    eventfd_read(server->job_event, &count);
    for (size_t i = 0; i < JOBS_MAX; i++)
        if (server->jobs[i].command != NULL && atomic_load(&server->jobs[i].done))
            job_finish(server, &server->jobs[i]);
}

enum { POLL_STOP, POLL_JOBS, POLL_LISTENER, POLL_CLIENTS };

static void *control_main(void *argument)
{
    struct control_server *server = argument;
    struct pollfd polls[POLL_CLIENTS + CLIENTS_MAX];

    pthread_setname_np(pthread_self(), "control");
    for (;;) {
        polls[POLL_STOP] = (struct pollfd){.fd = server->stop_event, .events = POLLIN};
        polls[POLL_JOBS] = (struct pollfd){.fd = server->job_event, .events = POLLIN};
        polls[POLL_LISTENER] = (struct pollfd){.fd = server->listener.fd, .events = POLLIN};
        for (size_t i = 0; i < CLIENTS_MAX; i++) {
            const struct client *client = &server->clients[i];
            polls[POLL_CLIENTS + i] = (struct pollfd){
                /* A busy client that hangs up is not looked at: it would be told again and again.
                 */
                .fd = client->busy ? -1 : client->fd,
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
        if (polls[POLL_JOBS].revents != 0)
            jobs_finish_done(server);
        clients_expire(server);
        if (polls[POLL_LISTENER].revents != 0)
            client_accept(server);
    }
}

static void server_free(struct control_server *server)
{
    control_listener_close(&server->listener, server->path);
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (server->clients[i].fd >= 0)
            client_close(&server->clients[i]);
    if (server->stop_event >= 0)
        close(server->stop_event);
    if (server->job_event >= 0)
        close(server->job_event);
    free(server->path);
    free(server);
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
    server->listener.fd = -1;
    server->path = strdup(path);
    server->stop_event = eventfd(0, EFD_CLOEXEC);
    server->job_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

    int rc;
    if (server->path == NULL || server->stop_event < 0 || server->job_event < 0)
        rc = error_set(ret_error, -ENOMEM, "no memory or descriptor for the control socket");
    else
        rc = control_listener_open(&server->listener, server->path, ret_error);
    if (rc == 0) {
        rc = thread_start(&server->thread, control_main, server);
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

    /* Whoever waits for a long command gets its answer, if the socket takes it at once. */
    for (size_t i = 0; i < JOBS_MAX; i++) {
        struct job *job = &server->jobs[i];
        if (job->command == NULL)
            continue;
        pthread_join(job->thread, NULL);
        client_answer(job->client, job->answer);
        if (job->client->fd >= 0)
            client_send(job->client);
    }
    server_free(server);
}
