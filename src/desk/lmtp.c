#include "desk/lmtp.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/log.h"
#include "desk/desk.h"
#include "desk/mail_in.h"
#include "desk/outbox.h"

/* Connections served at a time; an MTA opens few, and more wait in the socket's queue. */
#define THREADS    4
#define LISTEN_MAX 64

/* RFC 5321, 4.5.3.1: a command's line has 512 octets, a path 256; extensions add to it. */
#define LINE_MAX_SIZE  2048
#define RECIPIENTS_MAX 100

/* RFC 5321, 4.5.3.2.7 has the server wait five minutes for a command. */
#define TIMEOUT_S 300

struct session {
    struct lmtp *lmtp;
    struct store *store;
    pthread_t thread;
    int fd; /* of the connection; -1: none */
    char buffer[65536];
    size_t from, to;
    char sender[EMAIL_SIZE_MAX + 3];
    bool has_sender;
    unsigned recipients;
};

struct lmtp {
    struct desk *desk;
    int listener;
    pthread_mutex_t lock; /* of `ending` and the sessions' fds */
    bool ending;
    struct session sessions[THREADS];
    size_t started;
};

/* ---- Octets ---- */

static int say(struct session *session, const char *text)
{
    size_t size = strlen(text);
    while (size > 0) {
        ssize_t sent = send(session->fd, text, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return -EPIPE;
        text += sent;
        size -= (size_t)sent;
    }
    return 0;
}

static int fill(struct session *session)
{
    if (session->from == session->to)
        session->from = session->to = 0;
    ssize_t got;
    do
        got = recv(session->fd, session->buffer + session->to,
                   sizeof(session->buffer) - session->to, 0);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return -EPIPE;
    session->to += (size_t)got;
    return 0;
}

/* A line without its end. -EMSGSIZE: it was too long, and is passed over. */
static int line_read(struct session *session, char ret_line[static LINE_MAX_SIZE])
{
    size_t used = 0;
    bool is_long = false;
    for (;;) {
        if (session->from == session->to) {
            int rc = fill(session);
            if (rc < 0)
                return rc;
        }
        char c = session->buffer[session->from++];
        if (c == '\n')
            break;
        if (used + 1 < LINE_MAX_SIZE)
            ret_line[used++] = c;
        else
            is_long = true;
    }
    if (used > 0 && ret_line[used - 1] == '\r')
        used--;
    ret_line[used] = '\0';
    return is_long ? -EMSGSIZE : 0;
}

/* ---- DATA ---- */

/* A message on its way in, with the state of its transparency (RFC 5321, 4.5.2). */
struct message {
    char *octets; /* owned */
    size_t size, allocated, max;
    bool is_large, is_short_of_memory;
};

static void message_add(struct message *message, char c)
{
    if (message->is_large || message->is_short_of_memory)
        return;
    if (message->size == message->max) {
        message->is_large = true;
        return;
    }
    if (message->size == message->allocated) {
        size_t allocated = message->allocated > 0 ? 2 * message->allocated : 65536;
        char *grown = realloc(message->octets, allocated);
        if (grown == NULL) {
            message->is_short_of_memory = true;
            return;
        }
        message->octets = grown;
        message->allocated = allocated;
    }
    message->octets[message->size++] = c;
}

/* Reads until CR LF . CR LF, and only that: an end made of other line ends would let a sender
 * smuggle commands behind what the MTA took for text. */
static int message_read(struct session *session, struct message *message)
{
    enum { TEXT, CR, LINE, DOT, DOT_CR } at = LINE;
    for (;;) {
        if (session->from == session->to) {
            int rc = fill(session);
            if (rc < 0)
                return rc;
        }
        char c = session->buffer[session->from++];
        if (at == LINE && c == '.') {
            at = DOT; /* the end, or a dot that was doubled */
            continue;
        }
        if (at == DOT && c == '\r') {
            at = DOT_CR;
            continue;
        }
        if (at == DOT_CR && c == '\n')
            return 0;
        if (at == DOT_CR)
            message_add(message, '\r');
        message_add(message, c);
        if (c == '\r')
            at = CR;
        else
            at = at == CR && c == '\n' ? LINE : TEXT;
    }
}

/* One reply for each recipient (RFC 2033, 4.2), all of them the same. */
static int replies_say(struct session *session, const char *text)
{
    int rc = 0;
    for (unsigned i = 0; i < session->recipients && rc == 0; i++)
        rc = say(session, text);
    return rc;
}

static int message_take(struct session *session, const struct message *message)
{
    struct report_receipt receipt = {0};
    struct error error = {0};
    char text[256];

    int rc = message->is_large ? -EMSGSIZE
             : message->is_short_of_memory
                 ? -ENOMEM
                 : mail_in_take(session->lmtp->desk, session->store, session->sender,
                                message->octets, message->size, &receipt, &error);
    if (rc == -EMSGSIZE)
        return replies_say(session, "552 5.3.4 the message is too large\r\n");
    if (rc == -EINVAL)
        return replies_say(session, "554 5.6.0 this is no mail\r\n");
    if (rc < 0) {
        log_event(LOG_WARNING, "a mail is left to the MTA: %s", error.text);
        return replies_say(session, "451 4.3.0 try again later\r\n");
    }
    outbox_wake(session->lmtp->desk);
    snprintf(text, sizeof(text), "250 2.0.0 taken as %s\r\n",
             receipt.id[0] != '\0' ? receipt.id : "a bounce");
    return replies_say(session, text);
}

static int data(struct session *session)
{
    struct message message = {.max = (size_t)session->lmtp->desk->config->reports.mail_kib_max
                                     << 10};
    if (session->recipients == 0)
        return say(session, "503 5.5.1 no recipient yet\r\n");
    int rc = say(session, "354 end with a dot\r\n");
    if (rc == 0)
        rc = message_read(session, &message);
    if (rc == 0)
        rc = message_take(session, &message);
    free(message.octets);
    session->has_sender = false;
    session->recipients = 0;
    return rc;
}

/* ---- Commands ---- */

static int greet(struct session *session)
{
    char text[256];
    snprintf(text, sizeof(text),
             "250-tamis-desk\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n"
             "250-PIPELINING\r\n250 SIZE %zu\r\n",
             (size_t)session->lmtp->desk->config->reports.mail_kib_max << 10);
    return say(session, text);
}

/* The path between < and >; false: there is none. */
static bool path_read(const char *line, char *ret_path, size_t size)
{
    const char *from = strchr(line, '<'), *to = from != NULL ? strchr(from, '>') : NULL;
    if (to == NULL || (size_t)(to - from) > size)
        return false;
    memcpy(ret_path, from + 1, (size_t)(to - from - 1));
    ret_path[to - from - 1] = '\0';
    return true;
}

static int mail_from(struct session *session, const char *line)
{
    if (session->has_sender)
        return say(session, "503 5.5.1 there is a sender\r\n");
    if (!path_read(line, session->sender, sizeof(session->sender)))
        return say(session, "501 5.1.7 write MAIL FROM:<address>\r\n");
    session->has_sender = true;
    session->recipients = 0;
    return say(session, "250 2.1.0 go on\r\n");
}

/* Which addresses are the desk's is for the MTA to say. */
static int recipient(struct session *session, const char *line)
{
    char path[LINE_MAX_SIZE];
    if (!session->has_sender)
        return say(session, "503 5.5.1 no sender yet\r\n");
    if (session->recipients == RECIPIENTS_MAX)
        return say(session, "452 4.5.3 too many recipients\r\n");
    if (!path_read(line, path, sizeof(path)))
        return say(session, "501 5.1.3 write RCPT TO:<address>\r\n");
    session->recipients++;
    return say(session, "250 2.1.5 go on\r\n");
}

/* 1: the session is at its end. */
static int command_do(struct session *session, const char *line)
{
    if (strncasecmp(line, "LHLO ", 5) == 0)
        return greet(session);
    if (strncasecmp(line, "MAIL FROM:", 10) == 0)
        return mail_from(session, line);
    if (strncasecmp(line, "RCPT TO:", 8) == 0)
        return recipient(session, line);
    if (strcasecmp(line, "DATA") == 0)
        return data(session);
    if (strcasecmp(line, "RSET") == 0) {
        session->has_sender = false;
        session->recipients = 0;
        return say(session, "250 2.0.0 forgotten\r\n");
    }
    if (strncasecmp(line, "NOOP", 4) == 0)
        return say(session, "250 2.0.0 yes\r\n");
    if (strncasecmp(line, "VRFY", 4) == 0)
        return say(session, "252 2.1.5 send it and see\r\n");
    if (strcasecmp(line, "QUIT") == 0) {
        int rc = say(session, "221 2.0.0 bye\r\n");
        return rc < 0 ? rc : 1;
    }
    if (strncasecmp(line, "HELO", 4) == 0 || strncasecmp(line, "EHLO", 4) == 0)
        return say(session, "500 5.5.1 this is LMTP: say LHLO\r\n");
    return say(session, "500 5.5.1 unknown command\r\n");
}

static void serve(struct session *session)
{
    char line[LINE_MAX_SIZE];
    session->from = session->to = 0;
    session->has_sender = false;
    session->recipients = 0;

    int rc = say(session, "220 tamis-desk LMTP\r\n");
    while (rc == 0) {
        rc = line_read(session, line);
        if (rc == -EMSGSIZE)
            rc = say(session, "500 5.5.2 the line is too long\r\n");
        else if (rc == 0)
            rc = command_do(session, line);
    }
}

/* ---- Threads ---- */

/* Registers a connection so that lmtp_stop() can end it; false: it is too late. */
static bool connection_open(struct session *session, int fd)
{
    struct lmtp *lmtp = session->lmtp;
    pthread_mutex_lock(&lmtp->lock);
    bool is_open = !lmtp->ending;
    if (is_open)
        session->fd = fd;
    pthread_mutex_unlock(&lmtp->lock);
    return is_open;
}

static void connection_close(struct session *session)
{
    pthread_mutex_lock(&session->lmtp->lock);
    close(session->fd);
    session->fd = -1;
    pthread_mutex_unlock(&session->lmtp->lock);
}

static bool is_ending(struct lmtp *lmtp)
{
    pthread_mutex_lock(&lmtp->lock);
    bool ending = lmtp->ending;
    pthread_mutex_unlock(&lmtp->lock);
    return ending;
}

static void *session_run(void *context)
{
    struct session *session = context;
    const struct timeval timeout = {.tv_sec = TIMEOUT_S};

    while (!is_ending(session->lmtp)) {
        int fd = accept4(session->lmtp->listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                usleep(100000); /* others may give some back */
            continue;
        }
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
        if (!connection_open(session, fd)) {
            close(fd);
            break;
        }
        serve(session);
        connection_close(session);
    }
    return NULL;
}

static int listener_open(const struct desk *desk, int *ret_fd, struct error *ret_error)
{
    const struct config_address *address = desk->config->reports.lmtp;
    const struct sockaddr *where = (const struct sockaddr *)&address->address;
    socklen_t size =
        where->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    int on = 1;

    int fd = socket(where->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(ret_error, -errno, "LMTP: no socket: %s", strerror(errno));
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, where, size) < 0 || listen(fd, LISTEN_MAX) < 0) {
        int rc =
            error_set(ret_error, -errno,
                      "LMTP cannot be served at the address of reports: lmtp: %s", strerror(errno));
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

int lmtp_start(struct desk *desk, struct lmtp **ret_lmtp, struct error *ret_error)
{
    struct lmtp *lmtp = calloc(1, sizeof(*lmtp));
    if (lmtp == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for LMTP");
    lmtp->desk = desk;
    lmtp->listener = -1;
    pthread_mutex_init(&lmtp->lock, NULL);
    int rc = listener_open(desk, &lmtp->listener, ret_error);
    for (size_t i = 0; i < THREADS && rc == 0; i++) {
        struct session *session = &lmtp->sessions[i];
        session->lmtp = lmtp;
        session->fd = -1;
        rc = desk_store_open(desk, &session->store, ret_error);
        if (rc < 0)
            break;
        rc = pthread_create(&session->thread, NULL, session_run, session);
        if (rc != 0) {
            store_close(session->store);
            rc = error_set(ret_error, -rc, "no thread for LMTP");
        } else {
            lmtp->started++;
        }
    }
    if (rc < 0) {
        lmtp_stop(lmtp);
        return rc;
    }
    *ret_lmtp = lmtp;
    return 0;
}

void lmtp_stop(struct lmtp *lmtp)
{
    if (lmtp == NULL)
        return;
    pthread_mutex_lock(&lmtp->lock);
    lmtp->ending = true;
    if (lmtp->listener >= 0)
        (void)shutdown(lmtp->listener, SHUT_RDWR); /* wakes accept() */
    for (size_t i = 0; i < lmtp->started; i++)
        if (lmtp->sessions[i].fd >= 0)
            (void)shutdown(lmtp->sessions[i].fd, SHUT_RD); /* what was taken is still answered */
    pthread_mutex_unlock(&lmtp->lock);
    for (size_t i = 0; i < lmtp->started; i++) {
        pthread_join(lmtp->sessions[i].thread, NULL);
        store_close(lmtp->sessions[i].store);
    }
    if (lmtp->listener >= 0)
        close(lmtp->listener);
    pthread_mutex_destroy(&lmtp->lock);
    free(lmtp);
}
