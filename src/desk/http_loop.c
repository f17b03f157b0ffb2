/* The threads that read and write connections.
 *
 * The library's own threads are not used: 0.9.75 waits for further events while it holds a full
 * batch of 128 that it has not looked at, so that with that many connections all of them may stand
 * still until something else happens. Run from outside it never waits itself. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "desk/http_internal.h"

static int wait_ms(struct MHD_Daemon *daemon)
{
    MHD_UNSIGNED_LONG_LONG ms;
    if (MHD_get_timeout(daemon, &ms) != MHD_YES)
        return -1;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

static void quiesce(struct http_loop *loop)
{
    int listener = MHD_quiesce_daemon(loop->daemon);
    if (listener >= 0)
        close(listener);
    loop->is_quiet = true;
}

/* Whoever has something for the loop from now on wakes it; false: somebody has just had. */
static bool fall_asleep(struct http_loop *loop)
{
    atomic_store(&loop->is_asleep, true);
    if (!atomic_exchange(&loop->must_look, false))
        return true;
    atomic_store(&loop->is_asleep, false);
    return false;
}

static void wake(struct http_loop *loop)
{
    atomic_store(&loop->must_look, true);
    if (atomic_load(&loop->is_asleep))
        (void)eventfd_write(loop->wake_fd, 1);
}

static void *loop_run(void *context)
{
    struct http_loop *loop = context;
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(loop->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct pollfd waits[] = {{.fd = info->epoll_fd, .events = POLLIN},
                             {.fd = loop->wake_fd, .events = POLLIN}};
    eventfd_t ignored;

    while (!atomic_load(&loop->http->loops_end)) {
        if (atomic_load(&loop->http->draining) && !loop->is_quiet)
            quiesce(loop);
        (void)MHD_run(loop->daemon);
        if (!fall_asleep(loop))
            continue;
        if (poll(waits, 2, wait_ms(loop->daemon)) > 0 && waits[1].revents != 0)
            (void)eventfd_read(loop->wake_fd, &ignored);
        atomic_store(&loop->is_asleep, false);
    }
    return NULL;
}

int http_loop_create(struct http *http, struct http_loop **ret_loop, struct error *ret_error)
{
    struct http_loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory while starting HTTP");
    loop->http = http;
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake_fd < 0) {
        free(loop);
        return error_set(ret_error, -errno, "no descriptor for a thread of HTTP");
    }
    loop->next = http->loops;
    http->loops = loop;
    *ret_loop = loop;
    return 0;
}

int http_loop_start(struct http_loop *loop, struct error *ret_error)
{
    int rc = pthread_create(&loop->thread, NULL, loop_run, loop);
    if (rc != 0)
        return error_set(ret_error, -rc, "no thread for HTTP");
    loop->started = true;
    return 0;
}

void http_resume(struct request *request)
{
    struct http_loop *loop = request->loop; /* the request may be gone once it is resumed */
    request->answered = true;
    MHD_resume_connection(request->connection);
    wake(loop);
}

void http_resume_reading(struct request *request)
{
    struct http_loop *loop = request->loop;
    MHD_resume_connection(request->connection);
    wake(loop);
}

void http_loops_wake(struct http *http)
{
    for (struct http_loop *loop = http->loops; loop != NULL; loop = loop->next)
        wake(loop);
}

void http_loops_stop(struct http *http)
{
    atomic_store(&http->loops_end, true);
    http_loops_wake(http);
    while (http->loops != NULL) {
        struct http_loop *loop = http->loops;
        http->loops = loop->next;
        if (loop->started)
            pthread_join(loop->thread, NULL);
        if (loop->daemon != NULL)
            MHD_stop_daemon(loop->daemon);
        close(loop->wake_fd);
        free(loop);
    }
}
